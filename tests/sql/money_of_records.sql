-- Money: where a missing currency comes from, what a change of the base currency or the zone does, the amount of a deal and its lines.
\set ON_ERROR_ROLLBACK on
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';

-- ---- over the catalog ----
-- no table of money has a currency that comes from a constant (the tenant is the root of all others)
SELECT a.attrelid::regclass, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace) AND c.relkind IN ('r', 'p')
  AND (a.attname LIKE '%currency%' OR a.attname LIKE '%country%') AND NOT a.attisdropped AND c.oid <> 'crm.tenants'::regclass
  AND pg_get_expr(d.adbin, d.adrelid) NOT LIKE '%set_by_trigger()%';
-- no function has a country or currency of ours as a default
SELECT p.oid::regprocedure FROM pg_proc AS p
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace, 'crm_analytics'::regnamespace)
  AND pg_get_expr(p.proargdefaults, 0) ~ '''[A-Z]{2,3}''::';
-- today is the tenant's day, not the day of the session's zone: in no default, function or view
SELECT p.oid::regprocedure FROM pg_proc AS p
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace, 'crm_analytics'::regnamespace)
  AND concat(p.prosrc, pg_get_function_sqlbody(p.oid), pg_get_expr(p.proargdefaults, 0)) ~* '\mcurrent_date\M|\mlocaltimestamp\M|\mnow\(\)::date'
ORDER BY 1;
SELECT c.oid::regclass FROM pg_class AS c
WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace, 'crm_analytics'::regnamespace) AND c.relkind IN ('v', 'm')
  AND pg_get_viewdef(c.oid) ~* '\mcurrent_date\M|\mlocaltimestamp\M|\mnow\(\)::date'
ORDER BY 1;
-- every record with a currency of its own says where a missing one comes from; history and rates are written with theirs
SELECT r.subject FROM crm.registry AS r JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attname = 'currency' AND NOT a.attisdropped
WHERE NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = r.relation AND t.tgfoid = 'crm.fill_missing()'::regprocedure
                  AND t.tgargs LIKE 'currency%')
ORDER BY 1;

\set SHOW_CONTEXT never
BEGIN;
-- ---- a missing currency: record, parent, tenant; three companies ----
UPDATE crm.tenants SET base_currency = 'EUR', country = 'DE' WHERE tenant_id = 1;
SELECT tenant_id AS fa FROM crm.create_tenant('Sherkat', language => 'fa') \gset
SET LOCAL crm.tenant = '1';
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES
    ('CHF', 'EUR', '2020-01-01', 2), ('EUR', 'USD', '2020-01-01', 1.25), ('EUR', 'USD', '2026-02-01', 1.5);
INSERT INTO crm.accounts (id, name, currency, country) VALUES (9401, 'Swiss', 'CHF', 'CH'), (9402, 'Plain', NULL, NULL);
INSERT INTO crm.accounts (id, name, annual_revenue, parent_id) VALUES (9403, 'Daughter', 10, 9401), (9404, 'Alone', 10, NULL);
SELECT id, currency FROM crm.accounts ORDER BY id;
INSERT INTO crm.opportunities (id, name, amount, account_id) VALUES (9401, 'a', 1, 9401), (9402, 'b', 2, 9402), (9403, 'c', 3, NULL);
UPDATE crm.opportunities SET currency = NULL WHERE id = 9402;
INSERT INTO crm.orders (id, account_id, opportunity_id, amount, ordered_at, currency) VALUES
    (9401, 9402, 9401, 8, '2026-01-10 22:30Z', NULL), (9402, 9402, NULL, 100, '2026-01-10 12:00Z', NULL), (9403, 9402, NULL, 100, '2026-03-10 12:00Z', 'USD');
INSERT INTO crm.orders (id, account_id, returns_order_id, kind, amount, ordered_at) VALUES (9404, 9402, 9403, 'return', 50, '2026-03-11 12:00Z');
SELECT 'deal' AS what, id, currency FROM crm.opportunities UNION ALL SELECT 'order', id, currency FROM crm.orders ORDER BY 1, 2;
INSERT INTO crm.products (id, name, list_price, cost) VALUES (9401, 'Pump', 100, 60);
INSERT INTO crm.price_books (id, name) VALUES (9401, 'Retail');
INSERT INTO crm.users (id, name) VALUES (9401, 'U');
INSERT INTO crm.quotas (user_id, period, amount) VALUES (9401, '[2026-01-01,2026-04-01)', 5);
INSERT INTO crm.leads (id, name, amount, account_id) VALUES (9401, 'L', 5, 9401), (9402, 'M', 5, NULL), (9403, 'N', NULL, 9401);
SELECT (SELECT currency FROM crm.products WHERE id = 9401) AS product, (SELECT currency FROM crm.price_books WHERE id = 9401) AS book,
       (SELECT currency FROM crm.quotas WHERE user_id = 9401) AS quota, array_agg(coalesce(currency, 'none') ORDER BY id) AS leads FROM crm.leads WHERE id >= 9401;
-- telephones: the country of the record, of the account, of the tenant
INSERT INTO crm.contacts (id, name, account_id) VALUES (9401, 'P', 9401), (9402, 'Q', NULL);
INSERT INTO crm.contact_points (contact_id, kind, value, country) VALUES (9401, 'phone', '044 668 18 00', NULL), (9402, 'phone', '030 901820', NULL), (9402, 'phone', '0171 2345678', 'DE');
SELECT c.country, c.value_key FROM crm.contact_points AS c WHERE c.contact_id IN (9401, 9402) ORDER BY c.id;
SELECT country, phone_key FROM crm.capture_lead('{"name": "R", "company": "Swiss", "phone": "044 668 18 01"}')
UNION ALL SELECT country, phone_key FROM crm.capture_lead('{"name": "S", "phone": "030 901821"}')
UNION ALL SELECT country, phone_key FROM crm.capture_lead('{"name": "T", "company": "Swiss", "country": "at", "phone": "01 711650"}');
SELECT crm.normalize_phone('030 901820') AS tenants, crm.normalize_phone('030 901820', '') AS nowhere;
SET LOCAL crm.tenant = :fa;
INSERT INTO crm.opportunities (name, amount) VALUES ('fa', 5);
INSERT INTO crm.leads (name, amount, phone) VALUES ('fa', 5, '۰۹۱۲ ۳۴۵ ۶۷۸۹');
SELECT o.currency, l.currency, l.phone_key FROM crm.opportunities AS o, crm.leads AS l WHERE o.tenant_id = :fa AND l.tenant_id = :fa;
SET LOCAL crm.tenant = '1';

-- ---- the base currency changes ----
INSERT INTO crm.wallet_declarations (account_id, period, total_spend) VALUES (9402, '[2026-01-01,2026-02-01)', 1000);
SELECT o.id, o.currency, o.base_amount, o.base_currency, o.ordered_on FROM crm.orders AS o ORDER BY o.id;
SELECT sum(revenue) AS revenue FROM crm_analytics.account_days WHERE tenant_id = 1;
-- without rates: refused, with what it takes; nothing has changed
UPDATE crm.tenants SET base_currency = 'JPY' WHERE tenant_id = 1;
SELECT base_currency FROM crm.tenants WHERE tenant_id = 1;
UPDATE crm.tenants SET base_currency = 'USD' WHERE tenant_id = 1;
SELECT o.id, o.base_amount, o.base_currency FROM crm.orders AS o ORDER BY o.id;
SELECT sum(revenue) AS revenue FROM crm_analytics.account_days WHERE tenant_id = 1;
SELECT total_spend FROM crm.wallet_declarations;
-- what was written in the old currency says so, what comes is in the new one
INSERT INTO crm.opportunities (id, name, amount) VALUES (9404, 'later', 4);
SELECT id, currency FROM crm.opportunities WHERE id IN (9403, 9404) ORDER BY id;
SELECT count(*) AS wrong FROM crm.orders AS o JOIN crm.tenants AS t USING (tenant_id) WHERE o.base_currency <> t.base_currency;
-- ---- the zone changes: days of orders, and closing days that were filled in; a day that was given stays ----
INSERT INTO crm.loss_reasons (code, name) VALUES ('gone', 'Gone');
SELECT count(crm.lose_opportunity(9401, 'gone')), count(crm.lose_opportunity(9402, 'gone', close_date => '2026-01-31'));
UPDATE crm.tenants SET time_zone = 'Pacific/Kiritimati' WHERE tenant_id = 1;
SELECT o.id, o.ordered_on FROM crm.orders AS o ORDER BY o.id;
SELECT bool_and(close_date = (closed_at AT TIME ZONE 'Pacific/Kiritimati')::date) FILTER (WHERE id = 9401) AS filled,
       min(close_date) FILTER (WHERE id = 9402) AS given FROM crm.opportunities;
SELECT ordered_on FROM crm_analytics.account_days WHERE tenant_id = 1 ORDER BY 1 LIMIT 1;

-- ---- lines: prices and costs nobody gave; the amount follows ----
UPDATE crm.tenants SET base_currency = 'EUR', time_zone = 'UTC' WHERE tenant_id = 1;
INSERT INTO crm.prices (price_book_id, product_id, min_quantity, price) VALUES (9401, 9401, 1, 90), (9401, 9401, 10, 80);
INSERT INTO crm.products (id, name, list_price, cost, currency) VALUES (9402, 'Valve', 15, 6, 'USD'), (9403, 'Free text', NULL, NULL, NULL);
INSERT INTO crm.opportunities (id, name, currency) VALUES (9411, 'follows', 'EUR');
INSERT INTO crm.opportunities (id, name, amount, currency) VALUES (9412, 'by hand', 7, 'EUR');
INSERT INTO crm.opportunity_lines (id, opportunity_id, product_id, quantity) VALUES (9401, 9411, 9401, 10), (9402, 9411, 9402, 1), (9403, 9412, 9401, 1);
SELECT id, unit_price, unit_cost, amount, margin FROM crm.opportunity_lines WHERE id >= 9401 ORDER BY id;
INSERT INTO crm.opportunity_lines (opportunity_id, product_id) VALUES (9411, 9403);
SELECT amount, amount_source FROM crm.opportunities WHERE id IN (9411, 9412) ORDER BY id;
UPDATE crm.opportunity_lines SET quantity = 20, unit_price = NULL WHERE id = 9401;
DELETE FROM crm.opportunity_lines WHERE id = 9402;
SELECT amount, amount_source FROM crm.opportunities WHERE id = 9411;
UPDATE crm.opportunity_lines SET opportunity_id = 9412 WHERE id = 9401;
UPDATE crm.opportunities SET amount_source = 'lines' WHERE id = 9412;
SELECT id, amount, amount_source FROM crm.opportunities WHERE id IN (9411, 9412) ORDER BY id;
UPDATE crm.opportunities SET amount = 5 WHERE id = 9412;
UPDATE crm.opportunity_lines SET quantity = 1 WHERE id = 9401;
SELECT amount, amount_source FROM crm.opportunities WHERE id = 9412;
UPDATE crm.opportunities SET amount = NULL WHERE id = 9412;
SELECT amount, amount_source FROM crm.opportunities WHERE id = 9412;
-- another currency: converted, not called something else; the book that is named goes first
INSERT INTO crm.price_books (id, name, currency, active) VALUES (9402, 'Partners', 'USD', false);
INSERT INTO crm.prices (price_book_id, product_id, price) VALUES (9402, 9401, 150);
INSERT INTO crm.orders (id, account_id, currency, ordered_at, price_book_id) VALUES (9411, 9402, 'USD', '2026-03-01', NULL), (9412, 9402, 'EUR', '2026-03-01', 9402);
INSERT INTO crm.order_lines (order_id, product_id) VALUES (9411, 9401), (9412, 9401);
SELECT l.order_id, l.unit_price, l.unit_cost, o.margin, o.base_margin FROM crm.order_lines AS l JOIN crm.orders AS o ON o.id = l.order_id ORDER BY 1;

-- ---- conversion and capture never call an amount something else ----
SELECT id AS lead FROM crm.capture_lead('{"name": "Conv", "email": "conv@x.example", "amount": "3000", "currency": "USD"}') \gset
SELECT opportunity_id AS deal FROM crm.convert_lead(:lead, true, '{"currency": "EUR"}') \gset
SELECT o.amount, o.currency, o.amount_source FROM crm.opportunities AS o WHERE o.id = :deal;
SELECT amount, currency FROM crm.capture_lead('{"name": "Toman", "email": "toman@x.example", "amount": "3000", "currency": "toman"}');

-- another product on a line: its price and cost, but for a price that was agreed; the currency stays while there are lines
INSERT INTO crm.products (id, name, list_price, cost, currency) VALUES (9801, 'Large', 100, 60, 'USD'), (9802, 'Small', 50, 10, 'USD'), (9803, 'Unpriced', NULL, NULL, 'USD');
INSERT INTO crm.opportunities (id, name, currency) VALUES (9801, 'follows', 'USD');
INSERT INTO crm.opportunity_lines (id, opportunity_id, product_id, quantity, unit_price) VALUES (9801, 9801, 9801, 2, NULL), (9802, 9801, 9801, 1, 95);
UPDATE crm.opportunity_lines SET product_id = 9802 WHERE opportunity_id = 9801;
SELECT l.id, l.unit_price, l.unit_cost, l.margin FROM crm.opportunity_lines AS l WHERE l.opportunity_id = 9801 ORDER BY 1;
UPDATE crm.opportunity_lines SET product_id = 9801, unit_price = 80, unit_cost = 70 WHERE id = 9801;
UPDATE crm.opportunity_lines SET product_id = 9803 WHERE id = 9802;
SELECT l.id, l.unit_price, l.unit_cost FROM crm.opportunity_lines AS l WHERE l.opportunity_id = 9801 ORDER BY 1;
SELECT o.amount, o.amount_source FROM crm.opportunities AS o WHERE o.id = 9801;
UPDATE crm.opportunities SET currency = 'EUR' WHERE id = 9801;
INSERT INTO crm.accounts (id, name) VALUES (9801, 'Acme');
INSERT INTO crm.orders (id, account_id, currency) VALUES (9801, 9801, 'USD');
UPDATE crm.orders SET currency = 'EUR' WHERE id = 9801;
UPDATE crm.orders SET currency = 'USD' WHERE id = 9801;
INSERT INTO crm.order_lines (order_id, product_id) VALUES (9801, 9801);
UPDATE crm.orders SET currency = 'EUR' WHERE id = 9801;
SELECT o.currency, o.amount FROM crm.orders AS o WHERE o.id = 9801;
TRUNCATE crm.opportunity_lines;
SELECT o.amount, o.amount_source FROM crm.opportunities AS o WHERE o.id = 9801;
UPDATE crm.opportunities SET currency = 'EUR' WHERE id = 9801;
ROLLBACK;
