-- The parts a batch's statement is put together from: one for each column of the mapping.
--
-- A part is a jsonb object of texts of SQL. cell: what stands in the source row r. value: what it means, from the cell t.cN; NULL where it
-- cannot be read. fault: whether that is so, over t.cN and v.vN; report: what is said then. join: a join that gives ids of names, lN.
-- Nothing here raises an error for a row: rows that cannot go in are told apart by one pass over all of them.

CREATE OR REPLACE FUNCTION crm.import_fault(column_name text, value text, code text, reason text, hint text)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('column', column_name, 'value', left(value, 200), 'sqlstate', code, 'reason', reason, 'hint', hint)
$$;
COMMENT ON FUNCTION crm.import_fault(text, text, text, text, text) IS 'What is wrong with one cell of an import.';

CREATE OR REPLACE FUNCTION crm.import_number_report(column_name text, value text, "decimal" text, "grouping" text, type_name text)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    why CONSTANT text := crm.import_number_fault(value, "decimal", "grouping");
BEGIN
    IF why IS NULL THEN
        RETURN crm.import_fault(column_name, value, '22003', format('%s: "%s" is no %s', column_name, value, type_name),
                                'It is too large, or has decimals where none can be. Correct it, or say "scale" in the mapping.');
    END IF;
    RETURN crm.import_fault(column_name, value, '22P02', format('%s: cannot read "%s" as a number. %s', column_name, value, why),
                            CASE WHEN "decimal" IS NULL AND value ~ '[.,]' THEN 'Say how numbers are written: "decimal": "." or ",", and "grouping".'
                                 ELSE 'Correct it, replace it by "values", or leave such cells out by "invalid": "null".' END);
END
$$;
COMMENT ON FUNCTION crm.import_number_report(text, text, text, text, text) IS 'What is said of a cell that is no number.';

CREATE OR REPLACE FUNCTION crm.import_date_report(column_name text, value text, date_order text)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm.import_fault(column_name, value, '22007', format('%s: cannot read "%s" as a date. %s', column_name, value, crm.import_date_fault(value,
        date_order)),
                            CASE WHEN date_order = 'any' THEN 'Say how dates are written: "date_order": ymd, dmy, mdy, jalali, epoch, epoch_ms or excel.'
                                 ELSE 'Correct it, or leave such cells out by "invalid": "null".' END)
$$;
COMMENT ON FUNCTION crm.import_date_report(text, text, text) IS 'What is said of a cell that is no date.';

CREATE OR REPLACE FUNCTION crm.import_cell_expression(spec jsonb, is_number boolean)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN spec ? 'value' THEN format('%L::text', nullif(spec ->> 'value', ''))
                -- of a cell with several values the first; where a column is empty another one
                WHEN spec ->> 'several' = 'first' THEN format('nullif(btrim(split_part(%s, '';'', 1)), '''')',
                            crm.import_cell_expression(spec - 'several', is_number)::text)
                WHEN spec ? 'otherwise' THEN format('coalesce(%s, %s)', crm.import_cell_expression(spec - 'otherwise', is_number)::text,
                            crm.import_cell_expression(spec - 'otherwise' || crm.import_spec(spec -> 'otherwise'), is_number)::text)
                ELSE format('crm.import_cell(r.data, %L::text[], %L, %L::text[], %L::jsonb, %L)',
                            ARRAY(SELECT jsonb_array_elements_text(spec -> 'column')), coalesce(spec ->> 'join', ' '),
                            ARRAY(SELECT jsonb_array_elements_text(CASE jsonb_typeof(spec -> 'nothing') WHEN 'array' THEN spec -> 'nothing' WHEN 'string'
                                THEN jsonb_build_array(spec -> 'nothing') ELSE '[]' END)),
                            coalesce(spec -> 'values', '{}'), is_number) END
$$;
COMMENT ON FUNCTION crm.import_cell_expression(jsonb, boolean) IS 'SQL expression over a source row r: the text that a column of a mapping names.';

CREATE OR REPLACE FUNCTION crm.import_texts(given jsonb, otherwise text[])
RETURNS text[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE jsonb_typeof(given) WHEN 'string' THEN ARRAY[crm.fold_text(given #>> '{}')]
                WHEN 'array' THEN ARRAY(SELECT crm.fold_text(e) FROM jsonb_array_elements_text(given) AS e) ELSE otherwise END
$$;
COMMENT ON FUNCTION crm.import_texts(jsonb, text[]) IS 'The folded texts of a key of a mapping that may be one or several.';

CREATE OR REPLACE FUNCTION crm.import_type_part(name text, n integer, type regtype, type_mod integer, spec jsonb, zone text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    type_name CONSTANT text := format_type(type, type_mod);
    date_order CONSTANT text := coalesce(spec ->> 'date_order', 'any');
    c CONSTANT text := format('t.c%s', n::integer);
    v CONSTANT text := format('v.v%s', n::integer);
    kind CONSTANT text := (SELECT t.typname FROM pg_type AS t WHERE t.oid = type);
    is_number CONSTANT boolean := kind IN ('numeric', 'int8', 'int4', 'int2', 'float4', 'float8');
    read text;
    value text;
    fault text := format('%s IS NOT NULL AND %s IS NULL', c::text, v::text);
    report text;
    reason text := format('%s: cannot read "', name);
BEGIN
    IF is_number THEN
        read := format('crm.import_number(%s, %L, %L)', c::text, spec ->> 'decimal', spec ->> 'grouping')
            || CASE WHEN spec ? 'scale' THEN format(' * %L::numeric', spec ->> 'scale') ELSE '' END;
        -- out of range is NULL as well
        value := CASE WHEN kind IN ('float4', 'float8') OR kind = 'numeric' AND type_mod < 0 THEN read
            ELSE format('(SELECT CASE WHEN %s THEN x.x END FROM (SELECT %s) AS x(x))',
                        CASE WHEN kind = 'numeric' THEN format('abs(x.x) < 1e%s', (((type_mod - 4) >> 16) - ((type_mod - 4) & 2047))::integer)
                             ELSE format('x.x = trunc(x.x) AND x.x BETWEEN %s', CASE kind WHEN 'int8' THEN '-9223372036854775808 AND 9223372036854775807'
                                         WHEN 'int4' THEN '-2147483648 AND 2147483647' ELSE '-32768 AND 32767' END) END, read::text) END;
        value := format('(%s)::%s', value::text, type_name::text);
        report := format('crm.import_number_report(%L, %s, %L, %L, %L)', name, c::text, spec ->> 'decimal', spec ->> 'grouping', type_name);
    ELSIF kind IN ('date', 'timestamptz', 'timestamp') THEN
        value := format('crm.import_%s(%s, %L, %L)', CASE kind WHEN 'date' THEN 'date' ELSE 'instant' END, c::text, date_order, zone)
            || CASE kind WHEN 'timestamp' THEN format(' AT TIME ZONE %L', zone) ELSE '' END;
        report := format('crm.import_date_report(%L, %s, %L)', name, c::text, date_order);
    ELSIF kind = 'daterange' THEN
        RETURN jsonb_build_object('period', true, 'report', format('crm.import_fault(%L, %s, ''22007'', %L || %s || ''" as a period'', %L)', name, c::text,
            reason, c::text,
            'Write a year, a quarter or a month (2026, 2026-Q1, 2026-03), or name two columns: the first and the last day.'));
    ELSIF kind = 'bool' THEN
        value := format('CASE WHEN crm.fold_text(%1$s) = ANY (%2$L) THEN true WHEN crm.fold_text(%1$s) = ANY (%3$L) THEN false END', c::text,
                        crm.import_texts(spec -> 'true_values', '{true,t,yes,y,1,on,بله}'), crm.import_texts(spec -> 'false_values',
                            '{false,f,no,n,0,off,خیر}'));
        report := format('crm.import_fault(%L, %s, ''22P02'', %L || %s || ''" as yes or no'', %L)', name, c::text, reason, c::text,
                         'Say what means yes and what no: "true_values" and "false_values".');
    ELSIF kind = '_text' THEN
        value := format('crm.import_list(%s, %L)', c::text, spec ->> 'separator');
        report := format('crm.import_fault(%L, %s, ''22P02'', %L || %s || ''" as a list'', %L)', name, c::text, reason, c::text,
                         'Say what separates the items: "separator".');
    ELSIF kind = 'bpchar' AND name = 'country' THEN
        value := format('crm.country_code(%s)::%s', c::text, type_name::text);
        report := format('crm.import_fault(%L, %s, ''22P02'', %L || %s || ''" as a country'', %L)', name, c::text, reason, c::text,
                         'Write its code of two letters (ISO 3166-1) or its name, or replace the text by "values".');
    ELSIF kind IN ('text', 'varchar', 'bpchar', 'name') THEN
        value := CASE WHEN type_mod > 4 THEN format('CASE WHEN length(%1$s) <= %2$s THEN %1$s END', c::text, (type_mod - 4)::integer) ELSE c END;
        report := format('crm.import_fault(%L, %s, ''22001'', format(%L, %s), %L)', name, c::text, name || ': "%s" is too long for ' || type_name, c::text,
                         'Shorten it, or replace it by "values".');
    ELSE
        value := format('CASE WHEN crm.import_readable(%1$s, %2$L) THEN %1$s::%3$s END', c::text, type_name, type_name::text);
        report := format('crm.import_fault(%L, %s, ''22P02'', %L || %s || %L, %L)', name, c::text, reason, c::text, '" as ' || type_name,
                         'Write it as PostgreSQL does.');
    END IF;
    RETURN jsonb_build_object('value', value, 'fault', fault, 'report', report, 'number', is_number);
END
$$;
COMMENT ON FUNCTION crm.import_type_part(text, integer, regtype, integer, jsonb, text) IS
    'How a cell becomes a value of a type: value, fault and report of a part.';

-- ---- names that become ids ----

-- "Sara Weber (sara@corp.example)" and "Sara Weber <sara@corp.example>" say who is meant twice
CREATE OR REPLACE FUNCTION crm.import_signed_address(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT substring(value FROM '[^[:space:]]\s*[(<]\s*([^()<>@[:space:]]+@[^()<>[:space:]]+)\s*[)>]\s*$') $$;
COMMENT ON FUNCTION crm.import_signed_address(text) IS 'The e-mail address in brackets behind a name; NULL: there is none.';

CREATE OR REPLACE FUNCTION crm.import_signed_name(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN crm.import_signed_address(value) IS NULL THEN value ELSE btrim(regexp_replace(value, '[(<][^()<>]*[)>]\s*$', '')) END $$;
COMMENT ON FUNCTION crm.import_signed_name(text) IS 'A name without an e-mail address in brackets behind it.';

CREATE OR REPLACE FUNCTION crm.import_ways(relation regclass, spec jsonb, batch crm.import_batches)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ways CONSTANT jsonb := (SELECT r.options -> 'found_by' FROM crm.registry AS r WHERE r.relation = import_ways.relation);
    merged CONSTANT text := (SELECT r.options ->> 'merge' FROM crm.registry AS r WHERE r.relation = import_ways.relation);
    -- codes of stages mean something within a pipeline
    in_pipeline CONSTANT boolean := crm.column_exists(relation, 'pipeline_id') AND NOT crm.column_exists(relation, 'stage_id');
    selected text;
    name_key CONSTANT text := CASE WHEN crm.column_exists(relation, 'name_key') THEN 'm.name_key' ELSE 'crm.name_key(m.name)' END;
BEGIN
    SELECT string_agg(format('SELECT d.key, CASE WHEN %L AND d.signed THEN 0 ELSE %s END AS way, m.id, %s AS within, %s AS label FROM d JOIN %s AS m '
                                    'ON m.tenant_id = %s AND ', w.way = 'email', w.n::integer,
                             CASE WHEN in_pipeline THEN 'm.pipeline_id' ELSE '0::bigint' END,
                             CASE WHEN crm.column_exists(relation, 'name') THEN 'm.name' ELSE 'm.id::text' END, relation::regclass, batch.tenant_id::bigint)
                      || CASE w.way WHEN 'source' THEN format('m.source_system = %L AND m.source_id = d.key', batch.source_system)
                                    WHEN 'name' THEN name_key || ' = d.folded AND d.folded <> '''''
                                    WHEN 'code' THEN 'lower(m.code) = lower(d.key)'
                                    WHEN 'email' THEN 'crm.normalize_email(m.email) = d.address'
                                    ELSE format('m.%I = d.key', w.way) END
                      || CASE WHEN merged IS NULL THEN '' ELSE format(' AND m.%I IS NULL', merged) END
                      || CASE WHEN in_pipeline AND spec ? 'pipeline'
                              THEN format(' AND m.pipeline_id = (SELECT p.id FROM crm.pipelines AS p WHERE p.tenant_id = %s AND p.code = %L)',
                                  batch.tenant_id::bigint, spec ->> 'pipeline')
                              WHEN in_pipeline AND batch.mapping -> 'columns' ? 'pipeline_id' THEN ''
                              WHEN in_pipeline
                              THEN format(' AND m.pipeline_id = (SELECT p.id FROM crm.pipelines AS p WHERE p.tenant_id = %s AND p.subject_table = %L '
                              'ORDER BY p.is_default DESC, p.id LIMIT 1)',
                                          batch.tenant_id::bigint, batch.target_table)
                              ELSE '' END, ' UNION ALL ' ORDER BY w.n)
    INTO selected
    FROM (SELECT w.way, w.n FROM jsonb_array_elements_text(ways) WITH ORDINALITY AS w(way, n)) AS w;
    -- what it was called before it was merged into another, or is called besides
    IF ways ? 'source' THEN
        selected := selected || format(' UNION ALL SELECT d.key, 0, x.subject_id, 0::bigint, x.external_id FROM d JOIN crm.external_ids AS x
            ON x.tenant_id = %s AND x.subject_table = %L AND x.source = %L AND x.external_id = d.key', batch.tenant_id::bigint,
            crm.subject_name(relation), batch.source_system);
    END IF;
    IF relation = 'crm.contacts'::regclass THEN
        selected := selected || format(' UNION ALL SELECT DISTINCT d.key, 0, p.contact_id, 0::bigint, m.name FROM d
            JOIN crm.contact_points AS p ON p.tenant_id = %1$s AND p.kind = ''email'' AND p.value_key = d.address
            JOIN crm.contacts AS m ON m.tenant_id = %1$s AND m.id = p.contact_id', batch.tenant_id::bigint);
    END IF;
    RETURN selected;
END
$$;
COMMENT ON FUNCTION crm.import_ways(regclass, jsonb, crm.import_batches) IS
'Query over keys d (key, folded, address, signed: with an address in brackets) that gives the rows each '
'may mean: key, way (the first that finds something counts), id, within, label.';

CREATE OR REPLACE FUNCTION crm.import_lookup(relation regclass, n integer, spec jsonb, batch crm.import_batches, within text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- each distinct text is looked up once
    SELECT format($q$LEFT JOIN (
            SELECT DISTINCT ON (f.key, f.within) f.key, f.within, f.ids[1] AS id, cardinality(f.ids) > 1 AS many, f.labels
            FROM (SELECT w.key, w.within, w.way, array_agg(w.id ORDER BY w.id) AS ids, array_agg(format('"%%s" (id %%s)', w.label, w.id) ORDER BY w.id) AS
                labels
                  FROM (WITH d AS MATERIALIZED (SELECT DISTINCT t.c%1$s AS key, crm.name_key(crm.import_signed_name(t.c%1$s)) AS folded,
                                                       crm.normalize_email(coalesce(crm.import_signed_address(t.c%1$s), t.c%1$s)) AS address,
                                                       crm.import_signed_address(t.c%1$s) IS NOT NULL AS signed
                                                FROM t WHERE t.c%1$s IS NOT NULL)
                        %2$s) AS w GROUP BY w.key, w.within, w.way) AS f
            ORDER BY f.key, f.within, f.way) AS l%1$s ON l%1$s.key = t.c%1$s%3$s$q$,
        n::integer, crm.import_ways(relation, spec, batch), coalesce(' AND l' || n || '.within = ' || within, '')::text)
$$;
COMMENT ON FUNCTION crm.import_lookup(regclass, integer, jsonb, crm.import_batches, text) IS
'Join lN that turns the texts of cell t.cN into ids, and says where several rows have one name.';

-- a column that refers to a table by code, such as a loss reason or a currency, also takes the name that people read
CREATE OR REPLACE FUNCTION crm.import_coded(target regclass, name text)
RETURNS TABLE (relation regclass, code_column text)
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.confrelid::regclass, f.attname::text
    FROM pg_constraint AS k
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attname = name AND k.conkey[cardinality(k.conkey)] = a.attnum
    JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = k.confkey[cardinality(k.confkey)]
    WHERE k.conrelid = target AND k.contype = 'f' AND cardinality(k.conkey) <= 2 AND f.attname = 'code' AND crm.column_exists(k.confrelid, 'name')
    LIMIT 1
$$;
COMMENT ON FUNCTION crm.import_coded(regclass, text) IS 'The table a column refers to by code.';

CREATE OR REPLACE FUNCTION crm.import_coded_part(target regclass, name text, n integer, tenant bigint)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'value', format('CASE WHEN l%1$s.many IS NOT TRUE THEN l%1$s.id END', n::integer),
        'more', format('l%1$s.labels AS b%1$s', n::integer),
        'fault', format('t.c%1$s IS NOT NULL AND v.v%1$s IS NULL', n::integer),
        'report', format('CASE WHEN cardinality(v.b%6$s) > 1 THEN crm.import_lookup_report(%1$L, t.c%6$s, %2$L, v.b%6$s) '
                         'ELSE crm.import_fault(%1$L, t.c%6$s, ''23503'', format(%3$L, t.c%6$s), crm.import_known(%4$L)) END', name, r.subject,
                         format('%s: %s has no "%%s"', name, r.subject), k.relation::text, NULL, n::integer),
        'join', format($q$LEFT JOIN (
            SELECT d.key, (array_agg(m.code ORDER BY lower(m.code) = lower(d.key) DESC, m.code))[1] AS id,
                   count(*) > 1 AND NOT bool_or(lower(m.code) = lower(d.key)) AS many,
                   array_agg(format('"%%s" (code %%s)', m.name, m.code) ORDER BY m.code) AS labels
            FROM (SELECT DISTINCT t.c%1$s AS key FROM t WHERE t.c%1$s IS NOT NULL) AS d
            JOIN %2$s AS m ON %3$s (lower(m.code) = lower(d.key) OR crm.name_key(m.name) = crm.name_key(d.key))
            GROUP BY d.key) AS l%1$s ON l%1$s.key = t.c%1$s$q$,
            n::integer, k.relation::regclass, CASE WHEN crm.column_exists(k.relation, 'tenant_id') THEN 'm.tenant_id = ' || tenant || ' AND' ELSE '' END))
    FROM crm.import_coded(target, name) AS k JOIN crm.registry AS r ON r.relation = k.relation
$$;
COMMENT ON FUNCTION crm.import_coded_part(regclass, text, integer, bigint) IS 'Part of a column that refers to a table by code; NULL where it does not.';

CREATE OR REPLACE FUNCTION crm.import_known(relation_name text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known text;
BEGIN
    EXECUTE format('SELECT string_agg(k.code, '', '') FROM (SELECT m.code FROM %s AS m %s ORDER BY m.code LIMIT 12) AS k', relation_name::regclass,
                   CASE WHEN crm.column_exists(relation_name::regclass, 'tenant_id') THEN 'WHERE m.tenant_id = crm.tenant_id()' ELSE '' END) INTO known;
    RETURN format('Known are %s ...; replace the text by "values", or add it there.', known);
END
$$;
COMMENT ON FUNCTION crm.import_known(text) IS 'The first codes of a table, as a hint.';

CREATE OR REPLACE FUNCTION crm.import_lookup_part(batch crm.import_batches, name text, n integer, spec jsonb, within text)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'value', format('CASE WHEN l%1$s.many IS NOT TRUE%2$s THEN l%1$s.id END', n::integer,
                        CASE WHEN spec ->> 'inactive' = 'null'
                             THEN format(' AND NOT EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = %s AND u.id = l%s.id AND NOT u.active)',
                                         batch.tenant_id::bigint, n)
                             ELSE '' END),
        'more', format('l%1$s.many AS m%1$s, l%1$s.labels AS b%1$s, l%1$s.id AS i%1$s', n::integer),
        'join', crm.import_lookup(crm.subject_relation(spec ->> 'lookup'), n, spec, batch, within),
        'fault', CASE WHEN spec ->> 'invalid' = 'null' THEN 'false'
                      WHEN coalesce(spec ->> 'missing', 'error') = 'null' THEN format('v.m%s', n::integer)
                      WHEN spec ->> 'inactive' = 'null' THEN format('t.c%1$s IS NOT NULL AND (v.i%1$s IS NULL OR v.m%1$s)', n::integer)
                      ELSE format('t.c%1$s IS NOT NULL AND v.v%1$s IS NULL', n::integer) END,
        'report', format('crm.import_lookup_report(%L, t.c%s, %L, v.b%s)', name, n::integer, spec ->> 'lookup', n::integer))
$$;
COMMENT ON FUNCTION crm.import_lookup_part(crm.import_batches, text, integer, jsonb, text) IS 'Part of a column that is looked up.';

CREATE OR REPLACE FUNCTION crm.import_lookup_report(column_name text, value text, subject text, labels text[])
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN cardinality(labels) > 1
        THEN crm.import_fault(column_name, value, '21000', format('%s: %s has more than one "%s": %s%s', column_name, subject, value,
            array_to_string(labels[1:5], ', '),
                                                                  CASE WHEN cardinality(labels) > 5 THEN ' ...' ELSE '' END),
                              'Name it by its key in the source, by something only one of them has, or replace it by "values".')
        ELSE crm.import_fault(column_name, value, '23503', format('%s: %s has no "%s"', column_name, subject, value),
                              'Import ' || subject || ' first, replace the text by "values", or say "missing": "null" or "create".') END
$$;
COMMENT ON FUNCTION crm.import_lookup_report(text, text, text, text[]) IS 'What is said of a name that means no row, or several.';

-- ---- custom fields and contact points ----

CREATE OR REPLACE FUNCTION crm.import_choice(value text, choices text[])
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c FROM unnest(choices) AS c WHERE c = value OR crm.fold_text(c) = crm.fold_text(value) ORDER BY c <> value LIMIT 1
$$;
COMMENT ON FUNCTION crm.import_choice(text, text[]) IS 'The choice that a text means, however it is spelt; NULL: none.';

CREATE OR REPLACE FUNCTION crm.import_choices(value text, separator text, choices text[])
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN count(*) = count(x.choice) THEN array_agg(DISTINCT x.choice) END
    FROM (SELECT crm.import_choice(i, choices) AS choice FROM unnest(crm.import_list(value, separator)) AS i) AS x
$$;
COMMENT ON FUNCTION crm.import_choices(text, text, text[]) IS 'The choices that a list means; NULL where one of them is none.';

CREATE OR REPLACE FUNCTION crm.import_custom_part(batch crm.import_batches, name text, n integer, spec jsonb, zone text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    field crm.custom_fields;
    part jsonb;
    c CONSTANT text := format('t.c%s', n::integer);
    value text;
    said text;
BEGIN
    SELECT f.* INTO field FROM crm.custom_fields AS f WHERE f.tenant_id = batch.tenant_id AND f.table_name = batch.target_table AND f.name =
        substr(import_custom_part.name, 8);
    part := crm.import_type_part(name, n, CASE field.type WHEN 'integer' THEN 'bigint' WHEN 'number' THEN 'numeric' WHEN 'boolean' THEN 'boolean' WHEN 'date'
        THEN 'date'
                                                          WHEN 'timestamp' THEN 'timestamptz' WHEN 'json' THEN 'jsonb' ELSE 'text' END::regtype, -1, spec,
                                                              zone);
    value := CASE field.type
        WHEN 'choice' THEN format('crm.import_choice(%s, %L)', c::text, field.choices)
        WHEN 'choices' THEN format('crm.import_choices(%s, %L, %L)', c::text, spec ->> 'separator', field.choices)
        WHEN 'email' THEN format('CASE WHEN crm.normalize_email(%1$s) IS NOT NULL THEN %1$s END', c::text)
        WHEN 'phone' THEN format('CASE WHEN crm.normalize_phone(%1$s, %2$L) IS NOT NULL THEN %1$s END', c::text, coalesce(spec ->> 'country',
            crm.tenant_country()::text, ''))
        WHEN 'url' THEN format('CASE WHEN crm.contact_point_key(''web'', %1$s) IS NOT NULL THEN %1$s END', c::text) END;
    IF value IS NOT NULL THEN
        said := name || CASE WHEN field.type IN ('choice', 'choices') THEN ': "%s" is none of the choices' ELSE format(': "%%s" is no %s', field.type) END;
        part := part || jsonb_build_object('value', value, 'report', format('crm.import_fault(%L, %s, ''CR202'', format(%L, %s), %L)', name, c::text, said,
            c::text,
            CASE WHEN field.choices IS NOT NULL THEN 'Choices are ' || array_to_string(field.choices, ', ') || '; replace the text by "values".'
                 ELSE 'Correct it, or leave such cells out by "invalid": "null".' END));
        -- what the record says already stays, also where that choice has been retired
        IF field.type IN ('choice', 'choices') AND part ->> 'fault' <> 'false' AND spec ->> 'blank' IS DISTINCT FROM 'wipe' THEN
            part := part || jsonb_build_object('fault', format('t.c%1$s IS NOT NULL AND v.v%1$s IS NULL AND (o.id IS NULL OR %2$s)', n::integer,
                CASE field.type
                    WHEN 'choice' THEN format('crm.import_choice(%s, ARRAY[o.custom ->> %L]) IS NULL', c::text, field.name)
                    ELSE format('crm.import_choices(%s, %L, (%3$s)) IS DISTINCT FROM (%3$s)', c::text, spec ->> 'separator',
                                format('SELECT array_agg(DISTINCT e.c) FROM jsonb_array_elements_text(CASE jsonb_typeof(o.custom -> %1$L) WHEN ''array'' '
                                       'THEN o.custom -> %1$L ELSE ''[]'' END) AS e (c)', field.name)) END));
        END IF;
    END IF;
    -- a new row needs a required field
    IF field.required THEN
        part := part || jsonb_build_object(
            'report', format('CASE WHEN %s IS NULL THEN crm.import_fault(%L, NULL, ''CR202'', %L, %L) ELSE %s END', c::text, name, name ||
                ': the field is required, and the cell is empty',
                             'Fill the cell, or give it a value in "defaults".', (part ->> 'report')::text),
            'fault', format('v.v%s IS NULL AND (%s IS NOT NULL OR o.id IS NULL)', n::integer, c::text));
    END IF;
    RETURN part;
END
$$;
COMMENT ON FUNCTION crm.import_custom_part(crm.import_batches, text, integer, jsonb, text) IS 'Part of a custom field.';

CREATE OR REPLACE FUNCTION crm.import_point_values(kind text, value text, country text)
RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- several addresses of one cell; NULL where one of them is none
    SELECT CASE WHEN count(*) FILTER (WHERE crm.contact_point_key(kind, p.value, coalesce(country, '')) IS NULL) = 0 THEN array_agg(p.value ORDER BY p.n) END
    FROM (SELECT btrim(x) AS value, n
          FROM regexp_split_to_table(value, CASE kind WHEN 'email' THEN '[;,\n]' WHEN 'post' THEN '\x01'
                                                  -- a comma stands between numbers, and before an extension
                                                  WHEN 'web' THEN '[;\n]' ELSE '[;\n]|,\s*(?=[+(]|[0-9][0-9 ()-]{6})' END) WITH ORDINALITY AS u(x, n)) AS p
    WHERE p.value <> ''
$$;
COMMENT ON FUNCTION crm.import_point_values(text, text, text) IS 'The addresses or numbers of a cell; NULL where one of them is none of its kind.';

-- a number without a code is of the row's own country, else of the declared one, else of the tenant's
CREATE OR REPLACE FUNCTION crm.import_point_part(name text, n integer, spec jsonb, country text)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'kind', 'point',
        'cells', format('coalesce(crm.country_code(%s), %L) AS k%s', coalesce(country, 'NULL')::text, coalesce(spec ->> 'country',
            crm.tenant_country()::text), n::integer),
        'value', format('crm.import_point_values(%L, t.c%s, t.k%s)', split_part(name, '.', 1), n::integer, n::integer),
        'fault', format('t.c%1$s IS NOT NULL AND v.v%1$s IS NULL', n::integer),
        'report', format('crm.import_fault(%L, t.c%s, ''22P02'', format(%L, t.c%s), %L)', name, n::integer, name || ': "%s" is no ' || split_part(name, '.',
            1), n::integer,
                         'Correct it, or leave such cells out by "invalid": "null"; a telephone number without a code needs "country".'))
$$;
COMMENT ON FUNCTION crm.import_point_part(text, integer, jsonb, text) IS
'Part of a column that becomes contact points; country: SQL expression over a source row, the country it says, NULL: none.';
