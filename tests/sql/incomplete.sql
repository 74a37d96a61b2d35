-- Required fields and columns, and retired choices: what comes in is kept, people's writes are held to it, nothing else is blocked.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
BEGIN;
SELECT tenant_id AS fa FROM crm.create_tenant('Sherkat', language => 'fa') \gset
SET LOCAL crm.tenant = '1';
INSERT INTO crm.contacts (id, name) VALUES (9601, 'Mina');
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (9601, 'email', 'mina@x.example');
SELECT ticket_id AS solved FROM crm.receive_message('mail', 'q', from_address => 'mina@x.example', external_id => '<1>') \gset
SELECT count(crm.resolve_ticket(:solved));
INSERT INTO crm.custom_fields (tenant_id, table_name, name, type, required, choices)
SELECT t, v.* FROM (VALUES ('leads', 'origin', 'text', true, NULL::text[]), ('tickets', 'cat', 'text', true, NULL), ('accounts', 'vat', 'text', true, NULL),
    ('contacts', 'role', 'text', true, NULL), ('opportunities', 'reason', 'text', true, NULL), ('leads', 'many', 'choices', false, '{a,b,c}'),
    ('leads', 'one', 'choice', false, '{a,b}')) AS v, unnest(ARRAY[1, :fa]) AS t;
UPDATE crm.stages SET required_columns = '{industry}' WHERE code = 'new' AND pipeline_id IN (SELECT id FROM crm.pipelines WHERE subject_table = 'leads');

-- ---- kept: forms, mails, late answers, conversions; in both companies ----
SELECT id AS lead FROM crm.capture_lead('{"name": "F", "company": "Co", "email": "f@x.example", "custom": {"many": ["a", "b"], "one": "a"}}') \gset
SELECT ticket_id AS ticket FROM crm.receive_message('mail', 'Help', from_address => 'a@x.example', subject => 'Help') \gset
SELECT ticket_id <> :solved AS follow_up FROM crm.receive_message('mail', 'again', from_address => 'mina@x.example', external_id => '<2>', in_reply_to => '<1>',
    sent_at => now() + interval '30 days');
SELECT subject_table, count(*), array_agg(DISTINCT missing::text) AS missing FROM crm_analytics.incomplete_records GROUP BY 1 ORDER BY 1;
SET LOCAL crm.tenant = :fa;
SELECT count(crm.capture_lead('{"name": "ف", "email": "fa@x.example"}'));
SELECT count(crm.receive_message('mail', 'سلام', from_address => 'fa@x.example'));
SELECT subject_table, missing FROM crm_analytics.incomplete_records WHERE tenant_id = :fa ORDER BY 1;
SET LOCAL crm.tenant = '1';

-- ---- people: asked for it; and nothing they do not touch is blocked ----
CREATE ROLE regress_incomplete;
INSERT INTO crm.users (id, name) VALUES (9601, 'Agent');
SELECT count(crm.grant_access('regress_incomplete', 'agent', 9601));
SET LOCAL ROLE regress_incomplete;
SET LOCAL crm.incomplete_kept = 1;
SELECT crm.keep_incomplete();
INSERT INTO crm.leads (name) VALUES ('p');
INSERT INTO crm.leads (name, custom) VALUES ('p', '{"origin": "web"}');
INSERT INTO crm.leads (id, name, industry, custom) VALUES (9603, 'p', 'steel', '{"origin": "web"}') RETURNING industry;
UPDATE crm.leads SET city = 'Bonn', custom = custom || '{"one": "b"}' WHERE id = :lead;
UPDATE crm.leads SET city = 'Bonn' WHERE id = :lead RETURNING city, industry;
UPDATE crm.leads SET custom = custom || '{"origin": "fair"}' WHERE id = :lead RETURNING custom;
UPDATE crm.leads SET custom = custom - 'origin' WHERE id = :lead;
UPDATE crm.leads SET industry = 'steel' WHERE id = :lead RETURNING industry;
UPDATE crm.leads SET industry = ' ' WHERE id = 9603;
SELECT missing FROM crm_analytics.incomplete_records WHERE subject_table = 'leads' AND subject_id = :lead;
RESET ROLE;
SHOW crm.incomplete_kept;

-- ---- a retired choice: other fields, other elements; it comes back nowhere ----
UPDATE crm.custom_fields SET choices = '{b,c}' WHERE tenant_id = 1 AND name IN ('many', 'one');
UPDATE crm.leads SET custom = custom || '{"origin": "web"}' WHERE id = :lead;
UPDATE crm.leads SET custom = custom || '{"many": ["a", "c"]}' WHERE id = :lead RETURNING custom;
UPDATE crm.leads SET custom = custom || '{"many": ["c", "z"]}' WHERE id = :lead;
UPDATE crm.leads SET custom = custom || '{"one": "c"}' WHERE id = :lead;
UPDATE crm.leads SET custom = custom || '{"one": "a"}' WHERE id = :lead;
UPDATE crm.leads SET custom = custom - 'many' WHERE id = :lead;
UPDATE crm.leads SET custom = custom || '{"many": ["a"]}' WHERE id = :lead;
DELETE FROM crm.custom_fields WHERE tenant_id = 1 AND table_name = 'leads' AND name = 'one';
UPDATE crm.leads SET custom = custom || '{"many": ["b"]}' WHERE id = :lead RETURNING custom;

-- ---- a merge carries what both hold; a conversion takes values ----
INSERT INTO crm.leads (id, name, industry, custom) VALUES (9602, 'twin', 'x', '{"origin": "o", "many": ["c"]}');
UPDATE crm.custom_fields SET choices = '{b}' WHERE tenant_id = 1 AND name = 'many';
INSERT INTO crm.custom_fields (table_name, name, type, required) VALUES ('leads', 'newer', 'text', true);
SELECT custom FROM crm.merge_leads(9602, :lead);
SELECT contact_id AS contact, account_id AS account, opportunity_id AS deal FROM crm.convert_lead(:lead, true, '{"custom": {"reason": "asked"}}',
    contact => '{"custom": {"role": "buyer"}, "title": "Dr"}', account => '{"custom": {"vat": "7"}, "city": "Köln"}') \gset
SELECT c.title, c.custom, a.city, a.custom, o.custom FROM crm.contacts AS c, crm.accounts AS a, crm.opportunities AS o
WHERE c.id = :contact AND a.id = :account AND o.id = :deal;
SELECT count(crm.convert_lead((SELECT id FROM crm.leads WHERE name = 'p'), contact => '{"colour": 1}'));
SELECT id AS plain FROM crm.capture_lead('{"name": "G", "company": "Other", "email": "g@x.example"}') \gset
SELECT count(crm.convert_lead(:plain));
SELECT subject_table, missing FROM crm_analytics.incomplete_records WHERE tenant_id = 1 AND subject_table IN ('accounts', 'contacts', 'opportunities')
   AND subject_id <> 9601 ORDER BY 1;
ROLLBACK;
