-- Maintenance: doing what is due, and saying when something is due next.

CREATE OR REPLACE FUNCTION crm.after_failed_work(function_name text, next_at timestamptz, as_of timestamptz)
RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN f.retry_at IS NULL THEN next_at
                -- what failed is still due, and hides what is next: looked for once a minute
                WHEN next_at <= as_of THEN greatest(as_of, least(f.retry_at, as_of + interval '1 minute'))
                ELSE least(next_at, f.retry_at) END
    FROM (SELECT min(x.retry_at) AS retry_at FROM crm_internal.failed_work AS x WHERE x.function_name = after_failed_work.function_name) AS f
$$;
COMMENT ON FUNCTION crm.after_failed_work(text, timestamptz, timestamptz) IS 'When a task is to be done next of which something failed.';
SELECT crm.declare_function('crm.after_failed_work', 'owner');

-- Security definer, as the one above: the worker may run as another role than the owner.
CREATE OR REPLACE FUNCTION crm.settle_failed_work(function_name text, as_of timestamptz)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    error text;
BEGIN
    DELETE FROM crm_internal.failed_work AS f WHERE f.function_name = settle_failed_work.function_name AND f.retry_at <= as_of;
    SELECT format('%s of its things failed, one in tenant %s: %s: %s: %s', count(*) OVER (), f.tenant_id, f.item, f.sqlstate, f.message) INTO error
    FROM crm_internal.failed_work AS f WHERE f.function_name = settle_failed_work.function_name ORDER BY f.failed_at DESC, f.tenant_id, f.item LIMIT 1;
    UPDATE crm.maintenance_tasks AS m SET last_error = error, last_error_at = as_of
    WHERE m.function_name = settle_failed_work.function_name AND error IS NOT NULL;
    RETURN error;
END
$$;
COMMENT ON FUNCTION crm.settle_failed_work(text, timestamptz) IS
'After a run of a maintenance function: forgets what failed before and did not now, and says what still does; NULL: nothing.';
SELECT crm.declare_function('crm.settle_failed_work', 'owner');

CREATE OR REPLACE FUNCTION crm.next_task_at(task crm.maintenance_tasks, as_of timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    next_at timestamptz := as_of + task.every;
BEGIN
    IF task.every IS NULL AND to_regprocedure(task.next_function_name || '()') IS NOT NULL THEN
        EXECUTE format('SELECT %s()', to_regprocedure(task.next_function_name || '()')::regproc) INTO next_at;
    END IF;
    RETURN crm.after_failed_work(task.function_name, next_at, as_of);
END
$$;
COMMENT ON FUNCTION crm.next_task_at(crm.maintenance_tasks, timestamptz) IS 'When a task that has just been done is to be done next; NULL: nothing in sight.';
SELECT crm.declare_function('crm.next_task_at', 'owner');

CREATE OR REPLACE FUNCTION crm.run_maintenance(task_name text DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS TABLE (task text, done bigint, more boolean, next_at timestamptz, error text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t crm.maintenance_tasks;
    f regprocedure;
    takes_batch boolean;
    in_error_for interval;
BEGIN
    IF task_name IS NOT NULL AND NOT EXISTS (SELECT FROM crm.maintenance_tasks AS m WHERE m.name = task_name) THEN
        RAISE EXCEPTION 'there is no maintenance task "%"', task_name
            USING ERRCODE = 'undefined_object', HINT = 'crm.maintenance_tasks lists them.';
    END IF;
    FOR t IN
        SELECT m.* FROM crm.maintenance_tasks AS m
        WHERE m.active AND (task_name IS NULL OR m.name = task_name)
        ORDER BY m.position, m.name
    LOOP
        task := t.name;
        done := 0;
        more := false;
        error := NULL;
        next_at := NULL;
        f := to_regprocedure(t.function_name || '(timestamptz, integer)');
        takes_batch := f IS NOT NULL;
        f := coalesce(f, to_regprocedure(t.function_name || '()'));
        CONTINUE WHEN f IS NULL;    -- not installed

        -- not yet due, or waiting after a failure
        IF t.every IS NOT NULL AND t.failures = 0 AND t.last_run_at + t.every > as_of THEN
            next_at := t.last_run_at + t.every;
            RETURN NEXT;
            CONTINUE;
        END IF;
        in_error_for := make_interval(secs => least(2.0 ^ least(t.failures - 1, 12), 3600));
        IF t.failures > 0 AND t.last_error_at + in_error_for > as_of THEN
            next_at := t.last_error_at + in_error_for;
            error := t.last_error;
            RETURN NEXT;
            CONTINUE;
        END IF;
        -- two callers at once: the second leaves the task to the first
        CONTINUE WHEN NOT crm.try_lock('maintenance', 0, t.name);

        BEGIN
            IF (SELECT p.proretset OR p.prorettype NOT IN ('int4'::regtype, 'int8'::regtype)
                FROM pg_proc AS p WHERE p.oid = f)
            THEN
                EXECUTE format('SELECT count(*) FROM %s(%s)', f::regproc, CASE WHEN takes_batch THEN '$1, $2' ELSE '' END)
                    INTO done USING as_of, t.batch;
                more := false;
            ELSE
                EXECUTE format('SELECT coalesce(%s(%s), 0)', f::regproc, CASE WHEN takes_batch THEN '$1, $2' ELSE '' END)
                    INTO done USING as_of, t.batch;
                more := takes_batch AND done >= t.batch;
            END IF;
            -- a pass with nothing to do writes nothing
            IF done > 0 OR t.every IS NOT NULL OR t.failures > 0 THEN
                UPDATE crm.maintenance_tasks AS m
                SET last_run_at = as_of, last_done = run_maintenance.done, failures = 0
                WHERE m.name = t.name;
            END IF;
            error := crm.settle_failed_work(t.function_name, as_of);
        EXCEPTION WHEN OTHERS THEN
            -- one task's failure is not the others'
            done := 0;
            more := false;
            error := format('%s: %s', SQLSTATE, SQLERRM);
            RAISE WARNING 'maintenance task "%" failed: %', t.name, error;
            UPDATE crm.maintenance_tasks AS m
            SET failures = m.failures + 1, last_error = run_maintenance.error, last_error_at = as_of
            WHERE m.name = t.name;
            next_at := as_of + make_interval(secs => least(2.0 ^ least(t.failures, 12), 3600));
        END;
        next_at := coalesce(next_at, CASE WHEN more THEN as_of ELSE crm.next_task_at(t, as_of) END);
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.run_maintenance(text, timestamptz) IS
'Does what is due: one batch of each active task of crm.maintenance_tasks, or of one of them. The background worker calls it; without one any scheduler may. A row a task: things done, whether as much as one batch holds was done (call again), when it is due next, the error if it failed or something of it did (the other tasks, and of the seeded ones other companies and rows, are done all the same). A task at work in another session is left to it. Errors: 42704 for an unknown task.';
SELECT crm.declare_function('crm.run_maintenance', 'owner');

CREATE OR REPLACE FUNCTION crm.next_maintenance_at() RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t crm.maintenance_tasks;
    next_at timestamptz;
    answer timestamptz;
BEGIN
    FOR t IN SELECT m.* FROM crm.maintenance_tasks AS m WHERE m.active LOOP
        CONTINUE WHEN coalesce(to_regprocedure(t.function_name || '(timestamptz, integer)'),
                               to_regprocedure(t.function_name || '()')) IS NULL;
        IF t.failures > 0 THEN
            next_at := t.last_error_at + make_interval(secs => least(2.0 ^ least(t.failures - 1, 12), 3600));
        ELSIF t.every IS NOT NULL THEN
            next_at := coalesce(t.last_run_at + t.every, now());
        ELSIF to_regprocedure(t.next_function_name || '()') IS NOT NULL THEN
            EXECUTE format('SELECT %s()', to_regprocedure(t.next_function_name || '()')::regproc) INTO next_at;
        ELSE
            next_at := NULL;    -- only the worker's naptime brings it round
        END IF;
        IF t.failures = 0 THEN
            next_at := crm.after_failed_work(t.function_name, next_at, now());
        END IF;
        answer := least(answer, next_at);
    END LOOP;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm.next_maintenance_at() IS
'The next instant at which crm.run_maintenance() has something to do, possibly past; NULL where nothing is in sight.';
SELECT crm.declare_function('crm.next_maintenance_at', 'owner');

-- Security definer: tasks are the owner's to see, how many fail is everybody's who watches the server.
CREATE OR REPLACE FUNCTION crm.worker_status()
RETURNS TABLE (database_id oid, database_name text, pid integer, started_at timestamptz, finished_at timestamptz,
               next_at timestamptz, done bigint, failures integer, failing_tasks text[])
LANGUAGE sql VOLATILE SECURITY DEFINER PARALLEL RESTRICTED ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.database_id, d.datname::text, s.pid, s.started_at, s.finished_at, s.next_at, s.done, s.failures,
           CASE WHEN d.datname = current_database()
                THEN ARRAY(SELECT t.name FROM crm.maintenance_tasks AS t WHERE t.active
                             AND (t.failures > 0 OR EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = t.function_name))
                           ORDER BY t.name) END
    FROM crm.worker_slots() AS s LEFT JOIN pg_database AS d ON d.oid = s.database_id
$$;
COMMENT ON FUNCTION crm.worker_status() IS
'What the background worker knows of each database in its care: its name, process id while it is at work, start and end of the last pass, when the next is '
'meant to start (NULL: at once), things done by the last pass, passes in a row that did not finish, and of the current database the tasks that '
'failed, or something of them (crm.maintenance_tasks says why). No rows where there is no worker.';
SELECT crm.declare_function('crm.worker_status', 'owner');
