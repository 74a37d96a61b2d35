-- Session tokens: revoking them, and roles that act by nothing else.

CREATE OR REPLACE FUNCTION crm.revoke_user_tokens(user_id bigint, reason text DEFAULT NULL)
RETURNS timestamptz
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    until timestamptz;
BEGIN
    IF NOT coalesce(crm.has_access('admin') OR revoke_user_tokens.user_id = crm.user_id(), false) THEN
        RAISE EXCEPTION 'you may not revoke the tokens of user %', revoke_user_tokens.user_id
            USING ERRCODE = 'insufficient_privilege', HINT = 'Users revoke their own, admins those of their company.';
    END IF;
    IF NOT EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = tenant AND u.id = revoke_user_tokens.user_id) THEN
        RAISE EXCEPTION 'there is no user % in tenant %', revoke_user_tokens.user_id, tenant
            USING ERRCODE = 'no_data_found', HINT = 'It is the id of a row of crm.users.';
    END IF;
    INSERT INTO crm.token_revocations AS r (tenant_id, user_id, revoked_before, revoked_by, reason)
    VALUES (tenant, revoke_user_tokens.user_id, clock_timestamp(), crm.user_id(), revoke_user_tokens.reason)
    ON CONFLICT ON CONSTRAINT token_revocations_pkey DO UPDATE
    SET revoked_before = greatest(r.revoked_before, excluded.revoked_before), revoked_by = excluded.revoked_by, reason = excluded.reason
    RETURNING r.revoked_before INTO until;
    RETURN until;
END
$$;
COMMENT ON FUNCTION crm.revoke_user_tokens(bigint, text) IS
'Revokes every session token that a user of the current tenant has been issued, also for transactions that are under way. Users revoke their own, admins '
'those of their company. Returns the instant until which tokens are revoked; one issued later is valid. Errors: 42501, P0002 for no such user.';
SELECT crm.declare_function('crm.revoke_user_tokens', 'reader');

CREATE OR REPLACE FUNCTION crm.require_tokens(role_name name, required boolean DEFAULT true)
RETURNS SETOF crm.access_grants
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY UPDATE crm.access_grants AS g SET tokens_only = required WHERE g.db_role = role_name AND g.access = 'application' RETURNING g.*;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role "%" is no application', role_name
            USING ERRCODE = 'undefined_object', HINT = 'Say crm.grant_access(role, ''application'') first.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.require_tokens(name, boolean) IS
'Says that the role of an application acts by session tokens alone: crm.act_as() is refused, so somebody who gets it to run SQL of theirs is still nobody '
'without a token. required false: crm.act_as() again. Called by the owner of the CRM. Returns its grants. Error 42704 for a role that is no application.';
SELECT crm.declare_function('crm.require_tokens', 'owner');
