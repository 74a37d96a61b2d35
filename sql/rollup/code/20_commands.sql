-- Rollups: what their owner calls, and how they stand.

-- ---- for everybody ----

CREATE OR REPLACE FUNCTION crm.create_rollup(
    name text, source regclass, keys text[], measures text[] DEFAULT ARRAY['count(*)'],
    filter text DEFAULT NULL, reading_view text DEFAULT NULL)
RETURNS crm.rollups
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    crm_owner oid := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'crm.rollups'::regclass);
    src pg_class;
    src_name text := source::text;
    item record;
    p crm.rollups;
    src_id bigint;
    deltas text;
    row_filter text;
    condition text;
    value_column text;
    counter text;
    nulls_column text;
    read text;
    n integer := 0;
    persistence text;
    key_columns text;
    base_name text := name || '_rollup';
    view_schema text;
    view_relation text;
    grantee text;
BEGIN
    IF name IS NULL OR name !~ '^[a-z_][a-z0-9_]*$' OR length(name) > 50 THEN
        RAISE EXCEPTION 'name "%" of a rollup is not allowed', coalesce(name, 'NULL')
            USING ERRCODE = 'invalid_name',
                  HINT = 'Use lower case letters, digits and underscores, at most 50, and no digit in front.';
    END IF;
    IF EXISTS (SELECT FROM crm.rollups AS r WHERE r.name = name) THEN
        RAISE EXCEPTION 'rollup "%" exists already', name
            USING ERRCODE = 'duplicate_object', HINT = 'Drop it first: SELECT crm.drop_rollup(''' || name || ''').';
    END IF;
    IF source IS NULL THEN
        RAISE EXCEPTION 'source of rollup "%" is null', name USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF NOT pg_has_role(crm_owner, 'USAGE') THEN
        RAISE EXCEPTION 'only role "%", which owns the CRM, can create rollups', pg_get_userbyid(crm_owner)
            USING ERRCODE = 'insufficient_privilege';
    END IF;

    SELECT * INTO STRICT src FROM pg_class AS c WHERE c.oid = source;
    IF src.relkind NOT IN ('r', 'p') OR src.relpersistence = 't' OR src.relnamespace = 'crm_internal'::regnamespace THEN
        RAISE EXCEPTION '% cannot be the source of a rollup', source
            USING ERRCODE = 'wrong_object_type',
                  HINT = 'A source is an ordinary or partitioned table, neither temporary nor foreign.';
    END IF;
    IF src.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = source) THEN
        RAISE EXCEPTION 'table % has inheriting tables', source
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Their rows would be read through it, but its triggers do not see them.',
                  HINT = 'Partition the table, or make a rollup of each inheriting table.';
    END IF;
    IF EXISTS (SELECT FROM crm_internal.rollup_relations(source) AS r JOIN pg_class AS c ON c.oid = r
               WHERE c.relkind = 'f' OR (c.relkind = 'r' AND c.relpersistence <> src.relpersistence)) THEN
        RAISE EXCEPTION 'partitions of table % are foreign or partly unlogged', source
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'All partitions must be ordinary tables, all logged or all unlogged.';
    END IF;

    PERFORM crm.rollup_lock(source);
    SELECT s.id INTO src_id FROM crm.rollup_sources AS s WHERE s.source = source;
    IF src_id IS NULL THEN
        INSERT INTO crm.rollup_sources AS s (source) VALUES (source) RETURNING s.id INTO src_id;
        deltas := format('crm_internal.rollup_source_%s_deltas', src_id);
        -- an unlogged source is empty after a crash, and so must its rollups be
        EXECUTE format('CREATE %s TABLE %s () USING heap WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, '
                       'autovacuum_vacuum_insert_threshold = -1, vacuum_truncate = on)',
                       CASE WHEN src.relpersistence = 'u' THEN 'UNLOGGED' ELSE '' END, deltas);
        EXECUTE format('COMMENT ON TABLE %s IS %L', deltas,
                       'Changes of the rollups of ' || src_name || ' that are not folded yet. Written by triggers only.');
    ELSE
        IF to_regclass(format('crm_internal.rollup_source_%s', src_id)) IS NULL THEN
            RAISE EXCEPTION 'the rollups of table % are broken: view crm_internal.rollup_source_% was dropped', source, src_id
                USING ERRCODE = 'CR501', HINT = 'Drop them with crm.drop_rollup() first; crm.rollup_status lists them.';
        END IF;
        deltas := format('crm_internal.rollup_source_%s_deltas', src_id);
        -- nobody folds until this transaction ends
        PERFORM crm.lock('rollup', 0, src_id::text);
    END IF;

    -- where a tenant's rows are told apart, so are his sums
    IF EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = source AND a.attname = 'tenant_id' AND a.attnum > 0) THEN
        keys := 'tenant_id'::text || array_remove(coalesce(keys, ARRAY[]::text[]), 'tenant_id');
    END IF;

    SELECT f.expression INTO row_filter FROM crm.rollup_parse(source, NULL, NULL, filter) AS f WHERE f.role = 'filter';
    counter := crm_internal.rollup_column(src_id, crm_internal.rollup_contribution('1::bigint', row_filter), 'm', 'integer');
    INSERT INTO crm.rollups AS r (name, source_id, base_table, reading_view, filter, count_column)
    VALUES (name, src_id, base_name, '', row_filter, counter)
    RETURNING r.* INTO p;

    SELECT i.name INTO read FROM crm.rollup_parse(source, keys, measures, NULL) AS i GROUP BY i.name HAVING count(*) > 1;
    IF FOUND THEN
        RAISE EXCEPTION 'rollup "%" has two columns called "%"', name, read
            USING ERRCODE = 'duplicate_column', HINT = 'Name one of them with AS.';
    END IF;

    FOR item IN SELECT * FROM crm.rollup_parse(source, keys, NULL, NULL) LOOP
        n := n + 1;
        -- an expression may fail on a row that the filter leaves out
        value_column := crm_internal.rollup_column(
            src_id,
            crm_internal.rollup_contribution(
                item.expression,
                CASE WHEN EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = source AND quote_ident(a.attname) = item.expression)
                     THEN NULL ELSE row_filter END),
            'k', item.type);
        INSERT INTO crm.rollup_items VALUES (p.id, n, 'key', item.name, item.expression, ARRAY[value_column], format('u.%I', value_column));
    END LOOP;

    FOR item IN SELECT * FROM crm.rollup_parse(source, NULL, coalesce(measures, ARRAY[]::text[]), NULL) LOOP
        n := n + 1;
        nulls_column := NULL;
        condition := nullif(concat_ws(' AND ', '(' || row_filter || ')', '(' || item.condition || ')'), '');
        IF item.aggregate = 'count' THEN
            value_column := crm_internal.rollup_column(
                src_id,
                crm_internal.rollup_contribution(
                    '1::bigint', nullif(concat_ws(' AND ', condition, '((' || item.expression || ') IS NOT NULL)'), '')),
                'm', 'integer');
            read := format('coalesce(sum(u.%I), 0)::bigint', value_column);
        ELSE
            value_column := crm_internal.rollup_column(
                src_id,
                crm_internal.rollup_contribution(
                    CASE item.aggregate
                        WHEN 'sumsq' THEN format('((%1$s)::numeric * (%1$s)::numeric)', item.expression)
                        ELSE format('(%s)::%s', item.expression, item.type)
                    END, condition),
                'm', item.type);
            -- a sum of nothing but NULL is NULL, so the others must be known: NULLs are rarer than numbers, unless a
            -- filter of the measure leaves most rows out
            IF item.condition IS NULL THEN
                nulls_column := crm_internal.rollup_column(
                    src_id,
                    crm_internal.rollup_contribution(
                        '1::bigint', concat_ws(' AND ', condition, '((' || item.expression || ') IS NULL)')),
                    'm', 'integer');
                read := format('(coalesce(sum(u.%I), 0) - coalesce(sum(u.%I), 0))', counter, nulls_column);
            ELSE
                nulls_column := crm_internal.rollup_column(
                    src_id,
                    crm_internal.rollup_contribution(
                        '1::bigint', concat_ws(' AND ', condition, '((' || item.expression || ') IS NOT NULL)')),
                    'm', 'integer');
                read := format('coalesce(sum(u.%I), 0)', nulls_column);
            END IF;
            read := CASE item.aggregate
                WHEN 'avg' THEN format('coalesce(sum(u.%I), 0)::numeric / nullif(%s, 0)', value_column, read)
                ELSE format('CASE WHEN %s <> 0 THEN coalesce(sum(u.%I), 0)::%s END', read, value_column, item.type)
            END;
        END IF;
        INSERT INTO crm.rollup_items
        VALUES (p.id, n, 'measure', item.name,
                format('%s(%s)', item.aggregate, coalesce(item.expression, '*')) || coalesce(' FILTER (WHERE ' || item.condition || ')', ''),
                array_remove(ARRAY[value_column, nulls_column], NULL), read);
    END LOOP;

    -- the base: a row a group
    SELECT format('CREATE %s TABLE crm_internal.%I (%s) WITH (fillfactor = 70)',
                  CASE WHEN src.relpersistence = 'u' THEN 'UNLOGGED' ELSE '' END, base_name,
                  string_agg(format('%I %s%s', a.attname,
                                    CASE WHEN a.attname ~ '^m[0-9]+$' AND a.atttypid = 'integer'::regtype THEN 'bigint'
                                         ELSE format_type(a.atttypid, a.atttypmod) END,
                                    CASE WHEN a.attname ~ '^m[0-9]+$' THEN ' NOT NULL DEFAULT 0'
                                         WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || a.attcollation::regcollation
                                         ELSE '' END),
                             ', ' ORDER BY c.first)),
           string_agg(quote_ident(a.attname), ', ' ORDER BY c.first) FILTER (WHERE a.attname ~ '^k[0-9]+$')
    INTO read, key_columns
    FROM (SELECT u.name, min(u.first) AS first
          FROM (SELECT counter AS name, 0.5 + count(*) FILTER (WHERE i.role = 'key') AS first FROM crm.rollup_items AS i WHERE i.rollup_id = p.id
                UNION ALL
                SELECT c, i.ordinal FROM crm.rollup_items AS i, unnest(i.columns) AS c WHERE i.rollup_id = p.id) AS u
          GROUP BY u.name) AS c
    JOIN pg_attribute AS a ON a.attrelid = deltas::regclass AND a.attname = c.name
    JOIN pg_type AS t ON t.oid = a.atttypid;
    EXECUTE read;
    EXECUTE format('CREATE UNIQUE INDEX %I ON crm_internal.%I (%s) NULLS NOT DISTINCT', base_name || '_key', base_name,
                   coalesce(key_columns, '(true)'));
    EXECUTE format('COMMENT ON TABLE crm_internal.%I IS %L', base_name, 'Folded sums of rollup ' || name || '; read them through its view.');

    PERFORM crm_internal.rollup_triggers(src_id);
    PERFORM crm_internal.rollup_fill(p.id);

    -- the view that reports read
    IF reading_view IS NULL THEN
        view_schema := 'crm_analytics';
        view_relation := name;
    ELSE
        IF array_length(parse_ident(reading_view), 1) <> 2 THEN
            RAISE EXCEPTION 'reading view "%" must be given with its schema', reading_view
                USING ERRCODE = 'invalid_name', HINT = 'For instance public.' || name || '.';
        END IF;
        view_schema := (parse_ident(reading_view))[1];
        view_relation := (parse_ident(reading_view))[2];
    END IF;
    SELECT format('CREATE VIEW %I.%I WITH (security_invoker = true) AS SELECT %s FROM (%s) AS u%s',
                  view_schema, view_relation,
                  coalesce(string_agg(format('%s AS %I', i.reading, i.name), ', ' ORDER BY i.ordinal),
                           format('coalesce(sum(u.%I), 0)::bigint AS count', counter)),
                  crm_internal.rollup_reading_sql(p.id),
                  coalesce(' GROUP BY ' || key_columns || format(' HAVING sum(u.%I) <> 0', counter), ''))
    INTO read
    FROM crm.rollup_items AS i WHERE i.rollup_id = p.id;
    EXECUTE read;
    EXECUTE format('COMMENT ON VIEW %I.%I IS %L', view_schema, view_relation,
                   format('Rollup of %s by %s%s: exact in every snapshot. One row a group.', src_name,
                          coalesce((SELECT string_agg(i.name, ', ' ORDER BY i.ordinal) FROM crm.rollup_items AS i
                                    WHERE i.rollup_id = p.id AND i.role = 'key'), 'nothing'),
                          coalesce(' where ' || row_filter, '')));
    FOR item IN SELECT i.name, i.definition FROM crm.rollup_items AS i WHERE i.rollup_id = p.id LOOP
        EXECUTE format('COMMENT ON COLUMN %I.%I.%I IS %L', view_schema, view_relation, item.name, item.definition || ' of ' || src_name);
    END LOOP;

    -- storage belongs to the owner of the CRM, whoever called
    IF crm_owner <> current_user::regrole THEN
        EXECUTE format('ALTER TABLE %s OWNER TO %I', deltas, pg_get_userbyid(crm_owner));
        EXECUTE format('ALTER TABLE crm_internal.%I OWNER TO %I', base_name, pg_get_userbyid(crm_owner));
        EXECUTE format('ALTER VIEW %I.%I OWNER TO %I', view_schema, view_relation, pg_get_userbyid(crm_owner));
        IF has_table_privilege(crm_owner, source, 'SELECT') THEN
            EXECUTE format('ALTER VIEW crm_internal.rollup_source_%s OWNER TO %I', src_id, pg_get_userbyid(crm_owner));
        ELSE
            EXECUTE format('GRANT SELECT ON crm_internal.rollup_source_%s TO %I', src_id, pg_get_userbyid(crm_owner));
        END IF;
    END IF;
    -- whoever may read the source may read its sums
    FOR grantee IN
        SELECT DISTINCT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END
        FROM (SELECT a.grantee FROM aclexplode(src.relacl) AS a WHERE a.privilege_type = 'SELECT'
              UNION ALL SELECT src.relowner) AS x
        WHERE x.grantee <> crm_owner
    LOOP
        EXECUTE format('GRANT SELECT ON %I.%I, %s, crm_internal.%I TO %s', view_schema, view_relation, deltas, base_name, grantee);
    END LOOP;
    -- and no more of them: a tenant's sums are his, and sums of all rows are for who sees all rows
    IF crm_internal.rollup_walled(source) THEN
        SELECT i.columns[1] INTO STRICT value_column
        FROM crm.rollup_items AS i WHERE i.rollup_id = p.id AND i.ordinal = 1;
        FOREACH read IN ARRAY ARRAY[deltas, format('crm_internal.%I', base_name)] LOOP
            IF NOT EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = read::regclass) THEN
                EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', read);
                EXECUTE format('CREATE POLICY tenant ON %s FOR SELECT USING (%I = crm.whole_tenant())', read, value_column);
            END IF;
        END LOOP;
    END IF;

    UPDATE crm.rollups AS r SET reading_view = format('%I.%I', view_schema, view_relation)
    WHERE r.id = p.id RETURNING r.* INTO p;
    RETURN p;
END
$$;
COMMENT ON FUNCTION crm.create_rollup(text, regclass, text[], text[], text, text) IS
'Declares a rollup: sums by group over any table, exact in every snapshot from now on. keys: columns or immutable expressions, with AS name if you like; where the source has a column tenant_id it comes first. measures: count(*), count(x), sum(x), sumsq(x) (sum of squares), avg(x), each with FILTER (WHERE ...) and AS name; x integer or numeric. filter: which rows count at all. reading_view: schema.name of the view to read, crm_analytics.<name> by default. Locks writers of the source out while it counts the rows that are there; READ COMMITTED only (25001). Errors: 0A000 what a rollup cannot keep, 42804 types, 42P17 expressions that are not immutable, 42710 name taken.';
SELECT crm.declare_function('crm.create_rollup', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.rollup_contribution(expression text, condition text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN condition IS NULL THEN expression ELSE format('CASE WHEN %s THEN %s END', condition, expression) END
$$;
COMMENT ON FUNCTION crm_internal.rollup_contribution(text, text) IS 'An expression that is NULL unless a condition holds.';

CREATE OR REPLACE FUNCTION crm.drop_rollup(name text)
RETURNS crm.rollups
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p crm.rollups := crm_internal.rollup_find(name);
    s crm.rollup_sources;
    rel regclass;
    gone text;
    select_list text;
    source_view text := format('crm_internal.rollup_source_%s', p.source_id);
BEGIN
    SELECT * INTO STRICT s FROM crm.rollup_sources AS r WHERE r.id = p.source_id;
    -- where the definition went by CASCADE, its triggers are gone already, and the source may be another's
    IF EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = s.source AND t.tgfoid = 'crm.rollup_row()'::regprocedure
               AND t.tgname = '00_crm_rollup_' || p.source_id || '_row') THEN
        PERFORM crm.rollup_lock(s.source);
    END IF;
    PERFORM crm.lock('rollup', 0, p.source_id::text);
    PERFORM crm_internal.rollup_drop_relation(p.reading_view, 'VIEW');
    DELETE FROM crm.rollups AS r WHERE r.id = p.id;

    IF NOT EXISTS (SELECT FROM crm.rollups AS r WHERE r.source_id = p.source_id) THEN
        IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = s.source) THEN
            FOR rel IN SELECT r FROM crm_internal.rollup_relations(s.source) AS r LOOP
                FOR gone IN
                    SELECT t.tgname FROM pg_trigger AS t
                    WHERE t.tgrelid = rel AND t.tgname LIKE '00\_crm\_rollup\_' || p.source_id || '\_%' AND t.tgparentid = 0
                      AND t.tgfoid IN ('crm.rollup_row()'::regprocedure, 'crm.rollup_flush()'::regprocedure, 'crm.rollup_truncate()'::regprocedure)
                LOOP
                    EXECUTE format('DROP TRIGGER %I ON %s', gone, rel);
                END LOOP;
            END LOOP;
        END IF;
        DELETE FROM crm.rollup_sources AS r WHERE r.id = p.source_id;
        PERFORM crm_internal.rollup_drop_relation(source_view, 'VIEW');
        PERFORM crm_internal.rollup_drop_relation(source_view || '_deltas', 'TABLE');
        PERFORM crm_internal.rollup_drop_relation(format('crm_internal.%I', p.base_table), 'TABLE');
        RETURN p;
    END IF;

    PERFORM crm_internal.rollup_drop_relation(format('crm_internal.%I', p.base_table), 'TABLE');
    IF to_regclass(source_view) IS NOT NULL THEN
        SELECT string_agg(format('%s AS %I', c.expression, c.column_name), ', ') FILTER (WHERE u.used),
               string_agg(format('DROP COLUMN %I', c.column_name), ', ') FILTER (WHERE NOT u.used)
        INTO select_list, gone
        FROM crm.rollup_columns(to_regclass(source_view)) AS c
        CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM crm.rollups AS r JOIN crm.rollup_items AS i ON i.rollup_id = r.id
                           WHERE r.source_id = p.source_id AND c.column_name = ANY (i.columns))
                   OR EXISTS (SELECT FROM crm.rollups AS r WHERE r.source_id = p.source_id AND r.count_column = c.column_name) AS used
        ) AS u;
        IF gone IS NOT NULL THEN
            EXECUTE format('CREATE OR REPLACE VIEW crm_internal.rollup_source_%s_next AS SELECT %s FROM %s', p.source_id, select_list,
                           crm_internal.rollup_from(s.source));
            EXECUTE format('ALTER VIEW crm_internal.rollup_source_%s_next OWNER TO %I', p.source_id,
                           (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = to_regclass(source_view)));
            EXECUTE format('ALTER VIEW crm_internal.rollup_source_%1$s RENAME TO rollup_source_%1$s_before', p.source_id);
            EXECUTE format('ALTER VIEW crm_internal.rollup_source_%1$s_next RENAME TO rollup_source_%1$s', p.source_id);
            EXECUTE format('DROP VIEW crm_internal.rollup_source_%s_before', p.source_id);
            EXECUTE format('ALTER TABLE crm_internal.rollup_source_%s_deltas %s', p.source_id, gone);
            PERFORM crm_internal.rollup_triggers(p.source_id);
        END IF;
    END IF;
    RETURN p;
END
$$;
COMMENT ON FUNCTION crm.drop_rollup(text) IS
'Drops a rollup with its view and storage, and returns the row of crm.rollups it had. Fails while other objects depend on its view. With the last rollup of a source its triggers go. Error 42704: no such rollup.';
SELECT crm.declare_function('crm.drop_rollup', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.fold_sources(sources bigint[], wait boolean)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    source_id bigint;
    folded bigint;
    total bigint := 0;
BEGIN
    FOREACH source_id IN ARRAY sources LOOP
        -- one folder at a time: the other one does the work
        CONTINUE WHEN NOT crm.try_lock('rollup', 0, source_id::text);
        IF NOT wait THEN
            -- nobody waits for a lock who holds those of the sources before: TRUNCATE may take them in another order
            BEGIN
                EXECUTE format('LOCK TABLE crm_internal.rollup_source_%s_deltas IN ROW EXCLUSIVE MODE NOWAIT', source_id);
            EXCEPTION WHEN lock_not_available THEN
                CONTINUE;
            END;
        END IF;
        -- gone before the lock
        CONTINUE WHEN NOT EXISTS (SELECT FROM crm.rollup_sources AS r WHERE r.id = source_id);
        BEGIN
            folded := crm.rollup_fold(source_id);
            CONTINUE WHEN folded = 0;
            UPDATE crm.rollup_sources AS r
            SET folded_at = clock_timestamp(), folded_deltas = r.folded_deltas + folded
            WHERE r.id = source_id;
            total := total + folded;
        EXCEPTION WHEN OTHERS THEN
            IF wait THEN
                RAISE;
            END IF;
            PERFORM crm_internal.note_failed_work('crm.fold_due_rollups', 0, source_id::text, SQLSTATE, SQLERRM, now());
        END;
    END LOOP;
    RETURN total;
END
$$;
COMMENT ON FUNCTION crm_internal.fold_sources(bigint[], boolean) IS
'Folds the deltas of sources, passing over those that somebody else is folding and, unless it may wait, those that are locked. Returns how many deltas there were.';

CREATE OR REPLACE FUNCTION crm.fold_rollups(name text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF name IS NOT NULL THEN
        RETURN crm_internal.fold_sources(ARRAY[(crm_internal.rollup_find(name)).source_id], true);
    END IF;
    RETURN crm_internal.fold_sources(ARRAY(SELECT s.id FROM crm.rollup_sources AS s ORDER BY s.id), false);
END
$$;
COMMENT ON FUNCTION crm.fold_rollups(text) IS
'Moves pending deltas into the bases, of one rollup (and the others of its source) or of all, and returns how many deltas were moved. Changes no answer, only makes reading cheaper. Never waits for writers nor makes them wait; a source that somebody else is folding is left to him. Errors: 42704 no such rollup, 40001 in a REPEATABLE READ transaction older than the last fold.';
SELECT crm.declare_function('crm.fold_rollups', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.sources_to_fold()
RETURNS bigint[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT s.id
                 FROM crm.rollup_sources AS s
                 WHERE pg_stat_get_live_tuples(to_regclass(format('crm_internal.rollup_source_%s_deltas', s.id))) >= 10000
                 ORDER BY s.id)
$$;
COMMENT ON FUNCTION crm_internal.sources_to_fold() IS 'Sources of which so many deltas are pending, by the statistics, that they are folded before the minute is over.';

CREATE OR REPLACE FUNCTION crm.next_fold_at()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT now() WHERE crm_internal.sources_to_fold() <> '{}'
$$;
COMMENT ON FUNCTION crm.next_fold_at() IS
'When crm.fold_due_rollups() should be called: now, where ten thousand deltas or more are pending of some table; else NULL: within a minute or so.';
SELECT crm.declare_function('crm.next_fold_at', 'owner');

CREATE OR REPLACE FUNCTION crm.fold_due_rollups()
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.fold_sources(
        ARRAY(SELECT s.id FROM crm.rollup_sources AS s
              WHERE (s.id = ANY (crm_internal.sources_to_fold()) OR s.folded_at IS NULL OR s.folded_at < now() - interval '50 seconds')
                AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f
                                WHERE f.function_name = 'crm.fold_due_rollups' AND f.item = s.id::text AND f.retry_at > now())
              ORDER BY s.id), false)
$$;
COMMENT ON FUNCTION crm.fold_due_rollups() IS
'For crm.run_maintenance(): folds what has ten thousand pending deltas or more, and every minute the rest. Returns the number of deltas folded.';
SELECT crm.declare_function('crm.fold_due_rollups', 'owner');

CREATE OR REPLACE FUNCTION crm.verify_rollup(name text)
RETURNS TABLE (group_key jsonb, measure text, stored numeric, recomputed numeric, difference numeric)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
SET row_security = off
AS $$
#variable_conflict use_variable
DECLARE
    p crm.rollups := crm_internal.rollup_find(name);
    keys text;
    grouping_keys text;
    measures text;
    sums text;
    labels text;
BEGIN
    IF to_regclass(format('crm_internal.rollup_source_%s', p.source_id)) IS NULL THEN
        RAISE EXCEPTION 'rollup "%" is broken: view crm_internal.rollup_source_% was dropped', name, p.source_id
            USING ERRCODE = 'CR501', HINT = 'Drop it with crm.drop_rollup() and create it again.';
    END IF;
    SELECT string_agg(format('%L, u.%I', i.name, i.columns[1]), ', ' ORDER BY i.ordinal),
           string_agg(quote_ident(i.columns[1]), ', ' ORDER BY i.ordinal)
    INTO grouping_keys, keys
    FROM crm.rollup_items AS i WHERE i.rollup_id = p.id AND i.role = 'key';
    SELECT string_agg(quote_ident(a.attname), ', '),
           string_agg(format('coalesce(sum(u.%1$I) FILTER (WHERE u.stored), 0) AS s_%1$s, coalesce(sum(u.%1$I) FILTER (WHERE NOT u.stored), 0) AS r_%1$s',
                             a.attname), ', '),
           string_agg(format('(%L, g.s_%2$s::numeric, g.r_%2$s::numeric)', coalesce(l.label, 'rows'), a.attname), ', ')
    INTO measures, sums, labels
    FROM pg_attribute AS a
    LEFT JOIN LATERAL (
        SELECT CASE WHEN i.columns[1] = a.attname THEN i.name ELSE i.name || ' (counter)' END AS label
        FROM crm.rollup_items AS i
        WHERE i.rollup_id = p.id AND i.role = 'measure' AND a.attname = ANY (i.columns)
        ORDER BY i.columns[1] = a.attname DESC, i.ordinal LIMIT 1
    ) AS l ON true
    WHERE a.attrelid = format('crm_internal.%I', p.base_table)::regclass
      AND a.attnum > 0 AND NOT a.attisdropped AND a.attname ~ '^m[0-9]+$';

    RETURN QUERY EXECUTE format(
        'SELECT g.group_key, v.measure, v.stored, v.recomputed, v.stored - v.recomputed '
        'FROM (SELECT jsonb_build_object(%1$s) AS group_key, %2$s FROM ('
        -- the source is locked first, as everywhere, hence not through its view, which is opened late
        'SELECT %3$s, false AS stored FROM (SELECT %8$s FROM %5$s) AS x UNION ALL SELECT %3$s, true FROM (%4$s) AS x'
        ') AS u GROUP BY %6$s) AS g '
        'CROSS JOIN LATERAL (VALUES %7$s) AS v (measure, stored, recomputed) '
        'WHERE v.stored <> v.recomputed',
        coalesce(grouping_keys, ''), sums, concat_ws(', ', keys, measures), crm_internal.rollup_storage_sql(p.id),
        crm_internal.rollup_from((SELECT s.source FROM crm.rollup_sources AS s WHERE s.id = p.source_id)),
        coalesce(keys, '()'), labels,
        (SELECT string_agg(format('%s AS %I', c.expression, c.column_name), ', ')
         FROM crm.rollup_columns(to_regclass(format('crm_internal.rollup_source_%s', p.source_id))) AS c));
END
$$;
COMMENT ON FUNCTION crm.verify_rollup(text) IS
'Compares a rollup with a recompute of its source in one snapshot. A row for each group and measure that differ: what is stored, what the source says, and the difference. No rows: the rollup is right. Reads the whole source. Errors: 42704 no such rollup, CR501 broken rollup, 42501 where row security would hide rows.';
SELECT crm.declare_function('crm.verify_rollup', 'owner');

CREATE OR REPLACE FUNCTION crm.rebuild_rollup(name text)
RETURNS crm.rollups
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p crm.rollups := crm_internal.rollup_find(name);
    s crm.rollup_sources;
BEGIN
    SELECT * INTO STRICT s FROM crm.rollup_sources AS r WHERE r.id = p.source_id;
    PERFORM crm.rollup_lock(s.source);
    PERFORM crm.lock('rollup', 0, s.id::text);
    PERFORM crm_internal.rollup_triggers(s.id);
    PERFORM crm_internal.rollup_fill(p.id);
    RETURN p;
END
$$;
COMMENT ON FUNCTION crm.rebuild_rollup(text) IS
'Computes a rollup anew from its source and renews its triggers: needed after triggers were disabled or rows were loaded with triggers off. Locks writers of the source out meanwhile; READ COMMITTED only (25001). Returns the row of crm.rollups.';
SELECT crm.declare_function('crm.rebuild_rollup', 'owner');

CREATE OR REPLACE FUNCTION crm.grant_rollup(name text, role_name name)
RETURNS crm.rollups
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p crm.rollups := crm_internal.rollup_find(name);
BEGIN
    EXECUTE format('GRANT SELECT ON %s, crm_internal.rollup_source_%s_deltas, crm_internal.%I TO %I',
                   p.reading_view, p.source_id, p.base_table, role_name);
    RETURN p;
END
$$;
COMMENT ON FUNCTION crm.grant_rollup(text, name) IS
'Lets a role read a rollup: the view and the storage it reads with the rights of its reader. Roles that could read the source when the rollup was made need no grant.';
SELECT crm.declare_function('crm.grant_rollup', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.rollup_pending(source_id bigint)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint;
BEGIN
    IF to_regclass(format('crm_internal.rollup_source_%s_deltas', source_id)) IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT count(*) FROM crm_internal.rollup_source_%s_deltas', source_id) INTO n;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.rollup_pending(bigint) IS 'Deltas of a source that are not folded yet.';
