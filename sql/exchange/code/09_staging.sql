-- From an export to a mapping without typing forty columns: the table of a file, and a mapping guessed from names and values.

CREATE OR REPLACE FUNCTION crm.stage_import(table_name text, content text, separator text DEFAULT NULL)
RETURNS regclass
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    path CONSTANT text[] := parse_ident(table_name);
    full_name CONSTANT text := format('%I.%I', CASE WHEN cardinality(path) > 1 THEN path[1] ELSE 'public' END, path[cardinality(path)]);
    header text[];
    names text[];
    odd record;
BEGIN
    SELECT c.cells INTO header FROM crm.read_csv(content, separator) AS c ORDER BY c.line LIMIT 1;
    IF header IS NULL OR content IS NULL THEN
        RAISE EXCEPTION 'there is no header line to make table % from', table_name USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give the content of the file, or its first line alone and fill the table with \copy.';
    END IF;
    -- every column has a name, and no two have one
    SELECT array_agg(CASE WHEN u.twin > 1 THEN u.name || '_' || u.twin ELSE u.name END ORDER BY u.n) INTO names
    FROM (SELECT h.n, x.name, row_number() OVER (PARTITION BY x.name ORDER BY h.n) AS twin
          FROM unnest(header) WITH ORDINALITY AS h(cell, n)
          CROSS JOIN LATERAL (SELECT coalesce(left(crm.import_cell(jsonb_build_object('h', h.cell), '{h}', '', '{}', '{}', false), 58), 'column_' || h.n) AS
              name) AS x) AS u;
    EXECUTE format('CREATE TABLE %s (%s)', full_name, (SELECT string_agg(format('%I text', n), ', ' ORDER BY i) FROM unnest(names) WITH ORDINALITY AS u(n, i)));
    EXECUTE format('INSERT INTO %s SELECT %s FROM crm.read_csv($1, $2) AS c ORDER BY c.line OFFSET 1', full_name,
                   (SELECT string_agg(format('c.cells[%s]', i), ', ' ORDER BY i) FROM unnest(names) WITH ORDINALITY AS u(n, i))) USING content, separator;
    SELECT count(*) AS n, (array_agg(c.line ORDER BY c.line))[1:10] AS lines INTO odd FROM crm.read_csv(content, separator) AS c WHERE cardinality(c.cells) >
        cardinality(names);
    IF odd.n > 0 THEN
        RAISE WARNING '% lines have more values than the header has names', odd.n USING DETAIL = 'Lines: ' || array_to_string(odd.lines, ', '),
            HINT = 'What is too much was left out. Look at these lines: a value with the separator in it needs quotes.';
    END IF;
    RETURN full_name::regclass;
END
$$;
COMMENT ON FUNCTION crm.stage_import(text, text, text) IS
'Makes a table out of the content of a file with separated values: a column of type text for each name of its first line, a row for each other line. With the '
'first line alone the table is empty, for \copy. table_name: with its schema, else public. Returns the table. Errors: 22023 no header, 42P07 the table exists.';

CREATE OR REPLACE FUNCTION crm.import_name_key(name text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT regexp_replace(crm.fold_text(name), '[[:space:][:punct:]]+', '', 'g') $$;
COMMENT ON FUNCTION crm.import_name_key(text) IS 'A name of a column without blanks, signs and case: two columns of one key are called the same.';

-- the format by which all of the values can be read; NULL: none needs to be said, or none is sure
CREATE OR REPLACE FUNCTION crm.suggest_format(sample text[], kind text)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN kind = 'number' THEN
        (SELECT CASE WHEN count(*) FILTER (WHERE crm.import_number(s, NULL, NULL) IS NULL) = 0 THEN NULL
                     WHEN bool_and(crm.import_number(s, '.', NULL) IS NOT NULL) AND NOT bool_and(crm.import_number(s, ',', NULL) IS NOT NULL) THEN
                         '{"decimal": "."}'::jsonb
                     WHEN bool_and(crm.import_number(s, ',', NULL) IS NOT NULL) AND NOT bool_and(crm.import_number(s, '.', NULL) IS NOT NULL) THEN
                         '{"decimal": ","}' END
         FROM unnest(sample) AS s)
    ELSE
        (SELECT CASE WHEN NOT bool_or(d.fails) FILTER (WHERE d.o = 'any') THEN NULL
                     ELSE (SELECT CASE WHEN count(*) = 1 THEN jsonb_build_object('date_order', min(w.o)) END FROM (
                               SELECT o FROM unnest('{dmy,mdy,jalali,epoch_ms,epoch}'::text[]) AS o
                               WHERE (SELECT bool_and(coalesce(crm.import_date(s, o, 'UTC') BETWEEN '1900-01-01' AND '2200-01-01', false)) FROM
                                   unnest(sample) AS s)) AS w) END
         FROM (SELECT 'any' AS o, crm.import_date(s, 'any', 'UTC') IS NULL AS fails FROM unnest(sample) AS s) AS d) END
$$;
COMMENT ON FUNCTION crm.suggest_format(text[], text) IS 'How the numbers or dates of a sample are written, where the sample leaves no doubt.';

CREATE OR REPLACE FUNCTION crm.suggest_key(source regclass, target text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    goes_to CONSTANT regclass := crm.subject_relation(target);
    candidate record;
    best text;
    counted record;
BEGIN
    -- columns that are called like a key first; then any text that tells all rows apart, but no amount, no date and nothing else that is so by chance
    FOR candidate IN
        SELECT a.attname, min(CASE y.target WHEN suggest_key.target THEN 1 WHEN '*' THEN 2 ELSE 3 END) AS rank
        FROM pg_attribute AS a
        LEFT JOIN crm.import_synonyms() AS y ON y.name = '#key' AND y.target IN ('*', suggest_key.target)
             AND crm.import_name_key(a.attname) IN (SELECT crm.import_name_key(c) FROM unnest(y.called) AS c)
        WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
          AND (y.target IS NOT NULL OR NOT EXISTS (
              SELECT FROM pg_attribute AS g LEFT JOIN crm.import_synonyms() AS s ON s.name = g.attname AND s.target IN ('*', suggest_key.target)
              WHERE g.attrelid = goes_to AND g.attnum > 0 AND g.atttypid NOT IN ('text'::regtype, 'bpchar'::regtype, 'varchar'::regtype)
                AND (crm.import_name_key(g.attname) = crm.import_name_key(a.attname)
                     OR crm.import_name_key(a.attname) IN (SELECT crm.import_name_key(c) FROM unnest(s.called) AS c))))
        GROUP BY a.attname, a.attnum ORDER BY 2, a.attnum
    LOOP
        EXIT WHEN candidate.rank = 3 AND best IS NOT NULL;
        EXECUTE format('SELECT count(*) AS all, count(DISTINCT nullif(btrim(t.%I::text), '''')) AS told FROM %s AS t', candidate.attname, source::regclass)
            INTO counted;
        IF counted."all" > 0 AND counted.told = counted."all" OR counted."all" = 0 AND candidate.rank < 3 THEN
            RETURN candidate.attname;
        END IF;
        IF candidate.rank < 3 AND counted.told > 0 AND best IS NULL THEN
            best := candidate.attname;
        END IF;
    END LOOP;
    IF best IS NOT NULL THEN
        RAISE NOTICE 'column "%" is the key, but does not tell all rows apart', best
            USING HINT = 'Rows without a key, and all but the first of those with one, will be bad rows. Name other columns as "key" if they are '
                         'different records.';
        RETURN best;
    END IF;
    RAISE EXCEPTION 'no column of % tells all of its rows apart', source USING ERRCODE = 'invalid_parameter_value',
        HINT = 'Write the mapping''s "key" as an array of several columns.';
END
$$;
COMMENT ON FUNCTION crm.suggest_key(regclass, text) IS
'The column of a staged table that tells its rows apart: one that is called a key before any other, even where it holds a value twice (a notice says so); '
'error 22023 where there is none.';

CREATE OR REPLACE FUNCTION crm.suggest_column(source regclass, target text, name text, column_name text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    goes_to CONSTANT regclass := crm.subject_relation(target);
    type regtype;
    looked_up record;
    spec jsonb := jsonb_build_object('column', column_name);
BEGIN
    SELECT a.atttypid INTO type FROM pg_attribute AS a WHERE a.attrelid = goes_to AND a.attname = name AND a.attnum > 0;
    SELECT r.subject, r.relation INTO looked_up
    FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attname = suggest_column.name AND a.attnum = k.conkey[cardinality(k.conkey)]
    JOIN crm.registered_as('found_by') AS r ON r.relation = k.confrelid
    WHERE k.conrelid = goes_to AND k.contype = 'f' AND type = 'bigint'::regtype LIMIT 1;
    IF FOUND THEN
        spec := spec || jsonb_build_object('lookup', looked_up.subject)
             || CASE WHEN crm.import_creates(looked_up.relation) AND looked_up.subject <> target THEN '{"missing": "create"}' ELSE '{}' END::jsonb;
    END IF;
    RETURN CASE WHEN spec - 'column' = '{}' THEN to_jsonb(column_name) ELSE spec END;
END
$$;
COMMENT ON FUNCTION crm.suggest_column(regclass, text, text, text) IS
    'What a mapping may say of one column: its source, and a lookup where it refers to another table.';

CREATE OR REPLACE FUNCTION crm.suggest_formats(source regclass, target text, columns jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    goes_to CONSTANT regclass := crm.subject_relation(target);
    kind text;
    part record;
    sample text[];
    pooled text[];
    written jsonb;
    formats jsonb := '{}';
BEGIN
    -- what all columns of a kind together leave no doubt of counts for all of them; else each is looked at alone
    FOREACH kind IN ARRAY '{number,date}'::text[] LOOP
        pooled := '{}';
        FOR part IN SELECT e.key, coalesce(e.value ->> 'column', e.value #>> '{}') AS from_column FROM jsonb_each(columns) AS e
                    JOIN pg_attribute AS a ON a.attrelid = goes_to AND a.attname = e.key AND NOT e.value ? 'lookup'
                    JOIN pg_type AS y ON y.oid = a.atttypid
                         AND y.typname = ANY (CASE kind WHEN 'date' THEN '{date,timestamptz}'::text[] ELSE '{numeric,int8,int4,int2}' END)
                    WHERE jsonb_typeof(e.value) <> 'array' LOOP
            EXECUTE format('SELECT array_agg(x.v) FROM (SELECT DISTINCT btrim(t.%1$I::text) AS v FROM %2$s AS t
                            WHERE btrim(t.%1$I::text) <> '''' LIMIT 2000) AS x',
                           part.from_column, source::regclass) INTO sample;
            pooled := pooled || coalesce(sample, '{}');
            written := crm.suggest_format(sample, kind);
            IF written IS NOT NULL THEN
                columns := columns || jsonb_build_object(part.key, jsonb_build_object('column', part.from_column) || written);
            END IF;
        END LOOP;
        formats := formats || coalesce(crm.suggest_format(pooled, kind), '{}');
    END LOOP;
    RETURN formats || jsonb_build_object('columns', columns);
END
$$;
COMMENT ON FUNCTION crm.suggest_formats(regclass, text, jsonb) IS
    'Columns of a mapping with how their numbers and dates are written, where the values leave no doubt.';

CREATE OR REPLACE FUNCTION crm.suggest_mapping(source regclass, target text, source_system text DEFAULT 'export')
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.require_registered(target, 'import');
    found record;
    columns jsonb := '{}';
    used text[] := '{}';
    halves text[];
    first_stage text;
    mapping jsonb;
    rest text;
BEGIN
    FOR found IN
        -- a column is called like ours, or as others call ours; each is used once, the better name first
        SELECT DISTINCT ON (w.name) w.name, w.attname FROM (
            SELECT t.name, a.attname::text AS attname, a.attnum, CASE WHEN crm.import_name_key(a.attname) = crm.import_name_key(t.name) THEN 0 ELSE s.place
                END AS place
            FROM crm.import_targets(relation) AS t
            JOIN pg_attribute AS a ON a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN LATERAL (SELECT min(c.n) AS place FROM crm.import_synonyms() AS y, unnest(y.called) WITH ORDINALITY AS c(called, n)
                               WHERE y.target IN ('*', suggest_mapping.target) AND y.name = t.name AND crm.import_name_key(c.called) =
                                   crm.import_name_key(a.attname)) AS s ON true
            WHERE t.kind <> 'column' OR t.name NOT IN ('updated_at', 'stage_entered_at', 'closed_at', 'custom')
            UNION ALL
            SELECT y.name, a.attname::text, a.attnum, c.n
            FROM crm.import_synonyms() AS y, unnest(y.called) WITH ORDINALITY AS c(called, n), pg_attribute AS a
            WHERE y.target = suggest_mapping.target AND (y.name IN ('#first', '#last')
                   OR split_part(y.name, '.', 1) <> y.name AND split_part(y.name, '.', 1) = ANY (crm.import_point_kinds(relation)))
              AND a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
              AND crm.import_name_key(c.called) = crm.import_name_key(a.attname)) AS w
        WHERE w.place IS NOT NULL ORDER BY w.name, w.place, w.attnum
    LOOP
        IF found.name IN ('#first', '#last') THEN
            halves := halves || found.attname;
        ELSE
            columns := columns || jsonb_build_object(found.name, crm.suggest_column(source, target, found.name, found.attname));
        END IF;
        used := used || found.attname;
    END LOOP;
    IF cardinality(halves) = 2 AND NOT columns ? 'name' OR cardinality(halves) = 2 AND columns ->> 'name' = ANY (halves) THEN
        columns := columns || jsonb_build_object('name', to_jsonb(halves));
    END IF;
    mapping := crm.suggest_formats(source, target, columns);
    columns := mapping -> 'columns';
    mapping := mapping || jsonb_build_object('target', target, 'source_system', source_system, 'key', crm.suggest_key(source, target));
    IF crm.column_exists(relation, 'stage_id') AND columns ? 'created_at' THEN
        -- the day of its creation is the first step of its history
        SELECT s.code INTO first_stage FROM crm.pipelines AS p JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.pipeline_id = p.id
        WHERE p.tenant_id = crm.tenant_id() AND p.subject_table = target ORDER BY p.is_default DESC, p.id, s.is_initial DESC, s.position LIMIT 1;
        IF first_stage IS NOT NULL THEN
            mapping := mapping || jsonb_build_object('history', jsonb_build_array(jsonb_build_object('stage', first_stage, 'at', columns -> 'created_at')));
            columns := columns - 'created_at';
        END IF;
    END IF;
    SELECT string_agg(format('"%s"', a.attname), ', ' ORDER BY a.attnum) INTO rest FROM pg_attribute AS a
    WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (used) AND a.attname <> mapping ->> 'key';
    IF rest IS NOT NULL THEN
        RAISE NOTICE 'columns that the mapping leaves out: %', rest USING HINT = 'Name them in "columns": custom fields are "custom.name".';
    END IF;
    RETURN mapping || jsonb_build_object('columns', columns);
END
$$;
COMMENT ON FUNCTION crm.suggest_mapping(regclass, text, text) IS
'A mapping for crm.import_table() to begin with: columns found by their names, here and in other systems (crm.import_synonyms()), lookups by the keys of the '
'target, formats of numbers and dates where the values leave no doubt, and the key. A notice names the columns that it leaves out. Try it with "dry_run".';
