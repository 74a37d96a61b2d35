-- Texts by language, and the languages there are.

CREATE OR REPLACE FUNCTION crm_internal.texts_of(tenant bigint, area text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN (
        SELECT x.words FROM crm_internal.texts AS x JOIN crm.tenants AS t ON t.tenant_id = texts_of.tenant AND t.language = x.language
        WHERE x.area = texts_of.area);
END
$$;
COMMENT ON FUNCTION crm_internal.texts_of(bigint, text) IS 'Texts of an area in the language of a tenant.';

CREATE OR REPLACE FUNCTION crm.languages()
RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(DISTINCT x.language ORDER BY x.language) FROM crm_internal.texts AS x
$$;
COMMENT ON FUNCTION crm.languages() IS 'Languages, ISO 639-1, in which there are texts for a company: what crm.setup() and crm.create_tenant() take.';
SELECT crm.declare_function('crm.languages', 'reader');

CREATE OR REPLACE FUNCTION crm_internal.check_language()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.language <> ALL (crm.languages()) THEN
        RAISE EXCEPTION 'there are no texts in language "%"', NEW.language
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('Known are: %s.', array_to_string(crm.languages(), ', '));
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_language() IS 'Refuses a language of a tenant that has no texts.';
CREATE OR REPLACE TRIGGER tenants_before_language_insert BEFORE INSERT ON crm.tenants
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_language();
CREATE OR REPLACE TRIGGER tenants_before_language_update BEFORE UPDATE ON crm.tenants
    FOR EACH ROW WHEN (NEW.language IS DISTINCT FROM OLD.language) EXECUTE FUNCTION crm_internal.check_language();
