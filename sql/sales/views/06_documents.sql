-- Quotes, invoices and payments as facts; what customers owe, now and at any instant. Row security is that of whoever asks.
--
-- One ledger (customer_ledger) and one list of open invoices (open_invoices) carry every figure: balance, statement, ageing, customer page and dashboard read
-- them, so they cannot differ. Whether something counts at an instant goes by when it was posted (invoices), when the money came (payments) and from when on
-- an allocation counts, which is never before both of its sides do.

CREATE OR REPLACE VIEW crm_analytics.fact_quotes WITH (security_invoker = true) AS
SELECT q.tenant_id, q.id AS quote_id, q.number, q.revision,
       CASE WHEN s.type IN ('open', 'on_hold') THEN 'open' WHEN s.type IN ('won', 'done') THEN 'won'
            WHEN s.type = 'lost' THEN 'lost' ELSE 'cancelled' END AS state,
       q.pipeline_id, g.name AS pipeline, q.stage_id, s.name AS stage,
       q.account_id, a.name AS account_name, q.contact_id, c.name AS contact, q.opportunity_id, d.name AS opportunity,
       q.owner_id, u.name AS owner, q.team_id, m.name AS team,
       q.issued_on, date_trunc('month', q.issued_on::timestamp)::date AS month, nullif(q.valid_until, 'infinity') AS valid_until,
       q.accepted_at, (q.accepted_at AT TIME ZONE t.time_zone)::date AS accepted_on,
       (q.accepted_at AT TIME ZONE t.time_zone)::date - q.issued_on AS acceptance_days,
       s.type IN ('open', 'on_hold') AND q.valid_until < (now() AT TIME ZONE t.time_zone)::date AS is_expired,
       NOT EXISTS (SELECT FROM crm.quotes AS n WHERE n.tenant_id = q.tenant_id AND n.revises_quote_id = q.id) AS is_latest,
       q.over_limit, q.net_amount, q.tax_amount, q.total_amount, q.currency, q.net_amount * r.rate AS base_net, r.rate IS NULL AS rate_missing
FROM crm.quotes AS q
JOIN crm.tenants AS t ON t.tenant_id = q.tenant_id
JOIN crm.stages AS s ON s.tenant_id = q.tenant_id AND s.id = q.stage_id
CROSS JOIN LATERAL (SELECT CASE WHEN q.currency = t.base_currency THEN 1
                                ELSE crm.exchange_rate_on(q.tenant_id, q.currency, t.base_currency, q.issued_on) END AS rate) AS r
LEFT JOIN crm.pipelines AS g ON g.tenant_id = q.tenant_id AND g.id = q.pipeline_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = q.tenant_id AND a.id = q.account_id
LEFT JOIN crm.contacts AS c ON c.tenant_id = q.tenant_id AND c.id = q.contact_id
LEFT JOIN crm.opportunities AS d ON d.tenant_id = q.tenant_id AND d.id = q.opportunity_id
LEFT JOIN crm.users AS u ON u.tenant_id = q.tenant_id AND u.id = q.owner_id
LEFT JOIN crm.teams AS m ON m.tenant_id = q.tenant_id AND m.id = q.team_id;
COMMENT ON VIEW crm_analytics.fact_quotes IS
'One row = one version of one quote. Count is_latest, so that a quote that was revised counts once. Base currency at the rate of its day.';
COMMENT ON COLUMN crm_analytics.fact_quotes.quote_id IS 'The version of the quote.';
COMMENT ON COLUMN crm_analytics.fact_quotes.number IS 'Number of the quote for people.';
COMMENT ON COLUMN crm_analytics.fact_quotes.revision IS 'Version, from 1.';
COMMENT ON COLUMN crm_analytics.fact_quotes.state IS 'open, won (accepted), lost (declined) or cancelled (replaced), by the type of the stage.';
COMMENT ON COLUMN crm_analytics.fact_quotes.opportunity_id IS 'Deal it is for; NULL: none.';
COMMENT ON COLUMN crm_analytics.fact_quotes.issued_on IS 'Day of the quote.';
COMMENT ON COLUMN crm_analytics.fact_quotes.month IS 'First day of the month of the quote.';
COMMENT ON COLUMN crm_analytics.fact_quotes.valid_until IS 'Last day on which it can be accepted; NULL: it has no end.';
COMMENT ON COLUMN crm_analytics.fact_quotes.accepted_at IS 'When it was accepted; NULL: it was not.';
COMMENT ON COLUMN crm_analytics.fact_quotes.accepted_on IS 'Its day in the tenant''s zone; NULL: it was not accepted.';
COMMENT ON COLUMN crm_analytics.fact_quotes.acceptance_days IS 'Days from its day to its acceptance; NULL: it was not accepted.';
COMMENT ON COLUMN crm_analytics.fact_quotes.is_expired IS 'Nobody decided on it, and its last day has passed.';
COMMENT ON COLUMN crm_analytics.fact_quotes.is_latest IS 'No version follows it.';
COMMENT ON COLUMN crm_analytics.fact_quotes.over_limit IS 'A line has more discount than whoever wrote it may give.';
COMMENT ON COLUMN crm_analytics.fact_quotes.net_amount IS 'Amount without tax, in currency.';
COMMENT ON COLUMN crm_analytics.fact_quotes.tax_amount IS 'Tax, in currency.';
COMMENT ON COLUMN crm_analytics.fact_quotes.total_amount IS 'What is to be paid, in currency.';
COMMENT ON COLUMN crm_analytics.fact_quotes.base_net IS 'Amount without tax in base currency; NULL: no rate is known.';
COMMENT ON COLUMN crm_analytics.fact_quotes.rate_missing IS 'No exchange rate is known for its day: base_net is NULL.';

CREATE OR REPLACE VIEW crm_analytics.fact_invoices WITH (security_invoker = true) AS
SELECT i.tenant_id, i.id AS invoice_id, i.number, i.kind, i.state,
       i.account_id, a.name AS account_name, i.contact_id, c.name AS contact, i.order_id, o.number AS order_number,
       i.corrects_invoice_id, x.number AS corrects_invoice_number,
       i.owner_id, u.name AS owner, i.team_id, m.name AS team,
       i.issued_on, date_trunc('month', i.issued_on::timestamp)::date AS month, i.due_on, i.posted_at,
       i.net_amount, i.tax_amount, i.total_amount, i.currency, r.rate,
       CASE WHEN i.state = 'posted' THEN CASE i.kind WHEN 'invoice' THEN i.net_amount WHEN 'credit_note' THEN - i.net_amount END * r.rate END AS revenue,
       CASE WHEN i.state = 'posted' THEN CASE i.kind WHEN 'invoice' THEN i.tax_amount WHEN 'credit_note' THEN - i.tax_amount END * r.rate END AS base_tax,
       i.state = 'posted' AND i.kind <> 'pro_forma' AND r.rate IS NULL AS rate_missing,
       i.settled_amount, p.open_amount, i.reversed_at,
       p.paid_on, p.paid_on - i.issued_on AS payment_days, p.paid_on - i.due_on AS days_late,
       CASE WHEN p.open_amount > 0 THEN greatest((now() AT TIME ZONE t.time_zone)::date - i.due_on, 0) END AS overdue_days,
       i.dunning_level
FROM crm.invoices AS i
JOIN crm.tenants AS t ON t.tenant_id = i.tenant_id
CROSS JOIN LATERAL (SELECT CASE WHEN i.currency = t.base_currency THEN 1
                                ELSE crm.exchange_rate_on(i.tenant_id, i.currency, t.base_currency, i.issued_on) END AS rate) AS r
CROSS JOIN LATERAL (SELECT CASE WHEN i.state = 'posted' AND i.kind = 'invoice' THEN i.total_amount - i.settled_amount ELSE 0 END AS open_amount,
                           CASE WHEN i.kind = 'invoice' THEN (i.paid_at AT TIME ZONE t.time_zone)::date END AS paid_on) AS p
LEFT JOIN crm.accounts AS a ON a.tenant_id = i.tenant_id AND a.id = i.account_id
LEFT JOIN crm.contacts AS c ON c.tenant_id = i.tenant_id AND c.id = i.contact_id
LEFT JOIN crm.orders AS o ON o.tenant_id = i.tenant_id AND o.id = i.order_id
LEFT JOIN crm.invoices AS x ON x.tenant_id = i.tenant_id AND x.id = i.corrects_invoice_id
LEFT JOIN crm.users AS u ON u.tenant_id = i.tenant_id AND u.id = i.owner_id
LEFT JOIN crm.teams AS m ON m.tenant_id = i.tenant_id AND m.id = i.team_id;
COMMENT ON VIEW crm_analytics.fact_invoices IS
'One row = one invoice, credit note or pro forma. The sum of revenue is what was invoiced, credit notes taken off; drafts and pro formas have none. Base '
'currency at the rate of the day of the document.';
COMMENT ON COLUMN crm_analytics.fact_invoices.invoice_id IS 'The document.';
COMMENT ON COLUMN crm_analytics.fact_invoices.number IS 'Number of the document for people; NULL: a draft without one.';
COMMENT ON COLUMN crm_analytics.fact_invoices.kind IS 'invoice, credit_note or pro_forma.';
COMMENT ON COLUMN crm_analytics.fact_invoices.state IS 'draft or posted.';
COMMENT ON COLUMN crm_analytics.fact_invoices.order_id IS 'Order it is for; NULL: none.';
COMMENT ON COLUMN crm_analytics.fact_invoices.order_number IS 'Number of that order.';
COMMENT ON COLUMN crm_analytics.fact_invoices.corrects_invoice_id IS 'Document it corrects; NULL: none.';
COMMENT ON COLUMN crm_analytics.fact_invoices.corrects_invoice_number IS 'Number of that document.';
COMMENT ON COLUMN crm_analytics.fact_invoices.issued_on IS 'Day of the document; NULL: a draft without one.';
COMMENT ON COLUMN crm_analytics.fact_invoices.month IS 'First day of the month of the document.';
COMMENT ON COLUMN crm_analytics.fact_invoices.due_on IS 'Day on which it is to be paid at the latest.';
COMMENT ON COLUMN crm_analytics.fact_invoices.posted_at IS 'Instant from which it counts; NULL: a draft.';
COMMENT ON COLUMN crm_analytics.fact_invoices.net_amount IS 'Amount without tax, in currency; of credit notes too above zero.';
COMMENT ON COLUMN crm_analytics.fact_invoices.tax_amount IS 'Tax, in currency.';
COMMENT ON COLUMN crm_analytics.fact_invoices.total_amount IS 'What is to be paid or given back, in currency.';
COMMENT ON COLUMN crm_analytics.fact_invoices.rate IS 'Base currency for one unit of currency on the day of the document; NULL: not known.';
COMMENT ON COLUMN crm_analytics.fact_invoices.revenue IS
'Amount without tax in base currency, below zero for a credit note; NULL: a draft, a pro forma, or no rate is known.';
COMMENT ON COLUMN crm_analytics.fact_invoices.base_tax IS 'Tax in base currency, below zero for a credit note; NULL as for revenue.';
COMMENT ON COLUMN crm_analytics.fact_invoices.rate_missing IS 'It counts, and no exchange rate is known for its day: revenue is NULL.';
COMMENT ON COLUMN crm_analytics.fact_invoices.settled_amount IS 'What of it has been paid or credited; of a credit note what of it has been used.';
COMMENT ON COLUMN crm_analytics.fact_invoices.open_amount IS 'What of an invoice is to be paid yet, in currency; 0 for all else.';
COMMENT ON COLUMN crm_analytics.fact_invoices.reversed_at IS 'When it was taken back as a whole; NULL: it was not.';
COMMENT ON COLUMN crm_analytics.fact_invoices.paid_on IS 'Day on which the last of it was settled; NULL: something is open.';
COMMENT ON COLUMN crm_analytics.fact_invoices.payment_days IS 'Days from its day to that day.';
COMMENT ON COLUMN crm_analytics.fact_invoices.days_late IS 'Days from its due day to that day; below zero: it was paid early.';
COMMENT ON COLUMN crm_analytics.fact_invoices.overdue_days IS 'Days since its due day, 0 before it; NULL: nothing is open.';
COMMENT ON COLUMN crm_analytics.fact_invoices.dunning_level IS 'Last level of dunning that was raised; 0: none.';

CREATE OR REPLACE VIEW crm_analytics.fact_payments WITH (security_invoker = true) AS
SELECT p.tenant_id, p.id AS payment_id, p.number, p.account_id, a.name AS account_name, p.received_at, p.received_on,
       date_trunc('month', p.received_on::timestamp)::date AS month, p.amount, p.currency, p.amount * r.rate AS base_amount, r.rate IS NULL AS rate_missing,
       x.allocated AS allocated_amount,
       CASE WHEN p.reverses_payment_id IS NULL AND p.reversed_at IS NULL THEN p.amount - x.allocated ELSE 0 END AS unused_amount,
       p.method, p.reverses_payment_id IS NOT NULL AS is_reversal, p.reversed_at
FROM crm.payments AS p
JOIN crm.tenants AS t ON t.tenant_id = p.tenant_id
CROSS JOIN LATERAL (SELECT CASE WHEN p.currency = t.base_currency THEN 1
                                ELSE crm.exchange_rate_on(p.tenant_id, p.currency, t.base_currency, p.received_on) END AS rate) AS r
CROSS JOIN LATERAL (SELECT coalesce(sum(l.source_amount), 0) AS allocated FROM crm.payment_allocations AS l
                    WHERE l.tenant_id = p.tenant_id AND l.payment_id = p.id) AS x
LEFT JOIN crm.accounts AS a ON a.tenant_id = p.tenant_id AND a.id = p.account_id;
COMMENT ON VIEW crm_analytics.fact_payments IS
'One row = one payment; one that takes another back is below zero, so that sums are what came in. Base currency at the rate of its day.';
COMMENT ON COLUMN crm_analytics.fact_payments.payment_id IS 'The payment.';
COMMENT ON COLUMN crm_analytics.fact_payments.number IS 'Number of the payment for people.';
COMMENT ON COLUMN crm_analytics.fact_payments.received_at IS 'When the money came.';
COMMENT ON COLUMN crm_analytics.fact_payments.received_on IS 'Its day in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_payments.month IS 'First day of the month of the payment.';
COMMENT ON COLUMN crm_analytics.fact_payments.amount IS 'What was paid, in currency.';
COMMENT ON COLUMN crm_analytics.fact_payments.base_amount IS 'What was paid, in base currency; NULL: no rate is known.';
COMMENT ON COLUMN crm_analytics.fact_payments.rate_missing IS 'No exchange rate is known for its day: base_amount is NULL.';
COMMENT ON COLUMN crm_analytics.fact_payments.allocated_amount IS 'What of it invoices were paid with, in currency.';
COMMENT ON COLUMN crm_analytics.fact_payments.unused_amount IS 'What of it stands to the credit of the customer, in currency; 0 where it was taken back.';
COMMENT ON COLUMN crm_analytics.fact_payments.method IS 'How it was paid.';
COMMENT ON COLUMN crm_analytics.fact_payments.is_reversal IS 'It takes another payment back.';
COMMENT ON COLUMN crm_analytics.fact_payments.reversed_at IS 'When it was taken back; NULL: it was not.';

-- ---- the ledger ----

CREATE OR REPLACE VIEW crm_analytics.fact_payment_allocations WITH (security_invoker = true) AS
SELECT l.tenant_id, l.id AS allocation_id, coalesce(p.number, n.number) AS number, l.invoice_id, i.number AS invoice_number,
       l.payment_id, p.number AS payment_number, l.credit_note_id, n.number AS credit_note_number, i.account_id, a.name AS account_name,
       i.currency, l.amount, coalesce(p.currency, n.currency) AS source_currency, l.source_amount,
       greatest(l.allocated_at, i.posted_at, p.received_at, n.posted_at) AS at
FROM crm.payment_allocations AS l
JOIN crm.invoices AS i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
LEFT JOIN crm.payments AS p ON p.tenant_id = l.tenant_id AND p.id = l.payment_id
LEFT JOIN crm.invoices AS n ON n.tenant_id = l.tenant_id AND n.id = l.credit_note_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = i.tenant_id AND a.id = i.account_id;
COMMENT ON VIEW crm_analytics.fact_payment_allocations IS
'One row = one allocation of a payment or a credit note to an invoice, with the instant from which it counts: not before both of them do.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.allocation_id IS 'The allocation.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.number IS 'Number of the payment or the credit note.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.invoice_id IS 'The invoice that is paid.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.invoice_number IS 'Number of the invoice.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.payment_id IS 'Payment it is paid with; NULL: a credit note.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.payment_number IS 'Number of that payment.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.credit_note_id IS 'Credit note it is settled with; NULL: a payment.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.credit_note_number IS 'Number of that credit note.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.amount IS 'How much of the invoice, in its currency; below zero: taken back.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.source_currency IS 'Currency of the payment or the credit note.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.source_amount IS 'How much of the payment or the credit note, in its currency.';
COMMENT ON COLUMN crm_analytics.fact_payment_allocations.at IS 'From when on it counts.';

CREATE OR REPLACE VIEW crm_analytics.customer_ledger WITH (security_invoker = true) AS
SELECT i.tenant_id, i.account_id, i.posted_at AS at, i.issued_on AS day, i.kind, i.number, i.due_on,
       i.currency, CASE i.kind WHEN 'invoice' THEN i.total_amount ELSE - i.total_amount END AS amount, 'invoices' AS source_table, i.id AS source_id
FROM crm.invoices AS i WHERE i.state = 'posted' AND i.kind <> 'pro_forma'
UNION ALL
SELECT p.tenant_id, p.account_id, p.received_at, p.received_on, CASE WHEN p.amount < 0 THEN 'payment_reversed' ELSE 'payment' END, p.number, NULL,
       p.currency, - p.amount, 'payments', p.id
FROM crm.payments AS p
UNION ALL
-- money of one currency that pays an invoice of another leaves the one and comes to the other
SELECT e.tenant_id, e.account_id, e.at, (e.at AT TIME ZONE t.time_zone)::date, 'exchange', x.number, NULL, x.currency, x.amount, 'payment_allocations',
       e.allocation_id
FROM crm_analytics.fact_payment_allocations AS e
JOIN crm.tenants AS t ON t.tenant_id = e.tenant_id
CROSS JOIN LATERAL (VALUES (e.invoice_number, e.currency, - e.amount), (e.number, e.source_currency, e.source_amount)) AS x (number, currency, amount)
WHERE e.currency <> e.source_currency;
COMMENT ON VIEW crm_analytics.customer_ledger IS
'One row = one entry in the account of one customer: what it was invoiced (above zero), credited or paid (below zero). The sum up to an instant is what it '
'owed then, in each currency.';
COMMENT ON COLUMN crm_analytics.customer_ledger.at IS 'From when on it counts: when it was posted, or the money came.';
COMMENT ON COLUMN crm_analytics.customer_ledger.day IS 'Day of the document or of the payment.';
COMMENT ON COLUMN crm_analytics.customer_ledger.kind IS
'invoice, credit_note, payment, payment_reversed, or exchange: money of one currency paid an invoice of another.';
COMMENT ON COLUMN crm_analytics.customer_ledger.number IS 'Number of the document or of the payment.';
COMMENT ON COLUMN crm_analytics.customer_ledger.due_on IS 'Day on which an invoice is to be paid; NULL: another kind.';
COMMENT ON COLUMN crm_analytics.customer_ledger.amount IS 'What the customer owes more for it, in currency; below zero: less.';
COMMENT ON COLUMN crm_analytics.customer_ledger.source_table IS 'invoices, payments or payment_allocations.';

CREATE OR REPLACE FUNCTION crm_analytics.open_invoices(as_of timestamptz DEFAULT now(), account_id bigint DEFAULT NULL)
RETURNS TABLE (tenant_id bigint, invoice_id bigint, number text, account_id_of bigint, currency text, issued_on date, due_on date, total_amount numeric,
               open_amount numeric, overdue_days integer, bucket text)
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
        SELECT i.tenant_id, i.id, i.number, i.account_id, i.currency::text, i.issued_on, i.due_on, i.total_amount, i.total_amount - s.settled, d.late,
               CASE WHEN d.late = 0 THEN 'not_due' WHEN d.late <= 30 THEN 'days_1_30' WHEN d.late <= 60 THEN 'days_31_60' WHEN d.late <= 90 THEN 'days_61_90'
                    ELSE 'over_90' END
        FROM crm.invoices AS i
        JOIN crm.tenants AS t ON t.tenant_id = i.tenant_id
        CROSS JOIN LATERAL (SELECT coalesce(sum(e.amount), 0) AS settled FROM crm_analytics.fact_payment_allocations AS e
                            WHERE e.tenant_id = i.tenant_id AND e.invoice_id = i.id AND e.at <= open_invoices.as_of) AS s
        CROSS JOIN LATERAL (SELECT greatest((open_invoices.as_of AT TIME ZONE t.time_zone)::date - i.due_on, 0) AS late) AS d
        WHERE i.state = 'posted' AND i.kind = 'invoice' AND i.posted_at <= open_invoices.as_of AND i.total_amount > s.settled
          AND (open_invoices.account_id IS NULL OR i.account_id = open_invoices.account_id)
          -- what was paid in full, and of which nothing was moved since, need not be summed up
          AND (i.paid_at IS NULL OR i.paid_at > open_invoices.as_of
               OR EXISTS (SELECT FROM crm_analytics.fact_payment_allocations AS e
                          WHERE e.tenant_id = i.tenant_id AND e.invoice_id = i.id AND e.at > open_invoices.as_of));
END
$$;
COMMENT ON FUNCTION crm_analytics.open_invoices(timestamptz, bigint) IS
'Invoices of which something was open at an instant, of all accounts or of one: what was open in the currency of the invoice, days overdue in the tenant''s '
'days (0: not yet) and the bucket of its age: not_due, days_1_30, days_31_60, days_61_90 or over_90.';

-- ---- what a customer owes ----

CREATE OR REPLACE FUNCTION crm.customer_balance(account_id bigint, as_of timestamptz DEFAULT now())
RETURNS TABLE (currency text, balance numeric, open_amount numeric, overdue_amount numeric, credit_amount numeric, base_currency text, base_balance numeric)
LANGUAGE plpgsql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    base text;
BEGIN
    IF NOT EXISTS (SELECT FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = customer_balance.account_id) THEN
        RAISE EXCEPTION 'account % does not exist, or is not visible to you', customer_balance.account_id USING ERRCODE = 'no_data_found';
    END IF;
    SELECT n.base_currency INTO base FROM crm.tenants AS n WHERE n.tenant_id = t;
    RETURN QUERY
        SELECT x.currency, x.balance, x.open, x.overdue, x.open - x.balance, base,
               CASE WHEN x.balance = 0 THEN 0
                    ELSE crm.round_money(crm.convert_currency(x.balance, x.currency, base, 'at_today', as_of => customer_balance.as_of, tenant_id => t),
                                         base) END
        FROM (SELECT l.currency::text AS currency, sum(l.amount) AS balance, coalesce(max(o.open), 0) AS open, coalesce(max(o.overdue), 0) AS overdue
              FROM crm_analytics.customer_ledger AS l
              LEFT JOIN (SELECT i.currency, sum(i.open_amount) AS open, sum(i.open_amount) FILTER (WHERE i.overdue_days > 0) AS overdue
                         FROM crm_analytics.open_invoices(customer_balance.as_of, customer_balance.account_id) AS i WHERE i.tenant_id = t GROUP BY 1) AS o
                ON o.currency = l.currency
              WHERE l.tenant_id = t AND l.account_id = customer_balance.account_id AND l.at <= customer_balance.as_of
              GROUP BY 1) AS x
        ORDER BY x.currency;
END
$$;
COMMENT ON FUNCTION crm.customer_balance(bigint, timestamptz) IS
'What a customer owed at an instant, a row for each currency it has had to do with: balance (below zero: it has credit), which is what was open of invoices '
'less credit_amount, what of payments and credit notes was not used; what was overdue on the tenant''s day; the balance in base currency at the rate of that '
'day. As far as the caller sees invoices. Errors: P0002 no such account, CR203 no rate, which names pair and day.';
SELECT crm.declare_api('crm.customer_balance', '{"account_id": 1}');

CREATE OR REPLACE FUNCTION crm.customer_statement(account_id bigint, from_day date DEFAULT NULL, until_day date DEFAULT NULL, currency text DEFAULT NULL)
RETURNS TABLE (entry bigint, entry_currency text, day date, kind text, number text, due_on date, debit numeric, credit numeric, balance numeric)
LANGUAGE plpgsql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    zone text;
    since timestamptz;
    until timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = customer_statement.account_id) THEN
        RAISE EXCEPTION 'account % does not exist, or is not visible to you', customer_statement.account_id USING ERRCODE = 'no_data_found';
    END IF;
    IF from_day > until_day THEN
        RAISE EXCEPTION 'the first day of a statement is not after its last' USING ERRCODE = 'invalid_parameter_value', HINT = 'Swap from_day and until_day.';
    END IF;
    SELECT n.time_zone INTO zone FROM crm.tenants AS n WHERE n.tenant_id = t;
    since := coalesce(from_day, '-infinity')::timestamp AT TIME ZONE zone;
    -- without an end: all that counts by now
    until := CASE WHEN until_day IS NULL THEN now() WHEN isfinite(until_day) THEN (until_day + 1)::timestamp AT TIME ZONE zone - interval '1 microsecond'
                  ELSE until_day::timestamptz END;
    RETURN QUERY
        WITH entries AS (
            SELECT l.currency::text AS cur, l.day, l.kind, l.number, l.due_on, l.amount, l.at, l.source_table, l.source_id
            FROM crm_analytics.customer_ledger AS l
            WHERE l.tenant_id = t AND l.account_id = customer_statement.account_id AND l.at <= until
              AND (customer_statement.currency IS NULL OR l.currency = upper(customer_statement.currency))
        ), shown AS (
            SELECT e.cur, e.day, e.kind, e.number, e.due_on, e.amount, e.at, e.source_table, e.source_id FROM entries AS e WHERE e.at >= since
            UNION ALL
            SELECT e.cur, customer_statement.from_day, 'opening', NULL, NULL, sum(e.amount), '-infinity', '', 0
            FROM entries AS e WHERE from_day IS NOT NULL AND e.at < since GROUP BY 1
        )
        SELECT row_number() OVER w, s.cur, s.day, s.kind, s.number, s.due_on, CASE WHEN s.amount > 0 THEN s.amount ELSE 0 END,
               CASE WHEN s.amount < 0 THEN - s.amount ELSE 0 END, sum(s.amount) OVER (PARTITION BY s.cur ORDER BY s.at, s.source_table, s.source_id)
        FROM shown AS s WINDOW w AS (ORDER BY s.cur, s.at, s.source_table, s.source_id)
        ORDER BY 1;
END
$$;
COMMENT ON FUNCTION crm.customer_statement(bigint, date, date, text) IS
'Statement of account of a customer: what it owed before from_day (kind opening), each entry from then to the end of until_day (NULL: till now), in the order '
'in which they count, and what it owed after each (balance), currency by currency. The last balance is that of crm.customer_balance() at that instant. Errors: '
'P0002 no such account, 22023 days the wrong way round.';
SELECT crm.declare_api('crm.customer_statement', '{"account_id": 1, "from_day": "2026-01-01", "until_day": "2026-03-31"}');

-- ---- ageing ----

CREATE OR REPLACE FUNCTION crm_analytics.receivables_ageing_at(as_of timestamptz)
RETURNS TABLE (tenant_id bigint, account_id bigint, account_name text, currency text, not_due numeric, days_1_30 numeric, days_31_60 numeric,
               days_61_90 numeric, over_90 numeric, open_amount numeric, credit_amount numeric, balance numeric, oldest_due_on date, base_balance numeric,
               rate_missing boolean)
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
        WITH ledger AS (
            SELECT l.tenant_id, l.account_id, l.currency::text AS currency, sum(l.amount) AS balance
            FROM crm_analytics.customer_ledger AS l WHERE l.at <= receivables_ageing_at.as_of GROUP BY 1, 2, 3
        ), open AS (
            SELECT o.tenant_id, o.account_id_of AS account_id, o.currency, sum(o.open_amount) AS amount, min(o.due_on) AS oldest,
                   coalesce(sum(o.open_amount) FILTER (WHERE o.bucket = 'not_due'), 0) AS b0,
                   coalesce(sum(o.open_amount) FILTER (WHERE o.bucket = 'days_1_30'), 0) AS b1,
                   coalesce(sum(o.open_amount) FILTER (WHERE o.bucket = 'days_31_60'), 0) AS b2,
                   coalesce(sum(o.open_amount) FILTER (WHERE o.bucket = 'days_61_90'), 0) AS b3,
                   coalesce(sum(o.open_amount) FILTER (WHERE o.bucket = 'over_90'), 0) AS b4
            FROM crm_analytics.open_invoices(receivables_ageing_at.as_of) AS o GROUP BY 1, 2, 3
        )
        SELECT l.tenant_id, l.account_id, a.name, l.currency, coalesce(o.b0, 0), coalesce(o.b1, 0), coalesce(o.b2, 0), coalesce(o.b3, 0), coalesce(o.b4, 0),
               coalesce(o.amount, 0), coalesce(o.amount, 0) - l.balance, l.balance, o.oldest, l.balance * r.rate, r.rate IS NULL
        FROM ledger AS l
        JOIN crm.tenants AS t ON t.tenant_id = l.tenant_id
        CROSS JOIN LATERAL (SELECT CASE WHEN l.currency = t.base_currency THEN 1 ELSE crm.exchange_rate_on(l.tenant_id, l.currency::character(3),
                                        t.base_currency, crm.local_day(l.tenant_id, receivables_ageing_at.as_of)) END AS rate) AS r
        LEFT JOIN open AS o ON o.tenant_id = l.tenant_id AND o.account_id = l.account_id AND o.currency = l.currency
        LEFT JOIN crm.accounts AS a ON a.tenant_id = l.tenant_id AND a.id = l.account_id
        WHERE l.balance <> 0 OR o.amount <> 0;
END
$$;
COMMENT ON FUNCTION crm_analytics.receivables_ageing_at(timestamptz) IS
'What crm_analytics.receivables_ageing showed at an instant: what counts since is left out, and invoices are as overdue as they were on the tenant''s day.';

CREATE OR REPLACE VIEW crm_analytics.receivables_ageing WITH (security_invoker = true) AS
SELECT r.tenant_id, r.account_id, r.account_name, r.currency, r.not_due, r.days_1_30, r.days_31_60, r.days_61_90, r.over_90, r.open_amount, r.credit_amount,
       r.balance, r.oldest_due_on, r.base_balance, r.rate_missing
FROM crm_analytics.receivables_ageing_at(now()) AS r;
COMMENT ON VIEW crm_analytics.receivables_ageing IS
'One row = one account and one currency in which it owes or has credit: what is open of its invoices by days overdue in the tenant''s days, what of its '
'payments and credit notes is unused, and the balance of the two.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.not_due IS 'Open and not due yet, or due today, in currency.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.days_1_30 IS 'Overdue by 1 to 30 days.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.days_31_60 IS 'Overdue by 31 to 60 days.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.days_61_90 IS 'Overdue by 61 to 90 days.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.over_90 IS 'Overdue by more than 90 days.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.open_amount IS 'Open of all invoices, in currency.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.credit_amount IS 'Payments and credit notes that no invoice used, in currency.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.balance IS 'What the customer owes, in currency; below zero: it has credit.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.oldest_due_on IS 'Due day of the oldest open invoice; NULL: none is open.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.base_balance IS 'The balance in base currency at the rate of the day; NULL: none is known.';
COMMENT ON COLUMN crm_analytics.receivables_ageing.rate_missing IS 'No exchange rate is known: base_balance is NULL.';

CREATE OR REPLACE VIEW crm_analytics.customer_receivables WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS account_id, a.name AS account_name, t.base_currency, b.balance AS open_balance, o.open_invoices, o.overdue_invoices,
       o.overdue_amount, o.oldest_due_on, p.paid_invoices, p.mean_payment_days, p.mean_days_late, o.dunning_level, o.disputed_invoices, h.broken_promises,
       b.missing_rates + o.missing_rates AS missing_rates
FROM crm.accounts AS a
JOIN crm.tenants AS t ON t.tenant_id = a.tenant_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(x.amount * r.rate), 0) AS balance, count(*) FILTER (WHERE r.rate IS NULL) AS missing_rates
    FROM (SELECT l.currency, sum(l.amount) AS amount FROM crm_analytics.customer_ledger AS l
          WHERE l.tenant_id = a.tenant_id AND l.account_id = a.id AND l.at <= now() GROUP BY 1 HAVING sum(l.amount) <> 0) AS x
    CROSS JOIN LATERAL (SELECT CASE WHEN x.currency = t.base_currency THEN 1
                                    ELSE crm.exchange_rate_on(a.tenant_id, x.currency, t.base_currency,
                                                              (now() AT TIME ZONE t.time_zone)::date) END AS rate) AS r
) AS b
CROSS JOIN LATERAL (
    SELECT count(*) AS open_invoices, count(*) FILTER (WHERE i.due_on < d.day) AS overdue_invoices,
           coalesce(sum((i.total_amount - i.settled_amount) * r.rate) FILTER (WHERE i.due_on < d.day), 0) AS overdue_amount,
           min(i.due_on) AS oldest_due_on, coalesce(max(i.dunning_level), 0) AS dunning_level,
           count(*) FILTER (WHERE EXISTS (SELECT FROM crm.dunning_holds AS h WHERE h.tenant_id = i.tenant_id AND h.invoice_id = i.id AND h.kind = 'dispute'
                                            AND h.ended_at IS NULL)) AS disputed_invoices,
           count(*) FILTER (WHERE r.rate IS NULL AND i.due_on < d.day) AS missing_rates
    FROM crm.invoices AS i
    CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE t.time_zone)::date AS day) AS d
    CROSS JOIN LATERAL (SELECT CASE WHEN i.currency = t.base_currency THEN 1
                                    ELSE crm.exchange_rate_on(a.tenant_id, i.currency, t.base_currency, d.day) END AS rate) AS r
    WHERE i.tenant_id = a.tenant_id AND i.account_id = a.id AND i.state = 'posted' AND i.kind = 'invoice' AND i.total_amount > i.settled_amount
      AND i.posted_at <= now()
) AS o
CROSS JOIN LATERAL (
    SELECT count(*) AS paid_invoices, round(avg(x.paid_on - i.issued_on), 1) AS mean_payment_days, round(avg(x.paid_on - i.due_on), 1) AS mean_days_late
    FROM crm.invoices AS i
    CROSS JOIN LATERAL (SELECT (i.paid_at AT TIME ZONE t.time_zone)::date AS paid_on) AS x
    WHERE i.tenant_id = a.tenant_id AND i.account_id = a.id AND i.kind = 'invoice' AND i.paid_at IS NOT NULL AND i.reversed_at IS NULL AND NOT i.reverses
) AS p
CROSS JOIN LATERAL (
    SELECT count(*) AS broken_promises
    FROM crm.invoices AS i JOIN crm.dunning_holds AS h ON h.tenant_id = i.tenant_id AND h.invoice_id = i.id AND h.kind = 'promise'
    WHERE i.tenant_id = a.tenant_id AND i.account_id = a.id AND (h.outcome IS NULL OR h.outcome <> 'replaced')
      AND h.promised_on < least((now() AT TIME ZONE t.time_zone)::date, coalesce((i.paid_at AT TIME ZONE t.time_zone)::date, 'infinity'))
) AS h;
COMMENT ON VIEW crm_analytics.customer_receivables IS
'One row = one account: what it owes by now, what of it is overdue, and how it pays. Base currency at the rate of the day.';
COMMENT ON COLUMN crm_analytics.customer_receivables.open_balance IS 'What it owes, in base currency; below zero: it has credit.';
COMMENT ON COLUMN crm_analytics.customer_receivables.open_invoices IS 'Invoices of which something is open.';
COMMENT ON COLUMN crm_analytics.customer_receivables.overdue_invoices IS 'Of these, those whose due day has passed.';
COMMENT ON COLUMN crm_analytics.customer_receivables.overdue_amount IS 'What is open of them, in base currency.';
COMMENT ON COLUMN crm_analytics.customer_receivables.oldest_due_on IS 'Due day of the oldest open invoice; NULL: none is open.';
COMMENT ON COLUMN crm_analytics.customer_receivables.paid_invoices IS 'Invoices that were settled in full; those taken back as a whole are left out.';
COMMENT ON COLUMN crm_analytics.customer_receivables.mean_payment_days IS 'Mean days from the day of an invoice to its payment; NULL: none was paid.';
COMMENT ON COLUMN crm_analytics.customer_receivables.mean_days_late IS 'Mean days from the due day of an invoice to its payment; below zero: it pays early.';
COMMENT ON COLUMN crm_analytics.customer_receivables.dunning_level IS 'Highest level of dunning of what is open; 0: none.';
COMMENT ON COLUMN crm_analytics.customer_receivables.disputed_invoices IS 'Open invoices that it disputes.';
COMMENT ON COLUMN crm_analytics.customer_receivables.broken_promises IS 'Promises to pay whose day passed before the invoice was paid.';
COMMENT ON COLUMN crm_analytics.customer_receivables.missing_rates IS 'Amounts left out, for want of an exchange rate.';
