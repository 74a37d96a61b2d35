-- Quotes: what they are opened with, who may change them, how much may be given away, versions, sending, accepting and declining.

-- ---- rows ----

CREATE OR REPLACE FUNCTION crm_internal.fill_quote()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rule crm.document_rules;
BEGIN
    -- security definer: rules and numbers are the company's, whoever opens a quote
    IF TG_OP = 'UPDATE' THEN
        IF NEW.currency <> OLD.currency AND EXISTS (SELECT FROM crm.quote_lines AS l WHERE l.tenant_id = NEW.tenant_id AND l.quote_id = NEW.id) THEN
            RAISE EXCEPTION 'quote "%" has lines in %, so it cannot become one in %', NEW.number, OLD.currency, NEW.currency
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Delete its lines first, or make another quote.';
        END IF;
        RETURN NEW;
    END IF;
    rule := crm_internal.document_rule(NEW.tenant_id, 'quotes', NEW.currency::text);
    IF NEW.rounding IS NULL THEN
        NEW.rounding := rule.rounding;
        NEW.round_total_to := coalesce(NEW.round_total_to, rule.round_total_to);
    END IF;
    NEW.minor_units := coalesce(NEW.minor_units, rule.minor_units);
    NEW.issued_on := coalesce(NEW.issued_on, crm.local_day(NEW.tenant_id, now()));
    NEW.valid_until := coalesce(NEW.valid_until, NEW.issued_on + rule.days, 'infinity');
    IF NEW.number IS NULL THEN
        NEW.number := crm_internal.next_number(NEW.tenant_id, 'quotes', NEW.issued_on);
    ELSIF NEW.revises_quote_id IS NULL THEN
        PERFORM crm_internal.check_number(NEW.tenant_id, 'quotes', NEW.number);
    END IF;
    NEW.over_limit := false;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_quote() IS
'Row trigger of quotes: number, days and rounding that nobody gave, by the company''s series and rules; the currency stays once there are lines.';
CREATE OR REPLACE TRIGGER quotes_before_fill BEFORE INSERT OR UPDATE OF currency ON crm.quotes
    FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_quote();

CREATE OR REPLACE FUNCTION crm_internal.keep_quote()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'number, version, rounding and acceptance of quote "%" stay as they are', OLD.number
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make another quote.';
END
$$;
COMMENT ON FUNCTION crm_internal.keep_quote() IS 'Row trigger of quotes: what its amounts and its number rest on is not changed, nor who accepted it when.';
CREATE OR REPLACE TRIGGER quotes_before_keep BEFORE UPDATE ON crm.quotes FOR EACH ROW
    WHEN (OLD.number IS DISTINCT FROM NEW.number OR OLD.revision IS DISTINCT FROM NEW.revision OR OLD.rounding IS DISTINCT FROM NEW.rounding
          OR OLD.minor_units IS DISTINCT FROM NEW.minor_units OR OLD.round_total_to IS DISTINCT FROM NEW.round_total_to
          OR OLD.accepted_at IS NOT NULL AND OLD.stage_id = NEW.stage_id AND (OLD.accepted_at IS DISTINCT FROM NEW.accepted_at
              OR OLD.accepted_by IS DISTINCT FROM NEW.accepted_by OR OLD.accepted_from IS DISTINCT FROM NEW.accepted_from))
    EXECUTE FUNCTION crm_internal.keep_quote();

-- runs after the guard of stages, which lets the row through
CREATE OR REPLACE FUNCTION crm_internal.check_acceptance()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: stages are the company's
    IF NOT EXISTS (SELECT FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id AND s.type = 'won') THEN
        RETURN NEW;
    END IF;
    IF crm.local_day(NEW.tenant_id, coalesce(NEW.accepted_at, now())) > NEW.valid_until THEN
        RAISE EXCEPTION 'quote "%" was valid until %', NEW.number, to_char(NEW.valid_until, 'YYYY-MM-DD')
            USING ERRCODE = 'CR802', HINT = 'Make a new version of it (crm.revise_quote), or let it be valid for longer.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_acceptance() IS
'Row trigger of quotes: none is accepted after its last day, whatever way it comes to a won stage. Error CR802.';
CREATE OR REPLACE TRIGGER quotes_before_validity BEFORE UPDATE OF stage_id ON crm.quotes
    FOR EACH ROW WHEN (OLD.stage_id IS DISTINCT FROM NEW.stage_id) EXECUTE FUNCTION crm_internal.check_acceptance();

-- ---- lines ----

-- How many per cent a price is below that of the book, tax aside; NULL where there is no price to compare with.
CREATE OR REPLACE FUNCTION crm_internal.taken_off(
    tenant bigint, product bigint, quantity numeric, net_price numeric, percent numeric, head_currency text, book bigint, on_date date, account bigint)
RETURNS numeric
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (1 - net_price / nullif(p.price / CASE WHEN p.includes_tax THEN 1 + coalesce(percent, 0) / 100 ELSE 1 END, 0)) * 100
    FROM crm_internal.price_for_line(tenant, product, book, quantity, head_currency, on_date, account) AS p
$$;
COMMENT ON FUNCTION crm_internal.taken_off(bigint, bigint, numeric, numeric, numeric, text, bigint, date, bigint) IS
'How many per cent a net price is below that of the book; NULL where the book has none.';

-- security definer: what may be given away does not depend on what its writer sees
CREATE OR REPLACE FUNCTION crm_internal.limit_discount()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    head record;
    allowed numeric;
    taken numeric;
    net_price numeric;
    over boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM crm.discount_limits AS d WHERE d.tenant_id = NEW.tenant_id) THEN
        IF TG_ARGV[0] = 'quotes' THEN
            NEW.over_limit := false;
        END IF;
        RETURN NEW;
    END IF;
    SELECT h.* INTO head FROM crm_internal.line_head(TG_ARGV[0], NEW.tenant_id, (to_jsonb(NEW) ->> TG_ARGV[1])::bigint) AS h;
    allowed := crm_internal.discount_limit(NEW.tenant_id, (SELECT p.family FROM crm.products AS p WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.product_id));
    net_price := NEW.unit_price * (100 - NEW.discount_percent) / (100 + CASE WHEN NEW.price_includes_tax THEN coalesce(NEW.tax_percent, 0) ELSE 0 END);
    IF allowed IS NOT NULL AND head.currency IS NOT NULL THEN
        -- a low price is a discount by another name; what the book does not price has its own alone
        taken := greatest(NEW.discount_percent, crm_internal.taken_off(NEW.tenant_id, NEW.product_id, NEW.quantity, net_price, NEW.tax_percent,
            head.currency, head.book, head.day, head.account));
    END IF;
    over := coalesce(round(taken, 2) > allowed, false);
    IF TG_ARGV[0] = 'quotes' THEN
        NEW.over_limit := over;
        RETURN NEW;
    END IF;
    -- an order of a quote is priced as the quote was, which was approved
    IF over AND NOT EXISTS (SELECT FROM crm.quote_lines AS l
                            WHERE l.tenant_id = NEW.tenant_id AND l.id = (to_jsonb(NEW) ->> 'quote_line_id')::bigint AND l.product_id = NEW.product_id
                              AND l.unit_price <= NEW.unit_price AND l.discount_percent >= NEW.discount_percent) THEN
        RAISE EXCEPTION 'a discount of % % is more than you may give: % %', round(taken, 2), '%', allowed, '%'
            USING ERRCODE = 'CR103', HINT = 'Make a quote of it, and ask for its approval: crm.request_approval().';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.limit_discount() IS
'Row trigger of lines, with the table they are of and the column that refers to it: measures price and discount by crm.discount_limits. A line of a quote '
'is marked, one of an order refused with CR103.';
CREATE OR REPLACE TRIGGER quote_lines_before_fill BEFORE INSERT OR UPDATE OF product_id, quantity, unit_price, unit_cost, tax_category_id, tax_percent,
    price_includes_tax ON crm.quote_lines FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_line('quotes', 'quote_id');
CREATE OR REPLACE TRIGGER quote_lines_before_limit BEFORE INSERT OR UPDATE OF product_id, quantity, unit_price, discount_percent, tax_percent,
    price_includes_tax, over_limit ON crm.quote_lines FOR EACH ROW EXECUTE FUNCTION crm_internal.limit_discount('quotes', 'quote_id');
CREATE OR REPLACE TRIGGER order_lines_before_limit BEFORE INSERT OR UPDATE OF product_id, quantity, unit_price, discount_percent, tax_percent,
    price_includes_tax ON crm.order_lines FOR EACH ROW EXECUTE FUNCTION crm_internal.limit_discount('orders', 'order_id');

-- security definer: what stage a quote is in does not depend on what its writer sees
CREATE OR REPLACE FUNCTION crm_internal.keep_quote_lines()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was record;
    q record;
BEGIN
    was := CASE TG_OP WHEN 'INSERT' THEN NEW ELSE OLD END;
    IF TG_OP = 'UPDATE' AND NEW.quote_id IS DISTINCT FROM OLD.quote_id THEN
        RAISE EXCEPTION 'a line cannot be moved to another quote' USING ERRCODE = 'invalid_parameter_value', HINT = 'Delete it and insert it there.';
    END IF;
    -- the lock holds off who sends or accepts it meanwhile
    SELECT x.number, s.is_initial, s.name INTO q FROM crm.quotes AS x JOIN crm.stages AS s ON s.tenant_id = x.tenant_id AND s.id = x.stage_id
    WHERE x.tenant_id = was.tenant_id AND x.id = was.quote_id FOR NO KEY UPDATE OF x;
    IF NOT q.is_initial THEN
        RAISE EXCEPTION 'quote "%" is no draft any more (%), so its lines stay', q.number, q.name
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a new version of it: crm.revise_quote().';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_quote_lines() IS
'Row trigger of lines of quotes: they are changed while the quote is in the stage it began in. Error 55000.';
CREATE OR REPLACE TRIGGER quote_lines_before_keep BEFORE INSERT OR DELETE OR UPDATE ON crm.quote_lines
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_quote_lines();

-- ---- making one ----

CREATE OR REPLACE FUNCTION crm.quote_opportunity(opportunity_id bigint, given jsonb DEFAULT '{}')
RETURNS crm.quotes
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    deal crm.opportunities;
    line crm.opportunity_lines;
    new_line crm.quote_lines;
    made crm.quotes;
    place integer := 0;
BEGIN
    SELECT o.* INTO deal FROM crm.opportunities AS o WHERE o.tenant_id = t AND o.id = quote_opportunity.opportunity_id;
    IF deal.id IS NULL THEN
        RAISE EXCEPTION 'opportunity % does not exist, or is not visible to you', quote_opportunity.opportunity_id USING ERRCODE = 'no_data_found';
    END IF;
    made := crm.carry_owned(crm.given_row(NULL::crm.quotes, given, 'open'), deal, 'convert');
    made.opportunity_id := deal.id;
    made.subject := coalesce(made.subject, deal.name);
    IF made.account_id IS NULL THEN
        RAISE EXCEPTION 'opportunity % has no account to make a quote for', deal.id USING ERRCODE = 'not_null_violation', COLUMN = 'account_id',
            HINT = 'Give account_id, or the opportunity an account.';
    END IF;
    made := crm.insert_row(made);
    FOR line IN SELECT l.* FROM crm.opportunity_lines AS l WHERE l.tenant_id = t AND l.opportunity_id = deal.id ORDER BY l.id LOOP
        place := place + 1;
        new_line := crm.carry_row(NULL::crm.quote_lines, line, 'convert');
        new_line.quote_id := made.id;
        new_line.position := place;
        PERFORM crm.insert_row(new_line);
    END LOOP;
    SELECT q.* INTO made FROM crm.quotes AS q WHERE q.tenant_id = t AND q.id = made.id;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.quote_opportunity(bigint, jsonb) IS
'Makes a quote of a deal, with its account, contact and lines; given says columns of the quote: {"valid_until": "2026-08-31", "subject": "..."}. Returns the '
'quote, a draft. Errors: P0002 no such deal, 23502 a deal without an account, 42703 an unknown column, CR205 a tax without a rate.';
SELECT crm.declare_api('crm.quote_opportunity', '{"opportunity_id": 1, "given": {"subject": "Offer for pumps"}}');

-- ---- finding and locking one ----

CREATE OR REPLACE FUNCTION crm_internal.quote_for_change(tenant bigint, id bigint)
RETURNS crm.quotes
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.quotes;
BEGIN
    PERFORM crm_internal.require('quotes', id, 'change');
    SELECT q.* INTO found FROM crm.quotes AS q WHERE q.tenant_id = tenant AND q.id = quote_for_change.id FOR UPDATE;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'quote % does not exist, or is not visible to you', id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.quote_for_change(bigint, bigint) IS 'A quote that the caller may change, locked. Errors: P0002, 42501.';

CREATE OR REPLACE FUNCTION crm_internal.quote_of_token(tenant bigint, token text)
RETURNS crm.quotes
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.quotes;
BEGIN
    SELECT q.* INTO found FROM crm.quotes AS q
    WHERE q.tenant_id = tenant AND q.token_hash = sha256(convert_to(coalesce(token, ''), 'UTF8')) FOR UPDATE;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'this token is not known' USING ERRCODE = 'no_data_found', HINT = 'Ask for a new link to the quote: nothing was changed.';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.quote_of_token(bigint, text) IS 'The quote that a token is for, locked. Error P0002.';

-- The stage of a type that a pipeline leads to first.
CREATE OR REPLACE FUNCTION crm_internal.stage_of_type(tenant bigint, pipeline bigint, type text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.code FROM crm.stages AS s
    WHERE s.tenant_id = tenant AND s.pipeline_id = pipeline AND s.type = stage_of_type.type AND s.active ORDER BY s.position LIMIT 1
$$;
COMMENT ON FUNCTION crm_internal.stage_of_type(bigint, bigint, text) IS 'Code of the first active stage of a type in a pipeline; NULL: it has none.';

CREATE OR REPLACE FUNCTION crm_internal.require_open_quote(q crm.quotes)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s record;
BEGIN
    SELECT x.type, x.is_initial, x.name INTO s FROM crm.stages AS x WHERE x.tenant_id = q.tenant_id AND x.id = q.stage_id;
    IF s.is_initial OR s.type <> 'open' THEN
        RAISE EXCEPTION 'quote "%" cannot be accepted or declined: it is in stage "%"', q.number, s.name
            USING ERRCODE = 'CR802', HINT = 'It has to be sent first; one that was decided or replaced is followed by a new version.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.require_open_quote(crm.quotes) IS 'Error CR802 where a quote was not sent, or was decided already.';

-- ---- sending ----

CREATE OR REPLACE FUNCTION crm.make_quote_token(quote_id bigint)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    token CONSTANT text := crm_internal.new_token();
    q CONSTANT crm.quotes := crm_internal.quote_for_change(t, quote_id);
BEGIN
    UPDATE crm.quotes AS x SET token_hash = sha256(convert_to(token, 'UTF8')) WHERE x.tenant_id = t AND x.id = q.id;
    RETURN token;
END
$$;
COMMENT ON FUNCTION crm.make_quote_token(bigint) IS
'A token for the link by which the customer accepts or declines a quote; one made before is good for nothing any more. It goes into the message and is kept '
'nowhere else. Errors: P0002 a quote the caller does not see, 42501 one they may not change.';
SELECT crm.declare_function('crm.make_quote_token', 'agent');

CREATE OR REPLACE FUNCTION crm.revise_quote(quote_id bigint, given jsonb DEFAULT '{}')
RETURNS crm.quotes
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    q CONSTANT crm.quotes := crm_internal.quote_for_change(t, quote_id);
    made crm.quotes;
    line crm.quote_lines;
    new_line crm.quote_lines;
    gone CONSTANT text := crm_internal.stage_of_type(t, q.pipeline_id, 'cancelled');
BEGIN
    SELECT x.* INTO made FROM crm.quotes AS x WHERE x.tenant_id = t AND x.revises_quote_id = q.id;
    IF made.id IS NOT NULL THEN
        RAISE EXCEPTION 'quote "%" has version % already', q.number, made.revision
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Revise that one.';
    END IF;
    IF q.accepted_at IS NOT NULL THEN
        RAISE EXCEPTION 'quote "%" was accepted', q.number USING ERRCODE = 'CR802', HINT = 'Change the order, or make another quote.';
    END IF;
    made := crm.carry_owned(crm.given_row(NULL::crm.quotes, given, 'open'), q, 'convert');
    made.number := q.number;
    made.revision := q.revision + 1;
    made.revises_quote_id := q.id;
    made.pipeline_id := q.pipeline_id;
    made := crm.insert_row(made);
    FOR line IN SELECT l.* FROM crm.quote_lines AS l WHERE l.tenant_id = t AND l.quote_id = q.id ORDER BY l.position, l.id LOOP
        new_line := crm.carry_row(NULL::crm.quote_lines, line, 'convert');
        new_line.quote_id := made.id;
        PERFORM crm.insert_row(new_line);
    END LOOP;
    IF q.closed_at IS NULL AND gone IS NOT NULL THEN
        PERFORM crm.move('quotes', q.id, gone);
    END IF;
    SELECT x.* INTO made FROM crm.quotes AS x WHERE x.tenant_id = t AND x.id = made.id;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.revise_quote(bigint, jsonb) IS
'Makes the next version of a quote, a draft with the same number and lines; the one before is replaced, and its token accepts nothing. given says columns of '
'the new version. Returns it. Errors: P0002, 42501, 55000 one that has a later version, CR802 one that was accepted.';
SELECT crm.declare_function('crm.revise_quote', 'agent');
SELECT crm.declare_api('crm.revise_quote', '{"quote_id": 1, "given": {"valid_until": "2030-12-31"}}');

-- ---- the customer's answer ----

CREATE OR REPLACE FUNCTION crm_internal.order_of_quote(q crm.quotes, as_of timestamptz)
RETURNS crm.orders
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.orders;
    line crm.quote_lines;
    new_line crm.order_lines;
BEGIN
    SELECT o.* INTO made FROM crm.orders AS o WHERE o.tenant_id = q.tenant_id AND o.quote_id = q.id;
    IF made.id IS NOT NULL THEN
        RETURN made;
    END IF;
    made := crm.carry_owned(NULL::crm.orders, q, 'convert');
    made.quote_id := q.id;
    made.ordered_at := as_of;
    made.number := crm_internal.next_number(q.tenant_id, 'orders', crm.local_day(q.tenant_id, as_of));
    made := crm.insert_row(made);
    FOR line IN SELECT l.* FROM crm.quote_lines AS l WHERE l.tenant_id = q.tenant_id AND l.quote_id = q.id ORDER BY l.position, l.id LOOP
        new_line := crm.carry_row(NULL::crm.order_lines, line, 'convert');
        new_line.order_id := made.id;
        new_line.quote_line_id := line.id;
        PERFORM crm.insert_row(new_line);
    END LOOP;
    SELECT o.* INTO made FROM crm.orders AS o WHERE o.tenant_id = q.tenant_id AND o.id = made.id;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm_internal.order_of_quote(crm.quotes, timestamptz) IS
'The order of a quote, with its lines; made where it is not there. The quote is locked, so that there is one however many ask.';

CREATE OR REPLACE FUNCTION crm_internal.accept_quote(q crm.quotes, accepted_by text, accepted_from text, as_of timestamptz)
RETURNS crm.orders
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    accepted crm.quotes;
BEGIN
    -- the second click of a link
    IF q.accepted_at IS NOT NULL THEN
        RETURN crm_internal.order_of_quote(q, q.accepted_at);
    END IF;
    IF coalesce(accepted_by, '') = '' OR as_of IS NULL THEN
        RAISE EXCEPTION 'somebody has to accept a quote, at some time' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give accepted_by.';
    END IF;
    IF as_of > now() + interval '1 day' OR NOT isfinite(as_of) THEN
        RAISE EXCEPTION 'nobody has accepted yet what they will accept in days' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM crm_internal.require_open_quote(q);
    IF NOT EXISTS (SELECT FROM crm.quote_lines AS l WHERE l.tenant_id = q.tenant_id AND l.quote_id = q.id) THEN
        RAISE EXCEPTION 'quote "%" has no lines to accept', q.number USING ERRCODE = 'CR802', HINT = 'Make a new version with lines: crm.revise_quote().';
    END IF;
    accepted := crm.move_row(NULL::crm.quotes, q.id, crm_internal.stage_of_type(q.tenant_id, q.pipeline_id, 'won'),
        jsonb_build_object('accepted_at', as_of, 'accepted_by', accepted_by, 'accepted_from', accepted_from));
    RETURN crm_internal.order_of_quote(accepted, as_of);
END
$$;
COMMENT ON FUNCTION crm_internal.accept_quote(crm.quotes, text, text, timestamptz) IS
'Accepts a locked quote and makes its order; gives the order where it was accepted before.';

-- security definer: whoever has the token may accept, and see nothing else
CREATE OR REPLACE FUNCTION crm.accept_quote(token text, accepted_by text, accepted_from text DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS crm.orders
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.because('accept_quote');
    RETURN crm_internal.accept_quote(crm_internal.quote_of_token(crm.tenant_id(), token), accepted_by, accepted_from, as_of);
END
$$;
COMMENT ON FUNCTION crm.accept_quote(text, text, text, timestamptz) IS
'The customer accepts a quote by its token: who, from where, when. Returns the order that comes of it, with its lines; the same one however often and by how '
'many it is called. Errors, which change nothing: P0002 an unknown token, CR802 a quote that is past its last day, was not sent, or was declined or replaced, '
'22023 nobody named.';
SELECT crm.declare_function('crm.accept_quote', 'agent');
SELECT crm.declare_api('crm.accept_quote', '{"token": "of the link", "accepted_by": "Ada King", "accepted_from": "203.0.113.7"}');

CREATE OR REPLACE FUNCTION crm.record_acceptance(quote_id bigint, accepted_by text, accepted_from text DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS crm.orders
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_internal.accept_quote(crm_internal.quote_for_change(crm.tenant_id(), quote_id), accepted_by, accepted_from, as_of);
END
$$;
COMMENT ON FUNCTION crm.record_acceptance(bigint, text, text, timestamptz) IS
'Writes down that a customer accepted a quote by letter or word, and makes the order: as crm.accept_quote, for who may change the quote. Errors: P0002, 42501, '
'CR802, 22023.';
SELECT crm.declare_function('crm.record_acceptance', 'agent');
SELECT crm.declare_api('crm.record_acceptance', '{"quote_id": 1, "accepted_by": "Ada King", "accepted_from": "letter"}');

CREATE OR REPLACE FUNCTION crm.decline_quote(token text, note text DEFAULT NULL)
RETURNS crm.quotes
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    q CONSTANT crm.quotes := crm_internal.quote_of_token(crm.tenant_id(), token);
BEGIN
    -- security definer: whoever has the token may decline, and see nothing else
    PERFORM crm.because('decline_quote');
    PERFORM crm_internal.require_open_quote(q);
    RETURN crm.move_row(NULL::crm.quotes, q.id, crm_internal.stage_of_type(q.tenant_id, q.pipeline_id, 'lost'), jsonb_build_object('decline_note', note));
END
$$;
COMMENT ON FUNCTION crm.decline_quote(text, text) IS
'The customer declines a quote by its token. Returns the quote. Errors: P0002 an unknown token, CR802 a quote that was not sent or was decided.';
SELECT crm.declare_function('crm.decline_quote', 'agent');
