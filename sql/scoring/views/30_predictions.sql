-- Watch over predictive models: how good they are by now, and whether the data drifted.

-- ---- watch ----

CREATE OR REPLACE VIEW crm_analytics.prediction_outcomes WITH (security_invoker = true) AS
SELECT v.*, mo.name AS model, le.name AS lead
FROM (
    SELECT p.tenant_id, p.model_id, p.lead_id, p.predicted_at, p.probability, p.features,
           CASE WHEN l.converted_at IS NOT NULL THEN 1.0 WHEN l.closed_at IS NOT NULL THEN 0.0 END::double precision AS outcome,
           l.closed_at, l.country, l.language, l.channel, l.industry
    FROM crm.lead_predictions AS p
    JOIN crm.leads AS l ON l.tenant_id = p.tenant_id AND l.id = p.lead_id
    WHERE l.disqualification_reason IS NULL OR l.disqualification_reason NOT IN ('spam', 'duplicate')
) AS v
LEFT JOIN crm.predictive_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id
LEFT JOIN crm.leads AS le ON le.tenant_id = v.tenant_id AND le.id = v.lead_id;
COMMENT ON VIEW crm_analytics.prediction_outcomes IS
'One row per prediction, beside what became of the lead: 1 converted, 0 disqualified, NULL open. Spam and duplicates are left out.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.predicted_at IS 'When it was predicted.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.probability IS 'What was predicted.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.features IS 'What was known of the lead then.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.outcome IS '1 converted, 0 not; NULL: it is open.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.closed_at IS 'When the lead was closed; NULL: it is open.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.country IS 'Country of the lead.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.language IS 'Language of the lead.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.channel IS 'Channel the lead came by.';
COMMENT ON COLUMN crm_analytics.prediction_outcomes.industry IS 'Industry of the lead.';

CREATE OR REPLACE VIEW crm_analytics.prediction_quality WITH (security_invoker = true) AS
SELECT o.tenant_id, o.model_id, m.name AS model, m.version, count(*) AS predictions, count(o.outcome) AS closed,
       count(*) FILTER (WHERE o.outcome = 1) AS converted,
       crm.log_loss(o.outcome, o.probability) FILTER (WHERE o.outcome IS NOT NULL) AS log_loss,
       crm.log_loss(o.outcome, m.trained_wins::double precision / m.trained_rows) FILTER (WHERE o.outcome IS NOT NULL) AS baseline_log_loss,
       crm.auc(o.outcome, o.probability) FILTER (WHERE o.outcome IS NOT NULL) AS auc,
       crm.brier(o.outcome, o.probability) FILTER (WHERE o.outcome IS NOT NULL) AS brier,
       crm.ece(o.outcome, o.probability) FILTER (WHERE o.outcome IS NOT NULL) AS ece,
       (m.quality ->> 'log_loss')::double precision AS log_loss_promised
FROM crm_analytics.prediction_outcomes AS o
JOIN crm.predictive_models AS m ON m.tenant_id = o.tenant_id AND m.id = o.model_id
GROUP BY o.tenant_id, o.model_id, m.name, m.version, m.quality, m.trained_wins, m.trained_rows;
COMMENT ON VIEW crm_analytics.prediction_quality IS
'One row per model: how good its predictions were, each made before the outcome was known (prequential), beside the mean rate and what training promised.';
COMMENT ON COLUMN crm_analytics.prediction_quality.model IS 'Name of the model.';
COMMENT ON COLUMN crm_analytics.prediction_quality.version IS 'Version of the model.';
COMMENT ON COLUMN crm_analytics.prediction_quality.predictions IS 'Leads that were predicted.';
COMMENT ON COLUMN crm_analytics.prediction_quality.closed IS 'Closed leads among them.';
COMMENT ON COLUMN crm_analytics.prediction_quality.converted IS 'Converted leads among them.';
COMMENT ON COLUMN crm_analytics.prediction_quality.log_loss IS 'Mean log-loss of what was predicted.';
COMMENT ON COLUMN crm_analytics.prediction_quality.baseline_log_loss IS 'Log-loss of predicting the mean rate for everybody.';
COMMENT ON COLUMN crm_analytics.prediction_quality.auc IS 'Share of pairs of a converted and another lead in the right order.';
COMMENT ON COLUMN crm_analytics.prediction_quality.brier IS 'Mean squared error of the probabilities.';
COMMENT ON COLUMN crm_analytics.prediction_quality.ece IS 'Expected calibration error.';
COMMENT ON COLUMN crm_analytics.prediction_quality.log_loss_promised IS 'Log-loss on the leads held out when it was trained.';

CREATE OR REPLACE VIEW crm_analytics.prediction_calibration WITH (security_invoker = true) AS
SELECT v.*, mo.name AS model
FROM (
    SELECT o.tenant_id, o.model_id, least(floor(o.probability * 10), 9)::integer AS bin, count(*) AS closed,
           avg(o.probability) AS predicted, avg(o.outcome) AS conversion
    FROM crm_analytics.prediction_outcomes AS o
    WHERE o.outcome IS NOT NULL
    GROUP BY 1, 2, 3
) AS v
LEFT JOIN crm.predictive_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id;
COMMENT ON VIEW crm_analytics.prediction_calibration IS
'One row per model and tenth of probability: what was predicted and what came. A calibrated model has both alike.';
COMMENT ON COLUMN crm_analytics.prediction_calibration.bin IS 'Predicted probability in tenths: 0 below 0.1, 9 from 0.9 on.';
COMMENT ON COLUMN crm_analytics.prediction_calibration.closed IS 'Closed leads in it.';
COMMENT ON COLUMN crm_analytics.prediction_calibration.predicted IS 'Mean probability that was predicted.';
COMMENT ON COLUMN crm_analytics.prediction_calibration.conversion IS 'Share of them that was converted.';

CREATE OR REPLACE VIEW crm_analytics.prediction_lift WITH (security_invoker = true) AS
SELECT v.*, mo.name AS model
FROM (
    SELECT d.tenant_id, d.model_id, d.decile, count(*) AS closed, avg(d.outcome) AS conversion,
           avg(d.outcome) / nullif(max(d.base), 0) AS lift
    FROM (SELECT o.tenant_id, o.model_id, o.outcome, ntile(10) OVER (PARTITION BY o.tenant_id, o.model_id ORDER BY o.probability DESC, o.lead_id) AS decile,
                 avg(o.outcome) OVER (PARTITION BY o.tenant_id, o.model_id) AS base
          FROM crm_analytics.prediction_outcomes AS o WHERE o.outcome IS NOT NULL) AS d
    GROUP BY d.tenant_id, d.model_id, d.decile
) AS v
LEFT JOIN crm.predictive_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id;
COMMENT ON VIEW crm_analytics.prediction_lift IS
'One row per model and tenth of the closed leads, the likeliest first: their rate of conversion over that of all.';
COMMENT ON COLUMN crm_analytics.prediction_lift.decile IS 'Tenth of the leads by predicted probability, 1 best.';
COMMENT ON COLUMN crm_analytics.prediction_lift.closed IS 'Closed leads in it.';
COMMENT ON COLUMN crm_analytics.prediction_lift.conversion IS 'Share of them that was converted.';
COMMENT ON COLUMN crm_analytics.prediction_lift.lift IS 'That share over the share of all.';

-- jsonb_each() in jsonb_each() is taken for 10,000 rows a model; a function says what is usual
CREATE OR REPLACE FUNCTION crm_analytics.profile_counts(profile jsonb) RETURNS TABLE (field text, bin text, n numeric)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.key, c.key, c.value::numeric FROM jsonb_each(profile) AS f, jsonb_each_text(f.value -> 'counts') AS c
$$;
COMMENT ON FUNCTION crm_analytics.profile_counts(jsonb) IS 'How many leads had each value of each field when a model was trained, from its profile.';

CREATE OR REPLACE VIEW crm_analytics.prediction_drift WITH (security_invoker = true) AS
SELECT v.*, mo.name AS model
FROM (
    SELECT b.tenant_id, b.model_id, b.field, sum(b.now) AS leads,
           crm.psi(array_agg(b.before::double precision ORDER BY b.bin), array_agg(b.now::double precision ORDER BY b.bin)) AS psi,
           coalesce(sum(b.now) FILTER (WHERE b.bin = '(unseen)'), 0) / sum(b.now) AS unseen_share,
           coalesce(sum(b.now) FILTER (WHERE b.bin = '(missing)'), 0) / sum(b.now) AS missing_share
    FROM (
        SELECT coalesce(t.tenant_id, n.tenant_id) AS tenant_id, coalesce(t.model_id, n.model_id) AS model_id, coalesce(t.field, n.field) AS field,
               coalesce(t.bin, n.bin) COLLATE "C" AS bin, coalesce(t.n, 0) AS before, coalesce(n.n, 0) AS now
        FROM (SELECT m.tenant_id, m.id AS model_id, c.field, c.bin, c.n
              FROM crm.predictive_models AS m, crm_analytics.profile_counts(m.profile) AS c
          WHERE EXISTS (SELECT FROM crm.lead_predictions AS p WHERE p.tenant_id = m.tenant_id AND p.model_id = m.id AND p.predicted_at > now() - interval '30 days')) AS t
        FULL JOIN (SELECT p.tenant_id, p.model_id, f.key AS field, crm.drift_bin(f.value, p.features -> f.key) AS bin, count(*)::numeric AS n
                   FROM crm.lead_predictions AS p
                   JOIN crm.predictive_models AS m ON m.tenant_id = p.tenant_id AND m.id = p.model_id,
                   jsonb_each(m.profile) AS f
                   WHERE p.predicted_at > now() - interval '30 days'
                   GROUP BY 1, 2, 3, 4) AS n
            ON n.tenant_id = t.tenant_id AND n.model_id = t.model_id AND n.field = t.field AND n.bin = t.bin) AS b
    GROUP BY b.tenant_id, b.model_id, b.field
    HAVING sum(b.now) > 0
) AS v
LEFT JOIN crm.predictive_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id;
COMMENT ON VIEW crm_analytics.prediction_drift IS
'One row per model and field: population stability index between training and the predictions of the last 30 days (above 0.1 look, above 0.25 act), shares of '
'values training did not know and of missing ones.';
COMMENT ON COLUMN crm_analytics.prediction_drift.field IS 'Field of the leads.';
COMMENT ON COLUMN crm_analytics.prediction_drift.leads IS 'Leads that were predicted.';
COMMENT ON COLUMN crm_analytics.prediction_drift.psi IS 'Population stability index against the leads trained on: above 0.1 look, above 0.25 act.';
COMMENT ON COLUMN crm_analytics.prediction_drift.unseen_share IS 'Share of leads with a value that training never saw.';
COMMENT ON COLUMN crm_analytics.prediction_drift.missing_share IS 'Share of leads without a value.';

CREATE OR REPLACE VIEW crm_analytics.prediction_fairness WITH (security_invoker = true) AS
SELECT v.*, mo.name AS model
FROM (
    SELECT g.tenant_id, g.model_id, g.field, g.value, g.leads, g.closed, g.selection_rate, g.true_positive_rate,
           g.selection_rate / nullif(max(g.selection_rate) OVER (PARTITION BY g.tenant_id, g.model_id, g.field), 0) AS ratio_to_best
    FROM (
        SELECT o.tenant_id, o.model_id, v.field, v.value, count(*) AS leads, count(o.outcome) AS closed,
               avg(CASE WHEN o.probability >= m.trained_wins::double precision / m.trained_rows THEN 1.0 ELSE 0.0 END)::double precision AS selection_rate,
           (avg(CASE WHEN o.probability >= m.trained_wins::double precision / m.trained_rows THEN 1.0 ELSE 0.0 END) FILTER (WHERE o.outcome = 1))::double precision AS true_positive_rate
        FROM crm_analytics.prediction_outcomes AS o
        JOIN crm.predictive_models AS m ON m.tenant_id = o.tenant_id AND m.id = o.model_id
        CROSS JOIN LATERAL (VALUES ('country', o.country::text), ('language', o.language), ('channel', o.channel), ('industry', o.industry)) AS v (field, value)
        WHERE v.value IS NOT NULL
        GROUP BY o.tenant_id, o.model_id, v.field, v.value
    ) AS g
) AS v
LEFT JOIN crm.predictive_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id;
COMMENT ON VIEW crm_analytics.prediction_fairness IS
'One row per model and group of leads (by country, language, channel, industry): share predicted above the mean rate, the same among those that were '
'converted, and the first over that of the best group; below 0.8 is a warning (four-fifths rule).';
COMMENT ON COLUMN crm_analytics.prediction_fairness.field IS 'What the groups are made by.';
COMMENT ON COLUMN crm_analytics.prediction_fairness.value IS 'Value of the group.';
COMMENT ON COLUMN crm_analytics.prediction_fairness.leads IS 'Leads of the group that were predicted.';
COMMENT ON COLUMN crm_analytics.prediction_fairness.closed IS 'Closed leads among them.';
COMMENT ON COLUMN crm_analytics.prediction_fairness.selection_rate IS 'Share of the group that is predicted above the threshold.';
COMMENT ON COLUMN crm_analytics.prediction_fairness.true_positive_rate IS 'Share of the converted ones of the group that were predicted above it.';
COMMENT ON COLUMN crm_analytics.prediction_fairness.ratio_to_best IS 'Selection rate over that of the best group; under 0.8 is a warning.';
