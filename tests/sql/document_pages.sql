-- Documents as pages: quotes, orders, invoices, credit notes, pro formas, reminders and statements, in each language, with the figures of the views, nothing
-- that is not escaped, and the same answer for a document one may not see as for none.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
BEGIN;
UPDATE crm.tenants SET base_currency = 'EUR', country = 'DE', time_zone = 'Europe/Berlin' WHERE tenant_id = 1;
SET LOCAL crm.tenant = '1';
CREATE ROLE regress_pages_agent;
CREATE ROLE regress_pages_reader;
INSERT INTO crm.users (id, name) VALUES (9401, 'Anna Berg'), (9402, 'Rosa Lind');
SELECT count(crm.grant_access('regress_pages_agent', 'agent', 9402)), count(crm.grant_access('regress_pages_reader', 'reader', 9401));
INSERT INTO crm.letterheads (language, valid_from, name, address, reach, tax_number, bank) VALUES
    (NULL, '-infinity', 'Old Pumps Ltd', 'Field 1', NULL, NULL, NULL),
    (NULL, '2026-02-01', 'New Pumps Ltd', E'Road 7\n53111 Bonn', 'mail@pumps.example', 'DE123', E'IBAN DE00\nBank <of> Bonn'), ('fa', '2026-02-01', 'پمپ نو', 'تهران', NULL, NULL, NULL);
INSERT INTO crm.letterheads (valid_from, name) VALUES ('2026-02-01', 'Twice');
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('CHF', 'EUR', '2025-01-01', 1.05);
INSERT INTO crm.tax_categories (id, code, name) VALUES (9401, 'standard', 'VAT'), (9402, 'reduced', 'VAT reduced');
INSERT INTO crm.tax_rates (tax_category_id, percent) VALUES (9401, 19), (9402, 7);
INSERT INTO crm.products (id, code, name, list_price, cost, tax_category_id, price_includes_tax) VALUES
    (9401, 'pump', 'Pump <script>alert(1)</script>', 1234.5, 60, 9401, false), (9402, 'book', 'Manual & "guide"', 10.7, 4, 9402, true), (9403, 'gift', 'Gift', 3.333, 1, NULL, false);
INSERT INTO crm.accounts (id, name, address, city, country, owner_id) VALUES (9401, 'Gold <b>& Co</b>', E'Tower 1\nFloor 2', 'Bonn', 'DE', 9401), (9402, 'Rosa''s', NULL, NULL, NULL, 9402);
INSERT INTO crm.document_rules (document, days) VALUES ('quotes', 30), ('invoices', 14);
INSERT INTO crm.document_rules (for_currency, rounding, round_total_to, minor_units) VALUES ('CHF', 'document', 0.05, 2);
INSERT INTO crm.quotes (id, account_id, issued_on, subject, terms, owner_id) VALUES (9401, 9401, '2026-03-01', 'Offer </title><i>', E'30 days\nnet', 9401);
INSERT INTO crm.quote_lines (quote_id, position, product_id, quantity, discount_percent, description) VALUES
    (9401, 1, 9401, 2, 12.5, NULL), (9401, 2, 9402, 3, 0, NULL), (9401, 3, 9403, 1, 0, 'Wrapped "nicely"');

-- what a reader sees of a page: its text without style and markup
CREATE FUNCTION pg_temp.seen(page text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT trim(regexp_replace(regexp_replace(x, '<[^>]*>', ' ', 'g'), '\s+', ' ', 'g'))
    FROM regexp_split_to_table(regexp_replace(page, '<head>.*</head>', ''), '</(tr|div|p|h1|dl|address|strong|caption)>') AS x WHERE regexp_replace(x, '<[^>]*>', '', 'g') ~ '\S' $$;
SELECT pg_temp.seen(crm.quote_page(9401));
-- accepted by its token, which shows the page as well; versions say so
SELECT crm.move('quotes', 9401, 'sent') IS NOT NULL AS sent, crm.make_quote_token(9401) AS token \gset
SELECT crm.offered_quote_page(:'token') = crm.quote_page(9401) AS the_same, crm.offered_quote_page(:'token', 'fa') ~ 'dir="rtl"' AS persian;
SELECT crm.offered_quote_page('wrong');
SELECT o.id AS o1 FROM crm.accept_quote(:'token', 'Ada <King>', '203.0.113.7', '2026-03-05 12:00Z') AS o \gset
SELECT x FROM pg_temp.seen(crm.quote_page(9401)) AS x WHERE x ~ 'Accepted';

\echo == an order says what an invoice of all of it says, an invoice what the view says
SELECT x FROM pg_temp.seen(crm.order_page(:o1)) AS x WHERE x ~ '^(Quote|Net|Tax|VAT|Total|Ordered|Order conf)';
SELECT id AS i1 FROM crm.invoice_order(:o1, given => '{"terms": "Thank you"}') \gset
SELECT x FROM pg_temp.seen(crm.invoice_page(:i1)) AS x WHERE x ~ '^(Draft|New|Number|Due)';
SELECT number FROM crm.post_invoice(:i1, '2026-03-10') \gset
SELECT o.doc -> 'taxes' = i.doc -> 'taxes' AS taxes, o.doc -> 'net_amount' = i.doc -> 'net_amount' AS net, o.doc -> 'total_amount' = i.doc -> 'total_amount' AS total,
       jsonb_array_length(i.doc -> 'lines') AS lines
FROM (SELECT crm_analytics.order_document(:o1)) AS o (doc), (SELECT crm_analytics.invoice_document(:i1)) AS i (doc);
SELECT amount FROM crm.record_payment(9401, 1000, 'EUR', '2026-03-20 12:00Z');
SELECT replace(x, :'number', 'I') FROM pg_temp.seen(crm.invoice_page(:i1)) AS x;
SELECT i.doc ->> 'open_amount' = f.open_amount::text AS open_is_that_of_the_view, i.doc ->> 'settled_amount' = f.settled_amount::text AS settled_too
FROM crm_analytics.fact_invoices AS f, LATERAL crm_analytics.invoice_document(f.invoice_id) AS i (doc) WHERE f.invoice_id = :i1;
-- the customer has moved since; a posted document keeps its name and address, a head its day
UPDATE crm.accounts SET name = 'Gold AG', address = 'Elsewhere' WHERE id = 9401;
SELECT crm.invoice_page(:i1) ~ 'Elsewhere' AS moved, crm.invoice_page(:i1) ~ 'Tower 1' AS stays, crm.order_page(:o1) ~ 'Elsewhere' AS order_moved;
INSERT INTO crm.quotes (id, account_id, issued_on) VALUES (9402, 9401, '2026-01-10');
SELECT crm.quote_page(9402) ~ 'Old Pumps' AS old_head, crm.quote_page(9402) ~ 'No items' AS empty, crm.quote_page(9402, 'fa') ~ 'Old Pumps' AS old_head_fa, crm.quote_page(9401, 'fa') ~ 'پمپ نو' AS new_head_fa;

\echo == credit note, reversal, pro forma, paid
SELECT id AS c1 FROM crm.credit_invoice(:i1, 'two came <broken>') \gset
DELETE FROM crm.invoice_lines WHERE invoice_id = :c1 AND product_id <> 9402;
SELECT count(crm.post_invoice(:c1, '2026-03-25'));
SELECT replace(regexp_replace(x, 'C\d+-\d+', 'C'), :'number', 'I') FROM pg_temp.seen(crm.invoice_page(:c1)) AS x WHERE x ~ '^(Credit|Number|About|Reason|Total|Used|Stands|\d)';
SELECT id AS pf FROM crm.invoice_order(:o1, kind => 'pro_forma') \gset
SELECT x FROM pg_temp.seen(crm.invoice_page(:pf)) AS x WHERE x ~ '^(Draft|Pro forma|Due|Total|Paid|Payable)';
SELECT count(crm.record_payment(9401, (SELECT open_amount FROM crm_analytics.fact_invoices WHERE invoice_id = :i1), 'EUR', '2026-04-01 12:00Z'));
SELECT x FROM pg_temp.seen(crm.invoice_page(:i1)) AS x WHERE x ~ '^(Paid in full|Due)';
INSERT INTO crm.invoices (id, account_id, currency) VALUES (9410, 9401, 'CHF');
INSERT INTO crm.invoice_lines (invoice_id, description, unit_price, quantity, tax_percent) VALUES (9410, 'Work', 33.33, 3, 7.7), (9410, 'Journey', 0.01, 1, 7.7);
SELECT count(crm.post_invoice(9410, '2026-03-11')), count(crm.reverse_invoice(9410, 'sent twice', '2026-03-12'));
SELECT x FROM pg_temp.seen(crm.invoice_page(9410)) AS x WHERE x ~ '^(Taken|Net|Tax|Rounding|Total|Due|Credit note|\d+ Mar 2026)';

\echo == reminder and statement
INSERT INTO crm.dunning_levels (level, name, for_currency, days, fee, interest_percent, body) VALUES (1, 'Notice <1>', 'EUR', 10, 5, 9.5, E'Dear {customer},\n{open} <is> open.');
INSERT INTO crm.accounts (id, name, owner_id) VALUES (9403, 'Slow Ltd', 9401);
INSERT INTO crm.invoices (id, account_id, currency, owner_id, issued_on) VALUES (9411, 9403, 'EUR', 9401, '2026-03-11'), (9412, 9403, 'EUR', 9401, '2026-04-01'), (9413, 9403, 'CHF', 9401, '2026-04-02');
INSERT INTO crm.invoice_lines (invoice_id, description, unit_price) VALUES (9411, 'Service', 1200), (9412, 'Service', 300), (9413, 'Service', 70);
UPDATE crm.invoices SET state = 'posted', posted_at = issued_on + time '12:00' WHERE id BETWEEN 9411 AND 9413;
SELECT count(crm.record_payment(9403, 100, 'EUR', '2026-04-20 12:00Z')), crm.raise_dunning('2026-04-10 12:00Z') AS raised;
SELECT id AS d1 FROM crm.dunnings WHERE invoice_id = 9411 \gset
SELECT regexp_replace(x, 'I\d+-\d+', 'I') FROM pg_temp.seen(crm.dunning_page(:d1)) AS x;
SELECT regexp_replace(x, '[ICP]\d+-\d+', 'N') FROM pg_temp.seen(crm.statement_page(9403, '2026-03-15', '2026-04-30')) AS x WHERE x !~ '^Date \d';
SELECT (SELECT s.balance FROM crm.customer_statement(9403, '2026-03-15', '2026-04-30', 'EUR') AS s ORDER BY s.entry DESC LIMIT 1) = b.balance AS the_balance_of_the_view FROM crm.customer_balance(9403, '2026-04-30 21:59Z') AS b WHERE b.currency = 'EUR';
SELECT x FROM pg_temp.seen(crm.statement_page(9402)) AS x WHERE x ~ '^No';

\echo == Persian: right to left, Jalali days, its digits and words, nothing in Latin but codes
SELECT replace(x, :'number', 'I') FROM pg_temp.seen(crm.invoice_page(:i1, 'fa')) AS x;
-- a page of a Persian company in rials: no decimals, groups of three
SELECT t.tenant_id AS fa FROM crm.create_tenant('شرکت نمونه', language => 'fa') AS t \gset
SET LOCAL crm.tenant = :fa;
INSERT INTO crm.accounts (id, name, city) VALUES (9420, 'فولاد خاور', 'تبریز');
INSERT INTO crm.invoices (id, account_id) VALUES (9420, 9420);
INSERT INTO crm.invoice_lines (invoice_id, description, unit_price, quantity, tax_percent) VALUES (9420, 'پشتیبانی', 12500000, 3, 10);
SELECT count(crm.post_invoice(9420, '2026-03-21'));
SELECT x FROM pg_temp.seen(crm.invoice_page(9420)) AS x;
INSERT INTO crm.products (id, name, list_price) VALUES (9420, 'پمپ', 1000.5);
INSERT INTO crm.quotes (id, account_id, issued_on) VALUES (9420, 9420, '2026-03-21');
INSERT INTO crm.quote_lines (quote_id, product_id) VALUES (9420, 9420);
SELECT count(crm.move('quotes', 9420, 'sent')), count(crm.record_acceptance(9420, 'نسرین', 'نامه'));
SELECT count(crm.record_payment(9420, 250000)), count(crm.reverse_invoice(9420, 'دوباره فرستاده شد'));
-- with codes of documents apart, there is neither a Latin word nor a Latin digit
SELECT DISTINCT m.word[1] AS latin
FROM unnest(ARRAY[crm.quote_page(9420), crm.order_page((SELECT o.id FROM crm.orders AS o WHERE o.quote_id = 9420)), crm.invoice_page(9420), crm.statement_page(9420)]
            || ARRAY(SELECT crm.invoice_page(i.id) FROM crm.invoices AS i WHERE i.corrects_invoice_id = 9420)) AS p (page),
     regexp_matches(regexp_replace(array_to_string(ARRAY(SELECT pg_temp.seen(p.page)), ' '), '[A-Z]\d{4}-\d+', '', 'g'), '[A-Za-z0-9]+', 'g') AS m (word) ORDER BY 1;
SELECT crm.invoice_page(9420) ~ '<html lang="fa" dir="rtl">' AS right_to_left, crm.invoice_page(9420, 'en') ~ '41,250,000<' AS english;
SET LOCAL crm.tenant = '1';

\echo == whatever a document holds, no markup comes of it, and nothing is loaded
CREATE TEMP TABLE pages ON COMMIT DROP AS
SELECT p.page FROM unnest('{en,fa}'::text[]) AS l (lang), LATERAL unnest(ARRAY[crm.quote_page(9401, l.lang), crm.quote_page(9402, l.lang), crm.order_page(:o1, l.lang), crm.invoice_page(:i1, l.lang),
    crm.invoice_page(:c1, l.lang), crm.invoice_page(:pf, l.lang), crm.invoice_page(9410, l.lang), crm.dunning_page(:d1, l.lang), crm.statement_page(9401, NULL, NULL, NULL, l.lang)]) AS p (page);
SELECT count(*), count(*) FILTER (WHERE page ~* '<(script|i|b|broken|is|of|King)\M') AS markup, count(*) FILTER (WHERE page ~ '(src|href)=|url\(|@import') AS loads,
       count(*) FILTER (WHERE page !~ '^<!DOCTYPE html>.*</html>$' OR page !~ 'size:A4' OR page !~ 'thead\{display:table-header-group') AS incomplete, count(*) FILTER (WHERE page ~ '<dd>(<bdi></bdi>)?</dd>') AS holes FROM pages;
-- each page is well formed
SELECT count(*) FILTER (WHERE NOT xml_is_well_formed_document(replace(regexp_replace(regexp_replace(page, '<!DOCTYPE html>', ''), '<(meta[^>]*|br)>', '<\1/>', 'g'), '&quot;', '"'))) AS malformed FROM pages;

\echo == both languages have the same words
CREATE FUNCTION pg_temp.keys(words jsonb, path text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT k.key || coalesce('.' || s.key, '') FROM jsonb_each(words) AS k LEFT JOIN LATERAL jsonb_object_keys(CASE jsonb_typeof(k.value) WHEN 'object' THEN k.value ELSE '{}' END) AS s (key) ON true WHERE k.key <> 'digits' $$;
SELECT l.lang, k AS lacks FROM unnest(crm.languages()) AS l (lang), pg_temp.keys(crm_analytics.document_words('en'), '') AS k
WHERE NOT k IN (SELECT pg_temp.keys(crm_analytics.document_words(l.lang), ''))
UNION ALL SELECT 'en', k FROM unnest(crm.languages()) AS l (lang), pg_temp.keys(crm_analytics.document_words(l.lang), '') AS k WHERE NOT k IN (SELECT pg_temp.keys(crm_analytics.document_words('en'), ''));

\echo == who may not see a document is told what they are told of none
SET ROLE regress_pages_agent;
SELECT crm.quote_page(9401);
SELECT crm.quote_page(9499);
CREATE FUNCTION pg_temp.said(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
    EXECUTE 'SELECT ' || call;
    RETURN 'a page';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ' ' || regexp_replace(SQLERRM, '\d+', 'N') || hint;
END $$;
SELECT f.name, pg_temp.said(format(f.call, f.seen)) AS hidden, pg_temp.said(format(f.call, f.seen)) = pg_temp.said(format(f.call, 99999999)) AS as_of_none
FROM (VALUES ('quote', 'crm.quote_page(%s)', 9401), ('order', 'crm.order_page(%s)', :o1), ('invoice', 'crm.invoice_page(%s)', :i1), ('reminder', 'crm.dunning_page(%s)', :d1), ('statement', 'crm.statement_page(%s)', 9401),
             ('lines', 'count(*) FROM crm_analytics.order_line_amounts(%s)', :o1)) AS f (name, call, seen);
SELECT count(*) AS lines FROM crm_analytics.document_lines('invoices', :i1);
RESET ROLE;
-- a reader sees what is theirs
SET ROLE regress_pages_reader;
SELECT pg_temp.said('crm.quote_page(9401)') AS quote, pg_temp.said(format('crm.order_page(%s)', :o1)) AS "order", pg_temp.said('crm.invoice_page(9411)') AS invoice, pg_temp.said(format('crm.dunning_page(%s)', :d1)) AS reminder, pg_temp.said('crm.statement_page(9401)') AS statement;
RESET ROLE;
SELECT crm.quote_page(9401, 'de');
SELECT crm.statement_page(9401, '2026-02-02', '2026-02-01');
SELECT crm.invoice_page(NULL);
-- an order brought from elsewhere has no lines; a figure is never shortened
INSERT INTO crm.orders (id, number, account_id, amount, currency) VALUES (9430, 'X-1', 9401, 1234567.125, 'EUR');
SELECT x FROM pg_temp.seen(crm.order_page(9430)) AS x WHERE x ~ '^(No items|Net|Total|Number)';
SELECT crm_analytics.document_figure(n, 2, '{"group": ",", "decimal": "."}') FROM unnest('{0,-0.5,1234.5,1000000,123456789012.3456,0.005}'::numeric[]) AS n;
ROLLBACK;
