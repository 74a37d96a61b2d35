-- Payments: what they are opened with, what they pay, and taking them back.

-- ---- rows ----

CREATE OR REPLACE FUNCTION crm_internal.fill_payment()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: series are the company's, whoever writes a payment down
    NEW.received_on := crm.local_day(NEW.tenant_id, NEW.received_at);
    IF NEW.number IS NULL THEN
        NEW.number := crm_internal.next_number(NEW.tenant_id, 'payments', NEW.received_on);
    ELSE
        PERFORM crm_internal.check_number(NEW.tenant_id, 'payments', NEW.number);
    END IF;
    NEW.reversed_at := NULL;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_payment() IS 'Row trigger of payments: their day, and a number that nobody gave.';
CREATE OR REPLACE TRIGGER payments_before_fill BEFORE INSERT ON crm.payments FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_payment();

CREATE OR REPLACE FUNCTION crm_internal.mark_payment_reversed()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: what took it back counts, whoever sees that
    NEW.reversed_at := (SELECT p.received_at FROM crm.payments AS p WHERE p.tenant_id = OLD.tenant_id AND p.reverses_payment_id = OLD.id);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.mark_payment_reversed() IS
'Row trigger of payments: one is taken back when another takes it back, whatever is written, the owner''s hand included.';
CREATE OR REPLACE TRIGGER payments_before_reversed BEFORE UPDATE ON crm.payments FOR EACH ROW
    WHEN (OLD.reversed_at IS DISTINCT FROM NEW.reversed_at) EXECUTE FUNCTION crm_internal.mark_payment_reversed();

CREATE OR REPLACE FUNCTION crm_internal.settle_invoice()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: all that is allocated counts, whoever sees it
    IF OLD.kind = 'credit_note' THEN
        SELECT coalesce(sum(a.source_amount), 0) INTO NEW.settled_amount FROM crm.payment_allocations AS a
        WHERE a.tenant_id = OLD.tenant_id AND a.credit_note_id = OLD.id;
        NEW.paid_at := NULL;
        RETURN NEW;
    END IF;
    SELECT coalesce(sum(a.amount), 0), CASE WHEN coalesce(sum(a.amount), 0) >= NEW.total_amount THEN max(a.allocated_at) END
    INTO NEW.settled_amount, NEW.paid_at
    FROM crm.payment_allocations AS a WHERE a.tenant_id = OLD.tenant_id AND a.invoice_id = OLD.id;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.settle_invoice() IS 'Row trigger of invoices: what is settled is what crm.payment_allocations says, whatever is written.';
CREATE OR REPLACE TRIGGER invoices_before_settle BEFORE UPDATE ON crm.invoices FOR EACH ROW
    WHEN (OLD.settled_amount IS DISTINCT FROM NEW.settled_amount OR OLD.paid_at IS DISTINCT FROM NEW.paid_at)
    EXECUTE FUNCTION crm_internal.settle_invoice();

-- ---- allocating ----

CREATE OR REPLACE FUNCTION crm_internal.as_reversal(taking_back crm.payment_allocations)
RETURNS crm.payment_allocations
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was crm.payment_allocations;
BEGIN
    SELECT a.* INTO was FROM crm.payment_allocations AS a
    WHERE a.tenant_id = taking_back.tenant_id AND a.id = taking_back.reverses_allocation_id;
    IF was.reverses_allocation_id IS NOT NULL OR was.invoice_id <> taking_back.invoice_id OR was.payment_id IS DISTINCT FROM taking_back.payment_id
       OR was.credit_note_id IS DISTINCT FROM taking_back.credit_note_id THEN
        RAISE EXCEPTION 'row % takes back what it is not about', taking_back.id USING ERRCODE = 'invalid_parameter_value',
            HINT = 'crm.reverse_allocation() takes an allocation back.';
    END IF;
    taking_back.amount := - was.amount;
    taking_back.source_amount := - was.source_amount;
    RETURN taking_back;
END
$$;
COMMENT ON FUNCTION crm_internal.as_reversal(crm.payment_allocations) IS
'A row that takes back another one, with its amounts below zero. Error 22023 where it is about something else.';

-- security definer: what is left of a payment and of an invoice does not depend on what its writer sees
CREATE OR REPLACE FUNCTION crm_internal.allocate()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := NEW.tenant_id;
    source record;
    doc crm.invoices;
    open numeric;
    rest numeric;
    worth numeric;
    units integer;
BEGIN
    -- the payment first, then the invoice, so that two who allocate wait for each other in one order
    IF NEW.payment_id IS NOT NULL THEN
        SELECT p.account_id, p.currency::text AS currency, p.received_on AS day, p.amount, 'payment ' || p.number AS name, p.reversed_at IS NULL AS good
        INTO source
        FROM crm.payments AS p WHERE p.tenant_id = t AND p.id = NEW.payment_id FOR NO KEY UPDATE;
    ELSE
        SELECT i.account_id, i.currency::text AS currency, i.issued_on AS day, i.total_amount AS amount, 'credit note ' || i.number AS name,
               i.kind = 'credit_note' AND i.state = 'posted' AS good INTO source
        FROM crm.invoices AS i WHERE i.tenant_id = t AND i.id = NEW.credit_note_id FOR NO KEY UPDATE;
    END IF;
    SELECT i.* INTO doc FROM crm.invoices AS i WHERE i.tenant_id = t AND i.id = NEW.invoice_id FOR NO KEY UPDATE;
    IF doc.id IS NULL OR source.account_id IS NULL THEN
        RETURN NEW;     -- the foreign keys speak
    END IF;
    IF NEW.reverses_allocation_id IS NOT NULL THEN
        RETURN crm_internal.as_reversal(NEW);
    END IF;
    IF doc.kind <> 'invoice' OR doc.state <> 'posted' OR NOT source.good THEN
        RAISE EXCEPTION 'only posted invoices are paid, with payments that stand or posted credit notes'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Post the document first: crm.post_invoice().';
    END IF;
    IF source.account_id <> doc.account_id THEN
        RAISE EXCEPTION '% is of another account than invoice "%"', source.name, doc.number
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Write the payment down for the account that was invoiced.';
    END IF;
    open := doc.total_amount - (SELECT coalesce(sum(a.amount), 0) FROM crm.payment_allocations AS a WHERE a.tenant_id = t AND a.invoice_id = doc.id);
    rest := source.amount - CASE WHEN NEW.payment_id IS NOT NULL
        THEN (SELECT coalesce(sum(a.source_amount), 0) FROM crm.payment_allocations AS a WHERE a.tenant_id = t AND a.payment_id = NEW.payment_id)
        ELSE (SELECT coalesce(sum(a.source_amount), 0) FROM crm.payment_allocations AS a WHERE a.tenant_id = t AND a.credit_note_id = NEW.credit_note_id) END;
    SELECT c.minor_units INTO units FROM crm.currencies AS c WHERE c.code = source.currency;
    IF NEW.amount IS NULL AND NEW.source_amount IS NULL THEN
        -- as much as both have left; whoever is exhausted is so to the minor unit
        worth := round(crm.convert_currency(rest, source.currency, doc.currency::text, 'at_event_date', source.day, tenant_id => t), doc.minor_units);
        IF worth <= open THEN
            NEW.amount := worth;
            NEW.source_amount := rest;
        ELSE
            NEW.amount := open;
        END IF;
    END IF;
    IF NEW.source_amount IS NULL THEN
        NEW.source_amount := CASE WHEN source.currency = doc.currency THEN NEW.amount
            ELSE round(crm.convert_currency(NEW.amount, doc.currency::text, source.currency, 'at_event_date', source.day, tenant_id => t), units) END;
    ELSIF NEW.amount IS NULL THEN
        NEW.amount := CASE WHEN source.currency = doc.currency THEN NEW.source_amount
            ELSE round(crm.convert_currency(NEW.source_amount, source.currency, doc.currency::text, 'at_event_date', source.day, tenant_id => t),
                       doc.minor_units) END;
    ELSIF source.currency = doc.currency AND NEW.amount <> NEW.source_amount THEN
        RAISE EXCEPTION 'in one currency what is paid is what is taken' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give amount alone.';
    END IF;
    IF NEW.amount > open OR NEW.source_amount > rest OR open = 0 OR rest = 0 THEN
        RAISE EXCEPTION 'more is allocated than is left' USING ERRCODE = 'CR803',
            DETAIL = format('Invoice %s has %s %s open, %s has %s %s left; wanted are %s %s of it.', doc.number, round(open, doc.minor_units), doc.currency,
                            source.name,
                            trim_scale(rest), source.currency, trim_scale(NEW.amount), doc.currency),
            HINT = 'Allocate what is left; the rest stands to the credit of the customer.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.allocate() IS
'Row trigger of crm.payment_allocations: neither a payment nor an invoice is used up further than it goes, whoever writes and however many at once; amounts '
'that nobody gave, at the rate of the day of the payment. Errors: CR803, CR203 no rate, 22023 another account, 55000 a draft.';
CREATE OR REPLACE TRIGGER payment_allocations_before_allocate BEFORE INSERT ON crm.payment_allocations
    FOR EACH ROW EXECUTE FUNCTION crm_internal.allocate();

CREATE OR REPLACE FUNCTION crm_internal.note_allocation()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: the document follows, whoever allocates; its own trigger sums up
    UPDATE crm.invoices AS i SET settled_amount = i.settled_amount + NEW.amount WHERE i.tenant_id = NEW.tenant_id AND i.id = NEW.invoice_id;
    IF NEW.credit_note_id IS NOT NULL THEN
        UPDATE crm.invoices AS i SET settled_amount = i.settled_amount + NEW.source_amount WHERE i.tenant_id = NEW.tenant_id AND i.id = NEW.credit_note_id;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.note_allocation() IS 'Row trigger of crm.payment_allocations: documents know what of them is settled.';
CREATE OR REPLACE TRIGGER payment_allocations_after_note AFTER INSERT ON crm.payment_allocations
    FOR EACH ROW EXECUTE FUNCTION crm_internal.note_allocation();

-- ---- commands ----

CREATE OR REPLACE FUNCTION crm_internal.payment_for_change(tenant bigint, id bigint)
RETURNS crm.payments
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.payments;
BEGIN
    PERFORM crm_internal.require('payments', id, 'change');
    SELECT p.* INTO found FROM crm.payments AS p WHERE p.tenant_id = tenant AND p.id = payment_for_change.id FOR NO KEY UPDATE;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'payment % does not exist, or is not visible to you', id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.payment_for_change(bigint, bigint) IS 'A payment that the caller may change, locked. Errors: P0002, 42501.';

CREATE OR REPLACE FUNCTION crm.allocate_payment(payment_id bigint, allocations jsonb DEFAULT NULL)
RETURNS SETOF crm.payment_allocations
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    p CONSTANT crm.payments := crm_internal.payment_for_change(t, payment_id);
    wanted record;
    made crm.payment_allocations;
    rest numeric;
    wrong text;
BEGIN
    IF allocations IS NOT NULL THEN
        SELECT string_agg(e.value::text, ', ') INTO wrong
        FROM jsonb_array_elements(CASE jsonb_typeof(allocations) WHEN 'array' THEN allocations ELSE jsonb_build_array(allocations) END) AS e
        WHERE NOT CASE WHEN jsonb_typeof(e.value) = 'object'
                       THEN jsonb_typeof(e.value -> 'invoice_id') = 'number' AND coalesce(jsonb_typeof(e.value -> 'amount'), 'number') = 'number'
                            AND e.value - '{invoice_id,amount}'::text[] = '{}' ELSE false END;
        IF wrong IS NOT NULL OR jsonb_typeof(allocations) <> 'array' THEN
            RAISE EXCEPTION 'these are no allocations: %', coalesce(wrong, allocations::text) USING ERRCODE = 'invalid_parameter_value',
                HINT = 'A list as in [{"invoice_id": 1, "amount": 100}]; without amount as much as is left.';
        END IF;
        PERFORM crm_internal.require('invoices', (e.value ->> 'invoice_id')::bigint, 'change') FROM jsonb_array_elements(allocations) AS e;
    END IF;
    -- in one order, whoever pays what; without a list what is due first of the currency the money is in, of what the caller may change
    FOR wanted IN
        SELECT (e.value ->> 'invoice_id')::bigint AS invoice_id, (e.value ->> 'amount')::numeric AS amount, NULL::date AS due_on
        FROM jsonb_array_elements(allocations) AS e
        UNION ALL
        SELECT i.id, NULL, i.due_on FROM crm.invoices AS i
        WHERE allocations IS NULL AND i.tenant_id = t AND i.account_id = p.account_id AND i.currency = p.currency AND i.kind = 'invoice'
          AND i.state = 'posted' AND i.paid_at IS NULL AND (crm.whole_tenant() IS NOT NULL OR crm.can_change_record('invoices', i.id))
        ORDER BY due_on, invoice_id
    LOOP
        IF allocations IS NULL THEN
            SELECT p.amount - coalesce(sum(a.source_amount), 0) INTO rest FROM crm.payment_allocations AS a WHERE a.tenant_id = t AND a.payment_id = p.id;
            EXIT WHEN rest <= 0;
            -- somebody else may have paid it meanwhile
            CONTINUE WHEN NOT EXISTS (SELECT FROM crm.invoices AS i WHERE i.tenant_id = t AND i.id = wanted.invoice_id AND i.settled_amount < i.total_amount
                                      FOR NO KEY UPDATE);
        END IF;
        -- what is written down late was paid when the money came; money that lay there pays now
        INSERT INTO crm.payment_allocations AS a (tenant_id, invoice_id, payment_id, amount, allocated_at)
        VALUES (t, wanted.invoice_id, p.id, wanted.amount, CASE WHEN p.created_at = now() THEN greatest(p.received_at, (
                    SELECT i.posted_at FROM crm.invoices AS i WHERE i.tenant_id = t AND i.id = wanted.invoice_id)) ELSE now() END)
        RETURNING a.* INTO made;
        RETURN NEXT made;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.allocate_payment(bigint, jsonb) IS
'Pays invoices with a payment: those given, as in [{"invoice_id": 1, "amount": 100}] (in the currency of the invoice; without amount as much as is left), else '
'the customer''s open ones that the caller may change, in the currency of the payment, by due day. What is left stands to the credit of the customer. Returns '
'what was allocated. Errors, which change nothing: P0002, 42501, CR803 more than is left, CR203 no rate on the day of the payment, 22023 an invoice of '
'somebody else.';
SELECT crm.declare_function('crm.allocate_payment', 'agent');

CREATE OR REPLACE FUNCTION crm.record_payment(
    account_id bigint, amount numeric, currency text DEFAULT NULL, received_at timestamptz DEFAULT now(), method text DEFAULT NULL, reference text DEFAULT NULL,
    allocations jsonb DEFAULT NULL)
RETURNS crm.payments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    made crm.payments;
BEGIN
    PERFORM crm_internal.require('accounts', account_id, 'change');
    INSERT INTO crm.payments AS p (tenant_id, account_id, amount, currency, received_at, method, reference)
    VALUES (t, record_payment.account_id, record_payment.amount, upper(record_payment.currency), record_payment.received_at, record_payment.method,
            record_payment.reference)
    RETURNING p.* INTO made;
    PERFORM crm.allocate_payment(made.id, record_payment.allocations);
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.record_payment(bigint, numeric, text, timestamptz, text, text, jsonb) IS
'Writes down what a customer paid and pays invoices with it, as crm.allocate_payment() does; [] pays none. Returns the payment. Errors: as there, and 23514 an '
'amount that is not positive, 23503 an unknown currency or account.';
SELECT crm.declare_function('crm.record_payment', 'agent');
SELECT crm.declare_api('crm.record_payment', '{"account_id": 1, "amount": 1190, "currency": "EUR", "method": "transfer", "reference": "I2026-00001"}');

CREATE OR REPLACE FUNCTION crm_internal.take_back_allocation(was crm.payment_allocations)
RETURNS crm.payment_allocations
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.payment_allocations;
BEGIN
    INSERT INTO crm.payment_allocations AS a (tenant_id, invoice_id, payment_id, credit_note_id, amount, source_amount, reverses_allocation_id)
    VALUES (was.tenant_id, was.invoice_id, was.payment_id, was.credit_note_id, - was.amount, - was.source_amount, was.id)
    RETURNING a.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm_internal.take_back_allocation(crm.payment_allocations) IS 'Takes back what was allocated, by a row of its own.';

CREATE OR REPLACE FUNCTION crm.reverse_allocation(allocation_id bigint)
RETURNS crm.payment_allocations
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    was crm.payment_allocations;
BEGIN
    PERFORM crm_internal.require('payment_allocations', allocation_id, 'change');
    SELECT a.* INTO was FROM crm.payment_allocations AS a WHERE a.tenant_id = t AND a.id = allocation_id;
    IF was.id IS NULL OR was.reverses_allocation_id IS NOT NULL
       OR EXISTS (SELECT FROM crm.payment_allocations AS a WHERE a.tenant_id = t AND a.reverses_allocation_id = was.id) THEN
        RAISE EXCEPTION 'allocation % is not there, or was taken back', allocation_id USING ERRCODE = 'no_data_found',
            HINT = 'See crm.payment_allocations.';
    END IF;
    RETURN crm_internal.take_back_allocation(was);
END
$$;
COMMENT ON FUNCTION crm.reverse_allocation(bigint) IS
'Takes back what was allocated to an invoice: the invoice is open again, and the money stands to the credit of the customer. Returns the row that does so. '
'Errors: P0002, 42501.';
SELECT crm.declare_function('crm.reverse_allocation', 'manager');

CREATE OR REPLACE FUNCTION crm.reverse_payment(payment_id bigint, reason text)
RETURNS crm.payments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    p CONSTANT crm.payments := crm_internal.payment_for_change(t, payment_id);
    was crm.payment_allocations;
    made crm.payments;
BEGIN
    IF p.reverses_payment_id IS NOT NULL THEN
        RAISE EXCEPTION 'payment "%" takes another one back', p.number USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Record the payment anew.';
    END IF;
    IF coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'a reversal needs a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'Say why in reason.';
    END IF;
    -- reversed before: the second click
    SELECT x.* INTO made FROM crm.payments AS x WHERE x.tenant_id = t AND x.reverses_payment_id = p.id;
    IF made.id IS NOT NULL THEN
        RETURN made;
    END IF;
    FOR was IN SELECT a.* FROM crm.payment_allocations AS a
               WHERE a.tenant_id = t AND a.payment_id = p.id AND a.reverses_allocation_id IS NULL
                 AND NOT EXISTS (SELECT FROM crm.payment_allocations AS b WHERE b.tenant_id = t AND b.reverses_allocation_id = a.id)
               ORDER BY a.invoice_id, a.id LOOP
        PERFORM crm_internal.take_back_allocation(was);
    END LOOP;
    INSERT INTO crm.payments AS x (tenant_id, account_id, amount, currency, method, reference, reverses_payment_id, reason)
    VALUES (t, p.account_id, - p.amount, p.currency, p.method, p.reference, p.id, reverse_payment.reason)
    RETURNING x.* INTO made;
    UPDATE crm.payments AS x SET reversed_at = made.received_at WHERE x.tenant_id = t AND x.id = p.id;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.reverse_payment(bigint, text) IS
'Takes a payment back, such as a cheque that bounced: by a payment below zero, and the invoices it paid are open again. Returns that payment; the same one the '
'second time. Errors: P0002, 42501, 55000 a payment that takes back another, 22023 no reason.';
SELECT crm.declare_function('crm.reverse_payment', 'manager');
SELECT crm.declare_api('crm.reverse_payment', '{"payment_id": 1, "reason": "cheque bounced"}');
