-- Service clocks on random histories: what is stored is what the events give, in whatever order they were
-- told, and time used is what counting minutes gives.
BEGIN;
SET LOCAL timezone = 'UTC';
SELECT setseed(0.25) IS NOT NULL AS seeded;
SELECT c.code FROM crm.define_calendar('random', '{"zone": "Europe/Berlin", "weekly": {"mon": [["09:00","12:00"], ["13:00","17:30"]], "tue": [["22:00","30:00"]],
    "wed": [["09:00","17:00"]], "thu": [["00:00","24:00"]], "fri": [["09:00","17:00"]], "sun": [["01:00","04:00"]]}, "holidays": ["2025-10-27"]}') AS c;
INSERT INTO crm.sla_policies (subject_type, name, calendar_id, reopen)
SELECT 'x:random', v, c.id, v FROM unnest('{resume,new_cycle,never}'::text[]) AS v, crm.calendars AS c WHERE c.code = 'random';
INSERT INTO crm.sla_targets (policy_id, metric, priority, seconds, pause_stages)
SELECT p.id, m.metric, m.priority, m.seconds, CASE WHEN m.metric = 'total' THEN '{}' ELSE '{hold}' END::text[]
FROM crm.sla_policies AS p,
     (VALUES ('first_response', NULL, 3600), ('next_response', NULL, 1800), ('periodic_update', NULL, 14400), ('resolution', 'low', 36000),
             ('resolution', 'high', 7200), ('total', NULL, 72000)) AS m (metric, priority, seconds)
WHERE p.subject_type = 'x:random';

CREATE TEMPORARY TABLE stories AS
SELECT s.id AS subject_id, i AS n, p.id AS policy_id, p.reopen,
       CASE WHEN i = 0 THEN 'opened'
            ELSE (ARRAY['stage', 'stage', 'stage', 'customer_message', 'agent_message', 'resolved', 'reopened', 'changed', 'due', 'paused', 'resumed', 'closed'])
                 [1 + floor(random() * CASE WHEN s.id % 2 = 0 THEN 12 ELSE 7 END)::int] END AS event,
       timestamptz '2025-10-22 08:00Z' + make_interval(mins => CASE WHEN i = 0 THEN (s.id % 100)::int ELSE 100 + floor(random() * 10000)::int END) AS at,
       CASE WHEN random() < 0.5 THEN 'hold' ELSE 'work' END AS stage,
       CASE WHEN random() < 0.5 THEN 'low' ELSE 'high' END AS priority
FROM generate_series(1, 120) AS s (id), generate_series(0, 12) AS i, crm.sla_policies AS p
WHERE p.subject_type = 'x:random' AND p.position = 100
  AND p.reopen = (ARRAY['resume', 'new_cycle', 'never', 'resume'])[1 + s.id % 4];

-- one after the other, in no order
DO $$
DECLARE r record;
BEGIN
    FOR r IN SELECT * FROM stories ORDER BY random() LOOP
        PERFORM crm.record_sla_event('x:random', r.subject_id, r.event, r.at, jsonb_strip_nulls(jsonb_build_object(
            'stage', CASE WHEN r.event = 'stage' THEN r.stage END,
            'priority', CASE WHEN r.event IN ('changed', 'opened') THEN r.priority END,
            'policy_id', CASE WHEN r.event = 'opened' THEN r.policy_id END,
            'due_at', CASE WHEN r.event = 'due' THEN r.at + '1 day' END)));
        IF random() < 0.01 THEN
            PERFORM crm.record_sla_breaches(r.at, 10);
        END IF;
    END LOOP;
END $$;

CREATE FUNCTION pg_temp.differences() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*)
    FROM (SELECT s.tenant_id, s.subject_type, s.subject_id, f.*
          FROM crm.sla_subjects AS s, crm.sla_fold(s.subject_type, s.subject_id) AS f WHERE s.subject_type LIKE 'x:random%') AS f
    FULL JOIN (SELECT * FROM crm.sla_clocks WHERE subject_type LIKE 'x:random%') AS c USING (tenant_id, subject_type, subject_id, metric, cycle)
    WHERE (f.state, f.policy_id, f.target_id, f.target_seconds, f.calendar_id, f.started_at, f.counted_from, f.running_since, f.paused_since,
           f.stopped_at, f.due_at, f.due_pinned, f.due_before_change, f.breached_at, f.stretches, f.stretch_calendars)
          IS DISTINCT FROM
          (c.state, c.policy_id, c.target_id, c.target_seconds, c.calendar_id, c.started_at, c.counted_from, c.running_since, c.paused_since,
           c.stopped_at, c.due_at, c.due_pinned, c.due_before_change, c.breached_at, c.stretches, c.stretch_calendars)
$$;
SELECT count(*) > 500 AS clocks, count(DISTINCT state) AS states, pg_temp.differences() AS differences FROM crm.sla_clocks WHERE subject_type = 'x:random';

-- told in one statement instead: the same clocks
INSERT INTO crm.sla_events (subject_type, subject_id, event, occurred_at, stage, priority, terms_id, metric, at_time)
SELECT 'x:random again', e.subject_id, e.event, e.occurred_at, e.stage, e.priority, e.terms_id, e.metric, e.at_time
FROM crm.sla_events AS e WHERE e.subject_type = 'x:random' AND e.event NOT IN ('breached', 'breach_withdrawn') ORDER BY e.id;
SELECT pg_temp.differences() AS differences,
       (SELECT count(*) FROM crm.sla_clocks AS a
        FULL JOIN crm.sla_clocks AS b ON b.subject_type = 'x:random again' AND b.subject_id = a.subject_id AND b.metric = a.metric AND b.cycle = a.cycle
        WHERE a.subject_type = 'x:random'
          AND (a.state, a.due_at, a.used_seconds, a.running_since, a.stretches) IS DISTINCT FROM (b.state, b.due_at, b.used_seconds, b.running_since, b.stretches)) AS other_clocks;

-- resolution, counted minute by minute: open, not on hold, not resolved
CREATE TEMPORARY TABLE open_minutes AS
SELECT m AS at FROM generate_series(timestamptz '2025-10-22 08:00Z', '2025-10-30', '1 minute') AS m, crm.calendars AS c
WHERE c.code = 'random' AND crm.is_open(c.id, m);
CREATE TEMPORARY TABLE marks AS
SELECT e.subject_id, e.occurred_at AS at, e.id, e.event,
       CASE WHEN e.event = 'stage' THEN e.stage = 'hold' END AS hold,
       CASE WHEN e.event IN ('opened', 'reopened') THEN true WHEN e.event = 'resolved' THEN false END AS open
FROM crm.sla_events AS e
JOIN stories AS s ON s.subject_id = e.subject_id AND s.n = 0
WHERE e.subject_type = 'x:random' AND e.subject_id % 4 = 3 AND s.reopen = 'resume' AND e.event IN ('opened', 'stage', 'resolved', 'reopened')
ORDER BY e.subject_id, e.occurred_at, e.id;
WITH spans AS (
    SELECT m.subject_id, m.at, lead(m.at, 1, '2025-10-30') OVER w AS until,
           coalesce((array_agg(m.hold) FILTER (WHERE m.hold IS NOT NULL) OVER w)[count(m.hold) OVER w], false) AS hold,
           (array_agg(m.open) FILTER (WHERE m.open IS NOT NULL) OVER w)[count(m.open) OVER w] AS open
    FROM marks AS m
    WINDOW w AS (PARTITION BY m.subject_id ORDER BY m.at, m.event <> 'opened', m.id)
), counted AS (
    SELECT s.subject_id, 60.0 * sum(CASE WHEN s.open AND NOT s.hold THEN (SELECT count(*) FROM open_minutes AS o WHERE o.at >= s.at AND o.at < s.until) ELSE 0 END) AS seconds
    FROM spans AS s GROUP BY s.subject_id
)
SELECT count(*) AS subjects, count(*) FILTER (WHERE c.used_seconds IS DISTINCT FROM n.seconds) AS wrong, count(*) FILTER (WHERE n.seconds > 0) > 15 AS worth_it
FROM counted AS n, LATERAL crm.clock_state('x:random', n.subject_id, '2025-10-30') AS c WHERE c.metric = 'resolution';
ROLLBACK;
