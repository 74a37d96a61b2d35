/*
 * bayes.c
 *	  Naive Bayes over text levels: crm.naive_bayes_fit and its readers.
 *
 * The model is jsonb:
 *   {"alpha": a, "lost": n, "won": n, "fields": [{"level": [lost, won], ...}, ...]}
 * p(level | class) = (count + a) / (n + a * levels), n being the rows of the
 * class that have a value in the field.  A null is left out, and a level that
 * was never seen says nothing: both add 0 to the log-odds.
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/sort.h"
#include "scoring/counts.h"
#include "scoring/logistic.h"
#include "scoring/model_sql.h"

PG_FUNCTION_INFO_V1(crm_naive_bayes_accum);
PG_FUNCTION_INFO_V1(crm_naive_bayes_combine);
PG_FUNCTION_INFO_V1(crm_naive_bayes_serial);
PG_FUNCTION_INFO_V1(crm_naive_bayes_deserial);
PG_FUNCTION_INFO_V1(crm_naive_bayes_final);
PG_FUNCTION_INFO_V1(crm_naive_bayes_predict);
PG_FUNCTION_INFO_V1(crm_naive_bayes_terms);

#define MAX_ALPHA 1e100		/* counts beside it still are numbers */

typedef struct BayesState
{
	counts_hash *counts;		/* key: field number (int32) and level */
	int32		fields;
	double		alpha;
	double		won;
	double		lost;
} BayesState;

static BayesState *
bayes_state(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	BayesState *s = palloc0(sizeof(BayesState));

	s->counts = counts_create(context, 64, NULL);
	s->fields = -1;
	MemoryContextSwitchTo(old);
	return s;
}

static CountEntry *
bayes_entry(counts_hash *counts, int32 field, const char *level, int len, bool add)
{
	char		buffer[256];
	char	   *key = len + sizeof(int32) <= sizeof(buffer) ? buffer : palloc(len + sizeof(int32));
	CountEntry *e;

	memcpy(key, &field, sizeof(int32));
	memcpy(key + sizeof(int32), level, len);
	e = add ? crm_counts_add(counts, key, len + sizeof(int32)) :
		crm_counts_find(counts, key, len + sizeof(int32));
	if (key != buffer)
		pfree(key);
	return e;
}

/* Walks over the elements of a text[] without copying them. */
typedef struct TextWalk
{
	const char *at;
	const bits8 *bitmap;
	int			i;
	int			n;
} TextWalk;

static void
text_walk(Datum array, TextWalk *w)
{
	ArrayType  *a = DatumGetArrayTypeP(array);

	if (ARR_NDIM(a) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("an array of one dimension is expected, not of %d", ARR_NDIM(a))));
	w->n = ARR_NDIM(a) == 0 ? 0 : ARR_DIMS(a)[0];
	w->i = 0;
	w->at = ARR_DATA_PTR(a);
	w->bitmap = ARR_NULLBITMAP(a);
}

/* The next element; NULL for a null. */
static const char *
text_next(TextWalk *w, int *len)
{
	int			i = w->i++;
	const char *s;

	if (w->bitmap && !(w->bitmap[i / 8] & (1 << (i % 8))))
		return NULL;
	w->at = (const char *) att_align_pointer(w->at, TYPALIGN_INT, -1, w->at);
	s = VARDATA_ANY(w->at);
	*len = VARSIZE_ANY_EXHDR(w->at);
	w->at += VARSIZE_ANY(w->at);
	return s;
}

/* (state, y, levels, alpha) */
Datum
crm_naive_bayes_accum(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	BayesState *s;
	TextWalk	w;
	bool		won;

	crm_model_memory(fcinfo, &context, "crm.naive_bayes_fit");
	s = PG_ARGISNULL(0) ? bayes_state(context) : (BayesState *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_POINTER(s);
	won = crm_model_outcome(PG_GETARG_FLOAT8(1), "naive_bayes_fit");
	text_walk(PG_GETARG_DATUM(2), &w);
	if (s->fields < 0)
	{
		s->alpha = PG_ARGISNULL(3) ? -1 : PG_GETARG_FLOAT8(3);
		if (!(s->alpha > 0) || s->alpha > MAX_ALPHA)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the smoothing of \"crm.naive_bayes_fit\" is not a number above 0"),
					 errhint("Pass 1 to add one row to every level, or less.")));
		s->fields = w.n;
	}
	if (PG_ARGISNULL(3) || s->alpha != PG_GETARG_FLOAT8(3))
		crm_setting_differs("crm.naive_bayes_fit", "alpha");
	if (w.n != s->fields)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a row has %d fields, those before it have %d", w.n, s->fields)));
	if (won)
		s->won++;
	else
		s->lost++;
	for (int f = 0; f < w.n; f++)
	{
		int			len;
		const char *level = text_next(&w, &len);
		CountEntry *e;

		if (level == NULL)
			continue;
		e = bayes_entry(s->counts, f, level, len, true);
		if (won)
			e->won++;
		else
			e->lost++;
	}
	PG_RETURN_POINTER(s);
}

Datum
crm_naive_bayes_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	BayesState *a;
	BayesState *b;
	counts_iterator it;
	CountEntry *e;

	crm_model_memory(fcinfo, &context, "crm.naive_bayes_fit");
	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_POINTER(PG_GETARG_POINTER(0));
	}
	a = PG_ARGISNULL(0) ? bayes_state(context) : (BayesState *) PG_GETARG_POINTER(0);
	b = (BayesState *) PG_GETARG_POINTER(1);
	if (b->fields >= 0)
	{
		if (a->fields >= 0 && a->fields != b->fields)
			ereport(ERROR,
					(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
					 errmsg("a row has %d fields, those before it have %d", b->fields, a->fields)));
		a->fields = b->fields;
		a->alpha = b->alpha;
	}
	a->won += b->won;
	a->lost += b->lost;
	counts_start_iterate(b->counts, &it);
	while ((e = counts_iterate(b->counts, &it)) != NULL)
	{
		CountEntry *to = crm_counts_add(a->counts, e->key + sizeof(uint32), e->len);

		to->won += e->won;
		to->lost += e->lost;
	}
	PG_RETURN_POINTER(a);
}

Datum
crm_naive_bayes_serial(PG_FUNCTION_ARGS)
{
	BayesState *s = (BayesState *) PG_GETARG_POINTER(0);
	StringInfoData buf;
	counts_iterator it;
	CountEntry *e;

	initStringInfo(&buf);
	appendStringInfoSpaces(&buf, VARHDRSZ);
	appendBinaryStringInfo(&buf, (char *) s, sizeof(BayesState));
	counts_start_iterate(s->counts, &it);
	while ((e = counts_iterate(s->counts, &it)) != NULL)
	{
		appendBinaryStringInfo(&buf, (char *) &e->won, sizeof(double));
		appendBinaryStringInfo(&buf, (char *) &e->lost, sizeof(double));
		appendBinaryStringInfo(&buf, e->key, e->len + sizeof(uint32));
	}
	SET_VARSIZE(buf.data, buf.len);
	PG_RETURN_BYTEA_P(buf.data);
}

Datum
crm_naive_bayes_deserial(PG_FUNCTION_ARGS)
{
	bytea	   *b = PG_GETARG_BYTEA_PP(0);
	const char *p = VARDATA_ANY(b);
	const char *end = p + VARSIZE_ANY_EXHDR(b);
	BayesState *s = bayes_state(CurrentMemoryContext);
	counts_hash *counts = s->counts;

	memcpy(s, p, sizeof(BayesState));
	s->counts = counts;
	p += sizeof(BayesState);
	while (p < end)
	{
		uint32		len;
		CountEntry *e;

		memcpy(&len, p + 2 * sizeof(double), sizeof(uint32));
		e = crm_counts_add(counts, p + 2 * sizeof(double) + sizeof(uint32), len);
		memcpy(&e->won, p, sizeof(double));
		memcpy(&e->lost, p + sizeof(double), sizeof(double));
		p += 2 * sizeof(double) + sizeof(uint32) + len;
	}
	PG_RETURN_POINTER(s);
}

static int
entry_cmp(const void *a, const void *b)
{
	const CountEntry *x = *(CountEntry *const *) a;
	const CountEntry *y = *(CountEntry *const *) b;
	int			fx,
				fy,
				c;

	memcpy(&fx, x->key + sizeof(uint32), sizeof(int32));
	memcpy(&fy, y->key + sizeof(uint32), sizeof(int32));
	if (fx != fy)
		return fx < fy ? -1 : 1;
	c = memcmp(x->key + 2 * sizeof(uint32), y->key + 2 * sizeof(uint32),
			   Min(x->len, y->len) - sizeof(int32));
	return c != 0 ? c : (int) x->len - (int) y->len;
}

Datum
crm_naive_bayes_final(PG_FUNCTION_ARGS)
{
	BayesState *s = PG_ARGISNULL(0) ? NULL : (BayesState *) PG_GETARG_POINTER(0);
	JsonbParseState *out = NULL;
	counts_iterator it;
	CountEntry **sorted;
	CountEntry *e;
	int			n = 0;
	int			at = 0;

	crm_model_refuse_missing_class(s == NULL ? 0 : s->won + s->lost, s == NULL ? 0 : s->won);
	sorted = palloc(sizeof(CountEntry *) * Max(s->counts->members, 1));
	counts_start_iterate(s->counts, &it);
	while ((e = counts_iterate(s->counts, &it)) != NULL)
		sorted[n++] = e;
	crm_sort(sorted, n, sizeof(CountEntry *), entry_cmp);

	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	crm_jsonb_push_key(&out, "alpha", -1);
	crm_jsonb_push_number(&out, false, s->alpha);
	crm_jsonb_push_key(&out, "won", -1);
	crm_jsonb_push_number(&out, false, s->won);
	crm_jsonb_push_key(&out, "lost", -1);
	crm_jsonb_push_number(&out, false, s->lost);
	crm_jsonb_push_key(&out, "fields", -1);
	pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
	for (int32 f = 0; f < s->fields; f++)
	{
		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		for (; at < n && memcmp(sorted[at]->key + sizeof(uint32), &f, sizeof(int32)) == 0; at++)
		{
			crm_jsonb_push_key(&out, sorted[at]->key + 2 * sizeof(uint32),
							   sorted[at]->len - sizeof(int32));
			pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
			crm_jsonb_push_number(&out, true, sorted[at]->lost);
			crm_jsonb_push_number(&out, true, sorted[at]->won);
			pushJsonbValue(&out, WJB_END_ARRAY, NULL);
		}
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(&out, WJB_END_ARRAY, NULL);
	PG_RETURN_POINTER(JsonbValueToJsonb(pushJsonbValue(&out, WJB_END_OBJECT, NULL)));
}

/* Compiled: won of an entry holds its share of the log-odds. */
typedef struct BayesModel
{
	counts_hash *terms;
	int			fields;
	double		base;
} BayesModel;

static void *
compile_bayes(Jsonb *source)
{
	BayesModel *m = palloc0(sizeof(BayesModel));
	JsonbValue	a,
				v,
				f,
				*fields;
	double		alpha;

	if (!JB_ROOT_IS_OBJECT(source))
		crm_jsonb_number(NULL, "the whole");
	m->terms = counts_create(CurrentMemoryContext, 64, NULL);
	alpha = crm_jsonb_number(crm_json_member(&source->root, "alpha", &a), "alpha");
	if (!(alpha > 0) || alpha > MAX_ALPHA)
		crm_jsonb_number(NULL, "alpha");
	m->base = log(crm_jsonb_number(crm_json_member(&source->root, "won", &v), "won") /
				  crm_jsonb_number(crm_json_member(&source->root, "lost", &a), "lost"));
	fields = crm_json_member(&source->root, "fields", &f);
	if (crm_json_array(fields) == NULL || !isfinite(m->base))
		crm_jsonb_number(NULL, "fields");
	m->fields = JsonContainerSize(fields->val.binary.data);
	for (int i = 0; i < m->fields; i++)
	{
		JsonbValue *field = crm_json_element(fields->val.binary.data, i);
		double		n[2] = {0, 0};
		int			levels = 0;

		if (crm_json_object(field) == NULL)
			crm_jsonb_number(NULL, "a field");
		for (int pass = 0; pass < 2; pass++)
		{
			JsonbIterator *it = JsonbIteratorInit(field->val.binary.data);
			JsonbIteratorToken t;
			JsonbValue	k = {0};

			while ((t = JsonbIteratorNext(&it, &v, true)) != WJB_DONE)
			{
				double		c[2];

				if (t == WJB_KEY)
					k = v;
				if (t != WJB_VALUE)
					continue;
				crm_jsonb_counts(&v, c);
				if (pass == 0)
				{
					n[0] += c[0];
					n[1] += c[1];
					levels++;
				}
				else
					bayes_entry(m->terms, i, k.val.string.val, k.val.string.len, true)->won =
						log((c[1] + alpha) / (n[1] + alpha * levels)) -
						log((c[0] + alpha) / (n[0] + alpha * levels));
			}
		}
	}
	return m;
}

static BayesModel *
bayes_open(FunctionCallInfo fcinfo, TextWalk *w)
{
	BayesModel *m = crm_compiled_model(fcinfo, 0, compile_bayes);

	text_walk(PG_GETARG_DATUM(1), w);
	if (w->n != m->fields)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a row of %d fields does not fit a model of %d", w->n, m->fields)));
	return m;
}

static double
bayes_next(BayesModel *m, TextWalk *w)
{
	int			f = w->i;
	int			len;
	const char *level = text_next(w, &len);
	CountEntry *e = level == NULL ? NULL : bayes_entry(m->terms, f, level, len, false);

	return e == NULL ? 0 : e->won;
}

Datum
crm_naive_bayes_predict(PG_FUNCTION_ARGS)
{
	TextWalk	w;
	BayesModel *m = bayes_open(fcinfo, &w);
	double		eta = m->base;

	while (w.i < w.n)
		eta += bayes_next(m, &w);
	PG_RETURN_FLOAT8(crm_logistic_sigmoid(eta));
}

/* base, then the share of each field: they sum to the log-odds */
Datum
crm_naive_bayes_terms(PG_FUNCTION_ARGS)
{
	TextWalk	w;
	BayesModel *m = bayes_open(fcinfo, &w);
	double	   *t = palloc(sizeof(double) * (w.n + 1));

	t[0] = m->base;
	while (w.i < w.n)
	{
		int			f = w.i;

		t[f + 1] = bayes_next(m, &w);
	}
	PG_RETURN_ARRAYTYPE_P(crm_model_doubles(t, w.n + 1, false));
}
