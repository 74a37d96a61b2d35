-- What subscriptions bring in: at any instant, how it moved from one to another, and by month. Row security is that of whoever asks.
--
-- Everything is read from the lines, which are dated facts. A movement is a day on which what a customer pays a month changes, and what it is called follows
-- from what the customer had before and after, so the movements between two instants add up to the difference, whatever the instants are.

CREATE OR REPLACE VIEW crm_analytics.fact_subscriptions WITH (security_invoker = true) AS
SELECT l.tenant_id, l.id AS line_id, l.subscription_id, s.name AS subscription, s.account_id, a.name AS account_name, s.opportunity_id, d.name AS opportunity,
       s.owner_id, u.name AS owner, s.team_id, m.name AS team, l.product_id, p.name AS product, p.family,
       lower(l.during) AS from_day, upper(l.during) - 1 AS until_day, s.interval_months, s.calendar, s.ends_on, s.cancelled_at,
       l.quantity, l.unit_price, l.discount_percent / 100 AS discount_share, l.monthly_amount, l.monthly_amount * 12 AS yearly_amount, s.currency,
       l.during @> (now() AT TIME ZONE t.time_zone)::date AS is_running,
       (SELECT max(upper(b.days)) - 1 FROM crm.subscription_bills AS b WHERE b.tenant_id = l.tenant_id AND b.line_id = l.id) AS billed_until
FROM crm.subscription_lines AS l
JOIN crm.subscriptions AS s ON s.tenant_id = l.tenant_id AND s.id = l.subscription_id
JOIN crm.tenants AS t ON t.tenant_id = l.tenant_id
LEFT JOIN crm.accounts AS a ON a.tenant_id = s.tenant_id AND a.id = s.account_id
LEFT JOIN crm.opportunities AS d ON d.tenant_id = s.tenant_id AND d.id = s.opportunity_id
LEFT JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = l.product_id
LEFT JOIN crm.users AS u ON u.tenant_id = s.tenant_id AND u.id = s.owner_id
LEFT JOIN crm.teams AS m ON m.tenant_id = s.tenant_id AND m.id = s.team_id;
COMMENT ON VIEW crm_analytics.fact_subscriptions IS
'One row = one line of one subscription for the time in which nothing of it changed. What is_running adds up to what comes in each month.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.line_id IS 'The line.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.subscription_id IS 'The subscription.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.subscription IS 'Name of the subscription.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.opportunity_id IS 'Deal it came of; NULL: none.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.from_day IS 'First day on which it holds.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.until_day IS 'Last day on which it holds; NULL: no end.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.interval_months IS 'Months of an interval.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.calendar IS 'Whose months: gregorian or jalali.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.ends_on IS 'Last day of the subscription; NULL: no end.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.cancelled_at IS 'When the subscription was cancelled; NULL: it was not.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.quantity IS 'Units.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.unit_price IS 'Price of one unit for one interval, in currency.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.discount_share IS 'Discount, a share of one.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.monthly_amount IS 'What it brings in a month without tax, in currency.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.yearly_amount IS 'Twelve times that.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.is_running IS 'It holds today, in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_subscriptions.billed_until IS 'Last day that was billed; NULL: none was.';

CREATE OR REPLACE VIEW crm_analytics.mrr_movements WITH (security_invoker = true) AS
WITH edges AS (
    SELECT s.tenant_id, s.account_id, s.currency, lower(l.during) AS day, l.monthly_amount AS delta, 1 AS step
    FROM crm.subscription_lines AS l JOIN crm.subscriptions AS s ON s.tenant_id = l.tenant_id AND s.id = l.subscription_id WHERE l.monthly_amount > 0
    UNION ALL
    SELECT s.tenant_id, s.account_id, s.currency, upper(l.during) AS day, - l.monthly_amount AS delta, -1 AS step
    FROM crm.subscription_lines AS l JOIN crm.subscriptions AS s ON s.tenant_id = l.tenant_id AND s.id = l.subscription_id
    WHERE l.monthly_amount > 0 AND NOT upper_inf(l.during)
), days AS (
    -- a customer who pays in two currencies is one customer
    SELECT e.tenant_id, e.account_id, e.day, sum(sum(e.step)) OVER w AS after, sum(sum(e.step)) OVER w - sum(e.step) AS before, row_number() OVER w AS place
    FROM edges AS e GROUP BY e.tenant_id, e.account_id, e.day WINDOW w AS (PARTITION BY e.tenant_id, e.account_id ORDER BY e.day)
)
SELECT m.tenant_id, m.account_id, a.name AS account_name, m.day, m.currency,
       CASE WHEN d.before = 0 THEN CASE WHEN d.place = 1 THEN 'new' ELSE 'reactivation' END WHEN d.after = 0 THEN 'churn'
            WHEN m.delta > 0 THEN 'expansion' ELSE 'contraction' END AS movement,
       m.delta AS monthly_change
FROM (SELECT e.tenant_id, e.account_id, e.day, e.currency, sum(e.delta) AS delta FROM edges AS e GROUP BY 1, 2, 3, 4 HAVING sum(e.delta) <> 0) AS m
JOIN days AS d ON d.tenant_id = m.tenant_id AND d.account_id = m.account_id AND d.day = m.day
LEFT JOIN crm.accounts AS a ON a.tenant_id = m.tenant_id AND a.id = m.account_id;
COMMENT ON VIEW crm_analytics.mrr_movements IS
'One row = one day on which what one customer pays a month in one currency changed, those to come with them. Their sum up to a day is what comes in each month '
'on that day. A change of a customer who pays for several subscriptions is one of the customer: what moves from one to another is none.';
COMMENT ON COLUMN crm_analytics.mrr_movements.day IS 'First day on which the new amount holds.';
COMMENT ON COLUMN crm_analytics.mrr_movements.movement IS
'new: the customer paid for nothing ever before; reactivation: for nothing the day before; churn: for nothing any more; expansion and contraction: for more or '
'less in this currency.';
COMMENT ON COLUMN crm_analytics.mrr_movements.monthly_change IS 'By how much what comes in each month changed, in currency.';

CREATE OR REPLACE FUNCTION crm_analytics.mrr_at(as_of timestamptz DEFAULT now())
RETURNS TABLE (tenant_id bigint, account_id bigint, account_name text, currency text, lines bigint, mrr numeric, arr numeric,
               base_mrr numeric, base_arr numeric, rate_missing boolean)
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
        SELECT x.tenant_id, x.account_id, a.name, x.currency, x.lines, x.mrr, x.mrr * 12, x.mrr * r.rate, x.mrr * 12 * r.rate, r.rate IS NULL
        FROM (SELECT s.tenant_id, s.account_id, s.currency::text AS currency, t.base_currency, d.day, count(*) AS lines, sum(l.monthly_amount) AS mrr
              FROM crm.tenants AS t
              CROSS JOIN LATERAL (SELECT crm.local_day(t.tenant_id, mrr_at.as_of) AS day) AS d
              JOIN crm.subscriptions AS s ON s.tenant_id = t.tenant_id
              JOIN crm.subscription_lines AS l ON l.tenant_id = s.tenant_id AND l.subscription_id = s.id AND l.during @> d.day AND l.monthly_amount > 0
              GROUP BY 1, 2, 3, 4, 5) AS x
        CROSS JOIN LATERAL (SELECT CASE WHEN x.currency = x.base_currency THEN 1
                                        ELSE crm.exchange_rate_on(x.tenant_id, x.currency::bpchar, x.base_currency, x.day) END AS rate) AS r
        LEFT JOIN crm.accounts AS a ON a.tenant_id = x.tenant_id AND a.id = x.account_id;
END
$$;
COMMENT ON FUNCTION crm_analytics.mrr_at(timestamptz) IS
'What comes in each month (MRR) and year (ARR, twelve times that) of each customer and currency at an instant of the past or to come, without tax, by what '
'lines of subscriptions say of the tenant''s day; base currency at the rate of that day, rate_missing where there is none.';

CREATE OR REPLACE VIEW crm_analytics.mrr WITH (security_invoker = true) AS
SELECT x.tenant_id, x.account_id, x.account_name, x.currency, x.lines, x.mrr, x.arr, x.base_mrr, x.base_arr, x.rate_missing
FROM crm_analytics.mrr_at(now()) AS x;
COMMENT ON VIEW crm_analytics.mrr IS 'One row = what one customer pays in one currency each month and year now; see crm_analytics.mrr_at().';
COMMENT ON COLUMN crm_analytics.mrr.lines IS 'Lines of subscriptions that run.';
COMMENT ON COLUMN crm_analytics.mrr.mrr IS 'What comes in a month without tax, in currency.';
COMMENT ON COLUMN crm_analytics.mrr.arr IS 'Twelve times that.';
COMMENT ON COLUMN crm_analytics.mrr.base_mrr IS 'The same in base currency at the rate of today; NULL: no rate is known.';
COMMENT ON COLUMN crm_analytics.mrr.base_arr IS 'Twelve times that.';
COMMENT ON COLUMN crm_analytics.mrr.rate_missing IS 'No exchange rate is known: base_mrr is NULL.';

CREATE OR REPLACE FUNCTION crm.mrr_waterfall(
    from_at timestamptz, until_at timestamptz DEFAULT now(), currency text DEFAULT NULL, mode text DEFAULT 'at_close_date')
RETURNS TABLE (place integer, movement text, customers bigint, amount numeric)
LANGUAGE plpgsql STABLE ROWS 8
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    wanted CONSTANT text := coalesce(upper(currency), (SELECT n.base_currency::text FROM crm.tenants AS n WHERE n.tenant_id = t));
    first CONSTANT date := crm.local_day(t, from_at);
    last CONSTANT date := crm.local_day(t, until_at);
BEGIN
    IF from_at IS NULL OR until_at IS NULL OR until_at < from_at OR NOT isfinite(from_at) OR NOT isfinite(until_at) THEN
        RAISE EXCEPTION 'a waterfall goes from an instant to a later one' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give from_at and until_at.';
    END IF;
    RETURN QUERY
        WITH moves AS (
            SELECT m.account_id, m.movement, m.day, m.currency::text AS currency, m.monthly_change FROM crm_analytics.mrr_movements AS m
            WHERE m.tenant_id = t AND m.day <= last
        ), parts AS (
            SELECT 1 AS place, 'opening' AS movement, m.account_id,
                   crm.convert_currency(sum(m.monthly_change), m.currency, wanted, mode, first, last, tenant_id => t) AS amount
            FROM moves AS m WHERE m.day <= first GROUP BY m.account_id, m.currency HAVING sum(m.monthly_change) <> 0
            UNION ALL
            SELECT 1 + array_position('{new,reactivation,expansion,contraction,churn}'::text[], m.movement), m.movement, m.account_id,
                   crm.convert_currency(m.monthly_change, m.currency, wanted, mode, m.day, last, tenant_id => t)
            FROM moves AS m WHERE m.day > first
            UNION ALL
            SELECT 8, 'closing', m.account_id, crm.convert_currency(sum(m.monthly_change), m.currency, wanted, mode, last, last, tenant_id => t)
            FROM moves AS m GROUP BY m.account_id, m.currency HAVING sum(m.monthly_change) <> 0
        )
        SELECT n.place::integer, n.movement, count(DISTINCT p.account_id), coalesce(sum(p.amount), 0)
        FROM unnest('{opening,new,reactivation,expansion,contraction,churn}'::text[]) WITH ORDINALITY AS n (movement, place)
        LEFT JOIN parts AS p ON p.movement = n.movement GROUP BY 1, 2
        UNION ALL
        SELECT 7, 'rates', 0, coalesce(sum(CASE p.movement WHEN 'closing' THEN p.amount ELSE - p.amount END), 0) FROM parts AS p
        UNION ALL
        SELECT 8, 'closing', count(DISTINCT p.account_id), coalesce(sum(p.amount), 0) FROM parts AS p WHERE p.movement = 'closing'
        ORDER BY 1;
END
$$;
COMMENT ON FUNCTION crm.mrr_waterfall(timestamptz, timestamptz, text, text) IS
'How what comes in each month (MRR) moved from one instant to a later one, of the caller''s tenant, in a currency (NULL: its base currency): opening, new, '
'reactivation, expansion, contraction, churn, rates, closing; everything before closing adds up to it. mode at_close_date: all at the rates of the last day, '
'so that no part is the rates''; at_event_date: opening, movements and closing each at the rate of its day, and rates is what the change of rates did to '
'what was held; at_today: all at today''s. customers: those with such a movement. Errors: CR203 where a rate is missing, 22023 for another mode or '
'instants that do not follow each other.';
SELECT crm.declare_function('crm.mrr_waterfall', 'reader');

CREATE OR REPLACE VIEW crm_analytics.mrr_waterfall WITH (security_invoker = true) AS
WITH moved AS (
    SELECT m.tenant_id, crm_analytics.month_start(m.day, c.calendar) AS month, m.movement, m.monthly_change * r.rate AS amount, r.rate IS NULL AS rate_missing
    FROM crm_analytics.mrr_movements AS m
    JOIN crm.tenants AS t ON t.tenant_id = m.tenant_id
    CROSS JOIN LATERAL (SELECT CASE WHEN t.fiscal_year_start LIKE 'jalali:%' THEN 'jalali' ELSE 'gregorian' END AS calendar,
                               (now() AT TIME ZONE t.time_zone)::date AS today) AS c
    CROSS JOIN LATERAL (SELECT CASE WHEN m.currency = t.base_currency THEN 1
                                    ELSE crm.exchange_rate_on(m.tenant_id, m.currency, t.base_currency, c.today) END AS rate) AS r
    WHERE m.day <= c.today
), months AS (
    SELECT v.tenant_id, v.month, coalesce(sum(v.amount) FILTER (WHERE v.movement = 'new'), 0) AS new,
           coalesce(sum(v.amount) FILTER (WHERE v.movement = 'reactivation'), 0) AS reactivation,
           coalesce(sum(v.amount) FILTER (WHERE v.movement = 'expansion'), 0) AS expansion,
           coalesce(sum(v.amount) FILTER (WHERE v.movement = 'contraction'), 0) AS contraction,
           coalesce(sum(v.amount) FILTER (WHERE v.movement = 'churn'), 0) AS churn, coalesce(sum(v.amount), 0) AS change,
           count(*) FILTER (WHERE v.rate_missing) AS missing_rates
    FROM moved AS v GROUP BY 1, 2
)
SELECT m.tenant_id, m.month, sum(m.change) OVER w - m.change AS opening, m.new, m.reactivation, m.expansion, m.contraction, m.churn,
       sum(m.change) OVER w AS closing, m.missing_rates
FROM months AS m WINDOW w AS (PARTITION BY m.tenant_id ORDER BY m.month);
COMMENT ON VIEW crm_analytics.mrr_waterfall IS
'One row = one month, of the calendar of the tenant''s year of business, in which what comes in each month moved, in base currency at the rates of today: the '
'closing of a month is the opening of the next one. What is dated in the future is not there. Between any two instants: crm.mrr_waterfall().';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.month IS 'First day of the month.';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.opening IS 'What came in each month at its beginning.';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.new IS 'Of customers who paid for nothing ever before.';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.reactivation IS 'Of customers who came back.';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.expansion IS 'More of customers who stayed.';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.contraction IS 'Less of customers who stayed, below zero.';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.churn IS 'Of customers who left, below zero.';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.closing IS 'What came in each month at its end: opening and all movements.';
COMMENT ON COLUMN crm_analytics.mrr_waterfall.missing_rates IS 'Movements in a currency without a rate, which are left out.';
