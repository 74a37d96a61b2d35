-- The first tenant, where there is none: a single company needs no other.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM crm.tenants) THEN
        PERFORM crm.create_tenant('My company');
    END IF;
END
$$;
