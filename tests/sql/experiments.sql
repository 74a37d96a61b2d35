-- Experiments: published figures, and how often an experiment without an effect is called one however often it is looked at.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET jit = off;
\echo == Newcombe 1998, table II, method 10
SELECT v.a || '/' || v.n || ' - ' || v.b || '/' || v.m AS groups, round(d.difference::numeric, 4) AS difference, round(d.low::numeric, 4) AS low, round(d.high::numeric, 4) AS high
FROM (VALUES (1, 56, 70, 48, 80), (2, 9, 10, 3, 10), (3, 6, 7, 2, 7), (4, 5, 56, 0, 29), (5, 0, 10, 0, 20), (6, 0, 10, 0, 10), (7, 10, 10, 0, 20), (8, 10, 10, 0, 10)) AS v (k, a, n, b, m),
    LATERAL crm.proportion_difference(v.a, v.n, v.b, v.m) AS d ORDER BY v.k;
SELECT crm.proportion_difference(0, 0, 1, 2) IS NULL AS nobody, crm.proportion_difference(NULL, 1, 1, 2) IS NULL AS unknown;
SELECT crm.proportion_difference(3, 2, 1, 2);
SELECT crm.proportion_difference(-1, 2, 1, 2);
SELECT crm.proportion_difference(1, 2, 1, 2, 1);
\echo == the interval of the sequential test says the same as its p value, is wider than that of one look, and turns round with the groups
SELECT bool_and((s.p_value < 0.05) = (s.low > 0 OR s.high < 0)) AS agree, bool_and(s.high - s.low > d.high - d.low) FILTER (WHERE a BETWEEN 100 AND 300 AND b BETWEEN 100 AND 300) AS wider,
       bool_and(abs(s.low + r.high) < 1e-12 AND abs(s.p_value - r.p_value) < 1e-12) AS turned
FROM generate_series(0, 400, 25) AS a, generate_series(0, 400, 50) AS b, LATERAL crm.sequential_proportions(a, 400, b, 400) AS s,
    LATERAL crm.sequential_proportions(b, 400, a, 400) AS r, LATERAL crm.proportion_difference(a, 400, b, 400) AS d;
SELECT round(s.p_value::numeric, 6) AS p, round(s.low::numeric, 5) AS low, round(s.high::numeric, 5) AS high FROM crm.sequential_proportions(180, 1000, 120, 1000, 0.05) AS s;
SELECT crm.sequential_proportions(1, 10, 1, 10, 0);
SELECT crm.sequential_proportions(1, 10, 1, 10, 'NaN');
SELECT crm.sequential_proportions(1, 10, 0, 0) IS NULL AS nobody;
\echo == looked at after every ten members of each group, 400 experiments a row: false alarms stay below 5 per cent, as one look at a time does not; effects are found
CREATE TEMP TABLE draws AS
SELECT e AS experiment, p.rate, p.effect, n,
       sum((crm_internal.campaign_draw(e, 'a ' || p.rate, n::text) < p.rate)::integer) OVER w AS a,
       sum((crm_internal.campaign_draw(e, 'b ' || p.rate, n::text) < p.rate + p.effect)::integer) OVER w AS b
FROM generate_series(1, 400) AS e, (VALUES (0.02, 0.0), (0.1, 0.0), (0.5, 0.0), (0.1, 0.08)) AS p (rate, effect), generate_series(1, 800) AS n
WINDOW w AS (PARTITION BY e, p.rate, p.effect ORDER BY n);
SELECT d.rate, d.effect, count(*) AS experiments, CASE WHEN d.effect = 0 THEN avg(d.alarm::integer) <= 0.05 ELSE avg(d.alarm::integer) > 0.8 END AS sequential_as_it_should_be,
       CASE WHEN d.effect = 0 THEN avg(d.peeked::integer) > 0.1 END AS one_look_repeated_is_not
FROM (SELECT x.rate, x.effect, x.experiment, bool_or(s.p_value < 0.05) AS alarm, bool_or(p.low > 0 OR p.high < 0) AS peeked
      FROM draws AS x, LATERAL crm.sequential_proportions(x.b, x.n, x.a, x.n) AS s, LATERAL crm.proportion_difference(x.b, x.n, x.a, x.n) AS p
      WHERE x.n % 10 = 0 GROUP BY 1, 2, 3) AS d GROUP BY 1, 2 ORDER BY 1, 2;
\echo == the intervals cover the true difference at all looks together in 95 of 100
SELECT d.rate, d.effect, avg(d.covers::integer) >= 0.95 AS covered
FROM (SELECT x.rate, x.effect, x.experiment, bool_and(x.effect BETWEEN s.low AND s.high) AS covers
      FROM draws AS x, LATERAL crm.sequential_proportions(x.b, x.n, x.a, x.n) AS s WHERE x.n % 10 = 0 GROUP BY 1, 2, 3) AS d GROUP BY 1, 2 ORDER BY 1, 2;
\echo == allocation: exact, so false alarms are at most what they may be; a broken draw is found
SELECT avg(a.alarm::integer) <= 0.05 AS false_alarms, avg(a.broken::integer) > 0.95 AS broken_found
FROM (SELECT x.experiment, bool_or(crm.allocation_p(ARRAY[x.a, x.n - x.a], ARRAY[1, 1]) < 0.05) AS alarm,
             bool_or(crm.allocation_p(ARRAY[x.a, x.n - x.a], ARRAY[3, 2]) < 0.05) AS broken
      FROM draws AS x WHERE x.rate = 0.5 GROUP BY 1) AS a;
SELECT round(crm.allocation_p('{10,10}', '{1,1}')::numeric, 6) AS even, round(crm.allocation_p('{8,0}', '{1,1}')::numeric, 6) AS by_hand, 9.0 / 256 AS is, crm.allocation_p('{5}', '{1}') IS NULL AS one;
SELECT crm.allocation_p('{1,2}', '{1}');
SELECT crm.allocation_p('{1,-2}', '{1,1}');
SELECT crm.allocation_p('{1,2}', '{1,0}');
\echo == bootstrap of means: of what is normal near the interval of the textbook, the same for the same seed
SELECT abs(d.difference - 1) < 0.1 AS difference, abs((d.high - d.low) / (2 * 1.96 * sqrt(2.0 / 2000)) - 1) < 0.1 AS width, d = e AS same
FROM (SELECT array_agg(1 + x) AS a, array_agg(y) AS b FROM (SELECT crm_internal.demo_normal(1, 'a', n) AS x, crm_internal.demo_normal(1, 'b', n) AS y FROM generate_series(1, 2000) AS n) AS s) AS v,
    LATERAL crm.mean_difference(v.a, v.b) AS d, LATERAL crm.mean_difference(v.a, v.b) AS e;
SELECT * FROM crm.mean_difference('{0,0,0}', '{0,0,0}');
SELECT crm.mean_difference('{}', '{1}') IS NULL AS nobody;
SELECT crm.mean_difference('{1,NULL}', '{1}');
SELECT crm.mean_difference('{1,Infinity}', '{1}');
SELECT crm.mean_difference('{1e308,1e308}', '{1e308,1e308}');
SELECT crm.mean_difference('{1}', '{1}', resamples => 1);
