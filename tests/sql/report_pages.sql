-- Pages say what the views say, in words of their language, and agree with each other.
-- long: 15 s
BEGIN;
SELECT count(*) > 0 AS made FROM crm.generate_demo(1, 42);
INSERT INTO crm.quotas (user_id, period, amount, currency)
SELECT u.id, daterange(date_trunc('month', now())::date, (date_trunc('month', now()) + interval '3 months')::date), 30000, 'USD' FROM crm.users AS u WHERE NOT EXISTS (SELECT FROM crm.quotas AS q WHERE q.user_id = u.id);
CREATE TABLE pg_temp.pages AS
SELECT r.name, l.language, crm_analytics.report_html(r.name, language => l.language) AS page, crm_analytics.report_words(l.language) AS words
FROM unnest('{pipeline,dashboard}'::text[]) AS r(name), unnest('{en,fa}'::text[]) AS l(language);
CREATE FUNCTION pg_temp.tile(page text, label text) RETURNS text LANGUAGE sql AS $$
    SELECT (regexp_match(page, '<div class="tl">' || regexp_replace(crm.escape_html(label), '([().,+*?])', '\\\1', 'g') || '</div><div class="tv"><bdi>([^<]*)</bdi>'))[1] $$;

\echo == one figure, one number: pipeline, dashboard and view
SELECT p.language, f.metric, pg_temp.tile(p.page, p.words ->> f.tile) IS NOT NULL AS there,
       pg_temp.tile(p.page, p.words ->> f.tile) = pg_temp.tile(d.page, d.words ->> f.metric) AS pages_agree,
       pg_temp.tile(p.page, p.words ->> f.tile) = (SELECT crm.figure_text(CASE f.format WHEN 'number' THEN round(v.value, 1) ELSE v.value END::float8, f.format, p.language) FROM crm_analytics.dashboard AS v WHERE v.tenant_id = 1 AND v.metric = f.metric) AS view_agrees
FROM pages AS p JOIN pages AS d ON d.language = p.language AND d.name = 'dashboard',
     (VALUES ('open_amount', 'open_amount', 'compact'), ('weighted', 'weighted_amount', 'compact'), ('open_deals', 'open_opportunities', 'number'), ('won_amount', 'won_amount_12_months', 'compact'),
             ('win_rate', 'win_rate_12_months', 'percent'), ('cycle', 'mean_cycle_days_12_months', 'number')) AS f(tile, metric, format)
WHERE p.name = 'pipeline' ORDER BY 1, 2;
-- to the deal: the same from the deals themselves
SELECT (SELECT count(*) FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id WHERE s.type IN ('open', 'on_hold')) = (SELECT v.value FROM crm_analytics.dashboard AS v WHERE v.metric = 'open_opportunities') AS open,
       (SELECT count(*) FROM crm.opportunities AS o JOIN crm.stages AS s ON s.id = o.stage_id WHERE s.type IN ('won', 'done') AND o.close_date > t.day - interval '12 months' AND o.close_date <= t.day)
           = (SELECT v.value FROM crm_analytics.dashboard AS v WHERE v.metric = 'won_12_months') AS won
FROM (SELECT crm.local_day(crm.tenant_id(), now()) AS day) AS t;

\echo == words: both languages have the same, and what views can say has one
SELECT k AS lacks_a_translation FROM jsonb_object_keys(crm_analytics.report_words('en')) AS k WHERE NOT crm_analytics.report_words('fa') ? k
UNION SELECT k FROM jsonb_object_keys(crm_analytics.report_words('fa')) AS k WHERE NOT crm_analytics.report_words('en') ? k;
SELECT DISTINCT f.attribute AS has_no_word FROM crm_analytics.outcome_factors AS f WHERE NOT crm_analytics.report_words('fa') ? f.attribute;
SELECT d.metric AS has_no_word FROM crm_analytics.dashboard AS d WHERE NOT crm_analytics.report_words('fa') ? d.metric;
SELECT x.area, x.language, k AS lacks_a_translation FROM crm_internal.texts AS e CROSS JOIN LATERAL jsonb_object_keys(e.words) AS k
JOIN crm_internal.texts AS x ON x.area = e.area AND x.language <> e.language
WHERE e.language = 'en' AND e.area IN ('reports', 'work', 'churn') AND NOT x.words ? k;
-- what a country is called is read back as that country, and every country has a name
SELECT x.language, w.key, w.value FROM crm_internal.texts AS x, jsonb_each_text(x.words) AS w WHERE x.area = 'countries' AND crm.country_code(w.value) IS DISTINCT FROM w.key;
SELECT x.language, count(*) AS countries FROM crm_internal.texts AS x, jsonb_object_keys(x.words) AS k WHERE x.area = 'countries' AND crm.country_code(k) = k GROUP BY 1 ORDER BY 1;
SELECT count(*) AS codes_on_pages FROM pages AS p WHERE p.page ~ '>(deal|lead|account)\.[a-z_]+<';

\echo == best customers by what they ordered; the forecast with its quota
SELECT strpos(d.page, crm.escape_html(b.account_name)) > 0 AS best_one_there
FROM pages AS d, (SELECT a.account_name FROM crm_analytics.account_days AS a WHERE a.ordered_on > crm.local_day(crm.tenant_id(), now()) - interval '12 months' GROUP BY 1 ORDER BY sum(a.revenue) DESC LIMIT 1) AS b WHERE d.name = 'dashboard' ORDER BY d.language;
SELECT p.language, strpos(p.page, p.words ->> 'quota_line') > 0 AS quota, p.page ~ '<rect class="fm"' AS drawn FROM pages AS p WHERE p.name = 'pipeline' ORDER BY 1;
-- the month's columns add up to the view's forecast
SELECT round(sum(f.amount)) = (SELECT round(q.forecast_amount) FROM crm_analytics.forecast_against_quota AS q WHERE q.month = date_trunc('month', now())::date) AS adds_up
FROM (SELECT CASE x.forecast_category WHEN 'closed' THEN x.amount ELSE x.weighted END AS amount FROM crm_analytics.forecast AS x WHERE x.month = date_trunc('month', now())::date) AS f;

\echo == lines go straight, good and bad have colours of their own, small screens have pictures of their own
SELECT crm.draw_chart('lines', '{"labels": ["a", "b", "c"], "series": [{"name": "x", "tone": "good", "values": [1, 3, 2]}, {"name": "y", "tone": "bad", "values": [2, 1, 1]}]}') AS svg \gset
SELECT :'svg' ~ ' d="M[0-9. ]*L[0-9. ]*L[0-9. ]*"' AS straight, :'svg' !~ ' d="M[^"]*C' AS no_curve, :'svg' ~ 'class="l sp"' AND :'svg' ~ 'class="l sn"' AS tones;
SELECT crm.draw_chart('lines', '{"labels": ["a"], "series": [{"name": "x", "tone": "red", "values": [1]}]}');
ROLLBACK;
BEGIN;
SELECT (SELECT array_agg(m[1]) FROM regexp_matches(crm.draw_chart('bars', '[{"label": "a", "value": 12}]', '{"small": 350, "width": 1160}'), '<svg class="chart bars([ a-z]*)" viewBox', 'g') AS m) AS pictures;
SELECT crm.draw_chart('stacked', '{"labels": ["a"], "series": [{"name": "x", "values": [1]}, {"name": "t", "mark": true, "values": [9]}]}') ~ '<rect class="fm".*<title>t, a: 9</title>' AS mark;
SELECT crm.draw_chart('table', '{"columns": [{"label": "A \"b\""}], "rows": [["x"]]}') ~ 'data-l="A &quot;b&quot;"' AS named_cells;
ROLLBACK;
