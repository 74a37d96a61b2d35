-- Where messages, owners and requirements meet: answers that come by another way than an INSERT, addresses that several people have, queues that are off,
-- stages that require what a customer cannot fill, people who have left, and choices that have been retired.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET client_min_messages = warning;
BEGIN;
INSERT INTO crm.users (id, name, email) VALUES (101, 'Nina', 'nina@desk.example'), (102, 'Reza', 'reza@desk.example');
INSERT INTO crm.teams (id, name) VALUES (11, 'L1');
INSERT INTO crm.team_memberships (team_id, user_id) VALUES (11, 101), (11, 102);
INSERT INTO crm.agents (user_id, capacity) VALUES (101, 500), (102, 500);
INSERT INTO crm.queues (id, code, name, team_id, routing_method) VALUES (21, 'help', 'Help', 11, 'round_robin');
INSERT INTO crm.contacts (id, name) VALUES (150, 'Older One'), (201, 'Mina Karimi'), (202, 'Ali Nouri');
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (201, 'email', 'mina@example.com'), (150, 'email', 'office@example.com'),
    (201, 'email', 'office@example.com'), (202, 'email', 'office@example.com');
CREATE FUNCTION pg_temp.stage(ticket bigint) RETURNS text LANGUAGE sql
    RETURN (SELECT s.code FROM crm.tickets AS k JOIN crm.stages AS s ON (s.tenant_id, s.id) = (k.tenant_id, k.stage_id) WHERE k.id = ticket);
CREATE FUNCTION pg_temp.waiting(ticket bigint) RETURNS bigint LANGUAGE sql BEGIN ATOMIC
    INSERT INTO crm.tickets (id, subject, contact_id, created_at) VALUES (ticket, 'w', 201, now() - interval '2 hours');
    SELECT count(crm.add_ticket_message(ticket, 'which model?', 'out', channel => 'mail', external_id => '<o' || ticket || '>'))
         + count(crm.move_ticket(ticket, 'waiting'));
END;

-- ---- the customer's answer, however it comes ----

SELECT pg_temp.waiting(1001), pg_temp.waiting(1002), pg_temp.waiting(1003);
SELECT id AS note FROM crm.add_ticket_message(1001, 'model B', 'internal') \gset
UPDATE crm.ticket_messages SET direction = 'in', author_kind = 'customer', is_public = true WHERE id = :note;
INSERT INTO crm.tickets (id, subject, contact_id) VALUES (1004, 're: w', 201), (1005, 're: w', 201);
SELECT count(crm.add_ticket_message(1004, 'model B', 'in')), count(crm.add_ticket_message(1005, 'model B', 'in'));
UPDATE crm.ticket_messages SET ticket_id = 1002 WHERE ticket_id = 1004;
SELECT count(crm.merge_tickets(1005, 1003));
SELECT pg_temp.stage(1001) AS remarked, pg_temp.stage(1002) AS moved, pg_temp.stage(1003) AS merged;
-- what was said before it waited, and what somebody else says, does not end it
SELECT pg_temp.waiting(1006);
INSERT INTO crm.tickets (id, subject, contact_id, created_at) VALUES (1007, 'x', 201, now() - interval '2 hours');
SELECT count(crm.add_ticket_message(1007, 'old', 'in', sent_at => now() - interval '1 hour'));
UPDATE crm.ticket_messages SET ticket_id = 1006 WHERE ticket_id = 1007;
SELECT author_contact_id IS NULL AS nobody FROM crm.receive_message('mail', 'buy', from_address => 'eve@evil.example', in_reply_to => '<o1006>');
SELECT pg_temp.stage(1006) AS still;

-- an address of several people: the ticket's, who has written, who signs, else the oldest
SELECT author_contact_id FROM crm.receive_message('mail', 'model B', from_address => 'Office <OFFICE@example.com>', in_reply_to => '<o1006>');
SELECT pg_temp.stage(1006) AS goes_on;
SELECT author_contact_id FROM crm.receive_message('mail', 'q', from_address => '"Ali Nouri" <office@example.com>', subject => 'new');
SELECT author_contact_id FROM crm.receive_message('mail', 'q', from_address => 'office@example.com', subject => 'new');

-- headlines that programs write open nothing; those that people write do
SELECT subject, crm.automatic_mail('a@b.example', subject) FROM (VALUES ('Automatic reply: your order'), ('Undelivered Mail Returned to Sender'),
    ('Undeliverable: Offer'), ('Delivery Status Notification (Failure)'), ('پاسخ خودکار: فاکتور'), ('Out of office'), ('Undeliverable goods'),
    ('Mail delivery failed again, please help')) AS v (subject);

-- ---- queues that are off ----

UPDATE crm.queues SET active = false;
SELECT ticket_id AS off FROM crm.receive_message('mail', 'x', from_address => 'mina@example.com', subject => 'off', queue => 'help') \gset
SELECT k.queue_id, k.owner_id IS NOT NULL AS given, (SELECT e.payload FROM crm.events AS e WHERE e.kind = 'message.queue_off' AND e.subject_id = k.id)
FROM crm.tickets AS k WHERE k.id = :off;
INSERT INTO crm.queues (id, code, name, team_id, routing_method, is_default) VALUES (22, 'main', 'Main', 11, 'round_robin', true);
SELECT ticket_id AS off FROM crm.receive_message('mail', 'x', from_address => 'mina@example.com', subject => 'off', queue => 'help') \gset
SELECT queue_id FROM crm.tickets WHERE id = :off;
UPDATE crm.queues SET active = true WHERE id = 21;
SELECT ticket_id AS t FROM crm.receive_message('mail', 'q', from_address => 'mina@example.com', external_id => '<q1>', subject => 'solved', queue => 'help') \gset
SELECT count(crm.resolve_ticket(:t));
UPDATE crm.queues SET active = false WHERE id = 21;
SELECT ticket_id = :t AS same FROM crm.receive_message('mail', 'again', from_address => 'mina@example.com', in_reply_to => '<q1>', sent_at => now() + interval '1 minute');
SELECT queue_id, pg_temp.stage(id), reopen_count, transfer_count FROM crm.tickets WHERE id = :t;

-- ---- what a stage requires is asked of people, not of customers ----

UPDATE crm.stages AS s SET required_columns = '{product_id}' FROM crm.pipelines AS p
WHERE p.id = s.pipeline_id AND p.code = 'support' AND s.code = 'open';
SELECT pg_temp.waiting(1008);
SELECT count(crm.resolve_ticket(:t));
SELECT count(crm.add_ticket_message(1008, 'model C', 'in')), count(crm.add_ticket_message(:t, 'again', 'in', sent_at => now() + interval '2 minutes'));
SELECT pg_temp.stage(1008), pg_temp.stage(:t);
SELECT count(*) AS listed FROM crm_analytics.incomplete_records WHERE subject_table = 'tickets' AND subject_id IN (1008, :t) AND missing = '{product_id}';
INSERT INTO crm.tickets (id, subject) VALUES (1009, 'people');
SELECT crm.move_ticket(1009, 'open');

-- ---- nothing goes to somebody who has left ----

INSERT INTO crm.accounts (id, name, owner_id) VALUES (50, 'Alpha', 102), (51, 'Alpha', 101), (52, 'Alpha', 102);
INSERT INTO crm.contacts (id, name, owner_id) VALUES (61, 'C', 101), (62, 'C', 102);
INSERT INTO crm.leads (id, name, owner_id) VALUES (71, 'L', 101), (72, 'L', 102);
INSERT INTO crm.opportunities (id, name, owner_id, account_id, amount) VALUES (81, 'O', 101, 50, 10);
INSERT INTO crm.tickets (id, subject, owner_id) VALUES (1091, 'T', 101), (1092, 'T', 102), (1093, 'two things', 101);
SELECT count(crm.add_ticket_message(1093, 'one', 'in')), count(crm.add_ticket_message(1093, 'two', 'in'));
UPDATE crm.users SET active = false WHERE id = 101;
SELECT (crm.merge_accounts(52, 51)).owner_id AS account, (crm.merge_contacts(62, 61)).owner_id AS contact, (crm.merge_leads(72, 71)).owner_id AS lead,
       (crm.merge_tickets(1092, 1091)).owner_id AS ticket;
SELECT id AS q, owner_id AS quote FROM crm.quote_opportunity(81, '{"valid_until": "2030-01-01"}') \gset
SELECT :quote AS quote;
SELECT owner_id AS split FROM crm.split_ticket(1093, ARRAY[(SELECT id FROM crm.ticket_messages WHERE ticket_id = 1093 AND body = 'two')], 'two');
SELECT crm.transfer_ticket(1091, owner_id => 101);
SELECT crm.open_ticket('x', owner_id => 101);
-- every function of ours that makes a record with an owner of another one goes through one door
SELECT p.proname
FROM pg_proc AS p CROSS JOIN LATERAL regexp_matches(p.prosrc, 'crm\.carry_row\((?:crm\.given_row\()?NULL::crm\.(\w+)', 'g') AS m
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace)
  AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = ('crm.' || m[1])::regclass AND a.attname = 'owner_id');

-- ---- of several companies of one name none is taken by chance; escalation goes past queues that are off ----

INSERT INTO crm.accounts (id, name, country) VALUES (55, 'Big Co', 'DE'), (56, 'big co', 'FR');
INSERT INTO crm.leads (id, name, company, country) VALUES (75, 'L5', 'Big Co', 'US'), (76, 'L6', 'Big Co', 'FR'), (77, 'L7', 'Big Co', 'US');
\set VERBOSITY default
SELECT account_id FROM crm.convert_lead(75);
\set VERBOSITY terse
SELECT account_id FROM crm.convert_lead(76);
SELECT account_id FROM crm.convert_lead(77, account_id => 55);
INSERT INTO crm.queues (id, code, name, active) VALUES (31, 'third', 'Third', true), (32, 'second', 'Second', false), (33, 'last', 'Last', false);
UPDATE crm.queues SET escalates_to_id = CASE id WHEN 32 THEN 31 WHEN 22 THEN 32 WHEN 31 THEN 33 END WHERE id IN (22, 31, 32);
INSERT INTO crm.sla_policies (id, name) VALUES (1, 'p');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (1, 'resolution', 3600, 'calendar');
INSERT INTO crm.escalation_steps (policy_id, metric, position, name, percent, action) VALUES (1, 'resolution', 1, 'due', 100, 'move_queue');
INSERT INTO crm.tickets (id, subject, queue_id, created_at) VALUES (1021, 'e', 22, now() - interval '2 hours'), (1022, 'e', 31, now() - interval '2 hours');
SELECT crm.escalate();
SELECT id, queue_id FROM crm.tickets WHERE id IN (1021, 1022) ORDER BY id;

-- ---- a retired choice blocks no import of other columns ----

INSERT INTO crm.custom_fields (table_name, name, type, choices) VALUES ('accounts', 'tier', 'choice', '{gold,silver}'), ('accounts', 'likes', 'choices', '{a,b,c}');
INSERT INTO crm.custom_fields (table_name, name, type) VALUES ('accounts', 'more', 'text');
INSERT INTO crm.accounts (name, custom, source_system, source_id) VALUES ('R1', '{"tier": "gold", "likes": ["a", "b"], "more": "x"}', 'r', '1'),
    ('R2', '{"tier": "silver", "likes": ["c"]}', 'r', '2');
UPDATE crm.custom_fields SET choices = '{silver}' WHERE name = 'tier';
UPDATE crm.custom_fields SET choices = '{b,c}' WHERE name = 'likes';
CREATE TABLE pg_temp.rows (k text, c text, t text, l text);
INSERT INTO pg_temp.rows VALUES ('1', 'Rome', 'Gold', 'b; a'), ('2', 'Paris', 'gold', 'c'), ('3', 'Bern', 'silver', 'a');
SELECT rows_inserted, rows_updated, rows_bad FROM crm.import_table('rows', '{"target": "accounts", "source_system": "r", "key": "k",
    "columns": {"name": "c", "city": "c", "custom.tier": "t", "custom.likes": "l"}}');
SELECT line, column_name, value FROM crm.import_rows WHERE state = 'bad' ORDER BY line;
SELECT city, custom FROM crm.accounts WHERE source_system = 'r' ORDER BY source_id;
-- a field that is required since is no reason to refuse a change of another column
INSERT INTO crm.custom_fields (table_name, name, type, required) VALUES ('accounts', 'vat', 'text', true);
UPDATE pg_temp.rows SET c = 'Oslo', t = 'gold', l = 'a; b';
SELECT rows_inserted, rows_updated, rows_bad FROM crm.import_table('rows', '{"target": "accounts", "source_system": "r", "key": "k", "columns": {"name": "c", "city": "c"}}');
SELECT city, custom FROM crm.accounts WHERE source_system = 'r' ORDER BY source_id;
SELECT column_name, reason FROM crm.import_rows WHERE state = 'bad' AND batch_id = (SELECT max(id) FROM crm.import_batches);

-- ---- messages of a migration: what is not said comes from the ticket and from the direction ----

INSERT INTO crm.tickets (subject, channel, source_system, source_id, created_at) VALUES ('m', 'phone', 'm', 't1', '2026-03-02 09:00Z');
CREATE TABLE pg_temp.said ("Message ID" text, "Ticket ID" text, "Body" text, "Direction" text, "Sent at" text);
INSERT INTO pg_temp.said VALUES ('m1', 't1', 'it is broken', 'in', '2026-03-02 09:00'), ('m2', 't1', 'we mend it', 'out', '2026-03-02 09:10');
SELECT rows_inserted, problems FROM crm.import_table('said', crm.suggest_mapping('said', 'ticket_messages', 'm'));
SELECT channel, direction, author_kind FROM crm.ticket_messages WHERE source_system = 'm' ORDER BY source_id;
SELECT first_response_at AT TIME ZONE 'UTC' AS first_response FROM crm.tickets WHERE source_system = 'm';
ROLLBACK;
