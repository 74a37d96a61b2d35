-- A generated company: deterministic, with the shapes of a real one. Every draw is a hash of
-- (seed, what is drawn, which row), so a row does not depend on how many others are made.

CREATE OR REPLACE FUNCTION crm_internal.demo_uniform(seed bigint, what text, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((hashint8extended(n, hashtextextended(what, seed)) >> 11) & 9007199254740991)::double precision / 9007199254740992;
COMMENT ON FUNCTION crm_internal.demo_uniform(bigint, text, bigint) IS 'Uniform draw in [0, 1), the n-th of a named stream.';

CREATE OR REPLACE FUNCTION crm_internal.demo_normal(seed bigint, what text, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN sqrt(-2 * ln(1 - crm_internal.demo_uniform(seed, what, n))) * cos(2 * pi() * crm_internal.demo_uniform(seed, what || '~', n));
COMMENT ON FUNCTION crm_internal.demo_normal(bigint, text, bigint) IS 'Standard normal draw (Box-Muller), the n-th of a named stream.';

CREATE OR REPLACE FUNCTION crm_internal.demo_pick(options text[], weights double precision[], u double precision)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT options[o.n]
    FROM (SELECT w.n, sum(w.w) OVER (ORDER BY w.n) / sum(w.w) OVER () AS upto FROM unnest(weights) WITH ORDINALITY AS w(w, n)) AS o
    WHERE o.upto > u OR o.n = cardinality(options) ORDER BY o.n LIMIT 1
$$;
COMMENT ON FUNCTION crm_internal.demo_pick(text[], double precision[], double precision) IS 'The option that a uniform draw falls on, by weight.';

CREATE OR REPLACE FUNCTION crm_internal.demo_business_instant(at timestamp, u double precision, zone text, weekend smallint[])
RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- the working day the instant falls on or the next one, at a time between 8:30 and 17:30
    SELECT (min(d.day) + time '08:30' + u * interval '9 hours') AT TIME ZONE zone
    FROM (SELECT at::date + k AS day FROM generate_series(0, 6) AS k) AS d
    WHERE NOT extract(isodow FROM d.day)::smallint = ANY (weekend)
$$;
COMMENT ON FUNCTION crm_internal.demo_business_instant(timestamp, double precision, text, smallint[]) IS 'An instant moved into working hours.';

CREATE OR REPLACE FUNCTION crm_internal.demo_people(size integer, seed bigint, tenant crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t bigint := tenant.tenant_id;
    fa boolean := tenant.language = 'fa';
    n_users int := least(8 + 4 * size, 200);
    n_accounts int := 150 * size;
    first_names text[];
    last_names text[];
    words text[];
    forms text[];
BEGIN
    IF fa THEN
        first_names := '{علی,مریم,رضا,زهرا,حسین,سارا,محمد,فاطمه,امیر,نرگس,مهدی,لیلا,بهرام,شیرین,کیان,پریسا,آرش,الهام,سعید,نازنین}';
        last_names := '{رضایی,محمدی,احمدی,کریمی,حسینی,موسوی,جعفری,صادقی,رحیمی,قاسمی,نوری,اکبری,شریفی,کاظمی,طاهری,یزدانی,فرهادی,زارع,بهرامی,سلطانی}';
        words := '{پارس,البرز,زاگرس,آریا,کاوه,سپهر,نگین,مهر,آذر,سینا,رازی,خلیج,کویر,دماوند,سهند,کارون,تبریز,اروند,پرشین,گلستان}';
        forms := '{صنعت,تجارت,فناوری,پخش,سازه,دارو,نیرو,غذا}';
    ELSE
        first_names := '{Anna,Omar,Grace,Lukas,Maria,David,Aisha,Peter,Sofia,James,Leila,Tom,Nora,Ivan,Emma,Reza,Clara,Hugo,Mina,Paul}';
        last_names := '{Keller,Santos,Ahmadi,Novak,Miller,Rossi,Jensen,Okafor,Tanaka,Dubois,Hughes,Moreno,Karimi,Larsen,Schmidt,Bauer,Evans,Costa,Haddad,Weber}';
        words := '{Northwind,Alder,Summit,Cobalt,Harbor,Juniper,Meridian,Quartz,Silverline,Tidewater,Umbra,Vantage,Willow,Zenith,Beacon,Cedar,Delta,Ember,Falcon,Granite}';
        forms := '{Systems,Foods,Logistics,Health,Energy,Retail,Works,Partners}';
    END IF;

    INSERT INTO crm.users (tenant_id, name, email, access, source_system, source_id, created_at)
    SELECT t, first_names[1 + i % 20] || ' ' || last_names[1 + (i * 7 + i / 20) % 20], 'user' || i || '@example.com',
           CASE WHEN i = 0 THEN 'admin' WHEN i <= 3 THEN 'manager' ELSE 'agent' END, 'demo', 'user-' || i, '2020-01-01'
    FROM generate_series(0, n_users - 1) AS i;
    INSERT INTO crm.teams (tenant_id, name, source_system, source_id, lead_id)
    SELECT t, x.name, 'demo', 'team-' || x.n, u.id
    FROM (VALUES (0, 'Sales'), (1, 'North'), (2, 'South'), (3, 'Online')) AS x(n, name)
    JOIN crm.users AS u ON u.tenant_id = t AND u.source_system = 'demo' AND u.source_id = 'user-' || x.n;
    UPDATE crm.teams AS m SET parent_id = p.id FROM crm.teams AS p
    WHERE m.tenant_id = t AND p.tenant_id = t AND m.source_system = 'demo' AND p.source_system = 'demo' AND p.source_id = 'team-0' AND m.source_id <> 'team-0';
    INSERT INTO crm.team_memberships (tenant_id, team_id, user_id, valid)
    SELECT t, m.id, u.id, tstzrange('2020-01-01', NULL)
    FROM crm.users AS u JOIN crm.teams AS m ON m.tenant_id = t AND m.source_system = 'demo'
         AND m.source_id = 'team-' || CASE WHEN substr(u.source_id, 6)::int = 0 THEN 0 ELSE 1 + (substr(u.source_id, 6)::int - 1) % 3 END
    WHERE u.tenant_id = t AND u.source_system = 'demo';
    INSERT INTO crm.territories (tenant_id, name, team_id)
    SELECT t, m.name, m.id FROM crm.teams AS m WHERE m.tenant_id = t AND m.source_system = 'demo' AND m.source_id <> 'team-0';

    INSERT INTO crm.products (tenant_id, code, name, family, tier, list_price, cost, currency, source_system, source_id)
    SELECT t, p.code, p.name, p.family, p.tier, p.price::numeric * CASE WHEN fa THEN 500000 ELSE 1 END,
           p.price::numeric * p.cost * CASE WHEN fa THEN 500000 ELSE 1 END, tenant.base_currency, 'demo', p.code
    FROM (VALUES ('PLAN-S', 'Plan Start', 'Plan', 1, 600, 0.25), ('PLAN-M', 'Plan Team', 'Plan', 2, 2400, 0.22), ('PLAN-L', 'Plan Company', 'Plan', 3, 9600, 0.2),
                 ('DEV-1', 'Terminal One', 'Terminal', 1, 350, 0.6), ('DEV-2', 'Terminal Pro', 'Terminal', 2, 900, 0.55),
                 ('SRV-1', 'Onboarding', 'Service', 1, 1500, 0.5), ('SRV-2', 'Consulting day', 'Service', 2, 1100, 0.6), ('SUP-1', 'Priority support', 'Support', 1, 1800, 0.35))
         AS p(code, name, family, tier, price, cost);

    -- sizes of companies are log-normal, a few countries hold most of them
    INSERT INTO crm.accounts (tenant_id, name, kind, roles, industry, country, employees, annual_revenue, currency, territory_id, owner_id, team_id,
                              source_system, source_id, created_at)
    SELECT t, words[1 + a.i % 20] || ' ' || forms[1 + (a.i / 20 + a.i) % 8] || CASE WHEN a.i >= 160 THEN ' ' || a.i / 160 + 1 ELSE '' END,
           CASE WHEN a.u1 < 0.06 THEN 'person' ELSE 'organisation' END,
           CASE WHEN a.u2 < 0.05 THEN '{partner,prospect}' ELSE '{prospect}' END::text[],
           crm_internal.demo_pick('{technology,retail,medical,finance,manufacturing,services,education,energy}', '{22,20,14,12,12,10,6,4}', a.u3),
           crm_internal.demo_pick(CASE WHEN fa THEN '{IR,AE,TR,IQ}' ELSE '{US,DE,GB,FR,AE,IR}' END::text[],
                                  CASE WHEN fa THEN '{90,4,3,3}' ELSE '{45,18,14,10,7,6}' END::double precision[], a.u4),
           a.employees, round((a.employees * 90000 * exp(0.4 * crm_internal.demo_normal(seed, 'account revenue', a.i)))::numeric, -3), tenant.base_currency,
           y.id, o.id, y.team_id, 'demo', 'account-' || a.i, '2020-01-01'::timestamptz + a.u5 * interval '3 years'
    FROM (SELECT i, crm_internal.demo_uniform(seed, 'account kind', i) AS u1, crm_internal.demo_uniform(seed, 'account role', i) AS u2,
                 crm_internal.demo_uniform(seed, 'industry', i) AS u3, crm_internal.demo_uniform(seed, 'country', i) AS u4,
                 crm_internal.demo_uniform(seed, 'account age', i) AS u5,
                 greatest(1, round(exp(4.2 + 1.4 * crm_internal.demo_normal(seed, 'employees', i)))::int) AS employees,
                 floor(crm_internal.demo_uniform(seed, 'territory', i) * 3)::int AS k,
                 4 + floor(crm_internal.demo_uniform(seed, 'account owner', i) * (n_users - 4))::int AS owner
          FROM generate_series(0, n_accounts - 1) AS i) AS a
    JOIN crm.users AS o ON o.tenant_id = t AND o.source_system = 'demo' AND o.source_id = 'user-' || a.owner
    JOIN crm.teams AS m ON m.tenant_id = t AND m.source_system = 'demo' AND m.source_id = 'team-' || 1 + (a.owner - 1) % 3
    JOIN crm.territories AS y ON y.tenant_id = t AND y.team_id = m.id;

    INSERT INTO crm.contacts (tenant_id, name, account_id, title, language, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, first_names[1 + floor(20 * crm_internal.demo_uniform(seed, 'first', c.n))::int] || ' ' || last_names[1 + floor(20 * crm_internal.demo_uniform(seed, 'last', c.n))::int],
           a.id, crm_internal.demo_pick('{Buyer,Head of IT,Owner,Finance,Operations,Assistant}', '{25,20,20,15,12,8}', crm_internal.demo_uniform(seed, 'title', c.n)),
           tenant.language, a.owner_id, a.team_id, 'demo', 'contact-' || c.n, a.created_at
    FROM crm.accounts AS a
    CROSS JOIN LATERAL (SELECT substr(a.source_id, 9)::int AS i) AS x
    CROSS JOIN LATERAL (SELECT x.i * 8 + k AS n FROM generate_series(0, least(7, floor(ln(1 - crm_internal.demo_uniform(seed, 'contacts', x.i)) / ln(0.6))::int)) AS k) AS c
    WHERE a.tenant_id = t AND a.source_system = 'demo';
    INSERT INTO crm.contact_points (tenant_id, contact_id, kind, value, is_primary)
    SELECT t, c.id, k.kind, CASE k.kind WHEN 'email' THEN 'person' || substr(c.source_id, 9) || '@example.net'
                                        ELSE CASE WHEN fa THEN '0912' ELSE '+1555' END || lpad((substr(c.source_id, 9)::bigint % 10000000)::text, 7, '0') END, k.kind = 'email'
    FROM crm.contacts AS c CROSS JOIN (VALUES ('email'), ('mobile')) AS k(kind)
    WHERE c.tenant_id = t AND c.source_system = 'demo'
      AND (k.kind = 'email' OR crm_internal.demo_uniform(seed, 'has mobile', substr(c.source_id, 9)::bigint) < 0.7);
END
$$;
COMMENT ON FUNCTION crm_internal.demo_people(integer, bigint, crm.tenants) IS 'Users, teams, products, accounts and contacts of a generated company.';

CREATE OR REPLACE FUNCTION crm_internal.demo_sales(size integer, seed bigint, until date, tenant crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off SET jit = off
AS $$
DECLARE
    t bigint := tenant.tenant_id;
    n_deals int := 700 * size;
    span double precision := 895;                 -- days of history, less what a weekend can add
    start timestamp := until - 900;
    horizon timestamptz := until::timestamp AT TIME ZONE tenant.time_zone;
    pipeline bigint;
    open_stages bigint[];
    won bigint;
    lost bigint;
    subject_ids bigint[];
    stage_ids bigint[];
    entered_at timestamptz[];
    amounts numeric[];
BEGIN
    SELECT p.id INTO pipeline FROM crm.pipelines AS p WHERE p.tenant_id = t AND p.subject_table = 'opportunities' AND p.is_default;
    SELECT array_agg(s.id ORDER BY s.position) FILTER (WHERE s.type = 'open'), min(s.id) FILTER (WHERE s.type = 'won'), min(s.id) FILTER (WHERE s.type = 'lost')
    INTO open_stages, won, lost FROM crm.stages AS s WHERE s.tenant_id = t AND s.pipeline_id = pipeline AND s.active;

    -- Each deal: who, what, how much; how far it gets and when. Creation grows over time; large accounts buy more
    -- often; the odds depend on the seller, the source, the product and the size of the deal.
    CREATE TEMPORARY TABLE demo_deals ON COMMIT DROP AS
    SELECT d.*, crm_internal.demo_uniform(seed, 'won', d.i) < 1 / (1 + exp(-d.odds)) AS wins,
           -- the stage in which a lost deal is lost: early more often than late
           1 + floor(cardinality(open_stages) * power(crm_internal.demo_uniform(seed, 'lost where', d.i), 1.4))::int AS lost_at
    FROM (
        SELECT i, a.id AS account_id, a.name AS account_name, a.owner_id, a.team_id, a.territory_id, p.id AS product_id, p.name AS product_name,
               x.source, round((p.list_price * x.quantity)::numeric, 2) AS amount,
               crm_internal.demo_business_instant(start + span * power(x.u_time, 0.8) * interval '1 day', x.u_clock, tenant.time_zone, tenant.weekend) AS created_at,
               -0.35 + 0.6 * crm_internal.demo_normal(seed, 'seller skill', substr(w.source_id, 6)::bigint) + x.source_effect - 0.25 * ln(x.quantity)
                   + CASE p.family WHEN 'Plan' THEN 0.2 WHEN 'Support' THEN 0.5 ELSE -0.1 END
                   + CASE a.industry WHEN 'technology' THEN 0.3 WHEN 'energy' THEN -0.5 ELSE 0 END AS odds
        FROM (
            SELECT i, floor(150 * size * power(crm_internal.demo_uniform(seed, 'deal account', i), 1.8))::int AS account,
                   crm_internal.demo_uniform(seed, 'deal time', i) AS u_time, crm_internal.demo_uniform(seed, 'deal clock', i) AS u_clock,
                   crm_internal.demo_pick('{PLAN-S,PLAN-M,PLAN-L,DEV-1,DEV-2,SRV-1,SRV-2,SUP-1}', '{20,18,7,16,12,10,9,8}', crm_internal.demo_uniform(seed, 'deal product', i)) AS product,
                   greatest(1, round(exp(0.9 + 0.9 * crm_internal.demo_normal(seed, 'quantity', i)))) AS quantity,
                   s.source, s.effect AS source_effect
            FROM generate_series(1, n_deals) AS i
            CROSS JOIN LATERAL (SELECT crm_internal.demo_pick('{web,referral,event,cold call,partner,campaign}', '{30,18,12,18,10,12}', crm_internal.demo_uniform(seed, 'deal source', i)) AS source) AS k
            JOIN (VALUES ('web', -0.1), ('referral', 0.8), ('event', 0.1), ('cold call', -0.6), ('partner', 0.4), ('campaign', -0.2)) AS s(source, effect) ON s.source = k.source
        ) AS x
        JOIN crm.accounts AS a ON a.tenant_id = t AND a.source_system = 'demo' AND a.source_id = 'account-' || x.account
        JOIN crm.users AS w ON w.tenant_id = t AND w.id = a.owner_id
        JOIN crm.products AS p ON p.tenant_id = t AND p.source_system = 'demo' AND p.source_id = x.product
    ) AS d;

    -- The way of each deal: stages in order, one in ten skipped, one in twelve sent back once from the last stage;
    -- log-normal stays; then won or lost. Steps past the horizon have not happened yet.
    CREATE TEMPORARY TABLE demo_steps ON COMMIT DROP AS
    WITH way AS (
        SELECT d.i, k AS n, open_stages[k] AS stage_id, d.created_at,
               exp(1.9 + 0.15 * k + 0.8 * crm_internal.demo_normal(seed, 'stay', d.i * 64 + k)) AS days
        FROM demo_deals AS d CROSS JOIN generate_series(1, cardinality(open_stages)) AS k
        WHERE k = 1 OR ((d.wins OR k <= d.lost_at) AND (crm_internal.demo_uniform(seed, 'skip', d.i * 64 + k) > 0.1 OR k = cardinality(open_stages)))
        UNION ALL
        SELECT d.i, cardinality(open_stages) + b.k, open_stages[cardinality(open_stages) - 2 + b.k], d.created_at,
               exp(1.5 + 0.6 * crm_internal.demo_normal(seed, 'stay again', d.i * 64 + b.k))
        FROM demo_deals AS d CROSS JOIN generate_series(1, 2) AS b(k)
        WHERE d.wins AND cardinality(open_stages) > 1 AND crm_internal.demo_uniform(seed, 'back', d.i) < 0.085
        UNION ALL
        SELECT d.i, 99, CASE WHEN d.wins THEN won ELSE lost END, d.created_at, 0 FROM demo_deals AS d
    )
    SELECT w.i, w.n, w.stage_id,
           w.created_at + coalesce(sum(w.days) OVER (PARTITION BY w.i ORDER BY w.n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) * interval '1 day'
               + w.n * interval '1 microsecond' AS at
    FROM way AS w;
    DELETE FROM demo_steps AS s WHERE s.at >= horizon;

    INSERT INTO crm.opportunities (tenant_id, name, account_id, contact_id, product_id, pipeline_id, stage_id, amount, currency, expected_close_date, close_date,
                                   loss_reason, lead_source, territory_id, owner_id, team_id, source_system, source_id, created_at, updated_at)
    SELECT t, d.account_name || ': ' || d.product_name, d.account_id,
           (SELECT min(c.id) FROM crm.contacts AS c WHERE c.tenant_id = t AND c.account_id = d.account_id), d.product_id, pipeline, l.stage_id, d.amount,
           tenant.base_currency,
           (CASE WHEN l.n = 99 THEN l.at ELSE greatest(horizon, d.created_at) + (10 + 80 * crm_internal.demo_uniform(seed, 'expected', d.i)) * interval '1 day' END AT TIME ZONE tenant.time_zone)::date,
           CASE WHEN l.n = 99 THEN (l.at AT TIME ZONE tenant.time_zone)::date END,
           CASE WHEN l.stage_id = lost THEN crm_internal.demo_pick(r.codes, r.weights, crm_internal.demo_uniform(seed, 'loss reason', d.i)) END,
           d.source, d.territory_id, d.owner_id, d.team_id, 'demo', 'deal-' || d.i, d.created_at, l.at
    FROM demo_deals AS d
    JOIN (SELECT DISTINCT ON (s.i) s.i, s.n, s.stage_id, s.at FROM demo_steps AS s ORDER BY s.i, s.n DESC) AS l USING (i)
    CROSS JOIN (SELECT array_agg(r.code ORDER BY r.code) AS codes, array_agg(1.0 / (1 + r.n) ORDER BY r.code)::double precision[] AS weights
                FROM (SELECT r.code, row_number() OVER (ORDER BY md5(r.code)) AS n FROM crm.loss_reasons AS r WHERE r.tenant_id = t AND r.active AND NOT r.note_required) AS r) AS r
    ORDER BY d.created_at;

    -- the amount is a guess at first and becomes what it is with the proposal
    SELECT array_agg(o.id ORDER BY o.id, s.n), array_agg(s.stage_id ORDER BY o.id, s.n), array_agg(s.at ORDER BY o.id, s.n),
           array_agg(CASE WHEN s.n <= 2 THEN round((o.amount * exp(0.25 * crm_internal.demo_normal(seed, 'guess', s.i)))::numeric, -1) ELSE o.amount END ORDER BY o.id, s.n)
    INTO subject_ids, stage_ids, entered_at, amounts
    FROM demo_steps AS s JOIN crm.opportunities AS o ON o.tenant_id = t AND o.source_system = 'demo' AND o.source_id = 'deal-' || s.i;
    UPDATE crm.opportunities AS o SET stage_entered_at = s.last, closed_at = CASE WHEN o.closed_at IS NOT NULL THEN s.last END
    FROM (SELECT v.id, max(v.at) AS last FROM unnest(subject_ids, entered_at) AS v(id, at) GROUP BY v.id) AS s
    WHERE o.tenant_id = t AND o.id = s.id;
    PERFORM crm.record_history('opportunities', subject_ids, stage_ids, entered_at, amounts);

    UPDATE crm.accounts AS a SET roles = '{customer}'
    WHERE a.tenant_id = t AND a.source_system = 'demo'
      AND EXISTS (SELECT FROM crm.opportunities AS o WHERE o.tenant_id = t AND o.account_id = a.id AND o.stage_id = won);

    -- what people did about it: calls and mails while a deal is open, tasks that are still to do
    INSERT INTO crm.activities (tenant_id, kind, subject, direction, account_id, contact_id, related_table, related_id, due_at, started_at, done_at, outcome, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, k.kind, initcap(k.kind) || ': ' || o.name, CASE WHEN k.kind IN ('call', 'mail') THEN CASE WHEN k.u < 0.65 THEN 'out' ELSE 'in' END END,
           o.account_id, o.contact_id, 'opportunities', o.id, k.at, CASE WHEN k.at < horizon THEN k.at END, CASE WHEN k.at < horizon THEN k.at + interval '20 minutes' END,
           CASE WHEN k.at < horizon AND k.kind = 'call' THEN CASE WHEN k.u < 0.7 THEN 'reached' ELSE 'no answer' END END, o.owner_id, o.team_id, 'demo', 'activity-' || d.i || '-' || k.n, least(k.at, horizon)
    FROM demo_deals AS d
    JOIN crm.opportunities AS o ON o.tenant_id = t AND o.source_system = 'demo' AND o.source_id = 'deal-' || d.i
    CROSS JOIN LATERAL (
        SELECT n, crm_internal.demo_pick('{call,mail,meeting,task,note}', '{35,35,12,12,6}', crm_internal.demo_uniform(seed, 'activity kind', d.i * 32 + n)) AS kind,
               crm_internal.demo_uniform(seed, 'activity way', d.i * 32 + n) AS u,
               crm_internal.demo_business_instant((d.created_at + crm_internal.demo_uniform(seed, 'activity time', d.i * 32 + n) *
                   (coalesce(o.closed_at, horizon + interval '14 days') - d.created_at)) AT TIME ZONE tenant.time_zone,
                   crm_internal.demo_uniform(seed, 'activity clock', d.i * 32 + n), tenant.time_zone, tenant.weekend) AS at
        FROM generate_series(1, 1 + floor(8 * power(crm_internal.demo_uniform(seed, 'activities', d.i), 2))::int) AS n) AS k;

    INSERT INTO crm.quotas (tenant_id, user_id, period, amount, currency)
    SELECT t, u.id, daterange(q::date, (q + interval '3 months')::date),
           round((w.yearly / 4 * (0.9 + 0.4 * crm_internal.demo_uniform(seed, 'quota', substr(u.source_id, 6)::bigint)))::numeric, -2), tenant.base_currency
    FROM (SELECT o.owner_id AS id, greatest(sum(o.amount) FILTER (WHERE o.stage_id = won) / 2.5, 10000) AS yearly FROM crm.opportunities AS o WHERE o.tenant_id = t GROUP BY o.owner_id) AS w
    JOIN crm.users AS u ON u.tenant_id = t AND u.id = w.id AND u.source_system = 'demo'
    CROSS JOIN generate_series(date_trunc('quarter', start), until::timestamp, interval '3 months') AS q;
    DROP TABLE demo_deals, demo_steps;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_sales(integer, bigint, date, crm.tenants) IS
'Opportunities with their history, activities and quotas of a generated company.';

CREATE OR REPLACE FUNCTION crm_internal.demo_orders(size integer, seed bigint, until date, tenant crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off SET jit = off
AS $$
DECLARE
    t bigint := tenant.tenant_id;
    horizon timestamptz := until::timestamp AT TIME ZONE tenant.time_zone;
BEGIN
    -- A customer's orders begin with the first deal it gave us. It buys at a rate of its own (log-normal) until it leaves, which it may do
    -- after any order; what it buys first decides what it buys next.
    INSERT INTO crm.orders (tenant_id, number, account_id, contact_id, opportunity_id, kind, state, ordered_at, currency, amount, channel, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, 'D-' || c.i || '-' || w.n, c.account_id, c.contact_id, CASE WHEN w.n = 1 THEN c.opportunity_id END, 'sale',
           CASE WHEN crm_internal.demo_uniform(seed, 'cancelled', c.i * 64 + w.n) < 0.02 THEN 'cancelled' WHEN w.at < horizon - interval '7 days' THEN 'fulfilled' ELSE 'placed' END,
           w.at, tenant.base_currency, 0, crm_internal.demo_pick('{web,seller,partner}', '{50,38,12}', crm_internal.demo_uniform(seed, 'order channel', c.i * 64 + w.n)),
           c.owner_id, c.team_id, 'demo', 'order-' || c.i || '-' || w.n, w.at
    FROM (
        SELECT DISTINCT ON (o.account_id) o.account_id, o.contact_id, o.id AS opportunity_id, o.owner_id, o.team_id, o.closed_at, substr(a.source_id, 9)::bigint AS i
        FROM crm.opportunities AS o JOIN crm.stages AS s ON s.tenant_id = o.tenant_id AND s.id = o.stage_id
        JOIN crm.accounts AS a ON a.tenant_id = o.tenant_id AND a.id = o.account_id
        WHERE o.tenant_id = t AND s.type = 'won' AND o.source_system = 'demo'
        ORDER BY o.account_id, o.closed_at, o.id
    ) AS c
    CROSS JOIN LATERAL (
        SELECT g.n, crm_internal.demo_business_instant((c.closed_at + g.days * interval '1 day') AT TIME ZONE tenant.time_zone,
                                                       crm_internal.demo_uniform(seed, 'order clock', c.i * 64 + g.n), tenant.time_zone, tenant.weekend) AS at
        FROM (
            SELECT k AS n,
                   coalesce(sum(-ln(1 - crm_internal.demo_uniform(seed, 'order gap', c.i * 64 + k)) * 45 * exp(0.7 * crm_internal.demo_normal(seed, 'order rate', c.i)))
                            OVER (ORDER BY k ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS days,
                   bool_and(k = 1 OR crm_internal.demo_uniform(seed, 'stays', c.i * 64 + k) > 0.04 + 0.16 * power(crm_internal.demo_uniform(seed, 'fickle', c.i), 2)) OVER (ORDER BY k) AS still_there
            FROM generate_series(1, 40) AS k) AS g
        WHERE g.still_there
    ) AS w
    WHERE w.at < horizon
    ORDER BY w.at;

    INSERT INTO crm.order_lines (tenant_id, order_id, product_id, quantity, unit_price, unit_cost, discount_percent)
    SELECT t, o.id, p.id, l.quantity, p.list_price, p.cost, l.discount
    FROM crm.orders AS o
    CROSS JOIN LATERAL (SELECT split_part(o.source_id, '-', 2)::bigint AS i, split_part(o.source_id, '-', 3)::bigint AS n) AS x
    CROSS JOIN LATERAL (SELECT crm_internal.demo_pick('{Plan,Terminal}', '{60,40}', crm_internal.demo_uniform(seed, 'taste', x.i)) AS taste,
                               1 + floor(2.2 * power(crm_internal.demo_uniform(seed, 'lines', x.i * 64 + x.n), 2))::int AS lines) AS y
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (code) CASE
                   -- who has a plan comes to want onboarding and support; who has terminals, more terminals
                   WHEN k = 1 AND y.taste = 'Plan' THEN CASE WHEN x.n >= 8 THEN 'PLAN-L' WHEN x.n >= 4 THEN 'PLAN-M' ELSE 'PLAN-S' END
                   WHEN k = 1 THEN CASE WHEN x.n >= 5 THEN 'DEV-2' ELSE 'DEV-1' END
                   WHEN y.taste = 'Plan' THEN crm_internal.demo_pick('{SRV-1,SUP-1,SRV-2,DEV-1}', '{35,40,15,10}', crm_internal.demo_uniform(seed, 'line', x.i * 640 + x.n * 10 + k))
                   ELSE crm_internal.demo_pick('{DEV-2,SUP-1,PLAN-S,SRV-2}', '{30,35,20,15}', crm_internal.demo_uniform(seed, 'line', x.i * 640 + x.n * 10 + k)) END AS code,
               greatest(1, round(exp(0.5 + 0.7 * crm_internal.demo_normal(seed, 'order quantity', x.i * 640 + x.n * 10 + k)))) AS quantity,
               5 * floor(3 * power(crm_internal.demo_uniform(seed, 'discount', x.i * 640 + x.n * 10 + k), 3)) AS discount
        FROM generate_series(1, y.lines) AS k ORDER BY code, k) AS l
    JOIN crm.products AS p ON p.tenant_id = t AND p.source_system = 'demo' AND p.source_id = l.code
    WHERE o.tenant_id = t AND o.source_system = 'demo'
    ORDER BY o.id, l.code;

    INSERT INTO crm.orders (tenant_id, number, account_id, contact_id, returns_order_id, kind, state, ordered_at, currency, amount, margin, channel, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, o.number || '-R', o.account_id, o.contact_id, o.id, 'return', 'fulfilled', r.at, o.currency, round(o.amount * r.part, 2), round(o.margin * r.part, 2), o.channel, o.owner_id, o.team_id,
           'demo', o.source_id || '-return', r.at
    FROM crm.orders AS o
    CROSS JOIN LATERAL (SELECT hashtextextended(o.source_id, seed) AS h) AS k
    CROSS JOIN LATERAL (SELECT o.ordered_at + (3 + 20 * crm_internal.demo_uniform(seed, 'return time', k.h)) * interval '1 day' AS at,
                               (0.3 + 0.7 * crm_internal.demo_uniform(seed, 'return part', k.h))::numeric AS part) AS r
    WHERE o.tenant_id = t AND o.source_system = 'demo' AND o.state = 'fulfilled' AND crm_internal.demo_uniform(seed, 'return', k.h) < 0.03 AND r.at < horizon;

    INSERT INTO crm.wallet_declarations (tenant_id, account_id, period, total_spend, our_rank, suppliers, source)
    SELECT t, o.account_id, daterange((until - 365), until), CASE WHEN x.u < 0.6 THEN round(sum(o.base_amount) / (0.15 + 0.8 * x.v)::numeric, -2) END,
           CASE WHEN x.u >= 0.4 THEN 1 + floor(3 * x.v)::int END, CASE WHEN x.u >= 0.4 THEN 3 END, 'annual review'
    FROM crm.orders AS o JOIN crm.accounts AS a ON a.tenant_id = t AND a.id = o.account_id
    CROSS JOIN LATERAL (SELECT crm_internal.demo_uniform(seed, 'wallet', substr(a.source_id, 9)::bigint) AS u, crm_internal.demo_uniform(seed, 'wallet size', substr(a.source_id, 9)::bigint) AS v,
                               crm_internal.demo_uniform(seed, 'wallet known', substr(a.source_id, 9)::bigint) AS w) AS x
    WHERE o.tenant_id = t AND o.source_system = 'demo' AND o.ordered_on >= until - 365 AND o.state <> 'cancelled' AND x.w < 0.3
    GROUP BY o.account_id, x.u, x.v HAVING sum(o.base_amount) > 0;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_orders(integer, bigint, date, crm.tenants) IS
'Orders with lines, returns and cancellations, and declared wallets of a generated company.';

CREATE OR REPLACE FUNCTION crm_internal.demo_tickets(size integer, seed bigint, until date, tenant crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off SET jit = off
AS $$
DECLARE
    t bigint := tenant.tenant_id;
    n_tickets int := 260 * size;
    horizon timestamptz := until::timestamp AT TIME ZONE tenant.time_zone;
    office bigint;
    policy bigint;
    help bigint;
    pipeline bigint;
    stage jsonb;
BEGIN
    -- working hours of the tenant's week, and promises by priority on them
    SELECT c.id INTO office FROM crm.define_calendar('office', jsonb_build_object('zone', tenant.time_zone, 'weekly',
        (SELECT jsonb_object_agg(d.name, '[["08:30","12:30"],["13:00","17:30"]]'::jsonb)
         FROM unnest('{mon,tue,wed,thu,fri,sat,sun}'::text[]) WITH ORDINALITY AS d(name, n) WHERE NOT d.n::smallint = ANY (tenant.weekend)))) AS c;
    INSERT INTO crm.queues AS q (tenant_id, code, name, team_id, calendar_id, routing_method)
    SELECT t, 'help', 'Help desk', m.id, office, 'least_loaded' FROM crm.teams AS m WHERE m.tenant_id = t AND m.source_system = 'demo' AND m.source_id = 'team-3' RETURNING q.id INTO help;
    INSERT INTO crm.agents (tenant_id, user_id, capacity, calendar_id)
    SELECT t, x.user_id, 12, office FROM crm.team_memberships AS x JOIN crm.teams AS m ON m.tenant_id = t AND m.id = x.team_id WHERE x.tenant_id = t AND m.source_system = 'demo' AND m.source_id = 'team-3'
    ON CONFLICT DO NOTHING;
    INSERT INTO crm.sla_policies AS p (tenant_id, name, calendar_id) VALUES (t, 'Standard support', office) RETURNING p.id INTO policy;
    INSERT INTO crm.sla_targets (tenant_id, policy_id, metric, priority, seconds, pause_stages)
    SELECT t, policy, m.metric, p.priority, (p.hours * m.factor * 3600)::bigint, m.pauses
    FROM (VALUES ('urgent', 4), ('high', 8), ('normal', 24), ('low', 48)) AS p(priority, hours),
         (VALUES ('first_response', 0.25, '{}'::text[]), ('resolution', 1.0, '{waiting}'::text[])) AS m(metric, factor, pauses);
    SELECT p.id INTO pipeline FROM crm.pipelines AS p WHERE p.tenant_id = t AND p.subject_table = 'tickets' AND p.is_default;
    SELECT jsonb_object_agg(s.code, s.id) INTO stage FROM crm.stages AS s WHERE s.tenant_id = t AND s.pipeline_id = pipeline;

    -- Requests come from customers, the large ones more often; each is answered, half of them wait for the customer once, most are solved.
    CREATE TEMPORARY TABLE demo_requests ON COMMIT DROP AS
    SELECT r.*, r.opened_at + exp(-0.2 + 0.9 * crm_internal.demo_normal(seed, 'ticket answer', r.i)) * r.pace * interval '1 hour' AS answered_at,
           crm_internal.demo_uniform(seed, 'ticket waits', r.i) < 0.45 AS waits
    FROM (
        SELECT i, k.account_id, k.owner_id, k.contact_id,
               crm_internal.demo_business_instant(until - (300 * power(crm_internal.demo_uniform(seed, 'ticket time', i), 1.4))::int + time '00:00', crm_internal.demo_uniform(seed, 'ticket clock', i), tenant.time_zone, tenant.weekend) AS opened_at,
               x.priority, CASE x.priority WHEN 'urgent' THEN 0.3 WHEN 'high' THEN 0.6 WHEN 'normal' THEN 1.4 ELSE 2.5 END AS pace,
               crm_internal.demo_pick('{question,incident,request,complaint}', '{40,30,20,10}', crm_internal.demo_uniform(seed, 'ticket type', i)) AS type,
               crm_internal.demo_pick('{mail,phone,web,chat}', '{45,25,20,10}', crm_internal.demo_uniform(seed, 'ticket channel', i)) AS channel,
               (SELECT array_agg(m.user_id ORDER BY u.source_id) FROM crm.agents AS m JOIN crm.users AS u ON u.tenant_id = t AND u.id = m.user_id WHERE m.tenant_id = t) AS agents
        FROM generate_series(1, n_tickets) AS i
        CROSS JOIN LATERAL (SELECT crm_internal.demo_pick('{urgent,high,normal,low}', '{6,18,56,20}', crm_internal.demo_uniform(seed, 'ticket priority', i)) AS priority) AS x
        JOIN (SELECT o.account_id, max(o.owner_id) AS owner_id, max(o.contact_id) AS contact_id, row_number() OVER (ORDER BY sum(o.base_amount) DESC, o.account_id) AS place, count(*) OVER () AS places
              FROM crm.orders AS o WHERE o.tenant_id = t AND o.kind = 'sale' GROUP BY o.account_id) AS k
            ON k.place = 1 + floor(k.places * power(crm_internal.demo_uniform(seed, 'ticket account', i), 1.7))::int
    ) AS r
    WHERE r.opened_at < horizon;
    CREATE TEMPORARY TABLE demo_ticket_steps ON COMMIT DROP AS
    SELECT s.* FROM (
        SELECT r.i, v.n, v.code, v.at FROM demo_requests AS r
        CROSS JOIN LATERAL (SELECT r.answered_at + CASE WHEN r.waits THEN exp(2.6 + 0.7 * crm_internal.demo_normal(seed, 'ticket waiting', r.i)) ELSE 0 END * interval '1 hour' AS back_at) AS b
        CROSS JOIN LATERAL (SELECT b.back_at + exp(2.3 + 0.9 * crm_internal.demo_normal(seed, 'ticket work', r.i)) * r.pace * interval '1 hour' AS solved_at) AS w
        CROSS JOIN LATERAL (VALUES (1, 'new', r.opened_at), (2, 'open', r.opened_at + (r.answered_at - r.opened_at) / 2),
                                   (3, CASE WHEN r.waits THEN 'waiting' END, r.answered_at + interval '1 second'), (4, CASE WHEN r.waits THEN 'open' END, b.back_at + interval '2 seconds'),
                                   (5, 'resolved', w.solved_at + interval '3 seconds'), (6, 'closed', w.solved_at + interval '5 days')) AS v(n, code, at)
    ) AS s WHERE s.code IS NOT NULL AND s.at < horizon;

    INSERT INTO crm.tickets (tenant_id, subject, channel, type, priority, queue_id, account_id, contact_id, pipeline_id, stage_id, created_at, stage_entered_at, closed_at, first_response_at, resolved_at,
                             owner_id, team_id, source_system, source_id)
    SELECT t, initcap(r.type) || ' of ' || a.name, r.channel, r.type, r.priority, help, r.account_id, r.contact_id, pipeline, (stage ->> l.code)::bigint, r.opened_at, l.at,
           CASE WHEN l.code IN ('resolved', 'closed') THEN l.at END, CASE WHEN r.answered_at < horizon THEN r.answered_at END, z.at,
           CASE WHEN l.code <> 'new' THEN r.agents[1 + (r.i % cardinality(r.agents))] END, NULL, 'demo', 'ticket-' || r.i
    FROM demo_requests AS r
    JOIN crm.accounts AS a ON a.tenant_id = t AND a.id = r.account_id
    JOIN (SELECT DISTINCT ON (s.i) s.i, s.code, s.at FROM demo_ticket_steps AS s ORDER BY s.i, s.n DESC) AS l USING (i)
    LEFT JOIN demo_ticket_steps AS z ON z.i = r.i AND z.code = 'resolved'
    ORDER BY r.opened_at;
    PERFORM crm.record_history('tickets', array_agg(k.id ORDER BY s.i, s.n), array_agg((stage ->> s.code)::bigint ORDER BY s.i, s.n), array_agg(s.at ORDER BY s.i, s.n))
    FROM demo_ticket_steps AS s JOIN crm.tickets AS k ON k.tenant_id = t AND k.source_system = 'demo' AND k.source_id = 'ticket-' || s.i;
    -- answers and the pauses in between, as events of the clocks
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at)
    SELECT t, 'tickets', k.id, 'agent_message', k.first_response_at FROM crm.tickets AS k WHERE k.tenant_id = t AND k.source_system = 'demo' AND k.first_response_at IS NOT NULL;
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, stage, stage_type)
    SELECT t, 'tickets', k.id, 'stage', s.at, s.code, CASE s.code WHEN 'waiting' THEN 'on_hold' ELSE 'open' END
    FROM demo_ticket_steps AS s JOIN crm.tickets AS k ON k.tenant_id = t AND k.source_system = 'demo' AND k.source_id = 'ticket-' || s.i
    WHERE s.n IN (3, 4) AND s.at < coalesce(k.resolved_at, 'infinity') AND s.at <> k.stage_entered_at;
    DROP TABLE demo_requests, demo_ticket_steps;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_tickets(integer, bigint, date, crm.tenants) IS
'A help desk with promises, and the requests of a generated company''s customers.';

CREATE OR REPLACE FUNCTION crm_internal.demo_leads(size integer, seed bigint, until date, tenant crm.tenants)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off SET jit = off
AS $$
DECLARE
    t bigint := tenant.tenant_id;
    fa boolean := tenant.language = 'fa';
    n_lost int := 1300 * size;
    start timestamp := until - 900;
    horizon timestamptz := until::timestamp AT TIME ZONE tenant.time_zone;
    pipeline bigint;
    s_new bigint;
    s_working bigint;
    s_qualified bigint;
    s_converted bigint;
    s_disqualified bigint;
    subject_ids bigint[];
    stage_ids bigint[];
    entered_at timestamptz[];
BEGIN
    SELECT p.id INTO pipeline FROM crm.pipelines AS p WHERE p.tenant_id = t AND p.subject_table = 'leads' AND p.is_default;
    SELECT min(s.id) FILTER (WHERE s.code = 'new'), min(s.id) FILTER (WHERE s.code = 'working'), min(s.id) FILTER (WHERE s.code = 'qualified'),
           min(s.id) FILTER (WHERE s.type = 'done'), min(s.id) FILTER (WHERE s.type = 'cancelled')
    INTO s_new, s_working, s_qualified, s_converted, s_disqualified FROM crm.stages AS s WHERE s.tenant_id = t AND s.pipeline_id = pipeline;
    IF num_nulls(s_new, s_working, s_qualified, s_converted, s_disqualified) > 0 THEN
        RETURN;     -- somebody has changed the pipeline already
    END IF;

    -- six of ten deals began as a lead; about three times as many led to nothing, small companies and bought traffic above all
    CREATE TEMPORARY TABLE demo_lead_rows ON COMMIT DROP AS
    SELECT 'won-' || o.id AS key, row_number() OVER (ORDER BY o.source_id) AS i, c.name, a.name AS company, 'person' || substr(c.source_id, 9) || '@example.net' AS email,
           a.country, a.industry, a.employees, o.lead_source AS source, o.product_id, o.owner_id, o.team_id, o.account_id, o.contact_id, o.id AS opportunity_id,
           least(crm_internal.demo_business_instant((o.created_at - (0.5 + 20 * power(crm_internal.demo_uniform(seed, 'lead lead', substr(o.source_id, 6)::bigint), 2)) * interval '1 day') AT TIME ZONE tenant.time_zone,
                                                    crm_internal.demo_uniform(seed, 'lead clock', substr(o.source_id, 6)::bigint), tenant.time_zone, tenant.weekend), o.created_at - interval '40 minutes') AS created_at,
           o.created_at AS ended_at, true AS converted
    FROM crm.opportunities AS o
    JOIN crm.contacts AS c ON c.tenant_id = t AND c.id = o.contact_id
    JOIN crm.accounts AS a ON a.tenant_id = t AND a.id = o.account_id
    WHERE o.tenant_id = t AND o.source_system = 'demo' AND crm_internal.demo_uniform(seed, 'deal from lead', substr(o.source_id, 6)::bigint) < 0.6
    UNION ALL
    SELECT 'lost-' || x.i, 1000000 + x.i, x.first || ' ' || x.last, x.company, 'lead' || x.i || '@example.org',
           crm_internal.demo_pick(CASE WHEN fa THEN '{IR,AE,TR,IQ}' ELSE '{US,DE,GB,FR,AE,IR}' END::text[], CASE WHEN fa THEN '{84,6,5,5}' ELSE '{40,16,14,10,11,9}' END::double precision[], crm_internal.demo_uniform(seed, 'lead country', x.i)),
           crm_internal.demo_pick('{technology,retail,medical,finance,manufacturing,services,education,energy}', '{16,24,11,9,11,13,12,4}', crm_internal.demo_uniform(seed, 'lead industry', x.i)),
           greatest(1, round(exp(3.3 + 1.4 * crm_internal.demo_normal(seed, 'lead employees', x.i)))::int),
           crm_internal.demo_pick('{web,referral,event,cold call,partner,campaign}', '{36,7,13,18,5,21}', crm_internal.demo_uniform(seed, 'lead source', x.i)),
           p.id, u.id, m.id, NULL, NULL, NULL, x.created_at,
           x.created_at + exp(2.3 + 0.8 * crm_internal.demo_normal(seed, 'lead stay', x.i)) * interval '1 day', false
    FROM (SELECT g AS i,
                 (CASE WHEN fa THEN '{علی,مریم,رضا,زهرا,حسین,سارا,محمد,فاطمه,امیر,نرگس}' ELSE '{Alice,Bruno,Chloe,Dario,Elif,Farid,Greta,Henri,Irene,Jonas}' END::text[])[1 + floor(10 * crm_internal.demo_uniform(seed, 'lead first', g))::int] AS first,
                 (CASE WHEN fa THEN '{رضایی,محمدی,احمدی,کریمی,حسینی,موسوی,جعفری,صادقی,رحیمی,قاسمی}' ELSE '{Abel,Brandt,Castro,Diaz,Ellis,Fischer,Gomez,Huber,Ito,Janssen}' END::text[])[1 + floor(10 * crm_internal.demo_uniform(seed, 'lead last', g))::int] AS last,
                 CASE WHEN crm_internal.demo_uniform(seed, 'lead company', g) < 0.7
                      THEN (CASE WHEN fa THEN '{نوین,پیشرو,توسعه,آینده,همراه,رایان,سپید,یاس}' ELSE '{Acorn,Brook,Crest,Dune,Echo,Fern,Grove,Heath}' END::text[])[1 + floor(8 * crm_internal.demo_uniform(seed, 'lead word', g))::int] || ' ' || g END AS company,
                 crm_internal.demo_business_instant(start + 895 * power(crm_internal.demo_uniform(seed, 'lead time', g), 0.75) * interval '1 day', crm_internal.demo_uniform(seed, 'lead hour', g), tenant.time_zone, tenant.weekend) AS created_at
          FROM generate_series(1, n_lost) AS g) AS x
    JOIN crm.products AS p ON p.tenant_id = t AND p.source_system = 'demo'
         AND p.source_id = crm_internal.demo_pick('{PLAN-S,PLAN-M,PLAN-L,DEV-1,DEV-2,SRV-1,SRV-2,SUP-1}', '{28,16,5,18,10,10,7,6}', crm_internal.demo_uniform(seed, 'lead product', x.i))
    JOIN crm.users AS u ON u.tenant_id = t AND u.source_system = 'demo' AND u.source_id = 'user-' || 4 + x.i % (least(8 + 4 * size, 200) - 4)
    JOIN crm.teams AS m ON m.tenant_id = t AND m.source_system = 'demo' AND m.source_id = 'team-' || 1 + (substr(u.source_id, 6)::int - 1) % 3;

    INSERT INTO crm.leads (tenant_id, name, company, email, country, industry, employees, channel, source, medium, campaign, utm, consent, product_id,
                           pipeline_id, stage_id, stage_entered_at, closed_at, first_response_at, disqualification_reason, account_id, contact_id, opportunity_id, converted_at,
                           owner_id, team_id, source_system, source_id, created_at, last_capture_at)
    SELECT t, r.name, r.company, r.email, r.country, r.industry, r.employees,
           CASE r.source WHEN 'cold call' THEN 'phone' WHEN 'event' THEN 'event' ELSE crm_internal.demo_pick('{form,mail,chat}', '{60,25,15}', crm_internal.demo_uniform(seed, 'lead channel', r.i)) END,
           r.source, CASE r.source WHEN 'web' THEN 'organic' WHEN 'campaign' THEN 'cpc' END, v.campaign,
           CASE WHEN v.campaign IS NULL THEN '{}' ELSE jsonb_build_object('utm_source', 'search', 'utm_medium', 'cpc', 'utm_campaign', v.campaign) END,
           CASE WHEN crm_internal.demo_uniform(seed, 'lead consent', r.i) < 0.6 THEN jsonb_build_object('email', jsonb_build_object('given', true, 'at', r.created_at, 'source', 'form')) ELSE '{}' END,
           r.product_id, pipeline,
           CASE WHEN r.ended_at > horizon OR v.still_open THEN s_new WHEN r.converted THEN s_converted ELSE s_disqualified END,
           CASE WHEN r.ended_at > horizon OR v.still_open THEN r.created_at ELSE r.ended_at END,
           CASE WHEN r.ended_at <= horizon AND NOT v.still_open THEN r.ended_at END,
           CASE WHEN v.answered AND v.answer_at < least(r.ended_at, horizon) THEN v.answer_at END,
           CASE WHEN NOT r.converted AND r.ended_at <= horizon AND NOT v.still_open
                THEN crm_internal.demo_pick('{no_need,no_budget,timing,unreachable,competitor,not_a_fit,spam}', '{22,16,14,22,10,12,4}', crm_internal.demo_uniform(seed, 'lead reason', r.i)) END,
           r.account_id, r.contact_id, r.opportunity_id, CASE WHEN r.converted THEN r.ended_at END,
           r.owner_id, r.team_id, 'demo', 'lead-' || r.key, r.created_at, r.created_at
    FROM demo_lead_rows AS r
    CROSS JOIN LATERAL (
        SELECT CASE WHEN r.source = 'campaign' THEN 'launch ' || to_char(r.created_at AT TIME ZONE tenant.time_zone, 'YYYY-"Q"Q') END AS campaign,
               NOT r.converted AND r.created_at > horizon - interval '60 days' AND crm_internal.demo_uniform(seed, 'lead open', r.i) < 0.5 AS still_open,
               r.converted OR crm_internal.demo_uniform(seed, 'lead answered', r.i) < 0.8 AS answered,
               r.created_at + exp(CASE WHEN r.converted THEN 3.2 ELSE 4.4 END + 1.3 * crm_internal.demo_normal(seed, 'lead answer', r.i)) * interval '1 minute' AS answer_at) AS v
    ORDER BY r.created_at, r.key;
    -- who recycles by itself would come back at once: these are old
    UPDATE crm.leads AS l SET recycle_at = NULL WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.recycle_at <= horizon;

    INSERT INTO crm.lead_captures (tenant_id, lead_id, channel, source, medium, campaign, utm, captured_at)
    SELECT t, l.id, l.channel, l.source, l.medium, l.campaign, l.utm, l.created_at FROM crm.leads AS l WHERE l.tenant_id = t AND l.source_system = 'demo';
    INSERT INTO crm.lead_conversions (tenant_id, lead_id, contact_id, account_id, opportunity_id, contact_matched_by, account_matched_by, converted_by, converted_at)
    SELECT t, l.id, l.contact_id, l.account_id, l.opportunity_id, 'email', 'contact', l.owner_id, l.converted_at
    FROM crm.leads AS l WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.converted_at IS NOT NULL;
    INSERT INTO crm.activities (tenant_id, kind, subject, direction, related_table, related_id, account_id, contact_id, started_at, done_at, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, CASE WHEN l.id % 3 = 0 THEN 'call' ELSE 'mail' END, 'First answer: ' || l.name, 'out', 'leads', l.id, l.account_id, l.contact_id, l.first_response_at, l.first_response_at,
           l.owner_id, l.team_id, 'demo', 'answer-' || l.source_id, l.first_response_at
    FROM crm.leads AS l WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.first_response_at IS NOT NULL;
    -- what they looked at: those who buy look more
    INSERT INTO crm.score_events (tenant_id, lead_id, kind, object, occurred_at)
    SELECT t, l.id, crm_internal.demo_pick('{page_visit,mail_click,form_submit,webinar}', '{62,22,11,5}', crm_internal.demo_uniform(seed, 'lead event', l.id * 16 + k)),
           'page-' || floor(12 * crm_internal.demo_uniform(seed, 'lead page', l.id * 16 + k))::int,
           least(l.created_at + crm_internal.demo_uniform(seed, 'lead event time', l.id * 16 + k) * (coalesce(l.closed_at, horizon) - l.created_at), horizon)
    FROM crm.leads AS l
    CROSS JOIN LATERAL generate_series(1, floor((CASE WHEN l.converted_at IS NOT NULL THEN 8 ELSE 4 END) * crm_internal.demo_uniform(seed, 'lead events', l.id))::int) AS k
    WHERE l.tenant_id = t AND l.source_system = 'demo'
    ORDER BY 5;

    -- the way there: worked on after the first answer, qualified before it was converted
    SELECT array_agg(w.id ORDER BY w.id, w.at), array_agg(w.stage ORDER BY w.id, w.at), array_agg(w.at ORDER BY w.id, w.at)
    INTO subject_ids, stage_ids, entered_at
    FROM (
        SELECT l.id, s_new AS stage, l.created_at AS at FROM crm.leads AS l WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.closed_at > l.created_at
        UNION ALL
        SELECT l.id, s_working, l.first_response_at FROM crm.leads AS l
        WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.closed_at > l.created_at AND l.first_response_at > l.created_at AND l.first_response_at < l.closed_at
        UNION ALL
        SELECT l.id, s_qualified, greatest(l.first_response_at, l.created_at) + (l.converted_at - greatest(l.first_response_at, l.created_at)) * 0.6 FROM crm.leads AS l
        WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.converted_at > greatest(l.first_response_at, l.created_at) + interval '1 hour'
        UNION ALL
        SELECT l.id, l.stage_id, l.closed_at FROM crm.leads AS l WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.closed_at > l.created_at
    ) AS w;
    IF subject_ids IS NOT NULL THEN
        PERFORM crm.record_history('leads', subject_ids, stage_ids, entered_at);
    END IF;
    DROP TABLE demo_lead_rows;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_leads(integer, bigint, date, crm.tenants) IS
'Leads of a generated company: where its deals began, and what led to nothing.';

CREATE OR REPLACE FUNCTION crm.generate_demo(size integer DEFAULT 1, seed bigint DEFAULT 42, until date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (what text, row_count bigint)
LANGUAGE plpgsql VOLATILE ROWS 10 SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant crm.tenants;
BEGIN
    IF size IS NULL OR size < 1 OR size > 10000 THEN
        RAISE EXCEPTION 'size of a generated company must be from 1 to 10000' USING ERRCODE = 'numeric_value_out_of_range',
            HINT = 'Size 1 has 150 accounts and 700 opportunities; others are multiples of it.';
    END IF;
    SELECT x.* INTO tenant FROM crm.tenants AS x WHERE x.tenant_id = crm.tenant_id();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the current role works for no tenant' USING ERRCODE = 'CR010', HINT = 'Map the role to a user of a tenant: crm.users, column db_role.';
    END IF;
    IF EXISTS (SELECT FROM crm.accounts AS a WHERE a.tenant_id = tenant.tenant_id) THEN
        RAISE EXCEPTION 'tenant "%" holds accounts already', tenant.name USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A demonstration is generated into an empty tenant only.';
    END IF;
    PERFORM crm.keep_incomplete(), crm.begin_history('generated demonstration');
    PERFORM crm_internal.demo_people(size, seed, tenant);
    PERFORM crm_internal.demo_sales(size, seed, until, tenant);
    PERFORM crm_internal.demo_leads(size, seed, until, tenant);
    PERFORM crm_internal.demo_orders(size, seed, until, tenant);
    PERFORM crm_internal.demo_tickets(size, seed, until, tenant);
    PERFORM crm_internal.count_new_tables();
    RETURN QUERY
    SELECT 'users', count(*) FROM crm.users AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'accounts', count(*) FROM crm.accounts AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'contacts', count(*) FROM crm.contacts AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'products', count(*) FROM crm.products AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'leads', count(*) FROM crm.leads AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'opportunities', count(*) FROM crm.opportunities AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'stage periods', count(*) FROM crm.stage_periods AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'orders', count(*) FROM crm.orders AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'tickets', count(*) FROM crm.tickets AS x WHERE x.tenant_id = tenant.tenant_id
    UNION ALL SELECT 'activities', count(*) FROM crm.activities AS x WHERE x.tenant_id = tenant.tenant_id;
END
$$;
COMMENT ON FUNCTION crm.generate_demo(integer, bigint, date) IS
'Fills an empty tenant with a generated company whose history ends at a date: the same arguments give the same company. Sizes are multiples of 150 accounts, '
'some 1,700 leads and 700 opportunities over 900 days, with log-normal deal sizes, growth, working hours, sellers of different skill and sources of different '
'worth. Returns what was made.';
SELECT crm.declare_function('crm.generate_demo', 'owner');
