-- What a new tenant has for service: priorities, types of tickets, and the pipeline support.

CREATE OR REPLACE FUNCTION crm.seed_service(tenant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t CONSTANT bigint := seed_service.tenant_id;
    pipeline bigint;
BEGIN
    INSERT INTO crm.priorities (tenant_id, code, name, rank)
    VALUES (t, 'low', 'Low', 10), (t, 'normal', 'Normal', 20), (t, 'high', 'High', 30), (t, 'urgent', 'Urgent', 40)
    ON CONFLICT DO NOTHING;
    INSERT INTO crm.ticket_types (tenant_id, code, name)
    VALUES (t, 'question', 'Question'), (t, 'incident', 'Incident'), (t, 'problem', 'Problem'),
           (t, 'request', 'Request'), (t, 'complaint', 'Complaint')
    ON CONFLICT DO NOTHING;
    IF EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = t AND p.subject_table = 'tickets') THEN
        RETURN;
    END IF;
    INSERT INTO crm.pipelines (tenant_id, code, name, subject_table, is_default)
    VALUES (t, 'support', 'Support', 'tickets', true)
    RETURNING id INTO pipeline;
    INSERT INTO crm.stages (tenant_id, pipeline_id, code, name, position, type, is_initial, forecast_category)
    VALUES (t, pipeline, 'new', 'New', 10, 'open', true, 'omitted'),
           (t, pipeline, 'open', 'Open', 20, 'open', false, 'omitted'),
           (t, pipeline, 'waiting', 'Waiting for the customer', 30, 'on_hold', false, 'omitted'),
           (t, pipeline, 'on_hold', 'On hold', 40, 'on_hold', false, 'omitted'),
           (t, pipeline, 'resolved', 'Resolved', 50, 'done', false, 'omitted'),
           (t, pipeline, 'closed', 'Closed', 60, 'done', false, 'omitted'),
           (t, pipeline, 'merged', 'Merged', 70, 'cancelled', false, 'omitted'),
           (t, pipeline, 'cancelled', 'Cancelled', 80, 'cancelled', false, 'omitted');
END
$$;
COMMENT ON FUNCTION crm.seed_service(bigint) IS
'Gives a tenant priorities, ticket types and the pipeline support of tickets, where they are missing.';
SELECT crm.declare_function('crm.seed_service', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.seed_service(bigint)');
