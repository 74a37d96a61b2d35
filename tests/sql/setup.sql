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
SELECT * FROM crm.setup('دوچرخه', language => 'fa', fiscal_year_start => 'jalali:01-01', week_start => 6, weekend => '{5}');
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
