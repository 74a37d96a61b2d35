-- a partition reached by its own name has no policies, so it shows nothing
DO $$
DECLARE
    partition pg_catalog.regclass;
BEGIN
    FOR partition IN
        SELECT c.oid
        FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'crm'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p') AND c.relispartition
          AND NOT c.relrowsecurity
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', partition);
    END LOOP;
END
$$;

-- what this installation added is there for those who had access before
DO $$
DECLARE
    g crm.access_grants;
BEGIN
    FOR g IN SELECT * FROM crm.access_grants LOOP
        IF EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = g.db_role) THEN
            PERFORM crm_internal.apply_access(g.db_role, g.access);
        END IF;
    END LOOP;
END
$$;
