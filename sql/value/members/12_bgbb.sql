-- The purchase model of discrete opportunities, for one customer: BG/BB.

-- BG/BB

CREATE FUNCTION crm.bgbb_log_likelihood(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision,
    t_x double precision, n double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_log_likelihood_sql';
COMMENT ON FUNCTION crm.bgbb_log_likelihood IS
'BG/BB: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, '
'Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_p_alive(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision,
    t_x double precision, n double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_p_alive_sql';
COMMENT ON FUNCTION crm.bgbb_p_alive IS
'BG/BB: P(alive at opportunity n + 1) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, Hardie and '
'Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_expected_purchases(alpha double precision, beta double precision, gamma double precision, delta double precision,
    x double precision, t_x double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_expected_purchases';
COMMENT ON FUNCTION crm.bgbb_expected_purchases IS
'BG/BB: purchases expected in n+1 .. n+horizon given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, '
'Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_expected_new(alpha double precision, beta double precision, gamma double precision, delta double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_expected_new';
COMMENT ON FUNCTION crm.bgbb_expected_new(double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: purchases expected of a new customer at the first horizon opportunities. Source: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_survival(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision,
    t_x double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_survival';
COMMENT ON FUNCTION crm.bgbb_survival IS
'BG/BB: P(alive at opportunity n + horizon) given the history; with horizon 1 it is bgbb_p_alive. Error CR402 for parameters not above zero or a history that '
'cannot be. Source: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_time_to_p_alive(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision,
    t_x double precision, n double precision, threshold double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_time_to_p_alive';
COMMENT ON FUNCTION crm.bgbb_time_to_p_alive IS
'BG/BB: smallest number of opportunities from n on after which the chance of being alive then, judged by the history up to n, is at most the threshold; 0 '
'where it is already, NULL where it never is. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgbb_p_any_purchase(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision,
    t_x double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_p_any_purchase';
COMMENT ON FUNCTION crm.bgbb_p_any_purchase IS
'BG/BB: P(at least one purchase in n+1 .. n+horizon) given the history. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgbb_pmf(alpha double precision, beta double precision, gamma double precision, delta double precision, n double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_pmf_sql';
COMMENT ON FUNCTION crm.bgbb_pmf(double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: P(a new customer makes exactly n purchases within the horizon). Source: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_dert(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision,
    t_x double precision, n double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_dert_sql';
COMMENT ON FUNCTION crm.bgbb_dert IS
'BG/BB: discounted expected residual purchases, rate per opportunity, discounted to n. Without a discount finite only for gamma > 1, else an error (CR402). '
'Source: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_clv(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision,
    t_x double precision, n double precision, spend double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_clv';
COMMENT ON FUNCTION crm.bgbb_clv IS
'BG/BB: lifetime value of the future, spend (or margin) per purchase times discounted expected residual purchases; discount: rate per opportunity, discounted '
'to n.';
