-- Adstock, saturation and mix models against published and independently computed figures: every row of reference.csv
-- that belongs to them must be met within its tolerance.
\set ON_ERROR_STOP 1
SET client_min_messages = warning;

CREATE TEMP TABLE reference (algorithm text, dataset text, quantity text, args text, value text, tolerance float8, source text);
\copy reference FROM PROGRAM 'cat "$CRM_DATA/scoring/reference.csv"' WITH (FORMAT csv, HEADER)
ALTER TABLE reference ADD j jsonb;
UPDATE reference SET j = coalesce(nullif(args, ''), '{}')::jsonb;
DELETE FROM reference WHERE algorithm NOT IN ('adstock', 'saturation', 'mmm_ols', 'mmm_ridge');

CREATE TEMP TABLE weeks ("date" date, revenue float8, tv_s float8, ooh_s float8, print_s float8, facebook_i float8, search_clicks_p float8,
                         search_s float8, competitor_sales_b float8, facebook_s float8, events text, newsletter float8);
\copy weeks FROM PROGRAM 'cat "$CRM_DATA/scoring/mmm_weekly.csv"' WITH (FORMAT csv, HEADER)

CREATE TEMP TABLE got (algorithm text, quantity text, j jsonb, value float8[]);

-- series
INSERT INTO got
SELECT r.algorithm, r.quantity, r.j,
       CASE r.quantity WHEN 'geometric' THEN crm.adstock(x.x, (r.j ->> 'theta')::float8)
                       WHEN 'hill' THEN crm.hill_saturation(x.x, (r.j ->> 'alpha')::float8, (r.j ->> 'gamma')::float8)
                       ELSE crm.adstock_weibull(x.x, (r.j ->> 'shape')::float8, (r.j ->> 'scale')::float8, r.quantity = 'weibull_pdf') END
FROM reference AS r, LATERAL (SELECT array_agg(e::float8 ORDER BY o) AS x FROM jsonb_array_elements_text(r.j -> 'x') WITH ORDINALITY AS v (e, o)) AS x
WHERE r.algorithm IN ('adstock', 'saturation');

-- models whose shapes are given: least squares, and ridge on z-scores
CREATE TEMP TABLE models AS
SELECT v.algorithm, v.lambda, v.theta,
       crm.mix_model_fit(w."date", w.revenue, to_jsonb(w) - '{date,revenue,facebook_i,search_clicks_p,competitor_sales_b,events,newsletter}'::text[],
                         jsonb_build_object('competitor_sales_b', competitor_sales_b, 'newsletter', newsletter),
                         jsonb_build_object('saturation', 'none', 'lambda', v.lambda, 'theta', v.theta, 'not_negative', false)) AS model
FROM weeks AS w,
     (VALUES ('mmm_ols', 0, '{"tv_s": 0.5, "ooh_s": 0.4, "print_s": 0.3, "facebook_s": 0.2, "search_s": 0.1}'::jsonb),
             ('mmm_ridge', 1, '{"tv_s": 0.5, "ooh_s": 0.4, "print_s": 0.3, "facebook_s": 0.2, "search_s": 0.1}'),
             ('mmm_ridge', 50, '{"tv_s": 0.5, "ooh_s": 0.4, "print_s": 0.3, "facebook_s": 0.2, "search_s": 0.1}')) AS v (algorithm, lambda, theta)
GROUP BY v.algorithm, v.lambda, v.theta
UNION ALL
SELECT 'common', 0, to_jsonb(t * 0.05),
       crm.mix_model_fit(w."date", w.revenue, to_jsonb(w) - '{date,revenue,facebook_i,search_clicks_p,competitor_sales_b,events,newsletter}'::text[],
                         jsonb_build_object('competitor_sales_b', competitor_sales_b, 'newsletter', newsletter),
                         jsonb_build_object('saturation', 'none', 'lambda', 0, 'theta', t * 0.05, 'not_negative', false))
FROM weeks AS w, generate_series(0, 19) AS t GROUP BY t;

INSERT INTO got
SELECT m.algorithm, q.quantity, jsonb_build_object('term', x.term, 'lambda', m.lambda),
       ARRAY[CASE q.quantity WHEN 'std_err' THEN x.standard_error WHEN 'coef' THEN CASE m.algorithm WHEN 'mmm_ridge' THEN x.standardised ELSE x.coefficient END END]
FROM models AS m,
     LATERAL (SELECT coalesce(e ->> 'channel', e ->> 'name') AS term, (e ->> 'coefficient')::float8 AS coefficient, (e ->> 'standardised')::float8 AS standardised,
                     (e ->> 'standard_error')::float8 AS standard_error
              FROM jsonb_array_elements((m.model -> 'channels') || (m.model -> 'others')) AS e
              UNION ALL
              SELECT '(intercept)', (m.model ->> 'intercept')::float8, NULL, (m.model ->> 'intercept_standard_error')::float8) AS x,
     (VALUES ('coef'), ('std_err')) AS q (quantity)
WHERE m.algorithm <> 'common';
INSERT INTO got
SELECT 'mmm_ols', q, '{"lambda": 0}', ARRAY[(m.model ->> q)::float8]
FROM models AS m, unnest('{r2,residual_se,durbin_watson}'::text[]) AS q WHERE m.algorithm = 'mmm_ols';
INSERT INTO got
SELECT 'mmm_ols', v.q, '{"lambda": 0, "best": true}', ARRAY[v.x]
FROM (SELECT (m.theta #>> '{}')::float8 AS theta, (m.model ->> 'r2')::float8 AS r2 FROM models AS m WHERE m.algorithm = 'common' ORDER BY 2 DESC LIMIT 1) AS b,
     LATERAL (VALUES ('best_common_theta', b.theta), ('r2', b.r2)) AS v (q, x);

DO $$
DECLARE
    bad text;
    n integer;
BEGIN
    SELECT count(*), string_agg(format('%s %s %s: %s, not %s', r.algorithm, r.quantity, r.args, g.value, r.value), E'\n') FILTER (WHERE NOT ok.ok)
    INTO n, bad
    FROM reference AS r
    LEFT JOIN got AS g
        ON g.algorithm = r.algorithm AND g.quantity = r.quantity
        AND CASE WHEN r.algorithm IN ('adstock', 'saturation') THEN g.j = r.j
                 ELSE g.j ->> 'term' IS NOT DISTINCT FROM r.j ->> 'term' AND (g.j ->> 'lambda')::float8 = coalesce((r.j ->> 'lambda')::float8, 0)
                      AND (g.j ? 'best') = (r.j ->> 'theta' IS NULL OR r.j ->> 'theta' = 'best common') END
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_and(abs(v.x - v.y::float8) <= r.tolerance * greatest(1, abs(v.y::float8))), false) AS ok
        FROM unnest(g.value, string_to_array(r.value, '|')) AS v (x, y)) AS ok;
    IF bad IS NOT NULL OR n < 38 THEN
        RAISE EXCEPTION E'% figures compared; these are off:\n%', n, bad;
    END IF;
    RAISE WARNING '% figures of mix models are met', n;
END
$$;
