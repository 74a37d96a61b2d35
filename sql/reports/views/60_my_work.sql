-- The work list of each user: what is overdue and due, promises about to break, hot leads, deals that rot, customers fallen silent.

-- Models may be missing and are asked once: a set of hot leads, not a look at each.
CREATE OR REPLACE FUNCTION crm_analytics.hot_leads()
RETURNS TABLE (tenant_id bigint, lead_id bigint, score numeric, threshold text)
LANGUAGE plpgsql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    m record;
BEGIN
    -- the model that crm.top_leads() takes, and the highest threshold it announces
    SELECT s.id, s.name, x.name AS threshold, x.enter INTO m
    FROM (SELECT s.* FROM crm.score_models AS s WHERE s.tenant_id = t AND s.active ORDER BY s.id LIMIT 1) AS s
    CROSS JOIN LATERAL jsonb_to_recordset(s.thresholds) AS x (name text, enter numeric)
    ORDER BY x.enter DESC LIMIT 1;
    IF m.id IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT t, l.lead_id, l.score, m.threshold FROM crm.top_leads(1000, now(), m.name) AS l WHERE l.score >= m.enter;
END
$$;
COMMENT ON FUNCTION crm_analytics.hot_leads() IS
'Open leads that the caller may see whose score is over the highest threshold of the first active model, at most 1000; none without such a model.';
SELECT crm.declare_function('crm_analytics.hot_leads', 'reader');

CREATE OR REPLACE VIEW crm_analytics.my_work WITH (security_invoker = true) AS
SELECT w.tenant_id, w.owner_id AS user_id, u.name AS user_name,
       row_number() OVER (PARTITION BY w.tenant_id, w.owner_id
                          ORDER BY w.urgency, w.base_amount DESC NULLS LAST, w.due_at, w.subject_table, w.subject_id)::integer AS place,
       w.kind, d.words ->> ('do ' || w.action) AS action,
       -- a reader of Persian reads Jalali days and Persian digits
       translate(CASE w.kind
            WHEN 'promise' THEN format(d.words ->> CASE WHEN w.due_at <= now() THEN 'broken' ELSE 'promise' END, d.words ->> w.what,
                                       crm_analytics.report_date((w.due_at AT TIME ZONE d.zone)::date, d.language)
                                       || to_char(w.due_at AT TIME ZONE d.zone, ' HH24:MI'))
            WHEN 'overdue' THEN CASE WHEN d.late_days > 0 THEN format(d.words ->> 'overdue', d.late_days)
                                     ELSE format(d.words ->> 'late', to_char(w.due_at AT TIME ZONE d.zone, 'HH24:MI')) END
            WHEN 'due' THEN format(d.words ->> 'due', to_char(w.due_at AT TIME ZONE d.zone, 'HH24:MI'))
            WHEN 'silent' THEN format(d.words ->> w.kind, crm_analytics.report_date(w.what::date, d.language), w.which)
            ELSE format(d.words ->> w.kind, w.what, w.which) END, '0123456789', coalesce(d.words ->> 'digits', '0123456789')) AS reason,
       w.title, w.subject_table, w.subject_id, w.account_id, ac.name AS account_name, w.due_at, w.base_amount
FROM (
    SELECT a.tenant_id, a.owner_id, CASE WHEN a.due_at < now() THEN 'overdue' ELSE 'due' END AS kind, CASE WHEN a.due_at < now() THEN 2 ELSE 3 END AS urgency,
           a.kind AS action, a.subject AS title, 'activities'::text AS subject_table, a.id AS subject_id, a.account_id, a.due_at, NULL::numeric AS base_amount,
           NULL::text AS what, NULL::text AS which
    FROM crm.activities AS a
    WHERE a.done_at IS NULL AND a.due_at < now() + interval '36 hours' AND isfinite(a.due_at)
    UNION ALL
    SELECT c.tenant_id, coalesce(k.owner_id, l.owner_id, o.owner_id) AS owner_id, 'promise'::text AS kind, 1 AS urgency, 'promise'::text AS action,
           coalesce(k.subject, l.name, o.name) AS title, c.subject_type AS subject_table, c.subject_id,
           coalesce(k.account_id, l.account_id, o.account_id) AS account_id, c.due_at, NULL::numeric AS base_amount, c.metric AS what, NULL::text AS which
    FROM crm.sla_clocks AS c
    LEFT JOIN crm.tickets AS k ON c.subject_type = 'tickets' AND k.tenant_id = c.tenant_id AND k.id = c.subject_id
    LEFT JOIN crm.leads AS l ON c.subject_type = 'leads' AND l.tenant_id = c.tenant_id AND l.id = c.subject_id
    LEFT JOIN crm.opportunities AS o ON c.subject_type = 'opportunities' AND o.tenant_id = c.tenant_id AND o.id = c.subject_id
    WHERE c.state = 'running' AND c.due_at < now() + greatest(interval '1 hour', make_interval(secs => c.target_seconds / 4))
    UNION ALL
    SELECT h.tenant_id, l.owner_id, 'hot_lead'::text AS kind, 4 AS urgency, 'hot_lead'::text AS action, l.name AS title,
           'leads'::text AS subject_table, l.id AS subject_id, l.account_id, NULL::timestamptz AS due_at, NULL::numeric AS base_amount,
           round(h.score)::text AS what, h.threshold AS which
    FROM crm_analytics.hot_leads() AS h
    JOIN crm.leads AS l ON l.tenant_id = h.tenant_id AND l.id = h.lead_id
    WHERE NOT EXISTS (SELECT FROM crm.activities AS v WHERE v.tenant_id = l.tenant_id AND v.related_table = 'leads' AND v.related_id = l.id
                                                        AND v.done_at IS NULL AND v.due_at IS NOT NULL)
    UNION ALL
    SELECT r.tenant_id, r.owner_id, 'rotting'::text AS kind, 5 AS urgency, 'rotting'::text AS action, r.opportunity AS title,
           'opportunities'::text AS subject_table, r.opportunity_id AS subject_id, o.account_id, NULL::timestamptz AS due_at,
           r.amount * CASE WHEN r.currency = t.base_currency THEN 1
                           ELSE crm.exchange_rate_on(r.tenant_id, r.currency, t.base_currency, crm.local_day(r.tenant_id, now())) END AS base_amount,
           greatest(r.days_over, 0)::text AS what, r.stage AS which
    FROM crm_analytics.rotting_opportunities AS r
    JOIN crm.opportunities AS o ON o.tenant_id = r.tenant_id AND o.id = r.opportunity_id
    JOIN crm.tenants AS t ON t.tenant_id = r.tenant_id
    UNION ALL
    -- silent for longer than nine of ten of its usual gaps, and not yet given up
    SELECT s.tenant_id, s.owner_id, 'silent'::text AS kind, 6 AS urgency, 'silent'::text AS action, s.account_name AS title, 'accounts'::text AS subject_table,
           s.account_id AS subject_id, s.account_id, NULL::timestamptz AS due_at, s.clv AS base_amount,
           s.last_order_on::text AS what, ceil(s.usual_gap_days)::text AS which
    FROM crm_analytics.customer_value_at() AS s
    WHERE s.silent_on <= crm.local_day(s.tenant_id, now()) AND s.silent_on > crm.local_day(s.tenant_id, now()) - 365
      AND NOT EXISTS (SELECT FROM crm.activities AS v WHERE v.tenant_id = s.tenant_id AND v.account_id = s.account_id
                                                        AND v.done_at IS NULL AND v.due_at IS NOT NULL)
) AS w
JOIN crm.users AS u ON u.tenant_id = w.tenant_id AND u.id = w.owner_id
JOIN crm.tenants AS t ON t.tenant_id = w.tenant_id
CROSS JOIN LATERAL (SELECT x.zone, x.language, crm.texts('work', x.language) AS words, (now() AT TIME ZONE x.zone)::date AS today,
                           (now() AT TIME ZONE x.zone)::date - (w.due_at AT TIME ZONE x.zone)::date AS late_days
                    FROM (SELECT coalesce(u.time_zone, t.time_zone) AS zone, coalesce(u.language, t.language) AS language) AS x) AS d
LEFT JOIN crm.accounts AS ac ON ac.tenant_id = w.tenant_id AND ac.id = w.account_id
WHERE w.kind <> 'due' OR d.late_days = 0;
COMMENT ON VIEW crm_analytics.my_work IS
'One row = one thing to do for one user, of what the caller may see: an agent''s own, a manager''s team. Kinds, most urgent first: promise (a service clock of '
'theirs that is broken, or has less than a quarter of its time, or an hour, left), overdue and due (activities past their time, or due on this day of the '
'user''s zone), hot_lead (over the highest threshold of the scoring model, nothing planned), rotting (deals), silent (customers silent for longer than nine '
'of ten of their usual gaps, at most for a year, nothing planned).';
COMMENT ON COLUMN crm_analytics.my_work.user_id IS 'Whose work it is: the owner of the record.';
COMMENT ON COLUMN crm_analytics.my_work.user_name IS 'Name of that user.';
COMMENT ON COLUMN crm_analytics.my_work.place IS
'Place in the user''s list: 1 is the next best action. By kind, then by what is at stake (base_amount), then by due_at.';
COMMENT ON COLUMN crm_analytics.my_work.kind IS 'promise, overdue, due, hot_lead, rotting or silent.';
COMMENT ON COLUMN crm_analytics.my_work.action IS 'What to do, in the language of the user, else of the tenant.';
COMMENT ON COLUMN crm_analytics.my_work.reason IS 'Why, in that language, with times of the user''s zone.';
COMMENT ON COLUMN crm_analytics.my_work.title IS 'Headline or name of the record.';
COMMENT ON COLUMN crm_analytics.my_work.subject_table IS 'Table of the record: activities, tickets, leads, opportunities or accounts.';
COMMENT ON COLUMN crm_analytics.my_work.subject_id IS 'Id of the record.';
COMMENT ON COLUMN crm_analytics.my_work.account_id IS 'Account it is about; NULL: none.';
COMMENT ON COLUMN crm_analytics.my_work.due_at IS 'When it is due; NULL: at no time in particular.';
COMMENT ON COLUMN crm_analytics.my_work.base_amount IS
'What is at stake, in base currency: amount of the deal, worth of the customer in the year ahead; NULL: not known.';
