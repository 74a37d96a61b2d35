-- Custom fields: declared type, required, choices; all faults of a row at once.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\t on
BEGIN;
INSERT INTO crm.custom_fields (table_name, name, type, required, choices, active) VALUES
    ('accounts', 'budget', 'number', false, NULL, true), ('accounts', 'seats', 'integer', false, NULL, true),
    ('accounts', 'vip', 'boolean', false, NULL, true), ('accounts', 'since', 'date', false, NULL, true),
    ('accounts', 'seen_at', 'timestamp', false, NULL, true), ('accounts', 'size', 'choice', false, '{small,"very large"}', true),
    ('accounts', 'regions', 'choices', false, '{north,south,غرب}', true), ('accounts', 'invoice_to', 'email', false, NULL, true),
    ('accounts', 'hotline', 'phone', false, NULL, true), ('accounts', 'site', 'url', false, NULL, true),
    ('accounts', 'raw', 'json', false, NULL, true), ('accounts', 'note', 'text', false, NULL, true),
    ('accounts', 'old', 'number', true, NULL, false);
\set VERBOSITY terse
-- right values
INSERT INTO crm.accounts (name, custom) VALUES ('right', '{"budget": 1.5, "seats": 3, "vip": true, "since": "2024-02-29", "seen_at": "2024-02-29T12:00:00+03:30",
    "size": "very large", "regions": ["north", "غرب"], "invoice_to": "a@b.de", "hotline": "+98 21 88776655", "site": "https://b.de", "raw": {"x": [1]}, "note": "n"}') RETURNING 'ok';
INSERT INTO crm.accounts (name, custom) VALUES ('empty', '{}'), ('nulls', '{"budget": null, "size": null}'), ('empty text', '{"note": ""}'),
    ('no region', '{"regions": []}'), ('whole', '{"seats": 3.0}'), ('large', '{"seats": 123456789012345678901234567890}'), ('retired', '{"old": "anything"}'),
    ('day', '{"seen_at": "2024-02-29 12:00Z"}'), ('fraction', '{"seen_at": "2024-02-29T12:00:00.5-0700"}') RETURNING 'ok';
-- wrong ones, one at a time
\set VERBOSITY default
INSERT INTO crm.accounts (name, custom) VALUES ('x', '{"budget": "12"}');
\set VERBOSITY terse
INSERT INTO crm.accounts (name, custom) VALUES ('x', '[1]');
INSERT INTO crm.accounts (name, custom) VALUES ('x', '5');
INSERT INTO crm.accounts (name, custom) VALUES ('x', NULL);
\set VERBOSITY default
SAVEPOINT one;
DO $$
DECLARE
    v jsonb;
    code text; message text; detail text; col text;
BEGIN
    FOREACH v IN ARRAY ARRAY['{"seats": 1.5}', '{"seats": "3"}', '{"vip": "yes"}', '{"vip": 1}', '{"since": "2023-02-29"}', '{"since": "29/02/2024"}', '{"since": "infinity"}',
        '{"since": "2024-2-9"}', '{"seen_at": "2024-02-29"}', '{"seen_at": "2024-02-29T12:00:00"}', '{"seen_at": "2024-02-29T25:00:00Z"}', '{"seen_at": "2024-02-29T12:00:00.Z"}', '{"size": "Small"}', '{"size": ["small"]}',
        '{"regions": "north"}', '{"regions": ["north", "north"]}', '{"regions": ["east"]}', '{"regions": [1]}', '{"invoice_to": "a@b"}', '{"hotline": "12"}',
        '{"site": "no host"}', '{"note": 5}', '{"nope": 1}', '{"budget": ""}', '{"Budget": 1}']::jsonb[] LOOP
        BEGIN
            INSERT INTO crm.accounts (name, custom) VALUES ('x', v);
            RAISE NOTICE 'accepted: %', v;
        EXCEPTION WHEN SQLSTATE 'CR202' THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, col = COLUMN_NAME;
            RAISE NOTICE '% (%)', detail, col;
        END;
    END LOOP;
END
$$;
-- all at once, with a long value
INSERT INTO crm.accounts (name, custom) VALUES ('x', format('{"budget": "%s", "zzz": 1, "a": 2, "size": 7}', repeat('سلام', 50))::jsonb);
-- required
UPDATE crm.custom_fields SET required = true WHERE name IN ('budget', 'note');
INSERT INTO crm.accounts (name) VALUES ('x');
INSERT INTO crm.accounts (name, custom) VALUES ('x', '{"budget": null, "note": ""}');
INSERT INTO crm.accounts (name, custom) VALUES ('y', '{"budget": 1, "note": "n"}') RETURNING 'ok';
-- a row from before is not asked until its fields are touched
UPDATE crm.accounts SET city = 'X' WHERE name = 'empty' RETURNING 'ok';
UPDATE crm.accounts SET custom = '{"vip": true}' WHERE name = 'empty';
UPDATE crm.accounts SET custom = custom || '{"vip": true, "budget": 2, "note": "n"}' WHERE name = 'empty' RETURNING 'ok';
-- a change undone is undone for the check as well
SAVEPOINT s;
DELETE FROM crm.custom_fields WHERE name = 'budget';
INSERT INTO crm.accounts (name, custom) VALUES ('x', '{"budget": 1, "note": "n"}');
ROLLBACK TO s;
INSERT INTO crm.accounts (name, custom) VALUES ('x', '{"budget": 1, "note": "n"}') RETURNING 'ok';
-- fields are each tenant's own
SELECT t.tenant_id AS second FROM crm.create_tenant('Second') AS t \gset
INSERT INTO crm.accounts (tenant_id, name, custom) VALUES (:second, 'x', '{}') RETURNING 'ok';
INSERT INTO crm.accounts (tenant_id, name, custom) VALUES (:second, 'x', '{"budget": 1}');
-- declarations
\set VERBOSITY terse
INSERT INTO crm.custom_fields (tenant_id, table_name, name, type) VALUES (1, 'stages', 'x', 'text');
INSERT INTO crm.custom_fields (tenant_id, table_name, name, type) VALUES (1, 'nowhere', 'x', 'text');
INSERT INTO crm.custom_fields (tenant_id, table_name, name, type) VALUES (1, 'accounts', 'x y', 'text');
INSERT INTO crm.custom_fields (tenant_id, table_name, name, type) VALUES (1, 'accounts', 'x', 'choice');
INSERT INTO crm.custom_fields (tenant_id, table_name, name, type, choices) VALUES (1, 'accounts', 'x', 'text', '{a}');
UPDATE crm.custom_fields SET type = 'text' WHERE name = 'budget';
-- COPY is held to them too
COPY crm.accounts (tenant_id, name, custom) FROM stdin;
1	copied	{"seats": "many"}
\.
ROLLBACK;
