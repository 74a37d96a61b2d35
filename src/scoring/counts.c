/*
 * counts.c
 *	  A hash of win and loss counts, and models kept as jsonb.
 *
 * A model is an ordinary jsonb value: it can be stored, read, compared and
 * sent.  Scoring a million rows must not parse it a million times, so each
 * call site keeps its compiled form and compares the bytes it got.
 */
#include "base/crm.h"

#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "scoring/counts.h"

/* the length of the key that is being looked up */
static uint32 probe_len;

static inline uint32
key_hash(const char *key)
{
	return hash_bytes((const unsigned char *) key, probe_len);
}

#define SH_PREFIX counts
#define SH_ELEMENT_TYPE CountEntry
#define SH_KEY_TYPE const char *
#define SH_KEY key
#define SH_HASH_KEY(tb, k) key_hash(k)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, a) a->hash
#define SH_EQUAL(tb, a, b) (memcmp(a, b, sizeof(uint32)) == 0 && memcmp(a, b, probe_len) == 0)
#define SH_SCOPE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * Keys carry their length in front, so that comparing probe_len bytes also
 * compares lengths.
 */
static char *
with_length(const char *key, uint32 len, char *buffer, Size size)
{
	char	   *k = len + sizeof(uint32) <= size ? buffer : palloc(len + sizeof(uint32));

	memcpy(k, &len, sizeof(uint32));
	memcpy(k + sizeof(uint32), key, len);
	probe_len = len + sizeof(uint32);
	return k;
}

CountEntry *
crm_counts_find(counts_hash *counts, const char *key, uint32 len)
{
	char		buffer[256];
	char	   *k = with_length(key, len, buffer, sizeof(buffer));
	CountEntry *e = counts_lookup(counts, k);

	if (k != buffer)
		pfree(k);
	return e;
}

CountEntry *
crm_counts_add(counts_hash *counts, const char *key, uint32 len)
{
	char		buffer[256];
	char	   *k = with_length(key, len, buffer, sizeof(buffer));
	bool		found;
	CountEntry *e = counts_insert(counts, k, &found);

	if (!found)
	{
		char	   *kept = MemoryContextAlloc(counts->ctx, len + sizeof(uint32) + 1);

		memcpy(kept, k, len + sizeof(uint32));
		kept[len + sizeof(uint32)] = '\0';
		e->key = kept;
		e->len = len;
		e->won = e->lost = 0;
		e->levels = 0;
	}
	if (k != buffer)
		pfree(k);
	return e;
}

/*
 * The compiled form of argument argno.  The bytes as they were passed are
 * compared, toast pointer or value.
 */
void *
crm_compiled_model(FunctionCallInfo fcinfo, int argno, CompileModel compile)
{
	struct varlena *source = (struct varlena *) PG_GETARG_POINTER(argno);
	Size		size = VARSIZE_ANY(source);
	CompiledModel *c = (CompiledModel *) fcinfo->flinfo->fn_extra;
	MemoryContext old;

	if (c == NULL)
		c = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CompiledModel));
	if (c->source != NULL && c->size == size && memcmp(c->source, source, size) == 0)
		return c->model;
	if (c->context != NULL)
		MemoryContextDelete(c->context);
	c->source = NULL;
	c->context = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "crm compiled model",
									   ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(c->context);
	c->model = compile((Jsonb *) PG_DETOAST_DATUM_COPY(PointerGetDatum(source)));
	c->size = size;
	{
		struct varlena *kept = palloc(size);

		memcpy(kept, source, size);
		c->source = kept;
	}
	MemoryContextSwitchTo(old);
	return c->model;
}

void
crm_jsonb_push_key(JsonbParseState **state, const char *key, int len)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, key);
	v.val.string.len = len < 0 ? strlen(key) : len;
	pushJsonbValue(state, WJB_KEY, &v);
}

void
crm_jsonb_push_number(JsonbParseState **state, bool element, double value)
{
	JsonbValue	v;

	v.type = jbvNumeric;
	v.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in,
														CStringGetDatum(float8out_internal(value)),
														ObjectIdGetDatum(InvalidOid),
														Int32GetDatum(-1)));
	pushJsonbValue(state, element ? WJB_ELEM : WJB_VALUE, &v);
}

void
crm_jsonb_push_string(JsonbParseState **state, bool element, const char *s, int len)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = unconstify(char *, s);
	v.val.string.len = len < 0 ? strlen(s) : len;
	pushJsonbValue(state, element ? WJB_ELEM : WJB_VALUE, &v);
}

double
crm_jsonb_number(const JsonbValue *v, const char *what)
{
	if (v == NULL || v->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the model is malformed at: %s", what),
				 errhint("Pass the result of the fitting aggregate unchanged.")));
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow,
											  NumericGetDatum(v->val.numeric)));
}

/* A pair of counts: of rows, so that a whole number holds them. */
void
crm_jsonb_counts(const JsonbValue *v, double *c)
{
	JsonbContainer *pair = crm_json_array(v);

	for (int j = 0; j < 2; j++)
	{
		c[j] = crm_jsonb_number(crm_json_element(pair, j), "a count");
		if (!(c[j] >= 0 && c[j] <= 1e15))
			crm_jsonb_number(NULL, "a count");
	}
}

/* A scalar as text; NULL for null, an object or an array. */
char *
crm_jsonb_scalar_text(const JsonbValue *v, int *len)
{
	char	   *s;

	switch (v->type)
	{
		case jbvString:
			*len = v->val.string.len;
			return v->val.string.val;
		case jbvNumeric:
			/* 1.0 and 1 are one level */
			s = DatumGetCString(
				DirectFunctionCall1(numeric_out,
									DirectFunctionCall1(numeric_trim_scale,
														NumericGetDatum(v->val.numeric))));
			*len = strlen(s);
			return s;
		case jbvBool:
			*len = v->val.boolean ? 4 : 5;
			return v->val.boolean ? "true" : "false";
		default:
			return NULL;
	}
}
