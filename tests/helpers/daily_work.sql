-- What is done every day, by the functions that write rows of many columns. Included by tests within a transaction; prints t for each that went well.
INSERT INTO crm.users (id, name) VALUES (960001, 'Anna'), (960002, 'Ben');
SELECT l.id AS lead FROM crm.capture_lead('{"name": "Ada", "company": "Engines Ltd", "email": "ada@work.example", "phone": "+44 20 7946 0018", "source": "fair"}') AS l \gset
SELECT l.capture_count = 2 AS captured_again FROM crm.capture_lead('{"email": "ada@work.example", "message": "again"}') AS l;
SELECT l.id AS other FROM crm.capture_lead('{"name": "Adah", "email": "adah@work.example"}') AS l \gset
SELECT l.id = :lead AS leads_merged FROM crm.merge_leads(:other, :lead) AS l;
SELECT crm.move('leads', :lead, 'working') IS NOT NULL AS lead_moved;
SELECT c.account_id AS account, c.contact_id AS contact, c.opportunity_id AS deal FROM crm.convert_lead(:lead, true) AS c \gset
SELECT crm.move('opportunities', :deal, 'negotiation') IS NOT NULL AS deal_moved;
INSERT INTO crm.contacts (id, name, account_id) VALUES (960001, 'Ada L', :account);
SELECT count(*) = 1 AS contacts_merged FROM crm.merge_contacts(960001, :contact) AS c;
INSERT INTO crm.activities (kind, subject, related_table, related_id) VALUES ('call', 'Talk', 'opportunities', :deal);
INSERT INTO crm.orders (account_id, amount, ordered_at) VALUES (:account, 100, now());
SELECT k.id AS ticket FROM crm.open_ticket('Broken', contact_id => :contact) AS k \gset
SELECT m.id AS message FROM crm.add_ticket_message(:ticket, 'We look at it') AS m \gset
SELECT m.ticket_id AS mailed FROM crm.receive_message('mail', 'It is broken', 'ada@work.example', 'Three') AS m \gset
SELECT m.id AS second FROM crm.add_ticket_message(:mailed, 'Which one?') AS m \gset
SELECT k.id IS NOT NULL AS ticket_split FROM crm.split_ticket(:mailed, ARRAY[:second]::bigint[], 'Four') AS k;
SELECT k.id = :ticket AS tickets_merged FROM crm.merge_tickets(:mailed, :ticket) AS k;
SELECT crm.move('tickets', :ticket, 'resolved') IS NOT NULL AS ticket_resolved;
SELECT (crm.define_score_model('{"name": "work", "rules": [{"name": "any", "when": "$.name != null", "points": 3}]}')).name = 'work' AS scored;
SELECT count(*) >= 0 AS best FROM crm.top_leads(3, model => 'work') AS t;
SELECT (crm.define_segment('{"name": "work", "subject_table": "accounts", "where": "$.name != null"}')).name = 'work' AS segmented;
SELECT jsonb_typeof(crm_analytics.customer_360(:account)) = 'object' AS known;
SELECT count(*) = 1 AS totalled FROM crm_analytics.customer_totals AS t WHERE t.account_id = :account;
SELECT count(*) > 5 AS maintained FROM crm.run_maintenance() AS m;
