-- What tables, functions and hooks are is declared beside each of them, by a statement of these functions alone:
--
--     SELECT crm.declare_table('crm.leads', '{"class": "owned", "process": true}');
--     SELECT crm.declare_function('crm.capture_lead', 'agent');
--     SELECT crm.declare_hook('new_tenant', 'crm.seed_leads(bigint)');
--     SELECT crm.declare_api('crm.capture_lead', '{"payload": {"name": "Ada King"}}');
--     SELECT crm.declare_column('leads', 'utm', '{capture}', 'keep', 'those of the first capture');  (members/25_carry.sql)
--
-- crm.install() runs such statements of the extension's and the tables' scripts again by every call, although the
-- rest of these scripts runs once: so a declaration changes with the code, and never needs an upgrade step.

-- ---- what can be said of a table ----

CREATE FUNCTION crm.table_options()
RETURNS TABLE (option text, type text, needs text[], meaning text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    VALUES
    ('class', 'string', '{}'::text[],
     'Who sees and writes its rows: owner (the owner of the CRM alone), lookup (all read), configuration (admins write), '
     'catalogue (managers write), log (nobody writes directly), owned (agents write what is theirs), work (agents write), child (as its parent).'),
    ('owner', 'column', '{}', 'Column that says whose a row is, where it is not owner_id.'),
    ('private', 'boolean', '{}', 'Rows that nobody owns are for roles that are no user, and for who sees the whole company; else for everybody.'),
    ('parent', 'links', '{}', 'Whose child a row is: {column: table}, or {column: {"table_in": column}} where another column names the table.'),
    ('about', 'links', '{}', 'Whom a row is about besides, in the same form.'),
    ('compiled', 'boolean', '{}', 'Backends keep what its rows say; true for configuration unless said otherwise.'),
    ('version', 'boolean', '{version,updated_at}', 'Every update counts its rows on.'),
    ('custom', 'boolean', '{custom}', 'Rows may have custom fields.'),
    ('tags', 'boolean', '{tags}', 'Rows have tags.'),
    ('tree', 'column', '{tenant_id,id}', 'Column that refers to the row above; no row may stand below itself.'),
    ('process', 'boolean', '{id,pipeline_id,stage_id}', 'Rows move through the stages of a pipeline, with history.'),
    ('clocks', 'boolean or "own"', '{tenant_id,id,stage_id}', 'Service clocks follow what happens to rows ("own": by triggers of the table''s own).'),
    ('assignment', 'boolean or "automatic"', '{tenant_id,id,owner_id,created_at}',
     'Rows are given to people by rules (true: when somebody asks; "automatic": as soon as they are there).'),
    ('workload', 'boolean', '{tenant_id,owner_id}', 'Open rows count as work of their owner, whatever else is given out.'),
    ('newest_first', 'boolean', '{created_at}', 'Of waiting rows the newest is given out first.'),
    ('import', 'boolean', '{tenant_id,id,source_system,source_id}', 'Rows may be imported, told apart by (tenant_id, source_system, source_id).'),
    ('found_by', 'array', '{tenant_id,id}', 'By what an import finds a row: "source", or columns, the first that matches.'),
    ('segments', 'boolean', '{tenant_id,id}', 'Rows may be members of segments.'),
    ('happened', 'string', '{tenant_id,id,kind}', 'Expression over a row r: when that happened of which a row tells; segments count it for whom it is '
        'about.'),
    ('planned', 'column', '{}', 'Column with an instant that may lie ahead, from which on a row counts.'),
    ('merge', 'column', '{tenant_id,id}', 'Rows may be merged; the column refers to the row that goes on.'),
    ('followers', 'column', '{tenant_id}', 'Rows say who follows their parent; the column names the user.'),
    ('names', 'options', '{}', 'Columns that name a registered table: {column: option that the table must be registered with, or ""}.'),
    ('missing', 'sources', '{tenant_id}',
     'Where a value comes from that nobody gave: {"currency": [columns that refer to records with one], "country": [...]}; column.column '
     'goes over another record; at last the tenant''s.'),
    ('dated', 'array', '{tenant_id,id}', 'Columns whose earlier values are kept, for whoever judges by what was known then.'),
    ('kept_back', 'column', '{}', 'Rows with a value in this column are seen by the owner of the CRM alone, whatever the class says.'),
    ('events', 'events', '{tenant_id}',
     'What is announced of rows: {"name": first word of the kinds, "columns": [columns], "kinds": {word: {"column": ..., "to", "set" or "stage": ...}}, '
     '"only": [words], "subject": {"id": column, "table" or "table_in": ...}, "meaning": {word: text}}; see docs/howto/events.md. false: nothing.'),
    ('personal', 'array', '{}', 'Columns that say something of a person.'),
    ('person', 'array', '{tenant_id,id}', 'Rows are people: the columns with their names.'),
    ('addresses', 'array', '{tenant_id}',
     'Columns with addresses in normal form, by which people are known: what has one of somebody who was erased is refused (CR608).'),
    ('erase', 'erasure', '{tenant_id}',
     'What becomes of rows of somebody who is erased, where emptying the columns in personal is not all: {"rows": "delete"}, "set": {column: expression over '
     'the row r}, "clean": [columns of which only names and addresses go], "kept": {column: {"because": reason, "if": condition over r}}, "hash": [columns '
     'with addresses that go on as keyed hashes], "whose": condition over r by which rows are theirs without a link ($1 tenant, $2 ids, $3[1] table), '
     '"own_if": condition by which what people refer to is their own}. See docs/howto/privacy.md.'),
    ('audit', 'boolean or "always"', '{tenant_id}',
     'Changes of rows are written into the log of changes where it is switched on ("always": everywhere). True unless said otherwise, but for classes '
     'owner, lookup and log.'),
    ('secret', 'array', '{}', 'Columns whose values are nobody''s business: the log of changes tells that they changed, and nothing else.')
$$;
COMMENT ON FUNCTION crm.table_options() IS
'What crm.declare_table() and crm.attach() can say of a table: option, type of its value, columns the table needs for it, meaning.';

CREATE FUNCTION crm.column_exists(relation regclass, name text) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_column_exists';
COMMENT ON FUNCTION crm.column_exists(regclass, text) IS 'Whether a table has a column.';

-- over one foreign key, or over two where a path of two columns is given
CREATE FUNCTION crm.source_query(relation regclass, path text, wanted text)
RETURNS text
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    steps CONSTANT text[] := string_to_array(path, '.');
    here regclass := relation;
    alias text;
    source text;
BEGIN
    FOR i IN 1 .. cardinality(steps) LOOP
        SELECT k.confrelid::regclass INTO here
        FROM pg_constraint AS k
        WHERE k.conrelid = here AND k.contype = 'f' AND cardinality(k.conkey) = 2
          AND (SELECT array_agg(a.attname ORDER BY a.attname = 'tenant_id' DESC) FROM pg_attribute AS a
               WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) = ARRAY['tenant_id', steps[i]]::name[];
        IF here IS NULL THEN
            RETURN NULL;
        END IF;
        alias := 'r' || i;
        source := CASE WHEN i = 1 THEN format('%s AS %I', here::regclass, alias)
                       ELSE source || format(' JOIN %s AS %I ON %I.tenant_id OPERATOR(pg_catalog.=) $1 AND %I.id OPERATOR(pg_catalog.=) %I.%I',
                                             here::regclass, alias, alias, alias, 'r' || (i - 1), steps[i]) END;
    END LOOP;
    IF NOT crm.column_exists(here, wanted) THEN
        RETURN NULL;
    END IF;
    RETURN format('SELECT %I.%I FROM ', alias, wanted) || source
           || ' WHERE r1.tenant_id OPERATOR(pg_catalog.=) $1 AND r1.id OPERATOR(pg_catalog.=) $2';
END
$$;
COMMENT ON FUNCTION crm.source_query(regclass, text, text) IS
'Query of what a record says to which a column of a table refers: of tenant $1, number $2. column.column goes on over another record. NULL '
'where no foreign key leads to a table with that column.';

CREATE FUNCTION crm.table_sources_fault(relation regclass, sources jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    source record;
    path text;
BEGIN
    IF jsonb_typeof(sources) <> 'object' THEN
        RETURN 'must be an object of columns and lists of columns';
    END IF;
    FOR source IN SELECT e.key, e.value FROM jsonb_each(sources) AS e LOOP
        IF source.key NOT IN ('currency', 'country') OR NOT crm.column_exists(relation, source.key) THEN
            RETURN format('names "%s"; known are the columns currency and country, where the table has them', source.key);
        END IF;
        IF jsonb_typeof(source.value) <> 'array' THEN
            RETURN format('says of "%s" what is no list of columns', source.key);
        END IF;
        FOR path IN SELECT jsonb_array_elements_text(source.value) LOOP
            IF crm.source_query(relation, path, source.key) IS NULL THEN
                RETURN format('names "%s", from which no foreign key leads to a table with a column "%s"', path, source.key);
            END IF;
        END LOOP;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.table_sources_fault(regclass, jsonb) IS 'What is wrong with the option missing of a table; NULL: nothing.';

CREATE FUNCTION crm.table_erasure_fault(relation regclass, said jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(said) <> 'object' THEN
        RETURN 'must be an object';
    END IF;
    SELECT string_agg(k, ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(said) AS k
    WHERE k NOT IN ('rows', 'set', 'clean', 'kept', 'hash', 'whose', 'own_if');
    IF wrong IS NOT NULL THEN
        RETURN format('says what nobody knows: %s; known are rows, set, clean, kept, hash, whose and own_if', wrong);
    END IF;
    IF said ? 'rows' AND said -> 'rows' <> '"delete"' OR jsonb_typeof(coalesce(said -> 'set', '{}')) <> 'object'
       OR jsonb_typeof(coalesce(said -> 'kept', '{}')) <> 'object' OR jsonb_typeof(coalesce(said -> 'clean', '[]')) <> 'array'
       OR jsonb_typeof(coalesce(said -> 'hash', '[]')) <> 'array' OR jsonb_typeof(coalesce(said -> 'whose', '""')) <> 'string'
       OR jsonb_typeof(coalesce(said -> 'own_if', '""')) <> 'string' THEN
        RETURN 'has rows that is not "delete", set or kept that is no object, clean or hash that is no list, or whose or own_if that is no text';
    END IF;
    SELECT string_agg(e.key, ', ' ORDER BY e.key) INTO wrong FROM jsonb_each(coalesce(said -> 'kept', '{}')) AS e
    WHERE coalesce(e.value ->> 'because', '') = '' OR EXISTS (SELECT FROM jsonb_object_keys(e.value) AS k WHERE k NOT IN ('because', 'if'));
    IF wrong IS NOT NULL THEN
        RETURN format('keeps what nobody says a reason for: %s; say {"because": reason}, with "if" where it depends on the row', wrong);
    END IF;
    SELECT string_agg(DISTINCT c, ', ') INTO wrong
    FROM (SELECT jsonb_object_keys(coalesce(said -> 'set', '{}')) UNION ALL SELECT jsonb_object_keys(coalesce(said -> 'kept', '{}'))
          UNION ALL SELECT jsonb_array_elements_text(coalesce(said -> 'clean', '[]'))
          UNION ALL SELECT jsonb_array_elements_text(coalesce(said -> 'hash', '[]'))) AS n (c)
    WHERE NOT crm.column_exists(relation, c);
    IF wrong IS NOT NULL THEN
        RETURN format('names columns that the table does not have: %s', wrong);
    END IF;
    -- rows go without their foreign keys being asked
    IF said ? 'rows' AND EXISTS (SELECT FROM pg_constraint AS k WHERE k.contype = 'f' AND k.confrelid = relation) THEN
        RETURN 'deletes rows that others refer to; say what becomes of their columns';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.table_erasure_fault(regclass, jsonb) IS 'What is wrong with the option erase of a table; NULL: nothing.';

CREATE FUNCTION crm.event_words(said jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN jsonb_typeof(said) <> 'object' THEN '[]'
                ELSE coalesce(said -> 'only', '["created", "changed", "deleted"]'::jsonb
                              || coalesce((SELECT jsonb_agg(k) FROM jsonb_object_keys(said -> 'kinds') AS k), '[]')) END
$$;
COMMENT ON FUNCTION crm.event_words(jsonb) IS 'Second words of the kinds of events that the option events of a table says.';

CREATE FUNCTION crm.table_events_fault(relation regclass, said jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kinds CONSTANT jsonb := coalesce(said -> 'kinds', '{}');
    subject CONSTANT jsonb := coalesce(said -> 'subject', '{"id": "id"}');
    name CONSTANT text := said ->> 'name';
    wrong text;
BEGIN
    SELECT string_agg(k, ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(said) AS k
    WHERE k NOT IN ('name', 'columns', 'kinds', 'only', 'subject', 'meaning');
    IF wrong IS NOT NULL THEN
        RETURN format('says what nobody knows: %s; known are name, columns, kinds, only, subject and meaning', wrong);
    END IF;
    IF name IS NULL OR name !~ '^[a-z][a-z0-9_]*$' THEN
        RETURN 'needs a name, the first word of its kinds, such as lead';
    END IF;
    IF jsonb_typeof(coalesce(said -> 'columns', '[]')) <> 'array' OR jsonb_typeof(kinds) <> 'object'
       OR jsonb_typeof(coalesce(said -> 'only', '[]')) <> 'array' OR jsonb_typeof(coalesce(said -> 'meaning', '{}')) <> 'object'
       OR jsonb_typeof(subject) <> 'object' THEN
        RETURN 'says of columns or only what is no list, or of kinds, subject or meaning what is no object';
    END IF;
    SELECT string_agg(c, ', ') INTO wrong
    FROM (SELECT jsonb_array_elements_text(coalesce(said -> 'columns', '[]'))
          UNION SELECT e.value ->> 'column' FROM jsonb_each(kinds) AS e
          UNION SELECT subject ->> 'id' UNION SELECT subject ->> 'table_in') AS n (c)
    WHERE c IS NOT NULL AND NOT crm.column_exists(relation, c);
    IF wrong IS NOT NULL THEN
        RETURN format('names columns that the table does not have: %s', wrong);
    END IF;
    SELECT string_agg(e.key, ', ' ORDER BY e.key) INTO wrong FROM jsonb_each(kinds) AS e
    WHERE e.key !~ '^[a-z][a-z0-9_]*$' OR e.key IN ('created', 'changed', 'deleted') OR jsonb_typeof(e.value) <> 'object'
       OR EXISTS (SELECT FROM jsonb_object_keys(e.value) AS k WHERE k NOT IN ('column', 'to', 'set', 'stage'))
       OR (e.value ? 'to')::integer + (e.value ? 'set')::integer + (e.value ? 'stage')::integer > 1
       OR e.value <> '{}' AND NOT e.value ? 'column'
       OR e.value ? 'set' AND e.value -> 'set' <> 'true'
       OR e.value ? 'stage' AND e.value ->> 'stage' NOT IN ('open', 'on_hold', 'won', 'lost', 'done', 'cancelled', 'reopened');
    IF wrong IS NOT NULL THEN
        RETURN concat('does not say when these happen: ', wrong, '; a kind is {} (a row is entered) or {"column": ...}, with "to": value, "set": true or '
                      '"stage": a type of stages or "reopened"');
    END IF;
    SELECT string_agg(w, ', ') INTO wrong
    FROM (SELECT jsonb_array_elements_text(coalesce(said -> 'only', '[]')) UNION SELECT jsonb_object_keys(coalesce(said -> 'meaning', '{}'))) AS n (w)
    WHERE w NOT IN ('created', 'changed', 'deleted') AND NOT kinds ? w;
    IF wrong IS NOT NULL THEN
        RETURN format('names kinds that it does not have: %s', wrong);
    END IF;
    SELECT string_agg(DISTINCT r.subject, ', ') INTO wrong
    FROM crm.registry AS r, jsonb_array_elements_text(crm.event_words(r.options -> 'events')) AS theirs
    WHERE r.relation <> table_events_fault.relation AND r.options -> 'events' ->> 'name' = name AND crm.event_words(said) ? theirs;
    IF wrong IS NOT NULL THEN
        RETURN format('gives its events the names of those of %s', wrong);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.table_events_fault(regclass, jsonb) IS 'What is wrong with the option events of a table; NULL: nothing.';

-- which options a value is wrong for, in words; NULL: it is right
CREATE FUNCTION crm.table_option_fault(relation regclass, option text, value jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known record;
    link record;
    column_name text;
    absent text;
BEGIN
    SELECT o.* INTO known FROM crm.table_options() AS o WHERE o.option = table_option_fault.option;
    CASE known.type
        WHEN 'boolean', 'boolean or "automatic"', 'boolean or "own"', 'boolean or "always"' THEN
            IF jsonb_typeof(value) <> 'boolean' AND known.type <> 'boolean or ' || value::text THEN
                RETURN format('must be %s', known.type);
            END IF;
        WHEN 'string', 'column' THEN
            IF jsonb_typeof(value) <> 'string' THEN
                RETURN format('must be a %s', known.type);
            END IF;
            IF known.type = 'column' AND NOT crm.column_exists(relation, value #>> '{}') THEN
                RETURN format('names column "%s", which the table does not have', value #>> '{}');
            END IF;
        WHEN 'array' THEN
            IF jsonb_typeof(value) <> 'array' THEN
                RETURN 'must be an array of columns';
            END IF;
            FOR column_name IN SELECT jsonb_array_elements_text(value) LOOP
                IF NOT crm.column_exists(relation, column_name) AND NOT (option = 'found_by' AND column_name = 'source') THEN
                    RETURN format('names column "%s", which the table does not have', column_name);
                END IF;
            END LOOP;
        WHEN 'options' THEN
            IF jsonb_typeof(value) <> 'object' THEN
                RETURN 'must be an object of columns and options';
            END IF;
            SELECT min(e.key) INTO column_name FROM jsonb_each(value) AS e
            WHERE NOT crm.column_exists(relation, e.key)
               OR NOT (e.value = '""' OR EXISTS (SELECT FROM crm.table_options() AS o WHERE to_jsonb(o.option) = e.value));
            IF column_name IS NOT NULL THEN
                RETURN format('says of "%s" what is no option, or the table has no such column', column_name);
            END IF;
        WHEN 'events' THEN
            IF value = 'false' THEN
                RETURN NULL;
            END IF;
            IF jsonb_typeof(value) <> 'object' THEN
                RETURN 'must be an object, or false';
            END IF;
            absent := crm.table_events_fault(relation, value);
            IF absent IS NOT NULL THEN
                RETURN absent;
            END IF;
        WHEN 'erasure' THEN
            RETURN crm.table_erasure_fault(relation, value);
        WHEN 'sources' THEN
            RETURN crm.table_sources_fault(relation, value);
        WHEN 'links' THEN
            IF jsonb_typeof(value) <> 'object' THEN
                RETURN 'must be an object of columns and tables';
            END IF;
            FOR link IN SELECT e.key, e.value FROM jsonb_each(value) AS e LOOP
                absent := crm.table_link_fault(relation, link.key, link.value);
                IF absent IS NOT NULL THEN
                    RETURN absent;
                END IF;
            END LOOP;
    END CASE;
    IF option = 'class' AND value NOT IN ('"owner"', '"lookup"', '"configuration"', '"catalogue"', '"log"', '"owned"', '"work"', '"child"') THEN
        RETURN 'must be owner, lookup, configuration, catalogue, log, owned, work or child';
    END IF;
    SELECT string_agg(n, ', ') INTO absent FROM unnest(known.needs) AS n WHERE NOT crm.column_exists(relation, n);
    IF absent IS NOT NULL AND value <> 'false' THEN
        RETURN format('needs columns that the table lacks: %s', absent);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.table_option_fault(regclass, text, jsonb) IS 'What is wrong with the value of an option of a table; NULL: nothing.';

CREATE FUNCTION crm.table_link_fault(relation regclass, link_column text, target jsonb)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
    other regclass;
BEGIN
    IF jsonb_typeof(target) = 'string' THEN
        target := jsonb_build_object('table', target);
    END IF;
    IF jsonb_typeof(target) <> 'object' OR (target ? 'table')::integer + (target ? 'table_in')::integer + (target ? 'table_of')::integer <> 1 THEN
        RETURN format('says of column "%s" neither a table nor {"table_in": column}', link_column);
    END IF;
    SELECT string_agg(k, ', ') INTO wrong FROM jsonb_object_keys(target) AS k WHERE k NOT IN ('table', 'table_in', 'table_of', 'merge');
    IF wrong IS NOT NULL THEN
        RETURN format('says of column "%s" what nobody knows: %s; known are table, table_in, table_of and merge', link_column, wrong);
    END IF;
    SELECT string_agg('"' || c || '"', ', ') INTO wrong
    FROM (VALUES (link_column), (target ->> 'table_in'), (target ->> 'table_of')) AS v (c)
    WHERE c IS NOT NULL AND NOT crm.column_exists(relation, c);
    IF wrong IS NOT NULL THEN
        RETURN format('names columns that the table does not have: %s', wrong);
    END IF;
    IF target ? 'table' THEN
        SELECT r.relation INTO other FROM crm.registry AS r WHERE r.subject = target ->> 'table';
        IF other IS NULL THEN
            RETURN format('names table "%s", which is not declared', target ->> 'table');
        END IF;
        -- a foreign key leads there, or to a child of it that has its key
        IF NOT EXISTS (
            SELECT FROM pg_constraint AS k
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname = link_column
            WHERE k.conrelid = table_link_fault.relation AND k.contype = 'f'
              AND (k.confrelid = other
                   OR EXISTS (SELECT FROM crm.registry AS m WHERE m.relation = k.confrelid
                              AND m.declared #>> ARRAY['parent', link_column] = target ->> 'table')))
        THEN
            RETURN format('names column "%s", from which no foreign key leads to "%s"', link_column, target ->> 'table');
        END IF;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.table_link_fault(regclass, text, jsonb) IS 'What is wrong with a link from a column of a table to another table; NULL: nothing.';

CREATE FUNCTION crm.check_table_options(relation regclass, options jsonb)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(options) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'what table % is must be a JSON object', relation USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(k, ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(options) AS k
    WHERE NOT EXISTS (SELECT FROM crm.table_options() AS o WHERE o.option = k);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'unknown options of table %: %', relation, wrong
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = (SELECT 'Known are ' || string_agg(o.option, ', ') || '; see crm.table_options().' FROM crm.table_options() AS o);
    END IF;
    SELECT string_agg('"' || o.key || '" ' || f.fault, '; ' ORDER BY o.key) INTO wrong
    FROM jsonb_each(options) AS o, LATERAL crm.table_option_fault(relation, o.key, o.value) AS f (fault)
    WHERE f.fault IS NOT NULL;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'table % cannot be what is said of it: %', relation, wrong
            USING ERRCODE = 'invalid_table_definition', HINT = 'crm.table_options() tells what each option needs.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.check_table_options(regclass, jsonb) IS
'Error where options of a table are not known (22023, the hint names the known ones) or do not fit the table (42P16).';

CREATE FUNCTION crm.subject_name(relation regclass) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN n.nspname = 'crm' THEN quote_ident(c.relname) ELSE quote_ident(n.nspname) || '.' || quote_ident(c.relname) END
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = relation
$$;
COMMENT ON FUNCTION crm.subject_name(regclass) IS
'Name by which columns like subject_table refer to a table when it is registered: its name, with its schema unless that is crm.';

-- ---- declaring ----

CREATE FUNCTION crm.declare_table(table_name regclass, options jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.check_table_options(table_name, options);
    INSERT INTO crm.registry AS r (subject, relation, declared, declared_at)
    VALUES (crm.subject_name(table_name), table_name, options, now())
    ON CONFLICT ON CONSTRAINT registry_pkey DO UPDATE
    SET relation = excluded.relation, declared = excluded.declared, declared_at = excluded.declared_at;
END
$$;
COMMENT ON FUNCTION crm.declare_table(regclass, jsonb) IS
'Says what a table of the CRM is; stands beside its CREATE TABLE. What an owner says of a table is crm.attach(). '
'Errors: 22023 unknown options, 42P16 options that do not fit the table.';

CREATE FUNCTION crm.declare_function(function_name text, level text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF level IS NULL OR level NOT IN ('reader', 'agent', 'manager', 'admin', 'owner') THEN
        RAISE EXCEPTION 'unknown access level "%" of function %', level, function_name
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Levels are reader, agent, manager, admin and owner.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
                   -- the second half by its index: every function there is would be looked at else, for every declaration
                   WHERE p.proname = split_part(function_name, '.', 2) AND n.nspname || '.' || p.proname = function_name) THEN
        RAISE EXCEPTION 'there is no function "%" to give a level', function_name USING ERRCODE = 'undefined_function',
            HINT = 'Write its name with its schema and without arguments.';
    END IF;
    -- while the extension is created there is nothing to keep it in: crm.install() comes back to it
    IF to_regclass('crm_internal.function_levels') IS NOT NULL THEN
        INSERT INTO crm_internal.function_levels AS f (function_name, level, declared_at)
        VALUES (declare_function.function_name, declare_function.level, now())
        ON CONFLICT ON CONSTRAINT function_levels_pkey DO UPDATE SET level = excluded.level, declared_at = excluded.declared_at;
    END IF;
END
$$;
COMMENT ON FUNCTION crm.declare_function(text, text) IS
'Says which access level may call a function (reader, agent, manager, admin, or owner: nobody else); stands beside its CREATE FUNCTION. '
'Not needed where volatility says it: what writes nothing is for readers, what writes with the caller''s rights for agents. A function that '
'acts with the rights of the owner always needs it. Errors: 22023 an unknown level, 42883 no such function.';

CREATE FUNCTION crm.declare_api(function_name text, example jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    names text[];
    wrong text;
BEGIN
    SELECT p.proargnames INTO names FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.proname = split_part(function_name, '.', 2) AND n.nspname || '.' || p.proname = function_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no function "%" to offer to applications', function_name USING ERRCODE = 'undefined_function',
            HINT = 'Write its name with its schema and without arguments.';
    END IF;
    SELECT string_agg(k, ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(example) AS k WHERE k <> ALL (coalesce(names, '{}'));
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the example of function "%" names arguments that it does not have: %', function_name, wrong
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It has ' || array_to_string(names, ', ') || '.';
    END IF;
    IF to_regclass('crm_internal.api_functions') IS NOT NULL THEN
        INSERT INTO crm_internal.api_functions AS f (function_name, example, declared_at)
        VALUES (declare_api.function_name, declare_api.example, now())
        ON CONFLICT ON CONSTRAINT api_functions_pkey DO UPDATE SET example = excluded.example, declared_at = excluded.declared_at;
    END IF;
END
$$;
COMMENT ON FUNCTION crm.declare_api(text, jsonb) IS
'Offers a function to applications (crm.create_api()), with an example of its arguments by name; stands beside its CREATE FUNCTION. '
'Errors: 42883 no such function, 22023 an example that does not fit it.';

CREATE FUNCTION crm.declare_event(kind text, meaning text, properties jsonb DEFAULT '{}')
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF kind IS NULL OR kind !~ '^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$' OR jsonb_typeof(properties) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'an event of kind "%" cannot be declared', kind USING ERRCODE = 'invalid_parameter_value',
            HINT = 'A kind is two words with a dot; properties is an object of what its payload holds: {"reason": {"type": "string"}}.';
    END IF;
    INSERT INTO crm_internal.declared_events AS e (kind, meaning, properties, declared_at)
    VALUES (declare_event.kind, declare_event.meaning, declare_event.properties, now())
    ON CONFLICT ON CONSTRAINT declared_events_pkey DO UPDATE
    SET meaning = excluded.meaning, properties = excluded.properties, declared_at = excluded.declared_at;
END
$$;
COMMENT ON FUNCTION crm.declare_event(text, text, jsonb) IS
'Says what an event means that a function of the CRM writes (changes of rows are declared with their table), and what its payload holds, as properties of '
'JSON Schema ("*": others besides); stands beside the function. Errors: 22023 for a kind that is not two words with a dot.';

CREATE FUNCTION crm.declare_hook(point text, function_name text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF to_regprocedure(function_name) IS NULL THEN
        RAISE EXCEPTION 'there is no function "%" to hang into "%"', function_name, point USING ERRCODE = 'undefined_function',
            HINT = 'Write its name with its schema and the types of its arguments.';
    END IF;
    INSERT INTO crm_internal.hooks AS h (point, function_name, declared_at)
    VALUES (declare_hook.point, declare_hook.function_name, now())
    ON CONFLICT ON CONSTRAINT hooks_pkey DO UPDATE SET ordinal = DEFAULT, declared_at = excluded.declared_at;
END
$$;
COMMENT ON FUNCTION crm.declare_hook(text, text) IS
'Hangs a function of a later room into something that an earlier room does, without the earlier one knowing of it. Points: new_tenant '
'(tenant_id bigint), table (regclass: puts on a table what its registration asks for), audit (regclass: the same, when the audit of a table was switched), '
'readable_relations (relations that every reader may '
'read), access (role name, level text: rights in schemas that are not the CRM''s), '
'person_erased (tenant bigint, people jsonb), personal_fields (subject text: custom fields), escalation_action.NAME (what a step of an escalation with '
'that action does), lead_captured, lead_score. Error 42883 where there is '
'no such function.';

SELECT crm.declare_function('crm.check_table_options', 'owner');
SELECT crm.declare_function('crm.declare_table', 'owner');
SELECT crm.declare_function('crm.declare_function', 'owner');
SELECT crm.declare_function('crm.declare_hook', 'owner');
SELECT crm.declare_function('crm.declare_api', 'owner');
SELECT crm.declare_function('crm.declare_event', 'owner');
