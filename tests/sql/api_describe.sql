-- The CRM described to programs, filtered by what they may do, and calls that are tried and taken back.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
BEGIN;
\i :helper
INSERT INTO crm.users (id, name, access) VALUES (981001, 'Api agent', 'agent'), (981002, 'Api colleague', 'agent');
SELECT g.access FROM crm.grant_access('regress_crm_agent', 'agent', 981001) AS g;
\t on
-- whatever is described has a meaning, and can be described; what is offered to applications has an example
SELECT e.key AS entity_without_meaning FROM jsonb_each_text(crm.describe() -> 'entities') AS e WHERE coalesce(e.value, '') = '';
SELECT d ->> 'name' AS entity, c.value ->> 'name' AS column_without_meaning FROM jsonb_object_keys(crm.describe() -> 'entities') AS e, crm.describe(e) AS d, jsonb_array_elements(d -> 'columns') AS c
WHERE NOT c.value ? 'meaning' OR d ->> 'kind' <> 'entity';
SELECT r AS report FROM jsonb_object_keys(crm.describe() -> 'reports') AS r, crm.describe(r) AS d WHERE d ->> 'kind' <> 'report' OR coalesce(d ->> 'grain', '') = '' OR NOT d ? 'columns';
SELECT f AS function FROM jsonb_object_keys(crm.describe() -> 'functions') AS f, crm.describe(f) AS d WHERE d ->> 'kind' <> 'function' OR NOT d ?& '{meaning,example,call,level,effects}';
SELECT f AS function FROM jsonb_array_elements_text(crm.describe() -> 'more_functions') AS f, crm.describe(f) AS d WHERE d ->> 'kind' NOT IN ('function', 'aggregate') OR NOT d ? 'meaning';
-- values of each CHECK that lists some are found
SELECT k.conrelid::regclass AS "table", a.attname AS values_not_found FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
WHERE k.connamespace = 'crm'::regnamespace AND k.contype = 'c' AND pg_get_constraintdef(k.oid) ~ 'ANY \(ARRAY\[''' AND crm.known_values(k.conrelid, a.attname) IS NULL;
-- an example fits its function: whatever goes wrong is about the records, not about the call
SELECT a.name, c -> 'error' FROM crm.api_functions() AS a, crm.check_call(a.name, a.example) AS c WHERE c #>> '{error,sqlstate}' IN ('22023', '22P02', '42703', '42883', '42P01', '42809');

-- each level is shown what it may read and call, and no more
CREATE TEMP TABLE shown (level text, kind text, name text);
GRANT ALL ON shown TO PUBLIC;
\set show 'INSERT INTO shown SELECT crm.user_access(), k, n FROM crm.describe() AS d, unnest(\'{entities,functions,reports}\'::text[]) AS k, jsonb_object_keys(d -> k) AS n UNION ALL SELECT crm.user_access(), \'more_functions\', n FROM jsonb_array_elements_text(crm.describe() -> \'more_functions\') AS n;'
SET LOCAL ROLE regress_crm_reader;
:show
SET LOCAL ROLE regress_crm_agent;
:show
SET LOCAL ROLE regress_crm_manager;
:show
SET LOCAL ROLE regress_crm_admin;
:show
RESET ROLE;
SELECT s.level, s.name AS shown_but_not_allowed FROM shown AS s
WHERE s.kind LIKE '%functions' AND NOT EXISTS (SELECT FROM pg_proc AS p WHERE s.name IN (p.proname, p.oid::regproc::text) AND p.pronamespace::regnamespace::text LIKE 'crm%'
      AND has_function_privilege('regress_crm_' || s.level, p.oid, 'EXECUTE'))
   OR s.kind = 'entities' AND NOT has_table_privilege('regress_crm_' || s.level, crm.subject_relation(s.name), 'SELECT')
   OR s.kind = 'reports' AND NOT has_table_privilege('regress_crm_' || s.level, s.name, 'SELECT');
\t off
SELECT s.name, string_agg(s.level, ' ' ORDER BY array_position('{reader,agent,manager,admin}', s.level)) AS levels FROM shown AS s
WHERE s.name IN ('accounts', 'event_servers', 'access_grants', 'get_record', 'create_record', 'capture_lead', 'crm.define_segment', 'crm.install', 'crm.bgnbd_fit') GROUP BY s.name ORDER BY s.name COLLATE "C";
SET LOCAL ROLE regress_crm_agent;
SELECT crm.describe('event_servers');
SELECT crm.describe('define_segment');
SELECT crm.describe() -> 'you' ->> 'level' AS level, crm.describe() -> 'you' -> 'user' AS me;
SELECT d -> 'you_may' AS accounts, crm.describe('priorities') -> 'you_may' AS priorities FROM crm.describe('accounts') AS d;
RESET ROLE;

-- an entity: meaning, units, values, references, rules, custom fields, stages
INSERT INTO crm.custom_fields (table_name, name, type, choices) VALUES ('tickets', 'regress_floor', 'choice', '{ground,first}');
SET LOCAL ROLE regress_crm_agent;
SELECT c.value - 'meaning' AS "column" FROM jsonb_array_elements(crm.describe('tickets') -> 'columns') AS c
WHERE c.value ->> 'name' IN ('subject', 'channel', 'priority', 'contact_id', 'resolved_at', 'version', 'custom');
SELECT c.value - 'meaning' AS "column" FROM jsonb_array_elements(crm.describe('opportunities') -> 'columns') AS c WHERE c.value ->> 'name' IN ('amount', 'currency_', 'probability', 'expected_close_date');
SELECT c.value ->> 'unit' AS unit FROM jsonb_array_elements(crm.describe('sla_targets') -> 'columns') AS c WHERE c.value ->> 'name' = 'seconds';
SELECT d -> 'custom_fields' AS fields, jsonb_path_query_array(d, '$.pipelines[*].stages[*].code') AS stages, d -> 'key' AS key FROM crm.describe('tickets') AS d;
SELECT r.value AS referred_to_by FROM jsonb_array_elements(crm.describe('tickets') -> 'referred_to_by') AS r WHERE r.value ->> 'entity' IN ('ticket_messages', 'orders');
-- a function: arguments, effects, errors
SELECT d ->> 'level' AS level, d -> 'effects' -> 'acts_as_owner' AS as_owner, d -> 'effects' -> 'tables' ? 'lead_conversions' AS effect, jsonb_path_query_array(d, '$.errors[*].sqlstate') AS errors,
       jsonb_path_query_array(d, '$.arguments[*] ? (@.required == true).name') AS required
FROM crm.describe('convert_lead') AS d;
RESET ROLE;
-- another company has its own
SET LOCAL ROLE regress_crm_other;
SELECT d ? 'custom_fields' AS fields, jsonb_array_length(d -> 'pipelines') AS pipelines FROM crm.describe('tickets') AS d;
RESET ROLE;

-- what a trigger fills has a default, so that nobody is asked for it: a row of what is required alone, where no reference is needed, can be made
\t on
CREATE TEMP TABLE filled AS SELECT d ->> 'name' AS entity, crm.check_call('create_record', jsonb_build_object('entity', d ->> 'name', 'data',
    (SELECT coalesce(jsonb_object_agg(c.value ->> 'name', coalesce(c.value #> '{values,0}', to_jsonb('regress'::text))), '{}')
     FROM jsonb_array_elements(d -> 'columns') AS c WHERE c.value ? 'required'))) AS checked
FROM crm.entities() AS e, crm.describe(e.entity) AS d WHERE e.class = 'owned';
SELECT f.entity, f.checked #>> '{error,column}' AS asks_for FROM filled AS f WHERE f.checked #>> '{error,sqlstate}' = '23502';
\t off
SELECT c.value ->> 'name' AS "column", c.value ->> 'default' AS "default" FROM jsonb_array_elements(crm.describe('opportunities') -> 'columns') AS c WHERE c.value ->> 'name' IN ('pipeline_id', 'currency');

-- ---- tried and taken back ----
INSERT INTO crm.accounts (id, name, owner_id) VALUES (981101, 'Checked', 981001), (981102, 'A colleague''s', 981002);
INSERT INTO crm.contact_points (account_id, kind, value) VALUES (981101, 'email', 'a@checked.test'), (981101, 'phone', '12345678');
INSERT INTO crm.leads (id, name, company, email, owner_id) VALUES (981201, 'Checked lead', 'Checked', 'lead@checked.test', 981001);
CREATE FUNCTION pg_temp.short(c jsonb) RETURNS TABLE (subject text, counts text, rows bigint) LANGUAGE sql AS $$
    SELECT t.key, concat_ws(' ', t.value ->> 'inserted', t.value ->> 'updated', t.value ->> 'deleted'), jsonb_array_length(t.value -> 'rows')
    FROM jsonb_each(c -> 'changes') AS t ORDER BY t.key COLLATE "C"
$$;
CREATE TEMP VIEW all_rows AS SELECT 'accounts' AS t, count(*), sum(a.version) FROM crm.accounts AS a UNION ALL SELECT 'leads', count(*), sum(l.version) FROM crm.leads AS l
UNION ALL SELECT 'contacts', count(*), sum(c.version) FROM crm.contacts AS c UNION ALL SELECT 'contact_points', count(*), 0 FROM crm.contact_points
UNION ALL SELECT 'stage_periods', count(*), sum(p.seq) FROM crm.stage_periods AS p UNION ALL SELECT 'events', count(*), 0 FROM crm.events;
CREATE TEMP TABLE rows_before AS SELECT * FROM all_rows;
SET LOCAL ROLE regress_crm_agent;
SELECT c -> 'ok' AS ok, c #>> '{answer,city}' AS answer, c #> '{changes,accounts,rows,0,key}' AS key, (c #> '{changes,accounts,rows,0,before}') - 'updated_at' AS before,
       (c #> '{changes,accounts,rows,0,after}') - 'updated_at' AS after
FROM crm.check_call('update_record', '{"entity": "accounts", "id": 981101, "data": {"city": "Rome"}}') AS c;
SELECT s.* FROM crm.check_call('delete_record', '{"entity": "accounts", "id": 981101}') AS c, pg_temp.short(c) AS s;
SELECT s.* FROM crm.check_call('convert_lead', '{"lead_id": 981201}') AS c, pg_temp.short(c) AS s;
SELECT c -> 'ok' AS ok, (c -> 'error') - 'hint' - 'detail' AS error FROM crm.check_call('update_record', '{"entity": "accounts", "id": 981102, "data": {}}') AS c;
SELECT (c -> 'error') - 'detail' AS error FROM crm.check_call('open_ticket', '{"subject": "x", "priority": "none"}') AS c;
SELECT (c -> 'error') - 'detail' AS error FROM crm.check_call('define_pipeline', '{}') AS c;
SELECT (c -> 'error') - 'hint' AS error FROM crm.check_call('get_record', '{"entity": "accounts", "id": 981102}') AS c;
SELECT c FROM crm.check_call('user_id') AS c;
-- one after the other, and one in the other
SELECT c -> 'changes' AS outer, c #> '{answer,ok}' AS inner_ok FROM crm.check_call('check_call', '{"function": "create_record", "arguments": {"entity": "accounts", "data": {"name": "x"}}}') AS c;
RESET ROLE;
-- nothing stayed, in tables that a caller cannot read neither
SELECT * FROM rows_before EXCEPT SELECT * FROM all_rows;
-- what was foretold is what happens
SET LOCAL ROLE regress_crm_agent;
CREATE TEMP TABLE foretold AS SELECT s.* FROM crm.check_call('convert_lead', '{"lead_id": 981201}') AS c, pg_temp.short(c) AS s;
CREATE TEMP TABLE earlier AS SELECT * FROM crm.write_counts();
SELECT crm.call('convert_lead', '{"lead_id": 981201}') ->> 'account_matched_by' AS account;
SELECT w.subject, concat_ws(' ', w.inserted - e.inserted, w.updated - e.updated, w.deleted - e.deleted) AS happened FROM crm.write_counts() AS w JOIN earlier AS e USING (subject)
WHERE (w.inserted, w.updated, w.deleted) IS DISTINCT FROM (e.inserted, e.updated, e.deleted) AND w.subject NOT IN (SELECT f.subject FROM foretold AS f);
RESET ROLE;
-- what is checked at the end of a transaction, too
CREATE TABLE public.regress_late (tenant_id bigint DEFAULT crm.tenant_id(), id bigint GENERATED BY DEFAULT AS IDENTITY, n integer, PRIMARY KEY (tenant_id, id), CONSTRAINT regress_late_n_key UNIQUE (n) DEFERRABLE INITIALLY DEFERRED);
SELECT crm.attach('public.regress_late', '{"class": "work"}');
INSERT INTO public.regress_late (n) VALUES (1);
SET LOCAL ROLE regress_crm_agent;
SELECT (c -> 'error') - 'detail' AS error FROM crm.check_call('create_record', '{"entity": "public.regress_late", "data": {"n": 1}}') AS c;
SELECT s.* FROM crm.check_call('create_record', '{"entity": "public.regress_late", "data": {"n": 2}}') AS c, pg_temp.short(c) AS s;
RESET ROLE;
ROLLBACK;
