-- Acquisition: groups of prospects, and how they ended.

CREATE OR REPLACE VIEW crm_analytics.acquisition_segments WITH (security_invoker = true) AS
WITH shared AS (
    SELECT l.tenant_id, l.id, l.created_at, l.closed_at, l.converted_at, o.state AS deal, o.base_amount AS amount, o.rate_missing,
           v.characteristic, v.value
    FROM crm.leads AS l
    LEFT JOIN crm_analytics.fact_opportunities AS o ON o.tenant_id = l.tenant_id AND o.opportunity_id = l.opportunity_id
    CROSS JOIN LATERAL (VALUES
        ('source', l.source), ('campaign', l.campaign), ('channel', l.channel), ('industry', l.industry), ('country', l.country::text),
        ('size', CASE WHEN l.employees < 10 THEN '1-9' WHEN l.employees < 50 THEN '10-49' WHEN l.employees < 250 THEN '50-249'
                      WHEN l.employees < 1000 THEN '250-999' WHEN l.employees >= 1000 THEN '1000+' END),
        ('source and industry', l.source || ' / ' || l.industry),
        ('industry and country', l.industry || ' / ' || l.country)) AS v (characteristic, value)
    WHERE v.value IS NOT NULL AND l.merged_into_id IS NULL
)
SELECT g.tenant_id, g.characteristic, g.value, g.prospects, g.open, g.converted, g.disqualified, g.converted / g.n AS conversion,
       -- Wilson's interval at 95 %: how far a small group can be believed
       greatest(0, (g.converted / g.n + 1.9208 / g.n - 1.96 * sqrt((g.converted / g.n * (1 - g.converted / g.n) + 0.9604 / g.n) / g.n)) / (1 + 3.8416 / g.n)) AS conversion_low,
       least(1, (g.converted / g.n + 1.9208 / g.n + 1.96 * sqrt((g.converted / g.n * (1 - g.converted / g.n) + 0.9604 / g.n) / g.n)) / (1 + 3.8416 / g.n)) AS conversion_high,
       g.won_deals, g.won_amount, g.won_amount / g.n::numeric AS value_per_closed_prospect, g.median_days_to_conversion, g.missing_rates
FROM (
    SELECT x.tenant_id, x.characteristic, x.value, count(*) AS prospects,
           count(*) FILTER (WHERE x.closed_at IS NULL) AS open,
           count(*) FILTER (WHERE x.converted_at IS NOT NULL) AS converted,
           count(*) FILTER (WHERE x.closed_at IS NOT NULL AND x.converted_at IS NULL) AS disqualified,
           nullif(count(*) FILTER (WHERE x.closed_at IS NOT NULL), 0)::double precision AS n,
           count(*) FILTER (WHERE x.deal = 'won') AS won_deals,
           coalesce(sum(x.amount) FILTER (WHERE x.deal = 'won'), 0) AS won_amount,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM x.converted_at - x.created_at) / 86400) AS median_days_to_conversion,
           count(*) FILTER (WHERE x.rate_missing) AS missing_rates
    FROM shared AS x
    GROUP BY x.tenant_id, x.characteristic, x.value
) AS g;
COMMENT ON VIEW crm_analytics.acquisition_segments IS
'One row per group of prospects with a shared characteristic (source, campaign, channel, industry, country, size, and two pairs): size, how they ended, '
'conversion among the closed with its 95 per cent interval (Wilson 1927), deals won and their worth in the base currency, worth per closed prospect, median '
'days to conversion. missing_rates: deals without an exchange rate, which count for nothing in the worth.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.characteristic IS
'What the prospects share: source, campaign, channel, industry, country, size, or a pair of these.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.value IS 'Its value.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.prospects IS 'Number of leads, merged ones aside.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.open IS 'Leads that are open.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.converted IS 'Leads that were converted.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.disqualified IS 'Leads that were disqualified.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.conversion IS 'converted over closed, a share of one; NULL where none is closed.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.conversion_low IS 'Lower bound of its 95 per cent interval (Wilson).';
COMMENT ON COLUMN crm_analytics.acquisition_segments.conversion_high IS 'Upper bound of its 95 per cent interval (Wilson).';
COMMENT ON COLUMN crm_analytics.acquisition_segments.won_deals IS 'Deals won that came of them.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.won_amount IS 'Their worth in base currency.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.value_per_closed_prospect IS 'won_amount over closed leads.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.median_days_to_conversion IS 'Median days from the making of the lead to its conversion.';
COMMENT ON COLUMN crm_analytics.acquisition_segments.missing_rates IS 'Deals whose exchange rate is not known: they count for nothing in won_amount.';
