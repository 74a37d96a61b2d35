-- A generated company, 10: its loyalty programme, what some customers did with their points, who is in which tier, and in which stage of the life cycle.

CREATE OR REPLACE FUNCTION crm_internal.demo_loyalty(seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
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
    INSERT INTO crm.loyalty_programmes (tenant_id, name, grace_days) VALUES (t, words #>> '{loyalty,name}', 90);
    INSERT INTO crm.loyalty_tiers (tenant_id, code, name, position, condition, benefits)
    SELECT t, x.tier ->> 0, x.tier ->> 1, x.place,
           CASE WHEN x.tier ->> 2 <> '0'
                THEN format('$.revenue_12_months >= %s', crm_internal.demo_price((x.tier ->> 2)::double precision * level)::bigint)::jsonpath END,
           ARRAY(SELECT jsonb_array_elements_text(x.tier -> 3))
    FROM jsonb_array_elements(words #> '{loyalty,tiers}') WITH ORDINALITY AS x (tier, place) ORDER BY x.place;
    -- a point for every ten units of what money is worth; since last year points are good for longer
    INSERT INTO crm.loyalty_rates (tenant_id, valid_from, points, currency, expires_after_months)
    SELECT t, until - r.since, round((10.0 ^ round(log(0.1 / level)))::numeric, 12), tenant.base_currency, r.months
    FROM (VALUES (900, 12), (330, 18)) AS r (since, months);
    -- one customer in five has spent half of what it had
    INSERT INTO crm.loyalty_entries (tenant_id, account_id, kind, points, occurred_at, reason)
    SELECT t, b.account_id, 'burn', -(b.balance / 2), b.at, words #>> ARRAY['loyalty', 'reasons', (b.place % 3)::text]
    FROM (
        SELECT d.account_id, d.place, d.at, crm_internal.loyalty_balance(t, d.account_id, d.at) AS balance
        FROM (SELECT c.account_id, row_number() OVER (ORDER BY c.account_id) AS place,
                     (days[width_bucket(until - 30 - (200 * crm_internal.demo_uniform(seed, 'points day', c.account_id - c.first_id))::integer, days)]
                      + time '11:00') AT TIME ZONE tenant.time_zone AS at
              FROM (SELECT o.account_id, min(o.account_id) OVER () AS first_id FROM crm.orders AS o WHERE o.tenant_id = t GROUP BY o.account_id) AS c
              WHERE crm_internal.demo_uniform(seed, 'points', c.account_id - c.first_id) < 0.2) AS d) AS b
    WHERE b.balance >= 2
    ORDER BY b.at, b.account_id;
    INSERT INTO crm.loyalty_members AS m (tenant_id, account_id)
    SELECT DISTINCT t, o.account_id FROM crm.orders AS o WHERE o.tenant_id = t ON CONFLICT DO NOTHING;
    PERFORM crm_internal.review_members(t, ARRAY(SELECT m.account_id::text FROM crm.loyalty_members AS m WHERE m.tenant_id = t ORDER BY m.account_id),
                                        until::timestamp AT TIME ZONE tenant.time_zone);
END
$$;
COMMENT ON FUNCTION crm_internal.demo_loyalty(bigint, date, crm.tenants, jsonb, date[]) IS
'The loyalty programme of a generated company: tiers by the orders of twelve months, points that some customers have spent, and every customer in its tier.';

CREATE OR REPLACE FUNCTION crm_internal.demo_lifecycles(until date, tenant crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
BEGIN
    -- of a second company nothing is known until then: the planner would take all that is said of it for a row or two
    ANALYZE crm.touches, crm.consents, crm.stage_periods, crm.leads, crm.lead_captures, crm.lead_conversions, crm.contacts, crm.opportunities, crm.orders,
        crm.survey_responses, crm.past_values;
    PERFORM crm_internal.begin_lifecycles(t,
        ARRAY(SELECT 'leads ' || l.id FROM crm.leads AS l WHERE l.tenant_id = t AND l.converted_at IS NULL AND l.merged_into_id IS NULL ORDER BY l.id)
        || ARRAY(SELECT 'contacts ' || k.id FROM crm.contacts AS k WHERE k.tenant_id = t ORDER BY k.id),
        until::timestamp AT TIME ZONE tenant.time_zone);
END
$$;
COMMENT ON FUNCTION crm_internal.demo_lifecycles(date, crm.tenants) IS
'Where the people of a generated company stand in the life cycle, and how they came there: it follows from all that is generated of them.';
