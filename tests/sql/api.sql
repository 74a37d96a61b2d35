-- Functions for programs: records of any entity by names of other systems, commands once, errors as JSON, each with the rights of its caller.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
BEGIN;
\i :helper
SELECT crm.create_api('regress_api') BETWEEN 25 AND 60 AS some_forty;
INSERT INTO crm.users (id, name, email, access) VALUES (980001, 'Api agent', 'api.agent@regress.test', 'agent'), (980002, 'Api colleague', 'api.colleague@regress.test', 'agent');
SELECT g.access FROM crm.grant_access('regress_crm_agent', 'agent', 980001) AS g;

-- what is offered has a comment, an example that fits, and is the same function
SELECT a.name FROM crm.api_functions() AS a JOIN pg_proc AS p ON p.proname = a.name AND p.pronamespace = 'regress_api'::regnamespace
WHERE obj_description(p.oid, 'pg_proc') IS DISTINCT FROM obj_description(a.function, 'pg_proc') OR crm.call_statement(a.function, a.example) IS NULL OR p.prosecdef;
-- for each level what it may call of the CRM itself; nothing for PUBLIC
SELECT l.level, a.name FROM crm.api_functions() AS a JOIN pg_proc AS p ON p.proname = a.name AND p.pronamespace = 'regress_api'::regnamespace,
    unnest('{reader,agent,manager,admin}'::text[]) AS l (level)
WHERE has_function_privilege('regress_crm_' || l.level, p.oid, 'EXECUTE') <> has_function_privilege('regress_crm_' || l.level, a.function, 'EXECUTE');
SELECT count(*) AS for_everybody FROM pg_proc AS p WHERE p.pronamespace = 'regress_api'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE');

-- every entity can be written by a name of another system, as its owner may
SET LOCAL ROLE regress_crm_agent;
SELECT regress_api.upsert_record('accounts', 'erp', 'C-17', '{"name": "Regress Ltd", "country": "DE", "custom": {}}') #- '{record}'::text[] #- '{id}'::text[] AS answer;
SELECT regress_api.upsert_record('accounts', 'erp', 'C-17', '{"name": "Regress Ltd"}') ->> 'action' AS again;
SELECT regress_api.upsert_record('accounts', 'erp', 'C-17', '{"city": "Bonn"}') #>> '{record,city}' AS city;
SELECT u -> 'action' AS action, (u #>> '{record,account_id}')::bigint = crm.find_record('accounts', 'erp', 'C-17') AS linked, u #>> '{record,owner_id}' AS owner
FROM regress_api.upsert_record('contacts', 'erp', 'P-1', '{"name": "Ada Regress", "account_id": {"external_id": "C-17"}, "owner_id": {"email": "api.agent@regress.test"}}') AS u;
-- a table without columns for it, too
SELECT u ->> 'action' AS action, u #>> '{record,kind}' AS kind
FROM regress_api.upsert_record('contact_points', 'erp', 'P-1-mail', '{"contact_id": {"external_id": "P-1"}, "kind": "email", "value": "ada@regress.test"}') AS u;
SELECT u ->> 'action' AS action FROM regress_api.upsert_record('contact_points', 'erp', 'P-1-mail', '{"label": "office"}') AS u;
-- several names of one record; the name of another is not taken
SELECT l ->> 'external_id' AS linked FROM regress_api.link_record('accounts', crm.find_record('accounts', 'erp', 'C-17'), 'shop', '9001') AS l;
SELECT regress_api.upsert_record('accounts', 'shop', '9001', '{"city": "Köln"}') ->> 'action' AS by_other_name;
SELECT regress_api.get_record('accounts', crm.find_record('accounts', 'shop', '9001')) -> 'external_ids' AS names;
SELECT regress_api.create_record('accounts', '{"name": "Regress Second"}') ->> 'id' AS second \gset
SELECT regress_api.link_record('accounts', :second, 'shop', '9001');
SELECT regress_api.unlink_record('accounts', 'shop', '9001'), regress_api.unlink_record('accounts', 'shop', '9001');
-- one bad record stops no other; each error says where
SELECT jsonb_pretty(jsonb_path_query_array(r, '$.records[*].error.sqlstate')) AS codes, r ->> 'inserted' AS inserted, r ->> 'bad' AS bad
FROM regress_api.upsert_records('activities', 'erp', '[{"external_id": "T1", "data": {"kind": "call", "subject": "One"}}, {"external_id": "T2", "data": {"kind": "telegram"}},
    {"external_id": "T3", "data": {"knd": "call"}}, {"external_id": "", "data": {}}, {"external_id": "T4", "data": {"kind": "note", "custom": {"nothing": 1}}}, {"data": 7}]') AS r;
SELECT regress_api.upsert_records('activities', 'erp', '{}');

-- errors: the SQLSTATE, and a detail of JSON with the column and what is known there
\set VERBOSITY verbose
CREATE FUNCTION pg_temp.fault(statement text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE detail text; code text; col text; hint text;
BEGIN
    EXECUTE statement;
    RETURN '"done"';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL, col = COLUMN_NAME, hint = PG_EXCEPTION_HINT;
    RETURN jsonb_build_object('is', code, 'same', detail::jsonb ->> 'sqlstate' = code AND coalesce(detail::jsonb ->> 'column', '') = col AND coalesce(detail::jsonb ->> 'hint', '') = hint,
        'column', detail::jsonb -> 'column', 'known', detail::jsonb -> 'known', 'hint', detail::jsonb -> 'hint');
END
$$;
\set VERBOSITY default
SELECT pg_temp.fault($$SELECT regress_api.open_ticket('x', priority => 'blue')$$);
SELECT pg_temp.fault($$SELECT regress_api.open_ticket('x', channel => 'fax')$$);
SELECT pg_temp.fault($$SELECT regress_api.open_ticket('x', type => 'fax')$$);
SELECT pg_temp.fault($$SELECT regress_api.upsert_record('accounts', 'erp', 'C-17', '{"roles": ["king"]}')$$);
SELECT pg_temp.fault($$SELECT regress_api.create_record('accounts', '{}')$$);
SELECT pg_temp.fault($$SELECT regress_api.create_record('acounts', '{}')$$) - 'hint';
SELECT pg_temp.fault($$SELECT regress_api.create_record('accounts', '{"id": 3}')$$) - 'hint';
SELECT pg_temp.fault($$SELECT regress_api.create_record('contacts', '{"name": "x", "account_id": {"external_id": "none"}}')$$);
SELECT pg_temp.fault($$SELECT regress_api.create_record('contacts', '{"name": "x", "account_id": {"source": "erp", "external_id": "none"}}')$$);
SELECT pg_temp.fault($$SELECT regress_api.create_record('contacts', '{"name": "x", "account_id": {"nome": "none"}}')$$);
SELECT pg_temp.fault($$SELECT regress_api.create_record('contacts', '{"name": {"of": "x"}}')$$) - 'hint';
SELECT pg_temp.fault($$SELECT regress_api.update_record('accounts', -5, '{}')$$);
SELECT pg_temp.fault($$SELECT regress_api.create_record('priorities', '{}')$$) - 'hint';
SELECT pg_temp.fault($$SELECT regress_api.create_record('queues', '{"code": "q", "name": "q"}')$$);
SELECT pg_temp.fault($$SELECT crm.call('no_such', '{}')$$);
SELECT pg_temp.fault($$SELECT crm.call('define_segment', '{}')$$);
SELECT pg_temp.fault($$SELECT crm.call('capture_lead', '{"paylod": {}}')$$);
SELECT pg_temp.fault($$SELECT crm.call('capture_lead', '{}')$$);
SELECT pg_temp.fault($$SELECT crm.call('capture_lead', '[]')$$);
SELECT pg_temp.fault($$SELECT crm.call('capture_lead', NULL)$$);
SELECT pg_temp.fault($$SELECT crm.call('convert_lead', '{"lead_id": "x"}')$$);
SELECT pg_temp.fault($$SELECT crm.ask('create_record', '{"entity": "accounts", "data": {"name": "x"}}')$$);
SELECT crm.call('user_id') AS me, crm.call('crm.has_access', '{"level": "agent"}') AS agent, crm.ask('user_access') AS level;
RESET ROLE;
-- what is a colleague's is refused, not passed over
INSERT INTO crm.accounts (id, name, owner_id, shared_user_ids) VALUES (980101, 'Of a colleague', 980002, '{}'), (980102, 'Shared by a colleague', 980002, '{980001}');
INSERT INTO crm.external_ids (subject_table, source, external_id, subject_id) VALUES ('accounts', 'erp', 'C-101', 980101), ('accounts', 'erp', 'C-102', 980102);
SET LOCAL ROLE regress_crm_agent;
SELECT pg_temp.fault(format('SELECT regress_api.%s', f)) AS refused FROM unnest(ARRAY['update_record(''accounts'', 980101, ''{"city": "x"}'')', 'update_record(''accounts'', 980102, ''{"city": "x"}'')',
    'delete_record(''accounts'', 980102)', 'upsert_record(''accounts'', ''erp'', ''C-102'', ''{"city": "x"}'')', 'link_record(''accounts'', 980102, ''shop'', ''1'')',
    'get_record(''accounts'', 980101)']) AS f;
SELECT regress_api.get_record('accounts', 980102) ->> 'name' AS shared;
RESET ROLE;
-- readers read, other companies find nothing
SET LOCAL ROLE regress_crm_reader;
SELECT regress_api.list_records('accounts', '{"name": {"like": "regress%"}}', 'name') #> '{records,0,name}' AS first;
SELECT regress_api.create_record('accounts', '{"name": "x"}');
SELECT pg_temp.fault($$SELECT crm.call('create_record', '{"entity": "accounts", "data": {"name": "x"}}')$$);
RESET ROLE;
SET LOCAL ROLE regress_crm_other;
SELECT regress_api.find_record('accounts', 'erp', 'C-17') AS found, jsonb_array_length(regress_api.list_records('accounts') -> 'records') AS accounts;
SELECT regress_api.upsert_record('accounts', 'erp', 'C-17', '{"name": "Another company''s"}') ->> 'action' AS action;
SELECT pg_temp.fault('SELECT regress_api.get_record(''accounts'', 980101)');
RESET ROLE;

-- versions, custom fields, deletion
INSERT INTO crm.custom_fields (table_name, name, type) VALUES ('accounts', 'regress_size', 'number'), ('accounts', 'regress_note', 'text');
SET LOCAL ROLE regress_crm_agent;
SELECT r -> 'custom' AS custom, r ->> 'version' AS version FROM regress_api.update_record('accounts', :second, '{"custom": {"regress_size": 3}}', 1) AS r;
SELECT r -> 'custom' AS custom FROM regress_api.update_record('accounts', :second, '{"custom": {"regress_note": "x"}}') AS r;
SELECT pg_temp.fault(format('SELECT regress_api.update_record(''accounts'', %s, ''{"city": "x"}'', 1)', :second));
SELECT regress_api.delete_record('accounts', crm.find_record('accounts', 'erp', 'C-17')) ->> 'name';
SELECT regress_api.delete_record('contacts', crm.find_record('contacts', 'erp', 'P-1')) ->> 'name' AS gone;
SELECT regress_api.delete_record('accounts', crm.find_record('accounts', 'erp', 'C-17')) ->> 'name' AS gone;
SELECT count(*) AS names_left FROM crm.external_ids AS x WHERE x.external_id IN ('C-17', 'P-1', 'P-1-mail');
SELECT regress_api.upsert_record('accounts', 'erp', 'C-17', '{"name": "Begun anew"}') ->> 'action' AS action;
RESET ROLE;

-- lists: pages in both directions over equal and missing keys have each row once
INSERT INTO crm.accounts (name, city, employees) SELECT 'Page ' || g, 'Regress page', nullif(g % 4, 0) FROM generate_series(1, 11) AS g;
SET LOCAL ROLE regress_crm_manager;
CREATE TEMP TABLE pages (order_by text, n integer, id bigint);
DO $$
DECLARE o text; cursor_ text; page jsonb;
BEGIN
    FOREACH o IN ARRAY '{id,-id,employees,-employees,name,-created_at}'::text[] LOOP
        cursor_ := NULL;
        LOOP
            page := regress_api.list_records('accounts', '{"city": "Regress page"}', o, cursor_, 3);
            INSERT INTO pages SELECT o, (SELECT count(*) FROM pages AS p WHERE p.order_by = o) + r.n, (r.value ->> 'id')::bigint
            FROM jsonb_array_elements(page -> 'records') WITH ORDINALITY AS r (value, n);
            cursor_ := page ->> 'next';
            EXIT WHEN cursor_ IS NULL;
        END LOOP;
    END LOOP;
END
$$;
SELECT p.order_by, count(*), count(DISTINCT p.id), string_agg(coalesce(a.employees::text, '-'), '' ORDER BY p.n) AS employees FROM pages AS p JOIN crm.accounts AS a USING (id) GROUP BY p.order_by ORDER BY 1;
SELECT jsonb_array_length(regress_api.list_records('accounts', f) -> 'records') AS found, f FROM unnest(ARRAY['{"city": "Regress page", "employees": null}', '{"city": "Regress page", "employees": [1, 2]}',
    '{"city": "Regress page", "employees": {"gte": 2, "lt": 3}}', '{"city": "Regress page", "employees": {"ne": 2}}', '{"city": "Regress page", "employees": {"null": false}}',
    '{"city": {"like": "regress p%"}, "roles": ["prospect"]}', '{"city": "Regress page", "custom": {"contains": {}}}']::jsonb[]) AS f;
SELECT pg_temp.fault('SELECT regress_api.list_records(''accounts'', ' || a || ')') - 'hint' AS refused FROM unnest(ARRAY['''{"town": 1}''', '''{"employees": {"near": 1}}''', '''{"employees": "many"}''',
    'order_by => ''town''', 'page_size => 0', 'after => ''x''', 'after => ''' || (regress_api.list_records('accounts', page_size => 1) ->> 'next') || ''', order_by => ''name''', '''[]''',
    '''{"city'''' = 1; --": 1}''']) AS a;
RESET ROLE;

-- a command with a key is done once, for its caller
SET LOCAL ROLE regress_crm_agent;
SET LOCAL crm.request_id = 'regress-1';
SELECT regress_api.capture_lead('{"name": "Once Only", "email": "once@regress.test"}') ->> 'capture_count' AS captured;
SELECT regress_api.capture_lead('{"name": "Once Only", "email": "once@regress.test"}') ->> 'capture_count' AS captured;
SELECT pg_temp.fault($$SELECT regress_api.capture_lead('{"name": "Another"}')$$);
SELECT pg_temp.fault($$SELECT regress_api.open_ticket('Another')$$);
-- reading needs no key; what failed may be sent again
SELECT regress_api.find_record('accounts', 'erp', 'none') AS read;
SET LOCAL crm.request_id = 'regress-2';
SELECT pg_temp.fault($$SELECT regress_api.open_ticket('', channel => 'x')$$) ->> 'is' AS is;
SELECT pg_temp.fault($$SELECT regress_api.open_ticket('')$$) ->> 'is' AS is;
SELECT regress_api.open_ticket('At last') ->> 'subject' AS subject;
-- a default that is now is no other command
SET LOCAL crm.request_id = 'regress-3';
SELECT count(DISTINCT regress_api.add_ticket_message(t.id, 'Hello') ->> 'id') AS messages FROM crm.tickets AS t, generate_series(1, 2) WHERE t.subject = 'At last';
SELECT count(*) AS readable FROM crm.api_requests;
RESET ROLE;
SET LOCAL ROLE regress_crm_manager;
SET LOCAL crm.request_id = 'regress-1';
SELECT regress_api.capture_lead('{"name": "Once Only", "email": "once@regress.test"}') ->> 'capture_count' AS somebody_else;
RESET ROLE;
SELECT count(*) FROM crm.api_requests;
SELECT crm.forget_requests(now() + interval '8 days') AS forgotten;
RESET crm.request_id;

-- what merges takes its names along
SELECT crm.upsert_record('leads', 'erp', 'L-1', '{"name": "Lead one"}') ->> 'id' AS one, crm.upsert_record('leads', 'erp', 'L-2', '{"name": "Lead two"}') ->> 'id' AS two \gset
SELECT count(*) AS merged FROM crm.merge_leads(:two, :one);
SELECT crm.find_record('leads', 'erp', 'L-2') = :one AS goes_on;

-- an API is made again without harm, follows access, and overwrites nothing
SELECT crm.create_api('regress_api') = count(*) AS again FROM pg_proc AS p WHERE p.pronamespace = 'regress_api'::regnamespace;
SELECT g.access FROM crm.grant_access('regress_crm_manager', 'reader') AS g;
SELECT has_function_privilege('regress_crm_manager', 'regress_api.get_record(text,bigint)', 'EXECUTE') AS reads,
       has_function_privilege('regress_crm_manager', 'regress_api.create_record(text,jsonb)', 'EXECUTE') AS writes;
SELECT crm.revoke_access('regress_crm_manager'), has_schema_privilege('regress_crm_manager', 'regress_api', 'USAGE') AS usage;
CREATE SCHEMA regress_app;
CREATE FUNCTION regress_app.move(x integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
SELECT crm.create_api('regress_app');
SELECT crm.create_api('crm');
SELECT crm.create_api('public');
ROLLBACK;
