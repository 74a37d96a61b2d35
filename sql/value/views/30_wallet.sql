-- Share of wallet by account.

CREATE OR REPLACE VIEW crm_analytics.wallet_share WITH (security_invoker = true) AS
SELECT w.tenant_id, w.id AS declaration_id, w.account_id, a.name AS account_name, w.family, w.period, s.revenue, w.total_spend,
       CASE WHEN w.total_spend IS NOT NULL THEN round(least(1, greatest(0, s.revenue) / w.total_spend), 4) END AS share_by_spend,
       coalesce(s.revenue > w.total_spend, false) AS over_declared, w.our_rank, w.suppliers,
       CASE WHEN w.our_rank IS NOT NULL AND w.suppliers IS NOT NULL THEN round(crm.wallet_allocation(w.our_rank, w.suppliers)::numeric, 4) END AS share_by_rank,
       CASE WHEN w.total_spend IS NOT NULL THEN greatest(0, w.total_spend - s.revenue)
            ELSE round((s.revenue / nullif(crm.wallet_allocation(w.our_rank, w.suppliers), 0)::numeric - s.revenue), 2) END AS open_wallet, s.orders
FROM crm.wallet_declarations AS w
JOIN crm.accounts AS a ON a.tenant_id = w.tenant_id AND a.id = w.account_id
CROSS JOIN LATERAL (
    SELECT coalesce(CASE WHEN w.family IS NULL THEN sum(o.base_amount)
                         ELSE (SELECT sum(l.amount * o2.base_amount / nullif(o2.amount, 0)) FROM crm.orders AS o2
                               JOIN crm.order_lines AS l ON l.tenant_id = o2.tenant_id AND l.order_id = o2.id
                               JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = l.product_id
                               WHERE o2.tenant_id = w.tenant_id AND o2.account_id = w.account_id AND o2.state <> 'cancelled' AND o2.ordered_on <@ w.period AND p.family = w.family) END, 0) AS revenue,
           count(*) FILTER (WHERE o.kind = 'sale') AS orders
    FROM crm.orders AS o WHERE o.tenant_id = w.tenant_id AND o.account_id = w.account_id AND o.state <> 'cancelled' AND o.ordered_on <@ w.period) AS s;
COMMENT ON VIEW crm_analytics.wallet_share IS
'One row a declaration: our sales to the customer in the period (base currency), their share of its declared spend (at most 1; over_declared tells where we '
'sold more than it says it spends), the share by the Wallet Allocation Rule from our rank among its suppliers, what is still to be won (open_wallet), and the '
'orders it rests on.';
COMMENT ON COLUMN crm_analytics.wallet_share.declaration_id IS 'Row of crm.wallet_declarations.';
COMMENT ON COLUMN crm_analytics.wallet_share.account_name IS 'Name of the account.';
COMMENT ON COLUMN crm_analytics.wallet_share.family IS 'Product family; NULL: everything we sell.';
COMMENT ON COLUMN crm_analytics.wallet_share.period IS 'Days it is about.';
COMMENT ON COLUMN crm_analytics.wallet_share.revenue IS 'Our sales to the customer in the period less returns, in base currency.';
COMMENT ON COLUMN crm_analytics.wallet_share.total_spend IS 'Spend with all suppliers that was declared; NULL: not declared.';
COMMENT ON COLUMN crm_analytics.wallet_share.share_by_spend IS 'revenue over total_spend, at most 1; NULL where nothing was declared.';
COMMENT ON COLUMN crm_analytics.wallet_share.over_declared IS 'We sold more than was declared.';
COMMENT ON COLUMN crm_analytics.wallet_share.our_rank IS 'Our place among the suppliers.';
COMMENT ON COLUMN crm_analytics.wallet_share.suppliers IS 'Number of suppliers.';
COMMENT ON COLUMN crm_analytics.wallet_share.share_by_rank IS 'Share by the Wallet Allocation Rule; NULL without a rank.';
COMMENT ON COLUMN crm_analytics.wallet_share.open_wallet IS 'What the customer spends elsewhere, in base currency.';
COMMENT ON COLUMN crm_analytics.wallet_share.orders IS 'Our sales in the period.';
