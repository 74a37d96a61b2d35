-- One customer as sales, service and marketing know it; what goes with converting a lead; the dashboard.
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL session_replication_role = replica;
INSERT INTO crm.users (id, name) VALUES (6201, 'Ann');
INSERT INTO crm.accounts (id, name, roles) VALUES (6201, 'One', '{customer}'), (6202, 'Two', '{customer}');
INSERT INTO crm.products (id, name, family) VALUES (6201, 'Lamp', 'Light'), (6202, 'Bulb', 'Light');
CREATE TEMP TABLE first AS SELECT p.subject_table, p.id AS pipeline, min(s.id) FILTER (WHERE s.type = 'open') AS opened, min(s.id) FILTER (WHERE s.type IN ('won', 'done')) AS success,
    min(s.id) FILTER (WHERE s.type IN ('lost', 'cancelled')) AS failure
FROM crm.pipelines AS p JOIN crm.stages AS s ON (s.tenant_id, s.pipeline_id) = (p.tenant_id, p.id) WHERE p.is_default GROUP BY 1, 2;
INSERT INTO crm.orders (id, number, account_id, kind, state, ordered_at, ordered_on, currency, amount, base_amount) VALUES
    (6201, 'A', 6201, 'sale', 'placed', '2024-01-05 12:00Z', '2024-01-05', 'EUR', 100, 110), (6202, 'B', 6201, 'return', 'placed', '2024-01-09 12:00Z', '2024-01-09', 'EUR', 40, -44),
    (6203, 'C', 6201, 'sale', 'cancelled', '2024-02-05 12:00Z', '2024-02-05', 'USD', 1000, 1000), (6204, 'D', 6202, 'sale', 'fulfilled', '2024-02-07 12:00Z', '2024-02-07', 'USD', 7, 7);
INSERT INTO crm.order_lines (order_id, product_id, quantity, unit_price, price_includes_tax) VALUES (6201, 6201, 3, 20, false), (6201, 6202, 1, 40, false), (6202, 6201, 2, 20, false), (6203, 6201, 50, 20, false), (6204, 6202, 1, 7, false);
INSERT INTO crm.tickets (id, subject, account_id, pipeline_id, stage_id, priority, created_at, resolved_at, closed_at, reopen_count, merged_into_id)
SELECT v.id, v.subject, 6201, f.pipeline, f.opened, (SELECT min(p.code) FROM crm.priorities AS p), v.made, v.solved, v.closed, v.reopened, v.merged
FROM first AS f, (VALUES (6201, 'broken', '2024-01-10 10:00Z'::timestamptz, '2024-01-10 16:00Z'::timestamptz, '2024-01-11 10:00Z'::timestamptz, 1, NULL::bigint),
                         (6202, 'again', '2024-01-12 10:00Z', NULL, NULL, 0, NULL), (6203, 'twice', '2024-01-12 11:00Z', NULL, '2024-01-12 12:00Z', 0, 6202)) AS v(id, subject, made, solved, closed, reopened, merged)
WHERE f.subject_table = 'tickets';
INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, is_public, body, sent_at) VALUES
    (6201, 'mail', 'in', 'customer', true, 'it is broken', '2024-01-10 10:00Z'), (6201, 'mail', 'out', 'agent', true, 'we are sorry', '2024-01-10 11:00Z'), (6201, 'mail', 'out', 'agent', false, 'second time', '2024-01-10 11:30Z');
INSERT INTO crm.contacts (id, name, account_id) VALUES (6201, 'Carla', 6201);
INSERT INTO crm.leads (id, name, pipeline_id, stage_id, source, created_at, closed_at, converted_at, account_id, contact_id)
SELECT 6201, 'Carla', f.pipeline, f.success, 'web', '2024-01-01 10:00Z', '2024-01-02 10:00Z', '2024-01-02 10:00Z', 6201, 6201 FROM first AS f WHERE f.subject_table = 'leads';
INSERT INTO crm.activities (kind, subject, account_id, owner_id, created_at, done_at) VALUES ('call', 'hello', 6201, 6201, '2024-01-03 10:00Z', '2024-01-03 10:00Z');

\echo == what happened, of all three
SELECT at, what, detail, title, note FROM crm_analytics.customer_timeline WHERE account_id = 6201 ORDER BY at, what, detail;
\echo == its sums: a return is taken off, a cancelled order and a merged ticket are left out
SELECT orders, round(revenue, 2) AS revenue, last_order_on, tickets, open_tickets, reopened_tickets, leads, converted_leads, activities FROM crm_analytics.customer_totals WHERE account_id = 6201;
SELECT d #>> '{sales,orders,orders}' AS orders, d #>> '{sales,orders,last,0,number}' AS last, d #> '{service,open}' AS open, d #> '{service,closed}' AS closed, d #> '{service,median_resolution_hours}' AS hours,
       jsonb_array_length(d #> '{service,tickets}') AS tickets, d #>> '{marketing,leads,0,source}' AS source, d #> '{marketing,segments}' AS segments FROM crm_analytics.customer_360(6201) AS d;
\echo == products: lines of orders at the rate of their order
SELECT product, orders, ordered_quantity, round(revenue, 2) AS revenue, won FROM crm_analytics.product_totals WHERE product_id IN (6201, 6202) ORDER BY 1;

\echo == leads: 8 of 10 from the web converted, 1 of 6 from the fair; a merged one and an open one do not count
DELETE FROM crm.leads WHERE id = 6201;
INSERT INTO crm.leads (id, name, pipeline_id, stage_id, source, created_at, closed_at, converted_at, contact_id, merged_into_id, first_response_at)
SELECT 6300 + row_number() OVER (), 'x', f.pipeline, CASE WHEN v.won THEN f.success WHEN v.closed THEN f.failure ELSE f.opened END, v.source, now() - interval '40 days', CASE WHEN v.closed THEN now() - interval '5 days' END,
       CASE WHEN v.won THEN now() - interval '5 days' END, CASE WHEN v.won THEN 6201 END, CASE WHEN v.merged THEN 6300 END, now() - interval '40 days' + interval '30 minutes'
FROM first AS f, (VALUES ('web', true, true, false, 8), ('web', false, true, false, 2), ('fair', true, true, false, 1), ('fair', false, true, false, 5), ('fair', false, true, true, 9), ('web', false, false, false, 3)) AS v(source, won, closed, merged, n),
     LATERAL generate_series(1, v.n)
WHERE f.subject_table = 'leads';
SELECT value, converted, disqualified, round(conversion, 4) AS conversion, round(lift, 4) AS lift, round(weight_of_evidence::numeric, 4) AS woe, round(information_value::numeric, 4) AS iv,
       round(p_value::numeric, 4) AS p, significant FROM crm_analytics.lead_factors WHERE attribute = 'lead.source' ORDER BY 1;
SELECT value, converted, disqualified FROM crm_analytics.lead_factors WHERE attribute = 'lead.first_response' ORDER BY 1;

\echo == the dashboard counts what it leaves out, of open and of closed deals
INSERT INTO crm.opportunities (id, name, pipeline_id, stage_id, amount, currency, close_date, closed_at)
SELECT 6201, 'no rate', f.pipeline, f.success, 5, 'JPY', current_date, now() FROM first AS f WHERE f.subject_table = 'opportunities'
UNION ALL SELECT 6202, 'no rate', f.pipeline, f.opened, 5, 'JPY', NULL, NULL FROM first AS f WHERE f.subject_table = 'opportunities';
SELECT metric, round(value, 4) AS value, unit FROM crm_analytics.dashboard WHERE tenant_id = 1 AND metric IN ('missing_rates', 'open_tickets', 'unassigned_tickets', 'new_leads_30_days', 'converted_leads_12_months', 'lead_conversion_12_months') ORDER BY 1;
SELECT length(crm_analytics.report_html('dashboard', language => l)) > 5000 AS page, strpos(crm_analytics.report_html('dashboard', language => l), crm.escape_html(crm_analytics.report_words(l) ->> 'lead_factors')) > 0 AS factors FROM unnest('{en,fa}'::text[]) AS l;
SELECT r.name, v.* FROM crm.rollups AS r, crm.verify_rollup(r.name) AS v WHERE r.name LIKE 'crm\_%';
ROLLBACK;
