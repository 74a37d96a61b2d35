CREATE FUNCTION crm.tenant_id() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_tenant_id';
COMMENT ON FUNCTION crm.tenant_id() IS 'Tenant the current role works for; NULL where it has none.';

CREATE FUNCTION crm.user_id() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_user_id';
COMMENT ON FUNCTION crm.user_id() IS 'CRM user the current role is; NULL where it is none.';

CREATE FUNCTION crm.tenant_country() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_tenant_country';
COMMENT ON FUNCTION crm.tenant_country() IS 'ISO 3166-1 country of the current tenant (crm.tenants.country); NULL where it has none.';
