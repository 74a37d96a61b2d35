-- long: 30 s
-- Session tokens against who forges, changes, cuts off, replays, borrows or widens one: each is refused, says why, and leaves the transaction nobody's.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1
SET client_min_messages = warning;
SELECT max(t.tenant_id) AS second FROM crm.tenants AS t \gset
SELECT u.id AS agent FROM crm.users AS u WHERE u.db_role = 'attack_agent_1' \gset
SELECT u.id AS manager FROM crm.users AS u WHERE u.db_role = 'attack_manager_1' \gset
SELECT u.id AS admin FROM crm.users AS u WHERE u.db_role = 'attack_admin_1' \gset
SELECT u.id AS stranger FROM crm.users AS u WHERE u.db_role = 'attack_agent_2' \gset
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY '{attack_app,attack_app_2}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', r); END IF;
    END LOOP;
END
$$;
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
SELECT g.access AS granted FROM crm.grant_access('attack_app', 'application') AS g \gset
SELECT g.tokens_only AS only FROM crm.require_tokens('attack_app') AS g \gset
SELECT crm.issue_token(:agent, now() + interval '1 hour') AS token, crm.issue_token(:agent, now() + interval '1 hour') AS other, crm.issue_token(:manager, now() + interval '1 hour') AS manages,
       crm.issue_token(:agent, now() + interval '1 hour', '{read_only}') AS reads, crm.issue_token(:manager, now() + interval '1 hour', '{dry_run}') AS tries,
       crm.issue_token(:manager, now() + interval '1 hour', '{read_only}') AS manager_reads, crm.issue_token(:manager, now() + interval '1 hour', '{reader}') AS low,
       crm.issue_token(:agent, clock_timestamp() + interval '0.2 second') AS short \gset
SET crm.tenant = :'second';
SELECT g.access AS granted FROM crm.grant_access('attack_app_2', 'application') AS g \gset
SELECT crm.issue_token(:stranger, now() + interval '1 hour') AS foreign_one \gset
RESET crm.tenant;
RESET SESSION AUTHORIZATION;

-- A transaction of the application: each statement in turn, and what the last one said; SQLSTATE and words where one failed.
CREATE EXTENSION IF NOT EXISTS dblink;
SELECT format('host=%s port=%s dbname=%s user=attack_app', current_setting('unix_socket_directories'), current_setting('port'), current_database()) AS app \gset
CREATE FUNCTION attack.runs(login text, statements text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s text; said text; m text; h text;
BEGIN
    PERFORM dblink_connect('app', login);
    PERFORM dblink_exec('app', 'BEGIN');
    FOREACH s IN ARRAY statements LOOP
        IF s ~* '^(SELECT|TABLE)' THEN SELECT x.v INTO said FROM dblink('app', s) AS x (v text);
        ELSE said := dblink_exec('app', s); END IF;
    END LOOP;
    PERFORM dblink_disconnect('app');
    RETURN coalesce(said, 'NULL');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, h = PG_EXCEPTION_HINT;
    IF 'app' = ANY (coalesce(dblink_get_connections(), '{}')) THEN PERFORM dblink_disconnect('app'); END IF;
    RETURN SQLSTATE || ' ' || m || ' ' || h;
END
$$;
CREATE FUNCTION attack.starts(told text, wanted text, what text) RETURNS void LANGUAGE sql AS $$ SELECT attack.expect(told LIKE wanted || '%', what || ': ' || told) $$;
CREATE FUNCTION attack.presents(token text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT format('SELECT crm.present_token(%L)', token) $$;

SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'token'), 'SELECT crm.user_id()::text']) = :'agent', 'a token serves its user');
SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'token'), 'SELECT count(*)::text FROM crm.accounts'])::bigint BETWEEN 1 AND (SELECT count(*) - 1 FROM crm.accounts WHERE tenant_id = 1), 'who sees a part');
SELECT attack.starts(attack.runs(:'app', ARRAY['SELECT count(*)::text FROM crm.accounts']), '42501', 'without one the application is nobody');
SELECT attack.starts(attack.runs(:'app', ARRAY['SELECT crm.act_as(' || :agent || ')']), '42501', 'and decides nothing');
SELECT attack.starts(attack.runs(:'app', ARRAY['SELECT crm.jalali_trunc(''month'', current_date)::text' , 'SET crm.session = ''' || :'token' || '''', 'COMMIT', 'BEGIN', 'SELECT crm.user_id()::text']), '42501', 'the next transaction is nobody''s, whatever is left in the setting');
SELECT attack.starts(attack.runs(:'app', ARRAY['SAVEPOINT s', attack.presents(:'token'), 'ROLLBACK TO s', 'SELECT crm.user_id()::text']), '42501', 'nor is what a savepoint took back');

-- ---- forged, changed, cut off ----
SELECT decode(rpad(translate(substr(:'token', 11), '-_', '+/'), 120, '='), 'base64') AS bytes \gset
CREATE FUNCTION attack.token(bytes bytea) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'crm-token:' || rtrim(translate(replace(encode(bytes, 'base64'), E'\n', ''), '+/', '-_'), '=') $$;
SELECT attack.expect(attack.token(:'bytes') = :'token', 'the test writes tokens as they are written');
CREATE FUNCTION attack.present_many(login text, tokens text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE t text; m text;
BEGIN
    PERFORM dblink_connect('many', login);
    FOREACH t IN ARRAY tokens LOOP
        BEGIN
            PERFORM dblink_exec('many', 'BEGIN');
            SELECT x.v INTO m FROM dblink('many', format('SELECT crm.present_token(%L)', t)) AS x (v text);
            m := 'taken';
        EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS m = MESSAGE_TEXT; m := SQLSTATE || ' ' || m;
        END;
        PERFORM dblink_exec('many', 'ROLLBACK');
        RETURN NEXT m;
    END LOOP;
    PERFORM dblink_disconnect('many');
END
$$;
CREATE TABLE attack.tokens AS SELECT p.told FROM (SELECT array_agg(x.t) AS tokens FROM (
    SELECT attack.token(set_bit(:'bytes'::bytea, i, 1 - get_bit(:'bytes'::bytea, i))) AS t FROM generate_series(0, 88 * 8 - 1) AS i
    UNION ALL SELECT left(:'token', i) FROM generate_series(1, length(:'token') - 1) AS i
    UNION ALL SELECT :'token' || x FROM unnest('{A,=," ",AAAA,\n}'::text[]) AS x
    UNION ALL SELECT upper(:'token') UNION ALL SELECT attack.token(decode(repeat('00', 88), 'hex')) UNION ALL SELECT attack.token(decode(repeat('ff', 88), 'hex')) UNION ALL SELECT 'x'
    -- the signature of another token, the body of another one, another user's number with the old signature
    UNION ALL SELECT attack.token(overlay(:'bytes'::bytea PLACING int8send(:admin) FROM 17 FOR 8))
    UNION ALL SELECT attack.token(substring(:'bytes'::bytea FROM 1 FOR 56) || substring(decode(rpad(translate(substr(:'other', 11), '-_', '+/'), 120, '='), 'base64') FROM 57))) AS x) AS a,
    LATERAL attack.present_many(:'app', a.tokens) AS p (told);
SELECT attack.expect(count(*) > 800 AND count(*) FILTER (WHERE t.told !~ '^(CR601|CR603) ') = 0, count(*) || ' changed tokens, none is taken' || coalesce(string_agg(DISTINCT E'\n' || t.told, '') FILTER (WHERE t.told !~ '^(CR601|CR603) '), '')) FROM attack.tokens AS t;
SELECT attack.expect(count(*) FILTER (WHERE t.told ~ 'crm-token') = 0, 'no error shows a token') FROM attack.tokens AS t;

-- ---- expired, foreign, of nobody ----
SELECT pg_sleep(0.3) IS NOT NULL AS waited \gset
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'short')]), 'CR604', 'an expired one');
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'foreign_one')]), '42501', 'one of another company');
SELECT attack.starts(attack.runs(replace(:'app', 'attack_app', 'attack_app_2'), ARRAY[attack.presents(:'token')]), '42501', 'ours, by the application of another company');
SELECT attack.starts(attack.runs(replace(:'app', 'attack_app', r), ARRAY[attack.presents(:'manages')]), '42501', 'by ' || r || ', who is no application') FROM unnest('{attack_agent_1,attack_reader_1,attack_owner,attack_nobody}'::text[]) AS r;
SELECT attack.starts(attack.runs(:'app' || format(' options=''-c crm.session=%s''', :'token'), ARRAY['SELECT crm.user_id()::text']), '42501', 'at the beginning of a connection');
SELECT attack.expect(attack.runs(:'app', ARRAY[format('ALTER ROLE attack_app SET crm.session = %L', :'token')]) ~ '^(25P01|42501) ', 'as a setting of the role');
SELECT attack.expect(attack.runs(:'app', ARRAY[format('CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET crm.session = %L AS ''SELECT 1''', :'token')]) ~ '^(25P01|42501) ', 'as a setting of a function');

-- ---- widened ----
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'reads'), attack.presents(:'token')]), '25001', 'from reading to writing');
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'token'), attack.presents(:'manages')]), '25001', 'from an agent to a manager');
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'reads'), format('SELECT crm.issue_token(%s, now() + interval ''1 hour'')', :agent)]), '42501', 'a token by a token');
SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'token'), 'RESET ALL', 'SELECT crm.user_id()::text']) = :'agent', 'RESET ALL changes nothing');
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'token'), 'SELECT set_config(''crm.acting'', ''1/1/1/0/0'', true)']), '42501', 'crm.acting by hand');
SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'token'), 'SELECT current_setting(''crm.session'')']) = 'a token', 'nobody reads it back');

-- ---- scopes ----
SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'manager_reads'), 'SELECT count(*)::text FROM crm.accounts']) = (SELECT count(*)::text FROM crm.accounts AS a WHERE a.tenant_id = 1), 'a manager who only reads sees all');
CREATE TABLE attack.written AS SELECT w.q, w.told FROM (
    SELECT q, attack.runs(:'app', before || q) AS told FROM unnest(ARRAY['UPDATE crm.accounts SET name = ''x''', 'DELETE FROM crm.activities', 'INSERT INTO crm.accounts (name) VALUES (''x'')',
        'SELECT (crm.capture_lead(''{"name": "x"}'')).id::text', 'CREATE TEMP TABLE kept (a int)']) AS q,
    (VALUES (ARRAY[attack.presents(:'manager_reads')]), (ARRAY['SAVEPOINT s', attack.presents(:'manager_reads'), 'RELEASE s']), (ARRAY[attack.presents(:'manager_reads'), 'SAVEPOINT s', 'RELEASE s'])) AS v (before)
    WHERE NOT (q ~ 'TEMP' AND cardinality(before) > 1)) AS w;
SELECT attack.expect(count(*) >= 13 AND count(*) FILTER (WHERE w.told !~ '^(25006|42501) ') = 0, 'who only reads writes nothing' || coalesce(string_agg(E'\n' || w.q || ': ' || w.told, '') FILTER (WHERE w.told !~ '^(25006|42501) '), '')) FROM attack.written AS w;
SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'manager_reads'), 'SET TRANSACTION READ WRITE']) ~ '^25001', 'nor says that it writes');
SELECT count(*) AS before FROM crm.accounts \gset
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'tries'), 'INSERT INTO crm.accounts (name) VALUES (''tried'')', 'COMMIT']), 'CR606', 'who only tries commits nothing');
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'tries'), 'INSERT INTO crm.accounts (name) VALUES (''tried'')', 'RESET crm.session', 'COMMIT']), 'CR606', 'also after taking the token back');
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'tries'), 'INSERT INTO crm.accounts (name) VALUES (''tried'')', 'PREPARE TRANSACTION ''tried''']), 'CR606', 'nor prepares it');
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'tries'), 'INSERT INTO crm.accounts (name) VALUES (''tried'')']), 'INSERT 0 1', 'but does it');
SELECT attack.expect(count(*) = :before, 'nothing was kept') FROM crm.accounts;
SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'low'), 'SELECT crm.user_access()']) = 'reader', 'the highest level of a token');

-- ---- revoked, gone ----
SELECT attack.starts(attack.runs(replace(:'app', 'attack_app', 'attack_reader_1'), ARRAY[format('SELECT crm.revoke_user_tokens(%s)::text', :agent)]), '42501', 'a reader revokes nobody''s');
SELECT attack.starts(attack.runs(replace(:'app', 'attack_app', 'attack_admin_2'), ARRAY[format('SELECT crm.revoke_user_tokens(%s)::text', :agent)]), 'P0002', 'nor does the admin of another company');
SELECT dblink_connect('held', :'app') AS ok, dblink_exec('held', 'BEGIN') AS ok \gset
SELECT x.v AS presented FROM dblink('held', attack.presents(:'token')) AS x (v text) \gset
SELECT x.v = :'agent' AS served FROM dblink('held', 'SELECT crm.user_id()::text') AS x (v text) \gset
SET SESSION AUTHORIZATION attack_admin_1;
SELECT crm.revoke_user_tokens(:agent, 'left the telephone in a taxi') IS NOT NULL AS revoked \gset
RESET SESSION AUTHORIZATION;
CREATE FUNCTION attack.held(q text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE v text; BEGIN SELECT x.v INTO v FROM dblink('held', q) AS x (v text); RETURN v; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM; END $$;
SELECT attack.expect(:'served', 'before it was revoked');
SELECT attack.starts(attack.held('SELECT count(*)::text FROM crm.accounts'), 'CR605', 'a transaction under way');
SELECT dblink_disconnect('held') AS ok \gset
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(t)]), 'CR605', 'a replayed one') FROM unnest(ARRAY[:'token', :'other', :'reads']) AS t;
SET SESSION AUTHORIZATION attack_admin_1;
SELECT crm.issue_token(:agent, now() + interval '1 hour') AS again \gset
RESET SESSION AUTHORIZATION;
SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'again'), 'SELECT crm.user_id()::text']) = :'agent', 'one issued later');
UPDATE crm.users SET active = false WHERE id = :agent;
SELECT attack.starts(attack.runs(:'app', ARRAY[attack.presents(:'again')]), '42501', 'of somebody who has left');
UPDATE crm.users SET active = true WHERE id = :agent;

-- ---- who issues ----
CREATE FUNCTION attack.issues(who name, user_id bigint, rest text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', who);
    EXECUTE format('SELECT left(crm.issue_token(%s, now() + interval ''1 hour''%s), 10)', user_id, rest) INTO r;
    RESET ROLE;
    RETURN r;
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT attack.expect(attack.issues('attack_agent_1', :agent) = 'crm-token:' AND attack.issues('attack_admin_1', :agent) = 'crm-token:', 'users their own, admins those of their company');
SELECT attack.starts(attack.issues(w, u), '42501', w || ' for ' || u) FROM (VALUES ('attack_agent_1', :manager), ('attack_manager_1', :agent), ('attack_reader_1', :agent), ('attack_nobody', :agent)) AS v (w, u);
SELECT attack.expect(attack.issues('attack_admin_1', :stranger) ~ '^(02000|P0002|42501)', 'nobody for another company: ' || attack.issues('attack_admin_1', :stranger));
SELECT attack.starts(attack.issues('attack_admin_1', :agent, ', ''{fly}'''), '22023', 'an unknown scope');
SELECT attack.starts(attack.issues('attack_admin_1', :agent, ', ''{agent,admin}'''), '22023', 'two levels');

-- ---- workers of a parallel query are the user as well ----
SELECT attack.expect(attack.runs(:'app', ARRAY[attack.presents(:'again'), 'SET LOCAL max_parallel_workers_per_gather = 2', 'SET LOCAL parallel_setup_cost = 0', 'SET LOCAL parallel_tuple_cost = 0',
    'SET LOCAL min_parallel_table_scan_size = 0', 'SELECT count(*)::text FROM crm.activities']) = attack.runs(:'app', ARRAY[attack.presents(:'again'), 'SET LOCAL max_parallel_workers_per_gather = 0', 'SELECT count(*)::text FROM crm.activities']), 'in parallel the same');
