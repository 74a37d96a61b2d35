-- Schemas for applications have the functions of this version.
SELECT crm_internal.fill_api(a.schema_name) FROM crm_internal.api_schemas AS a
WHERE pg_catalog.to_regnamespace(pg_catalog.quote_ident(a.schema_name)) IS NOT NULL;
