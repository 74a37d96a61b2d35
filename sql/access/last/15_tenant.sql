-- once more now that every trigger is there: see crm_internal.apply_tenant_check()
DO $$ BEGIN PERFORM crm_internal.apply_tenant_check(r.relation) FROM crm.registry AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.relation; END $$;
