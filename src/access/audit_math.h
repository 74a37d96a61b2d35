/*
 * audit_math.h
 *	  The log of changes as bytes: hashes of entries and seals, and signatures.
 *
 * Pure: keys are handed in, nothing of PostgreSQL is used.
 */
#ifndef CRM_AUDIT_MATH_H
#define CRM_AUDIT_MATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sodium.h>

#define CRM_AUDIT_HASH_BYTES 32
#define CRM_AUDIT_SIGNATURE_BYTES 64
#define CRM_AUDIT_PUBLIC_BYTES 32

/* A text or other bytes of an entry; bytes NULL: it holds none. */
typedef struct CrmAuditBytes
{
	const void *bytes;
	uint32_t	len;
} CrmAuditBytes;

#define CRM_AUDIT_NUMBERS 5
#define CRM_AUDIT_TEXTS 7

/* What of an entry is hashed, beside its change */
typedef struct CrmAuditEntry
{
	int64_t		numbers[CRM_AUDIT_NUMBERS]; /* id, at, xact, record, user */
	bool		nulls[CRM_AUDIT_NUMBERS];
	bool		withheld;
	CrmAuditBytes texts[CRM_AUDIT_TEXTS];	/* table, action, via, role, client,
											 * application, cause */
	unsigned char change[CRM_AUDIT_HASH_BYTES];
} CrmAuditEntry;

/* What a seal says; numbers in this order, each as 8 bytes, high byte first */
typedef struct CrmAuditSeal
{
	int64_t		tenant;
	int64_t		number;
	int64_t		kind;			/* 0: of entries, 1: that a month was dropped */
	int64_t		month;			/* days since 2000-01-01 */
	int64_t		from;			/* entries after this one */
	int64_t		to;				/* up to this one */
	int64_t		entries;
	int64_t		sealed_at;		/* microseconds since 2000-01-01 */
	unsigned char rows[CRM_AUDIT_HASH_BYTES];
	unsigned char previous[CRM_AUDIT_HASH_BYTES];
} CrmAuditSeal;

extern void crm_audit_hash_change(int64_t salt, const void *change, size_t len, unsigned char *out);
extern void crm_audit_hash_entry(crypto_generichash_state *state, const CrmAuditEntry *entry);
extern void crm_audit_hash_seal(const CrmAuditSeal *seal, unsigned char *out);
extern void crm_audit_public(const unsigned char *seed, unsigned char *out);
extern void crm_audit_sign(const unsigned char *seed, const unsigned char *hash,
						   unsigned char *out);
extern bool crm_audit_is_signed(const unsigned char *public_key, const unsigned char *hash,
								const unsigned char *signature);

#endif							/* CRM_AUDIT_MATH_H */
