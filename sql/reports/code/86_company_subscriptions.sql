-- A generated company, 11: what some of its customers subscribe to, how that grew and shrank over two years, and who left and came back. What was billed of
-- it before the company moved here was billed elsewhere.

CREATE OR REPLACE FUNCTION crm_internal.demo_subscriptions(seed bigint, until date, tenant crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    cal CONSTANT text := CASE WHEN tenant.fiscal_year_start LIKE 'jalali:%' THEN 'jalali' ELSE 'gregorian' END;
BEGIN
    -- one customer in three; two in five of them pay by the year. A life is two to forty months long for those who leave, and goes on for most.
    CREATE TEMPORARY TABLE demo_subscribed ON COMMIT DROP AS
    SELECT x.n, k.k AS turn, a.id AS account_id, a.owner_id, a.team_id, a.currency, p.id AS product_id, p.name AS product,
           CASE WHEN crm_internal.demo_uniform(seed, 'pays by the year', x.n) < 0.4 THEN 12 ELSE 1 END AS months,
           1 + floor(3 * crm_internal.demo_uniform(seed, 'seats', x.n) ^ 2)::integer AS seats, d.starts_on,
           crm_internal.demo_price(p.list_price::double precision / 12 * crm_internal.demo_level(a.currency::text)
                                   / crm_internal.demo_level(tenant.base_currency::text)) AS price,
           CASE WHEN k.k = 1 AND l.leaves < 0.3 THEN least(d.starts_on + 60 + (500 * l.leaves / 0.3)::integer, until - 10) END AS left_on
    FROM (SELECT o.account_id, o.account_id - min(o.account_id) OVER () AS n, max(o.contact_id) AS contact_id
          FROM crm.orders AS o WHERE o.tenant_id = t AND o.kind = 'sale' GROUP BY o.account_id) AS x
    JOIN crm.accounts AS a ON a.tenant_id = t AND a.id = x.account_id
    JOIN crm.products AS p ON p.tenant_id = t AND p.source_system = 'demo'
         AND p.source_id = (ARRAY['PLAN-S', 'PLAN-S', 'PLAN-M', 'PLAN-M', 'PLAN-L'])[1 + floor(5 * crm_internal.demo_uniform(seed, 'plan', x.n))::integer]
    CROSS JOIN LATERAL (SELECT crm_internal.demo_uniform(seed, 'leaves', x.n) AS leaves) AS l
    CROSS JOIN generate_series(1, 2) AS k (k)
    CROSS JOIN LATERAL (SELECT CASE k.k WHEN 1 THEN until - 700 + (620 * crm_internal.demo_uniform(seed, 'subscribed', x.n))::integer
                                        ELSE until - 5 - (60 * crm_internal.demo_uniform(seed, 'came back', x.n))::integer END AS starts_on) AS d
    WHERE crm_internal.demo_uniform(seed, 'subscribes', x.n) < 0.33
      -- some who left long ago came back of late
      AND (k.k = 1 OR l.leaves < 0.05);
    INSERT INTO crm.subscriptions (tenant_id, name, account_id, currency, calendar, interval_months, post_bills, starts_on, ends_on, bills_from, renewal_days,
                                   cancelled_at, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, s.product, s.account_id, s.currency, cal, s.months, true, s.starts_on, coalesce(s.left_on, y.ends_on),
           upper(crm_internal.interval_at(s.starts_on, s.months, cal, until)), CASE WHEN s.months = 12 THEN 45 END,
           CASE WHEN s.left_on IS NOT NULL THEN (s.left_on - 10)::timestamp AT TIME ZONE tenant.time_zone END, s.owner_id, s.team_id, 'demo',
           'subscription-' || s.n || '-' || s.turn, (s.starts_on + time '09:00') AT TIME ZONE tenant.time_zone
    FROM demo_subscribed AS s
    -- by the year: until the end of the year that runs
    CROSS JOIN LATERAL (SELECT CASE WHEN s.months = 12 THEN upper(crm_internal.interval_at(s.starts_on, 12, cal, until)) - 1 END AS ends_on) AS y
    ORDER BY s.starts_on, s.n, s.turn;
    -- half a year on some take more, a few less; prices went up once
    INSERT INTO crm.subscription_lines (tenant_id, subscription_id, product_id, quantity, unit_price, price_includes_tax, during)
    SELECT t, s.id, d.product_id, greatest(d.seats + v.more, 1), d.price * d.months * v.dearer, false,
           daterange(v.from_day, CASE WHEN v.until_day IS NULL OR v.until_day > s.ends_on THEN s.ends_on + 1 ELSE v.until_day END)
    FROM demo_subscribed AS d
    JOIN crm.subscriptions AS s ON s.tenant_id = t AND s.source_system = 'demo' AND s.source_id = 'subscription-' || d.n || '-' || d.turn
    CROSS JOIN LATERAL (SELECT d.starts_on + 120 + (160 * crm_internal.demo_uniform(seed, 'changed after', d.n))::integer AS changed,
                               crm_internal.demo_uniform(seed, 'changed by', d.n) AS u) AS c
    CROSS JOIN LATERAL (VALUES (d.starts_on, c.changed, 0, 1.00),
                               (c.changed, NULL, CASE WHEN c.u < 0.45 THEN 1 + floor(4 * c.u)::integer WHEN c.u > 0.85 THEN -1 ELSE 0 END, 1.05))
        AS v (from_day, until_day, more, dearer)
    WHERE v.from_day <= coalesce(s.ends_on, 'infinity') AND v.from_day < until
    ORDER BY s.id, v.from_day;
    -- one that was to change later goes on as it is
    UPDATE crm.subscription_lines AS l SET during = daterange(lower(l.during), s.ends_on, '[]')
    FROM crm.subscriptions AS s
    WHERE l.tenant_id = t AND s.tenant_id = t AND s.id = l.subscription_id AND s.source_system = 'demo' AND upper(l.during) >= until
      AND upper(l.during) IS DISTINCT FROM s.ends_on + 1;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_subscriptions(bigint, date, crm.tenants) IS
'Subscriptions of a generated company: new ones, more, less, dearer, cancelled and taken up again over two years.';
