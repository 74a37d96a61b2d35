-- Generated companies of size 10 hold to the rules of tests/helpers/company_rules.sql, which are narrower for them.
-- long: 150 s
\set ON_ERROR_STOP 1
BEGIN;
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/company_rules.sql'
\i :helper
\echo == ten times as large
SELECT b.* FROM unnest(crm.languages()) AS l, pg_temp.try(l, 10, 42, '2026-06-30') AS b;
ROLLBACK;
