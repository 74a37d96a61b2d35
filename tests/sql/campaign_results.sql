-- What campaigns brought: figures by hand, credits that sum to the deal in every model, the effect beside the hold-out; in a second company in another currency.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
\set SHOW_CONTEXT never
BEGIN;
SET LOCAL client_min_messages = warning;
SELECT tenant_id AS company FROM crm.create_tenant('Regress results', language => 'fa') \gset
SET LOCAL crm.tenant = :'company';
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'IRR', '2000-01-01', 1000);
INSERT INTO crm.campaigns (id, code, name, parent_id, channels, budget, expected_leads, begins_on) VALUES
    (980001, 'all', 'All', NULL, '{search}', 1000, NULL, '2026-01-01'), (980002, 'ads', 'Ads', 980001, '{search}', 5000, 4, '2026-01-01'),
    (980003, 'mail', 'Mail', 980001, '{email}', 7000, NULL, '2026-01-01');
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount, currency) VALUES (980002, '2026-01-05', 6000, NULL), (980003, '2026-01-05', 4, 'EUR');
INSERT INTO crm.accounts (id, name) SELECT 980000 + n, 'Regress customer ' || n FROM generate_series(1, 4) AS n;
INSERT INTO crm.contacts (id, name, account_id) SELECT 980000 + n, 'Regress person ' || n, 980000 + n FROM generate_series(1, 4) AS n;
INSERT INTO crm.opportunities (id, name, account_id, amount, campaign_id) VALUES (980001, 'Won by both', 980001, 100, 980002), (980002, 'Won by nobody', 980002, 50, NULL),
    (980003, 'Lost', 980003, 70, 980003), (980004, 'Open', 980004, 30, 980003);
SELECT crm.bypass_guards('test'); SELECT count(crm.move_opportunity(v.id, v.stage)) FROM (VALUES (980001, 'won'), (980002, 'won')) AS v (id, stage);
UPDATE crm.opportunities SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.tenant_id = crm.tenant_id() AND s.pipeline_id = opportunities.pipeline_id AND s.type = 'lost'), loss_reason = 'price' WHERE id = 980003;
SELECT d.opportunity_id, d.state FROM crm_analytics.fact_opportunities AS d WHERE d.tenant_id = :company ORDER BY 1;
INSERT INTO crm.orders (account_id, opportunity_id, amount, margin) VALUES (980001, 980001, 100, 40), (980001, NULL, 300, 100);
-- the worked case: touches 14, 7 and 0 days before; what was only sent is nobody's merit, what is older than 90 days or comes later is none
INSERT INTO crm.touches (kind, channel, campaign_id, contact_id, touched_at)
SELECT v.kind, v.channel, v.campaign, 980000 + v.who, (SELECT o.closed_at FROM crm.opportunities AS o WHERE o.id = 980001) + v.days * interval '1 day'
FROM (VALUES ('click', 'search', 980002, 1, -14), ('click', 'email', 980003, 1, -7), ('visit', 'direct', NULL, 1, 0), ('sent', 'email', 980003, 1, -1), ('click', 'email', 980003, 1, -91),
    ('click', 'email', 980003, 1, 1), ('click', 'email', 980003, 3, -2), ('delivered', 'email', 980003, 1, -1), ('delivered', 'email', 980003, 3, -3), ('delivered', 'email', 980003, 4, -3)) AS v (kind, channel, campaign, who, days);
SELECT model, campaign, channel, round(conversions, 4) AS conversions, amount FROM crm_analytics.campaign_attribution ORDER BY model, campaign NULLS LAST, channel NULLS LAST;
\echo == in every model credits sum to the deals and money to their amount, to the last digit
SELECT count(DISTINCT model) AS models, bool_and(sum_c = 2) AS deals, bool_and(sum_a = 150) AS money FROM (SELECT model, sum(conversions) AS sum_c, sum(amount) AS sum_a FROM crm_analytics.campaign_attribution GROUP BY 1) AS s;
SELECT m.model, bool_and(s.credit = 1 AND s.amount = d.base_amount) AS exact
FROM unnest('{first,last,last_non_direct,linear,position,w_shaped,time_decay,shapley}'::text[]) AS m (model)
CROSS JOIN LATERAL (SELECT c.opportunity_id, sum(c.credit) AS credit, sum(c.amount) AS amount FROM crm_analytics.attribution_credits(m.model) AS c GROUP BY 1) AS s
JOIN crm_analytics.fact_opportunities AS d ON d.opportunity_id = s.opportunity_id GROUP BY 1 ORDER BY 1;
SELECT crm_analytics.attribution_credits('best');
SELECT count(*) AS of_another_year FROM crm_analytics.attribution_between(until => '2020-01-01');
SELECT campaign, round(conversions, 4) AS conversions FROM crm_analytics.attribution_between(window_days => 10) AS a LEFT JOIN crm.campaigns AS c (tenant_id, id, code, campaign) ON c.id = a.campaign_id WHERE model = 'first' ORDER BY 1, 2;
\echo == results, rolled up the tree
INSERT INTO crm.leads (name, campaign) VALUES ('Regress one', 'ADS'), ('Regress two', 'ads');
SELECT code, cost, budget, leads, expected_leads, cost_per_lead, delivered, clickers, round(ctr::numeric, 4) AS ctr, won_deals, open_deals, won_amount, revenue, margin, new_customers, customer_margin, cac,
       round(roi::numeric, 4) AS roi, clv IS NOT NULL AS clv, lifetime_roi > roi AS lifetime_roi, payback_months > 0 AS payback FROM crm_analytics.campaign_results ORDER BY path;
SELECT channel, sum(cost) AS cost, sum(touches) AS touches, sum(people) AS people FROM crm_analytics.channel_results GROUP BY 1 ORDER BY 1;
\echo == rows that change: a cost is corrected, a deal is opened again, an order is cancelled, a touch is deleted
UPDATE crm.campaign_costs SET amount = 1000 WHERE campaign_id = 980002;
UPDATE crm.orders SET state = 'cancelled' WHERE opportunity_id = 980001;
UPDATE crm.opportunities SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.tenant_id = crm.tenant_id() AND s.type = 'open' AND s.code = 'prospecting') WHERE id = 980001;
DELETE FROM crm.touches WHERE contact_id = 980003 AND kind = 'click';
SELECT code, cost, won_deals, open_deals, won_amount, revenue, new_customers, clickers FROM crm_analytics.campaign_results ORDER BY path;
SELECT DISTINCT channel, conversions, amount FROM crm_analytics.campaign_attribution;
UPDATE crm.campaigns SET parent_id = NULL WHERE id = 980003;
SELECT code, cost FROM crm_analytics.campaign_results ORDER BY path;
\echo == the effect: 400 enrolled, a quarter left alone; of the treated 30 in 100 buy for 20, of the others 10 in 100
INSERT INTO crm.accounts (id, name) SELECT 981000 + n, 'Regress firm ' || n FROM generate_series(1, 400) AS n;
INSERT INTO crm.contacts (id, name, account_id) SELECT 981000 + n, 'Regress reader ' || n, 981000 + n FROM generate_series(1, 400) AS n;
INSERT INTO crm.campaigns (id, name, hold_out_share, outcome_days, seed, hand_over) VALUES (980009, 'Letter', 0.25, 30, 5, 'none');
INSERT INTO crm.campaign_variants (campaign_id, code, name) VALUES (980009, 'a', 'A'), (980009, 'b', 'B');
INSERT INTO crm.campaign_members (campaign_id, contact_id, came_by, enrolled_at) SELECT 980009, 981000 + n, 'audience', now() - interval '40 days' FROM generate_series(1, 400) AS n;
INSERT INTO crm.orders (account_id, amount, ordered_at)
SELECT m.contact_id, 20, now() - interval '30 days'
FROM (SELECT x.*, row_number() OVER (PARTITION BY x.held_out ORDER BY x.id) AS n FROM crm.campaign_members AS x WHERE x.campaign_id = 980009) AS m WHERE m.n % 10 < CASE WHEN m.held_out THEN 1 ELSE 3 END;
-- bought before, bought too late, cancelled: none of it counts
INSERT INTO crm.orders (account_id, amount, ordered_at, state) SELECT 981001, 999, now() - interval '41 days', 'placed' UNION ALL SELECT 981002, 999, now() - interval '5 days', 'placed' UNION ALL SELECT 981003, 999, now() - interval '30 days', 'cancelled';
SELECT treated, held_out, treated_buyers, held_out_buyers, round(effect::numeric, 3) AS difference, effect_low > 0 AS proven, effect_low < effect AND effect_high > effect AS inside,
       treated_revenue_per_head, held_out_revenue_per_head, revenue_low > 0 AS revenue_proven, round(incremental_buyers) = round(effect * treated) AS buyers, open_windows, contradicting, held_out_contacted
FROM crm_analytics.campaign_incrementality WHERE campaign_id = 980009;
SELECT sum(members) = (SELECT count(*) FROM crm.campaign_members WHERE campaign_id = 980009 AND NOT held_out) AS treated, bool_and(allocation_p > 0.001) AS drawn_well, count(response_p) AS compared FROM crm_analytics.campaign_experiments WHERE campaign_id = 980009;
-- what reached somebody who is held out all the same is recorded, and told
INSERT INTO crm.touches (kind, channel, campaign_id, contact_id) SELECT 'delivered', 'email', 980009, min(contact_id) FROM crm.campaign_members WHERE campaign_id = 980009 AND held_out;
SELECT held_out_contacted FROM crm_analytics.campaign_incrementality WHERE campaign_id = 980009;
\echo == another company sees nothing of it
SET LOCAL crm.tenant = '1';
SELECT count(*) FROM crm_analytics.campaign_results WHERE campaign_id BETWEEN 980000 AND 980010;
SELECT count(*) FROM crm_analytics.campaign_attribution WHERE tenant_id = :company;
ROLLBACK;
