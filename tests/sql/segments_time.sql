-- Segments against a computation from nothing: random definitions under random changes, and time against every instant of a grid.
-- long: 10 s
\set SHOW_CONTEXT never
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL client_min_messages = warning;
SELECT (crm.define_score_model('{"name": "leads", "rules": [{"name": "a", "event": "a", "points": 6, "decay": "half_life", "period": "5 days"},
  {"name": "b", "event": "b", "points": -4, "decay": "linear", "period": "9 days"}, {"name": "long", "event": "long", "points": 100, "decay": "half_life", "period": "365 days"},
  {"name": "german", "when": "$.country == \"DE\"", "points": 4}]}')).name;

-- a score that leaves its bounds after years, and one that comes back
INSERT INTO crm.leads (id, name) VALUES (9001, 'Slow'), (9002, 'Healing');
SELECT (crm.define_segment('{"name": "hot", "score": {"points": [10, null]}}')).name;
SELECT (crm.define_segment('{"name": "cold", "score": {"points": [-3, -1]}}')).name;
INSERT INTO crm.score_events (lead_id, kind) VALUES (9001, 'long'), (9002, 'b');
SELECT s.name, x.subject_id, x.member, round(extract(epoch FROM x.next_at - now()) / 86400, 3) AS days,
       crm.lead_score_at(x.subject_id, x.next_at) AS score, crm.lead_score_at(x.subject_id, x.next_at - interval '2 seconds') AS just_before
FROM crm.segment_states AS x JOIN crm.segments AS s ON s.id = x.segment_id ORDER BY 1, 2;
-- emptied ledgers
SELECT (crm.define_segment('{"name": "keen", "events": [{"kind": "long", "at_least": 1}]}')).name;
SELECT (crm.define_segment('{"name": "not keen", "where": "$.id > 9000", "not_in": ["keen"]}')).name;
SELECT segment, subject_id FROM crm.segment_members ORDER BY 1, 2;
TRUNCATE crm.score_events;
SELECT segment, subject_id FROM crm.segment_members ORDER BY 1, 2;
-- what is dated ahead begins to count then
SELECT (crm.define_segment('{"name": "met", "events": [{"source": "activities", "within": "5 days", "at_least": 1}]}')).name;
INSERT INTO crm.activities (kind, subject, related_table, related_id, done_at) VALUES ('call', 'x', 'leads', 9001, now() + interval '2 days');
SELECT d, (SELECT count(*) FROM crm.segment_members_at('met', now() + make_interval(days => d))) AS members FROM unnest('{0,1,3,6,8}'::int[]) AS d;
-- who is deleted leaves lists too
SELECT (crm.define_segment('{"name": "list", "kind": "static"}')).kind, crm.add_to_segment('list', '{9001,9002}');
DELETE FROM crm.leads WHERE id = 9002;
SELECT segment, subject_id FROM crm.segment_members WHERE segment = 'list';
SELECT direction, subject_id FROM crm.segment_events AS e JOIN crm.segments AS s ON s.id = e.segment_id WHERE s.name = 'list' ORDER BY e.id;
DELETE FROM crm.leads WHERE id = 9001;
DELETE FROM crm.segments WHERE name = 'not keen';
DELETE FROM crm.segments;

SELECT setseed(0.4);
CREATE FUNCTION pg_temp.rnd(n int) RETURNS int LANGUAGE sql AS $$ SELECT floor(random() * n)::int $$;
CREATE FUNCTION pg_temp.def(i int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE d jsonb := jsonb_build_object('name', 's' || i);
BEGIN
    IF pg_temp.rnd(2) = 0 THEN d := d || jsonb_build_object('where', (ARRAY['$.country == "DE"', '$.employees >= 50', '$.tags[*] ? (@ == "x")', '$'])[1 + pg_temp.rnd(4)]); END IF;
    IF pg_temp.rnd(3) = 0 THEN d := d || jsonb_build_object('age', (ARRAY['{"column": "created_at", "from": "3 days", "to": "20 days"}', '{"column": "created_at", "from": "5 days"}', '{"column": "created_at", "to": "9 days"}'])[1 + pg_temp.rnd(3)]::jsonb); END IF;
    IF pg_temp.rnd(2) = 0 THEN d := d || jsonb_build_object('events', jsonb_build_array(jsonb_build_object('kind', chr(97 + pg_temp.rnd(2)), 'within', (2 + pg_temp.rnd(15)) || ' days')
        || (ARRAY['{"at_least": 1}', '{"at_least": 2}', '{"at_most": 0}', '{"at_least": 1, "at_most": 2}'])[1 + pg_temp.rnd(4)]::jsonb)); END IF;
    IF pg_temp.rnd(3) = 0 THEN d := d || jsonb_build_object('score', jsonb_build_object('points', (ARRAY['[5, null]', '[null, 8]', '[3, 12]'])[1 + pg_temp.rnd(3)]::jsonb)); END IF;
    IF pg_temp.rnd(4) = 0 THEN d := d || jsonb_build_object('events', coalesce(d -> 'events', '[]') || '[{"source": "activities", "within": "6 days", "at_least": 1}]'::jsonb); END IF;
    IF i > 3 AND pg_temp.rnd(2) = 0 THEN d := d || jsonb_build_object(('{in,not_in}'::text[])[1 + pg_temp.rnd(2)], jsonb_build_array('s' || (1 + pg_temp.rnd(i - 1)))); END IF;
    RETURN CASE WHEN d - 'name' = '{}' THEN d || '{"where": "$"}' ELSE d END;
END $$;
INSERT INTO crm.leads (id, name, country, employees, tags, created_at)
SELECT 9100 + i, 'Lead ' || i, ('{DE,FR}'::text[])[1 + pg_temp.rnd(2)], pg_temp.rnd(120), (ARRAY['{x}', '{}'])[1 + pg_temp.rnd(2)]::text[], now() - make_interval(hours => pg_temp.rnd(400)) FROM generate_series(1, 15) AS i;
INSERT INTO crm.score_events (lead_id, kind, occurred_at) SELECT 9101 + pg_temp.rnd(15), chr(97 + pg_temp.rnd(3)), now() - make_interval(hours => pg_temp.rnd(400)) FROM generate_series(1, 20);
SELECT count(*) FROM (SELECT crm.define_segment(pg_temp.def(i)) FROM generate_series(1, 10) AS i) AS x;
CREATE TEMP TABLE wrong (step int, what int, segments text);
DO $$ DECLARE k int; BEGIN
FOR i IN 1..50 LOOP
    k := i % 8;
    CASE k
    WHEN 0 THEN INSERT INTO crm.score_events (lead_id, kind, occurred_at) SELECT l.id, chr(97 + pg_temp.rnd(3)), now() - make_interval(hours => pg_temp.rnd(300)) FROM crm.leads AS l WHERE l.id > 9100 ORDER BY random() LIMIT 2;
    WHEN 1 THEN UPDATE crm.leads SET country = ('{DE,FR}'::text[])[1 + pg_temp.rnd(2)], employees = pg_temp.rnd(120) WHERE id IN (SELECT l.id FROM crm.leads AS l WHERE l.id > 9100 ORDER BY random() LIMIT 4);
    WHEN 2 THEN DELETE FROM crm.score_events WHERE id IN (SELECT e.id FROM crm.score_events AS e ORDER BY random() LIMIT 2);
    WHEN 3 THEN INSERT INTO crm.activities (kind, subject, related_table, related_id, done_at) SELECT 'call', 'x', 'leads', l.id, now() + make_interval(hours => pg_temp.rnd(200) - 150) FROM crm.leads AS l WHERE l.id > 9100 ORDER BY random() LIMIT 2;
    WHEN 4 THEN INSERT INTO crm.leads (id, name, country, employees) VALUES (9200 + i, 'New', 'DE', 60);
    WHEN 5 THEN DELETE FROM crm.leads WHERE id = (SELECT l.id FROM crm.leads AS l WHERE l.id > 9100 ORDER BY random() LIMIT 1);
    WHEN 6 THEN PERFORM crm.define_segment(pg_temp.def(1 + pg_temp.rnd(3)));
    WHEN 7 THEN
        UPDATE crm.activities SET related_id = (SELECT l.id FROM crm.leads AS l WHERE l.id > 9100 ORDER BY random() LIMIT 1) WHERE id = (SELECT a.id FROM crm.activities AS a WHERE a.related_id > 9100 ORDER BY random() LIMIT 1);
        UPDATE crm.score_events SET lead_id = (SELECT l.id FROM crm.leads AS l WHERE l.id > 9100 ORDER BY random() LIMIT 1) WHERE id = (SELECT e.id FROM crm.score_events AS e ORDER BY random() LIMIT 1);
    END CASE;
    INSERT INTO wrong SELECT i, k, string_agg(s.name, ' ') FROM crm.segments AS s WHERE crm.verify_segment(s.name) <> 0 HAVING count(*) > 0;
END LOOP; END $$;
SELECT * FROM wrong;
-- what time will do, beforehand and when it is written down, once and in one go
CREATE TEMP TABLE truth AS
SELECT s.id AS segment_id, s.name, l.id AS lead_id, g.t, (SELECT j.member FROM crm_internal.judge_segment(s, l.id, to_jsonb(l), g.t) AS j) AS member
FROM crm.segments AS s, crm.leads AS l, (SELECT now() + make_interval(hours => h) AS t FROM generate_series(1, 700, 9) AS h) AS g WHERE l.id > 9100;
SELECT count(*) AS differ FROM (
    SELECT g.t, s.id AS segment_id, x.subject_id AS lead_id
    FROM crm.segments AS s, (SELECT DISTINCT t FROM truth WHERE extract(day FROM t - now())::int % 6 = 0) AS g, LATERAL crm.segment_members_at(s.name, g.t) AS x WHERE x.subject_id > 9100) AS a
FULL JOIN (SELECT t, segment_id, lead_id FROM truth WHERE member AND extract(day FROM t - now())::int % 6 = 0) AS b USING (t, segment_id, lead_id)
WHERE a.t IS NULL OR b.t IS NULL;
CREATE TEMP TABLE before AS SELECT x.segment_id, x.subject_id, x.member, (SELECT max(e.id) FROM crm.segment_events AS e) AS last_event FROM crm.segment_states AS x;
SELECT crm.advance_segments(now() + interval '30 days', 100000) > 20 AS advanced, crm.advance_segments(now() + interval '30 days', 100000) AS left_over;
SELECT count(*) > 1000 AS many, count(*) FILTER (WHERE v.member IS DISTINCT FROM v.told) AS differ
FROM (SELECT t.member, coalesce(
          (SELECT e.direction = 'enter' FROM crm.segment_events AS e WHERE e.id > (SELECT max(last_event) FROM before) AND e.segment_id = t.segment_id AND e.subject_id = t.lead_id AND e.occurred_at <= t.t ORDER BY e.id DESC LIMIT 1),
          (SELECT b.member FROM before AS b WHERE b.segment_id = t.segment_id AND b.subject_id = t.lead_id), false) AS told
      FROM truth AS t) AS v;
ROLLBACK;
