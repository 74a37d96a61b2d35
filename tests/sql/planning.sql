-- What PostgreSQL is told about our functions, so that it plans well with its own settings. tests/shell/jit.sh shows the effect.
-- A way that a function switches off costs 10 billion where no other is left; that must not get the plan compiled.
SELECT p.oid::regprocedure AS switches_ways_off_but_not_jit
FROM pg_proc AS p
WHERE p.pronamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace, 'crm_internal'::regnamespace)
  AND array_to_string(p.proconfig, ',') LIKE '%enable\_%' AND NOT 'jit=off' = ANY (p.proconfig)
ORDER BY 1;
-- what install() fills is counted, so that it is not taken for ten pages
SELECT c.oid::regclass AS filled_and_uncounted FROM pg_class AS c
WHERE c.oid IN ('crm.tenants'::regclass, 'crm.currencies'::regclass, 'crm.stages'::regclass, 'crm.pipelines'::regclass) AND c.reltuples < 0 ORDER BY 1;
