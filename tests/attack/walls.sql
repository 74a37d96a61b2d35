-- long: 30 s
-- Single holes of kinds that have no test over the catalogue: who outlives a user, what an error of a trigger tells, circles.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1
SET client_min_messages = warning;
SELECT max(t.tenant_id) AS second FROM crm.tenants AS t \gset

-- ---- the role of a user who is gone has no rights, and not those of nobody in particular ----
CREATE FUNCTION attack.count_as(who name, query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', who);
    EXECUTE query INTO n;
    RESET ROLE;
    RETURN n;
END
$$;
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'attack_gone_1') THEN CREATE ROLE attack_gone_1 LOGIN; END IF; END $$;
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
INSERT INTO crm.users (name, access) VALUES ('Gone', 'reader') RETURNING id AS gone \gset
SELECT g.user_id = :gone AS known FROM crm.grant_access('attack_gone_1', 'reader', :gone) AS g \gset
RESET SESSION AUTHORIZATION;
SELECT attack.expect(:'known', 'the grant knows its user');
SELECT attack.count_as('attack_gone_1', 'SELECT count(*) FROM crm.accounts') AS before \gset
DELETE FROM crm.users WHERE id = :gone;
SELECT attack.expect(attack.count_as('attack_gone_1', 'SELECT count(*) FROM crm.accounts') = 0, 'a deleted user''s role sees nothing; before: ' || :before);
SELECT attack.expect(attack.count_as('attack_gone_1', 'SELECT crm.tenant_id()') IS NULL, 'and has no tenant');

-- ---- no error tells of another tenant ----
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = :'second';
INSERT INTO crm.custom_fields (tenant_id, table_name, name, type, required, choices) VALUES (:second, 'accounts', 'secret_rating', 'choice', true, '{gold,toxic}');
RESET crm.tenant;
RESET SESSION AUTHORIZATION;
CREATE TABLE attack.told (relation regclass, state text, message text);
DO $$
DECLARE t record; said text; detail text; hint text;
BEGIN
    FOR t IN SELECT r.relation, (SELECT max(x.tenant_id) FROM crm.tenants AS x) AS other,
                    (SELECT string_agg(quote_ident(a.attname), ', ') FROM pg_attribute AS a WHERE a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = '' AND a.attname <> 'tenant_id') AS columns
             FROM crm.registry AS r WHERE r.class IN ('owned', 'child', 'work', 'catalogue', 'configuration') AND r.relation <> 'crm.tenants'::regclass LOOP
        BEGIN
            EXECUTE format('CREATE TEMP TABLE probe ON COMMIT DROP AS SELECT * FROM %s WHERE tenant_id = $1 LIMIT 1', t.relation) USING t.other;
            GRANT SELECT ON probe TO PUBLIC;
            SET LOCAL ROLE attack_admin_1;
            EXECUTE format('INSERT INTO %s (tenant_id, %s) SELECT %s, %s FROM pg_temp.probe', t.relation, t.columns, t.other, t.columns);
            RESET ROLE;
            INSERT INTO attack.told SELECT t.relation, 'none', 'written' WHERE EXISTS (SELECT FROM pg_temp.probe);
            DROP TABLE pg_temp.probe;
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO attack.told VALUES (t.relation, SQLSTATE, SQLERRM);
        END;
    END LOOP;
END
$$;
SELECT attack.expect(count(*) > 25 AND count(*) FILTER (WHERE t.message !~ 'row-level security') = 0, 'a row of another tenant is refused before anything looks at it: '
    || count(*) || ' tables' || coalesce(string_agg(E'\n' || t.relation || ' ' || t.message, '') FILTER (WHERE t.message !~ 'row-level security'), '')) FROM attack.told AS t;

-- ---- circles ----
CREATE FUNCTION attack.refused(statement text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE statement; RETURN 'done'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
INSERT INTO crm.tickets (subject) VALUES ('c1') RETURNING id AS t1 \gset
INSERT INTO crm.tickets (subject, merged_into_id) VALUES ('c2', :t1) RETURNING id AS t2 \gset
INSERT INTO crm.leads (name, email) VALUES ('L1', 'loop@example.com') RETURNING id AS k1 \gset
INSERT INTO crm.leads (name, email, merged_into_id) VALUES ('L2', 'loop@example.com', :k1) RETURNING id AS k2 \gset
RESET crm.tenant;
RESET SESSION AUTHORIZATION;
SELECT attack.expect(attack.refused(format('UPDATE crm.tickets SET merged_into_id = %s WHERE tenant_id = 1 AND id = %s', :t2, :t1)) = 'CR204', 'tickets are not merged in a circle');
SELECT attack.expect(attack.refused(format('UPDATE crm.leads SET merged_into_id = %s WHERE tenant_id = 1 AND id = %s', :k2, :k1)) = 'CR204', 'leads neither');

-- ---- what PUBLIC may call ----
SELECT attack.expect(count(*) = 0, 'no part of an aggregate and nothing that takes a tenant is for PUBLIC: ' || coalesce(string_agg(p.oid::regprocedure::text, ' '), '-'))
FROM pg_proc AS p WHERE p.pronamespace = 'crm'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE')
  AND ('tenant_id' = ANY (p.proargnames) OR EXISTS (SELECT FROM pg_aggregate AS a WHERE p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn)));
-- and what is granted can be read
SELECT attack.expect(count(*) = 0, 'every view a reader is granted can be read: ' || coalesce(string_agg(c.oid::regclass::text, ' '), '-'))
FROM pg_class AS c WHERE c.relkind = 'v' AND c.relnamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND has_table_privilege('attack_reader_1', c.oid, 'SELECT')
  AND attack.refused(format('DO $d$ BEGIN SET LOCAL ROLE attack_reader_1; PERFORM FROM %s LIMIT 1; END $d$', c.oid::regclass)) <> 'done';

-- ---- what is told by an answer ----
SELECT attack.expect(count(*) = 0, 'no function tells the day of another company: ' || coalesce(string_agg(r.role, ' '), '-'))
FROM unnest('{attack_reader_1,attack_agent_1,attack_manager_1,attack_admin_1,attack_agent_2}'::name[]) AS r (role)
WHERE attack.count_as(r.role, format('SELECT count(*) FROM (SELECT crm.local_day(t, now()) AS d FROM generate_series(1, %s) AS t) AS x WHERE d IS NOT NULL', :second)) <> 1;
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
INSERT INTO crm.import_batches (source_name, source_system, target_table, mapping) VALUES ('secret', 'x', 'leads', '{}') RETURNING id AS batch \gset
INSERT INTO crm.import_rows (batch_id, line, data) VALUES (:batch, 1, '{"salary": 1}');
INSERT INTO crm.accounts (name, owner_id) SELECT 'Policy ' || u.db_role || i, u.id FROM crm.users AS u, generate_series(1, 4) AS i WHERE u.db_role IN ('attack_agent_1', 'attack_colleague_1');
SELECT min(a.id) AS theirs FROM crm.accounts AS a WHERE a.tenant_id = 1 AND a.owner_id = (SELECT u.id FROM crm.users AS u WHERE u.db_role = 'attack_colleague_1') \gset
SELECT l.subject_id AS linked FROM crm.link_record('accounts', :theirs, 'erp', 'HIDDEN-1') AS l \gset
RESET crm.tenant;
RESET SESSION AUTHORIZATION;
SELECT attack.expect(attack.count_as('attack_agent_1', 'SELECT count(*) FROM crm.import_rows') = 0 AND attack.count_as('attack_manager_1', 'SELECT count(*) FROM crm.import_rows') > 0,
    'the source of an import by a role that is no user is shown to no agent');
SELECT attack.expect(attack.refused($$DO $d$ BEGIN SET LOCAL ROLE attack_agent_1; PERFORM crm.upsert_record('accounts', 'erp', 'HIDDEN-1', '{"name": "Mine"}'); END $d$ $$) = '23505',
    'a name that a hidden record has is taken, and no more is said');
-- an owner's own policies count where rows are asked for
CREATE POLICY attack_hold ON crm.accounts AS RESTRICTIVE FOR UPDATE USING (id % 2 = 0);
CREATE POLICY attack_more ON crm.accounts FOR UPDATE TO attack_colleague_1 USING (true);
CREATE FUNCTION attack.changeable(who name) RETURNS text LANGUAGE plpgsql AS $$
DECLARE asked bigint; done bigint;
BEGIN
    SET LOCAL session_replication_role = replica;
    EXECUTE format('SET LOCAL ROLE %I', who);
    SELECT count(*) INTO asked FROM crm.accounts AS a WHERE crm.can_change_row('crm.accounts', a.id);
    UPDATE crm.accounts SET city = city;
    GET DIAGNOSTICS done = ROW_COUNT;
    RESET ROLE;
    SET LOCAL session_replication_role = origin;
    RETURN CASE WHEN asked = done AND done > 0 THEN 'same' ELSE asked || ' and ' || done END;
END
$$;
SELECT attack.expect(string_agg(r.role || ' ' || attack.changeable(r.role), ', ') = 'attack_agent_1 same, attack_colleague_1 same, attack_manager_1 same', 'what may be changed is what an UPDATE changes: '
    || string_agg(r.role || ' ' || attack.changeable(r.role), ', ')) FROM unnest('{attack_agent_1,attack_colleague_1,attack_manager_1}'::name[]) AS r (role);

-- ---- an import is taken back and tried again by who ran it: its rows are theirs to write ----
SELECT set_config('attack.hidden', (SELECT min(a.id)::text FROM crm.accounts AS a JOIN crm.users AS u ON u.db_role = 'attack_colleague_1' AND u.id = a.owner_id WHERE a.tenant_id = 1), false) AS hidden \gset
SELECT attack.expect(attack.refused(format($q$DO $d$
DECLARE b bigint;
BEGIN
    CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT 'k1'::text AS k, 'Staged'::text AS n;
    GRANT SELECT ON staged TO attack_agent_1;
    SET LOCAL ROLE attack_agent_1;
    b := (crm.import_table('staged', '{"target": "accounts", "source_system": "x", "key": "k", "columns": {"name": "n"}}')).id;
    UPDATE crm.import_rows SET state = 'updated', target_id = %s, before = '{"name": "Forged"}' WHERE batch_id = b;
    SET LOCAL ROLE %s;
    PERFORM crm.%s(b);
END $d$ $q$, :hidden, r, f)) = '42501', f || ' of an agent''s batch by ' || r)
FROM unnest('{attack_manager_1,attack_admin_1}'::text[]) AS r, unnest('{undo_import,retry_import}'::text[]) AS f;
SELECT attack.expect(attack.refused($q$DO $d$
DECLARE b crm.import_batches;
BEGIN
    CREATE TEMP TABLE staged ON COMMIT DROP AS SELECT 'k1'::text AS k, 'Staged'::text AS n;
    GRANT SELECT ON staged TO attack_agent_1;
    SET LOCAL ROLE attack_agent_1;
    b := crm.import_table('staged', '{"target": "accounts", "source_system": "x", "key": "k", "columns": {"name": "n"}}');
    b := crm.undo_import(b.id);
    IF b.rows_undone <> 1 OR b.rows_inserted <> 1 THEN RAISE SQLSTATE 'ATT01'; END IF;
END $d$ $q$) = 'done', 'an agent takes their own import back');

-- ---- no answer before the question, nothing said tomorrow ----
SELECT attack.expect(attack.refused(format($q$DO $d$
DECLARE k bigint;
BEGIN
    SET LOCAL ROLE attack_agent_1;
    INSERT INTO crm.tickets (subject) VALUES ('x') RETURNING id INTO k;
    INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, body, sent_at) VALUES (k, 'mail', %L, %L, 'x', %L);
END $d$ $q$, v.direction, v.kind, v.at)) = v.wanted, format('%s message of %s: %s', v.direction, v.at, v.wanted))
FROM (VALUES ('out', 'agent', timestamptz '1999-01-01', '22023'), ('out', 'agent', '2999-01-01', '22023'), ('in', 'customer', '2999-01-01', '22023'), ('in', 'customer', '1999-01-01', 'done')) AS v (direction, kind, at, wanted);
SELECT attack.expect(attack.refused(format($q$DO $d$
DECLARE m crm.ticket_messages;
BEGIN
    SET LOCAL ROLE attack_agent_1;
    m := crm.receive_message('mail', 'late', from_address => 'late@late.example', external_id => '<late@late>', thread_id => 'late', sent_at => '2999-01-01');
    IF m.sent_at > clock_timestamp() THEN RAISE SQLSTATE 'ATT01'; END IF;
END $d$ $q$)) = 'done', 'a mail whose sender has the wrong day is received all the same');
