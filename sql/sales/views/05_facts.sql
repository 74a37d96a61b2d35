-- Facts of what was ordered and of leads, one row a record; what row security hides is not there. Deals: room reports, since amounts are converted there.

CREATE OR REPLACE VIEW crm_analytics.fact_orders WITH (security_invoker = true) AS
SELECT o.tenant_id, o.id AS order_id, o.number, o.kind, o.state,
       o.account_id, a.name AS account_name, o.contact_id, c.name AS contact, o.opportunity_id, d.name AS opportunity,
       o.owner_id, u.name AS owner, o.team_id, m.name AS team, o.channel,
       o.ordered_at, o.ordered_on, date_trunc('month', o.ordered_on::timestamp)::date AS month,
       o.amount, o.currency, o.base_amount,
       CASE WHEN o.state <> 'cancelled' THEN o.base_amount END AS revenue,
       CASE WHEN o.state <> 'cancelled' THEN o.base_margin END AS margin
FROM crm.orders AS o
LEFT JOIN crm.accounts AS a ON a.tenant_id = o.tenant_id AND a.id = o.account_id
LEFT JOIN crm.contacts AS c ON c.tenant_id = o.tenant_id AND c.id = o.contact_id
LEFT JOIN crm.opportunities AS d ON d.tenant_id = o.tenant_id AND d.id = o.opportunity_id
LEFT JOIN crm.users AS u ON u.tenant_id = o.tenant_id AND u.id = o.owner_id
LEFT JOIN crm.teams AS m ON m.tenant_id = o.tenant_id AND m.id = o.team_id;
COMMENT ON VIEW crm_analytics.fact_orders IS 'One row = one order: a sale, or a return, which takes from the revenue. The sum of revenue is what was ordered.';
COMMENT ON COLUMN crm_analytics.fact_orders.number IS 'Number of the order for people.';
COMMENT ON COLUMN crm_analytics.fact_orders.kind IS 'sale or return.';
COMMENT ON COLUMN crm_analytics.fact_orders.state IS 'State of the order; cancelled ones have no revenue.';
COMMENT ON COLUMN crm_analytics.fact_orders.channel IS 'How the order came.';
COMMENT ON COLUMN crm_analytics.fact_orders.amount IS 'Amount of the order, in currency, of returns too.';
COMMENT ON COLUMN crm_analytics.fact_orders.base_amount IS 'Amount in base currency at the rate of the day; below zero: a return.';
COMMENT ON COLUMN crm_analytics.fact_orders.month IS 'First day of the month of the order.';
COMMENT ON COLUMN crm_analytics.fact_orders.revenue IS 'base_amount of what was not cancelled; below zero: a return. NULL: cancelled.';
COMMENT ON COLUMN crm_analytics.fact_orders.margin IS 'Contribution in base currency; NULL: not known, or cancelled.';

CREATE OR REPLACE VIEW crm_analytics.fact_order_lines WITH (security_invoker = true) AS
SELECT l.tenant_id, l.id AS order_line_id, l.order_id, o.number AS order_number, o.kind, o.state, o.account_id, a.name AS account_name,
       l.product_id, p.name AS product, p.family, o.owner_id, u.name AS owner, o.ordered_on, date_trunc('month', o.ordered_on::timestamp)::date AS month,
       CASE WHEN o.kind = 'return' THEN - l.quantity ELSE l.quantity END AS quantity, l.unit_price,
       l.discount_percent / 100 AS discount_share, l.amount, o.currency,
       CASE WHEN o.state <> 'cancelled' THEN l.amount * o.base_amount / nullif(o.amount, 0) END AS revenue
FROM crm.order_lines AS l
JOIN crm.orders AS o ON o.tenant_id = l.tenant_id AND o.id = l.order_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = o.tenant_id AND a.id = o.account_id
LEFT JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = l.product_id
LEFT JOIN crm.users AS u ON u.tenant_id = o.tenant_id AND u.id = o.owner_id;
COMMENT ON VIEW crm_analytics.fact_order_lines IS
'One row = one line of one order. Revenue of a line is its share of that of the order; orders without lines have revenue in fact_orders alone.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.order_number IS 'Number of the order for people.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.kind IS 'sale or return.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.state IS 'State of the order; cancelled ones have no revenue.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.month IS 'First day of the month of the order.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.quantity IS 'Units, below zero where they were returned.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.unit_price IS 'Price of one unit, in currency.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.discount_share IS 'Discount, a share of one.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.amount IS 'Amount of the line, in currency.';
COMMENT ON COLUMN crm_analytics.fact_order_lines.revenue IS 'The line''s part of the revenue of its order, in base currency; NULL: cancelled.';

CREATE OR REPLACE VIEW crm_analytics.fact_leads WITH (security_invoker = true) AS
SELECT l.tenant_id, l.id AS lead_id, l.name, l.company,
       CASE WHEN l.converted_at IS NOT NULL THEN 'converted' WHEN l.closed_at IS NOT NULL THEN 'disqualified' ELSE 'open' END AS state,
       l.source AS lead_source, l.medium, l.campaign, l.channel, l.country, l.city, l.industry, l.employees, l.priority,
       l.product_id, p.name AS product, l.pipeline_id, g.name AS pipeline, l.stage_id, s.name AS stage,
       l.account_id, a.name AS account_name, l.contact_id, c.name AS contact, l.opportunity_id, d.name AS opportunity,
       l.owner_id, u.name AS owner, l.team_id, m.name AS team,
       l.created_at, (l.created_at AT TIME ZONE t.time_zone)::date AS created_on, l.first_response_at, l.converted_at, l.closed_at,
       (l.closed_at AT TIME ZONE t.time_zone)::date AS closed_on,
       extract(epoch FROM l.first_response_at - l.created_at) / 60 AS first_response_minutes,
       extract(epoch FROM l.converted_at - l.created_at) / 86400 AS conversion_days,
       CASE WHEN l.closed_at IS NULL THEN extract(epoch FROM now() - l.created_at) / 86400 END AS age_days,
       l.disqualification_reason, l.capture_count, l.recycle_count
FROM crm.leads AS l
JOIN crm.tenants AS t ON t.tenant_id = l.tenant_id
LEFT JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = l.product_id
LEFT JOIN crm.pipelines AS g ON g.tenant_id = l.tenant_id AND g.id = l.pipeline_id
LEFT JOIN crm.stages AS s ON s.tenant_id = l.tenant_id AND s.id = l.stage_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = l.tenant_id AND a.id = l.account_id
LEFT JOIN crm.contacts AS c ON c.tenant_id = l.tenant_id AND c.id = l.contact_id
LEFT JOIN crm.opportunities AS d ON d.tenant_id = l.tenant_id AND d.id = l.opportunity_id
LEFT JOIN crm.users AS u ON u.tenant_id = l.tenant_id AND u.id = l.owner_id
LEFT JOIN crm.teams AS m ON m.tenant_id = l.tenant_id AND m.id = l.team_id
WHERE l.merged_into_id IS NULL;
COMMENT ON VIEW crm_analytics.fact_leads IS 'One row = one lead as it is now; those merged into another are that one. Days are those of the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_leads.company IS 'Company the lead named.';
COMMENT ON COLUMN crm_analytics.fact_leads.state IS 'open, converted or disqualified.';
COMMENT ON COLUMN crm_analytics.fact_leads.lead_source IS 'Where the lead came from; NULL: not known.';
COMMENT ON COLUMN crm_analytics.fact_leads.medium IS 'Medium the lead came by.';
COMMENT ON COLUMN crm_analytics.fact_leads.campaign IS 'Campaign the lead came by.';
COMMENT ON COLUMN crm_analytics.fact_leads.channel IS 'Channel the lead came by.';
COMMENT ON COLUMN crm_analytics.fact_leads.priority IS 'Short name of the priority.';
COMMENT ON COLUMN crm_analytics.fact_leads.account_id IS 'Account it became or belongs to; NULL: none.';
COMMENT ON COLUMN crm_analytics.fact_leads.opportunity_id IS 'Deal it became; NULL: none.';
COMMENT ON COLUMN crm_analytics.fact_leads.closed_on IS 'Day it was converted or disqualified, in the tenant''s zone; NULL: it is open.';
COMMENT ON COLUMN crm_analytics.fact_leads.converted_at IS 'When it was converted; NULL: it was not.';
COMMENT ON COLUMN crm_analytics.fact_leads.conversion_days IS 'Days from its coming to its conversion; NULL: it was not converted.';
COMMENT ON COLUMN crm_analytics.fact_leads.disqualification_reason IS 'Code of the reason it was disqualified for.';
COMMENT ON COLUMN crm_analytics.fact_leads.capture_count IS 'How often it came.';
COMMENT ON COLUMN crm_analytics.fact_leads.recycle_count IS 'How often it was taken up again.';
