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
