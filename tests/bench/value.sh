#!/usr/bin/env bash
# Purchase models, summaries, clusters and rules. The baseline is a peer's published time for the same
# work (the machine differs: read the ratio as an order of size), except where it says "scan": then it
# is a plain aggregate over the same rows in the same run.
set -u
. "$REPO/tests/helpers/cluster.sh"

sql <<'SQL'
CREATE TABLE customers (id int, x int, t_x float8, age float8, spend float8);
-- a cohort of twelve weeks, observed half a year and more, in days; rates skewed, dropout Beta(1, 2.5)
DO $$
DECLARE
    x int; t float8; last float8; lambda float8; p float8; age int;
BEGIN
    PERFORM setseed(0.42);
    FOR i IN 1..1000000 LOOP
        age := 195 + floor(random() * 84);
        lambda := -ln(1 - random()) * random() ^ 3 / 12;
        p := 1 - random() ^ 0.4;
        x := 0; t := 0; last := 0;
        LOOP
            t := t - ln(1 - random()) / greatest(lambda, 1e-9);
            EXIT WHEN t > age;
            IF ceil(t) > last THEN x := x + 1; last := least(ceil(t), age); END IF;
            EXIT WHEN random() < p;
        END LOOP;
        INSERT INTO customers VALUES (i, x, last, age, 20 + 30 * random());
    END LOOP;
END $$;
CREATE TABLE customers_100k AS SELECT * FROM customers WHERE id <= 100000;
CREATE TABLE purchases AS
SELECT (random() * 500000)::int AS customer_id, '2020-01-01'::date + (random() * 700)::int AS day, (random() * 10000)::int / 100.0::float8 AS amount
FROM generate_series(1, 5000000);
CREATE TABLE points AS SELECT ARRAY[ln(1 + x), ln(1 + age - t_x), ln(1 + x * spend)] AS p FROM customers;
VACUUM ANALYZE customers, customers_100k, purchases, points;
SQL

. "$REPO/tests/bench/timed.inc"
scan=$(best "SELECT sum(x), sum(t_x), sum(age) FROM customers")
line "plain sums over 1M customers (baseline of this run)" "${scan}s" "" "" "" ""

row "BG/NBD fit, 100k customers" "SELECT (crm.bgnbd_fit(x, t_x, age)).* FROM customers_100k" 18.2 lifetimes 0.3
row "BG/NBD fit, 1M customers" "SELECT (crm.bgnbd_fit(x, t_x, age)).* FROM customers" 76 lifetimes 1.5
row "MBG/NBD fit, 1M customers" "SELECT (crm.mbgnbd_fit(x, t_x, age)).* FROM customers" 76 lifetimes-BG 1.5
row "Pareto/NBD fit, 100k customers" "SELECT (crm.paretonbd_fit(x, t_x, age)).* FROM customers_100k" 87 lifetimes 4
row "Pareto/NBD fit, 1M customers" "SELECT (crm.paretonbd_fit(x, t_x, age)).* FROM customers" 900 lifetimes-est 15
row "Gamma-Gamma fit, 1M customers" "SELECT (crm.gamma_gamma_fit(x, spend)).* FROM customers" 5.7 numpy 5.7
row "P(alive), 1M rows" "SELECT sum(crm.bgnbd_p_alive(0.3, 16, 1.01, 2.46, x, t_x, age)) FROM customers" 0.11 numpy 0.3
row "E[purchases in 39], 1M rows" "SELECT sum(crm.bgnbd_expected_purchases(0.3, 16, 1.01, 2.46, x, t_x, age, 39)) FROM customers" 0.99 numpy 1
row "12-month CLV, 1M rows" "SELECT sum(crm.bgnbd_clv_by_period(0.3, 16, 1.01, 2.46, x, t_x, age, crm.gamma_gamma_expected_spend(6.25, 3.74, 15.44, x, spend), 12, 30.4, 0.01)) FROM customers" 27 numpy 6
row "summary of 5M purchases" "SELECT sum((s).x) FROM (SELECT crm.purchase_summary(day, amount, '2021-12-31', 'day') AS s FROM purchases GROUP BY customer_id OFFSET 0) AS q" 11.8 pandas 3
plain=$(best "SELECT sum(c), max(s), min(f), max(l) FROM (SELECT customer_id, count(*) AS c, sum(amount) AS s, min(day) AS f, max(day) AS l FROM purchases GROUP BY customer_id OFFSET 0) AS q")
line "count, sum, min and max of the same groups (baseline of this run)" "${plain}s" "" "" "" ""
row "k-means, 1M x 3, k = 5" "SELECT (crm.kmeans(p, 5, 1, 1)).inertia FROM points" 9.7 scikit-learn 2.5
if [ -r "${CRM_DATA:-}/scoring/groceries.csv" ]; then
    sql -c 'CREATE TABLE groceries (trans_id bigint, item text)' -c "\\copy groceries FROM '$CRM_DATA/scoring/groceries.csv' CSV HEADER"
    row "rules of 9,835 baskets at support 0.001, confidence 0.5" "SELECT cardinality(crm.association_rules(trans_id, item, 0.001, 0.5, NULL, NULL, NULL)) FROM groceries" 4.1 mlxtend 0.15
fi

# from the cancel to the end of the statement, in milliseconds
late=$(psql -X -At -c 'SET max_parallel_workers_per_gather = 0' -c "SET statement_timeout = 400" -c '\timing on' \
    -c "SELECT (crm.paretonbd_fit(x, t_x + random(), age + 1)).r FROM customers WHERE x > 0" 2>/dev/null | awk '/^Time:/ {t = $2} END {printf "%.0f", t - 400}')
line "cancel stops a fit" "${late}ms" "" "" "< 100ms" "$(awk -v a="$late" 'BEGIN {print (a < 100) ? "ok" : "miss"}')"
line "memory of the BG/NBD fit of 1M customers" "$(value "$PGDATABASE" "SELECT pg_size_pretty((crm.bgnbd_fit(x, t_x, age)).memory_bytes) FROM customers")" \
    "$(value "$PGDATABASE" "SELECT count(*) FROM (SELECT DISTINCT x, t_x, age FROM customers) AS d") patterns" "" "" ""
exit $status
