-- Predictive models: what the reference figures do not show. Refusals, degenerate data, invariance.
\set SHOW_CONTEXT never
BEGIN;
\set ON_ERROR_ROLLBACK on
CREATE TEMP TABLE d AS
SELECT i, (hashint4(i) % 1000 / 1000.0)::float8 AS a, (hashint4(i + 7777) % 1000 / 1000.0)::float8 AS b,
       (hashint4(i + 31) % 1000 / 1000.0 < 1 / (1 + exp(-(hashint4(i) % 1000 / 500.0))))::int AS y
FROM generate_series(1, 500) AS i;

-- refused, with the reason
SELECT crm.logistic_fit(y, ARRAY[a], 0) FROM d WHERE false;
SELECT crm.logistic_fit(y, ARRAY[a], 0) FROM d WHERE y = 1;
SELECT crm.logistic_fit(NULL, ARRAY[a], 0) FROM d;
SELECT crm.logistic_fit(y, ARRAY[a, 'NaN'], 0) FROM d;
SELECT crm.logistic_fit(y, ARRAY['Infinity', a], 0) FROM d;
SELECT crm.logistic_fit(2 * y, ARRAY[a], 0) FROM d;
SELECT crm.logistic_fit(y, ARRAY[a], -1) FROM d;
SELECT crm.logistic_fit(y, ARRAY[a], NULL) FROM d;
SELECT crm.logistic_fit(y, CASE WHEN i < 9 THEN ARRAY[a] ELSE ARRAY[a, b] END, 0) FROM d;
SELECT crm.logistic_fit(y, ARRAY[ARRAY[a], ARRAY[b]], 0) FROM d;
SELECT crm.logistic_predict('{1,2}', '{1,2}');
SELECT crm.logistic_predict('{1,2}', '{NaN}');
SELECT crm.logistic_predict('{1,2}', '{NULL}') IS NULL AS null_in_null_out;
SELECT crm.logistic_predict('{0,1}', '{-800}') AS tiny, crm.logistic_predict('{0,1}', '{800}') AS one;

-- rows with a null are counted, not guessed
SELECT rows_used, rows_skipped, wins = (SELECT sum(y) FROM d WHERE i % 10 <> 0) AS wins_agree
FROM (SELECT (crm.logistic_fit(y, ARRAY[a, CASE WHEN i % 10 <> 0 THEN b END], 0)).* FROM d) AS f;

-- no features at all: the intercept is the log-odds of the win rate
SELECT abs(coefficients[1] - ln(wins::float8 / (rows_used - wins))) < 1e-12 AS intercept_only, cardinality(coefficients), auc
FROM (SELECT (crm.logistic_fit(y, '{}', 0)).* FROM d) AS f;

-- constant, repeated and combined columns are left out and named
SELECT aliased_columns, coefficients[3] AS w2, std_errors[3] AS e2, converged, separated
FROM (SELECT (crm.logistic_fit(y, ARRAY[a, 3, b, a + 2 * b, a], 0)).* FROM d) AS f;
-- ... with a penalty two copies share the weight
SELECT aliased_columns, abs(coefficients[2] - coefficients[3]) < 1e-9 AS shared
FROM (SELECT (crm.logistic_fit(y, ARRAY[a, a], 1)).* FROM d) AS f;

-- units do not matter without a penalty, nor a huge offset
SELECT abs(f.coefficients[2] - 1e6 * g.coefficients[2]) < 1e-7 AS scaled, abs(f.log_likelihood - g.log_likelihood) < 1e-9 AS same_fit,
       abs(f.coefficients[2] - h.coefficients[2]) < 1e-4 AS shifted, abs(f.std_errors[2] - h.std_errors[2]) < 1e-4 AS same_error
FROM (SELECT (crm.logistic_fit(y, ARRAY[a, b], 0)).* FROM d) AS f,
     (SELECT (crm.logistic_fit(y, ARRAY[1e6 * a, b], 0)).* FROM d) AS g,
     (SELECT (crm.logistic_fit(y, ARRAY[a + 5e9, b], 0)).* FROM d) AS h;

-- separation: complete, and by a level that never wins
SELECT separated, separating_columns, lambda, converged, abs(coefficients[2]) < 1000 AS finite
FROM (SELECT (crm.logistic_fit((a > 0.1)::int, ARRAY[b, a], 0)).* FROM d) AS f;
SELECT separated, separating_columns, converged, coefficients[3] < -2 AS strong
FROM (SELECT (crm.logistic_fit(CASE WHEN i % 50 = 0 THEN 0 ELSE y END, ARRAY[a, (i % 50 = 0)::int], 0)).* FROM d) AS f;
SELECT separated, converged, auc = 1 AS perfect FROM (SELECT (crm.logistic_fit(v, ARRAY[v], 0)).* FROM (VALUES (0), (1)) AS t (v)) AS f;
SELECT separated, lambda FROM (SELECT (crm.logistic_fit((a > 0.1)::int, ARRAY[b, a], 1)).* FROM d) AS f;

-- explanation adds up
SELECT bool_and(abs(s.c - crm.log_odds(f.coefficients, ARRAY[d.a, d.b])) < 1e-12
            AND abs(s.p - crm.logistic_predict(f.coefficients, ARRAY[d.a, d.b])) < 1e-12) AS adds_up
FROM (SELECT (crm.logistic_fit(y, ARRAY[a, b], 0.1)).* FROM d) AS f, d,
     LATERAL (SELECT sum(contribution) AS c, sum(probability_change) AS p
              FROM crm.explain_logodds(f.coefficients, f.means, ARRAY[d.a, d.b], ARRAY['a', 'b'])) AS s;

-- encoding: z-scores, levels, rare and unseen levels, missing values
SELECT crm.encoding_fit(r, 2) AS e FROM (VALUES ('{"n": 1, "c": "x", "b": true}'::jsonb), ('{"n": 3, "c": "x", "b": false}'),
    ('{"n": null, "c": "y", "b": true}'), ('{"n": 2, "c": "z", "b": true}'), ('{"n": 2, "c": "z", "b": false}')) AS t (r) \gset
SELECT crm.encoding_terms(:'e'), crm.encoding_fields(:'e');
SELECT crm.encode(:'e', '{"n": 3, "c": "z", "b": false}'), crm.encode(:'e', '{"n": 2, "c": "new"}'), crm.encode(:'e', '{"other": [1]}'::jsonb - 'other'),
       crm.encoding_unseen(:'e', '{"n": 2, "c": "new"}');
SELECT crm.encode(:'e', '{"n": "text"}');
SELECT crm.encode(:'e', '{"n": {"a": 1}}');
SELECT crm.encode('{}', '{}');
SELECT crm.encoding_fit(r, 0) FROM (VALUES ('{"n": 1}'::jsonb), ('{"n": "x"}')) AS t (r);
SELECT crm.encoding_fit(NULL, 0);
SELECT crm.z_scores('{1,NULL,3}', '{1,1,1}', '{0,1,2}');

-- naive Bayes: unseen and missing levels leave the odds alone, parts add up, workers agree
CREATE TEMP TABLE bayes AS SELECT crm.naive_bayes_fit(y, ARRAY[(i % 3)::text, CASE WHEN i % 7 <> 0 THEN (i % 7)::text END], 1) AS m FROM d;
SELECT abs(crm.naive_bayes_predict(m, '{nobody,NULL}') - (SELECT avg(y) FROM d)) < 1e-12 AS prior,
       abs((SELECT sum(t) FROM unnest(crm.naive_bayes_terms(m, '{1,2}')) AS t) - ln(p / (1 - p))) < 1e-12 AS adds_up
FROM bayes, LATERAL crm.naive_bayes_predict(m, '{1,2}') AS p;
SELECT crm.naive_bayes_predict(m, '{1}') FROM bayes;
SELECT crm.naive_bayes_predict('{"alpha": 1}', '{1}');
SELECT crm.naive_bayes_fit(1, '{a}', 1);
SELECT crm.naive_bayes_fit(y, ARRAY['a'], 0) FROM d;

-- deals: one win is no certainty, a team without wins no other team's luck
SELECT crm.deal_odds_fit('a', 1, true, '{}') AS one \gset
SELECT crm.deal_odds_predict(:'one', 'a', 1, '{}', true) AS published, crm.deal_odds_predict(:'one', 'a', 1, '{}') IS NULL AS mended_says_nothing;
CREATE TEMP TABLE teams AS
SELECT crm.deal_odds_fit(t, 1 + (i % 3), (t = 'lucky' AND i % 3 = 2), jsonb_build_object('source', CASE WHEN t = 'lucky' THEN 'web' ELSE 'fair' END, 'tags', ARRAY['x', 'y'])) AS m
FROM generate_series(1, 60) AS i, unnest(ARRAY['lucky', 'unlucky']) AS t;
SELECT round(crm.deal_odds_predict(m, 'unlucky', 1, '{"source": "fair"}')::numeric, 3) < 0.1 AS team_without_wins_low,
       crm.deal_odds_predict(m, 'lucky', 1, '{"source": "web"}') > crm.deal_odds_predict(m, 'unlucky', 1, '{"source": "web"}') AS team_counts,
       crm.deal_odds_predict(m, 'nobody', 1, '{"source": "never seen"}') = crm.deal_odds_predict(m, NULL, 1, '{}') AS unseen_says_nothing
FROM teams;
SELECT abs(sum(e.contribution) - ln(p / (1 - p))) < 1e-12 AS adds_up, count(*)
FROM teams, crm.deal_odds_predict(m, 'lucky', 2, '{"source": "web", "tags": ["x", "y"]}') AS p,
     crm.deal_odds_explain(m, 'lucky', 2, '{"source": "web", "tags": ["x", "y"]}') AS e GROUP BY p;
SELECT crm.deal_odds_predict(m, 'lucky', 0, '{}') FROM teams;
SELECT crm.deal_odds_predict(m, 'lucky', 1, '[]') FROM teams;

-- measures: ties, degenerate input, refusals
SELECT crm.auc(y, 0.5), crm.ks(y, 0.5), crm.lift(y, 0.5, 1), round(crm.brier(y, 0.5)::numeric, 3) AS brier FROM d;
SELECT crm.auc(y, a) IS NULL AS auc, crm.log_loss(y, 1) AS log_loss FROM d WHERE y = 1;
SELECT round(crm.log_loss(v, 1 - v)::numeric, 4) AS finite FROM (VALUES (0), (1)) AS t (v);
SELECT crm.auc(y, a) IS NULL AS nothing FROM d WHERE false;
SELECT crm.brier(y, 2) FROM d;
SELECT crm.auc(y, 'NaN') FROM d;
SELECT crm.lift(y, a, 0) FROM d;
SELECT crm.auc(v, s) FROM (VALUES (0, -2::float8), (1, -1), (0, 0), (0, '-0'), (1, 3)) AS t (v, s);
SELECT crm.platt_fit(y, 1) FROM d;
SELECT crm.platt_fit(1, a) FROM d;
SELECT (crm.isotonic_fit(v, s)).* FROM (VALUES (0, 1), (1, 2), (0, 3), (1, 4), (1, 4), (0, 1)) AS t (v, s);
SELECT crm.isotonic_predict('{1,3}', '{0.2,0.4}', s) FROM unnest('{0,1,2,3,9}'::float8[]) AS s;
SELECT crm.isotonic_predict('{}', '{}', 1);
SELECT crm.psi('{10,10}', '{5,15}') > 0 AS moved, crm.psi('{10,10}', '{1,1}') AS same, crm.psi('{10,0}', '{5,5}') > 0 AS finite, crm.psi('{0,0}', '{1,1}') IS NULL AS empty;
SELECT crm.psi('{1}', '{1,2}');
SELECT (crm.fairness(v, s, 0.5)).* FROM (VALUES (0, 0.1), (1, 0.9), (0, 0.6), (1, NULL)) AS t (v, s);
ROLLBACK;

-- a long fit can be cancelled at once
SET statement_timeout = '700ms';
SELECT crm.logistic_fit(i % 2, x.v, 0) FROM (SELECT array_agg(hashint4(j)::float8) AS v FROM generate_series(1, 300) AS j) AS x, generate_series(1, 200000) AS i;
RESET statement_timeout;
