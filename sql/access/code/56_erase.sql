-- Erasing a person: what identifies them goes from everywhere, what is counted stays.
--
-- Three things are done. Rows that are the person, or tell of them by links, lose their personal columns or go (option erase of the registry).
-- Then every text of the company is looked through for names and addresses that somebody typed elsewhere. At last changes that hold any of
-- it are taken out of the log of changes, of which the hash is left. Nothing of this is heard by a trigger: see crm.write_quietly().

-- ---- what a column is emptied to ----

CREATE OR REPLACE FUNCTION crm_internal.erased_value(a pg_attribute)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN NOT a.attnotnull THEN 'NULL::' || format_type(a.atttypid, a.atttypmod)
                WHEN t.typname IN ('jsonb', 'json')
                THEN format('(CASE %s_typeof(r.%I) WHEN ''array'' THEN ''[]'' ELSE ''{}'' END)::%1$s', t.typname, a.attname)
                WHEN t.typcategory = 'A' THEN '''{}''::' || format_type(a.atttypid, a.atttypmod)
                WHEN t.typcategory = 'S' THEN '$3[1]::' || format_type(a.atttypid, a.atttypmod) END
    FROM pg_type AS t WHERE t.oid = a.atttypid
$$;
COMMENT ON FUNCTION crm_internal.erased_value(pg_attribute) IS
'Expression over r for an emptied column: NULL, or nothing of its type, or the word that stands for what was erased ($3[1]). NULL: it has none.';

-- what becomes of the columns of rows that are a person's
CREATE OR REPLACE FUNCTION crm_internal.erased_columns(relation regclass)
RETURNS TABLE (name text, becomes text, because text)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.attname::text,
           CASE WHEN k.kept ->> 'if' IS NULL AND k.kept IS NOT NULL OR e.erase -> 'clean' ? a.attname::text OR e.erase -> 'hash' ? a.attname::text THEN NULL
                ELSE CASE WHEN k.kept ->> 'if' IS NOT NULL THEN format('CASE WHEN %s THEN r.%I ELSE ', k.kept ->> 'if', a.attname) ELSE '' END
                     || coalesce(e.erase -> 'set' ->> a.attname::text, CASE WHEN p.personal ? a.attname::text THEN crm_internal.erased_value(a)
                                 ELSE format('r.%I - %L::text[]', a.attname, f.fields) END)
                     || CASE WHEN k.kept ->> 'if' IS NOT NULL THEN ' END' ELSE '' END END,
           k.kept ->> 'because'
    FROM crm.registry AS r
    CROSS JOIN LATERAL (SELECT coalesce(r.options -> 'erase', '{}')) AS e (erase)
    CROSS JOIN LATERAL (SELECT coalesce(r.options -> 'personal', '[]')) AS p (personal)
    CROSS JOIN LATERAL (SELECT array_agg(c.name) FROM crm_internal.personal_fields(r.subject) AS c (name)) AS f (fields)
    JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    CROSS JOIN LATERAL (SELECT e.erase -> 'kept' -> a.attname::text) AS k (kept)
    WHERE r.relation = erased_columns.relation
      AND (p.personal ? a.attname::text OR e.erase -> 'set' ? a.attname::text OR a.attname = 'custom' AND f.fields IS NOT NULL)
    ORDER BY a.attnum
$$;
COMMENT ON FUNCTION crm_internal.erased_columns(regclass) IS
'Columns of a table that change when the person of a row is erased, and what each becomes, as an expression over r; NULL: it stays but for names and '
'addresses in it. because: why it stays, for rows that its table names.';

-- a later room knows which fields a company has declared
CREATE OR REPLACE FUNCTION crm_internal.personal_fields(subject text)
RETURNS SETOF text
LANGUAGE plpgsql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hook regprocedure;
BEGIN
    FOR hook IN SELECT h FROM crm_internal.hooks_at('personal_fields') AS h LOOP
        RETURN QUERY EXECUTE format('SELECT * FROM %s($1)', hook::regproc) USING subject;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.personal_fields(text) IS 'Custom fields of a table that say something of a person, of the current company.';

-- ---- statements ----

CREATE OR REPLACE FUNCTION crm_internal.line(subject text, column_name text, done text, n bigint, because text DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('table', subject, 'column', column_name, 'done', done, 'count', n, 'because',
        because))), '[]')
    WHERE n > 0
$$;
COMMENT ON FUNCTION crm_internal.line(text, text, text, bigint, text) IS 'A line of a certificate, in a list that is empty where nothing was done.';

-- Changes rows of a table where one of the columns differs from what it is to become, and counts by column. Rows are locked first: who
-- has changed one meanwhile is waited for, and looked at anew when the erasure is settled.
CREATE OR REPLACE FUNCTION crm_internal.change_quietly(
    tenant bigint, subject text, relation regclass, columns text[], becomes text[], condition text, texts text[], done text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    differs CONSTANT text[] := ARRAY(SELECT format('(r.%I::text IS DISTINCT FROM (%s)::text)', c, b) FROM unnest(columns, becomes) AS x (c, b));
    counts bigint[];
    lines jsonb := '[]';
BEGIN
    IF columns = '{}' THEN
        RETURN lines;
    END IF;
    counts := crm.write_quietly(
        format('WITH k AS MATERIALIZED (SELECT r.tableoid AS t, r.ctid AS c, %s FROM %s AS r WHERE r.tenant_id = $1 AND cardinality($2) >= 0 AND '
               'cardinality($3) > 0 AND (',
               (SELECT string_agg(d || ' AS d' || i, ', ') FROM unnest(differs) WITH ORDINALITY AS x (d, i)), relation::regclass)
        || condition || ') AND (' || array_to_string(differs, ' OR ') || ') FOR UPDATE), '
        || format('u AS (UPDATE %s AS r SET %s%s FROM k WHERE r.tableoid = k.t AND r.ctid = k.c AND r.tenant_id = $1 RETURNING k.*) ', relation::regclass,
                  (SELECT string_agg(format('%I = ', c) || b, ', ') FROM unnest(columns, becomes) AS x (c, b)),
                  CASE WHEN crm_internal.table_is(relation, 'version') THEN ', version = r.version + 1, updated_at = now()' ELSE '' END)
        || 'SELECT ARRAY[' || (SELECT string_agg('count(*) FILTER (WHERE u.d' || i || ')', ', ') FROM generate_subscripts(differs, 1) AS i) || '] FROM u',
        tenant, '{}', texts);
    FOR i IN 1 .. cardinality(columns) LOOP
        lines := lines || crm_internal.line(subject, columns[i], done, counts[i]);
    END LOOP;
    RETURN lines;
END
$$;
COMMENT ON FUNCTION crm_internal.change_quietly(bigint, text, regclass, text[], text[], text, text[], text) IS
'Gives columns of the rows r for which a condition holds what they are to become, where they are not that already; lines of the certificate.';

-- ---- rows that are linked ----

CREATE OR REPLACE FUNCTION crm_internal.erase_linked(tenant bigint, subject text, condition text, direct boolean, texts text[])
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
    names text[];
    becomes text[];
    kept record;
    lines jsonb := '[]';
    n bigint;
BEGIN
    SELECT x.* INTO r FROM crm.registry AS x WHERE x.subject = erase_linked.subject;
    IF r.options #>> '{erase,rows}' = 'delete' THEN
        -- of what is the person's alone: a key of a deal in another system is no key of theirs
        RETURN CASE WHEN direct THEN crm_internal.line(subject, NULL, 'deleted', (crm.write_quietly(
            format('WITH d AS (DELETE FROM %s AS x WHERE x.tenant_id = $1 AND cardinality($2) >= 0 AND cardinality($3) > 0 AND ', r.relation::regclass)
                || condition
            || ' RETURNING 1) SELECT ARRAY[count(*)] FROM d', tenant, '{}', texts))[1]) ELSE lines END;
    END IF;
    SELECT coalesce(array_agg(c.name), '{}'), coalesce(array_agg(c.becomes), '{}') INTO names, becomes
    FROM crm_internal.erased_columns(r.relation::regclass) AS c WHERE c.becomes IS NOT NULL;
    lines := crm_internal.change_quietly(tenant, subject, r.relation::regclass, names, becomes,
        'EXISTS (SELECT FROM (SELECT r.*) AS x WHERE ' || condition || ')', texts, 'erased');
    FOR kept IN SELECT e.key, e.value FROM jsonb_each(coalesce(r.options #> '{erase,kept}', '{}')) AS e LOOP
        EXECUTE format('SELECT count(*) FROM %s AS r WHERE r.tenant_id = $1 AND r.%I IS NOT NULL AND EXISTS (SELECT FROM (SELECT r.*) AS x WHERE ',
                       r.relation::regclass, kept.key) || condition || ') AND (' || coalesce(kept.value ->> 'if', 'true') || ')' INTO n USING tenant;
        lines := lines || crm_internal.line(subject, kept.key, 'kept', n, kept.value ->> 'because');
    END LOOP;
    RETURN lines;
END
$$;
COMMENT ON FUNCTION crm_internal.erase_linked(bigint, text, text, boolean, text[]) IS
'Erases rows of a table that are a person''s by links: deletes them, or empties their personal columns, as the registry says; lines of the certificate.';

-- ---- rows that are not ----

-- A row that mentions the person in a column declared personal loses what is in it; elsewhere the mention alone goes.
CREATE OR REPLACE FUNCTION crm_internal.erase_mentions(tenant bigint, subject text, relation regclass, texts text[])
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    options CONSTANT jsonb := coalesce((SELECT x.options FROM crm.registry AS x WHERE x.relation = erase_mentions.relation), '{}');
    linked CONSTANT boolean := EXISTS (SELECT FROM crm_internal.ways_down() AS w WHERE w.relation = erase_mentions.relation);
    names text[];
    becomes text[];
    said text;
BEGIN
    SELECT array_agg(c.name), array_agg(CASE
               WHEN k.kept ->> 'if' IS NOT NULL THEN format('CASE WHEN %s THEN r.%I ELSE ', k.kept ->> 'if', c.name) || c.cleaned || ' END'
               WHEN NOT linked AND e.becomes IS NOT NULL THEN format('CASE WHEN %s ~* $3[2] THEN ', c.said || ' COLLATE "default"') || e.becomes
                   || format(' ELSE r.%I END', c.name)
               ELSE c.cleaned END),
           'concat_ws('' '', ' || string_agg(c.said, ', ') || ') COLLATE "default"'
    INTO names, becomes, said
    FROM crm_internal.text_columns(relation) AS c
    CROSS JOIN LATERAL (SELECT options #> ARRAY['erase', 'kept', c.name]) AS k (kept)
    LEFT JOIN crm_internal.erased_columns(relation) AS e ON e.name = c.name
    WHERE NOT (k.kept IS NOT NULL AND k.kept ->> 'if' IS NULL);
    IF names IS NULL THEN
        RETURN '[]';
    END IF;
    RETURN crm_internal.change_quietly(tenant, subject, relation, names, becomes,
        format('crm_internal.squeezed(%s) LIKE ANY ($3[3:]) AND %1$s ~* $3[2]', said), texts, 'cleaned');
END
$$;
COMMENT ON FUNCTION crm_internal.erase_mentions(bigint, text, regclass, text[]) IS
'Takes names and addresses out of every text of a table; lines of the certificate.';

-- which tables are looked through: all of the company's but its configuration, which is about nobody, and the log of changes
CREATE OR REPLACE FUNCTION crm_internal.tables_with_texts()
RETURNS TABLE (subject text, relation regclass, cleaned boolean)
LANGUAGE sql STABLE ROWS 150
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(r.subject, crm.subject_name(c.oid)), c.oid::regclass, coalesce(r.class, 'owner') NOT IN ('configuration', 'lookup')
    FROM pg_class AS c LEFT JOIN crm.registry AS r ON r.relation = c.oid
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND crm.column_exists(c.oid, 'tenant_id')
      AND (r.relation IS NOT NULL OR c.relnamespace IN (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname IN ('crm', 'crm_internal')))
      AND c.oid NOT IN (SELECT x.relation FROM crm.registry AS x WHERE x.subject IN ('audit_log', 'audit_seals'))
      AND EXISTS (SELECT FROM crm_internal.text_columns(c.oid))
    ORDER BY 1
$$;
COMMENT ON FUNCTION crm_internal.tables_with_texts() IS
'Tables of companies whose texts may mention somebody; cleaned: whether mentions are taken out. Of configuration they are told alone.';

CREATE OR REPLACE FUNCTION crm_internal.count_mentions(tenant bigint, subject text, relation regclass, texts text[])
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c record;
    n bigint;
    lines jsonb := '[]';
BEGIN
    FOR c IN SELECT x.* FROM crm_internal.text_columns(relation) AS x LOOP
        EXECUTE format('SELECT count(*) FROM %s AS r WHERE r.tenant_id = $1 AND crm_internal.squeezed(%s) LIKE ANY ($3[3:]) AND %2$s COLLATE "default" '
            '~* $3[2] '
                       'AND cardinality($2::bigint[]) >= 0', relation::regclass, c.said) INTO n USING tenant, '{}'::bigint[], texts;
        lines := lines || crm_internal.line(subject, c.name, 'kept', n, 'it is configuration of the company: correct it by hand');
    END LOOP;
    RETURN lines;
END
$$;
COMMENT ON FUNCTION crm_internal.count_mentions(bigint, text, regclass, text[]) IS 'Lines of a certificate for mentions that stay.';

-- ---- the log of changes ----

CREATE OR REPLACE FUNCTION crm_internal.take_out_changes(tenant bigint, condition text, ids bigint[], texts text[])
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (crm.write_quietly(
        'WITH u AS (UPDATE crm.audit_log AS a SET digest = crm.audit_change_hash(a.salt, a.change), change = NULL '
        'WHERE a.tenant_id = $1 AND a.change IS NOT NULL AND cardinality($2) >= 0 AND cardinality($3) > 0 AND (' || condition || ') RETURNING 1) '
        'SELECT ARRAY[count(*)] FROM u', tenant, ids, texts))[1]
$$;
COMMENT ON FUNCTION crm_internal.take_out_changes(bigint, text, bigint[], text[]) IS
'Takes changes out of the log, of which the hash is left: seals hold, and crm.verify_audit() counts them. How many.';

-- of a table: changes of its personal columns; of one whose rows went, all
CREATE OR REPLACE FUNCTION crm_internal.personal_change(relation regclass)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN crm_internal.table_is(relation, 'erase') AND (SELECT r.options #>> '{erase,rows}' FROM crm.registry AS r
        WHERE r.relation = personal_change.relation) = 'delete'
                THEN 'true'
                ELSE (SELECT format('(a.change -> ''new'' ?| %1$L::text[] OR a.change -> ''old'' ?| %1$L::text[])', array_agg(c.name))
                      FROM crm_internal.erased_columns(relation) AS c HAVING count(*) > 0) END
$$;
COMMENT ON FUNCTION crm_internal.personal_change(regclass) IS 'Condition over entries a of the log of changes: they tell of a personal column; NULL: '
'the table has none.';

CREATE OR REPLACE FUNCTION crm_internal.erase_changes(tenant bigint, people jsonb, places jsonb, texts text[])
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
    n bigint := 0;
BEGIN
    FOR place IN SELECT p ->> 'subject' AS subject, crm_internal.personal_change(crm.subject_relation(p ->> 'subject')) AS condition,
                        ARRAY(SELECT i::bigint FROM jsonb_array_elements_text(p -> 'ids') AS i) AS ids
                 FROM jsonb_array_elements(places) AS p LOOP
        CONTINUE WHEN place.condition IS NULL;
        n := n + crm_internal.take_out_changes(tenant, format('a.table_name = %L AND a.record_id = ANY ($2) AND ', place.subject) || place.condition,
            place.ids, texts);
    END LOOP;
    -- rows that are gone are known by whose they were
    FOR place IN SELECT w.subject, w.column_name, w.target, w.target_column, crm_internal.personal_change(w.relation) AS condition
        FROM crm_internal.ways_down() AS w
                 WHERE (w.target IS NULL AND w.target_column IS NOT NULL OR people ? w.target) AND w.table_of IS NULL
                   AND crm_internal.personal_change(w.relation) IS NOT NULL
    LOOP
        n := n + coalesce((SELECT sum(crm_internal.take_out_changes(tenant,
            format('a.table_name = %L AND coalesce(a.change -> ''new'' ->> %L, a.change -> ''old'' ->> %2$L) = ANY ($2::text[])', place.subject,
                place.column_name)
            || CASE WHEN place.target_column IS NOT NULL
                    THEN format(' AND coalesce(a.change -> ''new'' ->> %L, a.change -> ''old'' ->> %1$L) = %L', place.target_column, p) ELSE '' END
                        || ' AND ' || place.condition,
            crm_internal.ids_in(people, p), texts)) FROM jsonb_object_keys(people) AS p WHERE coalesce(place.target, p) = p), 0);
    END LOOP;
    IF cardinality(texts) > 1 THEN
        n := n + crm_internal.take_out_changes(tenant,
            'crm_internal.squeezed(a.change::text) LIKE ANY ($3[3:]) AND a.change::text COLLATE "default" ~* $3[2]', '{}', texts);
    END IF;
    RETURN crm_internal.line('audit_log', 'change', 'taken out', n)
        || (SELECT crm_internal.line('audit_log', 'cause', 'kept', count(*), 'the seals are of it: say nothing of people in crm.cause')
            FROM crm.audit_log AS a WHERE cardinality(texts) > 1 AND a.tenant_id = tenant AND a.cause COLLATE "default" ~* texts[2]);
END
$$;
COMMENT ON FUNCTION crm_internal.erase_changes(bigint, jsonb, jsonb, text[]) IS
'Takes out of the log of changes what it tells of people, by their records (places: [{subject, ids}]), by whose rows were that are gone, and by mentions.';

-- names and addresses that were theirs once: of earlier values in the log
CREATE OR REPLACE FUNCTION crm_internal.former_values(tenant bigint, people jsonb, option text)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
    part text[];
    found text[] := '{}';
BEGIN
    FOR place IN SELECT r.subject, r.options FROM crm.registered_as(former_values.option) AS r WHERE people ? r.subject LOOP
        SELECT array_agg(DISTINCT s.side ->> c.name) INTO part
        FROM crm.audit_log AS a, jsonb_array_elements_text(place.options -> CASE option WHEN 'person' THEN 'person' ELSE 'personal' END) AS c (name),
             LATERAL (VALUES (a.change -> 'old'), (a.change -> 'new')) AS s (side)
        WHERE a.tenant_id = tenant AND a.table_name = place.subject AND a.record_id = ANY (crm_internal.ids_in(people, place.subject)) AND s.side ? c.name;
        found := found || part;
    END LOOP;
    IF option = 'addresses' THEN
        SELECT array_agg(DISTINCT s.side ->> c.name) INTO part
        FROM crm.registered_as('addresses') AS r JOIN crm_internal.ways_down() AS w ON w.relation = r.relation AND people ? w.target
        JOIN crm.audit_log AS a ON a.tenant_id = tenant AND a.table_name = r.subject
        CROSS JOIN LATERAL jsonb_array_elements_text(r.options -> 'personal') AS c (name)
        CROSS JOIN LATERAL (VALUES (a.change -> 'old'), (a.change -> 'new')) AS s (side)
        WHERE coalesce(a.change -> 'new' ->> w.column_name, a.change -> 'old' ->> w.column_name) = ANY (crm_internal.ids_in(people, w.target)::text[]);
        found := found || part;
        RETURN ARRAY(SELECT DISTINCT v FROM unnest(found) AS v WHERE crm_internal.looks_like_address(v));
    END IF;
    RETURN ARRAY(SELECT DISTINCT v FROM unnest(found) AS v WHERE v IS NOT NULL AND v <> '');
END
$$;
COMMENT ON FUNCTION crm_internal.former_values(bigint, jsonb, text) IS
'Names (option person) or addresses (option addresses) that people had before, as far as the log of changes tells.';
