-- Type crm.sealed_text: text that is stored as ciphertext and compared without being opened.

CREATE TYPE crm.sealed_text;

CREATE FUNCTION crm.sealed_text_in(cstring, oid, integer) RETURNS crm.sealed_text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_text_in';
COMMENT ON FUNCTION crm.sealed_text_in(cstring, oid, integer) IS
'Input of crm.sealed_text: seals a text, and takes what crm.sealed_text wrote out as it is. Errors: CR601 without a key, CR010 without a tenant, 22P02 for '
'what only begins like a sealed text.';

CREATE FUNCTION crm.sealed_text_out(crm.sealed_text) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_text_out';
COMMENT ON FUNCTION crm.sealed_text_out(crm.sealed_text) IS 'Output of crm.sealed_text: ciphertext.';

CREATE FUNCTION crm.sealed_text_recv(internal, oid, integer) RETURNS crm.sealed_text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_text_recv';
COMMENT ON FUNCTION crm.sealed_text_recv(internal, oid, integer) IS 'Binary input of crm.sealed_text: ciphertext alone. Error 22P03 for anything else.';

CREATE FUNCTION crm.sealed_text_send(crm.sealed_text) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_text_send';
COMMENT ON FUNCTION crm.sealed_text_send(crm.sealed_text) IS 'Binary output of crm.sealed_text: ciphertext.';

CREATE FUNCTION crm.sealed_typmod_in(cstring[]) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_typmod_in';
COMMENT ON FUNCTION crm.sealed_typmod_in(cstring[]) IS 'Kind of a column: crm.sealed_text(email), (phone) or (text). Error 22023 for any other.';

CREATE FUNCTION crm.sealed_typmod_out(integer) RETURNS cstring
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_typmod_out';
COMMENT ON FUNCTION crm.sealed_typmod_out(integer) IS 'Kind of a column, as it is written.';

-- ciphertext does not get smaller, so nobody tries
CREATE TYPE crm.sealed_text (
    INPUT = crm.sealed_text_in, OUTPUT = crm.sealed_text_out, RECEIVE = crm.sealed_text_recv, SEND = crm.sealed_text_send,
    TYPMOD_IN = crm.sealed_typmod_in, TYPMOD_OUT = crm.sealed_typmod_out,
    INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = external
);
COMMENT ON TYPE crm.sealed_text IS
'Text of which ciphertext alone is stored and shown (XChaCha20-Poly1305 under a key of the tenant, out of the file of crm.key_file). Equality, unique '
'constraints, indexes, groups and joins go by a keyed hash and need no key; crm.reveal() opens a value for who may, and records it. sealed_text(email) and '
'sealed_text(phone) compare by the normal form.';

-- ---- comparing: leakproof, as they look at keyed hashes and raise nothing: else row security would keep conditions out of indexes ----

CREATE FUNCTION crm.sealed_eq(crm.sealed_text, crm.sealed_text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_eq';
COMMENT ON FUNCTION crm.sealed_eq(crm.sealed_text, crm.sealed_text) IS 'Whether two sealed values are of one text, or one normal form, of one tenant.';
CREATE FUNCTION crm.sealed_ne(crm.sealed_text, crm.sealed_text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_ne';
COMMENT ON FUNCTION crm.sealed_ne(crm.sealed_text, crm.sealed_text) IS 'Whether two sealed values differ.';
CREATE FUNCTION crm.sealed_lt(crm.sealed_text, crm.sealed_text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_lt';
COMMENT ON FUNCTION crm.sealed_lt(crm.sealed_text, crm.sealed_text) IS 'Order of sealed values for indexes; it says nothing of the texts.';
CREATE FUNCTION crm.sealed_le(crm.sealed_text, crm.sealed_text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_le';
COMMENT ON FUNCTION crm.sealed_le(crm.sealed_text, crm.sealed_text) IS 'Order of sealed values for indexes; it says nothing of the texts.';
CREATE FUNCTION crm.sealed_gt(crm.sealed_text, crm.sealed_text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_gt';
COMMENT ON FUNCTION crm.sealed_gt(crm.sealed_text, crm.sealed_text) IS 'Order of sealed values for indexes; it says nothing of the texts.';
CREATE FUNCTION crm.sealed_ge(crm.sealed_text, crm.sealed_text) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_ge';
COMMENT ON FUNCTION crm.sealed_ge(crm.sealed_text, crm.sealed_text) IS 'Order of sealed values for indexes; it says nothing of the texts.';
CREATE FUNCTION crm.sealed_cmp(crm.sealed_text, crm.sealed_text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_cmp';
COMMENT ON FUNCTION crm.sealed_cmp(crm.sealed_text, crm.sealed_text) IS 'Order of sealed values for indexes; it says nothing of the texts.';
CREATE FUNCTION crm.sealed_hash(crm.sealed_text) RETURNS integer
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_hash';
COMMENT ON FUNCTION crm.sealed_hash(crm.sealed_text) IS 'Hash of a sealed value for indexes and joins.';
CREATE FUNCTION crm.sealed_hash_extended(crm.sealed_text, bigint) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_hash_extended';
COMMENT ON FUNCTION crm.sealed_hash_extended(crm.sealed_text, bigint) IS 'Hash of a sealed value for partitions.';

-- in pg_catalog, where they are found whatever the search_path is: applications write email = $1, and so do our own functions, whose path is pinned
CREATE OPERATOR pg_catalog.= (LEFTARG = crm.sealed_text, RIGHTARG = crm.sealed_text, FUNCTION = crm.sealed_eq,
    COMMUTATOR = OPERATOR(pg_catalog.=), NEGATOR = OPERATOR(pg_catalog.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE OPERATOR pg_catalog.<> (LEFTARG = crm.sealed_text, RIGHTARG = crm.sealed_text, FUNCTION = crm.sealed_ne,
    COMMUTATOR = OPERATOR(pg_catalog.<>), NEGATOR = OPERATOR(pg_catalog.=), RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR pg_catalog.< (LEFTARG = crm.sealed_text, RIGHTARG = crm.sealed_text, FUNCTION = crm.sealed_lt,
    COMMUTATOR = OPERATOR(pg_catalog.>), NEGATOR = OPERATOR(pg_catalog.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR pg_catalog.<= (LEFTARG = crm.sealed_text, RIGHTARG = crm.sealed_text, FUNCTION = crm.sealed_le,
    COMMUTATOR = OPERATOR(pg_catalog.>=), NEGATOR = OPERATOR(pg_catalog.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR pg_catalog.> (LEFTARG = crm.sealed_text, RIGHTARG = crm.sealed_text, FUNCTION = crm.sealed_gt,
    COMMUTATOR = OPERATOR(pg_catalog.<), NEGATOR = OPERATOR(pg_catalog.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
CREATE OPERATOR pg_catalog.>= (LEFTARG = crm.sealed_text, RIGHTARG = crm.sealed_text, FUNCTION = crm.sealed_ge,
    COMMUTATOR = OPERATOR(pg_catalog.<=), NEGATOR = OPERATOR(pg_catalog.<), RESTRICT = scalargesel, JOIN = scalargejoinsel);

CREATE OPERATOR CLASS crm.sealed_text_ops DEFAULT FOR TYPE crm.sealed_text USING btree AS
    OPERATOR 1 pg_catalog.<, OPERATOR 2 pg_catalog.<=, OPERATOR 3 pg_catalog.=, OPERATOR 4 pg_catalog.>=, OPERATOR 5 pg_catalog.>,
    FUNCTION 1 crm.sealed_cmp(crm.sealed_text, crm.sealed_text);
CREATE OPERATOR CLASS crm.sealed_text_ops DEFAULT FOR TYPE crm.sealed_text USING hash AS
    OPERATOR 1 pg_catalog.=, FUNCTION 1 crm.sealed_hash(crm.sealed_text), FUNCTION 2 crm.sealed_hash_extended(crm.sealed_text, bigint);

-- ---- sealing ----

CREATE FUNCTION crm.seal(value text) RETURNS crm.sealed_text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_seal';
COMMENT ON FUNCTION crm.seal(text) IS
'A text sealed with the current key of the caller''s tenant. Each call gives another ciphertext, and all of them are equal. Errors: CR601 without a key, '
'CR010 without a tenant.';

CREATE FUNCTION crm.seal_email(value text) RETURNS crm.sealed_text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_seal_email';
COMMENT ON FUNCTION crm.seal_email(text) IS
'As crm.seal(), equal to others by the normal form of an e-mail address; the text is kept as it is. What is no address is compared as it is.';

CREATE FUNCTION crm.seal_phone(value text) RETURNS crm.sealed_text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_seal_phone';
COMMENT ON FUNCTION crm.seal_phone(text) IS
'As crm.seal(), equal to others by the normal form of a telephone number (E.164; without a country code one of the tenant''s country); the text is kept as '
'it is. What is no number is compared as it is.';

CREATE FUNCTION crm.seal_cast(value text, kind integer, explicit boolean) RETURNS crm.sealed_text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_seal_cast';
COMMENT ON FUNCTION crm.seal_cast(text, integer, boolean) IS 'Cast from text: seals it as the column says; ciphertext that was written out is taken as it is.';

CREATE FUNCTION crm.sealed_as(value crm.sealed_text, kind integer, explicit boolean) RETURNS crm.sealed_text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_as';
COMMENT ON FUNCTION crm.sealed_as(crm.sealed_text, integer, boolean) IS
'Cast into a column of a kind: what was sealed as another kind is sealed anew, so that it is found there.';

-- to text there is the cast of every type by its output, which is ciphertext
CREATE CAST (text AS crm.sealed_text) WITH FUNCTION crm.seal_cast(text, integer, boolean) AS ASSIGNMENT;
CREATE CAST (crm.sealed_text AS crm.sealed_text) WITH FUNCTION crm.sealed_as(crm.sealed_text, integer, boolean) AS IMPLICIT;

CREATE FUNCTION crm.seal_for(value text, kind text, tenant_id bigint) RETURNS crm.sealed_text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_seal_for';
COMMENT ON FUNCTION crm.seal_for(text, text, bigint) IS
'For the owner of the CRM: a text sealed for any tenant, as text, email or phone. Errors: 22023 for another kind, CR601 without a key.';
SELECT crm.declare_function('crm.seal_for', 'owner');

-- ---- what is known of a value without a key ----

CREATE FUNCTION crm.sealed_tenant(value crm.sealed_text) RETURNS bigint
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_tenant';
COMMENT ON FUNCTION crm.sealed_tenant(crm.sealed_text) IS
'Tenant for whom a value was sealed. A constraint of every sealed column of a company''s rows asks it.';

CREATE FUNCTION crm.sealed_key(value crm.sealed_text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_key';
COMMENT ON FUNCTION crm.sealed_key(crm.sealed_text) IS 'Id of the key with which a value was sealed, as crm-keys list shows it.';

CREATE FUNCTION crm.sealed_kind(value crm.sealed_text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_kind';
COMMENT ON FUNCTION crm.sealed_kind(crm.sealed_text) IS 'What a value is compared by: text, email or phone.';

CREATE FUNCTION crm.sealed_tag(value crm.sealed_text) RETURNS bytea
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_tag';
COMMENT ON FUNCTION crm.sealed_tag(crm.sealed_text) IS
'Keyed hash by which a value is compared: joins it with crm.reveal_log.tag. It stays the same when keys are rotated.';

CREATE FUNCTION crm.sealed_is_whole(value crm.sealed_text) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_sealed_is_whole';
COMMENT ON FUNCTION crm.sealed_is_whole(crm.sealed_text) IS
'Whether a value opens as it was sealed; false where it was changed, NULL where its key is not in the key file. Error CR601 without a key file.';
SELECT crm.declare_function('crm.sealed_is_whole', 'admin');

CREATE FUNCTION crm.resealed(value crm.sealed_text) RETURNS crm.sealed_text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_resealed';
COMMENT ON FUNCTION crm.resealed(crm.sealed_text) IS
'The same value under the current key, equal to what it was. Errors: CR601 where a key is not to be had, CR602 where the value was changed.';
SELECT crm.declare_function('crm.resealed', 'owner');

CREATE FUNCTION crm.reseal_rows(relation regclass, column_name name, block bigint, batch integer) RETURNS bigint[]
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_reseal_rows';
COMMENT ON FUNCTION crm.reseal_rows(regclass, name, bigint, integer) IS
'Part of crm.reseal(): seals values of one table anew, from this block on until a batch is done, past triggers, as nothing that is compared changes. '
'{values sealed anew, rows that somebody else is changing, values that do not open, block to go on with or -1}.';
SELECT crm.declare_function('crm.reseal_rows', 'owner');

-- ---- opening ----

CREATE FUNCTION crm.unsealed(value crm.sealed_text) RETURNS text
LANGUAGE c STABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_unsealed';
COMMENT ON FUNCTION crm.unsealed(crm.sealed_text) IS
'Part of crm.unseal_column(), which records it: the text of a value of any tenant. Errors CR601 and CR602.';
SELECT crm.declare_function('crm.unsealed', 'owner');

CREATE FUNCTION crm.may_reveal() RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_may_reveal';
COMMENT ON FUNCTION crm.may_reveal() IS
'Whether the caller may call crm.reveal(): the owner of the CRM, and users with a row of crm.reveal_rights.';

CREATE FUNCTION crm.reveal(value crm.sealed_text, reason text DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_reveal';
COMMENT ON FUNCTION crm.reveal(crm.sealed_text, text) IS
'The text of a sealed value, for who may (crm.may_reveal()). Who read which value, when and why is recorded in crm.reveal_log, also where the transaction is '
'rolled back. Errors: 42501 without the right, 25006 where nothing can be recorded (read-only transactions, standbys), CR601 where the key is not to be had, '
'CR602 for a value that was changed or is another company''s.';
SELECT crm.declare_function('crm.reveal', 'reader');
