-- When P(alive) falls to a threshold if no purchase comes: the day a customer leaves, as the purchase models see it.
CREATE FUNCTION crm.bgnbd_silent_time_to_p_alive(
    r double precision, alpha double precision, a double precision, b double precision,
    x double precision, t_x double precision, age double precision, threshold double precision)
RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgnbd_silent_time_to_p_alive';
COMMENT ON FUNCTION crm.bgnbd_silent_time_to_p_alive(
    double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/NBD: smallest time from age on until P(alive), computed then for a customer who has bought nothing since, is at most the threshold;'
    ' 0 where it is already, NULL where it never is (by this model nobody leaves before the first repeat purchase).'
    ' Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.mbgnbd_silent_time_to_p_alive(
    r double precision, alpha double precision, a double precision, b double precision,
    x double precision, t_x double precision, age double precision, threshold double precision)
RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_mbgnbd_silent_time_to_p_alive';
COMMENT ON FUNCTION crm.mbgnbd_silent_time_to_p_alive(
    double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Modified BG/NBD: smallest time from age on until P(alive), computed then for a customer who has bought nothing since, is at most the threshold;'
    ' 0 where it is already, NULL where it never is.'
    ' Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.paretonbd_silent_time_to_p_alive(
    r double precision, alpha double precision, s double precision, beta double precision,
    x double precision, t_x double precision, age double precision, threshold double precision)
RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_paretonbd_silent_time_to_p_alive';
COMMENT ON FUNCTION crm.paretonbd_silent_time_to_p_alive(
    double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'Pareto/NBD: smallest time from age on until P(alive), computed then for a customer who has bought nothing since, is at most the threshold;'
    ' 0 where it is already, NULL where it never is.'
    ' Error CR402 for parameters not above zero or a history that cannot be.';

CREATE FUNCTION crm.bgbb_silent_time_to_p_alive(
    alpha double precision, beta double precision, gamma double precision, delta double precision,
    x double precision, t_x double precision, n double precision, threshold double precision)
RETURNS double precision
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE COST 20
AS 'MODULE_PATHNAME', 'crm_bgbb_silent_time_to_p_alive';
COMMENT ON FUNCTION crm.bgbb_silent_time_to_p_alive(
    double precision, double precision, double precision, double precision, double precision, double precision, double precision, double precision) IS
'BG/BB: smallest number of opportunities that pass without a purchase until bgbb_p_alive() of them is at most the threshold;'
    ' 0 where it is already, NULL where it never is.'
    ' Error CR402 for parameters not above zero or a history that cannot be.';
