-- Nothing new goes to who is away; a capture keeps what is good of its custom fields; tickets are merged and split whatever has been required since.
BEGIN;
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
INSERT INTO crm.custom_fields (table_name, name, type, required) VALUES ('leads', 'size', 'integer', false), ('leads', 'color', 'text', false), ('tickets','serial','text',false);
SET LOCAL client_min_messages = error;
SELECT custom FROM crm.capture_lead('{"name": "A", "email": "a@x.example", "custom": {"size": 4, "colr": "red", "color": "blue", "zz": 1}}');
SELECT payload FROM crm.events WHERE kind = 'lead.trouble';
SELECT custom FROM crm.capture_lead('{"name": "A", "email": "a@x.example", "custom": {"size": "four", "color": "green"}}');
INSERT INTO crm.users (id,name) VALUES (9801,'Away'),(9802,'There');
INSERT INTO crm.teams (id,name) VALUES (9801,'T'); INSERT INTO crm.team_memberships (team_id,user_id) VALUES (9801,9801),(9801,9802);
INSERT INTO crm.agents (user_id, capacity) VALUES (9801,100),(9802,1);
INSERT INTO crm.queues (code,name,team_id,routing_method) VALUES ('help','H',9801,'round_robin');
SELECT id t1 FROM crm.open_ticket('one', queue => 'help') \gset
SELECT id t2 FROM crm.open_ticket('two', queue => 'help') \gset
SELECT owner_id FROM crm.tickets ORDER BY id;
SELECT state, handed FROM crm.hand_over(9801, 9802, ends_at => now() + interval '3 days');
SELECT id t3 FROM crm.open_ticket('three', queue => 'help') \gset
SELECT subject, owner_id FROM crm.tickets ORDER BY id;
-- back: what was handed over comes back, and what waits is served
SELECT crm.run_hand_overs(now() + interval '4 days');
SELECT subject, owner_id FROM crm.tickets ORDER BY id;
INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, body) VALUES (:t1,'mail','in','customer','x'),(:t1,'mail','in','customer','y');
INSERT INTO crm.custom_fields (table_name, name, type, required) VALUES ('tickets','must','text',true);
SELECT split_from_id = :t1 AS split FROM crm.split_ticket(:t1, ARRAY[(SELECT max(id) FROM crm.ticket_messages WHERE ticket_id = :t1)]) ;
SELECT subject FROM crm.merge_tickets(:t2, :t1);
SELECT subject_table, count(*), min(missing) AS missing FROM crm_analytics.incomplete_records GROUP BY 1;
-- who may change neither may do neither
CREATE ROLE regress_kept; SELECT count(*) FROM crm.grant_access('regress_kept','agent',9802);
SELECT id t4 FROM crm.open_ticket('four', custom => '{"must": "x"}', owner_id => 9801) \gset
SET ROLE regress_kept;
\set VERBOSITY sqlstate
SELECT crm.merge_tickets(:t4, :t1);
SELECT crm.split_ticket(:t4, '{1}');
\set VERBOSITY default
RESET ROLE;
ROLLBACK;
