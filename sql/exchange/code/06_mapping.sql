-- What a mapping may say, and whether one says it: every key at every level is known, or the import is refused before it reads a row.

CREATE OR REPLACE FUNCTION crm.import_keys()
RETURNS TABLE (level text, key text, type text, choices text[], meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 40
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('mapping', 'target', 'text', NULL::text[], 'Table of the CRM the rows go to.'),
    ('mapping', 'source_system', 'text', NULL, 'Name of where the rows come from.'),
    ('mapping', 'key', 'texts', NULL, 'Source column, or several, that tell rows apart.'),
    ('mapping', 'columns', 'object', NULL, 'What fills which column: {target column: source column, an array of them, or an object}.'),
    ('mapping', 'defaults', 'object', NULL, '{target column: constant} for columns without a source, and for empty cells of new rows.'),
    ('mapping', 'history', 'array', NULL, 'Steps through the stages, in their order: [{"stage": code, "at": source column}, ..., {"at": source column}].'),
    ('mapping', 'exported_at', 'text', NULL, 'When the source was exported: where a row without any date begins.'),
    ('mapping', 'dry_run', 'boolean', NULL, 'Only tell what would happen.'),
    ('mapping', 'country_column', 'text', NULL, 'Source column with the country of telephone numbers, where the target has none.'),
    ('mapping', 'deleted_column', 'text', NULL, 'Source column that says which rows the other system had deleted: these are left out.'),
    ('format', 'date_order', 'choice', '{any,ymd,dmy,mdy,jalali,epoch,epoch_ms,excel}', 'How dates are written.'),
    ('format', 'time_zone', 'text', NULL, 'Zone of instants that name none; without it the tenant''s.'),
    ('format', 'decimal', 'choice', '{.,",",/}', 'Sign before the decimals of numbers.'),
    ('format', 'grouping', 'choice', '{"",.,","," ",''}', 'Sign between groups of digits; empty: there is none.'),
    ('format', 'true_values', 'texts', NULL, 'Texts that mean yes.'),
    ('format', 'false_values', 'texts', NULL, 'Texts that mean no.'),
    ('format', 'separator', 'text', NULL, 'What separates the items of a list.'),
    ('format', 'nothing', 'texts', NULL, 'Texts that count as an empty cell, such as "-" or "N/A".'),
    ('format', 'blank', 'choice', '{keep,wipe}', 'What an empty cell does to a row that is there already: keep (default) its value, or wipe it.'),
    ('format', 'invalid', 'choice', '{error,null}', 'What a cell that cannot be read does: error (default) makes the row bad, null leaves it out.'),
    ('format', 'country', 'text', NULL, 'Country of telephone numbers without a code (ISO 3166-1, two letters).'),
    ('column', 'column', 'texts', NULL, 'Source column, or several.'),
    ('column', 'value', 'scalar', NULL, 'A constant in place of a source column.'),
    ('column', 'join', 'text', NULL, 'What stands between several source columns; a blank.'),
    ('column', 'otherwise', 'texts', NULL, 'Source column, or several, used where the others are empty.'),
    ('column', 'several', 'choice', '{error,first}', 'What a cell with several values (a;b) is to a lookup: an error (default), or its first one.'),
    ('column', 'values', 'object', NULL, '{text of the source: text that takes its place, null for none}.'),
    ('column', 'lookup', 'text', NULL, 'Table in which the text is looked up.'),
    ('column', 'missing', 'choice', '{error,null,create}', 'What happens where the lookup finds nothing: error (default), null or create.'),
    ('column', 'pipeline', 'text', NULL, 'Code of the pipeline in which a stage is looked up.'),
    ('column', 'inactive', 'choice', '{error,null,keep}', 'What an owner that is not active any more does to a row that is still worked on.'),
    ('column', 'scale', 'number', NULL, 'Factor for numbers.'),
    ('step', 'stage', 'text', NULL, 'Code of a stage; none: the stage that the row is in.'),
    ('step', 'at', 'column', NULL, 'Source column with the date, or an object as for columns.')
$$;
COMMENT ON FUNCTION crm.import_keys() IS
'The keys of a mapping of crm.import_table(): level (mapping; format: of the mapping, or of one column of it; column; step of the history), type and meaning.';

CREATE OR REPLACE FUNCTION crm.check_import_object(place text, given jsonb, levels text[])
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    SELECT string_agg(format('"%s"', k), ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(given) AS k
    WHERE NOT EXISTS (SELECT FROM crm.import_keys() AS o WHERE o.key = k AND o.level = ANY (levels));
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '% has unknown keys: %', place, wrong USING ERRCODE = 'invalid_parameter_value',
            HINT = (SELECT 'Known are ' || string_agg(o.key, ', ' ORDER BY o.key) || '; see crm.import_keys().' FROM crm.import_keys() AS o WHERE o.level =
                ANY (levels));
    END IF;
    SELECT string_agg(format('"%s" must be %s', e.key,
                             CASE o.type WHEN 'texts' THEN 'a text or an array of texts' WHEN 'scalar' THEN 'a text, a number or true or false'
                                         WHEN 'choice' THEN 'one of ' || (SELECT string_agg(format('"%s"', c), ', ') FROM unnest(o.choices) AS c)
                                         WHEN 'column' THEN 'a source column or an object' WHEN 'text' THEN 'a text that is not empty' ELSE 'a JSON ' ||
                                             o.type END), '; ' ORDER BY e.key)
    INTO wrong
    FROM jsonb_each(given) AS e JOIN crm.import_keys() AS o ON o.key = e.key AND o.level = ANY (levels)
    WHERE NOT CASE o.type
        WHEN 'text' THEN jsonb_typeof(e.value) = 'string' AND (e.value <> '""' OR e.key = 'join')
        WHEN 'choice' THEN jsonb_typeof(e.value) = 'string' AND e.value #>> '{}' = ANY (o.choices)
        WHEN 'texts' THEN jsonb_typeof(e.value) = 'string' OR jsonb_typeof(e.value) = 'array' AND e.value <> '[]'
                          AND NOT jsonb_path_exists(e.value, 'strict $[*] ? (@.type() <> "string")')
        WHEN 'scalar' THEN jsonb_typeof(e.value) IN ('string', 'number', 'boolean', 'null')
        WHEN 'column' THEN jsonb_typeof(e.value) IN ('string', 'object', 'array')
        ELSE jsonb_typeof(e.value) = o.type END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '% has values that do not fit: %', place, wrong USING ERRCODE = 'invalid_parameter_value', HINT = 'See crm.import_keys().';
    END IF;
    IF given ? 'time_zone' AND NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE lower(z.name) = lower(given ->> 'time_zone')) THEN
        RAISE EXCEPTION '% names time zone "%", which is not known', place, given ->> 'time_zone'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'pg_timezone_names lists the known ones.';
    END IF;
    IF given ->> 'decimal' = given ->> 'grouping' THEN
        RAISE EXCEPTION '% has one sign for decimals and for groups of digits', place USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say which of them is another one, or leave "grouping" out.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.check_import_object(text, jsonb, text[]) IS
'Error 22023 where an object of a mapping has keys that are not known, which the hint names, or values of another type.';

CREATE OR REPLACE FUNCTION crm.import_spec(given jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- a name or an array of names is short for an object
    SELECT CASE WHEN jsonb_typeof(given) IN ('string', 'array') THEN jsonb_build_object('column', CASE jsonb_typeof(given) WHEN 'array' THEN given ELSE
        jsonb_build_array(given) END)
                WHEN jsonb_typeof(given -> 'column') = 'string' THEN given || jsonb_build_object('column', jsonb_build_array(given -> 'column'))
                ELSE given END
$$;
COMMENT ON FUNCTION crm.import_spec(jsonb) IS 'What a mapping says of a column, as an object with an array of source columns.';

CREATE OR REPLACE FUNCTION crm.import_point_kinds(target regclass)
RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- kinds of contact points, where they hang on the target
    SELECT array_agg(k.kind[1] ORDER BY k.kind[1])
    FROM pg_constraint AS c, regexp_matches(pg_get_constraintdef(c.oid), '''(\w+)''', 'g') AS k(kind)
    WHERE c.conrelid = 'crm.contact_points'::regclass AND c.conname = 'contact_points_kind_check'
      AND EXISTS (SELECT FROM crm.table_links('crm.contact_points') AS l WHERE l.kind = 'parent' AND crm.subject_relation(l.target) = import_point_kinds.target)
$$;
COMMENT ON FUNCTION crm.import_point_kinds(regclass) IS 'Kinds of contact points that an import of a table may fill as if they were columns; NULL: none.';

CREATE OR REPLACE FUNCTION crm.import_targets(target regclass)
RETURNS TABLE (name text, kind text)
LANGUAGE sql STABLE ROWS 40
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text, 'column'
    FROM pg_attribute AS a
    WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
      AND a.attname NOT IN ('tenant_id', 'source_system', 'source_id', 'version')
    UNION ALL
    SELECT 'custom.' || f.name, 'custom'
    FROM crm.custom_fields AS f JOIN crm.registry AS r ON r.relation = target AND r.subject = f.table_name
    WHERE f.tenant_id = crm.tenant_id() AND f.active
    UNION ALL
    SELECT k, 'point' FROM unnest(crm.import_point_kinds(target)) AS k WHERE NOT crm.column_exists(target, k)
$$;
COMMENT ON FUNCTION crm.import_targets(regclass) IS
'What columns of a mapping may be called for a table: its columns, custom.name for custom fields, and kinds of contact points (also kind.label).';

CREATE OR REPLACE FUNCTION crm.check_import_column(target regclass, name text, spec jsonb)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place CONSTANT text := format('mapping of column "%s"', name);
    kind text;
BEGIN
    IF jsonb_typeof(spec) IS DISTINCT FROM 'object' OR (spec ? 'column') = (spec ? 'value') THEN
        RAISE EXCEPTION '% names no source column', place USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Write "target": "source column", or "target": {"column": "source column", ...}, or {"value": constant}.';
    END IF;
    PERFORM crm.check_import_object(place, spec, '{column,format}');
    SELECT t.kind INTO kind FROM crm.import_targets(target) AS t WHERE t.name = check_import_column.name
        OR t.kind = 'point' AND check_import_column.name LIKE t.name || '.%';
    IF kind IS NULL THEN
        RAISE EXCEPTION 'table % has no column "%" that can be imported', target, name USING ERRCODE = 'undefined_column',
            HINT = (SELECT 'It has ' || string_agg(t.name, ', ') || '. Custom fields are written "custom.name".' FROM crm.import_targets(target) AS t);
    END IF;
    IF spec ? 'lookup' AND (kind <> 'column' OR NOT EXISTS (SELECT FROM crm.registered_as('found_by') AS r WHERE r.subject = spec ->> 'lookup')) THEN
        RAISE EXCEPTION 'column "%" is looked up in "%", which cannot be looked up in', name, spec ->> 'lookup' USING ERRCODE = 'invalid_parameter_value',
            HINT = (SELECT 'Look up in ' || string_agg(r.subject, ', ') || '.' FROM crm.registered_as('found_by') AS r);
    END IF;
    IF spec ? 'inactive' AND (name <> 'owner_id' OR spec ->> 'lookup' IS DISTINCT FROM 'users') THEN
        RAISE EXCEPTION '% says "inactive", which is for owners that are looked up', place USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Leave it out, or say "lookup": "users" of "owner_id".';
    END IF;
    IF spec ?| '{missing,pipeline,several}' AND NOT spec ? 'lookup' THEN
        RAISE EXCEPTION '% says "missing", "several" or "pipeline" of a lookup, and there is none', place USING ERRCODE = 'invalid_parameter_value', HINT =
            'Say in which table to look up: "lookup".';
    END IF;
    IF spec ? 'pipeline' AND NOT EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = crm.tenant_id() AND p.code = spec ->> 'pipeline') THEN
        RAISE EXCEPTION '% names pipeline "%", which does not exist', place, spec ->> 'pipeline' USING ERRCODE = 'invalid_parameter_value',
            HINT = (SELECT 'There are ' || string_agg(p.code, ', ' ORDER BY p.code) || '.' FROM crm.pipelines AS p WHERE p.tenant_id = crm.tenant_id());
    END IF;
    IF spec ->> 'missing' = 'create' AND crm.import_creates(crm.subject_relation(spec ->> 'lookup')) IS NOT TRUE THEN
        RAISE EXCEPTION 'rows of "%" cannot be created by an import', spec ->> 'lookup' USING ERRCODE = 'invalid_parameter_value',
            HINT = (SELECT 'It can create ' || string_agg(r.subject, ', ') || '.' FROM crm.registered_as('import') AS r WHERE crm.import_creates(r.relation));
    END IF;
END
$$;
COMMENT ON FUNCTION crm.check_import_column(regclass, text, jsonb) IS 'Error where a mapping says of a column what cannot be done.';

CREATE OR REPLACE FUNCTION crm.check_import_history(target text, mapping jsonb)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    step jsonb;
    n bigint;
    wrong text;
BEGIN
    IF NOT EXISTS (SELECT FROM crm.registered_as('process') AS r WHERE r.subject = target) OR jsonb_array_length(mapping -> 'history') = 0 THEN
        RAISE EXCEPTION 'rows of "%" have no history that can be imported', target USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Write "history": [{"stage": "code", "at": "column"}, {"at": "column"}]; the last step is the stage the row is in.';
    END IF;
    FOR step, n IN SELECT h.step, h.n FROM jsonb_array_elements(mapping -> 'history') WITH ORDINALITY AS h(step, n) LOOP
        IF jsonb_typeof(step) <> 'object' OR NOT step ? 'at' OR NOT step ? 'stage' AND n < jsonb_array_length(mapping -> 'history') THEN
            RAISE EXCEPTION 'step % of the history is not complete', n USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Each step is {"stage": "code", "at": "column"}; only the last one may leave the stage out: it is the one the row is in.';
        END IF;
        PERFORM crm.check_import_object(format('step %s of the history', n), step, '{step}');
        PERFORM crm.check_import_object(format('step %s of the history', n), crm.import_spec(step -> 'at'), '{column,format}');
        IF step ? 'stage' AND NOT EXISTS (SELECT FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
                                          WHERE s.tenant_id = crm.tenant_id() AND p.subject_table = target AND s.code = step ->> 'stage') THEN
            RAISE EXCEPTION 'step % of the history names stage "%", which does not exist', n, step ->> 'stage' USING ERRCODE = 'invalid_parameter_value',
                HINT = (SELECT 'There are ' || string_agg(DISTINCT s.code, ', ') || '.'
                        FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
                        WHERE s.tenant_id = crm.tenant_id() AND p.subject_table = target);
        END IF;
    END LOOP;
    SELECT string_agg(format('"%s"', d), ', ') INTO wrong FROM unnest('{created_at,stage_entered_at,closed_at}'::text[]) AS d WHERE mapping -> 'columns' ? d;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the history says what columns % say too', wrong USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave them out of "columns".';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.check_import_history(text, jsonb) IS 'Error where the history of a mapping cannot be read.';

CREATE OR REPLACE FUNCTION crm.check_import_mapping(mapping jsonb)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target regclass;
    column_ record;
BEGIN
    IF jsonb_typeof(mapping) IS DISTINCT FROM 'object' OR NOT mapping ?& '{target,source_system,key,columns}' THEN
        RAISE EXCEPTION 'mapping of an import is incomplete' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It needs "target" (table), "source_system" (name), "key" (column or columns that tell rows apart) and "columns" (target: source).',
            HINT = 'crm.suggest_mapping(source, target) writes one to begin with.';
    END IF;
    PERFORM crm.check_import_object('mapping', mapping, '{mapping,format}');
    target := crm.require_registered(mapping ->> 'target', 'import');
    IF mapping -> 'columns' = '{}' THEN
        RAISE EXCEPTION 'mapping fills no column of table %', target USING ERRCODE = 'invalid_parameter_value', HINT =
            'Say in "columns" what comes from where.';
    END IF;
    FOR column_ IN SELECT e.key, crm.import_spec(e.value) AS spec FROM jsonb_each(mapping -> 'columns') AS e LOOP
        PERFORM crm.check_import_column(target, column_.key, column_.spec);
    END LOOP;
    FOR column_ IN SELECT e.key, e.value FROM jsonb_each(coalesce(mapping -> 'defaults', '{}')) AS e LOOP
        IF jsonb_typeof(column_.value) IN ('object', 'array', 'null') THEN
            RAISE EXCEPTION 'default of column "%" is not a constant', column_.key USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Write a text, a number or true or false; a lookup of a constant is {"value": ..., "lookup": ...} in "columns".';
        END IF;
        PERFORM crm.check_import_column(target, column_.key, jsonb_build_object('value', column_.value));
    END LOOP;
    IF mapping ? 'history' THEN
        PERFORM crm.check_import_history(mapping ->> 'target', mapping);
    END IF;
    IF mapping ? 'exported_at' AND coalesce(crm.import_instant(mapping ->> 'exported_at', coalesce(mapping ->> 'date_order', 'any'), 'UTC') > now() +
        interval '14 hours', true) THEN
        RAISE EXCEPTION 'exported_at "%" is no date, or lies in the future', mapping ->> 'exported_at' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Write it as 2026-01-31, or in the declared date_order.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.check_import_mapping(jsonb) IS
    'Error where a mapping has keys, columns, tables, stages or formats that are not known. The hint names the known ones.';

CREATE OR REPLACE FUNCTION crm.import_source_columns(mapping jsonb)
RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(DISTINCT c.name)
    FROM (SELECT jsonb_array_elements_text(crm.import_spec(e.value) -> 'column') AS name FROM jsonb_each(mapping -> 'columns') AS e
          UNION ALL
          SELECT jsonb_array_elements_text(crm.import_spec(e.value -> 'otherwise') -> 'column') FROM jsonb_each(mapping -> 'columns') AS e
          WHERE jsonb_typeof(e.value) = 'object' AND e.value ? 'otherwise'
          UNION ALL
          SELECT mapping ->> 'country_column' UNION ALL SELECT mapping ->> 'deleted_column'
          UNION ALL
          SELECT jsonb_array_elements_text(crm.import_spec(mapping -> 'key') -> 'column')
          UNION ALL
          SELECT jsonb_array_elements_text(crm.import_spec(h.value -> 'at') -> 'column') FROM jsonb_array_elements(coalesce(mapping -> 'history', '[]')) AS
              h) AS c
    WHERE c.name IS NOT NULL
$$;
COMMENT ON FUNCTION crm.import_source_columns(jsonb) IS 'Columns of the source that a mapping reads.';

CREATE OR REPLACE FUNCTION crm.import_key(data jsonb, key jsonb)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- several columns are written as a tuple, so that no two of them look alike when put together
    SELECT CASE WHEN jsonb_typeof(key) = 'string' OR jsonb_array_length(key) = 1 THEN crm.import_cell(data, ARRAY[coalesce(key ->> 0, key #>> '{}')], '',
        '{}', '{}', false)
                ELSE (SELECT CASE WHEN count(k.cell) > 0 THEN jsonb_agg(k.cell ORDER BY k.n)::text END
                      FROM (SELECT crm.import_cell(data, ARRAY[c.name], '', '{}', '{}', false) AS cell, c.n
                            FROM jsonb_array_elements_text(CASE jsonb_typeof(key) WHEN 'array' THEN key END) WITH ORDINALITY AS c(name, n)) AS k) END
$$;
COMMENT ON FUNCTION crm.import_key(jsonb, jsonb) IS
'What tells a source row apart: the text of its key column, or a JSON array of the texts of several. NULL where all are empty.';

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
