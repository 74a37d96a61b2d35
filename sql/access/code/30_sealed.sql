-- Sealed columns: sealing a column and turning it back, bringing values under the current key, looking for damage.

-- ---- keys ----

CREATE OR REPLACE FUNCTION crm.register_keys()
RETURNS SETOF crm.keys
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ids CONSTANT text[] := crm.key_ids();
BEGIN
    -- without a key file nothing is known, and nothing is forgotten
    IF ids IS NOT NULL THEN
        INSERT INTO crm.keys AS k (key_id, state, current_at)
        SELECT i.id, s.state, CASE s.state WHEN 'current' THEN now() END
        FROM unnest(ids) WITH ORDINALITY AS i (id, n), LATERAL (SELECT CASE WHEN i.n = cardinality(ids) THEN 'current' ELSE 'earlier' END) AS s (state)
        ON CONFLICT ON CONSTRAINT keys_pkey DO UPDATE
        SET state = excluded.state, gone_at = NULL, current_at = coalesce(k.current_at, excluded.current_at)
        WHERE k.state <> excluded.state;
        UPDATE crm.keys AS k SET state = 'gone', gone_at = now() WHERE k.state <> 'gone' AND k.key_id <> ALL (ids);
    END IF;
    RETURN QUERY SELECT k.* FROM crm.keys AS k ORDER BY k.seen_at, k.key_id;
END
$$;
COMMENT ON FUNCTION crm.register_keys() IS
'Writes down which keys the key file of the server holds (crm.keys), and returns all that were ever seen; the worker calls it. Only the owner of the CRM.';
SELECT crm.declare_function('crm.register_keys', 'owner');

-- ---- sealing a column ----

-- What would stop meaning what it says, though PostgreSQL would carry it over: a constant in it would be sealed for one tenant.
CREATE OR REPLACE FUNCTION crm_internal.hinders_sealing(relation regclass, column_name name)
RETURNS SETOF text
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    WITH a AS (SELECT x.attrelid, x.attnum, x.attname FROM pg_attribute AS x WHERE x.attrelid = relation AND x.attname = column_name)
    SELECT pg_describe_object('pg_constraint'::regclass, c.oid, 0) FROM pg_constraint AS c, a
    WHERE c.conrelid = a.attrelid AND a.attnum = ANY (c.conkey) AND c.contype NOT IN ('p', 'u', 'n')
      AND pg_get_constraintdef(c.oid) !~ ('^CHECK \(+' || quote_ident(a.attname) || ' IS NOT NULL\)+$')
    UNION ALL
    SELECT pg_describe_object('pg_constraint'::regclass, c.oid, 0) FROM pg_constraint AS c, a
    WHERE c.confrelid = a.attrelid AND a.attnum = ANY (c.confkey)
    UNION ALL
    SELECT 'index ' || i.indexrelid::regclass || ' (an index on the column itself is kept)' FROM pg_index AS i, a
    WHERE i.indrelid = a.attrelid
      AND EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum)
      AND (NOT a.attnum = ANY (i.indkey::smallint[])
           OR coalesce(pg_get_expr(i.indexprs, i.indrelid), '') ~ ('\m' || a.attname || '\M')
           OR coalesce(pg_get_expr(i.indpred, i.indrelid), '') ~ ('\m' || a.attname || '\M')
              AND pg_get_expr(i.indpred, i.indrelid) !~ ('^\(' || quote_ident(a.attname) || ' IS NOT NULL\)$')
           OR EXISTS (SELECT FROM unnest(i.indkey::smallint[], i.indclass::oid[], i.indcollation::oid[]) AS k (attnum, opclass, collation_id)
                      JOIN pg_attribute AS t ON t.attrelid = a.attrelid AND t.attnum = k.attnum
                      JOIN pg_opclass AS o ON o.oid = k.opclass
                      WHERE k.attnum = a.attnum AND (NOT o.opcdefault OR k.collation_id <> t.attcollation)))
    UNION ALL
    SELECT DISTINCT 'view ' || w.ev_class::regclass FROM pg_depend AS d JOIN pg_rewrite AS w ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid, a
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
    UNION ALL
    SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend AS d, a
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
      AND d.classid IN ('pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_proc'::regclass, 'pg_attrdef'::regclass, 'pg_statistic_ext'::regclass,
                        'pg_publication_rel'::regclass)
      AND NOT (d.classid = 'pg_attrdef'::regclass AND d.deptype = 'a' AND EXISTS (
          SELECT FROM pg_attrdef AS x WHERE x.oid = d.objid AND x.adnum = a.attnum))
    UNION ALL
    SELECT 'the default of the column' FROM pg_attrdef AS d, a WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    -- earlier values, events and keys of an import hold the text elsewhere
    SELECT 'what crm.registry says of the table: ' || e.key FROM crm.registry AS r, jsonb_each(r.options - 'personal') AS e, a
    WHERE r.relation = a.attrelid
      AND (jsonb_path_exists(e.value, '$.** ? (@ == $c)', jsonb_build_object('c', a.attname)) OR e.value ? a.attname)
$$;
COMMENT ON FUNCTION crm_internal.hinders_sealing(regclass, name) IS
'What has to go before a column is sealed, each in words: it compares or copies the text, and could not any more.';

CREATE OR REPLACE FUNCTION crm.seal_column(table_name regclass, column_name name, kind text DEFAULT 'text')
RETURNS crm.sealed_columns
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    a pg_attribute;
    result crm.sealed_columns;
    hindered text;
    tenant text;
    constraint_name CONSTANT name := (SELECT c.relname FROM pg_class AS c WHERE c.oid = table_name) || '_' || column_name || '_sealed_check';
BEGIN
    IF kind IS NULL OR kind NOT IN ('text', 'email', 'phone') THEN
        RAISE EXCEPTION 'unknown kind of sealed text "%"', kind USING ERRCODE = 'invalid_parameter_value', HINT = 'Kinds are text, email and phone.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = table_name AND c.relkind IN ('r', 'p') AND NOT c.relispartition) THEN
        RAISE EXCEPTION '% is not a table', table_name
            USING ERRCODE = 'wrong_object_type', HINT = 'Name an ordinary or a partitioned table, not one of its partitions.';
    END IF;
    SELECT x.* INTO a FROM pg_attribute AS x WHERE x.attrelid = table_name AND x.attname = column_name AND x.attnum > 0 AND NOT x.attisdropped;
    IF a.attnum IS NULL THEN
        RAISE EXCEPTION 'table % has no column "%"', table_name, column_name
            USING ERRCODE = 'undefined_column', HINT = 'Name one of its columns.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_type AS t WHERE t.oid = a.atttypid AND t.typcategory = 'S') OR a.attgenerated <> '' THEN
        RAISE EXCEPTION 'column "%" of % is no column of text', column_name, table_name
            USING ERRCODE = 'datatype_mismatch', DETAIL = format('It is of type %s.', format_type(a.atttypid, a.atttypmod)),
                  HINT = 'Text and character varying are sealed, but not what is generated.';
    END IF;
    SELECT string_agg(h, E'\n' ORDER BY h) INTO hindered FROM crm_internal.hinders_sealing(table_name, column_name) AS h;
    IF hindered IS NOT NULL THEN
        RAISE EXCEPTION 'column "%" of % cannot be sealed: something else reads it as text', column_name, table_name
            USING ERRCODE = 'dependent_objects_still_exist', DETAIL = hindered,
                  HINT = 'Drop it first, and make it again where it still has a meaning: sealed values are equal or not, and nothing else.';
    END IF;
    SELECT quote_ident(x.attname) INTO tenant FROM pg_attribute AS x
    WHERE x.attrelid = table_name AND x.attname = 'tenant_id' AND x.atttypid = 'bigint'::regtype AND NOT x.attisdropped;
    IF tenant IS NULL AND crm.tenant_id() IS NULL THEN
        RAISE EXCEPTION 'it is not clear whose values % holds', table_name
            USING ERRCODE = 'CR010', HINT = 'It has no column tenant_id: say SET crm.tenant = ''id'' first.';
    END IF;

    tenant := coalesce(tenant, format('%L::bigint', crm.tenant_id()));
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE crm.sealed_text(%I) USING crm.seal_for(%2$I::text, %3$L, %4$s)',
                   table_name, column_name, kind, tenant);
    -- a value of another company is refused when it is written, not when it is read
    EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (crm.sealed_tenant(%I) = %s)', table_name, constraint_name, column_name, tenant);
    EXECUTE format('ANALYZE %s (%I)', table_name, column_name);
    INSERT INTO crm.sealed_columns AS s (relation, column_name, kind, original_type, resealed_with)
    VALUES (table_name, column_name, kind, format_type(a.atttypid, a.atttypmod), (crm.key_ids())[cardinality(crm.key_ids())])
    ON CONFLICT ON CONSTRAINT sealed_columns_pkey DO UPDATE
    SET kind = excluded.kind, original_type = excluded.original_type, sealed_at = now(), resealed_with = excluded.resealed_with,
        pass_key = NULL, pass_relation = NULL, pass_block = 0, pass_found = 0, pass_closed = 0, closed = 0
    RETURNING s.* INTO result;
    PERFORM count(*) FROM crm.register_keys();
    RETURN result;
END
$$;
COMMENT ON FUNCTION crm.seal_column(regclass, name, text) IS
'Turns a column of text of any table of the owner''s into crm.sealed_text, with all its values, its indexes and its unique constraints, under one lock that '
'keeps readers out as it is rewritten. kind: text, or email or phone, which compare by the normal form. Values are those of the tenant in tenant_id, or of the '
'current one where the table has no such column. Earlier backups, archived WAL and replicas that lag still hold the text. Only the owner of the CRM. '
'Errors: 2BP01 for what else reads the column as text (the detail lists it), 42804 for no column of text, 23505 where values are equal by their '
'normal form, CR601 without a key.';
SELECT crm.declare_function('crm.seal_column', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.sealed_column(table_name regclass, column_name name)
RETURNS crm.sealed_columns
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.sealed_columns;
BEGIN
    SELECT x.* INTO s FROM crm.sealed_columns AS x
    WHERE x.relation = sealed_column.table_name AND x.column_name = sealed_column.column_name FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'column "%" of % was not sealed by crm.seal_column()', sealed_column.column_name, sealed_column.table_name
            USING ERRCODE = 'undefined_object', HINT = 'SELECT * FROM crm.sealed_columns lists those that were.';
    END IF;
    RETURN s;
END
$$;
COMMENT ON FUNCTION crm_internal.sealed_column(regclass, name) IS 'The row of a sealed column, locked; error 42704 where there is none.';

CREATE OR REPLACE FUNCTION crm.unseal_column(table_name regclass, column_name name, reason text)
RETURNS crm.sealed_columns
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s CONSTANT crm.sealed_columns := crm_internal.sealed_column(unseal_column.table_name, unseal_column.column_name);
BEGIN
    IF coalesce(btrim(reason), '') = '' THEN
        RAISE EXCEPTION 'a column is not unsealed without a reason'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Say what for; it is recorded in crm.reveal_log.';
    END IF;
    EXECUTE format('INSERT INTO crm.reveal_log (tenant_id, user_id, db_role, reason, times, revealed_at)
                    SELECT crm.sealed_tenant(x.%1$I), crm.user_id(), session_user, $1, count(*), clock_timestamp()
                    FROM %2$s AS x WHERE x.%1$I IS NOT NULL GROUP BY 1', s.column_name, table_name)
        USING format('column %s of %s unsealed: %s', s.column_name, table_name, reason);
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', table_name,
                   ((SELECT c.relname FROM pg_class AS c WHERE c.oid = table_name) || '_' || s.column_name || '_sealed_check')::name);
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE %s USING crm.unsealed(%2$I)::%3$s', table_name, s.column_name, s.original_type);
    EXECUTE format('ANALYZE %s (%I)', table_name, s.column_name);
    DELETE FROM crm.sealed_columns AS x WHERE x.relation = unseal_column.table_name AND x.column_name = s.column_name;
    RETURN s;
END
$$;
COMMENT ON FUNCTION crm.unseal_column(regclass, name, text) IS
'Turns a sealed column back into the type it had, with its values, indexes and unique constraints, and records in crm.reveal_log that all of them were '
'revealed. Only the owner of the CRM. Errors: 42704 for a column that was not sealed, 22023 without a reason, CR601 and CR602 where a value does not open: '
'then nothing is changed.';
SELECT crm.declare_function('crm.unseal_column', 'owner');

-- ---- rotation ----

CREATE OR REPLACE FUNCTION crm_internal.tables_below(relation regclass)
RETURNS SETOF regclass
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT relation WHERE EXISTS (SELECT FROM pg_class AS c WHERE c.oid = relation AND c.relkind = 'r')
    UNION
    SELECT t.relid FROM pg_partition_tree(relation) AS t WHERE t.isleaf
$$;
COMMENT ON FUNCTION crm_internal.tables_below(regclass) IS 'The tables that hold the rows of a table: itself, or its partitions.';

CREATE OR REPLACE FUNCTION crm.reseal(table_name regclass, column_name name, max_values integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.sealed_columns := crm_internal.sealed_column(reseal.table_name, reseal.column_name);
    ids CONSTANT text[] := crm.key_ids();
    key CONSTANT text := ids[cardinality(ids)];
    done bigint := 0;
    part regclass;
    counts bigint[];
BEGIN
    IF coalesce(max_values, 0) < 1 THEN
        RAISE EXCEPTION 'max_values must be at least 1' USING ERRCODE = 'invalid_parameter_value', HINT = 'It is how many values one call seals anew.';
    END IF;
    IF s.resealed_with = key THEN
        RETURN 0;
    END IF;
    IF s.pass_key IS DISTINCT FROM key THEN
        s.pass_key := key; s.pass_relation := NULL; s.pass_block := 0; s.pass_found := 0; s.pass_closed := 0;
    END IF;
    LOOP
        -- the partition reached, or the next one; those that were dropped meanwhile are passed by
        SELECT t INTO part FROM crm_internal.tables_below(s.relation) AS t
        WHERE s.pass_relation IS NULL OR t::oid >= s.pass_relation::oid ORDER BY t::oid LIMIT 1;
        EXIT WHEN part IS NULL;
        IF part IS DISTINCT FROM s.pass_relation THEN
            s.pass_block := 0;
        END IF;
        counts := crm.reseal_rows(part, s.column_name, s.pass_block, (max_values - done)::integer);
        done := done + counts[1];
        s.pass_found := s.pass_found + counts[1] + counts[2];
        s.pass_closed := s.pass_closed + counts[3];
        s.pass_relation := part;
        s.pass_block := counts[4];
        EXIT WHEN s.pass_block >= 0;
        s.pass_relation := (s.pass_relation::oid::bigint + 1)::oid::regclass; s.pass_block := 0;
        EXIT WHEN done >= max_values;
    END LOOP;
    IF part IS NULL THEN
        -- rows that moved to the front meanwhile are found by another pass
        s.resealed_with := CASE WHEN s.pass_found = 0 THEN key ELSE s.resealed_with END;
        s.closed := s.pass_closed;
        s.pass_relation := NULL; s.pass_block := 0; s.pass_found := 0; s.pass_closed := 0;
    END IF;
    UPDATE crm.sealed_columns AS x
    SET resealed_with = s.resealed_with, pass_key = s.pass_key, pass_relation = s.pass_relation, pass_block = s.pass_block, pass_found = s.pass_found,
        pass_closed = s.pass_closed, closed = s.closed
    WHERE x.relation = s.relation AND x.column_name = s.column_name;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.reseal(regclass, name, integer) IS
'After crm-keys rotate: seals up to so many values of a column anew, under the current key, and goes on at the next call where it stopped. Nobody is kept '
'from reading or writing; values stay equal to what they were, so indexes and constraints are as they were. Returns how many; when '
'crm.sealed_columns.resealed_with is the current key, no other one is needed for the column. The worker calls it by itself. Only the owner of the CRM. '
'Errors: 42704 for a column that was not sealed, CR601 without a key file.';
SELECT crm.declare_function('crm.reseal', 'owner');

CREATE OR REPLACE FUNCTION crm.reseal_due(as_of timestamptz, batch integer)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key text;
    s record;
    done bigint := 0;
    before bigint;
BEGIN
    -- without a key file there is nothing to be done
    IF crm.key_ids() IS NULL THEN
        RETURN 0;
    END IF;
    SELECT max(k.key_id) FILTER (WHERE k.state = 'current') INTO key FROM crm.register_keys() AS k;
    -- columns of tables that were dropped
    DELETE FROM crm.sealed_columns AS x
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = x.relation AND a.attname = x.column_name AND NOT a.attisdropped);
    FOR s IN SELECT x.relation, x.column_name FROM crm.sealed_columns AS x
             WHERE x.resealed_with IS DISTINCT FROM key ORDER BY x.relation::oid, x.column_name LOOP
        LOOP
            EXIT WHEN done >= batch;
            before := done;
            BEGIN
                done := done + crm.reseal(s.relation, s.column_name, (batch - done)::integer);
            EXCEPTION WHEN OTHERS THEN
                -- a column that cannot be sealed anew (a key that is gone) does not stop the others; it stays due, and crm.sealed_columns tells
                RAISE WARNING 'values of %.% could not be sealed anew: %', s.relation, s.column_name, SQLERRM;
            END;
            -- a pass that found nothing ends the column, or somebody holds the rest
            EXIT WHEN done = before;
        END LOOP;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.reseal_due(timestamptz, integer) IS
'Maintenance: registers keys, and seals values of every sealed column anew that are not under the current key. Returns how many.';
SELECT crm.declare_function('crm.reseal_due', 'owner');

-- ---- damage ----

CREATE OR REPLACE FUNCTION crm.verify_sealed(table_name regclass, column_name name)
RETURNS TABLE (key_id text, state text, n bigint)
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT text := (SELECT 'x.tenant_id' FROM pg_attribute AS a
                             WHERE a.attrelid = table_name AND a.attname = 'tenant_id' AND a.atttypid = 'bigint'::regtype AND NOT a.attisdropped);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = table_name AND a.attname = column_name AND a.atttypid = 'crm.sealed_text'::regtype) THEN
        RAISE EXCEPTION 'table % has no sealed column "%"', table_name, column_name
            USING ERRCODE = 'undefined_column', HINT = 'Name a column of type crm.sealed_text.';
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT v.key_id, v.state, count(*) FROM (
             SELECT crm.sealed_key(x.%1$I) AS key_id,
                    CASE WHEN crm.sealed_tenant(x.%1$I) <> %3$s THEN ''foreign''
                         ELSE CASE crm.sealed_is_whole(x.%1$I) WHEN true THEN ''whole'' WHEN false THEN ''damaged'' ELSE ''key gone'' END END AS state
             FROM %2$s AS x WHERE x.%1$I IS NOT NULL) AS v
         GROUP BY v.key_id, v.state ORDER BY v.key_id, v.state', column_name, table_name, coalesce(tenant, format('crm.sealed_tenant(x.%I)', column_name)));
END
$$;
COMMENT ON FUNCTION crm.verify_sealed(regclass, name) IS
'Opens every value of a sealed column, shows none, and counts them by key: whole, damaged (changed since it was sealed), foreign (of another tenant than its '
'row), key gone (its key is not in the key file). Only the owner of the CRM. Errors: 42703 for no sealed column, CR601 without a key file.';
SELECT crm.declare_function('crm.verify_sealed', 'owner');

-- ---- the record of who read what ----

CREATE OR REPLACE FUNCTION crm_internal.keep_reveals()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RAISE EXCEPTION 'the record of what was revealed is neither changed nor deleted'
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'It is only added to, by crm.reveal().';
END
$$;
COMMENT ON FUNCTION crm_internal.keep_reveals() IS 'Trigger of crm.reveal_log: rows are only added.';
CREATE OR REPLACE TRIGGER reveal_log_before_keep BEFORE UPDATE OR DELETE ON crm.reveal_log FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_reveals();
CREATE OR REPLACE TRIGGER reveal_log_before_truncate BEFORE TRUNCATE ON crm.reveal_log FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.keep_reveals();
