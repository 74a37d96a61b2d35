-- Rollups that change while a statement has collected sums for them: definitions, partitions, savepoints, and functions
-- in a rollup that do what they must not. Run with crm.debug_discard_kept too (tests/shell/discard.sh).
SET client_min_messages = warning;

CREATE TABLE public.sold (id bigint, region text, amount numeric);
CREATE TABLE public.visits (day date, n int) PARTITION BY RANGE (day);
CREATE TABLE public.visits_1 PARTITION OF public.visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE public.visits_2 (day date, n int);
INSERT INTO public.visits_2 VALUES ('2026-02-03', 4), ('2026-02-04', 5);

SELECT r.name FROM crm.create_rollup('sold_by_region', 'public.sold', ARRAY['region'],
                                     ARRAY['count(*) AS n', 'sum(amount) AS amount']) AS r;
SELECT r.name FROM crm.create_rollup('sold_by_size', 'public.sold', ARRAY['amount > 5 AS large'],
                                     ARRAY['count(*) AS n', 'sum(id) AS ids']) AS r;
SELECT r.name FROM crm.create_rollup('visits_by_day', 'public.visits', ARRAY['day'], ARRAY['sum(n) AS n']) AS r;

-- what a row of public.sold asks for happens after it was collected, before the rows behind it are
CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    source text := (SELECT 'crm_internal.rollup_source_' || s.id FROM crm.rollup_sources AS s WHERE s.source = 'public.sold'::regclass);
BEGIN
    IF new.region = 'touch' THEN          -- what is compiled is out of date
        EXECUTE 'ALTER VIEW ' || source || ' SET (security_barrier = true)';
        EXECUTE 'ALTER VIEW ' || source || ' RESET (security_barrier)';
    ELSIF new.region = 'nested' THEN      -- and the same rollups are written below
        EXECUTE 'ALTER VIEW ' || source || ' SET (security_barrier = false)';
        INSERT INTO public.sold VALUES (new.id + 100, 'below', new.amount);
    ELSIF new.region = 'savepoint' THEN   -- and what is below is undone
        BEGIN
            EXECUTE 'ALTER VIEW ' || source || ' SET (security_barrier = true)';
            INSERT INTO public.sold VALUES (new.id + 200, 'undone', new.amount), (new.id + 300, 'touch', new.amount);
            RAISE EXCEPTION 'undo';
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    ELSIF new.region = 'drop' THEN
        PERFORM crm.drop_rollup('sold_by_size');
    ELSIF new.region = 'create' THEN
        PERFORM crm.create_rollup('sold_by_id', 'public.sold', ARRAY['id % 2 AS odd'], ARRAY['count(*) AS n']);
    ELSIF new.region = 'widen' THEN
        EXECUTE 'ALTER TABLE ' || source || '_deltas ADD COLUMN more integer';
    ELSIF new.region = 'gone' THEN
        EXECUTE 'DROP TABLE ' || source || '_deltas CASCADE';
    ELSIF new.region = 'attach' THEN      -- another table's, with sums pending for this one
        INSERT INTO public.visits VALUES ('2026-01-05', 1);
        ALTER TABLE public.visits ATTACH PARTITION public.visits_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
        INSERT INTO public.visits VALUES ('2026-02-03', 2);
    ELSIF new.region = 'detach' THEN
        ALTER TABLE public.visits DETACH PARTITION public.visits_2;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sold_meddle AFTER INSERT ON public.sold FOR EACH ROW EXECUTE FUNCTION public.meddle();

-- rows before, at and behind the change
CREATE FUNCTION public.sell(VARIADIC regions text[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.sold SELECT i, r, i FROM unnest('{north}'::text[] || regions || '{north,south}'::text[]) WITH ORDINALITY AS u (r, i)
$$;
CREATE VIEW public.wrong AS
    SELECT r.name, v.* FROM crm.rollups AS r, crm.verify_rollup(r.name) AS v WHERE r.name LIKE 'sold%' OR r.name LIKE 'visits%';

\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
BEGIN;
SELECT public.sell('touch', 'touch', 'nested', 'nested', 'savepoint', 'savepoint', 'touch');
SELECT region, n, amount FROM crm_analytics.sold_by_region ORDER BY region;
SELECT large, n, ids FROM crm_analytics.sold_by_size ORDER BY large;
SELECT * FROM public.wrong;

-- a partition comes and goes
SELECT public.sell('attach', 'touch');
SELECT day, n FROM crm_analytics.visits_by_day ORDER BY day;
SAVEPOINT detached;
SELECT public.sell('detach', 'savepoint');
SELECT day, n FROM crm_analytics.visits_by_day ORDER BY day;
SELECT * FROM public.wrong;
ROLLBACK TO detached;
SELECT day, n FROM crm_analytics.visits_by_day ORDER BY day;
SELECT * FROM public.wrong;

-- a definition cannot change under a statement that writes the table; who tries by hand is told, and nothing has happened
SELECT public.sell('create');
SELECT public.sell('touch', 'drop', 'nested');
SELECT public.sell('nested', 'widen');
\set VERBOSITY sqlstate
SELECT public.sell('nested', 'gone');
\set VERBOSITY default
SELECT region, n, amount FROM crm_analytics.sold_by_region ORDER BY region;
SELECT * FROM public.wrong;
COMMIT;
SELECT region, n, amount FROM crm_analytics.sold_by_region ORDER BY region;
SELECT * FROM public.wrong;

-- a function in a rollup is evaluated in the middle of counting a row: it may not lead to another one
CREATE TABLE public.places (id bigint, region text);
CREATE FUNCTION public.write_below(region text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    EXECUTE 'ALTER VIEW crm_internal.rollup_source_' || (SELECT s.id FROM crm.rollup_sources AS s WHERE s.source = 'public.places'::regclass)
            || ' SET (security_barrier = true)';
    IF region = 'insert' THEN
        INSERT INTO public.places VALUES (0, 'inner');
    ELSIF region = 'none' THEN          -- no row, but a statement
        DELETE FROM public.places WHERE false;
    ELSIF region = 'truncate' THEN
        TRUNCATE public.visits_1;
    ELSIF region = 'caught' THEN
        BEGIN
            INSERT INTO public.places VALUES (0, 'inner');
        EXCEPTION WHEN OTHERS THEN
            RETURN sqlstate;
        END;
    END IF;
    RETURN region;
END $$;
CREATE FUNCTION public.place(region text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN 'at ' || CASE WHEN region IN ('north', 'south') THEN region ELSE public.write_below(region) END;
END $$;
SELECT r.name FROM crm.create_rollup('sold_places', 'public.places', ARRAY['public.place(region) AS place', 'id % 2 AS odd'], ARRAY['count(*) AS n', 'sum(id) AS ids']) AS r;
INSERT INTO public.places VALUES (1, 'north'), (2, 'insert'), (3, 'south');
INSERT INTO public.places VALUES (1, 'north'), (2, 'none'), (3, 'south');
INSERT INTO public.places VALUES (1, 'north'), (2, 'truncate'), (3, 'south');
INSERT INTO public.places VALUES (1, 'north'), (2, 'caught'), (3, 'south');
INSERT INTO public.places VALUES (1, 'north');
SELECT place, odd, n, ids FROM crm_analytics.sold_places ORDER BY place;

SELECT count(crm.drop_rollup(r.name)) FROM crm.rollups AS r WHERE r.name LIKE 'sold%' OR r.name LIKE 'visits%';
DROP VIEW public.wrong;
DROP TABLE public.sold, public.visits, public.places;
DROP FUNCTION public.sell(text[]), public.meddle(), public.place(text), public.write_below(text);
