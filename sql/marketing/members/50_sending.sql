-- Messages that go out: who may get one, and links that nobody guesses.

CREATE TYPE crm.contact_answer AS (allowed boolean, reason text, since timestamptz, consent_id bigint);
COMMENT ON TYPE crm.contact_answer IS 'Answer of crm.contact_decision(): whether a person may be written to, why, since when, and the statement it rests on.';

CREATE FUNCTION crm.contact_decision(
    tenant_id bigint, subject_table text, subject_id bigint, purpose text, channel text, address_key text, as_of timestamptz) RETURNS crm.contact_answer
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'crm_contact_decision';
COMMENT ON FUNCTION crm.contact_decision(bigint, text, bigint, text, text, text, timestamptz) IS
'Whether a person may be written to at an address in its normal form (NULL: none is looked at), as of an instant; as_of NULL: now, after those who are '
'withdrawing are done, whatever the caller''s transaction sees. NULL where the company has no such purpose. crm.may_contact() is for people.';
SELECT crm.declare_function('crm.contact_decision', 'owner');

CREATE FUNCTION crm.announce_consent() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_announce_consent';
COMMENT ON FUNCTION crm.announce_consent() IS 'Row trigger of crm.consents and crm.suppressions: messages that are entered meanwhile wait for what is '
'written.';

CREATE FUNCTION crm.guard_message() RETURNS trigger
LANGUAGE c
AS 'MODULE_PATHNAME', 'crm_guard_message';
COMMENT ON FUNCTION crm.guard_message() IS
'Row trigger of crm.outbound_messages: no consent, no message, and a message goes only from a state to those that follow it. Errors: CR701 where the person '
'may not be written to, 55000 for a state that cannot be.';

CREATE FUNCTION crm.link_seal(key bytea, said text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_link_seal';
COMMENT ON FUNCTION crm.link_seal(bytea, text) IS
'What a key makes of a text, 128 bits in 22 letters, digits, - and _: nobody without the key finds it (BLAKE2b with a key, of libsodium). Error 22023 for a '
'key shorter than 16 or longer than 64 bytes.';
