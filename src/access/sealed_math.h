/*
 * sealed_math.h
 *	  Sealed text as bytes: how they are laid out, made, opened and written.
 *
 * Pure: keys are handed in, nothing of PostgreSQL is used, so that the parsers
 * can be fuzzed by themselves.
 */
#ifndef CRM_SEALED_MATH_H
#define CRM_SEALED_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Version 1, numbers with their high byte first:
 *
 *	  0  version, 1
 *	  1  kind: what the tag was made of
 *	  2  two bytes of zero
 *	  4  id of the key
 *	  8  tenant
 *	 16  tag: keyed BLAKE2b of the normal form; the same for equal values
 *	 32  nonce
 *	 56  XChaCha20-Poly1305 of the text, its tag of 16 bytes last
 *
 * What stands before the nonce is authenticated with the text.
 */
#define CRM_SEALED_VERSION 1
#define CRM_SEALED_AT_TAG 16
#define CRM_SEALED_TAG_BYTES 16
#define CRM_SEALED_AT_NONCE 32
#define CRM_SEALED_AT_TEXT 56
#define CRM_SEALED_OVERHEAD 72	/* bytes of a value without text */
#define CRM_SEALED_KEY_BYTES 32

typedef enum CrmSealedKind
{
	CRM_SEALED_PLAIN,
	CRM_SEALED_EMAIL,
	CRM_SEALED_PHONE
} CrmSealedKind;

#define CRM_SEALED_KINDS 3

typedef struct CrmSealedHead
{
	CrmSealedKind kind;
	uint32_t	key;
	int64_t		tenant;
	unsigned char tag[CRM_SEALED_TAG_BYTES];
} CrmSealedHead;

extern bool crm_sealed_read(const unsigned char *bytes, size_t len, CrmSealedHead *head);
extern uint32_t crm_sealed_key_of(const unsigned char *bytes);
extern int64_t crm_sealed_tenant_of(const unsigned char *bytes);
extern void crm_sealed_make_tag(const unsigned char *key, const char *form, size_t len,
								unsigned char *tag);
extern void crm_sealed_close(const CrmSealedHead *head, const unsigned char *key,
							 const char *text, size_t len, unsigned char *out);
extern bool crm_sealed_open(const unsigned char *bytes, size_t len, const unsigned char *key,
							char *text);

/* as characters: this prefix, and base64 without padding */
#define CRM_SEALED_PREFIX "crm-sealed:"
#define CRM_SEALED_PREFIX_LEN 11

extern bool crm_sealed_is_written(const char *in, size_t len);
extern size_t crm_sealed_written_size(size_t len);
extern void crm_sealed_write(const unsigned char *bytes, size_t len, char *out);
extern bool crm_sealed_parse(const char *in, size_t len, unsigned char *out, size_t *outlen);

#endif							/* CRM_SEALED_MATH_H */
