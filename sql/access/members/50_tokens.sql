-- Session tokens: made here, presented by SET LOCAL crm.session.

CREATE FUNCTION crm.issue_token(user_id bigint, expires_at timestamptz, scope text[] DEFAULT '{}') RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_issue_token';
COMMENT ON FUNCTION crm.issue_token(bigint, timestamptz, text[]) IS
'A token with which an application acts as a user of the current tenant: BEGIN; SELECT crm.present_token(token). It is signed with the current key of '
'crm.key_file, and valid in this database until expires_at. scope: read_only (nothing is written), dry_run (what is written is never kept), and one of '
'reader, agent, manager, admin as the highest level. Users issue their own, admins those of their company, the owner any; nobody does who acts by a '
'token. Errors: 42501, 02000 for no active user, 22023 for another scope or a time that is past or more than a year ahead, CR601 without a key.';
SELECT crm.declare_function('crm.issue_token', 'reader');

CREATE FUNCTION crm.present_token(token text) RETURNS text
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_present_token';
COMMENT ON FUNCTION crm.present_token(text) IS
'For the role of an application: what follows in this transaction is done as the user of the token, as far as it allows. The same as SET LOCAL crm.session, '
'and works where the library was not loaded yet. Returns the level. Errors: 25P01 outside a transaction block, CR603 for what is no token of this database, '
'CR604 expired, CR605 revoked, CR601 without its key, 42501 for a role that may not serve the user, 25001 where the transaction acts by something else.';
SELECT crm.declare_function('crm.present_token', 'reader');
