/*
 * token_math.h
 *	  Session tokens as bytes: how they are laid out, made and checked.
 *
 * Pure, so that the parser can be fuzzed by itself.
 */
#ifndef CRM_TOKEN_MATH_H
#define CRM_TOKEN_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Version 1, numbers with their high byte first:
 *
 *	  0  version, 1
 *	  1  scope: bits below
 *	  2  highest level at which it acts; 0: that of the user
 *	  3  zero
 *	  4  id of the key
 *	  8  tenant
 *	 16  user
 *	 24  issued, microseconds as PostgreSQL counts them
 *	 32  expires
 *	 40  random bytes
 *	 56  HMAC-SHA-512-256 of all this and of the place where it is valid
 */
#define CRM_TOKEN_VERSION 1
#define CRM_TOKEN_AT_NONCE 40
#define CRM_TOKEN_AT_MAC 56
#define CRM_TOKEN_BYTES 88
#define CRM_TOKEN_PLACE_BYTES 12
#define CRM_TOKEN_PREFIX "crm-token:"
#define CRM_TOKEN_PREFIX_LEN 10
#define CRM_TOKEN_WRITTEN 129	/* with the zero at its end */

#define CRM_TOKEN_READ_ONLY 1
#define CRM_TOKEN_DRY_RUN 2
#define CRM_TOKEN_SCOPES 3		/* all bits */

typedef struct CrmToken
{
	int			scope;
	int			level;
	uint32_t	key;
	int64_t		tenant;
	int64_t		user;
	int64_t		issued;
	int64_t		expires;
} CrmToken;

extern bool crm_token_parse(const char *in, size_t len, CrmToken *token, unsigned char *bytes);
extern bool crm_token_is_ours(const unsigned char *bytes, const unsigned char *key,
							  const unsigned char *place);
extern void crm_token_write(const CrmToken *token, const unsigned char *key,
							const unsigned char *place, char *out);

#endif							/* CRM_TOKEN_MATH_H */
