-- Purchase models that end after a purchase, for one customer: BG/NBD and MBG/NBD.
-- x counts repeat purchases, t_x is the time of the last one and age the time observed, both from the
-- first purchase and in one unit, which is also that of horizons and discount rates.

-- BG/NBD

CREATE FUNCTION crm.bgnbd_log_likelihood(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_log_likelihood';
COMMENT ON FUNCTION crm.bgnbd_log_likelihood IS
'BG/NBD: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, '
'Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_p_alive(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_p_alive';
COMMENT ON FUNCTION crm.bgnbd_p_alive IS
'BG/NBD: P(alive at age) given the history; 1 for every customer without a repeat purchase, by the model. Error CR402 for parameters not above zero or a '
'history that cannot be. Source: Fader, Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_expected_purchases(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_expected_purchases';
COMMENT ON FUNCTION crm.bgnbd_expected_purchases IS
'BG/NBD: purchases expected in (age, age + horizon] given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, '
'Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_expected_new(r double precision, alpha double precision, a double precision, b double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_expected_new';
COMMENT ON FUNCTION crm.bgnbd_expected_new(double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: repeat purchases expected of a new customer within the horizon (time from the first purchase). Source: Fader, Hardie and Lee 2005, Marketing Science '
'24(2).';

CREATE FUNCTION crm.bgnbd_survival(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_survival';
COMMENT ON FUNCTION crm.bgnbd_survival IS
'BG/NBD: P(alive at age + horizon) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, Hardie and Lee '
'2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_time_to_p_alive(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, threshold double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_time_to_p_alive';
COMMENT ON FUNCTION crm.bgnbd_time_to_p_alive IS
'BG/NBD: smallest time from age on after which the chance of being alive then, judged by the history up to age (purchases may come in between), is at most '
'the threshold; 0 where it is already, NULL where it never is. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgnbd_p_any_purchase(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_p_any_purchase';
COMMENT ON FUNCTION crm.bgnbd_p_any_purchase IS
'BG/NBD: P(at least one purchase in (age, age + horizon]) given the history. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgnbd_pmf(r double precision, alpha double precision, a double precision, b double precision, n double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_pmf';
COMMENT ON FUNCTION crm.bgnbd_pmf(double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: P(a new customer makes exactly n repeat purchases within the horizon). Source: Fader, Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_dert(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision,
    age double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_dert';
COMMENT ON FUNCTION crm.bgnbd_dert IS
'BG/NBD: discounted expected residual purchases, continuous rate per unit of time. Without a discount finite only for a > 1, else an error (CR402). No closed '
'form is known: a mean over the dropout probability. Source: Fader, Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_clv(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision,
    age double precision, spend double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_clv';
COMMENT ON FUNCTION crm.bgnbd_clv IS
'BG/NBD: lifetime value of the future, spend (or margin) per purchase times discounted expected residual purchases; discount: continuous rate per unit of '
'time.';

CREATE FUNCTION crm.bgnbd_clv_by_period(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, spend double precision, periods integer, step double precision,
    rate double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_clv_by_period';
COMMENT ON FUNCTION crm.bgnbd_clv_by_period IS
'BG/NBD: value over a number of periods of length step: the sum of spend times the purchases expected in period i, discounted by (1 + rate)^-i. The rate is '
'per period.';

-- MBG/NBD

CREATE FUNCTION crm.mbgnbd_log_likelihood(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_log_likelihood';
COMMENT ON FUNCTION crm.mbgnbd_log_likelihood IS
'MBG/NBD: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: '
'Batislam, Denizel and Filiztekin 2007, International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_p_alive(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_p_alive';
COMMENT ON FUNCTION crm.mbgnbd_p_alive IS
'MBG/NBD: P(alive at age) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Batislam, Denizel and Filiztekin '
'2007, International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_expected_purchases(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_expected_purchases';
COMMENT ON FUNCTION crm.mbgnbd_expected_purchases IS
'MBG/NBD: purchases expected in (age, age + horizon] given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: '
'Batislam, Denizel and Filiztekin 2007, International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_expected_new(r double precision, alpha double precision, a double precision, b double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_expected_new';
COMMENT ON FUNCTION crm.mbgnbd_expected_new(double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: repeat purchases expected of a new customer within the horizon (time from the first purchase). Source: Batislam, Denizel and Filiztekin 2007, '
'International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_survival(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_survival';
COMMENT ON FUNCTION crm.mbgnbd_survival IS
'MBG/NBD: P(alive at age + horizon) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Batislam, Denizel and '
'Filiztekin 2007, International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_time_to_p_alive(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, threshold double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_time_to_p_alive';
COMMENT ON FUNCTION crm.mbgnbd_time_to_p_alive IS
'MBG/NBD: smallest time from age on after which the chance of being alive then, judged by the history up to age (purchases may come in between), is at most '
'the threshold; 0 where it is already, NULL where it never is. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.mbgnbd_p_any_purchase(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_p_any_purchase';
COMMENT ON FUNCTION crm.mbgnbd_p_any_purchase IS
'MBG/NBD: P(at least one purchase in (age, age + horizon]) given the history. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.mbgnbd_pmf(r double precision, alpha double precision, a double precision, b double precision, n double precision,
    horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_pmf';
COMMENT ON FUNCTION crm.mbgnbd_pmf(double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: P(a new customer makes exactly n repeat purchases within the horizon). Source: Batislam, Denizel and Filiztekin 2007, International Journal of '
'Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_dert(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_dert';
COMMENT ON FUNCTION crm.mbgnbd_dert IS
'MBG/NBD: discounted expected residual purchases, continuous rate per unit of time. Without a discount finite only for a > 1, else an error (CR402). No '
'closed form is known: a mean over the dropout probability. Source: Batislam, Denizel and Filiztekin 2007, International Journal of Research in Marketing '
'24(3).';

CREATE FUNCTION crm.mbgnbd_clv(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision,
    age double precision, spend double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_clv';
COMMENT ON FUNCTION crm.mbgnbd_clv IS
'MBG/NBD: lifetime value of the future, spend (or margin) per purchase times discounted expected residual purchases; discount: continuous rate per unit of '
'time.';

CREATE FUNCTION crm.mbgnbd_clv_by_period(r double precision, alpha double precision, a double precision, b double precision, x double precision,
    t_x double precision, age double precision, spend double precision, periods integer, step double precision,
    rate double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_clv_by_period';
COMMENT ON FUNCTION crm.mbgnbd_clv_by_period IS
'MBG/NBD: value over a number of periods of length step: the sum of spend times the purchases expected in period i, discounted by (1 + rate)^-i. The rate is '
'per period.';
