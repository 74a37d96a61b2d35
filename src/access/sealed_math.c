/*
 * sealed_math.c
 *	  Sealed text as bytes: see sealed_math.h for how they are laid out.
 *
 * A value carries its own key's id and its tenant, and both are authenticated
 * with the text, as is the tag by which values are compared: whoever can write
 * into the table can neither give a value to another tenant nor make it equal
 * to another one without that being found when it is opened.
 *
 * The nonce has 24 bytes, so random ones do not meet.
 */
#include "access/sealed_math.h"

#include <string.h>

#include <sodium.h>

/* random bytes are fetched for many nonces at a time: each call is one of the system */
#define NONCES_KEPT 64

static void
put_sealed_number(unsigned char *to, uint64_t number, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--, number >>= 8)
		to[i] = (unsigned char) number;
}

static uint64_t
take_sealed_number(const unsigned char *from, int bytes)
{
	uint64_t	number = 0;

	for (int i = 0; i < bytes; i++)
		number = number << 8 | from[i];
	return number;
}

/* The id of the key of a value that is well formed. */
uint32_t
crm_sealed_key_of(const unsigned char *bytes)
{
	return (uint32_t) take_sealed_number(bytes + 4, 4);
}

/* The tenant of a value that is well formed. */
int64_t
crm_sealed_tenant_of(const unsigned char *bytes)
{
	return (int64_t) take_sealed_number(bytes + 8, 8);
}

/* Whether bytes have the form of a sealed text; what its head says. */
bool
crm_sealed_read(const unsigned char *bytes, size_t len, CrmSealedHead *head)
{
	if (len < CRM_SEALED_OVERHEAD || bytes[0] != CRM_SEALED_VERSION ||
		bytes[1] >= CRM_SEALED_KINDS || bytes[2] != 0 || bytes[3] != 0)
		return false;
	head->kind = (CrmSealedKind) bytes[1];
	head->key = crm_sealed_key_of(bytes);
	head->tenant = crm_sealed_tenant_of(bytes);
	memcpy(head->tag, bytes + CRM_SEALED_AT_TAG, CRM_SEALED_TAG_BYTES);
	return head->key != 0 && head->tenant > 0;
}

/* The tag by which values of one tenant are compared. */
void
crm_sealed_make_tag(const unsigned char *key, const char *form, size_t len, unsigned char *tag)
{
	crypto_generichash(tag, CRM_SEALED_TAG_BYTES, (const unsigned char *) form, len,
					   key, CRM_SEALED_KEY_BYTES);
}

/* A nonce that nobody had.  Nobody forks a process that has sealed something. */
static void
take_nonce(unsigned char *nonce)
{
	static unsigned char kept[NONCES_KEPT][crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];
	static int	left = 0;

	if (left == 0)
	{
		randombytes_buf(kept, sizeof(kept));
		left = NONCES_KEPT;
	}
	left--;
	memcpy(nonce, kept[left], sizeof(kept[left]));
}

/* Seal a text into len + CRM_SEALED_OVERHEAD bytes. */
void
crm_sealed_close(const CrmSealedHead *head, const unsigned char *key, const char *text,
				 size_t len, unsigned char *out)
{
	out[0] = CRM_SEALED_VERSION;
	out[1] = (unsigned char) head->kind;
	out[2] = out[3] = 0;
	put_sealed_number(out + 4, head->key, 4);
	put_sealed_number(out + 8, (uint64_t) head->tenant, 8);
	memcpy(out + CRM_SEALED_AT_TAG, head->tag, CRM_SEALED_TAG_BYTES);
	take_nonce(out + CRM_SEALED_AT_NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + CRM_SEALED_AT_TEXT, NULL,
											   (const unsigned char *) text, len,
											   out, CRM_SEALED_AT_NONCE, NULL,
											   out + CRM_SEALED_AT_NONCE, key);
}

/* Open a well-formed value into len - CRM_SEALED_OVERHEAD bytes; false: it was changed. */
bool
crm_sealed_open(const unsigned char *bytes, size_t len, const unsigned char *key, char *text)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *) text, NULL, NULL,
													  bytes + CRM_SEALED_AT_TEXT,
													  len - CRM_SEALED_AT_TEXT,
													  bytes, CRM_SEALED_AT_NONCE,
													  bytes + CRM_SEALED_AT_NONCE, key) == 0;
}

/* ---- as characters ---- */

/* Whether a text says of itself that it is a sealed one. */
bool
crm_sealed_is_written(const char *in, size_t len)
{
	return len >= CRM_SEALED_PREFIX_LEN &&
		memcmp(in, CRM_SEALED_PREFIX, CRM_SEALED_PREFIX_LEN) == 0;
}

/* Bytes that a value takes as characters, with the zero at their end. */
size_t
crm_sealed_written_size(size_t len)
{
	return CRM_SEALED_PREFIX_LEN +
		sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void
crm_sealed_write(const unsigned char *bytes, size_t len, char *out)
{
	memcpy(out, CRM_SEALED_PREFIX, CRM_SEALED_PREFIX_LEN);
	sodium_bin2base64(out + CRM_SEALED_PREFIX_LEN,
					  sodium_base64_ENCODED_LEN(len, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
					  bytes, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* The bytes of a written value, at most len; false: it is none, or not well formed. */
bool
crm_sealed_parse(const char *in, size_t len, unsigned char *out, size_t *outlen)
{
	CrmSealedHead head;

	return crm_sealed_is_written(in, len) &&
		sodium_base642bin(out, len, in + CRM_SEALED_PREFIX_LEN, len - CRM_SEALED_PREFIX_LEN,
						  NULL, outlen, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 &&
		crm_sealed_read(out, *outlen, &head);
}
