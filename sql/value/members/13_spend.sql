-- Spend per purchase (Gamma-Gamma), and value without a model.

-- Gamma-Gamma: spend per purchase

CREATE FUNCTION crm.gamma_gamma_log_likelihood(p double precision, q double precision, gamma double precision, x double precision,
    mean_spend double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_gamma_gamma_log_likelihood';
COMMENT ON FUNCTION crm.gamma_gamma_log_likelihood(double precision, double precision, double precision, double precision, double precision) IS
'Gamma-Gamma: log-density of the mean spend over x purchases; 0 for x = 0, NULL for a mean of 0, which the model excludes. Source: Fader, Hardie and Lee '
'2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.gamma_gamma_expected_spend(p double precision, q double precision, gamma double precision, x double precision,
    mean_spend double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_gamma_gamma_expected_spend';
COMMENT ON FUNCTION crm.gamma_gamma_expected_spend(double precision, double precision, double precision, double precision, double precision) IS
'Gamma-Gamma: mean spend per purchase expected of a customer with a mean of mean_spend over x purchases; for x = 0 the mean of the population. NULL where it '
'is infinite (p x + q <= 1). Source: Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

-- Value without a model

CREATE FUNCTION crm.contractual_clv(margin double precision, retention double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_contractual_clv';
COMMENT ON FUNCTION crm.contractual_clv(double precision, double precision, double precision) IS
'Value of a customer under contract: margin at the end of each period while retained, margin * retention / (1 + discount - retention); retention and discount '
'per period. Error CR402 for retention 1 without a discount. Source: Gupta and Lehmann 2003, Journal of Interactive Marketing 17(1).';

CREATE FUNCTION crm.covariate_factor(effects double precision[], covariates double precision[]) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_covariate_factor';
COMMENT ON FUNCTION crm.covariate_factor(double precision[], double precision[]) IS
'exp(sum of effect times covariate). A fit with covariates gives a customer alpha / factor of the purchase effects; for Pareto/NBD beta / factor of the '
'dropout effects, for BG/NBD a and b times it.';
