-- What is new in this version for the tenants there are; then the first tenant, where there is none: a single
-- company needs no other.
SELECT crm_internal.seed_older_tenants();
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM crm.tenants) THEN
        PERFORM crm.create_tenant('My company');
    END IF;
END
$$;
SELECT crm_internal.count_new_tables();
-- the row of this server, before anybody writes an event
DO $$ BEGIN PERFORM crm.server_number(); END $$;
