-- Consent: the last statement counts, by the time it was made; suppressions are stronger; who leaves is told the truth.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\set VERBOSITY terse
BEGIN;
SET LOCAL client_min_messages = warning;
INSERT INTO crm.contacts (id, name) VALUES (98001, 'Ada'), (98002, 'Ben');
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (98002, 'email', 'Ben@example.org');
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'marketing', 'email') AS m;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'service', 'email') AS m;
-- the later statement counts, although it is written down first
SELECT c.state, c.source FROM crm.record_consent('contacts', 98001, 'marketing', 'email', false, 'call', now() - interval '1 day', wording => 'No more, please') AS c;
SELECT c.state FROM crm.record_consent('contacts', 98001, 'marketing', 'email', true, 'form signup', now() - interval '9 days', text_version => 'v3') AS c;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'marketing', 'email') AS m;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'marketing', 'email', as_of => now() - interval '2 days') AS m;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'marketing', 'sms') AS m;
-- at one instant no is stronger
SELECT count(crm.record_consent('contacts', 98002, 'marketing', 'email', g, 'call', now() - interval '1 hour')) FROM unnest('{false,true}'::boolean[]) AS g;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98002, 'marketing', 'email') AS m;
SELECT p.state, p.counts, p.source, p.text_version, p.wording FROM crm.consent_proof('contacts', 98001) AS p;
-- nobody rewrites what was said
UPDATE crm.consents SET state = 'given' WHERE subject_id = 98001;
DELETE FROM crm.consents WHERE subject_id = 98001;
-- an address that bounces gets nothing, however it is written
SELECT c.state FROM crm.record_consent('contacts', 98002, 'marketing', 'email', true, 'form') AS c;
SELECT s.address_key, s.reason FROM crm.suppress('email', 'Ben@Example.ORG', 'bounce', 'mail server') AS s;
SELECT m.allowed, m.reason FROM unnest('{ben@example.org,BEN@EXAMPLE.ORG,ben@other.org,nonsense}'::text[]) WITH ORDINALITY AS a (address, n), crm.may_contact('contacts', 98002, 'marketing', 'email', a.address) AS m ORDER BY a.n;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98002, 'service', 'email', 'ben@example.org') AS m;
SELECT count(DISTINCT (crm.suppress('email', a, 'bounce', 'mail server')).id) AS one FROM unnest('{ben@example.org,Ben@example.org}'::text[]) AS a;
SELECT crm.lift_suppression(s.id, '') FROM crm.suppressions AS s;
SELECT l.lifted_because FROM crm.suppressions AS s, crm.lift_suppression(s.id, 'a new server') AS l;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98002, 'marketing', 'email', 'ben@example.org') AS m;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98002, 'service', 'sms', '+49 30 1234567') AS m;
-- double opt-in: counts once it is confirmed
SELECT c.state FROM crm.record_consent('contacts', 98001, 'newsletter', 'email', true, 'form', now() - interval '1 hour', 'ada@example.org') AS c;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'newsletter', 'email') AS m;
SELECT e.payload ->> 'token' AS token, e.payload ->> 'address' AS address FROM crm.events AS e WHERE e.kind = 'consent.confirm' \gset
SELECT :'address' AS address, count(*) AS kept_nowhere_else FROM crm.consents AS c WHERE to_jsonb(c)::text LIKE '%' || :'token' || '%';
SELECT crm.confirm_consent('guess');
SELECT crm.confirm_consent(:'token', now() + interval '40 days');
SELECT c.state, c.source FROM crm.confirm_consent(:'token') AS c;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'newsletter', 'email') AS m;
SELECT count(*) AS confirmed_once FROM (SELECT crm.confirm_consent(:'token')) AS x, crm.consents AS c WHERE c.subject_id = 98001 AND c.purpose = 'newsletter' AND c.state = 'given';
-- one click and out, and the truth about it
SELECT crm.make_opt_out_token('contacts', 98001, 'newsletter', 'email', 'ada@example.org') AS token \gset
SELECT * FROM crm.opt_out('guess');
SELECT * FROM crm.opt_out(:'token', as_of => now() + interval '1 second');
SELECT * FROM crm.opt_out(:'token', as_of => now() + interval '2 seconds');
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'newsletter', 'email', as_of => now() + interval '3 seconds') AS m;
SELECT crm.confirm_consent(e.payload ->> 'token', now() + interval '4 seconds') FROM crm.events AS e WHERE e.kind = 'consent.confirm';
-- everything: purposes that need none are not asked about
SELECT count(crm.record_consent('contacts', 98002, 'marketing', 'email', true, 'form', now() - interval '1 minute'));
SELECT o.outcome, o.written FROM crm.opt_out(crm.make_opt_out_token('contacts', 98002, 'newsletter', 'email'), true, now() + interval '1 second') AS o;
-- what came with a lead, by whatever writer, and goes on with the person
SELECT (crm.capture_lead('{"name": "Eva", "email": "eva@example.org", "channel": "form", "consent": {"email": {"given": true, "at": "2024-05-01T10:00:00Z", "source": "form offer", "text": "Yes please"}, "phone": false, "fax": true}}')).id AS lead \gset
INSERT INTO crm.leads (id, name, consent) VALUES (98001, 'Inserted', '{"email": {"given": true, "at": "not a time"}, "sms": "yes"}');
MERGE INTO crm.leads AS l USING (VALUES (98002)) AS v (id) ON l.id = v.id WHEN NOT MATCHED THEN INSERT (id, name, consent) VALUES (98002, 'Merged', '{"post": {"given": false}}');
COPY crm.leads (id, name, consent) FROM stdin;
98003	Copied	{"sms": {"given": true}}
\.
UPDATE crm.leads SET consent = '{"email": {"given": false, "at": "2025-01-01T00:00:00Z"}}' WHERE id = 98001;
UPDATE crm.leads SET consent = consent, message = 'x' WHERE id = 98001;
SELECT CASE WHEN c.subject_id = :lead THEN 'captured' ELSE l.name END AS lead, c.channel, c.state, c.source, c.wording, c.stated_at < now() AS dated
FROM crm.consents AS c JOIN crm.leads AS l ON l.id = c.subject_id WHERE c.subject_table = 'leads' ORDER BY c.id;
SELECT (crm.convert_lead(:lead)).contact_id AS contact \gset
SELECT p.channel, p.state, p.counts, p.source, p.stated_at = '2024-05-01 10:00+00' AS then FROM crm.consent_proof('contacts', :contact) AS p;
-- events tell of it, in order
SELECT e.kind, e.subject_table, e.cause FROM crm.events AS e WHERE e.kind LIKE 'consent.%' AND e.subject_id IN (98001) AND e.subject_table = 'contacts' ORDER BY e.id;
-- a person of somebody else's, another company, a colleague without rights
CREATE ROLE regress_consent_agent;
INSERT INTO crm.users (id, name) VALUES (98001, 'Agent'), (98009, 'Other');
SELECT (crm.grant_access('regress_consent_agent', 'agent', 98001)).access;
UPDATE crm.contacts SET owner_id = 98009 WHERE id = 98001;
UPDATE crm.contacts SET owner_id = 98001 WHERE id = 98002;
SET ROLE regress_consent_agent;
SELECT crm.record_consent('contacts', 98001, 'marketing', 'email', true, 'call');
SELECT c.state, c.recorded_by FROM crm.record_consent('contacts', 98002, 'marketing', 'phone', true, 'call') AS c;
SELECT m.allowed, m.reason FROM crm.may_contact('contacts', 98001, 'marketing', 'email') AS m;
SELECT count(*) FROM crm.consents AS c WHERE c.subject_table = 'contacts' AND c.subject_id = 98001;
INSERT INTO crm.consents (subject_table, subject_id, purpose, channel, state, source) VALUES ('contacts', 98002, 'marketing', 'sms', 'given', 'me');
SELECT count(*) FROM crm.opt_out_tokens;
RESET ROLE;
-- what cannot be
SELECT crm.record_consent('contacts', 98001, 'parties', 'email', true, 'form');
SELECT crm.record_consent('contacts', 98001, 'marketing', 'fax', true, 'form');
SELECT crm.record_consent('accounts', 98001, 'marketing', 'email', true, 'form');
SELECT crm.record_consent('contacts', 98999, 'marketing', 'email', true, 'form');
SELECT crm.record_consent('contacts', 98001, 'marketing', 'email', true, 'form', now() + interval '2 days');
SELECT crm.record_consent('contacts', 98001, 'marketing', 'email', true, 'form', address => 'nonsense');
SELECT crm.may_contact('contacts', 98001, 'parties', 'email');
SELECT crm.suppress('email', 'nonsense', 'bounce', 'x');
ROLLBACK;

-- merged people have said what either said
BEGIN;
INSERT INTO crm.contacts (id, name) VALUES (98011, 'Ada'), (98012, 'Ada too');
SELECT (crm.record_consent('contacts', 98011, 'marketing', 'email', true, 'form', now() - interval '1 day')).state;
SELECT (crm.record_consent('contacts', 98012, 'marketing', 'email', false, 'call', now() - interval '2 days')).state;
SELECT (crm.merge_contacts(98011, 98012)).id;
SELECT p.state, p.counts, p.source FROM crm.consent_proof('contacts', 98012) AS p;
ROLLBACK;
