-- The page of one customer, and what the dashboard says of the best ones.

CREATE OR REPLACE FUNCTION crm_analytics.report_customer_figures(doc jsonb, language text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s record;
    w jsonb;
    v CONSTANT jsonb := doc -> 'value';
    totals CONSTANT jsonb := doc #> '{sales,totals}';
    kept CONSTANT double precision := (doc #>> '{service,promises,kept}')::float8;
    made CONSTANT double precision := kept + (doc #>> '{service,promises,broken}')::float8 + (doc #>> '{service,promises,overdue}')::float8;
    closed CONSTANT double precision := (totals ->> 'won')::float8 + (totals ->> 'lost')::float8;
    none text;
BEGIN
    SELECT * INTO s FROM crm_analytics.report_setting(language);
    w := s.words;
    none := CASE WHEN v ->> 'clv' IS NULL THEN w ->> 'no_order' END;
    -- what matters first; every figure from the document, which has it from its one place
    RETURN crm.draw_chart('tiles', jsonb_build_array(
        jsonb_build_object('label', w ->> 'ordered', 'value', doc #> '{sales,orders,amount}',
            'note', crm.figure_text((doc #>> '{sales,orders,orders}')::float8, 'number', s.lang) || ' ' || (w ->> 'orders_n') || ' · ' || s.currency),
        jsonb_build_object('label', w ->> 'clv', 'value', v -> 'clv', 'note', coalesce(none, s.currency)),
        jsonb_build_object('label', w ->> 'p_alive', 'value', v -> 'p_alive', 'format', 'percent',
            'note', coalesce(none, CASE WHEN v ->> 'p_alive' IS NULL THEN w ->> 'no_model' END),
            'tone', CASE WHEN (v ->> 'churn_on')::date <= s.today THEN 'bad' END),
        jsonb_build_object('label', w ->> 'next_order', 'value', crm_analytics.report_date((v ->> 'next_order_on')::date, s.lang),
            'note', coalesce(none, CASE WHEN v ->> 'next_order_on' IS NULL THEN w ->> 'gone' WHEN (v ->> 'next_order_on')::date < s.today THEN w ->> '
            ''overdue' END),
            'tone', CASE WHEN (v ->> 'next_order_on')::date < s.today THEN 'bad' END),
        jsonb_build_object('label', w ->> 'churn_on', 'value', crm_analytics.report_date((v ->> 'churn_on')::date, s.lang),
            'note', coalesce(none, CASE WHEN (v ->> 'churn_on')::date <= s.today THEN w ->> 'gone' END),
            'tone', CASE WHEN (v ->> 'churn_on')::date <= s.today THEN 'bad' END),
        jsonb_build_object('label', w ->> 'promises', 'value', kept / nullif(made, 0), 'format', 'percent',
            'note', crm.figure_text(kept, 'number', s.lang) || ' / ' || crm.figure_text(made, 'number', s.lang),
            'tone', CASE WHEN doc #>> '{service,promises,overdue}' <> '0' THEN 'bad' END),
        jsonb_build_object('label', w ->> 'satisfaction', 'value', doc #> '{service,satisfaction,mean_score}', 'format', 'number',
            'note', crm.figure_text((doc #>> '{service,satisfaction,answers}')::float8, 'number', s.lang) || ' ' || (w ->> 'answers')),
        jsonb_build_object('label', w ->> 'open_deals', 'value', totals -> 'open_amount',
            'note', crm.figure_text((totals ->> 'open')::float8, 'number', s.lang) || ' ' || (w ->> 'deals') || ' · ' || s.currency)), s.options)
        || crm.draw_chart('tiles', jsonb_build_array(
        jsonb_build_object('label', w ->> 'lifetime', 'value', totals -> 'won_amount', 'note', s.currency),
        jsonb_build_object('label', w ->> 'win_rate', 'value', (totals ->> 'won')::float8 / nullif(closed, 0), 'format', 'percent',
            'note', crm.figure_text((totals ->> 'won')::float8, 'number', s.lang) || ' / ' || crm.figure_text(closed, 'number', s.lang)),
        jsonb_build_object('label', w ->> 'last_order', 'value', crm_analytics.report_date((doc #>> '{sales,orders,last_order_on}')::date, s.lang)),
        jsonb_build_object('label', w ->> 'last_activity',
            'value', crm_analytics.report_date(((totals ->> 'last_activity_at')::timestamptz AT TIME ZONE s.zone)::date, s.lang),
            'note', crm.figure_text((totals ->> 'activities')::float8, 'number', s.lang) || ' ' || (w ->> 'activities_n')),
        jsonb_build_object('label', w ->> 'need', 'value', CASE doc #>> '{needs,main}' WHEN 'unknown' THEN w ->> 'unknown' ELSE doc #>> '{needs,main}' END),
        jsonb_build_object('label', w ->> 'wallet', 'value', doc #> '{wallet,share}', 'format', 'percent'))
        -- of customers in a loyalty programme
        || CASE WHEN doc #>> '{loyalty,earned}' = '0' AND doc #>> '{loyalty,burned}' = '0' AND doc #>> '{loyalty,loyalty_tier}' IS NULL THEN '[]'::jsonb
                ELSE jsonb_build_array(
                    jsonb_build_object('label', w ->> 'loyalty_tier', 'value', coalesce(doc #>> '{loyalty,tier_name}', '-')),
                    jsonb_build_object('label', w ->> 'loyalty_points', 'value', doc #> '{loyalty,balance}', 'format', 'number',
                        'note', CASE WHEN doc #>> '{loyalty,expiring}' <> '0'
                                     THEN crm.figure_text((doc #>> '{loyalty,expiring}')::float8, 'number', s.lang) || ' ' || (w ->> 'points_expire') || ' '
                                          || crm_analytics.report_date(((doc #>> '{loyalty,next_expires_at}')::timestamptz AT TIME ZONE s.zone)::date - 1,
                                                                       s.lang) END)) END
        -- of customers that were invoiced
        || CASE WHEN doc #>> '{receivables,open_invoices}' = '0' AND doc #>> '{receivables,paid_invoices}' = '0'
                     AND (doc #>> '{receivables,open_balance}')::numeric = 0 THEN '[]'::jsonb
                ELSE jsonb_build_array(
                    jsonb_build_object('label', w ->> 'open_balance', 'value', doc #> '{receivables,open_balance}',
                        'note', crm.figure_text((doc #>> '{receivables,open_invoices}')::float8, 'number', s.lang) || ' ' || (w ->> 'invoices_n') || ' · '
                                || s.currency),
                    jsonb_build_object('label', w ->> 'overdue_amount', 'value', doc #> '{receivables,overdue_amount}',
                        'note', crm.figure_text((doc #>> '{receivables,overdue_invoices}')::float8, 'number', s.lang) || ' ' || (w ->> 'invoices_n'),
                        'tone', CASE WHEN doc #>> '{receivables,overdue_invoices}' <> '0' THEN 'bad' END),
                    jsonb_build_object('label', w ->> 'payment_days', 'value', doc #> '{receivables,mean_payment_days}', 'format', 'number')) END, s.options);
END
$$;
COMMENT ON FUNCTION crm_analytics.report_customer_figures(jsonb, text) IS
'What the page of a customer begins with, from the document of crm_analytics.customer_360: orders, worth, P(alive), next order, churn date, promises, '
'satisfaction, open deals; then what was won, the last order and activity, needs, wallet, and tier and points of a loyalty programme.';

CREATE OR REPLACE FUNCTION crm_analytics.report_customer(account_id bigint, language text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    s record;
    w jsonb;
    mine bigint := crm.tenant_id();
    doc jsonb := crm_analytics.customer_360(account_id);
    span date[];
    page text := '';
BEGIN
    SELECT * INTO s FROM crm_analytics.report_setting(language);
    w := s.words;
    SELECT array_agg(m ORDER BY m) INTO span FROM crm_analytics.report_months(s.calendar, s.today, 24) AS m;

    page := crm_analytics.report_customer_figures(doc, language) || '<div class="grid">';
    page := page || crm_analytics.report_card(w ->> 'ordered_month', s.currency,
        crm.draw_chart('columns',
            (SELECT jsonb_build_object('labels', jsonb_agg(crm_analytics.report_date(m.month, s.lang, 'month') ORDER BY m.month),
                        'series', jsonb_build_array(jsonb_build_object('name', w ->> 'ordered', 'values', jsonb_agg(coalesce(c.amount, 0) ORDER BY m.month))))
             FROM unnest(span) AS m(month)
             LEFT JOIN (SELECT crm_analytics.month_start(f.ordered_on, s.calendar) AS month, sum(f.revenue) AS amount
                        FROM crm_analytics.fact_orders AS f
                        WHERE f.tenant_id = mine AND f.account_id = report_customer.account_id
                            AND f.ordered_on <= s.today GROUP BY 1) AS c ON c.month = m.month),
            s.options || jsonb_build_object('width', 1160, 'height', 210, 'title', w ->> 'ordered_month', 'unit', s.currency)), true);
    page := page || crm_analytics.report_card(w ->> 'open_deals', NULL,
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'deal'), jsonb_build_object('label', w ->> 'stage'),
                jsonb_build_object('label', w ->> 'amount', 'format', 'compact'), jsonb_build_object('label', w ->> 'expected')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(o ->> 'name', o ->> 'stage', o -> 'amount',
                                         crm_analytics.report_date((o ->> 'expected_on')::date, s.lang))), '[]')
                     FROM (SELECT o FROM jsonb_array_elements(doc #> '{sales,open}') AS o LIMIT 12) AS x)), s.options));
    page := page || crm_analytics.report_card(w ->> 'contacts', NULL,
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'name'), jsonb_build_object('label', w ->> 'title'),
                jsonb_build_object('label', w ->> 'reach')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(c ->> 'name', c ->> 'title',
                                (SELECT string_agg(p ->> 'value', ', ') FROM (SELECT p FROM jsonb_array_elements(c -> 'points') AS p LIMIT 3) AS y))), '[]')
                     FROM (SELECT c FROM jsonb_array_elements(doc -> 'contacts') AS c LIMIT 12) AS x)), s.options));
    IF jsonb_array_length(doc #> '{receivables,open}') > 0 THEN
        page := page || crm_analytics.report_card(w ->> 'open_invoices', NULL,
            crm.draw_chart('table', jsonb_build_object(
                'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'invoice_number'), jsonb_build_object('label', w ->> 'due'),
                    jsonb_build_object('label', w ->> 'open', 'format', 'number'), jsonb_build_object('label', w ->> 'days_overdue', 'format', 'number')),
                'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(o ->> 'number', crm_analytics.report_date((o ->> 'due_on')::date, s.lang), o -> 'open',
                                             o -> 'overdue_days') ORDER BY x.n), '[]')
                         FROM (SELECT e.o, e.n FROM jsonb_array_elements(doc #> '{receivables,open}') WITH ORDINALITY AS e (o, n) ORDER BY e.n LIMIT 12) AS x)),
                s.options), true);
    END IF;
    IF doc -> 'service' <> 'null' THEN
        page := page || crm_analytics.report_card(w ->> 'tickets', NULL,
            crm.draw_chart('table', jsonb_build_object(
                'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'subject'), jsonb_build_object('label', w ->> 'stage'),
                    jsonb_build_object('label', w ->> 'priority'), jsonb_build_object('label', w ->> 'opened')),
                'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(t ->> 'subject', t ->> 'stage', coalesce(p.name, t ->> 'priority'),
                                             crm_analytics.report_date(((t ->> 'opened_at')::timestamptz AT TIME ZONE s.zone)::date, s.lang))
                                                            ORDER BY x.n), '[]')
                         FROM (SELECT e.t, e.n FROM jsonb_array_elements(doc #> '{service,tickets}') WITH ORDINALITY AS e (t, n) ORDER BY e.n LIMIT 12) AS x
                         LEFT JOIN crm.priorities AS p ON p.tenant_id = mine AND p.code = t ->> 'priority')), s.options), true);
    END IF;
    page := page || crm_analytics.report_card(w ->> 'timeline', NULL,
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'when'), jsonb_build_object('label', w ->> 'what'),
                jsonb_build_object('label', w ->> 'subject'), jsonb_build_object('label', w ->> 'owner')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(crm_analytics.report_date((t.at AT TIME ZONE s.zone)::date, s.lang),
                                         coalesce(w ->> t.detail, t.detail), t.title, t.user_name) ORDER BY t.at DESC), '[]')
                     FROM (SELECT t.* FROM crm_analytics.customer_timeline AS t
                           WHERE t.tenant_id = mine AND t.account_id = report_customer.account_id AND t.at <= now() ORDER BY t.at DESC LIMIT 25) AS t)),
                               s.options), true);

    RETURN crm_analytics.report_page(doc #>> '{account,name}',
        concat_ws(' · ', w ->> 'customer', doc #>> '{account,industry}', doc #>> '{account,city}',
                  coalesce(w -> 'countries' ->> (doc #>> '{account,country}'), doc #>> '{account,country}'), doc #>> '{account,owner}',
                  (w ->> 'made') || ' ' || crm_analytics.report_date(s.today, s.lang)),
        page || '</div>', s.lang);
END
$$;
COMMENT ON FUNCTION crm_analytics.report_customer(bigint, text) IS 'The page of crm_analytics.report_html(''customer'').';

CREATE OR REPLACE FUNCTION crm_analytics.report_best_customers(language text) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    s record;
    w jsonb;
    mine CONSTANT bigint := crm.tenant_id();
BEGIN
    SELECT * INTO s FROM crm_analytics.report_setting(language);
    w := s.words;
    RETURN crm_analytics.report_card(w ->> 'next', (w ->> 'bought') || ' · ' || s.currency || ' · ' || (w ->> 'last12'),
        crm.draw_chart('table', jsonb_build_object(
            'columns', jsonb_build_array(jsonb_build_object('label', w ->> 'customer'), jsonb_build_object('label', w ->> 'orders', 'format', 'number'),
                jsonb_build_object('label', w ->> 'ordered', 'format', 'compact'), jsonb_build_object('label', w ->> 'clv', 'format', 'compact'),
                jsonb_build_object('label', w ->> 'p_alive', 'format', 'percent'), jsonb_build_object('label', w ->> 'next_order'),
                jsonb_build_object('label', w ->> 'churn_on'), jsonb_build_object('label', w ->> 'satisfaction', 'format', 'number'),
                jsonb_build_object('label', w ->> 'promises', 'format', 'percent')),
            'rows', (SELECT coalesce(jsonb_agg(jsonb_build_array(t.account_name, t.orders, t.revenue, t.clv, t.p_alive,
                                         crm_analytics.report_date(t.next_order_on, s.lang), crm_analytics.report_date(t.churn_on, s.lang), t.satisfaction,
                                         t.promises_kept::numeric / nullif(t.promises_kept + t.promises_broken, 0)) ORDER BY x.amount DESC, t.account_id), '[]')
                     FROM (SELECT d.account_id, sum(d.revenue) AS amount
                           FROM crm_analytics.account_days AS d
                           WHERE d.tenant_id = mine AND d.ordered_on > s.today - interval '12 months' AND d.ordered_on <= s.today
                           GROUP BY d.account_id HAVING sum(d.revenue) > 0 ORDER BY 2 DESC, 1 LIMIT 10) AS x
                     JOIN crm_analytics.customer_totals AS t ON t.tenant_id = mine AND t.account_id = x.account_id)), s.options), true);
END
$$;
COMMENT ON FUNCTION crm_analytics.report_best_customers(text) IS
'Box of the dashboard: the ten customers that ordered most in twelve months, with what crm_analytics.customer_totals says of them: over their whole life, '
'and ahead.';
