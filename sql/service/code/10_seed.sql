-- What a new tenant has for service: priorities, types of tickets, and the pipeline support.

CREATE OR REPLACE FUNCTION crm.seed_service(tenant_id bigint) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := seed_service.tenant_id;
    words CONSTANT jsonb := crm_internal.texts_of(t, 'seeds');
    pipeline bigint;
BEGIN
    INSERT INTO crm.priorities (tenant_id, code, name, rank)
    SELECT t, p.code, words -> 'priorities' ->> p.code, 10 * p.n
    FROM unnest('{low,normal,high,urgent}'::text[]) WITH ORDINALITY AS p (code, n)
    ON CONFLICT DO NOTHING;
    INSERT INTO crm.ticket_types (tenant_id, code, name)
    SELECT t, p.code, words -> 'ticket_types' ->> p.code FROM unnest('{question,incident,problem,request,complaint}'::text[]) AS p (code)
    ON CONFLICT DO NOTHING;
    IF EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = t AND p.subject_table = 'tickets') THEN
        RETURN;
    END IF;
    INSERT INTO crm.pipelines (tenant_id, code, name, subject_table, is_default)
    VALUES (t, 'support', words -> 'pipelines' ->> 'support', 'tickets', true)
    RETURNING id INTO pipeline;
    INSERT INTO crm.stages (tenant_id, pipeline_id, code, name, position, type, is_initial, forecast_category)
    SELECT t, pipeline, s.code, words -> 'stages' -> 'support' ->> s.code, s.position, s.type, s.position = 10, 'omitted'
    FROM (VALUES ('new', 10, 'open'), ('open', 20, 'open'), ('waiting', 30, 'on_hold'), ('on_hold', 40, 'on_hold'), ('resolved', 50, 'done'),
                 ('closed', 60, 'done'), ('merged', 70, 'cancelled'), ('cancelled', 80, 'cancelled')) AS s (code, position, type);
END
$$;
COMMENT ON FUNCTION crm.seed_service(bigint) IS
'Gives a tenant priorities, ticket types and the pipeline support of tickets, where they are missing.';
SELECT crm.declare_function('crm.seed_service', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.seed_service(bigint)');
