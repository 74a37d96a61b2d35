-- Reports on the history of a process (crm.stage_periods): time in stages, the funnel, the pipeline as it
-- was, the way from one pipeline to another, and where the process is held up.

CREATE OR REPLACE VIEW crm_analytics.stage_visits WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline, st.name AS stage, ow.name AS owner, sf.name AS from_stage, sn.name AS to_stage
FROM (
    SELECT v.tenant_id, v.subject_table, v.subject_id, v.visit, v.pipeline_id, v.stage_id,
           v.entered_at, v.left_at,
           extract(epoch FROM coalesce(v.left_at, greatest(now(), v.entered_at)) - v.entered_at) / 86400 AS days,
           v.left_at IS NULL AS is_running,
           v.owner_id, v.amount, v.currency,
           lag(v.stage_id) OVER w AS from_stage_id,
           lead(v.stage_id) OVER w AS to_stage_id,
           v.visit_of_stage
    FROM (
        SELECT g.*, row_number() OVER (PARTITION BY g.tenant_id, g.subject_table, g.subject_id, g.stage_id ORDER BY g.visit) AS visit_of_stage
        FROM (
            SELECT p.tenant_id, p.subject_table, p.subject_id, p.visit, p.pipeline_id, p.stage_id,
                   min(lower(p.period)) AS entered_at,
                   CASE WHEN bool_or(upper_inf(p.period)) THEN NULL ELSE max(upper(p.period)) END AS left_at,
                   (array_agg(p.owner_id ORDER BY p.seq DESC))[1] AS owner_id,
                   (array_agg(p.amount ORDER BY p.seq DESC))[1] AS amount,
                   (array_agg(p.currency ORDER BY p.seq DESC))[1] AS currency
            FROM (SELECT s.tenant_id, s.subject_table, s.subject_id, s.seq, s.pipeline_id, s.stage_id, s.period, s.owner_id, s.amount, s.currency,
                         sum(s.moved::integer) OVER (PARTITION BY s.tenant_id, s.subject_table, s.subject_id ORDER BY s.seq) AS visit
                  FROM crm.stage_periods AS s) AS p
            GROUP BY p.tenant_id, p.subject_table, p.subject_id, p.visit, p.pipeline_id, p.stage_id) AS g) AS v
    WINDOW w AS (PARTITION BY v.tenant_id, v.subject_table, v.subject_id ORDER BY v.visit)
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id
LEFT JOIN crm.stages AS st ON st.tenant_id = v.tenant_id AND st.id = v.stage_id
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.stages AS sf ON sf.tenant_id = v.tenant_id AND sf.id = v.from_stage_id
LEFT JOIN crm.stages AS sn ON sn.tenant_id = v.tenant_id AND sn.id = v.to_stage_id;
COMMENT ON VIEW crm_analytics.stage_visits IS
'One row = one uninterrupted stay of one subject (opportunity, lead, ticket ...) in one stage. Owner and amount as at its end.';
COMMENT ON COLUMN crm_analytics.stage_visits.days IS 'Length of the stay in days; of a running one until now.';
COMMENT ON COLUMN crm_analytics.stage_visits.visit_of_stage IS '1 for the first stay of the subject in this stage, 2 and more for returns.';

CREATE OR REPLACE VIEW crm_analytics.stage_conversion WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline
FROM (
    WITH visited AS (
        SELECT p.tenant_id, p.pipeline_id, p.subject_id, p.stage_id, count(*) FILTER (WHERE p.moved OR p.seq = 1) AS visits, max(p.seq) AS last_seq
        FROM crm.stage_periods AS p
        GROUP BY 1, 2, 3, 4
    ), subjects AS (
        SELECT v.tenant_id, v.pipeline_id, v.subject_id,
               max(s.funnel_step) FILTER (WHERE s.type NOT IN ('lost', 'cancelled')) AS furthest,
               (array_agg(v.stage_id ORDER BY v.last_seq DESC) FILTER (WHERE s.type NOT IN ('lost', 'cancelled')))[1] AS last_stage_id,
               (array_agg(s.type ORDER BY v.last_seq DESC))[1] = 'lost' AS is_lost
        FROM visited AS v
        JOIN crm_analytics.dim_stage AS s ON s.tenant_id = v.tenant_id AND s.stage_id = v.stage_id
        GROUP BY 1, 2, 3
    ), furthest AS (
        SELECT u.tenant_id, u.pipeline_id, u.furthest, count(*) AS n
        FROM subjects AS u WHERE u.furthest IS NOT NULL GROUP BY 1, 2, 3
    ), entered AS (
        SELECT v.tenant_id, v.stage_id, count(*) AS n, sum(v.visits) AS visits FROM visited AS v GROUP BY 1, 2
    ), lost AS (
        SELECT u.tenant_id, u.last_stage_id AS stage_id, count(*) AS n FROM subjects AS u WHERE u.is_lost GROUP BY 1, 2
    ), steps AS (
        SELECT s.tenant_id, s.pipeline_id, s.stage_id, s.name, s.funnel_step, s.type,
               coalesce(sum(f.n) OVER later, 0)::bigint AS reached,
               coalesce(e.n, 0) AS entered, coalesce(e.visits, 0)::bigint AS visits, coalesce(l.n, 0) AS lost
        FROM crm_analytics.dim_stage AS s
        LEFT JOIN furthest AS f ON f.tenant_id = s.tenant_id AND f.pipeline_id = s.pipeline_id AND f.furthest = s.funnel_step
        LEFT JOIN entered AS e ON e.tenant_id = s.tenant_id AND e.stage_id = s.stage_id
        LEFT JOIN lost AS l ON l.tenant_id = s.tenant_id AND l.stage_id = s.stage_id
        WHERE s.type NOT IN ('lost', 'cancelled')
        WINDOW later AS (PARTITION BY s.tenant_id, s.pipeline_id ORDER BY s.funnel_step DESC)
    )
    SELECT x.tenant_id, x.pipeline_id, x.stage_id, x.name AS stage, x.funnel_step, x.type,
           x.reached, x.entered, x.reached - x.entered AS direct_jumps,
           x.visits, x.visits - x.entered AS reentries, x.lost,
           lead(x.reached) OVER w AS reached_next,
           lead(x.reached) OVER w / nullif(x.reached, 0)::numeric AS conversion,
           x.reached / nullif(first_value(x.reached) OVER w, 0)::numeric AS conversion_from_start
    FROM steps AS x
    WINDOW w AS (PARTITION BY x.tenant_id, x.pipeline_id ORDER BY x.funnel_step)
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id;
COMMENT ON VIEW crm_analytics.stage_conversion IS
'One row = one stage of one pipeline on the way to success: a monotone funnel over all subjects that were ever in it, each counted once however often it came '
'back.';
COMMENT ON COLUMN crm_analytics.stage_conversion.reached IS 'Distinct subjects that were in this stage or in a later one.';
COMMENT ON COLUMN crm_analytics.stage_conversion.entered IS 'Distinct subjects that were in this very stage.';
COMMENT ON COLUMN crm_analytics.stage_conversion.direct_jumps IS 'Subjects that reached a later stage without having been in this one.';
COMMENT ON COLUMN crm_analytics.stage_conversion.reentries IS 'Stays beyond the first of each subject.';
COMMENT ON COLUMN crm_analytics.stage_conversion.lost IS 'Subjects now lost whose last other stage was this one.';
COMMENT ON COLUMN crm_analytics.stage_conversion.conversion IS
'reached of the next step over reached of this one; NULL for the last step and where nobody came.';

CREATE OR REPLACE VIEW crm_analytics.time_in_stage WITH (security_invoker = true) AS
SELECT v.*, pl.name AS pipeline
FROM (
    WITH totals AS (
        SELECT v.tenant_id, v.stage_id, v.subject_id, sum(v.days)::double precision AS days, bool_or(v.is_running) AS running, count(*) AS visits
        FROM crm_analytics.stage_visits AS v
        JOIN crm.stages AS s ON s.tenant_id = v.tenant_id AND s.id = v.stage_id AND s.type IN ('open', 'on_hold')
        GROUP BY 1, 2, 3
    ), at_risk AS (
        SELECT r.tenant_id, r.stage_id, r.days, r.left_then,
               sum(r.everybody) OVER (PARTITION BY r.tenant_id, r.stage_id ORDER BY r.days DESC)::double precision AS n
        FROM (SELECT t.tenant_id, t.stage_id, t.days, count(*) FILTER (WHERE NOT t.running) AS left_then, count(*) AS everybody
              FROM totals AS t GROUP BY 1, 2, 3) AS r
    ), surviving AS (
        SELECT a.tenant_id, a.stage_id, a.days,
               exp(sum(CASE WHEN a.left_then = a.n THEN '-Infinity' ELSE ln(1 - a.left_then / a.n) END)
                   OVER (PARTITION BY a.tenant_id, a.stage_id ORDER BY a.days)) AS share
        FROM at_risk AS a
    ), km AS (
        SELECT s.tenant_id, s.stage_id,
               min(s.days) FILTER (WHERE s.share <= 0.5 + 1e-9) AS median,
               min(s.days) FILTER (WHERE s.share <= 0.1 + 1e-9) AS p90
        FROM surviving AS s GROUP BY 1, 2
    ), plain AS (
        SELECT t.tenant_id, t.stage_id, count(*) AS subjects, count(*) FILTER (WHERE t.running) AS running, sum(t.visits)::bigint AS visits,
               avg(t.days) FILTER (WHERE NOT t.running) AS mean_days,
               percentile_cont('{0.25,0.5,0.75,0.9}'::double precision[]) WITHIN GROUP (ORDER BY t.days) FILTER (WHERE NOT t.running) AS q,
               max(t.days) FILTER (WHERE t.running) AS oldest
        FROM totals AS t GROUP BY 1, 2
    )
    SELECT d.tenant_id, d.pipeline_id, d.stage_id, d.name AS stage, d.position,
           p.subjects, p.subjects - p.running AS finished, p.running, p.visits,
           p.mean_days, p.q[1] AS p25_days, p.q[2] AS median_days, p.q[3] AS p75_days, p.q[4] AS p90_days,
           k.median AS km_median_days, k.p90 AS km_p90_days, p.oldest AS oldest_running_days
    FROM plain AS p
    JOIN crm_analytics.dim_stage AS d ON d.tenant_id = p.tenant_id AND d.stage_id = p.stage_id
    LEFT JOIN km AS k ON k.tenant_id = p.tenant_id AND k.stage_id = p.stage_id
) AS v
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id;
COMMENT ON VIEW crm_analytics.time_in_stage IS
'One row = one stage under way of one pipeline. Time of a subject in a stage is the sum of its stays; closed stages have no clock.';
COMMENT ON COLUMN crm_analytics.time_in_stage.running IS 'Subjects in the stage now: their time is not over (censored).';
COMMENT ON COLUMN crm_analytics.time_in_stage.median_days IS 'Median of the finished ones alone: too small while slow ones are still running.';
COMMENT ON COLUMN crm_analytics.time_in_stage.km_median_days IS
'Median with the running ones counted as censored (Kaplan and Meier 1958): the shortest time by which the estimated share still in the stage is at most one '
'half; NULL where it never falls so low.';
COMMENT ON COLUMN crm_analytics.time_in_stage.km_p90_days IS 'The same for one tenth.';

-- ---- the pipeline as it was ----

CREATE OR REPLACE FUNCTION crm_analytics.pipeline_as_of(at timestamptz, rate_on date DEFAULT NULL)
RETURNS TABLE (tenant_id bigint, opportunity_id bigint, pipeline_id bigint, stage_id bigint, stage text, state text,
               owner_id bigint, team_id bigint, amount numeric, currency text, probability numeric, expected_on date,
               base_amount numeric, base_weighted numeric, rate_missing boolean)
LANGUAGE sql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.tenant_id, p.subject_id, p.pipeline_id, p.stage_id, s.name,
           CASE WHEN s.type IN ('open', 'on_hold') THEN 'open' WHEN s.type IN ('won', 'done') THEN 'won'
                WHEN s.type = 'lost' THEN 'lost' ELSE 'cancelled' END,
           p.owner_id, p.team_id, p.amount, p.currency::text, p.probability / 100, p.close_date,
           p.amount * r.rate,
           p.amount * r.rate * CASE WHEN s.type IN ('won', 'done') THEN 100 WHEN s.type IN ('lost', 'cancelled') THEN 0
                                    ELSE coalesce(p.probability, s.probability, 0) END / 100,
           p.amount IS NOT NULL AND r.rate IS NULL
    FROM crm.stage_periods AS p
    JOIN crm.tenants AS t ON t.tenant_id = p.tenant_id
    JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN p.currency = t.base_currency THEN 1
                    ELSE crm_analytics.base_rate(p.tenant_id, p.currency::text, coalesce($2, ($1 AT TIME ZONE t.time_zone)::date)) END AS rate) AS r
    WHERE p.tenant_id = crm.tenant_id() AND p.subject_table = 'opportunities' AND p.period @> $1
$$;
COMMENT ON FUNCTION crm_analytics.pipeline_as_of(timestamptz, date) IS
'One row = one opportunity that existed at an instant, as it was then: stage, owner, amount, probability, expected date. Base currency at the rate of rate_on '
'(default: the day of the instant).';

CREATE OR REPLACE FUNCTION crm_analytics.pipeline_changes(from_at timestamptz, to_at timestamptz,
                                                          for_pipeline_id bigint DEFAULT NULL, closing daterange DEFAULT NULL)
RETURNS TABLE (opportunity_id bigint, step text, effect numeric, moved_amount numeric, owner_id bigint, rate_missing boolean)
LANGUAGE plpgsql STABLE ROWS 200
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF from_at IS NULL OR to_at IS NULL OR from_at > to_at THEN
        RAISE EXCEPTION 'the two instants are missing or in the wrong order'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give from_at not later than to_at.';
    END IF;
    RETURN QUERY
    WITH tz AS (
        SELECT (pipeline_changes.to_at AT TIME ZONE t.time_zone)::date AS rate_on FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id()
    ), a AS (
        SELECT p.* FROM tz, crm_analytics.pipeline_as_of(pipeline_changes.from_at, tz.rate_on) AS p
        WHERE for_pipeline_id IS NULL OR p.pipeline_id = for_pipeline_id
    ), b AS (
        SELECT p.* FROM tz, crm_analytics.pipeline_as_of(pipeline_changes.to_at, tz.rate_on) AS p
        WHERE for_pipeline_id IS NULL OR p.pipeline_id = for_pipeline_id
    ), both_ends AS (
        SELECT coalesce(b.opportunity_id, a.opportunity_id) AS id,
               a.state AS state_a, b.state AS state_b, a.expected_on AS date_a, b.expected_on AS date_b,
               coalesce(a.base_amount, 0) AS amount_a,
               coalesce(CASE WHEN b.opportunity_id IS NULL THEN a.base_amount ELSE b.base_amount END, 0) AS amount_b,
               coalesce(a.state = 'open' AND (closing IS NULL OR a.expected_on <@ closing), false) AS in_a,
               coalesce(b.state = 'open' AND (closing IS NULL OR b.expected_on <@ closing), false) AS in_b,
               coalesce(b.owner_id, a.owner_id) AS owner_id,
               coalesce(a.rate_missing, false) OR coalesce(b.rate_missing, false) AS rate_missing
        FROM a FULL JOIN b ON b.opportunity_id = a.opportunity_id
    )
    SELECT e.id, x.step, x.effect, x.moved, e.owner_id, e.rate_missing
    FROM both_ends AS e
    CROSS JOIN LATERAL (
        VALUES
        -- the levels
        ('start', e.in_a, e.amount_a, NULL::numeric),
        ('end', e.in_b, e.amount_b, NULL),
        -- what came in
        ('new', e.state_a IS NULL AND (e.in_b OR e.state_b IN ('won', 'lost', 'cancelled') AND (closing IS NULL OR e.date_b <@ closing)),
            e.amount_b, NULL),
        ('reopened', e.state_a IN ('won', 'lost', 'cancelled') AND e.in_b, e.amount_b, NULL),
        -- what changed while it was there
        ('grown', (e.in_a OR e.state_a = 'open' AND e.in_b) AND e.amount_b > e.amount_a, e.amount_b - e.amount_a, NULL),
        ('shrunk', (e.in_a OR e.state_a = 'open' AND e.in_b) AND e.amount_b < e.amount_a, e.amount_b - e.amount_a, NULL),
        ('pushed', e.state_a = 'open' AND e.state_b = 'open' AND (e.in_a OR e.in_b)
                   AND coalesce(e.date_b, 'infinity') > coalesce(e.date_a, 'infinity'),
            CASE WHEN e.in_a AND NOT e.in_b THEN -e.amount_b WHEN e.in_b AND NOT e.in_a THEN e.amount_a ELSE 0 END, e.amount_b),
        ('pulled', e.state_a = 'open' AND e.state_b = 'open' AND (e.in_a OR e.in_b)
                   AND coalesce(e.date_b, 'infinity') < coalesce(e.date_a, 'infinity'),
            CASE WHEN e.in_a AND NOT e.in_b THEN -e.amount_b WHEN e.in_b AND NOT e.in_a THEN e.amount_a ELSE 0 END, e.amount_b),
        -- what left
        ('won', e.state_b = 'won' AND (e.in_a OR e.state_a IS NULL AND (closing IS NULL OR e.date_b <@ closing)), -e.amount_b, NULL),
        ('lost', e.state_b = 'lost' AND (e.in_a OR e.state_a IS NULL AND (closing IS NULL OR e.date_b <@ closing)), -e.amount_b, NULL),
        ('cancelled', e.state_b = 'cancelled' AND (e.in_a OR e.state_a IS NULL AND (closing IS NULL OR e.date_b <@ closing)), -e.amount_b, NULL),
        ('removed', e.state_b IS NULL AND e.in_a, -e.amount_a, NULL)
    ) AS x(step, holds, effect, moved)
    WHERE x.holds;
END
$$;
COMMENT ON FUNCTION crm_analytics.pipeline_changes(timestamptz, timestamptz, bigint, daterange) IS
'One row = one opportunity and one thing that happened to it between two instants: start, new, reopened, grown, shrunk, pushed, pulled, won, lost, cancelled, '
'removed, end. effect is what it adds to the open pipeline in base currency, so start and all changes add up to end. closing: only what is expected to close '
'within the range; then a deal whose date leaves the range is pushed or pulled out of the sum. Without it a moved date has effect 0 and its amount stands in '
'moved_amount. Both ends at the rate of to_at, so that exchange rates change nothing. Error 22023 where the instants are in the wrong order.';

CREATE OR REPLACE FUNCTION crm_analytics.pipeline_waterfall(from_at timestamptz, to_at timestamptz,
                                                            for_pipeline_id bigint DEFAULT NULL, closing daterange DEFAULT NULL)
RETURNS TABLE (place integer, step text, opportunities bigint, amount numeric, moved_amount numeric, missing_rates bigint)
LANGUAGE sql STABLE ROWS 8
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.place::integer, s.step, count(c.opportunity_id), coalesce(sum(c.effect), 0), sum(c.moved_amount),
           count(*) FILTER (WHERE c.rate_missing)
    FROM unnest('{start,new,reopened,grown,shrunk,pushed,pulled,won,lost,cancelled,removed,end}'::text[]) WITH ORDINALITY AS s(step, place)
    LEFT JOIN crm_analytics.pipeline_changes($1, $2, $3, $4) AS c ON c.step = s.step
    GROUP BY s.place, s.step
    ORDER BY s.place
$$;
COMMENT ON FUNCTION crm_analytics.pipeline_waterfall(timestamptz, timestamptz, bigint, daterange) IS
'One row = one step of the way from the open pipeline at one instant to that at another; start plus all changes is end. See crm_analytics.pipeline_changes '
'for the meaning of each step; moved_amount of pushed and pulled is what changed its date.';

-- ---- bottlenecks ----

CREATE OR REPLACE FUNCTION crm_analytics.process_bottlenecks(subject_table text, from_at timestamptz, to_at timestamptz,
                                                             for_pipeline_id bigint DEFAULT NULL)
RETURNS TABLE (rank integer, pipeline_id bigint, stage_id bigint, stage text,
               arrivals bigint, departures bigint, arrivals_per_day numeric,
               wip_start bigint, wip_end bigint, queue_growth bigint, wip_mean numeric,
               service_days numeric, service_median_days numeric, running_days numeric,
               littles_ratio numeric, littles_note text,
               delay_days numeric, delay_share numeric,
               loops_back bigint, loop_share numeric, returns bigint,
               slowest_to_stage text, slowest_edge_days numeric, slowest_edge_moves bigint,
               top_owner_id bigint, top_owner_share numeric, top_product_id bigint, top_product_share numeric,
               score numeric, why text)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    length_days numeric := extract(epoch FROM to_at - from_at) / 86400;
BEGIN
    IF from_at IS NULL OR to_at IS NULL OR from_at >= to_at OR NOT isfinite(from_at) OR NOT isfinite(to_at) THEN
        RAISE EXCEPTION 'the window of time is empty or without end'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give from_at before to_at, both finite.';
    END IF;
    RETURN QUERY
    WITH products AS (
        SELECT o.id, o.product_id FROM crm.opportunities AS o
        WHERE process_bottlenecks.subject_table = 'opportunities' AND o.tenant_id = crm.tenant_id() AND o.product_id IS NOT NULL
    ), visits AS MATERIALIZED (
        SELECT v.subject_id, v.pipeline_id, v.stage_id, s.name, s.funnel_step, v.entered_at, v.left_at, v.owner_id,
               n.name AS to_stage, n.funnel_step AS to_step, n.is_open AS to_open, v.visit_of_stage,
               extract(epoch FROM v.left_at - v.entered_at) / 86400 AS days,
               extract(epoch FROM least(coalesce(v.left_at, process_bottlenecks.to_at), process_bottlenecks.to_at)
                                  - greatest(v.entered_at, process_bottlenecks.from_at)) / 86400 AS inside,
               v.entered_at >= process_bottlenecks.from_at AS arrived,
               coalesce(v.left_at < process_bottlenecks.to_at, false) AS departed
        FROM crm_analytics.stage_visits AS v
        JOIN crm_analytics.dim_stage AS s ON s.tenant_id = v.tenant_id AND s.stage_id = v.stage_id AND s.is_open
        LEFT JOIN crm_analytics.dim_stage AS n ON n.tenant_id = v.tenant_id AND n.stage_id = v.to_stage_id
        WHERE v.tenant_id = crm.tenant_id() AND v.subject_table = process_bottlenecks.subject_table
          AND (for_pipeline_id IS NULL OR v.pipeline_id = for_pipeline_id)
          AND v.entered_at < process_bottlenecks.to_at
          AND (v.left_at IS NULL OR v.left_at >= process_bottlenecks.from_at)
    ), stages AS (
        SELECT v.pipeline_id, v.stage_id, v.name, v.funnel_step,
               count(*) FILTER (WHERE v.arrived) AS arrivals,
               count(*) FILTER (WHERE v.departed) AS departures,
               count(*) FILTER (WHERE NOT v.arrived) AS wip_start,
               count(*) FILTER (WHERE NOT v.departed) AS wip_end,
               sum(v.inside) AS delay_days,
               avg(v.days) FILTER (WHERE v.departed) AS service_days,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY v.days::double precision) FILTER (WHERE v.departed) AS median_days,
               avg(extract(epoch FROM process_bottlenecks.to_at - v.entered_at) / 86400) FILTER (WHERE NOT v.departed) AS running_days,
               count(*) FILTER (WHERE v.departed AND v.to_open AND v.to_step < v.funnel_step) AS loops_back,
               count(*) FILTER (WHERE v.arrived AND v.visit_of_stage > 1) AS returns
        FROM visits AS v GROUP BY 1, 2, 3, 4
    ), edges AS (
        SELECT DISTINCT ON (g.stage_id) g.stage_id, g.to_stage, g.days, g.moves
        FROM (SELECT v.stage_id, v.to_stage, avg(v.days) AS days, count(*) AS moves
              FROM visits AS v WHERE v.departed AND v.to_stage IS NOT NULL GROUP BY 1, 2) AS g
        ORDER BY g.stage_id, g.days DESC, g.to_stage
    ), owners AS (
        SELECT DISTINCT ON (g.stage_id) g.stage_id, g.owner_id, g.share
        FROM (SELECT v.stage_id, v.owner_id, sum(v.inside) / nullif(sum(sum(v.inside)) OVER (PARTITION BY v.stage_id), 0) AS share
              FROM visits AS v GROUP BY 1, 2) AS g
        WHERE g.owner_id IS NOT NULL ORDER BY g.stage_id, g.share DESC NULLS LAST, g.owner_id
    ), by_product AS (
        SELECT DISTINCT ON (g.stage_id) g.stage_id, g.product_id, g.share
        FROM (SELECT v.stage_id, p.product_id, sum(v.inside) / nullif(sum(sum(v.inside)) OVER (PARTITION BY v.stage_id), 0) AS share
              FROM visits AS v LEFT JOIN products AS p ON p.id = v.subject_id GROUP BY 1, 2) AS g
        WHERE g.product_id IS NOT NULL ORDER BY g.stage_id, g.share DESC NULLS LAST, g.product_id
    ), judged AS (
        SELECT s.*, s.delay_days / nullif(sum(s.delay_days) OVER (), 0) AS share,
               s.loops_back / nullif(s.departures, 0)::numeric AS loop_share,
               (s.delay_days / length_days) / nullif(s.arrivals / length_days * s.service_days, 0) AS ratio,
               greatest(s.wip_end - s.wip_start, 0) / nullif(s.wip_start + s.arrivals, 0)::numeric AS growth
        FROM stages AS s
    ), scored AS (
        SELECT j.*, coalesce(j.share, 0) * (1 + coalesce(j.growth, 0)) * (1 + coalesce(j.loop_share, 0)) AS score FROM judged AS j
    )
    SELECT row_number() OVER (ORDER BY j.score DESC, j.delay_days DESC, j.stage_id)::integer,
           j.pipeline_id, j.stage_id, j.name, j.arrivals, j.departures, round(j.arrivals / length_days, 4),
           j.wip_start, j.wip_end, j.wip_end - j.wip_start, round(j.delay_days / length_days, 4),
           round(j.service_days, 4), round(j.median_days::numeric, 4), round(j.running_days, 4),
           round(j.ratio, 4),
           CASE WHEN j.ratio IS NULL THEN 'nothing arrived or nothing left: not to be checked'
                WHEN j.ratio BETWEEN 0.8 AND 1.25 THEN 'steady: work in progress = arrivals x service time'
                WHEN j.ratio > 1.25 THEN 'more work lies here than those who left explain: a backlog, or work that never leaves'
                ELSE 'less work lies here than those who left explain: a backlog is being cleared' END,
           round(j.delay_days, 4), round(j.share, 4), j.loops_back, round(j.loop_share, 4), j.returns,
           e.to_stage, round(e.days, 4), e.moves,
           w.owner_id, round(w.share, 4), p.product_id, round(p.share, 4),
           round(j.score, 4),
           format('%s %% of all waiting: %s in progress on average, %s days each; queue %s%s; %s of %s left backwards',
                  round(100 * coalesce(j.share, 0), 1), round(j.delay_days / length_days, 1), coalesce(round(j.service_days, 1)::text, '?'),
                  CASE WHEN j.wip_end >= j.wip_start THEN '+' ELSE '' END, j.wip_end - j.wip_start, j.loops_back, j.departures)
    FROM scored AS j
    LEFT JOIN edges AS e ON e.stage_id = j.stage_id
    LEFT JOIN owners AS w ON w.stage_id = j.stage_id
    LEFT JOIN by_product AS p ON p.stage_id = j.stage_id
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION crm_analytics.process_bottlenecks(text, timestamptz, timestamptz, bigint) IS
'One row = one stage under way of a process, worst first, from its history within a window [from_at, to_at). arrivals, departures and wip_* count stays; '
'wip_mean is the average over time; service_days the mean length of stays that ended in the window; littles_ratio = wip_mean / (arrivals per day x '
'service_days), 1 in a steady process (Little 1961); delay_days all time spent there within the window; loops_back moves to an earlier stage under way; '
'returns arrivals of subjects that had been there before; slowest_* the way out with the longest mean stay before it; top_owner/top_product who holds the '
'largest share of the delay. score = delay_share x (1 + growth of the queue over what had to be done) x (1 + loop_share). Error 22023 for a window that is '
'empty or endless.';

CREATE OR REPLACE FUNCTION crm_analytics.process_edges(subject_table text, from_at timestamptz, to_at timestamptz,
                                                       for_pipeline_id bigint DEFAULT NULL)
RETURNS TABLE (pipeline_id bigint, from_stage_id bigint, from_stage text, to_stage_id bigint, to_stage text, direction text,
               moves bigint, share numeric, mean_days numeric, median_days numeric, p90_days numeric)
LANGUAGE sql STABLE ROWS 30
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT v.pipeline_id, v.stage_id, s.name, v.to_stage_id, n.name,
           CASE WHEN NOT n.is_open THEN n.type WHEN n.funnel_step < s.funnel_step THEN 'back'
                WHEN n.funnel_step = s.funnel_step + 1 THEN 'forward' ELSE 'jump' END,
           count(*), round(count(*) / sum(count(*)) OVER (PARTITION BY v.stage_id), 4),
           round(avg(v.days), 4),
           round(percentile_cont(0.5) WITHIN GROUP (ORDER BY v.days::double precision)::numeric, 4),
           round(percentile_cont(0.9) WITHIN GROUP (ORDER BY v.days::double precision)::numeric, 4)
    FROM crm_analytics.stage_visits AS v
    JOIN crm_analytics.dim_stage AS s ON s.tenant_id = v.tenant_id AND s.stage_id = v.stage_id
    JOIN crm_analytics.dim_stage AS n ON n.tenant_id = v.tenant_id AND n.stage_id = v.to_stage_id
    WHERE v.tenant_id = crm.tenant_id() AND v.subject_table = $1 AND v.left_at >= $2 AND v.left_at < $3
      AND ($4 IS NULL OR v.pipeline_id = $4)
    GROUP BY v.pipeline_id, v.stage_id, s.name, s.funnel_step, v.to_stage_id, n.name, n.is_open, n.type, n.funnel_step
    ORDER BY avg(v.days) DESC
$$;
COMMENT ON FUNCTION crm_analytics.process_edges(text, timestamptz, timestamptz, bigint) IS
'One row = one way out of a stage taken within a window: how often, after how long, and whether it leads forward, back, past a stage (jump) or to an end. '
'Slowest first.';

CREATE OR REPLACE FUNCTION crm_analytics.process_delay_factors(subject_table text, from_at timestamptz, to_at timestamptz,
                                                               for_pipeline_id bigint DEFAULT NULL)
RETURNS TABLE (factor text, groups bigint, visits bigint, explained numeric, f_statistic numeric,
               slowest_group bigint, slowest_days numeric, mean_days numeric)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    WITH stays AS (
        SELECT v.days::double precision AS days, v.stage_id, v.owner_id, o.product_id
        FROM crm_analytics.stage_visits AS v
        JOIN crm.stages AS s ON s.tenant_id = v.tenant_id AND s.id = v.stage_id AND s.type IN ('open', 'on_hold')
        LEFT JOIN crm.opportunities AS o ON $1 = 'opportunities' AND o.tenant_id = v.tenant_id AND o.id = v.subject_id
        WHERE v.tenant_id = crm.tenant_id() AND v.subject_table = $1 AND v.left_at >= $2 AND v.left_at < $3
          AND ($4 IS NULL OR v.pipeline_id = $4)
    ), long AS (
        SELECT f.factor, f.value, s.days
        FROM stays AS s CROSS JOIN LATERAL (VALUES ('stage', s.stage_id), ('owner', s.owner_id), ('product', s.product_id)) AS f(factor, value)
        WHERE f.value IS NOT NULL
    ), groups AS (
        SELECT l.factor, l.value, count(*) AS n, avg(l.days) AS mean, count(*) * var_pop(l.days) AS within
        FROM long AS l GROUP BY 1, 2
    ), sums AS (
        SELECT g.factor, count(*) AS k, sum(g.n) AS n, sum(g.n * g.mean) / sum(g.n) AS mean, sum(g.within) AS within
        FROM groups AS g GROUP BY 1
    ), between_groups AS (
        SELECT s.*, (SELECT sum(g.n * (g.mean - s.mean) ^ 2) FROM groups AS g WHERE g.factor = s.factor) AS apart,
               w.value, w.mean AS worst
        FROM sums AS s
        CROSS JOIN LATERAL (SELECT g.value, g.mean FROM groups AS g WHERE g.factor = s.factor ORDER BY g.mean DESC, g.value LIMIT 1) AS w
    )
    SELECT b.factor, b.k, b.n::bigint,
           round((b.apart / nullif(b.apart + b.within, 0))::numeric, 4),
           CASE WHEN b.k > 1 AND b.n > b.k AND b.within > 0
                THEN round(((b.apart / (b.k - 1)) / (b.within / (b.n - b.k)))::numeric, 4) END,
           b.value, round(b.worst::numeric, 4), round(b.mean::numeric, 4)
    FROM between_groups AS b
    ORDER BY 4 DESC NULLS LAST, 1
$$;
COMMENT ON FUNCTION crm_analytics.process_delay_factors(text, timestamptz, timestamptz, bigint) IS
'One row = one factor (stage, owner, product): how much of the variance of the length of stays that ended in the window it explains (eta squared, one-way '
'analysis of variance: sum of squares between groups over the total), its F statistic, and its slowest group. Factors overlap; the shares do not add up to '
'one.';
