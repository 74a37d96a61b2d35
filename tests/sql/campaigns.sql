-- Campaigns: the tree, what may be changed when, costs in any currency, the audience with its hold-out, members and their history.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
\set SHOW_CONTEXT never
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL client_min_messages = warning;
\echo == channels are in the language of the company
SELECT count(*) > 10 AS channels, count(*) FILTER (WHERE direct) AS direct FROM crm.channels;
SELECT tenant_id AS persian FROM crm.create_tenant('Regress campaigns', language => 'fa') \gset
SELECT count(*) = (SELECT count(*) FROM crm.channels AS o WHERE o.tenant_id = 1) AS as_many, bool_and(name ~ '[آ-ی]') AS in_persian
FROM crm.channels WHERE tenant_id = :persian;

SET LOCAL crm.tenant = '1';
\echo == what is no campaign
INSERT INTO crm.campaigns (name, begins_on, ends_on) VALUES ('Backwards', '2026-02-01', '2026-01-31');
INSERT INTO crm.campaigns (name, channels) VALUES ('Nowhere', '{email,pigeon}');
INSERT INTO crm.campaigns (name, hold_out_share) VALUES ('Nobody', 1);
INSERT INTO crm.campaigns (name, status) VALUES ('Odd', 'asleep');
INSERT INTO crm.campaigns (name, budget) VALUES ('Free', 'NaN');

\echo == the tree has no circles
INSERT INTO crm.campaigns (id, code, name, begins_on) VALUES (970001, 'year', 'The year', '2026-01-01');
INSERT INTO crm.campaigns (code, name, parent_id, begins_on, ends_on, hold_out_share, outcome_days, budget, channels, hand_over)
SELECT 'Spring', 'Spring offer', c.id, crm.local_day(1, now()) - 30, crm.local_day(1, now()) + 30, 0.25, 30, 5000, '{email,search}', 'task' FROM crm.campaigns AS c WHERE c.code = 'year';
INSERT INTO crm.campaigns (code, name, parent_id, begins_on)
SELECT 'spring-mail', 'Spring mail', c.id, '2026-03-01' FROM crm.campaigns AS c WHERE c.code = 'Spring';
UPDATE crm.campaigns AS c SET parent_id = x.id FROM crm.campaigns AS x WHERE c.code = 'year' AND x.code = 'spring-mail';
INSERT INTO crm.campaigns (code, name) VALUES ('SPRING', 'Another');
SELECT name, path, depth, main_channel, currency FROM crm_analytics.dim_campaign ORDER BY path;
SELECT c.name, count(*) AS with_below FROM crm.campaign_tree() AS t JOIN crm.campaigns AS c ON c.id = t.root_id GROUP BY 1 ORDER BY 2 DESC;
SELECT c.id AS spring FROM crm.campaigns AS c WHERE c.code = 'Spring' \gset

\echo == costs in any currency, kept right
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount, currency) VALUES (:spring, '2026-03-01', 100, 'EUR');
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2026-03-01', 1.5), ('EUR', 'USD', '2026-03-02', 1.25);
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount, currency) VALUES (:spring, '2026-02-28', 100, 'EUR');
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount, currency, note) VALUES (:spring, '2026-03-01', 100, 'EUR', 'print'), (:spring, '2026-03-02', -20, 'EUR', NULL),
    (:spring, '2026-03-02', 10, NULL, NULL);
SELECT spent_on, channel, amount, currency, cost, note FROM crm_analytics.fact_campaign_costs ORDER BY spent_on, amount;
UPDATE crm.campaign_costs SET spent_on = '2026-03-02' WHERE note = 'print' RETURNING base_amount;
UPDATE crm.campaign_costs SET amount = 200, base_amount = 1 WHERE note = 'print' RETURNING base_amount;
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount, channel) VALUES (:spring, '2026-03-02', 1, 'pigeon');

\echo == another company, in another currency and zone
SET LOCAL crm.tenant = :'persian';
SELECT count(*) AS seen FROM crm.campaigns WHERE tenant_id = crm.tenant_id();
INSERT INTO crm.campaigns (code, name, budget) VALUES ('spring', 'کارزار بهار', 1000000) RETURNING currency, status;
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount) SELECT id, '2026-03-01', 500000 FROM crm.campaigns WHERE tenant_id = :persian RETURNING currency, base_amount, base_currency;
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount, currency) SELECT id, '2026-03-01', 10, 'USD' FROM crm.campaigns WHERE tenant_id = :persian;
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount) VALUES (:spring, '2026-03-01', 1);
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('USD', 'IRR', '2020-01-01', 50000);
UPDATE crm.tenants SET base_currency = 'USD' WHERE tenant_id = :persian;
SELECT base_amount, base_currency FROM crm.campaign_costs WHERE tenant_id = :persian;
SELECT (crm.capture_lead('{"name": "سارا", "email": "sara@example.ir", "campaign": "کارزار بهار", "medium": "تبلیغ کلیکی"}')).campaign_id IS NOT NULL AS linked;
SELECT channel, channel_name, campaign, engaging FROM crm_analytics.fact_touches WHERE tenant_id = :persian;
SET LOCAL crm.tenant = '1';

\echo == the audience: a live segment, a list, an exclusion
INSERT INTO crm.accounts (id, name) VALUES (970001, 'Regress Acme'), (970002, 'Regress Brown');
INSERT INTO crm.contacts (id, name, account_id) SELECT 970000 + n, 'Regress person ' || n, 970001 + n % 2 FROM generate_series(1, 80) AS n;
SELECT (crm.define_segment('{"subject_table": "contacts", "name": "regress low", "where": "$.id <= 970060 && $.id > 970000"}')).kind;
SELECT (crm.define_segment('{"subject_table": "contacts", "name": "regress list", "kind": "static"}')).kind;
SELECT (crm.define_segment('{"subject_table": "accounts", "name": "regress not", "kind": "static"}')).kind;
SELECT crm.add_to_segment('regress list', ARRAY[970061, 970062, 970003]);
INSERT INTO crm.accounts (id, name) VALUES (970003, 'Regress Competitor'); UPDATE crm.contacts SET account_id = 970003 WHERE id IN (970010, 970061);
SELECT crm.add_to_segment('regress not', ARRAY[970003]);
INSERT INTO crm.campaign_audiences (campaign_id, segment_id, excluded) SELECT :spring, s.id, s.name = 'regress not' FROM crm.segments AS s WHERE s.name LIKE 'regress %';
INSERT INTO crm.campaign_variants (campaign_id, code, name, weight, is_control) VALUES (:spring, 'a', 'Plain', 1, true), (:spring, 'b', 'Coloured', 3, false);
INSERT INTO crm.campaign_variants (campaign_id, code, name, is_control) VALUES (:spring, 'c', 'Second control', true);
UPDATE crm.campaigns SET seed = seed + 1 WHERE id = :spring;
-- drawn here so that the test prints the same every day
ALTER TABLE crm.campaigns DISABLE TRIGGER campaigns_before_check;
UPDATE crm.campaigns SET seed = 4711 WHERE id = :spring;
ALTER TABLE crm.campaigns ENABLE TRIGGER campaigns_before_check;
SELECT status, started_at IS NOT NULL AS started FROM crm.move_campaign(:spring, 'running');
SELECT count(*) AS members, count(*) FILTER (WHERE held_out) AS held_out, count(*) FILTER (WHERE held_out AND variant_id IS NOT NULL) AS held_out_with_variant,
       bool_and(held_out = (draw < 0.25)) AS by_draw, bool_and(came_by = 'audience') AS by_audience, bool_and(enrolled_at <= c.started_at) AS before_start
FROM crm.campaign_members AS m JOIN crm.campaigns AS c ON c.id = m.campaign_id WHERE campaign_id = :spring;
SELECT v.code, count(*) FROM crm.campaign_members AS m JOIN crm.campaign_variants AS v ON v.id = m.variant_id WHERE m.campaign_id = :spring GROUP BY 1 ORDER BY 1;
\echo == the draw is stable, and can be checked
SELECT bool_and(m.draw = crm_internal.campaign_draw(4711, 'hold-out', 'contacts ' || m.contact_id)) AS checked FROM crm.campaign_members AS m WHERE campaign_id = :spring;
CREATE TEMP TABLE drawn AS SELECT contact_id, held_out, variant_id FROM crm.campaign_members WHERE campaign_id = :spring;
SELECT crm.enrol_audience(:spring) AS enrolled_again;
UPDATE crm.contacts SET title = 'Other' WHERE id BETWEEN 970001 AND 970080;
UPDATE crm.campaign_members SET held_out = NOT held_out, status = 'enrolled' WHERE contact_id = 970001;
UPDATE crm.campaign_members SET draw = 0.5 WHERE contact_id = 970001;
UPDATE crm.campaigns SET hold_out_share = 0.5 WHERE id = :spring;
UPDATE crm.campaign_variants SET weight = 2 WHERE code = 'a';
UPDATE crm.campaigns SET status = 'planned' WHERE id = :spring;
SELECT count(*) AS changed FROM drawn AS d JOIN crm.campaign_members AS m USING (contact_id) WHERE m.campaign_id = :spring AND (m.held_out, m.variant_id) IS DISTINCT FROM (d.held_out, d.variant_id);
\echo == who comes into the live segment later is enrolled by the worker; whoever writes the row, the draw is ours
INSERT INTO crm.contacts (id, name) VALUES (970000, 'Regress late');
UPDATE crm.segments SET definition = '{"where": "$.id <= 970060 && $.id >= 970000"}' WHERE name = 'regress low';
SELECT crm.advance_campaigns() AS enrolled;
INSERT INTO crm.campaign_members (campaign_id, contact_id, held_out, draw) VALUES (:spring, 970070, false, 0.9) RETURNING held_out, draw <> 0.9 AS drawn;
SELECT (crm.enrol_member(:spring, 'contacts', 970070)).id = (SELECT id FROM crm.campaign_members WHERE contact_id = 970070) AS same_member;
SELECT crm.enrol_member(:spring, 'tickets', 1);
SELECT crm.enrol_member(:spring, 'contacts', -5);
SELECT crm.enrol_member(-1, 'contacts', 970070);

\echo == who is held out is left alone
SELECT min(contact_id) FILTER (WHERE held_out) AS left_alone, min(contact_id) FILTER (WHERE NOT held_out) AS treated, max(contact_id) FILTER (WHERE NOT held_out AND contact_id < 970060) AS other
FROM crm.campaign_members WHERE campaign_id = :spring AND contact_id > 970000 \gset
SELECT crm.is_held_out(:spring, 'contacts', :left_alone) AS left_alone, crm.is_held_out(:spring, 'contacts', :treated) AS treated;
SELECT crm.record_touch('sent', 'email', 'contacts', :left_alone, :spring);
SELECT crm.move_member((SELECT id FROM crm.campaign_members WHERE campaign_id = :spring AND contact_id = :left_alone), 'reached');
SELECT crm.move_member((SELECT id FROM crm.campaign_members WHERE campaign_id = :spring AND contact_id = :treated), 'held_out');
SELECT kind FROM crm.record_touch('visit', 'web', 'contacts', :left_alone, :spring);
SELECT status, responded_at IS NULL AS not_counted FROM crm.campaign_members WHERE campaign_id = :spring AND contact_id = :left_alone;

\echo == touches: once by source key, the member comes on, an answer goes to sales
INSERT INTO crm.users (name, email) VALUES ('Regress seller', 'regress.seller@example.com') RETURNING id AS seller \gset
UPDATE crm.contacts SET owner_id = :seller WHERE id = :treated;
SELECT kind, channel, variant_id IS NOT NULL AS variant, account_id IS NOT NULL AS account FROM crm.record_touch('sent', 'email', 'contacts', :treated, :spring, now() - interval '2 days', source_system => 'mailer', source_id => 'e1');
SELECT kind, base_cost, base_currency FROM crm.record_touch('click', 'email', 'contacts', :treated, :spring, now() - interval '1 day', 'https://example.com/offer', 2, 'eur', 'mailer', 'e2');
SELECT count(DISTINCT r.id) AS touches FROM generate_series(1, 3) AS n, LATERAL crm.record_touch('click', 'email', 'contacts', :treated, :spring, now(), source_system => 'mailer', source_id => 'e2') AS r;
SELECT m.status, m.reached_at < m.responded_at AS in_order FROM crm.campaign_members AS m WHERE campaign_id = :spring AND contact_id = :treated;
SELECT status, cause, left_at IS NULL AS present FROM crm_analytics.campaign_member_history WHERE campaign_id = :spring AND contact_id = :treated ORDER BY status;
SELECT kind, subject, due_at > now() - interval '1 day' AS due FROM crm.activities WHERE contact_id = :treated;
SELECT crm.record_touch('bounce', 'email', 'contacts', :treated, :spring) IS NOT NULL, crm.record_touch('unsubscribe', 'email', 'contacts', :other, :spring) IS NOT NULL;
SELECT m.status FROM crm.campaign_members AS m WHERE campaign_id = :spring AND contact_id IN (:treated, :other) ORDER BY 1;
SELECT crm.record_touch('glance', 'email', 'contacts', :treated);
SELECT crm.record_touch('click', 'pigeon', 'contacts', :treated);
SELECT crm.record_touch('click', 'email', 'contacts', -1);
SELECT crm.record_touch('click', 'email', 'contacts', :treated, -1);
SELECT crm.record_touch('click', 'email', 'contacts', :treated, touched_at => now() + interval '3 days');
SELECT crm.record_touch('click', 'email', 'contacts', :treated, touched_at => '2026-03-05', cost => 1, currency => 'SEK');
SELECT crm.record_touch('click', 'email', 'contacts', :treated, source_system => 'mailer');
INSERT INTO crm.touches (kind, channel) VALUES ('click', 'email');

\echo == leads: utm parameters find the campaign, conversion carries it, and it is a row
SELECT source, medium, campaign, campaign_id = :spring AS linked FROM crm.capture_lead('{"channel": "form", "name": "Regress Ada", "email": "ada@regress.example", "url": "https://x.example/?utm_source=adnet&utm_medium=cpc&utm_campaign=spring"}');
SELECT campaign, campaign_id IS NULL AS unknown FROM crm.capture_lead('{"channel": "form", "name": "Regress Eve", "email": "eve@regress.example", "campaign": "autumn"}');
SELECT l.id AS lead FROM crm.leads AS l WHERE l.name = 'Regress Ada' \gset
SELECT kind, channel, lead_id IS NOT NULL AS lead, campaign_id IS NOT NULL AS campaign FROM crm.touches WHERE source_system = 'crm.lead_captures' AND tenant_id = 1 ORDER BY id;
SELECT status, came_by, held_out FROM crm.campaign_members WHERE lead_id = :lead;
SELECT kind FROM crm.record_touch('reply', 'email', 'leads', :lead, :spring);
SELECT kind, object FROM crm.score_events WHERE lead_id = :lead ORDER BY id;
SELECT opportunity_id AS deal, contact_id AS person FROM crm.convert_lead(:lead, true, '{"amount": 900}') \gset
SELECT o.campaign_id = :spring AS of_campaign FROM crm.opportunities AS o WHERE o.id = :deal;
SELECT status, contact_id IS NOT NULL AS contact FROM crm.campaign_members WHERE lead_id = :lead;
SELECT bool_and(contact_id = :person) AS carried FROM crm.touches WHERE lead_id = :lead;
-- a campaign that is made later; a name that is corrected
INSERT INTO crm.campaigns (code, name) VALUES ('autumn', 'Autumn') RETURNING id AS autumn \gset
SELECT crm.link_leads(:autumn) AS linked;
SELECT l.campaign_id = :autumn AS lead, h.campaign_id = :autumn AS touch FROM crm.leads AS l JOIN crm.touches AS h ON h.lead_id = l.id WHERE l.name = 'Regress Eve';
UPDATE crm.leads SET campaign = 'SPRING OFFER' WHERE name = 'Regress Eve' RETURNING campaign_id = :spring AS by_name;
UPDATE crm.leads SET campaign_id = :autumn WHERE name = 'Regress Eve' RETURNING campaign;
UPDATE crm.leads SET campaign = 'nobody knows' WHERE name = 'Regress Eve' RETURNING campaign_id;
DELETE FROM crm.campaigns WHERE id = :spring;

\echo == activities that come in are touches, and follow the activity
INSERT INTO crm.activities (id, kind, subject, direction, contact_id, done_at) VALUES (970001, 'call', 'Asks', 'in', :other, now()), (970002, 'call', 'We ask', 'out', :other, now()), (970003, 'meeting', 'Later', 'in', :other, NULL);
SELECT source_id, kind, channel FROM crm.touches WHERE source_system = 'crm.activities' ORDER BY source_id;
UPDATE crm.activities SET done_at = now() WHERE id = 970003; UPDATE crm.activities SET direction = 'out' WHERE id = 970001;
SELECT source_id, kind, channel FROM crm.touches WHERE source_system = 'crm.activities' ORDER BY source_id;
INSERT INTO crm.activities (id, kind, subject, direction, contact_id, related_table, related_id, done_at) VALUES (970004, 'call', 'About the offer', 'out', :other, 'campaigns', :spring, now());
SELECT kind, campaign_id = :spring AS of_campaign FROM crm.touches WHERE source_id = '970004';
DELETE FROM crm.activities WHERE id IN (970003, 970004);
SELECT count(*) AS left FROM crm.touches WHERE source_system = 'crm.activities';

\echo == a merge moves touches and memberships; two members become one, and draws that contradict are told
SELECT count(*) AS touches FROM crm.touches WHERE contact_id = :treated;
SELECT (crm.merge_contacts(:left_alone, :treated)).id = :treated AS merged;
SELECT count(*) AS touches FROM crm.touches WHERE contact_id = :treated;
SELECT held_out, status, contradicts, same_as_id IS NULL AS goes_on FROM crm.campaign_members WHERE campaign_id = :spring AND contact_id = :treated ORDER BY same_as_id NULLS FIRST;
SELECT (crm.merge_leads((SELECT id FROM crm.leads WHERE name = 'Regress Eve'), (SELECT id FROM crm.capture_lead(jsonb_build_object('name', 'Regress Eve', 'phone', '+15550100199'))))).name;
SELECT count(DISTINCT lead_id) AS leads, count(*) AS touches FROM crm.touches AS h WHERE EXISTS (SELECT FROM crm.leads AS l WHERE l.id = h.lead_id AND l.name = 'Regress Eve');
DELETE FROM crm.activities WHERE contact_id = :other; DELETE FROM crm.contacts WHERE id = :other;
SELECT count(*) AS of_who_is_gone FROM crm.touches WHERE contact_id = :other;

\echo == the end: by the worker after the last day, and for good
SELECT crm.advance_campaigns(now() + interval '40 days') AS ended;
SELECT status, finished_at IS NOT NULL AS told FROM crm.campaigns WHERE id = :spring;
SELECT crm.move_campaign(:spring, 'running');
SELECT crm.enrol_audience(:spring);
SELECT status FROM crm.move_campaign(:spring, 'finished');
SELECT kind, count(*) FROM crm.events WHERE kind LIKE 'campaign.%' AND subject_id = :spring GROUP BY 1 ORDER BY 1;
SELECT subject_table, registered FROM (SELECT r.subject AS subject_table, r.options ? 'import' AS registered FROM crm.registry AS r WHERE r.subject IN ('campaigns', 'campaign_costs', 'campaign_members', 'touches')) AS x ORDER BY 1;
ROLLBACK;
