-- A generated company, 2: its people, products, currencies and customers.

CREATE OR REPLACE FUNCTION crm_internal.demo_people(size integer, seed bigint, tenant crm.tenants, words jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    n_users CONSTANT integer := least(8 + 4 * size, 200);
    firsts CONSTANT jsonb := words -> 'first_names';
    lasts CONSTANT jsonb := words -> 'last_names';
BEGIN
    INSERT INTO crm.users (tenant_id, name, email, access, source_system, source_id, created_at)
    SELECT t, (n.first ->> 0) || ' ' || (n.last ->> 0),
           lower(coalesce(n.first ->> 1, n.first ->> 0) || '.' || coalesce(n.last ->> 1, n.last ->> 0)) || CASE WHEN i < 30 THEN '' ELSE i::text END
               || '@example.com',
           CASE WHEN i = 0 THEN 'admin' WHEN i <= 3 THEN 'manager' ELSE 'agent' END, 'demo', 'user-' || i, '2020-01-01'
    FROM generate_series(0, n_users - 1) AS i
    CROSS JOIN LATERAL (SELECT firsts -> (i % 30) AS first, lasts -> ((i * 7 + i / 30) % 30) AS last) AS n;
    INSERT INTO crm.teams (tenant_id, name, source_system, source_id, lead_id)
    SELECT t, x.name, 'demo', 'team-' || x.n - 1, u.id
    FROM jsonb_array_elements_text(words -> 'teams') WITH ORDINALITY AS x (name, n)
    JOIN crm.users AS u ON u.tenant_id = t AND u.source_system = 'demo' AND u.source_id = 'user-' || x.n - 1;
    UPDATE crm.teams AS m SET parent_id = p.id FROM crm.teams AS p
    WHERE m.tenant_id = t AND p.tenant_id = t AND m.source_system = 'demo' AND p.source_system = 'demo' AND p.source_id = 'team-0' AND m.source_id <> 'team-0';
    INSERT INTO crm.team_memberships (tenant_id, team_id, user_id, valid)
    SELECT t, m.id, u.id, tstzrange('2020-01-01', NULL)
    FROM crm.users AS u JOIN crm.teams AS m ON m.tenant_id = t AND m.source_system = 'demo'
         AND m.source_id = 'team-' || CASE WHEN substr(u.source_id, 6)::int = 0 THEN 0 ELSE 1 + (substr(u.source_id, 6)::int - 1) % 3 END
    WHERE u.tenant_id = t AND u.source_system = 'demo';
    INSERT INTO crm.territories (tenant_id, name, team_id)
    SELECT t, m.name, m.id FROM crm.teams AS m WHERE m.tenant_id = t AND m.source_system = 'demo' AND m.source_id <> 'team-0';

    INSERT INTO crm.custom_fields (tenant_id, table_name, name, type, label, choices)
    SELECT t, 'accounts', f.key, CASE WHEN jsonb_array_length(f.value) > 1 THEN 'choice' ELSE 'date' END, jsonb_build_object(tenant.language, f.value ->> 0),
           CASE WHEN jsonb_array_length(f.value) > 1 THEN ARRAY(SELECT c.choice FROM jsonb_array_elements_text(f.value) WITH ORDINALITY AS c (choice, n)
                                                                WHERE c.n > 1 ORDER BY c.n) END
    FROM jsonb_each(words -> 'fields') AS f;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_people(integer, bigint, crm.tenants, jsonb) IS 'Users, teams, territories and custom fields of a generated company.';

CREATE OR REPLACE FUNCTION crm_internal.demo_products(seed bigint, until date, tenant crm.tenants, words jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    level CONSTANT double precision := (words ->> 'price_level')::double precision * crm_internal.demo_level(tenant.base_currency);
BEGIN
    INSERT INTO crm.products (tenant_id, code, name, family, tier, unit, list_price, cost, currency, source_system, source_id)
    SELECT t, p.x ->> 0, p.x ->> 1, words -> 'families' -> ((p.x ->> 2)::integer - 1) ->> 0, (p.x ->> 3)::smallint, words ->> 'unit', v.price,
           round(v.price * (p.x ->> 5)::numeric, 2), tenant.base_currency, 'demo', p.x ->> 0
    FROM jsonb_array_elements(words -> 'products') AS p (x)
    CROSS JOIN LATERAL (SELECT crm_internal.demo_price((p.x ->> 4)::double precision * level) AS price) AS v;

    -- customers abroad buy in their own money: a rate a month, which wanders, and a price list
    INSERT INTO crm.exchange_rates (tenant_id, from_currency, to_currency, valid_from, rate, source, source_system, source_id)
    SELECT t, c.code, tenant.base_currency, until - 30 * k,
           round((crm_internal.demo_level(tenant.base_currency) / crm_internal.demo_level(c.code)
                  * exp(-(words ->> 'rate_trend')::double precision * k
                        + 0.012 * sum(crm_internal.demo_normal(seed, 'rate ' || c.code, k)) OVER (PARTITION BY c.code ORDER BY k)))::numeric, 6),
           'demo', 'demo', c.code || '-' || k
    FROM (SELECT DISTINCT x.x ->> 2 AS code FROM jsonb_array_elements(words -> 'countries') AS x (x)) AS c
    CROSS JOIN generate_series(0, 33) AS k
    WHERE c.code <> tenant.base_currency;
    INSERT INTO crm.price_books (tenant_id, name, currency, source_system, source_id)
    SELECT t, words -> 'price_books' ->> r.from_currency, r.from_currency, 'demo', r.from_currency
    FROM crm.exchange_rates AS r WHERE r.tenant_id = t AND r.source_system = 'demo' AND r.valid_from = until ORDER BY r.from_currency;
    INSERT INTO crm.prices (tenant_id, price_book_id, product_id, price)
    SELECT t, b.id, p.id, crm_internal.demo_price((p.list_price / r.rate)::double precision)
    FROM crm.price_books AS b
    JOIN crm.exchange_rates AS r ON r.tenant_id = t AND r.from_currency = b.currency AND r.to_currency = tenant.base_currency AND r.valid_from = until
    CROSS JOIN crm.products AS p
    WHERE b.tenant_id = t AND b.source_system = 'demo' AND p.tenant_id = t AND p.source_system = 'demo';

    -- what a purchase of some size is made of: the largest product of a family that it pays for
    CREATE TEMPORARY TABLE demo_offers ON COMMIT DROP AS
    SELECT p.id AS product_id, p.code, p.name, (x.x ->> 2)::integer AS family, (x.x ->> 4)::double precision AS worth,
           CASE WHEN (x.x ->> 3) = '1' THEN 0 ELSE (x.x ->> 4)::double precision END AS least,
           lead((x.x ->> 4)::double precision, 1, 'Infinity') OVER (PARTITION BY x.x ->> 2 ORDER BY (x.x ->> 3)::integer) AS most, p.cost
    FROM jsonb_array_elements(words -> 'products') AS x (x)
    JOIN crm.products AS p ON p.tenant_id = t AND p.source_system = 'demo' AND p.source_id = x.x ->> 0;
    ANALYZE demo_offers;
    CREATE TEMPORARY TABLE demo_prices ON COMMIT DROP AS
    SELECT p.id AS product_id, tenant.base_currency::text AS currency, NULL::bigint AS price_book_id, p.list_price AS price, p.cost
    FROM crm.products AS p WHERE p.tenant_id = t AND p.source_system = 'demo'
    UNION ALL
    SELECT x.product_id, b.currency::text, b.id, x.price, round(x.price * p.cost / p.list_price, 2)
    FROM crm.price_books AS b
    JOIN crm.prices AS x ON x.tenant_id = t AND x.price_book_id = b.id
    JOIN crm.products AS p ON p.tenant_id = t AND p.id = x.product_id
    WHERE b.tenant_id = t AND b.source_system = 'demo';
    ANALYZE demo_prices;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_products(bigint, date, crm.tenants, jsonb) IS 'Products, exchange rates and price lists of a generated company.';

-- Who there is to sell to: one row an account, with what is drawn for it and not stored.
CREATE OR REPLACE FUNCTION crm_internal.demo_accounts_drawn(size integer, seed bigint, until date, tenant crm.tenants, words jsonb, days date[],
    pace double precision[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n_users CONSTANT integer := least(8 + 4 * size, 200);
    firsts CONSTANT jsonb := words -> 'first_names';
    lasts CONSTANT jsonb := words -> 'last_names';
    industries CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'industries', 1);
    countries CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'countries', 1);
    before CONSTANT double precision := pace[width_bucket(until - 900, days)];
    after CONSTANT double precision := pace[width_bucket(until + 60, days)];
BEGIN
    CREATE TEMPORARY TABLE demo_accounts ON COMMIT DROP AS
    SELECT d.*, row_number() OVER (PARTITION BY d.plain ORDER BY d.i) - 1 AS again
    FROM (
        SELECT i, k.person, k.country, k.industry, j.industry ->> 0 AS industry_name, (j.industry ->> 2)::double precision AS industry_effect,
               c.country ->> 0 AS country_code, crm_internal.demo_label(c.country -> 3, crm_internal.demo_uniform(seed, 'city', i)) AS city,
               CASE WHEN c.country ->> 2 <> tenant.base_currency::text THEN c.country ->> 2 ELSE tenant.base_currency::text END AS currency,
               CASE WHEN k.person THEN (p.first ->> 0) || ' ' || (p.last ->> 0)
                   ELSE format(words ->> 'company_name', p.word ->> 0, coalesce(p.form ->> 0, p.form #>> '{}')) END AS plain,
               lower(CASE WHEN k.person THEN coalesce(p.last ->> 1, p.last ->> 0) ELSE
                   coalesce(p.word ->> 1, p.word ->> 0) || '-' || coalesce(p.form ->> 1, p.form #>> '{}') END) AS domain,
               z.employees,
               -- what a purchase comes to, in dollars: everything an account buys is about as large
               CASE WHEN k.person THEN 260 ELSE 1100 * power(z.employees / 60.0,
                   0.55) END * exp(0.3 * crm_internal.demo_normal(seed, 'account scale', i)) AS scale,
               CASE WHEN crm_internal.demo_uniform(seed, 'taste', i) < 0.6 THEN 1 ELSE 2 END AS taste,
               4 + floor(crm_internal.demo_uniform(seed, 'account owner', i) * (n_users - 4))::integer AS owner,
               crm_internal.demo_when(before + (after - before) * power(crm_internal.demo_uniform(seed, 'arrival', i), 1.1), pace,
                                      crm_internal.demo_uniform(seed, 'arrival hour', i)) AS arrival
        FROM generate_series(0, 150 * size - 1) AS i
        CROSS JOIN LATERAL (SELECT crm_internal.demo_uniform(seed, 'account kind', i) < 0.1 AS person,
            width_bucket(crm_internal.demo_uniform(seed, 'country', i), countries) AS country,
                                   width_bucket(crm_internal.demo_uniform(seed, 'industry', i), industries) AS industry,
                                   greatest(1, least(6000, round(exp(4.2 + 1.3 * crm_internal.demo_normal(seed, 'employees', i)))))::integer AS heads) AS k
        CROSS JOIN LATERAL (SELECT words -> 'industries' -> k.industry AS industry) AS j
        CROSS JOIN LATERAL (SELECT words -> 'countries' -> k.country AS country) AS c
        CROSS JOIN LATERAL (SELECT firsts -> floor(crm_internal.demo_uniform(seed, 'account first', i) * jsonb_array_length(firsts))::integer AS first,
                                   lasts -> floor(crm_internal.demo_uniform(seed, 'account last', i) * jsonb_array_length(lasts))::integer AS last,
                                   words -> 'company_words' -> floor(crm_internal.demo_uniform(seed, 'company word',
                                       i) * jsonb_array_length(words -> 'company_words'))::integer AS word,
                                   j.industry -> 3 -> floor(crm_internal.demo_uniform(seed, 'company form',
                                       i) * jsonb_array_length(j.industry -> 3))::integer AS form) AS p
        CROSS JOIN LATERAL (SELECT CASE WHEN NOT k.person THEN k.heads END AS employees) AS z
    ) AS d;
    ANALYZE demo_accounts;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_accounts_drawn(integer, bigint, date, crm.tenants, jsonb, date[], double precision[]) IS
'Draws the accounts of a generated company into demo_accounts: names that fit their industry, log-normal sizes, when they are first met.';

CREATE OR REPLACE FUNCTION crm_internal.demo_accounts(seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    level CONSTANT double precision := (words ->> 'price_level')::double precision;
    terms CONSTANT text := (SELECT f.key FROM jsonb_each(words -> 'fields') AS f WHERE jsonb_array_length(f.value) > 1);
    term CONSTANT text := (SELECT f.key FROM jsonb_each(words -> 'fields') AS f WHERE jsonb_array_length(f.value) = 1);
    titles CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'titles', 1);
    firsts CONSTANT jsonb := words -> 'first_names';
    lasts CONSTANT jsonb := words -> 'last_names';
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
BEGIN
    -- all are known: of some nothing has come yet
    INSERT INTO crm.accounts (tenant_id, name, kind, roles, industry, website, country, city, employees, annual_revenue, currency, territory_id, owner_id,
        team_id,
                              source_system, source_id, custom, created_at)
    SELECT t, a.plain || CASE WHEN a.again = 0 THEN '' WHEN a.again < 3 THEN ' ' || a.city || CASE a.again WHEN 1 THEN '' ELSE ' '
        || translate('2', '0123456789', words ->> 'digits') END
                              ELSE ' ' || translate(a.again::text, '0123456789', words ->> 'digits') END,
           CASE WHEN a.person THEN 'person' ELSE 'organisation' END,
           CASE WHEN crm_internal.demo_uniform(seed, 'account role', a.i) < 0.05 AND NOT a.person THEN '{partner,prospect}' ELSE '{prospect}' END::text[],
           CASE WHEN NOT a.person THEN a.industry_name END,
           CASE WHEN NOT a.person THEN 'https://www.' || replace(a.domain, ' ', '') || CASE a.again WHEN 0 THEN '' ELSE a.again::text END || '.example' END,
           a.country_code, a.city, a.employees,
           crm_internal.demo_price(a.employees * 90000 * exp(0.4 * crm_internal.demo_normal(seed, 'account revenue',
               a.i)) * level * crm_internal.demo_level(a.currency)),
           CASE WHEN a.currency <> tenant.base_currency THEN a.currency END,
           y.id, o.id, y.team_id, 'demo', 'account-' || a.i,
           jsonb_build_object(terms, words -> 'fields' -> terms -> (1 + floor(crm_internal.demo_uniform(seed, 'terms',
               a.i) * (jsonb_array_length(words -> 'fields' -> terms) - 1))::integer))
               || CASE WHEN crm_internal.demo_uniform(seed, 'has term', a.i) < 0.4
                       THEN jsonb_build_object(term, until + floor(30 + 700 * crm_internal.demo_uniform(seed, 'term', a.i))::integer) ELSE '{}' END,
           crm_internal.demo_at(CASE WHEN a.arrival < finish THEN a.arrival - 12 * crm_internal.demo_uniform(seed, 'account met', a.i)
                                     ELSE finish - 200 * crm_internal.demo_uniform(seed, 'account met', a.i) END, days, tenant.time_zone)
    FROM demo_accounts AS a
    JOIN crm.users AS o ON o.tenant_id = t AND o.source_system = 'demo' AND o.source_id = 'user-' || a.owner
    JOIN crm.teams AS m ON m.tenant_id = t AND m.source_system = 'demo' AND m.source_id = 'team-' || 1 + (a.owner - 1) % 3
    JOIN crm.territories AS y ON y.tenant_id = t AND y.team_id = m.id
    ORDER BY a.arrival;
    CREATE TEMPORARY TABLE demo_known ON COMMIT DROP AS
    SELECT a.*, c.id AS account_id, c.name, c.owner_id, c.team_id, c.territory_id, c.created_at, c.website
    FROM demo_accounts AS a JOIN crm.accounts AS c ON c.tenant_id = t AND c.source_system = 'demo' AND c.source_id = 'account-' || a.i;
    ANALYZE demo_known;

    INSERT INTO crm.contacts (tenant_id, name, account_id, title, language, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, CASE WHEN a.person THEN a.plain ELSE (n.first ->> 0) || ' ' || (n.last ->> 0) END, a.account_id,
           CASE WHEN NOT a.person THEN words -> 'titles' -> width_bucket(crm_internal.demo_uniform(seed, 'title', c.n), titles) ->> 0 END,
           tenant.language, a.owner_id, a.team_id, 'demo', 'contact-' || c.n, a.created_at
    FROM demo_known AS a
    CROSS JOIN LATERAL (SELECT a.i * 8 + k AS n FROM generate_series(0, CASE WHEN a.person THEN 0
                            ELSE least(7, floor(ln(1 - crm_internal.demo_uniform(seed, 'contacts', a.i)) / ln(0.6))::integer) END) AS k) AS c
    CROSS JOIN LATERAL (SELECT firsts -> floor(crm_internal.demo_uniform(seed, 'first', c.n) * jsonb_array_length(firsts))::integer AS first,
                               lasts -> floor(crm_internal.demo_uniform(seed, 'last', c.n) * jsonb_array_length(lasts))::integer AS last) AS n;
    -- first.last at the company's address, spelt in Latin letters
    INSERT INTO crm.contact_points (tenant_id, contact_id, kind, value, is_primary)
    SELECT t, c.id, 'email', lower(coalesce(f.latin, split_part(c.name, ' ', 1)) || '.' || coalesce(l.latin, split_part(c.name, ' ', 2))) || x.n || '@'
           || CASE WHEN a.website IS NULL THEN 'example.net' ELSE substr(a.website, 13) END, true
    FROM crm.contacts AS c
    CROSS JOIN LATERAL (SELECT substr(c.source_id, 9)::bigint AS n) AS x
    JOIN demo_known AS a ON a.i = x.n / 8
    LEFT JOIN (SELECT x.x ->> 0 AS name, x.x ->> 1 AS latin FROM jsonb_array_elements(firsts) AS x (x)) AS f ON f.name = split_part(c.name, ' ', 1)
    LEFT JOIN (SELECT x.x ->> 0 AS name, x.x ->> 1 AS latin FROM jsonb_array_elements(lasts) AS x (x)) AS l ON l.name = split_part(c.name, ' ', 2)
    WHERE c.tenant_id = t AND c.source_system = 'demo';
    INSERT INTO crm.contact_points (tenant_id, contact_id, kind, value)
    SELECT t, c.id, 'mobile', format(words ->> 'phone', lpad((substr(c.source_id, 9)::bigint * 7919 % 10000000)::text, 7, '0'))
    FROM crm.contacts AS c
    WHERE c.tenant_id = t AND c.source_system = 'demo' AND crm_internal.demo_uniform(seed, 'has mobile', substr(c.source_id, 9)::bigint) < 0.7;
    CREATE TEMPORARY TABLE demo_contacts ON COMMIT DROP AS
    SELECT DISTINCT ON (c.account_id) c.account_id, c.id AS contact_id, c.name, p.value AS email
    FROM crm.contacts AS c JOIN crm.contact_points AS p ON p.tenant_id = t AND p.contact_id = c.id AND p.kind = 'email'
    WHERE c.tenant_id = t AND c.source_system = 'demo' ORDER BY c.account_id, c.id;
    ANALYZE demo_contacts;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_accounts(bigint, date, crm.tenants, jsonb,
    date[]) IS 'Accounts that are known by the end of the history, their contacts and how to reach them.';
