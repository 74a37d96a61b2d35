-- Journeys: what one says, what is wrong with it, and when it runs. What is done with its members stands in 62_journey_steps.sql.

CREATE OR REPLACE FUNCTION crm_internal.refuse_journey(wrong text, hint text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'journey: %', wrong USING ERRCODE = 'invalid_parameter_value', HINT = hint;
END
$$;
COMMENT ON FUNCTION crm_internal.refuse_journey(text, text) IS 'Error 22023 about the definition of a journey.';

CREATE OR REPLACE FUNCTION crm_internal.journey_keys(part jsonb, known text[], place text)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(part) IS DISTINCT FROM 'object' THEN
        PERFORM crm_internal.refuse_journey(place || ' must be an object', 'See docs/howto/journeys.md.');
    END IF;
    SELECT string_agg('"' || k || '"', ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(part) AS k WHERE k <> ALL (known);
    IF wrong IS NOT NULL THEN
        PERFORM crm_internal.refuse_journey(place || ' has unknown keys: ' || wrong, 'Known are ' || array_to_string(known, ', ') || '.');
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.journey_keys(jsonb, text[], text) IS 'Error 22023 where a part of a journey is no object or has unknown keys.';

CREATE OR REPLACE FUNCTION crm_internal.journey_span(said text, place text)
RETURNS interval
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    span interval;
BEGIN
    span := said::interval;
    IF said IS NOT NULL AND (span <= '0' OR span > '100 years') THEN
        PERFORM crm_internal.refuse_journey(place || ' must be longer than nothing and at most a hundred years', 'Write for instance "3 days".');
    END IF;
    RETURN span;
EXCEPTION WHEN invalid_datetime_format OR datetime_field_overflow OR interval_field_overflow THEN
    PERFORM crm_internal.refuse_journey(format('%s: "%s" is no length of time', place, said), 'Write for instance "3 days".');
END
$$;
COMMENT ON FUNCTION crm_internal.journey_span(text, text) IS 'A length of time in a journey; NULL: none was said. Error 22023.';

CREATE OR REPLACE FUNCTION crm_internal.journey_path(said text, place text)
RETURNS jsonpath
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN said::jsonpath;
EXCEPTION WHEN syntax_error THEN
    PERFORM crm_internal.refuse_journey(format('%s: "%s" is no SQL/JSON path', place, said), 'Write for instance "$.country == \"DE\"".');
END
$$;
COMMENT ON FUNCTION crm_internal.journey_path(text, text) IS 'A condition in a journey; NULL: none was said. Error 22023.';

-- ---- steps ----

CREATE OR REPLACE FUNCTION crm_internal.journey_target(said text, codes text[], place integer)
RETURNS integer
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF said IS NULL THEN
        RETURN CASE WHEN place < cardinality(codes) THEN place + 1 END;
    ELSIF said = 'end' THEN
        RETURN NULL;
    ELSIF array_position(codes, said) IS NULL THEN
        PERFORM crm_internal.refuse_journey(format('step "%s" goes on to "%s", which is no step', codes[place], said),
            'Steps are ' || array_to_string(codes, ', ') || '; "end" ends the journey.');
    END IF;
    RETURN array_position(codes, said);
END
$$;
COMMENT ON FUNCTION crm_internal.journey_target(text, text[], integer) IS
'Place of the step that a step goes on to: the one named, else the next; NULL: the end. Error 22023.';

CREATE OR REPLACE FUNCTION crm_internal.journey_parts(parts jsonb, codes text[], place integer)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p jsonb;
    made jsonb := '[]';
BEGIN
    IF jsonb_typeof(parts) IS DISTINCT FROM 'array' OR jsonb_array_length(parts) < 2 THEN
        PERFORM crm_internal.refuse_journey(format('step "%s" splits into fewer than two parts', codes[place]),
            'Write "parts": [{"part": "a", "then": "x"}, {"part": "b", "then": "y"}].');
    END IF;
    FOR p IN SELECT * FROM jsonb_array_elements(parts) LOOP
        PERFORM crm_internal.journey_keys(p, '{part,weight,then}', format('a part of step "%s"', codes[place]));
        IF coalesce(p ->> 'part', '') = '' OR made @> jsonb_build_array(jsonb_build_object('part', p -> 'part'))
           OR coalesce(jsonb_typeof(p -> 'weight'), 'number') <> 'number' OR coalesce((p ->> 'weight')::numeric, 1) <= 0 THEN
            PERFORM crm_internal.refuse_journey(format('a part of step "%s" has no name of its own or no weight above zero', codes[place]),
                'Write {"part": "a", "weight": 1, "then": "x"}.');
        END IF;
        made := made || jsonb_build_object('part', p -> 'part', 'weight', coalesce((p ->> 'weight')::numeric, 1),
            'place', crm_internal.journey_target(p ->> 'then', codes, place));
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm_internal.journey_parts(jsonb, text[], integer) IS 'Parts of a split, with the places they go on to. Error 22023.';

CREATE OR REPLACE FUNCTION crm_internal.journey_compiled(definition jsonb)
RETURNS TABLE (place integer, code text, kind text, settings jsonb, then_place integer, other_place integer)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known CONSTANT jsonb := '{"send": ["template", "purpose", "channel", "data", "expires", "refused"],
        "wait": ["for", "business_hours", "business_days", "calendar", "until"], "await": ["event", "where", "within", "otherwise"],
        "branch": ["where", "otherwise"], "split": ["parts"], "task": ["kind", "subject", "body", "due", "owner"], "set": ["column", "value"],
        "enrol": ["journey", "campaign"], "exit": ["reason"]}';
    steps CONSTANT jsonb := definition -> 'steps';
    codes text[];
    s jsonb;
BEGIN
    IF jsonb_typeof(steps) IS DISTINCT FROM 'array' OR jsonb_array_length(steps) NOT BETWEEN 1 AND 200 THEN
        PERFORM crm_internal.refuse_journey('"steps" must be a list of 1 to 200 steps', 'Write [{"do": "wait", "for": "3 days"}, ...].');
    END IF;
    SELECT array_agg(coalesce(e.s ->> 'step', concat(e.s ->> 'do', '_', e.n)) ORDER BY e.n) INTO codes
    FROM jsonb_array_elements(steps) WITH ORDINALITY AS e (s, n);
    FOR s, place IN SELECT e.s, e.n FROM jsonb_array_elements(steps) WITH ORDINALITY AS e (s, n) ORDER BY e.n LOOP
        code := codes[place];
        kind := s ->> 'do';
        IF kind IS NULL OR NOT known ? kind THEN
            PERFORM crm_internal.refuse_journey(format('step "%s" does "%s", which is nothing known', code, kind),
                '"do" is one of ' || (SELECT string_agg(k, ', ' ORDER BY k) FROM jsonb_object_keys(known) AS k) || '.');
        END IF;
        IF code !~ '^[a-z][a-z0-9_]*$' OR code = 'end' OR cardinality(array_positions(codes, code)) > 1 THEN
            PERFORM crm_internal.refuse_journey(format('"%s" cannot be the name of a step', code),
                'Names are small letters, digits and _, each once; "end" is the end of the journey.');
        END IF;
        PERFORM crm_internal.journey_keys(s, ARRAY(SELECT jsonb_array_elements_text(known -> kind)) || '{step,do,then}', format('step "%s"', code));
        settings := s - '{step,do,then,otherwise,refused}'::text[];
        then_place := CASE WHEN kind NOT IN ('exit', 'split') THEN crm_internal.journey_target(s ->> 'then', codes, place) END;
        other_place := CASE WHEN kind IN ('await', 'branch') THEN crm_internal.journey_target(s ->> 'otherwise', codes, place)
                            WHEN kind = 'send' THEN CASE WHEN s ? 'refused' THEN crm_internal.journey_target(s ->> 'refused', codes, place)
                                                         ELSE then_place END END;
        IF kind = 'split' THEN
            settings := jsonb_build_object('parts', crm_internal.journey_parts(s -> 'parts', codes, place));
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.journey_compiled(jsonb) IS 'Steps of a definition, with the places they go on to. Error 22023 for what is no definition.';

-- Steps from one to the next: (from, to).
CREATE OR REPLACE FUNCTION crm_internal.journey_edges(tenant bigint, version_id bigint)
RETURNS TABLE (a integer, b integer, waits boolean)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT s.place, t.place, s.kind IN ('wait', 'await')
    FROM crm.journey_steps AS s
    CROSS JOIN LATERAL (SELECT s.then_place UNION SELECT s.other_place
                        UNION SELECT (p ->> 'place')::integer FROM jsonb_array_elements(coalesce(s.settings -> 'parts', '[]')) AS p) AS t (place)
    WHERE s.tenant_id = tenant AND s.version_id = journey_edges.version_id AND t.place IS NOT NULL
$$;
COMMENT ON FUNCTION crm_internal.journey_edges(bigint, bigint) IS 'Which step of a version goes on to which, and whether time goes by before.';

CREATE OR REPLACE FUNCTION crm_internal.check_journey_circles(tenant bigint, version_id bigint)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    WITH RECURSIVE walk (a, b) AS (
        SELECT e.a, e.b FROM crm_internal.journey_edges(tenant, version_id) AS e WHERE NOT e.waits
        UNION SELECT w.a, e.b FROM walk AS w JOIN crm_internal.journey_edges(tenant, version_id) AS e ON e.a = w.b AND NOT e.waits)
    SELECT string_agg('"' || s.code || '"', ', ' ORDER BY s.place) INTO wrong FROM crm.journey_steps AS s
    WHERE s.tenant_id = tenant AND s.version_id = check_journey_circles.version_id AND EXISTS (SELECT FROM walk AS w WHERE w.a = s.place AND w.b = s.place);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'journey: steps % go round in a circle without a wait', wrong USING ERRCODE = 'CR204',
            HINT = 'A person would go round for ever in one instant. Put a step "wait" or "await" into the circle.';
    END IF;
    WITH RECURSIVE reached (place) AS (
        SELECT 1 UNION SELECT e.b FROM reached AS r JOIN crm_internal.journey_edges(tenant, version_id) AS e ON e.a = r.place)
    SELECT string_agg('"' || s.code || '"', ', ' ORDER BY s.place) INTO wrong FROM crm.journey_steps AS s
    WHERE s.tenant_id = tenant AND s.version_id = check_journey_circles.version_id AND NOT EXISTS (SELECT FROM reached AS r WHERE r.place = s.place);
    IF wrong IS NOT NULL THEN
        PERFORM crm_internal.refuse_journey('nobody comes to ' || wrong, 'Name it in "then", "otherwise" or a part, or leave it out.');
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey_circles(bigint, bigint) IS
'Error CR204 where steps go round without a wait, 22023 where nobody comes to a step.';

CREATE OR REPLACE FUNCTION crm_internal.check_journey_column(subject_table text, column_name text, value jsonb, step text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := 'crm.' || quote_ident(subject_table);
BEGIN
    IF column_name LIKE 'custom.%' THEN
        IF NOT EXISTS (SELECT FROM crm.custom_fields AS f WHERE f.tenant_id = crm.tenant_id() AND f.table_name = subject_table
                       AND f.name = substr(column_name, 8) AND f.active) THEN
            PERFORM crm_internal.refuse_journey(format('step "%s": %s has no custom field "%s"', step, subject_table, substr(column_name, 8)),
                'crm.custom_fields lists them.');
        END IF;
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped
                   AND a.attgenerated = '' AND a.attidentity = '')
       OR column_name = ANY ('{tenant_id,custom,version,created_at,updated_at,source_system,source_id}')
       OR EXISTS (SELECT FROM crm.column_rules AS r WHERE r.table_name = subject_table AND r.column_name = check_journey_column.column_name
                  AND r.purposes @> '{write}' AND r.rule = 'keep') THEN
        PERFORM crm_internal.refuse_journey(format('step "%s": "%s" is no column of %s that may be written', step, column_name, subject_table),
            'What the CRM writes itself, it writes itself. Custom fields are named custom.field.');
    END IF;
    BEGIN
        EXECUTE format('SELECT FROM jsonb_populate_record(NULL::%s, $1)', relation) USING jsonb_build_object(column_name, value);
    EXCEPTION WHEN data_exception THEN
        PERFORM crm_internal.refuse_journey(format('step "%s": %s cannot be a value of "%s"', step, value, column_name), SQLERRM);
    END;
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey_column(text, text, jsonb, text) IS 'Error 22023 where a step cannot write a column.';

CREATE OR REPLACE FUNCTION crm_internal.check_journey_wait(s crm.journey_steps)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place CONSTANT text := format('step "%s"', s.code);
BEGIN
    IF (SELECT count(*) FROM jsonb_object_keys(s.settings) AS k WHERE k <> 'calendar') <> 1 THEN
        PERFORM crm_internal.refuse_journey(place || ' waits for more or less than one thing', 'Say one of for, business_hours, business_days, until.');
    END IF;
    PERFORM crm_internal.journey_span(s.settings ->> 'for', place);
    IF s.settings ?| '{business_hours,business_days}' THEN
        IF jsonb_path_exists(s.settings, '$.keyvalue() ? (@.key starts with "business").value ? (@.type() != "number" || @ <= 0 || @ > 10000)')
           OR jsonb_path_exists(s.settings, '$.business_days ? (@.floor() != @)') THEN
            PERFORM crm_internal.refuse_journey(place || ' waits for a number above 0 of business hours, or a whole one of days',
                'Write {"business_days": 2}.');
        END IF;
        IF NOT EXISTS (SELECT FROM crm.calendars AS c WHERE c.tenant_id = s.tenant_id AND c.code = s.settings ->> 'calendar') THEN
            PERFORM crm_internal.refuse_journey(format('%s: there is no calendar "%s"', place, s.settings ->> 'calendar'),
                coalesce('Known are ' || (SELECT string_agg(c.code, ', ' ORDER BY c.code) FROM crm.calendars AS c WHERE c.tenant_id = s.tenant_id) || '.',
                         'crm.define_calendar() makes one.'));
        END IF;
    ELSIF s.settings ? 'until' THEN
        PERFORM crm_internal.journey_keys(s.settings -> 'until', '{time,day}', place || ': "until"');
        IF coalesce(s.settings #>> '{until,time}', '00:00') !~ '^([01]?\d|2[0-3]):[0-5]\d$'
           OR coalesce(s.settings #>> '{until,day}', 'monday') <> ALL ('{monday,tuesday,wednesday,thursday,friday,saturday,sunday}'::text[])
           OR s.settings -> 'until' = '{}' THEN
            PERFORM crm_internal.refuse_journey(place || ' waits for no day or hour',
                'Write {"until": {"day": "monday", "time": "09:00"}}, or one of the two.');
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey_wait(crm.journey_steps) IS 'What is wrong with a step that waits: error 22023.';

CREATE OR REPLACE FUNCTION crm_internal.check_journey_send(j crm.journeys, s crm.journey_steps)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place CONSTANT text := format('step "%s"', s.code);
    channel CONSTANT text := coalesce(s.settings ->> 'channel', 'email');
BEGIN
    IF NOT EXISTS (SELECT FROM crm.message_templates AS m WHERE m.tenant_id = s.tenant_id AND m.code = s.settings ->> 'template' AND m.channel = channel
                   AND m.subject_table = j.people AND m.active) THEN
        PERFORM crm_internal.refuse_journey(format('%s: there is no template "%s" for %s by %s', place, s.settings ->> 'template', j.people, channel),
            'crm.message_templates lists them.');
    ELSIF NOT EXISTS (SELECT FROM crm.message_purposes AS p WHERE p.tenant_id = s.tenant_id AND p.code = s.settings ->> 'purpose' AND p.active) THEN
        PERFORM crm_internal.refuse_journey(format('%s: there is no purpose "%s"', place, s.settings ->> 'purpose'),
            'Known are ' || (SELECT string_agg(p.code, ', ' ORDER BY p.code) FROM crm.message_purposes AS p WHERE p.tenant_id = s.tenant_id
                AND p.active) || '.');
    ELSIF coalesce(jsonb_typeof(s.settings -> 'data'), 'object') <> 'object' THEN
        PERFORM crm_internal.refuse_journey(place || ': "data" must be an object', 'It holds the values of {{data....}} variables.');
    END IF;
    PERFORM crm_internal.journey_span(s.settings ->> 'expires', place);
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey_send(crm.journeys, crm.journey_steps) IS 'What is wrong with a step that sends: error 22023.';

CREATE OR REPLACE FUNCTION crm_internal.check_journey_step(j crm.journeys, s crm.journey_steps)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place CONSTANT text := format('step "%s"', s.code);
BEGIN
    IF s.kind = 'send' THEN
        PERFORM crm_internal.check_journey_send(j, s);
    ELSIF s.kind = 'wait' THEN
        PERFORM crm_internal.check_journey_wait(s);
    ELSIF s.kind = 'await' THEN
        PERFORM crm_internal.check_event_kinds(ARRAY[s.settings ->> 'event']);
        PERFORM crm_internal.journey_span(s.settings ->> 'within', place), crm_internal.journey_path(s.settings ->> 'where', place);
    ELSIF s.kind = 'branch' THEN
        IF crm_internal.journey_path(s.settings ->> 'where', place) IS NULL THEN
            PERFORM crm_internal.refuse_journey(place || ' has no condition',
                'Write {"do": "branch", "where": "$.country == \"DE\"", "then": "x", "otherwise": "y"}.');
        END IF;
    ELSIF s.kind = 'task' THEN
        PERFORM crm_internal.journey_span(s.settings ->> 'due', place);
        IF coalesce(s.settings ->> 'subject', '') = ''
           OR coalesce(s.settings ->> 'kind', 'task') <> ALL ('{call,mail,meeting,task,note,visit,message}'::text[])
           OR s.settings ? 'owner' AND NOT EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = s.tenant_id AND to_jsonb(u.id) = s.settings -> 'owner') THEN
            PERFORM crm_internal.refuse_journey(place || ' has no subject, an unknown kind of activity, or an owner who is no user',
                'Write {"do": "task", "kind": "call", "subject": "Call them", "due": "1 day"}; "owner" is the id of a user.');
        END IF;
    ELSIF s.kind = 'set' THEN
        PERFORM crm_internal.check_journey_column(j.people, s.settings ->> 'column', s.settings -> 'value', s.code);
    ELSIF s.kind = 'enrol' THEN
        IF num_nonnulls(s.settings ->> 'journey', s.settings ->> 'campaign') <> 1
           OR s.settings ? 'campaign' AND crm_internal.campaign_named(s.tenant_id, s.settings ->> 'campaign') IS NULL
           OR s.settings ? 'journey' AND NOT EXISTS (SELECT FROM crm.journeys AS o WHERE o.tenant_id = s.tenant_id AND o.name = s.settings ->> 'journey'
                                                     AND o.people = j.people AND o.status <> 'ended') THEN
            PERFORM crm_internal.refuse_journey(place || ' names no journey of the same people, and no campaign', 'Say one of journey and campaign, by name.');
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey_step(crm.journeys, crm.journey_steps) IS 'What is wrong with a step of a journey: error 22023.';

-- ---- entry, exit and goal ----

CREATE OR REPLACE FUNCTION crm_internal.check_journey_segment(j crm.journeys, said text, place text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF said IS NOT NULL AND NOT EXISTS (SELECT FROM crm.segments AS s WHERE s.tenant_id = j.tenant_id AND s.name = said
                                        AND s.subject_table = j.people AND s.active) THEN
        PERFORM crm_internal.refuse_journey(format('%s: there is no segment "%s" of %s', place, said, j.people), 'crm.segments lists them.');
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey_segment(crm.journeys, text, text) IS 'Error 22023 where a journey names a segment that is not there.';

CREATE OR REPLACE FUNCTION crm_internal.check_journey_rule(j crm.journeys, rule jsonb, known text[], place text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    e jsonb;
BEGIN
    IF rule IS NULL THEN
        RETURN;
    END IF;
    PERFORM crm_internal.journey_keys(rule, known, place);
    PERFORM crm_internal.check_journey_segment(j, rule ->> 'segment', place);
    PERFORM crm_internal.journey_path(rule ->> 'where', place);
    IF coalesce(jsonb_typeof(rule -> 'events'), 'array') <> 'array' OR coalesce(jsonb_typeof(rule -> 'stay'), 'boolean') <> 'boolean' THEN
        PERFORM crm_internal.refuse_journey(place || ': "events" must be a list, and "stay" true or false', 'Write "events": [{"event": "order.created"}].');
    END IF;
    FOR e IN SELECT * FROM jsonb_array_elements(coalesce(rule -> 'events', '[]')) LOOP
        PERFORM crm_internal.journey_keys(e, '{event,where}', place || ': an event');
        PERFORM crm_internal.check_event_kinds(ARRAY[e ->> 'event']), crm_internal.journey_path(e ->> 'where', place);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey_rule(crm.journeys, jsonb, text[], text) IS 'What is wrong with entry, exit or goal of a journey: error 22023.';

CREATE OR REPLACE FUNCTION crm_internal.check_journey(j crm.journeys, definition jsonb)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    entry CONSTANT jsonb := definition -> 'entry';
    reentry CONSTANT jsonb := coalesce(definition -> 'reentry', '"never"');
    campaign bigint;
BEGIN
    PERFORM crm_internal.check_journey_rule(j, entry, '{segment,events}', 'entry');
    PERFORM crm_internal.check_journey_rule(j, definition -> 'exit', '{segment,where,events}', 'exit');
    PERFORM crm_internal.check_journey_rule(j, definition -> 'goal', '{segment,where,events,stay}', 'goal');
    PERFORM crm_internal.journey_span(definition ->> 'late', 'late');
    IF jsonb_typeof(reentry) = 'object' THEN
        PERFORM crm_internal.journey_keys(reentry, '{after}', 'reentry');
        IF crm_internal.journey_span(reentry ->> 'after', 'reentry') IS NULL THEN
            PERFORM crm_internal.refuse_journey('reentry after what?', 'Write {"after": "90 days"}.');
        END IF;
    ELSIF reentry NOT IN ('"never"', '"always"') THEN
        PERFORM crm_internal.refuse_journey('reentry is never, always or after a time', 'Write "never", "always" or {"after": "90 days"}.');
    END IF;
    IF definition ? 'campaign' AND crm_internal.campaign_named(j.tenant_id, definition ->> 'campaign') IS NULL THEN
        PERFORM crm_internal.refuse_journey(format('there is no campaign "%s"', definition ->> 'campaign'), 'Name it by its code or name.');
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey(crm.journeys, jsonb) IS 'What is wrong with a journey besides its steps: error 22023.';

-- Journeys that enrol in each other, all with re-entry at any time, would pass a person round for ever.
CREATE OR REPLACE FUNCTION crm_internal.check_journey_rounds(j crm.journeys)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    round_trip boolean;
BEGIN
    WITH RECURSIVE leads_to (a, b) AS (
        SELECT o.id, n.id FROM crm.journeys AS o
        JOIN crm.journey_versions AS v ON v.tenant_id = o.tenant_id AND v.journey_id = o.id AND v.number = o.number
        JOIN crm.journey_steps AS s ON s.tenant_id = v.tenant_id AND s.version_id = v.id AND s.kind = 'enrol'
        JOIN crm.journeys AS n ON n.tenant_id = o.tenant_id AND n.name = s.settings ->> 'journey'
        WHERE o.tenant_id = j.tenant_id AND o.status <> 'ended' AND v.definition -> 'reentry' = '"always"'
    ), walk (b) AS (SELECT l.b FROM leads_to AS l WHERE l.a = j.id UNION SELECT l.b FROM walk AS w JOIN leads_to AS l ON l.a = w.b)
    SELECT EXISTS (SELECT FROM walk AS w WHERE w.b = j.id) INTO round_trip;
    IF round_trip THEN
        RAISE EXCEPTION 'journey "%" leads back to itself, with re-entry at any time all the way', j.name USING ERRCODE = 'CR204',
            HINT = 'A person would go round for ever. Give one of the journeys a reentry of never, or {"after": "30 days"}.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_journey_rounds(crm.journeys) IS 'Error CR204 where a journey leads back to itself through others without an end.';

-- ---- commands ----

CREATE OR REPLACE FUNCTION crm_internal.require_journey(name text)
RETURNS crm.journeys
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    j crm.journeys;
BEGIN
    SELECT x.* INTO j FROM crm.journeys AS x WHERE x.tenant_id = crm.tenant_id() AND x.name = require_journey.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no journey "%"', name USING ERRCODE = 'undefined_object', HINT = 'crm.journeys lists them; crm.define_journey() makes one.';
    END IF;
    RETURN j;
END
$$;
COMMENT ON FUNCTION crm_internal.require_journey(text) IS 'A journey of the tenant. Error 42704.';

CREATE OR REPLACE FUNCTION crm.define_journey(definition jsonb)
RETURNS crm.journeys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    j crm.journeys;
BEGIN
    PERFORM crm_internal.journey_keys(definition, '{name,subject_table,campaign,entry,reentry,exit,goal,late,steps}', 'the definition');
    PERFORM crm_internal.journey_compiled(definition);
    INSERT INTO crm.journeys AS x (tenant_id, name, people, seed)
    VALUES (t, definition ->> 'name', coalesce(definition ->> 'subject_table', 'contacts'), ('x' || left(md5(gen_random_uuid()::text), 15))::bit(60)::bigint)
    ON CONFLICT ON CONSTRAINT journeys_name_key DO UPDATE SET updated_at = now()
    RETURNING x.* INTO j;
    IF j.status = 'ended' OR j.number IS NOT NULL AND definition ? 'subject_table' AND definition ->> 'subject_table' <> j.people THEN
        RAISE EXCEPTION 'journey "%" is %, and of %', j.name, j.status, j.people
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new journey.';
    ELSIF definition ? 'subject_table' AND definition ->> 'subject_table' <> j.people THEN
        UPDATE crm.journeys AS x SET people = definition ->> 'subject_table' WHERE x.tenant_id = t AND x.id = j.id RETURNING x.* INTO j;
    END IF;
    UPDATE crm.journey_versions AS v SET definition = define_journey.definition, created_at = now(), created_by = crm.user_id()
    WHERE v.tenant_id = t AND v.journey_id = j.id AND v.published_at IS NULL;
    IF NOT FOUND THEN
        INSERT INTO crm.journey_versions (tenant_id, journey_id, number, definition) VALUES (t, j.id, coalesce(j.number, 0) + 1, definition);
    END IF;
    RETURN j;
END
$$;
COMMENT ON FUNCTION crm.define_journey(jsonb) IS
'Makes a journey, or the draft of its next version; a draft that is there is replaced, and what was published stays in force until crm.publish_journey(). '
'Keys: name, subject_table (contacts or leads), campaign, entry, reentry, exit, goal, late, steps; see docs/howto/journeys.md. Returns the journey. Errors: '
'22023 what is no definition, 55000 a journey that has ended or is of other people.';
SELECT crm.declare_function('crm.define_journey', 'manager');

CREATE OR REPLACE FUNCTION crm_internal.subscribe_journeys(tenant bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kinds text[];
BEGIN
    SELECT array_agg(DISTINCT k.kind ORDER BY k.kind) INTO kinds
    FROM crm.journeys AS j JOIN crm.journey_versions AS v ON v.tenant_id = j.tenant_id AND v.journey_id = j.id AND v.published_at IS NOT NULL
    CROSS JOIN LATERAL (
        SELECT e ->> 'event' FROM unnest('{entry,exit,goal}'::text[]) AS r, jsonb_array_elements(coalesce(v.definition #> ARRAY[r, 'events'], '[]')) AS e
        UNION SELECT s.settings ->> 'event' FROM crm.journey_steps AS s WHERE s.tenant_id = v.tenant_id AND s.version_id = v.id
            AND s.kind = 'await') AS k (kind)
    WHERE j.tenant_id = tenant AND j.status <> 'ended';
    IF kinds IS NOT NULL THEN
        PERFORM crm.subscribe('crm.journeys', kinds, notify => false);
    ELSIF EXISTS (SELECT FROM crm.event_subscriptions AS s WHERE s.tenant_id = tenant AND s.name = 'crm.journeys') THEN
        PERFORM crm.unsubscribe('crm.journeys');
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.subscribe_journeys(bigint) IS 'Follows the events that journeys of a company wait for, and no others.';

CREATE OR REPLACE FUNCTION crm.publish_journey(journey text)
RETURNS crm.journeys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    j crm.journeys := crm_internal.require_journey(journey);
    v crm.journey_versions;
BEGIN
    SELECT x.* INTO j FROM crm.journeys AS x WHERE x.tenant_id = j.tenant_id AND x.id = j.id FOR UPDATE;
    SELECT x.* INTO v FROM crm.journey_versions AS x WHERE x.tenant_id = j.tenant_id AND x.journey_id = j.id AND x.published_at IS NULL;
    IF v.id IS NULL OR j.status = 'ended' THEN
        RAISE EXCEPTION 'journey "%" has no draft to publish', j.name USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'crm.define_journey() writes one.';
    END IF;
    PERFORM crm_internal.check_journey(j, v.definition);
    INSERT INTO crm.journey_steps (tenant_id, version_id, place, code, kind, settings, then_place, other_place)
    SELECT j.tenant_id, v.id, c.place, c.code, c.kind, c.settings, c.then_place, c.other_place FROM crm_internal.journey_compiled(v.definition) AS c;
    PERFORM crm_internal.check_journey_step(j, s) FROM crm.journey_steps AS s WHERE s.tenant_id = j.tenant_id AND s.version_id = v.id;
    PERFORM crm_internal.check_journey_circles(j.tenant_id, v.id);
    UPDATE crm.journey_versions AS x SET published_at = now() WHERE x.tenant_id = v.tenant_id AND x.id = v.id;
    UPDATE crm.journeys AS x SET number = v.number, status = CASE x.status WHEN 'draft' THEN 'running' ELSE x.status END,
        campaign_id = crm_internal.campaign_named(j.tenant_id, v.definition ->> 'campaign')
    WHERE x.tenant_id = j.tenant_id AND x.id = j.id RETURNING x.* INTO j;
    PERFORM crm_internal.check_journey_rounds(j);
    PERFORM crm_internal.subscribe_journeys(j.tenant_id);
    PERFORM crm.wake_worker(now());
    RETURN j;
END
$$;
COMMENT ON FUNCTION crm.publish_journey(text) IS
'Puts the draft of a journey in force: people enter in it from now on, the first time the journey begins to run. Who is inside goes on in the version they '
'entered in (crm.move_journey_members() moves them). A published version is not changed any more. Returns the journey. Errors: 42704 no such journey, 55000 no '
'draft, CR204 a circle without a wait, 22023 what names a step, segment, template, purpose, event, column, calendar or campaign that is not there.';
SELECT crm.declare_function('crm.publish_journey', 'manager');

CREATE OR REPLACE FUNCTION crm_internal.keep_journey_version()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'a published version of a journey is not changed any more: people are inside'
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'crm.define_journey() and crm.publish_journey() make the next one.';
END
$$;
COMMENT ON FUNCTION crm_internal.keep_journey_version() IS 'Row trigger of versions and steps: what was published stays. Error 55000.';
CREATE OR REPLACE TRIGGER journey_versions_before_keep BEFORE UPDATE ON crm.journey_versions
    FOR EACH ROW WHEN (OLD.published_at IS NOT NULL) EXECUTE FUNCTION crm_internal.keep_journey_version();
CREATE OR REPLACE TRIGGER journey_steps_before_keep BEFORE UPDATE ON crm.journey_steps
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_journey_version();

CREATE OR REPLACE FUNCTION crm.move_journey(journey text, status text)
RETURNS crm.journeys
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    j crm.journeys := crm_internal.require_journey(journey);
BEGIN
    SELECT x.* INTO j FROM crm.journeys AS x WHERE x.tenant_id = j.tenant_id AND x.id = j.id FOR UPDATE;
    IF status IS NULL OR status NOT IN ('running', 'paused', 'ended') THEN
        RAISE EXCEPTION 'a journey becomes running, paused or ended, not "%"', status USING ERRCODE = 'invalid_parameter_value';
    ELSIF j.status = status THEN
        RETURN j;
    ELSIF j.status IN ('draft', 'ended') THEN
        RAISE EXCEPTION 'journey "%" is %, and cannot become %', j.name, j.status, status USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = CASE j.status WHEN 'draft' THEN 'crm.publish_journey() starts it.' ELSE 'Make a new journey.' END;
    END IF;
    UPDATE crm.journeys AS x SET status = move_journey.status WHERE x.tenant_id = j.tenant_id AND x.id = j.id RETURNING x.* INTO j;
    IF j.status = 'ended' THEN
        UPDATE crm.journey_members AS m SET status = 'left', left_at = now(), left_because = 'ended', place = NULL, due_at = NULL, awaits = NULL, trouble = NULL
        WHERE m.tenant_id = j.tenant_id AND m.journey_id = j.id AND m.status = 'active';
        PERFORM crm_internal.subscribe_journeys(j.tenant_id);
    END IF;
    PERFORM crm.wake_worker(now());
    RETURN j;
END
$$;
COMMENT ON FUNCTION crm.move_journey(text, text) IS
'Pauses a journey (paused), lets it go on (running) or ends it for good (ended: who is inside leaves), and returns it. Harmless the second time. Errors: '
'42704, 22023 another status, 55000 a draft, or one that has ended.';
SELECT crm.declare_function('crm.move_journey', 'manager');
