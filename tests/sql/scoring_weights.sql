-- Weights of rows: a row counts as often as its weight says, in fits and in measures.
\set SHOW_CONTEXT never
BEGIN;
\set ON_ERROR_ROLLBACK on
CREATE TEMP TABLE d AS
SELECT i, (hashint4(i) % 7 + i % 3 > 1)::int AS y, ARRAY[(i % 90) / 10.0, hashint4(i * 7) / 1e9]::float8[] AS x, (i % 4)::float8 AS w, ((i % 11) / 11.0)::float8 AS s
FROM generate_series(1, 2000) AS i;
CREATE TEMP TABLE repeated AS SELECT d.* FROM d, generate_series(1, w::int);

-- whole weights: every figure that a fit gives is that of repeated rows, with and without a penalty, separated ones too
CREATE TEMP TABLE pairs AS
SELECT c.name, to_jsonb(a) AS weighted, to_jsonb(b) AS repeated
FROM (VALUES ('plain', 0, false), ('penalised', 0.5, false), ('separated', 0, true)) AS c (name, l, separate),
     LATERAL (SELECT (crm.logistic_fit(CASE WHEN separate THEN (x[1] > 4)::int ELSE y END, x, l, w)).* FROM d) AS a,
     LATERAL (SELECT (crm.logistic_fit(CASE WHEN separate THEN (x[1] > 4)::int ELSE y END, x, l)).* FROM repeated) AS b;
WITH leaves AS (
    SELECT p.name, w.key, w.v, r.v AS u
    FROM pairs AS p,
         LATERAL (SELECT e.key, coalesce(a.o, 1) AS o, coalesce(a.v, e.value) AS v FROM jsonb_each(p.weighted) AS e LEFT JOIN LATERAL jsonb_array_elements(
                  CASE WHEN jsonb_typeof(e.value) = 'array' THEN e.value END) WITH ORDINALITY AS a (v, o) ON true) AS w
    LEFT JOIN LATERAL (SELECT e.key, coalesce(a.o, 1) AS o, coalesce(a.v, e.value) AS v FROM jsonb_each(p.repeated) AS e LEFT JOIN LATERAL jsonb_array_elements(
                  CASE WHEN jsonb_typeof(e.value) = 'array' THEN e.value END) WITH ORDINALITY AS a (v, o) ON true) AS r ON r.key = w.key AND r.o = w.o
)
SELECT name, string_agg(DISTINCT key, ', ' ORDER BY key) AS differs
FROM leaves
WHERE CASE WHEN jsonb_typeof(v) = 'number' AND jsonb_typeof(u) = 'number' THEN abs(v::numeric - u::numeric) > 1e-7 * greatest(1, abs(u::numeric)) ELSE v IS DISTINCT FROM u END
GROUP BY name ORDER BY name;
SELECT name, weighted -> 'separated' AS separated, weighted -> 'rows_used' AS rows, weighted -> 'rows_skipped' AS of_weight_0, weighted -> 'total_weight' AS weight FROM pairs ORDER BY name;
-- measures and calibrations
SELECT bool_and(abs(a.v - b.v) < 1e-12) AS same, count(*) > 9 AS any
FROM (SELECT ARRAY[crm.auc(y, s, w), crm.ks(y, s, w), crm.average_precision(y, s, w), crm.lift(y, s, 0.13, w), crm.log_loss(y, s, w), crm.brier(y, s, w), crm.ece(y, s, w)]
             || crm.platt_fit(y, s, w) || (crm.isotonic_fit(y, s, w)).knots || (crm.isotonic_fit(y, s, w)).probabilities AS all_a FROM d) AS weighted,
     (SELECT ARRAY[crm.auc(y, s), crm.ks(y, s), crm.average_precision(y, s), crm.lift(y, s, 0.13), crm.log_loss(y, s), crm.brier(y, s), crm.ece(y, s)]
             || crm.platt_fit(y, s) || (crm.isotonic_fit(y, s)).knots || (crm.isotonic_fit(y, s)).probabilities AS all_b FROM repeated) AS rows,
     LATERAL (SELECT * FROM unnest(all_a) WITH ORDINALITY AS a (v, o) FULL JOIN unnest(all_b) WITH ORDINALITY AS b (v, o) USING (o)) AS ab (o, av, bv),
     LATERAL (SELECT av) AS a (v), LATERAL (SELECT bv) AS b (v);
-- a weight of 1 in every row changes nothing; measures do not depend on the order of ties, nor on what shares are measured in
SELECT crm.auc(y, s, 1) = crm.auc(y, s) AS auc, crm.lift(y, s, 0.2, 1) = crm.lift(y, s, 0.2) AS lift, crm.platt_fit(y, s, 1) = crm.platt_fit(y, s) AS platt,
       crm.isotonic_fit(y, s, 1)::text = crm.isotonic_fit(y, s)::text AS isotonic FROM d;
SELECT bool_and(abs(a - b) < 1e-12) AS units FROM (
    SELECT unnest(ARRAY[crm.auc(y, s, v ORDER BY y), crm.ks(y, s, v), crm.average_precision(y, s, v), crm.lift(y, s, 0.13, v ORDER BY y DESC), crm.brier(y, s, v)]) AS a,
           unnest(ARRAY[crm.auc(y, s, v * 1e-9 ORDER BY i), crm.ks(y, s, v * 1e300), crm.average_precision(y, s, v * 1e-300), crm.lift(y, s, 0.13, v * 1e-9 ORDER BY y), crm.brier(y, s, v / 3)]) AS b
    FROM (SELECT *, w / 7 + 0.01 AS v FROM d) AS t) AS m;
SELECT u, abs(f.coefficients[2] - g.coefficients[2]) < 1e-9 AS weights, abs(f.std_errors[2] / sqrt(u) / g.std_errors[2] - 1) < 1e-7 AS errors,
       abs(f.robust_std_errors[2] / g.robust_std_errors[2] - 1) < 1e-7 AS robust, abs(f.log_loss - g.log_loss) < 1e-12 AS loss
FROM unnest('{1e-300,1e-9,1e9,1e307}'::float8[]) AS u, LATERAL (SELECT (crm.logistic_fit(y, x, 0, w)).* FROM d) AS f,
     LATERAL (SELECT (crm.logistic_fit(y, x, 0, w * u)).* FROM d) AS g;

-- errors of a weighted intercept, worked by hand: p = 6/10 of the weight won. Frequency: 1 / sqrt(10 p (1-p)). Robust:
-- sqrt(n / (n-1) * sum (w (y-p))^2) / (10 p (1-p)), with n = 4 rows
SELECT round(coefficients[1]::numeric, 9) = round(ln(1.5), 9) AS weight, round(std_errors[1]::numeric, 9) = round(1 / sqrt(2.4), 9) AS frequency,
       round(robust_std_errors[1]::numeric, 9) = round(sqrt(4.0 / 3 * (16 * 0.16 + 4 * 0.16 + 9 * 0.36 + 1 * 0.36)) / 2.4, 9) AS robust
FROM (SELECT (crm.logistic_fit(y, '{}', 0, w)).* FROM (VALUES (1, 4), (1, 2), (0, 3), (0, 1)) AS t (y, w)) AS f;
-- ... and of two weights, against the sums worked out here
WITH f AS (SELECT (crm.logistic_fit(y, x[1:1], 0, w)).* FROM d), r AS (
    SELECT w, w * (y - crm.logistic_predict(f.coefficients, x[1:1])) AS u, w * q AS h, x[1] AS x
    FROM d, f, LATERAL (SELECT crm.logistic_predict(f.coefficients, x[1:1]) * (1 - crm.logistic_predict(f.coefficients, x[1:1])) AS q) AS q WHERE w > 0
), s AS (
    SELECT count(*) AS n, sum(h) AS a, sum(h * x) AS b, sum(h * x * x) AS c, sum(u * u) AS ga, sum(u * u * x) AS gb, sum(u * u * x * x) AS gc FROM r
)
SELECT abs(f.std_errors[2] / sqrt(a / (a * c - b * b)) - 1) < 1e-7 AS frequency,
       abs(f.robust_std_errors[2] / (sqrt((b * b * ga - 2 * a * b * gb + a * a * gc) * n / (n - 1)) / (a * c - b * b)) - 1) < 1e-7 AS robust,
       abs(f.robust_std_errors[1] / (sqrt((c * c * ga - 2 * b * c * gb + b * b * gc) * n / (n - 1)) / (a * c - b * b)) - 1) < 1e-7 AS robust_intercept
FROM f, s;
SELECT robust_std_errors IS NULL AS none_without_weights, total_weight = rows_used AS counts FROM (SELECT (crm.logistic_fit(y, x, 0)).* FROM d) AS f;

-- a sample of the losses, weighted back, finds what all rows find; unweighted the intercept is far off
CREATE TEMP TABLE population AS
SELECT i, ((hashint4(i) & 1048575) / 1048576.0 < 1 / (1 + exp(3 - (i % 100) / 50.0)))::int AS y, ARRAY[(i % 100) / 50.0]::float8[] AS x FROM generate_series(1, 40000) AS i;
SELECT abs(a.coefficients[1] - p.coefficients[1]) < 0.1 AS weighted, abs(b.coefficients[1] - p.coefficients[1]) > 1 AS not_weighted, a.robust_std_errors[1] > a.std_errors[1] AS wider
FROM (SELECT (crm.logistic_fit(y, x, 0)).* FROM population) AS p,
     (SELECT (crm.logistic_fit(y, x, 0, CASE WHEN y = 1 THEN 1 ELSE 8 END)).* FROM population WHERE y = 1 OR i % 8 = 0) AS a,
     (SELECT (crm.logistic_fit(y, x, 0)).* FROM population WHERE y = 1 OR i % 8 = 0) AS b;

-- refused; left out
SELECT crm.logistic_fit(y, x, 0, -1) FROM d;
SELECT crm.logistic_fit(y, x, 0, 'NaN') FROM d;
SELECT crm.logistic_fit(y, x, 0, 'Infinity') FROM d;
SELECT crm.logistic_fit(y, x, 0, 0) FROM d;
SELECT crm.logistic_fit(y, x, 0, w * y) FROM d;
SELECT crm.logistic_fit(y, x, i, w) FROM d;
SELECT crm.auc(y, s, -w) FROM d WHERE i = 1;
SELECT crm.lift(y, s, 0.1, 'NaN') FROM d;
SELECT crm.auc(y, s, 0) IS NULL AS auc, crm.brier(y, s, 0) IS NULL AS brier, crm.log_loss(y, s, NULL) IS NULL AS log_loss FROM d;
SELECT crm.isotonic_fit(y, s, 0) FROM d;
SELECT rows_used, rows_skipped FROM (SELECT (crm.logistic_fit(y, x, 0, nullif(w, 1))).* FROM d) AS f;
ROLLBACK;
