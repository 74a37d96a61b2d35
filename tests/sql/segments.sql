-- Segments: membership by change, by time, by reference; lists, previews, refusals.
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
INSERT INTO crm.leads (id, name, country, employees, source) VALUES (9501, 'Ada', 'DE', 100, 'web'), (9502, 'Ben', 'DE', 5, 'fair'), (9503, 'Cas', 'FR', 500, 'web');
SELECT s.name, s.kind, s.uses FROM crm.define_segment('{"name": "big", "where": "$.employees >= 50"}') AS s;
SELECT s.uses FROM crm.define_segment('{"name": "german", "where": "$ ? (@.country == \"DE\")", "announce": true}') AS s;
SELECT s.uses FROM crm.define_segment('{"name": "big german", "in": ["big", "german"]}') AS s;
SELECT s.uses FROM crm.define_segment('{"name": "big abroad", "in": ["big"], "not_in": ["german"]}') AS s;
CREATE TEMPORARY VIEW who AS SELECT m.segment, string_agg(coalesce(l.name, a.name, '?'), ', ' ORDER BY m.subject_id) AS members
FROM crm.segment_members AS m LEFT JOIN crm.leads AS l ON m.subject_table = 'leads' AND l.id = m.subject_id
LEFT JOIN crm.accounts AS a ON m.subject_table = 'accounts' AND a.id = m.subject_id GROUP BY 1;
SELECT * FROM who ORDER BY 1;

-- by change of the row
UPDATE crm.leads SET employees = 60, tags = '{x}' WHERE id = 9502;
UPDATE crm.leads SET country = 'FR' WHERE id = 9501;
SELECT * FROM who ORDER BY 1;
DELETE FROM crm.leads WHERE id = 9502;
INSERT INTO crm.leads (id, name, country, employees) VALUES (9504, 'Dot', 'DE', 70), (9505, 'Eve', 'DE', NULL);
SELECT * FROM who ORDER BY 1;
SELECT s.name, e.subject_id, e.direction, e.cause FROM crm.segment_events AS e JOIN crm.segments AS s ON s.id = e.segment_id WHERE s.name IN ('big german', 'big') ORDER BY e.id;
SELECT e.kind, e.subject_id FROM crm.events AS e WHERE e.kind LIKE 'segment.%' ORDER BY e.id;
-- a change that concerns no segment writes nothing
SELECT count(*) AS before FROM crm.segment_events \gset
UPDATE crm.leads SET city = 'Bonn', employees = employees + 1 WHERE id = 9504;
SELECT count(*) - :before AS events FROM crm.segment_events;
SELECT s.segment FROM crm.segments_of('leads', 9504) AS s;

-- behaviour within a period: enters with the second visit, leaves when the first of them is too old
SELECT s.uses FROM crm.define_segment('{"name": "keen", "events": [{"kind": "visit", "within": "10 days", "at_least": 2}]}') AS s;
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (9501, 'visit', now() - interval '9 days'), (9501, 'mail', now());
SELECT count(*) FROM crm.segment_members WHERE segment = 'keen';
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (9501, 'visit', now() - interval '2 days');
SELECT m.subject_id FROM crm.segment_members AS m WHERE m.segment = 'keen';
SELECT crm.next_segment_change_at() - now() AS next;
-- what is read is right at any moment, whether or not anybody has come round
SELECT (SELECT count(*) FROM crm.segment_members_at('keen', now() + interval '1 day' - interval '1 microsecond')) AS just_before,
       (SELECT count(*) FROM crm.segment_members_at('keen', now() + interval '1 day')) AS after;
SELECT crm.advance_segments(now() + interval '1 day' - interval '1 second'), crm.advance_segments(now() + interval '1 day'), crm.advance_segments(now() + interval '20 days');
SELECT e.direction, e.cause, e.occurred_at - now() AS at FROM crm.segment_events AS e JOIN crm.segments AS s ON s.id = e.segment_id WHERE s.name = 'keen' ORDER BY e.id;
-- silence
SELECT s.uses FROM crm.define_segment('{"name": "silent", "where": "$.closed_at == null", "age": {"column": "created_at", "from": "3 days"}, "events": [{"within": "5 days", "at_most": 0}]}') AS s;
SELECT * FROM who WHERE segment = 'silent';
SELECT l.name FROM crm.segment_members_at('silent', now() + interval '3 days') AS m JOIN crm.leads AS l ON l.id = m.subject_id ORDER BY 1;
SELECT l.name FROM crm.segment_members_at('silent', now() + interval '5 days') AS m JOIN crm.leads AS l ON l.id = m.subject_id ORDER BY 1;
-- late: enters and leaves, each at its instant
SELECT (crm.define_segment('{"name": "fresh week", "age": {"column": "created_at", "from": "1 day", "to": "8 days"}}')).uses;
SELECT crm.advance_segments(now() + interval '30 days') > 0 AS done;
SELECT crm.advance_segments(now() + interval '30 days') AS left_over;
SELECT e.direction, e.occurred_at - now() AS at FROM crm.segment_events AS e JOIN crm.segments AS s ON s.id = e.segment_id WHERE s.name = 'fresh week' AND e.subject_id = 9505 ORDER BY e.id;

-- orders, RFM
INSERT INTO crm.accounts (id, name) VALUES (9501, 'Buyer'), (9502, 'Looker');
SELECT (crm.define_segment('{"name": "spenders", "subject_table": "accounts", "orders": {"within": "30 days", "revenue": [100, null], "count": [2, null]}}')).uses;
INSERT INTO crm.orders (account_id, amount, ordered_at) VALUES (9501, 80, now() - interval '696 hours'), (9502, 500, now() - interval '1 day');
SELECT count(*) FROM crm.segment_members WHERE segment = 'spenders';
INSERT INTO crm.orders (account_id, amount, ordered_at) VALUES (9501, 30, now() - interval '1 day');
SELECT * FROM who WHERE segment = 'spenders';
SELECT (SELECT count(*) FROM crm.segment_members_at('spenders', now() + interval '23 hours')) AS still, (SELECT count(*) FROM crm.segment_members_at('spenders', now() + interval '1 day')) AS gone;
INSERT INTO crm.rfm_edges (recency, frequency, monetary, as_of) VALUES ('{5,10,20,30}', '{1,2,3,4}', '{50,100,200,400}', current_date);
SELECT (crm.define_segment('{"name": "recent", "subject_table": "accounts", "rfm": {"recency": [5, 5]}}')).uses;
SELECT * FROM who WHERE segment = 'recent';
SELECT count(*) FROM crm.segment_members_at('recent', now() + interval '10 days');
SELECT (crm.define_segment('{"name": "called", "subject_table": "accounts", "events": [{"kind": "call", "within": "7 days", "at_least": 1, "where": "$.outcome == \"reached\""}]}')).uses;
INSERT INTO crm.activities (kind, subject, account_id, done_at, outcome) VALUES ('call', 'x', 9501, now(), 'no answer'), ('call', 'y', 9502, now(), 'reached'), ('call', 'z', 9501, NULL, 'reached');
SELECT * FROM who WHERE segment = 'called';
UPDATE crm.activities SET account_id = 9501 WHERE subject = 'y';
SELECT * FROM who WHERE segment = 'called';

-- scores that decay
SELECT (crm.define_score_model('{"name": "seg", "rules": [{"name": "visits", "event": "visit", "points": 40, "decay": "half_life", "period": "10 days"}]}')).name;
SELECT (crm.define_segment('{"name": "hot", "score": {"model": "seg", "points": [20, null]}}')).uses;
INSERT INTO crm.score_events (lead_id, kind) VALUES (9503, 'visit');
SELECT m.subject_id FROM crm.segment_members AS m WHERE m.segment = 'hot' AND m.subject_id = 9503;
SELECT date_trunc('minute', s.next_at - now() + interval '30 seconds') AS next FROM crm.segment_states AS s JOIN crm.segments AS g ON g.id = s.segment_id WHERE g.name = 'hot' AND s.subject_id = 9503;

-- lists
SELECT (crm.define_segment('{"name": "invited", "kind": "static"}')).kind;
SELECT crm.add_to_segment('invited', '{9503,9504,9504}'), crm.add_to_segment('invited', '{9504}'), crm.remove_from_segment('invited', '{9503,9505}');
SELECT (crm.define_segment('{"name": "invited germans", "in": ["invited", "german"]}')).uses;
SELECT crm.add_to_segment('invited', '{9505}');
SELECT * FROM who WHERE segment LIKE 'invited%' ORDER BY 1;
SELECT crm.add_to_segment('invited', '{1,9505}');
SELECT crm.add_to_segment('big', '{9505}');
SELECT crm.add_to_segment('nobody', '{9505}');

-- preview
SELECT p.subjects, p.members, p.entering, p.leaving, p.sample_ids FROM crm.preview_segment('{"name": "big", "where": "$.employees >= 200"}') AS p;
-- a new definition
SELECT (crm.define_segment('{"name": "big", "where": "$.employees >= 200"}')).version;
SELECT * FROM who WHERE segment LIKE 'big%' ORDER BY 1;
SELECT e.direction, e.cause, e.subject_id FROM crm.segment_events AS e JOIN crm.segments AS s ON s.id = e.segment_id WHERE s.name = 'big' AND e.cause = 'definition' ORDER BY e.id;
UPDATE crm.segments SET active = false WHERE name = 'german';
SELECT * FROM who WHERE segment LIKE '%german%' ORDER BY 1;
UPDATE crm.segments SET active = true WHERE name = 'german';
SELECT * FROM who WHERE segment LIKE '%german%' ORDER BY 1;

-- what is not right is refused
SELECT crm.define_segment('{"where": "$"}');
SELECT crm.define_segment('{"name": "x"}');
SELECT crm.define_segment('{"name": "x", "where": "$.a =="}');
SELECT crm.define_segment('{"name": "x", "whre": "$"}');
SELECT crm.define_segment('{"name": "x", "subject_table": "tickets", "where": "$"}');
SELECT crm.define_segment('{"name": "x", "events": [{"within": "-3 days", "at_least": 1}]}');
SELECT crm.define_segment('{"name": "x", "events": [{"within": "soon", "at_least": 1}]}');
SELECT crm.define_segment('{"name": "x", "events": [{"within": "3 days"}]}');
SELECT crm.define_segment('{"name": "x", "events": [{"at_least": 1.5}]}');
SELECT crm.define_segment('{"name": "x", "events": [{"at_least": 3, "at_most": 2}]}');
SELECT crm.define_segment('{"name": "x", "orders": {"revenue": [1, null]}}');
SELECT crm.define_segment('{"name": "x", "subject_table": "accounts", "orders": {"revenue": [5, 1]}}');
SELECT crm.define_segment('{"name": "x", "subject_table": "contacts", "rfm": {"recency": [5, 5]}}');
SELECT crm.define_segment('{"name": "x", "score": {"model": "none", "points": [1, null]}}');
SELECT crm.define_segment('{"name": "x", "age": {"column": "name", "from": "1 day"}}');
SELECT crm.define_segment('{"name": "x", "age": {"column": "created_at", "from": "2 days", "to": "1 day"}}');
SELECT crm.define_segment('{"name": "x", "in": ["nothing"]}');
SELECT crm.define_segment('{"name": "x", "in": ["spenders"]}');
SELECT crm.define_segment('{"name": "x", "in": ["x"]}');
SELECT crm.define_segment('{"name": "german", "in": ["big german"]}');
DELETE FROM crm.segments WHERE name = 'big';
UPDATE crm.segments SET name = 'large' WHERE name = 'big';
UPDATE crm.segments SET subject_table = 'accounts' WHERE name = 'hot';

-- a segment that fails does not stop the business, and says so
UPDATE crm.segments SET active = false WHERE name <> 'hot';
DELETE FROM crm.score_models WHERE name = 'seg';
UPDATE crm.leads SET city = 'Köln' WHERE id = 9503;
SELECT l.city FROM crm.leads AS l WHERE l.id = 9503;
SELECT e.payload ->> 'segment' AS segment, e.payload ->> 'message' AS message FROM crm.events AS e WHERE e.kind = 'segment.trouble' ORDER BY e.id DESC LIMIT 1;
DELETE FROM crm.segments WHERE name = 'hot';

-- property: after random changes every segment equals a computation from nothing
UPDATE crm.segments SET active = true;
SELECT setseed(0.4);
INSERT INTO crm.leads (id, name, country, employees, created_at) SELECT 9600 + g, 'R' || g, (ARRAY['DE', 'FR', NULL])[1 + floor(random() * 3)::int], floor(random() * 400)::int, now() - random() * interval '20 days' FROM generate_series(1, 60) AS g;
INSERT INTO crm.score_events (lead_id, kind, occurred_at) SELECT 9600 + floor(random() * 60)::int + 1, (ARRAY['visit', 'mail'])[1 + floor(random() * 2)::int], now() - random() * interval '20 days' FROM generate_series(1, 150);
UPDATE crm.leads SET country = 'DE', employees = employees + 100 WHERE id > 9600 AND id % 7 = 0;
DELETE FROM crm.score_events WHERE lead_id % 5 = 0;
UPDATE crm.score_events SET kind = 'visit', occurred_at = occurred_at + interval '1 day' WHERE lead_id % 3 = 0 AND occurred_at < now() - interval '2 days';
DELETE FROM crm.leads WHERE id > 9600 AND id % 11 = 0;
SELECT s.name, crm.verify_segment(s.name) AS wrong FROM crm.segments AS s ORDER BY 1;
SELECT s.segment, s.members > 0 AS some FROM crm_analytics.segment_sizes AS s ORDER BY 1;

SELECT a.characteristic, a.value, a.prospects FROM crm_analytics.acquisition_segments AS a WHERE a.characteristic IN ('source', 'size') ORDER BY 1, 2;
ROLLBACK;
