-- Tickets: messages from any channel, merging, splitting, reopening
BEGIN;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';

-- people: three agents in a team, a queue, customers
INSERT INTO crm.users (id, name) VALUES (9001, 'Ada'), (9002, 'Ben'), (9003, 'Cem');
INSERT INTO crm.teams (id, name) VALUES (9001, 'First line');
INSERT INTO crm.team_memberships (team_id, user_id, valid) SELECT 9001, id, '[2020-01-01,)' FROM crm.users WHERE id BETWEEN 9001 AND 9003;
INSERT INTO crm.agents (user_id, capacity) VALUES (9001, 10), (9002, 10), (9003, 10);
INSERT INTO crm.queues (id, code, name, team_id, routing_method, sticky) VALUES (9001, 'help', 'Help', 9001, 'round_robin', true),
    (9002, 'desk', 'Desk', NULL, 'manual', false);
INSERT INTO crm.accounts (id, name) VALUES (9001, 'Orchard Ltd');
INSERT INTO crm.contacts (id, name, account_id) VALUES (9001, 'Mina', 9001), (9002, 'Omid', NULL);
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (9001, 'email', 'Mina@Example.com');
CREATE TEMP VIEW ticket AS
    SELECT k.id, k.subject, s.code AS stage, u.name AS owner, q.code AS queue, k.closed_at IS NOT NULL AS closed,
           k.first_response_at IS NOT NULL AS answered, k.resolved_at IS NOT NULL AS resolved, k.reopen_count AS reopened,
           k.transfer_count AS transfers
    FROM crm.tickets k JOIN crm.stages s ON s.id = k.stage_id LEFT JOIN crm.users u ON u.id = k.owner_id
    LEFT JOIN crm.queues q ON q.id = k.queue_id ORDER BY k.id;
ALTER TABLE crm.tickets ALTER COLUMN id RESTART WITH 900001;

-- opened, given out in turn, and to the same agent for the same contact
SELECT (crm.open_ticket('Cannot log in', contact_id => 9001, queue => 'help')).account_id;
SELECT (crm.open_ticket('Printer', contact_id => 9002, queue => 'help')).priority;
SELECT (crm.open_ticket('Again', contact_id => 9001, queue => 'help', priority => 'urgent')).priority;
SELECT (crm.open_ticket('Nobody yet', queue => 'desk')).team_id;
SELECT * FROM ticket;
SELECT a.subject_id, u.name, a.method, a.reason, a.candidates FROM crm.assignments a LEFT JOIN crm.users u ON u.id = a.user_id ORDER BY a.id;

-- answers; a note and an answering machine are no answers
SELECT (crm.add_ticket_message(900001, 'Looking into it', 'internal')).is_public;
SELECT (crm.add_ticket_message(900001, 'I am away', 'out', author_kind => 'automatic')).author_kind;
SELECT answered FROM ticket WHERE id = 900001;
SELECT (crm.add_ticket_message(900001, 'Try again now', 'out', author_user_id => 9001)).author_user_id;
SELECT answered FROM ticket WHERE id = 900001;
SELECT (crm.resolve_ticket(900001, 'Password reset')).id;
SELECT stage, closed, resolved FROM ticket WHERE id = 900001;

-- the same mail twice is one message; within the window it reopens, later it opens a follow-up
SELECT count(DISTINCT (crm.add_ticket_message(900001, 'It fails again', channel => 'mail', external_id => 'm1', thread_id => 'th1',
       sent_at => clock_timestamp())).id) FROM generate_series(1, 2);
SELECT count(*) FROM crm.ticket_messages WHERE external_id = 'm1';
SELECT stage, closed, reopened FROM ticket WHERE id = 900001;
SELECT (crm.resolve_ticket(900001, stage => 'closed')).id;
SELECT stage FROM ticket WHERE id = 900001;
SELECT m.ticket_id, m.body FROM crm.add_ticket_message(900001, 'Still broken', sent_at => now() + interval '8 days') AS m;
SELECT follow_up_of_id, contact_id FROM crm.tickets WHERE id = 900005;

-- from a mailbox: new, by thread, by the message it answers, by number from somebody known, by number from a stranger
SELECT m.ticket_id, m.author_contact_id FROM crm.receive_message('mail', 'My invoice is wrong', 'Mina <mina@example.com>', 'Invoice', 'm2', 'th2', queue => 'help') AS m;
SELECT m.ticket_id FROM crm.receive_message('mail', 'See also page 2', 'mina@example.com', 'Re: Invoice', 'm3', 'th2') AS m;
SELECT m.ticket_id FROM crm.receive_message('mail', 'And page 3', 'mina@example.com', 'Re: Invoice', 'm4', in_reply_to => 'm3') AS m;
SELECT m.ticket_id FROM crm.receive_message('mail', 'One more', 'mina@example.com', 'Re: [#900006] Invoice', 'm5') AS m;
SELECT m.ticket_id, m.author_contact_id FROM crm.receive_message('mail', 'Let me in', 'eve@example.org', 'Re: [#900006] Invoice', 'm6') AS m;
SELECT m.ticket_id FROM crm.receive_message('mail', 'See also page 2', 'mina@example.com', 'Re: Invoice', 'm3', 'th2') AS m;
SELECT m.ticket_id FROM crm.receive_message('chat', 'hello', 'visitor 7', thread_id => 'th2') AS m;

-- merge and split
SELECT (crm.follow_ticket(900003, contact_id => 9002)).contact_id, (crm.follow_ticket(900003, contact_id => 9002)).contact_id;
SELECT id, subject FROM crm.merge_tickets(900003, 900006);
SELECT stage, closed, resolved FROM ticket WHERE id = 900003;
SELECT t.id FROM crm.merge_tickets(900003, 900006) AS t;
SELECT m.ticket_id FROM crm.add_ticket_message(900003, 'To the merged one') AS m;
SELECT count(*) FILTER (WHERE contact_id = 9002) FROM crm.ticket_followers WHERE ticket_id = 900006;
SELECT crm.merge_tickets(900006, 900006);
SELECT crm.merge_tickets(900006, 900003);
SELECT s.subject, s.split_from_id
FROM crm.split_ticket(900006, ARRAY(SELECT id FROM crm.ticket_messages WHERE external_id IN ('m4', 'm5')), 'Page 3') AS s;
SELECT k.subject, count(*) FROM crm.ticket_messages m JOIN crm.tickets k ON k.id = m.ticket_id WHERE k.subject = 'Page 3' GROUP BY 1;
SELECT crm.split_ticket(900006, ARRAY(SELECT id FROM crm.ticket_messages WHERE ticket_id = 900006));
SELECT crm.split_ticket(900006, '{}');

-- transfers are counted and kept
SELECT (crm.transfer_ticket(900002, owner_id => 9003)).owner_id;
SELECT (crm.transfer_ticket(900002, queue => 'desk')).owner_id;
SELECT owner, queue, transfers FROM ticket WHERE id = 900002;
SELECT from_queue_id, to_queue_id, from_owner_id, to_owner_id FROM crm.ticket_transfers WHERE ticket_id = 900002 ORDER BY id;
SELECT crm.transfer_ticket(900002);

-- the process engine is behind it
SELECT stage_code, stage_type, allowed FROM crm.allowed_moves_of('tickets', 900002);
SELECT s.code, p.moved FROM crm.stage_periods p JOIN crm.stages s ON s.id = p.stage_id
WHERE p.subject_table = 'tickets' AND p.subject_id = 900001 ORDER BY p.seq;

-- search in both scripts: letters and digits of any spelling
SELECT (crm.add_ticket_message(900004, 'كتاب‌هاي من نرسيده است، سفارش ۱۲۳۴')).author_kind;
SELECT ticket_id, snippet FROM crm.search_tickets('کتاب') \g (format=unaligned)
SELECT ticket_id FROM crm.search_tickets('1234');
SELECT count(*) FROM crm.search_tickets('');
SELECT ticket_id FROM crm.search_tickets('"page 2" -invoice');

-- bad input
SELECT crm.open_ticket('');
SELECT crm.open_ticket('x', queue => 'nowhere');
SELECT crm.open_ticket('x', priority => 'highest');
SELECT crm.open_ticket('x', channel => 'fax');
SELECT crm.open_ticket('x', contact_id => 424242);
SELECT crm.resolve_ticket(424242);
SELECT crm.resolve_ticket(900004, stage => 'open');
SELECT crm.move_ticket(900004, 'nowhere');
SELECT crm.add_ticket_message(900004, 'x', sent_at => 'infinity');
SELECT crm.add_ticket_message(900004, 'x', 'sideways');
UPDATE crm.queues SET escalates_to_id = 9002 WHERE id = 9001;
UPDATE crm.queues SET escalates_to_id = 9001 WHERE id = 9002;
UPDATE crm.queues SET escalates_to_id = 9002 WHERE id = 9002;

-- a retired type is not chosen any more; what has it goes on, and what cannot choose does too
SELECT type FROM crm.open_ticket('Before', type => 'problem', route => false);
UPDATE crm.ticket_types SET active = false WHERE code IN ('problem', 'question');
SELECT crm.open_ticket('After', type => 'problem', route => false);
SELECT crm.open_ticket('By default', route => false);
INSERT INTO crm.tickets (subject, type) VALUES ('By hand', 'problem');
UPDATE crm.tickets SET type = 'problem' WHERE id = 900002;
UPDATE crm.tickets SET priority = 'high', type = 'incident' WHERE subject = 'Before' RETURNING type, priority;
INSERT INTO crm.tickets (subject, type, stage_id)
    SELECT 'Solved long ago', 'problem', s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.id = s.pipeline_id
    WHERE p.code = 'support' AND p.tenant_id = 1 AND s.code = 'closed' RETURNING type;
SELECT m.body FROM crm.receive_message('mail', 'A mail is not lost', 'other@example.com', 'Nothing is lost', 'm8', queue => 'help') AS m;
SELECT k.type FROM crm.tickets AS k WHERE k.tenant_id = 1 AND k.subject = 'Nothing is lost';
UPDATE crm.ticket_types SET active = true;

-- an agent works on what is theirs and their teams'; the outbox is not theirs to read
CREATE ROLE service_test_agent;
CREATE ROLE service_test_reader;
SELECT (crm.grant_access('service_test_agent', 'agent', 9001)).access, (crm.grant_access('service_test_reader', 'reader')).access;
SET LOCAL ROLE service_test_agent;
SELECT subject, owner_id IS NOT NULL AS given_out FROM crm.open_ticket('From an agent', contact_id => 9001, queue => 'help');
SELECT m.author_kind, m.author_user_id FROM crm.add_ticket_message(900001, 'An agent answers', 'out') AS m;
SELECT k.reopen_count FROM crm.reopen_ticket(900001, 'one more time') AS k;
SELECT k.closed_at IS NOT NULL AS closed FROM crm.resolve_ticket(900001) AS k;
SELECT m.ticket_id > 900006 AS new_ticket FROM crm.receive_message('mail', 'By way of an agent', 'new@example.com', 'New', 'm9', queue => 'help') AS m;
SELECT count(*) > 0 AS found FROM crm.search_tickets('invoice');
SELECT count(*) AS notices FROM crm.events AS e WHERE e.scheduled_at IS NOT NULL;
INSERT INTO crm.assignments (subject_table, subject_id, method, reason) VALUES ('tickets', 1, 'none', 'no_rule');
UPDATE crm.queues SET name = 'Mine';
RESET ROLE;
SET LOCAL ROLE service_test_reader;
SELECT crm.open_ticket('From a reader');
SELECT count(*) > 0 AS reads FROM crm.tickets;
RESET ROLE;
ROLLBACK;
