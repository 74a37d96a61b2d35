-- The CRM's own rollups. Their views stand in crm_internal: people read the views of crm_analytics, which give
-- each reader what they may see (sums only to those who see every row of the tenant).

CREATE OR REPLACE FUNCTION crm_internal.rebuild_local_days() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM old_tenants AS o JOIN new_tenants AS n USING (tenant_id) WHERE o.time_zone <> n.time_zone) THEN
        PERFORM crm.rebuild_rollup(r.name)
        FROM (SELECT DISTINCT p.name FROM crm.rollups AS p JOIN crm.rollup_items AS i ON i.rollup_id = p.id
              WHERE i.definition LIKE '%crm.local_day(%') AS r;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.rebuild_local_days() IS 'Trigger of crm.tenants: days begin elsewhere, so what is summed up by day is summed up anew.';
-- after tenants_after_changed, by the order of names: the settings that backends keep are old before that
CREATE OR REPLACE TRIGGER tenants_after_zone AFTER UPDATE ON crm.tenants
    REFERENCING OLD TABLE AS old_tenants NEW TABLE AS new_tenants
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.rebuild_local_days();

-- Days and months are keys of their own where a report asks for them alone: a coarser rollup costs its base only, as
-- all rollups of a table share its deltas.
DO $$
DECLARE
    r record;
    closed_on CONSTANT text := '"coalesce(close_date, crm.local_day(tenant_id, closed_at)) AS close_date"';
    open_sums CONSTANT text[] := '{count(*) AS opportunities,count(amount) AS amounts,sum(amount) AS amount,sum(amount * probability) AS weighted,sum(amount) FILTER (WHERE probability IS NULL) AS unrated}';
    closed_sums CONSTANT text[] := '{count(*) AS opportunities,count(amount) AS amounts,sum(amount) AS amount,"sum(greatest(extract(epoch FROM closed_at - created_at), 0)) AS cycle_seconds"}';
BEGIN
    FOR r IN
        SELECT * FROM (VALUES
            ('crm_opportunities_open', 'crm.opportunities', 'closed_at IS NULL',
             '{pipeline_id,stage_id,owner_id,team_id,territory_id,currency,"(date_trunc(''month'', expected_close_date::timestamp))::date AS expected_month"}'::text[], open_sums),
            ('crm_opportunities_stages', 'crm.opportunities', 'closed_at IS NULL', '{pipeline_id,stage_id,currency}', open_sums),
            ('crm_opportunities_expected', 'crm.opportunities', 'closed_at IS NULL', '{expected_close_date,pipeline_id,stage_id,currency}', open_sums),
            ('crm_opportunities_closed', 'crm.opportunities', 'closed_at IS NOT NULL', ('{' || closed_on || ',pipeline_id,stage_id,currency}')::text[], closed_sums),
            ('crm_opportunities_by_owner', 'crm.opportunities', 'closed_at IS NOT NULL',
             ('{' || closed_on || ',pipeline_id,stage_id,owner_id,team_id,currency}')::text[], closed_sums),
            ('crm_opportunities_lost', 'crm.opportunities', 'closed_at IS NOT NULL',
             ('{' || closed_on || ',pipeline_id,stage_id,loss_reason,competitor_id,currency}')::text[],
             '{count(*) AS opportunities,count(amount) AS amounts,sum(amount) AS amount}'),
            ('crm_opportunities_created', 'crm.opportunities', NULL,
             '{"crm.local_day(tenant_id, created_at) AS created_on",owner_id}', '{count(*) AS opportunities}'),
            ('crm_activities_by_day', 'crm.activities', NULL,
             '{"crm.local_day(tenant_id, created_at) AS created_on",owner_id,kind}',
             '{count(*) AS activities,count(done_at) AS done,count(*) FILTER (WHERE done_at > due_at) AS done_late}'),
            ('crm_activities_by_kind', 'crm.activities', NULL,
             '{"crm.local_day(tenant_id, created_at) AS created_on",kind}',
             '{count(*) AS activities,count(done_at) AS done,count(*) FILTER (WHERE done_at > due_at) AS done_late}'),
            ('crm_activities_due', 'crm.activities', 'done_at IS NULL',
             '{"((due_at AT TIME ZONE ''UTC''))::date AS due_on"}', '{count(*) AS activities}'),
            ('crm_orders_by_day', 'crm.orders', 'state <> ''cancelled''', '{ordered_on}',
             '{"count(*) FILTER (WHERE kind = ''sale'') AS orders",sum(base_amount) AS revenue}'),
            ('crm_accounts', 'crm.accounts', NULL,
             '{"(''customer'' = ANY (roles)) AS is_customer"}', '{count(*) AS accounts}')
        ) AS v(name, source, filter, keys, measures)
        WHERE NOT EXISTS (SELECT FROM crm.rollups AS p WHERE p.name = v.name)
    LOOP
        PERFORM crm.create_rollup(r.name, r.source::regclass, r.keys, r.measures, r.filter, 'crm_internal.' || r.name);
    END LOOP;
    -- one owner, or one month, of rollups whose key begins with the day
    FOR r IN
        SELECT x.name, format('CREATE INDEX %I ON crm_internal.%I (%I, %s)', x.name, p.base_table, t.columns[1], x.keys) AS command
        FROM crm.rollups AS p
        JOIN crm.rollup_items AS t ON t.rollup_id = p.id AND t.name = 'tenant_id'
        JOIN crm.rollup_items AS o ON o.rollup_id = p.id AND o.name = 'owner_id'
        JOIN crm.rollup_items AS d ON d.rollup_id = p.id AND d.name IN ('close_date', 'created_on')
        CROSS JOIN LATERAL (VALUES (p.base_table || '_owner_idx', format('%I, %I', o.columns[1], d.columns[1])),
                                   (p.base_table || '_month_idx', format('((date_trunc(''month'', %I::timestamp))::date)', d.columns[1]))) AS x(name, keys)
        WHERE p.name IN ('crm_opportunities_by_owner', 'crm_opportunities_created', 'crm_activities_by_day')
          AND to_regclass(format('crm_internal.%I', x.name)) IS NULL
    LOOP
        EXECUTE r.command;
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION crm_internal.rollup_rows(rollup text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('SELECT %s FROM crm_internal.rollup_source_%s_deltas WHERE crm.can_see(-1, NULL) UNION ALL SELECT %s FROM crm_internal.%I WHERE crm.can_see(-1, NULL)',
                  string_agg(format('%I%s AS %I', c.place, CASE WHEN c.counts THEN '::bigint' ELSE '' END, c.name), ', ' ORDER BY c.ordinal), p.source_id,
                  string_agg(format('%I AS %I', c.place, c.name), ', ' ORDER BY c.ordinal), p.base_table)
    FROM crm.rollups AS p
    CROSS JOIN LATERAL (SELECT i.ordinal, i.name, i.columns[1] AS place, i.definition LIKE 'count(%' AS counts
                        FROM crm.rollup_items AS i WHERE i.rollup_id = p.id) AS c
    WHERE p.name = $1
    GROUP BY p.id, p.source_id, p.base_table
$$;
COMMENT ON FUNCTION crm_internal.rollup_rows(text) IS
'Query of what is stored of a rollup, deltas and folded sums not yet added up, under the names of its keys and measures, and for those alone who see every '
'row of their tenant: for views that group anyway and would otherwise group twice. Its reader must drop groups whose count(*) adds up to nothing, and take a '
'sum of no value for NULL.';

