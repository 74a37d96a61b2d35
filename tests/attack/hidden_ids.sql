-- long: 20 s
-- Functions with the rights of the owner, called by an agent with ids of records the agent does not see: of every kind, in
-- every place for an id. No hidden row is changed or gone, none is told, nothing is written about one.
-- The functions are those of the catalogue.
\ir ../helpers/walls.sql
SET jit = off;
-- every hidden row says that it is
DO $$
DECLARE c record;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR c IN SELECT r.relation, a.attname FROM crm.registry AS r JOIN pg_attribute AS a ON a.attrelid = r.relation
             WHERE r.class IN ('owned', 'child') AND a.attname IN ('name', 'subject', 'body', 'note', 'value', 'title', 'email', 'company') AND a.attgenerated = '' AND NOT a.attisdropped LOOP
        -- the ctid of a row changes with it, so what is allowed goes along
        EXECUTE format('WITH o AS MATERIALIZED (SELECT DISTINCT t.ctid AS was, t.%3$s AS id FROM %1$s AS t JOIN attack.allowed AS a ON a.relation = %1$L::regclass AND a.row_id = t.ctid AND a.role = ''attack_agent_1'' AND NOT a.sees WHERE t.%2$I IS NOT NULL),
                        n AS (UPDATE %1$s AS t SET %2$I = ''HIDDEN'' || o.id FROM o WHERE t.ctid = o.was RETURNING o.was, t.ctid AS is_now)
                        UPDATE attack.allowed AS a SET row_id = n.is_now FROM n WHERE a.relation = %1$L::regclass AND a.row_id = n.was',
                       c.relation, c.attname, CASE WHEN crm.column_exists(c.relation, 'id') THEN 'id' ELSE 'tenant_id' END);
    END LOOP;
END
$$;
INSERT INTO crm.surveys (tenant_id, code, kind, question) VALUES (1, 'probe', 'nps', '{"en": "How?"}');
INSERT INTO crm.segments (tenant_id, name, subject_table, kind, definition) SELECT 1, 'probe_' || t, t, 'static', '{}' FROM unnest('{leads,accounts,contacts}'::text[]) AS t;
INSERT INTO crm.assignment_rules (tenant_id, name, subject_table, position, method, user_ids, respect_hours)
SELECT 1, 'probe ' || r.subject, r.subject, 1, 'round_robin', ARRAY[u.id], false FROM crm.registered_as('assignment') AS r, crm.users AS u WHERE u.db_role = 'attack_agent_1';
INSERT INTO crm.agents (tenant_id, user_id, capacity, status) SELECT 1, u.id, 10000, 'available' FROM crm.users AS u WHERE u.db_role = 'attack_agent_1' ON CONFLICT (tenant_id, user_id) DO UPDATE SET capacity = 10000;

-- ---- calls ----
CREATE TABLE attack.hidden AS
SELECT r.subject, a.relation, (xpath('/row/id/text()', query_to_xml(format('SELECT id FROM %s WHERE ctid = %L', a.relation, min(a.row_id)), false, true, '')))[1]::text AS id
FROM attack.allowed AS a JOIN crm.registry AS r ON r.relation = a.relation
WHERE a.role = 'attack_agent_1' AND NOT a.sees AND r.class IN ('owned', 'child') AND crm.column_exists(a.relation, 'id') GROUP BY 1, 2;
SELECT attack.expect(count(*) >= 12, 'hidden records of many kinds: ' || count(*)) FROM attack.hidden;
CREATE TABLE attack.hidden_calls AS
WITH f AS (
    SELECT p.oid, p.proname, x.names, x.types, p.pronargdefaults FROM pg_proc AS p JOIN attack.functions() AS x ON x.function = p.oid
    WHERE p.prosecdef AND has_function_privilege('attack_agent_1', p.oid, 'EXECUTE')
), places AS (
    SELECT f.*, i FROM f, generate_series(1, cardinality(f.types)) AS i WHERE f.types[i] IN ('bigint'::regtype, 'bigint[]'::regtype)
)
SELECT row_number() OVER () AS n, p.proname, h.subject, s.statement
FROM places AS p CROSS JOIN attack.hidden AS h CROSS JOIN (VALUES ('plain'), ('short'), ('null')) AS k (kind)
CROSS JOIN LATERAL (SELECT attack.call(p.oid, array_agg(
    CASE WHEN j = p.i AND p.types[j] = 'bigint'::regtype THEN format('%L::pg_catalog.int8', h.id)
         WHEN j = p.i THEN format('ARRAY[%s]::pg_catalog.int8[]', h.id)
         WHEN p.names[j] ~ '\.subject_(table|type)$' THEN format('%L::pg_catalog.text', h.subject)
         WHEN p.names[j] ~ '\.segment$' THEN format('%L::pg_catalog.text', 'probe_' || h.subject)
         -- what is of the other ids is one the agent may change
         WHEN p.types[j] = 'bigint'::regtype AND k.kind = 'plain' AND p.names[j] ~ 'lead_id|source_id|target_id' THEN
             '(SELECT min(id) FROM crm.leads WHERE closed_at IS NULL AND crm.can_change_row(''crm.leads'', id))'
         ELSE attack.argument(p.types[j], p.names[j], CASE k.kind WHEN 'short' THEN 'plain' ELSE k.kind END) END ORDER BY j)) AS statement
    FROM generate_series(1, CASE WHEN k.kind = 'short' THEN greatest(p.i, cardinality(p.types) - p.pronargdefaults) ELSE cardinality(p.types) END) AS j) AS s;
SELECT attack.expect(count(*) > 200 AND count(DISTINCT proname) > 12, 'calls: ' || count(*) || ' of ' || count(DISTINCT proname) || ' functions') FROM attack.hidden_calls;

CREATE TABLE attack.findings (call text, what text);
CREATE FUNCTION attack.watch(call record, OUT state text, OUT wrote bigint) LANGUAGE plpgsql AS $f$
DECLARE
    said text; t record; n bigint; finding text := ''; written text := ''; made boolean := false;
    merges CONSTANT boolean := call.proname LIKE 'merge\_%';
    theirs boolean := false;
    fresh tid[];
    -- a new cluster is far from the end of the 32 bits that a row keeps of it
    began CONSTANT bigint := pg_current_xact_id()::text::bigint;
BEGIN
    IF merges AND to_regclass('crm.' || substr(call.proname, 7)) IS NOT NULL THEN
        -- both are the agent's to change: what refers to the one, hidden or not, then refers to the other
        EXECUTE format('SELECT bool_and(EXISTS (SELECT FROM attack.allowed AS a JOIN crm.%1$I AS t ON t.ctid = a.row_id
                        WHERE a.role = ''attack_agent_1'' AND a.relation = ''crm.%1$I''::regclass AND a.changes AND t.id = m.id[1]::bigint))
                        FROM regexp_matches($1, ''(\d+)''''::pg_catalog\.int8'', ''g'') AS m (id)', substr(call.proname, 7)) INTO theirs USING call.statement;
    END IF;
    BEGIN
        SET LOCAL ROLE attack_agent_1;
        EXECUTE format('SELECT string_agg(r::text, E''\n'') FROM (%s) AS r', call.statement) INTO said;
        SET CONSTRAINTS ALL IMMEDIATE;
        RESET ROLE;
        state := '00000';
        IF said LIKE '%HIDDEN%' THEN
            finding := 'tells ' || left(said, 200);
        END IF;
        FOR t IN SELECT s.relid::regclass AS relation, s.n_tup_upd + s.n_tup_del > 0 AS replaced FROM pg_stat_xact_user_tables AS s WHERE s.schemaname = 'crm' AND s.n_tup_ins + s.n_tup_upd + s.n_tup_del > 0
                 AND s.relid IN (SELECT a.relation FROM attack.allowed AS a) LOOP
            IF t.replaced THEN
                EXECUTE format('SELECT count(*) FROM attack.allowed AS a LEFT JOIN %1$s AS t ON t.ctid = a.row_id WHERE a.role = ''attack_agent_1'' AND a.relation = %1$L::regclass AND NOT a.sees AND t.ctid IS NULL', t.relation) INTO n;
                IF n > 0 AND theirs IS NOT TRUE THEN finding := finding || format(' changes %s of %s', n, t.relation); END IF;
            END IF;
            -- what this call wrote: earlier ones are undone, so nothing else of this transaction is there
            EXECUTE format('SELECT array_agg(t.ctid) FROM %s AS t WHERE t.tenant_id = 1 AND t.xmin::text::bigint >= $1', t.relation) INTO fresh USING began;
            wrote := coalesce(wrote, 0) + coalesce(cardinality(fresh), 0);
            SET LOCAL ROLE attack_agent_1;
            EXECUTE format('SELECT count(*) FROM unnest($1) AS f (c) WHERE NOT EXISTS (SELECT FROM %s AS t WHERE t.ctid = f.c)', t.relation) INTO n USING fresh;
            RESET ROLE;
            -- what comes of a record that was made by the call, such as a follow-up for its owner, is about no hidden one
            made := made OR n > 0 AND (SELECT r.class = 'owned' FROM crm.registry AS r WHERE r.relation = t.relation);
            -- notices to programs are seen by nobody who asks: what they are about counts, below
            IF n > 0 AND t.relation <> 'crm.events'::regclass THEN written := written || format(' writes %s hidden into %s', n, t.relation); END IF;
        END LOOP;
        finding := finding || CASE WHEN made OR theirs THEN '' ELSE written END;
        SELECT count(*) INTO n FROM crm.events AS e JOIN attack.hidden AS h ON h.subject = e.subject_table AND h.id::bigint = e.subject_id WHERE e.created_at = now();
        IF n > 0 AND theirs IS NOT TRUE THEN finding := finding || ' writes events'; END IF;
        RAISE SQLSTATE 'ATT00';
    EXCEPTION WHEN SQLSTATE 'ATT00' THEN NULL;
              WHEN OTHERS THEN state := SQLSTATE || ' ' || SQLERRM; IF SQLERRM LIKE '%HIDDEN%' THEN finding := 'tells in an error ' || SQLERRM; END IF;
    END;
    IF finding <> '' THEN
        INSERT INTO attack.findings VALUES (call.statement, finding);
    END IF;
END
$f$;
CREATE TABLE attack.states AS SELECT c.n, c.proname, c.statement, w.* FROM attack.hidden_calls AS c, LATERAL attack.watch(c) AS w;
SELECT attack.expect(count(*) = 0, 'functions ask for the row: ' || coalesce(string_agg(call || ' ' || what, E'\n'), 'no finding')) FROM attack.findings;
SELECT attack.expect(count(*) FILTER (WHERE wrote > 0) > 20, 'calls whose rows were looked at: ' || count(*) FILTER (WHERE wrote > 0)) FROM attack.states;
SELECT attack.expect(count(*) FILTER (WHERE state LIKE 'XX%') = 0, 'no internal error') FROM attack.states;
SELECT attack.expect(count(*) FILTER (WHERE state ~ '^(P0002|42501)') > 50, 'many are refused: ' || count(*) FILTER (WHERE state ~ '^(P0002|42501)') || ' of ' || count(*)) FROM attack.states;
