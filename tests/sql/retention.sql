-- Restriction of processing, and how long what is known of people is kept.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
BEGIN;
UPDATE crm.tenants SET time_zone = 'UTC' WHERE tenant_id = 1;
SET LOCAL crm.tenant = '1';
INSERT INTO crm.users (id, name) VALUES (91, 'Ann');
CREATE ROLE regress_retention_admin;
CREATE ROLE regress_retention_agent;
SELECT count(crm.grant_access(r.role::name, r.level, r.id)) FROM (VALUES ('regress_retention_admin', 'admin', NULL::bigint), ('regress_retention_agent', 'agent', 91)) AS r (role, level, id);
INSERT INTO crm.accounts (id, name, created_at) VALUES (9101, 'Holm Ltd', '2015-01-01Z');
INSERT INTO crm.contacts (id, name, account_id, created_at) VALUES (9101, 'Greta Holm', NULL, '2016-01-01Z'), (9102, 'Otto Berg', 9101, '2016-01-01Z'), (9103, 'Liv Dahl', NULL, '2016-01-01Z');
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (9101, 'email', 'greta@holm.example'), (9103, 'email', 'liv@dahl.example');
INSERT INTO crm.leads (id, name, email, created_at) VALUES (9101, 'Greta Holm', 'Greta@holm.example', '2017-01-01Z'), (9104, 'Per Lund', 'per@lund.example', '2017-01-01Z'), (9105, 'Ida Moe', 'ida@moe.example', '2017-01-01Z');
SELECT name FROM crm.define_segment('{"name": "all_contacts", "subject_table": "contacts", "where": "$.name != \"\""}');
SELECT name FROM crm.define_score_model('{"name": "fit", "rules": [{"name": "named", "points": 5, "when": "$.name != \"\""}]}');
SELECT allowed, reason FROM crm.record_consent('contacts', 9101, 'marketing', 'email', true, 'form') AS c, crm.may_contact('contacts', 9101, 'marketing', 'email') AS m;
SELECT subject_id FROM crm.segment_members_at('all_contacts') ORDER BY 1;
SELECT crm.lead_score_at(9101), (SELECT count(*) FROM crm.top_leads(10));
SELECT (crm.define_journey('{"name": "hello", "subject_table": "contacts", "steps": [{"do": "wait", "for": "1 day"}]}')).name;
SELECT (crm.publish_journey('hello')).number;
SELECT status FROM crm.enrol_in_journey('hello', 9101);

\echo == restricted: nothing is sent, nobody counts them, no score is told
SELECT subject_table, subject_id, ground, until IS NULL AS until_lifted FROM crm.restrict_person(9101, 'letter of 3 May', 'accuracy');
SELECT allowed, reason FROM crm.may_contact('contacts', 9101, 'marketing', 'email');
INSERT INTO crm.outbound_messages (subject_table, subject_id, purpose, channel, address, body) VALUES ('contacts', 9101, 'marketing', 'email', 'greta@holm.example', 'hi');
SELECT subject_id FROM crm.segment_members_at('all_contacts') ORDER BY 1;
SELECT count(*) AS segments FROM crm.segments_of('contacts', 9101);
SELECT crm.lead_score_at(9101), (SELECT count(*) FROM crm.explain_lead_score(9101)) AS explained, (SELECT count(*) FROM crm.top_leads(10)) AS top;
SELECT status, left_because FROM crm.journey_members WHERE subject_id = 9101;
SELECT crm.enrol_in_journey('hello', 9101);
-- before that it was otherwise
SELECT allowed, reason FROM crm.may_contact('contacts', 9101, 'marketing', 'email', as_of => now() - interval '1 second');
-- who comes in again by the same address is the same person
INSERT INTO crm.leads (id, name, email) VALUES (9106, 'G. Holm', 'greta@HOLM.example');
INSERT INTO crm.contacts (id, name) VALUES (9106, 'Greta H.');
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (9106, 'email', 'greta@holm.example');
SELECT subject_table, subject_id, ground, reason FROM crm.person_restrictions ORDER BY 1, 2;
SELECT kind, subject_table, subject_id FROM crm.events WHERE kind LIKE 'restriction%' ORDER BY id;

-- their life cycle stands still meanwhile
SELECT crm.review_lifecycles() >= 0 AS reviewed;
SELECT subject_table, subject_id FROM crm.lifecycles WHERE subject_id IN (9101, 9102, 9106) ORDER BY 1, 2;

\echo == said again, until an instant, lifted, refused
SELECT DISTINCT ground, reason, until FROM crm.restrict_person(9101, 'court', 'claims', '2100-01-01Z');
SELECT * FROM crm.erase_person(9101, 'letter');
SELECT crm.restrict_person(9101);
\set VERBOSITY terse
SELECT crm.restrict_person(9101, 'x', 'whim');
\set VERBOSITY default
SELECT crm.restrict_person(9101, 'x', until => '2020-01-01Z');
SELECT crm.restrict_person(9999, 'x');
SELECT crm.lift_restriction(9103, 'agreed');
SELECT crm.lift_restriction(9101);
SELECT subject_table, subject_id, lifted_because FROM crm.lift_restriction(9101, 'settled') ORDER BY 1, 2;
SELECT allowed, reason FROM crm.may_contact('contacts', 9101, 'marketing', 'email');
SELECT crm.lead_score_at(9101), count(*) FROM crm.segments_of('contacts', 9101);
SELECT crm.review_lifecycles() >= 0 AS reviewed;
SELECT subject_table, subject_id, kind FROM crm.lifecycles WHERE subject_id IN (9101, 9102, 9106) ORDER BY 1, 2;
-- one whose time is over holds no more, and another may begin
SELECT count(*) FROM crm.restrict_person(9103, 'for a while', until => now() + interval '1 hour');
UPDATE crm.person_restrictions SET restricted_at = now() - interval '2 hours', until = now() - interval '1 hour' WHERE subject_id = 9103;
SELECT allowed, reason FROM crm.may_contact('contacts', 9103, 'marketing', 'email');
SELECT count(*) FROM crm.restrict_person(9103, 'again');
SELECT reason, lifted_because FROM crm.person_restrictions WHERE subject_id = 9103 ORDER BY id;
-- merging carries it
SELECT id FROM crm.merge_contacts(9103, 9102);
SELECT DISTINCT subject_id FROM crm.person_restrictions WHERE reason = 'again';
SELECT count(*) FROM crm.lift_restriction(9102, 'test');
SET LOCAL ROLE regress_retention_agent;
SELECT crm.restrict_person(9102, 'x');
SELECT crm.preview_retention('x');
RESET ROLE;

\echo == retention: what is refused
INSERT INTO crm.retention_policies (name, subject_table, kept_for, action, reason) VALUES ('x', 'nothing', '1 year', 'erase', 'x');
INSERT INTO crm.retention_policies (name, subject_table, kept_for, action, reason) VALUES ('x', 'tickets', '1 year', 'erase', 'x');
INSERT INTO crm.retention_policies (name, subject_table, kept_for, action, reason) VALUES ('x', 'leads', '1 year', 'empty', 'x');
INSERT INTO crm.retention_policies (name, subject_table, kept_for, action, reason) VALUES ('x', 'users', '1 year', 'empty', 'x');
INSERT INTO crm.retention_policies (name, subject_table, kept_for, action, reason, counted_from) VALUES ('x', 'leads', '1 year', 'erase', 'x', 'closed');
\set VERBOSITY terse
INSERT INTO crm.retention_policies (name, subject_table, kept_for, action, reason) VALUES ('x', 'leads', '1 hour', 'erase', 'x');
\set VERBOSITY default
SELECT crm.preview_retention('none');

\echo == who is due: a lead closed long ago, no open one, none whose contact is kept, nobody with whom something happened
SELECT count(crm.disqualify_lead(l, 'no_budget')) FROM unnest('{9104,9105}'::bigint[]) AS l;
SET LOCAL session_replication_role = replica;
UPDATE crm.leads SET closed_at = '2018-01-01Z' WHERE id IN (9104, 9105);
SET LOCAL session_replication_role = origin;
INSERT INTO crm.contacts (id, name, created_at) VALUES (9107, 'Ida Moe', '2017-01-01Z');
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (9107, 'email', 'ida@moe.example');
INSERT INTO crm.activities (kind, subject, contact_id, done_at) VALUES ('call', 'hello', 9107, '2024-05-01Z');
INSERT INTO crm.orders (account_id, ordered_at, amount, currency) VALUES (9101, '2023-01-01Z', 10, 'USD');
INSERT INTO crm.retention_policies (name, subject_table, counted_from, kept_for, action, reason) VALUES ('lost leads', 'leads', 'closed_at', '2 years', 'erase', 'nothing came of it');
SELECT * FROM crm.preview_retention('lost leads', '2026-01-01Z');
SELECT crm.apply_retention('2026-01-01Z');
SELECT id, name, email FROM crm.leads WHERE id IN (9101, 9104, 9105) ORDER BY id;
SELECT kind, subject_table, subject_id, reason FROM crm.person_requests ORDER BY id;
SELECT crm.apply_retention('2026-01-01Z');
INSERT INTO crm.retention_policies (name, subject_table, kept_for, action, reason) VALUES ('quiet contacts', 'contacts', '5 years', 'erase', 'law');
SELECT * FROM crm.preview_retention('quiet contacts', '2026-01-01Z') ORDER BY 2;
-- the account of Otto Berg ordered in 2023, Ida Moe called in 2024
SELECT * FROM crm.preview_retention('quiet contacts', '2028-06-01Z') ORDER BY 2;
SELECT * FROM crm.preview_retention('quiet contacts', '2029-06-01Z') ORDER BY 2;
-- a contact whose lead is open is kept, a lead is kept with its contact; one that is restricted as well
SELECT count(*) FROM crm.restrict_person(9107, 'dispute', 'claims');
SELECT * FROM crm.preview_retention('quiet contacts', '2029-06-01Z') ORDER BY 2;
SELECT count(*) FROM crm.lift_restriction(9107, 'settled');
SELECT policy, active, records, oldest, last_run_at, done_so_far FROM crm.retention_status('2029-06-01Z');
SELECT crm.apply_retention('2029-06-01Z', 1), crm.apply_retention('2029-06-01Z');
SELECT id, name FROM crm.contacts WHERE id BETWEEN 9101 AND 9107 ORDER BY id;
SELECT id, name FROM crm.leads WHERE id BETWEEN 9101 AND 9107 ORDER BY id;

\echo == rows that tell of people are emptied, where nothing else is left of them they go; the log of changes forgets
SELECT count(*) FROM crm.start_audit('ticket_messages');
INSERT INTO crm.tickets (id, subject, created_at) VALUES (9101, 'broken', '2019-01-01Z');
INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, body, sent_at) VALUES (9101, 'mail', 'in', 'customer', 'I am ill', '2019-01-02Z'), (9101, 'mail', 'in', 'customer', 'still', '2028-01-02Z');
SELECT crm.write_audit();
INSERT INTO crm.retention_policies (name, subject_table, counted_from, kept_for, action, reason) VALUES ('messages', 'ticket_messages', 'sent_at', '3 years', 'empty', 'law');
SELECT crm.apply_retention('2029-06-01Z');
SELECT body FROM crm.ticket_messages WHERE ticket_id = 9101 ORDER BY sent_at;
SELECT p.name, r.action, r.row_count, r.certificate FROM crm.retention_runs AS r JOIN crm.retention_policies AS p ON p.tenant_id = r.tenant_id AND p.id = r.policy_id ORDER BY r.id;
SELECT count(*) FILTER (WHERE a.change::text LIKE '%I am ill%') AS told, count(*) FILTER (WHERE a.change::text LIKE '%still%') AS kept FROM crm.audit_log AS a WHERE a.table_name = 'ticket_messages';

\echo == a policy that cannot be judged is told, and the others are done
ALTER TABLE crm.contacts ADD COLUMN dba_seen date;
UPDATE crm.retention_policies SET counted_from = 'dba_seen' WHERE name = 'quiet contacts';
ALTER TABLE crm.contacts DROP COLUMN dba_seen;
INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, body, sent_at) VALUES (9101, 'mail', 'in', 'customer', 'again', '2019-01-02Z');
SELECT crm.apply_retention('2029-06-02Z');
SELECT item LIKE 'policy %' AS policy, sqlstate, message FROM crm_internal.failed_work WHERE function_name = 'crm.apply_retention';
UPDATE crm.retention_policies SET counted_from = NULL WHERE name = 'quiet contacts';

\echo == another company, another day
SELECT t.tenant_id AS t2 FROM crm.create_tenant('Zweite', 'EUR', 'Europe/Berlin') AS t \gset
SELECT count(*) FROM crm.retention_status();
SET LOCAL crm.tenant = :'t2';
SELECT count(*) AS policies, (SELECT count(*) FROM crm.person_restrictions) AS rows FROM crm.retention_status();
SELECT crm.preview_retention('messages');
ROLLBACK;
