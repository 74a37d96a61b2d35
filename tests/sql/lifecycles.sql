-- Life cycles of people: taken in with their history, forward by rules and events, back only where a rule says so, by hand, pinned, converted, merged,
-- deleted, in segments and journeys, of another company, who may what.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO';
SET LOCAL client_min_messages = warning;
CREATE FUNCTION pg_temp.stage(what text, who bigint) RETURNS text LANGUAGE sql AS $$
    SELECT l.kind FROM crm.lifecycles AS l WHERE l.tenant_id = crm.tenant_id() AND l.subject_table = what AND l.subject_id = who $$;
CREATE FUNCTION pg_temp.came(what text, who bigint) RETURNS TABLE (stage text, came date, gone date) LANGUAGE sql AS $$
    SELECT s.code, lower(p.period)::date, upper(p.period)::date FROM crm.lifecycles AS l
    JOIN crm.stage_periods AS p ON p.tenant_id = l.tenant_id AND p.subject_table = 'lifecycles' AND p.subject_id = l.id
    JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id
    WHERE l.tenant_id = crm.tenant_id() AND l.subject_table = what AND l.subject_id = who ORDER BY p.seq $$;
\qecho a company begins with seven stages and a rule for each
SELECT s.position, s.code, s.name, s.type, r.condition, r.falls_back FROM crm.pipelines AS p JOIN crm.stages AS s ON s.pipeline_id = p.id
LEFT JOIN crm.lifecycle_rules AS r ON r.stage_id = s.id WHERE p.subject_table = 'lifecycles' ORDER BY 1;
\qecho whoever is taken in has come where the facts say, at the instants at which they began to hold
SELECT crm.begin_history('test');
INSERT INTO crm.accounts (id, name, created_at) VALUES (97001, 'Regress orchard', '2024-01-01Z');
INSERT INTO crm.contacts (id, name, account_id, created_at) VALUES (97001, 'Ada', 97001, '2024-01-01Z'), (97002, 'Bob', NULL, '2024-02-01Z'),
    (97003, 'Cy', 97001, '2024-03-01Z');
INSERT INTO crm.leads (id, name, email, created_at, stage_entered_at) VALUES (97001, 'Dee', 'dee@regress.example', '2024-04-01Z', '2024-04-01Z'),
    (97002, 'Eve', 'eve@regress.example', '2024-04-02Z', '2024-04-02Z');
INSERT INTO crm.opportunities (id, name, account_id, contact_id, created_at, stage_entered_at, amount, currency)
VALUES (97001, 'Deal', 97001, 97001, '2024-05-01Z', '2024-05-01Z', 10, 'USD');
INSERT INTO crm.orders (id, number, account_id, ordered_at, amount, currency) VALUES (97001, 'LC-1', 97001, '2024-07-01Z', 10, 'USD');
SELECT crm.end_history();
SELECT crm.review_lifecycles('2024-04-15Z') >= 5 AS taken_in;
SELECT pg_temp.stage('contacts', 97001) AS ada, pg_temp.stage('contacts', 97002) AS bob, pg_temp.stage('leads', 97001) AS dee;
DELETE FROM crm.lifecycles;
SELECT crm.review_lifecycles() >= 5 AS taken_in;
SELECT 'Ada' AS who, * FROM pg_temp.came('contacts', 97001);
SELECT 'Cy: the order names nobody' AS who, * FROM pg_temp.came('contacts', 97003);
SELECT 'Dee' AS who, * FROM pg_temp.came('leads', 97001);
SELECT crm.review_lifecycles() AS nothing_new;
SELECT crm.lifecycle_facts('contacts', 97001, '2024-06-01Z') AS before_the_order;
SELECT f.kind, f.people, f.reached, f.went_on, f.conversion, f.median_days FROM crm_analytics.lifecycle_funnel_at('2024-06-01Z') AS f;
SELECT f.kind, f.people, f.reached, f.went_on, f.conversion, f.conversion_from_first, f.median_days FROM crm_analytics.lifecycle_funnel_at('2024-08-01Z') AS f;
\qecho what happens to a person moves them at the next review (docs/howto/lifecycles.md has it by events), forward alone; each move is an event
SELECT (crm.move_lead(97001, 'working')).id;
SELECT (crm.review_lifecycle('leads', 97001)).kind AS dee;
SELECT count(crm.record_touch('click', 'email', 'leads', 97002, source_system => 'regress', source_id => n::text)) AS clicks FROM generate_series(1, 2) AS n;
SELECT (crm.review_lifecycle('leads', 97002)).kind AS eve;
DELETE FROM crm.touches WHERE source_system = 'regress';
UPDATE crm.lifecycles SET review_at = now();
SELECT crm.review_lifecycles() >= 5 AS reviewed, pg_temp.stage('leads', 97002) AS eve_stays;
SELECT e.kind, e.subject_table, e.subject_id, e.payload #>> '{old,kind}' AS was, e.payload #>> '{new,kind}' AS is_now FROM crm.events AS e
WHERE e.kind = 'lifecycle.moved' AND e.subject_id BETWEEN 97001 AND 97009 ORDER BY e.id;
\qecho a promoter is an evangelist as long as the last answer says so
INSERT INTO crm.surveys (code, kind) VALUES ('regress_nps', 'nps');
INSERT INTO crm.survey_responses (survey_id, contact_id, sent_at, score, answered_at) SELECT s.id, 97001, now() - interval '3 days', 10, now() - interval '2 days'
FROM crm.surveys AS s WHERE s.code = 'regress_nps';
SELECT (crm.review_lifecycle('contacts', 97001)).kind AS ada;
INSERT INTO crm.survey_responses (survey_id, contact_id, sent_at, score, answered_at) SELECT s.id, 97001, now() - interval '3 days', 3, now() - interval '1 day'
FROM crm.surveys AS s WHERE s.code = 'regress_nps';
SELECT (crm.review_lifecycle('contacts', 97001)).kind AS ada;
\qecho by hand: forward, back, and to stay; the rules go on from there
SELECT l.kind, l.pinned FROM crm.set_lifecycle('contacts', 97002, 'opportunity') AS l;
SELECT l.kind, l.pinned FROM crm.set_lifecycle('contacts', 97001, 'lead', true) AS l;
SELECT (crm.review_lifecycle('contacts', 97001)).kind AS pinned;
SELECT l.kind, l.pinned FROM crm.set_lifecycle('contacts', 97001, 'lead') AS l;
SELECT (crm.review_lifecycle('contacts', 97001)).kind AS free_again, (crm.review_lifecycle('contacts', 97002)).kind AS forward_alone;
\set VERBOSITY sqlstate
SELECT crm.set_lifecycle('contacts', 97001, 'astronaut');
\set VERBOSITY terse
SELECT crm.set_lifecycle('contacts', -5, 'lead');
SELECT crm.set_lifecycle('accounts', 97001, 'lead');
SELECT crm.review_lifecycle(NULL, 97001);
\qecho rules that ask for what is not known, or lead elsewhere, are refused; a new one is heard of at once
INSERT INTO crm.lifecycle_rules (stage_id, condition) SELECT s.id, '$.colour == "red"' FROM crm.stages AS s WHERE s.code = 'customer';
\set VERBOSITY sqlstate
INSERT INTO crm.lifecycle_rules (stage_id) SELECT s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.id = s.pipeline_id AND p.subject_table = 'leads' WHERE s.code = 'working';
\set VERBOSITY terse
UPDATE crm.lifecycle_rules AS r SET condition = '$.consent[*] == "sms"' FROM crm.stages AS s WHERE s.id = r.stage_id AND s.code = 'sql';
SELECT (crm.record_consent('leads', 97002, 'marketing', 'sms', true, 'form')).state;
SELECT crm.review_lifecycles() >= 5 AS everybody, pg_temp.stage('leads', 97002) AS eve;
\qecho segments and journeys see it
SELECT s.name FROM crm.define_segment('{"subject_table": "leads", "name": "regress mql", "events": [{"source": "lifecycles", "kind": "mql", "at_least": 1}]}') AS s;
SELECT m.subject_id FROM crm.segment_members_at('regress mql') AS m WHERE m.subject_id BETWEEN 97001 AND 97009;
SELECT j.status FROM crm.define_journey('{"name": "regress won over", "subject_table": "leads", "entry": {"events": [{"event": "lifecycle.moved", "where": "$.new.kind == \"opportunity\""}]},
    "steps": [{"do": "wait", "for": "3 days"}]}') AS j;
SELECT j.status FROM crm.publish_journey('regress won over') AS j;
SELECT (crm.set_lifecycle('leads', 97001, 'opportunity')).kind;
-- events of a transaction are read when it is over
SELECT count(crm_internal.hear_event(e, now())) AS heard FROM crm.events AS e WHERE e.kind = 'lifecycle.moved' AND e.payload @> '{"new": {"kind": "opportunity"}}';
SELECT m.subject_id FROM crm.journey_members AS m JOIN crm.journeys AS j ON j.id = m.journey_id AND j.name = 'regress won over';
SELECT m.subject_id FROM crm.segment_members_at('regress mql') AS m WHERE m.subject_id BETWEEN 97001 AND 97009;
\qecho a lead that is converted hands its life cycle over, with its history
SELECT crm.set_lifecycle('leads', 97001, 'mql') IS NULL AS lost;
SELECT (crm.convert_lead(97001)).contact_id AS dee \gset
SELECT pg_temp.stage('leads', 97001) AS lead, (crm.review_lifecycle('contacts', :dee)).kind AS contact;
SELECT count(*) > 1 AS with_history FROM pg_temp.came('contacts', :dee);
\set VERBOSITY sqlstate
SELECT crm.set_lifecycle('leads', 97001, 'lead');
\set VERBOSITY terse
SELECT crm.review_lifecycles() >= 0 AS ok, pg_temp.stage('leads', 97001) AS not_again;
\qecho where the contact is known, the one of the two that has come further goes on
UPDATE crm.leads SET contact_id = 97001 WHERE id = 97002;
SELECT (crm.convert_lead(97002, contact_id => 97001)).contact_id;
SELECT count(*) AS rows, min(l.kind) AS ada FROM crm.lifecycles AS l WHERE l.subject_table = 'contacts' AND l.subject_id = 97001;
SELECT stage, came FROM pg_temp.came('contacts', 97001) LIMIT 3;
\qecho so do two contacts, and two leads, whichever is merged into which
SELECT (crm.set_lifecycle('contacts', 97002, 'evangelist', true)).kind;
SELECT (crm.merge_contacts(97002, 97001)).id;
SELECT l.kind, l.pinned FROM crm.lifecycles AS l WHERE l.subject_table = 'contacts' AND l.subject_id IN (97001, 97002);
SELECT (crm.merge_contacts(97001, 97003)).id;
SELECT l.subject_id, l.kind FROM crm.lifecycles AS l WHERE l.subject_table = 'contacts' AND l.subject_id IN (97001, 97003);
INSERT INTO crm.leads (id, name) VALUES (97005, 'Fay'), (97006, 'Fay again'), (97007, 'Gus'), (97008, 'Gus again');
SELECT crm.review_lifecycles() >= 4 AS taken_in;
SELECT (crm.set_lifecycle('leads', 97005, 'sql')).kind, (crm.set_lifecycle('leads', 97008, 'sql')).kind;
SELECT (crm.merge_leads(97005, 97006)).id, (crm.merge_leads(97007, 97008)).id;
SELECT l.subject_id, l.kind FROM crm.lifecycles AS l WHERE l.subject_table = 'leads' AND l.subject_id BETWEEN 97005 AND 97008 ORDER BY 1;
\qecho whoever is deleted has none, and their history ends
DELETE FROM crm.leads WHERE id IN (97005, 97006);
SELECT count(*) AS left_over FROM crm.lifecycles AS l WHERE l.subject_table = 'leads' AND l.subject_id IN (97005, 97006);
SELECT count(*) AS open FROM crm.stage_periods AS p WHERE p.subject_table = 'lifecycles' AND upper_inf(p.period)
    AND NOT EXISTS (SELECT FROM crm.lifecycles AS l WHERE l.tenant_id = p.tenant_id AND l.id = p.subject_id);
\qecho a Persian company has it in its language; switched off, nobody is reviewed and nothing is followed
SELECT (crm.create_tenant('Regress life', 'IRR', 'Asia/Tehran', 'fa')).tenant_id AS other \gset
SELECT s.name FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
WHERE s.tenant_id = :other AND p.subject_table = 'lifecycles' ORDER BY s.position;
INSERT INTO crm.leads (tenant_id, name) VALUES (:other, 'نازنین');
SELECT crm.review_lifecycles() > 0 AS taken_in;
SELECT l.kind FROM crm.lifecycles AS l WHERE l.tenant_id = :other;
SELECT count(*) AS follows FROM crm.event_subscriptions AS s WHERE s.tenant_id = :other AND s.name = 'crm.lifecycles';
UPDATE crm.pipelines SET active = false WHERE tenant_id = :other AND subject_table = 'lifecycles';
INSERT INTO crm.leads (tenant_id, name) VALUES (:other, 'بهرام');
SELECT crm.review_lifecycles() >= 0 AS ok;
SELECT count(*) AS people, (SELECT count(*) FROM crm.event_subscriptions AS s WHERE s.tenant_id = :other AND s.name = 'crm.lifecycles') AS follows
FROM crm.lifecycles AS l WHERE l.tenant_id = :other;
\qecho who may what: as the person
SET LOCAL crm.tenant = '1';
CREATE ROLE regress_life_a; CREATE ROLE regress_life_r;
INSERT INTO crm.users (id, name) VALUES (97001, 'Agent'), (97002, 'Reader');
SELECT (crm.grant_access('regress_life_a', 'agent', 97001)).access, (crm.grant_access('regress_life_r', 'reader', 97002)).access;
INSERT INTO crm.leads (id, name, owner_id) VALUES (97011, 'Hers', 97001), (97012, 'His', 97002);
SELECT crm.review_lifecycles() >= 2 AS taken_in;
SET ROLE regress_life_a;
SELECT l.subject_id, l.kind FROM crm.lifecycles AS l WHERE l.subject_id IN (97011, 97012) AND l.subject_table = 'leads';
SELECT p.person, p.kind FROM crm_analytics.lifecycle_people AS p WHERE p.subject_id IN (97011, 97012) AND p.subject_table = 'leads';
SELECT (crm.set_lifecycle('leads', 97011, 'mql')).kind;
SELECT crm.set_lifecycle('leads', 97012, 'mql');
SELECT crm.review_lifecycle('leads', 97012);
SELECT crm.move('lifecycles', (SELECT l.id FROM crm.lifecycles AS l WHERE l.subject_id = 97011), 'sql');
UPDATE crm.lifecycles SET pinned = true WHERE subject_id = 97011;
SELECT f.kind, f.people FROM crm_analytics.lifecycle_funnel AS f WHERE f.people > 0;
RESET ROLE;
SET ROLE regress_life_r;
SELECT crm.set_lifecycle('leads', 97012, 'sql');
SELECT crm.lifecycle_facts('leads', 97012);
RESET ROLE;
ROLLBACK;
