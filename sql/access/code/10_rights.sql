-- Row security and rights, out of what is declared beside tables and functions.
--
-- crm.registry says of a table who sees and writes its rows, crm_internal.function_levels who may call a function; what is
-- declared anywhere in the CRM gets its policies and rights from here.

CREATE OR REPLACE FUNCTION crm_internal.table_rules(only_of regclass DEFAULT NULL)
RETURNS TABLE (relation regclass, name text, class text, owner_column text, team_column text, shared boolean)
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.relation, c.relname::text, r.class, o.name,
           CASE WHEN o.name IS NOT NULL AND crm.column_exists(r.relation, 'team_id') AND NOT r.options ? 'owner' THEN 'team_id' END,
           crm.column_exists(r.relation, 'shared_user_ids') AND crm.column_exists(r.relation, 'shared_team_ids')
    FROM crm.registry AS r
    JOIN pg_class AS c ON c.oid = r.relation
    CROSS JOIN LATERAL (SELECT coalesce(r.options ->> 'owner', CASE WHEN crm.column_exists(r.relation, 'owner_id') THEN 'owner_id' END)) AS o (name)
    WHERE r.class IS NOT NULL AND (only_of IS NULL OR r.relation = only_of)
    ORDER BY c.relname
$$;
COMMENT ON FUNCTION crm_internal.table_rules(regclass) IS
'Class of every table that has one, or of one of them, and the columns that say whose its rows are: owner (no rights for others), lookup '
'(all read), configuration (admins write), catalogue (managers write), log (nobody writes directly), owned (agents write '
'what is theirs), work and child (agents write).';

CREATE OR REPLACE FUNCTION crm_internal.function_rules()
RETURNS TABLE (function regprocedure, class text)
LANGUAGE sql STABLE ROWS 300
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid::regprocedure,
           CASE
               WHEN l.level IS NOT NULL THEN l.level
               -- what acts with the owner's rights is given out by name only
               WHEN p.prosecdef THEN 'owner'
               WHEN p.provolatile = 'v' THEN 'agent'
               ELSE 'reader'
           END
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    LEFT JOIN crm_internal.function_levels AS l ON l.function_name = n.nspname || '.' || p.proname
    WHERE n.nspname IN ('crm', 'crm_analytics') AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    ORDER BY 1
$$;
COMMENT ON FUNCTION crm_internal.function_rules() IS
'Lowest access level that may execute each function; owner: nobody else. Where nothing is declared readers execute what writes nothing, agents the rest.';

-- ---- policies ----

-- Whose rows they are, as arms of which each is a condition of an index: a scan by owner, one by team, one by shares. The
-- lists are worked out once a query. Within crm.in_sight() it says the same as crm.can_see(), for whom the columns are no columns of a table.
CREATE OR REPLACE FUNCTION crm_internal.sees_owned(owner_column text, team_column text, shared boolean, hides_unowned boolean)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws(' OR ',
        format('%I = ANY (crm.seen_user_ids())', owner_column),
        CASE WHEN hides_unowned THEN format('%I IS NULL AND crm.user_id() IS NULL', owner_column)
             WHEN team_column IS NULL THEN format('%I IS NULL', owner_column)
             ELSE format('%2$I = ANY (crm.led_team_ids()) OR %1$I IS NULL AND %2$I IS NULL OR %1$I IS NULL AND %2$I = ANY (crm.own_team_ids())',
                         owner_column, team_column) END,
        -- the same condition as that of the indexes, which hold shared rows alone
        CASE WHEN shared THEN 'cardinality(shared_user_ids) > 0 AND shared_user_ids && crm.own_user_ids() '
                              'OR cardinality(shared_team_ids) > 0 AND shared_team_ids && crm.own_team_ids()' END)
$$;
COMMENT ON FUNCTION crm_internal.sees_owned(text, text, boolean, boolean) IS
'Condition by which somebody who does not see the whole company sees rows that say in columns of their own whose they are.';

-- Parents that hide: what everybody in the company sees hides no child.
CREATE OR REPLACE FUNCTION crm_internal.as_parents(relation regclass, what text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT string_agg(CASE WHEN a.attnotnull THEN c.condition
                                   ELSE '(' || quote_ident(l.column_name) || ' IS NULL OR ' || c.condition || ')' END, ' AND '
                      ORDER BY l.column_name)
    FROM crm.table_links(as_parents.relation) AS l
    JOIN pg_attribute AS a ON a.attrelid = l.relation AND a.attname = l.column_name
    LEFT JOIN crm.registry AS p ON p.subject = l.target
    CROSS JOIN LATERAL (SELECT CASE
        WHEN l.target IS NOT NULL THEN 'crm.can_' || what || format('_row(%L::regclass, %I)', p.relation::text, l.column_name)
        WHEN l.target_column IS NOT NULL THEN 'crm.can_' || what || format('_record(%I, %I)', l.target_column, l.column_name)
        ELSE 'crm.can_' || what || format('_record(crm.subject_table_of(%L::regclass, %I), %I)',
             (SELECT q.relation::text FROM crm.table_links(as_parents.relation) AS x JOIN crm.registry AS q ON q.subject = x.target
              WHERE x.kind = 'parent' AND x.column_name = l.options ->> 'table_of'), l.options ->> 'table_of', l.column_name) END) AS c (condition)
    WHERE l.kind = 'parent' AND (l.target IS NULL OR p.class IN ('owned', 'child', 'log')));
END
$$;
COMMENT ON FUNCTION crm_internal.as_parents(regclass, text) IS
'Condition by which rows of a table are seen or changed (what: see, change) as all their parents are; NULL where no parent hides anything.';

CREATE OR REPLACE FUNCTION crm_internal.row_conditions(relation regclass)
RETURNS TABLE (class text, sees text, writes text)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY SELECT r.class, coalesce('crm.in_sight(tenant_id, ' || CASE
               -- who owned a record at the time does not decide who sees its history
               WHEN p.sees IS NOT NULL THEN p.sees
               WHEN r.owner_column IS NOT NULL THEN crm_internal.sees_owned(r.owner_column, r.team_column, r.shared, u.hidden) END || ')', m.mine)
               || coalesce((SELECT format(' AND %I IS NULL', g.options ->> 'kept_back') FROM crm.registry AS g
                            WHERE g.relation = r.relation AND g.options ? 'kept_back'), ''),
           CASE r.class
               WHEN 'configuration' THEN m.mine || ' AND crm.has_access(''admin'')'
               WHEN 'catalogue' THEN m.mine || ' AND crm.has_access(''manager'')'
               WHEN 'owned' THEN m.mine || format(' AND crm.can_change(%I, %s)', r.owner_column, coalesce(quote_ident(r.team_column), 'NULL'))
                   || CASE WHEN u.hidden THEN format(' AND (%I IS NOT NULL OR crm.user_id() IS NULL OR crm.whole_tenant() IS NOT NULL)',
                                                            r.owner_column) ELSE '' END
               WHEN 'work' THEN m.mine || ' AND crm.has_access(''agent'')'
               WHEN 'child' THEN coalesce('crm.in_sight(tenant_id, ' || crm_internal.as_parents(r.relation, 'change') || ')', m.mine)
                   || ' AND crm.has_access(''agent'')' END
    FROM crm_internal.table_rules(row_conditions.relation) AS r
    CROSS JOIN (VALUES ('tenant_id = crm.tenant_id()')) AS m (mine)
    CROSS JOIN LATERAL (SELECT crm_internal.table_is(r.relation, 'private')) AS u (hidden)
    CROSS JOIN LATERAL (SELECT CASE WHEN r.class IN ('child', 'log') THEN crm_internal.as_parents(r.relation, 'see') END) AS p (sees);
END
$$;
COMMENT ON FUNCTION crm_internal.row_conditions(regclass) IS
'Conditions by which rows of a table are seen and written, by its class; writes NULL: not at all.';

-- One permissive policy for each table and command, without subqueries.
CREATE OR REPLACE FUNCTION crm_internal.apply_policies(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r record;
    name CONSTANT text := (SELECT c.relname FROM pg_class AS c WHERE c.oid = relation);
    command text;
    policy text;
BEGIN
    SELECT x.* INTO r FROM crm_internal.row_conditions(relation) AS x;
    -- without a tenant there is nothing to tell rows apart by
    IF NOT FOUND OR r.class = 'lookup' OR NOT crm.column_exists(relation, 'tenant_id') THEN
        RETURN;
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation::regclass);
    FOREACH command IN ARRAY '{select,insert,update,delete}'::text[] LOOP
        policy := name || '_' || command;
        IF EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = relation AND p.polname = policy) THEN
            EXECUTE format('DROP POLICY %I ON %s', policy, relation::regclass);
        END IF;
        CONTINUE WHEN r.class = 'owner' OR command <> 'select' AND r.writes IS NULL;
        EXECUTE format('CREATE POLICY %I ON %s FOR ', policy, relation::regclass) || command || ' TO PUBLIC'
            || CASE WHEN command <> 'insert' THEN ' USING (' || CASE WHEN command = 'select' THEN r.sees ELSE r.writes END || ')' ELSE '' END
            || CASE WHEN command IN ('insert', 'update') THEN ' WITH CHECK (' || r.writes || ')' ELSE '' END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_policies(regclass) IS 'Row security of a table, by its class.';
SELECT crm.declare_hook('table', 'crm_internal.apply_policies(regclass)');

-- Row security judges a new row after the BEFORE triggers, whose errors would tell one company the choices of another. So a
-- trigger that fires before them refuses a foreign tenant first, and what is given to columns that the CRM writes; a table with
-- neither needs none.
CREATE OR REPLACE FUNCTION crm_internal.apply_tenant_check(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wanted CONSTANT boolean := (
        SELECT crm.column_exists(r.relation, 'tenant_id') AND r.class IS DISTINCT FROM 'owner' AND r.class IS DISTINCT FROM 'lookup'
               AND (r.declared_at IS NULL
                    OR EXISTS (SELECT FROM crm.column_rules AS k
                               WHERE k.purposes @> '{write}' AND k.rule <> 'fill' AND k.table_name IN ('*', r.subject)
                                 AND crm.column_exists(r.relation, k.column_name))
                    OR EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = r.relation AND NOT t.tgisinternal AND t.tgtype::integer & 3 = 3
                               AND t.tgname <> '00_crm_tenant'))
        FROM crm.registry AS r WHERE r.relation = apply_tenant_check.relation);
BEGIN
    IF wanted THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER "00_crm_tenant" BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION crm.check_tenant()',
                       relation::regclass);
    ELSIF EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = relation AND t.tgname = '00_crm_tenant') THEN
        EXECUTE format('DROP TRIGGER "00_crm_tenant" ON %s', relation::regclass);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_tenant_check(regclass) IS
'Rows of a foreign tenant, and forged values of columns that the CRM writes, are refused before any other trigger looks at them.';
SELECT crm.declare_hook('table', 'crm_internal.apply_tenant_check(regclass)');

-- ---- asking for a row ----

-- What acts with the rights of the owner asks here first for each record that its caller names.
CREATE OR REPLACE FUNCTION crm_internal.require(subject text, id bigint, what text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- whoever sees everything may be told that a row is not there by what is asked of it
    IF id IS NOT NULL AND crm.whole_tenant() IS NULL AND crm.can_see_record(subject, id) IS NOT TRUE THEN
        RAISE EXCEPTION 'row % of "%" does not exist, or is not visible to you', id, subject
            USING ERRCODE = 'no_data_found', HINT = 'Name a row that you see, or ask its owner to share it with you.';
    END IF;
    IF what = 'change' AND (NOT coalesce(crm.has_access('agent'), false)
                            OR id IS NOT NULL AND crm.whole_tenant() IS NULL AND crm.can_change_record(subject, id) IS NOT TRUE) THEN
        RAISE EXCEPTION 'row % of "%" may not be changed by you', id, subject
            USING ERRCODE = 'insufficient_privilege', HINT = 'Ask its owner, or a manager.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.require(text, bigint, text) IS
'Stops whoever may not see or change (what: see, change) a record, by the name the registry has for its table: error P0002 for one they do not see, '
'42501 for one they do not change. NULL is no record.';

-- ---- rights of roles ----

CREATE OR REPLACE FUNCTION crm_internal.readable_relations()
RETURNS SETOF regclass
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hook regprocedure;
BEGIN
    FOR hook IN SELECT h FROM crm_internal.hooks_at('readable_relations') AS h LOOP
        RETURN QUERY EXECUTE format('SELECT * FROM %s()', hook::regproc);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.readable_relations() IS
'Relations outside the reporting schemas that views read with the rights of their reader.';

CREATE OR REPLACE FUNCTION crm_internal.apply_access(role_name name, level text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    levels CONSTANT text[] := '{reader,agent,manager,admin}';
    rank CONSTANT integer := coalesce(array_position(levels, level), 0);
    relations text;
    functions text;
    hook regprocedure;
BEGIN
    FOR hook IN SELECT h FROM crm_internal.hooks_at('access') AS h LOOP
        EXECUTE format('SELECT %s($1, $2)', hook::regproc) USING role_name, level;
    END LOOP;
    -- what an earlier level allowed goes first
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA crm, crm_analytics FROM %I', role_name);
    SELECT string_agg(r.relation::text, ', ') INTO relations
    FROM (SELECT x.relation FROM crm_internal.readable_relations() AS x (relation)
          UNION SELECT t.relation FROM crm_internal.table_rules() AS t) AS r;
    EXECUTE format('REVOKE ALL ON %s FROM %I', relations, role_name);
    SELECT string_agg(r.function::text, ', ') INTO functions FROM crm_internal.function_rules() AS r;
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', functions, role_name);
    EXECUTE format('REVOKE ALL ON SCHEMA crm, crm_analytics FROM %I', role_name);
    IF rank = 0 THEN
        RETURN;
    END IF;

    EXECUTE format('GRANT USAGE ON SCHEMA crm, crm_analytics TO %I', role_name);
    FOR relations IN
        SELECT DISTINCT n.nspname FROM crm_internal.table_rules() AS t
        JOIN pg_class AS c ON c.oid = t.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE t.class <> 'owner' AND NOT has_schema_privilege(role_name, n.oid, 'USAGE')
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', relations, role_name);
    END LOOP;
    SELECT string_agg(r.relation::text, ', ') INTO relations
    FROM (SELECT t.relation FROM crm_internal.table_rules() AS t WHERE t.class <> 'owner'
          UNION SELECT c.oid::regclass FROM pg_class AS c
          WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND c.relkind = 'v'
            -- a view over what is the owner's alone could be granted, but not read
            AND NOT EXISTS (SELECT FROM pg_rewrite AS w JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                            JOIN crm_internal.table_rules() AS t ON t.relation = d.refobjid AND t.class = 'owner'
                            WHERE w.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass)
          UNION SELECT x.relation FROM crm_internal.readable_relations() AS x (relation)) AS r;
    EXECUTE format('GRANT SELECT ON %s TO %I', relations, role_name);

    SELECT string_agg(r.relation::text, ', ') INTO relations
    FROM crm_internal.table_rules() AS r
    WHERE rank >= 2 AND r.class IN ('owned', 'work', 'child')
       OR rank >= 3 AND r.class = 'catalogue'
       OR rank >= 4 AND r.class = 'configuration';
    IF relations IS NOT NULL THEN
        EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO %I', relations, role_name);
    END IF;

    SELECT string_agg(r.function::text, ', ') INTO functions
    FROM crm_internal.function_rules() AS r
    WHERE array_position(levels, r.class) <= rank;
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', functions, role_name);
END
$$;
COMMENT ON FUNCTION crm_internal.apply_access(name, text) IS
'Gives a role the rights of a level and no other rights on the CRM; level NULL: none.';

CREATE OR REPLACE FUNCTION crm_internal.role_levels()
RETURNS TABLE (db_role name, level text)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT ON (g.db_role) g.db_role, l.level
    FROM crm.access_grants AS g JOIN pg_roles AS r ON r.rolname = g.db_role
    CROSS JOIN LATERAL (SELECT coalesce(g.acts_up_to, g.access)) AS l (level)
    ORDER BY g.db_role, array_position('{reader,agent,manager,admin}', l.level) DESC
$$;
COMMENT ON FUNCTION crm_internal.role_levels() IS
'Roles that have access, with the level whose rights on tables and functions they have: of an application the highest at which it acts.';

-- what an owner attaches is there at once for those who have access; the CRM's own tables are granted at the end of an installation
CREATE OR REPLACE FUNCTION crm_internal.apply_grants(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM crm.registry AS r WHERE r.relation = apply_grants.relation AND r.declared_at IS NULL AND r.class IS NOT NULL) THEN
        PERFORM crm_internal.apply_access(r.db_role, r.level) FROM crm_internal.role_levels() AS r;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_grants(regclass) IS 'Rights on a table of the owner''s own, for the roles that have access.';
SELECT crm.declare_hook('table', 'crm_internal.apply_grants(regclass)');

-- The role of an application is nobody without a user. What it would inherit from other roles it would have without one.
CREATE OR REPLACE FUNCTION crm_internal.prepare_application(role_name name)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r pg_roles;
    owner CONSTANT oid := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'crm.access_grants'::regclass);
    inherited text;
    statements text[];
    statement text;
BEGIN
    SELECT x.* INTO r FROM pg_roles AS x WHERE x.rolname = role_name;
    IF r.rolsuper OR r.rolbypassrls OR pg_has_role(r.oid, owner, 'MEMBER') THEN
        RAISE EXCEPTION 'role "%" is no role for an application: row security does not bind it', role_name
            USING ERRCODE = 'invalid_grant_operation',
                  HINT = 'Create one without SUPERUSER and BYPASSRLS that is no member of the role that owns the CRM: CREATE ROLE name LOGIN NOINHERIT.';
    END IF;
    -- from version 16 on each membership says for itself whether it is inherited
    SELECT string_agg(quote_ident(g.rolname), ', ' ORDER BY g.rolname),
           array_agg(DISTINCT CASE WHEN current_setting('server_version_num')::integer < 160000
                                   THEN format('ALTER ROLE %I NOINHERIT', role_name)
                                   ELSE format('GRANT %I TO %I WITH INHERIT FALSE', g.rolname, role_name) END)
        INTO inherited, statements
    FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
    WHERE m.member = r.oid AND pg_has_role(r.oid, g.oid, 'USAGE');
    IF inherited IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        FOREACH statement IN ARRAY statements LOOP
            EXECUTE statement;
        END LOOP;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'role "%" inherits the rights of %, which an application has to do without', role_name, inherited
            USING ERRCODE = 'insufficient_privilege', HINT = format('Have somebody who may say it first: %s;', array_to_string(statements, '; '));
    END;
    RAISE NOTICE 'role "%" no longer inherits the rights of %', role_name, inherited
        USING DETAIL = 'Without a user it would have them. It is still a member, and SET ROLE still works.';
END
$$;
COMMENT ON FUNCTION crm_internal.prepare_application(name) IS
'Makes the role of an application one that has no rights but those of the users it acts as, and says so; error 0LP01 where row security does not bind it.';

CREATE OR REPLACE FUNCTION crm.grant_access(role_name name, level text, user_id bigint DEFAULT NULL, acts_up_to text DEFAULT NULL)
RETURNS crm.access_grants
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant bigint := crm.tenant_id();
    application CONSTANT boolean := level IS NOT DISTINCT FROM 'application';
    -- what was asked for once stays asked for
    by_token CONSTANT boolean := application AND EXISTS (SELECT FROM crm.access_grants AS g WHERE g.db_role = role_name AND g.tokens_only);
    highest CONSTANT text := CASE WHEN application THEN coalesce(acts_up_to, 'manager') END;
    granted crm.access_grants;
BEGIN
    IF level IS NULL OR level NOT IN ('reader', 'agent', 'manager', 'admin', 'application')
       OR highest NOT IN ('reader', 'agent', 'manager', 'admin') THEN
        RAISE EXCEPTION 'unknown access level "%"', CASE WHEN application THEN highest ELSE level END
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Levels are reader, agent, manager and admin; an application has level application, and acts up to one of these.';
    END IF;
    IF application AND user_id IS NOT NULL OR NOT application AND acts_up_to IS NOT NULL THEN
        RAISE EXCEPTION 'role "%" is either an application, which acts as users, or it is a user', role_name
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Say user_id for the role of one person, or level application and acts_up_to for one that serves many.';
    END IF;
    IF role_name IS NULL OR NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
        RAISE EXCEPTION 'role "%" does not exist', role_name
            USING ERRCODE = 'undefined_object', HINT = 'Create it first: CREATE ROLE name LOGIN.';
    END IF;
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'it is not clear for which tenant role "%" is to work', role_name
            USING ERRCODE = 'CR010', HINT = 'Say SET crm.tenant = ''id'' first.';
    END IF;

    IF application THEN
        PERFORM crm_internal.prepare_application(role_name);
        UPDATE crm.users AS u SET db_role = NULL WHERE u.db_role = role_name;
    ELSIF user_id IS NOT NULL THEN
        UPDATE crm.users AS u SET db_role = NULL
        WHERE u.db_role = role_name AND (u.tenant_id, u.id) IS DISTINCT FROM (tenant, grant_access.user_id);
        UPDATE crm.users AS u SET db_role = role_name
        WHERE u.tenant_id = tenant AND u.id = grant_access.user_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no user % in tenant %', grant_access.user_id, tenant
                USING ERRCODE = 'no_data_found', HINT = 'Make a row of crm.users first.';
        END IF;
    END IF;
    UPDATE crm.users AS u SET access = level
    WHERE u.db_role = role_name AND u.tenant_id = tenant AND u.access <> level;

    -- an application keeps what it was granted for other companies
    DELETE FROM crm.access_grants AS g WHERE g.db_role = role_name AND NOT (application AND g.access = 'application' AND g.tenant_id <> tenant);
    INSERT INTO crm.access_grants AS g (tenant_id, db_role, access, user_id, acts_up_to, tokens_only)
    VALUES (tenant, role_name, level, (SELECT u.id FROM crm.users AS u WHERE u.db_role = role_name AND u.tenant_id = tenant), highest, by_token)
    RETURNING g.* INTO granted;
    PERFORM crm_internal.apply_access(r.db_role, r.level) FROM crm_internal.role_levels() AS r WHERE r.db_role = role_name;
    RETURN granted;
END
$$;
COMMENT ON FUNCTION crm.grant_access(name, text, bigint, text) IS
'Lets a database role work with the CRM of the current tenant. level: reader, agent, manager or admin. user_id: the user (crm.users.id) the role is from '
'now on; without it the role stays the user it is, or works as nobody in particular. May be a group: its members have the rights by inheritance. '
'level application: the one role an application logs in as, which is nobody until it calls crm.act_as(user) in a transaction, and acts at the level of '
'the user, or at acts_up_to (manager unless given) where that is lower; it may be granted several tenants, and is set NOINHERIT where it inherits from '
'other roles, with a notice. Called by the owner of the CRM. Errors: 22023 for an unknown level, 42704 for an unknown role, CR010 where the tenant is '
'not clear, 0LP01 for a role that row security does not bind as an application. Returns the grant.';
SELECT crm.declare_function('crm.grant_access', 'owner');

-- whatever the level is at which it is allowed to act
SELECT crm.declare_function('crm.act_as', 'reader');

CREATE OR REPLACE FUNCTION crm.revoke_access(role_name name)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    had boolean;
BEGIN
    DELETE FROM crm.access_grants AS g WHERE g.db_role = role_name;
    had := FOUND;
    UPDATE crm.users AS u SET db_role = NULL WHERE u.db_role = role_name;
    had := had OR FOUND;
    IF EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
        PERFORM crm_internal.apply_access(role_name, NULL);
    END IF;
    RETURN had;
END
$$;
COMMENT ON FUNCTION crm.revoke_access(name) IS
'Takes away from a role what crm.grant_access() gave it; the user it was is kept, without a role. Called by the owner of the CRM. Returns whether there was '
'anything to take.';
SELECT crm.declare_function('crm.revoke_access', 'owner');

-- who is which role is a matter of the database, not of a tenant's admin
CREATE OR REPLACE FUNCTION crm.guard_user_role()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RAISE EXCEPTION 'only the owner of the CRM may say which database role a user is'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Ask for crm.grant_access(role, level, user_id).';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.guard_user_role() IS 'Trigger: crm.users.db_role is set by the owner of the CRM alone.';
CREATE OR REPLACE TRIGGER users_insert_role BEFORE INSERT ON crm.users
    FOR EACH ROW WHEN (NEW.db_role IS NOT NULL) EXECUTE FUNCTION crm.guard_user_role();
CREATE OR REPLACE TRIGGER users_update_role BEFORE UPDATE OF db_role ON crm.users
    FOR EACH ROW WHEN (NEW.db_role IS DISTINCT FROM OLD.db_role) EXECUTE FUNCTION crm.guard_user_role();
