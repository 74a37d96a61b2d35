-- The log of changes. Its rows are written by the triggers of crm.announce() (process/members).
CREATE FUNCTION crm.audit_truncate() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_audit_truncate';
COMMENT ON FUNCTION crm.audit_truncate() IS
'Trigger before TRUNCATE of audited tables: writes every row that goes into the log of changes. Argument: name of the table in the registry.';

CREATE FUNCTION crm.write_audit() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_write_audit';
COMMENT ON FUNCTION crm.write_audit() IS 'Writes what this transaction has noted for the log of changes now, and not at the end of the statement.';
SELECT crm.declare_function('crm.write_audit', 'owner');

-- ---- hashes and signatures (src/access/audit_math.c) ----

CREATE FUNCTION crm.audit_digest_entry(
    state internal, id bigint, at timestamptz, xact xid8, record_id bigint, user_id bigint, table_name text, action text, via text, db_role text,
    client inet, application text, cause text, withheld boolean, salt bigint, change jsonb, digest bytea) RETURNS internal
LANGUAGE c IMMUTABLE
AS 'MODULE_PATHNAME', 'crm_audit_digest_entry';
COMMENT ON FUNCTION crm.audit_digest_entry(
    internal, bigint, timestamptz, xid8, bigint, bigint, text, text, text, text, inet, text, text, boolean, bigint, jsonb, bytea) IS
'Transition of crm.audit_digest().';
CREATE FUNCTION crm.audit_digest_end(state internal) RETURNS jsonb
LANGUAGE c IMMUTABLE
AS 'MODULE_PATHNAME', 'crm_audit_digest_end';
COMMENT ON FUNCTION crm.audit_digest_end(internal) IS 'Result of crm.audit_digest().';
CREATE AGGREGATE crm.audit_digest(
    id bigint, at timestamptz, xact xid8, record_id bigint, user_id bigint, table_name text, action text, via text, db_role text,
    client inet, application text, cause text, withheld boolean, salt bigint, change jsonb, digest bytea)
(SFUNC = crm.audit_digest_entry, STYPE = internal, SSPACE = 4096, FINALFUNC = crm.audit_digest_end);
COMMENT ON AGGREGATE crm.audit_digest(
    bigint, timestamptz, xid8, bigint, bigint, text, text, text, text, inet, text, text, boolean, bigint, jsonb, bytea) IS
'Hash of entries of crm.audit_log that come in the order of their numbers: {"n": entries, "last": number, "taken_out": entries whose change is no more, '
'"months": [{"month": days since 2000-01-01, '
'"n": entries, "hash": BLAKE2b of 32 bytes}]}. Error 22023 for another order.';

CREATE FUNCTION crm.audit_change_hash(salt bigint, change jsonb) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_audit_change_hash';
COMMENT ON FUNCTION crm.audit_change_hash(bigint, jsonb) IS
'Hash of the change of an entry of crm.audit_log, by which the entry is still whole when its change is taken out (digest).';

CREATE FUNCTION crm.audit_seal_hash(
    tenant bigint, number bigint, kind text, month date, from_id bigint, to_id bigint, entries bigint, sealed_at timestamptz, rows_hash bytea,
    previous bytea) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_audit_seal_hash';
COMMENT ON FUNCTION crm.audit_seal_hash(bigint, bigint, text, date, bigint, bigint, bigint, timestamptz, bytea, bytea) IS
'Hash of what a row of crm.audit_seals says, with that of the seal before it. Error 22023 for hashes that have not 32 bytes.';

CREATE FUNCTION crm.audit_signature(tenant bigint, hash bytea) RETURNS bytea
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_audit_signature';
COMMENT ON FUNCTION crm.audit_signature(bigint, bytea) IS
'Ed25519 signature of a hash, by the company''s key out of the current key of the key file. Errors: CR601 without a key file.';
SELECT crm.declare_function('crm.audit_signature', 'owner');

CREATE FUNCTION crm.audit_public_key(tenant bigint, key_id text) RETURNS bytea
LANGUAGE c STABLE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_audit_public_key';
COMMENT ON FUNCTION crm.audit_public_key(bigint, text) IS
'Public key by which seals of a company are checked that were signed under a key of the key file; NULL where the file does not hold that key. '
'Errors: CR601 without a key file.';
SELECT crm.declare_function('crm.audit_public_key', 'admin');

CREATE FUNCTION crm.audit_signed(public_key bytea, hash bytea, signature bytea) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_audit_signed';
COMMENT ON FUNCTION crm.audit_signed(bytea, bytea, bytea) IS
'Whether a hash was signed by the holder of a public key (Ed25519). Error 22023 for wrong lengths.';
