-- A row costs what it costs, however many went in before it in the same transaction, and though every plan was made while tables were
-- empty. Rows that are read are counted, not seconds: of a generated company, and of one that is four times as large.
-- See src/base/small_tables.c.
-- long: 10 s
\set ON_ERROR_STOP 1
\set counted 'SELECT json_object_agg(s.relname, json_build_array(s.n_tup_ins, s.seq_tup_read + coalesce(s.idx_tup_fetch, 0))) FROM pg_stat_xact_user_tables AS s WHERE s.schemaname IN (''crm'', ''crm_internal'')'
BEGIN;
SELECT count(*) FROM crm.generate_demo(1, 7, '2026-06-30');
SELECT (:counted) AS small \gset
ROLLBACK;
\c
BEGIN;
SELECT count(*) FROM crm.generate_demo(4, 7, '2026-06-30');
SELECT (:counted) AS large \gset
ROLLBACK;
CREATE TEMP TABLE work AS
SELECT a.key AS relation, (a.value ->> 0)::bigint AS small_entered, (b.value ->> 0)::bigint AS large_entered,
       (a.value ->> 1)::bigint AS small_read, (b.value ->> 1)::bigint AS large_read
FROM json_each(:'small') AS a JOIN json_each(:'large') AS b USING (key);
SELECT sum(large_entered) / sum(small_entered) BETWEEN 3 AND 5 AS "four times the rows",
       sum(large_read) / sum(small_read) BETWEEN 3 AND 5 AS "four times the reading" FROM work;
-- each table by itself; which plan a join takes while few rows are there is chance, what grows with the square is millions
SELECT relation, small_read, large_read FROM work WHERE large_read > 100000 AND large_read > 6 * small_read;
-- what is read for one row that is entered: the life cycle of each person is judged at each instant at which something happened, by all that is known of them
SELECT sum(large_read) < 25 * sum(large_entered) AS "few rows are read for one" FROM work;

-- a table that nobody has counted: by the key, not by another index that begins with the tenant, whatever its size is said to be
CREATE FUNCTION pg_temp.index_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan USING 5::bigint;
    RETURN coalesce(plan #>> '{0,Plan,Index Name}', plan #>> '{0,Plan,Plans,0,Index Name}', plan #>> '{0,Plan,Node Type}');
END
$$;
SELECT pg_temp.index_of('SELECT FROM crm.orders AS o WHERE o.tenant_id = 1 AND o.id = $1') AS by_key,
       pg_temp.index_of('SELECT FROM crm.consents AS c WHERE c.tenant_id = 1 AND c.purpose = ''marketing'' AND c.subject_table = ''leads'' AND c.subject_id = $1') AS by_subject;
-- each empty table of the CRM whose key is made of ids: an index of all columns of the key
SELECT c.oid::regclass AS relation, p.used
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
CROSS JOIN LATERAL (SELECT string_agg(format('t.%I = $1', a.attname), ' AND ') AS given, bool_and(a.atttypid = 'int8'::regtype) AS ids
                    FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])) AS k
CROSS JOIN LATERAL (SELECT pg_temp.index_of(format('SELECT FROM %s AS t WHERE %s', c.oid::regclass, k.given)) AS used) AS p
WHERE i.indisprimary AND k.ids AND c.relkind = 'r' AND c.reltuples <= 0 AND c.relnamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace)
  AND NOT EXISTS (SELECT FROM pg_index AS u JOIN pg_class AS x ON x.oid = u.indexrelid
                  WHERE u.indrelid = c.oid AND x.relname = p.used AND u.indkey::int2[] @> i.indkey::int2[])
ORDER BY 1;
SELECT count(*) > 50 AS "many were asked" FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
WHERE i.indisprimary AND c.relkind = 'r' AND c.reltuples <= 0 AND c.relnamespace = 'crm'::regnamespace;
-- the planner is told what there is of a statement without parameters, of a report, and where that is asked for
CREATE FUNCTION pg_temp.guess_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan USING 1::bigint;
    RETURN CASE WHEN (plan #>> '{0,Plan,Plan Rows}')::numeric > 900 THEN 'a thousand' ELSE 'what there is' END;
END
$$;
SELECT pg_temp.guess_of('SELECT FROM crm.stages AS s WHERE s.tenant_id = $1') AS kept,
       pg_temp.guess_of('SELECT FROM crm.stages AS s WHERE s.tenant_id = $1 AND 0 <> ALL (ARRAY(' ||
           (SELECT string_agg('SELECT 1 FROM crm.tenants', ' UNION ALL ') FROM generate_series(1, 8)) || '))') AS report;
SET crm.assumed_rows = 0;
SELECT pg_temp.guess_of('SELECT FROM crm.stages AS s WHERE s.tenant_id = $1') AS as_it_is;
\set ON_ERROR_STOP 0
SET crm.assumed_rows = -1;
