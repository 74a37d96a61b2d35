-- Purchase models of the CRM's own customers: fitting, choosing, keeping them.

CREATE OR REPLACE FUNCTION crm.no_purchase_model(kind text)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF kind <> 'nbd' THEN
        RAISE EXCEPTION 'unknown kind of purchase model "%"', kind USING ERRCODE = 'invalid_parameter_value',
            HINT = 'It is one of bgnbd, mbgnbd, paretonbd, nbd.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.no_purchase_model(text) IS
'NULL for a measure that NBD does not have, and where there is no model; 22023 for the name of none. Called by crm.purchase_model_p_alive() and its like.';

CREATE OR REPLACE FUNCTION crm.wrong_purchase_model(kind text, p double precision[])
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    names CONSTANT text[] := CASE kind WHEN 'bgnbd' THEN '{r,alpha,a,b}'::text[] WHEN 'mbgnbd' THEN '{r,alpha,a,b}' WHEN 'paretonbd' THEN '{r,alpha,s,beta}'
                                       WHEN 'nbd' THEN '{r,alpha}' END;
BEGIN
    IF names IS NULL THEN
        RETURN crm.no_purchase_model(kind);
    END IF;
    RAISE EXCEPTION 'a model of kind "%" has % parameters, none of them null, and was given %', kind, cardinality(names), p
        USING ERRCODE = 'invalid_parameter_value', HINT = format('They are %s, in this order.', array_to_string(names, ', '));
END
$$;
COMMENT ON FUNCTION crm.wrong_purchase_model(text, double precision[]) IS
'Error 22023 for parameters that are not those of a kind of model: too few, too many, or NULL. Called by crm.purchase_model_p_alive() and its like.';

CREATE OR REPLACE FUNCTION crm.purchase_model_expected(kind text, p double precision[], x double precision, t_x double precision, age double precision,
    horizon double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cardinality(p) <> CASE kind WHEN 'nbd' THEN 2 ELSE 4 END OR array_ndims(p) <> 1 OR array_position(p, NULL) IS NOT NULL
                 THEN crm.wrong_purchase_model(kind, p)
            ELSE CASE kind WHEN 'bgnbd' THEN crm.bgnbd_expected_purchases(p[1], p[2], p[3], p[4], x, t_x, age, horizon)
                 WHEN 'mbgnbd' THEN crm.mbgnbd_expected_purchases(p[1], p[2], p[3], p[4], x, t_x, age, horizon)
                 WHEN 'paretonbd' THEN crm.paretonbd_expected_purchases(p[1], p[2], p[3], p[4], x, t_x, age, horizon)
                 WHEN 'nbd' THEN crm.nbd_expected_purchases(p[1], p[2], x, t_x, age, horizon)
                 ELSE crm.no_purchase_model(kind) END END;
COMMENT ON FUNCTION crm.purchase_model_expected(text, double precision[], double precision, double precision, double precision, double precision) IS
'Purchases expected within a horizon by the model of a kind. Error 22023 for parameters that are not those of the kind.';

CREATE OR REPLACE FUNCTION crm.purchase_model_p_alive(kind text, p double precision[], x double precision, t_x double precision, age double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cardinality(p) <> CASE kind WHEN 'nbd' THEN 2 ELSE 4 END OR array_ndims(p) <> 1 OR array_position(p, NULL) IS NOT NULL
                 THEN crm.wrong_purchase_model(kind, p)
            ELSE CASE kind WHEN 'bgnbd' THEN crm.bgnbd_p_alive(p[1], p[2], p[3], p[4], x, t_x, age)
                 WHEN 'mbgnbd' THEN crm.mbgnbd_p_alive(p[1], p[2], p[3], p[4], x, t_x, age)
                 WHEN 'paretonbd' THEN crm.paretonbd_p_alive(p[1], p[2], p[3], p[4], x, t_x, age)
                 ELSE crm.no_purchase_model(kind) END END;
COMMENT ON FUNCTION crm.purchase_model_p_alive(text, double precision[], double precision, double precision, double precision) IS
'P(alive) by the model of a kind; NULL for NBD, by which nobody leaves. Error 22023 for parameters that are not those of the kind.';

CREATE OR REPLACE FUNCTION crm.purchase_model_silent_time_to_p_alive(
    kind text, p double precision[], x double precision, t_x double precision, age double precision, threshold double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cardinality(p) <> CASE kind WHEN 'nbd' THEN 2 ELSE 4 END OR array_ndims(p) <> 1 OR array_position(p, NULL) IS NOT NULL
                 THEN crm.wrong_purchase_model(kind, p)
            ELSE CASE kind WHEN 'bgnbd' THEN crm.bgnbd_silent_time_to_p_alive(p[1], p[2], p[3], p[4], x, t_x, age, threshold)
                 WHEN 'mbgnbd' THEN crm.mbgnbd_silent_time_to_p_alive(p[1], p[2], p[3], p[4], x, t_x, age, threshold)
                 WHEN 'paretonbd' THEN crm.paretonbd_silent_time_to_p_alive(p[1], p[2], p[3], p[4], x, t_x, age, threshold)
                 ELSE crm.no_purchase_model(kind) END END;
COMMENT ON FUNCTION crm.purchase_model_silent_time_to_p_alive IS
'Weeks until P(alive) by the model of a kind falls to a threshold if no order comes; NULL where it never does, and for NBD, by which nobody leaves. '
'Error 22023 for parameters that are not those of the kind.';

CREATE OR REPLACE FUNCTION crm.purchase_model_clv(kind text, p double precision[], x double precision, t_x double precision, age double precision,
                                                  spend double precision, periods integer, step double precision, rate double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN cardinality(p) <> CASE kind WHEN 'nbd' THEN 2 ELSE 4 END OR array_ndims(p) <> 1 OR array_position(p, NULL) IS NOT NULL
                 THEN crm.wrong_purchase_model(kind, p)
            ELSE CASE kind WHEN 'bgnbd' THEN crm.bgnbd_clv_by_period(p[1], p[2], p[3], p[4], x, t_x, age, spend, periods, step, rate)
                 WHEN 'mbgnbd' THEN crm.mbgnbd_clv_by_period(p[1], p[2], p[3], p[4], x, t_x, age, spend, periods, step, rate)
                 WHEN 'paretonbd' THEN crm.paretonbd_clv_by_period(p[1], p[2], p[3], p[4], x, t_x, age, spend, periods, step, rate)
                 -- purchases come at one rate for ever: an annuity
                 WHEN 'nbd' THEN spend * crm.nbd_expected_purchases(p[1], p[2], x, t_x, age, step)
                                 * CASE WHEN rate = 0 THEN periods ELSE (1 - (1 + rate) ^ (-periods)) / rate END
                 ELSE crm.no_purchase_model(kind) END END;
COMMENT ON FUNCTION crm.purchase_model_clv IS
'Discounted value over periods by the model of a kind. Error 22023 for parameters that are not those of the kind.';

CREATE OR REPLACE FUNCTION crm.purchase_model_fit(kind text, until date)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    fit jsonb;
BEGIN
    CASE kind
        WHEN 'bgnbd' THEN SELECT to_jsonb(crm.bgnbd_fit(h.x, h.t_x, h.age)) INTO fit FROM crm_analytics.purchase_histories(until) AS h;
        WHEN 'mbgnbd' THEN SELECT to_jsonb(crm.mbgnbd_fit(h.x, h.t_x, h.age)) INTO fit FROM crm_analytics.purchase_histories(until) AS h;
        WHEN 'nbd' THEN SELECT to_jsonb(crm.nbd_fit(h.x, h.t_x, h.age)) INTO fit FROM crm_analytics.purchase_histories(until) AS h;
        ELSE SELECT to_jsonb(crm.paretonbd_fit(h.x, h.t_x, h.age)) INTO fit FROM crm_analytics.purchase_histories(until) AS h;
    END CASE;
    RETURN fit || jsonb_build_object('parameters', CASE WHEN kind = 'nbd' THEN jsonb_build_array(fit -> 'r', fit -> 'alpha')
        ELSE jsonb_build_array(fit -> 'r', fit -> 'alpha', coalesce(fit -> 's', fit -> 'a'), coalesce(fit -> 'beta', fit -> 'b')) END);
END
$$;
COMMENT ON FUNCTION crm.purchase_model_fit(text, date) IS 'Fit of one kind of model to what was known at the end of a day.';

CREATE OR REPLACE FUNCTION crm.purchase_model_quality(kind text, p double precision[], calibration_end date, holdout_end date)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        WITH h AS (
            SELECT c.account_id, c.x, c.age, crm.purchase_model_expected(kind, p, c.x, c.t_x, c.age, (holdout_end - calibration_end) / 7.0) AS expected,
                   crm.purchase_model_p_alive(kind, p, c.x, c.t_x, c.age) AS p_alive,
                   -- the simple baseline any model must beat: the customer goes on at the rate so far
                   (c.x + 1) / greatest(c.age, 1) * (holdout_end - calibration_end) / 7.0 AS at_rate,
                   (SELECT count(*) FROM crm_analytics.account_days AS d
                    WHERE d.tenant_id = c.tenant_id AND d.account_id = c.account_id AND d.purchases > 0
                      AND d.ordered_on > calibration_end AND d.ordered_on <= holdout_end)::double precision AS actual
            FROM crm_analytics.purchase_histories(calibration_end) AS c
        ), retention AS (
            SELECT count(*) FILTER (WHERE h.actual > 0)::double precision / nullif(count(*), 0) AS rate FROM h
        ), r AS (
            SELECT h.*, h.at_rate * (SELECT y.rate FROM retention AS y) AS baseline,
                   ntile(10) OVER (ORDER BY h.expected DESC, h.account_id) AS decile, ntile(5) OVER (ORDER BY h.p_alive, h.account_id) AS alive_bin
            FROM h
        )
        SELECT jsonb_build_object(
            'calibration_end', calibration_end, 'holdout_end', holdout_end, 'customers', count(*),
            'actual', sum(r.actual), 'expected', round(sum(r.expected)::numeric, 1),
            'tracking', round((sum(r.expected) / nullif(sum(r.actual), 0))::numeric, 4),
            'mae', round(avg(abs(r.expected - r.actual))::numeric, 5), 'rmse', round(sqrt(avg((r.expected - r.actual) ^ 2))::numeric, 5),
            'correlation', round(corr(r.expected, r.actual)::numeric, 4),
            'baseline_mae', round(avg(abs(r.baseline - r.actual))::numeric, 5), 'baseline_rmse', round(sqrt(avg((r.baseline - r.actual) ^ 2))::numeric, 5),
            'baseline_tracking', round((sum(r.baseline) / nullif(sum(r.actual), 0))::numeric, 4),
            'top_decile_lift', round((avg(r.actual) FILTER (WHERE r.decile = 1) / nullif(avg(r.actual), 0))::numeric, 3),
            'deciles', (SELECT jsonb_agg(to_jsonb(d.*) ORDER BY d.decile)
                        FROM (SELECT q.decile, count(*) AS customers, round(avg(q.expected)::numeric, 3) AS expected,
                                     round(avg(q.actual)::numeric, 3) AS actual FROM r AS q GROUP BY q.decile) AS d),
            'p_alive_bins', (SELECT jsonb_agg(to_jsonb(b.*) ORDER BY b.bin)
                             FROM (SELECT q.alive_bin AS bin, count(*) AS customers, round(avg(q.p_alive)::numeric, 3) AS p_alive,
                                          round(avg((q.actual > 0)::integer)::numeric, 3) AS bought FROM r AS q GROUP BY q.alive_bin) AS b))
        FROM r);
END
$$;
COMMENT ON FUNCTION crm.purchase_model_quality(text, double precision[], date, date) IS
'How well a model fitted to the time before calibration_end predicts the purchases until holdout_end, and how well the baseline does: each customer''s rate '
'so far, times the share of customers that bought again.';

CREATE OR REPLACE FUNCTION crm.fit_value_model(kind text DEFAULT NULL, as_of date DEFAULT NULL, holdout_days integer DEFAULT 180)
RETURNS crm.value_models
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint := crm.tenant_id();
    last_day date := as_of;
    first_day date;
    candidate text;
    best text;
    best_quality jsonb;
    quality jsonb;
    fit jsonb;
    spend jsonb;
    n bigint;
    result crm.value_models;
BEGIN
    IF kind NOT IN ('bgnbd', 'mbgnbd', 'paretonbd', 'nbd') THEN
        RAISE EXCEPTION 'unknown purchase model "%"', kind USING ERRCODE = 'invalid_parameter_value', HINT = 'It is one of mbgnbd, paretonbd, bgnbd, nbd.';
    END IF;
    IF holdout_days IS NULL OR holdout_days < 1 THEN
        RAISE EXCEPTION 'holdout_days must be at least 1' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT least(coalesce(as_of, max(d.ordered_on)), max(d.ordered_on)), min(d.ordered_on) INTO last_day, first_day FROM crm_analytics.account_days AS d
    WHERE d.tenant_id = tenant AND d.purchases > 0 AND (as_of IS NULL OR d.ordered_on <= as_of);
    last_day := coalesce(as_of, last_day);
    SELECT count(*) INTO n FROM crm_analytics.purchase_histories(last_day - holdout_days);
    IF n < 50 OR last_day - first_day < 2 * holdout_days THEN
        RAISE EXCEPTION 'the history is too small to fit and test a model' USING ERRCODE = 'CR401',
            DETAIL = format('%s customers before the last %s days, %s days of history; needed are 50 customers and twice the holdout.', n, holdout_days, coalesce(last_day - first_day, 0)),
            HINT = 'Shorten holdout_days, or wait. Until then crm_analytics.customer_value answers by the baseline.';
    END IF;

    -- tested on the last part of the history, which the fit has not seen
    FOREACH candidate IN ARRAY CASE WHEN kind IS NULL THEN '{mbgnbd,paretonbd,bgnbd,nbd}'::text[] ELSE ARRAY[kind] END LOOP
        -- where the data show no trace of leaving, models with dropout fit like NBD, which has none
        CONTINUE WHEN candidate = 'nbd' AND best IS NOT NULL;
        fit := crm.purchase_model_fit(candidate, last_day - holdout_days);
        CONTINUE WHEN fit ->> 'r' IS NULL OR kind IS NULL AND fit ->> 'state' <> 'converged';
        IF kind IS NULL AND candidate <> 'nbd' THEN
            CONTINUE WHEN crm.purchase_model_fit(candidate, last_day) ->> 'state' <> 'converged';
        END IF;
        quality := crm.purchase_model_quality(candidate, ARRAY(SELECT e::double precision FROM jsonb_array_elements_text(fit -> 'parameters') AS e), last_day - holdout_days, last_day)
                   || jsonb_build_object('log_likelihood', fit -> 'log_likelihood', 'state', fit -> 'state');
        IF best IS NULL OR (quality ->> 'rmse')::numeric < (best_quality ->> 'rmse')::numeric THEN
            best := candidate;
            best_quality := quality;
        END IF;
    END LOOP;
    IF best IS NULL THEN
        RAISE EXCEPTION 'no model could be fitted' USING ERRCODE = 'CR401', DETAIL = coalesce(fit ->> 'advice', 'The fit gave no reason.'),
            HINT = 'Try another kind, or a longer history; crm_analytics.customer_value answers by the baseline until then.';
    END IF;

    -- then fitted again to all of it
    fit := crm.purchase_model_fit(best, last_day);
    SELECT to_jsonb(crm.gamma_gamma_fit(h.x, h.mean_spend)) INTO spend FROM crm_analytics.purchase_histories(last_day) AS h WHERE h.x > 0 AND h.mean_spend > 0;
    INSERT INTO crm.value_models AS m (tenant_id, kind, parameters, spend_parameters, fit, spend_fit, as_of, holdout_days, customers, quality)
    VALUES (tenant, best, ARRAY(SELECT e::double precision FROM jsonb_array_elements_text(fit -> 'parameters') AS e),
            CASE WHEN spend ->> 'p' IS NOT NULL THEN ARRAY[(spend ->> 'p')::double precision, (spend ->> 'q')::double precision, (spend ->> 'gamma')::double precision] END,
            fit, spend, last_day, holdout_days, (fit ->> 'customers')::numeric::bigint, best_quality)
    RETURNING m.* INTO result;
    RETURN result;
END
$$;
COMMENT ON FUNCTION crm.fit_value_model(text, date, integer) IS
'Fits a purchase model (kind: mbgnbd, paretonbd, bgnbd, nbd; NULL: of the first three the one with the least holdout RMSE, NBD where none of them has an '
'interior optimum) and Gamma-Gamma for spend to the orders until as_of (NULL: the last order), and measures it on the last holdout_days with a fit that has '
'not seen them. Stores it as a candidate: see crm.activate_value_model. Error CR401 for too small a history.';

CREATE OR REPLACE FUNCTION crm.activate_value_model(model_id bigint, only_if_better boolean DEFAULT false)
RETURNS crm.value_models
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint := crm.tenant_id();
    model crm.value_models;
    present crm.value_models;
BEGIN
    PERFORM crm.lock_own('value_models', tenant);
    SELECT m.* INTO model FROM crm.value_models AS m WHERE m.tenant_id = tenant AND m.id = model_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no value model %', model_id USING ERRCODE = 'no_data_found';
    END IF;
    SELECT m.* INTO present FROM crm.value_models AS m WHERE m.tenant_id = tenant AND m.state = 'active';
    IF present.id = model.id THEN
        RETURN model;
    END IF;
    IF only_if_better AND ((model.quality ->> 'rmse')::numeric >= (model.quality ->> 'baseline_rmse')::numeric
                           OR (present.quality ->> 'rmse')::numeric < (model.quality ->> 'rmse')::numeric) THEN
        RETURN model;
    END IF;
    UPDATE crm.value_models AS m SET state = 'retired' WHERE m.tenant_id = tenant AND m.state = 'active';
    UPDATE crm.value_models AS m SET state = 'active', activated_at = now(), previous_id = present.id
    WHERE m.tenant_id = tenant AND m.id = model_id RETURNING m.* INTO model;
    RETURN model;
END
$$;
COMMENT ON FUNCTION crm.activate_value_model(bigint, boolean) IS
'Makes a fitted model the one that crm_analytics.customer_value goes by. only_if_better: leaves all as it is unless its holdout RMSE beats the baseline''s '
'and is not above that of the active model. Returns the model as it is then.';

CREATE OR REPLACE FUNCTION crm.revert_value_model()
RETURNS crm.value_models
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint := crm.tenant_id();
    model crm.value_models;
BEGIN
    PERFORM crm.lock_own('value_models', tenant);
    UPDATE crm.value_models AS m SET state = 'retired' WHERE m.tenant_id = tenant AND m.state = 'active' RETURNING m.* INTO model;
    IF NOT FOUND OR model.previous_id IS NULL THEN
        RAISE EXCEPTION 'there is no former value model to go back to' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE crm.value_models AS m SET state = 'active' WHERE m.tenant_id = tenant AND m.id = model.previous_id RETURNING m.* INTO model;
    RETURN model;
END
$$;
COMMENT ON FUNCTION crm.revert_value_model() IS 'Takes the last activation back: the model that was active before is active again.';

-- ---- what all customers together are like ----

CREATE OR REPLACE FUNCTION crm_analytics.count_customers(as_of date) RETURNS crm.rfm_edges
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    found crm.rfm_edges;
BEGIN
    SELECT crm.quantile_edges((count_customers.as_of - h.last_order_on)::double precision, 5), crm.quantile_edges(h.orders::double precision, 5),
           crm.quantile_edges(h.revenue::double precision, 5), count(*),
           -- days between purchases, pooled, and the share that bought again
           coalesce(sum(h.t_x * 7) / nullif(sum(h.x), 0), 365), (count(*) FILTER (WHERE h.x > 0) + 1.0) / (count(*) + 2.0),
           sum(h.margin) FILTER (WHERE h.margin IS NOT NULL) / nullif(sum(h.revenue) FILTER (WHERE h.margin IS NOT NULL), 0),
           avg(h.revenue / h.purchase_days)
    INTO found.recency, found.frequency, found.monetary, found.customers, found.usual_gap_days, found.returning_share, found.margin_share,
         found.mean_spend
    FROM crm_analytics.purchase_histories(count_customers.as_of) AS h;
    found.tenant_id := crm.tenant_id();
    found.as_of := count_customers.as_of;
    found.computed_at := now();
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_analytics.count_customers(date) IS
'Edges and pooled figures of the customers that the caller sees, from the orders known at the end of a day, in the form of a row of crm.rfm_edges.';

CREATE OR REPLACE FUNCTION crm_analytics.all_customers(as_of date DEFAULT crm.local_day(crm.tenant_id(), now())) RETURNS crm.rfm_edges
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kept crm.rfm_edges;
    found crm.rfm_edges;
BEGIN
    -- what is known of a later day says nothing about an earlier one
    SELECT e.* INTO kept FROM crm.rfm_edges AS e WHERE e.tenant_id = crm.tenant_id() AND e.as_of <= all_customers.as_of;
    IF kept.usual_gap_days IS NOT NULL THEN
        RETURN kept;
    END IF;
    found := crm_analytics.count_customers(all_customers.as_of);
    found.recency := coalesce(kept.recency, found.recency);
    found.frequency := coalesce(kept.frequency, found.frequency);
    found.monetary := coalesce(kept.monetary, found.monetary);
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_analytics.all_customers(date) IS
'What the figures of one customer are drawn towards and scored by: the stored ones (crm.rfm_edges), or else those of the customers that the caller sees at the '
'end of that day.';

CREATE OR REPLACE FUNCTION crm.renew_rfm_edges(as_of date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS crm.rfm_edges
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.rfm_edges := crm_analytics.count_customers(renew_rfm_edges.as_of);
BEGIN
    IF found.customers = 0 THEN
        RETURN NULL;
    END IF;
    INSERT INTO crm.rfm_edges SELECT found.*
    ON CONFLICT (tenant_id) DO UPDATE SET recency = excluded.recency, frequency = excluded.frequency, monetary = excluded.monetary,
        customers = excluded.customers,
        usual_gap_days = excluded.usual_gap_days, returning_share = excluded.returning_share, margin_share = excluded.margin_share,
        mean_spend = excluded.mean_spend, as_of = excluded.as_of, computed_at = excluded.computed_at;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm.renew_rfm_edges(date) IS
'Computes and stores anew what all customers together are like: the quintile edges of recency (days), frequency (orders) and monetary value (revenue), and the '
'figures that those of one customer are drawn towards. NULL where there are no customers.';
