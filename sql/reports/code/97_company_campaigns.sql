-- A generated company, 8: its campaigns. Advertising quarter by quarter, which its leads name, and letters to its customers, of whom a fifth is left alone.

CREATE OR REPLACE FUNCTION crm_internal.demo_campaigns(size integer, seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    level CONSTANT double precision := crm_internal.demo_level(tenant.base_currency::text) * (words ->> 'price_level')::double precision;
BEGIN
    CREATE TEMPORARY TABLE demo_quarters ON COMMIT DROP AS
    SELECT q.year, q.quarter, min(q.day) AS begins_on, max(q.day) AS ends_on
    FROM (SELECT d.day, (m.n - 1) / 12 AS year, mod(m.n - 1, 12) / 3 AS quarter
          FROM unnest(days) AS d (day) CROSS JOIN LATERAL (SELECT crm_analytics.month_number(d.day, words ->> 'calendar')) AS m (n)) AS q
    GROUP BY q.year, q.quarter
    HAVING min(q.day) < until AND max(q.day) >= until - 900;
    ANALYZE demo_quarters;
    INSERT INTO crm.campaigns (tenant_id, code, name, objective, channels, status, begins_on, ends_on, seed, hand_over, source_system, source_id)
    SELECT t, format(words -> 'campaign' ->> 1, q.year), format(words -> 'campaign' ->> 0, translate(q.year::text, '0123456789', words ->> 'digits')),
           'acquisition', '{search}', CASE WHEN max(q.ends_on) < until THEN 'finished' ELSE 'running' END, min(q.begins_on), max(q.ends_on),
           hashtextextended('campaign ' || q.year, seed), 'none', 'demo', 'campaign-' || q.year
    FROM demo_quarters AS q GROUP BY q.year ORDER BY q.year;
    -- called as the leads of the quarter call it
    INSERT INTO crm.campaigns (tenant_id, code, name, parent_id, objective, channels, status, begins_on, ends_on, budget, expected_leads, seed, hand_over,
                               source_system, source_id)
    SELECT t, format(words -> 'campaign' ->> 1, q.year || '-' || q.quarter + 1),
           format(words -> 'campaign' ->> 0, (words -> 'quarters' ->> q.quarter::integer) || ' ' || translate(q.year::text, '0123456789', words ->> 'digits')),
           p.id, 'acquisition', '{search}', CASE WHEN q.ends_on < until THEN 'finished' ELSE 'running' END, q.begins_on, q.ends_on,
           crm_internal.demo_price(2000 * size * level), 25 * size, hashtextextended('campaign ' || q.year || '-' || q.quarter, seed), 'none', 'demo',
           'campaign-' || q.year || '-' || q.quarter
    FROM demo_quarters AS q
    JOIN crm.campaigns AS p ON p.tenant_id = t AND p.source_system = 'demo' AND p.source_id = 'campaign-' || q.year
    ORDER BY q.year, q.quarter;
    -- every week what the clicks of the week cost
    INSERT INTO crm.campaign_costs (tenant_id, campaign_id, spent_on, channel, kind, amount, currency, source_system, source_id)
    SELECT t, c.id, d.day, 'search', 'media',
           crm_internal.demo_price(140 * size * level * (0.7 + 0.6 * crm_internal.demo_uniform(seed, 'campaign cost', d.day - date '2000-01-01'))),
           tenant.base_currency, 'demo', 'cost-' || c.id || '-' || d.day
    FROM crm.campaigns AS c
    CROSS JOIN LATERAL (SELECT x::date AS day FROM generate_series(greatest(c.begins_on, until - 900)::timestamp, least(c.ends_on,
        until - 1)::timestamp, interval '7 days') AS x) AS d
    WHERE c.tenant_id = t AND c.source_system = 'demo' AND c.parent_id IS NOT NULL
    ORDER BY d.day, c.id;
    DROP TABLE pg_temp.demo_quarters;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_campaigns(integer, bigint, date, crm.tenants, jsonb, date[]) IS
'Advertising of a generated company: a campaign a year, below it one a quarter, with what each week cost.';

CREATE OR REPLACE FUNCTION crm_internal.demo_letters(size integer, seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    level CONSTANT double precision := crm_internal.demo_level(tenant.base_currency::text) * (words ->> 'price_level')::double precision;
BEGIN
    -- a deal comes of the campaign its lead came by
    UPDATE crm.opportunities AS o SET campaign_id = l.campaign_id
    FROM crm.leads AS l
    WHERE o.tenant_id = t AND l.tenant_id = t AND l.opportunity_id = o.id AND l.campaign_id IS NOT NULL;
    -- they have always done so
    DELETE FROM crm.past_values AS p WHERE p.tenant_id = t AND p.table_name = 'opportunities' AND p.column_name = 'campaign_id';
    INSERT INTO crm.campaigns (tenant_id, code, name, objective, channels, status, begins_on, ends_on, budget, hold_out_share, outcome_days, seed, hand_over,
                               source_system, source_id)
    SELECT t, format(words -> 'letter' ->> 1, n), format(words -> 'letter' ->> 0, translate(n::text, '0123456789', words ->> 'digits')), 'retention',
           '{email}', 'finished', d.day, d.day + 20, crm_internal.demo_price(300 * size * level), 0.2, 90,
           hashtextextended('letter ' || n, seed), 'none', 'demo', 'letter-' || n
    FROM generate_series(1, 3) AS n CROSS JOIN LATERAL (SELECT days[width_bucket(until - 620 + 170 * n, days)] AS day) AS d;
    INSERT INTO crm.campaign_costs (tenant_id, campaign_id, spent_on, channel, kind, amount, currency, source_system, source_id)
    SELECT t, c.id, c.begins_on, 'email', 'production', c.budget, c.currency, 'demo', 'cost-' || c.source_id
    FROM crm.campaigns AS c WHERE c.tenant_id = t AND c.source_system = 'demo' AND c.source_id LIKE 'letter-%' ORDER BY c.begins_on;
    INSERT INTO crm.campaign_variants (tenant_id, campaign_id, code, name, is_control)
    SELECT t, c.id, v.code, words -> 'letter' ->> v.place, v.code = 'a'
    FROM crm.campaigns AS c, (VALUES ('a', 2), ('b', 3)) AS v (code, place)
    WHERE c.tenant_id = t AND c.source_system = 'demo' AND c.source_id LIKE 'letter-%' ORDER BY c.begins_on, v.code;
    -- to every contact of somebody who had bought by then
    INSERT INTO crm.campaign_members (tenant_id, campaign_id, contact_id, came_by, enrolled_at, source_system, source_id)
    SELECT t, c.id, k.id, 'audience', b.at, 'demo', c.source_id || '-' || k.id
    FROM crm.campaigns AS c
    CROSS JOIN LATERAL (SELECT (c.begins_on + time '09:00') AT TIME ZONE tenant.time_zone AS at) AS b
    JOIN crm.contacts AS k ON k.tenant_id = t AND k.created_at < b.at
    WHERE c.tenant_id = t AND c.source_system = 'demo' AND c.source_id LIKE 'letter-%'
      AND EXISTS (SELECT FROM crm.orders AS o WHERE o.tenant_id = t AND o.account_id = k.account_id AND o.ordered_at < b.at)
    ORDER BY c.begins_on, k.id;
    -- what became of each: the coloured one is followed more often
    INSERT INTO crm.touches (tenant_id, kind, channel, campaign_id, contact_id, touched_at, source_system, source_id)
    SELECT t, w.kind, 'email', m.campaign_id, m.contact_id, m.enrolled_at + w.hours * interval '1 hour', 'demo', 'letter-' || m.id || '-' || w.kind
    FROM crm.campaign_members AS m
    JOIN crm.campaign_variants AS v ON v.tenant_id = m.tenant_id AND v.id = m.variant_id
    JOIN crm.campaigns AS c ON c.tenant_id = m.tenant_id AND c.id = m.campaign_id
    JOIN crm.contacts AS k ON k.tenant_id = m.tenant_id AND k.id = m.contact_id
    CROSS JOIN LATERAL (SELECT crm_internal.demo_uniform(seed, c.source_id, hashtext(coalesce(k.source_id, k.name))) AS u) AS u
    CROSS JOIN LATERAL (VALUES ('sent', true, 1.0), ('delivered', u.u < 0.97, 1.01), ('open', u.u < 0.45, 5.0 + 30 * u.u),
                               ('click', u.u < CASE v.code WHEN 'a' THEN 0.06 ELSE 0.12 END, 6.0 + 40 * u.u), ('bounce', u.u >= 0.97, 1.02),
                               ('unsubscribe', u.u BETWEEN 0.3 AND 0.304, 30.0)) AS w (kind, happens, hours)
    WHERE m.tenant_id = t AND m.source_system = 'demo' AND NOT m.held_out AND w.happens
    ORDER BY 6, m.id;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_letters(integer, bigint, date, crm.tenants, jsonb, date[]) IS
'The campaigns that deals of a generated company come of, its letters to its customers, in two versions, with a fifth held out, and what became of each.';
