-- crm.import_table: a staged table into a table of the CRM, set by set.
--
-- The source's rows are kept as jsonb in crm.import_rows first, so that none can be lost. One statement judges a range of lines and moves
-- the good ones. What only the table itself can judge (constraints, triggers, row security) fails that statement: then the final values of
-- the range are kept beside the rows, and a short statement inserts them a few at a time until bad lines stand alone.

CREATE OR REPLACE FUNCTION crm.import_explain(relation regclass, line_row jsonb, code text, message text, detail text, hint text, column_name text,
    constraint_name text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    k record;
    name text := nullif(column_name, '');
BEGIN
    SELECT c.contype, pg_get_constraintdef(c.oid) AS rule,
           (SELECT min(a.attname::text) FROM pg_attribute AS a WHERE a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) AND a.attname <> 'tenant_id') AS
               first
    INTO k FROM pg_constraint AS c WHERE c.conrelid = relation AND c.conname = constraint_name;
    IF k.contype IS NOT NULL THEN
        name := coalesce(name, k.first);
        hint := CASE k.contype WHEN 'c' THEN 'The rule of the table is ' || k.rule || '.'
                               WHEN 'f' THEN 'What the row refers to is not there: import it first, or correct the value.'
                               WHEN 'u' THEN 'Another row has this value already.' WHEN 'p' THEN 'Another row has this value already.' ELSE hint END;
    ELSIF code = '23502' THEN
        hint := format('Fill "%s", or give it a value in "defaults".', name);
    END IF;
    -- the column an error of a trigger names in its message
    name := coalesce(name, (SELECT e.key FROM jsonb_object_keys(line_row) AS e(key) WHERE message ~ ('["\s]' || e.key || '["\s]') ORDER BY length(e.key)
        DESC, e.key LIMIT 1),
                     'custom.' || substring(coalesce(detail, '') from '^Field "([^"]+)"'));
    RETURN jsonb_build_object('column', name, 'value', left(coalesce(line_row ->> name, line_row -> 'custom' ->> substr(name, 8)), 200), 'sqlstate', code,
                              'reason', concat_ws(': ', message, nullif(detail, '')),
                              'hint', coalesce(nullif(hint, ''), 'Correct the row in crm.import_rows or what refuses it, and call crm.retry_import().'));
END
$$;
COMMENT ON FUNCTION crm.import_explain(regclass, jsonb, text, text, text, text, text, text) IS 'What is said of a row that a constraint or a trigger refused.';

CREATE OR REPLACE FUNCTION crm.import_refused(batch crm.import_batches, at_line bigint, why jsonb)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE crm.import_rows AS r
    SET state = 'bad', target_id = NULL, ready = NULL, before = NULL, row_hash = NULL, sqlstate = why ->> 'sqlstate', column_name = why ->> 'column',
        reason = why ->> 'reason', hint = why ->> 'hint',
        -- what a person is known by who was erased is not kept here either
        value = CASE WHEN why ->> 'sqlstate' <> 'CR608' THEN why ->> 'value' END,
        data = CASE WHEN why ->> 'sqlstate' = 'CR608' THEN '{}' ELSE r.data END,
        source_id = CASE WHEN why ->> 'sqlstate' = 'CR608' THEN NULL ELSE r.source_id END
    WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.line = at_line
$$;
COMMENT ON FUNCTION crm.import_refused(crm.import_batches, bigint, jsonb) IS 'Marks one line of a batch as bad.';

-- errors that say nothing of a row: cancelled, out of memory or disk, deadlock, lost connection, read-only transaction, bugs
CREATE OR REPLACE FUNCTION crm.import_is_fatal(code text)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT left(code, 2) IN ('08', '25', '40', '53', '57', '58', 'F0', 'XX') OR code IN ('55P03', '54001') $$;
COMMENT ON FUNCTION crm.import_is_fatal(text) IS 'Whether an error ends an import, because it is not that of a row.';

-- Lines from low to high by prepared statements, a few at a time: as many again after a success, fewer after a failure, one by one while one
-- fails after the other. So a row that is refused costs about what one that goes in costs, however many are.
CREATE OR REPLACE FUNCTION crm.import_lines(batch crm.import_batches, low bigint, high bigint, statements text[], linking boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_nestloop = on SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    -- linking looks up in whole tables: all lines at once, then halves
    most CONSTANT bigint := CASE WHEN linking THEN high ELSE 128 END;
    lines bigint := most;
    upto bigint;
    statement text;
    message text;
    more text;
    code text;
    advice text;
    about text;
    rule text;
    gone bigint;
    relation CONSTANT regclass := crm.subject_relation(batch.target_table);
BEGIN
    PERFORM set_config('enable_nestloop', CASE WHEN linking THEN 'off' ELSE 'on' END, true);
    -- a range may go on past the last line
    high := least(high, coalesce((SELECT max(r.line) FROM crm.import_rows AS r WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id), -1));
    WHILE low <= high LOOP
        upto := least(high, low + lines - 1);
        BEGIN
            FOREACH statement IN ARRAY statements LOOP
                EXECUTE format('EXECUTE %I(%s, %s)', statement, low::bigint, upto::bigint);
            END LOOP;
            low := upto + 1;
            lines := least(lines * 2, most);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL, code = RETURNED_SQLSTATE, advice = PG_EXCEPTION_HINT,
                about = COLUMN_NAME, rule = CONSTRAINT_NAME;
            IF crm.import_is_fatal(code) THEN
                RAISE;
            END IF;
            IF low < upto THEN
                lines := greatest((upto - low + 1) / CASE WHEN linking THEN 2 ELSE 8 END, 1);
                CONTINUE;
            END IF;
            IF linking THEN
                -- a new row that cannot be linked goes out again
                SELECT r.target_id INTO gone FROM crm.import_rows AS r
                WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.line = low AND r.state = 'inserted';
                EXECUTE format('DELETE FROM %s AS t WHERE t.tenant_id = $1 AND t.id = $2', relation::regclass) USING batch.tenant_id, gone;
            END IF;
            PERFORM crm.import_refused(batch, low, crm.import_explain(relation, r.ready -> 'row', code, message, more, advice, about, rule))
            FROM crm.import_rows AS r WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.line = low;
            low := low + 1;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.import_lines(crm.import_batches, bigint, bigint, text[], boolean) IS
'Runs the prepared statements of an import over its lines, in ranges that shrink until a bad line stands alone and is marked.';

CREATE OR REPLACE FUNCTION crm.import_keep_statement(name text, statement text)
RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM pg_prepared_statements AS p WHERE p.name = import_keep_statement.name) THEN
        EXECUTE format('DEALLOCATE %I', name);
    END IF;
    IF statement IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('PREPARE %I (bigint, bigint) AS %s', name, statement::text);
    RETURN name;
END
$$;
COMMENT ON FUNCTION crm.import_keep_statement(text, text) IS 'Prepares a statement of an import, or forgets it where there is none; returns its name.';

CREATE OR REPLACE FUNCTION crm.import_move_lines(batch crm.import_batches, parts jsonb[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    chunk CONSTANT bigint := 50000;
    ranges int8range[];
    range int8range;
    low bigint;
    high bigint;
    code text;
    after CONSTANT text[] := array_remove(ARRAY[crm.import_keep_statement('crm_import_points', crm.import_points(batch, parts)),
                                                crm.import_keep_statement('crm_import_history', crm.import_history(batch, parts))], NULL);
    statement text;
BEGIN
    PERFORM crm.import_keep_statement('crm_import_move', crm.import_move(batch, parts, false));
    -- what is wrong with the mapping or with rights is seen before any row is
    EXECUTE 'EXECUTE crm_import_move(0, -1)';
    SELECT array_agg(int8range(k, least(k + chunk, l.high + 1)) ORDER BY k DESC) INTO ranges
    FROM (SELECT min(r.line) AS low, max(r.line) AS high FROM crm.import_rows AS r
          WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.state = 'pending') AS l, generate_series(l.low, l.high, chunk) AS k;
    WHILE cardinality(ranges) > 0 LOOP
        range := ranges[cardinality(ranges)];
        ranges := trim_array(ranges, 1);
        low := lower(range);
        high := upper(range) - 1;
        BEGIN
            FOREACH statement IN ARRAY 'crm_import_move'::text || after LOOP
                EXECUTE format('EXECUTE %I(%s, %s)', statement, low::bigint, high::bigint);
            END LOOP;
            CONTINUE;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
            IF crm.import_is_fatal(code) THEN
                RAISE;
            END IF;
        END;
        BEGIN
            PERFORM crm.import_keep_statement('crm_import_prepare', crm.import_prepare(batch, parts, true));
            EXECUTE format('EXECUTE crm_import_prepare(%s, %s)', low::bigint, high::bigint);
            PERFORM crm.import_keep_statement('crm_import_insert', crm.import_move(batch, parts, true));
            PERFORM crm.import_lines(batch, low, high, 'crm_import_insert'::text || after, false);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
            IF crm.import_is_fatal(code) THEN
                RAISE;
            END IF;
            IF low < high THEN
                ranges := ranges || int8range((low + high) / 2 + 1, high, '[]') || int8range(low, (low + high) / 2, '[]');
            ELSE
                PERFORM crm.import_refused(batch, low, jsonb_build_object('sqlstate', code, 'reason', SQLERRM, 'hint',
                    'Correct the row, and call crm.retry_import().'));
            END IF;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.import_move_lines(crm.import_batches, jsonb[]) IS
    'Moves the pending lines of a batch; each of them ends inserted, updated, unchanged or bad.';

-- ---- rows that lookups create ----

CREATE OR REPLACE FUNCTION crm.import_create(batch crm.import_batches, part jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subject CONSTANT text := part -> 'spec' ->> 'lookup';
    relation CONSTANT regclass := crm.subject_relation(subject);
    create_one CONSTANT text :=
        format('WITH made AS (INSERT INTO %1$s AS t (tenant_id, name, source_system, source_id%6$s)
        SELECT %2$s, crm.import_signed_name(k.k), %3$L, k.k%7$s FROM unnest($1::text[]) AS k(k)
        ON CONFLICT (tenant_id, source_system, source_id) DO NOTHING RETURNING t.id)
        INSERT INTO crm.import_extras (tenant_id, batch_id, table_name, row_id) SELECT %2$s, %4$s, %5$L, m.id FROM made AS m',
        relation::regclass, batch.tenant_id::bigint, batch.source_system, batch.id::bigint, subject,
        CASE WHEN crm.column_exists(relation, 'email') THEN ', email' ELSE '' END,
        CASE WHEN crm.column_exists(relation, 'email') THEN ', crm.normalize_email(crm.import_signed_address(k.k))' ELSE '' END);
    missing text[];
    one text;
    message text;
    more text;
    code text;
    advice text;
    why jsonb;
BEGIN
    -- of all spellings of a name the first is taken
    EXECUTE format('WITH %s SELECT array_agg(k.c ORDER BY k.line) FROM (
        SELECT DISTINCT ON (coalesce(nullif(crm.name_key(v.c%2$s), ''''), v.c%2$s)) v.c%2$s AS c, v.line FROM v WHERE v.c%2$s IS NOT NULL AND v.v%2$s '
        'IS NULL AND v.m%2$s IS NOT TRUE
        ORDER BY coalesce(nullif(crm.name_key(v.c%2$s), ''''), v.c%2$s), v.line) AS k', crm.import_cells(batch, ARRAY[part], 'r.state = ''pending''',
            ''), (part ->> 'n')::integer)
    INTO missing USING 0::bigint, 9223372036854775807;
    IF missing IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        EXECUTE create_one USING missing;
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
        IF crm.import_is_fatal(code) OR code LIKE '42%' AND code <> '42501' THEN
            RAISE;
        END IF;
    END;
    FOREACH one IN ARRAY missing LOOP
        BEGIN
            EXECUTE create_one USING ARRAY[one];
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL, code = RETURNED_SQLSTATE, advice = PG_EXCEPTION_HINT;
            IF crm.import_is_fatal(code) THEN
                RAISE;
            END IF;
            why := coalesce(why, '{}') || jsonb_build_object(coalesce(nullif(crm.name_key(one), ''), one),
                crm.import_fault(part ->> 'name', one, code, format('%s: "%s" cannot be created in %s: %s', part ->> 'name', one, subject, concat_ws(': ',
                    message, nullif(more, ''))),
                                 'Import ' || subject || ' first, with what they need.' || coalesce(' ' || nullif(advice, ''), '')));
        END;
    END LOOP;
    -- the rows that need what could not be created, in one statement
    IF why IS NOT NULL THEN
        EXECUTE format('WITH %s UPDATE crm.import_rows AS r SET state = ''bad'', sqlstate = k.why ->> ''sqlstate'', column_name = k.why ->> '
        '''column'', value = k.why ->> ''value'',
                reason = k.why ->> ''reason'', hint = k.why ->> ''hint''
            FROM v JOIN jsonb_each($3) AS k(key, why) ON k.key = coalesce(nullif(crm.name_key(v.c%2$s), ''''), v.c%2$s)
            WHERE v.v%2$s IS NULL AND r.tenant_id = %3$s AND r.batch_id = %4$s AND r.line = v.line', crm.import_cells(batch, ARRAY[part],
                'r.state = ''pending''', ''), (part ->> 'n')::integer,
            batch.tenant_id::bigint, batch.id::bigint) USING 0::bigint, 9223372036854775807, why;
    END IF;
END
$$;
COMMENT ON FUNCTION crm.import_create(crm.import_batches, jsonb) IS
'Creates what a lookup does not find, once for each name however it is spelt. Rows that need what cannot be created are bad.';

-- ---- the whole of a batch ----

CREATE OR REPLACE FUNCTION crm.import_twins(batch crm.import_batches)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE crm.import_rows AS r SET state = 'bad', sqlstate = '23502', reason = 'the row has no value in its key column', hint =
        'Fill the key, or choose another column as "key".'
    WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.state = 'pending' AND r.source_id IS NULL;
    UPDATE crm.import_rows AS r SET state = 'bad', sqlstate = '23505', reason = format('the key "%s" is that of line %s already', r.source_id, d.first),
        value = r.source_id,
        hint = 'Choose columns as "key" that tell the rows apart, or leave one of them out.'
    FROM (SELECT x.line, min(x.line) OVER (PARTITION BY x.source_id) AS first FROM crm.import_rows AS x
          WHERE x.tenant_id = batch.tenant_id AND x.batch_id = batch.id AND x.source_id IS NOT NULL) AS d
    WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.state = 'pending' AND r.line = d.line AND d.line > d.first;
$$;
COMMENT ON FUNCTION crm.import_twins(crm.import_batches) IS 'Marks rows that cannot be told apart, or not at all.';

-- what is checked at the end of the transaction would take all rows back for one: it is checked at once
CREATE OR REPLACE FUNCTION crm.import_deferred(target regclass, action text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    late text;
BEGIN
    SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.conname), ', ') INTO late
    FROM pg_constraint AS c JOIN pg_class AS k ON k.oid = c.conrelid JOIN pg_namespace AS n ON n.oid = k.relnamespace
    WHERE c.conrelid = target AND c.condeferred;
    IF late IS NOT NULL THEN
        EXECUTE format('SET CONSTRAINTS %s %s', late::text, action::text);
    END IF;
END
$$;
COMMENT ON FUNCTION crm.import_deferred(regclass, text) IS
    'Constraints of a table that wait for the end of the transaction: IMMEDIATE while an import runs, DEFERRED after it.';

-- security definer: the counts are the CRM's, whoever imports
CREATE OR REPLACE FUNCTION crm.import_count(batch crm.import_batches)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    counted crm.import_batches;
    tenant CONSTANT bigint := crm.tenant_id();
BEGIN
    PERFORM crm_internal.require('import_batches', batch.id, 'change');
    UPDATE crm.import_batches AS b
    SET rows_read = n.read, rows_inserted = n.inserted, rows_updated = n.updated, rows_unchanged = n.unchanged, rows_bad = n.bad, finished_at =
        clock_timestamp(),
        problems = (SELECT coalesce(jsonb_agg(to_jsonb(p.*)), '[]')
                    FROM (SELECT r.column_name AS column, (array_agg(r.reason ORDER BY r.line))[1] AS reason, r.hint, count(*) AS rows, min(r.line) AS
                        first_line,
                                 (array_agg(r.line ORDER BY r.line))[1:20] AS lines
                          FROM crm.import_rows AS r WHERE r.tenant_id = tenant AND r.batch_id = batch.id AND r.state = 'bad'
                          GROUP BY r.column_name, r.sqlstate, r.hint ORDER BY count(*) DESC, min(r.line) LIMIT 50) AS p)
    FROM (SELECT count(*) AS read, count(*) FILTER (WHERE r.state = 'inserted') AS inserted, count(*) FILTER (WHERE r.state = 'updated') AS updated,
                 count(*) FILTER (WHERE r.state = 'unchanged') AS unchanged, count(*) FILTER (WHERE r.state IN ('bad', 'pending')) AS bad
          FROM crm.import_rows AS r WHERE r.tenant_id = tenant AND r.batch_id = batch.id) AS n
    WHERE b.tenant_id = tenant AND b.id = batch.id
    RETURNING b.* INTO counted;
    -- what was read of people who were erased does not stay in the log either
    IF EXISTS (SELECT FROM crm.import_rows AS r WHERE r.tenant_id = tenant AND r.batch_id = batch.id AND r.sqlstate = 'CR608') THEN
        PERFORM crm.write_audit();
        PERFORM crm_internal.take_out_changes(tenant, format('a.table_name = ''import_rows'' AND EXISTS (SELECT FROM crm.import_rows AS r '
            'WHERE r.tenant_id = $1 AND r.batch_id = %L AND r.sqlstate = ''CR608'' AND r.batch_id::text = coalesce(a.change -> ''new'' ->> ''batch_id'', '
            'a.change -> ''old'' ->> ''batch_id'') AND r.line::text = coalesce(a.change -> ''new'' ->> ''line'', a.change -> ''old'' ->> ''line''))', batch.id),
            '{}', ARRAY['']);
    END IF;
    RETURN counted;
END
$$;
COMMENT ON FUNCTION crm.import_count(crm.import_batches) IS 'Counts what became of the rows of a batch, and gathers what was wrong with them.';
SELECT crm.declare_function('crm.import_count', 'agent');

-- hash joins: nothing has counted the rows of a batch yet, and nested loops over two guesses of one row take for ever
CREATE OR REPLACE FUNCTION crm.import_run(batch crm.import_batches)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    parts CONSTANT jsonb[] := ARRAY(SELECT p FROM crm.import_parts(batch) AS p);
    moved CONSTANT jsonb[] := ARRAY(SELECT p FROM unnest(parts) AS p WHERE NOT (p ->> 'self')::boolean);
    part jsonb;
    history CONSTANT boolean := batch.mapping ? 'history' AND current_setting('crm.history_reason') = '';
    target CONSTANT regclass := crm.subject_relation(batch.target_table);
    link CONSTANT text := crm.import_link(batch, parts);
    last_line bigint;
BEGIN
    PERFORM crm.import_twins(batch);
    PERFORM crm.import_deferred(target, 'IMMEDIATE');
    -- who may load history brings rows with their beginnings
    IF crm.has_access('admin') THEN
        PERFORM crm.keep_written();
    END IF;
    IF history THEN
        PERFORM crm.begin_history(format('import batch %s from %s', batch.id, batch.source_name));
    END IF;
    -- nothing is created for a row that cannot go in
    IF EXISTS (SELECT FROM unnest(moved) AS p WHERE (p ->> 'create')::boolean) THEN
        PERFORM crm.import_keep_statement('crm_import_prepare', crm.import_prepare(batch, ARRAY(SELECT p FROM unnest(moved) AS p WHERE NOT (p ->>
            'create')::boolean), false));
        EXECUTE 'EXECUTE crm_import_prepare(0, 9223372036854775807)';
    END IF;
    FOREACH part IN ARRAY parts LOOP
        IF (part ->> 'create')::boolean THEN
            PERFORM crm.import_create(batch, part);
        END IF;
    END LOOP;
    PERFORM crm.import_move_lines(batch, moved);
    IF link IS NOT NULL THEN
        SELECT max(r.line) INTO last_line FROM crm.import_rows AS r WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id;
        PERFORM crm.import_lines(batch, 1, coalesce(last_line, 1), ARRAY[crm.import_keep_statement('crm_import_link', link)], true);
    END IF;
    PERFORM crm.import_keep_statement(s, NULL) FROM
        unnest('{crm_import_move,crm_import_points,crm_import_history,crm_import_prepare,crm_import_insert,crm_import_link}'::text[]) AS s;
    IF history THEN
        PERFORM crm.end_history();
    END IF;
    PERFORM crm.import_deferred(target, 'DEFERRED');
    RETURN crm.import_count(batch);
END
$$;
COMMENT ON FUNCTION crm.import_run(crm.import_batches) IS 'Moves the pending rows of a batch.';

CREATE OR REPLACE FUNCTION crm.import_start(source regclass, mapping jsonb)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch crm.import_batches;
    absent text;
BEGIN
    SELECT string_agg(c.name, ', ' ORDER BY c.name) INTO absent FROM unnest(crm.import_source_columns(mapping)) AS c(name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = source AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped);
    IF absent IS NOT NULL THEN
        RAISE EXCEPTION 'source % lacks columns that the mapping names', source USING ERRCODE = 'undefined_column', DETAIL = 'Missing: ' || absent || '.',
            HINT = (SELECT 'It has ' || string_agg(a.attname, ', ' ORDER BY a.attnum) || '.' FROM pg_attribute AS a WHERE a.attrelid = source AND a.attnum >
                0 AND NOT a.attisdropped);
    END IF;
    INSERT INTO crm.import_batches AS b (source_name, source_system, target_table, mapping)
    VALUES (source::text, mapping ->> 'source_system', mapping ->> 'target', mapping) RETURNING b.* INTO batch;
    EXECUTE format('INSERT INTO crm.import_rows (tenant_id, batch_id, line, source_id, data)
                    SELECT %s, %s, s.line, crm.import_key(s.data, %L), s.data
                    FROM (SELECT row_number() OVER () AS line, to_jsonb(t.*) AS data FROM %s AS t) AS s',
                   batch.tenant_id, batch.id, mapping -> 'key', source);
    IF mapping ? 'deleted_column' THEN
        -- anything but a no: a date of deletion says so as well
        UPDATE crm.import_rows AS r SET state = 'unchanged', reason = format('is marked as deleted in column "%s"', mapping ->> 'deleted_column'),
            hint = 'It is not made; a record that was made of it before is left as it is.'
        WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id
          AND lower(btrim(r.data ->> (mapping ->> 'deleted_column'))) NOT IN ('', '0', 'f', 'false', 'n', 'no', 'нет', 'خیر');
    END IF;
    -- what has become a name of another record, as by a merge, is not made once more
    IF EXISTS (SELECT FROM crm.external_ids AS x WHERE x.tenant_id = batch.tenant_id AND x.subject_table = batch.target_table
               AND x.source = batch.source_system) THEN
        EXECUTE format('UPDATE crm.import_rows AS r SET state = ''unchanged'', target_id = x.subject_id, reason = ''is record '' || x.subject_id || '' by now'',
                    hint = ''It was merged into that one, which is left as it is.''
                    FROM crm.external_ids AS x
                    WHERE r.tenant_id = %1$s AND r.batch_id = %2$s AND r.state = ''pending''
                      AND x.tenant_id = %1$s AND x.subject_table = %3$L AND x.source = %4$L AND x.external_id = r.source_id
                      AND NOT EXISTS (SELECT FROM %5$s AS o WHERE o.tenant_id = %1$s AND o.source_system = %4$L AND o.source_id = r.source_id)',
                   batch.tenant_id, batch.id, batch.target_table, batch.source_system, crm.subject_relation(batch.target_table)::regclass);
    END IF;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION crm.import_start(regclass, jsonb) IS 'Opens a batch and reads the rows of its source.';

CREATE OR REPLACE FUNCTION crm.import_closing_step(mapping jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.subject_relation(mapping ->> 'target');
    steps jsonb;
BEGIN
    -- when a row was closed is the last step of its history; the guard would say it was now
    IF mapping ? 'history' OR NOT coalesce(mapping -> 'columns' ? 'closed_at', false) OR relation IS NULL
       OR NOT crm.column_exists(relation, 'stage_id') OR crm.import_spec(mapping #> '{columns,closed_at}') ? 'value' THEN
        RETURN mapping;
    END IF;
    steps := jsonb_build_array(jsonb_build_object('at', mapping #> '{columns,closed_at}'));
    IF mapping -> 'columns' ? 'created_at' AND crm.import_first_stage(mapping ->> 'target') IS NOT NULL THEN
        steps := jsonb_build_array(jsonb_build_object('stage', crm.import_first_stage(mapping ->> 'target'), 'at', mapping #> '{columns,created_at}')) || steps;
    END IF;
    RETURN mapping || jsonb_build_object('history', steps, 'columns', (mapping -> 'columns') - '{closed_at,created_at}'::text[]);
END
$$;
COMMENT ON FUNCTION crm.import_closing_step(jsonb) IS
'A mapping in which a closed_at among the columns is the last step of the history, after the day of creation, where it says no history of its own.';

CREATE OR REPLACE FUNCTION crm.import_table(source regclass, mapping jsonb)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch crm.import_batches;
BEGIN
    mapping := crm.import_closing_step(mapping);
    PERFORM crm.check_import_mapping(mapping);
    IF mapping -> 'dry_run' IS DISTINCT FROM 'true' THEN
        RETURN crm.import_run(crm.import_start(source, mapping));
    END IF;
    -- all of it is done and taken back; what it came to stays in a variable
    BEGIN
        batch := crm.import_run(crm.import_start(source, mapping));
        RAISE EXCEPTION 'dry run' USING ERRCODE = 'transaction_rollback';
    EXCEPTION WHEN transaction_rollback THEN
        IF batch.finished_at IS NULL THEN
            RAISE;
        END IF;
    END;
    batch.id := NULL;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION crm.import_table(regclass, jsonb) IS
'Imports a staged table into a table of the CRM and returns the batch with its counts and problems. mapping: target, source_system, key, columns {target '
'column: source column, or an object}, defaults, history, dry_run (nothing is written; the batch has no id) and formats; crm.import_keys() lists all. '
'Idempotent by (source_system, key). Bad rows stay in crm.import_rows with line, column, value, reason and hint; no row is lost, and none stops the others. '
'Errors: 22023 and 42703 for a mapping that cannot be followed. See docs/howto/import.md.';

CREATE OR REPLACE FUNCTION crm.require_import_batch(batch_id bigint)
RETURNS crm.import_batches
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch crm.import_batches;
BEGIN
    SELECT b.* INTO batch FROM crm.import_batches AS b WHERE b.tenant_id = crm.tenant_id() AND b.id = batch_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no import batch %', batch_id USING ERRCODE = 'no_data_found', HINT = 'crm.import_batches lists them.';
    END IF;
    -- its rows are the creator's to write: what is in them must not be done with the rights of somebody else
    IF batch.owner_id IS DISTINCT FROM crm.user_id() THEN
        RAISE EXCEPTION 'import batch % is somebody else''s', batch.id
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Whoever ran it tries it again or takes it back. To do so yourself, look at its rows in crm.import_rows first, then set its owner_id.';
    END IF;
    RETURN batch;
END
$$;
COMMENT ON FUNCTION crm.require_import_batch(bigint) IS 'The batch, which has to be the caller''s, or an error: P0002, 42501.';

CREATE OR REPLACE FUNCTION crm.retry_import(batch_id bigint)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    batch crm.import_batches := crm.require_import_batch(batch_id);
BEGIN
    PERFORM crm.check_import_mapping(batch.mapping);
    UPDATE crm.import_rows AS r
    SET state = 'pending', sqlstate = NULL, reason = NULL, column_name = NULL, value = NULL, hint = NULL, source_id = crm.import_key(r.data, batch.mapping ->
        'key')
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

