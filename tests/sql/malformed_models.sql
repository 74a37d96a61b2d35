-- Models given as JSON or arrays that are none: every key missing, null, of another type, negative, huge. All are errors of the user, none is an answer.
\set SHOW_CONTEXT never
BEGIN;
CREATE TEMP TABLE d AS
SELECT i, (hashint4(i) % 7 + i % 3 > 1)::int AS y, jsonb_build_object('n', i % 90, 's', (ARRAY['web', 'fair', 'call'])[1 + i % 3]) AS f FROM generate_series(1, 90) AS i;
CREATE TEMP TABLE models AS
SELECT 'bayes' AS kind, crm.naive_bayes_fit(y, ARRAY[f ->> 's'], 1) AS model FROM d
UNION ALL SELECT 'encoding', crm.encoding_fit(f, 5) FROM d
UNION ALL SELECT 'odds', crm.deal_odds_fit(CASE WHEN i % 2 = 0 THEN 'a' END, 1 + i % 3, y = 1, f - 'n') FROM d
UNION ALL SELECT 'points', '{"min": 0, "max": 100, "hysteresis": 1, "fit_grades": [40, 25, 10], "engagement_grades": [30, 15, 5], "groups": {"g": {"cap": 50}},
  "thresholds": [{"name": "m", "enter": 60, "leave": 50}], "rules": [{"name": "a", "points": 10, "when": "$.n == 1", "cap": 5},
  {"name": "b", "event": "k", "points": 3, "decay": "half_life", "period": 86400, "group": "g", "repeat": "limited", "times": 3, "window": 3600}]}';
CREATE TEMP TABLE calls (kind text, call text);
INSERT INTO calls VALUES ('bayes', 'crm.naive_bayes_predict(m, ''{web}'')'), ('bayes', 'crm.naive_bayes_terms(m, ''{web}'')'),
  ('encoding', 'crm.encode(m, ''{"n": 5, "s": "web"}'')'), ('encoding', 'cardinality(crm.encoding_terms(m))'), ('encoding', 'crm.encoding_unseen(m, ''{"s": "x"}'') IS NOT NULL'),
  ('odds', 'crm.deal_odds_predict(m, ''a'', 1, ''{"s": "web"}'')'), ('odds', 'crm.deal_odds_predict(m, ''a'', 1, ''{"s": "web"}'', true)'),
  ('odds', '(SELECT sum(e.contribution) FROM crm.deal_odds_explain(m, ''a'', 1, ''{"s": "web"}'') AS e)'),
  ('points', 'crm.points_check(m)'), ('points', '(crm.points_fit(m, NULL, ''{"n": 1}'', ''2026-01-01'')).score'), ('points', '(crm.points_score(m, NULL, ''2026-01-01'')).score');
CREATE FUNCTION pg_temp.mutants(m jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$
    WITH RECURSIVE p (path, v) AS (
        SELECT '{}'::text[], m
        UNION ALL
        SELECT p.path || k.k, k.c FROM p, LATERAL (
            SELECT e.key, e.value FROM jsonb_each(CASE WHEN jsonb_typeof(p.v) = 'object' THEN p.v ELSE '{}' END) AS e
            UNION ALL
            SELECT (a.o - 1)::text, a.v FROM jsonb_array_elements(CASE WHEN jsonb_typeof(p.v) = 'array' THEN p.v ELSE '[]' END) WITH ORDINALITY AS a (v, o) WHERE a.o <= 2) AS k (k, c)
    ), bad (b) AS (
        SELECT b::jsonb FROM unnest(ARRAY['null', '"NaN"', '"Infinity"', '"x"', '""', 'true', '[]', '{}', '[null]', '{"a": null}', '-1', '0', '1e308', '-1e308', '1e-320', '1.5',
                                          '9223372036854775807', '1e40', '"1"', '[[]]', '[1, 2, 3]', '{"": {}}']) AS b
    )
    SELECT jsonb_set(m, p.path, b.b) FROM p, bad AS b WHERE p.path <> '{}'
    UNION ALL SELECT b.b FROM bad AS b
    UNION ALL SELECT m #- p.path FROM p WHERE p.path <> '{}'
    UNION ALL SELECT jsonb_set(m, p.path || 'one more'::text, '{"z": 1}') FROM p WHERE jsonb_typeof(p.v) = 'object' AND p.path <> '{}'
$$;
CREATE FUNCTION pg_temp.said(call text, m jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v text;
BEGIN
    EXECUTE format('SELECT (%s)::text FROM (SELECT $1) AS x (m)', call) INTO v USING m;
    RETURN coalesce(v, '');
EXCEPTION WHEN OTHERS THEN
    RETURN 'ERROR ' || SQLSTATE || ' ' || SQLERRM;
END
$$;
CREATE TEMP TABLE answers AS
SELECT m.kind, c.call, x.mutant, pg_temp.said(c.call, x.mutant) AS said FROM models AS m JOIN calls AS c USING (kind), LATERAL pg_temp.mutants(m.model) AS x (mutant);
SELECT kind, count(*) > 500 AS many, bool_or(said LIKE 'ERROR%') AS some_refused FROM answers GROUP BY kind ORDER BY kind;
-- an error is one of the user's: of a value, of a model, of a rule, of a path
SELECT DISTINCT kind, left(said, 120) AS said FROM answers WHERE said LIKE 'ERROR%' AND substr(said, 7, 5) NOT IN ('22023', 'CR402', 'CR403', '2202E', '22007', '42601', '22P02') ORDER BY 1, 2;
SELECT DISTINCT kind, call, left(said, 60) AS said FROM answers WHERE said NOT LIKE 'ERROR%' AND said ~ 'NaN|Infinity' ORDER BY 1, 2;

\set ON_ERROR_ROLLBACK on
-- isotonic models: knots ascend, probabilities too
SELECT crm.isotonic_predict('{2,1}', '{0,1}', 1.5);
SELECT crm.isotonic_predict('{1,1}', '{0,1}', 1);
SELECT crm.isotonic_predict('{1,NaN}', '{0,1}', 1);
SELECT crm.isotonic_predict('{1,2}', '{0,7}', 2);
SELECT crm.isotonic_predict('{1,2,3}', '{0.5,0.4,0.6}', 2.5);
SELECT crm.isotonic_predict('{-1e308,1e308}', '{0,1}', 0) AS half, crm.isotonic_predict('{1}', '{0.3}', 9) AS one_knot;
-- kinds of purchase models, smoothing, thresholds, bins
SELECT crm.purchase_model_p_alive('bgnb', '{1,1,1,1}', 1, 1, 1);
SELECT crm.purchase_model_expected('', '{1,1,1,1}', 1, 1, 1, 1);
SELECT crm.purchase_model_p_alive('nbd', '{1,1}', 1, 1, 1) IS NULL AS nbd, crm.purchase_model_clv(NULL, NULL, 1, 1, 1, 1, 1, 1, 1) IS NULL AS none;
-- parameters that are not those of the kind: too few, too many, NULL, of two dimensions
SELECT crm.purchase_model_p_alive('bgnbd', '{1,1}', 1, 1, 1);
SELECT crm.purchase_model_expected('paretonbd', '{}', 1, 1, 1, 1);
SELECT crm.purchase_model_clv('nbd', '{1,1,1,1}', 1, 1, 1, 1, 1, 1, 1);
SELECT crm.purchase_model_silent_time_to_p_alive('mbgnbd', '{1,1,NULL,1}', 1, 1, 1, 0.5);
SELECT crm.purchase_model_p_alive('bgnbd', '{{1},{1},{1},{1}}', 1, 1, 1);
-- z scores past what a number holds
SELECT crm.z_scores('{1e308}', '{-1e308}', '{1}');
SELECT crm.z_scores('{1}', '{0}', '{1e-320}');
SELECT crm.naive_bayes_fit(y, '{a}', 1e308) FROM d;
SELECT crm.fairness(y, 0.5, 'NaN') FROM d;
SELECT crm.psi('{1,NULL}', '{1,1}');
-- a value far from what training saw
SELECT crm.encode('{"rows": 2, "fields": [{"field": "n", "mean": 0, "sd": 1e-300, "missing": false}]}', '{"n": 1e100}');
-- clusters of values whose squares vanish are told apart; equal ones are not
SELECT (k).clusters, (k).sizes, (k).inertia = 0 AS nothing_left FROM (SELECT crm.kmeans(ARRAY[x], 2, 1, 3) AS k FROM unnest('{0,5e-324,1e-310,1.1e-310}'::float8[]) AS x) AS r;
SELECT (k).clusters, (k).sizes FROM (SELECT crm.kmeans(ARRAY[x], 3, 1, 3) AS k FROM unnest('{4,4,4,4}'::float8[]) AS x) AS r;
ROLLBACK;
