-- Links and identity: where activities are seen, names of tables and events, shared telephones and addresses, merging.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\set VERBOSITY terse
BEGIN;
INSERT INTO crm.accounts (id, name) VALUES (9701, 'A'), (9702, 'B');
INSERT INTO crm.contacts (id, name, account_id) VALUES (9701, 'Cora', 9701), (9702, 'Dora', NULL);
INSERT INTO crm.opportunities (id, name, account_id, contact_id, amount) VALUES (9701, 'O', 9701, 9701, 10);
INSERT INTO crm.tickets (id, subject, contact_id) VALUES (9701, 'T', 9701);
INSERT INTO crm.leads (id, name, company, email) VALUES (9701, 'Lea Lead', 'A', 'lea@a.example');
INSERT INTO crm.orders (id, account_id, amount) VALUES (9701, 9702, 5);
INSERT INTO crm.activities (id, kind, subject, related_table, related_id, contact_id, account_id, done_at) VALUES
    (9701, 'call', 'on deal', 'opportunities', 9701, NULL, NULL, now()), (9702, 'call', 'on ticket', 'tickets', 9701, NULL, NULL, now()),
    (9703, 'call', 'on lead', 'leads', 9701, NULL, NULL, now()), (9704, 'call', 'on contact', NULL, NULL, 9701, NULL, now()),
    (9705, 'call', 'on account', 'accounts', 9702, NULL, NULL, now()), (9706, 'call', 'on order', 'orders', 9701, NULL, NULL, now()),
    (9707, 'call', 'on deal, said of B', 'opportunities', 9701, NULL, 9702, now()), (9708, 'call', 'about contact', 'contacts', 9702, NULL, NULL, now());
SELECT subject, account_id, contact_id FROM crm.activities ORDER BY id;
-- records move, and take what was said on them along; what was placed by hand stays
UPDATE crm.opportunities SET account_id = 9702, contact_id = 9702 WHERE id = 9701;
UPDATE crm.contacts SET account_id = 9702 WHERE id = 9702;
SELECT count(crm.convert_lead(9701));
SELECT subject, account_id, (SELECT c.name FROM crm.contacts AS c WHERE c.id = a.contact_id) AS contact FROM crm.activities AS a ORDER BY id;
UPDATE crm.activities SET related_table = 'tickets', related_id = 9701 WHERE id = 9706;
SELECT account_id, contact_id FROM crm.activities WHERE id = 9706;
-- a record that goes lets them go
DELETE FROM crm.opportunities WHERE id = 9701;
SELECT subject, related_table, related_id, account_id FROM crm.activities WHERE id IN (9701, 9707) ORDER BY id;
-- names of tables and events, numbers of records
INSERT INTO crm.activities (kind, subject, related_table, related_id) VALUES ('call', 'typo', 'opportunites', 1);
INSERT INTO crm.activities (kind, subject, related_table, related_id) VALUES ('call', 'nobody', 'leads', 999999);
UPDATE crm.activities SET related_table = 'nothing' WHERE id = 9702;
UPDATE crm.activities SET related_id = 999999 WHERE id = 9702;
INSERT INTO crm.surveys (code, kind, on_event) VALUES ('s', 'csat', 'ticket.resolvd');
INSERT INTO crm.surveys (code, kind, on_event) VALUES ('s', 'csat', 'ticket.resolved') RETURNING on_event;
UPDATE crm.surveys SET on_event = 'x' WHERE code = 's';
INSERT INTO crm.pipelines (code, name, subject_table) VALUES ('x', 'X', 'leeds');
INSERT INTO crm.assignment_rules (subject_table, position, name, user_ids, method) VALUES ('prices', 1, 'x', '{}', 'round_robin');

-- ---- one telephone or address, two people ----
SELECT id AS ann FROM crm.capture_lead('{"name": "Ann Lee", "company": "Big Co", "phone": "+1 212 555 2368"}') \gset
SELECT id AS carl FROM crm.capture_lead('{"name": "Carl Poe", "company": "Other Inc", "email": "info@other.example", "phone": "+1 212 555 2368"}') \gset
SELECT id AS dan FROM crm.capture_lead('{"name": "Dan Fox", "company": "Third", "email": "info@other.example"}') \gset
SELECT :ann <> :carl AND :carl <> :dan AS three;
-- the same people again, by a word of their name or without a company
SELECT id = :ann AS ann FROM crm.capture_lead('{"name": "A. Lee", "phone": "+1 212 555 2368"}');
SELECT id = :dan AS dan FROM crm.capture_lead('{"name": "fox, dan", "company": "Third Ltd", "email": "info@other.example"}');
SELECT id = :carl AS carl FROM crm.capture_lead('{"email": "info@other.example", "company": "Other Inc", "name": "Poe"}');
SELECT (first_id, second_id) IN ((:ann, :carl)) AS ann_carl, matched_by, state FROM crm.possible_duplicates ORDER BY id;
-- decided: different is not asked again, same is merged
SELECT id AS first FROM crm.possible_duplicates WHERE first_id = :ann \gset
SELECT id AS second FROM crm.possible_duplicates WHERE first_id = :carl \gset
SELECT state, decided_at IS NOT NULL AS decided FROM crm.decide_duplicate(:first, false);
SELECT state FROM crm.decide_duplicate(:second, true);
SELECT state FROM crm.decide_duplicate(:second, true);
SELECT count(*) FROM crm_analytics.duplicate_leads WHERE lead_id = :ann;
SELECT merged_into_id = :carl AS merged FROM crm.leads WHERE id = :dan;
-- conversion likewise
SELECT contact_id AS c1, contact_matched_by FROM crm.convert_lead(:ann) \gset
SELECT contact_id AS c2 FROM crm.convert_lead(:carl) \gset
SELECT :c1 <> :c2 AS two, matched_by, state FROM crm.possible_duplicates WHERE subject_table = 'contacts';
INSERT INTO crm.users (id, name) VALUES (9701, 'Shared with');
UPDATE crm.contacts SET shared_user_ids = '{9701}', title = 'Dr', preferences = '{"consent": {"email": {"given": true, "at": "2026-01-01T00:00:00Z"}}}' WHERE id = :c2;
UPDATE crm.contacts SET preferences = '{"consent": {"email": {"given": false, "at": "2026-02-01T00:00:00Z"}}, "colour": "red"}' WHERE id = :c1;
INSERT INTO crm.activities (id, kind, subject, contact_id) VALUES (9711, 'call', 'to Carl', :c2);
SELECT state FROM crm.decide_duplicate((SELECT id FROM crm.possible_duplicates WHERE subject_table = 'contacts'), true);
SELECT name, title, shared_user_ids, preferences FROM crm.contacts WHERE id = :c1;
SELECT count(*) AS gone FROM crm.contacts WHERE id = :c2;
SELECT contact_id = :c1 AS moved FROM crm.activities WHERE id = 9711;
SELECT kind, value_key, is_primary FROM crm.contact_points WHERE contact_id = :c1 ORDER BY 1, 2;
SELECT crm.merge_contacts(9701, 9701);
-- a merged lead's telephone is read as it was, in whatever country the other one is
INSERT INTO crm.leads (id, name, country) VALUES (9711, 'Zoe', 'FR');
INSERT INTO crm.leads (id, name, country, phone, shared_user_ids) VALUES (9712, 'Zoe Z', 'DE', '030 901820', '{9701}');
SELECT country, phone_key, shared_user_ids FROM crm.merge_leads(9712, 9711);

-- ---- what went with winning is judged by what was known then ----
INSERT INTO crm.opportunities (id, name, account_id, amount, created_at) VALUES (9721, 'first', 9702, 1, now() - interval '9 days'), (9722, 'then', 9702, 1, now());
DELETE FROM crm.orders WHERE id = 9701;
SELECT count(crm.win_opportunity(9721));
SELECT attribute, value, won, lost FROM crm_analytics.win_factors WHERE attribute = 'account.was_customer';
UPDATE crm.accounts SET roles = '{customer}' WHERE id = 9702;
UPDATE crm.opportunities SET created_at = now() + interval '1 hour' WHERE id = 9722;
SELECT count(crm.win_opportunity(9722));
SELECT attribute, value, won FROM crm_analytics.win_factors WHERE attribute = 'account.was_customer' ORDER BY 1, 2;
ROLLBACK;
