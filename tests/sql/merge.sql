-- Contacts and accounts that are there twice made one: what refers to either refers to the one that goes on, of whatever table.
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
INSERT INTO crm.users (id, name) VALUES (9601, 'Ann'), (9602, 'Ben');
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) VALUES ('EUR', 'USD', '2020-01-01', 2);
CREATE TABLE public.visits_9601 (tenant_id bigint NOT NULL DEFAULT crm.tenant_id(), id bigint, account_id bigint, contact_id bigint, PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, account_id) REFERENCES crm.accounts (tenant_id, id), FOREIGN KEY (tenant_id, contact_id) REFERENCES crm.contacts (tenant_id, id));
ALTER TABLE crm.accounts ADD COLUMN vat text, ADD CONSTRAINT accounts_vat_key UNIQUE (tenant_id, vat);

-- accounts: one below the other, with all that hangs on them
INSERT INTO crm.accounts (id, name, tags, roles, currency, parent_id, owner_id) VALUES
    (9601, 'Top', '{}', '{prospect}', 'USD', NULL, NULL), (9602, 'Acme Ltd', '{b}', '{customer}', 'EUR', 9601, 9602), (9603, 'Acme', '{a}', '{prospect}', 'USD', 9602, NULL),
    (9604, 'Branch', '{}', '{prospect}', 'USD', 9602, NULL);
UPDATE crm.accounts SET annual_revenue = 100, city = 'Leeds', vat = 'GB1', source_system = 'old', source_id = 'A2', shared_user_ids = '{9601}' WHERE id = 9602;
UPDATE crm.accounts SET source_system = 'old', source_id = 'A1' WHERE id = 9603;
INSERT INTO crm.contacts (id, name, account_id) VALUES (9601, 'Mina', 9602);
INSERT INTO crm.contact_points (account_id, kind, value) VALUES (9602, 'email', 'info@acme.example'), (9602, 'web', 'acme.example'), (9603, 'email', 'Info@Acme.example');
INSERT INTO crm.relationships (from_account_id, to_account_id, kind) VALUES (9602, 9603, 'supplies'), (9602, 9604, 'supplies'), (9603, 9604, 'supplies');
INSERT INTO crm.account_needs (account_id, need) VALUES (9602, 'speed'), (9602, 'price'), (9603, 'speed');
INSERT INTO crm.activities (kind, subject, related_table, related_id) VALUES ('call', 'hello', 'accounts', 9602);
INSERT INTO crm.products (id, name, list_price, currency) VALUES (9601, 'Pump', 100, 'EUR');
INSERT INTO crm.orders (id, account_id, contact_id) VALUES (9601, 9602, 9601);
INSERT INTO crm.order_lines (order_id, product_id) VALUES (9601, 9601);
SELECT (crm.post_invoice((crm.invoice_order(9601)).id)).state;
INSERT INTO public.visits_9601 VALUES (DEFAULT, 1, 9602, 9601);
SELECT crm.merge_accounts(9603, 9603);
SELECT crm.merge_accounts(-1, 9603);
SELECT m.name, m.city, m.annual_revenue, m.currency, m.tags, m.roles, m.parent_id, m.vat, m.shared_user_ids, m.source_id FROM crm.merge_accounts(9602, 9603) AS m;
SELECT a.id, a.name, a.parent_id FROM crm.accounts AS a WHERE a.id BETWEEN 9601 AND 9604 ORDER BY 1;
SELECT 'contacts' AS of, array_agg(c.account_id) AS account FROM crm.contacts AS c WHERE c.id = 9601
UNION ALL SELECT 'points', array_agg(p.account_id) FROM crm.contact_points AS p WHERE p.account_id BETWEEN 9601 AND 9604
UNION ALL SELECT 'activities', array_agg(v.account_id) FROM crm.activities AS v WHERE v.subject = 'hello'
UNION ALL SELECT 'needs', array_agg(n.account_id) FROM crm.account_needs AS n WHERE n.account_id BETWEEN 9601 AND 9604
UNION ALL SELECT 'invoices', array_agg(i.account_id) FROM crm.invoices AS i WHERE i.order_id = 9601
UNION ALL SELECT 'own', array_agg(v.account_id) FROM public.visits_9601 AS v
UNION ALL SELECT 'sums', array_agg(d.account_id) FROM crm_analytics.account_days AS d WHERE d.account_id BETWEEN 9601 AND 9604;
SELECT r.from_account_id, r.to_account_id FROM crm.relationships AS r WHERE r.kind = 'supplies';
-- what another system calls it: by the API, by a lookup, and by an import of it, which does not bring it back
SELECT crm.find_record('accounts', 'old', 'A2') AS found;
CREATE TEMP TABLE again (k text, title text);
INSERT INTO again VALUES ('A2', 'Acme Ltd'), ('A3', 'New');
SELECT b.rows_read, b.rows_inserted, b.rows_unchanged FROM crm.import_table('again', '{"target": "accounts", "source_system": "old", "key": "k", "columns": {"name": "title"}}') AS b;
SELECT r.source_id, r.state, r.target_id = 9603 AS into_it, r.hint FROM crm.import_rows AS r WHERE r.source_id IN ('A2', 'A3') ORDER BY 1;
CREATE TEMP TABLE deals (k text, of text);
INSERT INTO deals VALUES ('D1', 'A2');
SELECT b.rows_inserted FROM crm.import_table('deals', '{"target": "opportunities", "source_system": "old", "key": "k", "columns": {"name": "k", "account_id": {"column": "of", "lookup": "accounts"}}}') AS b;
SELECT o.account_id FROM crm.opportunities AS o WHERE o.source_id = 'D1';

-- contacts
INSERT INTO crm.contacts (id, name, title) VALUES (9611, 'M. Tehrani', 'CTO'), (9612, 'Mina Tehrani', NULL), (9613, 'Other', NULL);
INSERT INTO crm.relationships (from_contact_id, to_contact_id, kind, valid) VALUES (9611, 9612, 'knows', '[2026-01-01,)'), (9611, 9613, 'knows', '[2026-01-01,)'),
    (9612, 9613, 'knows', '[2026-02-01,)'), (9612, 9613, 'knew', '[2020-01-01,2021-01-01)');
INSERT INTO crm.tickets (id, subject) VALUES (9611, 'loud');
INSERT INTO crm.ticket_followers (ticket_id, contact_id) VALUES (9611, 9611), (9611, 9612);
UPDATE crm.orders SET contact_id = 9611 WHERE id = 9601;
SELECT m.name, m.title FROM crm.merge_contacts(9611, 9612) AS m;
SELECT r.from_contact_id, r.to_contact_id, r.kind FROM crm.relationships AS r WHERE r.from_contact_id = 9612 OR r.to_contact_id = 9612 ORDER BY 3;
SELECT f.contact_id FROM crm.ticket_followers AS f WHERE f.ticket_id = 9611;
-- the other way about in the tree: the one that goes on stands above
INSERT INTO crm.accounts (id, name, parent_id) VALUES (9621, 'A', NULL), (9622, 'B', 9621), (9623, 'C', 9622);
SELECT m.parent_id FROM crm.merge_accounts(9623, 9621) AS m;
SELECT a.id, a.parent_id FROM crm.accounts AS a WHERE a.id BETWEEN 9621 AND 9623 ORDER BY 1;
ROLLBACK;
