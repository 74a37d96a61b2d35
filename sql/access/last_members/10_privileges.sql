-- Nothing is executable by PUBLIC but pure engines: immutable functions and
-- aggregates that look at their arguments alone.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA crm FROM PUBLIC;
DO $$
DECLARE
    engine pg_catalog.regprocedure;
BEGIN
    FOR engine IN
        SELECT p.oid
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'crm'::pg_catalog.regnamespace
          AND p.provolatile = 'i'
          AND p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
    LOOP
        EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', engine);
    END LOOP;
END
$$;
