-- The amounts of documents: net, tax and total of lines and of the whole, to the minor unit.
--
-- Within a document the lines of one tax rate are taken one after the other, and each is given what the rounded sum grew by. So the lines of
-- a document that is rounded as a whole share its rounded amounts without a remainder, and none is further than a minor unit from what it is
-- worth; where lines are rounded one by one, each is a sum of its own. Tax is computed from the rounded amount it is shown beside, so that
-- whoever checks a document with a pocket calculator finds what is printed.

CREATE OR REPLACE FUNCTION crm_internal.rounded_lines(
    documents bigint[], ids bigint[], positions integer[], amounts numeric[], percents numeric[], included boolean[], one_by_one boolean[], units integer[])
RETURNS TABLE (id bigint, net numeric, tax numeric, gross numeric)
LANGUAGE sql IMMUTABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    WITH exact AS (
        SELECT e.* FROM unnest(documents, ids, positions, amounts, percents, included, one_by_one, units)
            AS e (document, id, place, amount, percent, included, alone, units)
    ), running AS (
        SELECT e.*, sum(e.amount) OVER (PARTITION BY e.document, e.percent, e.included, CASE WHEN e.alone THEN e.id END
                                        ORDER BY e.place, e.id ROWS UNBOUNDED PRECEDING) AS upto
        FROM exact AS e
    ), rounded AS (
        SELECT r.id, r.units, r.included, r.percent,
               CASE WHEN r.included THEN 100 + r.percent ELSE 100 END AS whole, round(r.upto, r.units) AS upto, round(r.upto - r.amount, r.units) AS before
        FROM running AS r
    ), taxed AS (
        SELECT r.id, r.included, r.upto - r.before AS amount,
               round(r.upto * r.percent / r.whole, r.units) - round(r.before * r.percent / r.whole, r.units) AS tax
        FROM rounded AS r
    )
    SELECT t.id, CASE WHEN t.included THEN t.amount - t.tax ELSE t.amount END, t.tax, CASE WHEN t.included THEN t.amount ELSE t.amount + t.tax END
    FROM taxed AS t
$$;
COMMENT ON FUNCTION crm_internal.rounded_lines(bigint[], bigint[], integer[], numeric[], numeric[], boolean[], boolean[], integer[]) IS
'Net, tax and gross of lines, one element of each list a line: its document, number, place, exact amount, tax in per cent, whether the tax is in the amount, '
'whether it is rounded by itself, and decimals.';

CREATE OR REPLACE FUNCTION crm_internal.rounded_to(amount numeric, multiple numeric)
RETURNS numeric
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- not in SQL: with a search path of its own that would be parsed and planned by each call
    RETURN CASE WHEN multiple IS NULL THEN amount ELSE round(amount / multiple) * multiple END;
END
$$;
COMMENT ON FUNCTION crm_internal.rounded_to(numeric, numeric) IS
'The multiple nearest to an amount, the larger one of two; the amount itself where there is none.';

-- ---- lines say what their document is worth ----

-- Where lines are rounded one by one, each knows its amounts by itself, before it is written: the most usual documents are not written twice. It is
-- what rounded_lines says of a line that stands alone.
-- security definer: how a document is rounded does not depend on what its writer sees
CREATE OR REPLACE FUNCTION crm_internal.price_line()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    units integer;
    percent CONSTANT numeric := coalesce(NEW.tax_percent, 0);
    amount numeric;
BEGIN
    IF TG_TABLE_NAME = 'quote_lines' THEN
        SELECT h.minor_units INTO units FROM crm.quotes AS h WHERE h.tenant_id = NEW.tenant_id AND h.id = NEW.quote_id AND h.rounding = 'line';
    ELSE
        SELECT h.minor_units INTO units FROM crm.invoices AS h WHERE h.tenant_id = NEW.tenant_id AND h.id = NEW.invoice_id AND h.rounding = 'line';
    END IF;
    IF units IS NOT NULL THEN
        amount := round(NEW.quantity * NEW.unit_price * (100 - NEW.discount_percent) * 0.01, units);
        NEW.tax_amount := round(amount * percent / CASE WHEN NEW.price_includes_tax THEN 100 + percent ELSE 100 END, units);
        NEW.net_amount := CASE WHEN NEW.price_includes_tax THEN amount - NEW.tax_amount ELSE amount END;
        NEW.gross_amount := NEW.net_amount + NEW.tax_amount;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.price_line() IS
'Row trigger of lines of quotes and invoices: amounts of those that are rounded one by one, also where somebody writes an amount.';
CREATE OR REPLACE TRIGGER quote_lines_before_price BEFORE INSERT OR UPDATE ON crm.quote_lines FOR EACH ROW EXECUTE FUNCTION crm_internal.price_line();
CREATE OR REPLACE TRIGGER invoice_lines_before_price BEFORE INSERT OR UPDATE ON crm.invoice_lines FOR EACH ROW EXECUTE FUNCTION crm_internal.price_line();

-- ---- quotes ----

CREATE OR REPLACE FUNCTION crm_internal.price_quote_lines(tenant bigint, documents bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given record;
    doc bigint;
    whole boolean;
    sums record;
BEGIN
    -- most often one, whose plan is kept; for a list a plan is made each time
    IF cardinality(documents) = 1 THEN
        whole := EXISTS (SELECT FROM crm.quotes AS h WHERE h.tenant_id = tenant AND h.id = documents[1] AND h.rounding <> 'line');
    ELSE
        whole := EXISTS (SELECT FROM crm.quotes AS h WHERE h.tenant_id = tenant AND h.id = ANY (documents) AND h.rounding <> 'line');
    END IF;
    IF whole THEN
        SELECT array_agg(l.quote_id) AS documents, array_agg(l.id) AS ids, array_agg(l.position) AS places,
               array_agg(l.quantity * l.unit_price * (100 - l.discount_percent) * 0.01) AS amounts, array_agg(coalesce(l.tax_percent, 0)) AS percents,
               array_agg(l.price_includes_tax) AS included, array_agg(false) AS alone, array_agg(h.minor_units::integer) AS units INTO given
        FROM crm.quotes AS h JOIN crm.quote_lines AS l ON l.tenant_id = tenant AND l.quote_id = h.id
        WHERE h.tenant_id = tenant AND h.id = ANY (price_quote_lines.documents) AND h.rounding <> 'line';
        UPDATE crm.quote_lines AS l SET net_amount = r.net, tax_amount = r.tax, gross_amount = r.gross
        FROM crm_internal.rounded_lines(given.documents, given.ids, given.places, given.amounts, given.percents, given.included, given.alone, given.units) AS r
        WHERE l.tenant_id = tenant AND l.id = r.id AND (l.net_amount <> r.net OR l.tax_amount <> r.tax OR l.gross_amount <> r.gross);
    END IF;
    -- one by one: a plan that is kept costs a tenth of one that is made for each statement
    FOREACH doc IN ARRAY documents LOOP
        SELECT coalesce(sum(l.net_amount), 0) AS net, coalesce(sum(l.tax_amount), 0) AS tax, coalesce(bool_or(l.over_limit), false) AS over_limit INTO sums
        FROM crm.quote_lines AS l WHERE l.tenant_id = tenant AND l.quote_id = doc;
        UPDATE crm.quotes AS h SET net_amount = sums.net, tax_amount = sums.tax, over_limit = sums.over_limit
        WHERE h.tenant_id = tenant AND h.id = doc AND (h.net_amount <> sums.net OR h.tax_amount <> sums.tax OR h.over_limit <> sums.over_limit);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.price_quote_lines(bigint, bigint[]) IS 'Amounts of the lines of quotes of a company, and of the quotes.';

-- security definer: the sum is that of all lines, whoever changes one
CREATE OR REPLACE FUNCTION crm_internal.sum_quote_lines()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    touched record;
BEGIN
    -- what is written is of one company at a time
    IF TG_OP = 'UPDATE' THEN
        FOR touched IN SELECT b.tenant_id, array_agg(b.id) AS ids
                       FROM (SELECT n.tenant_id, n.quote_id AS id FROM lines AS n UNION SELECT o.tenant_id, o.quote_id FROM old_lines AS o) AS b GROUP BY 1 LOOP
            PERFORM crm_internal.price_quote_lines(touched.tenant_id, touched.ids);
        END LOOP;
    ELSE
        FOR touched IN SELECT l.tenant_id, array_agg(DISTINCT l.quote_id) AS ids FROM lines AS l GROUP BY 1 LOOP
            PERFORM crm_internal.price_quote_lines(touched.tenant_id, touched.ids);
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.sum_quote_lines() IS
'Statement trigger of lines of quotes: amounts of quotes, and of lines of those that are rounded as a whole, follow what is said of the lines.';
CREATE OR REPLACE TRIGGER quote_lines_after_insert_sum AFTER INSERT ON crm.quote_lines
    REFERENCING NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_quote_lines();
CREATE OR REPLACE TRIGGER quote_lines_after_update_sum AFTER UPDATE ON crm.quote_lines
    REFERENCING OLD TABLE AS old_lines NEW TABLE AS lines FOR EACH STATEMENT
    EXECUTE FUNCTION crm_internal.sum_quote_lines();
CREATE OR REPLACE TRIGGER quote_lines_after_delete_sum AFTER DELETE ON crm.quote_lines
    REFERENCING OLD TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_quote_lines();

-- security definer: the sums are those of all lines
CREATE OR REPLACE FUNCTION crm_internal.total_quote()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    NEW.net_amount := 0;
    NEW.tax_amount := 0;
    IF TG_OP = 'UPDATE' THEN
        SELECT coalesce(sum(l.net_amount), 0), coalesce(sum(l.tax_amount), 0), coalesce(bool_or(l.over_limit), false)
        INTO NEW.net_amount, NEW.tax_amount, NEW.over_limit
        FROM crm.quote_lines AS l WHERE l.tenant_id = NEW.tenant_id AND l.quote_id = NEW.id;
    END IF;
    NEW.total_amount := crm_internal.rounded_to(NEW.net_amount + NEW.tax_amount, NEW.round_total_to);
    NEW.rounding_amount := NEW.total_amount - NEW.net_amount - NEW.tax_amount;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.total_quote() IS 'Row trigger: the amounts of quotes are the sums of their lines, and the total is rounded as it says.';
CREATE OR REPLACE TRIGGER quotes_before_insert_total BEFORE INSERT ON crm.quotes
    FOR EACH ROW EXECUTE FUNCTION crm_internal.total_quote();
CREATE OR REPLACE TRIGGER quotes_before_update_total BEFORE UPDATE ON crm.quotes FOR EACH ROW
    WHEN (OLD.net_amount IS DISTINCT FROM NEW.net_amount OR OLD.tax_amount IS DISTINCT FROM NEW.tax_amount
          OR OLD.total_amount IS DISTINCT FROM NEW.total_amount OR OLD.rounding_amount IS DISTINCT FROM NEW.rounding_amount
          OR OLD.over_limit IS DISTINCT FROM NEW.over_limit)
    EXECUTE FUNCTION crm_internal.total_quote();

-- ---- invoices ----

CREATE OR REPLACE FUNCTION crm_internal.price_invoice_lines(tenant bigint, documents bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given record;
    doc bigint;
    whole boolean;
    sums record;
BEGIN
    -- most often one, whose plan is kept; for a list a plan is made each time
    IF cardinality(documents) = 1 THEN
        whole := EXISTS (SELECT FROM crm.invoices AS h WHERE h.tenant_id = tenant AND h.id = documents[1] AND h.rounding <> 'line');
    ELSE
        whole := EXISTS (SELECT FROM crm.invoices AS h WHERE h.tenant_id = tenant AND h.id = ANY (documents) AND h.rounding <> 'line');
    END IF;
    IF whole THEN
        SELECT array_agg(l.invoice_id) AS documents, array_agg(l.id) AS ids, array_agg(l.position) AS places,
               array_agg(l.quantity * l.unit_price * (100 - l.discount_percent) * 0.01) AS amounts, array_agg(coalesce(l.tax_percent, 0)) AS percents,
               array_agg(l.price_includes_tax) AS included, array_agg(false) AS alone, array_agg(h.minor_units::integer) AS units INTO given
        FROM crm.invoices AS h JOIN crm.invoice_lines AS l ON l.tenant_id = tenant AND l.invoice_id = h.id
        WHERE h.tenant_id = tenant AND h.id = ANY (price_invoice_lines.documents) AND h.rounding <> 'line';
        UPDATE crm.invoice_lines AS l SET net_amount = r.net, tax_amount = r.tax, gross_amount = r.gross
        FROM crm_internal.rounded_lines(given.documents, given.ids, given.places, given.amounts, given.percents, given.included, given.alone, given.units) AS r
        WHERE l.tenant_id = tenant AND l.id = r.id AND (l.net_amount <> r.net OR l.tax_amount <> r.tax OR l.gross_amount <> r.gross);
    END IF;
    -- one by one: a plan that is kept costs a tenth of one that is made for each statement
    FOREACH doc IN ARRAY documents LOOP
        SELECT coalesce(sum(l.net_amount), 0) AS net, coalesce(sum(l.tax_amount), 0) AS tax INTO sums
        FROM crm.invoice_lines AS l WHERE l.tenant_id = tenant AND l.invoice_id = doc;
        UPDATE crm.invoices AS h SET net_amount = sums.net, tax_amount = sums.tax
        WHERE h.tenant_id = tenant AND h.id = doc AND (h.net_amount <> sums.net OR h.tax_amount <> sums.tax);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.price_invoice_lines(bigint, bigint[]) IS 'Amounts of the lines of invoices of a company, and of the invoices.';

-- security definer: the sum is that of all lines, whoever changes one
CREATE OR REPLACE FUNCTION crm_internal.sum_invoice_lines()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    touched record;
BEGIN
    -- what is written is of one company at a time
    IF TG_OP = 'UPDATE' THEN
        FOR touched IN SELECT b.tenant_id, array_agg(b.id) AS ids
                       FROM (SELECT n.tenant_id, n.invoice_id AS id FROM lines AS n
                             UNION SELECT o.tenant_id, o.invoice_id FROM old_lines AS o) AS b GROUP BY 1 LOOP
            PERFORM crm_internal.price_invoice_lines(touched.tenant_id, touched.ids);
        END LOOP;
    ELSE
        FOR touched IN SELECT l.tenant_id, array_agg(DISTINCT l.invoice_id) AS ids FROM lines AS l GROUP BY 1 LOOP
            PERFORM crm_internal.price_invoice_lines(touched.tenant_id, touched.ids);
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.sum_invoice_lines() IS
'Statement trigger of lines of invoices: amounts of invoices, and of lines of those that are rounded as a whole, follow what is said of the lines.';
CREATE OR REPLACE TRIGGER invoice_lines_after_insert_sum AFTER INSERT ON crm.invoice_lines
    REFERENCING NEW TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_invoice_lines();
CREATE OR REPLACE TRIGGER invoice_lines_after_update_sum AFTER UPDATE ON crm.invoice_lines
    REFERENCING OLD TABLE AS old_lines NEW TABLE AS lines FOR EACH STATEMENT
    EXECUTE FUNCTION crm_internal.sum_invoice_lines();
CREATE OR REPLACE TRIGGER invoice_lines_after_delete_sum AFTER DELETE ON crm.invoice_lines
    REFERENCING OLD TABLE AS lines FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sum_invoice_lines();

-- security definer: the sums are those of all lines
CREATE OR REPLACE FUNCTION crm_internal.total_invoice()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    NEW.net_amount := 0;
    NEW.tax_amount := 0;
    IF TG_OP = 'UPDATE' THEN
        SELECT coalesce(sum(l.net_amount), 0), coalesce(sum(l.tax_amount), 0) INTO NEW.net_amount, NEW.tax_amount
        FROM crm.invoice_lines AS l WHERE l.tenant_id = NEW.tenant_id AND l.invoice_id = NEW.id;
    END IF;
    NEW.total_amount := crm_internal.rounded_to(NEW.net_amount + NEW.tax_amount, NEW.round_total_to);
    NEW.rounding_amount := NEW.total_amount - NEW.net_amount - NEW.tax_amount;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.total_invoice() IS 'Row trigger: the amounts of invoices are the sums of their lines, and the total is rounded as it says.';
CREATE OR REPLACE TRIGGER invoices_before_insert_total BEFORE INSERT ON crm.invoices
    FOR EACH ROW EXECUTE FUNCTION crm_internal.total_invoice();
CREATE OR REPLACE TRIGGER invoices_before_update_total BEFORE UPDATE ON crm.invoices FOR EACH ROW
    WHEN (OLD.net_amount IS DISTINCT FROM NEW.net_amount OR OLD.tax_amount IS DISTINCT FROM NEW.tax_amount
          OR OLD.total_amount IS DISTINCT FROM NEW.total_amount OR OLD.rounding_amount IS DISTINCT FROM NEW.rounding_amount)
    EXECUTE FUNCTION crm_internal.total_invoice();
