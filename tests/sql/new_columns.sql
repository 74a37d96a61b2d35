-- A column that is added to a table takes part in everything that makes a row of other rows, without a list anywhere.
\set SHOW_CONTEXT never
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL client_min_messages = error;
-- plain ones of several kinds, one with a default, and one that a CHECK demands
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY '{leads,accounts,contacts,opportunities,tickets}'::text[] LOOP
        EXECUTE format('ALTER TABLE crm.%I ADD COLUMN x_colour text, ADD COLUMN x_size integer, ADD COLUMN x_since date,
                        ADD COLUMN x_list text[], ADD COLUMN x_document jsonb, ADD COLUMN x_level integer NOT NULL DEFAULT 1,
                        ADD COLUMN x_must text', t);
        EXECUTE format('ALTER TABLE crm.%1$I ADD CONSTRAINT %2$I CHECK (x_must IS NOT NULL) NOT VALID', t, t || '_x_must_check');
        EXECUTE format('ALTER TABLE crm.%1$I ADD CONSTRAINT %2$I CHECK (x_size < 1000) NOT VALID', t, t || '_x_size_check');
    END LOOP;
END
$$;

-- ---- capture ----
SELECT l.name, l.x_colour, l.x_size, l.x_since, l.x_list, l.x_document, l.x_level, l.x_must
FROM crm.capture_lead('{"name": "Ada", "company": "Engines Ltd", "email": "ada@new.example", "x_colour": " red ", "x_size": "40", "x_since": "2026-01-05",
    "x_list": ["a", "b"], "x_document": {"k": 1}, "x_must": "here", "nobody_knows": "kept in the payload"}') AS l;
SELECT c.payload ->> 'nobody_knows' AS nobody_knows FROM crm.lead_captures AS c ORDER BY c.id DESC LIMIT 1;
-- what a CHECK demands is demanded of captures too
SELECT crm.capture_lead('{"name": "Bea", "email": "bea@new.example"}');
-- values that are none, or may not be, are left out and told; the lead is kept
SELECT l.name, l.x_colour, l.x_size, l.x_since, l.x_level, l.x_must
FROM crm.capture_lead('{"name": "Cy", "email": "cy@new.example", "x_colour": "blue", "x_size": "many", "x_since": ["2026"], "x_level": 3, "x_must": "here"}') AS l;
SELECT l.name, l.x_size, l.x_colour FROM crm.capture_lead('{"name": "Di", "email": "di@new.example", "x_size": 5000, "x_colour": "blue", "x_must": "here"}') AS l;
SELECT l.name, e.payload ->> 'message' AS told FROM crm.events AS e JOIN crm.leads AS l ON l.id = e.subject_id
WHERE e.kind = 'lead.trouble' ORDER BY e.id;
-- a number as people type it is one in any column
SELECT l.x_size, l.x_level FROM crm.capture_lead('{"name": "Eb", "email": "eb@new.example", "x_size": "۵۰۰", "x_level": "1,250", "x_must": "here"}') AS l;
-- columns that are not the caller's to give are not taken from a payload
SELECT l.capture_count, l.converted_at, l.version, l.recycle_count
FROM crm.capture_lead('{"name": "Ed", "email": "ed@new.example", "x_must": "here", "id": 1, "version": 7, "capture_count": 9, "converted_at": "2020-01-01", "recycle_count": 3, "name_key": "x"}') AS l;
-- the same person again: empty columns are filled, lists and documents joined
SELECT l.capture_count, l.x_colour, l.x_size, l.x_list, l.x_document, l.x_level
FROM crm.capture_lead('{"email": "ada@new.example", "x_colour": "green", "x_list": ["b", "c"], "x_document": {"k": 2, "n": 3}, "x_level": 5}') AS l;
SELECT l.capture_count, l.x_colour, l.x_size FROM crm.capture_lead('{"email": "di@new.example", "x_size": 7}') AS l;

-- ---- conditions and scores see it ----
SELECT crm.row_facts(l, '{}') -> 'x_colour' AS facts, crm.row_holds(l, '$.x_size > 30 && $.x_list[*] == "c"') AS holds FROM crm.leads AS l WHERE l.email_key = 'ada@new.example';
SELECT (crm.define_score_model('{"name": "new columns", "rules": [{"name": "red", "when": "$.x_colour == \"red\"", "points": 11}]}')).name;
SELECT l.name, crm.lead_score_at(l.id, model => 'new columns') AS score FROM crm.leads AS l WHERE l.email_key IN ('ada@new.example', 'cy@new.example') ORDER BY 1;
UPDATE crm.leads SET x_colour = 'red' WHERE email_key = 'cy@new.example';
SELECT l.name, crm.lead_score_at(l.id, model => 'new columns') AS score FROM crm.leads AS l WHERE l.email_key = 'cy@new.example';

-- ---- merging leads ----
SELECT l.id AS stays FROM crm.capture_lead('{"name": "Fay", "email": "fay@new.example", "x_list": ["a"], "x_document": {"k": 1}, "x_must": "here", "x_level": 2}') AS l \gset
SELECT l.id AS goes FROM crm.capture_lead('{"name": "Faye", "phone": "+44 20 7946 0018", "x_colour": "blue", "x_size": 9, "x_list": ["b"], "x_document": {"k": 2, "m": 3}, "x_must": "there", "x_level": 7}') AS l \gset
SELECT l.name, l.phone_key, l.x_colour, l.x_size, l.x_list, l.x_document, l.x_level, l.x_must, l.capture_count FROM crm.merge_leads(:goes, :stays) AS l;

-- ---- conversion: into a new account, contact and opportunity, and into a contact that is there ----
INSERT INTO crm.custom_fields (table_name, name, type, choices) VALUES ('leads', 'budget', 'number', NULL), ('leads', 'plan', 'choice', '{a,b}'), ('leads', 'joke', 'text', NULL),
    ('contacts', 'plan', 'choice', '{a,b}'), ('accounts', 'plan', 'choice', '{b}'), ('accounts', 'budget', 'text', NULL), ('opportunities', 'budget', 'number', NULL);
SELECT l.id AS lead FROM crm.capture_lead('{"name": "Gus", "company": "Gears AG", "email": "gus@new.example", "x_colour": "green", "x_size": 3, "x_list": ["a"],
    "x_document": {"k": 1}, "x_must": "here", "x_level": 4, "amount": "50", "currency": "EUR", "custom": {"budget": 10, "plan": "a", "joke": "ha"}, "source": "fair"}') AS l \gset
SELECT c.account_id AS account, c.contact_id AS contact, c.opportunity_id AS deal FROM crm.convert_lead(:lead, true, '{"x_colour": "black", "close_date": "2020-01-01"}') AS c;
SELECT c.account_id AS account, c.contact_id AS contact, c.opportunity_id AS deal FROM crm.convert_lead(:lead, true, '{"x_colour": "black", "x_size": "many"}') AS c;
SELECT c.account_id AS account, c.contact_id AS contact, c.opportunity_id AS deal FROM crm.convert_lead(:lead, true, '{"x_colour": "black"}') AS c \gset
SELECT 'account' AS what, name, x_colour, x_size, x_list, x_document, x_level, x_must, custom FROM crm.accounts WHERE id = :account
UNION ALL SELECT 'contact', name, x_colour, x_size, x_list, x_document, x_level, x_must, custom FROM crm.contacts WHERE id = :contact
UNION ALL SELECT 'opportunity', name, x_colour, x_size, x_list, x_document, x_level, x_must, custom FROM crm.opportunities WHERE id = :deal;
SELECT a.currency IS NULL AS account_has_no_currency, o.currency, o.amount::int, o.lead_source FROM crm.accounts AS a, crm.opportunities AS o WHERE a.id = :account AND o.id = :deal;
SELECT l.id AS lead FROM crm.capture_lead('{"name": "Gus again", "company": "Gears AG", "email": "gus@new.example", "x_colour": "white", "x_since": "2026-02-02", "x_list": ["z"], "x_must": "x"}') AS l \gset
SELECT c.contact_id = :contact AS same_contact, c.account_id = :account AS same_account FROM crm.convert_lead(:lead) AS c;
SELECT x_colour, x_size, x_since, x_list, x_must FROM crm.contacts WHERE id = :contact;

-- ---- tickets: opened, from a mailbox, followed up, split, merged ----
INSERT INTO crm.tickets (id, subject, x_colour, x_list, x_must) VALUES (970001, 'One', 'red', '{a}', 'here');
INSERT INTO crm.custom_fields (table_name, name, type) VALUES ('tickets', 'seat', 'text'), ('tickets', 'row', 'text');
SELECT crm.open_ticket('Two');
SELECT crm.open_ticket('Two', columns => '{"x_must": "here", "x_shade": "dark", "reopen_count": 4}');
SELECT k.subject, k.priority, k.x_colour, k.x_size, k.x_level FROM crm.open_ticket('Two', columns => '{"x_must": "here", "x_colour": "blue", "x_size": 5, "priority": "high"}') AS k;
SELECT m.ticket_id FROM crm.receive_message('mail', 'It is broken', 'gus@new.example', 'Three', columns => '{"x_must": "by mail"}') AS m \gset
SELECT k.subject, k.x_must FROM crm.tickets AS k WHERE k.id = :ticket_id;
INSERT INTO crm.tickets (id, subject, x_colour, x_size, x_list, x_document, x_must, custom) VALUES (970002, 'Four', 'blue', 8, '{b}', '{"k": 1}', 'there', '{"seat": "9", "row": "C"}');
UPDATE crm.tickets SET custom = '{"row": "D"}' WHERE id = 970001;
SELECT k.id, k.x_colour, k.x_size, k.x_list, k.x_document, k.x_must, k.custom FROM crm.merge_tickets(970002, 970001) AS k;
SELECT m.id AS message FROM crm.add_ticket_message(970001, 'first') AS m \gset
SELECT (crm.add_ticket_message(970001, 'second')).body;
SELECT k.subject, k.description, k.x_colour, k.x_size, k.x_list, k.x_must, k.custom, k.split_from_id FROM crm.split_ticket(970001, ARRAY[:message], 'Part') AS k;
SELECT (crm.resolve_ticket(970001)).closed_at IS NOT NULL AS closed;
SELECT m.ticket_id FROM crm.add_ticket_message(970001, 'much later', sent_at => now() + interval '30 days') AS m \gset
SELECT k.subject, k.description, k.x_colour, k.x_must, k.custom, k.follow_up_of_id, k.reopen_count FROM crm.tickets AS k WHERE k.id = :ticket_id;
-- a policy that looks at a column of the owner's is asked again when it changes
INSERT INTO crm.sla_policies (id, name, position, condition) VALUES (970, 'red ones', 1, '$.x_colour == "red"');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (970, 'resolution', 3600, 'calendar');
INSERT INTO crm.tickets (id, subject, x_must) VALUES (970005, 'Five', 'x');
SELECT count(*) AS before FROM crm.sla_clocks AS c WHERE c.subject_type = 'tickets' AND c.subject_id = 970005 AND c.policy_id = 970;
UPDATE crm.tickets SET x_colour = 'red' WHERE id = 970005;
SELECT count(*) AS after FROM crm.sla_clocks AS c WHERE c.subject_type = 'tickets' AND c.subject_id = 970005 AND c.policy_id = 970;

-- ---- exceptions ----
-- an owner's rule counts from the next statement on
INSERT INTO crm.column_rules (table_name, column_name, purposes, rule, reason) VALUES ('leads', 'x_size', '{merge}', 'sum', 'seats add up'), ('leads', 'x_colour', '{*}', 'keep', 'not for callers');
SELECT l.id AS stays FROM crm.capture_lead('{"name": "Hal", "email": "hal@new.example", "x_size": 4, "x_must": "x", "x_colour": "red"}') AS l \gset
SELECT l.id AS goes FROM crm.capture_lead('{"name": "Hal", "phone": "+44 20 7946 0019", "x_size": 5, "x_must": "x"}') AS l \gset
SELECT l.x_size, l.x_colour FROM crm.merge_leads(:goes, :stays) AS l;
INSERT INTO crm.column_rules (table_name, column_name, purposes, rule, reason) VALUES ('leads', 'x_shade', '{merge}', 'keep', 'none');
INSERT INTO crm.column_rules (table_name, column_name, purposes, rule, reason) VALUES ('leeds', 'x_size', '{merge}', 'keep', 'none');
INSERT INTO crm.column_rules (table_name, column_name, purposes, rule, reason) VALUES ('leads', 'x_size', '{merge}', 'blend', 'none');
-- every rule of the CRM is of columns that are there, and all of a table stand where it is made
SELECT r.table_name, r.column_name FROM crm.column_rules AS r
WHERE r.table_name <> '*' AND (NOT crm.column_exists(to_regclass('crm.' || r.table_name), r.column_name) OR r.rule = 'with' AND NOT crm.column_exists(to_regclass('crm.' || r.table_name), r.other));
SELECT r.column_name FROM crm.column_rules AS r WHERE r.table_name = '*' AND NOT EXISTS (
    SELECT FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid WHERE c.relnamespace = 'crm'::regnamespace AND a.attname = r.column_name);
-- a column that is gone, renamed or of another type
ALTER TABLE crm.leads DROP COLUMN x_document, ALTER COLUMN x_level TYPE text, ALTER COLUMN x_size TYPE numeric(10,2);
ALTER TABLE crm.leads RENAME COLUMN x_list TO x_things;
SELECT l.x_level, l.x_size, l.x_things FROM crm.capture_lead('{"name": "Ida", "email": "ida@new.example", "x_level": "high", "x_size": "4.256", "x_things": ["q"], "x_list": ["r"], "x_document": {}, "x_must": "x"}') AS l;
SELECT l.x_level, l.x_size, l.x_things FROM crm.capture_lead('{"email": "ida@new.example", "x_things": ["p"]}') AS l;
SELECT (crm.convert_lead(l.id)).contact_id IS NOT NULL AS converted FROM crm.leads AS l WHERE l.email_key = 'ida@new.example';
ROLLBACK;

-- rows of tables of one's own
BEGIN;
\set ON_ERROR_ROLLBACK on
CREATE TABLE public.things (a integer GENERATED ALWAYS AS IDENTITY, b text, c text DEFAULT 'c', d integer GENERATED ALWAYS AS (length(b)) STORED, e text[], f numeric, PRIMARY KEY (a));
SELECT crm.insert_row(x) FROM (SELECT crm.given_row(NULL::public.things, '{"b": "bee", "e": ["x", "y"]}', 'open') AS x) AS t;
SELECT crm.insert_row(x) FROM (SELECT crm.given_row(NULL::public.things, '{"b": "b", "d": 4}', 'open') AS x) AS t;
SELECT crm.given_row(NULL::public.things, '{"f": "4.5", "e": null}', 'open');
SELECT crm.given_row(NULL::public.things, '{"f": true}', 'open');
SELECT crm.given_row(NULL::public.things, '[1]', 'open');
SELECT crm.given_row(5, '{}', 'open');
SELECT crm.given_columns(NULL::public.things, 'open');
SELECT crm.update_row(t, crm.given_row(t, '{"c": "see", "f": 7}', 'open')) FROM public.things AS t;
SELECT crm.update_row(t, t) = t AS unchanged FROM public.things AS t;
-- nothing is written where nothing differs
CREATE FUNCTION pg_temp.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'written'; END $$;
CREATE TRIGGER no BEFORE UPDATE ON public.things FOR EACH ROW EXECUTE FUNCTION pg_temp.no();
SELECT crm.update_row(t, t) = t AS unchanged FROM public.things AS t;
SELECT crm.update_row(t, crm.given_row(t, '{"f": 8}', 'open')) FROM public.things AS t;
SELECT crm.carry_row(NULL::public.things, t, 'copy') FROM public.things AS t;
SELECT crm.carry_row(crm.given_row(NULL::public.things, '{"e": ["z", "y", null]}', 'open'), t, 'merge') FROM public.things AS t;
SELECT crm.carry_row(t, NULL::record, 'merge') = t AS same FROM public.things AS t;
SELECT crm.carry_row(t, t, NULL) FROM public.things AS t;
-- as many statements as there are sets of columns: kept plans have an end, answers do not change
CREATE TABLE public.wide (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, c0 int DEFAULT 7, c1 int DEFAULT 7, c2 int DEFAULT 7, c3 int DEFAULT 7, c4 int DEFAULT 7, c5 int DEFAULT 7, c6 int DEFAULT 7);
SELECT count(*), sum(c0) = sum((i & 1) * 9 + (1 - (i & 1)) * 7) AS right
FROM generate_series(0, 127) AS i, crm.insert_row(crm.given_row(NULL::public.wide, (SELECT coalesce(jsonb_object_agg('c' || b, 9), '{}') FROM generate_series(0, 6) AS b WHERE i >> b & 1 = 1), 'open')) AS r;
ROLLBACK;
