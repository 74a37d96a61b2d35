-- Purchases, revenue and margin by account and day, as a rollup. Readers take crm_analytics.account_days, which also answers those who do not see
-- every row.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM crm.rollups AS r WHERE r.name = 'account_days') THEN
        PERFORM crm.create_rollup('account_days', 'crm.orders', '{account_id, ordered_on}',
            ARRAY['count(*) FILTER (WHERE kind = ''sale'') AS purchases', 'sum(base_amount) AS revenue', 'sum(base_margin) AS margin'],
            $f$state <> 'cancelled'$f$, 'crm_internal.account_days');
    END IF;
END
$$;
