-- Restores of rows alone, which would run every trigger once more over what triggers have written.

CREATE OR REPLACE FUNCTION crm_internal.refuse_rows_alone()
RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'table %.% takes no rows from a restore of rows alone', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = 'Its triggers are on and would write history, clocks and sums a second time.',
              HINT = 'Restore schema and rows together (pg_restore --clean --if-exists over an installed CRM), or give --disable-triggers '
                     'and restore the rows into the schema of the same dump.';
END
$$;
COMMENT ON FUNCTION crm_internal.refuse_rows_alone() IS
'Statement trigger of every table of the CRM, which fires in sessions that pg_dump has written the settings of.';

-- pg_dump writes these settings at the top of a dump, and nobody works under all of them. In a whole dump triggers come after the rows.
CREATE OR REPLACE FUNCTION crm_internal.apply_restore_guard(relation regclass)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.set_trigger(relation, '_before_00_restore',
        -- events are written by every statement, to which its condition would be a burden; they have no trigger that would do harm
        relation <> 'crm.events'::regclass, 'BEFORE INSERT',
        'FOR EACH STATEMENT WHEN (pg_catalog.current_setting(''row_security'') = ''off'' AND pg_catalog.current_setting(''search_path'') = '''' '
        'AND pg_catalog.current_setting(''check_function_bodies'') = ''off'') EXECUTE FUNCTION crm_internal.refuse_rows_alone()')
$$;
COMMENT ON FUNCTION crm_internal.apply_restore_guard(regclass) IS 'Refuses restores of rows alone into a table of the registry.';
SELECT crm.declare_hook('table', 'crm_internal.apply_restore_guard(regclass)');
