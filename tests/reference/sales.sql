-- The real sales export: every row in, totals as its README gives them.
\cd :data
CREATE SCHEMA staging;
CREATE TABLE staging.accounts (account text, sector text, year_established text, revenue text, employees text, office_location text, subsidiary_of text);
CREATE TABLE staging.products (product text, series text, sales_price text);
CREATE TABLE staging.sales_teams (sales_agent text, manager text, regional_office text);
CREATE TABLE staging.sales_pipeline (opportunity_id text, sales_agent text, product text, account text, deal_stage text, engage_date text, close_date text, close_value text);
\copy staging.accounts FROM 'sales/accounts.csv' WITH (FORMAT csv, HEADER)
\copy staging.products FROM 'sales/products.csv' WITH (FORMAT csv, HEADER)
\copy staging.sales_teams FROM 'sales/sales_teams.csv' WITH (FORMAT csv, HEADER)
\copy staging.sales_pipeline FROM 'sales/sales_pipeline.csv' WITH (FORMAT csv, HEADER)
\getenv repo REPO
\cd :repo
\i tests/demo/21_import.data.sql
CREATE FUNCTION pg_temp.equal(what text, got numeric, expected numeric) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF got IS DISTINCT FROM expected THEN RAISE EXCEPTION '%: got %, expected %', what, got, expected; END IF;
END $$;
SELECT pg_temp.equal('opportunities', count(*), 8800), pg_temp.equal('bad rows', (SELECT sum(rows_bad) FROM crm.import_batches), 0),
       pg_temp.equal('without account', count(*) FILTER (WHERE account_id IS NULL), 1425) FROM crm.opportunities;
SELECT pg_temp.equal(e.code || ' deals', (SELECT count(*) FROM crm.opportunities AS o JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id) WHERE s.code = e.code), e.n)
FROM (VALUES ('won', 4238), ('lost', 2473), ('engaging', 1589), ('prospecting', 500)) AS e(code, n);
SELECT pg_temp.equal('won value', sum(o.amount), 10005534) FROM crm.opportunities AS o JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id) WHERE s.type = 'won';
SELECT pg_temp.equal('win rate', round(100.0 * count(*) FILTER (WHERE s.type = 'won') / count(*), 2), 63.15)
FROM crm.opportunities AS o JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id) WHERE s.type IN ('won', 'lost');
SELECT pg_temp.equal('days from engaging to ' || e.code,
    (SELECT round(avg(extract(epoch FROM upper(p.period) - lower(p.period)) / 86400), 2)
     FROM crm.stage_periods AS p JOIN crm.opportunities AS o ON (o.tenant_id, o.id) = (p.tenant_id, p.subject_id) AND p.subject_table = 'opportunities'
     JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id) WHERE NOT upper_inf(p.period) AND s.code = e.code), e.days)
FROM (VALUES ('won', 51.78), ('lost', 41.48)) AS e(code, days);
SELECT pg_temp.equal('GTXPro found as GTX Pro', count(*), 1480) FROM crm.opportunities AS o JOIN crm.products AS p ON (p.tenant_id, p.id) = (o.tenant_id, o.product_id) WHERE p.name = 'GTX Pro';
SELECT pg_temp.equal('subsidiaries', count(parent_id), 15) FROM crm.accounts;
SELECT pg_temp.equal('misspelt sector', count(*), 0) FROM crm.accounts WHERE industry LIKE 'technolgy';
-- again: nothing changes
SELECT pg_temp.equal('second run', rows_unchanged, 8800) FROM crm.import_table('staging.sales_pipeline',
    (SELECT mapping - 'history' FROM crm.import_batches WHERE target_table = 'opportunities'));
