-- Predictive models: logistic regression, naive Bayes, calibration, and how good scores are.

CREATE TYPE crm.logistic_model AS (
    coefficients double precision[],
    std_errors double precision[],
    means double precision[],
    lambda double precision,
    rows_used bigint,
    rows_skipped bigint,
    wins bigint,
    log_likelihood double precision,
    objective double precision,
    log_loss double precision,
    brier double precision,
    auc double precision,
    ks double precision,
    average_precision double precision,
    lift10 double precision,
    ece double precision,
    iterations integer,
    converged boolean,
    separated boolean,
    separating_columns integer[],
    aliased_columns integer[],
    total_weight double precision,
    robust_std_errors double precision[]
);
COMMENT ON TYPE crm.logistic_model IS
'Result of crm.logistic_fit. coefficients: intercept, then one weight per feature, in the features'' own units. std_errors: the same shape, from the inverse '
'(penalised) Hessian at the solution; NULL where not estimable. means: of each feature. lambda: the penalty used (larger than asked where the outcome was '
'separated). objective: minus log-likelihood plus penalty. log_loss, brier, auc, ks, average_precision, lift10 (of the best tenth), ece (10 bins): on the '
'training rows, so flattering. separated: without a penalty no solution exists; separating_columns names the features, from 1. aliased_columns: features left '
'out (weight 0) as constant or a combination of earlier ones. total_weight: sum of the rows'' weights, without weights their number; rows_used and wins count '
'rows. std_errors read a weight as a number of equal rows (frequency). robust_std_errors are right where a row stands for others it was drawn from, or counts '
'for more by choice (sampling, importance): the sandwich H^-1 G H^-1 with n/(n-1), as survey packages have it, whatever weights are measured in. NULL where '
'the fit was called without weights; pass 1 as weight to have them.';

CREATE FUNCTION crm.logistic_accum(internal, double precision, double precision[], double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_logistic_accum';
COMMENT ON FUNCTION crm.logistic_accum(internal, double precision, double precision[], double precision) IS
'Transition function of crm.logistic_fit.';
CREATE FUNCTION crm.logistic_final(internal) RETURNS crm.logistic_model
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_logistic_final';
COMMENT ON FUNCTION crm.logistic_final(internal) IS 'Final function of crm.logistic_fit.';

CREATE AGGREGATE crm.logistic_fit(y double precision, x double precision[], lambda double precision) (
    SFUNC = crm.logistic_accum, STYPE = internal, SSPACE = 1000000,
    FINALFUNC = crm.logistic_final, FINALFUNC_MODIFY = READ_WRITE,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.logistic_fit(double precision, double precision[], double precision) IS
'Logistic regression: minimises sum(log-loss) + lambda/2 * sum(weight^2), intercept free, by Newton''s method with step halving. y: 0 or 1. x: features, as '
'many in every row. lambda: penalty, 0 for none; penalise z-scores (crm.z_scores) rather than raw units. Rows with a null in y or x are skipped and counted. '
'Errors: CR401 no row, or one outcome only; CR402 NaN, infinity, or y neither 0 nor 1.';
CREATE FUNCTION crm.logistic_accum_weighted(internal, double precision, double precision[], double precision, double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_logistic_accum';
COMMENT ON FUNCTION crm.logistic_accum_weighted(internal, double precision, double precision[], double precision, double precision) IS
'Transition function of crm.logistic_fit with weights.';
CREATE AGGREGATE crm.logistic_fit(y double precision, x double precision[], lambda double precision, weight double precision) (
    SFUNC = crm.logistic_accum_weighted, STYPE = internal, SSPACE = 1000000,
    FINALFUNC = crm.logistic_final, FINALFUNC_MODIFY = READ_WRITE,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.logistic_fit(double precision, double precision[], double precision, double precision) IS
'crm.logistic_fit where a row counts as often as its weight says: minimises sum(weight * log-loss) + lambda/2 * sum(weight^2). Whole weights give what as many '
'equal rows give, measures included (lift10 counts whole rows only where all weights are whole). Which standard errors to read: see crm.logistic_model. Rows '
'with a null weight or weight 0 are skipped. CR402 where a weight is negative or not finite.';

CREATE FUNCTION crm.logistic_predict(coefficients double precision[], x double precision[])
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_logistic_predict';
COMMENT ON FUNCTION crm.logistic_predict(double precision[], double precision[]) IS
'Probability 1/(1+exp(-(intercept + sum of weight * feature))). coefficients: intercept first, as crm.logistic_fit gives them; also those of crm.platt_fit '
'with one score. NULL where an element is null; CR402 where the result would not be finite.';

CREATE FUNCTION crm.log_odds(coefficients double precision[], x double precision[])
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_log_odds';
COMMENT ON FUNCTION crm.log_odds(double precision[], double precision[]) IS
'Log-odds intercept + sum of weight * feature: crm.logistic_predict before the sigmoid.';

CREATE FUNCTION crm.two_sided_p(z double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_two_sided_p';
COMMENT ON FUNCTION crm.two_sided_p(double precision) IS
'Two-sided p-value of a standard normal z: erfc(|z|/sqrt(2)).';

CREATE FUNCTION crm.logistic_terms(coefficients double precision[], std_errors double precision[], terms text[])
RETURNS TABLE (term text, coefficient double precision, std_error double precision, z double precision,
               p_value double precision, odds_ratio double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN c.i = 1 THEN '(intercept)' ELSE coalesce(terms[c.i - 1], 'x' || (c.i - 1)) END,
           c.w, s.e, r.z, crm.two_sided_p(r.z),
           CASE WHEN c.w < 709 THEN exp(greatest(c.w, -745)) END
    FROM unnest(coefficients) WITH ORDINALITY AS c (w, i)
    LEFT JOIN unnest(std_errors) WITH ORDINALITY AS s (e, i) USING (i)
    CROSS JOIN LATERAL (SELECT CASE WHEN abs(c.w) < 'Infinity' THEN c.w / nullif(s.e, 0) END AS z) AS r
    ORDER BY c.i
$$;
COMMENT ON FUNCTION crm.logistic_terms(double precision[], double precision[], text[]) IS
'One row per coefficient of a logistic model: standard error, z = coefficient / std_error, two-sided p-value (Wald), odds ratio exp(coefficient) (NULL where '
'it exceeds the range). terms names the features; NULL names them x1, x2 ...';

CREATE FUNCTION crm.z_scores(x double precision[], means double precision[], sds double precision[])
RETURNS double precision[] LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_z_scores';
COMMENT ON FUNCTION crm.z_scores(double precision[], double precision[], double precision[]) IS
'(x - mean) / sd, element by element; 0 where sd is 0; a null stays null. Give mean 0 and sd 1 for a column that is to stay as it is.';

CREATE FUNCTION crm.explain_logodds(coefficients double precision[], means double precision[], x double precision[],
                                    fields text[])
RETURNS TABLE (field text, contribution double precision, probability_change double precision)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    WITH base AS (
        SELECT crm.log_odds(coefficients, means) AS b
    ), part AS (
        SELECT coalesce(fields[i], 'x' || i) AS f, sum(coefficients[i + 1] * (x[i] - means[i])) AS c
        FROM generate_subscripts(x, 1) AS i
        GROUP BY 1
    ), walk AS (
        SELECT p.f, p.c, b.b + sum(p.c) OVER (ORDER BY abs(p.c) DESC, p.f) AS after,
               row_number() OVER (ORDER BY abs(p.c) DESC, p.f) AS n
        FROM part AS p, base AS b
    )
    SELECT '(base)', b.b, crm.logistic_predict(ARRAY[b.b], '{}') FROM base AS b
    UNION ALL
    (SELECT w.f, w.c,
            crm.logistic_predict(ARRAY[w.after], '{}') - crm.logistic_predict(ARRAY[w.after - w.c], '{}')
     FROM walk AS w ORDER BY w.n)
$$;
COMMENT ON FUNCTION crm.explain_logodds(double precision[], double precision[], double precision[], text[]) IS
'Why a logistic model gives its probability. First row (base): intercept + sum of weight * mean, the log-odds of an average row; then, largest first, per '
'field the sum over its columns of weight * (x - mean). Contributions sum to the log-odds, probability_change (base first, then the change as each field is '
'taken in) to the probability. fields: the field each column belongs to.';

-- rows to features
CREATE FUNCTION crm.encoding_accum(internal, jsonb, integer)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_encoding_accum';
COMMENT ON FUNCTION crm.encoding_accum(internal, jsonb, integer) IS 'Transition function of crm.encoding_fit.';
CREATE FUNCTION crm.encoding_final(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_encoding_final';
COMMENT ON FUNCTION crm.encoding_final(internal) IS 'Final function of crm.encoding_fit.';
CREATE AGGREGATE crm.encoding_fit(fields jsonb, min_count integer) (
    SFUNC = crm.encoding_accum, STYPE = internal, SSPACE = 10000,
    FINALFUNC = crm.encoding_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.encoding_fit(jsonb, integer) IS
'How to turn rows (flat JSON objects) into features, learnt from training rows. A numeric field becomes its z-score (population standard deviation); a text '
'or boolean field one 0/1 column per level but the first in byte order. Levels of fewer than min_count rows become one level (other). Where a field was '
'missing in training, a column (missing) tells; the number itself then stands at its mean. CR401: no row; CR402: a field that is a number in one row and text '
'in another.';

CREATE FUNCTION crm.encode(encoding jsonb, fields jsonb) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_encode';
COMMENT ON FUNCTION crm.encode(jsonb, jsonb) IS
'Features of one row by an encoding of crm.encoding_fit. A level that training did not see goes to (other) where there is one, else all columns of the field '
'are 0 (see crm.encoding_unseen); fields the encoding does not know are ignored.';

CREATE FUNCTION crm.encoding_terms(encoding jsonb) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_encoding_terms';
COMMENT ON FUNCTION crm.encoding_terms(jsonb) IS 'Name of each column of crm.encode: the field, or field=level.';

CREATE FUNCTION crm.encoding_fields(encoding jsonb) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_encoding_fields';
COMMENT ON FUNCTION crm.encoding_fields(jsonb) IS 'Field that each column of crm.encode belongs to.';

CREATE FUNCTION crm.encoding_unseen(encoding jsonb, fields jsonb) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_encoding_unseen';
COMMENT ON FUNCTION crm.encoding_unseen(jsonb, jsonb) IS
'Fields of a row whose level, or whose missing value, training did not see; empty where all is known.';

-- scores against outcomes
CREATE FUNCTION crm.scored_accum(internal, double precision, double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_scored_accum';
COMMENT ON FUNCTION crm.scored_accum(internal, double precision, double precision) IS
'Transition function of the measures of scores against outcomes.';
CREATE FUNCTION crm.scored_accum_weighted(internal, double precision, double precision, double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_scored_accum';
COMMENT ON FUNCTION crm.scored_accum_weighted(internal, double precision, double precision, double precision) IS
'Transition function of the measures of scores against outcomes, with weights.';
CREATE FUNCTION crm.lift_accum_weighted(internal, double precision, double precision, double precision, double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_lift_accum';
COMMENT ON FUNCTION crm.lift_accum_weighted(internal, double precision, double precision, double precision, double precision) IS
'Transition function of crm.lift with weights.';
CREATE FUNCTION crm.lift_accum(internal, double precision, double precision, double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_lift_accum';
COMMENT ON FUNCTION crm.lift_accum(internal, double precision, double precision, double precision) IS
'Transition function of crm.lift.';
CREATE FUNCTION crm.auc_final(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_auc_final';
COMMENT ON FUNCTION crm.auc_final(internal) IS 'Final function of crm.auc.';
CREATE FUNCTION crm.ks_final(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_ks_final';
COMMENT ON FUNCTION crm.ks_final(internal) IS 'Final function of crm.ks.';
CREATE FUNCTION crm.average_precision_final(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_average_precision_final';
COMMENT ON FUNCTION crm.average_precision_final(internal) IS 'Final function of crm.average_precision.';
CREATE FUNCTION crm.lift_final(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_lift_final';
COMMENT ON FUNCTION crm.lift_final(internal) IS 'Final function of crm.lift.';
CREATE FUNCTION crm.log_loss_final(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_log_loss_final';
COMMENT ON FUNCTION crm.log_loss_final(internal) IS 'Final function of crm.log_loss.';
CREATE FUNCTION crm.brier_final(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_brier_final';
COMMENT ON FUNCTION crm.brier_final(internal) IS 'Final function of crm.brier.';
CREATE FUNCTION crm.ece_final(internal) RETURNS double precision
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_ece_final';
COMMENT ON FUNCTION crm.ece_final(internal) IS 'Final function of crm.ece.';
CREATE FUNCTION crm.platt_final(internal) RETURNS double precision[]
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_platt_final';
COMMENT ON FUNCTION crm.platt_final(internal) IS 'Final function of crm.platt_fit.';

CREATE TYPE crm.isotonic_model AS (
    knots double precision[],
    probabilities double precision[],
    rows_used bigint,
    wins bigint
);
COMMENT ON TYPE crm.isotonic_model IS
'Result of crm.isotonic_fit: scores in ascending order and the probability at each; straight lines between them.';
CREATE FUNCTION crm.isotonic_final(internal) RETURNS crm.isotonic_model
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_isotonic_final';
COMMENT ON FUNCTION crm.isotonic_final(internal) IS 'Final function of crm.isotonic_fit.';

CREATE AGGREGATE crm.auc(y double precision, score double precision) (
    SFUNC = crm.scored_accum, STYPE = internal, FINALFUNC = crm.auc_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.auc(double precision, double precision) IS
'Area under the ROC curve: share of pairs of a win and a loss whose scores are in the right order, ties counting half. y: 0 or 1. Rows with a null are left '
'out; NULL where an outcome is missing.';
CREATE AGGREGATE crm.ks(y double precision, score double precision) (
    SFUNC = crm.scored_accum, STYPE = internal, FINALFUNC = crm.ks_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.ks(double precision, double precision) IS
'Kolmogorov-Smirnov: largest difference of true and false positive rate over all thresholds. NULL where an outcome is missing.';
CREATE AGGREGATE crm.average_precision(y double precision, score double precision) (
    SFUNC = crm.scored_accum, STYPE = internal, FINALFUNC = crm.average_precision_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.average_precision(double precision, double precision) IS
'Average precision: sum over the distinct thresholds of the gain in recall times precision. NULL where an outcome is missing.';
CREATE AGGREGATE crm.lift(y double precision, score double precision, fraction double precision) (
    SFUNC = crm.lift_accum, STYPE = internal, FINALFUNC = crm.lift_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.lift(double precision, double precision, double precision) IS
'Win rate of the best ceil(fraction * n) rows over the win rate of all; of equal scores at the edge each counts by its chance to be among them. NULL '
'without a win.';
CREATE AGGREGATE crm.log_loss(y double precision, p double precision) (
    SFUNC = crm.scored_accum, STYPE = internal, FINALFUNC = crm.log_loss_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.log_loss(double precision, double precision) IS
'Mean of -ln(probability given to what happened), probabilities held 1e-15 away from 0 and 1 so that it is finite. CR402 where p is no probability; NULL '
'without rows.';
CREATE AGGREGATE crm.brier(y double precision, p double precision) (
    SFUNC = crm.scored_accum, STYPE = internal, FINALFUNC = crm.brier_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.brier(double precision, double precision) IS
'Brier score: mean of (p - y)^2. CR402 where p is no probability; NULL without rows.';
CREATE AGGREGATE crm.ece(y double precision, p double precision) (
    SFUNC = crm.scored_accum, STYPE = internal, FINALFUNC = crm.ece_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.ece(double precision, double precision) IS
'Expected calibration error: |mean p - win rate| in ten bins of equal width on [0, 1], weighted by count. CR402 where p is no probability; NULL without rows.';

CREATE AGGREGATE crm.platt_fit(y double precision, score double precision) (
    SFUNC = crm.scored_accum, STYPE = internal, FINALFUNC = crm.platt_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.platt_fit(double precision, double precision) IS
'Platt calibration: {intercept, slope} of p = 1/(1+exp(-(intercept + slope*score))) on the targets (n1+1)/(n1+2) and 1/(n0+2). Apply with '
'crm.logistic_predict(model, ARRAY[score]). Fit it on rows the score was not fitted on. CR401: no row, one outcome only, or all scores equal.';
CREATE AGGREGATE crm.isotonic_fit(y double precision, score double precision) (
    SFUNC = crm.scored_accum, STYPE = internal, FINALFUNC = crm.isotonic_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.isotonic_fit(double precision, double precision) IS
'Isotonic calibration (pool adjacent violators): the non-decreasing function of the score nearest to the outcomes. Fit it on rows the score was not fitted '
'on, a thousand or more. CR401: no row.';

-- the same with weights: a row counts as often as its weight says
CREATE AGGREGATE crm.auc(y double precision, score double precision, weight double precision) (
    SFUNC = crm.scored_accum_weighted, STYPE = internal, FINALFUNC = crm.auc_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.auc(double precision, double precision, double precision) IS
'crm.auc where a row counts as often as its weight says. Rows with a null weight or weight 0 are left out; CR402 where a weight is negative or not finite.';
CREATE AGGREGATE crm.ks(y double precision, score double precision, weight double precision) (
    SFUNC = crm.scored_accum_weighted, STYPE = internal, FINALFUNC = crm.ks_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.ks(double precision, double precision, double precision) IS
'crm.ks where a row counts as often as its weight says. Rows with a null weight or weight 0 are left out; CR402 where a weight is negative or not finite.';
CREATE AGGREGATE crm.average_precision(y double precision, score double precision, weight double precision) (
    SFUNC = crm.scored_accum_weighted, STYPE = internal, FINALFUNC = crm.average_precision_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.average_precision(double precision, double precision, double precision) IS
'crm.average_precision where a row counts as often as its weight says. Rows with a null weight or weight 0 are left out; CR402 where a weight is '
'negative or not finite.';
CREATE AGGREGATE crm.log_loss(y double precision, p double precision, weight double precision) (
    SFUNC = crm.scored_accum_weighted, STYPE = internal, FINALFUNC = crm.log_loss_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.log_loss(double precision, double precision, double precision) IS
'crm.log_loss where a row counts as often as its weight says. Rows with a null weight or weight 0 are left out; CR402 where a weight is negative or '
'not finite.';
CREATE AGGREGATE crm.brier(y double precision, p double precision, weight double precision) (
    SFUNC = crm.scored_accum_weighted, STYPE = internal, FINALFUNC = crm.brier_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.brier(double precision, double precision, double precision) IS
'crm.brier where a row counts as often as its weight says. Rows with a null weight or weight 0 are left out; CR402 where a weight is negative or not finite.';
CREATE AGGREGATE crm.ece(y double precision, p double precision, weight double precision) (
    SFUNC = crm.scored_accum_weighted, STYPE = internal, FINALFUNC = crm.ece_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.ece(double precision, double precision, double precision) IS
'crm.ece where a row counts as often as its weight says. Rows with a null weight or weight 0 are left out; CR402 where a weight is negative or not finite.';
CREATE AGGREGATE crm.platt_fit(y double precision, score double precision, weight double precision) (
    SFUNC = crm.scored_accum_weighted, STYPE = internal, FINALFUNC = crm.platt_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.platt_fit(double precision, double precision, double precision) IS
'crm.platt_fit where a row counts as often as its weight says. Its targets count rows: weights are numbers of rows, not shares. Rows with a null '
'weight or weight 0 are left out; CR402 where a weight is negative or not finite.';
CREATE AGGREGATE crm.isotonic_fit(y double precision, score double precision, weight double precision) (
    SFUNC = crm.scored_accum_weighted, STYPE = internal, FINALFUNC = crm.isotonic_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.isotonic_fit(double precision, double precision, double precision) IS
'crm.isotonic_fit where a row counts as often as its weight says. rows_used and wins of the result count rows. Rows with a null weight or weight 0 '
'are left out; CR402 where a weight is negative or not finite.';
CREATE AGGREGATE crm.lift(y double precision, score double precision, fraction double precision, weight double precision) (
    SFUNC = crm.lift_accum_weighted, STYPE = internal, FINALFUNC = crm.lift_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.lift(double precision, double precision, double precision, double precision) IS
'crm.lift where a row counts as often as its weight says: the best part is one of the weight. Whole weights count rows, so that it ends at a whole row; others '
'may divide the last row. Rows with a null weight or weight 0 are left out; CR402 where a weight is negative or not finite.';

CREATE FUNCTION crm.isotonic_predict(knots double precision[], probabilities double precision[], score double precision)
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_isotonic_predict';
COMMENT ON FUNCTION crm.isotonic_predict(double precision[], double precision[], double precision) IS
'Probability of a score by an isotonic model: straight between knots, level outside them.';

-- naive Bayes
CREATE FUNCTION crm.naive_bayes_accum(internal, double precision, text[], double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_naive_bayes_accum';
COMMENT ON FUNCTION crm.naive_bayes_accum(internal, double precision, text[], double precision) IS
'Transition function of crm.naive_bayes_fit.';
CREATE FUNCTION crm.naive_bayes_combine(internal, internal)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_naive_bayes_combine';
COMMENT ON FUNCTION crm.naive_bayes_combine(internal, internal) IS 'Combine function of crm.naive_bayes_fit.';
CREATE FUNCTION crm.naive_bayes_serial(internal)
RETURNS bytea LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_naive_bayes_serial';
COMMENT ON FUNCTION crm.naive_bayes_serial(internal) IS 'Serial function of crm.naive_bayes_fit.';
CREATE FUNCTION crm.naive_bayes_deserial(bytea, internal)
RETURNS internal LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_naive_bayes_deserial';
COMMENT ON FUNCTION crm.naive_bayes_deserial(bytea, internal) IS 'Deserial function of crm.naive_bayes_fit.';
CREATE FUNCTION crm.naive_bayes_final(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_naive_bayes_final';
COMMENT ON FUNCTION crm.naive_bayes_final(internal) IS 'Final function of crm.naive_bayes_fit.';

CREATE AGGREGATE crm.naive_bayes_fit(y double precision, levels text[], alpha double precision) (
    SFUNC = crm.naive_bayes_accum, STYPE = internal, SSPACE = 10000,
    FINALFUNC = crm.naive_bayes_final, COMBINEFUNC = crm.naive_bayes_combine,
    SERIALFUNC = crm.naive_bayes_serial, DESERIALFUNC = crm.naive_bayes_deserial, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.naive_bayes_fit(double precision, text[], double precision) IS
'Naive Bayes over categories: counts of wins and losses per field and level as a jsonb model. y: 0 or 1. levels: one text per field, null where unknown (left '
'out). alpha: rows added to every level (1 is usual). The class prior is not smoothed. CR401: no row, or one outcome only.';

CREATE FUNCTION crm.naive_bayes_predict(model jsonb, levels text[]) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_naive_bayes_predict';
COMMENT ON FUNCTION crm.naive_bayes_predict(jsonb, text[]) IS
'Probability of a win by a model of crm.naive_bayes_fit. A null, or a level never seen, leaves the odds as they are.';

CREATE FUNCTION crm.naive_bayes_terms(model jsonb, levels text[]) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_naive_bayes_terms';
COMMENT ON FUNCTION crm.naive_bayes_terms(jsonb, text[]) IS
'Why: the log-odds of the prior, then ln(p(level|won)/p(level|lost)) of each field; they sum to the log-odds of crm.naive_bayes_predict.';

-- deals: naive Bayes per team and stage
CREATE FUNCTION crm.deal_odds_accum(internal, text, integer, boolean, jsonb)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_deal_odds_accum';
COMMENT ON FUNCTION crm.deal_odds_accum(internal, text, integer, boolean, jsonb) IS
'Transition function of crm.deal_odds_fit.';
CREATE FUNCTION crm.deal_odds_final(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_deal_odds_final';
COMMENT ON FUNCTION crm.deal_odds_final(internal) IS 'Final function of crm.deal_odds_fit.';

CREATE AGGREGATE crm.deal_odds_fit(team text, stage integer, won boolean, fields jsonb) (
    SFUNC = crm.deal_odds_accum, STYPE = internal, SSPACE = 10000,
    FINALFUNC = crm.deal_odds_final, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.deal_odds_fit(text, integer, boolean, jsonb) IS
'Counts of closed deals per team, stage, field and value as a jsonb model. team: null for none. stage: place in the pipeline from 1, the winning stage last; '
'a won deal counts in every stage, a lost one in its stage and earlier ones. won: null while open (left out). fields: an object; null values are left out, '
'values of a list (tags) count one by one. CR401: no row.';

CREATE FUNCTION crm.deal_odds_predict(model jsonb, team text, stage integer, fields jsonb, published boolean DEFAULT false)
RETURNS double precision LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_deal_odds_predict';
COMMENT ON FUNCTION crm.deal_odds_predict(jsonb, text, integer, jsonb, boolean) IS
'Probability that a deal is won. published = true: the rules of Odoo''s predictive lead scoring (addons/crm/models/crm_lead.py), rounded to 4 digits and held '
'within 0.0001 .. 0.9999. Otherwise mended: teams shrunk towards all teams by 20 pseudo-deals, evidence scaled by n/(n+10) of the rarer outcome, NULL while '
'there is no win or no loss.';

CREATE FUNCTION crm.deal_odds_explain(model jsonb, team text, stage integer, fields jsonb, published boolean DEFAULT false)
RETURNS TABLE (field text, value text, won bigint, lost bigint, contribution double precision, score double precision)
LANGUAGE c IMMUTABLE PARALLEL SAFE ROWS 20
AS 'MODULE_PATHNAME', 'crm_deal_odds_explain';
COMMENT ON FUNCTION crm.deal_odds_explain(jsonb, text, integer, jsonb, boolean) IS
'Why: the prior (base) and one row per value that counts, with the closed deals behind it; contributions sum to the log-odds. score: '
'p(value|won)/(p(value|won)+p(value|lost)); with published, for the stage 1-p(stage|lost).';

-- drift
CREATE FUNCTION crm.psi(expected double precision[], actual double precision[]) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_psi';
COMMENT ON FUNCTION crm.psi(double precision[], double precision[]) IS
'Population stability index of two histograms over the same bins (counts or shares): sum((a-e)*ln(a/e)) of the shares. A bin that one side lacks counts as '
'half a row of that side, or half of 1e-4 where shares are given, so the index stays finite. Above 0.1 look, above 0.25 act.';

-- groups of people
CREATE TYPE crm.fairness_figures AS (
    row_count bigint,
    selection_rate double precision,
    true_positive_rate double precision,
    false_positive_rate double precision,
    win_rate double precision
);
COMMENT ON TYPE crm.fairness_figures IS
'Result of crm.fairness. selection_rate: share with a score of at least the threshold; the true (false) positive rate is that share among wins (losses), NULL '
'without any.';
CREATE FUNCTION crm.fairness_accum(bigint[], double precision, double precision, double precision)
RETURNS bigint[] LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_fairness_accum';
COMMENT ON FUNCTION crm.fairness_accum(bigint[], double precision, double precision, double precision) IS
'Transition function of crm.fairness.';
CREATE FUNCTION crm.fairness_combine(a bigint[], b bigint[])
RETURNS bigint[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY[a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4], greatest(a[5], b[5]), CASE WHEN a[5] > 0 THEN a[6] ELSE b[6] END]
$$;
COMMENT ON FUNCTION crm.fairness_combine(bigint[], bigint[]) IS 'Combine function of crm.fairness.';
CREATE FUNCTION crm.fairness_final(state bigint[])
RETURNS crm.fairness_figures LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ROW(n, (state[1] + state[3])::float8 / nullif(n, 0), state[1]::float8 / nullif(state[1] + state[2], 0),
               state[3]::float8 / nullif(state[3] + state[4], 0), (state[1] + state[2])::float8 / nullif(n, 0))::crm.fairness_figures
    FROM (SELECT state[1] + state[2] + state[3] + state[4] AS n) AS s
$$;
COMMENT ON FUNCTION crm.fairness_final(bigint[]) IS 'Final function of crm.fairness.';
CREATE AGGREGATE crm.fairness(y double precision, p double precision, threshold double precision) (
    SFUNC = crm.fairness_accum, STYPE = bigint[], INITCOND = '{0,0,0,0,0,0}', FINALFUNC = crm.fairness_final,
    COMBINEFUNC = crm.fairness_combine, PARALLEL = SAFE);
COMMENT ON AGGREGATE crm.fairness(double precision, double precision, double precision) IS
'Selection and error rates of a group at a threshold; call it with GROUP BY the group. A selection rate below 0.8 of the best group''s is a warning '
'(four-fifths rule). Rows with a null are left out.';
