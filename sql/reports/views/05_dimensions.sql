-- Dimensions: days, accounts, users, products, stages.

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
       extract(month FROM f.date_key)::integer AS month_number,
       extract(day FROM f.date_key)::integer AS day_number,
       date_trunc('month', f.date_key::timestamp)::date AS month,
       to_char(f.date_key, 'FMMonth') AS month_name,
       to_char(f.date_key, 'FMDay') AS weekday_name,
       extract(isodow FROM f.date_key)::integer AS iso_weekday,
       extract(isoyear FROM f.date_key)::integer AS iso_year,
       extract(week FROM f.date_key)::integer AS iso_week,
       f.date_key - (extract(isodow FROM f.date_key)::integer - f.week_start + 7) % 7 AS week_key,
       f.date_key - (extract(isodow FROM f.date_key)::integer + 1) % 7 AS saturday_week_key,
       (f.j).year AS jalali_year,
       ((f.j).month + 2) / 3 AS jalali_quarter,
       (f.j).month AS jalali_month_number,
       (f.j).day AS jalali_day_number,
       f.date_key - (f.j).day + 1 AS jalali_month,
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
COMMENT ON COLUMN crm_analytics.dim_date.month IS 'First day of the Gregorian month.';
COMMENT ON COLUMN crm_analytics.dim_date.jalali_month IS 'First day of the Jalali month.';
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
       s.probability / 100 AS probability, s.forecast_category, s.rotting_days, s.active,
       row_number() OVER (PARTITION BY s.tenant_id, s.pipeline_id, s.type IN ('lost', 'cancelled')
                          ORDER BY s.type IN ('won', 'done'), s.position)::integer AS funnel_step
FROM crm.stages AS s
JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id;
COMMENT ON VIEW crm_analytics.dim_stage IS 'One row = one stage of one pipeline.';
COMMENT ON COLUMN crm_analytics.dim_stage.is_won IS 'Closed with success: type won or done.';
COMMENT ON COLUMN crm_analytics.dim_stage.funnel_step IS
'Place on the way to success, from 1: stages under way by position, then won or done. Of lost and cancelled stages: their place among themselves.';

CREATE OR REPLACE VIEW crm_analytics.dim_queue WITH (security_invoker = true) AS
SELECT q.tenant_id, q.id AS queue_id, q.code, q.name, q.team_id, m.name AS team, q.pipeline_id, p.name AS pipeline, q.routing_method, q.active
FROM crm.queues AS q
LEFT JOIN crm.teams AS m ON m.tenant_id = q.tenant_id AND m.id = q.team_id
LEFT JOIN crm.pipelines AS p ON p.tenant_id = q.tenant_id AND p.id = q.pipeline_id;
COMMENT ON VIEW crm_analytics.dim_queue IS 'One row = one queue of tickets.';
COMMENT ON COLUMN crm_analytics.dim_queue.routing_method IS 'How its tickets are given to people.';

CREATE OR REPLACE VIEW crm_analytics.dim_team WITH (security_invoker = true) AS
SELECT m.tenant_id, m.id AS team_id, m.name, m.parent_id, p.name AS parent_name, m.lead_id AS manager_id, u.name AS manager,
       (SELECT count(*) FROM crm.team_memberships AS s WHERE s.tenant_id = m.tenant_id AND s.team_id = m.id AND s.valid @> now()) AS members
FROM crm.teams AS m
LEFT JOIN crm.teams AS p ON p.tenant_id = m.tenant_id AND p.id = m.parent_id
LEFT JOIN crm.users AS u ON u.tenant_id = m.tenant_id AND u.id = m.lead_id;
COMMENT ON VIEW crm_analytics.dim_team IS 'One row = one team, with the team above it and who leads it.';
COMMENT ON COLUMN crm_analytics.dim_team.manager_id IS 'User who leads it; NULL: nobody.';
COMMENT ON COLUMN crm_analytics.dim_team.manager IS 'Name of the user who leads it.';
COMMENT ON COLUMN crm_analytics.dim_team.members IS 'Users in it now, those of teams below not counted.';

CREATE OR REPLACE VIEW crm_analytics.dim_currency WITH (security_invoker = true) AS
SELECT t.tenant_id, c.code AS currency, c.name, c.minor_units, c.code = t.base_currency AS is_base,
       CASE WHEN c.code = t.base_currency THEN 1
            ELSE crm.exchange_rate_on(t.tenant_id, c.code, t.base_currency, (now() AT TIME ZONE t.time_zone)::date) END AS rate,
       CASE WHEN c.code = t.base_currency THEN 1
            ELSE crm.exchange_rate_on(t.tenant_id, t.base_currency, c.code, (now() AT TIME ZONE t.time_zone)::date) END AS rate_from_base
FROM crm.tenants AS t
CROSS JOIN crm.currencies AS c;
COMMENT ON VIEW crm_analytics.dim_currency IS 'One row = one currency of ISO 4217, with its rates of today, where the tenant has any.';
COMMENT ON COLUMN crm_analytics.dim_currency.currency IS 'Code, ISO 4217.';
COMMENT ON COLUMN crm_analytics.dim_currency.name IS 'English name.';
COMMENT ON COLUMN crm_analytics.dim_currency.minor_units IS 'Decimals of its amounts.';
COMMENT ON COLUMN crm_analytics.dim_currency.is_base IS 'Whether it is the tenant''s base currency.';
COMMENT ON COLUMN crm_analytics.dim_currency.rate IS 'Units of base currency for one unit, today; NULL: not known.';
COMMENT ON COLUMN crm_analytics.dim_currency.rate_from_base IS 'Units of it for one unit of base currency, today; NULL: not known.';
