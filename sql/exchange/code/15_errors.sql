-- Errors as programs read them: which column is at fault, and which values are known there.

CREATE OR REPLACE FUNCTION crm.listed_values(definition text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN definition ~ ' = ANY \(ARRAY\[' THEN
            ARRAY(SELECT replace(m[1], '''''', '''') FROM regexp_matches(definition, '''((?:[^'']|'''')*)''::', 'g') AS m)
        WHEN definition ~ ' <@ ''\{' THEN replace(substring(definition FROM ' <@ ''(\{.*\})''::'), '''''', '''')::text[]
    END
$$;
COMMENT ON FUNCTION crm.listed_values(text) IS
'Values that a CHECK constraint lists, from its definition: column IN (...), or column <@ ''{...}''. NULL where it lists none.';

-- at most so many: an error or a description is no list of customers
CREATE OR REPLACE FUNCTION crm.known_values(relation regclass, column_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    listed text[];
    choice record;
    label text;
    known jsonb;
BEGIN
    SELECT crm.listed_values(pg_get_constraintdef(k.oid)) INTO listed
    FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
    WHERE k.conrelid = relation AND k.contype = 'c' AND a.attname = column_name AND crm.listed_values(pg_get_constraintdef(k.oid)) IS NOT NULL
    LIMIT 1;
    IF listed IS NOT NULL THEN
        RETURN to_jsonb(listed);
    END IF;
    SELECT r.relation, o.attname AS key, crm.column_exists(r.relation, 'tenant_id') AS of_tenant INTO choice
    FROM pg_constraint AS k
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attname = column_name
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS p (here, there)
    JOIN pg_attribute AS o ON o.attrelid = k.confrelid AND o.attnum = p.there
    JOIN crm.registry AS r ON r.relation = k.confrelid AND r.class IN ('configuration', 'catalogue', 'lookup')
    WHERE k.conrelid = known_values.relation AND k.contype = 'f' AND p.here = a.attnum AND column_name <> 'tenant_id'
    LIMIT 1;
    IF choice.relation IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT n INTO label FROM unnest('{code,name}'::text[]) WITH ORDINALITY AS l (n, i)
    WHERE crm.column_exists(choice.relation, n) AND n <> choice.key ORDER BY i LIMIT 1;
    EXECUTE format('SELECT jsonb_agg(%s ORDER BY t.%I) FROM (SELECT t.* FROM %s AS t WHERE %s AND %s ORDER BY t.%I LIMIT 50) AS t',
        CASE WHEN choice.key = 'id' AND label IS NOT NULL THEN format('jsonb_build_object(''id'', t.id, %L, t.%I)', label, label)
             ELSE format('to_jsonb(t.%I)', choice.key) END,
        choice.key, choice.relation::regclass,
        CASE WHEN choice.of_tenant THEN 't.tenant_id = crm.tenant_id()' ELSE 'true' END
            -- pipelines and stages are those of the table
            || CASE WHEN crm.column_exists(choice.relation, 'subject_table') THEN format(' AND t.subject_table = %L', crm.subject_name(relation))
                    WHEN crm.column_exists(choice.relation, 'pipeline_id') AND crm.column_exists(relation, 'pipeline_id') THEN
                        format(' AND t.pipeline_id IN (SELECT p.id FROM crm.pipelines AS p WHERE p.tenant_id = t.tenant_id AND p.subject_table = %L)',
                               crm.subject_name(relation)) ELSE '' END,
        CASE WHEN crm.column_exists(choice.relation, 'active') THEN 't.active' ELSE 'true' END, choice.key) INTO known;
    RETURN known;
END
$$;
COMMENT ON FUNCTION crm.known_values(regclass, text) IS
'Values that a column may have: those its CHECK lists, or the rows of the configuration it refers to that are active (50 at most; with code or name where it '
'holds ids). NULL where neither says anything.';

CREATE OR REPLACE FUNCTION crm.error_facts(fault crm.fault) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := to_regclass(format('%I.%I', fault.schema_name, fault.table_name));
    column_name text := nullif(fault.column_name, '');
    known jsonb;
    hint text := nullif(fault.hint, '');
BEGIN
    IF relation IS NOT NULL AND column_name IS NULL AND fault.constraint_name <> '' THEN
        -- the last column of a key is the one that tells: the others say whose row it is
        SELECT a.attname INTO column_name FROM pg_constraint AS k
        JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[cardinality(k.conkey)]
        WHERE k.conrelid = relation AND k.conname = fault.constraint_name AND (k.contype IN ('f', 'p', 'u') OR cardinality(k.conkey) = 1);
    END IF;
    IF relation IS NOT NULL AND column_name IS NOT NULL AND fault.sqlstate IN ('23503', '23514', '23502') THEN
        known := crm.known_values(relation, column_name);
    END IF;
    IF hint IS NULL AND known IS NOT NULL THEN
        hint := format('Known values of %s are %s.', column_name,
            (SELECT string_agg(coalesce(v ->> 'code', v ->> 'name', v #>> '{}'), ', ') FROM jsonb_array_elements(known) AS v));
    ELSIF hint IS NULL AND fault.sqlstate = '42501' THEN
        hint := 'You are ' || coalesce(crm.user_access(), 'nobody') || '; crm.describe() says what you may read, write and call.';
    END IF;
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'sqlstate', fault.sqlstate, 'message', fault.message, 'detail', nullif(fault.detail, ''), 'hint', hint,
        'table', CASE WHEN relation IS NOT NULL THEN crm.subject_name(relation) END,
        'column', column_name, 'constraint', nullif(fault.constraint_name, ''), 'known', known));
END
$$;
COMMENT ON FUNCTION crm.error_facts(crm.fault) IS
'An error as a JSON object: sqlstate, message, detail, hint, table, column, constraint, and known: values that the column may have. '
'Keys without a value are left out.';
