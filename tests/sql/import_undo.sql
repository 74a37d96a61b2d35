-- Imports into every table a migration needs, contact points as columns, and taking an import back.
BEGIN;
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET timezone = 'UTC'; SET datestyle = 'ISO';

-- which registered tables are no targets; a new one must be one, or stand here with its reason
SELECT r.subject AS "neither a target nor a reason"
FROM crm.registry AS r
WHERE r.class NOT IN ('owner', 'lookup', 'log') AND coalesce(r.options -> 'import', 'false') = 'false'
  AND r.subject NOT IN (
      -- how a company works is set up by its functions, not migrated as rows: define_pipeline(), define_calendar() and the like
      SELECT c.subject FROM crm.registry AS c WHERE c.class = 'configuration'
      UNION ALL VALUES
      ('import_batches'), ('import_rows'), ('import_extras'),           -- the imports themselves
      ('approvals'), ('ticket_followers'), ('article_deflections'), ('activity_participants'),   -- made by what people do here
      ('articles'), ('article_versions'), ('survey_responses'),         -- written by their functions, which keep versions and tokens
      ('external_ids'), ('score_events'),                               -- written by applications through their functions
      ('message_templates'),                                            -- written here, with their variables checked
     ('agents'), ('user_skills'),                                      -- how people work here
      ('value_models'), ('rfm_edges'), ('winback_members'),             -- fitted here
      ('account_needs'), ('wallet_declarations'))                       -- written by their functions
  AND NOT (r.class IN ('work', 'child', 'catalogue', 'owned') AND crm.subject_relation(r.subject)::text LIKE 'crm_internal.%')
  AND NOT EXISTS (SELECT FROM pg_class AS k WHERE k.oid = r.relation AND k.relname ~ '^(campaign|consent|suppression|touch|outbound|mix|attribution|webhook|api)')
ORDER BY 1;

CREATE TABLE s_people (id text, first_name text, last_name text, company text, mail text, "mail 2" text, tel text, cell text);
INSERT INTO s_people VALUES
    ('1', 'Mina', 'Tehrani', 'Velo Nord', ' Mina@Example.com ', '', '+98 912 345 6789', ''),
    ('2', 'Ali', '', 'velo  nord', 'ali@example.com; ali@home.example', 'ALI@home.example', '', '+1 212 555 2368'),
    ('3', 'Bad', 'Mail', '', 'nobody at home', '', '', '');
CREATE FUNCTION pg_temp.go(source regclass, mapping jsonb) RETURNS TABLE (read bigint, inserted bigint, updated bigint, unchanged bigint, bad bigint)
LANGUAGE sql AS $$ SELECT b.rows_read, b.rows_inserted, b.rows_updated, b.rows_unchanged, b.rows_bad FROM crm.import_table(source, mapping) AS b $$;
\set people '{"target": "contacts", "source_system": "old", "key": "id", "columns": {"name": ["first_name", "last_name"], "account_id": {"column": "company", "lookup": "accounts", "missing": "create"}, "email": "mail", "email.home": "mail 2", "phone": "tel", "mobile": "cell"}}'
SELECT * FROM pg_temp.go('s_people', :'people');
SELECT line, column_name, value, reason, hint FROM crm.import_rows WHERE state = 'bad';
SELECT c.name, a.name AS account, p.kind, p.value, p.label, p.is_primary FROM crm.contacts AS c LEFT JOIN crm.accounts AS a ON a.id = c.account_id
LEFT JOIN crm.contact_points AS p ON p.contact_id = c.id ORDER BY c.name, p.kind, p.value;
-- again: nothing new; a new address makes a changed row
SELECT * FROM pg_temp.go('s_people', :'people');
UPDATE s_people SET cell = '+98 21 1234 5678' WHERE id = '1';
SELECT * FROM pg_temp.go('s_people', :'people');

-- prices, rates, quotas, tickets and their messages, activities, lines
CREATE TABLE s_books (name text, cur text);
INSERT INTO s_books VALUES ('Retail', 'EUR'), ('Partner', NULL);
SELECT * FROM pg_temp.go('s_books', '{"target": "price_books", "source_system": "old", "key": "name", "columns": {"name": "name", "currency": "cur"}}');
SELECT name, currency FROM crm.price_books ORDER BY name;
CREATE TABLE s_prices (book text, product text, price text, since text);
INSERT INTO s_prices VALUES ('Retail', 'Bell', '12,50 €', '01.02.2026'), ('retail', 'Light', '1.250,00', '01.02.2026'), ('Nobody', 'Bell', '1', '');
SELECT * FROM pg_temp.go('s_prices', '{"target": "prices", "source_system": "old", "key": ["book", "product"], "decimal": ",", "date_order": "dmy",
    "columns": {"price_book_id": {"column": "book", "lookup": "price_books"}, "product_id": {"column": "product", "lookup": "products", "missing": "create"}, "price": "price", "valid_from": "since"}}');
SELECT p.name, x.price, x.valid_from FROM crm.prices AS x JOIN crm.products AS p ON p.id = x.product_id ORDER BY 1;
CREATE TABLE s_rates (a text, b text, day text, rate text);
INSERT INTO s_rates VALUES ('eur', 'usd', '2026-01-01', '1.08'), ('US Dollar', 'EUR', '2026-01-01', '0.92'), ('XXQ', 'EUR', '2026-01-01', '1');
SELECT * FROM pg_temp.go('s_rates', '{"target": "exchange_rates", "source_system": "old", "key": ["a", "b", "day"], "columns": {"from_currency": "a", "to_currency": "b", "valid_from": "day", "rate": "rate"}}');
SELECT from_currency, to_currency, valid_from, rate FROM crm.exchange_rates WHERE source_system = 'old' ORDER BY 1;
CREATE TABLE s_quotas (who text, quarter text, goal text);
INSERT INTO s_quotas VALUES ('Sara', '2026-Q1', '100000'), ('Sara', '2026-Q2', '120000'), ('Sara', 'soon', '1');
SELECT * FROM pg_temp.go('s_quotas', '{"target": "quotas", "source_system": "old", "key": ["who", "quarter"], "columns": {"user_id": {"column": "who", "lookup": "users", "missing": "create"}, "period": "quarter", "amount": "goal"}}');
SELECT period, amount, currency FROM crm.quotas ORDER BY 1;
CREATE TABLE s_tickets (no text, subject text, who text, prio text, labels text);
INSERT INTO s_tickets VALUES ('T1', 'Flat tyre', 'ali@example.com', 'High', 'tyre; front'), ('T2', 'Noise', 'Mina Tehrani', 'normal', 'a, b');
SELECT * FROM pg_temp.go('s_tickets', '{"target": "tickets", "source_system": "old", "key": "no", "columns": {"subject": "subject", "contact_id": {"column": "who", "lookup": "contacts"}, "priority": "prio", "tags": "labels"}}');
SELECT t.subject, c.name, t.priority, t.tags FROM crm.tickets AS t JOIN crm.contacts AS c ON c.id = t.contact_id ORDER BY 1;
CREATE TABLE s_messages (no text, ticket text, text text, at text);
INSERT INTO s_messages VALUES ('m1', 'T1', 'My tyre is flat.', '2026-01-03 10:00'), ('m2', 'T9', 'Lost', '2026-01-03 10:00');
SELECT * FROM pg_temp.go('s_messages', '{"target": "ticket_messages", "source_system": "old", "key": "no", "columns": {"ticket_id": {"column": "ticket", "lookup": "tickets"}, "body": "text", "sent_at": "at",
    "direction": {"value": "in"}, "channel": {"value": "mail"}, "author_kind": {"value": "customer"}}}');
CREATE TABLE s_calls (no text, what text, who text, at text);
INSERT INTO s_calls VALUES ('c1', 'Call back', 'mina@example.com', '1403/10/14');
SELECT * FROM pg_temp.go('s_calls', '{"target": "activities", "source_system": "old", "key": "no", "columns": {"kind": {"value": "call"}, "subject": "what", "contact_id": {"column": "who", "lookup": "contacts"}, "done_at": "at"}}');
SELECT a.subject, c.name, a.done_at FROM crm.activities AS a JOIN crm.contacts AS c ON c.id = a.contact_id ORDER BY 1;

-- taking back: new rows go, changed ones get their values, what was touched or is referred to since stays and says why
CREATE TABLE s_companies (k text, name text, city text, staff text);
INSERT INTO s_companies VALUES ('a', 'Alpha', 'Bonn', '10'), ('b', 'Beta', 'Köln', '20'), ('c', 'Gamma', 'Essen', '30'), ('d', 'Delta', 'Ulm', '40');
\set companies '{"target": "accounts", "source_system": "u", "key": "k", "columns": {"name": "name", "city": "city", "employees": "staff", "email": "mail"}}'
ALTER TABLE s_companies ADD mail text;
UPDATE s_companies SET mail = 'info@' || lower(name) || '.example';
SELECT * FROM pg_temp.go('s_companies', :'companies');
SELECT max(id) AS first FROM crm.import_batches \gset
UPDATE s_companies SET staff = staff || '0', city = '' WHERE k IN ('a', 'b');
SELECT * FROM pg_temp.go('s_companies', :'companies');
SELECT max(id) AS second FROM crm.import_batches \gset
SELECT name, city, employees FROM crm.accounts WHERE source_system = 'u' ORDER BY 1;
UPDATE crm.accounts SET employees = 999 WHERE source_system = 'u' AND name = 'Beta';
SELECT rows_undone, undone_at IS NOT NULL AS undone FROM crm.undo_import(:second);
SELECT line, state, reason, hint FROM crm.import_rows WHERE batch_id = :second AND state <> 'unchanged' ORDER BY line;
SELECT name, city, employees FROM crm.accounts WHERE source_system = 'u' ORDER BY 1;
INSERT INTO crm.contacts (name, account_id) SELECT 'New here', id FROM crm.accounts WHERE source_system = 'u' AND name = 'Gamma';
SELECT rows_undone FROM crm.undo_import(:first);
SELECT line, state, reason FROM crm.import_rows WHERE batch_id = :first ORDER BY line;
SELECT a.name, count(p.id) AS points FROM crm.accounts AS a LEFT JOIN crm.contact_points AS p ON p.account_id = a.id WHERE a.source_system = 'u' GROUP BY 1 ORDER BY 1;
SELECT crm.undo_import(:first);
-- what lookups created goes where nobody uses it
CREATE TABLE s_deals (no text, who text);
INSERT INTO s_deals VALUES ('1', 'Only here'), ('2', 'ONLY  here');
SELECT * FROM pg_temp.go('s_deals', '{"target": "opportunities", "source_system": "u", "key": "no", "columns": {"name": "no", "account_id": {"column": "who", "lookup": "accounts", "missing": "create"}}}');
SELECT rows_undone FROM crm.undo_import((SELECT max(id) FROM crm.import_batches));
SELECT count(*) FROM crm.accounts WHERE name ILIKE 'only%';
ROLLBACK;
-- a date that was planned is not that of the closing; what the closing write says is
BEGIN;
INSERT INTO crm.opportunities (name, amount, close_date) VALUES ('planned', 1, current_date + 400), ('said', 1, current_date + 400);
UPDATE crm.opportunities SET stage_id = (SELECT s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.id = s.pipeline_id WHERE p.code = 'sales' AND s.code = 'won'),
    close_date = CASE name WHEN 'said' THEN crm.local_day(crm.tenant_id(), now()) - 3 ELSE close_date END WHERE name IN ('planned', 'said');
SELECT name, close_date - (closed_at AT TIME ZONE 'UTC')::date AS days_from_closing FROM crm.opportunities WHERE name IN ('planned', 'said') ORDER BY name;
ROLLBACK;
