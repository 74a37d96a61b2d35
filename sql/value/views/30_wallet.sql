CREATE OR REPLACE VIEW crm_analytics.wallet_share WITH (security_invoker = true) AS
SELECT w.tenant_id, w.id AS declaration_id, w.account_id, a.name AS account_name, w.family, w.period, s.own_spend, w.total_spend,
       CASE WHEN w.total_spend IS NOT NULL THEN round(least(1, greatest(0, s.own_spend) / w.total_spend), 4) END AS share_by_spend,
       coalesce(s.own_spend > w.total_spend, false) AS over_declared, w.our_rank, w.suppliers,
       CASE WHEN w.our_rank IS NOT NULL AND w.suppliers IS NOT NULL THEN round(crm.wallet_allocation(w.our_rank, w.suppliers)::numeric, 4) END AS share_by_rank,
       CASE WHEN w.total_spend IS NOT NULL THEN greatest(0, w.total_spend - s.own_spend)
            ELSE round((s.own_spend / nullif(crm.wallet_allocation(w.our_rank, w.suppliers), 0)::numeric - s.own_spend), 2) END AS open_wallet, s.order_count
FROM crm.wallet_declarations AS w
JOIN crm.accounts AS a ON a.tenant_id = w.tenant_id AND a.id = w.account_id
CROSS JOIN LATERAL (
    SELECT coalesce(CASE WHEN w.family IS NULL THEN sum(o.base_amount)
                         ELSE (SELECT sum(l.amount * o2.base_amount / nullif(o2.amount, 0)) FROM crm.orders AS o2
                               JOIN crm.order_lines AS l ON l.tenant_id = o2.tenant_id AND l.order_id = o2.id
                               JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = l.product_id
                               WHERE o2.tenant_id = w.tenant_id AND o2.account_id = w.account_id AND o2.state <> 'cancelled' AND o2.ordered_on <@ w.period AND p.family = w.family) END, 0) AS own_spend,
           count(*) AS order_count
    FROM crm.orders AS o WHERE o.tenant_id = w.tenant_id AND o.account_id = w.account_id AND o.state <> 'cancelled' AND o.ordered_on <@ w.period) AS s;
COMMENT ON VIEW crm_analytics.wallet_share IS
'One row a declaration: our sales to the customer in the period (base currency), their share of its declared spend (at most 1; over_declared tells where we sold more than it says it spends), the share by the Wallet Allocation Rule from our rank among its suppliers, what is still to be won (open_wallet), and the orders it rests on.';
