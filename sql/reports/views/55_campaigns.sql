-- What campaigns brought: by source (who came by them), by attribution (who met them on the way), and what it cost.

CREATE OR REPLACE FUNCTION crm_analytics.conversion_journeys(window_days integer DEFAULT 90)
RETURNS TABLE (tenant_id bigint, opportunity_id bigint, won boolean, closed_at timestamptz, amount numeric, decimals integer,
               touch_ids bigint[], campaign_ids bigint[], channels text[], labels text[], touched_at timestamptz[], key_touch integer)
LANGUAGE sql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT d.tenant_id, d.opportunity_id, d.state = 'won', d.closed_at, d.base_amount, u.minor_units::integer,
           coalesce(j.touch_ids, '{}'), coalesce(j.campaign_ids, '{}'), coalesce(j.channels, '{}'), coalesce(j.labels, '{}'), coalesce(j.touched_at, '{}'),
           j.key_touch
    FROM crm_analytics.fact_opportunities AS d
    JOIN crm.tenants AS t ON t.tenant_id = d.tenant_id
    JOIN crm.currencies AS u ON u.code = t.base_currency
    LEFT JOIN LATERAL (
        SELECT array_agg(h.id ORDER BY h.touched_at, h.id) AS touch_ids, array_agg(h.campaign_id ORDER BY h.touched_at, h.id) AS campaign_ids,
               array_agg(h.channel ORDER BY h.touched_at, h.id) AS channels,
               array_agg(CASE WHEN h.campaign_id IS NULL AND n.direct THEN '(direct)' ELSE h.channel || coalesce(' ' || h.campaign_id, '') END
                         ORDER BY h.touched_at, h.id) AS labels,
               array_agg(h.touched_at ORDER BY h.touched_at, h.id) AS touched_at,
               min(h.place) FILTER (WHERE h.source_system = 'crm.lead_captures')::integer AS key_touch
        FROM (SELECT x.*, row_number() OVER (ORDER BY x.touched_at, x.id) AS place
              FROM crm.touches AS x
              WHERE x.tenant_id = d.tenant_id AND x.engaging AND x.touched_at <= d.closed_at
                AND x.touched_at > d.closed_at - conversion_journeys.window_days * interval '1 day'
                AND (x.account_id = d.account_id OR d.account_id IS NULL AND x.contact_id = d.contact_id)) AS h
        JOIN crm.channels AS n ON n.tenant_id = h.tenant_id AND n.code = h.channel) AS j ON true
    WHERE d.tenant_id = crm.tenant_id() AND d.state IN ('won', 'lost') AND d.closed_on <= crm.local_day(d.tenant_id, now())
$$;
COMMENT ON FUNCTION crm_analytics.conversion_journeys(integer) IS
'One row a deal won or lost, with the touches of its account in the days before it closed, the oldest first: what the models of attribution read. Touches are '
'those in which the customer did something. amount: in base currency; labels: channel and number of the campaign, (direct) for channels that say nothing; '
'key_touch: the place of the first capture, which made the lead.';

CREATE OR REPLACE FUNCTION crm_analytics.attribution_credits(model text DEFAULT 'linear', window_days integer DEFAULT 90)
RETURNS TABLE (tenant_id bigint, opportunity_id bigint, closed_at timestamptz, touch_id bigint, campaign_id bigint, channel text, credit numeric,
    amount numeric)
LANGUAGE sql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT j.tenant_id, j.opportunity_id, j.closed_at, u.touch_id, u.campaign_id, u.channel, u.credit, u.amount
    FROM crm_analytics.conversion_journeys($2) AS j
    CROSS JOIN LATERAL (SELECT crm.touch_weights($1, j.labels, j.touched_at, j.closed_at,
        jsonb_strip_nulls(jsonb_build_object('direct', '(direct)', 'same_instant', 'share', 'key_touch',
            CASE WHEN $1 = 'w_shaped' THEN j.key_touch END)))) AS w (weights)
    CROSS JOIN LATERAL unnest(j.touch_ids, j.campaign_ids, j.channels, crm.split_amount(1, w.weights, 12), crm.split_amount(j.amount, w.weights, j.decimals))
        AS u (touch_id, campaign_id, channel, credit, amount)
    WHERE j.won AND cardinality(j.touch_ids) > 0
    UNION ALL
    SELECT j.tenant_id, j.opportunity_id, j.closed_at, NULL, NULL, NULL, 1, j.amount
    FROM crm_analytics.conversion_journeys($2) AS j WHERE j.won AND cardinality(j.touch_ids) = 0
$$;
COMMENT ON FUNCTION crm_analytics.attribution_credits(text, integer) IS
'One row a won deal and touch within window_days before it: its share of the credit by a model of crm.touch_weights (first, last, last_non_direct, linear, '
'position, w_shaped, time_decay, shapley), and of the amount in base currency. Credits of a deal sum to exactly 1, amounts to that of the deal. A deal nobody '
'was met for has one row, without a touch. Touches of one instant get the same. Error 22023 for an unknown model.';

CREATE OR REPLACE FUNCTION crm_analytics.attribution_between(since date DEFAULT NULL, until date DEFAULT NULL, window_days integer DEFAULT 90)
RETURNS TABLE (tenant_id bigint, model text, campaign_id bigint, channel text, conversions numeric, amount numeric)
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
    WITH journeys AS MATERIALIZED (
        SELECT j.* FROM crm_analytics.conversion_journeys(window_days) AS j
        WHERE (since IS NULL OR crm.local_day(j.tenant_id, j.closed_at) >= since) AND (until IS NULL OR crm.local_day(j.tenant_id, j.closed_at) < until)
    ), credits AS (
        SELECT m.model, u.campaign_id, u.channel, u.credit, u.amount
        FROM unnest('{first,last,last_non_direct,linear,position,w_shaped,time_decay,shapley}'::text[]) AS m (model)
        CROSS JOIN journeys AS j
        CROSS JOIN LATERAL (SELECT crm.touch_weights(m.model, j.labels, j.touched_at, j.closed_at,
            jsonb_strip_nulls(jsonb_build_object('direct', '(direct)', 'same_instant', 'share', 'key_touch',
                                                 CASE WHEN m.model = 'w_shaped' THEN j.key_touch END)))) AS w (weights)
        CROSS JOIN LATERAL unnest(j.campaign_ids, j.channels, crm.split_amount(1, w.weights, 12), crm.split_amount(j.amount, w.weights, j.decimals))
            AS u (campaign_id, channel, credit, amount)
        WHERE j.won AND cardinality(j.touch_ids) > 0
    ), met AS (
        SELECT DISTINCT u.label, u.campaign_id, u.channel FROM journeys AS j
        CROSS JOIN LATERAL unnest(j.labels, j.campaign_ids, j.channels) AS u (label, campaign_id, channel)
    ), named AS (
        -- several channels that say nothing share a label: the first stands for them
        SELECT DISTINCT ON (x.label) x.* FROM met AS x ORDER BY x.label, x.channel
    ), won AS (
        SELECT count(*) AS deals, sum(j.amount) AS amount, max(j.decimals) AS decimals FROM journeys AS j WHERE j.won AND cardinality(j.touch_ids) > 0
    ), markov AS (
        SELECT crm.markov_attribution(j.labels, j.won::integer, j.amount::double precision, (NOT j.won)::integer, 1) AS c
        FROM journeys AS j WHERE cardinality(j.touch_ids) > 0
    ), shares AS (
        SELECT (m.c).channels AS labels, crm.split_amount(w.deals, (m.c).conversions, 12) AS conversions,
               crm.split_amount(w.amount, (m.c).conversions, w.decimals) AS amounts
        FROM markov AS m, won AS w WHERE w.deals > 0
    )
    SELECT crm.tenant_id(), c.model, c.campaign_id, c.channel, sum(c.credit), sum(c.amount) FROM credits AS c GROUP BY c.model, c.campaign_id, c.channel
    UNION ALL
    SELECT crm.tenant_id(), 'markov', n.campaign_id, n.channel, u.conversions, u.amount
    FROM shares AS s CROSS JOIN LATERAL unnest(s.labels, s.conversions, s.amounts) AS u (label, conversions, amount)
    JOIN named AS n ON n.label = u.label
    UNION ALL
    SELECT crm.tenant_id(), m.model, NULL, NULL, count(*), sum(j.amount)
    FROM journeys AS j, unnest('{first,last,last_non_direct,linear,position,w_shaped,time_decay,shapley,markov}'::text[]) AS m (model)
    WHERE j.won AND cardinality(j.touch_ids) = 0 GROUP BY m.model
$$;
COMMENT ON FUNCTION crm_analytics.attribution_between(date, date, integer) IS
'Won deals of some days (since, up to before until; NULL: all) credited to campaigns and channels by every model side by side, from the touches within '
'window_days before each. In every model conversions sum to the number of won deals and amounts to what they brought; channel NULL: nobody was met for them. '
'markov: first order, removal effects, with lost deals as journeys that did not convert. All say what went together, not what caused what: '
'crm_analytics.campaign_incrementality does, where there is a hold-out.';

CREATE OR REPLACE VIEW crm_analytics.campaign_attribution WITH (security_invoker = true) AS
SELECT a.tenant_id, a.model, a.campaign_id, c.name AS campaign, a.channel, n.name AS channel_name, a.conversions, a.amount
FROM crm_analytics.attribution_between() AS a
LEFT JOIN crm.campaigns AS c ON c.tenant_id = a.tenant_id AND c.id = a.campaign_id
LEFT JOIN crm.channels AS n ON n.tenant_id = a.tenant_id AND n.code = a.channel;
COMMENT ON VIEW crm_analytics.campaign_attribution IS
'One row = one model, campaign and channel: its part of all won deals, from the touches of 90 days before each; see crm_analytics.attribution_between().';
COMMENT ON COLUMN crm_analytics.campaign_attribution.model IS
'first, last, last_non_direct, linear, position, w_shaped, time_decay, shapley or markov.';
COMMENT ON COLUMN crm_analytics.campaign_attribution.campaign_id IS 'The campaign; NULL: touches of none.';
COMMENT ON COLUMN crm_analytics.campaign_attribution.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.campaign_attribution.channel IS 'Code of the channel; NULL: nobody was met for these deals.';
COMMENT ON COLUMN crm_analytics.campaign_attribution.channel_name IS 'Name of the channel.';
COMMENT ON COLUMN crm_analytics.campaign_attribution.conversions IS 'Won deals credited to it.';
COMMENT ON COLUMN crm_analytics.campaign_attribution.amount IS 'Their amount credited to it, in base currency.';

-- ---- results ----

-- Customers a campaign won: accounts whose first won deal names it.
CREATE OR REPLACE VIEW crm_analytics.campaign_customers WITH (security_invoker = true) AS
SELECT f.tenant_id, f.account_id, a.name AS account_name, f.campaign_id, c.name AS campaign, f.opportunity_id, f.opportunity, f.won_on
FROM (SELECT DISTINCT ON (d.tenant_id, d.account_id) d.tenant_id, d.account_id, o.campaign_id, d.opportunity_id, d.name AS opportunity,
             d.closed_on AS won_on
      FROM crm_analytics.fact_opportunities AS d
      JOIN crm.opportunities AS o ON o.tenant_id = d.tenant_id AND o.id = d.opportunity_id
      WHERE d.state = 'won' AND d.account_id IS NOT NULL
      ORDER BY d.tenant_id, d.account_id, d.closed_on, d.opportunity_id) AS f
JOIN crm.campaigns AS c ON c.tenant_id = f.tenant_id AND c.id = f.campaign_id
JOIN crm.accounts AS a ON a.tenant_id = f.tenant_id AND a.id = f.account_id;
COMMENT ON VIEW crm_analytics.campaign_customers IS 'One row = one customer whose first won deal names a campaign: the campaign acquired them.';
COMMENT ON COLUMN crm_analytics.campaign_customers.campaign_id IS 'The campaign.';
COMMENT ON COLUMN crm_analytics.campaign_customers.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.campaign_customers.opportunity_id IS 'The first won deal.';
COMMENT ON COLUMN crm_analytics.campaign_customers.opportunity IS 'Name of the deal.';
COMMENT ON COLUMN crm_analytics.campaign_customers.won_on IS 'Day it was won.';

CREATE OR REPLACE VIEW crm_analytics.campaign_results WITH (security_invoker = true) AS
WITH tree AS MATERIALIZED (
    SELECT t.root_id, t.campaign_id FROM crm.campaign_tree() AS t
), members AS (
    SELECT t.root_id, count(*) AS members, count(*) FILTER (WHERE m.held_out) AS held_out, count(m.reached_at) AS reached,
           count(m.responded_at) AS responded
    FROM tree AS t JOIN crm.campaign_members AS m ON m.tenant_id = crm.tenant_id() AND m.campaign_id = t.campaign_id AND m.same_as_id IS NULL
    GROUP BY t.root_id
), touches AS (
    SELECT t.root_id, count(DISTINCT h.who) FILTER (WHERE h.kind = 'delivered') AS delivered, count(DISTINCT h.who) FILTER (WHERE h.kind = 'open') AS openers,
           count(DISTINCT h.who) FILTER (WHERE h.kind = 'click') AS clickers,
           count(DISTINCT h.who) FILTER (WHERE h.kind IN ('unsubscribe', 'complaint')) AS leavers
    FROM tree AS t JOIN (SELECT x.campaign_id, x.kind, coalesce('c' || x.contact_id, 'l' || x.lead_id, 'a' || x.account_id) AS who

                                                     FROM crm.touches AS x WHERE x.tenant_id = crm.tenant_id() AND x.campaign_id IS NOT NULL
                           AND x.touched_at <= now()) AS h ON h.campaign_id = t.campaign_id
    GROUP BY t.root_id
), leads AS (
    SELECT t.root_id, count(*) AS leads, count(l.converted_at) AS converted_leads, count(l.closed_at) AS closed_leads
    FROM tree AS t JOIN crm.leads AS l ON l.tenant_id = crm.tenant_id() AND l.campaign_id = t.campaign_id AND l.merged_into_id IS NULL
    GROUP BY t.root_id
), deals AS (
    SELECT t.root_id, count(*) FILTER (WHERE d.state = 'won') AS won_deals, coalesce(sum(d.base_amount) FILTER (WHERE d.state = 'won'), 0) AS won_amount,
           count(*) FILTER (WHERE d.state = 'open') AS open_deals, count(*) FILTER (WHERE d.state = 'won' AND d.rate_missing) AS missing_rates
    FROM tree AS t
    JOIN crm.opportunities AS o ON o.tenant_id = crm.tenant_id() AND o.campaign_id = t.campaign_id
    JOIN crm_analytics.fact_opportunities AS d ON d.tenant_id = o.tenant_id AND d.opportunity_id = o.id
    GROUP BY t.root_id
), orders AS (
    SELECT t.root_id, sum(r.revenue) AS revenue, sum(r.margin) AS margin
    FROM tree AS t
    JOIN crm.opportunities AS o ON o.tenant_id = crm.tenant_id() AND o.campaign_id = t.campaign_id
    JOIN crm_analytics.fact_orders AS r ON r.tenant_id = o.tenant_id AND r.opportunity_id = o.id
    GROUP BY t.root_id
), customers AS (
    SELECT t.root_id, count(*) AS new_customers, sum(v.margin) AS customer_margin, sum(v.clv) AS clv
    FROM tree AS t
    JOIN crm_analytics.campaign_customers AS k ON k.tenant_id = crm.tenant_id() AND k.campaign_id = t.campaign_id
    LEFT JOIN crm_analytics.customer_value AS v ON v.tenant_id = k.tenant_id AND v.account_id = k.account_id
    GROUP BY t.root_id
), costs AS (
    SELECT t.root_id, sum(c.cost) AS cost
    FROM tree AS t JOIN crm_analytics.fact_campaign_costs AS c ON c.tenant_id = crm.tenant_id() AND c.campaign_id = t.campaign_id
    GROUP BY t.root_id
), plans AS (
    SELECT t.root_id, sum(c.budget * b.rate) AS budget, sum(c.expected_revenue * b.rate) AS expected_revenue, sum(c.expected_responses) AS expected_responses,
           sum(c.expected_leads) AS expected_leads
    FROM tree AS t JOIN crm.campaigns AS c ON c.tenant_id = crm.tenant_id() AND c.id = t.campaign_id
    CROSS JOIN LATERAL (SELECT crm_analytics.base_rate(c.tenant_id, c.currency::text, c.begins_on)) AS b (rate)
    GROUP BY t.root_id
)
SELECT d.tenant_id, d.campaign_id, d.code, d.name AS campaign, d.parent_id, d.parent, d.path, d.depth, d.objective, d.status, d.begins_on, d.ends_on,
       p.budget, coalesce(k.cost, 0) AS cost, p.expected_responses, p.expected_leads, p.expected_revenue,
       coalesce(m.members, 0) AS members, coalesce(m.held_out, 0) AS held_out, coalesce(m.reached, 0) AS reached, coalesce(m.responded, 0) AS responded,
       coalesce(h.delivered, 0) AS delivered, coalesce(h.openers, 0) AS openers, coalesce(h.clickers, 0) AS clickers,
       h.clickers::double precision / nullif(h.delivered, 0) AS ctr, coalesce(h.leavers, 0) AS leavers,
       coalesce(l.leads, 0) AS leads, coalesce(l.converted_leads, 0) AS converted_leads,
       l.converted_leads::double precision / nullif(l.closed_leads, 0) AS conversion,
       coalesce(o.open_deals, 0) AS open_deals, coalesce(o.won_deals, 0) AS won_deals, coalesce(o.won_amount, 0) AS won_amount,
       coalesce(r.revenue, 0) AS revenue, r.margin, coalesce(c.new_customers, 0) AS new_customers, c.customer_margin, c.clv,
       k.cost / nullif(l.leads, 0) AS cost_per_lead, k.cost / nullif(c.new_customers, 0) AS cac,
       CASE WHEN c.clv > 0 THEN k.cost / (c.clv / 12) END AS payback_months,
       ((r.margin - k.cost) / nullif(k.cost, 0))::double precision AS roi,
       ((coalesce(c.customer_margin, 0) + c.clv - k.cost) / nullif(k.cost, 0))::double precision AS lifetime_roi, coalesce(o.missing_rates, 0) AS missing_rates
FROM crm_analytics.dim_campaign AS d
LEFT JOIN plans AS p ON p.root_id = d.campaign_id
LEFT JOIN members AS m ON m.root_id = d.campaign_id
LEFT JOIN touches AS h ON h.root_id = d.campaign_id
LEFT JOIN leads AS l ON l.root_id = d.campaign_id
LEFT JOIN deals AS o ON o.root_id = d.campaign_id
LEFT JOIN orders AS r ON r.root_id = d.campaign_id
LEFT JOIN customers AS c ON c.root_id = d.campaign_id
LEFT JOIN costs AS k ON k.root_id = d.campaign_id
WHERE d.tenant_id = crm.tenant_id();
COMMENT ON VIEW crm_analytics.campaign_results IS
'One row = one campaign with all that is below it: what was planned, whom it reached, what came of it and what it cost, in base currency. Leads, deals and '
'orders are those that name it as their source; how they are shared among all that customers met is crm_analytics.campaign_attribution, what it really '
'changed crm_analytics.campaign_incrementality.';
COMMENT ON COLUMN crm_analytics.campaign_results.campaign_id IS 'The campaign.';
COMMENT ON COLUMN crm_analytics.campaign_results.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.campaign_results.parent_id IS 'Campaign it is part of; NULL: none.';
COMMENT ON COLUMN crm_analytics.campaign_results.parent IS 'Name of the campaign it is part of.';
COMMENT ON COLUMN crm_analytics.campaign_results.path IS 'Names from the top of the tree down to it.';
COMMENT ON COLUMN crm_analytics.campaign_results.depth IS 'Steps below the top.';
COMMENT ON COLUMN crm_analytics.campaign_results.objective IS 'What it is for.';
COMMENT ON COLUMN crm_analytics.campaign_results.status IS 'planned, running, paused, finished or cancelled.';
COMMENT ON COLUMN crm_analytics.campaign_results.begins_on IS 'First day it is planned for.';
COMMENT ON COLUMN crm_analytics.campaign_results.ends_on IS 'Last day it is planned for.';
COMMENT ON COLUMN crm_analytics.campaign_results.budget IS 'What it may cost, in base currency at the rate of its first day.';
COMMENT ON COLUMN crm_analytics.campaign_results.cost IS 'What it cost (crm_analytics.fact_campaign_costs).';
COMMENT ON COLUMN crm_analytics.campaign_results.expected_responses IS 'How many people were to answer.';
COMMENT ON COLUMN crm_analytics.campaign_results.expected_leads IS 'How many leads it was to bring.';
COMMENT ON COLUMN crm_analytics.campaign_results.expected_revenue IS 'What it was to bring.';
COMMENT ON COLUMN crm_analytics.campaign_results.members IS 'Members, those held out included.';
COMMENT ON COLUMN crm_analytics.campaign_results.held_out IS 'Members that are left alone.';
COMMENT ON COLUMN crm_analytics.campaign_results.reached IS 'Members that were reached.';
COMMENT ON COLUMN crm_analytics.campaign_results.responded IS 'Members that answered.';
COMMENT ON COLUMN crm_analytics.campaign_results.delivered IS 'People to whom something was delivered.';
COMMENT ON COLUMN crm_analytics.campaign_results.openers IS 'People who opened something, as far as their programs tell: not reliable.';
COMMENT ON COLUMN crm_analytics.campaign_results.clickers IS 'People who followed a link.';
COMMENT ON COLUMN crm_analytics.campaign_results.ctr IS 'Click-through rate: clickers over delivered, a share of one.';
COMMENT ON COLUMN crm_analytics.campaign_results.leavers IS 'People who unsubscribed or complained.';
COMMENT ON COLUMN crm_analytics.campaign_results.leads IS 'Leads that came by it, merged ones aside.';
COMMENT ON COLUMN crm_analytics.campaign_results.converted_leads IS 'Of these, converted.';
COMMENT ON COLUMN crm_analytics.campaign_results.conversion IS 'Converted over closed leads, a share of one.';
COMMENT ON COLUMN crm_analytics.campaign_results.open_deals IS 'Deals of it that are open.';
COMMENT ON COLUMN crm_analytics.campaign_results.won_deals IS 'Deals of it that were won.';
COMMENT ON COLUMN crm_analytics.campaign_results.won_amount IS 'Amount of these.';
COMMENT ON COLUMN crm_analytics.campaign_results.revenue IS 'What was ordered of its deals, less returns.';
COMMENT ON COLUMN crm_analytics.campaign_results.margin IS 'Contribution of these orders; NULL: not known.';
COMMENT ON COLUMN crm_analytics.campaign_results.new_customers IS 'Customers whose first won deal names it (crm_analytics.campaign_customers).';
COMMENT ON COLUMN crm_analytics.campaign_results.customer_margin IS 'Contribution of all they have ordered so far.';
COMMENT ON COLUMN crm_analytics.campaign_results.clv IS 'What they will bring within a year (crm_analytics.customer_value).';
COMMENT ON COLUMN crm_analytics.campaign_results.cost_per_lead IS 'cost over leads.';
COMMENT ON COLUMN crm_analytics.campaign_results.cac IS 'Customer acquisition cost: cost over new_customers.';
COMMENT ON COLUMN crm_analytics.campaign_results.payback_months IS
'Months in which the contribution expected of the new customers pays the cost: cost over a twelfth of clv.';
COMMENT ON COLUMN crm_analytics.campaign_results.roi IS
'Return on investment: margin less cost, over cost; NULL where it cost nothing or the margin is not known.';
COMMENT ON COLUMN crm_analytics.campaign_results.lifetime_roi IS 'The same with all that the new customers have brought and will within a year.';
COMMENT ON COLUMN crm_analytics.campaign_results.missing_rates IS 'Won deals without an exchange rate: they count for nothing in won_amount.';

CREATE OR REPLACE VIEW crm_analytics.channel_results WITH (security_invoker = true) AS
WITH months AS (
    SELECT c.channel, c.month, sum(c.cost) AS cost, 0::bigint AS touches, 0::bigint AS people, 0::bigint AS leads, 0::bigint AS converted
    FROM crm_analytics.fact_campaign_costs AS c WHERE c.tenant_id = crm.tenant_id() GROUP BY 1, 2
    UNION ALL
    SELECT h.channel, date_trunc('month', h.touched_on::timestamp)::date, 0, count(*),
           count(DISTINCT coalesce('c' || h.contact_id, 'l' || h.lead_id, 'a' || h.account_id)), 0, 0
    FROM crm_analytics.fact_touches AS h WHERE h.tenant_id = crm.tenant_id() AND h.engaging AND h.touched_at <= now() GROUP BY 1, 2
    UNION ALL
    SELECT f.channel, date_trunc('month', f.touched_on::timestamp)::date, 0, 0, 0, count(*), count(f.converted_at)
    FROM (SELECT DISTINCT ON (h.lead_id) h.channel, h.touched_on, l.converted_at
          FROM crm_analytics.fact_touches AS h JOIN crm.leads AS l ON l.tenant_id = h.tenant_id AND l.id = h.lead_id AND l.merged_into_id IS NULL
          WHERE h.tenant_id = crm.tenant_id() AND h.source_system = 'crm.lead_captures'
          ORDER BY h.lead_id, h.touched_at, h.touch_id) AS f GROUP BY 1, 2
)
SELECT n.tenant_id, n.code AS channel, n.name AS channel_name, m.month, sum(m.cost) AS cost, sum(m.touches)::bigint AS touches, sum(m.people)::bigint AS people,
       sum(m.leads)::bigint AS leads, sum(m.converted)::bigint AS converted_leads, sum(m.cost) / nullif(sum(m.leads), 0) AS cost_per_lead
FROM months AS m
JOIN crm.channels AS n ON n.tenant_id = crm.tenant_id() AND n.code = m.channel
GROUP BY n.tenant_id, n.code, n.name, m.month;
COMMENT ON VIEW crm_analytics.channel_results IS
'One row = one channel and month: what it cost, who did something by it, and which leads first came by it, with their conversion so far. Won deals by '
'channel are in crm_analytics.campaign_attribution.';
COMMENT ON COLUMN crm_analytics.channel_results.channel IS 'Code of the channel.';
COMMENT ON COLUMN crm_analytics.channel_results.channel_name IS 'Name of the channel.';
COMMENT ON COLUMN crm_analytics.channel_results.month IS 'First day of the month.';
COMMENT ON COLUMN crm_analytics.channel_results.cost IS 'Cost in base currency.';
COMMENT ON COLUMN crm_analytics.channel_results.touches IS 'Touches in which somebody did something.';
COMMENT ON COLUMN crm_analytics.channel_results.people IS 'People who did.';
COMMENT ON COLUMN crm_analytics.channel_results.leads IS 'Leads whose first capture was by it.';
COMMENT ON COLUMN crm_analytics.channel_results.converted_leads IS 'Of these, converted so far.';
COMMENT ON COLUMN crm_analytics.channel_results.cost_per_lead IS 'cost over leads.';

CREATE OR REPLACE VIEW crm_analytics.campaign_segments WITH (security_invoker = true) AS
SELECT a.tenant_id, a.campaign_id, c.name AS campaign, a.segment_id, s.name AS segment, count(*) AS members,
       count(*) FILTER (WHERE m.held_out) AS held_out, count(m.responded_at) AS responded, count(m.converted_at) AS converted,
       count(m.responded_at)::double precision / nullif(count(*) FILTER (WHERE NOT m.held_out), 0) AS response_rate
FROM crm.campaign_audiences AS a
JOIN crm.campaigns AS c ON c.tenant_id = a.tenant_id AND c.id = a.campaign_id
JOIN crm.segments AS s ON s.tenant_id = a.tenant_id AND s.id = a.segment_id
JOIN crm.campaign_members AS m ON m.tenant_id = a.tenant_id AND m.campaign_id = a.campaign_id AND m.same_as_id IS NULL
WHERE NOT a.excluded
  AND EXISTS (SELECT FROM crm.segment_events AS e
              WHERE e.tenant_id = a.tenant_id AND e.segment_id = a.segment_id AND e.direction = 'enter' AND e.occurred_at <= m.enrolled_at
                AND e.subject_id = CASE s.subject_table WHEN 'contacts' THEN m.contact_id WHEN 'leads' THEN m.lead_id ELSE m.account_id END)
GROUP BY a.tenant_id, a.campaign_id, c.name, a.segment_id, s.name;
COMMENT ON VIEW crm_analytics.campaign_segments IS
'One row = one campaign and segment of its audience: how its members answered. Who is in several segments counts in each.';
COMMENT ON COLUMN crm_analytics.campaign_segments.campaign_id IS 'The campaign.';
COMMENT ON COLUMN crm_analytics.campaign_segments.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.campaign_segments.segment IS 'Name of the segment.';
COMMENT ON COLUMN crm_analytics.campaign_segments.members IS 'Members that had entered the segment when they were enrolled.';
COMMENT ON COLUMN crm_analytics.campaign_segments.held_out IS 'Of these, held out.';
COMMENT ON COLUMN crm_analytics.campaign_segments.responded IS 'Of these, answered.';
COMMENT ON COLUMN crm_analytics.campaign_segments.converted IS 'Of these, converted.';
COMMENT ON COLUMN crm_analytics.campaign_segments.response_rate IS 'responded over members that were not held out.';
