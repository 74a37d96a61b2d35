-- Rollups: what can be declared, what is refused, what is read.
\set VERBOSITY terse
CREATE SCHEMA rollup_test;
SET search_path = rollup_test;
CREATE TABLE deals (
    id bigint PRIMARY KEY,
    owner_id integer,
    stage text,
    closed_at timestamptz,
    amount numeric(12,2),
    pieces integer,
    ratio float8,
    facts jsonb,
    note text
);
INSERT INTO deals
SELECT g, g % 3, CASE g % 4 WHEN 0 THEN 'won' WHEN 1 THEN 'lost' ELSE 'open' END,
       '2026-01-01 23:30+00'::timestamptz + g * interval '1 day', g * 10, nullif(g % 5, 0), g, jsonb_build_object('region', 'r' || g % 2), 'n'
FROM generate_series(1, 100) AS g;

SELECT r.name, r.base_table, r.reading_view, r.filter
FROM crm.create_rollup('deals_by_owner', 'deals', ARRAY['owner_id', 'stage'],
    ARRAY['count(*) AS deals', 'count(pieces) AS with_pieces', 'sum(amount) AS amount', 'sum(pieces) AS pieces',
          'sumsq(amount) AS amount_sq', 'avg(amount) AS amount_avg',
          'count(*) FILTER (WHERE amount > 500) AS big', 'sum(amount) FILTER (WHERE amount > 500) AS big_amount']) AS r;
SELECT r.name, r.reading_view, r.filter
FROM crm.create_rollup('deals_won', 'deals',
    ARRAY['date_trunc(''month'', closed_at AT TIME ZONE ''Asia/Tehran'')::date AS month', 'facts->>''region'' AS region'],
    ARRAY['count(*)', 'sum(amount)'], 'stage = ''won''', 'rollup_test.won_by_month') AS r;
SELECT r.name FROM crm.create_rollup('deals_all', 'deals', NULL) AS r;
SELECT * FROM crm_analytics.deals_by_owner ORDER BY 1, 2;
SELECT * FROM won_by_month ORDER BY 1, 2;
SELECT * FROM crm_analytics.deals_all;

-- the same figures as the plain query, before and after folding
CREATE FUNCTION same() RETURNS TABLE (by_owner bigint, won bigint, verified bigint) LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM (
                (TABLE crm_analytics.deals_by_owner
                 EXCEPT ALL
                 SELECT owner_id, stage, count(*), count(pieces), sum(amount), sum(pieces), sum(amount * amount), avg(amount),
                        count(*) FILTER (WHERE amount > 500), sum(amount) FILTER (WHERE amount > 500)
                 FROM deals GROUP BY 1, 2)
                UNION ALL
                (SELECT owner_id, stage, count(*), count(pieces), sum(amount), sum(pieces), sum(amount * amount), avg(amount),
                        count(*) FILTER (WHERE amount > 500), sum(amount) FILTER (WHERE amount > 500)
                 FROM deals GROUP BY 1, 2
                 EXCEPT ALL
                 TABLE crm_analytics.deals_by_owner)) AS x),
           (SELECT count(*) FROM (
                (TABLE won_by_month
                 EXCEPT ALL
                 SELECT date_trunc('month', closed_at AT TIME ZONE 'Asia/Tehran')::date, facts->>'region', count(*), sum(amount)
                 FROM deals WHERE stage = 'won' GROUP BY 1, 2)
                UNION ALL
                (SELECT date_trunc('month', closed_at AT TIME ZONE 'Asia/Tehran')::date, facts->>'region', count(*), sum(amount)
                 FROM deals WHERE stage = 'won' GROUP BY 1, 2
                 EXCEPT ALL
                 TABLE won_by_month)) AS x),
           (SELECT count(*) FROM (SELECT * FROM crm.verify_rollup('deals_by_owner') UNION ALL SELECT * FROM crm.verify_rollup('deals_won')
                                  UNION ALL SELECT * FROM crm.verify_rollup('deals_all')) AS v)
$$;
SELECT * FROM same();
INSERT INTO deals (id, owner_id, stage, closed_at, amount) VALUES (201, 1, 'won', now(), 5), (202, NULL, 'won', NULL, NULL), (203, 1, NULL, now(), -7.25);
UPDATE deals SET amount = amount + 1, stage = 'won' WHERE id % 7 = 0;
DELETE FROM deals WHERE id % 11 = 0;
SELECT * FROM same();
SELECT state, pending_deltas > 0 AS pending, folded_at IS NULL AS never_folded, base_bytes > 0 AS base, keys, measures
FROM crm.rollup_status WHERE source = 'deals'::regclass ORDER BY name;
SELECT crm.fold_rollups() > 0 AS folded;
SELECT pending_deltas, folded_deltas > 0 AS counted, folded_at IS NOT NULL AS folded FROM crm.rollup_status WHERE name = 'deals_won';
SELECT crm.fold_rollups('deals_won');
SELECT * FROM same();

-- a sum of nothing but NULL is NULL again, also when a number was there meanwhile
SELECT amount, big_amount FROM crm_analytics.deals_by_owner WHERE owner_id IS NULL;
UPDATE deals SET amount = 600 WHERE id = 202;
SELECT amount, big_amount FROM crm_analytics.deals_by_owner WHERE owner_id IS NULL;
UPDATE deals SET amount = 0 WHERE id = 202;
SELECT amount, big_amount FROM crm_analytics.deals_by_owner WHERE owner_id IS NULL;
UPDATE deals SET amount = NULL WHERE id = 202;
SELECT amount, big_amount FROM crm_analytics.deals_by_owner WHERE owner_id IS NULL;
SELECT crm.fold_rollups() > 0 AS folded;

-- columns no rollup uses cost nothing; a value that stays the same in other bytes neither
UPDATE deals SET note = note || 'x', ratio = 0;
UPDATE deals SET amount = amount, stage = stage;
SELECT pending_deltas FROM crm.rollup_status WHERE name = 'deals_won';

-- one delta a change, however many rollups
INSERT INTO deals (id, owner_id, stage, closed_at, amount) VALUES (301, 1, 'won', now(), 5);
SELECT pending_deltas FROM crm.rollup_status WHERE name = 'deals_won';

-- columns in use: renamed they are followed, else they are protected
ALTER TABLE deals RENAME COLUMN stage TO state;
ALTER TABLE deals RENAME TO business;
UPDATE business SET state = 'lost' WHERE id = 301;
ALTER TABLE business DROP COLUMN amount;
ALTER TABLE business ALTER COLUMN amount TYPE float8;
ALTER TABLE business DROP COLUMN note;
ALTER TABLE business ADD COLUMN more integer DEFAULT 3;
DROP TABLE business;
ALTER TABLE business RENAME TO deals;
ALTER TABLE deals RENAME COLUMN state TO stage;
SELECT * FROM same();
SELECT keys FROM crm.rollup_status WHERE name = 'deals_by_owner';

-- verify says which groups differ and by how much; rebuild puts them right
ALTER TABLE deals DISABLE TRIGGER ALL;
INSERT INTO deals (id, owner_id, stage, closed_at, amount) VALUES (302, 2, 'won', '2026-01-05', 1.5);
ALTER TABLE deals ENABLE TRIGGER ALL;
SELECT * FROM crm.verify_rollup('deals_by_owner') ORDER BY measure;
SELECT state FROM crm.rollup_status WHERE name = 'deals_by_owner';
SELECT name FROM crm.rebuild_rollup('deals_by_owner');
SELECT name FROM crm.rebuild_rollup('deals_won');
SELECT name FROM crm.rebuild_rollup('deals_all');
SELECT * FROM same();
SELECT state FROM crm.rollup_status WHERE name = 'deals_by_owner';
ALTER TABLE deals DISABLE TRIGGER ALL;
SELECT state FROM crm.rollup_status WHERE name = 'deals_by_owner';
ALTER TABLE deals ENABLE TRIGGER ALL;

-- NaN and infinity would spoil a sum for good
INSERT INTO deals (id, amount) VALUES (400, 'NaN');
BEGIN;
CREATE TABLE specials (v numeric);
INSERT INTO specials VALUES ('NaN');
SELECT crm.create_rollup('specials', 'specials', NULL, ARRAY['sum(v)']);
ROLLBACK;

-- what is refused, and why
SELECT crm.create_rollup('Bad Name', 'deals', ARRAY['stage']);
SELECT crm.create_rollup('deals_won', 'deals', ARRAY['stage']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], ARRAY['sum(ratio)']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], ARRAY['max(amount)']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], ARRAY['count(DISTINCT owner_id)']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], ARRAY['sum(amount) + 1']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], ARRAY['sum(stage)']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], ARRAY['count(*)', 'count(*)']);
SELECT crm.create_rollup('x', 'deals', ARRAY['closed_at::date']);
SELECT crm.create_rollup('x', 'deals', ARRAY['random()']);
SELECT crm.create_rollup('x', 'deals', ARRAY['(SELECT 1)']);
SELECT crm.create_rollup('x', 'deals', ARRAY['deals']);
SELECT crm.create_rollup('x', 'deals', ARRAY['ctid']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage FROM deals']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage, owner_id']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage; DROP TABLE deals']);
SELECT crm.create_rollup('x', 'deals', ARRAY['*']);
SELECT crm.create_rollup('x', 'deals', ARRAY['point(1,2)']);
SELECT crm.create_rollup('x', 'deals', ARRAY['nothing']);
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], NULL, 'amount');
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], NULL, 'count(*) > 1');
SELECT crm.create_rollup('x', 'deals', ARRAY['stage'], NULL, NULL, 'unqualified');
SELECT crm.create_rollup('x', 'pg_class', ARRAY['relname']);
SELECT crm.create_rollup('x', 'won_by_month', ARRAY['region']);
SELECT crm.create_rollup('x', 'crm_internal.deals_won_rollup', ARRAY['k1']);
SELECT crm.drop_rollup('x');
SELECT crm.fold_rollups('x');
SELECT * FROM crm.verify_rollup('x');
CREATE TABLE parent (v integer);
CREATE TABLE child () INHERITS (parent);
SELECT crm.create_rollup('x', 'parent', NULL);
CREATE TEMP TABLE passing (v integer);
SELECT crm.create_rollup('x', 'passing', NULL);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT crm.create_rollup('x', 'deals', ARRAY['stage']);
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT crm.rebuild_rollup('deals_won');
ROLLBACK;
INSERT INTO deals (id) SELECT 1;

-- dropping one leaves the others right; dropping the last takes the triggers along
SELECT name FROM crm.drop_rollup('deals_all');
SELECT r.name FROM crm.create_rollup('deals_all', 'deals', NULL) AS r;
SELECT name FROM crm.drop_rollup('deals_all');
CREATE VIEW rest_on_it AS SELECT * FROM won_by_month;
SELECT name FROM crm.drop_rollup('deals_won');
DROP VIEW rest_on_it;
SELECT name FROM crm.drop_rollup('deals_won');
UPDATE deals SET amount = amount + 1, stage = 'won' WHERE id % 5 = 0;
SELECT * FROM crm.verify_rollup('deals_by_owner');
SELECT crm.fold_rollups() > 0 AS folded;
SELECT * FROM crm.verify_rollup('deals_by_owner');
SELECT name FROM crm.drop_rollup('deals_by_owner');
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'deals'::regclass;
SELECT count(*) FROM crm.rollup_sources WHERE source = 'deals'::regclass;
ALTER TABLE deals DROP COLUMN amount;

-- a definition that somebody dropped by name stops writers instead of going wrong in silence; nothing else is dropped, so that
-- pg_restore --clean can take everything down one by one
CREATE FUNCTION drop_definition(source text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP VIEW crm_internal.rollup_source_%s', (SELECT s.id FROM crm.rollup_sources AS s WHERE s.source = drop_definition.source::regclass));
END
$$;
SELECT r.name FROM crm.create_rollup('cascaded', 'deals', ARRAY['stage'], ARRAY['sum(pieces)']) AS r;
SELECT drop_definition('deals');
SELECT state FROM crm.rollup_status WHERE name = 'cascaded';
DO $$
BEGIN
    UPDATE rollup_test.deals SET stage = 'again' WHERE id = 1;
EXCEPTION WHEN SQLSTATE 'CR501' THEN
    RAISE NOTICE 'refused';
END
$$;
SELECT name FROM crm.drop_rollup('cascaded');
UPDATE deals SET stage = 'again' WHERE id = 1;
-- one that went by CASCADE takes its rollups along
CREATE FUNCTION shortened(what text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT left(what, 2) $$;
SELECT r.name FROM crm.create_rollup('cascaded', 'deals', ARRAY['rollup_test.shortened(stage) AS kind'], ARRAY['sum(pieces)']) AS r;
DROP FUNCTION shortened CASCADE;
SELECT count(*) FROM crm.rollups WHERE name = 'cascaded';
UPDATE deals SET stage = 'once more' WHERE id = 1;

-- readers see what the source would let them see
CREATE ROLE rollup_reader;
CREATE ROLE rollup_writer;
CREATE TABLE visits (tenant_id bigint NOT NULL DEFAULT 1, kind text, n integer);
ALTER TABLE visits ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON visits USING (tenant_id = crm.tenant_id());
GRANT USAGE ON SCHEMA rollup_test TO rollup_reader, rollup_writer;
SELECT (crm.grant_access('rollup_reader', 'reader')).db_role IS NOT NULL AS granted, (crm.grant_access('rollup_writer', 'agent')).db_role IS NOT NULL AS granted;
GRANT SELECT ON visits TO rollup_reader;
GRANT INSERT, UPDATE, DELETE, SELECT ON visits TO rollup_writer;
SELECT name FROM crm.create_rollup('visits_by_kind', 'visits', ARRAY['kind'], ARRAY['sum(n) AS n']);
\d crm_analytics.visits_by_kind
INSERT INTO visits VALUES (1, 'a', 1), (1, 'a', 2), (2, 'a', 10);
SET ROLE rollup_writer;
INSERT INTO visits (kind, n) VALUES ('b', 5);
UPDATE visits SET n = 6 WHERE kind = 'b';
TABLE crm_analytics.visits_by_kind;
SET ROLE rollup_reader;
TABLE crm_analytics.visits_by_kind;
SELECT count(*) FROM crm_internal.visits_by_kind_rollup;
SELECT crm.drop_rollup('visits_by_kind');
RESET ROLE;
SELECT crm.fold_rollups() > 0 AS folded;
SET ROLE rollup_reader;
TABLE crm_analytics.visits_by_kind;
RESET ROLE;
SELECT * FROM crm.verify_rollup('visits_by_kind');
SELECT name FROM crm.drop_rollup('visits_by_kind');

-- a table of somebody else, written by somebody else
CREATE TABLE theirs (kind text, n numeric);
ALTER TABLE theirs OWNER TO rollup_writer;
SELECT name FROM crm.create_rollup('theirs_by_kind', 'theirs', ARRAY['kind'], ARRAY['sum(n) AS n']);
SET ROLE rollup_writer;
INSERT INTO theirs VALUES ('a', 1), ('a', 2.5);
TABLE crm_analytics.theirs_by_kind;
TRUNCATE theirs;
INSERT INTO theirs VALUES ('c', 4);
TABLE crm_analytics.theirs_by_kind;
SELECT crm.create_rollup('mine', 'theirs', ARRAY['kind']);
RESET ROLE;
SELECT * FROM crm.verify_rollup('theirs_by_kind');
SELECT name FROM crm.drop_rollup('theirs_by_kind');

SET client_min_messages = warning;
SELECT crm.revoke_access('rollup_reader'), crm.revoke_access('rollup_writer');
DROP SCHEMA rollup_test CASCADE;
DROP OWNED BY rollup_reader, rollup_writer;
DROP ROLE rollup_reader, rollup_writer;
