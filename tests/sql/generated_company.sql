-- The generated company is believable: its proportions, in each language, and whatever the day its history ends on. The rules stand in
-- tests/helpers/company_rules.sql; generated_company_large holds ten times as large ones to them.
-- long: 100 s
\set ON_ERROR_STOP 1
BEGIN;
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/company_rules.sql'
\i :helper
SELECT count(*) > 40 AS rules FROM rules;
\echo == in each language, on any day: month ends, a leap day, Nowruz, the turn of the year
SELECT b.* FROM unnest(crm.languages()) WITH ORDINALITY AS l (name, n), unnest('{2026-06-30,2024-02-29,2026-03-21,2026-01-01}'::date[]) WITH ORDINALITY AS u (day, n), pg_temp.try(l.name, 1, 42, u.day) AS b
WHERE u.n = 1 OR u.n % 2 = l.n % 2;
\echo == another seed
SELECT b.* FROM unnest(crm.languages()) AS l, pg_temp.try(l, 1, 7, '2025-10-31') AS b;
\echo == the same arguments give the same company, another seed another one
CREATE FUNCTION pg_temp.print_of(seed bigint, until date) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    tenant bigint;
    print text;
BEGIN
    SELECT t.tenant_id INTO tenant FROM crm.create_tenant('print ' || gen_random_uuid()) AS t;
    PERFORM set_config('crm.tenant', tenant::text, true), crm.generate_demo(1, seed, until);
    SELECT md5(string_agg(x.line, '|' ORDER BY x.line)) INTO print
    FROM (SELECT concat_ws(' ', source_id, ordered_at, amount, currency) AS line FROM crm.orders WHERE tenant_id = tenant
          UNION ALL SELECT concat_ws(' ', source_id, name, amount, created_at, closed_at) FROM crm.opportunities WHERE tenant_id = tenant
          UNION ALL SELECT concat_ws(' ', source_id, name, company, email, created_at, closed_at) FROM crm.leads WHERE tenant_id = tenant
          UNION ALL SELECT concat_ws(' ', source_id, subject, priority, created_at, closed_at) FROM crm.tickets WHERE tenant_id = tenant) AS x;
    RETURN print;
END $$;
SELECT a.p = b.p AS same, a.p <> c.p AS another FROM pg_temp.print_of(5, '2026-06-30') AS a (p), pg_temp.print_of(5, '2026-06-30') AS b (p), pg_temp.print_of(6, '2026-06-30') AS c (p);

\echo == a purchase model fits, and does better than the simple baseline
SELECT t.tenant_id AS fit FROM crm.create_tenant('fit') AS t \gset
SET LOCAL crm.tenant = :fit;
SELECT sum(row_count) > 1000 AS made FROM crm.generate_demo(2, 42, '2026-06-30');
SELECT kind <> 'nbd' AS customers_leave, state FROM crm.fit_value_model(as_of => '2026-06-30');
SELECT tracking BETWEEN 0.6 AND 1.6 AS tracks, beats_baseline FROM crm_analytics.value_model_quality WHERE tenant_id = :fit;

\echo == everything in a Persian company is Persian: columns of text with Latin letters, codes and addresses apart
SELECT t.tenant_id AS fa FROM crm.create_tenant('پارسی', language => 'fa') AS t \gset
SET LOCAL crm.tenant = :fa;
SELECT sum(row_count) > 1000 AS made FROM crm.generate_demo(1, 42, '2026-06-30');
CREATE FUNCTION pg_temp.latin(tenant bigint) RETURNS TABLE (column_name text, example text) LANGUAGE plpgsql AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT r.relname, a.attname FROM pg_class AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid = 'text'::regtype
             WHERE r.relnamespace = 'crm'::regnamespace AND r.relkind = 'r' AND r.relname NOT IN ('tenants', 'events', 'audit_log')
               AND EXISTS (SELECT FROM pg_attribute AS t WHERE t.attrelid = r.oid AND t.attname = 'tenant_id' AND NOT t.attisdropped)
               AND a.attname !~ '^(source_id|source_system|code|subject_table|subject_type|email|.*_key|kind|metric|stage_type)$'
               AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = r.oid AND a.attnum = ANY (k.conkey) AND (k.contype = 'f' OR k.contype = 'c' AND pg_get_constraintdef(k.oid) ~ 'ARRAY')) ORDER BY 1, 2 LOOP
        EXECUTE format('SELECT %L, min(x.%2$I) FROM crm.%1$I AS x WHERE x.tenant_id = $1 AND x.%2$I ~ ''[A-Za-z]'' HAVING count(*) > 0', c.relname, c.attname, c.relname || '.' || c.attname) INTO column_name, example USING tenant;
        IF column_name IS NOT NULL THEN
            column_name := c.relname || '.' || c.attname;
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
SELECT l.column_name FROM pg_temp.latin(:fa) AS l ORDER BY 1;
-- words within JSON too: none but codes
SELECT DISTINCT c.value AS in_custom_fields FROM crm.accounts AS a CROSS JOIN LATERAL jsonb_each_text(a.custom) AS c WHERE a.tenant_id = :fa AND c.value ~ '[A-Za-z]';
SELECT t.base_currency, t.time_zone, t.week_start, t.weekend, t.fiscal_year_start FROM crm.tenants AS t WHERE t.tenant_id = :fa;
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY o.amount) BETWEEN 1e8 AND 5e9 AS amounts_in_rials FROM crm.orders AS o WHERE o.tenant_id = :fa AND o.currency = 'IRR';
SELECT bool_and(crm.to_jalali(lower(q.period)) = crm.to_jalali(crm.from_jalali((crm.to_jalali(lower(q.period))).year, (crm.to_jalali(lower(q.period))).month, 1))) AS quarters_of_the_jalali_year
FROM crm.quotas AS q WHERE q.tenant_id = :fa;
-- and its pages: words of Latin letters that a reader sees, addresses, numbers of orders and codes of countries and currencies apart
SELECT DISTINCT m.word[1] AS latin_on_pages
FROM (SELECT crm_analytics.report_html(r.report) AS page FROM unnest('{dashboard,pipeline}'::text[]) AS r (report)
      UNION ALL SELECT crm_analytics.report_html('customer', (SELECT k.account_id FROM crm.tickets AS k WHERE k.tenant_id = :fa GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1))) AS p,
     regexp_matches(regexp_replace(regexp_replace(regexp_replace(p.page, '<(style|title)[^>]*>.*?</(style|title)>', ' ', 'g'), '<[^>]*>|&[a-z]+;', ' ', 'g'), '\S*[@.]\S*|D-[0-9]+(-R)?|\y[A-Z]{2,3}\y', ' ', 'g'),
                    '([A-Za-z]{2,})', 'g') AS m (word)
ORDER BY 1;
ROLLBACK;
