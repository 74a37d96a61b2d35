-- Row security and rights, out of what tables and functions look like.
--
-- A table's columns and triggers say who may do what with its rows; the two lists
-- below hold the exceptions. A table or function added anywhere in the CRM gets
-- its policies and rights from here with the next crm.install().

CREATE OR REPLACE FUNCTION crm_internal.access_exceptions()
RETURNS TABLE (kind text, name text, class text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    VALUES
        -- tables without tenants that everybody may read
        ('table', 'currencies', 'lookup'),
        ('table', 'installation', 'lookup'),
        -- kept by managers
        ('table', 'products', 'catalogue'),
        ('table', 'price_books', 'catalogue'),
        ('table', 'prices', 'catalogue'),
        ('table', 'exchange_rates', 'catalogue'),
        ('table', 'territories', 'catalogue'),
        ('table', 'quotas', 'catalogue'),
        ('table', 'loss_reasons', 'configuration'),
        ('table', 'agents', 'catalogue'),
        ('table', 'user_skills', 'catalogue'),
        -- the outbox holds what is meant for customers' eyes only, tokens among it
        ('table', 'events', 'owner'),
        ('table', 'calendars', 'configuration'),
        ('table', 'sla_policies', 'configuration'),
        ('table', 'sla_targets', 'configuration'),
        -- written by triggers and functions of the owner alone
        ('table', 'stage_periods', 'log'),
        ('table', 'ticket_transfers', 'log'),
        ('table', 'assignments', 'log'),
        ('table', 'lead_captures', 'log'),
        ('table', 'predictive_models', 'log'),
        ('table', 'lead_predictions', 'log'),
        ('table', 'segment_states', 'log'),
        ('table', 'segment_events', 'log'),
        ('table', 'lead_conversions', 'log'),
        ('table', 'score_subjects', 'log'),
        ('table', 'lead_scores', 'log'),
        ('table', 'score_replays', 'log'),
        ('table', 'score_crossings', 'log'),
        ('table', 'escalation_firings', 'log'),
        ('table', 'sla_terms', 'log'),
        ('table', 'sla_subjects', 'log'),
        ('table', 'sla_events', 'log'),
        ('table', 'sla_clocks', 'log'),
        -- of the owner alone
        ('table', 'access_grants', 'owner'),
        -- functions that are not for the level their volatility suggests
        ('function', 'install', 'owner'),
        ('function', 'prepare_owner', 'owner'),
        ('function', 'uninstall_check', 'owner'),
        ('function', 'create_tenant', 'owner'),
        ('function', 'create_default_pipelines', 'owner'),
        ('function', 'seed_leads', 'owner'),
        ('function', 'attach_process', 'owner'),
        ('function', 'define_pipeline', 'admin'),
        ('function', 'bypass_guards', 'admin'),
        ('function', 'define_calendar', 'admin'),
        ('function', 'import_holidays', 'admin'),
        ('function', 'switch_holiday', 'admin'),
        ('function', 'record_sla_breaches', 'owner'),
        ('function', 'recompute_sla_clocks', 'owner'),
        ('function', 'reapply_sla_policies', 'owner'),
        ('function', 'begin_history', 'admin'),
        ('function', 'record_history', 'admin'),
        ('function', 'create_rollup', 'owner'),
        ('function', 'drop_rollup', 'owner'),
        ('function', 'fold_rollups', 'owner'),
        ('function', 'fold_due_rollups', 'owner'),
        ('function', 'next_fold_at', 'owner'),
        ('function', 'rollup_fold', 'owner'),
        ('function', 'verify_rollup', 'owner'),
        ('function', 'rebuild_rollup', 'owner'),
        ('function', 'grant_rollup', 'owner'),
        ('function', 'rollup_lock', 'owner'),
        ('function', 'rollup_parse', 'owner'),
        ('function', 'rollup_expression', 'owner'),
        ('function', 'rollup_columns', 'owner'),
        ('function', 'rollup_condition', 'owner'),
        ('function', 'record_score_crossings', 'owner'),
        ('function', 'next_score_crossing_at', 'owner'),
        ('function', 'replay_stale_scores', 'owner'),
        ('function', 'replay_scores', 'admin'),
        ('function', 'verify_lead_scores', 'admin'),
        ('function', 'check_score_rules', 'admin'),
        ('function', 'define_score_model', 'admin'),
        ('function', 'preview_score_model', 'admin'),
        ('function', 'grant_access', 'owner'),
        ('function', 'revoke_access', 'owner'),
        -- they act with the owner's rights and ask themselves who may
        ('function', 'emit_event', 'agent'),
        ('function', 'record_sla_event', 'agent'),
        ('function', 'sla_terms_id', 'agent'),
        ('function', 'capture_lead', 'agent'),
        ('function', 'train_lead_model', 'admin'),
        ('function', 'activate_predictive_model', 'admin'),
        ('function', 'revert_predictive_model', 'admin'),
        ('function', 'define_segment', 'admin'),
        ('function', 'preview_segment', 'admin'),
        ('function', 'verify_segment', 'admin'),
        ('function', 'refresh_segment', 'admin'),
        ('function', 'add_to_segment', 'agent'),
        ('function', 'remove_from_segment', 'agent'),
        ('function', 'advance_segments', 'owner'),
        ('function', 'next_segment_change_at', 'owner'),
        ('function', 'convert_lead', 'agent'),
        ('function', 'disqualify_lead', 'agent'),
        ('function', 'recycle_lead', 'agent'),
        ('function', 'assign_waiting_leads', 'owner'),
        ('function', 'recycle_due_leads', 'owner'),
        ('function', 'next_recycle_at', 'owner'),
        ('function', 'route_record', 'agent'),
        ('function', 'set_agent_status', 'agent'),
        ('function', 'send_survey', 'agent'),
        ('function', 'answer_survey', 'agent'),
        ('function', 'run_maintenance', 'owner'),
        ('function', 'wake_worker', 'owner'),
        ('function', 'worker_status', 'owner'),
        ('function', 'next_maintenance_at', 'owner'),
        ('function', 'route_waiting', 'owner'),
        ('function', 'escalate', 'owner'),
        ('function', 'next_escalation_at', 'owner'),
        ('function', 'send_due_surveys', 'owner'),
        ('function', 'next_survey_at', 'owner'),
        ('function', 'claim_events', 'admin'),
        ('function', 'confirm_event', 'admin'),
        ('function', 'fail_event', 'admin'),
        ('function', 'generate_demo', 'owner'),
        ('function', 'distribute', 'owner')
$$;
COMMENT ON FUNCTION crm_internal.access_exceptions() IS
'Tables and functions whose class is not what their columns, triggers and volatility suggest.';

CREATE OR REPLACE FUNCTION crm_internal.table_rules()
RETURNS TABLE (relation regclass, name text, class text, owner_column text, team_column text, shared boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH t AS (
        SELECT c.oid, c.relname,
               (SELECT array_agg(a.attname::text) FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
               EXISTS (SELECT FROM pg_trigger AS g
                       WHERE g.tgrelid = c.oid
                         AND g.tgfoid = 'crm.configuration_changed()'::regprocedure) AS configures
        FROM pg_class AS c
        WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    )
    SELECT t.oid::regclass, t.relname::text,
           CASE
               WHEN x.class IS NOT NULL THEN x.class
               WHEN NOT 'tenant_id' = ANY (t.columns) THEN 'owner'
               WHEN t.configures THEN 'configuration'
               WHEN 'owner_id' = ANY (t.columns) THEN 'owned'
               ELSE 'work'
           END,
           CASE WHEN t.relname = 'quotas' THEN 'user_id' WHEN 'owner_id' = ANY (t.columns) THEN 'owner_id' END,
           CASE WHEN 'owner_id' = ANY (t.columns) AND 'team_id' = ANY (t.columns) THEN 'team_id' END,
           t.columns @> '{shared_user_ids,shared_team_ids}'
    FROM t
    LEFT JOIN crm_internal.access_exceptions() AS x ON x.kind = 'table' AND x.name = t.relname
    ORDER BY t.relname
$$;
COMMENT ON FUNCTION crm_internal.table_rules() IS
'Class of every table of the CRM: owner (no rights for others), lookup (all read), configuration (admins write), catalogue (managers write), log (nobody writes directly), owned (agents write what is theirs), work (agents write).';

CREATE OR REPLACE FUNCTION crm_internal.function_rules()
RETURNS TABLE (function regprocedure, class text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid::regprocedure,
           CASE
               WHEN x.class IS NOT NULL THEN x.class
               -- what writes with the owner's rights is given out by name only
               WHEN p.provolatile = 'v' AND p.prosecdef THEN 'owner'
               WHEN p.provolatile = 'v' THEN 'agent'
               ELSE 'reader'
           END
    FROM pg_proc AS p
    LEFT JOIN crm_internal.access_exceptions() AS x ON x.kind = 'function' AND x.name = p.proname
    WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace)
      AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
    ORDER BY 1
$$;
COMMENT ON FUNCTION crm_internal.function_rules() IS
'Lowest access level that may execute each function; owner: nobody else. Readers execute what writes nothing, agents the rest.';

-- ---- rights of roles ----
CREATE OR REPLACE FUNCTION crm_internal.apply_access(role_name name, level text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    levels CONSTANT text[] := '{reader,agent,manager,admin}';
    rank CONSTANT integer := coalesce(array_position(levels, level), 0);
    relations text;
    functions text;
BEGIN
    -- what an earlier level allowed goes first
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA crm, crm_analytics FROM %I', role_name);
    SELECT string_agg(r.storage::text, ', ') INTO relations FROM crm_internal.rollup_storage() AS r (storage);
    IF relations IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON %s FROM %I', relations, role_name);
    END IF;
    SELECT string_agg(r.function::text, ', ') INTO functions FROM crm_internal.function_rules() AS r;
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', functions, role_name);
    EXECUTE format('REVOKE ALL ON SCHEMA crm, crm_analytics FROM %I', role_name);
    IF rank = 0 THEN
        RETURN;
    END IF;

    EXECUTE format('GRANT USAGE ON SCHEMA crm, crm_analytics TO %I', role_name);
    SELECT string_agg(c.oid::regclass::text, ', ') INTO relations
    FROM pg_class AS c
    LEFT JOIN crm_internal.table_rules() AS r ON r.relation = c.oid
    WHERE (c.relnamespace = 'crm'::regnamespace OR c.relnamespace = 'crm_analytics'::regnamespace)
      AND (r.class <> 'owner' OR c.relkind = 'v');
    EXECUTE format('GRANT SELECT ON %s TO %I', relations, role_name);
    -- rollups of the CRM's tables are read with the rights of their reader
    SELECT string_agg(r.storage::text, ', ') INTO relations FROM crm_internal.rollup_storage() AS r (storage);
    IF relations IS NOT NULL THEN
        EXECUTE format('GRANT SELECT ON %s TO %I', relations, role_name);
    END IF;

    SELECT string_agg(r.relation::text, ', ') INTO relations
    FROM crm_internal.table_rules() AS r
    WHERE rank >= 2 AND r.class IN ('owned', 'work')
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

CREATE OR REPLACE FUNCTION crm.grant_access(role_name name, level text, user_id bigint DEFAULT NULL)
RETURNS crm.access_grants
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    tenant bigint := crm.tenant_id();
    granted crm.access_grants;
BEGIN
    IF level IS NULL OR level NOT IN ('reader', 'agent', 'manager', 'admin') THEN
        RAISE EXCEPTION 'unknown access level "%"', level
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Levels are reader, agent, manager and admin.';
    END IF;
    IF role_name IS NULL OR NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
        RAISE EXCEPTION 'role "%" does not exist', role_name
            USING ERRCODE = 'undefined_object', HINT = 'Create it first: CREATE ROLE name LOGIN.';
    END IF;
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'it is not clear for which tenant role "%" is to work', role_name
            USING ERRCODE = 'CR010', HINT = 'Say SET crm.tenant = ''id'' first.';
    END IF;

    IF grant_access.user_id IS NOT NULL THEN
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

    DELETE FROM crm.access_grants AS g WHERE g.db_role = role_name;
    INSERT INTO crm.access_grants AS g (tenant_id, db_role, access)
    VALUES (tenant, role_name, level)
    RETURNING g.* INTO granted;
    PERFORM crm_internal.apply_access(role_name, level);
    RETURN granted;
END
$$;
COMMENT ON FUNCTION crm.grant_access(name, text, bigint) IS
'Lets a database role work with the CRM of the current tenant. level: reader, agent, manager or admin. user_id: the user (crm.users.id) the role is from now on; without it the role stays the user it is, or works as nobody in particular. May be a group: its members have the rights by inheritance. Called by the owner of the CRM. Errors: 22023 for an unknown level, 42704 for an unknown role, CR010 where the tenant is not clear. Returns the grant.';

CREATE OR REPLACE FUNCTION crm.revoke_access(role_name name)
RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
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
'Takes away from a role what crm.grant_access() gave it; the user it was is kept, without a role. Called by the owner of the CRM. Returns whether there was anything to take.';

-- who is which role is a matter of the database, not of a tenant's admin
CREATE OR REPLACE FUNCTION crm.guard_user_role()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
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
