-- ---- row security: one permissive policy for each table and command, without subqueries ----
DO $$
DECLARE
    r record;
    mine CONSTANT text := 'tenant_id = crm.tenant_id()';
    sees text;
    writes text;
    command text;
BEGIN
    FOR r IN SELECT * FROM crm_internal.table_rules() LOOP
        -- without a tenant there is nothing to tell rows apart by
        CONTINUE WHEN r.class IN ('lookup')
            OR NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                           WHERE a.attrelid = r.relation AND a.attname = 'tenant_id' AND NOT a.attisdropped);

        sees := mine;
        IF r.owner_column IS NOT NULL THEN
            sees := pg_catalog.format('%s AND crm.can_see(%I, %s, %s)', mine, r.owner_column,
                                      coalesce(pg_catalog.quote_ident(r.team_column), 'NULL'),
                                      CASE WHEN r.shared THEN 'shared_user_ids, shared_team_ids' ELSE 'NULL, NULL' END);
        END IF;
        writes := CASE r.class
            WHEN 'configuration' THEN mine || ' AND crm.has_access(''admin'')'
            WHEN 'catalogue' THEN mine || ' AND crm.has_access(''manager'')'
            WHEN 'owned' THEN pg_catalog.format('%s AND crm.can_change(%I, %s)', mine, r.owner_column,
                                                coalesce(pg_catalog.quote_ident(r.team_column), 'NULL'))
            WHEN 'work' THEN mine || ' AND crm.has_access(''agent'')'
        END;

        EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', r.relation);
        FOREACH command IN ARRAY '{select,insert,update,delete}'::text[] LOOP
            EXECUTE pg_catalog.format('DROP POLICY IF EXISTS %I ON %s', r.name || '_' || command, r.relation);
            CONTINUE WHEN r.class = 'owner' OR command <> 'select' AND writes IS NULL;
            EXECUTE pg_catalog.format('CREATE POLICY %I ON %s FOR %s TO PUBLIC %s', r.name || '_' || command, r.relation, command,
                CASE command
                    WHEN 'select' THEN pg_catalog.format('USING (%s)', sees)
                    WHEN 'insert' THEN pg_catalog.format('WITH CHECK (%s)', writes)
                    WHEN 'update' THEN pg_catalog.format('USING (%s) WITH CHECK (%s)', writes, writes)
                    ELSE pg_catalog.format('USING (%s)', writes)
                END);
        END LOOP;
    END LOOP;

    -- a partition reached by its own name has no policies, so it shows nothing
    FOR r IN
        SELECT c.oid::pg_catalog.regclass AS relation
        FROM pg_catalog.pg_class AS c
        WHERE c.relnamespace = 'crm'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p') AND c.relispartition
          AND NOT c.relrowsecurity
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', r.relation);
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
