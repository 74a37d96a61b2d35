\echo
\echo '== Subscriptions: a customer subscribes, takes more in the middle of a month and leaves; what was billed of it, and what comes in each month'
SELECT crm.local_day(crm.tenant_id(), now()) AS today \gset
SELECT a.id AS customer FROM crm.accounts AS a JOIN crm.orders AS o ON o.account_id = a.id GROUP BY a.id ORDER BY count(*) DESC, a.id LIMIT 1 \gset
SELECT p.id AS plan FROM crm.products AS p WHERE p.list_price > 0 ORDER BY p.id LIMIT 1 \gset
INSERT INTO crm.subscriptions (name, account_id, currency, starts_on, post_bills)
SELECT 'Plan by the month', :customer, t.base_currency, :'today'::date - 95, true FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id() RETURNING id AS subscription \gset
INSERT INTO crm.subscription_lines (subscription_id, product_id, quantity, unit_price) VALUES (:subscription, :plan, 4, 100) RETURNING id AS line \gset
SELECT crm.bill_subscriptions() >= 4 AS billed;
SELECT (crm.change_subscription(:subscription, jsonb_build_array(jsonb_build_object('line_id', :line, 'quantity', 6)), :'today'::date - 40)).name;
SELECT crm.bill_subscriptions() > 0 AS what_changed, crm.bill_subscriptions() AS again;
SELECT i.kind, l.description, l.quantity, l.unit_price, l.net_amount FROM crm.subscriptions AS s JOIN crm.invoices AS i ON i.account_id = s.account_id
JOIN crm.invoice_lines AS l ON l.invoice_id = i.id WHERE s.id = :subscription AND l.product_id = :plan AND l.description LIKE '% · %' AND i.created_at > now() - interval '1 hour' ORDER BY i.id, l.position;
SELECT (crm.cancel_subscription(:subscription, 'moved away', :'today'::date + 3)).ends_on - :'today'::date AS days_left;
SELECT crm.bill_subscriptions() > 0 AS credited;
\echo '-- what came in each month, this year so far'
SELECT w.movement, w.customers, round(w.amount) AS amount FROM crm.mrr_waterfall(now() - interval '180 days', now()) AS w;
SELECT to_char(w.month, 'YYYY-MM') AS month, round(w.opening) AS opening, round(w.new) AS new, round(w.reactivation) AS back, round(w.expansion) AS more, round(w.contraction) AS less,
       round(w.churn) AS left, round(w.closing) AS closing FROM crm_analytics.mrr_waterfall AS w ORDER BY w.month DESC LIMIT 6;
