-- Who sees and changes what: identities, row security and rights.
\set ON_ERROR_ROLLBACK on
BEGIN;
SET client_min_messages = warning;
CREATE ROLE regress_admin; CREATE ROLE regress_manager; CREATE ROLE regress_director; CREATE ROLE regress_lead;
CREATE ROLE regress_alice; CREATE ROLE regress_bob; CREATE ROLE regress_carol; CREATE ROLE regress_reader;
CREATE ROLE regress_bi; CREATE ROLE regress_web; CREATE ROLE regress_other; CREATE ROLE regress_nobody;
CREATE ROLE regress_agents; CREATE ROLE regress_owner NOSUPERUSER;
RESET client_min_messages;

-- one tenant: the owner works for it, and there is no user
SELECT crm.tenant_id() AS tenant, crm.user_id() AS "user", crm.user_access() AS access;
SELECT t.tenant_id > 1 AS second FROM crm.create_tenant('Sherkat', language => 'fa') AS t;
SELECT t.country, t.base_currency, t.time_zone, t.week_start, t.weekend, t.fiscal_year_start FROM crm.tenants AS t WHERE t.name = 'Sherkat';
-- two: the owner says which
SELECT crm.tenant_id() AS none;
SELECT t.tenant_id AS second FROM crm.tenants AS t WHERE t.name = 'Sherkat' \gset
SET LOCAL crm.tenant = 'x';
SET LOCAL crm.tenant = '-1';
SET LOCAL crm.tenant = '1';
SELECT crm.tenant_id(), crm.user_access();

INSERT INTO crm.users (id, name, access, manager_id) VALUES
    (901, 'Admin', 'admin', NULL), (902, 'Manager', 'manager', NULL), (903, 'Director', 'agent', NULL), (904, 'Lead', 'agent', NULL),
    (905, 'Alice', 'agent', NULL), (906, 'Bob', 'agent', NULL), (907, 'Carol', 'agent', NULL), (908, 'Reader', 'reader', NULL);
INSERT INTO crm.users (tenant_id, id, name, access) VALUES (:second, 909, 'Other', 'manager');
-- Sales is led by the director, Inside below it by the lead, Outside is apart
INSERT INTO crm.teams (id, name, parent_id, lead_id) VALUES (801, 'Sales', NULL, 903), (802, 'Inside', 801, 904), (803, 'Outside', NULL, NULL);
INSERT INTO crm.team_memberships (team_id, user_id) VALUES (802, 905), (802, 906), (803, 907);
INSERT INTO crm.accounts (id, name, owner_id, team_id, shared_user_ids, shared_team_ids) VALUES
    (701, 'of alice', 905, NULL, '{}', '{}'), (702, 'of bob', 906, NULL, '{}', '{}'), (703, 'of carol', 907, NULL, '{}', '{}'),
    (704, 'of lead', 904, NULL, '{}', '{}'), (705, 'of manager', 902, NULL, '{}', '{}'), (706, 'nobody''s', NULL, NULL, '{}', '{}'),
    (707, 'carol''s, shared with alice', 907, NULL, '{905}', '{}'), (708, 'carol''s, shared with Inside', 907, NULL, '{}', '{802}'),
    (709, 'Inside''s, untaken', NULL, 802, '{}', '{}'), (710, 'carol''s in team Inside', 907, 802, '{}', '{}');
INSERT INTO crm.accounts (tenant_id, id, name, owner_id) VALUES (:second, 711, 'of the other tenant', NULL), (:second, 712, 'of other', 909);

SELECT g.db_role, g.access FROM (VALUES ('regress_admin', 'admin', 901), ('regress_manager', 'manager', 902), ('regress_director', 'agent', 903),
    ('regress_lead', 'agent', 904), ('regress_alice', 'agent', 905), ('regress_bob', 'agent', 906), ('regress_carol', 'agent', 907),
    ('regress_reader', 'reader', 908), ('regress_bi', 'reader', NULL), ('regress_web', 'agent', NULL)) AS v (r, l, u),
    LATERAL crm.grant_access(v.r::name, v.l, v.u) AS g ORDER BY v.u, g.db_role;
SET LOCAL crm.tenant = :second;
SELECT g.access FROM crm.grant_access('regress_other', 'manager', 909) AS g;

-- one line a role, in one session
CREATE FUNCTION pg_temp.as_role(role_name text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role_name);
    BEGIN
        EXECUTE query INTO answer;
    EXCEPTION WHEN OTHERS THEN
        answer := SQLSTATE || ': ' || SQLERRM;
    END;
    RESET ROLE;
    RETURN answer;
END
$$;
CREATE TEMP VIEW people AS SELECT * FROM unnest('{regress_admin,regress_manager,regress_director,regress_lead,regress_alice,regress_bob,regress_carol,regress_reader,regress_bi,regress_web,regress_other,regress_nobody}'::text[]) WITH ORDINALITY AS p (who, n);

SELECT who, pg_temp.as_role(who, 'SELECT concat_ws('' '', crm.tenant_id() = 1, crm.user_id(), crm.user_access())') AS identity FROM people ORDER BY n;
SELECT who, pg_temp.as_role(who, 'SELECT string_agg(a.id::text, '' '' ORDER BY a.id) FROM crm.accounts AS a WHERE a.id BETWEEN 700 AND 799') AS sees FROM people ORDER BY n;
SELECT who, pg_temp.as_role(who, 'WITH u AS (UPDATE crm.accounts AS a SET city = ''X'' WHERE a.id BETWEEN 700 AND 799 RETURNING a.id) SELECT string_agg(u.id::text, '' '' ORDER BY u.id) FROM u') AS changes FROM people ORDER BY n;
SELECT who, pg_temp.as_role(who, 'INSERT INTO crm.accounts (name) VALUES (''mine'') RETURNING coalesce(owner_id::text, ''nobody'')') AS inserts_own FROM people ORDER BY n;
SELECT who, pg_temp.as_role(who, 'INSERT INTO crm.accounts (name, owner_id) VALUES (''bob'''' s'', 906) RETURNING owner_id') AS inserts_for_bob FROM people ORDER BY n;
-- another tenant's rows cannot be made, found or taken
SELECT pg_temp.as_role('regress_admin', format('INSERT INTO crm.accounts (tenant_id, name) VALUES (%s, ''x'') RETURNING id', :second)) AS insert_into_other;
SELECT pg_temp.as_role('regress_admin', format('WITH u AS (UPDATE crm.accounts AS a SET tenant_id = %s WHERE a.id = 706 RETURNING a.id) SELECT count(*) FROM u', :second)) AS move_to_other;
SELECT pg_temp.as_role('regress_admin', 'WITH d AS (DELETE FROM crm.accounts AS a WHERE a.id = 712 RETURNING a.id) SELECT count(*) FROM d') AS delete_of_other;
-- the setting is the owner's; nobody else can turn into another tenant with it
SELECT pg_temp.as_role('regress_alice', format('SELECT set_config(''crm.tenant'', ''%s'', true), crm.tenant_id() = 1', :second)) IS NOT NULL AS tried;
SELECT pg_temp.as_role('regress_alice', 'SELECT crm.tenant_id() = 1') AS still_own;
-- handing over to somebody one does not see is refused, within the team of a lead it is not
SELECT pg_temp.as_role('regress_alice', 'WITH u AS (UPDATE crm.accounts AS a SET owner_id = 907 WHERE a.id = 701 RETURNING a.id) SELECT count(*) FROM u') AS to_carol;
SELECT pg_temp.as_role('regress_lead', 'WITH u AS (UPDATE crm.accounts AS a SET owner_id = 906 WHERE a.id = 701 RETURNING a.id) SELECT count(*) FROM u') AS lead_gives_to_bob;
UPDATE crm.accounts AS a SET owner_id = 905 WHERE a.tenant_id = 1 AND a.id = 701;

-- configuration is the admin's, prices the manager's, identities the owner's
SELECT who, pg_temp.as_role(who, 'WITH u AS (UPDATE crm.teams AS t SET name = t.name || ''.'' WHERE t.id = 803 RETURNING t.id) SELECT count(*) FROM u') AS configures,
       pg_temp.as_role(who, 'INSERT INTO crm.products (name) VALUES (''P'') RETURNING ''made''') AS makes_products,
       pg_temp.as_role(who, 'UPDATE crm.users SET db_role = ''regress_nobody'' WHERE id = 908 RETURNING ''mapped''') AS maps
FROM people ORDER BY n;
SELECT who, pg_temp.as_role(who, 'SELECT count(*) FROM crm.access_grants') AS grants, pg_temp.as_role(who, 'SELECT count(*) > 150 FROM crm.currencies') AS currencies,
       pg_temp.as_role(who, 'SELECT string_agg(t.name, '','' ORDER BY t.tenant_id) FROM crm.tenants AS t') AS tenants
FROM people ORDER BY n;
SELECT pg_temp.as_role('regress_admin', 'SELECT crm.install()') AS install, pg_temp.as_role('regress_admin', 'SELECT crm.grant_access(''regress_nobody'', ''admin'')') AS grants;

-- memberships have a time: Carol joins Inside, the lead and the director see her rows
SET LOCAL crm.tenant = '1';
UPDATE crm.team_memberships AS m SET team_id = 802 WHERE m.user_id = 907;
SELECT pg_temp.as_role('regress_lead', 'SELECT count(*) FROM crm.accounts AS a WHERE a.owner_id = 907') AS lead_sees;
UPDATE crm.team_memberships AS m SET valid = tstzrange(now() - interval '2 days', now() - interval '1 day') WHERE m.user_id = 907;
SELECT pg_temp.as_role('regress_lead', 'SELECT count(*) FROM crm.accounts AS a WHERE a.owner_id = 907') AS lead_sees_later;
UPDATE crm.teams AS t SET lead_id = 905 WHERE t.id = 802;
SELECT pg_temp.as_role('regress_alice', 'SELECT count(*) FROM crm.accounts AS a WHERE a.owner_id = 906') > '0' AS alice_leads,
       pg_temp.as_role('regress_lead', 'SELECT count(*) FROM crm.accounts AS a WHERE a.owner_id = 906') AS lead_no_more;
-- and undone by a rollback
SAVEPOINT s;
UPDATE crm.users AS u SET access = 'manager' WHERE u.id = 907;
SELECT pg_temp.as_role('regress_carol', 'SELECT crm.user_access()') AS within;
ROLLBACK TO s;
SELECT pg_temp.as_role('regress_carol', 'SELECT crm.user_access()') AS after_rollback;
-- who has left has no tenant
UPDATE crm.users AS u SET active = false WHERE u.id = 906;
SELECT pg_temp.as_role('regress_bob', 'SELECT concat_ws('' '', crm.tenant_id(), crm.user_access(), (SELECT count(*) FROM crm.accounts))') AS left_us;

-- a group: its members inherit the level, and are nobody
SELECT g.access FROM crm.grant_access('regress_agents', 'manager') AS g;
GRANT regress_agents TO regress_nobody;
SELECT pg_temp.as_role('regress_nobody', 'SELECT concat_ws('' '', crm.tenant_id(), crm.user_id(), crm.user_access())') AS by_group;
REVOKE regress_agents FROM regress_nobody;
SELECT pg_temp.as_role('regress_nobody', 'SELECT concat_ws('' '', crm.tenant_id(), crm.user_id(), crm.user_access())') AS by_group;

-- the owner's functions act for their caller
CREATE FUNCTION pg_temp.definer() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT concat_ws(' ', current_user = session_user, crm.user_id(), crm.user_access()) $$;
GRANT EXECUTE ON FUNCTION pg_temp.definer() TO PUBLIC;
SELECT pg_temp.as_role('regress_alice', 'SELECT pg_temp.definer()') AS as_caller;
-- code that somebody with more rights runs for its owner does not see with the other's eyes
GRANT CREATE ON SCHEMA public TO regress_web;
CREATE FUNCTION public.regress_spy(x integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT concat_ws(' ', current_user, crm.user_access(), x) $$;
CREATE TABLE public.regress_trap AS SELECT 1 AS x;
ALTER TABLE public.regress_trap OWNER TO regress_web;
CREATE INDEX regress_trap_idx ON public.regress_trap (public.regress_spy(x));
SET LOCAL enable_seqscan = off;
SELECT count(*) AS found FROM public.regress_trap WHERE public.regress_spy(x) = 'regress_web agent 1';
RESET enable_seqscan;

-- revoked is revoked
SELECT crm.revoke_access('regress_alice') AS had, crm.revoke_access('regress_alice') AS again;
SELECT pg_temp.as_role('regress_alice', 'SELECT count(*) FROM crm.accounts') AS gone;
SELECT u.name, u.db_role FROM crm.users AS u WHERE u.id = 905;
SELECT crm.grant_access('regress_alice', 'god');
SELECT crm.grant_access('regress_unknown', 'agent');
SELECT crm.grant_access('regress_alice', 'agent', 909);
RESET crm.tenant;
SELECT crm.grant_access('regress_alice', 'agent');
SELECT crm.has_access('god');
ROLLBACK;

-- a plan through row security uses the index that begins with the tenant
BEGIN;
CREATE ROLE regress_alice;
SELECT g.access FROM crm.grant_access('regress_alice', 'agent') AS g;
-- autovacuum that looks at the table meanwhile would wait for this transaction, which would wait for it
LOCK TABLE crm.accounts IN SHARE UPDATE EXCLUSIVE MODE;
INSERT INTO crm.accounts (name) SELECT 'a' || g FROM generate_series(1, 3000) AS g;
ANALYZE crm.accounts;
SET LOCAL ROLE regress_alice;
EXPLAIN (COSTS OFF) SELECT a.name FROM crm.accounts AS a WHERE a.id = 42;
EXPLAIN (COSTS OFF) SELECT a.name FROM crm.accounts AS a WHERE a.name_key = 'a42';
ROLLBACK;
