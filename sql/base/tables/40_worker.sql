-- What crm.run_maintenance() does: a list that rooms and owners add to.

CREATE TABLE crm.maintenance_tasks (
    name text NOT NULL,
    position integer NOT NULL DEFAULT 100,
    function_name text NOT NULL,
    next_function_name text,
    every interval,
    batch integer NOT NULL DEFAULT 1000,
    active boolean NOT NULL DEFAULT true,
    last_run_at timestamptz,
    last_done bigint,
    failures integer NOT NULL DEFAULT 0,
    last_error text,
    last_error_at timestamptz,
    CONSTRAINT maintenance_tasks_pkey PRIMARY KEY (name),
    CONSTRAINT maintenance_tasks_name_check CHECK (name ~ '^[a-z][a-z0-9_]*$'),
    CONSTRAINT maintenance_tasks_every_check CHECK (every > '0'),
    CONSTRAINT maintenance_tasks_batch_check CHECK (batch > 0)
);
COMMENT ON TABLE crm.maintenance_tasks IS 'What crm.run_maintenance() calls, for the whole database and in the order of position. Owners may add tasks of their own.';
SELECT crm.declare_table('crm.maintenance_tasks', '{"class": "owner"}');
COMMENT ON COLUMN crm.maintenance_tasks.function_name IS 'Function with schema, called as function(as_of timestamptz, batch integer), or without arguments where there is no such one. Returns how many things it did. A function that is not there is skipped.';
COMMENT ON COLUMN crm.maintenance_tasks.next_function_name IS 'Function without arguments that returns the next instant at which there is something to do (NULL: nothing in sight).';
COMMENT ON COLUMN crm.maintenance_tasks.every IS 'Least time between two runs; NULL: in every pass.';
COMMENT ON COLUMN crm.maintenance_tasks.batch IS 'Largest number of things done in one transaction; where as many were done, another run follows at once.';
COMMENT ON COLUMN crm.maintenance_tasks.last_run_at IS 'Last run that did or was owed something.';
COMMENT ON COLUMN crm.maintenance_tasks.last_done IS 'Things it did.';
COMMENT ON COLUMN crm.maintenance_tasks.last_error IS 'What went wrong the last time something did.';
COMMENT ON COLUMN crm.maintenance_tasks.last_error_at IS 'When that was.';
COMMENT ON COLUMN crm.maintenance_tasks.failures IS 'Failed runs in a row; the pause before the next try doubles from 1 second to an hour.';
COMMENT ON COLUMN crm.maintenance_tasks.position IS 'Order in which they run.';

-- no foreign key: a row is gone before anybody can see it
CREATE UNLOGGED TABLE crm_internal.held_keys (
    tenant_id bigint NOT NULL,
    hash bigint NOT NULL,
    CONSTRAINT held_keys_pkey PRIMARY KEY (tenant_id, hash)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
COMMENT ON TABLE crm_internal.held_keys IS
'Keys that transactions hold (crm.hold_key). Always empty to look at: a row is deleted by the transaction that wrote it, and makes others wait for its end.';
COMMENT ON COLUMN crm_internal.held_keys.tenant_id IS 'Company, or 0.';
COMMENT ON COLUMN crm_internal.held_keys.hash IS 'Hash of what is held.';

CREATE TABLE crm_internal.failed_work (
    function_name text NOT NULL,
    tenant_id bigint NOT NULL,
    item text NOT NULL,
    failures integer NOT NULL DEFAULT 1,
    sqlstate text NOT NULL,
    message text NOT NULL,
    failed_at timestamptz NOT NULL,
    retry_at timestamptz NOT NULL,
    CONSTRAINT failed_work_pkey PRIMARY KEY (function_name, tenant_id, item)
);
COMMENT ON TABLE crm_internal.failed_work IS
'What maintenance could not do, while all else was done; it is tried again later and later. crm.health() tells of it.';
COMMENT ON COLUMN crm_internal.failed_work.function_name IS 'Function that does such work, as in crm.maintenance_tasks.';
COMMENT ON COLUMN crm_internal.failed_work.tenant_id IS 'Company it is for; 0: of all.';
COMMENT ON COLUMN crm_internal.failed_work.item IS 'What it is about, as the function calls it: an id, or several.';
COMMENT ON COLUMN crm_internal.failed_work.failures IS 'Tries in a row.';
COMMENT ON COLUMN crm_internal.failed_work.sqlstate IS 'SQLSTATE of the last one.';
COMMENT ON COLUMN crm_internal.failed_work.message IS 'Its message.';
COMMENT ON COLUMN crm_internal.failed_work.failed_at IS 'When that was.';
COMMENT ON COLUMN crm_internal.failed_work.retry_at IS 'Not tried before.';
