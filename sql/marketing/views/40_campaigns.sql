-- Campaigns, their members with every status, and the facts that results rest on.

CREATE OR REPLACE VIEW crm_analytics.dim_campaign WITH (security_invoker = true) AS
WITH RECURSIVE tree AS (
    SELECT c.tenant_id, c.id, c.name AS path, 0 AS depth FROM crm.campaigns AS c WHERE c.parent_id IS NULL
    UNION ALL
    SELECT c.tenant_id, c.id, t.path || ' > ' || c.name, t.depth + 1
    FROM tree AS t JOIN crm.campaigns AS c ON c.tenant_id = t.tenant_id AND c.parent_id = t.id
)
SELECT c.tenant_id, c.id AS campaign_id, c.code, c.name, c.parent_id, p.name AS parent, t.path, t.depth, c.objective, c.channels[1] AS main_channel, c.channels,
       c.status, c.begins_on, c.ends_on, c.started_at, c.finished_at, c.budget, c.expected_revenue, c.currency, c.expected_responses, c.expected_leads,
       c.hold_out_share, c.outcome_days, c.hand_over, c.description, c.manager_id, u.name AS manager
FROM crm.campaigns AS c
JOIN tree AS t ON t.tenant_id = c.tenant_id AND t.id = c.id
LEFT JOIN crm.campaigns AS p ON p.tenant_id = c.tenant_id AND p.id = c.parent_id
LEFT JOIN crm.users AS u ON u.tenant_id = c.tenant_id AND u.id = c.manager_id;
COMMENT ON VIEW crm_analytics.dim_campaign IS 'One row = one campaign, with its place in the tree.';
COMMENT ON COLUMN crm_analytics.dim_campaign.campaign_id IS 'The campaign.';
COMMENT ON COLUMN crm_analytics.dim_campaign.parent_id IS 'Campaign it is part of; NULL: none.';
COMMENT ON COLUMN crm_analytics.dim_campaign.parent IS 'Name of the campaign it is part of.';
COMMENT ON COLUMN crm_analytics.dim_campaign.path IS 'Names from the top of the tree down to it.';
COMMENT ON COLUMN crm_analytics.dim_campaign.depth IS 'Steps below the top.';
COMMENT ON COLUMN crm_analytics.dim_campaign.objective IS 'What it is for.';
COMMENT ON COLUMN crm_analytics.dim_campaign.main_channel IS 'The first of its channels.';
COMMENT ON COLUMN crm_analytics.dim_campaign.channels IS 'Channels it goes through.';
COMMENT ON COLUMN crm_analytics.dim_campaign.status IS 'planned, running, paused, finished or cancelled.';
COMMENT ON COLUMN crm_analytics.dim_campaign.begins_on IS 'First day it is planned for.';
COMMENT ON COLUMN crm_analytics.dim_campaign.ends_on IS 'Last day it is planned for.';
COMMENT ON COLUMN crm_analytics.dim_campaign.started_at IS 'When it first ran.';
COMMENT ON COLUMN crm_analytics.dim_campaign.finished_at IS 'When it was finished or cancelled.';
COMMENT ON COLUMN crm_analytics.dim_campaign.budget IS 'What it may cost, in currency.';
COMMENT ON COLUMN crm_analytics.dim_campaign.expected_revenue IS 'What it is to bring, in currency.';
COMMENT ON COLUMN crm_analytics.dim_campaign.expected_responses IS 'How many people are to answer.';
COMMENT ON COLUMN crm_analytics.dim_campaign.expected_leads IS 'How many leads it is to bring.';
COMMENT ON COLUMN crm_analytics.dim_campaign.hold_out_share IS 'Share of the audience that is left alone.';
COMMENT ON COLUMN crm_analytics.dim_campaign.outcome_days IS 'Days after enrolment within which purchases count in the comparison with the hold-out.';
COMMENT ON COLUMN crm_analytics.dim_campaign.hand_over IS 'What becomes of leads that answer.';
COMMENT ON COLUMN crm_analytics.dim_campaign.description IS 'What there is to say about it.';
COMMENT ON COLUMN crm_analytics.dim_campaign.manager_id IS 'User in charge.';
COMMENT ON COLUMN crm_analytics.dim_campaign.manager IS 'Name of the user in charge.';

CREATE OR REPLACE VIEW crm_analytics.campaign_member_history WITH (security_invoker = true) AS
SELECT s.tenant_id, m.campaign_id, c.name AS campaign, s.member_id, m.lead_id, l.name AS lead,
       m.contact_id, k.name AS contact, m.account_id, a.name AS account_name, coalesce(k.name, l.name, a.name) AS member,
       s.status, s.entered_at, lead(s.entered_at) OVER w AS left_at, s.cause, s.actor_id, u.name AS actor
FROM crm.campaign_member_states AS s
JOIN crm.campaign_members AS m ON m.tenant_id = s.tenant_id AND m.id = s.member_id
JOIN crm.campaigns AS c ON c.tenant_id = m.tenant_id AND c.id = m.campaign_id
LEFT JOIN crm.leads AS l ON l.tenant_id = m.tenant_id AND l.id = m.lead_id
LEFT JOIN crm.contacts AS k ON k.tenant_id = m.tenant_id AND k.id = m.contact_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = m.tenant_id AND a.id = m.account_id
LEFT JOIN crm.users AS u ON u.tenant_id = s.tenant_id AND u.id = s.actor_id
WINDOW w AS (PARTITION BY s.tenant_id, s.member_id ORDER BY s.entered_at, s.id);
COMMENT ON VIEW crm_analytics.campaign_member_history IS 'One row = one status a member of a campaign has had, from when to when.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.campaign_id IS 'The campaign.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.member_id IS 'The member (crm.campaign_members).';
COMMENT ON COLUMN crm_analytics.campaign_member_history.lead IS 'Name of the lead.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.member IS 'Name of the contact, lead or account.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.status IS 'The status.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.entered_at IS 'Since when.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.left_at IS 'Until when; NULL: it is the present one.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.cause IS 'What brought it; NULL: somebody wrote it.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.actor_id IS 'User who did it; NULL: nobody in particular.';
COMMENT ON COLUMN crm_analytics.campaign_member_history.actor IS 'Name of that user.';

CREATE OR REPLACE VIEW crm_analytics.fact_touches WITH (security_invoker = true) AS
SELECT h.tenant_id, h.id AS touch_id, h.kind, h.channel, n.name AS channel_name, n.direct, h.campaign_id, c.name AS campaign, h.variant_id, v.name AS variant,
       h.lead_id, l.name AS lead, h.contact_id, k.name AS contact, h.account_id, a.name AS account_name,
       h.touched_at, crm.local_day(h.tenant_id, h.touched_at) AS touched_on, h.engaging, h.object, h.base_cost AS cost, h.source_system, h.recorded_at
FROM crm.touches AS h
JOIN crm.channels AS n ON n.tenant_id = h.tenant_id AND n.code = h.channel
LEFT JOIN crm.campaigns AS c ON c.tenant_id = h.tenant_id AND c.id = h.campaign_id
LEFT JOIN crm.campaign_variants AS v ON v.tenant_id = h.tenant_id AND v.id = h.variant_id
LEFT JOIN crm.leads AS l ON l.tenant_id = h.tenant_id AND l.id = h.lead_id
LEFT JOIN crm.contacts AS k ON k.tenant_id = h.tenant_id AND k.id = h.contact_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = h.tenant_id AND a.id = h.account_id;
COMMENT ON VIEW crm_analytics.fact_touches IS 'One row = one contact of somebody with a channel or a campaign.';
COMMENT ON COLUMN crm_analytics.fact_touches.touch_id IS 'Number of the touch.';
COMMENT ON COLUMN crm_analytics.fact_touches.kind IS 'What kind of contact.';
COMMENT ON COLUMN crm_analytics.fact_touches.channel IS 'Code of the channel.';
COMMENT ON COLUMN crm_analytics.fact_touches.channel_name IS 'Name of the channel.';
COMMENT ON COLUMN crm_analytics.fact_touches.direct IS 'Whether the channel says nothing about why somebody came.';
COMMENT ON COLUMN crm_analytics.fact_touches.campaign_id IS 'The campaign; NULL: none.';
COMMENT ON COLUMN crm_analytics.fact_touches.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.fact_touches.variant_id IS 'Variant of the campaign; NULL: none.';
COMMENT ON COLUMN crm_analytics.fact_touches.variant IS 'Name of the variant.';
COMMENT ON COLUMN crm_analytics.fact_touches.lead IS 'Name of the lead.';
COMMENT ON COLUMN crm_analytics.fact_touches.touched_at IS 'When it happened.';
COMMENT ON COLUMN crm_analytics.fact_touches.touched_on IS 'Day of it in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_touches.engaging IS 'Whether they did something themselves.';
COMMENT ON COLUMN crm_analytics.fact_touches.object IS 'What it was about.';
COMMENT ON COLUMN crm_analytics.fact_touches.cost IS 'Cost of this contact in base currency; NULL: none of its own.';
COMMENT ON COLUMN crm_analytics.fact_touches.recorded_at IS 'When it was written down.';

CREATE OR REPLACE VIEW crm_analytics.fact_campaign_costs WITH (security_invoker = true) AS
SELECT k.tenant_id, k.id AS cost_id, k.campaign_id, c.name AS campaign, coalesce(k.channel, c.channels[1]) AS channel, k.spent_on,
       date_trunc('month', k.spent_on::timestamp)::date AS month, k.kind, k.amount, k.currency, k.base_amount AS cost, k.note
FROM crm.campaign_costs AS k
JOIN crm.campaigns AS c ON c.tenant_id = k.tenant_id AND c.id = k.campaign_id
UNION ALL
SELECT h.tenant_id, NULL, h.campaign_id, c.name, h.channel, h.touched_on, date_trunc('month', h.touched_on::timestamp)::date, 'touch', h.amount, h.currency,
       h.cost, NULL
FROM (SELECT x.tenant_id, x.campaign_id, x.channel, crm.local_day(x.tenant_id, x.touched_at) AS touched_on, x.currency, sum(x.cost) AS amount,
             sum(x.base_cost) AS cost
      FROM crm.touches AS x WHERE x.cost IS NOT NULL GROUP BY 1, 2, 3, 4, 5) AS h
LEFT JOIN crm.campaigns AS c ON c.tenant_id = h.tenant_id AND c.id = h.campaign_id;
COMMENT ON VIEW crm_analytics.fact_campaign_costs IS
'One row = one cost of a campaign, or what the touches of a day cost by campaign, channel and currency. The sum of cost is what marketing cost.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.cost_id IS 'Row of crm.campaign_costs; NULL: of touches.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.campaign_id IS 'The campaign; NULL: touches of none.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.channel IS 'Channel it was spent for; of a cost without one the first of its campaign.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.spent_on IS 'Day it is of.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.month IS 'First day of its month.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.kind IS 'media, production, people, discount, other, or touch.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.amount IS 'Cost, in currency.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.cost IS 'Cost in base currency at the rate of the day.';
COMMENT ON COLUMN crm_analytics.fact_campaign_costs.note IS 'What it was for.';
