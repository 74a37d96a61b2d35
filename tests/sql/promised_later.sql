-- Promises made after the records: clocks start for what is open and was promised nothing, and count from then. What is opened again goes to nobody who left.
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL client_min_messages = error;
INSERT INTO crm.contacts (id, name) VALUES (9701, 'Mina');
INSERT INTO crm.opportunities (id, name, created_at) VALUES (9701, 'old', now() - interval '10 days'), (9702, 'won', now() - interval '10 days');
INSERT INTO crm.leads (id, name, created_at, first_response_at) VALUES (9701, 'answered', now() - interval '10 days', now() - interval '9 days'), (9702, 'not', now() - interval '10 days', NULL);
INSERT INTO crm.tickets (id, subject, contact_id, created_at) VALUES (9701, 'old', 9701, now() - interval '10 days');
SELECT count(crm.win_opportunity(9702));
INSERT INTO crm.sla_policies (id, name, subject_type, condition) VALUES (9701, 'deals', 'opportunities', NULL), (9702, 'leads', 'leads', NULL), (9703, 'tickets', 'tickets', NULL),
    (9704, 'none of them', 'opportunities', '$.name == "x"');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (9701, 'resolution', 3600, 'calendar'), (9702, 'first_response', 3600, 'calendar'),
    (9703, 'resolution', 3600, 'calendar'), (9704, 'resolution', 60, 'calendar');
SELECT v.s, v.i, c.metric, c.state, c.breached, c.policy_id, c.due_at - now() AS left FROM (VALUES ('opportunities', 9701), ('opportunities', 9702), ('leads', 9701), ('leads', 9702), ('tickets', 9701)) AS v(s, i)
LEFT JOIN LATERAL crm.clock_state(v.s, v.i, now()) AS c ON true ORDER BY v.s, v.i, c.metric;
-- off: nothing is promised to what comes meanwhile; on again: it is
UPDATE crm.sla_policies SET active = false WHERE id = 9701;
INSERT INTO crm.opportunities (id, name) VALUES (9703, 'meanwhile');
SELECT count(*) FROM crm.clock_state('opportunities', 9703, now());
UPDATE crm.sla_policies SET active = true WHERE id = 9701;
SELECT c.state, c.due_at - now() AS left FROM crm.clock_state('opportunities', 9703, now()) AS c;
-- a record that has a promise keeps it when a stricter policy comes before
INSERT INTO crm.sla_policies (id, name, subject_type, position) VALUES (9705, 'first', 'opportunities', -1);
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (9705, 'resolution', 60, 'calendar');
SELECT c.policy_id FROM crm.clock_state('opportunities', 9701, now()) AS c;
SELECT count(*) FROM crm.sla_clocks AS c CROSS JOIN LATERAL (SELECT count(*) AS n FROM crm.sla_fold(c.subject_type, c.subject_id, NULL, NULL, c.tenant_id) AS f
    WHERE f.metric = c.metric AND f.due_at IS NOT DISTINCT FROM c.due_at) AS f WHERE f.n <> 1;

-- opened again, by the function, by a move and by a plain update: to whoever does it, never back to who is away or gone
CREATE ROLE regress_reopener;
INSERT INTO crm.users (id, name) VALUES (9801, 'Away'), (9802, 'Gone'), (9803, 'Here');
SELECT count(crm.grant_access('regress_reopener', 'manager', 9803));
INSERT INTO crm.opportunities (id, name, owner_id) VALUES (9801, 'a', 9801), (9802, 'b', 9802), (9803, 'c', 9801), (9804, 'd', 9803);
SELECT count(crm.win_opportunity(i)) FROM generate_series(9801, 9804) AS i;
SELECT state FROM crm.hand_over(9801, 9803, ends_at => now() + interval '3 days');
UPDATE crm.users SET active = false WHERE id = 9802;
SET ROLE regress_reopener;
SELECT owner_id FROM crm.reopen_opportunity(9801);
SELECT owner_id FROM crm.move_opportunity(9802, 'qualification');
UPDATE crm.opportunities AS o SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.tenant_id = o.tenant_id AND s.pipeline_id = o.pipeline_id AND s.code = 'qualification') WHERE o.id = 9803;
SELECT owner_id FROM crm.opportunities WHERE id = 9803;
SELECT owner_id FROM crm.reopen_opportunity(9804);
RESET ROLE;
-- routing takes work from who is away, as from who is gone
INSERT INTO crm.agents (user_id, capacity) VALUES (9803, 100);
INSERT INTO crm.assignment_rules (subject_table, position, name, user_ids, method) VALUES ('leads', 1, 'all', '{9803}', 'round_robin');
INSERT INTO crm.leads (id, name, owner_id) VALUES (9801, 'of who is away', 9801);
SELECT user_id, reason FROM crm.route_record('leads', 9801);
ROLLBACK;
