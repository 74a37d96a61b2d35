-- crm.setup(): the first call, again, and what it refuses; everything later takes its defaults from there.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY default
\set SHOW_CONTEXT never
BEGIN;
SELECT * FROM crm.setup('Bikes GmbH', 'eur', 'Europe/Berlin', 'de', fiscal_year_start => '04-01');
-- again, it changes nothing, and what is left out stays
SELECT * FROM crm.setup('Bikes GmbH', 'EUR', 'Europe/Berlin', 'DE', fiscal_year_start => '04-01');
SELECT * FROM crm.setup('Bikes GmbH', week_start => 7);
-- defaults come from there
INSERT INTO crm.accounts (id, name) VALUES (970101, 'Acme');
INSERT INTO crm.opportunities (id, name, account_id, amount) VALUES (970101, 'Deal', 970101, 100);
INSERT INTO crm.orders (id, account_id, amount, ordered_at) VALUES (970101, 970101, 100, '2026-01-01 23:30+00');
SELECT o.currency, r.currency AS order_currency, r.base_currency, r.base_amount, r.ordered_on
FROM crm.opportunities AS o JOIN crm.orders AS r ON r.id = 970101 WHERE o.id = 970101;
-- another currency falsifies no sum: it takes rates
SELECT * FROM crm.setup('Bikes GmbH', 'CHF');
SELECT t.base_currency FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id();
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'CHF', '2020-01-01', 0.5);
SELECT * FROM crm.setup('Bikes GmbH', 'CHF');
SELECT r.currency, r.base_currency, round(r.base_amount, 2) AS base_amount FROM crm.orders AS r WHERE r.id = 970101;
-- another zone, another day
SELECT * FROM crm.setup('Bikes GmbH', zone => 'UTC');
SELECT r.ordered_on FROM crm.orders AS r WHERE r.id = 970101;
UPDATE crm.priorities AS p SET name = 'At once' WHERE p.code = 'urgent';
UPDATE crm.stages AS s SET name = 'Discovery' FROM crm.pipelines AS l WHERE l.id = s.pipeline_id AND l.code = 'sales' AND s.code = 'needs_analysis';
SELECT * FROM crm.setup('دوچرخه', language => 'fa', fiscal_year_start => 'jalali:01-01', week_start => 6, weekend => '{5}');
-- whatever the company began with has the name of its new language, but for what it has named itself
CREATE FUNCTION pg_temp.seeds_named(language text) RETURNS TABLE (seeds text, named bigint, otherwise text) LANGUAGE plpgsql AS $$
BEGIN
    FOR seeds IN SELECT k FROM crm_internal.texts AS x, jsonb_object_keys(x.words) AS k WHERE x.area = 'seeds' AND x.language = 'en' AND to_regclass('crm.' || k) IS NOT NULL AND k <> 'stages' ORDER BY 1 LOOP
        RETURN QUERY EXECUTE format('SELECT %1$L, count(*) FILTER (WHERE t.name = w.name), string_agg(t.name, '', '') FILTER (WHERE t.name <> w.name)
            FROM crm_internal.texts AS x, jsonb_each_text(x.words -> %1$L) AS w (code, name), crm.%1$I AS t
            WHERE x.language = $1 AND x.area = ''seeds'' AND t.code = w.code AND t.tenant_id = crm.tenant_id()', seeds) USING seeds_named.language;
    END LOOP;
    RETURN QUERY SELECT 'stages of ' || l.code, count(*) FILTER (WHERE s.name = x.words -> 'stages' -> l.code ->> s.code),
            string_agg(s.name, ', ') FILTER (WHERE s.name <> x.words -> 'stages' -> l.code ->> s.code)
        FROM crm.stages AS s JOIN crm.pipelines AS l ON l.tenant_id = s.tenant_id AND l.id = s.pipeline_id, crm_internal.texts AS x
        WHERE s.tenant_id = crm.tenant_id() AND x.area = 'seeds' AND x.language = seeds_named.language AND x.words -> 'stages' -> l.code ? s.code
        GROUP BY l.code ORDER BY l.code;
END
$$;
SELECT * FROM pg_temp.seeds_named('fa');
-- what is refused changes nothing
SELECT crm.setup(' ');
SELECT crm.setup('x', currency => 'EURO');
SELECT crm.setup('x', zone => 'Berlin');
SELECT crm.setup('x', country => 'Germany');
SELECT crm.setup('x', language => 'de');
SELECT crm.setup('x', fiscal_year_start => '13-01');
SELECT crm.setup('x', week_start => 0);
SELECT crm.setup('x', weekend => '{0}');
SELECT t.name FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id();
-- an agent may not, an admin may
CREATE ROLE regress_setup_agent; CREATE ROLE regress_setup_admin;
INSERT INTO crm.users (id, name, access) VALUES (970101, 'Agent', 'agent'), (970102, 'Admin', 'admin');
SELECT g.access FROM crm.grant_access('regress_setup_agent', 'agent', 970101) AS g;
SELECT g.access FROM crm.grant_access('regress_setup_admin', 'admin', 970102) AS g;
SET LOCAL ROLE regress_setup_agent;
SELECT crm.setup('Mine');
SET LOCAL ROLE regress_setup_admin;
SELECT * FROM crm.setup('Velo');
ROLLBACK;
