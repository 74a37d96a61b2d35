-- Facts of service, one row a record; what row security hides is not there. Every report on tickets, promises and surveys reads these.

CREATE OR REPLACE VIEW crm_analytics.fact_tickets WITH (security_invoker = true) AS
SELECT k.tenant_id, k.id AS ticket_id, k.subject, CASE WHEN k.closed_at IS NULL THEN 'open' ELSE 'closed' END AS state,
       k.type AS ticket_type, k.priority, k.channel, k.language,
       k.queue_id, q.name AS queue, k.pipeline_id, l.name AS pipeline, k.stage_id, s.name AS stage,
       k.account_id, a.name AS account_name, k.contact_id, c.name AS contact, k.product_id, p.name AS product,
       k.order_id, o.number AS order_number,
       k.owner_id, u.name AS owner, k.team_id, m.name AS team,
       k.created_at, (k.created_at AT TIME ZONE t.time_zone)::date AS created_on, k.first_response_at, k.resolved_at, k.closed_at,
       (k.closed_at AT TIME ZONE t.time_zone)::date AS closed_on,
       extract(epoch FROM k.first_response_at - k.created_at)::double precision / 60 AS first_response_minutes,
       extract(epoch FROM k.resolved_at - k.created_at)::double precision / 3600 AS resolution_hours,
       CASE WHEN k.closed_at IS NULL THEN extract(epoch FROM now() - k.created_at) / 86400 END AS age_days,
       k.reopen_count, k.transfer_count
FROM crm.tickets AS k
JOIN crm.tenants AS t ON t.tenant_id = k.tenant_id
LEFT JOIN crm.queues AS q ON q.tenant_id = k.tenant_id AND q.id = k.queue_id
LEFT JOIN crm.pipelines AS l ON l.tenant_id = k.tenant_id AND l.id = k.pipeline_id
LEFT JOIN crm.stages AS s ON s.tenant_id = k.tenant_id AND s.id = k.stage_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = k.tenant_id AND a.id = k.account_id
LEFT JOIN crm.contacts AS c ON c.tenant_id = k.tenant_id AND c.id = k.contact_id
LEFT JOIN crm.products AS p ON p.tenant_id = k.tenant_id AND p.id = k.product_id
LEFT JOIN crm.orders AS o ON o.tenant_id = k.tenant_id AND o.id = k.order_id
LEFT JOIN crm.users AS u ON u.tenant_id = k.tenant_id AND u.id = k.owner_id
LEFT JOIN crm.teams AS m ON m.tenant_id = k.tenant_id AND m.id = k.team_id
WHERE k.merged_into_id IS NULL;
COMMENT ON VIEW crm_analytics.fact_tickets IS
'One row = one ticket as it is now; those merged into another are that one. Days are those of the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_tickets.state IS 'open or closed.';
COMMENT ON COLUMN crm_analytics.fact_tickets.ticket_type IS 'Short name of the type.';
COMMENT ON COLUMN crm_analytics.fact_tickets.priority IS 'Short name of the priority.';
COMMENT ON COLUMN crm_analytics.fact_tickets.channel IS 'How the ticket came in.';
COMMENT ON COLUMN crm_analytics.fact_tickets.order_number IS 'Number of the order it is about.';
COMMENT ON COLUMN crm_analytics.fact_tickets.closed_on IS 'Day it was closed, in the tenant''s zone; NULL: it is open.';
COMMENT ON COLUMN crm_analytics.fact_tickets.resolved_at IS 'When it was solved last; NULL: it is not.';
COMMENT ON COLUMN crm_analytics.fact_tickets.resolution_hours IS 'Hours from opening to the last solution; NULL: not solved.';
COMMENT ON COLUMN crm_analytics.fact_tickets.reopen_count IS 'How often it was opened again.';
COMMENT ON COLUMN crm_analytics.fact_tickets.transfer_count IS 'How often it was handed over.';

CREATE OR REPLACE FUNCTION crm_analytics.promise_state(clock_state text, breached_at timestamptz, due_at timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN clock_state IN ('met', 'missed') THEN clock_state
            WHEN clock_state IN ('cancelled', 'merged', 'inactive') THEN 'void'
            WHEN breached_at IS NOT NULL OR clock_state = 'running' AND due_at <= now() THEN 'overdue' ELSE 'under_way' END;
COMMENT ON FUNCTION crm_analytics.promise_state(text, timestamptz, timestamptz) IS
'How a promise stands at this instant, from its row of crm.sla_clocks: met, missed, overdue, under_way or void (see crm_analytics.fact_sla_clocks).';

CREATE OR REPLACE VIEW crm_analytics.fact_sla_clocks WITH (security_invoker = true) AS
SELECT c.tenant_id, c.subject_type AS subject_table, c.subject_id, coalesce(k.subject, l.name) AS subject, c.metric, c.cycle,
       crm_analytics.promise_state(c.state, c.breached_at, c.due_at) AS state,
       c.policy_id, y.name AS policy, k.queue_id, q.name AS queue, coalesce(g.priority, k.priority, l.priority) AS priority,
       coalesce(k.owner_id, l.owner_id) AS owner_id, u.name AS owner, k.product_id, p.name AS product,
       c.started_at, (c.started_at AT TIME ZONE n.time_zone)::date AS started_on, c.due_at, c.stopped_at,
       c.target_seconds / 60 AS target_minutes, c.used_seconds / 60 AS used_minutes
FROM crm.sla_clocks AS c
JOIN crm.tenants AS n ON n.tenant_id = c.tenant_id
LEFT JOIN crm.tickets AS k ON c.subject_type = 'tickets' AND k.tenant_id = c.tenant_id AND k.id = c.subject_id
LEFT JOIN crm.leads AS l ON c.subject_type = 'leads' AND l.tenant_id = c.tenant_id AND l.id = c.subject_id
LEFT JOIN crm.sla_targets AS g ON g.tenant_id = c.tenant_id AND g.id = c.target_id
LEFT JOIN crm.sla_policies AS y ON y.tenant_id = c.tenant_id AND y.id = c.policy_id
LEFT JOIN crm.queues AS q ON q.tenant_id = k.tenant_id AND q.id = k.queue_id
LEFT JOIN crm.users AS u ON u.tenant_id = c.tenant_id AND u.id = coalesce(k.owner_id, l.owner_id)
LEFT JOIN crm.products AS p ON p.tenant_id = k.tenant_id AND p.id = k.product_id
-- the promise of a record is seen by those who see the record
WHERE CASE c.subject_type WHEN 'tickets' THEN k.id IS NOT NULL WHEN 'leads' THEN l.id IS NOT NULL ELSE true END;
COMMENT ON VIEW crm_analytics.fact_sla_clocks IS
'One row = one promise: a service clock of a ticket, a lead or another record, as it stands at this instant, whether or not a job has noticed.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.subject IS 'Headline of the ticket, name of the lead.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.metric IS 'first_response, next_response, periodic_update, resolution or total.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.cycle IS 'Number of the clock among those of the metric.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.state IS
'met: kept; missed: broken, and ended; overdue: broken, and open; under_way: open and in time; void: cancelled, merged, nothing promised any more.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.priority IS 'Priority of the target, or else of the ticket or lead.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.started_at IS 'When it started.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.started_on IS 'Day it started, in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.due_at IS 'When the promise falls due; NULL while the clock rests.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.stopped_at IS 'When it ended; NULL: it has not.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.target_minutes IS 'Minutes promised.';
COMMENT ON COLUMN crm_analytics.fact_sla_clocks.used_minutes IS 'Minutes used when it ended; NULL: it has not (see crm.sla_clock_status).';

CREATE OR REPLACE VIEW crm_analytics.fact_survey_responses WITH (security_invoker = true) AS
SELECT r.tenant_id, r.id AS response_id, r.survey_id, s.code AS survey, s.kind, r.subject_table, r.subject_id, coalesce(k.subject, d.name) AS subject,
       a.id AS account_id, a.name AS account_name, r.contact_id, c.name AS contact, r.owner_id, u.name AS owner, r.team_id, m.name AS team,
       r.sent_at, (r.sent_at AT TIME ZONE t.time_zone)::date AS sent_on, r.answered_at, r.score,
       r.score >= CASE s.kind WHEN 'nps' THEN 9 WHEN 'csat' THEN 4 ELSE 5 END AS is_satisfied,
       r.score <= CASE s.kind WHEN 'nps' THEN 6 WHEN 'csat' THEN 2 ELSE 3 END AS is_dissatisfied, r.comment
FROM crm.survey_responses AS r
JOIN crm.tenants AS t ON t.tenant_id = r.tenant_id
JOIN crm.surveys AS s ON s.tenant_id = r.tenant_id AND s.id = r.survey_id
LEFT JOIN crm.tickets AS k ON r.subject_table = 'tickets' AND k.tenant_id = r.tenant_id AND k.id = r.subject_id
LEFT JOIN crm.opportunities AS d ON r.subject_table = 'opportunities' AND d.tenant_id = r.tenant_id AND d.id = r.subject_id
LEFT JOIN crm.contacts AS c ON c.tenant_id = r.tenant_id AND c.id = r.contact_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = r.tenant_id AND a.id = coalesce(k.account_id, d.account_id, c.account_id)
LEFT JOIN crm.users AS u ON u.tenant_id = r.tenant_id AND u.id = r.owner_id
LEFT JOIN crm.teams AS m ON m.tenant_id = r.tenant_id AND m.id = r.team_id
WHERE r.sent_at IS NOT NULL;
COMMENT ON VIEW crm_analytics.fact_survey_responses IS 'One row = one survey that was sent, and its answer.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.response_id IS 'Row of crm.survey_responses.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.survey IS 'Short name of the survey.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.kind IS 'csat, nps or ces.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.subject IS 'Headline of the ticket, name of the deal.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.sent_at IS 'When it was sent.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.sent_on IS 'Day it was sent, in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.answered_at IS 'When it was answered; NULL: not yet.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.score IS 'The answer: 1 to 5 of csat, 0 to 10 of nps, 1 to 7 of ces.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.is_satisfied IS 'Answer 4 or 5 of csat, 9 or 10 of nps, 5 to 7 of ces.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.is_dissatisfied IS 'Answer 1 or 2 of csat, 0 to 6 of nps, 1 to 3 of ces.';
COMMENT ON COLUMN crm_analytics.fact_survey_responses.comment IS 'What the contact wrote.';
