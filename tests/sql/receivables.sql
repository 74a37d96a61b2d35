-- What customers owe: balance at any instant, statement, ageing, dunning with what holds it, facts; numbers given by hand beside a gapless series.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
BEGIN;
UPDATE crm.tenants SET base_currency = 'EUR', country = 'DE', time_zone = 'Europe/Berlin' WHERE tenant_id = 1;
SET LOCAL crm.tenant = '1';
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('USD', 'EUR', '2025-01-01', 0.8), ('USD', 'EUR', '2025-05-01', 0.9);
INSERT INTO crm.accounts (id, name, city) VALUES (601, 'Slow Ltd', 'Bonn'), (602, 'Prompt Ltd', NULL), (603, 'Nothing Ltd', NULL);
-- posted at an instant of the past, as a company does that brings its books along
CREATE FUNCTION pg_temp.bill(id bigint, account bigint, currency text, amount numeric, posted timestamptz, due date) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO crm.invoices (id, account_id, currency, issued_on, due_on) VALUES ($1, $2, $3, ($5 AT TIME ZONE 'Europe/Berlin')::date, $6);
    INSERT INTO crm.invoice_lines (invoice_id, description, unit_price) VALUES ($1, 'Work', $4);
    UPDATE crm.invoices AS i SET state = 'posted', posted_at = $5 WHERE i.id = $1;
    RETURN (SELECT number FROM crm.invoices AS i WHERE i.id = $1);
END $$;
SELECT pg_temp.bill(60001, 601, 'EUR', 100, '2025-01-10 12:00Z', '2025-01-24'), pg_temp.bill(60002, 601, 'EUR', 50, '2025-03-01 12:00Z', '2025-03-15'),
       pg_temp.bill(60003, 601, 'USD', 200, '2025-04-01 12:00Z', '2025-04-15'), pg_temp.bill(60004, 602, 'EUR', 10, '2025-03-31 22:30Z', '2025-04-01');
-- written down later than it came, in another currency too
SELECT id AS p1 FROM crm.record_payment(601, 30, 'EUR', '2025-02-01 12:00Z') \gset
SELECT id AS p2 FROM crm.record_payment(601, 100, 'USD', '2025-04-20 12:00Z', NULL, NULL, '[{"invoice_id": 60002}]') \gset
SELECT id AS p3 FROM crm.record_payment(602, 25, 'EUR', '2025-04-03 12:00Z') \gset

-- ---- balance at an instant ----
SELECT d AS at, b.currency, b.balance, b.open_amount AS open, b.overdue_amount AS overdue, b.credit_amount AS credit, b.base_balance
FROM (VALUES ('2025-01-10 11:59:59Z'::timestamptz), ('2025-01-10 12:00Z'), ('2025-01-24 22:59Z'), ('2025-01-24 23:00Z'), ('2025-02-01 12:00Z'), ('2025-03-20Z'),
             ('2025-04-01 12:00Z'), ('2025-04-20 12:00Z'), ('2025-05-02Z')) AS x (d), crm.customer_balance(601, x.d) AS b ORDER BY 1, 2;
SELECT b.* FROM crm.customer_balance(602, '2025-05-02Z') AS b;
SELECT count(*) FROM crm.customer_balance(603);
SELECT crm.customer_balance(604);
-- balance is what is open less what is unused, whatever the instant
SELECT bool_and(b.balance = b.open_amount - b.credit_amount AND b.credit_amount >= 0) AS adds_up, count(*) > 100 AS many
FROM generate_series('2025-01-01Z'::timestamptz, '2025-06-01Z', '1 day') AS d, unnest('{601,602}'::bigint[]) AS a, crm.customer_balance(a, d) AS b;
-- a currency without a rate
SELECT pg_temp.bill(60005, 603, 'JPY', 1000, '2025-04-01 12:00Z', '2025-04-15');
SELECT crm.customer_balance(603, '2025-05-02Z');
SELECT account_name, currency, balance, base_balance, rate_missing FROM crm_analytics.receivables_ageing_at('2025-05-02Z') WHERE account_id = 603;

-- ---- statement ----
SELECT s.entry, s.entry_currency, s.day, s.kind, s.number, s.due_on, s.debit, s.credit, s.balance FROM crm.customer_statement(601, '2025-02-01', '2025-04-30') AS s;
SELECT s.kind, s.balance FROM crm.customer_statement(602, '2025-04-01', '2025-04-01') AS s;
SELECT s.kind, s.day, s.balance FROM crm.customer_statement(602, NULL, '2025-04-03', 'eur') AS s;
SELECT crm.customer_statement(601, '2025-04-02', '2025-04-01');
-- its last balance is the balance
SELECT count(*) AS differ FROM crm.customer_balance(601, '2025-05-01Z') AS b
WHERE b.balance IS DISTINCT FROM (SELECT s.balance FROM crm.customer_statement(601, '2025-03-01', '2025-04-30', b.currency) AS s ORDER BY s.entry DESC LIMIT 1);

-- ---- ageing ----
SELECT account_name, currency, not_due, days_1_30 AS d30, days_31_60 AS d60, days_61_90 AS d90, over_90, open_amount AS open, credit_amount AS credit, balance, oldest_due_on
FROM crm_analytics.receivables_ageing_at('2025-03-10 12:00Z') ORDER BY 1, 2;
SELECT account_name, currency, not_due, days_1_30 AS d30, days_31_60 AS d60, days_61_90 AS d90, over_90, open_amount AS open, credit_amount AS credit, balance, oldest_due_on
FROM crm_analytics.receivables_ageing_at('2025-05-02Z') ORDER BY 1, 2;
-- the days of the tenant: late from its midnight on
SELECT x.at, o.overdue_days, o.bucket FROM (VALUES ('2025-02-23 22:59Z'::timestamptz), ('2025-02-23 23:00Z')) AS x (at),
    crm_analytics.open_invoices(x.at, 601) AS o ORDER BY 1;
SELECT count(*) FROM (SELECT tenant_id, account_id, currency, balance FROM crm_analytics.receivables_ageing
                      EXCEPT SELECT tenant_id, account_id, currency, balance FROM crm_analytics.receivables_ageing_at('infinity')) AS x;

-- ---- facts, and what is known of a customer ----
SELECT number, kind, state, account_name, issued_on, due_on, currency, total_amount AS total, revenue, open_amount AS open, paid_on, payment_days, days_late
FROM crm_analytics.fact_invoices WHERE account_id BETWEEN 601 AND 603 ORDER BY invoice_id;
SELECT account_name, received_on, amount, currency, base_amount, allocated_amount, unused_amount FROM crm_analytics.fact_payments ORDER BY payment_id;
SELECT account_name, open_balance, open_invoices, overdue_invoices, overdue_amount, paid_invoices, mean_payment_days, mean_days_late, missing_rates
FROM crm_analytics.customer_receivables WHERE account_id BETWEEN 601 AND 603 ORDER BY 1;
-- a payment that bounced: the past stays as it was known to be, from now on it is owed again
SELECT amount FROM crm.reverse_payment(:p3, 'bounced');
SELECT b.balance FROM crm.customer_balance(602, '2025-05-02Z') AS b;
SELECT b.balance, b.open_amount, b.credit_amount FROM crm.customer_balance(602) AS b;
SELECT amount, is_reversal, unused_amount FROM crm_analytics.fact_payments WHERE account_id = 602 ORDER BY payment_id;

-- ---- dunning ----
INSERT INTO crm.dunning_levels (level, name, days, body) VALUES (1, 'Reminder', 7, 'Dear {customer}, {open} of {number} was due on {due}, {days} days ago.'), (2, 'Second', 14, '{total}'),
    (3, 'Last', 30, '{number}');
INSERT INTO crm.dunning_levels (level, name, for_currency, days, fee, interest_percent, body) VALUES (1, 'Notice', 'USD', 10, 5, 9.5, '{open} + {fee} + {interest} = {total}');
INSERT INTO crm.dunning_levels (level, name, days, fee) VALUES (4, 'Fee of no currency', 40, 5);
INSERT INTO crm.dunning_levels (level, name, days, body) VALUES (4, 'Unknown word', 40, '{amount}');
INSERT INTO crm.dunning_levels (level, name, days) VALUES (1, 'Twice', 40);
-- nothing on the sixth day; once on the seventh, in the tenant's days
SELECT crm.raise_dunning('2025-01-30 22:59Z') AS sixth, crm.raise_dunning('2025-01-30 23:00Z') AS seventh, crm.raise_dunning('2025-01-30 23:01Z') AS again;
SELECT i.number, n.level, n.name, n.raised_on, n.overdue_days, n.open_amount, n.body FROM crm.dunnings AS n JOIN crm.invoices AS i ON i.id = n.invoice_id ORDER BY 1, 2;
-- a worker that stood still raises one level, the next when it is due after that
SELECT crm.raise_dunning('2025-03-20 12:00Z') AS late, crm.raise_dunning('2025-03-21 12:00Z') AS next_day, crm.raise_dunning('2025-04-06 12:00Z') AS later;
SELECT i.number, n.level, n.raised_on, n.overdue_days FROM crm.dunnings AS n JOIN crm.invoices AS i ON i.id = n.invoice_id ORDER BY 1, 2;
SELECT e.kind, e.payload ->> 'level' AS level, e.payload ->> 'number' AS number, e.payload ->> 'text' AS text FROM crm.events AS e WHERE e.kind = 'invoice.dunned' ORDER BY e.id;
-- fee and interest, and an invoice for them
SELECT crm.raise_dunning('2025-04-27 12:00Z') AS usd;
SELECT n.id AS d1, n.open_amount, n.fee_amount, n.interest_amount, n.body FROM crm.dunnings AS n WHERE n.invoice_id = 60003 \gset
SELECT :'open_amount' AS open, :'fee_amount' AS fee, :'interest_amount' AS interest, :'body' AS text, round(200 * 0.095 * 12 / 365, 2) AS right_interest;
SELECT i.state, i.currency, i.total_amount, i.tax_amount FROM crm.invoice_dunning(:d1) AS i;
SELECT l.position, l.description, l.gross_amount FROM crm.invoice_lines AS l JOIN crm.dunnings AS n ON n.fee_invoice_id = l.invoice_id ORDER BY 1;
SELECT count(DISTINCT id) FROM (SELECT (crm.invoice_dunning(:d1)).id UNION ALL SELECT (crm.invoice_dunning(:d1)).id) AS x;
SELECT crm.invoice_dunning((SELECT min(id) FROM crm.dunnings));
-- neither level nor day is given by hand, and a posted invoice still takes no other change
UPDATE crm.invoices SET due_on = '2027-01-01' WHERE id = 60003;
SELECT level, name FROM crm.dunnings WHERE invoice_id = 60003;

-- ---- promises and disputes ----
SELECT pg_temp.bill(60010, 602, 'EUR', 70, now() - interval '60 days', crm.local_day(1, now()) - 40), pg_temp.bill(60011, 602, 'EUR', 80, now() - interval '60 days', crm.local_day(1, now()) - 40) \gset ignored_
SELECT kind, promised_on - crm.local_day(1, now()) AS days, note FROM crm.promise_payment(60010, crm.local_day(1, now()) + 3, 'after the fair');
SELECT kind, note FROM crm.dispute_invoice(60011, 'never came');
SELECT count(DISTINCT id) FROM (SELECT (crm.dispute_invoice(60011, 'again')).id UNION ALL SELECT h.id FROM crm.dunning_holds AS h WHERE h.invoice_id = 60011) AS x;
SELECT crm.raise_dunning(now()) >= 0 AS done;
SELECT i.id, i.dunning_level FROM crm.invoices AS i WHERE i.id IN (60010, 60011) ORDER BY 1;
-- the promised day is the customer's to its end
SELECT crm.raise_dunning((crm.local_day(1, now()) + 4)::timestamp AT TIME ZONE 'Europe/Berlin' - interval '1 second') >= 0 AS done;
SELECT i.id, i.dunning_level FROM crm.invoices AS i WHERE i.id IN (60010, 60011) ORDER BY 1;
SELECT crm.raise_dunning((crm.local_day(1, now()) + 4)::timestamp AT TIME ZONE 'Europe/Berlin') > 0 AS done;
SELECT i.id, i.dunning_level FROM crm.invoices AS i WHERE i.id IN (60010, 60011) ORDER BY 1;
SELECT kind, outcome, ended_at IS NOT NULL AS ended FROM crm.settle_dispute(60011, 'they came in the end');
\set VERBOSITY sqlstate
SELECT crm.settle_dispute(60011, 'again');
\set VERBOSITY default
SELECT crm.raise_dunning(now() + interval '5 days') > 0 AS done;
SELECT i.id, i.dunning_level FROM crm.invoices AS i WHERE i.id IN (60010, 60011) ORDER BY 1;
-- the level is what was raised, whatever the owner writes
UPDATE crm.invoices SET dunning_level = 0, dunned_at = NULL WHERE id IN (60010, 60011) AND dunning_level > 0;
UPDATE crm.invoices SET dunning_level = 9 WHERE id IN (60010, 60011);
INSERT INTO crm.invoices (id, account_id, dunning_level, dunned_at) VALUES (60099, 601, 3, now());
SELECT count(*) FILTER (WHERE i.dunning_level > 0) > 0 AS some, bool_and((i.dunning_level, i.dunned_at) IS NOT DISTINCT FROM (
    SELECT (coalesce(max(n.level), 0)::smallint, max(n.raised_at)) FROM crm.dunnings AS n WHERE n.invoice_id = i.id)) AS as_raised FROM crm.invoices AS i;
SELECT crm.promise_payment(60010, crm.local_day(1, now()) - 1);
SELECT crm.promise_payment(60010, 'infinity');
SELECT crm.dispute_invoice(60010, '');
SELECT crm.dispute_invoice(99999, 'x');
-- what was paid is neither dunned nor promised
SELECT amount FROM crm.record_payment(602, 70, 'EUR', now(), NULL, NULL, '[{"invoice_id": 60010}]');
\set VERBOSITY sqlstate
SELECT crm.promise_payment(60010, crm.local_day(1, now()) + 3);
\set VERBOSITY default
SELECT e.kind, count(*) FROM crm.events AS e WHERE e.kind LIKE 'dunning_hold.%' GROUP BY 1 ORDER BY 1;

-- ---- numbers given by hand beside a gapless series ----
UPDATE crm.number_series SET digits = 4 WHERE document = 'invoices';
SELECT c.last_number - n.posted AS gap FROM crm_internal.number_counters AS c JOIN crm.number_series AS s ON s.id = c.series_id AND s.document = 'invoices',
    LATERAL (SELECT count(*) AS posted FROM crm.invoices AS i WHERE i.number ~ ('^I' || c.year)) AS n WHERE c.tenant_id = 1 AND c.year = 2025;
-- one the series has yet to give is refused, in every way
INSERT INTO crm.invoices (id, account_id, number) VALUES (60020, 602, 'OLD-17');
DO $$
DECLARE
    n text;
BEGIN
    FOREACH n IN ARRAY ARRAY['I' || extract(year FROM crm.local_day(1, now())) || '-9999', 'I' || extract(year FROM crm.local_day(1, now())) + 1 || '-0001'] LOOP
        BEGIN
            UPDATE crm.invoices SET number = n WHERE id = 60020;
            RAISE NOTICE 'not refused';
        EXCEPTION WHEN invalid_parameter_value THEN
            RAISE NOTICE 'refused: %', regexp_replace(SQLERRM, '\d{4}-\d+', 'YYYY-N');
        END;
        BEGIN
            INSERT INTO crm.invoices (account_id, number) VALUES (602, n);
            RAISE NOTICE 'not refused';
        EXCEPTION WHEN invalid_parameter_value THEN
            RAISE NOTICE 'refused: %', regexp_replace(SQLERRM, '\d{4}-\d+', 'YYYY-N');
        END;
    END LOOP;
END
$$;
-- one of a year that has passed is brought along, and the series passes over it
UPDATE crm.invoices SET number = 'I2019-0002', issued_on = '2019-05-01' WHERE id = 60020;
INSERT INTO crm.invoice_lines (invoice_id, description, unit_price) VALUES (60020, 'Old work', 5);
SELECT number FROM crm.post_invoice(60020);
SELECT pg_temp.bill(60021, 602, 'EUR', 1, '2019-06-01Z', '2019-06-01') AS first, pg_temp.bill(60022, 602, 'EUR', 1, '2019-06-01Z', '2019-06-01') AS second,
       pg_temp.bill(60023, 602, 'EUR', 1, '2019-06-01Z', '2019-06-01') AS third;
-- an ordinary series passes over numbers as well
UPDATE crm.number_series SET kind = 'ordinary' WHERE document = 'credit_notes';
INSERT INTO crm.payments (account_id, amount, number, received_at) VALUES (602, 1, 'P2018-00001', '2018-05-01Z');
INSERT INTO crm.payments (account_id, amount, received_at) VALUES (602, 1, '2018-05-01Z'), (602, 1, '2018-05-01Z') RETURNING number;
-- whoever records a payment pays what they may change: a colleague's invoice for the same customer stays open, the money to the customer's credit
INSERT INTO crm.users (id, name) VALUES (6001, 'Rana'), (6002, 'Omid');
CREATE ROLE regress_cashier;
SELECT access FROM crm.grant_access('regress_cashier', 'agent', 6001);
INSERT INTO crm.accounts (id, name, owner_id) VALUES (605, 'Shared Ltd', 6001);
SELECT count(pg_temp.bill(60030 + n, 605, 'EUR', 100, '2025-04-01 12:00Z', '2025-04-15')) FROM generate_series(1, 2) AS n;
UPDATE crm.invoices AS i SET owner_id = 6000 + i.id - 60030 WHERE i.id IN (60031, 60032);
SET LOCAL ROLE regress_cashier;
SELECT id AS p6 FROM crm.record_payment(605, 150, 'EUR', '2025-05-01 12:00Z') \gset
SELECT crm.record_payment(605, 1, 'EUR', '2025-05-01 12:00Z', NULL, NULL, '[{"invoice_id": 60032}]');
RESET ROLE;
SELECT id, settled_amount, paid_at IS NOT NULL AS paid FROM crm.invoices WHERE account_id = 605 ORDER BY id;
SELECT credit_amount FROM crm.customer_balance(605, '2025-05-02Z');
-- a manager may change all
SELECT invoice_id, amount FROM crm.allocate_payment(:p6);
ROLLBACK;
