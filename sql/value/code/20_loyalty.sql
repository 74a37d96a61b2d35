-- Loyalty: value against needs, who leaves and when, winning back, retention of cohorts and of money.

CREATE OR REPLACE FUNCTION crm_analytics.account_families(as_of date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (tenant_id bigint, account_id bigint, family text, quantity numeric, revenue numeric, order_count bigint, highest_tier smallint)
LANGUAGE sql STABLE ROWS 2000
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.tenant_id, o.account_id, coalesce(p.family, p.name), sum(CASE o.kind WHEN 'return' THEN -l.quantity ELSE l.quantity END),
           sum(l.amount * o.base_amount / nullif(o.amount, 0)), count(DISTINCT o.id) FILTER (WHERE o.kind = 'sale'), max(p.tier)
    FROM crm.orders AS o
    JOIN crm.order_lines AS l ON l.tenant_id = o.tenant_id AND l.order_id = o.id
    JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = l.product_id
    WHERE o.tenant_id = crm.tenant_id() AND o.ordered_on <= as_of
      AND (o.state <> 'cancelled') <> (o.id IN (SELECT r.order_id FROM crm_analytics.orders_restated(as_of) AS r))
    GROUP BY o.tenant_id, o.account_id, coalesce(p.family, p.name)
$$;
COMMENT ON FUNCTION crm_analytics.account_families(date) IS
'One row a customer and product family: net quantity and revenue in the base currency, orders and the highest tier bought.';

CREATE OR REPLACE FUNCTION crm_analytics.churn_risks(as_of date DEFAULT crm.local_day(crm.tenant_id(), now()), horizon_days integer DEFAULT 90,
    churn_threshold double precision DEFAULT 0.5)
RETURNS TABLE (tenant_id bigint, account_id bigint, account_name text, owner_id bigint, value_segment text, p_alive double precision, last_order_on date, churn_on date,
               state text, value_at_stake numeric, reasons text[])
LANGUAGE sql STABLE ROWS 2000
SET search_path = pg_catalog, pg_temp
AS $$
    WITH recent AS (
        SELECT d.account_id, sum(d.revenue) FILTER (WHERE d.ordered_on > as_of - 180) AS last_half, sum(d.revenue) FILTER (WHERE d.ordered_on <= as_of - 180) AS half_before
        FROM (SELECT v.account_id, v.ordered_on, v.revenue FROM crm_analytics.account_days AS v
              WHERE v.tenant_id = crm.tenant_id() AND v.ordered_on > as_of - 360 AND v.ordered_on <= as_of
              UNION ALL
              SELECT o.account_id, o.ordered_on, CASE o.state WHEN 'cancelled' THEN o.base_amount ELSE -o.base_amount END
              FROM crm_analytics.orders_restated(as_of) AS r JOIN crm.orders AS o ON o.tenant_id = crm.tenant_id() AND o.id = r.order_id
              WHERE o.ordered_on > as_of - 360 AND o.ordered_on <= as_of) AS d GROUP BY d.account_id
    ), returned AS (
        SELECT o.account_id, count(*) FILTER (WHERE o.kind = 'return') AS returns, count(*) FILTER (WHERE o.kind = 'sale') AS sales
        FROM crm.orders AS o WHERE o.tenant_id = crm.tenant_id() AND o.ordered_on > as_of - 360 AND o.ordered_on <= as_of
          AND (o.state <> 'cancelled') <> (o.id IN (SELECT r.order_id FROM crm_analytics.orders_restated(as_of) AS r)) GROUP BY o.account_id
    ), troubled AS (
        SELECT t.account_id, count(*) AS tickets FROM crm.tickets AS t
        WHERE t.tenant_id = crm.tenant_id() AND t.created_at > as_of - 180 AND t.created_at < as_of + 1 AND t.account_id IS NOT NULL GROUP BY t.account_id
    ), lost AS (
        -- that were lost at the end of the day, whatever came of them later
        SELECT o.account_id, count(DISTINCT o.id) AS deals
        FROM crm.stage_periods AS p
        JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id AND s.type = 'lost'
        JOIN crm.tenants AS t ON t.tenant_id = p.tenant_id
        JOIN crm.opportunities AS o ON o.tenant_id = p.tenant_id AND o.id = p.subject_id
        WHERE p.tenant_id = crm.tenant_id() AND p.subject_table = 'opportunities' AND p.close_date > as_of - 180 AND p.close_date <= as_of
          AND p.period @> ((as_of + 1)::timestamp AT TIME ZONE t.time_zone - interval '1 microsecond')
        GROUP BY o.account_id
    )
    SELECT v.tenant_id, v.account_id, v.account_name, v.owner_id, v.value_segment, v.p_alive, v.last_order_on, v.churn_on,
           CASE WHEN v.churn_on <= as_of THEN 'gone' ELSE 'leaving' END,
           -- what a customer who stays would bring, beyond what is expected of this one
           CASE WHEN v.p_alive > 0 THEN round((v.clv / v.p_alive * (1 - v.p_alive))::numeric, 2)
                WHEN v.p_alive IS NULL THEN round(v.clv * (1 - exp(-(as_of - v.last_order_on) / greatest(v.usual_gap_days, 1))), 2) ELSE v.clv END,
           array_remove(ARRAY[
               coalesce(v.churn_reason, CASE WHEN as_of - v.last_order_on > v.usual_gap_days
                                             THEN crm.say(w.words, 'overdue', (as_of - v.last_order_on)::text, round(v.usual_gap_days)::text) END),
               CASE WHEN coalesce(r.last_half, 0) < 0.7 * r.half_before
                    THEN crm.say(w.words, 'less', round(100 - 100 * coalesce(r.last_half, 0) / r.half_before)::text) END,
               CASE WHEN b.returns * 4 > b.sales THEN crm.say(w.words, 'returned', b.returns::text, b.sales::text) END,
               CASE WHEN k.tickets >= 3 THEN crm.say(w.words, 'tickets', k.tickets::text) END,
               CASE WHEN l.deals > 0 THEN crm.say(w.words, 'lost', l.deals::text) END], NULL)
    FROM (SELECT crm.texts('churn', crm.language()) AS words OFFSET 0) AS w
    CROSS JOIN crm_analytics.customer_value_at(as_of, 365, 0.1, churn_threshold) AS v
    LEFT JOIN recent AS r ON r.account_id = v.account_id
    LEFT JOIN returned AS b ON b.account_id = v.account_id
    LEFT JOIN troubled AS k ON k.account_id = v.account_id
    LEFT JOIN lost AS l ON l.account_id = v.account_id
    WHERE v.churn_on <= as_of + horizon_days
      -- without a model of leaving, only who is overdue already counts as about to leave
      AND (v.p_alive IS NOT NULL OR as_of - v.last_order_on > v.usual_gap_days)
$$;
COMMENT ON FUNCTION crm_analytics.churn_risks(date, integer, double precision) IS
'One row a customer who is gone (P(alive) below churn_threshold) or will be within horizon_days unless an order comes: when, why (reasons, in the language '
'of the caller, crm.language()), and the value at stake in '
'the base currency: what it would bring over a year if it stayed, beyond what is expected of it. Where the active model knows no leaving (or none is active), '
'only customers whose usual gap has passed are listed, and the odds of having left are taken from how far.';

-- security definer: who is treated and who is left alone is the CRM's draw, whoever begins a campaign
CREATE OR REPLACE FUNCTION crm.enrol_winback(campaign text, control_share double precision, as_of date, account_ids bigint[], p_alive double precision[], value_at_stake numeric[])
RETURNS SETOF crm.winback_members
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
BEGIN
    PERFORM crm_internal.require('accounts', a, 'change') FROM unnest(account_ids) AS a;
    IF EXISTS (SELECT FROM crm.winback_members AS w WHERE w.tenant_id = tenant AND w.campaign = enrol_winback.campaign) THEN
        RAISE EXCEPTION 'win-back campaign "%" is there already or has no name', campaign USING ERRCODE = 'duplicate_object', HINT = 'Give another name.';
    END IF;
    -- the arm is a hash of campaign and customer: nobody can choose it, and it can be checked
    RETURN QUERY
    INSERT INTO crm.winback_members AS w (tenant_id, campaign, account_id, arm, started_on, p_alive_at_start, value_at_stake)
    SELECT tenant, enrol_winback.campaign, r.id,
           CASE WHEN ((hashtextextended(enrol_winback.campaign || '/' || r.id, 0) >> 11) & 9007199254740991) / 9007199254740992.0 < control_share THEN 'control' ELSE 'treated' END,
           as_of, r.p, r.value
    FROM unnest(account_ids, p_alive, value_at_stake) AS r (id, p, value)
    RETURNING w.*;
END
$$;
COMMENT ON FUNCTION crm.enrol_winback(text, double precision, date, bigint[], double precision[], numeric[]) IS
'Splits accounts that the caller may change into the two arms of a new win-back campaign: what crm.start_winback() does with the customers who are gone. '
'Errors: P0002 and 42501 for an account of somebody else, 42710 for a campaign that is there.';
SELECT crm.declare_function('crm.enrol_winback', 'agent');

CREATE OR REPLACE FUNCTION crm.start_winback(campaign text, control_share double precision DEFAULT 0.2,
    as_of date DEFAULT crm.local_day(crm.tenant_id(), now()),
    least_value numeric DEFAULT 0)
RETURNS SETOF crm.winback_members
LANGUAGE plpgsql VOLATILE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF control_share IS NULL OR control_share <= 0 OR control_share >= 1 THEN
        RAISE EXCEPTION 'control_share must lie between 0 and 1' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Without a control group there is no telling what the campaign did.';
    END IF;
    IF campaign IS NULL OR campaign = '' THEN
        RAISE EXCEPTION 'win-back campaign "%" is there already or has no name', campaign USING ERRCODE = 'duplicate_object', HINT = 'Give another name.';
    END IF;
    -- an agent starts one with their own customers: others that they see are not theirs to draw
    RETURN QUERY
    SELECT w.* FROM (
        SELECT array_agg(r.account_id ORDER BY r.account_id) AS ids, array_agg(r.p_alive ORDER BY r.account_id) AS alive,
               array_agg(r.value_at_stake ORDER BY r.account_id) AS stakes
        FROM crm_analytics.churn_risks(as_of, 0) AS r
        WHERE r.value_at_stake >= least_value AND crm.can_change_row('crm.accounts', r.account_id)
    ) AS g, LATERAL crm.enrol_winback(start_winback.campaign, control_share, as_of, g.ids, g.alive, g.stakes) AS w;
END
$$;
COMMENT ON FUNCTION crm.start_winback(text, double precision, date, numeric) IS
'Splits the customers who are gone on a day at random into those to be treated and a control group that is left alone (control_share), and returns them. '
'crm_analytics.winback_effect then tells what the treatment did.';

CREATE OR REPLACE FUNCTION crm_analytics.winback_effect(campaign text, days integer DEFAULT 90,
    as_of date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (treated bigint, control bigint, treated_back bigint, control_back bigint, treated_rate double precision, control_rate double precision, effect double precision,
               effect_low double precision, effect_high double precision, p_value double precision, treated_revenue numeric, control_revenue numeric, incremental_revenue numeric)
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
    WITH c AS (
        SELECT w.arm, w.account_id, coalesce(sum(d.purchases), 0) AS n, coalesce(sum(d.revenue), 0) AS revenue
        FROM crm.winback_members AS w
        LEFT JOIN crm_analytics.account_days_known(as_of) AS d ON d.account_id = w.account_id AND d.ordered_on > w.started_on AND d.ordered_on <= w.started_on + days
        WHERE w.tenant_id = crm.tenant_id() AND w.campaign = winback_effect.campaign AND w.started_on <= as_of
        GROUP BY w.arm, w.account_id
    ), s AS (
        SELECT count(*) FILTER (WHERE c.arm = 'treated') AS nt, count(*) FILTER (WHERE c.arm = 'control') AS nc,
               count(*) FILTER (WHERE c.arm = 'treated' AND c.n > 0) AS kt, count(*) FILTER (WHERE c.arm = 'control' AND c.n > 0) AS kc,
               coalesce(sum(c.revenue) FILTER (WHERE c.arm = 'treated'), 0) AS rt, coalesce(sum(c.revenue) FILTER (WHERE c.arm = 'control'), 0) AS rc FROM c
    ), p AS (
        SELECT s.*, s.kt::double precision / nullif(s.nt, 0) AS pt, s.kc::double precision / nullif(s.nc, 0) AS pc, (s.kt + s.kc)::double precision / nullif(s.nt + s.nc, 0) AS pooled,
               -- Agresti and Caffo: one success and one failure added to each arm keep the interval honest for small groups
               (s.kt + 1.0::double precision) / (s.nt + 2) AS at, (s.kc + 1.0::double precision) / (s.nc + 2) AS ac FROM s
    ), q AS (
        SELECT p.*, sqrt(p.at * (1 - p.at) / (p.nt + 2) + p.ac * (1 - p.ac) / (p.nc + 2)) AS se,
               abs(p.pt - p.pc) / nullif(sqrt(p.pooled * (1 - p.pooled) * (1.0 / nullif(p.nt, 0) + 1.0 / nullif(p.nc, 0))), 0) AS z FROM p
    )
    SELECT q.nt, q.nc, q.kt, q.kc, q.pt, q.pc, q.pt - q.pc,
           CASE WHEN q.nt > 0 AND q.nc > 0 THEN q.at - q.ac - 1.959963985 * q.se END, CASE WHEN q.nt > 0 AND q.nc > 0 THEN q.at - q.ac + 1.959963985 * q.se END,
           crm.normal_two_sided(q.z), q.rt, q.rc, CASE WHEN q.nc > 0 THEN round(q.rt - q.rc * q.nt / q.nc, 2) END
    FROM q
$$;
COMMENT ON FUNCTION crm_analytics.winback_effect(text, integer, date) IS
'What a win-back campaign did within days of its start, by the orders known at the end of the day as_of: share of treated and control customers that bought '
'again, the difference with its 95 % interval (Agresti and Caffo 2000) and two-sided p-value, and revenue of the treated beyond what the control group says '
'they would have spent anyway.';

CREATE OR REPLACE FUNCTION crm.normal_two_sided(z double precision)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
    -- Abramowitz and Stegun 26.2.17, error below 7.5e-8
    SELECT CASE WHEN abs(z) > 38 THEN 0 ELSE
        2 * exp(-z * z / 2) / sqrt(2 * pi()) * t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))) END
    FROM (SELECT 1 / (1 + 0.2316419 * abs(z)) AS t) AS x
$$;
COMMENT ON FUNCTION crm.normal_two_sided(double precision) IS 'Probability that a standard normal lies further from 0 than z.';

CREATE OR REPLACE FUNCTION crm_analytics.churn_by_month(silence_days integer DEFAULT 180, until date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (tenant_id bigint, month date, customers bigint, lost bigint, logo_churn numeric, revenue_base numeric, revenue_lost numeric, revenue_churn numeric)
LANGUAGE sql STABLE ROWS 12
SET search_path = pg_catalog, pg_temp
AS $$
    -- a customer of a month is one who bought in the silence_days before it; lost is who then does not buy for as long
    WITH known AS MATERIALIZED (
        SELECT d.* FROM crm_analytics.account_days_known(least(until, crm.local_day(crm.tenant_id(), now()))) AS d
    ), months AS (
        SELECT g::date AS month FROM (SELECT min(d.ordered_on) AS first FROM known AS d) AS f,
             generate_series(date_trunc('month', f.first + silence_days) + interval '1 month',
                             date_trunc('month', (least(until, crm.local_day(crm.tenant_id(), now())) - silence_days)::timestamp), interval '1 month') AS g
    ), c AS (
        SELECT m.month, d.account_id, max(d.ordered_on) FILTER (WHERE d.ordered_on >= m.month AND d.purchases > 0) IS NULL AS lost,
               sum(d.revenue) FILTER (WHERE d.ordered_on < m.month) AS revenue
        FROM months AS m JOIN known AS d ON d.ordered_on >= m.month - silence_days AND d.ordered_on < m.month + silence_days
        GROUP BY m.month, d.account_id
        HAVING count(*) FILTER (WHERE d.ordered_on < m.month AND d.purchases > 0) > 0
    )
    SELECT crm.tenant_id(), c.month, count(*), count(*) FILTER (WHERE c.lost), round(count(*) FILTER (WHERE c.lost)::numeric / count(*), 4),
           sum(c.revenue), coalesce(sum(c.revenue) FILTER (WHERE c.lost), 0), round(coalesce(sum(c.revenue) FILTER (WHERE c.lost), 0) / nullif(sum(c.revenue), 0), 4)
    FROM c GROUP BY c.month ORDER BY c.month
$$;
COMMENT ON FUNCTION crm_analytics.churn_by_month(integer, date) IS
'One row a month whose end lies silence_days back: of the customers who bought in the silence_days before it, which share (logo_churn) and which share of '
'the revenue (revenue_churn) did not buy in the silence_days from it on. Orders count as they were known on the day until.';

CREATE OR REPLACE FUNCTION crm_analytics.order_cohorts(until date DEFAULT NULL)
RETURNS TABLE (tenant_id bigint, cohort_month date, months integer, customers bigint, active_customers bigint, retention numeric, revenue numeric,
               incomplete boolean)
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
-- months and cohorts are few, and taken for a thousand times as many
SET jit = off
AS $$
    -- months that have not begun yet are none, however far until is
    WITH t AS (
        SELECT k.calendar, x.today, least(coalesce(until, x.today), x.today) AS last_day
        FROM crm.tenants AS n
        CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE n.time_zone)::date AS today) AS x
        CROSS JOIN LATERAL (SELECT CASE WHEN n.fiscal_year_start LIKE 'jalali:%' THEN 'jalali' ELSE 'gregorian' END AS calendar) AS k
        WHERE n.tenant_id = crm.tenant_id()
    ), first AS (
        SELECT h.account_id, crm_analytics.month_start(h.first_order_on, t.calendar) AS cohort, crm_analytics.month_number(h.first_order_on, t.calendar) AS number
        FROM t, crm_analytics.purchase_histories(t.last_day) AS h
    ), size AS (
        SELECT f.cohort, f.number, count(*) AS customers FROM first AS f GROUP BY f.cohort, f.number
    ), seen AS (
        SELECT f.cohort, crm_analytics.month_number(d.ordered_on, t.calendar) - f.number AS n,
               count(DISTINCT d.account_id) FILTER (WHERE d.purchases > 0) AS active, sum(d.revenue) AS revenue
        FROM t, first AS f
        JOIN crm_analytics.account_days_known(t.last_day) AS d ON d.account_id = f.account_id
        GROUP BY f.cohort, n
    )
    -- a month that is not over has no retention yet
    SELECT crm.tenant_id(), s.cohort, n.n, s.customers, coalesce(x.active, 0),
           CASE WHEN NOT i.incomplete THEN coalesce(x.active, 0)::numeric / s.customers END, coalesce(x.revenue, 0), i.incomplete
    FROM t
    CROSS JOIN size AS s
    CROSS JOIN LATERAL generate_series(0, crm_analytics.month_number(t.last_day, t.calendar) - s.number) AS n(n)
    -- until given is the end of a day, today is not
    CROSS JOIN LATERAL (
        SELECT s.number + n.n >= crm_analytics.month_number(t.last_day + CASE WHEN coalesce(until, t.today) < t.today THEN 1 ELSE 0 END, t.calendar) AS incomplete
    ) AS i
    LEFT JOIN seen AS x ON x.cohort = s.cohort AND x.n = n.n
    ORDER BY s.cohort, n.n
$$;
COMMENT ON FUNCTION crm_analytics.order_cohorts(date) IS
'One row a month of first purchase and month since, from the orders known at the end of a day (default: up to today): customers of the cohort, those who '
'bought in that month, their share (NULL while the month runs) and their revenue. Months of the tenant''s calendar: Jalali where the fiscal year is.';

CREATE OR REPLACE FUNCTION crm_analytics.segment_contribution(segmentation text DEFAULT 'value_segment',
    as_of date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (tenant_id bigint, segment text, customers bigint, revenue numeric, revenue_share numeric, margin numeric, clv numeric, clv_share numeric, mean_p_alive numeric)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF segmentation NOT IN ('value_segment', 'rfm', 'industry', 'country', 'territory', 'owner', 'need', 'kind') OR segmentation IS NULL THEN
        RAISE EXCEPTION 'unknown segmentation "%"', segmentation USING ERRCODE = 'invalid_parameter_value',
            HINT = 'It is one of value_segment, rfm, industry, country, territory, owner, need, kind.';
    END IF;
    RETURN QUERY
    -- what a customer says it needs has no date: of a past day only what it had bought by then is known
    WITH needs AS MATERIALIZED (
        SELECT x.account_id, x.need FROM crm_analytics.account_main_need AS x
        WHERE segmentation = 'need' AND as_of >= crm.local_day(crm.tenant_id(), now()) AND x.tenant_id = crm.tenant_id()
        UNION ALL
        (SELECT DISTINCT ON (f.account_id) f.account_id, f.family FROM crm_analytics.account_families(as_of) AS f
         WHERE segmentation = 'need' AND as_of < crm.local_day(crm.tenant_id(), now())
         ORDER BY f.account_id, f.revenue DESC NULLS LAST, f.family)
    )
    SELECT v.tenant_id, coalesce(CASE segmentation WHEN 'value_segment' THEN v.value_segment WHEN 'rfm' THEN v.rfm
                                      WHEN 'industry' THEN CASE WHEN k.past ? 'industry' THEN k.past ->> 'industry' ELSE a.industry END
                                      WHEN 'country' THEN CASE WHEN k.past ? 'country' THEN k.past ->> 'country' ELSE a.country::text END
                                      WHEN 'kind' THEN CASE WHEN k.past ? 'kind' THEN k.past ->> 'kind' ELSE a.kind END
                                      WHEN 'territory' THEN y.name WHEN 'owner' THEN u.name WHEN 'need' THEN n.need END, 'unknown') AS s,
           count(*), sum(v.revenue), round(sum(v.revenue) / nullif(sum(sum(v.revenue)) OVER (), 0), 4), sum(v.margin), sum(v.clv),
           round(sum(v.clv) / nullif(sum(sum(v.clv)) OVER (), 0), 4), round(avg(v.p_alive)::numeric, 3)
    FROM crm_analytics.customer_value_at(as_of) AS v
    JOIN crm.accounts AS a ON a.tenant_id = v.tenant_id AND a.id = v.account_id
    LEFT JOIN crm_analytics.changed_accounts(as_of) AS k ON k.account_id = v.account_id
    LEFT JOIN crm.territories AS y ON y.tenant_id = a.tenant_id
         AND y.id = CASE WHEN k.past ? 'territory_id' THEN (k.past ->> 'territory_id')::bigint ELSE a.territory_id END
    LEFT JOIN crm.users AS u ON u.tenant_id = a.tenant_id AND u.id = v.owner_id
    LEFT JOIN needs AS n ON n.account_id = a.id
    GROUP BY 1, 2 ORDER BY 4 DESC;
END
$$;
COMMENT ON FUNCTION crm_analytics.segment_contribution(text, date) IS
'One row a segment (by value_segment, rfm, industry, country, territory, owner, need or kind): its lifetime contribution to revenue so far and its share, '
'margin, and clv over the next year and its share.';
