-- A generated company, 3: how its customers buy, its deals with their history, and what people do about them.

-- A customer is won by a first deal, at the first try or a later one. From then on it orders at a rate of its own until it leaves, which it may do after
-- any order, and now and then something larger comes up that is a deal again.
CREATE OR REPLACE FUNCTION crm_internal.demo_purchases_drawn(seed bigint, until date, words jsonb, days date[], pace double precision[], n_stages integer)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    sources CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'sources', 1);
    families CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'families', 1);
BEGIN
    -- what may become of a deal: the odds depend on the seller, the source, what is sold, to whom, and how much it is
    CREATE TEMPORARY TABLE demo_tries ON COMMIT DROP AS
    SELECT d.*, crm_internal.demo_uniform(seed, 'won', d.key) < 1 / (1 + exp(-d.odds)) AS wins,
           1 + floor(n_stages * power(crm_internal.demo_uniform(seed, 'lost where', d.key), 1.4))::integer AS lost_at
    FROM (
        SELECT x.*, words -> 'sources' -> x.source ->> 0 AS source_name, a.account_id,
               x.base + 0.6 * crm_internal.demo_normal(seed, 'seller skill', a.owner) + (words -> 'sources' -> x.source ->> 2)::double precision
                   + (words -> 'families' -> (x.family - 1) ->> 2)::double precision + a.industry_effect - 0.5 * ln(x.worth / a.scale) AS odds
        FROM (
            SELECT a.i, k, a.i::bigint * 64 + k AS key, CASE WHEN k < 5 THEN -0.1 ELSE 0.1 END AS base, a.scale,
                   width_bucket(crm_internal.demo_uniform(seed, 'deal source', a.i::bigint * 64 + k), sources) AS source,
                   CASE WHEN crm_internal.demo_uniform(seed, 'deal taste', a.i::bigint * 64 + k) < 0.55 THEN a.taste
                        ELSE 1 + width_bucket(crm_internal.demo_uniform(seed, 'deal family', a.i::bigint * 64 + k), families) END AS family,
                   a.scale * 1.25 * exp(0.4 * crm_internal.demo_normal(seed, 'deal worth', a.i::bigint * 64 + k)) AS worth,
                   CASE WHEN k < 5 THEN 56 ELSE 44 END * exp(0.5 * crm_internal.demo_normal(seed, 'deal length', a.i::bigint * 64 + k)) AS length
            FROM demo_known AS a CROSS JOIN generate_series(1, 28) AS k
        ) AS x
        JOIN demo_known AS a ON a.i = x.i
    ) AS d;
    ANALYZE demo_tries;
    -- the first deal of an account, and others until one is won
    CREATE TEMPORARY TABLE demo_deals ON COMMIT DROP AS
    SELECT f.*, f.came + f.takes AS ends
    FROM (
        SELECT d.*, a.arrival + coalesce(sum(d.takes + 40 + 120 * crm_internal.demo_uniform(seed, 'tried again', d.key))
                   OVER (PARTITION BY d.i ORDER BY d.k ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS came,
               coalesce(bool_or(d.wins OR crm_internal.demo_uniform(seed, 'given up', d.key) < 0.15) OVER (PARTITION BY d.i ORDER BY d.k
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS over
        FROM (SELECT d.*, d.length * CASE WHEN d.wins THEN 1 ELSE d.lost_at::double precision / n_stages END AS takes FROM demo_tries AS d WHERE d.k < 5) AS d
        JOIN demo_known AS a ON a.i = d.i
        WHERE crm_internal.demo_uniform(seed, 'ever asked', d.i) > 0.05
    ) AS f
    WHERE NOT f.over AND f.came < finish + 40;
    ANALYZE demo_deals;
    CREATE TEMPORARY TABLE demo_customers ON COMMIT DROP AS
    SELECT c.i, c.ends AS won, pace[least(floor(c.ends)::integer, cardinality(pace))] AS done,
           34 * exp(0.6 * crm_internal.demo_normal(seed, 'order rate', c.i)) AS gap,
           0.03 + 0.13 * power(crm_internal.demo_uniform(seed, 'fickle', c.i), 2) AS leaves
    FROM demo_deals AS c WHERE c.wins AND c.ends < finish;
    CREATE TEMPORARY TABLE demo_buys ON COMMIT DROP AS
    SELECT w.*, crm_internal.demo_when(w.done, pace, crm_internal.demo_uniform(seed, 'order hour', w.key)) AS at
    FROM (
        SELECT c.i, k AS n, c.i::bigint * 64 + k AS key,
               c.done + sum(-ln(1 - crm_internal.demo_uniform(seed, 'order gap', c.i::bigint * 64 + k)) * c.gap) OVER (PARTITION BY c.i ORDER BY k) AS done,
               bool_and(crm_internal.demo_uniform(seed, 'stays', c.i::bigint * 64 + k) > c.leaves) OVER (PARTITION BY c.i ORDER BY k) AS stays
        FROM demo_customers AS c CROSS JOIN generate_series(1, 60) AS k
    ) AS w
    WHERE w.stays AND w.done < pace[finish::integer - 1];
    -- a customer that does not stay has left with its last order; the others will order again
    CREATE TEMPORARY TABLE demo_lives ON COMMIT DROP AS
    SELECT c.*, coalesce(b.last, c.won) AS last, g.left_at
    FROM demo_customers AS c
    LEFT JOIN (SELECT b.i, max(b.at) AS last, max(b.n) AS n FROM demo_buys AS b GROUP BY b.i) AS b ON b.i = c.i
    CROSS JOIN LATERAL (SELECT CASE WHEN crm_internal.demo_uniform(seed, 'stays', c.i::bigint * 64 + coalesce(b.n, 0) + 1) <= c.leaves
                                    THEN coalesce(b.last, c.won) + 5 ELSE finish + 400 END AS left_at) AS g;
    ANALYZE demo_lives;
    -- what would have been won after that is lost
    INSERT INTO demo_deals (i, k, key, source, family, worth, source_name, account_id, lost_at, wins, came, takes, ends)
    SELECT d.i, d.k, d.key, d.source, d.family, d.worth, d.source_name, d.account_id, d.lost_at, w.wins, p.came, l.takes, p.came + l.takes
    FROM (
        SELECT c.i, k, crm_internal.demo_when(c.done + sum(-ln(1 - crm_internal.demo_uniform(seed, 'deal gap', c.i::bigint * 64 + k)) * least(c.gap, 70))
                   OVER (PARTITION BY c.i ORDER BY k), pace, crm_internal.demo_uniform(seed, 'deal hour', c.i::bigint * 64 + k)) AS came, c.left_at
        FROM demo_lives AS c CROSS JOIN generate_series(5, 28) AS k
    ) AS p
    JOIN demo_tries AS d ON d.i = p.i AND d.k = p.k
    CROSS JOIN LATERAL (SELECT d.wins AND p.came + d.length < p.left_at AS wins) AS w
    CROSS JOIN LATERAL (SELECT d.length * CASE WHEN w.wins THEN 1 ELSE d.lost_at::double precision / n_stages END AS takes) AS l
    WHERE p.came < least(p.left_at, finish + 40);
END
$$;
COMMENT ON FUNCTION crm_internal.demo_purchases_drawn(bigint, date, jsonb, date[], double precision[], integer) IS
'Draws what accounts of a generated company ask for and buy: demo_deals, demo_buys and how long customers stay (demo_lives).';

CREATE OR REPLACE FUNCTION crm_internal.demo_deals(seed bigint, until date, tenant crm.tenants, days date[], pipeline bigint, open_stages bigint[],
    won bigint, lost bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    n_stages CONSTANT integer := cardinality(open_stages);
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
BEGIN
    -- The way of each deal: stages in order, one in ten skipped, one won deal in twelve sent back once from the last stage. What lies past the end has
    -- not happened yet.
    CREATE TEMPORARY TABLE demo_steps ON COMMIT DROP AS
    WITH way AS (
        SELECT d.key, g.n, g.n AS stage, d.came, d.takes, (1 + 0.12 * g.n) * exp(0.7 * crm_internal.demo_normal(seed, 'stay', d.key * 64 + g.n)) AS share
        FROM demo_deals AS d CROSS JOIN generate_series(1, n_stages) AS g (n)
        WHERE d.came < finish AND (g.n = 1 OR ((d.wins OR g.n <= d.lost_at)
            AND (crm_internal.demo_uniform(seed, 'skip', d.key * 64 + g.n) > 0.1 OR g.n = n_stages)))
        UNION ALL
        SELECT d.key, n_stages + b, n_stages - 2 + b, d.came, d.takes, 0.8 * exp(0.5 * crm_internal.demo_normal(seed, 'stay again', d.key * 64 + b))
        FROM demo_deals AS d CROSS JOIN generate_series(1, 2) AS b
        WHERE d.came < finish AND d.wins AND n_stages > 1 AND crm_internal.demo_uniform(seed, 'back', d.key) < 0.085
        UNION ALL
        SELECT d.key, 99, CASE WHEN d.wins THEN 0 ELSE -1 END, d.came, d.takes, 0 FROM demo_deals AS d WHERE d.came < finish
    )
    SELECT w.key, w.n, CASE w.stage WHEN 0 THEN won WHEN -1 THEN lost ELSE open_stages[w.stage] END AS stage_id, w.x,
           crm_internal.demo_at(w.x, days, tenant.time_zone) + w.n * interval '1 microsecond' AS at
    FROM (SELECT w.*, w.came + w.takes * coalesce(sum(w.share) OVER (PARTITION BY w.key ORDER BY w.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)
                      / sum(w.share) OVER (PARTITION BY w.key) AS x FROM way AS w) AS w
    WHERE w.x < finish;
    ANALYZE demo_steps;
    CREATE TEMPORARY TABLE demo_lines ON COMMIT DROP AS
    SELECT d.key, a.account_id, o.product_id, o.name AS product_name, greatest(1, least(80, round(d.worth / o.worth)))::numeric AS quantity, p.price, p.cost,
        a.currency, p.price_book_id,
           5 * floor(3 * power(crm_internal.demo_uniform(seed, 'deal discount', d.key), 4))::numeric AS discount
    FROM demo_deals AS d
    JOIN demo_known AS a ON a.i = d.i
    JOIN demo_offers AS o ON o.family = d.family AND d.worth >= o.least AND d.worth < o.most
    JOIN demo_prices AS p ON p.product_id = o.product_id AND p.currency = a.currency
    WHERE d.came < finish;
    ANALYZE demo_lines;

    INSERT INTO crm.opportunities (tenant_id, name, account_id, contact_id, product_id, pipeline_id, stage_id, amount, currency, expected_close_date,
        close_date,
                                   closed_at, stage_entered_at, loss_reason, lead_source, territory_id, owner_id, team_id, source_system, source_id,
                                       created_at, updated_at)
    SELECT t, a.name || ': ' || l.product_name, a.account_id, c.contact_id, l.product_id, pipeline, s.stage_id,
           round(l.quantity * l.price * (100 - l.discount) / 100, 4), a.currency,
           -- what the seller believes: about right, and not put right at once where it was wrong
           days[CASE WHEN s.n = 99 THEN floor(s.x) ELSE floor(greatest(finish - 12 * crm_internal.demo_uniform(seed, 'believed late', d.key),
               d.ends + 12 * crm_internal.demo_normal(seed, 'believed', d.key))) END::integer],
           CASE WHEN s.n = 99 THEN days[floor(s.x)::integer] END, CASE WHEN s.n = 99 THEN s.at END, s.at,
           CASE WHEN s.stage_id = lost THEN r.codes[1 + floor(cardinality(r.codes) * power(crm_internal.demo_uniform(seed, 'loss reason', d.key),
               1.8))::integer] END,
           d.source_name, a.territory_id, a.owner_id, a.team_id, 'demo', 'deal-' || d.key, crm_internal.demo_at(d.came, days, tenant.time_zone), s.at
    FROM demo_deals AS d
    JOIN demo_known AS a ON a.i = d.i
    JOIN demo_lines AS l ON l.key = d.key
    JOIN (SELECT DISTINCT ON (s.key) s.key, s.n, s.stage_id, s.x, s.at FROM demo_steps AS s ORDER BY s.key, s.n DESC) AS s ON s.key = d.key
    LEFT JOIN demo_contacts AS c ON c.account_id = a.account_id
    CROSS JOIN (SELECT array_agg(r.code ORDER BY md5(r.code)) AS codes FROM crm.loss_reasons AS r WHERE r.tenant_id = t AND r.active
        AND NOT r.note_required) AS r
    ORDER BY d.came, d.key;
    CREATE TEMPORARY TABLE demo_made ON COMMIT DROP AS
    SELECT o.id AS opportunity_id, substr(o.source_id, 6)::bigint AS key, o.amount, o.name, o.account_id, o.contact_id, o.owner_id, o.team_id, o.created_at,
        o.closed_at
    FROM crm.opportunities AS o WHERE o.tenant_id = t AND o.source_system = 'demo';
    ANALYZE demo_made;
    INSERT INTO crm.opportunity_lines (tenant_id, opportunity_id, product_id, quantity, unit_price, unit_cost, discount_percent)
    SELECT t, m.opportunity_id, l.product_id, l.quantity, l.price, l.cost, l.discount FROM demo_lines AS l
        JOIN demo_made AS m ON m.key = l.key ORDER BY m.opportunity_id;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_deals(bigint, date, crm.tenants, date[], bigint, bigint[], bigint, bigint) IS
'Opportunities of a generated company with lines and history.';

CREATE OR REPLACE FUNCTION crm_internal.demo_deal_history(seed bigint, until date, tenant crm.tenants, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    history record;
BEGIN
    -- the amount is a guess at first and becomes what it is with the proposal
    SELECT array_agg(m.opportunity_id ORDER BY m.opportunity_id, s.n) AS ids, array_agg(s.stage_id ORDER BY m.opportunity_id, s.n) AS stages,
           array_agg(s.at ORDER BY m.opportunity_id, s.n) AS entered,
           array_agg(CASE WHEN s.n <= 2 THEN crm_internal.demo_price(m.amount * exp(0.25 * crm_internal.demo_normal(seed, 'guess', s.key))) ELSE m.amount END
                     ORDER BY m.opportunity_id, s.n) AS amounts
    INTO history FROM demo_steps AS s JOIN demo_made AS m ON m.key = s.key;
    PERFORM crm.record_history('opportunities', history.ids, history.stages, history.entered, history.amounts);
    UPDATE crm.accounts AS a SET roles = CASE WHEN l.left_at < finish - 150 THEN '{former}' ELSE '{customer}' END::text[]
    FROM demo_lives AS l JOIN demo_known AS k ON k.i = l.i WHERE a.tenant_id = t AND a.id = k.account_id;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_deal_history(bigint, date, crm.tenants, date[]) IS
'How the deals of a generated company came to where they are, and what their accounts have become by them.';

CREATE OR REPLACE FUNCTION crm_internal.demo_activities(seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    kinds CONSTANT text[] := '{call,mail,meeting,task,note}';
    bounds CONSTANT double precision[] := '{0.35,0.70,0.82,0.94}';
BEGIN
    -- while a deal is open
    INSERT INTO crm.activities (tenant_id, kind, subject, direction, account_id, contact_id, related_table, related_id, due_at, started_at, done_at, outcome,
                                owner_id, team_id, source_system, source_id, created_at)
    SELECT t, k.kind, format(words ->> 'activity', crm_internal.demo_label(words -> 'activities' -> k.kind,
        crm_internal.demo_uniform(seed, 'activity words', k.key)), m.name),
           CASE WHEN k.kind IN ('call', 'mail') THEN CASE WHEN k.u < 0.65 THEN 'out' ELSE 'in' END END, m.account_id, m.contact_id, 'opportunities',
               m.opportunity_id,
           CASE WHEN k.kind IN ('call', 'meeting', 'task') THEN k.at END, k.at, k.at + interval '20 minutes',
           CASE WHEN k.kind = 'call' THEN words -> 'outcomes' ->> CASE WHEN k.u < 0.7 THEN 0 ELSE 1 END END, m.owner_id, m.team_id, 'demo', 'activity-'
               || k.key, k.at
    FROM (
        SELECT d.key AS deal, d.key * 32 + n AS key, kinds[1 + width_bucket(crm_internal.demo_uniform(seed, 'activity kind', d.key * 32 + n), bounds)] AS kind,
               crm_internal.demo_uniform(seed, 'activity way', d.key * 32 + n) AS u, crm_internal.demo_at(x.x, days, tenant.time_zone) AS at
        FROM demo_deals AS d
        CROSS JOIN LATERAL generate_series(1, 1 + floor(9 * power(crm_internal.demo_uniform(seed, 'activities', d.key), 2))::integer) AS n
        CROSS JOIN LATERAL (SELECT d.came + d.takes * crm_internal.demo_uniform(seed, 'activity time', d.key * 32 + n) AS x) AS x
        WHERE x.x < finish - 0.1
    ) AS k
    JOIN demo_made AS m ON m.key = k.deal
    ORDER BY k.at;
    -- what is next with an open deal: some of it late
    INSERT INTO crm.activities (tenant_id, kind, subject, account_id, contact_id, related_table, related_id, due_at, owner_id, team_id, source_system,
        source_id, created_at)
    SELECT t, k.kind, format(words ->> 'activity', crm_internal.demo_label(words -> 'activities' -> k.kind,
        crm_internal.demo_uniform(seed, 'activity words', m.key)), m.name),
           m.account_id, m.contact_id, 'opportunities', m.opportunity_id, crm_internal.demo_at(x.due, days, tenant.time_zone), m.owner_id, m.team_id, 'demo',
               'next-' || m.key,
           greatest(m.created_at, crm_internal.demo_at(least(x.due, finish) - 1 - 25 * crm_internal.demo_uniform(seed, 'planned', m.key), days,
               tenant.time_zone))
    FROM demo_made AS m
    CROSS JOIN LATERAL (SELECT ('{call,meeting,task}'::text[])[1 + floor(3 * crm_internal.demo_uniform(seed, 'next kind', m.key))::integer] AS kind) AS k
    CROSS JOIN LATERAL (SELECT finish - 6 + 18 * crm_internal.demo_uniform(seed, 'due', m.key) AS due) AS x
    WHERE m.closed_at IS NULL AND crm_internal.demo_uniform(seed, 'has next', m.key) < 0.85
      AND crm_internal.demo_at(x.due, days, tenant.time_zone) > m.created_at;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_activities(bigint, date, crm.tenants, jsonb,
    date[]) IS 'Activities about the deals of a generated company, done and to do.';
