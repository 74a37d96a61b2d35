-- Segments: definitions, and who belongs to them.

-- ---- definitions ----

CREATE OR REPLACE FUNCTION crm_internal.segment_bounds(value jsonb, what text)
RETURNS numrange
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF value IS NULL THEN
        RETURN NULL;
    END IF;
    IF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) <> 2
       OR jsonb_typeof(value -> 0) NOT IN ('number', 'null') OR jsonb_typeof(value -> 1) NOT IN ('number', 'null') THEN
        RAISE EXCEPTION 'segment: "%" must be [least, most], null for no limit', what
            USING ERRCODE = 'CR403', HINT = 'Write it as [5, null] for 5 and more, [null, 5] for at most 5.';
    END IF;
    IF (value ->> 0)::numeric > (value ->> 1)::numeric THEN
        RAISE EXCEPTION 'segment: "%" has its least above its most', what USING ERRCODE = 'CR403', HINT = 'Write the smaller number first.';
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
#variable_conflict use_variable
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
        RAISE EXCEPTION 'segment: "%" must be more than nothing and at most 1000 years', what
            USING ERRCODE = 'CR403', HINT = 'Write it as "30 days".';
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
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(value) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'segment: "%" must be an object', what
            USING ERRCODE = 'CR403', HINT = format('Write it as {"%s": ...}; known keys are %s.', known[1], array_to_string(known, ', '));
    END IF;
    SELECT string_agg(k, ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(value) AS k WHERE k <> ALL (known);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'segment: "%" has keys nobody knows: %', what, wrong USING ERRCODE = 'CR403',
            HINT = format('Known are %s.', array_to_string(known, ', '));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_keys(jsonb, text[], text) IS 'Refuses unknown keys.';

CREATE OR REPLACE FUNCTION crm_internal.segment_age(s crm.segments, part jsonb)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.segment_keys(part, '{column,from,to}', 'age');
    IF NOT EXISTS (SELECT FROM pg_attribute AS a
                   WHERE a.attrelid = crm.require_registered(s.subject_table, 'segments') AND a.attname = part ->> 'column' AND NOT a.attisdropped
                     AND a.atttypid IN ('timestamptz'::regtype, 'date'::regtype)) THEN
        RAISE EXCEPTION 'segment: "age" needs a column of type timestamptz or date of table "%"', s.subject_table
            USING ERRCODE = 'CR403', HINT = 'Name one in "column", for instance {"column": "created_at", "from": "30 days"}.';
    END IF;
    IF NOT part ?| '{from,to}' OR crm_internal.segment_span(part ->> 'from', 'from') >= crm_internal.segment_span(part ->> 'to', 'to') THEN
        RAISE EXCEPTION 'segment: "age" needs from, to, or both with from below to'
            USING ERRCODE = 'CR403', HINT = 'Write ages as {"column": "created_at", "from": "30 days", "to": "90 days"}.';
    END IF;
    RETURN '{age}';
END
$$;
COMMENT ON FUNCTION crm_internal.segment_age(crm.segments, jsonb) IS 'Checks the age that a segment asks for; what that looks at.';

CREATE OR REPLACE FUNCTION crm_internal.segment_events(s crm.segments, parts jsonb)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    part jsonb;
    key text;
    uses text[] := '{}';
BEGIN
    IF jsonb_typeof(parts) <> 'array' THEN
        RAISE EXCEPTION 'segment: "events" must be an array'
            USING ERRCODE = 'CR403', HINT = 'Write them as [{"source": "activities", "at_least": 3, "within": "30 days"}].';
    END IF;
    FOR part IN SELECT * FROM jsonb_array_elements(parts) LOOP
        PERFORM crm_internal.segment_keys(part, '{source,kind,where,within,at_least,at_most}', 'events');
        PERFORM crm_internal.segment_span(part ->> 'within', 'within');
        IF part ? 'where' THEN
            PERFORM (part ->> 'where')::jsonpath;
        END IF;
        key := coalesce(part ->> 'source', CASE s.subject_table WHEN 'leads' THEN 'score_events' ELSE 'activities' END);
        PERFORM crm_internal.require_told(s.subject_table, key);
        IF NOT part ?| '{at_least,at_most}' OR jsonb_path_exists(part, '$.keyvalue() ? (@.key starts with "at_").value ? (@.type() != "number" || @ < 0 || @ > 10000 || @.floor() != @)')
           OR (part ->> 'at_least')::integer > (part ->> 'at_most')::integer THEN
            RAISE EXCEPTION 'segment: "events" needs at_least or at_most, whole numbers from 0 to 10000'
                USING ERRCODE = 'CR403', HINT = 'Write for instance "at_least": 3, or "at_most": 0 for none.';
        END IF;
        uses := uses || key;
    END LOOP;
    RETURN uses;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_events(crm.segments, jsonb) IS 'Checks the events that a segment counts; the tables that tell of them.';

CREATE OR REPLACE FUNCTION crm_internal.segment_orders(s crm.segments, part jsonb)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key text;
BEGIN
    PERFORM crm_internal.segment_keys(part, '{within,count,revenue,margin}', 'orders');
    PERFORM crm_internal.segment_span(part ->> 'within', 'within');
    IF s.subject_table NOT IN ('accounts', 'contacts') THEN
        RAISE EXCEPTION 'segment: % have no orders', s.subject_table
            USING ERRCODE = 'CR403', HINT = 'Ask for the orders of accounts or contacts.';
    END IF;
    IF NOT part ?| '{count,revenue,margin}' THEN
        RAISE EXCEPTION 'segment: "orders" needs count, revenue or margin'
            USING ERRCODE = 'CR403', HINT = 'Write for instance {"revenue": [1000, null], "within": "365 days"}.';
    END IF;
    FOREACH key IN ARRAY '{count,revenue,margin}'::text[] LOOP
        PERFORM crm_internal.segment_bounds(part -> key, key);
    END LOOP;
    RETURN '{orders}';
END
$$;
COMMENT ON FUNCTION crm_internal.segment_orders(crm.segments, jsonb) IS 'Checks the orders that a segment adds up; what that looks at.';

CREATE OR REPLACE FUNCTION crm_internal.segment_rfm(s crm.segments, part jsonb)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key text;
BEGIN
    PERFORM crm_internal.segment_keys(part, '{recency,frequency,monetary}', 'rfm');
    IF s.subject_table <> 'accounts' THEN
        RAISE EXCEPTION 'segment: only accounts have RFM scores'
            USING ERRCODE = 'CR403', HINT = 'Make it a segment of accounts: "subject_table": "accounts".';
    END IF;
    FOREACH key IN ARRAY '{recency,frequency,monetary}'::text[] LOOP
        PERFORM crm_internal.segment_bounds(part -> key, key);
    END LOOP;
    RETURN '{orders}';
END
$$;
COMMENT ON FUNCTION crm_internal.segment_rfm(crm.segments, jsonb) IS 'Checks the RFM scores that a segment asks for; what they are made from.';

CREATE OR REPLACE FUNCTION crm_internal.segment_score(s crm.segments, part jsonb)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.segment_keys(part, '{model,points}', 'score');
    IF s.subject_table <> 'leads' THEN
        RAISE EXCEPTION 'segment: only leads have scores' USING ERRCODE = 'CR403', HINT = 'Make it a segment of leads: "subject_table": "leads".';
    END IF;
    IF crm_internal.segment_bounds(part -> 'points', 'points') IS NULL THEN
        RAISE EXCEPTION 'segment: "score" needs "points": [least, most]'
            USING ERRCODE = 'CR403', HINT = 'Write for instance {"points": [50, null]} for 50 points and more.';
    END IF;
    IF NOT EXISTS (SELECT FROM crm.score_models AS m
                   WHERE m.tenant_id = s.tenant_id AND (m.name = part ->> 'model' OR NOT part ? 'model')) THEN
        RAISE EXCEPTION 'segment: there is no score model "%"', part ->> 'model'
            USING ERRCODE = 'CR403', HINT = 'crm.score_models lists them by name; crm.define_score_model() makes one.';
    END IF;
    RETURN '{lead_scores}';
END
$$;
COMMENT ON FUNCTION crm_internal.segment_score(crm.segments, jsonb) IS 'Checks the points that a segment asks for; what that looks at.';

CREATE OR REPLACE FUNCTION crm_internal.segment_references(s crm.segments)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    d CONSTANT jsonb := s.definition;
    key text;
    names text[];
    circle text;
    found bigint[];
BEGIN
    FOREACH key IN ARRAY '{in,not_in}'::text[] LOOP
        IF d ? key AND jsonb_typeof(d -> key) <> 'array' THEN
            RAISE EXCEPTION 'segment: "%" must be an array of names of segments', key
                USING ERRCODE = 'CR403', HINT = 'Write it as ["name", "other name"].';
        END IF;
    END LOOP;
    names := ARRAY(SELECT jsonb_array_elements_text(coalesce(d -> 'in', '[]') || coalesce(d -> 'not_in', '[]')));
    SELECT string_agg(format('"%s"', n), ', ') INTO key FROM unnest(names) AS n
    WHERE NOT EXISTS (SELECT FROM crm.segments AS o
                      WHERE o.tenant_id = s.tenant_id AND o.name = n AND o.subject_table = s.subject_table)
      AND n <> s.name;
    IF key IS NOT NULL THEN
        RAISE EXCEPTION 'segment "%" refers to segments of % that are not there: %', s.name, s.subject_table, key
            USING ERRCODE = 'CR403', HINT = 'crm.segments lists them by name and table; define them first.';
    END IF;
    found := ARRAY(SELECT o.id FROM crm.segments AS o
                             WHERE o.tenant_id = s.tenant_id AND o.name = ANY (names) AND o.name <> s.name ORDER BY o.id);
    WITH RECURSIVE way AS (
        SELECT o.id, o.name, o.refers_to_ids, s.name || ' -> ' || o.name AS path
        FROM crm.segments AS o WHERE o.tenant_id = s.tenant_id AND o.id = ANY (found)
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
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_references(crm.segments) IS 'The segments that one refers to; refuses what is not there, and a circle.';

CREATE OR REPLACE FUNCTION crm_internal.segment_compile(segment crm.segments)
RETURNS crm.segments
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    d CONSTANT jsonb := segment.definition;
    s crm.segments := segment;
BEGIN
    PERFORM crm.require_registered(s.subject_table, 'segments');
    s.uses := '{}';
    s.refers_to_ids := '{}';
    s.condition := NULL;
    IF s.kind = 'static' THEN
        IF d <> '{}' THEN
            RAISE EXCEPTION 'static segment "%" has no definition', s.name
                USING ERRCODE = 'CR403', HINT = 'Leave the definition out: crm.add_to_segment() puts members in. Or leave "kind": "static" out.';
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
            RAISE EXCEPTION 'segment: "where" must be a SQL/JSON path'
                USING ERRCODE = 'CR403', HINT = 'Write it as a string, for instance "$.employees >= 50".';
        END IF;
        s.condition := (d ->> 'where')::jsonpath;
    END IF;
    IF d ? 'age' THEN
        s.uses := s.uses || crm_internal.segment_age(s, d -> 'age');
    END IF;
    IF d ? 'events' THEN
        s.uses := s.uses || crm_internal.segment_events(s, d -> 'events');
    END IF;
    IF d ? 'orders' THEN
        s.uses := s.uses || crm_internal.segment_orders(s, d -> 'orders');
    END IF;
    IF d ? 'rfm' THEN
        s.uses := s.uses || crm_internal.segment_rfm(s, d -> 'rfm');
    END IF;
    IF d ? 'score' THEN
        s.uses := s.uses || crm_internal.segment_score(s, d -> 'score');
    END IF;
    IF d ?| '{in,not_in}' THEN
        s.refers_to_ids := crm_internal.segment_references(s);
        s.uses := s.uses || 'segments'::text;
    END IF;
    RETURN s;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_compile(crm.segments) IS 'Checks a segment and fills what is kept of its definition.';

-- ---- judgement ----
-- lengths of time were checked by crm_internal.segment_span when the segment was defined, and are read here as it reads them

CREATE OR REPLACE FUNCTION crm_internal.judge_segment(segment crm.segments, subject bigint, doc jsonb, as_of timestamptz)
RETURNS TABLE (member boolean, next_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 500
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
        instants := crm_internal.segment_instants(segment, part, subject, coalesce(as_of - span, '-infinity'), as_of, greatest(low, high + 1, 1));
        member := member AND cardinality(instants) >= coalesce(low, 0) AND (high IS NULL OR cardinality(instants) <= high);
        next_at := least(next_at,
            CASE WHEN low > 0 AND cardinality(instants) >= low THEN instants[low] + span END,
            CASE WHEN high IS NOT NULL AND cardinality(instants) > high THEN instants[high + 1] + span END,
            (crm_internal.segment_instants(segment, part, subject, as_of, NULL, NULL))[1]);
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
        -- not crm.lead_score_at(): whose lead it is, and who looks, has no say here
        SELECT m.* INTO model FROM crm.score_models AS m
        WHERE m.tenant_id = t AND (m.name = d #>> '{score,model}' OR m.active AND d #>> '{score,model}' IS NULL)
        ORDER BY m.id LIMIT 1;
        IF model.id IS NULL THEN
            RAISE no_data_found USING MESSAGE = coalesce('there is no score model "' || (d #>> '{score,model}') || '"', 'there is no active score model');
        END IF;
        model := crm_internal.rules_at(model, as_of);
        state := crm_internal.state_at(model, subject, as_of);
        member := member AND coalesce(bounds @> (crm.points_score(model.definition, state, as_of)).score, false);
        next_at := least(next_at, crm.points_leaves(model.definition, state, as_of, lower(bounds)::double precision, upper(bounds)::double precision));
    END IF;

    IF segment.refers_to_ids <> '{}' THEN
        FOR other IN
            SELECT j.member, j.next_at, coalesce(d -> 'in' ? x.name, false) AS wanted
            FROM crm.segments AS x
            CROSS JOIN LATERAL crm_internal.segment_state(x.*, subject, doc, as_of) AS j
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
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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
#variable_conflict use_variable
DECLARE
    relation regclass;
    doc jsonb;
BEGIN
    CASE subject_table
        -- these from kept plans
        WHEN 'leads' THEN SELECT to_jsonb(x.*) INTO doc FROM crm.leads AS x WHERE x.tenant_id = tenant AND x.id = subject;
        WHEN 'accounts' THEN SELECT to_jsonb(x.*) INTO doc FROM crm.accounts AS x WHERE x.tenant_id = tenant AND x.id = subject;
        WHEN 'contacts' THEN SELECT to_jsonb(x.*) INTO doc FROM crm.contacts AS x WHERE x.tenant_id = tenant AND x.id = subject;
        ELSE
            relation := crm.subject_relation(subject_table);
            -- a table that was dropped has no rows
            IF relation IS NOT NULL THEN
                EXECUTE format('SELECT to_jsonb(x.*) FROM %s AS x WHERE x.tenant_id = $1 AND x.id = $2', relation) INTO doc USING tenant, subject;
            END IF;
    END CASE;
    RETURN doc;
END
$$;
COMMENT ON FUNCTION crm_internal.segment_row_of(text, bigint, bigint) IS 'The row a segment judges, as jsonb; NULL: it is gone.';

SELECT crm.declare_event('segment.entered', 'The record became a member of the segment.', '{"segment": {"type": "string"}, "cause": {"type": "string"},
    "at": {"type": "string"}}');
SELECT crm.declare_event('segment.left', 'The record is no member of the segment any more.', '{"segment": {"type": "string"}, "cause": {"type": "string"},
    "at": {"type": "string"}}');
SELECT crm.declare_event('segment.trouble', 'Whether the record is a member could not be found out.',
    '{"segment": {"type": "string"}, "sqlstate": {"type": "string"}, "message": {"type": "string"}}');
