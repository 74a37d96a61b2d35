-- The rollup engine: what triggers call and what crm.create_rollup() is made of.

CREATE FUNCTION crm.rollup_row() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_rollup_row';
COMMENT ON FUNCTION crm.rollup_row() IS
'AFTER ROW trigger of a rollup source, made by crm.create_rollup(): collects what the row adds to rollups or takes from them.';

CREATE FUNCTION crm.rollup_flush() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_rollup_flush';
COMMENT ON FUNCTION crm.rollup_flush() IS
'AFTER STATEMENT trigger of a rollup source, made by crm.create_rollup(): appends what the statement has collected to the delta table.';

CREATE FUNCTION crm.rollup_truncate() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_rollup_truncate';
COMMENT ON FUNCTION crm.rollup_truncate() IS
'TRUNCATE trigger of a rollup source, made by crm.create_rollup(): empties the rollups with it, or counts one truncated partition out.';

CREATE FUNCTION crm.rollup_fold(source_id bigint) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_rollup_fold';
COMMENT ON FUNCTION crm.rollup_fold(bigint) IS
'Moves the pending deltas of a source into the bases of its rollups and returns how many there were. For crm.fold_rollups(), which sees to it that one session does it at a time. Needs the rights to delete deltas and to write the bases. Errors: 40001 in a REPEATABLE READ transaction that is too old, CR501 a broken rollup.';
SELECT crm.declare_function('crm.rollup_fold', 'owner');

CREATE FUNCTION crm.rollup_parse(source regclass, keys text[], measures text[], filter text)
RETURNS TABLE (role text, name text, aggregate text, expression text, condition text, type text)
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'crm_rollup_parse';
COMMENT ON FUNCTION crm.rollup_parse(regclass, text[], text[], text) IS
'Checks the declaration of a rollup against its source and returns its parts in one normal form: a row for each key, measure and filter. Errors say what a rollup cannot keep, and why.';
SELECT crm.declare_function('crm.rollup_parse', 'owner');

CREATE FUNCTION crm.rollup_expression(source regclass, expression text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_rollup_expression';
COMMENT ON FUNCTION crm.rollup_expression(regclass, text) IS
'An expression over one row of a table, checked and printed in one normal form.';
SELECT crm.declare_function('crm.rollup_expression', 'owner');

CREATE FUNCTION crm.rollup_columns(source_view regclass)
RETURNS TABLE (column_name text, expression text)
LANGUAGE c STABLE STRICT PARALLEL UNSAFE ROWS 10
AS 'MODULE_PATHNAME', 'crm_rollup_columns';
COMMENT ON FUNCTION crm.rollup_columns(regclass) IS
'The columns of a rollup source and the expressions they are made from, with the names that the columns of the source have now.';
SELECT crm.declare_function('crm.rollup_columns', 'owner');

CREATE FUNCTION crm.rollup_condition(source_view regclass) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_rollup_condition';
COMMENT ON FUNCTION crm.rollup_condition(regclass) IS
'Condition over OLD and NEW, for the WHEN clause of a trigger: some column that the rollups of the source read has changed. Their own triggers compare in C.';
SELECT crm.declare_function('crm.rollup_condition', 'owner');

CREATE FUNCTION crm.bytes_differ(VARIADIC pairs "any") RETURNS boolean
LANGUAGE c IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_bytes_differ';
COMMENT ON FUNCTION crm.bytes_differ("any") IS
'Whether in a list of pairs, a1, b1, a2, b2 ..., some pair differs in its bytes: stricter than equality of their type (1.0 and 1.00 are equal numbers with different text). NULL is the same as NULL.';

CREATE FUNCTION crm.rollup_lock(source regclass) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_rollup_lock';
COMMENT ON FUNCTION crm.rollup_lock(regclass) IS
'Keeps writers out of a table and its partitions until the transaction ends; readers go on. Needs the TRIGGER privilege. Error 25001 outside READ COMMITTED.';
SELECT crm.declare_function('crm.rollup_lock', 'owner');

CREATE FUNCTION crm.rollup_ddl() RETURNS event_trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_rollup_ddl';
COMMENT ON FUNCTION crm.rollup_ddl() IS
'Event trigger: partitions of rollup sources that are attached, detached, created or dropped are counted in or out; rollups whose definition went by CASCADE are dropped.';

CREATE EVENT TRIGGER crm_rollup_start ON ddl_command_start WHEN TAG IN ('DROP TABLE')
EXECUTE FUNCTION crm.rollup_ddl();
CREATE EVENT TRIGGER crm_rollup_end ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE')
EXECUTE FUNCTION crm.rollup_ddl();
CREATE EVENT TRIGGER crm_rollup_drop ON sql_drop
WHEN TAG IN ('ALTER TABLE', 'DROP TABLE', 'DROP VIEW', 'DROP SCHEMA', 'DROP FUNCTION', 'DROP TYPE', 'DROP OWNED')
EXECUTE FUNCTION crm.rollup_ddl();
