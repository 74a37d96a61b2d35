-- Segments: definitions, membership, and what time does to it.

-- ---- definitions ----

CREATE OR REPLACE FUNCTION crm_internal.segment_bounds(value jsonb, what text)
RETURNS numrange
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF value IS NULL THEN
        RETURN NULL;
    END IF;
    IF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) <> 2
       OR jsonb_typeof(value -> 0) NOT IN ('number', 'null') OR jsonb_typeof(value -> 1) NOT IN ('number', 'null') THEN
        RAISE EXCEPTION 'segment: "%" must be [least, most], null for no limit', what USING ERRCODE = 'CR403';
    END IF;
    IF (value ->> 0)::numeric > (value ->> 1)::numeric THEN
        RAISE EXCEPTION 'segment: "%" has its least above its most', what USING ERRCODE = 'CR403';
    END IF;
    RETURN numrange((value ->> 0)::numeric, (value ->> 1)::numeric, '[]');
END
$$;
COMMENT ON FUNCTION crm_internal.segment_bounds(jsonb, text) IS 'Bounds [least, most] of a definition.';

CREATE OR REPLACE FUNCTION crm_internal.segment_span(value text, what text)
RETURNS interval
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    seconds numeric;
BEGIN
    IF value IS NULL THEN
        RETURN NULL;
    END IF;
    BEGIN
        -- days have 24 hours and months 30 days, so that a window opens and closes at the same distance
        seconds := extract(epoch FROM value::interval);
    EXCEPTION WHEN OTHERS THEN
        RAISE EXCEPTION 'segment: "%" is no length of time: "%"', what, value USING ERRCODE = 'CR403', HINT = 'Write it as "30 days".';
    END;
    IF seconds <= 0 OR seconds > 3.2e10 THEN
        RAISE EXCEPTION 'segment: "%" must be more than nothing and at most 1000 years', what USING ERRCODE = 'CR403';
    END IF;
    RETURN make_interval(secs => seconds::double precision);
END
$$;
COMMENT ON FUNCTION crm_internal.segment_span(text, text) IS 'Length of time of a definition.';

CREATE OR REPLACE FUNCTION crm_internal.segment_keys(value jsonb, known text[], what text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(value) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'segment: "%" must be an object', what USING ERRCODE = 'CR403';
    END IF;
    SELECT string_agg(k, ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(value) AS k WHERE k <> ALL (known);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'segment: "%" has keys nobody knows: %', what, wrong USING ERRCODE = 'CR403',
            HINT = format('Known are %s.', array_to_string(known, ', '));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_keys(jsonb, text[], text) IS 'Refuses unknown keys.';

CREATE OR REPLACE FUNCTION crm_internal.segment_compile(segment crm.segments)
RETURNS crm.segments
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    d CONSTANT jsonb := segment.definition;
    s crm.segments := segment;
    part jsonb;
    key text;
    names text[];
    circle text;
BEGIN
    s.uses := '{}';
    s.refers_to_ids := '{}';
    s.condition := NULL;
    IF s.kind = 'static' THEN
        IF d <> '{}' THEN
            RAISE EXCEPTION 'static segment "%" has no definition', s.name USING ERRCODE = 'CR403';
        END IF;
        RETURN s;
    END IF;
    PERFORM crm_internal.segment_keys(d, '{where,age,events,orders,rfm,score,in,not_in}', 'definition');
    IF d = '{}' THEN
        RAISE EXCEPTION 'segment "%" says nothing about its members', s.name USING ERRCODE = 'CR403',
            HINT = 'For everybody write {"where": "$"}.';
    END IF;
    IF d ? 'where' THEN
        IF jsonb_typeof(d -> 'where') <> 'string' THEN
            RAISE EXCEPTION 'segment: "where" must be a SQL/JSON path' USING ERRCODE = 'CR403';
        END IF;
        s.condition := (d ->> 'where')::jsonpath;
    END IF;
    IF d ? 'age' THEN
        part := d -> 'age';
        PERFORM crm_internal.segment_keys(part, '{column,from,to}', 'age');
        IF NOT EXISTS (SELECT FROM pg_attribute AS a
                       WHERE a.attrelid = format('crm.%I', s.subject_table)::regclass AND a.attname = part ->> 'column' AND NOT a.attisdropped
                         AND a.atttypid IN ('timestamptz'::regtype, 'date'::regtype)) THEN
            RAISE EXCEPTION 'segment: "age" needs a column of type timestamptz or date of crm.%', s.subject_table USING ERRCODE = 'CR403';
        END IF;
        IF NOT part ?| '{from,to}' OR crm_internal.segment_span(part ->> 'from', 'from') >= crm_internal.segment_span(part ->> 'to', 'to') THEN
            RAISE EXCEPTION 'segment: "age" needs from, to, or both with from below to' USING ERRCODE = 'CR403';
        END IF;
        s.uses := s.uses || 'age'::text;
    END IF;
    IF d ? 'events' THEN
        IF jsonb_typeof(d -> 'events') <> 'array' THEN
            RAISE EXCEPTION 'segment: "events" must be an array' USING ERRCODE = 'CR403';
        END IF;
        FOR part IN SELECT * FROM jsonb_array_elements(d -> 'events') LOOP
            PERFORM crm_internal.segment_keys(part, '{source,kind,where,within,at_least,at_most}', 'events');
            PERFORM crm_internal.segment_span(part ->> 'within', 'within');
            IF part ? 'where' THEN
                PERFORM (part ->> 'where')::jsonpath;
            END IF;
            key := coalesce(part ->> 'source', CASE s.subject_table WHEN 'leads' THEN 'score_events' ELSE 'activities' END);
            IF key NOT IN ('score_events', 'activities') OR key = 'score_events' AND s.subject_table <> 'leads' THEN
                RAISE EXCEPTION 'segment: % have no events in "%"', s.subject_table, key USING ERRCODE = 'CR403';
            END IF;
            IF NOT part ?| '{at_least,at_most}' OR jsonb_path_exists(part, '$.keyvalue() ? (@.key starts with "at_").value ? (@.type() != "number" || @ < 0 || @ > 10000 || @.floor() != @)')
               OR (part ->> 'at_least')::integer > (part ->> 'at_most')::integer THEN
                RAISE EXCEPTION 'segment: "events" needs at_least or at_most, whole numbers from 0 to 10000' USING ERRCODE = 'CR403';
            END IF;
            s.uses := s.uses || key;
        END LOOP;
    END IF;
    IF d ? 'orders' THEN
        part := d -> 'orders';
        PERFORM crm_internal.segment_keys(part, '{within,count,revenue,margin}', 'orders');
        PERFORM crm_internal.segment_span(part ->> 'within', 'within');
        IF s.subject_table = 'leads' THEN
            RAISE EXCEPTION 'segment: leads have no orders' USING ERRCODE = 'CR403';
        END IF;
        IF NOT part ?| '{count,revenue,margin}' THEN
            RAISE EXCEPTION 'segment: "orders" needs count, revenue or margin' USING ERRCODE = 'CR403';
        END IF;
        FOREACH key IN ARRAY '{count,revenue,margin}'::text[] LOOP
            PERFORM crm_internal.segment_bounds(part -> key, key);
        END LOOP;
        s.uses := s.uses || 'orders'::text;
    END IF;
    IF d ? 'rfm' THEN
        part := d -> 'rfm';
        PERFORM crm_internal.segment_keys(part, '{recency,frequency,monetary}', 'rfm');
        IF s.subject_table <> 'accounts' THEN
            RAISE EXCEPTION 'segment: only accounts have RFM scores' USING ERRCODE = 'CR403';
        END IF;
        FOREACH key IN ARRAY '{recency,frequency,monetary}'::text[] LOOP
            PERFORM crm_internal.segment_bounds(part -> key, key);
        END LOOP;
        s.uses := s.uses || 'orders'::text;
    END IF;
    IF d ? 'score' THEN
        part := d -> 'score';
        PERFORM crm_internal.segment_keys(part, '{model,points}', 'score');
        IF s.subject_table <> 'leads' THEN
            RAISE EXCEPTION 'segment: only leads have scores' USING ERRCODE = 'CR403';
        END IF;
        IF crm_internal.segment_bounds(part -> 'points', 'points') IS NULL THEN
            RAISE EXCEPTION 'segment: "score" needs "points": [least, most]' USING ERRCODE = 'CR403';
        END IF;
        IF NOT EXISTS (SELECT FROM crm.score_models AS m
                       WHERE m.tenant_id = s.tenant_id AND (m.name = part ->> 'model' OR NOT part ? 'model')) THEN
            RAISE EXCEPTION 'segment: there is no score model "%"', part ->> 'model' USING ERRCODE = 'CR403';
        END IF;
        s.uses := s.uses || 'lead_scores'::text;
    END IF;
    IF d ?| '{in,not_in}' THEN
        FOREACH key IN ARRAY '{in,not_in}'::text[] LOOP
            IF d ? key AND jsonb_typeof(d -> key) <> 'array' THEN
                RAISE EXCEPTION 'segment: "%" must be an array of names of segments', key USING ERRCODE = 'CR403';
            END IF;
        END LOOP;
        names := ARRAY(SELECT jsonb_array_elements_text(coalesce(d -> 'in', '[]') || coalesce(d -> 'not_in', '[]')));
        SELECT string_agg(format('"%s"', n), ', ') INTO key FROM unnest(names) AS n
        WHERE NOT EXISTS (SELECT FROM crm.segments AS o
                          WHERE o.tenant_id = s.tenant_id AND o.name = n AND o.subject_table = s.subject_table)
          AND n <> s.name;
        IF key IS NOT NULL THEN
            RAISE EXCEPTION 'segment "%" refers to segments of % that are not there: %', s.name, s.subject_table, key USING ERRCODE = 'CR403';
        END IF;
        s.refers_to_ids := ARRAY(SELECT o.id FROM crm.segments AS o
                                 WHERE o.tenant_id = s.tenant_id AND o.name = ANY (names) AND o.name <> s.name ORDER BY o.id);
        WITH RECURSIVE way AS (
            SELECT o.id, o.name, o.refers_to_ids, s.name || ' -> ' || o.name AS path
            FROM crm.segments AS o WHERE o.tenant_id = s.tenant_id AND o.id = ANY (s.refers_to_ids)
            UNION
            SELECT o.id, o.name, o.refers_to_ids, w.path || ' -> ' || o.name
            FROM way AS w JOIN crm.segments AS o ON o.tenant_id = s.tenant_id AND o.id = ANY (w.refers_to_ids)
            WHERE w.id <> s.id
        )
        SELECT w.path INTO circle FROM way AS w WHERE w.id = s.id LIMIT 1;
        IF s.name = ANY (names) THEN
            circle := s.name || ' -> ' || s.name;
        END IF;
        IF circle IS NOT NULL THEN
            RAISE EXCEPTION 'segment "%" would refer to itself', s.name USING ERRCODE = 'CR204', DETAIL = circle || '.',
                HINT = 'Take one of these references out.';
        END IF;
        s.uses := s.uses || 'segments'::text;
    END IF;
    RETURN s;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_compile(crm.segments) IS 'Checks a segment and fills what is kept of its definition.';

-- ---- judgement ----
-- lengths of time were checked by crm_internal.segment_span when the segment was defined, and are read here as it reads them

CREATE OR REPLACE FUNCTION crm_internal.segment_instants(segment crm.segments, part jsonb, subject bigint, as_of timestamptz, most integer)
RETURNS timestamptz[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    span CONSTANT interval := make_interval(secs => extract(epoch FROM (part ->> 'within')::interval)::double precision);
    since CONSTANT timestamptz := coalesce(as_of - span, '-infinity');
    instants timestamptz[];
BEGIN
    IF coalesce(part ->> 'source', CASE segment.subject_table WHEN 'leads' THEN 'score_events' ELSE 'activities' END) = 'score_events' THEN
        SELECT array_agg(e.occurred_at ORDER BY e.occurred_at DESC) INTO instants
        FROM (SELECT e.occurred_at FROM crm.score_events AS e
              WHERE e.tenant_id = segment.tenant_id AND e.lead_id = subject AND e.occurred_at > since AND e.occurred_at <= as_of
                AND (part ->> 'kind' IS NULL OR e.kind = part ->> 'kind')
                AND (part ->> 'where' IS NULL OR crm.condition_holds(to_jsonb(e), (part ->> 'where')::jsonpath))
              ORDER BY e.occurred_at DESC LIMIT most) AS e;
    ELSE
        EXECUTE format('SELECT array_agg(e.at ORDER BY e.at DESC)
            FROM (SELECT v.at FROM (SELECT a.*, coalesce(a.done_at, CASE WHEN a.kind IN (''mail'', ''message'', ''note'') THEN a.created_at END) AS at
                                    FROM crm.activities AS a WHERE a.tenant_id = $1 AND %s) AS v
                  WHERE v.at > $3 AND v.at <= $4 AND ($5 IS NULL OR v.kind = $5)
                    AND ($6 IS NULL OR crm.condition_holds(to_jsonb(v), $6::jsonpath))
                  ORDER BY v.at DESC LIMIT $7) AS e',
            CASE segment.subject_table WHEN 'accounts' THEN 'a.account_id = $2' WHEN 'contacts' THEN 'a.contact_id = $2'
                 ELSE 'a.related_table = ''leads'' AND a.related_id = $2' END)
        INTO instants USING segment.tenant_id, subject, since, as_of, part ->> 'kind', part ->> 'where', most;
    END IF;
    RETURN coalesce(instants, '{}');
END
$$;
COMMENT ON FUNCTION crm_internal.segment_instants(crm.segments, jsonb, bigint, timestamptz, integer) IS
'When a subject did what an entry of events counts, the latest first, not more than asked for.';

CREATE OR REPLACE FUNCTION crm_internal.segment_ahead(segment crm.segments, part jsonb, subject bigint, as_of timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- events of scoring lie in the past
    IF coalesce(part ->> 'source', CASE segment.subject_table WHEN 'leads' THEN 'score_events' ELSE 'activities' END) = 'score_events' THEN
        RETURN NULL;
    END IF;
    RETURN CASE segment.subject_table
        WHEN 'accounts' THEN (SELECT min(a.done_at) FROM crm.activities AS a WHERE a.tenant_id = segment.tenant_id AND a.account_id = subject AND a.done_at > as_of)
        WHEN 'contacts' THEN (SELECT min(a.done_at) FROM crm.activities AS a WHERE a.tenant_id = segment.tenant_id AND a.contact_id = subject AND a.done_at > as_of)
        ELSE (SELECT min(a.done_at) FROM crm.activities AS a
              WHERE a.tenant_id = segment.tenant_id AND a.related_table = 'leads' AND a.related_id = subject AND a.done_at > as_of) END;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_ahead(crm.segments, jsonb, bigint, timestamptz) IS
'When the next activity that is dated ahead begins to count; NULL: none.';

CREATE OR REPLACE FUNCTION crm_internal.judge_segment(segment crm.segments, subject bigint, doc jsonb, as_of timestamptz)
RETURNS TABLE (member boolean, next_at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := segment.tenant_id;
    d CONSTANT jsonb := segment.definition;
    part jsonb;
    instants timestamptz[];
    span interval;
    low integer;
    high integer;
    at timestamptz;
    bounds numrange;
    o record;
    other record;
    edges record;
    silence double precision;
    zone text;
    model crm.score_models;
    state bytea;
    a timestamptz;
    b timestamptz;
BEGIN
    member := segment.active AND segment.kind = 'dynamic' AND doc IS NOT NULL
        AND crm.condition_holds(doc, segment.condition);
    IF NOT member OR segment.uses = '{}' THEN
        RETURN NEXT;
        RETURN;
    END IF;

    IF d ? 'age' THEN
        -- a day begins at midnight of the company, whoever looks
        SELECT x.time_zone INTO zone FROM crm.tenants AS x WHERE x.tenant_id = t;
        at := CASE WHEN doc ->> (d #>> '{age,column}') ~ '^[0-9]{4,}-[0-9]{2}-[0-9]{2}$'
                   THEN (doc ->> (d #>> '{age,column}'))::timestamp AT TIME ZONE zone
                   ELSE (doc ->> (d #>> '{age,column}'))::timestamptz END;
        a := at + make_interval(secs => extract(epoch FROM (d #>> '{age,from}')::interval)::double precision);
        b := at + make_interval(secs => extract(epoch FROM (d #>> '{age,to}')::interval)::double precision);
        member := member AND at IS NOT NULL AND coalesce(as_of >= a, as_of >= at) AND coalesce(as_of < b, true);
        next_at := (SELECT min(x) FROM (VALUES (a), (b), (CASE WHEN a IS NULL THEN at END)) AS v (x) WHERE x > as_of);
    END IF;

    FOR part IN SELECT * FROM jsonb_array_elements(coalesce(d -> 'events', '[]')) LOOP
        low := (part ->> 'at_least')::integer;
        high := (part ->> 'at_most')::integer;
        span := make_interval(secs => extract(epoch FROM (part ->> 'within')::interval)::double precision);
        instants := crm_internal.segment_instants(segment, part, subject, as_of, greatest(low, high + 1, 1));
        member := member AND cardinality(instants) >= coalesce(low, 0) AND (high IS NULL OR cardinality(instants) <= high);
        next_at := least(next_at,
            CASE WHEN low > 0 AND cardinality(instants) >= low THEN instants[low] + span END,
            CASE WHEN high IS NOT NULL AND cardinality(instants) > high THEN instants[high + 1] + span END,
            crm_internal.segment_ahead(segment, part, subject, as_of));
    END LOOP;

    IF d ?| '{orders,rfm}' THEN
        span := make_interval(secs => extract(epoch FROM (d #>> '{orders,within}')::interval)::double precision);
        SELECT count(*) FILTER (WHERE x.kind = 'sale' AND x.inside) AS count,
               coalesce(sum(x.revenue) FILTER (WHERE x.inside), 0) AS revenue,
               coalesce(sum(x.margin) FILTER (WHERE x.inside), 0) AS margin,
               least(min(x.ordered_at) FILTER (WHERE x.inside) + span, min(x.ordered_at) FILTER (WHERE NOT x.past)) AS next_at,
               min(x.ordered_at) FILTER (WHERE NOT x.past) AS ahead,
               count(*) FILTER (WHERE x.kind = 'sale' AND x.past) AS all_count, coalesce(sum(x.revenue) FILTER (WHERE x.past), 0) AS all_revenue,
               max(x.ordered_on) FILTER (WHERE x.kind = 'sale' AND x.past) AS last_on
        INTO o
        FROM (SELECT r.kind, r.ordered_at, r.ordered_on, r.ordered_at <= as_of AS past,
                     r.ordered_at <= as_of AND coalesce(r.ordered_at > as_of - span, true) AS inside,
                     CASE r.kind WHEN 'return' THEN -abs(r.base_amount) ELSE r.base_amount END AS revenue,
                     CASE r.kind WHEN 'return' THEN -abs(r.base_margin) ELSE r.base_margin END AS margin
              FROM crm.orders AS r
              WHERE r.tenant_id = t AND r.state <> 'cancelled'
                AND CASE segment.subject_table WHEN 'accounts' THEN r.account_id = subject ELSE r.contact_id = subject END) AS x;
        IF d ? 'orders' THEN
            part := d -> 'orders';
            member := member
                AND coalesce(crm_internal.segment_bounds(part -> 'count', 'count') @> o.count::numeric, true)
                AND coalesce(crm_internal.segment_bounds(part -> 'revenue', 'revenue') @> o.revenue, true)
                AND coalesce(crm_internal.segment_bounds(part -> 'margin', 'margin') @> o.margin, true);
            next_at := least(next_at, o.next_at);
        END IF;
        IF d ? 'rfm' THEN
            part := d -> 'rfm';
            SELECT e.* INTO edges FROM crm.rfm_edges AS e WHERE e.tenant_id = t;
            SELECT x.time_zone INTO zone FROM crm.tenants AS x WHERE x.tenant_id = t;
            silence := (as_of AT TIME ZONE zone)::date - o.last_on;
            member := member AND o.last_on IS NOT NULL AND edges.recency IS NOT NULL
                AND coalesce(crm_internal.segment_bounds(part -> 'recency', 'recency') @> crm.edge_score(silence, edges.recency, true)::numeric, true)
                AND coalesce(crm_internal.segment_bounds(part -> 'frequency', 'frequency') @> crm.edge_score(o.all_count::double precision, edges.frequency, false)::numeric, true)
                AND coalesce(crm_internal.segment_bounds(part -> 'monetary', 'monetary') @> crm.edge_score(o.all_revenue::double precision, edges.monetary, false)::numeric, true);
            -- midnights at which the silence passes an edge
            next_at := least(next_at, o.ahead, (SELECT min(m.at) FROM (
                SELECT ((o.last_on + floor(x)::integer + k)::timestamp AT TIME ZONE zone) AS at
                FROM unnest(edges.recency) AS x, generate_series(0, 1) AS k WHERE x BETWEEN 0 AND 1e6) AS m WHERE m.at > as_of));
        END IF;
    END IF;

    IF d ? 'score' THEN
        bounds := crm_internal.segment_bounds(d #> '{score,points}', 'points');
        -- not crm.lead_score(): whose lead it is, and who looks, has no say here
        SELECT m.* INTO model FROM crm.score_models AS m
        WHERE m.tenant_id = t AND (m.name = d #>> '{score,model}' OR m.active AND d #>> '{score,model}' IS NULL)
        ORDER BY m.id LIMIT 1;
        IF model.id IS NULL THEN
            RAISE EXCEPTION '%', coalesce('there is no score model "' || (d #>> '{score,model}') || '"', 'there is no active score model')
                USING ERRCODE = 'no_data_found';
        END IF;
        state := crm_internal.state_at(model, subject, as_of);
        member := member AND coalesce(bounds @> (crm.points_score(model.definition, state, as_of)).score, false);
        next_at := least(next_at, crm.points_leaves(model.definition, state, as_of, lower(bounds)::double precision, upper(bounds)::double precision));
    END IF;

    IF segment.refers_to_ids <> '{}' THEN
        FOR other IN
            SELECT j.member, j.next_at, coalesce(d -> 'in' ? x.name, false) AS wanted
            FROM crm.segments AS x
            CROSS JOIN LATERAL crm_internal.segment_state(x, subject, doc, as_of) AS j
            WHERE x.tenant_id = t AND x.id = ANY (segment.refers_to_ids)
        LOOP
            member := member AND other.member = other.wanted;
            next_at := least(next_at, other.next_at);
        END LOOP;
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION crm_internal.judge_segment(crm.segments, bigint, jsonb, timestamptz) IS
'Whether a subject belongs to a segment at an instant, and when time alone may next change that.';

CREATE OR REPLACE FUNCTION crm_internal.segment_state(segment crm.segments, subject bigint, doc jsonb, as_of timestamptz)
RETURNS TABLE (member boolean, next_at timestamptz)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF segment.kind = 'static' THEN
        RETURN QUERY SELECT segment.active AND EXISTS (
            SELECT FROM crm.segment_states AS s
            WHERE s.tenant_id = segment.tenant_id AND s.segment_id = segment.id AND s.subject_id = subject AND s.member), NULL::timestamptz;
    ELSE
        RETURN QUERY SELECT j.member, j.next_at FROM crm_internal.judge_segment(segment, subject, doc, as_of) AS j;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_state(crm.segments, bigint, jsonb, timestamptz) IS 'As crm_internal.judge_segment, of static segments too.';

CREATE OR REPLACE FUNCTION crm_internal.segment_row_of(subject_table text, tenant bigint, subject bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    doc jsonb;
BEGIN
    CASE subject_table
        WHEN 'leads' THEN SELECT to_jsonb(x) INTO doc FROM crm.leads AS x WHERE x.tenant_id = tenant AND x.id = subject;
        WHEN 'accounts' THEN SELECT to_jsonb(x) INTO doc FROM crm.accounts AS x WHERE x.tenant_id = tenant AND x.id = subject;
        WHEN 'contacts' THEN SELECT to_jsonb(x) INTO doc FROM crm.contacts AS x WHERE x.tenant_id = tenant AND x.id = subject;
    END CASE;
    RETURN doc;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_row_of(text, bigint, bigint) IS 'The row a segment judges, as jsonb; NULL: it is gone.';

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
    locked boolean := false;
    j record;
    answer boolean;
    upon timestamptz;
    i integer := 1;
BEGIN
    IF doc IS NULL AND answers IS NULL THEN
        row_now := crm_internal.segment_row_of(subject_table, tenant, subject);
    END IF;
    WHILE i <= cardinality(queue) LOOP
        SELECT s.* INTO segment FROM crm.segments AS s WHERE s.tenant_id = tenant AND s.id = queue[i];
        answer := answers[i];       -- NULL past the end
        i := i + 1;
        CONTINUE WHEN segment.id IS NULL OR segment.kind <> 'dynamic';
        IF answer IS FALSE OR answer AND segment.uses = '{}' THEN
            upon := NULL;
        ELSE
            -- what two events say together must not be missed by both
            IF NOT locked THEN
                PERFORM pg_advisory_xact_lock(hashtextextended('crm.segment.' || subject_table || '.' || tenant, subject));
                locked := true;
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
'Judges a subject anew for some segments and for those that refer to them. answers: what the conditions alone said, where that is known.';

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{leads,accounts,contacts}'::text[] LOOP
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON crm.%I FOR EACH ROW EXECUTE FUNCTION crm.segment_row()',
                                  t || '_after_segment', t);
    END LOOP;
END
$$;

-- what subjects do, in tables of its own
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{score_events,activities,orders}'::text[] LOOP
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON crm.%I REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.segment_sources()', t || '_after_segment_insert', t);
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON crm.%I REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.segment_sources()', t || '_after_segment_update', t);
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON crm.%I REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.segment_sources()', t || '_after_segment_update_old', t);
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER DELETE ON crm.%I REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm.segment_sources()', t || '_after_segment_delete', t);
    END LOOP;
END
$$;
CREATE OR REPLACE TRIGGER lead_scores_after_segment AFTER INSERT OR UPDATE OR DELETE ON crm.lead_scores
    FOR EACH ROW EXECUTE FUNCTION crm.segment_score();

CREATE OR REPLACE FUNCTION crm_internal.segments_truncated()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM crm.segment_states AS x USING crm.segments AS s
    WHERE s.tenant_id = x.tenant_id AND s.id = x.segment_id AND s.subject_table = TG_TABLE_NAME;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.segments_truncated() IS 'Statement trigger: where there are no rows there are no members.';
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{leads,accounts,contacts}'::text[] LOOP
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON crm.%I FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.segments_truncated()', t || '_after_segment_truncate', t);
    END LOOP;
END
$$;

-- where nothing happened, nobody did anything
CREATE OR REPLACE FUNCTION crm_internal.segment_sources_truncated()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    segment crm.segments;
BEGIN
    FOR segment IN
        WITH RECURSIVE concerned AS (
            SELECT s.tenant_id, s.id, 0 AS depth FROM crm.segments AS s WHERE s.uses @> ARRAY[TG_TABLE_NAME::text] AND s.active
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
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{score_events,activities,orders}'::text[] LOOP
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON crm.%I FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.segment_sources_truncated()', t || '_after_segment_truncate', t);
    END LOOP;
END
$$;

-- lists forget whom there is no more; dynamic segments do it row by row
CREATE OR REPLACE FUNCTION crm_internal.segment_subjects_deleted()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM crm.segments AS s WHERE s.kind = 'static' AND s.subject_table = TG_TABLE_NAME) THEN
        RETURN NULL;
    END IF;
    PERFORM crm_internal.set_segment_state(s, g.id, false, NULL, 'list', now())
    FROM gone AS g
    JOIN crm.segments AS s ON s.tenant_id = g.tenant_id AND s.kind = 'static' AND s.subject_table = TG_TABLE_NAME
    JOIN crm.segment_states AS x ON x.tenant_id = s.tenant_id AND x.segment_id = s.id AND x.subject_id = g.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_subjects_deleted() IS 'Statement trigger: deleted rows leave static segments.';
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{leads,accounts,contacts}'::text[] LOOP
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER DELETE ON crm.%I REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.segment_subjects_deleted()', t || '_after_segment_list', t);
    END LOOP;
END
$$;

-- everybody at once; the table is locked against writers so that no change falls between
CREATE OR REPLACE FUNCTION crm_internal.refresh_segment(segment crm.segments, cause text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched bigint;
BEGIN
    IF segment.kind = 'static' THEN
        RETURN 0;
    END IF;
    EXECUTE format('LOCK TABLE crm.%I IN SHARE ROW EXCLUSIVE MODE', segment.subject_table);
    EXECUTE format($q$
        WITH judged AS MATERIALIZED (
            SELECT r.id AS subject_id, j.member, j.next_at
            FROM crm.%1$I AS r
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
        $q$, segment.subject_table,
        -- a condition alone needs no function call a row
        CASE WHEN segment.uses = '{}' THEN '(SELECT crm.row_holds(r, $5) AS member, NULL::timestamptz AS next_at)'
             ELSE 'crm_internal.judge_segment($1, r.id, to_jsonb(r), now())' END)
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
CREATE OR REPLACE TRIGGER segments_after_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.segments
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();

-- ---- what people call ----

CREATE OR REPLACE FUNCTION crm_internal.segment_named(segment text)
RETURNS crm.segments
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
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
DECLARE
    kept CONSTANT jsonb := definition - '{name,subject_table,kind,announce,active}'::text[];
    made crm.segments;
BEGIN
    IF jsonb_typeof(definition) IS DISTINCT FROM 'object' OR coalesce(definition ->> 'name', '') = '' THEN
        RAISE EXCEPTION 'a segment is an object with a name' USING ERRCODE = 'CR403';
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
'Makes a segment, or changes the one of that name, computes its members, and returns it. definition: name, subject_table (leads, accounts, contacts), kind (dynamic, static), announce, active, and what members have in common: where, age, events, orders, rfm, score, in, not_in (docs/segments.md). Writers of the table wait until it is done. Errors: CR403 a definition that is not right, 42601 a path that is none, CR204 a segment that would refer to itself.';

CREATE OR REPLACE FUNCTION crm.preview_segment(definition jsonb, as_of timestamptz DEFAULT now())
RETURNS TABLE (subjects bigint, members bigint, entering bigint, leaving bigint, sample_ids bigint[], next_change_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    s crm.segments;
    old crm.segments;
BEGIN
    IF jsonb_typeof(definition) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a segment is an object' USING ERRCODE = 'CR403';
    END IF;
    SELECT x.* INTO old FROM crm.segments AS x WHERE x.tenant_id = crm.tenant_id() AND x.name = preview_segment.definition ->> 'name';
    s.tenant_id := crm.tenant_id();
    s.id := coalesce(old.id, 0);
    s.name := coalesce(definition ->> 'name', 'preview');
    s.subject_table := coalesce(definition ->> 'subject_table', old.subject_table, 'leads');
    s.kind := 'dynamic';
    s.active := true;
    s.definition := definition - '{name,subject_table,kind,announce,active}'::text[];
    IF s.subject_table NOT IN ('leads', 'accounts', 'contacts') THEN
        RAISE EXCEPTION 'segments are of leads, accounts or contacts' USING ERRCODE = 'CR403';
    END IF;
    s := crm_internal.segment_compile(s);
    RETURN QUERY EXECUTE format($q$
        SELECT count(*), count(*) FILTER (WHERE j.member), count(*) FILTER (WHERE j.member AND NOT coalesce(o.member, false)),
               count(*) FILTER (WHERE NOT j.member AND o.member),
               (array_agg(r.id ORDER BY r.id DESC) FILTER (WHERE j.member))[1:10], min(j.next_at)
        FROM crm.%1$I AS r
        CROSS JOIN LATERAL crm_internal.judge_segment($1, r.id, to_jsonb(r), $2) AS j
        LEFT JOIN crm.segment_states AS o ON o.tenant_id = r.tenant_id AND o.segment_id = $3 AND o.subject_id = r.id
        WHERE r.tenant_id = $4
        $q$, s.subject_table) USING s, as_of, s.id, s.tenant_id;
END
$$;
COMMENT ON FUNCTION crm.preview_segment(jsonb, timestamptz) IS
'What a segment would be before it is defined: rows of its table, members at an instant, who would enter and leave in comparison to the segment of that name, up to ten members, the next instant at which time changes it. Errors as crm.define_segment.';

CREATE OR REPLACE FUNCTION crm.refresh_segment(segment text)
RETURNS crm.segments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
BEGIN
    PERFORM crm_internal.refresh_segment(s, 'definition');
    RETURN crm_internal.segment_named(segment);
END
$$;
COMMENT ON FUNCTION crm.refresh_segment(text) IS
'Computes all members of a segment anew and returns it. Needed only after triggers were switched off, or RFM edges renewed. Error P0002.';

CREATE OR REPLACE FUNCTION crm.segment_members_at(segment text, as_of timestamptz DEFAULT now())
RETURNS TABLE (subject_id bigint, since timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
BEGIN
    -- whose next instant is still to come, and of the others whoever it leaves inside
    RETURN QUERY
        SELECT x.subject_id, x.changed_at FROM crm.segment_states AS x
        WHERE x.tenant_id = s.tenant_id AND x.segment_id = s.id AND s.active AND x.member AND (x.next_at IS NULL OR x.next_at > as_of)
        UNION ALL
        SELECT x.subject_id, CASE WHEN x.member THEN x.changed_at ELSE x.next_at END FROM crm.segment_states AS x
        WHERE x.tenant_id = s.tenant_id AND x.segment_id = s.id AND x.next_at <= as_of
          AND (SELECT j.member FROM crm_internal.judge_segment(s, x.subject_id, crm_internal.segment_row_of(s.subject_table, s.tenant_id, x.subject_id), as_of) AS j);
END
$$;
COMMENT ON FUNCTION crm.segment_members_at(text, timestamptz) IS
'Members of a segment at an instant from now on, and since when; right also where the worker has not come round. Ids alone: what is behind them is subject to the rights of the reader. Error P0002.';

CREATE OR REPLACE VIEW crm.segment_members WITH (security_invoker = true) AS
SELECT s.tenant_id, s.id AS segment_id, s.name AS segment, s.subject_table, m.subject_id, m.since
FROM crm.segments AS s
CROSS JOIN LATERAL crm.segment_members_at(s.name) AS m
WHERE s.tenant_id = crm.tenant_id() AND s.active;
COMMENT ON VIEW crm.segment_members IS 'One row per segment and member, right at this moment.';

CREATE OR REPLACE FUNCTION crm.segments_of(subject_table text, subject_id bigint, as_of timestamptz DEFAULT now())
RETURNS TABLE (segment_id bigint, segment text, since timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.id, s.name, x.changed_at
    FROM crm.segments AS s
    JOIN crm.segment_states AS x ON x.tenant_id = s.tenant_id AND x.segment_id = s.id AND x.subject_id = segments_of.subject_id
    WHERE s.tenant_id = crm.tenant_id() AND s.subject_table = segments_of.subject_table AND s.active
      AND CASE WHEN x.next_at IS NULL OR x.next_at > as_of THEN x.member
               ELSE (SELECT j.member FROM crm_internal.judge_segment(s, x.subject_id, crm_internal.segment_row_of(s.subject_table, s.tenant_id, x.subject_id), as_of) AS j) END
    ORDER BY s.name
$$;
COMMENT ON FUNCTION crm.segments_of(text, bigint, timestamptz) IS 'Segments that a lead, account or contact belongs to at an instant from now on.';

CREATE OR REPLACE FUNCTION crm.add_to_segment(segment text, subject_ids bigint[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
    wrong text;
    n bigint := 0;
    i bigint;
BEGIN
    IF s.kind <> 'static' THEN
        RAISE EXCEPTION 'segment "%" follows its definition', segment USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Only static segments are lists.';
    END IF;
    SELECT string_agg(x::text, ', ') INTO wrong FROM unnest(subject_ids) AS x
    WHERE crm_internal.segment_row_of(s.subject_table, s.tenant_id, x) IS NULL;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'these are not in crm.%: %', s.subject_table, wrong USING ERRCODE = 'foreign_key_violation';
    END IF;
    FOR i IN SELECT DISTINCT x FROM unnest(subject_ids) AS x WHERE x IS NOT NULL ORDER BY x LOOP
        IF crm_internal.set_segment_state(s, i, true, NULL, 'list', now()) THEN
            n := n + 1;
            PERFORM crm_internal.touch_segments(s.tenant_id, s.subject_table, i,
                ARRAY(SELECT o.id FROM crm.segments AS o WHERE o.tenant_id = s.tenant_id AND o.refers_to_ids @> ARRAY[s.id] AND o.active), NULL, NULL);
        END IF;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.add_to_segment(text, bigint[]) IS
'Puts leads, accounts or contacts on a static segment; returns how many were not there yet. Errors: P0002, 55000 a dynamic segment, 23503 unknown ids.';

CREATE OR REPLACE FUNCTION crm.remove_from_segment(segment text, subject_ids bigint[])
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
    n bigint := 0;
    i bigint;
BEGIN
    IF s.kind <> 'static' THEN
        RAISE EXCEPTION 'segment "%" follows its definition', segment USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Only static segments are lists.';
    END IF;
    FOR i IN SELECT DISTINCT x FROM unnest(subject_ids) AS x WHERE x IS NOT NULL ORDER BY x LOOP
        IF crm_internal.set_segment_state(s, i, false, NULL, 'list', now()) THEN
            n := n + 1;
            PERFORM crm_internal.touch_segments(s.tenant_id, s.subject_table, i,
                ARRAY(SELECT o.id FROM crm.segments AS o WHERE o.tenant_id = s.tenant_id AND o.refers_to_ids @> ARRAY[s.id] AND o.active), NULL, NULL);
        END IF;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.remove_from_segment(text, bigint[]) IS
'Takes leads, accounts or contacts off a static segment; returns how many were on it. Errors: P0002, 55000 a dynamic segment.';

-- ---- time ----

CREATE OR REPLACE FUNCTION crm.next_segment_change_at()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT min(s.next_at) FROM crm.segment_states AS s WHERE s.next_at IS NOT NULL $$;
COMMENT ON FUNCTION crm.next_segment_change_at() IS 'When time alone may next change a membership; NULL: never.';

CREATE OR REPLACE FUNCTION crm.advance_segments(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due record;
    reached crm.segment_states;
    n bigint := 0;
BEGIN
    reached.next_at := '-infinity';
    reached.tenant_id := 0;
    reached.segment_id := 0;
    reached.subject_id := 0;
    -- in the order of time, one by one: a change may bring another that is due too, of this segment or of one that refers to it
    WHILE n < batch LOOP
        SELECT x.tenant_id, x.segment_id, x.subject_id, x.next_at, s.subject_table INTO due
        FROM crm.segment_states AS x JOIN crm.segments AS s ON s.tenant_id = x.tenant_id AND s.id = x.segment_id
        -- what comes is later than what was: a segment that fails is not tried twice
        WHERE x.next_at <= as_of AND x.next_at >= reached.next_at
          AND (x.next_at, x.tenant_id, x.segment_id, x.subject_id) > (reached.next_at, reached.tenant_id, reached.segment_id, reached.subject_id)
        ORDER BY x.next_at, x.tenant_id, x.segment_id, x.subject_id
        LIMIT 1 FOR UPDATE OF x SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        reached.next_at := due.next_at;
        reached.tenant_id := due.tenant_id;
        reached.segment_id := due.segment_id;
        reached.subject_id := due.subject_id;
        -- each change at its own instant: who came in and went out again meanwhile did both
        PERFORM crm_internal.touch_segments(due.tenant_id, due.subject_table, due.subject_id, ARRAY[due.segment_id], NULL, NULL, 'time', due.next_at);
        n := n + 1;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.advance_segments(timestamptz, integer) IS
'Writes down the memberships that time alone has changed by as_of, each at its instant, for at most batch of them. Returns how many were looked at: call again while it is batch. A maintenance task; for the owner of the CRM.';

CREATE OR REPLACE FUNCTION crm.verify_segment(segment text)
RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s crm.segments := crm_internal.segment_named(segment);
    n bigint;
BEGIN
    IF s.kind = 'static' THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT count(*) FROM (SELECT r.id FROM crm.%I AS r CROSS JOIN LATERAL crm_internal.judge_segment($1, r.id, to_jsonb(r), now()) AS j
                    WHERE r.tenant_id = $2 AND j.member) AS a FULL JOIN crm.segment_members_at($3) AS m ON m.subject_id = a.id
                    WHERE a.id IS NULL OR m.subject_id IS NULL', s.subject_table)
    INTO n USING s, s.tenant_id, segment;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.verify_segment(text) IS
'How many subjects a computation from nothing would put elsewhere; 0 where the segment is right. Error P0002.';

CREATE OR REPLACE VIEW crm_analytics.segment_sizes WITH (security_invoker = true) AS
SELECT s.tenant_id, s.id AS segment_id, s.name AS segment, s.subject_table, s.kind,
       (SELECT count(*) FROM crm.segment_members_at(s.name)) AS members,
       (SELECT count(*) FROM crm.segment_events AS e WHERE e.tenant_id = s.tenant_id AND e.segment_id = s.id AND e.direction = 'enter'
          AND e.occurred_at > now() - interval '30 days') AS entered_30_days,
       (SELECT count(*) FROM crm.segment_events AS e WHERE e.tenant_id = s.tenant_id AND e.segment_id = s.id AND e.direction = 'leave'
          AND e.occurred_at > now() - interval '30 days') AS left_30_days
FROM crm.segments AS s
WHERE s.tenant_id = crm.tenant_id() AND s.active;
COMMENT ON VIEW crm_analytics.segment_sizes IS 'One row per active segment: its size now, and who entered and left within 30 days.';

-- ---- acquisition ----

CREATE OR REPLACE VIEW crm_analytics.acquisition_segments WITH (security_invoker = true) AS
WITH shared AS (
    SELECT l.tenant_id, l.id, l.created_at, l.closed_at, l.converted_at, o.state AS deal, o.base_amount AS amount, o.rate_missing,
           v.characteristic, v.value
    FROM crm.leads AS l
    LEFT JOIN crm_analytics.fact_opportunities AS o ON o.tenant_id = l.tenant_id AND o.opportunity_id = l.opportunity_id
    CROSS JOIN LATERAL (VALUES
        ('source', l.source), ('campaign', l.campaign), ('channel', l.channel), ('industry', l.industry), ('country', l.country::text),
        ('size', CASE WHEN l.employees < 10 THEN '1-9' WHEN l.employees < 50 THEN '10-49' WHEN l.employees < 250 THEN '50-249'
                      WHEN l.employees < 1000 THEN '250-999' WHEN l.employees >= 1000 THEN '1000+' END),
        ('source and industry', l.source || ' / ' || l.industry),
        ('industry and country', l.industry || ' / ' || l.country)) AS v (characteristic, value)
    WHERE v.value IS NOT NULL AND l.merged_into_id IS NULL
)
SELECT g.tenant_id, g.characteristic, g.value, g.prospects, g.open, g.converted, g.disqualified, g.converted / g.n AS conversion,
       -- Wilson's interval at 95 %: how far a small group can be believed
       (g.converted / g.n + 1.9207 / g.n - 1.96 * sqrt((g.converted / g.n * (1 - g.converted / g.n) + 0.9604 / g.n) / g.n)) / (1 + 3.8415 / g.n) AS conversion_low,
       (g.converted / g.n + 1.9207 / g.n + 1.96 * sqrt((g.converted / g.n * (1 - g.converted / g.n) + 0.9604 / g.n) / g.n)) / (1 + 3.8415 / g.n) AS conversion_high,
       g.won_deals, g.won_amount, g.won_amount / g.n::numeric AS value_per_closed_prospect, g.median_days_to_conversion, g.missing_rates
FROM (
    SELECT x.tenant_id, x.characteristic, x.value, count(*) AS prospects,
           count(*) FILTER (WHERE x.closed_at IS NULL) AS open,
           count(*) FILTER (WHERE x.converted_at IS NOT NULL) AS converted,
           count(*) FILTER (WHERE x.closed_at IS NOT NULL AND x.converted_at IS NULL) AS disqualified,
           nullif(count(*) FILTER (WHERE x.closed_at IS NOT NULL), 0)::double precision AS n,
           count(*) FILTER (WHERE x.deal = 'won') AS won_deals,
           coalesce(sum(x.amount) FILTER (WHERE x.deal = 'won'), 0) AS won_amount,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM x.converted_at - x.created_at) / 86400) AS median_days_to_conversion,
           count(*) FILTER (WHERE x.rate_missing) AS missing_rates
    FROM shared AS x
    GROUP BY x.tenant_id, x.characteristic, x.value
) AS g;
COMMENT ON VIEW crm_analytics.acquisition_segments IS
'One row per group of prospects with a shared characteristic (source, campaign, channel, industry, country, size, and two pairs): size, how they ended, conversion among the closed with its 95 per cent interval (Wilson 1927), deals won and their worth in the base currency, worth per closed prospect, median days to conversion. missing_rates: deals without an exchange rate, which count for nothing in the worth.';
