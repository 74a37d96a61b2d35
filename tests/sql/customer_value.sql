-- Orders and what is made of them, in a tenant of a hand-made company.
BEGIN;
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
INSERT INTO crm.accounts (name, source_system, source_id) SELECT 'Customer ' || i, 'test', i::text FROM generate_series(1, 20) AS i;
CREATE FUNCTION pg_temp.account(n integer) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT id FROM crm.accounts WHERE source_system = 'test' AND source_id = n::text $$;
INSERT INTO crm.products (code, name, family, tier, list_price) VALUES ('s', 'Small', 'Plan', 1, 10), ('l', 'Large', 'Plan', 2, 30), ('h', 'Help', 'Support', 1, 5), ('x', 'Exotic', 'Other', 1, 7);
CREATE FUNCTION pg_temp.product(c text) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT id FROM crm.products WHERE code = c $$;

-- the day is the tenant's, the base amount is signed and at the rate of the day, cancelled orders count for nothing
UPDATE crm.tenants SET time_zone = 'Asia/Tehran' WHERE tenant_id = 1;
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2024-01-01', 1.1), ('EUR', 'USD', '2024-03-01', 1.2);
INSERT INTO crm.orders (number, account_id, ordered_at, currency, amount, margin, kind, state) VALUES
    ('o1', pg_temp.account(1), '2024-01-31 22:00+00', 'USD', 100, 40, 'sale', 'placed'),
    ('o2', pg_temp.account(1), '2024-02-01 08:00+00', 'USD', 50, 10, 'sale', 'placed'),
    ('o3', pg_temp.account(1), '2024-02-15 08:00+00', 'EUR', 100, NULL, 'sale', 'placed'),
    ('o4', pg_temp.account(1), '2024-03-15 08:00+00', 'EUR', 100, 50, 'return', 'placed'),
    ('o5', pg_temp.account(1), '2024-04-15 08:00+00', 'USD', 999, 999, 'sale', 'cancelled');
SELECT number, ordered_on, base_amount, base_margin FROM crm.orders WHERE number LIKE 'o_' ORDER BY number;
SELECT first_order_on, last_order_on, orders, purchase_days, revenue, x, round(t_x::numeric, 4) AS t_x, round(age::numeric, 4) AS age, mean_spend
FROM crm_analytics.purchase_histories('2024-05-01') WHERE account_id = pg_temp.account(1);
-- a rate that is not there is an error, not a guess
\set VERBOSITY terse
INSERT INTO crm.orders (account_id, ordered_at, currency, amount) VALUES (pg_temp.account(1), '2024-05-01 08:00+00', 'JPY', 1);
INSERT INTO crm.orders (account_id, amount) VALUES (pg_temp.account(1), 'NaN');
INSERT INTO crm.orders (account_id, amount) VALUES (pg_temp.account(1), -1);
\set VERBOSITY default
-- undo, move, cancel: the history follows at once; a day before the cancelling still knows the order, today does not
UPDATE crm.orders SET state = 'cancelled' WHERE number = 'o3';
UPDATE crm.orders SET ordered_at = '2024-02-20 08:00+00' WHERE number = 'o2';
DELETE FROM crm.orders WHERE number = 'o4';
SELECT orders, purchase_days, revenue, x, t_x, mean_spend FROM crm_analytics.purchase_histories('2024-05-01') WHERE account_id = pg_temp.account(1);
SELECT orders, purchase_days, revenue FROM crm_analytics.purchase_histories() WHERE account_id = pg_temp.account(1);
SELECT count(*) FROM crm.verify_rollup('account_days');
UPDATE crm.tenants SET time_zone = 'UTC' WHERE tenant_id = 1;

-- lines make the order's amount and margin; a line of unknown cost makes the margin unknown
INSERT INTO crm.orders (number, account_id) VALUES ('l1', pg_temp.account(2));
INSERT INTO crm.order_lines (order_id, product_id, quantity, unit_price, unit_cost, discount_percent)
SELECT o.id, pg_temp.product(c), q, p, k, d FROM crm.orders AS o, (VALUES ('s', 2, 10, 4, 10), ('h', 1, 5, 1, 0)) AS v(c, q, p, k, d) WHERE o.number = 'l1';
SELECT amount, margin, base_amount FROM crm.orders WHERE number = 'l1';
UPDATE crm.order_lines SET unit_cost = NULL WHERE product_id = pg_temp.product('h');
SELECT amount, margin FROM crm.orders WHERE number = 'l1';
DELETE FROM crm.order_lines WHERE product_id = pg_temp.product('h');
SELECT amount, margin FROM crm.orders WHERE number = 'l1';
UPDATE crm.order_lines SET order_id = order_id + 1 WHERE product_id = pg_temp.product('s');

-- logo and revenue churn: 3 of 20 customers (15 %), 56 of 600 of their revenue (9.33 %)
DELETE FROM crm.orders;
INSERT INTO crm.orders (account_id, ordered_at, amount)
SELECT pg_temp.account(i), d, CASE WHEN i <= 2 THEN 20 WHEN i = 3 THEN 16 WHEN i = 4 THEN 32 ELSE 32 END
FROM generate_series(1, 20) AS i, (VALUES ('2024-02-10'::timestamptz), ('2024-05-10')) AS v(d)
WHERE NOT (i <= 3 AND d > '2024-04-01');
INSERT INTO crm.orders (account_id, ordered_at, amount) VALUES (pg_temp.account(20), '2024-01-05', 1);
SELECT month, customers, lost, logo_churn, revenue_base, revenue_lost, revenue_churn FROM crm_analytics.churn_by_month(60, '2024-05-31') WHERE month = '2024-04-01';
SELECT cohort_month, months, customers, active_customers, round(retention, 4) AS retention, incomplete FROM crm_analytics.order_cohorts('2024-05-15');

-- too small a history is refused with the reason; the baseline answers all the same
SELECT crm.fit_value_model();
SELECT count(*), count(*) FILTER (WHERE method = 'baseline'), bool_and(clv >= 0), bool_and(p_alive IS NULL) FROM crm_analytics.customer_value_at('2024-06-01');
SELECT crm.activate_value_model(0);
SELECT crm.revert_value_model();
SELECT crm.fit_value_model('magic');

-- shares of wallet
SELECT n, array_agg(round(crm.wallet_allocation(k, n)::numeric, 4) ORDER BY k) AS shares, round(sum(crm.wallet_allocation(k, n))::numeric, 10) AS whole
FROM generate_series(1, 4) AS n, generate_series(1, 4) AS k WHERE k <= n GROUP BY n ORDER BY n;
SELECT crm.wallet_allocation(3, 2);
INSERT INTO crm.wallet_declarations (account_id, period, total_spend, our_rank, suppliers) VALUES
    (pg_temp.account(4), '[2024-01-01,2025-01-01)', 128, 1, 2), (pg_temp.account(5), '[2024-01-01,2025-01-01)', 32, NULL, NULL), (pg_temp.account(6), '[2024-01-01,2025-01-01)', NULL, 2, 3);
SELECT account_name, revenue, share_by_spend, over_declared, share_by_rank, open_wallet, orders FROM crm_analytics.wallet_share ORDER BY declaration_id;

-- cross-selling: not what is owned, not what does not go together, with its evidence; up-selling: the next tier
DELETE FROM crm.orders;
INSERT INTO crm.orders (number, account_id, ordered_at) SELECT 'c' || i || '-' || n, pg_temp.account(i), '2024-01-01'::timestamptz + n * interval '30 days' FROM generate_series(1, 12) AS i, generate_series(1, 2) AS n;
INSERT INTO crm.order_lines (order_id, product_id, unit_price)
SELECT o.id, pg_temp.product(v.c), 10 FROM (VALUES (1, 1, 's'), (2, 1, 's'), (3, 1, 's'), (4, 1, 's'), (5, 1, 's'), (1, 2, 'h'), (2, 2, 'h'), (3, 2, 'h'), (1, 2, 'l'), (2, 2, 'l'),
                                                  (6, 1, 'x'), (7, 1, 'x'), (8, 1, 'x'), (9, 1, 'x'), (10, 1, 'x')) AS v(i, n, c)
JOIN crm.orders AS o ON o.number = 'c' || v.i || '-' || v.n;
SELECT account_name, suggested_name, because_of, customers_like_it, customers_having_it, round(confidence::numeric, 3) AS confidence, round(lift::numeric, 3) AS lift FROM crm_analytics.cross_sell() ORDER BY 1, 2;
UPDATE crm.products SET incompatible_ids = ARRAY[pg_temp.product('h')] WHERE code = 's';
SELECT count(*) FROM crm_analytics.cross_sell();
SELECT account_name, family, owned_tier, suggested_name, moved_up, having_tier, round(share_moved_up::numeric, 2) AS share, list_price_difference FROM crm_analytics.up_sell() ORDER BY account_name;

-- a company large enough for a model: fitted, tested on what it has not seen, activated, taken back
DELETE FROM crm.orders;
INSERT INTO crm.accounts (name, source_system, source_id) SELECT 'Buyer ' || i, 'buyer', i::text FROM generate_series(1, 300) AS i;
-- rates 1 to 5 a year; every third leaves after half a year
INSERT INTO crm.orders (account_id, ordered_at, amount, margin)
SELECT a.id, d, 20 + a.source_id::int % 50, (20 + a.source_id::int % 50) * 0.4
FROM crm.accounts AS a
CROSS JOIN LATERAL (SELECT '2023-01-01'::timestamptz + (a.source_id::int % 90 + k * 365.0 / (1 + a.source_id::int % 5) * (0.7 + 0.6 * crm_internal.demo_uniform(7, 'gap', a.source_id::int * 100 + k))) * interval '1 day' AS d
                    FROM generate_series(0, 11) AS k) AS w
WHERE a.source_system = 'buyer' AND w.d < '2025-01-01' AND (a.source_id::int % 3 <> 0 OR w.d < '2023-09-01');
SELECT m.kind IN ('mbgnbd', 'paretonbd', 'bgnbd', 'nbd') AS fitted, m.customers, m.state, m.fit ->> 'state' AS fit_state FROM crm.fit_value_model('mbgnbd', '2024-12-31', 120) AS m;
SELECT kind, actual_purchases > 0 AS tested, rmse < baseline_rmse AS better, beats_baseline, tracking BETWEEN 0.5 AND 1.5 AS tracks FROM crm_analytics.value_model_quality;
SELECT count(*), sum(customers) FROM crm_analytics.value_model_deciles;
SELECT (crm.activate_value_model((SELECT max(id) FROM crm.value_models))).state;
SELECT count(*), count(p_alive), bool_and(p_alive BETWEEN 0 AND 1), bool_and(clv >= 0), count(DISTINCT value_segment), bool_and(rfm ~ '^[1-5]{3}$'), min(method)
FROM crm_analytics.customer_value_at('2024-12-31');
-- the set A is the smallest that holds four fifths of the value; who left has less of a future than who stayed
SELECT round(sum(clv) FILTER (WHERE value_segment = 'A') / sum(clv), 1) AS share_of_a, avg(p_alive) FILTER (WHERE source_id::int % 3 = 0) < avg(p_alive) FILTER (WHERE source_id::int % 3 <> 0) AS told_apart
FROM crm_analytics.customer_value_at('2024-12-31') AS v JOIN crm.accounts AS a ON a.id = v.account_id;
SELECT (crm.fit_value_model('paretonbd', '2024-12-31', 120)).kind;
SELECT (crm.activate_value_model((SELECT max(id) FROM crm.value_models))).kind;
SELECT (crm.revert_value_model()).kind;
SELECT count(*) FILTER (WHERE state = 'active') AS active, count(*) AS versions FROM crm.value_models;
SELECT state, count(*) > 0 AS some, bool_and(value_at_stake >= 0) AS stakes, bool_and(cardinality(reasons) > 0) AS reasons FROM crm_analytics.churn_risks('2024-12-31') WHERE state = 'gone' GROUP BY state;
SELECT segment, customers > 0 AS some, revenue_share FROM crm_analytics.segment_contribution('kind', '2024-12-31');
SELECT crm_analytics.segment_contribution('mood');

-- winning back, measured against those left alone
SELECT crm.start_winback('no control', 0);
SELECT count(*) > 0 AS members, count(DISTINCT arm) AS arms FROM crm.start_winback('spring', 0.4, '2024-06-30');
SELECT crm.start_winback('spring', 0.4, '2024-06-30');
INSERT INTO crm.orders (account_id, ordered_at, amount) SELECT account_id, '2024-07-15', 10 FROM crm.winback_members WHERE campaign = 'spring' AND arm = 'treated';
SELECT treated + control = (SELECT count(*) FROM crm.winback_members) AS all_counted, treated_rate, effect > 0 AS effective, effect_low > 0 AS surely, p_value < 0.001 AS significant, incremental_revenue > 0 AS gained
FROM crm_analytics.winback_effect('spring');
-- stored edges keep their meaning until renewed
SELECT array_length(recency, 1), as_of FROM crm.renew_rfm_edges('2024-12-31');
SELECT round(crm.normal_two_sided(1.959963985)::numeric, 5), round(crm.normal_two_sided(0)::numeric, 5);
ROLLBACK;
-- people of every level get their answers, and the import runs for an admin who is not the owner
BEGIN;
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
\i :helper
INSERT INTO crm.accounts (name) VALUES ('One');
INSERT INTO crm.orders (account_id, ordered_at, amount) SELECT id, '2024-01-01', 10 FROM crm.accounts WHERE name = 'One';
CREATE TEMPORARY TABLE staged (code text, title text);
INSERT INTO staged VALUES ('c1', 'Imported');
GRANT SELECT ON staged TO regress_crm_admin;
SET ROLE regress_crm_reader;
SELECT account_name, orders FROM crm_analytics.customer_value WHERE account_name = 'One';
SELECT count(*) >= 0 FROM crm_analytics.retention_list;
SELECT count(*) >= 0 FROM crm_analytics.value_by_need;
SELECT count(*) >= 0 FROM crm_analytics.cross_sell();
SELECT treated FROM crm_analytics.winback_effect('none');
RESET ROLE;
SET ROLE regress_crm_admin;
SELECT rows_inserted, rows_bad FROM crm.import_table('staged', '{"target": "accounts", "source_system": "x", "key": "code", "columns": {"name": "title"}}');
RESET ROLE;
ROLLBACK;
