-- What is not as it should be, for whoever watches the server.

CREATE OR REPLACE FUNCTION crm.health()
RETURNS TABLE (severity text, finding text, subject text, detail text, advice text)
LANGUAGE plpgsql STABLE SECURITY DEFINER PARALLEL UNSAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- an ordinary owner may not look at shared_preload_libraries; this setting is fixed at the start where the library is there by then
    preloaded CONSTANT boolean := coalesce((SELECT s.context = 'postmaster' FROM pg_settings AS s WHERE s.name = 'crm.worker'), false);
BEGIN
    RETURN QUERY
    SELECT 'error', 'versions', 'crm', format('library %s, extension %s, schema %s', v.library, v.extension, v.schema), v.advice
    FROM crm.version() AS v WHERE v.advice IS NOT NULL
    UNION ALL
    SELECT CASE WHEN t.failures >= 5 THEN 'error' ELSE 'warning' END, 'failing_task', t.name,
           format('%s failed runs in a row, the last at %s: %s', t.failures, t.last_error_at, t.last_error),
           format('Mend what it says, then SELECT * FROM crm.run_maintenance(%L).', t.name)
    FROM crm.maintenance_tasks AS t WHERE t.active AND t.failures > 0
    UNION ALL
    SELECT CASE WHEN max(f.failures) >= 5 THEN 'error' ELSE 'warning' END, 'failed_work', f.function_name,
           concat('tenant ', f.tenant_id, ': ', count(*), ' things failed, one (', min(f.item), ') because of: ', min(f.sqlstate), ': ', min(f.message)),
           format('Mend what it says; it is tried again by itself. crm_internal.failed_work lists it, function_name %L.', f.function_name)
    FROM crm_internal.failed_work AS f GROUP BY f.function_name, f.tenant_id
    UNION ALL
    SELECT 'warning', 'failed_work', 'crm.escalate',
           concat('tenant ', f.tenant_id, ': ', count(*), ' steps failed since yesterday, one because of: ', min(f.detail ->> 'message')),
           'They are not done again. See crm.escalation_firings, column detail.'
    FROM crm.escalation_firings AS f WHERE f.outcome = 'failed' AND f.fired_at > now() - interval '1 day' GROUP BY f.tenant_id
    UNION ALL
    SELECT 'warning', 'maintenance_late', 'crm.run_maintenance', format('due since %s', crm.next_maintenance_at()),
           CASE WHEN preloaded THEN 'Name this database in crm.worker_databases, and see crm.worker_status().'
                ELSE 'Preload the library for its worker, or call crm.run_maintenance() from a scheduler.' END
    WHERE crm.next_maintenance_at() < now() - interval '15 minutes'
    UNION ALL
    SELECT 'warning', 'worker', coalesce(w.database_name, w.database_id::text), format('%s passes in a row did not finish', w.failures),
           'The server log has the reason; a database without the CRM does not belong into crm.worker_databases.'
    FROM crm.worker_status() AS w WHERE w.failures > 0
    UNION ALL
    SELECT 'warning', 'worker', d.name, 'crm.worker_databases names a database that is not there', 'Take it out of crm.worker_databases and reload.'
    FROM (SELECT trim(x) AS name FROM unnest(string_to_array(current_setting('crm.worker_databases', true), ',')) AS x) AS d
    WHERE d.name <> '' AND preloaded AND NOT EXISTS (SELECT FROM pg_database AS p WHERE p.datname = d.name)
    UNION ALL
    SELECT 'error', 'rollup', r.name, r.state, format('See docs/howto/rollups.md; SELECT crm.rebuild_rollup(%L) counts it anew.', r.name)
    FROM crm.rollup_status AS r WHERE r.state <> 'current'
    UNION ALL
    SELECT 'warning', 'stale_fold', r.name, format('%s changes wait to be folded', r.pending_deltas), 'SELECT crm.fold_rollups(), and see why nobody does.'
    FROM crm.rollup_status AS r WHERE r.pending_deltas > 100000
    UNION ALL
    SELECT 'error', 'disabled_trigger', g.subject, format('trigger %I does not fire', t.tgname),
           format('ALTER TABLE %s ENABLE TRIGGER %I.', g.relation::regclass, t.tgname)
    FROM crm.registry AS g JOIN pg_trigger AS t ON t.tgrelid = g.relation WHERE t.tgenabled = 'D' AND NOT t.tgisinternal
    UNION ALL
    SELECT f.severity, f.finding, f.subject, f.detail, f.advice FROM crm_internal.registry_faults() AS f
    UNION ALL
    SELECT 'warning', 'missing_rate', 'tenant ' || c.tenant_id, format('amounts in %s have no rate to %s', c.currency, n.base_currency),
           'Add one to crm.exchange_rates: base sums leave these amounts out, or fail.'
    FROM (SELECT DISTINCT o.tenant_id, o.currency FROM crm.opportunities AS o UNION SELECT DISTINCT o.tenant_id, o.currency FROM crm.orders AS o) AS c
    JOIN crm.tenants AS n ON n.tenant_id = c.tenant_id
    WHERE c.currency <> n.base_currency
      AND NOT EXISTS (SELECT FROM crm.exchange_rates AS x WHERE x.tenant_id = c.tenant_id
                      AND (x.from_currency, x.to_currency) IN ((c.currency, n.base_currency), (n.base_currency, c.currency)))
    UNION ALL
    SELECT 'warning', 'calendar_ends', coalesce(k.name, k.code), format('tenant %s: the last holiday is %s', k.tenant_id, h.last_on),
           'Enter those of the next year: promises are counted through days that nobody works.'
    FROM (SELECT x.tenant_id, x.calendar_id, max(x.holiday_on) AS last_on FROM crm.calendar_holidays AS x WHERE x.active GROUP BY 1, 2) AS h
    JOIN crm.calendars AS k ON k.tenant_id = h.tenant_id AND k.id = h.calendar_id
    WHERE h.last_on < crm.local_day(k.tenant_id, now()) + 30
    UNION ALL
    SELECT 'warning', 'outbox', e.kind, format('%s events are due for more than an hour, the oldest since %s', count(*), min(e.scheduled_at)),
           'Somebody has to deliver them: crm.claim_events(), crm.confirm_event().'
    FROM crm.events AS e
    WHERE e.delivered_at IS NULL AND e.failed_at IS NULL AND e.scheduled_at < now() - interval '1 hour' GROUP BY e.kind
    UNION ALL
    SELECT 'warning', 'outbox_failed', e.kind, format('%s events were given up, one because of: %s', count(*), max(e.last_error)),
           'See crm.events, column last_error.'
    FROM crm.events AS e WHERE e.failed_at IS NOT NULL GROUP BY e.kind;
END
$$;
COMMENT ON FUNCTION crm.health() IS
'One row = one finding, of the whole database: severity (error, warning), what kind, what it is about, what was found, what to do. No rows: nothing was found. '
'Members of pg_monitor may call it, as may the owner of the CRM.';
SELECT crm.declare_function('crm.health', 'owner');
