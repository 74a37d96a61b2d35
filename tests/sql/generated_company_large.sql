-- A generated company of size 10, and one of half of that in each other language, hold to the rules of
-- tests/helpers/company_rules.sql, which are narrower for them.
-- long: 110 s
\set ON_ERROR_STOP 1
BEGIN;
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/company_rules.sql'
\i :helper
\echo == ten times as large, and half of that in each other language: the rules are the same
SELECT b.* FROM unnest(crm.languages()) WITH ORDINALITY AS l (name, n), pg_temp.try(l.name, CASE l.n WHEN 1 THEN 10 ELSE 5 END, 42, '2026-06-30') AS b;
ROLLBACK;
