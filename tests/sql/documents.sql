-- Documents: taxes, price books, discounts over the limit, quotes in versions, acceptance, orders, invoices, credit notes, payments, reversal.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
BEGIN;
UPDATE crm.tenants SET base_currency = 'EUR', country = 'DE' WHERE tenant_id = 1;
INSERT INTO crm.tax_categories (id, code, name) VALUES (501, 'standard', 'VAT'), (502, 'reduced', 'VAT reduced'), (503, 'old', 'Abolished');
INSERT INTO crm.tax_rates (tax_category_id, percent, valid_from, valid_until) VALUES
    (501, 16, '2020-07-01', '2020-12-31'), (501, 19, '2007-01-01', 'infinity'), (502, 7, '-infinity', 'infinity'), (503, 10, '2000-01-01', '2019-12-31');
-- the rate of the day; of two the one that begins later; a day without one is an error
SELECT crm.tax_percent_on('standard', '2020-06-30') AS june, crm.tax_percent_on('standard', '2020-08-01') AS august, crm.tax_percent_on('standard', '2021-01-01') AS january;
SELECT crm.tax_percent_on('old', '2020-01-01');
SELECT crm.tax_percent_on('new', '2020-01-01');

INSERT INTO crm.products (id, code, name, family, list_price, cost, tax_category_id) VALUES
    (501, 'pump', 'Pump', 'machines', 100, 60, 501), (502, 'book', 'Manual', 'paper', 10, 4, 502), (503, 'relic', 'Relic', 'paper', 5, 1, 503);
INSERT INTO crm.accounts (id, name, tags, city) VALUES (501, 'Gold & Co', '{gold}', 'Bonn'), (502, 'Plain Ltd', '{}', NULL), (503, 'Own Ltd', '{gold}', NULL), (504, 'Seg Ltd', '{}', NULL);

-- ---- which book prices a line ----
SELECT id AS seg FROM crm.define_segment('{"name": "fine", "subject_table": "accounts", "kind": "static"}') \gset
SELECT crm.add_to_segment('fine', '{504}') AS added;
INSERT INTO crm.price_books (id, name, currency, valid_from, valid_until, account_id, segment_id, condition, priority, includes_tax) VALUES
    (501, 'Everybody', 'EUR', '2026-01-01', '2026-12-31', NULL, NULL, NULL, 0, false),
    (502, 'Gold', 'EUR', '-infinity', 'infinity', NULL, NULL, '$.tags[*] == "gold"', 0, false),
    (503, 'Own', 'EUR', '-infinity', 'infinity', 503, NULL, NULL, 0, true),
    (504, 'Segment', 'EUR', '-infinity', 'infinity', NULL, :seg, NULL, 0, false);
INSERT INTO crm.prices (price_book_id, product_id, min_quantity, price) VALUES
    (501, 501, 1, 95), (501, 501, 10, 90), (502, 501, 1, 80), (503, 501, 1, 70), (504, 501, 1, 75);
SELECT a.name, crm.line_price(501, 'EUR', NULL, 1, '2026-06-01', a.id) AS one, crm.line_price(501, 'EUR', NULL, 10, '2026-06-01', a.id) AS ten,
       crm.line_price(501, 'EUR', NULL, 1, '2027-06-01', a.id) AS next_year, crm.line_price(502, 'EUR', NULL, 1, '2026-06-01', a.id) AS manual
FROM crm.accounts AS a WHERE a.id BETWEEN 501 AND 504 ORDER BY a.id;
-- two that are equally near: none, until one comes first
INSERT INTO crm.price_books (id, name, currency, condition) VALUES (505, 'Gold again', 'EUR', '$.tags[*] == "gold"');
INSERT INTO crm.prices (price_book_id, product_id, price) VALUES (505, 501, 79);
SELECT crm.line_price(501, 'EUR', NULL, 1, '2026-06-01', 501) AS list;
UPDATE crm.price_books SET priority = 1 WHERE id = 505;
SELECT crm.line_price(501, 'EUR', NULL, 1, '2026-06-01', 501) AS first;
UPDATE crm.price_books SET active = false WHERE id = 505;

-- ---- lines of deals and orders: the tax of the product, in the price or added; amounts are without it ----
INSERT INTO crm.opportunities (id, name, account_id, close_date) VALUES (501, 'Pumps for Own', 503, NULL), (502, 'Pumps for Gold', 501, NULL);
INSERT INTO crm.opportunity_lines (opportunity_id, product_id, quantity) VALUES (501, 501, 2);
SELECT l.unit_price, l.tax_percent, l.price_includes_tax, l.amount, o.amount AS deal FROM crm.opportunity_lines AS l JOIN crm.opportunities AS o ON o.id = l.opportunity_id;
INSERT INTO crm.orders (id, account_id, ordered_at) VALUES (501, 501, '2020-08-01 12:00Z'), (502, 502, '2021-08-01 12:00Z');
INSERT INTO crm.order_lines (order_id, product_id, quantity) VALUES (501, 501, 1), (502, 501, 1);
SELECT l.order_id, l.unit_price, l.tax_percent, l.amount, l.margin FROM crm.order_lines AS l ORDER BY 1;
INSERT INTO crm.order_lines (order_id, product_id) VALUES (502, 503);
-- a line that is given another product takes its tax
UPDATE crm.order_lines SET product_id = 502, unit_price = NULL WHERE order_id = 502;
SELECT l.unit_price, l.tax_percent FROM crm.order_lines AS l WHERE order_id = 502;

-- ---- a quote of a deal ----
SET LOCAL crm.tenant = '1';
INSERT INTO crm.document_rules (document, days) VALUES ('quotes', 30), ('invoices', 14);
SELECT q.number, q.revision, q.subject, q.currency, q.valid_until - q.issued_on AS days, q.net_amount, q.tax_amount, q.total_amount
FROM crm.quote_opportunity(501, '{"issued_on": "2026-01-01"}') AS q;
SELECT id AS q1 FROM crm.quotes WHERE opportunity_id = 501 \gset
INSERT INTO crm.quote_lines (quote_id, product_id, quantity, position) VALUES (:q1, 502, 3, 5);
SELECT l.position, l.unit_price, l.price_includes_tax AS inclusive, l.net_amount, l.tax_amount, l.gross_amount FROM crm.quote_lines AS l WHERE l.quote_id = :q1 ORDER BY 1;
-- an amount written by hand is computed again
UPDATE crm.quote_lines SET net_amount = 1 WHERE quote_id = :q1;
UPDATE crm.quotes SET total_amount = 1 WHERE id = :q1;
SELECT net_amount, tax_amount, total_amount FROM crm.quotes WHERE id = :q1;
UPDATE crm.quotes SET currency = 'USD' WHERE id = :q1;
UPDATE crm.quotes SET rounding = 'document' WHERE id = :q1;

-- ---- discounts over the limit ----
INSERT INTO crm.discount_limits (access, product_family, max_percent) VALUES ('admin', NULL, 20), ('admin', 'paper', 50);
UPDATE crm.quote_lines SET discount_percent = 20 WHERE quote_id = :q1;
SELECT over_limit FROM crm.quotes WHERE id = :q1;
UPDATE crm.quote_lines SET discount_percent = 25 WHERE quote_id = :q1;
SELECT l.product_id, l.over_limit FROM crm.quote_lines AS l WHERE l.quote_id = :q1 ORDER BY 1;
SELECT over_limit FROM crm.quotes WHERE id = :q1;
-- a low price is a discount by another name
UPDATE crm.quote_lines SET discount_percent = 0, unit_price = unit_price / 2 WHERE quote_id = :q1 AND product_id = 501;
SELECT over_limit FROM crm.quotes WHERE id = :q1;
SELECT stage_id IS NOT NULL FROM crm.move_row(NULL::crm.quotes, :q1, 'sent');
SELECT stage_id IS NOT NULL FROM crm.move_row(NULL::crm.quotes, :q1, 'approved');
SELECT state FROM crm.request_approval('quotes', :q1, 'approved', 'half price');
-- an order refuses it
INSERT INTO crm.order_lines (order_id, product_id, discount_percent) VALUES (502, 501, 30);
DELETE FROM crm.approvals WHERE subject_table = 'quotes';
UPDATE crm.quote_lines SET unit_price = 70 WHERE quote_id = :q1 AND product_id = 501;
SELECT over_limit FROM crm.quotes WHERE id = :q1;

-- ---- sending, accepting ----
SELECT crm.make_quote_token(:q1) AS token \gset
SELECT crm.accept_quote(:'token', 'Ada');
SELECT q.stage_id IS NOT NULL AS sent FROM crm.move_row(NULL::crm.quotes, :q1, 'sent') AS q;
UPDATE crm.quote_lines SET quantity = 9 WHERE quote_id = :q1;
DELETE FROM crm.quote_lines WHERE quote_id = :q1;
INSERT INTO crm.quote_lines (quote_id, product_id) VALUES (:q1, 501);
SELECT crm.accept_quote(:'token', '');
SELECT crm.accept_quote('guessed', 'Ada');
-- after its last day it is refused, by every way
UPDATE crm.quotes SET issued_on = '2026-01-02' WHERE id = :q1;
SELECT crm.accept_quote(:'token', 'Ada', NULL, '2026-02-01 00:00Z');
SELECT crm.record_acceptance(:q1, 'Ada', 'letter', '2026-02-01 00:00Z');
SELECT crm.move('quotes', :q1, 'accepted', '{"accepted_at": "2026-02-01T00:00:00Z", "accepted_by": "Ada"}') ->> 'id' AS moved;
SELECT count(*) FROM crm.orders WHERE quote_id = :q1;
SELECT o.currency, o.account_id, o.opportunity_id, o.ordered_on, o.amount, o.number FROM crm.accept_quote(:'token', 'Ada King', '203.0.113.7', '2026-01-31 23:59Z') AS o;
SELECT l.product_id, l.quantity, l.unit_price, l.discount_percent, l.tax_percent, l.amount, l.quote_line_id IS NOT NULL AS linked
FROM crm.order_lines AS l JOIN crm.orders AS o ON o.id = l.order_id WHERE o.quote_id = :q1 ORDER BY 1;
-- the second click gives the same order
SELECT count(DISTINCT o.id) FROM (SELECT (crm.accept_quote(:'token', 'Ada King')).id UNION ALL SELECT (crm.record_acceptance(:q1, 'Eve')).id) AS o;
SELECT accepted_by, accepted_from, accepted_at FROM crm.quotes WHERE id = :q1;
SELECT crm.revise_quote(:q1);
SELECT crm.decline_quote(:'token');
SELECT e.kind FROM crm.events AS e WHERE e.subject_table = 'quotes' AND e.subject_id = :q1 AND e.kind IN ('quote.created', 'quote.accepted') ORDER BY 1;

-- ---- versions ----
SELECT id AS q2 FROM crm.quote_opportunity(502, '{"subject": "First try", "issued_on": "2026-01-05"}') \gset
INSERT INTO crm.quote_lines (quote_id, product_id, quantity) VALUES (:q2, 501, 1);
SELECT crm.move('quotes', :q2, 'sent') IS NOT NULL AS sent;
SELECT crm.make_quote_token(:q2) AS token2 \gset
SELECT id AS q3, revision, subject, total_amount FROM crm.revise_quote(:q2, '{"subject": "Second try", "issued_on": "2026-01-06", "valid_until": "infinity"}') \gset
SELECT a.number = b.number AS same_number, b.revision, b.subject, b.total_amount, s.code AS stage_before
FROM crm.quotes AS a JOIN crm.quotes AS b ON b.revises_quote_id = a.id JOIN crm.stages AS s ON s.id = a.stage_id WHERE a.id = :q2;
SELECT crm.accept_quote(:'token2', 'Ada');
SELECT crm.revise_quote(:q2);
SELECT crm.move('quotes', :q3, 'sent') IS NOT NULL AS sent;
SELECT crm.make_quote_token(:q3) AS token3 \gset
SELECT decline_note FROM crm.decline_quote(:'token3', 'too dear');
SELECT crm.accept_quote(:'token3', 'Ada');

-- ---- invoices ----
SELECT id AS o1 FROM crm.orders WHERE quote_id = :q1 \gset
SELECT id AS l1 FROM crm.order_lines WHERE order_id = :o1 AND product_id = 501 \gset
-- the whole order would be this; some of it first
SELECT total_amount FROM crm.quotes WHERE id = :q1;
SELECT i.kind, i.state, i.number, i.total_amount FROM crm.invoice_order(:o1, NULL, 'pro_forma') AS i;
SELECT id AS i1, total_amount FROM crm.invoice_order(:o1, jsonb_build_array(jsonb_build_object('order_line_id', :l1, 'quantity', 0.5))) \gset
SELECT crm.invoice_order(:o1, jsonb_build_array(jsonb_build_object('order_line_id', :l1, 'quantity', 1.6)));
SELECT crm.invoice_order(:o1, '[{"order_line_id": 1}]');
SELECT crm.invoice_order(:o1, '[{"line": 1}]');
SELECT i.state, i.number, i.issued_on, i.due_on, i.bill_to, i.total_amount FROM crm.post_invoice(:i1, '2026-02-02') AS i;
SELECT number FROM crm.post_invoice(:i1);
SELECT id AS i2 FROM crm.invoice_order(:o1) \gset
SELECT l.product_id, l.quantity, l.description, l.gross_amount FROM crm.invoice_lines AS l WHERE l.invoice_id = :i2 ORDER BY 1;
SELECT number, due_on FROM crm.post_invoice(:i2, '2026-02-03');
SELECT crm.invoice_order(:o1);
-- the parts make the whole
SELECT sum(total_amount) FROM crm.invoices WHERE order_id = :o1 AND kind = 'invoice';

-- ---- nobody changes what is posted ----
UPDATE crm.invoices SET total_amount = 1 WHERE id = :i1;
UPDATE crm.invoices SET due_on = '2030-01-01', terms = 'x' WHERE id = :i1;
UPDATE crm.invoices SET state = 'draft' WHERE id = :i1;
DELETE FROM crm.invoices WHERE id = :i1;
UPDATE crm.invoice_lines SET quantity = 1 WHERE invoice_id = :i1;
DELETE FROM crm.invoice_lines WHERE invoice_id = :i1;
INSERT INTO crm.invoices (id, account_id, issued_on) VALUES (50001, 503, '2026-02-04');
INSERT INTO crm.invoice_lines (invoice_id, product_id) VALUES (50001, 501);
UPDATE crm.invoices SET state = 'posted' WHERE id = 50001 RETURNING number;
COPY crm.invoice_lines (invoice_id, product_id, quantity) FROM STDIN;
50001	501	1
\.
SELECT crm.reverse_invoice(50001, 'only to be reversed') IS NULL AS failed;
INSERT INTO crm.invoice_lines (invoice_id, product_id) VALUES (:i1, 501);
TRUNCATE crm.invoices CASCADE;
TRUNCATE crm.invoice_lines CASCADE;
INSERT INTO crm.invoices (account_id, state, number, issued_on, due_on, posted_at) VALUES (501, 'posted', 'X', '2026-01-01', '2026-01-01', now());
-- who looks after it, and what the owner's own fields say, is no part of it
UPDATE crm.invoices SET owner_id = NULL, team_id = NULL WHERE id = :i1;

-- ---- payments ----
SELECT total_amount AS t1 FROM crm.invoices WHERE id = :i1 \gset
SELECT amount, currency, received_on FROM crm.record_payment(503, 20, 'EUR', '2026-02-10 12:00Z', 'transfer');
SELECT number, settled_amount, paid_at IS NOT NULL AS paid FROM crm.invoices WHERE id IN (:i1, :i2) ORDER BY id;
-- more than is open stands to the customer's credit
SELECT id AS p2 FROM crm.record_payment(503, 1000, 'EUR', '2026-02-11 12:00Z', 'transfer') \gset
SELECT number, settled_amount = total_amount AS all_of_it, paid_at IS NOT NULL AS paid FROM crm.invoices WHERE id IN (:i1, :i2) ORDER BY id;
SELECT 1000 - sum(a.source_amount) AS left_over FROM crm.payment_allocations AS a WHERE a.payment_id = :p2;
UPDATE crm.payments SET amount = 1 WHERE id = :p2;
DELETE FROM crm.payments WHERE id = :p2;
UPDATE crm.payment_allocations SET amount = 1;
DELETE FROM crm.payment_allocations;
TRUNCATE crm.payment_allocations;
\set VERBOSITY sqlstate
SELECT crm.record_payment(503, -5, 'EUR');
SELECT crm.record_payment(503, 5, 'XXQ');
\set VERBOSITY default
-- a cheque that bounced: the invoices are open again
SELECT amount, reason FROM crm.reverse_payment(:p2, 'bounced');
SELECT number, settled_amount, paid_at IS NOT NULL AS paid FROM crm.invoices WHERE id IN (:i1, :i2) ORDER BY id;
SELECT count(*) FROM crm.reverse_payment(:p2, 'bounced'), crm.payments AS p WHERE p.reverses_payment_id = :p2;
SELECT crm.allocate_payment(:p2, '[]');
INSERT INTO crm.payment_allocations (invoice_id, payment_id) VALUES (:i1, :p2);
-- another currency takes a rate of the day the money came
SELECT id AS p3 FROM crm.record_payment(503, 1000, 'USD', '2026-03-01 12:00Z', NULL, NULL, '[]') \gset
SELECT crm.allocate_payment(:p3, jsonb_build_array(jsonb_build_object('invoice_id', :i1)));
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('USD', 'EUR', '2026-02-15', 0.8);
SELECT amount, source_amount FROM crm.allocate_payment(:p3, jsonb_build_array(jsonb_build_object('invoice_id', :i1, 'amount', 8)));
SELECT crm.allocate_payment(:p3, jsonb_build_array(jsonb_build_object('invoice_id', :i1, 'amount', 100000)));
SELECT crm.allocate_payment(:p3, '{"invoice": 1}');
SELECT amount, source_amount FROM crm.reverse_allocation((SELECT max(id) FROM crm.payment_allocations));
\set VERBOSITY sqlstate
SELECT crm.reverse_allocation((SELECT max(id) FROM crm.payment_allocations));
\set VERBOSITY default

-- ---- credit notes, reversal ----
SELECT id AS c1 FROM crm.credit_invoice(:i2, 'one came broken') \gset
UPDATE crm.invoice_lines SET quantity = 1 WHERE invoice_id = :c1;
SELECT kind, number, total_amount, settled_amount FROM crm.post_invoice(:c1, '2026-02-20');
SELECT total_amount, settled_amount FROM crm.invoices WHERE id = :i2;
SELECT crm.reverse_invoice(:i2, 'wrong customer');
SELECT kind, number, total_amount = :t1 AS same FROM crm.reverse_invoice(:i1, 'wrong customer', '2026-02-21');
SELECT count(*) FROM crm.reverse_invoice(:i1, 'wrong customer'), crm.invoices AS i WHERE i.corrects_invoice_id = :i1;
SELECT i.kind, i.reverses, l.net_amount, l.tax_amount, l.gross_amount FROM crm.invoices AS i JOIN crm.invoice_lines AS l ON l.invoice_id = i.id
WHERE :i1 IN (i.id, i.corrects_invoice_id) ORDER BY 1, 2;
-- what was reversed can be invoiced again
SELECT id AS i3 FROM crm.invoice_order(:o1) \gset
SELECT l.product_id, l.quantity FROM crm.invoice_lines AS l WHERE l.invoice_id = :i3;
SELECT kind, total_amount FROM crm.reverse_invoice(:c1, 'it was not broken');
SELECT total_amount, settled_amount, reversed_at IS NOT NULL AS reversed FROM crm.invoices WHERE id IN (:i2, :c1) OR corrects_invoice_id = :c1 ORDER BY number;
SELECT e.kind, count(*) FROM crm.events AS e WHERE e.kind IN ('invoice.posted', 'invoice.paid', 'invoice.reversed', 'payment.created', 'payment.reversed') GROUP BY 1 ORDER BY 1;
ROLLBACK;
