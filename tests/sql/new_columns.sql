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
SELECT l.name, crm.lead_score(l.id, model => 'new columns') AS score FROM crm.leads AS l WHERE l.email_key IN ('ada@new.example', 'cy@new.example') ORDER BY 1;
UPDATE crm.leads SET x_colour = 'red' WHERE email_key = 'cy@new.example';
SELECT l.name, crm.lead_score(l.id, model => 'new columns') AS score FROM crm.leads AS l WHERE l.email_key = 'cy@new.example';
ROLLBACK;
