-- Dimensions, the facts everybody counts, and the sales views over them.
-- Every view: one documented grain, tenant_id first, rights and row security of whoever reads it.
-- Money is in the tenant's base currency at the rate of the event's date. Where that rate is missing the amount
-- is left out of the sum and the row is counted in a column missing_rates: seen, never guessed.

CREATE OR REPLACE FUNCTION crm_analytics.base_rate(tenant_id bigint, currency text, on_date date) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm.exchange_rate($1, $2::character(3), t.base_currency, $3) FROM crm.tenants AS t WHERE t.tenant_id = $1
$$;
COMMENT ON FUNCTION crm_analytics.base_rate(bigint, text, date) IS
'How many units of the tenant''s base currency one unit of a currency was worth on a date: the later of the last rate from the currency to the base currency and the reciprocal of the last one the other way, on or before the date; the rule of crm.convert_currency. NULL where there is none: reports count such rows as missing_rates.';

CREATE OR REPLACE FUNCTION crm_analytics.month_start(on_date date, calendar text DEFAULT 'gregorian') RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN $2 = 'jalali'
                THEN crm.from_jalali((crm.to_jalali($1)).year, (crm.to_jalali($1)).month, 1)
                ELSE pg_catalog.date_trunc('month', $1::timestamp)::date END
$$;
COMMENT ON FUNCTION crm_analytics.month_start(date, text) IS
'First day of the month of a date, in the calendar gregorian or jalali.';

CREATE OR REPLACE FUNCTION crm_analytics.month_number(on_date date, calendar text DEFAULT 'gregorian') RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN $2 = 'jalali' THEN (crm.to_jalali($1)).year * 12 + (crm.to_jalali($1)).month
                ELSE (extract(year FROM $1) * 12 + extract(month FROM $1))::integer END
$$;
COMMENT ON FUNCTION crm_analytics.month_number(date, text) IS
'Months counted through, 12 x year + month, in the calendar gregorian or jalali: differences are numbers of months.';

-- ---- dimensions ----

CREATE OR REPLACE VIEW crm_analytics.dim_date WITH (security_invoker = true) AS
WITH days AS (
    SELECT t.tenant_id, d.day::date AS date_key, t.week_start, t.weekend,
           t.fiscal_year_start LIKE 'jalali:%' AS fiscal_jalali, right(t.fiscal_year_start, 5) AS fiscal_start,
           crm.to_jalali(d.day::date) AS j
    FROM crm.tenants AS t, generate_series('2000-01-01'::timestamp, '2049-12-31', '1 day') AS d(day)
), fiscal AS (
    SELECT s.*, CASE WHEN s.fiscal_jalali
                     THEN (s.j).year - CASE WHEN to_char((s.j).month, 'FM00') || '-' || to_char((s.j).day, 'FM00') < s.fiscal_start THEN 1 ELSE 0 END
                     ELSE extract(year FROM s.date_key)::integer - CASE WHEN to_char(s.date_key, 'MM-DD') < s.fiscal_start THEN 1 ELSE 0 END
                END AS fiscal_year,
           CASE WHEN s.fiscal_jalali THEN (s.j).month ELSE extract(month FROM s.date_key)::integer END
               - left(s.fiscal_start, 2)::integer AS months_apart,
           CASE WHEN s.fiscal_jalali THEN (s.j).day ELSE extract(day FROM s.date_key)::integer END
               < right(s.fiscal_start, 2)::integer AS before_day
    FROM days AS s
)
SELECT f.tenant_id, f.date_key,
       extract(year FROM f.date_key)::integer AS year,
       extract(quarter FROM f.date_key)::integer AS quarter,
       extract(month FROM f.date_key)::integer AS month,
       extract(day FROM f.date_key)::integer AS day,
       date_trunc('month', f.date_key::timestamp)::date AS month_key,
       to_char(f.date_key, 'FMMonth') AS month_name,
       to_char(f.date_key, 'FMDay') AS weekday_name,
       extract(isodow FROM f.date_key)::integer AS iso_weekday,
       extract(isoyear FROM f.date_key)::integer AS iso_year,
       extract(week FROM f.date_key)::integer AS iso_week,
       f.date_key - (extract(isodow FROM f.date_key)::integer - f.week_start + 7) % 7 AS week_key,
       f.date_key - (extract(isodow FROM f.date_key)::integer + 1) % 7 AS saturday_week_key,
       (f.j).year AS jalali_year,
       ((f.j).month + 2) / 3 AS jalali_quarter,
       (f.j).month AS jalali_month,
       (f.j).day AS jalali_day,
       f.date_key - (f.j).day + 1 AS jalali_month_key,
       crm.format_jalali(f.date_key, 'FMMonth') AS jalali_month_name,
       crm.format_jalali(f.date_key, 'TMMonth') AS jalali_month_name_fa,
       crm.format_jalali(f.date_key, 'TMDay') AS weekday_name_fa,
       f.fiscal_year,
       ((f.months_apart - f.before_day::integer + 12) % 12) / 3 + 1 AS fiscal_quarter,
       extract(isodow FROM f.date_key)::smallint = ANY (f.weekend) AS is_weekend,
       h.names IS NOT NULL AS is_holiday,
       h.names AS holiday_name
FROM fiscal AS f
LEFT JOIN (SELECT c.tenant_id, c.holiday_on, string_agg(DISTINCT coalesce(c.name, c.source), ', ') AS names
           FROM crm.calendar_holidays AS c
           WHERE c.active
           GROUP BY c.tenant_id, c.holiday_on) AS h ON h.tenant_id = f.tenant_id AND h.holiday_on = f.date_key;
COMMENT ON VIEW crm_analytics.dim_date IS
'One row = one day of one tenant, 2000 to 2049, in the Gregorian and the Jalali calendar. Join facts on date_key.';
COMMENT ON COLUMN crm_analytics.dim_date.tenant_id IS 'Company the row belongs to.';
COMMENT ON COLUMN crm_analytics.dim_date.date_key IS 'The day.';
COMMENT ON COLUMN crm_analytics.dim_date.week_key IS 'First day of the week, which begins on the tenant''s week_start.';
COMMENT ON COLUMN crm_analytics.dim_date.saturday_week_key IS 'First day of the week, which begins on Saturday.';
COMMENT ON COLUMN crm_analytics.dim_date.month_key IS 'First day of the Gregorian month.';
COMMENT ON COLUMN crm_analytics.dim_date.jalali_month_key IS 'First day of the Jalali month.';
COMMENT ON COLUMN crm_analytics.dim_date.fiscal_year IS 'Year, in the calendar of the tenant''s fiscal_year_start, in which the fiscal year of the day began.';
COMMENT ON COLUMN crm_analytics.dim_date.fiscal_quarter IS 'Quarter of the fiscal year, 1 to 4.';
COMMENT ON COLUMN crm_analytics.dim_date.is_weekend IS 'A rest day of the tenant.';
COMMENT ON COLUMN crm_analytics.dim_date.is_holiday IS 'A holiday of one of the tenant''s calendars (crm.calendar_holidays).';

CREATE OR REPLACE VIEW crm_analytics.dim_account WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS account_id, a.name, a.kind, a.roles, 'customer' = ANY (a.roles) AS is_customer,
       a.industry, a.country, a.city, a.employees,
       CASE WHEN a.employees IS NULL THEN NULL
            WHEN a.employees < 10 THEN '1-9' WHEN a.employees < 50 THEN '10-49' WHEN a.employees < 250 THEN '50-249'
            WHEN a.employees < 1000 THEN '250-999' ELSE '1000+' END AS size_band,
       a.parent_id, p.name AS parent_name, a.territory_id, y.name AS territory,
       a.owner_id, u.name AS owner, a.team_id, m.name AS team, a.created_at
FROM crm.accounts AS a
LEFT JOIN crm.accounts AS p ON p.tenant_id = a.tenant_id AND p.id = a.parent_id
LEFT JOIN crm.territories AS y ON y.tenant_id = a.tenant_id AND y.id = a.territory_id
LEFT JOIN crm.users AS u ON u.tenant_id = a.tenant_id AND u.id = a.owner_id
LEFT JOIN crm.teams AS m ON m.tenant_id = a.tenant_id AND m.id = a.team_id;
COMMENT ON VIEW crm_analytics.dim_account IS 'One row = one account, with the names of its parent, territory, owner and team.';
COMMENT ON COLUMN crm_analytics.dim_account.size_band IS 'Employees in bands; NULL where not known.';

CREATE OR REPLACE VIEW crm_analytics.dim_user WITH (security_invoker = true) AS
SELECT u.tenant_id, u.id AS user_id, u.name, u.email, u.access, u.active, u.manager_id, m.name AS manager,
       w.team_id, w.team
FROM crm.users AS u
LEFT JOIN crm.users AS m ON m.tenant_id = u.tenant_id AND m.id = u.manager_id
LEFT JOIN LATERAL (SELECT s.team_id, g.name AS team
                   FROM crm.team_memberships AS s
                   JOIN crm.teams AS g ON g.tenant_id = s.tenant_id AND g.id = s.team_id
                   WHERE s.tenant_id = u.tenant_id AND s.user_id = u.id AND s.valid @> now()
                   ORDER BY lower(s.valid) DESC NULLS LAST, s.team_id LIMIT 1) AS w ON true;
COMMENT ON VIEW crm_analytics.dim_user IS 'One row = one user, with manager and present team (the one joined last).';

CREATE OR REPLACE VIEW crm_analytics.dim_product WITH (security_invoker = true) AS
SELECT p.tenant_id, p.id AS product_id, p.code, p.name, p.family, p.tier, p.unit, p.active, p.list_price, p.cost, p.currency
FROM crm.products AS p;
COMMENT ON VIEW crm_analytics.dim_product IS 'One row = one product.';

CREATE OR REPLACE VIEW crm_analytics.dim_stage WITH (security_invoker = true) AS
SELECT s.tenant_id, s.id AS stage_id, s.pipeline_id, p.code AS pipeline_code, p.name AS pipeline, p.subject_table,
       s.code, s.name, s.position, s.type, s.type IN ('open', 'on_hold') AS is_open, s.type IN ('won', 'done') AS is_won,
       s.probability, s.forecast_category, s.rotting_days, s.active,
       row_number() OVER (PARTITION BY s.tenant_id, s.pipeline_id, s.type IN ('lost', 'cancelled')
                          ORDER BY s.type IN ('won', 'done'), s.position)::integer AS funnel_step
FROM crm.stages AS s
JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id;
COMMENT ON VIEW crm_analytics.dim_stage IS 'One row = one stage of one pipeline.';
COMMENT ON COLUMN crm_analytics.dim_stage.is_won IS 'Closed with success: type won or done.';
COMMENT ON COLUMN crm_analytics.dim_stage.funnel_step IS 'Place on the way to success, from 1: stages under way by position, then won or done. Of lost and cancelled stages: their place among themselves.';

-- ---- facts ----

CREATE OR REPLACE VIEW crm_analytics.fact_opportunities WITH (security_invoker = true) AS
SELECT o.tenant_id, o.id AS opportunity_id, o.name, o.pipeline_id, o.stage_id,
       CASE WHEN s.type IN ('open', 'on_hold') THEN 'open' WHEN s.type IN ('won', 'done') THEN 'won'
            WHEN s.type = 'lost' THEN 'lost' ELSE 'cancelled' END AS state,
       s.forecast_category,
       o.account_id, o.contact_id, o.product_id, o.owner_id, o.team_id, o.territory_id, o.lead_source, o.loss_reason, o.competitor_id,
       (o.created_at AT TIME ZONE t.time_zone)::date AS created_on,
       o.expected_close_date AS expected_on,
       c.closed_on, d.rate_on,
       CASE WHEN c.closed_on IS NOT NULL THEN d.closed_at END AS closed_at,
       o.amount, o.currency, o.probability, r.rate,
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
        AND o.stage_entered_at + s.rotting_days * interval '1 day' < now()) AS is_rotting
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
    SELECT CASE WHEN o.currency = t.base_currency THEN 1 ELSE crm.exchange_rate(o.tenant_id, o.currency, t.base_currency, d.rate_on) END AS rate) AS r;
COMMENT ON VIEW crm_analytics.fact_opportunities IS
'One row = one opportunity as it is now. Amounts in base currency: of closed ones at the rate of the day they closed, of open ones at today''s.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.state IS 'open, won, lost or cancelled, by the type of the stage.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.base_weighted IS 'Base amount times probability; won counts whole, lost not at all.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.rate_missing IS 'There is an amount but no exchange rate for its day: base_amount is NULL.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.cycle_days IS 'Days from creation to closing, of closed ones.';
COMMENT ON COLUMN crm_analytics.fact_opportunities.is_rotting IS 'Longer in its stage than the stage''s rotting_days.';

CREATE OR REPLACE VIEW crm_analytics.fact_activities WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS activity_id, a.kind, a.direction, a.account_id, a.contact_id, a.related_table, a.related_id,
       a.owner_id, a.team_id, a.created_at, a.due_at, a.done_at,
       (a.created_at AT TIME ZONE t.time_zone)::date AS created_on,
       (a.done_at AT TIME ZONE t.time_zone)::date AS done_on,
       a.done_at IS NOT NULL AS is_done,
       coalesce(a.due_at < coalesce(a.done_at, now()), false) AS is_late
FROM crm.activities AS a
JOIN crm.tenants AS t ON t.tenant_id = a.tenant_id;
COMMENT ON VIEW crm_analytics.fact_activities IS 'One row = one activity. Days are those of the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_activities.is_late IS 'Done after its due instant, or still open past it.';

-- ---- what those read who do not see every row ----
-- Whoever sees every row reads rollups; the others, what row security lets through. That is asked for in functions, not
-- in the views themselves: a plan for everybody would be priced by the scan of a table that is not made, and by its
-- price be compiled (jit) and spread over workers at many times the cost of reading a rollup.

CREATE OR REPLACE FUNCTION crm_analytics.open_seen()
RETURNS TABLE (tenant_id bigint, pipeline_id bigint, stage_id bigint, owner_id bigint, team_id bigint, territory_id bigint, currency character, expected_on date,
               opportunities bigint, amounts bigint, amount numeric, weighted numeric, unrated numeric)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.tenant_id, o.pipeline_id, o.stage_id, o.owner_id, o.team_id, o.territory_id, o.currency, o.expected_close_date,
           count(*), count(o.amount), sum(o.amount), sum(o.amount * o.probability), sum(o.amount) FILTER (WHERE o.probability IS NULL)
    FROM crm.opportunities AS o
    WHERE o.closed_at IS NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
$$;
COMMENT ON FUNCTION crm_analytics.open_seen() IS
'One row = the open opportunities that the caller may see of one pipeline, stage, owner, team, territory, currency and expected day: what pipeline_now and expected_by_day read for those who do not see every row. weighted is amount x per cent; unrated the amount of those without a probability of their own.';

CREATE OR REPLACE FUNCTION crm_analytics.closed_seen()
RETURNS TABLE (tenant_id bigint, close_date date, pipeline_id bigint, stage_id bigint, owner_id bigint, team_id bigint, loss_reason text, competitor_id bigint, currency character,
               opportunities bigint, amounts bigint, amount numeric, cycle_seconds numeric)
LANGUAGE sql STABLE PARALLEL SAFE
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
'One row = the closed opportunities that the caller may see of one day of closing, pipeline, stage, owner, team, reason, competitor and currency: what closed_by_day, closed_by_owner and loss_reasons read for those who do not see every row.';

-- ---- sales ----
-- Each reads a rollup, deltas and folded sums alike, and groups once: a sum over no value is NULL, and a group whose
-- rows add up to none is no group.

DO $do$
BEGIN
    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.pipeline_now WITH (security_invoker = true) AS
SELECT g.tenant_id, g.pipeline_id, g.stage_id, g.owner_id, g.team_id, g.territory_id, g.expected_month,
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
                ELSE crm.exchange_rate(g.tenant_id, g.currency, t.base_currency, (now() AT TIME ZONE t.time_zone)::date) END AS rate) AS r
GROUP BY 1, 2, 3, 4, 5, 6, 7
HAVING crm.total(g.opportunities) <> 0
    $view$, crm_internal.rollup_rows('crm_opportunities_open'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.pipeline_by_stage WITH (security_invoker = true) AS
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
                ELSE crm.exchange_rate(g.tenant_id, g.currency, t.base_currency, (now() AT TIME ZONE t.time_zone)::date) END AS rate) AS r
GROUP BY 1, 2, 3
HAVING crm.total(g.opportunities) <> 0
    $view$, crm_internal.rollup_rows('crm_opportunities_stages'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.expected_by_day WITH (security_invoker = true) AS
SELECT g.tenant_id, g.expected_close_date AS expected_on, g.pipeline_id, s.forecast_category,
       crm.total(g.opportunities) AS opportunities,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum(g.amount * r.rate) END AS base_amount,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL) > 0 THEN sum((coalesce(g.weighted, 0) + coalesce(g.unrated * s.probability, 0)) * r.rate) / 100 END AS base_weighted,
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
                ELSE crm.exchange_rate(g.tenant_id, g.currency, t.base_currency, (now() AT TIME ZONE t.time_zone)::date) END AS rate) AS r
GROUP BY 1, 2, 3, 4
HAVING crm.total(g.opportunities) <> 0
    $view$, crm_internal.rollup_rows('crm_opportunities_expected'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.closed_by_day WITH (security_invoker = true) AS
SELECT g.tenant_id, g.close_date AS closed_on, g.pipeline_id,
       coalesce(crm.total(g.opportunities) FILTER (WHERE s.type <> 'lost'), 0) AS won,
       coalesce(crm.total(g.opportunities) FILTER (WHERE s.type = 'lost'), 0) AS lost,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL AND s.type <> 'lost') > 0
            THEN sum(g.amount * r.rate) FILTER (WHERE s.type <> 'lost') END AS won_amount,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL AND s.type = 'lost') > 0
            THEN sum(g.amount * r.rate) FILTER (WHERE s.type = 'lost') END AS lost_amount,
       CASE WHEN crm.total(g.opportunities) FILTER (WHERE s.type <> 'lost') > 0
            THEN sum(g.cycle_seconds) FILTER (WHERE s.type <> 'lost') / 86400 END AS won_cycle_days,
       CASE WHEN crm.total(g.opportunities) FILTER (WHERE s.type = 'lost') > 0
            THEN sum(g.cycle_seconds) FILTER (WHERE s.type = 'lost') / 86400 END AS lost_cycle_days,
       coalesce(crm.total(g.amounts) FILTER (WHERE r.rate IS NULL), 0) AS missing_rates
FROM (
    %s
    UNION ALL
    SELECT o.tenant_id, o.close_date, o.pipeline_id, o.stage_id, o.currency, o.opportunities, o.amounts, o.amount, o.cycle_seconds
    FROM crm_analytics.closed_seen() AS o
    WHERE NOT crm.can_see(-1, NULL)
) AS g
JOIN crm.tenants AS t ON t.tenant_id = g.tenant_id
JOIN crm.stages AS s ON s.tenant_id = g.tenant_id AND s.id = g.stage_id AND s.type IN ('won', 'done', 'lost')
CROSS JOIN LATERAL (
    SELECT CASE WHEN g.currency = t.base_currency THEN 1
                ELSE crm.exchange_rate(g.tenant_id, g.currency, t.base_currency, coalesce(g.close_date, (now() AT TIME ZONE t.time_zone)::date)) END AS rate) AS r
GROUP BY 1, 2, 3
HAVING crm.total(g.opportunities) <> 0
    $view$, crm_internal.rollup_rows('crm_opportunities_closed'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.closed_by_owner WITH (security_invoker = true) AS
SELECT g.tenant_id, g.close_date AS closed_on, g.pipeline_id, g.owner_id, g.team_id,
       coalesce(crm.total(g.opportunities) FILTER (WHERE s.type <> 'lost'), 0) AS won,
       coalesce(crm.total(g.opportunities) FILTER (WHERE s.type = 'lost'), 0) AS lost,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL AND s.type <> 'lost') > 0
            THEN sum(g.amount * r.rate) FILTER (WHERE s.type <> 'lost') END AS won_amount,
       CASE WHEN crm.total(g.amounts) FILTER (WHERE r.rate IS NOT NULL AND s.type = 'lost') > 0
            THEN sum(g.amount * r.rate) FILTER (WHERE s.type = 'lost') END AS lost_amount,
       CASE WHEN crm.total(g.opportunities) FILTER (WHERE s.type <> 'lost') > 0
            THEN sum(g.cycle_seconds) FILTER (WHERE s.type <> 'lost') / 86400 END AS won_cycle_days,
       CASE WHEN crm.total(g.opportunities) FILTER (WHERE s.type = 'lost') > 0
            THEN sum(g.cycle_seconds) FILTER (WHERE s.type = 'lost') / 86400 END AS lost_cycle_days,
       coalesce(crm.total(g.amounts) FILTER (WHERE r.rate IS NULL), 0) AS missing_rates
FROM (
    %s
    UNION ALL
    SELECT o.tenant_id, o.close_date, o.pipeline_id, o.stage_id, o.owner_id, o.team_id, o.currency, o.opportunities, o.amounts, o.amount, o.cycle_seconds
    FROM crm_analytics.closed_seen() AS o
    WHERE NOT crm.can_see(-1, NULL)
) AS g
JOIN crm.tenants AS t ON t.tenant_id = g.tenant_id
JOIN crm.stages AS s ON s.tenant_id = g.tenant_id AND s.id = g.stage_id AND s.type IN ('won', 'done', 'lost')
CROSS JOIN LATERAL (
    SELECT CASE WHEN g.currency = t.base_currency THEN 1
                ELSE crm.exchange_rate(g.tenant_id, g.currency, t.base_currency, coalesce(g.close_date, (now() AT TIME ZONE t.time_zone)::date)) END AS rate) AS r
GROUP BY 1, 2, 3, 4, 5
HAVING crm.total(g.opportunities) <> 0
    $view$, crm_internal.rollup_rows('crm_opportunities_by_owner'));

    EXECUTE format($view$
CREATE OR REPLACE VIEW crm_analytics.loss_reasons WITH (security_invoker = true) AS
SELECT g.tenant_id, g.pipeline_id, (date_trunc('month', g.close_date::timestamp))::date AS closed_month,
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
                ELSE crm.exchange_rate(g.tenant_id, g.currency, t.base_currency, coalesce(g.close_date, (now() AT TIME ZONE t.time_zone)::date)) END AS rate) AS r
GROUP BY 1, 2, 3, 4, 5, 6
HAVING crm.total(g.opportunities) <> 0
    $view$, crm_internal.rollup_rows('crm_opportunities_lost'));
END
$do$;
COMMENT ON VIEW crm_analytics.pipeline_now IS
'One row = the open opportunities of one pipeline, stage, owner, team, territory and expected month (NULL: no date given), now, in base currency at today''s rate. Served by a rollup to those who see every row of the tenant.';
COMMENT ON COLUMN crm_analytics.pipeline_now.weighted IS 'Amount times probability; where an opportunity has none, the stage''s.';
COMMENT ON COLUMN crm_analytics.pipeline_now.missing_rates IS 'Opportunities whose amount is left out because there is no exchange rate.';
COMMENT ON VIEW crm_analytics.closed_by_day IS
'One row = the won and lost opportunities of one pipeline and day of closing; base currency at the rate of the day. Additive: sum what you group by. Served by a rollup to those who see every row of the tenant.';
COMMENT ON VIEW crm_analytics.closed_by_owner IS
'One row = the won and lost opportunities of one pipeline, owner, team and day of closing; base currency at the rate of the day. Additive: sum what you group by. Served by a rollup to those who see every row of the tenant.';
COMMENT ON VIEW crm_analytics.pipeline_by_stage IS
'One row = the open opportunities of one pipeline and stage; as pipeline_now, but a few rows where that has thousands. Served by a rollup to those who see every row of the tenant.';
COMMENT ON VIEW crm_analytics.expected_by_day IS
'One row = the open opportunities of one pipeline, forecast category and expected day (NULL: no date given), in base currency at today''s rate. Served by a rollup to those who see every row of the tenant.';
COMMENT ON VIEW crm_analytics.loss_reasons IS
'One row = the lost opportunities of one pipeline, month of closing, reason (NULL: none given) and competitor. Served by a rollup to those who see every row of the tenant.';

CREATE OR REPLACE VIEW crm_analytics.win_rate WITH (security_invoker = true) AS
SELECT c.tenant_id, c.pipeline_id, date_trunc('month', c.closed_on::timestamp)::date AS closed_month,
       sum(c.won)::bigint AS won, sum(c.lost)::bigint AS lost,
       sum(c.won) / nullif(sum(c.won) + sum(c.lost), 0) AS win_rate,
       sum(c.won_amount) AS won_amount, sum(c.lost_amount) AS lost_amount,
       sum(c.won_amount) / nullif(coalesce(sum(c.won_amount), 0) + coalesce(sum(c.lost_amount), 0), 0) AS amount_win_rate,
       sum(c.missing_rates)::bigint AS missing_rates
FROM crm_analytics.closed_by_day AS c
GROUP BY 1, 2, 3;
COMMENT ON VIEW crm_analytics.win_rate IS
'One row = one pipeline and month of closing. win_rate = won / (won + lost), cancelled ones aside; a share of one. Served by a rollup.';

CREATE OR REPLACE VIEW crm_analytics.cycle_time WITH (security_invoker = true) AS
SELECT f.tenant_id, f.pipeline_id, f.state, date_trunc('month', f.closed_on::timestamp)::date AS closed_month,
       count(*) AS opportunities,
       avg(f.cycle_days) AS mean_days,
       percentile_cont(0.25) WITHIN GROUP (ORDER BY f.cycle_days) AS p25_days,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY f.cycle_days) AS median_days,
       percentile_cont(0.75) WITHIN GROUP (ORDER BY f.cycle_days) AS p75_days,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY f.cycle_days) AS p90_days
FROM crm_analytics.fact_opportunities AS f
WHERE f.state IN ('won', 'lost')
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW crm_analytics.cycle_time IS
'One row = one pipeline, outcome (won, lost) and month of closing: days from creation to closing. Percentiles interpolate between neighbours.';

CREATE OR REPLACE VIEW crm_analytics.lead_sources WITH (security_invoker = true) AS
SELECT f.tenant_id, f.lead_source, date_trunc('month', f.created_on::timestamp)::date AS created_month,
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


CREATE OR REPLACE VIEW crm_analytics.forecast WITH (security_invoker = true) AS
SELECT x.tenant_id, x.pipeline_id, x.category, date_trunc('month', x.day::timestamp)::date AS month,
       sum(x.opportunities)::bigint AS opportunities, sum(x.amount) AS amount, sum(x.weighted) AS weighted,
       sum(x.missing_rates)::bigint AS missing_rates
FROM (
    SELECT e.tenant_id, e.pipeline_id, e.forecast_category AS category, e.expected_on AS day, e.opportunities,
           e.base_amount AS amount, e.base_weighted AS weighted, e.missing_rates
    FROM crm_analytics.expected_by_day AS e
    UNION ALL
    SELECT c.tenant_id, c.pipeline_id, 'closed' AS category, c.closed_on AS day, c.won AS opportunities,
           c.won_amount AS amount, c.won_amount AS weighted, c.missing_rates
    FROM crm_analytics.closed_by_day AS c
    WHERE c.won > 0
) AS x
GROUP BY 1, 2, 3, 4;
COMMENT ON VIEW crm_analytics.forecast IS
'One row = one pipeline, forecast category and month: won ones (category closed) by the month they closed, open ones by the month they are expected (NULL: no date given). Lost ones count nothing. Base currency: closed at the rate of the day, open at today''s. Served by rollups.';

CREATE OR REPLACE VIEW crm_analytics.account_totals WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS account_id, a.name,
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
SELECT p.tenant_id, p.id AS product_id, p.name, p.family,
       count(*) FILTER (WHERE x.state = 'won') AS won,
       count(*) FILTER (WHERE x.state = 'lost') AS lost,
       count(*) FILTER (WHERE x.state = 'open') AS open,
       sum(x.quantity) FILTER (WHERE x.state = 'won') AS won_quantity,
       coalesce(sum(x.amount) FILTER (WHERE x.state = 'won'), 0) AS won_amount,
       coalesce(sum(x.amount) FILTER (WHERE x.state = 'open'), 0) AS open_amount,
       count(*) FILTER (WHERE x.state = 'won')::numeric
           / nullif(count(*) FILTER (WHERE x.state IN ('won', 'lost')), 0) AS win_rate,
       count(*) FILTER (WHERE x.rate_missing) AS missing_rates,
       o.orders, o.ordered_quantity, o.ordered_amount
FROM crm.products AS p
CROSS JOIN LATERAL (
    SELECT count(DISTINCT o.id) FILTER (WHERE o.kind = 'sale') AS orders,
           coalesce(sum(CASE WHEN o.kind = 'return' THEN - l.quantity ELSE l.quantity END), 0) AS ordered_quantity,
           coalesce(sum(l.amount * o.base_amount / nullif(o.amount, 0)), 0) AS ordered_amount
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
GROUP BY p.tenant_id, p.id, p.name, p.family, o.orders, o.ordered_quantity, o.ordered_amount;
COMMENT ON VIEW crm_analytics.product_totals IS
'One row = one product over its whole life, from the lines of opportunities; an opportunity without lines counts with its own product and amount; and, apart from them, what was ordered: sales less returns, cancelled orders left out. Base currency.';
