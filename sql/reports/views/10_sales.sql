-- Sales: deals as facts, the pipeline, what closed, why deals were lost.

CREATE OR REPLACE VIEW crm_analytics.fact_opportunities WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline, st.name AS stage, ac.name AS account_name, co.name AS contact, pd.name AS product, ow.name AS owner, te.name AS team,
       ty.name AS territory, cm.name AS competitor
FROM (
    SELECT o.tenant_id, o.id AS opportunity_id, o.name, o.pipeline_id, o.stage_id,
           CASE WHEN s.type IN ('open', 'on_hold') THEN 'open' WHEN s.type IN ('won', 'done') THEN 'won'
                WHEN s.type = 'lost' THEN 'lost' ELSE 'cancelled' END AS state,
           s.forecast_category,
           o.account_id, o.contact_id, o.product_id, o.owner_id, o.team_id, o.territory_id, o.lead_source, o.loss_reason, o.competitor_id,
           (o.created_at AT TIME ZONE t.time_zone)::date AS created_on,
           o.expected_close_date AS expected_on,
           c.closed_on, d.rate_on,
           CASE WHEN c.closed_on IS NOT NULL THEN d.closed_at END AS closed_at,
           o.amount, o.currency, o.probability / 100 AS probability, r.rate,
           o.amount * r.rate AS base_amount,
           o.amount * r.rate * CASE WHEN s.type IN ('won', 'done') THEN 100 WHEN s.type IN ('lost', 'cancelled') THEN 0
                                    ELSE coalesce(o.probability, s.probability, 0) END / 100 AS base_weighted,
           (o.amount IS NOT NULL AND r.rate IS NULL) AS rate_missing,
           CASE WHEN s.type NOT IN ('open', 'on_hold')
                THEN greatest(extract(epoch FROM d.closed_at - o.created_at) / 86400, 0)
           END AS cycle_days,
           CASE WHEN s.type IN ('open', 'on_hold') THEN extract(epoch FROM now() - o.created_at) / 86400 END AS age_days,
           CASE WHEN s.type IN ('open', 'on_hold') THEN extract(epoch FROM now() - o.stage_entered_at) / 86400 END AS days_in_stage,
           (s.type IN ('open', 'on_hold') AND s.rotting_days > 0
            AND o.stage_entered_at + s.rotting_days * interval '1 day' < now()
            AND NOT EXISTS (SELECT FROM crm.activities AS v
                            WHERE v.tenant_id = o.tenant_id AND v.related_table = 'opportunities' AND v.related_id = o.id
                              AND v.done_at <= now() AND v.done_at + s.rotting_days * interval '1 day' >= now())) AS is_rotting
    FROM crm.opportunities AS o
    JOIN crm.tenants AS t ON t.tenant_id = o.tenant_id
    JOIN crm.stages AS s ON s.tenant_id = o.tenant_id AND s.id = o.stage_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN s.type NOT IN ('open', 'on_hold')
                    THEN coalesce(o.close_date, (o.closed_at AT TIME ZONE t.time_zone)::date, (o.stage_entered_at AT TIME ZONE t.time_zone)::date)
               END AS closed_on) AS c
    CROSS JOIN LATERAL (
        SELECT coalesce(o.closed_at, c.closed_on::timestamp AT TIME ZONE t.time_zone) AS closed_at,
               coalesce(c.closed_on, (now() AT TIME ZONE t.time_zone)::date) AS rate_on) AS d
    CROSS JOIN LATERAL (
        SELECT CASE WHEN o.currency = t.base_currency THEN 1 ELSE crm.exchange_rate_on(o.tenant_id, o.currency, t.base_currency, d.rate_on) END AS rate) AS r
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id
LEFT JOIN crm.stages AS st ON st.tenant_id = v.tenant_id AND st.id = v.stage_id
LEFT JOIN crm.accounts AS ac ON ac.tenant_id = v.tenant_id AND ac.id = v.account_id
LEFT JOIN crm.contacts AS co ON co.tenant_id = v.tenant_id AND co.id = v.contact_id
LEFT JOIN crm.products AS pd ON pd.tenant_id = v.tenant_id AND pd.id = v.product_id
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.teams AS te ON te.tenant_id = v.tenant_id AND te.id = v.team_id
LEFT JOIN crm.territories AS ty ON ty.tenant_id = v.tenant_id AND ty.id = v.territory_id
LEFT JOIN crm.accounts AS cm ON cm.tenant_id = v.tenant_id AND cm.id = v.competitor_id;
COMMENT ON VIEW crm_analytics.fact_opportunities IS
'One row = one opportunity as it is now. Amounts in base currency: of closed ones at the rate of the day they closed, of open ones at today''s.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.state IS 'open, won, lost or cancelled, by the type of the stage.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.base_weighted IS 'Base amount times probability; won counts whole, lost not at all.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.rate_missing IS 'There is an amount but no exchange rate for its day: base_amount is NULL.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.cycle_days IS 'Days from creation to closing, of closed ones.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.is_rotting IS
'Has neither moved nor had an activity done for more than the rotting_days of its stage: what rotting_opportunities lists.';

CREATE OR REPLACE VIEW crm_analytics.fact_activities WITH (security_invoker = true) AS
SELECT v.*, ac.name AS account_name, co.name AS contact, ow.name AS owner, te.name AS team
FROM (
    SELECT a.tenant_id, a.id AS activity_id, a.subject, a.kind, a.direction, a.account_id, a.contact_id, a.related_table, a.related_id,
           a.owner_id, a.team_id, a.created_at, a.due_at, a.done_at,
           (a.created_at AT TIME ZONE t.time_zone)::date AS created_on,
           (a.done_at AT TIME ZONE t.time_zone)::date AS done_on,
           a.done_at IS NOT NULL AS is_done,
           coalesce(a.due_at < coalesce(a.done_at, now()), false) AS is_late
    FROM crm.activities AS a
    JOIN crm.tenants AS t ON t.tenant_id = a.tenant_id
) AS v
LEFT JOIN crm.accounts AS ac ON ac.tenant_id = v.tenant_id AND ac.id = v.account_id
LEFT JOIN crm.contacts AS co ON co.tenant_id = v.tenant_id AND co.id = v.contact_id
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.teams AS te ON te.tenant_id = v.tenant_id AND te.id = v.team_id;
COMMENT ON VIEW crm_analytics.fact_activities IS 'One row = one activity. Days are those of the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_activities.is_late IS 'Done after its due instant, or still open past it.';

-- ---- what those read who do not see every row ----
-- Callers who see every row read rollups, the others the rows that row security lets through. Functions ask for that, not
-- in the views themselves: a plan for everybody would be priced by the scan of a table that is not made, and by its
-- price be compiled (jit) and spread over workers at many times the cost of reading a rollup.

CREATE OR REPLACE FUNCTION crm_analytics.open_seen()
RETURNS TABLE (tenant_id bigint, pipeline_id bigint, stage_id bigint, owner_id bigint, team_id bigint, territory_id bigint, currency character, expected_on date,
               opportunities bigint, amounts bigint, amount numeric, weighted numeric, unrated numeric)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 200
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.tenant_id, o.pipeline_id, o.stage_id, o.owner_id, o.team_id, o.territory_id, o.currency, o.expected_close_date,
           count(*), count(o.amount), sum(o.amount), sum(o.amount * o.probability), sum(o.amount) FILTER (WHERE o.probability IS NULL)
    FROM crm.opportunities AS o
    WHERE o.closed_at IS NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
$$;
COMMENT ON FUNCTION crm_analytics.open_seen() IS
'One row = the open opportunities that the caller may see of one pipeline, stage, owner, team, territory, currency and expected day: what pipeline_now and '
'expected_by_day read for those who do not see every row. weighted is amount x per cent; unrated the amount of those without a probability of their own.';

CREATE OR REPLACE FUNCTION crm_analytics.closed_seen()
RETURNS TABLE (tenant_id bigint, close_date date, pipeline_id bigint, stage_id bigint, owner_id bigint, team_id bigint, loss_reason text, competitor_id bigint, currency character,
               opportunities bigint, amounts bigint, amount numeric, cycle_seconds numeric)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 500
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.tenant_id, coalesce(o.close_date, (o.closed_at AT TIME ZONE t.time_zone)::date), o.pipeline_id, o.stage_id, o.owner_id, o.team_id,
           o.loss_reason, o.competitor_id, o.currency,
           count(*), count(o.amount), sum(o.amount), sum(greatest(extract(epoch FROM o.closed_at - o.created_at), 0))
    FROM crm.opportunities AS o
    JOIN crm.tenants AS t ON t.tenant_id = o.tenant_id
    WHERE o.closed_at IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
$$;
COMMENT ON FUNCTION crm_analytics.closed_seen() IS
'One row = the closed opportunities that the caller may see of one day of closing, pipeline, stage, owner, team, reason, competitor and currency: what '
'closed_by_day, closed_by_owner and loss_reasons read for those who do not see every row.';

-- ---- sales ----
-- Each reads a rollup, deltas and folded sums alike, and groups once: a sum over no value is NULL, and a group whose
-- rows add up to none is no group.

DO $do$
DECLARE
    -- what closed, by day and by owner: the same sums over the same stages at the same rate
    closed_sums CONSTANT text := $sums$           coalesce(crm.total(g.opportunities) FILTER (WHERE s.type <> 'lost'), 0) AS won,
           coalesce(crm.total(g.opportunities) FILTER (WHERE s.type = 'lost'), 0) AS lost,
           CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL AND s.type <> 'lost') > 0
                THEN sum(g.amount * r.rate) FILTER (WHERE s.type <> 'lost') END AS won_amount,
           CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL AND s.type = 'lost') > 0
                THEN sum(g.amount * r.rate) FILTER (WHERE s.type = 'lost') END AS lost_amount,
           CASE WHEN crm.total(g.opportunities) FILTER (WHERE s.type <> 'lost') > 0
                THEN sum(g.cycle_seconds) FILTER (WHERE s.type <> 'lost') / 86400 END AS won_cycle_days,
           CASE WHEN crm.total(g.opportunities) FILTER (WHERE s.type = 'lost') > 0
                THEN sum(g.cycle_seconds) FILTER (WHERE s.type = 'lost') / 86400 END AS lost_cycle_days,
           coalesce(crm.total(g.amounts) FILTER (WHERE r.rate IS NULL), 0) AS missing_rates$sums$;
    closed_rate CONSTANT text := $rate$    JOIN crm.tenants AS t ON t.tenant_id = g.tenant_id
    JOIN crm.stages AS s ON s.tenant_id = g.tenant_id AND s.id = g.stage_id AND s.type IN ('won', 'done', 'lost')
    CROSS JOIN LATERAL (
        SELECT CASE WHEN g.currency = t.base_currency THEN 1
                ELSE crm.exchange_rate_on(g.tenant_id, g.currency, t.base_currency, coalesce(g.close_date, (now() AT TIME ZONE t.time_zone)::date)) END AS rate) AS r$rate$;
BEGIN
    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.pipeline_now WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline, st.name AS stage, ow.name AS owner, te.name AS team, ty.name AS territory
FROM (
    SELECT g.tenant_id, g.pipeline_id, g.stage_id, g.owner_id, g.team_id, g.territory_id, g.expected_month AS month,
           crm.total(g.opportunities) AS opportunities,
           CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum(g.amount * r.rate) END AS amount,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum((coalesce(g.weighted, 0) + coalesce(g.unrated * s.probability, 0)) * r.rate) / 100 END AS weighted,
           coalesce(crm.total(g.amounts) FILTER (WHERE r.rate IS NULL), 0) AS missing_rates
    FROM (
        %s
        UNION ALL
        SELECT o.tenant_id, o.pipeline_id, o.stage_id, o.owner_id, o.team_id, o.territory_id, o.currency,
               (date_trunc('month', o.expected_on::timestamp))::date, o.opportunities, o.amounts, o.amount, o.weighted, o.unrated
        FROM crm_analytics.open_seen() AS o
        WHERE NOT crm.can_see(-1, NULL)
    ) AS g
    JOIN crm.tenants AS t ON t.tenant_id = g.tenant_id
    JOIN crm.stages AS s ON s.tenant_id = g.tenant_id AND s.id = g.stage_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN g.currency = t.base_currency THEN 1
                    ELSE crm.exchange_rate_on(g.tenant_id, g.currency, t.base_currency, (now() AT TIME ZONE t.time_zone)::date) END AS rate) AS r
    GROUP BY 1, 2, 3, 4, 5, 6, 7
    HAVING crm.total(g.opportunities) <> 0
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id
LEFT JOIN crm.stages AS st ON st.tenant_id = v.tenant_id AND st.id = v.stage_id
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.teams AS te ON te.tenant_id = v.tenant_id AND te.id = v.team_id
LEFT JOIN crm.territories AS ty ON ty.tenant_id = v.tenant_id AND ty.id = v.territory_id
    $view$, crm_internal.rollup_rows('crm_opportunities_open'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.pipeline_by_stage WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline, st.name AS stage
FROM (
    SELECT g.tenant_id, g.pipeline_id, g.stage_id,
           crm.total(g.opportunities) AS opportunities,
           CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum(g.amount * r.rate) END AS amount,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum((coalesce(g.weighted, 0) + coalesce(g.unrated * s.probability, 0)) * r.rate) / 100 END AS weighted,
           coalesce(crm.total(g.amounts) FILTER (WHERE r.rate IS NULL), 0) AS missing_rates
    FROM (
        %s
        UNION ALL
        SELECT o.tenant_id, o.pipeline_id, o.stage_id, o.currency, o.opportunities, o.amounts, o.amount, o.weighted, o.unrated
        FROM crm_analytics.open_seen() AS o
        WHERE NOT crm.can_see(-1, NULL)
    ) AS g
    JOIN crm.tenants AS t ON t.tenant_id = g.tenant_id
    JOIN crm.stages AS s ON s.tenant_id = g.tenant_id AND s.id = g.stage_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN g.currency = t.base_currency THEN 1
                    ELSE crm.exchange_rate_on(g.tenant_id, g.currency, t.base_currency, (now() AT TIME ZONE t.time_zone)::date) END AS rate) AS r
    GROUP BY 1, 2, 3
    HAVING crm.total(g.opportunities) <> 0
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id
LEFT JOIN crm.stages AS st ON st.tenant_id = v.tenant_id AND st.id = v.stage_id
    $view$, crm_internal.rollup_rows('crm_opportunities_stages'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.expected_by_day WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline
FROM (
    SELECT g.tenant_id, g.expected_close_date AS expected_on, g.pipeline_id, s.forecast_category,
           crm.total(g.opportunities) AS opportunities,
           CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum(g.amount * r.rate) END AS amount,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum((coalesce(g.weighted, 0) + coalesce(g.unrated * s.probability, 0)) * r.rate) / 100 END AS weighted,
           coalesce(crm.total(g.amounts) FILTER (WHERE r.rate IS NULL), 0) AS missing_rates
    FROM (
        %s
        UNION ALL
        SELECT o.tenant_id, o.expected_on, o.pipeline_id, o.stage_id, o.currency, o.opportunities, o.amounts, o.amount, o.weighted, o.unrated
        FROM crm_analytics.open_seen() AS o
        WHERE NOT crm.can_see(-1, NULL)
    ) AS g
    JOIN crm.tenants AS t ON t.tenant_id = g.tenant_id
    JOIN crm.stages AS s ON s.tenant_id = g.tenant_id AND s.id = g.stage_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN g.currency = t.base_currency THEN 1
                    ELSE crm.exchange_rate_on(g.tenant_id, g.currency, t.base_currency, (now() AT TIME ZONE t.time_zone)::date) END AS rate) AS r
    GROUP BY 1, 2, 3, 4
    HAVING crm.total(g.opportunities) <> 0
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id
    $view$, crm_internal.rollup_rows('crm_opportunities_expected'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.closed_by_day WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline
FROM (
    SELECT g.tenant_id, g.close_date AS closed_on, g.pipeline_id,
%1$s
    FROM (
        %3$s
        UNION ALL
        SELECT o.tenant_id, o.close_date, o.pipeline_id, o.stage_id, o.currency, o.opportunities, o.amounts, o.amount, o.cycle_seconds
        FROM crm_analytics.closed_seen() AS o
        WHERE NOT crm.can_see(-1, NULL)
    ) AS g
%2$s
    GROUP BY 1, 2, 3
    HAVING crm.total(g.opportunities) <> 0
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id
    $view$, closed_sums, closed_rate, crm_internal.rollup_rows('crm_opportunities_closed'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.closed_by_owner WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline, ow.name AS owner, te.name AS team
FROM (
    SELECT g.tenant_id, g.close_date AS closed_on, g.pipeline_id, g.owner_id, g.team_id,
%1$s
    FROM (
        %3$s
        UNION ALL
        SELECT o.tenant_id, o.close_date, o.pipeline_id, o.stage_id, o.owner_id, o.team_id, o.currency, o.opportunities, o.amounts, o.amount, o.cycle_seconds
        FROM crm_analytics.closed_seen() AS o
        WHERE NOT crm.can_see(-1, NULL)
    ) AS g
%2$s
    GROUP BY 1, 2, 3, 4, 5
    HAVING crm.total(g.opportunities) <> 0
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.teams AS te ON te.tenant_id = v.tenant_id AND te.id = v.team_id
    $view$, closed_sums, closed_rate, crm_internal.rollup_rows('crm_opportunities_by_owner'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.loss_reasons WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline, cm.name AS competitor
FROM (
    SELECT g.tenant_id, g.pipeline_id, (date_trunc('month', g.close_date::timestamp))::date AS month,
           g.loss_reason, n.name AS reason, g.competitor_id,
       crm.total(g.opportunities) AS lost, CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum(g.amount * r.rate) END AS lost_amount,
           coalesce(crm.total(g.amounts) FILTER (WHERE r.rate IS NULL), 0) AS missing_rates
    FROM (
        %s
        UNION ALL
        SELECT o.tenant_id, o.close_date, o.pipeline_id, o.stage_id, o.loss_reason, o.competitor_id, o.currency, o.opportunities, o.amounts, o.amount
        FROM crm_analytics.closed_seen() AS o
        WHERE NOT crm.can_see(-1, NULL)
    ) AS g
    JOIN crm.tenants AS t ON t.tenant_id = g.tenant_id
    JOIN crm.stages AS s ON s.tenant_id = g.tenant_id AND s.id = g.stage_id AND s.type = 'lost'
    LEFT JOIN crm.loss_reasons AS n ON n.tenant_id = g.tenant_id AND n.code = g.loss_reason
    CROSS JOIN LATERAL (
        SELECT CASE WHEN g.currency = t.base_currency THEN 1
                ELSE crm.exchange_rate_on(g.tenant_id, g.currency, t.base_currency, coalesce(g.close_date, (now() AT TIME ZONE t.time_zone)::date)) END AS rate) AS r
    GROUP BY 1, 2, 3, 4, 5, 6
    HAVING crm.total(g.opportunities) <> 0
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id
LEFT JOIN crm.accounts AS cm ON cm.tenant_id = v.tenant_id AND cm.id = v.competitor_id
    $view$, crm_internal.rollup_rows('crm_opportunities_lost'));
END
$do$;
COMMENT ON VIEW crm_analytics.pipeline_now IS
'One row = the open opportunities of one pipeline, stage, owner, team, territory and expected month (NULL: no date given), now, in base currency at today''s '
'rate. Served by a rollup to those who see every row of the tenant.';
COMMENT ON COLUMN crm_analytics.pipeline_now.month IS 'First day of the month it is expected to close; NULL: none given.';
COMMENT ON COLUMN crm_analytics.pipeline_now.weighted IS 'Amount times probability; where an opportunity has none, the stage''s.';
COMMENT ON COLUMN crm_analytics.pipeline_now.missing_rates IS 'Opportunities whose amount is left out because there is no exchange rate.';
COMMENT ON VIEW crm_analytics.closed_by_day IS
'One row = the won and lost opportunities of one pipeline and day of closing; base currency at the rate of the day. Additive: sum what you group by. Served '
'by a rollup to those who see every row of the tenant.';
COMMENT ON VIEW crm_analytics.closed_by_owner IS
'One row = the won and lost opportunities of one pipeline, owner, team and day of closing; base currency at the rate of the day. Additive: sum what you group '
'by. Served by a rollup to those who see every row of the tenant.';
COMMENT ON VIEW crm_analytics.pipeline_by_stage IS
'One row = the open opportunities of one pipeline and stage; as pipeline_now, but a few rows where that has thousands. Served by a rollup to those who see '
'every row of the tenant.';
COMMENT ON VIEW crm_analytics.expected_by_day IS
'One row = the open opportunities of one pipeline, forecast category and expected day (NULL: no date given), in base currency at today''s rate. Served by a '
'rollup to those who see every row of the tenant.';
COMMENT ON VIEW crm_analytics.loss_reasons IS
'One row = the lost opportunities of one pipeline, month of closing, reason (NULL: none given) and competitor. Served by a rollup to those who see every row '
'of the tenant.';
COMMENT ON COLUMN crm_analytics.loss_reasons.month IS 'First day of the month of closing.';

CREATE OR REPLACE VIEW crm_analytics.win_rate WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline
FROM (
    SELECT c.tenant_id, c.pipeline_id, date_trunc('month', c.closed_on::timestamp)::date AS month,
           sum(c.won)::bigint AS won, sum(c.lost)::bigint AS lost,
           sum(c.won) / nullif(sum(c.won) + sum(c.lost), 0) AS win_rate,
           sum(c.won_amount) AS won_amount, sum(c.lost_amount) AS lost_amount,
           sum(c.won_amount) / nullif(coalesce(sum(c.won_amount), 0) + coalesce(sum(c.lost_amount), 0), 0) AS amount_win_rate,
           sum(c.missing_rates)::bigint AS missing_rates
    FROM crm_analytics.closed_by_day AS c
    GROUP BY 1, 2, 3
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id;
COMMENT ON VIEW crm_analytics.win_rate IS
'One row = one pipeline and month of closing. win_rate = won / (won + lost), cancelled ones aside; a share of one. Served by a rollup.';
COMMENT ON COLUMN crm_analytics.win_rate.month IS 'First day of the month of closing.';

CREATE OR REPLACE VIEW crm_analytics.cycle_time WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline
FROM (
    SELECT f.tenant_id, f.pipeline_id, f.state, date_trunc('month', f.closed_on::timestamp)::date AS month,
           count(*) AS opportunities,
           avg(f.cycle_days) AS mean_days,
           percentile_cont(0.25) WITHIN GROUP (ORDER BY f.cycle_days) AS p25_days,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY f.cycle_days) AS median_days,
           percentile_cont(0.75) WITHIN GROUP (ORDER BY f.cycle_days) AS p75_days,
           percentile_cont(0.9) WITHIN GROUP (ORDER BY f.cycle_days) AS p90_days
    FROM crm_analytics.fact_opportunities AS f
    WHERE f.state IN ('won', 'lost')
    GROUP BY 1, 2, 3, 4
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id;
COMMENT ON VIEW crm_analytics.cycle_time IS
'One row = one pipeline, outcome (won, lost) and month of closing: days from creation to closing. Percentiles interpolate between neighbours.';
COMMENT ON COLUMN crm_analytics.cycle_time.month IS 'First day of the month of closing.';

CREATE OR REPLACE VIEW crm_analytics.lead_sources WITH (security_invoker = true) AS
SELECT f.tenant_id, f.lead_source, date_trunc('month', f.created_on::timestamp)::date AS month,
       count(*) AS opportunities,
       count(*) FILTER (WHERE f.state = 'open') AS open,
       count(*) FILTER (WHERE f.state = 'won') AS won,
       count(*) FILTER (WHERE f.state = 'lost') AS lost,
       count(*) FILTER (WHERE f.state = 'won')::numeric
           / nullif(count(*) FILTER (WHERE f.state IN ('won', 'lost')), 0) AS win_rate,
       sum(f.base_amount) FILTER (WHERE f.state = 'won') AS won_amount,
       count(*) FILTER (WHERE f.rate_missing) AS missing_rates
FROM crm_analytics.fact_opportunities AS f
GROUP BY 1, 2, 3;
COMMENT ON VIEW crm_analytics.lead_sources IS
'One row = the opportunities of one source (NULL: not known) created in one month, and what has become of them by now.';
COMMENT ON COLUMN crm_analytics.lead_sources.month IS 'First day of the month of creation.';


CREATE OR REPLACE VIEW crm_analytics.forecast WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline
FROM (
    SELECT x.tenant_id, x.pipeline_id, x.forecast_category, date_trunc('month', x.day::timestamp)::date AS month,
           sum(x.opportunities)::bigint AS opportunities, sum(x.amount) AS amount, sum(x.weighted) AS weighted,
           sum(x.missing_rates)::bigint AS missing_rates
    FROM (
        SELECT e.tenant_id, e.pipeline_id, e.forecast_category, e.expected_on AS day, e.opportunities,
               e.amount, e.weighted, e.missing_rates
        FROM crm_analytics.expected_by_day AS e
        UNION ALL
        SELECT c.tenant_id, c.pipeline_id, 'closed' AS forecast_category, c.closed_on AS day, c.won AS opportunities,
               c.won_amount AS amount, c.won_amount AS weighted, c.missing_rates
        FROM crm_analytics.closed_by_day AS c
        WHERE c.won > 0
    ) AS x
    GROUP BY 1, 2, 3, 4
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id;
COMMENT ON VIEW crm_analytics.forecast IS
'One row = one pipeline, forecast category and month: won ones (forecast_category closed) by the month they closed, open ones by the month they are expected '
'(NULL: no date given). Lost ones count nothing. Base currency: closed at the rate of the day, open at today''s. Served by rollups.';
COMMENT ON COLUMN crm_analytics.forecast.forecast_category IS 'Forecast category of the stage; closed: won.';
COMMENT ON COLUMN crm_analytics.forecast.month IS 'First day of the month of closing, of open ones of the one expected; NULL: none given.';

CREATE OR REPLACE VIEW crm_analytics.account_totals WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS account_id, a.name AS account_name,
       coalesce(f.won, 0) AS won, coalesce(f.lost, 0) AS lost, coalesce(f.open, 0) AS open,
       coalesce(f.won_amount, 0) AS won_amount, coalesce(f.open_amount, 0) AS open_amount, coalesce(f.open_weighted, 0) AS open_weighted,
       f.first_won_on, f.last_won_on,
       coalesce(v.activities, 0) AS activities, v.last_activity_at,
       coalesce(f.missing_rates, 0) AS missing_rates
FROM crm.accounts AS a
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE f.state = 'won') AS won, count(*) FILTER (WHERE f.state = 'lost') AS lost,
           count(*) FILTER (WHERE f.state = 'open') AS open,
           sum(f.base_amount) FILTER (WHERE f.state = 'won') AS won_amount,
           sum(f.base_amount) FILTER (WHERE f.state = 'open') AS open_amount,
           sum(f.base_weighted) FILTER (WHERE f.state = 'open') AS open_weighted,
           min(f.closed_on) FILTER (WHERE f.state = 'won') AS first_won_on,
           max(f.closed_on) FILTER (WHERE f.state = 'won') AS last_won_on,
           count(*) FILTER (WHERE f.rate_missing) AS missing_rates
    FROM crm_analytics.fact_opportunities AS f
    WHERE f.tenant_id = a.tenant_id AND f.account_id = a.id) AS f ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS activities, max(coalesce(v.done_at, v.created_at)) FILTER (WHERE coalesce(v.done_at, v.created_at) <= now()) AS last_activity_at
    FROM crm.activities AS v
    WHERE v.tenant_id = a.tenant_id AND v.account_id = a.id) AS v ON true;
COMMENT ON VIEW crm_analytics.account_totals IS
'One row = one account over its whole life: won, lost and open opportunities, sums in base currency, first and last win, activities.';

CREATE OR REPLACE VIEW crm_analytics.product_totals WITH (security_invoker = true) AS
SELECT p.tenant_id, p.id AS product_id, p.name AS product, p.family,
       count(*) FILTER (WHERE x.state = 'won') AS won,
       count(*) FILTER (WHERE x.state = 'lost') AS lost,
       count(*) FILTER (WHERE x.state = 'open') AS open,
       sum(x.quantity) FILTER (WHERE x.state = 'won') AS won_quantity,
       coalesce(sum(x.amount) FILTER (WHERE x.state = 'won'), 0) AS won_amount,
       coalesce(sum(x.amount) FILTER (WHERE x.state = 'open'), 0) AS open_amount,
       count(*) FILTER (WHERE x.state = 'won')::numeric
           / nullif(count(*) FILTER (WHERE x.state IN ('won', 'lost')), 0) AS win_rate,
       count(*) FILTER (WHERE x.rate_missing) AS missing_rates,
       o.orders, o.ordered_quantity, o.revenue
FROM crm.products AS p
CROSS JOIN LATERAL (
    SELECT count(DISTINCT o.id) FILTER (WHERE o.kind = 'sale') AS orders,
           coalesce(sum(CASE WHEN o.kind = 'return' THEN - l.quantity ELSE l.quantity END), 0) AS ordered_quantity,
           coalesce(sum(l.amount * o.base_amount / nullif(o.amount, 0)), 0) AS revenue
    FROM crm.order_lines AS l
    JOIN crm.orders AS o ON o.tenant_id = l.tenant_id AND o.id = l.order_id AND o.state <> 'cancelled'
    WHERE l.tenant_id = p.tenant_id AND l.product_id = p.id) AS o
LEFT JOIN LATERAL (
    SELECT f.state, l.quantity, l.amount * f.rate AS amount, f.rate IS NULL AS rate_missing
    FROM crm.opportunity_lines AS l
    JOIN crm_analytics.fact_opportunities AS f ON f.tenant_id = l.tenant_id AND f.opportunity_id = l.opportunity_id
    WHERE l.tenant_id = p.tenant_id AND l.product_id = p.id
    UNION ALL
    SELECT f.state, NULL AS quantity, f.base_amount, f.rate_missing
    FROM crm_analytics.fact_opportunities AS f
    WHERE f.tenant_id = p.tenant_id AND f.product_id = p.id
      AND NOT EXISTS (SELECT FROM crm.opportunity_lines AS l
                      WHERE l.tenant_id = f.tenant_id AND l.opportunity_id = f.opportunity_id)) AS x ON true
GROUP BY p.tenant_id, p.id, p.name, p.family, o.orders, o.ordered_quantity, o.revenue;
COMMENT ON VIEW crm_analytics.product_totals IS
'One row = one product over its whole life, from the lines of opportunities; an opportunity without lines counts with its own product and amount; and, apart '
'from them, what was ordered: sales less returns, cancelled orders left out. Base currency.';
