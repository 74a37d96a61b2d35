-- Routing: who is given what, and why nobody is
BEGIN;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';

INSERT INTO crm.users (id, name) VALUES (9101, 'Ada'), (9102, 'Ben'), (9103, 'Cem'), (9104, 'Dan'), (9105, 'Eve');
INSERT INTO crm.teams (id, name) VALUES (9101, 'Desk'), (9102, 'Empty');
INSERT INTO crm.team_memberships (team_id, user_id, valid)
VALUES (9101, 9101, '[2020-01-01,)'), (9101, 9102, '[2020-01-01,)'), (9101, 9103, '[2020-01-01,)'), (9101, 9104, '[2020-01-01,2021-01-01)');
INSERT INTO crm.contacts (id, name) VALUES (9101, 'Mina');
CREATE FUNCTION pg_temp.give(queue text, at timestamptz, skills bigint[] DEFAULT '{}', contact bigint DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE t bigint; a crm.assignments;
BEGIN
    t := (crm.open_ticket('x', queue => queue, skill_ids => skills, contact_id => contact, route => false)).id;
    a := crm.route_ticket(t, as_of => at);
    RETURN concat_ws(' ', a.reason, (SELECT u.name FROM crm.users u WHERE u.id = a.user_id), a.candidates);
END $$;

-- round robin: the earliest last assignment first, then the next, also at one instant
INSERT INTO crm.queues (code, name, team_id, routing_method, sticky) VALUES
    ('robin', 'Robin', 9101, 'round_robin', false), ('idle', 'Idle', 9101, 'longest_idle', false),
    ('least', 'Least', 9101, 'least_loaded', false), ('empty', 'Empty', 9102, 'round_robin', false),
    ('none', 'None', NULL, 'round_robin', false), ('hand', 'Hand', 9101, 'manual', false),
    ('best', 'Best', 9101, 'round_robin', true);
UPDATE crm.queues SET skill_match = 'best' WHERE code = 'best';
SELECT pg_temp.give('robin', '2026-03-02 10:00');
DELETE FROM crm.tickets WHERE subject = 'x';
INSERT INTO crm.agents (user_id, capacity, last_assigned_at) VALUES
    (9101, 100, '2026-03-02 10:35'), (9102, 100, '2026-03-02 10:30'), (9103, 100, '2026-03-02 10:37'), (9104, 100, NULL);
SELECT pg_temp.give('robin', '2026-03-02 10:40') FROM generate_series(1, 7);

-- longest idle: free since 13:10 goes before free since 13:15
UPDATE crm.agents SET last_released_at = CASE user_id WHEN 9101 THEN timestamptz '2026-03-02 13:15' WHEN 9102 THEN '2026-03-02 13:10' ELSE '2026-03-02 13:18' END;
SELECT pg_temp.give('idle', '2026-03-02 13:20');

-- capacity: the largest share of it free; full means nobody, visible, once
DELETE FROM crm.tickets WHERE subject = 'x';
UPDATE crm.agents SET capacity = CASE user_id WHEN 9101 THEN 1 WHEN 9102 THEN 2 WHEN 9103 THEN 4 ELSE 0 END;
SELECT pg_temp.give('least', '2026-03-03 10:00') FROM generate_series(1, 8);
SELECT count(*) FROM crm.tickets k JOIN crm.queues q ON q.id = k.queue_id WHERE q.code = 'least' AND k.owner_id IS NULL;
SELECT kind, payload FROM crm.events WHERE kind = 'routing.nobody' ORDER BY id;
SELECT (crm.route_ticket(k.id)).reason FROM crm.tickets k JOIN crm.queues q ON q.id = k.queue_id WHERE q.code = 'least' AND k.owner_id IS NULL;
SELECT count(*) FROM crm.assignments a JOIN crm.queues q ON q.id = a.queue_id WHERE q.code = 'least';
-- a place comes free: the waiting ticket gets it, at once
UPDATE crm.tickets k SET stage_id = (SELECT s.id FROM crm.stages s WHERE s.pipeline_id = k.pipeline_id AND s.code = 'resolved')
WHERE k.id = (SELECT min(t.id) FROM crm.tickets t WHERE t.owner_id = 9103);
UPDATE crm.queues SET active = active, routing_method = CASE WHEN code IN ('robin', 'idle', 'empty', 'none') THEN 'manual' ELSE routing_method END;
SELECT crm.route_waiting('2026-03-03 11:00');
SELECT last_released_at IS NOT NULL AS released FROM crm.agents WHERE user_id = 9103;
UPDATE crm.queues SET routing_method = 'round_robin' WHERE code IN ('robin', 'empty', 'none');

-- a heavier queue takes more of it; what weighs nothing still needs an agent
DELETE FROM crm.tickets WHERE subject = 'x';
UPDATE crm.agents SET capacity = 3;
UPDATE crm.queues SET item_weight = 2 WHERE code = 'robin';
SELECT pg_temp.give('robin', '2026-03-03 12:00') FROM generate_series(1, 4);

-- absence and hours
UPDATE crm.agents SET capacity = 100;
SELECT (crm.define_calendar('routing_days', '{"zone": "UTC", "weekly": {"mon": [["09:00", "17:00"]]}}')).code;
SELECT (crm.set_agent_status('away', '2026-03-09 12:00', 9101)).status, (crm.set_agent_status('offline', user_id => 9102)).away_until;
UPDATE crm.agents SET calendar_id = (SELECT id FROM crm.calendars WHERE code = 'routing_days') WHERE user_id = 9103;
SELECT pg_temp.give('robin', '2026-03-09 10:00') AS monday, pg_temp.give('robin', '2026-03-08 10:00') AS sunday,
       pg_temp.give('robin', '2026-03-10 10:00') AS back;
UPDATE crm.agents SET status = 'offline';
SELECT pg_temp.give('robin', '2026-03-09 10:00'), pg_temp.give('empty', '2026-03-09 10:00'), pg_temp.give('none', '2026-03-09 10:00'), pg_temp.give('hand', '2026-03-09 10:00');
SELECT crm.set_agent_status('asleep', user_id => 9101);
SELECT crm.set_agent_status('away', user_id => 9105);

-- skills: all of them, or as many as anybody has
UPDATE crm.agents SET status = 'available', calendar_id = NULL;
INSERT INTO crm.skills (id, code, name) VALUES (9101, 'fa', 'Persian'), (9102, 'mail', 'Mail'), (9103, 'net', 'Networks'), (9104, 'rare', 'Rare');
INSERT INTO crm.user_skills (user_id, skill_id, level) VALUES (9101, 9101, 2), (9102, 9101, 3), (9102, 9102, 3), (9103, 9102, 5);
SELECT pg_temp.give('robin', '2026-03-11 10:00', '{9101,9102}') AS both, pg_temp.give('robin', '2026-03-11 10:00', '{9102}') AS mail,
       pg_temp.give('robin', '2026-03-11 10:00', '{9104}') AS nobody;
SELECT pg_temp.give('best', '2026-03-11 10:00', '{9101,9102,9103}') AS two_of_three, pg_temp.give('best', '2026-03-11 10:00', '{9104}') AS none_of_one;

-- sticky, unless that one is away
SELECT pg_temp.give('best', '2026-03-11 11:00', contact => 9101) FROM generate_series(1, 3);
UPDATE crm.agents SET status = 'offline' WHERE user_id = (SELECT owner_id FROM crm.tickets WHERE contact_id = 9101 LIMIT 1);
SELECT left(pg_temp.give('best', '2026-03-11 11:00', contact => 9101), 8) AS another;
UPDATE crm.agents SET status = 'available';

-- rules come before queues, and serve other records as well
INSERT INTO crm.assignment_rules (subject_table, position, name, condition, user_ids, method) VALUES
    ('tickets', 1, 'Urgent to Ben', '$.priority == "urgent"', '{9102}', 'round_robin'),
    ('opportunities', 1, 'Large deals', '$.amount >= 1000', '{9101,9103}', 'round_robin');
SELECT (crm.open_ticket('x', queue => 'hand', priority => 'urgent')).owner_id;
SELECT (crm.open_ticket('x', queue => 'hand', priority => 'low')).owner_id;
INSERT INTO crm.opportunities (id, name, amount) VALUES (9101, 'Big', 5000), (9102, 'Big too', 1000), (9103, 'Small', 10), (9104, 'Unknown', NULL);
SELECT o.id, (crm.route_record('opportunities', o.id, as_of => '2026-03-12 10:00')).reason FROM crm.opportunities o WHERE o.id BETWEEN 9101 AND 9104 ORDER BY o.id;
SELECT count(DISTINCT owner_id) FROM crm.opportunities WHERE id IN (9101, 9102);

-- what has an owner is left alone, unless asked to
SELECT (crm.route_record('opportunities', 9101)).user_id = owner_id AS left_alone FROM crm.opportunities WHERE id = 9101;
SELECT (crm.route_record('opportunities', 9101, true)).reason;
SELECT crm.route_record('contact_points', 1);
SELECT crm.route_record('nowhere', 1);
SELECT crm.route_ticket(424242);

-- what counts as work follows the registry and the columns of its tables within the session that has asked before
CREATE TABLE public.visits (tenant_id bigint NOT NULL DEFAULT 1, id bigint PRIMARY KEY, owner_id bigint);
INSERT INTO public.visits VALUES (1, 1, 9105), (1, 2, 9105), (2, 3, 9105);
CREATE FUNCTION pg_temp.work() RETURNS numeric LANGUAGE sql
AS $$ SELECT sum(w.load) FROM crm.workload(1, 'tickets', '{9105}', 2) AS w $$;
SELECT pg_temp.work() AS nothing;
SELECT crm.attach('public.visits', '{"workload": true}');
SELECT pg_temp.work() AS two_visits;
ALTER TABLE public.visits ADD closed_at timestamptz;
UPDATE public.visits SET closed_at = now() WHERE id = 1;
SELECT pg_temp.work() AS one_open;
SELECT crm.detach('public.visits', 'workload');
SELECT pg_temp.work() AS nothing;

-- a query whose text is made for a table
SELECT crm.kept_value('SELECT to_jsonb($1 + $2)', 1, 2) AS three, crm.kept_value('SELECT to_jsonb($1 || $2)', 'a'::text, 'b'::text) AS ab,
       crm.kept_value('SELECT NULL::jsonb WHERE $1', true) AS empty, crm.kept_value('SELECT to_jsonb(1) WHERE $1', false) AS no_row,
       crm.kept_value('UPDATE public.visits SET owner_id = $1 WHERE id = $2 RETURNING to_jsonb(owner_id)', 7::bigint, 3) AS seven;
SELECT crm.kept_value('SELECT $1', 1);
SELECT crm.kept_value('SELECT to_jsonb(1)', VARIADIC ARRAY[1]);
-- a text made for a table follows the table
SELECT crm.attach('public.visits', '{"class": "work"}') IS NOT NULL AS attached;
SELECT crm.kept_text('place_query', 'public.visits') LIKE '%r.account_id%' AS by_account;
ALTER TABLE public.visits ADD account_id bigint, ADD CONSTRAINT visits_account_id_fkey FOREIGN KEY (tenant_id, account_id) REFERENCES crm.accounts (tenant_id, id);
SELECT crm.attach('public.visits', '{"about": {"account_id": "accounts"}}') IS NOT NULL AS attached;
SELECT crm.kept_text('place_query', 'public.visits') LIKE '%r.account_id%' AS by_account;
SELECT crm.kept_text('place_query', 'public.nowhere') IS NULL AS nowhere;
SELECT crm.column_exists('public.visits', 'owner_id') AS owner, crm.column_exists('public.visits', 'ctid') AS system,
       crm.column_exists('public.visits', repeat('x', 70)) AS long, crm.column_exists(NULL, 'id') AS none;
ROLLBACK;
