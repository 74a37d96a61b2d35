-- A dry run: a call is made in a subtransaction, what it wrote is looked at, and the subtransaction is rolled back.
--
-- Which tables were written is known from PostgreSQL's counters of the transaction, which rows from the ids they carry
-- (crm.written_xids()). What was there before is read once everything is rolled back: by the key for changed rows, by
-- the id that deleted rows carry for those. Rows are read with the rights of the caller, so nobody sees more than they may.

CREATE OR REPLACE FUNCTION crm.write_counts() RETURNS TABLE (subject text, relation regclass, inserted bigint, updated bigint, deleted bigint)
LANGUAGE sql VOLATILE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.subject, r.relation, sum(pg_stat_get_xact_tuples_inserted(p.oid))::bigint,
           sum(pg_stat_get_xact_tuples_updated(p.oid))::bigint, sum(pg_stat_get_xact_tuples_deleted(p.oid))::bigint
    FROM crm.registry AS r
    JOIN pg_class AS c ON c.oid = r.relation
    CROSS JOIN LATERAL (SELECT r.relation::oid UNION SELECT t.relid FROM pg_partition_tree(r.relation) AS t) AS p (oid)
    GROUP BY r.subject, r.relation
$$;
COMMENT ON FUNCTION crm.write_counts() IS
'Rows of each table of the registry that this transaction has inserted, updated and deleted so far, rolled back ones included.';
SELECT crm.declare_function('crm.write_counts', 'reader');

CREATE OR REPLACE FUNCTION crm.key_columns(relation regclass) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(a.attname ORDER BY a.attnum)::text[] FROM pg_index AS i
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::smallint[])
    WHERE i.indrelid = relation AND i.indisprimary
$$;
COMMENT ON FUNCTION crm.key_columns(regclass) IS 'Columns of the primary key of a table; NULL where it has none.';

-- of tables that are not the caller's to read, or too large to look through, only the counters tell
CREATE OR REPLACE FUNCTION crm.written_rows(relation regclass, ids xid[]) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found jsonb;
    locked jsonb;
BEGIN
    IF NOT has_table_privilege(relation, 'SELECT') OR pg_relation_size(relation) > 1073741824 THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT coalesce(jsonb_agg(to_jsonb(t.*)), ''[]'') FROM (SELECT t.* FROM %s AS t WHERE t.xmin = ANY ($1) LIMIT 1000) AS t',
                   relation::regclass) INTO found USING ids;
    -- rows that were locked carry the same ids as rows that are gone
    EXECUTE format('SELECT coalesce(jsonb_agg(to_jsonb(t.*)), ''[]'') FROM (SELECT t.* FROM %s AS t WHERE t.xmax = ANY ($1) LIMIT 1000) AS t',
                   relation::regclass) INTO locked USING ids;
    RETURN jsonb_build_object('written', found, 'locked', locked);
END
$$;
COMMENT ON FUNCTION crm.written_rows(regclass, xid[]) IS
'Rows of a table that carry transaction ids: as they were written, and those that were only locked (1,000 at most of each). NULL where the caller may not '
'read the table, or it is larger than 1 GB.';
SELECT crm.declare_function('crm.written_rows', 'reader');

CREATE OR REPLACE FUNCTION crm.row_before(relation regclass, after_row jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(t.*) FROM %1$s AS t JOIN jsonb_populate_record(NULL::%1$s, $1) AS k ON %2$s', relation::regclass,
                   (SELECT string_agg(format('t.%1$I = k.%1$I', c), ' AND ') FROM unnest(crm.key_columns(relation)) AS c))
    INTO found USING after_row;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm.row_before(regclass, jsonb) IS 'The row of a table with the primary key of another one; NULL where there is none.';
SELECT crm.declare_function('crm.row_before', 'reader');

-- once everything is rolled back
CREATE OR REPLACE FUNCTION crm.row_changes(relation regclass, seen jsonb, ids xid[], deletes boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    after_row jsonb;
    before_row jsonb;
    gone jsonb := '[]';
    changes jsonb := '[]';
    changed text[];
BEGIN
    FOR after_row IN SELECT jsonb_array_elements(seen -> 'written') LOOP
        before_row := crm.row_before(relation, after_row);
        IF before_row IS NULL THEN
            changes := changes || jsonb_build_object('change', 'insert', 'row', jsonb_strip_nulls(after_row - 'tenant_id'));
        ELSE
            changed := ARRAY(SELECT a.key FROM jsonb_each(after_row) AS a WHERE a.value IS DISTINCT FROM before_row -> a.key);
            CONTINUE WHEN changed = '{}';
            changes := changes || jsonb_build_object('change', 'update',
                'key', (SELECT jsonb_object_agg(c, after_row -> c) FROM unnest(crm.key_columns(relation)) AS c WHERE c <> 'tenant_id'),
                'before', (SELECT jsonb_object_agg(c, before_row -> c) FROM unnest(changed) AS c),
                'after', (SELECT jsonb_object_agg(c, after_row -> c) FROM unnest(changed) AS c));
        END IF;
    END LOOP;
    IF deletes THEN
        EXECUTE format('SELECT coalesce(jsonb_agg(jsonb_build_object(''change'', ''delete'', ''row'', jsonb_strip_nulls(d.r - ''tenant_id''))), ''[]'')
                        FROM (SELECT to_jsonb(t.*) AS r FROM %s AS t WHERE t.xmax = ANY ($1) LIMIT 1000) AS d
                        WHERE NOT EXISTS (SELECT FROM jsonb_array_elements($2) AS k WHERE %s)', relation::regclass,
                       (SELECT string_agg(format('k.value -> %1$L = d.r -> %1$L', c), ' AND ') FROM unnest(crm.key_columns(relation)) AS c))
        INTO gone USING ids, (seen -> 'written') || (seen -> 'locked');
    END IF;
    RETURN changes || gone;
END
$$;
COMMENT ON FUNCTION crm.row_changes(regclass, jsonb, xid[], boolean) IS
'What became of the rows of a table in a dry run: {change: insert or delete, row}, or {change: update, key, before, after} with the columns that changed.';
SELECT crm.declare_function('crm.row_changes', 'reader');

-- what was deleted after it had been locked by an earlier statement carries another id: it is counted, and not among the rows
CREATE OR REPLACE FUNCTION crm.summed_changes(seen jsonb, ids xid[]) RETURNS jsonb
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(s.key, c.counts || CASE WHEN r.rows IS NULL THEN '{}'
               ELSE jsonb_build_object('rows', jsonb_path_query_array(r.rows, '$[0 to 99]')) END), '{}')
    FROM jsonb_each(seen) AS s,
    LATERAL (SELECT CASE WHEN jsonb_typeof(s.value -> 'rows') = 'object'
                         THEN crm.row_changes((s.value ->> 'relation')::oid, s.value -> 'rows', ids, (s.value ->> 'deleted')::bigint > 0) END) AS r (rows),
    LATERAL (SELECT jsonb_object_agg(k.kind, CASE WHEN r.rows IS NULL THEN k.counted
                                                  WHEN k.kind = 'deleted' THEN greatest(k.counted, k.found) ELSE k.found END) AS counts,
                    sum(CASE WHEN r.rows IS NULL OR k.kind = 'deleted' THEN greatest(k.counted, k.found) ELSE k.found END) AS n
             FROM (SELECT w.kind, (s.value ->> w.kind)::bigint,
                          (SELECT count(*) FROM jsonb_array_elements(r.rows) AS x WHERE x.value ->> 'change' = w.change)
                   FROM (VALUES ('inserted', 'insert'), ('updated', 'update'), ('deleted', 'delete')) AS w (kind, change)) AS k (kind, counted, found)) AS c
    WHERE c.n > 0
$$;
COMMENT ON FUNCTION crm.summed_changes(jsonb, xid[]) IS 'Changes of a dry run as crm.check_call() has them: for each table numbers and rows.';
SELECT crm.declare_function('crm.summed_changes', 'reader');

CREATE OR REPLACE FUNCTION crm.check_call(function text, arguments jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    earlier CONSTANT jsonb := (SELECT jsonb_object_agg(w.subject, to_jsonb(w.*)) FROM crm.write_counts() AS w);
    called boolean := false;
    done boolean := false;
    answer jsonb;
    ids xid[];
    seen jsonb;
    f crm.fault;
BEGIN
    BEGIN
        answer := crm.call(function, arguments);
        called := true;
        -- what is checked at the end of a transaction is checked now
        SET CONSTRAINTS ALL IMMEDIATE;
        ids := crm.written_xids();
        SELECT jsonb_object_agg(w.subject, jsonb_build_object('relation', w.relation::oid, 'inserted', w.inserted - (e.was ->> 'inserted')::bigint,
                   'updated', w.updated - (e.was ->> 'updated')::bigint, 'deleted', w.deleted - (e.was ->> 'deleted')::bigint,
                   'rows', crm.written_rows(w.relation, ids)))
        INTO seen
        FROM crm.write_counts() AS w, LATERAL (SELECT earlier -> w.subject) AS e (was)
        WHERE (w.inserted, w.updated, w.deleted) IS DISTINCT FROM
              ((e.was ->> 'inserted')::bigint, (e.was ->> 'updated')::bigint, (e.was ->> 'deleted')::bigint);
        done := true;
        RAISE EXCEPTION 'nothing of a dry run stays' USING HINT = 'This never leaves crm.check_call().';
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS f.sqlstate = RETURNED_SQLSTATE, f.message = MESSAGE_TEXT, f.detail = PG_EXCEPTION_DETAIL, f.hint = PG_EXCEPTION_HINT,
            f.schema_name = SCHEMA_NAME, f.table_name = TABLE_NAME, f.column_name = COLUMN_NAME, f.constraint_name = CONSTRAINT_NAME;
        IF NOT done THEN
            RETURN jsonb_build_object('ok', false, 'error', CASE WHEN called THEN crm.error_facts(f) ELSE f.detail::jsonb END);
        END IF;
    END;
    RETURN jsonb_build_object('ok', true, 'answer', answer, 'changes', crm.summed_changes(seen, ids));
END
$$;
COMMENT ON FUNCTION crm.check_call(text, jsonb) IS
'Tries a call as crm.call() would make it, with the rights of the caller, and takes everything back: {ok: true, answer, changes} or {ok: false, error}. '
'changes has for each table that would change how many rows would be inserted, updated and deleted, and rows (100 at most): {change, row} or {change: '
'update, key, before, after}. A table that is not the caller''s to read has only the numbers. error is crm.error_facts(). What is checked at the end of a '
'transaction is checked, too. Waits for locks as the call would; numbers of sequences are used up. Errors: none but those of a call that is cancelled.';
SELECT crm.declare_function('crm.check_call', 'reader');
SELECT crm.declare_api('crm.check_call', '{"function": "convert_lead", "arguments": {"lead_id": 1}}');
