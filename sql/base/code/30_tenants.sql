-- Tenants: making one, with what it begins with.

CREATE OR REPLACE FUNCTION crm.create_tenant(
    name text,
    base_currency text DEFAULT NULL,
    time_zone text DEFAULT NULL,
    language text DEFAULT 'en')
RETURNS crm.tenants
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.tenants;
    seed regprocedure;
    -- how companies of the language begin; a language without texts is refused by the trigger of the table
    usual CONSTANT jsonb := coalesce((SELECT x.words FROM crm_internal.texts AS x WHERE x.language = create_tenant.language AND x.area = 'tenant'), '{}');
    money CONSTANT text := upper(coalesce(create_tenant.base_currency, usual ->> 'currency', 'USD'));
BEGIN
    INSERT INTO crm.tenants AS t (name, country, base_currency, time_zone, language, week_start, weekend, fiscal_year_start)
    VALUES (create_tenant.name,
            -- the first two letters of a currency are its country's, but for those of unions
            coalesce(usual ->> 'country', CASE WHEN money !~ '^(EU|X)' THEN left(money, 2) END),
            money,
            coalesce(create_tenant.time_zone, usual ->> 'zone', 'UTC'),
            create_tenant.language,
            coalesce((usual ->> 'week_start')::integer, 1),
            coalesce((SELECT array_agg(d.day::smallint ORDER BY d.n) FROM jsonb_array_elements_text(usual -> 'weekend') WITH ORDINALITY AS d (day, n)),
                '{6,7}'),
            coalesce(usual ->> 'fiscal_year_start', '01-01'))
    RETURNING t.* INTO made;

    -- what a tenant starts with: each room hangs in what it has to give
    FOR seed IN SELECT h FROM crm_internal.hooks_at('new_tenant') AS h LOOP
        EXECUTE format('SELECT %s($1)', seed::regproc) USING made.tenant_id;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.create_tenant(text, text, text, text) IS
'Makes a tenant with what it needs to begin. language fa: rials, zone Asia/Tehran, weeks from Saturday with Friday as the day of rest, fiscal years from 1 Farvardin; otherwise US dollars, UTC and ISO weeks unless given. Only for the owner of the CRM. Returns the tenant.';
SELECT crm.declare_function('crm.create_tenant', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.seed_older_tenants()
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hook text;
BEGIN
    -- once for each seed: what a company has thrown away since does not come back
    FOR hook IN
        UPDATE crm_internal.hooks AS h SET done_at = now()
        WHERE h.point = 'new_tenant' AND h.done_at IS NULL
        RETURNING h.function_name
    LOOP
        EXECUTE format('SELECT %s(t.tenant_id) FROM crm.tenants AS t', hook::regprocedure::regproc);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.seed_older_tenants() IS
'Gives tenants that were there before a room began to seed new ones what it gives to those.';

-- ---- other money, other days ----

-- security definer: an admin who changes the tenant may not see every record that is converted
CREATE OR REPLACE FUNCTION crm_internal.resettle_tenants()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed record;
    hook regprocedure;
BEGIN
    FOR changed IN
        -- rows of a transition table have no named type
        SELECT jsonb_populate_record(NULL::crm.tenants, to_jsonb(o.*)) AS was, jsonb_populate_record(NULL::crm.tenants, to_jsonb(n.*)) AS now_is
        FROM old_tenants AS o JOIN new_tenants AS n USING (tenant_id)
        WHERE o.base_currency <> n.base_currency OR o.time_zone <> n.time_zone
    LOOP
        FOR hook IN SELECT h FROM crm_internal.hooks_at('tenant_resettled') AS h LOOP
            EXECUTE format('SELECT %s($1, $2)', hook::regproc) USING changed.was, changed.now_is;
        END LOOP;
    END LOOP;
    FOR changed IN
        SELECT n.tenant_id, o.language AS was, n.language AS now_is FROM old_tenants AS o JOIN new_tenants AS n USING (tenant_id) WHERE o.language <> n.language
    LOOP
        FOR hook IN SELECT h FROM crm_internal.hooks_at('tenant_language') AS h LOOP
            EXECUTE format('SELECT %s($1, $2, $3)', hook::regproc) USING changed.tenant_id, changed.was, changed.now_is;
        END LOOP;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.resettle_tenants() IS
'Trigger of crm.tenants: where the base currency or the zone changes, each room converts what it has stored in the old one (hook tenant_resettled), '
'or refuses the change with what it would take. Where the language changes, what a company begins with is named anew (hook tenant_language).';
-- after tenants_after_changed, by the order of names: the settings that backends keep are old before that
CREATE OR REPLACE TRIGGER tenants_after_resettle AFTER UPDATE ON crm.tenants
    REFERENCING OLD TABLE AS old_tenants NEW TABLE AS new_tenants
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.resettle_tenants();
