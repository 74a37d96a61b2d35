-- What erasing a person needs beside SQL.
CREATE FUNCTION crm.write_quietly(statement text, tenant bigint, ids bigint[], texts text[]) RETURNS bigint[]
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_write_quietly';
COMMENT ON FUNCTION crm.write_quietly(text, bigint, bigint[], text[]) IS
'Runs a statement with $1 tenant, $2 ids and $3 texts, of which no trigger hears that does not say ENABLE ALWAYS, and returns the bigint[] it selects: what '
'is erased must not be written down once more. Only the owner of the CRM. Error 22023 for a statement that returns anything else.';
SELECT crm.declare_function('crm.write_quietly', 'owner');

CREATE FUNCTION crm.person_tag(tenant bigint, said text, key bytea DEFAULT NULL) RETURNS bytea
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_person_tag';
COMMENT ON FUNCTION crm.person_tag(bigint, text, bytea) IS
'Keyed BLAKE2b of 16 bytes of what a person is known by; key NULL: by a key of the company out of the key file. Errors: CR601 where there is no such file, '
'22023 for a key of less than 16 or more than 64 bytes.';
SELECT crm.declare_function('crm.person_tag', 'owner');

CREATE FUNCTION crm.is_erased(tenant bigint, tags bytea[]) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_is_erased';
COMMENT ON FUNCTION crm.is_erased(bigint, bytea[]) IS
'Whether one of the keyed hashes is of somebody who was erased and has not come back, by the newest state, whatever the transaction sees. Only the '
'owner of the CRM.';
SELECT crm.declare_function('crm.is_erased', 'owner');
