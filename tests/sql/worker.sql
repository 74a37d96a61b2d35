-- crm.run_maintenance(): what the worker calls, and any scheduler may
BEGIN;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
UPDATE crm.maintenance_tasks SET active = false;

CREATE TABLE things (id int, due_at timestamptz, done boolean DEFAULT false);
CREATE FUNCTION do_things(as_of timestamptz, batch int) RETURNS bigint LANGUAGE sql AS $$
    WITH due AS (SELECT t.id FROM public.things t WHERE NOT t.done AND t.due_at <= as_of ORDER BY t.due_at LIMIT batch FOR UPDATE SKIP LOCKED),
         noted AS (UPDATE public.things t SET done = true FROM due WHERE t.id = due.id RETURNING t.id)
    SELECT count(*) FROM noted
$$;
CREATE FUNCTION next_thing() RETURNS timestamptz LANGUAGE sql AS 'SELECT min(due_at) FROM public.things WHERE NOT done';
CREATE FUNCTION tidy() RETURNS TABLE (what text) LANGUAGE sql AS $$ VALUES ('a'), ('b') $$;
CREATE FUNCTION broken(timestamptz, int) RETURNS int LANGUAGE sql AS 'SELECT 1 / 0';
INSERT INTO crm.maintenance_tasks (name, position, function_name, next_function_name, every, batch) VALUES
    ('things', 1, 'public.do_things', 'public.next_thing', NULL, 3),
    ('tidying', 2, 'public.tidy', NULL, '1 hour', 3),
    ('absent', 3, 'public.not_there', NULL, NULL, 3);
INSERT INTO things SELECT i, '2026-03-02 09:00+00'::timestamptz + i * interval '1 minute' FROM generate_series(1, 5) AS i;
SELECT crm.next_maintenance_at() AS next;

-- batches; what has an interval runs once in it; what is absent is passed over
SELECT * FROM crm.run_maintenance(as_of => '2026-03-02 08:00+00');
SELECT * FROM crm.run_maintenance(as_of => '2026-03-02 09:04+00');
SELECT * FROM crm.run_maintenance(as_of => '2026-03-02 09:04+00');
SELECT * FROM crm.run_maintenance('things', '2026-03-02 09:05+00');
SELECT * FROM crm.run_maintenance('tidying', '2026-03-02 10:04+00');
SELECT name, last_run_at, last_done, failures FROM crm.maintenance_tasks WHERE name IN ('things', 'tidying') ORDER BY 1;

-- one task's failure is not the others', and the next try waits longer and longer
INSERT INTO crm.maintenance_tasks (name, position, function_name, batch) VALUES ('broken', 0, 'public.broken', 3);
SELECT * FROM crm.run_maintenance(as_of => '2026-03-02 12:00:00+00');
SELECT task, next_at, error FROM crm.run_maintenance('broken', '2026-03-02 12:00:00.5+00');
SELECT task, next_at, error FROM crm.run_maintenance('broken', '2026-03-02 12:00:01+00');
SELECT task, next_at, error FROM crm.run_maintenance('broken', '2026-03-02 12:00:03+00');
CREATE OR REPLACE FUNCTION broken(timestamptz, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT task, done, next_at, error FROM crm.run_maintenance('broken', '2026-03-02 12:00:07+00');
SELECT failures, last_error FROM crm.maintenance_tasks WHERE name = 'broken';

-- errors and limits
SELECT * FROM crm.run_maintenance('nothing');
INSERT INTO crm.maintenance_tasks (name, function_name, every) VALUES ('never', 'public.tidy', '0 s');
SELECT crm.wake_worker();
SELECT count(*) FROM crm.worker_status();
ROLLBACK;
