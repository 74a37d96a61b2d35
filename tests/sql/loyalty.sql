-- The loyalty programme: points follow from orders as they are known then, spending, tiers and their grace, statements, merging, and what is refused.
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL TimeZone = 'UTC';
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2020-01-01', 2);
INSERT INTO crm.accounts (id, name) VALUES (9501, 'Ada'), (9502, 'Bob'), (9503, 'Cy'), (9504, 'Dee');
INSERT INTO crm.products (id, name, family, list_price, currency) VALUES (9501, 'Pump', 'pumps', 100, 'USD'), (9502, 'Oil', 'oils', 10, 'USD');
\qecho without a programme nobody has points, and none are spent
SELECT crm.burn_points(9501, 1, 'mug');
SELECT balance FROM crm_analytics.loyalty_points('{9501}');
INSERT INTO crm.loyalty_programmes (name, grace_days) VALUES ('Club', 30);
INSERT INTO crm.loyalty_rates (valid_from, points, expires_after_months) VALUES ('2024-01-01', 1, 12), ('2025-01-01', 0.5, 6);
\qecho a sale earns by the rate of its day, in the base currency; before the first rate nothing
INSERT INTO crm.orders (id, number, account_id, ordered_at, amount, currency, state) VALUES
    (9501, 'A1', 9501, '2023-12-31 12:00Z', 100, 'USD', 'fulfilled'), (9502, 'A2', 9501, '2024-02-10 12:00Z', 100.99, 'USD', 'fulfilled'),
    (9503, 'A3', 9501, '2024-06-10 12:00Z', 50, 'EUR', 'placed'), (9504, 'A4', 9501, '2025-02-10 12:00Z', 201, 'USD', 'placed');
SELECT place, at::date, kind, points, balance, reason, expires_at FROM crm_analytics.loyalty_statement(9501, '2025-12-01Z');
\qecho good up to the day in the tenant''s zone, that day included
SELECT i AS as_of, p.earned, p.expired, p.balance, p.next_expires_at, p.expiring
FROM unnest('{2024-02-10 11:59Z,2024-02-10 12:00Z,2025-02-10 23:59Z,2025-02-11 00:00Z,2025-12-01Z}'::timestamptz[]) AS i CROSS JOIN crm_analytics.loyalty_points('{9501}', i) AS p ORDER BY i;
\qecho what expires first is spent first; more than the balance is refused, then or now, whoever writes the row
SELECT kind, points, reason FROM crm.burn_points(9501, 150, 'voucher', '2024-07-01Z');
SELECT earned, burned, expired, balance FROM crm_analytics.loyalty_points('{9501}', '2025-03-01Z');
SELECT crm.burn_points(9501, 51, 'mug', '2024-07-02Z');
SELECT crm.burn_points(9501, 1, 'mug');
INSERT INTO crm.loyalty_entries (account_id, kind, points, reason, occurred_at) VALUES (9501, 'burn', -20, 'a', '2025-03-01Z'), (9501, 'burn', -9223372036854775808, 'b', '2025-03-01Z');
SELECT balance FROM crm_analytics.loyalty_points('{9501}', '2025-03-01Z');
SELECT crm.burn_points(9501, 0, 'mug'), crm.adjust_points(9501, 0, 'mug');
SELECT crm.burn_points(9501, 1, 'mug', now() + interval '1 day');
SELECT crm.burn_points(-1, 1, 'mug');
SELECT crm.adjust_points(9501, 10, 'birthday', '2025-01-01Z', '2025-01-02Z');
SELECT crm.adjust_points(9501, 10, NULL);
UPDATE crm.loyalty_entries SET points = -1 WHERE account_id = 9501;
DELETE FROM crm.loyalty_entries WHERE account_id = 9501;
SELECT points, expires_at FROM crm.adjust_points(9501, 25, 'birthday', '2025-04-01Z', '2025-03-02Z');
SELECT place, at, kind, points, balance, reason, expires_at FROM crm_analytics.loyalty_statement(9501, '2025-12-01Z');
SELECT kind, subject_table, subject_id, payload -> 'new' AS new FROM crm.events WHERE kind LIKE 'loyalty.%' ORDER BY id;
\qecho a return takes back what its sale earned, of the lot it was earned in, at the rate of that day
INSERT INTO crm.orders (id, number, account_id, ordered_at, amount, currency) VALUES (9511, 'B1', 9502, '2024-11-10 12:00Z', 300, 'USD'), (9512, 'B2', 9502, '2024-12-01 12:00Z', 70, 'USD');
INSERT INTO crm.orders (id, number, account_id, ordered_at, amount, currency, kind, returns_order_id) VALUES (9513, 'B3', 9502, '2025-02-01 12:00Z', 100, 'USD', 'return', 9511);
SELECT at::date, kind, points, balance, reason, expires_at::date FROM crm_analytics.loyalty_statement(9502, '2025-11-20Z');
\qecho points that were spent before the goods came back are owed, and paid by the next ones
INSERT INTO crm.orders (id, number, account_id, ordered_at, amount, currency) VALUES (9521, 'C1', 9503, '2025-02-01 12:00Z', 200, 'USD');
SELECT points FROM crm.burn_points(9503, 90, 'mug', '2025-02-02Z');
INSERT INTO crm.orders (id, number, account_id, ordered_at, amount, currency, kind, returns_order_id) VALUES (9522, 'C2', 9503, '2025-02-03 12:00Z', 200, 'USD', 'return', 9521);
SELECT balance FROM crm_analytics.loyalty_points('{9503}', '2025-02-04Z');
SELECT crm.burn_points(9503, 1, 'mug', '2025-02-04Z');
INSERT INTO crm.orders (id, number, account_id, ordered_at, amount, currency) VALUES (9523, 'C3', 9503, '2025-02-05 12:00Z', 300, 'USD');
SELECT balance FROM crm_analytics.loyalty_points('{9503}', '2025-02-06Z');
\qecho cancelled, and brought back; changed, moved to another day, deleted: nothing stays behind
UPDATE crm.orders SET state = 'cancelled' WHERE id = 9523;
SELECT balance FROM crm_analytics.loyalty_points('{9503}', '2025-02-06Z') UNION ALL SELECT balance FROM crm_analytics.loyalty_points('{9503}');
UPDATE crm.orders SET state = 'placed' WHERE id = 9523;
UPDATE crm.orders SET amount = 400 WHERE id = 9523;
SELECT balance FROM crm_analytics.loyalty_points('{9503}', '2025-02-06Z');
UPDATE crm.orders SET ordered_at = '2024-12-31 12:00Z' WHERE id = 9523;
SELECT balance FROM crm_analytics.loyalty_points('{9503}', '2025-02-06Z');
DELETE FROM crm.orders WHERE id = 9523;
SELECT balance FROM crm_analytics.loyalty_points('{9503}', '2025-02-06Z');
\qecho rates by product family, line by line; an order without lines has the general one
INSERT INTO crm.loyalty_rates (valid_from, family, points, expires_after_months) VALUES ('2025-05-01', 'pumps', 3, NULL);
INSERT INTO crm.orders (id, number, account_id, ordered_at, currency) VALUES (9531, 'D1', 9504, '2025-05-02 12:00Z', 'USD');
INSERT INTO crm.order_lines (order_id, product_id, quantity) VALUES (9531, 9501, 2), (9531, 9502, 3);
INSERT INTO crm.orders (id, number, account_id, ordered_at, amount, currency) VALUES (9532, 'D2', 9504, '2025-05-03 12:00Z', 30, 'USD');
SELECT at::date, kind, points, balance, reason, expires_at::date FROM crm_analytics.loyalty_statement(9504, '2025-05-10Z') ORDER BY at, points;
UPDATE crm.order_lines SET quantity = 1 WHERE order_id = 9531 AND product_id = 9501;
SELECT balance FROM crm_analytics.loyalty_points('{9504}', '2025-05-10Z');
\qecho tiers: the highest whose rule holds; a rule that asks for what is not known is refused
INSERT INTO crm.loyalty_tiers (code, name, position, condition, benefits) VALUES ('blue', 'Blue', 1, NULL, '{newsletter}'),
    ('gold', 'Gold', 2, '$.revenue_12_months >= 300 || $.points_12_months >= 150', '{"free delivery"}');
INSERT INTO crm.loyalty_tiers (code, name, position, condition) VALUES ('odd', 'Odd', 3, '$.revenu > 3 && $.custom.vip == true');
SELECT crm.loyalty_worth(9502, '2025-03-01Z') - '{clv,p_alive}'::text[] AS worth;
SELECT crm.review_loyalty('2025-03-01Z') AS reviewed;
SELECT a.id, a.loyalty_tier, m.tier_since, m.below_since, m.review_at FROM crm.accounts AS a LEFT JOIN crm.loyalty_members AS m ON m.account_id = a.id WHERE a.id BETWEEN 9501 AND 9504 ORDER BY a.id;
\qecho not twice a day; the rule ceases to hold, and the tier is kept for the days of grace
SELECT crm.review_loyalty('2025-03-01 23:00Z') AS again, crm.review_loyalty('2025-11-12Z') AS later;
SELECT a.id, a.loyalty_tier, m.below_since, m.review_at FROM crm.accounts AS a JOIN crm.loyalty_members AS m ON m.account_id = a.id WHERE a.id BETWEEN 9501 AND 9504 ORDER BY a.id;
SELECT count(crm.review_loyalty('2025-11-12Z'::timestamptz + d * interval '1 day')) AS days FROM generate_series(1, 29) AS d;
SELECT a.id, a.loyalty_tier FROM crm.accounts AS a WHERE a.id BETWEEN 9501 AND 9504 ORDER BY a.id;
SELECT crm.review_loyalty('2025-12-12Z') > 0 AS reviewed;
SELECT a.id, a.loyalty_tier, m.tier_since, m.below_since FROM crm.accounts AS a JOIN crm.loyalty_members AS m ON m.account_id = a.id WHERE a.id BETWEEN 9501 AND 9504 ORDER BY a.id;
SELECT e.subject_id, e.payload #>> '{old,loyalty_tier}' AS was, e.payload #>> '{new,loyalty_tier}' AS now_is FROM crm.events AS e WHERE e.kind = 'account.tier_changed' ORDER BY e.id;
\qecho up again at once when the customer buys; nobody writes a tier
INSERT INTO crm.orders (id, number, account_id, amount, currency) VALUES (9541, 'E1', 9502, 900, 'USD');
SELECT tier FROM crm.review_customer_loyalty(9502);
\qecho prices, segments and the points themselves look at the tier
INSERT INTO crm.price_books (id, name, currency, condition) VALUES (9501, 'Gold', 'USD', '$.loyalty_tier == "gold"');
INSERT INTO crm.prices (price_book_id, product_id, price) VALUES (9501, 9501, 80);
SELECT crm.line_price(9501, 'USD', account_id => a) FROM unnest('{9502,9504}'::bigint[]) AS a;
SELECT (crm.define_segment('{"name": "golden 9501", "subject_table": "accounts", "where": "$.loyalty_tier == \"gold\""}')).name;
SELECT m.subject_id FROM crm.segment_members AS m JOIN crm.segments AS s ON s.tenant_id = m.tenant_id AND s.id = m.segment_id WHERE s.name = 'golden 9501' AND m.subject_id BETWEEN 9501 AND 9504;
INSERT INTO crm.loyalty_rates (valid_from, tier, points, expires_after_months) VALUES ('2025-06-01', 'gold', 5, 6);
INSERT INTO crm.orders (id, number, account_id, amount, currency, ordered_at) VALUES (9542, 'E2', 9502, 10, 'USD', now() + interval '1 hour'), (9543, 'E3', 9504, 10, 'USD', now() + interval '1 hour');
SELECT p.account_id, p.loyalty_tier, p.earned - b.earned AS by_the_last FROM crm_analytics.loyalty_points('{9502,9504}', now() + interval '1 hour') AS p
JOIN crm_analytics.loyalty_points('{9502,9504}') AS b USING (account_id) ORDER BY 1;
\qecho two customers that are one: the balance is the sum, the tier the better one, the entries are there
SELECT points FROM crm.adjust_points(9502, 7, 'gift') UNION ALL SELECT points FROM crm.adjust_points(9504, 5, 'gift') UNION ALL SELECT points FROM crm.burn_points(9504, 2, 'mug');
SELECT sum(balance) AS before FROM crm_analytics.loyalty_points('{9502,9504}') \gset
SELECT m.loyalty_tier FROM crm.merge_accounts(9502, 9504) AS m;
SELECT p.balance = :before AS carried, p.loyalty_tier, (SELECT count(*) FROM crm.loyalty_entries AS e WHERE e.account_id = 9504 AND e.kind <> 'merge') AS entries,
       (SELECT m.tier FROM crm.loyalty_members AS m WHERE m.account_id = 9504) AS member FROM crm_analytics.loyalty_points('{9504}') AS p;
INSERT INTO crm.accounts (id, name) VALUES (9505, 'Di');
SELECT m.loyalty_tier FROM crm.merge_accounts(9504, 9505) AS m;
SELECT p.balance = :before AS carried, p.loyalty_tier FROM crm_analytics.loyalty_points('{9505}') AS p;
\qecho the programme stands still: no reviews, nothing spent; a tier in use is not deleted
UPDATE crm.loyalty_programmes SET active = false;
SELECT crm.burn_points(9505, 1, 'mug');
SELECT crm.review_customer_loyalty(9505);
SELECT crm.review_loyalty(now() + interval '10 days') AS reviewed;
DELETE FROM crm.loyalty_tiers WHERE code = 'gold';
UPDATE crm.loyalty_programmes SET active = true;
\qecho another base currency: what was earned stays
SELECT sum(balance) AS before FROM crm_analytics.loyalty_points('{9501,9503,9505}') \gset
UPDATE crm.tenants SET base_currency = 'EUR' WHERE tenant_id = 1;
SELECT sum(balance) = :before AS kept FROM crm_analytics.loyalty_points('{9501,9503,9505}');
ROLLBACK;

\qecho a Persian company in rials, with its own programme; neither sees that of the other
BEGIN;
SELECT t.tenant_id AS second FROM crm.create_tenant('شرکت', NULL, NULL, 'fa') AS t \gset
SET LOCAL crm.tenant = '1';
INSERT INTO crm.accounts (id, name) VALUES (9501, 'Ada');
INSERT INTO crm.loyalty_programmes (name) VALUES ('Club');
SET LOCAL crm.tenant = :'second';
INSERT INTO crm.loyalty_programmes (name, grace_days) VALUES ('باشگاه مشتریان', NULL);
INSERT INTO crm.loyalty_tiers (code, name, position, condition) VALUES ('gold', 'طلایی', 1, '$.points_earned >= 100');
INSERT INTO crm.loyalty_rates (points, expires_after_months) VALUES (0.0001, 12);
INSERT INTO crm.accounts (id, name) VALUES (9502, 'آدا');
INSERT INTO crm.orders (account_id, amount, ordered_at) VALUES (9502, 1500000, '2025-01-10 20:29Z'), (9502, 9999, '2025-01-10 20:31Z');
SELECT currency FROM crm.loyalty_rates;
-- midnight in Tehran is 20:30 in UTC
SELECT earned, balance, next_expires_at AT TIME ZONE 'UTC' AS expires FROM crm_analytics.loyalty_points('{9502}', '2025-02-01Z');
SELECT crm.review_loyalty('2025-02-01Z') AS reviewed;
SELECT loyalty_tier, tier_name FROM crm_analytics.loyalty_points('{9502}');
SET LOCAL crm.tenant = '1';
SELECT p.account_id FROM crm_analytics.loyalty_points() AS p WHERE p.account_id IN (9501, 9502);
ROLLBACK;

\qecho who sees it, who changes it: shown is what the orders come to that the caller sees, what may be spent follows from all; tiers and entries are written by the CRM
BEGIN;
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
\i :helper
INSERT INTO crm.loyalty_programmes (name) VALUES ('Club');
INSERT INTO crm.loyalty_tiers (code, name, position) VALUES ('blue', 'Blue', 1);
INSERT INTO crm.loyalty_rates (points) VALUES (1);
INSERT INTO crm.users (id, name) VALUES (9501, 'Agent'), (9502, 'Other');
SELECT g.access FROM crm.grant_access('regress_crm_agent', 'agent', 9501) AS g;
INSERT INTO crm.accounts (id, name, owner_id) VALUES (9501, 'Mine', 9501), (9502, 'Not mine', 9502);
INSERT INTO crm.orders (account_id, amount, ordered_at, owner_id) VALUES (9501, 10, '2025-01-01Z', 9501), (9501, 20, '2025-01-02Z', 9502), (9502, 40, '2025-01-01Z', 9502);
SET LOCAL ROLE regress_crm_agent;
\set ON_ERROR_ROLLBACK on
SELECT p.account_id, p.balance FROM crm_analytics.loyalty_points('{9501,9502}') AS p;
SELECT max(balance) AS balance FROM crm_analytics.loyalty_statement(9501);
SELECT crm_analytics.loyalty_statement(9502);
SELECT points FROM crm.burn_points(9501, 30, 'mug');
SELECT crm.burn_points(9502, 1, 'mug');
SELECT crm.adjust_points(9501, 1, 'gift');
INSERT INTO crm.loyalty_entries (account_id, kind, points, reason) VALUES (9501, 'adjustment', 5, 'gift');
UPDATE crm.accounts SET loyalty_tier = 'blue' WHERE id = 9501;
INSERT INTO crm.accounts (name, loyalty_tier) VALUES ('New', 'blue');
SELECT tier FROM crm.review_customer_loyalty(9501);
SELECT account_name, loyalty_tier, balance FROM crm_analytics.loyalty_accounts;
SELECT loyalty_tier, customers, balance FROM crm_analytics.loyalty_by_tier;
SELECT account_name, loyalty_tier, tier_name, left_at FROM crm_analytics.loyalty_tier_history;
SET LOCAL ROLE regress_crm_other;
SELECT count(*) FROM crm_analytics.loyalty_points('{9501,9502}');
SELECT crm_analytics.loyalty_statement(9501);
SET LOCAL ROLE regress_crm_reader;
SELECT crm.burn_points(9501, 1, 'mug');
ROLLBACK;
