-- Lines of deals, orders, quotes and invoices: prices and costs nobody gave, and the amount of a deal that follows its lines.

-- Which book prices a line: the one that is named; else of those in its currency that are in use on the day and have the product the
-- one that is nearest to the account. (The tenant is a parameter: a line is priced for the company it is of.)
CREATE OR REPLACE FUNCTION crm_internal.in_segment(tenant bigint, account bigint, segment bigint)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hook regprocedure;
    answer boolean := false;
BEGIN
    -- segments are of a later room, which hangs itself in
    FOR hook IN SELECT h FROM crm_internal.hooks_at('account_segment') AS h LOOP
        EXECUTE format('SELECT %s($1, $2, $3)', hook::regproc) INTO answer USING tenant, account, segment;
    END LOOP;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.in_segment(bigint, bigint, bigint) IS 'Whether an account belongs to a segment now.';

CREATE OR REPLACE FUNCTION crm_internal.book_price(
    tenant bigint, product bigint, book bigint, quantity numeric, currency text, on_date date, account bigint)
RETURNS TABLE (price numeric, price_currency text, includes_tax boolean)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a crm.accounts;
BEGIN
    IF book IS NOT NULL THEN
        RETURN QUERY
            SELECT p.price, b.currency::text, b.includes_tax FROM crm.price_books AS b
            JOIN crm.prices AS p ON p.tenant_id = tenant AND p.price_book_id = b.id
            WHERE b.tenant_id = tenant AND b.id = book AND p.product_id = product AND p.min_quantity <= book_price.quantity AND p.valid_from <= on_date
            ORDER BY p.min_quantity DESC, p.valid_from DESC LIMIT 1;
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM crm.price_books AS b WHERE b.tenant_id = tenant AND b.active AND b.currency = book_price.currency) THEN
        RETURN;
    END IF;
    SELECT x.* INTO a FROM crm.accounts AS x WHERE x.tenant_id = tenant AND x.id = account;
    -- of two books that are equally near and say nothing of their order none is chosen: the list price holds
    RETURN QUERY
        SELECT n.price, n.currency, n.includes_tax
        FROM (SELECT f.*, rank() OVER (ORDER BY f.nearness DESC, f.priority DESC) AS place, count(*) OVER (PARTITION BY f.nearness, f.priority) AS equals
              FROM (SELECT DISTINCT ON (b.id) p.price, b.currency::text AS currency, b.includes_tax, b.priority,
                           CASE WHEN b.account_id IS NOT NULL THEN 3 WHEN b.segment_id IS NOT NULL THEN 2
                                WHEN b.condition IS NOT NULL THEN 1 ELSE 0 END AS nearness
                    FROM crm.price_books AS b
                    JOIN crm.prices AS p ON p.tenant_id = tenant AND p.price_book_id = b.id AND p.product_id = product
                         AND p.min_quantity <= book_price.quantity AND p.valid_from <= on_date
                    WHERE b.tenant_id = tenant AND b.active AND b.currency = book_price.currency AND b.valid_from <= on_date AND b.valid_until >= on_date
                      AND (b.account_id IS NULL OR b.account_id = a.id)
                      AND (b.condition IS NULL OR a.id IS NOT NULL AND crm.row_holds(a.*, b.condition))
                      AND (b.segment_id IS NULL OR a.id IS NOT NULL AND crm_internal.in_segment(tenant, a.id, b.segment_id))
                    ORDER BY b.id, p.min_quantity DESC, p.valid_from DESC) AS f) AS n
        WHERE n.place = 1 AND n.equals = 1;
END
$$;
COMMENT ON FUNCTION crm_internal.book_price(bigint, bigint, bigint, numeric, text, date, bigint) IS
'Price of a product in the book that is named, else in the one nearest to the account; no row where none prices it.';

CREATE OR REPLACE FUNCTION crm_internal.price_for_line(
    tenant bigint, product bigint, book bigint, quantity numeric, currency text, on_date date, account bigint)
RETURNS TABLE (price numeric, includes_tax boolean)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found record;
BEGIN
    SELECT b.price, b.price_currency AS currency, b.includes_tax INTO found
    FROM crm_internal.book_price(tenant, product, book, quantity, currency, on_date, account) AS b;
    IF found.price IS NULL THEN
        SELECT p.list_price AS price, coalesce(p.currency, t.base_currency)::text AS currency, p.price_includes_tax AS includes_tax INTO found
        FROM crm.products AS p JOIN crm.tenants AS t ON t.tenant_id = tenant
        WHERE p.tenant_id = tenant AND p.id = product;
    END IF;
    RETURN QUERY SELECT round(crm.convert_currency(found.price, found.currency, price_for_line.currency, 'at_event_date', on_date, tenant_id => tenant), 4),
                        found.includes_tax;
END
$$;
COMMENT ON FUNCTION crm_internal.price_for_line(bigint, bigint, bigint, numeric, text, date, bigint) IS
'crm.line_price() of a tenant, with whether the tax is in it.';

-- security definer: it goes on where only the owner may; price lists are for everybody
CREATE OR REPLACE FUNCTION crm.line_price(
    product_id bigint, currency text, price_book_id bigint DEFAULT NULL, quantity numeric DEFAULT 1, on_date date DEFAULT NULL, account_id bigint DEFAULT NULL)
RETURNS numeric
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.require('accounts', account_id, 'see');
    RETURN (SELECT p.price FROM crm_internal.price_for_line(crm.tenant_id(), product_id, price_book_id, quantity, upper(currency),
        coalesce(on_date, crm.local_day(crm.tenant_id(), now())), account_id) AS p);
END
$$;
COMMENT ON FUNCTION crm.line_price(bigint, text, bigint, numeric, date, bigint) IS
'Price that a line gets when none is given: of the price book named; without one of the active book in that currency that is in use on the day and nearest '
'to the account: a book of the account, of a segment it is in, one whose condition it meets, one for everybody; of two that are equally near the one with '
'the greater priority, and none where that is the same; else the product''s list price. In the currency asked for, at the rate of on_date (NULL: today). '
'NULL where there is no price. Errors: CR203 where the rate is missing, P0002 an account the caller does not see.';
SELECT crm.declare_function('crm.line_price', 'reader');

-- What a line is of: its currency, day, account and price book.
CREATE OR REPLACE FUNCTION crm_internal.line_head(relation text, tenant bigint, id bigint)
RETURNS TABLE (currency text, book bigint, day date, account bigint)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CASE relation
        WHEN 'opportunities' THEN
            RETURN QUERY SELECT o.currency::text, o.price_book_id, coalesce(o.close_date, crm.local_day(tenant, now())), o.account_id
                FROM crm.opportunities AS o WHERE o.tenant_id = tenant AND o.id = line_head.id;
        WHEN 'orders' THEN
            RETURN QUERY SELECT o.currency::text, coalesce(o.price_book_id, d.price_book_id), o.ordered_on, o.account_id
                FROM crm.orders AS o LEFT JOIN crm.opportunities AS d ON d.tenant_id = o.tenant_id AND d.id = o.opportunity_id
                WHERE o.tenant_id = tenant AND o.id = line_head.id;
        WHEN 'quotes' THEN
            RETURN QUERY SELECT q.currency::text, q.price_book_id, q.issued_on, q.account_id
                FROM crm.quotes AS q WHERE q.tenant_id = tenant AND q.id = line_head.id;
        WHEN 'subscriptions' THEN
            RETURN QUERY SELECT s.currency::text, s.price_book_id, greatest(s.starts_on, crm.local_day(tenant, now())), s.account_id
                FROM crm.subscriptions AS s WHERE s.tenant_id = tenant AND s.id = line_head.id;
        WHEN 'invoices' THEN
            -- what is given back is taxed as it was when it was sold
            RETURN QUERY SELECT i.currency::text, o.price_book_id, coalesce(c.issued_on, i.issued_on, crm.local_day(tenant, now())), i.account_id
                FROM crm.invoices AS i
                LEFT JOIN crm.invoices AS c ON c.tenant_id = tenant AND c.id = i.corrects_invoice_id
                LEFT JOIN crm.orders AS o ON o.tenant_id = tenant AND o.id = i.order_id
                WHERE i.tenant_id = tenant AND i.id = line_head.id;
    END CASE;
END
$$;
COMMENT ON FUNCTION crm_internal.line_head(text, bigint, bigint) IS 'What lines take from the record they are of; no row where it is not there.';

-- security definer: what a line costs does not depend on what its writer sees
CREATE OR REPLACE FUNCTION crm_internal.fill_line()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    head record;
    known record;
    priced record;
BEGIN
    SELECT h.* INTO head FROM crm_internal.line_head(TG_ARGV[0], NEW.tenant_id, (to_jsonb(NEW) ->> TG_ARGV[1])::bigint) AS h;
    IF head.currency IS NULL THEN
        -- row security or the foreign key speaks
        NEW.price_includes_tax := coalesce(NEW.price_includes_tax, false);
        RETURN NEW;
    END IF;
    SELECT p.name, p.cost, coalesce(p.currency, t.base_currency) AS currency, p.tax_category_id, p.price_includes_tax INTO known
    FROM crm.products AS p JOIN crm.tenants AS t ON t.tenant_id = p.tenant_id
    WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.product_id;
    IF TG_OP = 'UPDATE' AND NEW.product_id IS DISTINCT FROM OLD.product_id AND NEW.tax_category_id IS NOT DISTINCT FROM OLD.tax_category_id THEN
        NEW.tax_category_id := NULL;
        NEW.tax_percent := NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.product_id IS DISTINCT FROM OLD.product_id THEN
        -- what another product costs says nothing of this one; a price that was agreed, and not the one of a list, stays
        IF NEW.unit_cost IS NOT DISTINCT FROM OLD.unit_cost THEN
            NEW.unit_cost := NULL;
        END IF;
        IF NEW.unit_price IS NOT DISTINCT FROM OLD.unit_price AND EXISTS (
            SELECT FROM crm_internal.price_for_line(NEW.tenant_id, OLD.product_id, head.book, OLD.quantity, head.currency, head.day, head.account) AS p
            WHERE p.price = OLD.unit_price)
        THEN
            NEW.unit_price := NULL;
            NEW.price_includes_tax := CASE WHEN NEW.price_includes_tax IS DISTINCT FROM OLD.price_includes_tax THEN NEW.price_includes_tax END;
        END IF;
    END IF;
    IF NEW.unit_price IS NULL THEN
        SELECT p.price, p.includes_tax INTO priced FROM crm_internal.price_for_line(
            NEW.tenant_id, NEW.product_id, head.book, NEW.quantity, head.currency, head.day, head.account) AS p;
        NEW.unit_price := priced.price;
        NEW.price_includes_tax := coalesce(NEW.price_includes_tax, priced.includes_tax);
        IF NEW.unit_price IS NULL AND known.name IS NOT NULL THEN
            RAISE EXCEPTION 'a line of product "%" has no price', known.name
                USING ERRCODE = 'not_null_violation', COLUMN = 'unit_price',
                      HINT = 'Give unit_price, or the product a list price or a price in the price book.';
        END IF;
    END IF;
    IF NEW.price_includes_tax IS NULL AND head.book IS NOT NULL THEN
        NEW.price_includes_tax := (SELECT b.includes_tax FROM crm.price_books AS b WHERE b.tenant_id = NEW.tenant_id AND b.id = head.book);
    END IF;
    NEW.price_includes_tax := coalesce(NEW.price_includes_tax, known.price_includes_tax, false);
    IF NEW.unit_cost IS NULL AND known.cost IS NOT NULL THEN
        -- a cost that cannot be converted is not known; a price that cannot is an error
        NEW.unit_cost := round(known.cost * crm.exchange_rate_on(NEW.tenant_id, known.currency, head.currency::bpchar, head.day), 4);
    END IF;
    IF NEW.tax_category_id IS NULL AND NEW.tax_percent IS NULL THEN
        NEW.tax_category_id := known.tax_category_id;
    END IF;
    IF NEW.tax_category_id IS NOT NULL THEN
        NEW.tax_percent := crm_internal.tax_percent(NEW.tenant_id, NEW.tax_category_id, head.day);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_line() IS
'Row trigger of lines, with the table they are of and the column that refers to it: a price nobody gave is crm.line_price(), a cost and a tax the '
'product''s, in the currency and of the day of what the line is of.';
CREATE OR REPLACE TRIGGER opportunity_lines_before_fill BEFORE INSERT OR UPDATE ON crm.opportunity_lines
    FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_line('opportunities', 'opportunity_id');
CREATE OR REPLACE TRIGGER order_lines_before_fill BEFORE INSERT OR UPDATE ON crm.order_lines
    FOR EACH ROW EXECUTE FUNCTION crm_internal.fill_line('orders', 'order_id');

-- ---- the amount of a deal ----

CREATE OR REPLACE FUNCTION crm_internal.follow_lines()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    total numeric;
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.amount_source := 'lines';
        RETURN NEW;
    END IF;
    SELECT sum(l.amount) INTO total FROM crm.opportunity_lines AS l WHERE l.tenant_id = NEW.tenant_id AND l.opportunity_id = NEW.id;
    IF NEW.amount IS NULL OR NEW.amount_source = 'lines' AND OLD.amount_source <> 'lines' THEN
        NEW.amount_source := 'lines';
        NEW.amount := total;
    ELSIF NEW.amount IS DISTINCT FROM total THEN
        NEW.amount_source := 'hand';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_lines() IS
'Row trigger of opportunities: an amount other than the sum of the lines was set by hand and stays; without one it is the sum of the lines.';
CREATE OR REPLACE TRIGGER opportunities_before_amount_insert BEFORE INSERT ON crm.opportunities
    FOR EACH ROW WHEN (NEW.amount IS NULL AND NEW.amount_source <> 'lines') EXECUTE FUNCTION crm_internal.follow_lines();
CREATE OR REPLACE TRIGGER opportunities_before_amount_update BEFORE UPDATE ON crm.opportunities
    -- one that is set by hand anew stays so, whatever the lines are
    FOR EACH ROW WHEN ((NEW.amount IS NULL OR NEW.amount_source <> 'hand' OR OLD.amount_source <> 'hand')
        AND (NEW.amount IS DISTINCT FROM OLD.amount OR NEW.amount_source IS DISTINCT FROM OLD.amount_source))
    EXECUTE FUNCTION crm_internal.follow_lines();

-- security definer: the sum is that of all lines, whoever changes one
CREATE OR REPLACE FUNCTION crm_internal.sum_opportunity_lines()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    touched jsonb;
    tenant bigint;
BEGIN
    -- the transition tables are read by themselves first; what is written is of one tenant at a time
    IF TG_OP = 'UPDATE' THEN
        SELECT jsonb_object_agg(x.tenant_id, x.ids) INTO touched
        FROM (SELECT l.tenant_id, array_agg(DISTINCT l.opportunity_id) AS ids
              FROM (SELECT n.tenant_id, n.opportunity_id FROM lines AS n UNION ALL SELECT o.tenant_id, o.opportunity_id FROM old_lines AS o) AS l
              GROUP BY l.tenant_id) AS x;
    ELSE
        SELECT jsonb_object_agg(x.tenant_id, x.ids) INTO touched
        FROM (SELECT l.tenant_id, array_agg(DISTINCT l.opportunity_id) AS ids FROM lines AS l GROUP BY l.tenant_id) AS x;
    END IF;
    FOR tenant IN SELECT k::bigint FROM jsonb_object_keys(touched) AS k LOOP
        UPDATE crm.opportunities AS o
        SET amount = s.amount
        FROM (SELECT i.id::bigint AS id, sum(l.amount) AS amount
              FROM jsonb_array_elements_text(touched -> tenant::text) AS i(id)
              LEFT JOIN crm.opportunity_lines AS l ON l.tenant_id = tenant AND l.opportunity_id = i.id::bigint
              GROUP BY i.id) AS s
        WHERE o.tenant_id = tenant AND o.id = s.id AND o.amount_source = 'lines' AND o.amount IS DISTINCT FROM s.amount;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.sum_opportunity_lines() IS
'Statement trigger of lines: the amount of a deal is the sum of its lines, unless it was set by hand.';

CREATE OR REPLACE FUNCTION crm_internal.opportunity_lines_truncated()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint;
BEGIN
    FOR tenant IN SELECT t.tenant_id FROM crm.tenants AS t LOOP
        UPDATE crm.opportunities AS o SET amount = NULL WHERE o.tenant_id = tenant AND o.amount_source = 'lines' AND o.amount IS NOT NULL;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.opportunity_lines_truncated() IS 'Statement trigger: deals whose lines are gone have no amount of lines.';
CREATE OR REPLACE TRIGGER opportunity_lines_after_truncate_sum AFTER TRUNCATE ON crm.opportunity_lines
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.opportunity_lines_truncated();

-- ---- the currency of what has lines ----

-- security definer: lines count, whoever sees them
CREATE OR REPLACE FUNCTION crm_internal.keep_currency_of_lines()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM crm.%I AS l WHERE l.tenant_id = $1 AND l.%I = $2)', TG_ARGV[0], TG_ARGV[1])
        INTO found USING NEW.tenant_id, NEW.id;
    IF found THEN
        RAISE EXCEPTION '% % has lines in %, so it cannot become one in %', TG_TABLE_NAME, NEW.id, OLD.currency, NEW.currency
            USING ERRCODE = 'object_not_in_prerequisite_state', COLUMN = 'currency',
                  HINT = 'Delete its lines first; without given prices they come back priced in the new currency.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_currency_of_lines() IS
'Row trigger of what has lines, with the table of the lines and the column that refers to it: prices of lines are in its currency, so it stays. Error 55000.';
CREATE OR REPLACE TRIGGER opportunities_before_currency_lines BEFORE UPDATE ON crm.opportunities
    FOR EACH ROW WHEN (NEW.currency <> OLD.currency) EXECUTE FUNCTION crm_internal.keep_currency_of_lines('opportunity_lines', 'opportunity_id');
CREATE OR REPLACE TRIGGER orders_before_currency_lines BEFORE UPDATE ON crm.orders
    FOR EACH ROW WHEN (NEW.currency <> OLD.currency) EXECUTE FUNCTION crm_internal.keep_currency_of_lines('order_lines', 'order_id');

CREATE OR REPLACE TRIGGER opportunity_lines_after_insert_sum AFTER INSERT ON crm.opportunity_lines
    REFERENCING NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_opportunity_lines();
CREATE OR REPLACE TRIGGER opportunity_lines_after_update_sum AFTER UPDATE ON crm.opportunity_lines
    REFERENCING OLD TABLE AS old_lines NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_opportunity_lines();
CREATE OR REPLACE TRIGGER opportunity_lines_after_delete_sum AFTER DELETE ON crm.opportunity_lines
    REFERENCING OLD TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_opportunity_lines();
