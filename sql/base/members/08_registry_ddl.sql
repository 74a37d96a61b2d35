-- Changes of tables that are registered: what the CRM needs of them is kept, and what it puts on them follows.

CREATE FUNCTION crm.registry_ddl() RETURNS event_trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_registry_ddl';
COMMENT ON FUNCTION crm.registry_ddl() IS
'Event trigger: refuses (2BP01) that a registered table loses, or has renamed, a column that its registration needs, and (42501) '
'that an attached table goes to somebody who cannot act as the owner of the CRM. Puts the triggers anew on a table whose columns or partitions changed.';

CREATE EVENT TRIGGER crm_registry_end ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE')
EXECUTE FUNCTION crm.registry_ddl();
CREATE EVENT TRIGGER crm_registry_drop ON sql_drop WHEN TAG IN ('ALTER TABLE', 'DROP TABLE', 'DROP TYPE', 'DROP EXTENSION', 'DROP SCHEMA', 'DROP OWNED')
EXECUTE FUNCTION crm.registry_ddl();
