-- Whoever watches the server sees how the CRM does, and nothing of its rows.
GRANT USAGE ON SCHEMA crm TO pg_monitor;
GRANT EXECUTE ON FUNCTION crm.health(), crm.worker_status(), crm.version() TO pg_monitor;
