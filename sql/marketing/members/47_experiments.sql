-- Experiments: differences between groups that were drawn at random. On any counts and values.

CREATE TYPE crm.difference AS (
    difference double precision,
    low double precision,
    high double precision
);
COMMENT ON TYPE crm.difference IS 'Result of crm.proportion_difference and crm.mean_difference: the difference, and the ends of its interval.';

CREATE FUNCTION crm.proportion_difference(hits bigint, trials bigint, other_hits bigint, other_trials bigint, level double precision DEFAULT 0.95)
RETURNS crm.difference LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_proportion_difference';
COMMENT ON FUNCTION crm.proportion_difference(bigint, bigint, bigint, bigint, double precision) IS
'The difference of two shares, hits / trials less other_hits / other_trials, with its interval (Newcombe 1998, method 10: from the two intervals of Wilson, '
'without continuity correction). For one look at the end; for looking again and again there is crm.sequential_proportions. NULL where a group is empty. Error '
'CR402 where there are more hits than trials, or a level is none.';

CREATE FUNCTION crm.mean_difference(a double precision[], b double precision[], level double precision DEFAULT 0.95, resamples integer DEFAULT 2000,
    seed bigint DEFAULT 1)
RETURNS crm.difference LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_mean_difference';
COMMENT ON FUNCTION crm.mean_difference(double precision[], double precision[], double precision, integer, bigint) IS
'The difference of two means, with the percentile interval of a bootstrap (Efron 1979), for values of which most are 0 and a few large. The same seed gives '
'the same answer; of groups so large that it would take more than 200 million draws fewer resamples are taken. NULL where a group is empty. Error CR402 for '
'a value that is NULL, not finite or beyond 1e100, a level that is none, or resamples not from 100 to 100000.';

CREATE TYPE crm.sequential_test AS (
    difference double precision,
    low double precision,
    high double precision,
    p_value double precision
);
COMMENT ON TYPE crm.sequential_test IS
'Result of crm.sequential_proportions: the difference, the ends of its interval, and a p value; both hold at all times together, however often one looks.';

CREATE FUNCTION crm.sequential_proportions(hits bigint, trials bigint, control_hits bigint, control_trials bigint, tau double precision DEFAULT 0.03,
    level double precision DEFAULT 0.95)
RETURNS crm.sequential_test LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sequential_proportions';
COMMENT ON FUNCTION crm.sequential_proportions(bigint, bigint, bigint, bigint, double precision, double precision) IS
'The difference of two shares while an experiment runs: it may be looked at as often as one likes and stopped when one likes, and the chance of a false '
'alarm stays below 1 - level. Mixture sequential probability ratio test with normal mixing of deviation tau around no difference (Robbins 1970; Johari, '
'Koomen, Pekelis, Walsh, "Peeking at A/B tests", KDD 2017); variances with half a hit and half a miss added. tau: the size of difference that is looked for. '
'NULL where a group is empty. Error CR402 as crm.proportion_difference, and for a tau that is not above 0 and at most 1.';

CREATE FUNCTION crm.allocation_p(counts double precision[], weights double precision[])
RETURNS double precision LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_allocation_p';
COMMENT ON FUNCTION crm.allocation_p(double precision[], double precision[]) IS
'Whether groups were drawn as they should have been: a p value of counts against weights that holds however often one looks (Lindon, Malek, "Anytime-valid '
'inference for multinomial count data", 2022, with a flat Dirichlet prior). Small (below 0.001): the draw or what is counted is broken, and differences '
'between the groups mean nothing. NULL for fewer than two groups. Errors: CR402 for a count below 0 or a weight not above 0, 2202E where they differ in '
'number.';
