-- crm.import_table: a staged table into a table of the CRM, set by set.
--
-- The source's rows are kept as jsonb in crm.import_rows first, so that none can be lost. Then one INSERT ... ON
-- CONFLICT moves a range of lines. Where it fails, the range is halved until the bad line stands alone and is
-- marked with the error: good data costs one statement, a bad row the logarithm of the batch.

CREATE OR REPLACE FUNCTION crm.import_expression(target regclass, target_column text, spec jsonb, source_system text, mapping jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type regtype;
    type_name text;
    raw text;
    zone text;
    date_order text := coalesce(mapping ->> 'date_order', 'ymd');
    lookup text := spec ->> 'lookup';
BEGIN
    SELECT a.atttypid, format_type(a.atttypid, a.atttypmod) INTO type, type_name FROM pg_attribute AS a
    WHERE a.attrelid = target AND a.attname = target_column AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
    IF type IS NULL THEN
        RAISE EXCEPTION 'table % has no column "%" that can be imported', target, target_column
            USING ERRCODE = 'undefined_column', HINT = 'Custom fields are written "custom.name".';
    END IF;
    IF jsonb_typeof(spec) NOT IN ('string', 'object') OR jsonb_typeof(spec) = 'object' AND NOT spec ?| '{column,value}' THEN
        RAISE EXCEPTION 'mapping of column "%" names no source column', target_column
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Write "target": "source column", or "target": {"column": "source column", ...}, or {"value": constant}.';
    END IF;
    IF spec ? 'value' AND lookup IS NULL THEN
        RETURN format('%L::%s', spec ->> 'value', type_name);
    END IF;
    raw := format('crm.import_text(r.data, %L)', spec);
    IF lookup IS NOT NULL THEN
        RETURN format('%I.id', 'l_' || target_column);
    END IF;
    SELECT t.time_zone INTO zone FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id();
    CASE
        WHEN type IN ('numeric'::regtype, 'bigint'::regtype, 'integer'::regtype, 'smallint'::regtype, 'double precision'::regtype) THEN
            raw := format('crm.import_number(%s)', raw);
            IF spec ? 'scale' THEN
                raw := format('(%s * %L::numeric)', raw, spec ->> 'scale');
            END IF;
            RETURN format('%s::%s', raw, type_name);
        WHEN type IN ('date'::regtype) THEN
            RETURN format('(crm.import_timestamp(%s, %L, %L) AT TIME ZONE %L)::date', raw, date_order, zone, zone);
        WHEN type IN ('timestamptz'::regtype) THEN
            RETURN format('crm.import_timestamp(%s, %L, %L)', raw, date_order, zone);
        ELSE
            RETURN format('%s::%s', raw, type_name);
    END CASE;
END
$$;
COMMENT ON FUNCTION crm.import_expression(regclass, text, jsonb, text, jsonb) IS 'SQL expression that gives one target column of an import.';

-- by what a row of a table m is found, as a condition on the key d.key; the columns are those the table declares
CREATE OR REPLACE FUNCTION crm.import_match(way text, alias text, batch crm.import_batches)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE way
        WHEN 'source' THEN format('%1$I.source_system = %2$L AND %1$I.source_id = d.key', alias, batch.source_system)
        WHEN 'code' THEN format('%I.code = lower(d.key)', alias)
        WHEN 'name' THEN format($f$replace(crm.name_key(%I.name), ' ', '') = replace(crm.name_key(d.key), ' ', '')$f$, alias)
        ELSE format('%I.%I = d.key', alias, way) END
$$;
COMMENT ON FUNCTION crm.import_match(text, text, crm.import_batches) IS 'Condition by which an import finds a row; way as in the option found_by of '
'crm.table_options().';

CREATE OR REPLACE FUNCTION crm.import_lookup(target_column text, spec jsonb, batch crm.import_batches)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lookup text := spec ->> 'lookup';
    known record;
    within text := '';
    joins text;
    ids text;
BEGIN
    SELECT r.relation, r.options -> 'found_by' AS ways INTO known FROM crm.registered_as('found_by') AS r WHERE r.subject = lookup;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'column "%" is looked up in "%", which cannot be looked up in', target_column, lookup
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = (SELECT 'Look up in ' || string_agg(r.subject, ', ') || '.' FROM crm.registered_as('found_by') AS r);
    END IF;
    IF crm.column_exists(known.relation, 'pipeline_id') AND NOT crm.column_exists(known.relation, 'stage_id') THEN
        -- codes of stages mean something within a pipeline: the one that is named, or the target's default
        within := format('.pipeline_id = (SELECT p.id FROM crm.pipelines AS p WHERE p.tenant_id = %s AND ', batch.tenant_id)
            || CASE WHEN spec ? 'pipeline' THEN format('p.code = %L', spec ->> 'pipeline') ELSE format('p.subject_table = %L', batch.target_table) END
            || ' ORDER BY p.is_default DESC, p.id LIMIT 1)';
    END IF;
    SELECT string_agg(format(' LEFT JOIN %s AS %I ON %I.tenant_id = %s AND ', known.relation::regclass, 'm' || w.n, 'm' || w.n, batch.tenant_id)
                      || crm.import_match(w.way, 'm' || w.n, batch)
                      || CASE WHEN within <> '' THEN format(' AND %I', 'm' || w.n) || within ELSE '' END, '' ORDER BY w.n),
           string_agg(format('min(%I.id)', 'm' || w.n), ', ' ORDER BY w.n)
    INTO joins, ids
    FROM jsonb_array_elements_text(known.ways) WITH ORDINALITY AS w (way, n);
    -- each distinct value is looked up once, by the first way that finds anything
    RETURN format('LEFT JOIN (SELECT d.key, coalesce(' || ids || ') AS id
                   FROM (SELECT DISTINCT crm.import_text(x.data, %1$L) AS key FROM crm.import_rows AS x
                         WHERE x.tenant_id = %2$s AND x.batch_id = %3$s AND x.line BETWEEN $1 AND $2) AS d', spec, batch.tenant_id, batch.id)
        || joins
        || format(' WHERE d.key IS NOT NULL GROUP BY d.key) AS %1$I ON %1$I.key = crm.import_text(r.data, %2$L)', 'l_' || target_column, spec);
END
$$;
COMMENT ON FUNCTION crm.import_lookup(text, jsonb, crm.import_batches) IS 'Join that turns the names of a source column into ids.';

CREATE OR REPLACE FUNCTION crm.import_creates(relation regclass)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM crm.registered_as('import') AS r WHERE r.relation = import_creates.relation)
       AND crm.column_exists(relation, 'name')
       AND NOT EXISTS (SELECT FROM pg_attribute AS a
                       WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef
                         AND a.attidentity = '' AND a.attname <> 'name')
$$;
COMMENT ON FUNCTION crm.import_creates(regclass) IS 'Whether an import can make a row of a table out of nothing but a name.';

CREATE OR REPLACE FUNCTION crm.import_history_dates(batch crm.import_batches)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    zone text := (SELECT t.time_zone FROM crm.tenants AS t WHERE t.tenant_id = batch.tenant_id);
    date_order text := coalesce(batch.mapping ->> 'date_order', 'ymd');
    dates text;
BEGIN
    IF NOT EXISTS (SELECT FROM crm.registered_as('process') AS r WHERE r.subject = batch.target_table)
       OR jsonb_typeof(batch.mapping -> 'history') <> 'array' THEN
        RAISE EXCEPTION 'rows of "%" have no history that can be imported', batch.target_table
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write "history": [{"stage": "code", "at": "column"}, {"at": "column"}]; the last step is the stage the row is in.';
    END IF;
    SELECT string_agg(format('crm.import_timestamp(crm.import_text(r.data, %L), %L, %L)%s', h.step -> 'at', date_order, zone,
                             CASE WHEN h.n > 1 THEN format(' + interval %L', (h.n - 1) || ' microseconds') END), ', ' ORDER BY h.n) INTO dates
    FROM jsonb_array_elements(batch.mapping -> 'history') WITH ORDINALITY AS h(step, n);
    -- a row that names no date at all begins when it was exported
    RETURN dates || format(', CASE WHEN num_nonnulls(%s) = 0 THEN %L::timestamptz END', dates,
                  coalesce(crm.import_timestamp(batch.mapping ->> 'exported_at', date_order, zone), now()));
END
$$;
COMMENT ON FUNCTION crm.import_history_dates(crm.import_batches) IS
'Expressions over a source row r that give the instants of its history, comma-separated: one a step, and one for rows without any date.';

CREATE OR REPLACE FUNCTION crm.import_custom_expression(batch crm.import_batches, field text, spec jsonb)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- as the type the field is declared with; an undeclared one goes in as text and is refused by the table
    SELECT format(CASE (SELECT f.type FROM crm.custom_fields AS f
                        WHERE f.tenant_id = batch.tenant_id AND f.table_name = batch.target_table AND f.name = field)
                      WHEN 'integer' THEN 'crm.import_number(%1$s)'
                      WHEN 'number' THEN 'crm.import_number(%1$s)'
                      WHEN 'boolean' THEN '%1$s::boolean'
                      WHEN 'date' THEN '(crm.import_timestamp(%1$s, %2$L, %3$L) AT TIME ZONE %3$L)::date'
                      WHEN 'timestamp' THEN 'crm.import_timestamp(%1$s, %2$L, %3$L)'
                      WHEN 'choices' THEN 'regexp_split_to_array(%1$s, ''\s*[;|]\s*'')'
                      WHEN 'json' THEN '%1$s::jsonb'
                      ELSE '%1$s' END,
                  format('crm.import_text(r.data, %L)', spec), coalesce(batch.mapping ->> 'date_order', 'ymd'),
                  (SELECT t.time_zone FROM crm.tenants AS t WHERE t.tenant_id = batch.tenant_id))
$$;
COMMENT ON FUNCTION crm.import_custom_expression(crm.import_batches, text, jsonb) IS 'SQL expression that gives one custom field of an import.';

CREATE OR REPLACE FUNCTION crm.import_statement(batch crm.import_batches, second_pass boolean)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    target regclass := crm.require_registered(batch.target_table, 'import');
    mapping jsonb := batch.mapping;
    spec jsonb;
    name text;
    columns text[] := '{}';
    expressions text[] := '{}';
    custom text[] := '{}';
    joins text[] := '{}';
    checks text[] := '{}';
    dated CONSTANT text[] := ARRAY(SELECT d FROM unnest('{created_at,stage_entered_at,closed_at}'::text[]) AS d WHERE crm.column_exists(target, d));
    expression text;
    self_lookup boolean;
BEGIN
    FOR name, spec IN
        SELECT e.key, e.value FROM jsonb_each(mapping -> 'columns') AS e
        UNION ALL
        SELECT e.key, jsonb_build_object('value', e.value) FROM jsonb_each(coalesce(mapping -> 'defaults', '{}')) AS e
        WHERE NOT mapping -> 'columns' ? e.key
        ORDER BY 1
    LOOP
        IF jsonb_typeof(spec) IN ('string', 'object') IS NOT TRUE THEN
            RAISE EXCEPTION 'mapping of column "%" is neither a name nor an object', name USING ERRCODE = 'invalid_parameter_value';
        END IF;
        IF name LIKE 'custom.%' THEN
            custom := custom || format('%L, %s', substr(name, 8), crm.import_custom_expression(batch, substr(name, 8), spec));
            CONTINUE;
        END IF;
        self_lookup := spec ->> 'lookup' IS NOT DISTINCT FROM batch.target_table;
        expression := crm.import_expression(target, name, spec, batch.source_system, mapping);
        CONTINUE WHEN self_lookup <> second_pass;
        expressions := expressions || expression;
        columns := columns || quote_ident(name);
        IF spec ? 'lookup' THEN
            joins := joins || crm.import_lookup(name, spec, batch);
            IF coalesce(spec ->> 'missing', 'error') = 'error' THEN
                checks := checks || format('CASE WHEN %I.id IS NULL AND crm.import_text(r.data, %L) IS NOT NULL THEN %L || crm.import_text(r.data, %L) || ''"'' END',
                                           'l_' || name, spec, format('%s: %s has no "', name, spec ->> 'lookup'), spec);
            END IF;
        END IF;
    END LOOP;
    IF second_pass THEN
        IF columns = '{}' THEN
            RETURN NULL;
        END IF;
        RETURN format($q$
            WITH s AS MATERIALIZED (
                SELECT r.line, r.target_id, %s, %s AS fault_ FROM crm.import_rows AS r %s
                WHERE r.tenant_id = %s AND r.batch_id = %s AND r.state <> 'bad' AND r.line BETWEEN $1 AND $2
            ), marked AS (
                UPDATE crm.import_rows AS r SET state = 'bad', sqlstate = '23503', reason = s.fault_
                FROM s WHERE r.tenant_id = %s AND r.batch_id = %s AND r.line = s.line AND s.fault_ IS NOT NULL
            )
            UPDATE %s AS t SET %s FROM s WHERE t.tenant_id = %s AND t.id = s.target_id AND s.fault_ IS NULL AND (%s)
            $q$,
            (SELECT string_agg(e.x || ' AS ' || c.x, ', ') FROM unnest(expressions) WITH ORDINALITY AS e(x, n) JOIN unnest(columns) WITH ORDINALITY AS c(x, n) USING (n)),
            CASE WHEN checks = '{}' THEN 'NULL::text' ELSE format('nullif(concat_ws(''; '', %s), '''')', array_to_string(checks, ', ')) END,
            array_to_string(joins, ' '), batch.tenant_id, batch.id, batch.tenant_id, batch.id, target,
            (SELECT string_agg(format('%s = s.%s', c, c), ', ') FROM unnest(columns) AS c), batch.tenant_id,
            (SELECT string_agg(format('t.%s IS DISTINCT FROM s.%s', c, c), ' OR ') FROM unnest(columns) AS c));
    END IF;
    IF columns = '{}' THEN
        RAISE EXCEPTION 'mapping fills no column of table %', target USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF mapping ? 'history' THEN
        columns := columns || dated;
        expressions := expressions || ARRAY(SELECT CASE d WHEN 'created_at' THEN 'h_.first' ELSE 'h_.last' END FROM unnest(dated) AS d);
        joins := joins || format('CROSS JOIN LATERAL (SELECT min(a.at) AS first, max(a.at) AS last FROM unnest(ARRAY[%s]) AS a(at)) AS h_', crm.import_history_dates(batch));
    END IF;
    IF custom <> '{}' THEN
        columns := columns || 'custom'::text;
        expressions := expressions || format('jsonb_strip_nulls(jsonb_build_object(%s))', array_to_string(custom, ', '));
    END IF;
    RETURN format($q$
        WITH s AS MATERIALIZED (
            SELECT r.line, r.source_id AS source_id_, %s, %s AS fault_
            FROM crm.import_rows AS r %s
            WHERE r.tenant_id = %s AND r.batch_id = %s AND r.state = 'pending' AND r.line BETWEEN $1 AND $2
        ), old AS MATERIALIZED (
            SELECT s.line, t.id, to_jsonb(t) AS row, (%s) AS differs
            FROM s JOIN %s AS t ON t.tenant_id = %s AND t.source_system = %L AND t.source_id = s.source_id_
        ), new AS (
            INSERT INTO %s AS t (tenant_id, source_system, source_id, %s)
            SELECT %s, %L, s.source_id_, %s FROM s LEFT JOIN old USING (line)
            WHERE s.fault_ IS NULL AND old.differs IS NOT FALSE
            ORDER BY s.line
            ON CONFLICT (tenant_id, source_system, source_id) DO UPDATE SET %s
            RETURNING t.id, t.source_id
        )
        UPDATE crm.import_rows AS r
        SET state = CASE WHEN s.fault_ IS NOT NULL THEN 'bad' WHEN old.id IS NULL THEN 'inserted' WHEN old.differs THEN 'updated' ELSE 'unchanged' END,
            target_id = coalesce(new.id, old.id),
            before = CASE WHEN old.differs THEN old.row END,
            sqlstate = CASE WHEN s.fault_ IS NOT NULL THEN '23503' END,
            reason = s.fault_
        FROM s LEFT JOIN old USING (line) LEFT JOIN new ON new.source_id = s.source_id_
        WHERE r.tenant_id = %s AND r.batch_id = %s AND r.line = s.line
        $q$,
        (SELECT string_agg(e.x || ' AS ' || c.x, ', ') FROM unnest(expressions) WITH ORDINALITY AS e(x, n) JOIN unnest(columns) WITH ORDINALITY AS c(x, n) USING (n)),
        CASE WHEN checks = '{}' THEN 'NULL::text' ELSE format('nullif(concat_ws(''; '', %s), '''')', array_to_string(checks, ', ')) END,
        array_to_string(joins, ' '), batch.tenant_id, batch.id,
        (SELECT string_agg(CASE WHEN c = 'custom' THEN 't.custom || s.custom IS DISTINCT FROM t.custom' ELSE format('t.%s IS DISTINCT FROM s.%s', c, c) END, ' OR ') FROM unnest(columns) AS c),
        target, batch.tenant_id, batch.source_system,
        target, array_to_string(columns, ', '), batch.tenant_id, batch.source_system,
        (SELECT string_agg('s.' || c, ', ') FROM unnest(columns) AS c),
        (SELECT string_agg(CASE WHEN c = 'custom' THEN 'custom = t.custom || excluded.custom' ELSE format('%s = excluded.%s', c, c) END, ', ') FROM unnest(columns) AS c),
        batch.tenant_id, batch.id);
END
$$;
COMMENT ON FUNCTION crm.import_statement(crm.import_batches, boolean) IS
'The statement that moves the lines $1 to $2 of a batch. Second pass: columns that refer to rows of the same table.';

CREATE OR REPLACE FUNCTION crm.import_lines(batch crm.import_batches, statement text, second_pass boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    chunk CONSTANT bigint := 50000;
    ranges int8range[];
    range int8range;
    low bigint;
    high bigint;
    why text;
    more text;
    code text;
BEGIN
    SELECT array_agg(int8range(k, least(k + chunk, l.high + 1)) ORDER BY k DESC) INTO ranges
    FROM (SELECT min(r.line) AS low, max(r.line) AS high FROM crm.import_rows AS r
          WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND (r.state = 'pending' OR second_pass)) AS l,
         generate_series(l.low, l.high, chunk) AS k;
    WHILE cardinality(ranges) > 0 LOOP
        range := ranges[cardinality(ranges)];
        ranges := trim_array(ranges, 1);
        low := lower(range);
        high := upper(range) - 1;
        BEGIN
            EXECUTE statement USING low, high;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS why = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL, code = RETURNED_SQLSTATE;
            -- a fault of the mapping or the installation, not of a row
            IF left(code, 2) NOT IN ('22', '23', 'CR', 'P0') THEN
                RAISE;
            END IF;
            IF low < high THEN
                ranges := ranges || int8range((low + high) / 2 + 1, high, '[]') || int8range(low, (low + high) / 2, '[]');
            ELSE
                UPDATE crm.import_rows AS r SET state = 'bad', sqlstate = code, reason = concat_ws(': ', why, nullif(more, ''))
                WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.line = low;
            END IF;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.import_lines(crm.import_batches, text, boolean) IS
'Runs the statement of an import over its lines, halving a range that fails until the bad line stands alone.';

CREATE OR REPLACE FUNCTION crm.import_history(batch crm.import_batches)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation CONSTANT regclass := crm.require_registered(batch.target_table, 'process');
    subject_ids bigint[];
    stage_ids bigint[];
    entered_at timestamptz[];
BEGIN
    -- the steps a row says it took; the last one is always the stage it is in
    EXECUTE format($q$
        SELECT array_agg(w.target_id ORDER BY w.target_id, w.at), array_agg(w.stage_id ORDER BY w.target_id, w.at), array_agg(w.at ORDER BY w.target_id, w.at)
        FROM (
            SELECT v.target_id, v.stage_id, v.at
            FROM (
                SELECT r.target_id, coalesce(g.id, t.stage_id) AS stage_id, coalesce(h.at, CASE WHEN h.code IS NULL THEN %7$s END) AS at,
                       h.code IS NULL AS is_last, bool_or(g.id = t.stage_id AND h.at IS NOT NULL) OVER (PARTITION BY r.target_id) AS there_already
                FROM crm.import_rows AS r
                JOIN %1$s AS t ON t.tenant_id = r.tenant_id AND t.id = r.target_id
                CROSS JOIN LATERAL unnest(%2$L::text[], ARRAY[%3$s]::timestamptz[]) WITH ORDINALITY AS h(code, at, n)
                LEFT JOIN crm.stages AS g ON g.tenant_id = r.tenant_id AND g.pipeline_id = t.pipeline_id AND g.code = h.code
                WHERE r.tenant_id = %4$s AND r.batch_id = %5$s AND r.state IN ('inserted', 'updated') AND h.n <= %6$s
            ) AS v
            WHERE v.at IS NOT NULL AND NOT (v.is_last AND v.there_already)
        ) AS w
        $q$, relation, (SELECT array_agg(h.step ->> 'stage' ORDER BY h.n) FROM jsonb_array_elements(batch.mapping -> 'history') WITH ORDINALITY AS h(step, n)),
             crm.import_history_dates(batch), batch.tenant_id, batch.id, jsonb_array_length(batch.mapping -> 'history'),
             CASE WHEN crm.column_exists(relation, 'stage_entered_at') THEN 't.stage_entered_at' ELSE 'NULL::timestamptz' END)
    INTO subject_ids, stage_ids, entered_at;
    IF subject_ids IS NULL THEN
        RETURN 0;
    END IF;
    RETURN crm.record_history(batch.target_table, subject_ids, stage_ids, entered_at);
END
$$;
COMMENT ON FUNCTION crm.import_history(crm.import_batches) IS
'Dates the stage periods of imported rows by the columns that the mapping''s history names; a row without any date starts at exported_at (now where that is '
'not given).';

-- hash joins: nothing has counted the rows of a batch yet, and nested loops over two guesses of one row take for ever
CREATE OR REPLACE FUNCTION crm.import_run(batch crm.import_batches)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off SET jit = off
AS $$
DECLARE
    name text;
    spec jsonb;
    statement text;
BEGIN
    -- rows that cannot be told apart or not at all
    UPDATE crm.import_rows AS r SET state = 'bad', sqlstate = '23502', reason = 'the row has no value in its key column'
    WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.state = 'pending' AND r.source_id IS NULL;
    UPDATE crm.import_rows AS r SET state = 'bad', sqlstate = '23505', reason = format('the key "%s" is that of line %s already', r.source_id, d.first)
    FROM (SELECT x.line, min(x.line) OVER (PARTITION BY x.source_id) AS first FROM crm.import_rows AS x
          WHERE x.tenant_id = batch.tenant_id AND x.batch_id = batch.id AND x.source_id IS NOT NULL) AS d
    WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.state = 'pending' AND r.line = d.line AND d.line > d.first;

    FOR name, spec IN SELECT e.key, e.value FROM jsonb_each(batch.mapping -> 'columns') AS e WHERE e.value ->> 'missing' = 'create' LOOP
        IF crm.import_creates(crm.subject_relation(spec ->> 'lookup')) IS NOT TRUE THEN
            RAISE EXCEPTION 'rows of "%" cannot be created by an import', spec ->> 'lookup' USING ERRCODE = 'invalid_parameter_value',
                HINT = (SELECT 'It can create ' || string_agg(r.subject, ', ') || '.'
                        FROM crm.registered_as('import') AS r WHERE crm.import_creates(r.relation));
        END IF;
        EXECUTE format('INSERT INTO %s (tenant_id, name, source_system, source_id)
                        SELECT %s, m.key_, %L, m.key_
                        FROM (SELECT DISTINCT crm.import_text(r.data, %L) AS key_, %I.id FROM crm.import_rows AS r %s
                              WHERE r.tenant_id = %s AND r.batch_id = %s AND r.state = ''pending'') AS m
                        WHERE m.key_ IS NOT NULL AND m.id IS NULL ON CONFLICT DO NOTHING',
                       crm.subject_relation(spec ->> 'lookup')::regclass, batch.tenant_id, batch.source_system, spec, 'l_' || name,
                       crm.import_lookup(name, spec, batch), batch.tenant_id, batch.id)
        USING 0::bigint, 9223372036854775807;
    END LOOP;

    IF batch.mapping ? 'history' THEN
        PERFORM crm.begin_history(format('import batch %s from %s', batch.id, batch.source_name));
    END IF;
    PERFORM crm.import_lines(batch, crm.import_statement(batch, false), false);
    statement := crm.import_statement(batch, true);
    IF statement IS NOT NULL THEN
        PERFORM crm.import_lines(batch, statement, true);
    END IF;

    IF batch.mapping ? 'history' THEN
        PERFORM crm.import_history(batch);
    END IF;

    UPDATE crm.import_batches AS b
    SET rows_read = n.read, rows_inserted = n.inserted, rows_updated = n.updated, rows_unchanged = n.unchanged, rows_bad = n.bad,
        finished_at = clock_timestamp()
    FROM (SELECT count(*) AS read, count(*) FILTER (WHERE r.state = 'inserted') AS inserted, count(*) FILTER (WHERE r.state = 'updated') AS updated,
                 count(*) FILTER (WHERE r.state = 'unchanged') AS unchanged, count(*) FILTER (WHERE r.state IN ('bad', 'pending')) AS bad
          FROM crm.import_rows AS r WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id) AS n
    WHERE b.tenant_id = batch.tenant_id AND b.id = batch.id
    RETURNING b.* INTO batch;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION crm.import_run(crm.import_batches) IS 'Moves the pending rows of a batch.';

CREATE OR REPLACE FUNCTION crm.import_source_columns(mapping jsonb)
RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(DISTINCT c.name)
    FROM (SELECT CASE jsonb_typeof(e.value) WHEN 'string' THEN e.value #>> '{}' ELSE e.value ->> 'column' END AS name FROM jsonb_each(mapping -> 'columns') AS e
          UNION ALL
          SELECT k.value FROM jsonb_array_elements_text(CASE jsonb_typeof(mapping -> 'key') WHEN 'array' THEN mapping -> 'key' ELSE jsonb_build_array(mapping -> 'key') END) AS k
          UNION ALL
          SELECT h.value ->> 'at' FROM jsonb_array_elements(coalesce(mapping -> 'history', '[]')) AS h) AS c
    WHERE c.name IS NOT NULL
$$;
COMMENT ON FUNCTION crm.import_source_columns(jsonb) IS 'Columns of the source that a mapping reads.';

CREATE OR REPLACE FUNCTION crm.import_table(source regclass, mapping jsonb)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch crm.import_batches;
    target text := mapping ->> 'target';
    key jsonb := mapping -> 'key';
    absent text;
BEGIN
    IF jsonb_typeof(mapping) IS DISTINCT FROM 'object' OR target IS NULL OR mapping ->> 'source_system' IS NULL
       OR key IS NULL OR jsonb_typeof(mapping -> 'columns') IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'mapping of an import is incomplete' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It needs "target" (table), "source_system" (name), "key" (column or columns that tell rows apart) and "columns" (target: source).';
    END IF;
    PERFORM crm.require_registered(target, 'import');
    IF coalesce(mapping ->> 'date_order', 'ymd') NOT IN ('ymd', 'dmy', 'mdy', 'jalali') THEN
        RAISE EXCEPTION 'unknown date_order "%"', mapping ->> 'date_order' USING ERRCODE = 'invalid_parameter_value', HINT = 'It is one of ymd, dmy, mdy, jalali.';
    END IF;
    SELECT string_agg(c.name, ', ' ORDER BY c.name) INTO absent FROM unnest(crm.import_source_columns(mapping)) AS c(name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = source AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF absent IS NOT NULL THEN
        RAISE EXCEPTION 'source % lacks columns that the mapping names', source USING ERRCODE = 'undefined_column', DETAIL = 'Missing: ' || absent || '.';
    END IF;

    INSERT INTO crm.import_batches AS b (source_name, source_system, target_table, mapping)
    VALUES (source::text, mapping ->> 'source_system', target, mapping) RETURNING b.* INTO batch;
    EXECUTE format('INSERT INTO crm.import_rows (tenant_id, batch_id, line, source_id, data)
                    SELECT %s, %s, s.line, crm.import_key(s.data, %L), s.data
                    FROM (SELECT row_number() OVER () AS line, to_jsonb(t) AS data FROM %s AS t) AS s',
                   batch.tenant_id, batch.id, key, source);
    RETURN crm.import_run(batch);
END
$$;
COMMENT ON FUNCTION crm.import_table(regclass, jsonb) IS
'Imports a staged table into a table of the CRM and returns the batch with its counts. mapping: target, source_system, key, columns {target column: source '
'column, or {column, value, values, lookup, missing (error, null, create), pipeline, scale}}, defaults, date_order, history. Idempotent by (source_system, '
'key). Bad rows stay in crm.import_rows with line and reason; no row is lost. See docs/howto/import.md.';

CREATE OR REPLACE FUNCTION crm.import_key(data jsonb, key jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT nullif(string_agg(btrim(data ->> k.k), '|' ORDER BY k.n), '')
    FROM jsonb_array_elements_text(CASE jsonb_typeof(key) WHEN 'array' THEN key ELSE jsonb_build_array(key) END) WITH ORDINALITY AS k(k, n)
$$;
COMMENT ON FUNCTION crm.import_key(jsonb, jsonb) IS 'What tells a source row apart: the values of its key columns.';

CREATE OR REPLACE FUNCTION crm.import_batch(batch_id bigint)
RETURNS crm.import_batches
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch crm.import_batches;
BEGIN
    SELECT b.* INTO batch FROM crm.import_batches AS b WHERE b.tenant_id = crm.tenant_id() AND b.id = batch_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no import batch %', batch_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION crm.import_batch(bigint) IS 'The batch, or an error.';

CREATE OR REPLACE FUNCTION crm.retry_import(batch_id bigint)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    batch crm.import_batches := crm.import_batch(batch_id);
BEGIN
    UPDATE crm.import_rows AS r
    SET state = 'pending', sqlstate = NULL, reason = NULL, source_id = crm.import_key(r.data, batch.mapping -> 'key')
    WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.state = 'bad';
    RETURN crm.import_run(batch);
END
$$;
COMMENT ON FUNCTION crm.retry_import(bigint) IS
'Tries the bad rows of a batch again, after their data in crm.import_rows or the CRM''s configuration was corrected.';

CREATE OR REPLACE FUNCTION crm.import_report(batch_id bigint)
RETURNS TABLE (state text, reason text, row_count bigint, first_line bigint, last_line bigint)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.state, r.reason, count(*), min(r.line), max(r.line)
    FROM crm.import_rows AS r
    WHERE r.tenant_id = crm.tenant_id() AND r.batch_id = $1
    GROUP BY r.state, r.reason
    ORDER BY r.state, count(*) DESC, r.reason
$$;
COMMENT ON FUNCTION crm.import_report(bigint) IS 'What became of the rows of a batch, by state and reason.';

CREATE OR REPLACE FUNCTION crm_internal.apply_import(relation regclass)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF crm_internal.table_is(relation, 'import') AND NOT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          AND (SELECT array_agg(a.attname::text ORDER BY a.attname)
               FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attnum = ANY (i.indkey)) = '{source_id,source_system,tenant_id}')
    THEN
        RAISE EXCEPTION 'imports cannot tell the rows of table % apart', relation
            USING ERRCODE = 'invalid_table_definition', HINT = 'Add a constraint: UNIQUE (tenant_id, source_system, source_id).';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_import(regclass) IS 'Error where a table that is registered for import has no key of the source.';
SELECT crm.declare_hook('table', 'crm_internal.apply_import(regclass)');

CREATE OR REPLACE FUNCTION crm.attach_import(table_name regclass)
RETURNS text
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm.attach(table_name, '{"import": true, "found_by": ["source"]}') $$;
COMMENT ON FUNCTION crm.attach_import(regclass) IS
'Lets crm.import_table() fill a table of the owner''s own: it needs columns tenant_id, id, source_system and source_id, and a unique constraint on '
'(tenant_id, source_system, source_id). Returns the name that the mapping''s target and lookup call it by. Errors as crm.attach.';
SELECT crm.declare_function('crm.attach_import', 'owner');
