-- Which version is installed.

CREATE OR REPLACE FUNCTION crm.version()
RETURNS TABLE (library text, extension text, schema text, advice text)
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm.library_version(), e.extversion, i.to_version,
           CASE
               WHEN e.extversion <> crm.library_version()
                   THEN 'Run ALTER EXTENSION crm UPDATE, then SELECT crm.install().'
               WHEN i.to_version IS DISTINCT FROM crm.library_version()
                   THEN 'Run SELECT crm.install().'
           END
    FROM pg_catalog.pg_extension AS e
    LEFT JOIN (SELECT n.to_version FROM crm.installation AS n ORDER BY n.id DESC LIMIT 1) AS i ON true
    WHERE e.extname = 'crm'
$$;
COMMENT ON FUNCTION crm.version() IS
'Version of the loaded library, of the extension and of the schema, and what to do where they differ (NULL: nothing).';
