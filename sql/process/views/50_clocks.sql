-- Service clocks as they stand at this moment.

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
COMMENT ON COLUMN crm.sla_clock_status.subject_type IS 'What the clock is of: tickets, leads ...';
COMMENT ON COLUMN crm.sla_clock_status.subject_id IS 'Number of the subject.';
COMMENT ON COLUMN crm.sla_clock_status.metric IS 'first_response, next_response, periodic_update, resolution or total.';
COMMENT ON COLUMN crm.sla_clock_status.cycle IS 'Number of the clock among those of the metric.';
COMMENT ON COLUMN crm.sla_clock_status.state IS 'running, paused, met, missed, cancelled, merged or inactive.';
COMMENT ON COLUMN crm.sla_clock_status.due_at IS 'When the promise falls due; NULL while the clock rests.';
COMMENT ON COLUMN crm.sla_clock_status.target_seconds IS 'Seconds promised.';
COMMENT ON COLUMN crm.sla_clock_status.started_at IS 'When it started.';
COMMENT ON COLUMN crm.sla_clock_status.running_since IS 'Since when it runs; NULL: it does not.';
COMMENT ON COLUMN crm.sla_clock_status.paused_since IS 'Since when it rests; NULL: it does not.';
COMMENT ON COLUMN crm.sla_clock_status.stopped_at IS 'When it ended; NULL: it has not.';
COMMENT ON COLUMN crm.sla_clock_status.due_pinned IS 'The due instant was set by hand.';
COMMENT ON COLUMN crm.sla_clock_status.due_before_change IS 'A change made it due before the change itself.';
COMMENT ON COLUMN crm.sla_clock_status.target_id IS 'Row of crm.sla_targets.';
COMMENT ON COLUMN crm.sla_clock_status.calendar_id IS 'Calendar it counts by; NULL: all time.';
COMMENT ON COLUMN crm.sla_clock_status.policy_id IS 'Row of crm.sla_policies.';
