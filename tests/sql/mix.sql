-- Marketing mix models: shapes and effects that were planted are found, budgets are divided, plans forecast; bad input.
\set ON_ERROR_ROLLBACK on
BEGIN;
SELECT crm.adstock('{100,0,0,50}', 0.5) AS geometric, crm.adstock('{}', 0.5) AS nothing, crm.adstock_weibull('{100,0,0}', 1, 0) AS no_scale;
SELECT round((crm.hill_saturation('{0,50,100}', 1, 0.5))[3]::numeric, 4) AS at_twice_the_inflexion, crm.hill_saturation('{0,0}', 2, 0.5) AS no_spend;

-- five years of weeks: two channels with carry-over and saturation, one that does nothing, a price and a season
CREATE TEMP TABLE weeks AS
SELECT w, '2020-01-06'::date + 7 * w AS week,
       greatest(0, 100 + 90 * sin(w * 1.7) + 60 * cos(w * 0.37))::float8 AS tv,
       CASE WHEN w % 3 = 0 THEN 40 + (w * 7) % 50 ELSE (w * 13) % 30 END::float8 AS search,
       ((w * 31) % 17)::float8 AS radio, (10 + sin(w * 0.9))::float8 AS price
FROM generate_series(0, 259) AS w;
CREATE TEMP TABLE pressed AS
SELECT w.*, crm.mix_effect(500, 2, 200, a.tv[w.w + 1]) AS by_tv, crm.mix_effect(300, 1, 50, a.search[w.w + 1]) AS by_search
FROM weeks AS w, (SELECT crm.adstock(array_agg(tv ORDER BY w), 0.6) AS tv, crm.adstock(array_agg(search ORDER BY w), 0.2) AS search FROM weeks) AS a;
CREATE TEMP TABLE sales AS
SELECT p.*, 1000 + by_tv + by_search - 30 * price + 80 * sin(2 * pi() * w / 52) + 5 * sin(w * 12.9898) * cos(w * 78.233) AS revenue FROM pressed AS p;
CREATE TEMP TABLE fitted AS
SELECT crm.mix_model_fit(week, revenue, jsonb_build_object('tv', tv, 'search', search, 'radio', radio), jsonb_build_object('price', price),
                         '{"season": 52, "harmonics": 1, "lambda": 0, "holdout": 26, "bootstrap": 200, "block": 8}') AS model
FROM sales;
SELECT c.channel, round(c.theta::numeric, 2) AS theta, round((c.contribution - t.truth)::numeric / (SELECT sum(by_tv) FROM pressed)::numeric, 3) AS off, c.low <= c.coefficient AND c.coefficient <= c.high AS within
FROM fitted AS f, crm.mix_channels(f.model) AS c
JOIN (SELECT 'tv' AS channel, sum(by_tv) AS truth FROM pressed UNION ALL SELECT 'search', sum(by_search) FROM pressed UNION ALL SELECT 'radio', 0) AS t USING (channel)
ORDER BY c.channel;
SELECT (model ->> 'r2')::float8 > 0.99 AS explains, (model ->> 'holdout_mape')::float8 < 0.3 * (model ->> 'baseline_mape')::float8 AS tells_ahead,
       (SELECT round((o ->> 'coefficient')::numeric) FROM jsonb_array_elements(model -> 'others') AS o WHERE o ->> 'name' = 'price') AS price
FROM fitted;
-- the order of rows and of keys does not count
SELECT count(DISTINCT m.model) AS models
FROM (SELECT crm.mix_model_fit(s.week, s.revenue, CASE WHEN o > 0 THEN jsonb_build_object('tv', tv, 'search', search)
                                                       ELSE jsonb_build_object('search', search, 'tv', tv) END, NULL, '{"lambda": 1}' ORDER BY s.w * o) AS model
      FROM sales AS s, unnest('{-1,1}'::int[]) AS o GROUP BY o) AS m;
-- constant, doubled and harmful columns are named, and nothing is NaN
SELECT c.channel, c.aliased, c.held_at_zero, c.coefficient
FROM (SELECT crm.mix_model_fit(week, revenue - 20 * radio, jsonb_build_object('a', 5, 'b', tv, 'c', 2 * tv, 'radio', radio), NULL, '{"saturation": "none", "theta": 0, "lambda": 0}') AS m
      FROM sales) AS f, crm.mix_channels(f.m) AS c WHERE c.channel <> 'b';
SELECT jsonb_array_elements_text(m -> 'advice') AS advice
FROM (SELECT crm.mix_model_fit(week, revenue - 20 * radio, jsonb_build_object('a', 5, 'b', tv, 'c', 2 * tv, 'radio', radio), NULL, '{"saturation": "none", "theta": 0, "lambda": 0}') AS m
      FROM sales) AS f;
-- a lambda is chosen, and one that is larger shrinks
SELECT (crm.mix_model_fit(week, revenue, jsonb_build_object('tv', tv), NULL, '{"theta": 0.6, "alpha": 2, "gamma": 0.5}') ->> 'lambda')::float8 >= 0 AS chosen,
       abs((crm.mix_model_fit(week, revenue, jsonb_build_object('tv', tv), NULL, '{"theta": 0.6, "alpha": 2, "gamma": 0.5, "lambda": 500}') #>> '{channels,0,coefficient}')::float8)
       < abs((crm.mix_model_fit(week, revenue, jsonb_build_object('tv', tv), NULL, '{"theta": 0.6, "alpha": 2, "gamma": 0.5, "lambda": 0}') #>> '{channels,0,coefficient}')::float8) AS shrinks
FROM sales;

-- response curves and budgets
SELECT crm.mix_response(model, 'tv', 0) AS nothing, crm.mix_response(model, 'tv', 100) < crm.mix_response(model, 'tv', 200) AS rises,
       crm.mix_marginal_response(model, 'tv', 400) < crm.mix_marginal_response(model, 'tv', 60) AS flattens FROM fitted;
SELECT round(sum(spend)::numeric, 6) AS divided, sum(response) >= sum(mean_response) AS better_than_now
FROM fitted, crm.mix_allocation(model, (SELECT sum(c.spend) / 260 FROM crm.mix_channels(model) AS c));
SELECT a.channel, round(a.spend::numeric, 3) AS spend FROM fitted, crm.mix_allocation(model, 100, '{"tv": [0, 30], "search": [0, 60], "radio": [10, 10]}') AS a ORDER BY 1;
-- an S-shaped curve: all on one channel beats an even division, which going uphill would keep
SELECT crm.mix_spend('{100,100}', '{4,4}', '{60,60}', '{1,1}', 60, '{0,0}', '{60,60}') AS one_of_two;
SELECT round(s[1]::numeric, 3) AS a, round(s[2]::numeric, 3) AS b FROM crm.mix_spend('{10,40}', '{1,1}', '{20,20}', '{1,1}', 100, '{0,0}', '{100,100}') AS s;
SELECT round(sum(spend)::numeric, 6) AS exact FROM unnest(crm.mix_spend('{1,2,3}', '{1,1,1}', '{5,5,5}', '{1,1,1}', 10, '{1,2,3}', '{1.5,2.25,8}')) AS spend;

-- a plan: the same as the fit where the plan repeats what was, and it adds up
SELECT f.ahead, round(f.expected::numeric) > 0 AS expected,
       abs(f.expected - (model ->> 'intercept')::float8 - (SELECT sum(v::float8) FROM jsonb_each_text(f.contributions) AS e (k, v))) < 1e-9 AS adds_up
FROM fitted, crm.mix_forecast(model, ARRAY['{"tv": 100, "search": 20}', '{"tv": 100}', '{}']::jsonb[], ARRAY['{"price": 10}', NULL, NULL]::jsonb[]) AS f;
SELECT abs(x.expected - (1000 + crm.mix_effect(500, 2, 200, 60 + 0.6 * a.tv) + crm.mix_effect(300, 1, 50, 10 + 0.2 * a.search) - 300 + 80 * sin(2 * pi() * 260 / 52))) < 40 AS near_the_truth
FROM fitted AS f, crm.mix_forecast(f.model, ARRAY['{"tv": 60, "search": 10}']::jsonb[], ARRAY['{"price": 10}']::jsonb[]) AS x,
     (SELECT (crm.adstock(array_agg(tv ORDER BY w), 0.6))[260] AS tv, (crm.adstock(array_agg(search ORDER BY w), 0.2))[260] AS search FROM weeks) AS a;

-- what is refused
SELECT crm.adstock('{1,NULL}', 0.5);
SELECT crm.adstock('{1}', 1);
SELECT crm.adstock('{-1}', 0.5);
SELECT crm.mix_model_fit(week, revenue, '{"tv": 1}', NULL, '{"adstok": "none"}') FROM sales;
SELECT crm.mix_model_fit(week, revenue, '{"tv": 1}', NULL, '{"adstock": "linear"}') FROM sales;
SELECT crm.mix_model_fit(week, revenue, '{"tv": 1}', NULL, '{"theta": {"radio": 0.5}}') FROM sales;
SELECT crm.mix_model_fit(week, revenue, '{"tv": "much"}', NULL, NULL) FROM sales;
SELECT crm.mix_model_fit(week, revenue, '{"tv": -1}', NULL, NULL) FROM sales;
SELECT crm.mix_model_fit(week, revenue, '{}', NULL, NULL) FROM sales;
SELECT crm.mix_model_fit(week, revenue, '[1]', NULL, NULL) FROM sales;
SELECT crm.mix_model_fit(week, revenue, '{"tv": 1}', CASE WHEN w = 7 THEN '{}'::jsonb ELSE '{"price": 1}' END, NULL) FROM sales;
SELECT crm.mix_model_fit(week, revenue, '{"tv": 1}', NULL, NULL) FROM sales WHERE w <> 9;
SELECT crm.mix_model_fit(week, revenue, '{"tv": 1}', NULL, NULL) FROM (SELECT * FROM sales UNION ALL SELECT * FROM sales WHERE w = 3) AS s;
SELECT crm.mix_model_fit(week, revenue, '{"tv": 1}', NULL, NULL) FROM sales WHERE w < 3;
SELECT crm.mix_model_fit(week, 'NaN', '{"tv": 1}', NULL, NULL) FROM sales;
SELECT crm.mix_model_fit(week, revenue, '{"tv": 1}', NULL, jsonb_build_object('seed', w)) FROM sales;
SELECT crm.mix_model_fit(NULL, NULL, NULL, NULL, NULL);
SELECT crm.mix_response(model, 'print', 1) FROM fitted;
SELECT a.* FROM fitted, crm.mix_allocation(model, 100, '{"print": [0, 1]}') AS a;
SELECT a.* FROM fitted, crm.mix_allocation(model, 100, '{"tv": [0, 1], "search": [0, 1], "radio": [0, 1]}') AS a;
SELECT f.* FROM crm.mix_forecast('{"adstock": "weibull_cdf", "periods": 3}', ARRAY['{}']::jsonb[]) AS f;
SELECT count(*) FROM crm.mix_channels('{"channels": 3}');
ROLLBACK;
