-- What is posted stays: every table that the ledger of customers is made of, and their lines, resist UPDATE of every column, DELETE, TRUNCATE, MERGE, COPY and whatever else
-- writes, by every role, the owner of the tables included. Tables and columns are those of the catalogue, so that one that is added is tested too.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET timezone = 'UTC';
BEGIN;
SET LOCAL crm.tenant = '1';
INSERT INTO crm.users (id, name) SELECT 9500 + n, 'Person ' || n FROM generate_series(1, 4) AS n;
CREATE ROLE regress_posted_reader; CREATE ROLE regress_posted_agent; CREATE ROLE regress_posted_manager; CREATE ROLE regress_posted_admin;
SELECT count(crm.grant_access(('regress_posted_' || r.level)::name, r.level, 9500 + r.n)) FROM unnest('{reader,agent,manager,admin}'::text[]) WITH ORDINALITY AS r (level, n);
INSERT INTO crm.accounts (id, name, owner_id) VALUES (9501, 'Books Ltd', 9502), (9502, 'Other Ltd', 9502);
INSERT INTO crm.products (id, name, list_price) VALUES (9501, 'Pump', 100);
INSERT INTO crm.invoices (id, account_id, issued_on, owner_id) VALUES (9501, 9501, '2025-01-10', 9502), (9502, 9501, '2025-01-11', 9502);
INSERT INTO crm.invoice_lines (id, invoice_id, product_id, quantity) VALUES (9501, 9501, 9501, 2), (9502, 9502, 9501, 1);
SELECT count(crm.post_invoice(i)) AS posted FROM unnest('{9501,9502}'::bigint[]) AS i;
SELECT count(crm.record_payment(9501, 150, received_at => '2025-02-01 12:00Z')) AS paid;
SELECT count(crm.reverse_invoice(9502, 'sent twice')) AS reversed;
INSERT INTO crm.invoices (id, account_id, owner_id) VALUES (9503, 9501, 9502);

\echo == the tables: what the ledger reads, and the lines of it
CREATE TEMP TABLE ledger ON COMMIT DROP AS
WITH RECURSIVE reads AS (
    SELECT 'crm_analytics.customer_ledger'::regclass AS relation
    UNION
    SELECT d.refobjid::regclass FROM reads AS r JOIN pg_rewrite AS w ON w.ev_class = r.relation
    JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.relation
), documents AS (
    SELECT r.relation FROM reads AS r JOIN pg_class AS c ON c.oid = r.relation AND c.relkind = 'r'
    WHERE c.relname NOT IN ('accounts', 'tenants')
)
SELECT d.relation FROM documents AS d
UNION SELECT k.conrelid::regclass FROM pg_constraint AS k JOIN documents AS d ON d.relation = k.confrelid WHERE k.contype = 'f' AND k.confdeltype = 'c'
  AND EXISTS (SELECT FROM crm.registry AS g WHERE g.relation = k.conrelid AND g.class = 'child');
SELECT relation FROM ledger ORDER BY relation::text;
CREATE FUNCTION pg_temp.print_of() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r regclass;
    part text;
    answer text := '';
BEGIN
    FOR r IN SELECT l.relation FROM ledger AS l ORDER BY l.relation::text LOOP
        EXECUTE format('SELECT md5(string_agg((to_jsonb(x) - ''{updated_at,version}''::text[])::text, ''|'' ORDER BY x.id)) FROM %s AS x WHERE x.id <> 9503', r) INTO part;
        answer := answer || part;
    END LOOP;
    RETURN answer;
END $$;
-- each command in a block of its own, as somebody else; it answers with the SQLSTATE, and nothing is kept of what was let through
CREATE FUNCTION pg_temp.tried(who name, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    touched bigint;
BEGIN
    EXECUTE format('SET LOCAL ROLE %s', who);
    EXECUTE command;
    GET DIAGNOSTICS touched = ROW_COUNT;
    RESET ROLE;
    RAISE EXCEPTION 'let through: % rows', touched USING ERRCODE = 'ZZ000';
EXCEPTION WHEN OTHERS THEN
    RETURN CASE WHEN SQLSTATE <> 'ZZ000' THEN SQLSTATE WHEN touched = 0 THEN 'no row' ELSE SQLERRM END;
END $$;
CREATE TEMP TABLE columns ON COMMIT DROP AS
SELECT l.relation, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated <> '' AS generated,
       -- who looks after a document is no part of it, nor what it is settled with, which other tables say
       a.attname IN ('owner_id', 'team_id', 'shared_user_ids', 'shared_team_ids', 'custom', 'version', 'updated_at') AS beside,
       a.attname IN ('settled_amount', 'paid_at', 'reversed_at', 'dunning_level', 'dunned_at') AS kept
FROM ledger AS l JOIN pg_attribute AS a ON a.attrelid = l.relation AND a.attnum > 0 AND NOT a.attisdropped;
-- another value of each type
CREATE FUNCTION pg_temp.other(type text, name text) RETURNS text LANGUAGE sql AS $$
    SELECT CASE WHEN type = 'boolean' THEN format('NOT %I', name) WHEN type = 'jsonb' THEN '''{"name": "x"}''' WHEN type = 'date' THEN format('coalesce(%I, ''2024-01-01'') + 1', name)
                WHEN type LIKE 'timestamp%' THEN format('coalesce(%I, now()) + interval ''1 day''', name) WHEN type LIKE 'bigint[]' THEN '''{1}''' WHEN type = 'character(3)' THEN '''XXX'''
                WHEN type ~ '^(bigint|integer|smallint|numeric)' THEN format('coalesce(%I, 0) + 1', name) ELSE format('coalesce(%I, '''') || ''x''', name) END $$;
SELECT pg_temp.print_of() AS before \gset

\echo == UPDATE of each column: by the owner each is refused with CR801, or comes to nothing where other tables say what it is
CREATE TEMP TABLE roles ON COMMIT DROP AS
SELECT r.n, r.who FROM unnest(ARRAY[current_user::text, 'regress_posted_admin', 'regress_posted_manager', 'regress_posted_agent', 'regress_posted_reader']) WITH ORDINALITY AS r (who, n);
UPDATE roles SET who = quote_ident(who);
CREATE TEMP TABLE answers ON COMMIT DROP AS
SELECT r.n, CASE r.n WHEN 1 THEN 'owner' ELSE substr(r.who, 16) END AS role, c.relation, c.attname, c.beside, c.kept,
       pg_temp.tried(r.who::name, format('UPDATE %s SET %I = %s WHERE id <> 9503', c.relation, c.attname, pg_temp.other(c.type, c.attname))) AS answer
FROM columns AS c CROSS JOIN roles AS r WHERE NOT c.generated AND NOT c.beside AND NOT c.kept;
SELECT a.role, a.relation, count(*) > 8 AS columns, string_agg(DISTINCT a.answer, ' ') AS answers FROM answers AS a GROUP BY a.n, 1, 2 ORDER BY a.n, a.relation::text;
-- what is kept is what the allocations say, whatever somebody writes
CREATE FUNCTION pg_temp.stays(relation regclass, name text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    differ bigint;
BEGIN
    EXECUTE format('CREATE TEMP TABLE was AS SELECT x.id, x.%I AS value FROM %s AS x WHERE x.id <> 9503', name, relation);
    EXECUTE format('UPDATE %s SET %I = %s WHERE id <> 9503', relation, name, value);
    EXECUTE format('SELECT count(*) FROM %s AS x JOIN was USING (id) WHERE x.%I IS DISTINCT FROM was.value', relation, name) INTO differ;
    RAISE EXCEPTION 'taken back' USING ERRCODE = 'ZZ000';
EXCEPTION WHEN OTHERS THEN
    RETURN CASE WHEN SQLSTATE <> 'ZZ000' THEN SQLSTATE WHEN differ = 0 THEN 'stays' ELSE 'changed' END;
END $$;
SELECT a.relation, a.attname, pg_temp.stays(a.relation, a.attname, pg_temp.other(a.type, a.attname)) AS answer FROM columns AS a WHERE a.kept ORDER BY a.relation::text, a.attname;
UPDATE crm.invoices SET settled_amount = 999, paid_at = now() WHERE id = 9501;
SELECT pg_temp.print_of() = :'before' AS as_it_was, (SELECT settled_amount FROM crm.invoices WHERE id = 9501) AS settled;

\echo == DELETE, TRUNCATE, MERGE and the rest
SELECT x.command, CASE r.n WHEN 1 THEN 'owner' ELSE substr(r.who, 16) END AS role, string_agg(DISTINCT pg_temp.tried(r.who::name, replace(x.does, '%s', l.relation::text)), ' ') AS answers
FROM ledger AS l CROSS JOIN roles AS r CROSS JOIN (VALUES (1, 'DELETE', 'DELETE FROM %s WHERE id <> 9503'), (2, 'TRUNCATE', 'TRUNCATE %s CASCADE'), (3, 'TRUNCATE ONLY', 'TRUNCATE ONLY %s'),
    (4, 'MERGE DELETE', 'MERGE INTO %s AS x USING (SELECT 1) AS y ON x.id <> 9503 WHEN MATCHED THEN DELETE'),
    (5, 'MERGE UPDATE', 'MERGE INTO %s AS x USING (SELECT 1) AS y ON x.id <> 9503 WHEN MATCHED THEN UPDATE SET source_id = ''x'''),
    (6, 'ON CONFLICT', 'INSERT INTO %s SELECT x.* FROM %s AS x WHERE x.id <> 9503 ON CONFLICT (tenant_id, id) DO UPDATE SET source_id = ''x''')) AS x (n, command, does)
-- a table with generated columns is not written as a whole; those here have none
GROUP BY x.n, x.command, r.n, r.who ORDER BY x.n, r.n;
SELECT x.what, pg_temp.tried((SELECT who::name FROM roles WHERE n = 1), x.does) AS answer FROM (VALUES (1, 'customer', 'DELETE FROM crm.accounts WHERE id = 9501'), (2, 'tables above', 'TRUNCATE crm.accounts CASCADE'),
    (3, 'a line more', 'INSERT INTO crm.invoice_lines (invoice_id, product_id) VALUES (9501, 9501)'), (4, 'a line moved here', 'UPDATE crm.invoice_lines SET invoice_id = 9503 WHERE id = 9501'),
    (5, 'posted at once', 'INSERT INTO crm.invoices (account_id, state, number, issued_on, due_on, posted_at) VALUES (9501, ''posted'', ''X'', ''2025-01-01'', ''2025-01-01'', now())'),
    (6, 'unposted', 'UPDATE crm.invoices SET state = ''draft'', posted_at = NULL WHERE id = 9501'), (7, 'all at once', 'UPDATE crm.invoices SET (state, posted_at, total_amount) = (''draft'', NULL, 0)')) AS x (n, what, does) ORDER BY x.n;

\echo == COPY
\set VERBOSITY sqlstate
COPY crm.invoice_lines (invoice_id, product_id, quantity) FROM STDIN;
9501	9501	1
\.
COPY crm.invoices (account_id, state, number, issued_on, due_on, posted_at) FROM STDIN;
9501	posted	X	2025-01-01	2025-01-01	2025-01-01
\.
COPY crm.payment_allocations (invoice_id, payment_id, amount) FROM STDIN;
9501	99999	1
\.
-- refused before a line is read; what psql then does with lines that follow depends on its version
SET ROLE regress_posted_admin;
\copy crm.invoice_lines (invoice_id, product_id, quantity) FROM /dev/null
SET ROLE regress_posted_agent;
\copy crm.invoice_lines (invoice_id, product_id, quantity) FROM /dev/null
RESET ROLE;
\set VERBOSITY default
SELECT pg_temp.print_of() = :'before' AS as_it_was;
-- a draft is nobody's book yet
SELECT pg_temp.tried((SELECT who::name FROM roles WHERE n = 1), 'DELETE FROM crm.invoices WHERE id = 9503') AS draft;
-- what stands beside a document may be written
SELECT DISTINCT pg_temp.tried((SELECT who::name FROM roles WHERE n = 1), format('UPDATE %s SET owner_id = 9503, custom = ''{}'' WHERE id = 9501', l.relation)) AS beside FROM ledger AS l WHERE l.relation = 'crm.invoices'::regclass;
ROLLBACK;
