-- Installing and upgrading what CREATE EXTENSION does not make, and telling backends that configuration changed.

CREATE FUNCTION crm.install() RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_install';
COMMENT ON FUNCTION crm.install() IS
'Makes the tables, functions, triggers and views of the CRM as ordinary objects owned by the caller, or brings an older schema to the version of the library. One transaction; safe to call again. Returns what was done.';
SELECT crm.declare_function('crm.install', 'owner');

CREATE FUNCTION crm.library_version() RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_library_version';
COMMENT ON FUNCTION crm.library_version() IS 'Version of the loaded library.';

CREATE FUNCTION crm.configuration_changed() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_configuration_changed';
COMMENT ON FUNCTION crm.configuration_changed() IS
'Statement trigger of configuration tables: what backends compiled from the table is dropped when the change commits.';

CREATE FUNCTION crm.prepare_owner(role_name name) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = role_name) THEN
        RAISE EXCEPTION 'role "%" does not exist', role_name USING ERRCODE = 'undefined_object';
    END IF;
    EXECUTE pg_catalog.format('GRANT CREATE ON DATABASE %I TO %I', pg_catalog.current_database(), role_name);
    EXECUTE pg_catalog.format('GRANT USAGE, CREATE ON SCHEMA crm TO %I WITH GRANT OPTION', role_name);
    EXECUTE pg_catalog.format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm TO %I WITH GRANT OPTION', role_name);
END
$$;
COMMENT ON FUNCTION crm.prepare_owner(name) IS
'Allows a role to own the CRM: the rights it needs to call crm.install(). Run by the superuser who created the extension, and again after ALTER EXTENSION crm UPDATE.';
SELECT crm.declare_function('crm.prepare_owner', 'owner');
