-- A table that nobody has counted is taken for ten pages full of rows. By guesses of that kind, multiplied, reading one
-- tenant's dashboard would cost so much that it is compiled (jit) and spread over workers. Autovacuum counts a minute
-- later at the earliest, so whoever fills tables in bulk counts them himself. Empty tables stay uncounted: a plan that is
-- made for no rows and kept would be used when there are many.
CREATE OR REPLACE FUNCTION crm_internal.count_new_tables() RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t regclass;
    n integer := 0;
BEGIN
    FOR t IN
        SELECT c.oid FROM pg_class AS c
        WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace) AND c.relkind = 'r'
          AND c.reltuples < 0 AND pg_relation_size(c.oid) > 0
        ORDER BY c.oid
    LOOP
        EXECUTE format('ANALYZE %s', t);
        n := n + 1;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.count_new_tables() IS
'Makes statistics for the CRM''s tables that hold rows and have none yet; crm.install() and crm.generate_demo() call it. Returns how many these were.';
