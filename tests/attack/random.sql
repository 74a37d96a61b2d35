-- long: 60 s
-- Random calls and writes as the owner, a manager, an agent and nobody of one company: functions of the catalogue with values
-- by the type of the argument, rows written into every table, under random settings. The server stays up, nothing says
-- "internal error", no number that is none comes out of numbers, no call hangs, and not one row of the other company changes.
-- What managers, agents and nobody do is kept now and then, so that later calls meet what earlier ones left behind.
--
--   ATTACK_CALLS=1000000 make test T=random      more of them (10,000 unless told otherwise); TEST_LIMIT=... with it
--   ATTACK_SEED=n                                others of them; a failure prints the seed that repeats it
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\ir ../helpers/edges.sql
\set QUIET 1
\getenv calls ATTACK_CALLS
\if :{?calls}
\else
\set calls 10000
\endif
\getenv seed ATTACK_SEED
\if :{?seed}
\else
\set seed 1
\endif

-- ---- what is drawn from ----
CREATE TABLE attack.pool (type text NOT NULL, k integer NOT NULL, literal text NOT NULL, PRIMARY KEY (type, k));
CREATE FUNCTION attack.fill_pool() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE r record;
BEGIN
    CREATE TEMP TABLE found (type text, literal text);
    INSERT INTO found SELECT e.type, e.literal FROM attack.edges AS e;
    INSERT INTO found SELECT l.type, l.literal FROM attack.literals AS l;
    FOR r IN SELECT c.oid::regclass AS relation, crm.column_exists(c.oid, 'id') AS has_id FROM pg_class AS c
             WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition LOOP
        INSERT INTO found VALUES ('regclass', r.relation::text), ('text', (SELECT c.relname FROM pg_class AS c WHERE c.oid = r.relation));
        -- records of both companies, own, hidden and foreign; their words; themselves as documents
        IF r.has_id AND crm.column_exists(r.relation, 'tenant_id') THEN
            EXECUTE format('INSERT INTO found SELECT ''bigint'', x.id::text FROM (SELECT t.id, row_number() OVER (PARTITION BY t.tenant_id ORDER BY hashint8(t.id::bigint)) AS n FROM %s AS t) AS x WHERE x.n <= 4', r.relation);
        END IF;
        EXECUTE format('INSERT INTO found SELECT ''jsonb'', left(to_jsonb(t)::text, 4000) FROM %s AS t WHERE length(to_jsonb(t)::text) < 4000 LIMIT 1', r.relation);
        EXECUTE format('INSERT INTO found SELECT ''text'', j.value #>> ''{}'' FROM (SELECT t FROM %s AS t LIMIT 2) AS x, jsonb_each(to_jsonb(x.t)) AS j (key, value)
                        WHERE jsonb_typeof(j.value) = ''string'' AND length(j.value #>> ''{}'') < 60 LIMIT 6', r.relation);
    END LOOP;
    INSERT INTO found SELECT 'bigint[]', format('{%s}', string_agg(f.literal, ',')) FROM (SELECT literal, row_number() OVER () AS n FROM found WHERE type = 'bigint') AS f GROUP BY f.n / 5;
    INSERT INTO found SELECT 'name', a.rolname FROM pg_roles AS a WHERE a.rolname ~ '^attack';
    INSERT INTO found SELECT 'daterange', x FROM unnest('{"(,2026-01-01)","[2026-01-01,infinity]","[-infinity,infinity]","[5874897-12-30,5874897-12-31)"}'::text[]) AS x;
    INSERT INTO found SELECT f.type, f.literal FROM found AS f WHERE f.type = 'jsonb' AND f.literal LIKE '{%';
    INSERT INTO attack.pool SELECT f.type, row_number() OVER (PARTITION BY f.type ORDER BY f.literal COLLATE "C"), f.literal FROM found AS f;
END
$$;
SELECT attack.fill_pool();
CREATE TABLE attack.sizes AS SELECT type, count(*)::integer AS n FROM attack.pool GROUP BY type;

CREATE TABLE attack.callable AS
SELECT f.function, f.defaults,
       ARRAY(SELECT format_type(t.type, NULL) FROM unnest(f.types) WITH ORDINALITY AS t (type, i) ORDER BY t.i) AS types,
       ARRAY(SELECT attack.argument(t.type, f.names[t.i], 'plain') FROM unnest(f.types) WITH ORDINALITY AS t (type, i) ORDER BY t.i) AS plain,
       ARRAY(SELECT attack.argument(t.type, f.names[t.i], 'other') FROM unnest(f.types) WITH ORDINALITY AS t (type, i) ORDER BY t.i) AS other,
       ARRAY(SELECT attack.argument(t.type, f.names[t.i], 'null') FROM unnest(f.types) WITH ORDINALITY AS t (type, i) ORDER BY t.i) AS missing
FROM attack.functions() AS f JOIN pg_proc AS p ON p.oid = f.function
WHERE p.proname NOT IN ('install', 'generate_demo', 'uninstall_check', 'prepare_owner');
CREATE TABLE attack.tables AS
SELECT c.oid::regclass AS relation, c.relkind IN ('r', 'p') AS writable,
       array_agg(quote_ident(a.attname) ORDER BY a.attnum) AS columns,
       array_agg(format_type(a.atttypid, NULL) ORDER BY a.attnum) AS types,
       array_agg(attack.argument(a.atttypid, c.relname || '.' || a.attname, 'plain') ORDER BY a.attnum) AS plain,
       array_agg(attack.argument(a.atttypid, c.relname || '.' || a.attname, 'null') ORDER BY a.attnum) AS missing,
       row_number() OVER (ORDER BY c.oid::regclass::text COLLATE "C") AS k
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
GROUP BY c.oid;
CREATE TABLE attack.settings AS
SELECT row_number() OVER (ORDER BY name, value) AS k, name, value FROM (
    SELECT s.name, v.value FROM pg_settings AS s, unnest('{"",0,1,2,-1,on,off,x,9223372036854775807}'::text[]) AS v (value) WHERE s.name LIKE 'crm.%' AND s.name <> 'crm.debug_discard_kept'
    UNION SELECT s.name, v.value FROM (VALUES ('TimeZone', '{Asia/Tehran,UTC,America/St_Johns,Pacific/Apia}'::text[]), ('DateStyle', '{"German, DMY","SQL, MDY","Postgres, YMD"}'), ('IntervalStyle', '{iso_8601,sql_standard}'),
        ('extra_float_digits', '{-15,3}'), ('bytea_output', '{escape}'), ('search_path', '{"",attack,"pg_temp, crm"}'), ('work_mem', '{64kB}'), ('row_security', '{off}'), ('xmloption', '{document}'),
        ('plan_cache_mode', '{force_generic_plan,force_custom_plan}'), ('quote_all_identifiers', '{on}'), ('default_transaction_read_only', '{on}'), ('transform_null_equals', '{on}'), ('array_nulls', '{off}'),
        ('enable_hashjoin', '{off}'), ('enable_seqscan', '{off}'), ('enable_nestloop', '{off}'), ('enable_sort', '{off}'), ('from_collapse_limit', '{1}'), ('check_function_bodies', '{off}')) AS s (name, list), unnest(s.list) AS v (value)) AS x;
CREATE TABLE attack.faults (role text, seed integer, n integer, statement text, settings text, state text, message text);
CREATE TABLE attack.counts (role text, seed integer, calls integer, succeeded integer, kept integer, at timestamptz DEFAULT clock_timestamp());
GRANT SELECT ON ALL TABLES IN SCHEMA attack TO PUBLIC;
GRANT INSERT ON attack.faults, attack.counts TO PUBLIC;

-- ---- drawing ----
CREATE FUNCTION attack.drawn(type text, plain text, missing text) RETURNS text LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    x CONSTANT double precision := random();
    place CONSTANT integer := 1 + floor(random() * (SELECT s.n FROM attack.sizes AS s WHERE s.type = drawn.type));
    value text;
BEGIN
    IF x < 0.05 THEN
        RETURN missing;
    ELSIF x < 0.5 THEN
        RETURN plain;
    END IF;
    SELECT p.literal INTO value FROM attack.pool AS p WHERE p.type = drawn.type AND p.k = place;
    -- rows, and types nothing was thought of for
    IF value IS NULL OR missing NOT LIKE 'NULL::%' THEN
        RETURN plain;
    END IF;
    RETURN format('%L::%s', value, substr(missing, 7));
END
$$;
CREATE FUNCTION attack.drawn_call() RETURNS text LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    f attack.callable;
    arguments text[];
    n integer := 1 + floor(random() * (SELECT count(*) FROM mine));
BEGIN
    SELECT c.* INTO STRICT f FROM mine AS m JOIN attack.callable AS c ON c.function = m.function WHERE m.k = n;
    n := cardinality(f.types) - CASE WHEN random() < 0.3 THEN floor(random() * (f.defaults + 1))::integer ELSE 0 END;
    FOR i IN 1 .. n LOOP
        arguments[i] := attack.drawn(f.types[i], CASE WHEN random() < 0.2 THEN f.other[i] ELSE f.plain[i] END, f.missing[i]);
    END LOOP;
    RETURN attack.call(f.function, coalesce(arguments, '{}'), f.plain[:n]);
END
$$;
CREATE FUNCTION attack.drawn_write() RETURNS text LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t attack.tables;
    x CONSTANT double precision := random();
    rows CONSTANT text := format('LIMIT %s OFFSET %s', 1 + floor(random() * 3), floor(random() * random() * 40));
    i integer := 1 + floor(random() * (SELECT count(*) FROM attack.tables));
    places integer[] := '{}';
    list text := '';
BEGIN
    SELECT y.* INTO STRICT t FROM attack.tables AS y WHERE y.k = i;
    IF NOT t.writable OR x < 0.1 THEN
        i := 1 + floor(random() * cardinality(t.columns))::integer;
        RETURN format('SELECT * FROM %s AS t WHERE t.%s = %s LIMIT 20', t.relation, t.columns[i], attack.drawn(t.types[i], t.plain[i], t.missing[i]));
    END IF;
    FOR c IN 1 .. 1 + floor(random() * 4)::integer LOOP
        places := places || (1 + floor(random() * cardinality(t.columns)))::integer;
    END LOOP;
    IF x < 0.5 THEN
        FOR c IN 1 .. cardinality(t.columns) LOOP
            CONTINUE WHEN c <> ALL (places);
            list := concat_ws(', ', nullif(list, ''), t.columns[c] || ' = ' || attack.drawn(t.types[c], t.plain[c], t.missing[c]));
        END LOOP;
        RETURN format('UPDATE %s AS t SET %s WHERE t.ctid = ANY (ARRAY(SELECT r.ctid FROM %1$s AS r %3$s))', t.relation, list, rows);
    ELSIF x < 0.6 THEN
        RETURN format('DELETE FROM %s AS t WHERE t.ctid = ANY (ARRAY(SELECT r.ctid FROM %1$s AS r %2$s))', t.relation, rows);
    ELSIF x < 0.8 THEN
        -- a row like another, but for its number and some columns
        SELECT string_agg(CASE WHEN g.c = ANY (places) THEN attack.drawn(t.types[g.c], t.plain[g.c], t.missing[g.c]) ELSE 'r.' || t.columns[g.c] END, ', ' ORDER BY g.c) INTO list
        FROM generate_series(1, cardinality(t.columns)) AS g (c) WHERE t.columns[g.c] <> 'id';
        RETURN format('INSERT INTO %s (%s) SELECT %s FROM %1$s AS r %4$s', t.relation, array_to_string(array_remove(t.columns, 'id'), ', '), list, rows);
    END IF;
    SELECT string_agg(t.columns[g.c], ', ' ORDER BY g.c) || ') VALUES (' || string_agg(attack.drawn(t.types[g.c], t.plain[g.c], t.missing[g.c]), ', ' ORDER BY g.c) INTO list
    FROM generate_series(1, cardinality(t.columns)) AS g (c) WHERE g.c = ANY (places) OR hashint4(places[1] * 100 + g.c) % 2 = 0;
    RETURN format('INSERT INTO %s (%s)', t.relation, list);
END
$$;

-- A few dozen statements, one after the other. What is not kept is undone at once.
CREATE FUNCTION attack.random_calls(seed integer, calls integer, keeps double precision) RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statement text; settings text; s attack.settings; result text; keep boolean;
    state text; message text; place integer; began timestamptz; succeeded integer := 0; kept integer := 0;
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS mine AS
    SELECT c.function, row_number() OVER (ORDER BY c.function::regprocedure::text COLLATE "C") AS k FROM attack.callable AS c WHERE has_function_privilege(c.function, 'EXECUTE') OR random() < 0.05;
    FOR n IN 1 .. calls LOOP
        -- what is called draws numbers too
        PERFORM setseed(2 * ((hashint8(seed * 1000::bigint + n) & 1048575) / 1048576.0) - 1);
        statement := CASE WHEN random() < 0.6 THEN attack.drawn_call() ELSE attack.drawn_write() END;
        keep := random() < keeps AND statement !~ 'NaN';
        state := NULL; settings := NULL;
        began := clock_timestamp();
        BEGIN
            WHILE random() < 0.15 LOOP
                place := 1 + floor(random() * (SELECT count(*) FROM attack.settings));
                SELECT x.* INTO STRICT s FROM attack.settings AS x WHERE x.k = place;
                settings := concat_ws('; ', settings, s.name || ' = ' || s.value);
                BEGIN PERFORM set_config(s.name, s.value, true); EXCEPTION WHEN OTHERS THEN NULL; END;
            END LOOP;
            IF statement LIKE 'SELECT%' THEN
                EXECUTE format('SELECT left(string_agg(y::text, '' ''), 100000) FROM (%s) AS y', statement) INTO result;
                IF statement !~ 'NaN' AND replace(result, '''NaN''', '') ~ '\mNaN\M' THEN
                    state := 'NaN'; message := left(result, 200);
                END IF;
            ELSE
                EXECUTE statement;
            END IF;
            SET CONSTRAINTS ALL IMMEDIATE;
            succeeded := succeeded + 1;
            IF NOT keep OR settings IS NOT NULL THEN
                RAISE SQLSTATE 'ATT00';
            END IF;
            kept := kept + 1;
        EXCEPTION WHEN SQLSTATE 'ATT00' THEN NULL;
        WHEN query_canceled THEN
            state := 'stopped'; message := SQLERRM;
        WHEN OTHERS THEN
            IF SQLSTATE LIKE 'XX%' OR SQLSTATE IN ('53200', 'P0004', '54001') AND statement !~ '\[\[\[' THEN
                state := SQLSTATE; message := SQLERRM;
            END IF;
        END;
        IF state IS NULL AND clock_timestamp() - began > interval '10 s' THEN
            state := 'slow'; message := (clock_timestamp() - began)::text;
        END IF;
        IF state IS NOT NULL THEN
            INSERT INTO attack.faults VALUES (session_user, seed, n, left(statement, 2000), settings, state, message);
        END IF;
        EXIT WHEN state = 'stopped';
    END LOOP;
    INSERT INTO attack.counts VALUES (session_user, seed, calls, succeeded, kept);
END
$$;

-- All rows of a company.
CREATE FUNCTION attack.checksums(tenant bigint) RETURNS TABLE (relation regclass, rows bigint, sum text) LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    FOR relation IN SELECT a.attrelid::regclass FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
                    WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attname = 'tenant_id' AND NOT a.attisdropped LOOP
        EXECUTE format('SELECT count(*), sum(hashtextextended(t::text, 0))::text FROM %s AS t WHERE t.tenant_id = $1', relation) INTO rows, sum USING tenant;
        RETURN NEXT;
    END LOOP;
END
$$;
CREATE TABLE attack.before AS SELECT * FROM attack.checksums(:second);

-- ---- the attack ----
ALTER DATABASE :DBNAME SET statement_timeout = '60s';

SELECT format('SET SESSION AUTHORIZATION %I; DISCARD TEMP; SET crm.tenant = ''1''; SET statement_timeout = ''60s''; SET jit = off; ', w.role)
       || string_agg(format('SELECT attack.random_calls(%s, 50, %s);', :seed * 100000 + w.n * 20000 + g, w.keeps), ' ' ORDER BY g) || ' RESET SESSION AUTHORIZATION'
FROM (VALUES (1, 'attack_owner', 0.3, 0), (2, 'attack_agent_1', 0.4, 0.3), (3, 'attack_manager_1', 0.2, 0.3), (4, 'attack_nobody', 0.1, 0.3)) AS w (n, role, share, keeps), generate_series(1, ceil(:calls * w.share / 50)::integer) AS g
GROUP BY w.n, w.role, w.keeps ORDER BY w.n \gexec
RESET SESSION AUTHORIZATION;

SELECT role, sum(calls) AS calls, sum(succeeded) AS succeeded, sum(kept) AS kept FROM attack.counts GROUP BY role ORDER BY role;
SELECT role, seed, n, state, message, settings, statement FROM attack.faults ORDER BY state, seed, n LIMIT 40;
SELECT attack.expect(NOT EXISTS (SELECT FROM attack.faults), format('%s random calls and writes (ATTACK_SEED=%s): no internal error, no NaN from numbers, nothing slow', sum(calls), :'seed')) FROM attack.counts;
SELECT attack.expect(sum(succeeded) > 0.15 * sum(calls) AND sum(kept) > 0.01 * sum(calls), 'a good part of them did something') FROM attack.counts;
SELECT attack.expect(count(*) = 0, 'no row of the other company changed: ' || coalesce(string_agg(relation::text, ', '), 'none'))
FROM (SELECT relation FROM (TABLE attack.before EXCEPT SELECT * FROM attack.checksums(:second)) AS x) AS y;
SELECT attack.expect(count(*) = 0, 'rollups give what their rows do: ' || coalesce(string_agg(DISTINCT r.name, ', '), 'all')) FROM crm.rollups AS r, crm.verify_rollup(r.name);
