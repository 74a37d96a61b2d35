CREATE OR REPLACE FUNCTION crm.create_tenant(
    name text,
    base_currency text DEFAULT NULL,
    time_zone text DEFAULT NULL,
    language text DEFAULT 'en')
RETURNS crm.tenants
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    made crm.tenants;
    persian CONSTANT boolean := create_tenant.language = 'fa';
    money CONSTANT text := upper(coalesce(create_tenant.base_currency, CASE WHEN persian THEN 'IRR' ELSE 'USD' END));
BEGIN
    INSERT INTO crm.tenants AS t (name, country, base_currency, time_zone, language, week_start, weekend, fiscal_year_start)
    VALUES (create_tenant.name,
            -- the first two letters of a currency are its country's, but for those of unions
            CASE WHEN persian THEN 'IR' WHEN money !~ '^(EU|X)' THEN left(money, 2) END,
            money,
            coalesce(create_tenant.time_zone, CASE WHEN persian THEN 'Asia/Tehran' ELSE 'UTC' END),
            create_tenant.language,
            CASE WHEN persian THEN 6 ELSE 1 END,
            CASE WHEN persian THEN '{5}'::smallint[] ELSE '{6,7}'::smallint[] END,
            CASE WHEN persian THEN 'jalali:01-01' ELSE '01-01' END)
    RETURNING t.* INTO made;

    -- what a tenant starts with, one line for each kind; the tenant is made.tenant_id
    PERFORM crm.seed_service(made.tenant_id);
    PERFORM crm.create_default_pipelines(made.tenant_id);
    PERFORM crm.seed_leads(made.tenant_id);

    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.create_tenant(text, text, text, text) IS
'Makes a tenant with what it needs to begin. language fa: rials, zone Asia/Tehran, weeks from Saturday with Friday as the day of rest, fiscal years from 1 Farvardin; otherwise US dollars, UTC and ISO weeks unless given. Only for the owner of the CRM. Returns the tenant.';
