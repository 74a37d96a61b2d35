-- Fits of the purchase and spend models as aggregates, on any table.

CREATE FUNCTION crm.patterns_combine(internal, internal) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_patterns_combine';
COMMENT ON FUNCTION crm.patterns_combine(internal, internal) IS 'Part of the fit aggregates.';
CREATE FUNCTION crm.patterns_serialize(internal) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_patterns_serialize';
COMMENT ON FUNCTION crm.patterns_serialize(internal) IS 'Part of the fit aggregates.';
CREATE FUNCTION crm.patterns_deserialize(bytea, internal) RETURNS internal
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_patterns_deserialize';
COMMENT ON FUNCTION crm.patterns_deserialize(bytea, internal) IS 'Part of the fit aggregates.';

CREATE FUNCTION crm.history_accumulate(internal, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_history_accumulate';
COMMENT ON FUNCTION crm.history_accumulate(internal, double precision, double precision, double precision) IS 'Part of the fit aggregates.';
CREATE FUNCTION crm.history_accumulate_weighted(internal, double precision, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_history_accumulate_weighted';
COMMENT ON FUNCTION crm.history_accumulate_weighted(internal, double precision, double precision, double precision, double precision) IS
'Part of the fit aggregates.';
CREATE FUNCTION crm.opportunity_accumulate(internal, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_opportunity_accumulate';
COMMENT ON FUNCTION crm.opportunity_accumulate(internal, double precision, double precision, double precision) IS 'Part of the fit aggregates.';
CREATE FUNCTION crm.opportunity_accumulate_weighted(internal, double precision, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_opportunity_accumulate_weighted';
COMMENT ON FUNCTION crm.opportunity_accumulate_weighted(internal, double precision, double precision, double precision, double precision) IS
'Part of the fit aggregates.';
CREATE FUNCTION crm.spend_accumulate(internal, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_spend_accumulate';
COMMENT ON FUNCTION crm.spend_accumulate(internal, double precision, double precision) IS 'Part of the fit aggregates.';
CREATE FUNCTION crm.spend_accumulate_weighted(internal, double precision, double precision, double precision) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_spend_accumulate_weighted';
COMMENT ON FUNCTION crm.spend_accumulate_weighted(internal, double precision, double precision, double precision) IS 'Part of the fit aggregates.';
CREATE FUNCTION crm.covariate_accumulate(internal, double precision, double precision, double precision, double precision[],
    double precision[]) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_covariate_accumulate';
COMMENT ON FUNCTION crm.covariate_accumulate(internal, double precision, double precision, double precision, double precision[], double precision[]) IS
'Part of the fit aggregates.';

CREATE TYPE crm.bgnbd_estimate AS (
    r double precision,
    alpha double precision,
    a double precision,
    b double precision,
    se_r double precision,
    se_alpha double precision,
    se_a double precision,
    se_b double precision,
    log_likelihood double precision,
    customers double precision,
    patterns bigint,
    left_out bigint,
    state text,
    advice text,
    iterations integer,
    evaluations integer,
    gradient_norm double precision,
    smallest_eigenvalue double precision,
    covariance double precision[],
    memory_bytes bigint
);
COMMENT ON TYPE crm.bgnbd_estimate IS
'Estimates, standard errors (NULL where the data determine none), and how the fit went: customers (sum of weights), patterns (distinct histories), left_out '
'(rows with a NULL, and for spend rows without purchase or spend), state (converged, no interior optimum, not converged, too few customers) with advice, '
'gradient_norm (largest derivative of the mean log-likelihood by a log parameter), smallest_eigenvalue of its curvature, covariance of the parameters row by '
'row, memory of the fit in bytes.';

CREATE FUNCTION crm.bgnbd_fit_final(internal) RETURNS crm.bgnbd_estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_bgnbd_fit_final';
COMMENT ON FUNCTION crm.bgnbd_fit_final(internal) IS 'Part of crm.bgnbd_fit.';

CREATE AGGREGATE crm.bgnbd_fit(x double precision, t_x double precision, age double precision) (
    SFUNC = crm.history_accumulate, STYPE = internal, FINALFUNC = crm.bgnbd_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.bgnbd_fit(double precision, double precision, double precision) IS
'BG/NBD: maximum likelihood over one row a customer. Rows with a NULL are left out and counted; an impossible history is an error (CR402). NULL over no row. '
'Source of the model: Fader, Hardie and Lee 2005, Marketing Science 24(2).';

CREATE AGGREGATE crm.bgnbd_fit_weighted(x double precision, t_x double precision, age double precision, customers double precision) (
    SFUNC = crm.history_accumulate_weighted, STYPE = internal, FINALFUNC = crm.bgnbd_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.bgnbd_fit_weighted(double precision, double precision, double precision, double precision) IS
'crm.bgnbd_fit where each row stands for a number of customers.';

CREATE TYPE crm.mbgnbd_estimate AS (
    r double precision,
    alpha double precision,
    a double precision,
    b double precision,
    se_r double precision,
    se_alpha double precision,
    se_a double precision,
    se_b double precision,
    log_likelihood double precision,
    customers double precision,
    patterns bigint,
    left_out bigint,
    state text,
    advice text,
    iterations integer,
    evaluations integer,
    gradient_norm double precision,
    smallest_eigenvalue double precision,
    covariance double precision[],
    memory_bytes bigint
);
COMMENT ON TYPE crm.mbgnbd_estimate IS
'Estimates, standard errors (NULL where the data determine none), and how the fit went: customers (sum of weights), patterns (distinct histories), left_out '
'(rows with a NULL, and for spend rows without purchase or spend), state (converged, no interior optimum, not converged, too few customers) with advice, '
'gradient_norm (largest derivative of the mean log-likelihood by a log parameter), smallest_eigenvalue of its curvature, covariance of the parameters row by '
'row, memory of the fit in bytes.';

CREATE FUNCTION crm.mbgnbd_fit_final(internal) RETURNS crm.mbgnbd_estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_mbgnbd_fit_final';
COMMENT ON FUNCTION crm.mbgnbd_fit_final(internal) IS 'Part of crm.mbgnbd_fit.';

CREATE AGGREGATE crm.mbgnbd_fit(x double precision, t_x double precision, age double precision) (
    SFUNC = crm.history_accumulate, STYPE = internal, FINALFUNC = crm.mbgnbd_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.mbgnbd_fit(double precision, double precision, double precision) IS
'MBG/NBD: maximum likelihood over one row a customer. Rows with a NULL are left out and counted; an impossible history is an error (CR402). NULL over no row. '
'Source of the model: Batislam, Denizel and Filiztekin 2007, International Journal of Research in Marketing 24(3).';

CREATE AGGREGATE crm.mbgnbd_fit_weighted(x double precision, t_x double precision, age double precision, customers double precision) (
    SFUNC = crm.history_accumulate_weighted, STYPE = internal, FINALFUNC = crm.mbgnbd_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.mbgnbd_fit_weighted(double precision, double precision, double precision, double precision) IS
'crm.mbgnbd_fit where each row stands for a number of customers.';

CREATE TYPE crm.paretonbd_estimate AS (
    r double precision,
    alpha double precision,
    s double precision,
    beta double precision,
    se_r double precision,
    se_alpha double precision,
    se_s double precision,
    se_beta double precision,
    log_likelihood double precision,
    customers double precision,
    patterns bigint,
    left_out bigint,
    state text,
    advice text,
    iterations integer,
    evaluations integer,
    gradient_norm double precision,
    smallest_eigenvalue double precision,
    covariance double precision[],
    memory_bytes bigint
);
COMMENT ON TYPE crm.paretonbd_estimate IS
'Estimates, standard errors (NULL where the data determine none), and how the fit went: customers (sum of weights), patterns (distinct histories), left_out '
'(rows with a NULL, and for spend rows without purchase or spend), state (converged, no interior optimum, not converged, too few customers) with advice, '
'gradient_norm (largest derivative of the mean log-likelihood by a log parameter), smallest_eigenvalue of its curvature, covariance of the parameters row by '
'row, memory of the fit in bytes.';

CREATE FUNCTION crm.paretonbd_fit_final(internal) RETURNS crm.paretonbd_estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_paretonbd_fit_final';
COMMENT ON FUNCTION crm.paretonbd_fit_final(internal) IS 'Part of crm.paretonbd_fit.';

CREATE AGGREGATE crm.paretonbd_fit(x double precision, t_x double precision, age double precision) (
    SFUNC = crm.history_accumulate, STYPE = internal, FINALFUNC = crm.paretonbd_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.paretonbd_fit(double precision, double precision, double precision) IS
'Pareto/NBD: maximum likelihood over one row a customer. Rows with a NULL are left out and counted; an impossible history is an error (CR402). NULL over no '
'row. Source of the model: Schmittlein, Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE AGGREGATE crm.paretonbd_fit_weighted(x double precision, t_x double precision, age double precision, customers double precision) (
    SFUNC = crm.history_accumulate_weighted, STYPE = internal, FINALFUNC = crm.paretonbd_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.paretonbd_fit_weighted(double precision, double precision, double precision, double precision) IS
'crm.paretonbd_fit where each row stands for a number of customers.';

CREATE TYPE crm.nbd_estimate AS (
    r double precision,
    alpha double precision,
    se_r double precision,
    se_alpha double precision,
    log_likelihood double precision,
    customers double precision,
    patterns bigint,
    left_out bigint,
    state text,
    advice text,
    iterations integer,
    evaluations integer,
    gradient_norm double precision,
    smallest_eigenvalue double precision,
    covariance double precision[],
    memory_bytes bigint
);
COMMENT ON TYPE crm.nbd_estimate IS
'Estimates, standard errors (NULL where the data determine none), and how the fit went: customers (sum of weights), patterns (distinct histories), left_out '
'(rows with a NULL, and for spend rows without purchase or spend), state (converged, no interior optimum, not converged, too few customers) with advice, '
'gradient_norm (largest derivative of the mean log-likelihood by a log parameter), smallest_eigenvalue of its curvature, covariance of the parameters row by '
'row, memory of the fit in bytes.';

CREATE FUNCTION crm.nbd_fit_final(internal) RETURNS crm.nbd_estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_nbd_fit_final';
COMMENT ON FUNCTION crm.nbd_fit_final(internal) IS 'Part of crm.nbd_fit.';

CREATE AGGREGATE crm.nbd_fit(x double precision, t_x double precision, age double precision) (
    SFUNC = crm.history_accumulate, STYPE = internal, FINALFUNC = crm.nbd_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.nbd_fit(double precision, double precision, double precision) IS
'NBD: maximum likelihood over one row a customer. Rows with a NULL are left out and counted; an impossible history is an error (CR402). NULL over no row. '
'Source of the model: Ehrenberg 1959; purchases without dropout.';

CREATE AGGREGATE crm.nbd_fit_weighted(x double precision, t_x double precision, age double precision, customers double precision) (
    SFUNC = crm.history_accumulate_weighted, STYPE = internal, FINALFUNC = crm.nbd_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.nbd_fit_weighted(double precision, double precision, double precision, double precision) IS
'crm.nbd_fit where each row stands for a number of customers.';

CREATE TYPE crm.bgbb_estimate AS (
    alpha double precision,
    beta double precision,
    gamma double precision,
    delta double precision,
    se_alpha double precision,
    se_beta double precision,
    se_gamma double precision,
    se_delta double precision,
    log_likelihood double precision,
    customers double precision,
    patterns bigint,
    left_out bigint,
    state text,
    advice text,
    iterations integer,
    evaluations integer,
    gradient_norm double precision,
    smallest_eigenvalue double precision,
    covariance double precision[],
    memory_bytes bigint
);
COMMENT ON TYPE crm.bgbb_estimate IS
'Estimates, standard errors (NULL where the data determine none), and how the fit went: customers (sum of weights), patterns (distinct histories), left_out '
'(rows with a NULL, and for spend rows without purchase or spend), state (converged, no interior optimum, not converged, too few customers) with advice, '
'gradient_norm (largest derivative of the mean log-likelihood by a log parameter), smallest_eigenvalue of its curvature, covariance of the parameters row by '
'row, memory of the fit in bytes.';

CREATE FUNCTION crm.bgbb_fit_final(internal) RETURNS crm.bgbb_estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_bgbb_fit_final';
COMMENT ON FUNCTION crm.bgbb_fit_final(internal) IS 'Part of crm.bgbb_fit.';

CREATE AGGREGATE crm.bgbb_fit(x double precision, t_x double precision, n double precision) (
    SFUNC = crm.opportunity_accumulate, STYPE = internal, FINALFUNC = crm.bgbb_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.bgbb_fit(double precision, double precision, double precision) IS
'BG/BB: maximum likelihood over purchases, the last opportunity with one, and opportunities of each customer. Rows with a NULL are left out and counted; an '
'impossible history is an error (CR402). NULL over no row. Source of the model: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE AGGREGATE crm.bgbb_fit_weighted(x double precision, t_x double precision, n double precision, customers double precision) (
    SFUNC = crm.opportunity_accumulate_weighted, STYPE = internal, FINALFUNC = crm.bgbb_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.bgbb_fit_weighted(double precision, double precision, double precision, double precision) IS
'crm.bgbb_fit where each row stands for a number of customers.';

CREATE TYPE crm.gamma_gamma_estimate AS (
    p double precision,
    q double precision,
    gamma double precision,
    se_p double precision,
    se_q double precision,
    se_gamma double precision,
    log_likelihood double precision,
    customers double precision,
    patterns bigint,
    left_out bigint,
    state text,
    advice text,
    iterations integer,
    evaluations integer,
    gradient_norm double precision,
    smallest_eigenvalue double precision,
    covariance double precision[],
    memory_bytes bigint
);
COMMENT ON TYPE crm.gamma_gamma_estimate IS
'Estimates, standard errors (NULL where the data determine none), and how the fit went: customers (sum of weights), patterns (distinct histories), left_out '
'(rows with a NULL, and for spend rows without purchase or spend), state (converged, no interior optimum, not converged, too few customers) with advice, '
'gradient_norm (largest derivative of the mean log-likelihood by a log parameter), smallest_eigenvalue of its curvature, covariance of the parameters row by '
'row, memory of the fit in bytes.';

CREATE FUNCTION crm.gamma_gamma_fit_final(internal) RETURNS crm.gamma_gamma_estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_gamma_gamma_fit_final';
COMMENT ON FUNCTION crm.gamma_gamma_fit_final(internal) IS 'Part of crm.gamma_gamma_fit.';

CREATE AGGREGATE crm.gamma_gamma_fit(x double precision, mean_spend double precision) (
    SFUNC = crm.spend_accumulate, STYPE = internal, FINALFUNC = crm.gamma_gamma_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.gamma_gamma_fit(double precision, double precision) IS
'Gamma-Gamma: maximum likelihood over the mean spend per purchase of each customer; rows without purchase, or whose spend is not above zero, are left out and '
'counted. Rows with a NULL are left out and counted; an impossible history is an error (CR402). NULL over no row. Source of the model: Fader, Hardie and Lee '
'2005, Journal of Marketing Research 42(4).';

CREATE AGGREGATE crm.gamma_gamma_fit_weighted(x double precision, mean_spend double precision, customers double precision) (
    SFUNC = crm.spend_accumulate_weighted, STYPE = internal, FINALFUNC = crm.gamma_gamma_fit_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.gamma_gamma_fit_weighted(double precision, double precision, double precision) IS
'crm.gamma_gamma_fit where each row stands for a number of customers.';

CREATE TYPE crm.bgnbd_covariate_estimate AS (
    r double precision,
    alpha double precision,
    a double precision,
    b double precision,
    se_r double precision,
    se_alpha double precision,
    se_a double precision,
    se_b double precision,
    dropout_effects double precision[],
    purchase_effects double precision[],
    se_dropout_effects double precision[],
    se_purchase_effects double precision[],
    log_likelihood double precision,
    customers double precision,
    patterns bigint,
    left_out bigint,
    state text,
    advice text,
    iterations integer,
    evaluations integer,
    gradient_norm double precision,
    smallest_eigenvalue double precision,
    covariance double precision[],
    memory_bytes bigint
);
COMMENT ON TYPE crm.bgnbd_covariate_estimate IS
'Estimates, standard errors (NULL where the data determine none), and how the fit went: customers (sum of weights), patterns (distinct histories), left_out '
'(rows with a NULL, and for spend rows without purchase or spend), state (converged, no interior optimum, not converged, too few customers) with advice, '
'gradient_norm (largest derivative of the mean log-likelihood by a log parameter), smallest_eigenvalue of its curvature, covariance of the parameters row by '
'row, memory of the fit in bytes.';

CREATE FUNCTION crm.bgnbd_fit_covariates_final(internal) RETURNS crm.bgnbd_covariate_estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_bgnbd_fit_covariates_final';
COMMENT ON FUNCTION crm.bgnbd_fit_covariates_final(internal) IS 'Part of crm.bgnbd_fit_covariates.';

CREATE AGGREGATE crm.bgnbd_fit_covariates(x double precision, t_x double precision, age double precision, dropout_covariates double precision[],
    purchase_covariates double precision[]) (
    SFUNC = crm.covariate_accumulate, STYPE = internal, FINALFUNC = crm.bgnbd_fit_covariates_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.bgnbd_fit_covariates(double precision, double precision, double precision, double precision[], double precision[]) IS
'BG/NBD with covariates that do not change over time: a customer has alpha times exp(-effect * covariate) for purchasing and a and b times exp(effect * '
'covariate) for dropout. Arrays of the same length in every row; an empty array for none. Rows with a NULL are left out.';

CREATE TYPE crm.paretonbd_covariate_estimate AS (
    r double precision,
    alpha double precision,
    s double precision,
    beta double precision,
    se_r double precision,
    se_alpha double precision,
    se_s double precision,
    se_beta double precision,
    dropout_effects double precision[],
    purchase_effects double precision[],
    se_dropout_effects double precision[],
    se_purchase_effects double precision[],
    log_likelihood double precision,
    customers double precision,
    patterns bigint,
    left_out bigint,
    state text,
    advice text,
    iterations integer,
    evaluations integer,
    gradient_norm double precision,
    smallest_eigenvalue double precision,
    covariance double precision[],
    memory_bytes bigint
);
COMMENT ON TYPE crm.paretonbd_covariate_estimate IS
'Estimates, standard errors (NULL where the data determine none), and how the fit went: customers (sum of weights), patterns (distinct histories), left_out '
'(rows with a NULL, and for spend rows without purchase or spend), state (converged, no interior optimum, not converged, too few customers) with advice, '
'gradient_norm (largest derivative of the mean log-likelihood by a log parameter), smallest_eigenvalue of its curvature, covariance of the parameters row by '
'row, memory of the fit in bytes.';

CREATE FUNCTION crm.paretonbd_fit_covariates_final(internal) RETURNS crm.paretonbd_covariate_estimate
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'crm_paretonbd_fit_covariates_final';
COMMENT ON FUNCTION crm.paretonbd_fit_covariates_final(internal) IS 'Part of crm.paretonbd_fit_covariates.';

CREATE AGGREGATE crm.paretonbd_fit_covariates(x double precision, t_x double precision, age double precision, dropout_covariates double precision[],
    purchase_covariates double precision[]) (
    SFUNC = crm.covariate_accumulate, STYPE = internal, FINALFUNC = crm.paretonbd_fit_covariates_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.paretonbd_fit_covariates(double precision, double precision, double precision, double precision[], double precision[]) IS
'Pareto/NBD with covariates that do not change over time: a customer has alpha times exp(-effect * covariate) for purchasing and beta times exp(-effect * '
'covariate) for dropout. Arrays of the same length in every row; an empty array for none. Rows with a NULL are left out.';
