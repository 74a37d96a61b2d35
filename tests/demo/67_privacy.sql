\echo
\echo '== Privacy: everything about one person, the person erased, the reports as before, and nobody back unasked'
SELECT c.id AS person, c.name AS person_name, p.value AS address FROM crm.contacts AS c JOIN crm.contact_points AS p ON p.contact_id = c.id AND p.kind = 'email'
WHERE c.tenant_id = 1 ORDER BY c.id LIMIT 1 \gset
SELECT count(*) AS deals, sum(o.amount) AS amount FROM crm.opportunities AS o WHERE o.tenant_id = 1;
SELECT k AS about_them, jsonb_array_length(v) AS n FROM jsonb_each(crm.export_person(:person, 'demonstration') -> 'records') AS e (k, v)
WHERE k IN ('contacts', 'leads', 'contact_points', 'opportunities', 'tickets', 'activities') ORDER BY 1;
SELECT done, sum(row_count) AS n, count(DISTINCT table_name) AS tables FROM crm.erase_person(:person, 'demonstration') GROUP BY 1 ORDER BY 1;
SELECT c.name, c.title FROM crm.contacts AS c WHERE c.tenant_id = 1 AND c.id = :person;
SELECT count(*) AS deals, sum(o.amount) AS amount FROM crm.opportunities AS o WHERE o.tenant_id = 1;
SELECT count(*) AS rollups_that_differ FROM crm.rollups AS r, crm.verify_rollup(r.name) AS v;
\set ON_ERROR_STOP 0
INSERT INTO crm.leads (name, email) VALUES (:'person_name', :'address');
\set ON_ERROR_STOP 1
\echo
\echo '== Somebody objects: stored and not used; and how long the company keeps what it knows'
INSERT INTO crm.contacts (name) VALUES ('Lena Fischer') RETURNING id AS objector \gset
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (:objector, 'email', 'lena.fischer@objects.example');
SELECT subject_table, ground FROM crm.restrict_person(:objector, 'letter of today', 'objection') ORDER BY 1;
SELECT allowed, reason FROM crm.may_contact('contacts', :objector, 'service', 'email');
SELECT count(*) > 0 AS lifted FROM crm.lift_restriction(:objector, 'answered');
INSERT INTO crm.retention_policies (name, subject_table, counted_from, kept_for, action, reason)
VALUES ('leads that came to nothing', 'leads', 'closed_at', '2 years', 'erase', 'nobody asks for them any more');
INSERT INTO crm.retention_policies (name, subject_table, condition, counted_from, kept_for, action, reason)
VALUES ('what customers wrote', 'ticket_messages', '$.author_kind == "customer"', 'sent_at', '3 years', 'empty', 'limitation of claims');
SELECT policy, action, kept_for, records AS due_in_a_year FROM crm.retention_status(now() + interval '1 year');
SELECT crm.apply_retention(batch => 2) >= 0 AS applied;
