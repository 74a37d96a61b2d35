-- Customers: what happened with one and all that is known of it, totals, and the dashboard.

-- ---- promises to a customer, and what it says of us: one place each, read by totals, document and page ----

CREATE OR REPLACE VIEW crm_analytics.customer_promises WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS account_id, a.name AS account_name, coalesce(p.promises_kept, 0) AS promises_kept,
       coalesce(p.promises_broken, 0) AS promises_broken,
       coalesce(p.promises_overdue, 0) AS promises_overdue, coalesce(p.promises_under_way, 0) AS promises_under_way, p.next_promise_due_at
FROM crm.accounts AS a
-- by account, so that one costs its own and all cost one pass
LEFT JOIN (
    SELECT r.tenant_id, r.account_id,
           count(*) FILTER (WHERE j.state = 'met') AS promises_kept, count(*) FILTER (WHERE j.state = 'missed') AS promises_broken,
           count(*) FILTER (WHERE j.state = 'overdue') AS promises_overdue, count(*) FILTER (WHERE j.state = 'under_way') AS promises_under_way,
           min(c.due_at) FILTER (WHERE j.state = 'under_way') AS next_promise_due_at
    FROM (SELECT k.tenant_id, k.account_id, 'tickets' AS subject_type, k.id FROM crm.tickets AS k
          UNION ALL
          SELECT l.tenant_id, l.account_id, 'leads' AS subject_type, l.id FROM crm.leads AS l
          UNION ALL
          SELECT o.tenant_id, o.account_id, 'opportunities' AS subject_type, o.id FROM crm.opportunities AS o) AS r
    -- the records stand here already: the clocks themselves, judged as the fact judges them
    JOIN crm.sla_clocks AS c ON c.tenant_id = r.tenant_id AND c.subject_id = r.id AND c.subject_type = r.subject_type
    CROSS JOIN LATERAL (SELECT crm_analytics.promise_state(c.state, c.breached_at, c.due_at) AS state) AS j
    GROUP BY 1, 2) AS p ON p.tenant_id = a.tenant_id AND p.account_id = a.id;
COMMENT ON VIEW crm_analytics.customer_promises IS
'One row = one account: the promises (service clocks) of its tickets, leads and deals over its whole life, as fact_sla_clocks judges them at this instant.';
COMMENT ON COLUMN crm_analytics.customer_promises.promises_kept IS 'Promises met.';
COMMENT ON COLUMN crm_analytics.customer_promises.promises_broken IS 'Promises missed, and ended.';
COMMENT ON COLUMN crm_analytics.customer_promises.promises_overdue IS 'Promises missed, and open.';
COMMENT ON COLUMN crm_analytics.customer_promises.promises_under_way IS 'Promises open and in time.';
COMMENT ON COLUMN crm_analytics.customer_promises.next_promise_due_at IS 'When the next of them falls due; NULL: none runs.';

CREATE OR REPLACE VIEW crm_analytics.customer_satisfaction WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS account_id, a.name AS account_name, coalesce(s.answers, 0) AS answers, s.mean_score, s.satisfied_share, s.last_answer_at
FROM crm.accounts AS a
LEFT JOIN (
    SELECT r.tenant_id, r.account_id, count(*) AS answers, round(avg(f.score) FILTER (WHERE f.kind = 'csat'), 2) AS mean_score,
           round(avg(f.is_satisfied::integer), 4) AS satisfied_share, max(f.answered_at) AS last_answer_at
    FROM (SELECT k.tenant_id, k.account_id, 'tickets' AS subject_table, k.id FROM crm.tickets AS k
          UNION ALL
          SELECT o.tenant_id, o.account_id, 'opportunities' AS subject_table, o.id FROM crm.opportunities AS o) AS r
    JOIN crm_analytics.fact_survey_responses AS f
      ON f.tenant_id = r.tenant_id AND f.subject_table = r.subject_table AND f.subject_id = r.id AND f.score IS NOT NULL
    GROUP BY 1, 2) AS s ON s.tenant_id = a.tenant_id AND s.account_id = a.id;
COMMENT ON VIEW crm_analytics.customer_satisfaction IS
'One row = one account: the answers to surveys about its tickets and deals, as fact_survey_responses has them.';
COMMENT ON COLUMN crm_analytics.customer_satisfaction.answers IS 'Answers to surveys of every kind.';
COMMENT ON COLUMN crm_analytics.customer_satisfaction.mean_score IS 'Mean score of csat surveys, 1 to 5; NULL: none was answered.';
COMMENT ON COLUMN crm_analytics.customer_satisfaction.satisfied_share IS
'Share of all answers that are satisfied (see business words), 0 to 1; NULL: no answer.';
COMMENT ON COLUMN crm_analytics.customer_satisfaction.last_answer_at IS 'When the last one was answered.';

CREATE OR REPLACE VIEW crm_analytics.customer_wallet WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS account_id, a.name AS account_name, w.period, w.wallet_share, w.open_wallet
FROM crm.accounts AS a
CROSS JOIN LATERAL (SELECT s.period, coalesce(s.share_by_spend, s.share_by_rank) AS wallet_share, s.open_wallet FROM crm_analytics.wallet_share AS s
                    WHERE s.tenant_id = a.tenant_id AND s.account_id = a.id
                    ORDER BY upper(s.period) DESC, s.family IS NULL DESC, s.declaration_id DESC LIMIT 1) AS w;
COMMENT ON VIEW crm_analytics.customer_wallet IS
'One row = one account that has declared its spend: our share of it by the newest declaration (of everything, if there is one for the period), see '
'wallet_share.';
COMMENT ON COLUMN crm_analytics.customer_wallet.period IS 'Days it is about.';
COMMENT ON COLUMN crm_analytics.customer_wallet.wallet_share IS 'Our share of its spend, 0 to 1: by what it declared, or else by our rank.';
COMMENT ON COLUMN crm_analytics.customer_wallet.open_wallet IS 'What it spends elsewhere, in base currency.';

-- ---- what service and marketing add ----

CREATE OR REPLACE FUNCTION crm_analytics.customer_service(account_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    -- PL/pgSQL: a SQL function called by another keeps the plan, and with it the row security, of whoever called it first in the transaction
    RETURN (SELECT jsonb_build_object(
        'open', count(*) FILTER (WHERE t.closed_at IS NULL), 'closed', count(*) FILTER (WHERE t.closed_at IS NOT NULL),
        'reopened', count(*) FILTER (WHERE t.reopen_count > 0), 'last_opened_at', max(t.created_at),
        'median_resolution_hours', percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM t.resolved_at - t.created_at)::double precision / 3600)
                                   FILTER (WHERE t.resolved_at IS NOT NULL),
        'promises', (SELECT jsonb_build_object('kept', p.promises_kept, 'broken', p.promises_broken, 'overdue', p.promises_overdue,
                                               'under_way', p.promises_under_way, 'next_due_at', p.next_promise_due_at)
                     FROM crm_analytics.customer_promises AS p WHERE p.tenant_id = crm.tenant_id() AND p.account_id = $1),
        'satisfaction', (SELECT jsonb_build_object('answers', f.answers, 'mean_score', f.mean_score, 'satisfied', f.satisfied_share,
                                                   'last_answer_at', f.last_answer_at)
                         FROM crm_analytics.customer_satisfaction AS f WHERE f.tenant_id = crm.tenant_id() AND f.account_id = $1),
        'tickets', coalesce((SELECT jsonb_agg(x.doc) FROM (
            SELECT jsonb_build_object('ticket_id', n.id, 'subject', n.subject, 'priority', n.priority, 'stage', s.name,
                                      'opened_at', n.created_at, 'closed_at', n.closed_at) AS doc
            FROM crm.tickets AS n JOIN crm.stages AS s ON s.tenant_id = n.tenant_id AND s.id = n.stage_id
            WHERE n.tenant_id = crm.tenant_id() AND n.account_id = $1 AND n.merged_into_id IS NULL
            ORDER BY n.closed_at IS NOT NULL, n.created_at DESC, n.id DESC LIMIT 20) AS x), '[]'))
    FROM crm.tickets AS t WHERE t.tenant_id = crm.tenant_id() AND t.account_id = $1 AND t.merged_into_id IS NULL);
END
$$;
COMMENT ON FUNCTION crm_analytics.customer_service(bigint) IS
'The service part of customer_360: numbers of tickets (those merged into others aside), median hours to their solution, promises '
'(crm_analytics.customer_promises), answers to surveys (crm_analytics.customer_satisfaction) and the last 20 tickets, open ones first.';

CREATE OR REPLACE FUNCTION crm_analytics.customer_marketing(account_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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
            WHERE g.tenant_id = crm.tenant_id() AND g.subject_table = 'accounts' AND m.subject_id = customer_marketing.account_id), '[]'),
        'campaigns', coalesce((SELECT jsonb_agg(x.doc) FROM (
            SELECT jsonb_build_object('campaign_id', c.id, 'campaign', c.name, 'contact', k.name, 'status', m.status, 'since', m.status_at,
                                      'enrolled_at', m.enrolled_at, 'held_out', m.held_out, 'variant', v.name) AS doc
            FROM crm.campaign_members AS m
            JOIN crm.campaigns AS c ON c.tenant_id = m.tenant_id AND c.id = m.campaign_id
            LEFT JOIN crm.contacts AS k ON k.tenant_id = m.tenant_id AND k.id = m.contact_id
            LEFT JOIN crm.campaign_variants AS v ON v.tenant_id = m.tenant_id AND v.id = m.variant_id
            WHERE m.tenant_id = crm.tenant_id() AND m.same_as_id IS NULL
              AND (m.account_id = customer_marketing.account_id OR k.account_id = customer_marketing.account_id)
            ORDER BY m.enrolled_at DESC, m.id DESC LIMIT 20) AS x), '[]'),
        'touches', coalesce((SELECT jsonb_agg(x.doc) FROM (
            SELECT jsonb_build_object('kind', t.kind, 'channel', h.name, 'campaign', c.name, 'contact', k.name, 'object', t.object, 'at', t.touched_at) AS doc
            FROM crm.touches AS t
            JOIN crm.channels AS h ON h.tenant_id = t.tenant_id AND h.code = t.channel
            LEFT JOIN crm.campaigns AS c ON c.tenant_id = t.tenant_id AND c.id = t.campaign_id
            LEFT JOIN crm.contacts AS k ON k.tenant_id = t.tenant_id AND k.id = t.contact_id
            WHERE t.tenant_id = crm.tenant_id() AND t.account_id = customer_marketing.account_id AND t.touched_at <= now()
            ORDER BY t.touched_at DESC, t.id DESC LIMIT 20) AS x), '[]'),
        'consents', coalesce((SELECT jsonb_agg(x.doc ORDER BY x.contact, x.purpose, x.channel) FROM (
            SELECT DISTINCT ON (k.id, s.purpose, s.channel) k.name AS contact, s.purpose, s.channel,
                   jsonb_build_object('contact_id', k.id, 'contact', k.name, 'purpose', s.purpose, 'channel', s.channel, 'state', s.state,
                                      'legal_basis', s.legal_basis, 'source', s.source, 'stated_at', s.stated_at) AS doc
            FROM crm.consents AS s JOIN crm.contacts AS k ON k.tenant_id = s.tenant_id AND s.subject_table = 'contacts' AND k.id = s.subject_id
            WHERE s.tenant_id = crm.tenant_id() AND k.account_id = customer_marketing.account_id AND s.stated_at <= now()
            ORDER BY k.id, s.purpose, s.channel, s.stated_at DESC, s.state = 'withdrawn' DESC, s.id DESC) AS x), '[]'))
    INTO known;
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
         (SELECT count(*) FILTER (WHERE k.state = 'met') AS met, count(*) FILTER (WHERE k.state IN ('missed', 'overdue')) AS broken
          FROM crm_analytics.fact_sla_clocks AS k WHERE k.tenant_id = $1 AND k.subject_table = 'tickets' AND k.started_at > now() - interval '30 days') AS p,
         (SELECT avg(r.is_satisfied::integer) AS satisfied
          FROM crm_analytics.fact_survey_responses AS r
          WHERE r.tenant_id = $1 AND r.kind = 'csat' AND r.answered_at > now() - interval '30 days' AND r.score IS NOT NULL) AS f,
         LATERAL (VALUES ('open_tickets', o.open::numeric, 'count'), ('unassigned_tickets', o.unassigned, 'count'), ('opened_30_days', n.opened, 'count'),
                         ('closed_30_days', c.closed, 'count'), ('median_first_response_30_days', n.response::numeric, 'minutes'),
                         ('promises_kept_30_days', p.met::numeric / nullif(p.met + p.broken, 0), 'share'),
                         ('satisfied_30_days', f.satisfied, 'share')) AS m(metric, value, unit)
$$;
COMMENT ON FUNCTION crm_analytics.dashboard_service(bigint) IS
'The service rows of crm_analytics.dashboard. Merged tickets are left out; promises are service clocks begun in the last 30 days, those overdue by now '
'counted as broken; satisfied: answers 4 and 5 of csat surveys.';

CREATE OR REPLACE FUNCTION crm_analytics.dashboard_receivables(tenant_id bigint)
RETURNS TABLE (area text, metric text, value numeric, unit text)
LANGUAGE sql STABLE ROWS 3
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'sales', m.metric, m.value, m.unit
    FROM crm.tenants AS t
    CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE t.time_zone)::date AS day) AS d
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(x.open * r.rate), 0) AS open, coalesce(sum(x.overdue * r.rate), 0) AS overdue
        FROM (SELECT i.currency, sum(i.total_amount - i.settled_amount) AS open,
                     sum(i.total_amount - i.settled_amount) FILTER (WHERE i.due_on < d.day) AS overdue
              FROM crm.invoices AS i WHERE i.tenant_id = t.tenant_id AND i.state = 'posted' AND i.kind = 'invoice' AND i.paid_at IS NULL GROUP BY 1) AS x
        CROSS JOIN LATERAL (SELECT CASE WHEN x.currency = t.base_currency THEN 1
                                        ELSE crm.exchange_rate_on(t.tenant_id, x.currency, t.base_currency, d.day) END AS rate) AS r) AS o
    CROSS JOIN LATERAL (
        SELECT round(avg((i.paid_at AT TIME ZONE t.time_zone)::date - i.issued_on), 1) AS days
        FROM crm.invoices AS i
        WHERE i.tenant_id = t.tenant_id AND i.kind = 'invoice' AND i.paid_at > now() - interval '12 months' AND i.reversed_at IS NULL AND NOT i.reverses) AS p
    CROSS JOIN LATERAL (VALUES ('open_receivables', o.open, t.base_currency::text), ('overdue_receivables', o.overdue, t.base_currency::text),
                               ('mean_payment_days_12_months', p.days, 'days')) AS m(metric, value, unit)
    WHERE t.tenant_id = $1
$$;
COMMENT ON FUNCTION crm_analytics.dashboard_receivables(bigint) IS
'The rows of crm_analytics.dashboard about invoices: what is open of them and what of it is overdue, in base currency at today''s rate (without what has no '
'rate), and the mean days from the day of an invoice to its payment, of those paid in the last 12 months.';

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
       l.leads, l.converted_leads,
       -- what follows costs something a row, and only where it is asked for
       (w.known ->> 'p_alive')::double precision AS p_alive, (w.known ->> 'clv')::numeric AS clv,
       (w.known ->> 'next_order_on')::date AS next_order_on, (w.known ->> 'churn_on')::date AS churn_on,
       (SELECT n.need FROM crm_analytics.account_main_need AS n WHERE n.tenant_id = a.tenant_id AND n.account_id = a.account_id) AS need,
       (SELECT s.wallet_share FROM crm_analytics.customer_wallet AS s WHERE s.tenant_id = a.tenant_id AND s.account_id = a.account_id) AS wallet_share,
       (SELECT s.open_wallet FROM crm_analytics.customer_wallet AS s WHERE s.tenant_id = a.tenant_id AND s.account_id = a.account_id) AS open_wallet,
       s.mean_score AS satisfaction, p.promises_kept, p.promises_broken + p.promises_overdue AS promises_broken
FROM crm_analytics.account_totals AS a
LEFT JOIN crm_analytics.customer_satisfaction AS s ON s.tenant_id = a.tenant_id AND s.account_id = a.account_id
LEFT JOIN crm_analytics.customer_promises AS p ON p.tenant_id = a.tenant_id AND p.account_id = a.account_id
CROSS JOIN LATERAL (SELECT coalesce(sum(o.purchases), 0)::bigint AS orders, coalesce(sum(o.revenue), 0) AS revenue,
                           max(o.ordered_on) FILTER (WHERE o.purchases > 0) AS last_order_on
                    FROM (SELECT o.ordered_on, count(*) FILTER (WHERE o.kind = 'sale') AS purchases, sum(o.base_amount) AS revenue
                          FROM crm.orders AS o
                          WHERE o.tenant_id = a.tenant_id AND o.account_id = a.account_id AND o.state <> 'cancelled'
                            AND o.ordered_on <= crm.local_day(a.tenant_id, now())
                          GROUP BY 1) AS o) AS o
CROSS JOIN LATERAL (SELECT count(*) AS tickets, count(*) FILTER (WHERE k.closed_at IS NULL) AS open_tickets, count(*) FILTER (WHERE k.reopen_count > 0) AS reopened_tickets,
                           max(k.created_at) AS last_ticket_at
                    FROM crm.tickets AS k WHERE k.tenant_id = a.tenant_id AND k.account_id = a.account_id AND k.merged_into_id IS NULL) AS k
CROSS JOIN LATERAL (SELECT count(*) AS leads, count(l.converted_at) AS converted_leads
                    FROM crm.leads AS l WHERE l.tenant_id = a.tenant_id AND l.account_id = a.account_id AND l.merged_into_id IS NULL) AS l
-- all figures of value by one call, and none where nobody asks (OFFSET keeps it a subquery); what all are like is worked out once a statement
CROSS JOIN LATERAL (
    SELECT (SELECT to_jsonb(v.*) FROM crm_analytics.customer_worth(ARRAY[a.account_id],
                                 among => (SELECT (g.*)::crm.rfm_edges FROM crm_analytics.all_customers() AS g)) AS v
            WHERE v.tenant_id = a.tenant_id) AS known OFFSET 0) AS w;
COMMENT ON VIEW crm_analytics.customer_totals IS
'One row = one account over its whole life, as sales, orders, service and marketing know it: account_totals, the sums of its orders up to today (base '
'currency, returns taken off, cancelled ones left out), tickets and leads, what it is worth (crm_analytics.customer_worth), needs and how much of its spend '
'is ours, how satisfied it is and how we kept our promises.';
COMMENT ON COLUMN crm_analytics.customer_totals.p_alive IS 'Probability that it still is a customer; NULL: no order yet, or the method knows none.';
COMMENT ON COLUMN crm_analytics.customer_totals.clv IS 'Margin of the year ahead, in base currency; NULL: no order yet.';
COMMENT ON COLUMN crm_analytics.customer_totals.next_order_on IS 'Day on which the next order is due; past: overdue; NULL: no order yet, or gone.';
COMMENT ON COLUMN crm_analytics.customer_totals.churn_on IS 'Day on which it counts as gone unless an order comes.';
COMMENT ON COLUMN crm_analytics.customer_totals.need IS 'What it needs most (crm_analytics.account_main_need).';
COMMENT ON COLUMN crm_analytics.customer_totals.wallet_share IS
'Our share of its spend, 0 to 1, by its newest declaration (crm_analytics.customer_wallet); NULL: none.';
COMMENT ON COLUMN crm_analytics.customer_totals.open_wallet IS 'What it spends elsewhere by that declaration, in base currency.';
COMMENT ON COLUMN crm_analytics.customer_totals.satisfaction IS 'Mean score of csat surveys, 1 to 5; NULL: none was answered.';
COMMENT ON COLUMN crm_analytics.customer_totals.promises_kept IS 'Promises met.';
COMMENT ON COLUMN crm_analytics.customer_totals.promises_broken IS 'Promises missed, those still open among them.';

CREATE OR REPLACE FUNCTION crm_analytics.customer_360(account_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    mine bigint := crm.tenant_id();
    known jsonb;
    the crm.accounts%ROWTYPE;
    sums record;
BEGIN
    SELECT a.* INTO the FROM crm.accounts AS a WHERE a.tenant_id = mine AND a.id = customer_360.account_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no account %', customer_360.account_id
            USING ERRCODE = 'no_data_found', HINT = 'It does not exist, or you may not see it.';
    END IF;
    SELECT t.orders, t.revenue, t.last_order_on, t.need, t.wallet_share, t.open_wallet INTO sums
    FROM crm_analytics.customer_totals AS t WHERE t.tenant_id = mine AND t.account_id = the.id;
    SELECT jsonb_build_object(
        'account', (SELECT to_jsonb(d.*) FROM crm_analytics.dim_account AS d WHERE d.tenant_id = mine AND d.account_id = the.id)
                   || jsonb_build_object('tags', the.tags, 'custom', the.custom, 'website', the.website, 'address', the.address),
        'contacts', coalesce((SELECT jsonb_agg(jsonb_build_object('contact_id', c.id, 'name', c.name, 'title', c.title, 'preferences', c.preferences,
                                 'points', (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', p.kind, 'value', p.value, 'primary', p.is_primary)
                                                                      ORDER BY p.is_primary DESC, p.id), '[]')
                                            FROM crm.contact_points AS p WHERE p.tenant_id = mine AND p.contact_id = c.id)) ORDER BY c.id)
                              FROM crm.contacts AS c WHERE c.tenant_id = mine AND c.account_id = the.id), '[]'),
        'relationships', coalesce((SELECT jsonb_agg(to_jsonb(r.*) - 'tenant_id' ORDER BY r.id) FROM crm.relationships AS r
                                   WHERE r.tenant_id = mine AND the.id IN (r.from_account_id, r.to_account_id)), '[]'),
        'sales', jsonb_build_object(
            'totals', (SELECT to_jsonb(t.*) - 'tenant_id' - 'account_id' - 'account_name' FROM crm_analytics.account_totals AS t
                       WHERE t.tenant_id = mine AND t.account_id = the.id),
            'orders', jsonb_build_object('orders', sums.orders, 'amount', sums.revenue, 'last_order_on', sums.last_order_on)
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
                              ORDER BY coalesce(v.done_at, v.created_at) DESC LIMIT 20) AS x), '[]')),
        -- an account that has not ordered yet has the same keys, without values
        'value', coalesce((SELECT to_jsonb(w.*) - 'tenant_id' - 'account_id' - 'account_name' - 'owner_id'
                           FROM crm_analytics.customer_worth(ARRAY[the.id]) AS w),
                          jsonb_build_object('orders', 0, 'clv', NULL, 'p_alive', NULL, 'next_order_on', NULL, 'churn_on', NULL)),
        'needs', jsonb_build_object('main', sums.need,
            'declared', coalesce((SELECT jsonb_agg(jsonb_build_object('need', n.need, 'importance', n.importance) ORDER BY n.importance DESC, n.need)
                                  FROM crm.account_needs AS n WHERE n.tenant_id = mine AND n.account_id = the.id), '[]')),
        'wallet', jsonb_build_object('share', sums.wallet_share, 'open', sums.open_wallet,
            'declarations', coalesce((SELECT jsonb_agg(to_jsonb(d.*) - 'tenant_id' - 'account_id' - 'account_name'
                                                               ORDER BY upper(d.period) DESC, d.declaration_id DESC)
                                      FROM crm_analytics.wallet_share AS d WHERE d.tenant_id = mine AND d.account_id = the.id), '[]'))
        -- a room that comes later adds its key here, from its own one place
    ) INTO known;
    RETURN known || jsonb_build_object('service', crm_analytics.customer_service(the.id), 'marketing', crm_analytics.customer_marketing(the.id),
        'loyalty', (SELECT to_jsonb(p.*) - '{tenant_id,account_id,account_name}'::text[] FROM crm_analytics.loyalty_points(ARRAY[the.id]) AS p),
        'receivables', (SELECT to_jsonb(r.*) - '{tenant_id,account_id,account_name}'::text[]
                               || jsonb_build_object('open', coalesce((SELECT jsonb_agg(x.doc) FROM (
                                      SELECT jsonb_build_object('invoice_id', i.invoice_id, 'number', i.number, 'issued_on', i.issued_on,
                                                                'due_on', i.due_on, 'total', i.total_amount, 'open', i.open_amount, 'currency',
                                                                i.currency, 'overdue_days', i.overdue_days) AS doc
                                      FROM crm_analytics.open_invoices(now(), the.id) AS i ORDER BY i.due_on, i.invoice_id LIMIT 20) AS x), '[]'))
                        FROM crm_analytics.customer_receivables AS r WHERE r.tenant_id = mine AND r.account_id = the.id));
END
$$;
COMMENT ON FUNCTION crm_analytics.customer_360(bigint) IS
'All that sales, service and marketing know of one account, as one document: account, contacts, relationships, sales (totals, orders, open, last 50 closed), '
'activities (next and last 20), value (crm_analytics.customer_worth), needs, wallet, service (with promises and satisfaction), '
'marketing, loyalty (tier and points, crm_analytics.loyalty_points), receivables '
'(crm_analytics.customer_receivables and the oldest 20 open invoices). Amounts in base currency. Error P0002 where the account does not exist '
'or is not to be seen.';
SELECT crm.declare_api('crm_analytics.customer_360', '{"account_id": 1}');

CREATE OR REPLACE VIEW crm_analytics.orders_by_day WITH (security_invoker = true) AS
SELECT d.tenant_id, d.ordered_on, d.orders, d.revenue
FROM (
    SELECT r.tenant_id, r.ordered_on, r.orders, r.revenue FROM crm_internal.crm_orders_by_day AS r WHERE crm.can_see(-1, NULL)
    UNION ALL
    SELECT s.tenant_id, s.ordered_on, sum(s.purchases)::bigint, sum(s.revenue) FROM crm_analytics.purchases_seen() AS s WHERE NOT crm.can_see(-1,
        NULL) GROUP BY 1, 2
) AS d;
COMMENT ON VIEW crm_analytics.orders_by_day IS
'One row = what was ordered on one day of the tenant''s zone, of all accounts together: sales less returns, cancelled orders left out. Served by a rollup to '
'those who see every row of the tenant.';
COMMENT ON COLUMN crm_analytics.orders_by_day.ordered_on IS 'Day of the orders, in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.orders_by_day.orders IS 'Number of sales.';
COMMENT ON COLUMN crm_analytics.orders_by_day.revenue IS 'Sales less returns, in base currency.';

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
    SELECT 'sales' AS area, m.metric, m.value, m.unit
    FROM (SELECT coalesce(sum(d.orders), 0) AS orders, coalesce(sum(d.revenue), 0) AS revenue FROM crm_analytics.orders_by_day AS d
          WHERE d.tenant_id = t.tenant_id AND d.ordered_on > t.day - interval '12 months' AND d.ordered_on <= t.day) AS d,
         LATERAL (VALUES ('orders_12_months', d.orders, 'count'), ('revenue_12_months', d.revenue, t.base_currency::text)) AS m(metric, value, unit)
    UNION ALL
    SELECT 'sales' AS area, 'overdue_activities' AS metric, o.activities AS value, 'count' AS unit
    FROM crm_analytics.overdue_activities AS o WHERE o.tenant_id = t.tenant_id
    UNION ALL
    SELECT e.area, e.metric, e.value, e.unit FROM crm_analytics.dashboard_receivables(t.tenant_id) AS e
    UNION ALL
    SELECT e.area, e.metric, e.value, e.unit FROM crm_analytics.dashboard_service(t.tenant_id) AS e
    UNION ALL
    SELECT e.area, e.metric, e.value, e.unit FROM crm_analytics.dashboard_marketing(t.tenant_id) AS e
) AS x(area, metric, value, unit);
COMMENT ON VIEW crm_analytics.dashboard IS
'One row = one key figure of one tenant, of all customers together: area (sales, service, marketing), metric, value and its unit (count, share, days, hours, '
'minutes, or the base currency). A figure that cannot be computed is NULL.';
