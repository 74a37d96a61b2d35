-- Service clocks: the automaton.
CREATE FUNCTION crm.sla_fold(subject_type text, subject_id bigint, as_of timestamptz DEFAULT NULL,
                             known_at timestamptz DEFAULT NULL, tenant_id bigint DEFAULT crm.tenant_id())
RETURNS TABLE (metric text, cycle integer, state text, policy_id bigint, target_id bigint, target_seconds double precision,
               calendar_id bigint, started_at timestamptz, counted_from timestamptz, running_since timestamptz,
               paused_since timestamptz, stopped_at timestamptz, due_at timestamptz, due_pinned boolean,
               due_before_change boolean, breached_at timestamptz, stretches timestamptz[], stretch_calendars bigint[])
LANGUAGE c STABLE PARALLEL SAFE ROWS 4
AS 'MODULE_PATHNAME', 'crm_sla_fold';
COMMENT ON FUNCTION crm.sla_fold(text, bigint, timestamptz, timestamptz, bigint) IS
'Clocks of a subject, computed from its events in crm.sla_events. as_of: only what had happened by then, and breaches up to that instant included; NULL: everything, as stored in crm.sla_clocks. known_at: only what had been recorded by then. Time used is the business time of stretches (from and to in turn, counted by calendar_id or by stretch_calendars) and from running_since on.';

CREATE FUNCTION crm.sla_due(calendar_id bigint, seconds double precision, running_since timestamptz,
                            stretches timestamptz[] DEFAULT NULL, stretch_calendars bigint[] DEFAULT NULL,
                            tenant_id bigint DEFAULT crm.tenant_id())
RETURNS timestamptz
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sla_due';
COMMENT ON FUNCTION crm.sla_due(bigint, double precision, timestamptz, timestamptz[], bigint[], bigint) IS
'Instant at which a clock has used that many seconds, given the stretches in which it ran and since when it runs (NULL: it rests); NULL where it does not come to that. calendar_id NULL counts calendar time; stretch_calendars holds 0 for that. With a share of the target it gives the instant of a warning.';

CREATE FUNCTION crm.sla_used(calendar_id bigint, as_of timestamptz, running_since timestamptz,
                             stretches timestamptz[] DEFAULT NULL, stretch_calendars bigint[] DEFAULT NULL,
                             tenant_id bigint DEFAULT crm.tenant_id())
RETURNS double precision
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sla_used';
COMMENT ON FUNCTION crm.sla_used(bigint, timestamptz, timestamptz, timestamptz[], bigint[], bigint) IS
'Seconds a clock has used up to as_of; see crm.sla_due().';

CREATE FUNCTION crm.is_promised(subject_type text) RETURNS boolean
LANGUAGE c STABLE STRICT
AS 'MODULE_PATHNAME', 'crm_is_promised';
COMMENT ON FUNCTION crm.is_promised(text) IS
'Whether an active policy of any company is about a kind of subject; kept by each session until a policy changes.';
SELECT crm.declare_function('crm.is_promised', 'owner');

CREATE FUNCTION crm.tell_clocks() RETURNS trigger
LANGUAGE c VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET jit = off  -- a plan kept from when there were no subjects would read all of them
AS 'MODULE_PATHNAME', 'crm_tell_clocks';
COMMENT ON FUNCTION crm.tell_clocks() IS
'Statement trigger (''subject type'') of tables registered for clocks: calls crm_internal.follow_clocks() where something is promised for new rows, or '
'clocks of the table are kept.';
