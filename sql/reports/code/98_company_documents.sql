-- A generated company, 8: its documents of the last five months. Deals that came as far as a proposal were quoted, orders are invoiced when they leave, most
-- customers pay about when they should, some late, a few not at all, and those are reminded.

CREATE OR REPLACE FUNCTION crm_internal.demo_paper_rules(tenant crm.tenants, papers jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    tax bigint;
BEGIN
    -- products keep no tax: what is entered by hand later is taxed as whoever enters it says
    INSERT INTO crm.tax_categories AS c (tenant_id, code, name) VALUES (t, 'standard', papers ->> 'tax') RETURNING c.id INTO tax;
    INSERT INTO crm.tax_rates (tenant_id, tax_category_id, percent) VALUES (t, tax, (papers ->> 'percent')::numeric);
    INSERT INTO crm.document_rules (tenant_id, document, days) VALUES (t, 'quotes', 45), (t, 'invoices', 30);
    INSERT INTO crm.letterheads (tenant_id, name, address, tax_number, bank)
    VALUES (t, tenant.name, papers ->> 'address', papers ->> 'tax_number', papers ->> 'bank');
    INSERT INTO crm.dunning_levels (tenant_id, level, name, days, body)
    SELECT t, l.n, l.level ->> 0, (l.level ->> 1)::integer, l.level ->> 2 FROM jsonb_array_elements(papers -> 'levels') WITH ORDINALITY AS l (level, n);
END
$$;
COMMENT ON FUNCTION crm_internal.demo_paper_rules(crm.tenants, jsonb) IS
'Tax, days of payment, letterhead and levels of reminders of a generated company.';

CREATE OR REPLACE FUNCTION crm_internal.demo_quotes(seed bigint, until date, tenant crm.tenants, papers jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    since CONSTANT timestamptz := (until - 150)::timestamp AT TIME ZONE tenant.time_zone;
    p record;
BEGIN
    SELECT l.id, min(s.id) FILTER (WHERE s.is_initial) AS draft, min(s.id) FILTER (WHERE s.code = 'sent') AS sent,
           min(s.id) FILTER (WHERE s.type = 'won') AS won, min(s.id) FILTER (WHERE s.type = 'lost') AS lost INTO p
    FROM crm.pipelines AS l JOIN crm.stages AS s ON s.tenant_id = l.tenant_id AND s.pipeline_id = l.id AND s.active
    WHERE l.tenant_id = t AND l.subject_table = 'quotes' AND l.is_default GROUP BY l.id;
    -- the day a deal came to its proposal, or two days before it was won or lost without one
    CREATE TEMPORARY TABLE demo_quoted ON COMMIT DROP AS
    SELECT x.key, x.at, x.at + interval '20 minutes' AS sent_at, m.closed_at, m.opportunity_id, m.account_id, m.contact_id, m.owner_id, m.team_id, m.name,
           d.wins AND m.closed_at IS NOT NULL AS accepted, a.currency
    FROM (SELECT s.key, min(s.at) AS at FROM demo_steps AS s JOIN crm.stages AS g ON g.tenant_id = t AND g.id = s.stage_id
          WHERE g.code IN ('proposal', 'negotiation') GROUP BY s.key) AS x
    JOIN demo_made AS m ON m.key = x.key
    JOIN demo_deals AS d ON d.key = x.key
    JOIN demo_known AS a ON a.i = d.i
    WHERE x.at >= since AND (m.closed_at IS NULL OR m.closed_at > x.at + interval '30 minutes');
    INSERT INTO crm.quotes (tenant_id, account_id, contact_id, opportunity_id, subject, pipeline_id, stage_id, stage_entered_at, currency, issued_on,
                            valid_until, terms, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, q.account_id, q.contact_id, q.opportunity_id, q.name, p.id, p.draft, q.at, q.currency, (q.at AT TIME ZONE tenant.time_zone)::date,
           greatest((q.at AT TIME ZONE tenant.time_zone)::date + 45, (q.closed_at AT TIME ZONE tenant.time_zone)::date), papers ->> 'terms',
           q.owner_id, q.team_id, 'demo', 'quote-' || q.key, q.at
    FROM demo_quoted AS q ORDER BY q.at, q.key;
    INSERT INTO crm.quote_lines (tenant_id, quote_id, position, product_id, quantity, unit_price, unit_cost, discount_percent, tax_category_id,
                                 price_includes_tax)
    SELECT t, q.id, 1, l.product_id, l.quantity, l.price, l.cost, l.discount, c.id, false
    FROM crm.quotes AS q JOIN demo_lines AS l ON l.key = substr(q.source_id, 7)::bigint JOIN crm.tax_categories AS c ON c.tenant_id = t
    WHERE q.tenant_id = t AND q.source_system = 'demo';
    UPDATE crm.quotes AS q SET stage_id = p.sent, stage_entered_at = d.sent_at
    FROM demo_quoted AS d WHERE q.tenant_id = t AND q.source_system = 'demo' AND q.source_id = 'quote-' || d.key;
    UPDATE crm.quotes AS q
    SET stage_id = CASE WHEN d.accepted THEN p.won ELSE p.lost END, stage_entered_at = d.closed_at, closed_at = d.closed_at,
        accepted_at = CASE WHEN d.accepted THEN d.closed_at END, accepted_from = CASE WHEN d.accepted THEN papers ->> 'accepted_from' END,
        accepted_by = CASE WHEN d.accepted THEN coalesce(c.name, a.name) END,
        decline_note = CASE WHEN NOT d.accepted THEN crm_internal.demo_label(papers -> 'declined', crm_internal.demo_uniform(seed, 'declined', d.key)) END
    FROM demo_quoted AS d JOIN crm.accounts AS a ON a.tenant_id = t AND a.id = d.account_id
    LEFT JOIN crm.contacts AS c ON c.tenant_id = t AND c.id = d.contact_id
    WHERE q.tenant_id = t AND q.source_system = 'demo' AND q.source_id = 'quote-' || d.key AND d.closed_at IS NOT NULL;
    UPDATE crm.orders AS o SET quote_id = q.id FROM crm.quotes AS q
    WHERE o.tenant_id = t AND q.tenant_id = t AND q.source_system = 'demo' AND q.accepted_at IS NOT NULL AND o.opportunity_id = q.opportunity_id;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_quotes(bigint, date, crm.tenants, jsonb, date[]) IS
'Quotes of a generated company: of deals that came to a proposal within the last five months, accepted or declined as the deal was won or lost.';

CREATE OR REPLACE FUNCTION crm_internal.demo_invoices(seed bigint, until date, tenant crm.tenants, papers jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    methods CONSTANT double precision[] := crm_internal.demo_bounds(papers -> 'methods', 1);
BEGIN
    -- an order is invoiced when it leaves, one to four days later; how a customer pays is its own: early, on time, late or hardly at all
    CREATE TEMPORARY TABLE demo_billed ON COMMIT DROP AS
    SELECT o.id AS order_id, d.key, o.account_id, x.x, crm_internal.demo_at(x.x, days, tenant.time_zone) AS at, h.habit,
           CASE WHEN h.habit < 0.55 THEN 13 + 9 * crm_internal.demo_uniform(seed, 'pays', d.key)
                WHEN h.habit < 0.9 THEN 20 + 22 * crm_internal.demo_uniform(seed, 'pays', d.key)
                ELSE 40 + 60 * crm_internal.demo_uniform(seed, 'pays', d.key) END AS takes,
           CASE WHEN crm_internal.demo_uniform(seed, 'pays in part', d.key) < 0.06 THEN 0.5 ELSE 1 END::numeric AS part
    FROM demo_orders AS d
    JOIN crm.orders AS o ON o.tenant_id = t AND o.source_system = 'demo' AND o.source_id = d.source_id AND o.state <> 'cancelled'
    CROSS JOIN LATERAL (SELECT d.x + 1 + 3 * crm_internal.demo_uniform(seed, 'billed after', d.key) AS x) AS x
    CROSS JOIN LATERAL (SELECT crm_internal.demo_uniform(seed, 'habit', d.i) AS habit) AS h
    WHERE days[floor(d.x)::integer] >= until - 150 AND x.x < finish;
    INSERT INTO crm.invoices (tenant_id, account_id, contact_id, order_id, currency, issued_on, terms, owner_id, team_id, source_system, source_id, created_at)
    SELECT t, o.account_id, o.contact_id, o.id, o.currency, (b.at AT TIME ZONE tenant.time_zone)::date, papers ->> 'terms', o.owner_id, o.team_id, 'demo',
           'invoice-' || b.key, b.at
    FROM demo_billed AS b JOIN crm.orders AS o ON o.tenant_id = t AND o.id = b.order_id ORDER BY b.x, b.key;
    INSERT INTO crm.invoice_lines (tenant_id, invoice_id, order_line_id, position, product_id, quantity, unit_price, unit_cost, discount_percent,
                                   tax_category_id, price_includes_tax)
    SELECT t, i.id, l.id, row_number() OVER (PARTITION BY i.id ORDER BY l.id), l.product_id, l.quantity, l.unit_price, l.unit_cost, l.discount_percent, c.id,
           false
    FROM crm.invoices AS i JOIN crm.order_lines AS l ON l.tenant_id = t AND l.order_id = i.order_id JOIN crm.tax_categories AS c ON c.tenant_id = t
    WHERE i.tenant_id = t AND i.source_system = 'demo' ORDER BY i.id, l.id;
    UPDATE crm.invoices AS i SET state = 'posted', posted_at = b.at
    FROM (SELECT b.order_id, b.at FROM demo_billed AS b ORDER BY b.x, b.key) AS b
    WHERE i.tenant_id = t AND i.source_system = 'demo' AND i.order_id = b.order_id AND b.at < until::timestamp AT TIME ZONE tenant.time_zone;
    INSERT INTO crm.payments (tenant_id, account_id, received_at, amount, currency, method, reference, recorded_by, source_system, source_id, created_at)
    SELECT t, b.account_id, crm_internal.demo_at(b.x + b.takes, days, tenant.time_zone), round(i.total_amount * b.part, i.minor_units), i.currency,
           papers -> 'methods' -> width_bucket(crm_internal.demo_uniform(seed, 'method', b.key), methods) ->> 0, i.number, NULL, 'demo', 'payment-' || b.key,
           crm_internal.demo_at(b.x + b.takes, days, tenant.time_zone)
    FROM demo_billed AS b JOIN crm.invoices AS i ON i.tenant_id = t AND i.order_id = b.order_id AND i.state = 'posted' AND i.total_amount > 0
    WHERE b.x + b.takes < finish ORDER BY b.x + b.takes, b.key;
    INSERT INTO crm.payment_allocations (tenant_id, invoice_id, payment_id, allocated_at)
    SELECT t, i.id, p.id, p.received_at
    FROM crm.payments AS p JOIN crm.invoices AS i ON i.tenant_id = t AND i.number = p.reference
    WHERE p.tenant_id = t AND p.source_system = 'demo' ORDER BY p.received_at, p.id;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_invoices(bigint, date, crm.tenants, jsonb, date[]) IS
'Invoices of a generated company for what it sold in the last five months, and what was paid of them.';

CREATE OR REPLACE FUNCTION crm_internal.demo_papers_after(seed bigint, until date, tenant crm.tenants, papers jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
BEGIN
    -- what came back is credited
    INSERT INTO crm.invoices (tenant_id, kind, account_id, corrects_invoice_id, reason, currency, issued_on, source_system, source_id, created_at)
    SELECT t, 'credit_note', i.account_id, i.id, papers ->> 'credited', i.currency, r.ordered_on, 'demo', 'credit-' || r.id, r.ordered_at
    FROM crm.orders AS r JOIN crm.invoices AS i ON i.tenant_id = t AND i.order_id = r.returns_order_id AND i.state = 'posted' AND i.kind = 'invoice'
    WHERE r.tenant_id = t AND r.kind = 'return' AND r.source_system = 'demo' AND r.amount > 0 AND i.posted_at < r.ordered_at ORDER BY r.ordered_at, r.id;
    INSERT INTO crm.invoice_lines (tenant_id, invoice_id, description, unit_price, tax_percent, price_includes_tax)
    SELECT t, n.id, papers ->> 'returned', least(r.amount, i.net_amount), (papers ->> 'percent')::numeric, false
    FROM crm.invoices AS n JOIN crm.invoices AS i ON i.tenant_id = t AND i.id = n.corrects_invoice_id
    JOIN crm.orders AS r ON r.tenant_id = t AND r.id = substr(n.source_id, 8)::bigint
    WHERE n.tenant_id = t AND n.kind = 'credit_note' AND n.source_system = 'demo' ORDER BY n.id;
    UPDATE crm.invoices AS n SET state = 'posted', posted_at = n.created_at
    WHERE n.tenant_id = t AND n.kind = 'credit_note' AND n.source_system = 'demo' AND n.state = 'draft';
    -- reminders on the day they were due, of what was open then; their events are past, and nobody waits for them
    INSERT INTO crm.dunnings (tenant_id, invoice_id, level, name, raised_at, raised_on, overdue_days, open_amount, fee_amount, interest_amount, body)
    SELECT t, i.id, l.level, l.name, (i.due_on + l.days + time '08:00') AT TIME ZONE tenant.time_zone, i.due_on + l.days, l.days, o.open, 0, 0,
           crm_internal.dunning_text(l.body, i, tenant.language, i.due_on + l.days, o.open, 0, 0)
    FROM crm.invoices AS i
    JOIN crm.dunning_levels AS l ON l.tenant_id = t
    CROSS JOIN LATERAL (SELECT i.total_amount - coalesce(sum(a.amount), 0) AS open FROM crm.payment_allocations AS a
                        WHERE a.tenant_id = t AND a.invoice_id = i.id
                          AND a.allocated_at < (i.due_on + l.days + time '08:00') AT TIME ZONE tenant.time_zone) AS o
    WHERE i.tenant_id = t AND i.source_system = 'demo' AND i.kind = 'invoice' AND i.state = 'posted' AND i.due_on + l.days < until AND o.open > 0;
    UPDATE crm.invoices AS i SET dunning_level = n.level, dunned_at = n.at
    FROM (SELECT d.invoice_id, max(d.level) AS level, max(d.raised_at) AS at FROM crm.dunnings AS d WHERE d.tenant_id = t GROUP BY 1) AS n
    WHERE i.tenant_id = t AND i.id = n.invoice_id;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_papers_after(bigint, date, crm.tenants, jsonb) IS
'Credit notes for what came back to a generated company, and the reminders of what was not paid.';
