-- Invoices: what they are opened with, posting, and that nobody changes what is posted.

-- ---- drafts ----

CREATE OR REPLACE FUNCTION crm_internal.series_of(kind text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- not in SQL: see rounded_to
    RETURN CASE kind WHEN 'credit_note' THEN 'credit_notes' WHEN 'pro_forma' THEN 'pro_formas' ELSE 'invoices' END;
END
$$;
COMMENT ON FUNCTION crm_internal.series_of(text) IS 'Which series of numbers (crm.number_series.document) documents of a kind have.';

CREATE OR REPLACE FUNCTION crm_internal.fill_invoice()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rule crm.document_rules;
    about crm.invoices;
BEGIN
    -- security definer: rules are the company's, whoever opens a document
    IF TG_OP = 'UPDATE' THEN
        IF NEW.currency <> OLD.currency AND EXISTS (SELECT FROM crm.invoice_lines AS l WHERE l.tenant_id = NEW.tenant_id AND l.invoice_id = NEW.id) THEN
            RAISE EXCEPTION 'a document with lines in % cannot become one in %', OLD.currency, NEW.currency
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Delete its lines first, or make another document.';
        END IF;
        IF NEW.number IS DISTINCT FROM OLD.number AND NEW.number IS NOT NULL THEN
            PERFORM crm_internal.check_number(NEW.tenant_id, crm_internal.series_of(NEW.kind), NEW.number);
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.number IS NOT NULL THEN
        PERFORM crm_internal.check_number(NEW.tenant_id, crm_internal.series_of(NEW.kind), NEW.number);
    END IF;
    IF NEW.state <> 'draft' THEN
        RAISE EXCEPTION 'a document begins as a draft' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Insert it and its lines, then post it: crm.post_invoice().';
    END IF;
    IF NEW.corrects_invoice_id IS NOT NULL THEN
        -- what takes back is rounded as what it takes back was
        SELECT i.* INTO about FROM crm.invoices AS i WHERE i.tenant_id = NEW.tenant_id AND i.id = NEW.corrects_invoice_id;
        NEW.rounding := coalesce(NEW.rounding, about.rounding);
        NEW.minor_units := coalesce(NEW.minor_units, about.minor_units);
        NEW.round_total_to := coalesce(NEW.round_total_to, about.round_total_to);
    END IF;
    rule := crm_internal.document_rule(NEW.tenant_id, 'invoices', NEW.currency::text);
    IF NEW.rounding IS NULL THEN
        NEW.rounding := rule.rounding;
        NEW.round_total_to := coalesce(NEW.round_total_to, rule.round_total_to);
    END IF;
    NEW.minor_units := coalesce(NEW.minor_units, rule.minor_units);
    NEW.settled_amount := 0;
    NEW.paid_at := NULL;
    NEW.reversed_at := NULL;
    NEW.dunning_level := 0;
    NEW.dunned_at := NULL;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_invoice() IS
'Row trigger of invoices: they begin as drafts, rounded by the company''s rules or as what they correct; the currency stays once there are lines.';
CREATE OR REPLACE TRIGGER invoices_before_fill BEFORE INSERT OR UPDATE OF currency, number ON crm.invoices
    FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_invoice();

CREATE OR REPLACE FUNCTION crm_internal.retax_lines()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: lines follow their document, whoever changes its day; writing the category looks up its rate again
    IF TG_TABLE_NAME = 'quotes' THEN
        UPDATE crm.quote_lines AS l SET tax_category_id = l.tax_category_id
        WHERE l.tenant_id = NEW.tenant_id AND l.quote_id = NEW.id AND l.tax_category_id IS NOT NULL;
    ELSE
        UPDATE crm.invoice_lines AS l SET tax_category_id = l.tax_category_id
        WHERE l.tenant_id = NEW.tenant_id AND l.invoice_id = NEW.id AND l.tax_category_id IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.retax_lines() IS 'Row trigger of documents: their lines are taxed by their day.';
CREATE OR REPLACE TRIGGER quotes_after_update_day AFTER UPDATE OF issued_on ON crm.quotes
    FOR EACH ROW WHEN (OLD.issued_on IS DISTINCT FROM NEW.issued_on) EXECUTE FUNCTION crm_internal.retax_lines();
CREATE OR REPLACE TRIGGER invoices_after_update_day AFTER UPDATE OF issued_on ON crm.invoices
    FOR EACH ROW WHEN (OLD.issued_on IS DISTINCT FROM NEW.issued_on AND NEW.state = 'draft') EXECUTE FUNCTION crm_internal.retax_lines();

CREATE OR REPLACE TRIGGER invoice_lines_before_fill BEFORE INSERT OR UPDATE OF product_id, quantity, unit_price, unit_cost, tax_category_id, tax_percent,
    price_includes_tax ON crm.invoice_lines FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_line('invoices', 'invoice_id');

-- ---- no more than was ordered ----

CREATE OR REPLACE FUNCTION crm_internal.invoiced_quantity(tenant bigint, order_line bigint)
RETURNS numeric
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(sum(l.quantity), 0) FROM crm.invoice_lines AS l
    JOIN crm.invoices AS i ON i.tenant_id = tenant AND i.id = l.invoice_id
    WHERE l.tenant_id = tenant AND l.order_line_id = order_line AND i.kind = 'invoice' AND i.reversed_at IS NULL
$$;
COMMENT ON FUNCTION crm_internal.invoiced_quantity(bigint, bigint) IS
'How much of a line of an order is on invoices, drafts with them; what was reversed is not.';

-- security definer: all invoices of an order count, whoever sees them
CREATE OR REPLACE FUNCTION crm_internal.limit_invoiced()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ordered record;
    doc record;
    before CONSTANT numeric := CASE WHEN TG_OP = 'UPDATE' AND OLD.order_line_id = NEW.order_line_id THEN OLD.quantity ELSE 0 END;
    taken numeric;
BEGIN
    SELECT i.kind, i.order_id, i.currency INTO doc FROM crm.invoices AS i WHERE i.tenant_id = NEW.tenant_id AND i.id = NEW.invoice_id;
    SELECT l.quantity, l.order_id, o.currency, o.number, o.state INTO ordered
    FROM crm.order_lines AS l JOIN crm.orders AS o ON o.tenant_id = l.tenant_id AND o.id = l.order_id
    WHERE l.tenant_id = NEW.tenant_id AND l.id = NEW.order_line_id FOR NO KEY UPDATE OF l;     -- two who invoice it wait for each other
    IF ordered.order_id IS NULL THEN
        RETURN NEW;     -- the foreign key speaks
    END IF;
    IF doc.order_id IS DISTINCT FROM ordered.order_id OR doc.currency <> ordered.currency THEN
        RAISE EXCEPTION 'line % of an order is on a document of another order, or in another currency', NEW.order_line_id
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give the document the order and the currency of the line.';
    END IF;
    IF doc.kind <> 'invoice' THEN
        RETURN NEW;
    END IF;
    IF ordered.state = 'cancelled' THEN
        RAISE EXCEPTION 'order "%" is cancelled', ordered.number USING ERRCODE = 'CR803', HINT = 'A cancelled order is not invoiced.';
    END IF;
    taken := crm_internal.invoiced_quantity(NEW.tenant_id, NEW.order_line_id) - before;
    IF NEW.quantity > ordered.quantity - taken THEN
        RAISE EXCEPTION 'more is invoiced than was ordered' USING ERRCODE = 'CR803',
            DETAIL = format('Ordered %s, on other invoices %s, here %s.', trim_scale(ordered.quantity), trim_scale(taken), trim_scale(NEW.quantity)),
            HINT = 'Invoice what is left, or change the order.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.limit_invoiced() IS
'Row trigger of lines of invoices: no more of a line of an order is invoiced than was ordered. Error CR803.';
CREATE OR REPLACE TRIGGER invoice_lines_before_limit BEFORE INSERT OR UPDATE OF order_line_id, quantity ON crm.invoice_lines
    FOR EACH ROW WHEN (NEW.order_line_id IS NOT NULL) EXECUTE FUNCTION crm_internal.limit_invoiced();

-- ---- posting ----

-- security definer: the number, the day and the customer's name do not depend on what who posts it sees
CREATE OR REPLACE FUNCTION crm_internal.post_invoice_row()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    about crm.invoices;
    credited numeric;
BEGIN
    IF NEW.issued_on IS NULL THEN
        RAISE EXCEPTION 'a document is posted with a day' USING ERRCODE = 'not_null_violation', COLUMN = 'issued_on',
            HINT = 'Give issued_on before, or post it with crm.post_invoice(), which takes today.';
    END IF;
    IF NEW.issued_on IS DISTINCT FROM OLD.issued_on THEN
        RAISE EXCEPTION 'a document is not given its day in the statement that posts it' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Give issued_on first: its lines are taxed by it. crm.post_invoice() does both.';
    END IF;
    IF NOT EXISTS (SELECT FROM crm.invoice_lines AS l WHERE l.tenant_id = NEW.tenant_id AND l.invoice_id = NEW.id) THEN
        RAISE EXCEPTION 'a document without lines cannot be posted' USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Insert its lines first.';
    END IF;
    IF NEW.kind = 'credit_note' AND NEW.corrects_invoice_id IS NOT NULL THEN
        -- two credit notes of one invoice wait for each other
        SELECT i.* INTO about FROM crm.invoices AS i WHERE i.tenant_id = NEW.tenant_id AND i.id = NEW.corrects_invoice_id FOR NO KEY UPDATE;
        IF about.state <> 'posted' OR about.kind <> 'invoice' OR about.account_id <> NEW.account_id OR about.currency <> NEW.currency THEN
            RAISE EXCEPTION 'a credit note is about a posted invoice of the same account and currency' USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Post the invoice first; a draft is changed instead.';
        END IF;
        SELECT coalesce(sum(i.total_amount), 0) INTO credited FROM crm.invoices AS i
        WHERE i.tenant_id = NEW.tenant_id AND i.corrects_invoice_id = about.id AND i.kind = 'credit_note' AND i.state = 'posted' AND i.reversed_at IS NULL;
        IF NEW.total_amount > about.total_amount - credited THEN
            RAISE EXCEPTION 'more is credited than invoice "%" was for', about.number USING ERRCODE = 'CR803',
                DETAIL = format('The invoice is for %s %s, credited before %s, here %s.', round(about.total_amount, about.minor_units), about.currency,
                                round(credited, about.minor_units), round(NEW.total_amount, NEW.minor_units)),
                HINT = 'Credit what is left.';
        END IF;
    END IF;
    NEW.due_on := coalesce(NEW.due_on, NEW.issued_on + coalesce(
        (crm_internal.document_rule(NEW.tenant_id, 'invoices', NEW.currency::text)).days, 0));
    NEW.posted_at := coalesce(NEW.posted_at, now());
    NEW.posted_by := crm.user_id();
    NEW.bill_to := (SELECT jsonb_strip_nulls(jsonb_build_object('name', a.name, 'contact', c.name, 'address', a.address, 'city', a.city, 'country', a.country))
                    FROM crm.accounts AS a LEFT JOIN crm.contacts AS c ON c.tenant_id = a.tenant_id AND c.id = NEW.contact_id
                    WHERE a.tenant_id = NEW.tenant_id AND a.id = NEW.account_id);
    -- last: a gapless series is locked from here until the transaction ends
    NEW.number := coalesce(NEW.number, crm_internal.next_number(NEW.tenant_id, crm_internal.series_of(NEW.kind), NEW.issued_on));
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.post_invoice_row() IS
'Row trigger of invoices that are posted: number, due day and the customer''s name and address as they are now; no more is credited than was invoiced.';
-- after the totals, which it compares
CREATE OR REPLACE TRIGGER invoices_before_update_z_post BEFORE UPDATE ON crm.invoices
    FOR EACH ROW WHEN (OLD.state = 'draft' AND NEW.state = 'posted') EXECUTE FUNCTION crm_internal.post_invoice_row();

CREATE OR REPLACE FUNCTION crm_internal.use_credit_note()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    about crm.invoices;
BEGIN
    -- security definer: what a document takes back is settled, whoever posts it
    SELECT i.* INTO about FROM crm.invoices AS i WHERE i.tenant_id = NEW.tenant_id AND i.id = NEW.corrects_invoice_id FOR NO KEY UPDATE;
    IF NEW.reverses THEN
        UPDATE crm.invoices AS i SET reversed_at = NEW.posted_at WHERE i.tenant_id = NEW.tenant_id AND i.id = about.id;
    END IF;
    IF about.total_amount > about.settled_amount AND NEW.total_amount > 0 THEN
        INSERT INTO crm.payment_allocations (tenant_id, invoice_id, credit_note_id, allocated_at)
        SELECT NEW.tenant_id, CASE NEW.kind WHEN 'credit_note' THEN about.id ELSE NEW.id END, CASE NEW.kind WHEN 'credit_note' THEN NEW.id ELSE about.id END,
               NEW.posted_at;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.use_credit_note() IS
'Row trigger of posted documents that correct another: as much as is open of one is settled with the other; what is left stands to the credit of the customer.';
CREATE OR REPLACE TRIGGER invoices_after_update_use AFTER UPDATE ON crm.invoices FOR EACH ROW
    WHEN (OLD.state = 'draft' AND NEW.state = 'posted' AND NEW.corrects_invoice_id IS NOT NULL AND (NEW.kind = 'credit_note' OR NEW.reverses))
    EXECUTE FUNCTION crm_internal.use_credit_note();

CREATE OR REPLACE FUNCTION crm_internal.mark_reversed()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: what took it back counts, whoever sees that
    NEW.reversed_at := (SELECT i.posted_at FROM crm.invoices AS i
                        WHERE i.tenant_id = OLD.tenant_id AND i.corrects_invoice_id = OLD.id AND i.reverses AND i.state = 'posted');
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.mark_reversed() IS
'Row trigger of invoices: a document is taken back when a posted one takes it back, whatever is written, the owner''s hand included.';
CREATE OR REPLACE TRIGGER invoices_before_reversed BEFORE UPDATE ON crm.invoices FOR EACH ROW
    WHEN (OLD.reversed_at IS DISTINCT FROM NEW.reversed_at) EXECUTE FUNCTION crm_internal.mark_reversed();

-- ---- what is posted stays ----

CREATE OR REPLACE FUNCTION crm_internal.keep_posted()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- no part of the document: who looks after it, what it is settled with, and what the owner's own fields say
    allowed text[] := '{owner_id,team_id,shared_user_ids,shared_team_ids,custom,version,updated_at,settled_amount,paid_at,'
                      'reversed_at,dunning_level,dunned_at}';
    changed text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        -- customers that are merged take their documents along; only a function of the CRM that merges acts as the owner and says so
        IF crm.cause() LIKE 'merge%' AND pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
            allowed := allowed || '{account_id,contact_id}';
        END IF;
        SELECT string_agg(n.key, ', ' ORDER BY n.key) INTO changed
        FROM jsonb_each(to_jsonb(NEW) - allowed) AS n JOIN jsonb_each(to_jsonb(OLD)) AS o ON o.key = n.key
        WHERE n.value IS DISTINCT FROM o.value;
        IF changed IS NULL THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% "%" is posted and cannot be %', CASE TG_TABLE_NAME WHEN 'payments' THEN 'payment' ELSE replace(to_jsonb(OLD) ->> 'kind', '_', ' ') END,
        OLD.number, CASE TG_OP WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END
        USING ERRCODE = 'CR801', DETAIL = coalesce('Columns: ' || changed || '.', 'It would leave a gap in the books.'),
              HINT = 'Take it back instead: ' || CASE TG_TABLE_NAME WHEN 'payments' THEN 'crm.reverse_payment().' ELSE 'crm.reverse_invoice().' END;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_posted() IS
'Row trigger of posted documents and payments: they are neither changed nor deleted, by anybody. Error CR801. Columns that are no part of the document, '
'such as its owner, may be written.';
CREATE OR REPLACE TRIGGER invoices_before_00_keep BEFORE UPDATE OR DELETE ON crm.invoices
    FOR EACH ROW WHEN (OLD.state = 'posted') EXECUTE FUNCTION crm_internal.keep_posted();
CREATE OR REPLACE TRIGGER payments_before_00_keep BEFORE UPDATE OR DELETE ON crm.payments
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_posted();

CREATE OR REPLACE FUNCTION crm_internal.keep_posted_lines()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    doc record;
BEGIN
    -- security definer: whether a document is posted does not depend on what its writer sees
    IF TG_OP = 'UPDATE' AND NEW.invoice_id IS DISTINCT FROM OLD.invoice_id THEN
        RAISE EXCEPTION 'a line cannot be moved to another document' USING ERRCODE = 'invalid_parameter_value', HINT = 'Delete it and insert it there.';
    END IF;
    -- the lock holds off who posts it meanwhile
    SELECT i.state, i.number INTO doc FROM crm.invoices AS i
    WHERE i.tenant_id = CASE TG_OP WHEN 'INSERT' THEN NEW.tenant_id ELSE OLD.tenant_id END
      AND i.id = CASE TG_OP WHEN 'INSERT' THEN NEW.invoice_id ELSE OLD.invoice_id END FOR NO KEY UPDATE;
    IF doc.state = 'posted' THEN
        RAISE EXCEPTION 'document "%" is posted, so its lines stay', doc.number
            USING ERRCODE = 'CR801', HINT = 'Take it back instead: crm.reverse_invoice(), or a credit note.';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_posted_lines() IS 'Row trigger of lines: those of a posted document are not changed, deleted or added to. Error CR801.';
CREATE OR REPLACE TRIGGER invoice_lines_before_00_keep BEFORE INSERT OR UPDATE OR DELETE ON crm.invoice_lines
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_posted_lines();

CREATE OR REPLACE FUNCTION crm_internal.keep_allocation()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'what was allocated cannot be %', CASE TG_OP WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END
        USING ERRCODE = 'CR801', HINT = 'Take it back: crm.reverse_allocation().';
END
$$;
COMMENT ON FUNCTION crm_internal.keep_allocation() IS 'Row trigger of crm.payment_allocations: rows are only added. Error CR801.';
CREATE OR REPLACE TRIGGER payment_allocations_before_00_keep BEFORE UPDATE OR DELETE ON crm.payment_allocations
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_allocation();

CREATE OR REPLACE FUNCTION crm_internal.keep_ledger()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM crm.invoices AS i WHERE i.state = 'posted') OR EXISTS (SELECT FROM crm.payments) THEN
        RAISE EXCEPTION 'table "%" holds posted documents and cannot be emptied', TG_TABLE_NAME
            USING ERRCODE = 'CR801', HINT = 'Posted documents are taken back one by one: crm.reverse_invoice(), crm.reverse_payment().';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_ledger() IS 'Statement trigger: tables with posted documents are not truncated. Error CR801.';
CREATE OR REPLACE TRIGGER invoices_before_truncate BEFORE TRUNCATE ON crm.invoices FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.keep_ledger();
CREATE OR REPLACE TRIGGER invoice_lines_before_truncate BEFORE TRUNCATE ON crm.invoice_lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.keep_ledger();
CREATE OR REPLACE TRIGGER payments_before_truncate BEFORE TRUNCATE ON crm.payments FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.keep_ledger();
CREATE OR REPLACE TRIGGER payment_allocations_before_truncate BEFORE TRUNCATE ON crm.payment_allocations
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.keep_ledger();

-- ---- commands ----

CREATE OR REPLACE FUNCTION crm_internal.invoice_for_change(tenant bigint, id bigint)
RETURNS crm.invoices
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.invoices;
BEGIN
    PERFORM crm_internal.require('invoices', id, 'change');
    SELECT i.* INTO found FROM crm.invoices AS i WHERE i.tenant_id = tenant AND i.id = invoice_for_change.id FOR NO KEY UPDATE;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'invoice % does not exist, or is not visible to you', id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.invoice_for_change(bigint, bigint) IS 'A document that the caller may change, locked. Errors: P0002, 42501.';

CREATE OR REPLACE FUNCTION crm.post_invoice(invoice_id bigint, issued_on date DEFAULT NULL)
RETURNS crm.invoices
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    doc crm.invoices := crm_internal.invoice_for_change(t, invoice_id);
    day CONSTANT date := coalesce(post_invoice.issued_on, doc.issued_on, crm.local_day(t, now()));
BEGIN
    -- the customer's name and address are copied onto it
    PERFORM crm_internal.require('accounts', doc.account_id, 'see');
    IF doc.state = 'posted' THEN
        RETURN doc;
    END IF;
    IF doc.issued_on IS DISTINCT FROM day THEN
        UPDATE crm.invoices AS i SET issued_on = day, due_on = CASE WHEN i.due_on >= day THEN i.due_on END WHERE i.tenant_id = t AND i.id = doc.id;
    END IF;
    UPDATE crm.invoices AS i SET state = 'posted' WHERE i.tenant_id = t AND i.id = doc.id;
    SELECT i.* INTO doc FROM crm.invoices AS i WHERE i.tenant_id = t AND i.id = doc.id;
    RETURN doc;
END
$$;
COMMENT ON FUNCTION crm.post_invoice(bigint, date) IS
'Posts a draft: its lines are taxed by its day (issued_on; else the draft''s, else today), it gets its number, and nobody changes it any more. A credit note '
'settles the invoice it is about as far as that is open. Returns the document; harmless the second time. Errors, which change nothing: P0002, 42501, 55000 a '
'document without lines, CR205 a tax without a rate on the day, CR803 a credit note for more than is left.';
SELECT crm.declare_function('crm.post_invoice', 'agent');
SELECT crm.declare_api('crm.post_invoice', '{"invoice_id": 1}');

CREATE OR REPLACE FUNCTION crm.invoice_order(order_id bigint, lines jsonb DEFAULT NULL, kind text DEFAULT 'invoice', given jsonb DEFAULT '{}')
RETURNS crm.invoices
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ordered crm.orders;
    made crm.invoices;
    line record;
    new_line crm.invoice_lines;
    place integer := 0;
    wrong text;
BEGIN
    PERFORM crm_internal.require('orders', order_id, 'change');
    SELECT o.* INTO ordered FROM crm.orders AS o WHERE o.tenant_id = t AND o.id = invoice_order.order_id FOR NO KEY UPDATE;
    IF ordered.id IS NULL THEN
        RAISE EXCEPTION 'order % does not exist, or is not visible to you', invoice_order.order_id USING ERRCODE = 'no_data_found';
    END IF;
    IF invoice_order.kind NOT IN ('invoice', 'pro_forma') OR ordered.kind <> 'sale' THEN
        RAISE EXCEPTION 'an invoice or a pro forma is made of a sale' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'kind is invoice or pro_forma; what came back is credited: crm.credit_invoice().';
    END IF;
    IF lines IS NOT NULL THEN
        IF jsonb_typeof(lines) <> 'array' THEN
            RAISE EXCEPTION 'lines must be a list' USING ERRCODE = 'invalid_parameter_value', HINT = 'As in [{"order_line_id": 1, "quantity": 2}].';
        END IF;
        SELECT string_agg(e.value::text, ', ') INTO wrong FROM jsonb_array_elements(lines) AS e
        WHERE NOT CASE WHEN jsonb_typeof(e.value) = 'object'
                       THEN jsonb_typeof(e.value -> 'order_line_id') = 'number' AND coalesce(jsonb_typeof(e.value -> 'quantity'), 'number') = 'number'
                            AND e.value - '{order_line_id,quantity}'::text[] = '{}'
                            AND EXISTS (SELECT FROM crm.order_lines AS l WHERE l.tenant_id = t AND l.order_id = ordered.id
                                        AND l.id = (e.value ->> 'order_line_id')::numeric)
                       ELSE false END;
        IF wrong IS NOT NULL THEN
            RAISE EXCEPTION 'these are no lines of order %: %', ordered.id, wrong USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Each says order_line_id and, unless all that is left is meant, quantity.';
        END IF;
    END IF;
    made := crm.carry_owned(crm.given_row(NULL::crm.invoices, given, 'open'), ordered, 'convert');
    made.kind := invoice_order.kind;
    made.order_id := ordered.id;
    made := crm.insert_row(made);
    FOR line IN
        SELECT l AS row, q.description,
               coalesce((e.value ->> 'quantity')::numeric, l.quantity - CASE invoice_order.kind
                        WHEN 'invoice' THEN crm_internal.invoiced_quantity(t, l.id) ELSE 0 END) AS quantity
        FROM crm.order_lines AS l
        LEFT JOIN crm.quote_lines AS q ON q.tenant_id = t AND q.id = l.quote_line_id
        LEFT JOIN jsonb_array_elements(lines) AS e ON (e.value ->> 'order_line_id')::numeric = l.id
        WHERE l.tenant_id = t AND l.order_id = ordered.id AND (lines IS NULL OR e.value IS NOT NULL)
        ORDER BY l.id
    LOOP
        CONTINUE WHEN line.quantity = 0 AND lines IS NULL;
        place := place + 1;
        new_line := crm.carry_row(NULL::crm.invoice_lines, line.row, 'convert');
        new_line.invoice_id := made.id;
        new_line.order_line_id := (line.row).id;
        new_line.position := place;
        new_line.description := line.description;
        new_line.quantity := line.quantity;
        PERFORM crm.insert_row(new_line);
    END LOOP;
    IF place = 0 THEN
        RAISE EXCEPTION 'nothing is left to invoice of order "%"', coalesce(ordered.number, ordered.id::text) USING ERRCODE = 'CR803',
            HINT = 'All of it is on invoices, or it has no lines.';
    END IF;
    SELECT i.* INTO made FROM crm.invoices AS i WHERE i.tenant_id = t AND i.id = made.id;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.invoice_order(bigint, jsonb, text, jsonb) IS
'Makes a draft of an invoice (or of a pro forma, kind pro_forma) of an order: of all that is not invoiced yet, or of the lines given, as in '
'[{"order_line_id": 1, "quantity": 2}]. given says columns of the document. Returns it; crm.post_invoice() posts it. Errors: P0002, 42501, 22023 lines that '
'are none of the order''s, CR803 more than is left.';
SELECT crm.declare_function('crm.invoice_order', 'agent');
SELECT crm.declare_api('crm.invoice_order', '{"order_id": 1, "lines": [{"order_line_id": 1, "quantity": 2}]}');

CREATE OR REPLACE FUNCTION crm_internal.counter_document(doc crm.invoices, kind text, whole boolean, reason text)
RETURNS crm.invoices
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.invoices;
    line crm.invoice_lines;
    new_line crm.invoice_lines;
BEGIN
    made := crm.carry_owned(NULL::crm.invoices, doc, 'convert');
    made.kind := counter_document.kind;
    made.corrects_invoice_id := doc.id;
    made.reverses := whole;
    made.reason := counter_document.reason;
    made := crm.insert_row(made);
    FOR line IN SELECT l.* FROM crm.invoice_lines AS l WHERE l.tenant_id = doc.tenant_id AND l.invoice_id = doc.id ORDER BY l.position, l.id LOOP
        new_line := crm.carry_row(NULL::crm.invoice_lines, line, 'convert');
        new_line.invoice_id := made.id;
        new_line.corrects_line_id := line.id;
        new_line.order_line_id := NULL;
        PERFORM crm.insert_row(new_line);
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm_internal.counter_document(crm.invoices, text, boolean, text) IS 'A draft with the lines of a posted document, that takes it back.';

CREATE OR REPLACE FUNCTION crm.credit_invoice(invoice_id bigint, reason text)
RETURNS crm.invoices
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    doc CONSTANT crm.invoices := crm_internal.invoice_for_change(crm.tenant_id(), invoice_id);
    made crm.invoices;
BEGIN
    IF doc.state <> 'posted' OR doc.kind <> 'invoice' THEN
        RAISE EXCEPTION 'only a posted invoice is credited' USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'A draft is changed or deleted.';
    END IF;
    made := crm_internal.counter_document(doc, 'credit_note', false, reason);
    SELECT i.* INTO made FROM crm.invoices AS i WHERE i.tenant_id = made.tenant_id AND i.id = made.id;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.credit_invoice(bigint, text) IS
'Makes a draft of a credit note with the lines of a posted invoice. Delete or change its lines to what is given back, then post it (crm.post_invoice). Returns '
'it. Errors: P0002, 42501, 55000 a document that is no posted invoice.';
SELECT crm.declare_function('crm.credit_invoice', 'agent');
SELECT crm.declare_api('crm.credit_invoice', '{"invoice_id": 1, "reason": "two came broken"}');

CREATE OR REPLACE FUNCTION crm.reverse_invoice(invoice_id bigint, reason text, issued_on date DEFAULT NULL)
RETURNS crm.invoices
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    doc CONSTANT crm.invoices := crm_internal.invoice_for_change(t, invoice_id);
    made crm.invoices;
BEGIN
    IF doc.state <> 'posted' OR doc.kind = 'pro_forma' THEN
        RAISE EXCEPTION 'only a posted invoice or credit note is reversed' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'A draft is changed or deleted; a pro forma counts for nothing.';
    END IF;
    IF coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'a reversal needs a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'Say why in reason.';
    END IF;
    -- reversed before: the second click
    SELECT i.* INTO made FROM crm.invoices AS i WHERE i.tenant_id = t AND i.corrects_invoice_id = doc.id AND i.reverses;
    IF made.id IS NOT NULL THEN
        RETURN made;
    END IF;
    made := crm_internal.counter_document(doc, CASE doc.kind WHEN 'invoice' THEN 'credit_note' ELSE 'invoice' END, true, reason);
    RETURN crm.post_invoice(made.id, reverse_invoice.issued_on);
END
$$;
COMMENT ON FUNCTION crm.reverse_invoice(bigint, text, date) IS
'Takes a posted invoice or credit note back as a whole, by a posted document of the other kind with the same lines, amounts and taxes: the two balance to '
'zero. What was paid of the invoice stands to the credit of the customer, and the order can be invoiced again. Returns that document; the same one the '
'second time. Errors: P0002, 42501, 55000 a draft or a pro forma, 22023 no reason, CR803 an invoice of which some was credited.';
SELECT crm.declare_function('crm.reverse_invoice', 'manager');
SELECT crm.declare_api('crm.reverse_invoice', '{"invoice_id": 1, "reason": "sent to the wrong customer"}');
