/*
 * audit_seal.c
 *	  What SQL needs to seal the log of changes and to check it.
 *
 * crm.audit_digest() runs over entries in the order of their numbers and hashes
 * them, those of each month by themselves: months are dropped whole, and what is
 * left has to be checked without them.  Seals are made and checked by PL/pgSQL
 * (sql/access/code/42_audit_seals.sql); a key never leaves this file.
 */
#include "base/crm.h"

#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "access/audit.h"
#include "access/audit_math.h"
#include "access/keys.h"

#define MONTHS 64				/* of which entries of one seal can be */

/* ---- hashing entries ---- */

typedef struct DigestMonth
{
	int32		month;			/* date of its first day, in UTC */
	int64		n;
	crypto_generichash_state *state;
} DigestMonth;

typedef struct Digest
{
	MemoryContext context;
	int64		last;			/* number of the last entry */
	int64		n;
	int64		taken_out;		/* whose change is no more */
	TimestampTz from;			/* the month last met */
	TimestampTz until;
	DigestMonth *at;
	int			nmonths;
	DigestMonth months[MONTHS];
} Digest;

/* The month of an instant: most entries are of the one before. */
static DigestMonth *
month_at(Digest *d, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int32		month;

	if (d->at != NULL && at >= d->from && at < d->until)
		return d->at;
	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	month = date2j(tm.tm_year, tm.tm_mon, 1) - POSTGRES_EPOCH_JDATE;
	d->from = (TimestampTz) month * USECS_PER_DAY;
	d->until = (TimestampTz) (date2j(tm.tm_year + tm.tm_mon / 12, tm.tm_mon % 12 + 1, 1) -
							  POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	d->at = NULL;
	for (int i = 0; i < d->nmonths; i++)
		if (d->months[i].month == month)
			d->at = &d->months[i];
	if (d->at == NULL)
	{
		if (d->nmonths == MONTHS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("entries of more than %d months in one hash", MONTHS)));
		d->at = &d->months[d->nmonths++];
		d->at->month = month;
		d->at->n = 0;
		/* of an alignment that palloc() does not know */
		d->at->state = (crypto_generichash_state *)
			TYPEALIGN(64, MemoryContextAlloc(d->context, sizeof(crypto_generichash_state) + 64));
		(void) crypto_generichash_init(d->at->state, NULL, 0, CRM_AUDIT_HASH_BYTES);
	}
	return d->at;
}

enum
{
	D_STATE, D_ID, D_AT, D_XACT, D_RECORD, D_USER, D_TABLE, D_ACTION, D_VIA, D_ROLE, D_CLIENT,
	D_APPLICATION, D_CAUSE, D_WITHHELD, D_SALT, D_CHANGE, D_DIGEST
};

static CrmAuditBytes
argument_bytes(FunctionCallInfo fcinfo, int argument)
{
	CrmAuditBytes b = {NULL, 0};

	if (!PG_ARGISNULL(argument))
	{
		struct varlena *value = PG_GETARG_VARLENA_PP(argument);

		b.bytes = VARDATA_ANY(value);
		b.len = VARSIZE_ANY_EXHDR(value);
	}
	return b;
}

static void
hash_of_change(FunctionCallInfo fcinfo, unsigned char *out)
{
	CrmAuditBytes digest = argument_bytes(fcinfo, D_DIGEST);
	CrmAuditBytes change = argument_bytes(fcinfo, D_CHANGE);

	if (change.bytes == NULL && digest.len == CRM_AUDIT_HASH_BYTES)
		memcpy(out, digest.bytes, CRM_AUDIT_HASH_BYTES);
	else
		crm_audit_hash_change(PG_ARGISNULL(D_SALT) ? 0 : PG_GETARG_INT64(D_SALT),
							  change.bytes, change.len, out);
}

PG_FUNCTION_INFO_V1(crm_audit_digest_entry);

/* crm.audit_digest_entry(state, id, at, ...): transition of crm.audit_digest() */
Datum
crm_audit_digest_entry(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	Digest	   *d;
	CrmAuditEntry entry;
	DigestMonth *month;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "crm.audit_digest_entry was not called as an aggregate");
	if (PG_ARGISNULL(D_ID) || PG_ARGISNULL(D_AT))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an entry of the log of changes has a number and a time")));
	d = PG_ARGISNULL(D_STATE) ? NULL : (Digest *) PG_GETARG_POINTER(D_STATE);
	if (d == NULL)
	{
		if (sodium_init() < 0)
			ereport(ERROR,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("libsodium could not be initialised")));
		d = MemoryContextAllocZero(context, sizeof(Digest));
		d->context = context;
		d->last = PG_INT64_MIN;
	}
	if (PG_GETARG_INT64(D_ID) < d->last)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entries are hashed in the order of their numbers"),
				 errhint("Say FROM (SELECT ... ORDER BY id) AS e.")));
	for (int i = 0; i < CRM_AUDIT_NUMBERS; i++)
	{
		entry.nulls[i] = PG_ARGISNULL(D_ID + i);
		entry.numbers[i] = entry.nulls[i] ? 0 : (int64_t) PG_GETARG_DATUM(D_ID + i);
	}
	entry.withheld = !PG_ARGISNULL(D_WITHHELD) && PG_GETARG_BOOL(D_WITHHELD);
	for (int i = 0; i < CRM_AUDIT_TEXTS; i++)
		entry.texts[i] = argument_bytes(fcinfo, D_TABLE + i);
	hash_of_change(fcinfo, entry.change);
	month = month_at(d, PG_GETARG_TIMESTAMPTZ(D_AT));
	crm_audit_hash_entry(month->state, &entry);
	month->n++;
	d->n++;
	d->taken_out += PG_ARGISNULL(D_CHANGE) && !PG_ARGISNULL(D_DIGEST);
	d->last = PG_GETARG_INT64(D_ID);
	PG_RETURN_POINTER(d);
}

static void
push_number(JsonbParseState **out, const char *name, int64 number)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, name);
	v.val.string.len = strlen(name);
	pushJsonbValue(out, WJB_KEY, &v);
	v.type = jbvNumeric;
	v.val.numeric = int64_to_numeric(number);
	pushJsonbValue(out, WJB_VALUE, &v);
}

PG_FUNCTION_INFO_V1(crm_audit_digest_end);

/*
 * {"n": ..., "last": ..., "taken_out": ...,
 *	"months": [{"month": days, "n": ..., "hash": hexadecimal}]}
 */
Datum
crm_audit_digest_end(PG_FUNCTION_ARGS)
{
	Digest	   *d = PG_ARGISNULL(0) ? NULL : (Digest *) PG_GETARG_POINTER(0);
	JsonbParseState *out = NULL;
	JsonbValue	v;

	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	push_number(&out, "n", d ? d->n : 0);
	push_number(&out, "last", d ? d->last : 0);
	push_number(&out, "taken_out", d ? d->taken_out : 0);
	v.type = jbvString;
	v.val.string.val = (char *) "months";
	v.val.string.len = 6;
	pushJsonbValue(&out, WJB_KEY, &v);
	pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; d != NULL && i < d->nmonths; i++)
	{
		unsigned char hash[CRM_AUDIT_HASH_BYTES];
		char		hex[2 * CRM_AUDIT_HASH_BYTES + 1];
		/* another call may go on with the state */
		DigestMonth *m = &d->months[i];
		unsigned char copy[sizeof(crypto_generichash_state) + 64];
		crypto_generichash_state *state = (crypto_generichash_state *) TYPEALIGN(64, copy);

		memcpy(state, m->state, sizeof(*state));
		(void) crypto_generichash_final(state, hash, sizeof(hash));
		(void) sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		push_number(&out, "month", m->month);
		push_number(&out, "n", m->n);
		v.val.string.val = (char *) "hash";
		v.val.string.len = 4;
		v.type = jbvString;
		pushJsonbValue(&out, WJB_KEY, &v);
		v.val.string.val = pstrdup(hex);
		v.val.string.len = strlen(hex);
		pushJsonbValue(&out, WJB_VALUE, &v);
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(&out, WJB_END_ARRAY, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&out, WJB_END_OBJECT, NULL)));
}

PG_FUNCTION_INFO_V1(crm_audit_change_hash);

/* crm.audit_change_hash(salt, change) -- what stands for a change that was taken out */
Datum
crm_audit_change_hash(PG_FUNCTION_ARGS)
{
	Jsonb	   *change = PG_GETARG_JSONB_P(1);
	bytea	   *out = palloc(VARHDRSZ + CRM_AUDIT_HASH_BYTES);

	SET_VARSIZE(out, VARHDRSZ + CRM_AUDIT_HASH_BYTES);
	crm_audit_hash_change(PG_GETARG_INT64(0), VARDATA(change), VARSIZE(change) - VARHDRSZ,
						  (unsigned char *) VARDATA(out));
	PG_RETURN_BYTEA_P(out);
}

/* ---- seals ---- */

static const unsigned char *
argument_of_length(FunctionCallInfo fcinfo, int argument, size_t len, const char *what)
{
	bytea	   *value = PG_GETARG_BYTEA_PP(argument);

	if (VARSIZE_ANY_EXHDR(value) != len)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s has %d bytes, not %d", what, (int) len,
						(int) VARSIZE_ANY_EXHDR(value))));
	return (const unsigned char *) VARDATA_ANY(value);
}

static Datum
bytea_of_bytes(const unsigned char *bytes, size_t len)
{
	bytea	   *out = palloc(VARHDRSZ + len);

	SET_VARSIZE(out, VARHDRSZ + len);
	memcpy(VARDATA(out), bytes, len);
	return PointerGetDatum(out);
}

PG_FUNCTION_INFO_V1(crm_audit_seal_hash);

/* crm.audit_seal_hash(tenant, number, kind, month, from, to, entries, at, rows, previous) */
Datum
crm_audit_seal_hash(PG_FUNCTION_ARGS)
{
	CrmAuditSeal seal;
	unsigned char hash[CRM_AUDIT_HASH_BYTES];

	seal.tenant = PG_GETARG_INT64(0);
	seal.number = PG_GETARG_INT64(1);
	seal.kind = strcmp(text_to_cstring(PG_GETARG_TEXT_PP(2)), "dropped") == 0;
	seal.month = PG_GETARG_DATEADT(3);
	seal.from = PG_GETARG_INT64(4);
	seal.to = PG_GETARG_INT64(5);
	seal.entries = PG_GETARG_INT64(6);
	seal.sealed_at = PG_GETARG_TIMESTAMPTZ(7);
	memcpy(seal.rows, argument_of_length(fcinfo, 8, CRM_AUDIT_HASH_BYTES, "a hash"),
		   CRM_AUDIT_HASH_BYTES);
	memcpy(seal.previous, argument_of_length(fcinfo, 9, CRM_AUDIT_HASH_BYTES, "a hash"),
		   CRM_AUDIT_HASH_BYTES);
	crm_audit_hash_seal(&seal, hash);
	PG_RETURN_DATUM(bytea_of_bytes(hash, sizeof(hash)));
}

/* The id of a key as it is written; 0: it is none. */
static uint32
key_of_text(text *written)
{
	char	   *name = text_to_cstring(written);
	char	   *end;
	unsigned long id = strtoul(name, &end, 16);

	return strlen(name) == 8 && *end == '\0' ? (uint32) id : 0;
}

PG_FUNCTION_INFO_V1(crm_audit_signature);

/* crm.audit_signature(tenant, hash) -- by the current key */
Datum
crm_audit_signature(PG_FUNCTION_ARGS)
{
	unsigned char signature[CRM_AUDIT_SIGNATURE_BYTES];
	const unsigned char *hash = argument_of_length(fcinfo, 1, CRM_AUDIT_HASH_BYTES, "a hash");

	crm_audit_sign(crm_derived_key(CRM_KEY_AUDIT, crm_current_key(), PG_GETARG_INT64(0)), hash,
				   signature);
	PG_RETURN_DATUM(bytea_of_bytes(signature, sizeof(signature)));
}

PG_FUNCTION_INFO_V1(crm_audit_public_key);

/* crm.audit_public_key(tenant, key_id) -- NULL where the key file does not hold that key */
Datum
crm_audit_public_key(PG_FUNCTION_ARGS)
{
	unsigned char public_key[CRM_AUDIT_PUBLIC_BYTES];
	uint32		id = key_of_text(PG_GETARG_TEXT_PP(1));

	if (id == 0 || !crm_key_is_known(id))
		PG_RETURN_NULL();
	crm_audit_public(crm_derived_key(CRM_KEY_AUDIT, id, PG_GETARG_INT64(0)), public_key);
	PG_RETURN_DATUM(bytea_of_bytes(public_key, sizeof(public_key)));
}

PG_FUNCTION_INFO_V1(crm_audit_signed);

/* crm.audit_signed(public_key, hash, signature) */
Datum
crm_audit_signed(PG_FUNCTION_ARGS)
{
	const unsigned char *key = argument_of_length(fcinfo, 0, CRM_AUDIT_PUBLIC_BYTES,
												  "a public key");
	const unsigned char *hash = argument_of_length(fcinfo, 1, CRM_AUDIT_HASH_BYTES, "a hash");
	const unsigned char *signature = argument_of_length(fcinfo, 2, CRM_AUDIT_SIGNATURE_BYTES,
														"a signature");

	PG_RETURN_BOOL(crm_audit_is_signed(key, hash, signature));
}

PG_FUNCTION_INFO_V1(crm_write_audit);

/* crm.write_audit() -- what this transaction has noted is written now */
Datum
crm_write_audit(PG_FUNCTION_ARGS)
{
	crm_audit_statement(true);
	PG_RETURN_VOID();
}
