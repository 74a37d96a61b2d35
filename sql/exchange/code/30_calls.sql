-- Calling functions by name with arguments as jsonb: one place that converts, keeps answers of commands and says errors as JSON.

CREATE OR REPLACE FUNCTION crm.function_level(function regprocedure) RETURNS text
LANGUAGE sql STABLE STRICT SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT r.class FROM crm_internal.function_rules() AS r WHERE r.function = function_level.function $$;
COMMENT ON FUNCTION crm.function_level(regprocedure) IS
'Lowest access level that may call a function of the CRM: reader, agent, manager, admin or owner; NULL where it is none of the CRM''s.';
SELECT crm.declare_function('crm.function_level', 'reader');

CREATE OR REPLACE FUNCTION crm.api_functions()
RETURNS TABLE (function regprocedure, name text, example jsonb)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 40
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.oid::regprocedure, p.proname::text, a.example
    FROM crm_internal.api_functions AS a
    JOIN pg_proc AS p ON p.proname = split_part(a.function_name, '.', 2)
    JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = split_part(a.function_name, '.', 1)
    ORDER BY p.proname
$$;
COMMENT ON FUNCTION crm.api_functions() IS 'Functions that crm.create_api() offers, each with an example of its arguments by name.';
SELECT crm.declare_function('crm.api_functions', 'reader');

-- arguments that have no type of their own, or that no JSON becomes, cannot be given
CREATE OR REPLACE FUNCTION crm.callable(name text) RETURNS regprocedure
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found pg_proc;
BEGIN
    SELECT p.* INTO found FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.proname = regexp_replace(callable.name, '^(crm|crm_analytics)\.', '')::name AND n.nspname IN ('crm', 'crm_analytics')
      AND callable.name IN (p.proname, n.nspname || '.' || p.proname) AND p.prokind = 'f'
    ORDER BY n.nspname LIMIT 1;
    IF found.oid IS NULL
       OR EXISTS (SELECT FROM unnest(found.proargtypes::oid[] || found.prorettype) AS t (oid) JOIN pg_type AS y ON y.oid = t.oid
                  WHERE y.typtype = 'p' AND t.oid NOT IN ('record'::regtype, 'void'::regtype)) THEN
        RAISE EXCEPTION 'there is no function "%" to call', name
            USING ERRCODE = 'undefined_function', HINT = 'crm.describe() lists what there is.';
    END IF;
    IF NOT has_function_privilege(found.oid, 'EXECUTE') THEN
        RAISE EXCEPTION 'you may not call function "%"', name USING ERRCODE = 'insufficient_privilege',
            HINT = format('It is for %s and above; you are %s.', crm.function_level(found.oid), coalesce(crm.user_access(), 'nobody'));
    END IF;
    RETURN found.oid;
END
$$;
COMMENT ON FUNCTION crm.callable(text) IS
'The function of a name, with or without schema, that the caller may call by crm.call(). Errors: 42883 there is none, 42501 it is for a higher level.';

-- SQL that calls a function with the jsonb in $1, and gives its result as jsonb
CREATE OR REPLACE FUNCTION crm.call_statement(function regprocedure, arguments jsonb) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    f pg_proc;
    known text[];
    wrong text;
    given text;
    columns text;
BEGIN
    SELECT p.* INTO f FROM pg_proc AS p WHERE p.oid = function;
    known := coalesce(f.proargnames[1:f.pronargs], '{}');
    IF jsonb_typeof(arguments) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'arguments of function "%" must be a JSON object', f.proname
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Names and values; it takes ' || array_to_string(known, ', ') || '.';
    END IF;
    SELECT string_agg(k, ', ' ORDER BY k) INTO wrong FROM jsonb_object_keys(arguments) AS k WHERE k <> ALL (known);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'function "%" has no argument %', f.proname, wrong
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It takes ' || coalesce(nullif(array_to_string(known, ', '), ''), 'none') || '.';
    END IF;
    SELECT string_agg(known[i], ', ' ORDER BY i) INTO wrong FROM generate_series(1, f.pronargs - f.pronargdefaults) AS i WHERE NOT arguments ? known[i];
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'function "%" needs %', f.proname, wrong
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It takes ' || array_to_string(known, ', ') || '.';
    END IF;
    SELECT string_agg(format('%1$I => a_.%1$I', known[i]), ', ' ORDER BY i),
           string_agg(format('%I %s', known[i], format_type(f.proargtypes[i - 1], NULL)), ', ' ORDER BY i)
    INTO given, columns FROM generate_series(1, f.pronargs) AS i WHERE arguments ? known[i];
    RETURN format('SELECT %s FROM %s%I.%I(%s) AS r_',
        CASE WHEN f.prorettype = 'void'::regtype THEN '''null''::jsonb'
             WHEN f.proretset THEN 'coalesce(jsonb_agg(to_jsonb(r_)), ''[]'')' ELSE 'CASE WHEN r_ IS NULL THEN ''null'' ELSE to_jsonb(r_) END' END,
        CASE WHEN columns IS NULL THEN '' ELSE format('jsonb_to_record($1) AS a_ (%s) CROSS JOIN LATERAL ', columns) END,
        f.pronamespace::regnamespace::text, f.proname, coalesce(given, ''));
END
$$;
COMMENT ON FUNCTION crm.call_statement(regprocedure, jsonb) IS
'SQL that calls a function with the arguments in $1 and returns its result as jsonb: a row as an object, a set as an array. Error 22023 for '
'arguments that it does not have or that are missing, with those it takes.';

-- ---- answers that are kept ----

CREATE OR REPLACE FUNCTION crm_internal.request_caller() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce('user ' || crm.user_id(), 'role ' || session_user) $$;
COMMENT ON FUNCTION crm_internal.request_caller() IS 'Whose keys of requests these are: the CRM user''s, or those of a database role that is none.';

CREATE OR REPLACE FUNCTION crm.begin_request(function_name text, arguments jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key CONSTANT text := nullif(current_setting('crm.request_id', true), '');
    tenant CONSTANT bigint := crm.tenant_id();
    who CONSTANT text := crm_internal.request_caller();
    fingerprint CONSTANT text := md5(arguments::text);
    known crm.api_requests;
BEGIN
    IF key IS NULL THEN
        RETURN NULL;
    END IF;
    -- waits for whoever sends the same at this moment
    INSERT INTO crm.api_requests AS r (tenant_id, caller, request_id, function_name, arguments_key)
    VALUES (tenant, who, key, begin_request.function_name, fingerprint)
    ON CONFLICT ON CONSTRAINT api_requests_pkey DO NOTHING;
    IF FOUND THEN
        RETURN NULL;
    END IF;
    SELECT r.* INTO known FROM crm.api_requests AS r WHERE r.tenant_id = tenant AND r.caller = who AND r.request_id = key;
    IF (known.function_name, known.arguments_key) IS DISTINCT FROM (begin_request.function_name, fingerprint) OR known.answer IS NULL THEN
        RAISE EXCEPTION 'request "%" was another command', key
            USING ERRCODE = 'CR901', DETAIL = format('It called %s%s.', known.function_name,
                CASE WHEN known.function_name = begin_request.function_name AND known.answer IS NOT NULL THEN ' with other arguments' ELSE '' END),
                HINT = 'Give each command a key of its own: SET LOCAL crm.request_id = ''...''.';
    END IF;
    RETURN known.answer;
END
$$;
COMMENT ON FUNCTION crm.begin_request(text, jsonb) IS
'What a command with the key in crm.request_id answered already; NULL where it is new, or there is no key. Of two that come at once the second waits. '
'Called by crm.call(). Error CR901 where the key was another command''s.';
SELECT crm.declare_function('crm.begin_request', 'reader');

CREATE OR REPLACE FUNCTION crm.finish_request(answer jsonb) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE crm.api_requests AS r SET answer = finish_request.answer
    WHERE r.tenant_id = crm.tenant_id() AND r.caller = crm_internal.request_caller()
      AND r.request_id = nullif(current_setting('crm.request_id', true), '') AND r.answer IS NULL
$$;
COMMENT ON FUNCTION crm.finish_request(jsonb) IS 'Keeps what a command with the key in crm.request_id answered. Called by crm.call().';
SELECT crm.declare_function('crm.finish_request', 'reader');

CREATE OR REPLACE FUNCTION crm_internal.forget_some(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM crm.api_requests AS r
        WHERE r.tenant_id = tenant AND (r.caller, r.request_id) IN (SELECT i::jsonb ->> 0, i::jsonb ->> 1 FROM unnest(items) AS i)
        RETURNING 1)
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION crm_internal.forget_some(bigint, text[], timestamptz) IS 'Forgets some of a company''s requests; returns how many.';

CREATE OR REPLACE FUNCTION crm.forget_requests(as_of timestamptz DEFAULT now(), batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.forget_requests',
        'crm.api_requests AS x WHERE x.requested_at < $1 - interval ''7 days''', 'jsonb_build_array(x.caller, x.request_id)',
        'x.requested_at', 'UPDATE', 'crm_internal.forget_some', as_of, batch)
$$;
COMMENT ON FUNCTION crm.forget_requests(timestamptz, integer) IS
'Forgets answers of commands that were sent more than a week ago. Called by the worker. Returns how many.';
SELECT crm.declare_function('crm.forget_requests', 'owner');

-- ---- calling ----

CREATE OR REPLACE FUNCTION crm.raise_as_json(f crm.fault) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    facts CONSTANT jsonb := crm.error_facts(f);
BEGIN
    -- an option that is empty would be printed as an empty line
    IF facts ? 'hint' THEN
        RAISE EXCEPTION USING ERRCODE = f.sqlstate, MESSAGE = f.message, DETAIL = facts::text, HINT = facts ->> 'hint',
            SCHEMA = f.schema_name, TABLE = f.table_name, COLUMN = coalesce(facts ->> 'column', ''), CONSTRAINT = f.constraint_name;
    ELSE
        RAISE EXCEPTION USING ERRCODE = f.sqlstate, MESSAGE = f.message, DETAIL = facts::text,
            SCHEMA = f.schema_name, TABLE = f.table_name, COLUMN = coalesce(facts ->> 'column', ''), CONSTRAINT = f.constraint_name;
    END IF;
END
$$;
COMMENT ON FUNCTION crm.raise_as_json(crm.fault) IS
'Raises an error again with the same SQLSTATE and message, and crm.error_facts() as its DETAIL.';

CREATE OR REPLACE FUNCTION crm.call(function text, arguments jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    answer jsonb;
    called regprocedure;
    keyed boolean := coalesce(current_setting('crm.request_id', true), '') <> '';
    f crm.fault;
BEGIN
    called := crm.callable(function);
    keyed := keyed AND (SELECT p.provolatile = 'v' FROM pg_proc AS p WHERE p.oid = called);
    IF keyed THEN
        answer := crm.begin_request(called::regproc::text, arguments);
    END IF;
    IF answer IS NULL THEN
        EXECUTE crm.call_statement(called, arguments) INTO answer USING arguments;
        IF keyed THEN
            PERFORM crm.finish_request(answer);
        END IF;
    END IF;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS f.sqlstate = RETURNED_SQLSTATE, f.message = MESSAGE_TEXT, f.detail = PG_EXCEPTION_DETAIL, f.hint = PG_EXCEPTION_HINT,
        f.schema_name = SCHEMA_NAME, f.table_name = TABLE_NAME, f.column_name = COLUMN_NAME, f.constraint_name = CONSTRAINT_NAME;
    PERFORM crm.raise_as_json(f);
END
$$;
COMMENT ON FUNCTION crm.call(text, jsonb) IS
'Calls a function of the CRM by name, with its arguments as a JSON object, and returns what it returns as jsonb. Runs with the rights of the caller. A command '
'that was sent before with the same key (setting crm.request_id) is not done again: it gets the first answer. Errors keep their SQLSTATE and message, and '
'have crm.error_facts() as their DETAIL. Errors: 42883 no such function, 42501 it is for a higher level, 22023 wrong arguments, CR901 the key was another '
'command''s, and those of the function.';
SELECT crm.declare_function('crm.call', 'reader');

CREATE OR REPLACE FUNCTION crm.ask(function text, arguments jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    answer jsonb;
    called regprocedure;
    f crm.fault;
BEGIN
    called := crm.callable(function);
    IF EXISTS (SELECT FROM pg_proc AS p WHERE p.oid = called AND p.provolatile = 'v') THEN
        RAISE EXCEPTION 'function "%" writes', function USING ERRCODE = 'wrong_object_type', HINT = 'Use crm.call().';
    END IF;
    EXECUTE crm.call_statement(called, arguments) INTO answer USING arguments;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS f.sqlstate = RETURNED_SQLSTATE, f.message = MESSAGE_TEXT, f.detail = PG_EXCEPTION_DETAIL, f.hint = PG_EXCEPTION_HINT,
        f.schema_name = SCHEMA_NAME, f.table_name = TABLE_NAME, f.column_name = COLUMN_NAME, f.constraint_name = CONSTRAINT_NAME;
    PERFORM crm.raise_as_json(f);
END
$$;
COMMENT ON FUNCTION crm.ask(text, jsonb) IS
'As crm.call(), for functions that write nothing alone; for transactions and servers that are read only. Errors: those of crm.call(), 42809 it writes.';

-- ---- a schema for applications ----

CREATE OR REPLACE FUNCTION crm_internal.make_api_function(schema_name text, function regprocedure) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    f pg_proc;
    arguments text;
    types text;
    passed text;
    there oid;
BEGIN
    SELECT p.* INTO f FROM pg_proc AS p WHERE p.oid = function;
    SELECT string_agg(format('%I %s', f.proargnames[i], format_type(f.proargtypes[i - 1], NULL))
                      || CASE WHEN i > f.pronargs - f.pronargdefaults THEN ' DEFAULT NULL' ELSE '' END, ', ' ORDER BY i),
           string_agg(format_type(f.proargtypes[i - 1], NULL), ', ' ORDER BY i),
           string_agg(format('(%L, to_jsonb($', f.proargnames[i]) || i || '))', ', ' ORDER BY i)
    INTO arguments, types, passed FROM generate_series(1, f.pronargs) AS i;
    -- another number or other names of arguments is another function: the old one goes
    FOR there IN SELECT p.oid FROM pg_proc AS p WHERE p.pronamespace = to_regnamespace(quote_ident(schema_name)) AND p.proname = f.proname LOOP
        IF NOT crm_internal.is_api_function(there) THEN
            RAISE EXCEPTION 'schema "%" has a function "%" of its own', schema_name, f.proname
                USING ERRCODE = 'duplicate_function', HINT = 'Give the API a schema in which nothing else stands.';
        END IF;
        IF EXISTS (SELECT FROM pg_proc AS p WHERE p.oid = there AND (p.proargnames, p.proargtypes, p.pronargdefaults) IS DISTINCT FROM
                       (f.proargnames[1:f.pronargs], f.proargtypes, f.pronargdefaults)) THEN
            EXECUTE format('DROP FUNCTION %s', there::regprocedure);
        END IF;
    END LOOP;
    EXECUTE format('CREATE OR REPLACE FUNCTION %I.%I(%s) RETURNS jsonb LANGUAGE sql %s SET search_path = pg_catalog, pg_temp AS %L',
        schema_name, f.proname, arguments, CASE f.provolatile WHEN 'v' THEN 'VOLATILE' ELSE 'STABLE' END,
        -- what is not given is not passed, so that now() of a default does not make every call another one
        format('SELECT crm.%s(%L, %s)', CASE f.provolatile WHEN 'v' THEN 'call' ELSE 'ask' END, function::regproc::text,
               coalesce(format('(SELECT coalesce(jsonb_object_agg(a.key, a.value), ''{}'') FROM (VALUES %s) AS a (key, value)
                                 WHERE a.value IS NOT NULL)', passed), '''{}''')));
    EXECUTE format('COMMENT ON FUNCTION %I.%I(%s) IS %L', schema_name, f.proname, types, obj_description(f.oid, 'pg_proc'));
    EXECUTE format('REVOKE ALL ON FUNCTION %I.%I(%s) FROM PUBLIC', schema_name, f.proname, types);
END
$$;
COMMENT ON FUNCTION crm_internal.make_api_function(text, regprocedure) IS
'A function of the same name, arguments and comment in the schema of an API, which calls the CRM''s and returns jsonb.';

CREATE OR REPLACE FUNCTION crm_internal.is_api_function(function oid) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT p.prosrc ~ '^SELECT crm\.(call|ask)\(''crm' FROM pg_proc AS p WHERE p.oid = is_api_function.function $$;
COMMENT ON FUNCTION crm_internal.is_api_function(oid) IS 'Whether crm.create_api() made a function.';

CREATE OR REPLACE FUNCTION crm_internal.fill_api(schema_name text) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    gone regprocedure;
    made bigint;
BEGIN
    FOR gone IN SELECT p.oid FROM pg_proc AS p
                WHERE p.pronamespace = to_regnamespace(quote_ident(schema_name)) AND crm_internal.is_api_function(p.oid)
                  AND NOT EXISTS (SELECT FROM crm.api_functions() AS a WHERE a.name = p.proname) LOOP
        EXECUTE format('DROP FUNCTION %s', gone);
    END LOOP;
    SELECT count(crm_internal.make_api_function(schema_name, a.function)) INTO made FROM crm.api_functions() AS a;
    PERFORM crm_internal.grant_api(schema_name, r.db_role, r.level) FROM crm_internal.role_levels() AS r;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm_internal.fill_api(text) IS 'Makes the functions of an API anew, with the rights of roles that have access. Returns how many.';

CREATE OR REPLACE FUNCTION crm_internal.grant_api(schema_name text, role_name name, level text) RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    levels CONSTANT text[] := '{reader,agent,manager,admin}';
    functions text;
BEGIN
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', schema_name, role_name);
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO functions FROM pg_proc AS p
    WHERE p.pronamespace = to_regnamespace(quote_ident(schema_name)) AND crm_internal.is_api_function(p.oid);
    IF functions IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', functions, role_name);
    END IF;
    IF level IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', schema_name, role_name);
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO functions
    FROM crm.api_functions() AS a JOIN crm_internal.function_rules() AS r USING (function)
    JOIN pg_proc AS p ON p.proname = a.name AND p.pronamespace = to_regnamespace(quote_ident(schema_name))
    WHERE array_position(levels, r.class) <= array_position(levels, level);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', functions, role_name);
END
$$;
COMMENT ON FUNCTION crm_internal.grant_api(text, name, text) IS 'Gives a role the functions of an API that are for its level; level NULL: none.';

CREATE OR REPLACE FUNCTION crm_internal.grant_apis(role_name name, level text) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.grant_api(a.schema_name, role_name, level) FROM crm_internal.api_schemas AS a
    WHERE to_regnamespace(quote_ident(a.schema_name)) IS NOT NULL
$$;
COMMENT ON FUNCTION crm_internal.grant_apis(name, text) IS 'Rights of a role on every API, when its access changes.';
SELECT crm.declare_hook('access', 'crm_internal.grant_apis(name, text)');

CREATE OR REPLACE FUNCTION crm.create_api(schema_name text DEFAULT 'api') RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF schema_name IS NULL OR schema_name ~ '^(crm|pg_)' OR schema_name IN ('public', 'information_schema') THEN
        RAISE EXCEPTION 'schema "%" cannot hold an API', schema_name
            USING ERRCODE = 'invalid_schema_name', HINT = 'Choose a schema of the application''s own, such as api.';
    END IF;
    IF to_regnamespace(quote_ident(schema_name)) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', schema_name);
        EXECUTE format('COMMENT ON SCHEMA %I IS %L', schema_name, 'Functions of the CRM for applications: jsonb in, jsonb out. Made by crm.create_api().');
    END IF;
    INSERT INTO crm_internal.api_schemas AS a (schema_name) VALUES (create_api.schema_name) ON CONFLICT ON CONSTRAINT api_schemas_pkey DO NOTHING;
    RETURN crm_internal.fill_api(schema_name);
END
$$;
COMMENT ON FUNCTION crm.create_api(text) IS
'Fills a schema of the application''s with the functions of the CRM for programs: the same names and arguments, results as jsonb, errors with JSON as their '
'DETAIL. They run with the rights of their caller; roles of crm.grant_access() may call those of their level. Made again by every crm.install(). Safe to call '
'again. Returns how many there are. Called by the owner of the CRM. Errors: 3F000 a schema that is not the application''s, 42723 it has '
' functions of the same names.';
SELECT crm.declare_function('crm.create_api', 'owner');
