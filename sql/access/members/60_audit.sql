-- The log of changes. Its rows are written by the triggers of crm.announce() (process/members).
CREATE FUNCTION crm.audit_truncate() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_audit_truncate';
COMMENT ON FUNCTION crm.audit_truncate() IS
'Trigger before TRUNCATE of audited tables: writes every row that goes into the log of changes. Argument: name of the table in the registry.';
