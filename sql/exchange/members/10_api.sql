-- What GET STACKED DIAGNOSTICS says of an error, in one value.
CREATE TYPE crm.fault AS (
    sqlstate text,
    message text,
    detail text,
    hint text,
    schema_name text,
    table_name text,
    column_name text,
    constraint_name text
);
COMMENT ON TYPE crm.fault IS 'An error, as GET STACKED DIAGNOSTICS has it; crm.error_facts() makes JSON of it.';

CREATE FUNCTION crm.written_xids() RETURNS xid[]
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_written_xids';
COMMENT ON FUNCTION crm.written_xids() IS
'Transaction ids that rows carry (xmin) which were written in the present subtransaction and in those within it. Called by crm.check_call().';
SELECT crm.declare_function('crm.written_xids', 'reader');
