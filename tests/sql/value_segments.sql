-- Quantile scores, k-means, association rules: small cases, ties, errors.
SET search_path = pg_catalog, pg_temp;
SET extra_float_digits = 0;
BEGIN;
\set ON_ERROR_ROLLBACK on

-- edges by linear interpolation; equal values score alike; nobody's NULL has a score
CREATE TEMP TABLE buyers AS SELECT * FROM (VALUES (1), (1), (1), (1), (2), (3), (4), (10), (NULL)) AS v(orders);
SELECT crm.quantile_edges(orders, 4) AS edges FROM buyers;
SELECT orders, crm.edge_score(orders, e.edges, false) AS score, crm.edge_score(orders, e.edges, true) AS reversed, count(*)
FROM buyers, (SELECT crm.quantile_edges(orders, 4) AS edges FROM buyers) AS e GROUP BY 1, 2, 3 ORDER BY 1;
SELECT crm.quantile_edges(1, 1);
SELECT crm.edge_score(1, '{3,2}', false);

-- k-means: two heaps, more clusters than points, any order of rows
SELECT clusters, sizes, round(inertia::numeric, 6) AS inertia, points, left_out, settled
FROM (SELECT (crm.kmeans(ARRAY[x, y], 2, 7, 3)).*
      FROM (VALUES (0, 0), (0, 1), (1, 0), (10, 10), (10, 11), (NULL, 1)) AS v(x, y)) AS k;
SELECT clusters, inertia FROM (SELECT (crm.kmeans(ARRAY[x::float8], 9, 1, 1)).* FROM (VALUES (1), (1), (2)) AS v(x)) AS k;
SELECT (SELECT crm.kmeans(ARRAY[i % 97, i % 89, i % 31], 6, 5, 2) FROM generate_series(1, 3000) AS i)
     = (SELECT crm.kmeans(ARRAY[i % 97, i % 89, i % 31], 6, 5, 2) FROM generate_series(3000, 1, -1) AS i) AS same;
SELECT crm.nearest_centre('{9,9}', '{{0,0},{10,10}}') AS near;
SELECT round(crm.silhouette(ARRAY[x::float8], c)::numeric, 6) AS silhouette FROM (VALUES (1, 1), (2, 1), (9, 2), (10, 2)) AS v(x, c);
SELECT crm.kmeans((ARRAY[i, i])[1:1 + i % 2], 2, 1, 1) FROM generate_series(1, 2) AS i;
SELECT crm.kmeans(ARRAY['NaN'::float8], 2, 1, 1);
SELECT crm.kmeans(ARRAY[1.0]::float8[], 0, 1, 1);

-- the mlxtend example: 11 sets and 12 rules; Onion twice in a basket counts once
CREATE TEMP TABLE lines AS
SELECT b.basket, b.item FROM (VALUES
    (1, '{Milk,Onion,Nutmeg,Kidney Beans,Eggs,Yogurt}'::text[]), (2, '{Dill,Onion,Nutmeg,Kidney Beans,Eggs,Yogurt}'),
    (3, '{Milk,Apple,Kidney Beans,Eggs}'), (4, '{Milk,Unicorn,Corn,Kidney Beans,Yogurt}'),
    (5, '{Corn,Onion,Onion,Kidney Beans,Ice cream,Eggs}')) AS v(basket, items), LATERAL (SELECT v.basket, unnest(v.items)) AS b(basket, item);
SELECT s.* FROM (SELECT crm.frequent_itemsets(basket, item, 0.6, NULL) AS sets FROM lines) AS f, unnest(f.sets) AS s
ORDER BY s.items;
SELECT lhs, rhs, count, round(confidence::numeric, 4) AS confidence, round(lift::numeric, 4) AS lift, conviction,
       round(zhang::numeric, 4) AS zhang, round(p_value::numeric, 4) AS p_value
FROM (SELECT crm.association_rules(basket, item, 0.6, 0.7, NULL, NULL, 9) AS rules FROM lines) AS a, unnest(a.rules) AS r
ORDER BY lhs, rhs;
-- 0.25 of 9 baskets are 3, not 2
SELECT cardinality(crm.frequent_itemsets(b, i, 0.25, NULL)) AS sets FROM (SELECT b, CASE WHEN b < 3 THEN 'rare' ELSE 'often' END AS i FROM generate_series(1, 9) AS b) AS v;
SELECT crm.association_rules(1, 'a', 1.5, 0, NULL, NULL, NULL);
SELECT crm.frequent_itemsets(1, NULL, 0, NULL) AS empty_basket;

-- a cancel stops a fit
SET LOCAL statement_timeout = '60ms';
SELECT (crm.paretonbd_fit(1 + i % 7, i / 1e4, i / 5e3)).r FROM generate_series(1, 200000) AS i;
ROLLBACK;
