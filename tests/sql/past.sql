-- As of when: what is said of a past instant does not change when records do, or is not said any more.
\set SHOW_CONTEXT never
BEGIN;
SET LOCAL client_min_messages = warning;
INSERT INTO crm.users (id, db_role, name, access) VALUES (9701, NULL, 'Past One', 'agent'), (9702, NULL, 'Past Two', 'agent');
INSERT INTO crm.territories (id, name) VALUES (9701, 'Past North'), (9702, 'Past South');
INSERT INTO crm.products (id, name, family, tier, list_price) VALUES (9701, 'Small', 'box', 1, 10), (9702, 'Large', 'box', 2, 30), (9703, 'Lid', 'lid', 1, 5);
INSERT INTO crm.accounts (id, name, industry, country, employees, territory_id, owner_id, created_at)
SELECT 9700 + i, 'Past ' || i, 'trade', 'DE', 20, 9701, 9701, now() - interval '300 days' FROM generate_series(1, 12) AS i;
INSERT INTO crm.orders (id, account_id, ordered_at, state)
SELECT 97000 + i, 9701 + i % 12, now() - make_interval(days => 10 + i * 4), CASE i WHEN 60 THEN 'cancelled' ELSE 'placed' END FROM generate_series(1, 60) AS i;
INSERT INTO crm.order_lines (order_id, product_id, quantity, unit_price) SELECT 97000 + i, 9701 + 2 * (i / 12 % 2), 1, 10 + i FROM generate_series(1, 60) AS i;
INSERT INTO crm.loyalty_programmes (name) VALUES ('Past');
INSERT INTO crm.loyalty_tiers (code, name, position) VALUES ('past', 'Past', 1);
INSERT INTO crm.loyalty_rates (points, expires_after_months) VALUES (1, 1);
SELECT (crm.define_score_model('{"name": "past", "rules": [{"name": "german", "when": "$.country == \"DE\"", "points": 20},
  {"name": "visit", "event": "visit", "points": 10, "decay": "half_life", "period": "10 days"}]}')).name;
SELECT (crm.define_segment('{"name": "past germans", "where": "$.country == \"DE\""}')).name;
INSERT INTO crm.leads (id, name, country, employees, industry, source, created_at) SELECT 9700 + i, 'Past lead ' || i, 'DE', 30, 'trade', 'fair', now() - interval '40 days' FROM generate_series(1, 3) AS i;
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (9701, 'visit', now() - interval '5 days'), (9701, 'visit', now() - interval '2 hours');
INSERT INTO crm.opportunities (id, name, account_id, amount, lead_source, product_id, owner_id, created_at) SELECT 9700 + i, 'Past deal ' || i, 9700 + i, 100 * i, 'fair', 9701, 9701, now() - interval '50 days' FROM generate_series(1, 6) AS i;
INSERT INTO crm.tickets (id, subject, account_id, created_at) SELECT 9700 + i, 'Past ticket ' || i, 9701, now() - interval '20 days' FROM generate_series(1, 4) AS i;
INSERT INTO crm.winback_members (campaign, account_id, arm, started_on) SELECT 'past campaign', 9700 + i, CASE WHEN i % 3 = 0 THEN 'control' ELSE 'treated' END, (now() - interval '60 days')::date FROM generate_series(1, 12) AS i;
INSERT INTO crm.invoices (id, account_id, issued_on, due_on) VALUES (9701, 9701, current_date - 30, current_date - 20);
INSERT INTO crm.invoice_lines (invoice_id, description, unit_price) VALUES (9701, 'Work', 100);
UPDATE crm.invoices SET state = 'posted', posted_at = now() - interval '30 days' WHERE id = 9701;
INSERT INTO crm.subscriptions (id, name, account_id, starts_on) VALUES (9701, 'Past', 9701, current_date - 40);
INSERT INTO crm.subscription_lines (id, subscription_id, product_id) VALUES (9701, 9701, 9701);
-- what the test says happened, happened then
UPDATE crm.segment_events SET occurred_at = now() - interval '40 days', recorded_at = now() - interval '40 days' WHERE subject_id IN (9701, 9702, 9703);
UPDATE crm.stage_periods SET period = tstzrange(now() - interval '50 days', NULL) WHERE subject_table = 'opportunities' AND subject_id BETWEEN 9701 AND 9706;
-- the model has had these rules for long
UPDATE crm.score_models SET created_at = now() - interval '90 days' WHERE name = 'past';
DELETE FROM crm.past_values WHERE table_name = 'score_models';
SELECT (crm.start_audit()).active AS audited;
UPDATE crm.audit_choices SET since = now() - interval '60 days';

-- every reader of records with an instant, found in the catalogue; a new argument without a value here is reported
CREATE TEMP TABLE readers AS
SELECT p.oid, p.oid::regproc::text AS name, c.argument, c.call
FROM pg_proc AS p
CROSS JOIN LATERAL (SELECT min(n) FILTER (WHERE n IN ('as_of', 'at')) AS argument FROM unnest(p.proargnames[1:p.pronargs]) AS n) AS i
CROSS JOIN LATERAL (
    SELECT i.argument, string_agg(format('%I => %s', a.name, CASE
        WHEN a.name = i.argument THEN format('(%L::timestamptz)::%s', now() - interval '1 day', a.type::regtype)
        WHEN a.name IN ('subject_table', 'subject_type') THEN CASE WHEN p.proname IN ('segments_of', 'lifecycle_facts', 'best_send_hour') THEN '''leads''' ELSE '''tickets''' END
        WHEN a.name IN ('subject_id', 'lead_id') THEN '9701' WHEN a.name = 'segment' THEN '''past germans''' WHEN a.name = 'segmentation' THEN '''industry'''
        WHEN a.name = 'campaign' THEN '''past campaign''' WHEN a.name = 'table_name' THEN '''accounts''' WHEN a.name = 'id' THEN '9701'
        WHEN a.name = 'account_id' THEN '9701' WHEN a.name = 'min_count' THEN '1' WHEN a.name = 'account_ids' THEN '''{9701,9702,9703}''' WHEN a.name = 'definition' THEN $d$'{"name": "past", "rules": [{"name": "german", "when": "$.country == \"DE\"", "points": 30}]}'$d$
        WHEN a.o > p.pronargs - p.pronargdefaults THEN NULL ELSE 'no value for it' END), ', ')
        FILTER (WHERE a.name = i.argument OR a.name IN ('subject_table', 'subject_type', 'subject_id', 'lead_id', 'segment', 'segmentation', 'min_count', 'definition')
                   OR a.o <= p.pronargs - p.pronargdefaults) AS call
    FROM unnest(p.proargnames[1:p.pronargs], p.proargtypes::oid[]) WITH ORDINALITY AS a (name, type, o)) AS c
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND p.provolatile = 's' AND p.prokind = 'f'
  AND ('as_of' = ANY (p.proargnames[1:p.pronargs]) OR p.proname LIKE '%\_as\_of')
  -- the owner's, for the worker: when what is due next
  AND NOT EXISTS (SELECT FROM crm_internal.function_rules() AS r WHERE r.function = p.oid AND r.class = 'owner')
  -- engines that are given what to compute with; rates of currencies, which are facts of their own; what would happen from now on
  AND p.proname NOT IN ('sla_fold', 'sla_used', 'points_top', 'convert_currency', 'preview_journey')
  -- refuses the past; compares with the rules of today; reads dated consents, for purposes of the owner's: see its own test
  AND p.proname NOT IN ('preview_segment', 'preview_score_model', 'may_contact');
SELECT name AS argument_without_value FROM readers WHERE call LIKE '%no value%';
CREATE FUNCTION pg_temp.answers(name text, call text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE found jsonb;
BEGIN
    EXECUTE format('SELECT jsonb_agg(to_jsonb(x)) FROM %s(%s) AS x', name, call) INTO found;
    RETURN coalesce(found, '[]');
END
$$;
CREATE TEMP TABLE before AS
SELECT r.name, r.call, pg_temp.answers(r.name, r.call) AS said FROM readers AS r
UNION ALL
SELECT 'crm_analytics.segment_contribution', format('segmentation => %L, as_of => %L', s, (now() - interval '1 day')::date),
       pg_temp.answers('crm_analytics.segment_contribution', format('segmentation => %L, as_of => %L', s, (now() - interval '1 day')::date))
FROM unnest('{country,kind,territory,owner,need}'::text[]) AS s;
SELECT count(*) > 15 AS many, count(*) FILTER (WHERE said = '[]') AS silent FROM before;
SELECT name FROM before WHERE said = '[]' ORDER BY name COLLATE "C";

-- everything changes
UPDATE crm.accounts SET industry = 'arms', country = 'FR', employees = 2000, territory_id = 9702, owner_id = 9702, kind = 'household', tags = '{}' WHERE id BETWEEN 9701 AND 9712;
UPDATE crm.leads SET country = 'FR', employees = 1, industry = 'arms', source = 'web', owner_id = 9702 WHERE id BETWEEN 9701 AND 9703;
UPDATE crm.opportunities SET amount = 5, lead_source = 'web', product_id = 9702, owner_id = 9702 WHERE id BETWEEN 9701 AND 9706;
SELECT count(*) FROM (SELECT crm.win_opportunity(id) FROM crm.opportunities WHERE id BETWEEN 9701 AND 9703) AS w;
SELECT count(*) FROM (SELECT crm.lose_opportunity(id, (SELECT code FROM crm.loss_reasons ORDER BY code LIMIT 1)) FROM crm.opportunities WHERE id BETWEEN 9704 AND 9706) AS l;
UPDATE crm.tickets SET owner_id = 9702 WHERE id = 9701;
UPDATE crm.score_rules SET points = points * 7 WHERE model_id = (SELECT id FROM crm.score_models WHERE name = 'past');
DELETE FROM crm.score_rules WHERE name = 'german';
SELECT count(*) FROM (SELECT crm.change_subscription(9701, '[{"line_id": 9701, "quantity": 3}]', current_date + 1), crm.cancel_subscription(9701, 'over', current_date + 40)) AS s;
INSERT INTO crm.account_needs (account_id, need) SELECT id, 'peace' FROM crm.accounts WHERE id BETWEEN 9701 AND 9712;
INSERT INTO crm.orders (account_id, amount) VALUES (9701, 9000);
-- one is cancelled, one counts after all, one is merely fulfilled
SELECT count(crm.record_payment(9701, 60, 'USD')) AS paid;
UPDATE crm.orders SET state = CASE id WHEN 97001 THEN 'cancelled' WHEN 97060 THEN 'placed' ELSE 'fulfilled' END WHERE id IN (97001, 97060, 97002);
INSERT INTO crm.score_events (lead_id, kind) VALUES (9701, 'visit');

-- each answer of the day before is the one it was; what is not known any more is NULL or left out
SELECT b.name, n.row AS said_now
FROM before AS b, jsonb_array_elements(pg_temp.answers(b.name, b.call)) AS n(row)
WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(b.said) AS o(row) WHERE jsonb_typeof(n.row) = 'null' OR o.row @> CASE jsonb_typeof(n.row) WHEN 'object' THEN jsonb_strip_nulls(n.row) ELSE n.row END)
ORDER BY 1, 2;
SELECT crm.lead_score_at(9701, now() - interval '1 day') IS NULL AS not_known, (crm.lead_score_parts(9701, now() - interval '1 day')).engagement > 7 AS engagement_is,
       (SELECT string_agg(item, ',') FROM crm.explain_lead_score(9701, now() - interval '1 day')) AS explained, crm.lead_score_at(9701) > 0 AS now_is;

-- by the rules of the day, of a lead that nobody has changed; today by those of today
INSERT INTO crm.leads (id, name, country, created_at) VALUES (9741, 'Same', 'DE', now() - interval '40 days');
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (9741, 'visit', now() - interval '11 days');
SELECT crm.lead_score_at(9741, now() - interval '1 day') AS by_then, crm.lead_score_at(9741, now() - interval '1 day') = (SELECT sum(points) FROM crm.explain_lead_score(9741, now() - interval '1 day')) AS explained,
       (SELECT t.score FROM crm.top_leads(100, now() - interval '1 day') AS t WHERE t.lead_id = 9741) AS listed, round(crm.lead_score_at(9741, now() + interval '9 days'), 4) AS by_now;

-- what went with winning is what was known then: deals that closed as they were, whatever became of them and of their accounts
INSERT INTO crm.accounts (id, name, industry, employees) VALUES (9731, 'Past won', 'steel', 12), (9732, 'Past lost', NULL, 300);
INSERT INTO crm.opportunities (id, name, account_id, amount, lead_source, competitor_id) VALUES (9731, 'Won', 9731, 1000, 'fair', NULL), (9732, 'Lost', 9732, 2000, 'post', NULL);
SELECT (crm.win_opportunity(9731)).closed_at IS NOT NULL AS won, (crm.lose_opportunity(9732, (SELECT code FROM crm.loss_reasons ORDER BY code LIMIT 1))).closed_at IS NOT NULL AS lost;
SET LOCAL session_replication_role = replica;
UPDATE crm.opportunities SET closed_at = now() - interval '3 days' WHERE id IN (9731, 9732);
SET LOCAL session_replication_role = origin;
CREATE TEMP TABLE known AS SELECT attribute, value, won, lost FROM crm_analytics.win_factors;
UPDATE crm.accounts SET industry = 'paper', employees = 5 WHERE id = 9731;
UPDATE crm.accounts SET industry = 'paper' WHERE id = 9732;
UPDATE crm.accounts SET industry = 'glass' WHERE id = 9731;
UPDATE crm.opportunities SET lead_source = 'web', amount = 77, competitor_id = 9731, account_id = 9701 WHERE id = 9732;
TABLE known EXCEPT SELECT attribute, value, won, lost FROM crm_analytics.win_factors;
SELECT attribute, value, won, lost FROM crm_analytics.win_factors EXCEPT TABLE known;
INSERT INTO crm.leads (id, name, country, email, source) VALUES (9731, 'Lead won', 'DE', NULL, 'fair'), (9732, 'Lead lost', 'AT', 'a@past.example', 'post');
SELECT (crm.disqualify_lead(9732, (SELECT code FROM crm.disqualification_reasons ORDER BY code LIMIT 1))).closed_at IS NOT NULL AS disqualified;
SET LOCAL session_replication_role = replica;
UPDATE crm.leads SET closed_at = now() - interval '3 days' WHERE id = 9732;
SET LOCAL session_replication_role = origin;
TRUNCATE known;
INSERT INTO known SELECT attribute, value, converted, disqualified FROM crm_analytics.lead_factors;
UPDATE crm.leads SET country = 'FR', email = NULL, source = 'web', employees = 3 WHERE id = 9732;
TABLE known EXCEPT SELECT attribute, value, converted, disqualified FROM crm_analytics.lead_factors;
SELECT attribute, value, converted, disqualified FROM crm_analytics.lead_factors EXCEPT TABLE known;
SELECT table_name, column_name, value FROM crm.past_values WHERE record_id IN (9731, 9732) ORDER BY table_name, record_id, column_name;
-- an open record keeps none; what is deleted leaves none
UPDATE crm.leads SET country = 'FR' WHERE id = 9731;
DELETE FROM crm.leads WHERE id IN (9731, 9732);
SELECT count(*) FROM crm.past_values WHERE table_name = 'leads' AND record_id IN (9731, 9732);
SELECT crm.preview_segment('{"name": "x", "where": "$"}', now() - interval '1 day');
ROLLBACK;
