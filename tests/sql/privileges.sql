-- What the catalogs must say about rights, whatever is added to the CRM.
\t on
-- PUBLIC may execute immutable functions over their arguments and nothing else
SELECT p.oid::regprocedure AS executable_by_public
FROM pg_proc AS p
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace, 'crm_internal'::regnamespace)
  AND has_function_privilege('public', p.oid, 'EXECUTE')
  AND NOT (p.provolatile = 'i' AND EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'crm'
                                           WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'));
-- and read no table, view or sequence, and use no schema
SELECT c.oid::regclass AS readable_by_public
FROM pg_class AS c
WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace, 'crm_internal'::regnamespace)
  AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
  AND CASE WHEN c.relkind = 'S' THEN has_sequence_privilege('public', c.oid, 'USAGE, SELECT, UPDATE')
           ELSE has_table_privilege('public', c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') END;
SELECT n.nspname AS usable_by_public FROM pg_namespace AS n
WHERE n.nspname IN ('crm', 'crm_analytics', 'crm_internal') AND has_schema_privilege('public', n.oid, 'USAGE, CREATE');

-- every table with a tenant is under row security, with at most one policy for each command, permissive and without subquery
SELECT c.oid::regclass AS without_row_security
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity;
SELECT p.tablename, p.cmd, count(*) AS policies FROM pg_policies AS p WHERE p.schemaname = 'crm'
GROUP BY p.tablename, p.cmd HAVING count(*) > 1 OR p.cmd = 'ALL';
SELECT p.tablename, p.policyname AS restrictive_or_with_subquery FROM pg_policies AS p
WHERE p.schemaname = 'crm' AND (p.permissive <> 'PERMISSIVE' OR concat(p.qual, p.with_check) ~* '\mselect\M');
SELECT p.tablename, p.policyname AS not_by_tenant_first FROM pg_policies AS p
WHERE p.schemaname = 'crm' AND coalesce(p.qual, p.with_check) !~ '^\(*(tenant_id = crm\.tenant_id\(\)|crm\.in_sight\(tenant_id, )';

-- views show what their reader may see; functions do not look where their caller says
SELECT c.oid::regclass AS view_with_rights_of_its_owner FROM pg_class AS c
WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND c.relkind = 'v'
  AND NOT coalesce('security_invoker=true' = ANY (c.reloptions), false);
SELECT p.oid::regprocedure AS without_search_path FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace, 'crm_internal'::regnamespace)
  AND l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL
  AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS s WHERE s = 'search_path=pg_catalog, pg_temp');
-- what others may call runs with their rights, and crm_internal is closed to them; so do triggers that say nothing else
SELECT r.function AS stopped_at_crm_internal FROM crm_internal.function_rules() AS r JOIN pg_proc AS p ON p.oid = r.function
JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql')
WHERE r.class <> 'owner' AND NOT p.prosecdef AND p.prosrc LIKE '%crm\_internal.%';
SELECT p.oid::regprocedure AS trigger_stopped_at_crm_internal FROM pg_proc AS p
WHERE p.pronamespace::regnamespace::text LIKE 'crm%' AND p.prorettype = 'trigger'::regtype AND NOT p.prosecdef AND p.prosrc LIKE '%crm\_internal.%'
  AND EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgfoid = p.oid AND NOT t.tgisinternal);
-- a function that acts with the rights of the owner says beside it for whom it does
SELECT p.oid::regprocedure AS security_definer_without_level FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname IN ('crm', 'crm_analytics') AND p.prosecdef AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
  AND NOT EXISTS (SELECT FROM crm_internal.function_levels AS l WHERE l.function_name = n.nspname || '.' || p.proname);
SELECT l.function_name AS level_of_no_function FROM crm_internal.function_levels AS l
WHERE NOT EXISTS (SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE l.function_name = n.nspname || '.' || p.proname);
SELECT p.proname AS security_definer, r.class FROM pg_proc AS p JOIN crm_internal.function_rules() AS r ON r.function = p.oid
WHERE p.prosecdef AND r.class <> 'owner' ORDER BY p.proname COLLATE "C";
-- nothing of what holds data belongs to the extension
SELECT c.oid::regclass AS member FROM pg_class AS c
JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'crm'
WHERE c.relkind <> 'c';
-- everything public is described
SELECT c.oid::regclass AS table_without_comment FROM pg_class AS c
WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
  AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT p.oid::regprocedure AS function_without_comment FROM pg_proc AS p
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND obj_description(p.oid, 'pg_proc') IS NULL;
-- no function is called as one row of a table is: generators of clients make a name of either
SELECT p.oid::regproc AS named_as_a_row_of, c.oid::regclass AS "table" FROM pg_proc AS p JOIN pg_class AS c ON c.relnamespace = p.pronamespace AND c.relkind IN ('r', 'p', 'v')
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND c.relname IN (p.proname, p.proname || 's', p.proname || 'es', regexp_replace(p.proname, 'y$', 'ies'));
-- no two functions of one name, but an aggregate without and with a weight as its last argument; none with OUT parameters
SELECT p.proname AS overloaded FROM pg_proc AS p WHERE p.pronamespace = 'crm'::regnamespace GROUP BY p.proname
HAVING count(*) > 1 AND (count(*) > 2 OR NOT bool_and(p.prokind = 'a')
  OR (array_agg(p.proargnames::text ORDER BY p.pronargs))[2] <> rtrim((array_agg(p.proargnames::text ORDER BY p.pronargs))[1], '}') || ',weight}');

-- classes of tables and functions, as rights are given
\t off
SELECT r.class, string_agg(r.name, ' ' ORDER BY r.name COLLATE "C") AS tables FROM crm_internal.table_rules() AS r
WHERE r.name IN ('accounts', 'contacts', 'contact_points', 'opportunities', 'activities', 'stages', 'pipelines', 'users', 'teams', 'tenants', 'access_grants', 'currencies',
                 'products', 'prices', 'stage_periods', 'custom_fields', 'installation')
GROUP BY r.class ORDER BY r.class;
-- rights of the levels differ in this way
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE ROLE regress_reader; CREATE ROLE regress_agent; CREATE ROLE regress_manager; CREATE ROLE regress_admin;
SELECT count(g) FROM unnest('{reader,agent,manager,admin}'::text[]) AS l, LATERAL crm.grant_access(('regress_' || l)::name, l) AS g;
SELECT t.name, l.level, concat(CASE WHEN has_table_privilege('regress_' || l.level, 'crm.' || t.name, 'SELECT') THEN 'r' END,
    CASE WHEN has_table_privilege('regress_' || l.level, 'crm.' || t.name, 'INSERT') THEN 'a' END,
    CASE WHEN has_table_privilege('regress_' || l.level, 'crm.' || t.name, 'UPDATE') THEN 'w' END,
    CASE WHEN has_table_privilege('regress_' || l.level, 'crm.' || t.name, 'DELETE') THEN 'd' END,
    CASE WHEN has_table_privilege('regress_' || l.level, 'crm.' || t.name, 'TRUNCATE, REFERENCES, TRIGGER') THEN '!' END) AS rights
FROM unnest('{accounts,products,stages,stage_periods,currencies,access_grants}'::text[]) WITH ORDINALITY AS t (name, n),
     unnest('{reader,agent,manager,admin}'::text[]) WITH ORDINALITY AS l (level, m)
ORDER BY t.n, l.m;
SELECT f.name, string_agg(l.level, ' ' ORDER BY l.m) AS levels
FROM unnest('{"crm.find_contacts(text,integer)","crm.tenant_id()","crm.change_tags(text,bigint,text[],text[])","crm.install()","crm.grant_access(name,text,bigint,text)","crm.create_tenant(text,text,text,text)"}'::text[]) WITH ORDINALITY AS f (name, n)
LEFT JOIN unnest('{reader,agent,manager,admin}'::text[]) WITH ORDINALITY AS l (level, m) ON has_function_privilege('regress_' || l.level, f.name, 'EXECUTE')
GROUP BY f.name, f.n ORDER BY f.n;
-- a level taken back leaves nothing behind
SELECT count(*) FILTER (WHERE crm.revoke_access(('regress_' || l)::name)) AS revoked FROM unnest('{reader,agent,manager,admin}'::text[]) AS l;
SELECT count(*) AS left_over FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid
WHERE r.rolname IN ('regress_reader', 'regress_agent', 'regress_manager', 'regress_admin');
ROLLBACK;
