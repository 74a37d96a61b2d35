-- Locks that nobody can take but the CRM.

CREATE FUNCTION crm.lock(what text, tenant_id bigint, key text DEFAULT '', shared boolean DEFAULT false) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_lock';
COMMENT ON FUNCTION crm.lock(text, bigint, text, boolean) IS
'Takes a lock until the transaction ends, and waits for it. what: what it protects. tenant_id: whose; 0: everybody''s. Unlike with '
'advisory locks of SQL no key can be guessed and held by others. In pg_locks it is advisory, with an objsubid above 2.';
SELECT crm.declare_function('crm.lock', 'owner');

CREATE FUNCTION crm.try_lock(what text, tenant_id bigint, key text DEFAULT '', shared boolean DEFAULT false) RETURNS boolean
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_try_lock';
COMMENT ON FUNCTION crm.try_lock(text, bigint, text, boolean) IS 'As crm.lock(), but does not wait: false where somebody else holds it.';
SELECT crm.declare_function('crm.try_lock', 'owner');

CREATE FUNCTION crm.hold_key(what text, tenant_id bigint, key text) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_hold_key_of';
COMMENT ON FUNCTION crm.hold_key(text, bigint, text) IS
'As crm.lock(), for keys of which a transaction may hold any number, such as addresses: they are no entries of the table of locks (crm_internal.held_keys), '
'and are not shown in pg_locks; who waits for one waits for the transaction that holds it. A key is not held with crm.lock() and this.';
SELECT crm.declare_function('crm.hold_key', 'owner');

CREATE FUNCTION crm.hold_row(relation regclass, tenant_id bigint, id bigint) RETURNS void
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_hold_row';
COMMENT ON FUNCTION crm.hold_row(regclass, bigint, bigint) IS
'Locks a row of a table with a tenant_id and an id until the transaction ends (FOR NO KEY UPDATE), and waits for it. What is there no more is not locked. '
'Unlike with crm.lock() any number of rows can be held.';
SELECT crm.declare_function('crm.hold_row', 'owner');
