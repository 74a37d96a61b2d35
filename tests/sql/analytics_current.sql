-- What the rollups serve against the same figures by plain SQL over the tables: two companies, three currencies of which
-- one has no rate, deals without owner, team, amount or day, reopened, deleted; before and after folding, for whoever
-- sees everything and for whoever sees a part.
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL client_min_messages = warning;
SET LOCAL crm.tenant = '1';
CREATE ROLE current_manager;
CREATE ROLE current_agent;
INSERT INTO crm.tenants (tenant_id, name, base_currency, time_zone, language, week_start, weekend, fiscal_year_start) VALUES (71, 'Second', 'EUR', 'Asia/Tehran', 'fa', 6, '{5}', 'jalali:01-01');
INSERT INTO crm.users (id, name, access, db_role) VALUES (7101, 'May', 'manager', 'current_manager'), (7102, 'Abe', 'agent', 'current_agent'), (7103, 'Cy', 'agent', NULL);
SELECT crm.grant_access('current_manager', 'manager'), crm.grant_access('current_agent', 'agent');
SET LOCAL session_replication_role = replica;
INSERT INTO crm.pipelines (tenant_id, id, code, name, subject_table) VALUES (1, 7101, 'cur', 'Current', 'opportunities'), (71, 7171, 'cur', 'Current', 'opportunities');
INSERT INTO crm.stages (tenant_id, id, pipeline_id, code, name, position, type, probability, forecast_category)
SELECT t.tenant_id, t.first + x.n, t.pipeline_id, 's' || x.n, 'S' || x.n, x.n, x.type, x.p, x.category
FROM (VALUES (1, 7101, 7100), (71, 7171, 7170)) AS t(tenant_id, pipeline_id, first),
     (VALUES (1, 'open', 10, 'pipeline'), (2, 'open', NULL, 'commit'), (3, 'won', 100, 'closed'), (4, 'lost', 0, 'omitted'), (5, 'cancelled', 0, 'omitted')) AS x(n, type, p, category);
INSERT INTO crm.exchange_rates (tenant_id, from_currency, to_currency, valid_from, rate)
SELECT t, 'EUR', 'USD', '2025-01-01'::date + 30 * n, 1 + n / 50.0 FROM unnest('{1,71}'::bigint[]) AS t, generate_series(0, 24) AS n;
INSERT INTO crm.users (tenant_id, id, name) VALUES (71, 7171, 'Far');
SELECT setseed(0.7);
INSERT INTO crm.opportunities (tenant_id, id, name, pipeline_id, stage_id, amount, currency, probability, expected_close_date, close_date, closed_at, created_at, owner_id, team_id, loss_reason, shared_user_ids)
SELECT x.t, 710000 + x.n, 'x', 7101 + CASE WHEN x.t = 71 THEN 70 ELSE 0 END, 7100 + CASE WHEN x.t = 71 THEN 70 ELSE 0 END + x.stage,
       CASE WHEN random() < 0.9 THEN round((random() * 10000)::numeric, 2) END, (ARRAY['USD', 'EUR', 'JPY'])[1 + floor(random() * 3)::integer],
       CASE WHEN random() < 0.7 THEN floor(random() * 100) END, CASE WHEN random() < 0.8 THEN current_date + floor(random() * 90)::integer END,
       CASE WHEN x.stage > 2 AND random() < 0.8 THEN '2025-06-01'::date + floor(random() * 200)::integer END,
       CASE WHEN x.stage > 2 THEN '2025-06-01 21:00Z'::timestamptz + random() * interval '200 days' END, '2025-05-01 21:00Z'::timestamptz + random() * interval '20 days',
       CASE WHEN x.t = 1 AND random() < 0.9 THEN 7101 + floor(random() * 3)::integer END, NULL, CASE WHEN x.stage = 4 AND random() < 0.8 THEN 'price' END,
       CASE WHEN random() < 0.1 THEN '{7102}'::bigint[] ELSE '{}' END
FROM (SELECT n, CASE WHEN n % 3 = 0 THEN 71 ELSE 1 END AS t, 1 + floor(random() * 5)::integer AS stage FROM generate_series(1, 900) AS n OFFSET 0) AS x;
INSERT INTO crm.activities (tenant_id, id, kind, subject, owner_id, created_at, due_at, done_at)
SELECT x.t, 710000 + x.n, (ARRAY['call', 'visit', 'note'])[1 + floor(random() * 3)::integer], 'x', CASE WHEN x.t = 1 AND random() < 0.9 THEN 7101 + floor(random() * 3)::integer END,
       '2025-05-01 20:00Z'::timestamptz + random() * interval '100 days', '2025-06-01', CASE WHEN random() < 0.8 THEN '2025-05-20'::timestamptz + random() * interval '20 days' END
FROM (SELECT n, CASE WHEN n % 3 = 0 THEN 71 ELSE 1 END AS t FROM generate_series(1, 900) AS n) AS x;

-- what each view must say, written out over the tables; the rate by a subquery of its own
CREATE FUNCTION pg_temp.rate(t bigint, c text, d date) RETURNS numeric LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN n.base_currency = c THEN 1 ELSE
        (SELECT v.rate FROM (SELECT x.valid_from, 0 AS z, x.rate FROM crm.exchange_rates AS x WHERE x.tenant_id = t AND x.from_currency = c AND x.to_currency = n.base_currency
                             UNION ALL SELECT x.valid_from, 1, 1 / x.rate FROM crm.exchange_rates AS x WHERE x.tenant_id = t AND x.to_currency = c AND x.from_currency = n.base_currency) AS v
         WHERE v.valid_from <= d ORDER BY v.valid_from DESC, v.z LIMIT 1) END
    FROM crm.tenants AS n WHERE n.tenant_id = t
$$;
CREATE VIEW pg_temp.deals WITH (security_invoker = true) AS
SELECT o.*, s.type, s.forecast_category, CASE WHEN o.probability IS NULL THEN s.probability ELSE o.probability END AS p, d.day, d.born,
       o.amount * r.rate AS base, r.rate IS NULL AND o.amount IS NOT NULL AS missing
FROM crm.opportunities AS o JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id) JOIN crm.tenants AS n ON n.tenant_id = o.tenant_id,
     LATERAL (SELECT CASE WHEN o.closed_at IS NULL THEN NULL WHEN o.close_date IS NULL THEN (o.closed_at AT TIME ZONE n.time_zone)::date ELSE o.close_date END AS day,
                     (o.created_at AT TIME ZONE n.time_zone)::date AS born, (now() AT TIME ZONE n.time_zone)::date AS today) AS d,
     LATERAL (SELECT pg_temp.rate(o.tenant_id, o.currency::text, coalesce(d.day, d.today)) AS rate) AS r
WHERE o.pipeline_id IN (7101, 7171);

CREATE FUNCTION pg_temp.compare() RETURNS TABLE (what text, groups bigint, wrong bigint) LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT * FROM (VALUES
        ('pipeline_now', 'SELECT tenant_id, stage_id, owner_id, month, opportunities, round(amount, 6), round(weighted, 6), missing_rates FROM crm_analytics.pipeline_now WHERE pipeline_id IN (7101, 7171)',
         'SELECT tenant_id, stage_id, owner_id, date_trunc(''month'', expected_close_date::timestamp)::date, count(*), round(sum(base), 6), round(sum(base * coalesce(p, 0)) / 100, 6), count(*) FILTER (WHERE missing) FROM pg_temp.deals WHERE closed_at IS NULL GROUP BY 1, 2, 3, 4'),
        ('pipeline_by_stage', 'SELECT tenant_id, stage_id, opportunities, round(amount, 6), round(weighted, 6), missing_rates FROM crm_analytics.pipeline_by_stage WHERE pipeline_id IN (7101, 7171)',
         'SELECT tenant_id, stage_id, count(*), round(sum(base), 6), round(sum(base * coalesce(p, 0)) / 100, 6), count(*) FILTER (WHERE missing) FROM pg_temp.deals WHERE closed_at IS NULL GROUP BY 1, 2'),
        ('expected_by_day', 'SELECT tenant_id, expected_on, forecast_category, opportunities, round(amount, 6), round(weighted, 6), missing_rates FROM crm_analytics.expected_by_day WHERE pipeline_id IN (7101, 7171)',
         'SELECT tenant_id, expected_close_date, forecast_category, count(*), round(sum(base), 6), round(sum(base * coalesce(p, 0)) / 100, 6), count(*) FILTER (WHERE missing) FROM pg_temp.deals WHERE closed_at IS NULL GROUP BY 1, 2, 3'),
        ('closed_by_day', 'SELECT tenant_id, closed_on, won, lost, round(won_amount, 6), round(lost_amount, 6), round(won_cycle_days, 6), round(lost_cycle_days, 6), missing_rates FROM crm_analytics.closed_by_day WHERE pipeline_id IN (7101, 7171)',
         'SELECT tenant_id, day, count(*) FILTER (WHERE type = ''won''), count(*) FILTER (WHERE type = ''lost''), round(sum(base) FILTER (WHERE type = ''won''), 6), round(sum(base) FILTER (WHERE type = ''lost''), 6),
             round(sum(extract(epoch FROM closed_at - created_at)) FILTER (WHERE type = ''won'') / 86400, 6), round(sum(extract(epoch FROM closed_at - created_at)) FILTER (WHERE type = ''lost'') / 86400, 6), count(*) FILTER (WHERE missing)
          FROM pg_temp.deals WHERE closed_at IS NOT NULL AND type <> ''cancelled'' GROUP BY 1, 2'),
        ('closed_by_owner', 'SELECT tenant_id, closed_on, owner_id, won, lost, round(won_amount, 6), round(lost_amount, 6), missing_rates FROM crm_analytics.closed_by_owner WHERE pipeline_id IN (7101, 7171)',
         'SELECT tenant_id, day, owner_id, count(*) FILTER (WHERE type = ''won''), count(*) FILTER (WHERE type = ''lost''), round(sum(base) FILTER (WHERE type = ''won''), 6), round(sum(base) FILTER (WHERE type = ''lost''), 6), count(*) FILTER (WHERE missing)
          FROM pg_temp.deals WHERE closed_at IS NOT NULL AND type <> ''cancelled'' GROUP BY 1, 2, 3'),
        ('win_rate', 'SELECT tenant_id, month, won, lost, round(win_rate, 6), round(won_amount, 6), round(lost_amount, 6), missing_rates FROM crm_analytics.win_rate WHERE pipeline_id IN (7101, 7171)',
         'SELECT tenant_id, date_trunc(''month'', day::timestamp)::date, count(*) FILTER (WHERE type = ''won''), count(*) FILTER (WHERE type = ''lost''), round(avg((type = ''won'')::integer), 6), round(sum(base) FILTER (WHERE type = ''won''), 6), round(sum(base) FILTER (WHERE type = ''lost''), 6), count(*) FILTER (WHERE missing)
          FROM pg_temp.deals WHERE closed_at IS NOT NULL AND type <> ''cancelled'' GROUP BY 1, 2'),
        ('loss_reasons', 'SELECT tenant_id, month, loss_reason, lost, round(lost_amount, 6), missing_rates FROM crm_analytics.loss_reasons WHERE pipeline_id IN (7101, 7171)',
         'SELECT tenant_id, date_trunc(''month'', day::timestamp)::date, loss_reason, count(*), round(sum(base), 6), count(*) FILTER (WHERE missing) FROM pg_temp.deals WHERE type = ''lost'' GROUP BY 1, 2, 3'),
        ('forecast', 'SELECT tenant_id, forecast_category, month, opportunities, round(amount, 6), round(weighted, 6) FROM crm_analytics.forecast WHERE pipeline_id IN (7101, 7171)',
         'SELECT tenant_id, CASE WHEN closed_at IS NULL THEN forecast_category ELSE ''closed'' END, date_trunc(''month'', coalesce(day, expected_close_date)::timestamp)::date, count(*), round(sum(base), 6), round(sum(base * CASE WHEN closed_at IS NULL THEN coalesce(p, 0) ELSE 100 END) / 100, 6)
          FROM pg_temp.deals WHERE closed_at IS NULL OR type = ''won'' GROUP BY 1, 2, 3'),
        ('opportunities_created', 'SELECT tenant_id, created_on, owner_id, opportunities FROM crm_analytics.opportunities_created WHERE created_on < ''2025-06-15''',
         'SELECT tenant_id, born, owner_id, count(*) FROM pg_temp.deals GROUP BY 1, 2, 3'),
        ('user_activity', 'SELECT tenant_id, created_on, user_id, kind, activities, done, done_late FROM crm_analytics.user_activity WHERE created_on < ''2025-09-01''',
         'SELECT a.tenant_id, (a.created_at AT TIME ZONE n.time_zone)::date, a.owner_id, a.kind, count(*), count(done_at), count(*) FILTER (WHERE done_at > due_at) FROM crm.activities AS a JOIN crm.tenants AS n USING (tenant_id) WHERE a.id > 710000 GROUP BY 1, 2, 3, 4'),
        ('activities_by_day', 'SELECT tenant_id, created_on, kind, activities, done, done_late FROM crm_analytics.activities_by_day WHERE created_on < ''2025-09-01''',
         'SELECT a.tenant_id, (a.created_at AT TIME ZONE n.time_zone)::date, a.kind, count(*), count(done_at), count(*) FILTER (WHERE done_at > due_at) FROM crm.activities AS a JOIN crm.tenants AS n USING (tenant_id) WHERE a.id > 710000 GROUP BY 1, 2, 3'),
        ('individual_performance', 'SELECT tenant_id, user_id, month, activities, calls, meetings, opportunities_created, won, lost, round(won_amount, 6), round(mean_won_cycle_days, 6), missing_rates FROM crm_analytics.individual_performance WHERE month < ''2026-01-01''',
         'SELECT tenant_id, u, m, sum(a), sum(ca), sum(me), sum(cr), sum(w), sum(l), round(coalesce(sum(wa), 0), 6), round(avg(cy), 6), sum(mi) FROM (
            SELECT tenant_id, owner_id AS u, date_trunc(''month'', day::timestamp)::date AS m, 0 AS a, 0 AS ca, 0 AS me, 0 AS cr, (type = ''won'')::integer AS w, (type = ''lost'')::integer AS l, CASE WHEN type = ''won'' THEN base END AS wa,
                   CASE WHEN type = ''won'' THEN extract(epoch FROM closed_at - created_at) / 86400 END AS cy, missing::integer AS mi FROM pg_temp.deals WHERE closed_at IS NOT NULL AND type <> ''cancelled''
            UNION ALL SELECT tenant_id, owner_id, date_trunc(''month'', born::timestamp)::date, 0, 0, 0, 1, 0, 0, NULL, NULL, 0 FROM pg_temp.deals
            UNION ALL SELECT a.tenant_id, a.owner_id, date_trunc(''month'', (a.created_at AT TIME ZONE n.time_zone)::date::timestamp)::date, 1, (a.kind = ''call'')::integer, (a.kind = ''visit'')::integer, 0, 0, 0, NULL, NULL, 0
            FROM crm.activities AS a JOIN crm.tenants AS n USING (tenant_id) WHERE a.id > 710000) AS x WHERE u IS NOT NULL GROUP BY 1, 2, 3'),
        ('performance_between', 'SELECT user_id, activities, calls, opportunities_created, won, lost, round(won_amount, 6), missing_rates FROM crm_analytics.performance_between(''2025-07-01'', ''2025-08-01'')',
         'SELECT user_id, activities, calls, opportunities_created, won, lost, round(won_amount, 6), missing_rates FROM crm_analytics.individual_performance WHERE month = ''2025-07-01'' AND tenant_id = crm.tenant_id()')
    ) AS v(name, ours, theirs)
    LOOP
        what := c.name;
        EXECUTE format('SELECT (SELECT count(*) FROM (%1$s) AS a), (SELECT count(*) FROM ((%1$s EXCEPT ALL %2$s) UNION ALL (%2$s EXCEPT ALL %1$s)) AS d)', c.ours, c.theirs) INTO groups, wrong;
        RETURN NEXT;
    END LOOP;
END
$$;
\echo == all of it waits to be folded
SELECT what, groups > 0 AS any, wrong FROM pg_temp.compare();
SELECT count(*) > 0 AS folded FROM crm.fold_rollups();
\echo == folded; then amounts and stages change, deals are reopened, come and go
SELECT what, wrong FROM pg_temp.compare() WHERE wrong > 0;
UPDATE crm.opportunities SET amount = CASE WHEN id % 5 = 0 THEN NULL ELSE 77 END WHERE id % 7 = 0 AND id > 710000;
UPDATE crm.opportunities SET stage_id = CASE tenant_id WHEN 1 THEN 7101 ELSE 7171 END, closed_at = NULL, close_date = NULL WHERE id % 11 = 0 AND id > 710000;
UPDATE crm.opportunities SET owner_id = NULL, close_date = NULL WHERE id % 13 = 0 AND id > 710000 AND closed_at IS NOT NULL;
DELETE FROM crm.opportunities WHERE id % 17 = 0 AND id > 710000;
UPDATE crm.activities SET kind = 'call', done_at = NULL WHERE id % 7 = 0 AND id > 710000;
DELETE FROM crm.activities WHERE id % 5 = 0 AND id > 710000;
SELECT what, wrong FROM pg_temp.compare() WHERE wrong > 0;
\echo == a rate that comes late, or is corrected, counts at once
INSERT INTO crm.exchange_rates (tenant_id, from_currency, to_currency, valid_from, rate) VALUES (1, 'USD', 'JPY', '2025-07-01', 150);
SELECT what, wrong FROM pg_temp.compare() WHERE wrong > 0;
UPDATE crm.exchange_rates SET rate = 145 WHERE to_currency = 'JPY' AND tenant_id = 1;
SELECT what, wrong FROM pg_temp.compare() WHERE wrong > 0;
DO $$
DECLARE
    before numeric := crm.exchange_rate_on(1, 'USD', 'JPY', '2025-08-01');
    now_known numeric;
BEGIN
    FOR i IN 1..2 LOOP  -- one and the same expression, evaluated twice
        now_known := crm.exchange_rate_on(1, 'USD', 'JPY', '2025-08-01');
        UPDATE crm.exchange_rates SET rate = 140 WHERE to_currency = 'JPY' AND tenant_id = 1;
    END LOOP;
    RAISE WARNING 'before %, afterwards %', before, now_known;
END
$$;
\echo == a manager sees the own company, an agent what is theirs and what is shared
SET LOCAL session_replication_role = origin;
GRANT SELECT ON pg_temp.deals TO current_manager, current_agent;
SET LOCAL ROLE current_manager;
SELECT what, wrong FROM pg_temp.compare() WHERE wrong > 0;
SELECT sum(p.opportunities) = (SELECT count(*) FROM pg_temp.deals WHERE closed_at IS NULL) AS all_of_them, count(DISTINCT p.tenant_id) AS tenants FROM crm_analytics.pipeline_now AS p WHERE p.pipeline_id IN (7101, 7171);
SELECT crm.exchange_rate_on(1, 'EUR', 'USD', '2025-01-15') AS own, crm.exchange_rate_on(71, 'EUR', 'USD', '2025-01-15') AS of_another_company;
RESET ROLE; SET LOCAL ROLE current_agent;
SELECT what, groups > 0 AS any, wrong FROM pg_temp.compare();
SELECT count(DISTINCT d.owner_id) > 1 AS shared_ones_too FROM pg_temp.deals AS d;
RESET ROLE;
\echo == nothing left
DELETE FROM crm.opportunities WHERE id > 710000;
DELETE FROM crm.activities WHERE id > 710000;
SELECT what, groups, wrong FROM pg_temp.compare() WHERE what NOT IN ('user_activity', 'activities_by_day') AND (groups > 0 OR wrong > 0);
ROLLBACK;
