-- Customers: what happened with one and all that is known of it, totals, and the dashboard.

-- ---- what service and marketing add ----

CREATE OR REPLACE FUNCTION crm_analytics.customer_service(account_id bigint) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'open', count(*) FILTER (WHERE t.closed_at IS NULL), 'closed', count(*) FILTER (WHERE t.closed_at IS NOT NULL),
        'reopened', count(*) FILTER (WHERE t.reopen_count > 0), 'last_opened_at', max(t.created_at),
        'median_resolution_hours', percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.resolved_at - t.created_at)::double precision / 3600)
                                   FILTER (WHERE t.resolved_at IS NOT NULL),
        'satisfaction', (SELECT jsonb_build_object('answers', count(*), 'mean_score', round(avg(r.score), 2), 'last_answer_at', max(r.answered_at))
                         FROM crm.survey_responses AS r
                         JOIN crm.surveys AS v ON v.tenant_id = r.tenant_id AND v.id = r.survey_id AND v.kind = 'csat'
                         JOIN crm.tickets AS k ON k.tenant_id = r.tenant_id AND k.id = r.subject_id
                         WHERE r.tenant_id = crm.tenant_id() AND r.subject_table = 'tickets' AND k.account_id = $1 AND r.score IS NOT NULL),
        'tickets', coalesce((SELECT jsonb_agg(x.doc) FROM (
            SELECT jsonb_build_object('ticket_id', n.id, 'subject', n.subject, 'priority', n.priority, 'stage', s.name,
                                      'opened_at', n.created_at, 'closed_at', n.closed_at) AS doc
            FROM crm.tickets AS n JOIN crm.stages AS s ON s.tenant_id = n.tenant_id AND s.id = n.stage_id
            WHERE n.tenant_id = crm.tenant_id() AND n.account_id = $1 AND n.merged_into_id IS NULL
            ORDER BY n.closed_at IS NOT NULL, n.created_at DESC, n.id DESC LIMIT 20) AS x), '[]'))
    FROM crm.tickets AS t WHERE t.tenant_id = crm.tenant_id() AND t.account_id = $1 AND t.merged_into_id IS NULL
$$;
COMMENT ON FUNCTION crm_analytics.customer_service(bigint) IS
'The service part of customer_360: numbers of tickets (those merged into others aside), median hours to their solution, answers to satisfaction surveys '
'(csat, 1 to 5) and the last 20 tickets, open ones first.';

CREATE OR REPLACE FUNCTION crm_analytics.customer_marketing(account_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known jsonb;
BEGIN
    SELECT jsonb_build_object(
        'leads', coalesce((SELECT jsonb_agg(x.doc) FROM (
            SELECT jsonb_build_object('lead_id', l.id, 'name', l.name, 'source', l.source, 'medium', l.medium, 'campaign', l.campaign, 'came_at', l.created_at,
                                      'converted_at', l.converted_at, 'disqualified_for', l.disqualification_reason, 'consent', l.consent) AS doc
            FROM crm.leads AS l
            WHERE l.tenant_id = crm.tenant_id() AND l.account_id = customer_marketing.account_id AND l.merged_into_id IS NULL
            ORDER BY l.created_at DESC, l.id DESC LIMIT 20) AS x), '[]'),
        'segments', coalesce((SELECT jsonb_agg(g.name ORDER BY g.name)
            FROM crm.segments AS g JOIN crm.segment_states AS m ON m.tenant_id = g.tenant_id AND m.segment_id = g.id AND m.member
            WHERE g.tenant_id = crm.tenant_id() AND g.subject_table = 'accounts' AND m.subject_id = customer_marketing.account_id), '[]'))
    INTO known;
    -- campaigns and consents have no tables of their own yet
    IF to_regclass('crm.touches') IS NOT NULL AND to_regclass('crm.consents') IS NOT NULL THEN
        known := known || jsonb_build_object(
            'touches', (SELECT coalesce(jsonb_agg(x.doc), '[]') FROM (
                SELECT to_jsonb(t) - 'tenant_id' AS doc
                FROM crm.touches AS t JOIN crm.contacts AS c ON c.tenant_id = t.tenant_id AND c.id = t.contact_id
                WHERE c.tenant_id = crm.tenant_id() AND c.account_id = customer_marketing.account_id ORDER BY t.id DESC LIMIT 20) AS x),
            'consents', (SELECT coalesce(jsonb_agg(to_jsonb(k) - 'tenant_id' ORDER BY k.id), '[]')
                FROM crm.consents AS k JOIN crm.contacts AS c ON c.tenant_id = k.tenant_id AND c.id = k.contact_id
                WHERE c.tenant_id = crm.tenant_id() AND c.account_id = customer_marketing.account_id));
    END IF;
    RETURN known;
END
$$;
COMMENT ON FUNCTION crm_analytics.customer_marketing(bigint) IS
'The marketing part of customer_360: the last 20 leads that became or belong to the account, with source, campaign and consent, and the segments it is in; '
'touches and consents of its contacts as soon as there are such tables.';

CREATE OR REPLACE FUNCTION crm_analytics.dashboard_service(tenant_id bigint)
RETURNS TABLE (area text, metric text, value numeric, unit text)
LANGUAGE sql STABLE ROWS 8
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'service', m.metric, m.value, m.unit
    FROM (SELECT count(*) FILTER (WHERE t.closed_at IS NULL) AS open, count(*) FILTER (WHERE t.closed_at IS NULL AND t.owner_id IS NULL) AS unassigned
          FROM crm.tickets AS t WHERE t.tenant_id = $1 AND t.merged_into_id IS NULL AND t.closed_at IS NULL) AS o,
         (SELECT count(*) AS opened,
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.first_response_at - t.created_at)::double precision / 60)
                     FILTER (WHERE t.first_response_at IS NOT NULL) AS response
          FROM crm.tickets AS t WHERE t.tenant_id = $1 AND t.merged_into_id IS NULL AND t.created_at > now() - interval '30 days') AS n,
         (SELECT count(*) AS closed FROM crm.tickets AS t WHERE t.tenant_id = $1 AND t.merged_into_id IS NULL AND t.closed_at > now() - interval '30 days') AS c,
         (SELECT count(*) FILTER (WHERE k.state = 'met') AS met,
                 count(*) FILTER (WHERE k.state = 'missed' OR k.state IN ('running', 'paused') AND (k.breached_at IS NOT NULL OR k.state = 'running' AND k.due_at <= now())) AS broken
          FROM crm.sla_clocks AS k WHERE k.tenant_id = $1 AND k.subject_type = 'tickets' AND k.started_at > now() - interval '30 days') AS p,
         (SELECT avg((r.score >= 4)::integer) AS satisfied
          FROM crm.survey_responses AS r JOIN crm.surveys AS v ON v.tenant_id = r.tenant_id AND v.id = r.survey_id AND v.kind = 'csat'
          WHERE r.tenant_id = $1 AND r.answered_at > now() - interval '30 days' AND r.score IS NOT NULL) AS f,
         LATERAL (VALUES ('open_tickets', o.open::numeric, 'count'), ('unassigned_tickets', o.unassigned, 'count'), ('opened_30_days', n.opened, 'count'),
                         ('closed_30_days', c.closed, 'count'), ('median_first_response_30_days', n.response::numeric, 'minutes'),
                         ('promises_kept_30_days', p.met::numeric / nullif(p.met + p.broken, 0), 'share'),
                         ('satisfied_30_days', f.satisfied, 'share')) AS m(metric, value, unit)
$$;
COMMENT ON FUNCTION crm_analytics.dashboard_service(bigint) IS
'The service rows of crm_analytics.dashboard. Merged tickets are left out; promises are service clocks begun in the last 30 days, those overdue by now '
'counted as broken; satisfied: answers 4 and 5 of csat surveys.';

CREATE OR REPLACE FUNCTION crm_analytics.dashboard_marketing(tenant_id bigint)
RETURNS TABLE (area text, metric text, value numeric, unit text)
LANGUAGE sql STABLE ROWS 8
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'marketing', m.metric, m.value, m.unit
    FROM (SELECT coalesce(sum(c.n), 0) AS n
          FROM crm.tenants AS t
          CROSS JOIN LATERAL (SELECT sum(o.opportunities) AS n FROM crm_analytics.opportunities_created AS o
                              WHERE o.tenant_id = t.tenant_id AND o.created_on > (now() AT TIME ZONE t.time_zone)::date - 30) AS c
          WHERE t.tenant_id = $1) AS s,
         (SELECT count(*) FILTER (WHERE l.created_at > now() - interval '30 days') AS made,
                 count(*) FILTER (WHERE l.converted_at IS NOT NULL) AS converted, count(*) FILTER (WHERE l.closed_at IS NOT NULL) AS closed,
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM l.first_response_at - l.created_at)::double precision / 60)
                     FILTER (WHERE l.created_at > now() - interval '30 days' AND l.first_response_at IS NOT NULL) AS response
          FROM crm.leads AS l
          WHERE l.tenant_id = $1 AND l.merged_into_id IS NULL AND l.created_at > now() - interval '12 months') AS l,
         LATERAL (VALUES ('new_opportunities_30_days', s.n, 'count'), ('new_leads_30_days', l.made, 'count'), ('converted_leads_12_months', l.converted, 'count'),
                         ('lead_conversion_12_months', l.converted::numeric / nullif(l.closed, 0), 'share'),
                         ('median_lead_response_30_days', l.response::numeric, 'minutes')) AS m(metric, value, unit)
$$;
COMMENT ON FUNCTION crm_analytics.dashboard_marketing(bigint) IS
'The marketing rows of crm_analytics.dashboard. Conversion: converted over all closed, of the leads that came within 12 months; merged ones left out.';

-- ---- one customer ----

CREATE OR REPLACE VIEW crm_analytics.customer_timeline WITH (security_invoker = true) AS
SELECT v.*, ac.name AS account_name, us.name AS user_name
FROM (
    SELECT a.tenant_id, a.account_id, coalesce(a.done_at, a.started_at, a.due_at, a.created_at) AS at, 'activity' AS what,
           a.kind AS detail, a.subject AS title, a.outcome AS note, a.owner_id AS user_id, 'activities' AS source_table, a.id AS source_id
    FROM crm.activities AS a
    WHERE a.account_id IS NOT NULL
    UNION ALL
    SELECT o.tenant_id, o.account_id, lower(p.period) AS at, 'stage' AS what, s.name AS detail, o.name AS title, s.type AS note, p.changed_by AS user_id,
           'opportunities' AS source_table, o.id AS source_id
    FROM crm.stage_periods AS p
    JOIN crm.opportunities AS o ON p.subject_table = 'opportunities' AND o.tenant_id = p.tenant_id AND o.id = p.subject_id
    JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id
    WHERE p.moved AND o.account_id IS NOT NULL
    UNION ALL
    SELECT o.tenant_id, o.account_id, o.ordered_at AS at, 'order' AS what, CASE WHEN o.state = 'cancelled' THEN 'cancelled' ELSE o.kind END AS detail,
           coalesce(o.number, o.id::text) AS title, o.amount || ' ' || o.currency AS note, o.owner_id AS user_id, 'orders' AS source_table, o.id AS source_id
    FROM crm.orders AS o
    WHERE o.account_id IS NOT NULL
    UNION ALL
SELECT k.tenant_id, k.account_id, x.at, 'ticket' AS what, x.detail, k.subject AS title, k.priority AS note, k.owner_id AS user_id, 'tickets' AS source_table, k.id AS source_id
    FROM crm.tickets AS k
    CROSS JOIN LATERAL (VALUES (k.created_at, 'ticket_opened'), (k.resolved_at, 'ticket_solved')) AS x(at, detail)
    WHERE k.account_id IS NOT NULL AND x.at IS NOT NULL AND k.merged_into_id IS NULL
    UNION ALL
    SELECT g.tenant_id, k.account_id, g.sent_at AS at, 'message' AS what, CASE WHEN NOT g.is_public THEN 'note' ELSE 'message_' || g.direction END AS detail,
           k.subject AS title, left(g.body, 200) AS note, g.author_user_id AS user_id, 'ticket_messages' AS source_table, g.id AS source_id
    FROM crm.ticket_messages AS g
    JOIN crm.tickets AS k ON k.tenant_id = g.tenant_id AND k.id = g.ticket_id
    WHERE k.account_id IS NOT NULL
    UNION ALL
SELECT l.tenant_id, l.account_id, x.at, 'lead' AS what, x.detail, l.name AS title, concat_ws(' / ', l.source, l.medium, l.campaign) AS note, l.owner_id AS user_id,
           'leads' AS source_table, l.id AS source_id
    FROM crm.leads AS l
    CROSS JOIN LATERAL (VALUES (l.created_at, 'lead_came'), (l.converted_at, 'lead_converted')) AS x(at, detail)
    WHERE l.account_id IS NOT NULL AND x.at IS NOT NULL AND l.merged_into_id IS NULL
) AS v
LEFT JOIN crm.accounts AS ac ON ac.tenant_id = v.tenant_id AND ac.id = v.account_id
LEFT JOIN crm.users AS us ON us.tenant_id = v.tenant_id AND us.id = v.user_id;
COMMENT ON VIEW crm_analytics.customer_timeline IS
'One row = one thing that happened with one account, by sales, service or marketing: an activity, an opportunity that moved to another stage, an order, a '
'ticket opened or solved, a message about one, a lead that came or was converted.';

CREATE OR REPLACE VIEW crm_analytics.customer_totals WITH (security_invoker = true) AS
SELECT a.tenant_id, a.account_id, a.account_name, a.won, a.lost, a.open, a.won_amount, a.open_amount, a.open_weighted, a.first_won_on, a.last_won_on,
       a.activities, a.last_activity_at, a.missing_rates,
       o.orders, o.revenue, o.last_order_on,
       k.tickets, k.open_tickets, k.reopened_tickets, k.last_ticket_at,
       l.leads, l.converted_leads
FROM crm_analytics.account_totals AS a
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE o.kind = 'sale') AS orders, coalesce(sum(o.base_amount), 0) AS revenue,
                           max(o.ordered_on) FILTER (WHERE o.kind = 'sale') AS last_order_on
                    FROM crm.orders AS o WHERE o.tenant_id = a.tenant_id AND o.account_id = a.account_id AND o.state <> 'cancelled') AS o
CROSS JOIN LATERAL (SELECT count(*) AS tickets, count(*) FILTER (WHERE k.closed_at IS NULL) AS open_tickets, count(*) FILTER (WHERE k.reopen_count > 0) AS reopened_tickets,
                           max(k.created_at) AS last_ticket_at
                    FROM crm.tickets AS k WHERE k.tenant_id = a.tenant_id AND k.account_id = a.account_id AND k.merged_into_id IS NULL) AS k
CROSS JOIN LATERAL (SELECT count(*) AS leads, count(l.converted_at) AS converted_leads
                    FROM crm.leads AS l WHERE l.tenant_id = a.tenant_id AND l.account_id = a.account_id AND l.merged_into_id IS NULL) AS l;
COMMENT ON VIEW crm_analytics.customer_totals IS
'One row = one account over its whole life, as sales, orders, service and marketing know it: account_totals, and the sums of its orders (base currency, '
'returns taken off, cancelled ones left out), tickets and leads.';

CREATE OR REPLACE FUNCTION crm_analytics.customer_360(account_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    mine bigint := crm.tenant_id();
    known jsonb;
    the crm.accounts%ROWTYPE;
BEGIN
    SELECT a.* INTO the FROM crm.accounts AS a WHERE a.tenant_id = mine AND a.id = customer_360.account_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no account %', customer_360.account_id
            USING ERRCODE = 'no_data_found', HINT = 'It does not exist, or you may not see it.';
    END IF;
    SELECT jsonb_build_object(
        'account', (SELECT to_jsonb(d) FROM crm_analytics.dim_account AS d WHERE d.tenant_id = mine AND d.account_id = the.id)
                   || jsonb_build_object('tags', the.tags, 'custom', the.custom, 'website', the.website, 'address', the.address),
        'contacts', coalesce((SELECT jsonb_agg(jsonb_build_object('contact_id', c.id, 'name', c.name, 'title', c.title, 'preferences', c.preferences,
                                 'points', (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', p.kind, 'value', p.value, 'primary', p.is_primary)
                                                                      ORDER BY p.is_primary DESC, p.id), '[]')
                                            FROM crm.contact_points AS p WHERE p.tenant_id = mine AND p.contact_id = c.id)) ORDER BY c.id)
                              FROM crm.contacts AS c WHERE c.tenant_id = mine AND c.account_id = the.id), '[]'),
        'relationships', coalesce((SELECT jsonb_agg(to_jsonb(r) - 'tenant_id' ORDER BY r.id) FROM crm.relationships AS r
                                   WHERE r.tenant_id = mine AND the.id IN (r.from_account_id, r.to_account_id)), '[]'),
        'sales', jsonb_build_object(
            'totals', (SELECT to_jsonb(t) - 'tenant_id' - 'account_id' - 'account_name' FROM crm_analytics.account_totals AS t
                       WHERE t.tenant_id = mine AND t.account_id = the.id),
            'orders', (SELECT jsonb_build_object('orders', t.orders, 'amount', t.revenue, 'last_order_on', t.last_order_on) FROM crm_analytics.customer_totals AS t
                       WHERE t.tenant_id = mine AND t.account_id = the.id)
                      || jsonb_build_object('last', coalesce((SELECT jsonb_agg(x.doc) FROM (
                             SELECT jsonb_build_object('order_id', o.id, 'number', o.number, 'kind', o.kind, 'state', o.state, 'ordered_on', o.ordered_on, 'amount', o.base_amount) AS doc
                             FROM crm.orders AS o WHERE o.tenant_id = mine AND o.account_id = the.id ORDER BY o.ordered_on DESC, o.id DESC LIMIT 20) AS x), '[]')),
            'open', coalesce((SELECT jsonb_agg(jsonb_build_object('opportunity_id', f.opportunity_id, 'name', f.name, 'stage', s.name,
                                 'amount', f.base_amount, 'probability', f.probability, 'expected_on', f.expected_on,
                                 'days_in_stage', round(f.days_in_stage, 1), 'is_rotting', f.is_rotting) ORDER BY f.expected_on, f.opportunity_id)
                              FROM crm_analytics.fact_opportunities AS f JOIN crm.stages AS s ON s.tenant_id = f.tenant_id AND s.id = f.stage_id
                              WHERE f.tenant_id = mine AND f.account_id = the.id AND f.state = 'open'), '[]'),
            'closed', coalesce((SELECT jsonb_agg(x.doc ORDER BY x.closed_on DESC, x.opportunity_id DESC)
                                FROM (SELECT f.closed_on, f.opportunity_id,
                                             jsonb_build_object('opportunity_id', f.opportunity_id, 'name', f.name, 'state', f.state,
                                                                'amount', f.base_amount, 'closed_on', f.closed_on, 'loss_reason', f.loss_reason) AS doc
                                      FROM crm_analytics.fact_opportunities AS f
                                      WHERE f.tenant_id = mine AND f.account_id = the.id AND f.state <> 'open'
                                      ORDER BY f.closed_on DESC, f.opportunity_id DESC LIMIT 50) AS x), '[]')),
        'activities', jsonb_build_object(
            'next', coalesce((SELECT jsonb_agg(x.doc) FROM (SELECT jsonb_build_object('activity_id', v.id, 'kind', v.kind, 'subject', v.subject, 'due_at', v.due_at) AS doc
                              FROM crm.activities AS v WHERE v.tenant_id = mine AND v.account_id = the.id AND v.done_at IS NULL AND v.due_at IS NOT NULL
                              ORDER BY v.due_at LIMIT 20) AS x), '[]'),
            'last', coalesce((SELECT jsonb_agg(x.doc) FROM (SELECT jsonb_build_object('activity_id', v.id, 'kind', v.kind, 'subject', v.subject,
                                                                                      'at', coalesce(v.done_at, v.created_at), 'outcome', v.outcome) AS doc
                              FROM crm.activities AS v WHERE v.tenant_id = mine AND v.account_id = the.id
                              ORDER BY coalesce(v.done_at, v.created_at) DESC LIMIT 20) AS x), '[]'))
    ) INTO known;
    RETURN known || jsonb_build_object('service', crm_analytics.customer_service(the.id), 'marketing', crm_analytics.customer_marketing(the.id));
END
$$;
COMMENT ON FUNCTION crm_analytics.customer_360(bigint) IS
'All that sales, service and marketing know of one account, as one document: account, contacts, relationships, sales (totals, orders, open, last 50 closed), '
'activities (next and last 20), service, marketing. Amounts in base currency. Error P0002 where the account does not exist or is not to be seen.';
SELECT crm.declare_api('crm_analytics.customer_360', '{"account_id": 1}');

CREATE OR REPLACE VIEW crm_analytics.dashboard WITH (security_invoker = true) AS
WITH today AS (
    SELECT t.tenant_id, t.base_currency, (now() AT TIME ZONE t.time_zone)::date AS day, t.time_zone FROM crm.tenants AS t
)
SELECT t.tenant_id, x.area, x.metric, x.value, x.unit
FROM today AS t
CROSS JOIN LATERAL (
    SELECT 'sales' AS area, m.metric, m.value, m.unit
    FROM (SELECT sum(p.opportunities) AS n, sum(p.amount) AS amount, sum(p.weighted) AS weighted, sum(p.missing_rates) AS missing
          FROM crm_analytics.pipeline_by_stage AS p WHERE p.tenant_id = t.tenant_id) AS s,
         LATERAL (SELECT sum(w.won) AS won, sum(w.lost) AS lost, sum(w.won_amount) AS amount, sum(w.won_cycle_days) / nullif(sum(w.won), 0) AS cycle, sum(w.missing_rates) AS missing
                  FROM crm_analytics.closed_by_day AS w
                  WHERE w.tenant_id = t.tenant_id AND w.closed_on > t.day - interval '12 months' AND w.closed_on <= t.day) AS c,
         LATERAL (VALUES ('open_opportunities', coalesce(s.n, 0), 'count'), ('open_amount', coalesce(s.amount, 0), t.base_currency::text),
                         ('weighted_amount', coalesce(s.weighted, 0), t.base_currency::text),
                         ('won_12_months', coalesce(c.won, 0), 'count'), ('won_amount_12_months', coalesce(c.amount, 0), t.base_currency::text),
                         ('win_rate_12_months', c.won / nullif(c.won + c.lost, 0), 'share'),
                         ('mean_cycle_days_12_months', c.cycle, 'days'),
                         ('missing_rates', coalesce(s.missing, 0) + coalesce(c.missing, 0), 'count')) AS m(metric, value, unit)
    UNION ALL
    SELECT 'sales' AS area, m.metric, m.value, 'count' AS unit
    FROM (SELECT coalesce(sum(a.accounts) FILTER (WHERE a.is_customer), 0) AS customers, coalesce(sum(a.accounts), 0) AS accounts
          FROM (SELECT r.tenant_id, r.is_customer, r.accounts FROM crm_internal.crm_accounts AS r WHERE crm.can_see(-1, NULL)
                UNION ALL
                SELECT n.tenant_id, 'customer' = ANY (n.roles), 1 FROM crm.accounts AS n WHERE NOT crm.can_see(-1, NULL)) AS a
          WHERE a.tenant_id = t.tenant_id) AS a,
         LATERAL (VALUES ('customers', a.customers), ('accounts', a.accounts)) AS m(metric, value)
    UNION ALL
    SELECT 'sales' AS area, 'overdue_activities' AS metric, o.activities AS value, 'count' AS unit
    FROM crm_analytics.overdue_activities AS o WHERE o.tenant_id = t.tenant_id
    UNION ALL
    SELECT e.area, e.metric, e.value, e.unit FROM crm_analytics.dashboard_service(t.tenant_id) AS e
    UNION ALL
    SELECT e.area, e.metric, e.value, e.unit FROM crm_analytics.dashboard_marketing(t.tenant_id) AS e
) AS x(area, metric, value, unit);
COMMENT ON VIEW crm_analytics.dashboard IS
'One row = one key figure of one tenant, of all customers together: area (sales, service, marketing), metric, value and its unit (count, share, days, hours, '
'minutes, or the base currency). A figure that cannot be computed is NULL.';
