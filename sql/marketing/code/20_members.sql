-- Members of segments: keeping them, what people call, what time does to them, acquisition segments.

-- ---- keeping ----

CREATE OR REPLACE FUNCTION crm_internal.set_segment_state(
    segment crm.segments, subject bigint, member boolean, next_at timestamptz, cause text, at timestamptz)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    old crm.segment_states;
BEGIN
    SELECT s.* INTO old FROM crm.segment_states AS s
    WHERE s.tenant_id = segment.tenant_id AND s.segment_id = segment.id AND s.subject_id = subject;
    IF NOT member AND next_at IS NULL THEN
        IF old.segment_id IS NULL THEN
            RETURN false;
        END IF;
        DELETE FROM crm.segment_states AS s
        WHERE s.tenant_id = segment.tenant_id AND s.segment_id = segment.id AND s.subject_id = subject;
    ELSIF old.segment_id IS NULL OR (old.member, old.next_at) IS DISTINCT FROM (member, next_at) THEN
        INSERT INTO crm.segment_states AS s (tenant_id, segment_id, subject_id, member, changed_at, next_at)
        VALUES (segment.tenant_id, segment.id, subject, member, at, next_at)
        ON CONFLICT ON CONSTRAINT segment_states_pkey DO UPDATE
        SET member = excluded.member, next_at = excluded.next_at,
            changed_at = CASE WHEN s.member = excluded.member THEN s.changed_at ELSE excluded.changed_at END;
    ELSE
        RETURN false;
    END IF;
    IF member <> coalesce(old.member, false) THEN
        INSERT INTO crm.segment_events (tenant_id, segment_id, subject_id, direction, cause, occurred_at)
        VALUES (segment.tenant_id, segment.id, subject, CASE WHEN member THEN 'enter' ELSE 'leave' END, cause, at);
        IF segment.announce THEN
            INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
            VALUES (segment.tenant_id, CASE WHEN member THEN 'segment.entered' ELSE 'segment.left' END, segment.subject_table, subject,
                    jsonb_build_object('segment', segment.name, 'cause', cause, 'at', at));
        END IF;
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION crm_internal.set_segment_state(crm.segments, bigint, boolean, timestamptz, text, timestamptz) IS
'Writes down a judgement, and entering or leaving where it changed; false where nothing did.';

-- A failing definition must not stop the write that led here: it is reported, and the membership stays as it was.
CREATE OR REPLACE FUNCTION crm_internal.touch_segments(
    tenant bigint, subject_table text, subject bigint, ids bigint[], answers boolean[], doc jsonb, cause text DEFAULT 'change',
    at timestamptz DEFAULT now())
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    queue bigint[] := ids;
    segment crm.segments;
    row_now jsonb := doc;
    -- the trigger of the row itself, which gives answers, holds it already
    held boolean := answers IS NOT NULL;
    j record;
    answer boolean;
    upon timestamptz;
    i integer := 1;
BEGIN
    WHILE i <= cardinality(queue) LOOP
        SELECT s.* INTO segment FROM crm.segments AS s WHERE s.tenant_id = tenant AND s.id = queue[i];
        answer := answers[i];       -- NULL past the end
        i := i + 1;
        CONTINUE WHEN segment.id IS NULL OR segment.kind <> 'dynamic';
        IF answer IS FALSE OR answer AND segment.uses = '{}' THEN
            upon := NULL;
        ELSE
            -- what two events say together must not be missed by both: the later one waits. It is the row that is locked, as a load may
            -- touch any number of them, and the table of locks has an end
            IF NOT held THEN
                PERFORM crm.hold_row(crm.subject_relation(subject_table), tenant, subject);
                held := true;
                row_now := coalesce(doc, crm_internal.segment_row_of(subject_table, tenant, subject));
            END IF;
            BEGIN
                SELECT x.member, x.next_at INTO answer, upon FROM crm_internal.judge_segment(segment, subject, row_now, at) AS x;
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING 'segment "%" could not be kept: %', segment.name, SQLERRM;
                INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
                VALUES (tenant, 'segment.trouble', subject_table, subject,
                        jsonb_build_object('segment', segment.name, 'sqlstate', SQLSTATE, 'message', SQLERRM));
                CONTINUE;
            END;
        END IF;
        IF crm_internal.set_segment_state(segment, subject, answer, upon, cause, at) THEN
            queue := queue || ARRAY(SELECT s.id FROM crm.segments AS s
                                    WHERE s.tenant_id = tenant AND s.refers_to_ids @> ARRAY[segment.id] AND s.active
                                      AND s.id <> ALL (queue[i:]) ORDER BY s.id);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.touch_segments(bigint, text, bigint, bigint[], boolean[], jsonb, text, timestamptz) IS
'Judges a subject anew for some segments and for those that refer to them. answers: what the conditions alone said, from the trigger of the row.';

CREATE OR REPLACE TRIGGER lead_scores_after_told AFTER INSERT OR UPDATE OR DELETE ON crm.lead_scores
    FOR EACH ROW EXECUTE FUNCTION crm.segment_score();

CREATE OR REPLACE FUNCTION crm_internal.segments_truncated()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM crm.segment_states AS x USING crm.segments AS s
    WHERE s.tenant_id = x.tenant_id AND s.id = x.segment_id AND s.subject_table = TG_ARGV[0];
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.segments_truncated() IS 'Statement trigger: where there are no rows there are no members.';

-- where nothing happened, nobody did anything
CREATE OR REPLACE FUNCTION crm_internal.segment_sources_truncated()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    segment crm.segments;
BEGIN
    FOR segment IN
        WITH RECURSIVE concerned AS (
            SELECT s.tenant_id, s.id, 0 AS depth FROM crm.segments AS s WHERE s.uses @> ARRAY[TG_ARGV[0]] AND s.active
            UNION
            SELECT s.tenant_id, s.id, c.depth + 1 FROM concerned AS c
            JOIN crm.segments AS s ON s.tenant_id = c.tenant_id AND s.refers_to_ids @> ARRAY[c.id] AND s.active
        )
        SELECT s.* FROM crm.segments AS s
        JOIN (SELECT c.tenant_id, c.id, max(c.depth) AS depth FROM concerned AS c GROUP BY 1, 2) AS c ON c.tenant_id = s.tenant_id AND c.id = s.id
        ORDER BY s.tenant_id, c.depth, s.id
    LOOP
        PERFORM crm_internal.refresh_segment(segment, 'change');
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_sources_truncated() IS 'Statement trigger: segments that count what was in an emptied table.';
-- lists forget whom there is no more; dynamic segments do it row by row
CREATE OR REPLACE FUNCTION crm_internal.segment_subjects_deleted()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT EXISTS (SELECT FROM crm.segments AS s WHERE s.kind = 'static' AND s.subject_table = TG_ARGV[0]) THEN
        RETURN NULL;
    END IF;
    PERFORM crm_internal.set_segment_state(s.*, g.id, false, NULL, 'list', now())
    FROM gone AS g
    JOIN crm.segments AS s ON s.tenant_id = g.tenant_id AND s.kind = 'static' AND s.subject_table = TG_ARGV[0]
    JOIN crm.segment_states AS x ON x.tenant_id = s.tenant_id AND x.segment_id = s.id AND x.subject_id = g.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_subjects_deleted() IS 'Statement trigger: deleted rows leave static segments.';
-- everybody at once; the table is locked against writers so that no change falls between
CREATE OR REPLACE FUNCTION crm_internal.refresh_segment(segment crm.segments, cause text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.subject_relation(segment.subject_table);
    touched bigint;
BEGIN
    IF segment.kind = 'static' THEN
        RETURN 0;
    END IF;
    IF relation IS NULL THEN
        -- the table was dropped
        DELETE FROM crm.segment_states AS s WHERE s.tenant_id = segment.tenant_id AND s.segment_id = segment.id;
        GET DIAGNOSTICS touched = ROW_COUNT;
        RETURN touched;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', relation);
    EXECUTE format($q$
        WITH judged AS MATERIALIZED (
            SELECT r.id AS subject_id, j.member, j.next_at
            FROM %1$s AS r
            CROSS JOIN LATERAL %2$s AS j
            WHERE r.tenant_id = $2 AND $1.active AND (j.member OR j.next_at IS NOT NULL)
        ), gone AS (
            DELETE FROM crm.segment_states AS s
            WHERE s.tenant_id = $2 AND s.segment_id = $3
              AND NOT EXISTS (SELECT FROM judged AS j WHERE j.subject_id = s.subject_id)
            RETURNING s.subject_id, s.member
        ), kept AS (
            SELECT j.*, s.member AS was, s.next_at AS was_next
            FROM judged AS j LEFT JOIN crm.segment_states AS s ON s.tenant_id = $2 AND s.segment_id = $3 AND s.subject_id = j.subject_id
        ), stored AS (
            INSERT INTO crm.segment_states AS s (tenant_id, segment_id, subject_id, member, changed_at, next_at)
            SELECT $2, $3, k.subject_id, k.member, now(), k.next_at FROM kept AS k
            WHERE (k.was, k.was_next) IS DISTINCT FROM (k.member, k.next_at)
            ON CONFLICT ON CONSTRAINT segment_states_pkey DO UPDATE
            SET member = excluded.member, next_at = excluded.next_at,
                changed_at = CASE WHEN s.member = excluded.member THEN s.changed_at ELSE excluded.changed_at END
            RETURNING s.subject_id
        ), noted AS (
            INSERT INTO crm.segment_events (tenant_id, segment_id, subject_id, direction, cause)
            SELECT $2, $3, g.subject_id, 'leave', $4 FROM gone AS g WHERE g.member
            UNION ALL
            SELECT $2, $3, k.subject_id, CASE WHEN k.member THEN 'enter' ELSE 'leave' END, $4
            FROM kept AS k WHERE coalesce(k.was, false) <> k.member
            RETURNING subject_id
        )
        SELECT (SELECT count(*) FROM noted) + 0 * (SELECT count(*) FROM stored)
        $q$, relation,
        -- a condition alone needs no function call a row
        CASE WHEN segment.uses = '{}' THEN '(SELECT crm.row_holds(r.*, $5) AS member, NULL::timestamptz AS next_at)'
             ELSE 'crm_internal.judge_segment($1, r.id, to_jsonb(r.*), now())' END)
    INTO touched USING segment, segment.tenant_id, segment.id, cause, segment.condition;
    UPDATE crm.segments AS s SET refreshed_at = now() WHERE s.tenant_id = segment.tenant_id AND s.id = segment.id;
    RETURN touched;
END
$$;
COMMENT ON FUNCTION crm_internal.refresh_segment(crm.segments, text) IS
'Judges all rows of the segment''s table anew; returns how many entered or left.';

CREATE OR REPLACE FUNCTION crm_internal.segments_define()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    segment crm.segments;
BEGIN
    IF TG_WHEN = 'BEFORE' THEN
        IF TG_OP = 'DELETE' THEN
            IF EXISTS (SELECT FROM crm.segments AS s WHERE s.tenant_id = OLD.tenant_id AND s.refers_to_ids @> ARRAY[OLD.id]) THEN
                RAISE EXCEPTION 'segment "%" is referred to by others', OLD.name USING ERRCODE = 'object_in_use',
                    DETAIL = (SELECT string_agg(s.name, ', ' ORDER BY s.name) FROM crm.segments AS s
                              WHERE s.tenant_id = OLD.tenant_id AND s.refers_to_ids @> ARRAY[OLD.id]) || '.';
            END IF;
            RETURN OLD;
        END IF;
        IF TG_OP = 'UPDATE' AND (NEW.subject_table, NEW.kind) IS DISTINCT FROM (OLD.subject_table, OLD.kind) THEN
            RAISE EXCEPTION 'what segment "%" holds cannot be changed', OLD.name USING ERRCODE = 'feature_not_supported',
                HINT = 'Make another segment.';
        END IF;
        IF TG_OP = 'UPDATE' AND NEW.name <> OLD.name
           AND EXISTS (SELECT FROM crm.segments AS s WHERE s.tenant_id = OLD.tenant_id AND s.refers_to_ids @> ARRAY[OLD.id]) THEN
            RAISE EXCEPTION 'segment "%" is referred to by others and keeps its name', OLD.name USING ERRCODE = 'object_in_use';
        END IF;
        -- what is switched off stays as it is, also where its table is no longer one with segments
        IF TG_OP = 'UPDATE' AND NOT NEW.active AND (NEW.definition, NEW.name) = (OLD.definition, OLD.name) THEN
            RETURN NEW;
        END IF;
        segment := crm_internal.segment_compile(NEW);
        NEW.condition := segment.condition;
        NEW.uses := segment.uses;
        NEW.refers_to_ids := segment.refers_to_ids;
        RETURN NEW;
    END IF;
    PERFORM crm_internal.refresh_segment(NEW, 'definition');
    -- those that refer to it, nearest first
    FOR segment IN
        WITH RECURSIVE above AS (
            SELECT s.id, 1 AS depth FROM crm.segments AS s WHERE s.tenant_id = NEW.tenant_id AND s.refers_to_ids @> ARRAY[NEW.id]
            UNION ALL
            SELECT s.id, a.depth + 1 FROM above AS a JOIN crm.segments AS s ON s.tenant_id = NEW.tenant_id AND s.refers_to_ids @> ARRAY[a.id]
        )
        SELECT s.* FROM crm.segments AS s JOIN (SELECT a.id, max(a.depth) AS depth FROM above AS a GROUP BY a.id) AS a ON a.id = s.id
        WHERE s.tenant_id = NEW.tenant_id ORDER BY a.depth, s.id
    LOOP
        PERFORM crm_internal.refresh_segment(segment, 'definition');
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.segments_define() IS 'Trigger: checks a segment, and computes its members when it is defined.';
CREATE OR REPLACE TRIGGER segments_before_define BEFORE INSERT OR UPDATE OF definition, name, kind, subject_table, active OR DELETE ON crm.segments
    FOR EACH ROW EXECUTE FUNCTION crm_internal.segments_define();
CREATE OR REPLACE TRIGGER segments_after_define_insert AFTER INSERT ON crm.segments
    FOR EACH ROW WHEN (NEW.kind = 'dynamic') EXECUTE FUNCTION crm_internal.segments_define();
CREATE OR REPLACE TRIGGER segments_after_define_update AFTER UPDATE OF definition, active ON crm.segments
    FOR EACH ROW WHEN (NEW.definition IS DISTINCT FROM OLD.definition OR NEW.active <> OLD.active) EXECUTE FUNCTION crm_internal.segments_define();

-- ---- what people call ----

CREATE OR REPLACE FUNCTION crm_internal.segment_named(segment text)
RETURNS crm.segments
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.segments;
BEGIN
    SELECT x.* INTO s FROM crm.segments AS x WHERE x.tenant_id = crm.tenant_id() AND x.name = segment;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no segment "%"', segment USING ERRCODE = 'no_data_found';
    END IF;
    RETURN s;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_named(text) IS 'A segment of the current tenant.';

CREATE OR REPLACE FUNCTION crm.define_segment(definition jsonb)
RETURNS crm.segments
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kept CONSTANT jsonb := definition - '{name,subject_table,kind,announce,active}'::text[];
    made crm.segments;
BEGIN
    IF jsonb_typeof(definition) IS DISTINCT FROM 'object' OR coalesce(definition ->> 'name', '') = '' THEN
        RAISE EXCEPTION 'a segment is an object with a name'
            USING ERRCODE = 'CR403', HINT = 'Write it as {"name": "large", "where": "$.employees >= 50"}.';
    END IF;
    UPDATE crm.segments AS s
    SET definition = kept, announce = coalesce((define_segment.definition ->> 'announce')::boolean, s.announce),
        active = coalesce((define_segment.definition ->> 'active')::boolean, s.active),
        subject_table = coalesce(define_segment.definition ->> 'subject_table', s.subject_table),
        kind = coalesce(define_segment.definition ->> 'kind', s.kind)
    WHERE s.tenant_id = crm.tenant_id() AND s.name = define_segment.definition ->> 'name'
    RETURNING s.* INTO made;
    IF NOT FOUND THEN
        INSERT INTO crm.segments AS s (name, subject_table, kind, announce, active, definition)
        VALUES (define_segment.definition ->> 'name', coalesce(define_segment.definition ->> 'subject_table', 'leads'),
                coalesce(define_segment.definition ->> 'kind', 'dynamic'),
                coalesce((define_segment.definition ->> 'announce')::boolean, false),
                coalesce((define_segment.definition ->> 'active')::boolean, true), kept)
        RETURNING s.* INTO made;
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.define_segment(jsonb) IS
'Makes a segment, or changes the one of that name, computes its members, and returns it. definition: name, subject_table (leads, accounts, contacts, '
'or what crm.attach_segments() returned), kind (dynamic, static), announce, active, and the conditions of membership: where, age, events, orders, rfm, score, in, not_in (docs/howto/segments.md). Writers '
'of the table wait until it is done. Errors: CR403 a definition that is not right, 42P01 a table without segments, 42601 a path that is none, '
'CR204 a segment that would refer to itself.';
SELECT crm.declare_function('crm.define_segment', 'admin');

CREATE OR REPLACE FUNCTION crm.preview_segment(definition jsonb, as_of timestamptz DEFAULT now())
RETURNS TABLE (subjects bigint, members bigint, entering bigint, leaving bigint, sample_ids bigint[], next_change_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 500
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.segments;
    old crm.segments;
    relation regclass;
BEGIN
    IF jsonb_typeof(definition) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a segment is an object' USING ERRCODE = 'CR403', HINT = 'Write it as {"where": "$.employees >= 50"}.';
    END IF;
    IF as_of < now() THEN
        RAISE EXCEPTION 'what rows were at an instant in the past is not known' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Preview from now on. crm.segment_members_at() tells who was in a segment that is there.';
    END IF;
    SELECT x.* INTO old FROM crm.segments AS x WHERE x.tenant_id = crm.tenant_id() AND x.name = preview_segment.definition ->> 'name';
    s.tenant_id := crm.tenant_id();
    s.id := coalesce(old.id, 0);
    s.name := coalesce(definition ->> 'name', 'preview');
    s.subject_table := coalesce(definition ->> 'subject_table', old.subject_table, 'leads');
    s.kind := 'dynamic';
    s.active := true;
    s.definition := definition - '{name,subject_table,kind,announce,active}'::text[];
    s := crm_internal.segment_compile(s);
    relation := crm.subject_relation(s.subject_table);
    RETURN QUERY EXECUTE format($q$
        SELECT count(*), count(*) FILTER (WHERE j.member), count(*) FILTER (WHERE j.member AND NOT coalesce(o.member, false)),
               count(*) FILTER (WHERE NOT j.member AND o.member),
               (array_agg(r.id ORDER BY r.id DESC) FILTER (WHERE j.member))[1:10], min(j.next_at)
        FROM %1$s AS r
        CROSS JOIN LATERAL crm_internal.judge_segment($1, r.id, to_jsonb(r.*), $2) AS j
        LEFT JOIN crm.segment_states AS o ON o.tenant_id = r.tenant_id AND o.segment_id = $3 AND o.subject_id = r.id
        WHERE r.tenant_id = $4
        $q$, relation) USING s, as_of, s.id, s.tenant_id;
END
$$;
COMMENT ON FUNCTION crm.preview_segment(jsonb, timestamptz) IS
'Preview of a segment: rows of its table, members at an instant, members that would enter and leave in comparison to the segment of that name, '
'up to ten members, the next instant at which time changes it. Errors as crm.define_segment; 22023: an instant in the past.';
SELECT crm.declare_function('crm.preview_segment', 'admin');

CREATE OR REPLACE FUNCTION crm.refresh_segment(segment text)
RETURNS crm.segments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
BEGIN
    PERFORM crm_internal.refresh_segment(s, 'definition');
    RETURN crm_internal.segment_named(segment);
END
$$;
COMMENT ON FUNCTION crm.refresh_segment(text) IS
'Computes all members of a segment anew and returns it. Needed only after triggers were switched off, or RFM edges renewed. Error P0002.';
SELECT crm.declare_function('crm.refresh_segment', 'admin');

CREATE OR REPLACE FUNCTION crm.segment_members_at(segment text, as_of timestamptz DEFAULT now())
RETURNS TABLE (subject_id bigint, since timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 500
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
    nobody_restricted CONSTANT boolean := crm.kept_text('restrictions_of', s.tenant_id::text) = 'none';
BEGIN
    -- whose next instant is still to come, and of the others whoever it leaves inside; who was inside before is in the ledger
    RETURN QUERY
        SELECT m.subject_id, m.since FROM (
        SELECT x.subject_id, x.changed_at FROM crm.segment_states AS x
        WHERE as_of >= now() AND x.tenant_id = s.tenant_id AND x.segment_id = s.id AND s.active AND x.member AND (x.next_at IS NULL OR x.next_at > as_of)
        UNION ALL
        SELECT e.subject_id, e.occurred_at
        FROM (SELECT DISTINCT ON (g.subject_id) g.subject_id, g.occurred_at, g.direction FROM crm.segment_events AS g
              WHERE as_of < now() AND g.tenant_id = s.tenant_id AND g.segment_id = s.id AND g.occurred_at <= as_of
              ORDER BY g.subject_id, g.occurred_at DESC, g.id DESC) AS e
        WHERE e.direction = 'enter'
          AND NOT EXISTS (SELECT FROM crm.segment_states AS x
                          WHERE x.tenant_id = s.tenant_id AND x.segment_id = s.id AND x.subject_id = e.subject_id AND x.next_at <= as_of)
        UNION ALL
        SELECT x.subject_id, CASE WHEN x.member THEN x.changed_at ELSE x.next_at END FROM crm.segment_states AS x
        WHERE x.tenant_id = s.tenant_id AND x.segment_id = s.id AND x.next_at <= as_of
          AND (SELECT j.member FROM crm_internal.judge_segment(s, x.subject_id, crm_internal.segment_row_of(s.subject_table, s.tenant_id, x.subject_id), as_of) AS j)
        ) AS m (subject_id, since)
        WHERE (crm.whole_tenant() IS NOT NULL OR crm.can_see_record(s.subject_table, m.subject_id))
          AND (nobody_restricted OR NOT crm_internal.is_restricted(s.tenant_id, s.subject_table, m.subject_id, as_of));
END
$$;
COMMENT ON FUNCTION crm.segment_members_at(text, timestamptz) IS
'Members of a segment that the caller sees, at an instant, and since when; right also where the worker has not come round. Of a past instant those who had '
'entered and not left by then (crm.segment_events). Without people whose data is not to be used (crm.restrict_person). Error P0002.';
SELECT crm.declare_function('crm.segment_members_at', 'reader');

CREATE OR REPLACE FUNCTION crm.segments_of(subject_table text, subject_id bigint, as_of timestamptz DEFAULT now())
RETURNS TABLE (segment_id bigint, segment text, since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.id, s.name, CASE WHEN e.direction IS NULL THEN x.changed_at ELSE e.occurred_at END
    FROM crm.segments AS s
    LEFT JOIN crm.segment_states AS x ON x.tenant_id = s.tenant_id AND x.segment_id = s.id AND x.subject_id = segments_of.subject_id
    -- of a past instant by the ledger, where time has not changed it since without being written
    LEFT JOIN LATERAL (SELECT g.direction, g.occurred_at FROM crm.segment_events AS g
                       WHERE as_of < now() AND g.tenant_id = s.tenant_id AND g.segment_id = s.id AND g.subject_id = segments_of.subject_id
                         AND g.occurred_at <= as_of AND (x.next_at IS NULL OR x.next_at > as_of)
                       ORDER BY g.occurred_at DESC, g.id DESC LIMIT 1) AS e ON true
    WHERE s.tenant_id = crm.tenant_id() AND s.subject_table = segments_of.subject_table AND (s.active OR as_of < now())
      AND crm.can_see_record(segments_of.subject_table, segments_of.subject_id)
      AND NOT crm_internal.is_restricted(s.tenant_id, segments_of.subject_table, segments_of.subject_id, as_of)
      AND CASE WHEN x.next_at <= as_of
               THEN (SELECT j.member FROM crm_internal.judge_segment(s, x.subject_id, crm_internal.segment_row_of(s.subject_table, s.tenant_id, x.subject_id), as_of) AS j)
               WHEN as_of < now() THEN e.direction = 'enter'
               ELSE x.member END
    ORDER BY s.name
$$;
COMMENT ON FUNCTION crm.segments_of(text, bigint, timestamptz) IS
'Segments that a row of a table belongs to at an instant, of a past one by the ledger of entries and exits; none where the caller does not see the row.';
SELECT crm.declare_function('crm.segments_of', 'reader');

CREATE OR REPLACE FUNCTION crm_internal.list_in_segment(s crm.segments, subject_ids bigint[], member boolean)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint := 0;
    i bigint;
BEGIN
    IF s.kind <> 'static' THEN
        RAISE EXCEPTION 'segment "%" follows its definition', s.name USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Only static segments are lists.';
    END IF;
    FOR i IN SELECT DISTINCT x FROM unnest(subject_ids) AS x WHERE x IS NOT NULL ORDER BY x LOOP
        PERFORM crm_internal.require(s.subject_table, i, 'see');
        IF crm_internal.set_segment_state(s, i, member, NULL, 'list', now()) THEN
            n := n + 1;
            PERFORM crm_internal.touch_segments(s.tenant_id, s.subject_table, i,
                ARRAY(SELECT o.id FROM crm.segments AS o WHERE o.tenant_id = s.tenant_id AND o.refers_to_ids @> ARRAY[s.id] AND o.active), NULL, NULL);
        END IF;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.list_in_segment(crm.segments, bigint[], boolean) IS
'Puts rows on a static segment or takes them off, and tells the segments that refer to it; how many were not there, or on it.';

CREATE OR REPLACE FUNCTION crm.add_to_segment(segment text, subject_ids bigint[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
    wrong text;
BEGIN
    SELECT string_agg(x::text, ', ') INTO wrong FROM unnest(subject_ids) AS x
    WHERE s.kind = 'static' AND crm_internal.segment_row_of(s.subject_table, s.tenant_id, x) IS NULL;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'these are not in table "%": %', s.subject_table, wrong
            USING ERRCODE = 'foreign_key_violation', HINT = 'A segment has rows of its own table as members.';
    END IF;
    RETURN crm_internal.list_in_segment(s, subject_ids, true);
END
$$;
COMMENT ON FUNCTION crm.add_to_segment(text, bigint[]) IS
'Puts rows of its table on a static segment; returns how many were not there yet. Errors: P0002, 55000 a dynamic segment, 23503 unknown ids.';
SELECT crm.declare_function('crm.add_to_segment', 'agent');

CREATE OR REPLACE FUNCTION crm.remove_from_segment(segment text, subject_ids bigint[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_internal.list_in_segment(crm_internal.segment_named(segment), subject_ids, false);
END
$$;
COMMENT ON FUNCTION crm.remove_from_segment(text, bigint[]) IS
'Takes rows off a static segment; returns how many were on it. Errors: P0002, 55000 a dynamic segment.';
SELECT crm.declare_function('crm.remove_from_segment', 'agent');

-- ---- time ----

CREATE OR REPLACE FUNCTION crm.next_segment_change_at()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT min(s.next_at) FROM crm.segment_states AS s WHERE s.next_at IS NOT NULL $$;
COMMENT ON FUNCTION crm.next_segment_change_at() IS 'When time alone may next change a membership; NULL: never.';
SELECT crm.declare_function('crm.next_segment_change_at', 'owner');

CREATE OR REPLACE FUNCTION crm.advance_segments(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    due record;
    reached crm.segment_states;
    n bigint := 0;
BEGIN
    reached.next_at := '-infinity'; reached.tenant_id := 0; reached.segment_id := 0; reached.subject_id := 0;
    -- in the order of time, one by one: a change may bring another that is due too, of this segment or of one that refers to it
    WHILE n < batch LOOP
        SELECT x.tenant_id, x.segment_id, x.subject_id, x.next_at, s.subject_table INTO due
        FROM crm.segment_states AS x JOIN crm.segments AS s ON s.tenant_id = x.tenant_id AND s.id = x.segment_id
        -- what comes is later than what was: a segment that fails is not tried twice
        WHERE x.next_at <= as_of AND x.next_at >= reached.next_at
          AND (x.next_at, x.tenant_id, x.segment_id, x.subject_id) > (reached.next_at, reached.tenant_id, reached.segment_id, reached.subject_id)
          AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = 'crm.advance_segments' AND f.tenant_id = x.tenant_id
                          AND f.item = jsonb_build_array(x.segment_id, x.subject_id)::text AND f.retry_at > as_of)
        ORDER BY x.next_at, x.tenant_id, x.segment_id, x.subject_id
        LIMIT 1 FOR UPDATE OF x SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        reached.next_at := due.next_at; reached.tenant_id := due.tenant_id; reached.segment_id := due.segment_id; reached.subject_id := due.subject_id;
        -- each change at its own instant: who came in and went out again meanwhile did both
        BEGIN
            PERFORM crm_internal.touch_segments(due.tenant_id, due.subject_table, due.subject_id, ARRAY[due.segment_id], NULL, NULL, 'time', due.next_at);
            n := n + 1;
        EXCEPTION WHEN OTHERS THEN
            PERFORM crm_internal.note_failed_work('crm.advance_segments', due.tenant_id, jsonb_build_array(due.segment_id, due.subject_id)::text,
                                                  SQLSTATE, SQLERRM, as_of);
        END;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.advance_segments(timestamptz, integer) IS
'Writes down the memberships that time alone has changed by as_of, each at its instant, for at most batch of them. Returns how many were looked at: call '
'again while it is batch. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.advance_segments', 'owner');

CREATE OR REPLACE FUNCTION crm.verify_segment(segment text)
RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
    relation CONSTANT regclass := crm.require_registered(s.subject_table, 'segments');
    n bigint;
BEGIN
    IF s.kind = 'static' THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT count(*) FROM (SELECT r.id FROM %s AS r CROSS JOIN LATERAL crm_internal.judge_segment($1, r.id, to_jsonb(r.*), now()) AS j
                    WHERE r.tenant_id = $2 AND j.member) AS a FULL JOIN crm.segment_members_at($3) AS m ON m.subject_id = a.id
                    WHERE a.id IS NULL OR m.subject_id IS NULL', relation)
    INTO n USING s, s.tenant_id, segment;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.verify_segment(text) IS
'How many subjects a computation from nothing would put elsewhere; 0 where the segment is right. Error P0002.';
SELECT crm.declare_function('crm.verify_segment', 'admin');
