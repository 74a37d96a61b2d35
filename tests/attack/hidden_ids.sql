-- long: 35 s
-- Functions with the rights of the owner, called by people of six kinds with ids of records they do not see: of every kind, in
-- every place for an id, inside jsonb as well; and with ids of their own only, whose accounts and contacts have records of others. No hidden row is
-- changed or gone, none is told, nothing is written about one. The functions, tables and places are those of the catalogue.
--
-- Nothing is left to luck: of each table there are ids of every state that rows of it are in, as far as the limits below go.
\ir ../helpers/walls.sql
SET jit = off;
SET client_min_messages = warning;

-- ---- who ----
-- an agent, who leads such, who only reads, who sees a whole company and hence no row of the other, an agent of that one, and nobody
CREATE TABLE attack.callers AS
SELECT p.*, v.hidden_ids, v.own_ids FROM attack.people AS p
JOIN (VALUES ('attack_agent_1', 5, 4), ('attack_lead_1', 2, 2), ('attack_viewer_1', 2, 2), ('attack_manager_1', 2, 1), ('attack_agent_2', 2, 2), ('attack_nobody', 1, 1)) AS v (role, hidden_ids, own_ids) ON v.role = p.role;

-- ---- what ----
-- of every second record the account, contact, order ... is another one of the company, so that what somebody owns has to do with records of others;
-- every row says which it is. A lead keeps its contact: that is who it became, and a touch of the one is of both
CREATE TABLE attack.marks (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, relation regclass, subject text, class text, tenant_id bigint, id bigint, was tid, row_id tid, situation text, seen_by name[] DEFAULT '{}', changed_by name[] DEFAULT '{}');
DO $$
DECLARE c record; words text; moved text; situation text;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR c IN SELECT r.relation::regclass AS relation, r.subject, r.class, crm.column_exists(r.relation, 'id') AS has_id FROM crm.registry AS r
             WHERE r.relation IN (SELECT a.relation FROM attack.allowed AS a) ORDER BY r.relation::regclass::text LOOP
        -- which state it is in: what its columns of closed lists say, and what has happened
        SELECT 'concat_ws('' '', ' || string_agg(CASE WHEN a.atttypid = 'timestamptz'::regtype THEN format('CASE WHEN t.%1$I IS NULL THEN ''no %1$s'' END', a.attname)
                                                      ELSE format('t.%I', a.attname) END, ', ' ORDER BY a.attnum) || ')' INTO situation
        FROM pg_attribute AS a WHERE a.attrelid = c.relation AND a.attnum > 0 AND NOT a.attisdropped
         AND (a.attname IN ('kind', 'state', 'status', 'stage_id', 'direction', 'subject_table', 'related_table') OR a.atttypid = 'timestamptz'::regtype AND NOT a.attnotnull);
        EXECUTE format('INSERT INTO attack.marks (relation, subject, class, tenant_id, id, was, row_id, situation) SELECT %L, %L, %L, t.tenant_id, %s, t.ctid, t.ctid, %s FROM %s AS t',
                       c.relation, c.subject, c.class, CASE WHEN c.has_id THEN 't.id' ELSE 'NULL' END, coalesce(situation, ''''''), c.relation);
        CONTINUE WHEN c.class NOT IN ('owned', 'child');
        SELECT string_agg(format('%1$I = CASE WHEN t.%1$I IS NOT NULL THEN format(''HIDDEN%%s.'', m.n) END', a.attname), ', ') INTO words FROM pg_attribute AS a
        WHERE a.attrelid = c.relation AND a.attname IN ('name', 'subject', 'body', 'note', 'value', 'title', 'email', 'company') AND a.attgenerated = '' AND NOT a.attisdropped;
        SELECT string_agg(format('%1$I = CASE WHEN t.id %% 2 = 0 AND t.%1$I IS NOT NULL THEN (SELECT x.id FROM %2$s AS x WHERE x.tenant_id = t.tenant_id ORDER BY hashint8(x.id + t.id) LIMIT 1) ELSE t.%1$I END',
                                 a.attname, k.confrelid::regclass), ', ') INTO moved
        FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[2]
        WHERE k.contype = 'f' AND k.conrelid = c.relation AND k.confrelid <> c.relation AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.relation AND i.indisunique AND a.attnum = ANY (i.indkey)) AND c.class = 'owned' AND c.subject <> 'leads' AND k.confrelid IN (SELECT x.relation FROM crm.registry AS x WHERE x.class = 'owned');
        CONTINUE WHEN words IS NULL AND moved IS NULL;
        EXECUTE format('WITH u AS (UPDATE %1$s AS t SET %2$s FROM attack.marks AS m WHERE m.relation = %1$L::regclass AND m.row_id = t.ctid RETURNING m.n, t.ctid AS is_now)
                        UPDATE attack.marks AS m SET row_id = u.is_now FROM u WHERE m.n = u.n', c.relation, concat_ws(', ', words, moved));
    END LOOP;
END
$$;
CREATE INDEX ON attack.marks (relation);
UPDATE attack.marks AS m SET seen_by = x.seen_by, changed_by = x.changed_by
FROM (SELECT a.relation, a.row_id, array_agg(c.role) AS seen_by, coalesce(array_agg(c.role) FILTER (WHERE a.changes), '{}') AS changed_by
      FROM attack.callers AS c JOIN attack.allowed AS a ON a.role = c.role AND a.sees GROUP BY 1, 2) AS x WHERE x.relation = m.relation AND x.row_id = m.was;
VACUUM ANALYZE attack.marks;
INSERT INTO crm.surveys (tenant_id, code, kind, question) SELECT t.tenant_id, 'probe', 'nps', '{"en": "How?"}' FROM crm.tenants AS t;
INSERT INTO crm.segments (tenant_id, name, subject_table, kind, definition) SELECT x.tenant_id, 'probe_' || t, t, 'static', '{}' FROM crm.tenants AS x, unnest('{leads,accounts,contacts}'::text[]) AS t;
INSERT INTO crm.assignment_rules (tenant_id, name, subject_table, position, method, user_ids, respect_hours)
SELECT u.tenant_id, 'probe ' || r.subject, r.subject, 1, 'round_robin', ARRAY[u.id], false FROM crm.registered_as('assignment') AS r, crm.users AS u WHERE u.db_role IN ('attack_agent_1', 'attack_agent_2');
INSERT INTO crm.agents (tenant_id, user_id, capacity, status) SELECT u.tenant_id, u.id, 10000, 'available' FROM crm.users AS u JOIN attack.callers AS c ON c.role = u.db_role
ON CONFLICT (tenant_id, user_id) DO UPDATE SET capacity = 10000;

-- what an account has become is said of it, whoever sells (crm_internal.make_customer)
DO $$
DECLARE c record;
BEGIN
    FOR c IN SELECT g.tgrelid::regclass AS relation, g.tgname FROM pg_trigger AS g WHERE g.tgfoid = 'crm_internal.make_customer'::regproc LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', c.relation, c.tgname);
    END LOOP;
END
$$;

-- of each kind of record some that each does not see (of their own company, for who sees all of it of the other), and some of their own: one of each
-- situation, frequent ones first; which of a situation is the same for all tables, so that accounts, contacts ... of one call may belong to each other
CREATE TABLE attack.ids AS
SELECT x.role, x.own, x.relation, x.subject, x.id, row_number() OVER (PARTITION BY x.role, x.own, x.relation ORDER BY x.often DESC, x.id) AS k
FROM (SELECT c.role, c.hidden_ids, c.own_ids, c.role = ANY (m.seen_by) AS own, m.relation, m.subject, m.situation, min(m.id) AS id, count(*) AS often
      FROM attack.callers AS c JOIN attack.marks AS m ON m.class IN ('owned', 'child') AND m.id IS NOT NULL
      WHERE CASE WHEN c.role <> ALL (m.seen_by) THEN m.tenant_id = CASE WHEN NOT c.everything THEN coalesce(c.tenant, 1) ELSE 3 - c.tenant END ELSE c.role = ANY (m.changed_by) OR c.level = 'reader' END
      GROUP BY 1, 2, 3, 4, 5, 6, 7) AS x;
DELETE FROM attack.ids AS i USING attack.callers AS c WHERE c.role = i.role AND i.k > CASE WHEN i.own THEN c.own_ids ELSE c.hidden_ids END;
SELECT attack.expect(min(x.kinds) >= 25, 'hidden records of many kinds: ' || string_agg(format('%s %s of %s kinds', x.role, x.ids, x.kinds), ', ' ORDER BY x.role))
FROM (SELECT i.role, count(*) AS ids, count(DISTINCT i.relation) AS kinds FROM attack.ids AS i WHERE NOT i.own GROUP BY i.role) AS x;

-- ---- calls ----
CREATE TABLE attack.places AS
SELECT p.oid AS function, p.proname, i, x.types[i] AS type, x.names[i] AS name, cardinality(x.types) - p.pronargdefaults AS needed,
       (SELECT max(j) FROM generate_series(1, cardinality(x.types)) AS j WHERE x.names[j] ~ '\.subject_(table|type)$|\.table_name$') AS of_table,
       (SELECT max(j) FROM generate_series(1, cardinality(x.types)) AS j WHERE x.names[j] ~ '\.segment$') AS of_segment,
       attack.argument(x.types[i], x.names[i], 'plain') AS plain, attack.argument(x.types[i], x.names[i], 'null') AS missing,
       x.names[i] ~ '\.(subject_ids?|record_id|id)$' AND array_to_string(x.names, ' ') ~ '\.(subject_(table|type)|table_name|segment)\M' AS is_about,
       -- which tables an id is of, as far as its name says; of a merge its function's
       ARRAY(SELECT r.subject FROM (SELECT DISTINCT y.subject, y.relation FROM attack.ids AS y) AS r
             WHERE regexp_replace(regexp_replace(r.subject, 'ies$', 'y'), 's$', '') = z.word OR regexp_replace(regexp_replace(r.subject, 'ies$', 'y'), '^.*_|s$', '', 'g') = z.word
                OR z.word IN ('source', 'target') AND p.proname LIKE '%\_' || r.subject) AS subjects
FROM pg_proc AS p JOIN attack.functions() AS x ON x.function = p.oid CROSS JOIN LATERAL generate_series(1, cardinality(x.types)) AS i
CROSS JOIN LATERAL (SELECT regexp_replace(regexp_replace(x.names[i], '^.*\.', ''), '_ids?$', '') AS word) AS z
WHERE p.prosecdef;
-- each fills one place with what is hidden ("what" none: nothing hidden is named); "own" says which of their own ids the other places get
CREATE TABLE attack.attempts AS
SELECT row_number() OVER (ORDER BY c.role, p.function, a.i, a.subject, a.id, a.key, v.kind, o.k) AS n, c.role, p.function, p.proname, a.*, v.kind, o.k AS own, NULL::text AS statement
FROM attack.callers AS c
JOIN (SELECT DISTINCT function, proname FROM attack.places) AS p ON has_function_privilege(c.role, p.function, 'EXECUTE')
CROSS JOIN LATERAL (
    -- what is hidden, where it fits by name; where the name does not say, of every kind, one or two each
    SELECT q.i, h.subject, h.id, NULL::text AS key, q.is_about, q.is_about OR h.subject = ANY (q.subjects) FROM attack.places AS q JOIN attack.ids AS h ON h.role = c.role AND NOT h.own
    WHERE q.function = p.function AND q.type IN ('bigint'::regtype, 'bigint[]'::regtype)
      AND (h.subject = ANY (q.subjects) OR h.k <= 2 AND q.is_about OR h.k = 1 AND c.role = 'attack_agent_1')
    UNION ALL
    -- as the value of a key of a document
    SELECT q.i, h.subject, h.id, regexp_replace(regexp_replace(h.subject, 'ies$', 'y'), 's$', '') || '_id', false, true FROM attack.places AS q JOIN attack.ids AS h ON h.role = c.role AND NOT h.own AND h.k = 1
    WHERE q.function = p.function AND q.type = 'jsonb'::regtype AND h.subject IN (SELECT r.subject FROM crm.registry AS r WHERE r.class = 'owned') AND h.subject NOT IN ('articles', 'import_batches')
    UNION ALL
    SELECT 0, NULL, NULL, NULL, false, false
) AS a (i, subject, id, key, is_about, is_named)
CROSS JOIN LATERAL (SELECT k.kind FROM unnest(CASE WHEN a.key IS NOT NULL THEN CASE c.role WHEN 'attack_agent_1' THEN '{object,list}' ELSE '{object}' END WHEN c.role = 'attack_agent_1' THEN '{plain,short,null}' ELSE '{plain,short}' END::text[]) AS k (kind)) AS v
CROSS JOIN LATERAL generate_series(1, CASE WHEN a.id IS NULL THEN greatest(c.own_ids, 1) ELSE 1 END) AS o (k);
UPDATE attack.attempts AS a SET statement = s.statement FROM (
    SELECT b.n, attack.call(b.function, array_agg(CASE
        WHEN p.i = b.i AND b.key IS NOT NULL THEN format(CASE b.kind WHEN 'object' THEN '%L' ELSE '''[%s]''' END || '::pg_catalog.jsonb',
            jsonb_build_object(b.key, b.id) || CASE b.kind WHEN 'list' THEN '{"amount": 1}' ELSE '{}' END::jsonb)
        WHEN p.i = b.i AND p.type = 'bigint'::regtype THEN format('%L::pg_catalog.int8', b.id)
        WHEN p.i = b.i THEN format('ARRAY[%s]::pg_catalog.int8[]', b.id)
        WHEN p.i IN (p.of_table) AND b.is_about THEN format('%L::pg_catalog.text', b.subject)
        WHEN p.i IN (p.of_segment) THEN format('%L::pg_catalog.text', 'probe_' || CASE WHEN b.is_about THEN b.subject ELSE 'leads' END)
        WHEN b.kind = 'null' AND p.type NOT IN ('bigint'::regtype, 'bigint[]'::regtype) THEN p.missing
        WHEN o.id IS NOT NULL AND p.type = 'bigint'::regtype THEN format('%L::pg_catalog.int8', o.id)
        WHEN o.id IS NOT NULL AND p.type = 'bigint[]'::regtype THEN format('ARRAY[%s]::pg_catalog.int8[]', o.id)
        ELSE p.plain END ORDER BY p.i)) AS statement
    FROM attack.attempts AS b JOIN attack.places AS p ON p.function = b.function AND (b.kind <> 'short' OR p.i <= greatest(p.needed, b.i))
    -- of a merge the other one is another, and what a name does not say is a lead where no table is named
    LEFT JOIN LATERAL (SELECT x.id FROM attack.ids AS x WHERE x.role = b.role AND x.own AND p.type IN ('bigint'::regtype, 'bigint[]'::regtype)
                       AND (x.subject = ANY (p.subjects) OR cardinality(p.subjects) = 0 AND x.subject = CASE WHEN b.is_about THEN b.subject ELSE 'leads' END)
                       ORDER BY x.k < b.own + (p.name ~ '\.target_id$')::integer, x.k LIMIT 1) AS o ON true
    GROUP BY b.n, b.function) AS s WHERE s.n = a.n;
DELETE FROM attack.attempts AS a USING attack.attempts AS b WHERE b.role = a.role AND b.statement = a.statement AND b.n < a.n;
SELECT attack.expect(min(x.calls) FILTER (WHERE x.role <> 'attack_nobody') > 200 AND min(x.functions) FILTER (WHERE x.role ~ '_agent_') > 80,
    'calls: ' || string_agg(format('%s %s of %s functions', x.role, x.calls, x.functions), ', ' ORDER BY x.role))
FROM (SELECT a.role, count(*) AS calls, count(DISTINCT a.function) AS functions FROM attack.attempts AS a GROUP BY a.role) AS x;

CREATE TABLE attack.findings (role text, call text, what text);
CREATE TABLE attack.states (n bigint, state text, wrote bigint);
CREATE TABLE attack.watched AS SELECT row_number() OVER (ORDER BY r.relation)::integer AS k, r.relation::regclass AS relation, r.class FROM crm.registry AS r
WHERE r.relation IN (SELECT m.relation FROM attack.marks AS m) OR r.class IN ('owned', 'child', 'log') AND crm.column_exists(r.relation, 'tenant_id');
CREATE FUNCTION attack.written(relation oid, OUT written bigint, OUT replaced bigint) LANGUAGE sql STABLE
RETURN (pg_stat_get_xact_tuples_inserted(relation) + pg_stat_get_xact_tuples_updated(relation) + pg_stat_get_xact_tuples_deleted(relation),
        pg_stat_get_xact_tuples_updated(relation) + pg_stat_get_xact_tuples_deleted(relation));
CREATE FUNCTION attack.watch(call attack.attempts) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
    said text; t record; n bigint; finding text := ''; written text := ''; made boolean := false; ordered boolean := false; state text; wrote bigint;
    theirs boolean := false;
    fresh tid[];
    before record;
    -- a new cluster is far from the end of the 32 bits that a row keeps of it
    began CONSTANT bigint := pg_current_xact_id()::text::bigint;
BEGIN
    IF call.proname LIKE 'merge\_%' AND to_regclass('crm.' || substr(call.proname, 7)) IS NOT NULL THEN
        -- both are theirs to change: what refers to the one, hidden or not, then refers to the other
        SELECT bool_and(EXISTS (SELECT FROM attack.marks AS m WHERE call.role = ANY (m.changed_by) AND m.relation = to_regclass('crm.' || substr(call.proname, 7)) AND m.id = x.id[1]::bigint))
        INTO theirs FROM regexp_matches(call.statement, '(\d+)''::pg_catalog\.int8', 'g') AS x (id);
    END IF;
    -- what was undone is counted, too
    SELECT array_agg(x.written ORDER BY r.k) AS written, array_agg(x.replaced ORDER BY r.k) AS replaced INTO before FROM attack.watched AS r, attack.written(r.relation) AS x;
    BEGIN
        EXECUTE format('SET LOCAL ROLE %I', call.role);
        EXECUTE format('SELECT string_agg(r::text, E''\n'') FROM (%s) AS r', call.statement) INTO said;
        SET CONSTRAINTS ALL IMMEDIATE;
        RESET ROLE;
        state := '00000';
        SELECT string_agg(DISTINCT x.n[1], ' ') INTO finding FROM regexp_matches(said, 'HIDDEN(\d+)\.', 'g') AS x (n)
        WHERE NOT EXISTS (SELECT FROM attack.marks AS m WHERE m.n = x.n[1]::bigint AND call.role = ANY (m.seen_by));
        finding := coalesce('tells ' || finding || ': ' || left(said, 200), '');
        FOR t IN SELECT r.relation, r.class = 'owned' AS owned, x.replaced > before.replaced[r.k] AS replaced FROM attack.watched AS r, attack.written(r.relation) AS x
                 WHERE x.written > before.written[r.k] ORDER BY r.class <> 'owned', r.k LOOP
            IF t.replaced THEN
                EXECUTE format('SELECT count(*) FROM attack.marks AS m LEFT JOIN %1$s AS t ON t.ctid = m.row_id WHERE m.relation = %1$L::regclass AND t.ctid IS NULL
                                AND $1 <> ALL (m.seen_by)', t.relation) INTO n USING call.role;
                IF n > 0 AND theirs IS NOT TRUE THEN finding := finding || format(' changes %s of %s', n, t.relation); END IF;
            END IF;
            -- what this call wrote: earlier ones are undone, so nothing else of this transaction is there
            EXECUTE format('SELECT array_agg(t.ctid) FROM %s AS t WHERE t.xmin::text::bigint >= $1', t.relation) INTO fresh USING began;
            wrote := coalesce(wrote, 0) + coalesce(cardinality(fresh), 0);
            -- notices to programs are seen by nobody who asks: what they are about counts, below
            CONTINUE WHEN t.relation = 'crm.events'::regclass OR fresh IS NULL;
            EXECUTE format('SET LOCAL ROLE %I', call.role);
            EXECUTE format('SELECT cardinality($1) - count(*) FROM %s AS t WHERE t.ctid = ANY ($1)', t.relation) INTO n USING fresh;
            RESET ROLE;
            -- what comes of a record that was made by the call, such as a follow-up for its owner, is about no hidden one; and what is written about a
            -- lead of theirs stands at the contact it has become, too, who may be somebody else's
            made := made OR n > 0 AND t.owned OR NOT call.is_named;
            ordered := ordered OR t.owned;
            -- and which segments an account is in follows from what it orders, of whomever
            IF n > 0 AND NOT (ordered AND t.relation IN ('crm.segment_states'::regclass, 'crm.segment_events'::regclass)) THEN written := written || format(' writes %s hidden into %s', n, t.relation); END IF;
        END LOOP;
        finding := finding || CASE WHEN made OR theirs THEN '' ELSE written END;
        SELECT count(*) INTO n FROM crm.events AS e JOIN attack.ids AS h ON h.role = call.role AND NOT h.own AND h.subject = e.subject_table AND h.id = e.subject_id WHERE e.created_at = now()
        AND NOT EXISTS (SELECT FROM attack.ids AS o WHERE o.role = call.role AND o.own AND o.relation = h.relation AND o.id = h.id);
        IF n > 0 AND theirs IS NOT TRUE THEN finding := finding || ' writes events'; END IF;
        RAISE SQLSTATE 'ATT00';
    EXCEPTION WHEN SQLSTATE 'ATT00' THEN NULL;
              WHEN OTHERS THEN state := SQLSTATE || ' ' || SQLERRM;
                               SELECT coalesce(string_agg('tells in an error ' || SQLERRM, ''), '') INTO finding FROM regexp_matches(SQLERRM, 'HIDDEN(\d+)\.', 'g') AS x (n)
                               WHERE NOT EXISTS (SELECT FROM attack.marks AS m WHERE m.n = x.n[1]::bigint AND call.role = ANY (m.seen_by));
    END;
    INSERT INTO attack.states VALUES (call.n, state, wrote);
    IF finding <> '' THEN
        INSERT INTO attack.findings VALUES (call.role, call.statement, finding);
    END IF;
END
$f$;
ANALYZE attack.ids, attack.attempts;
-- each transaction some: what was undone costs the rest of it
CREATE FUNCTION attack.watch_some(part bigint) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE c attack.attempts;
BEGIN
    FOR c IN SELECT * FROM attack.attempts AS a WHERE a.n / 400 = part ORDER BY a.n LOOP PERFORM attack.watch(c); END LOOP;
END
$f$;
SELECT format('SELECT attack.watch_some(%s)', s) FROM (SELECT DISTINCT n / 400 AS s FROM attack.attempts) AS x ORDER BY s \gexec
SET client_min_messages = notice;
SELECT attack.expect(count(*) = 0, 'functions ask for the row: ' || coalesce(string_agg(role || ' ' || call || ' ' || what, E'\n'), 'no finding')) FROM attack.findings;
SELECT attack.expect(count(*) FILTER (WHERE wrote > 0) > 100, 'calls whose rows were looked at: ' || count(*) FILTER (WHERE wrote > 0)) FROM attack.states;
SELECT attack.expect(count(*) FILTER (WHERE state LIKE 'XX%') = 0, 'no internal error') FROM attack.states;
SELECT attack.expect(count(*) FILTER (WHERE state ~ '^(P0002|42501)') > 500, 'many are refused: ' || count(*) FILTER (WHERE state ~ '^(P0002|42501)') || ' of ' || count(*)) FROM attack.states;
