-- Journeys: what is refused, what each step does and when, failures, versions, re-entry, merging, another company, who may what.
-- Instants are fixed: nothing depends on the day on which it runs.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
\set SHOW_CONTEXT never
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL client_min_messages = warning;
CREATE FUNCTION pg_temp.enter(journey text, ids bigint[], at timestamptz) RETURNS integer LANGUAGE sql AS $$
    SELECT cardinality(crm_internal.enter_journey(j, ids, array_fill(at, ARRAY[cardinality(ids)]), 'hand', at)) FROM crm.journeys AS j WHERE j.tenant_id = crm.tenant_id() AND j.name = journey $$;
CREATE FUNCTION pg_temp.publish(definition jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM crm.define_journey(definition); RETURN (crm.publish_journey(definition ->> 'name')).status; END $$;
INSERT INTO crm.message_templates (code, subject, body) VALUES ('regress_hello', 'Hello', 'Dear {{title}} {{name}} {{unsubscribe_url}}'), ('regress_plain', 'Hello', 'Hello {{unsubscribe_url}}');
SELECT (crm.define_calendar('regress_tehran', '{"zone": "Asia/Tehran", "weekly": {"sat": [["08:00","16:00"]], "sun": [["08:00","16:00"]], "mon": [["08:00","16:00"]],
    "tue": [["08:00","16:00"]], "wed": [["08:00","16:00"]], "thu": [["08:00","12:00"]]}}')).code;
INSERT INTO crm.contacts (id, name, department, time_zone) SELECT 99000 + i, 'Regress ' || i, CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END, CASE i WHEN 1 THEN 'Asia/Tehran' WHEN 2 THEN 'America/New_York' END
FROM generate_series(1, 40) AS i;
INSERT INTO crm.contact_points (contact_id, kind, value) SELECT 99000 + i, 'email', 'regress' || i || '@example.org' FROM generate_series(1, 40) AS i WHERE i <> 3;
SELECT count(crm.record_consent('contacts', 99000 + i, 'marketing', 'email', true, 'form', '2025-12-01 UTC')) AS agreed FROM generate_series(1, 40) AS i WHERE i <> 4;

\echo == what is no journey
SELECT crm.define_journey('{"name": "r", "steps": [], "colour": "red"}');
SELECT crm.define_journey('{"name": "r", "steps": []}');
SELECT crm.define_journey('{"name": "r", "steps": [{"do": "dance"}]}');
SELECT crm.define_journey('{"name": "r", "steps": [{"do": "wait", "for": "1 day", "templat": "x"}]}');
SELECT crm.define_journey('{"name": "r", "steps": [{"do": "wait", "for": "1 day", "then": "nowhere"}]}');
SELECT crm.define_journey('{"name": "r", "steps": [{"step": "a", "do": "exit"}, {"step": "a", "do": "exit"}]}');
SELECT crm.define_journey('{"name": "r", "steps": [{"do": "split", "parts": [{"part": "a"}]}]}');
SELECT crm.define_journey('{"name": "r", "steps": [{"do": "split", "parts": [{"part": "a"}, {"part": "a"}]}]}');
SELECT crm.define_journey('{"name": "r", "steps": [{"do": "split", "parts": [{"part": "a", "weight": 0}, {"part": "b"}]}]}');
SELECT crm.define_journey('{"name": "r", "subject_table": "accounts", "steps": [{"do": "exit"}]}');
SELECT crm.publish_journey('regress nobody wrote');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "wait"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "wait", "for": "1 day", "business_days": 2}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "wait", "for": "-1 day"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "wait", "for": "soon"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "wait", "business_days": 2.5, "calendar": "regress_tehran"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "wait", "business_days": 2, "calendar": "nowhere"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "wait", "until": {"time": "25:00"}}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "wait", "until": {"day": "someday"}}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "await", "event": "sun.rises"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "branch", "where": "$.name =="}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "branch"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "send", "template": "nothing", "purpose": "marketing"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "send", "template": "regress_plain", "purpose": "fun"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "set", "column": "colour", "value": 1}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "set", "column": "name_key", "value": "x"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "set", "column": "birth_date", "value": "yesterdayish"}]}');
SELECT pg_temp.publish('{"name": "r", "subject_table": "leads", "steps": [{"do": "set", "column": "converted_at", "value": "2026-01-01"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "task"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"do": "enrol", "journey": "nobody wrote"}]}');
SELECT pg_temp.publish('{"name": "r", "reentry": "sometimes", "steps": [{"do": "exit"}]}');
SELECT pg_temp.publish('{"name": "r", "campaign": "nobody ran", "steps": [{"do": "exit"}]}');
SELECT pg_temp.publish('{"name": "r", "entry": {"segment": "nobody"}, "steps": [{"do": "exit"}]}');
SELECT pg_temp.publish('{"name": "r", "exit": {"events": [{"event": "sun.rises"}]}, "steps": [{"do": "exit"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"step": "a", "do": "wait", "for": "1 day", "then": "end"}, {"step": "b", "do": "exit"}]}');
SELECT pg_temp.publish('{"name": "r", "steps": [{"step": "a", "do": "set", "column": "title", "value": "x"}, {"step": "b", "do": "split", "parts": [{"part": "x", "then": "a"}, {"part": "y", "then": "end"}]}]}');
SELECT count(*) AS half_written FROM crm.journeys AS j WHERE j.name = 'r';

\echo == waits end at instants, by the clock where the person is and in business time
SELECT pg_temp.publish('{"name": "waits", "steps": [{"step": "nine", "do": "wait", "until": {"time": "09:00"}}, {"step": "monday", "do": "wait", "until": {"day": "monday"}},
    {"step": "hours", "do": "wait", "business_hours": 4, "calendar": "regress_tehran"}, {"step": "days", "do": "wait", "business_days": 2, "calendar": "regress_tehran"},
    {"step": "round", "do": "wait", "for": "2 days", "then": "nine"}]}');
SELECT pg_temp.enter('waits', '{99001,99002,99005}', '2026-07-15 12:00 UTC') AS entered, pg_temp.enter('waits', '{99001,99001}', '2026-07-15 12:00 UTC') AS again;
SELECT crm.run_journeys('2026-07-22 00:00 UTC') AS done, crm.run_journeys('2026-07-22 00:00 UTC') AS again;
SELECT m.subject_id, l.n, l.step, l.outcome, l.taken_at FROM crm.journey_log AS l JOIN crm.journey_members AS m ON m.id = l.member_id ORDER BY 1, 2;
SELECT m.subject_id, s.code, m.arrived_at, m.due_at FROM crm.journey_members AS m JOIN crm.journey_steps AS s ON s.version_id = m.version_id AND s.place = m.place WHERE m.subject_id < 99003 ORDER BY 1;
SELECT (crm.move_journey('waits', 'ended')).status;
SELECT count(*) AS out FROM crm.journey_members AS m WHERE m.left_because = 'ended';
SELECT (crm.move_journey('waits', 'running')).status;

\echo == sending: consent decides; who may not get it goes the other way; nothing is sent twice
SELECT pg_temp.publish('{"name": "letters", "late": "100 years", "exit": {"where": "$.tags[*] == \"stop\""}, "goal": {"where": "$.title == \"Dr\"", "stay": true}, "steps": [
    {"step": "first", "do": "send", "template": "regress_plain", "purpose": "marketing", "refused": "ask"}, {"step": "pause", "do": "wait", "for": "1 day"},
    {"step": "who", "do": "branch", "where": "$.department == \"even\"", "then": "half", "otherwise": "end"},
    {"step": "half", "do": "split", "parts": [{"part": "a", "weight": 3, "then": "mark"}, {"part": "b", "then": "end"}]},
    {"step": "mark", "do": "set", "column": "title", "value": "Dr", "then": "out"}, {"step": "out", "do": "exit", "reason": "marked"},
    {"step": "ask", "do": "task", "kind": "call", "subject": "Ask them", "due": "1 day", "then": "end"}]}');
UPDATE crm.journeys SET seed = 7 WHERE name = 'letters';
SELECT p.n, p.step, p.kind, p.at, p.outcome, p.detail FROM crm.preview_journey('letters', 1000, '2026-01-05 UTC') AS p WHERE p.subject_id IN (99003, 99004) ORDER BY p.subject_id, p.n;
SELECT count(*) AS written FROM crm.journey_log AS l WHERE l.step = 'first';
SELECT pg_temp.enter('letters', ARRAY(SELECT 99000 + i FROM generate_series(1, 40) AS i), '2026-01-05 UTC') AS entered;
UPDATE crm.contacts SET tags = '{stop}' WHERE id = 99006;
SELECT crm.run_journeys('2026-01-05 00:01 UTC') > 0 AS done, crm.run_journeys('2026-01-05 00:01 UTC') AS again;
SELECT l.step, l.outcome, l.reason, count(*), count(l.made_id) AS made FROM crm.journey_log AS l WHERE l.step IN ('first', 'ask') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT m.state, count(*), min(m.due_at) FROM crm.outbound_messages AS m GROUP BY 1;
SELECT a.subject, a.due_at, a.contact_id FROM crm.activities AS a WHERE a.source_system = 'crm.journey_log' ORDER BY 3;
SELECT m.status, m.left_because, count(*) FROM crm.journey_members AS m JOIN crm.journeys AS j ON j.id = m.journey_id WHERE j.name = 'letters' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT crm.run_journeys('2026-01-06 00:01 UTC') > 0 AS done;
SELECT l.step, l.outcome, count(*) FROM crm.journey_log AS l WHERE l.step IN ('pause', 'who', 'mark', 'out') GROUP BY 1, 2 ORDER BY 1, 2;
SELECT count(*) = 19 - 1 AS drawn, count(*) FILTER (WHERE l.outcome = 'a') > count(*) FILTER (WHERE l.outcome = 'b') AS by_weight,
       bool_and(l.outcome = p.outcome) AS as_previewed, bool_and((k.title = 'Dr') = (l.outcome = 'a')) AS marked
FROM crm.journey_log AS l JOIN crm.journey_members AS m ON m.id = l.member_id JOIN crm.contacts AS k ON k.id = m.subject_id
LEFT JOIN crm.preview_journey('letters', 1000, '2026-01-05 UTC') AS p ON p.subject_id = m.subject_id AND p.step = 'half' WHERE l.step = 'half' AND m.subject_id <> 99004;
SELECT f.step, f.arrived, f.done, f.inside, f.other_way FROM crm_analytics.journey_funnel AS f WHERE f.journey = 'letters' AND f.step <> 'half' AND f.step NOT IN ('mark', 'out') ORDER BY f.place;
SELECT e.kind, count(*) > 0 AS told FROM crm.events AS e WHERE e.kind LIKE 'journey%' GROUP BY 1 ORDER BY 1;
-- a second row of the n-th step of a member cannot be
INSERT INTO crm.journey_log SELECT l.* FROM crm.journey_log AS l ORDER BY l.member_id LIMIT 1;

\echo == after a standstill time goes on from what was really done
SELECT pg_temp.publish('{"name": "late", "steps": [{"do": "wait", "for": "1 hour"}, {"do": "set", "column": "department", "value": "late"}, {"do": "wait", "for": "1 day"}, {"do": "exit"}]}');
SELECT pg_temp.enter('late', '{99007}', '2026-02-01 UTC'), crm.run_journeys('2026-02-01 01:30 UTC') AS on_time;
SELECT pg_temp.enter('late', '{99008}', '2026-02-01 UTC'), crm.run_journeys('2026-02-09 UTC') AS standstill;
SELECT m.subject_id, m.arrived_at, m.due_at, m.left_because FROM crm.journey_members AS m JOIN crm.journeys AS j ON j.id = m.journey_id WHERE j.name = 'late' ORDER BY 1;

\echo == one that fails keeps nobody else; it is told, tried again later, and goes on
ALTER TABLE crm.contacts ADD CONSTRAINT regress_check CHECK (id <> 99013 OR department <> 'sales');
SELECT pg_temp.publish('{"name": "fails", "steps": [{"step": "sell", "do": "set", "column": "department", "value": "sales"}, {"step": "rest", "do": "wait", "for": "1 day"}]}');
SELECT pg_temp.enter('fails', ARRAY(SELECT 99000 + i FROM generate_series(10, 20) AS i), '2026-03-01 UTC');
SET LOCAL client_min_messages = error;
SELECT crm.run_journeys('2026-03-01 00:00 UTC') AS done, crm.run_journeys('2026-03-01 00:00:30 UTC') AS not_yet;
SELECT n.subject_id, n.step, n.trouble, n.stuck FROM crm_analytics.stuck_journey_members AS s JOIN crm_analytics.journey_members_now AS n USING (member_id) WHERE s.journey = 'fails' AND s.trouble IS NOT NULL;
SELECT count(*) AS gone_on FROM crm.journey_log AS l WHERE l.step = 'sell';
ALTER TABLE crm.contacts DROP CONSTRAINT regress_check;
SELECT crm.run_journeys('2026-03-01 00:01:30 UTC') AS done;
SELECT count(*) AS gone_on FROM crm.journey_log AS l WHERE l.step = 'sell';
SELECT count(*) AS troubles FROM crm.journey_members AS m WHERE m.trouble IS NOT NULL;
SET LOCAL client_min_messages = warning;

\echo == versions: what is published stays, members go on in theirs or are moved by rule
UPDATE crm.journey_versions SET definition = '{}' WHERE published_at IS NOT NULL;
UPDATE crm.journey_steps SET kind = 'exit';
SELECT pg_temp.publish('{"name": "fails", "steps": [{"step": "longer", "do": "wait", "for": "5 days"}, {"step": "also", "do": "wait", "for": "1 day"}]}');
SELECT crm.move_journey_members('fails', '{"rest": "nowhere"}');
SELECT crm.move_journey_members('fails', '{}', '$.id < 99015', 'perhaps');
SELECT crm.move_journey_members('fails', '{}', '$.id < 99015') AS no_such_step, crm.move_journey_members('fails', '{"rest": "longer"}', '$.id < 99015') AS moved,
       crm.move_journey_members('fails', '{}', '$.id == 99015', 'leave') AS leave, crm.move_journey_members('fails', '{}', '$.id == 99016', 'also') AS also;
SELECT n.version, n.step, n.due_at, count(*) FROM crm_analytics.journey_members_now AS n WHERE n.journey = 'fails' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
SELECT (crm.move_journey('fails', 'paused')).status, crm.run_journeys('2026-03-20 UTC') AS done_while_paused;
SELECT (crm.move_journey('fails', 'running')).status, crm.run_journeys('2026-03-20 UTC') > 0 AS done;

\echo == re-entry: never, after a time, always; circles of journeys
SELECT pg_temp.publish(jsonb_build_object('name', 'again ' || n, 'reentry', r, 'steps', '[{"do": "exit"}]'::jsonb)) FROM (VALUES (1, '"never"'::jsonb), (2, '{"after": "10 days"}'), (3, '"always"')) AS v (n, r);
SELECT n, pg_temp.enter('again ' || n, '{99021}', '2026-04-01 UTC') AS first, crm.run_journeys('2026-04-01 UTC') > 0 AS done, pg_temp.enter('again ' || n, '{99021}', '2026-04-05 UTC') AS soon,
       crm.run_journeys('2026-04-05 UTC') >= 0 AS done, pg_temp.enter('again ' || n, '{99021}', '2026-04-20 UTC') AS later FROM generate_series(1, 3) AS n;
SELECT pg_temp.publish('{"name": "again 3", "reentry": "always", "steps": [{"do": "enrol", "journey": "again 2"}]}');
SELECT pg_temp.publish('{"name": "again 2", "reentry": {"after": "10 days"}, "steps": [{"do": "enrol", "journey": "again 3"}]}');
SELECT pg_temp.publish('{"name": "again 2", "reentry": "always", "steps": [{"do": "enrol", "journey": "again 3"}]}');

\echo == entry by segment: once, and who comes later; whom the campaign holds out stays out
SELECT (crm.define_segment('{"subject_table": "contacts", "name": "regress late", "where": "$.department == \"late\""}')).name;
INSERT INTO crm.campaigns (code, name, hold_out_share, seed, channels) VALUES ('regress-half', 'Regress half', 0.5, 5, '{email}');
UPDATE crm.contacts SET department = 'late' WHERE id BETWEEN 99021 AND 99040;
SELECT pg_temp.publish('{"name": "by segment", "campaign": "regress-half", "entry": {"segment": "regress late"}, "steps": [{"do": "wait", "for": "10 years"}]}');
SELECT crm.run_journeys() > 0 AS done, crm.run_journeys() AS again;
SELECT count(*) FILTER (WHERE c.held_out) > 0 AS some_held_out, bool_and((m.id IS NULL) = c.held_out) AS held_out_stay_out, count(m.id) > 0 AS some_inside
FROM crm.campaign_members AS c JOIN crm.campaigns AS k ON k.id = c.campaign_id AND k.code = 'regress-half'
LEFT JOIN crm.journey_members AS m ON m.subject_id = c.contact_id AND m.came_by = 'segment';

\echo == people who merge or are deleted
INSERT INTO crm.leads (id, name, email) VALUES (99001, 'Regress Lead', 'l1@example.org'), (99002, 'Regress Lead', 'l2@example.org'), (99003, 'Regress Gone', 'l3@example.org');
SELECT pg_temp.publish('{"name": "leads", "subject_table": "leads", "steps": [{"do": "wait", "for": "1 day"}]}'), pg_temp.enter('leads', '{99001,99002,99003}', '2026-05-01 UTC');
SELECT (crm.merge_leads(99001, 99002)).name;
DELETE FROM crm.leads WHERE id = 99003;
SELECT crm.run_journeys('2026-05-03 UTC') > 0 AS done;
SELECT m.subject_id, m.status, m.left_because FROM crm.journey_members AS m WHERE m.subject_table = 'leads' ORDER BY m.id;

\echo == another company, in Persian: it has its own
SELECT tenant_id AS persian FROM crm.create_tenant('Regress journeys', language => 'fa') \gset
SET LOCAL crm.tenant = :'persian';
SELECT crm.publish_journey('letters');
SELECT crm.enrol_in_journey('letters', 99001);
INSERT INTO crm.contacts (id, name) VALUES (99201, 'سارا') RETURNING tenant_id = :persian AS theirs;
SELECT pg_temp.publish('{"name": "خوش آمد", "steps": [{"step": "nine", "do": "wait", "until": {"time": "09:00"}}, {"step": "mark", "do": "set", "column": "title", "value": "خانم"}]}');
SELECT pg_temp.enter('خوش آمد', '{99201,99001}', '2026-01-05 12:00 UTC') AS only_theirs, crm.run_journeys('2026-01-06 12:00 UTC') > 0 AS done;
SELECT k.title, l.taken_at AT TIME ZONE t.time_zone AS nine FROM crm.journey_log AS l JOIN crm.tenants AS t USING (tenant_id) JOIN crm.contacts AS k USING (tenant_id) WHERE l.tenant_id = :persian AND l.step = 'nine';
SET LOCAL crm.tenant = '1';

\echo == who may what
CREATE ROLE regress_journey_agent; CREATE ROLE regress_journey_reader; CREATE ROLE regress_journey_manager;
INSERT INTO crm.users (id, name) VALUES (99301, 'Agent'), (99302, 'Reader'), (99303, 'Manager');
SELECT (crm.grant_access('regress_journey_agent', 'agent', 99301)).access, (crm.grant_access('regress_journey_reader', 'reader', 99302)).access, (crm.grant_access('regress_journey_manager', 'manager', 99303)).access;
INSERT INTO crm.contacts (id, name, owner_id) VALUES (99301, 'Mine', 99301), (99302, 'Theirs', 99303);
SELECT pg_temp.publish('{"name": "rights", "steps": [{"do": "wait", "for": "1 day"}]}');
SET ROLE regress_journey_agent;
SELECT (crm.enrol_in_journey('rights', 99301)).status;
SELECT crm.enrol_in_journey('rights', 99302);
SELECT crm.define_journey('{"name": "mine", "steps": [{"do": "exit"}]}');
SELECT crm.publish_journey('rights');
SELECT crm.run_journeys();
INSERT INTO crm.journey_members (journey_id, version_id, subject_table, subject_id, came_by, entered_at, place, arrived_at) SELECT j.id, 1, 'contacts', 99301, 'hand', now(), 1, now() FROM crm.journeys AS j WHERE j.name = 'rights';
RESET ROLE;
SET ROLE regress_journey_manager;
SELECT (crm.enrol_in_journey('rights', 99302)).status;
RESET ROLE;
SET ROLE regress_journey_agent;
SELECT count(*) FILTER (WHERE m.subject_id = 99301) AS mine, count(*) FILTER (WHERE m.subject_id = 99302) AS theirs FROM crm.journey_members AS m;
SELECT n.member FROM crm_analytics.journey_members_now AS n WHERE n.subject_id > 99300;
SELECT (crm.leave_journey('rights', 99301, 'asked')).left_because;
SELECT crm.leave_journey('rights', 99301);
RESET ROLE;
SET ROLE regress_journey_reader;
SELECT crm.leave_journey('rights', 99302);
SELECT crm.preview_journey('rights');
RESET ROLE;
ROLLBACK;
