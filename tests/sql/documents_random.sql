-- Ten thousand random documents: sums of lines, taxes, rounding and currencies agree to the minor unit; what is paid and taken back leaves nothing.
-- long: 40 s
SET timezone = 'UTC';
BEGIN;
SELECT setseed(0.37);
UPDATE crm.tenants SET base_currency = 'EUR' WHERE tenant_id = 1;
INSERT INTO crm.tax_categories (id, code, name) SELECT 600 + n, 't' || n, 'T' || n FROM generate_series(0, 4) AS n;
INSERT INTO crm.tax_rates (tax_category_id, percent) VALUES (600, 0), (601, 19), (602, 7), (603, 9), (604, 8.1);
INSERT INTO crm.products (id, name, list_price) VALUES (601, 'P', 1);
INSERT INTO crm.accounts (id, name) SELECT 600 + n, 'A' || n FROM generate_series(1, 20) AS n;
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES
    ('USD', 'EUR', '2026-01-01', 0.87654), ('EUR', 'IRR', '2026-01-01', 623456.7), ('BHD', 'EUR', '2026-01-01', 2.3331), ('JPY', 'EUR', '2026-01-01', 0.00617);
-- every rule of rounding that there is, on documents of every currency
INSERT INTO crm.invoices (id, account_id, currency, rounding, minor_units, round_total_to, issued_on)
SELECT 600000 + n, 601 + n % 20, (ARRAY['EUR', 'USD', 'IRR', 'BHD', 'JPY'])[1 + n % 5], CASE WHEN random() < 0.5 THEN 'line' ELSE 'document' END, NULL,
       CASE WHEN random() < 0.3 THEN (ARRAY[0.05, 0.1, 1000, 0.005, 5])[1 + n % 5] END, date '2026-02-01' + n % 28
FROM generate_series(1, 10000) AS n;
INSERT INTO crm.invoice_lines (invoice_id, product_id, position, quantity, unit_price, discount_percent, tax_category_id, price_includes_tax)
SELECT 600000 + n, 601, (random() * 2)::integer,
       CASE WHEN random() < 0.5 THEN ceil(random() * 20) ELSE ceil(random() * 200000) / 10000 END,
       CASE WHEN random() < 0.1 THEN 0 WHEN n % 5 = 2 THEN round((random() * 1e9)::numeric, 2) ELSE round((exp(random() * 12) / 100)::numeric, 4) END,
       CASE WHEN random() < 0.7 THEN 0 ELSE round((random() * 100)::numeric, 2) END, 600 + (random() * 4)::integer, random() < 0.5
FROM generate_series(1, 10000) AS n, generate_series(1, 1 + (hashint4(n) & 7)) AS l;
SELECT count(*) AS documents, (SELECT count(*) FROM crm.invoice_lines WHERE invoice_id > 600000) > 40000 AS lines,
       count(*) FILTER (WHERE rounding = 'document') BETWEEN 4000 AND 6000 AS both, count(DISTINCT minor_units) AS decimals
FROM crm.invoices WHERE id > 600000;

CREATE TEMP TABLE checked AS
SELECT i.id, i.currency, i.rounding, i.minor_units::integer AS units, i.round_total_to, i.net_amount, i.tax_amount, i.rounding_amount, i.total_amount,
       l.position, l.id AS line, l.price_includes_tax AS included, l.tax_percent AS percent, l.net_amount AS net, l.tax_amount AS tax, l.gross_amount AS gross,
       l.quantity * l.unit_price * (100 - l.discount_percent) / 100 AS exact
FROM crm.invoices AS i JOIN crm.invoice_lines AS l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id WHERE i.id > 600000;
ANALYZE checked;
-- the document is the sum of its lines, and its total is what it says
SELECT count(*) AS sums_wrong FROM (SELECT id FROM checked GROUP BY id
    HAVING sum(net) <> min(net_amount) OR sum(tax) <> min(tax_amount) OR min(total_amount) <> min(net_amount + tax_amount + rounding_amount)) AS x;
SELECT count(*) AS lines_wrong FROM checked WHERE gross <> net + tax OR net < 0 OR tax < 0 OR net <> round(net, units) OR tax <> round(tax, units);
SELECT count(*) AS totals_wrong FROM checked
WHERE CASE WHEN round_total_to IS NULL THEN rounding_amount <> 0 ELSE mod(total_amount, round_total_to) <> 0 OR abs(rounding_amount) > round_total_to / 2 END;
-- line by line: each is rounded by itself; none is further from what it is worth than half a unit
SELECT count(*) AS alone_wrong FROM checked
WHERE rounding = 'line' AND (CASE WHEN included THEN gross ELSE net END <> round(exact, units)
    OR tax <> CASE WHEN included THEN round(gross * percent / (100 + percent), units) ELSE round(net * percent / 100, units) END);
-- as a whole: each rate is rounded once, and the lines share it; none is a whole unit away
SELECT count(*) AS shared_wrong FROM (
    SELECT id FROM checked WHERE rounding = 'document' GROUP BY id, units, percent, included
    HAVING CASE WHEN included THEN sum(gross) ELSE sum(net) END <> round(sum(exact), units)
        OR sum(tax) <> CASE WHEN included THEN round(sum(gross) * percent / (100 + percent), units) ELSE round(sum(net) * percent / 100, units) END) AS x;
SELECT count(*) AS far_away FROM checked WHERE rounding = 'document' AND abs(CASE WHEN included THEN gross ELSE net END - exact) >= power(10::numeric, - units);

-- lines that come, change and go one by one give what all of them at once give
CREATE TEMP TABLE before AS SELECT id, net_amount, tax_amount, total_amount FROM crm.invoices WHERE id BETWEEN 600001 AND 600300;
UPDATE crm.invoice_lines SET quantity = quantity + 1 WHERE invoice_id BETWEEN 600001 AND 600300;
UPDATE crm.invoice_lines SET quantity = quantity - 1 WHERE invoice_id BETWEEN 600001 AND 600300;
INSERT INTO crm.invoice_lines (invoice_id, product_id, quantity, unit_price, position) SELECT id, 601, 3, 7.77, -1 FROM before;
DELETE FROM crm.invoice_lines WHERE position = -1;
SELECT count(*) AS changed FROM before AS b JOIN crm.invoices AS i USING (id) WHERE (b.net_amount, b.tax_amount, b.total_amount) <> (i.net_amount, i.tax_amount, i.total_amount);

-- posted, paid in the currency of somebody else, over-paid, taken back: nothing is left over
UPDATE crm.invoices SET state = 'posted' WHERE id BETWEEN 600001 AND 600300;
SELECT count(*) AS numbered, count(DISTINCT number) AS different, max(number) = 'I2026-' || lpad(count(*)::text, 5, '0') AS without_gap
FROM crm.invoices WHERE state = 'posted';
INSERT INTO crm.payments (id, account_id, amount, currency, received_at)
SELECT 600000 + n, 601 + n % 20, 1e14, (ARRAY['USD', 'IRR', 'EUR', 'JPY'])[1 + n % 4], '2026-03-01 12:00Z' FROM generate_series(1, 80) AS n;
SELECT count(*) > 100 AS paid FROM crm.invoices AS i
CROSS JOIN LATERAL (SELECT p.id FROM crm.payments AS p WHERE p.account_id = i.account_id ORDER BY p.id OFFSET i.id % 4 LIMIT 1) AS p
CROSS JOIN LATERAL crm.allocate_payment(p.id, jsonb_build_array(jsonb_build_object('invoice_id', i.id))) AS a
WHERE i.state = 'posted' AND i.total_amount BETWEEN 10 AND 1e6;
SELECT count(*) AS over_paid FROM crm.invoices AS i WHERE i.state = 'posted' AND (i.settled_amount > i.total_amount
    OR i.settled_amount <> (SELECT coalesce(sum(a.amount), 0) FROM crm.payment_allocations AS a WHERE a.invoice_id = i.id));
SELECT count(*) AS over_used FROM crm.payments AS p WHERE p.amount < (SELECT coalesce(sum(a.source_amount), 0) FROM crm.payment_allocations AS a WHERE a.payment_id = p.id);
SELECT count(*) AS reversed FROM crm.invoices AS i, crm.reverse_invoice(i.id, 'test') AS r
WHERE i.id BETWEEN 600001 AND 600300 AND i.total_amount > 0 AND r.total_amount = i.total_amount AND r.net_amount = i.net_amount AND r.tax_amount = i.tax_amount;
SELECT count(*) AS should_be FROM crm.invoices AS i WHERE i.id BETWEEN 600001 AND 600300 AND i.total_amount > 0;
SELECT count(*) AS lines_left FROM crm.invoice_lines AS l JOIN crm.invoices AS i ON i.id = l.invoice_id JOIN crm.invoice_lines AS o ON o.id = l.corrects_line_id
WHERE (l.net_amount, l.tax_amount, l.gross_amount) <> (o.net_amount, o.tax_amount, o.gross_amount);
SELECT count(*) AS payments FROM crm.payments AS p, crm.reverse_payment(p.id, 'test') AS r WHERE p.reverses_payment_id IS NULL AND r.amount = - p.amount;
SELECT count(*) AS not_zero FROM (
    SELECT account_id, currency, sum(x) AS balance FROM (
        SELECT account_id, currency, CASE kind WHEN 'invoice' THEN total_amount ELSE - total_amount END AS x FROM crm.invoices WHERE state = 'posted'
        UNION ALL SELECT account_id, currency, - amount FROM crm.payments) AS u GROUP BY 1, 2) AS b WHERE balance <> 0;
ROLLBACK;
