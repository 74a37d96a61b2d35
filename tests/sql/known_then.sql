-- What went with winning, cohorts and churn of a day that is past go by the orders as they were known then; and names and addresses of two are none's.
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET client_min_messages = warning;
BEGIN;
INSERT INTO crm.accounts (id, name) SELECT g, 'A' || g FROM generate_series(1, 60) AS g;
INSERT INTO crm.orders (id, account_id, amount, ordered_at, created_at)
SELECT 3000 + g, g, 5, now() - interval '400 days' + g * interval '1 day', now() - interval '400 days' + g * interval '1 day' FROM generate_series(1, 60) AS g;
INSERT INTO crm.orders (id, account_id, amount, ordered_at, created_at)
SELECT 3100 + g, g, 7, now() - interval '250 days', now() - interval '250 days' FROM generate_series(1, 20) AS g;
INSERT INTO crm.opportunities (id, name, account_id, amount, created_at) SELECT 2000 + g, 'o' || g, g, 10, now() - interval '1 hour' FROM generate_series(1, 60) AS g;
SELECT count(crm.win_opportunity(id)) FROM crm.opportunities WHERE id % 2 = 0;
SELECT count(crm.lose_opportunity(id, 'price')) FROM crm.opportunities WHERE id % 2 = 1;
SELECT value, won, lost FROM crm_analytics.win_factors WHERE attribute = 'account.was_customer';
CREATE TEMPORARY TABLE told AS SELECT
    (SELECT jsonb_agg(c ORDER BY c.cohort_month, c.months) FROM crm_analytics.order_cohorts(crm.local_day(1, now()) - 30) AS c) AS cohorts,
    (SELECT jsonb_agg(c ORDER BY c.month) FROM crm_analytics.churn_by_month(90, crm.local_day(1, now()) - 30) AS c) AS churn;
SELECT jsonb_array_length(cohorts) > 10 AS cohorts, jsonb_array_length(churn) > 3 AS churn FROM told;

-- everything is cancelled today
UPDATE crm.orders SET state = 'cancelled';
SELECT value, won, lost FROM crm_analytics.win_factors WHERE attribute = 'account.was_customer';
SELECT cohorts = (SELECT jsonb_agg(c ORDER BY c.cohort_month, c.months) FROM crm_analytics.order_cohorts(crm.local_day(1, now()) - 30) AS c) AS cohorts,
       churn = (SELECT jsonb_agg(c ORDER BY c.month) FROM crm_analytics.churn_by_month(90, crm.local_day(1, now()) - 30) AS c) AS churn
FROM told;
-- and what is told of today knows it
SELECT count(*) FROM crm_analytics.order_cohorts();
-- an order that is cancelled from its beginning makes no customer
INSERT INTO crm.accounts (id, name) SELECT g, 'B' || g FROM generate_series(201, 260) AS g;
INSERT INTO crm.orders (account_id, amount, ordered_at, state) SELECT g, 5, now() - interval '100 days', 'cancelled' FROM generate_series(201, 260) AS g;
INSERT INTO crm.opportunities (id, name, account_id, amount, created_at) SELECT 2000 + g, 'p' || g, g, 10, now() - interval '1 hour' FROM generate_series(201, 260) AS g;
SELECT count(crm.win_opportunity(id)) FROM crm.opportunities WHERE id > 2200 AND id % 2 = 0;
SELECT count(crm.lose_opportunity(id, 'price')) FROM crm.opportunities WHERE id > 2200 AND id % 2 = 1;
SELECT value, won, lost FROM crm_analytics.win_factors WHERE attribute = 'account.was_customer' ORDER BY value;

-- ---- one address, two users; one name, two reasons ----

INSERT INTO crm.users (id, name, email, active) VALUES (501, 'Old', 'old@x.example', true), (502, 'Gone', 'gone@x.example', false);
CREATE TABLE pg_temp.people (k text, n text, m text, a text);
INSERT INTO pg_temp.people VALUES ('1', 'Ann', 'ann@x.example', '1'), ('2', 'Bob', ' Ann@X.example', '1'), ('3', 'New', 'OLD@x.example', '1'),
    ('4', 'Again', 'gone@x.example', '1'), ('5', 'Ann before', 'ann@x.example', '0'), ('6', 'None', '', '1');
SELECT rows_inserted, rows_bad FROM crm.import_table('people', '{"target": "users", "source_system": "u", "key": "k",
    "columns": {"name": "n", "email": "m", "active": "a"}}');
SELECT line, sqlstate, reason FROM crm.import_rows WHERE state = 'bad' ORDER BY line;
-- the same file again changes nothing, and one's own address is no other's
SELECT rows_unchanged, rows_bad FROM crm.import_table('people', '{"target": "users", "source_system": "u", "key": "k",
    "columns": {"name": "n", "email": "m", "active": "a"}}');
-- whoever writes: an address is one active user's, in whatever letters, and who comes back takes no address that somebody has by now
INSERT INTO crm.users (name, email) VALUES ('Twin', 'Old@X.EXAMPLE');
UPDATE crm.users SET active = true WHERE name = 'Gone';
UPDATE crm.users SET email = 'Ann <ann@x.example>' WHERE name = 'Old';
INSERT INTO crm.users (name, email) VALUES ('Host', 'host@bücher.example');
INSERT INTO crm.users (name, email) VALUES ('Host again', 'host@xn--bcher-kva.example');
SELECT u.name FROM crm.users AS u WHERE u.id = crm.message_agent('mail', 'Olde <OLD@x.example>');
INSERT INTO crm.loss_reasons (code, name) VALUES ('dear1', 'Too dear'), ('dear2', 'too dear');
CREATE TABLE pg_temp.lost (k text, s text, r text);
INSERT INTO pg_temp.lost VALUES ('1', 'lost', 'Too Dear'), ('2', 'lost', 'dear2'), ('3', 'lost', 'no such');
SELECT rows_inserted, rows_bad FROM crm.import_table('lost', '{"target": "opportunities", "source_system": "l", "key": "k",
    "columns": {"name": "k", "stage_id": {"column": "s", "lookup": "stages"}, "loss_reason": "r"}}');
SELECT line, sqlstate, reason FROM crm.import_rows WHERE state = 'bad' AND batch_id = (SELECT max(id) FROM crm.import_batches) ORDER BY line;

-- ---- what a win-back campaign did is told of a day by the orders known then, and why somebody left in the reader's language ----

SELECT tenant_id AS persian FROM crm.create_tenant('Then', language => 'fa', base_currency => 'EUR') \gset
SET LOCAL crm.tenant = :persian;
INSERT INTO crm.accounts (id, name) SELECT g, 'W' || g FROM generate_series(301, 340) AS g;
INSERT INTO crm.orders (account_id, amount, currency, ordered_at, created_at)
SELECT a, 10, 'EUR', x.at, x.at FROM generate_series(301, 340) AS a, LATERAL (SELECT now() - make_interval(days => 600 + n * 20) AS at FROM generate_series(1, 4) AS n) AS x;
SELECT count(*) AS enrolled FROM crm.start_winback('back', 0.5, crm.local_day(:persian, now()) - 200);
INSERT INTO crm.orders (account_id, amount, currency, ordered_at, created_at)
SELECT w.account_id, 10, 'EUR', now() - interval '150 days', now() - interval '150 days' FROM crm.winback_members AS w WHERE w.tenant_id = :persian AND w.arm = 'treated';
CREATE TEMPORARY TABLE effects AS SELECT d, to_jsonb(e) AS e FROM unnest('{100,160,300}'::integer[]) AS d, crm_analytics.winback_effect('back', 90, crm.local_day(:persian, now()) - d) AS e;
SELECT d, e ->> 'effect' AS effect, (e ->> 'treated_back')::integer > 0 AS back, (e ->> 'treated')::integer > 0 AS treated FROM effects ORDER BY d;
UPDATE crm.orders SET state = 'cancelled' WHERE tenant_id = :persian AND ordered_at > now() - interval '200 days';
SELECT x.d, to_jsonb(e) = x.e AS same FROM effects AS x, crm_analytics.winback_effect('back', 90, crm.local_day(:persian, now()) - x.d) AS e ORDER BY x.d;
SELECT treated_back FROM crm_analytics.winback_effect('back');
SELECT DISTINCT regexp_replace(r, '[۰-۹]+', 'n', 'g') AS reason FROM crm_analytics.churn_risks() AS c, unnest(c.reasons) AS r ORDER BY 1;
UPDATE crm.tenants SET language = 'en' WHERE tenant_id = :persian;
SELECT DISTINCT regexp_replace(r, '[0-9]+', 'n', 'g') AS reason FROM crm_analytics.churn_risks() AS c, unnest(c.reasons) AS r ORDER BY 1;
ROLLBACK;
