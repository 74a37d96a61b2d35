-- The CRM described to programs: what there is, what it means, and what of it the caller may do. Nothing is listed here by
-- hand: tables come from the registry, columns, keys and meaning from the catalogue, levels and examples from what stands
-- beside the functions, errors and grain from their COMMENTs.

CREATE OR REPLACE FUNCTION crm.first_sentence(words text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce(substring(words FROM '^(.*?[.;:])(?:\s|$)'), words) $$;
COMMENT ON FUNCTION crm.first_sentence(text) IS 'What a COMMENT says first.';

CREATE OR REPLACE FUNCTION crm.column_unit(relation regclass, column_name text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN a.attname ~ '(^|_)id$' AND a.atttypid = 'bigint'::regtype THEN NULL
        WHEN a.atttypid IN ('timestamptz'::regtype, 'tstzrange'::regtype) THEN 'instant'
        WHEN a.atttypid IN ('date'::regtype, 'daterange'::regtype) THEN 'day'
        WHEN a.atttypid = 'interval'::regtype THEN 'duration'
        WHEN a.atttypid NOT IN ('numeric'::regtype, 'bigint'::regtype, 'integer'::regtype, 'smallint'::regtype, 'double precision'::regtype) THEN NULL
        WHEN a.attname ~ '(^|_)seconds(_|$)' OR d.words ~* '\mseconds\M' THEN 'seconds'
        WHEN a.attname ~ '(^|_)minutes(_|$)' OR d.words ~* '\min minutes\M' THEN 'minutes'
        WHEN a.attname ~ '(^|_)hours(_|$)' OR d.words ~* '\min hours\M' THEN 'hours'
        WHEN a.attname ~ '(^|_)days(_|$)' OR d.words ~* '\min days\M' THEN 'days'
        WHEN d.words ~* '0 (to|\.\.) ?100|percent|0\.\.100'
             OR EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = relation AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]
                        AND pg_get_constraintdef(k.oid) ~ ' <= \(?100\M') THEN 'percent'
        WHEN d.words ~* '\mshare\M|0 to 1\M|0\.\.1\M' OR a.attname ~ '(^|_)(share|probability)$' THEN 'share, 0 to 1'
        WHEN d.words ~* 'base currency' AND a.attname ~ '^base_|_base$' OR a.attname ~ '^base_' THEN 'money, in the base currency of the company'
        WHEN a.atttypid = 'numeric'::regtype AND a.attname ~ '(amount|price|cost|revenue|margin|discount|value|paid|total)'
             AND crm.column_exists(relation, 'currency') THEN 'money, in column currency'
        WHEN a.atttypid = 'numeric'::regtype AND a.attname ~ '(amount|price|cost|revenue|margin|paid)' THEN 'money, in the base currency of the company'
        WHEN d.words ~* '^(how many|number of|how often)' THEN 'count'
    END
    FROM pg_attribute AS a, LATERAL (SELECT col_description(a.attrelid, a.attnum)) AS d (words)
    WHERE a.attrelid = relation AND a.attname = column_name
$$;
COMMENT ON FUNCTION crm.column_unit(regclass, text) IS
'In what a column is counted, by its type, its name and its COMMENT: instant, day, seconds, percent, share, money and so on; NULL where it is no quantity, '
'or nothing says.';

CREATE OR REPLACE FUNCTION crm.describe_columns(relation regclass, is_entity boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given text[] := '{}';
    described jsonb;
BEGIN
    IF is_entity THEN
        EXECUTE format('SELECT crm.given_columns(NULL::%s, ''open'')', relation::regclass) INTO given;
    END IF;
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'meaning', col_description(a.attrelid, a.attnum),
               'unit', crm.column_unit(relation, a.attname), 'values', crm.known_values(relation, a.attname),
               'refers_to', (SELECT crm.subject_name(k.confrelid) FROM pg_constraint AS k
                             WHERE k.conrelid = relation AND k.contype = 'f' AND a.attnum = k.conkey[cardinality(k.conkey)] LIMIT 1),
               'table_in', (SELECT l.target_column FROM crm.table_links(relation) AS l
                            WHERE l.column_name = a.attname AND l.target_column IS NOT NULL),
               'rule', (SELECT string_agg(pg_get_expr(k.conbin, k.conrelid), ' AND ') FROM pg_constraint AS k
                        WHERE k.conrelid = relation AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]
                          AND crm.listed_values(pg_get_constraintdef(k.oid)) IS NULL),
               'required', CASE WHEN is_entity AND a.attname = ANY (given) AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
                                THEN true END,
               'default', CASE WHEN a.attidentity <> '' THEN 'the next number'
                               WHEN pg_get_expr(d.adbin, d.adrelid) LIKE '%crm.set_by_trigger()%' THEN 'set by a trigger'
                               WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
               'read_only', CASE WHEN is_entity AND a.attname <> ALL (given) THEN true END)) ORDER BY a.attnum)
    INTO described
    FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'tenant_id';
    RETURN described;
END
$$;
COMMENT ON FUNCTION crm.describe_columns(regclass, boolean) IS
'Columns of a table or view as crm.describe() has them: name, type, meaning, unit, values, refers_to (entity), rule, required, default, read_only (not the '
'caller''s to give).';

CREATE OR REPLACE FUNCTION crm.describe_entity(entity text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t crm.registry;
    is_entity boolean;
BEGIN
    SELECT r.* INTO t FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation
    WHERE r.subject = entity AND r.class <> 'owner' AND has_table_privilege(r.relation, 'SELECT');
    IF t.subject IS NULL THEN
        RETURN NULL;
    END IF;
    is_entity := EXISTS (SELECT FROM crm.entities() AS e WHERE e.entity = describe_entity.entity);
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'kind', 'entity', 'name', t.subject, 'table', t.relation::text, 'meaning', obj_description(t.relation, 'pg_class'),
        'rights', t.class, 'key', to_jsonb(array_remove(crm.key_columns(t.relation), 'tenant_id')),
        'you_may', (SELECT jsonb_agg(lower(p)) FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS p WHERE has_table_privilege(t.relation, p)),
        'by_id', CASE WHEN is_entity THEN true END,
        'found_by', t.options -> 'found_by', 'personal', t.options -> 'personal',
        'columns', crm.describe_columns(t.relation, is_entity),
        'custom_fields', (SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(f.*) - '{tenant_id,table_name,active}'::text[]) ORDER BY f.name)
                          FROM crm.custom_fields AS f WHERE f.tenant_id = crm.tenant_id() AND f.table_name = t.subject AND f.active),
        'referred_to_by', (SELECT jsonb_agg(DISTINCT jsonb_build_object('entity', crm.subject_name(k.conrelid), 'column', a.attname))
                           FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[cardinality(k.conkey)]
                           JOIN crm.registry AS r ON r.relation = k.conrelid
                           WHERE k.confrelid = t.relation AND k.contype = 'f' AND has_table_privilege(k.conrelid, 'SELECT')),
        'pipelines', CASE WHEN crm.column_exists(t.relation, 'pipeline_id') AND crm.column_exists(t.relation, 'stage_id') THEN
            (SELECT jsonb_agg(jsonb_build_object('code', p.code, 'default', p.is_default, 'stages',
                        (SELECT jsonb_agg(jsonb_build_object('code', s.code, 'name', s.name, 'type', s.type) ORDER BY s.position) FROM crm.stages AS s
                         WHERE s.tenant_id = p.tenant_id AND s.pipeline_id = p.id AND s.active)) ORDER BY p.is_default DESC, p.code)
             FROM crm.pipelines AS p WHERE p.tenant_id = crm.tenant_id() AND p.subject_table = t.subject AND p.active) END));
END
$$;
COMMENT ON FUNCTION crm.describe_entity(text) IS 'An entity as crm.describe() has it; NULL where there is none of the name that the caller may read.';

-- what a function is known to write, by its source and that of the functions it names; C and triggers are not looked into
CREATE OR REPLACE FUNCTION crm.function_effects(function regprocedure) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE reached (oid, depth) AS (
        SELECT function::oid, 0
        UNION
        SELECT q.oid, r.depth + 1
        FROM reached AS r JOIN pg_proc AS p ON p.oid = r.oid
        CROSS JOIN LATERAL regexp_matches(p.prosrc, '\m(crm|crm_internal|crm_analytics)\.(\w+)\s*\(', 'g') AS m
        JOIN pg_proc AS q ON q.proname = m[2]::name JOIN pg_namespace AS n ON n.oid = q.pronamespace AND n.nspname = m[1]
        WHERE r.depth < 4
    ), source AS (
        SELECT DISTINCT p.oid, p.prosrc FROM reached AS r JOIN pg_proc AS p ON p.oid = r.oid
    )
    SELECT jsonb_build_object(
        'writes', (SELECT p.provolatile = 'v' FROM pg_proc AS p WHERE p.oid = function),
        'acts_as_owner', (SELECT p.prosecdef FROM pg_proc AS p WHERE p.oid = function),
        'tables', (SELECT coalesce(jsonb_agg(DISTINCT m[1]), '[]') FROM source AS s,
                   regexp_matches(s.prosrc, '(?:INSERT INTO|UPDATE|DELETE FROM|MERGE INTO) crm\.(\w+)', 'g') AS m),
        'codes', (SELECT coalesce(jsonb_agg(DISTINCT m[1]), '[]') FROM source AS s, regexp_matches(s.prosrc, 'ERRCODE = ''(CR\d{3})''', 'g') AS m))
$$;
COMMENT ON FUNCTION crm.function_effects(regprocedure) IS
'What a function does, as far as its source and that of the functions it calls say: writes, acts_as_owner, tables it writes, codes of class CR it '
'raises. What C and triggers write is not in it: crm.check_call() tells what one call would change.';

CREATE OR REPLACE FUNCTION crm.describe_function(name text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    f pg_proc;
    words text;
    effects jsonb;
BEGIN
    SELECT p.* INTO f FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.proname = regexp_replace(describe_function.name, '^(crm|crm_analytics)\.', '')::name AND n.nspname IN ('crm', 'crm_analytics')
      AND describe_function.name IN (p.proname, n.nspname || '.' || p.proname)
      AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND has_function_privilege(p.oid, 'EXECUTE')
    ORDER BY n.nspname LIMIT 1;
    IF f.oid IS NULL THEN
        RETURN NULL;
    END IF;
    words := obj_description(f.oid, 'pg_proc');
    effects := crm.function_effects(f.oid);
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'kind', CASE f.prokind WHEN 'a' THEN 'aggregate' ELSE 'function' END, 'name', f.oid::regproc::text, 'meaning', words,
        'arguments', (SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', f.proargnames[i], 'type', format_type(f.proargtypes[i - 1], NULL),
                          'required', i <= f.pronargs - f.pronargdefaults, 'default', pg_get_function_arg_default(f.oid, i))) ORDER BY i), '[]')
                      FROM generate_series(1, f.pronargs) AS i),
        'returns', pg_get_function_result(f.oid), 'level', crm.function_level(f.oid),
        'effects', effects - 'codes',
        'errors', (SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('sqlstate', e.code, 'when', e.words)) ORDER BY e.code)
                   FROM (SELECT m[1] AS code, min(nullif(trim(m[2]), '')) AS words
                         FROM regexp_matches(substring(words FROM 'Errors?:? .*$'), '\m(\d{5}|CR\d{3}|[0-9P][0-9A-Z]\d{3})\M([^,.;]*)', 'g') AS m GROUP BY 1
                         UNION ALL
                         SELECT c, NULL FROM jsonb_array_elements_text(effects -> 'codes') AS c
                         WHERE position(c IN coalesce(substring(words FROM 'Errors?:? .*$'), '')) = 0) AS e),
        'example', (SELECT a.example FROM crm.api_functions() AS a WHERE a.function = f.oid),
        'call', CASE WHEN f.prokind = 'f' THEN format('SELECT crm.%s(%L, %L)', CASE f.provolatile WHEN 'v' THEN 'call' ELSE 'ask' END, f.oid::regproc::text,
                    coalesce((SELECT a.example FROM crm.api_functions() AS a WHERE a.function = f.oid), '{}')) END));
END
$$;
COMMENT ON FUNCTION crm.describe_function(text) IS 'A function as crm.describe() has it; NULL where there is none of the name that the caller may call.';

CREATE OR REPLACE FUNCTION crm.describe_report(name text) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object('kind', 'report', 'name', c.oid::regclass::text, 'grain', crm.first_sentence(obj_description(c.oid, 'pg_class')),
                              'meaning', obj_description(c.oid, 'pg_class'), 'columns', crm.describe_columns(c.oid, false))
    FROM pg_class AS c
    WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind = 'v' AND describe_report.name IN (c.relname, 'crm_analytics.' || c.relname)
      AND has_table_privilege(c.oid, 'SELECT')
$$;
COMMENT ON FUNCTION crm.describe_report(text) IS 'A reporting view as crm.describe() has it; NULL where there is none of the name that the caller may read.';

CREATE OR REPLACE FUNCTION crm.describe(name text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found jsonb;
BEGIN
    IF name IS NOT NULL THEN
        found := coalesce(crm.describe_entity(name), crm.describe_function(name), crm.describe_report(name));
        IF found IS NULL THEN
            RAISE EXCEPTION 'there is nothing called "%" that you may read or call', name
                USING ERRCODE = 'undefined_object', HINT = 'crm.describe() without a name lists what there is for you.';
        END IF;
        RETURN found;
    END IF;
    RETURN jsonb_build_object(
        'you', jsonb_build_object('tenant', crm.tenant_id(), 'user', crm.user_id(), 'level', crm.user_access(),
            'currency', (SELECT t.base_currency FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id())),
        'entities', (SELECT coalesce(jsonb_object_agg(r.subject, crm.first_sentence(obj_description(r.relation, 'pg_class'))), '{}')
                     FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation
                     WHERE r.class <> 'owner' AND has_table_privilege(r.relation, 'SELECT')),
        'functions', (SELECT coalesce(jsonb_object_agg(a.name, crm.first_sentence(obj_description(a.function, 'pg_proc'))), '{}')
                      FROM crm.api_functions() AS a WHERE has_function_privilege(a.function, 'EXECUTE')),
        'more_functions', (SELECT coalesce(jsonb_agg(DISTINCT p.oid::regproc::text ORDER BY p.oid::regproc::text), '[]') FROM pg_proc AS p
                           WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND p.prokind <> 'p'
                             AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype)
                             AND 'internal'::regtype <> ALL (p.proargtypes::oid[]) AND has_function_privilege(p.oid, 'EXECUTE')
                             AND NOT EXISTS (SELECT FROM crm.api_functions() AS a WHERE a.function = p.oid)),
        'reports', (SELECT coalesce(jsonb_object_agg(c.oid::regclass::text, crm.first_sentence(obj_description(c.oid, 'pg_class'))), '{}') FROM pg_class AS c
                    WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind = 'v' AND has_table_privilege(c.oid, 'SELECT')));
END
$$;
COMMENT ON FUNCTION crm.describe(text) IS
'The CRM described to a program, as far as the caller may use it. Without a name: you (company, user, level), entities, functions and reports with what '
'they are in one sentence, and more_functions by name. With the name of an entity: its columns with meaning, unit, values, references and rules, custom '
'fields, pipelines, and what the caller may do; of a function: arguments, level, effects, errors, an example; of a report: grain and columns. '
'Error 42704 where there is nothing of the name that the caller may read or call.';
SELECT crm.declare_api('crm.describe', '{"name": "accounts"}');
