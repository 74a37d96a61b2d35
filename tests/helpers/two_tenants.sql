-- A database to attack: two companies with generated records, the second one Persian, and roles of every level in
-- each. Run as superuser; what is installed in the database is removed first, as its owner is to be an ordinary role.
-- Roles belong to the cluster, so they may be there already. In a test run the database is a copy in which this was done (run.sh):
-- then only what a copy lacks is left to do, the right on the database and the settings of the session.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;
-- each statement is run once: compiling it takes longer than running it
SET jit = off;
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY '{attack_owner,attack_reader_1,attack_agent_1,attack_colleague_1,attack_manager_1,attack_admin_1,
                         attack_reader_2,attack_agent_2,attack_manager_2,attack_admin_2,attack_nobody}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', r);
        END IF;
    END LOOP;
END
$$;
SELECT count(*) = 1 AS made FROM pg_class AS c WHERE c.oid = to_regclass('crm.tenants') AND c.relowner = 'attack_owner'::regrole \gset
\if :made
SELECT crm.prepare_owner('attack_owner') AS ready \gset
SELECT max(t.tenant_id) AS second FROM crm.tenants AS t \gset
\else
DROP EXTENSION IF EXISTS crm CASCADE;
DROP SCHEMA IF EXISTS crm, crm_internal, crm_analytics CASCADE;
CREATE EXTENSION crm;
SELECT crm.prepare_owner('attack_owner') AS ready \gset
SET SESSION AUTHORIZATION attack_owner;
SELECT crm.install() AS done \gset
SELECT t.tenant_id AS second FROM crm.create_tenant('Second', NULL, NULL, 'fa') AS t \gset
SET crm.tenant = '1';
SELECT sum(row_count) AS n FROM crm.generate_demo(1, 42) \gset
SELECT count(*) AS granted FROM (VALUES ('reader', 'reader', NULL::bigint), ('agent', 'agent', 2), ('colleague', 'agent', 3), ('manager', 'manager', 0), ('admin', 'admin', 1)) AS l (role, level, n),
    LATERAL crm.grant_access(('attack_' || l.role || '_1')::name, l.level, (SELECT u.id FROM crm.users AS u WHERE u.tenant_id = 1 AND l.n IS NOT NULL ORDER BY u.id OFFSET l.n LIMIT 1)) AS g \gset
SET crm.tenant = :'second';
SELECT sum(row_count) AS n FROM crm.generate_demo(1, 77) \gset
SELECT count(*) AS granted FROM (VALUES ('reader', NULL::bigint), ('agent', 2), ('manager', 0), ('admin', 1)) AS l (level, n),
    LATERAL crm.grant_access(('attack_' || l.level || '_2')::name, l.level, (SELECT u.id FROM crm.users AS u WHERE u.tenant_id = :second AND l.n IS NOT NULL ORDER BY u.id OFFSET l.n LIMIT 1)) AS g \gset
-- what the generator leaves out
INSERT INTO crm.escalation_steps (tenant_id, policy_id, metric, "position", name, percent, recipients)
SELECT p.tenant_id, p.id, 'resolution', 1, 'half', 50, '{owner}' FROM crm.sla_policies AS p;
RESET crm.tenant;
RESET SESSION AUTHORIZATION;
ANALYZE;
\endif
