-- long: 60 s
-- NULL in every place, and values from the edge of every type: whatever is called, the server stays up, nothing says "internal
-- error", no call runs for long, and what comes out is a number where what went in was one. Functions of the extension, in C and
-- aggregates, get each value in each place; those in SQL some at once. Triggers are called by hand and put onto tables that
-- are not theirs; models and states that were kept somewhere come back with parts missing.
-- A sample of the values in C and of the triggers, the same each time; all of them with ATTACK_FULL=1 make test T=extremes.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1
\getenv full ATTACK_FULL
\if :{?full}
\else
\set full 0
\endif
CREATE FUNCTION attack.sampled(what text, one_in integer) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN (current_setting('attack.every_value') = '1' OR abs(hashtext(what)) % one_in = 0);
SELECT format('ALTER DATABASE %I SET attack.every_value = %L', current_database(), :'full') \gexec
SET attack.every_value = :'full';

\ir ../helpers/edges.sql

-- The calls of one function: a list of statements, with whether a number that is none went in.
CREATE FUNCTION attack.probes(function oid) RETURNS TABLE (statement text, nan boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH f AS MATERIALIZED (
        SELECT f.*, p.prolang IN (SELECT l.oid FROM pg_language AS l WHERE l.lanname IN ('c', 'internal')) AS in_c,
               ARRAY(SELECT attack.argument(t.type, f.names[t.i], 'plain') FROM unnest(f.types) WITH ORDINALITY AS t (type, i) ORDER BY t.i) AS plain,
               ARRAY(SELECT attack.argument(t.type, f.names[t.i], 'null') FROM unnest(f.types) WITH ORDINALITY AS t (type, i) ORDER BY t.i) AS missing
        FROM attack.functions() AS f JOIN pg_proc AS p ON p.oid = f.function
        WHERE f.function = probes.function
    ), e AS MATERIALIZED (
        -- the edges of each argument
        SELECT t.i, format('%L::%s', x.literal, regexp_replace(f.missing[t.i], '^NULL::', '')) AS literal, row_number() OVER (PARTITION BY t.i ORDER BY x.literal) AS k
        FROM f, unnest(f.types) WITH ORDINALITY AS t (type, i), attack.edges AS x
        WHERE x.type = format_type(t.type, NULL) AND f.missing[t.i] LIKE 'NULL::%'
    ), a AS (
        SELECT f.plain AS arguments FROM f
        UNION SELECT f.missing FROM f
        -- one missing; two missing
        UNION SELECT f.plain[:i - 1] || f.missing[i] || f.plain[i + 1:] FROM f, generate_series(1, cardinality(f.plain)) AS i
        UNION SELECT f.plain[:i - 1] || f.missing[i] || f.plain[i + 1:j - 1] || f.missing[j] || f.plain[j + 1:] FROM f, generate_series(1, cardinality(f.plain)) AS i, generate_series(i + 1, cardinality(f.plain)) AS j WHERE f.in_c AND cardinality(f.plain) < 9 AND attack.sampled(concat(i, ' ', j, f.function), 2)
        -- each edge in each place
        UNION SELECT f.plain[:e.i - 1] || e.literal || f.plain[e.i + 1:] FROM f, e WHERE f.in_c AND attack.sampled(e.literal || e.i || f.function, 4)
        -- edges in all places
        UNION SELECT ARRAY(SELECT coalesce((SELECT e.literal FROM e WHERE e.i = g.i AND e.k = 1 + (s.shift + g.i * s.step) % (SELECT count(*) FROM e AS c WHERE c.i = g.i)), f.plain[g.i])
                           FROM generate_series(1, cardinality(f.plain)) AS g (i) ORDER BY g.i)
        FROM f, generate_series(0, 9) AS c (shift), generate_series(0, 1) AS d (step), LATERAL (SELECT c.shift, d.step) AS s WHERE CASE WHEN f.in_c THEN attack.sampled(concat(s.shift, ' ', s.step, f.function), 2) ELSE s.shift < 2 END
    )
    SELECT attack.call(probes.function, a.arguments, f.plain), array_to_string(a.arguments, ' ') ~ 'NaN' FROM a, f
$$;

CREATE TABLE attack.faults (function text, statement text, state text, message text, seconds numeric);
CREATE TABLE attack.counts (function text, calls bigint, succeeded bigint, at timestamptz DEFAULT clock_timestamp());
GRANT ALL ON attack.faults, attack.counts TO PUBLIC;

-- Runs a list of statements, undoes each, and notes what must not be. Returns how many succeeded.
CREATE FUNCTION attack.try(function text, statements text[], nan boolean[]) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n integer; result text; began timestamptz; seconds numeric; succeeded bigint := 0; state text; message text;
BEGIN
    FOR n IN 1 .. coalesce(cardinality(statements), 0) LOOP
        began := clock_timestamp();
        state := NULL;
        BEGIN
            EXECUTE format('SELECT left(string_agg(y::text, '' ''), 100000) FROM (%s) AS y', statements[n]) INTO result;
            RAISE SQLSTATE 'ATT00';
        EXCEPTION WHEN SQLSTATE 'ATT00' THEN
            succeeded := succeeded + 1;
            -- in quotes it is the text of a constraint
            IF NOT nan[n] AND replace(result, '''NaN''', '') ~ '\mNaN\M' THEN
                state := 'NaN'; message := left(result, 100);
            END IF;
        WHEN query_canceled THEN
            state := 'stopped'; message := SQLERRM;
        WHEN OTHERS THEN
            IF SQLSTATE LIKE 'XX%' OR SQLSTATE IN ('53200', 'P0004') THEN
                state := SQLSTATE; message := SQLERRM;
            END IF;
        END;
        seconds := extract(epoch FROM clock_timestamp() - began);
        IF state IS NULL AND seconds > 10 THEN
            state := 'slow'; message := seconds || ' s';
        END IF;
        IF state IS NOT NULL THEN
            INSERT INTO attack.faults VALUES (function, left(statements[n], 1000), state, message, seconds);
        END IF;
        -- the limit of this statement is used up
        EXIT WHEN state = 'stopped';
    END LOOP;
    INSERT INTO attack.counts VALUES (function, cardinality(statements), succeeded);
    RETURN succeeded;
END
$$;
CREATE FUNCTION attack.probe(function regprocedure) RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ SELECT attack.try(function::text, array_agg(p.statement), array_agg(p.nan)) FROM attack.probes(function) AS p $$;

-- ---- documents and states that were kept and come back damaged ----
CREATE TABLE attack.documents (name text, document jsonb);
GRANT ALL ON attack.documents TO PUBLIC;
CREATE FUNCTION attack.damaged(document jsonb) RETURNS SETOF jsonb LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE p AS (
        SELECT ARRAY[]::text[] AS path, document AS at
        UNION ALL
        SELECT p.path || c.key, c.value
        FROM p, LATERAL (SELECT o.key, o.value FROM jsonb_each(CASE WHEN jsonb_typeof(p.at) = 'object' THEN p.at ELSE '{}' END) AS o
                         UNION ALL SELECT (a.i - 1)::text, a.value FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p.at) = 'array' THEN p.at ELSE '[]' END) WITH ORDINALITY AS a (value, i) WHERE a.i <= 3) AS c
        WHERE cardinality(p.path) < 6
    ), place AS (
        SELECT p.path FROM p WHERE p.path <> '{}' ORDER BY cardinality(p.path), p.path LIMIT 60
    )
    SELECT document #- s.path FROM place AS s
    UNION SELECT jsonb_set(document, s.path, v.value::jsonb)
    FROM place AS s JOIN unnest(ARRAY['null', '"x"', '1e400', '-1', '0', '1e15', '0.5', '[]', '{}', 'true', '[null, 1]', '[[1, 2], [3]]', '{"a": null}', '""']) AS v (value) ON attack.sampled(s.path::text || v.value, 6)
    UNION SELECT jsonb_set(document, s.path, document) FROM place AS s WHERE cardinality(s.path) = 1
$$;
-- A function that takes one of the documents is given all damaged forms of it in the same place.
CREATE FUNCTION attack.damage(function regprocedure) RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    f record; d record; arguments text[]; i integer; n bigint := 0; fits text[];
BEGIN
    SELECT x.*, ARRAY(SELECT attack.argument(t.type, x.names[t.i], 'plain') FROM unnest(x.types) WITH ORDINALITY AS t (type, i) ORDER BY t.i) AS plain
    INTO STRICT f FROM attack.functions() AS x WHERE x.function = damage.function;
    FOR i IN 1 .. cardinality(f.types) LOOP
        CONTINUE WHEN f.types[i] <> 'jsonb'::regtype;
        fits := '{}';
        FOR d IN SELECT * FROM attack.documents LOOP
            arguments := f.plain[:i - 1] || format('%L::pg_catalog.jsonb', d.document) || f.plain[i + 1:];
            BEGIN
                EXECUTE attack.call(damage.function, arguments, arguments);
                fits := fits || d.name;
                RAISE SQLSTATE 'ATT00';
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
        END LOOP;
        -- what takes everything looks into nothing
        FOR d IN SELECT * FROM attack.documents AS o WHERE o.name = ANY (fits) ORDER BY o.name LIMIT CASE WHEN cardinality(fits) > 5 THEN 1 END LOOP
            n := n + (SELECT attack.try(damage.function::text, array_agg(attack.call(damage.function, x.arguments, x.arguments)), array_agg(false))
                      FROM (SELECT f.plain[:i - 1] || format('%L::pg_catalog.jsonb', b) || f.plain[i + 1:] AS arguments FROM attack.damaged(d.document) AS b) AS x);
        END LOOP;
    END LOOP;
    RETURN n;
END
$$;
-- The same for states of scores: each byte another, and cut off everywhere.
CREATE FUNCTION attack.damage_state(function regprocedure, definition jsonb, state bytea) RETURNS bigint LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
    WITH f AS MATERIALIZED (
        -- NULL where the state goes
        SELECT ARRAY(SELECT CASE WHEN t.type = 'bytea'::regtype THEN NULL
                                 WHEN t.type = 'jsonb'::regtype THEN format('%L::pg_catalog.jsonb', CASE WHEN x.names[t.i] ~ 'definition$' THEN definition ELSE '{"size": 3}' END)
                                 ELSE attack.argument(t.type, x.names[t.i], 'plain') END
                     FROM unnest(x.types) WITH ORDINALITY AS t (type, i) ORDER BY t.i) AS arguments
        FROM attack.functions() AS x WHERE x.function = damage_state.function
    ), b AS (
        SELECT set_byte(damage_state.state, i, v) AS state FROM generate_series(0, length(damage_state.state) - 1) AS i, unnest('{0,127,255}'::integer[]) AS v WHERE attack.sampled(concat(i, ' ', v), 3)
        UNION SELECT substr(damage_state.state, 1, i) FROM generate_series(0, length(damage_state.state)) AS i WHERE attack.sampled(i::text, 2)
        UNION SELECT damage_state.state || damage_state.state
    )
    SELECT attack.try(damage_state.function::text,
                      array_agg(attack.call(damage_state.function, array_replace(f.arguments, NULL, format('%L::pg_catalog.bytea', b.state)), array_replace(f.arguments, NULL, format('%L::pg_catalog.bytea', b.state)))),
                      array_agg(false))
    FROM f, b
$$;

GRANT USAGE ON SCHEMA attack TO attack_owner;
GRANT ALL ON ALL TABLES IN SCHEMA attack TO attack_owner;
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
SET statement_timeout = '60s';
-- a function a statement, so that the server's log names the one it died of
SELECT format('SELECT attack.probe(%L);', f.function::regprocedure) FROM attack.functions() AS f JOIN pg_proc AS p ON p.oid = f.function
WHERE has_function_privilege(f.function, 'EXECUTE') AND p.proname NOT IN ('install', 'generate_demo', 'uninstall_check', 'prepare_owner')
ORDER BY f.function::regprocedure::text COLLATE "C" \gexec
-- models, states and definitions
INSERT INTO attack.documents
SELECT 'encoding', crm.encoding_fit(jsonb_build_object('source', CASE WHEN i % 3 = 0 THEN 'web' ELSE 'fair' END, 'size', i % 7), 2) FROM generate_series(1, 60) AS i
UNION ALL SELECT 'bayes', crm.naive_bayes_fit((i % 2)::float8, ARRAY[CASE WHEN i % 3 = 0 THEN 'web' ELSE 'fair' END, 'b' || i % 2], 1) FROM generate_series(1, 60) AS i
UNION ALL SELECT 'odds', crm.deal_odds_fit('a', 1 + i % 3, i % 2 = 0, jsonb_build_object('source', CASE WHEN i % 3 = 0 THEN 'web' ELSE 'fair' END)) FROM generate_series(1, 200) AS i
UNION ALL SELECT 'points', '{"min": 0, "max": 100, "hysteresis": 2, "rules": [{"name": "size", "when": "$.size > 2", "points": 5, "group": "firm"},
    {"name": "open", "event": "open", "points": 10, "decay": "half_life", "period": "10 days", "repeat": "limited", "times": 3, "window": "1 day"},
    {"name": "read", "event": "read", "points": 4, "decay": "linear", "period": "30 days", "repeat": "once_per_object"}, {"name": "left", "event": "left", "points": -20, "cap": 40, "decay": "step", "period": "5 days", "share": 0.3}],
    "groups": {"firm": {"cap": 30}}, "thresholds": [{"name": "warm", "enter": 10, "leave": 8}]}'
UNION ALL SELECT 'calendar', '{"zone": "Europe/Berlin", "weekly": {"mon": [["09:00", "17:00"]], "tue": [["09:00", "12:00"], ["13:00", "17:00"]]}, "special": {"2026-12-24": [["09:00", "12:00"]]}}'
UNION ALL SELECT 'chart', '[{"label": "a", "value": 1}, {"label": "b", "value": -2.5}]'
UNION ALL SELECT 'series', '{"labels": ["a", "b"], "series": [{"name": "x", "values": [1, 2]}, {"name": "y", "values": [3, null]}]}'
UNION ALL SELECT 'segment', '{"name": "probe", "subject_table": "leads", "where": "$.name != \"\"", "parts": []}'
UNION ALL SELECT 'lead', '{"name": "Probe", "email": "probe@example.com", "company": "Probe Ltd", "tags": ["a"], "custom": {}}'
UNION ALL SELECT 'pipeline', '{"name": "Probe", "subject_table": "opportunities", "stages": [{"code": "a", "name": "A", "type": "open", "probability": 10}, {"code": "b", "name": "B", "type": "won"}], "transitions": [{"from": "a", "to": "b"}]}';
SELECT format('SELECT attack.damage(%L);', f.function::regprocedure) FROM attack.functions() AS f JOIN pg_proc AS p ON p.oid = f.function
WHERE has_function_privilege(f.function, 'EXECUTE') AND 'jsonb'::regtype = ANY (f.types) ORDER BY f.function::regprocedure::text COLLATE "C" \gexec
SELECT d.document AS definition, crm.points_replay(d.document, e.kind, e.object, timestamptz '2026-01-01' + e.n * interval '7 hours', '{}') AS state
FROM attack.documents AS d, (VALUES ('open', 'a', 1), ('open', 'b', 2), ('read', 'a', 3), ('read', 'b', 4), ('left', NULL, 5), ('open', 'c', 6)) AS e (kind, object, n)
WHERE d.name = 'points' GROUP BY 1 \gset
SELECT format('SELECT attack.damage_state(%L, %L, %L);', f.function::regprocedure, :'definition', :'state') FROM attack.functions() AS f
WHERE has_function_privilege(f.function, 'EXECUTE') AND 'bytea'::regtype = ANY (f.types) ORDER BY f.function::regprocedure::text COLLATE "C" \gexec
RESET statement_timeout;

RESET SESSION AUTHORIZATION;

-- ---- triggers ----
-- Called by hand, and put onto a table whose columns have the right names and the wrong types, at every time and level.
CREATE FUNCTION attack.by_hand() RETURNS void LANGUAGE plpgsql
AS $$
DECLARE f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_proc AS p WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace) AND p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) LOOP
        BEGIN
            EXECUTE format('SELECT %s', f);
            RAISE SQLSTATE 'ATT00';
        EXCEPTION WHEN OTHERS THEN
            IF SQLSTATE LIKE 'XX%' OR SQLSTATE = 'ATT00' THEN
                INSERT INTO attack.faults VALUES (f::text, 'called by hand', SQLSTATE, SQLERRM);
            END IF;
        END;
    END LOOP;
END
$$;
SELECT attack.by_hand();
CREATE FUNCTION attack.misplace(function regprocedure) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    there text := '';
    timing text; level text; arguments text; columns text; statement text; filled text; calls bigint := 0; faults text[] := '{}';
BEGIN
    -- one subtransaction around all, so that nothing is left for the end of the transaction
    BEGIN
        FOR columns, timing, level, arguments IN
            SELECT c.c, t, l, a
            -- nothing it knows; and the columns of the tables it is for, all of one type that is not theirs
            FROM (SELECT 'x integer' AS c
                  UNION SELECT string_agg(format('%I %s', n.name, y.type), ', ')
                  FROM (SELECT DISTINCT x.attname AS name FROM pg_trigger AS g JOIN pg_attribute AS x ON x.attrelid = g.tgrelid AND x.attnum > 0 AND NOT x.attisdropped
                        WHERE g.tgfoid = function) AS n, unnest('{bigint,text,jsonb,boolean}'::text[]) AS y (type) GROUP BY y.type) AS c,
                 unnest('{BEFORE,AFTER}'::text[]) AS t, unnest('{ROW,STATEMENT}'::text[]) AS l,
                 unnest(ARRAY['', '''x''', '''parent_id''', '''1''', '''tenant_id'', ''parent_id'', ''name''']) AS a
            WHERE attack.sampled(concat(function, t, l, a, left(split_part(c.c, ' ', 2), 7)), CASE WHEN c.c = 'x integer' THEN 2 ELSE 8 END) ORDER BY c.c LOOP
            -- what is done with a table is undone, so that it serves every trigger of its columns
            IF there <> columns THEN
                DROP TABLE IF EXISTS attack.stranger;
                EXECUTE format('CREATE TABLE attack.stranger (%s)', columns);
                there := columns;
            END IF;
            BEGIN
                filled := (SELECT format('INSERT INTO attack.stranger VALUES (%s)',
                                         string_agg(CASE a.atttypid WHEN 'jsonb'::regtype THEN '''{"a": 1}''' WHEN 'boolean'::regtype THEN 'true' ELSE '7' END, ', '))
                           FROM pg_attribute AS a WHERE a.attrelid = 'attack.stranger'::regclass AND a.attnum > 0);
                EXECUTE filled;
                EXECUTE format('CREATE TRIGGER misplaced %s INSERT OR UPDATE OR DELETE ON attack.stranger FOR EACH %s EXECUTE FUNCTION %s(%s)',
                               timing, level, split_part(function::text, '(', 1), arguments);
                FOREACH statement IN ARRAY ARRAY[replace(filled, '%', '%%')] || '{"INSERT INTO attack.stranger DEFAULT VALUES","UPDATE attack.stranger SET %I = NULL","UPDATE attack.stranger SET %1$I = %1$I","DELETE FROM attack.stranger"}'::text[] LOOP
                    calls := calls + 1;
                    BEGIN
                        EXECUTE format(statement, (SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = 'attack.stranger'::regclass AND a.attnum = 1));
                        SET CONSTRAINTS ALL IMMEDIATE;
                    EXCEPTION WHEN OTHERS THEN
                        IF SQLSTATE LIKE 'XX%' THEN
                            faults := faults || concat_ws(' ', timing, level, arguments, left(columns, 20), statement, SQLSTATE, SQLERRM);
                        END IF;
                    END;
                END LOOP;
                RAISE SQLSTATE 'ATT00';
            EXCEPTION WHEN OTHERS THEN
                IF SQLSTATE LIKE 'XX%' THEN
                    faults := faults || concat_ws(' ', timing, level, arguments, left(columns, 20), SQLSTATE, SQLERRM);
                END IF;
            END;
        END LOOP;
        RAISE SQLSTATE 'ATT00';
    EXCEPTION WHEN SQLSTATE 'ATT00' THEN NULL;
    END;
    INSERT INTO attack.faults SELECT function::text, f, 'trigger', f FROM unnest(faults) AS f;
    INSERT INTO attack.counts VALUES (function::text, calls, 0);
END
$$;
SELECT format('SELECT attack.misplace(%L);', p.oid::regprocedure) FROM pg_proc AS p
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace) AND p.prorettype = 'trigger'::regtype ORDER BY p.oid::regprocedure::text COLLATE "C" \gexec

SELECT count(DISTINCT function) AS functions, sum(calls) AS calls, sum(succeeded) AS succeeded FROM attack.counts;
SELECT function, state, count(*) AS times, min(statement) AS example, min(message) AS message FROM attack.faults GROUP BY function, state ORDER BY function, state;
SELECT attack.expect(NOT EXISTS (SELECT FROM attack.faults), 'no internal error, no NaN from numbers, nothing slow');
