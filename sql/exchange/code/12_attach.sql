-- What a table needs to be a target of imports.

CREATE OR REPLACE FUNCTION crm_internal.apply_import(relation regclass)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF crm_internal.table_is(relation, 'import') AND NOT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          AND (SELECT array_agg(a.attname::text ORDER BY a.attname)
               FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attnum = ANY (i.indkey)) = '{source_id,source_system,tenant_id}')
    THEN
        RAISE EXCEPTION 'imports cannot tell the rows of table % apart', relation
            USING ERRCODE = 'invalid_table_definition', HINT = 'Add a constraint: UNIQUE (tenant_id, source_system, source_id).';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_import(regclass) IS 'Error where a table that is registered for import has no key of the source.';
SELECT crm.declare_hook('table', 'crm_internal.apply_import(regclass)');

CREATE OR REPLACE FUNCTION crm.attach_import(table_name regclass)
RETURNS text
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm.attach(table_name, '{"import": true, "found_by": ["source"]}') $$;
COMMENT ON FUNCTION crm.attach_import(regclass) IS
'Lets crm.import_table() fill a table of the owner''s own: it needs columns tenant_id, id, source_system and source_id, and a unique constraint on '
'(tenant_id, source_system, source_id). Returns the name that the mapping''s target and lookup call it by. Errors as crm.attach.';
SELECT crm.declare_function('crm.attach_import', 'owner');
