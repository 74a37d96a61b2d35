-- Rounding and prices; conversion is crm.convert_currency() of the extension.

CREATE OR REPLACE FUNCTION crm.round_money(amount numeric, currency text)
RETURNS numeric
LANGUAGE sql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT round(amount, c.minor_units::integer) FROM crm.currencies AS c WHERE c.code = upper(currency)
$$;
COMMENT ON FUNCTION crm.round_money(numeric, text) IS
'An amount rounded, half away from zero, to the minor units of its currency (crm.currencies); NULL for an unknown one.';

CREATE OR REPLACE FUNCTION crm.price_of(product_id bigint, price_book_id bigint DEFAULT NULL, quantity numeric DEFAULT 1, on_date date DEFAULT NULL)
RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    day date := on_date;
    answer numeric;
BEGIN
    IF quantity IS NULL OR quantity <= 0 OR quantity IN ('NaN', 'Infinity') THEN
        RAISE EXCEPTION 'quantity must be a positive number' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF price_book_id IS NULL THEN
        SELECT p.list_price INTO answer FROM crm.products AS p
        WHERE p.tenant_id = t AND p.id = price_of.product_id;
        RETURN answer;
    END IF;
    IF day IS NULL THEN
        SELECT (now() AT TIME ZONE n.time_zone)::date INTO day FROM crm.tenants AS n WHERE n.tenant_id = t;
    END IF;
    SELECT p.price INTO answer FROM crm.prices AS p
    WHERE p.tenant_id = t AND p.price_book_id = price_of.price_book_id AND p.product_id = price_of.product_id
      AND p.min_quantity <= price_of.quantity AND p.valid_from <= day
    ORDER BY p.min_quantity DESC, p.valid_from DESC
    LIMIT 1;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm.price_of(bigint, bigint, numeric, date) IS
'Price of one unit of a product in a price book, in the book''s currency: of the largest quantity break reached, the latest price in force on on_date (NULL: '
'today in the tenant''s zone). Without a book the product''s list price. NULL where there is none. Error 22023 for a quantity that is not positive.';

-- Dimensions, the facts everybody counts, and the sales views over them.
-- Every view: one documented grain, tenant_id first, rights and row security of whoever reads it.
-- Money is in the tenant's base currency at the rate of the event's date. Where that rate is missing the amount
-- is left out of the sum and the row is counted in a column missing_rates: seen, never guessed.

CREATE OR REPLACE FUNCTION crm_analytics.base_rate(tenant_id bigint, currency text, on_date date) RETURNS numeric
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT crm.exchange_rate_on($1, $2::character(3), t.base_currency, $3) FROM crm.tenants AS t WHERE t.tenant_id = $1);
END
$$;
COMMENT ON FUNCTION crm_analytics.base_rate(bigint, text, date) IS
'How many units of the tenant''s base currency one unit of a currency was worth on a date: the later of the last rate from the currency to the base currency '
'and the reciprocal of the last one the other way, on or before the date; the rule of crm.convert_currency. NULL where there is none: reports count such rows '
'as missing_rates.';

CREATE OR REPLACE FUNCTION crm_internal.require_rates(tenant bigint, base_currency text, missing jsonb)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF missing IS NOT NULL AND missing <> '{}' THEN
        RAISE EXCEPTION 'base currency of tenant % cannot become %: rates are missing', tenant, base_currency
            USING ERRCODE = 'CR203',
                  DETAIL = (SELECT string_agg(format('No rate from %s to %s on %s or before.', e.key, base_currency, e.value), ' ' ORDER BY e.key)
                            FROM jsonb_each_text(missing) AS e),
                  HINT = 'What is stored is converted at the rate of its day: insert these into crm.exchange_rates first. '
                         'Rates from the present base currency to the new one are enough.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.require_rates(bigint, text, jsonb) IS
'Error CR203 that names the rates without which a base currency cannot be changed: {currency: first day}.';
