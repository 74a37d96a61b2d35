-- People and what goes with winning: activities and performance of users, quotas by the team at the time, cohorts, factors.

CREATE OR REPLACE FUNCTION crm_analytics.activities_seen()
RETURNS TABLE (tenant_id bigint, created_on date, owner_id bigint, kind text, activities bigint, done bigint, done_late bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 500
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT a.tenant_id, (a.created_at AT TIME ZONE t.time_zone)::date, a.owner_id, a.kind,
           count(*), count(a.done_at), count(*) FILTER (WHERE a.done_at > a.due_at)
    FROM crm.activities AS a
    JOIN crm.tenants AS t ON t.tenant_id = a.tenant_id
    GROUP BY 1, 2, 3, 4
$$;
COMMENT ON FUNCTION crm_analytics.activities_seen() IS
'One row = the activities that the caller may see of one day, owner and kind: what user_activity and activities_by_day read for those who do not see every '
'row.';

CREATE OR REPLACE FUNCTION crm_analytics.created_seen()
RETURNS TABLE (tenant_id bigint, created_on date, owner_id bigint, opportunities bigint)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 500
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.tenant_id, (o.created_at AT TIME ZONE t.time_zone)::date, o.owner_id, count(*)
    FROM crm.opportunities AS o
    JOIN crm.tenants AS t ON t.tenant_id = o.tenant_id
    GROUP BY 1, 2, 3
$$;
COMMENT ON FUNCTION crm_analytics.created_seen() IS
'One row = the opportunities that the caller may see of one day of creation and owner: what opportunities_created reads for those who do not see every row.';

DO $do$
BEGIN
    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.user_activity WITH (security_invoker = true) AS
SELECT v.*, us.name AS user_name
FROM (
    SELECT g.tenant_id, g.created_on, g.owner_id AS user_id, g.kind,
           crm.total(g.activities) AS activities, coalesce(crm.total(g.done), 0) AS done, coalesce(crm.total(g.done_late), 0) AS done_late
    FROM (
        %s
        UNION ALL
        SELECT a.tenant_id, a.created_on, a.owner_id, a.kind, a.activities, a.done, a.done_late
        FROM crm_analytics.activities_seen() AS a
        WHERE NOT crm.can_see(-1, NULL)
    ) AS g
    GROUP BY 1, 2, 3, 4
    HAVING crm.total(g.activities) <> 0
) AS v
LEFT JOIN crm.users AS us ON us.tenant_id = v.tenant_id AND us.id = v.user_id
    $view$, crm_internal.rollup_rows('crm_activities_by_day'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.activities_by_day WITH (security_invoker = true) AS
SELECT g.tenant_id, g.created_on, g.kind,
       crm.total(g.activities) AS activities, coalesce(crm.total(g.done), 0) AS done, coalesce(crm.total(g.done_late), 0) AS done_late
FROM (
    %s
    UNION ALL
    SELECT a.tenant_id, a.created_on, a.kind, a.activities, a.done, a.done_late
    FROM crm_analytics.activities_seen() AS a
    WHERE NOT crm.can_see(-1, NULL)
) AS g
GROUP BY 1, 2, 3
HAVING crm.total(g.activities) <> 0
    $view$, crm_internal.rollup_rows('crm_activities_by_kind'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.opportunities_created WITH (security_invoker = true) AS
SELECT v.*, ow.name AS owner
FROM (
    SELECT g.tenant_id, g.created_on, g.owner_id, crm.total(g.opportunities) AS opportunities
    FROM (
        %s
        UNION ALL
        SELECT o.tenant_id, o.created_on, o.owner_id, o.opportunities
        FROM crm_analytics.created_seen() AS o
        WHERE NOT crm.can_see(-1, NULL)
    ) AS g
    GROUP BY 1, 2, 3
    HAVING crm.total(g.opportunities) <> 0
) AS v
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
    $view$, crm_internal.rollup_rows('crm_opportunities_created'));
END
$do$;
COMMENT ON VIEW crm_analytics.user_activity IS
'One row = the activities of one kind that were made for one user (NULL: nobody) on one day of the tenant''s zone. Served by a rollup to those who see every '
'row of the tenant.';
COMMENT ON COLUMN crm_analytics.user_activity.done_late IS 'Done after their due instant. What is overdue now: crm_analytics.fact_activities.';

COMMENT ON VIEW crm_analytics.activities_by_day IS
'One row = the activities of one kind that were made on one day of the tenant''s zone, of all users together. Served by a rollup to those who see every row '
'of the tenant.';
COMMENT ON VIEW crm_analytics.opportunities_created IS
'One row = the opportunities made on one day of the tenant''s zone that one user (NULL: nobody) owns. Served by a rollup to those who see every row of the '
'tenant.';

-- The work of users is summed up from the rows of three rollups at once, by month in the view and over a range of days in the function.
DO $do$
DECLARE
    deeds CONSTANT text := format($rows$
    SELECT a.tenant_id, a.owner_id AS user_id, {day:a.created_on} AS month,
           crm.total(a.activities) AS activities, crm.total(a.activities) FILTER (WHERE a.kind = 'call') AS calls,
           crm.total(a.activities) FILTER (WHERE a.kind IN ('meeting', 'visit')) AS meetings,
           0::bigint AS created, 0::bigint AS won, 0::bigint AS lost, NULL::numeric AS won_amount, NULL::numeric AS won_cycle_days, 0::bigint AS missing_rates
    FROM (%s UNION ALL
          SELECT v.tenant_id, v.created_on, v.owner_id, v.kind, v.activities, v.done, v.done_late
          FROM crm_analytics.activities_seen() AS v WHERE NOT crm.can_see(-1, NULL)) AS a
    WHERE {a.created_on} GROUP BY 1, 2, 3 HAVING crm.total(a.activities) <> 0
    UNION ALL
    SELECT g.tenant_id, g.owner_id, {day:g.close_date}, 0, 0, 0, 0,
           coalesce(crm.total(g.opportunities) FILTER (WHERE s.type <> 'lost'), 0), coalesce(crm.total(g.opportunities) FILTER (WHERE s.type = 'lost'), 0),
           CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL AND s.type <> 'lost') > 0 THEN sum(g.amount * r.rate) FILTER (WHERE s.type <> 'lost') END,
           sum(g.cycle_seconds) FILTER (WHERE s.type <> 'lost') / 86400,
           coalesce(crm.total(g.amounts) FILTER (WHERE r.rate IS NULL), 0)
    FROM (%s UNION ALL
          SELECT v.tenant_id, v.close_date, v.pipeline_id, v.stage_id, v.owner_id, v.team_id, v.currency, v.opportunities, v.amounts, v.amount, v.cycle_seconds
          FROM crm_analytics.closed_seen() AS v WHERE NOT crm.can_see(-1, NULL)) AS g
    JOIN crm.tenants AS t ON t.tenant_id = g.tenant_id
    JOIN crm.stages AS s ON s.tenant_id = g.tenant_id AND s.id = g.stage_id AND s.type IN ('won', 'done', 'lost')
    CROSS JOIN LATERAL (SELECT CASE WHEN g.currency = t.base_currency THEN 1
                                    ELSE crm.exchange_rate_on(g.tenant_id, g.currency, t.base_currency, g.close_date) END AS rate) AS r
    WHERE {g.close_date} GROUP BY 1, 2, 3 HAVING crm.total(g.opportunities) <> 0
    UNION ALL
    SELECT o.tenant_id, o.owner_id, {day:o.created_on}, 0, 0, 0, crm.total(o.opportunities), 0, 0, NULL AS won_amount, NULL AS won_cycle_days, 0
    FROM (%s UNION ALL
          SELECT v.tenant_id, v.created_on, v.owner_id, v.opportunities
          FROM crm_analytics.created_seen() AS v WHERE NOT crm.can_see(-1, NULL)) AS o
    WHERE {o.created_on} GROUP BY 1, 2, 3 HAVING crm.total(o.opportunities) <> 0$rows$,
        crm_internal.rollup_rows('crm_activities_by_day'), crm_internal.rollup_rows('crm_opportunities_by_owner'), crm_internal.rollup_rows('crm_opportunities_created'));
    figures CONSTANT text := $figures$
       coalesce(crm.total(x.activities), 0) AS activities, coalesce(crm.total(x.calls), 0) AS calls, coalesce(crm.total(x.meetings), 0) AS meetings,
       crm.total(x.created) AS opportunities_created,
       crm.total(x.won) AS won, crm.total(x.lost) AS lost,
       crm.total(x.won) / nullif(crm.total(x.won) + crm.total(x.lost), 0)::numeric AS win_rate,
       coalesce(sum(x.won_amount), 0) AS won_amount,
       sum(x.won_amount) / nullif(crm.total(x.won), 0) AS average_won_amount,
       CASE WHEN crm.total(x.won) > 0 THEN sum(x.won_cycle_days) / crm.total(x.won) END AS mean_won_cycle_days,
       crm.total(x.missing_rates) AS missing_rates$figures$;
BEGIN
    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.individual_performance WITH (security_invoker = true) AS
SELECT x.tenant_id, x.user_id, u.name AS user_name, x.month, %s
FROM (%s) AS x
JOIN crm.users AS u ON u.tenant_id = x.tenant_id AND u.id = x.user_id
GROUP BY x.tenant_id, x.user_id, u.name, x.month
    $view$, figures, regexp_replace(regexp_replace(deeds, '\{day:([a-z_.]+)\}', '(date_trunc(''month'', \1::timestamp))::date', 'g'), '\{[a-z_.]+\}', 'true', 'g'));

    EXECUTE format($function$
CREATE OR REPLACE FUNCTION crm_analytics.performance_between(from_on date, to_on date)
RETURNS TABLE (tenant_id bigint, user_id bigint, user_name text, activities bigint, calls bigint, meetings bigint, opportunities_created bigint,
               won bigint, lost bigint, win_rate numeric, won_amount numeric, average_won_amount numeric, mean_won_cycle_days numeric, missing_rates bigint)
LANGUAGE sql STABLE ROWS 20
BEGIN ATOMIC
SELECT x.tenant_id, x.user_id, u.name, %s
FROM (%s) AS x
JOIN crm.users AS u ON u.tenant_id = x.tenant_id AND u.id = x.user_id
GROUP BY x.tenant_id, x.user_id, u.name;
END
    $function$, figures, regexp_replace(regexp_replace(deeds, '\{day:([a-z_.]+)\}', 'NULL::date', 'g'), '\{([a-z])\.([a-z_]+)\}', '\1.tenant_id = crm.tenant_id() AND \1.\2 >= $1 AND \1.\2 < $2', 'g'));
END
$do$;
COMMENT ON VIEW crm_analytics.individual_performance IS
'One row = one user and month: activities given, opportunities created, won and lost as their owner. Base currency at the rate of each day.';

CREATE OR REPLACE VIEW crm_analytics.overdue_activities WITH (security_invoker = true) AS
SELECT t.tenant_id, (n.gone_by + n.today + n.mine)::bigint AS activities
FROM crm.tenants AS t
CROSS JOIN LATERAL (
    SELECT (SELECT coalesce(sum(d.activities), 0) FROM crm_internal.crm_activities_due AS d
            WHERE crm.can_see(-1, NULL) AND d.tenant_id = t.tenant_id AND d.due_on < (now() AT TIME ZONE 'UTC')::date) AS gone_by,
           (SELECT count(*) FROM crm.activities AS a
            WHERE crm.can_see(-1, NULL) AND a.tenant_id = t.tenant_id AND a.done_at IS NULL
              AND a.due_at >= (now() AT TIME ZONE 'UTC')::date::timestamp AT TIME ZONE 'UTC' AND a.due_at < now()) AS today,
           (SELECT count(*) FROM crm.activities AS a
            WHERE NOT crm.can_see(-1, NULL) AND a.tenant_id = t.tenant_id AND a.done_at IS NULL AND a.due_at < now()) AS mine) AS n;
COMMENT ON VIEW crm_analytics.overdue_activities IS
'One row = one tenant: open activities past their due instant. Days gone by come from a rollup, the running one from an index.';

COMMENT ON FUNCTION crm_analytics.performance_between(date, date) IS
'One row = one user who did anything from one day until before another: as crm_analytics.individual_performance, for any range of days and, for a short one, '
'much sooner.';

-- ---- quotas ----

CREATE OR REPLACE VIEW crm_analytics.quota_attainment WITH (security_invoker = true) AS
SELECT q.tenant_id, q.id AS quota_id, q.user_id, u.name AS user_name, q.period, lower(q.period) AS period_start,
       q.amount * r.rate AS quota,
       coalesce(w.amount, 0) AS won_amount, coalesce(w.won, 0) AS won,
       coalesce(w.amount, 0) / nullif(q.amount * r.rate, 0) AS attainment,
       coalesce(w.missing_rates, 0) + (r.rate IS NULL)::integer AS missing_rates
FROM crm.quotas AS q
JOIN crm.users AS u ON u.tenant_id = q.tenant_id AND u.id = q.user_id
CROSS JOIN LATERAL (SELECT crm_analytics.base_rate(q.tenant_id, q.currency::text, lower(q.period)) AS rate) AS r
LEFT JOIN LATERAL (
    SELECT count(*) AS won, sum(f.base_amount) AS amount, count(*) FILTER (WHERE f.rate_missing) AS missing_rates
    FROM crm_analytics.fact_opportunities AS f
    WHERE f.tenant_id = q.tenant_id AND f.owner_id = q.user_id AND f.state = 'won' AND f.closed_on <@ q.period) AS w ON true;
COMMENT ON VIEW crm_analytics.quota_attainment IS
'One row = one quota of one user: what was won in its period over what was asked, in base currency (the quota at the rate of the first day of the period). '
'attainment is a share of one.';

CREATE OR REPLACE VIEW crm_analytics.team_quota_attainment WITH (security_invoker = true) AS
SELECT v.*, pa.name AS parent_name
FROM (
    WITH RECURSIVE tree AS (
        SELECT t.tenant_id, t.id AS ancestor_id, t.id AS team_id FROM crm.teams AS t
        UNION
        SELECT r.tenant_id, r.ancestor_id, t.id
        FROM tree AS r JOIN crm.teams AS t ON t.tenant_id = r.tenant_id AND t.parent_id = r.team_id
    ), membership AS (
        -- one row a user and team of the tree: when the user was in the team or in one below it
        SELECT r.tenant_id, r.ancestor_id AS team_id, m.user_id, range_agg(m.valid) AS valid
        FROM tree AS r JOIN crm.team_memberships AS m ON m.tenant_id = r.tenant_id AND m.team_id = r.team_id
        GROUP BY 1, 2, 3
    ), periods AS (
        SELECT DISTINCT q.tenant_id, q.period, t.time_zone,
               tstzrange(lower(q.period)::timestamp AT TIME ZONE t.time_zone, upper(q.period)::timestamp AT TIME ZONE t.time_zone) AS span
        FROM crm.quotas AS q JOIN crm.tenants AS t ON t.tenant_id = q.tenant_id
    ), asked AS (
        SELECT m.tenant_id, m.team_id, q.period,
               sum(q.amount * b.rate * s.share) AS quota, count(*) FILTER (WHERE b.rate IS NULL) AS missing_rates,
               count(DISTINCT q.user_id) AS members
        FROM crm.quotas AS q
        JOIN periods AS p ON p.tenant_id = q.tenant_id AND p.period = q.period
        JOIN membership AS m ON m.tenant_id = q.tenant_id AND m.user_id = q.user_id AND m.valid && p.span
        CROSS JOIN LATERAL (SELECT crm_analytics.base_rate(q.tenant_id, q.currency::text, lower(q.period)) AS rate) AS b
        CROSS JOIN LATERAL (
            SELECT sum(extract(epoch FROM upper(i) - lower(i))) / extract(epoch FROM upper(p.span) - lower(p.span)) AS share
            FROM unnest(m.valid * tstzmultirange(p.span)) AS i) AS s
        GROUP BY 1, 2, 3
    ), sold AS (
        SELECT m.tenant_id, m.team_id, p.period, count(*) AS won, sum(f.base_amount) AS amount,
               count(*) FILTER (WHERE f.rate_missing) AS missing_rates
        FROM periods AS p
        JOIN crm_analytics.fact_opportunities AS f ON f.tenant_id = p.tenant_id AND f.state = 'won' AND f.closed_on <@ p.period
        JOIN membership AS m ON m.tenant_id = f.tenant_id AND m.user_id = f.owner_id AND m.valid @> f.closed_at
        GROUP BY 1, 2, 3
    )
    SELECT t.tenant_id, t.id AS team_id, t.name AS team, t.parent_id, a.period, lower(a.period) AS period_start, a.members,
           a.quota, coalesce(s.amount, 0) AS won_amount, coalesce(s.won, 0) AS won,
           coalesce(s.amount, 0) / nullif(a.quota, 0) AS attainment,
           a.missing_rates + coalesce(s.missing_rates, 0) AS missing_rates
    FROM asked AS a
    JOIN crm.teams AS t ON t.tenant_id = a.tenant_id AND t.id = a.team_id
    LEFT JOIN sold AS s ON s.tenant_id = a.tenant_id AND s.team_id = a.team_id AND s.period = a.period
) AS v
LEFT JOIN crm.teams AS pa ON pa.tenant_id = v.tenant_id AND pa.id = v.parent_id;
COMMENT ON VIEW crm_analytics.team_quota_attainment IS
'One row = one team and quota period, with all teams below it. A deal counts for the team its owner belonged to when it closed; a quota counts for a team by '
'the share of the period its user belonged to it. Past deals and past quota stay with the team a user leaves. A user in two teams at once counts in both, and '
'once in a team above both.';

CREATE OR REPLACE FUNCTION crm_analytics.quota_between(tenant_id bigint, from_on date, to_on date)
RETURNS numeric
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT sum(q.amount * crm_analytics.base_rate(q.tenant_id, q.currency::text, lower(q.period))
                   * (least(upper(q.period), $3) - greatest(lower(q.period), $2)) / (upper(q.period) - lower(q.period)))
        FROM crm.quotas AS q
        WHERE q.tenant_id = $1 AND q.period && daterange($2, $3) AND crm.can_see(q.user_id, NULL));
END
$$;
COMMENT ON FUNCTION crm_analytics.quota_between(bigint, date, date) IS
'What the quotas of the users whose deals the caller may see ask for the days from one until before another, in base currency: of each the part of its days '
'that lies within. NULL where there is none.';

CREATE OR REPLACE VIEW crm_analytics.forecast_against_quota WITH (security_invoker = true) AS
SELECT g.tenant_id, g.month, q.quota, g.won_amount, g.open_amount, g.open_weighted, g.won_amount + g.open_weighted AS forecast_amount,
       g.won_amount / nullif(q.quota, 0) AS attainment, (g.won_amount + g.open_weighted) / nullif(q.quota, 0) AS forecast_attainment, g.missing_rates
FROM (
    SELECT x.tenant_id, x.month, coalesce(sum(x.won_amount), 0) AS won_amount, coalesce(sum(x.open_amount), 0) AS open_amount,
           coalesce(sum(x.open_weighted), 0) AS open_weighted, sum(x.missing_rates)::bigint AS missing_rates
    FROM (
        SELECT f.tenant_id, f.month, CASE WHEN f.forecast_category = 'closed' THEN f.amount END AS won_amount,
               CASE WHEN f.forecast_category <> 'closed' THEN f.amount END AS open_amount,
               CASE WHEN f.forecast_category <> 'closed' THEN f.weighted END AS open_weighted, f.missing_rates
        FROM crm_analytics.forecast AS f
        UNION ALL
        SELECT DISTINCT q.tenant_id, m.month::date, NULL::numeric, NULL::numeric, NULL::numeric, 0
        FROM crm.quotas AS q
        CROSS JOIN LATERAL generate_series(date_trunc('month', lower(q.period)::timestamp), (upper(q.period) - 1)::timestamp,
                                           interval '1 month') AS m(month)
    ) AS x
    GROUP BY x.tenant_id, x.month
) AS g
CROSS JOIN LATERAL (SELECT crm_analytics.quota_between(g.tenant_id, g.month, (g.month + interval '1 month')::date) AS quota) AS q;
COMMENT ON VIEW crm_analytics.forecast_against_quota IS
'One row = one month (NULL: deals without an expected date): what the quotas ask, what is won, what is still open and expected by then, and how far both '
'together reach. Open deals whose expected date has passed stand in its month. Base currency.';
COMMENT ON COLUMN crm_analytics.forecast_against_quota.month IS 'First day of the month of closing, of open ones of the one expected; NULL: none given.';
COMMENT ON COLUMN crm_analytics.forecast_against_quota.quota IS
'What the quotas ask for the month, in base currency: of a longer period the part of its days. NULL: there is none.';
COMMENT ON COLUMN crm_analytics.forecast_against_quota.forecast_amount IS 'won_amount and open_weighted together.';
COMMENT ON COLUMN crm_analytics.forecast_against_quota.forecast_attainment IS 'forecast_amount over quota, a share of one; NULL without a quota.';

-- ---- cohorts ----

CREATE OR REPLACE VIEW crm_analytics.cohort_retention WITH (security_invoker = true) AS
SELECT c.tenant_id, c.cohort_month, c.months, c.customers,
       CASE WHEN NOT c.incomplete THEN c.active_customers END AS active_customers, c.retention,
       CASE WHEN NOT c.incomplete THEN c.revenue END AS revenue, c.incomplete
FROM crm_analytics.order_cohorts() AS c;
COMMENT ON VIEW crm_analytics.cohort_retention IS
'One row = the customers whose first order fell into one month, so many months later: how many ordered again in that month and for how much. Months of the '
'tenant''s calendar (Jalali where the fiscal year is). The running month is not over: its figures are NULL. As of today; see crm_analytics.order_cohorts.';
COMMENT ON COLUMN crm_analytics.cohort_retention.active_customers IS 'Customers among them who ordered in that month.';

-- ---- what goes with winning ----

CREATE OR REPLACE VIEW crm_analytics.outcome_factors WITH (security_invoker = true) AS
WITH bought AS (
    -- since when an account is a customer: its first order, or its first deal that was won; and for how long it was one by orders
    -- that were cancelled and deals that were opened again later
    SELECT b.tenant_id, b.account_id, min(b.at) FILTER (WHERE b.until IS NULL) AS first_at,
           array_agg(b.at) FILTER (WHERE b.until IS NOT NULL) AS ats, array_agg(b.until) FILTER (WHERE b.until IS NOT NULL) AS untils
    FROM (SELECT o.tenant_id, o.account_id, o.ordered_at AS at,
                 CASE WHEN o.state = 'cancelled' THEN
                     coalesce((SELECT max(p.until) FROM crm.past_values AS p
                               WHERE p.tenant_id = o.tenant_id AND p.table_name = 'orders' AND p.record_id = o.id AND p.column_name = 'state'
                                 AND p.value <> '"cancelled"'), o.ordered_at) END AS until
          FROM crm.orders AS o WHERE o.kind = 'sale'
          UNION ALL
          SELECT d.tenant_id, d.account_id, d.closed_at, NULL::timestamptz AS until FROM crm.opportunities AS d
          JOIN crm.stages AS s ON s.tenant_id = d.tenant_id AND s.id = d.stage_id AND s.type IN ('won', 'done')
          WHERE d.account_id IS NOT NULL
          UNION ALL
          SELECT d.tenant_id, d.account_id, lower(h.period), upper(h.period) FROM crm.opportunities AS d
          JOIN crm.stage_periods AS h ON h.tenant_id = d.tenant_id AND h.subject_table = 'opportunities' AND h.subject_id = d.id AND NOT upper_inf(h.period)
          JOIN crm.stages AS s ON s.tenant_id = h.tenant_id AND s.id = h.stage_id AND s.type IN ('won', 'done')
          WHERE d.account_id IS NOT NULL AND d.closed_at IS NULL) AS b
    GROUP BY b.tenant_id, b.account_id
), changed AS (
    -- what records said when they closed and was changed since
    SELECT v.tenant_id, v.table_name, v.id, jsonb_object_agg(v.column_name, v.value) AS past
    FROM (SELECT DISTINCT ON (c.tenant_id, c.table_name, c.id, p.column_name) c.tenant_id, c.table_name, c.id, p.column_name, p.value
          FROM (SELECT d.tenant_id, 'opportunities' AS table_name, d.id, d.closed_at FROM crm.opportunities AS d WHERE d.closed_at IS NOT NULL
                UNION ALL
                SELECT l.tenant_id, 'leads' AS table_name, l.id, l.closed_at FROM crm.leads AS l WHERE l.closed_at IS NOT NULL) AS c
          JOIN crm.past_values AS p ON p.tenant_id = c.tenant_id AND p.table_name = c.table_name AND p.record_id = c.id AND p.until > c.closed_at
          ORDER BY c.tenant_id, c.table_name, c.id, p.column_name, p.until) AS v
    GROUP BY v.tenant_id, v.table_name, v.id
), deals AS (
    SELECT f.tenant_id, f.opportunity_id, f.state, f.closed_at, d.created_at, f.owner_id, f.team_id,
           t.account_id, t.contact_id, t.product_id, t.lead_source, t.territory_id, t.competitor_id,
           CASE WHEN t.amount IS NOT DISTINCT FROM d.amount THEN f.base_amount ELSE f.base_amount * t.amount / nullif(d.amount, 0) END AS base_amount
    FROM crm_analytics.fact_opportunities AS f
    JOIN crm.opportunities AS d ON d.tenant_id = f.tenant_id AND d.id = f.opportunity_id
    LEFT JOIN changed AS c ON c.tenant_id = f.tenant_id AND c.table_name = 'opportunities' AND c.id = f.opportunity_id
    CROSS JOIN LATERAL jsonb_to_record(jsonb_build_object('account_id', f.account_id, 'contact_id', f.contact_id, 'product_id', f.product_id,
        'lead_source', f.lead_source, 'territory_id', f.territory_id, 'competitor_id', f.competitor_id, 'amount', d.amount) || coalesce(c.past, '{}'))
        AS t(account_id bigint, contact_id bigint, product_id bigint, lead_source text, territory_id bigint, competitor_id bigint, amount numeric)
    WHERE f.state IN ('won', 'lost')
), accounts AS (
    -- ... and what their accounts said then
    SELECT v.tenant_id, v.opportunity_id, jsonb_object_agg(v.column_name, v.value) AS past
    FROM (SELECT DISTINCT ON (d.tenant_id, d.opportunity_id, p.column_name) d.tenant_id, d.opportunity_id, p.column_name, p.value
          FROM deals AS d
          JOIN crm.past_values AS p ON p.tenant_id = d.tenant_id AND p.table_name = 'accounts' AND p.record_id = d.account_id AND p.until > d.closed_at
          ORDER BY d.tenant_id, d.opportunity_id, p.column_name, p.until) AS v
    GROUP BY v.tenant_id, v.opportunity_id
), closed AS (
    SELECT f.tenant_id, 'opportunities' AS subject_table, f.state = 'won' AS won, x.attribute, x.value
    FROM deals AS f
    LEFT JOIN crm.accounts AS g ON g.tenant_id = f.tenant_id AND g.id = f.account_id
    LEFT JOIN accounts AS o ON o.tenant_id = f.tenant_id AND o.opportunity_id = f.opportunity_id
    CROSS JOIN LATERAL jsonb_to_record(jsonb_build_object(
        'industry', g.industry, 'country', g.country, 'employees', g.employees, 'kind', g.kind) || coalesce(o.past, '{}'))
        AS a(industry text, country text, employees integer, kind text)
    LEFT JOIN crm.products AS p ON p.tenant_id = f.tenant_id AND p.id = f.product_id
    LEFT JOIN bought AS k ON k.tenant_id = f.tenant_id AND k.account_id = f.account_id
    -- whose it was when it closed, whoever has it now
    LEFT JOIN crm.stage_periods AS h ON h.tenant_id = f.tenant_id AND h.subject_table = 'opportunities' AND h.subject_id = f.opportunity_id
         AND h.moved AND lower(h.period) = f.closed_at
    LEFT JOIN crm.users AS u ON u.tenant_id = f.tenant_id AND u.id = CASE WHEN h.subject_id IS NULL THEN f.owner_id ELSE h.owner_id END
    LEFT JOIN crm.teams AS m ON m.tenant_id = f.tenant_id AND m.id = CASE WHEN h.subject_id IS NULL THEN f.team_id ELSE h.team_id END
    LEFT JOIN crm.territories AS y ON y.tenant_id = f.tenant_id AND y.id = f.territory_id
    LEFT JOIN crm.accounts AS c ON c.tenant_id = f.tenant_id AND c.id = f.competitor_id
    CROSS JOIN LATERAL (VALUES
        ('deal.lead_source', f.lead_source),
        ('deal.product', p.name),
        ('deal.product_family', p.family),
        ('deal.owner', u.name),
        ('deal.team', m.name),
        ('deal.territory', y.name),
        ('deal.competitor', c.name),
        ('deal.has_contact', CASE WHEN f.contact_id IS NULL THEN 'no' ELSE 'yes' END),
        ('deal.amount', CASE WHEN f.base_amount IS NULL OR f.base_amount <= 0 THEN NULL
                             ELSE '1e' || floor(log(f.base_amount))::integer || ' to 1e' || floor(log(f.base_amount))::integer + 1 END),
        ('account.industry', a.industry),
        ('account.country', a.country),
        ('account.size', CASE WHEN a.employees IS NULL THEN NULL WHEN a.employees < 10 THEN '1-9' WHEN a.employees < 50 THEN '10-49'
                              WHEN a.employees < 250 THEN '50-249' WHEN a.employees < 1000 THEN '250-999' ELSE '1000+' END),
        ('account.kind', a.kind),
        -- by what had been bought when the deal began, not by what the account is today
        ('account.was_customer', CASE WHEN f.account_id IS NULL THEN NULL
                                           WHEN k.first_at < f.created_at
                                                OR EXISTS (SELECT FROM unnest(k.ats, k.untils) AS w (at, until)
                                                           WHERE w.at < f.created_at AND w.until > f.created_at)
                                           THEN 'yes' ELSE 'no' END)
    ) AS x(attribute, value)
    WHERE x.value IS NOT NULL
    UNION ALL
    SELECT l.tenant_id, 'leads' AS subject_table, l.converted_at IS NOT NULL AS won, x.attribute, x.value
    FROM crm.leads AS l
    LEFT JOIN changed AS c ON c.tenant_id = l.tenant_id AND c.table_name = 'leads' AND c.id = l.id
    CROSS JOIN LATERAL jsonb_to_record(jsonb_build_object(
        'source', l.source, 'medium', l.medium, 'campaign', l.campaign, 'channel', l.channel, 'country', l.country,
        'industry', l.industry, 'employees', l.employees, 'product_id', l.product_id, 'owner_id', l.owner_id, 'team_id', l.team_id,
        'company', l.company IS NOT NULL, 'email', l.email IS NOT NULL, 'phone', l.phone IS NOT NULL) || coalesce(c.past, '{}'))
        AS t(source text, medium text, campaign text, channel text, country text, industry text, employees integer, product_id bigint, owner_id bigint,
             team_id bigint, company boolean, email boolean, phone boolean)
    LEFT JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = t.product_id
    LEFT JOIN crm.users AS u ON u.tenant_id = l.tenant_id AND u.id = t.owner_id
    LEFT JOIN crm.teams AS m ON m.tenant_id = l.tenant_id AND m.id = t.team_id
    CROSS JOIN LATERAL (SELECT extract(epoch FROM least(l.first_response_at, l.closed_at) - l.created_at) / 60 AS minutes) AS r
    CROSS JOIN LATERAL (VALUES
        ('lead.source', t.source),
        ('lead.medium', t.medium),
        ('lead.campaign', t.campaign),
        ('lead.channel', t.channel),
        ('lead.country', t.country),
        ('lead.industry', t.industry),
        ('lead.size', CASE WHEN t.employees IS NULL THEN NULL WHEN t.employees < 10 THEN '1-9' WHEN t.employees < 50 THEN '10-49'
                           WHEN t.employees < 250 THEN '50-249' WHEN t.employees < 1000 THEN '250-999' ELSE '1000+' END),
        ('lead.product', p.name),
        ('lead.product_family', p.family),
        ('lead.owner', u.name),
        ('lead.team', m.name),
        ('lead.has_company', CASE WHEN t.company THEN 'yes' ELSE 'no' END),
        ('lead.has_email', CASE WHEN t.email THEN 'yes' ELSE 'no' END),
        ('lead.has_phone', CASE WHEN t.phone THEN 'yes' ELSE 'no' END),
        ('lead.came_again', CASE WHEN l.capture_count > 1 AND EXISTS (
            SELECT FROM crm.lead_captures AS g WHERE g.tenant_id = l.tenant_id AND g.lead_id = l.id
              AND g.captured_at > l.created_at AND g.captured_at <= l.closed_at)
            THEN 'yes' ELSE 'no' END),
        ('lead.first_response', CASE WHEN l.first_response_at IS NULL OR l.first_response_at > l.closed_at THEN 'never'
                                     WHEN r.minutes < 15 THEN 'within 15 minutes' WHEN r.minutes < 60 THEN 'within an hour'
                                     WHEN r.minutes < 1440 THEN 'within a day' ELSE 'later' END)
    ) AS x(attribute, value)
    WHERE l.closed_at IS NOT NULL AND l.merged_into_id IS NULL AND x.value IS NOT NULL
), counted AS (
    SELECT c.tenant_id, c.subject_table, c.attribute, c.value, count(*) FILTER (WHERE c.won) AS won, count(*) FILTER (WHERE NOT c.won) AS lost
    FROM closed AS c GROUP BY 1, 2, 3, 4
), shares AS (
    SELECT c.*, sum(c.won) OVER w AS all_won, sum(c.lost) OVER w AS all_lost, count(*) OVER w AS k
    FROM counted AS c WINDOW w AS (PARTITION BY c.tenant_id, c.subject_table, c.attribute)
), weighed AS (
    -- half a case added to each cell keeps the weight of evidence finite
    SELECT s.*,
           ln(((s.won + 0.5) / (s.all_won + 0.5 * s.k)) / ((s.lost + 0.5) / (s.all_lost + 0.5 * s.k))) AS woe,
           (s.won + 0.5) / (s.all_won + 0.5 * s.k) - (s.lost + 0.5) / (s.all_lost + 0.5 * s.k) AS gap,
           crm.association_p(s.won, s.lost, (s.all_won - s.won)::bigint, (s.all_lost - s.lost)::bigint) AS p
    FROM shares AS s
)
SELECT w.tenant_id, w.subject_table, w.attribute, w.value, w.won, w.lost, w.won + w.lost AS closed,
       w.won / (w.won + w.lost)::numeric AS win_rate,
       w.all_won / (w.all_won + w.all_lost)::numeric AS overall_win_rate,
       (w.won / (w.won + w.lost)::numeric) / nullif(w.all_won / (w.all_won + w.all_lost)::numeric, 0) AS lift,
       w.woe AS weight_of_evidence,
       w.gap * w.woe AS information,
       sum(w.gap * w.woe) OVER (PARTITION BY w.tenant_id, w.subject_table, w.attribute) AS information_value,
       w.p AS p_value,
       coalesce(w.p < 0.05 / w.k, false) AS significant
FROM weighed AS w;
COMMENT ON VIEW crm_analytics.outcome_factors IS
'One row = one value of one attribute of deals (subject_table opportunities: won or lost) or leads (leads: won means converted, lost disqualified; merged '
'ones left out), as it was known when the record closed (crm.past_values): the computation behind win_factors and lead_factors, which describe its '
'columns.';

CREATE OR REPLACE VIEW crm_analytics.win_factors WITH (security_invoker = true) AS
SELECT w.tenant_id, w.attribute, w.value, w.won, w.lost, w.closed, w.win_rate, w.overall_win_rate, w.lift, w.weight_of_evidence, w.information,
       w.information_value, w.p_value, w.significant
FROM crm_analytics.outcome_factors AS w
WHERE w.subject_table = 'opportunities';
COMMENT ON VIEW crm_analytics.win_factors IS
'One row = one value of one attribute of deals and their accounts, over all won and lost opportunities where it is known: how often it went with winning. '
'Association, not cause.';
COMMENT ON COLUMN crm_analytics.win_factors.lift IS 'win_rate over that of all closed opportunities for which the attribute is known.';
COMMENT ON COLUMN crm_analytics.win_factors.weight_of_evidence IS
'ln((share of the won with the value) / (share of the lost with it)), with half a case added to each cell; above 0 speaks for winning.';
COMMENT ON COLUMN crm_analytics.win_factors.information_value IS
'Sum over the values of (share of won - share of lost) x weight of evidence: below 0.02 useless, 0.02 to 0.1 weak, 0.1 to 0.3 medium, above 0.3 strong '
'(Siddiqi 2006).';
COMMENT ON COLUMN crm_analytics.win_factors.p_value IS
'Of the value against all others, two-sided (crm.association_p); NULL where there is nothing to compare.';
COMMENT ON COLUMN crm_analytics.win_factors.significant IS 'p_value below 0.05 divided by the number of values of the attribute (Bonferroni).';

CREATE OR REPLACE VIEW crm_analytics.lead_factors WITH (security_invoker = true) AS
SELECT w.tenant_id, w.attribute, w.value, w.won AS converted, w.lost AS disqualified, w.closed, w.win_rate AS conversion, w.overall_win_rate AS overall_conversion,
       w.lift, w.weight_of_evidence, w.information, w.information_value, w.p_value, w.significant
FROM crm_analytics.outcome_factors AS w
WHERE w.subject_table = 'leads';
COMMENT ON VIEW crm_analytics.lead_factors IS
'One row = one value of one attribute of leads, over all converted and disqualified ones where it is known: how often it went with conversion. Columns as in '
'win_factors. Association, not cause.';
