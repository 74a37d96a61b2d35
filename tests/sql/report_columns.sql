-- Rules of the columns of every reporting view, asked of the catalogue, so that a view added later keeps them without being named here.
-- long: 20 s
\set ON_ERROR_ROLLBACK on
BEGIN;
CREATE TEMP VIEW columns AS
SELECT v.oid AS relation, v.relname::text AS view, a.attnum, a.attname::text AS name, a.atttypid
FROM pg_class AS v JOIN pg_attribute AS a ON a.attrelid = v.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE v.relnamespace = 'crm_analytics'::regnamespace AND v.relkind = 'v';

\echo == every row says whose company it is, and no view tells what row security would not
SELECT v.relname FROM pg_class AS v WHERE v.relnamespace = 'crm_analytics'::regnamespace AND v.relkind = 'v'
  AND (NOT EXISTS (SELECT FROM columns AS c WHERE c.relation = v.oid AND c.attnum = 1 AND c.name = 'tenant_id') OR v.reloptions IS NULL OR NOT 'security_invoker=true' = ANY (v.reloptions)) ORDER BY 1;

\echo == every view and column says what it is
SELECT c.view, c.name FROM columns AS c WHERE col_description(c.relation, c.attnum) IS NULL ORDER BY 1, 2;
SELECT v.relname FROM pg_class AS v WHERE v.relnamespace = 'crm_analytics'::regnamespace AND v.relkind = 'v' AND obj_description(v.oid, 'pg_class') IS NULL ORDER BY 1;

\echo == every id has its name beside it
-- an id x_id is named by x, x_name or x_number; what the row itself is, by its name, subject or number. A record of any table has a column that says which table.
SELECT c.view, c.name
FROM columns AS c CROSS JOIN LATERAL (SELECT left(c.name, -3) AS stem) AS s
WHERE c.name LIKE '%\_id' AND c.name <> 'tenant_id'
  AND NOT EXISTS (SELECT FROM columns AS n WHERE n.relation = c.relation AND n.name IN (s.stem, s.stem || '_name', s.stem || '_number', s.stem || '_table'))
  AND NOT (c.attnum = 2 AND EXISTS (SELECT FROM columns AS n WHERE n.relation = c.relation AND n.name IN ('name', 'subject', 'number')))
  -- what has no name of its own is told by the other columns
  AND NOT (c.attnum = 2 AND c.name IN ('quota_id', 'declaration_id', 'order_line_id', 'line_id', 'response_id', 'touch_id'))
ORDER BY 1, 2;

\echo == one name for one thing
SELECT c.view, c.name, f.say
FROM columns AS c
JOIN (VALUES ('^(closed|created|expected|won|sent|order|ordered)_month$', 'month'), ('^month_key$', 'month'), ('^source$', 'lead_source'), ('^(queue|pipeline|stage|team|owner|product)_name$', 'the name without _name'),
             ('^subject_type$', 'subject_table'), ('^(account|customer)$', 'account_name'), ('^(order_amount|ordered_amount|ordered|sales_amount|own_spend|turnover)$', 'revenue'),
             ('^(category)$', 'forecast_category'), ('^(percent|per_cent|pct)|_(percent|pct)$', 'a share of one'),
             ('(^|_)(duration|elapsed|seconds|secs|mins|ms|weeks)$', 'minutes, hours or days, at the end of the name')) AS f (pattern, say) ON c.name ~ f.pattern
ORDER BY 1, 2;
-- what says yes or no has a name that says so: a number of the same name stands in another view
SELECT c.view, c.name FROM columns AS c
WHERE c.atttypid = 'boolean'::regtype AND EXISTS (SELECT FROM columns AS n WHERE n.name = c.name AND n.atttypid <> 'boolean'::regtype) ORDER BY 1, 2;
-- lengths of time are numbers with their unit in the name
SELECT c.view, c.name FROM columns AS c WHERE c.atttypid = 'interval'::regtype ORDER BY 1, 2;
-- one kind of column under one name: numbers, text, days, instants; value is that of the attribute or metric which stands beside it
SELECT c.name, string_agg(DISTINCT t.typcategory::text, '' ORDER BY t.typcategory::text) AS kinds
FROM columns AS c JOIN pg_type AS t ON t.oid = c.atttypid
WHERE c.name <> 'value' GROUP BY c.name HAVING count(DISTINCT CASE WHEN t.oid IN ('date'::regtype, 'timestamptz'::regtype) THEN t.typname ELSE t.typcategory::name END) > 1 ORDER BY 1;

\echo == shares lie between 0 and 1
SELECT count(*) > 0 AS made FROM crm.generate_demo(1, 42, '2026-06-30');
CREATE FUNCTION pg_temp.outside() RETURNS TABLE (view text, name text, smallest numeric, largest numeric) LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT * FROM columns AS k
             WHERE k.name ~ '(^|_)(rate|share|conversion|retention|probability|p_alive|compliance|confidence|significance|p_value)(_|$)' AND k.name !~ '(^|_)(days|minutes|hours|rate_missing|rates)(_|$)' AND k.name NOT IN ('rate', 'rate_from_base')
               AND k.atttypid IN ('numeric'::regtype, 'double precision'::regtype) LOOP
        RETURN QUERY EXECUTE format('SELECT %L, %L, min(%I)::numeric, max(%I)::numeric FROM crm_analytics.%I HAVING min(%I) < 0 OR max(%I) > 1', c.view, c.name, c.name, c.name, c.view, c.name, c.name);
    END LOOP;
END $$;
SELECT * FROM pg_temp.outside();
-- there is something to be wrong about
SELECT count(*) > 20 AS looked_at FROM columns AS k WHERE k.name ~ '(^|_)(rate|share|conversion|retention|probability|p_alive)(_|$)';
SELECT min(win_rate) BETWEEN 0 AND 1 AS win_rate, (SELECT max(probability) FROM crm_analytics.dim_stage) AS certain, (SELECT max(retention) BETWEEN 0.01 AND 1 FROM crm_analytics.cohort_retention) AS retention FROM crm_analytics.win_rate;
ROLLBACK;

\echo == a role of a BI tool reads every view, and can name nothing in the storage behind them
BEGIN;
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
\i :helper
CREATE FUNCTION pg_temp.refused() RETURNS TABLE (view text, why text) LANGUAGE plpgsql AS $$
DECLARE
    v text;
BEGIN
    FOR v IN SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind = 'v' ORDER BY 1 LOOP
        BEGIN
            EXECUTE format('SELECT * FROM crm_analytics.%I LIMIT 1', v);
        EXCEPTION WHEN insufficient_privilege THEN
            view := v; why := SQLERRM; RETURN NEXT;
        END;
    END LOOP;
END $$;
SELECT l AS level, has_schema_privilege(('regress_crm_' || l)::name, 'crm_internal', 'USAGE') AS names_storage, has_schema_privilege(('regress_crm_' || l)::name, 'crm_analytics', 'USAGE') AS names_reports
FROM unnest('{reader,agent,manager,admin}'::text[]) AS l;
SET LOCAL ROLE regress_crm_reader;
SELECT * FROM pg_temp.refused();
RESET ROLE;
SET LOCAL ROLE regress_crm_agent;
SELECT * FROM pg_temp.refused();
RESET ROLE;
ROLLBACK;
