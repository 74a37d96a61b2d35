-- Taking the CRM away, or one company of it: what would be lost, then all of it.

CREATE OR REPLACE FUNCTION crm_internal.outside_dependents()
RETURNS TABLE (kind text, object text, own boolean)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    WITH schemas AS (
        SELECT n.oid FROM pg_namespace AS n WHERE n.nspname IN ('crm', 'crm_analytics', 'crm_internal')
    ), ours AS (
        SELECT 'pg_class'::regclass AS classid, c.oid AS objid FROM pg_class AS c WHERE c.relnamespace IN (SELECT oid FROM schemas)
        UNION ALL SELECT 'pg_proc'::regclass, p.oid FROM pg_proc AS p WHERE p.pronamespace IN (SELECT oid FROM schemas)
        UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type AS t WHERE t.typnamespace IN (SELECT oid FROM schemas)
        UNION ALL SELECT 'pg_operator'::regclass, o.oid FROM pg_operator AS o WHERE o.oprnamespace IN (SELECT oid FROM schemas)
    ), resting AS (
        SELECT DISTINCT d.classid, d.objid, CASE WHEN d.classid = 'pg_class'::regclass THEN d.objsubid ELSE 0 END AS objsubid
        FROM pg_depend AS d JOIN ours AS o ON o.classid = d.refclassid AND o.objid = d.refobjid
        WHERE d.deptype IN ('n', 'a')
    ), placed AS (
        -- the relation that an object belongs to, and whether the CRM has put it there
        SELECT r.*, k.conrelid AS relid, false AS own,
               CASE k.contype WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'constraint' END AS kind
        FROM resting AS r JOIN pg_constraint AS k ON r.classid = 'pg_constraint'::regclass AND k.oid = r.objid WHERE k.conparentid = 0
        UNION ALL
        SELECT r.*, a.adrelid, false, 'default' FROM resting AS r JOIN pg_attrdef AS a ON r.classid = 'pg_attrdef'::regclass AND a.oid = r.objid
        UNION ALL
        SELECT r.*, t.tgrelid, t.tgfoid IN (SELECT objid FROM ours), 'trigger'
        FROM resting AS r JOIN pg_trigger AS t ON r.classid = 'pg_trigger'::regclass AND t.oid = r.objid WHERE NOT t.tgisinternal AND t.tgparentid = 0
        UNION ALL
        SELECT r.*, p.polrelid, EXISTS (SELECT FROM crm.registry AS g WHERE g.relation = p.polrelid AND g.class IS NOT NULL), 'policy'
        FROM resting AS r JOIN pg_policy AS p ON r.classid = 'pg_policy'::regclass AND p.oid = r.objid
        UNION ALL
        SELECT r.*, w.ev_class, false, 'view' FROM resting AS r JOIN pg_rewrite AS w ON r.classid = 'pg_rewrite'::regclass AND w.oid = r.objid
        UNION ALL
        SELECT r.*, c.oid, false, CASE WHEN c.relkind IN ('i', 'I') THEN 'index' ELSE 'column' END
        FROM resting AS r JOIN pg_class AS c ON r.classid = 'pg_class'::regclass AND c.oid = r.objid
        UNION ALL
        SELECT r.*, 0, false, 'function' FROM resting AS r JOIN pg_proc AS p ON r.classid = 'pg_proc'::regclass AND p.oid = r.objid
        WHERE p.pronamespace NOT IN (SELECT oid FROM schemas)
    )
    SELECT DISTINCT p.kind,
           CASE p.kind WHEN 'view' THEN pg_describe_object('pg_class'::regclass, p.relid, 0) ELSE pg_describe_object(p.classid, p.objid, p.objsubid) END, p.own
    FROM placed AS p
    LEFT JOIN pg_class AS c ON c.oid = p.relid
    WHERE c.relnamespace IS NULL OR c.relnamespace NOT IN (SELECT oid FROM schemas)
$$;
COMMENT ON FUNCTION crm_internal.outside_dependents() IS
'Objects outside the schemas of the CRM that rest on something in them; own: put there by the CRM itself, by crm.attach() or for a rollup.';

CREATE OR REPLACE FUNCTION crm.uninstall_check()
RETURNS TABLE (kind text, object text, row_count bigint, note text)
LANGUAGE sql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'table', format('%I.%I', n.nspname, c.relname),
           (xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::bigint,
           CASE WHEN n.nspname = 'crm' AND NOT EXISTS (SELECT FROM crm.registry AS r WHERE r.relation = c.oid)
                THEN 'dropped, and is not one of the CRM: move it to another schema to keep it' ELSE 'dropped' END
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('crm', 'crm_analytics', 'crm_internal') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    UNION ALL
    SELECT d.kind, d.object, NULL::bigint,
           CASE WHEN d.own THEN 'taken off: the CRM has put it there'
                WHEN d.kind IN ('view', 'index', 'function') THEN 'rests on the CRM: dropped with it'
                ELSE 'rests on the CRM: dropped with it, its table stays' END
    FROM crm_internal.outside_dependents() AS d
    UNION ALL
    -- bodies that are text are known to PostgreSQL when they run, and not before
    SELECT 'function', p.oid::regprocedure::text, NULL::bigint, 'mentions the CRM: stays, and fails when it is called'
    FROM pg_proc AS p
    WHERE p.prosqlbody IS NULL AND p.prosrc ~ '\mcrm(_analytics|_internal)?\.'
      AND p.pronamespace::regnamespace::text NOT IN ('crm', 'crm_analytics', 'crm_internal', 'pg_catalog', 'information_schema')
    ORDER BY 1, 2
$$;
COMMENT ON FUNCTION crm.uninstall_check() IS
'What would be lost if the CRM were dropped: tables with their row counts, and what of others rests on it: foreign keys, checks, defaults, indexes, triggers, '
'policies, views and functions. crm.uninstall() does it.';
SELECT crm.declare_function('crm.uninstall_check', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.drop_owned_parts()
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    part text;
BEGIN
    -- nothing may try to keep up with what is going
    DELETE FROM crm.rollups;
    DELETE FROM crm.rollup_sources;
    DROP SCHEMA crm_analytics CASCADE;
    FOR part IN
        SELECT format('DROP %s IF EXISTS %s CASCADE', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass)
        FROM pg_class AS c
        WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') AND NOT c.relispartition
        ORDER BY c.relkind <> 'v', c.oid DESC
    LOOP
        EXECUTE part;
    END LOOP;
    -- all names first: one that went with another has none any more
    FOREACH part IN ARRAY ARRAY(
        SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure) FROM pg_proc AS p
        WHERE p.pronamespace = 'crm'::regnamespace
          AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'))
    LOOP
        EXECUTE part;
    END LOOP;
    DROP SCHEMA crm_internal CASCADE;
END
$$;
COMMENT ON FUNCTION crm_internal.drop_owned_parts() IS 'Drops what crm.install() made, and leaves the extension.';

CREATE OR REPLACE FUNCTION crm.uninstall(confirm text DEFAULT NULL, cascade boolean DEFAULT false)
RETURNS TABLE (kind text, object text, row_count bigint, note text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 50
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
#variable_conflict use_variable
DECLARE
    blockers text;
    name text;
    relation regclass;
    whole CONSTANT boolean := (SELECT pg_has_role(e.extowner, 'USAGE') FROM pg_extension AS e WHERE e.extname = 'crm');
BEGIN
    IF NOT pg_has_role((SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'crm.registry'::regclass), 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of the CRM can take it away' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN QUERY SELECT * FROM crm.uninstall_check();
    IF confirm IS NULL THEN
        RETURN;
    END IF;
    IF confirm <> current_database() THEN
        RAISE EXCEPTION 'nothing was taken away: "%" is not the name of this database', confirm USING ERRCODE = 'invalid_parameter_value',
            HINT = format('SELECT * FROM crm.uninstall(%L) drops the CRM of this database with all its rows.', current_database());
    END IF;
    SELECT string_agg(d.object, ', ' ORDER BY d.object) INTO blockers FROM crm_internal.outside_dependents() AS d WHERE NOT d.own;
    IF blockers IS NOT NULL AND NOT cascade THEN
        RAISE EXCEPTION 'objects of others rest on the CRM' USING ERRCODE = 'dependent_objects_still_exist',
            DETAIL = blockers || '.', HINT = 'Drop or change them, or give cascade => true to have them dropped too.';
    END IF;
    -- sums and row security of tables that stay
    FOR name IN
        SELECT r.name FROM crm.rollups AS r JOIN crm.rollup_sources AS s ON s.id = r.source_id JOIN pg_class AS c ON c.oid = s.source
        WHERE c.relnamespace::regnamespace::text NOT IN ('crm', 'crm_internal')
    LOOP
        PERFORM crm.drop_rollup(name);
    END LOOP;
    FOR relation IN
        SELECT c.oid FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation
        WHERE r.class IS NOT NULL AND c.relrowsecurity AND c.relnamespace <> 'crm'::regnamespace
    LOOP
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', relation);
    END LOOP;
    IF whole THEN
        DROP SCHEMA crm_analytics, crm_internal, crm CASCADE;
    ELSE
        PERFORM crm_internal.drop_owned_parts();
        RETURN QUERY SELECT 'extension', 'crm', NULL::bigint, 'left for a superuser: DROP SCHEMA crm CASCADE';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.uninstall(text, boolean) IS
'Without confirm: what would be lost, as crm.uninstall_check(). With the name of the database as confirm: drops the CRM, all its rows and the extension; an '
'owner who is no superuser leaves the extension to one. Objects of others that rest on it stand in its way unless cascade is true. Errors: 22023 another '
'name, 2BP01 objects of others, 42501 somebody else''s CRM.';
SELECT crm.declare_function('crm.uninstall', 'owner');

-- ---- one company ----

CREATE OR REPLACE FUNCTION crm.drop_tenant(tenant bigint, confirm text DEFAULT NULL)
RETURNS TABLE (table_name text, row_count bigint)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known CONSTANT text := (SELECT t.name FROM crm.tenants AS t WHERE t.tenant_id = tenant);
    tables regclass[];
    relation regclass;
    counted jsonb := '{}';
    n bigint;
    parts text;
    silenced record;
    back text[] := '{}';
    command text;
BEGIN
    IF NOT pg_has_role((SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'crm.registry'::regclass), 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of the CRM can drop a tenant' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF known IS NULL THEN
        RAISE EXCEPTION 'there is no tenant %', tenant USING ERRCODE = 'no_data_found', HINT = 'crm.tenants lists them.';
    END IF;
    IF confirm IS NOT NULL AND confirm <> known THEN
        RAISE EXCEPTION 'nothing was dropped: tenant % is called "%"', tenant, known USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give its name as confirm.';
    END IF;
    IF confirm IS NOT NULL AND (SELECT count(*) FROM crm.tenants) = 1 THEN
        RAISE EXCEPTION 'tenant % is the only one', tenant USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'crm.uninstall() takes the whole CRM away.';
    END IF;
    -- what holds rows of a company, but for sums, which follow
    SELECT array_agg(c.oid::regclass ORDER BY c.oid::regclass::text) INTO tables
    FROM pg_class AS c
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND crm.column_exists(c.oid, 'tenant_id')
      AND (c.relnamespace = 'crm'::regnamespace
           OR c.relnamespace = 'crm_internal'::regnamespace AND c.relname !~ '^rollup_' AND c.relname NOT IN (SELECT r.base_table FROM crm.rollups AS r)
           OR c.oid IN (SELECT r.relation FROM crm.registry AS r));
    FOREACH relation IN ARRAY tables LOOP
        EXECUTE format('SELECT count(*) FROM %s WHERE tenant_id = $1', relation) INTO n USING tenant;
        IF n > 0 THEN
            counted := counted || jsonb_build_object(relation::text, n);
        END IF;
    END LOOP;
    IF confirm IS NOT NULL THEN
        -- rules and history of single rows have no say when all of them go; sums and news of configuration do
        FOR silenced IN
            SELECT t.tgrelid::regclass AS relation, t.tgname, t.tgenabled FROM pg_trigger AS t
            WHERE t.tgrelid = ANY (tables) AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D' AND t.tgtype & 8 <> 0
              AND t.tgfoid::regproc::text NOT IN ('crm.rollup_row', 'crm.rollup_flush', 'crm.rollup_truncate', 'crm.configuration_changed')
        LOOP
            relation := silenced.relation;
            EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', relation, silenced.tgname);
            command := CASE silenced.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS TRIGGER' WHEN 'R' THEN 'ENABLE REPLICA TRIGGER' ELSE 'ENABLE TRIGGER' END;
            back := back || concat_ws(' ', 'ALTER TABLE', relation, command, quote_ident(silenced.tgname));
        END LOOP;
        -- in one statement, since they refer to each other in circles
        SELECT string_agg(format('%I AS (DELETE FROM %s WHERE tenant_id = $1)', 'd' || u.i, u.r::regclass), ', ' ORDER BY u.i) INTO parts
        FROM unnest(tables) WITH ORDINALITY AS u (r, i);
        EXECUTE 'WITH ' || parts || ' SELECT 1' USING tenant;
        FOREACH command IN ARRAY back LOOP
            EXECUTE command;
        END LOOP;
    END IF;
    RETURN QUERY SELECT e.key, e.value::bigint FROM jsonb_each_text(counted) AS e ORDER BY e.key COLLATE "C";
END
$$;
COMMENT ON FUNCTION crm.drop_tenant(bigint, text) IS
'How many rows a tenant has in each table that has any; with its name as confirm it is dropped with all of them. Writers of these tables wait. Only for the '
'owner of the CRM. Errors: P0002 no such tenant, 22023 another name, 55000 the only tenant.';
SELECT crm.declare_function('crm.drop_tenant', 'owner');
