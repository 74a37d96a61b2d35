-- Purchase models that end at any time, or never, for one customer: Pareto/NBD and NBD.
-- x counts repeat purchases, t_x is the time of the last one and age the time observed, both from the
-- first purchase and in one unit, which is also that of horizons and discount rates.

-- Pareto/NBD

CREATE FUNCTION crm.paretonbd_log_likelihood(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_log_likelihood';
COMMENT ON FUNCTION crm.paretonbd_log_likelihood IS
'Pareto/NBD: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: '
'Schmittlein, Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_p_alive(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_p_alive';
COMMENT ON FUNCTION crm.paretonbd_p_alive IS
'Pareto/NBD: P(alive at age) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Schmittlein, Morrison and '
'Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_expected_purchases(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_expected_purchases';
COMMENT ON FUNCTION crm.paretonbd_expected_purchases IS
'Pareto/NBD: purchases expected in (age, age + horizon] given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: '
'Schmittlein, Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_expected_new(r double precision, alpha double precision, s double precision, beta double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_expected_new';
COMMENT ON FUNCTION crm.paretonbd_expected_new(double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: repeat purchases expected of a new customer within the horizon (time from the first purchase). Source: Schmittlein, Morrison and Colombo 1987, '
'Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_survival(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_survival';
COMMENT ON FUNCTION crm.paretonbd_survival IS
'Pareto/NBD: P(alive at age + horizon) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Schmittlein, '
'Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_time_to_p_alive(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision, threshold double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_time_to_p_alive';
COMMENT ON FUNCTION crm.paretonbd_time_to_p_alive IS
'Pareto/NBD: smallest time from age on after which the chance of being alive then, judged by the history up to age (purchases may come in between), is at '
'most the threshold; 0 where it is already, NULL where it never is. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.paretonbd_p_any_purchase(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_p_any_purchase';
COMMENT ON FUNCTION crm.paretonbd_p_any_purchase IS
'Pareto/NBD: P(at least one purchase in (age, age + horizon]) given the history. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.paretonbd_pmf(r double precision, alpha double precision, s double precision, beta double precision, n double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_pmf';
COMMENT ON FUNCTION crm.paretonbd_pmf(double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: P(a new customer makes exactly n repeat purchases within the horizon). Source: Schmittlein, Morrison and Colombo 1987, Management Science 33(1); '
'Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_dert(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_dert';
COMMENT ON FUNCTION crm.paretonbd_dert IS
'Pareto/NBD: discounted expected residual purchases, continuous rate per unit of time. Without a discount finite only for s > 1, else an error (CR402). '
'Source: Schmittlein, Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_clv(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision, spend double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_clv';
COMMENT ON FUNCTION crm.paretonbd_clv IS
'Pareto/NBD: lifetime value of the future, spend (or margin) per purchase times discounted expected residual purchases; discount: continuous rate per unit of '
'time.';

CREATE FUNCTION crm.paretonbd_clv_by_period(r double precision, alpha double precision, s double precision, beta double precision, x double precision,
    t_x double precision, age double precision, spend double precision, periods integer, step double precision,
    rate double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_clv_by_period';
COMMENT ON FUNCTION crm.paretonbd_clv_by_period IS
'Pareto/NBD: value over a number of periods of length step: the sum of spend times the purchases expected in period i, discounted by (1 + rate)^-i. The rate '
'is per period.';

-- NBD

CREATE FUNCTION crm.nbd_log_likelihood(r double precision, alpha double precision, x double precision, t_x double precision,
    age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_nbd_log_likelihood_sql';
COMMENT ON FUNCTION crm.nbd_log_likelihood(double precision, double precision, double precision, double precision, double precision) IS
'NBD: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: Ehrenberg '
'1959; purchases without dropout.';

CREATE FUNCTION crm.nbd_expected_purchases(r double precision, alpha double precision, x double precision, t_x double precision, age double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_nbd_expected_purchases';
COMMENT ON FUNCTION crm.nbd_expected_purchases(double precision, double precision, double precision, double precision, double precision, double precision) IS
'NBD: purchases expected in (age, age + horizon] given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Ehrenberg '
'1959; purchases without dropout.';

CREATE FUNCTION crm.nbd_pmf(r double precision, alpha double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_nbd_pmf_sql';
COMMENT ON FUNCTION crm.nbd_pmf(double precision, double precision, double precision, double precision) IS
'NBD: P(a new customer makes exactly n repeat purchases within the horizon). Source: Ehrenberg 1959; purchases without dropout.';
