-- Predictive models on few leads: naive Bayes has a say while there are few for each feature, and explanations still add up.
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL client_min_messages = warning;
SELECT crm.begin_history('test') IS NOT NULL AS history;
INSERT INTO crm.contacts (id, name) VALUES (900, 'Somebody');
CREATE FUNCTION pg_temp.fill(low int, high int) RETURNS bigint LANGUAGE sql AS $f$
    INSERT INTO crm.leads (id, name, source, channel, employees, country, industry, campaign, created_at, stage_id, pipeline_id, closed_at, stage_entered_at, converted_at, contact_id, disqualification_reason)
    SELECT g, 'L' || g, s.source, (ARRAY['form', 'mail', 'chat'])[1 + g % 3], 1 + (hashint4(g + 5) & 255), (ARRAY['DE', 'FR', 'IT', 'ES'])[1 + (hashint4(g + 6) & 3)], 'i' || (hashint4(g + 7) & 7), 'c' || (hashint4(g + 9) & 511),
           timestamptz '2024-01-01' + g * interval '1 hour', t.id, t.pipeline_id, timestamptz '2024-01-08' + g * interval '1 hour', timestamptz '2024-01-08' + g * interval '1 hour',
           CASE WHEN w.won THEN timestamptz '2024-01-08' + g * interval '1 hour' END, CASE WHEN w.won THEN 900 END, CASE WHEN NOT w.won THEN 'no_need' END
    FROM generate_series(low, high) AS g
    CROSS JOIN LATERAL (SELECT (ARRAY['referral', 'web', 'ads'])[1 + abs(hashint4(g)) % 3] AS source) AS s
    CROSS JOIN LATERAL (SELECT (hashint4(g + 1) & 1023) / 1024.0 < CASE s.source WHEN 'referral' THEN 0.6 WHEN 'web' THEN 0.35 ELSE 0.15 END AS won) AS w
    JOIN crm.stages AS t ON t.code = CASE WHEN w.won THEN 'converted' ELSE 'disqualified' END JOIN crm.pipelines AS p ON p.id = t.pipeline_id AND p.subject_table = 'leads';
    SELECT count(*) FROM crm.leads AS l WHERE l.id BETWEEN low AND high
$f$;
SELECT pg_temp.fill(1, 120);
SELECT m.trained_rows, round((m.quality ->> 'bayes_share')::numeric, 3) AS bayes_share, (m.quality ->> 'log_loss')::float8 < (m.quality ->> 'baseline_log_loss')::float8 AS better, m.activated_at IS NOT NULL AS active
FROM crm.train_lead_model('{source,channel,country,industry,log_employees}') AS m;
-- the share is features / (features + rarer outcome)
SELECT m.trained_wins, cardinality(m.coefficients) - 1 AS features, round((m.quality ->> 'bayes_share')::numeric, 9) = round((cardinality(m.coefficients) - 1)::numeric / (cardinality(m.coefficients) - 1 + m.trained_wins), 9) AS as_said
FROM crm.predictive_models AS m;
SELECT count(*) AS leads, count(*) FILTER (WHERE abs(e.log_odds - ln(p.p / (1 - p.p))) < 1e-9 AND abs(e.change - p.p) < 1e-9) AS add_up
FROM crm.leads AS l, LATERAL (SELECT crm.lead_probability(l.id) AS p) AS p, LATERAL (SELECT sum(x.contribution) AS log_odds, sum(x.probability_change) AS change FROM crm.explain_prediction(l.id) AS x) AS e
WHERE l.id BETWEEN 1 AND 120;
-- naive Bayes as weights says what naive Bayes says
CREATE TEMP TABLE lead_training AS
SELECT l.id, CASE WHEN l.converted_at IS NULL THEN 0 ELSE 1 END::float8 AS y, jsonb_build_object('source', l.source, 'channel', l.channel) AS features, 0.5::float8 AS place, NULL::float8[] AS x FROM crm.leads AS l WHERE l.id BETWEEN 1 AND 120;
WITH e AS (SELECT crm.encoding_fit(features, 0) AS e FROM lead_training) UPDATE lead_training SET x = crm.encode(e.e, features) FROM e;
WITH e AS (SELECT crm.encoding_fit(features, 0) AS e FROM lead_training), w AS (SELECT crm_internal.bayes_coefficients(e.e, 0.6) AS c FROM e),
     b AS (SELECT crm.naive_bayes_fit(y, ARRAY[features ->> 'source', features ->> 'channel'], 1) AS m, least(sum(y), sum(1 - y)) AS n FROM lead_training)
SELECT count(*) AS leads, count(*) FILTER (WHERE abs(crm.log_odds(w.c, r.x) - (t.t[1] + b.n / (b.n + 10) * (t.t[2] + t.t[3]))) < 1e-9) AS same
FROM lead_training AS r, w, b, LATERAL (SELECT crm.naive_bayes_terms(b.m, ARRAY[r.features ->> 'source', r.features ->> 'channel']) AS t) AS t;
DROP TABLE lead_training;
-- with more leads less, with many nothing of it
SELECT pg_temp.fill(121, 400);
SELECT (m.quality ->> 'bayes_share')::float8 BETWEEN 0.01 AND 0.25 AS less FROM crm.train_lead_model('{source,channel,country,industry,log_employees}') AS m;
SELECT pg_temp.fill(401, 4000);
SELECT m.quality ->> 'bayes_share' AS none, m.activated_at IS NOT NULL AS active FROM crm.train_lead_model('{source,channel,country,industry,log_employees,campaign}') AS m;
-- fields that say nothing make a model of the mean rate, not an error
SELECT cardinality(m.coefficients) AS intercept_alone, m.quality ->> 'auc' AS auc FROM crm.train_lead_model('{language}') AS m;
UPDATE crm.leads SET language = 'de';
SELECT cardinality(m.coefficients) AS intercept_alone, m.quality ->> 'auc' AS auc FROM crm.train_lead_model('{language}') AS m;
ROLLBACK;
