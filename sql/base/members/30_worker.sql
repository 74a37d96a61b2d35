-- The background worker: waking it, and how it does.

CREATE FUNCTION crm.wake_worker(due_at timestamptz DEFAULT now()) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT
AS 'MODULE_PATHNAME', 'crm_wake_worker';
COMMENT ON FUNCTION crm.wake_worker(timestamptz) IS
'Tells the background worker, when this transaction commits, that something falls due at an instant; it comes earlier if it meant to come later. Does nothing where the library is not preloaded.';
SELECT crm.declare_function('crm.wake_worker', 'owner');

CREATE FUNCTION crm.worker_slots()
RETURNS TABLE (database_id oid, pid integer, started_at timestamptz, finished_at timestamptz,
               next_at timestamptz, done bigint, failures integer)
LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 5
AS 'MODULE_PATHNAME', 'crm_worker_status';
COMMENT ON FUNCTION crm.worker_slots() IS 'What the background worker keeps in shared memory of each database in its care; see crm.worker_status().';
SELECT crm.declare_function('crm.worker_slots', 'owner');
