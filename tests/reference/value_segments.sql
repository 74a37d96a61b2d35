-- Association rules, RFM and k-means: every row of those kinds in scoring/reference.csv.
\set ON_ERROR_STOP on
SET search_path = pg_catalog, pg_temp;
SET extra_float_digits = 1;
\cd :data

CREATE TEMP TABLE reference (algorithm text, dataset text, quantity text, args text, value text, tolerance float8, source text);
\copy reference FROM 'scoring/reference.csv' CSV HEADER
CREATE TEMP TABLE wanted AS
SELECT row_number() OVER () AS id, algorithm, dataset, quantity, coalesce(nullif(args, ''), '{}')::jsonb AS args, value, tolerance
FROM reference WHERE algorithm IN ('assoc', 'rfm', 'kmeans');

CREATE TEMP TABLE groceries (trans_id bigint, item text);
\copy groceries FROM 'scoring/groceries.csv' CSV HEADER
CREATE TEMP TABLE small (example text, trans_id bigint, item text);
\copy small FROM 'scoring/baskets_small.csv' CSV HEADER
CREATE TEMP TABLE iris (id int, a float8, b float8, c float8, d float8, species int);
\copy iris FROM 'scoring/iris.csv' CSV HEADER
CREATE TEMP TABLE invoices (invoice_no text, invoice_date date, customer_id int, total_price numeric);
\copy invoices FROM 'scoring/retail_invoices.csv' CSV HEADER

-- ---- association ----
CREATE TEMP TABLE baskets AS
SELECT 'groceries' AS dataset, '' AS example, trans_id, item FROM groceries
UNION ALL SELECT 'baskets_small', example, trans_id, item FROM small;

CREATE TEMP TABLE rules AS
SELECT s.dataset, s.example, r.*
FROM (SELECT dataset, example, crm.association_rules(trans_id, item, 0.0019, 0, 2, 4, 3) AS rules
      FROM baskets GROUP BY dataset, example) AS s, unnest(s.rules) AS r;
CREATE INDEX ON rules (dataset, lhs, rhs);

CREATE TEMP TABLE got (id bigint, value text);
-- measures of one rule; the sides are sorted as the aggregate sorts them
INSERT INTO got
SELECT w.id, coalesce(to_jsonb(r)->>w.quantity, 'null')
FROM wanted AS w
CROSS JOIN LATERAL (
    SELECT (SELECT array_agg(i ORDER BY i COLLATE "C") FROM jsonb_array_elements_text(w.args->'lhs') AS i) AS lhs,
           (SELECT array_agg(i ORDER BY i COLLATE "C") FROM jsonb_array_elements_text(w.args->'rhs') AS i) AS rhs
) AS s
JOIN rules AS r ON r.dataset = w.dataset AND r.example = coalesce(w.args->>'example', '') AND r.lhs = s.lhs AND r.rhs = s.rhs
WHERE w.algorithm = 'assoc' AND w.args ? 'lhs';

INSERT INTO got
SELECT w.id, CASE w.quantity
    WHEN 'frequent_itemsets' THEN (
        SELECT cardinality(crm.frequent_itemsets(trans_id, item, (w.args->>'min_support')::float8, 20)) FROM baskets AS b
        WHERE b.dataset = w.dataset AND b.example = coalesce(w.args->>'example', ''))::text
    WHEN 'rules' THEN (
        SELECT cardinality(crm.association_rules(trans_id, item, (w.args->>'min_support')::float8, (w.args->>'min_confidence')::float8,
                   coalesce((w.args->>'minlen')::int, 2), 20, CASE w.args->>'rhs_len' WHEN 'any' THEN 20 ELSE 1 END))
        FROM baskets AS b WHERE b.dataset = w.dataset AND b.example = coalesce(w.args->>'example', ''))::text
    END
FROM wanted AS w
WHERE w.quantity IN ('frequent_itemsets', 'rules');
INSERT INTO got
SELECT w.id, (SELECT s.count FROM (SELECT crm.frequent_itemsets(trans_id, item, 0, 1) AS sets FROM groceries) AS f, unnest(f.sets) AS s
              WHERE s.items = ARRAY[w.args->>'item'])::text
FROM wanted AS w WHERE w.algorithm = 'assoc' AND w.quantity = 'count';
INSERT INTO got
SELECT w.id, CASE w.quantity WHEN 'transactions' THEN (SELECT count(DISTINCT trans_id) FROM groceries)::text
                             WHEN 'items' THEN (SELECT count(DISTINCT item) FROM groceries)::text
                             ELSE (SELECT count(*)::float8 / count(DISTINCT trans_id) / count(DISTINCT item) FROM groceries)::text END
FROM wanted AS w WHERE w.algorithm = 'assoc' AND w.quantity IN ('transactions', 'items', 'density');

-- ---- RFM ----
CREATE TEMP TABLE rfm AS
SELECT customer_id, '2011-12-10'::date - max(invoice_date) AS recency, count(*) AS frequency, sum(total_price)::float8 AS monetary
FROM invoices GROUP BY customer_id;
CREATE TEMP TABLE edges AS
SELECT crm.quantile_edges(recency, 5) AS r, crm.quantile_edges(frequency, 5) AS f, crm.quantile_edges(monetary, 5) AS m FROM rfm;
CREATE TEMP TABLE scored AS
SELECT v.field, v.score, count(*) AS n
FROM rfm, edges, LATERAL (VALUES ('recency', crm.edge_score(recency, r, true)), ('frequency', crm.edge_score(frequency, f, false)),
                                 ('monetary', crm.edge_score(monetary, m, false))) AS v(field, score)
GROUP BY v.field, v.score;
INSERT INTO got
SELECT w.id, CASE w.quantity WHEN 'customers' THEN (SELECT count(*) FROM rfm)::text
                             WHEN 'score_count' THEN (SELECT n FROM scored AS s WHERE s.field = w.args->>'field' AND s.score = (w.args->>'score')::int)::text
                             ELSE (SELECT to_jsonb(r)->>w.quantity FROM rfm AS r WHERE r.customer_id = (w.args->>'customer_id')::int) END
FROM wanted AS w WHERE w.algorithm = 'rfm';

-- ---- k-means ----
CREATE TEMP TABLE points AS
SELECT 'iris' AS dataset, ARRAY[a, b, c, d] AS p FROM iris
UNION ALL
SELECT 'retail_invoices', ARRAY[(r - avg(r) OVER ()) / stddev_pop(r) OVER (), (f - avg(f) OVER ()) / stddev_pop(f) OVER (),
                                (m - avg(m) OVER ()) / stddev_pop(m) OVER ()]
FROM (SELECT ln(1 + greatest(0, recency)) AS r, ln(1 + greatest(0, frequency))::float8 AS f, ln(1 + greatest(0, monetary)) AS m FROM rfm) AS l;
CREATE TEMP TABLE clustered AS
SELECT dataset, k, (crm.kmeans(p, k, 1, 50)).* FROM points, generate_series(1, 5) AS k GROUP BY dataset, k;
INSERT INTO got
SELECT w.id, CASE w.quantity
    WHEN 'inertia' THEN c.inertia::text
    WHEN 'sizes_sorted' THEN (SELECT string_agg(s::text, '|' ORDER BY s) FROM unnest(c.sizes) AS s)
    WHEN 'silhouette' THEN (SELECT crm.silhouette(p, crm.nearest_centre(p, c.centres)) FROM points AS q WHERE q.dataset = w.dataset)::text
    WHEN 'centre_contains' THEN (
        -- the centre nearest to the one asked for
        SELECT string_agg(c.centres[n.i][j]::text, '|' ORDER BY j)
        FROM (SELECT crm.nearest_centre(string_to_array(w.value, '|')::float8[], c.centres) AS i) AS n, generate_series(1, 4) AS j)
    END
FROM wanted AS w
JOIN clustered AS c ON c.dataset = w.dataset AND c.k = (w.args->>'k')::int
WHERE w.algorithm = 'kmeans';

-- ---- compare ----
CREATE TEMP TABLE compared AS
SELECT w.*, g.value AS got, coalesce(
    cardinality(string_to_array(w.value, '|')) = cardinality(string_to_array(g.value, '|')) AND (
        SELECT bool_and(a = b OR abs(a - b) <= w.tolerance * greatest(1, abs(a)))
        FROM unnest(string_to_array(w.value, '|')::float8[], string_to_array(g.value, '|')::float8[]) AS v(a, b)), false) AS ok
FROM wanted AS w LEFT JOIN got AS g USING (id);
\echo rows compared, of them within tolerance
SELECT algorithm, count(*), count(*) FILTER (WHERE ok) AS ok FROM compared GROUP BY algorithm ORDER BY algorithm;
SELECT algorithm, dataset, quantity, args, value, got FROM compared WHERE NOT ok ORDER BY id;
DO $$
BEGIN
    IF (SELECT count(*) FROM got) <> (SELECT count(*) FROM wanted) OR EXISTS (SELECT FROM compared WHERE NOT ok) THEN
        RAISE EXCEPTION '% of % reference rows differ', (SELECT count(*) FROM compared WHERE NOT ok), (SELECT count(*) FROM wanted);
    END IF;
END
$$;
