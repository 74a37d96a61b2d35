-- Predictive models of leads: refusals, training, explanation, activation and return, watch.
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
INSERT INTO crm.users (id, name, access) VALUES (900, 'Ann', 'agent');
ALTER TABLE crm.leads ALTER COLUMN id RESTART 20001;
SELECT crm.train_lead_model();
-- conversion depends on source and size, and not on channel
SELECT crm.begin_history('test') IS NOT NULL AS history;
CREATE FUNCTION pg_temp.u(what text, n bigint) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$ SELECT ((hashint8extended(n, hashtextextended(what, 7)) >> 11) & 9007199254740991)::double precision / 9007199254740992 $$;
CREATE FUNCTION pg_temp.fill(low integer, high integer, tell double precision) RETURNS bigint LANGUAGE sql AS $f$
    INSERT INTO crm.leads (id, name, source, channel, employees, country, industry, created_at, stage_id, pipeline_id, closed_at, stage_entered_at, converted_at, contact_id, disqualification_reason)
    SELECT g, 'L' || g, s.source, (ARRAY['form', 'mail', 'chat'])[1 + floor(3 * pg_temp.u('c', g))::int], floor(exp(6 * pg_temp.u('e', g)))::int, (ARRAY['DE', 'FR'])[1 + floor(2 * pg_temp.u('l', g))::int],
           CASE WHEN pg_temp.u('t', g) < tell THEN CASE WHEN w.won THEN 'signed' ELSE 'lost' END END,
           timestamptz '2024-01-01' + g * interval '1 hour', t.id, t.pipeline_id, timestamptz '2024-01-08' + g * interval '1 hour', timestamptz '2024-01-08' + g * interval '1 hour',
           CASE WHEN w.won THEN timestamptz '2024-01-08' + g * interval '1 hour' END, CASE WHEN w.won THEN 900 END, CASE WHEN NOT w.won THEN 'no_need' END
    FROM generate_series(low, high) AS g
    CROSS JOIN LATERAL (SELECT (ARRAY['referral', 'web', 'ads'])[1 + floor(3 * pg_temp.u('s', g))::int] AS source) AS s
    CROSS JOIN LATERAL (SELECT pg_temp.u('w', g) < 1 / (1 + exp(-(CASE s.source WHEN 'referral' THEN 1 WHEN 'web' THEN -0.5 ELSE -2 END + 0.5 * (6 * pg_temp.u('e', g) - 3)))) AS won) AS w
    JOIN crm.stages AS t ON t.code = CASE WHEN w.won THEN 'converted' ELSE 'disqualified' END JOIN crm.pipelines AS p ON p.id = t.pipeline_id AND p.subject_table = 'leads';
    SELECT count(*) FROM crm.leads AS l WHERE l.id BETWEEN low AND high
$f$;
INSERT INTO crm.contacts (id, name) VALUES (900, 'Somebody');
SELECT pg_temp.fill(1, 40, 0);
SELECT crm.train_lead_model();
SELECT pg_temp.fill(41, 2000, 0);
SELECT m.version, m.trained_rows, m.fields, m.warnings, m.activated_at IS NOT NULL AS active,
       (m.quality ->> 'log_loss')::float8 < (m.quality ->> 'baseline_log_loss')::float8 AS better, (m.quality ->> 'auc')::float8 BETWEEN 0.7 AND 0.85 AS good
FROM crm.train_lead_model('{source,channel,log_employees,country}') AS m;

-- probability and reasons
INSERT INTO crm.leads (id, name, source, channel, employees, country) VALUES (20001, 'Likely', 'referral', 'form', 300, 'DE'), (20002, 'Unlikely', 'ads', 'form', 2, 'DE'), (20003, 'Odd', 'moon', 'api', NULL, 'DE');
SELECT l.name, crm.lead_probability(l.id) > 0.7 AS likely, crm.lead_probability(l.id) < 0.15 AS unlikely FROM crm.leads AS l WHERE l.id >= 20001 ORDER BY l.id;
SELECT e.field, e.value, e.contribution > 0 AS speaks_for, e.unseen FROM crm.explain_prediction(20001) AS e;
SELECT e.field, e.value, e.unseen FROM crm.explain_prediction(20003) AS e WHERE e.unseen ORDER BY 1;
SELECT l.id, abs(sum(e.contribution) - ln(crm.lead_probability(l.id) / (1 - crm.lead_probability(l.id)))) < 1e-9 AS adds_up, abs(sum(e.probability_change) - crm.lead_probability(l.id)) < 1e-9 AS to_probability
FROM crm.leads AS l CROSS JOIN LATERAL crm.explain_prediction(l.id) AS e WHERE l.id >= 20001 GROUP BY l.id ORDER BY l.id;
-- written down as they came in
SELECT p.lead_id, p.probability = crm.lead_probability(p.lead_id) AS same, p.features FROM crm.lead_predictions AS p ORDER BY p.lead_id;

-- what would deceive is refused, or found
SELECT crm.train_lead_model('{source,closed_at}');
SELECT crm.train_lead_model('{source,owner_id,contact_id}');
SELECT crm.train_lead_model('{shoe_size}');
SELECT crm.train_lead_model('{source}', '{source}');
SELECT crm.train_lead_model(min_class => 3);
SELECT m.fields FROM crm.train_lead_model('{source,country,log_employees}', '{country,employees}', activate => false) AS m;
SAVEPOINT leak;
SELECT pg_temp.fill(2001, 4000, 0.99);
SELECT m.warnings, m.activated_at FROM crm.train_lead_model('{source,industry}') AS m;
ROLLBACK TO leak;

-- a worse model is not taken into use
SELECT m.version, m.warnings, m.activated_at FROM crm.train_lead_model('{channel}') AS m;
SELECT pg_temp.fill(2001, 3000, 0);
SELECT m.version, m.quality ? 'champion_log_loss' AS compared, m.activated_at IS NOT NULL AS active, m.warnings FROM crm.train_lead_model('{channel,country}') AS m;
-- with fewer fields it predicts worse than the model in use, on leads that one has not seen
SELECT m.version, m.activated_at IS NOT NULL AS active, m.warnings FROM crm.train_lead_model('{source,log_employees}') AS m;
SELECT m.version FROM crm.activate_predictive_model((SELECT x.id FROM crm.predictive_models AS x WHERE x.version = 5)) AS m;
SELECT m.version FROM crm.revert_predictive_model() AS m;
SELECT m.version FROM crm.activate_predictive_model((SELECT x.id FROM crm.predictive_models AS x WHERE x.version = 2)) AS m;
SELECT m.version FROM crm.revert_predictive_model() AS m;
SELECT m.version FROM crm.revert_predictive_model() AS m;
SELECT crm.revert_predictive_model();
SELECT crm.lead_probability(20001);
SELECT crm.lead_probability(20001, (SELECT x.id FROM crm.predictive_models AS x WHERE x.version = 1)) > 0.7 AS by_version;
SELECT crm.lead_probability(-1);
SELECT crm.lead_probability(20001, -1);
SELECT (crm.activate_predictive_model((SELECT x.id FROM crm.predictive_models AS x WHERE x.version = 1))).version;

-- watch: predictions before outcomes
INSERT INTO crm.leads (id, name, source, channel, employees, country, created_at)
SELECT 30000 + g, 'W' || g, (ARRAY['referral', 'ads'])[1 + g % 2], 'form', 10, 'DE', now() FROM generate_series(1, 100) AS g;
UPDATE crm.leads SET stage_id = (SELECT t.id FROM crm.stages AS t WHERE t.code = 'converted' AND t.pipeline_id = leads.pipeline_id), closed_at = now(), converted_at = now(), contact_id = 900 WHERE id > 30000 AND id % 2 = 0 AND id % 3 > 0;
UPDATE crm.leads SET stage_id = (SELECT t.id FROM crm.stages AS t WHERE t.code = 'disqualified' AND t.pipeline_id = leads.pipeline_id), closed_at = now(), disqualification_reason = 'no_need' WHERE id > 30000 AND (id % 2 = 1 OR id % 3 = 0);
SELECT q.version, q.predictions, q.closed, q.converted, q.log_loss < q.baseline_log_loss AS better, q.auc > 0.8 AS good FROM crm_analytics.prediction_quality AS q;
SELECT d.field, d.leads, d.psi > 0.25 AS act, round(d.unseen_share, 2) AS unseen FROM crm_analytics.prediction_drift AS d JOIN crm.predictive_models AS m ON m.id = d.model_id ORDER BY 1;
SELECT sum(c.closed) FROM crm_analytics.prediction_calibration AS c;
SELECT l.decile, l.closed, l.lift > 1 AS above FROM crm_analytics.prediction_lift AS l WHERE l.decile IN (1, 10) ORDER BY 1;
SELECT f.field, f.value, f.ratio_to_best <= 1 AS ok FROM crm_analytics.prediction_fairness AS f WHERE f.field = 'channel' ORDER BY 2;

-- a model that fails stops nothing
UPDATE crm.predictive_models SET coefficients = '{1}' WHERE version = 1;
INSERT INTO crm.leads (id, name) VALUES (20009, 'Stored all the same');
SELECT e.payload ->> 'what' AS what FROM crm.events AS e WHERE e.kind = 'lead.trouble' AND e.subject_id = 20009;
ROLLBACK;
