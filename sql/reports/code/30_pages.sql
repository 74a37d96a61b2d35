-- The pages: which figures, in which order.

CREATE OR REPLACE FUNCTION crm_analytics.report_setting(language text)
RETURNS TABLE (tenant text, lang text, words jsonb, calendar text, today date, zone text, currency text, options jsonb)
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.name, l.lang, crm_analytics.report_words(l.lang), CASE WHEN l.lang = 'fa' THEN 'jalali' ELSE 'gregorian' END,
           (now() AT TIME ZONE t.time_zone)::date, t.time_zone,
           coalesce(crm_analytics.report_words(l.lang) -> 'currencies' ->> t.base_currency::text, t.base_currency::text),
           jsonb_build_object('style', false, 'rtl', l.lang = 'fa', 'digits', l.lang, 'empty', crm_analytics.report_words(l.lang) ->> 'none', 'small', 350)
    FROM crm.tenants AS t, LATERAL (SELECT coalesce($1, t.language) AS lang) AS l
    WHERE t.tenant_id = crm.tenant_id()
$$;
COMMENT ON FUNCTION crm_analytics.report_setting(text) IS
'Context of every report of the present tenant: language (default the tenant''s), words, calendar, today, currency as the language calls it and '
'options of its charts.';

CREATE OR REPLACE FUNCTION crm_analytics.report_months(calendar text, last_day date, months integer)
RETURNS SETOF date
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE ROWS 12
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT isfinite(last_day) OR months NOT BETWEEN 1 AND 1200 THEN
        RAISE EXCEPTION 'months must be from 1 to 1200, up to a finite day, not % up to %', months, last_day
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT DISTINCT crm_analytics.month_start(d::date, calendar)
    FROM generate_series(crm_analytics.month_start(last_day, calendar) - (months - 1) * 30 - 15,
                         crm_analytics.month_start(last_day, calendar), interval '10 days') AS d
    WHERE crm_analytics.month_number(d::date, calendar) > crm_analytics.month_number(last_day, calendar) - months
    UNION
    SELECT crm_analytics.month_start(last_day, calendar)
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION crm_analytics.report_months(text, date, integer) IS
'First days of the last months up to that of a day, in the calendar gregorian or jalali.';

CREATE OR REPLACE FUNCTION crm_analytics.report_forecast(language text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s record;
    w jsonb;
    mine bigint := crm.tenant_id();
BEGIN
    SELECT * INTO s FROM crm_analytics.report_setting(language);
    w := s.words;
    RETURN crm_analytics.report_card(w ->> 'forecast', (w ->> 'forecast_quota_note') || ' · ' || s.currency,
        (WITH ahead AS (
            SELECT DISTINCT crm_analytics.month_start((s.today + n)::date, s.calendar) AS month
            FROM generate_series(0, 180, 5) AS n ORDER BY 1 LIMIT 6
         ), amounts AS (
            SELECT crm_analytics.month_start(f.expected_on, s.calendar) AS month, f.forecast_category AS category, sum(f.weighted) AS amount
            FROM crm_analytics.expected_by_day AS f
            WHERE f.tenant_id = mine AND f.expected_on >= (SELECT min(month) FROM ahead) GROUP BY 1, 2
            UNION ALL
            SELECT crm_analytics.month_start(d.closed_on, s.calendar), 'closed', sum(d.won_amount)
            FROM crm_analytics.closed_by_day AS d
            WHERE d.tenant_id = mine AND d.closed_on >= (SELECT min(month) FROM ahead) GROUP BY 1
         ), categories AS (
            SELECT * FROM unnest('{closed,commit,most_likely,best_case,pipeline}'::text[]) WITH ORDINALITY AS c(category, place)
            WHERE EXISTS (SELECT FROM amounts AS a JOIN ahead USING (month) WHERE a.category = c.category)
         )
         SELECT crm.draw_chart('stacked', jsonb_build_object(
                'labels', (SELECT jsonb_agg(crm_analytics.report_date(month, s.lang, 'month') ORDER BY month) FROM ahead),
                'series', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                                'name', w ->> CASE c.category WHEN 'pipeline' THEN 'category_pipeline' WHEN 'closed' THEN 'won' ELSE c.category END,
                                'color', greatest(c.place - 2, 0), 'tone', CASE c.category WHEN 'closed' THEN 'good' END,
                                'values', (SELECT jsonb_agg(coalesce(a.amount, 0) ORDER BY p.month)
                                           FROM ahead AS p LEFT JOIN amounts AS a ON a.month = p.month AND a.category = c.category)) ORDER BY c.place), '[]')
                           FROM categories AS c)
                          || (SELECT CASE WHEN count(q.quota) > 0 THEN jsonb_build_array(jsonb_build_object('name', w ->> 'quota_line', 'mark', true,
                                              'values', jsonb_agg(round(q.quota) ORDER BY q.month))) ELSE '[]' END
                              FROM (SELECT p.month, crm_analytics.quota_between(mine, p.month, crm_analytics.month_start(p.month + 35, s.calendar)) AS quota
                                    FROM ahead AS p) AS q)),
                s.options || jsonb_build_object('title', w ->> 'forecast', 'unit', s.currency))));
END
$$;
COMMENT ON FUNCTION crm_analytics.report_forecast(text) IS
'Box of the pipeline page: six months from this one, what is won and what is open by its probability, by forecast category, and a line for what the quotas '
'ask: the figures of crm_analytics.forecast_against_quota, in the months of the page''s calendar.';

CREATE OR REPLACE FUNCTION crm_analytics.report_pipeline(language text, since timestamptz) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s record;
    w jsonb;
    mine bigint := crm.tenant_id();
    main_pipeline record;
    span date[];
    k jsonb;
    monthly record;
    missing bigint;
    page text := '';
BEGIN
    SELECT * INTO s FROM crm_analytics.report_setting(language);
    w := s.words;
    SELECT p.id, p.name INTO main_pipeline FROM crm.pipelines AS p
    WHERE p.tenant_id = mine AND p.subject_table = 'opportunities' ORDER BY p.is_default DESC, p.id LIMIT 1;
    SELECT array_agg(m ORDER BY m) INTO span FROM crm_analytics.report_months(s.calendar, s.today, 12) AS m;

    -- the figures of the dashboard, so that the pages agree to the deal
    SELECT jsonb_object_agg(d.metric, d.value) INTO k FROM crm_analytics.dashboard AS d WHERE d.tenant_id = mine AND d.area = 'sales';

    SELECT jsonb_agg(crm_analytics.report_date(m.month, s.lang, 'month') ORDER BY m.month) AS labels,
           jsonb_agg(coalesce(c.won, 0) ORDER BY m.month) AS won, jsonb_agg(coalesce(c.lost, 0) ORDER BY m.month) AS lost,
           jsonb_agg(coalesce(c.won_amount, 0) ORDER BY m.month) AS amounts,
           jsonb_agg(coalesce(c.lost_amount, 0) ORDER BY m.month) AS lost_amounts
    INTO monthly
    FROM unnest(span) AS m(month)
    LEFT JOIN (SELECT crm_analytics.month_start(d.closed_on, s.calendar) AS month, sum(d.won) AS won, sum(d.lost) AS lost,
                      sum(d.won_amount) AS won_amount, sum(d.lost_amount) AS lost_amount
               FROM (SELECT d.closed_on, sum(d.won) AS won, sum(d.lost) AS lost, sum(d.won_amount) AS won_amount, sum(d.lost_amount) AS lost_amount
                     FROM crm_analytics.closed_by_day AS d
                     WHERE d.tenant_id = mine AND d.closed_on >= span[1] AND d.closed_on <= s.today GROUP BY 1) AS d
               GROUP BY 1) AS c ON c.month = m.month;

    missing := coalesce((k ->> 'missing_rates')::numeric, 0);
    IF missing > 0 THEN
        page := page || '<p class="warn">' || crm.escape_html((w ->> 'rates_missing') || ' ' || crm.figure_text(missing, 'number', s.lang)) || '</p>';
    END IF;

    page := page || crm.draw_chart('tiles', jsonb_build_array(
        jsonb_build_object('label', w ->> 'open_amount', 'value', k -> 'open_amount', 'note', s.currency),
        jsonb_build_object('label', w ->> 'weighted', 'value', k -> 'weighted_amount', 'note', s.currency),
        jsonb_build_object('label', w ->> 'open_deals', 'value', k -> 'open_opportunities', 'format', 'number'),
        jsonb_build_object('label', w ->> 'won_amount', 'value', k -> 'won_amount_12_months', 'note', (w ->> 'last12') || ' · ' || s.currency,
                           'trend', monthly.amounts),
        jsonb_build_object('label', w ->> 'win_rate', 'value', k -> 'win_rate_12_months', 'format', 'percent',
                           'note', crm.figure_text((k ->> 'won_12_months')::float8, 'number', s.lang) || ' ' || (w ->> 'won')),
        jsonb_build_object('label', w ->> 'cycle', 'value', round((k ->> 'mean_cycle_days_12_months')::numeric, 1), 'format', 'number',
                           'note', w ->> 'days')), s.options)
        || '<div class="grid">';

    -- how the pipeline changed
    page := page || crm_analytics.report_card(w ->> 'waterfall',
        crm_analytics.report_date((since AT TIME ZONE s.zone)::date, s.lang) || ' – ' || crm_analytics.report_date(s.today, s.lang) || ' · ' || s.currency,
        crm.draw_chart('waterfall',
            (SELECT coalesce(jsonb_agg(jsonb_build_object('label', w ->> f.step, 'value', f.amount, 'total', f.step IN ('start', 'end')) ORDER BY f.place), '[]')
             FROM crm_analytics.pipeline_waterfall(since, now()) AS f
             WHERE f.step IN ('start', 'new', 'grown', 'shrunk', 'won', 'lost', 'end') OR f.amount <> 0),
            s.options || jsonb_build_object('width', 1160, 'title', w ->> 'waterfall', 'unit', s.currency)), true);

    -- funnel and stages of the main pipeline
    page := page || crm_analytics.report_card(w ->> 'funnel', concat_ws(' · ', main_pipeline.name, w ->> 'funnel_note'),
        crm.draw_chart('funnel',
            (SELECT coalesce(jsonb_agg(jsonb_build_object('label', c.stage, 'value', c.reached) ORDER BY c.funnel_step), '[]')
             FROM crm_analytics.stage_conversion AS c WHERE c.tenant_id = mine AND c.pipeline_id = main_pipeline.id AND c.reached > 0),
            s.options || jsonb_build_object('format', 'number', 'title', w ->> 'funnel')));
    page := page || crm_analytics.report_card(w ->> 'by_stage', (w ->> 'stage_note') || ' · ' || s.currency,
        crm.draw_chart('bars',
            (SELECT coalesce(jsonb_agg(jsonb_build_object('label', x.name, 'value', x.amount, 'value2', x.weighted,
                        'note', crm.figure_text(x.n::float8, 'number', s.lang) || ' ' || (w ->> 'deals')) ORDER BY x.pipeline_id, x.position), '[]')
             FROM (SELECT d.name, d.position, d.pipeline_id, sum(p.amount) AS amount, sum(p.weighted) AS weighted, sum(p.opportunities) AS n
                   FROM crm_analytics.pipeline_by_stage AS p JOIN crm.stages AS d ON d.tenant_id = p.tenant_id AND d.id = p.stage_id
                   WHERE p.tenant_id = mine GROUP BY 1, 2, 3 ORDER BY 3, 2 LIMIT 30) AS x),
            s.options || jsonb_build_object('title', w ->> 'by_stage', 'unit', s.currency, 'height', 380)));

    page := page || crm_analytics.report_forecast(language);
    page := page || crm_analytics.report_card(w ->> 'won_lost', w ->> 'won_lost_note',
        crm.draw_chart('columns', jsonb_build_object('labels', monthly.labels, 'series', jsonb_build_array(
                jsonb_build_object('name', w ->> 'won', 'tone', 'good', 'values', monthly.won),
                jsonb_build_object('name', w ->> 'lost', 'tone', 'bad', 'values', monthly.lost))),
            s.options || jsonb_build_object('format', 'number', 'title', w ->> 'won_lost')));

    page := page || crm_analytics.report_card(w ->> 'owners', (w ->> 'stage_note') || ' · ' || s.currency,
        crm.draw_chart('bars',
            (SELECT coalesce(jsonb_agg(jsonb_build_object('label', coalesce(x.name, w ->> 'nobody'), 'value', x.amount, 'value2', x.weighted) ORDER BY x.amount DESC NULLS LAST), '[]')
             FROM (SELECT u.name, sum(p.amount) AS amount, sum(p.weighted) AS weighted
                   FROM crm_analytics.pipeline_now AS p LEFT JOIN crm.users AS u ON u.tenant_id = p.tenant_id AND u.id = p.owner_id
                   WHERE p.tenant_id = mine GROUP BY p.owner_id, u.name ORDER BY 2 DESC NULLS LAST LIMIT 10) AS x),
            s.options || jsonb_build_object('title', w ->> 'owners', 'unit', s.currency)));
    page := page || crm_analytics.report_card(w ->> 'loss', w ->> 'last12',
        crm.draw_chart('bars',
            (SELECT coalesce(jsonb_agg(jsonb_build_object('label', coalesce(x.reason, w ->> 'no_reason'), 'value', x.n,
                                'note', crm.figure_text(x.n::float8 / x.all_lost::float8, 'percent', s.lang)) ORDER BY x.n DESC), '[]')
             FROM (SELECT r.reason, sum(r.lost) AS n, sum(sum(r.lost)) OVER () AS all_lost
                   FROM crm_analytics.loss_reasons AS r
                   WHERE r.tenant_id = mine AND r.month > s.today - interval '12 months'
                   GROUP BY 1 ORDER BY 2 DESC LIMIT 10) AS x),
            s.options || jsonb_build_object('format', 'number', 'title', w ->> 'loss')));

    -- where time goes
    page := page || crm_analytics.report_card(w ->> 'time', concat_ws(' · ', main_pipeline.name, w ->> 'time_note'),
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'stage'), jsonb_build_object('label', w ->> 'subjects', 'format', 'number'),
                jsonb_build_object('label', w ->> 'running', 'format', 'number'), jsonb_build_object('label', w ->> 'median', 'format', 'bar'),
                jsonb_build_object('label', w ->> 'p90', 'format', 'number'), jsonb_build_object('label', w ->> 'oldest', 'format', 'number')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(t.stage, t.subjects, t.running, round(t.km_median_days::numeric, 1), round(t.km_p90_days::numeric, 1), round(t.oldest_running_days::numeric, 1)) ORDER BY t.position), '[]')
                     FROM crm_analytics.time_in_stage AS t WHERE t.tenant_id = mine AND t.pipeline_id = main_pipeline.id)), s.options));
    page := page || crm_analytics.report_card(w ->> 'quota', (w ->> 'quota_note') || ' · ' || s.currency,
        crm.draw_chart('bars',
            (SELECT coalesce(jsonb_agg(jsonb_build_object('label', x.user_name, 'value', x.quota, 'value2', x.won_amount,
                                'note', CASE WHEN x.attainment IS NOT NULL THEN crm.figure_text(x.attainment::float8, 'percent', s.lang) END) ORDER BY x.attainment DESC NULLS LAST), '[]')
             FROM (SELECT q.* FROM crm_analytics.quota_attainment AS q
                   WHERE q.tenant_id = mine AND q.period @> s.today ORDER BY q.attainment DESC NULLS LAST LIMIT 12) AS x),
            s.options || jsonb_build_object('title', w ->> 'quota', 'unit', s.currency)));
    page := page || crm_analytics.report_card(w ->> 'bottlenecks', w ->> 'bottlenecks_note',
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'stage'), jsonb_build_object('label', w ->> 'share', 'format', 'percent'),
                jsonb_build_object('label', w ->> 'arrivals', 'format', 'number'), jsonb_build_object('label', w ->> 'departures', 'format', 'number'),
                jsonb_build_object('label', w ->> 'in_progress', 'format', 'number'), jsonb_build_object('label', w ->> 'service', 'format', 'number'),
                jsonb_build_object('label', w ->> 'queue', 'format', 'number'), jsonb_build_object('label', w ->> 'loops', 'format', 'percent'),
                jsonb_build_object('label', w ->> 'slowest')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(b.stage, b.delay_share, b.arrivals, b.departures, round(b.wip_mean, 1), round(b.service_days, 1), b.queue_growth, b.loop_share,
                                b.slowest_to_stage || ' (' || crm.figure_text(round(b.slowest_edge_days, 1)::float8, 'number', s.lang) || ' ' || (w ->> 'days') || ')') ORDER BY b.rank), '[]')
                     FROM crm_analytics.process_bottlenecks('opportunities', now() - interval '12 months', now()) AS b WHERE b.rank <= 8)), s.options), true);
    page := page || crm_analytics.report_card(w ->> 'rotting', NULL,
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'deal'), jsonb_build_object('label', w ->> 'account'), jsonb_build_object('label', w ->> 'owner'),
                jsonb_build_object('label', w ->> 'stage'), jsonb_build_object('label', w ->> 'in_stage', 'format', 'number'),
                jsonb_build_object('label', w ->> 'amount', 'format', 'compact'), jsonb_build_object('label', w ->> 'expected')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(x.name, x.account, x.owner, x.stage, round(x.days_in_stage), x.base_amount,
                                                                 crm_analytics.report_date(x.expected_on, s.lang)) ORDER BY x.days_in_stage DESC), '[]')
                     FROM (SELECT f.name, f.account_name AS account, f.owner, f.stage, f.days_in_stage, f.base_amount, f.expected_on
                           FROM crm_analytics.fact_opportunities AS f
                           WHERE f.tenant_id = mine AND f.state = 'open' AND f.is_rotting
                           ORDER BY f.days_in_stage DESC, f.opportunity_id LIMIT 10) AS x)), s.options), true);

    RETURN crm_analytics.report_page((w ->> 'pipeline') || ' – ' || s.tenant,
        (w ->> 'made') || ' ' || crm_analytics.report_date(s.today, s.lang) || ' · ' || (w ->> 'currency') || ' ' || s.currency,
        page || '</div>', s.lang);
END
$$;
COMMENT ON FUNCTION crm_analytics.report_pipeline(text, timestamptz) IS 'The page of crm_analytics.report_html(''pipeline'').';

CREATE OR REPLACE FUNCTION crm_analytics.report_factors(subject_table text, language text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s record;
    w jsonb;
    leads CONSTANT boolean := subject_table = 'leads';
BEGIN
    SELECT * INTO s FROM crm_analytics.report_setting(language);
    w := s.words;
    RETURN crm_analytics.report_card(w ->> CASE WHEN leads THEN 'lead_factors' ELSE 'factors' END, w ->> 'factors_note',
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'attribute'), jsonb_build_object('label', w ->> 'value'),
                jsonb_build_object('label', w ->> 'cases', 'format', 'number'),
                jsonb_build_object('label', w ->> CASE WHEN leads THEN 'conversion' ELSE 'win_rate' END, 'format', 'percent'),
                jsonb_build_object('label', w ->> 'lift', 'format', 'number'), jsonb_build_object('label', 'p', 'format', 'text')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(coalesce(w ->> x.attribute, x.attribute),
                                coalesce(w ->> ('value ' || x.value), CASE WHEN x.attribute LIKE '%.country' THEN w -> 'countries' ->> x.value END,
                                         -- bands of size have figures only
                                         CASE WHEN s.lang = 'fa' AND x.value ~ '^[0-9]+([-+][0-9]*)?$'
                                              THEN translate(x.value, '0123456789', '۰۱۲۳۴۵۶۷۸۹') ELSE x.value END),
                                x.closed, x.win_rate, x.lift, to_char(x.p_value, '0.0EEEE')) ORDER BY x.p_value, x.attribute, x.value), '[]')
                     FROM (SELECT f.* FROM crm_analytics.outcome_factors AS f
                           WHERE f.tenant_id = crm.tenant_id() AND f.subject_table = report_factors.subject_table AND f.significant
                           ORDER BY f.p_value, f.attribute, f.value LIMIT 10) AS x)), s.options), true);
END
$$;
COMMENT ON FUNCTION crm_analytics.report_factors(text, text) IS
'Box of the dashboard: what goes with winning deals (subject_table opportunities) or with converting leads (leads), attributes in the words of the language.';

CREATE OR REPLACE FUNCTION crm_analytics.report_dashboard(language text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s record;
    w jsonb;
    mine bigint := crm.tenant_id();
    span date[];
    part text;
    tiles jsonb;
    page text := '';
BEGIN
    SELECT * INTO s FROM crm_analytics.report_setting(language);
    w := s.words;
    SELECT array_agg(m ORDER BY m) INTO span FROM crm_analytics.report_months(s.calendar, s.today, 12) AS m;

    FOREACH part IN ARRAY '{sales,service,marketing}'::text[] LOOP
        SELECT jsonb_agg(jsonb_build_object('label', coalesce(w ->> d.metric, d.metric),
                    'value', d.value, 'format', CASE d.unit WHEN 'share' THEN 'percent' WHEN 'count' THEN 'number' WHEN 'days' THEN 'number' WHEN 'hours' THEN 'number' WHEN 'minutes' THEN 'number' ELSE 'compact' END,
                    'note', CASE WHEN d.unit IN ('share', 'count') THEN NULL ELSE coalesce(w ->> d.unit, d.unit) END,
                    'tone', CASE WHEN d.metric IN ('overdue_activities', 'missing_rates', 'overdue_receivables') AND d.value > 0 THEN 'bad' END))
        INTO tiles FROM crm_analytics.dashboard AS d
        WHERE d.tenant_id = mine AND d.area = part AND NOT (d.metric = 'missing_rates' AND d.value = 0);
        IF tiles IS NOT NULL THEN
            page := page || '<h3>' || crm.escape_html(w ->> CASE part WHEN 'service' THEN 'service_area' ELSE part END) || '</h3>' || crm.draw_chart('tiles', tiles, s.options);
        END IF;
    END LOOP;
    page := page || '<div class="grid">' || crm_analytics.report_card(w ->> 'won_lost_amount', s.currency,
        crm.draw_chart('lines',
            (SELECT jsonb_build_object('labels', jsonb_agg(crm_analytics.report_date(m.month, s.lang, 'month') ORDER BY m.month),
                        'series', jsonb_build_array(
                            jsonb_build_object('name', w ->> 'won', 'tone', 'good', 'values', jsonb_agg(coalesce(c.won_amount, 0) ORDER BY m.month)),
                            jsonb_build_object('name', w ->> 'lost', 'tone', 'bad', 'values', jsonb_agg(coalesce(c.lost_amount, 0) ORDER BY m.month))))
             FROM unnest(span) AS m(month)
             LEFT JOIN (SELECT crm_analytics.month_start(d.closed_on, s.calendar) AS month, sum(d.won_amount) AS won_amount, sum(d.lost_amount) AS lost_amount
                        FROM (SELECT d.closed_on, sum(d.won_amount) AS won_amount, sum(d.lost_amount) AS lost_amount FROM crm_analytics.closed_by_day AS d
                              WHERE d.tenant_id = mine AND d.closed_on >= span[1] AND d.closed_on <= s.today GROUP BY 1) AS d
                        GROUP BY 1) AS c ON c.month = m.month),
            s.options || jsonb_build_object('title', w ->> 'won_lost_amount', 'unit', s.currency)));
    page := page || crm_analytics.report_card(w ->> 'activity', NULL,
        (WITH weeks AS (
            SELECT (s.today - (extract(isodow FROM s.today)::integer - t.week_start + 7) % 7 - 7 * g.back) AS week
            FROM crm.tenants AS t, generate_series(0, 11) AS g (back) WHERE t.tenant_id = mine
         ), done AS (
            SELECT x.week, a.kind, sum(a.activities) AS n
            FROM weeks AS x JOIN crm_analytics.activities_by_day AS a ON a.tenant_id = mine AND a.created_on >= x.week AND a.created_on < x.week + 7
            GROUP BY 1, 2
         ), used AS (
            SELECT d.kind, row_number() OVER (ORDER BY sum(d.n) DESC, d.kind) - 1 AS place FROM done AS d GROUP BY 1
         )
         SELECT crm.draw_chart('stacked', jsonb_build_object(
            'labels', (SELECT jsonb_agg(crm_analytics.report_date(week, s.lang, 'short') ORDER BY week) FROM weeks),
            'series', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', coalesce(w ->> u.kind, u.kind), 'color', u.place,
                            'values', (SELECT jsonb_agg(coalesce(d.n, 0) ORDER BY x.week) FROM weeks AS x LEFT JOIN done AS d ON d.week = x.week AND d.kind = u.kind)) ORDER BY u.place), '[]')
                       FROM used AS u)),
            s.options || jsonb_build_object('format', 'number', 'title', w ->> 'activity'))));
    page := page || crm_analytics.report_card(w ->> 'sources', (w ->> 'sources_note') || ' · ' || (w ->> 'last12'),
        crm.draw_chart('bars',
            (SELECT coalesce(jsonb_agg(jsonb_build_object('label', coalesce(x.lead_source, w ->> 'unknown'), 'value', x.n,
                                'note', CASE WHEN x.win_rate IS NOT NULL THEN crm.figure_text(x.win_rate::float8, 'percent', s.lang) END) ORDER BY x.n DESC), '[]')
             FROM (SELECT l.lead_source, sum(l.opportunities) AS n, sum(l.won) / nullif(sum(l.won) + sum(l.lost), 0) AS win_rate
                   FROM crm_analytics.lead_sources AS l WHERE l.tenant_id = mine AND l.month > s.today - interval '12 months'
                   GROUP BY 1 ORDER BY 2 DESC LIMIT 10) AS x),
            s.options || jsonb_build_object('format', 'number', 'title', w ->> 'sources')));
    page := page || crm_analytics.report_card(w ->> 'top', (w ->> 'bought') || ' · ' || s.currency || ' · ' || (w ->> 'last12'),
        crm.draw_chart('bars',
            (SELECT coalesce(jsonb_agg(jsonb_build_object('label', x.name, 'value', x.amount) ORDER BY x.amount DESC), '[]')
             FROM (SELECT d.account_name AS name, sum(d.revenue) AS amount
                   FROM crm_analytics.account_days AS d
                   WHERE d.tenant_id = mine AND d.ordered_on > s.today - interval '12 months' AND d.ordered_on <= s.today
                   GROUP BY d.account_id, d.account_name HAVING sum(d.revenue) > 0 ORDER BY 2 DESC, 1 LIMIT 10) AS x),
            s.options || jsonb_build_object('title', w ->> 'top', 'unit', s.currency)));
    page := page || crm_analytics.report_best_customers(language);
    page := page || crm_analytics.report_card(w ->> 'cohorts', w ->> 'cohorts_note',
        (WITH own AS (SELECT c.* FROM crm_analytics.cohort_retention AS c WHERE c.tenant_id = mine AND c.cohort_month >= span[1] - 5 AND c.months BETWEEN 1 AND 11)
         SELECT crm.draw_chart('heatmap', jsonb_build_object(
            'labels', (SELECT coalesce(jsonb_agg(CASE WHEN s.lang = 'fa' THEN chr(8207) || chr(8206) ELSE '' END || '+' || crm.figure_text(n, 'number', s.lang) ORDER BY n), '[]')
                       FROM generate_series(1, (SELECT max(months) FROM own)) AS n),
            'series', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', crm_analytics.report_date(h.cohort_month, s.lang, 'month') || ' (' || crm.figure_text(h.customers, 'number', s.lang) || ')',
                            'values', (SELECT jsonb_agg(c.retention ORDER BY n) FROM generate_series(1, (SELECT max(months) FROM own)) AS n
                                       LEFT JOIN own AS c ON c.cohort_month = h.cohort_month AND c.months = n)) ORDER BY h.cohort_month), '[]')
                       FROM (SELECT DISTINCT c.cohort_month, c.customers FROM own AS c) AS h)),
            s.options || jsonb_build_object('format', 'percent', 'width', 1160, 'title', w ->> 'cohorts'))), true);
    page := page || crm_analytics.report_card(w ->> 'people', w ->> 'people_note',
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'name'), jsonb_build_object('label', (w ->> 'amount') || ' (' || s.currency || ')', 'format', 'bar'),
                jsonb_build_object('label', w ->> 'won', 'format', 'number'), jsonb_build_object('label', w ->> 'lost', 'format', 'number'),
                jsonb_build_object('label', w ->> 'win_rate', 'format', 'percent'), jsonb_build_object('label', w ->> 'activities', 'format', 'number')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(x.name, x.amount, x.won, x.lost, x.rate, x.activities) ORDER BY x.amount DESC), '[]')
                     FROM (SELECT p.user_name AS name, p.won_amount AS amount, p.won, p.lost, p.win_rate AS rate, p.activities
                           FROM crm_analytics.performance_between(s.today - 91, s.today + 1) AS p ORDER BY 2 DESC LIMIT 15) AS x)), s.options), true);
    page := page || crm_analytics.report_factors('opportunities', s.lang) || crm_analytics.report_factors('leads', s.lang);

    RETURN crm_analytics.report_page((w ->> 'dashboard') || ' – ' || s.tenant,
        (w ->> 'made') || ' ' || crm_analytics.report_date(s.today, s.lang) || ' · ' || (w ->> 'currency') || ' ' || s.currency,
        page || '</div>', s.lang);
END
$$;
COMMENT ON FUNCTION crm_analytics.report_dashboard(text) IS 'The page of crm_analytics.report_html(''dashboard'').';

CREATE OR REPLACE FUNCTION crm_analytics.report_html(name text, account_id bigint DEFAULT NULL, language text DEFAULT NULL, since timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF language IS NOT NULL AND language NOT IN ('en', 'fa') THEN
        RAISE EXCEPTION 'there is no report in language "%"', language
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Languages are en and fa; NULL takes that of the tenant.';
    END IF;
    IF NOT EXISTS (SELECT FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id()) THEN
        RAISE EXCEPTION 'there is no tenant to report on' USING ERRCODE = 'CR010', HINT = 'Set crm.tenant, or work as a user of a tenant.';
    END IF;
    CASE name
        WHEN 'pipeline' THEN
            IF since > now() THEN
                RAISE EXCEPTION 'since lies in the future' USING ERRCODE = 'invalid_parameter_value';
            END IF;
            RETURN crm_analytics.report_pipeline(language, coalesce(since, now() - interval '90 days'));
        WHEN 'dashboard' THEN
            RETURN crm_analytics.report_dashboard(language);
        WHEN 'customer' THEN
            IF account_id IS NULL THEN
                RAISE EXCEPTION 'which customer?' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give account_id.';
            END IF;
            RETURN crm_analytics.report_customer(account_id, language);
        ELSE
            RAISE EXCEPTION 'there is no report "%"', name
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Reports are pipeline, dashboard and customer.';
    END CASE;
END
$$;
COMMENT ON FUNCTION crm_analytics.report_html(text, bigint, text, timestamptz) IS
'A report as one HTML page, complete in itself: inline SVG, no script, nothing loaded; light and dark, for screen and paper. name: pipeline, dashboard, customer (with account_id). language: en, or fa (right to left, Jalali dates, Persian digits); default that of the tenant. since: from when the pipeline report shows its changes, default 90 days ago. Shows what the caller may see. Errors 22023, P0002 for an account that is not there, CR010 without a tenant.';
