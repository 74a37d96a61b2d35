-- Captures as they come: values of the wrong kind, of any size, in any script. No lead is lost, nothing false is kept.
\set SHOW_CONTEXT never
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL client_min_messages = error;
UPDATE crm.tenants SET country = 'DE';
CREATE FUNCTION pg_temp.long() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(md5(i::text), '') FROM generate_series(1, 3200) AS i $$;

-- a hundred thousand characters anywhere
SELECT k, (crm.capture_lead(jsonb_build_object('name', 'Long ' || k, 'channel', 'form') || jsonb_build_object(k, pg_temp.long()))).id > 0 AS kept
FROM unnest('{name,first_name,company,title,email,phone,city,industry,website,language,message,source,medium,campaign,external_id,pipeline,product,currency,priority,form,url,utm_source}'::text[]) AS k;
SELECT (crm.capture_lead(jsonb_build_object('name', 'Long key', 'source_system', 'erp', 'source_id', pg_temp.long()))).id = (crm.capture_lead(jsonb_build_object('name', 'Long key', 'source_system', 'erp', 'source_id', pg_temp.long()))).id AS same,
       (crm.capture_lead(jsonb_build_object('name', 'Other key', 'source_system', 'erp', 'source_id', pg_temp.long() || 'x'))).name AS another;
SELECT (crm.capture_lead(jsonb_build_object('name', 'Message', 'external_id', pg_temp.long()))).id = (crm.capture_lead(jsonb_build_object('name', 'Message', 'external_id', pg_temp.long()))).id AS same_message;
SELECT length(c.payload ->> 'company') AS payload_is_whole FROM crm.lead_captures AS c WHERE c.payload ->> 'name' = 'Long company';

-- values of the wrong kind are left out; the payload keeps them
SELECT l.name, l.email, l.company, l.tags, l.employees, l.amount, l.consent #- '{post,at}' AS consent, l.source, l.owner_id, l.custom
FROM crm.capture_lead('{"name": "Wrong kinds", "email": {"x": 1}, "company": ["a"], "tags": ["a", null, ["x"], {"y": 1}, 5, " "], "employees": "many", "amount": "1e99",
  "consent": {"email": "yes", "phone": {"given": "maybe"}, "post": true, "sms": {"given": false}}, "source": {"a": 1}, "owner_id": "abc", "team_id": 99999, "custom": {"nobody knows": 1},
  "captured_at": "yesterday-ish"}') AS l;
SELECT e.payload ->> 'message' AS told FROM crm.events AS e JOIN crm.leads AS l ON l.id = e.subject_id WHERE e.kind = 'lead.trouble' AND l.name = 'Wrong kinds' ORDER BY 1;
SELECT isfinite(l.created_at) AS finite FROM crm.capture_lead('{"name": "No beginning", "captured_at": "-infinity"}') AS l;
SELECT l.consent FROM crm.capture_lead('{"name": "No consent", "consent": "yes"}') AS l;
SELECT crm.capture_lead('{"name": ["a"], "email": {}}');
SELECT crm.capture_lead('{"name": "\u0001 \n\t"}');
SELECT crm.capture_lead('{"name": "X", "channel": 5}');
SELECT l.name, l.message, l.channel FROM crm.capture_lead('{"name": " Ann\tLee\u0007 ", "message": "two\nlines\u0007", "channel": "FORM"}') AS l;

-- numbers as people type them
SELECT v, l.employees, l.amount FROM unnest('{۱۲۳,٤٥٦,"1,250","12,50",250.0,7.5,-3,۱۲۳٫۵,"1,234,567.25",99999999999}'::text[]) WITH ORDINALITY AS u (v, i),
  LATERAL crm.capture_lead(jsonb_build_object('name', 'Number ' || i, 'employees', v, 'amount', v)) AS l ORDER BY i;
-- tracking parameters are decoded, whatever their case
SELECT u, l.utm, l.source FROM unnest(ARRAY['https://x.example/?utm_source=a%20b+c&utm_campaign=%D8%A8%D9%87%D8%A7%D8%B1', 'https://x.example/?UTM_Source=A&utm_medium=', 'https://x.example/?utm_source=%FF%00&utm_term=50%', 'nothing']) WITH ORDINALITY AS x (u, i),
  LATERAL crm.capture_lead(jsonb_build_object('name', 'Url ' || i, 'url', u)) AS l ORDER BY i;
SELECT l.utm FROM crm.capture_lead('{"name": "Utm", "utm": {"source": 5, "medium": ["a"], "term": " "}, "UTM_Campaign": "Spring"}') AS l;
-- one person, however written
SELECT count(DISTINCT l.id) AS leads FROM (VALUES ('{"email": "  Pia@Example.ORG "}'::jsonb), ('{"from": "Pia P. <pia@example.org>"}'), ('{"email": "pia@example.org", "name": "P"}')) AS v (p), LATERAL crm.capture_lead(p) AS l;
SELECT count(DISTINCT l.id) AS leads FROM (VALUES ('{"phone": "۰۳۰ ۹۰۱۸۲۰", "name": "Q"}'::jsonb), ('{"mobile": "+49 30 901820", "name": "Q"}'), ('{"phone": "0049 (30) 90-1820", "name": "Q"}')) AS v (p), LATERAL crm.capture_lead(p) AS l;
-- a lead that was linked by hand is converted to what it is linked to, where nothing else is known
INSERT INTO crm.accounts (id, name) VALUES (7001, 'Linked Ltd');
INSERT INTO crm.contacts (id, name, account_id) VALUES (7001, 'Linked Lou', NULL);
INSERT INTO crm.leads (id, name, email, company, contact_id, account_id) VALUES (70001, 'Lou', 'lou@example.org', 'Lou and Sons', 7001, 7001), (70002, 'Max', 'max@example.org', NULL, NULL, 7001);
SELECT c.lead_id, c.contact_id = 7001 AS linked_contact, c.contact_matched_by, c.account_id = 7001 AS linked_account, c.account_matched_by
FROM unnest('{70001,70002}'::bigint[]) AS l, LATERAL crm.convert_lead(l) AS c ORDER BY 1;
-- a merged lead stays where it is; what is captured by its key goes to the one it was merged into
INSERT INTO crm.leads (id, name, source_system, source_id) VALUES (70003, 'Kept', NULL, NULL), (70004, 'Merged', 'erp', 'm1');
SELECT (crm.disqualify_lead(70004, 'timing')).closed_at IS NOT NULL AS closed;
UPDATE crm.leads SET merged_into_id = 70003 WHERE id = 70004;
SELECT crm.recycle_due_leads(now() + interval '1000 days') AS recycled;
SELECT l.id, l.title FROM crm.capture_lead('{"source_system": "erp", "source_id": "m1", "name": "Again", "title": "CTO"}') AS l;
SELECT l.closed_at IS NOT NULL AS still_closed, l.title FROM crm.leads AS l WHERE l.id = 70004;
ROLLBACK;
