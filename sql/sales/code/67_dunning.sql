-- Dunning: which level is due, raising it once, what holds it, and an invoice for fee and interest.
--
-- A level is raised by whoever inserts its row in crm.dunnings, which is unique: two workers, a worker that begins anew, or a pass that is
-- repeated raise it once. A level follows the one before it after as many days as the rules are apart, so that a customer does not get three
-- letters on one day when the worker stood still or a hold ended.

CREATE OR REPLACE FUNCTION crm_internal.mark_dunned()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: what was raised counts, whoever sees that
    SELECT coalesce(max(n.level), 0), max(n.raised_at) INTO NEW.dunning_level, NEW.dunned_at
    FROM crm.dunnings AS n WHERE n.tenant_id = OLD.tenant_id AND n.invoice_id = OLD.id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.mark_dunned() IS
'Row trigger of invoices: the level of dunning is the last that crm.dunnings holds, whatever is written, the owner''s hand included.';
CREATE OR REPLACE TRIGGER invoices_before_dunned BEFORE UPDATE ON crm.invoices FOR EACH ROW
    WHEN (OLD.dunning_level IS DISTINCT FROM NEW.dunning_level OR OLD.dunned_at IS DISTINCT FROM NEW.dunned_at)
    EXECUTE FUNCTION crm_internal.mark_dunned();

CREATE OR REPLACE FUNCTION crm_internal.dunning_due(tenant bigint, invoice crm.invoices, as_of timestamptz)
RETURNS crm.dunning_levels
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    own boolean;
    wanted crm.dunning_levels;
    before integer;
    day date;
BEGIN
    own := EXISTS (SELECT FROM crm.dunning_levels AS d WHERE d.tenant_id = tenant AND d.for_currency = invoice.currency);
    SELECT d.* INTO wanted FROM crm.dunning_levels AS d
    WHERE d.tenant_id = tenant AND d.active AND d.level > invoice.dunning_level
      AND CASE WHEN own THEN d.for_currency = invoice.currency ELSE d.for_currency IS NULL END
    ORDER BY d.level LIMIT 1;
    IF wanted.id IS NULL OR invoice.state <> 'posted' OR invoice.kind <> 'invoice' OR invoice.settled_amount >= invoice.total_amount THEN
        RETURN NULL;
    END IF;
    day := crm.local_day(tenant, as_of);
    IF day < invoice.due_on + wanted.days THEN
        RETURN NULL;
    END IF;
    IF invoice.dunned_at IS NOT NULL THEN
        SELECT d.days INTO before FROM crm.dunning_levels AS d
        WHERE d.tenant_id = tenant AND d.level = invoice.dunning_level
          AND CASE WHEN own THEN d.for_currency = invoice.currency ELSE d.for_currency IS NULL END;
        IF day < crm.local_day(tenant, invoice.dunned_at) + greatest(wanted.days - coalesce(before, wanted.days), 1) THEN
            RETURN NULL;
        END IF;
    END IF;
    -- the promised day is the customer's to the end
    IF EXISTS (SELECT FROM crm.dunning_holds AS h WHERE h.tenant_id = tenant AND h.invoice_id = invoice.id AND h.ended_at IS NULL
                 AND (h.kind = 'dispute' OR h.promised_on >= day)) THEN
        RETURN NULL;
    END IF;
    RETURN wanted;
END
$$;
COMMENT ON FUNCTION crm_internal.dunning_due(bigint, crm.invoices, timestamptz) IS
'The level of dunning that is to be raised of an invoice; NULL: none, or something holds it.';

CREATE OR REPLACE FUNCTION crm_internal.dunning_text(body text, invoice crm.invoices, language text, day date, open numeric, fee numeric, interest numeric)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    money CONSTANT text := ' ' || invoice.currency;
    answer text := body;
    words jsonb;
BEGIN
    SELECT x.words INTO words FROM crm_internal.texts AS x WHERE x.area = 'documents' AND x.language = dunning_text.language;
    -- one pass over the text: what is filled in may hold braces of its own; figures have the digits of the language, codes of documents and currencies stay
    SELECT string_agg(coalesce(CASE p.word
        WHEN 'number' THEN invoice.number
        WHEN 'customer' THEN coalesce(invoice.bill_to ->> 'contact', invoice.bill_to ->> 'name')
        ELSE translate(CASE p.word
            WHEN 'open' THEN round(open, invoice.minor_units)::text
            WHEN 'due' THEN CASE language WHEN 'fa' THEN crm.format_jalali(invoice.due_on, 'YYYY/MM/DD') ELSE to_char(invoice.due_on, 'YYYY-MM-DD') END
            WHEN 'days' THEN (day - invoice.due_on)::text
            WHEN 'fee' THEN round(fee, invoice.minor_units)::text
            WHEN 'interest' THEN round(interest, invoice.minor_units)::text
            WHEN 'total' THEN round(open + fee + interest, invoice.minor_units)::text END,
            '0123456789.', coalesce(words ->> 'digits' || (words ->> 'decimal'), '0123456789.'))
            || CASE WHEN p.word IN ('open', 'fee', 'interest', 'total') THEN money ELSE '' END END, '') || p.rest, '' ORDER BY p.n) INTO answer
    FROM (SELECT x.n, CASE WHEN x.n > 1 THEN split_part(x.part, '}', 1) END AS word,
                 CASE WHEN x.n > 1 THEN substr(x.part, strpos(x.part, '}') + 1) ELSE x.part END AS rest
          FROM string_to_table(body, '{') WITH ORDINALITY AS x (part, n)) AS p;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.dunning_text(text, crm.invoices, text, date, numeric, numeric, numeric) IS
'A text of crm.dunning_levels about an invoice, with its words filled in.';

CREATE OR REPLACE FUNCTION crm_internal.dun(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH due AS (
        SELECT i AS doc, l AS rule, l.body, t.language, crm.local_day(tenant, as_of) AS day, i.total_amount - i.settled_amount AS open,
               round((i.total_amount - i.settled_amount) * l.interest_percent / 100 * (crm.local_day(tenant, as_of) - i.due_on) / 365, i.minor_units)
               AS interest
        FROM crm.invoices AS i
        JOIN crm.tenants AS t ON t.tenant_id = i.tenant_id
        CROSS JOIN LATERAL crm_internal.dunning_due(tenant, i, as_of) AS d
        JOIN crm.dunning_levels AS l ON l.tenant_id = i.tenant_id AND l.id = d.id
        WHERE i.tenant_id = tenant AND i.id = ANY (items::bigint[])
    ), raised AS (
        INSERT INTO crm.dunnings AS n (tenant_id, invoice_id, level, name, raised_at, raised_on, overdue_days, open_amount, fee_amount, interest_amount, body)
        SELECT tenant, (d.doc).id, (d.rule).level, (d.rule).name, as_of, d.day, d.day - (d.doc).due_on, d.open, (d.rule).fee, d.interest,
               crm_internal.dunning_text(d.body, d.doc, d.language, d.day, d.open, (d.rule).fee, d.interest)
        FROM due AS d
        ON CONFLICT ON CONSTRAINT dunnings_level_key DO NOTHING
        RETURNING n.*
    ), noted AS (
        UPDATE crm.invoices AS i SET dunning_level = r.level, dunned_at = r.raised_at
        FROM raised AS r WHERE i.tenant_id = tenant AND i.id = r.invoice_id
        RETURNING i.*
    ), told AS (
        INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key)
        SELECT tenant, 'invoice.dunned', 'invoices', r.invoice_id,
               jsonb_build_object('dunning_id', r.id, 'level', r.level, 'name', r.name, 'number', i.number, 'account_id', i.account_id,
                                  'contact_id', i.contact_id, 'currency', i.currency, 'open_amount', r.open_amount, 'fee_amount', r.fee_amount,
                                  'interest_amount', r.interest_amount, 'overdue_days', r.overdue_days, 'text', r.body),
               r.invoice_id || ' ' || r.level
        FROM raised AS r JOIN noted AS i ON i.id = r.invoice_id
        ON CONFLICT (tenant_id, kind, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING
    )
    SELECT count(*) FROM raised
$$;
COMMENT ON FUNCTION crm_internal.dun(bigint, text[], timestamptz) IS
'Raises the levels of dunning that are due of some invoices of a company; returns how many.';

CREATE OR REPLACE FUNCTION crm.raise_dunning(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.raise_dunning',
        'crm.invoices AS x WHERE x.state = ''posted'' AND x.kind = ''invoice'' AND x.paid_at IS NULL AND x.due_on <= ($1 AT TIME ZONE ''UTC'')::date '
        'AND (crm_internal.dunning_due(x.tenant_id, x, $1)).id IS NOT NULL', 'x.id', 'x.due_on, x.id', 'NO KEY UPDATE', 'crm_internal.dun', as_of, batch)
$$;
COMMENT ON FUNCTION crm.raise_dunning(timestamptz, integer) IS
'Raises the levels of dunning (crm.dunning_levels) that are due: a row of crm.dunnings and an event invoice.dunned in the outbox, each level of an invoice '
'once however many callers there are, for all tenants. Invoices in dispute, or promised to be paid by a day that has not passed, are left alone. Returns how '
'many. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.raise_dunning', 'owner');
SELECT crm.declare_event('invoice.dunned', 'An invoice is overdue by another level of dunning: a notice, whose text is to be sent to the customer.',
    '{"dunning_id": {"type": "integer"}, "level": {"type": "integer"}, "name": {"type": "string"}, "number": {"type": "string"},
        "account_id": {"type": "integer"}, "contact_id": {"type": ["integer", "null"]}, "currency": {"type": "string"},
        "open_amount": {"type": "number"}, "fee_amount": {"type": "number"}, "interest_amount": {"type": "number"}, "overdue_days": {"type": "integer"},
        "text": {"type": "string"}}');

-- ---- what holds it ----

CREATE OR REPLACE FUNCTION crm_internal.open_invoice_for_change(tenant bigint, invoice_id bigint)
RETURNS crm.invoices
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    doc CONSTANT crm.invoices := crm_internal.invoice_for_change(tenant, invoice_id);
BEGIN
    IF doc.state <> 'posted' OR doc.kind <> 'invoice' OR doc.settled_amount >= doc.total_amount THEN
        RAISE EXCEPTION 'invoice % is not open', coalesce('"' || doc.number || '"', doc.id::text) USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Promises and disputes are about posted invoices of which something is to be paid.';
    END IF;
    RETURN doc;
END
$$;
COMMENT ON FUNCTION crm_internal.open_invoice_for_change(bigint, bigint) IS
'A posted invoice of which something is open, which the caller may change, locked. Errors: P0002, 42501, 55000.';

CREATE OR REPLACE FUNCTION crm.promise_payment(invoice_id bigint, promised_on date, note text DEFAULT NULL)
RETURNS crm.dunning_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    doc CONSTANT crm.invoices := crm_internal.open_invoice_for_change(t, invoice_id);
    made crm.dunning_holds;
BEGIN
    IF promised_on IS NULL OR NOT isfinite(promised_on) OR promised_on < crm.local_day(t, now()) THEN
        RAISE EXCEPTION 'a promise is for today or a day to come' USING ERRCODE = 'invalid_parameter_value', HINT = 'Say by which day it will be paid.';
    END IF;
    UPDATE crm.dunning_holds AS h SET ended_at = now(), outcome = 'replaced'
    WHERE h.tenant_id = t AND h.invoice_id = doc.id AND h.kind = 'promise' AND h.ended_at IS NULL;
    INSERT INTO crm.dunning_holds AS h (tenant_id, invoice_id, kind, promised_on, note)
    VALUES (t, doc.id, 'promise', promise_payment.promised_on, promise_payment.note)
    RETURNING h.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.promise_payment(bigint, date, text) IS
'Writes down that a customer promised to pay an invoice by a day: until that day has passed it is not dunned. Another promise replaces the one before. Returns '
'it. Errors: P0002, 42501, 55000 an invoice of which nothing is open, 22023 a day that has passed.';
SELECT crm.declare_function('crm.promise_payment', 'agent');
SELECT crm.declare_api('crm.promise_payment', '{"invoice_id": 1, "promised_on": "2026-09-30", "note": "after the fair"}');

CREATE OR REPLACE FUNCTION crm.dispute_invoice(invoice_id bigint, reason text)
RETURNS crm.dunning_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    doc CONSTANT crm.invoices := crm_internal.open_invoice_for_change(t, invoice_id);
    made crm.dunning_holds;
BEGIN
    IF coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'a dispute needs a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'Say in reason what the customer disputes.';
    END IF;
    SELECT h.* INTO made FROM crm.dunning_holds AS h WHERE h.tenant_id = t AND h.invoice_id = doc.id AND h.kind = 'dispute' AND h.ended_at IS NULL;
    IF made.id IS NULL THEN
        INSERT INTO crm.dunning_holds AS h (tenant_id, invoice_id, kind, note) VALUES (t, doc.id, 'dispute', dispute_invoice.reason) RETURNING h.* INTO made;
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.dispute_invoice(bigint, text) IS
'Writes down that a customer disputes an invoice: it is not dunned until crm.settle_dispute(). Returns the dispute; the same one while it is open. Errors: '
'P0002, 42501, 55000 an invoice of which nothing is open, 22023 no reason.';
SELECT crm.declare_function('crm.dispute_invoice', 'agent');
SELECT crm.declare_api('crm.dispute_invoice', '{"invoice_id": 1, "reason": "two of the pumps never came"}');

CREATE OR REPLACE FUNCTION crm.settle_dispute(invoice_id bigint, outcome text)
RETURNS crm.dunning_holds
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    doc CONSTANT crm.invoices := crm_internal.invoice_for_change(t, invoice_id);
    made crm.dunning_holds;
BEGIN
    IF coalesce(outcome, '') = '' THEN
        RAISE EXCEPTION 'a dispute is settled with an outcome' USING ERRCODE = 'invalid_parameter_value', HINT = 'Say in outcome what was agreed.';
    END IF;
    UPDATE crm.dunning_holds AS h SET ended_at = now(), outcome = settle_dispute.outcome
    WHERE h.tenant_id = t AND h.invoice_id = doc.id AND h.kind = 'dispute' AND h.ended_at IS NULL
    RETURNING h.* INTO made;
    IF made.id IS NULL THEN
        RAISE EXCEPTION 'invoice % is not in dispute', coalesce('"' || doc.number || '"', doc.id::text)
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'See crm.dunning_holds.';
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.settle_dispute(bigint, text) IS
'Ends the dispute about an invoice, with what was agreed; what is open of it is dunned again. Returns the dispute. Errors: P0002, 42501, 55000 no dispute, '
'22023 no outcome.';
SELECT crm.declare_function('crm.settle_dispute', 'agent');
SELECT crm.declare_api('crm.settle_dispute', '{"invoice_id": 1, "outcome": "they came in the end"}');

-- ---- fee and interest ----

CREATE OR REPLACE FUNCTION crm.invoice_dunning(dunning_id bigint)
RETURNS crm.invoices
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    raised crm.dunnings;
    doc crm.invoices;
    made crm.invoices;
BEGIN
    SELECT n.* INTO raised FROM crm.dunnings AS n WHERE n.tenant_id = t AND n.id = invoice_dunning.dunning_id FOR NO KEY UPDATE;
    IF raised.id IS NOT NULL THEN
        doc := crm_internal.invoice_for_change(t, raised.invoice_id);
    END IF;
    IF doc.id IS NULL THEN
        RAISE EXCEPTION 'dunning % does not exist, or is not visible to you', invoice_dunning.dunning_id USING ERRCODE = 'no_data_found';
    END IF;
    IF raised.fee_invoice_id IS NOT NULL THEN
        SELECT i.* INTO made FROM crm.invoices AS i WHERE i.tenant_id = t AND i.id = raised.fee_invoice_id;
        RETURN made;
    END IF;
    IF raised.fee_amount + raised.interest_amount = 0 THEN
        RAISE EXCEPTION 'this dunning asks for neither fee nor interest' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'See crm.dunning_levels.';
    END IF;
    made := crm.carry_owned(NULL::crm.invoices, doc, 'convert');
    made.kind := 'invoice';
    made.reverses := false;
    made.order_id := NULL;
    made := crm.insert_row(made);
    INSERT INTO crm.invoice_lines (tenant_id, invoice_id, position, description, quantity, unit_price, price_includes_tax)
    SELECT t, made.id, x.n, raised.name || ' · ' || doc.number || x.what, 1, x.amount, false
    FROM (VALUES (1, '', raised.fee_amount),
                 (2, ' · ' || to_char(doc.due_on, 'YYYY-MM-DD') || '–' || to_char(raised.raised_on, 'YYYY-MM-DD'), raised.interest_amount))
         AS x (n, what, amount)
    WHERE x.amount > 0;
    UPDATE crm.dunnings AS n SET fee_invoice_id = made.id WHERE n.tenant_id = t AND n.id = raised.id;
    SELECT i.* INTO made FROM crm.invoices AS i WHERE i.tenant_id = t AND i.id = made.id;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.invoice_dunning(bigint) IS
'Makes a draft of an invoice for fee and interest of a dunning, without tax; crm.post_invoice() posts it. Returns it; the same one the second time. Errors: '
'P0002, 42501, 55000 a dunning without fee and interest.';
SELECT crm.declare_function('crm.invoice_dunning', 'agent');
SELECT crm.declare_api('crm.invoice_dunning', '{"dunning_id": 1}');
