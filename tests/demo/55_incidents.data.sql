\echo
\echo '== 890 real incidents, replayed as tickets with their history'
-- 890 real incidents ("Incident management process enriched event log", UCI machine learning repository, CC BY 4.0)
-- replayed as tickets with their history; clocks, counts and bottleneck against sums made directly from the log.
SET timezone = 'UTC';
CREATE TEMP TABLE log (number text, incident_state text, active text, reassignment_count int, reopen_count int, sys_mod_count int, made_sla text,
    caller_id text, opened_by text, opened_at text, sys_created_by text, sys_created_at text, sys_updated_by text, sys_updated_at text,
    contact_type text, location text, category text, subcategory text, u_symptom text, cmdb_ci text, impact text, urgency text, priority text,
    assignment_group text, assigned_to text, knowledge text, u_priority_confirmation text, notify text, problem_id text, rfc text, vendor text,
    caused_by text, closed_code text, resolved_by text, resolved_at text, closed_at text);
\cd :data
\copy log FROM 'service/incident_event_log.csv' WITH (FORMAT csv, HEADER)

-- the process of these incidents, their queues and agents
INSERT INTO crm.pipelines (id, code, name, subject_table) VALUES (777, 'incidents', 'Incidents', 'tickets');
INSERT INTO crm.stages (pipeline_id, code, name, position, type, is_initial) VALUES
    (777, 'new', 'New', 1, 'open', true), (777, 'active', 'Active', 2, 'open', false),
    (777, 'awaiting_user_info', 'Awaiting User Info', 3, 'on_hold', false), (777, 'awaiting_problem', 'Awaiting Problem', 4, 'on_hold', false),
    (777, 'awaiting_vendor', 'Awaiting Vendor', 5, 'on_hold', false), (777, 'awaiting_evidence', 'Awaiting Evidence', 6, 'on_hold', false),
    (777, 'resolved', 'Resolved', 7, 'done', false), (777, 'closed', 'Closed', 8, 'done', false);
INSERT INTO crm.queues (code, name, pipeline_id, routing_method)
SELECT 'g' || row_number() OVER (ORDER BY g), g, 777, 'manual' FROM (SELECT DISTINCT assignment_group AS g FROM log WHERE assignment_group <> '?') AS x;
INSERT INTO crm.users (name) SELECT DISTINCT assigned_to FROM log WHERE assigned_to <> '?';
INSERT INTO crm.sla_policies (id, name) VALUES (777, 'incidents');
INSERT INTO crm.sla_targets (policy_id, metric, priority, seconds, time_basis, pause_stages)
SELECT 777, 'resolution', p, h * 3600, 'calendar', '{awaiting_user_info}' FROM (VALUES ('urgent', 8), ('high', 24), ('normal', 120), ('low', 240)) AS v (p, h);

-- events in order; times are to the minute, so those of one minute follow each other by microseconds
CREATE TEMP TABLE events AS
SELECT l.number, s.id AS stage_id, s.code AS stage, s.type,
       to_timestamp(l.sys_updated_at, 'DD-MM-YYYY HH24:MI')
       + interval '1 microsecond' * row_number() OVER (PARTITION BY l.number ORDER BY to_timestamp(l.sys_updated_at, 'DD-MM-YYYY HH24:MI'), l.sys_mod_count, l.ctid) AS at,
       nullif(l.assignment_group, '?') AS queue, nullif(l.assigned_to, '?') AS agent, l.priority, l.reopen_count, l.reassignment_count,
       to_timestamp(l.opened_at, 'DD-MM-YYYY HH24:MI') AS opened_at,
       row_number() OVER (PARTITION BY l.number ORDER BY to_timestamp(l.sys_updated_at, 'DD-MM-YYYY HH24:MI') DESC, l.sys_mod_count DESC, l.ctid DESC) AS from_last
FROM log AS l
JOIN crm.stages AS s ON s.pipeline_id = 777 AND s.name = l.incident_state;
CREATE TEMP TABLE moves AS      -- a stage is entered where the one before was another
SELECT * FROM (SELECT e.*, lag(e.stage) OVER (PARTITION BY e.number ORDER BY e.at) AS before FROM events AS e) AS x WHERE stage IS DISTINCT FROM before;

BEGIN;
SELECT crm.begin_history('incident log');
INSERT INTO crm.tickets (subject, channel, type, priority, queue_id, owner_id, pipeline_id, stage_id, created_at, stage_entered_at, closed_at,
                         resolved_at, reopen_count, transfer_count, source_system, source_id)
SELECT e.number, 'phone', 'incident', CASE left(e.priority, 1) WHEN '1' THEN 'urgent' WHEN '2' THEN 'high' WHEN '3' THEN 'normal' ELSE 'low' END,
       q.id, u.id, 777, e.stage_id, least(e.opened_at, f.first_at), m.last_at, m.last_at,
       coalesce(r.resolved_at, m.last_at), e.reopen_count, e.reassignment_count, 'incident log', e.number
FROM events AS e
JOIN (SELECT number, min(at) AS first_at FROM events GROUP BY 1) AS f USING (number)
JOIN (SELECT number, max(at) AS last_at FROM moves GROUP BY 1) AS m USING (number)
-- solved when it last came to a closed stage from one that is not
LEFT JOIN (SELECT x.number, max(x.at) AS resolved_at
           FROM (SELECT v.*, lag(v.type) OVER (PARTITION BY v.number ORDER BY v.at) AS type_before FROM moves AS v) AS x
           WHERE x.type = 'done' AND x.type_before IS DISTINCT FROM 'done' GROUP BY 1) AS r USING (number)
LEFT JOIN crm.queues AS q ON q.name = e.queue
LEFT JOIN crm.users AS u ON u.name = e.agent
WHERE e.from_last = 1;
SELECT crm.record_history('tickets', array_agg(k.id ORDER BY m.number, m.at), array_agg(m.stage_id ORDER BY m.number, m.at),
                          array_agg(m.at ORDER BY m.number, m.at))
FROM moves AS m JOIN crm.tickets AS k ON k.source_id = m.number;
-- what happened in between, told to the clocks after the fact
INSERT INTO crm.sla_events (subject_type, subject_id, event, occurred_at, stage, stage_type)
SELECT 'tickets', k.id, CASE WHEN x.type = 'done' AND x.type_before IS DISTINCT FROM 'done' THEN 'resolved'
                             WHEN x.type <> 'done' AND x.type_before = 'done' THEN 'reopened' ELSE 'stage' END, x.at, x.stage, x.type
FROM (SELECT v.*, lag(v.type) OVER (PARTITION BY v.number ORDER BY v.at) AS type_before FROM moves AS v) AS x
JOIN crm.tickets AS k ON k.source_id = x.number
WHERE NOT (x.type = 'done' AND x.at = k.resolved_at);
COMMIT;

SELECT (SELECT count(*) FROM crm.tickets) AS tickets, (SELECT count(*) FROM crm.sla_events) AS clock_events, (SELECT count(*) FROM crm.stage_periods AS p WHERE p.subject_table = 'tickets') AS stage_periods;
