-- Attribution: what the channels of journeys are credited with. On any table of journeys or touches.

CREATE TYPE crm.attribution_credit AS (
    channels text[],
    conversions double precision[],
    amounts double precision[],
    journeys bigint,
    left_out bigint,
    unattributed_conversions double precision,
    unattributed_amount double precision
);
COMMENT ON TYPE crm.attribution_credit IS
'Result of crm.attribution and crm.shapley_attribution. channels: in the order of their names (bytes). conversions, amounts: credit of each, in the same '
'order; unnest(channels, conversions, amounts) makes rows of them. journeys: counted, with a touch. left_out: without a touch, or with a null. '
'unattributed_...: of journeys without a touch, or without one in the window. Credits and unattributed add up to all conversions and amounts.';

CREATE FUNCTION crm.touch_weights(
    model text, channels text[], touched_at timestamptz[] DEFAULT NULL, converted_at timestamptz DEFAULT NULL, options jsonb DEFAULT NULL)
RETURNS double precision[] LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_touch_weights';
COMMENT ON FUNCTION crm.touch_weights(text, text[], timestamptz[], timestamptz, jsonb) IS
'The share of each touch in the credit of one journey, in the order of channels: they sum to 1, or are all 0 where no touch lies in the window. model: '
'first, last, last_non_direct, linear, position (first and last 0.4 each, the others the rest; of two touches half each), w_shaped (first, last and the '
'touch that made the lead 0.3 each), time_decay (half the weight each half_life), shapley (every distinct channel the same). touched_at: ascending; '
'converted_at: NULL for the last touch. options: half_life (7) and window (none) in days, in touches where there are no instants; first_share, last_share, '
'key_share; key_touch, the place from 1 of the touch that made the lead; same_instant: "order" or "share", which gives touches of one instant the same; '
'direct: name of the channel that last_non_direct passes over ("direct"). NULL where model or channels is. Errors: 22023 for an unknown model or option, '
'2202E where channels and instants differ in number.';

CREATE FUNCTION crm.split_amount(amount numeric, weights double precision[], decimals integer DEFAULT 2)
RETURNS numeric[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    total CONSTANT numeric := (SELECT sum(w::numeric) FROM unnest(weights) AS w);
    so_far numeric := 0;
    given numeric := 0;
    upto numeric;
    parts numeric[] := '{}';
BEGIN
    IF EXISTS (SELECT FROM unnest(weights) AS w WHERE w IS NULL OR NOT w BETWEEN 0 AND 1e100) OR amount::text IN ('NaN', 'Infinity', '-Infinity') THEN
        RAISE EXCEPTION 'an amount is split by finite weights from 0 on, without nulls' USING ERRCODE = 'CR402',
            HINT = 'Take the weights of crm.touch_weights().';
    END IF;
    FOR i IN 1 .. cardinality(weights) LOOP
        so_far := so_far + weights[i]::numeric;
        upto := CASE WHEN total = 0 THEN 0 WHEN i = cardinality(weights) THEN amount ELSE round(amount * (so_far / total), decimals) END;
        parts := parts || (upto - given);
        given := upto;
    END LOOP;
    RETURN parts;
END
$$;
COMMENT ON FUNCTION crm.split_amount(numeric, double precision[], integer) IS
'An amount of money split by weights into parts with so many decimals that add up to it exactly; what rounding leaves goes to the part it falls into. All '
'parts are 0 where the weights are. Errors: CR402 for a weight or amount that is not finite.';

CREATE FUNCTION crm.attribution_accum(internal, text, text[], timestamptz[], timestamptz, double precision, double precision, jsonb)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_attribution_accum';
COMMENT ON FUNCTION crm.attribution_accum(internal, text, text[], timestamptz[], timestamptz, double precision, double precision, jsonb) IS
'Transition function of crm.attribution.';
CREATE FUNCTION crm.attribution_final(internal) RETURNS crm.attribution_credit
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_attribution_final';
COMMENT ON FUNCTION crm.attribution_final(internal) IS 'Final function of crm.attribution and crm.shapley_attribution.';

CREATE AGGREGATE crm.attribution(model text, channels text[], touched_at timestamptz[], converted_at timestamptz,
                                 conversions double precision, amount double precision, options jsonb) (
    SFUNC = crm.attribution_accum, STYPE = internal, SSPACE = 100000,
    FINALFUNC = crm.attribution_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.attribution(text, text[], timestamptz[], timestamptz, double precision, double precision, jsonb) IS
'Credit of channels by a rule: the sum of crm.touch_weights over journeys. conversions: how many the journey stands for, 0 for one that was lost; amount: '
'what they brought together, NULL for nothing. touched_at, converted_at and options may be NULL. model and options are the same in every row, but for '
'key_touch. A row whose channels or conversions are NULL is left out.';

CREATE FUNCTION crm.shapley_accum(internal, text[], double precision, double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_shapley_accum';
COMMENT ON FUNCTION crm.shapley_accum(internal, text[], double precision, double precision) IS 'Transition function of crm.shapley_attribution.';
CREATE AGGREGATE crm.shapley_attribution(channels text[], conversions double precision, amount double precision) (
    SFUNC = crm.shapley_accum, STYPE = internal, SSPACE = 100000,
    FINALFUNC = crm.attribution_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.shapley_attribution(text[], double precision, double precision) IS
'Shapley values of the game in which a set of channels is worth the conversions of the journeys that met no other channel. Its closed form gives every '
'distinct channel of a journey the same share, so it takes one pass whatever the number of channels (Zhao, Mahboobi, Bagheri 2018). Order and repetition do '
'not count.';

CREATE TYPE crm.markov_credit AS (
    channels text[],
    conversions double precision[],
    amounts double precision[],
    journeys bigint,
    left_out bigint,
    unattributed_conversions double precision,
    unattributed_amount double precision,
    removal_effects double precision[],
    conversion_probability double precision
);
COMMENT ON TYPE crm.markov_credit IS
'Result of crm.markov_attribution: as crm.attribution_credit, and removal_effects, the share of conversions lost without each channel, 0 to 1; '
'conversion_probability: that a journey of the chain converts.';

CREATE FUNCTION crm.markov_accum(internal, text[], double precision, double precision, double precision, integer)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_markov_accum';
COMMENT ON FUNCTION crm.markov_accum(internal, text[], double precision, double precision, double precision, integer) IS
'Transition function of crm.markov_attribution.';
CREATE FUNCTION crm.markov_final(internal) RETURNS crm.markov_credit
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_markov_final';
COMMENT ON FUNCTION crm.markov_final(internal) IS 'Final function of crm.markov_attribution.';
CREATE AGGREGATE crm.markov_attribution(channels text[], conversions double precision, amount double precision, nulls double precision, markov_order integer) (
    SFUNC = crm.markov_accum, STYPE = internal, SSPACE = 1000000,
    FINALFUNC = crm.markov_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.markov_attribution(text[], double precision, double precision, double precision, integer) IS
'Credit in proportion to removal effects in an absorbing Markov chain, computed exactly and not by simulation (Anderl and others 2016). nulls: journeys of '
'this path that were lost; without any, every journey converts and effects say only how often a channel was met. markov_order: how many channels a state '
'remembers, 1 to 8. A channel removed loses everybody who comes to it. Errors: CR402 for a weight that is negative or not finite.';

CREATE TYPE crm.markov_transitions AS (
    from_state text[],
    to_state text[],
    weight double precision[],
    probability double precision[]
);
COMMENT ON TYPE crm.markov_transitions IS
'Result of crm.markov_steps: steps between states, (start), (conversion) and (null) among them. weight: journeys that took the step; probability: share of '
'the steps from the same state.';
CREATE FUNCTION crm.markov_steps_accum(internal, text[], double precision, double precision, integer)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_markov_accum';
COMMENT ON FUNCTION crm.markov_steps_accum(internal, text[], double precision, double precision, integer) IS 'Transition function of crm.markov_steps.';
CREATE FUNCTION crm.markov_steps_final(internal) RETURNS crm.markov_transitions
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_markov_steps_final';
COMMENT ON FUNCTION crm.markov_steps_final(internal) IS 'Final function of crm.markov_steps.';
CREATE AGGREGATE crm.markov_steps(channels text[], conversions double precision, nulls double precision, markov_order integer) (
    SFUNC = crm.markov_steps_accum, STYPE = internal, SSPACE = 1000000,
    FINALFUNC = crm.markov_steps_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.markov_steps(text[], double precision, double precision, integer) IS
'The chain that crm.markov_attribution works on, step by step.';

CREATE TYPE crm.logistic_credit AS (
    channels text[],
    conversions double precision[],
    amounts double precision[],
    journeys bigint,
    left_out bigint,
    unattributed_conversions double precision,
    unattributed_amount double precision,
    coefficients double precision[],
    intercept double precision
);
COMMENT ON TYPE crm.logistic_credit IS
'Result of crm.logistic_attribution: as crm.attribution_credit, and coefficients, what meeting each channel adds to the log-odds of converting; intercept: '
'the log-odds without any.';
CREATE FUNCTION crm.presence_accum(internal, text[], double precision, double precision, double precision, double precision)
RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_presence_accum';
COMMENT ON FUNCTION crm.presence_accum(internal, text[], double precision, double precision, double precision, double precision) IS
'Transition function of crm.logistic_attribution.';
CREATE FUNCTION crm.presence_final(internal) RETURNS crm.logistic_credit
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_presence_final';
COMMENT ON FUNCTION crm.presence_final(internal) IS 'Final function of crm.logistic_attribution.';
CREATE AGGREGATE crm.logistic_attribution(channels text[], conversions double precision, amount double precision, nulls double precision,
                                          lambda double precision) (
    SFUNC = crm.presence_accum, STYPE = internal, SSPACE = 1000000,
    FINALFUNC = crm.presence_final, PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.logistic_attribution(text[], double precision, double precision, double precision, double precision) IS
'Data-driven credit: a logistic regression of converting on which channels a journey met (penalty lambda/2 * sum of squares, intercept free); each '
'conversion is shared by what its probability would lose without each of its channels, evenly where none adds anything (Shao and Li 2011). It needs lost '
'journeys (nulls). An association, not a proof of cause: compare with hold-outs. Errors: CR401 where journeys of both outcomes are not there, CR402 for a '
'weight that is negative or not finite.';
