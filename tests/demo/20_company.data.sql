\echo
\echo '== The real sales export, staged as it came'
CREATE SCHEMA staging;
CREATE TABLE staging.accounts (account text, sector text, year_established text, revenue text, employees text, office_location text, subsidiary_of text);
CREATE TABLE staging.products (product text, series text, sales_price text);
CREATE TABLE staging.sales_teams (sales_agent text, manager text, regional_office text);
CREATE TABLE staging.sales_pipeline (opportunity_id text, sales_agent text, product text, account text, deal_stage text, engage_date text, close_date text, close_value text);
\cd :data
\copy staging.accounts FROM 'sales/accounts.csv' WITH (FORMAT csv, HEADER)
\copy staging.products FROM 'sales/products.csv' WITH (FORMAT csv, HEADER)
\copy staging.sales_teams FROM 'sales/sales_teams.csv' WITH (FORMAT csv, HEADER)
\copy staging.sales_pipeline FROM 'sales/sales_pipeline.csv' WITH (FORMAT csv, HEADER)
