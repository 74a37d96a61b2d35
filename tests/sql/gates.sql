-- Gates: triggers in C that call another one where a column of its interest was changed.
-- every gate names a function that is there and columns that its table has
SELECT g.relation, g.tgname, g.function, g.columns
FROM (SELECT t.tgrelid::regclass AS relation, t.tgname, split_part(encode(t.tgargs, 'escape'), '\000', 1) AS function,
             ltrim(split_part(encode(t.tgargs, 'escape'), '\000', 2), '-') AS columns
      FROM pg_trigger AS t WHERE t.tgfoid = 'crm.if_changed()'::regprocedure) AS g
WHERE to_regproc(CASE WHEN g.function LIKE 'crm.%' THEN '' ELSE 'crm_internal.' END || g.function) IS NULL
   OR EXISTS (SELECT FROM unnest(string_to_array(g.columns, ',')) AS c WHERE NOT crm.column_exists(g.relation, c));
SELECT count(*) > 10 AS some FROM pg_trigger AS t WHERE t.tgfoid = 'crm.if_changed()'::regprocedure;
-- nobody but owners reaches a function by it
SELECT r.rolname FROM pg_roles AS r WHERE NOT r.rolsuper AND r.rolname NOT LIKE 'pg\_%' AND has_function_privilege(r.oid, 'crm.if_changed()', 'EXECUTE');

BEGIN;
\set ON_ERROR_ROLLBACK on
\set ON_ERROR_STOP off
CREATE TABLE public.gated (a numeric, b text, c jsonb, d int, e text COLLATE "C");
CREATE FUNCTION crm_internal.gate_seen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% % % of %, told %', TG_WHEN, TG_LEVEL, TG_OP, TG_NAME, TG_ARGV;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER before_b BEFORE INSERT OR UPDATE OR DELETE ON public.gated FOR EACH ROW EXECUTE FUNCTION crm.if_changed('gate_seen', 'a,b', 'one', 'two');
CREATE TRIGGER after_but AFTER UPDATE ON public.gated REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION crm.if_changed('gate_seen', '-d,bb');
CREATE TRIGGER after_row AFTER UPDATE ON public.gated FOR EACH ROW EXECUTE FUNCTION crm.if_changed('gate_seen', 'c');
INSERT INTO public.gated VALUES (1, 'x', '{"a": 1}', 1);
INSERT INTO public.gated VALUES (NULL, NULL, NULL, NULL);
-- what no trigger asks for, what is equal and written otherwise, and what comes to be the same
UPDATE public.gated SET d = d + 1;
UPDATE public.gated SET a = 1.00, c = '{"a": 1.0}' WHERE d = 2;
UPDATE public.gated SET a = a, b = b, c = c, e = e;
-- each of them
UPDATE public.gated SET a = 2 WHERE d = 2;
UPDATE public.gated SET b = NULL WHERE d = 2;
UPDATE public.gated SET c = '{"a": 2}' WHERE d IS NULL;
-- the last row of many
INSERT INTO public.gated (d) SELECT g FROM generate_series(10, 12) AS g;
UPDATE public.gated SET e = CASE WHEN d = 12 THEN 'z' END WHERE d >= 10;
DELETE FROM public.gated WHERE d = 12;
-- names of which another is a part
ALTER TABLE public.gated ADD bb text, ADD ba text;
UPDATE public.gated SET bb = 'x' WHERE d = 10;
UPDATE public.gated SET ba = 'x' WHERE d = 10;
-- a column that was given its default later and one that is gone
ALTER TABLE public.gated DROP c, ADD f int DEFAULT 7;
UPDATE public.gated SET f = 7 WHERE d = 10;
UPDATE public.gated SET f = 8 WHERE d = 10;
-- wrong ones
CREATE TRIGGER wrong_function BEFORE UPDATE ON public.gated FOR EACH ROW EXECUTE FUNCTION crm.if_changed('there_is_none', 'd');
UPDATE public.gated SET d = d + 1;
DROP TRIGGER wrong_function ON public.gated;
CREATE TRIGGER wrong_kind BEFORE UPDATE ON public.gated FOR EACH ROW EXECUTE FUNCTION crm.if_changed('base_currency', 'd');
UPDATE public.gated SET d = d + 1;
DROP TRIGGER wrong_kind ON public.gated;
CREATE TRIGGER no_tables AFTER UPDATE ON public.gated FOR EACH STATEMENT EXECUTE FUNCTION crm.if_changed('gate_seen', 'd');
UPDATE public.gated SET d = d + 1;
DROP TRIGGER no_tables ON public.gated;
CREATE TRIGGER no_columns AFTER UPDATE ON public.gated FOR EACH ROW EXECUTE FUNCTION crm.if_changed('gate_seen');
UPDATE public.gated SET d = d + 1;
ROLLBACK;
