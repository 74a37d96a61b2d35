-- The questions of docs/howto/questions.md: each figure of a view is found by another way from the tables, as the owner of the CRM, a manager and an agent, who sees
-- their own. Rows were changed, deleted, cancelled, merged and moved before, and the company is neither in USD alone nor free of missing rates.
-- long: 40 s
BEGIN;
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
\i :helper
SELECT count(*) > 0 AS made FROM crm.generate_demo(1, 42, '2026-06-30');
SELECT u.id AS boss FROM crm.users AS u WHERE u.access = 'manager' ORDER BY u.id LIMIT 1 \gset
SELECT o.owner_id AS agent FROM crm.opportunities AS o JOIN crm.users AS u ON u.tenant_id = o.tenant_id AND u.id = o.owner_id WHERE u.access = 'agent' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1 \gset
SELECT g.access AS level FROM crm.grant_access('regress_crm_manager', 'manager', :boss) AS g \gset
SELECT g.access AS level FROM crm.grant_access('regress_crm_agent', 'agent', :agent) AS g \gset

-- what was not only inserted
UPDATE crm.opportunities AS o SET currency = 'EUR' WHERE o.id % 7 = 0 AND o.currency = 'USD' AND NOT EXISTS (SELECT FROM crm.opportunity_lines AS l WHERE l.opportunity_id = o.id);
UPDATE crm.opportunities AS o SET currency = 'JPY' WHERE o.id % 50 = 1 AND NOT EXISTS (SELECT FROM crm.opportunity_lines AS l WHERE l.opportunity_id = o.id);
UPDATE crm.opportunities SET owner_id = :agent WHERE id % 40 = 2;
DELETE FROM crm.opportunities WHERE id IN (SELECT o.id FROM crm.opportunities AS o WHERE NOT EXISTS (SELECT FROM crm.orders AS r WHERE r.opportunity_id = o.id)
  AND NOT EXISTS (SELECT FROM crm.leads AS l WHERE l.opportunity_id = o.id) AND o.id % 3 = 0 ORDER BY o.id LIMIT 20);
UPDATE crm.orders SET state = 'cancelled' WHERE id % 45 = 3 AND kind = 'sale';
UPDATE crm.activities SET owner_id = :agent WHERE id % 30 = 4;
UPDATE crm.tickets SET owner_id = :agent WHERE id % 6 = 1 OR closed_at IS NULL AND id % 2 = 0;
DELETE FROM crm.activities WHERE id % 25 = 5;
INSERT INTO crm.surveys (code, kind, question) VALUES ('recommend', 'nps', '{"en": "Would you recommend us?"}');
INSERT INTO crm.survey_responses (survey_id, subject_table, subject_id, contact_id, owner_id, team_id, sent_at, score, answered_at)
SELECT s.id, 'tickets', k.id, k.contact_id, k.owner_id, k.team_id, k.resolved_at, CASE WHEN k.id % 9 > 0 THEN 4 + k.id % 7 END, CASE WHEN k.id % 9 > 0 THEN k.resolved_at + interval '1 day' END
FROM crm.tickets AS k, crm.surveys AS s WHERE k.resolved_at IS NOT NULL AND s.code = 'recommend';
SELECT count(*) AS merged FROM (SELECT crm.merge_tickets(x.id, x.other) FROM (SELECT k.id, lead(k.id) OVER (PARTITION BY k.account_id ORDER BY k.id) AS other, row_number() OVER (PARTITION BY k.account_id ORDER BY k.id) AS n
    FROM crm.tickets AS k WHERE k.closed_at IS NULL) AS x WHERE x.other IS NOT NULL AND x.n % 2 = 1 LIMIT 2) AS m \gset
DELETE FROM crm.tickets WHERE id IN (SELECT k.id FROM crm.tickets AS k WHERE k.closed_at IS NULL AND NOT EXISTS (SELECT FROM crm.tickets AS c WHERE k.id IN (c.merged_into_id, c.split_from_id, c.follow_up_of_id, c.parent_id)) ORDER BY k.id LIMIT 1);

-- the rate of a day by the rule of the documentation, not by the function: the last one on or before it
CREATE FUNCTION pg_temp.rate(code text, day date) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN code = 'USD' THEN 1 ELSE (SELECT r.rate FROM crm.exchange_rates AS r WHERE r.tenant_id = 1 AND r.from_currency = code AND r.to_currency = 'USD' AND r.valid_from <= day ORDER BY r.valid_from DESC LIMIT 1) END $$;
CREATE TABLE pg_temp.questions (no integer, question text, answer text, otherwise text);
INSERT INTO questions VALUES
(1, 'revenue by month', 'SELECT to_char(month, ''YYYY-MM-DD''), round(sum(revenue), 2) FROM crm_analytics.fact_orders WHERE revenue IS NOT NULL GROUP BY 1',
 $$SELECT to_char(o.ordered_at AT TIME ZONE 'UTC', 'YYYY-MM-01'), round(sum(CASE o.kind WHEN 'return' THEN -1 ELSE 1 END * o.amount * pg_temp.rate(o.currency, (o.ordered_at AT TIME ZONE 'UTC')::date)), 2) FROM crm.orders AS o WHERE o.state <> 'cancelled' GROUP BY 1$$),
(2, 'win rate by owner', 'SELECT owner, round(sum(won) / nullif(sum(won) + sum(lost), 0), 6) FROM crm_analytics.closed_by_owner WHERE closed_on >= ''2026-01-01'' GROUP BY owner',
 $$SELECT u.name, round(avg((s.type IN ('won', 'done'))::integer), 6) FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id LEFT JOIN crm.users AS u ON u.id = o.owner_id
   WHERE s.type IN ('won', 'done', 'lost') AND o.close_date >= '2026-01-01' GROUP BY 1$$),
(3, 'pipeline by stage in another currency', 'SELECT stage, round(crm.convert_currency(amount, ''USD'', ''EUR'', event_date => (SELECT crm.local_day(crm.tenant_id(), now()))), 2) FROM crm_analytics.pipeline_by_stage',
 $$SELECT s.name, round(sum(o.amount * pg_temp.rate(o.currency, (SELECT crm.local_day(crm.tenant_id(), now())))) / pg_temp.rate('EUR', (SELECT crm.local_day(crm.tenant_id(), now()))), 2) FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id WHERE s.type IN ('open', 'on_hold') GROUP BY 1$$),
(4, 'what sources bring', 'SELECT value, round(won_amount, 2) FROM crm_analytics.acquisition_segments WHERE characteristic = ''source''',
 $$SELECT l.source, coalesce(round(sum((SELECT o.amount * pg_temp.rate(o.currency, o.close_date) FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id AND s.type = 'won' WHERE o.id = l.opportunity_id)), 2), 0)
   FROM crm.leads AS l WHERE l.merged_into_id IS NULL GROUP BY 1$$),
(5, 'compliance by queue', 'SELECT queue || '' '' || metric, round(sum(met) / nullif(sum(met) + sum(missed) + sum(overdue), 0), 6) FROM crm_analytics.sla_compliance WHERE subject_table = ''tickets'' AND started_on >= ''2026-06-01'' GROUP BY queue, metric',
 $$SELECT (SELECT q.name FROM crm.queues AS q WHERE q.id = k.queue_id) || ' ' || c.metric, round(avg(CASE WHEN c.breached OR c.state = 'missed' THEN 0 WHEN c.state = 'met' THEN 1 END), 6)
   FROM crm.tickets AS k JOIN crm.sla_clock_status AS c ON c.subject_type = 'tickets' AND c.subject_id = k.id AND c.state IN ('met', 'missed', 'running', 'paused') WHERE c.started_at >= '2026-06-01' GROUP BY 1$$),
(6, 'churn list', 'SELECT account_name, round(value_at_stake, 2) FROM crm_analytics.winback_list',
 $$SELECT v.account_name, (SELECT round(r.value_at_stake, 2) FROM crm_analytics.churn_risks() AS r WHERE r.account_id = v.account_id) FROM crm_analytics.customer_value_at() AS v
   WHERE v.churn_on <= (SELECT crm.local_day(crm.tenant_id(), now())) AND EXISTS (SELECT FROM crm.orders AS o WHERE o.account_id = v.account_id AND o.state <> 'cancelled' AND o.kind = 'sale')$$),
(7, 'best customers', 'SELECT account_name, round(sum(revenue), 2) FROM crm_analytics.account_days WHERE ordered_on > ''2025-06-30'' GROUP BY account_id, account_name',
 $$SELECT (SELECT a.name FROM crm.accounts AS a WHERE a.id = o.account_id), round(sum(CASE o.kind WHEN 'return' THEN - abs(o.amount) ELSE o.amount END * pg_temp.rate(o.currency, (o.ordered_at AT TIME ZONE 'UTC')::date)), 2) FROM crm.orders AS o
   WHERE o.ordered_at >= '2025-07-01' AND o.state IN ('placed', 'fulfilled') GROUP BY o.account_id$$),
(8, 'cohort retention', 'SELECT cohort_month || '' '' || months, round(retention, 6) FROM crm_analytics.cohort_retention WHERE months IN (1, 2, 3, 6) AND NOT incomplete',
 $$WITH f AS (SELECT o.account_id, date_trunc('month', min(o.ordered_on)::timestamp)::date AS m FROM crm.orders AS o WHERE o.kind = 'sale' AND o.state <> 'cancelled' AND o.ordered_on <= (SELECT crm.local_day(crm.tenant_id(), now())) GROUP BY 1)
   SELECT f.m || ' ' || n, round(avg((EXISTS (SELECT FROM crm.orders AS o WHERE o.account_id = f.account_id AND o.kind = 'sale' AND o.state <> 'cancelled' AND to_char(o.ordered_on, 'YYYY-MM') = to_char(f.m + make_interval(months => n), 'YYYY-MM')))::integer), 6)
   FROM f, unnest('{1,2,3,6}'::integer[]) AS n WHERE f.m + make_interval(months => n + 1) <= (SELECT crm.local_day(crm.tenant_id(), now())) GROUP BY f.m, n$$),
(9, 'activities per person', 'SELECT coalesce(user_name, ''nobody'') || '' '' || kind, sum(activities)::numeric FROM crm_analytics.user_activity WHERE created_on >= ''2026-06-01'' GROUP BY 1',
 $$SELECT coalesce((SELECT u.name FROM crm.users AS u WHERE u.id = a.owner_id), 'nobody') || ' ' || a.kind, count(*)::numeric FROM crm.activities AS a WHERE a.created_at >= '2026-06-01 00:00+00' GROUP BY 1$$),
(10, 'first response', 'SELECT priority, round((percentile_cont(0.5) WITHIN GROUP (ORDER BY first_response_minutes))::numeric, 3) FROM crm_analytics.fact_tickets GROUP BY 1',
 $$WITH r AS (SELECT k.priority, extract(epoch FROM k.first_response_at - k.created_at) / 60 AS m, row_number() OVER w AS i, count(*) OVER (PARTITION BY k.priority) AS n FROM crm.tickets AS k
     WHERE k.merged_into_id IS NULL AND k.first_response_at IS NOT NULL WINDOW w AS (PARTITION BY k.priority ORDER BY k.first_response_at - k.created_at))
   SELECT r.priority, round(avg(r.m), 3) FROM r WHERE r.i IN ((r.n + 1) / 2, r.n / 2 + 1) GROUP BY 1$$),
(11, 'nps', 'SELECT to_char(month, ''YYYY-MM-DD''), round(100.0 * (sum(satisfied) - sum(dissatisfied)) / nullif(sum(answered), 0), 4) FROM crm_analytics.satisfaction WHERE kind = ''nps'' GROUP BY 1',
 $$SELECT to_char(r.sent_at AT TIME ZONE 'UTC', 'YYYY-MM-01'), round(100 * avg(CASE WHEN r.score > 8 THEN 1 WHEN r.score < 7 THEN -1 WHEN r.score IS NOT NULL THEN 0 END), 4) FROM crm.survey_responses AS r JOIN crm.surveys AS s ON s.id = r.survey_id AND s.kind = 'nps' WHERE r.sent_at IS NOT NULL GROUP BY 1$$),
(12, 'forecast against quota', 'SELECT month::text, round(forecast_attainment, 6) FROM crm_analytics.forecast_against_quota WHERE quota > 0 AND month >= ''2026-01-01''',
 $$SELECT m::text, round((SELECT coalesce(sum(CASE WHEN s.type IN ('won', 'done') THEN o.amount * pg_temp.rate(o.currency, o.close_date)
                                ELSE o.amount * pg_temp.rate(o.currency, (SELECT crm.local_day(crm.tenant_id(), now()))) * coalesce(o.probability, s.probability) / 100 END), 0)
                     FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id AND s.type IN ('won', 'done', 'open', 'on_hold')
                     WHERE to_char(CASE WHEN s.type IN ('won', 'done') THEN o.close_date ELSE o.expected_close_date END, 'YYYY-MM') = to_char(m, 'YYYY-MM'))
                    / sum(q.amount * (SELECT count(*) FROM generate_series(m, m + interval '1 month - 1 day', '1 day') AS d WHERE d::date <@ q.period) / (upper(q.period) - lower(q.period))), 6)
   FROM crm.quotas AS q, generate_series('2026-01-01'::timestamp, '2026-09-01', '1 month') AS g(t), LATERAL (SELECT g.t::date AS m) AS x WHERE q.period @> m AND q.user_id = coalesce((SELECT u.id FROM crm.users AS u WHERE u.db_role = current_user AND u.access = 'agent'), q.user_id) GROUP BY m$$),
(13, 'stuck deals', 'SELECT opportunity, days_over::numeric FROM crm_analytics.rotting_opportunities',
 $$SELECT f.name, floor(extract(epoch FROM now() - greatest((SELECT max(p.moved_at) FROM crm_analytics.fact_stage_moves AS p WHERE p.subject_table = 'opportunities' AND p.subject_id = f.opportunity_id),
       (SELECT max(a.done_at) FROM crm.activities AS a WHERE a.related_table = 'opportunities' AND a.related_id = f.opportunity_id AND a.done_at <= now()))) / 86400) - s.rotting_days
   FROM crm_analytics.fact_opportunities AS f JOIN crm.stages AS s ON s.id = f.stage_id WHERE f.is_rotting$$),
(14, 'backlog age', 'SELECT queue || '' '' || priority, (open * 1000 + over_30_days)::numeric FROM crm_analytics.ticket_backlog',
 $$SELECT (SELECT q.name FROM crm.queues AS q WHERE q.id = k.queue_id) || ' ' || k.priority, sum(1000 + (k.created_at <= now() - interval '30 days')::integer)::numeric FROM crm.tickets AS k JOIN crm.stages AS s ON s.id = k.stage_id
   WHERE s.type IN ('open', 'on_hold') AND k.merged_into_id IS NULL GROUP BY 1$$),
(15, 'lead response', 'SELECT lead_source, round((count(first_response_minutes) * 1e6 + percentile_cont(0.5) WITHIN GROUP (ORDER BY first_response_minutes))::numeric, 3) FROM crm_analytics.lead_responses GROUP BY 1',
 $$WITH r AS (SELECT l.source, extract(epoch FROM l.first_response_at - l.created_at) / 60 AS m, row_number() OVER w AS i, count(*) OVER (PARTITION BY l.source) AS n FROM crm.leads AS l
     WHERE l.merged_into_id IS NULL AND l.first_response_at IS NOT NULL WINDOW w AS (PARTITION BY l.source ORDER BY l.first_response_at - l.created_at))
   SELECT r.source, round(min(r.n) * 1e6 + avg(r.m), 3) FROM r WHERE r.i IN ((r.n + 1) / 2, r.n / 2 + 1) GROUP BY 1$$);
GRANT SELECT ON questions TO PUBLIC;
CREATE FUNCTION pg_temp.compare() RETURNS TABLE (no integer, question text, answers text, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
    q record;
BEGIN
    FOR q IN SELECT * FROM questions AS x ORDER BY x.no LOOP
        no := q.no; question := q.question;
        EXECUTE format('SELECT CASE count(*) WHEN 0 THEN ''none'' WHEN 1 THEN ''one'' ELSE ''some'' END FROM (%s) AS a', q.answer) INTO answers;
        EXECUTE format('SELECT count(*) FROM ((%1$s EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL %1$s)) AS d', '(' || q.answer || ')', '(' || q.otherwise || ')') INTO wrong;
        RETURN NEXT;
    END LOOP;
END $$;

\echo == the owner of the CRM
SELECT * FROM pg_temp.compare();
\echo == a manager
SET LOCAL ROLE regress_crm_manager;
SELECT * FROM pg_temp.compare();
RESET ROLE;
\echo == an agent
SET LOCAL ROLE regress_crm_agent;
SELECT * FROM pg_temp.compare();
-- their own, and less than all
SELECT (SELECT sum(won) FROM crm_analytics.closed_by_owner) AS won, (SELECT count(*) FROM crm_analytics.fact_orders) AS orders, (SELECT count(*) FROM crm_analytics.fact_tickets) AS tickets,
       (SELECT count(*) FROM crm_analytics.fact_leads) AS leads, (SELECT count(*) FROM crm_analytics.fact_sla_clocks) AS promises, (SELECT sum(activities) FROM crm_analytics.user_activity) AS activities \gset own_
RESET ROLE;
SELECT :own_won BETWEEN 1 AND (SELECT sum(won) FROM crm_analytics.closed_by_owner) - 1 AS won, :own_orders BETWEEN 1 AND (SELECT count(*) FROM crm.orders) - 1 AS orders,
       :own_tickets < (SELECT count(*) FROM crm.tickets) AS tickets, :own_leads BETWEEN 1 AND (SELECT count(*) FROM crm.leads) - 1 AS leads,
       :own_promises < (SELECT count(*) FROM crm.sla_clocks) AS promises, :own_activities BETWEEN 1 AND (SELECT count(*) FROM crm.activities) - 1 AS activities;
ROLLBACK;
