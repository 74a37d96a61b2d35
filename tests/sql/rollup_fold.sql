-- Folding: what is added up in memory ends in the right row of the base, whatever the keys.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA rollup_fold;
SET search_path = rollup_fold, public;
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE sales (id int PRIMARY KEY, price numeric, place text COLLATE any_case, day date, amount numeric, pieces bigint, tags text[]);
SELECT (crm.create_rollup('fold_price', 'sales', ARRAY['price', 'place'], ARRAY['count(*) AS n', 'sum(amount) AS amount', 'sum(pieces) AS pieces'])).name;
SELECT (crm.create_rollup('fold_tags', 'sales', ARRAY['tags', 'day'], ARRAY['count(*) AS n', 'sumsq(amount) AS squares', 'count(amount) FILTER (WHERE day IS NULL) AS dayless'])).name;
SELECT (crm.create_rollup('fold_all', 'sales', '{}', ARRAY['count(*) AS n', 'avg(amount) AS mean'])).name;

CREATE FUNCTION differences() RETURNS bigint LANGUAGE sql AS $$
    SELECT sum((SELECT count(*) FROM crm.verify_rollup(r.name)))::bigint FROM crm.rollups AS r WHERE r.name LIKE 'fold\_%'
$$;

-- equal keys of different bytes, NULL keys, arrays, long text; new groups and known ones
INSERT INTO sales SELECT g, (ARRAY[1.0, 1.00, NULL, 2.5])[1 + g % 4], (ARRAY['Oslo', 'OSLO', 'Bergen', NULL])[1 + g % 4 * g % 4],
    CASE WHEN g % 5 > 0 THEN date '2026-01-01' + g % 7 END, g * 1.5, g, CASE WHEN g % 3 > 0 THEN ARRAY['a', repeat('long', 700 * (g % 2))] END
FROM generate_series(1, 400) AS g;
SELECT crm.fold_rollups('fold_price') > 0 AS folded, differences();
SELECT count(*) AS base_rows, count(DISTINCT (round(price, 1), lower(place))) AS groups
FROM (SELECT * FROM crm_analytics.fold_price) AS v (price, place);
UPDATE sales SET price = price + 0.00, place = upper(place), amount = -amount, pieces = NULL WHERE id % 2 = 0;
DELETE FROM sales WHERE id % 7 = 0;
INSERT INTO sales SELECT g, 1.000, 'oslo', NULL, 7, 1, NULL FROM generate_series(401, 500) AS g;
SELECT crm.fold_rollups('fold_tags') > 0 AS folded, differences();
SELECT n, round(mean, 6) AS mean FROM crm_analytics.fold_all;
-- nothing pending, nothing folded
SELECT crm.fold_rollups('fold_all');

-- a group that has come to nothing stays in the base as zero, and is not read
DELETE FROM sales;
SELECT crm.fold_rollups('fold_price') > 0 AS folded, differences();
SELECT count(*) FROM crm_analytics.fold_price;

-- more groups than memory: folded in parts
SET maintenance_work_mem = '1MB';
INSERT INTO sales SELECT g, g, 'p' || g % 50, date '2026-01-01' + g % 900, g / 7.0, g, ARRAY[g::text] FROM generate_series(1, 20000) AS g;
UPDATE sales SET price = price - 1, amount = amount * 2;
SELECT crm.fold_rollups('fold_price') AS deltas, differences();
RESET maintenance_work_mem;

-- a column and an index of the owner's, with a default
ALTER TABLE crm_internal.fold_price_rollup ADD COLUMN noted_at date NOT NULL DEFAULT '2026-01-01', ADD COLUMN manager text;
CREATE INDEX ON crm_internal.fold_price_rollup (noted_at);
INSERT INTO sales VALUES (30001, 77777, 'new', NULL, 1, 1, NULL);
UPDATE sales SET amount = 5 WHERE id = 30001;
SELECT crm.fold_rollups('fold_price') AS deltas, differences();
SELECT count(*) FILTER (WHERE noted_at = '2026-01-01') = count(*) AS all_noted FROM crm_internal.fold_price_rollup;

-- in REPEATABLE READ: own snapshot only, and no silent mixture
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE sales SET amount = 6 WHERE id = 30001;
SELECT crm.fold_rollups('fold_price') AS deltas, differences();
COMMIT;

-- sums beyond bigint are refused, and nothing is lost
CREATE TABLE counters (k int, n int);
SELECT (crm.create_rollup('fold_counters', 'counters', ARRAY['k'], ARRAY['sum(n) AS n'])).name;
INSERT INTO counters VALUES (1, 5);
SELECT crm.fold_rollups('fold_counters');
UPDATE crm_internal.fold_counters_rollup SET (m1, m3) = (SELECT 1, 9223372036854775800);
INSERT INTO counters VALUES (1, 100);
SELECT crm.fold_rollups('fold_counters');
SELECT pending_deltas FROM crm.rollup_status WHERE name = 'fold_counters';
SELECT (crm.rebuild_rollup('fold_counters')).name;
SELECT crm.fold_rollups('fold_counters'), (SELECT count(*) FROM crm.verify_rollup('fold_counters')) AS differences;

-- without its unique index a base cannot be written
DROP INDEX crm_internal.fold_counters_rollup_key;
INSERT INTO counters VALUES (2, 1);
SELECT crm.fold_rollups('fold_counters');

-- only who may write the storage
CREATE ROLE fold_stranger;
GRANT USAGE ON SCHEMA crm, crm_internal TO fold_stranger;
SELECT set_config('fold.source', id::text, false) <> '' AS found FROM crm.rollup_sources WHERE source = 'sales'::regclass;
GRANT EXECUTE ON FUNCTION crm.rollup_fold(bigint) TO fold_stranger;
SET ROLE fold_stranger;
DO $$ BEGIN PERFORM crm.rollup_fold(current_setting('fold.source')::bigint); EXCEPTION WHEN insufficient_privilege THEN RAISE WARNING 'refused'; END $$;
RESET ROLE;
REVOKE ALL ON FUNCTION crm.rollup_fold(bigint) FROM fold_stranger;
REVOKE ALL ON SCHEMA crm, crm_internal FROM fold_stranger;
DROP ROLE fold_stranger;

SELECT (crm.drop_rollup(r.name)).name FROM crm.rollups AS r WHERE r.name LIKE 'fold\_%' ORDER BY r.id;
DROP SCHEMA rollup_fold CASCADE;
