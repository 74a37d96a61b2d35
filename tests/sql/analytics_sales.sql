SET datestyle = 'ISO, YMD';
-- Sales views against figures worked out by hand.
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL session_replication_role = replica;
INSERT INTO crm.pipelines (id, code, name, subject_table) VALUES (901, 'hand', 'By hand', 'opportunities');
INSERT INTO crm.stages (id, pipeline_id, code, name, position, type, probability, forecast_category) VALUES
    (911, 901, 's1', 'One', 1, 'open', 10, 'pipeline'), (912, 901, 's2', 'Two', 2, 'open', 50, 'commit'),
    (913, 901, 'won', 'Won', 3, 'won', 100, 'closed'), (914, 901, 'lost', 'Lost', 4, 'lost', 0, 'omitted'), (915, 901, 'gone', 'Gone', 5, 'cancelled', NULL, 'omitted');
INSERT INTO crm.users (id, name) VALUES (901, 'Ann'), (902, 'Bob');
INSERT INTO crm.accounts (id, name, roles, industry) VALUES (901, 'One', '{customer}', 'retail'), (902, 'Two', '{customer}', 'health'), (903, 'Three', '{prospect}', NULL);
INSERT INTO crm.products (id, name) VALUES (901, 'Lamp'), (902, 'Chair');
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2024-01-01', 1.10), ('EUR', 'USD', '2024-02-01', 1.20), ('USD', 'JPY', '2024-01-01', 125);

\echo == rates: the last one before the day, the reciprocal of the other way, none
SELECT c, d, crm_analytics.base_rate(1, c, d) FROM unnest('{USD,EUR,JPY,GBP}'::text[]) AS c, unnest('{2023-12-31,2024-01-31,2024-02-01}'::date[]) AS d;

-- of both ways the later; and the same as crm.convert_currency
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('USD', 'EUR', '2024-06-01', 0.8), ('EUR', 'USD', '2024-07-01', 1.3);
SELECT d, crm_analytics.base_rate(1, 'EUR', d), crm.convert_currency(1, 'EUR', 'USD', event_date => d) AS converted FROM unnest('{2024-05-31,2024-06-01,2024-07-01}'::date[]) AS d;
DELETE FROM crm.exchange_rates WHERE valid_from >= '2024-06-01';

INSERT INTO crm.opportunities (id, name, account_id, product_id, pipeline_id, stage_id, amount, currency, probability, expected_close_date, close_date, closed_at, created_at, owner_id, lead_source, loss_reason)
VALUES
    -- closed: 100 EUR in January is 110, in February 120
    (9001, 'a', 901, 901, 901, 913, 100, 'EUR', 100, NULL, '2024-01-15', '2024-01-15 12:00Z', '2024-01-05 12:00Z', 901, 'web', NULL),
    (9002, 'b', 901, 902, 901, 913, 100, 'EUR', 100, NULL, '2024-02-15', '2024-02-15 12:00Z', '2024-01-16 12:00Z', 901, 'web', NULL),
    (9003, 'c', 902, 901, 901, 914, 500, 'USD', 0, NULL, '2024-01-20', '2024-01-20 12:00Z', '2024-01-10 12:00Z', 902, 'fair', NULL),
    -- no rate: counted, not summed
    (9004, 'd', 902, NULL, 901, 913, 70, 'GBP', 100, NULL, '2024-01-25', '2024-01-25 12:00Z', '2024-01-05 12:00Z', 902, NULL, NULL),
    (9005, 'e', 902, NULL, 901, 915, 60, 'USD', 0, NULL, '2024-01-26', '2024-01-26 12:00Z', '2024-01-05 12:00Z', 902, NULL, NULL),
    -- won without an amount
    (9006, 'f', 901, NULL, 901, 913, NULL, 'USD', 100, NULL, '2024-01-27', '2024-01-27 12:00Z', '2024-01-25 12:00Z', 902, 'web', NULL),
    -- open: expected in two months; the probability of the stage where there is none
    (9007, 'g', 901, 901, 901, 911, 1000, 'USD', 25, '2031-05-10', NULL, NULL, '2024-01-05 12:00Z', 901, 'web', NULL),
    (9008, 'h', 903, NULL, 901, 912, 2000, 'USD', NULL, '2031-05-20', NULL, NULL, '2024-01-05 12:00Z', 901, NULL, NULL),
    (9009, 'i', 903, NULL, 901, 912, 10, 'EUR', 50, NULL, NULL, NULL, '2024-01-05 12:00Z', 902, NULL, NULL),
    (9010, 'j', 903, NULL, 901, 912, 33, 'GBP', 50, NULL, NULL, NULL, '2024-01-05 12:00Z', 902, NULL, NULL);
INSERT INTO crm.opportunity_lines (opportunity_id, product_id, quantity, unit_price, price_includes_tax) VALUES (9002, 901, 3, 20, false), (9002, 902, 1, 40, false);

\echo == pipeline now
SELECT stage_id, owner_id, month, opportunities, round(amount, 2) AS amount, round(weighted, 2) AS weighted, missing_rates
FROM crm_analytics.pipeline_now WHERE pipeline_id = 901 ORDER BY 1, 2, 3;
\echo == closing, by day, month and owner
SELECT closed_on, won, lost, round(won_amount, 2) AS won_amount, round(lost_amount, 2) AS lost_amount, round(won_cycle_days, 2) AS won_cycle_days, missing_rates
FROM crm_analytics.closed_by_day WHERE pipeline_id = 901 ORDER BY 1;
SELECT month, won, lost, round(win_rate, 4) AS win_rate, round(won_amount, 2) AS won_amount, round(amount_win_rate, 4) AS by_amount, missing_rates
FROM crm_analytics.win_rate WHERE pipeline_id = 901 ORDER BY 1;
SELECT state, month, opportunities, round(mean_days, 2) AS mean, median_days, round(p90_days::numeric, 2) AS p90 FROM crm_analytics.cycle_time WHERE pipeline_id = 901 ORDER BY 1, 2;
SELECT owner_id, sum(won) AS won, sum(lost) AS lost, round(sum(won_amount), 2) AS amount FROM crm_analytics.closed_by_owner WHERE pipeline_id = 901 GROUP BY 1 ORDER BY 1;
\echo == forecast: lost counts nothing
SELECT forecast_category, month, opportunities, round(amount, 2) AS amount, round(weighted, 2) AS weighted, missing_rates FROM crm_analytics.forecast WHERE pipeline_id = 901 ORDER BY 1, 2;
\echo == an amount that moves from month to month: 50 000, 50 000, then 100 000 when it is won
UPDATE crm.opportunities SET amount = 100000, probability = 50, expected_close_date = '2031-06-30' WHERE id = 9007;
SELECT forecast_category, month, round(weighted) FROM crm_analytics.forecast WHERE pipeline_id = 901 AND month >= '2031-06-01';
UPDATE crm.opportunities SET expected_close_date = '2031-07-31' WHERE id = 9007;
SELECT forecast_category, month, round(weighted) FROM crm_analytics.forecast WHERE pipeline_id = 901 AND month >= '2031-06-01';
UPDATE crm.opportunities SET stage_id = 913, probability = 100, close_date = '2031-08-31', closed_at = '2031-08-31 12:00Z' WHERE id = 9007;
SELECT forecast_category, month, round(weighted) FROM crm_analytics.forecast WHERE pipeline_id = 901 AND month >= '2031-06-01';
DELETE FROM crm.opportunities WHERE id = 9007;

\echo == losses, sources, accounts, products
SELECT month, loss_reason, reason, lost, lost_amount FROM crm_analytics.loss_reasons WHERE pipeline_id = 901;
SELECT lead_source, month, opportunities, open, won, lost, round(win_rate, 4) AS win_rate, round(won_amount, 2) AS won_amount, missing_rates
FROM crm_analytics.lead_sources WHERE lead_source IN ('web', 'fair') ORDER BY 1;
SELECT account_id, won, lost, open, round(won_amount, 2) AS won_amount, round(open_amount, 2) AS open_amount, first_won_on, last_won_on, missing_rates
FROM crm_analytics.account_totals WHERE account_id BETWEEN 901 AND 903 ORDER BY 1;
-- b has lines: 60 and 40 EUR at 1.20; a has none and counts with its own product
SELECT product, won, lost, open, won_quantity, round(won_amount, 2) AS won_amount FROM crm_analytics.product_totals WHERE product_id BETWEEN 901 AND 902 ORDER BY 1;

\echo == the rollups agree with the facts
SELECT r.name, v.* FROM crm.rollups AS r, crm.verify_rollup(r.name) AS v WHERE r.name LIKE 'crm\_%';

\echo == quotas: Ann moves from one team to another on 1 February; both are below a third
INSERT INTO crm.teams (id, name, parent_id) VALUES (901, 'Above', NULL), (902, 'Left', 901), (903, 'Right', 901);
INSERT INTO crm.team_memberships (team_id, user_id, valid) VALUES (902, 901, '[2023-01-01 00:00Z,2024-02-01 00:00Z)'), (903, 901, '[2024-02-01 00:00Z,)');
INSERT INTO crm.quotas (user_id, period, amount, currency) VALUES (901, '[2024-01-01,2024-04-01)', 9100, 'USD');
SELECT user_name, quota, round(won_amount, 2) AS won_amount, won, round(attainment, 6) AS attainment, missing_rates FROM crm_analytics.quota_attainment WHERE user_id = 901;
SELECT team, members, round(quota, 2) AS quota, round(won_amount, 2) AS won_amount, won, round(attainment, 4) AS attainment FROM crm_analytics.team_quota_attainment WHERE team_id BETWEEN 901 AND 903 ORDER BY team_id;
-- in two teams at once: each has the deal, the one above has it once
INSERT INTO crm.team_memberships (team_id, user_id, valid) VALUES (902, 901, '[2024-02-01 00:00Z,)');
SELECT team, round(quota, 2) AS quota, round(won_amount, 2) AS won_amount, won FROM crm_analytics.team_quota_attainment WHERE team_id BETWEEN 901 AND 903 ORDER BY team_id;

\echo == people
INSERT INTO crm.activities (kind, subject, owner_id, created_at, due_at, done_at) VALUES
    ('call', 'x', 901, '2024-01-10 12:00Z', '2024-01-11 12:00Z', '2024-01-12 12:00Z'), ('call', 'x', 901, '2024-01-10 13:00Z', '2024-01-12 12:00Z', '2024-01-11 12:00Z'),
    ('meeting', 'x', 901, '2024-01-31 23:30Z', NULL, NULL);
SELECT created_on, kind, activities, done, done_late FROM crm_analytics.user_activity WHERE user_id = 901 ORDER BY 1, 2;
SELECT month, activities, calls, meetings, opportunities_created, won, lost, round(win_rate, 2) AS win_rate, round(won_amount, 2) AS won_amount, round(mean_won_cycle_days, 2) AS cycle
FROM crm_analytics.individual_performance WHERE user_id = 901 ORDER BY 1;
SELECT name, activities, calls, meetings, opportunities_created AS made, won, round(won_amount, 2) AS won_amount, round(mean_won_cycle_days, 2) AS cycle
FROM crm_analytics.performance_between('2024-01-01', '2024-02-01') WHERE user_id = 901;
-- overdue: days gone by, today, and not yet
INSERT INTO crm.activities (kind, subject, owner_id, due_at) VALUES ('task', 'x', 901, now() - interval '3 days'), ('task', 'x', 901, now() - interval '1 second'),
    ('task', 'x', 901, now()), ('task', 'x', 901, now() + interval '1 hour'), ('task', 'x', 901, NULL);
SELECT o.activities >= 2 AND o.activities = (SELECT count(*) FROM crm.activities AS a WHERE a.tenant_id = 1 AND a.done_at IS NULL AND a.due_at < now()) AS agrees
FROM crm_analytics.overdue_activities AS o WHERE o.tenant_id = 1;
DELETE FROM crm.activities WHERE owner_id = 901 AND kind = 'task';
-- days begin where the tenant is
SET LOCAL session_replication_role = origin;
UPDATE crm.tenants SET time_zone = 'Asia/Tehran' WHERE tenant_id = 1;
SELECT created_on, kind, activities FROM crm_analytics.user_activity WHERE user_id = 901 AND kind = 'meeting';
UPDATE crm.tenants SET time_zone = 'UTC' WHERE tenant_id = 1;
SET LOCAL session_replication_role = replica;

\echo == cohorts of orders: two customers begin in the month before last, one comes back in the last one; the running month is not over
DELETE FROM crm.opportunities WHERE id > 9000;
INSERT INTO crm.orders (id, account_id, kind, state, ordered_at, ordered_on, currency, amount, base_amount)
SELECT 9100 + row_number() OVER (), v.account_id, 'sale', 'fulfilled', v.day + time '12:00', v.day, 'USD', 10, 10
FROM (SELECT a.account_id, (date_trunc('month', now()) - a.months * interval '1 month' + interval '3 days')::date AS day
      FROM (VALUES (901, 2), (901, 1), (902, 2), (902, 0), (901, 2)) AS a(account_id, months)) AS v;
SELECT months, customers, active_customers, round(retention, 4) AS retention, round(revenue, 2) AS revenue, incomplete FROM crm_analytics.cohort_retention
WHERE cohort_month = (date_trunc('month', now()) - interval '2 months')::date ORDER BY 1;

\echo == what goes with winning: 8 of 10 from the web, 1 of 6 from the fair
DELETE FROM crm.opportunities WHERE id > 9000;
INSERT INTO crm.opportunities (id, name, pipeline_id, stage_id, close_date, closed_at, lead_source)
SELECT 9200 + row_number() OVER (), 'w', 901, v.stage, '2024-01-01', '2024-01-01', v.source
FROM (VALUES ('web', 913, 8), ('web', 914, 2), ('fair', 913, 1), ('fair', 914, 5)) AS v(source, stage, n), generate_series(1, v.n);
SELECT value, won, lost, round(win_rate, 4) AS win_rate, round(lift, 4) AS lift, round(weight_of_evidence::numeric, 4) AS woe,
       round(information_value::numeric, 4) AS iv, round(p_value::numeric, 4) AS p, significant
FROM crm_analytics.win_factors WHERE attribute = 'deal.lead_source' AND value IN ('web', 'fair') ORDER BY 1;

\echo == one customer
INSERT INTO crm.opportunities (id, name, account_id, pipeline_id, stage_id, amount, close_date, closed_at, created_at) VALUES
    (9301, 'done', 901, 901, 913, 25, '2024-03-01', '2024-03-01 12:00Z', '2024-02-01 12:00Z'), (9302, 'to come', 901, 901, 912, 75, NULL, NULL, '2024-02-01 12:00Z');
INSERT INTO crm.contacts (id, name, account_id) VALUES (901, 'Carla', 901);
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (901, 'email', 'carla@example.com');
SELECT d #>> '{account,name}' AS account, d #>> '{contacts,0,points,0,value}' AS mail, d #> '{sales,totals,won_amount}' AS won, d #>> '{sales,open,0,name}' AS open,
       d #>> '{sales,closed,0,state}' AS closed, (SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(d) AS k) AS keys
FROM crm_analytics.customer_360(901) AS d;
\set VERBOSITY terse
SAVEPOINT wrong;
SELECT crm_analytics.customer_360(-1);
ROLLBACK TO wrong;
SELECT crm_analytics.report_html('nothing');
ROLLBACK TO wrong;
SELECT crm_analytics.report_html('customer');
ROLLBACK TO wrong;
SELECT crm_analytics.report_html('pipeline', language => 'de');
ROLLBACK TO wrong;
SELECT r, l, h LIKE '<!DOCTYPE html>%</html>' AS whole, h LIKE '%dir="rtl"%' AS rtl, h ~ '[۰-۹]' AS persian_digits, h ~* '<script|http://(?!www.w3.org)|https://' AS loads
FROM unnest('{pipeline,dashboard,customer}'::text[]) AS r, unnest('{en,fa}'::text[]) AS l, LATERAL (SELECT crm_analytics.report_html(r, 901, l)) AS x(h);
ROLLBACK;

\echo == dates
SELECT date_key, week_key, saturday_week_key, jalali_year, jalali_month, jalali_day, jalali_quarter, fiscal_year, fiscal_quarter, is_weekend
FROM crm_analytics.dim_date WHERE tenant_id = 1 AND date_key IN ('2024-03-19', '2024-03-20', '2024-06-21', '2025-01-04', '2025-12-31') ORDER BY 1;
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
UPDATE crm.tenants SET week_start = 6, weekend = '{5}', fiscal_year_start = 'jalali:01-01' WHERE tenant_id = 1;
SELECT date_key, week_key, fiscal_year, fiscal_quarter, is_weekend FROM crm_analytics.dim_date
WHERE tenant_id = 1 AND date_key IN ('2024-03-15', '2024-03-19', '2024-03-20', '2024-06-21', '2024-06-22', '2025-12-31') ORDER BY 1;
UPDATE crm.tenants SET fiscal_year_start = '04-06' WHERE tenant_id = 1;
SELECT date_key, fiscal_year, fiscal_quarter FROM crm_analytics.dim_date
WHERE tenant_id = 1 AND date_key IN ('2024-04-05', '2024-04-06', '2024-07-05', '2024-07-06', '2025-01-06') ORDER BY 1;
ROLLBACK;

\echo == every view and function of the schema says what it is
SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind IN ('v', 'r', 'm') AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'crm_analytics'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind = 'v'
  AND (c.reloptions IS NULL OR NOT c.reloptions && '{security_invoker=true}');
SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind = 'v'
  AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id');
