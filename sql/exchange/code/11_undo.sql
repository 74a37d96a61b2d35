-- Taking an import back: new rows go, changed ones get their former values, and what was touched since stays and says so.

CREATE OR REPLACE FUNCTION crm.undo_refuse(batch crm.import_batches, condition text, reason text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE format('UPDATE crm.import_rows AS r SET reason = %L, hint = %L
                    WHERE r.tenant_id = %s AND r.batch_id = %s AND r.state IN (''inserted'', ''updated'') AND r.reason IS NULL AND %s',
                   reason, 'It stays as it is: look at it, and delete or correct it by hand.', batch.tenant_id, batch.id, condition::text);
END
$$;
COMMENT ON FUNCTION crm.undo_refuse(crm.import_batches, text, text) IS 'Marks the rows r of a batch that cannot be taken back.';

CREATE OR REPLACE FUNCTION crm.undo_check(batch crm.import_batches)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.subject_relation(batch.target_table);
    link record;
BEGIN
    PERFORM crm.undo_refuse(batch,
        format('EXISTS (SELECT FROM %s AS t WHERE t.tenant_id = r.tenant_id AND t.id = r.target_id AND %s IS DISTINCT FROM r.row_hash)',
                                          target::regclass, crm.import_hash(target, 't')), 'the row was changed since the import');
    -- whatever refers to a new row and is not of this import; what engines keep for themselves does not count
    FOR link IN
        SELECT k.conrelid::regclass AS relation, a.attname AS column, coalesce(x.subject, k.conrelid::regclass::text) AS name,
               crm.column_exists(k.conrelid, 'id') AS has_id
        FROM pg_constraint AS k
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[cardinality(k.conkey)]
        LEFT JOIN crm.registry AS x ON x.relation = k.conrelid
        WHERE k.confrelid = target AND k.contype = 'f' AND k.conparentid = 0 AND x.class IS DISTINCT FROM 'log'
          AND has_table_privilege(k.conrelid, 'SELECT')
    LOOP
        PERFORM crm.undo_refuse(batch,
            format('r.state = ''inserted'' AND EXISTS (SELECT FROM %s AS c WHERE c.tenant_id = r.tenant_id AND c.%I = r.target_id %s)',
            link.relation::regclass, link.column,
            CASE WHEN link.relation = target
                 THEN 'AND NOT EXISTS (SELECT FROM crm.import_rows AS o WHERE o.tenant_id = r.tenant_id AND o.batch_id = r.batch_id AND o.target_id = c.id)'
                 WHEN link.has_id THEN format('AND NOT EXISTS (SELECT FROM crm.import_extras AS e WHERE e.tenant_id = r.tenant_id AND e.batch_id = r.batch_id
                     AND e.table_name = %L AND e.row_id = c.id)', link.name) ELSE '' END::text), format('rows of %s refer to it', link.name));
    END LOOP;
    FOR link IN SELECT l.relation, l.subject, l.column_name, l.target_column FROM crm.table_links() AS l JOIN crm.registry AS x ON x.relation = l.relation
                WHERE l.target_column IS NOT NULL AND x.class <> 'log' AND has_table_privilege(l.relation, 'SELECT') LOOP
        PERFORM crm.undo_refuse(batch,
            format('r.state = ''inserted'' AND EXISTS (SELECT FROM %s AS c WHERE c.tenant_id = r.tenant_id AND c.%I = %L AND c.%I = r.target_id)',
                                              link.relation::regclass, link.target_column, batch.target_table, link.column_name),
                                                  format('rows of %s refer to it', link.subject));
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.undo_check(crm.import_batches) IS 'Marks the rows of a batch that were changed since, or that others refer to by now.';

CREATE OR REPLACE FUNCTION crm.undo_lines(batch crm.import_batches, undone_state text, statement text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ids bigint[];
    one bigint;
    done bigint := 0;
    code text;
BEGIN
    SELECT array_agg(r.target_id ORDER BY r.line DESC) INTO ids FROM crm.import_rows AS r
    WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.state = undone_state AND r.reason IS NULL AND r.target_id IS NOT NULL;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;
    BEGIN
        EXECUTE statement USING ids;
        UPDATE crm.import_rows AS r SET state = 'undone'
        WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.state = undone_state AND r.reason IS NULL;
        RETURN cardinality(ids);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
        IF crm.import_is_fatal(code) THEN
            RAISE;
        END IF;
    END;
    -- something refuses one of them: one after the other, and each that stays says why
    FOREACH one IN ARRAY ids LOOP
        BEGIN
            EXECUTE statement USING ARRAY[one];
            UPDATE crm.import_rows AS r SET state = 'undone' WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.target_id = one;
            done := done + 1;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
            IF crm.import_is_fatal(code) THEN
                RAISE;
            END IF;
            UPDATE crm.import_rows AS r SET sqlstate = code, reason = SQLERRM, hint = 'It stays as it is: look at it, and delete or correct it by hand.'
            WHERE r.tenant_id = batch.tenant_id AND r.batch_id = batch.id AND r.target_id = one;
        END;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.undo_lines(crm.import_batches, text, text) IS
'Takes back the rows of one state by a statement over their ids ($1), all at once, or one by one where something refuses; returns how many.';

CREATE OR REPLACE FUNCTION crm.undo_created(batch crm.import_batches)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    extra record;
    code text;
BEGIN
    FOR extra IN SELECT e.table_name, e.row_id FROM crm.import_extras AS e
                 WHERE e.tenant_id = batch.tenant_id AND e.batch_id = batch.id AND e.target_id IS NULL LOOP
        BEGIN
            EXECUTE format('DELETE FROM %s AS t WHERE t.tenant_id = $1 AND t.id = $2', crm.subject_relation(extra.table_name)::regclass) USING
                batch.tenant_id, extra.row_id;
            DELETE FROM crm.import_extras AS e WHERE e.tenant_id = batch.tenant_id AND e.batch_id = batch.id AND e.table_name = extra.table_name AND e.row_id
                = extra.row_id;
        EXCEPTION WHEN OTHERS THEN
            -- somebody uses it by now: it stays
            GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE;
            IF crm.import_is_fatal(code) THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.undo_created(crm.import_batches) IS 'Deletes what lookups of a batch have created and nobody uses.';

-- security definer: the count is the CRM's, whoever undoes
CREATE OR REPLACE FUNCTION crm.undo_count(batch_id bigint)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    counted crm.import_batches;
BEGIN
    PERFORM crm_internal.require('import_batches', batch_id, 'change');
    UPDATE crm.import_batches AS b
    SET rows_undone = (SELECT count(*) FROM crm.import_rows AS r WHERE r.tenant_id = tenant AND r.batch_id = undo_count.batch_id AND r.state = 'undone')
    WHERE b.tenant_id = tenant AND b.id = undo_count.batch_id
    RETURNING b.* INTO counted;
    RETURN counted;
END
$$;
COMMENT ON FUNCTION crm.undo_count(bigint) IS 'Counts what of a batch was taken back.';
SELECT crm.declare_function('crm.undo_count', 'agent');

CREATE OR REPLACE FUNCTION crm.undo_import(batch_id bigint)
RETURNS crm.import_batches
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    batch crm.import_batches := crm.require_import_batch(batch_id);
    target CONSTANT regclass := crm.require_registered(batch.target_table, 'import');
    parts CONSTANT jsonb[] := ARRAY(SELECT p FROM crm.import_parts(batch) AS p);
    history CONSTANT boolean := batch.mapping ? 'history' AND current_setting('crm.history_reason') = '';
BEGIN
    PERFORM crm.because('undo_import');
    IF crm.has_access('admin') THEN
        PERFORM crm.keep_written();
    END IF;
    IF batch.undone_at IS NOT NULL THEN
        RAISE EXCEPTION 'import batch % is undone already', batch.id USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'crm.import_rows says which of its rows stayed, and why.';
    END IF;
    PERFORM crm.undo_check(batch);
    IF history THEN
        PERFORM crm.begin_history(format('undo of import batch %s', batch.id));
    END IF;
    PERFORM crm.undo_lines(batch, 'updated', format('WITH extra AS (DELETE FROM crm.contact_points AS c USING crm.import_extras AS e
            WHERE c.tenant_id = %1$s AND e.tenant_id = %1$s AND e.batch_id = %2$s AND e.table_name = ''contact_points'' AND e.row_id = c.id
            AND e.target_id = ANY ($1))
        UPDATE %3$s AS t SET %4$s FROM crm.import_rows AS r CROSS JOIN LATERAL jsonb_populate_record(NULL::%3$s, r.before) AS p
        WHERE r.tenant_id = %1$s AND r.batch_id = %2$s AND r.target_id = ANY ($1) AND r.before IS NOT NULL AND t.tenant_id = %1$s AND t.id = r.target_id',
        batch.tenant_id, batch.id, target::regclass,
        (SELECT string_agg(DISTINCT format('%I = p.%I', n.name, n.name), ', ')
         FROM (SELECT c.name FROM crm.import_columns(batch, parts) AS c UNION ALL SELECT p ->> 'name' FROM unnest(parts) AS p WHERE (p ->> 'self')::boolean)
             AS n)::text));
    PERFORM crm.undo_lines(batch, 'inserted', format('DELETE FROM %s AS t WHERE t.tenant_id = %s AND t.id = ANY ($1)', target::regclass,
        batch.tenant_id));
    PERFORM crm.undo_created(batch);
    IF history THEN
        PERFORM crm.end_history();
    END IF;
    UPDATE crm.import_batches AS b SET undone_at = clock_timestamp() WHERE b.tenant_id = batch.tenant_id AND b.id = batch.id;
    RETURN crm.undo_count(batch_id);
END
$$;
COMMENT ON FUNCTION crm.undo_import(bigint) IS
'Takes an import back: deletes the rows it has made, with their contact points and what lookups have created, and gives the rows it has changed the values '
'they had. A row that was changed since, or that others refer to by now, stays: it keeps its state in crm.import_rows, where reason and hint say why; the '
'others are undone. Returns the batch with rows_undone. Stage periods of rows that were changed keep what the import wrote. Errors: P0002 no such batch, '
'55000 undone already.';
