-- The outbox: no consent, no message, whoever writes; templates; senders; what became of messages.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
BEGIN;
SET LOCAL client_min_messages = warning;
UPDATE crm.tenants SET time_zone = 'Europe/Berlin' WHERE tenant_id = 1;
INSERT INTO crm.accounts (id, name) VALUES (98501, 'Acme & Sons');
INSERT INTO crm.contacts (id, name, account_id, title, language) VALUES (98501, 'Ada <b>', 98501, NULL, 'en'), (98502, 'Ben', NULL, 'Dr', 'fa'), (98503, 'Cleo', NULL, NULL, NULL);
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (98501, 'email', 'Ada@Example.org'), (98502, 'email', 'ben@example.org'), (98502, 'mobile', '+989121234567'), (98503, 'email', 'cleo@example.org');
INSERT INTO crm.leads (id, name, email, phone) VALUES (98501, 'Lea', 'lea@example.org', '+49 30 1234567');

-- ---- no consent, no row: INSERT, COPY, MERGE, functions ----
\set VERBOSITY default
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (98501, 'marketing', 'ada@example.org', 'x');
\set VERBOSITY terse
COPY crm.outbound_messages (subject_id, purpose, address, body) FROM stdin;
98501	marketing	ada@example.org	x
\.
MERGE INTO crm.outbound_messages AS m USING (VALUES (98501)) AS v (id) ON m.subject_id = v.id
    WHEN NOT MATCHED THEN INSERT (subject_id, purpose, address, body) VALUES (98501, 'marketing', 'ada@example.org', 'x');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) SELECT 98501, 'newsletter', 'ada@example.org', 'x' ON CONFLICT DO NOTHING;
DO $$ BEGIN INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (98501, 'marketing', 'ada@example.org', 'x');
EXCEPTION WHEN SQLSTATE 'CR701' THEN RAISE WARNING 'refused with CR701'; END $$;
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body, state) VALUES (98501, 'marketing', 'ada@example.org', 'x', 'sent');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (98501, 'parties', 'ada@example.org', 'x');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (98501, 'service', 'no address at all', 'x');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (NULL, 'service', 'ada@example.org', 'x');
SELECT count(*) AS rows FROM crm.outbound_messages;
-- what needs none goes
INSERT INTO crm.outbound_messages (id, subject_id, purpose, address, body, due_at) VALUES (98501, 98501, 'service', 'ada@example.org', 'Your order {{unsubscribe_url}}', now() + interval '1 second')
RETURNING state, address_key, consent_id IS NULL AS none;
-- with consent; of one address, of any of the person's
SELECT (crm.record_consent('contacts', c, 'marketing', 'email', true, 'form', now() - interval '1 day', a)).state
FROM (VALUES (98501, NULL), (98502, 'ben@example.org')) AS v (c, a);
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (98501, 'marketing', 'somebody@else.org', 'x');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (98502, 'marketing', 'ben@other.org', 'x');
INSERT INTO crm.outbound_messages (id, subject_id, purpose, address, body, subject) VALUES (98502, 98501, 'marketing', 'ADA@example.org', 'x', 'Offer') RETURNING state, address_key, consent_id IS NOT NULL AS rests;
-- nor by a change
UPDATE crm.outbound_messages SET purpose = 'newsletter' WHERE id = 98502;
UPDATE crm.outbound_messages SET address = 'somebody@else.org' WHERE id = 98502;
UPDATE crm.outbound_messages SET channel = 'sms' WHERE id = 98502;
-- a suppressed address gets nothing
SELECT (crm.suppress('email', 'ada@example.org', 'request', 'letter')).reason;
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (98501, 'service', 'Ada@example.org', 'x');
SELECT (crm.lift_suppression(id, 'mistake')).lifted_because FROM crm.suppressions;
-- diverted instead of refused, as the company says
INSERT INTO crm.sending_settings (without_consent, from_address) VALUES ('divert', 'news@acme.example');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, body) VALUES (98503, 'marketing', 'cleo@example.org', 'x'), (98502, 'marketing', 'not an address', 'x') RETURNING state, reason;
SELECT count(*) AS told FROM crm.events WHERE kind = 'outbound.suppressed';
UPDATE crm.outbound_messages SET state = 'queued' WHERE reason = 'never given';
UPDATE crm.sending_settings SET without_consent = 'refuse';

-- ---- templates ----
\set VERBOSITY default
INSERT INTO crm.message_templates (code, subject, body) VALUES ('offer', 'For {{nme}}', '<p>{{account.nme}} {{custom.size}} {{owner.name}}</p>');
\set VERBOSITY terse
INSERT INTO crm.message_templates (code, subject, body) VALUES ('offer', 'x', '<a href="{{name}}">x</a>');
INSERT INTO crm.message_templates (code, subject, body) VALUES ('offer', 'x', '<p>{{name</p>');
INSERT INTO crm.message_templates (code, subject, body) VALUES ('offer', 'x', '<p onclick="x()">{{name}}</p>');
INSERT INTO crm.message_templates (code, subject, body) VALUES ('offer', 'x', '{{link ftp://x}}');
INSERT INTO crm.message_templates (code, subject, body) VALUES ('offer', '{{unsubscribe_url}}', 'x');
INSERT INTO crm.message_templates (code, body) VALUES ('offer', 'x');
INSERT INTO crm.message_templates (id, code, language, subject, body) VALUES
    (98501, 'offer', 'en', 'For {{name}} & {{account.name}}', '<p>Dear {{title|friend}} {{name}}, {{data.price}} until {{data.until|soon}}. <a href="{{link https://acme.example/?a=1&b=2}}">Look</a> or <a href="{{unsubscribe_url}}">leave</a></p>'),
    (98502, 'offer', 'fa', 'برای {{name}}', '<p>{{title}} {{name}}: {{data.price}}، {{created_at}}. <a href="{{unsubscribe_url}}">لغو</a></p>')
RETURNING format, variables;
INSERT INTO crm.message_templates (id, code, channel, language, body) VALUES (98503, 'offer', 'sms', 'fa', '{{name}} {{data.price}} {{link https://acme.example/}}') RETURNING format, variables;
INSERT INTO crm.message_templates (id, code, channel, language, subject_table, body) VALUES (98504, 'offer', 'sms', 'en', 'leads', '{{name}}: {{company}}');
SELECT r.subject, r.body, r.direction, r.links FROM crm.render_template(98501, 'contacts', 98501, '{"price": 12.500, "until": "{{unsubscribe_url}}"}') AS r;
UPDATE crm.contacts SET created_at = '2026-03-20 23:30+01' WHERE id = 98502;
\a
SELECT r.subject, r.body, r.direction FROM crm.render_template(98502, 'contacts', 98502, '{"price": 1250.75}') AS r;
\a
\a
SELECT r.subject, r.body, r.format FROM crm.render_template(98503, 'contacts', 98502, '{"price": [1, "b"]}') AS r;
\a
SELECT r.body FROM crm.render_template(98504, 'leads', 98501) AS r;
SELECT r.body FROM crm.render_template(98504, 'contacts', 98501) AS r;
SELECT r.body FROM crm.render_template(1, 'contacts', 98501) AS r;
SELECT m.language, m.code FROM unnest('{98501,98502,98503}'::bigint[]) AS c, crm.message_templates AS m WHERE m.id = crm.find_template('offer', 'email', 'contacts', c) ORDER BY c;
SELECT crm.find_template('news', 'email', 'contacts', 98501);

-- ---- senders ----
SELECT q.state, q.address, q.template_id FROM crm.queue_message('offer', 'contacts', 98502, 'marketing', data => '{"price": 10}', dedupe_key => 'step 1') AS q;
SELECT crm.queue_message('offer', 'contacts', 98502, 'marketing', data => '{"price": 10}', dedupe_key => 'step 1');
SELECT crm.queue_message('offer', 'contacts', 98503, 'service', 'chat');
SELECT count(*) AS nobody_could_leave FROM crm.claim_messages('s1');
SELECT id > 98502 AS templated, state, reason FROM crm.outbound_messages WHERE state IN ('failed', 'sending') ORDER BY 1, 2, 3;
SELECT (crm.retry_message(id)).state AS again FROM crm.outbound_messages WHERE state = 'failed';
UPDATE crm.sending_settings SET link_base = 'https://acme.example/m/', track_opens = true;
CREATE TEMP TABLE given AS SELECT * FROM crm.claim_messages('s1', as_of => now() + interval '1 second');
CREATE FUNCTION pg_temp.shown(text) RETURNS text LANGUAGE sql AS $$ SELECT regexp_replace($1, '([uco]|<m)\d+\.(\d+)\.[A-Za-z0-9_-]{22}', '\1-token-\2', 'g') $$;
\a
SELECT attempt, maybe_sent, pg_temp.shown(message_id) AS message_id, address, subject, pg_temp.shown(body) AS body, direction, pg_temp.shown(headers::text) AS headers FROM given ORDER BY address, subject;
\a
SELECT count(*) AS for_another FROM crm.claim_messages('s2', as_of => now() + interval '1 second');
SELECT count(*) AS tokens_kept FROM crm.outbound_messages AS m, given AS g WHERE m.id = g.id AND m.body LIKE '%acme.example/m/%';
-- one leaves between claim and start
SELECT id AS ben FROM given WHERE address = 'ben@example.org' \gset
SELECT id AS ada FROM given WHERE subject = 'Offer' \gset
SELECT crm.message_sent(:ada);
SELECT crm.start_message(:ada, 1, as_of => now() + interval '2 seconds') AS goes, crm.start_message(:ada, 2, as_of => now() + interval '2 seconds') AS another_try;
SELECT o.outcome, o.written FROM given AS g, crm.opt_out(regexp_replace(g.headers ->> 'List-Unsubscribe', '^<.*/|>$', '', 'g'), as_of => now()) AS o WHERE g.id = :ben;
SELECT crm.start_message(:ben, 1, as_of => now() + interval '2 seconds') AS goes;
SELECT state, reason FROM crm.outbound_messages WHERE id = :ben;
SELECT e.kind, e.provider FROM crm.delivery_events AS e WHERE e.message_id = :ben;
SELECT state, sent_at IS NOT NULL AS at FROM crm.message_sent(:ada, 'q1');
SELECT state, provider_id FROM crm.message_sent(:ada, 'q2');
UPDATE crm.outbound_messages SET state = 'queued' WHERE id = :ada;
-- tries, back-off, dead letters
SELECT id AS order_id, attempt FROM given WHERE id = 98501 \gset
SELECT crm.start_message(:order_id, 1, as_of => now() + interval '2 seconds') AS goes;
SELECT state, due_at - now() AS wait, reason FROM crm.message_failed(:order_id, 1, '451 try later', as_of => now());
SELECT count(*) AS too_early FROM crm.claim_messages('s1', as_of => now() + interval '4 minutes');
SELECT attempt FROM crm.claim_messages('s1', lease => '1 minute', as_of => now() + interval '5 minutes');
SELECT state, due_at - now() AS wait FROM crm.message_failed(:order_id, 2, '451 try later', as_of => now());
SELECT state, attempts AS not_mine FROM crm.message_failed(:order_id, 1, 'late', as_of => now());
UPDATE crm.sending_settings SET most_attempts = 3;
SELECT attempt FROM crm.claim_messages('s1', lease => '1 minute', as_of => now() + interval '10 minutes');
SELECT state, reason FROM crm.message_failed(:order_id, 3, '451 again', as_of => now());
SELECT (crm.retry_message(:order_id)).state;
-- a claim lapses: not begun it is given out again, begun it is uncertain and held
SELECT id = :order_id AS it, attempt FROM crm.claim_messages('s1', lease => '1 minute', as_of => now());
SELECT id = :order_id AS it, attempt FROM crm.claim_messages('s2', lease => '1 minute', as_of => now() + interval '61 seconds');
SELECT crm.start_message(:order_id, 4, as_of => now() + interval '62 seconds') AS the_late_one, crm.start_message(:order_id, 5, '1 minute', as_of => now() + interval '62 seconds') AS goes;
SELECT count(*) AS held FROM crm.claim_messages('s1', as_of => now() + interval '5 minutes');
SELECT state, reason FROM crm.outbound_messages WHERE id = :order_id;
SELECT maybe_sent, attempt, message_id = (SELECT g.message_id FROM given AS g WHERE g.id = c.id) AS same_message_id FROM crm.claim_messages('s1', uncertain => true, as_of => now() + interval '5 minutes') AS c;
SELECT state FROM crm.message_sent(:order_id);

-- ---- what became of it ----
SELECT message_id AS mid FROM given WHERE id = :ada \gset
SELECT e.kind, e.hard FROM crm.record_delivery_event('mta', 'e1', 'delivered', :'mid') AS e;
SELECT count(DISTINCT (crm.record_delivery_event('mta', 'e2', 'open', :'mid')).id) AS once FROM generate_series(1, 3);
SELECT crm.record_delivery_event('mta', 'e3', 'vanished', :'mid');
SELECT crm.record_delivery_event('mta', 'e3', 'open', '<m1.0.AAAAAAAAAAAAAAAAAAAAAA@acme.example>');
SELECT crm.record_delivery_event('', '', 'open', :'mid');
SELECT regexp_replace(substring(g.body FROM 'src="https://acme.example/m/([^"]+)'), '&amp;', '&') AS pixel FROM given AS g WHERE g.body ~ 'src=' LIMIT 1 \gset
SELECT crm.record_open(:'pixel') AS known, crm.record_open(:'pixel') AS again, crm.record_open('guess') AS guessed, crm.record_open(overlay(:'pixel' placing 'u' from 1 for 1)) AS other_kind;
-- a link is followed to where the message says, and nowhere else
INSERT INTO crm.outbound_messages (id, subject_id, purpose, address, template_id, data) VALUES (98510, 98501, 'marketing', 'ada@example.org', 98501, '{"price": 3}');
SELECT substring(c.body FROM 'href="https://acme.example/m/(c[^"]+)') AS link FROM crm.claim_messages('s1', as_of => now() + interval '6 minutes') AS c \gset
SELECT crm.follow_link(:'link') AS url, crm.follow_link(:'link') AS again;
SELECT crm.follow_link(left(:'link', -1) || CASE right(:'link', 1) WHEN 'A' THEN 'B' ELSE 'A' END);
SELECT kind, count(*), min(url) AS url FROM crm.delivery_events GROUP BY 1 ORDER BY 1;
-- the token of another company
SELECT tenant_id AS other FROM crm.create_tenant('Other', language => 'fa') \gset
SET LOCAL crm.tenant = :other;
SELECT crm.follow_link(:'link');
SELECT * FROM crm.opt_out(replace(:'link', 'c', 'u'));
\set VERBOSITY sqlstate
SELECT crm.record_delivery_event('mta', 'e9', 'complaint', :'mid');
\set VERBOSITY terse
SET LOCAL crm.tenant = 1;
-- hard bounces and complaints make suppressions
SELECT e.kind FROM crm.record_delivery_event('mta', 'e4', 'bounce', :'mid', true) AS e;
SELECT e.kind FROM crm.record_delivery_event('mta', 'e5', 'complaint', :'mid') AS e;
SELECT s.address_key, s.reason, s.source FROM crm.suppressions AS s WHERE s.lifted_at IS NULL ORDER BY s.id;
SELECT h.kind, h.channel, h.engaging, h.object, count(*) FROM crm.touches AS h WHERE h.source_system = 'crm.messages' GROUP BY 1, 2, 3, 4 ORDER BY 1, 4;
SELECT v.person, v.purpose, v.state, v.counts, v.consent_source FROM crm_analytics.consent_proof AS v ORDER BY v.person, v.stated_at, v.state;
SELECT e.kind, e.subject_table FROM crm.events AS e WHERE e.kind ~ '^(outbound|delivery|suppression)\.' ORDER BY e.id;
ROLLBACK;

-- ---- limits and quiet hours ----
BEGIN;
SET LOCAL client_min_messages = warning;
UPDATE crm.tenants SET time_zone = 'Europe/Berlin' WHERE tenant_id = 1;
INSERT INTO crm.contacts (id, name, time_zone) VALUES (98601, 'Ada', NULL), (98602, 'Ben', 'Asia/Tehran'), (98603, 'Cleo', 'Nowhere/Land');
INSERT INTO crm.sending_settings (from_address, link_base) VALUES ('news@acme.example', 'https://acme.example/m/');
SELECT count(crm.record_consent('contacts', c, 'marketing', 'email', true, 'form', '2026-01-01', c || '@example.org')) FROM generate_series(98601, 98603) AS c;
INSERT INTO crm.quiet_hours (purpose, begins, ends) VALUES ('marketing', '21:00', '08:00');
INSERT INTO crm.quiet_hours (channel, begins, ends, days) VALUES ('email', '08:00', '10:00', '{7}');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, subject, body, due_at) SELECT c, 'marketing', c || '@example.org', 'x', 'x', '2026-03-01' FROM generate_series(98601, 98603) AS c;
INSERT INTO crm.outbound_messages (subject_id, purpose, address, subject, body, due_at) SELECT 98601, 'service', '98601@example.org', 'x', 'x', '2026-03-01';
-- Saturday night: Berlin waits until eight, on Sunday until ten; in Tehran it is half past ten
SELECT address FROM crm.claim_messages('s', as_of => '2026-03-28 22:30+01') ORDER BY address;
SELECT m.subject_id, m.due_at AT TIME ZONE 'Europe/Berlin' AS berlin, m.due_at AT TIME ZONE 'Asia/Tehran' AS tehran FROM crm.outbound_messages AS m WHERE m.state = 'queued' ORDER BY 1;
SELECT address FROM crm.claim_messages('s', as_of => '2026-03-29 08:00+02') ORDER BY address;
SELECT m.subject_id, m.due_at AT TIME ZONE 'Europe/Berlin' AS berlin FROM crm.outbound_messages AS m WHERE m.state = 'queued' ORDER BY 1;
SELECT address FROM crm.claim_messages('s', as_of => '2026-03-29 10:00+02') ORDER BY address;
-- two a week; the third waits until the first is a week old
INSERT INTO crm.sending_limits (channel, most, period) VALUES ('email', 2, '7 days');
SELECT crm.start_message(m.id, 1, as_of => m.claimed_until - interval '1 minute') FROM crm.outbound_messages AS m WHERE m.subject_id = 98601 AND m.purpose = 'marketing' AND m.state = 'sending';
SELECT (crm.message_sent(m.id, as_of => '2026-03-29 10:00+02')).state FROM crm.outbound_messages AS m WHERE m.subject_id = 98601 AND m.purpose = 'marketing' AND m.state = 'sending';
INSERT INTO crm.outbound_messages (id, subject_id, purpose, address, subject, body, due_at) SELECT 98600 + g, 98601, 'marketing', '98601@example.org', 'x', 'x', '2026-03-30' FROM generate_series(1, 2) AS g;
SELECT count(*) AS one_more FROM crm.claim_messages('s', as_of => '2026-03-30 12:00+02');
SELECT m.due_at AT TIME ZONE 'Europe/Berlin' AS berlin FROM crm.outbound_messages AS m WHERE m.state = 'queued';
UPDATE crm.outbound_messages SET expires_at = '2026-04-01' WHERE state = 'queued';
SELECT count(*) AS expired FROM crm.claim_messages('s', as_of => '2026-04-05 12:00+02');
SELECT state, reason FROM crm.outbound_messages WHERE expires_at IS NOT NULL;
ROLLBACK;

-- ---- whom a campaign holds out, and one that is partitioned ----
BEGIN;
SET LOCAL client_min_messages = warning;
INSERT INTO crm.sending_settings (from_address, link_base) VALUES ('news@acme.example', 'https://acme.example/m/');
INSERT INTO crm.contacts (id, name) VALUES (98651, 'Ada'), (98652, 'Ben');
INSERT INTO crm.campaigns (id, name) VALUES (98651, 'Spring');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, subject, body, campaign_id) SELECT c, 'service', c || '@example.org', 'x', 'x', 98651 FROM generate_series(98651, 98652) AS c;
INSERT INTO crm.outbound_messages (subject_id, purpose, address, subject, body, campaign_id) VALUES (98651, 'service', 'x@example.org', 'x', 'x', 98999);
SET LOCAL session_replication_role = replica;
INSERT INTO crm.campaign_members (campaign_id, contact_id, held_out, status, draw) VALUES (98651, 98652, true, 'held_out', 0);
SET LOCAL session_replication_role = origin;
SELECT count(*) AS claimed, count(crm.start_message(c.id, c.attempt)) AS begun, count(crm.message_sent(c.id)) AS sent FROM crm.claim_messages('s') AS c;
SELECT m.subject_id, m.state, m.reason FROM crm.outbound_messages AS m ORDER BY 1;
SELECT h.kind, h.campaign_id, h.contact_id FROM crm.touches AS h WHERE h.source_system = 'crm.messages';
-- an owner who has indexes of another shape: the query says the same
SELECT count(crm.record_consent('contacts', 98651, 'marketing', 'email', g, 'form', now() - interval '1 day', '98651@example.org')) FROM unnest('{true}'::boolean[]) AS g;
DROP INDEX crm.suppressions_address_idx;
SELECT m.reason, d.allowed, d.reason FROM unnest('{98651@example.org,other@example.org}'::text[]) WITH ORDINALITY AS a (address, n), crm.may_contact('contacts', 98651, 'marketing', 'email', a.address) AS m,
    crm.contact_decision(1, 'contacts', 98651, 'marketing', 'email', a.address, NULL) AS d ORDER BY a.n;
INSERT INTO crm.outbound_messages (subject_id, purpose, address, subject, body) VALUES (98651, 'marketing', 'other@example.org', 'x', 'x');
INSERT INTO crm.outbound_messages (subject_id, purpose, address, subject, body) VALUES (98651, 'marketing', '98651@example.org', 'x', 'x') RETURNING state;
ROLLBACK;

-- ---- who may what ----
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE ROLE regress_sending_agent; CREATE ROLE regress_sending_sender;
INSERT INTO crm.users (id, name) VALUES (98701, 'Agent'), (98702, 'Sender'), (98709, 'Other');
SELECT (crm.grant_access('regress_sending_agent', 'agent', 98701)).access, (crm.grant_access('regress_sending_sender', 'admin', 98702)).access;
INSERT INTO crm.contacts (id, name, owner_id) VALUES (98701, 'Mine', 98701), (98702, 'Theirs', 98709);
SELECT count(crm.record_consent('contacts', 98701, 'marketing', 'email', true, 'form', now() - interval '1 day', 'mine@example.org'));
INSERT INTO crm.sending_settings (from_address, link_base) VALUES ('news@acme.example', 'https://acme.example/m/');
SET ROLE regress_sending_agent;
INSERT INTO crm.outbound_messages (id, subject_id, purpose, address, subject, body) VALUES (98701, 98701, 'marketing', 'mine@example.org', 'x', 'x') RETURNING state;
\set VERBOSITY default
INSERT INTO crm.outbound_messages (subject_id, purpose, address, subject, body) VALUES (98702, 'marketing', 'theirs@example.org', 'x', 'x');
\set VERBOSITY terse
INSERT INTO crm.outbound_messages (subject_id, purpose, address, subject, body) VALUES (98702, 'service', 'theirs@example.org', 'x', 'x');
UPDATE crm.outbound_messages SET state = 'sending', claimed_by = 'me', claimed_until = now() WHERE id = 98701;
SELECT crm.claim_messages('me');
SELECT (crm.cancel_message(98701)).state, (crm.retry_message(98701)).state AS again;
SET ROLE regress_sending_sender;
SELECT count(*) AS claimed FROM crm.claim_messages('s');
SET ROLE regress_sending_agent;
DELETE FROM crm.outbound_messages WHERE id = 98701;
UPDATE crm.outbound_messages SET subject = 'other' WHERE id = 98701;
SELECT crm.cancel_message(98701);
SELECT count(*) FROM crm_internal.link_keys;
RESET ROLE;
ROLLBACK;
