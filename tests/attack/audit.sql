-- long: 25 s
-- The log of changes against its owner and a superuser: what is edited, deleted, moved or put in is found, seals too, and a log that
-- was sealed anew by an anchor that was kept elsewhere. A bad company does not keep the others from being sealed.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1
SET client_min_messages = error;
SELECT max(t.tenant_id) AS second FROM crm.tenants AS t \gset
-- who seals comes again: others of the server may be at work
CREATE FUNCTION attack.seal() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 200 LOOP
        PERFORM crm.seal_audit();
        EXIT WHEN NOT EXISTS (SELECT FROM crm.verify_audit() AS v WHERE v.result = 'not sealed');
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
CREATE FUNCTION attack.verdict(anchor text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(concat_ws(' ', v.result, v.detail), '; ' ORDER BY v.result, v.detail) FROM crm.verify_audit(anchor) AS v WHERE v.result NOT IN ('verified', 'not sealed')
$$;
SET crm.tenant = :'second';
SELECT crm.start_audit() IS NULL AS n \gset
INSERT INTO crm.accounts (name, industry) SELECT 'Second ' || i, 'x' FROM generate_series(1, 50) AS i;
SET crm.tenant = '1';
SELECT crm.start_audit() IS NULL AS n \gset
INSERT INTO crm.accounts (name, industry) SELECT 'Attack ' || i, 'x' FROM generate_series(1, 50) AS i;
UPDATE crm.accounts SET industry = 'y' WHERE name LIKE 'Attack %';
SELECT attack.seal();
UPDATE crm.accounts SET industry = 'z' WHERE name LIKE 'Attack %';
SELECT attack.seal();
SELECT attack.expect(attack.verdict() IS NULL, 'the log is whole as it is: ' || attack.verdict());
SELECT attack.expect(count(*) > 150, 'all is sealed: ' || count(*)) FROM crm.audit_log AS a, (SELECT max(to_id) AS x FROM crm.audit_seals WHERE tenant_id = 1) AS m WHERE a.tenant_id = 1 AND a.id <= m.x;
SELECT crm.audit_anchor() AS anchor \gset
SELECT attack.expect(attack.verdict(:'anchor') IS NULL, 'the anchor is of this log');
SELECT to_id AS first_to FROM crm.audit_seals WHERE tenant_id = 1 AND number = 1 \gset
SELECT min(id) AS low, max(id) AS high FROM crm.audit_log WHERE tenant_id = 1 AND action = 'update' AND id <= :first_to \gset

-- by mistake nobody changes it: every role, every command
CREATE FUNCTION attack.state_of(who name, command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', who);
    BEGIN
        EXECUTE command;
        RESET ROLE;
        RETURN '00000';
    EXCEPTION WHEN OTHERS THEN
        RESET ROLE;
        RETURN SQLSTATE;
    END;
END $$;
SELECT attack.expect(attack.state_of(r.who, c.command) = CASE WHEN r.who IN ('attack_owner', session_user) THEN 'CR607' ELSE '42501' END,
                     format('%s: %s gives %s', r.who, c.command, attack.state_of(r.who, c.command)))
FROM (VALUES (session_user::name), ('attack_owner'), ('attack_admin_1'), ('attack_manager_1'), ('attack_agent_1'), ('attack_reader_1')) AS r (who),
     (SELECT format(c.f, t.t) FROM (VALUES ('UPDATE %s SET tenant_id = 1'), ('DELETE FROM %s'), ('DELETE FROM %s WHERE false'), ('TRUNCATE %s')) AS c (f),
             (SELECT p.relid::regclass::text FROM pg_partition_tree('crm.audit_log') AS p UNION ALL VALUES ('crm.audit_seals')) AS t (t)) AS c (command);

-- what somebody does who puts the guard aside, and what is found
CREATE TABLE attack.tampering (n integer GENERATED ALWAYS AS IDENTITY, what text, statement text, wanted text);
INSERT INTO attack.tampering (what, statement, wanted) VALUES
('the change is edited', 'UPDATE crm.audit_log SET change = jsonb_set(change, ''{new,industry}'', ''"q"'') WHERE id = $1', 'changed log entries were changed'),
('who did it is edited', 'UPDATE crm.audit_log SET user_id = 77 WHERE id = $1', 'changed log entries were changed'),
('when is edited', 'UPDATE crm.audit_log SET at = at - interval ''1 microsecond'' WHERE id = $1', 'changed log entries were changed'),
('the month is edited', 'UPDATE crm.audit_log SET at = at - interval ''3 months'' WHERE id = $1', 'changed log entries were put in; changed log entries were taken out'),
('where from is edited', 'UPDATE crm.audit_log SET client = ''10.0.0.1'' WHERE id = $1', 'changed log entries were changed'),
('why is edited', 'UPDATE crm.audit_log SET cause = ''because'' WHERE id = $1', 'changed log entries were changed'),
('text goes from one column to the next', 'UPDATE crm.audit_log SET via = ''rolep'', db_role = substr(db_role, 2) WHERE id = $1', 'changed log entries were changed'),
('the change is taken out', 'UPDATE crm.audit_log SET change = NULL WHERE id = $1', 'changed log entries were changed'),
('one is deleted', 'DELETE FROM crm.audit_log WHERE id = $1', 'changed log entries were taken out'),
('one is deleted and another made of it', 'WITH d AS (DELETE FROM crm.audit_log WHERE id = $1 RETURNING *) INSERT INTO crm.audit_log SELECT tenant_id, id, at, xact, table_name, record_id, action, 5, via, db_role, client, application, cause, change, withheld, salt, digest FROM d', 'changed log entries were changed'),
('two change places', 'UPDATE crm.audit_log AS a SET record_id = b.record_id, change = b.change, salt = b.salt FROM crm.audit_log AS b WHERE a.tenant_id = 1 AND b.tenant_id = 1 '
 'AND (a.id, b.id) IN (($1, $2), ($2, $1))', 'changed log entries were changed'),
('one is moved behind', 'UPDATE crm.audit_log SET id = 0 - id WHERE id = $1', 'changed log entries were taken out'),
('one is put in', 'INSERT INTO crm.audit_log SELECT tenant_id, 0 + 1, at, xact, table_name, record_id, action, user_id, via, db_role, client, application, cause, change, withheld, salt, digest FROM crm.audit_log WHERE tenant_id = 1 AND id = $1', 'changed log entries were put in'),
('one goes to another company', 'UPDATE crm.audit_log SET tenant_id = (SELECT max(tenant_id) FROM crm.tenants) WHERE id = $1', 'changed log entries were taken out'),
('a seal is edited', 'UPDATE crm.audit_seals SET entries = entries - 1 WHERE tenant_id = 1 AND number = 1', 'broken seal the seal was changed; changed log entries were put in'),
('a seal is edited with its hash', 'UPDATE crm.audit_seals SET entries = entries - 1, hash = crm.audit_seal_hash(tenant_id, number, kind, month, from_id, to_id, entries - 1, sealed_at, rows_hash, previous) '
 'WHERE tenant_id = 1 AND number = 1', 'broken seal its signature is false; broken seal the seal before it is not the one that was there; changed log entries were put in'),
('a seal is deleted', 'DELETE FROM crm.audit_seals WHERE tenant_id = 1 AND number = 1', 'broken seal it does not begin where the one before it ends; broken seal seals 1 to 1 are gone'),
('a signature is another''s', 'UPDATE crm.audit_seals AS s SET signature = o.signature FROM crm.audit_seals AS o WHERE s.tenant_id = 1 AND o.tenant_id = 1 AND s.number = 1 AND o.number = 2', 'broken seal its signature is false'),
('another company''s seal', 'UPDATE crm.audit_seals AS s SET key_id = ''00000001'' WHERE s.tenant_id = 1 AND s.number = 1', 'broken seal its key 00000001 is not in the key file');
CREATE FUNCTION attack.tamper(statement text, low bigint, high bigint, anchor text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found text; n bigint;
BEGIN
    SET LOCAL session_replication_role = replica;
    EXECUTE replace(replace(statement, '$1', low::text), '$2', high::text);
    GET DIAGNOSTICS n = ROW_COUNT;
    found := CASE WHEN n = 0 THEN 'nothing was done' ELSE attack.verdict(anchor) END;
    RAISE EXCEPTION USING ERRCODE = 'P0099', MESSAGE = coalesce(found, 'nothing');
EXCEPTION WHEN SQLSTATE 'P0099' THEN
    RETURN SQLERRM;
END $$;
SELECT attack.expect(attack.tamper(t.statement, :low, :high) = t.wanted, t.what || ': ' || attack.tamper(t.statement, :low, :high)) FROM attack.tampering AS t ORDER BY t.n;
SELECT attack.expect(attack.verdict(:'anchor') IS NULL, 'nothing of that was kept');

-- ---- anchors ----
-- the newest entries go with their seals: by itself that is a shorter log
SELECT attack.expect(attack.tamper(s, 0, 0) = 'nothing' AND attack.tamper(s, 0, 0, :'anchor') LIKE 'other log%', 'a log that was cut: ' || attack.tamper(s, 0, 0, :'anchor'))
FROM (SELECT 'WITH s AS (DELETE FROM crm.audit_seals WHERE tenant_id = 1 AND number > 1) DELETE FROM crm.audit_log WHERE tenant_id = 1 AND id > ' || :first_to) AS x (s);
-- somebody with the server's keys seals another log anew
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM crm.audit_log WHERE tenant_id = 1 AND id = :low;
DELETE FROM crm.audit_seals WHERE tenant_id = 1;
SELECT attack.seal();
SELECT attack.expect(attack.verdict() IS NULL, 'sealed anew it looks whole: ' || attack.verdict());
SELECT attack.expect(attack.verdict(:'anchor') LIKE 'other log%', 'the anchor tells: ' || attack.verdict(:'anchor'));
ROLLBACK;
SELECT attack.expect(attack.state_of(session_user::name, format('SELECT * FROM crm.verify_audit(%L)', a)) = '22023', 'no anchor: ' || a)
FROM (VALUES (''), ('crm-audit:1'), (left(:'anchor', -1)), (replace(:'anchor', 'crm-audit:1:1:', 'crm-audit:1:2:')), (overlay(:'anchor' placing '0000' from 20 for 4)),
             (:'anchor' || '0')) AS x (a);
SET crm.tenant = :'second';
SELECT attack.expect(attack.state_of(session_user::name, format('SELECT * FROM crm.verify_audit(%L)', :'anchor')) = '22023', 'another company''s anchor');
SELECT attack.seal();
SELECT attack.expect(attack.verdict() IS NULL, 'the second company''s log is whole');
SET crm.tenant = '1';

-- ---- who may look ----
SELECT attack.expect(attack.state_of(r.who, c.command) = CASE WHEN r.who = 'attack_admin_1' THEN '00000' ELSE '42501' END, format('%s: %s', r.who, c.command))
FROM (VALUES ('attack_admin_1'), ('attack_manager_1'), ('attack_agent_1')) AS r (who), (VALUES ('SELECT * FROM crm.verify_audit()'), ('SELECT crm.audit_anchor()')) AS c (command);
SELECT attack.expect(attack.state_of(r.who, c.command) = '42501', format('%s: %s', r.who, c.command))
FROM (VALUES ('attack_admin_1'), ('attack_manager_1'), ('attack_agent_1')) AS r (who),
     (VALUES ('SELECT crm.seal_audit()'), ('SELECT crm.stop_audit()'), ('SELECT crm.audit_signature(1, ''\x00'')'), ('SELECT crm.keep_audit()'), ('SELECT 1 FROM crm_internal.audit_log_other')) AS c (command);

-- ---- one bad company ----
INSERT INTO crm.accounts (name) VALUES ('More');
SET crm.tenant = :'second';
INSERT INTO crm.accounts (name) VALUES ('More');
CREATE FUNCTION attack.poison_seals() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.tenant_id = 1 THEN RAISE EXCEPTION 'poisoned'; END IF; RETURN NEW; END $$;
CREATE TRIGGER attack_poison BEFORE INSERT ON crm.audit_seals FOR EACH ROW EXECUTE FUNCTION attack.poison_seals();
SELECT attack.seal();
SELECT attack.expect(NOT EXISTS (SELECT FROM crm.verify_audit() AS v WHERE v.result = 'not sealed'), 'the others are sealed');
SET crm.tenant = '1';
SELECT attack.expect(EXISTS (SELECT FROM crm.verify_audit() AS v WHERE v.result = 'not sealed'), 'the bad one is not');
SELECT attack.expect(EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = 'crm.seal_audit' AND f.tenant_id = 1), 'and that is told');
DROP TRIGGER attack_poison ON crm.audit_seals;
SELECT attack.seal();
SELECT attack.expect(attack.verdict() IS NULL AND NOT EXISTS (SELECT FROM crm.verify_audit() AS v WHERE v.result = 'not sealed'), 'until it is mended');

-- ---- a revealed secret is in the log, whatever is audited ----
SELECT crm.stop_audit() IS NULL AS n \gset
SELECT count(*) AS before FROM crm.audit_log WHERE table_name = 'reveal_log' \gset
SELECT count(*) AS n FROM (SELECT crm.reveal(crm.seal_for('geheim', 'text', 1), 'asked by phone')) AS r \gset
SELECT attack.expect(count(*) = :before + 1 AND bool_or(change #>> '{new,reason}' = 'asked by phone') AND count(*) FILTER (WHERE a::text ~ 'geheim') = 0, 'a reveal is in the log')
FROM crm.audit_log AS a WHERE table_name = 'reveal_log';
