-- Currencies, rates, prices.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\t on
SELECT count(*) > 150, count(*) FILTER (WHERE minor_units = 0) >= 15, bool_and(name <> '') FROM crm.currencies;
SELECT c.code, c.minor_units FROM crm.currencies AS c WHERE c.code IN ('IRR', 'JPY', 'KWD', 'USD', 'CLF') ORDER BY c.code;
BEGIN;
UPDATE crm.tenants SET base_currency = 'USD', time_zone = 'Asia/Tehran' WHERE tenant_id = 1;
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES
    ('EUR', 'USD', '2024-01-01', 1.10), ('EUR', 'USD', '2024-07-01', 1.25),
    ('USD', 'IRR', '2024-01-01', 500000), ('USD', 'IRR', '2024-07-01', 600000), ('JPY', 'USD', '2024-01-01', 0.008);
-- a rate holds from its day until the next
SELECT d::date, crm.convert_currency(100, 'EUR', 'USD', event_date => d::date) FROM unnest('{2024-01-01,2024-06-30,2024-07-01,2030-01-01}'::date[]) AS d;
-- inverse, through the base currency both ways, itself, small letters
SELECT crm.convert_currency(125, 'USD', 'EUR', event_date => '2024-08-01')::numeric(20,4), crm.convert_currency(2, 'EUR', 'IRR', event_date => '2024-08-01')::numeric(20,4),
       crm.convert_currency(1500000, 'IRR', 'EUR', event_date => '2024-08-01')::numeric(20,6), crm.convert_currency(1000, 'JPY', 'EUR', event_date => '2024-08-01')::numeric(20,6),
       crm.convert_currency(7.25, 'CHF', 'CHF', event_date => '1900-01-01'), crm.convert_currency(1, 'eur', 'usd', event_date => '2024-08-01');
-- the three modes; an open deal has no closing day
SELECT crm.convert_currency(100, 'EUR', 'USD', 'at_event_date', '2024-02-01', '2024-08-01') AS event,
       crm.convert_currency(100, 'EUR', 'USD', 'at_close_date', '2024-02-01', '2024-08-01') AS close,
       crm.convert_currency(100, 'EUR', 'USD', 'at_close_date', '2024-02-01', NULL, '2024-03-01 12:00+00') AS open,
       crm.convert_currency(100, 'EUR', 'USD', 'at_today', '2024-02-01', '2024-02-01', '2024-08-01 12:00+00') AS today;
-- today begins at midnight in the tenant's zone
SELECT crm.convert_currency(100, 'EUR', 'USD', 'at_today', as_of => '2024-06-30 20:29:59+00'), crm.convert_currency(100, 'EUR', 'USD', 'at_today', as_of => '2024-06-30 20:30:00+00');
-- nothing is guessed
SELECT crm.convert_currency(1, 'EUR', 'USD', event_date => '2023-12-31');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.convert_currency(1, 'EUR', 'CHF', event_date => '2024-02-01');
SELECT crm.convert_currency(1, 'EUR', 'USD');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.convert_currency(1, 'EUR', 'USD', 'at_noon', '2024-02-01');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.convert_currency('NaN', 'EUR', 'USD', event_date => '2024-02-01');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.convert_currency('Infinity', 'EUR', 'EUR', event_date => '2024-02-01');
SELECT crm.convert_currency(1, 'EURO', 'USD', event_date => '2024-02-01');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.convert_currency(1, '', 'USD', event_date => '2024-02-01');
SELECT crm.convert_currency(NULL, 'EUR', 'USD') IS NULL, crm.convert_currency(1, NULL, 'USD') IS NULL;
-- a changed rate is seen at once, and forgotten with a rollback; the later of rate and inverse counts
SAVEPOINT s;
UPDATE crm.exchange_rates SET rate = 2 WHERE from_currency = 'EUR' AND valid_from = '2024-07-01';
SELECT crm.convert_currency(100, 'EUR', 'USD', event_date => '2024-08-01');
ROLLBACK TO s;
SELECT crm.convert_currency(100, 'EUR', 'USD', event_date => '2024-08-01');
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('USD', 'EUR', '2024-09-01', 0.5);
SELECT crm.convert_currency(100, 'EUR', 'USD', event_date => '2024-08-31')::numeric(20,2), crm.convert_currency(100, 'EUR', 'USD', event_date => '2024-09-01')::numeric(20,2);
-- rates are each tenant's own
SELECT t.tenant_id AS second FROM crm.create_tenant('Second', 'EUR') AS t \gset
SET LOCAL crm.tenant = :second;
SELECT crm.convert_currency(100, 'EUR', 'USD', event_date => '2024-08-01');
SET LOCAL crm.tenant = '1';
\set VERBOSITY terse
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2025-01-01', 'NaN');
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2025-01-01', 0);
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2025-01-01', 'Infinity');
\set VERBOSITY default
SELECT crm.round_money(1.005, 'USD'), crm.round_money(-1.5, 'jpy'), crm.round_money(1.23456, 'KWD'), crm.round_money(1, 'XXX') IS NULL;

-- prices: book, quantity break, date
INSERT INTO crm.products (id, name, list_price, currency) VALUES (7001, 'P', 99, 'USD'), (7002, 'Q', NULL, NULL);
INSERT INTO crm.price_books (id, name, currency) VALUES (7001, 'Retail', 'USD');
INSERT INTO crm.prices (price_book_id, product_id, min_quantity, price, valid_from) VALUES
    (7001, 7001, 1, 50, '-infinity'), (7001, 7001, 1, 55, '2024-06-01'), (7001, 7001, 10, 45, '2024-01-01'), (7001, 7001, 100, 40, '2024-06-01');
SELECT q, crm.price_of(7001, 7001, q, '2024-01-15') AS january, crm.price_of(7001, 7001, q, '2024-07-01') AS july
FROM unnest('{0.5,1,9.99,10,100,1000}'::numeric[]) AS q;
SELECT crm.price_of(7001), crm.price_of(7002), crm.price_of(7002, 7001), crm.price_of(7001, 7001), crm.price_of(-1);
SELECT crm.price_of(7001, 7001, 0);
SELECT crm.price_of(7001, 7001, 'NaN');
ROLLBACK;
