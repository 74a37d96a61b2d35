-- long: 30 s
-- Whoever guesses the key of an advisory lock of SQL stops nobody: what the CRM locks is of a class that SQL cannot take.
-- Everything that waits for a lock is done while one session holds what can be held, and looked for in the locks that are taken.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1
SET client_min_messages = warning;
CREATE FUNCTION attack.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE statement; RETURN 'done'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT attack.expect(count(*) = 0, 'no function takes a lock that anybody can take: ' || coalesce(string_agg(p.oid::regprocedure::text, ' '), '-'))
FROM pg_proc AS p WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace, 'crm_analytics'::regnamespace) AND p.prosrc ~ 'pg_(try_)?advisory';
SELECT attack.expect(count(*) = 0, 'no role takes ours: ' || coalesce(string_agg(r || ' ' || f, ' '), '-'))
FROM unnest('{attack_nobody,attack_reader_1,attack_agent_1,attack_manager_1,attack_admin_1}'::text[]) AS r,
     unnest(ARRAY['crm.lock(text,bigint,text,boolean)', 'crm.try_lock(text,bigint,text,boolean)']) AS f WHERE has_function_privilege(r, f, 'EXECUTE');
SELECT attack.expect(attack.refused('DO $d$ BEGIN SET LOCAL ROLE attack_agent_1; PERFORM crm.lock_own(''value_models'', 2); END $d$') = '42501', 'nor of another company');

SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
BEGIN;
SELECT count(*) FROM crm.run_maintenance() \gset
INSERT INTO crm.queues (code, name) VALUES ('lock1', 'A') RETURNING id AS q \gset
INSERT INTO crm.queues (code, name, escalates_to_id) VALUES ('lock2', 'B', :q);
SELECT (crm.receive_message('mail', 'locks', from_address => 'l@locks.example', external_id => '<1@locks>', thread_id => 't')).id > 0 AS received \gset
SELECT (crm.capture_lead('{"name": "Lock", "email": "lock@locks.example"}')).id > 0 AS captured \gset
SELECT crm.upsert_record('accounts', 'erp', 'lock-1', '{"name": "Lock"}') IS NOT NULL AS written \gset
SELECT count(*) FROM crm.fold_rollups() \gset
SELECT array_agg(DISTINCT l.mode || ' ' || l.objsubid) AS taken, count(*) AS n, count(*) FILTER (WHERE l.objsubid IN (1, 2)) AS sql
FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid() \gset
COMMIT;
RESET SESSION AUTHORIZATION;
SELECT attack.expect(:n >= 6 AND :sql = 0, :n || ' locks are taken, ' || :sql || ' of SQL: ' || :'taken');
