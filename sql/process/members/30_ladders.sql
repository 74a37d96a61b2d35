-- Escalation: when steps fall due, and firing them.

CREATE FUNCTION crm.schedule_escalation() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_schedule_escalation';
COMMENT ON FUNCTION crm.schedule_escalation() IS
'BEFORE row trigger of crm.sla_clocks: keeps escalate_at, the instant of the next step of the clock''s ladder.';

CREATE FUNCTION crm.escalate(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'crm_escalate';
COMMENT ON FUNCTION crm.escalate(timestamptz, integer) IS
'Does the steps of escalation ladders that are due, the oldest first, for all tenants and at most for batch clocks; returns how many steps were done. A step that reaches nobody, whose recipients are nobody at work, goes to who leads the team of the queue, else the managers, else the admins; where there is none of these, its outcome is nobody and an event escalation.nobody is written. Each step is done once for each cycle of a clock, whoever and however many call this; repeats that were missed are made good by one; what was met, paused, cancelled or put off meanwhile is not done. A step that fails is written down as failed and does not keep the others from being done. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.escalate', 'owner');

CREATE FUNCTION crm.escalation_schedule(subject_type text, subject_id bigint)
RETURNS TABLE (metric text, cycle integer, step_id bigint, repeat_no integer, scheduled_at timestamptz)
LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 6
AS 'MODULE_PATHNAME', 'crm_escalation_schedule';
COMMENT ON FUNCTION crm.escalation_schedule(text, bigint) IS
'Steps to come of a subject''s running clocks as things stand: each with its next repeat and the instant it is due (past: the next pass does it).';
