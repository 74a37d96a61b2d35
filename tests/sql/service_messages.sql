-- Clocks follow messages: added, re-marked, moved by merge and split, deleted; what a message no longer says is withdrawn.
BEGIN;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
SELECT setseed(0.5) IS NOT NULL AS seeded;
INSERT INTO crm.sla_policies (id, name, position) VALUES (9501, 'messages', 1);
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (9501, 'first_response', 3600, 'calendar'),
    (9501, 'next_response', 3600, 'calendar'), (9501, 'periodic_update', 86400, 'calendar'), (9501, 'resolution', 36000, 'calendar');
INSERT INTO crm.contacts (id, name) VALUES (9501, 'Mina');
CREATE FUNCTION pg_temp.say(ticket bigint, way text, at text) RETURNS bigint LANGUAGE sql AS $$
    SELECT m.id FROM crm.add_ticket_message(ticket, way || ' ' || at, way, sent_at => ('2026-03-02 ' || at || 'Z')::timestamptz) AS m $$;
CREATE FUNCTION pg_temp.clocks(ticket bigint, at text DEFAULT '12:00')
RETURNS TABLE (metric text, cycle int, state text, breached boolean, started text, stopped text) LANGUAGE sql AS $$
    SELECT c.metric, c.cycle, c.state, c.breached, to_char(c.started_at, 'HH24:MI'), to_char(c.stopped_at, 'HH24:MI')
    FROM crm.clock_state('tickets', ticket, ('2026-03-02 ' || at || 'Z')::timestamptz) AS c WHERE c.metric LIKE '%response' ORDER BY 1, 2 $$;
CREATE FUNCTION pg_temp.open(ticket bigint, at text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO crm.tickets (id, subject, contact_id, created_at) VALUES (ticket, 'x', 9501, ('2026-03-02 ' || at || 'Z')::timestamptz) $$;

-- an answer that turns out to be a note, a note that is made public, an instant put right, another author
SELECT pg_temp.open(9501, '09:00'), pg_temp.say(9501, 'out', '09:10') AS answer \gset
SELECT to_char(first_response_at, 'HH24:MI') FROM crm.tickets WHERE id = 9501;
UPDATE crm.ticket_messages SET direction = 'internal', is_public = false WHERE id = :answer;
SELECT first_response_at FROM crm.tickets WHERE id = 9501;
SELECT * FROM pg_temp.clocks(9501);
UPDATE crm.ticket_messages SET direction = 'out', is_public = true, sent_at = '2026-03-02 10:30Z' WHERE id = :answer;
SELECT * FROM pg_temp.clocks(9501);
UPDATE crm.ticket_messages SET sent_at = '2026-03-02 09:30Z' WHERE id = :answer;
SELECT * FROM pg_temp.clocks(9501);
UPDATE crm.ticket_messages SET author_kind = 'automatic' WHERE id = :answer;
SELECT * FROM pg_temp.clocks(9501);
-- words that change nothing tell no event
SELECT count(*) AS before FROM crm.sla_events WHERE subject_id = 9501 \gset
UPDATE crm.ticket_messages SET body = 'put better' WHERE id = :answer;
SELECT count(*) - :before AS more FROM crm.sla_events WHERE subject_id = 9501;

-- of two answers the first is deleted: the second counts; a question that is deleted is not waited for
SELECT pg_temp.open(9502, '09:00'), pg_temp.say(9502, 'out', '09:10') AS one, pg_temp.say(9502, 'out', '09:20') AS two, pg_temp.say(9502, 'in', '10:00') AS q \gset
SELECT * FROM pg_temp.clocks(9502);
DELETE FROM crm.ticket_messages WHERE id IN (:one, :q);
SELECT * FROM pg_temp.clocks(9502);
SELECT to_char(first_response_at, 'HH24:MI') FROM crm.tickets WHERE id = 9502;
-- an imported first response that no message tells stays
INSERT INTO crm.tickets (id, subject, created_at, first_response_at) VALUES (9503, 'imported', '2026-03-02 09:00Z', '2026-03-02 09:05Z');
SELECT pg_temp.say(9503, 'out', '09:30') AS later \gset
DELETE FROM crm.ticket_messages WHERE id = :later;
SELECT to_char(first_response_at, 'HH24:MI') FROM crm.tickets WHERE id = 9503;

-- split: the question goes, and its promise with it, counted from when it was asked
SELECT pg_temp.open(9504, '09:00'), pg_temp.say(9504, 'in', '09:00'), pg_temp.say(9504, 'out', '09:10'), pg_temp.say(9504, 'in', '10:00') AS q \gset
SELECT * FROM pg_temp.clocks(9504);
SELECT s.id AS split FROM crm.split_ticket(9504, ARRAY[:q]) AS s \gset
SELECT * FROM pg_temp.clocks(9504);
SELECT * FROM pg_temp.clocks(:split);
-- and back again
SELECT count(crm.merge_tickets(:split, 9504));
SELECT * FROM pg_temp.clocks(9504);
-- an older ticket that had been answered is merged into a younger: the answer counts, and what was asked since
SELECT pg_temp.open(9505, '09:00'), pg_temp.say(9505, 'out', '09:20'), pg_temp.say(9505, 'in', '09:40'), pg_temp.open(9506, '10:00'), pg_temp.say(9506, 'in', '10:00') \gset
SELECT count(crm.merge_tickets(9505, 9506));
SELECT c.metric, c.cycle, c.state, to_char(c.started_at, 'HH24:MI') AS started, to_char(c.stopped_at, 'HH24:MI') AS stopped, to_char(c.due_at, 'HH24:MI') AS due
FROM crm.sla_clocks AS c WHERE c.subject_type = 'tickets' AND c.subject_id = 9506 ORDER BY 1;
SELECT c.metric, c.state FROM crm.sla_clocks AS c WHERE c.subject_type = 'tickets' AND c.subject_id = 9505 ORDER BY 1;
-- an open ticket merged into a solved one is not lost in it
SELECT pg_temp.open(9507, '09:00'), pg_temp.say(9507, 'out', '09:10'), pg_temp.open(9508, '10:00'), pg_temp.say(9508, 'in', '10:00') \gset
SELECT k.closed_at IS NOT NULL AS solved FROM crm.resolve_ticket(9507) AS k;
SELECT k.closed_at IS NULL AS open FROM crm.merge_tickets(9508, 9507) AS k;
-- a ticket that is deleted takes its messages along, and leaves its history
DELETE FROM crm.tickets WHERE id = 9502;
SELECT count(*) FILTER (WHERE event = 'agent_message') > 0 AS history, count(*) FILTER (WHERE event = 'cancelled') AS cancelled
FROM crm.sla_events WHERE subject_type = 'tickets' AND subject_id = 9502;

-- solved without a word: neither met nor missed, unless late; still owed after a reopening; answered by a word that comes after
SELECT pg_temp.open(t, '09:00') FROM generate_series(9511, 9514) AS t;
SELECT count(crm.record_sla_event('tickets', v.t, v.e, ('2026-03-02 ' || v.at || 'Z')::timestamptz)) FROM (VALUES
    (9511, 'resolved', '09:30'), (9512, 'resolved', '10:30'), (9513, 'resolved', '09:30'), (9513, 'reopened', '11:00'),
    (9514, 'resolved', '09:30'), (9514, 'agent_message', '09:31')) AS v (t, e, at);
SELECT t, c.* FROM generate_series(9511, 9514) AS t, pg_temp.clocks(t, '11:10') AS c WHERE c.metric = 'first_response' ORDER BY 1;
SELECT * FROM pg_temp.clocks(9513, '11:31');

-- another tenant, written by an agent of its own
SELECT t.tenant_id AS tenant FROM crm.create_tenant('Desk of Teheran', 'IRR', 'Asia/Tehran') AS t \gset
SET LOCAL crm.tenant = :tenant;
INSERT INTO crm.users (id, name, access) VALUES (9595, 'Reza', 'agent');
INSERT INTO crm.sla_policies (id, name) VALUES (9595, 'there');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (9595, 'first_response', 3600, 'calendar');
CREATE ROLE regress_messages_agent;
SELECT g.access FROM crm.grant_access('regress_messages_agent', 'agent', 9595) AS g;
INSERT INTO crm.tickets (id, subject, owner_id, created_at) VALUES (9595, 'there', 9595, '2026-03-02 09:00Z');
SET LOCAL ROLE regress_messages_agent;
INSERT INTO crm.ticket_messages (id, ticket_id, channel, direction, author_kind, body, sent_at) VALUES (9595, 9595, 'api', 'out', 'agent', 'x', '2026-03-02 09:10Z');
UPDATE crm.ticket_messages SET direction = 'internal', is_public = false WHERE id = 9595;
SELECT first_response_at FROM crm.tickets WHERE id = 9595;
RESET ROLE;
SELECT c.tenant_id = :tenant AS theirs, c.state FROM crm.sla_clocks AS c WHERE c.subject_id = 9595 AND c.subject_type = 'tickets';
SET LOCAL crm.tenant = 1;

-- at random: after any changes the clocks are those of a ticket that was told the messages as they are at the end
INSERT INTO crm.tickets (id, subject, created_at) SELECT 960000 + g, 'random', '2026-03-02 08:00Z' FROM generate_series(1, 20) AS g;
DO $$
DECLARE
    m bigint;
BEGIN
    FOR i IN 1..400 LOOP
        SELECT g.id INTO m FROM crm.ticket_messages AS g WHERE g.ticket_id BETWEEN 960001 AND 960020 ORDER BY random() LIMIT 1;
        CASE WHEN m IS NULL OR random() < 0.45 THEN
            INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, is_public, body, sent_at)
            SELECT 960001 + floor(random() * 20), 'api', v.d, v.k, v.d <> 'internal' AND random() < 0.9, 'x', timestamptz '2026-03-02 08:00Z' + random() * interval '2 days'
            FROM (VALUES ('in', 'customer'), ('out', 'agent'), ('internal', 'agent'), ('out', 'automatic')) AS v (d, k) ORDER BY random() LIMIT 1;
        WHEN random() < 0.3 THEN
            UPDATE crm.ticket_messages SET ticket_id = 960001 + floor(random() * 20) WHERE id = m;
        WHEN random() < 0.4 THEN
            UPDATE crm.ticket_messages SET sent_at = timestamptz '2026-03-02 08:00Z' + random() * interval '2 days' WHERE id IN (m, m + 1, m + 2);
        WHEN random() < 0.6 THEN
            UPDATE crm.ticket_messages SET direction = 'out', author_kind = CASE WHEN random() < 0.7 THEN 'agent' ELSE 'automatic' END, is_public = random() < 0.8 WHERE id = m;
        ELSE
            DELETE FROM crm.ticket_messages WHERE id = m;
        END CASE;
    END LOOP;
END $$;
INSERT INTO crm.tickets (id, subject, created_at) SELECT 970000 + g, 'told once', '2026-03-02 08:00Z' FROM generate_series(1, 20) AS g;
INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, is_public, body, sent_at)
SELECT ticket_id + 10000, channel, direction, author_kind, is_public, body, sent_at FROM crm.ticket_messages WHERE ticket_id BETWEEN 960001 AND 960020 ORDER BY id DESC;
SELECT count(*) > 60 AS clocks, count(*) FILTER (WHERE (a.state, a.started_at, a.stopped_at, a.due_at, a.breached_at, a.running_since)
                                                       IS DISTINCT FROM (b.state, b.started_at, b.stopped_at, b.due_at, b.breached_at, b.running_since)) AS differ
FROM (SELECT * FROM crm.sla_clocks WHERE subject_type = 'tickets' AND subject_id BETWEEN 960001 AND 960020) AS a
FULL JOIN (SELECT *, subject_id - 10000 AS twin FROM crm.sla_clocks WHERE subject_type = 'tickets' AND subject_id BETWEEN 970001 AND 970020) AS b
  ON b.twin = a.subject_id AND b.metric = a.metric AND b.cycle = a.cycle;
SELECT count(*) FILTER (WHERE a.first_response_at IS NOT NULL) > 5 AS some, count(*) FILTER (WHERE a.first_response_at IS DISTINCT FROM b.first_response_at) AS differ
FROM crm.tickets AS a JOIN crm.tickets AS b ON b.id = a.id + 10000 WHERE a.id BETWEEN 960001 AND 960020;
ROLLBACK;
