-- The log of changes: which tables are in it, its partitions, and that nobody changes it.

-- ---- what is audited ----

CREATE OR REPLACE FUNCTION crm_internal.audit_plan(subject text)
RETURNS TABLE (always boolean, withheld boolean)
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(r.options -> 'audit', 'false') = '"always"', coalesce(r.class, 'owner') = 'owner'
    FROM crm.registry AS r
    WHERE r.subject = audit_plan.subject
      AND coalesce(r.options -> 'audit', to_jsonb(coalesce(r.class, '') IN ('configuration', 'catalogue', 'owned', 'work', 'child'))) <> 'false'
      AND crm.column_exists(r.relation, 'tenant_id')
$$;
COMMENT ON FUNCTION crm_internal.audit_plan(text) IS
'Whether a table can be audited (no row: it cannot), is so whatever is chosen, and whether its changes are for the owner of the CRM alone.';

CREATE OR REPLACE FUNCTION crm_internal.audit_columns(subject text)
RETURNS TABLE (column_name text, secret boolean, key boolean)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text, coalesce(r.options -> 'secret' ? a.attname::text, false),
           EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey::smallint[]))
    FROM crm.registry AS r JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped
    WHERE r.subject = audit_columns.subject
    ORDER BY a.attnum
$$;
COMMENT ON FUNCTION crm_internal.audit_columns(text) IS 'Columns of a table, which of them are secret, and which the primary key.';

CREATE OR REPLACE FUNCTION crm_internal.is_audited(relation regclass)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- an own choice of one company is enough for the triggers; they ask for each row's
    RETURN coalesce((SELECT p.always OR EXISTS (
            SELECT FROM crm.audit_choices AS c WHERE c.active AND c.table_name IN ('*', r.subject))
        FROM crm.registry AS r, crm_internal.audit_plan(r.subject) AS p WHERE r.relation = is_audited.relation), false);
END
$$;
COMMENT ON FUNCTION crm_internal.is_audited(regclass) IS 'Whether changes of a table are written into the log of changes, for some company.';

CREATE OR REPLACE FUNCTION crm_internal.choose_audit(active boolean, table_name text)
RETURNS crm.audit_choices
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    chosen crm.audit_choices;
    hook regprocedure;
    changed regclass;
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'it is not clear whose changes are to be audited'
            USING ERRCODE = 'CR010', HINT = 'Say SET crm.tenant = ''id'' first.';
    END IF;
    IF table_name IS NOT NULL AND NOT EXISTS (SELECT FROM crm_internal.audit_plan(table_name)) THEN
        RAISE EXCEPTION 'changes of table "%" cannot be audited', table_name
            USING ERRCODE = 'undefined_table',
                  DETAIL = (SELECT format('Those that can: %s.', string_agg(r.subject, ', ' ORDER BY r.subject))
                            FROM crm.registry AS r, crm_internal.audit_plan(r.subject)),
                  HINT = 'The owner of the CRM adds a table of his own by crm.attach(table, ''{"audit": true}'').';
    END IF;
    IF active THEN
        PERFORM crm_internal.add_audit_months(now());
    END IF;
    INSERT INTO crm.audit_choices AS c (tenant_id, table_name, active)
    VALUES (tenant, coalesce(choose_audit.table_name, '*'), choose_audit.active)
    ON CONFLICT ON CONSTRAINT audit_choices_pkey DO UPDATE
    SET active = excluded.active, since = CASE WHEN c.active = excluded.active THEN c.since ELSE now() END
    RETURNING c.* INTO chosen;
    -- all: those chosen one by one until now go by it from here on
    IF table_name IS NULL THEN
        DELETE FROM crm.audit_choices AS c WHERE c.tenant_id = tenant AND c.table_name <> '*' AND c.active IS DISTINCT FROM choose_audit.active;
    END IF;
    FOR hook IN SELECT h FROM crm_internal.hooks_at('audit') AS h LOOP
        FOR changed IN
            SELECT r.relation FROM crm.registry AS r, crm_internal.audit_plan(r.subject) AS p
            WHERE NOT p.always AND (choose_audit.table_name IS NULL OR r.subject = choose_audit.table_name)
              AND crm_internal.is_audited(r.relation) IS DISTINCT FROM EXISTS (
                  SELECT FROM pg_trigger AS t JOIN pg_proc AS f ON f.oid = t.tgfoid
                  WHERE t.tgrelid IN (SELECT b FROM crm_internal.tables_below(r.relation) AS b) AND f.proname = 'audit_truncate')
        LOOP
            EXECUTE format('SELECT %s($1)', hook::regproc) USING changed;
        END LOOP;
    END LOOP;
    RETURN chosen;
END
$$;
COMMENT ON FUNCTION crm_internal.choose_audit(boolean, text) IS 'For crm.start_audit() and crm.stop_audit().';

CREATE OR REPLACE FUNCTION crm.start_audit(table_name text DEFAULT NULL)
RETURNS crm.audit_choices
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_internal.choose_audit(true, table_name);
END
$$;
COMMENT ON FUNCTION crm.start_audit(text) IS
'From now on changes of a table of the current company (NULL: of all, but for those that were stopped since) are written into crm.audit_log, whoever writes '
'them. That it began is written there too. Only the owner of the CRM. Errors: 42P01 for a table that cannot be audited, CR010 where the company is not clear.';
SELECT crm.declare_function('crm.start_audit', 'owner');

CREATE OR REPLACE FUNCTION crm.stop_audit(table_name text DEFAULT NULL)
RETURNS crm.audit_choices
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_internal.choose_audit(false, table_name);
END
$$;
COMMENT ON FUNCTION crm.stop_audit(text) IS
'Changes of a table of the current company (NULL: of all) are written into crm.audit_log no longer; what is there stays, and that it ended is written there. '
'Only the owner of the CRM. Errors as of crm.start_audit().';
SELECT crm.declare_function('crm.stop_audit', 'owner');

-- ---- nobody changes it ----

CREATE OR REPLACE FUNCTION crm_internal.keep_audit_entries()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'the log of changes is neither written nor changed by hand'
        USING ERRCODE = 'CR607', DETAIL = format('Refused was %s.', TG_OP),
              HINT = 'Triggers of the tables that are audited add to it; old months go by crm.tenants.audit_kept.';
END
$$;
COMMENT ON FUNCTION crm_internal.keep_audit_entries() IS 'Trigger of the log of changes: error CR607 for whoever writes to it by hand.';

CREATE OR REPLACE FUNCTION crm_internal.guard_audit(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t regclass;
BEGIN
    FOR t IN SELECT p.relid FROM pg_partition_tree(relation) AS p LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER audit_log_before_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.keep_audit_entries()', t::regclass);
    END LOOP;
    -- by row: a dump that is loaded without rows for it fires none; partitions have it from the log
    EXECUTE format('CREATE OR REPLACE TRIGGER audit_log_before_insert BEFORE INSERT ON %s FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_audit_entries()',
                   relation::regclass);
END
$$;
COMMENT ON FUNCTION crm_internal.guard_audit(regclass) IS 'Puts the triggers that refuse changes onto the log of changes and each of its partitions.';

-- ---- partitions ----

CREATE OR REPLACE FUNCTION crm_internal.month_of(at timestamptz)
RETURNS date
LANGUAGE sql IMMUTABLE
RETURN date_trunc('month', at AT TIME ZONE 'UTC')::date;
COMMENT ON FUNCTION crm_internal.month_of(timestamptz) IS 'First day of the month of an instant, in UTC: partitions of the log of changes are of such months.';

CREATE OR REPLACE FUNCTION crm_internal.audit_partitions()
RETURNS TABLE (relation regclass, since timestamptz, until timestamptz)
LANGUAGE sql STABLE ROWS 12
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.oid::regclass, (b.bound)[1]::timestamptz, (b.bound)[2]::timestamptz
    FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
    CROSS JOIN LATERAL (SELECT regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \(''(.*)''\) TO \(''(.*)''\)$')) AS b (bound)
    WHERE i.inhparent = 'crm.audit_log'::regclass AND NOT i.inhdetachpending
    ORDER BY 2
$$;
COMMENT ON FUNCTION crm_internal.audit_partitions() IS 'Partitions of the log of changes, and of when their entries are; NULL: the one for all others.';

CREATE OR REPLACE FUNCTION crm_internal.own_audit_partition(part regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    owner CONSTANT name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = 'crm.audit_log'::regclass);
BEGIN
    -- a superuser or the worker may be who makes it
    IF owner <> current_user THEN
        EXECUTE format('ALTER TABLE %s OWNER TO %I', part::regclass, owner);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.own_audit_partition(regclass) IS 'Gives a partition of the log of changes to the owner of the log.';

CREATE OR REPLACE FUNCTION crm_internal.add_other_audit()
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF to_regclass('crm_internal.audit_log_other') IS NULL THEN
        CREATE TABLE crm_internal.audit_log_other PARTITION OF crm.audit_log (CONSTRAINT audit_log_other_pkey PRIMARY KEY (tenant_id, id)) DEFAULT;
        CREATE INDEX audit_log_other_record_idx ON crm_internal.audit_log_other (tenant_id, table_name, record_id);
        COMMENT ON TABLE crm_internal.audit_log_other IS 'Changes of months for which there was no partition yet, so that none is ever lost.';
        COMMENT ON COLUMN crm_internal.audit_log_other.tenant_id IS 'As in crm.audit_log, like all columns.';
        PERFORM crm_internal.own_audit_partition('crm_internal.audit_log_other');
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.add_other_audit() IS 'Makes the partition of the log of changes for what has no month, where it is not there.';
SELECT crm_internal.add_other_audit();
SELECT crm_internal.guard_audit('crm.audit_log');

CREATE OR REPLACE FUNCTION crm_internal.add_audit_partition(since date, until date)
RETURNS regclass
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name CONSTANT text := 'audit_log_' || to_char(since, 'YYYY_MM');
    part regclass;
BEGIN
    -- made by itself and then attached: that keeps nobody from writing
    EXECUTE format('CREATE TABLE crm_internal.%I (LIKE crm.audit_log INCLUDING DEFAULTS INCLUDING COMMENTS, CONSTRAINT %I PRIMARY KEY (tenant_id, id))',
                   name, name || '_pkey');
    EXECUTE format('CREATE INDEX %I ON crm_internal.%I (tenant_id, table_name, record_id)', name || '_record_idx', name);
    PERFORM crm_internal.own_audit_partition(format('crm_internal.%I', name)::regclass);
    part := format('crm_internal.%I', name)::regclass;
    EXECUTE format('COMMENT ON TABLE %s IS %L', part::regclass, 'Changes from ' || since || ' until before ' || until || ' (UTC).');
    EXECUTE format('ALTER TABLE crm.audit_log ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
                   part::regclass, since || ' 00:00:00+00', until || ' 00:00:00+00');
    PERFORM crm_internal.guard_audit('crm.audit_log');
    RETURN part;
END
$$;
COMMENT ON FUNCTION crm_internal.add_audit_partition(date, date) IS 'Makes a partition of the log of changes.';

-- Entries of months that had no partition are in the one for all others, which becomes the partition of these months.
CREATE OR REPLACE FUNCTION crm_internal.turn_audit_partition()
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    since date;
    until date;
    name text;
BEGIN
    SELECT crm_internal.month_of(min(o.at)), crm_internal.month_of(max(o.at)) + interval '1 month' INTO since, until FROM crm_internal.audit_log_other AS o;
    IF since IS NULL OR EXISTS (SELECT FROM crm_internal.audit_partitions() AS p
                                WHERE p.since < until::timestamp AT TIME ZONE 'UTC' AND p.until > since::timestamp AT TIME ZONE 'UTC') THEN
        RETURN false;
    END IF;
    name := 'audit_log_' || to_char(since, 'YYYY_MM');
    ALTER TABLE crm.audit_log DETACH PARTITION crm_internal.audit_log_other;
    EXECUTE format('ALTER TABLE crm_internal.audit_log_other RENAME TO %I', name);
    EXECUTE format('ALTER INDEX crm_internal.audit_log_other_pkey RENAME TO %I', name || '_pkey');
    EXECUTE format('ALTER INDEX crm_internal.audit_log_other_record_idx RENAME TO %I', name || '_record_idx');
    EXECUTE format('ALTER TABLE crm.audit_log ATTACH PARTITION crm_internal.%I FOR VALUES FROM (%L) TO (%L)', name,
                   since || ' 00:00:00+00', until || ' 00:00:00+00');
    EXECUTE format('COMMENT ON TABLE crm_internal.%I IS %L', name, 'Changes from ' || since || ' until before ' || until || ' (UTC).');
    PERFORM crm_internal.add_other_audit();
    PERFORM crm_internal.guard_audit('crm.audit_log');
    RETURN true;
END
$$;
COMMENT ON FUNCTION crm_internal.turn_audit_partition() IS
'Makes a partition of what lies in the one for all others; whether there was anything. Writers wait for it, which is a moment: nothing is moved.';

-- A month goes when no company with entries in it keeps them any longer.
CREATE OR REPLACE FUNCTION crm_internal.drop_audit_partition(as_of timestamptz)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    part record;
    keeper bigint;
BEGIN
    -- the oldest one alone: what is kept begins somewhere, and has no holes
    SELECT p.* INTO part FROM crm_internal.audit_partitions() AS p WHERE p.since IS NOT NULL ORDER BY p.since LIMIT 1;
    IF part.until IS NULL OR part.until > as_of OR NOT EXISTS (SELECT FROM crm.tenants AS t WHERE t.audit_kept IS NOT NULL) THEN
        RETURN false;
    END IF;
    FOR keeper IN SELECT t.tenant_id FROM crm.tenants AS t WHERE t.audit_kept IS NULL OR part.until > as_of - t.audit_kept LOOP
        IF crm_internal.audit_has(part.relation, keeper) THEN
            RETURN false;
        END IF;
    END LOOP;
    -- what is not sealed yet goes when it is
    IF crm.key_ids() IS NOT NULL AND crm_internal.is_unsealed(part.relation) THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE crm.audit_log DETACH PARTITION %s', part.relation::regclass);
    EXECUTE format('DROP TABLE %s', part.relation::regclass);
    IF crm.key_ids() IS NOT NULL THEN
        PERFORM crm_internal.seal_dropped(part.since, part.until);
    END IF;
    UPDATE crm_internal.audit_state AS s SET dropped_before = part.until WHERE s.dropped_before < part.until;
    RETURN true;
END
$$;
COMMENT ON FUNCTION crm_internal.drop_audit_partition(timestamptz) IS
'Drops the oldest month of the log of changes where nobody keeps it any longer; whether it did.';

CREATE OR REPLACE FUNCTION crm_internal.audit_has(part regclass, tenant bigint)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s AS p WHERE p.tenant_id = $1)', part::regclass) INTO found USING tenant;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.audit_has(regclass, bigint) IS 'Whether a partition of the log of changes has entries of a company.';

CREATE OR REPLACE FUNCTION crm_internal.is_unsealed(part regclass)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM crm.tenants AS t WHERE EXISTS (SELECT FROM %s AS p WHERE p.tenant_id = t.tenant_id
                    AND p.id > coalesce((SELECT max(s.to_id) FROM crm.audit_seals AS s WHERE s.tenant_id = t.tenant_id), 0)))', part::regclass) INTO found;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.is_unsealed(regclass) IS 'Whether a partition of the log of changes has entries that are not sealed.';

CREATE OR REPLACE FUNCTION crm_internal.add_audit_months(as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    done bigint := crm_internal.turn_audit_partition()::integer;
    month date := crm_internal.month_of(as_of);
BEGIN
    FOR i IN 0 .. 3 LOOP
        IF NOT EXISTS (SELECT FROM crm_internal.audit_partitions() AS p
                       WHERE month::timestamp AT TIME ZONE 'UTC' >= p.since AND month::timestamp AT TIME ZONE 'UTC' < p.until) THEN
            PERFORM crm_internal.add_audit_partition(month, (month + interval '1 month')::date);
            done := done + 1;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.add_audit_months(timestamptz) IS
'Makes partitions of the log of changes for the month of an instant and three ahead; returns how many there were not.';

CREATE OR REPLACE FUNCTION crm.keep_audit(as_of timestamptz DEFAULT now(), batch integer DEFAULT 12)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    done bigint := 0;
    was CONSTANT text := current_setting('lock_timeout');
BEGIN
    -- where nothing is audited there is nothing to be kept
    IF NOT EXISTS (SELECT FROM crm.audit_choices) AND NOT EXISTS (SELECT FROM crm_internal.audit_log_other) THEN
        RETURN 0;
    END IF;
    -- whoever waits for a lock keeps all from writing who come after: better again in an hour
    PERFORM set_config('lock_timeout', '500ms', true);
    BEGIN
        done := crm_internal.add_audit_months(as_of);
        WHILE done < batch AND crm_internal.drop_audit_partition(as_of) LOOP
            done := done + 1;
        END LOOP;
    EXCEPTION WHEN lock_not_available THEN
        done := 0;
    END;
    PERFORM set_config('lock_timeout', was, true);
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.keep_audit(timestamptz, integer) IS
'Upkeep of the log of changes: makes partitions for this month and three ahead, and drops the oldest months that every company has kept long enough '
'(crm.tenants.audit_kept). Returns how many were made and dropped. Where it would have to wait for a lock it does nothing, and is tried again. Done by '
'crm.run_maintenance(). Only the owner of the CRM.';
SELECT crm.declare_function('crm.keep_audit', 'owner');
