-- Texts by language, and the languages there are.

CREATE OR REPLACE FUNCTION crm_internal.texts_of(tenant bigint, area text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT x.words FROM crm_internal.texts AS x JOIN crm.tenants AS t ON t.tenant_id = texts_of.tenant AND t.language = x.language
        WHERE x.area = texts_of.area);
END
$$;
COMMENT ON FUNCTION crm_internal.texts_of(bigint, text) IS 'Texts of an area in the language of a tenant.';

CREATE OR REPLACE FUNCTION crm.texts(area text, language text)
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN coalesce((SELECT x.words FROM crm_internal.texts AS x WHERE x.language = 'en' AND x.area = texts.area), '{}')
           || coalesce((SELECT x.words FROM crm_internal.texts AS x WHERE x.language = texts.language AND x.area = texts.area), '{}');
END
$$;
COMMENT ON FUNCTION crm.texts(text, text) IS
'Texts of an area (work, churn, countries, reports ...) in a language, English for what it lacks: what views and pages say.';
SELECT crm.declare_function('crm.texts', 'reader');

CREATE OR REPLACE FUNCTION crm.say(words jsonb, key text, VARIADIC args text[])
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN translate(format(words ->> key, VARIADIC args), '0123456789', coalesce(words ->> 'digits', '0123456789'));
END
$$;
COMMENT ON FUNCTION crm.say(jsonb, text, text[]) IS 'A sentence out of crm.texts(), with its values in place and in the digits of its language.';

CREATE OR REPLACE FUNCTION crm.languages()
RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(DISTINCT x.language ORDER BY x.language) FROM crm_internal.texts AS x
$$;
COMMENT ON FUNCTION crm.languages() IS 'Languages, ISO 639-1, in which there are texts for a company: what crm.setup() and crm.create_tenant() take.';
SELECT crm.declare_function('crm.languages', 'reader');

-- A group of seeds whose words stand by code is the table of its name.
CREATE OR REPLACE FUNCTION crm_internal.rename_seeds(tenant bigint, was text, now_is text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    seeds record;
BEGIN
    FOR seeds IN
        SELECT g.name, g.words AS before, n.words -> g.name AS after
        FROM crm_internal.texts AS o JOIN crm_internal.texts AS n ON n.area = o.area AND n.language = now_is, LATERAL jsonb_each(o.words) AS g (name, words)
        WHERE o.area = 'seeds' AND o.language = was AND NOT jsonb_path_exists(g.words, '$.* ? (@.type() != "string")')
          AND to_regclass(format('crm.%I', g.name)) IS NOT NULL
    LOOP
        EXECUTE format('UPDATE crm.%I AS t SET name = $3 ->> t.code WHERE t.tenant_id = $1 AND t.name = $2 ->> t.code AND $3 ? t.code', seeds.name)
            USING tenant, seeds.before, seeds.after;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.rename_seeds(bigint, text, text) IS
'Names what a tenant was given to begin with in its new language. What somebody has named otherwise keeps that name.';
SELECT crm.declare_hook('tenant_language', 'crm_internal.rename_seeds(bigint, text, text)');

CREATE OR REPLACE FUNCTION crm_internal.check_language()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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
