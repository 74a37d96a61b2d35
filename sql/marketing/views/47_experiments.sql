-- Variants against each other, while they run.

CREATE OR REPLACE VIEW crm_analytics.campaign_experiments WITH (security_invoker = true) AS
WITH counted AS (
    SELECT v.tenant_id, v.campaign_id, v.id AS variant_id, v.code, v.name, v.weight, v.active,
           first_value(v.id) OVER (PARTITION BY v.tenant_id, v.campaign_id ORDER BY v.is_control DESC, v.id) AS control_id,
           count(*) OVER (PARTITION BY v.tenant_id, v.campaign_id) AS variants,
           coalesce(m.members, 0) AS members, coalesce(m.responded, 0) AS responded, coalesce(m.converted, 0) AS converted
    FROM crm.campaign_variants AS v
    LEFT JOIN (SELECT x.tenant_id, x.variant_id, count(*) AS members, count(x.responded_at) AS responded, count(x.converted_at) AS converted
               FROM crm.campaign_members AS x
               WHERE x.same_as_id IS NULL AND NOT x.held_out AND x.came_by <> 'response'
               GROUP BY x.tenant_id, x.variant_id) AS m ON m.tenant_id = v.tenant_id AND m.variant_id = v.id
), drawn AS (
    SELECT d.tenant_id, d.campaign_id, crm.allocation_p(array_agg(d.members::double precision ORDER BY d.variant_id),
                                                        array_agg(d.weight::double precision ORDER BY d.variant_id)) AS allocation_p
    FROM counted AS d GROUP BY d.tenant_id, d.campaign_id HAVING bool_and(d.active)
)
SELECT c.tenant_id, c.campaign_id, g.name AS campaign, c.variant_id, c.name AS variant, c.code, c.variant_id = c.control_id AS is_control,
       c.members, c.responded, c.converted, c.responded::double precision / nullif(c.members, 0) AS response_rate,
       c.converted::double precision / nullif(c.members, 0) AS conversion_rate,
       r.difference AS response_difference, r.low AS response_low, r.high AS response_high,
           CASE WHEN r.p_value IS NOT NULL THEN least(r.p_value * (c.variants - 1), 1) END AS response_p,
       s.difference AS converted_difference, s.low AS converted_low, s.high AS converted_high,
           CASE WHEN s.p_value IS NOT NULL THEN least(s.p_value * (c.variants - 1), 1) END AS converted_p,
       d.allocation_p
FROM counted AS c
JOIN crm.campaigns AS g ON g.tenant_id = c.tenant_id AND g.id = c.campaign_id
JOIN counted AS k ON k.tenant_id = c.tenant_id AND k.variant_id = c.control_id
LEFT JOIN drawn AS d ON d.tenant_id = c.tenant_id AND d.campaign_id = c.campaign_id
LEFT JOIN LATERAL crm.sequential_proportions(c.responded, c.members, k.responded, k.members) AS r ON c.variant_id <> c.control_id
LEFT JOIN LATERAL crm.sequential_proportions(c.converted, c.members, k.converted, k.members) AS s ON c.variant_id <> c.control_id;
COMMENT ON VIEW crm_analytics.campaign_experiments IS
'One row = one variant of a campaign, compared with the control. It may be looked at every day: intervals and p values hold however often '
'(crm.sequential_proportions, 95 per cent; p values times the number of comparisons). Who became a member by answering is not counted.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.campaign_id IS 'The campaign.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.variant_id IS 'The variant.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.variant IS 'Name of the variant.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.code IS 'Short name of the variant, unique in the campaign.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.is_control IS 'Whether the others are compared with it.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.members IS 'Members that drew it.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.responded IS 'Members that answered.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.converted IS 'Members that converted.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.response_rate IS 'responded over members, a share of one.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.conversion_rate IS 'converted over members, a share of one.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.response_difference IS 'Response rate less that of the control; NULL: it is the control.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.response_low IS 'Lower end of its interval.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.response_high IS 'Upper end of its interval.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.response_p IS 'Probability of such a difference at any time if there were none; below 0.05: it is real.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.converted_difference IS 'Conversion rate less that of the control.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.converted_low IS 'Lower end of its interval.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.converted_high IS 'Upper end of its interval.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.converted_p IS 'As response_p, of conversion.';
COMMENT ON COLUMN crm_analytics.campaign_experiments.allocation_p IS
'Whether variants were drawn by their weights (crm.allocation_p): below 0.001 something is broken, and differences mean nothing. NULL: a variant was taken out '
'of use, or there is one alone.';

CREATE OR REPLACE VIEW crm_analytics.campaign_incrementality WITH (security_invoker = true) AS
WITH heads AS (
    SELECT m.tenant_id, m.campaign_id, m.id, m.held_out, m.contradicts,
           coalesce(p.revenue, 0)::double precision AS revenue, coalesce(p.orders, 0) > 0 AS bought,
           m.held_out AND EXISTS (SELECT FROM crm.touches AS h WHERE h.tenant_id = m.tenant_id AND h.campaign_id = m.campaign_id
                                  AND h.kind IN ('impression', 'sent', 'delivered')
                                  AND (h.contact_id = m.contact_id OR h.lead_id = m.lead_id OR h.account_id = m.account_id)) AS contacted,
           m.enrolled_at + c.outcome_days * interval '1 day' <= now() AS complete
    FROM crm.campaign_members AS m
    JOIN crm.campaigns AS c ON c.tenant_id = m.tenant_id AND c.id = m.campaign_id AND c.hold_out_share > 0
    LEFT JOIN crm.contacts AS k ON k.tenant_id = m.tenant_id AND k.id = m.contact_id
    LEFT JOIN LATERAL (
        SELECT sum(o.base_amount) AS revenue, count(*) FILTER (WHERE o.kind = 'sale') AS orders
        FROM crm.orders AS o
        WHERE o.tenant_id = m.tenant_id AND o.account_id = coalesce(m.account_id, k.account_id) AND o.state <> 'cancelled'
          AND (m.account_id IS NOT NULL OR o.contact_id = m.contact_id OR o.contact_id IS NULL)
          AND o.ordered_at >= m.enrolled_at AND o.ordered_at < m.enrolled_at + c.outcome_days * interval '1 day' AND o.ordered_at <= now()) AS p ON true
    WHERE m.same_as_id IS NULL AND m.came_by = 'audience'
), groups AS (
    SELECT h.tenant_id, h.campaign_id,
           count(*) FILTER (WHERE NOT h.held_out AND NOT h.contradicts) AS treated, count(*) FILTER (WHERE h.held_out AND NOT h.contradicts) AS held_out,
           count(*) FILTER (WHERE NOT h.held_out AND NOT h.contradicts AND h.bought) AS treated_buyers,
           count(*) FILTER (WHERE h.held_out AND NOT h.contradicts AND h.bought) AS held_out_buyers,
           coalesce(array_agg(h.revenue ORDER BY h.id) FILTER (WHERE NOT h.held_out AND NOT h.contradicts), '{}') AS treated_revenues,
           coalesce(array_agg(h.revenue ORDER BY h.id) FILTER (WHERE h.held_out AND NOT h.contradicts), '{}') AS held_out_revenues,
           count(*) FILTER (WHERE h.contradicts) AS contradicting, count(*) FILTER (WHERE h.contacted) AS held_out_contacted,
           count(*) FILTER (WHERE NOT h.complete) AS open_windows
    FROM heads AS h GROUP BY h.tenant_id, h.campaign_id
)
SELECT g.tenant_id, g.campaign_id, c.name AS campaign, c.hold_out_share, c.outcome_days, g.treated, g.held_out, g.treated_buyers, g.held_out_buyers,
       g.treated_buyers::double precision / nullif(g.treated, 0) AS treated_rate, g.held_out_buyers::double precision / nullif(g.held_out, 0) AS held_out_rate,
       p.difference AS effect, p.low AS effect_low, p.high AS effect_high,
       (SELECT avg(x) FROM unnest(g.treated_revenues) AS x)::numeric(20,4) AS treated_revenue_per_head,
       (SELECT avg(x) FROM unnest(g.held_out_revenues) AS x)::numeric(20,4) AS held_out_revenue_per_head,
       r.difference::numeric(20,4) AS revenue_difference, r.low::numeric(20,4) AS revenue_low, r.high::numeric(20,4) AS revenue_high,
       round((p.difference * g.treated)::numeric, 1) AS incremental_buyers, (r.difference * g.treated)::numeric(20,4) AS incremental_revenue,
       g.contradicting, g.held_out_contacted, g.open_windows
FROM groups AS g
JOIN crm.campaigns AS c ON c.tenant_id = g.tenant_id AND c.id = g.campaign_id
LEFT JOIN LATERAL crm.proportion_difference(g.treated_buyers, g.treated, g.held_out_buyers, g.held_out) AS p ON true
LEFT JOIN LATERAL crm.mean_difference(g.treated_revenues, g.held_out_revenues, seed => g.campaign_id) AS r ON true;
COMMENT ON VIEW crm_analytics.campaign_incrementality IS
'One row = one campaign with a hold-out: what its audience bought within outcome_days of being enrolled, beside those who were drawn at random and left '
'alone. The difference is the effect of the campaign, since nothing else differs but by chance; intervals of 95 per cent, of shares after Newcombe '
'(crm.proportion_difference), of revenue a head by bootstrap (crm.mean_difference). All who were enrolled count, reached or not. An order is a contact''s '
'where it names them, or nobody and comes from their account. Who answered uninvited is not counted.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.campaign_id IS 'The campaign.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.campaign IS 'Name of the campaign.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.hold_out_share IS 'Share that was to be held out.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.outcome_days IS 'Days after enrolment within which purchases count.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.treated IS 'Members of the audience that the campaign was for.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.held_out IS 'Members that were left alone.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.treated_buyers IS 'Treated members that bought.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.held_out_buyers IS 'Held-out members that bought.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.treated_rate IS 'Share of the treated that bought.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.held_out_rate IS 'Share of the held-out that bought.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.effect IS 'treated_rate less held_out_rate.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.effect_low IS 'Lower end of its interval.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.effect_high IS 'Upper end of its interval.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.treated_revenue_per_head IS 'Revenue for each treated member, in base currency.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.held_out_revenue_per_head IS 'Revenue for each held-out member, in base currency.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.revenue_difference IS 'Revenue a head that the campaign brought.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.revenue_low IS 'Lower end of its interval.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.revenue_high IS 'Upper end of its interval.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.incremental_buyers IS 'Buyers that the campaign made: effect times treated.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.incremental_revenue IS 'Revenue that the campaign made: revenue_difference times treated.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.contradicting IS
'Members left out: two were one person, with draws that contradict.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.held_out_contacted IS
'Held-out members that something reached all the same: the difference is too small by that.';
COMMENT ON COLUMN crm_analytics.campaign_incrementality.open_windows IS 'Members whose days are not over: their figures are so far.';
