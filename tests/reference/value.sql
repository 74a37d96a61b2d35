-- Every row of clv/reference.csv, with its own tolerance. Point quantities call the function named
-- by model and quantity with the arguments of the row; nothing is typed in here.
\set ON_ERROR_STOP on
SET search_path = pg_catalog, pg_temp;
SET extra_float_digits = 1;
\cd :data

CREATE TEMP TABLE reference (id text, model text, dataset text, quantity text, args text, value text, tolerance float8,
    tol_kind text, source text, verified_by text);
\copy reference FROM 'clv/reference.csv' CSV HEADER
CREATE TEMP TABLE customers (customer_id int, first_date date, x int, days_t_x int, days_T int, t_x float8, "T" float8, m_x float8,
    t_x_2dp float8, T_2dp float8, m_x_2dp float8, amount_cal float8, x_holdout int, amount_holdout float8);
\copy customers FROM 'clv/cdnow_customers.csv' CSV HEADER
CREATE TEMP TABLE log (customer_id int, master_id int, order_date date, quantity int, amount numeric);
\copy log FROM 'clv/cdnow_sample_log.csv' CSV HEADER
CREATE TEMP TABLE discrete (x int, t_x int, n int, customers int, x_holdout int);
\copy discrete FROM 'clv/discrete_sim_rf.csv' CSV HEADER

CREATE TEMP TABLE got (id text, value float8);
CREATE TEMP TABLE args AS
SELECT r.id, a.name, a.value
FROM reference AS r, string_to_table(r.args, ';') AS part(p),
     LATERAL (SELECT split_part(p, '=', 1), split_part(p, '=', 2)) AS a(name, value)
WHERE r.args <> '';

-- ---- points: find the function, put the arguments in its order ----
DO $$
DECLARE
    r record;
    call text;
    answer float8;
BEGIN
    FOR r IN SELECT * FROM reference WHERE dataset = 'points' AND quantity <> 'clv_discrete' LOOP
        SELECT format('SELECT crm.%I(%s)', p.proname, string_agg(format('%s => %s', n.name,
                   coalesce(a.value, '/* missing ' || n.name || ' */')), ', ' ORDER BY n.i))
        INTO call
        FROM pg_proc AS p, unnest(p.proargnames) WITH ORDINALITY AS n(name, i)
        LEFT JOIN args AS a ON a.id = r.id AND a.name =
            CASE WHEN n.name = 'age' THEN 'T' WHEN n.name = 'horizon' THEN 't' WHEN n.name = 'discount' THEN 'd'
                 WHEN n.name = 'mean_spend' THEN 'm' ELSE n.name END
        WHERE p.pronamespace = 'crm'::regnamespace
          AND p.proname = replace(r.model, 'gg', 'gamma_gamma') || '_' || replace(r.quantity, 'loglik1', 'log_likelihood')
        GROUP BY p.proname;
        EXECUTE call INTO answer;
        INSERT INTO got VALUES (r.id, answer);
    END LOOP;

    -- value over periods: purchase model and spend model together
    FOR r IN SELECT * FROM reference WHERE quantity = 'clv_discrete' LOOP
        SELECT format('SELECT crm.%s_clv_by_period(%s, %s, crm.gamma_gamma_expected_spend(%s, %s, %s, %s, %s), %s, %s, %s)',
                   split_part(r.model, '+', 1),
                   CASE WHEN r.model LIKE 'pareto%' THEN concat_ws(', ', v->>'r', v->>'alpha', v->>'s', v->>'beta')
                        ELSE concat_ws(', ', v->>'r', v->>'alpha', v->>'a', v->>'b') END,
                   concat_ws(', ', v->>'x', v->>'t_x', v->>'T'),
                   v->>'p_gg', v->>'q_gg', v->>'gamma_gg', v->>'x', v->>'m', v->>'periods', v->>'step', v->>'rate')
        INTO call
        FROM (SELECT jsonb_object_agg(a.name, a.value) FROM args AS a WHERE a.id = r.id) AS j(v);
        EXECUTE call INTO answer;
        INSERT INTO got VALUES (r.id, answer);
    END LOOP;
END
$$;

-- ---- fits ----
CREATE TEMP TABLE summary AS
SELECT 'cdnow_summary' AS dataset, x, t_x_2dp AS t_x, t_2dp AS age, m_x_2dp AS m FROM customers
UNION ALL
SELECT 'cdnow_exact', x, days_t_x / 7.0, days_t / 7.0, m_x FROM customers;

-- The file counts 1003 spend patterns for the whole log: sums of doubles in order of days, of which two that are
-- equal in cents differ by rounding. crm.purchase_summary finds 1002; the fit reads the file's own arithmetic.
INSERT INTO summary
SELECT 'cdnow_78wk', (s.s).x, (s.s).t_x, (s.s).age, CASE WHEN (s.s).x > 0 THEN d.repeat_spend / (s.s).x ELSE 0 END
FROM (SELECT customer_id, crm.purchase_summary(order_date, amount, '1998-06-30', 'week') AS s FROM log GROUP BY customer_id) AS s
JOIN (
    SELECT customer_id, sum(amount ORDER BY order_date) FILTER (WHERE n > 1) AS repeat_spend
    FROM (SELECT customer_id, order_date, sum(amount)::float8 AS amount,
                 row_number() OVER (PARTITION BY customer_id ORDER BY order_date) AS n
          FROM log GROUP BY customer_id, order_date) AS day
    GROUP BY customer_id
) AS d USING (customer_id);

CREATE TEMP TABLE fits (dataset text, model text, fit jsonb);
INSERT INTO fits
SELECT dataset, 'bgnbd', to_jsonb(crm.bgnbd_fit(x, t_x, age)) FROM summary GROUP BY dataset
UNION ALL
SELECT dataset, 'mbgnbd', to_jsonb(crm.mbgnbd_fit(x, t_x, age)) FROM summary GROUP BY dataset
UNION ALL
SELECT dataset, 'paretonbd', to_jsonb(crm.paretonbd_fit(x, t_x, age)) FROM summary GROUP BY dataset
UNION ALL
SELECT dataset, 'nbd', to_jsonb(crm.nbd_fit(x, t_x, age)) FROM summary GROUP BY dataset
UNION ALL
SELECT dataset, 'gg', to_jsonb(crm.gamma_gamma_fit(x, m)) FROM summary GROUP BY dataset
UNION ALL
SELECT 'discrete_sim', 'bgbb', to_jsonb(crm.bgbb_fit_weighted(x, t_x, n, customers)) FROM discrete;
INSERT INTO fits
SELECT 'cdnow_customers(2dp)', model, fit FROM fits WHERE dataset = 'cdnow_summary'
UNION ALL
-- gamma-Gompertz/NBD has Pareto/NBD as its limit, where its likelihood is largest on these data
SELECT 'cdnow_customers', 'ggomnbd', fit FROM fits WHERE dataset = 'cdnow_exact' AND model = 'paretonbd';

INSERT INTO got
SELECT r.id, (f.fit->>CASE replace(r.quantity, 'published.', '')
                          WHEN 'fit.loglik' THEN 'log_likelihood'
                          WHEN 'fit.distinct_patterns' THEN 'patterns'
                          ELSE regexp_replace(replace(replace(r.quantity, 'published.', ''), 'se.', 'se_'), '^fit\.', '')
                      END)::float8
FROM reference AS r
JOIN fits AS f USING (dataset, model)
WHERE r.quantity ~ '^(published\.)?fit\.|^se\.' AND f.fit->>'state' = 'converged';

-- ---- predictions for the holdout, and sums ----
CREATE TEMP TABLE predicted AS
SELECT c.*, crm.bgnbd_expected_purchases(b.r, b.alpha, b.a, b.b, c.x, c.t_x, c.t, 39) AS bg_expected,
       crm.bgnbd_p_alive(b.r, b.alpha, b.a, b.b, c.x, c.t_x, c.t) AS bg_alive,
       crm.paretonbd_expected_purchases(p.r, p.alpha, p.s, p.beta, c.x, c.t_x, c.t, 39) AS pareto_expected,
       crm.paretonbd_p_alive(p.r, p.alpha, p.s, p.beta, c.x, c.t_x, c.t) AS pareto_alive,
       crm.paretonbd_dert(p.r, p.alpha, p.s, p.beta, c.x, c.t_x, c.t, 0.0027) AS dert,
       crm.gamma_gamma_expected_spend(g.p, g.q, g.gamma, CASE WHEN c.m_x > 0 THEN c.x ELSE 0 END, c.m_x) AS spend
FROM (SELECT x, days_t_x / 7.0 AS t_x, days_t / 7.0 AS t, m_x, x_holdout FROM customers) AS c,
     (SELECT f.* FROM fits, jsonb_populate_record(NULL::crm.bgnbd_estimate, fit) AS f WHERE dataset = 'cdnow_exact' AND model = 'bgnbd') AS b,
     (SELECT f.* FROM fits, jsonb_populate_record(NULL::crm.paretonbd_estimate, fit) AS f WHERE dataset = 'cdnow_exact' AND model = 'paretonbd') AS p,
     (SELECT f.* FROM fits, jsonb_populate_record(NULL::crm.gamma_gamma_estimate, fit) AS f WHERE dataset = 'cdnow_exact' AND model = 'gg') AS g;

INSERT INTO got
SELECT r.id, v.value
FROM reference AS r
JOIN (
    SELECT m.model, q.quantity, q.value
    FROM (
        SELECT 'bgnbd' AS model, sum(bg_expected) AS sum_expected, sum(bg_alive) AS sum_p_alive,
               avg(abs(bg_expected - x_holdout)) AS mae, sqrt(avg((bg_expected - x_holdout) ^ 2)) AS rmse,
               corr(bg_expected, x_holdout) AS corr, NULL::float8 AS dert, NULL::float8 AS clv, NULL::float8 AS spend
        FROM predicted
        UNION ALL
        SELECT 'paretonbd', sum(pareto_expected), sum(pareto_alive), avg(abs(pareto_expected - x_holdout)),
               sqrt(avg((pareto_expected - x_holdout) ^ 2)), corr(pareto_expected, x_holdout), sum(dert), NULL, NULL
        FROM predicted
        UNION ALL
        SELECT 'paretonbd+gg', NULL, NULL, NULL, NULL, NULL, NULL, sum(dert * spend), NULL FROM predicted
        UNION ALL
        SELECT 'gg', NULL, NULL, NULL, NULL, NULL, NULL, NULL, sum(spend) FROM predicted
    ) AS m,
    LATERAL (VALUES ('holdout.sum_expected', sum_expected), ('holdout.sum_p_alive', sum_p_alive), ('holdout.mae', mae),
                    ('holdout.rmse', rmse), ('holdout.corr', corr), ('sum_dert', dert), ('sum_clv', clv),
                    ('sum_expected_spend', spend)) AS q(quantity, value)
) AS v USING (model, quantity)
WHERE v.value IS NOT NULL;

-- ---- summary of the transaction log ----
CREATE TEMP TABLE cut AS
SELECT s.end_date, s.customer_id, (s.s).*, h.x_holdout, h.amount_holdout
FROM (
    SELECT d.end_date, customer_id, crm.purchase_summary(order_date, amount, d.end_date, 'day') AS s
    FROM log, (VALUES ('1997-09-30'::date), ('1998-06-30')) AS d(end_date)
    GROUP BY d.end_date, customer_id
) AS s
LEFT JOIN (
    SELECT customer_id, count(DISTINCT order_date) AS x_holdout, sum(amount) AS amount_holdout
    FROM log WHERE order_date > '1997-09-30' GROUP BY customer_id
) AS h USING (customer_id);

INSERT INTO got
SELECT r.id, q.value
FROM reference AS r
JOIN (
    SELECT format('end=%s;unit=week;same-day purchases merged', end_date) AS args, q.*
    FROM (
        SELECT end_date, count(*) AS customers, sum(x) AS sum_x, count(*) FILTER (WHERE x = 0) AS customers_x0,
               sum(t_x) AS sum_days_t_x, sum(age) AS "sum_days_T", max(x) AS max_x, sum(mean_spend) AS sum_m_x,
               sum(total_spend) AS sum_amount_cal, sum(x_holdout) AS x_holdout, sum(amount_holdout) AS sum_amount_holdout
        FROM cut GROUP BY end_date
    ) AS c, LATERAL (SELECT key, value::float8 FROM jsonb_each_text(to_jsonb(c) - 'end_date')) AS q(quantity, value)
    UNION ALL
    SELECT '', q.* FROM (SELECT count(*) AS rows, count(DISTINCT (customer_id, order_date)) AS customer_days FROM log) AS c,
        LATERAL (VALUES ('rows', c.rows), ('customer_days', c.customer_days)) AS q
) AS q(args, quantity, value) ON r.quantity = q.quantity AND coalesce(r.args, '') = q.args
WHERE r.model = 'rfm';

INSERT INTO got
SELECT r.id, CASE r.quantity WHEN 'total_amount' THEN c.total ELSE c.one END
FROM reference AS r
LEFT JOIN args AS a ON a.id = r.id
CROSS JOIN LATERAL (SELECT sum(total_spend) AS total, sum(total_spend) FILTER (WHERE customer_id = a.value::int) AS one
                    FROM cut WHERE end_date = '1998-06-30') AS c
WHERE r.model = 'historic_clv';

-- ---- compare ----
CREATE TEMP TABLE compared AS
SELECT r.*, g.value AS got,
       coalesce(abs(g.value - r.value::float8) <= r.tolerance * CASE r.tol_kind WHEN 'rel' THEN abs(r.value::float8) ELSE 1 END
                -- decimal figures of sums have no more digits than this
                + CASE WHEN r.tolerance = 0 THEN 1e-9 * abs(r.value::float8) ELSE 0 END, false) AS ok
FROM reference AS r
LEFT JOIN got AS g USING (id);
\echo rows compared, of them within tolerance
SELECT count(*), count(*) FILTER (WHERE ok) FROM compared;
SELECT id, model, dataset, quantity, args, value, got FROM compared WHERE NOT ok ORDER BY id;
DO $$
BEGIN
    IF (SELECT count(*) FROM got) <> (SELECT count(*) FROM reference) OR EXISTS (SELECT FROM compared WHERE NOT ok) THEN
        RAISE EXCEPTION '% of % reference rows differ', (SELECT count(*) FROM compared WHERE NOT ok), (SELECT count(*) FROM reference);
    END IF;
END
$$;
