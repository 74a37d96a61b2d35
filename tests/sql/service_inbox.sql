-- What comes in: whose it is, what it answers, and what a machine wrote; waiting, solved and switched-off places it comes to.
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
BEGIN;
\i :helper
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
INSERT INTO crm.users (id, name, email) VALUES (9601, 'Nina', 'Nina@Desk.example'), (9602, 'Reza', 'reza@desk.example');
UPDATE crm.users SET active = false WHERE id = 9602;
INSERT INTO crm.queues (id, code, name) VALUES (9601, 'in', 'In');
INSERT INTO crm.accounts (id, name) VALUES (9601, 'Orchard');
INSERT INTO crm.contacts (id, name, account_id) VALUES (9601, 'Mina', 9601), (9602, 'Omid', 9601), (9603, 'Eva', NULL);
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (9601, 'email', 'mina@orchard.example'), (9602, 'email', 'omid@orchard.example'), (9603, 'email', 'eva@else.example');
ALTER TABLE crm.tickets ALTER COLUMN id RESTART WITH 960001;
CREATE FUNCTION pg_temp.mail(body text, sender text, id text, answers text DEFAULT NULL, headers jsonb DEFAULT '{}', subject text DEFAULT 'Pump')
RETURNS text LANGUAGE sql AS $$
    SELECT coalesce((SELECT concat_ws(' ', m.ticket_id, m.direction, m.author_kind, 'contact', coalesce(m.author_contact_id::text, '-'), 'user', coalesce(m.author_user_id::text, '-'))
                     FROM crm.receive_message('mail', body, sender, subject, id, in_reply_to => answers, queue => 'in', headers => headers) AS m WHERE m.id IS NOT NULL), 'nothing') $$;
CREATE FUNCTION pg_temp.stage(ticket bigint) RETURNS text LANGUAGE sql AS $$
    SELECT s.code FROM crm.tickets AS k JOIN crm.stages AS s ON s.tenant_id = k.tenant_id AND s.id = k.stage_id WHERE k.id = ticket $$;

-- whose it is: the asker's, a colleague's, a stranger's, an agent's, one who left; in whatever spelling
SELECT pg_temp.mail('It is loud', 'Mina <mina@orchard.example>', '<a1@x>');
SELECT pg_temp.mail('For me too', 'Omid <OMID@orchard.example>', '<a2@x>', '<a1@x>') AS colleague, pg_temp.mail('Buy', 'eve@evil.example', '<a3@x>', '<a1@x>') AS stranger,
       pg_temp.mail('Oil it', '"Nina, desk" <nina@desk.EXAMPLE>', '<a4@x>', '<a1@x>') AS agent, pg_temp.mail('Or so', 'reza@desk.example', '<a5@x>', '<a1@x>') AS left_us;
SELECT k.first_response_at IS NOT NULL AS answered FROM crm.tickets AS k WHERE k.id = 960001;
SELECT c.author_contact_id FROM crm.add_ticket_message(960001, 'By hand, with an address', author_address => 'eva@else.example') AS c;
SELECT c.author_contact_id FROM crm.add_ticket_message(960001, 'By hand, with none') AS c;
-- an agent answers by the number in the headline; one who asks is an asker
SELECT pg_temp.mail('Better now?', 'nina@desk.example', '<a6@x>', NULL, '{}', 'Re: [#960001] Pump') AS by_number, pg_temp.mail('My chair', 'nina@desk.example', '<a7@x>') AS asks;
-- References are a list, the nearest last, with brackets or without, folded over lines
SELECT pg_temp.mail('x', 'mina@orchard.example', '<b1@x>', '<gone@x> <a1@x>') AS two, pg_temp.mail('x', 'mina@orchard.example', '<b2@x>', NULL, '{"references": "<a7@x>\r\n\t<a1@x>"}') AS header,
       pg_temp.mail('x', 'mina@orchard.example', '<b3@x>', 'a1@x, other@x') AS bare, pg_temp.mail('x', 'mina@orchard.example', '<b4@x>', NULL, '{"References": ["<a1@x>", "<gone@x>"]}') AS list,
       pg_temp.mail('x', 'mina@orchard.example', '<b5@x>', NULL, '{"In-Reply-To": "<a1@x>"}') AS answered, pg_temp.mail('x', 'mina@orchard.example', '<b6@x>', '<a1@x><gone@x>') AS glued;

-- a machine's mail opens nothing, wakes nothing, and is kept where it belongs
SELECT v.n, pg_temp.mail('Out of office', v.sender, '<c' || v.n || '@x>', NULL, v.headers::jsonb) FROM (VALUES
    (1, 'mina@orchard.example', '{"Auto-Submitted": "auto-replied"}'), (2, 'mina@orchard.example', '{"PRECEDENCE": "bulk"}'), (3, '<>', '{}'), (4, '', '{}'),
    (5, 'Mail Delivery System <MAILER-DAEMON@mx.example>', '{}'), (6, 'postmaster@mx.example', '{}'), (7, 'mina@orchard.example', '{"Return-Path": "<>"}'),
    (8, 'mina@orchard.example', '{"Content-Type": "multipart/report; report-type=delivery-status"}'), (9, 'mina@orchard.example', '{"X-Autoreply": "yes"}'),
    (10, 'mina@orchard.example', '{"Auto-Submitted": "no", "Return-Path": "<mina@orchard.example>", "Precedence": "first-class"}'), (11, NULL, '{}')) AS v (n, sender, headers) ORDER BY v.n;
SELECT e.payload ->> 'reason' AS reason, count(*) FROM crm.events AS e WHERE e.kind = 'message.ignored' GROUP BY 1 ORDER BY 1;
SELECT k.closed_at IS NOT NULL AS solved FROM crm.resolve_ticket(960001) AS k;
SELECT pg_temp.mail('Undeliverable', 'MAILER-DAEMON@mx.example', '<d1@x>', '<a4@x>') AS bounce, pg_temp.stage(960001);

-- waiting: the customer's answer ends it; a stranger's, a machine's and a note do not; a queue may want it to stay
SELECT pg_temp.mail('Which?', 'mina@orchard.example', '<e1@x>') AS asked \gset
SELECT max(id) AS t FROM crm.tickets \gset
SELECT count(crm.move_ticket(:t, 'waiting'));
SELECT pg_temp.mail('Buy', 'eve@evil.example', '<e2@x>', '<e1@x>'), pg_temp.stage(:t);
SELECT pg_temp.mail('Away', 'mina@orchard.example', '<e3@x>', '<e1@x>', '{"Auto-Submitted": "auto-replied"}'), pg_temp.stage(:t);
SELECT (crm.add_ticket_message(:t, 'still nothing', 'internal')).direction, pg_temp.stage(:t);
SELECT (crm.add_ticket_message(:t, 'sent before we asked', sent_at => now() - interval '1 day')).direction, pg_temp.stage(:t);
SELECT pg_temp.mail('The blue one', 'omid@orchard.example', '<e4@x>', '<e1@x>'), pg_temp.stage(:t);
SELECT count(crm.move_ticket(:t, 'on_hold'));
INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, body) VALUES (:t, 'web', 'in', 'customer', 'typed into the table');
SELECT pg_temp.stage(:t);
UPDATE crm.queues SET answer_resumes = false WHERE id = 9601;
SELECT count(crm.move_ticket(:t, 'waiting'));
SELECT pg_temp.mail('Or the red one', 'mina@orchard.example', '<e5@x>', '<e1@x>'), pg_temp.stage(:t);
UPDATE crm.queues SET answer_resumes = true WHERE id = 9601;
-- a process that allows no way back keeps the message all the same
INSERT INTO crm.transitions (pipeline_id, from_stage_id, to_stage_id)
SELECT k.pipeline_id, k.stage_id, s.id FROM crm.tickets AS k JOIN crm.stages AS s ON s.pipeline_id = k.pipeline_id AND s.code = 'resolved' WHERE k.id = :t;
UPDATE crm.pipelines SET strict_order = true WHERE id = (SELECT pipeline_id FROM crm.tickets WHERE id = :t);
SELECT pg_temp.mail('Green', 'mina@orchard.example', '<e6@x>', '<e1@x>') <> 'nothing' AS kept, pg_temp.stage(:t);
SELECT count(*) FROM crm.events AS e WHERE e.kind = 'ticket.resume_refused';
UPDATE crm.pipelines SET strict_order = false WHERE id = (SELECT pipeline_id FROM crm.tickets WHERE id = :t);
DELETE FROM crm.transitions;

-- late answers: one follow-up, in which they go on; when that is solved for long, the next one
SELECT max(id) AS before FROM crm.tickets \gset
SELECT count(crm.resolve_ticket(:t));
SELECT DISTINCT (crm.add_ticket_message(:t, 'late ' || n, sent_at => now() + interval '10 days')).ticket_id > :before AS follow_up FROM generate_series(1, 3) AS n;
SELECT count(*), min(id) AS f FROM crm.tickets WHERE follow_up_of_id = :t \gset
SELECT :count AS follow_ups;
SELECT (crm.resolve_ticket(:f)).follow_up_of_id = :t AS solved;
INSERT INTO crm.queues (id, code, name, reopen_window) VALUES (9604, 'patient', 'Patient', '20 days');
UPDATE crm.tickets SET queue_id = 9604 WHERE id = :f;
SELECT m.ticket_id = :f AS reopened FROM crm.add_ticket_message(:t, 'within the window of the follow-up', sent_at => now() + interval '11 days') AS m;
SELECT pg_temp.stage(:f);
SELECT m.ticket_id = :f AS same FROM crm.add_ticket_message(:t, 'and again', sent_at => now() + interval '30 days') AS m;
SELECT count(crm.resolve_ticket(:f));
SELECT m.ticket_id > :f AS next FROM crm.add_ticket_message(:t, 'much later', sent_at => now() + interval '60 days') AS m;
SELECT follow_up_of_id = :f AS of_the_follow_up FROM crm.tickets ORDER BY id DESC LIMIT 1;
SELECT count(*) AS tickets_more FROM crm.tickets WHERE id > :before;
-- merged follow-ups lead on
SELECT max(id) AS g FROM crm.tickets \gset
SELECT id AS other FROM crm.open_ticket('Other') \gset
SELECT count(crm.merge_tickets(:g, :other));
SELECT m.ticket_id = :other AS goes_on FROM crm.add_ticket_message(:t, 'much later, again', sent_at => now() + interval '60 days') AS m;

-- a queue that is off: the default queue, else the oldest in use, else none; never an error and never lost
INSERT INTO crm.queues (id, code, name, is_default) VALUES (9602, 'second', 'Second', false), (9603, 'third', 'Third', true);
UPDATE crm.queues SET active = false WHERE id = 9601;
CREATE FUNCTION pg_temp.place(id text, queue text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE m crm.ticket_messages := crm.receive_message('mail', 'x', 'mina@orchard.example', 'x', id, queue => queue);
BEGIN
    RETURN (SELECT coalesce(q.code, 'none') FROM crm.tickets AS k LEFT JOIN crm.queues AS q ON q.id = k.queue_id WHERE k.id = m.ticket_id); END $$;
SELECT pg_temp.place('<f1@x>', 'in');
UPDATE crm.queues SET is_default = false WHERE id = 9603;
SELECT pg_temp.place('<f2@x>', 'in');
UPDATE crm.queues SET active = false;
SELECT pg_temp.place('<f3@x>', 'in'), pg_temp.place('<f4@x>', NULL);
SELECT pg_temp.place('<f5@x>', 'nowhere');
UPDATE crm.queues SET active = true;

-- an ordinary agent's gateway does the same, and another company's mail stays there
SET LOCAL ROLE regress_crm_agent;
SELECT pg_temp.mail('Loud again', 'Mina <mina@orchard.example>', '<g1@x>') LIKE '%in customer contact 9601 user -' AS asked;
SELECT pg_temp.mail('Oil again', 'nina@desk.example', '<g2@x>', '<g1@x>') LIKE '%out agent contact - user 9601' AS answered;
SELECT pg_temp.mail('x', '<>', '<g3@x>');
RESET ROLE;
SET LOCAL crm.tenant = :'second';
SET LOCAL ROLE regress_crm_other;
SELECT m.ticket_id IS NOT NULL AS opened, m.author_contact_id, m.author_user_id
FROM crm.receive_message('mail', 'x', 'nina@desk.example', 'x', '<a1@x>', in_reply_to => '<a1@x>') AS m;
RESET ROLE;
SET LOCAL crm.tenant = :'first';
ROLLBACK;
