-- Rollups stay exact whatever statement changes the source. After each step every rollup is compared with a recompute.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA rollup_exact;
SET search_path = rollup_exact;
CREATE TABLE accounts (id integer PRIMARY KEY);
CREATE TABLE deals (id integer PRIMARY KEY, account_id integer REFERENCES accounts ON DELETE CASCADE ON UPDATE CASCADE,
                    owner integer, stage integer, amount numeric, tag text);
INSERT INTO accounts SELECT generate_series(1, 10);
INSERT INTO deals SELECT g, g % 10 + 1, g % 3, g % 4, g, 'T' || g % 2 FROM generate_series(1, 50) AS g;
SELECT r.name FROM crm.create_rollup('exact_deals', 'deals', ARRAY['owner', 'stage'], ARRAY['count(*)', 'sum(amount)']) AS r;
SELECT r.name FROM crm.create_rollup('exact_accounts', 'deals', ARRAY['account_id', 'lower(tag) AS tag'], ARRAY['sum(stage)'], 'stage > 0') AS r;
CREATE FUNCTION wrong() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM crm.rollups AS r, crm.verify_rollup(r.name) AS v WHERE r.name LIKE 'exact\_%'
$$;
CREATE FUNCTION pending() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT pending_deltas FROM crm.rollup_status WHERE name = 'exact_deals'
$$;

-- one statement of each kind
INSERT INTO deals VALUES (101, 1, 1, 1, 1, 'x'), (102, 1, 1, 1, 2, 'x'), (103, NULL, NULL, NULL, NULL, NULL);
SELECT wrong(), pending();
UPDATE deals SET stage = stage + 1 WHERE id > 40;
DELETE FROM deals WHERE id % 10 = 3;
SELECT wrong();
INSERT INTO deals VALUES (101, 1, 2, 2, 7, 'Y'), (104, 2, 2, 2, 2, 'y') ON CONFLICT (id) DO UPDATE SET amount = excluded.amount, owner = excluded.owner;
INSERT INTO deals VALUES (101, 1, 2, 2, 7, 'Y') ON CONFLICT DO NOTHING;
SELECT wrong();
MERGE INTO deals AS d USING (VALUES (101, 5), (104, NULL), (105, 9)) AS s (id, amount) ON d.id = s.id
WHEN MATCHED AND s.amount IS NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET amount = s.amount, tag = 'merged'
WHEN NOT MATCHED THEN INSERT VALUES (s.id, 3, 0, 3, s.amount, 'new');
SELECT wrong();
WITH gone AS (DELETE FROM deals WHERE id IN (105, 20) RETURNING *),
     back AS (INSERT INTO deals SELECT id + 1000, account_id, owner, stage, amount, tag FROM gone RETURNING *)
UPDATE deals SET owner = 9 WHERE id = 21;
SELECT wrong();
COPY deals FROM STDIN;
201	1	0	1	5	a
202	2	0	1	\N	A
203	2	1	2	0.5	b
\.
SELECT wrong();
-- cascades
DELETE FROM accounts WHERE id = 1;
UPDATE accounts SET id = 22 WHERE id = 2;
SELECT wrong(), (SELECT count(*) FROM crm_analytics.exact_accounts WHERE account_id = 22) AS moved;
-- what a BEFORE trigger changes counts, whatever the SET list says
CREATE FUNCTION shift() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.stage := 0; RETURN NEW; END';
CREATE TRIGGER shift BEFORE UPDATE ON deals FOR EACH ROW WHEN (NEW.tag = 'shift') EXECUTE FUNCTION shift();
UPDATE deals SET tag = 'shift' WHERE id = 30;
SELECT wrong(), (SELECT stage FROM deals WHERE id = 30) AS stage;

-- the writer's own view, at every step, and nothing left of what was undone
BEGIN;
INSERT INTO deals VALUES (301, 3, 1, 1, 1, 'own');
SELECT wrong();
SAVEPOINT a;
UPDATE deals SET amount = 100, stage = 2 WHERE id = 301;
SAVEPOINT b;
DELETE FROM deals WHERE stage = 2;
SELECT wrong();
ROLLBACK TO b;
SELECT wrong();
RELEASE a;
SELECT wrong();
SAVEPOINT c;
INSERT INTO deals VALUES (302, 3, 1, 1, 1, 'own'), (301, 3, 1, 1, 1, 'duplicate');
ROLLBACK TO c;
SELECT wrong();
COMMIT;
SELECT wrong();
-- exceptions in functions
DO $$
BEGIN
    FOR i IN 1..8 LOOP
        BEGIN
            INSERT INTO rollup_exact.deals VALUES (400 + i, 3, i % 3, i % 4, i, 'do');
            BEGIN
                UPDATE rollup_exact.deals SET amount = 0 WHERE id = 400 + i;
                IF i % 2 = 0 THEN RAISE EXCEPTION 'x'; END IF;
            EXCEPTION WHEN raise_exception THEN NULL;
            END;
            IF i % 3 = 0 THEN RAISE EXCEPTION 'y'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
END
$$;
SELECT wrong(), (SELECT count(*) FROM deals WHERE tag = 'do') AS kept;
-- a statement that fails between its rows and its end leaves nothing in memory
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.tag = 'fail' THEN RAISE EXCEPTION 'fail'; END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER zz_fail AFTER INSERT OR UPDATE ON deals FOR EACH ROW EXECUTE FUNCTION fail();
DO $$
BEGIN
    INSERT INTO rollup_exact.deals VALUES (450, 3, 1, 1, 1, 'before');
    BEGIN
        INSERT INTO rollup_exact.deals VALUES (451, 3, 1, 1, 1, 'lost'), (452, 3, 1, 1, 1, 'fail');
    EXCEPTION WHEN raise_exception THEN
        UPDATE rollup_exact.deals SET owner = 2 WHERE id = 450;
    END;
END
$$;
SELECT wrong();
BEGIN;
SAVEPOINT a;
UPDATE deals SET tag = 'fail' WHERE id > 20;
ROLLBACK TO a;
INSERT INTO deals VALUES (453, 3, 1, 1, 1, 'after');
COMMIT;
SELECT wrong();
DROP TRIGGER zz_fail ON deals;

-- a cursor sees the moment it was opened
BEGIN;
DECLARE c CURSOR FOR SELECT sum(count) FROM crm_analytics.exact_deals WHERE owner = 77;
INSERT INTO deals VALUES (501, 3, 77, 1, 1, 'cursor');
FETCH c;
CLOSE c;
DECLARE d CURSOR FOR SELECT sum(count) FROM crm_analytics.exact_deals WHERE owner = 77;
INSERT INTO deals VALUES (502, 3, 77, 1, 1, 'cursor');
FETCH d;
COMMIT;
SELECT wrong();
-- triggers of the user that write the same table, and others
CREATE FUNCTION echo() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id < 10000 THEN
        INSERT INTO rollup_exact.deals VALUES (NEW.id + 10000, NULL, NEW.owner, NEW.stage, NEW.amount, 'echo');
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER echo AFTER INSERT ON deals FOR EACH ROW EXECUTE FUNCTION echo();
INSERT INTO deals SELECT g, 3, g % 3, 1, g, 'e' FROM generate_series(601, 610) AS g;
SELECT wrong();
DROP TRIGGER echo ON deals;
CREATE CONSTRAINT TRIGGER echo AFTER INSERT ON deals DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION echo();
BEGIN;
INSERT INTO deals SELECT g, 3, g % 3, 1, g, 'e' FROM generate_series(611, 615) AS g;
COMMIT;
SELECT wrong(), (SELECT count(*) FROM deals WHERE tag = 'echo') AS echoes;
DROP TRIGGER echo ON deals;

-- TRUNCATE, alone, with rows before and after, undone, in a savepoint
BEGIN;
INSERT INTO deals VALUES (701, 3, 1, 1, 1, 't');
TRUNCATE deals;
SELECT wrong(), pending(), (SELECT count(*) FROM crm_analytics.exact_deals) AS groups;
INSERT INTO deals VALUES (702, 3, 1, 1, 1, 't');
SELECT wrong();
ROLLBACK;
SELECT wrong();
BEGIN;
INSERT INTO deals VALUES (701, 3, 1, 1, 1, 't');
SAVEPOINT a;
TRUNCATE deals;
INSERT INTO deals VALUES (702, 3, 1, 1, 1, 't');
ROLLBACK TO a;
SELECT wrong();
SAVEPOINT a;
TRUNCATE accounts CASCADE;
RELEASE a;
INSERT INTO accounts VALUES (3);
INSERT INTO deals VALUES (703, 3, 1, 1, 1, 't');
SELECT wrong();
COMMIT;
SELECT wrong(), (SELECT count(*) FROM crm_analytics.exact_deals) AS groups;

-- replica role and two-phase commit
SET session_replication_role = replica;
INSERT INTO deals VALUES (801, 3, 5, 1, 1, 'replica');
SET session_replication_role = origin;
SELECT wrong(), (SELECT count(*) FROM crm_analytics.exact_deals WHERE owner = 5) AS counted;
BEGIN;
INSERT INTO deals VALUES (802, 3, 5, 1, 1, 'prepared');
SAVEPOINT a;
INSERT INTO deals VALUES (803, 3, 5, 1, 1, 'prepared');
PREPARE TRANSACTION 'rollup_exact_1';
BEGIN;
INSERT INTO deals VALUES (804, 3, 5, 1, 1, 'prepared');
PREPARE TRANSACTION 'rollup_exact_2';
SELECT wrong();
COMMIT PREPARED 'rollup_exact_1';
ROLLBACK PREPARED 'rollup_exact_2';
SELECT wrong(), (SELECT sum(count) FROM crm_analytics.exact_deals WHERE owner = 5) AS counted;
-- more groups in one statement than are kept in memory
INSERT INTO deals SELECT g, NULL, g, g % 4, 1, 'many' FROM generate_series(100001, 134000) AS g;
UPDATE deals SET owner = owner + 1 WHERE tag = 'many';
SELECT wrong();
SELECT crm.fold_rollups() > 0 AS folded;
DELETE FROM deals WHERE tag = 'many';
SELECT wrong();

-- partitions: through the root, directly, moved between them
CREATE TABLE visits (day date NOT NULL, kind text, n integer) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visits_2 (n integer, gone text, kind text, day date NOT NULL);
ALTER TABLE visits_2 DROP COLUMN gone;
ALTER TABLE visits ATTACH PARTITION visits_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO visits SELECT '2026-01-01'::date + g, 'k' || g % 3, g FROM generate_series(0, 50) AS g;
SELECT r.name FROM crm.create_rollup('exact_visits', 'visits', ARRAY['kind'], ARRAY['sum(n)', 'count(*)']) AS r;
INSERT INTO visits_2 VALUES (1, 'k1', '2026-02-10');
BEGIN;
INSERT INTO visits_1 VALUES ('2026-01-10', 'k1', 1);
SELECT wrong();
COMMIT;
UPDATE visits SET day = day + 15 WHERE kind = 'k1' AND day < '2026-02-10';
SELECT wrong();
UPDATE visits_2 SET kind = 'k2' WHERE n > 45;
DELETE FROM visits_1 WHERE kind = 'k0';
SELECT wrong();
TRUNCATE visits_1;
SELECT wrong(), (SELECT sum(count) FROM crm_analytics.exact_visits) AS n, (SELECT count(*) FROM visits) AS rows;
-- later partitions, with and without rows, and partitions of partitions
CREATE TABLE visits_3 PARTITION OF visits FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
BEGIN;
INSERT INTO visits_3 VALUES ('2026-03-05', 'k3', 3);
SELECT wrong();
COMMIT;
CREATE TABLE visits_4 (day date NOT NULL, kind text, n integer) PARTITION BY RANGE (day);
CREATE TABLE visits_4a PARTITION OF visits_4 FOR VALUES FROM ('2026-04-01') TO ('2026-04-15');
INSERT INTO visits_4 SELECT '2026-04-01'::date + g, 'k' || g % 3, g FROM generate_series(0, 10) AS g;
ALTER TABLE visits ATTACH PARTITION visits_4 FOR VALUES FROM ('2026-04-01') TO ('2026-05-01');
SELECT wrong(), (SELECT sum(count) FROM crm_analytics.exact_visits) AS n, (SELECT count(*) FROM visits) AS rows;
CREATE TABLE visits_4b PARTITION OF visits_4 FOR VALUES FROM ('2026-04-15') TO ('2026-05-01');
BEGIN;
INSERT INTO visits_4b VALUES ('2026-04-20', 'k3', 3);
SELECT wrong();
COMMIT;
SELECT state FROM crm.rollup_status WHERE name = 'exact_visits';
ALTER TABLE visits DETACH PARTITION visits_2;
SELECT wrong(), (SELECT sum(count) FROM crm_analytics.exact_visits) AS n, (SELECT count(*) FROM visits) AS rows;
INSERT INTO visits_2 VALUES (1, 'k1', '2026-02-10');
TRUNCATE visits_2;
SELECT wrong();
ALTER TABLE visits DETACH PARTITION visits_3 CONCURRENTLY;
SELECT wrong();
DROP TABLE visits_2, visits_3;
DROP TABLE visits_4a;
SELECT wrong(), (SELECT sum(count) FROM crm_analytics.exact_visits) AS n, (SELECT count(*) FROM visits) AS rows;
CREATE SCHEMA rollup_exact_2;
CREATE TABLE rollup_exact_2.visits_5 PARTITION OF visits FOR VALUES FROM ('2026-05-01') TO ('2026-06-01');
INSERT INTO visits VALUES ('2026-05-05', 'k3', 3);
DROP SCHEMA rollup_exact_2 CASCADE;
SELECT wrong();
TRUNCATE visits;
SELECT wrong(), (SELECT count(*) FROM crm_analytics.exact_visits) AS groups;
INSERT INTO visits VALUES ('2026-05-05', 'k3', 3);
SELECT wrong(), (SELECT count(*) FROM crm_analytics.exact_visits) AS groups;

-- a partition may feed a rollup of its own, beside those of its parent
SELECT r.name FROM crm.create_rollup('exact_leaf', 'visits_1', ARRAY['kind'], ARRAY['sum(n)']) AS r;
INSERT INTO visits VALUES ('2026-01-05', 'k3', 3);
INSERT INTO visits_1 VALUES ('2026-01-05', 'k3', 3);
SELECT wrong(), (SELECT sum_n FROM crm_analytics.exact_leaf) AS leaf;
SELECT name FROM crm.drop_rollup('exact_leaf');
SELECT wrong();

-- kinds of keys: equal but not the same, long, NULL, by reference
CREATE TABLE kinds (a numeric, b text, c jsonb, d uuid, e timestamptz, f integer[], g char(5), h bool, i float8, v bigint);
SELECT r.name FROM crm.create_rollup('exact_kinds', 'kinds', ARRAY['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'a::text AS a_text'], ARRAY['sum(v)', 'sumsq(v)']) AS r;
INSERT INTO kinds VALUES (1.0, repeat('long ', 2000), '{"a": 1}', '00000000-0000-0000-0000-000000000001', '2026-01-01', '{1,2}', 'ab', true, 0.1, 9223372036854775807),
                         (1.00, repeat('long ', 2000), '{"a": 1}', '00000000-0000-0000-0000-000000000001', '2026-01-01', '{1,2}', 'ab  ', true, 0.1, 9223372036854775807),
                         (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT wrong(), (SELECT count(*) FROM crm_analytics.exact_kinds) AS groups;
UPDATE kinds SET a = 1.000 WHERE a IS NOT NULL;
SELECT wrong(), (SELECT array_agg(a_text) FROM crm_analytics.exact_kinds) AS texts;
SELECT crm.fold_rollups('exact_kinds') > 0 AS folded;
UPDATE kinds SET b = repeat('longer ', 3000), i = '-0', a = 1.0;
SELECT wrong();
UPDATE kinds SET i = 0;
SELECT crm.fold_rollups('exact_kinds') > 0 AS folded;
SELECT wrong(), (SELECT sum_v FROM crm_analytics.exact_kinds WHERE sum_v IS NOT NULL) AS sum_v;
-- expressions that fail on rows the filter leaves out
CREATE TABLE ratios (a integer, b integer);
SELECT r.name FROM crm.create_rollup('exact_ratios', 'ratios', ARRAY['a / b AS ratio'], ARRAY['sum(100 / b) AS s', 'count(*) FILTER (WHERE 1 / b > 0) AS f'], 'b <> 0') AS r;
INSERT INTO ratios VALUES (6, 3), (7, 0), (NULL, NULL);
UPDATE ratios SET a = 9;
SELECT wrong();
TABLE crm_analytics.exact_ratios;
-- more columns in one rollup's expressions than a function can take arguments for
DO $$
BEGIN
    EXECUTE (SELECT format('CREATE TABLE rollup_exact.broad (%s)', string_agg(format('c%s integer DEFAULT 0', g), ', ')) FROM generate_series(1, 120) AS g);
    PERFORM crm.create_rollup('exact_broad', 'rollup_exact.broad', ARRAY['c1'],
        ARRAY[(SELECT format('sum(%s) AS s', string_agg('c' || g, ' + ')) FROM generate_series(2, 120) AS g)]);
END
$$;
INSERT INTO broad (c1) VALUES (1), (2);
UPDATE broad SET c120 = 7 WHERE c1 = 1;
UPDATE broad SET c51 = 8 WHERE c1 = 2;
SELECT wrong(), (SELECT sum(s) FROM crm_analytics.exact_broad) AS s;
-- unlogged sources have unlogged rollups
CREATE UNLOGGED TABLE loose (k integer);
SELECT r.name FROM crm.create_rollup('exact_loose', 'loose', ARRAY['k']) AS r;
SELECT c.relpersistence FROM pg_class AS c WHERE c.relname = 'exact_loose_rollup';

-- dropped by CASCADE, the definition takes its rollups along and the writers go on
ALTER TABLE deals DROP COLUMN owner CASCADE;
SELECT name FROM crm.rollups WHERE name LIKE 'exact\_%' ORDER BY 1;
UPDATE deals SET stage = 1;
DROP TABLE visits CASCADE;
DROP SCHEMA rollup_exact CASCADE;
SELECT name FROM crm.rollups WHERE name LIKE 'exact\_%' ORDER BY 1;
SELECT count(*) FROM pg_class WHERE relnamespace = 'crm_internal'::regnamespace AND relname LIKE 'exact\_%';
