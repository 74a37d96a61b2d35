-- Purchase models: published figures, edges of the domain, errors, fits of given data.
SET search_path = pg_catalog, pg_temp;
SET extra_float_digits = 0;
BEGIN;
\set ON_ERROR_ROLLBACK on

-- Fader, Hardie, Lee 2005: CDNOW parameters; E[39 weeks | 2, 30.43, 38.86] = 1.226
SELECT round(crm.bgnbd_expected_purchases(0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86, 39)::numeric, 3) AS bg,
       round(crm.bgnbd_p_alive(0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86)::numeric, 4) AS alive,
       round(crm.bgnbd_expected_purchases(0.243, 4.414, 0.793, 2.426, 0, 0, 38.86, 39)::numeric, 4) AS none;
-- BTYD manual: P(X(39) = 0) = .5737864, P(X(2) = 10) = 1.07869e-07
SELECT crm.bgnbd_pmf(0.243, 4.414, 0.793, 2.426, 0, 39) AS p0, crm.bgnbd_pmf(0.243, 4.414, 0.793, 2.426, 10, 2) AS p10;
-- Pareto/NBD: E[52 | 26, 30.86, 31] = 25.46
SELECT round(crm.paretonbd_expected_purchases(0.553, 10.578, 0.606, 11.669, 26, 30.86, 31, 52)::numeric, 2) AS pareto;
-- BTYD manual: discounted expected residual transactions at 15 % a year
SELECT round(crm.paretonbd_dert(0.5629966, 12.5590370, 0.4081095, 10.5148048, 7, 35, 77.86, 0.0027)::numeric, 4) AS dert;
-- Gamma-Gamma (note 025): first customers 24.65 18.91 35.17
SELECT round(crm.gamma_gamma_expected_spend(6.25, 3.74, 15.44, x, m)::numeric, 2) AS spend
FROM (VALUES (2, 22.35), (1, 11.77), (0, 0)) AS v(x, m);
-- BG/BB, donations: P(alive in the next year) printed as .11 .59 .93
SELECT round(crm.bgbb_p_alive(1.204, 0.75, 0.657, 2.783, x, t_x, 6)::numeric, 2) AS alive
FROM (VALUES (0, 0), (2, 4), (6, 6)) AS v(x, t_x);

-- probabilities add up to one
SELECT round(sum(crm.bgnbd_pmf(0.243, 4.414, 0.793, 2.426, n, 20))::numeric, 8) AS bg,
       round(sum(crm.mbgnbd_pmf(0.525, 6.183, 0.891, 1.614, n, 20))::numeric, 8) AS mbg,
       round(sum(crm.paretonbd_pmf(0.553, 10.578, 0.606, 11.669, n, 20))::numeric, 8) AS pareto,
       round(sum(crm.nbd_pmf(0.385, 12.072, n, 20))::numeric, 8) AS nbd
FROM generate_series(0, 400) AS n;
SELECT round(sum(crm.bgbb_pmf(1.204, 0.75, 0.657, 2.783, n, 6))::numeric, 12) AS bgbb FROM generate_series(0, 6) AS n;
-- and their mean is the expectation of a new customer
SELECT round((sum(n * crm.bgnbd_pmf(0.243, 4.414, 0.793, 2.426, n, 20)) - crm.bgnbd_expected_new(0.243, 4.414, 0.793, 2.426, 20))::numeric, 6) AS bg,
       round((sum(n * crm.mbgnbd_pmf(0.525, 6.183, 0.891, 1.614, n, 20)) - crm.mbgnbd_expected_new(0.525, 6.183, 0.891, 1.614, 20))::numeric, 6) AS mbg,
       round((sum(n * crm.paretonbd_pmf(0.553, 10.578, 0.606, 11.669, n, 20)) - crm.paretonbd_expected_new(0.553, 10.578, 0.606, 11.669, 20))::numeric, 6) AS pareto
FROM generate_series(0, 600) AS n;

-- edges: nothing bought, no time, a = 1, a + b = 1, thousands of purchases, z near 1
SELECT crm.bgnbd_p_alive(0.2, 4, 0.8, 2, 0, 0, 0) AS alive, crm.bgnbd_expected_purchases(0.2, 4, 0.8, 2, 0, 0, 0, 0) AS none,
       crm.paretonbd_p_alive(0.5, 10, 0.6, 11, 0, 0, 0) AS pareto;
SELECT a, round(crm.bgnbd_expected_purchases(0.243, 4.414, a, 2.426, 2, 30.43, 38.86, 39)::numeric, 9) AS expected
FROM (VALUES (0.9999999999), (1), (1.0000000001)) AS v(a);
SELECT round(crm.bgnbd_expected_new(0.243, 4.414, 0.4, b, 39)::numeric, 9) AS expected FROM (VALUES (0.5999999999), (0.6), (0.6000000001)) AS v(b);
SELECT crm.bgnbd_p_alive(0.243, 4.414, 0.793, 2.426, 5000, 990, 1000) > 0 AS many,
       crm.bgnbd_expected_purchases(0.243, 4.414, 0.793, 2.426, 5000, 999.9, 1000, 1e7) > 0 AS far,
       crm.paretonbd_log_likelihood(0.5, 0.01, 0.6, 1000, 4000, 999, 1000) IS NOT NULL AS uneven;
SELECT crm.gamma_gamma_expected_spend(6, 0.9, 15, 0, 0) AS infinite_mean, crm.gamma_gamma_expected_spend(6, 0.9, 15, 1, 20) AS finite_mean,
       crm.gamma_gamma_log_likelihood(6, 4, 15, 2, 0) AS zero_spend;
SELECT crm.bgnbd_time_to_p_alive(0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86, 0) AS never;
-- survival at the time to a threshold is the threshold
SELECT round(crm.bgnbd_survival(0.243, 4.414, 0.793, 2.426, 0, 0, 38.86,
           crm.bgnbd_time_to_p_alive(0.243, 4.414, 0.793, 2.426, 0, 0, 38.86, p))::numeric, 9) AS bg,
       round(crm.paretonbd_survival(0.553, 10.578, 0.606, 11.669, 2, 30.43, 38.86,
           crm.paretonbd_time_to_p_alive(0.553, 10.578, 0.606, 11.669, 2, 30.43, 38.86, p))::numeric, 9) AS pareto
FROM (VALUES (0.9), (0.5), (0.01)) AS v(p);
-- the unit of time does not matter
SELECT round((crm.bgnbd_dert(0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86, 0.0027) -
              crm.bgnbd_dert(0.243, 4.414 * 7, 0.793, 2.426, 2, 30.43 * 7, 38.86 * 7, 0.0027 / 7))::numeric, 9) AS dert;
-- without a discount, the series has a limit for a > 1 alone
SELECT round(crm.bgnbd_dert(0.243, 4.414, 1.5, 2.426, 2, 30.43, 38.86, 0)::numeric, 6) AS finite;
SELECT crm.bgnbd_dert(0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86, 0);

-- errors say what is wrong
SELECT crm.bgnbd_p_alive(0, 4, 0.8, 2, 0, 0, 10);
SELECT crm.bgnbd_p_alive(0.2, 4, 0.8, 2, 1, 11, 10);
SELECT crm.bgnbd_p_alive(0.2, 4, 0.8, 2, 0, 3, 10);
SELECT crm.paretonbd_p_alive(0.2, 4, 0.8, 2, 1.5, 3, 10);
SELECT crm.paretonbd_p_alive(0.2, 4, 0.8, 'NaN', 1, 3, 10);
SELECT crm.bgbb_p_alive(1, 1, 1, 1, 3, 2, 6);
SELECT crm.bgnbd_p_alive(0.2, 4, 0.8, 2, NULL, 3, 10) AS unknown;

-- value
SELECT crm.contractual_clv(100, 0.8, 0.1) AS contract, crm.contractual_clv(100, 0, 0.1) AS leaves;
SELECT crm.contractual_clv(100, 1, 0);
SELECT round(crm.bgnbd_clv(0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86, 25, 0.0027)::numeric, 6) =
       round((25 * crm.bgnbd_dert(0.243, 4.414, 0.793, 2.426, 2, 30.43, 38.86, 0.0027))::numeric, 6) AS same;

-- fits: too few, NULLs, weights, no interior optimum
SELECT (crm.bgnbd_fit(x, t_x, age)).state FROM (VALUES (1, 2, 10), (NULL, 3, 10)) AS v(x, t_x, age);
SELECT crm.bgnbd_fit(1, 1, 1) IS NULL AS empty FROM (SELECT WHERE false) AS none;
SELECT (crm.bgnbd_fit(1, 12, 10)).state;
CREATE TEMP TABLE donors AS
SELECT x, t_x, 6 AS n, round(2000 * exp(crm.bgbb_log_likelihood(1.2, 0.75, 0.66, 2.8, x, t_x, 6)))::int AS customers
FROM generate_series(0, 6) AS x, generate_series(0, 6) AS t_x
WHERE (x = 0) = (t_x = 0) AND x <= t_x;
SELECT w.patterns, w.customers, w.state, abs(w.log_likelihood - p.log_likelihood) < 1e-6 AS same
FROM (SELECT (crm.bgbb_fit_weighted(x, t_x, n, customers)).* FROM donors) AS w,
     (SELECT (crm.bgbb_fit(x, t_x, n)).* FROM donors, generate_series(1, customers)) AS p;
-- everybody buys at one steady rate: nothing says how rates differ
SELECT state, left(advice, 47) AS advice FROM (SELECT (crm.bgnbd_fit(10, 9.5 + i / 100.0, 10)).* FROM generate_series(1, 40) AS i) AS f;
SELECT left_out, patterns FROM (SELECT (crm.gamma_gamma_fit(x, m)).* FROM (VALUES (0, 0), (2, 0), (3, -1), (1, 5.5), (2, NULL)) AS v(x, m)) AS f;

-- the summary: same day once, later purchases unknown, first day not repeated
SELECT (crm.purchase_summary(d::date, m, '2024-02-05', 'week')).*
FROM (VALUES ('2024-01-01', 10), ('2024-01-01', 5), ('2024-01-15', 20), ('2024-01-15', 0.5), ('2024-01-08', 7), ('2024-03-01', 99)) AS v(d, m);
SELECT (crm.purchase_summary(d::date, m, '2023-12-31', 'day')) IS NULL AS nothing_yet FROM (VALUES ('2024-01-01', 10)) AS v(d, m);
-- many days, equal ones among them, in no order; days of centuries ago; sorted groups and spilled ones
CREATE TEMP TABLE log AS
SELECT c, '2020-01-01'::date - (i * 7919 % (c * 17) * (1 + c / 60 * 80)) AS day, i % 7 AS amount
FROM generate_series(1, 80) AS c, generate_series(0, c * 20) AS i;
ANALYZE log;
CREATE TEMP TABLE plain AS
SELECT c, count(DISTINCT day) - 1 AS x, max(day) - min(day) AS t_x, '2021-01-01'::date - min(day) AS age, sum(amount) AS total
FROM log GROUP BY c;
CREATE FUNCTION pg_temp.agree() RETURNS bigint LANGUAGE sql BEGIN ATOMIC
    SELECT count(*) FROM (SELECT c, crm.purchase_summary(day, amount, '2021-01-01', 'day') AS s FROM log GROUP BY c) AS a
    JOIN plain AS p USING (c)
    WHERE (s).x = p.x AND (s).t_x = p.t_x AND (s).age = p.age AND (s).total_spend = p.total;
END;
SELECT count(*) AS customers, max(age) > 65535 AS centuries, pg_temp.agree() FROM plain;
SET enable_hashagg = off;
SELECT pg_temp.agree() AS sorted;
RESET enable_hashagg;
SET enable_sort = off;
SET work_mem = '64kB';
SELECT pg_temp.agree() AS hashed;
RESET enable_sort;
RESET work_mem;
SELECT crm.purchase_summary('2024-01-01', 1, '2024-02-01', 'fortnight');
-- cohorts: 10 of 4 and 6 of 2 customers in period 0, later ones of the older cohort alone
SELECT (crm.cohort_clv(period, margin, customers, 0.25)).*
FROM (VALUES (0, 10, 4), (0, 6, 4), (1, 8, 4), (3, 99, 4), (2, NULL, 4)) AS v(period, margin, customers);

-- covariates: those with z = 1 buy twice as often; P(more dropout) is left alone
CREATE TEMP TABLE shops AS
SELECT i % 2 AS z, n AS x, CASE WHEN n = 0 THEN 0 ELSE 30 + (i * 7) % 9 END::float8 AS t_x, 40 + i % 3 AS age
FROM generate_series(1, 600) AS i, LATERAL (SELECT CASE WHEN i % 5 < 2 THEN 0 ELSE ((i * i) % 11) * (1 + i % 2) END AS n) AS v;
SELECT state, cardinality(purchase_effects) AS effects, cardinality(dropout_effects) AS none, round(purchase_effects[1]::numeric, 2) > 0.3 AS more
FROM (SELECT (crm.paretonbd_fit_covariates(x, t_x, age, '{}', ARRAY[z])).* FROM shops) AS f;
SELECT crm.covariate_factor('{0.5,-1}', '{2,1}') AS one;
ROLLBACK;
-- the day of leaving: P(alive) computed on that day is the threshold, if nothing was bought meanwhile
SELECT kind, count(*) AS customers, count(d) AS leave, bool_and(abs(p - least(t, p0)) < 1e-9) AS at_threshold, bool_and(d > 0 OR p0 <= t) AS not_before
FROM (
    SELECT 'bgnbd' AS kind, t, d, crm.bgnbd_p_alive(0.243, 4.414, 0.793, 2.426, x, t_x, age) AS p0, crm.bgnbd_p_alive(0.243, 4.414, 0.793, 2.426, x, t_x, age + d) AS p
    FROM generate_series(0, 12, 3) AS x, unnest('{0.05,0.5,0.9}'::float8[]) AS t, unnest('{30.43,100}'::float8[]) AS age,
         LATERAL (SELECT CASE WHEN x > 0 THEN 20.0 ELSE 0 END) AS l (t_x),
         LATERAL (SELECT crm.bgnbd_silent_time_to_p_alive(0.243, 4.414, 0.793, 2.426, x, t_x, age, t)) AS s (d)
    UNION ALL
    SELECT 'mbgnbd', t, d, crm.mbgnbd_p_alive(0.525, 6.183, 0.891, 1.614, x, t_x, age), crm.mbgnbd_p_alive(0.525, 6.183, 0.891, 1.614, x, t_x, age + d)
    FROM generate_series(0, 12, 3) AS x, unnest('{0.05,0.5,0.9}'::float8[]) AS t, unnest('{30.43,100}'::float8[]) AS age,
         LATERAL (SELECT CASE WHEN x > 0 THEN 20.0 ELSE 0 END) AS l (t_x),
         LATERAL (SELECT crm.mbgnbd_silent_time_to_p_alive(0.525, 6.183, 0.891, 1.614, x, t_x, age, t)) AS s (d)
    UNION ALL
    SELECT 'paretonbd', t, d, crm.paretonbd_p_alive(0.553, 10.58, 0.606, 11.67, x, t_x, age), crm.paretonbd_p_alive(0.553, 10.58, 0.606, 11.67, x, t_x, age + d)
    FROM generate_series(0, 12, 3) AS x, unnest('{0.05,0.5,0.9}'::float8[]) AS t, unnest('{30.43,100}'::float8[]) AS age,
         LATERAL (SELECT CASE WHEN x > 0 THEN 20.0 ELSE 0 END) AS l (t_x),
         LATERAL (SELECT crm.paretonbd_silent_time_to_p_alive(0.553, 10.58, 0.606, 11.67, x, t_x, age, t)) AS s (d)
) AS c GROUP BY kind ORDER BY kind;
SELECT bool_and(crm.bgbb_p_alive(1.204, 0.750, 0.657, 2.783, x, t_x, 6 + d) <= t) AS fallen,
       bool_and(d = 0 OR crm.bgbb_p_alive(1.204, 0.750, 0.657, 2.783, x, t_x, 6 + d - 1) > t) AS not_before, count(d) AS leave
FROM (VALUES (1, 4), (3, 5), (6, 6)) AS v (x, t_x), unnest('{0.01,0.5,0.8}'::float8[]) AS t,
     LATERAL (SELECT crm.bgbb_silent_time_to_p_alive(1.204, 0.750, 0.657, 2.783, x, t_x, 6, t)) AS s (d);
SELECT crm.bgnbd_silent_time_to_p_alive(0.243, 4.414, 0.793, 2.426, 0, 0, 50, 0.5) AS without_repeat, crm.bgnbd_silent_time_to_p_alive(0.243, 4.414, 0.793, 2.426, 2, 20, 50, 0) AS threshold_0,
       crm.bgnbd_silent_time_to_p_alive(0.243, 4.414, 0.793, 2.426, 2, 20, 50, 1) AS threshold_1;
