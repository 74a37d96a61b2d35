-- Reports on service. All are exact at the instant they are read.

CREATE OR REPLACE VIEW crm_analytics.article_deflections WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS article_id, a.code AS article, a.state, a.visibility,
       count(d.id) FILTER (WHERE d.outcome = 'viewed') AS viewed,
       count(d.id) FILTER (WHERE d.outcome = 'solved') AS solved,
       count(d.id) FILTER (WHERE d.outcome = 'not_solved') AS not_solved,
       count(d.id) FILTER (WHERE d.outcome = 'linked') AS linked,
       round(count(d.id) FILTER (WHERE d.outcome = 'solved')::numeric
             / nullif(count(d.id) FILTER (WHERE d.outcome IN ('solved', 'not_solved')), 0), 4) AS deflection_rate,
       max(d.happened_at) AS last_used_at
FROM crm.articles AS a
LEFT JOIN crm.article_deflections AS d ON d.tenant_id = a.tenant_id AND d.article_id = a.id
GROUP BY a.tenant_id, a.id, a.code, a.state, a.visibility;
COMMENT ON VIEW crm_analytics.article_deflections IS
'What came of each article: times viewed, tickets it made unnecessary (solved), tickets opened all the same, uses by agents; deflection_rate = solved / (solved + not_solved), NULL where neither was said.';
COMMENT ON COLUMN crm_analytics.article_deflections.article_id IS 'The article.';
COMMENT ON COLUMN crm_analytics.article_deflections.article IS 'Short name of the article.';
COMMENT ON COLUMN crm_analytics.article_deflections.state IS 'draft, published or archived.';
COMMENT ON COLUMN crm_analytics.article_deflections.visibility IS 'public, customers or internal.';
COMMENT ON COLUMN crm_analytics.article_deflections.viewed IS 'How often it was looked at.';
COMMENT ON COLUMN crm_analytics.article_deflections.solved IS 'How often it made a ticket unnecessary.';
COMMENT ON COLUMN crm_analytics.article_deflections.not_solved IS 'How often a ticket was opened all the same.';
COMMENT ON COLUMN crm_analytics.article_deflections.linked IS 'How often agents used it.';
COMMENT ON COLUMN crm_analytics.article_deflections.deflection_rate IS 'solved over (solved + not_solved), a share of one; NULL where neither was said.';
COMMENT ON COLUMN crm_analytics.article_deflections.last_used_at IS 'When it was last used.';

CREATE OR REPLACE VIEW crm_analytics.ticket_volumes WITH (security_invoker = true) AS
SELECT e.tenant_id, (e.at AT TIME ZONE n.time_zone)::date AS day, e.queue_id, q.name AS queue, e.channel, e.type AS ticket_type, e.priority,
       count(*) FILTER (WHERE e.what = 'opened') AS opened,
       count(*) FILTER (WHERE e.what = 'resolved') AS resolved,
       count(*) FILTER (WHERE e.what = 'merged') AS merged
FROM (SELECT k.tenant_id, k.created_at AS at, 'opened' AS what, k.queue_id, k.channel, k.type, k.priority FROM crm.tickets AS k
      UNION ALL
      SELECT k.tenant_id, k.resolved_at AS at, 'resolved' AS what, k.queue_id, k.channel, k.type, k.priority FROM crm.tickets AS k WHERE k.resolved_at IS NOT NULL
      UNION ALL
      SELECT k.tenant_id, k.closed_at AS at, 'merged' AS what, k.queue_id, k.channel, k.type, k.priority FROM crm.tickets AS k
      WHERE k.merged_into_id IS NOT NULL AND k.closed_at IS NOT NULL) AS e
JOIN crm.tenants AS n ON n.tenant_id = e.tenant_id
LEFT JOIN crm.queues AS q ON q.tenant_id = e.tenant_id AND q.id = e.queue_id
GROUP BY e.tenant_id, 2, e.queue_id, q.name, e.channel, e.type, e.priority;
COMMENT ON VIEW crm_analytics.ticket_volumes IS
'Tickets opened, resolved (last time) and merged, by day in the tenant''s zone, queue, channel, type and priority. Counts add up over any of these.';
COMMENT ON COLUMN crm_analytics.ticket_volumes.day IS 'Day in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.ticket_volumes.queue IS 'Name of the queue; NULL: none.';
COMMENT ON COLUMN crm_analytics.ticket_volumes.channel IS 'How the tickets came in.';
COMMENT ON COLUMN crm_analytics.ticket_volumes.ticket_type IS 'Short name of the type.';
COMMENT ON COLUMN crm_analytics.ticket_volumes.priority IS 'Short name of the priority.';
COMMENT ON COLUMN crm_analytics.ticket_volumes.opened IS 'Tickets opened on the day.';
COMMENT ON COLUMN crm_analytics.ticket_volumes.resolved IS 'Tickets whose last solution was on the day.';
COMMENT ON COLUMN crm_analytics.ticket_volumes.merged IS 'Tickets merged into another on the day.';

CREATE OR REPLACE VIEW crm_analytics.ticket_backlog WITH (security_invoker = true) AS
SELECT k.tenant_id, k.queue_id, q.name AS queue, k.priority, p.rank AS priority_rank,
       count(*) AS open,
       count(*) FILTER (WHERE k.owner_id IS NULL) AS unassigned,
       count(*) FILTER (WHERE s.type = 'on_hold') AS waiting,
       count(*) FILTER (WHERE now() - k.created_at < interval '1 day') AS under_1_day,
       count(*) FILTER (WHERE now() - k.created_at >= interval '1 day' AND now() - k.created_at < interval '7 days') AS days_1_to_7,
       count(*) FILTER (WHERE now() - k.created_at >= interval '7 days' AND now() - k.created_at < interval '30 days') AS days_7_to_30,
       count(*) FILTER (WHERE now() - k.created_at >= interval '30 days') AS over_30_days,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM now() - k.created_at)::double precision) / 86400)::numeric, 2) AS median_age_days,
       min(k.created_at) AS oldest_at
FROM crm.tickets AS k
JOIN crm.stages AS s ON s.tenant_id = k.tenant_id AND s.id = k.stage_id
JOIN crm.priorities AS p ON p.tenant_id = k.tenant_id AND p.code = k.priority
LEFT JOIN crm.queues AS q ON q.tenant_id = k.tenant_id AND q.id = k.queue_id
WHERE k.closed_at IS NULL
GROUP BY k.tenant_id, k.queue_id, q.name, k.priority, p.rank;
COMMENT ON VIEW crm_analytics.ticket_backlog IS
'Open tickets at this instant by queue and priority: how many, how many without an agent, how many waiting, and how old they are (days since they were opened).';
COMMENT ON COLUMN crm_analytics.ticket_backlog.queue IS 'Name of the queue; NULL: none.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.priority IS 'Short name of the priority.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.priority_rank IS 'Place of the priority.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.open IS 'Open tickets.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.unassigned IS 'Open tickets without an agent.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.waiting IS 'Open tickets in a stage of type on_hold.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.under_1_day IS 'Open for less than a day.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.days_1_to_7 IS 'Open for one day to less than seven.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.days_7_to_30 IS 'Open for seven days to less than thirty.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.over_30_days IS 'Open for thirty days and more.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.median_age_days IS 'Median age in days.';
COMMENT ON COLUMN crm_analytics.ticket_backlog.oldest_at IS 'When the oldest was opened.';

CREATE OR REPLACE VIEW crm_analytics.unassigned_tickets WITH (security_invoker = true) AS
SELECT k.tenant_id, k.id AS ticket_id, k.subject, k.queue_id, q.name AS queue, k.priority, k.created_at, a.reason, a.assigned_at AS tried_at
FROM crm.tickets AS k
LEFT JOIN crm.queues AS q ON q.tenant_id = k.tenant_id AND q.id = k.queue_id
LEFT JOIN LATERAL (SELECT x.reason, x.assigned_at FROM crm.assignments AS x
                   WHERE x.tenant_id = k.tenant_id AND x.subject_table = 'tickets' AND x.subject_id = k.id
                   ORDER BY x.id DESC LIMIT 1) AS a ON true
WHERE k.closed_at IS NULL AND k.owner_id IS NULL;
COMMENT ON VIEW crm_analytics.unassigned_tickets IS
'Open tickets nobody works on, and why routing found nobody (reason as in crm.assignments; NULL: it was not asked).';
COMMENT ON COLUMN crm_analytics.unassigned_tickets.subject IS 'Headline.';
COMMENT ON COLUMN crm_analytics.unassigned_tickets.queue IS 'Name of the queue; NULL: none.';
COMMENT ON COLUMN crm_analytics.unassigned_tickets.priority IS 'Short name of the priority.';
COMMENT ON COLUMN crm_analytics.unassigned_tickets.reason IS 'Why routing found nobody, as in crm.assignments; NULL: it was not asked.';
COMMENT ON COLUMN crm_analytics.unassigned_tickets.tried_at IS 'When routing was last asked; NULL: never.';

CREATE OR REPLACE VIEW crm_analytics.ticket_times WITH (security_invoker = true) AS
SELECT k.tenant_id, k.ticket_id, k.subject, k.queue_id, k.queue, k.priority, k.owner_id, k.owner, k.product_id, k.product, k.ticket_type, k.channel,
       k.created_at,
       k.first_response_minutes,
       (SELECT c.used_seconds / 60 FROM crm.sla_clocks AS c
        WHERE c.tenant_id = k.tenant_id AND c.subject_type = 'tickets' AND c.subject_id = k.ticket_id
          AND c.metric = 'first_response' AND c.cycle = 1 AND c.state IN ('met', 'missed')) AS first_response_business_minutes,
       k.resolution_hours,
       (SELECT sum(c.used_seconds) / 3600 FROM crm.sla_clocks AS c
        WHERE c.tenant_id = k.tenant_id AND c.subject_type = 'tickets' AND c.subject_id = k.ticket_id
          AND c.metric = 'resolution' AND c.state IN ('met', 'missed')) AS resolution_business_hours,
       k.state = 'open' AS is_open, k.reopen_count, k.transfer_count
FROM crm_analytics.fact_tickets AS k;
COMMENT ON VIEW crm_analytics.ticket_times IS
'Times of each ticket that was not merged: minutes from opening to the first answer and hours to the (last) solution, by the clock on the wall and, where it had a promise, as its service clock counted them (open hours without pauses).';
COMMENT ON COLUMN crm_analytics.ticket_times.priority IS 'Short name of the priority.';
COMMENT ON COLUMN crm_analytics.ticket_times.ticket_type IS 'Short name of the type.';
COMMENT ON COLUMN crm_analytics.ticket_times.channel IS 'How the ticket came in.';
COMMENT ON COLUMN crm_analytics.ticket_times.first_response_minutes IS 'Minutes from opening to the first answer; NULL: none yet.';
COMMENT ON COLUMN crm_analytics.ticket_times.first_response_business_minutes IS 'The same as its service clock counted them; NULL: no promise, or not ended.';
COMMENT ON COLUMN crm_analytics.ticket_times.resolution_hours IS 'Hours from opening to the last solution; NULL: not solved.';
COMMENT ON COLUMN crm_analytics.ticket_times.resolution_business_hours IS 'The same as its service clocks counted them.';
COMMENT ON COLUMN crm_analytics.ticket_times.is_open IS 'Whether it is open.';
COMMENT ON COLUMN crm_analytics.ticket_times.reopen_count IS 'How often it was opened again.';
COMMENT ON COLUMN crm_analytics.ticket_times.transfer_count IS 'How often it was handed over.';

CREATE OR REPLACE FUNCTION crm_analytics.ticket_performance(dimension text, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (key text, tickets bigint, answered bigint, median_first_response_minutes double precision,
               p90_first_response_minutes double precision, resolved bigint, median_resolution_hours double precision,
               p90_resolution_hours double precision, median_resolution_business_hours double precision,
               reopened bigint, reopen_rate numeric, transferred bigint, transfer_rate numeric, still_open bigint)
LANGUAGE plpgsql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
BEGIN
    IF dimension IS NULL OR dimension NOT IN ('all', 'queue', 'priority', 'agent', 'product', 'type', 'channel') THEN
        RAISE EXCEPTION 'unknown dimension "%"', dimension
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Say all, queue, priority, agent, product, type or channel.';
    END IF;
    RETURN QUERY
        SELECT CASE dimension WHEN 'queue' THEN q.name WHEN 'priority' THEN v.priority WHEN 'agent' THEN u.name
                              WHEN 'product' THEN p.name WHEN 'type' THEN v.ticket_type WHEN 'channel' THEN v.channel ELSE 'all' END,
               count(*), count(v.first_response_minutes),
               percentile_cont(0.5) WITHIN GROUP (ORDER BY v.first_response_minutes),
               percentile_cont(0.9) WITHIN GROUP (ORDER BY v.first_response_minutes),
               count(v.resolution_hours),
               percentile_cont(0.5) WITHIN GROUP (ORDER BY v.resolution_hours),
               percentile_cont(0.9) WITHIN GROUP (ORDER BY v.resolution_hours),
               percentile_cont(0.5) WITHIN GROUP (ORDER BY v.resolution_business_hours),
               count(*) FILTER (WHERE v.reopen_count > 0),
               round(count(*) FILTER (WHERE v.reopen_count > 0)::numeric
                     / nullif(count(*) FILTER (WHERE v.resolution_hours IS NOT NULL), 0), 4),
               count(*) FILTER (WHERE v.transfer_count > 0),
               round(count(*) FILTER (WHERE v.transfer_count > 0)::numeric / count(*), 4),
               count(*) FILTER (WHERE v.is_open)
        FROM crm_analytics.ticket_times AS v
        LEFT JOIN crm.queues AS q ON q.tenant_id = t AND q.id = v.queue_id
        LEFT JOIN crm.users AS u ON u.tenant_id = t AND u.id = v.owner_id
        LEFT JOIN crm.products AS p ON p.tenant_id = t AND p.id = v.product_id
        WHERE v.tenant_id = t AND v.created_at >= from_at AND v.created_at < to_at
        GROUP BY 1
        ORDER BY 2 DESC, 1;
END
$$;
COMMENT ON FUNCTION crm_analytics.ticket_performance(text, timestamptz, timestamptz) IS
'Tickets opened in [from_at, to_at) by queue, priority, agent, product, type, channel or all together: answers and solutions with medians and 90th percentiles, of the first answer in minutes and of the solution in hours (business hours where there was a promise), how many were reopened (rate among those ever solved) and transferred (rate among all), how many are still open. Merged tickets are left out. key NULL: without one. Errors: 22023 for another dimension.';

CREATE OR REPLACE VIEW crm_analytics.sla_compliance WITH (security_invoker = true) AS
SELECT v.*, po.name AS policy, qu.name AS queue, ow.name AS owner, pd.name AS product
FROM (
    SELECT c.tenant_id, c.subject_table, c.metric, c.policy_id, c.queue_id, c.priority, c.owner_id, c.product_id, c.started_on,
           count(*) FILTER (WHERE c.state = 'met') AS met,
           count(*) FILTER (WHERE c.state = 'missed') AS missed,
           count(*) FILTER (WHERE c.state = 'under_way') AS under_way,
           count(*) FILTER (WHERE c.state = 'overdue') AS overdue,
           count(*) FILTER (WHERE c.state = 'void') AS void
    FROM crm_analytics.fact_sla_clocks AS c
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
) AS v
LEFT JOIN crm.sla_policies AS po ON po.tenant_id = v.tenant_id AND po.id = v.policy_id
LEFT JOIN crm.queues AS qu ON qu.tenant_id = v.tenant_id AND qu.id = v.queue_id
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.products AS pd ON pd.tenant_id = v.tenant_id AND pd.id = v.product_id;
COMMENT ON VIEW crm_analytics.sla_compliance IS
'Service clocks by metric, policy, queue, priority (that of the target, where it has one), agent, product and day of their start: met; missed; under_way; overdue (open, and broken by now, whether or not a job noticed); void (cancelled, merged, nothing promised any more). Counts add up over any of these; the rate is met / (met + missed + overdue).';
COMMENT ON COLUMN crm_analytics.sla_compliance.subject_table IS 'What the clocks are of: tickets, leads ...';
COMMENT ON COLUMN crm_analytics.sla_compliance.metric IS 'first_response, next_response, periodic_update, resolution or total.';
COMMENT ON COLUMN crm_analytics.sla_compliance.priority IS 'Priority of the target, or else of the ticket; NULL: none.';
COMMENT ON COLUMN crm_analytics.sla_compliance.started_on IS 'Day the clock started, in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.sla_compliance.met IS 'Promises kept.';
COMMENT ON COLUMN crm_analytics.sla_compliance.missed IS 'Promises broken, clock ended.';
COMMENT ON COLUMN crm_analytics.sla_compliance.under_way IS 'Clocks that run or rest and are in time.';
COMMENT ON COLUMN crm_analytics.sla_compliance.overdue IS 'Clocks that are open and broken by now.';
COMMENT ON COLUMN crm_analytics.sla_compliance.void IS 'Clocks that were cancelled, merged or are without a promise.';

CREATE OR REPLACE FUNCTION crm_analytics.sla_compliance_by(
    dimension text, from_at timestamptz, to_at timestamptz, subject_type text DEFAULT 'tickets')
RETURNS TABLE (key text, metric text, met bigint, missed bigint, under_way bigint, overdue bigint, compliance numeric)
LANGUAGE plpgsql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    zone text;
BEGIN
    IF dimension IS NULL OR dimension NOT IN ('all', 'queue', 'priority', 'agent', 'product', 'policy') THEN
        RAISE EXCEPTION 'unknown dimension "%"', dimension
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Say all, queue, priority, agent, product or policy.';
    END IF;
    SELECT n.time_zone INTO zone FROM crm.tenants AS n WHERE n.tenant_id = t;
    RETURN QUERY
        SELECT CASE dimension WHEN 'queue' THEN q.name WHEN 'priority' THEN v.priority WHEN 'agent' THEN u.name
                              WHEN 'product' THEN p.name WHEN 'policy' THEN y.name ELSE 'all' END,
               v.metric, sum(v.met)::bigint, sum(v.missed)::bigint, sum(v.under_way)::bigint, sum(v.overdue)::bigint,
               round(sum(v.met) / nullif(sum(v.met) + sum(v.missed) + sum(v.overdue), 0), 4)
        FROM crm_analytics.sla_compliance AS v
        LEFT JOIN crm.queues AS q ON q.tenant_id = t AND q.id = v.queue_id
        LEFT JOIN crm.users AS u ON u.tenant_id = t AND u.id = v.owner_id
        LEFT JOIN crm.products AS p ON p.tenant_id = t AND p.id = v.product_id
        LEFT JOIN crm.sla_policies AS y ON y.tenant_id = t AND y.id = v.policy_id
        WHERE v.tenant_id = t AND v.subject_table = sla_compliance_by.subject_type
          AND v.started_on >= (from_at AT TIME ZONE zone)::date AND v.started_on < (to_at AT TIME ZONE zone)::date
        GROUP BY 1, v.metric
        ORDER BY v.metric, 1;
END
$$;
COMMENT ON FUNCTION crm_analytics.sla_compliance_by(text, timestamptz, timestamptz, text) IS
'Kept and broken promises of clocks that started on the days from from_at to before to_at, by all, queue, priority, agent, product or policy. compliance = met / (met + missed + overdue); NULL where nothing was decided. Errors: 22023 for another dimension.';

CREATE OR REPLACE VIEW crm_analytics.satisfaction WITH (security_invoker = true) AS
SELECT v.*, ow.name AS owner, te.name AS team
FROM (
    SELECT r.tenant_id, r.survey_id, r.survey, r.kind, date_trunc('month', r.sent_on::timestamp)::date AS month, r.owner_id, r.team_id,
           count(*) AS sent, count(r.score) AS answered,
           round(count(r.score)::numeric / count(*), 4) AS response_rate,
           round(avg(r.score), 4) AS mean_score,
           count(*) FILTER (WHERE r.is_satisfied) AS satisfied,
           count(*) FILTER (WHERE r.is_dissatisfied) AS dissatisfied,
           round(count(*) FILTER (WHERE r.is_satisfied)::numeric / nullif(count(r.score), 0), 4) AS satisfied_share,
           CASE WHEN r.kind = 'nps'
                THEN round(100.0 * (count(*) FILTER (WHERE r.is_satisfied) - count(*) FILTER (WHERE r.is_dissatisfied))
                           / nullif(count(r.score), 0), 2) END AS nps
    FROM crm_analytics.fact_survey_responses AS r
    GROUP BY 1, 2, 3, 4, 5, 6, 7
) AS v
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.teams AS te ON te.tenant_id = v.tenant_id AND te.id = v.team_id;
COMMENT ON VIEW crm_analytics.satisfaction IS
'Surveys by month of sending, agent and team. Satisfied are answers 4 and 5 of csat, 9 and 10 of nps (promoters), 5 to 7 of ces. nps: promoters less detractors (0 to 6) in points of a hundred answers, -100 to 100. NULL without answers; look at answered before believing it.';
COMMENT ON COLUMN crm_analytics.satisfaction.survey_id IS 'The survey.';
COMMENT ON COLUMN crm_analytics.satisfaction.survey IS 'Short name of the survey.';
COMMENT ON COLUMN crm_analytics.satisfaction.kind IS 'csat, nps or ces.';
COMMENT ON COLUMN crm_analytics.satisfaction.month IS 'First day of the month of sending, in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.satisfaction.sent IS 'Surveys sent.';
COMMENT ON COLUMN crm_analytics.satisfaction.answered IS 'Surveys answered.';
COMMENT ON COLUMN crm_analytics.satisfaction.response_rate IS 'answered over sent, a share of one.';
COMMENT ON COLUMN crm_analytics.satisfaction.mean_score IS 'Mean of the answers; NULL without one.';
COMMENT ON COLUMN crm_analytics.satisfaction.satisfied IS 'Answers 4 and 5 of csat, 9 and 10 of nps, 5 to 7 of ces.';
COMMENT ON COLUMN crm_analytics.satisfaction.dissatisfied IS 'Answers 1 and 2 of csat, 0 to 6 of nps, 1 to 3 of ces.';
COMMENT ON COLUMN crm_analytics.satisfaction.satisfied_share IS 'satisfied over answered, a share of one; NULL without an answer.';
COMMENT ON COLUMN crm_analytics.satisfaction.nps IS
'Net promoter score of nps surveys: satisfied less dissatisfied in points of a hundred answers, -100 to 100; NULL of other kinds and without an answer.';

CREATE OR REPLACE VIEW crm_analytics.routing_fairness WITH (security_invoker = true) AS
SELECT v.*, qu.name AS queue, ru.name AS rule, us.name AS user_name
FROM (
    SELECT g.tenant_id, g.subject_table, g.queue_id, g.rule_id, g.user_id, g.assigned, g.weight,
           round(g.weight / nullif(sum(g.weight) OVER w, 0), 4) AS share,
           round(1.0 / count(*) OVER w, 4) AS even_share,
           round(g.weight * count(*) OVER w / nullif(sum(g.weight) OVER w, 0), 4) AS ratio,
           g.sticky, g.last_assigned_at
    FROM (SELECT a.tenant_id, a.subject_table, a.queue_id, a.rule_id, a.user_id, count(*) AS assigned, sum(a.weight) AS weight,
                 count(*) FILTER (WHERE a.reason = 'sticky') AS sticky, max(a.assigned_at) AS last_assigned_at
          FROM crm.assignments AS a
          WHERE a.user_id IS NOT NULL AND a.assigned_at > now() - interval '30 days'
          GROUP BY a.tenant_id, a.subject_table, a.queue_id, a.rule_id, a.user_id) AS g
    WINDOW w AS (PARTITION BY g.tenant_id, g.subject_table, g.queue_id, g.rule_id)
) AS v
LEFT JOIN crm.queues AS qu ON qu.tenant_id = v.tenant_id AND qu.id = v.queue_id
LEFT JOIN crm.assignment_rules AS ru ON ru.tenant_id = v.tenant_id AND ru.id = v.rule_id
LEFT JOIN crm.users AS us ON us.tenant_id = v.tenant_id AND us.id = v.user_id;
COMMENT ON VIEW crm_analytics.routing_fairness IS
'How evenly routing gave out work in the last 30 days, by queue, rule and agent: number and weight of assignments, the agent''s share of the weight, an even share among those who were given any, and the ratio of the two (1: even; 2: twice as much). sticky: because of an earlier record of the same contact.';
COMMENT ON COLUMN crm_analytics.routing_fairness.rule_id IS 'Rule of crm.assignment_rules that decided; NULL: the queue did.';
COMMENT ON COLUMN crm_analytics.routing_fairness.assigned IS 'Records given to the user in 30 days.';
COMMENT ON COLUMN crm_analytics.routing_fairness.weight IS 'Their weight in all.';
COMMENT ON COLUMN crm_analytics.routing_fairness.share IS 'Share of the weight of all who were given work.';
COMMENT ON COLUMN crm_analytics.routing_fairness.even_share IS 'Share if all were given the same.';
COMMENT ON COLUMN crm_analytics.routing_fairness.ratio IS 'share over even_share: 1 is fair.';
COMMENT ON COLUMN crm_analytics.routing_fairness.sticky IS 'Records among them that went to the agent who knew the contact.';
COMMENT ON COLUMN crm_analytics.routing_fairness.last_assigned_at IS 'When the last one was given.';
