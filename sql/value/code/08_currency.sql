-- Figures of customer value that are stored in the tenant's base currency, when that changes.

CREATE OR REPLACE FUNCTION crm_internal.resettle_values(was crm.tenants, now_is crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := now_is.tenant_id;
    first_day date;
BEGIN
    IF was.base_currency = now_is.base_currency THEN
        RETURN;
    END IF;
    -- who writes figures in the old currency ends first
    LOCK TABLE crm.wallet_declarations, crm.winback_members, crm.rfm_edges, crm.value_models IN SHARE ROW EXCLUSIVE MODE;
    SELECT min(d.day) INTO first_day
    FROM (SELECT upper(w.period) - 1 FROM crm.wallet_declarations AS w WHERE w.tenant_id = t AND w.total_spend IS NOT NULL
          UNION ALL SELECT m.started_on FROM crm.winback_members AS m WHERE m.tenant_id = t AND m.value_at_stake IS NOT NULL
          UNION ALL SELECT e.as_of FROM crm.rfm_edges AS e WHERE e.tenant_id = t
          UNION ALL SELECT m.as_of FROM crm.value_models AS m WHERE m.tenant_id = t AND m.spend_parameters IS NOT NULL) AS d (day);
    IF crm.exchange_rate_on(t, was.base_currency, now_is.base_currency, first_day) IS NULL AND first_day IS NOT NULL THEN
        PERFORM crm_internal.require_rates(t, now_is.base_currency, jsonb_build_object(was.base_currency, first_day));
    END IF;
    UPDATE crm.wallet_declarations AS w
    SET total_spend = w.total_spend * crm.exchange_rate_on(t, was.base_currency, now_is.base_currency, upper(w.period) - 1)
    WHERE w.tenant_id = t AND w.total_spend IS NOT NULL;
    UPDATE crm.winback_members AS m
    SET value_at_stake = m.value_at_stake * crm.exchange_rate_on(t, was.base_currency, now_is.base_currency, m.started_on)
    WHERE m.tenant_id = t AND m.value_at_stake IS NOT NULL;
    UPDATE crm.rfm_edges AS e
    SET monetary = ARRAY(SELECT x.edge * crm.exchange_rate_on(t, was.base_currency, now_is.base_currency, e.as_of)::double precision
                         FROM unnest(e.monetary) WITH ORDINALITY AS x (edge, place) ORDER BY x.place),
        mean_spend = e.mean_spend * crm.exchange_rate_on(t, was.base_currency, now_is.base_currency, e.as_of)::double precision
    WHERE e.tenant_id = t;
    -- of the model of spend p and q are pure numbers, gamma is money
    UPDATE crm.value_models AS m
    SET spend_parameters[3] = m.spend_parameters[3] * crm.exchange_rate_on(t, was.base_currency, now_is.base_currency, m.as_of)::double precision
    WHERE m.tenant_id = t AND m.spend_parameters IS NOT NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.resettle_values(crm.tenants, crm.tenants) IS
'Declared spend, edges of scores, models of spend and values at stake in another base currency, each at the rate of its day. Error CR203 where one is missing.';
SELECT crm.declare_hook('tenant_resettled', 'crm_internal.resettle_values(crm.tenants, crm.tenants)');
