\set ECHO none
-- Roles of every level in the company in use, and a second company with a role that has nothing to do with the first. Within
-- a transaction that is rolled back. Included by tests/sql with
--
--   \getenv srcdir PG_ABS_SRCDIR
--   \set helper :srcdir '/helpers/levels.sql'
--   \i :helper
--
-- regress_crm_reader, regress_crm_agent, regress_crm_manager, regress_crm_admin, regress_crm_other; variables first, second.
SET client_min_messages = warning;
CREATE ROLE regress_crm_reader; CREATE ROLE regress_crm_agent; CREATE ROLE regress_crm_manager; CREATE ROLE regress_crm_admin; CREATE ROLE regress_crm_other;
RESET client_min_messages;
SELECT t.tenant_id AS first FROM crm.tenants AS t ORDER BY 1 LIMIT 1 \gset
SELECT t.tenant_id AS second FROM crm.create_tenant('Second', 'EUR') AS t \gset
SET LOCAL crm.tenant = :'first';
SELECT count(*) AS levels FROM unnest('{reader,agent,manager,admin}'::text[]) AS l, LATERAL crm.grant_access(('regress_crm_' || l)::name, l) \gset
SET LOCAL crm.tenant = :'second';
SELECT g.access AS levels FROM crm.grant_access('regress_crm_other', 'admin') AS g \gset
SET LOCAL crm.tenant = :'first';
\set ECHO all
