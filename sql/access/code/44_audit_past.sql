-- What the log of changes is for: a record as it was, and one that was deleted put back.

CREATE OR REPLACE FUNCTION crm_internal.audited_since(tenant bigint, subject text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    since timestamptz;
BEGIN
    SELECT CASE WHEN p.always THEN '-infinity' WHEN c.active THEN c.since END INTO since
    FROM crm_internal.audit_plan(subject) AS p
    LEFT JOIN LATERAL (SELECT x.active, x.since FROM crm.audit_choices AS x
                       WHERE x.tenant_id = tenant AND x.table_name IN ('*', subject) ORDER BY x.table_name = '*' LIMIT 1) AS c ON true;
    -- what was dropped is not known any more
    RETURN CASE WHEN since IS NOT NULL THEN greatest(since, (SELECT s.dropped_before FROM crm_internal.audit_state AS s)) END;
END
$$;
COMMENT ON FUNCTION crm_internal.audited_since(bigint, text) IS
'Since when all changes of a table of a company are in the log, without a gap until now; NULL: they are not written.';

CREATE OR REPLACE FUNCTION crm_internal.calls_as_owner()
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.user_id() IS NULL
       AND pg_has_role(session_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'crm.audit_log'::regclass), 'MEMBER');
END
$$;
COMMENT ON FUNCTION crm_internal.calls_as_owner() IS
'Whether who logged in may be the owner of the CRM, and is not acting as a user: for functions with the owner''s rights.';

-- Columns of which the log does not tell: those computed from others, and secret ones.
CREATE OR REPLACE FUNCTION crm_internal.untold_columns(relation regclass)
RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(a.attname::text), '{}')
    FROM pg_attribute AS a LEFT JOIN crm.registry AS r ON r.relation = a.attrelid
    WHERE a.attrelid = untold_columns.relation AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.attgenerated <> '' OR r.options -> 'secret' ? a.attname::text)
$$;
COMMENT ON FUNCTION crm_internal.untold_columns(regclass) IS 'Columns of a table that are not in the log of changes.';

CREATE OR REPLACE FUNCTION crm.record_as_of(table_name text, id bigint, as_of timestamptz DEFAULT now())
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    relation CONSTANT regclass := crm.subject_relation(table_name);
    since timestamptz;
    state jsonb;
    e record;
    known boolean;
BEGIN
    IF relation IS NULL OR NOT crm.column_exists(relation, 'id') OR NOT EXISTS (SELECT FROM crm_internal.audit_plan(table_name)) THEN
        RAISE EXCEPTION 'the log of changes tells of no records of a table "%"', table_name
            USING ERRCODE = 'undefined_table', HINT = 'Name a table that crm.start_audit() takes, whose records have ids.';
    END IF;
    -- of what is gone too: by whoever sees the whole company
    PERFORM crm_internal.require(table_name, record_as_of.id, 'see');
    IF (SELECT p.withheld FROM crm_internal.audit_plan(table_name) AS p) AND NOT crm_internal.calls_as_owner() THEN
        RAISE EXCEPTION 'what records of "%" said is for the owner of the CRM', table_name
            USING ERRCODE = 'insufficient_privilege', HINT = 'Ask him.';
    END IF;
    since := crm_internal.audited_since(tenant, table_name);
    IF since IS NULL OR as_of < since THEN
        RAISE EXCEPTION 'what records of "%" said at % is not known', table_name, as_of
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = CASE WHEN since IS NULL THEN 'Their changes are not written.' ELSE format('Their changes are there since %s.', since) END,
                  HINT = 'crm.start_audit() has changes written from then on; crm.tenants.audit_kept says how long they are kept.';
    END IF;
    EXECUTE format('SELECT to_jsonb(x) - $3 FROM %s AS x WHERE x.tenant_id = $1 AND x.id = $2', relation::regclass)
        INTO state USING tenant, id, crm_internal.untold_columns(relation);
    known := state IS NOT NULL;
    FOR e IN SELECT a.action, a.change -> 'old' AS was, a.at FROM crm.audit_log AS a
             WHERE a.tenant_id = tenant AND a.table_name = record_as_of.table_name AND a.record_id = record_as_of.id
             ORDER BY a.id DESC LOOP
        known := true;
        EXIT WHEN e.at <= as_of;
        IF e.was IS NULL AND e.action <> 'insert' THEN
            RAISE EXCEPTION 'what row % of "%" said at % was taken out of the log of changes', id, table_name, as_of
                USING ERRCODE = 'no_data_found', HINT = 'The person whom it told of was erased (crm.person_requests).';
        END IF;
        -- a row that came or went is told without what was empty
        state := CASE e.action WHEN 'update' THEN state || e.was WHEN 'delete' THEN crm_internal.empty_row(relation) || e.was END;
    END LOOP;
    IF NOT known THEN
        RAISE EXCEPTION 'row % of "%" does not exist, or is not visible to you', id, table_name
            USING ERRCODE = 'no_data_found', HINT = 'Name a row that you see; what was deleted is seen by managers and above.';
    END IF;
    RETURN state;
END
$$;
COMMENT ON FUNCTION crm.record_as_of(text, bigint, timestamptz) IS
'A record as it was at an instant, out of the log of changes: its columns but those that are computed from others or secret. NULL: it was not there, not yet '
'or not any more. A change counts from the beginning of its transaction on. For whoever sees the record; of one that is gone, managers and above. Errors: '
'42P01 for a table that is not audited, 22023 for an instant before the audit began, P0002 for a record that never was, or of which a change was taken out '
'since.';
SELECT crm.declare_function('crm.record_as_of', 'reader');

CREATE OR REPLACE FUNCTION crm_internal.empty_row(relation regclass)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_object_agg(a.attname, NULL) FROM pg_attribute AS a
    WHERE a.attrelid = empty_row.relation AND a.attnum > 0 AND NOT a.attisdropped
      AND a.attname::text <> ALL (crm_internal.untold_columns(empty_row.relation))
$$;
COMMENT ON FUNCTION crm_internal.empty_row(regclass) IS 'Columns of a table of which the log of changes tells, each null.';

-- ---- undeleting ----

CREATE OR REPLACE FUNCTION crm_internal.put_back(relation regclass, was jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    columns text;
BEGIN
    -- what was empty is so again; a column that must not be, and came later, has its default
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO columns FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND (was ? a.attname::text OR NOT a.attnotnull)
      AND a.attname::text <> ALL (crm_internal.untold_columns(relation));
    EXECUTE format('INSERT INTO %1$s (' || columns || ') OVERRIDING SYSTEM VALUE SELECT ' || columns || ' FROM jsonb_populate_record(NULL::%1$s, $1)',
                   relation::regclass) USING was;
END
$$;
COMMENT ON FUNCTION crm_internal.put_back(regclass, jsonb) IS 'Inserts a row as the log of changes has it.';

-- What a foreign key took along when a row was deleted comes back with it.
CREATE OR REPLACE FUNCTION crm_internal.put_back_children(relation regclass, tenant bigint, id bigint, deleted_in xid8, entry bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    child record;
    e record;
    done bigint := 0;
BEGIN
    FOR child IN
        SELECT r.subject, k.conrelid::regclass AS relation, a.attname::text AS column_name
        FROM pg_constraint AS k
        JOIN crm.registry AS r ON r.relation = k.conrelid
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname <> 'tenant_id'
        WHERE k.confrelid = put_back_children.relation AND k.contype = 'f' AND k.confdeltype = 'c' AND k.conparentid = 0
        ORDER BY r.subject, a.attname
    LOOP
        FOR e IN SELECT l.id, l.record_id, l.change -> 'old' AS was FROM crm.audit_log AS l
                 -- the server tells of them after what they went with
                 WHERE l.tenant_id = tenant AND l.table_name = child.subject AND l.xact = deleted_in AND l.action = 'delete' AND l.id > entry
                   AND l.change -> 'old' ->> child.column_name = put_back_children.id::text
                 ORDER BY l.id LOOP
            PERFORM crm_internal.put_back(child.relation, e.was);
            done := done + 1;
            IF e.record_id IS NOT NULL THEN
                done := done + crm_internal.put_back_children(child.relation, tenant, e.record_id, deleted_in, e.id);
            END IF;
        END LOOP;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.put_back_children(regclass, bigint, bigint, xid8, bigint) IS
'Inserts the rows that were deleted with a record, in the same transaction after its entry, by foreign keys; returns how many.';

CREATE OR REPLACE FUNCTION crm.undelete(table_name text, id bigint)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    r crm.registry;
    e record;
    row_now jsonb;
BEGIN
    SELECT x.* INTO r FROM crm.registry AS x
    WHERE x.relation = crm.subject_relation(table_name) AND crm.column_exists(x.relation, 'id') AND EXISTS (SELECT FROM crm_internal.audit_plan(x.subject));
    IF r.subject IS NULL THEN
        RAISE EXCEPTION 'the log of changes tells of no records of a table "%"', table_name
            USING ERRCODE = 'undefined_table', HINT = 'Name a table that crm.start_audit() takes, whose records have ids.';
    END IF;
    IF NOT coalesce(crm.has_access(CASE r.class WHEN 'configuration' THEN 'admin' ELSE 'manager' END), false)
       OR coalesce(r.class, 'owner') NOT IN ('configuration', 'catalogue', 'owned', 'work', 'child') AND NOT crm_internal.calls_as_owner() THEN
        RAISE EXCEPTION 'records of "%" are not yours to put back', table_name
            USING ERRCODE = 'insufficient_privilege', HINT = 'Whoever may write any row of the table may put one back.';
    END IF;
    SELECT a.id, a.action, a.xact, a.change -> 'old' AS was INTO e FROM crm.audit_log AS a
    WHERE a.tenant_id = tenant AND a.table_name = r.subject AND a.record_id = undelete.id
    ORDER BY a.id DESC LIMIT 1;
    IF e.action IS DISTINCT FROM 'delete' THEN
        RAISE EXCEPTION 'row % of "%" was not deleted, as far as the log of changes tells', id, table_name
            USING ERRCODE = 'no_data_found', HINT = 'SELECT * FROM crm.audit_log WHERE action = ''delete'' tells what was.';
    END IF;
    IF e.was IS NULL THEN
        RAISE EXCEPTION 'what row % of "%" said was taken out of the log of changes', id, table_name
            USING ERRCODE = 'no_data_found', HINT = 'It was erased, and does not come back.';
    END IF;
    PERFORM crm.because('undelete');
    PERFORM crm_internal.put_back(r.relation, e.was);
    PERFORM crm_internal.put_back_children(r.relation, tenant, undelete.id, e.xact, e.id);
    EXECUTE format('SELECT to_jsonb(x) - $3 FROM %s AS x WHERE x.tenant_id = $1 AND x.id = $2', r.relation::regclass)
        INTO row_now USING tenant, undelete.id, crm_internal.untold_columns(r.relation);
    RETURN row_now;
END
$$;
COMMENT ON FUNCTION crm.undelete(text, bigint) IS
'Puts a deleted record back, with its id, as the log of changes has it, and with it the rows that foreign keys took along. Triggers and constraints are '
'asked as for any new row: a parent that is gone too has to be put back first (23503). Secret columns stay empty. Returns the row. Managers and above, of '
'configuration admins. Errors: 42P01 for a table that is not audited, P0002 for a record that was not deleted, 42501.';
SELECT crm.declare_function('crm.undelete', 'manager');
