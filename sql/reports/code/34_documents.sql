-- What stands on a document, as one jsonb: the pages print it, and so may programs of the owner. Amounts are those the document stores, what is open that of
-- the views; nothing is computed twice. Each row is read with the rights of whoever asks: a document they do not see is one that is not there.

CREATE OR REPLACE FUNCTION crm_analytics.document_words(language text)
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: the texts of the CRM say nothing about a company
    RETURN (SELECT x.words FROM crm_internal.texts AS x WHERE x.area = 'documents' AND x.language = document_words.language);
END
$$;
COMMENT ON FUNCTION crm_analytics.document_words(text) IS 'Words of documents in a language, by key; NULL where the language has none.';
SELECT crm.declare_function('crm_analytics.document_words', 'reader');

-- security definer: orders are rounded by rules and in a way that are the owner's to read
CREATE OR REPLACE FUNCTION crm_analytics.order_line_amounts(order_id bigint)
RETURNS TABLE (line_id bigint, net_amount numeric, tax_amount numeric, gross_amount numeric, minor_units integer, round_total_to numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    rule crm.document_rules;
BEGIN
    PERFORM crm_internal.require('orders', order_id, 'see');
    SELECT (crm_internal.document_rule(t, 'invoices', o.currency::text)).* INTO rule FROM crm.orders AS o
    WHERE o.tenant_id = t AND o.id = order_line_amounts.order_id;
    RETURN QUERY
        SELECT r.id, r.net, r.tax, r.gross, rule.minor_units::integer, rule.round_total_to
        FROM (SELECT array_agg(l.order_id) AS documents, array_agg(l.id) AS ids, array_agg(0) AS places,
                     array_agg(l.quantity * l.unit_price * (100 - l.discount_percent) * 0.01) AS amounts,
                     array_agg(coalesce(l.tax_percent, 0)) AS percents, array_agg(l.price_includes_tax) AS included,
                     array_agg(rule.rounding = 'line') AS alone, array_agg(rule.minor_units::integer) AS units
              FROM crm.order_lines AS l WHERE l.tenant_id = t AND l.order_id = order_line_amounts.order_id) AS g,
             crm_internal.rounded_lines(g.documents, g.ids, g.places, g.amounts, g.percents, g.included, g.alone, g.units) AS r;
END
$$;
COMMENT ON FUNCTION crm_analytics.order_line_amounts(bigint) IS
'Net, tax and gross of the lines of an order as an invoice of all of it says them, with the decimals and the multiple of its total. An order that the '
'caller does not see has none: error P0002.';
SELECT crm.declare_function('crm_analytics.order_line_amounts', 'reader');

CREATE OR REPLACE FUNCTION crm_analytics.document_lines(document_table text, document_id bigint)
RETURNS TABLE (line bigint, code text, description text, unit text, quantity numeric, unit_price numeric, discount_percent numeric, tax text,
               tax_percent numeric, price_includes_tax boolean, net_amount numeric, tax_amount numeric, gross_amount numeric)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
BEGIN
    RETURN QUERY
        SELECT row_number() OVER (ORDER BY l.place, l.id), p.code, coalesce(l.description, p.name), p.unit, l.quantity, l.unit_price, l.discount_percent,
               c.name, l.tax_percent, l.price_includes_tax, l.net_amount, l.tax_amount, l.gross_amount
        FROM (SELECT x.id, x.position AS place, x.product_id, x.description, x.quantity, x.unit_price, x.discount_percent, x.tax_category_id, x.tax_percent,
                     x.price_includes_tax, x.net_amount, x.tax_amount, x.gross_amount
              FROM crm.quote_lines AS x WHERE document_table = 'quotes' AND x.tenant_id = t AND x.quote_id = document_id
              UNION ALL
              SELECT x.id, x.position, x.product_id, x.description, x.quantity, x.unit_price, x.discount_percent, x.tax_category_id, x.tax_percent,
                     x.price_includes_tax, x.net_amount, x.tax_amount, x.gross_amount
              FROM crm.invoice_lines AS x WHERE document_table = 'invoices' AND x.tenant_id = t AND x.invoice_id = document_id
              UNION ALL
              SELECT x.id, 0, x.product_id, q.description, x.quantity, x.unit_price, x.discount_percent, x.tax_category_id, x.tax_percent,
                     x.price_includes_tax, a.net_amount, a.tax_amount, a.gross_amount
              FROM crm.order_lines AS x
              JOIN crm_analytics.order_line_amounts(CASE document_table WHEN 'orders' THEN document_id END) AS a ON a.line_id = x.id
              LEFT JOIN crm.quote_lines AS q ON q.tenant_id = t AND q.id = x.quote_line_id
              WHERE document_table = 'orders' AND x.tenant_id = t AND x.order_id = document_id) AS l
        LEFT JOIN crm.products AS p ON p.tenant_id = t AND p.id = l.product_id
        LEFT JOIN crm.tax_categories AS c ON c.tenant_id = t AND c.id = l.tax_category_id;
END
$$;
COMMENT ON FUNCTION crm_analytics.document_lines(text, bigint) IS
'Lines of a quote, an order or an invoice (document_table quotes, orders, invoices) as they are printed, in their order. Amounts are stored ones; of orders '
'those of crm_analytics.order_line_amounts. As far as the caller sees them.';

CREATE OR REPLACE FUNCTION crm_analytics.document_lines_json(document_table text, document_id bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    lines jsonb;
    taxes jsonb;
BEGIN
    SELECT coalesce(jsonb_agg(to_jsonb(l) ORDER BY l.line), '[]') INTO lines FROM crm_analytics.document_lines(document_table, document_id) AS l;
    SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.tax_percent DESC, x.tax), '[]') INTO taxes
    FROM (SELECT l.tax, l.tax_percent, sum(l.net_amount) AS net_amount, sum(l.tax_amount) AS tax_amount
          FROM jsonb_to_recordset(lines) AS l (tax text, tax_percent numeric, net_amount numeric, tax_amount numeric)
          WHERE l.tax_percent IS NOT NULL GROUP BY 1, 2) AS x;
    RETURN jsonb_build_object('lines', lines, 'taxes', taxes);
END
$$;
COMMENT ON FUNCTION crm_analytics.document_lines_json(text, bigint) IS
'{"lines": those of crm_analytics.document_lines, "taxes": what they sum up to by tax and rate}.';

CREATE OR REPLACE FUNCTION crm_analytics.document_customer(account_id bigint, contact_id bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    answer jsonb;
BEGIN
    SELECT jsonb_build_object('name', a.name, 'address', a.address, 'city', a.city, 'country', a.country) INTO answer
    FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = document_customer.account_id;
    RETURN jsonb_strip_nulls(coalesce(answer, '{}') || jsonb_build_object('contact',
        (SELECT c.name FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = document_customer.contact_id)));
END
$$;
COMMENT ON FUNCTION crm_analytics.document_customer(bigint, bigint) IS
'Name and address of a customer as crm.invoices.bill_to keeps them, as they are now; of an account the caller does not see, neither.';

CREATE OR REPLACE FUNCTION crm_analytics.quote_document(quote_id bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    q crm.quotes;
    f record;
BEGIN
    SELECT x.* INTO q FROM crm.quotes AS x WHERE x.tenant_id = t AND x.id = quote_document.quote_id;
    IF q.id IS NULL THEN
        RAISE EXCEPTION 'quote % does not exist, or is not visible to you', quote_document.quote_id USING ERRCODE = 'no_data_found';
    END IF;
    SELECT s.type, s.is_initial INTO f FROM crm.stages AS s WHERE s.tenant_id = t AND s.id = q.stage_id;
    RETURN crm_analytics.document_lines_json('quotes', q.id) || jsonb_build_object(
        'document', 'quote', 'id', q.id, 'number', q.number, 'version', CASE WHEN q.revision > 1 THEN q.revision END,
        'marks', CASE WHEN f.is_initial THEN '["draft"]' WHEN f.type = 'won' THEN '["accepted"]' WHEN f.type = 'lost' THEN '["declined"]'
                      WHEN f.type = 'cancelled' THEN '["replaced"]' ELSE '[]' END::jsonb,
        'day', q.issued_on, 'issued_on', q.issued_on, 'valid_until', CASE WHEN isfinite(q.valid_until) THEN q.valid_until END,
        'accepted_on', crm.local_day(t, q.accepted_at), 'accepted_by', q.accepted_by, 'subject', q.subject, 'terms', q.terms,
        'owner', (SELECT u.name FROM crm.users AS u WHERE u.tenant_id = t AND u.id = q.owner_id),
        'customer', crm_analytics.document_customer(q.account_id, q.contact_id), 'currency', q.currency, 'minor_units', q.minor_units,
        'net_amount', q.net_amount, 'tax_amount', q.tax_amount, 'rounding_amount', q.rounding_amount, 'total_amount', q.total_amount);
END
$$;
COMMENT ON FUNCTION crm_analytics.quote_document(bigint) IS
'What stands on a quote, which crm.quote_page prints: number, days, customer, lines, taxes by rate and amounts as crm.quotes has them. Error P0002.';

CREATE OR REPLACE FUNCTION crm_analytics.order_document(order_id bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    o crm.orders;
    x record;
    total numeric;
BEGIN
    SELECT r.* INTO o FROM crm.orders AS r WHERE r.tenant_id = t AND r.id = order_document.order_id;
    IF o.id IS NULL THEN
        RAISE EXCEPTION 'order % does not exist, or is not visible to you', order_document.order_id USING ERRCODE = 'no_data_found';
    END IF;
    -- an order without lines, such as one brought from elsewhere, is worth what it says
    SELECT coalesce(sum(a.net_amount), o.amount) AS net, coalesce(sum(a.tax_amount), 0) AS tax, max(a.round_total_to) AS multiple,
           coalesce(max(a.minor_units), (SELECT c.minor_units FROM crm.currencies AS c WHERE c.code = o.currency)) AS units INTO x
    FROM crm_analytics.order_line_amounts(o.id) AS a;
    total := CASE WHEN x.multiple IS NULL THEN x.net + x.tax ELSE round((x.net + x.tax) / x.multiple) * x.multiple END;
    RETURN crm_analytics.document_lines_json('orders', o.id) || jsonb_build_object(
        'document', CASE o.kind WHEN 'return' THEN 'return' ELSE 'order' END, 'id', o.id, 'number', o.number,
        'marks', CASE o.state WHEN 'cancelled' THEN '["cancelled"]' ELSE '[]' END::jsonb,
        'day', o.ordered_on, 'ordered_on', o.ordered_on,
        'quote_number', (SELECT q.number FROM crm.quotes AS q WHERE q.tenant_id = t AND q.id = o.quote_id),
        'returns', (SELECT r.number FROM crm.orders AS r WHERE r.tenant_id = t AND r.id = o.returns_order_id),
        'owner', (SELECT u.name FROM crm.users AS u WHERE u.tenant_id = t AND u.id = o.owner_id),
        'customer', crm_analytics.document_customer(o.account_id, o.contact_id), 'currency', o.currency, 'minor_units', x.units,
        'net_amount', x.net, 'tax_amount', x.tax, 'rounding_amount', total - x.net - x.tax, 'total_amount', total);
END
$$;
COMMENT ON FUNCTION crm_analytics.order_document(bigint) IS
'What stands on the confirmation of an order, which crm.order_page prints. Its amounts are those of an invoice of all of it. Error P0002.';

CREATE OR REPLACE FUNCTION crm_analytics.invoice_document(invoice_id bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    i crm.invoices;
    f record;
    paid jsonb;
BEGIN
    SELECT x.* INTO i FROM crm.invoices AS x WHERE x.tenant_id = t AND x.id = invoice_document.invoice_id;
    IF i.id IS NULL THEN
        RAISE EXCEPTION 'invoice % does not exist, or is not visible to you', invoice_document.invoice_id USING ERRCODE = 'no_data_found';
    END IF;
    SELECT x.open_amount, x.order_number, x.corrects_invoice_number, x.owner INTO f
    FROM crm_analytics.fact_invoices AS x WHERE x.tenant_id = t AND x.invoice_id = i.id;
    -- an invoice names what it was paid with, a credit note what it was used for
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'day', CASE WHEN a.amount < 0 THEN crm.local_day(t, a.at) ELSE coalesce(p.received_on, n.issued_on) END,
               'number', CASE i.kind WHEN 'credit_note' THEN a.invoice_number ELSE a.number END,
               'kind', CASE WHEN a.amount < 0 THEN 'taken_back' WHEN a.payment_id IS NULL THEN 'credit_note' ELSE 'payment' END,
               'amount', CASE i.kind WHEN 'credit_note' THEN a.source_amount ELSE a.amount END) ORDER BY a.at, a.allocation_id), '[]') INTO paid
    FROM crm_analytics.fact_payment_allocations AS a
    LEFT JOIN crm.payments AS p ON p.tenant_id = t AND p.id = a.payment_id
    LEFT JOIN crm.invoices AS n ON n.tenant_id = t AND n.id = a.credit_note_id
    WHERE a.tenant_id = t AND CASE i.kind WHEN 'credit_note' THEN a.credit_note_id ELSE a.invoice_id END = i.id;
    RETURN crm_analytics.document_lines_json('invoices', i.id) || jsonb_build_object(
        'document', i.kind, 'id', i.id, 'number', i.number,
        'marks', to_jsonb(array_remove(ARRAY[CASE i.state WHEN 'draft' THEN 'draft' END, CASE i.kind WHEN 'pro_forma' THEN 'pro_forma' END,
                          CASE WHEN i.reversed_at IS NOT NULL THEN 'reversed'
                               WHEN i.kind = 'invoice' AND i.state = 'posted' AND f.open_amount = 0 THEN 'paid' END], NULL)),
        'day', i.issued_on, 'issued_on', i.issued_on, 'due_on', CASE i.kind WHEN 'invoice' THEN i.due_on END, 'order_number', f.order_number,
        'corrects', f.corrects_invoice_number, 'reason', i.reason, 'terms', i.terms, 'owner', f.owner,
        'customer', coalesce(i.bill_to, crm_analytics.document_customer(i.account_id, i.contact_id)),
        'currency', i.currency, 'minor_units', i.minor_units,
        'net_amount', i.net_amount, 'tax_amount', i.tax_amount, 'rounding_amount', i.rounding_amount, 'total_amount', i.total_amount, 'payments', paid)
        || CASE WHEN i.state <> 'posted' OR i.kind = 'pro_forma' THEN '{}'
                ELSE jsonb_build_object('settled_amount', i.settled_amount,
                    'open_amount', CASE i.kind WHEN 'invoice' THEN f.open_amount ELSE i.total_amount - i.settled_amount END) END;
END
$$;
COMMENT ON FUNCTION crm_analytics.invoice_document(bigint) IS
'What stands on an invoice, a credit note or a pro forma, which crm.invoice_page prints: as crm_analytics.quote_document, the customer as it was when it was '
'posted, with what was paid and what is open by now (crm_analytics.fact_invoices). Error P0002.';
