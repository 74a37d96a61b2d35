-- The CRM's own rollups. Their views stand in crm_internal: people read the views of crm_analytics, which give
-- each reader what they may see (sums only to those who see every row of the tenant).

CREATE OR REPLACE FUNCTION crm_internal.local_day(tenant_id bigint, at timestamptz) RETURNS date
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (at AT TIME ZONE (SELECT t.time_zone FROM crm.tenants AS t WHERE t.tenant_id = local_day.tenant_id))::date;
END
$$;
COMMENT ON FUNCTION crm_internal.local_day(bigint, timestamptz) IS
'Day of an instant in the zone of a tenant. Immutable as far as rollups are concerned: a change of the zone rebuilds them (tenants_after_zone).';

CREATE OR REPLACE FUNCTION crm_internal.rebuild_local_days() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM crm.rebuild_rollup(r.name)
    FROM (SELECT DISTINCT p.name FROM crm.rollups AS p JOIN crm.rollup_items AS i ON i.rollup_id = p.id
          WHERE i.definition LIKE '%crm_internal.local_day(%') AS r;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.rebuild_local_days() IS 'Trigger of crm.tenants: days begin elsewhere, so what is summed up by day is summed up anew.';
CREATE OR REPLACE TRIGGER tenants_after_zone AFTER UPDATE ON crm.tenants
    FOR EACH ROW WHEN (old.time_zone IS DISTINCT FROM new.time_zone) EXECUTE FUNCTION crm_internal.rebuild_local_days();

DO $$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT * FROM (VALUES
            ('crm_opportunities_open', 'crm.opportunities', 'closed_at IS NULL',
             '{pipeline_id,stage_id,owner_id,team_id,territory_id,currency,"(date_trunc(''month'', expected_close_date::timestamp))::date AS expected_month"}'::text[],
             '{count(*) AS opportunities,count(amount) AS amounts,sum(amount) AS amount,sum(amount * probability) AS weighted,sum(amount) FILTER (WHERE probability IS NULL) AS unrated}'::text[]),
            ('crm_opportunities_expected', 'crm.opportunities', 'closed_at IS NULL',
             '{expected_close_date,pipeline_id,stage_id,currency}',
             '{count(*) AS opportunities,count(amount) AS amounts,sum(amount) AS amount,sum(amount * probability) AS weighted,sum(amount) FILTER (WHERE probability IS NULL) AS unrated}'),
            ('crm_opportunities_closed', 'crm.opportunities', 'closed_at IS NOT NULL',
             '{close_date,pipeline_id,stage_id,currency}',
             '{count(*) AS opportunities,count(amount) AS amounts,sum(amount) AS amount,"sum(greatest(extract(epoch FROM closed_at - created_at), 0)) AS cycle_seconds"}'),
            ('crm_opportunities_by_owner', 'crm.opportunities', 'closed_at IS NOT NULL',
             '{close_date,pipeline_id,stage_id,owner_id,team_id,currency}',
             '{count(*) AS opportunities,count(amount) AS amounts,sum(amount) AS amount,"sum(greatest(extract(epoch FROM closed_at - created_at), 0)) AS cycle_seconds"}'),
            ('crm_opportunities_lost', 'crm.opportunities', 'closed_at IS NOT NULL',
             '{close_date,pipeline_id,stage_id,loss_reason,competitor_id,currency}',
             '{count(*) AS opportunities,count(amount) AS amounts,sum(amount) AS amount}'),
            ('crm_opportunities_created', 'crm.opportunities', NULL,
             '{"crm_internal.local_day(tenant_id, created_at) AS created_on",owner_id}', '{count(*) AS opportunities}'),
            ('crm_activities_by_day', 'crm.activities', NULL,
             '{"crm_internal.local_day(tenant_id, created_at) AS created_on",owner_id,kind}',
             '{count(*) AS activities,count(done_at) AS done,count(*) FILTER (WHERE done_at > due_at) AS done_late}'),
            ('crm_activities_due', 'crm.activities', 'done_at IS NULL',
             '{"((due_at AT TIME ZONE ''UTC''))::date AS due_on"}', '{count(*) AS activities}'),
            ('crm_accounts', 'crm.accounts', NULL,
             '{"(''customer'' = ANY (roles)) AS is_customer"}', '{count(*) AS accounts}')
        ) AS v(name, source, filter, keys, measures)
        WHERE NOT EXISTS (SELECT FROM crm.rollups AS p WHERE p.name = v.name)
    LOOP
        PERFORM crm.create_rollup(r.name, r.source::regclass, r.keys, r.measures, r.filter, 'crm_internal.' || r.name);
    END LOOP;
END
$$;
