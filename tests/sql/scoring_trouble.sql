-- What goes wrong around points: rules that cannot be worked out, models out of use, triggers off, extreme values.
\set SHOW_CONTEXT never
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL timezone TO 'America/New_York';

-- a date beside a moment with a time zone is compared, in UTC whatever the session's zone, and never stops a write
SELECT (crm.define_score_model('{"name": "leads", "rules": [
  {"name": "young", "when": "$.created_at.datetime() > \"2020-01-01\".datetime()", "points": 20},
  {"name": "on the day", "event": "visit", "when": "$.at.datetime() >= \"2026-01-02\".datetime()", "points": 5},
  {"name": "large", "when": "$.custom.size.double() >= 10", "points": 3},
  {"name": "far", "event": "visit", "when": "$.km.double() / $.hours.double() > 100", "points": 1}]}')).name;
INSERT INTO crm.leads (id, name) VALUES (1, 'Ada');
INSERT INTO crm.score_events (lead_id, kind, attributes) VALUES (1, 'visit', '{"at": "2026-01-02T02:00:00+00:00"}'), (1, 'visit', '{"at": "2026-01-01T23:00:00+00:00"}');
SELECT crm.lead_score_at(1);
SELECT crm.path_holds('{"at": "2026-01-01T23:00:00+00:00"}', '$.at.datetime() < "2026-01-02".datetime()') AS before,
       crm.condition_holds('{"at": "2026-01-02T00:00:00+00:00"}', '$.at.datetime() < "2026-01-02".datetime()') AS not_before;
-- what cannot be worked out counts as not met, and is told once
INSERT INTO crm.score_events (lead_id, kind, attributes) VALUES (1, 'visit', '{"at": "soon"}'), (1, 'visit', '{"km": "500", "hours": "0"}');
INSERT INTO crm.score_events (lead_id, kind, attributes) VALUES (1, 'visit', '{"at": "later"}');
SELECT payload - 'version' AS told, subject_table, subject_id FROM crm.events WHERE kind = 'score.trouble' ORDER BY id;
SELECT * FROM crm.check_score_rules();
SELECT count(*) AS wrong FROM crm.verify_lead_scores();
-- a segment is kept by the same conditions
SELECT name FROM crm.define_segment('{"name": "young", "where": "$.created_at.datetime() > \"2020-01-01\".datetime()"}');
INSERT INTO crm.leads (id, name) VALUES (2, 'Ben');
SELECT subject_id FROM crm.segment_members WHERE segment = 'young' ORDER BY 1;

-- a model out of use reads right, and so does one that comes back
SELECT (crm.define_score_model('{"name": "leads", "thresholds": [{"name": "warm", "enter": 20}],
  "rules": [{"name": "german", "when": "$.country == \"DE\"", "points": 20}, {"name": "visit", "event": "visit", "points": 5}]}')).name;
UPDATE crm.leads SET country = 'DE' WHERE id = 1;
DELETE FROM crm.score_events;
INSERT INTO crm.score_events (lead_id, kind) VALUES (1, 'visit');
SELECT crm.lead_score_at(1) AS in_use;
UPDATE crm.score_models SET active = false;
INSERT INTO crm.score_events (lead_id, kind) VALUES (1, 'visit');
UPDATE crm.leads SET country = 'FR' WHERE id = 1;
INSERT INTO crm.leads (id, name, country) VALUES (3, 'Cleo', 'DE');
INSERT INTO crm.score_events (lead_id, kind) VALUES (3, 'visit');
SELECT crm.lead_score_at(1, now(), 'leads') AS ten, crm.lead_score_at(3, now(), 'leads') AS twenty_five;
UPDATE crm.score_models SET active = true;
SELECT crm.lead_score_at(1) AS ten, crm.lead_score_at(3) AS twenty_five;
SELECT lead_id, score FROM crm.top_leads(2);
SELECT crm.replay_stale_scores() > 0 AS replayed;
SELECT lead_id, score FROM crm.top_leads(2);
SELECT count(*) AS wrong FROM crm.verify_lead_scores();
SELECT lead_id, direction FROM crm.score_crossings WHERE threshold = 'warm' ORDER BY id;

-- triggers off: verification finds it, a replay brings it back
SET LOCAL session_replication_role = replica;
INSERT INTO crm.score_events (lead_id, kind) VALUES (1, 'visit'), (2, 'visit');
UPDATE crm.leads SET country = 'DE' WHERE id = 1;
SET LOCAL session_replication_role = origin;
SELECT lead_id, reason FROM crm.verify_lead_scores() ORDER BY 1;
SELECT crm.replay_scores() AS leads;
SELECT count(*) AS wrong FROM crm.verify_lead_scores();
SELECT crm.lead_score_at(1) AS thirty_five, crm.lead_score_at(2) AS five;

-- huge points beside small ones: the sum is exact, and at once
SET LOCAL statement_timeout = '5s';
WITH m AS (
    SELECT '{"rules": [{"name": "a", "event": "a", "points": 1e12}, {"name": "c", "event": "c", "points": 0.3, "decay": "half_life", "period": "1 day"},
                       {"name": "d", "event": "d", "points": 0.7, "decay": "half_life", "period": "1 day"}]}'::jsonb AS d
), s AS (
    SELECT d, crm.points_replay(d, k, NULL, '2026-01-01Z', NULL) AS state
    FROM m, (SELECT CASE WHEN i < 20000 THEN 'a' ELSE chr(97 + i % 4) END AS k FROM generate_series(1, 20004) AS i) AS e GROUP BY d
)
SELECT (crm.points_score(d, state, '2026-01-03 13:00Z')).score = (SELECT sum(points) FROM crm.points_explain(d, state, '2026-01-03 13:00Z')) AS exact FROM s;
RESET statement_timeout;

-- at most two within a day: a late event counts where no day holds three, and only there
SELECT (crm.points_score(d, s, '2026-02-01Z')).score AS points
FROM (SELECT '{"rules": [{"name": "a", "event": "e", "points": 1, "repeat": "limited", "times": 2, "window": "1 day"}]}'::jsonb AS d) AS m,
     (VALUES ('{0,30,15}'::int[]), ('{0,10,5}'), ('{0,40,80,120,1}'), ('{0,1,40,41,80,81,2}')) AS v (hours),
     LATERAL (SELECT crm.points_replay(d, 'e', NULL, timestamptz '2026-01-01Z' + make_interval(hours => h), NULL ORDER BY i) AS s
              FROM unnest(hours) WITH ORDINALITY AS u (h, i)) AS e;

-- grades are held below their bound by the hysteresis, and a replay makes the same grades
SELECT (crm.define_score_model('{"name": "graded", "fit_grades": [30, 20, 10], "engagement_grades": [30, 20, 10], "hysteresis": 5,
  "rules": [{"name": "large", "when": "$.employees >= 100", "points": 31}, {"name": "medium", "when": "$.employees >= 50", "points": 27},
            {"name": "visit", "event": "visit2", "points": 32, "decay": "half_life", "period": "30 days"}, {"name": "call", "event": "call", "points": 2}]}')).name;
INSERT INTO crm.leads (id, name, employees) VALUES (4, 'Dora', 30);
UPDATE crm.leads SET employees = 100 WHERE id = 4;
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (4, 'visit2', now() - interval '7 days');
INSERT INTO crm.leads (id, name, employees) VALUES (5, 'Emil', 60);
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (5, 'visit2', now() - interval '7 days');
-- 27 of 30 each
SELECT grade, round(engagement) AS engagement FROM crm.lead_score_parts(4, now(), 'graded');
UPDATE crm.score_rules SET condition = '$.employees >= 1' WHERE name = 'medium';
SELECT crm.replay_scores('graded') > 0;
UPDATE crm.leads SET employees = 60 WHERE id = 4;
SELECT fit, grade FROM crm.lead_score_parts(4, now(), 'graded');
SELECT crm.replay_scores('graded') > 0 AS replayed, (crm.lead_score_parts(4, now(), 'graded')).grade AS still;
-- other rules, other grades
UPDATE crm.score_rules SET points = 27 WHERE name = 'large';
SELECT crm.replay_scores('graded') > 0;
SELECT fit, grade FROM crm.lead_score_parts(4, now(), 'graded');
-- held grades too, at any instant
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (5, 'call', now());
CREATE TEMP TABLE grades AS SELECT l AS lead_id, t, (crm.lead_score_parts(l, t, 'graded')).grade FROM unnest('{4,5}'::bigint[]) AS l,
  unnest(ARRAY[now(), now() + interval '5 days', now() + interval '20 days', now() + interval '90 days']) AS t;
SELECT lead_id, string_agg(grade, ' ' ORDER BY t) FROM grades GROUP BY 1 ORDER BY 1;
SELECT crm.replay_scores('graded') > 0;
SELECT count(*) AS changed_by_replay FROM grades WHERE grade IS DISTINCT FROM (crm.lead_score_parts(lead_id, t, 'graded')).grade;
UPDATE crm.score_events SET attributes = '{}' WHERE lead_id IN (4, 5);
SELECT count(*) AS changed_by_correction FROM grades WHERE grade IS DISTINCT FROM (crm.lead_score_parts(lead_id, t, 'graded')).grade;
-- a state that cannot be read: the lead is written, the trouble told, and a replay mends it
INSERT INTO crm.leads (id, name, employees) VALUES (6, 'Fay', 60), (7, 'Gil', 60);
UPDATE crm.lead_scores SET state = '\x00010203' WHERE lead_id = 6;
UPDATE crm.leads SET employees = 100 WHERE id IN (6, 7);
SELECT id, employees FROM crm.leads WHERE id IN (6, 7) ORDER BY 1;
SELECT subject_table, payload FROM crm.events WHERE kind = 'score.trouble' AND payload ? 'sqlstate' ORDER BY id DESC LIMIT 1;
SELECT crm.replay_scores('graded') > 0 AS replayed;
SELECT fit FROM unnest('{6,7}'::bigint[]) AS l, crm.lead_score_parts(l, now(), 'graded');
ROLLBACK;
