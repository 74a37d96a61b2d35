-- Rows as conditions see them.
CREATE FUNCTION crm.row_facts(row_value record, without text[]) RETURNS jsonb
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_row_facts';
COMMENT ON FUNCTION crm.row_facts(record, text[]) IS
'A row without some of its columns and without nulls: the same as jsonb_strip_nulls(to_jsonb(row_value) - without), at a fraction of the cost. NULL for a null row.';

CREATE FUNCTION crm.row_holds(row_value record, condition jsonpath) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_row_holds';
COMMENT ON FUNCTION crm.row_holds(record, jsonpath) IS
'Whether a condition holds for a row: crm.condition_holds(to_jsonb(row_value), condition), at a fraction of the cost, as only columns that the condition names are looked at. A NULL condition always holds.';

CREATE FUNCTION crm.path_holds(record jsonb, condition jsonpath) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_path_holds';
COMMENT ON FUNCTION crm.path_holds(jsonb, jsonpath) IS
'Whether a SQL/JSON path holds for a record: a predicate that is true, or a filter that finds something. What cannot be compared or computed does not '
'hold; dates without a time zone are taken in UTC, whatever the session''s.';

CREATE FUNCTION crm.kept_value(query text, VARIADIC arguments "any") RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_kept_value';
COMMENT ON FUNCTION crm.kept_value(text, "any") IS
'Runs a query with arguments $1 and on, with the caller''s rights, and returns the first column, a jsonb, of its first row; NULL where there is none. '
'What EXECUTE does, but its plan is kept by the text: for functions that make the query of a table''s name and columns. At most a hundred texts '
'a session are kept. A query that finds many rows says LIMIT 1 itself. Errors: 42804 where the column is not a jsonb.';
SELECT crm.declare_function('crm.kept_value', 'owner');

CREATE FUNCTION crm.keep_incomplete(checked boolean DEFAULT true) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_keep_incomplete';
COMMENT ON FUNCTION crm.keep_incomplete(boolean) IS
'What is stored until the calling function returns (one with settings of its own, as SET search_path) may lack required custom fields and required '
'columns of stages: for functions that take in what must not be lost. crm_analytics.incomplete_records lists it. checked false: '
'custom fields are not checked at all, as where the rows they come from have been. Only for the owner of the CRM.';
SELECT crm.declare_function('crm.keep_incomplete', 'owner');

CREATE FUNCTION crm.keep_written() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_keep_written';
COMMENT ON FUNCTION crm.keep_written() IS
'What is stored until the calling function returns (one with settings of its own, as SET search_path) keeps the values it is given in columns that the CRM '
'writes (crm.column_rules, purpose write), such as created_at. For imports.';
SELECT crm.declare_function('crm.keep_written', 'admin');

CREATE FUNCTION crm.because(cause text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_because';
COMMENT ON FUNCTION crm.because(text) IS
'What the calling function (one with settings of its own, as SET search_path) writes until it returns has this cause, unless its caller said one in crm.cause.';
SELECT crm.declare_function('crm.because', 'reader');

CREATE FUNCTION crm.cause() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_cause';
COMMENT ON FUNCTION crm.cause() IS
'Why rows are written now: the setting crm.cause, else the reason of crm.begin_history(); NULL: nothing was said.';

CREATE FUNCTION crm.event_transaction() RETURNS xid8
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_event_transaction';
COMMENT ON FUNCTION crm.event_transaction() IS
'Number of the transaction that writes an event: default of crm.events.xact. Wakes those who listen to crm_events when it commits, where a '
'subscription asks for it.';
SELECT crm.declare_function('crm.event_transaction', 'agent');

CREATE FUNCTION crm.server_number() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_server_number';
COMMENT ON FUNCTION crm.server_number() IS 'Number of this server, under which crm.event_servers knows it.';
SELECT crm.declare_function('crm.server_number', 'owner');

CREATE FUNCTION crm.kept_text(maker text, subject text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_kept_text';
COMMENT ON FUNCTION crm.kept_text(text, text) IS
'What the function crm_internal.<maker>(text) says of a registered table, such as the query for crm.kept_value(); kept by each session until the '
'registry or the table changes. NULL, which is asked anew each time, where it says nothing.';
SELECT crm.declare_function('crm.kept_text', 'owner');

CREATE FUNCTION crm.set_by_trigger() RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE      -- every INSERT evaluates it: a function in SQL would be read and inlined each time
AS 'MODULE_PATHNAME', 'crm_set_by_trigger';
COMMENT ON FUNCTION crm.set_by_trigger() IS
'NULL: the default of a column that may not be NULL and that a trigger fills where it is not given. So generators of clients do not ask for it.';

CREATE FUNCTION crm.refuse_rows_alone() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_refuse_rows_alone';
COMMENT ON FUNCTION crm.refuse_rows_alone() IS
'Statement trigger of every table of the CRM: refuses rows in sessions that pg_dump has written the settings of. Error 55000.';

CREATE FUNCTION crm.if_changed() RETURNS trigger
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'crm_if_changed';
COMMENT ON FUNCTION crm.if_changed() IS
'Trigger (''function'', ''columns'', ...), for each row or after a statement with tables of old and new rows: calls a trigger function of schema crm_internal '
'where an UPDATE has changed one of the columns (''a,b''), or one other than those (''-a,b''), and for INSERT and DELETE. '
'Further arguments are the function''s.';
