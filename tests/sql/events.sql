-- Events: each table announces what it says, by whatever statement it is written; each payload fits its schema.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\t on
-- what people own is announced, but for the papers of an import
SELECT r.subject AS not_announced FROM crm.registry AS r WHERE r.class = 'owned' AND NOT r.options ? 'events' AND r.subject <> 'import_batches' ORDER BY 1;
-- the triggers are there, on, and come before the others after a row
SELECT r.subject AS without_triggers FROM crm.registry AS r
WHERE jsonb_typeof(r.options -> 'events') = 'object'
  AND (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = r.relation AND t.tgfoid = 'crm.announce()'::regprocedure AND t.tgenabled = 'O') <> 2;
SELECT t.tgrelid::regclass AS "table", t.tgname AS comes_before_events FROM pg_trigger AS t JOIN pg_trigger AS e
  ON e.tgrelid = t.tgrelid AND e.tgfoid = 'crm.announce()'::regprocedure AND e.tgtype::integer & 1 = 1
JOIN pg_proc AS p ON p.oid = t.tgfoid JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
WHERE NOT t.tgisinternal AND t.tgtype::integer & 3 = 1 AND t.tgname < e.tgname;
\t off

BEGIN;
CREATE SCHEMA regress_events;
-- a value of a type, another for each n
CREATE FUNCTION regress_events.some_value(type regtype, n int) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN type::text LIKE '%[]' THEN CASE WHEN type = 'bigint[]'::regtype THEN format('{%s}', n) ELSE format('{x%s}', n) END
                WHEN type = 'boolean'::regtype THEN (n % 2 = 0)::text
                WHEN type IN ('timestamptz'::regtype, 'date'::regtype) THEN (date '2024-01-01' + n)::text
                WHEN type IN ('jsonb'::regtype) THEN format('{"n": %s}', n)
                WHEN type IN ('text'::regtype, 'varchar'::regtype) THEN 'x' || n
                WHEN type = 'bpchar'::regtype THEN chr(65 + n % 26) || chr(65 + n / 26)
                ELSE n::text END
$$;
-- a copy of a table without its conditions announces what the table does: every kind happens, and every column is told of
CREATE FUNCTION regress_events.check_table(of regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r crm.registry; copy text; said jsonb; c record; n int := 0; k record; before bigint; wrong text; pipeline bigint;
    told CONSTANT text := 'SELECT count(*) FROM crm.events AS e WHERE e.id > $1 AND split_part(e.kind, ''.'', 1) = $2';
    seen bigint;
BEGIN
    SELECT * INTO r FROM crm.registry AS x WHERE x.relation = of;
    copy := 'regress_events.copy_of_' || r.subject;
    EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY)', copy, of);
    FOR c IN SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = of AND a.attnum > 0 AND a.attnotnull AND NOT a.attisdropped AND a.attidentity = '' LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', copy, c.attname);
    END LOOP;
    said := r.options -> 'events' || jsonb_build_object('name', 'copy_' || r.subject);
    PERFORM crm.attach(copy::regclass, jsonb_build_object('events', said, 'personal', coalesce(r.options -> 'personal', '[]')));
    SELECT coalesce(max(e.id), 0) INTO before FROM crm.events AS e;
    -- entered by INSERT and by MERGE, with the values that kinds wait for
    EXECUTE format('INSERT INTO %s (tenant_id%s) VALUES (1%s)', copy,
        CASE WHEN said ? 'subject' THEN format(', %I%s', said #>> '{subject,id}', CASE WHEN said #>> '{subject,table_in}' IS NOT NULL THEN ', ' || quote_ident(said #>> '{subject,table_in}') ELSE '' END) ELSE '' END,
        CASE WHEN said ? 'subject' THEN ', 7' || CASE WHEN said #>> '{subject,table_in}' IS NOT NULL THEN ', ''leads''' ELSE '' END ELSE '' END);
    IF NOT said ? 'only' THEN
        EXECUTE format('MERGE INTO %s AS c USING (VALUES (2)) AS v (n) ON false WHEN NOT MATCHED THEN INSERT (tenant_id) VALUES (1)', copy);
        EXECUTE told INTO seen USING before, said ->> 'name';
        IF seen <> 2 THEN RAISE EXCEPTION '%: % events of two rows', of, seen; END IF;
    END IF;
    -- nothing changed, nothing told
    SELECT max(e.id) INTO before FROM crm.events AS e;
    EXECUTE format('UPDATE %s SET tenant_id = tenant_id', copy);
    EXECUTE told INTO seen USING before, said ->> 'name';
    IF seen <> 0 THEN RAISE EXCEPTION '%: % events of no change', of, seen; END IF;
    -- every column
    FOR c IN SELECT x.column_name, x.personal, a.atttypid FROM crm_internal.event_columns(copy) AS x JOIN pg_attribute AS a ON a.attrelid = copy::regclass AND a.attname = x.column_name
             WHERE x.column_name <> 'stage_id' AND NOT said ? 'only' LOOP
        n := n + 1;
        SELECT max(e.id) INTO before FROM crm.events AS e;
        EXECUTE CASE WHEN c.atttypid = 'boolean'::regtype THEN format('UPDATE %s SET %I = %2$I IS NOT TRUE', copy, c.column_name)
                     ELSE format('UPDATE %s SET %I = %L', copy, c.column_name, regress_events.some_value(c.atttypid, n)) END;
        SELECT count(*) INTO seen FROM crm.events AS e WHERE e.id > before AND e.subject_table = copy
           AND CASE WHEN c.personal THEN e.payload -> 'hidden' ? c.column_name AND NOT e.payload -> 'new' ? c.column_name
                    ELSE e.payload -> 'new' ? c.column_name AND e.payload -> 'old' ? c.column_name END;
        -- a kind may wait for another value of it
        IF seen <> 2 AND NOT EXISTS (SELECT FROM crm_internal.event_rules(copy) AS x WHERE x.column_name = c.column_name AND x.condition = 'to') THEN
            RAISE EXCEPTION '%.%: told % times of two rows', of, c.column_name, seen;
        END IF;
    END LOOP;
    -- every kind with a condition
    SELECT p.id INTO pipeline FROM crm.pipelines AS p WHERE p.tenant_id = 1 AND p.subject_table = r.subject ORDER BY p.id LIMIT 1;
    FOR k IN SELECT * FROM crm_internal.event_rules(copy) AS x WHERE x.condition <> 'always' LOOP
        IF k.condition IN ('to', 'set') THEN
            EXECUTE format('UPDATE %s SET %I = NULL', copy, k.column_name);
            EXECUTE format('UPDATE %s SET %I = %L', copy, k.column_name, coalesce(k.value,
                (SELECT regress_events.some_value(a.atttypid, 1) FROM pg_attribute AS a WHERE a.attrelid = of AND a.attname = k.column_name)));
        ELSIF k.column_name = 'stage_id' AND k.value IS DISTINCT FROM 'reopened' THEN
            EXECUTE format('UPDATE %s SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.pipeline_id = %s AND (%L IS NULL OR s.type = %3$L) ORDER BY s.position LIMIT 1)', copy, pipeline, k.value);
        ELSIF k.value = 'reopened' THEN
            EXECUTE format('UPDATE %s SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.pipeline_id = %s AND s.type IN (''won'', ''lost'', ''done'') ORDER BY s.position LIMIT 1)', copy, pipeline);
            EXECUTE format('UPDATE %s SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.pipeline_id = %s AND s.type = ''open'' ORDER BY s.position LIMIT 1)', copy, pipeline);
        END IF;
    END LOOP;
    EXECUTE format('DELETE FROM %s', copy);
    SELECT string_agg(x.kind, ', ') INTO wrong FROM crm.event_kinds() AS x
    WHERE split_part(x.kind, '.', 1) = said ->> 'name' AND NOT EXISTS (SELECT FROM crm.events AS e WHERE e.kind = x.kind);
    IF wrong IS NOT NULL THEN RAISE EXCEPTION '%: never happened: %', of, wrong; END IF;
    RETURN (SELECT count(DISTINCT e.kind) FROM crm.events AS e WHERE split_part(e.kind, '.', 1) = said ->> 'name')::text;
END $$;
SELECT count(*) > 12 AS all_tables, sum(regress_events.check_table(r.relation)::int) >= 50 AS all_kinds
FROM crm.registry AS r WHERE jsonb_typeof(r.options -> 'events') = 'object' AND r.subject NOT LIKE 'regress_%';
-- COPY
COPY crm.accounts (id, name) FROM stdin;
990001	Copied one
990002	Copied two
\.
SELECT e.kind, e.subject_id, e.payload -> 'new' ? 'name' AS personal_told FROM crm.events AS e WHERE e.subject_table = 'accounts' AND e.subject_id > 990000 ORDER BY e.id;
ROLLBACK;

-- the life of a lead, a deal, a ticket: what happened, who did it and why, in order
BEGIN;
INSERT INTO crm.users (id, name) VALUES (99001, 'Ada');
SELECT (crm.capture_lead('{"name": "Eva Green", "email": "eva@example.org", "company": "Green Ltd"}')).id AS lead \gset
SELECT (crm.capture_lead('{"name": "E. Green", "email": "eva.green@example.org", "company": "Green Ltd"}')).id AS other \gset
SELECT (crm.merge_leads(:other, :lead)).id IS NOT NULL AS merged;
SAVEPOINT a;
UPDATE crm.leads SET amount = 5 WHERE id = :lead;
ROLLBACK TO a;
SET LOCAL crm.cause = 'the test';
UPDATE crm.leads SET amount = 7, email = 'eva@green.example' WHERE id = :lead;
RESET crm.cause;
SELECT (crm.convert_lead(:lead)).lead_id IS NOT NULL AS converted;
SELECT CASE e.subject_id WHEN :lead THEN 'lead' ELSE 'other' END AS which, e.kind, e.cause, e.payload -> 'hidden' AS hidden, e.payload -> 'old' -> 'amount' IS NOT NULL AS amount
FROM crm.events AS e WHERE e.subject_table = 'leads' AND e.kind NOT LIKE '%.threshold' ORDER BY e.id;
SELECT e.kind, e.cause FROM crm.events AS e WHERE e.subject_table IN ('contacts', 'accounts', 'opportunities') ORDER BY e.kind, e.id;
INSERT INTO crm.opportunities (id, name, amount) VALUES (99001, 'Deal', 10);
SELECT count(crm.bypass_guards('test'));
UPDATE crm.opportunities AS o SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.pipeline_id = o.pipeline_id AND s.type = 'won') WHERE o.id = 99001;
UPDATE crm.opportunities AS o SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.pipeline_id = o.pipeline_id AND s.is_initial) WHERE o.id = 99001;
SELECT e.kind FROM crm.events AS e WHERE e.subject_table = 'opportunities' ORDER BY e.id;
-- every payload is what its kind says
CREATE FUNCTION pg_temp.faults(schema jsonb, doc jsonb, at text DEFAULT '$') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE p record; t jsonb := schema -> 'type';
BEGIN
    IF t IS NOT NULL AND NOT (CASE jsonb_typeof(t) WHEN 'array' THEN t ELSE jsonb_build_array(t) END) ? (
        CASE WHEN jsonb_typeof(doc) = 'number' AND doc::text ~ '^-?[0-9]+$' AND t::text LIKE '%integer%' THEN 'integer' ELSE jsonb_typeof(doc) END) THEN
        RETURN NEXT at || ' is ' || jsonb_typeof(doc) || ', not ' || t; END IF;
    IF jsonb_typeof(doc) = 'object' THEN
        RETURN QUERY SELECT at || ' lacks ' || r FROM jsonb_array_elements_text(coalesce(schema -> 'required', '[]')) AS r WHERE NOT doc ? r;
        FOR p IN SELECT * FROM jsonb_each(doc) LOOP
            IF schema -> 'properties' ? p.key THEN RETURN QUERY SELECT * FROM pg_temp.faults(schema -> 'properties' -> p.key, p.value, at || '.' || p.key);
            ELSIF schema -> 'additionalProperties' = 'false' THEN RETURN NEXT at || ' has ' || p.key; END IF;
        END LOOP;
    ELSIF jsonb_typeof(doc) = 'array' AND schema -> 'items' ? 'enum' THEN
        RETURN QUERY SELECT at || ' names ' || x.value FROM jsonb_array_elements(doc) AS x WHERE NOT schema -> 'items' -> 'enum' @> x.value;
    END IF;
END $$;
SELECT e.kind, f AS fault FROM crm.events AS e LEFT JOIN crm.event_kinds() AS k ON k.kind = e.kind,
    LATERAL (SELECT 'is not declared' AS f WHERE k.kind IS NULL UNION ALL SELECT * FROM pg_temp.faults(k.schema, e.payload) WHERE k.kind IS NOT NULL) AS f;
SELECT pg_temp.faults(k.schema, '{"new": {"amount": "7", "colour": 1}, "hidden": ["email"]}') FROM crm.event_kinds() AS k WHERE k.kind = 'opportunity.changed' ORDER BY 1;
-- people see the events of records they see, and no notices
SET LOCAL client_min_messages = warning;
CREATE ROLE regress_agent_events;
SELECT (crm.grant_access('regress_agent_events', 'agent', 99001)).access;
INSERT INTO crm.accounts (id, name, owner_id) VALUES (99001, 'Hers', 99001), (99002, 'Not hers', NULL);
UPDATE crm.accounts SET owner_id = (SELECT u.id FROM crm.users AS u WHERE u.id <> 99001 ORDER BY u.id LIMIT 1) WHERE id = 99002;
INSERT INTO crm.users (id, name) VALUES (99002, 'Ben');
UPDATE crm.accounts SET owner_id = 99002 WHERE id = 99002;
SELECT (crm.emit_event('app.secret', 'accounts', 99001, '{"token": "x"}')).kind;
SET ROLE regress_agent_events;
SELECT e.kind, e.subject_id, e.actor_id FROM crm.events AS e WHERE e.subject_id BETWEEN 99001 AND 99009 ORDER BY e.id;
UPDATE crm.accounts SET industry = 'pumps' WHERE id = 99001;
SELECT e.kind, e.actor_id FROM crm.events AS e WHERE e.subject_id = 99001 ORDER BY e.id DESC LIMIT 1;
INSERT INTO crm.events (kind) VALUES ('lead.created');
SELECT crm.subscribe('mine');
RESET ROLE;
ROLLBACK;

-- what cannot be is refused
SELECT crm.subscribe('x', '{lead.created,leed.*}');
SELECT crm.subscribe('x', shards => 100);
SELECT crm.read_events('no such', 'w');
SELECT crm.attach('crm.leads', '{"events": {"name": "Lead", "columns": ["colour"]}}');
SELECT crm.attach('crm.leads', '{"events": {"name": "lead", "columns": ["colour"]}}');
SELECT crm.attach('crm.leads', '{"events": {"name": "lead", "kinds": {"moved": {"column": "stage_id", "stage": "gone"}, "won": {"colum": "x"}}}}');
SELECT crm.attach('crm.accounts', '{"events": {"name": "lead"}}');
SELECT crm.attach('crm.accounts', '{"events": {"name": "account", "only": ["made"]}}');
SELECT crm.emit_event('Bad kind');
SELECT crm.emit_event('app.x', 'leads');

-- the owner's own columns, conditions and triggers on the table of events are served as by any writer
BEGIN;
ALTER TABLE crm.events ADD COLUMN region text NOT NULL DEFAULT 'north';
INSERT INTO crm.accounts (id, name) VALUES (99011, 'With a region');
SELECT e.kind, e.region FROM crm.events AS e WHERE e.subject_id = 99011;
\set VERBOSITY terse
ALTER TABLE crm.events ADD CONSTRAINT no_deletes CHECK (kind NOT LIKE '%.deleted');
DELETE FROM crm.accounts WHERE id = 99011;
\set VERBOSITY default
ROLLBACK;

-- forgetting: the oldest first, in batches, what nobody delivered stays, and a subscription is told what it lost
BEGIN;
SELECT (crm.subscribe('slow', '{account.*}')).name;
INSERT INTO crm.accounts (id, name) SELECT 99100 + i, 'Old ' || i FROM generate_series(1, 10) AS i;
SELECT (crm.emit_event('app.undelivered')).kind;
SELECT crm.forget_events(now() + interval '89 days'), crm.forget_events(now() + interval '91 days', 4), crm.forget_events(now() + interval '91 days', 4);
SELECT b.subscription, b.lost, b.waiting FROM crm.event_backlog() AS b;
SELECT crm.forget_events(now() + interval '91 days') > 0 AS the_rest;
SELECT e.kind FROM crm.events AS e ORDER BY e.id;
UPDATE crm.tenants SET events_kept = NULL;
SELECT crm.forget_events(now() + interval '91 years');
ROLLBACK;
