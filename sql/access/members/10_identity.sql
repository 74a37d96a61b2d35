-- Who is asking, and what they may see and change: tenant, user, level, one row.

CREATE FUNCTION crm.tenant_id() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_tenant_id';
COMMENT ON FUNCTION crm.tenant_id() IS
'Tenant the current role works for: that of the CRM user it is mapped to or of its grant; for the owner of the CRM the setting crm.tenant, or the only tenant '
'there is. NULL where it has none.';

CREATE FUNCTION crm.user_id() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_user_id';
COMMENT ON FUNCTION crm.user_id() IS 'CRM user (crm.users.id) the current role is; NULL where it is none.';

CREATE FUNCTION crm.user_access() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_user_access';
COMMENT ON FUNCTION crm.user_access() IS 'Access level of the current role: reader, agent, manager or admin; NULL where it has none.';

CREATE FUNCTION crm.act_as(user_id bigint, tenant_id bigint DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_act_as';
COMMENT ON FUNCTION crm.act_as(bigint, bigint) IS
'For the role of an application (crm.grant_access(role, ''application'')): what follows in this transaction is done as this CRM user, at '
'their level but at no higher one than the grant allows. It ends with the transaction, by an error as well. tenant_id: whose user, where the '
'role serves several companies. Returns the level. Errors: 25P01 outside a transaction block, 42501 for a role that is no application and for a '
'user it may not act as, 25001 where the transaction acts as another user already, CR010 where the tenant is not clear.';

CREATE FUNCTION crm.has_access(level text) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_has_access';
COMMENT ON FUNCTION crm.has_access(text) IS
'Whether the current role has at least this access level (reader < agent < manager < admin). Error 22023 for an unknown level.';

CREATE FUNCTION crm.can_see(owner_id bigint, team_id bigint, shared_user_ids bigint[] DEFAULT NULL, shared_team_ids bigint[] DEFAULT NULL)
RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE COST 2
AS 'MODULE_PATHNAME', 'crm_can_see';
COMMENT ON FUNCTION crm.can_see(bigint, bigint, bigint[], bigint[]) IS
'Whether the current user may see a row of their tenant with these columns: managers, admins and readers that are no user see all; others their own rows, '
'rows of people and teams they lead (a team includes the teams below it), rows shared with them or their teams, and rows nobody owns (those of a team: its '
'members). Reads no table.';

CREATE FUNCTION crm.can_change(owner_id bigint, team_id bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE COST 2
AS 'MODULE_PATHNAME', 'crm_can_change';
COMMENT ON FUNCTION crm.can_change(bigint, bigint) IS
'Whether the current user may write a row of their tenant with these columns: as crm.can_see, but sharing does not allow it and a reader never may.';

CREATE FUNCTION crm.tenant_country() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_tenant_country';
COMMENT ON FUNCTION crm.tenant_country() IS 'ISO 3166-1 country of the current tenant (crm.tenants.country); NULL where it has none.';

CREATE FUNCTION crm.lock_own(what text, tenant_id bigint, key text DEFAULT '') RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_lock_own';
COMMENT ON FUNCTION crm.lock_own(text, bigint, text) IS
'As crm.lock(), for functions that run with the rights of their caller: only of the caller''s tenant, else error 42501. The owner of the CRM may name any. '
'With a key it is as crm.hold_key(), of which a transaction may take any number.';

-- ---- addresses; here, as the country of a number is the tenant's unless given ----

CREATE FUNCTION crm.normalize_phone(value text, country text DEFAULT coalesce(crm.tenant_country(), '')) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_phone';
COMMENT ON FUNCTION crm.normalize_phone(text, text) IS
'A telephone number in E.164 (+989121234567). country (ISO 3166-1) is where a number without a country code belongs, the tenant''s unless given; empty: '
'nowhere. Digits of any script; an extension is left off. NULL where the number does not fit its numbering plan.';

CREATE FUNCTION crm.phone_numbers(value text, country text DEFAULT coalesce(crm.tenant_country(), '')) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_phone_numbers';
COMMENT ON FUNCTION crm.phone_numbers(text, text) IS
'The telephone numbers of a text that holds one or several (with commas, semicolons or bars between, or on lines of their own), in E.164 as of '
'crm.normalize_phone(); what is none is left out. NULL: there is none.';

CREATE FUNCTION crm.contact_point_key(kind text, value text, country text DEFAULT coalesce(crm.tenant_country(), '')) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_contact_point_key';
COMMENT ON FUNCTION crm.contact_point_key(text, text, text) IS
'Key by which two contact points are equal: e-mail and web addresses and telephone numbers in their normal form, anything else folded. NULL where the value '
'is not one of its kind.';
