-- Orders: their day, their worth in the base currency, and the sums of their lines; and the rollup by customer and
-- day that every figure about customers rests on.

CREATE OR REPLACE FUNCTION crm_internal.fill_order()
RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    zone text;
    base char(3);
    rate numeric;
    sign integer := CASE NEW.kind WHEN 'return' THEN -1 ELSE 1 END;
BEGIN
    SELECT t.time_zone, t.base_currency INTO zone, base FROM crm.tenants AS t WHERE t.tenant_id = NEW.tenant_id;
    NEW.ordered_on := (NEW.ordered_at AT TIME ZONE zone)::date;
    NEW.base_currency := base;
    IF NEW.currency = base THEN
        NEW.base_amount := sign * NEW.amount;
        NEW.base_margin := sign * NEW.margin;
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.kind, NEW.currency, NEW.amount, NEW.margin, NEW.ordered_at) IS NOT DISTINCT FROM
        (OLD.kind, OLD.currency, OLD.amount, OLD.margin, OLD.ordered_at)
    THEN
        -- base currency or zone have changed: by way of the old base currency where the pair itself has no rate
        rate := crm.exchange_rate_on(NEW.tenant_id, NEW.currency, base, NEW.ordered_on);
        IF rate IS NULL THEN
            rate := crm.exchange_rate_on(NEW.tenant_id, OLD.base_currency, base, NEW.ordered_on);
            NEW.base_amount := OLD.base_amount * rate;
            NEW.base_margin := OLD.base_margin * rate;
            RETURN NEW;
        END IF;
    END IF;
    NEW.base_amount := sign * crm.convert_currency(NEW.amount, NEW.currency, base, 'at_event_date', NEW.ordered_on, tenant_id => NEW.tenant_id);
    NEW.base_margin := sign * crm.convert_currency(NEW.margin, NEW.currency, base, 'at_event_date', NEW.ordered_on, tenant_id => NEW.tenant_id);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_order() IS
'Row trigger of orders: day in the tenant''s zone, amount and margin in its base currency at the rate of that day.';
CREATE OR REPLACE TRIGGER orders_before_fill
    BEFORE INSERT OR UPDATE OF kind, ordered_at, ordered_on, currency, amount, margin, base_amount, base_margin, base_currency ON crm.orders
    FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_order();

CREATE OR REPLACE FUNCTION crm_internal.resettle_orders(was crm.tenants, now_is crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- whoever is writing orders with the old settings ends first; who begins later reads the new ones
    LOCK TABLE crm.orders IN SHARE ROW EXCLUSIVE MODE;
    IF was.base_currency <> now_is.base_currency THEN
        PERFORM crm_internal.require_rates(now_is.tenant_id, now_is.base_currency,
            (SELECT jsonb_object_agg(x.currency, x.since) FROM (
                SELECT o.currency, min(o.ordered_on) AS since FROM crm.orders AS o
                WHERE o.tenant_id = now_is.tenant_id AND o.currency <> now_is.base_currency
                  AND crm.exchange_rate_on(o.tenant_id, o.currency, now_is.base_currency, o.ordered_on) IS NULL
                  AND crm.exchange_rate_on(o.tenant_id, was.base_currency, now_is.base_currency, o.ordered_on) IS NULL
                GROUP BY o.currency) AS x));
    END IF;
    UPDATE crm.orders AS o SET ordered_on = o.ordered_on WHERE o.tenant_id = now_is.tenant_id
       AND (was.base_currency <> now_is.base_currency OR (o.ordered_at AT TIME ZONE now_is.time_zone)::date <> o.ordered_on);
    IF was.time_zone <> now_is.time_zone THEN
        -- days that the engine filled in: a day that was given begins its instant (see the guard of stages)
        UPDATE crm.opportunities AS o SET close_date = (o.closed_at AT TIME ZONE now_is.time_zone)::date
        WHERE o.tenant_id = now_is.tenant_id AND o.close_date = (o.closed_at AT TIME ZONE was.time_zone)::date
          AND o.closed_at <> o.close_date::timestamp AT TIME ZONE was.time_zone
          AND o.close_date <> (o.closed_at AT TIME ZONE now_is.time_zone)::date;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.resettle_orders(crm.tenants, crm.tenants) IS
'What is stored of orders and deals when a tenant changes its base currency or zone: worth and days follow. Error CR203 where rates are missing.';
SELECT crm.declare_hook('tenant_resettled', 'crm_internal.resettle_orders(crm.tenants, crm.tenants)');

CREATE OR REPLACE FUNCTION crm_internal.sum_order_lines()
RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenants bigint[];
    touched bigint[];
    tenant bigint;
BEGIN
    -- the transition table is read by itself first; what is written is of one tenant at a time
    SELECT array_agg(DISTINCT l.tenant_id), array_agg(DISTINCT l.order_id) INTO tenants, touched FROM lines AS l;
    FOREACH tenant IN ARRAY coalesce(tenants, '{}') LOOP
        UPDATE crm.orders AS o
        SET amount = s.amount, margin = s.margin
        FROM (SELECT i.id, coalesce(sum(l.amount), 0) AS amount,
                     CASE WHEN count(l.margin) = count(*) THEN sum(l.margin) END AS margin
              FROM unnest(touched) AS i(id)
              LEFT JOIN crm.order_lines AS l ON l.tenant_id = tenant AND l.order_id = i.id
              GROUP BY i.id) AS s
        WHERE o.tenant_id = tenant AND o.id = s.id
          AND (o.amount IS DISTINCT FROM s.amount OR o.margin IS DISTINCT FROM s.margin);
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.sum_order_lines() IS
'Statement trigger of order lines: the amount and margin of an order are the sums of its lines; a line of unknown cost makes the margin unknown.';
CREATE OR REPLACE TRIGGER order_lines_after_insert_sum AFTER INSERT ON crm.order_lines
    REFERENCING NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_order_lines();
CREATE OR REPLACE TRIGGER order_lines_after_update_sum AFTER UPDATE ON crm.order_lines
    REFERENCING NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_order_lines();
CREATE OR REPLACE TRIGGER order_lines_after_delete_sum AFTER DELETE ON crm.order_lines
    REFERENCING OLD TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_order_lines();

CREATE OR REPLACE FUNCTION crm_internal.keep_line_order()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'a line cannot be moved to another order' USING ERRCODE = 'invalid_parameter_value', HINT = 'Delete it and insert it there.';
END
$$;
COMMENT ON FUNCTION crm_internal.keep_line_order() IS 'Row trigger: lines stay with their order, so that a change of lines touches one order''s sums.';
CREATE OR REPLACE TRIGGER order_lines_before_order BEFORE UPDATE OF order_id ON crm.order_lines FOR EACH ROW
    WHEN (OLD.order_id IS DISTINCT FROM NEW.order_id) EXECUTE FUNCTION crm_internal.keep_line_order();
