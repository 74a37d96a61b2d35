-- The worth of every customer, now or on any day.

CREATE OR REPLACE FUNCTION crm_analytics.customer_worth(account_ids bigint[], as_of date DEFAULT crm.local_day(crm.tenant_id(), now()),
                                                        horizon_days integer DEFAULT 365, yearly_discount double precision DEFAULT 0.1,
                                                            churn_threshold double precision DEFAULT 0.5,
                                                        among crm.rfm_edges DEFAULT NULL)
RETURNS TABLE (tenant_id bigint, account_id bigint, account_name text, owner_id bigint, orders bigint, purchase_days bigint,
               first_order_on date, last_order_on date, revenue numeric, margin numeric, mean_order numeric,
               p_alive double precision, expected_purchases double precision, expected_spend numeric, clv numeric, clv_basis text, usual_gap_days numeric,
                   next_order_on date, silent_on date, churn_on date, churn_reason text,
               recency_score integer, frequency_score integer, monetary_score integer, rfm text, method text, model_id bigint, sample_size bigint)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    words CONSTANT jsonb := crm.texts('churn', crm.language());
    m crm.value_models;
    e crm.rfm_edges := among;
BEGIN
    -- the one in use; of a day before its data end the last one in use that had not seen what came after
    SELECT v.* INTO m FROM crm.value_models AS v
    WHERE v.tenant_id = mine AND v.state IN ('active', 'retired') AND v.as_of <= customer_worth.as_of
    ORDER BY v.state, v.activated_at DESC NULLS LAST, v.id DESC LIMIT 1;
    IF e.tenant_id IS NULL THEN
        e := crm_analytics.all_customers(as_of);
    END IF;
    RETURN QUERY
    WITH v AS (
        SELECT h.*, customer_worth.as_of - h.last_order_on AS silence,
               crm.purchase_model_p_alive(m.kind, m.parameters, h.x, h.t_x, h.age) AS p_model,
               crm.purchase_model_expected(m.kind, m.parameters, h.x, h.t_x, h.age, customer_worth.horizon_days / 7.0) AS n_model,
               -- spend of the next purchase: the customer's own, drawn towards that of all
               CASE WHEN m.spend_parameters[2] > 1 AND (h.x = 0 OR h.mean_spend > 0)
                    THEN crm.gamma_gamma_expected_spend(m.spend_parameters[1], m.spend_parameters[2], m.spend_parameters[3], h.x,
                                                        CASE WHEN h.x = 0 THEN 0 ELSE h.mean_spend END)
                    ELSE (greatest(h.revenue, 0)::double precision + 2 * e.mean_spend) / (h.purchase_days + 2) END AS spend,
               coalesce(CASE WHEN h.revenue > 0 THEN h.margin / h.revenue END, e.margin_share) AS margin_share,
               CASE WHEN h.margin IS NOT NULL AND h.revenue > 0 THEN 'own margin' WHEN e.margin_share IS NOT NULL THEN 'margin of all'
                    ELSE 'revenue' END AS clv_basis,
               -- usual gap: own gaps and two of the pooled ones
               (h.t_x * 7 + 2 * e.usual_gap_days) / (h.x + 2) AS gap
        FROM crm_analytics.purchase_histories(customer_worth.as_of, customer_worth.account_ids) AS h
    ), w AS (
        SELECT v.*,
               -- baseline where no model is active: at the rate so far, times the share that comes back
               coalesce(v.n_model, v.purchase_days / greatest(v.age * 7, 30) * customer_worth.horizon_days * e.returning_share) AS n,
               coalesce(v.p_model, CASE WHEN v.silence <= v.gap * ln(10) THEN NULL ELSE 0 END) AS p,
               coalesce(crm.purchase_model_clv(m.kind, m.parameters, v.x, v.t_x, v.age, v.spend,
                                               greatest(1, round(customer_worth.horizon_days / 30.4375)::integer), 30.4375 / 7,
                                                   (1 + customer_worth.yearly_discount) ^ (1 / 12.0) - 1),
                        v.spend * v.purchase_days / greatest(v.age * 7, 30) * customer_worth.horizon_days * e.returning_share
                        / (1 + customer_worth.yearly_discount) ^ (customer_worth.horizon_days / 730.5))
                   * coalesce(v.margin_share::double precision, 1) AS value,
               -- counted from the last order: who has passed the day already has one too
               crm.purchase_model_silent_time_to_p_alive(m.kind, m.parameters, v.x, v.t_x, v.t_x, customer_worth.churn_threshold) AS weeks_silent,
               CASE WHEN v.gap * ln(10) < 36500 THEN v.last_order_on + ceil(v.gap * ln(10))::integer END AS silent_on,
               crm.edge_score(v.silence::double precision, e.recency, true) AS r, crm.edge_score(v.orders::double precision, e.frequency, false) AS f,
               crm.edge_score(v.revenue::double precision, e.monetary, false) AS q
        FROM v
    ), c AS (
        SELECT w.*, w.p_model IS NOT NULL AND w.p_model < customer_worth.churn_threshold OR w.p_model IS NULL AND coalesce(w.p = 0, false) AS gone,
               CASE WHEN w.p_model IS NULL THEN w.silent_on
                    WHEN w.weeks_silent < 5200 THEN w.last_order_on + ceil(w.weeks_silent * 7)::integer END AS churn_on
        FROM w
    )
    SELECT c.tenant_id, c.account_id, a.name, CASE WHEN k.past ? 'owner_id' THEN (k.past ->> 'owner_id')::bigint ELSE a.owner_id END, c.orders,
        c.purchase_days, c.first_order_on, c.last_order_on, c.revenue, c.margin,
           round(c.revenue / nullif(c.orders, 0), 2), c.p_model, c.n, round((c.n * c.spend)::numeric, 2), round(c.value::numeric, 2), c.clv_basis,
           round(c.gap::numeric, 1),
           CASE WHEN NOT c.gone AND c.gap < 36500 THEN c.last_order_on + ceil(c.gap)::integer END, c.silent_on, c.churn_on,
           CASE WHEN c.gone THEN crm.say(words, CASE WHEN c.x = 0 THEN 'once' ELSE 'stopped' END, c.silence::text, round(c.gap)::text)
                WHEN c.silence > c.gap * ln(10) THEN crm.say(words, 'silent_long', ceil(c.gap * ln(10))::text) END,
           c.r, c.f, c.q, concat(c.r, c.f, c.q), coalesce(m.kind, 'baseline'), m.id, coalesce(m.customers, e.customers)
    FROM c JOIN crm.accounts AS a ON a.tenant_id = c.tenant_id AND a.id = c.account_id
    LEFT JOIN (SELECT x.* FROM crm_analytics.changed_accounts(customer_worth.as_of) AS x WHERE customer_worth.as_of < crm.local_day(mine, now())) AS k
      ON k.account_id = c.account_id;
END
$$;
COMMENT ON FUNCTION crm_analytics.customer_worth(bigint[], date, integer, double precision, double precision, crm.rfm_edges) IS
'What a few customers are worth (account_ids; NULL: all), one row each; no row for an account without a purchase. The one place of orders, clv, P(alive), next '
'expected order and churn date: crm_analytics.customer_value_at, customer_totals, customer_360 and the pages read it. One customer costs what its own orders '
'cost once crm.renew_rfm_edges has stored what all are like; until then all histories are read for that. among: that row, where it is known already.';

CREATE OR REPLACE FUNCTION crm_analytics.customer_value_at(as_of date DEFAULT crm.local_day(crm.tenant_id(), now()),
                                                           horizon_days integer DEFAULT 365, yearly_discount double precision DEFAULT 0.1,
                                                               churn_threshold double precision DEFAULT 0.5)
RETURNS TABLE (tenant_id bigint, account_id bigint, account_name text, owner_id bigint, orders bigint, purchase_days bigint,
               first_order_on date, last_order_on date, revenue numeric, margin numeric, mean_order numeric,
               p_alive double precision, expected_purchases double precision, expected_spend numeric, clv numeric, clv_basis text, usual_gap_days numeric,
                   next_order_on date, silent_on date, churn_on date, churn_reason text,
               recency_score integer, frequency_score integer, monetary_score integer, rfm text, value_segment text, method text, model_id bigint,
                   sample_size bigint)
LANGUAGE sql STABLE ROWS 2000
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.tenant_id, s.account_id, s.account_name, s.owner_id, s.orders, s.purchase_days, s.first_order_on, s.last_order_on, s.revenue, s.margin,
           s.mean_order, s.p_alive, s.expected_purchases, s.expected_spend, s.clv, s.clv_basis, s.usual_gap_days, s.next_order_on, s.silent_on, s.churn_on,
               s.churn_reason,
           s.recency_score, s.frequency_score, s.monetary_score, s.rfm,
           CASE WHEN s.whole = 0 OR s.clv <= 0 THEN 'C' WHEN s.before_it < 0.8 * s.whole THEN 'A' WHEN s.before_it < 0.95 * s.whole THEN 'B' ELSE 'C' END,
           s.method, s.model_id, s.sample_size
    FROM (SELECT w.*, sum(greatest(w.clv, 0)) OVER (ORDER BY w.clv DESC, w.account_id) - greatest(w.clv, 0) AS before_it,
                 sum(greatest(w.clv, 0)) OVER () AS whole
          FROM crm_analytics.customer_worth(NULL, $1, $2, $3, $4) AS w) AS s
$$;
COMMENT ON FUNCTION crm_analytics.customer_value_at(date, integer, double precision, double precision) IS
'One row a customer, from the orders known at the end of a day: what it was worth, what it will be over horizon_days (purchases, spend, and clv: the margin '
'or revenue of the months ahead, discounted monthly at the yearly rate, in the base currency), when its next order is due (next_order_on: by its usual gap; '
'past: overdue), when it falls silent (nine gaps in ten are shorter) and the day on which P(alive) falls to churn_threshold if no order comes (churn_on; '
'NULL where it never does), with the reason where it has; RFM scores by stored edges (5 best), value_segment A: the smallest set that holds 80 % of all clv, '
'B: to 95 %. method: the model in use whose data ended by then, or baseline (rate so far times the share that returns) while there is none. p_alive is NULL '
'with the baseline and with NBD, and churn_on is then silent_on. Order-to-order gaps are drawn towards those of all customers.';

CREATE OR REPLACE VIEW crm_analytics.customer_value WITH (security_invoker = true) AS
SELECT v.*, ow.name AS owner, mo.kind || to_char(mo.as_of, ' YYYY-MM-DD') AS model
FROM (
    SELECT v.* FROM crm_analytics.customer_value_at() AS v
) AS v
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.value_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id;
COMMENT ON VIEW crm_analytics.customer_value IS 'One row a customer, as of today, over the next 365 days: see crm_analytics.customer_value_at.';
COMMENT ON COLUMN crm_analytics.customer_value.account_name IS 'Name of the account.';
COMMENT ON COLUMN crm_analytics.customer_value.orders IS 'Number of orders.';
COMMENT ON COLUMN crm_analytics.customer_value.purchase_days IS 'Days with an order.';
COMMENT ON COLUMN crm_analytics.customer_value.first_order_on IS 'Day of the first order.';
COMMENT ON COLUMN crm_analytics.customer_value.last_order_on IS 'Day of the last order.';
COMMENT ON COLUMN crm_analytics.customer_value.revenue IS 'Sales less returns, in base currency.';
COMMENT ON COLUMN crm_analytics.customer_value.margin IS 'Contribution, in base currency; NULL where none is known.';
COMMENT ON COLUMN crm_analytics.customer_value.mean_order IS 'Revenue over orders.';
COMMENT ON COLUMN crm_analytics.customer_value.p_alive IS 'Probability that the customer still is one; NULL: the method knows none.';
COMMENT ON COLUMN crm_analytics.customer_value.expected_purchases IS 'Purchases expected within a year.';
COMMENT ON COLUMN crm_analytics.customer_value.expected_spend IS 'Spend expected per purchase, in base currency.';
COMMENT ON COLUMN crm_analytics.customer_value.clv IS 'Margin of the year ahead, discounted monthly, in base currency.';
COMMENT ON COLUMN crm_analytics.customer_value.clv_basis IS 'Whose margin it is: the customer''s own, that of all, or revenue where none is known.';
COMMENT ON COLUMN crm_analytics.customer_value.usual_gap_days IS 'Mean gap in days between its orders, drawn towards that of all customers.';
COMMENT ON COLUMN crm_analytics.customer_value.next_order_on IS
'Day on which the next order is due: one usual gap after the last; past: it is overdue; NULL: the customer counts as gone.';
COMMENT ON COLUMN crm_analytics.customer_value.silent_on IS 'Day on which it will have been silent longer than nine of ten of its usual gaps.';
COMMENT ON COLUMN crm_analytics.customer_value.churn_on IS 'Day on which p_alive falls below the threshold if no order comes.';
COMMENT ON COLUMN crm_analytics.customer_value.churn_reason IS 'Why it counts as leaving; NULL: it does not.';
COMMENT ON COLUMN crm_analytics.customer_value.recency_score IS '1 to 5, 5 for the latest order.';
COMMENT ON COLUMN crm_analytics.customer_value.frequency_score IS '1 to 5, 5 for the most days with an order.';
COMMENT ON COLUMN crm_analytics.customer_value.monetary_score IS '1 to 5, 5 for the highest revenue.';
COMMENT ON COLUMN crm_analytics.customer_value.rfm IS 'The three scores, one after the other.';
COMMENT ON COLUMN crm_analytics.customer_value.value_segment IS 'A: the smallest set that holds 80 % of all clv; B: up to 95 %; C: the others.';
COMMENT ON COLUMN crm_analytics.customer_value.method IS 'Kind of model that answered, or baseline.';
COMMENT ON COLUMN crm_analytics.customer_value.sample_size IS 'Customers the model was fitted to.';
COMMENT ON COLUMN crm_analytics.customer_value.model_id IS 'Row of crm.value_models; NULL: the baseline answered.';

CREATE OR REPLACE VIEW crm_analytics.value_model_quality WITH (security_invoker = true) AS
SELECT v.*, mo.kind || to_char(mo.as_of, ' YYYY-MM-DD') AS model
FROM (
    SELECT m.tenant_id, m.id AS model_id, m.kind, m.state, m.as_of, m.holdout_days, m.customers, (m.quality ->> 'actual')::numeric AS actual_purchases,
           (m.quality ->> 'expected')::numeric AS expected_purchases, (m.quality ->> 'tracking')::numeric AS tracking, (m.quality ->> 'mae')::numeric AS mae,
       (m.quality ->> 'baseline_mae')::numeric AS baseline_mae, (m.quality ->> 'rmse')::numeric AS rmse, (m.quality ->> 'baseline_rmse')::numeric AS baseline_rmse,
           (m.quality ->> 'correlation')::numeric AS correlation, (m.quality ->> 'top_decile_lift')::numeric AS top_decile_lift,
       (m.quality ->> 'rmse')::numeric < (m.quality ->> 'baseline_rmse')::numeric AS beats_baseline, m.fit ->> 'state' AS fit_state, m.fit ->> 'advice' AS advice
    FROM crm.value_models AS m
) AS v
LEFT JOIN crm.value_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id;
COMMENT ON VIEW crm_analytics.value_model_quality IS
'One row a fitted model: how it foretold the holdout, beside the baseline of each customer''s rate so far. tracking: expected over actual purchases.';
COMMENT ON COLUMN crm_analytics.value_model_quality.kind IS 'bgnbd, mbgnbd, paretonbd or nbd.';
COMMENT ON COLUMN crm_analytics.value_model_quality.state IS 'candidate, active or retired.';
COMMENT ON COLUMN crm_analytics.value_model_quality.as_of IS 'Last day of the data.';
COMMENT ON COLUMN crm_analytics.value_model_quality.holdout_days IS 'Days held out.';
COMMENT ON COLUMN crm_analytics.value_model_quality.customers IS 'Customers it was judged on.';
COMMENT ON COLUMN crm_analytics.value_model_quality.actual_purchases IS 'Purchases made within the days held out.';
COMMENT ON COLUMN crm_analytics.value_model_quality.expected_purchases IS 'Purchases expected.';
COMMENT ON COLUMN crm_analytics.value_model_quality.tracking IS 'expected over actual: 1 is right in all.';
COMMENT ON COLUMN crm_analytics.value_model_quality.mae IS 'Mean absolute error per customer.';
COMMENT ON COLUMN crm_analytics.value_model_quality.baseline_mae IS 'That of the baseline: each customer''s rate so far, times the share that came back.';
COMMENT ON COLUMN crm_analytics.value_model_quality.rmse IS 'Root of the mean squared error per customer.';
COMMENT ON COLUMN crm_analytics.value_model_quality.baseline_rmse IS 'That of the baseline.';
COMMENT ON COLUMN crm_analytics.value_model_quality.correlation IS 'Correlation of expected and actual purchases over customers.';
COMMENT ON COLUMN crm_analytics.value_model_quality.top_decile_lift IS 'Purchases of the tenth expected to buy most, over those of all.';
COMMENT ON COLUMN crm_analytics.value_model_quality.beats_baseline IS 'Whether it is better than the baseline.';
COMMENT ON COLUMN crm_analytics.value_model_quality.fit_state IS 'State of the final fit: converged, no interior optimum ...';
COMMENT ON COLUMN crm_analytics.value_model_quality.advice IS 'What to do about it.';

CREATE OR REPLACE VIEW crm_analytics.value_model_deciles WITH (security_invoker = true) AS
SELECT v.*, mo.kind || to_char(mo.as_of, ' YYYY-MM-DD') AS model
FROM (
    SELECT m.tenant_id, m.id AS model_id, d.decile, d.customers, d.expected, d.actual
FROM crm.value_models AS m CROSS JOIN LATERAL jsonb_to_recordset(m.quality -> 'deciles') AS d(decile integer, customers bigint, expected numeric, actual numeric)
) AS v
LEFT JOIN crm.value_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id;
COMMENT ON VIEW crm_analytics.value_model_deciles IS
'One row a model and decile of expected purchases, 1 the highest: mean expected and actual purchases a customer in the holdout.';
COMMENT ON COLUMN crm_analytics.value_model_deciles.decile IS 'Tenth of the customers by expected purchases, 1 best.';
COMMENT ON COLUMN crm_analytics.value_model_deciles.customers IS 'Customers in it.';
COMMENT ON COLUMN crm_analytics.value_model_deciles.expected IS 'Mean purchases expected within the days held out.';
COMMENT ON COLUMN crm_analytics.value_model_deciles.actual IS 'Mean purchases made.';

CREATE OR REPLACE VIEW crm_analytics.value_model_calibration WITH (security_invoker = true) AS
SELECT v.*, mo.kind || to_char(mo.as_of, ' YYYY-MM-DD') AS model
FROM (
    SELECT m.tenant_id, m.id AS model_id, b.bin, b.customers, b.p_alive, b.bought
FROM crm.value_models AS m CROSS JOIN LATERAL jsonb_to_recordset(m.quality -> 'p_alive_bins') AS b(bin integer, customers bigint, p_alive numeric, bought numeric)
) AS v
LEFT JOIN crm.value_models AS mo ON mo.tenant_id = v.tenant_id AND mo.id = v.model_id;
COMMENT ON VIEW crm_analytics.value_model_calibration IS
'One row a model and fifth of P(alive), 1 the lowest: mean P(alive) and the share that bought in the holdout. A customer who is alive need not '
'buy within it, so bought is below p_alive.';
COMMENT ON COLUMN crm_analytics.value_model_calibration.bin IS 'Fifth of the customers by predicted p_alive, 1 lowest.';
COMMENT ON COLUMN crm_analytics.value_model_calibration.customers IS 'Customers in it.';
COMMENT ON COLUMN crm_analytics.value_model_calibration.p_alive IS 'Mean p_alive that was predicted.';
COMMENT ON COLUMN crm_analytics.value_model_calibration.bought IS 'Share that bought within the days held out.';
