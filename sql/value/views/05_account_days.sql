-- What accounts bought, by day: what every figure on customers' value is made of.

CREATE OR REPLACE FUNCTION crm_analytics.purchases_seen()
RETURNS TABLE (tenant_id bigint, account_id bigint, ordered_on date, purchases bigint, revenue numeric, margin numeric)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.tenant_id, o.account_id, o.ordered_on, count(*) FILTER (WHERE o.kind = 'sale'), sum(o.base_amount), sum(o.base_margin)
    FROM crm.orders AS o
    WHERE o.state <> 'cancelled'
    GROUP BY 1, 2, 3
$$;
COMMENT ON FUNCTION crm_analytics.purchases_seen() IS
'One row = what the orders that the caller may see say of one account and day: what account_days reads for those who do not see every row.';

CREATE OR REPLACE VIEW crm_analytics.account_days WITH (security_invoker = true) AS
SELECT d.tenant_id, d.account_id, a.name AS account_name, d.ordered_on, d.purchases, d.revenue, d.margin
FROM (
    SELECT r.tenant_id, r.account_id, r.ordered_on, r.purchases, r.revenue, r.margin
    FROM crm_internal.account_days AS r
    WHERE crm.can_see(-1, NULL)
    UNION ALL
    SELECT o.tenant_id, o.account_id, o.ordered_on, o.purchases, o.revenue, o.margin
    FROM crm_analytics.purchases_seen() AS o
    WHERE NOT crm.can_see(-1, NULL)
) AS d
LEFT JOIN crm.accounts AS a ON a.tenant_id = d.tenant_id AND a.id = d.account_id;
COMMENT ON VIEW crm_analytics.account_days IS
'One row = the sales and returns of one account on one day, cancelled orders left out; base currency at the rate of the day. Served by a rollup to those who '
'see every row of the tenant.';
COMMENT ON COLUMN crm_analytics.account_days.ordered_on IS 'Day of the orders, in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.account_days.purchases IS 'Number of sales.';
COMMENT ON COLUMN crm_analytics.account_days.margin IS 'Contribution of the orders, in base currency; NULL where none is known.';
