-- Rollups count the rows of their source and of nothing else, whoever calls his trigger what; and nobody's query
-- runs with more rights than he has when partitions come and go.
\ir ../helpers/two_tenants.sql
CREATE FUNCTION pg_temp.expect(wanted boolean, what text) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN IF wanted IS NOT TRUE THEN RAISE EXCEPTION 'not so: %', what; END IF; RAISE NOTICE 'ok: %', what; END $$;
GRANT CREATE ON DATABASE :DBNAME TO attack_nobody;

SELECT s.id AS source, c.relname AS view, s.source::regclass AS source_table
FROM crm.rollup_sources AS s JOIN crm.rollups AS r ON r.source_id = s.id
JOIN pg_class AS c ON c.relname = 'rollup_source_' || s.id || '_deltas'
WHERE s.source = 'crm.accounts'::regclass LIMIT 1 \gset
CREATE FUNCTION pg_temp.differences() RETURNS bigint LANGUAGE sql AS
$$ SELECT count(*) FROM crm.rollups AS r, crm.verify_rollup(r.name) AS v $$;
SELECT pg_temp.expect(pg_temp.differences() = 0, 'rollups are right to begin with');
SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) AS columns,
       string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum DESC) AS columns_backwards
FROM pg_attribute WHERE attrelid = 'crm.accounts'::regclass AND attnum > 0 AND NOT attisdropped \gset

-- a role without any right calls a trigger of its own as ours are called
SET SESSION AUTHORIZATION attack_nobody;
CREATE FUNCTION pg_temp.nop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TEMP TABLE p (:columns) PARTITION BY LIST (tenant_id);
CREATE TRIGGER "00_crm_rollup_:{source}_row" AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION pg_temp.nop(:'source');
CREATE TEMP TABLE q (:columns);
INSERT INTO q (tenant_id, id, roles) SELECT 2, i, '{customer}' FROM generate_series(1, 1000) AS i;
ALTER TABLE p ATTACH PARTITION q FOR VALUES IN (2);
CREATE TEMP TABLE p2 (z1 int, :columns_backwards, z2 int) PARTITION BY LIST (tenant_id);
CREATE TRIGGER "00_crm_rollup_:{source}_row" AFTER INSERT ON p2 FOR EACH ROW EXECUTE FUNCTION pg_temp.nop(:'source');
CREATE TEMP TABLE q2 (z1 int, :columns_backwards, z2 int);
INSERT INTO q2 (tenant_id, id, roles) SELECT 2, i, '{customer}' FROM generate_series(1, 1000) AS i;
ALTER TABLE p2 ATTACH PARTITION q2 FOR VALUES IN (2);
CREATE TRIGGER "00_crm_rollup_:{source}_flush" AFTER INSERT ON q FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.nop(:'source');
CREATE TRIGGER "00_crm_rollup_:{source}_flush" AFTER INSERT ON q2 FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.nop(:'source');
TRUNCATE q2;
ALTER TABLE p DETACH PARTITION q;
DROP TABLE q;
DROP TABLE q2;
-- ours cannot be called by him, and by nobody for another table
\set ON_ERROR_STOP 0
CREATE TRIGGER mine AFTER INSERT ON p FOR EACH ROW EXECUTE FUNCTION crm.rollup_row(:'source');
SELECT :'SQLSTATE' = '42501' AS refused \gset
\set ON_ERROR_STOP 1
RESET SESSION AUTHORIZATION;
SELECT pg_temp.expect(:'refused', 'a role without rights cannot use the trigger functions');
SELECT pg_temp.expect(pg_temp.differences() = 0, 'nothing of it was counted');
CREATE TABLE stranger (:columns);
CREATE TRIGGER mine AFTER INSERT ON stranger FOR EACH ROW EXECUTE FUNCTION crm.rollup_row(:'source');
\set ON_ERROR_STOP 0
INSERT INTO stranger (tenant_id, id) VALUES (1, 1);
SELECT :'SQLSTATE' = '55000' AS refused \gset
\set ON_ERROR_STOP 1
SELECT pg_temp.expect(:'refused', 'a trigger on a table that is no part of the source is refused');

-- partitions of the owner's own table come and go under hostile operators, moved by a superuser
CREATE SCHEMA hostile;
CREATE SEQUENCE hostile.hits;
CREATE FUNCTION hostile.same(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.nextval('hostile.hits'); RETURN a OPERATOR(pg_catalog.=) b; END $$;
CREATE FUNCTION hostile.like(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.nextval('hostile.hits'); RETURN a OPERATOR(pg_catalog.~~) b; END $$;
CREATE FUNCTION hostile.cat(a text, b bigint) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.nextval('hostile.hits'); RETURN pg_catalog.concat(a, b); END $$;
CREATE OPERATOR hostile.= (FUNCTION = hostile.same, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR hostile.~~ (FUNCTION = hostile.like, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR hostile.|| (FUNCTION = hostile.cat, LEFTARG = text, RIGHTARG = bigint);
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
GRANT USAGE ON SEQUENCE hostile.hits TO PUBLIC;
CREATE SCHEMA shop AUTHORIZATION attack_owner;
SET SESSION AUTHORIZATION attack_owner;
CREATE TABLE shop.visits (region text, day date, amount numeric) PARTITION BY LIST (region);
CREATE TABLE shop.visits_a PARTITION OF shop.visits FOR VALUES IN ('a');
CREATE TABLE shop.visits_b (region text, day date, amount numeric);
INSERT INTO shop.visits_b SELECT 'b', date '2026-01-01', i FROM generate_series(1, 10) AS i;
SELECT name AS made FROM crm.create_rollup('visits_by_region', 'shop.visits', '{region}', '{count(*),sum(amount)}') \gset
RESET SESSION AUTHORIZATION;
-- a session whose first contact with rollups is a partition that comes
\c -
CREATE FUNCTION pg_temp.expect(wanted boolean, what text) RETURNS void LANGUAGE plpgsql AS
$$ BEGIN IF wanted IS NOT TRUE THEN RAISE EXCEPTION 'not so: %', what; END IF; RAISE NOTICE 'ok: %', what; END $$;
SET search_path = hostile, pg_catalog;
ALTER TABLE shop.visits ATTACH PARTITION shop.visits_b FOR VALUES IN ('b');
DO $$ BEGIN FOR i IN 1..300 LOOP BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
BEGIN;
SAVEPOINT a; SAVEPOINT b; SAVEPOINT c;
INSERT INTO shop.visits SELECT 'a', date '2026-01-01', i FROM generate_series(1, 10) AS i;
RELEASE a;
INSERT INTO shop.visits SELECT 'b', date '2026-01-01', i FROM generate_series(1, 10) AS i;
COMMIT;
CREATE TABLE shop.visits_c PARTITION OF shop.visits FOR VALUES IN ('c') PARTITION BY RANGE (day);
CREATE TABLE shop.visits_c1 PARTITION OF shop.visits_c FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE shop.visits_c2 PARTITION OF shop.visits_c FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO shop.visits SELECT 'c', date '2026-01-01' OPERATOR(pg_catalog.+) i, i FROM pg_catalog.generate_series(1, 50) AS i;
ALTER TABLE shop.visits DETACH PARTITION shop.visits_a CONCURRENTLY;
DROP TABLE shop.visits_c2;
DROP TABLE shop.visits_b;
TRUNCATE shop.visits_c1;
INSERT INTO shop.visits VALUES ('c', '2026-01-03', 7);
RESET search_path;
SELECT pg_temp.expect((SELECT array_agg((v.region, v.count, v.sum_amount)::text) FROM crm_analytics.visits_by_region AS v) = '{"(c,1,7)"}', 'partitions are counted in and out');
SELECT pg_temp.expect((SELECT count(*) FROM crm.verify_rollup('visits_by_region')) = 0, 'the rollup of a partitioned table is right');
SELECT pg_temp.expect((SELECT array_agg(DISTINCT tgenabled) FROM pg_trigger WHERE tgrelid = 'shop.visits_c1'::regclass) = '{A}', 'triggers of new partitions fire always');
SELECT pg_temp.expect((SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.visits_a'::regclass) = 0, 'a detached partition keeps no trigger');
-- its definition goes by CASCADE: the rollup goes too, as its owner
SET search_path = hostile, pg_catalog;
ALTER TABLE shop.visits DROP COLUMN amount CASCADE;
RESET search_path;
SELECT pg_temp.expect(NOT EXISTS (SELECT FROM crm.rollups WHERE name = 'visits_by_region'), 'a rollup whose column went is dropped');
SELECT pg_temp.expect((SELECT count(*) FROM pg_trigger WHERE tgrelid IN ('shop.visits'::regclass, 'shop.visits_c1'::regclass)) = 0, 'and its triggers');
-- the same where the source is another's, who is nobody to the CRM
CREATE SCHEMA theirs AUTHORIZATION attack_nobody;
CREATE TABLE theirs.visits (region text, amount numeric);
ALTER TABLE theirs.visits OWNER TO attack_nobody;
SELECT name AS made FROM crm.create_rollup('visits_of_theirs', 'theirs.visits', '{region}', '{sum(amount)}') \gset
SET SESSION AUTHORIZATION attack_nobody;
INSERT INTO theirs.visits VALUES ('a', 1);
ALTER TABLE theirs.visits DROP COLUMN amount CASCADE;
INSERT INTO theirs.visits VALUES ('b');
RESET SESSION AUTHORIZATION;
SELECT pg_temp.expect(NOT EXISTS (SELECT FROM crm.rollups WHERE name = 'visits_of_theirs'), 'a rollup of another''s table goes with its column');
SELECT pg_temp.expect((SELECT NOT is_called FROM hostile.hits), 'no operator in front of the path was used');
SELECT pg_temp.expect((SELECT count(*) FROM crm.rollups AS r, crm.verify_rollup(r.name)) = 0, 'rollups are right at the end');
