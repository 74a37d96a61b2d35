/*
 * audit_math.c
 *	  The log of changes as bytes: hashes of entries and seals, and signatures.
 *
 * Entries of a seal go one after the other into one BLAKE2b of 32 bytes, in the
 * order of their numbers: so an entry that is edited, taken out, put in or moved
 * gives another hash.  Of the change of an entry its own hash goes in, with a
 * random number: a change can be taken out later, as the law may ask for, and its
 * hash left in its place, out of which nobody guesses what it was.
 *
 * A seal is signed over its hash, into which the hash of the one before it goes,
 * by Ed25519, so that whoever has the public key can check it elsewhere.
 *
 * No PostgreSQL here.
 */
#include "access/audit_math.h"

#include <string.h>

static unsigned char *
put_int64(unsigned char *p, int64_t number)
{
	uint64_t	n = (uint64_t) number;

	for (int i = 7; i >= 0; i--)
	{
		p[i] = (unsigned char) n;
		n >>= 8;
	}
	return p + 8;
}

void
crm_audit_hash_change(int64_t salt, const void *change, size_t len, unsigned char *out)
{
	crypto_generichash_state state;
	unsigned char head[8];

	(void) put_int64(head, salt);
	(void) crypto_generichash_init(&state, NULL, 0, CRM_AUDIT_HASH_BYTES);
	(void) crypto_generichash_update(&state, head, sizeof(head));
	(void) crypto_generichash_update(&state, change, len);
	(void) crypto_generichash_final(&state, out, CRM_AUDIT_HASH_BYTES);
}

/* Every part says how long it is, or that it is not there: no two entries read the same. */
void
crm_audit_hash_entry(crypto_generichash_state *state, const CrmAuditEntry *entry)
{
	unsigned char head[CRM_AUDIT_NUMBERS * 9 + 1 + CRM_AUDIT_TEXTS * 4 + CRM_AUDIT_HASH_BYTES];
	unsigned char texts[256];
	unsigned char *p = head;
	size_t		n = 0;

	for (int i = 0; i < CRM_AUDIT_NUMBERS; i++)
	{
		*p++ = entry->nulls[i];
		p = put_int64(p, entry->nulls[i] ? 0 : entry->numbers[i]);
	}
	*p++ = entry->withheld;
	for (int i = 0; i < CRM_AUDIT_TEXTS; i++)
	{
		uint32_t	len = entry->texts[i].bytes ? entry->texts[i].len : UINT32_MAX;

		*p++ = (unsigned char) (len >> 24);
		*p++ = (unsigned char) (len >> 16);
		*p++ = (unsigned char) (len >> 8);
		*p++ = (unsigned char) len;
	}
	memcpy(p, entry->change, CRM_AUDIT_HASH_BYTES);
	(void) crypto_generichash_update(state, head, sizeof(head));
	/* texts are short: together they go in at once */
	for (int i = 0; i < CRM_AUDIT_TEXTS; i++)
	{
		const CrmAuditBytes *t = &entry->texts[i];

		if (t->bytes == NULL)
			continue;
		if (n + t->len > sizeof(texts))
		{
			(void) crypto_generichash_update(state, texts, n);
			n = 0;
		}
		if (t->len > sizeof(texts))
			(void) crypto_generichash_update(state, t->bytes, t->len);
		else
		{
			memcpy(texts + n, t->bytes, t->len);
			n += t->len;
		}
	}
	(void) crypto_generichash_update(state, texts, n);
}

void
crm_audit_hash_seal(const CrmAuditSeal *seal, unsigned char *out)
{
	static const char name[] = "crm-audit-seal-1";
	const int64_t numbers[] = {seal->tenant, seal->number, seal->kind, seal->month, seal->from,
	seal->to, seal->entries, seal->sealed_at};
	unsigned char message[sizeof(name) - 1 + sizeof(numbers) + 2 * CRM_AUDIT_HASH_BYTES];
	unsigned char *p = message;

	memcpy(p, name, sizeof(name) - 1);
	p += sizeof(name) - 1;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		p = put_int64(p, numbers[i]);
	memcpy(p, seal->rows, CRM_AUDIT_HASH_BYTES);
	memcpy(p + CRM_AUDIT_HASH_BYTES, seal->previous, CRM_AUDIT_HASH_BYTES);
	(void) crypto_generichash(out, CRM_AUDIT_HASH_BYTES, message, sizeof(message), NULL, 0);
}

void
crm_audit_public(const unsigned char *seed, unsigned char *out)
{
	unsigned char secret[crypto_sign_SECRETKEYBYTES];

	(void) crypto_sign_seed_keypair(out, secret, seed);
	sodium_memzero(secret, sizeof(secret));
}

void
crm_audit_sign(const unsigned char *seed, const unsigned char *hash, unsigned char *out)
{
	unsigned char secret[crypto_sign_SECRETKEYBYTES];
	unsigned char public_key[crypto_sign_PUBLICKEYBYTES];

	(void) crypto_sign_seed_keypair(public_key, secret, seed);
	(void) crypto_sign_detached(out, NULL, hash, CRM_AUDIT_HASH_BYTES, secret);
	sodium_memzero(secret, sizeof(secret));
}

bool
crm_audit_is_signed(const unsigned char *public_key, const unsigned char *hash,
					const unsigned char *signature)
{
	return crypto_sign_verify_detached(signature, hash, CRM_AUDIT_HASH_BYTES, public_key) == 0;
}
