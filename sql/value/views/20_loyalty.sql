-- Loyalty: what accounts need most, value by need, whom to keep and whom to win back.

CREATE OR REPLACE VIEW crm_analytics.account_main_need WITH (security_invoker = true) AS
SELECT v.*, ac.name AS account_name
FROM (
    SELECT a.tenant_id, a.id AS account_id, coalesce(d.need, f.family, 'unknown') AS need,
           CASE WHEN d.need IS NOT NULL THEN 'declared' WHEN f.family IS NOT NULL THEN 'bought' END AS known_by
    FROM crm.accounts AS a
    LEFT JOIN (SELECT DISTINCT ON (n.tenant_id, n.account_id) n.tenant_id, n.account_id, n.need FROM crm.account_needs AS n
               ORDER BY n.tenant_id, n.account_id, n.importance DESC, n.need) AS d ON d.tenant_id = a.tenant_id AND d.account_id = a.id
    -- as crm_analytics.account_families, but open to the account that is asked for
    LEFT JOIN (SELECT DISTINCT ON (x.tenant_id, x.account_id) x.tenant_id, x.account_id, x.family
               FROM (SELECT o.tenant_id, o.account_id, coalesce(p.family, p.name) AS family, sum(l.amount * o.base_amount / nullif(o.amount, 0)) AS revenue
                     FROM crm.orders AS o
                     JOIN crm.order_lines AS l ON l.tenant_id = o.tenant_id AND l.order_id = o.id
                     JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = l.product_id
                     WHERE o.state <> 'cancelled' AND o.ordered_on <= crm.local_day(o.tenant_id, now())
                     GROUP BY o.tenant_id, o.account_id, coalesce(p.family, p.name)) AS x
               ORDER BY x.tenant_id, x.account_id, x.revenue DESC NULLS LAST, x.family) AS f ON f.tenant_id = a.tenant_id AND f.account_id = a.id
) AS v
LEFT JOIN crm.accounts AS ac ON ac.tenant_id = v.tenant_id AND ac.id = v.account_id;
COMMENT ON VIEW crm_analytics.account_main_need IS
'One row an account: its foremost need, declared (crm.account_needs) or else the product family it spends most on.';
COMMENT ON COLUMN crm_analytics.account_main_need.need IS 'What the customer needs most.';
COMMENT ON COLUMN crm_analytics.account_main_need.known_by IS 'declared: the customer said so; bought: the product family it buys most.';

CREATE OR REPLACE VIEW crm_analytics.value_by_need WITH (security_invoker = true) AS
SELECT v.tenant_id, v.value_segment, n.need, count(*) AS customers, sum(v.revenue) AS revenue, sum(v.clv) AS clv, round(avg(v.p_alive)::numeric, 3) AS mean_p_alive,
       count(*) FILTER (WHERE v.churn_reason IS NOT NULL) AS leaving
FROM crm_analytics.customer_value AS v JOIN crm_analytics.account_main_need AS n USING (tenant_id, account_id)
GROUP BY v.tenant_id, v.value_segment, n.need;
COMMENT ON VIEW crm_analytics.value_by_need IS
'One row a value segment and need: the grid of value against needs, with customers, past revenue, clv and how many are leaving.';
COMMENT ON COLUMN crm_analytics.value_by_need.value_segment IS 'A, B or C by customer value.';
COMMENT ON COLUMN crm_analytics.value_by_need.need IS 'What the customers need most.';
COMMENT ON COLUMN crm_analytics.value_by_need.customers IS 'Number of customers.';
COMMENT ON COLUMN crm_analytics.value_by_need.revenue IS 'Their revenue so far, in base currency.';
COMMENT ON COLUMN crm_analytics.value_by_need.clv IS 'Their customer value, in base currency.';
COMMENT ON COLUMN crm_analytics.value_by_need.mean_p_alive IS 'Mean probability that they still are customers.';
COMMENT ON COLUMN crm_analytics.value_by_need.leaving IS 'Customers among them that count as leaving.';

CREATE OR REPLACE VIEW crm_analytics.retention_list WITH (security_invoker = true) AS
SELECT v.*, ow.name AS owner
FROM (
    SELECT r.* FROM crm_analytics.churn_risks() AS r WHERE r.state = 'leaving'
) AS v
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id;
COMMENT ON VIEW crm_analytics.retention_list IS 'One row a customer about to leave within 90 days: whom to call, by value_at_stake.';
COMMENT ON COLUMN crm_analytics.retention_list.account_name IS 'Name of the account.';
COMMENT ON COLUMN crm_analytics.retention_list.value_segment IS 'A, B or C by customer value.';
COMMENT ON COLUMN crm_analytics.retention_list.p_alive IS 'Probability that the customer still is one; NULL: the method knows none.';
COMMENT ON COLUMN crm_analytics.retention_list.last_order_on IS 'Day of the last order.';
COMMENT ON COLUMN crm_analytics.retention_list.churn_on IS 'Day on which it will count as gone unless an order comes.';
COMMENT ON COLUMN crm_analytics.retention_list.state IS 'leaving.';
COMMENT ON COLUMN crm_analytics.retention_list.value_at_stake IS 'What it would bring by staying, beyond what is expected of it, in base currency.';
COMMENT ON COLUMN crm_analytics.retention_list.reasons IS 'Why it counts as leaving, one a line.';
CREATE OR REPLACE VIEW crm_analytics.winback_list WITH (security_invoker = true) AS
SELECT v.*, ow.name AS owner
FROM (
    SELECT r.* FROM crm_analytics.churn_risks() AS r WHERE r.state = 'gone'
) AS v
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id;
COMMENT ON VIEW crm_analytics.winback_list IS 'One row a customer who has left: whom to win back, by value_at_stake.';
COMMENT ON COLUMN crm_analytics.winback_list.account_name IS 'Name of the account.';
COMMENT ON COLUMN crm_analytics.winback_list.value_segment IS 'A, B or C by customer value.';
COMMENT ON COLUMN crm_analytics.winback_list.p_alive IS 'Probability that the customer still is one; NULL: the method knows none.';
COMMENT ON COLUMN crm_analytics.winback_list.last_order_on IS 'Day of the last order.';
COMMENT ON COLUMN crm_analytics.winback_list.churn_on IS 'Day since which it counts as gone.';
COMMENT ON COLUMN crm_analytics.winback_list.state IS 'gone.';
COMMENT ON COLUMN crm_analytics.winback_list.value_at_stake IS 'What it would bring by coming back, beyond what is expected of it, in base currency.';
COMMENT ON COLUMN crm_analytics.winback_list.reasons IS 'Why it counts as gone, one a line.';
