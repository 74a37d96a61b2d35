-- Leads: capture, recognition, assignment, response, conversion, disqualification, return.
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
ALTER TABLE crm.leads ALTER COLUMN id RESTART 9001;
INSERT INTO crm.users (id, name, access) VALUES (900, 'Ann', 'agent'), (901, 'Ben', 'agent');
INSERT INTO crm.agents (user_id, capacity) VALUES (900, 1), (901, 2);
INSERT INTO crm.products (code, name) VALUES ('PUMP', 'Pump');

SELECT s.code, s.type, s.required_columns FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
WHERE p.subject_table = 'leads' ORDER BY s.position;

-- capture: what is kept, and where it comes from
SELECT l.name, l.company, l.email_key, l.phone_key, l.channel, l.source, l.medium, l.campaign, l.utm, l.employees, l.amount, l.currency, l.consent, l.tags
FROM crm.capture_lead('{"channel": "form", "first_name": " Ada ", "last_name": "King", "company": "Engines Ltd", "email": "Ada@Example.com",
    "phone": "+44 20 7946 0018", "url": "https://x.test/a?utm_source=google&utm_medium=cpc&utm_campaign=spring+sale&x=1",
    "employees": "40", "amount": "1200.50", "currency": "eur", "product": "PUMP", "consent": {"email": {"given": true}}, "tags": ["fair"], "title": ""}') AS l;
-- mistyped numbers lose nothing
SELECT l.employees, l.amount FROM crm.capture_lead('{"email": "x@example.org", "employees": "many", "amount": "1e9999"}') AS l;
SELECT c.payload FROM crm.lead_captures AS c ORDER BY c.id DESC LIMIT 1;
SELECT crm.capture_lead('{"channel": "form", "message": "hello"}');
SELECT crm.capture_lead('{"channel": "pigeon", "name": "x"}');
SELECT crm.capture_lead('[]');
SELECT crm.capture_lead(NULL);

-- the same person again
SELECT l.name, l.capture_count, l.source, l.title, l.phone_key, l.tags FROM crm.capture_lead('{"channel": "mail", "from": "Ada King <ada@EXAMPLE.com>", "title": "CTO", "utm_source": "bing", "tags": ["mail"]}') AS l;
SELECT c.channel, c.source, c.matched_by FROM crm.lead_captures AS c JOIN crm.leads AS l ON l.id = c.lead_id WHERE l.company = 'Engines Ltd' ORDER BY c.id;
-- a telephone alone recognises, but not somebody with another address
SELECT l.name, l.capture_count FROM crm.capture_lead('{"channel": "phone", "name": "A. King", "mobile": "00442079460018"}') AS l;
SELECT l.name, l.capture_count FROM crm.capture_lead('{"name": "Charles", "email": "charles@example.com", "phone": "+442079460018"}') AS l;
-- the same message again changes nothing
SELECT count(DISTINCT (crm.capture_lead('{"channel": "chat", "external_id": "m-1", "name": "Visitor"}')).id) FROM generate_series(1, 3);
SELECT count(*) FROM crm.lead_captures AS c WHERE c.external_id = 'm-1';

-- assignment with capacity
INSERT INTO crm.assignment_rules (subject_table, position, name, user_ids, method) VALUES ('leads', 1, 'all', '{900,901}', 'least_loaded');
SELECT l.name, u.name AS owner FROM generate_series(1, 4) AS g, crm.capture_lead(jsonb_build_object('name', 'Lead ' || g)) AS l LEFT JOIN crm.users AS u ON u.id = l.owner_id ORDER BY l.id;
SELECT a.reason, count(*) FROM crm.assignments AS a WHERE a.subject_table = 'leads' GROUP BY 1 ORDER BY 1;
UPDATE crm.agents SET capacity = 3 WHERE user_id = 900;
SELECT crm.route_waiting(now(), 1);
SELECT count(*) FROM crm.leads AS l WHERE l.owner_id = 900;
-- a rule that fails is reported and loses no lead
CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no assignments today'; END $$;
CREATE TRIGGER assignments_fail BEFORE INSERT ON crm.assignments FOR EACH ROW EXECUTE FUNCTION pg_temp.fail();
SELECT l.name, l.owner_id FROM crm.capture_lead('{"name": "Unlucky"}') AS l;
SELECT e.kind, e.payload ->> 'what' AS what, e.payload ->> 'message' AS message FROM crm.events AS e WHERE e.kind = 'lead.trouble';
DROP TRIGGER assignments_fail ON crm.assignments;
DELETE FROM crm.assignment_rules;

-- response times
INSERT INTO crm.sla_policies (id, subject_type, name) VALUES (900, 'leads', 'Leads');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (900, 'first_response', 3600, 'calendar');
SELECT id AS quick FROM crm.capture_lead('{"name": "Quick"}') \gset
SELECT c.metric, c.state, c.due_at - c.started_at AS target FROM crm.clock_state('leads', :quick) AS c;
INSERT INTO crm.activities (kind, subject, direction, related_table, related_id) VALUES ('call', 'tried', 'out', 'leads', :quick), ('mail', 'in', 'in', 'leads', :quick);
SELECT l.first_response_at IS NULL AS waiting FROM crm.leads AS l WHERE l.id = :quick;
UPDATE crm.activities SET done_at = now() WHERE related_id = :quick AND kind = 'call';
SELECT l.first_response_at = now() AS answered FROM crm.leads AS l WHERE l.id = :quick;
SELECT c.metric, c.state FROM crm.clock_state('leads', :quick) AS c;

-- conversion
SELECT l.id AS ada FROM crm.leads AS l WHERE l.email_key = 'ada@example.com' \gset
INSERT INTO crm.activities (kind, subject, related_table, related_id) VALUES ('note', 'wants pumps', 'leads', :ada), ('task', 'call back', 'leads', :ada);
SELECT (crm.move_lead(:ada, 'qualified')).id = :ada AS moved;
UPDATE crm.leads SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.code = 'converted' AND s.pipeline_id = leads.pipeline_id) WHERE id = :ada;
SELECT c.contact_matched_by, c.account_matched_by, c.opportunity_id IS NOT NULL AS deal, c.activities_carried
FROM crm.convert_lead(:ada, true, '{"expected_close_date": "2030-01-31"}') AS c;
SELECT l.closed_at IS NOT NULL AS closed, s.code, t.name, t.title, a.name AS account, o.name AS deal, o.amount, o.currency, o.lead_source, o.expected_close_date, t.preferences
FROM crm.leads AS l JOIN crm.stages AS s ON s.id = l.stage_id JOIN crm.contacts AS t ON t.id = l.contact_id JOIN crm.accounts AS a ON a.id = l.account_id
JOIN crm.opportunities AS o ON o.id = l.opportunity_id WHERE l.id = :ada;
SELECT p.kind, p.value_key, p.is_primary FROM crm.contact_points AS p JOIN crm.leads AS l ON l.contact_id = p.contact_id WHERE l.id = :ada ORDER BY 1;
SELECT count(*) FROM crm.activities AS v JOIN crm.leads AS l ON l.contact_id = v.contact_id AND l.account_id = v.account_id WHERE l.id = :ada;
-- what comes later is seen there too
INSERT INTO crm.activities (kind, subject, related_table, related_id) VALUES ('note', 'later', 'leads', :ada);
SELECT count(*) FROM crm.activities AS v JOIN crm.leads AS l ON l.contact_id = v.contact_id WHERE l.id = :ada;
-- again: the same answer
SELECT (crm.convert_lead(:ada, true)).opportunity_id = l.opportunity_id AS same, (SELECT count(*) FROM crm.opportunities AS o WHERE o.contact_id = l.contact_id) AS deals FROM crm.leads AS l WHERE l.id = :ada;
-- the same company, another person; the same person, a new lead
SELECT l.account_id IS NOT NULL AS known, l.contact_id FROM crm.capture_lead('{"name": "Bob", "company": "ENGINES  ltd.", "email": "bob@example.com"}') AS l;
SELECT c.contact_matched_by, c.account_matched_by FROM crm.leads AS l, crm.convert_lead(l.id) AS c WHERE l.email_key = 'bob@example.com';
SELECT l.capture_count, l.contact_id = x.contact_id AS known FROM crm.capture_lead('{"email": "ada@example.com", "company": "Other"}') AS l, crm.leads AS x WHERE x.id = :ada;
SELECT c.contact_matched_by, c.account_matched_by, c.activities_carried FROM crm.leads AS l, crm.convert_lead(l.id) AS c WHERE l.email_key = 'ada@example.com' AND l.converted_at IS NULL;
SELECT count(*) FROM crm.contacts AS t JOIN crm.contact_points AS p ON p.contact_id = t.id WHERE p.value_key = 'ada@example.com';
-- no company, no account
SELECT c.account_id, c.contact_matched_by FROM crm.leads AS l, crm.convert_lead(l.id) AS c WHERE l.name = 'Lead 1';
SELECT crm.convert_lead(-1);
SELECT crm.convert_lead(l.id, true, '{"probability": 5}') FROM crm.leads AS l WHERE l.name = 'Lead 2';
SELECT crm.convert_lead(l.id, contact_id => -5) FROM crm.leads AS l WHERE l.name = 'Lead 2';

-- disqualification and return
SELECT l.id AS two FROM crm.leads AS l WHERE l.name = 'Lead 2' \gset
SELECT crm.disqualify_lead(:two, 'bored');
SELECT crm.disqualify_lead(:two, 'other');
SELECT crm.disqualify_lead(:two, NULL);
SELECT s.code, l.disqualification_reason, l.recycle_at - l.closed_at AS back_in FROM crm.disqualify_lead(:two, 'timing') AS l JOIN crm.stages AS s ON s.id = l.stage_id;
SELECT crm.convert_lead(:two);
SELECT crm.next_recycle_at() = l.recycle_at AS next FROM crm.leads AS l WHERE l.id = :two;
SELECT crm.recycle_due_leads(now() + interval '89 days'), crm.recycle_due_leads(now() + interval '91 days');
SELECT s.code, l.disqualification_reason, l.recycle_at, l.recycle_count, l.closed_at FROM crm.leads AS l JOIN crm.stages AS s ON s.id = l.stage_id WHERE l.id = :two;
SELECT crm.recycle_lead(:two);
SELECT (crm.disqualify_lead(:two, 'other', 'moved away')).closed_at IS NOT NULL AS gone;
SELECT s.code, l.recycle_count FROM crm.recycle_lead(:two, 'working') AS l JOIN crm.stages AS s ON s.id = l.stage_id;
SELECT crm.recycle_lead(:ada);
SELECT crm.move_lead(:ada, 'new');
-- asking again brings a lead back, spam stays out
SELECT (crm.disqualify_lead(l.id, 'no_budget')).closed_at IS NOT NULL AS closed FROM crm.leads AS l WHERE l.email_key = 'charles@example.com';
SELECT l.closed_at, l.recycle_count FROM crm.capture_lead('{"email": "charles@example.com"}') AS l;
SELECT (crm.disqualify_lead(l.id, 'spam')).closed_at IS NOT NULL AS closed FROM crm.leads AS l WHERE l.email_key = 'charles@example.com';
SELECT l.closed_at IS NOT NULL AS closed, l.capture_count FROM crm.capture_lead('{"email": "charles@example.com"}') AS l;
SELECT p.moved, s.code FROM crm.stage_periods AS p JOIN crm.stages AS s ON s.id = p.stage_id WHERE p.subject_table = 'leads' AND p.subject_id = :two ORDER BY p.seq;

SELECT v.lead_source, v.leads, v.converted, v.disqualified, v.conversion FROM crm_analytics.lead_campaigns AS v ORDER BY v.lead_source NULLS LAST, v.leads;
ROLLBACK;
