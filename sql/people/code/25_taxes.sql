-- Taxes of a day, how a document is rounded, and what an access level may take off.

CREATE OR REPLACE FUNCTION crm_internal.tax_percent(tenant bigint, category bigint, on_date date)
RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    answer numeric;
    code text;
BEGIN
    IF category IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT r.percent INTO answer FROM crm.tax_rates AS r
    WHERE r.tenant_id = tenant AND r.tax_category_id = category AND r.valid_from <= on_date AND r.valid_until >= on_date
    ORDER BY r.valid_from DESC LIMIT 1;
    IF answer IS NULL THEN
        SELECT c.code INTO code FROM crm.tax_categories AS c WHERE c.tenant_id = tenant AND c.id = category;
        IF code IS NOT NULL THEN    -- else the foreign key speaks
            RAISE EXCEPTION 'tax category "%" has no rate on %', code, to_char(on_date, 'YYYY-MM-DD')
                USING ERRCODE = 'CR205', HINT = 'Insert one into crm.tax_rates that covers the day: percent 0 for what is not taxed.';
        END IF;
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.tax_percent(bigint, bigint, date) IS 'crm.tax_percent_on() by the number of the category.';

-- security definer: it reads for a company what everybody in it may read
CREATE OR REPLACE FUNCTION crm.tax_percent_on(tax_category text, on_date date DEFAULT NULL)
RETURNS numeric
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    category bigint;
BEGIN
    SELECT c.id INTO category FROM crm.tax_categories AS c WHERE c.tenant_id = t AND c.code = tax_category;
    IF category IS NULL THEN
        RAISE EXCEPTION 'there is no tax category "%"', tax_category USING ERRCODE = 'undefined_object',
            HINT = (SELECT 'Known are: ' || coalesce(string_agg(c.code, ', ' ORDER BY c.code), 'none') || '.'
                    FROM crm.tax_categories AS c WHERE c.tenant_id = t);
    END IF;
    RETURN crm_internal.tax_percent(t, category, coalesce(on_date, crm.local_day(t, now())));
END
$$;
COMMENT ON FUNCTION crm.tax_percent_on(text, date) IS
'Rate of a tax category, by its code, on a day (NULL: today in the tenant''s zone), in per cent of the net amount. Errors: CR205 where the category has no '
'rate on that day, 42704 no such category.';
SELECT crm.declare_function('crm.tax_percent_on', 'reader');

CREATE OR REPLACE FUNCTION crm_internal.document_rule(tenant bigint, document text, currency text)
RETURNS crm.document_rules
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    answer crm.document_rules;
BEGIN
    SELECT r.* INTO answer FROM crm.document_rules AS r
    WHERE r.tenant_id = tenant AND (r.document IS NULL OR r.document = document_rule.document)
      AND (r.for_currency IS NULL OR r.for_currency = document_rule.currency)
    ORDER BY r.document NULLS LAST, r.for_currency NULLS LAST LIMIT 1;
    answer.rounding := coalesce(answer.rounding, 'line');
    IF answer.minor_units IS NULL THEN
        SELECT c.minor_units INTO answer.minor_units FROM crm.currencies AS c WHERE c.code = document_rule.currency;
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.document_rule(bigint, text, text) IS 'The rule of a document in a currency, with the decimals of its amounts.';

CREATE OR REPLACE FUNCTION crm_internal.discount_limit(tenant bigint, family text)
RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    answer numeric;
BEGIN
    SELECT d.max_percent INTO answer FROM crm.discount_limits AS d
    WHERE d.tenant_id = tenant AND (d.product_family IS NULL OR d.product_family = family)
      AND d.access = CASE WHEN crm.has_access('admin') THEN 'admin' WHEN crm.has_access('manager') THEN 'manager' ELSE 'agent' END
    ORDER BY d.product_family NULLS LAST LIMIT 1;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.discount_limit(bigint, text) IS
'How many per cent whoever writes may take off the price of products of a family; NULL: any.';
