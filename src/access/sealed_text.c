/*
 * sealed_text.c
 *	  Type crm.sealed_text: what is stored is ciphertext, and nothing but
 *	  crm.reveal() gives the text back.
 *
 * Input encrypts, with the current key of the tenant of whoever writes; output
 * is ciphertext, which input takes back as it is, so that a dump restores
 * without any key.  Values are compared by their tags alone: a keyed hash that
 * stays the same when keys are rotated, so that constraints, indexes, groups
 * and joins need no key, and no index has to be built again.
 *
 * A column of type crm.sealed_text(email) or (phone) compares by the normal
 * form, while the text is kept as it was written.  What has no normal form is
 * compared as it is: an address that is none must not stop a row.
 *
 * Errors here say nothing of a value, nor does the log: neither its statement
 * nor its context, which for COPY is the line that was read.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "access/identity.h"
#include "access/keys.h"
#include "access/sealed_text.h"
#include "text/text.h"

static const char *const kind_names[CRM_SEALED_KINDS] = {"text", "email", "phone"};

static inline const unsigned char *
bytes_of(const bytea *sealed)
{
	return (const unsigned char *) VARDATA_ANY(sealed);
}

static inline const unsigned char *
tag_of(const bytea *sealed)
{
	return bytes_of(sealed) + CRM_SEALED_AT_TAG;
}

pg_noreturn static void
malformed_sealed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("what begins with \"%s\" is not a sealed text", CRM_SEALED_PREFIX),
			 errhint("A sealed text is taken back as it was written out, whole and unchanged. "
					 "crm.seal() seals any text, also one that begins like this."),
			 crm_tell_nothing()));
}

/* ---- making ---- */

/* The form in which a text is compared: its normal form, or the text itself where it has none. */
static void
normal_form(const char *text, size_t len, CrmSealedKind kind, StringInfo form)
{
	bool		found = false;

	initStringInfo(form);
	if (kind != CRM_SEALED_PLAIN)
		crm_check_encoding();
	if (kind == CRM_SEALED_EMAIL)
		found = crm_email_normalize(text, (int) len, form);
	else if (kind == CRM_SEALED_PHONE)
		found = crm_phone_normalize(text, (int) len, crm_current_country(), form);
	if (!found)
	{
		resetStringInfo(form);
		appendBinaryStringInfo(form, text, (int) len);
	}
}

static bytea *
seal_with_head(CrmSealedHead *head, const char *text, size_t len)
{
	Size		size = VARHDRSZ + CRM_SEALED_OVERHEAD + len;
	bytea *sealed;

	head->key = crm_current_key();
	sealed = palloc(size);
	SET_VARSIZE(sealed, size);
	crm_sealed_close(head, crm_derived_key(CRM_KEY_SEAL, head->key, head->tenant), text, len,
					 (unsigned char *) VARDATA(sealed));
	return sealed;
}

/* Seal a text for a tenant, with the current key. */
static bytea *
make_sealed(const char *text, size_t len, CrmSealedKind kind, int64 tenant)
{
	CrmSealedHead head;
	StringInfoData form;

	head.kind = kind;
	head.tenant = tenant;
	if (kind == CRM_SEALED_PLAIN)
		crm_sealed_make_tag(crm_derived_key(CRM_KEY_TAG, 0, tenant), text, len, head.tag);
	else
	{
		normal_form(text, len, kind, &form);
		crm_sealed_make_tag(crm_derived_key(CRM_KEY_TAG, 0, tenant), form.data, form.len, head.tag);
		pfree(form.data);
	}
	return seal_with_head(&head, text, len);
}

/* The same for the tenant who is asking. */
static bytea *
seal_own(const char *text, size_t len, CrmSealedKind kind)
{
	bool		isnull;
	int64		tenant = crm_current_tenant(&isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("it is not clear whose key a text is to be sealed with"),
				 errhint("Say SET crm.tenant = 'id' as the owner of the CRM, or work as one of its users."),
				 crm_tell_nothing()));
	return make_sealed(text, len, kind, tenant);
}

/* ---- opening ---- */

/* The text of a value and what its head says.  NULL: it was changed, or its key is gone. */
static char *
try_open(bytea *sealed, CrmSealedHead *head, size_t *len)
{
	const unsigned char *bytes = bytes_of(sealed);
	size_t		size = VARSIZE_ANY_EXHDR(sealed);
	char	   *text;

	if (!crm_sealed_read(bytes, size, head) || !crm_key_is_known(head->key))
		return NULL;
	*len = size - CRM_SEALED_OVERHEAD;
	text = palloc(*len + 1);
	if (!crm_sealed_open(bytes, size, crm_derived_key(CRM_KEY_SEAL, head->key, head->tenant), text))
		return NULL;
	text[*len] = '\0';
	return text;
}

/* The same, or an error.  It asks nobody whether they may. */
char *
crm_open_sealed(bytea *sealed, CrmSealedHead *head, size_t *len)
{
	char	   *text = try_open(sealed, head, len);

	if (text != NULL)
		return text;
	if (crm_sealed_read(bytes_of(sealed), VARSIZE_ANY_EXHDR(sealed), head) &&
		!crm_key_is_known(head->key))
		crm_key_missing(head->key);
	ereport(ERROR,
			(errcode(ERRCODE_CRM_SEALED_DAMAGED),
			 errmsg("a sealed value was changed since it was sealed"),
			 errhint("Bring it back from a backup; crm.verify_sealed(table, column) finds others."),
			 crm_tell_nothing()));
}

/* The value under the current key, its tag as it was; NULL where it does not open. */
bytea *
crm_seal_anew(bytea *sealed)
{
	bytea *result;
	CrmSealedHead head;
	size_t		len;
	char	   *text = try_open(sealed, &head, &len);

	if (text == NULL)
		return NULL;
	result = seal_with_head(&head, text, len);
	explicit_bzero(text, len);
	return result;
}

/* The value under another kind: its tag is made anew. */
static bytea *
turn_into(bytea *sealed, CrmSealedKind kind)
{
	CrmSealedHead head;
	bytea *turned;
	size_t		len;
	char	   *text;

	if (kind >= CRM_SEALED_KINDS || bytes_of(sealed)[1] == kind)
		return sealed;
	text = crm_open_sealed(sealed, &head, &len);
	turned = make_sealed(text, len, kind, head.tenant);
	explicit_bzero(text, len);
	return turned;
}

/* ---- input and output ---- */

static CrmSealedKind
kind_of_typmod(int32 typmod)
{
	return typmod > 0 && typmod < CRM_SEALED_KINDS ? (CrmSealedKind) typmod : CRM_SEALED_PLAIN;
}

PG_FUNCTION_INFO_V1(crm_sealed_text_in);

/* (cstring, oid, typmod) */
Datum
crm_sealed_text_in(PG_FUNCTION_ARGS)
{
	const char *in = PG_GETARG_CSTRING(0);
	size_t		len = strlen(in);
	bytea *sealed;
	size_t		size;

	if (!crm_sealed_is_written(in, len))
		PG_RETURN_POINTER(seal_own(in, len, kind_of_typmod(PG_GETARG_INT32(2))));
	sealed = palloc(VARHDRSZ + len);
	if (!crm_sealed_parse(in, len, (unsigned char *) VARDATA(sealed), &size))
		malformed_sealed();
	SET_VARSIZE(sealed, VARHDRSZ + size);
	PG_RETURN_POINTER(sealed);
}

PG_FUNCTION_INFO_V1(crm_sealed_text_out);

Datum
crm_sealed_text_out(PG_FUNCTION_ARGS)
{
	bytea *sealed = PG_GETARG_BYTEA_PP(0);
	size_t		len = VARSIZE_ANY_EXHDR(sealed);
	char	   *out = palloc(crm_sealed_written_size(len));

	crm_sealed_write(bytes_of(sealed), len, out);
	PG_RETURN_CSTRING(out);
}

PG_FUNCTION_INFO_V1(crm_sealed_text_recv);

/* Ciphertext alone: no program sends text in binary form by mistake, and none is taken for it. */
Datum
crm_sealed_text_recv(PG_FUNCTION_ARGS)
{
	StringInfo	in = (StringInfo) PG_GETARG_POINTER(0);
	int			len = in->len - in->cursor;
	bytea *sealed = palloc(VARHDRSZ + len);
	CrmSealedHead head;

	pq_copymsgbytes(in, VARDATA(sealed), len);
	if (!crm_sealed_read((unsigned char *) VARDATA(sealed), len, &head))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("this is not a sealed text in its binary form"),
				 errhint("In binary form a sealed text is taken back as it was sent. Send text as text, and it is sealed."),
				 crm_tell_nothing()));
	SET_VARSIZE(sealed, VARHDRSZ + len);
	PG_RETURN_POINTER(sealed);
}

PG_FUNCTION_INFO_V1(crm_sealed_text_send);

Datum
crm_sealed_text_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(PG_GETARG_BYTEA_P_COPY(0));
}

static CrmSealedKind
kind_of_name(const char *name)
{
	for (int i = 0; i < CRM_SEALED_KINDS; i++)
		if (strcmp(name, kind_names[i]) == 0)
			return (CrmSealedKind) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown kind of sealed text \"%s\"", name),
			 errhint("Kinds are text, email and phone.")));
}

PG_FUNCTION_INFO_V1(crm_sealed_typmod_in);

/* crm.sealed_text(email): the kind by which values are compared */
Datum
crm_sealed_typmod_in(PG_FUNCTION_ARGS)
{
	ArrayType  *given = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *words;
	int			n;

	deconstruct_array(given, CSTRINGOID, -2, false, TYPALIGN_CHAR, &words, NULL, &n);
	if (n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("crm.sealed_text() takes one kind"),
				 errhint("Kinds are text, email and phone.")));
	/* text is what the type is without one */
	PG_RETURN_INT32(kind_of_name(DatumGetCString(words[0])));
}

PG_FUNCTION_INFO_V1(crm_sealed_typmod_out);

Datum
crm_sealed_typmod_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(psprintf("(%s)", kind_names[kind_of_typmod(PG_GETARG_INT32(0))]));
}

/* ---- comparing: by tags, without a key ---- */

static int
compare_sealed(FunctionCallInfo fcinfo)
{
	bytea *a = PG_GETARG_BYTEA_PP(0);
	bytea *b = PG_GETARG_BYTEA_PP(1);
	int			result = memcmp(tag_of(a), tag_of(b), CRM_SEALED_TAG_BYTES);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

PG_FUNCTION_INFO_V1(crm_sealed_eq);
PG_FUNCTION_INFO_V1(crm_sealed_ne);
PG_FUNCTION_INFO_V1(crm_sealed_lt);
PG_FUNCTION_INFO_V1(crm_sealed_le);
PG_FUNCTION_INFO_V1(crm_sealed_gt);
PG_FUNCTION_INFO_V1(crm_sealed_ge);
PG_FUNCTION_INFO_V1(crm_sealed_cmp);

Datum
crm_sealed_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sealed(fcinfo) == 0);
}

Datum
crm_sealed_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sealed(fcinfo) != 0);
}

Datum
crm_sealed_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sealed(fcinfo) < 0);
}

Datum
crm_sealed_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sealed(fcinfo) <= 0);
}

Datum
crm_sealed_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sealed(fcinfo) > 0);
}

Datum
crm_sealed_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_sealed(fcinfo) >= 0);
}

Datum
crm_sealed_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_sealed(fcinfo));
}

PG_FUNCTION_INFO_V1(crm_sealed_hash);

Datum
crm_sealed_hash(PG_FUNCTION_ARGS)
{
	bytea *a = PG_GETARG_BYTEA_PP(0);
	Datum		hash = hash_any(tag_of(a), CRM_SEALED_TAG_BYTES);

	PG_FREE_IF_COPY(a, 0);
	return hash;
}

PG_FUNCTION_INFO_V1(crm_sealed_hash_extended);

Datum
crm_sealed_hash_extended(PG_FUNCTION_ARGS)
{
	bytea *a = PG_GETARG_BYTEA_PP(0);
	Datum		hash = hash_any_extended(tag_of(a), CRM_SEALED_TAG_BYTES, PG_GETARG_INT64(1));

	PG_FREE_IF_COPY(a, 0);
	return hash;
}

/* ---- functions ---- */

static Datum
seal_text(FunctionCallInfo fcinfo, CrmSealedKind kind)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_POINTER(seal_own(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), kind));
}

PG_FUNCTION_INFO_V1(crm_seal);
PG_FUNCTION_INFO_V1(crm_seal_email);
PG_FUNCTION_INFO_V1(crm_seal_phone);

Datum
crm_seal(PG_FUNCTION_ARGS)
{
	return seal_text(fcinfo, CRM_SEALED_PLAIN);
}

Datum
crm_seal_email(PG_FUNCTION_ARGS)
{
	return seal_text(fcinfo, CRM_SEALED_EMAIL);
}

Datum
crm_seal_phone(PG_FUNCTION_ARGS)
{
	return seal_text(fcinfo, CRM_SEALED_PHONE);
}

PG_FUNCTION_INFO_V1(crm_seal_cast);

/* (text, typmod, explicit): what is written into a column, also ciphertext that was read as text */
Datum
crm_seal_cast(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	int			len = VARSIZE_ANY_EXHDR(value);
	bytea *sealed;
	size_t		size;

	if (!crm_sealed_is_written(VARDATA_ANY(value), len))
		return seal_text(fcinfo, kind_of_typmod(PG_GETARG_INT32(1)));
	sealed = palloc(VARHDRSZ + len);
	if (!crm_sealed_parse(VARDATA_ANY(value), len, (unsigned char *) VARDATA(sealed), &size))
		malformed_sealed();
	SET_VARSIZE(sealed, VARHDRSZ + size);
	PG_RETURN_POINTER(sealed);
}

PG_FUNCTION_INFO_V1(crm_sealed_as);

/* (sealed_text, typmod, explicit): into a column of a kind */
Datum
crm_sealed_as(PG_FUNCTION_ARGS)
{
	if (PG_GETARG_INT32(1) < 0)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	PG_RETURN_POINTER(turn_into(PG_GETARG_BYTEA_PP(0), kind_of_typmod(PG_GETARG_INT32(1))));
}

PG_FUNCTION_INFO_V1(crm_seal_for);

/* crm.seal_for(value, kind, tenant_id): for the owner, who seals columns of all companies */
Datum
crm_seal_for(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	CrmSealedKind kind = kind_of_name(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	int64		tenant = PG_GETARG_INT64(2);

	if (tenant <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no tenant " INT64_FORMAT, tenant),
				 errhint("It is the id of a row of crm.tenants.")));
	PG_RETURN_POINTER(make_sealed(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value), kind, tenant));
}

PG_FUNCTION_INFO_V1(crm_resealed);

/* crm.resealed(value): the same under the current key, its tag as it was */
Datum
crm_resealed(PG_FUNCTION_ARGS)
{
	bytea *sealed = PG_GETARG_BYTEA_PP(0);
	bytea *result = crm_seal_anew(sealed);
	CrmSealedHead head;
	size_t		len;

	if (result == NULL)
		(void) crm_open_sealed(sealed, &head, &len);	/* says why */
	PG_RETURN_POINTER(result);
}

PG_FUNCTION_INFO_V1(crm_unsealed);

/* crm.unsealed(value): for turning a column back; crm.unseal_column() records it */
Datum
crm_unsealed(PG_FUNCTION_ARGS)
{
	CrmSealedHead head;
	size_t		len;
	char	   *text = crm_open_sealed(PG_GETARG_BYTEA_PP(0), &head, &len);
	Datum		result = PointerGetDatum(cstring_to_text_with_len(text, len));

	explicit_bzero(text, len);
	PG_RETURN_DATUM(result);
}

PG_FUNCTION_INFO_V1(crm_sealed_tenant);

Datum
crm_sealed_tenant(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(crm_sealed_tenant_of(bytes_of(PG_GETARG_BYTEA_PP(0))));
}

PG_FUNCTION_INFO_V1(crm_sealed_key);

Datum
crm_sealed_key(PG_FUNCTION_ARGS)
{
	char		id[9];

	snprintf(id, sizeof(id), "%08x", crm_sealed_key_of(bytes_of(PG_GETARG_BYTEA_PP(0))));
	PG_RETURN_TEXT_P(cstring_to_text(id));
}

PG_FUNCTION_INFO_V1(crm_sealed_kind);

Datum
crm_sealed_kind(PG_FUNCTION_ARGS)
{
	unsigned char kind = bytes_of(PG_GETARG_BYTEA_PP(0))[1];

	PG_RETURN_TEXT_P(cstring_to_text(kind_names[kind_of_typmod(kind)]));
}

PG_FUNCTION_INFO_V1(crm_sealed_tag);

Datum
crm_sealed_tag(PG_FUNCTION_ARGS)
{
	bytea *sealed = PG_GETARG_BYTEA_PP(0);
	bytea	   *tag = palloc(VARHDRSZ + CRM_SEALED_TAG_BYTES);

	SET_VARSIZE(tag, VARHDRSZ + CRM_SEALED_TAG_BYTES);
	memcpy(VARDATA(tag), tag_of(sealed), CRM_SEALED_TAG_BYTES);
	PG_RETURN_BYTEA_P(tag);
}

PG_FUNCTION_INFO_V1(crm_sealed_is_whole);

/* Whether a value opens: true, or false where it was changed; NULL: its key is not to be had. */
Datum
crm_sealed_is_whole(PG_FUNCTION_ARGS)
{
	bytea *sealed = PG_GETARG_BYTEA_PP(0);
	size_t		len = VARSIZE_ANY_EXHDR(sealed);
	CrmSealedHead head;
	char	   *text;
	bool		whole = crm_sealed_read(bytes_of(sealed), len, &head);

	if (!whole)
		PG_RETURN_BOOL(false);
	if (!crm_key_is_known(head.key))
		PG_RETURN_NULL();
	text = palloc(len);
	whole = crm_sealed_open(bytes_of(sealed), len,
							crm_derived_key(CRM_KEY_SEAL, head.key, head.tenant), text);
	explicit_bzero(text, len);
	PG_RETURN_BOOL(whole);
}
