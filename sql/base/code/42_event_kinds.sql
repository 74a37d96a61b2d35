-- Which events there are: those of changes from the registry, those that functions write as they are declared.

-- The plan of a table's events, for crm.announce().
CREATE OR REPLACE FUNCTION crm_internal.event_plan(subject text)
RETURNS TABLE (id_column text, table_column text, subject text, created text, changed text, deleted text)
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(e.said #>> '{subject,id}', 'id'), e.said #>> '{subject,table_in}', coalesce(e.said #>> '{subject,table}', r.subject),
           CASE WHEN w.all OR e.said -> 'only' ? 'created' THEN e.said ->> 'name' || '.created' END,
           CASE WHEN w.all OR e.said -> 'only' ? 'changed' THEN e.said ->> 'name' || '.changed' END,
           CASE WHEN w.all OR e.said -> 'only' ? 'deleted' THEN e.said ->> 'name' || '.deleted' END
    FROM crm.registry AS r
    CROSS JOIN LATERAL (SELECT r.options -> 'events') AS e (said)
    CROSS JOIN LATERAL (SELECT NOT e.said ? 'only') AS w ("all")
    WHERE r.subject = event_plan.subject AND jsonb_typeof(e.said) = 'object'
$$;
COMMENT ON FUNCTION crm_internal.event_plan(text) IS
'What is announced of a table: where the record stands that an event is about, and the kinds of its creation, change and deletion; NULL: not announced.';

CREATE OR REPLACE FUNCTION crm_internal.event_rules(subject text)
RETURNS TABLE ("position" bigint, word text, kind text, column_name text, condition text, value text)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT row_number() OVER (ORDER BY k.key), k.key, r.options #>> '{events,name}' || '.' || k.key, k.value ->> 'column',
           CASE WHEN k.value = '{}' THEN 'always' WHEN k.value ? 'to' THEN 'to' WHEN k.value ? 'set' THEN 'set'
                WHEN k.value ? 'stage' THEN 'stage' ELSE 'changed' END,
           coalesce(k.value ->> 'to', k.value ->> 'stage')
    FROM crm.registry AS r
    CROSS JOIN LATERAL jsonb_each(r.options #> '{events,kinds}') AS k
    WHERE r.subject = event_rules.subject AND jsonb_typeof(r.options #> '{events,kinds}') = 'object'
      AND (NOT r.options -> 'events' ? 'only' OR r.options #> '{events,only}' ? k.key)
$$;
COMMENT ON FUNCTION crm_internal.event_rules(text) IS
'Kinds of a table besides creation, change and deletion: the column, and when (always: a row is entered, changed, to: a value, set: there was none, '
'stage: a type, or reopened).';

CREATE OR REPLACE FUNCTION crm_internal.event_columns(subject text)
RETURNS TABLE (column_name text, personal boolean)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT n.name, coalesce(r.options -> 'personal' ? n.name, false)
    FROM crm.registry AS r
    CROSS JOIN LATERAL (SELECT jsonb_array_elements_text(coalesce(r.options #> '{events,columns}', '[]'))
                        UNION SELECT e.column_name FROM crm_internal.event_rules(r.subject) AS e WHERE e.column_name IS NOT NULL) AS n (name)
    WHERE r.subject = event_columns.subject AND jsonb_typeof(r.options -> 'events') = 'object'
    ORDER BY n.name
$$;
COMMENT ON FUNCTION crm_internal.event_columns(text) IS 'Columns of a table whose values are announced; of personal ones only that they changed.';

-- ---- the list ----

CREATE OR REPLACE FUNCTION crm_internal.json_schema_of(type regtype)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN type IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype) THEN '{"type": ["integer", "null"]}'
        WHEN type IN ('numeric'::regtype, 'real'::regtype, 'double precision'::regtype) THEN '{"type": ["number", "null"]}'
        WHEN type = 'boolean'::regtype THEN '{"type": ["boolean", "null"]}'
        WHEN type IN ('timestamptz'::regtype, 'timestamp'::regtype) THEN '{"type": ["string", "null"], "format": "date-time"}'
        WHEN type = 'date'::regtype THEN '{"type": ["string", "null"], "format": "date"}'
        WHEN type IN ('jsonb'::regtype, 'json'::regtype) THEN '{}'
        WHEN EXISTS (SELECT FROM pg_type AS t WHERE t.oid = type AND t.typelem <> 0 AND t.typlen = -1) THEN '{"type": ["array", "null"]}'
        ELSE '{"type": ["string", "null"]}' END::jsonb
$$;
COMMENT ON FUNCTION crm_internal.json_schema_of(regtype) IS 'JSON Schema of a column''s values.';

CREATE OR REPLACE FUNCTION crm.event_kinds()
RETURNS TABLE (kind text, subject text, meaning text, schema jsonb)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 60
SET search_path = pg_catalog, pg_temp
AS $$
    WITH told AS MATERIALIZED (
        SELECT r.subject, p.subject AS about, p.table_column, r.options -> 'events' AS said, p.created, p.changed, p.deleted,
               (SELECT coalesce(jsonb_object_agg(c.column_name, crm_internal.json_schema_of(a.atttypid)), '{}')
                FROM crm_internal.event_columns(r.subject) AS c
                JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attname = c.column_name WHERE NOT c.personal) AS shown,
               (SELECT jsonb_agg(c.column_name) FROM crm_internal.event_columns(r.subject) AS c WHERE c.personal) AS hidden
        FROM crm.registry AS r
        JOIN pg_class AS k ON k.oid = r.relation
        CROSS JOIN LATERAL crm_internal.event_plan(r.subject) AS p
    ),
    words AS (
        SELECT t.*, w.kind, w.word, w.meaning, w.rows
        FROM told AS t
        CROSS JOIN LATERAL (
            SELECT t.created, 'created', 'A row was entered.', '{new}'::text[] WHERE t.created IS NOT NULL
            UNION ALL SELECT t.changed, 'changed', 'Announced columns were changed of which no other kind tells.', '{new,old}' WHERE t.changed IS NOT NULL
            UNION ALL SELECT t.deleted, 'deleted', 'The row was deleted.', '{old}' WHERE t.deleted IS NOT NULL
            UNION ALL
            SELECT r.kind, r.word,
                   CASE r.condition WHEN 'always' THEN 'A row was entered.' WHEN 'changed' THEN format('%s was changed.', r.column_name)
                                    WHEN 'to' THEN format('%s became %s.', r.column_name, r.value) WHEN 'set' THEN format('%s was set.', r.column_name)
                                    ELSE CASE r.value WHEN 'reopened' THEN 'It left a closed stage for an open one.'
                                                      ELSE format('It came to a stage of type %s.', r.value) END END,
                   -- entered as such or changed to it
                   CASE r.condition WHEN 'always' THEN '{new}' WHEN 'changed' THEN '{new,old}' ELSE '{new}' END::text[]
            FROM crm_internal.event_rules(t.subject) AS r) AS w (kind, word, meaning, rows)
    )
    SELECT w.kind, CASE WHEN w.table_column IS NULL THEN w.about END, coalesce(w.said -> 'meaning' ->> w.word, w.meaning),
           jsonb_build_object('$schema', 'https://json-schema.org/draft/2020-12/schema', 'title', w.kind, 'type', 'object', 'additionalProperties', false,
               'required', to_jsonb(w.rows), 'properties', jsonb_strip_nulls(jsonb_build_object(
                   'new', CASE WHEN w.word <> 'deleted' THEN s.columns END, 'old', CASE WHEN w.word <> 'created' THEN s.columns END,
                   'hidden', CASE WHEN w.hidden IS NOT NULL AND w.word NOT IN ('created', 'deleted')
                                  THEN jsonb_build_object('type', 'array', 'items', jsonb_build_object('enum', w.hidden)) END)))
    FROM words AS w
    CROSS JOIN LATERAL (SELECT jsonb_build_object('type', 'object', 'additionalProperties', false, 'properties', w.shown)) AS s (columns)
    UNION ALL
    SELECT e.kind, NULL, e.meaning,
           jsonb_build_object('$schema', 'https://json-schema.org/draft/2020-12/schema', 'title', e.kind, 'type', 'object', 'additionalProperties',
               e.properties ? '*',
                              'properties', e.properties - '*')
    FROM crm_internal.declared_events AS e
    ORDER BY 1
$$;
COMMENT ON FUNCTION crm.event_kinds() IS
'Every kind of event: the table of the record it is about (NULL: the event says it), what it means, and the JSON Schema of its payload. Kinds that programs '
'write themselves begin with app. and are not listed.';
SELECT crm.declare_function('crm.event_kinds', 'reader');

-- What a subscription or claim may ask for: a kind, or the beginning of some with .*
CREATE OR REPLACE FUNCTION crm_internal.check_event_kinds(kinds text[])
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    unknown text;
BEGIN
    SELECT string_agg('"' || coalesce(k, 'NULL') || '"', ', ') INTO unknown FROM unnest(kinds) AS k
    WHERE k IS NULL OR k NOT LIKE 'app.%' AND NOT EXISTS (
        SELECT FROM crm.event_kinds() AS e WHERE e.kind = k OR k LIKE '%.*' AND e.kind LIKE replace(left(k, -1), '_', '\_') || '%');
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'there are no events of kind %', unknown USING ERRCODE = 'invalid_parameter_value',
            HINT = 'crm.event_kinds() lists them; "lead.*" stands for all of leads; kinds of your own begin with "app.".';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_event_kinds(text[]) IS 'Error 22023 where a kind of event is not known.';

CREATE OR REPLACE FUNCTION crm_internal.kind_is_wanted(kind text, kinds text[])
RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN kinds IS NULL OR kind = ANY (kinds) OR split_part(kind, '.', 1) || '.*' = ANY (kinds);
COMMENT ON FUNCTION crm_internal.kind_is_wanted(text, text[]) IS 'Whether a kind is one of a list, in which lead.* stands for all that begin so.';
