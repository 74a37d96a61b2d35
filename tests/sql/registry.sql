-- What tables, functions and hooks are is declared beside them: the registry is complete, and refuses what cannot be.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\t on
-- every table says what it is
SELECT c.oid::regclass AS undeclared FROM pg_class AS c
WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM crm.registry AS r WHERE r.relation = c.oid AND r.declared_at IS NOT NULL AND r.class IS NOT NULL);
-- and what its columns make possible
SELECT c.oid::regclass AS "table", o.option AS not_said
FROM pg_class AS c
CROSS JOIN (VALUES ('version', '{version,updated_at}'::text[]), ('custom', '{custom}'), ('tags', '{tags}'), ('process', '{id,stage_id,pipeline_id}'),
                   ('import', '{source_system,source_id}'), ('merge', '{merged_into_id}')) AS o (option, columns)
WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> 'stage_periods'
  AND (SELECT bool_and(crm.column_exists(c.oid, n)) FROM unnest(o.columns) AS n) AND NOT crm_internal.table_is(c.oid, o.option);
-- what goes when a record is deleted is its child, or about it
SELECT k.conrelid::regclass AS goes_with, k.confrelid::regclass AS record
FROM pg_constraint AS k
JOIN crm.registry AS r ON r.relation = k.confrelid AND r.class = 'owned'
WHERE k.contype = 'f' AND k.confdeltype = 'c'
  AND NOT EXISTS (SELECT FROM crm.table_links(k.conrelid) AS l
                  JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname = l.column_name);
-- a child has a parent; columns of a table that may name any table are links of it
SELECT r.subject AS without_parent FROM crm.registry AS r WHERE r.class = 'child' AND NOT r.options ? 'parent';
SELECT a.attrelid::regclass AS "table", a.attname AS column_that_links_nothing
FROM crm.registry AS r
JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attname IN ('subject_table', 'subject_type', 'related_table') AND NOT a.attisdropped
WHERE r.class IN ('owned', 'log', 'child', 'work') AND NOT EXISTS (SELECT FROM crm.table_links(r.relation) AS l WHERE l.target_column = a.attname);
-- what refers to rows that go is found by an index; from a lookup table nobody deletes
SELECT k.conrelid::regclass AS "table", k.conname AS without_index FROM pg_constraint AS k JOIN crm.registry AS r ON r.relation = k.confrelid
WHERE k.contype = 'f' AND k.connamespace = 'crm'::regnamespace AND r.class <> 'lookup'
  AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = k.conrelid AND k.conkey @> (i.indkey::smallint[])[0:cardinality(k.conkey) - 1]
                  AND k.conkey <@ (i.indkey::smallint[])[0:cardinality(k.conkey) - 1]);
-- a name is one function: an aggregate alone may also take weights
SELECT p.proname AS overloaded FROM pg_proc AS p WHERE p.pronamespace::regnamespace::text LIKE 'crm%' GROUP BY p.pronamespace, p.proname
HAVING count(*) > 1 AND (bool_or(p.prokind <> 'a') OR count(*) > 2);
-- what hangs into a point is asked for there, and what is asked for is there
SELECT DISTINCT h.point AS asked_for_nowhere FROM crm_internal.hooks AS h
WHERE NOT EXISTS (SELECT FROM pg_proc AS p WHERE p.prosrc ~ format('hooks_at\(''%s(''\)|\.'' \|\|)', split_part(h.point, '.', 1)));
SELECT DISTINCT m[1] AS nothing_hangs_here
FROM pg_proc AS p, regexp_matches(p.prosrc, 'hooks_at\(''(\w+)[''.]', 'g') AS m
WHERE NOT EXISTS (SELECT FROM crm_internal.hooks AS h WHERE split_part(h.point, '.', 1) = m[1]);
-- what is declared is on the tables: putting it there again changes nothing
BEGIN;
CREATE TEMP VIEW put AS
SELECT t.tgrelid::regclass::text, t.tgname::text, pg_get_triggerdef(t.oid) FROM pg_trigger AS t WHERE NOT t.tgisinternal
UNION ALL
SELECT p.tablename::text, p.policyname::text, concat_ws(' / ', p.cmd, p.qual, p.with_check) FROM pg_policies AS p;
CREATE TEMP TABLE put_before AS SELECT * FROM put;
SELECT count(crm_internal.apply_table(r.relation)) > 70 AS applied FROM crm.registry AS r;
SELECT * FROM put_before EXCEPT SELECT * FROM put;
SELECT * FROM put EXCEPT SELECT * FROM put_before;
ROLLBACK;
\t off

-- unknown options, wrong values, columns that are not there
BEGIN;
CREATE TABLE public.regress_visits (tenant_id bigint, id bigint, account_id bigint, note text);
SELECT crm.declare_table('public.regress_visits', '{"process": true}');
SELECT crm.declare_table('public.regress_visits', '{"clas": "owned", "stages": true}');
SELECT crm.declare_table('public.regress_visits', '{"class": "mine"}');
SELECT crm.declare_table('public.regress_visits', '{"segments": "yes", "owner": "sales_rep", "personal": ["note", "address"], "assignment": "quickly"}');
SELECT crm.declare_table('public.regress_visits', '{"parent": {"account_id": "accounts"}}');
SELECT crm.declare_table('public.regress_visits', '{"parent": {"account_id": "visitors"}}');
SELECT crm.declare_table('public.regress_visits', '{"parent": {"account_id": {"table": "accounts", "of": "x"}}}');
SELECT crm.declare_table('public.regress_visits', '{"about": {"visitor_id": "accounts"}}');
SELECT crm.declare_table('public.regress_visits', '["owned"]');
SELECT crm.declare_table('public.regress_nothing', '{}');
SELECT crm.declare_function('crm.capture_lead', 'everybody');
SELECT crm.declare_function('crm.capture_leads', 'agent');
SELECT crm.declare_hook('new_tenant', 'crm.seed_nothing(bigint)');
SELECT count(*) FROM crm.registry AS r WHERE r.subject LIKE 'public.%';
ROLLBACK;

-- links
SELECT l.subject, l.kind, l.column_name, l.target, l.target_column, l.merge
FROM crm.table_links() AS l WHERE l.subject IN ('activities', 'lead_captures', 'contact_points', 'sla_clocks') ORDER BY 1, 2 DESC, 3;
SELECT crm.subject_relation('leads'), crm.subject_relation('nothing') IS NULL AS unknown;
SELECT crm.require_registered('prices', 'segments');

-- that there is the company of a row is checked once: by a reference to crm.tenants, or by one that no row lacks to a table of which it holds
WITH RECURSIVE sure AS (
    SELECT 'crm.tenants'::regclass::oid AS relation, false AS through, 0 AS depth
    UNION
    SELECT k.conrelid, k.confrelid <> 'crm.tenants'::regclass, s.depth + 1
    FROM sure AS s JOIN pg_constraint AS k ON k.confrelid = s.relation AND k.contype = 'f' AND k.conrelid <> k.confrelid AND s.depth < 6
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND NOT a.attnotnull)
      AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname = 'tenant_id')
      AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey) AND a.attname = 'tenant_id'))
SELECT r.subject AS checked_twice FROM crm.registry AS r JOIN sure AS s ON s.relation = r.relation
GROUP BY r.subject HAVING count(DISTINCT s.through) = 2 ORDER BY 1;
