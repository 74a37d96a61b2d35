-- Calendars as iCalendar text (RFC 5545): what calendar programs subscribe to.
--
-- Instants are in UTC, but for what recurs: that stands on the wall clock of its zone, whose changes are listed in a VTIMEZONE. Rules that few
-- programs read (RSCALE) are written as single events.

CREATE OR REPLACE FUNCTION crm_internal.ics_text(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT replace(regexp_replace(regexp_replace(replace(replace(value, E'\r\n', E'\n'), E'\r', E'\n'), '[\\;,]', '\\\&', 'g'),
                                  E'[\\x01-\\x08\\x0b-\\x1f\\x7f]', '', 'g'), E'\n', '\n')
$$;
COMMENT ON FUNCTION crm_internal.ics_text(text) IS
'A value of type TEXT of iCalendar: backslash, semicolon, comma and ends of lines escaped, control characters left out.';

CREATE OR REPLACE FUNCTION crm_internal.ics_line(name text, value text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rest text := name || ':' || value;
    line text := '';
    room integer := 75;
    n integer;
BEGIN
    -- lines have at most 75 octets; characters are not cut
    WHILE octet_length(rest) > room LOOP
        n := room;
        WHILE octet_length(left(rest, n)) > room LOOP
            n := n - greatest((octet_length(left(rest, n)) - room) / 4, 1);
        END LOOP;
        line := line || left(rest, n) || E'\r\n ';
        rest := substr(rest, n + 1);
        room := 74;     -- the space before it counts
    END LOOP;
    -- NULL where there is no value
    RETURN line || rest || E'\r\n';
END
$$;
COMMENT ON FUNCTION crm_internal.ics_line(text, text) IS 'A content line of iCalendar, folded; NULL where there is no value.';

CREATE OR REPLACE FUNCTION crm_internal.ics_utc(at timestamptz)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD"T"HH24MISS"Z"') $$;
COMMENT ON FUNCTION crm_internal.ics_utc(timestamptz) IS 'An instant as iCalendar writes it in UTC.';

CREATE OR REPLACE FUNCTION crm_internal.ics_offset(seconds integer)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN seconds < 0 THEN '-' ELSE '+' END
        || to_char(make_interval(secs => abs(seconds)), CASE WHEN seconds % 60 = 0 THEN 'HH24MI' ELSE 'HH24MISS' END)
$$;
COMMENT ON FUNCTION crm_internal.ics_offset(integer) IS 'An offset from UTC as iCalendar writes it.';

CREATE OR REPLACE FUNCTION crm_internal.ics_zone(zone text, from_at timestamptz, until_at timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    day record;
    change timestamptz;
    answer text;
BEGIN
    answer := crm_internal.ics_line('BEGIN', 'VTIMEZONE') || crm_internal.ics_line('TZID', zone);
    FOR day IN
        SELECT d.at, d.seconds, lag(d.seconds) OVER (ORDER BY d.at) AS before
        FROM (SELECT g.at, extract(epoch FROM (g.at AT TIME ZONE zone) - (g.at AT TIME ZONE 'UTC'))::integer AS seconds
              FROM generate_series(date_trunc('day', from_at, 'UTC') - interval '1 day', until_at, '1 day') AS g (at)) AS d
        ORDER BY d.at
    LOOP
        CONTINUE WHEN day.before = day.seconds;
        change := day.at;
        IF day.before IS NOT NULL THEN
            SELECT min(m.at) INTO change FROM generate_series(day.at - interval '1 day', day.at, '1 minute') AS m (at)
            WHERE extract(epoch FROM (m.at AT TIME ZONE zone) - (m.at AT TIME ZONE 'UTC')) <> day.before;
        END IF;
        answer := answer || crm_internal.ics_line('BEGIN', CASE WHEN day.seconds > day.before THEN 'DAYLIGHT' ELSE 'STANDARD' END)
            -- the wall clock before the change
            || crm_internal.ics_line('DTSTART', to_char((change AT TIME ZONE 'UTC') + make_interval(secs => coalesce(day.before, day.seconds)),
                                                        'YYYYMMDD"T"HH24MISS'))
            || crm_internal.ics_line('TZOFFSETFROM', crm_internal.ics_offset(coalesce(day.before, day.seconds)))
            || crm_internal.ics_line('TZOFFSETTO', crm_internal.ics_offset(day.seconds))
            || crm_internal.ics_line('END', CASE WHEN day.seconds > day.before THEN 'DAYLIGHT' ELSE 'STANDARD' END);
    END LOOP;
    RETURN answer || crm_internal.ics_line('END', 'VTIMEZONE');
END
$$;
COMMENT ON FUNCTION crm_internal.ics_zone(text, timestamptz, timestamptz) IS 'A time zone with each change of its clocks between two instants.';

CREATE OR REPLACE FUNCTION crm_internal.ics_rule(a crm.activities)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rule CONSTANT text := upper(a.recurrence);
    last timestamptz;
    parts CONSTANT text := (SELECT string_agg(p.part, ';' ORDER BY p.n)
        FROM string_to_table(regexp_replace(rule, '^RRULE:', ''), ';') WITH ORDINALITY AS p (part, n)
                            WHERE p.part !~ '^(COUNT|UNTIL|RSCALE|SKIP)=' AND p.part <> '');
BEGIN
    IF rule !~ '(COUNT|UNTIL)=' THEN
        RETURN parts;
    END IF;
    -- how many are left is said by the last of them
    SELECT max(r) INTO last FROM crm.recurrence(a.recurrence, a.recurs_from, a.recurs_at, 'infinity', a.recurrence_zone) AS r;
    RETURN CASE WHEN last > a.recurs_at THEN parts || ';UNTIL=' || crm_internal.ics_utc(last) END;
END
$$;
COMMENT ON FUNCTION crm_internal.ics_rule(crm.activities) IS 'The rule of the latest activity of a series, from this activity on; NULL: it is the last.';

CREATE OR REPLACE FUNCTION crm_internal.ics_people(a crm.activities)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT string_agg(crm_internal.ics_line(
                   CASE WHEN p.response IS NULL THEN 'ORGANIZER' ELSE 'ATTENDEE;PARTSTAT=' || CASE p.response WHEN 'needed' THEN 'NEEDS-ACTION'
                       ELSE upper(p.response) END END
                   || ';CN="' || regexp_replace(p.name, E'[\\x01-\\x1f\\x7f"]', '', 'g') || '"', 'mailto:'
                       || p.email), '' ORDER BY p.response IS NOT NULL, p.name, p.email)
        FROM (SELECT NULL AS response, u.name, u.email FROM crm.users AS u
              WHERE u.tenant_id = a.tenant_id AND u.id = a.owner_id AND EXISTS (SELECT FROM crm.activity_participants AS x WHERE x.tenant_id = a.tenant_id
                  AND x.activity_id = a.id)
              UNION ALL
              SELECT x.response, coalesce(u.name, c.name), coalesce(u.email, m.value)
              FROM crm.activity_participants AS x
              LEFT JOIN crm.users AS u ON u.tenant_id = x.tenant_id AND u.id = x.user_id
              LEFT JOIN crm.contacts AS c ON c.tenant_id = x.tenant_id AND c.id = x.contact_id
                                             AND crm.can_see(c.owner_id, c.team_id, c.shared_user_ids, c.shared_team_ids)
              LEFT JOIN LATERAL (SELECT y.value FROM crm.contact_points AS y WHERE y.tenant_id = c.tenant_id AND y.contact_id = c.id AND y.kind = 'email'
                                 ORDER BY y.is_primary DESC, y.id LIMIT 1) AS m ON true
              WHERE x.tenant_id = a.tenant_id AND x.activity_id = a.id) AS p
        -- whom no calendar program could write to stands in nobody's list
        WHERE p.email ~ '^[^[:space:][:cntrl:]@]+@[^[:space:][:cntrl:]@]+$' AND p.name IS NOT NULL);
END
$$;
COMMENT ON FUNCTION crm_internal.ics_people(crm.activities) IS 'Organiser and attendees of an activity, those with an e-mail address.';

CREATE OR REPLACE FUNCTION crm_internal.ics_item(a crm.activities, uid text, starts text, begins text, ends text, rule text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    item CONSTANT text := CASE a.kind WHEN 'task' THEN 'VTODO' ELSE 'VEVENT' END;
BEGIN
    RETURN concat(
        crm_internal.ics_line('BEGIN', item), crm_internal.ics_line('UID', uid), crm_internal.ics_line('DTSTAMP', crm_internal.ics_utc(a.updated_at)),
        crm_internal.ics_line('SEQUENCE', a.version::text),
        -- a rule needs a start, of tasks too
        CASE WHEN item = 'VEVENT' OR rule IS NOT NULL OR a.ends_at IS NOT NULL THEN crm_internal.ics_line('DTSTART' || starts, begins) END,
        CASE WHEN item = 'VEVENT' THEN crm_internal.ics_line('DTEND' || starts, ends)
             WHEN rule IS NULL THEN crm_internal.ics_line('DUE' || starts, coalesce(ends, begins)) END,
        crm_internal.ics_line('RRULE', rule), crm_internal.ics_line('SUMMARY', crm_internal.ics_text(a.subject)),
        crm_internal.ics_line('DESCRIPTION', crm_internal.ics_text(nullif(a.body, ''))), crm_internal.ics_line('LOCATION',
            crm_internal.ics_text(nullif(a.location, ''))),
        crm_internal.ics_line('CATEGORIES', crm_internal.ics_text(a.kind)),
        CASE WHEN item = 'VTODO' AND a.done_at IS NOT NULL THEN crm_internal.ics_line('COMPLETED', crm_internal.ics_utc(a.done_at)) END,
        crm_internal.ics_line('STATUS', CASE WHEN item = 'VTODO' THEN CASE WHEN a.done_at IS NULL THEN 'NEEDS-ACTION' ELSE 'COMPLETED' END
                                             WHEN a.shows_as = 'tentative' THEN 'TENTATIVE' ELSE 'CONFIRMED' END),
        CASE WHEN item = 'VEVENT' THEN crm_internal.ics_line('TRANSP', CASE WHEN a.shows_as = 'free' OR a.ends_at IS NULL THEN 'TRANSPARENT'
            ELSE 'OPAQUE' END) END,
        crm_internal.ics_people(a),
        CASE WHEN a.done_at IS NULL AND isfinite(a.remind_at) THEN crm_internal.ics_line('BEGIN', 'VALARM') || crm_internal.ics_line('ACTION', 'DISPLAY')
            || crm_internal.ics_line('DESCRIPTION', crm_internal.ics_text(a.subject))
            -- of a series before each time, else once
            || CASE WHEN rule IS NULL THEN crm_internal.ics_line('TRIGGER;VALUE=DATE-TIME', crm_internal.ics_utc(a.remind_at))
                    ELSE crm_internal.ics_line('TRIGGER', regexp_replace(format('PT%sS', extract(epoch
                        FROM a.remind_at - a.due_at)::bigint), '^PT-', '-PT')) END
            || crm_internal.ics_line('END', 'VALARM') END,
        crm_internal.ics_line('END', item));
END
$$;
COMMENT ON FUNCTION crm_internal.ics_item(crm.activities, text, text, text, text, text) IS
'One event or task: parameters and values of its start and end, and its rule.';

-- security definer: the parts are nobody's to call; rows are those that the caller may see
CREATE OR REPLACE FUNCTION crm.calendar_ics(user_id bigint DEFAULT NULL, account_id bigint DEFAULT NULL,
                                            from_at timestamptz DEFAULT now() - interval '90 days', until_at timestamptz DEFAULT now() + interval '1 year')
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    who CONSTANT bigint := CASE WHEN account_id IS NULL THEN coalesce(user_id, crm.user_id()) ELSE user_id END;
    name CONSTANT text := coalesce((SELECT x.name FROM crm.accounts AS x WHERE x.tenant_id = t AND x.id = account_id
                                     AND crm.can_see(x.owner_id, x.team_id, x.shared_user_ids, x.shared_team_ids)),
                                   (SELECT x.name FROM crm.users AS x WHERE x.tenant_id = t AND x.id = who AND account_id IS NULL));
    a crm.activities;
    uid text;
    wall text;
    items text := '';
    zones text[] := '{}';
    first timestamptz := from_at;
BEGIN
    PERFORM crm_internal.check_window(from_at, until_at, 3660);
    IF name IS NULL THEN
        RAISE EXCEPTION 'there is no such user or account, or it is not visible to you' USING ERRCODE = 'no_data_found', HINT = 'Give user_id or account_id.';
    END IF;
    FOR a IN
        SELECT x.* FROM crm.activities AS x
        WHERE x.tenant_id = t AND crm.can_see(x.owner_id, x.team_id, x.shared_user_ids, x.shared_team_ids) AND x.kind <> 'note' AND isfinite(x.due_at)
            AND x.due_at < until_at
          AND (coalesce(x.ends_at, x.due_at) >= from_at OR x.recurrence IS NOT NULL AND x.recurred_at IS NULL)
          AND (account_id IS NULL OR x.account_id = calendar_ics.account_id)
          AND (who IS NULL OR x.owner_id = who OR EXISTS (SELECT FROM crm.activity_participants AS p WHERE p.tenant_id = x.tenant_id AND p.activity_id = x.id
                                                                                                     AND p.user_id = who AND p.response <> 'declined'))
        ORDER BY x.due_at, x.id
    LOOP
        IF a.recurrence IS NULL OR a.recurred_at IS NOT NULL THEN
            items := items || crm_internal.ics_item(a, concat('activity-', t, '-', a.id, '@crm'), '', crm_internal.ics_utc(a.due_at),
                crm_internal.ics_utc(a.ends_at), NULL);
            CONTINUE;
        END IF;
        uid := concat('series-', t, '-', a.series);
        IF a.recurrence ~* 'RSCALE=|SKIP=' OR a.due_at <> a.recurs_at THEN
            -- this one, and single events for those that the rule has after it
            items := items || crm_internal.ics_item(a, uid || '@crm', '', crm_internal.ics_utc(a.due_at), crm_internal.ics_utc(a.ends_at), NULL)
                || coalesce((SELECT string_agg(crm_internal.ics_item(a, uid || '-' || extract(epoch FROM r.at)::bigint || '@crm', '',
                    crm_internal.ics_utc(r.at),
                                                                     crm_internal.ics_utc(r.at + (a.ends_at - a.due_at)), NULL), '' ORDER BY r.at)
                             FROM crm.recurrence(a.recurrence, a.recurs_from, greatest(from_at, a.recurs_at + interval '1 microsecond'), until_at,
                                                 a.recurrence_zone) AS r (at)), '');
            CONTINUE;
        END IF;
        zones := zones || a.recurrence_zone;
        first := least(first, a.recurs_at);
        wall := 'YYYYMMDD"T"HH24MISS';
        items := items || crm_internal.ics_item(a, uid || '@crm', ';TZID=' || a.recurrence_zone, to_char(a.due_at AT TIME ZONE a.recurrence_zone, wall),
                                                to_char(a.ends_at AT TIME ZONE a.recurrence_zone, wall), crm_internal.ics_rule(a));
    END LOOP;
    RETURN crm_internal.ics_line('BEGIN', 'VCALENDAR') || crm_internal.ics_line('VERSION', '2.0') || crm_internal.ics_line('PRODID', '-//crm//crm 1.0//EN')
        || crm_internal.ics_line('CALSCALE', 'GREGORIAN') || crm_internal.ics_line('X-WR-CALNAME', crm_internal.ics_text(name))
        -- programs go on with the last change that is listed: three years more than is asked for
        || coalesce((SELECT string_agg(crm_internal.ics_zone(z.zone, first, until_at + interval '3 years'), '' ORDER BY z.zone)
                     FROM (SELECT DISTINCT u.zone FROM unnest(zones) AS u (zone)) AS z), '')
        || items || crm_internal.ics_line('END', 'VCALENDAR');
END
$$;
COMMENT ON FUNCTION crm.calendar_ics(bigint, bigint, timestamptz, timestamptz) IS
'The calendar of a user (the caller where neither is given) or of an account as iCalendar text (RFC 5545), of what the caller may see: meetings, calls and '
'visits as events, tasks as to-dos, with reminders, who takes part and rules of recurrence. Series are written from their latest activity on; those of the '
'Persian calendar, and ones whose latest activity was moved, as single events up to until_at. Errors: P0002 for nobody that the caller may see, 22023 for '
'times that are not in order.';
SELECT crm.declare_function('crm.calendar_ics', 'reader');
