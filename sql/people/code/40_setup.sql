-- The first call: who the company is.

CREATE OR REPLACE FUNCTION crm.setup(
    company text, currency text DEFAULT NULL, zone text DEFAULT NULL, country text DEFAULT NULL, language text DEFAULT NULL,
    fiscal_year_start text DEFAULT NULL, week_start integer DEFAULT NULL, weekend integer[] DEFAULT NULL)
RETURNS TABLE (setting text, was text, now_is text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 8
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    old crm.tenants;
    new crm.tenants;
    wrong text;
BEGIN
    -- before anything meets the width of a column
    wrong := CASE
        WHEN coalesce(trim(company), '') = '' THEN 'the company needs a name'
        WHEN NOT EXISTS (SELECT FROM crm.currencies AS c WHERE c.code = upper(trim(currency))) AND currency IS NOT NULL
            THEN 'there is no currency "' || currency || '": give a code of ISO 4217, such as EUR; crm.currencies lists them'
        WHEN NOT EXISTS (SELECT FROM pg_timezone_names AS z WHERE lower(z.name) = lower(zone)) AND zone IS NOT NULL
            THEN 'there is no time zone "' || zone || '": give a name such as Europe/Berlin; pg_timezone_names lists them'
        WHEN upper(trim(country)) !~ '^[A-Z]{2}$' THEN 'country "' || country || '" is no code of two letters (ISO 3166), such as DE'
        WHEN lower(trim(language)) <> ALL (crm.languages())
            THEN 'there are no texts in language "' || language || '": there are ' || array_to_string(crm.languages(), ' and ')
        WHEN fiscal_year_start !~ '^(jalali:)?(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'
            THEN '"' || fiscal_year_start || '" is no first day of a year: write month and day as 04-01, or jalali:01-01'
        WHEN week_start NOT BETWEEN 1 AND 7 THEN 'week_start ' || week_start || ' is no day: 1 is Monday, 6 Saturday, 7 Sunday'
        WHEN NOT weekend <@ '{1,2,3,4,5,6,7}'::integer[] THEN 'weekend ' || weekend::text || ' has days that are none: 1 is Monday, 7 Sunday' END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'nothing was set up: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT t.* INTO old FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id() FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the current role works for no company' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Map the role to a user of a company (crm.grant_access), or make a company with crm.create_tenant().';
    END IF;
    new := old;
    new.name := company;
    new.base_currency := coalesce(upper(trim(currency)), old.base_currency);
    new.time_zone := coalesce(zone, old.time_zone);
    new.country := coalesce(upper(trim(country)), old.country);
    new.language := coalesce(lower(trim(language)), old.language);
    new.fiscal_year_start := coalesce(fiscal_year_start, old.fiscal_year_start);
    new.week_start := coalesce(week_start, old.week_start);
    new.weekend := coalesce(weekend, old.weekend);
    IF new IS DISTINCT FROM old THEN
        -- what is stored in the old currency or zone is converted, or the change refused with what it takes (hook tenant_resettled)
        UPDATE crm.tenants AS t
        SET name = new.name, base_currency = new.base_currency, time_zone = new.time_zone, country = new.country, language = new.language,
            fiscal_year_start = new.fiscal_year_start, week_start = new.week_start, weekend = new.weekend
        WHERE t.tenant_id = old.tenant_id;
    END IF;
    RETURN QUERY
        SELECT v.name, v.before, v.after FROM (VALUES
            (1, 'company', old.name, new.name), (2, 'currency', old.base_currency::text, new.base_currency::text),
            (3, 'zone', old.time_zone, new.time_zone),
            (4, 'country', old.country::text, new.country::text), (5, 'language', old.language, new.language),
            (6, 'fiscal_year_start', old.fiscal_year_start, new.fiscal_year_start), (7, 'week_start', old.week_start::text, new.week_start::text),
            (8, 'weekend', old.weekend::text, new.weekend::text)) AS v (place, name, before, after)
        WHERE v.before IS DISTINCT FROM v.after ORDER BY v.place;
END
$$;
COMMENT ON FUNCTION crm.setup(text, text, text, text, text, text, integer, integer[]) IS
'Says who the company is: its name, base currency (ISO 4217), time zone, country (ISO 3166), language (en, fa), first day of the fiscal year (MM-DD, or '
'jalali:MM-DD), first day of the week and days of rest (1 Monday ... 7 Sunday). What is left out stays. Everything later takes its defaults '
'from there. Returns a row for each setting that it changed, so none where all is so already. '
'What is stored in another base currency or zone is converted; in another language, '
'stages, reasons, priorities and types that still have the name they began with get that of the language. '
'Errors: 22023 a value that is none, CR203 a change of currency without the rates it takes, 55000 a role without a company.';
SELECT crm.declare_function('crm.setup', 'admin');
