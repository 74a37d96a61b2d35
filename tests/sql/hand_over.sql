-- Work of somebody who leaves or is away: handed over, given back; nothing new goes to somebody inactive.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\set VERBOSITY terse
BEGIN;
INSERT INTO crm.users (id, name) VALUES (9801, 'Leaver'), (9802, 'Heir'), (9803, 'Gone');
UPDATE crm.users SET active = false WHERE id = 9803;
INSERT INTO crm.accounts (id, name, owner_id) VALUES (9801, 'A', 9801);
INSERT INTO crm.contacts (id, name, owner_id) VALUES (9801, 'C', 9801);
INSERT INTO crm.opportunities (id, name, owner_id, amount) VALUES (9801, 'open', 9801, 1), (9802, 'won', 9801, 1);
SELECT count(crm.win_opportunity(9802));
INSERT INTO crm.leads (id, name, owner_id) VALUES (9801, 'L', 9801);
INSERT INTO crm.tickets (id, subject, owner_id) VALUES (9801, 'T', 9801);
INSERT INTO crm.activities (id, kind, subject, owner_id, done_at) VALUES (9801, 'task', 'to do', 9801, NULL), (9802, 'task', 'done', 9801, now());
-- for a time, and back: what went on meanwhile stays
SELECT state, handed, unassigned FROM crm.hand_over(9801, 9802, ends_at => now() + interval '14 days');
SELECT (SELECT array_agg(owner_id ORDER BY id) FROM crm.opportunities) AS deals, (SELECT owner_id FROM crm.leads WHERE id = 9801) AS lead,
       (SELECT array_agg(owner_id ORDER BY id) FROM crm.activities) AS activities, (SELECT owner_id FROM crm.contacts WHERE id = 9801) AS contact;
UPDATE crm.activities SET done_at = now() WHERE id = 9801;
SELECT crm.run_hand_overs(now() + interval '13 days'), crm.run_hand_overs(now() + interval '14 days'), crm.run_hand_overs(now() + interval '15 days');
SELECT state, returned FROM crm.hand_over_records;
SELECT (SELECT array_agg(owner_id ORDER BY id) FROM crm.opportunities) AS deals, (SELECT array_agg(owner_id ORDER BY id) FROM crm.activities) AS activities;
-- later; by the rules; to nobody
SELECT state, handed FROM crm.hand_over(9801, 9802, starts_at => now() + interval '1 day');
INSERT INTO crm.agents (user_id, capacity) VALUES (9802, 100);
INSERT INTO crm.assignment_rules (subject_table, position, name, user_ids, method) VALUES ('leads', 1, 'all', '{9802}', 'round_robin');
SELECT state, handed, unassigned FROM crm.hand_over(9801);
SELECT (SELECT owner_id FROM crm.leads WHERE id = 9801) AS lead, (SELECT owner_id FROM crm.accounts WHERE id = 9801) AS account;
SELECT crm.run_hand_overs(now() + interval '1 day');
SELECT crm.hand_over(9801, 9803);
SELECT crm.hand_over(9801, 9801);
SELECT crm.hand_over(999999);
-- nothing new goes to somebody inactive
SELECT owner_id FROM crm.capture_lead('{"name": "N", "email": "n@x.example", "owner_id": 9803}');
UPDATE crm.leads SET owner_id = 9803 WHERE email = 'n@x.example';
SELECT owner_id FROM crm.capture_lead('{"name": "N", "email": "n@x.example"}');
SELECT id AS lead FROM crm.leads WHERE email = 'n@x.example' \gset
SELECT count(crm.disqualify_lead(:lead, 'timing'));
UPDATE crm.leads SET owner_id = 9803 WHERE id = :lead;
SELECT owner_id FROM crm.recycle_lead(:lead);
UPDATE crm.leads SET owner_id = 9803 WHERE id = :lead;
SELECT count(crm.convert_lead(:lead, true, '{"owner_id": 9803}'));
SELECT contact_id AS contact, opportunity_id AS deal FROM crm.convert_lead(:lead, true) \gset
SELECT c.owner_id AS contact, o.owner_id AS deal FROM crm.contacts AS c, crm.opportunities AS o WHERE c.id = :contact AND o.id = :deal;
UPDATE crm.opportunities SET owner_id = 9803 WHERE id = 9802;
SELECT owner_id FROM crm.reopen_opportunity(9802);
-- agents do not hand over the work of others
CREATE ROLE regress_hand_over;
SELECT count(crm.grant_access('regress_hand_over', 'agent', 9802));
SET LOCAL ROLE regress_hand_over;
SELECT crm.hand_over(9801, 9802);
ROLLBACK;
