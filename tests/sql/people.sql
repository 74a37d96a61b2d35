-- Versions, trees, tags.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
BEGIN;
-- versions count on; an update with an old one fails
INSERT INTO crm.accounts (name) VALUES ('V') RETURNING version;
UPDATE crm.accounts SET city = 'A' WHERE name = 'V' RETURNING version, updated_at = now() AS updated;
UPDATE crm.accounts SET city = 'B', version = 2 WHERE name = 'V' RETURNING version;
UPDATE crm.accounts SET city = 'C', version = 1 WHERE name = 'V';
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.accounts SET city = 'C', version = 9 WHERE name = 'V';
UPDATE crm.accounts SET city = 'C', version = NULL WHERE name = 'V';
UPDATE crm.accounts SET city = 'C', version = version + 1 WHERE name = 'V' RETURNING version, city;
UPDATE crm.accounts SET updated_at = '1999-01-01' WHERE name = 'V' RETURNING updated_at = now() AS updated;
UPDATE crm.accounts SET version = 2147483647 WHERE name = 'V';
-- every table with a version has the check
SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'version' AND a.atttypid = 'int4'::regtype
JOIN pg_attribute AS u ON u.attrelid = c.oid AND u.attname = 'updated_at'
WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgfoid = 'crm.check_version'::regproc);

-- no row below itself: teams, accounts, users, territories
INSERT INTO crm.teams (id, name, parent_id) VALUES (1, 'a', NULL), (2, 'b', 1), (3, 'c', 2), (4, 'd', 3);
UPDATE crm.teams SET parent_id = 4 WHERE id = 1;
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.teams SET parent_id = 1 WHERE id = 1;
UPDATE crm.teams SET parent_id = NULL WHERE id = 2;
UPDATE crm.teams SET parent_id = 4 WHERE id = 1 RETURNING id, parent_id;
INSERT INTO crm.accounts (id, name, parent_id) VALUES (11, 'x', 12), (12, 'y', 11);
INSERT INTO crm.accounts (id, name, parent_id) VALUES (11, 'x', 11);
INSERT INTO crm.accounts (id, name, parent_id) VALUES (13, 'x', 14), (14, 'y', NULL), (15, 'z', 13) RETURNING id;
-- both halves in one statement
UPDATE crm.accounts SET parent_id = CASE id WHEN 13 THEN 15 WHEN 15 THEN 13 END WHERE id IN (13, 15);
-- two rows change places in one statement
UPDATE crm.accounts SET parent_id = CASE id WHEN 14 THEN 13 WHEN 13 THEN NULL END WHERE id IN (13, 14) RETURNING id, parent_id;
INSERT INTO crm.users (id, name, manager_id) VALUES (21, 'm', NULL), (22, 'n', 21);
UPDATE crm.users SET manager_id = 22 WHERE id = 21;
INSERT INTO crm.territories (id, name, parent_id) VALUES (31, 'n', NULL), (32, 's', 31);
UPDATE crm.territories SET parent_id = 32 WHERE id = 31;
-- a deep tree is no circle
INSERT INTO crm.territories (id, name, parent_id) SELECT 100 + g, 't' || g, CASE WHEN g > 0 THEN 99 + g END FROM generate_series(0, 150) AS g;
UPDATE crm.territories SET parent_id = 250 WHERE id = 100;

-- tags in one form
INSERT INTO crm.accounts (name, tags) VALUES ('T', '{" VIP ",vip,"كليدي",کلیدی,"",NULL,"two  words"}') RETURNING tags;
UPDATE crm.accounts SET tags = tags || '{Vip,NEW}' WHERE name = 'T' RETURNING tags;
INSERT INTO crm.accounts (name, tags) VALUES ('T2', ARRAY[repeat('x', 101)]);
SELECT crm.normalize_tags('{b,A,a}'), crm.normalize_tags('{}'), crm.normalize_tags(NULL);
ROLLBACK;

-- search by any spelling, and by address and number
BEGIN;
UPDATE crm.tenants SET country = 'IR' WHERE tenant_id = 1;
INSERT INTO crm.contacts (id, name) VALUES (51, 'سید محمد رضایی'), (52, 'محمد‌رضا کریمی'), (53, 'Zoë Müller'), (54, 'Ludwig van Beethoven'), (55, 'van Gogh'), (56, '50%');
INSERT INTO crm.accounts (id, name) VALUES (61, 'شرکت فولاد'), (62, 'Kan-code Ltd');
INSERT INTO crm.contact_points (contact_id, account_id, kind, value) VALUES
    (51, NULL, 'mobile', '۰۹۱۲ ۱۲۳ ۴۵۶۷'), (53, NULL, 'email', 'Zoe@Example.com'), (NULL, 62, 'web', 'https://www.kan-code.com/'), (55, NULL, 'phone', 'unknown');
SELECT p.kind, p.country, p.value_key FROM crm.contact_points AS p ORDER BY p.id;
SELECT q, ARRAY(SELECT c.id FROM crm.find_contacts(q) WITH ORDINALITY AS c ORDER BY c.ordinality) AS found
FROM unnest('{محمد رضائي,"محمد رضا",+989121234567,"0912-123 4567",zoe@EXAMPLE.com,muller,"MULLER ZOE",van,beet,"van beet",gogh van,50%,%,"",nobody}'::text[]) WITH ORDINALITY AS t (q, n) ORDER BY n;
SELECT q, ARRAY(SELECT a.id FROM crm.find_accounts(q) AS a) AS found FROM unnest('{فولاد,kancode,code,kan-code.com,"Kan code"}'::text[]) WITH ORDINALITY AS t (q, n) ORDER BY n;
SELECT count(*) FROM crm.find_contacts('v', 1);
SELECT count(*) FROM crm.find_contacts(NULL);
-- the search sees what the caller sees
SET client_min_messages = warning;
CREATE ROLE regress_agent;
INSERT INTO crm.users (id, name) VALUES (51, 'Agent');
SELECT g.access FROM crm.grant_access('regress_agent', 'agent', 51) AS g;
INSERT INTO crm.users (id, name) VALUES (52, 'Other');
UPDATE crm.contacts SET owner_id = 52 WHERE id = 54;
SET LOCAL ROLE regress_agent;
SELECT ARRAY(SELECT c.id FROM crm.find_contacts('van') AS c) AS agent_finds;
SELECT crm.change_tags('contacts', 55, '{mine}') AS agent_tags;
RESET ROLE;
-- the indexes serve
SET LOCAL enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT k.id FROM crm.contacts AS k WHERE array_to_tsvector(crm.name_terms(k.tenant_id, k.name)) @@ crm_internal.name_query(1, 'van');
RESET enable_seqscan;

SELECT crm.change_tags('contacts', 51, '{VIP," Tehran "}');
SELECT crm.change_tags('contacts', 51, '{new}', '{vip}');
SELECT crm.change_tags('contacts', 52, '{new}');
SELECT * FROM crm.tags_in_use('contacts');
SELECT crm.change_tags('contacts', -1, '{new}');
SELECT crm.change_tags('teams', 1, '{new}');
SELECT crm.change_tags('contacts; DROP TABLE x', 1, '{new}');
ROLLBACK;
