CREATE OR REPLACE VIEW crm.sla_clock_status WITH (security_invoker = true) AS
SELECT c.tenant_id, c.subject_type, c.subject_id, c.metric, c.cycle, c.state,
       c.breached_at IS NOT NULL OR (c.state = 'running' AND c.due_at <= now()) AS breached,
       coalesce(c.breached_at, CASE WHEN c.state = 'running' AND c.due_at <= now() THEN c.due_at END) AS breached_at,
       c.state IN ('running', 'paused') AND c.due_at <= now() AS overdue,
       c.due_at, u.used AS used_seconds, c.target_seconds - u.used AS remaining_seconds, c.target_seconds,
       c.started_at, c.running_since, c.paused_since, c.stopped_at, c.due_pinned, c.due_before_change,
       c.policy_id, c.target_id, c.calendar_id
FROM crm.sla_clocks AS c
CROSS JOIN LATERAL (SELECT coalesce(c.used_seconds,
                                    crm.sla_used(c.calendar_id, now(), c.running_since, c.stretches, c.stretch_calendars,
                                                 c.tenant_id)) AS used) AS u;
COMMENT ON VIEW crm.sla_clock_status IS
'Clocks at this instant, from what is stored: breach and time left are right without any job having run. One row a clock.';
COMMENT ON COLUMN crm.sla_clock_status.breached IS 'The promise was broken at some time; true from the due instant on.';
COMMENT ON COLUMN crm.sla_clock_status.breached_at IS 'When.';
COMMENT ON COLUMN crm.sla_clock_status.overdue IS 'The clock is open and over its present due instant: what an escalation is about.';
COMMENT ON COLUMN crm.sla_clock_status.used_seconds IS 'Seconds used: up to now, or to the end of the clock.';
COMMENT ON COLUMN crm.sla_clock_status.remaining_seconds IS 'Seconds left; negative: over the target by so many.';
