/*
 * token_math.c
 *	  Session tokens as bytes: see token_math.h for how they are laid out.
 *
 * The place is that of the server and database: a token of one database is not
 * valid in another, nor in a copy that was restored elsewhere.
 */
#include "access/token_math.h"

#include <string.h>

#include <sodium.h>

static void
put_field(unsigned char *to, uint64_t number, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--, number >>= 8)
		to[i] = (unsigned char) number;
}

static int64_t
take_field(const unsigned char *from, int bytes)
{
	uint64_t	number = 0;

	for (int i = 0; i < bytes; i++)
		number = number << 8 | from[i];
	return (int64_t) number;
}

/* Whether a text has the form of a token; what it says, and its bytes.  It is not believed yet. */
bool
crm_token_parse(const char *in, size_t len, CrmToken *token, unsigned char *bytes)
{
	size_t		n;

	if (len != CRM_TOKEN_WRITTEN - 1 ||
		memcmp(in, CRM_TOKEN_PREFIX, CRM_TOKEN_PREFIX_LEN) != 0 ||
		sodium_base642bin(bytes, CRM_TOKEN_BYTES, in + CRM_TOKEN_PREFIX_LEN,
						  len - CRM_TOKEN_PREFIX_LEN, NULL, &n, NULL,
						  sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
		n != CRM_TOKEN_BYTES)
		return false;
	token->scope = bytes[1];
	token->level = bytes[2];
	token->key = (uint32_t) take_field(bytes + 4, 4);
	token->tenant = take_field(bytes + 8, 8);
	token->user = take_field(bytes + 16, 8);
	token->issued = take_field(bytes + 24, 8);
	token->expires = take_field(bytes + 32, 8);
	return bytes[0] == CRM_TOKEN_VERSION && (token->scope & ~CRM_TOKEN_SCOPES) == 0 &&
		token->level <= 4 && bytes[3] == 0 && token->key != 0 && token->tenant > 0 &&
		token->user > 0 && token->issued < token->expires;
}

static void
sign(const unsigned char *bytes, const unsigned char *key, const unsigned char *place,
	 unsigned char *mac)
{
	crypto_auth_hmacsha512256_state state;

	crypto_auth_hmacsha512256_init(&state, key, crypto_auth_hmacsha512256_KEYBYTES);
	crypto_auth_hmacsha512256_update(&state, bytes, CRM_TOKEN_AT_MAC);
	crypto_auth_hmacsha512256_update(&state, place, CRM_TOKEN_PLACE_BYTES);
	crypto_auth_hmacsha512256_final(&state, mac);
	sodium_memzero(&state, sizeof(state));
}

/* Whether the bytes were signed here with this key; takes as long whatever differs. */
bool
crm_token_is_ours(const unsigned char *bytes, const unsigned char *key,
				  const unsigned char *place)
{
	unsigned char mac[crypto_auth_hmacsha512256_BYTES];

	sign(bytes, key, place, mac);
	return sodium_memcmp(mac, bytes + CRM_TOKEN_AT_MAC, sizeof(mac)) == 0;
}

/* The token as characters, CRM_TOKEN_WRITTEN of them. */
void
crm_token_write(const CrmToken *token, const unsigned char *key, const unsigned char *place,
				char *out)
{
	unsigned char bytes[CRM_TOKEN_BYTES];

	bytes[0] = CRM_TOKEN_VERSION;
	bytes[1] = (unsigned char) token->scope;
	bytes[2] = (unsigned char) token->level;
	bytes[3] = 0;
	put_field(bytes + 4, token->key, 4);
	put_field(bytes + 8, (uint64_t) token->tenant, 8);
	put_field(bytes + 16, (uint64_t) token->user, 8);
	put_field(bytes + 24, (uint64_t) token->issued, 8);
	put_field(bytes + 32, (uint64_t) token->expires, 8);
	randombytes_buf(bytes + CRM_TOKEN_AT_NONCE, CRM_TOKEN_AT_MAC - CRM_TOKEN_AT_NONCE);
	sign(bytes, key, place, bytes + CRM_TOKEN_AT_MAC);
	memcpy(out, CRM_TOKEN_PREFIX, CRM_TOKEN_PREFIX_LEN);
	sodium_bin2base64(out + CRM_TOKEN_PREFIX_LEN, CRM_TOKEN_WRITTEN - CRM_TOKEN_PREFIX_LEN,
					  bytes, sizeof(bytes), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}
