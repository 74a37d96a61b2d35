-- Lines of deals and orders: prices and costs nobody gave, and the amount of a deal that follows its lines.

-- (the tenant is a parameter: a line is priced for the company it is of)
CREATE OR REPLACE FUNCTION crm_internal.line_price(tenant bigint, product bigint, book bigint, quantity numeric, currency text, on_date date)
RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found record;
BEGIN
    -- of the book that is named; else of the one active book in the currency that has the product
    SELECT f.price, f.currency INTO found
    FROM (SELECT DISTINCT ON (b.id) p.price, b.currency, b.id = book AS named, count(*) OVER () AS prices,
                 min(b.id) OVER () <> max(b.id) OVER () AS several
          FROM crm.price_books AS b
          JOIN crm.prices AS p ON p.tenant_id = tenant AND p.price_book_id = b.id AND p.product_id = product
               AND p.min_quantity <= line_price.quantity AND p.valid_from <= on_date
          WHERE b.tenant_id = tenant AND CASE WHEN book IS NOT NULL THEN b.id = book ELSE b.active AND b.currency = line_price.currency END
          ORDER BY b.id, p.min_quantity DESC, p.valid_from DESC) AS f
    WHERE f.named OR NOT f.several;
    IF found.price IS NULL THEN
        SELECT p.list_price AS price, coalesce(p.currency, t.base_currency) AS currency INTO found
        FROM crm.products AS p JOIN crm.tenants AS t ON t.tenant_id = tenant
        WHERE p.tenant_id = tenant AND p.id = product;
    END IF;
    RETURN round(crm.convert_currency(found.price, found.currency::text, line_price.currency, 'at_event_date', on_date, tenant_id => tenant), 4);
END
$$;
COMMENT ON FUNCTION crm_internal.line_price(bigint, bigint, bigint, numeric, text, date) IS 'crm.line_price() of a tenant.';

-- security definer: it goes on where only the owner may; price lists are for everybody
CREATE OR REPLACE FUNCTION crm.line_price(
    product_id bigint, currency text, price_book_id bigint DEFAULT NULL, quantity numeric DEFAULT 1, on_date date DEFAULT NULL)
RETURNS numeric
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN crm_internal.line_price(crm.tenant_id(), product_id, price_book_id, quantity, upper(currency),
        coalesce(on_date, (SELECT (now() AT TIME ZONE t.time_zone)::date FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id())));
END
$$;
COMMENT ON FUNCTION crm.line_price(bigint, text, bigint, numeric, date) IS
'Price that a line of a deal or an order gets when none is given: of the price book named; without one of the active book in that currency, where one '
'and no other has a price of the product; else the product''s list price. In the currency asked for, at the rate of on_date (NULL: today). NULL where '
'there is no price. Error CR203 where the rate is missing.';
SELECT crm.declare_function('crm.line_price', 'reader');

-- security definer: what a line costs does not depend on what its writer sees
CREATE OR REPLACE FUNCTION crm_internal.fill_line()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head record;
    known record;
BEGIN
    IF TG_ARGV[0] = 'opportunities' THEN
        SELECT o.currency, o.price_book_id AS book, coalesce(o.close_date, (now() AT TIME ZONE t.time_zone)::date) AS day INTO head
        FROM crm.opportunities AS o JOIN crm.tenants AS t ON t.tenant_id = o.tenant_id
        WHERE o.tenant_id = NEW.tenant_id AND o.id = (to_jsonb(NEW) ->> 'opportunity_id')::bigint;
    ELSE
        SELECT o.currency, coalesce(o.price_book_id, d.price_book_id) AS book, o.ordered_on AS day INTO head
        FROM crm.orders AS o LEFT JOIN crm.opportunities AS d ON d.tenant_id = o.tenant_id AND d.id = o.opportunity_id
        WHERE o.tenant_id = NEW.tenant_id AND o.id = (to_jsonb(NEW) ->> 'order_id')::bigint;
    END IF;
    IF head.currency IS NULL THEN
        RETURN NEW;     -- the foreign key speaks
    END IF;
    SELECT p.name, p.cost, coalesce(p.currency, t.base_currency) AS currency INTO known
    FROM crm.products AS p JOIN crm.tenants AS t ON t.tenant_id = p.tenant_id
    WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.product_id;
    IF NEW.unit_price IS NULL THEN
        NEW.unit_price := crm_internal.line_price(NEW.tenant_id, NEW.product_id, head.book, NEW.quantity, head.currency::text, head.day);
        IF NEW.unit_price IS NULL AND known.name IS NOT NULL THEN
            RAISE EXCEPTION 'a line of product "%" has no price', known.name
                USING ERRCODE = 'not_null_violation', COLUMN = 'unit_price',
                      HINT = 'Give unit_price, or the product a list price or a price in the price book.';
        END IF;
    END IF;
    IF NEW.unit_cost IS NULL AND known.cost IS NOT NULL THEN
        -- a cost that cannot be converted is not known; a price that cannot is an error
        NEW.unit_cost := round(known.cost * crm.exchange_rate_on(NEW.tenant_id, known.currency, head.currency, head.day), 4);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_line() IS
'Row trigger of lines, with the table they are of: a price nobody gave is crm.line_price(), a cost the product''s, in the currency of deal or order.';
CREATE OR REPLACE TRIGGER opportunity_lines_before_fill BEFORE INSERT OR UPDATE ON crm.opportunity_lines
    FOR EACH ROW WHEN (NEW.unit_price IS NULL OR NEW.unit_cost IS NULL) EXECUTE FUNCTION crm_internal.fill_line('opportunities');
CREATE OR REPLACE TRIGGER order_lines_before_fill BEFORE INSERT OR UPDATE ON crm.order_lines
    FOR EACH ROW WHEN (NEW.unit_price IS NULL OR NEW.unit_cost IS NULL) EXECUTE FUNCTION crm_internal.fill_line('orders');

-- ---- the amount of a deal ----

CREATE OR REPLACE FUNCTION crm_internal.follow_lines()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
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
    FOR EACH ROW WHEN (NEW.amount IS DISTINCT FROM OLD.amount OR NEW.amount_source IS DISTINCT FROM OLD.amount_source)
    EXECUTE FUNCTION crm_internal.follow_lines();

-- security definer: the sum is that of all lines, whoever changes one
CREATE OR REPLACE FUNCTION crm_internal.sum_opportunity_lines()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
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
CREATE OR REPLACE TRIGGER opportunity_lines_after_insert_sum AFTER INSERT ON crm.opportunity_lines
    REFERENCING NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_opportunity_lines();
CREATE OR REPLACE TRIGGER opportunity_lines_after_update_sum AFTER UPDATE ON crm.opportunity_lines
    REFERENCING OLD TABLE AS old_lines NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_opportunity_lines();
CREATE OR REPLACE TRIGGER opportunity_lines_after_delete_sum AFTER DELETE ON crm.opportunity_lines
    REFERENCING OLD TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_opportunity_lines();
