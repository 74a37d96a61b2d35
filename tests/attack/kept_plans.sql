-- A plan that was kept shows nobody more, or less, than they may see: prepared while a manager is served, used while an agent is, and the
-- other way round, in the session of an application. See src/access/sight.c.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1
SELECT u.db_role AS role, u.id AS agent FROM crm.users AS u WHERE u.db_role = 'attack_agent_1' \gset
SELECT u.id AS manager FROM crm.users AS u WHERE u.db_role = 'attack_manager_1' \gset
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'attack_app_1') THEN CREATE ROLE attack_app_1 LOGIN; END IF; END $$;
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
SELECT crm.grant_access('attack_app_1', 'application') \g /dev/null
RESET SESSION AUTHORIZATION;
CREATE TABLE attack.seen (who text, n integer, deals bigint, lines bigint, points bigint);
GRANT ALL ON attack.seen TO PUBLIC;
SELECT 'SELECT count(*) FROM crm.opportunities), (SELECT count(*) FROM crm.stage_periods), (SELECT count(*) FROM crm.contact_points' AS counts \gset
-- each by themselves
SET SESSION AUTHORIZATION attack_agent_1;
INSERT INTO attack.seen SELECT 'agent', 0, (:counts);
SET SESSION AUTHORIZATION attack_manager_1;
INSERT INTO attack.seen SELECT 'manager', 0, (:counts);
SET SESSION AUTHORIZATION attack_app_1;
SET plan_cache_mode = force_generic_plan;
PREPARE ask (text, integer) AS INSERT INTO attack.seen SELECT $1, $2, (:counts);
BEGIN; SELECT crm.act_as(:manager) \g /dev/null
EXECUTE ask ('manager', 1); COMMIT;
BEGIN; SELECT crm.act_as(:agent) \g /dev/null
EXECUTE ask ('agent', 1); COMMIT;
DEALLOCATE ask; PREPARE ask (text, integer) AS INSERT INTO attack.seen SELECT $1, $2, (:counts);
BEGIN; SELECT crm.act_as(:agent) \g /dev/null
EXECUTE ask ('agent', 2); COMMIT;
BEGIN; SELECT crm.act_as(:manager) \g /dev/null
EXECUTE ask ('manager', 2); COMMIT;
RESET SESSION AUTHORIZATION;
TABLE attack.seen ORDER BY who, n;
SELECT attack.expect(count(*) = 6 AND count(DISTINCT (who, deals, lines, points)) = 2, 'everybody sees theirs by a plan made for somebody else') FROM attack.seen;
SELECT attack.expect(max(deals) FILTER (WHERE who = 'manager') > max(deals) FILTER (WHERE who = 'agent') AND min(deals) > 0, 'the agent sees a part') FROM attack.seen;
