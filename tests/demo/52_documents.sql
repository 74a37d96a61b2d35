\echo
\echo '== From quote to cash: an open deal is offered, accepted by its token, invoiced in two parts, paid late and in part'
SELECT o.id AS deal FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id
WHERE s.type = 'open' AND o.account_id IS NOT NULL ORDER BY o.amount DESC NULLS LAST, o.id LIMIT 1 \gset
INSERT INTO crm.letterheads (name, address, tax_number, bank) SELECT t.name, E'1 Market Square\nBristol', 'GB 123 456 789', 'DE00 1234 5678 9012 3456 00'
FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id() AND NOT EXISTS (SELECT FROM crm.letterheads AS h WHERE h.tenant_id = t.tenant_id);
INSERT INTO crm.tax_categories (code, name) VALUES ('standard', 'VAT') ON CONFLICT DO NOTHING;
INSERT INTO crm.tax_rates (tax_category_id, percent) SELECT c.id, 20 FROM crm.tax_categories AS c WHERE c.code = 'standard' AND NOT EXISTS (SELECT FROM crm.tax_rates AS r WHERE r.tax_category_id = c.id);
SELECT id AS quote FROM crm.quote_opportunity(:deal, jsonb_build_object('issued_on', crm.local_day(crm.tenant_id(), now()) - 60, 'valid_until', crm.local_day(crm.tenant_id(), now()) + 30)) \gset
INSERT INTO crm.quote_lines (quote_id, product_id, unit_price)
SELECT :quote, p.id, 500 FROM crm.products AS p WHERE NOT EXISTS (SELECT FROM crm.quote_lines AS l WHERE l.quote_id = :quote) ORDER BY p.id LIMIT 1;
UPDATE crm.quote_lines SET tax_category_id = (SELECT c.id FROM crm.tax_categories AS c WHERE c.code = 'standard'), quantity = greatest(quantity, 2), position = id WHERE quote_id = :quote;
SELECT crm.make_quote_token((crm.move('quotes', :quote, 'sent') ->> 'id')::bigint) AS token \gset
SELECT q.number, a.name AS customer, q.net_amount::numeric(20,2) AS net, q.tax_amount::numeric(20,2) AS tax, q.total_amount::numeric(20,2) AS total, q.currency
FROM crm.quotes AS q JOIN crm.accounts AS a ON a.id = q.account_id WHERE q.id = :quote;
SELECT o.id AS "order", o.account_id AS customer FROM crm.accept_quote(:'token', 'Ada King', '203.0.113.7', now() - interval '50 days') AS o \gset
SELECT i.id AS part FROM crm.invoice_order(:order, (SELECT jsonb_agg(jsonb_build_object('order_line_id', l.id, 'quantity', ceil(l.quantity / 2))) FROM crm.order_lines AS l WHERE l.order_id = :order)) AS i \gset
UPDATE crm.invoices SET due_on = crm.local_day(crm.tenant_id(), now()) - 31 WHERE id = :part;
SELECT count(crm.post_invoice(:part, crm.local_day(crm.tenant_id(), now()) - 45)) AS posted, round(max(i.total_amount) * 0.4) AS paid FROM crm.invoices AS i WHERE i.id = :part \gset
SELECT i.id AS rest FROM crm.invoice_order(:order) AS i \gset
SELECT count(crm.post_invoice(:rest)) AS posted, count(crm.record_payment(:customer, :paid, (SELECT currency::text FROM crm.invoices AS i WHERE i.id = :part), allocations => jsonb_build_array(jsonb_build_object('invoice_id', :part)))) AS paid_late \gset
INSERT INTO crm.dunning_levels (level, name, days, interest_percent, body) SELECT 1, 'Reminder', 10, 8, E'Dear {customer},\n{open} of {number} was due on {due}, {days} days ago.'
WHERE NOT EXISTS (SELECT FROM crm.dunning_levels);
SELECT crm.raise_dunning() > 0 AS reminded;
SELECT f.number, f.issued_on, f.due_on, f.total_amount::numeric(20,2) AS total, f.settled_amount::numeric(20,2) AS paid, f.open_amount::numeric(20,2) AS open, f.overdue_days, f.dunning_level
FROM crm_analytics.fact_invoices AS f WHERE f.order_id = :order ORDER BY f.number;
\echo '-- what the customers owe, by age'
SELECT r.currency, count(*) AS customers, sum(r.not_due)::numeric(20,2) AS not_due, sum(r.days_1_30)::numeric(20,2) AS days_1_30, sum(r.days_31_60)::numeric(20,2) AS days_31_60,
       sum(r.days_61_90 + r.over_90)::numeric(20,2) AS older, sum(r.open_amount)::numeric(20,2) AS open
FROM crm_analytics.receivables_ageing AS r GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 4;
SELECT d.id AS reminder FROM crm.dunnings AS d WHERE d.invoice_id = :part \gset
\pset format unaligned
\pset tuples_only on
\set file :out '/quote.html'
\o :file
SELECT crm.quote_page(:quote);
\set file :out '/invoice.html'
\o :file
SELECT crm.invoice_page(:part);
\set file :out '/invoice-fa.html'
\o :file
SELECT crm.invoice_page(:part, 'fa');
\set file :out '/reminder.html'
\o :file
SELECT crm.dunning_page(:reminder);
\set file :out '/statement.html'
\o :file
SELECT crm.statement_page(:customer);
\o
\pset tuples_only off
\pset format aligned
