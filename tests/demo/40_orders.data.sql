\echo
\echo '== A real order history of 4,338 customers'
\cd :data
CREATE TABLE staging.retail (invoice_no text, invoice_date text, customer_id text, total_price text);
\copy staging.retail FROM 'scoring/retail_invoices.csv' WITH (FORMAT csv, HEADER)
SELECT b.target_table, b.rows_read AS read, b.rows_inserted AS inserted, b.rows_bad AS bad
FROM crm.import_table('staging.retail', '{
    "target": "orders", "source_system": "retail", "key": "invoice_no",
    "columns": {"number": "invoice_no", "account_id": {"column": "customer_id", "lookup": "accounts", "missing": "create"},
                "ordered_at": "invoice_date", "amount": "total_price"},
    "defaults": {"currency": "USD"}
}') AS b;
SELECT crm.fold_rollups() AS deltas_folded;
