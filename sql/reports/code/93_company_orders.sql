-- A generated company, 4: orders and quotas.

CREATE OR REPLACE FUNCTION crm_internal.demo_orders(seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    channels CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'order_channels', 1);
BEGIN
    -- every won deal is ordered within a few days, with its lines; the other orders come by themselves
    CREATE TEMPORARY TABLE demo_orders ON COMMIT DROP AS
    SELECT 'deal-' || d.key AS source_id, d.i, d.key * 4 + 3 AS key, d.key AS deal,
        d.ends + 0.05 + 3 * crm_internal.demo_uniform(seed, 'ordered after', d.key) AS x
    FROM demo_deals AS d WHERE d.wins AND d.ends < finish
    UNION ALL
    SELECT 'again-' || b.key, b.i, b.key * 4, NULL, b.at FROM demo_buys AS b;
    ANALYZE demo_orders;
    DELETE FROM demo_orders AS o WHERE o.x >= finish;
    CREATE TEMPORARY TABLE demo_order_lines ON COMMIT DROP AS
    SELECT o.source_id, l.product_id, l.quantity, l.price, l.cost, l.discount FROM demo_orders AS o JOIN demo_lines AS l ON l.key = o.deal
    UNION ALL
    -- of lines with the same product the first; in brackets, for the order would else be that of the whole union, and the line any
    (SELECT DISTINCT ON (l.source_id, f.product_id) l.source_id, f.product_id, greatest(1, least(80, round(l.worth / f.worth)))::numeric, p.price, p.cost,
           5 * floor(3 * power(crm_internal.demo_uniform(seed, 'discount', l.line), 3))::numeric
    FROM (
        SELECT o.source_id, o.key * 4 + n AS line, a.currency,
               -- who has a plan comes to want support and training; who has terminals, more of them
               CASE WHEN n = 1 THEN CASE WHEN crm_internal.demo_uniform(seed, 'line', o.key * 4 + n) < 0.85 THEN a.taste ELSE 3 - a.taste END
                    WHEN a.taste = 1 THEN CASE WHEN crm_internal.demo_uniform(seed, 'line', o.key * 4 + n) < 0.55 THEN 4 ELSE 3 END
                    ELSE CASE WHEN crm_internal.demo_uniform(seed, 'line', o.key * 4 + n) < 0.7 THEN 4 ELSE 1 END END AS family,
               a.scale * CASE n WHEN 1 THEN 0.8 ELSE 0.25 END * exp(0.35 * crm_internal.demo_normal(seed, 'order worth', o.key * 4 + n)) AS worth
        FROM demo_orders AS o
        JOIN demo_known AS a ON a.i = o.i
        CROSS JOIN LATERAL generate_series(1, 1 + floor(2.4 * power(crm_internal.demo_uniform(seed, 'lines', o.key), 1.6))::integer) AS n
        WHERE o.deal IS NULL
    ) AS l
    JOIN demo_offers AS f ON f.family = l.family AND l.worth >= f.least AND l.worth < f.most
    JOIN demo_prices AS p ON p.product_id = f.product_id AND p.currency = l.currency
    ORDER BY l.source_id, f.product_id, l.line);
    ANALYZE demo_order_lines;

    INSERT INTO crm.orders (tenant_id, number, account_id, contact_id, opportunity_id, kind, state, ordered_at, currency, price_book_id, amount, margin,
        channel,
                            owner_id, team_id, source_system, source_id, created_at)
    SELECT t, 'D-' || o.key, a.account_id, c.contact_id, m.opportunity_id, 'sale',
           CASE WHEN o.deal IS NULL AND crm_internal.demo_uniform(seed, 'cancelled', o.key) < 0.02 THEN 'cancelled' WHEN o.x < finish - 5 THEN 'fulfilled'
               ELSE 'placed' END,
           crm_internal.demo_at(o.x, days, tenant.time_zone), a.currency, b.price_book_id, s.amount, s.margin,
           words -> 'order_channels' -> CASE WHEN o.deal IS NULL THEN width_bucket(crm_internal.demo_uniform(seed, 'order channel', o.key), channels)
               ELSE 1 END ->> 0,
           a.owner_id, a.team_id, 'demo', o.source_id, crm_internal.demo_at(o.x, days, tenant.time_zone)
    FROM demo_orders AS o
    JOIN demo_known AS a ON a.i = o.i
    JOIN (SELECT l.source_id, sum(round(l.quantity * l.price * (100 - l.discount) / 100, 4)) AS amount,
                 sum(round(l.quantity * (l.price * (100 - l.discount) / 100 - l.cost), 4)) AS margin
          FROM demo_order_lines AS l GROUP BY l.source_id) AS s ON s.source_id = o.source_id
    LEFT JOIN demo_contacts AS c ON c.account_id = a.account_id
    LEFT JOIN demo_made AS m ON m.key = o.deal
    LEFT JOIN (SELECT DISTINCT p.currency, p.price_book_id FROM demo_prices AS p) AS b ON b.currency = a.currency
    ORDER BY o.x, o.source_id;
    INSERT INTO crm.order_lines (tenant_id, order_id, product_id, quantity, unit_price, unit_cost, discount_percent)
    SELECT t, o.id, l.product_id, l.quantity, l.price, l.cost, l.discount
    FROM demo_order_lines AS l JOIN crm.orders AS o ON o.tenant_id = t AND o.source_system = 'demo' AND o.source_id = l.source_id
    ORDER BY o.id, l.product_id;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_orders(bigint, date, crm.tenants, jsonb, date[]) IS
'Orders of a generated company with lines; a few are cancelled.';

CREATE OR REPLACE FUNCTION crm_internal.demo_returns(seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
BEGIN
    INSERT INTO crm.orders (tenant_id, number, account_id, contact_id, returns_order_id, kind, state, ordered_at, currency, amount, margin, channel,
                            owner_id, team_id, source_system, source_id, created_at)
    SELECT t, o.number || '-R', o.account_id, o.contact_id, o.id, 'return', 'fulfilled', r.at, o.currency, round(o.amount * r.part, 2),
        round(o.margin * r.part, 2),
           o.channel, o.owner_id, o.team_id, 'demo', o.source_id || '-return', r.at
    FROM demo_orders AS d
    JOIN crm.orders AS o ON o.tenant_id = t AND o.source_system = 'demo' AND o.source_id = d.source_id AND o.state = 'fulfilled'
    CROSS JOIN LATERAL (SELECT d.x + 3 + 14 * crm_internal.demo_uniform(seed, 'return time', d.key) AS x) AS x
    CROSS JOIN LATERAL (SELECT crm_internal.demo_at(x.x, days, tenant.time_zone) AS at,
        (0.3 + 0.7 * crm_internal.demo_uniform(seed, 'return part', d.key))::numeric AS part) AS r
    WHERE crm_internal.demo_uniform(seed, 'return', d.key) < 0.03 AND x.x < finish
    ORDER BY r.at;

    INSERT INTO crm.wallet_declarations (tenant_id, account_id, period, total_spend, our_rank, suppliers, source)
    SELECT t, o.account_id, daterange((until - 365), until), CASE
        WHEN x.u < 0.6 THEN crm_internal.demo_price((sum(o.base_amount) / (0.15 + 0.8 * x.v)::numeric)::double precision) END,
           CASE WHEN x.u >= 0.4 THEN 1 + floor(3 * x.v)::int END, CASE WHEN x.u >= 0.4 THEN 3 END, words ->> 'wallet'
    FROM crm.orders AS o JOIN demo_known AS a ON a.account_id = o.account_id
    CROSS JOIN LATERAL (SELECT crm_internal.demo_uniform(seed, 'wallet', a.i) AS u, crm_internal.demo_uniform(seed, 'wallet size', a.i) AS v,
                               crm_internal.demo_uniform(seed, 'wallet known', a.i) AS w) AS x
    WHERE o.tenant_id = t AND o.source_system = 'demo' AND o.ordered_on >= until - 365 AND o.state <> 'cancelled' AND x.w < 0.3
    GROUP BY o.account_id, x.u, x.v HAVING sum(o.base_amount) > 0;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_returns(bigint, date, crm.tenants, jsonb,
    date[]) IS 'Returns, and wallets that customers declared, of a generated company.';

-- Quotas that can be reached: half what the seller wins in a usual quarter, half what the quarter brought; of quarters to come, the usual.
CREATE OR REPLACE FUNCTION crm_internal.demo_quotas(seed bigint, until date, tenant crm.tenants, words jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
BEGIN
    INSERT INTO crm.quotas (tenant_id, user_id, period, amount, currency)
    SELECT t, w.owner_id, daterange(w.starts, w.ends),
           crm_internal.demo_price(CASE WHEN w.ends <= until THEN 0.55 * w.usual * power(0.92, w.ago) + 0.4 * w.won ELSE w.usual END
               * (0.95 + 0.2 * crm_internal.demo_uniform(seed, 'quota', w.n * 1000 + substr(u.source_id, 6)::bigint))), tenant.base_currency
    FROM (
        SELECT o.owner_id, q.starts, q.ends, q.n, greatest(0, (until - q.ends) / 91.0) AS ago,
            coalesce(sum(o.worth) FILTER (WHERE o.close_date >= q.starts AND o.close_date < q.ends), 0)::double precision AS won,
               (sum(o.worth) FILTER (WHERE o.close_date >= until - 365) / 4)::double precision AS usual
        FROM (SELECT o.owner_id, o.close_date, crm.convert_currency(o.amount, o.currency::text, tenant.base_currency::text, event_date => o.close_date,
                                                                           tenant_id => t) AS worth
              FROM crm.opportunities AS o JOIN crm.stages AS s ON s.tenant_id = t AND s.id = o.stage_id AND s.type = 'won'
              WHERE o.tenant_id = t AND o.source_system = 'demo') AS o
        CROSS JOIN (SELECT d.day AS starts, lead(d.day) OVER (ORDER BY d.day) AS ends, row_number() OVER (ORDER BY d.day DESC) AS n
                    FROM (SELECT until + k AS day FROM generate_series(-1000, 290) AS k) AS d
                    WHERE d.day = crm_analytics.month_start(d.day, words ->> 'calendar')
                        AND mod(crm_analytics.month_number(d.day, words ->> 'calendar') - 1, 3) = 0) AS q
        WHERE q.ends > until - 730 AND q.starts <= until + 92
        GROUP BY o.owner_id, q.starts, q.ends, q.n
    ) AS w
    JOIN crm.users AS u ON u.tenant_id = t AND u.id = w.owner_id
    WHERE w.usual > 0;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_quotas(bigint, date, crm.tenants, jsonb) IS
'Quotas of a generated company by quarter of its calendar, those of this quarter and the next included.';
