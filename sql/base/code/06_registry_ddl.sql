-- What is wrong with registered tables, and what is refused when somebody changes one.

CREATE OR REPLACE FUNCTION crm.trusted_table(relation regclass) RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT pg_has_role(c.relowner, (SELECT o.relowner FROM pg_class AS o WHERE o.oid = 'crm.registry'::regclass), 'USAGE')
            FROM pg_class AS c WHERE c.oid = trusted_table.relation);
END
$$;
COMMENT ON FUNCTION crm.trusted_table(regclass) IS
'Whether the owner of a table can act as the owner of the CRM anyway. The triggers that he may put on it run with the rights of '
'the CRM''s owner, who writes its rows.';

CREATE OR REPLACE FUNCTION crm_internal.column_faults(relation regclass)
RETURNS TABLE (option text, fault text)
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.key, f.fault
    FROM crm.registry AS r, jsonb_each(r.options) AS o, LATERAL crm.table_option_fault(r.relation, o.key, o.value) AS f (fault)
    WHERE r.relation = column_faults.relation AND f.fault IS NOT NULL AND o.value <> 'false'
$$;
COMMENT ON FUNCTION crm_internal.column_faults(regclass) IS 'Options of a registered table that no longer fit it, and why: a column '
'they need is gone or has another name.';

CREATE OR REPLACE FUNCTION crm_internal.refuse_without(relation regclass, column_name text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    faults text;
    back text;
    own boolean;
BEGIN
    SELECT string_agg(format('option "%s" %s', f.option, f.fault), '; ' ORDER BY f.option),
           string_agg(format('SELECT crm.detach(%L, %L);', relation, f.option), ' ' ORDER BY f.option)
    INTO faults, back
    FROM crm_internal.column_faults(relation) AS f WHERE position(column_name IN f.fault) > 0;
    IF faults IS NULL THEN
        RETURN;
    END IF;
    own := (SELECT r.declared_at IS NULL FROM crm.registry AS r WHERE r.relation = refuse_without.relation);
    RAISE EXCEPTION 'the CRM needs column "%" of table %', column_name, relation
        USING ERRCODE = 'dependent_objects_still_exist', DETAIL = 'Without it, ' || faults || '.',
              HINT = CASE WHEN own THEN 'Leave it, under its name. To do without what needs it, first: ' || back ELSE 'Leave it, under its name.' END;
END
$$;
COMMENT ON FUNCTION crm_internal.refuse_without(regclass, text) IS
'Error 2BP01 where a registered table no longer has a column, by the name given, that its registration needs.';

CREATE OR REPLACE FUNCTION crm_internal.follow_ddl(dropped boolean, owner_changed boolean, again boolean, renamed text)
RETURNS TABLE (relation regclass)
LANGUAGE plpgsql VOLATILE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    alien regclass;
BEGIN
    IF dropped THEN
        -- the next table of this name must not go on with its history
        PERFORM crm_internal.forget_table(r.relation) FROM crm.registry AS r
        WHERE r.declared_at IS NULL
          AND r.relation IN (SELECT d.objid FROM pg_event_trigger_dropped_objects() AS d WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0);
        PERFORM crm_internal.refuse_without(r.relation, d.address_names[3])
        FROM pg_event_trigger_dropped_objects() AS d JOIN crm.registry AS r ON r.relation = d.objid JOIN pg_class AS c ON c.oid = r.relation
        WHERE d.classid = 'pg_class'::regclass AND d.objsubid > 0;
        RETURN;
    END IF;
    IF owner_changed THEN
        SELECT r.relation INTO alien FROM crm.registry AS r
        WHERE r.declared_at IS NULL AND NOT crm.trusted_table(r.relation)
          AND r.relation IN (SELECT d.objid FROM pg_event_trigger_ddl_commands() AS d);
        IF FOUND THEN
            RAISE EXCEPTION 'table % is attached to the CRM, and its new owner cannot act as the owner of the CRM', alien
                USING ERRCODE = 'insufficient_privilege',
                      DETAIL = 'The CRM writes its rows as the CRM''s owner, and the triggers on it run with these rights.',
                      HINT = format('Take the table out first: %s.', (SELECT string_agg(format('SELECT crm.detach(%L, %L)', alien, o), '; ')
                                                                     FROM crm.registry AS r, jsonb_object_keys(r.attached) AS o WHERE r.relation = alien));
        END IF;
    END IF;
    IF again THEN
        FOR relation IN
            SELECT DISTINCT r.relation FROM pg_event_trigger_ddl_commands() AS d
            JOIN crm.registry AS r ON r.relation = coalesce(pg_partition_root(d.objid), d.objid::regclass)
            WHERE d.classid = 'pg_class'::regclass
        LOOP
            IF renamed IS NOT NULL THEN
                PERFORM crm_internal.refuse_without(relation, renamed);
            END IF;
            RETURN NEXT;
        END LOOP;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_ddl(boolean, boolean, boolean, text) IS
'For crm.registry_ddl(): errors for changes of registered tables that the CRM does not survive; else the tables whose triggers are to be put anew. '
'What is dropped is forgotten.';

-- ---- partitions ----

-- Row triggers are passed on by the server; a statement fires the triggers of the table it names alone. TRUNCATE of the parent
-- fires those of its partitions too, which would tell of all rows what is true of some.
CREATE OR REPLACE FUNCTION crm_internal.set_partition_triggers(relation regclass, name text, wanted boolean, events text, action text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rows_only CONSTANT text := replace(events, ' OR TRUNCATE', '');
    part record;
BEGIN
    FOR part IN SELECT p.relid FROM pg_partition_tree(relation) AS p WHERE p.level > 0 LOOP
        IF wanted AND rows_only NOT LIKE '%TRUNCATE' THEN
            EXECUTE format('CREATE OR REPLACE TRIGGER %I %s ON %s %s', name, rows_only, part.relid::regclass, action);
        ELSIF EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = part.relid AND t.tgname = name) THEN
            EXECUTE format('DROP TRIGGER %I ON %s', name, part.relid::regclass);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.set_partition_triggers(regclass, text, boolean, text, text) IS
'The statement trigger of a partitioned table on its partitions as well, so that what is written straight into one is followed, too.';

CREATE OR REPLACE FUNCTION crm_internal.registry_faults()
RETURNS TABLE (severity text, finding text, subject text, detail text, advice text)
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'error', 'foreign_owner', r.subject, format('belongs to %I, who cannot act as the owner of the CRM', pg_get_userbyid(c.relowner)),
           format('ALTER TABLE %s OWNER TO %I, or crm.detach() what it was attached for: triggers on it run with the rights of the CRM''s owner.',
                  r.relation::regclass, (SELECT pg_get_userbyid(o.relowner) FROM pg_class AS o WHERE o.oid = 'crm.registry'::regclass))
    FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation WHERE NOT crm.trusted_table(r.relation)
    UNION ALL
    SELECT 'error', 'lost_table', r.subject, 'was dropped while event triggers were off, and what was begun for its rows goes on', 'SELECT crm.install().'
    FROM crm.registry AS r WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = r.relation)
    UNION ALL
    SELECT 'error', 'lost_column', r.subject, format('option "%s" %s', f.option, f.fault),
           CASE WHEN r.declared_at IS NULL
                THEN format('Give the column back, then SELECT crm.attach(%1$L, ''{}''); or SELECT crm.detach(%1$L, %2$L).', r.relation, f.option)
                ELSE 'Give the column back, then SELECT crm.install().' END
    FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation, LATERAL crm_internal.column_faults(r.relation) AS f
    UNION ALL
    -- by the parent's: what stands there and not here
    SELECT 'error', 'bare_partition', r.subject,
           concat('what is written straight into partition ', p.relid, ' is not followed: ', string_agg(t.tgname, ', ' ORDER BY t.tgname)),
           format('SELECT crm.attach(%L, ''{}'') puts the triggers on it.', r.relation)
    FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation AND c.relkind = 'p'
    CROSS JOIN LATERAL pg_partition_tree(r.relation) AS p
    JOIN pg_trigger AS t ON t.tgrelid = r.relation AND t.tgtype & 1 = 0 AND t.tgtype & 28 <> 0 AND NOT t.tgisinternal
    JOIN pg_proc AS f ON f.oid = t.tgfoid AND f.pronamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace)
    WHERE p.level > 0 AND NOT EXISTS (SELECT FROM pg_trigger AS x WHERE x.tgrelid = p.relid AND x.tgname = t.tgname)
    GROUP BY r.subject, r.relation, p.relid
    UNION ALL
    SELECT 'warning', 'stray_trigger', c.oid::regclass::text, format('was taken out of a registered table and still has its trigger %I', t.tgname),
           format('DROP TRIGGER %I ON %s.', t.tgname, c.oid::regclass)
    FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_proc AS f ON f.oid = t.tgfoid AND f.pronamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace)
    WHERE t.tgtype & 1 = 0 AND NOT t.tgisinternal AND c.relnamespace NOT IN ('crm'::regnamespace, 'crm_internal'::regnamespace, 'crm_analytics'::regnamespace)
      AND f.proname NOT LIKE 'rollup%'
      AND NOT EXISTS (SELECT FROM crm.registry AS r WHERE r.relation = coalesce(pg_partition_root(c.oid), c.oid::regclass))
$$;
COMMENT ON FUNCTION crm_internal.registry_faults() IS 'Findings of crm.health() about registered tables.';
