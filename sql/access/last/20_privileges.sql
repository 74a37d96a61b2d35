-- Functions are executable by PUBLIC unless told otherwise: told otherwise.
REVOKE ALL ON ALL TABLES IN SCHEMA crm, crm_analytics, crm_internal FROM PUBLIC;
DO $$
DECLARE
    f pg_catalog.regprocedure;
BEGIN
    FOR f IN
        SELECT p.oid
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace IN ('crm'::pg_catalog.regnamespace, 'crm_analytics'::pg_catalog.regnamespace,
                                 'crm_internal'::pg_catalog.regnamespace)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                          WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
                            AND d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END
$$;
