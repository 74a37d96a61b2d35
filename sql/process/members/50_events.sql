-- Events: what happens to records.
CREATE FUNCTION crm.announce() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_announce';
COMMENT ON FUNCTION crm.announce() IS
'Writes events of what happens to the rows of a table, as the registry says (option events), and the log of changes (option audit): row triggers note it, '
'the statement trigger writes it. Argument: name of the table in the registry.';
