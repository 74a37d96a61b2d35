-- A setting of an aggregate is one for all rows; measures do not depend on the order of ties.
BEGIN;
\set ON_ERROR_ROLLBACK on
CREATE TEMP TABLE n AS SELECT g, g::float8 AS f, (g % 3 = 0)::int AS y, ARRAY[g::float8, (g % 7)::float8] AS x FROM generate_series(1, 60) AS g;
-- every aggregate of the extension that has a setting, called with one that differs in the last row
SELECT crm.logistic_fit(y, x, f) FROM n;
SELECT crm.encoding_fit(jsonb_build_object('a', g % 2), g) FROM n;
SELECT crm.lift(y, f, CASE WHEN g < 60 THEN 0.1 ELSE 0.2 END ORDER BY g) FROM n;
SELECT crm.naive_bayes_fit(y, ARRAY['a'], f) FROM n;
SELECT crm.fairness(y, 0.5, CASE WHEN g < 60 THEN 0.1 ELSE 0.2 END ORDER BY g) FROM n;
SELECT crm.purchase_summary('2026-01-01'::date + g, 1, '2026-06-01'::date + (g = 60)::int, 'week' ORDER BY g) FROM n;
SELECT crm.purchase_summary('2026-01-01'::date + g, 1, '2026-06-01', CASE WHEN g < 60 THEN 'week' ELSE 'day' END ORDER BY g) FROM n;
SELECT crm.cohort_clv(g, 1, 1, CASE WHEN g < 60 THEN 0.1 ELSE 0.2 END ORDER BY g) FROM n;
SELECT crm.quantile_edges(f, CASE WHEN g < 60 THEN 4 ELSE 5 END ORDER BY g) FROM n;
SELECT crm.kmeans(x, CASE WHEN g < 60 THEN 2 ELSE 3 END, 1, 1 ORDER BY g) FROM n;
SELECT crm.kmeans(x, 2, g, 1) FROM n;
SELECT crm.kmeans(x, 2, 1, g) FROM n;
SELECT crm.frequent_itemsets(g, 'a', CASE WHEN g < 60 THEN 0.1 ELSE 0.2 END, 3 ORDER BY g) FROM n;
SELECT crm.association_rules(g, 'a', 0.1, CASE WHEN g < 60 THEN 0.1 ELSE 0.2 END, 2, 3, 1 ORDER BY g) FROM n;
-- a column that is the same in every row of a group is one setting
SELECT k, round(crm.lift(y, f, k)::numeric, 3) AS lift FROM n, unnest('{0.1,0.5}'::float8[]) AS k GROUP BY k ORDER BY k;
-- equal scores: the order in which rows come says nothing
SELECT crm.lift(y, 0.5, 0.1 ORDER BY y DESC) AS wins_first, crm.lift(y, 0.5, 0.1 ORDER BY y) AS wins_last,
       round(crm.lift(y, (g % 4) / 4.0, 0.2 ORDER BY y DESC)::numeric, 6) = round(crm.lift(y, (g % 4) / 4.0, 0.2 ORDER BY y)::numeric, 6) AS some_ties FROM n;
SELECT bool_and(a IS NOT DISTINCT FROM b) AS same, count(*) AS measures FROM (
    SELECT unnest(ARRAY[crm.auc(y, s ORDER BY g), crm.ks(y, s ORDER BY g), crm.average_precision(y, s ORDER BY g), crm.lift(y, s, 0.3 ORDER BY g),
                        crm.log_loss(y, s ORDER BY s, y), crm.brier(y, s ORDER BY s, y), crm.ece(y, s ORDER BY s, y)]) AS a,
           unnest(ARRAY[crm.auc(y, s ORDER BY -g), crm.ks(y, s ORDER BY -g), crm.average_precision(y, s ORDER BY -g), crm.lift(y, s, 0.3 ORDER BY -g),
                        crm.log_loss(y, s ORDER BY s, y), crm.brier(y, s ORDER BY s, y), crm.ece(y, s ORDER BY s, y)]) AS b
    FROM (SELECT g, y, (g % 5) / 5.0::float8 AS s FROM n) AS t) AS m;
-- KS is the larger side: a score that ranks the wrong way round separates as well
SELECT round(crm.ks(y, s)::numeric, 6) AS right_way, round(crm.ks(y, -s)::numeric, 6) AS wrong_way FROM (SELECT y, f + 20 * y AS s FROM n) AS t;
ROLLBACK;
