-- Which version is installed, and what stands in the way of taking it away.

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

CREATE OR REPLACE FUNCTION crm.uninstall_check()
RETURNS TABLE (kind text, object text, row_count bigint, note text)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    -- what would go with the schemas: rows of tables
    SELECT 'table', format('%I.%I', n.nspname, c.relname),
           (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', n.nspname, c.relname),
                                                 false, true, '')))[1]::text::bigint,
           'dropped by DROP SCHEMA ' || n.nspname || ' CASCADE'
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('crm', 'crm_analytics', 'crm_internal')
      AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    UNION ALL
    -- what outside would go with the extension's functions
    SELECT DISTINCT 'trigger', format('%I on %s', t.tgname, t.tgrelid::regclass), NULL::bigint,
           'stops working: uses a function of the extension'
    FROM pg_trigger AS t
    JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = t.tgfoid AND d.deptype = 'e'
    JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'crm'
    JOIN pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND n.nspname NOT IN ('crm', 'crm_analytics', 'crm_internal')
    UNION ALL
    SELECT DISTINCT 'view', format('%I.%I', n.nspname, v.relname), NULL::bigint,
           'dropped with the CRM object it reads'
    FROM pg_depend AS d
    JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_class AS v ON v.oid = r.ev_class
    JOIN pg_namespace AS n ON n.oid = v.relnamespace
    JOIN pg_class AS s ON d.refclassid = 'pg_class'::regclass AND s.oid = d.refobjid
    JOIN pg_namespace AS sn ON sn.oid = s.relnamespace
    WHERE sn.nspname IN ('crm', 'crm_analytics', 'crm_internal')
      AND n.nspname NOT IN ('crm', 'crm_analytics', 'crm_internal')
    ORDER BY 1, 2
$$;
COMMENT ON FUNCTION crm.uninstall_check() IS
'What would be lost if the CRM were dropped: tables with their row counts, and views and triggers of others that rest on it.';
SELECT crm.declare_function('crm.uninstall_check', 'owner');
