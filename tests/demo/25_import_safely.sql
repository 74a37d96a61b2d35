\echo
\echo '== Trying an import first, and taking one back'
CREATE SCHEMA IF NOT EXISTS staging;
SELECT crm.stage_import('staging.hubspot', 'Record ID,Company name,Country/Region,Annual Revenue,Phone Number,Create Date
501,Blue Harbour,Germany,"€1,250,000.00",030 901820,2024-03-01
502,Red Mill,Austria,"€980,000.50",01 58858,2024-03-04
503,Green Dock,Narnia,"€40,000.00",,2024-03-05
') AS staged;
\echo '-- dry run: what would happen, and nothing is written'
SELECT b.rows_read AS read, b.rows_inserted AS would_insert, b.rows_bad AS bad, b.problems -> 0 ->> 'reason' AS first_problem, b.id IS NULL AS nothing_kept
FROM crm.import_table('staging.hubspot', crm.suggest_mapping('staging.hubspot', 'accounts', 'hubspot') || '{"dry_run": true}') AS b;
SELECT count(*) AS accounts_made FROM crm.accounts WHERE source_system = 'hubspot';
\echo '-- in earnest, and the bad row again once it is corrected'
SELECT b.id AS batch, b.rows_inserted AS inserted, b.rows_bad AS bad
FROM crm.import_table('staging.hubspot', crm.suggest_mapping('staging.hubspot', 'accounts', 'hubspot')) AS b \gset
SELECT :inserted AS inserted, :bad AS bad;
UPDATE crm.import_rows SET data = data || '{"Country/Region": "Norway"}' WHERE batch_id = :batch AND state = 'bad';
SELECT b.rows_inserted AS inserted, b.rows_bad AS bad FROM crm.retry_import(:batch) AS b;
SELECT a.name, a.country, a.annual_revenue, a.currency, p.value_key AS telephone FROM crm.accounts AS a
LEFT JOIN crm.contact_points AS p ON p.tenant_id = a.tenant_id AND p.account_id = a.id AND p.kind = 'phone' WHERE a.source_system = 'hubspot' ORDER BY a.name;
\echo '-- taken back, whole'
SELECT b.rows_undone AS undone FROM crm.undo_import(:batch) AS b;
SELECT count(*) AS accounts_left FROM crm.accounts WHERE source_system = 'hubspot';
DROP TABLE staging.hubspot;
