-- Rollups: what their commands are made of.

CREATE OR REPLACE FUNCTION crm_internal.rollup_relations(source regclass)
RETURNS SETOF regclass
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT source
    UNION
    SELECT t.relid FROM pg_catalog.pg_partition_tree(source) AS t
$$;
COMMENT ON FUNCTION crm_internal.rollup_relations(regclass) IS 'A rollup source and all its partitions.';

CREATE OR REPLACE FUNCTION crm_internal.rollup_column(source_id bigint, wanted text, prefix text, type text)
RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.rollup_sources;
    found_name text;
    normal text;
    view_name text := format('crm_internal.rollup_source_%s', source_id);
    select_list text;
BEGIN
    SELECT * INTO STRICT s FROM crm.rollup_sources AS r WHERE r.id = source_id;
    normal := crm.rollup_expression(s.source, wanted);
    IF to_regclass(view_name) IS NOT NULL THEN
        SELECT c.column_name INTO found_name
        FROM crm.rollup_columns(to_regclass(view_name)) AS c
        WHERE c.expression = normal AND left(c.column_name, 1) = prefix
        LIMIT 1;
        IF found_name IS NOT NULL THEN
            RETURN found_name;
        END IF;
        SELECT string_agg(format('%s AS %I', c.expression, c.column_name), ', ')
        INTO select_list
        FROM crm.rollup_columns(to_regclass(view_name)) AS c;
    END IF;

    UPDATE crm.rollup_sources AS r SET last_column = r.last_column + 1
    WHERE r.id = source_id RETURNING prefix || r.last_column INTO found_name;
    EXECUTE format('ALTER TABLE crm_internal.rollup_source_%s_deltas ADD COLUMN %I %s', source_id, found_name, type);
    EXECUTE format('CREATE OR REPLACE VIEW %s AS SELECT %s FROM %s',
                   view_name,
                   concat_ws(', ', select_list, format('%s AS %I', normal, found_name)),
                   crm_internal.rollup_from(s.source));
    RETURN found_name;
END
$$;
COMMENT ON FUNCTION crm_internal.rollup_column(bigint, text, text, text) IS
'The delta column that holds an expression over a row of the source; made if there is none yet.';

CREATE OR REPLACE FUNCTION crm_internal.rollup_from(source regclass)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN c.relkind = 'p' THEN '' ELSE 'ONLY ' END || source::text FROM pg_catalog.pg_class AS c WHERE c.oid = source
$$;
COMMENT ON FUNCTION crm_internal.rollup_from(regclass) IS 'FROM item of a rollup source: its partitions belong to it, other inheritors do not.';

CREATE OR REPLACE FUNCTION crm_internal.rollup_triggers(source_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.rollup_sources;
    rel regclass;
    wanted text;
    present text;
BEGIN
    SELECT * INTO STRICT s FROM crm.rollup_sources AS r WHERE r.id = source_id;
    -- no WHEN: its text is parsed again by every UPDATE, which costs more than the trigger
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION crm.rollup_row(%L)',
                   '00_crm_rollup_' || source_id || '_row', s.source, source_id);
    SELECT t.tgname INTO present
    FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = s.source AND t.tgname = '00_crm_rollup_' || source_id || '_update';
    IF FOUND THEN
        EXECUTE format('DROP TRIGGER %I ON %s', present, s.source);
    END IF;
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION crm.rollup_truncate(%L)',
                   '00_crm_rollup_' || source_id || '_truncated', s.source, source_id);
    FOR rel IN SELECT r FROM crm_internal.rollup_relations(s.source) AS r LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION crm.rollup_flush(%L)',
                       '00_crm_rollup_' || source_id || '_flush', rel, source_id);
        EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION crm.rollup_truncate(%L)',
                       '00_crm_rollup_' || source_id || '_truncate', rel, source_id);
    END LOOP;

    -- so that changes of the replica role and of a subscription's worker are counted too
    FOR rel IN SELECT r FROM crm_internal.rollup_relations(s.source) AS r LOOP
        FOREACH wanted IN ARRAY ARRAY['row', 'truncated', 'flush', 'truncate'] LOOP
            SELECT t.tgname INTO present
            FROM pg_catalog.pg_trigger AS t
            WHERE t.tgrelid = rel AND t.tgname = '00_crm_rollup_' || source_id || '_' || wanted AND t.tgenabled <> 'A';
            IF FOUND THEN
                EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', rel, present);
            END IF;
        END LOOP;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    IF NOT pg_catalog.has_table_privilege(s.source, 'TRIGGER') OR pg_catalog.pg_has_role((SELECT c.relowner FROM pg_catalog.pg_class AS c WHERE c.oid = s.source), 'USAGE') THEN
        RAISE;
    END IF;
    RAISE EXCEPTION 'only the owner of table % or a superuser can have it summed up', s.source
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Call the function as a member of the role that owns the table.';
END
$$;
COMMENT ON FUNCTION crm_internal.rollup_triggers(bigint) IS 'Makes or renews the triggers of a rollup source and its partitions.';

CREATE OR REPLACE FUNCTION crm_internal.rollup_fill(rollup_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
#variable_conflict use_variable
DECLARE
    p crm.rollups;
    keys text;
    measures text;
    sums text;
    negated text;
    nonzero text;
    special text;
    bad boolean;
BEGIN
    SELECT * INTO STRICT p FROM crm.rollups AS r WHERE r.id = rollup_id;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attname ~ '^k[0-9]+$'),
           string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attname ~ '^m[0-9]+$'),
           string_agg(format('coalesce(sum(u.%I), 0)::%s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
               FILTER (WHERE a.attname ~ '^m[0-9]+$'),
           string_agg(format('- %I', a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE a.attname ~ '^m[0-9]+$'),
           string_agg(format('sum(u.%I) <> 0', a.attname), ' OR ') FILTER (WHERE a.attname ~ '^m[0-9]+$'),
           string_agg(format('b.%I IN (''NaN'', ''Infinity'', ''-Infinity'')', a.attname), ' OR ')
               FILTER (WHERE a.attname ~ '^m[0-9]+$' AND a.atttypid = 'numeric'::regtype)
    INTO keys, measures, sums, negated, nonzero, special
    FROM pg_attribute AS a
    WHERE a.attrelid = format('crm_internal.%I', p.base_table)::regclass AND a.attnum > 0 AND NOT a.attisdropped;

    -- what waits in the delta table will be added later, so it is left out here
    EXECUTE format('DELETE FROM crm_internal.%I', p.base_table);
    EXECUTE format('INSERT INTO crm_internal.%I (%s) SELECT %s FROM (SELECT %s FROM crm_internal.rollup_source_%s '
                   'UNION ALL SELECT %s FROM crm_internal.rollup_source_%s_deltas) AS u GROUP BY %s HAVING %s %s',
                   p.base_table, concat_ws(', ', keys, measures), concat_ws(', ', keys, sums),
                   concat_ws(', ', keys, measures), p.source_id,
                   concat_ws(', ', keys, negated), p.source_id, coalesce(keys, '()'), nonzero,
                   -- a report reads ranges of keys, so these lie side by side
                   'ORDER BY ' || keys);
    IF special IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM crm_internal.%I AS b WHERE %s)', p.base_table, special) INTO bad;
        IF bad THEN
            RAISE EXCEPTION 'a rollup cannot add up NaN or infinity'
                USING ERRCODE = 'CR501',
                      DETAIL = 'The source holds rows with such a value in a measure.',
                      HINT = 'Store NULL instead, or leave such rows out by the filter of the rollup or measure.';
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.rollup_fill(bigint) IS 'Fills the base of a rollup from its source; writers must be locked out.';

CREATE OR REPLACE FUNCTION crm_internal.rollup_storage()
RETURNS SETOF regclass
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT v.storage
    FROM crm.rollups AS p
    JOIN crm.rollup_sources AS s ON s.id = p.source_id
    JOIN pg_catalog.pg_class AS c ON c.oid = s.source AND c.relnamespace = 'crm'::regnamespace
    CROSS JOIN LATERAL (VALUES (to_regclass(format('crm_internal.%I', p.base_table))),
                               (to_regclass(format('crm_internal.rollup_source_%s_deltas', s.id))),
                               (CASE WHEN p.reading_view LIKE 'crm\_internal.%' THEN to_regclass(p.reading_view) END)) AS v (storage)
    WHERE v.storage IS NOT NULL
$$;
COMMENT ON FUNCTION crm_internal.rollup_storage() IS
'Tables that hold the rollups of the CRM''s own tables, and reading views that are inside: who may read the CRM reads them through the views of crm_analytics.';
SELECT crm.declare_hook('readable_relations', 'crm_internal.rollup_storage()');

CREATE OR REPLACE FUNCTION crm_internal.rollup_storage_sql(rollup_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('SELECT %1$s FROM crm_internal.rollup_source_%2$s_deltas UNION ALL SELECT %1$s FROM crm_internal.%3$I',
                  string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum), p.source_id, p.base_table)
    FROM crm.rollups AS p
    JOIN pg_attribute AS a ON a.attrelid = format('crm_internal.%I', p.base_table)::regclass
                          AND a.attnum > 0 AND NOT a.attisdropped AND a.attname ~ '^[km][0-9]+$'
    WHERE p.id = rollup_id
    GROUP BY p.id, p.source_id, p.base_table
$$;
COMMENT ON FUNCTION crm_internal.rollup_storage_sql(bigint) IS 'Query of all that is stored of a rollup: deltas first, then base, which is the lock order.';

CREATE OR REPLACE FUNCTION crm_internal.rollup_walled(source regclass)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (c.relrowsecurity OR c.relnamespace = 'crm'::regnamespace)
           AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = source AND a.attname = 'tenant_id' AND a.atttypid = 'bigint'::regtype)
    FROM pg_class AS c WHERE c.oid = source
$$;
COMMENT ON FUNCTION crm_internal.rollup_walled(regclass) IS 'Whether not everybody who reads a rollup source sees all of its rows.';

-- What is stored sums rows of everybody, so its policy shows it to those alone who see every row of their tenant. Others
-- get the sums of the rows they see, from the source itself.
CREATE OR REPLACE FUNCTION crm_internal.rollup_reading_sql(rollup_id bigint)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.rollup_storage_sql(p.id)
        || CASE WHEN crm_internal.rollup_walled(s.source) THEN
               ' UNION ALL SELECT ' || (SELECT string_agg(c.expression, ', ' ORDER BY a.attnum)
                                        FROM pg_attribute AS a
                                        JOIN crm.rollup_columns(to_regclass(format('crm_internal.rollup_source_%s', s.id))) AS c ON c.column_name = a.attname
                                        WHERE a.attrelid = format('crm_internal.%I', p.base_table)::regclass AND a.attnum > 0 AND NOT a.attisdropped)
               || ' FROM ' || crm_internal.rollup_from(s.source)
               || format(' WHERE row_security_active(%L::regclass) AND crm.whole_tenant() IS NULL', s.source::text)
           ELSE '' END
    FROM crm.rollups AS p JOIN crm.rollup_sources AS s ON s.id = p.source_id
    WHERE p.id = rollup_id
$$;
COMMENT ON FUNCTION crm_internal.rollup_reading_sql(bigint) IS 'Query of all that its reader may see of a rollup, not yet grouped.';

CREATE OR REPLACE FUNCTION crm_internal.rollup_drop_relation(relation text, kind text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF to_regclass(relation) IS NOT NULL THEN
        EXECUTE format('DROP %s %s', kind, relation);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.rollup_drop_relation(text, text) IS 'Drops a table or view if it is still there.';

CREATE OR REPLACE FUNCTION crm_internal.rollup_find(name text)
RETURNS crm.rollups
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p crm.rollups;
BEGIN
    SELECT * INTO p FROM crm.rollups AS r WHERE r.name = rollup_find.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'rollup "%" does not exist', name
            USING ERRCODE = 'undefined_object', HINT = 'crm.rollup_status lists the rollups of this database.';
    END IF;
    RETURN p;
END
$$;
COMMENT ON FUNCTION crm_internal.rollup_find(text) IS 'A rollup by name; error 42704 where there is none.';
