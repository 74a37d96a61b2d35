-- The statements of a batch, put together from the parts of its columns.
--
-- t: the cells of a range of lines. v: what they mean, and the ids of names. s: one row a line with the final values of the target's
-- columns (f1, f2 ...), what is wrong (fault_), and the row as it is now where it is there already. All of it is one pass over sets.

CREATE OR REPLACE FUNCTION crm.import_formats(mapping jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}') FROM jsonb_each(mapping) AS e JOIN crm.import_keys() AS k ON k.key = e.key AND k.level = 'format'
$$;
COMMENT ON FUNCTION crm.import_formats(jsonb) IS 'What a mapping says for all of its columns.';

CREATE OR REPLACE FUNCTION crm.import_part(
    batch crm.import_batches, target regclass, zone text, name text, n integer, spec jsonb, within text, country text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    part jsonb;
    type regtype;
    type_mod integer;
BEGIN
    SELECT a.atttypid, a.atttypmod INTO type, type_mod FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = name AND a.attnum > 0;
    IF spec ? 'lookup' THEN
        part := crm.import_lookup_part(batch, name, n, spec, within);
    ELSIF name LIKE 'custom.%' THEN
        part := crm.import_custom_part(batch, name, n, spec, zone) || '{"kind": "custom"}';
    ELSIF type IS NULL THEN
        part := crm.import_point_part(name, n, spec, country);
    ELSE
        part := coalesce(crm.import_coded_part(target, name, n, batch.tenant_id), crm.import_type_part(name, n, type, type_mod, spec, zone));
    END IF;
    IF part ? 'period' THEN
        -- a period may stand in two columns
        part := part || jsonb_build_object('more', format('%s AS u%s', crm.import_cell_expression(spec || jsonb_build_object('column', jsonb_build_array(spec
            -> 'column' -> 1)), false), n::integer),
            'value', format('crm.import_period(t.c%1$s, t.u%1$s, %2$L, %3$L)', n::integer, coalesce(spec ->> 'date_order', 'any'), zone),
            'fault', format('t.c%1$s IS NOT NULL AND v.v%1$s IS NULL', n::integer));
        spec := spec || jsonb_build_object('column', jsonb_build_array(spec -> 'column' -> 0));
        part := (part || jsonb_build_object('cells', part -> 'more')) - 'more';
    END IF;
    RETURN jsonb_build_object('kind', 'column', 'name', name, 'n', n, 'type', format_type(type, type_mod), 'wipe', spec ->> 'blank' = 'wipe',
                              'default', batch.mapping #> ARRAY['defaults', name], 'create', spec ->> 'missing' = 'create', 'spec', spec,
                              'self', spec ->> 'lookup' IS NOT DISTINCT FROM batch.target_table,
                              'cell', crm.import_cell_expression(spec, coalesce((part ->> 'number')::boolean, false)))
        || part || CASE WHEN spec ->> 'invalid' = 'null' THEN '{"fault": "false"}' ELSE '{}' END::jsonb;
END
$$;
COMMENT ON FUNCTION crm.import_part(crm.import_batches, regclass, text, text, integer, jsonb, text, text) IS 'The part of one column of a mapping.';

CREATE OR REPLACE FUNCTION crm.import_zone(batch crm.import_batches, spec jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT coalesce(spec ->> 'time_zone', batch.mapping ->> 'time_zone', (SELECT t.time_zone FROM crm.tenants AS t WHERE t.tenant_id = batch.tenant_id)));
END
$$;
COMMENT ON FUNCTION crm.import_zone(crm.import_batches, jsonb) IS 'Zone of instants that name none.';

CREATE OR REPLACE FUNCTION crm.import_parts(batch crm.import_batches)
RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.require_registered(batch.target_table, 'import');
    formats CONSTANT jsonb := crm.import_formats(batch.mapping);
    given record;
    n integer := 0;
    pipeline text;
    country text;
    step record;
BEGIN
    FOR given IN
        SELECT u.key, u.spec FROM (
        SELECT e.key, formats || crm.import_spec(e.value) AS spec FROM jsonb_each(batch.mapping -> 'columns') AS e
        UNION ALL
        SELECT e.key, '{"value": null}' FROM jsonb_each(coalesce(batch.mapping -> 'defaults', '{}')) AS e WHERE NOT batch.mapping -> 'columns' ? e.key
        UNION ALL
        SELECT 'custom.' || f.name, '{"value": null}' FROM crm.custom_fields AS f
        WHERE f.tenant_id = batch.tenant_id AND f.table_name = batch.target_table AND f.active AND f.required
          AND NOT batch.mapping -> 'columns' ? ('custom.' || f.name) AND NOT coalesce(batch.mapping -> 'defaults', '{}') ? ('custom.' || f.name)
        UNION ALL
        -- an amount may say what currency it is in
        SELECT 'currency', '{"value": null}' WHERE crm.column_exists(target, 'currency')
          AND NOT batch.mapping -> 'columns' ? 'currency' AND NOT coalesce(batch.mapping -> 'defaults', '{}') ? 'currency'
          AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = target AND a.atttypid = 'numeric'::regtype AND batch.mapping -> 'columns' ? a.attname)
        ) AS u ORDER BY u.key <> 'pipeline_id', u.key
    LOOP
        n := n + 1;
        IF country IS NULL AND batch.mapping ? 'country_column' THEN
            country := crm.import_cell_expression(jsonb_build_object('column', jsonb_build_array(batch.mapping -> 'country_column')), false);
        END IF;
        IF given.key = 'pipeline_id' AND given.spec ? 'lookup' THEN
            pipeline := format('l%s.id', n);
        ELSIF given.key = 'country' THEN
            country := crm.import_cell_expression(given.spec, false);    -- in front of the columns of contact points, by the alphabet
        END IF;
        RETURN NEXT crm.import_part(batch, target, crm.import_zone(batch, given.spec), given.key, n, given.spec,
                                    CASE WHEN given.key = 'stage_id' AND NOT given.spec ? 'pipeline' THEN pipeline END, country);
    END LOOP;
    FOR step IN SELECT formats || crm.import_spec(h.value -> 'at') AS spec, h.value ->> 'stage' AS stage, h.n
                FROM jsonb_array_elements(coalesce(batch.mapping -> 'history', '[]')) WITH ORDINALITY AS h(value, n) ORDER BY h.n LOOP
        n := n + 1;
        RETURN NEXT jsonb_build_object('kind', 'step', 'name', 'history ' || step.n, 'n', n, 'stage', step.stage, 'spec', step.spec, 'self', false, 'create',
            false,
                                       'cell', crm.import_cell_expression(step.spec, false))
            || crm.import_type_part(array_to_string(ARRAY(SELECT jsonb_array_elements_text(step.spec -> 'column')), ' '), n, 'timestamptz', -1, step.spec,
                                    crm.import_zone(batch, step.spec));
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.import_parts(crm.import_batches) IS
    'The parts of a batch: one for each column of its mapping, each default, each required field, and each step of its history.';

-- ---- final values ----

CREATE OR REPLACE FUNCTION crm.import_default(target regclass, part jsonb)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN jsonb_typeof(part -> 'default') <> 'null' THEN format('%L::%s', part ->> 'default', part ->> 'type')
        -- the trigger of the table takes it from a parent or the tenant
        WHEN (SELECT r.options -> 'missing' ? (part ->> 'name') FROM crm.registry AS r WHERE r.relation = target) THEN NULL
        ELSE (SELECT format('(%s)', pg_get_expr(d.adbin, d.adrelid)) FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum =
            d.adnum
              WHERE d.adrelid = target AND a.attname = part ->> 'name') END
$$;
COMMENT ON FUNCTION crm.import_default(regclass, jsonb) IS
'SQL expression: what an empty cell of a new row gives, from the mapping''s defaults, else from the table''s; NULL: nothing.';

CREATE OR REPLACE FUNCTION crm.import_final(target regclass, part jsonb)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('CASE WHEN v.v%1$s IS NOT NULL THEN v.v%1$s WHEN o.id IS NULL THEN %2$s ELSE %3$s END', (part ->> 'n')::integer, coalesce(d.d, 'NULL')::text,
                  CASE WHEN NOT coalesce((part ->> 'wipe')::boolean, false) THEN format('o.%I', part ->> 'name')
                       WHEN (SELECT a.attnotnull FROM pg_attribute AS a WHERE a.attrelid = target AND a.attname = part ->> 'name') THEN coalesce(d.d, 'NULL')
                           ELSE 'NULL' END::text)
    FROM (SELECT crm.import_default(target, part) AS d) AS d
$$;
COMMENT ON FUNCTION crm.import_final(regclass, jsonb) IS
'SQL expression: what goes into a column: the cell; where it is empty the default for a new row, and the value that is there for another.';

CREATE OR REPLACE FUNCTION crm.import_custom_final(parts jsonb[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('(SELECT CASE WHEN o.id IS NULL THEN z.z ELSE (o.custom - %L::text[]) || z.z END FROM (SELECT jsonb_strip_nulls(to_jsonb(y.*)) FROM '
    '(SELECT %s) AS y) AS z(z))',
                  coalesce(array_agg(substr(p ->> 'name', 8)) FILTER (WHERE (p ->> 'wipe')::boolean), '{}'),
                  string_agg(CASE WHEN jsonb_typeof(p -> 'default') <> 'null'
                                  THEN format('CASE WHEN v.v%1$s IS NOT NULL THEN to_jsonb(v.v%1$s) WHEN o.id IS NULL THEN %2$L::jsonb END AS %3$I', (p ->>
                                      'n')::integer, p -> 'default', substr(p ->> 'name', 8))
                                  ELSE format('v.v%s AS %I', (p ->> 'n')::integer, substr(p ->> 'name', 8)) END, ', ')::text)
    FROM unnest(parts) AS p WHERE p ->> 'kind' = 'custom' HAVING count(*) > 0
$$;
COMMENT ON FUNCTION crm.import_custom_final(jsonb[]) IS 'SQL expression: the custom fields of a row; NULL where the mapping has none.';

-- planned dates are not events: what lies ahead of now is left out, of a row that is closed it is a fault
CREATE OR REPLACE FUNCTION crm.import_history_parts(batch crm.import_batches, parts jsonb[])
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH steps AS (
        SELECT (p ->> 'n')::integer AS n, p ->> 'stage' AS stage, format('v.v%s', (p ->> 'n')::integer) AS at,
               array_to_string(ARRAY(SELECT jsonb_array_elements_text(p -> 'spec' -> 'column')), ' ') AS name
        FROM unnest(parts) AS p WHERE p ->> 'kind' = 'step'
        UNION ALL
        -- a closed row was closed on its closing date, where no step says so
        SELECT (p ->> 'n')::integer + 100000, NULL, format('CASE WHEN (%s) THEN v.v%s::timestamp AT TIME ZONE %L END', crm.import_closed(), (p ->>
            'n')::integer, crm.import_zone(batch, p -> 'spec')), 'close_date'
        FROM unnest(parts) AS p WHERE p ->> 'name' = 'close_date' AND batch.mapping ? 'history' AND NOT EXISTS (SELECT FROM unnest(parts) AS q WHERE q ->>
            'kind' = 'step' AND q ->> 'stage' IS NULL)
    )
    SELECT jsonb_build_object(
        'past', string_agg(format('CASE WHEN %s <= now() THEN %s END AS p%s', s.at, s.at, s.n), ', ' ORDER BY s.n),
        'first', format('least(%s)', string_agg('q.p' || s.n, ', ' ORDER BY s.n)),
        'last', format('greatest(%s)', string_agg('q.p' || s.n, ', ' ORDER BY s.n)),
        'faults', (SELECT jsonb_agg(jsonb_build_object('fault', f.fault, 'report', f.report))
                   FROM (SELECT format('q.p%s < greatest(%s)', b.n, string_agg('q.p' || a.n, ', ' ORDER BY a.n)),
                                format('crm.import_fault(%L, (%s)::text, ''22008'', format(%L, %s, greatest(%s)), %L)', b.name, b.at, b.name ||
                                    ': the history runs backwards: %s is before %s', b.at,
                                       string_agg(a.at, ', ' ORDER BY a.n), 'Correct the dates, or put the steps in the order in which they happened.')
                         FROM steps AS b JOIN steps AS a ON a.n < b.n GROUP BY b.n, b.name, b.at
                         UNION ALL
                         SELECT format('(%s) AND %s > now()', crm.import_closed(), c.at),
                                format('crm.import_fault(%L, (%s)::text, ''22008'', format(%L, %s), %L)', c.name, c.at, c.name ||
                                    ': the row is closed, and %s lies in the future', c.at,
                                       'A planned date belongs to an open row: correct the date or the stage.')
                         FROM steps AS c WHERE c.stage IS NULL) AS f(fault, report)))
    FROM steps AS s HAVING count(*) > 0
$$;
COMMENT ON FUNCTION crm.import_history_parts(crm.import_batches, jsonb[]) IS
'Of a history: which instants are past (q.pN), the first and the last of them, and what can be wrong with them; NULL where there is none.';

CREATE OR REPLACE FUNCTION crm.import_closed()
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT 'g.type NOT IN (''open'', ''on_hold'')' $$;
COMMENT ON FUNCTION crm.import_closed() IS 'SQL condition: the stage g of a row is closed.';

CREATE OR REPLACE FUNCTION crm.import_columns(batch crm.import_batches, parts jsonb[])
RETURNS TABLE (name text, final text)
LANGUAGE plpgsql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.subject_relation(batch.target_table);
    closed CONSTANT text := crm.import_closed();
    history CONSTANT jsonb := crm.import_history_parts(batch, parts);
    exported CONSTANT text := format('%L::timestamptz', coalesce(crm.import_instant(batch.mapping ->> 'exported_at', coalesce(batch.mapping ->> 'date_order',
        'any'), crm.import_zone(batch, '{}')), now()));
    part jsonb;
    planned text;
    staged CONSTANT boolean := crm.column_exists(target, 'stage_id');
BEGIN
    FOREACH part IN ARRAY parts LOOP
        CONTINUE WHEN part ->> 'kind' <> 'column' OR (part ->> 'self')::boolean;
        name := part ->> 'name';
        final := crm.import_final(target, part);
        IF name = 'currency' AND crm.import_signs(parts) IS NOT NULL THEN
            final := format('CASE WHEN v.v%1$s IS NULL AND o.id IS NULL THEN coalesce(%2$s, %3$s) ELSE %4$s END', part ->> 'n',
                            coalesce(crm.import_default(target, part), 'NULL'), crm.import_said_currency(crm.import_signs(parts)), final);
        END IF;
        IF staged AND name = 'close_date' THEN
            -- the closing date of an open row is an expectation
            planned := format('CASE WHEN (%s) IS NOT TRUE THEN v.v%s END', closed, part ->> 'n');
            final := format('CASE WHEN (%s) THEN %s END', closed, final);
        ELSIF name = 'expected_close_date' THEN
            CONTINUE;
        END IF;
        RETURN NEXT;
    END LOOP;
    SELECT p INTO part FROM unnest(parts) AS p WHERE p ->> 'name' = 'expected_close_date';
    IF crm.column_exists(target, 'expected_close_date') AND (part IS NOT NULL OR planned IS NOT NULL) THEN
        name := 'expected_close_date';
        final := format('coalesce(%s)', concat_ws(', ', CASE WHEN part IS NOT NULL THEN format('v.v%s', part ->> 'n') END, planned,
                                                  CASE WHEN part IS NULL THEN 'o.expected_close_date' ELSE crm.import_final(target, part) END));
        RETURN NEXT;
    END IF;
    IF history IS NOT NULL THEN
        RETURN QUERY SELECT h.name, h.final FROM (VALUES ('created_at', format('coalesce(%s, o.created_at, %s)', history ->> 'first', exported)),
                                             ('stage_entered_at', format('coalesce(%s, o.stage_entered_at, %s)', history ->> 'last', exported)),
                                             ('closed_at', format('CASE WHEN (%s) THEN coalesce(%s, o.closed_at, %s) END', closed, history ->> 'last',
                                                 exported))) AS h(name, final)
                     WHERE crm.column_exists(target, h.name);
    END IF;
    name := 'custom';
    final := crm.import_custom_final(parts);
    IF final IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION crm.import_columns(crm.import_batches, jsonb[]) IS
    'The columns of the target that a batch fills, each with the SQL expression of its final value.';

-- ---- statements ----

CREATE OR REPLACE FUNCTION crm.import_cells(batch crm.import_batches, parts jsonb[], condition text, more text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format($q$
        t AS MATERIALIZED (
            SELECT r.line, r.source_id AS key_%s%s FROM crm.import_rows AS r
            WHERE r.tenant_id = %s AND r.batch_id = %s AND r.line BETWEEN $1 AND $2 AND %s
        ), v AS MATERIALIZED (SELECT t.*%s FROM t %s)$q$,
        more::text, (SELECT string_agg(format(', %s AS c%s', p ->> 'cell', p ->> 'n') || coalesce(', ' || (p ->> 'cells'), ''), '') FROM unnest(parts) AS
            p)::text,
        batch.tenant_id::bigint, batch.id::bigint, condition::text,
        (SELECT string_agg(format(', %s AS v%s', p ->> 'value', p ->> 'n') || coalesce(', ' || (p ->> 'more'), ''), '') FROM unnest(parts) AS p)::text,
        (SELECT string_agg(p ->> 'join', ' ' ORDER BY (p ->> 'n')::integer) FROM unnest(parts) AS p)::text)
$$;
COMMENT ON FUNCTION crm.import_cells(crm.import_batches, jsonb[], text, text) IS 'Common table expressions t (cells) and v (values) of the lines $1 to $2.';

CREATE OR REPLACE FUNCTION crm.import_fault_expression(faults jsonb[])
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- good rows cost the conditions alone
    SELECT CASE WHEN count(*) = 0 THEN 'NULL::jsonb[]'
                ELSE format('CASE WHEN %s THEN array_remove(ARRAY[%s]::jsonb[], NULL) END', string_agg(format('(%s)', f ->> 'fault'), ' OR ' ORDER BY n)::text,
                            string_agg(format('CASE WHEN %s THEN %s END', f ->> 'fault', f ->> 'report'), ', ' ORDER BY n)::text) END
    FROM unnest(faults) WITH ORDINALITY AS u(f, n) WHERE f ->> 'fault' <> 'false'
$$;
COMMENT ON FUNCTION crm.import_fault_expression(jsonb[]) IS 'SQL expression: what is wrong with a row, NULL where nothing is.';

CREATE OR REPLACE FUNCTION crm.import_judged(batch crm.import_batches, parts jsonb[])
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.subject_relation(batch.target_table);
    history CONSTANT jsonb := crm.import_history_parts(batch, parts);
    stage CONSTANT jsonb := (SELECT p FROM unnest(parts) AS p WHERE p ->> 'name' = 'stage_id');
    close_date CONSTANT jsonb := (SELECT p FROM unnest(parts) AS p WHERE p ->> 'name' = 'close_date');
    faults jsonb[] := ARRAY(SELECT p FROM unnest(parts) AS p) || ARRAY(SELECT jsonb_array_elements(CASE jsonb_typeof(history -> 'faults') WHEN 'array' THEN
        history -> 'faults' ELSE '[]' END));
    finals text;
    differs text;
    names text;
BEGIN
    IF close_date IS NOT NULL AND crm.column_exists(target, 'stage_id') AND NOT (batch.mapping ? 'history' AND NOT history IS NULL AND history::text LIKE
        '%close_date: the row is closed%') THEN
        faults := faults || jsonb_build_object('fault', format('(%s) AND v.v%s > (now() AT TIME ZONE %L)::date', crm.import_closed(), close_date ->> 'n',
            crm.import_zone(batch, '{}')),
            'report', format('crm.import_fault(''close_date'', t.c%1$s, ''22008'', format(''close_date: the row is closed, and %%s lies in the '
            'future'', t.c%1$s), %2$L)', close_date ->> 'n',
                             'A planned date belongs to an open row: correct the date or the stage.'));
    END IF;
    faults := faults || crm.import_money_faults(batch, parts) || crm.import_owner_faults(batch, parts) || crm.import_user_faults(batch, parts);
    SELECT string_agg(format('%s AS f%s', c.final, c.n), ', ' ORDER BY c.n), string_agg(format('y.f%s IS DISTINCT FROM (y.o_).%I', c.n, c.name), ' OR '),
           string_agg(format('x.f%s', c.n), ', ' ORDER BY c.n)
    INTO finals, differs, names
    FROM crm.import_columns(batch, parts) WITH ORDINALITY AS c(name, final, n);
    RETURN format($q$WITH %s, s AS MATERIALIZED (
            SELECT x.line, x.key_, x.fault_, x.old_id, x.differs_, CASE WHEN x.differs_ AND x.fault_ IS NULL THEN to_jsonb(x.o_) END AS before_%s
            FROM (SELECT y.*, y.old_id IS NOT NULL AND (%s) AS differs_
                  FROM (SELECT v.line, v.key_, o AS o_, o.id AS old_id, %s AS fault_%s
                        FROM v LEFT JOIN %s AS o ON o.tenant_id = %s AND o.source_system = %L AND o.source_id = v.key_ %s %s OFFSET 0) AS y OFFSET 0) AS x
        )$q$,
        crm.import_cells(batch, parts, 'r.state = ''pending''', ''), coalesce(', ' || names, '')::text, coalesce(differs, 'false')::text,
        replace(crm.import_fault_expression(faults), 't.c', 'v.c')::text, coalesce(', ' || finals, '')::text, target::regclass, batch.tenant_id::bigint,
            batch.source_system,
        CASE WHEN crm.column_exists(target, 'stage_id') THEN format('LEFT JOIN crm.stages AS g ON g.tenant_id = %s AND g.id = coalesce(%s, o.stage_id)',
            batch.tenant_id::bigint,
            CASE WHEN stage IS NULL THEN 'NULL::bigint' ELSE format('v.v%s', stage ->> 'n') END) ELSE '' END::text,
        CASE WHEN history IS NULL THEN '' ELSE format('CROSS JOIN LATERAL (SELECT %s) AS q', history ->> 'past') END::text);
END
$$;
COMMENT ON FUNCTION crm.import_judged(crm.import_batches, jsonb[]) IS
'WITH t, v, s: the pending lines $1 to $2 with the final values of the columns of the target (f1, f2 ...), what is wrong (fault_), and the row that is there '
'already (old_id, differs_, before_).';

CREATE OR REPLACE FUNCTION crm.import_mark()
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'sqlstate = s.fault_[1] ->> ''sqlstate'', column_name = s.fault_[1] ->> ''column'', value = s.fault_[1] ->> ''value'', hint = s.fault_[1] '
    '->> ''hint'', '
        || 'reason = (SELECT string_agg(f ->> ''reason'', ''; '') FROM unnest(s.fault_) AS f)'
$$;
COMMENT ON FUNCTION crm.import_mark() IS 'SQL: what a row of an import keeps of the faults of s.';

-- version and updated_at grow without anybody having changed anything, and types without a hash say nothing
CREATE OR REPLACE FUNCTION crm.import_hash(target regclass, alias text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('hash_record_extended(ROW(%s), 0)', string_agg(format('%I.%I', alias, a.attname), ', ' ORDER BY a.attname))
    FROM pg_attribute AS a
    WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attname NOT IN ('version', 'updated_at')
      AND a.atttypid NOT IN ('json'::regtype, 'jsonpath'::regtype, 'tsvector'::regtype, 'xml'::regtype)
$$;
COMMENT ON FUNCTION crm.import_hash(regclass, text) IS 'SQL expression: by what crm.undo_import() sees that a row was changed after its import.';

CREATE OR REPLACE FUNCTION crm.import_move(batch crm.import_batches, parts jsonb[], prepared boolean)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.subject_relation(batch.target_table);
    columns text;
    finals text;
    changes text;
    populated text;
    replaced text;
BEGIN
    SELECT string_agg(', ' || quote_ident(c.name), '' ORDER BY c.n), string_agg(format(', s.f%s', c.n), '' ORDER BY c.n),
           string_agg(format('%1$I = excluded.%1$I', c.name), ', ' ORDER BY c.n), string_agg(format(', p.%I AS f%s', c.name, c.n), '' ORDER BY c.n),
           string_agg(format('%I = s.f%s', c.name, c.n), ', ' ORDER BY c.n)
    INTO columns, finals, changes, populated, replaced
    FROM crm.import_columns(batch, parts) WITH ORDINALITY AS c(name, final, n);
    RETURN CASE WHEN prepared THEN format($q$WITH s AS MATERIALIZED (
            SELECT r.line, r.source_id AS key_, NULL::jsonb[] AS fault_, (r.ready ->> 'old_id')::bigint AS old_id, (r.ready ->> 'differs')::boolean AS
                differs_, nullif(r.ready -> 'before', 'null') AS before_%s
            FROM crm.import_rows AS r CROSS JOIN LATERAL jsonb_populate_record(NULL::%s, r.ready -> 'row') AS p
            WHERE r.tenant_id = %s AND r.batch_id = %s AND r.line BETWEEN $1 AND $2 AND r.state = 'pending')$q$, populated::text, target::regclass,
                batch.tenant_id::bigint, batch.id::bigint)
        ELSE crm.import_judged(batch, parts) END
        -- a row that is there is changed, not entered again: what a new row of the same columns would lack is none of its business
        || format($q$, changed AS (
            UPDATE %s AS t SET %s FROM s WHERE t.tenant_id = %s AND t.id = s.old_id AND s.fault_ IS NULL AND s.differs_
            RETURNING t.id, t.source_id, %s AS hash
        )$q$, target::regclass, coalesce(replaced, 'source_id = t.source_id')::text, batch.tenant_id::bigint, crm.import_hash(target, 't'))
        || format($q$, entered AS (
            INSERT INTO %s AS t (tenant_id, source_system, source_id%s)
            SELECT %s, %L, s.key_%s FROM s WHERE s.fault_ IS NULL AND s.old_id IS NULL ORDER BY s.line
            ON CONFLICT (tenant_id, source_system, source_id) DO UPDATE SET %s
            RETURNING t.id, t.source_id, %s AS hash
        ), new AS (SELECT * FROM changed UNION ALL SELECT * FROM entered)
        UPDATE crm.import_rows AS r
        SET state = CASE WHEN s.fault_ IS NOT NULL THEN 'bad' WHEN s.old_id IS NULL THEN 'inserted' WHEN s.differs_ THEN 'updated' ELSE 'unchanged' END,
            target_id = coalesce(new.id, CASE WHEN s.fault_ IS NULL THEN s.old_id END), before = s.before_, row_hash = new.hash, ready = NULL, %s
        FROM s LEFT JOIN new ON new.source_id = s.key_
        WHERE r.tenant_id = %s AND r.batch_id = %s AND r.line BETWEEN $1 AND $2 AND r.line = s.line$q$,
        target::regclass, columns::text, batch.tenant_id::bigint, batch.source_system, finals::text, coalesce(changes, 'source_id = excluded.source_id')::text,
        crm.import_hash(target, 't'), crm.import_mark(), batch.tenant_id::bigint, batch.id::bigint);
END
$$;
COMMENT ON FUNCTION crm.import_move(crm.import_batches, jsonb[], boolean) IS
'The statement that moves the lines $1 to $2 of a batch; prepared: from what crm.import_prepare() has left.';

CREATE OR REPLACE FUNCTION crm.import_prepare(batch crm.import_batches, parts jsonb[], keep boolean)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm.import_judged(batch, parts) || format($q$
        UPDATE crm.import_rows AS r SET state = CASE WHEN s.fault_ IS NULL THEN 'pending' ELSE 'bad' END, %s%s
        FROM s WHERE r.tenant_id = %s AND r.batch_id = %s AND r.line BETWEEN $1 AND $2 AND r.line = s.line AND (s.fault_ IS NOT NULL OR %L)$q$,
        crm.import_mark(),
        CASE WHEN keep THEN format(', ready = CASE WHEN s.fault_ IS NULL THEN jsonb_build_object(''old_id'', s.old_id, ''differs'', s.differs_, '
        '''before'', s.before_, ''row'',
            (SELECT to_jsonb(z.*) FROM (SELECT %s) AS z)) END', (SELECT string_agg(format('s.f%s AS %I', c.n, c.name), ', ') FROM crm.import_columns(batch,
                parts) WITH ORDINALITY AS c(name, final, n))::text)
             ELSE '' END::text, batch.tenant_id::bigint, batch.id::bigint, keep)
$$;
COMMENT ON FUNCTION crm.import_prepare(crm.import_batches, jsonb[], boolean) IS
'The statement that judges the lines $1 to $2 of a batch and moves none: bad ones are marked, and where it is asked for the others keep their final values.';

CREATE OR REPLACE FUNCTION crm.import_link(batch crm.import_batches, parts jsonb[])
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.subject_relation(batch.target_table);
    own CONSTANT jsonb[] := ARRAY(SELECT p FROM unnest(parts) AS p WHERE (p ->> 'self')::boolean);
BEGIN
    IF own = '{}' THEN
        RETURN NULL;
    END IF;
    -- a new row whose parent is nowhere goes out again: a bad row is not in the table
    RETURN format($q$WITH %s, s AS MATERIALIZED (
            SELECT v.line, v.target_id, v.was_, %s AS fault_, to_jsonb(o.*) AS before_, %s,
                   %s AS differs_
            FROM v JOIN %s AS o ON o.tenant_id = %s AND o.id = v.target_id
        ), gone AS (
            DELETE FROM %s AS t USING s WHERE t.tenant_id = %s AND t.id = s.target_id AND s.fault_ IS NOT NULL AND s.was_ = 'inserted'
        ), linked AS (
            UPDATE %s AS t SET %s FROM s WHERE t.tenant_id = %s AND t.id = s.target_id AND s.fault_ IS NULL AND s.differs_ RETURNING t.id, %s AS hash
        )
        UPDATE crm.import_rows AS r
        SET state = CASE WHEN s.fault_ IS NOT NULL THEN 'bad' WHEN s.was_ = 'unchanged' THEN 'updated' ELSE s.was_ END,
            target_id = CASE WHEN s.fault_ IS NULL THEN s.target_id END, before = CASE WHEN s.fault_ IS NULL AND s.was_ = 'unchanged' THEN s.before_ ELSE
                r.before END,
            row_hash = linked.hash, %s
        FROM s LEFT JOIN linked ON linked.id = s.target_id
        WHERE r.tenant_id = %s AND r.batch_id = %s AND r.line BETWEEN $1 AND $2 AND r.line = s.line AND (s.fault_ IS NOT NULL OR linked.id IS NOT NULL)$q$,
        crm.import_cells(batch, own, 'r.state IN (''inserted'', ''updated'', ''unchanged'')', ', r.target_id, r.state AS was_'),
        replace(crm.import_fault_expression(own), 't.c', 'v.c')::text,
        (SELECT string_agg(format('%s AS f%s', crm.import_final(target, p), p ->> 'n'), ', ') FROM unnest(own) AS p)::text,
        (SELECT string_agg(format('%s IS DISTINCT FROM o.%I', crm.import_final(target, p), p ->> 'name'), ' OR ') FROM unnest(own) AS p)::text,
        target::regclass, batch.tenant_id::bigint, target::regclass, batch.tenant_id::bigint,
        target::regclass, (SELECT string_agg(format('%I = s.f%s', p ->> 'name', p ->> 'n'), ', ') FROM unnest(own) AS p)::text, batch.tenant_id::bigint,
            crm.import_hash(target, 't'),
        crm.import_mark(), batch.tenant_id::bigint, batch.id::bigint);
END
$$;
COMMENT ON FUNCTION crm.import_link(crm.import_batches, jsonb[]) IS
'The statement that fills columns which refer to rows of the same table, once all rows are in; NULL where there are none.';

CREATE OR REPLACE FUNCTION crm.import_points(batch crm.import_batches, parts jsonb[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format($q$WITH %s, wanted AS (
            SELECT DISTINCT ON (v.target_id, p.kind, crm.contact_point_key(p.kind, p.value, coalesce(p.country, crm.tenant_country(), '')))
                   v.line, v.target_id, p.kind, p.value, p.label, p.country, crm.contact_point_key(p.kind, p.value, coalesce(p.country, crm.tenant_country(),
                       '')) AS key, p.n
            FROM v CROSS JOIN LATERAL (%s) AS p(kind, label, country, value, n)
            ORDER BY v.target_id, p.kind, crm.contact_point_key(p.kind, p.value, coalesce(p.country, crm.tenant_country(), '')), p.n
        ), made AS (
            INSERT INTO crm.contact_points AS t (tenant_id, %I, kind, value, country, label, is_primary)
            SELECT %s, w.target_id, w.kind, w.value, w.country::bpchar, w.label,
                   row_number() OVER (PARTITION BY w.target_id, w.kind ORDER BY w.n) = 1
                   AND NOT EXISTS (SELECT FROM crm.contact_points AS x WHERE x.tenant_id = %s AND x.%I = w.target_id AND x.kind = w.kind AND x.is_primary)
            FROM wanted AS w
            WHERE NOT EXISTS (SELECT FROM crm.contact_points AS x WHERE x.tenant_id = %s AND x.%I = w.target_id AND x.kind = w.kind
                              AND (x.value_key = w.key OR x.value = w.value))
            ORDER BY w.line, w.n
            RETURNING t.id, t.%I AS target_id
        ), noted AS (
            INSERT INTO crm.import_extras (tenant_id, batch_id, table_name, row_id, target_id) SELECT %s, %s, 'contact_points', m.id, m.target_id FROM made AS m
        )
        UPDATE crm.import_rows AS r SET state = 'updated'
        WHERE r.tenant_id = %s AND r.batch_id = %s AND r.line BETWEEN $1 AND $2 AND r.state = 'unchanged' AND r.target_id IN (SELECT m.target_id FROM made AS
            m)$q$,
        crm.import_cells(batch, array_agg(p), 'r.state IN (''inserted'', ''updated'', ''unchanged'')', ', r.target_id'),
        string_agg(format('SELECT %L, %L, v.k%s, u.value, u.n + %s FROM unnest(v.v%s) WITH ORDINALITY AS u(value, n)', split_part(p ->> 'name', '.', 1),
                          nullif(substr(p ->> 'name', length(split_part(p ->> 'name', '.', 1)) + 2), ''), (p ->> 'n')::integer,
                          (1000 * (p ->> 'n')::integer)::integer, (p ->> 'n')::integer), ' UNION ALL ')::text,
        l.column_name, batch.tenant_id::bigint, batch.tenant_id::bigint, l.column_name, batch.tenant_id::bigint, l.column_name, l.column_name,
        batch.tenant_id::bigint, batch.id::bigint, batch.tenant_id::bigint, batch.id::bigint)
    FROM unnest(parts) AS p
    JOIN crm.table_links('crm.contact_points') AS l ON l.kind = 'parent' AND l.target = batch.target_table
    WHERE p ->> 'kind' = 'point' GROUP BY l.column_name
$$;
COMMENT ON FUNCTION crm.import_points(crm.import_batches, jsonb[]) IS
'The statement that adds the contact points of the lines $1 to $2 which are not there yet; NULL where the mapping names none.';

CREATE OR REPLACE FUNCTION crm.import_history(batch crm.import_batches, parts jsonb[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- of steps at one instant the last counts, and a stage that follows itself is one step; the last step is always the stage the row is in
    SELECT format($q$WITH %s
        SELECT crm.record_history(%L, array_agg(w.target_id ORDER BY w.target_id, w.at), array_agg(w.stage_id ORDER BY w.target_id, w.at), array_agg(w.at
            ORDER BY w.target_id, w.at))
        FROM (SELECT u.*, lag(u.stage_id) OVER (PARTITION BY u.target_id ORDER BY u.at) IS DISTINCT FROM u.stage_id AS moved
              FROM (SELECT DISTINCT ON (v.target_id, h.at) v.target_id, coalesce(g.id, t.stage_id) AS stage_id, h.at
                    FROM v JOIN %s AS t ON t.tenant_id = %s AND t.id = v.target_id
                    CROSS JOIN LATERAL (VALUES %s) AS h(n, code, at)
                    LEFT JOIN crm.stages AS g ON g.tenant_id = %s AND g.pipeline_id = t.pipeline_id AND g.code = h.code
                    WHERE h.at <= now() AND (h.code IS NULL OR g.id IS NOT NULL)
                    ORDER BY v.target_id, h.at, h.n DESC) AS u) AS w
        WHERE w.moved HAVING count(*) > 0$q$,
        crm.import_cells(batch, array_agg(p ORDER BY (p ->> 'n')::integer), 'r.state IN (''inserted'', ''updated'')', ', r.target_id'),
            batch.target_table,
        crm.subject_relation(batch.target_table)::regclass, batch.tenant_id::bigint,
        (string_agg(format('(%s, %L::text, v.v%s)', (p ->> 'n')::integer, p ->> 'stage', (p ->> 'n')::integer), ', ')
         || format(', (%s, NULL, coalesce(%s))', 1000000, concat_ws(', ', CASE WHEN crm.column_exists(crm.subject_relation(batch.target_table),
             'stage_entered_at') THEN 't.stage_entered_at' END,
                   format('greatest(%s)', string_agg(format('CASE WHEN v.v%1$s <= now() THEN v.v%1$s END', (p ->> 'n')::integer), ', ')), 'now()')))::text,
                       batch.tenant_id::bigint)
    FROM unnest(parts) AS p WHERE p ->> 'kind' = 'step' HAVING count(*) > 0
$$;
COMMENT ON FUNCTION crm.import_history(crm.import_batches, jsonb[]) IS
'The statement that dates the stage periods of the lines $1 to $2 by the steps of the history; NULL where the mapping has none.';
