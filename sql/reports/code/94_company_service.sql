-- A generated company, 5: its help desk, what customers ask there, and what they think of the answers.

CREATE OR REPLACE FUNCTION crm_internal.demo_help_desk(tenant crm.tenants, words jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    office bigint;
    policy bigint;
BEGIN
    -- working hours of the tenant's week, and promises by priority on them
    SELECT c.id INTO office FROM crm.define_calendar('office', jsonb_build_object('zone', tenant.time_zone, 'weekly',
        (SELECT jsonb_object_agg(d.name, '[["08:30","12:30"],["13:00","17:30"]]'::jsonb)
         FROM unnest('{mon,tue,wed,thu,fri,sat,sun}'::text[]) WITH ORDINALITY AS d (name, n) WHERE NOT d.n::smallint = ANY (tenant.weekend)))) AS c;
    INSERT INTO crm.queues (tenant_id, code, name, team_id, calendar_id, routing_method)
    SELECT t, q.x ->> 0, q.x ->> 1, m.id, office, 'least_loaded'
    FROM jsonb_array_elements(words -> 'queues') AS q (x)
    JOIN crm.teams AS m ON m.tenant_id = t AND m.source_system = 'demo' AND m.source_id = 'team-3';
    INSERT INTO crm.agents (tenant_id, user_id, capacity, calendar_id)
    SELECT t, x.user_id, 12, office FROM crm.team_memberships AS x JOIN crm.teams AS m ON m.tenant_id = t AND m.id = x.team_id
    WHERE x.tenant_id = t AND m.source_system = 'demo' AND m.source_id = 'team-3'
    ON CONFLICT DO NOTHING;
    INSERT INTO crm.sla_policies AS p (tenant_id, name, calendar_id) VALUES (t, words ->> 'policy', office) RETURNING p.id INTO policy;
    INSERT INTO crm.sla_targets (tenant_id, policy_id, metric, priority, seconds, pause_stages)
    SELECT t, policy, m.metric, p.priority, (p.hours * m.factor * 3600)::bigint, m.pauses
    FROM (VALUES ('urgent', 4), ('high', 8), ('normal', 24), ('low', 48)) AS p (priority, hours),
         (VALUES ('first_response', 0.25, '{}'::text[]), ('resolution', 1.0, '{waiting,on_hold}'::text[])) AS m (metric, factor, pauses);
END
$$;
COMMENT ON FUNCTION crm_internal.demo_help_desk(crm.tenants, jsonb) IS 'Calendar, queues, agents and promises of a generated company.';

-- What customers ask some time after they bought: in points of the line of working days, the steps of each ticket too.
CREATE OR REPLACE FUNCTION crm_internal.demo_tickets_drawn(seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    kinds CONSTANT jsonb := words -> 'tickets';
BEGIN
    CREATE TEMPORARY TABLE demo_requests ON COMMIT DROP AS
    SELECT w.*, w.back + 0.05 + w.pace / 8 * CASE WHEN crm_internal.demo_uniform(seed, 'ticket hard', w.key) < 0.1 THEN 10
        ELSE 1 END * exp(1.7 + 0.8 * crm_internal.demo_normal(seed, 'ticket work', w.key)) AS solved
    FROM (
        SELECT v.*, v.answered + CASE v.waits WHEN 'on_hold' THEN 16 * exp(0.6 * crm_internal.demo_normal(seed, 'ticket waiting', v.key))
                                              WHEN 'waiting' THEN 2.2 * exp(0.7 * crm_internal.demo_normal(seed, 'ticket waiting', v.key)) ELSE 0 END AS back
        FROM (
            SELECT r.*, r.came + 0.01 + r.pace / 9 * exp(-0.2 + 0.9 * crm_internal.demo_normal(seed, 'ticket answer', r.key)) AS answered,
                   CASE WHEN r.u < 0.18 THEN 'on_hold' WHEN r.u < 0.5 THEN 'waiting' END AS waits
            FROM (
                SELECT x.*, CASE x.priority WHEN 'urgent' THEN 0.3 WHEN 'high' THEN 0.6 WHEN 'normal' THEN 1.3 ELSE 2.2 END AS pace,
                       crm_internal.demo_uniform(seed, 'ticket waits', x.key) AS u
                FROM (
                    SELECT o.source_id AS order_source, o.key, o.i, o.x + 0.2 - 18 * ln(1 - crm_internal.demo_uniform(seed, 'ticket time', o.key)) AS came,
                           ('{urgent,high,normal,low}'::text[])[1 + width_bucket(crm_internal.demo_uniform(seed, 'ticket priority', o.key),
                               '{0.06,0.24,0.80}'::double precision[])] AS priority,
                           kinds -> floor(crm_internal.demo_uniform(seed, 'ticket words', o.key) * jsonb_array_length(kinds))::integer AS said
                    FROM demo_orders AS o WHERE crm_internal.demo_uniform(seed, 'asks', o.key) < 0.65
                ) AS x
            ) AS r
        ) AS v
    ) AS w
    WHERE w.came < finish;
    ANALYZE demo_requests;
    CREATE TEMPORARY TABLE demo_ticket_steps ON COMMIT DROP AS
    SELECT r.key, v.n, v.code, v.x, crm_internal.demo_at(v.x, days, tenant.time_zone) + v.n * interval '1 second' AS at
    FROM demo_requests AS r
    CROSS JOIN LATERAL (VALUES (1, 'new', r.came), (2, 'open', (r.came + r.answered) / 2), (3, r.waits, r.answered),
                               (4, CASE WHEN r.waits IS NOT NULL THEN 'open' END, r.back), (5, 'resolved', r.solved), (6, 'closed', r.solved + 4)) AS v (n,
                                   code, x)
    WHERE v.code IS NOT NULL AND v.x < finish;
    ANALYZE demo_ticket_steps;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_tickets_drawn(bigint, date, crm.tenants, jsonb, date[]) IS 'Draws the tickets of a generated company and their steps.';

CREATE OR REPLACE FUNCTION crm_internal.demo_tickets(seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    pipeline CONSTANT bigint := (SELECT p.id FROM crm.pipelines AS p WHERE p.tenant_id = t AND p.subject_table = 'tickets' AND p.is_default);
    stage CONSTANT jsonb := (SELECT jsonb_object_agg(s.code, s.id) FROM crm.stages AS s WHERE s.tenant_id = t AND s.pipeline_id = pipeline);
    queue CONSTANT jsonb := (SELECT jsonb_object_agg(x.n, q.id) FROM jsonb_array_elements(words -> 'queues') WITH ORDINALITY AS x (x, n)
                             JOIN crm.queues AS q ON q.tenant_id = t AND q.code = x.x ->> 0);
    agents CONSTANT bigint[] := ARRAY(SELECT a.user_id FROM crm.agents AS a JOIN crm.users AS u ON u.tenant_id = t AND u.id = a.user_id
                                      WHERE a.tenant_id = t ORDER BY u.id);
BEGIN
    INSERT INTO crm.tickets (tenant_id, subject, description, channel, type, priority, queue_id, account_id, contact_id, product_id, order_id, language,
                             pipeline_id, stage_id, created_at, stage_entered_at, closed_at, resolved_at, owner_id, source_system, source_id)
    SELECT t, r.said ->> 2, r.said ->> 3,
           ('{mail,phone,web,chat}'::text[])[1 + width_bucket(crm_internal.demo_uniform(seed, 'ticket channel', r.key),
               '{0.45,0.70,0.90}'::double precision[])],
           r.said ->> 1, r.priority, (queue ->> (r.said ->> 0))::bigint, o.account_id, o.contact_id, l.product_id, o.id, tenant.language,
           pipeline, (stage ->> s.code)::bigint, crm_internal.demo_at(r.came, days, tenant.time_zone) + interval '1 second', s.at,
           CASE WHEN s.n >= 5 THEN s.at END, z.at, CASE WHEN s.n > 1 THEN agents[1 + r.key % cardinality(agents)] END, 'demo', 'ticket-' || r.key
    FROM demo_requests AS r
    JOIN crm.orders AS o ON o.tenant_id = t AND o.source_system = 'demo' AND o.source_id = r.order_source
    JOIN (SELECT l.source_id, min(l.product_id) AS product_id FROM demo_order_lines AS l GROUP BY l.source_id) AS l ON l.source_id = r.order_source
    JOIN (SELECT DISTINCT ON (s.key) s.key, s.n, s.code, s.at FROM demo_ticket_steps AS s ORDER BY s.key, s.n DESC) AS s ON s.key = r.key
    LEFT JOIN demo_ticket_steps AS z ON z.key = r.key AND z.n = 5
    ORDER BY r.came, r.key;
    CREATE TEMPORARY TABLE demo_asked ON COMMIT DROP AS
    SELECT k.id AS ticket_id, substr(k.source_id, 8)::bigint AS key, k.channel, k.subject, k.contact_id, k.owner_id, k.team_id, k.resolved_at, k.created_at,
        k.stage_entered_at
    FROM crm.tickets AS k WHERE k.tenant_id = t AND k.source_system = 'demo';
    ANALYZE demo_asked;
    PERFORM crm.record_history('tickets', array_agg(k.ticket_id ORDER BY s.key, s.n), array_agg((stage ->> s.code)::bigint ORDER BY s.key, s.n),
        array_agg(s.at ORDER BY s.key, s.n))
    FROM demo_ticket_steps AS s JOIN demo_asked AS k ON k.key = s.key;

    -- what was said, from which the clocks hear of the answers; and the pauses in between
    INSERT INTO crm.ticket_messages (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, author_contact_id, subject, body, sent_at,
        created_at)
    SELECT t, k.ticket_id, k.channel, m.direction, CASE m.direction WHEN 'in' THEN 'customer' ELSE 'agent' END, CASE m.direction WHEN 'out' THEN k.owner_id END,
           CASE m.direction WHEN 'in' THEN k.contact_id END, CASE WHEN m.n = 1 THEN k.subject END, m.body, x.at, x.at
    FROM demo_requests AS r
    JOIN demo_asked AS k ON k.key = r.key
    CROSS JOIN LATERAL (VALUES
        (1, 'in', r.said ->> 3, r.came), (2, 'out', r.said ->> 4, r.answered),
        (3, 'in', crm_internal.demo_label(words -> 'ticket_followup', crm_internal.demo_uniform(seed, 'ticket again', r.key)), CASE
            WHEN r.waits IS NOT NULL THEN r.back END),
        (4, 'out', crm_internal.demo_label(words -> 'ticket_solution', crm_internal.demo_uniform(seed, 'ticket end', r.key)), CASE
            WHEN r.waits IS NOT NULL THEN r.solved END))
        AS m (n, direction, body, x)
    CROSS JOIN LATERAL (SELECT crm_internal.demo_at(m.x, days, tenant.time_zone) + interval '1 second' AS at) AS x
    WHERE m.x < finish
    ORDER BY x.at, k.ticket_id, m.n;
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, stage, stage_type)
    SELECT t, 'tickets', k.ticket_id, 'stage', s.at, s.code, CASE s.n WHEN 3 THEN 'on_hold' ELSE 'open' END
    FROM demo_ticket_steps AS s JOIN demo_asked AS k ON k.key = s.key
    WHERE s.n IN (3, 4) AND s.at < coalesce(k.resolved_at, 'infinity') AND s.at <> k.stage_entered_at;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_tickets(bigint, date, crm.tenants, jsonb, date[]) IS 'Tickets of a generated company with their messages.';

CREATE OR REPLACE FUNCTION crm_internal.demo_surveys(seed bigint, until date, tenant crm.tenants, words jsonb, days date[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
BEGIN
    INSERT INTO crm.surveys (tenant_id, code, kind, question, on_event, delay, rest_period, created_at)
    SELECT t, s.key, s.key, jsonb_build_object(tenant.language, s.value), CASE s.key WHEN 'csat' THEN 'ticket.resolved' END, interval '2 hours',
        interval '30 days',
           crm_internal.demo_at(1, days, tenant.time_zone)
    FROM jsonb_each_text(words -> 'surveys') AS s;
    -- after each second solved ticket; and a year's question to customers after an order: who waited long, and who is about to leave, thinks less of us
    INSERT INTO crm.survey_responses (tenant_id, survey_id, subject_table, subject_id, contact_id, owner_id, team_id, scheduled_at, sent_at, expires_at,
        created_at,
                                      score, answered_at, comment)
    SELECT t, s.id, r.subject_table, r.subject_id, r.contact_id, r.owner_id, r.team_id, r.at, r.at, r.at + interval '14 days', r.at,
           CASE WHEN a.answers THEN a.score END, CASE WHEN a.answers THEN a.at END,
           CASE WHEN a.answers AND crm_internal.demo_uniform(seed, 'survey comments', r.key) < 0.3
                THEN crm_internal.demo_label(words -> CASE WHEN r.mood > 0.3 THEN 'praise' ELSE 'blame' END,
                    crm_internal.demo_uniform(seed, 'survey words', r.key)) END
    FROM (
        SELECT 'csat' AS kind, r.key, 'tickets' AS subject_table, k.ticket_id AS subject_id, k.contact_id, k.owner_id, k.team_id, r.solved + 0.2 AS x,
               crm_internal.demo_at(r.solved + 0.2, days, tenant.time_zone) AS at,
               0.9 - 0.25 * ln(1 + r.solved - r.came) + 0.6 * crm_internal.demo_normal(seed, 'survey mood', r.key) AS mood
        FROM demo_requests AS r JOIN demo_asked AS k ON k.key = r.key
        WHERE k.resolved_at IS NOT NULL AND k.contact_id IS NOT NULL AND crm_internal.demo_uniform(seed, 'survey sent', r.key) < 0.5
        UNION ALL
        SELECT 'nps', o.key, 'orders', p.id, p.contact_id, p.owner_id, p.team_id, o.x + 8, crm_internal.demo_at(o.x + 8, days, tenant.time_zone),
               CASE WHEN l.left_at < o.x + 60 THEN -0.3 ELSE 0.7 END + 0.7 * crm_internal.demo_normal(seed, 'survey mood', o.key)
        FROM demo_orders AS o
        JOIN crm.orders AS p ON p.tenant_id = t AND p.source_system = 'demo' AND p.source_id = o.source_id AND p.contact_id IS NOT NULL
        JOIN demo_lives AS l ON l.i = o.i
        WHERE crm_internal.demo_uniform(seed, 'survey sent', o.key) < 0.22
    ) AS r
    JOIN crm.surveys AS s ON s.tenant_id = t AND s.code = r.kind
    CROSS JOIN LATERAL (SELECT crm_internal.demo_uniform(seed, 'survey answer', r.key) < 0.45 AND r.x + 3 < finish AS answers,
                               (CASE r.kind WHEN 'csat' THEN greatest(1, least(5, round(3.4 + 1.6 * r.mood)))
                                   ELSE greatest(0, least(10, round(7.3 + 2.6 * r.mood))) END)::smallint AS score,
                               CASE WHEN r.x + 3 < finish THEN crm_internal.demo_at(r.x + 3 * crm_internal.demo_uniform(seed, 'survey time', r.key), days,
                                   tenant.time_zone) END AS at) AS a
    WHERE r.x < finish
    ORDER BY r.at, r.key;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_surveys(bigint, date, crm.tenants, jsonb, date[]) IS 'Surveys of a generated company and their answers.';
