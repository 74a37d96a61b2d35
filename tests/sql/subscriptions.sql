-- Subscriptions: dated lines, intervals of two calendars, what is billed once and given back, renewals as deals, and waterfalls that add up.
-- long: 40 s
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
BEGIN;
SET LOCAL client_min_messages = warning;
UPDATE crm.tenants SET base_currency = 'EUR', country = 'DE', time_zone = 'Europe/Berlin', fiscal_year_start = '01-01' WHERE tenant_id = 1;
SET LOCAL crm.tenant = '1';
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('USD', 'EUR', '2025-01-01', 0.8), ('USD', 'EUR', '2025-03-01', 0.9), ('USD', 'EUR', '2025-06-01', 0.85);
INSERT INTO crm.accounts (id, name) SELECT 7000 + n, 'Customer ' || n FROM generate_series(1, 9) AS n;
INSERT INTO crm.tax_categories (id, code, name) VALUES (7001, 'sub', 'VAT');
INSERT INTO crm.tax_rates (tax_category_id, percent) VALUES (7001, 19);
INSERT INTO crm.products (id, name, list_price, currency, cost, tax_category_id) VALUES (7001, 'Seat', 30, 'EUR', 10, 7001), (7002, 'Store', 310, 'EUR', NULL, NULL);

-- ---- intervals ----
SELECT d::date AS day, crm_internal.interval_at('2024-01-31', 1, 'gregorian', d::date) AS month, crm_internal.interval_at('2023-12-22', 12, 'jalali', d::date) AS jalali_year
FROM unnest('{2024-01-31,2024-02-28,2024-02-29,2024-03-30,2024-03-31,2024-12-20,2024-12-21}'::date[]) AS d;
-- every day lies in one interval, and intervals follow each other
SELECT c AS calendar, m AS months, bool_and(i.turn @> i.day) AS holds_it, count(DISTINCT i.turn) AS intervals,
       bool_and(i.before IS NULL OR i.before = i.turn OR upper(i.before) = lower(i.turn)) AS no_gap
FROM unnest('{gregorian,jalali}'::text[]) AS c, unnest('{1,3,12}'::integer[]) AS m, LATERAL (
    SELECT x.day, x.turn, lag(x.turn) OVER (ORDER BY x.day) AS before
    FROM (SELECT d::date AS day, crm_internal.interval_at('2023-08-31', m, c, d::date) AS turn FROM generate_series('2020-01-01'::timestamp, '2027-12-31', '1 day') AS d) AS x) AS i
GROUP BY 1, 2 ORDER BY 1, 2;

-- ---- rows ----
INSERT INTO crm.subscriptions (id, name, account_id, starts_on, post_bills) VALUES (7001, 'Seats', 7001, '2025-01-15', true);
INSERT INTO crm.subscription_lines (id, subscription_id, product_id, quantity) VALUES (7001, 7001, 7001, 10);
INSERT INTO crm.subscription_lines (id, subscription_id, product_id, quantity, unit_price, discount_percent) VALUES (7002, 7001, 7002, 1, 300, 10);
SELECT currency, calendar, starts_on, next_bill_on FROM crm.subscriptions WHERE id = 7001;
SELECT id, unit_price, unit_cost, tax_percent, during, interval_months, monthly_amount FROM crm.subscription_lines WHERE subscription_id = 7001 ORDER BY id;
UPDATE crm.subscriptions SET interval_months = 12 WHERE id = 7001;
INSERT INTO crm.subscription_lines (subscription_id, product_id, during) VALUES (7001, 7001, '[2025-01-01,2025-02-01)');
INSERT INTO crm.subscription_lines (subscription_id, product_id, during) VALUES (7001, 7001, 'empty');
INSERT INTO crm.subscription_lines (subscription_id, product_id, quantity) VALUES (7001, 7001, 0);
INSERT INTO crm.subscriptions (name, account_id, calendar) VALUES ('x', 7001, 'mayan');
-- when the next bill is made is worked out, whatever is written
UPDATE crm.subscriptions SET next_bill_on = NULL WHERE id = 7001;
SELECT next_bill_on FROM crm.subscriptions WHERE id = 7001;

-- ---- billing: an interval on its first day in the tenant's zone, once ----
SELECT crm.bill_subscriptions('2025-01-14 22:59Z') AS before, crm.bill_subscriptions('2025-01-14 23:00Z') AS first_day, crm.bill_subscriptions('2025-01-20Z') AS again,
       crm.bill_subscriptions('2025-03-20Z') AS two_later;
SELECT i.state, i.issued_on, l.position, l.description, l.quantity, l.unit_price, l.discount_percent, l.net_amount, l.tax_amount
FROM crm.invoices AS i JOIN crm.invoice_lines AS l ON l.invoice_id = i.id WHERE i.account_id = 7001 ORDER BY i.id, l.position;
SELECT next_bill_on FROM crm.subscriptions WHERE id = 7001;
-- what was billed stays; a day is there once
UPDATE crm.subscription_lines SET quantity = 11 WHERE id = 7001;
DELETE FROM crm.subscription_lines WHERE id = 7001;
INSERT INTO crm.subscription_bills (subscription_id, line_id, days, invoice_id, invoice_line_id, billed_at)
SELECT subscription_id, line_id, daterange(upper(days) - 1, upper(days) + 1), invoice_id, invoice_line_id, now() FROM crm.subscription_bills WHERE line_id = 7001 ORDER BY lower(days) DESC LIMIT 1;

-- ---- changes: from a day within what was billed ----
SELECT (crm.change_subscription(7001, '[{"line_id": 7001, "quantity": 20}, {"product_id": 7002, "quantity": 2, "unit_price": 31}]', '2025-03-25')).next_bill_on;
SELECT l.id > 7100 OR l.id < 7000 AS later, l.replaces_line_id, l.product_id, l.quantity, l.unit_price, l.during FROM crm.subscription_lines AS l WHERE l.subscription_id = 7001 ORDER BY l.during, l.product_id, l.quantity;
SELECT crm.bill_subscriptions('2025-03-26Z') > 0 AS billed, crm.bill_subscriptions('2025-03-26Z') AS again;
SELECT i.kind, i.state, l.description, l.quantity, l.unit_price, l.net_amount FROM crm.invoices AS i JOIN crm.invoice_lines AS l ON l.invoice_id = i.id
WHERE i.account_id = 7001 AND i.issued_on = '2025-03-26' ORDER BY i.kind, l.position;
SELECT crm.change_subscription(7001, '[{"line_id": 7001, "quantity": 5}]', '2025-04-01');
SELECT crm.change_subscription(7001, '[{"line_id": 7002, "quantity": 5}]', '2024-04-01');
SELECT crm.change_subscription(7001, '[{"line_id": 7002, "quantiti": 5}]', '2025-04-20');
SELECT crm.change_subscription(7001, '[{"line_id": 7002, "during": "empty"}]', '2025-04-20');
SELECT crm.change_subscription(7001, '[{"line_id": 7002}]', '2025-04-20');
SELECT crm.change_subscription(7001, '{}');
SELECT crm.change_subscription(7001, '[{"line_id": 7002, "quantity": -1}]', '2025-04-20');
SELECT crm.change_subscription(7999, '[{"line_id": 7002, "quantity": 1}]');
-- ---- cancelled in the middle: what was billed beyond comes back ----
SELECT s.ends_on, s.next_bill_on FROM crm.cancel_subscription(7001, 'moved away', '2025-03-31') AS s;
SELECT (crm.cancel_subscription(7001, 'again')).cancel_reason AS harmless;
SELECT crm.bill_subscriptions('2025-04-02Z') > 0 AS credited, crm.bill_subscriptions('2025-12-02Z') AS nothing_more;
SELECT next_bill_on FROM crm.subscriptions WHERE id = 7001;
-- what was billed and not given back is what was had, to the cent of each line
SELECT l.id < 7003 AS first, l.during, (SELECT range_agg(b.days) FROM crm.subscription_bills AS b WHERE b.line_id = l.id) = datemultirange(l.during) AS all_days_once
FROM crm.subscription_lines AS l WHERE l.subscription_id = 7001 ORDER BY l.during, l.id;
SELECT round(sum(CASE i.kind WHEN 'invoice' THEN i.net_amount ELSE - i.net_amount END), 2) AS billed FROM crm.invoices AS i WHERE i.account_id = 7001;
SELECT s.ends_on, s.cancelled_at FROM crm.renew_subscription(7001, '2025-05-14') AS s;
SELECT crm.renew_subscription(7001, '2025-05-14');
SELECT crm.cancel_subscription(7001, '');
SELECT crm.cancel_subscription(7001, 'late', '2026-05-14');

-- ---- drafts, arrears, what is deleted ----
INSERT INTO crm.subscriptions (id, name, account_id, currency, starts_on, ends_on, billed, interval_months) VALUES (7002, 'Quarter', 7002, 'USD', '2025-01-01', '2025-08-15', 'arrears', 3);
INSERT INTO crm.subscription_lines (id, subscription_id, product_id, unit_price) VALUES (7010, 7002, 7001, 92);
SELECT crm.bill_subscriptions('2025-03-31 21:59Z') AS last_day, crm.bill_subscriptions('2025-03-31 22:00Z') AS over, crm.bill_subscriptions('2025-10-02Z') AS two;
SELECT i.state, l.description, l.unit_price, l.unit_cost FROM crm.invoices AS i JOIN crm.invoice_lines AS l ON l.invoice_id = i.id WHERE i.account_id = 7002 ORDER BY i.id;
DELETE FROM crm.invoices WHERE id = (SELECT max(i.id) FROM crm.invoices AS i WHERE i.account_id = 7002);
SELECT next_bill_on FROM crm.subscriptions WHERE id = 7002;
SELECT crm.bill_subscriptions('2025-10-03Z') AS again, crm.bill_subscriptions('2025-10-03Z') AS once;
UPDATE crm.subscriptions SET ends_on = '2025-07-31' WHERE id = 7002;
SELECT crm.bill_subscriptions('2025-10-04Z') AS shortened;
UPDATE crm.subscriptions SET ends_on = '2025-06-30' WHERE id = 7002;
SELECT crm.bill_subscriptions('2025-10-04Z') AS gone;
SELECT i.state, l.description, l.unit_price FROM crm.invoices AS i JOIN crm.invoice_lines AS l ON l.invoice_id = i.id WHERE i.account_id = 7002 ORDER BY i.id;

-- what was billed elsewhere is not billed here
INSERT INTO crm.subscriptions (id, name, account_id, starts_on, bills_from) VALUES (7008, 'Brought along', 7009, '2019-01-01', '2025-02-01');
INSERT INTO crm.subscription_lines (subscription_id, product_id) VALUES (7008, 7002);
SELECT crm.bill_subscriptions('2025-02-02Z') AS one;
SELECT min(lower(b.days)) AS first_day FROM crm.subscription_bills AS b WHERE b.subscription_id = 7008;
DELETE FROM crm.invoices WHERE account_id = 7009;
DELETE FROM crm.subscription_lines WHERE subscription_id = 7008;

-- ---- renewals ----
INSERT INTO crm.subscriptions (id, name, account_id, starts_on, ends_on, interval_months, renewal_days) VALUES (7003, 'Plan', 7003, '2025-01-01', '2025-12-31', 3, 60);
INSERT INTO crm.subscription_lines (subscription_id, product_id, quantity, unit_price, during) VALUES (7003, 7001, 4, 25, '[2025-01-01,2026-01-01)'), (7003, 7002, 1, 5, '[2025-01-01,2025-06-01)');
SELECT crm.open_renewals('2025-10-31Z') AS early, crm.open_renewals('2025-11-01 22:59Z') AS due, crm.open_renewals('2025-11-05Z') AS again;
SELECT o.name, o.account_id, o.amount, o.currency, o.expected_close_date, r.ends_on FROM crm.subscription_renewals AS r JOIN crm.opportunities AS o ON o.id = r.opportunity_id WHERE r.subscription_id = 7003;
SELECT (crm.renew_subscription(7003, '2026-12-31')).ends_on, (SELECT max(upper(l.during)) FROM crm.subscription_lines AS l WHERE l.subscription_id = 7003) AS line_goes_on;
SELECT crm.open_renewals('2026-11-05Z') AS first_one_open;
SELECT (crm.win_opportunity(r.opportunity_id)).closed_at IS NOT NULL AS won FROM crm.subscription_renewals AS r WHERE r.subscription_id = 7003;
SELECT crm.open_renewals('2026-11-05Z') AS next_term, crm.open_renewals('2027-02-05Z') AS over;

-- ---- what comes in, and how it moved ----
INSERT INTO crm.subscriptions (id, name, account_id, currency, starts_on, interval_months) VALUES (7004, 'A', 7004, 'EUR', '2025-01-10', 1), (7005, 'B', 7004, 'USD', '2025-01-10', 12), (7006, 'C', 7005, 'USD', '2025-02-01', 12);
INSERT INTO crm.subscription_lines (subscription_id, product_id, unit_price, tax_category_id, during) VALUES (7004, 7002, 100, NULL, '[2025-01-10,2025-03-10)'), (7004, 7002, 150, NULL, '[2025-03-10,2025-05-10)'),
    (7004, 7002, 90, NULL, '[2025-07-10,)'), (7005, 7002, 1200, NULL, '[2025-02-10,2025-04-10)'), (7006, 7002, 600, NULL, '[2025-02-01,2025-04-01)'), (7006, 7002, 360, NULL, '[2025-04-01,)');
SELECT account_id, day, currency, movement, monthly_change FROM crm_analytics.mrr_movements WHERE account_id IN (7004, 7005) ORDER BY 1, 2, 3;
SELECT d AS at, m.account_id, m.currency, m.mrr, m.arr, m.base_mrr FROM unnest('{2025-02-09 22:59Z,2025-02-09 23:00Z,2025-06-01Z,2030-01-01Z}'::timestamptz[]) AS d, crm_analytics.mrr_at(d) AS m
WHERE m.account_id IN (7004, 7005) ORDER BY 1, 2, 3;
SELECT w.* FROM crm.mrr_waterfall('2025-02-01 12:00Z', '2025-08-01Z', 'EUR') AS w;
SELECT w.* FROM crm.mrr_waterfall('2025-02-01 12:00Z', '2025-08-01Z', 'EUR', 'at_event_date') AS w;
-- the change of rates, worked out day by day
SELECT round(sum(m.mrr * (crm.exchange_rate_on(1, m.currency::bpchar, 'EUR', d::date + 1) - crm.exchange_rate_on(1, m.currency::bpchar, 'EUR', d::date))), 6)
       = (SELECT round(w.amount, 6) FROM crm.mrr_waterfall('2025-02-01 12:00Z', '2025-08-01 12:00Z', 'EUR', 'at_event_date') AS w WHERE w.movement = 'rates') AS as_by_day
FROM generate_series('2025-02-01 12:00Z'::timestamptz, '2025-07-31 12:00Z', '1 day') AS d, crm_analytics.mrr_at(d) AS m WHERE m.tenant_id = 1;
SELECT * FROM crm.mrr_waterfall('2025-02-01', '2025-01-01');
SELECT * FROM crm.mrr_waterfall('2025-02-01', '2025-03-01', 'EUR', 'by_guess');
SELECT * FROM crm.mrr_waterfall('2025-02-01', '2025-03-01', 'JPY');
SELECT month, opening, new, reactivation, expansion, contraction, churn, closing FROM crm_analytics.mrr_waterfall WHERE month BETWEEN '2025-01-01' AND '2025-08-01' ORDER BY 1;
SELECT is_running, count(*) > 0 AS some FROM crm_analytics.fact_subscriptions WHERE account_id = 7004 GROUP BY 1 ORDER BY 1;

-- ---- random histories: any two instants add up, and two waterfalls one after the other are the whole one ----
SELECT setseed(0.42);
INSERT INTO crm.subscriptions (id, name, account_id, currency, starts_on, ends_on, calendar, interval_months)
SELECT 7100 + n, 'Random ' || n, 7006 + n % 4, CASE WHEN random() < 0.3 THEN 'USD' ELSE 'EUR' END, '2024-01-01'::date + (random() * 500)::integer, NULL,
       CASE WHEN random() < 0.3 THEN 'jalali' ELSE 'gregorian' END, (ARRAY[1, 3, 12])[1 + floor(random() * 3)::integer]
FROM generate_series(1, 40) AS n;
INSERT INTO crm.subscription_lines (subscription_id, product_id, quantity, unit_price, discount_percent, during)
SELECT s.id, 7001, 1 + floor(random() * 9), round((random() * 100)::numeric, 2), floor(random() * 4) * 10,
       daterange(s.starts_on + (20 * random() * n)::integer, s.starts_on + (20 * random() * n)::integer + 30 * n + (200 * random())::integer)
FROM crm.subscriptions AS s, generate_series(1, 4) AS n WHERE s.id > 7100;
CREATE FUNCTION pg_temp.instant() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$ SELECT '2025-01-02Z'::timestamptz + random() * interval '500 days' $$;
CREATE TEMP TABLE pairs AS SELECT n, least(a, b) AS a, greatest(a, b) AS b, least(a, b) + (greatest(a, b) - least(a, b)) * random() AS middle
FROM (SELECT n, pg_temp.instant() AS a, pg_temp.instant() AS b FROM generate_series(1, 60) AS n) AS x;
-- against what is running at either end, read from the lines
SELECT m AS mode, count(*) AS pairs, count(*) FILTER (WHERE w.opening <> w.before OR w.closing <> w.after OR w.parts <> w.closing) AS wrong
FROM unnest('{at_close_date,at_event_date,at_today}'::text[]) AS m, pairs AS p, LATERAL (
    SELECT sum(f.amount) FILTER (WHERE f.movement = 'opening') AS opening, sum(f.amount) FILTER (WHERE f.movement = 'closing') AS closing,
           sum(f.amount) FILTER (WHERE f.movement <> 'closing') AS parts,
           (SELECT sum(crm.convert_currency(x.mrr, x.currency, 'EUR', m, crm.local_day(1, p.a), crm.local_day(1, p.b), tenant_id => 1)) FROM crm_analytics.mrr_at(p.a) AS x WHERE x.tenant_id = 1) AS before,
           (SELECT sum(crm.convert_currency(x.mrr, x.currency, 'EUR', m, crm.local_day(1, p.b), crm.local_day(1, p.b), tenant_id => 1)) FROM crm_analytics.mrr_at(p.b) AS x WHERE x.tenant_id = 1) AS after
    FROM crm.mrr_waterfall(p.a, p.b, 'EUR', m) AS f) AS w
GROUP BY 1 ORDER BY 1;
SELECT count(*) AS differ FROM pairs AS p CROSS JOIN LATERAL (
    SELECT f.movement, f.amount FROM crm.mrr_waterfall(p.a, p.b, 'EUR', 'at_today') AS f WHERE f.place BETWEEN 2 AND 7) AS whole
WHERE whole.amount <> (SELECT sum(f.amount) FROM (SELECT * FROM crm.mrr_waterfall(p.a, p.middle, 'EUR', 'at_today') UNION ALL
                       SELECT * FROM crm.mrr_waterfall(p.middle, p.b, 'EUR', 'at_today')) AS f WHERE f.movement = whole.movement);
-- billed in passes of any size, whatever was changed between them: every day that was had stands on one invoice, and no other
CREATE FUNCTION pg_temp.live(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE s record;
BEGIN
    FOR s IN SELECT x.id, l.id AS line FROM crm.subscriptions AS x JOIN crm.subscription_lines AS l ON l.subscription_id = x.id AND l.during @> day
             WHERE x.id > 7100 AND random() < 0.15 AND daterange(x.starts_on, x.ends_on, '[]') @> day ORDER BY l.id LOOP
        IF random() < 0.2 THEN
            UPDATE crm.subscriptions SET ends_on = day + (random() * 40)::integer WHERE id = s.id;
        ELSIF EXISTS (SELECT FROM crm.subscription_lines AS l WHERE l.id = s.line AND l.during @> day) THEN
            PERFORM crm.change_subscription(s.id, jsonb_build_array(jsonb_build_object('line_id', s.line, 'quantity', floor(random() * 5))), day);
        END IF;
    END LOOP;
    PERFORM crm.bill_subscriptions(day + time '12:00' + (random() * 20)::integer * interval '1 day', 7);
END $$;
UPDATE crm.subscriptions SET post_bills = random() < 0.5 WHERE id > 7100;
SELECT count(pg_temp.live(d::date)) AS passes FROM generate_series('2024-03-01'::timestamp, '2025-12-31', '60 days') AS d;
SELECT count(crm.bill_subscriptions('2026-06-01Z')) AS passes FROM generate_series(1, 5);
SELECT crm.bill_subscriptions('2026-06-01Z') AS nothing_left;
SELECT count(*) > 100 AS many, count(*) FILTER (WHERE b.days IS DISTINCT FROM datemultirange(l.during)
       * datemultirange(daterange(NULL, upper(crm_internal.interval_at(s.starts_on, s.interval_months, s.calendar, '2026-06-01'))))) AS wrong
FROM crm.subscriptions AS s JOIN crm.subscription_lines AS l ON l.subscription_id = s.id
CROSS JOIN LATERAL (SELECT range_agg(b.days) AS days FROM crm.subscription_bills AS b WHERE b.line_id = l.id) AS b
WHERE s.id > 7100 AND l.monthly_amount > 0;
-- and its worth is what invoices and credit notes say, but for the fourth decimal of a price
WITH had AS (
    SELECT s.account_id, sum(l.quantity * l.unit_price * (100 - l.discount_percent) / 100 * (upper(b.days) - lower(b.days))
                             / (upper(i.turn) - lower(i.turn))) AS worth, count(*) AS parts
    FROM crm.subscription_bills AS b JOIN crm.subscription_lines AS l ON l.id = b.line_id JOIN crm.subscriptions AS s ON s.id = b.subscription_id
    CROSS JOIN LATERAL crm_internal.interval_at(s.starts_on, s.interval_months, s.calendar, lower(b.days)) AS i (turn)
    WHERE s.id > 7100 GROUP BY 1)
SELECT count(*) AS customers, count(*) FILTER (WHERE abs(h.worth - d.billed) > 0.01 * d.documents) AS wrong
FROM had AS h CROSS JOIN LATERAL (
    SELECT sum(CASE i.kind WHEN 'invoice' THEN l.net_amount ELSE - l.net_amount END) AS billed, count(*) AS documents
    FROM crm.invoices AS i JOIN crm.invoice_lines AS l ON l.invoice_id = i.id WHERE i.account_id = h.account_id) AS d;

-- ---- a company whose year is Jalali ----
SELECT tenant_id AS fa FROM crm.create_tenant('Persian Subscriptions', language => 'fa') \gset
SET LOCAL crm.tenant = :'fa';
INSERT INTO crm.accounts (name) VALUES ('آبان') RETURNING id AS a \gset
INSERT INTO crm.products (name, list_price) VALUES ('اشتراک', 3100000) RETURNING id AS p \gset
INSERT INTO crm.subscriptions (name, account_id, starts_on, ends_on, renewal_days) VALUES ('اشتراک', :a, '2025-03-21', '2026-03-20', 30) RETURNING id AS s, calendar, currency \gset
INSERT INTO crm.subscription_lines (subscription_id, product_id) VALUES (:s, :p);
SELECT :'calendar' AS calendar, :'currency' AS currency, crm.bill_subscriptions('2025-04-20 20:31Z') AS two, crm.open_renewals('2026-03-01Z') AS renewals;
SELECT l.description, l.unit_price FROM crm.invoices AS i JOIN crm.invoice_lines AS l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id WHERE i.tenant_id = :fa ORDER BY i.id;
SELECT o.name, o.amount FROM crm.opportunities AS o WHERE o.tenant_id = :fa;
SELECT w.movement, w.amount FROM crm.mrr_waterfall('2025-03-01Z', '2025-04-01Z') AS w WHERE w.amount <> 0;
ROLLBACK;
