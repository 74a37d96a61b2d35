-- The log of changes: every writer, who and why, who reads it, nobody changes it, its partitions.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\pset format unaligned
\pset footer off
SET client_min_messages = warning;
CREATE ROLE audit_app;
CREATE ROLE audit_manager;
CREATE ROLE audit_agent;
BEGIN;
INSERT INTO crm.users (id, tenant_id, name, email, access) VALUES (9001, 1, 'Mia Manager', 'mia@audit.example', 'manager'), (9002, 1, 'Al Agent', 'al@audit.example', 'agent');
SELECT (crm.grant_access('audit_manager', 'manager', 9001)).access, (crm.grant_access('audit_agent', 'agent', 9002)).access, (crm.grant_access('audit_app', 'application')).access;

-- what is not audited leaves nothing
INSERT INTO crm.accounts (tenant_id, id, name) VALUES (1, 9001, 'Before');
SELECT count(*) FROM crm.audit_log WHERE table_name = 'accounts';
SELECT table_name, active FROM crm.start_audit();
\set VERBOSITY terse
SELECT table_name, active FROM crm.start_audit('no_such_table');
SELECT table_name, active FROM crm.start_audit('events');
\set VERBOSITY default

-- ---- every writer ----
CREATE VIEW pg_temp.told AS
SELECT row_number() OVER (ORDER BY id) AS n, table_name, record_id - 9000 AS record, action, user_id - 9000 AS "user", via, cause,
       (change #- '{new,updated_at}' #- '{old,updated_at}' #- '{new,created_at}' #- '{old,created_at}') AS change
FROM crm.audit_log WHERE record_id > 9000 AND table_name IN ('accounts', 'contacts');
SAVEPOINT s;
INSERT INTO crm.accounts (tenant_id, id, name) VALUES (1, 9009, 'Rolled back');
ROLLBACK TO s;
INSERT INTO crm.accounts (tenant_id, id, name, industry) VALUES (1, 9002, 'Acme', 'steel');
SET LOCAL crm.cause = 'ticket 12';
UPDATE crm.accounts SET industry = 'iron', city = 'Ulm' WHERE id = 9002;
UPDATE crm.accounts SET industry = 'iron' WHERE id = 9001 AND false;
SET LOCAL crm.cause = '';
COPY crm.contacts (tenant_id, id, name, account_id) FROM stdin;
1	9001	Ada	9002
1	9002	Bob	9002
\.
MERGE INTO crm.contacts AS c USING (VALUES (9002, 'Bob the second')) AS v (id, name) ON c.tenant_id = 1 AND c.id = v.id WHEN MATCHED THEN UPDATE SET name = v.name;
INSERT INTO crm.contacts (tenant_id, id, name) VALUES (1, 9001, 'Ada L') ON CONFLICT ON CONSTRAINT contacts_pkey DO UPDATE SET name = excluded.name;
SET ROLE audit_agent;
UPDATE crm.contacts SET name = 'Ada King' WHERE id = 9001;
RESET ROLE;
SET ROLE audit_app;
SELECT crm.act_as(9001);
UPDATE crm.contacts SET name = 'Ada Lovelace' WHERE id = 9001;
RESET ROLE;
DELETE FROM crm.contacts WHERE id = 9002;
SELECT n, table_name, record, action, "user", via, cause FROM pg_temp.told;
SELECT n, jsonb_pretty(change) FROM pg_temp.told WHERE n IN (2, 6);
SELECT bool_and(at = now() AND xact = pg_current_xact_id() AND db_role = session_user) AS of_this_transaction FROM crm.audit_log WHERE record_id > 9000;
-- TRUNCATE takes rows with it, and each is written down
SAVEPOINT s;
TRUNCATE crm.account_needs, crm.wallet_declarations;
CREATE TABLE public.audit_own (tenant_id bigint NOT NULL DEFAULT 1, id bigint PRIMARY KEY, note text, pin text, twice text GENERATED ALWAYS AS (note || note) STORED);
SELECT crm.attach('public.audit_own', '{"audit": true, "secret": ["pin"]}');
INSERT INTO public.audit_own (id, note, pin) VALUES (1, 'one', 'pin-1234'), (2, 'two', NULL);
UPDATE public.audit_own SET pin = 'pin-4321' WHERE id = 1;
TRUNCATE public.audit_own;
SELECT record_id, action, change FROM crm.audit_log WHERE table_name = 'public.audit_own' ORDER BY id;
SELECT count(*) AS secrets_in_the_log FROM crm.audit_log AS a WHERE a::text ~ 'pin-1234|pin-4321';
-- the owner of a column may not say two things of it
SELECT crm.attach('public.audit_own', '{"secret": ["gone"]}');
SELECT crm.attach('public.audit_own', '{"audit": "sometimes"}');
ROLLBACK TO s;

-- ---- who reads it ----
UPDATE crm.accounts SET owner_id = 9001 WHERE id IN (9001, 9002);
UPDATE crm.contacts SET owner_id = 9002, account_id = NULL WHERE id = 9001;
SET ROLE audit_agent;
SELECT DISTINCT table_name, record_id - 9000 AS record FROM crm.audit_log WHERE record_id > 9000 ORDER BY 1, 2;
RESET ROLE;
SET ROLE audit_manager;
SELECT DISTINCT table_name, record_id - 9000 AS record FROM crm.audit_log WHERE record_id > 9000 AND table_name <> 'users' ORDER BY 1, 2;
SELECT count(*) AS of_the_owner_alone FROM crm.audit_log WHERE withheld;
SELECT crm.stop_audit();
RESET ROLE;
-- a second company has a log of its own, and chooses for itself
INSERT INTO crm.tenants (tenant_id, name, base_currency, language, week_start, weekend) VALUES (9001, 'Shiraz', 'IRR', 'fa', 6, '{5}');
SET LOCAL crm.tenant = '9001';
INSERT INTO crm.accounts (id, name) VALUES (9101, 'Not audited');
SELECT table_name, active FROM crm.start_audit('contacts');
INSERT INTO crm.accounts (id, name) VALUES (9102, 'Not audited');
INSERT INTO crm.contacts (id, name) VALUES (9101, 'Audited');
SELECT table_name, record_id, action FROM crm.audit_log WHERE tenant_id = 9001 ORDER BY id;
RESET crm.tenant;
SET ROLE audit_manager;
SELECT count(*) AS of_another_company FROM crm.audit_log WHERE tenant_id = 9001;
RESET ROLE;

-- ---- nobody changes it ----
UPDATE crm.audit_log SET user_id = 9002;
DELETE FROM crm.audit_log WHERE false;
TRUNCATE crm.audit_log;
INSERT INTO crm.audit_log (tenant_id, at, xact, table_name, action, via, db_role) VALUES (1, now(), '3', 'accounts', 'insert', 'role', 'me');
COPY crm.audit_log (tenant_id, id, at, xact, table_name, action, via, db_role) FROM stdin;
1	1	2026-01-01	3	accounts	insert	role	me
\.
MERGE INTO crm.audit_log AS a USING (VALUES (1)) AS v (i) ON true WHEN MATCHED THEN DELETE;
SELECT format('%s: %s', c.oid::regclass, count(*)) AS unguarded_partition
FROM pg_partition_tree('crm.audit_log') AS p JOIN pg_class AS c ON c.oid = p.relid
LEFT JOIN pg_trigger AS t ON t.tgrelid = p.relid AND t.tgenabled = 'O' AND t.tgfoid = 'crm_internal.keep_audit_entries()'::regprocedure
GROUP BY c.oid HAVING count(*) <> 2;
\set VERBOSITY sqlstate
DELETE FROM crm_internal.audit_log_other;
SET ROLE audit_manager;
DELETE FROM crm.audit_log;
RESET ROLE;
\set VERBOSITY default

-- ---- stopped and started ----
SET LOCAL crm.tenant = '1';
SELECT table_name, active FROM crm.stop_audit('contacts');
UPDATE crm.contacts SET name = 'Nobody saw' WHERE id = 9001;
UPDATE crm.accounts SET name = 'Somebody saw' WHERE id = 9001;
SELECT table_name, active FROM crm.stop_audit();
UPDATE crm.accounts SET name = 'Nobody saw' WHERE id = 9001;
SELECT table_name, change -> 'new' ->> 'name' AS name FROM crm.audit_log WHERE tenant_id = 1 AND change::text ~ 'saw' ORDER BY id;
SELECT action, change - 'old' #- '{new,since}' AS change FROM crm.audit_log WHERE table_name = 'audit_choices' AND tenant_id = 1 ORDER BY id;
SELECT table_name, active FROM crm.audit_choices ORDER BY tenant_id, table_name;
ROLLBACK;

-- ---- a record as it was; undelete ----
BEGIN;
SET LOCAL crm.tenant = '1';
\set VERBOSITY terse
SELECT crm.record_as_of('accounts', 1, '2020-01-01 UTC');
\set VERBOSITY default
SELECT table_name, active FROM crm.start_audit();
INSERT INTO crm.users (id, tenant_id, name, email, access) VALUES (9001, 1, 'Mia Manager', 'mia@audit.example', 'manager'), (9002, 1, 'Al Agent', 'al@audit.example', 'agent');
SELECT (crm.grant_access('audit_manager', 'manager', 9001)).access, (crm.grant_access('audit_agent', 'agent', 9002)).access;
INSERT INTO crm.accounts (id, name, industry, owner_id) VALUES (9001, 'Acme', 'steel', 9001);
INSERT INTO crm.contacts (id, name, account_id, owner_id, custom, created_at) VALUES (9001, 'Ada', 9001, 9002, '{}', '2020-02-03');
INSERT INTO crm.contact_points (id, contact_id, kind, value) VALUES (9001, 9001, 'email', 'ada@acme.example'), (9002, 9001, 'email', 'ada@home.example');
-- as if the rest were done on later days: the log cannot be written by hand, so its guard is put aside
UPDATE crm.contacts SET name = 'Ada King' WHERE id = 9001;
UPDATE crm.contacts SET name = 'Ada Lovelace' WHERE id = 9001;
SET LOCAL session_replication_role = replica;
UPDATE crm.audit_choices SET since = now() - interval '10 days' WHERE tenant_id = 1;
UPDATE crm.audit_log AS a SET at = now() - (4 - n) * interval '1 day'
FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM crm.audit_log WHERE table_name = 'contacts' AND record_id = 9001) AS o WHERE o.id = a.id;
SET LOCAL session_replication_role = origin;
SELECT d, crm.record_as_of('contacts', 9001, now() - make_interval(days => 4 - d)) ->> 'name' AS name FROM generate_series(0, 4) AS d;
SELECT crm.record_as_of('contacts', 9001, now()) = to_jsonb(c) - crm_internal.untold_columns('crm.contacts') AS is_what_it_is FROM crm.contacts AS c WHERE id = 9001;
SET ROLE audit_agent;
SELECT crm.record_as_of('contacts', 9001, now() - interval '2 days') ->> 'name' AS name;
SELECT crm.record_as_of('accounts', 9001);
RESET ROLE;
\set VERBOSITY terse
SELECT crm.record_as_of('contacts', 9001, '2020-01-01 UTC');
\set VERBOSITY default
SELECT crm.record_as_of('contacts', 123456);
SELECT crm.record_as_of('audit_log', 1);
SELECT crm.record_as_of(NULL, 1);
SELECT crm.undelete('contacts', 9001);
CREATE TEMP TABLE was AS SELECT 'contacts' AS t, to_jsonb(c) AS j FROM crm.contacts AS c WHERE id = 9001 UNION ALL
    SELECT 'contact_points', to_jsonb(c) FROM crm.contact_points AS c WHERE contact_id = 9001;
SET LOCAL crm.cause = 'asked to go';
DELETE FROM crm.contacts WHERE id = 9001;
SET LOCAL crm.cause = '';
SELECT table_name, record_id, db_role = session_user AS by_me, cause FROM crm.audit_log WHERE action = 'delete' ORDER BY id;
SET ROLE audit_agent;
SELECT crm.record_as_of('contacts', 9001);
SELECT crm.undelete('contacts', 9001);
RESET ROLE;
SET ROLE audit_manager;
SELECT crm.record_as_of('contacts', 9001) IS NULL AS gone, crm.record_as_of('contacts', 9001, now() - interval '1 day') ->> 'name' AS yesterday;
SELECT crm.undelete('contacts', 9001) ->> 'name' AS name;
SELECT crm.undelete('contacts', 9001);
SELECT crm.undelete('stages', 1);
SELECT crm.undelete('access_grants', 1);
RESET ROLE;
SELECT w.t, count(*) AS rows, bool_and(w.j - '{updated_at,version}'::text[] = n.j - '{updated_at,version}'::text[]) AS as_they_were
FROM was AS w LEFT JOIN (SELECT to_jsonb(c) AS j FROM crm.contacts AS c UNION ALL SELECT to_jsonb(c) FROM crm.contact_points AS c) AS n
    ON n.j -> 'id' = w.j -> 'id' AND n.j ? 'contact_id' = w.j ? 'contact_id'
GROUP BY w.t ORDER BY w.t;
SELECT table_name, action, user_id, cause FROM crm.audit_log WHERE cause = 'undelete' ORDER BY id;
-- a parent that is gone has to come back first
DELETE FROM crm.contacts WHERE id = 9001;
DELETE FROM crm.accounts WHERE id = 9001;
\set VERBOSITY sqlstate
SELECT crm.undelete('contacts', 9001);
\set VERBOSITY default
SELECT crm.undelete('accounts', 9001) ->> 'name' AS account, crm.undelete('contacts', 9001) ->> 'name' AS contact;
ROLLBACK;

-- every audited table: a row that is deleted and put back is what it was, and no secret of a table is in the log
SELECT a.attrelid::regclass AS "table", a.attname AS secret_in_clear
FROM crm.registry AS r JOIN crm_internal.audit_plan(r.subject) AS p ON true JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped
WHERE a.attname ~ '(token|password|secret|api_key|private_key)' AND a.attname !~ '(_hash|s_only)$' AND a.atttypid <> 'crm.sealed_text'::regtype
  AND NOT coalesce(r.options -> 'secret' ? a.attname::text, false) AND a.atttypid IN ('text'::regtype, 'bytea'::regtype);

-- ---- partitions ----
BEGIN;
SELECT table_name, active FROM crm.start_audit('accounts');
SELECT count(*) AS months, bool_or(p.since <= now() AND p.until > now()) AS this_one FROM crm_internal.audit_partitions() AS p WHERE p.since IS NOT NULL;
-- nobody was there to make a partition: nothing is lost, and it becomes the month's
SELECT crm.keep_audit(now()) AS nothing_to_do;
DO $$
DECLARE p regclass;
BEGIN
    FOR p IN SELECT x.relation FROM crm_internal.audit_partitions() AS x WHERE x.since IS NOT NULL LOOP
        EXECUTE format('DROP TABLE %s', p);
    END LOOP;
END $$;
INSERT INTO crm.accounts (tenant_id, name) VALUES (1, 'Without a month');
SELECT count(*) FROM crm_internal.audit_log_other;
SELECT crm.keep_audit(now()) AS made;
SELECT count(*) AS there, bool_and(tableoid <> 'crm_internal.audit_log_other'::regclass) AS in_its_month FROM crm.audit_log;
UPDATE crm.audit_log SET cause = 'x';
SELECT count(*) AS guarded FROM pg_partition_tree('crm.audit_log') AS p WHERE EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = p.relid AND t.tgname = 'audit_log_before_keep');
-- months go when every company has kept them long enough
SELECT crm.keep_audit(now() + interval '5 years') AS made_and_none_dropped;
UPDATE crm.tenants SET audit_kept = '1 year' WHERE tenant_id = 1;
SELECT crm.keep_audit(now()) AS kept_a_year;
SELECT count(*) FROM crm.audit_log WHERE table_name = 'accounts';
SELECT crm.keep_audit(now() + interval '10 years', 1000) > 4 AS dropped_unsealed;
CREATE FUNCTION pg_temp.seal() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint := 0;
BEGIN
    -- others of the server, such as autovacuum, may be at work: who seals comes again
    FOR i IN 1 .. 100 LOOP
        n := n + crm.seal_audit();
        EXIT WHEN NOT EXISTS (SELECT FROM crm.verify_audit() AS v WHERE v.result = 'not sealed');
        PERFORM pg_sleep(0.05);
    END LOOP;
    RETURN n;
END $$;
SET LOCAL crm.tenant = '1';
SELECT pg_temp.seal() > 0 AS sealed;
SELECT crm.keep_audit(now() + interval '10 years', 1000) > 4 AS dropped;
SELECT result, entries FROM crm.verify_audit() ORDER BY 1;
SELECT kind, count(*) FROM crm.audit_seals GROUP BY kind ORDER BY kind;
SELECT count(*) FROM crm.audit_log WHERE table_name = 'accounts';
ROLLBACK;
DROP ROLE audit_app;
DROP ROLE audit_manager;
DROP ROLE audit_agent;
