-- ---- identities are compiled out of these ----
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{tenants,users,teams,team_memberships,access_grants,custom_fields,currencies,exchange_rates}'::text[] LOOP
        EXECUTE pg_catalog.format(
            'CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed()', t || '_after_changed', t);
    END LOOP;
END
$$;

-- ---- checks of rows, on every table with the columns they are about ----
DO $$
DECLARE
    t record;
BEGIN
    FOR t IN
        SELECT c.relname::text AS name,
               pg_catalog.bool_or(a.attname = 'version' AND a.atttypid = 'pg_catalog.int4'::pg_catalog.regtype) AS versioned,
               pg_catalog.bool_or(a.attname = 'updated_at') AS dated,
               pg_catalog.bool_or(a.attname = 'custom' AND a.atttypid = 'pg_catalog.jsonb'::pg_catalog.regtype) AS custom,
               pg_catalog.bool_or(a.attname = 'tags' AND a.atttypid = 'pg_catalog.text[]'::pg_catalog.regtype) AS tagged
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'crm'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        GROUP BY c.relname
    LOOP
        IF t.versioned AND t.dated THEN
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON crm.%I FOR EACH ROW EXECUTE FUNCTION crm.check_version()',
                                      t.name || '_before_version', t.name);
        END IF;
        IF t.custom THEN
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT ON crm.%I FOR EACH ROW EXECUTE FUNCTION crm.check_custom_fields(%L)',
                                      t.name || '_before_insert_custom', t.name, t.name);
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON crm.%I FOR EACH ROW WHEN (NEW.custom IS DISTINCT FROM OLD.custom) EXECUTE FUNCTION crm.check_custom_fields(%L)',
                                      t.name || '_before_update_custom', t.name, t.name);
        END IF;
        IF t.tagged THEN
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT ON crm.%I FOR EACH ROW WHEN (NEW.tags <> ''{}'') EXECUTE FUNCTION crm.check_tags()',
                                      t.name || '_before_insert_tags', t.name);
            EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE ON crm.%I FOR EACH ROW WHEN (NEW.tags IS DISTINCT FROM OLD.tags) EXECUTE FUNCTION crm.check_tags()',
                                      t.name || '_before_update_tags', t.name);
        END IF;
    END LOOP;

    FOR t IN VALUES ('teams', 'parent_id'), ('territories', 'parent_id'), ('accounts', 'parent_id'), ('users', 'manager_id') LOOP
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER INSERT ON crm.%I FOR EACH ROW WHEN (NEW.%I IS NOT NULL) EXECUTE FUNCTION crm.check_tree(%L, %L)',
                                  t.column1 || '_after_insert_tree', t.column1, t.column2, t.column1, t.column2);
        EXECUTE pg_catalog.format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON crm.%I FOR EACH ROW WHEN (NEW.%I IS DISTINCT FROM OLD.%I AND NEW.%I IS NOT NULL) EXECUTE FUNCTION crm.check_tree(%L, %L)',
                                  t.column1 || '_after_update_tree', t.column1, t.column2, t.column2, t.column2, t.column1, t.column2);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION crm.guard_custom_field()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute AS a
                   WHERE a.attrelid = to_regclass('crm.' || quote_ident(NEW.table_name))
                     AND a.attname = 'custom' AND NOT a.attisdropped)
    THEN
        RAISE EXCEPTION 'table "%" cannot have custom fields', NEW.table_name
            USING ERRCODE = 'undefined_table', HINT = 'It must be a table in schema crm with a column custom.';
    END IF;
    IF TG_OP = 'UPDATE' AND (NEW.table_name, NEW.name, NEW.type) IS DISTINCT FROM (OLD.table_name, OLD.name, OLD.type) THEN
        RAISE EXCEPTION 'table, name and type of custom field "%" cannot be changed', OLD.name
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Set active = false and declare another field.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.guard_custom_field() IS 'Trigger: custom fields belong to tables that can have them, and keep their type.';
CREATE OR REPLACE TRIGGER custom_fields_before_guard BEFORE INSERT OR UPDATE ON crm.custom_fields
    FOR EACH ROW EXECUTE FUNCTION crm.guard_custom_field();
