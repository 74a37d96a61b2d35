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
    -- nobody writes the month first before full stops
    WHEN kind = 'date' AND (SELECT bool_and(s ~ '^\s*[0-3]?[0-9]\.[01]?[0-9]\.(19|20)[0-9][0-9]\M') FROM unnest(sample) AS s)
         AND (SELECT bool_or(crm.import_date(s, 'any', 'UTC') IS NULL) FROM unnest(sample) AS s) THEN '{"date_order": "dmy"}'::jsonb
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
        SELECT a.attname, min(CASE WHEN crm.import_name_key(a.attname) IN ('id', 'recordid') THEN 0
                               WHEN y.target = suggest_key.target THEN 1 WHEN y.target = '*' THEN 2 ELSE 3 END) AS rank
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

CREATE OR REPLACE FUNCTION crm.suggest_values(source regclass, target text, name text, column_name text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    cells text[];
BEGIN
    IF NOT EXISTS (SELECT FROM crm.import_value_synonyms() AS y WHERE y.name = suggest_values.name AND y.target IN ('*', suggest_values.target)) THEN
        RETURN '{}';
    END IF;
    EXECUTE format('SELECT array_agg(x.v) FROM (SELECT DISTINCT btrim(s.%1$I::text) AS v FROM %2$s AS s LIMIT 1000) AS x WHERE x.v <> %3$L',
                   column_name, source::regclass, '') INTO cells;
    -- what is called like one of ours needs no other name
    RETURN (SELECT coalesce(jsonb_object_agg(c.cell, y.ours), '{}')
            FROM unnest(cells) AS c (cell)
            JOIN crm.import_value_synonyms() AS y ON y.name = suggest_values.name AND y.target IN ('*', suggest_values.target)
                 AND crm.import_name_key(c.cell) IN (SELECT crm.import_name_key(w) FROM unnest(y.called || CASE WHEN c.cell <> y.ours THEN y.ours END) AS w)
            WHERE CASE name
                WHEN 'stage_id' THEN
                    NOT EXISTS (SELECT FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
                                WHERE s.tenant_id = t AND p.subject_table = suggest_values.target
                                  AND crm.import_name_key(c.cell) IN (crm.import_name_key(s.code), crm.import_name_key(s.name)))
                    AND EXISTS (SELECT FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
                                WHERE s.tenant_id = t AND p.subject_table = suggest_values.target AND s.code = y.ours AND s.active)
                WHEN 'pipeline_id' THEN
                    NOT EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = t
                                AND crm.import_name_key(c.cell) IN (crm.import_name_key(p.code), crm.import_name_key(p.name)))
                    AND EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = t AND p.code = y.ours)
                ELSE true END);
END
$$;
COMMENT ON FUNCTION crm.suggest_values(regclass, text, text, text) IS
'"values" of a mapping for a column: what other systems call values of ours (crm.import_value_synonyms()), where it stands in the source and nothing here has '
'that name itself.';

CREATE OR REPLACE FUNCTION crm.suggest_column(source regclass, target text, name text, candidates text[], source_system text, key text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    goes_to CONSTANT regclass := crm.subject_relation(target);
    type regtype;
    looked_up record;
    chosen text := candidates[1];
    candidate text;
    n bigint;
    most bigint := 0;
    spec jsonb := '{}';
    replaced jsonb;
BEGIN
    SELECT a.atttypid INTO type FROM pg_attribute AS a WHERE a.attrelid = goes_to AND a.attname = name AND a.attnum > 0;
    SELECT r.subject, r.relation INTO looked_up
    FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attname = suggest_column.name AND a.attnum = k.conkey[cardinality(k.conkey)]
    JOIN crm.registered_as('found_by') AS r ON r.relation = k.confrelid
    WHERE k.conrelid = goes_to AND k.contype = 'f' AND type = 'bigint'::regtype LIMIT 1;
    IF FOUND THEN
        -- the column with ids of what was imported before, else the one with names
        FOREACH candidate IN ARRAY candidates LOOP
            EXECUTE format('SELECT count(*) FROM %s AS s WHERE split_part(s.%I::text, '';'', 1) IN (SELECT %s)', source::regclass, candidate,
                           CASE WHEN looked_up.subject = target THEN format('x.%I::text FROM %s AS x', key, source::regclass)
                                WHEN crm.column_exists(looked_up.relation, 'source_id') THEN
                                    format('x.source_id FROM %s AS x WHERE x.tenant_id = %L AND x.source_system = %L', looked_up.relation::regclass,
                                           crm.tenant_id(), source_system)
                                ELSE 'NULL' END) INTO n;
            IF n > most THEN
                chosen := candidate;
                most := n;
            END IF;
        END LOOP;
        spec := jsonb_build_object('lookup', looked_up.subject);
        IF most > 0 THEN
            EXECUTE format('SELECT count(*) FROM %s AS s WHERE s.%I::text LIKE ''%%;%%''', source::regclass, chosen) INTO n;
            spec := spec || CASE WHEN n > 0 THEN '{"several": "first"}' ELSE '{}' END::jsonb;
        -- an id that is not known makes no record called like it
        ELSIF crm.import_name_key(chosen) !~ '.ids?$' AND crm.import_creates(looked_up.relation) AND looked_up.subject <> target THEN
            spec := spec || '{"missing": "create"}';
        END IF;
    ELSIF target = 'leads' AND name = 'phone' AND cardinality(candidates) > 1 THEN
        -- a lead has one cell for all of its numbers
        RETURN jsonb_build_object('column', to_jsonb(candidates), 'join', ', ');
    END IF;
    replaced := crm.suggest_values(source, target, name, chosen);
    spec := jsonb_build_object('column', chosen) || spec || CASE WHEN replaced = '{}' THEN '{}' ELSE jsonb_build_object('values', replaced) END;
    RETURN CASE WHEN spec - 'column' = '{}' THEN to_jsonb(chosen) ELSE spec END;
END
$$;
COMMENT ON FUNCTION crm.suggest_column(regclass, text, text, text[], text, text) IS
'What a mapping may say of one column: its source of several that have a fitting name (of a reference the one that holds ids of what the same source system '
'brought before), a lookup where it refers to another table, and values of ours in place of theirs.';

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
            -- sizes are often given in words or ranges, and are no reason to lose a company
            IF kind = 'number' AND part.key IN ('employees', 'annual_revenue')
               AND (SELECT bool_or(NOT EXISTS (SELECT FROM unnest('{.,",",NULL}'::text[]) AS d WHERE crm.import_number(s, d, NULL) IS NOT NULL))
                    FROM unnest(sample) AS s) THEN
                RAISE NOTICE 'what is no number in column "%" is left out', part.from_column;
                columns := columns || jsonb_build_object(part.key, jsonb_build_object('column', part.from_column, 'invalid', 'null'));
            ELSIF written IS NOT NULL THEN
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

CREATE OR REPLACE FUNCTION crm.import_first_stage(target text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT s.code FROM crm.pipelines AS p JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.pipeline_id = p.id
    WHERE p.tenant_id = crm.tenant_id() AND p.subject_table = import_first_stage.target
            ORDER BY p.is_default DESC, p.id, s.is_initial DESC, s.position LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm.import_first_stage(text) IS 'Code of the stage in which records of a table begin; NULL: it has no stages.';

CREATE OR REPLACE FUNCTION crm.suggest_sources(source regclass, target text)
RETURNS TABLE (name text, candidates text[])
LANGUAGE sql STABLE ROWS 40
SET search_path = pg_catalog, pg_temp
AS $$
    -- a column is called like ours, or as others call ours, with or without "id" behind it; the better name first
    WITH relation (oid) AS (SELECT crm.subject_relation(target)),
    headers AS (
        SELECT a.attname::text AS attname, a.attnum, crm.import_name_key(a.attname) AS key
        FROM pg_attribute AS a WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped
    ), ours AS (
        SELECT t.name, EXISTS (SELECT FROM pg_attribute AS g WHERE g.attrelid = relation.oid AND g.attname = t.name AND g.atttypid = 'int8'::regtype
                               AND g.attname LIKE '%\_id') AS refers
        FROM relation, crm.import_targets(relation.oid) AS t
        WHERE t.kind <> 'column' OR t.name NOT IN ('updated_at', 'stage_entered_at', 'custom')
        UNION
        SELECT y.name, false FROM relation, crm.import_synonyms() AS y
        WHERE y.target IN ('*', suggest_sources.target) AND (y.name IN ('#first', '#last', '#country', '#deleted')
              OR split_part(y.name, '.', 1) <> y.name AND split_part(y.name, '.', 1) = ANY (crm.import_point_kinds(relation.oid)))
    ), fits AS (
        SELECT o.name, h.attname, h.attnum,
               least(CASE WHEN h.key = crm.import_name_key(o.name) THEN 0 END,
                     (SELECT min(c.n) FROM crm.import_synonyms() AS y, unnest(y.called) WITH ORDINALITY AS c (called, n)
                      WHERE y.target IN ('*', suggest_sources.target) AND y.name = o.name AND crm.import_name_key(c.called) = h.key),
                     CASE WHEN o.refers THEN
                         (SELECT 1000 + min(c.n) FROM crm.import_synonyms() AS y, unnest(y.called) WITH ORDINALITY AS c (called, n)
                          WHERE y.target IN ('*', suggest_sources.target) AND y.name = o.name
                            AND crm.import_name_key(c.called) = regexp_replace(h.key, 'ids?$', '')) END) AS place
        FROM ours AS o CROSS JOIN headers AS h
    )
    SELECT f.name, array_agg(f.attname ORDER BY f.place, f.attnum) FROM fits AS f WHERE f.place IS NOT NULL GROUP BY f.name
$$;
COMMENT ON FUNCTION crm.suggest_sources(regclass, text) IS
'For each column of a target (and #first, #last, #country, #deleted) the columns of a staged table that have a fitting name, the best one first.';

CREATE OR REPLACE FUNCTION crm.suggest_roles(source regclass, column_name text)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known boolean;
BEGIN
    EXECUTE format($q$SELECT bool_and(EXISTS (SELECT FROM crm.import_value_synonyms() AS y WHERE y.name = 'roles'
                             AND crm.import_name_key(s.%1$I::text) IN (SELECT crm.import_name_key(w) FROM unnest(y.called || y.ours) AS w)))
                      FROM %2$s AS s WHERE btrim(s.%1$I::text) NOT IN ('', '-None-')$q$, column_name, source::regclass) INTO known;
    RETURN coalesce(known, false);
END
$$;
COMMENT ON FUNCTION crm.suggest_roles(regclass, text) IS
'Whether a column with types of companies says throughout what the roles of an account say: customer, prospect, partner ...';

CREATE OR REPLACE FUNCTION crm.suggest_name(columns jsonb, halves text[])
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- halves before a whole name that is one of them or a headline; who has no name is called by the headline, or else by the address
    SELECT CASE WHEN n.source IS NULL THEN '{}'
                WHEN n.otherwise = '[]' THEN jsonb_build_object('name', n.source)
                ELSE jsonb_build_object('name', jsonb_build_object('column', n.source, 'otherwise', n.otherwise -> 0)) END
    FROM (SELECT CASE WHEN cardinality(halves) = 2 THEN to_jsonb(halves) END AS source,
                 CASE WHEN columns ? 'name' AND columns ->> 'name' <> ALL (halves) THEN jsonb_build_array(columns -> 'name')
                      WHEN jsonb_typeof(columns -> 'email') = 'string' THEN jsonb_build_array(columns -> 'email') ELSE '[]' END AS otherwise) AS n
$$;
COMMENT ON FUNCTION crm.suggest_name(jsonb, text[]) IS
'The name of a person in a mapping: first and last name, or where they are empty the whole name or the e-mail address; {} where the columns say it already.';

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
    closed jsonb;
    nothing jsonb;
    mapping jsonb;
    rest text;
BEGIN
    mapping := jsonb_build_object('target', target, 'source_system', source_system, 'key', crm.suggest_key(source, target));
    FOR found IN SELECT c.name, c.candidates FROM crm.suggest_sources(source, target) AS c ORDER BY c.name LOOP
        IF found.name IN ('#first', '#last') THEN
            halves := halves || found.candidates[1];
        ELSIF found.name = '#country' THEN
            IF NOT crm.column_exists(relation, 'country') THEN
                mapping := mapping || jsonb_build_object('country_column', found.candidates[1]);
            END IF;
        ELSIF found.name = '#deleted' THEN
            mapping := mapping || jsonb_build_object('deleted_column', found.candidates[1]);
        ELSIF found.name = 'closed_at' THEN
            closed := to_jsonb(found.candidates[1]);
        ELSIF found.name = 'roles' AND NOT crm.suggest_roles(source, found.candidates[1]) THEN
            CONTINUE;
        ELSE
            columns := columns || jsonb_build_object(found.name, crm.suggest_column(source, target, found.name, found.candidates, source_system,
                                                                                    mapping ->> 'key'));
            used := used || CASE WHEN jsonb_typeof(columns #> ARRAY[found.name, 'column']) = 'array' THEN found.candidates
                                 ELSE ARRAY[coalesce(columns #>> ARRAY[found.name, 'column'], columns ->> found.name)] END;
            CONTINUE;
        END IF;
        used := used || found.candidates[1];
    END LOOP;
    columns := columns || crm.suggest_name(columns, halves);
    mapping := crm.suggest_formats(source, target, columns) || mapping;
    columns := mapping -> 'columns';
    IF crm.column_exists(relation, 'stage_id') AND (columns ? 'created_at' OR closed IS NOT NULL) THEN
        -- the day of its creation is the first step of its history, that of its end the last one
        first_stage := crm.import_first_stage(target);
        mapping := mapping || jsonb_build_object('history',
            CASE WHEN columns ? 'created_at' AND first_stage IS NOT NULL
                 THEN jsonb_build_array(jsonb_build_object('stage', first_stage, 'at', columns -> 'created_at')) ELSE '[]' END
            || CASE WHEN closed IS NOT NULL AND NOT columns ? 'close_date' THEN jsonb_build_array(jsonb_build_object('at', closed)) ELSE '[]' END);
        columns := columns - 'created_at';
        mapping := CASE WHEN mapping -> 'history' = '[]' THEN mapping - 'history' ELSE mapping END;
    END IF;
    EXECUTE format('SELECT jsonb_agg(DISTINCT e.value) FROM %s AS s CROSS JOIN LATERAL jsonb_each_text(to_jsonb(s.*)) AS e WHERE e.value IN (%L, %L, %L)',
                   source::regclass, '-None-', 'No owner', '--None--') INTO nothing;
    mapping := mapping || CASE WHEN nothing IS NULL THEN '{}' ELSE jsonb_build_object('nothing', nothing) END;
    SELECT string_agg(format('"%s"', a.attname), ', ' ORDER BY a.attnum) INTO rest FROM pg_attribute AS a
    WHERE a.attrelid = source AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (array_remove(used, NULL)) AND a.attname <> mapping ->> 'key';
    IF rest IS NOT NULL THEN
        RAISE NOTICE 'columns that the mapping leaves out: %', rest USING HINT = 'Name them in "columns": custom fields are "custom.name".';
    END IF;
    RETURN mapping || jsonb_build_object('columns', columns);
END
$$;
COMMENT ON FUNCTION crm.suggest_mapping(regclass, text, text) IS
'A mapping for crm.import_table() to begin with: columns found by their names, here and in other systems (crm.import_synonyms()), lookups by the keys of the '
'target, formats of numbers and dates where the values leave no doubt, and the key. A notice names the columns that it leaves out. Try it with "dry_run".';
