-- Subscriptions: what is billed of them, what is given back, and the deals by which they are renewed.
--
-- An interval is billed once it begins (billed in advance) or is over (in arrears). A line that holds for a part of it is billed by the day: its price
-- times its days over those of the interval. What ends early after it was billed is credited by the same rule. Whoever bills holds the row of the
-- subscription, and no day of a line can stand there twice.

CREATE OR REPLACE FUNCTION crm_internal.days_to_bill(s crm.subscriptions, today date)
RETURNS TABLE (of_interval daterange, line_id bigint, part daterange)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    open record;
    day date;
    turn daterange;
BEGIN
    FOR open IN SELECT u.line_id, u.days FROM crm_internal.unbilled_days(s.tenant_id, s.id, s.bills_from) AS u LOOP
        day := lower(open.days);
        LOOP
            turn := crm_internal.interval_at(s.starts_on, s.interval_months, s.calendar, day);
            EXIT WHEN CASE s.billed WHEN 'advance' THEN day ELSE upper(turn) END > today;
            of_interval := turn;
            line_id := open.line_id;
            part := turn * open.days;
            RETURN NEXT;
            day := upper(part);
            EXIT WHEN day >= upper(open.days);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.days_to_bill(crm.subscriptions, date) IS
'What is to be billed of a subscription by a day: parts of its intervals, line by line.';

CREATE OR REPLACE FUNCTION crm_internal.day_words(day date, calendar text, language text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN translate(CASE calendar WHEN 'jalali' THEN crm.format_jalali(day, 'YYYY/MM/DD') ELSE to_char(day, 'YYYY-MM-DD') END, '0123456789',
        coalesce((SELECT x.words ->> 'digits' FROM crm_internal.texts AS x WHERE x.area = 'documents' AND x.language = day_words.language), '0123456789'));
END
$$;
COMMENT ON FUNCTION crm_internal.day_words(date, text, text) IS 'A day as it is printed on documents, in a calendar and the digits of a language.';

CREATE OR REPLACE FUNCTION crm_internal.post_bill(s crm.subscriptions, invoice bigint, today date)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF s.post_bills THEN
        UPDATE crm.invoices AS i SET issued_on = today WHERE i.tenant_id = s.tenant_id AND i.id = invoice;
        UPDATE crm.invoices AS i SET state = 'posted' WHERE i.tenant_id = s.tenant_id AND i.id = invoice;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.post_bill(crm.subscriptions, bigint, date) IS 'Posts a document of a subscription, where its documents are posted at once.';

CREATE OR REPLACE FUNCTION crm_internal.bill_interval(s crm.subscriptions, turn daterange, today date, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.invoices;
    new_line crm.invoice_lines;
    part record;
    place integer := 0;
    share numeric;
    language CONSTANT text := (SELECT t.language FROM crm.tenants AS t WHERE t.tenant_id = s.tenant_id);
BEGIN
    made := crm.carry_owned(NULL::crm.invoices, s, 'convert');
    made.kind := 'invoice';
    made := crm.insert_row(made);
    FOR part IN
        SELECT l AS line, p.name AS product, d.part FROM crm_internal.days_to_bill(s, today) AS d
        JOIN crm.subscription_lines AS l ON l.tenant_id = s.tenant_id AND l.id = d.line_id
        JOIN crm.products AS p ON p.tenant_id = s.tenant_id AND p.id = l.product_id
        WHERE d.of_interval = turn ORDER BY l.id, d.part
    LOOP
        place := place + 1;
        share := (upper(part.part) - lower(part.part))::numeric / (upper(turn) - lower(turn));
        new_line := crm.carry_row(NULL::crm.invoice_lines, part.line, 'convert');
        new_line.invoice_id := made.id;
        new_line.position := place;
        new_line.unit_price := round((part.line).unit_price * share, 4);
        new_line.unit_cost := round((part.line).unit_cost * share, 4);
        new_line.description := coalesce((part.line).description, part.product) || ' · ' || crm_internal.day_words(lower(part.part), s.calendar, language)
            || '–' || crm_internal.day_words(upper(part.part) - 1, s.calendar, language);
        new_line := crm.insert_row(new_line);
        INSERT INTO crm.subscription_bills (tenant_id, subscription_id, line_id, days, invoice_id, invoice_line_id, billed_at)
        VALUES (s.tenant_id, s.id, (part.line).id, part.part, made.id, new_line.id, as_of);
    END LOOP;
    PERFORM crm_internal.post_bill(s, made.id, today);
END
$$;
COMMENT ON FUNCTION crm_internal.bill_interval(crm.subscriptions, daterange, date, timestamptz) IS
'An invoice of what is to be billed of an interval of a subscription.';

CREATE OR REPLACE FUNCTION crm_internal.take_off_draft(bill crm.subscription_bills, kept daterange, share numeric)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT isempty(kept) THEN
        UPDATE crm.invoice_lines AS l SET unit_price = round(l.unit_price * (1 - share), 4), unit_cost = round(l.unit_cost * (1 - share), 4)
        WHERE l.tenant_id = bill.tenant_id AND l.id = bill.invoice_line_id;
        RETURN;
    END IF;
    DELETE FROM crm.invoice_lines AS l WHERE l.tenant_id = bill.tenant_id AND l.id = bill.invoice_line_id;
    DELETE FROM crm.invoices AS i WHERE i.tenant_id = bill.tenant_id AND i.id = bill.invoice_id
        AND NOT EXISTS (SELECT FROM crm.invoice_lines AS l WHERE l.tenant_id = i.tenant_id AND l.invoice_id = i.id);
END
$$;
COMMENT ON FUNCTION crm_internal.take_off_draft(crm.subscription_bills, daterange, numeric) IS
'Takes days that are not owed any more off a draft; a draft of which nothing is left goes.';

CREATE OR REPLACE FUNCTION crm_internal.credit_days(s crm.subscriptions, today date)
RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    over record;
    doc crm.invoices;
    note crm.invoices;
    was crm.invoice_lines;
    new_line crm.invoice_lines;
    share numeric;
    done integer := 0;
    language CONSTANT text := (SELECT t.language FROM crm.tenants AS t WHERE t.tenant_id = s.tenant_id);
BEGIN
    FOR over IN
        SELECT b AS bill, b.days * l.during AS kept, lower(b.days - b.days * l.during) AS gone_from,
               upper(b.days - b.days * l.during) - lower(b.days - b.days * l.during) AS gone,
               upper(b.days) - lower(b.days) AS billed
        FROM crm.subscription_bills AS b JOIN crm.subscription_lines AS l ON l.tenant_id = b.tenant_id AND l.id = b.line_id
        WHERE b.tenant_id = s.tenant_id AND b.subscription_id = s.id AND NOT b.days <@ l.during ORDER BY b.invoice_id, b.id
    LOOP
        done := done + 1;
        share := over.gone::numeric / over.billed;
        SELECT i.* INTO doc FROM crm.invoices AS i WHERE i.tenant_id = s.tenant_id AND i.id = (over.bill).invoice_id FOR NO KEY UPDATE;
        IF doc.state = 'draft' THEN
            PERFORM crm_internal.take_off_draft(over.bill, over.kept, share);
        ELSIF doc.reversed_at IS NULL THEN
            IF note.corrects_invoice_id IS DISTINCT FROM doc.id THEN
                PERFORM crm_internal.post_bill(s, note.id, today) WHERE note.id IS NOT NULL;
                note := crm.carry_owned(NULL::crm.invoices, doc, 'convert');
                note.kind := 'credit_note';
                note.corrects_invoice_id := doc.id;
                note.order_id := NULL;
                note.reason := s.name || coalesce(': ' || s.cancel_reason, '');
                note := crm.insert_row(note);
            END IF;
            SELECT l.* INTO was FROM crm.invoice_lines AS l WHERE l.tenant_id = s.tenant_id AND l.id = (over.bill).invoice_line_id;
            new_line := crm.carry_row(NULL::crm.invoice_lines, was, 'convert');
            new_line.invoice_id := note.id;
            new_line.corrects_line_id := was.id;
            new_line.description := regexp_replace(was.description, ' · [^·]*$', '') || ' · ' || crm_internal.day_words(over.gone_from, s.calendar, language)
                || '–' || crm_internal.day_words(over.gone_from + over.gone - 1, s.calendar, language);
            new_line.unit_price := round(was.unit_price * share, 4);
            new_line.unit_cost := round(was.unit_cost * share, 4);
            PERFORM crm.insert_row(new_line);
        END IF;
        -- the row is gone with a line of a draft
        IF isempty(over.kept) THEN
            DELETE FROM crm.subscription_bills AS b WHERE b.tenant_id = s.tenant_id AND b.id = (over.bill).id;
        ELSE
            UPDATE crm.subscription_bills AS b SET days = over.kept WHERE b.tenant_id = s.tenant_id AND b.id = (over.bill).id;
        END IF;
    END LOOP;
    PERFORM crm_internal.post_bill(s, note.id, today) WHERE note.id IS NOT NULL;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.credit_days(crm.subscriptions, date) IS
'Gives back what was billed of a subscription for days on which its lines do not hold any more: off the draft, or by a credit note.';

CREATE OR REPLACE FUNCTION crm_internal.bill_some(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    today CONSTANT date := crm.local_day(tenant, as_of);
    s crm.subscriptions;
    turn daterange;
    done bigint := 0;
BEGIN
    FOR s IN SELECT x.* FROM crm.subscriptions AS x WHERE x.tenant_id = tenant AND x.id = ANY (items::bigint[]) ORDER BY x.id LOOP
        done := done + crm_internal.credit_days(s, today);
        FOR turn IN SELECT DISTINCT d.of_interval FROM crm_internal.days_to_bill(s, today) AS d ORDER BY 1 LOOP
            PERFORM crm_internal.bill_interval(s, turn, today, as_of);
            done := done + 1;
        END LOOP;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.bill_some(bigint, text[], timestamptz) IS
'Bills some subscriptions of a company; returns how many documents it made or changed.';

CREATE OR REPLACE FUNCTION crm.bill_subscriptions(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.bill_subscriptions',
        'crm.subscriptions AS x WHERE x.next_bill_on <= ($1 AT TIME ZONE ''UTC'')::date + 1 AND x.next_bill_on <= crm.local_day(x.tenant_id, $1)',
        'x.id', 'x.next_bill_on, x.id', 'NO KEY UPDATE', 'crm_internal.bill_some', as_of, batch)
$$;
COMMENT ON FUNCTION crm.bill_subscriptions(timestamptz, integer) IS
'Makes an invoice of each interval of a subscription that is due, exactly once however many callers there are, for all tenants: a draft, posted where '
'post_bills says so. A part of an interval is billed by the day: price times days over the days of the interval. What was billed beyond the end of a line is '
'taken off its draft, or credited by the same rule. Returns how many documents. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.bill_subscriptions', 'owner');

-- ---- renewals ----

CREATE OR REPLACE FUNCTION crm_internal.open_some_renewals(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.subscriptions;
    deal crm.opportunities;
    line crm.subscription_lines;
    new_line crm.opportunity_lines;
    done bigint := 0;
BEGIN
    FOR s IN SELECT x.* FROM crm.subscriptions AS x WHERE x.tenant_id = tenant AND x.id = ANY (items::bigint[]) ORDER BY x.id LOOP
        deal := crm.carry_owned(NULL::crm.opportunities, s, 'convert');
        deal.account_id := s.account_id;
        deal.contact_id := s.contact_id;
        deal.name := format(crm_internal.texts_of(tenant, 'seeds') ->> 'renewal_of', s.name);
        deal.expected_close_date := s.ends_on;
        deal := crm.insert_row(deal);
        FOR line IN SELECT l.* FROM crm.subscription_lines AS l
                    WHERE l.tenant_id = tenant AND l.subscription_id = s.id AND l.during @> s.ends_on ORDER BY l.id LOOP
            new_line := crm.carry_row(NULL::crm.opportunity_lines, line, 'convert');
            new_line.opportunity_id := deal.id;
            new_line.unit_price := round(line.unit_price * 12 / line.interval_months, 4);
            new_line.unit_cost := round(line.unit_cost * 12 / line.interval_months, 4);
            PERFORM crm.insert_row(new_line);
        END LOOP;
        INSERT INTO crm.subscription_renewals (tenant_id, subscription_id, ends_on, opportunity_id, opened_at) VALUES (tenant, s.id, s.ends_on, deal.id, as_of);
        done := done + 1;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.open_some_renewals(bigint, text[], timestamptz) IS 'Opens deals about the renewal of some subscriptions; returns how many.';

CREATE OR REPLACE FUNCTION crm.open_renewals(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.open_renewals',
        'crm.subscriptions AS x WHERE x.renewal_days IS NOT NULL AND x.cancelled_at IS NULL AND x.ends_on >= ($1 AT TIME ZONE ''UTC'')::date - 1 '
        'AND crm.local_day(x.tenant_id, $1) BETWEEN x.ends_on - x.renewal_days AND x.ends_on '
        'AND EXISTS (SELECT FROM crm.subscription_lines AS l WHERE l.tenant_id = x.tenant_id AND l.subscription_id = x.id AND l.during @> x.ends_on) '
        'AND NOT EXISTS (SELECT FROM crm.subscription_renewals AS r JOIN crm.opportunities AS o ON o.tenant_id = r.tenant_id AND o.id = r.opportunity_id '
        'WHERE r.tenant_id = x.tenant_id AND r.subscription_id = x.id AND (r.ends_on = x.ends_on OR o.closed_at IS NULL))',
        'x.id', 'x.ends_on, x.id', 'NO KEY UPDATE', 'crm_internal.open_some_renewals', as_of, batch)
$$;
COMMENT ON FUNCTION crm.open_renewals(timestamptz, integer) IS
'Opens a deal about the renewal of each subscription whose last day is renewal_days away, or nearer, once for each last day however many callers there are: '
'with its customer and owner, and as lines what it brings in a year. A subscription that was cancelled, that is over, or about which such a deal is open has '
'none opened. Returns how many. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.open_renewals', 'owner');
