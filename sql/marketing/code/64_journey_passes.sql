-- Journeys: passes over all companies, what happens to members from outside, and what would happen.

-- ---- events ----

CREATE OR REPLACE FUNCTION crm_internal.event_people(tenant bigint, subject_table text, subject_id bigint, wanted text)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.subject_relation(subject_table);
    record jsonb;
    person bigint;
    account bigint;
BEGIN
    IF subject_table = wanted THEN
        RETURN ARRAY[subject_id];
    ELSIF relation IS NULL OR subject_id IS NULL OR NOT crm.column_exists(relation, 'id') THEN
        RETURN '{}';
    END IF;
    EXECUTE format('SELECT to_jsonb(r) FROM %s AS r WHERE r.tenant_id = $1 AND r.id = $2', relation) INTO record USING tenant, subject_id;
    SELECT min((record ->> l.column_name)::bigint) FILTER (WHERE coalesce(l.target, record ->> l.target_column) = wanted),
           min((record ->> l.column_name)::bigint) FILTER (WHERE coalesce(l.target, record ->> l.target_column) = 'accounts') INTO person, account
    FROM crm.table_links(relation) AS l;
    IF person IS NOT NULL THEN
        RETURN ARRAY[person];
    ELSIF account IS NOT NULL AND wanted = 'contacts' THEN
        -- the record names nobody: it is about the account, and so about its people
        RETURN ARRAY(SELECT k.id FROM crm.contacts AS k WHERE k.tenant_id = tenant AND k.account_id = account ORDER BY k.id);
    END IF;
    RETURN '{}';
END
$$;
COMMENT ON FUNCTION crm_internal.event_people(bigint, text, bigint, text) IS
'Contacts or leads (wanted) whom an event about a record concerns: the record itself, whom it names, else the contacts of its account.';

CREATE OR REPLACE FUNCTION crm_internal.event_matches(rules jsonb, kind text, payload jsonb)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN EXISTS (SELECT FROM jsonb_array_elements(coalesce(rules, '[]')) AS r
                   WHERE crm_internal.kind_is_wanted(kind, ARRAY[r ->> 'event'])
                     AND (NOT r ? 'where' OR crm.path_holds(payload, (r ->> 'where')::jsonpath)));
END
$$;
COMMENT ON FUNCTION crm_internal.event_matches(jsonb, text, jsonb) IS 'Whether an event is one of those that a rule of a journey names.';

-- Steps that were due before something happened are done before it: what a member waits for at that instant is what counts.
CREATE OR REPLACE FUNCTION crm_internal.catch_up_members(tenant bigint, subject_table text, people bigint[], until timestamptz, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    late text[];
BEGIN
    FOR i IN 1 .. 100 LOOP
        late := ARRAY(SELECT m.id::text FROM crm.journey_members AS m JOIN crm.journeys AS j ON j.tenant_id = m.tenant_id AND j.id = m.journey_id
                      WHERE m.tenant_id = tenant AND m.subject_table = catch_up_members.subject_table AND m.subject_id = ANY (people)
                        AND m.status = 'active' AND m.due_at <= until AND m.trouble IS NULL AND j.status = 'running'
                      ORDER BY m.id FOR NO KEY UPDATE OF m);
        EXIT WHEN late = '{}' OR crm_internal.try_work('crm.run_journeys', 'crm_internal.take_steps', tenant, late, as_of) = 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.catch_up_members(bigint, text, bigint[], timestamptz, timestamptz) IS
'Does the steps of people that were due before an instant.';

CREATE OR REPLACE FUNCTION crm_internal.hear_event(e crm.events, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kind_of_people text;
    people bigint[];
    j crm.journeys;
    m record;
BEGIN
    FOREACH kind_of_people IN ARRAY '{contacts,leads}'::text[] LOOP
        people := crm_internal.event_people(e.tenant_id, e.subject_table, e.subject_id, kind_of_people);
        CONTINUE WHEN people = '{}';
        PERFORM crm_internal.catch_up_members(e.tenant_id, kind_of_people, people, e.created_at, as_of);
        FOR m IN SELECT x.id, x.awaits, x.goal_at, x.arrived_at, x.due_at, x.event_at, v.definition, s.settings
                 FROM crm.journey_members AS x
                 JOIN crm.journey_versions AS v ON v.tenant_id = x.tenant_id AND v.id = x.version_id
                 JOIN crm.journey_steps AS s ON s.tenant_id = x.tenant_id AND s.version_id = x.version_id AND s.place = x.place
                 WHERE x.tenant_id = e.tenant_id AND x.subject_table = kind_of_people AND x.subject_id = ANY (people) AND x.status = 'active'
                   AND x.entered_at < e.created_at
                 ORDER BY x.id FOR NO KEY UPDATE OF x LOOP
            IF crm_internal.event_matches(m.definition #> '{goal,events}', e.kind, e.payload) THEN
                IF coalesce((m.definition #>> '{goal,stay}')::boolean, false) THEN
                    UPDATE crm.journey_members AS x SET goal_at = coalesce(x.goal_at, e.created_at) WHERE x.tenant_id = e.tenant_id AND x.id = m.id;
                ELSE
                    PERFORM crm_internal.leave_journey(e.tenant_id, ARRAY[m.id], 'goal', e.created_at);
                END IF;
            END IF;
            IF crm_internal.event_matches(m.definition #> '{exit,events}', e.kind, e.payload) THEN
                PERFORM crm_internal.leave_journey(e.tenant_id, ARRAY[m.id], 'exit', e.created_at);
            END IF;
            IF m.awaits IS NOT NULL AND m.event_at IS NULL AND e.created_at > m.arrived_at AND (m.due_at IS NULL OR e.created_at < m.due_at)
               AND crm_internal.event_matches(jsonb_build_array(m.settings), e.kind, e.payload) THEN
                UPDATE crm.journey_members AS x SET event_at = e.created_at, due_at = e.created_at
                WHERE x.tenant_id = e.tenant_id AND x.id = m.id AND x.status = 'active';
            END IF;
        END LOOP;
        FOR j IN SELECT x.* FROM crm.journeys AS x
                 JOIN crm.journey_versions AS v ON v.tenant_id = x.tenant_id AND v.journey_id = x.id AND v.number = x.number
                 WHERE x.tenant_id = e.tenant_id AND x.status = 'running' AND x.people = kind_of_people
                   AND crm_internal.event_matches(v.definition #> '{entry,events}', e.kind, e.payload)
                 ORDER BY x.id LOOP
            PERFORM crm_internal.enter_journey(j, people, array_fill(e.created_at, ARRAY[cardinality(people)]), 'event', as_of);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.hear_event(crm.events, timestamptz) IS
'What an event does in journeys: people reach the goal, leave, go on from where they waited for it, or enter; each at its instant.';

CREATE OR REPLACE FUNCTION crm_internal.try_event(e crm.events, as_of timestamptz)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.hear_event(e, as_of);
    RETURN true;
EXCEPTION WHEN serialization_failure OR deadlock_detected OR lock_not_available THEN
    RAISE;      -- the whole pass is done again
WHEN OTHERS THEN
    PERFORM crm_internal.note_failed_work('crm.run_journeys', e.tenant_id, 'event ' || e.id, SQLSTATE, SQLERRM, as_of);
    RETURN false;
END
$$;
COMMENT ON FUNCTION crm_internal.try_event(crm.events, timestamptz) IS
'Hears an event, or writes down why it could not be heard and when it is tried again; whether it was heard.';

-- What could not be heard does not hold up what came later, so it is read off the subscription all the same, and tried again from the outbox.
CREATE OR REPLACE FUNCTION crm_internal.hear_failed_events(tenant bigint, as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    f record;
    n bigint := 0;
BEGIN
    FOR f IN SELECT w.item, x AS event FROM crm_internal.failed_work AS w
             -- other items are ids of members and journeys
             JOIN crm.events AS x ON x.tenant_id = w.tenant_id AND x.id = CASE WHEN w.item LIKE 'event %' THEN substr(w.item, 7)::bigint END
             WHERE w.function_name = 'crm.run_journeys' AND w.tenant_id = tenant AND w.retry_at <= as_of ORDER BY x.id LOOP
        IF crm_internal.try_event(f.event, as_of) THEN
            DELETE FROM crm_internal.failed_work AS w WHERE w.function_name = 'crm.run_journeys' AND w.tenant_id = tenant AND w.item = f.item;
            n := n + 1;
        END IF;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.hear_failed_events(bigint, timestamptz) IS
'Tries once more the events of a company that journeys could not hear and whose time has come; how many were heard.';

CREATE OR REPLACE FUNCTION crm_internal.hear_journey_events(as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t bigint;
    e crm.events;
    n bigint := 0;
    heard bigint;
BEGIN
    FOR t IN SELECT s.tenant_id FROM crm.event_subscriptions AS s WHERE s.name = 'crm.journeys' AND s.active ORDER BY 1 LOOP
        PERFORM set_config('crm.tenant', t::text, true);
        n := n + crm_internal.hear_failed_events(t, as_of);
        LOOP
            heard := 0;
            FOR e IN SELECT * FROM crm.read_events('crm.journeys', 'crm.run_journeys', 500) LOOP
                heard := heard + 1;
                PERFORM crm_internal.try_event(e, as_of);
            END LOOP;
            EXIT WHEN heard = 0;
            PERFORM crm.acknowledge_events('crm.journeys', 'crm.run_journeys');
            n := n + heard;
        END LOOP;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.hear_journey_events(timestamptz) IS 'Reads what journeys of all companies wait for; how many events there were.';

-- ---- entry by segment ----

CREATE OR REPLACE FUNCTION crm_internal.enter_by_segment(j crm.journeys, v crm.journey_versions, as_of timestamptz, batch integer)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    seg CONSTANT crm.segments := (SELECT s FROM crm.segments AS s WHERE s.tenant_id = j.tenant_id AND s.name = v.definition #>> '{entry,segment}');
    again CONSTANT boolean := coalesce(v.definition ->> 'reentry', 'never') <> 'never';
    since CONSTANT timestamptz := (SELECT min(x.published_at) FROM crm.journey_versions AS x WHERE x.tenant_id = j.tenant_id AND x.journey_id = j.id);
    r record;
BEGIN
    -- again only who left the segment and came back since
    SELECT array_agg(c.id ORDER BY c.id) AS ids, array_agg(c.at ORDER BY c.id) AS ats INTO r FROM (
        SELECT g.subject_id AS id, least(as_of, greatest(since, s.changed_at)) AS at
        FROM crm.segment_members_at(seg.name, as_of) AS g
        LEFT JOIN crm.segment_states AS s ON s.tenant_id = j.tenant_id AND s.segment_id = seg.id AND s.subject_id = g.subject_id AND s.member
        WHERE NOT EXISTS (SELECT FROM crm.journey_members AS m WHERE m.tenant_id = j.tenant_id AND m.journey_id = j.id AND m.subject_id = g.subject_id
                          AND (NOT again OR m.status = 'active' OR m.entered_at >= coalesce(s.changed_at, as_of)))
        ORDER BY 2, 1 LIMIT batch) AS c;
    IF r.ids IS NULL THEN
        RETURN 0;
    END IF;
    RETURN cardinality(crm_internal.enter_journey(j, r.ids, r.ats, 'segment', as_of));
END
$$;
COMMENT ON FUNCTION crm_internal.enter_by_segment(crm.journeys, crm.journey_versions, timestamptz, integer) IS
'Lets in who is in the segment of a journey and has not been inside since they came into it; how many. They enter at the instant they came into the segment.';

CREATE OR REPLACE FUNCTION crm_internal.enter_journeys(as_of timestamptz, batch integer)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    j crm.journeys;
    v crm.journey_versions;
    n bigint := 0;
BEGIN
    FOR j IN SELECT x.* FROM crm.journeys AS x
             WHERE x.status = 'running' AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = 'crm.run_journeys'
                   AND f.tenant_id = x.tenant_id AND f.item = 'journey ' || x.id AND f.retry_at > as_of)
             ORDER BY x.tenant_id, x.id LOOP
        SELECT x.* INTO v FROM crm.journey_versions AS x WHERE x.tenant_id = j.tenant_id AND x.journey_id = j.id AND x.number = j.number;
        CONTINUE WHEN v.definition #> '{entry,segment}' IS NULL;
        -- one pass at a time lets people in: two would wait for each other's rows
        CONTINUE WHEN NOT crm.try_lock('journey', j.tenant_id, j.id::text);
        BEGIN
            PERFORM set_config('crm.tenant', j.tenant_id::text, true);
            n := n + crm_internal.enter_by_segment(j, v, as_of, batch);
        EXCEPTION WHEN serialization_failure OR deadlock_detected OR lock_not_available THEN
            NULL;   -- it goes away by itself
        WHEN OTHERS THEN
            PERFORM crm_internal.note_failed_work('crm.run_journeys', j.tenant_id, 'journey ' || j.id, SQLSTATE, SQLERRM, as_of);
        END;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.enter_journeys(timestamptz, integer) IS 'Lets people into running journeys of all companies by their segments; how many.';

-- ---- passes ----

CREATE OR REPLACE FUNCTION crm_internal.do_journey_steps(awaiting boolean, as_of timestamptz, batch bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint := 0;
    k bigint;
BEGIN
    WHILE n < batch LOOP
        k := crm_internal.do_due('crm.run_journeys',
            'crm.journey_members AS x WHERE x.status = ''active'' AND x.due_at <= $1 AND x.awaits IS ' || CASE WHEN awaiting THEN 'NOT ' ELSE '' END || 'NULL'
            -- those of journeys that have ended are not active: few are paused, which the planner knows best when asked so
            ' AND NOT EXISTS (SELECT FROM crm.journeys AS j WHERE j.tenant_id = x.tenant_id AND j.id = x.journey_id AND j.status = ''paused'')',
            'x.id', 'x.due_at, x.tenant_id, x.id', 'NO KEY UPDATE OF x', 'crm_internal.take_steps', as_of, (batch - n)::integer);
        EXIT WHEN k = 0;
        n := n + k;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.do_journey_steps(boolean, timestamptz, bigint) IS
'Does steps that are due, at most batch: of those who wait for an event (awaiting), or of all others.';

CREATE OR REPLACE FUNCTION crm.run_journeys(as_of timestamptz DEFAULT now(), batch integer DEFAULT 20000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was CONSTANT text := current_setting('crm.tenant', true);
    n bigint := 0;
    k bigint;
    f crm_internal.failed_work;
    -- whoever does not hear events must not say that one did not come
    hears CONSTANT boolean := crm.try_lock('journey_events', 0);
BEGIN
    LOOP
        k := crm_internal.do_journey_steps(false, as_of, batch - n);
        IF n + k < batch AND hears THEN
            k := k + crm_internal.hear_journey_events(as_of);
            k := k + crm_internal.do_journey_steps(true, as_of, greatest(batch - n - k, 0));
        END IF;
        IF n + k < batch THEN
            k := k + crm_internal.enter_journeys(as_of, batch);
        END IF;
        n := n + k;
        EXIT WHEN k = 0 OR n >= batch;
    END LOOP;
    FOR f IN SELECT x.* FROM crm_internal.failed_work AS x
             WHERE x.function_name = 'crm.run_journeys' AND x.failed_at = as_of AND x.item ~ '^\d+$' LOOP
        BEGIN
            UPDATE crm.journey_members AS m SET trouble = f.sqlstate || ': ' || f.message
            WHERE m.tenant_id = f.tenant_id AND m.id = f.item::bigint AND m.status = 'active';
        EXCEPTION WHEN OTHERS THEN
            NULL;   -- a row that cannot be written at all is told by crm.health() alone
        END;
    END LOOP;
    PERFORM set_config('crm.tenant', coalesce(was, ''), true);
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.run_journeys(timestamptz, integer) IS
'One pass over the journeys of all companies: people enter, hear events, do the steps that are due at an instant, and leave; about batch things at most. Any '
'number of callers at once; each step is done once. What fails is written down, tried again later, and keeps nobody else. Returns how many things were done. '
'A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.run_journeys', 'owner');

CREATE OR REPLACE FUNCTION crm.next_journey_at()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT least((SELECT m.due_at FROM crm.journey_members AS m
                  WHERE m.status = 'active' AND m.due_at IS NOT NULL
                    AND EXISTS (SELECT FROM crm.journeys AS j WHERE j.tenant_id = m.tenant_id AND j.id = m.journey_id AND j.status = 'running')
                  ORDER BY m.due_at LIMIT 1),
                 (SELECT now() + interval '1 minute' FROM crm.journeys AS j WHERE j.status = 'running' LIMIT 1))
$$;
COMMENT ON FUNCTION crm.next_journey_at() IS 'When the next step of a member is due; at most a minute from now while a journey runs, since events come '
'when they come. NULL: none runs.';
SELECT crm.declare_function('crm.next_journey_at', 'owner');

-- ---- by hand ----

CREATE OR REPLACE FUNCTION crm.enrol_in_journey(journey text, subject_id bigint)
RETURNS crm.journey_members
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    j CONSTANT crm.journeys := crm_internal.require_journey(journey);
    m crm.journey_members;
    entered bigint[];
BEGIN
    PERFORM FROM crm_internal.who_it_is(j.tenant_id, j.people, subject_id, 'change');
    IF j.status <> 'running' THEN
        RAISE EXCEPTION 'journey "%" is %', j.name, j.status USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Nobody enters it now.';
    END IF;
    entered := crm_internal.enter_journey(j, ARRAY[subject_id], ARRAY[now()], 'hand', now());
    SELECT x.* INTO m FROM crm.journey_members AS x
    WHERE x.tenant_id = j.tenant_id AND x.journey_id = j.id AND x.subject_id = enrol_in_journey.subject_id AND x.status = 'active';
    IF m.id IS NULL THEN
        RAISE EXCEPTION 'row % of "%" cannot enter journey "%"', subject_id, j.people, j.name USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'It was inside before and its reentry does not allow it again yet, or its campaign holds the person out.';
    END IF;
    PERFORM crm.wake_worker(coalesce(m.due_at, now()));
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.enrol_in_journey(text, bigint) IS
'Lets a contact or lead into a journey, and returns the member; the one that is there where the person is inside already. Errors: 42704 no such journey, '
'P0002 or 42501 a person the caller does not see or may not change, 55000 a journey that does not run, or that the person may not enter (again).';
SELECT crm.declare_function('crm.enrol_in_journey', 'agent');
SELECT crm.declare_api('crm.enrol_in_journey', '{"journey": "welcome", "subject_id": 1}');

CREATE OR REPLACE FUNCTION crm.leave_journey(journey text, subject_id bigint, because text DEFAULT 'by hand')
RETURNS crm.journey_members
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    j CONSTANT crm.journeys := crm_internal.require_journey(journey);
    m crm.journey_members;
BEGIN
    PERFORM crm_internal.require(j.people, subject_id, 'change');
    SELECT x.* INTO m FROM crm.journey_members AS x
    WHERE x.tenant_id = j.tenant_id AND x.journey_id = j.id AND x.subject_id = leave_journey.subject_id AND x.status = 'active' FOR NO KEY UPDATE;
    IF m.id IS NULL THEN
        RAISE EXCEPTION 'row % of "%" is not in journey "%"', subject_id, j.people, j.name USING ERRCODE = 'no_data_found',
            HINT = 'crm.journey_members says who is.';
    END IF;
    PERFORM crm_internal.leave_journey(j.tenant_id, ARRAY[m.id], because, now());
    SELECT x.* INTO m FROM crm.journey_members AS x WHERE x.tenant_id = j.tenant_id AND x.id = m.id;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.leave_journey(text, bigint, text) IS
'Lets a person out of a journey, with the reason, and returns the member. Errors: 42704 no such journey, P0002 a person who is not inside, 42501.';
SELECT crm.declare_function('crm.leave_journey', 'agent');
SELECT crm.declare_api('crm.leave_journey', '{"journey": "welcome", "subject_id": 1}');

CREATE OR REPLACE FUNCTION crm_internal.let_out(tenant bigint, people jsonb, because text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_internal.leave_journey(tenant, ARRAY(
        SELECT m.id FROM crm.journey_members AS m WHERE m.tenant_id = tenant AND m.status = 'active'
          AND m.subject_id = ANY (crm_internal.ids_in(people, m.subject_table))), because, now());
END
$$;
COMMENT ON FUNCTION crm_internal.let_out(bigint, jsonb, text) IS 'Lets people out of all journeys they are in, with the reason; of how many.';

CREATE OR REPLACE FUNCTION crm_internal.release_members(tenant bigint, people jsonb)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm_internal.let_out(tenant, people, 'restricted') $$;
COMMENT ON FUNCTION crm_internal.release_members(bigint, jsonb) IS 'People whose data is not to be used leave journeys.';
SELECT crm.declare_hook('person_restricted', 'crm_internal.release_members(bigint, jsonb)');

CREATE OR REPLACE FUNCTION crm_internal.forget_members(tenant bigint, people jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    who record;
BEGIN
    PERFORM crm_internal.let_out(tenant, people, 'erased');
    -- dynamic segments go by what is left; static ones are counted as they are
    FOR who IN SELECT k AS subject, i::bigint AS id FROM jsonb_each(people) AS e (k, v), jsonb_array_elements_text(e.v) AS i LOOP
        PERFORM crm_internal.touch_segments(tenant, who.subject, who.id, ARRAY(
            SELECT s.id FROM crm.segments AS s WHERE s.tenant_id = tenant AND s.subject_table = who.subject AND s.kind = 'dynamic'
                AND s.active ORDER BY s.id), NULL, NULL);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.forget_members(bigint, jsonb) IS 'People who were erased leave journeys, and segments that they do not fit any more.';
SELECT crm.declare_hook('person_erased', 'crm_internal.forget_members(bigint, jsonb)');

CREATE OR REPLACE FUNCTION crm.move_journey_members(journey text, steps jsonb DEFAULT '{}', condition jsonpath DEFAULT NULL, otherwise text DEFAULT 'stay')
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    j CONSTANT crm.journeys := crm_internal.require_journey(journey);
    v CONSTANT bigint := (SELECT x.id FROM crm.journey_versions AS x WHERE x.tenant_id = j.tenant_id AND x.journey_id = j.id AND x.number = j.number);
    wrong text;
    ids bigint[];
    n bigint;
BEGIN
    SELECT string_agg('"' || w.code || '"', ', ' ORDER BY w.code) INTO wrong
    FROM (SELECT e.value AS code FROM jsonb_each_text(steps) AS e UNION SELECT otherwise WHERE otherwise NOT IN ('stay', 'leave')) AS w
    WHERE NOT EXISTS (SELECT FROM crm.journey_steps AS s WHERE s.tenant_id = j.tenant_id AND s.version_id = v AND s.code = w.code);
    IF wrong IS NOT NULL OR otherwise IS NULL THEN
        RAISE EXCEPTION 'journey "%" has no step %', j.name, coalesce(wrong, 'NULL') USING ERRCODE = 'invalid_parameter_value',
            HINT = 'steps says which step of the version in force stands for one of an earlier version: {"old": "new"}; otherwise is stay, leave or a step.';
    END IF;
    EXECUTE format('SELECT coalesce(array_agg(x.id), ''{}'') FROM (SELECT m.id FROM crm.journey_members AS m'
                   ' JOIN crm.%I AS r ON r.tenant_id = m.tenant_id AND r.id = m.subject_id'
                   ' WHERE m.tenant_id = $1 AND m.journey_id = $2 AND m.status = ''active'' AND m.version_id <> $3 AND crm.row_holds(r, $4)'
                   ' ORDER BY m.id FOR NO KEY UPDATE OF m) AS x', j.people)
        INTO ids USING j.tenant_id, j.id, v, condition;
    UPDATE crm.journey_members AS m
    SET version_id = v, place = s.place, awaits = CASE s.kind WHEN 'await' THEN s.settings ->> 'event' END, trouble = NULL,
        event_at = CASE WHEN s.kind = 'await' AND m.awaits = s.settings ->> 'event' THEN m.event_at END,
        due_at = CASE WHEN s.kind = 'await' AND m.awaits = s.settings ->> 'event' AND m.event_at IS NOT NULL THEN m.event_at
                      ELSE crm_internal.journey_due(s, m.subject_table, m.subject_id, m.arrived_at) END
    FROM crm.journey_members AS o
    JOIN crm.journey_steps AS was ON was.tenant_id = o.tenant_id AND was.version_id = o.version_id AND was.place = o.place
    JOIN crm.journey_steps AS s ON s.tenant_id = o.tenant_id AND s.version_id = v
    WHERE o.tenant_id = j.tenant_id AND o.id = ANY (ids) AND m.tenant_id = o.tenant_id AND m.id = o.id
      AND s.code = coalesce(steps ->> was.code,
                            CASE WHEN EXISTS (SELECT FROM crm.journey_steps AS x WHERE x.tenant_id = o.tenant_id AND x.version_id = v AND x.code = was.code)
                                 THEN was.code ELSE otherwise END);
    GET DIAGNOSTICS n = ROW_COUNT;
    IF otherwise = 'leave' THEN
        n := n + crm_internal.leave_journey(j.tenant_id, ARRAY(SELECT m.id FROM crm.journey_members AS m
            WHERE m.tenant_id = j.tenant_id AND m.id = ANY (ids) AND m.version_id <> v), 'moved', now());
    END IF;
    PERFORM crm.wake_worker(now());
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.move_journey_members(text, jsonb, jsonpath, text) IS
'Moves those who are inside a journey in an earlier version to the version in force, where a condition over the person holds: to the step that steps names '
'for theirs ({"old": "new"}), else the step of the same name, else as otherwise says: stay (they go on in their version), leave, or a step. What they wait '
'for is counted anew from when they came to their step. Returns how many were moved or left. Errors: 42704 no such journey, 22023 no such step.';
SELECT crm.declare_function('crm.move_journey_members', 'manager');

-- ---- what would happen ----

CREATE OR REPLACE FUNCTION crm_internal.previewed_step(s crm.journey_steps, j crm.journeys, person bigint, at timestamptz)
RETURNS TABLE (outcome text, place integer, detail text)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    channel CONSTANT text := coalesce(s.settings ->> 'channel', 'email');
    address CONSTANT text := CASE s.kind WHEN 'send' THEN crm.address_of(j.people, person, channel) END;
    d crm.contact_answer;
    yes boolean;
    part jsonb;
BEGIN
    place := s.then_place;
    IF s.kind = 'send' THEN
        d := crm.contact_decision(s.tenant_id, j.people, person, s.settings ->> 'purpose', channel, crm.address_key(channel, address), now());
        outcome := CASE WHEN d.allowed AND address IS NOT NULL THEN 'queued' ELSE 'refused' END;
        place := CASE outcome WHEN 'queued' THEN s.then_place ELSE s.other_place END;
        detail := CASE WHEN address IS NULL THEN 'no address' WHEN outcome = 'refused' THEN d.reason ELSE s.settings ->> 'template' END;
    ELSIF s.kind = 'branch' THEN
        EXECUTE format('SELECT crm.row_holds(r, $3) FROM crm.%I AS r WHERE r.tenant_id = $1 AND r.id = $2', j.people)
            INTO yes USING s.tenant_id, person, (s.settings ->> 'where')::jsonpath;
        outcome := CASE WHEN yes THEN 'yes' ELSE 'no' END;
        place := CASE WHEN yes THEN s.then_place ELSE s.other_place END;
        detail := s.settings ->> 'where';
    ELSIF s.kind = 'split' THEN
        part := crm_internal.journey_part(s, j.seed, j.people, person);
        outcome := part ->> 'part';
        place := (part ->> 'place')::integer;
    ELSIF s.kind = 'await' THEN
        outcome := CASE WHEN at IS NULL THEN 'waits' ELSE 'timeout' END;
        place := CASE WHEN at IS NOT NULL THEN s.other_place END;
        detail := s.settings ->> 'event';
    ELSE
        outcome := CASE s.kind WHEN 'wait' THEN 'waited' WHEN 'task' THEN 'created' WHEN 'set' THEN 'changed' WHEN 'enrol' THEN 'enrolled' ELSE 'left' END;
        detail := coalesce(s.settings ->> 'subject', s.settings ->> 'column', s.settings ->> 'journey', s.settings ->> 'campaign', s.settings ->> 'reason');
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION crm_internal.previewed_step(crm.journey_steps, crm.journeys, bigint, timestamptz) IS
'What a step would do with a person as things are, and where they would go on; an event is taken not to come.';

CREATE OR REPLACE FUNCTION crm.preview_journey(journey text, sample integer DEFAULT 10, as_of timestamptz DEFAULT now())
RETURNS TABLE (subject_id bigint, n integer, step text, kind text, at timestamptz, outcome text, detail text)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    j CONSTANT crm.journeys := crm_internal.require_journey(journey);
    definition CONSTANT jsonb := (SELECT v.definition FROM crm.journey_versions AS v WHERE v.tenant_id = j.tenant_id AND v.journey_id = j.id
                                  ORDER BY v.number DESC LIMIT 1);
    steps crm.journey_steps[];
    people bigint[];
    place integer;
BEGIN
    PERFORM crm_internal.check_journey(j, definition);
    SELECT array_agg((j.tenant_id, 0, c.place, c.code, c.kind, c.settings, c.then_place, c.other_place)::crm.journey_steps ORDER BY c.place) INTO steps
    FROM crm_internal.journey_compiled(definition) AS c;
    PERFORM crm_internal.check_journey_step(j, s) FROM unnest(steps) AS s;
    EXECUTE format('SELECT array_agg(x.id) FROM (SELECT r.id FROM crm.%I AS r WHERE r.tenant_id = $1'
                   ' AND ($2 IS NULL OR r.id IN (SELECT g.subject_id FROM crm.segment_members_at($2, $3) AS g))'
                   ' AND (crm.whole_tenant() IS NOT NULL OR crm.can_see_record($4, r.id)) ORDER BY r.id DESC LIMIT $5) AS x', j.people)
        INTO people USING j.tenant_id, definition #>> '{entry,segment}', as_of, j.people, sample;
    FOREACH subject_id IN ARRAY coalesce(people, '{}') LOOP
        at := as_of;
        place := 1;
        FOR i IN 1 .. 100 LOOP
            EXIT WHEN place IS NULL;
            n := i;
            step := steps[place].code;
            kind := steps[place].kind;
            at := crm_internal.journey_due(steps[place], j.people, subject_id, at);
            SELECT p.outcome, p.place, p.detail INTO outcome, place, detail FROM crm_internal.previewed_step(steps[place], j, subject_id, at) AS p;
            RETURN NEXT;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.preview_journey(text, integer, timestamptz) IS
'What a journey (its draft, where there is one) would do with some people who would enter it, without writing anything: step by step, when, with which '
'outcome. Consent and conditions are taken as they are now, events are taken not to come, and a person is followed for at most a hundred steps. Whom the '
'caller does not see is left out. Errors: as crm.publish_journey().';
SELECT crm.declare_function('crm.preview_journey', 'manager');
