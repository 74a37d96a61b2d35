-- Escalation: ladders of steps, each done once
BEGIN;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';

SELECT (crm.define_calendar('esc_c1', '{"zone": "UTC", "weekly": {"mon": [["09:00","17:00"]], "tue": [["09:00","17:00"]], "wed": [["09:00","17:00"]], "thu": [["09:00","17:00"]], "fri": [["09:00","17:00"]]}}')).code;
SELECT (crm.define_calendar('esc_long', '{"zone": "UTC", "weekly": {"mon": [["08:00","18:00"]], "tue": [["08:00","18:00"]], "wed": [["08:00","18:00"]], "thu": [["08:00","18:00"]], "fri": [["08:00","18:00"]]}}')).code;
INSERT INTO crm.users (id, name) VALUES (9401, 'Boss'), (9404, 'Spare');
INSERT INTO crm.users (id, name, manager_id) VALUES (9402, 'Ada', 9401), (9403, 'Ben', 9401);
INSERT INTO crm.teams (id, name, lead_id) VALUES (9401, 'Desk', 9403);
INSERT INTO crm.team_memberships (team_id, user_id, valid) VALUES (9401, 9402, '[2020-01-01,)'), (9401, 9403, '[2020-01-01,)');
INSERT INTO crm.queues (id, code, name, team_id, routing_method) VALUES (9402, 'second', 'Second', NULL, 'manual'), (9401, 'first', 'First', 9401, 'manual');
UPDATE crm.queues SET escalates_to_id = 9402 WHERE id = 9401;
INSERT INTO crm.sla_policies (id, subject_type, name, calendar_id) SELECT 9401, 'tickets', 'all', id FROM crm.calendars WHERE code = 'esc_c1';
INSERT INTO crm.sla_policies (id, subject_type, name, calendar_id) SELECT 9402, 'x:calls', 'calls', id FROM crm.calendars WHERE code = 'esc_long';
INSERT INTO crm.sla_targets (policy_id, metric, priority, seconds, pause_stages) VALUES
    (9401, 'resolution', NULL, 8 * 3600, '{on_hold}'), (9401, 'resolution', 'urgent', 2 * 3600, '{on_hold}'), (9402, 'resolution', NULL, 4 * 3600, '{}');
INSERT INTO crm.escalation_steps (id, policy_id, metric, position, name, percent, recipients) VALUES
    (9401, 9401, 'resolution', 1, 'half', 50, '{owner}'),
    (9402, 9401, 'resolution', 2, 'three quarters', 75, '{owner,manager}'),
    (9403, 9401, 'resolution', 3, 'due', 100, '{team_lead,user:9404}');
INSERT INTO crm.escalation_steps (id, policy_id, metric, position, name, offset_seconds, repeat_seconds, repeat_max, recipients) VALUES
    (9404, 9401, 'resolution', 4, 'late', 3600, 7200, 3, '{manager}');
-- what it is for is said by its policy
INSERT INTO crm.escalation_steps (id, policy_id, metric, name, offset_seconds, recipients) VALUES
    (9405, 9402, 'resolution', 'an hour before', -3600, '{user:9404}');
CREATE TEMP VIEW fired AS
SELECT f.subject_id AS ticket, s.name, f.repeat_no AS rep, f.scheduled_at, f.fired_at, f.collapsed AS missed, f.outcome, f.detail
FROM crm.escalation_firings f LEFT JOIN crm.escalation_steps s ON s.id = f.step_id ORDER BY f.id;
CREATE TEMP VIEW told AS
SELECT subject_id AS ticket, payload ->> 'step' AS step, payload -> 'recipients' AS recipients, payload ->> 'missed' AS missed
FROM crm.events WHERE kind = 'escalation.notify' ORDER BY id;

-- one hour before, in business time: a Monday 17:00 promise of four hours is due Tuesday 11:00, the step at 10:00
SELECT e.event FROM crm.record_sla_event('x:calls', 1, 'opened', '2026-03-02 17:00', '{}', '{}') e;
SELECT c.due_at, c.escalate_at FROM crm.sla_clocks c WHERE c.subject_type = 'x:calls';
SELECT crm.escalate('2026-03-03 09:59:59.999999'), crm.escalate('2026-03-03 10:00'), crm.escalate('2026-03-03 10:00'), crm.escalate('2026-03-04 10:00');
SELECT subject_table, subject_id, payload - 'firing_id' AS payload FROM crm.events WHERE kind = 'escalation.notify';
DELETE FROM crm.events;

-- a ladder on a ticket: 4 h, 6 h, 8 h, an hour later, and every two hours after that
INSERT INTO crm.tickets (id, subject, created_at, owner_id, team_id, queue_id) VALUES (940001, 'one', '2026-03-02 09:00', 9402, 9401, 9401);
SELECT metric, step_id, repeat_no, scheduled_at FROM crm.escalation_schedule('tickets', 940001);
SELECT crm.escalate('2026-03-02 12:59'), crm.escalate('2026-03-02 13:00'), crm.escalate('2026-03-02 15:30');
SELECT ticket, name, rep, scheduled_at, fired_at, missed FROM fired WHERE ticket = 940001;
SELECT * FROM told;
-- after downtime: each step once, with its own time and ours; missed repeats are one
SELECT crm.escalate('2026-03-04 09:30');
SELECT ticket, name, rep, scheduled_at, fired_at, missed FROM fired WHERE ticket = 940001;
SELECT * FROM told;
SELECT crm.escalate('2026-03-30 09:30'), crm.escalate('2026-04-30 09:30');
SELECT ticket, name, rep, scheduled_at, missed FROM fired WHERE ticket = 940001 OFFSET 4;
SELECT escalate_at, escalated FROM crm.sla_clocks WHERE subject_type = 'tickets' AND subject_id = 940001;
SELECT * FROM crm.escalation_schedule('tickets', 940001);

-- a pause moves the steps; what was met meanwhile is dropped
INSERT INTO crm.tickets (id, subject, created_at, owner_id) VALUES (940002, 'two', '2026-03-09 09:00', 9402), (940003, 'three', '2026-03-09 09:00', 9402);
SELECT e.event FROM crm.record_sla_event('tickets', 940002, 'stage', '2026-03-09 10:00', '{"stage": "waiting", "stage_type": "on_hold"}') e;
SELECT escalate_at FROM crm.sla_clocks WHERE subject_id = 940002;
SELECT e.event FROM crm.record_sla_event('tickets', 940003, 'resolved', '2026-03-09 12:00', '{}') e;
SELECT crm.escalate('2026-03-09 16:00');
SELECT e.event FROM crm.record_sla_event('tickets', 940002, 'stage', '2026-03-10 10:00', '{"stage": "open", "stage_type": "open"}') e;
SELECT escalate_at FROM crm.sla_clocks WHERE subject_id = 940002;
SELECT crm.escalate('2026-03-10 12:59'), crm.escalate('2026-03-10 13:00');
SELECT ticket, name, scheduled_at FROM fired WHERE ticket IN (940002, 940003);

-- a holiday declared for a day after the due instant moves what comes after it
INSERT INTO crm.tickets (id, subject, created_at, owner_id) VALUES (940004, 'four', '2026-03-12 09:00', 9402);
SELECT crm.escalate('2026-03-12 17:00');
SELECT c.due_at, c.escalate_at FROM crm.sla_clocks c WHERE subject_id = 940004;
SELECT n FROM crm.calendars c, crm.import_holidays(c.id, 'test', '[{"date": "2026-03-13"}]') n WHERE c.code = 'esc_c1';
SELECT c.due_at, c.escalate_at FROM crm.sla_clocks c WHERE subject_id = 940004;

-- another priority moves what has not been done; what has been done is not done again
INSERT INTO crm.tickets (id, subject, created_at, owner_id) VALUES (940005, 'five', '2026-04-06 09:00', 9402);
SELECT crm.escalate('2026-04-06 13:00');
SELECT e.event FROM crm.record_sla_event('tickets', 940005, 'changed', '2026-04-06 13:30', '{"priority": "urgent"}') e;
SELECT c.due_at, c.escalate_at, c.due_before_change FROM crm.sla_clocks c WHERE subject_id = 940005;
SELECT crm.escalate('2026-04-06 13:30');
SELECT ticket, name, rep, scheduled_at FROM fired WHERE ticket = 940005;
-- switched off: nothing comes any more
SELECT e.event FROM crm.record_sla_event('tickets', 940005, 'changed', '2026-04-06 13:40', '{"policy_id": null}') e;
SELECT c.due_at, c.escalate_at FROM crm.sla_clocks c WHERE subject_id = 940005;

-- merged and deleted tickets
INSERT INTO crm.tickets (id, subject, created_at) VALUES (940006, 'six', '2026-04-07 09:00'), (940007, 'seven', '2026-04-07 10:00'), (940008, 'eight', '2026-04-07 10:00');
SELECT (crm.merge_tickets(940007, 940006)).id;
DELETE FROM crm.tickets WHERE id = 940008;
SELECT subject_id, state, escalate_at IS NOT NULL AS escalates FROM crm.sla_clocks WHERE subject_id BETWEEN 940006 AND 940008 ORDER BY 1;
SELECT (crm.resolve_ticket(940006)).id;

-- what steps can do: reassign, raise the priority, move on, tag, make a task; and only under a condition
UPDATE crm.escalation_steps SET active = false;
INSERT INTO crm.escalation_steps (id, metric, position, name, percent, action, recipients, params, condition) VALUES
    (9411, 'resolution', 1, 'tag', 10, 'tag', '{}', '{"tag": "slow"}', NULL),
    (9412, 'resolution', 2, 'task', 20, 'create_task', '{manager}', '{"subject": "Look at it", "due_in_seconds": 3600}', NULL),
    (9413, 'resolution', 3, 'never', 25, 'notify', '{owner}', '{}', '$.priority == "low"'),
    (9414, 'resolution', 4, 'lead', 30, 'reassign', '{team_lead,manager}', '{}', NULL),
    (9415, 'resolution', 5, 'queue', 40, 'move_queue', '{}', '{}', NULL),
    (9416, 'resolution', 6, 'priority', 50, 'raise_priority', '{}', '{}', NULL);
INSERT INTO crm.tickets (id, subject, created_at, owner_id, team_id, queue_id) VALUES (940011, 'eleven', '2026-05-04 09:00', 9402, 9401, 9401);
SELECT crm.escalate('2026-05-04 09:48'), crm.escalate('2026-05-04 11:24');
SELECT priority, queue_id, owner_id, tags FROM crm.tickets WHERE id = 940011;
SELECT subject, related_table, related_id, owner_id FROM crm.activities WHERE related_id = 940011;
SELECT crm.escalate('2026-05-04 13:00');
SELECT priority, queue_id, owner_id, tags FROM crm.tickets WHERE id = 940011;
SELECT ticket, name, scheduled_at, outcome, detail - 'task' AS detail FROM fired WHERE ticket = 940011;

-- a step that cannot be done is written down and does not hold up the others
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON crm.tickets FOR EACH ROW WHEN (OLD.id = 940012) EXECUTE FUNCTION pg_temp.refuse();
INSERT INTO crm.tickets (id, subject, created_at) VALUES (940012, 'twelve', '2026-06-01 09:00'), (940013, 'thirteen', '2026-06-01 09:00');
SELECT crm.escalate('2026-06-01 09:48'), crm.escalate('2026-06-01 09:48');
SELECT ticket, name, outcome, detail FROM fired WHERE ticket IN (940012, 940013) ORDER BY ticket, name;
DROP TRIGGER refuse ON crm.tickets;

-- a smaller batch, the oldest first
UPDATE crm.escalation_steps SET active = false;
UPDATE crm.escalation_steps SET active = true WHERE id = 9401;
DELETE FROM crm.tickets;
INSERT INTO crm.tickets (id, subject, created_at) SELECT 940020 + i, 'many', '2026-07-06 09:00'::timestamptz + i * interval '1 minute' FROM generate_series(1, 5) AS i;
SELECT crm.next_escalation_at();
SELECT crm.escalate('2026-07-06 17:00', 2);
SELECT ticket FROM fired WHERE ticket > 940020;
SELECT crm.escalate('2026-07-06 17:00', 2), crm.escalate('2026-07-06 17:00', 2), crm.escalate('2026-07-06 17:00', 2);
SELECT ticket FROM fired WHERE ticket > 940020;
SELECT crm.next_escalation_at();

-- refused
INSERT INTO crm.escalation_steps (metric, name) VALUES ('resolution', 'x');
INSERT INTO crm.escalation_steps (metric, name, percent, offset_seconds) VALUES ('resolution', 'x', 50, 0);
INSERT INTO crm.escalation_steps (metric, name, percent) VALUES ('resolution', 'x', 0);
INSERT INTO crm.escalation_steps (metric, name, percent) VALUES ('resolution', 'x', 'NaN');
INSERT INTO crm.escalation_steps (metric, name, offset_seconds) VALUES ('resolution', 'x', 'infinity');
INSERT INTO crm.escalation_steps (metric, name, percent, repeat_seconds) VALUES ('resolution', 'x', 100, 3600);
INSERT INTO crm.escalation_steps (metric, name, percent, repeat_seconds, repeat_max) VALUES ('resolution', 'x', 100, 0, 5);
INSERT INTO crm.escalation_steps (metric, name, percent, repeat_seconds, repeat_max) VALUES ('resolution', 'x', 100, 60, 100000);
INSERT INTO crm.escalation_steps (metric, name, percent, recipients) VALUES ('resolution', 'x', 100, '{boss}');
INSERT INTO crm.escalation_steps (metric, name, percent, recipients) VALUES ('resolution', 'x', 100, '{routing}');
INSERT INTO crm.escalation_steps (metric, name, percent, action) VALUES ('resolution', 'x', 100, 'tag');
INSERT INTO crm.escalation_steps (metric, name, percent, action, recipients) VALUES ('resolution', 'x', 100, 'reassign', '{}');
INSERT INTO crm.escalation_steps (subject_type, metric, name, percent, action) VALUES ('x:calls', 'resolution', 'x', 100, 'raise_priority');
INSERT INTO crm.escalation_steps (metric, name, percent) VALUES ('happiness', 'x', 100);
INSERT INTO crm.escalation_steps (subject_type, policy_id, metric, name, percent) VALUES ('tickets', 9402, 'resolution', 'x', 100);
UPDATE crm.sla_policies SET subject_type = 'tickets' WHERE id = 9402;
UPDATE crm.queues SET escalates_to_id = 9401 WHERE id = 9402;
SELECT crm.escalate('infinity');
SELECT crm.escalate(now(), 0);
ROLLBACK;
