-- Service clocks: the cases other systems get wrong, each from events to clocks.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET datestyle = 'ISO, YMD';
BEGIN;
SET LOCAL timezone = 'UTC';
SELECT count(*) AS calendars FROM (VALUES
    ('c1',      '{"zone": "UTC", "weekly": {"mon": [["09:00","17:00"]], "tue": [["09:00","17:00"]], "wed": [["09:00","17:00"]], "thu": [["09:00","17:00"]], "fri": [["09:00","17:00"]]}}'),
    ('long',    '{"zone": "UTC", "weekly": {"mon": [["08:00","18:00"]], "tue": [["08:00","18:00"]], "wed": [["08:00","18:00"]], "thu": [["08:00","18:00"]], "fri": [["08:00","18:00"]]}}'),
    ('lunch',   '{"zone": "UTC", "weekly": {"mon": [["08:00","12:00"], ["13:30","18:00"]], "tue": [["08:00","12:00"], ["13:30","18:00"]]}}'),
    ('night',   '{"zone": "UTC", "weekly": {"mon": [["22:00","30:00"]], "tue": [["22:00","30:00"]], "wed": [["22:00","30:00"]], "thu": [["22:00","30:00"]], "fri": [["22:00","30:00"]]}}'),
    ('berlin',  '{"zone": "Europe/Berlin", "weekly": {"mon": [["00:00","24:00"]], "tue": [["00:00","24:00"]], "wed": [["00:00","24:00"]], "thu": [["00:00","24:00"]], "fri": [["00:00","24:00"]], "sat": [["00:00","24:00"]], "sun": [["00:00","24:00"]]}}'),
    ('tehran',  '{"zone": "Asia/Tehran", "weekly": {"sat": [["08:00","16:00"]], "sun": [["08:00","16:00"]], "mon": [["08:00","16:00"]], "tue": [["08:00","16:00"]], "wed": [["08:00","16:00"]], "thu": [["08:00","12:00"]]}, "holidays": [{"jalali": "01-01", "length": 4}]}')
) AS v (code, definition), LATERAL crm.define_calendar(v.code, v.definition::jsonb) AS c;

CREATE FUNCTION pg_temp.cal(code text) RETURNS bigint LANGUAGE sql AS $$ SELECT c.id FROM crm.calendars AS c WHERE c.code = $1 $$;
-- a policy with one target for resolution; its name is what the subject's kind has to be
CREATE FUNCTION pg_temp.policy(name text, calendar text, metric text, hours double precision, pause text[] DEFAULT '{}', reopen text DEFAULT 'resume')
RETURNS bigint LANGUAGE sql AS $$
    WITH p AS (INSERT INTO crm.sla_policies (subject_type, name, condition, calendar_id, reopen)
               VALUES ('x:cases', $1, format('$.kind == %s', to_json($1))::jsonpath, pg_temp.cal($2), $6) RETURNING id)
    INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis, pause_stages)
    SELECT p.id, $3, $4 * 3600, CASE WHEN $2 IS NULL THEN 'calendar' ELSE 'business' END, $5 FROM p RETURNING policy_id
$$;
CREATE FUNCTION pg_temp.ev(subject bigint, event text, at timestamptz, data jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
    SELECT FROM crm.record_sla_event('x:cases', $1, $2, $3, $4) $$;
CREATE FUNCTION pg_temp.due(subject bigint, zone text DEFAULT 'UTC') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(to_char(c.due_at AT TIME ZONE $2, 'Dy DD Mon HH24:MI'), ', ' ORDER BY c.metric, c.cycle)
    FROM crm.sla_clocks AS c WHERE c.subject_type = 'x:cases' AND c.subject_id = $1 $$;
CREATE FUNCTION pg_temp.clocks(subject bigint, as_of timestamptz) RETURNS TABLE (metric text, cycle integer, state text, breached_at text, due_at text, used interval, "left" interval) LANGUAGE sql AS $$
    SELECT c.metric, c.cycle, c.state, to_char(c.breached_at, 'Dy DD HH24:MI'), to_char(c.due_at, 'Dy DD HH24:MI'),
           make_interval(secs => c.used_seconds), make_interval(secs => c.remaining_seconds)
    FROM crm.clock_state('x:cases', $1, $2) AS c $$;

SELECT count(pg_temp.policy(name, cal, 'resolution', hours, pause)) AS policies FROM (VALUES
    ('c1 1h', 'c1', 1, '{}'::text[]), ('c1 2h', 'c1', 2, '{}'), ('c1 10h', 'c1', 10, '{hold}'), ('long 4h', 'long', 4, '{}'),
    ('lunch 15m', 'lunch', 0.25, '{}'), ('lunch 1h', 'lunch', 1, '{}'), ('night 4h', 'night', 4, '{}'), ('night 2h', 'night', 2, '{}'),
    ('berlin 4h', 'berlin', 4, '{}'), ('tehran 4h', 'tehran', 4, '{}'), ('tehran 2h', 'tehran', 2, '{}'),
    ('all 4h', NULL, 4, '{hold}'), ('all 30m', NULL, 0.5, '{hold}')) AS v (name, cal, hours, pause);

-- where weekends, lunch, nights and changes of the clocks lie in between
SELECT v.id, v.kind, v.expected, pg_temp.due(v.id, v.zone) = v.expected AS right
FROM (VALUES
    (1,  'c1 1h',     'Mon 13 Jul 09:30', '2020-07-10 16:30Z'::timestamptz, 'UTC'),
    (2,  'c1 2h',     'Wed 08 Jul 11:00', '2020-07-08 07:00Z', 'UTC'),
    (3,  'c1 2h',     'Wed 08 Jul 12:00', '2020-07-08 10:00Z', 'UTC'),
    (4,  'c1 1h',     'Mon 13 Jul 10:00', '2020-07-11 15:00Z', 'UTC'),
    (5,  'c1 1h',     'Mon 13 Jul 10:00', '2020-07-11 20:00Z', 'UTC'),
    (6,  'long 4h',   'Tue 14 Jul 11:00', '2020-07-13 17:00Z', 'UTC'),
    (7,  'lunch 15m', 'Mon 13 Jul 13:45', '2020-07-13 12:30Z', 'UTC'),
    (8,  'lunch 1h',  'Mon 13 Jul 14:00', '2020-07-13 11:30Z', 'UTC'),
    (9,  'night 4h',  'Tue 14 Jul 03:00', '2020-07-13 23:00Z', 'UTC'),
    (10, 'night 2h',  'Sat 11 Jul 04:00', '2020-07-11 02:00Z', 'UTC'),
    (11, 'night 2h',  'Mon 13 Jul 23:00', '2020-07-11 05:00Z', 'UTC'),
    (12, 'berlin 4h', 'Sun 29 Mar 04:00', '2026-03-28 23:00 Europe/Berlin', 'Europe/Berlin'),
    (13, 'berlin 4h', 'Sun 25 Oct 02:00', '2026-10-24 23:00 Europe/Berlin', 'Europe/Berlin'),
    (14, 'tehran 4h', 'Thu 16 Jul 11:00', '2020-07-15 15:00 Asia/Tehran', 'Asia/Tehran'),
    (15, 'tehran 2h', 'Sat 18 Jul 09:00', '2020-07-16 11:00 Asia/Tehran', 'Asia/Tehran'),
    (16, 'tehran 2h', 'Wed 25 Mar 09:00', '2026-03-19 11:00 Asia/Tehran', 'Asia/Tehran')
) AS v (id, kind, expected, at, zone),
LATERAL (SELECT pg_temp.ev(v.id, 'opened', v.at, jsonb_build_object('kind', v.kind))) AS e;
-- a step one business hour before due
SELECT to_char(crm.business_add(pg_temp.cal('long'), c.due_at, -3600), 'Dy HH24:MI') AS step
FROM crm.sla_clocks AS c WHERE c.subject_type = 'x:cases' AND c.subject_id = 6;

-- holds: inside hours, several, around the clock, and outside hours where they change nothing
SELECT pg_temp.ev(20, 'opened', '2020-07-13 09:00Z', '{"kind": "c1 10h"}'), pg_temp.ev(20, 'stage', '2020-07-13 16:00Z', '{"stage": "hold"}');
SELECT state, due_at, used, "left" FROM pg_temp.clocks(20, '2020-07-14 09:30Z');
SELECT pg_temp.ev(20, 'stage', '2020-07-14 10:00Z', '{"stage": "work"}');
SELECT pg_temp.due(20) = 'Tue 14 Jul 13:00' AS tuesday_13;
SELECT pg_temp.ev(21, 'opened', '2020-07-13 09:00Z', '{"kind": "all 4h"}'), pg_temp.ev(21, 'stage', '2020-07-13 10:00Z', '{"stage": "hold"}'),
       pg_temp.ev(21, 'stage', '2020-07-13 11:00Z', '{"stage": "work"}'), pg_temp.ev(21, 'stage', '2020-07-13 12:00Z', '{"stage": "hold"}'),
       pg_temp.ev(21, 'stage', '2020-07-13 13:00Z', '{"stage": "work"}');
SELECT pg_temp.due(21) = 'Mon 13 Jul 15:00' AS both_holds;
SELECT pg_temp.ev(22, 'opened', '2020-07-13 01:15Z', '{"kind": "all 30m"}'), pg_temp.ev(22, 'stage', '2020-07-13 01:30Z', '{"stage": "hold"}'),
       pg_temp.ev(22, 'stage', '2020-07-13 02:00Z', '{"stage": "work"}');
SELECT pg_temp.due(22) = 'Mon 13 Jul 02:15' AS an_hour_later;
SELECT pg_temp.ev(23, 'opened', '2020-07-13 09:00Z', '{"kind": "c1 10h"}'), pg_temp.ev(23, 'stage', '2020-07-13 18:00Z', '{"stage": "hold"}'),
       pg_temp.ev(23, 'stage', '2020-07-14 08:00Z', '{"stage": "work"}');
SELECT pg_temp.due(23) = 'Tue 14 Jul 11:00' AS unchanged;
-- created paused: nothing used
SELECT pg_temp.ev(24, 'opened', '2020-07-13 09:00Z', '{"kind": "c1 10h", "stage": "hold"}');
SELECT state, due_at, used FROM pg_temp.clocks(24, '2020-07-14 12:00Z');
-- paused, then straight to resolved: the hold is taken out
SELECT pg_temp.ev(20, 'stage', '2020-07-14 11:00Z', '{"stage": "hold"}'), pg_temp.ev(20, 'resolved', '2020-08-14 11:00Z');
SELECT state, used, due_at FROM pg_temp.clocks(20, '2020-09-01');
SELECT * FROM crm.clock_history('x:cases', 20, '2020-09-01');

-- in time at the due instant, late a moment after it, without any poll in between
SELECT pg_temp.ev(30, 'opened', '2020-07-13 09:00Z', '{"kind": "c1 1h"}'), pg_temp.ev(31, 'opened', '2020-07-13 09:00Z', '{"kind": "c1 1h"}');
SELECT v.at, (SELECT breached_at FROM pg_temp.clocks(30, v.at::timestamptz)) FROM (VALUES ('2020-07-13 09:59:59.999999Z'), ('2020-07-13 10:00Z')) AS v (at);
SELECT pg_temp.ev(30, 'resolved', '2020-07-13 10:00Z'), pg_temp.ev(31, 'resolved', '2020-07-13 10:00:00.000001Z');
SELECT subject_id, state, breached_at FROM crm.sla_clocks WHERE subject_type = 'x:cases' AND subject_id IN (30, 31) ORDER BY 1;
-- told later: it had been answered in time
SELECT pg_temp.ev(32, 'opened', '2020-07-13 09:00Z', '{"kind": "c1 1h"}');
SELECT crm.record_sla_breaches('2020-07-13 11:00Z') > 0 AS noted;
SELECT pg_temp.ev(32, 'resolved', '2020-07-13 09:50Z');
SELECT state, breached_at FROM crm.sla_clocks WHERE subject_type = 'x:cases' AND subject_id = 32;
SELECT event, occurred_at FROM crm.sla_events WHERE subject_type = 'x:cases' AND subject_id = 32 ORDER BY id;
SELECT count(*) AS what_was_known_then FROM crm.clock_state('x:cases', 32, '2020-07-13 12:00Z', '-infinity');

-- messages
WITH p AS (INSERT INTO crm.sla_policies (subject_type, name, condition, calendar_id) VALUES ('x:cases', 'talk', '$.kind == "talk"', pg_temp.cal('c1')) RETURNING id)
INSERT INTO crm.sla_targets (policy_id, metric, priority, seconds, pause_stages)
SELECT p.id, v.metric, v.priority, v.hours * 3600, CASE WHEN v.metric = 'resolution' THEN '{hold}' ELSE '{}' END::text[]
FROM p, (VALUES ('first_response', NULL, 2), ('next_response', NULL, 1), ('periodic_update', NULL, 4), ('resolution', 'low', 8), ('resolution', 'urgent', 2)) AS v (metric, priority, hours);
SELECT pg_temp.ev(40, 'opened', '2020-07-13 09:00Z', '{"kind": "talk", "priority": "low"}'), pg_temp.ev(40, 'customer_message', '2020-07-13 09:30Z');
-- only the first response runs, whatever shorter target there is
SELECT metric, cycle, state, due_at FROM pg_temp.clocks(40, '2020-07-13 09:31Z');
SELECT pg_temp.ev(40, 'agent_message', '2020-07-13 10:00Z'), pg_temp.ev(40, 'customer_message', '2020-07-13 10:30Z'), pg_temp.ev(40, 'customer_message', '2020-07-13 10:45Z');
-- the oldest unanswered message counts; another one does not restart the clock
SELECT metric, cycle, state, due_at FROM pg_temp.clocks(40, '2020-07-13 11:00Z');
SELECT pg_temp.ev(40, 'agent_message', '2020-07-13 11:00Z'), pg_temp.ev(40, 'agent_message', '2020-07-13 12:00Z'),
       pg_temp.ev(40, 'customer_message', '2020-07-13 12:30Z'), pg_temp.ev(40, 'resolved', '2020-07-13 12:45Z');
-- a last "thanks", then resolved: no clock runs on
SELECT metric, cycle, state, due_at, used FROM pg_temp.clocks(40, '2020-07-14 12:00Z');
-- opened by the company: no first response is waited for
SELECT pg_temp.ev(41, 'opened', '2020-07-13 09:00Z', '{"kind": "talk", "inbound": false}'), pg_temp.ev(41, 'customer_message', '2020-07-13 09:30Z');
SELECT metric, cycle, state, due_at FROM pg_temp.clocks(41, '2020-07-13 09:31Z');

-- priority changed on the way: counted from creation, or from the change, and never late without a word
SELECT count(pg_temp.ev(i, 'opened', '2020-07-13 09:00Z', '{"kind": "talk", "priority": "low"}')) FROM generate_series(50, 53) AS i;
SELECT pg_temp.ev(50, 'changed', '2020-07-13 11:00Z', '{"priority": "urgent"}'),
       pg_temp.ev(51, 'changed', '2020-07-13 11:00Z', '{"priority": "urgent", "count": "change"}'),
       pg_temp.ev(52, 'changed', '2020-07-13 12:00Z', '{"priority": "urgent"}'),
       pg_temp.ev(53, 'due', '2020-07-13 10:00Z', '{"due_at": "2020-07-20 12:00Z"}');
SELECT pg_temp.ev(53, 'changed', '2020-07-13 12:00Z', '{"priority": "urgent"}');
SELECT subject_id, to_char(due_at, 'Dy DD HH24:MI') AS due, due_before_change, due_pinned FROM crm.sla_clocks
WHERE subject_type = 'x:cases' AND metric = 'resolution' AND subject_id BETWEEN 50 AND 53 ORDER BY 1;
-- a breach stays history when the promise is made longer, and is overdue no more
SELECT pg_temp.ev(54, 'opened', '2020-07-13 09:00Z', '{"kind": "talk", "priority": "urgent"}'), pg_temp.ev(54, 'changed', '2020-07-13 12:00Z', '{"priority": "low"}');
SELECT state, breached_at, due_at FROM pg_temp.clocks(54, '2020-07-13 12:30Z') WHERE metric = 'resolution';
-- no promise any more: nothing is due
SELECT pg_temp.ev(54, 'changed', '2020-07-13 13:00Z', '{"policy_id": null}');
SELECT metric, state, due_at FROM pg_temp.clocks(54, '2020-07-15') ORDER BY 1;

-- reopened, in three ways
SELECT count(pg_temp.policy('again ' || v, 'c1', 'resolution', 4, '{}', v)) FROM unnest('{resume,new_cycle,never}'::text[]) AS v;
SELECT count(*) FROM (VALUES (60, 'resume'), (61, 'new_cycle'), (62, 'never')) AS v (id, kind),
LATERAL (SELECT pg_temp.ev(v.id, 'opened', '2020-07-13 09:00Z', jsonb_build_object('kind', 'again ' || v.kind)),
                pg_temp.ev(v.id, 'resolved', '2020-07-13 12:00Z'), pg_temp.ev(v.id, 'reopened', '2020-07-14 09:00Z')) AS e;
SELECT s.id, c.* FROM generate_series(60, 62) AS s (id), pg_temp.clocks(s.id, '2020-07-14 11:00Z') AS c;
-- total counts the time in between
INSERT INTO crm.sla_targets (policy_id, metric, seconds) SELECT id, 'total', 4 * 3600 FROM crm.sla_policies WHERE name = 'again resume';
SELECT metric, state, due_at FROM pg_temp.clocks(60, now());

-- merged: the clocks of the source leave, the survivor has waited since the earlier one
SELECT pg_temp.ev(70, 'opened', '2020-07-13 09:00Z', '{"kind": "c1 2h"}'), pg_temp.ev(71, 'opened', '2020-07-13 10:00Z', '{"kind": "c1 2h"}');
SELECT pg_temp.ev(70, 'merged', '2020-07-13 10:30Z', '{"into_id": 71}');
SELECT subject_id, state, started_at, due_at, breached_at FROM crm.sla_clocks WHERE subject_type = 'x:cases' AND subject_id IN (70, 71) ORDER BY 1;
-- a policy that is switched off: nothing is overdue
SELECT pg_temp.ev(72, 'opened', '2020-07-13 10:00Z', '{"kind": "long 4h"}');
UPDATE crm.sla_policies SET active = false WHERE name = 'long 4h';
SELECT state, due_at FROM crm.sla_clocks WHERE subject_type = 'x:cases' AND subject_id = 72;
-- a target that is changed reaches open clocks
SELECT pg_temp.ev(73, 'opened', '2020-07-13 10:00Z', '{"kind": "lunch 1h"}');
UPDATE crm.sla_targets SET seconds = 7200 WHERE policy_id = (SELECT id FROM crm.sla_policies WHERE name = 'lunch 1h');
SELECT state, due_at FROM crm.sla_clocks WHERE subject_type = 'x:cases' AND subject_id = 73;

-- another calendar mid-flight: all by the last, or each time by its own
SELECT count(pg_temp.ev(i, 'opened', '2020-07-13 08:00Z', '{"kind": "c1 10h"}')) FROM generate_series(80, 81) AS i;
SELECT pg_temp.ev(80, 'changed', '2020-07-13 12:00Z', jsonb_build_object('calendar_id', pg_temp.cal('long'))),
       pg_temp.ev(81, 'changed', '2020-07-13 12:00Z', jsonb_build_object('calendar_id', pg_temp.cal('long'), 'calendar_mode', 'sum'));
SELECT s.id, c.used, c.due_at FROM generate_series(80, 81) AS s (id), pg_temp.clocks(s.id, '2020-07-13 20:00Z') AS c;

-- other hours: due instants follow at once, noted and past breaches stay
SELECT pg_temp.ev(90, 'opened', '2020-07-09 16:30Z', '{"kind": "night 4h"}'), pg_temp.ev(91, 'opened', '2099-07-13 16:00Z', '{"kind": "c1 10h"}');
SELECT crm.import_holidays(pg_temp.cal('c1'), 'feed', '[{"date": "2099-07-14"}]'), crm.import_holidays(pg_temp.cal('night'), 'feed', '[{"date": "2020-07-09"}, {"date": "2020-07-10"}]');
SELECT subject_id, due_at, breached_at FROM crm.sla_clocks WHERE subject_type = 'x:cases' AND subject_id IN (90, 91) ORDER BY 1;
-- a mistake is withdrawn, not erased
SELECT pg_temp.ev(92, 'opened', '2020-07-13 09:00Z', '{"kind": "c1 2h"}'), pg_temp.ev(92, 'resolved', '2020-07-13 10:00Z');
SELECT w.event FROM crm.sla_events AS e,
LATERAL crm.record_sla_event('x:cases', 92, 'withdrawn', '2020-07-13 12:00Z', jsonb_build_object('event_id', e.id)) AS w
WHERE e.subject_type = 'x:cases' AND e.subject_id = 92 AND e.event = 'resolved';
SELECT state, stopped_at FROM crm.sla_clocks WHERE subject_type = 'x:cases' AND subject_id = 92;

-- refused
\set VERBOSITY terse
UPDATE crm.sla_events SET occurred_at = now();
INSERT INTO crm.sla_targets (policy_id, metric, seconds) SELECT id, 'first_response', 0 FROM crm.sla_policies WHERE name = 'c1 1h';
INSERT INTO crm.sla_targets (policy_id, metric, seconds, pause_stages) SELECT id, 'total', 1, '{hold}' FROM crm.sla_policies WHERE name = 'c1 1h';
SELECT crm.record_sla_event('x:cases', 1, 'sneezed');
SELECT crm.record_sla_event('x:cases', 1, 'breached');
SELECT crm.record_sla_event('x:cases', 1, 'merged', now(), '{"into_id": 1}');
SELECT crm.record_sla_event('x:cases', 1, 'stage', 'infinity');
INSERT INTO crm.sla_policies (subject_type, name) VALUES ('x:nocal', 'p');
INSERT INTO crm.sla_targets (policy_id, metric, seconds) SELECT id, 'resolution', 60 FROM crm.sla_policies WHERE name = 'p';
DO $$ BEGIN PERFORM crm.record_sla_event('x:nocal', 1, 'opened'); EXCEPTION WHEN SQLSTATE 'CR301' THEN RAISE NOTICE 'no calendar'; END $$;
\set VERBOSITY default

-- the same clocks for leads
INSERT INTO crm.sla_policies (subject_type, name) VALUES ('leads', 'answer leads');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) SELECT id, 'first_response', 300, 'calendar' FROM crm.sla_policies WHERE name = 'answer leads';
SELECT event FROM crm.record_sla_event('leads', 7, 'opened', '2020-07-13 09:00Z');
SELECT c.metric, c.due_at, c.remaining_seconds FROM crm.clock_state('leads', 7, '2020-07-13 09:04Z') AS c;

-- what is stored is what the events give
SELECT count(*) AS differences FROM (
    SELECT s.subject_type, s.subject_id, f.* FROM crm.sla_subjects AS s, crm.sla_fold(s.subject_type, s.subject_id) AS f
) AS f
FULL JOIN crm.sla_clocks AS c USING (subject_type, subject_id, metric, cycle)
WHERE (f.state, f.policy_id, f.target_seconds, f.calendar_id, f.running_since, f.paused_since, f.stopped_at, f.due_at, f.breached_at, f.stretches)
      IS DISTINCT FROM (c.state, c.policy_id, c.target_seconds, c.calendar_id, c.running_since, c.paused_since, c.stopped_at, c.due_at, c.breached_at, c.stretches);
-- ended clocks keep what was measured, whatever holidays are announced later
SELECT count(*) AS announced FROM crm.import_holidays(pg_temp.cal('c1'), 'feed', '[{"date": "2020-07-13"}, {"date": "2020-07-14"}]');
SELECT pg_temp.ev(20, 'note', '2020-08-15 11:00Z');
SELECT state, used_seconds / 3600 AS hours, due_at FROM crm.sla_clocks WHERE subject_type = 'x:cases' AND subject_id = 20;
ROLLBACK;
