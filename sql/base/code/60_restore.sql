-- Restores of rows alone, which would run every trigger once more over what triggers have written.

-- What is looked at, and why without WHEN, stands in src/base/restore.c.
CREATE OR REPLACE FUNCTION crm_internal.apply_restore_guard(relation regclass)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.set_trigger(relation, '_before_00_restore',
        -- events are written by every statement, and have no trigger that would do harm
        relation <> 'crm.events'::regclass, 'BEFORE INSERT',
        'FOR EACH STATEMENT EXECUTE FUNCTION crm.refuse_rows_alone()')
$$;
COMMENT ON FUNCTION crm_internal.apply_restore_guard(regclass) IS 'Refuses restores of rows alone into a table of the registry.';
SELECT crm.declare_hook('table', 'crm_internal.apply_restore_guard(regclass)');
