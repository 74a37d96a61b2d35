-- Promises of any table, names that are checked, escalations that reach somebody or say so, surveys, reminders.
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
BEGIN;
\i :helper
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
INSERT INTO crm.users (id, name) VALUES (9801, 'Ada'), (9802, 'Ben'), (9803, 'Cem');
INSERT INTO crm.teams (id, name, lead_id) VALUES (9801, 'Desk', 9803);
INSERT INTO crm.queues (id, code, name, team_id, routing_method) VALUES (9801, 'desk', 'Desk', 9801, 'manual'), (9802, 'lone', 'Lone', NULL, 'manual');
INSERT INTO crm.contacts (id, name) VALUES (9801, 'Mina'), (9802, 'Omid');

-- deals have clocks: opened, moved, won, reopened by hand, deleted
INSERT INTO crm.sla_policies (id, name, subject_type) VALUES (9801, 'deals', 'opportunities'), (9802, 'tickets', 'tickets');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (9801, 'resolution', 3600, 'calendar'), (9802, 'resolution', 3600, 'calendar');
INSERT INTO crm.opportunities (id, name, contact_id, owner_id, created_at) VALUES (9801, 'won', 9801, 9801, now() - interval '10 minutes'), (9802, 'lost', 9801, 9801, now()), (9803, 'gone', 9802, 9801, now());
SELECT (crm.move_opportunity(9801, 'won')).id, (crm.move_opportunity(9802, 'lost', '{"loss_reason": "price"}')).id;
DELETE FROM crm.opportunities WHERE id = 9803;
SELECT c.subject_id, c.metric, c.state FROM crm.sla_clocks AS c WHERE c.subject_type = 'opportunities' ORDER BY 1;
-- a first response of a lead that is put right
INSERT INTO crm.sla_policies (id, name, subject_type) VALUES (9803, 'leads', 'leads');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (9803, 'first_response', 3600, 'calendar');
INSERT INTO crm.leads (id, name, created_at, first_response_at) VALUES (9801, 'x', now() - interval '3 hours', now() - interval '1 hour');
SELECT c.state FROM crm.sla_clocks AS c WHERE c.subject_type = 'leads' AND c.subject_id = 9801;
UPDATE crm.leads SET first_response_at = now() - interval '150 minutes' WHERE id = 9801;
SELECT c.state FROM crm.sla_clocks AS c WHERE c.subject_type = 'leads' AND c.subject_id = 9801;
UPDATE crm.leads SET first_response_at = NULL WHERE id = 9801;
SELECT c.state FROM crm.sla_clocks AS c WHERE c.subject_type = 'leads' AND c.subject_id = 9801;

-- names are checked wherever they are written, also later
INSERT INTO crm.sla_policies (name, subject_type) VALUES ('x', 'opportunity');
INSERT INTO crm.sla_policies (name, subject_type) VALUES ('x', 'accounts');
UPDATE crm.sla_policies SET subject_type = 'deals' WHERE id = 9801;
INSERT INTO crm.sla_targets (policy_id, metric, seconds) VALUES (9801, 'reaction', 60);
INSERT INTO crm.escalation_steps (subject_type, metric, name, percent) VALUES ('opportunity', 'resolution', 'x', 100);
INSERT INTO crm.escalation_steps (subject_type, metric, name, percent) VALUES ('tickets', 'reaction', 'x', 100);
SELECT crm.record_sla_event('ticket', 1, 'opened');
SELECT crm.record_sla_event('tickets', 1, 'answered');
SELECT crm.record_sla_event('tickets', 1, 'paused', now(), '{"metric": "reaction"}');
SELECT e.event FROM crm.record_sla_event('machine:press', 1, 'opened') AS e;
INSERT INTO crm.surveys (code, kind, on_event) VALUES ('s', 'csat', 'ticket.solved');
SELECT event FROM crm.survey_events() ORDER BY 1;

-- nobody meant: whoever leads the queue's team, their manager, the managers, the admins; or it is said that nobody was reached
INSERT INTO crm.escalation_steps (id, policy_id, metric, position, name, percent, recipients) VALUES (9801, 9802, 'resolution', 1, 'due', 100, '{owner,manager}');
INSERT INTO crm.tickets (id, subject, queue_id, owner_id, created_at) VALUES (9801, 'led', 9801, NULL, now() - interval '2 hours'), (9802, 'nobody''s', 9802, NULL, now() - interval '2 hours'),
    (9803, 'somebody''s', 9801, 9801, now() - interval '2 hours');
UPDATE crm.users SET active = false WHERE access IN ('manager', 'admin');
SELECT crm.escalate();
SELECT f.subject_id, f.outcome FROM crm.escalation_firings AS f ORDER BY 1;
SELECT e.subject_id, e.kind, e.payload -> 'recipients' AS recipients, e.payload -> 'instead_of' AS instead_of FROM crm.events AS e WHERE e.kind LIKE 'escalation.%' ORDER BY 1;
UPDATE crm.users SET active = false, manager_id = 9802 WHERE id = 9803;
INSERT INTO crm.tickets (id, subject, queue_id, created_at) VALUES (9804, 'led by one who left', 9801, now() - interval '2 hours');
SELECT crm.escalate();
UPDATE crm.users SET access = 'manager' WHERE id = 9801;
INSERT INTO crm.tickets (id, subject, queue_id, created_at) VALUES (9805, 'nobody''s', 9802, now() - interval '2 hours');
SELECT crm.escalate();
SELECT e.subject_id, e.kind, e.payload -> 'recipients' AS recipients FROM crm.events AS e WHERE e.kind LIKE 'escalation.%' AND e.subject_id > 9803 ORDER BY 1;
-- the same for what changes the record
UPDATE crm.users SET access = 'agent' WHERE id = 9801;
INSERT INTO crm.escalation_steps (id, policy_id, metric, position, name, percent, action, recipients) VALUES (9802, 9802, 'resolution', 2, 'to whom', 110, 'reassign', '{team_lead}');
INSERT INTO crm.tickets (id, subject, queue_id, created_at) VALUES (9806, 'x', 9802, now() - interval '2 hours');
SELECT crm.escalate() >= 0 AS done;
SELECT f.step_id, f.outcome, f.detail FROM crm.escalation_firings AS f WHERE f.subject_id = 9806 ORDER BY 1;
SELECT count(*) FROM crm.events AS e WHERE e.kind = 'escalation.nobody' AND e.subject_id = 9806;
UPDATE crm.escalation_steps SET active = false;

-- surveys: each event one; rest from the sending; nothing for what is off, gone, merged or open again
INSERT INTO crm.surveys (id, code, kind, on_event, delay, rest_period) VALUES (9801, 'later', 'csat', 'ticket.resolved', '1 day', '10 days'), (9802, 'deal', 'nps', 'opportunities.won', '0', '0');
INSERT INTO crm.tickets (id, subject, contact_id) SELECT 9810 + g, 's', CASE WHEN g < 3 THEN 9801 ELSE 9802 END FROM generate_series(1, 6) AS g;
SELECT count(crm.resolve_ticket(k.id)) FROM crm.tickets AS k WHERE k.id BETWEEN 9811 AND 9816;
SELECT r.subject_id, r.contact_id FROM crm.survey_responses AS r ORDER BY 1;
SELECT k.closed_at IS NULL AS open_again FROM crm.reopen_ticket(9813) AS k;
DELETE FROM crm.tickets WHERE id = 9814;
SELECT k.id FROM crm.merge_tickets(9815, 9816) AS k;
SELECT crm.send_due_surveys(now() + interval '2 days') AS sent;
SELECT r.subject_id, r.sent_at IS NOT NULL AS sent, r.cancelled_because FROM crm.survey_responses AS r ORDER BY 1;
INSERT INTO crm.contacts (id, name) VALUES (9803, 'Eva');
INSERT INTO crm.tickets (id, subject, contact_id) VALUES (9817, 's', 9803);
UPDATE crm.surveys SET rest_period = '0' WHERE id = 9801;
SELECT count(crm.resolve_ticket(9817));
UPDATE crm.surveys SET active = false WHERE id = 9801;
SELECT crm.send_due_surveys(now() + interval '3 days') AS sent;
SELECT r.cancelled_because FROM crm.survey_responses AS r WHERE r.subject_id = 9817;
INSERT INTO crm.opportunities (id, name, contact_id) VALUES (9811, 'asked', 9801);
SET LOCAL ROLE regress_crm_admin;
SELECT (crm.move_opportunity(9811, 'won')).id;
RESET ROLE;
SELECT s.code, r.subject_table, r.sent_at IS NOT NULL AS sent FROM crm.survey_responses AS r JOIN crm.surveys AS s ON s.id = r.survey_id WHERE r.subject_id = 9811;
SELECT crm.send_survey('deal', 9801, 'deals', 1);

-- reminders: once, whoever asks how often; later again when put off; never for what is done
INSERT INTO crm.activities (id, kind, subject, owner_id, remind_at, done_at) VALUES (9801, 'task', 'call', 9801, now() - interval '1 minute', NULL), (9802, 'task', 'done', 9801, now() - interval '1 minute', now()),
    (9803, 'task', 'ahead', 9801, now() + interval '1 day', NULL), (9804, 'task', 'left', 9803, now() - interval '1 minute', NULL);
SELECT crm.next_reminder_at() <= now() AS due, crm.send_reminders(), crm.send_reminders();
SELECT crm.next_reminder_at() = now() + interval '1 day' AS ahead;
SELECT e.subject_id, e.payload -> 'recipients' AS recipients FROM crm.events AS e WHERE e.kind = 'activity.reminder' ORDER BY 1;
UPDATE crm.activities SET remind_at = now() + interval '2 hours' WHERE id = 9801;
SELECT crm.send_reminders(), crm.send_reminders(now() + interval '3 hours') AS put_off, crm.send_reminders(now() + interval '3 hours');
SELECT r.done >= 0 AS seeded FROM crm.run_maintenance('send_reminders') AS r;
-- another company's are its own
SET LOCAL crm.tenant = :'second';
INSERT INTO crm.users (id, name) VALUES (9891, 'Zoe');
INSERT INTO crm.activities (id, kind, subject, owner_id, remind_at) VALUES (9891, 'task', 'there', 9891, now());
SET LOCAL crm.tenant = :'first';
SELECT crm.send_reminders();
SELECT e.tenant_id = :second AS theirs FROM crm.events AS e WHERE e.kind = 'activity.reminder' AND e.subject_id = 9891;
ROLLBACK;
