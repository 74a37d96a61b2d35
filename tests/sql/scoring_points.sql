-- Points: the engine on plain values, then the tables around it.
\set SHOW_CONTEXT never
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL timezone TO 'UTC';

-- decay of one event
SELECT age, crm.decayed_points(10, age, 'half_life', 30) AS half_life, crm.decayed_points(10, age, 'linear', 60) AS linear,
       crm.decayed_points(10, age, 'step', 30, 0.5) AS step, crm.decayed_points(10, age, 'none') AS none
FROM unnest('{-5,0,15,30,45,60,61}'::float8[]) AS age;
SELECT crm.decayed_points(10, 1, 'half_life');
SELECT crm.decayed_points(10, 1, 'sometimes', 1);
SELECT crm.decayed_points(10, 'NaN', 'none');

-- what is wrong with a definition is said
CREATE TEMP TABLE wrong (d jsonb);
INSERT INTO wrong VALUES
 ('[]'), ('{"rule": []}'), ('{"min": 5, "max": 5}'), ('{"rules": [{"points": 1}]}'), ('{"rules": [{"name": "a", "event": "e"}]}'),
 ('{"rules": [{"name": "a", "points": 1}]}'), ('{"rules": [{"name": "a", "event": "e", "points": 0}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "half_live": 1}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "decay": "half_life"}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "period": 60}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "decay": "half_life", "period": "-1 day"}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "decay": "half_life", "period": "0"}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "decay": "step", "period": "1 day"}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "decay": "step", "period": "1 day", "share": 1.5}]}'),
 ('{"rules": [{"name": "a", "when": "$.x == 1", "points": 1, "decay": "linear", "period": "1 day"}]}'),
 ('{"rules": [{"name": "a", "when": "$.x = 1", "points": 1}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "cap": 0}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "repeat": "twice"}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "repeat": "limited", "times": 2}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "repeat": "limited", "times": 1.5, "window": "1 day"}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1}, {"name": "a", "event": "f", "points": 1}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1, "group": "g"}, {"name": "b", "when": "$.x", "points": 1, "group": "g"}]}'),
 ('{"rules": [{"name": "a", "event": "e", "points": 1e300}]}'),
 ('{"thresholds": [{"name": "t"}]}'), ('{"thresholds": [{"name": "t", "enter": 1, "leave": 2}]}'), ('{"fit_grades": [1, 2]}'),
 ('{"fit_grades": [4, 3, 2, 1]}'), ('{"hysteresis": -1}');
CREATE FUNCTION pg_temp.said(d jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE h text;
BEGIN PERFORM crm.points_check(d); RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS h = PG_EXCEPTION_HINT; RETURN SQLSTATE || ' ' || SQLERRM || coalesce(' / ' || nullif(h, ''), '');
END $$;
SELECT pg_temp.said(d) FROM wrong;

-- a state has the same bytes on every machine, so that a dump moves between them
SELECT encode(crm.points_replay('{"rules": [{"name": "visit", "event": "v", "points": 2.5, "repeat": "once_per_object"}, {"name": "late", "event": "v", "points": 1, "decay": "linear", "period": "10 days"}]}',
    'v', o, at, NULL ORDER BY at), 'hex') AS state FROM (VALUES ('page one', '2026-01-01Z'::timestamptz), ('صفحه', '2026-01-02Z')) AS e (o, at);

-- order: decay, rule cap, group cap, total. Two events of 50, half gone, cap 60: 50, not 30
SELECT (crm.points_score(d, s, '2026-01-31Z')).score FROM
  (SELECT '{"groups": {"g": {"cap": 60}}, "rules": [{"name": "a", "event": "e", "group": "g", "points": 50, "decay": "half_life", "period": "30 days"}]}'::jsonb AS d) AS m,
  LATERAL (SELECT crm.points_replay(d, 'e', NULL, at, NULL) AS s FROM unnest('{2026-01-01Z,2026-01-01Z}'::timestamptz[]) AS at) AS e;

-- repeat policies
CREATE TEMP TABLE policy (p text, d jsonb);
INSERT INTO policy SELECT p, jsonb_build_object('rules', jsonb_build_array(jsonb_build_object('name', 'a', 'event', 'e', 'points', 1, 'repeat', p)
       || CASE WHEN p = 'limited' THEN '{"times": 2, "window": "1 day"}' ELSE '{}' END::jsonb))
FROM unnest('{every,once,once_per_object,limited}'::text[]) AS p;
SELECT p, (crm.points_score(d, s, '2026-02-01Z')).score
FROM policy, LATERAL (SELECT crm.points_replay(d, 'e', CASE WHEN h % 2 = 0 THEN 'even' ELSE 'odd' END, timestamptz '2026-01-01Z' + make_interval(hours => 5 * h), NULL ORDER BY h) AS s
                      FROM generate_series(0, 9) AS h) AS e;

-- conditions on events; a path that is no predicate must find something; errors inside say no
SELECT crm.points_score(d, s, '2026-01-02Z')
FROM (SELECT '{"rules": [{"name": "a", "event": "buy", "when": "$.amount > 100", "points": 1}, {"name": "b", "event": "buy", "when": "$.items[*] ? (@ == \"x\")", "points": 10},
               {"name": "c", "event": "buy", "when": "$.amount.double() / 0 > 1", "points": 100}]}'::jsonb AS d) AS m,
 LATERAL (SELECT crm.points_replay(d, 'buy', NULL, '2026-01-01Z', a) AS s FROM (VALUES ('{"amount": 150, "items": ["y"]}'::jsonb), ('{"amount": 50, "items": ["x"]}'), ('{"amount": "much"}'), (NULL)) AS v (a)) AS e;

-- the tables
SELECT (crm.define_score_model('{"name": "leads", "min": 0, "max": 100, "hysteresis": 5, "fit_grades": [30, 20, 10], "engagement_grades": [30, 15, 5],
 "groups": {"web": {"cap": 30}}, "thresholds": [{"name": "mql", "enter": 40, "leave": 30}],
 "rules": [{"name": "industry", "when": "$.industry == \"software\"", "points": 20}, {"name": "free mail", "when": "$.tags[*] == \"free mail\"", "points": -10},
  {"name": "visit", "group": "web", "event": "page_visit", "points": 3, "decay": "half_life", "period": "30 days", "cap": 15},
  {"name": "form", "group": "web", "event": "form_submit", "points": 20, "decay": "half_life", "period": "30 days", "repeat": "once_per_object"},
  {"name": "open", "group": "mail", "event": "email_open", "points": 1, "decay": "linear", "period": "14 days", "cap": 5},
  {"name": "unsubscribed", "group": "mail", "event": "unsubscribe", "points": -20}]}')).name;
SELECT crm.lead_score_at(999) IS NULL AS unknown_lead, crm.lead_score_at(1, NULL) IS NULL AS no_instant;
SELECT crm.lead_score_at(1, now(), 'nothing');
INSERT INTO crm.leads (id, name, industry) VALUES (1, 'Ada', 'software'), (2, 'Ben', NULL), (3, 'Cleo', NULL);
INSERT INTO crm.score_events (lead_id, kind, object, occurred_at)
VALUES (1, 'form_submit', 'demo', now() - interval '10 days'), (1, 'form_submit', 'demo', now() - interval '9 days'), (1, 'page_visit', NULL, now() - interval '1 day'),
       (2, 'unsubscribe', NULL, now());
SELECT round(fit, 3) AS fit, round(engagement, 3) AS engagement, round(score, 3) AS score, grade FROM crm.lead_score_parts(1);
SELECT * FROM crm.lead_score_parts(2);
SELECT kind, item, group_name, events, round(decayed, 4) AS decayed, cap_loss, round(points, 4) AS points FROM crm.explain_lead_score(1);
SELECT kind, item, points FROM crm.explain_lead_score(2);
-- the past is what it was, the future what it will be unless something happens
SELECT round(crm.lead_score_at(1, now() - interval '9 days 1 hour'), 3) AS before, round(crm.lead_score_at(1, now() - interval '10 days 1 hour'), 3) AS before_all,
       round(crm.lead_score_at(1, now() + interval '30 days'), 3) AS later;
-- one crossing up by the event; the way down by time alone, once, at its instant
SELECT threshold, direction FROM crm.score_crossings WHERE lead_id = 1;
INSERT INTO crm.score_events (lead_id, kind, occurred_at) SELECT 1, 'page_visit', now() FROM generate_series(1, 3);
SELECT threshold, direction, round(score, 2) AS score FROM crm.score_crossings WHERE lead_id = 1;
CREATE TEMP TABLE due AS SELECT next_crossing AS at FROM crm.lead_scores WHERE lead_id = 1;
SELECT crm.lead_score_at(1, at) < 30 AS below, crm.lead_score_at(1, at - interval '1 second') >= 30 AS not_below_before, at > now() + interval '20 days' AS far FROM due;
SELECT crm.record_score_crossings(at - interval '1 second') AS early, crm.record_score_crossings(at + interval '3 days') AS due, crm.record_score_crossings(at + interval '3 days') AS again FROM due;
SELECT threshold, direction, round(score, 3) AS score, crossed_at = at AS at_its_instant FROM crm.score_crossings, due WHERE lead_id = 1 ORDER BY id;
SELECT count(*) = (SELECT count(*) FROM crm.score_crossings) AS all_told, min(kind), min(subject_table) FROM crm.events WHERE kind = 'lead.threshold';
-- an event finds what time crossed before it
INSERT INTO crm.score_events (lead_id, kind, object, occurred_at) VALUES (3, 'form_submit', 'a', now() - interval '300 days'), (3, 'form_submit', 'b', now() - interval '300 days'),
  (3, 'form_submit', 'c', now() - interval '300 days');
UPDATE crm.leads SET industry = 'software' WHERE id = 3;
SELECT (crm.define_score_model((SELECT m.definition || '{"name": "leads", "thresholds": [{"name": "warm", "enter": 20, "leave": 15}]}' FROM crm.score_models AS m WHERE name = 'leads'))).version > 1 AS new_version;
SELECT lead_id, threshold, direction FROM crm.score_crossings WHERE threshold = 'warm' ORDER BY lead_id;
-- corrections of the ledger
UPDATE crm.score_events SET occurred_at = occurred_at - interval '30 days' WHERE lead_id = 1 AND kind = 'form_submit';
SELECT round(crm.lead_score_at(1), 3) AS corrected FROM due;
DELETE FROM crm.score_events WHERE lead_id = 2;
SELECT crm.lead_score_at(2) AS forgotten;
DO $$ BEGIN INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (1, 'page_visit', now() + interval '1 hour');
EXCEPTION WHEN SQLSTATE 'CR403' THEN RAISE NOTICE 'refused: %', split_part(SQLERRM, ',', 1); END $$;
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (1, 'page_visit', now() + interval '1 minute') RETURNING occurred_at = now() AS taken_as_now;
INSERT INTO crm.score_rules (model_id, name, points) SELECT id, 'neither', 1 FROM crm.score_models WHERE name = 'leads';
-- what an account is counts for its leads, as soon as it changes
INSERT INTO crm.accounts (id, name) VALUES (501, 'Ada Ltd');
UPDATE crm.leads SET account_id = 501 WHERE id = 2;
INSERT INTO crm.score_rules (model_id, name, condition, points) SELECT id, 'known account', '$.account.tags[*] == "key"', 7 FROM crm.score_models WHERE name = 'leads';
SELECT (crm.lead_score_parts(2)).fit AS before;
UPDATE crm.accounts SET tags = '{key}' WHERE id = 501;
SELECT (crm.lead_score_parts(2)).fit AS after;
-- a changed rule counts at once, before anything is replayed
UPDATE crm.score_rules SET points = 40 WHERE name = 'industry';
SELECT fit, grade FROM crm.lead_score_parts(1);
SELECT count(*) > 0 AS stale FROM crm.verify_lead_scores();
SELECT crm.replay_stale_scores() > 0 AS replayed;
SELECT count(*) AS wrong FROM crm.verify_lead_scores();
SELECT threshold, score_now IS NOT NULL AS scored, round(score_then) FROM crm.preview_score_model('{"name": "leads", "rules": [{"name": "all", "when": "$.industry == \"software\"", "points": 90}], "thresholds": [{"name": "hot", "enter": 80}]}');
SELECT threshold, score_now IS NULL AS new_model, score_then FROM crm.preview_score_model('{"name": "other", "rules": [{"name": "all", "when": "$.industry == \"software\"", "points": 90}]}');

-- property: random models and events. Explanation sums to the score; replay equals state, whatever
-- the batches; the index finds what sorting finds, at any instant
SELECT setseed(0.42);
CREATE FUNCTION pg_temp.random_model(name text) RETURNS jsonb LANGUAGE sql AS $$
SELECT jsonb_build_object('name', name, 'min', -50, 'max', 60 + floor(random() * 100),
  'groups', jsonb_build_object('g1', jsonb_build_object('cap', 20 + floor(random() * 40)), 'g2', jsonb_build_object('cap', 5 + floor(random() * 20))),
  'fit_grades', '[20, 10, 0]'::jsonb, 'engagement_grades', '[40, 20, 10]'::jsonb, 'hysteresis', 2,
  'thresholds', '[{"name": "a", "enter": 20, "leave": 15}, {"name": "b", "enter": 35, "leave": 35}]'::jsonb,
  'rules', (SELECT jsonb_agg(CASE WHEN i % 4 = 0 THEN jsonb_build_object('name', 'r' || i, 'points', round((random() * 30 - 8)::numeric, 3), 'when', format('$.employees %% 7 == %s', i % 7))
      ELSE jsonb_build_object('name', 'r' || i, 'event', 'k' || i % 5, 'group', 'g' || i % 3, 'points', round((random() * 12 - 3)::numeric, 4) + 0.0001)
        || CASE i % 3 WHEN 0 THEN '{}' WHEN 1 THEN jsonb_build_object('cap', 3 + floor(random() * 20)) ELSE '{"when": "$.w > 3"}' END::jsonb
        || (ARRAY['{}', '{"decay": "half_life", "period": "9 days"}', '{"decay": "half_life", "period": "40 days"}', '{"decay": "linear", "period": "20 days"}', '{"decay": "step", "period": "5 days", "share": 0.3}'])[1 + floor(random() * 5)::int]::jsonb
        || (ARRAY['{}', '{}', '{"repeat": "once"}', '{"repeat": "once_per_object"}', '{"repeat": "limited", "times": 3, "window": "4 days"}'])[1 + floor(random() * 5)::int]::jsonb END ORDER BY i) FROM generate_series(1, 18) AS i))
$$;
SELECT count(crm.define_score_model(pg_temp.random_model('m' || i))) FROM generate_series(1, 6) AS i;
INSERT INTO crm.leads (id, name, employees) SELECT 1000 + i, 'Lead ' || i, floor(random() * 50) FROM generate_series(0, 59) AS i;
CREATE TEMP TABLE feed AS SELECT i, 1000 + floor(random() * 60)::int AS lead_id, 'k' || floor(random() * 6)::int AS kind, 'o' || floor(random() * 4)::int AS object,
  now() - random() * interval '80 days' AS occurred_at, jsonb_build_object('w', floor(random() * 10)) AS attributes FROM generate_series(1, 1200) AS i;
INSERT INTO crm.score_events (lead_id, kind, object, occurred_at, attributes) SELECT lead_id, kind, object, occurred_at, attributes FROM feed WHERE i <= 700 ORDER BY i;
DO $$ DECLARE f record; BEGIN FOR f IN SELECT * FROM feed WHERE i > 700 AND i <= 800 ORDER BY i LOOP
  INSERT INTO crm.score_events (lead_id, kind, object, occurred_at, attributes) VALUES (f.lead_id, f.kind, f.object, f.occurred_at, f.attributes); END LOOP; END $$;
INSERT INTO crm.score_events (lead_id, kind, object, occurred_at, attributes) SELECT lead_id, kind, object, occurred_at, attributes FROM feed WHERE i > 800 ORDER BY i;
DELETE FROM crm.score_events WHERE id IN (SELECT id FROM crm.score_events WHERE lead_id >= 1000 ORDER BY id LIMIT 30);
SELECT (SELECT count(*) FROM crm.verify_lead_scores('m' || i)) AS differ FROM generate_series(1, 6) AS i;
SELECT count(*) AS checked, count(*) FILTER (WHERE s.sum IS DISTINCT FROM crm.lead_score_at(l, t, 'm' || i)) AS sums_differ
FROM generate_series(1, 6) AS i, generate_series(1000, 1059) AS l, unnest(ARRAY[now() - interval '20 days 3 hours', now(), now() + interval '7 days']) AS t,
  LATERAL (SELECT coalesce(sum(points), 0) AS sum FROM crm.explain_lead_score(l, t, 'm' || i)) AS s
WHERE EXISTS (SELECT FROM crm.score_subjects AS u WHERE u.lead_id = l);
SELECT i, t.d, (SELECT array_agg(x.lead_id ORDER BY x.score DESC, x.fit + x.engagement DESC, x.lead_id) FROM crm.top_leads(8, now() + t.d, 'm' || i) AS x)
  = (SELECT (array_agg(u.lead_id ORDER BY p.score DESC, p.fit + p.engagement DESC, u.lead_id))[1:8]
     FROM crm.score_subjects AS u, LATERAL crm.lead_score_parts(u.lead_id, now() + t.d, 'm' || i) AS p) AS index_right
FROM generate_series(1, 6) AS i, unnest('{0 days,3 days,60 days}'::interval[]) AS t (d) ORDER BY 1, 2;
-- crossings: after settling, every lead is on the side its score says, and directions alternate
SELECT count(*) >= 0 AS settled FROM (SELECT crm.record_score_crossings(now() + interval '30 days', 100000)) AS x;
SELECT count(*) AS wrong_side
FROM crm.lead_scores AS s JOIN crm.score_models AS m ON m.id = s.model_id AND m.name ~ '^m[0-9]',
  LATERAL (SELECT crm.lead_score_at(s.lead_id, now() + interval '30 days', m.name) AS score) AS p
WHERE (p.score >= 20 AND NOT 'a' = ANY (s.inside)) OR (p.score < 15 AND 'a' = ANY (s.inside)) OR ((p.score >= 35) <> ('b' = ANY (s.inside)));
SELECT count(*) > 20 AS many, count(*) FILTER (WHERE direction = previous) AS repeated, count(*) FILTER (WHERE previous IS NULL AND direction = 'down') AS down_first
FROM (SELECT c.*, lag(direction) OVER (PARTITION BY model_id, lead_id, threshold ORDER BY c.id) AS previous FROM crm.score_crossings AS c JOIN crm.score_models AS m ON m.id = c.model_id AND m.name ~ '^m[0-9]') AS c;
DELETE FROM crm.leads WHERE id BETWEEN 1000 AND 1010;
SELECT count(*) AS left_over FROM crm.score_events WHERE lead_id BETWEEN 1000 AND 1010;
ROLLBACK;
