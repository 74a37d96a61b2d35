-- Nothing is executable by PUBLIC but pure engines: immutable functions and
-- aggregates that look at their arguments alone. What an aggregate is made of is called by the
-- aggregate, with its owner's rights; what takes a tenant tells something of it.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA crm FROM PUBLIC;
DO $$
DECLARE
    engine pg_catalog.regprocedure;
BEGIN
    FOR engine IN
        SELECT p.oid
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'crm'::pg_catalog.regnamespace
          AND p.provolatile = 'i'
          AND p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
          AND NOT 'tenant_id' = ANY (coalesce(p.proargnames, '{}'))
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_aggregate AS a
                          WHERE p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn,
                                          a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn))
    LOOP
        EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', engine);
    END LOOP;
END
$$;
