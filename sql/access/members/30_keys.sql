-- The keys of the server: which there are.

CREATE FUNCTION crm.key_ids() RETURNS text[]
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_key_ids';
COMMENT ON FUNCTION crm.key_ids() IS
'Ids of the keys in the file of crm.key_file, the current one last; NULL where there is no file that can be used. No key is shown by anything.';
SELECT crm.declare_function('crm.key_ids', 'admin');
