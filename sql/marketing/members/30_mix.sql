-- Marketing mix models: what spend of channels did to sales, period by period. On any table of periods.

CREATE FUNCTION crm.adstock(x double precision[], theta double precision) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_adstock';
COMMENT ON FUNCTION crm.adstock(double precision[], double precision) IS
'Geometric adstock: a_t = x_t + theta * a_(t-1), theta from 0 to below 1; its half-life is ln(0.5) / ln(theta) periods (Broadbent 1979). Errors: CR402 for '
'a value that is null, negative or not finite.';

CREATE FUNCTION crm.adstock_weibull(x double precision[], shape double precision, scale double precision, density boolean DEFAULT false)
RETURNS double precision[] LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_adstock_weibull';
COMMENT ON FUNCTION crm.adstock_weibull(double precision[], double precision, double precision, boolean) IS
'Adstock with a Weibull kernel, as Robyn defines it: what is left of a unit k periods later is the product of survival probabilities, or, with density, the '
'density stretched to 0..1, which may rise before it falls. scale: position of the kernel as a share of the periods, 0 to 1. The cost grows with the square '
'of the periods.';

CREATE FUNCTION crm.hill_saturation(x double precision[], alpha double precision, gamma double precision) RETURNS double precision[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_hill_saturation';
COMMENT ON FUNCTION crm.hill_saturation(double precision[], double precision, double precision) IS
'Hill''s curve x^alpha / (x^alpha + i^alpha), 0 to 1, with the inflexion i at gamma times the largest x. alpha above 1: S-shaped.';

CREATE FUNCTION crm.mix_accum(internal, date, double precision, jsonb, jsonb, jsonb) RETURNS internal
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_mix_accum';
COMMENT ON FUNCTION crm.mix_accum(internal, date, double precision, jsonb, jsonb, jsonb) IS 'Transition function of crm.mix_model_fit.';
CREATE FUNCTION crm.mix_final(internal) RETURNS jsonb
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_mix_final';
COMMENT ON FUNCTION crm.mix_final(internal) IS 'Final function of crm.mix_model_fit.';
CREATE AGGREGATE crm.mix_model_fit(period date, y double precision, spend jsonb, controls jsonb, options jsonb) (
    SFUNC = crm.mix_accum, STYPE = internal, SSPACE = 1000000,
    FINALFUNC = crm.mix_final, FINALFUNC_MODIFY = READ_WRITE, PARALLEL = SAFE
);
COMMENT ON AGGREGATE crm.mix_model_fit(date, double precision, jsonb, jsonb, jsonb) IS
'Fits y = intercept + effects of channels + controls to periods of one length, a row each, in any order. spend: {"channel": amount}, a channel without a '
'key spent 0; controls: {"price": ...}, known in every period, or NULL. Effects are linear in adstocked and saturated spend; shapes that are not given are '
'looked for on a grid. options: adstock (geometric, weibull_cdf, weibull_pdf, none), saturation (hill, none), theta, shape, scale, alpha, gamma (a number, '
'or one by channel), lambda (ridge on z-scored columns; "auto", chosen by time-ordered folds), not_negative (true: no channel does harm), trend, season '
'(its length in periods) and harmonics (2), holdout (last periods to test on), bootstrap (draws for the 95 % intervals low and high), block, seed. Result: '
'the model as JSON, with r2, residual_se, durbin_watson, holdout_mape beside baseline_mape, and advice in words; crm.mix_channels() makes rows of it. An '
'association, not a proof of cause: check it with hold-outs. Rows with a null in period, y or spend are left out and counted. Errors: CR401 for too few, '
'doubled or missing periods, CR402 for negative spend.';

CREATE FUNCTION crm.mix_effect(coefficient double precision, alpha double precision, inflexion double precision, pressure double precision)
RETURNS double precision LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_mix_effect';
COMMENT ON FUNCTION crm.mix_effect(double precision, double precision, double precision, double precision) IS
'Effect of a pressure: coefficient times Hill''s curve, or times the pressure where alpha is NULL. In units of y.';

CREATE FUNCTION crm.mix_spend(
    coefficients double precision[], alphas double precision[], inflexions double precision[], gains double precision[], total double precision,
    lower_bounds double precision[], upper_bounds double precision[])
RETURNS double precision[] LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_mix_spend';
COMMENT ON FUNCTION crm.mix_spend(double precision[], double precision[], double precision[], double precision[], double precision,
                                  double precision[], double precision[]) IS
'The division of a total among channels whose effects together are largest, each within its bounds: steps of a thousandth divided exactly, then refined, '
'so that S-shaped curves do not lead astray. alphas: 0 for no saturation. Errors: 22023 where the bounds do not allow the total.';

CREATE FUNCTION crm.mix_channels(model jsonb)
RETURNS TABLE (channel text, coefficient double precision, standard_error double precision, low double precision, high double precision,
               theta double precision, alpha double precision, inflexion double precision, gain double precision, spend double precision,
               contribution double precision, share double precision, return_on_spend double precision, vif double precision,
               held_at_zero boolean, aliased boolean)
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.channel, c.coefficient, c.standard_error, c.low, c.high, c.theta, c.alpha, c.inflexion, c.gain, c.spend, c.contribution, c.share,
           c."return", c.vif, c.held_at_zero, c.aliased
    FROM jsonb_to_recordset(CASE WHEN jsonb_typeof(model -> 'channels') = 'array' THEN model -> 'channels' ELSE '[]' END)
        AS c (channel text, coefficient double precision, standard_error double precision, low double precision, high double precision,
              theta double precision, alpha double precision, inflexion double precision, gain double precision, spend double precision,
              contribution double precision, share double precision, "return" double precision, vif double precision,
              held_at_zero boolean, aliased boolean)
$$;
COMMENT ON FUNCTION crm.mix_channels(jsonb) IS
'The channels of a model of crm.mix_model_fit, a row each. contribution: sum over the periods, in units of y; share: of the sum of y; return_on_spend: '
'contribution / spend; gain: pressure that a unit a period builds up to; vif: variance inflation, above 10 the effect cannot be told from that of other '
'columns.';

CREATE FUNCTION crm.mix_response(model jsonb, channel text, spend double precision)
RETURNS double precision LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c record;
BEGIN
    SELECT x.* INTO c FROM crm.mix_channels(model) AS x WHERE x.channel = mix_response.channel;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the model knows no channel "%"', channel USING ERRCODE = 'invalid_parameter_value',
            HINT = format('It knows %s.', (SELECT string_agg(x.channel, ', ') FROM crm.mix_channels(model) AS x));
    END IF;
    RETURN crm.mix_effect(c.coefficient, c.alpha, c.inflexion, spend * c.gain);
END
$$;
COMMENT ON FUNCTION crm.mix_response(jsonb, text, double precision) IS
'Effect a period, in the long run, of spending so much on a channel in every period: the response curve. In units of y. Errors: 22023 for an unknown '
'channel.';

CREATE FUNCTION crm.mix_marginal_response(model jsonb, channel text, spend double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (crm.mix_response(model, channel, spend + d.d) - crm.mix_response(model, channel, greatest(spend - d.d, 0))) / (d.d + least(spend, d.d))
    FROM (SELECT greatest(spend * 1e-5, 1e-6) AS d) AS d
$$;
COMMENT ON FUNCTION crm.mix_marginal_response(jsonb, text, double precision) IS
'What the next unit of spend a period brings in the long run, at so much a period: the slope of crm.mix_response. Above 1 it pays, where y is margin in the '
'same money.';

CREATE FUNCTION crm.mix_allocation(model jsonb, total double precision, bounds jsonb DEFAULT '{}')
RETURNS TABLE (channel text, spend double precision, response double precision, marginal_response double precision,
               mean_spend double precision, mean_response double precision)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong text;
BEGIN
    IF jsonb_typeof(bounds) <> 'object' THEN
        RAISE EXCEPTION 'bounds must be a JSON object' USING ERRCODE = 'invalid_parameter_value', HINT = 'Write {"tv": [0, 1000]}.';
    END IF;
    SELECT string_agg('"' || b.key || '"', ', ') INTO wrong
    FROM jsonb_each(bounds) AS b
    WHERE NOT EXISTS (SELECT FROM crm.mix_channels(model) AS c WHERE c.channel = b.key)
       OR jsonb_typeof(b.value) <> 'array' OR NOT b.value @? 'strict $ ? (@.size() == 2 && @[0].type() == "number" && @[1].type() == "number")';
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'bounds of % are not [least, most] of a channel', wrong USING ERRCODE = 'invalid_parameter_value',
            HINT = format('Channels are %s.', (SELECT string_agg(x.channel, ', ') FROM crm.mix_channels(model) AS x));
    END IF;
    RETURN QUERY
        WITH c AS (
            SELECT x.*, row_number() OVER () AS place, x.spend / (model ->> 'periods')::double precision AS usual,
                   coalesce((bounds -> x.channel ->> 0)::double precision, 0) AS low_bound,
                   coalesce((bounds -> x.channel ->> 1)::double precision, total) AS high_bound
            FROM crm.mix_channels(model) AS x
        ), best AS (
            SELECT crm.mix_spend(array_agg(c.coefficient ORDER BY c.place), array_agg(coalesce(c.alpha, 0) ORDER BY c.place),
                                 array_agg(coalesce(c.inflexion, 0) ORDER BY c.place), array_agg(c.gain ORDER BY c.place), total,
                                 array_agg(c.low_bound ORDER BY c.place), array_agg(c.high_bound ORDER BY c.place)) AS spend
            FROM c
        )
        SELECT c.channel, best.spend[c.place], crm.mix_effect(c.coefficient, c.alpha, c.inflexion, best.spend[c.place] * c.gain),
               crm.mix_marginal_response(model, c.channel, best.spend[c.place]),
               c.usual, crm.mix_effect(c.coefficient, c.alpha, c.inflexion, c.usual * c.gain)
        FROM c, best ORDER BY c.place;
END
$$;
COMMENT ON FUNCTION crm.mix_allocation(jsonb, double precision, jsonb) IS
'How a total a period is best divided among the channels of a model, beside what was spent a period so far. bounds: {"channel": [least, most]}; without, '
'from 0 to the total. response: effect a period in the long run, in units of y. A model says little beyond the spend it has seen: bound it. Errors: 22023 '
'for unknown channels or a total that the bounds do not allow.';

CREATE FUNCTION crm.mix_forecast(model jsonb, spend jsonb[], controls jsonb[] DEFAULT NULL)
RETURNS TABLE (ahead integer, expected double precision, contributions jsonb)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 26
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c record;
    k record;
    pressures jsonb := '{}';
    pressure double precision;
    part double precision;
    periods CONSTANT integer := (model ->> 'periods')::integer;
    season CONSTANT double precision := (model ->> 'season')::double precision;
    turn double precision;
BEGIN
    IF model ->> 'adstock' NOT IN ('none', 'geometric') THEN
        RAISE EXCEPTION 'only a model with geometric adstock, or without, can be carried on' USING ERRCODE = 'feature_not_supported',
            HINT = 'Fit it with {"adstock": "geometric"}.';
    END IF;
    FOR i IN 1 .. coalesce(cardinality(spend), 0) LOOP
        ahead := i;
        expected := (model ->> 'intercept')::double precision;
        contributions := '{}';
        FOR c IN SELECT x.* FROM crm.mix_channels(model) AS x LOOP
            pressure := coalesce((spend[i] ->> c.channel)::double precision, 0)
                + CASE WHEN model ->> 'adstock' = 'geometric'
                       THEN c.theta * coalesce((pressures ->> c.channel)::double precision,
                                               (SELECT (x ->> 'last_pressure')::double precision FROM jsonb_array_elements(model -> 'channels') AS x
                                                WHERE x ->> 'channel' = c.channel))
                       ELSE 0 END;
            pressures := pressures || jsonb_build_object(c.channel, pressure);
            part := crm.mix_effect(c.coefficient, c.alpha, c.inflexion, pressure);
            contributions := contributions || jsonb_build_object(c.channel, part);
            expected := expected + part;
        END LOOP;
        FOR k IN SELECT o.name, o.coefficient, o.last
                 FROM jsonb_to_recordset(model -> 'others') AS o (name text, coefficient double precision, last double precision) LOOP
            turn := 2 * pi() * substring(k.name FROM '\d+')::double precision * (periods - 1 + i) / nullif(season, 0);
            part := k.coefficient * CASE WHEN k.name = '(trend)' THEN periods - 1 + i
                                         WHEN k.name ~ '^\(season sine \d+\)$' THEN sin(turn)
                                         WHEN k.name ~ '^\(season cosine \d+\)$' THEN cos(turn)
                                         ELSE coalesce((controls[i] ->> k.name)::double precision, k.last) END;
            contributions := contributions || jsonb_build_object(k.name, part);
            expected := expected + part;
        END LOOP;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.mix_forecast(jsonb, jsonb[], jsonb[]) IS
'What a plan is expected to bring, period by period after those of the fit: spend a period by channel, controls likewise (as in the last period where they '
'are not given). contributions: of each channel and other column, in units of y; with the intercept they add up to expected. Pressure is carried on from '
'the last period of the fit.';
