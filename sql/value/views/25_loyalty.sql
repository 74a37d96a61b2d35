-- The loyalty programme as reports see it.

CREATE OR REPLACE VIEW crm_analytics.loyalty_accounts WITH (security_invoker = true) AS
SELECT p.tenant_id, p.account_id, p.account_name, p.loyalty_tier, p.tier_name, p.tier_since, m.below_since, p.earned, p.burned, p.expired, p.balance,
       p.next_expires_at, p.expiring
FROM crm_analytics.loyalty_points() AS p
LEFT JOIN crm.loyalty_members AS m ON m.tenant_id = p.tenant_id AND m.account_id = p.account_id;
COMMENT ON VIEW crm_analytics.loyalty_accounts IS
'One row = one customer with points or a tier of the loyalty programme, now. Of an instant: crm_analytics.loyalty_points().';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.account_name IS 'Name of the account.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.loyalty_tier IS 'Code of its tier; NULL: none.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.tier_name IS 'Name of its tier.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.tier_since IS 'Since when it is in that tier.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.below_since IS
'Since when the rule of the tier no longer holds: it is kept for the days of grace; NULL: it holds.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.earned IS 'Points it has earned, less those that returns took back.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.burned IS 'Points it has spent.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.expired IS 'Points that expired unspent.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.balance IS 'Points it has; below 0: it owes some, as what it had bought with them was returned.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.next_expires_at IS 'When some of them expire next; NULL: never.';
COMMENT ON COLUMN crm_analytics.loyalty_accounts.expiring IS 'How many will then.';

CREATE OR REPLACE VIEW crm_analytics.loyalty_by_tier WITH (security_invoker = true) AS
SELECT p.tenant_id, p.loyalty_tier, p.tier_name, t.position, count(*) AS customers, sum(p.earned) AS earned, sum(p.burned) AS burned, sum(p.expired) AS expired,
       sum(p.balance) AS balance, sum(p.expiring) FILTER (WHERE p.next_expires_at < now() + interval '30 days') AS expiring_soon
FROM crm_analytics.loyalty_points() AS p
LEFT JOIN crm.loyalty_tiers AS t ON t.tenant_id = p.tenant_id AND t.code = p.loyalty_tier
GROUP BY p.tenant_id, p.loyalty_tier, p.tier_name, t.position;
COMMENT ON VIEW crm_analytics.loyalty_by_tier IS
'One row = one tier of the loyalty programme, and one for customers with points in none: what they earned, spent and may yet spend.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.loyalty_tier IS 'Code of the tier; NULL: none.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.tier_name IS 'Name of the tier.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.position IS 'Its place, the higher the better.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.customers IS 'Customers in it.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.earned IS 'Points they have earned.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.burned IS 'Points they have spent.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.expired IS 'Points that expired unspent.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.balance IS 'Points that they may spend: what the company owes them.';
COMMENT ON COLUMN crm_analytics.loyalty_by_tier.expiring_soon IS 'Points of theirs that are the next to expire, within 30 days.';

CREATE OR REPLACE VIEW crm_analytics.loyalty_tier_history WITH (security_invoker = true) AS
SELECT h.tenant_id, h.account_id, a.name AS account_name, h.loyalty_tier, t.name AS tier_name, h.entered_at, h.left_at
FROM (
    SELECT v.tenant_id, v.record_id AS account_id, v.value #>> '{}' AS loyalty_tier, lag(v.until) OVER w AS entered_at, v.until AS left_at
    FROM crm.past_values AS v WHERE v.table_name = 'accounts' AND v.column_name = 'loyalty_tier'
    WINDOW w AS (PARTITION BY v.tenant_id, v.record_id ORDER BY v.until)
    UNION ALL
    SELECT a.tenant_id, a.id, a.loyalty_tier,
           (SELECT max(v.until) FROM crm.past_values AS v WHERE v.tenant_id = a.tenant_id AND v.table_name = 'accounts' AND v.record_id = a.id
              AND v.column_name = 'loyalty_tier'), NULL::timestamptz AS left_at
    FROM crm.accounts AS a
) AS h
JOIN crm.accounts AS a ON a.tenant_id = h.tenant_id AND a.id = h.account_id
JOIN crm.loyalty_tiers AS t ON t.tenant_id = h.tenant_id AND t.code = h.loyalty_tier;
COMMENT ON VIEW crm_analytics.loyalty_tier_history IS 'One row = one tier that a customer has been in, from when to when.';
COMMENT ON COLUMN crm_analytics.loyalty_tier_history.account_name IS 'Name of the account.';
COMMENT ON COLUMN crm_analytics.loyalty_tier_history.loyalty_tier IS 'Code of the tier.';
COMMENT ON COLUMN crm_analytics.loyalty_tier_history.tier_name IS 'Name of the tier.';
COMMENT ON COLUMN crm_analytics.loyalty_tier_history.entered_at IS 'Since when.';
COMMENT ON COLUMN crm_analytics.loyalty_tier_history.left_at IS 'Until when; NULL: it is in it.';
