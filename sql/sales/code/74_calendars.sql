-- The shared calendar: busy periods follow activities and who takes part; free and busy; times that may be offered.

-- ---- busy periods ----

CREATE OR REPLACE FUNCTION crm_internal.book_time(a crm.activities, whatever_is_there boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    who bigint;
    wanted CONSTANT bigint[] := CASE WHEN a.ends_at IS NULL OR a.shows_as NOT IN ('busy', 'away') THEN '{}' ELSE ARRAY(
        SELECT a.owner_id WHERE a.owner_id IS NOT NULL
        UNION
        SELECT p.user_id FROM crm.activity_participants AS p
        WHERE p.tenant_id = a.tenant_id AND p.activity_id = a.id AND p.user_id IS NOT NULL AND p.response = 'accepted'
        -- always in one order: two meetings of the same people wait for each other, and do not deadlock
        ORDER BY 1) END;
BEGIN
    DELETE FROM crm.busy_periods AS b WHERE b.tenant_id = a.tenant_id AND b.activity_id = a.id
        AND (b.user_id <> ALL (wanted) OR b.period <> tstzrange(a.due_at, a.ends_at));
    FOREACH who IN ARRAY wanted LOOP
        CONTINUE WHEN EXISTS (SELECT FROM crm.busy_periods AS b WHERE b.tenant_id = a.tenant_id AND b.activity_id = a.id AND b.user_id = who);
        BEGIN
            INSERT INTO crm.busy_periods (tenant_id, activity_id, user_id, period) VALUES (a.tenant_id, a.id, who, tstzrange(a.due_at, a.ends_at));
        EXCEPTION WHEN exclusion_violation THEN
            CONTINUE WHEN whatever_is_there;
            RAISE EXCEPTION '% is busy at that time', (SELECT u.name FROM crm.users AS u WHERE u.tenant_id = a.tenant_id AND u.id = who)
                USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'busy_periods_period_excl', TABLE = 'activities', SCHEMA = 'crm',
                      HINT = 'See crm.free_busy() and crm.free_slots(); with shows_as tentative or free it may stand beside other things.';
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.book_time(crm.activities, boolean) IS
'Busy periods of an activity as they should be: of its owner and of colleagues who accepted. Error 23P01, with who is busy, unless it is to stand beside '
'whatever is there.';

-- security definer: whether somebody is busy does not depend on what the writer sees
CREATE OR REPLACE FUNCTION crm_internal.activity_takes_time()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- work that is handed over goes, whatever the new owner does at that time
    PERFORM crm_internal.book_time(NEW, TG_OP = 'UPDATE' AND (NEW.due_at, NEW.ends_at, NEW.shows_as) IS NOT DISTINCT
        FROM (OLD.due_at, OLD.ends_at, OLD.shows_as));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.activity_takes_time() IS 'Row trigger of activities: keeps busy periods.';
CREATE OR REPLACE TRIGGER activities_after_insert_time AFTER INSERT ON crm.activities
    FOR EACH ROW WHEN (NEW.ends_at IS NOT NULL) EXECUTE FUNCTION crm_internal.activity_takes_time();
CREATE OR REPLACE TRIGGER activities_after_update_time AFTER UPDATE ON crm.activities
    FOR EACH ROW WHEN (NEW.ends_at IS DISTINCT FROM OLD.ends_at
                       OR NEW.ends_at IS NOT NULL AND (NEW.due_at IS DISTINCT FROM OLD.due_at OR NEW.owner_id IS DISTINCT FROM OLD.owner_id
                                                       OR NEW.shows_as IS DISTINCT FROM OLD.shows_as))
    EXECUTE FUNCTION crm_internal.activity_takes_time();

CREATE OR REPLACE FUNCTION crm_internal.move_end()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    NEW.ends_at := NEW.ends_at + (NEW.due_at - OLD.due_at);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.move_end() IS 'Row trigger of activities: what is moved keeps its length.';
CREATE OR REPLACE TRIGGER activities_before_move_end BEFORE UPDATE ON crm.activities
    FOR EACH ROW WHEN (NEW.due_at <> OLD.due_at AND NEW.ends_at = OLD.ends_at AND isfinite(NEW.due_at))
    EXECUTE FUNCTION crm_internal.move_end();

CREATE OR REPLACE FUNCTION crm_internal.participant_takes_time()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT crm.activity_participants := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    a crm.activities;
BEGIN
    -- locked: an answer and a change of the time do not miss each other
    SELECT x.* INTO a FROM crm.activities AS x WHERE x.tenant_id = p.tenant_id AND x.id = p.activity_id FOR NO KEY UPDATE;
    IF a.id IS NULL OR p.user_id IS NULL THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'DELETE' AND p.user_id IS DISTINCT FROM a.owner_id AND p.user_id <> ALL (a.shared_user_ids) THEN
        UPDATE crm.activities AS x SET shared_user_ids = x.shared_user_ids || p.user_id WHERE x.tenant_id = a.tenant_id AND x.id = a.id;
    END IF;
    PERFORM crm_internal.book_time(a, false);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.participant_takes_time() IS 'Row trigger of who takes part: a colleague sees the activity, and is busy once they accepted.';
CREATE OR REPLACE TRIGGER activity_participants_after_time AFTER INSERT OR UPDATE OR DELETE ON crm.activity_participants
    FOR EACH ROW EXECUTE FUNCTION crm_internal.participant_takes_time();

-- security definer: who is invited answers, also where the meeting is not theirs to change
CREATE OR REPLACE FUNCTION crm.answer_invitation(activity_id bigint, response text)
RETURNS crm.activity_participants
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p crm.activity_participants;
BEGIN
    IF response IS NULL OR response NOT IN ('accepted', 'tentative', 'declined') THEN
        RAISE EXCEPTION 'this is no answer to an invitation' USING ERRCODE = 'invalid_parameter_value', HINT = 'Answer accepted, tentative or declined.';
    END IF;
    UPDATE crm.activity_participants AS x SET response = answer_invitation.response
    WHERE x.tenant_id = crm.tenant_id() AND x.activity_id = answer_invitation.activity_id AND x.user_id = crm.user_id()
    RETURNING x.* INTO p;
    IF p.id IS NULL THEN
        RAISE EXCEPTION 'you are not invited to activity %', activity_id USING ERRCODE = 'no_data_found', HINT = 'crm.activity_participants has who is.';
    END IF;
    RETURN p;
END
$$;
COMMENT ON FUNCTION crm.answer_invitation(bigint, text) IS
'Answers an invitation of the caller: accepted (the time is theirs no more, 23P01 where it was not free), tentative or declined. Returns who takes part. '
'Errors: 22023 another word, P0002 for who is not invited.';
SELECT crm.declare_function('crm.answer_invitation', 'agent');

-- ---- free and busy ----

CREATE OR REPLACE FUNCTION crm_internal.check_window(from_at timestamptz, until_at timestamptz, days integer)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF from_at IS NULL OR until_at IS NULL OR NOT isfinite(from_at) OR NOT isfinite(until_at) OR until_at <= from_at
        OR until_at > from_at + make_interval(days => days) THEN
        RAISE EXCEPTION 'this is no time to look at' USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Give two times, the earlier one first, at most %s days apart.', days);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_window(timestamptz, timestamptz, integer) IS 'Error 22023 where two times are not in order, or too far apart.';

CREATE OR REPLACE FUNCTION crm_internal.taken(tenant bigint, who bigint, from_at timestamptz, until_at timestamptz)
RETURNS TABLE (state text, period tstzrange)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.shows_as, b.period
    FROM crm.busy_periods AS b JOIN crm.activities AS a ON a.tenant_id = b.tenant_id AND a.id = b.activity_id
    WHERE b.tenant_id = tenant AND b.user_id = who AND b.period && tstzrange(from_at, until_at)
    UNION ALL
    SELECT 'tentative', tstzrange(a.due_at, a.ends_at)
    FROM crm.activities AS a
    WHERE a.tenant_id = tenant AND a.due_at < until_at AND a.ends_at > from_at AND a.shows_as <> 'free'
      AND (a.owner_id = who OR EXISTS (SELECT FROM crm.activity_participants AS p WHERE p.tenant_id = a.tenant_id AND p.activity_id = a.id
                                                                                    AND p.user_id = who AND p.response <> 'declined'))
      AND NOT EXISTS (SELECT FROM crm.busy_periods AS b WHERE b.tenant_id = a.tenant_id AND b.activity_id = a.id AND b.user_id = who)
    UNION ALL
    -- what is yet to be made of a series
    SELECT a.shows_as, tstzrange(r.at, r.at + (a.ends_at - a.due_at))
    FROM crm.activities AS a
    CROSS JOIN LATERAL crm.recurrence(a.recurrence, a.recurs_from, greatest(from_at - (a.ends_at - a.due_at), a.recurs_at + interval '1 microsecond'), until_at,
                                      a.recurrence_zone) AS r (at)
    WHERE a.tenant_id = tenant AND a.owner_id = who AND a.recurrence IS NOT NULL AND a.recurred_at IS NULL AND a.ends_at IS NOT NULL
      AND a.shows_as <> 'free' AND a.recurs_at < until_at
$$;
COMMENT ON FUNCTION crm_internal.taken(bigint, bigint, timestamptz, timestamptz) IS
'What takes the time of a user: busy periods, what is tentative or not answered yet, and times of series that are still to come.';

-- security definer: that somebody is busy is everybody's to know, with what is not
CREATE OR REPLACE FUNCTION crm.free_busy(user_id bigint, from_at timestamptz, until_at timestamptz)
RETURNS TABLE (state text, starts_at timestamptz, ends_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.check_window(from_at, until_at, 400);
    RETURN QUERY
        SELECT x.state, lower(p), upper(p)
        FROM (SELECT t.state, range_agg(t.period * tstzrange(from_at, until_at)) AS periods
              FROM crm_internal.taken(crm.tenant_id(), user_id, from_at, until_at) AS t GROUP BY t.state) AS x, unnest(x.periods) AS p
        WHERE NOT isempty(p)
        ORDER BY 2, 3, 1;
END
$$;
COMMENT ON FUNCTION crm.free_busy(bigint, timestamptz, timestamptz) IS
'When a user is busy, away or tentative between two times, with no word of what it is; series that recur with all their times. Whatever is not listed is '
'free. Error 22023 for times that are not in order, or more than 400 days apart.';
SELECT crm.declare_function('crm.free_busy', 'reader');

CREATE OR REPLACE FUNCTION
    crm_internal.slots(tenant bigint, user_ids bigint[], from_at timestamptz, until_at timestamptz, minutes integer, step_minutes integer)
RETURNS TABLE (starts_at timestamptz, is_free boolean)
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    long CONSTANT interval := make_interval(mins => minutes);
    calendars bigint[];
    without text;
    zone text;
BEGIN
    PERFORM crm_internal.check_window(from_at, until_at, 92);
    IF minutes IS NULL OR minutes < 1 OR minutes > 1440 OR step_minutes IS NULL OR step_minutes < 5 OR step_minutes > 1440 THEN
        RAISE EXCEPTION 'a meeting takes 1 to 1440 minutes, and starts every 5 to 1440' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT array_agg(DISTINCT g.calendar_id), string_agg(coalesce(u.name, w.id::text), ', ' ORDER BY w.id) FILTER (WHERE g.calendar_id IS NULL)
    INTO calendars, without
    FROM unnest(user_ids) AS w (id)
    LEFT JOIN crm.users AS u ON u.tenant_id = tenant AND u.id = w.id AND u.active
    LEFT JOIN crm.agents AS g ON g.tenant_id = tenant AND g.user_id = u.id;
    IF calendars IS NULL OR without IS NOT NULL THEN
        RAISE EXCEPTION 'there are no working hours of: %', coalesce(without, 'nobody') USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give active users, each with a calendar: UPDATE crm.agents SET calendar_id = ...';
    END IF;
    SELECT coalesce(u.time_zone, t.time_zone) INTO zone
    FROM crm.tenants AS t LEFT JOIN crm.users AS u ON u.tenant_id = t.tenant_id AND u.id = user_ids[1] WHERE t.tenant_id = tenant;
    RETURN QUERY
        WITH taken AS MATERIALIZED (
            SELECT range_agg(x.period) AS periods FROM unnest(user_ids) AS w (id), crm_internal.taken(tenant, w.id, from_at, until_at) AS x
        ), starts AS (
            -- full hours and halves are those of the wall clock of whose time it is
            SELECT DISTINCT s.wall AT TIME ZONE zone AS at
            FROM generate_series(date_trunc('day', from_at AT TIME ZONE zone), until_at AT TIME ZONE zone, make_interval(mins => step_minutes)) AS s (wall)
        )
        SELECT s.at, NOT coalesce(t.periods && tstzrange(s.at, s.at + long), false)
        FROM starts AS s CROSS JOIN taken AS t
        WHERE s.at >= from_at AND s.at + long <= until_at
          AND NOT EXISTS (SELECT FROM unnest(calendars) AS c (id) WHERE NOT crm.is_open(c.id, s.at)
              OR coalesce(crm.next_close(c.id, s.at) < s.at + long, false))
        ORDER BY s.at;
END
$$;
COMMENT ON FUNCTION crm_internal.slots(bigint, bigint[], timestamptz, timestamptz, integer, integer) IS
'Times within the working hours of all of some users, and whether all are free then. Error 22023 for a user without working hours, and for lengths and times '
'that make no sense.';

CREATE OR REPLACE FUNCTION crm.free_slots(user_ids bigint[], from_at timestamptz, until_at timestamptz, minutes integer DEFAULT 30,
                                          step_minutes integer DEFAULT 30)
RETURNS SETOF timestamptz
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY SELECT s.starts_at FROM crm_internal.slots(crm.tenant_id(), user_ids, from_at, until_at, minutes, step_minutes) AS s WHERE s.is_free;
END
$$;
COMMENT ON FUNCTION crm.free_slots(bigint[], timestamptz, timestamptz, integer, integer) IS
'When a meeting of some minutes could begin: all of the users are at work (hours and holidays of the calendar of crm.agents) and free, tentative things and '
'series to come counted as taken. Starts are on the wall clock of the first user. Error 22023 for a user without working hours, for more than 92 days, and for '
'lengths that make no sense.';
SELECT crm.declare_function('crm.free_slots', 'reader');

-- ---- offers ----

CREATE OR REPLACE FUNCTION crm.offer_slots(subject text, user_ids bigint[], contact_id bigint DEFAULT NULL, minutes integer DEFAULT 30,
                                           from_at timestamptz DEFAULT now(), until_at timestamptz DEFAULT now() + interval '14 days',
                                           step_minutes integer DEFAULT 30)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    token CONSTANT text := crm_internal.new_token();
BEGIN
    IF coalesce(subject, '') = '' THEN
        RAISE EXCEPTION 'a meeting needs a subject' USING ERRCODE = 'invalid_parameter_value', HINT = 'The customer reads it.';
    END IF;
    IF contact_id IS NOT NULL AND NOT EXISTS (SELECT FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = contact_id
                                                AND crm.can_see(c.owner_id, c.team_id, c.shared_user_ids, c.shared_team_ids)) THEN
        RAISE EXCEPTION 'contact % does not exist, or is not visible to you', contact_id USING ERRCODE = 'no_data_found';
    END IF;
    -- what makes no sense is said now, not to the customer
    PERFORM FROM crm_internal.slots(t, user_ids, from_at, until_at, minutes, step_minutes);
    INSERT INTO crm.meeting_offers (tenant_id, token_hash, subject, user_ids, contact_id, minutes, step_minutes, period)
    VALUES (t, sha256(convert_to(token, 'UTF8')), subject, ARRAY(SELECT x.id
        FROM unnest(user_ids) WITH ORDINALITY AS x (id, n) GROUP BY x.id ORDER BY min(x.n)),
            contact_id, minutes, step_minutes, tstzrange(from_at, until_at));
    RETURN token;
END
$$;
COMMENT ON FUNCTION crm.offer_slots(text, bigint[], bigint, integer, timestamptz, timestamptz, integer) IS
'A token for a link by which somebody may book a meeting with all of the users, at a time when they are at work and free (crm.free_slots()). The first user '
'becomes its owner. The token goes into the message and is kept as a hash alone. Errors: 22023, P0002 for a contact that the caller may not see.';
SELECT crm.declare_function('crm.offer_slots', 'agent');

CREATE OR REPLACE FUNCTION crm_internal.offer_of_token(tenant bigint, token text, as_of timestamptz)
RETURNS crm.meeting_offers
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    o crm.meeting_offers;
BEGIN
    SELECT x.* INTO o FROM crm.meeting_offers AS x
    WHERE x.tenant_id = tenant AND x.token_hash = sha256(convert_to(coalesce(token, ''), 'UTF8')) FOR NO KEY UPDATE;
    IF o.id IS NULL THEN
        RAISE EXCEPTION 'this token is not known' USING ERRCODE = 'no_data_found', HINT = 'Ask for a new link: nothing was booked.';
    END IF;
    IF o.activity_id IS NULL AND upper(o.period) <= as_of THEN
        RAISE EXCEPTION 'the time for which this was offered has gone by' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Ask for a new link: nothing was booked.';
    END IF;
    RETURN o;
END
$$;
COMMENT ON FUNCTION crm_internal.offer_of_token(bigint, text, timestamptz) IS 'The offer that a token is for, locked. Errors P0002, 55000.';

-- security definer: whoever has the token may book, and see nothing but when
CREATE OR REPLACE FUNCTION crm.offered_slots(token text, as_of timestamptz DEFAULT now())
RETURNS SETOF timestamptz
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    o CONSTANT crm.meeting_offers := crm_internal.offer_of_token(t, token, as_of);
BEGIN
    IF o.activity_id IS NULL THEN
        RETURN QUERY SELECT s.starts_at
            FROM crm_internal.slots(t, o.user_ids, greatest(lower(o.period), as_of), upper(o.period), o.minutes, o.step_minutes) AS s WHERE s.is_free;
    END IF;
END
$$;
COMMENT ON FUNCTION crm.offered_slots(text, timestamptz) IS
'Times that a token still offers; none where it was used. Errors: P0002 an unknown token, 55000 one whose time has gone by.';
SELECT crm.declare_function('crm.offered_slots', 'agent');

CREATE OR REPLACE FUNCTION crm.book_slot(token text, starts_at timestamptz, booked_by text, as_of timestamptz DEFAULT now())
RETURNS crm.activities
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    o CONSTANT crm.meeting_offers := crm_internal.offer_of_token(t, token, as_of);
    slot record;
    a crm.activities;
BEGIN
    PERFORM crm.because('book_slot');
    IF coalesce(booked_by, '') = '' THEN
        RAISE EXCEPTION 'a booking names who made it' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give booked_by.';
    END IF;
    IF o.activity_id IS NOT NULL THEN
        SELECT x.* INTO a FROM crm.activities AS x WHERE x.tenant_id = t AND x.id = o.activity_id;
        IF a.due_at = starts_at THEN
            RETURN a;       -- sent twice
        END IF;
        RAISE EXCEPTION 'a time was booked with this token already' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Ask for the meeting to be moved.';
    END IF;
    SELECT s.* INTO slot FROM crm_internal.slots(t, o.user_ids, greatest(lower(o.period), as_of), upper(o.period), o.minutes, o.step_minutes) AS s
    WHERE s.starts_at = book_slot.starts_at;
    IF slot.starts_at IS NULL THEN
        RAISE EXCEPTION 'this time is not offered' USING ERRCODE = 'invalid_parameter_value', HINT = 'crm.offered_slots() has the times.';
    END IF;
    BEGIN
        IF NOT slot.is_free THEN
            RAISE exclusion_violation;
        END IF;
        -- everybody's time is taken at once, and in one order: two bookings of the same people do not deadlock
        INSERT INTO crm.activities AS x (tenant_id, kind, subject, due_at, ends_at, shows_as, owner_id, contact_id)
        VALUES (t, 'meeting', o.subject, starts_at, starts_at + make_interval(mins => o.minutes), 'free', o.user_ids[1], o.contact_id)
        RETURNING x.* INTO a;
        INSERT INTO crm.activity_participants (tenant_id, activity_id, user_id, response)
        SELECT t, a.id, u.id, 'accepted' FROM unnest(o.user_ids[2:]) AS u (id);
        INSERT INTO crm.activity_participants (tenant_id, activity_id, contact_id, response)
        SELECT t, a.id, o.contact_id, 'accepted' WHERE o.contact_id IS NOT NULL;
        UPDATE crm.activities AS x SET shows_as = 'busy' WHERE x.tenant_id = t AND x.id = a.id RETURNING x.* INTO a;
    EXCEPTION WHEN exclusion_violation THEN
        RAISE EXCEPTION 'this time has just been taken' USING ERRCODE = 'exclusion_violation', HINT = 'crm.offered_slots() has the times that are left.';
    END;
    UPDATE crm.meeting_offers AS x SET activity_id = a.id, booked_by = book_slot.booked_by, booked_at = now() WHERE x.tenant_id = t AND x.id = o.id;
    RETURN a;
END
$$;
COMMENT ON FUNCTION crm.book_slot(text, timestamptz, text, timestamptz) IS
'Books a time that a token offers: the meeting, in the calendars of all whose time was offered. The same booking sent twice gives the same meeting. Errors, '
'which book nothing: P0002 an unknown token, 55000 one that was used or whose time has gone by, 22023 a time that is not offered, 23P01 one that somebody '
'else took.';
SELECT crm.declare_function('crm.book_slot', 'agent');
