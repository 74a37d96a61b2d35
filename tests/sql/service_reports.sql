-- Reports on service, by figures worked out by hand; and what tickets tell their clocks
BEGIN;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
INSERT INTO crm.users (id, name) VALUES (9601, 'Ada'), (9602, 'Ben');
INSERT INTO crm.products (id, name) VALUES (9601, 'Pump');
INSERT INTO crm.contacts (id, name) VALUES (9601, 'Mina');
INSERT INTO crm.queues (id, code, name, routing_method) VALUES (9601, 'help', 'Help', 'manual'), (9602, 'desk', 'Desk', 'manual');
INSERT INTO crm.sla_policies (id, name) VALUES (9601, 'all');
INSERT INTO crm.sla_targets (policy_id, metric, priority, seconds, time_basis, pause_stages) VALUES
    (9601, 'first_response', NULL, 3600, 'calendar', '{}'),
    (9601, 'resolution', NULL, 36000, 'calendar', '{on_hold}'), (9601, 'resolution', 'urgent', 7200, 'calendar', '{on_hold}');

-- three solved tickets of the past: 2 h, 4 h (late for an urgent one) and 10 h (in time to the second); one open and over
SELECT crm.begin_history('test');
INSERT INTO crm.tickets (id, subject, priority, queue_id, owner_id, product_id, created_at, stage_id, stage_entered_at, closed_at, first_response_at, reopen_count, transfer_count)
SELECT v.id, 'x', v.priority, v.queue, v.owner, v.product, v.at, s.id, v.at + v.took, v.at + v.took, v.at + v.answer, v.reopened, v.moved
FROM crm.stages s, (VALUES
    (960001, 'normal', 9601, 9601, 9601, '2026-03-02 09:00'::timestamptz, '2 h'::interval, '30 min'::interval, 0, 0),
    (960002, 'urgent', 9601, 9602, NULL, '2026-03-02 10:00', '4 h', '90 min', 1, 2),
    (960003, 'normal', 9602, 9602, 9601, '2026-03-03 10:00', '10 h', NULL, 0, 0)) AS v (id, priority, queue, owner, product, at, took, answer, reopened, moved)
WHERE s.code = 'resolved' AND s.pipeline_id = (SELECT id FROM crm.pipelines WHERE code = 'support');
INSERT INTO crm.tickets (id, subject, priority, queue_id, created_at) VALUES (960004, 'x', 'normal', 9601, '2026-03-04 10:00');
INSERT INTO crm.tickets (id, subject, priority, queue_id, created_at) VALUES (960005, 'x', 'high', 9601, now() - interval '3 days');

SELECT day, queue, priority, opened, resolved FROM crm_analytics.ticket_volumes WHERE day < '2026-04-01' ORDER BY 1, 2, 3;
SELECT queue, priority, open, unassigned, waiting, under_1_day, days_1_to_7, days_7_to_30, over_30_days FROM crm_analytics.ticket_backlog ORDER BY 1, 2;
SELECT key, tickets, answered, median_first_response_minutes AS answer, resolved, median_resolution_hours AS median, p90_resolution_hours AS p90, reopened, reopen_rate, transfer_rate, still_open
FROM crm_analytics.ticket_performance('all', '2026-03-01', '2026-04-01');
SELECT key, tickets, resolved, median_resolution_hours AS median, reopen_rate FROM crm_analytics.ticket_performance('agent', '2026-03-01', '2026-04-01');
SELECT key, tickets, resolved FROM crm_analytics.ticket_performance('product', '2026-03-01', '2026-04-01');
SELECT * FROM crm_analytics.ticket_performance('colour', '2026-03-01', '2026-04-01');
SELECT * FROM crm_analytics.sla_compliance_by('all', '2026-03-01', '2026-04-01');
SELECT * FROM crm_analytics.sla_compliance_by('priority', '2026-03-01', '2026-04-01') WHERE metric = 'resolution';
SELECT * FROM crm_analytics.sla_compliance_by('queue', '2026-03-01', '2026-04-01') WHERE metric = 'resolution';
SELECT * FROM crm_analytics.sla_compliance_by('agent', '2026-03-01', '2026-04-01') WHERE metric = 'resolution';
SELECT * FROM crm_analytics.sla_compliance_by('product', '2026-03-01', '2026-04-01') WHERE metric = 'resolution';
SELECT * FROM crm_analytics.sla_compliance_by('colour', '2026-03-01', '2026-04-01');
SELECT set_config('crm.history_reason', '', true);
SELECT set_config('crm.bypass_reason', '', true);

-- commands tell the clocks: an answer, not a note or a machine; a pause; solving; a late word of thanks; reopening; merging
SELECT k.id > 0 AS opened FROM crm.open_ticket('clocks', contact_id => 9601, queue => 'help', owner_id => 9601) k;
SELECT max(id) AS t FROM crm.tickets WHERE subject = 'clocks' \gset
CREATE TEMP VIEW clock AS SELECT metric, cycle, state, breached FROM crm.sla_clock_status WHERE subject_type = 'tickets' AND subject_id = (SELECT max(id) FROM crm.tickets WHERE subject = 'clocks') ORDER BY 1, 2;
TABLE clock;
SELECT (crm.add_ticket_message(:t, 'a note', 'internal')).direction, (crm.add_ticket_message(:t, 'away', 'out', author_kind => 'automatic')).author_kind;
TABLE clock;
SELECT (crm.add_ticket_message(:t, 'an answer', 'out', author_user_id => 9601)).author_kind;
SELECT (crm.move_ticket(:t, 'waiting')).closed_at;
TABLE clock;
SELECT (crm.move_ticket(:t, 'open')).closed_at;
SELECT (crm.resolve_ticket(:t)).reopen_count;
TABLE clock;
SELECT (crm.reopen_ticket(:t)).reopen_count;
TABLE clock;
SELECT event, stage FROM crm.sla_events WHERE subject_type = 'tickets' AND subject_id = :t ORDER BY id;
UPDATE crm.tickets SET priority = 'urgent' WHERE id = :t;
SELECT target_seconds FROM crm.sla_clocks WHERE subject_type = 'tickets' AND subject_id = :t AND metric = 'resolution';
SELECT (crm.merge_tickets(:t, 960005)).id;
TABLE clock;
SELECT event FROM crm.sla_events WHERE subject_type = 'tickets' AND subject_id = 960005 ORDER BY id;

-- satisfaction: the result of each kind
INSERT INTO crm.surveys (id, code, kind) VALUES (9601, 'csat', 'csat'), (9602, 'nps', 'nps'), (9603, 'ces', 'ces');
INSERT INTO crm.survey_responses (survey_id, sent_at, score, answered_at)
SELECT s.id, '2026-03-10', x.score, CASE WHEN x.score IS NOT NULL THEN '2026-03-11'::timestamptz END
FROM (VALUES (9601, '{5,4,3,1,NULL}'::int[]), (9602, '{10,9,8,7,6,0,10,NULL}'), (9603, '{7,5,4,1}')) AS s (id, scores), unnest(s.scores) AS x (score);
INSERT INTO crm.survey_responses (survey_id, score, answered_at) VALUES (9601, 6, now());
SELECT survey, month, sent, answered, response_rate, mean_score, satisfied_share, nps FROM crm_analytics.satisfaction ORDER BY 1;

-- fairness
INSERT INTO crm.assignments (subject_table, subject_id, user_id, queue_id, method, reason, assigned_at)
SELECT 'tickets', i, CASE WHEN i <= 3 THEN 9601 ELSE 9602 END, 9601, 'round_robin', 'assigned', now() FROM generate_series(1, 4) AS i;
SELECT user_id, assigned, share, even_share, ratio FROM crm_analytics.routing_fairness ORDER BY 1;
SELECT ticket_id, queue, reason FROM crm_analytics.unassigned_tickets ORDER BY 1;
ROLLBACK;
