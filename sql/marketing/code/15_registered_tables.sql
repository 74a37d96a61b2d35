-- Segments of any registered table: what follows its rows, and what other tables tell of them.

-- What rows of one table tell of those of another. Read through crm.segment_query(), which keeps the texts: judging reads one at every turn.
CREATE OR REPLACE FUNCTION crm_internal.segment_query_text(what text, subject_table text, source text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation regclass;
    told record;
    whose text;
    subjects text;
BEGIN
    SELECT r.relation AS source, r.options ->> 'happened' AS happened, r.options ->> 'planned' AS planned INTO told
    FROM crm.registered_as('happened') AS r WHERE r.subject = source;
    IF NOT FOUND OR what = 'ahead' AND told.planned IS NULL THEN
        RETURN NULL;
    END IF;
    relation := told.source;
    IF what = 'touch' THEN
        SELECT string_agg(DISTINCT format('(%s::text, n.%I::bigint)', coalesce(quote_literal(l.target), format('n.%I', l.target_column)), l.column_name), ', ')
        INTO subjects FROM crm.table_links(told.source) AS l;
        -- each subject once, in one order, so that two loads cannot lock each other out for good
        RETURN format($q$
            SELECT crm_internal.touch_segments(x.tenant_id, x.subject_table, x.subject_id, x.ids, NULL, NULL)
            FROM (SELECT c.tenant_id, c.subject_table, c.subject_id, array_agg(s.id ORDER BY s.id) AS ids
                  FROM (SELECT DISTINCT n.tenant_id, v.subject_table, v.subject_id FROM changed AS n,
                        LATERAL (VALUES %s) AS v (subject_table, subject_id) WHERE v.subject_id IS NOT NULL) AS c
                  JOIN crm.segments AS s ON s.tenant_id = c.tenant_id AND s.active AND s.subject_table = c.subject_table AND s.uses @> ARRAY[%L]
                  GROUP BY 1, 2, 3 ORDER BY 1, 2, 3) AS x
            $q$, subjects, source);
    END IF;

    -- a column of its own for the table, or else columns that name a table and a row of it
    SELECT string_agg(format('r.%I = $2', l.column_name), ' OR ' ORDER BY l.column_name) INTO whose
    FROM crm.table_links(told.source) AS l WHERE l.target = subject_table;
    IF whose IS NULL THEN
        SELECT string_agg(format('r.%I = %L AND r.%I = $2', l.target_column, subject_table, l.column_name), ' OR ' ORDER BY l.column_name) INTO whose
        FROM crm.table_links(told.source) AS l WHERE l.target_column IS NOT NULL;
    END IF;
    IF whose IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN CASE what
        WHEN 'instants' THEN format($q$
            SELECT array_agg(e.at ORDER BY e.at DESC)
            FROM (SELECT v.at FROM %s AS r CROSS JOIN LATERAL (SELECT (%s)::timestamptz AS at) AS v
                  WHERE r.tenant_id = $1 AND (%s) AND v.at > $3 AND v.at <= $4 AND ($5::text IS NULL OR r.kind = $5)
                    AND ($6::text IS NULL OR crm.condition_holds(to_jsonb(r.*), $6::jsonpath))
                  ORDER BY v.at DESC LIMIT $7::bigint) AS e
            $q$, relation, told.happened, whose)
        WHEN 'ahead' THEN format($q$
            SELECT ARRAY[min(r.%1$I)::timestamptz] FROM %2$s AS r
            WHERE r.tenant_id = $1 AND (%3$s) AND r.%1$I > $3 AND ($5::text IS NULL OR r.kind = $5)
              AND ($6::text IS NULL OR crm.condition_holds(to_jsonb(r.*), $6::jsonpath))
            $q$, told.planned, relation, whose) END;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_query_text(text, text, text) IS
'Text of a query of segments, from what the registry says of the table source: instants, at which rows tell of a subject; ahead, the first instant that is '
'planned; touch, whom changed rows are about. NULL where the source tells nothing of the subjects'' table.';

CREATE OR REPLACE FUNCTION crm_internal.segment_instants(
    segment crm.segments, part jsonb, subject bigint, since timestamptz, till timestamptz, most integer)
RETURNS timestamptz[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(crm.segment_told(CASE WHEN till IS NULL THEN 'ahead' ELSE 'instants' END, segment.subject_table,
        coalesce(part ->> 'source', CASE segment.subject_table WHEN 'leads' THEN 'score_events' ELSE 'activities' END),
        segment.tenant_id, subject, since, till, part ->> 'kind', part ->> 'where', most), '{}')
$$;
COMMENT ON FUNCTION crm_internal.segment_instants(crm.segments, jsonb, bigint, timestamptz, timestamptz, integer) IS
'When a subject did what an entry of events counts, the latest first, not more than asked for; without till, '
'when the next that is dated ahead begins to count.';

CREATE OR REPLACE FUNCTION crm_internal.require_told(subject_table text, source text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF crm.segment_query('instants', subject_table, source) IS NULL THEN
        RAISE EXCEPTION 'segment: % have no events in "%"', subject_table, source USING ERRCODE = 'CR403',
            HINT = format('They have some in: %s.', (SELECT coalesce(string_agg(r.subject, ', '), 'no table') FROM crm.registered_as('happened') AS r
                                                     WHERE crm.segment_query('instants', subject_table, r.subject) IS NOT NULL));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.require_told(text, text) IS 'Error where a segment would count what its table has none of; the hint names what it has.';

CREATE OR REPLACE FUNCTION crm_internal.apply_segments(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subject CONSTANT text := (SELECT r.subject FROM crm.registry AS r WHERE r.relation = apply_segments.relation);
    wanted CONSTANT boolean := crm_internal.table_is(relation, 'segments');
    tells CONSTANT boolean := crm_internal.table_is(relation, 'happened');
    looks CONSTANT text := format('FOR EACH STATEMENT EXECUTE FUNCTION crm.segment_sources(%L)', subject);
    happened text;
    wrong text;
BEGIN
    SELECT string_agg(a.attname, ', ' ORDER BY a.attname) INTO wrong FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname IN ('tenant_id', 'id') AND NOT a.attisdropped AND a.atttypid <> 'bigint'::regtype;
    IF (wanted OR tells) AND wrong IS NOT NULL THEN
        RAISE EXCEPTION 'columns of table % must be of type bigint for segments: %', relation, wrong USING ERRCODE = 'datatype_mismatch';
    END IF;
    IF tells THEN
        SELECT r.options ->> 'happened' INTO happened FROM crm.registry AS r WHERE r.relation = apply_segments.relation;
        BEGIN
            EXECUTE format('SELECT (%s)::timestamptz FROM %s AS r LIMIT 0', happened, relation);
        EXCEPTION WHEN syntax_error_or_access_rule_violation THEN
            RAISE EXCEPTION 'when rows of table % happened cannot be told: %', relation, SQLERRM USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Give "happened" as an expression over a row r, such as "r.made_at".';
        END;
        IF NOT EXISTS (SELECT FROM crm.table_links(relation)) THEN
            RAISE EXCEPTION 'rows of table % tell of nobody', relation USING ERRCODE = 'invalid_table_definition',
                HINT = 'Say by "parent" or "about" whose they are.';
        END IF;
    END IF;

    PERFORM crm_internal.set_trigger(relation, '_after_segment', wanted, 'AFTER INSERT OR UPDATE OR DELETE',
        format('FOR EACH ROW EXECUTE FUNCTION crm.segment_row(%L)', subject));
    PERFORM crm_internal.set_trigger(relation, '_after_segment_truncate', wanted, 'AFTER TRUNCATE',
        format('FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.segments_truncated(%L)', subject));
    PERFORM crm_internal.set_trigger(relation, '_after_segment_list', wanted, 'AFTER DELETE',
        format('REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.segment_subjects_deleted(%L)', subject));
    -- what subjects do, in tables of its own
    PERFORM crm_internal.set_trigger(relation, '_after_told_insert', tells, 'AFTER INSERT', 'REFERENCING NEW TABLE AS changed ' || looks);
    PERFORM crm_internal.set_trigger(relation, '_after_told_update', tells, 'AFTER UPDATE', 'REFERENCING NEW TABLE AS changed ' || looks);
    PERFORM crm_internal.set_trigger(relation, '_after_told_update_old', tells, 'AFTER UPDATE', 'REFERENCING OLD TABLE AS changed ' || looks);
    PERFORM crm_internal.set_trigger(relation, '_after_told_delete', tells, 'AFTER DELETE', 'REFERENCING OLD TABLE AS changed ' || looks);
    PERFORM crm_internal.set_trigger(relation, '_after_told_truncate', tells, 'AFTER TRUNCATE',
        format('FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.segment_sources_truncated(%L)', subject));
END
$$;
COMMENT ON FUNCTION crm_internal.apply_segments(regclass) IS
'Segments of a table that is registered for them, and of those that its rows tell of where it says when they happened.';
SELECT crm.declare_hook('table', 'crm_internal.apply_segments(regclass)');

CREATE OR REPLACE FUNCTION crm_internal.end_segments(subject text, option text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF coalesce(option, 'segments') = 'segments' THEN
        UPDATE crm.segments AS s SET active = false WHERE s.subject_table = subject AND s.active;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.end_segments(text, text) IS 'Segments whose members nobody keeps any more are switched off.';
SELECT crm.declare_hook('option_ended', 'crm_internal.end_segments(text, text)');

CREATE OR REPLACE FUNCTION crm.attach_segments(table_name regclass)
RETURNS text
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm.attach(table_name, '{"segments": true}') $$;
COMMENT ON FUNCTION crm.attach_segments(regclass) IS
'Segments of a table with columns tenant_id and id (bigint): its rows become members by crm.define_segment() with the name returned as subject_table. '
'What they do counts too where a table says when it happened and about whom (options happened and about of crm.attach()). crm.detach(table, ''segments'') '
'takes it back and switches its segments off. Errors as crm.attach; 42804 for columns of another type.';
SELECT crm.declare_function('crm.attach_segments', 'owner');
