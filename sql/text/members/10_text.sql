-- Names, e-mail addresses, telephone numbers and web addresses in one form.

CREATE FUNCTION crm.fold_text(value text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_fold_text';
COMMENT ON FUNCTION crm.fold_text(text) IS
'The text as it is compared: small letters without accents, one code point for each Persian and Arabic letter, ASCII digits, no vowel marks, joiners or '
'direction marks, single spaces.';

CREATE FUNCTION crm.name_key(name text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_name_key';
COMMENT ON FUNCTION crm.name_key(text) IS
'Key by which two spellings of a name are equal: the folded words run together, without punctuation and without forms of address before the name.';

CREATE FUNCTION crm.name_words(name text) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_name_words';
COMMENT ON FUNCTION crm.name_words(text) IS 'The words of a name, folded (crm.fold_text), in their order.';

CREATE FUNCTION crm.normalize_email(value text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_normalize_email';
COMMENT ON FUNCTION crm.normalize_email(text) IS
'An e-mail address in small letters, its host in Punycode (RFC 3492) where it is not ASCII; accepts mailto: and Name <address>. NULL where it is no address.';

CREATE FUNCTION crm.name_terms(tenant_id bigint, name text) RETURNS text[]
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_name_terms';
COMMENT ON FUNCTION crm.name_terms(bigint, text) IS
'The folded words of a name, each with its tenant before it: terms of the indexes that crm.find_contacts() and crm.find_accounts() search.';

CREATE FUNCTION crm.country_code(name text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_country_code';
COMMENT ON FUNCTION crm.country_code(text) IS
'The country that a text means, as two letters (ISO 3166-1): codes of two or three letters, English and Persian names and what people call countries beside '
'them (UK, Holland, امارات), whatever the case, accents and signs. NULL for what is none, and for a name of two countries.';
