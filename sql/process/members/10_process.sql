-- Changes of stage: the guard, the recorder, which moves are allowed, and moving any record.

CREATE FUNCTION crm.guard_stage() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_guard_stage';
COMMENT ON FUNCTION crm.guard_stage() IS
'BEFORE INSERT OR UPDATE row trigger of every table with stages, put there by crm.attach_process: checks the move, fills pipeline, stage, probability '
'and dates. Errors: CR101 move not allowed, CR102 required columns empty, CR103 approval missing, CR104 condition fails, CR105 access level refused, '
'CR106 loss reason missing, CR107 unknown stage or pipeline, 22003 amount or probability not finite.';

CREATE FUNCTION crm.record_stage() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_record_stage';
COMMENT ON FUNCTION crm.record_stage() IS
'AFTER trigger of every table with stages, put there by crm.attach_process: keeps crm.stage_periods.';

CREATE FUNCTION crm.allowed_moves_of(subject_table text, subject_id bigint)
RETURNS TABLE (stage_id bigint, stage_code text, stage_name text, stage_type text, allowed boolean,
               missing_columns text[], approval text, approval_access text, reason text)
LANGUAGE c STABLE STRICT ROWS 8
AS 'MODULE_PATHNAME', 'crm_allowed_moves_of';
COMMENT ON FUNCTION crm.allowed_moves_of(text, bigint) IS
'Every other active stage of a row''s pipeline, in order: whether the caller may move the row there now, which columns are still to be filled, whether '
'an approval is needed, requested or approved, and why not. subject_table as in crm.pipelines.subject_table. Error P0002 where the row is not there or '
'not visible.';
SELECT crm.declare_api('crm.allowed_moves_of', '{"subject_table": "opportunities", "subject_id": 1}');

CREATE FUNCTION crm.move(subject_table text, id bigint, stage text, changes jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_move';
COMMENT ON FUNCTION crm.move(text, bigint, text, jsonb) IS
'Moves a row of any table with a process to another stage of its pipeline, given by its code, and fills columns in the same write: changes is {column: '
'value}; custom is merged, null empties a column, and version makes sure nobody else changed the row meanwhile (CR201). subject_table as in '
'crm.pipelines.subject_table. Returns the row as jsonb; crm.move_row() returns it as it is. Errors: those of crm.guard_stage; 42703 for what is no '
'column or not to be changed with a move, with the others named; 22xxx for a value that is none of its column; P0002 where the row is not there or not '
'visible, 42501 where it may not be changed, CR107 for an unknown stage, 42809 for a table without a process, 42P01 for none at all.';
SELECT crm.declare_api('crm.move', '{"subject_table": "opportunities", "id": 1, "stage": "won", "changes": {"amount": 5000}}');

CREATE FUNCTION crm.move_row(like_row anyelement, id bigint, stage text, changes jsonb DEFAULT '{}') RETURNS anyelement
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_move_row';
COMMENT ON FUNCTION crm.move_row(anyelement, bigint, text, jsonb) IS
'crm.move() that returns the row as a row. The first argument says which table: NULL::crm.opportunities.';

CREATE FUNCTION crm.bypass_guards(reason text) RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'crm_bypass_guards';
COMMENT ON FUNCTION crm.bypass_guards(text) IS
'Until the transaction ends, moves are made without asking transitions, guards, required columns, loss reasons or approvals. Every period written '
'meanwhile carries the reason. Stages, pipelines and amounts are still checked. Only the owner of the CRM and its administrators; error 42501 for '
'others.';
SELECT crm.declare_function('crm.bypass_guards', 'admin');

CREATE FUNCTION crm.begin_history(reason text) RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'crm_begin_history';
COMMENT ON FUNCTION crm.begin_history(text) IS
'For imports: like crm.bypass_guards, and rows keep the stage_entered_at, closed_at and close_date they are given; their periods begin then. Only the '
'owner of the CRM and its administrators; error 42501 for others.';
SELECT crm.declare_function('crm.begin_history', 'admin');

CREATE FUNCTION crm.end_history() RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'crm_end_history';
COMMENT ON FUNCTION crm.end_history() IS
'Ends what crm.begin_history() began before the transaction does: later moves happen now, and guards are asked.';

