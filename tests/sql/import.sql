-- Import: faults survive with line and reason, a second run changes nothing, history is dated by the source.
BEGIN;
\set ON_ERROR_ROLLBACK on
CREATE SCHEMA staging;
INSERT INTO crm.custom_fields (table_name, name, type) VALUES ('accounts', 'code', 'text'), ('accounts', 'staff', 'integer');
CREATE TABLE staging.companies (code text, title text, staff text, parent text, founded text, turnover text);
INSERT INTO staging.companies VALUES
    ('c1', 'Alpha Works', '1,200', '', '1999', '€1,234.50'),
    ('c2', 'Beta  شرکت', '۱۲', 'AlphaWorks', '۱۳۹۰', '۱۲۳٬۴۵۶٫۵'),
    ('c3', 'Gamma', 'many', '', '2001', ''),          -- not a number
    ('c2', 'Beta again', '5', '', '2001', ''),        -- key twice
    ('', 'No key', '5', '', '2001', ''),              -- no key
    ('c4', 'Delta', '-3', '', '2001', ''),            -- breaks a check
    ('c5', 'Epsilon', '7', 'Nobody', '2001', '');     -- parent unknown
SELECT rows_read, rows_inserted, rows_updated, rows_unchanged, rows_bad FROM crm.import_table('staging.companies', '{
    "target": "accounts", "source_system": "legacy", "key": "code", "decimal": ".", "grouping": ",",
    "columns": {"name": "title", "employees": "staff", "founded_year": "founded", "annual_revenue": "turnover",
                "parent_id": {"column": "parent", "lookup": "accounts"}, "custom.code": "code", "custom.staff": "staff"},
    "defaults": {"currency": "EUR"}}');
SELECT line, state, sqlstate, column_name, value, left(reason, 90) AS reason, hint FROM crm.import_rows ORDER BY line;
SELECT a.name, a.employees, a.founded_year, a.annual_revenue, a.currency, p.name AS parent, a.custom
FROM crm.accounts AS a LEFT JOIN crm.accounts AS p ON (p.tenant_id, p.id) = (a.tenant_id, a.parent_id) WHERE a.source_system = 'legacy' ORDER BY a.source_id;

-- correct and try again: only the bad rows move
UPDATE crm.import_rows SET data = data || '{"staff": "40"}' WHERE line IN (3, 6);
SELECT rows_read, rows_inserted, rows_updated, rows_unchanged, rows_bad FROM crm.retry_import((SELECT max(id) FROM crm.import_batches));
SELECT state, count(*), min(line) FROM crm.import_rows GROUP BY state ORDER BY state;
SELECT state, row_count FROM crm.import_report((SELECT max(id) FROM crm.import_batches)) ORDER BY 1, 2;

-- the same source again: nothing to do; a changed row is updated and its former state kept
UPDATE staging.companies SET staff = '13' WHERE title LIKE 'Beta  %';
SELECT rows_read, rows_inserted, rows_updated, rows_unchanged, rows_bad FROM crm.import_table('staging.companies', '{
    "target": "accounts", "source_system": "legacy", "key": "code", "decimal": ".",
    "columns": {"name": "title", "employees": "staff"}}');
SELECT line, before ->> 'employees' AS employees_before FROM crm.import_rows WHERE before IS NOT NULL;

-- deals with history; unknown stage and unknown owner are kept as bad rows
CREATE TABLE staging.deals (no text, customer text, seller text, stage text, opened text, closed text, worth text);
INSERT INTO staging.deals VALUES
    ('d1', 'alpha works', 'Sara', 'Closed won', '2024-01-10', '2024-03-01', '1000'),
    ('d2', 'Gamma', 'Sara', 'Closed lost', '1402/11/01', '1402/12/29', '500'),
    ('d3', 'Gamma', 'Sara', 'Qualification', '2024-02-01', '', ''),
    ('d4', 'Gamma', 'Sara', 'Prospecting', '', '', ''),
    ('d5', 'Gamma', 'Sara', 'Nirvana', '2024-02-01', '', ''),
    ('d6', 'Zeta', 'Sara', 'Prospecting', '2024-02-01', '', '');
SELECT rows_read, rows_inserted, rows_bad FROM crm.import_table('staging.deals', '{
    "target": "opportunities", "source_system": "legacy", "key": "no",
    "columns": {"name": "no", "account_id": {"column": "customer", "lookup": "accounts"},
                "owner_id": {"column": "seller", "lookup": "users", "missing": "create"},
                "stage_id": {"column": "stage", "lookup": "stages", "pipeline": "sales"}, "amount": "worth", "close_date": "closed"},
    "history": [{"stage": "qualification", "at": "opened"}, {"at": "closed"}], "exported_at": "2024-06-30"}');
SELECT r.line, r.reason FROM crm.import_rows AS r JOIN crm.import_batches AS b ON b.id = r.batch_id AND b.target_table = 'opportunities' WHERE r.state = 'bad' ORDER BY 1;
SELECT o.name, p.seq, s.code, p.period, o.close_date, o.stage_entered_at = lower(p.period) AS last_step
FROM crm.opportunities AS o
JOIN crm.stage_periods AS p ON (p.tenant_id, p.subject_table, p.subject_id) = (o.tenant_id, 'opportunities', o.id)
JOIN crm.stages AS s ON (s.tenant_id, s.id) = (p.tenant_id, p.stage_id)
WHERE o.source_system = 'legacy' ORDER BY o.name, p.seq;

-- orders and their lines; the order's amount is the sum of them
CREATE TABLE staging.lines (line text, bill text, what text, pieces text, each text);
INSERT INTO staging.lines VALUES ('1', 'B-1', 'Widget', '2', '1,000.50'), ('2', 'B-1', 'Gadget', '۳', '10'), ('3', 'B-9', 'Widget', '1', '1');
INSERT INTO crm.orders (number, account_id, currency) SELECT 'B-1', id, 'USD' FROM crm.accounts WHERE source_system = 'legacy' AND source_id = 'c1';
SELECT rows_inserted, rows_bad FROM crm.import_table('staging.lines', '{
    "target": "order_lines", "source_system": "legacy", "key": "line", "decimal": ".",
    "columns": {"order_id": {"column": "bill", "lookup": "orders"}, "product_id": {"column": "what", "lookup": "products", "missing": "create"},
                "quantity": "pieces", "unit_price": "each"}}');
SELECT r.line, r.reason FROM crm.import_rows AS r JOIN crm.import_batches AS b ON b.id = r.batch_id AND b.target_table = 'order_lines' WHERE r.state = 'bad';
SELECT amount FROM crm.orders WHERE number = 'B-1';

-- what the mapping says may hold any sign, and so may names of the owner's columns
SELECT rows_read, rows_inserted, rows_bad FROM crm.import_table('staging.deals', '{
    "target": "opportunities", "source_system": "odd", "key": "no",
    "columns": {"name": "no", "stage_id": {"column": "stage", "lookup": "stages", "pipeline": "sales"}, "loss_note": {"value": "50 % s"}}}');
ALTER TABLE crm.teams ADD COLUMN "noted by" bigint;
CREATE TABLE staging.teams (no text, title text, seller text);
INSERT INTO staging.teams VALUES ('t1', 'North', 'Sara'), ('t2', 'South', 'Nobody');
SELECT rows_read, rows_inserted, rows_bad FROM crm.import_table('staging.teams', '{
    "target": "teams", "source_system": "odd", "key": "no",
    "columns": {"name": "title", "noted by": {"column": "seller", "lookup": "users"}}}');
SELECT t.name, u.name AS noted_by FROM crm.teams AS t JOIN crm.users AS u ON u.id = t."noted by";

-- mistakes in the mapping are refused and change nothing
\set SHOW_CONTEXT never
SELECT crm.import_table('staging.deals', '{"target": "opportunities"}');
SELECT crm.import_table('staging.deals', '{"target": "nothing", "source_system": "x", "key": "no", "columns": {"name": "no"}}');
SELECT crm.import_table('staging.deals', '{"target": "accounts", "source_system": "x", "key": "no", "columns": {"name": "title", "city": "town"}}');
SELECT crm.import_table('staging.deals', '{"target": "accounts", "source_system": "x", "key": "no", "columns": {"nome": "no"}}');
SELECT crm.import_table('staging.deals', '{"target": "accounts", "source_system": "x", "key": "no", "columns": {"name": {"lookup": "accounts"}}}');
SELECT crm.import_table('staging.deals', '{"target": "accounts", "source_system": "x", "key": "no", "date_order": "soon", "columns": {"name": "no"}}');
SELECT crm.retry_import(0);
ROLLBACK;
