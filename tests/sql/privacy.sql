-- Privacy: everything about one person in one document, and a person erased from everywhere.
-- long: 40 s
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\set VERBOSITY terse
\pset format unaligned
\pset footer off
SET client_min_messages = warning;

-- ---- over the catalogue: every column declared personal is erased by somebody ----
-- Rows of a table are reached by links from people, or are told apart by what is in them; and each column has something to become.
WITH RECURSIVE ways AS MATERIALIZED (SELECT * FROM crm_internal.ways_down()),
reached (subject) AS (
    SELECT r.subject FROM crm.registered_as('person') AS r
    UNION
    SELECT w.subject FROM reached AS p JOIN ways AS w ON w.target = p.subject OR w.target IS NULL
)
SELECT r.subject, p.name AS personal_column_nobody_erases
FROM crm.registered_as('personal') AS r, jsonb_array_elements_text(r.options -> 'personal') AS p (name)
LEFT JOIN LATERAL (SELECT c.becomes, c.because FROM crm_internal.erased_columns(r.relation) AS c WHERE c.name = p.name) AS c ON true
WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = r.relation AND a.attname = p.name AND a.attgenerated <> '')
  AND r.options #>> '{erase,rows}' IS DISTINCT FROM 'delete'
  AND r.options #> ARRAY['erase', 'kept', p.name] IS NULL AND NOT coalesce(r.options #> '{erase,hash}' ? p.name, false)
  AND NOT coalesce(r.options #> '{erase,clean}' ? p.name, false)
  AND (c.becomes IS NULL
       OR r.subject NOT IN (SELECT subject FROM reached)
          AND NOT (r.relation IN (SELECT t.relation FROM crm_internal.tables_with_texts() AS t WHERE t.cleaned)
                   AND p.name IN (SELECT x.name FROM crm_internal.text_columns(r.relation) AS x)));
-- the same of a table that somebody adds: a number says something of people, and no link tells of whom
BEGIN;
CREATE TABLE public.privacy_own (tenant_id bigint NOT NULL DEFAULT 1, id bigint PRIMARY KEY, shoe_size integer NOT NULL, note text);
SELECT crm.attach('public.privacy_own', '{"personal": ["shoe_size", "note"]}');
SELECT c.name, c.becomes FROM crm_internal.erased_columns('public.privacy_own') AS c;
SELECT crm.attach('public.privacy_own', '{"erase": {"kept": {"note": {}}}}');
SELECT crm.attach('public.privacy_own', '{"erase": {"set": {"shoes": "NULL"}}}');
SELECT crm.attach('public.privacy_own', '{"erase": {"rows": "forget"}}');
SELECT crm.attach('public.privacy_own', '{"erase": {"drop": true}}');
ROLLBACK;

-- ---- a person with everything, in a generated company ----
SELECT count(*) > 0 AS generated FROM crm.generate_demo(1, 42);
SELECT table_name, active FROM crm.start_audit();
INSERT INTO crm.custom_fields (tenant_id, table_name, name, type, personal) VALUES (1, 'contacts', 'allergy', 'text', false), (1, 'opportunities', 'decides', 'text', true), (1, 'opportunities', 'colour', 'text', false);
SELECT s.name FROM crm.define_segment('{"name": "Doctors", "subject_table": "contacts", "where": "$.title == \"Doctor\""}') AS s;
CREATE SCHEMA privacy;
CREATE TABLE privacy.people (code text, name text, mail text, phone text, title text);
INSERT INTO privacy.people VALUES ('Z-77', 'Zarathustra Quill', 'z.quill@Example.org', '+49 30 5557701', 'Doctor'), ('Z-78', 'Other Person', 'other@example.org', '+49 30 5557702', 'Nurse');
SELECT rows_inserted, rows_bad FROM crm.import_table('privacy.people', '{"target": "contacts", "source_system": "clinic", "key": "code",
    "columns": {"name": "name", "title": "title", "email": "mail", "phone": "phone"}}');
SELECT c.id AS z FROM crm.contacts AS c WHERE c.source_id = 'Z-77' \gset
SELECT c.id AS other FROM crm.contacts AS c WHERE c.source_id = 'Z-78' \gset
SELECT min(a.id) AS account FROM crm.accounts AS a \gset
UPDATE crm.contacts SET name = 'Zara Former-Name', account_id = :account, birth_date = '1971-02-03', preferences = '{"tea": "Zarathustra Quill likes green"}',
    custom = '{"allergy": "nuts of z.quill"}' WHERE id = :z;
UPDATE crm.contacts SET name = 'Zarathustra Quill' WHERE id = :z;
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (:z, 'mobile', '0170 555 7703'), (:z, 'email', 'old.quill@example.net');
DELETE FROM crm.contact_points WHERE value = 'old.quill@example.net';
SELECT (crm.capture_lead('{"channel": "form", "name": "Zarathustra Quill", "email": "z.quill@example.org", "company": "Quill Clinic", "message": "call me",
    "consent": {"email": {"given": true, "text": "yes, says Zarathustra Quill"}}}')).id AS lead \gset
INSERT INTO crm.opportunities (account_id, contact_id, name, amount, custom) VALUES (:account, :z, 'Practice of Zarathustra Quill', 4000, '{"decides": "the wife", "colour": "red"}') RETURNING id AS deal \gset
INSERT INTO crm.opportunities (account_id, contact_id, name, amount) VALUES (:account, :other, 'Introduced by zarathustra  QUILL (z.quill@example.org, 004930-555 77 01)', 100) RETURNING id AS others_deal \gset
INSERT INTO crm.activities (kind, subject, body, account_id, contact_id) VALUES ('call', 'Talk about knees', 'has a bad knee', :account, :z),
    ('note', 'Meeting', 'Zarathustra Quill said: az.quill@example.org is somebody else', :account, :other);
INSERT INTO crm.relationships (kind, from_contact_id, to_contact_id, note) VALUES ('is married to', :z, :other, 'since 1999');
INSERT INTO crm.tickets (subject, description, contact_id, channel) VALUES ('My knee', 'Zarathustra Quill here', :z, 'mail') RETURNING id AS ticket \gset
INSERT INTO crm.ticket_messages (ticket_id, channel, direction, author_kind, author_contact_id, author_address, subject, body)
VALUES (:ticket, 'mail', 'in', 'customer', :z, 'z.quill@example.org', 'My knee', 'It hurts');
SELECT state FROM crm.record_consent('contacts', :z, 'marketing', 'email', true, 'form', wording => 'Zarathustra Quill agrees', address => 'z.quill@example.org');
SELECT reason FROM crm.suppress('email', 'z.quill@example.org', 'complaint', 'provider');
SELECT length(crm.make_opt_out_token('contacts', :z, 'marketing', 'email', 'z.quill@example.org')) > 20 AS token;
INSERT INTO crm.outbound_messages (subject_table, subject_id, purpose, channel, address, subject, body) VALUES ('contacts', :z, 'service', 'sms', '+491705557703', 'Your knee', 'Dear Zarathustra Quill');
INSERT INTO crm.external_ids (subject_table, subject_id, source, external_id) VALUES ('contacts', :z, 'erp', 'quill-1');
BEGIN; SET LOCAL crm.request_id = 'privacy-1'; SELECT crm.call('crm.capture_lead', '{"payload": {"name": "Zarathustra Quill", "email": "z.quill@example.org"}}') IS NOT NULL AS called; COMMIT;
SELECT e.kind FROM crm.emit_event('app.visited', 'contacts', :z, '{"page": "/knees", "name": "Zarathustra Quill", "call": 49305557701}') AS e;
INSERT INTO crm.touches (contact_id, kind, channel, object) VALUES (:z, 'visit', 'web', '/knees?who=z.quill@example.org');
INSERT INTO crm.accounts (name, kind, address) VALUES ('Zarathustra Quill', 'person', 'Knee Road 1') RETURNING id AS own \gset
UPDATE crm.leads SET account_id = :own WHERE id = :lead;
CREATE TABLE privacy.more (code text, name text, mail text);
INSERT INTO privacy.more VALUES ('M-1', 'Zarathustra Quill', 'much');
SELECT rows_inserted, rows_bad FROM crm.import_table('privacy.more', '{"target": "leads", "source_system": "fair", "key": "code", "columns": {"name": "name", "amount": "mail"}}');
SELECT e.kind FROM crm.emit_event('app.heard', 'contacts', :other, '{"call": 49305557701, "keys": {"z.quill@example.org": [1, "Zarathustra Quill"]}}') AS e;
SELECT count(*) > 0 AS sealed FROM (SELECT crm.seal_audit()) AS s;

-- ---- what is looked for, in every column of every table but those of the test ----
CREATE FUNCTION privacy.places(pattern text) RETURNS TABLE (place regclass, n bigint) LANGUAGE plpgsql AS $$
DECLARE c regclass;
BEGIN
    FOR c IN SELECT x.oid FROM pg_class AS x JOIN pg_namespace AS s ON s.oid = x.relnamespace
             WHERE s.nspname IN ('crm', 'crm_internal') AND x.relkind = 'r' ORDER BY s.nspname, x.relname LOOP
        EXECUTE format('SELECT count(*) FROM %s AS x WHERE x::text ~* $1', c) INTO n USING pattern;
        IF n > 0 THEN place := c; RETURN NEXT; END IF;
    END LOOP;
END $$;
\set pattern '(?<![a-z])z\\.quill|zarathustra|former-name|old\\.quill|5557701|5557703|555.?77.?0[13]|knee|nuts|1971-02-03|the wife|quill-1|Z-77'
SELECT place FROM privacy.places(:'pattern');

-- numbers of every report before: identity is no number
CREATE FUNCTION privacy.numbers() RETURNS TABLE (view_name text, hash text) LANGUAGE plpgsql AS $$
BEGIN
    FOR view_name IN SELECT c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind = 'v' ORDER BY 1 LOOP
        EXECUTE format('SELECT md5(coalesce(string_agg(v.said, '';'' ORDER BY v.said), '''')) FROM (SELECT (SELECT string_agg(e.key || e.value::text, '','' ORDER BY e.key) '
                       'FROM jsonb_each(to_jsonb(x)) AS e WHERE jsonb_typeof(e.value) IN (''number'', ''boolean'') AND e.key NOT IN (''version'')) AS said FROM %s AS x) AS v', view_name) INTO hash;
        RETURN NEXT;
    END LOOP;
END $$;
BEGIN;
CREATE TABLE privacy.before AS SELECT * FROM privacy.numbers();
CREATE TABLE privacy.scores_before AS SELECT s.* FROM crm.lead_scores AS s;

-- ---- everything about them ----
SELECT crm.export_person(:z, 'letter of 1 March') AS document \gset
SELECT k AS exported, jsonb_array_length(v) AS n FROM jsonb_each(:'document'::jsonb -> 'records') AS e (k, v) WHERE k NOT IN ('audit_log', 'events') ORDER BY k COLLATE "C";
SELECT :'document'::jsonb -> 'names' AS names, :'document'::jsonb -> 'addresses' AS addresses;
SELECT count(*) AS of_others FROM jsonb_path_query(:'document'::jsonb, '$.records.contacts[*].id') AS i WHERE i::bigint <> :z;
SELECT a.table_name, a.action, a.change -> 'new' ->> 'kind' AS kind, a.change -> 'new' ->> 'reason' AS reason FROM crm.audit_log AS a WHERE a.table_name = 'person_requests' ORDER BY a.id;

-- ---- erased ----
SELECT * FROM crm.erase_person(:z, '');
SELECT * FROM crm.erase_person(999999999, 'who is this');
SELECT * FROM crm.erase_person(:z, 'letter', :lead);
SELECT table_name, column_name, done, row_count, because FROM crm.erase_person(:z, 'letter of Zarathustra Quill, 1 March');
SELECT place FROM privacy.places(:'pattern');
-- only a segment by what was erased
SELECT b.view_name AS report_that_changed FROM privacy.before AS b JOIN privacy.numbers() AS n USING (view_name) WHERE n.hash <> b.hash;
SELECT r.name AS rollup_that_differs, v.* FROM crm.rollups AS r, crm.verify_rollup(r.name) AS v;
SELECT count(*) AS scores_that_differ FROM (SELECT to_jsonb(s) FROM crm.lead_scores AS s EXCEPT SELECT to_jsonb(b) FROM privacy.scores_before AS b) AS d;
SELECT c.name, c.version > 1 AS counted_on, c.account_id = :account AS still_there, c.custom, c.preferences FROM crm.contacts AS c WHERE c.id = :z;
SELECT o.name, o.custom FROM crm.opportunities AS o WHERE o.id IN (:deal, :others_deal) ORDER BY o.id;
SELECT a.body FROM crm.activities AS a WHERE a.contact_id = :other;
SELECT e.payload FROM crm.events AS e WHERE e.kind = 'app.heard';
SELECT state, reason FROM crm.outbound_messages WHERE subject_id = :z;
SELECT member FROM crm.segment_members_at('Doctors') AS m (member) WHERE member = :z;
SELECT q.reason, q.certificate = '[]' AS empty FROM crm.person_requests AS q WHERE q.kind = 'erase';
SELECT e.kind, e.payload -> 'people' -> 'contacts' = jsonb_build_array(:z) AS names_them FROM crm.events AS e WHERE e.kind = 'person.erased';
-- the log of changes is whole, and says what went
SELECT result, CASE WHEN result = 'taken out' THEN entries > 10 END AS many, detail FROM crm.verify_audit() WHERE result <> 'not sealed' AND result <> 'verified';
SELECT crm.record_as_of('contacts', :z, now() - interval '1 microsecond') ->> 'name' AS name_before;
SELECT crm.undelete('contact_points', (SELECT max(a.record_id) FROM crm.audit_log AS a WHERE a.table_name = 'contact_points' AND a.action = 'delete'));
-- again: nothing is left to do
SELECT table_name, column_name, done, row_count FROM crm.erase_person(:z, 'letter of 1 March, again') WHERE done NOT IN ('kept', 'shared');
COMMIT;

-- ---- nobody comes back unasked ----
INSERT INTO crm.contacts (name) VALUES ('Somebody') RETURNING id AS somebody \gset
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (:somebody, 'email', 'Z.Quill@example.ORG');
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (:somebody, 'phone', '0049 30 5557701');
INSERT INTO crm.leads (name, email) VALUES ('Z', 'z.quill@example.org');
UPDATE crm.leads SET email = 'z.quill@example.org' WHERE id = (SELECT max(id) FROM crm.leads);
SELECT l.name FROM crm.capture_lead('{"name": "Z", "email": "z.quill@example.org"}') AS l;
SELECT rows_inserted, rows_unchanged, rows_bad, problems -> 0 ->> 'reason' AS reason FROM crm.import_table('privacy.people', '{"target": "contacts", "source_system": "clinic", "key": "code",
    "columns": {"name": "name", "title": "title", "email": "mail", "phone": "phone"}}');
SELECT r.line, r.state, r.sqlstate, r.data, r.hint FROM crm.import_rows AS r WHERE r.sqlstate = 'CR608' ORDER BY r.batch_id, r.line;
SELECT place FROM privacy.places(:'pattern');
-- asked
BEGIN;
SET LOCAL crm.readmit = 'form of 5 May';
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (:somebody, 'email', 'z.quill@example.org');
SELECT readmitted_because, count(*) FROM crm.erased_addresses GROUP BY 1 ORDER BY 1;
-- what held for the address holds again
SELECT channel, address_key, reason FROM crm.suppressions WHERE lifted_at IS NULL AND address_key = 'z.quill@example.org';
ROLLBACK;

-- ---- who may ----
CREATE ROLE privacy_manager;
CREATE ROLE privacy_admin;
BEGIN;
SELECT (crm.grant_access('privacy_manager', 'manager', (SELECT min(id) FROM crm.users))).access, (crm.grant_access('privacy_admin', 'admin', (SELECT max(id) FROM crm.users))).access;
SET ROLE privacy_manager;
SELECT crm.export_person(:other);
SELECT * FROM crm.erase_person(:other, 'x');
RESET ROLE;
SET ROLE privacy_admin;
SELECT crm.export_person(:other) #> '{records,contacts,0,name}' AS of_admin;
SELECT sum(row_count) > 0 AS erased FROM crm.erase_person(:other, 'call of 2 March');
SELECT jsonb_array_length(crm.erasure_list()) AS listed;
SELECT count(*) FROM crm.erased_addresses;
ROLLBACK;
-- a lead that is no contact yet; another company's person is nobody
BEGIN;
SELECT l.id AS lone FROM crm.leads AS l WHERE l.contact_id IS NULL AND l.email_key IS NOT NULL ORDER BY l.id LIMIT 1 \gset
SELECT done, sum(row_count) > 0 AS some FROM crm.erase_person(lead_id => :lone, reason => 'mail') WHERE table_name = 'leads' GROUP BY 1;
SELECT name, email FROM crm.leads WHERE id = :lone;
SELECT t.tenant_id AS second FROM crm.create_tenant('Second', 'IRR', 'Asia/Tehran', 'fa') AS t \gset
SET LOCAL crm.tenant = :'second';
INSERT INTO crm.contacts (id, name) VALUES (987654, 'مریم کاظمی');
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (987654, 'email', 'maryam@example.ir');
INSERT INTO crm.activities (kind, subject, contact_id) VALUES ('call', 'تماس با مریم کاظمی', 987654);
INSERT INTO crm.accounts (name) VALUES ('شرکت مریم کاظمی');
SELECT table_name, column_name, done, row_count FROM crm.erase_person(987654, 'نامه مریم کاظمی');
SELECT name FROM crm.contacts WHERE id = 987654;
SELECT * FROM crm.erase_person(:other, 'x');
ROLLBACK;
SELECT table_name, active FROM crm.stop_audit();
DROP SCHEMA privacy CASCADE;
