-- Calls of everything the catalogue holds, for the tests of tests/attack: what is added to the CRM later is called too.
--
-- attack.literals says which values there are for an argument, by its type and, where it matters, by its name (^ and the name,
-- or function\.name); the first line that fits is taken. attack.calls(kinds) makes a statement of each function and list of kinds of values.
CREATE SCHEMA attack;
GRANT USAGE ON SCHEMA attack TO PUBLIC;

CREATE TABLE attack.literals (n integer GENERATED ALWAYS AS IDENTITY, type text NOT NULL, arg text NOT NULL, kind text NOT NULL, literal text NOT NULL);
-- what records there are: ids of the first tenant, which has the low ones
INSERT INTO attack.literals (type, arg, kind, literal)
SELECT 'bigint', '^' || v.arg || '$', v.kind, x.literal
FROM (VALUES ('account_id', 'accounts', 'plain'), ('contact_id', 'contacts', 'plain'), ('lead_id', 'leads', 'plain'), ('opportunity_id', 'opportunities', 'plain'),
             ('ticket_id', 'tickets', 'plain'), ('order_id', 'orders', 'plain'), ('product_id', 'products', 'plain'), ('calendar_id', 'calendars', 'plain'),
             ('policy_id', 'sla_policies', 'plain'), ('article_id', 'articles', 'plain'), ('model_id', 'value_models', 'plain'), ('event_id', 'events', 'plain'),
             ('owner_id', 'users', 'plain'), ('user_id', 'users', 'plain'), ('author_user_id', 'users', 'plain'), ('author_contact_id', 'contacts', 'plain'),
             ('subject_id', 'leads', 'plain'), ('source_id', 'leads', 'plain'), ('team_id', 'teams', 'plain'), ('approval_id', 'approvals', 'plain')) AS v (arg, relation, kind),
     LATERAL (SELECT (xpath('/row/m/text()', query_to_xml(format('SELECT min(id) AS m FROM crm.%I WHERE tenant_id = 1', v.relation), false, true, '')))[1]::text AS literal) AS x
WHERE x.literal IS NOT NULL;
INSERT INTO attack.literals (type, arg, kind, literal) VALUES
('bigint', '^target_id$', 'plain', '2'), ('bigint', '', 'plain', '1'), ('bigint', '', 'other', '7'),
('integer', '^(year)$', 'plain', '1404'), ('integer', '^size$', 'plain', '0'), ('integer', '', 'plain', '3'), ('integer', '', 'other', '1'),
('double precision', '^(p|t_x|x|n)$', 'plain', '2'), ('double precision', '^age$', 'plain', '30'), ('double precision', '', 'plain', '0.5'), ('double precision', '', 'other', '3'),
('numeric', '', 'plain', '10'), ('numeric', '', 'other', '0.5'), ('boolean', '', 'plain', 'true'), ('boolean', '', 'other', 'false'),
('text', 'draw_chart\.kind$', 'plain', 'columns'), ('text', 'purchase_model_.*\.kind$', 'plain', 'bgnbd'), ('text', 'points_.*\.kind$', 'plain', 'open'),
('text', '^subject_table$', 'plain', 'leads'), ('text', '^subject_table$', 'other', 'opportunities'), ('text', '^table_name$', 'plain', 'accounts'),
('text', '^subject_type$', 'plain', 'tickets'), ('text', '^(from_|to_|base_)?currency$', 'plain', 'USD'), ('text', '^to_currency$', 'other', 'EUR'),
('text', 'language$', 'plain', 'en'), ('text', 'language$', 'other', 'fa'), ('text', 'zone$', 'plain', 'Europe/Berlin'), ('text', '^level$', 'plain', 'agent'),
('text', '^calendar$', 'plain', 'gregorian'), ('text', '^calendar$', 'other', 'jalali'), ('text', '^visib', 'plain', 'public'), ('text', '^direction$', 'plain', 'in'),
('text', '^channel$', 'plain', 'email'), ('text', '^outcome$', 'plain', 'solved'), ('text', '^dimension$', 'plain', 'queue'), ('text', '^dimension$', 'other', 'priority'),
('text', '^status$', 'plain', 'away'), ('text', '^segmentation$', 'plain', 'value_segment'), ('text', '^priority$', 'plain', 'normal'), ('text', '^kind$', 'other', 'bgnbd'),
('text', '^event$', 'plain', 'paused'), ('text', '^form$', 'plain', 'month'), ('text', '^name$', 'plain', 'pipeline'), ('text', '^name$', 'other', 'leads'), ('text', '^stage$', 'plain', 'qualified'),
('text', '^stage$', 'other', 'resolved'), ('text', '^reason$', 'plain', 'price'), ('text', '^query$', 'plain', 'anna'), ('text', '^(segment|campaign|survey|queue)$', 'plain', 'probe'),
('text', '^expression$', 'plain', 'name'), ('text', '^target_column$', 'plain', 'name'), ('text', '^value$', 'plain', '2026-01-05'), ('text', '^date_order$', 'plain', 'YMD'),
('text', '^kind$', 'plain', 'call'), ('text', '^code$', 'plain', 'probe'), ('text', '', 'plain', 'probe@example.com'), ('text', '', 'other', 'Zoë, née Åkesson +49 30 1234567'),
('timestamp with time zone', '^(from_at|start_at|since|occurred_at|at)$', 'plain', '2026-01-05 10:00+00'), ('timestamp with time zone', '', 'plain', '2026-06-01 12:00+00'),
('timestamp with time zone', '', 'other', '2026-11-20 00:30+03'), ('date', '^(from_on|calibration_end)$', 'plain', '2026-01-05'), ('date', '', 'plain', '2026-06-30'), ('date', '', 'other', '2024-02-29'),
('interval', '', 'plain', '1 hour'), ('interval', '', 'other', '2 days'), ('daterange', '', 'plain', '[2026-01-01,2026-12-31]'), ('name', '', 'plain', 'attack_nobody'),
('character', '', 'plain', 'USD'), ('regclass', '^source_view$', 'plain', 'crm_internal.rollup_source_1'), ('regclass', '', 'plain', 'crm.leads'), ('regclass', '', 'other', 'crm.accounts'),
('jsonpath', '', 'plain', '$.name == "Probe"'), ('jsonpath', '', 'other', '$.amount > 10 && exists($.tags[*] ? (@ == "x"))'), ('bytea', '', 'plain', '\x00'), ('bytea', '', 'other', '\x'),
('jsonb', '^(record|payload)$', 'plain', '{"name": "Probe", "email": "probe@example.com", "company": "Probe Ltd", "amount": 12}'),
('jsonb', '^(attachments|holidays)$', 'plain', '[]'), ('jsonb', '^changes$', 'plain', '{"name": "Probe"}'), ('jsonb', '^mapping$', 'plain', '{"target": "leads", "columns": {"name": "name"}}'),
('jsonb', '^spec$', 'plain', '{"column": "name"}'), ('jsonb', '^attributes$', 'plain', '{"title": "Head", "size": 3}'), ('jsonb', '^definition$', 'other', '{"zone": "UTC", "weekly": {"mon": [["09:00", "17:00"]]}}'),
('jsonb', '^definition$', 'plain', '{"name": "probe", "subject_table": "leads", "where": "$.name != \"\"", "min": 0, "max": 100, "rules": [{"name": "r", "when": "$.size > 1", "points": 3}]}'),
('jsonb', '^data$', 'other', '[{"label": "a", "value": 1}, {"label": "b", "value": 2}]'), ('jsonb', '', 'plain', '{}'), ('jsonb', '', 'other', '{"a": 1, "b": [1, 2]}'),
('text[]', '^kinds$', 'plain', '{lead.created}'), ('text[]', '^measures$', 'plain', '{count(*)}'), ('text[]', '^(keys|fields)$', 'plain', '{source}'), ('text[]', '', 'plain', '{a,b}'), ('text[]', '', 'other', '{}'),
('bigint[]', '', 'plain', '{1,2,3}'), ('bigint[]', '', 'other', '{}'), ('double precision[]', '', 'plain', '{0.5,1,2,3}'), ('double precision[]', '', 'other', '{1,1}'),
('timestamp with time zone[]', '', 'plain', '{"2026-01-05 10:00+00","2026-01-06 10:00+00"}'), ('numeric[]', '', 'plain', '{1,2}'), ('smallint', '', 'plain', '1'), ('real', '', 'plain', '1'),
('tsquery', '', 'plain', 'anna'), ('oid', '', 'plain', '1'), ('"char"', '', 'plain', 'a');

-- The value of an argument as it stands in a statement; without a line for it, NULL of its type.
CREATE FUNCTION attack.argument(type oid, arg text, kind text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN kind = 'null' THEN 'NULL::' || t.qualified
                WHEN type = 'record'::regtype THEN 'ROW(1::pg_catalog.int8, ''x''::pg_catalog.text)'
                WHEN y.typtype = 'c' THEN coalesce('(SELECT t FROM ' || (SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.oid = y.typrelid AND c.relkind = 'r') || ' AS t LIMIT 1)', 'NULL::' || t.qualified)
                ELSE coalesce((SELECT format('%L::%s', l.literal, t.qualified) FROM attack.literals AS l
                               WHERE l.type = format_type(y.oid, NULL) AND argument.arg ~ replace(l.arg, '^', '\.') AND l.kind IN (argument.kind, 'plain')
                               -- the kind asked for before the plain one, a line for the name before one for all
                               ORDER BY l.kind <> argument.kind, l.arg = '', l.n LIMIT 1), 'NULL::' || t.qualified) END
    FROM pg_type AS y
    CROSS JOIN LATERAL (SELECT CASE WHEN y.typelem <> 0 AND y.typcategory = 'A'
                                    THEN (SELECT format('%I.%I[]', e.typnamespace::regnamespace::text, e.typname) FROM pg_type AS e WHERE e.oid = y.typelem)
                                    ELSE format('%I.%I', y.typnamespace::regnamespace::text, y.typname) END AS qualified) AS t
    WHERE y.oid = type
$$;

-- A call of a function or aggregate with given arguments, all names qualified, without an operator. An aggregate also sees
-- a row of other ones.
CREATE FUNCTION attack.call(function oid, arguments text[], others text[] DEFAULT NULL) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE p.prokind
               WHEN 'a' THEN format('SELECT %1$I.%2$I(%3$s) FROM (VALUES (%4$s), (%5$s), (%4$s)) AS x (%3$s)', n.nspname, p.proname,
                                    (SELECT string_agg('a' || i, ', ' ORDER BY i) FROM generate_series(1, cardinality(arguments)) AS i), array_to_string(arguments, ', '),
                                    array_to_string(coalesce(others, arguments), ', '))
               ELSE format('SELECT * FROM %I.%I(%s) AS x', n.nspname, p.proname, array_to_string(arguments, ', ')) END
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.oid = function
$$;

CREATE FUNCTION attack.functions() RETURNS TABLE (function oid, types oid[], names text[], defaults integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid, x.types, x.names, p.pronargdefaults::integer
    FROM pg_proc AS p
    CROSS JOIN LATERAL (SELECT coalesce(array_agg(CASE WHEN t.type = '"any"'::regtype THEN 'bigint'::regtype::oid ELSE t.type END ORDER BY t.i), '{}') AS types,
                               coalesce(array_agg(p.proname || '.' || coalesce(p.proargnames[t.i], '') ORDER BY t.i), '{}') AS names
                        FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS t (type, i)) AS x
    WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace)
      AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
      AND 'internal'::regtype <> ALL (p.proargtypes::oid[])
$$;

CREATE FUNCTION attack.calls(kinds text[]) RETURNS TABLE (name text, statement text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.function::regprocedure::text, attack.call(f.function, a.arguments)
    FROM attack.functions() AS f
    CROSS JOIN unnest(kinds) AS k (kind)
    CROSS JOIN LATERAL (SELECT coalesce(array_agg(attack.argument(t.type, f.names[t.i], k.kind) ORDER BY t.i), '{}') AS arguments
                        FROM unnest(f.types) WITH ORDINALITY AS t (type, i)
                        -- "short": what has a default is left out
                        WHERE k.kind <> 'short' OR t.i <= cardinality(f.types) - f.defaults) AS a
$$;

-- What is done with every table and view: read, and write each column of one row.
CREATE FUNCTION attack.writes() RETURNS TABLE (name text, statement text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH c AS (
        SELECT c.oid, c.oid::regclass::text AS relation, c.relkind IN ('r', 'p') AS writable,
               string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attidentity = '' AND a.attgenerated = '') AS columns
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
        GROUP BY c.oid
    )
    SELECT relation, s.statement FROM c CROSS JOIN LATERAL (
        SELECT format('SELECT * FROM %s AS t LIMIT 50', relation)
        UNION ALL SELECT format('INSERT INTO %s (%s) SELECT %s FROM %1$s AS t LIMIT 2', relation, columns, columns) WHERE writable
        UNION ALL SELECT format('INSERT INTO %s (%s) SELECT %s FROM %1$s AS t LIMIT 2 ON CONFLICT DO NOTHING', relation, columns, columns) WHERE writable
        UNION ALL SELECT format('DELETE FROM %s AS t WHERE t.ctid OPERATOR(pg_catalog.=) (SELECT r.ctid FROM %1$s AS r LIMIT 1)', relation) WHERE writable
        UNION ALL SELECT format('UPDATE %s AS t SET %I = %s WHERE t.ctid OPERATOR(pg_catalog.=) (SELECT r.ctid FROM %1$s AS r LIMIT 1)', relation, a.attname, v.value)
        FROM pg_attribute AS a
        -- as it is, of another row, missing
        CROSS JOIN LATERAL (VALUES ('t.' || quote_ident(a.attname)), (format('(SELECT r.%I FROM %s AS r LIMIT 1 OFFSET 3)', a.attname, relation)), ('NULL')) AS v (value)
        WHERE writable AND a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ) AS s (statement)
$$;

-- Statements to run and what became of them.
CREATE TABLE attack.statements (n integer GENERATED ALWAYS AS IDENTITY, name text NOT NULL, statement text NOT NULL);
CREATE TABLE attack.results (role text, n integer, state text NOT NULL, message text, context text, seconds numeric);
GRANT SELECT ON attack.statements TO PUBLIC;
GRANT INSERT ON attack.results TO PUBLIC;

-- Runs every statement and undoes it. Without a path of its own and without an operator, so that what is found in front of
-- the path was called by the statement, not by this.
CREATE FUNCTION attack.run(role text) RETURNS void LANGUAGE plpgsql
AS $$
DECLARE
    s record;
    began pg_catalog.timestamptz;
    state pg_catalog.text; message pg_catalog.text; context pg_catalog.text;
BEGIN
    FOR s IN SELECT t.n, t.statement FROM attack.statements AS t ORDER BY t.n LOOP
        BEGIN
            began := pg_catalog.clock_timestamp();
            EXECUTE s.statement;
            SET CONSTRAINTS ALL IMMEDIATE;
            RAISE SQLSTATE 'ATT00';
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, context = PG_EXCEPTION_CONTEXT;
            INSERT INTO attack.results VALUES (role, s.n, state, message, context, pg_catalog.date_part('epoch', pg_catalog.age(pg_catalog.clock_timestamp(), began)));
        END;
    END LOOP;
END
$$;

CREATE FUNCTION attack.expect(wanted boolean, what text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$ BEGIN IF wanted IS NOT TRUE THEN RAISE EXCEPTION 'not so: %', what; END IF; RAISE NOTICE 'ok: %', what; END $$;
