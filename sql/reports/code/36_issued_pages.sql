-- Pages of documents that users ask for: quotes, orders, invoices, reminders and statements.

CREATE OR REPLACE FUNCTION crm.quote_page(quote_id bigint, language text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_analytics.document_html(crm_analytics.quote_document(quote_id), language);
END
$$;
COMMENT ON FUNCTION crm.quote_page(bigint, text) IS
'A version of a quote as one HTML page for screen and A4 paper, complete in itself: no script, nothing loaded. language: one of crm.languages(); fa is right '
'to left with Jalali dates and Persian digits; NULL: that of the tenant. The head is that of crm.letterheads. Errors: P0002 a quote that the caller does not '
'see, 22023 a language without words, CR010 without a tenant.';

-- security definer: whoever has the token sees the quote it is for, and nothing else
CREATE OR REPLACE FUNCTION crm.offered_quote_page(token text, language text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found bigint;
BEGIN
    SELECT q.id INTO found FROM crm.quotes AS q
    WHERE q.tenant_id = crm.tenant_id() AND q.token_hash = sha256(convert_to(coalesce(token, ''), 'UTF8'));
    IF found IS NULL THEN
        RAISE EXCEPTION 'this token is not known' USING ERRCODE = 'no_data_found', HINT = 'Ask for a new link to the quote.';
    END IF;
    RETURN crm_analytics.document_html(crm_analytics.quote_document(found), language);
END
$$;
COMMENT ON FUNCTION crm.offered_quote_page(text, text) IS
'The page of the quote that a token (crm.make_quote_token) is for, for the customer who is to accept or decline it. Errors: P0002 an unknown token, 22023.';
SELECT crm.declare_function('crm.offered_quote_page', 'agent');

CREATE OR REPLACE FUNCTION crm.order_page(order_id bigint, language text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_analytics.document_html(crm_analytics.order_document(order_id), language);
END
$$;
COMMENT ON FUNCTION crm.order_page(bigint, text) IS
'The confirmation of an order as one HTML page, as crm.quote_page: its amounts are those of an invoice of all of it. Errors: P0002, 22023, CR010.';

CREATE OR REPLACE FUNCTION crm.invoice_page(invoice_id bigint, language text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_analytics.document_html(crm_analytics.invoice_document(invoice_id), language);
END
$$;
COMMENT ON FUNCTION crm.invoice_page(bigint, text) IS
'An invoice, a credit note or a pro forma as one HTML page, as crm.quote_page: the customer as it was when it was posted, what was paid and what is due '
'by now; drafts, what was taken back and what was paid are marked. Errors: P0002, 22023, CR010.';

CREATE OR REPLACE FUNCTION crm.dunning_page(dunning_id bigint, language text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    n crm.dunnings;
    i crm.invoices;
    s record;
    w jsonb;
    currency text;
    sums text;
BEGIN
    SELECT x.* INTO n FROM crm.dunnings AS x WHERE x.tenant_id = t AND x.id = dunning_page.dunning_id;
    SELECT x.* INTO i FROM crm.invoices AS x WHERE x.tenant_id = t AND x.id = n.invoice_id;
    IF i.id IS NULL THEN
        RAISE EXCEPTION 'dunning % does not exist, or is not visible to you', dunning_page.dunning_id USING ERRCODE = 'no_data_found';
    END IF;
    SELECT x.* INTO s FROM crm_analytics.document_setting(language) AS x;
    w := s.words;
    currency := coalesce(crm_analytics.report_words(s.lang) -> 'currencies' ->> i.currency::text, i.currency::text);
    -- what was open when it was raised: a letter that was sent does not change
    SELECT string_agg('<div' || CASE WHEN x.place = 4 THEN ' class="all"' ELSE '' END || '><dt>' || crm.escape_html(w ->> x.word) || '</dt><dd><bdi>'
                      || crm.escape_html(crm_analytics.document_figure(x.amount, i.minor_units, w) || CASE WHEN x.place = 4 THEN ' ' || currency ELSE '' END)
                      || '</bdi></dd></div>', '' ORDER BY x.place) INTO sums
    FROM (VALUES (1, 'open_amount', n.open_amount), (2, 'fee_amount', nullif(n.fee_amount, 0)), (3, 'interest_amount', nullif(n.interest_amount, 0)),
                 (4, 'to_pay', n.open_amount + n.fee_amount + n.interest_amount)) AS x (place, word, amount) WHERE x.amount IS NOT NULL;
    RETURN crm_analytics.document_frame(
        jsonb_build_object('number', i.number, 'day', n.raised_on, 'customer', i.bill_to), n.name,
        crm_analytics.document_facts(ARRAY[w ->> 'issued_on', crm_analytics.report_date(n.raised_on, s.lang), w -> 'titles' ->> 'invoice', i.number,
            w ->> 'due_on', crm_analytics.report_date(i.due_on, s.lang), w ->> 'overdue_days', crm_analytics.document_figure(n.overdue_days, 0, w),
            w ->> 'currency', currency]),
        '<p>' || crm_analytics.document_text(n.body) || '</p><dl class="sums">' || sums || '</dl>', s.lang, w);
END
$$;
COMMENT ON FUNCTION crm.dunning_page(bigint, text) IS
'A reminder that was raised (crm.dunnings) as one HTML page, as crm.quote_page: its text, and what was open then, fee and interest. Errors: P0002 one the '
'caller does not see, 22023, CR010.';

CREATE OR REPLACE FUNCTION crm.statement_page(account_id bigint, from_day date DEFAULT NULL, until_day date DEFAULT NULL, currency text DEFAULT NULL,
                                              language text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    s record;
    w jsonb;
    today CONSTANT date := crm.local_day(t, now());
    last_instant timestamptz;
    part record;
    units integer;
    body text := '';
BEGIN
    SELECT x.* INTO s FROM crm_analytics.document_setting(language) AS x;
    w := s.words;
    SELECT CASE WHEN until_day IS NULL OR NOT isfinite(until_day) OR until_day >= today THEN now()
                ELSE (until_day + 1)::timestamp AT TIME ZONE n.time_zone - interval '1 microsecond' END INTO last_instant
    FROM crm.tenants AS n WHERE n.tenant_id = t;
    FOR part IN
        SELECT e.entry_currency AS cur, jsonb_agg(to_jsonb(e) ORDER BY e.entry) AS entries, (array_agg(e.balance ORDER BY e.entry DESC))[1] AS balance
        FROM crm.customer_statement(statement_page.account_id, statement_page.from_day, statement_page.until_day, statement_page.currency) AS e
        GROUP BY 1 ORDER BY 1
    LOOP
        SELECT c.minor_units INTO units FROM crm.currencies AS c WHERE c.code = part.cur;
        body := body || crm_analytics.document_table(
            jsonb_build_array(jsonb_build_array(w ->> 'day'), jsonb_build_array(w ->> 'what'), jsonb_build_array(w ->> 'number'),
                jsonb_build_array(w ->> 'due_on'), jsonb_build_array(w ->> 'debit', 'n'), jsonb_build_array(w ->> 'credit', 'n'),
                jsonb_build_array(w ->> 'balance', 'n')),
            (SELECT jsonb_agg(jsonb_build_array(crm_analytics.report_date(e.day, s.lang), w -> 'entries' ->> e.kind, e.number,
                        crm_analytics.report_date(e.due_on, s.lang), crm_analytics.document_figure(nullif(e.debit, 0), units, w),
                        crm_analytics.document_figure(nullif(e.credit, 0), units, w), crm_analytics.document_figure(e.balance, units, w)) ORDER BY e.entry)
             FROM jsonb_to_recordset(part.entries) AS e (entry bigint, day date, kind text, number text, due_on date, debit numeric, credit numeric,
                 balance numeric)),
            coalesce(crm_analytics.report_words(s.lang) -> 'currencies' ->> part.cur, part.cur))
            || (SELECT '<dl class="sums">' || string_agg('<div' || CASE WHEN x.n = 1 THEN ' class="all"' ELSE '' END || '><dt>' || crm.escape_html(w ->> x.word)
                       || '</dt><dd><bdi>' || crm.escape_html(crm_analytics.document_figure(x.amount, units, w)) || '</bdi></dd></div>', '' ORDER BY x.n)
                       || '</dl>'
                FROM (VALUES (1, 'balance', part.balance), (2, 'overdue_amount', (
                          SELECT sum(o.open_amount) FROM crm_analytics.open_invoices(last_instant, statement_page.account_id) AS o
                          WHERE o.tenant_id = t AND o.currency = part.cur AND o.overdue_days > 0))) AS x (n, word, amount) WHERE x.amount IS NOT NULL);
    END LOOP;
    IF body = '' THEN
        -- customer_statement has said who is not there
        body := '<p>' || crm.escape_html(w ->> 'none') || '</p>';
    END IF;
    RETURN crm_analytics.document_frame(
        jsonb_build_object('day', coalesce(CASE WHEN isfinite(until_day) THEN until_day END, today),
                           'customer', crm_analytics.document_customer(statement_page.account_id, NULL)),
        w -> 'titles' ->> 'statement',
        crm_analytics.document_facts(ARRAY[w ->> 'issued_on', crm_analytics.report_date(today, s.lang),
            w ->> 'from_day', CASE WHEN isfinite(from_day) THEN crm_analytics.report_date(from_day, s.lang) END,
            w ->> 'until_day', CASE WHEN isfinite(until_day) THEN crm_analytics.report_date(until_day, s.lang) END]), body, s.lang, w);
END
$$;
COMMENT ON FUNCTION crm.statement_page(bigint, date, date, text, text) IS
'Statement of account of a customer as one HTML page, as crm.quote_page: the entries of crm.customer_statement with the same arguments, currency by currency, '
'the balance, and what is overdue at the end. Errors: P0002 an account the caller does not see, 22023 days the wrong way round or a language without words.';
