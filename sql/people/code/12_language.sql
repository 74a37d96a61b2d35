-- The language in which somebody reads, and what countries are called in it.

CREATE OR REPLACE FUNCTION crm.language()
RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN coalesce((SELECT u.language FROM crm.users AS u WHERE u.tenant_id = crm.tenant_id() AND u.id = crm.user_id()),
                    (SELECT t.language FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id()));
END
$$;
COMMENT ON FUNCTION crm.language() IS 'Language in which the caller reads: their own (crm.users.language), else that of the company.';
SELECT crm.declare_function('crm.language', 'reader');

CREATE OR REPLACE FUNCTION crm.country_name(code text, language text DEFAULT crm.language())
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN coalesce(crm.texts('countries', language) ->> code, code);
END
$$;
COMMENT ON FUNCTION crm.country_name(text, text) IS
'What a country is called in a language, by its ISO 3166-1 code; the code itself where there is no name. crm.country_code() is the way back.';
SELECT crm.declare_function('crm.country_name', 'reader');
