-- Orders that count otherwise now than on a day: cancelled since, or taken back in.
CREATE OR REPLACE FUNCTION crm_analytics.orders_restated(day date)
RETURNS TABLE (order_id bigint, account_id bigint)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
BEGIN
    IF day >= crm.local_day(mine, now()) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT o.id, o.account_id
    FROM (SELECT DISTINCT ON (p.record_id) p.record_id, p.value
          FROM crm.past_values AS p JOIN crm.tenants AS t ON t.tenant_id = p.tenant_id
          WHERE p.tenant_id = mine AND p.table_name = 'orders' AND p.column_name = 'state'
            AND p.until >= ((orders_restated.day + 1)::timestamp AT TIME ZONE t.time_zone)
          ORDER BY p.record_id, p.until) AS w
    JOIN crm.orders AS o ON o.tenant_id = mine AND o.id = w.record_id
    WHERE (o.state = 'cancelled') <> (w.value = '"cancelled"');
END
$$;
COMMENT ON FUNCTION crm_analytics.orders_restated(date) IS
'Orders that counted at the end of a day in the tenant''s zone and do not now, because they were cancelled since, or the other way round.';

CREATE OR REPLACE FUNCTION crm_analytics.account_days_known(day date)
RETURNS TABLE (account_id bigint, ordered_on date, purchases numeric, revenue numeric)
LANGUAGE plpgsql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    restated CONSTANT bigint[] := ARRAY(SELECT r.order_id FROM crm_analytics.orders_restated(account_days_known.day) AS r);
BEGIN
    IF restated = '{}' THEN
        RETURN QUERY SELECT v.account_id, v.ordered_on, v.purchases::numeric, v.revenue FROM crm_analytics.account_days AS v
                     WHERE v.tenant_id = mine AND v.ordered_on <= account_days_known.day;
        RETURN;
    END IF;
    -- orders that counted otherwise then are added, or taken off
    RETURN QUERY
        SELECT b.account_id, b.ordered_on, sum(b.purchases), sum(b.revenue)
        FROM (SELECT v.account_id, v.ordered_on, v.purchases::numeric AS purchases, v.revenue FROM crm_analytics.account_days AS v
              WHERE v.tenant_id = mine AND v.ordered_on <= account_days_known.day
              UNION ALL
              SELECT o.account_id, o.ordered_on, (k.sign * (o.kind = 'sale')::integer)::numeric, k.sign * o.base_amount
              FROM crm.orders AS o CROSS JOIN LATERAL (SELECT CASE o.state WHEN 'cancelled' THEN 1 ELSE -1 END) AS k (sign)
              WHERE o.tenant_id = mine AND o.id = ANY (restated) AND o.ordered_on <= account_days_known.day) AS b
        GROUP BY b.account_id, b.ordered_on;
END
$$;
COMMENT ON FUNCTION crm_analytics.account_days_known(date) IS
'Purchases and revenue of each account and day as they were known at the end of a day in the tenant''s zone: crm_analytics.account_days, with orders that were '
'cancelled since, and without those that were brought back.';

-- A customer as a purchase model sees it: repeat purchase days, the time of the last one, age, mean spend on a repeat day.
CREATE OR REPLACE FUNCTION crm_analytics.purchase_histories(as_of date DEFAULT crm.local_day(crm.tenant_id(), now()), account_ids bigint[] DEFAULT NULL)
RETURNS TABLE (tenant_id bigint, account_id bigint, first_order_on date, last_order_on date, orders bigint, purchase_days bigint,
               revenue numeric, margin numeric, x double precision, t_x double precision, age double precision, mean_spend double precision)
LANGUAGE plpgsql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    restated CONSTANT bigint[] := ARRAY(SELECT r.order_id FROM crm_analytics.orders_restated(purchase_histories.as_of) AS r
                                        WHERE purchase_histories.account_ids IS NULL OR r.account_id = ANY (purchase_histories.account_ids));
BEGIN
    RETURN QUERY
    SELECT d.tenant_id, d.account_id, min(d.ordered_on) FILTER (WHERE d.purchases > 0), max(d.ordered_on) FILTER (WHERE d.purchases > 0),
           sum(d.purchases)::bigint, count(*) FILTER (WHERE d.purchases > 0), sum(d.revenue), sum(d.margin),
           (count(*) FILTER (WHERE d.purchases > 0) - 1)::double precision,
           ((max(d.ordered_on) FILTER (WHERE d.purchases > 0) - min(d.ordered_on) FILTER (WHERE d.purchases > 0)) / 7.0)::double precision,
           ((purchase_histories.as_of - min(d.ordered_on) FILTER (WHERE d.purchases > 0)) / 7.0)::double precision,
           coalesce(avg(d.revenue) FILTER (WHERE d.purchases > 0 AND d.ordered_on > d.first_on), 0)::double precision
    FROM (SELECT a.tenant_id, a.account_id, a.ordered_on, a.purchases, a.revenue, a.margin,
                 min(a.ordered_on) FILTER (WHERE a.purchases > 0) OVER (PARTITION BY a.tenant_id, a.account_id) AS first_on
          FROM (SELECT v.tenant_id, v.account_id, v.ordered_on, v.purchases, v.revenue, v.margin FROM crm_analytics.account_days AS v
                WHERE purchase_histories.account_ids IS NULL AND restated = '{}' AND v.tenant_id = mine AND v.ordered_on <= purchase_histories.as_of
                UNION ALL
                -- of all accounts, where some orders counted otherwise then: theirs are added, or taken off
                SELECT b.tenant_id, b.account_id, b.ordered_on, sum(b.purchases), sum(b.revenue), sum(b.margin)
                FROM (SELECT v.tenant_id, v.account_id, v.ordered_on, v.purchases, v.revenue, v.margin FROM crm_analytics.account_days AS v
                      WHERE v.tenant_id = mine AND v.ordered_on <= purchase_histories.as_of
                      UNION ALL
                      SELECT o.tenant_id, o.account_id, o.ordered_on, k.sign * (o.kind = 'sale')::integer, k.sign * o.base_amount, k.sign * o.base_margin
                      FROM crm.orders AS o CROSS JOIN LATERAL (SELECT CASE o.state WHEN 'cancelled' THEN 1 ELSE -1 END) AS k(sign)
                      WHERE o.tenant_id = mine AND o.id = ANY (restated) AND o.ordered_on <= purchase_histories.as_of) AS b
                WHERE purchase_histories.account_ids IS NULL AND restated <> '{}'
                GROUP BY b.tenant_id, b.account_id, b.ordered_on
                UNION ALL
                -- of a few accounts: the orders that the sums are made of, by index, for whoever asks
                SELECT o.tenant_id, o.account_id, o.ordered_on, count(*) FILTER (WHERE o.kind = 'sale'), sum(o.base_amount), sum(o.base_margin)
                FROM crm.orders AS o
                WHERE o.tenant_id = mine AND o.account_id = ANY (purchase_histories.account_ids)
                  AND (o.state <> 'cancelled') <> (o.id = ANY (restated))
                  AND o.ordered_on <= purchase_histories.as_of
                GROUP BY 1, 2, 3) AS a) AS d
    GROUP BY d.tenant_id, d.account_id
    HAVING count(*) FILTER (WHERE d.purchases > 0) > 0;
END
$$;
COMMENT ON FUNCTION crm_analytics.purchase_histories(date, bigint[]) IS
'One row a customer (of account_ids, NULL: all): its purchases known at the end of a day. x: repeat purchase days (orders of one day are one); t_x, age: weeks '
'from the first purchase to the last and to as_of; mean_spend: base currency per repeat purchase day, returns taken off, 0 for x = 0. Orders that '
'were cancelled by then count for nothing.';

-- Accounts as they were on a day.
CREATE OR REPLACE FUNCTION crm_analytics.changed_accounts(day date)
RETURNS TABLE (account_id bigint, past jsonb)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT v.record_id, jsonb_object_agg(v.column_name, v.value)
    FROM (SELECT DISTINCT ON (p.record_id, p.column_name) p.record_id, p.column_name, p.value
          FROM crm.past_values AS p
          JOIN crm.tenants AS t ON t.tenant_id = p.tenant_id
          WHERE p.tenant_id = crm.tenant_id() AND p.table_name = 'accounts' AND p.until >= ((day + 1)::timestamp AT TIME ZONE t.time_zone)
          ORDER BY p.record_id, p.column_name, p.until) AS v
    GROUP BY v.record_id
$$;
COMMENT ON FUNCTION crm_analytics.changed_accounts(date) IS
'Accounts that said something else at the end of a day in the tenant''s zone: the columns that were changed since, with what they said.';
