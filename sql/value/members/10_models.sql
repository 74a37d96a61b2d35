-- Purchase and spend models on any table: points for one customer, fits as aggregates.
-- x counts repeat purchases, t_x is the time of the last one and age the time observed, both from the
-- first purchase and in one unit, which is also that of horizons and discount rates.

-- BG/NBD

CREATE FUNCTION crm.bgnbd_log_likelihood(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_log_likelihood';
COMMENT ON FUNCTION crm.bgnbd_log_likelihood(double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, '
'Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_p_alive(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_p_alive';
COMMENT ON FUNCTION crm.bgnbd_p_alive(double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: P(alive at age) given the history; 1 for every customer without a repeat purchase, by the model. Error CR402 for parameters not above zero or a '
'history that cannot be. Source: Fader, Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_expected_purchases(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_expected_purchases';
COMMENT ON FUNCTION crm.bgnbd_expected_purchases(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: purchases expected in (age, age + horizon] given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, '
'Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_expected_new(r double precision, alpha double precision, a double precision, b double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_expected_new';
COMMENT ON FUNCTION crm.bgnbd_expected_new(double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: repeat purchases expected of a new customer within the horizon (time from the first purchase). Source: Fader, Hardie and Lee 2005, Marketing Science '
'24(2).';

CREATE FUNCTION crm.bgnbd_survival(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_survival';
COMMENT ON FUNCTION crm.bgnbd_survival(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: P(alive at age + horizon) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, Hardie and Lee '
'2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_time_to_p_alive(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, threshold double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_time_to_p_alive';
COMMENT ON FUNCTION crm.bgnbd_time_to_p_alive(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: smallest time from age on after which the chance of being alive then, judged by the history up to age (purchases may come in between), is at most '
'the threshold; 0 where it is already, NULL where it never is. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgnbd_p_any_purchase(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_p_any_purchase';
COMMENT ON FUNCTION crm.bgnbd_p_any_purchase(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: P(at least one purchase in (age, age + horizon]) given the history. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgnbd_pmf(r double precision, alpha double precision, a double precision, b double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_pmf';
COMMENT ON FUNCTION crm.bgnbd_pmf(double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: P(a new customer makes exactly n repeat purchases within the horizon). Source: Fader, Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_dert(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_dert';
COMMENT ON FUNCTION crm.bgnbd_dert(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: discounted expected residual purchases, continuous rate per unit of time. Without a discount finite only for a > 1, else an error (CR402). No closed '
'form is known: a mean over the dropout probability. Source: Fader, Hardie and Lee 2005, Marketing Science 24(2).';

CREATE FUNCTION crm.bgnbd_clv(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, spend double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_clv';
COMMENT ON FUNCTION crm.bgnbd_clv(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: lifetime value of the future, spend (or margin) per purchase times discounted expected residual purchases; discount: continuous rate per unit of '
'time.';

CREATE FUNCTION crm.bgnbd_clv_by_period(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, spend double precision, periods integer, step double precision, rate double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_clv_by_period';
COMMENT ON FUNCTION crm.bgnbd_clv_by_period(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, integer, double precision, double precision) IS
'BG/NBD: value over a number of periods of length step: the sum of spend times the purchases expected in period i, discounted by (1 + rate)^-i. The rate is '
'per period.';

-- MBG/NBD

CREATE FUNCTION crm.mbgnbd_log_likelihood(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_log_likelihood';
COMMENT ON FUNCTION crm.mbgnbd_log_likelihood(double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: '
'Batislam, Denizel and Filiztekin 2007, International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_p_alive(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_p_alive';
COMMENT ON FUNCTION crm.mbgnbd_p_alive(double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: P(alive at age) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Batislam, Denizel and Filiztekin '
'2007, International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_expected_purchases(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_expected_purchases';
COMMENT ON FUNCTION crm.mbgnbd_expected_purchases(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: purchases expected in (age, age + horizon] given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: '
'Batislam, Denizel and Filiztekin 2007, International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_expected_new(r double precision, alpha double precision, a double precision, b double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_expected_new';
COMMENT ON FUNCTION crm.mbgnbd_expected_new(double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: repeat purchases expected of a new customer within the horizon (time from the first purchase). Source: Batislam, Denizel and Filiztekin 2007, '
'International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_survival(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_survival';
COMMENT ON FUNCTION crm.mbgnbd_survival(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: P(alive at age + horizon) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Batislam, Denizel and '
'Filiztekin 2007, International Journal of Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_time_to_p_alive(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, threshold double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_time_to_p_alive';
COMMENT ON FUNCTION crm.mbgnbd_time_to_p_alive(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: smallest time from age on after which the chance of being alive then, judged by the history up to age (purchases may come in between), is at most '
'the threshold; 0 where it is already, NULL where it never is. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.mbgnbd_p_any_purchase(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_p_any_purchase';
COMMENT ON FUNCTION crm.mbgnbd_p_any_purchase(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: P(at least one purchase in (age, age + horizon]) given the history. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.mbgnbd_pmf(r double precision, alpha double precision, a double precision, b double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_pmf';
COMMENT ON FUNCTION crm.mbgnbd_pmf(double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: P(a new customer makes exactly n repeat purchases within the horizon). Source: Batislam, Denizel and Filiztekin 2007, International Journal of '
'Research in Marketing 24(3).';

CREATE FUNCTION crm.mbgnbd_dert(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_dert';
COMMENT ON FUNCTION crm.mbgnbd_dert(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: discounted expected residual purchases, continuous rate per unit of time. Without a discount finite only for a > 1, else an error (CR402). No '
'closed form is known: a mean over the dropout probability. Source: Batislam, Denizel and Filiztekin 2007, International Journal of Research in Marketing '
'24(3).';

CREATE FUNCTION crm.mbgnbd_clv(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, spend double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_clv';
COMMENT ON FUNCTION crm.mbgnbd_clv(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'MBG/NBD: lifetime value of the future, spend (or margin) per purchase times discounted expected residual purchases; discount: continuous rate per unit of '
'time.';

CREATE FUNCTION crm.mbgnbd_clv_by_period(r double precision, alpha double precision, a double precision, b double precision, x double precision, t_x double precision, age double precision, spend double precision, periods integer, step double precision, rate double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_clv_by_period';
COMMENT ON FUNCTION crm.mbgnbd_clv_by_period(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, integer, double precision, double precision) IS
'MBG/NBD: value over a number of periods of length step: the sum of spend times the purchases expected in period i, discounted by (1 + rate)^-i. The rate is '
'per period.';

-- Pareto/NBD

CREATE FUNCTION crm.paretonbd_log_likelihood(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_log_likelihood';
COMMENT ON FUNCTION crm.paretonbd_log_likelihood(double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: '
'Schmittlein, Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_p_alive(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_p_alive';
COMMENT ON FUNCTION crm.paretonbd_p_alive(double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: P(alive at age) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Schmittlein, Morrison and '
'Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_expected_purchases(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_expected_purchases';
COMMENT ON FUNCTION crm.paretonbd_expected_purchases(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: purchases expected in (age, age + horizon] given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: '
'Schmittlein, Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_expected_new(r double precision, alpha double precision, s double precision, beta double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_expected_new';
COMMENT ON FUNCTION crm.paretonbd_expected_new(double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: repeat purchases expected of a new customer within the horizon (time from the first purchase). Source: Schmittlein, Morrison and Colombo 1987, '
'Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_survival(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_survival';
COMMENT ON FUNCTION crm.paretonbd_survival(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: P(alive at age + horizon) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Schmittlein, '
'Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_time_to_p_alive(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision, threshold double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_time_to_p_alive';
COMMENT ON FUNCTION crm.paretonbd_time_to_p_alive(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: smallest time from age on after which the chance of being alive then, judged by the history up to age (purchases may come in between), is at '
'most the threshold; 0 where it is already, NULL where it never is. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.paretonbd_p_any_purchase(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_p_any_purchase';
COMMENT ON FUNCTION crm.paretonbd_p_any_purchase(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: P(at least one purchase in (age, age + horizon]) given the history. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.paretonbd_pmf(r double precision, alpha double precision, s double precision, beta double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_pmf';
COMMENT ON FUNCTION crm.paretonbd_pmf(double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: P(a new customer makes exactly n repeat purchases within the horizon). Source: Schmittlein, Morrison and Colombo 1987, Management Science 33(1); '
'Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_dert(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_dert';
COMMENT ON FUNCTION crm.paretonbd_dert(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: discounted expected residual purchases, continuous rate per unit of time. Without a discount finite only for s > 1, else an error (CR402). '
'Source: Schmittlein, Morrison and Colombo 1987, Management Science 33(1); Fader, Hardie and Lee 2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.paretonbd_clv(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision, spend double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_clv';
COMMENT ON FUNCTION crm.paretonbd_clv(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: lifetime value of the future, spend (or margin) per purchase times discounted expected residual purchases; discount: continuous rate per unit of '
'time.';

CREATE FUNCTION crm.paretonbd_clv_by_period(r double precision, alpha double precision, s double precision, beta double precision, x double precision, t_x double precision, age double precision, spend double precision, periods integer, step double precision, rate double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_clv_by_period';
COMMENT ON FUNCTION crm.paretonbd_clv_by_period(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, integer, double precision, double precision) IS
'Pareto/NBD: value over a number of periods of length step: the sum of spend times the purchases expected in period i, discounted by (1 + rate)^-i. The rate '
'is per period.';

-- NBD

CREATE FUNCTION crm.nbd_log_likelihood(r double precision, alpha double precision, x double precision, t_x double precision, age double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_nbd_log_likelihood_sql';
COMMENT ON FUNCTION crm.nbd_log_likelihood(double precision, double precision, double precision, double precision, double precision) IS
'NBD: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: Ehrenberg '
'1959; purchases without dropout.';

CREATE FUNCTION crm.nbd_expected_purchases(r double precision, alpha double precision, x double precision, t_x double precision, age double precision, horizon double precision) RETURNS double precision
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

-- BG/BB

CREATE FUNCTION crm.bgbb_log_likelihood(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision, t_x double precision, n double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_log_likelihood_sql';
COMMENT ON FUNCTION crm.bgbb_log_likelihood(double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: log-likelihood of one customer''s history, nothing left out. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, '
'Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_p_alive(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision, t_x double precision, n double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_p_alive_sql';
COMMENT ON FUNCTION crm.bgbb_p_alive(double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: P(alive at opportunity n + 1) given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, Hardie and '
'Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_expected_purchases(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision, t_x double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_expected_purchases';
COMMENT ON FUNCTION crm.bgbb_expected_purchases(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: purchases expected in n+1 .. n+horizon given the history. Error CR402 for parameters not above zero or a history that cannot be. Source: Fader, '
'Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_expected_new(alpha double precision, beta double precision, gamma double precision, delta double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_expected_new';
COMMENT ON FUNCTION crm.bgbb_expected_new(double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: purchases expected of a new customer at the first horizon opportunities. Source: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_survival(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision, t_x double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_survival';
COMMENT ON FUNCTION crm.bgbb_survival(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: P(alive at opportunity n + horizon) given the history; with horizon 1 it is bgbb_p_alive. Error CR402 for parameters not above zero or a history that '
'cannot be. Source: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_time_to_p_alive(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision, t_x double precision, n double precision, threshold double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_time_to_p_alive';
COMMENT ON FUNCTION crm.bgbb_time_to_p_alive(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: smallest number of opportunities from n on after which the chance of being alive then, judged by the history up to n, is at most the threshold; 0 '
'where it is already, NULL where it never is. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgbb_p_any_purchase(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision, t_x double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_p_any_purchase';
COMMENT ON FUNCTION crm.bgbb_p_any_purchase(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: P(at least one purchase in n+1 .. n+horizon) given the history. Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgbb_pmf(alpha double precision, beta double precision, gamma double precision, delta double precision, n double precision, horizon double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_pmf_sql';
COMMENT ON FUNCTION crm.bgbb_pmf(double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: P(a new customer makes exactly n purchases within the horizon). Source: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_dert(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision, t_x double precision, n double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_dert_sql';
COMMENT ON FUNCTION crm.bgbb_dert(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: discounted expected residual purchases, rate per opportunity, discounted to n. Without a discount finite only for gamma > 1, else an error (CR402). '
'Source: Fader, Hardie and Shang 2010, Marketing Science 29(6).';

CREATE FUNCTION crm.bgbb_clv(alpha double precision, beta double precision, gamma double precision, delta double precision, x double precision, t_x double precision, n double precision, spend double precision, discount double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_clv';
COMMENT ON FUNCTION crm.bgbb_clv(double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: lifetime value of the future, spend (or margin) per purchase times discounted expected residual purchases; discount: rate per opportunity, discounted '
'to n.';

-- Gamma-Gamma: spend per purchase

CREATE FUNCTION crm.gamma_gamma_log_likelihood(p double precision, q double precision, gamma double precision, x double precision, mean_spend double precision) RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_gamma_gamma_log_likelihood';
COMMENT ON FUNCTION crm.gamma_gamma_log_likelihood(double precision, double precision, double precision, double precision, double precision) IS
'Gamma-Gamma: log-density of the mean spend over x purchases; 0 for x = 0, NULL for a mean of 0, which the model excludes. Source: Fader, Hardie and Lee '
'2005, Journal of Marketing Research 42(4).';

CREATE FUNCTION crm.gamma_gamma_expected_spend(p double precision, q double precision, gamma double precision, x double precision, mean_spend double precision) RETURNS double precision
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

-- Fits

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
CREATE FUNCTION crm.covariate_accumulate(internal, double precision, double precision, double precision, double precision[], double precision[]) RETURNS internal
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

CREATE AGGREGATE crm.bgnbd_fit_covariates(x double precision, t_x double precision, age double precision, dropout_covariates double precision[], purchase_covariates double precision[]) (
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

CREATE AGGREGATE crm.paretonbd_fit_covariates(x double precision, t_x double precision, age double precision, dropout_covariates double precision[], purchase_covariates double precision[]) (
    SFUNC = crm.covariate_accumulate, STYPE = internal, FINALFUNC = crm.paretonbd_fit_covariates_final,
    COMBINEFUNC = crm.patterns_combine, SERIALFUNC = crm.patterns_serialize, DESERIALFUNC = crm.patterns_deserialize,
    PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.paretonbd_fit_covariates(double precision, double precision, double precision, double precision[], double precision[]) IS
'Pareto/NBD with covariates that do not change over time: a customer has alpha times exp(-effect * covariate) for purchasing and beta times exp(-effect * '
'covariate) for dropout. Arrays of the same length in every row; an empty array for none. Rows with a NULL are left out.';
