/*
 * encode.c
 *	  Rows as features: crm.encoding_fit, crm.encode.
 *
 * The encoding is jsonb, so that a stored model holds all it takes to score a
 * row: {"rows": n, "fields": [
 *   {"field": f, "mean": m, "sd": s, "missing": bool},
 *   {"field": f, "base": l, "levels": [l, ...], "other": bool, "missing": bool}]}
 */
#include "base/crm.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base/sort.h"
#include "scoring/counts.h"
#include "scoring/model_sql.h"

PG_FUNCTION_INFO_V1(crm_encoding_accum);
PG_FUNCTION_INFO_V1(crm_encoding_final);
PG_FUNCTION_INFO_V1(crm_encode);
PG_FUNCTION_INFO_V1(crm_encoding_terms);
PG_FUNCTION_INFO_V1(crm_encoding_fields);
PG_FUNCTION_INFO_V1(crm_encoding_unseen);

typedef struct FieldState
{
	char	   *name;
	int			len;
	int64		numbers;
	int64		texts;
	double		mean;
	double		m2;
	counts_hash *levels;		/* won counts the rows */
} FieldState;

typedef struct EncodingState
{
	counts_hash *index;			/* field name; levels is the place in fields */
	FieldState **fields;
	int			n;
	int			max;
	int64		rows;
	int			min_count;
} EncodingState;

static double
finite_number(const JsonbValue *v)
{
	double		x = crm_jsonb_number(v, "a value");

	if (!isfinite(x))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("a field is NaN or infinite"),
				 errhint("Replace it, or leave the field out: it counts as missing then.")));
	return x;
}

/* Walks the scalars of a flat object; false at the end. */
static bool
next_scalar(JsonbIterator **it, JsonbValue *key, JsonbValue *v)
{
	JsonbIteratorToken t;

	while ((t = JsonbIteratorNext(it, v, true)) != WJB_DONE)
	{
		if (t == WJB_KEY)
			*key = *v;
		else if (t == WJB_VALUE)
		{
			if (v->type == jbvNull)
				continue;		/* as good as absent */
			if (v->type == jbvBinary)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("field \"%s\" is an array or an object",
								pnstrdup(key->val.string.val, key->val.string.len)),
						 errdetail("Rows to encode are flat JSON objects.")));
			return true;
		}
	}
	return false;
}

static JsonbIterator *
row_iterator(Jsonb *row)
{
	if (!JB_ROOT_IS_OBJECT(row))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a row to encode is no JSON object"),
				 errhint("Pass to_jsonb(row), or jsonb_build_object('field', value, ...).")));
	return JsonbIteratorInit(&row->root);
}

Datum
crm_encoding_accum(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext old;
	EncodingState *s;
	JsonbIterator *it;
	JsonbValue	key = {0};
	JsonbValue	v;

	crm_model_memory(fcinfo, &context, "crm.encoding_fit");
	if (PG_ARGISNULL(0))
	{
		old = MemoryContextSwitchTo(context);
		s = palloc0(sizeof(EncodingState));
		s->index = counts_create(context, 32, NULL);
		s->max = 32;
		s->fields = palloc(sizeof(FieldState *) * s->max);
		s->min_count = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
		MemoryContextSwitchTo(old);
	}
	else
	{
		s = (EncodingState *) PG_GETARG_POINTER(0);
		if (s->min_count != (PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2)))
			crm_setting_differs("crm.encoding_fit", "min_count");
	}
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(s);
	s->rows++;
	it = row_iterator(PG_GETARG_JSONB_P(1));
	while (next_scalar(&it, &key, &v))
	{
		CountEntry *e = crm_counts_find(s->index, key.val.string.val, key.val.string.len);
		FieldState *f;

		CHECK_FOR_INTERRUPTS();
		if (e == NULL)
		{
			e = crm_counts_add(s->index, key.val.string.val, key.val.string.len);
			e->levels = s->n;
			old = MemoryContextSwitchTo(context);
			if (s->n == s->max)
			{
				s->max *= 2;
				s->fields = repalloc(s->fields, sizeof(FieldState *) * s->max);
			}
			f = palloc0(sizeof(FieldState));
			f->name = pnstrdup(key.val.string.val, key.val.string.len);
			f->len = key.val.string.len;
			f->levels = counts_create(context, 8, NULL);
			s->fields[s->n++] = f;
			MemoryContextSwitchTo(old);
		}
		f = s->fields[e->levels];
		if (v.type == jbvNumeric)
		{
			double		x = finite_number(&v);
			double		d = x - f->mean;

			f->numbers++;
			f->mean += d / f->numbers;
			f->m2 += d * (x - f->mean);
		}
		else
		{
			int			len;
			char	   *level = crm_jsonb_scalar_text(&v, &len);

			f->texts++;
			crm_counts_add(f->levels, level, len)->won++;
		}
		if (f->texts > 0 && f->numbers > 0)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DOMAIN),
					 errmsg("field \"%s\" is a number in one row and text in another", f->name),
					 errhint("Cast it to one type.")));
	}
	PG_RETURN_POINTER(s);
}

static int
field_cmp(const void *a, const void *b)
{
	return strcmp((*(FieldState *const *) a)->name, (*(FieldState *const *) b)->name);
}

static int
level_cmp(const void *a, const void *b)
{
	return strcmp((*(CountEntry *const *) a)->key + sizeof(uint32),
				  (*(CountEntry *const *) b)->key + sizeof(uint32));
}

static void
push_bool(JsonbParseState **out, const char *key, bool value)
{
	JsonbValue	v;

	crm_jsonb_push_key(out, key, -1);
	v.type = jbvBool;
	v.val.boolean = value;
	pushJsonbValue(out, WJB_VALUE, &v);
}

Datum
crm_encoding_final(PG_FUNCTION_ARGS)
{
	EncodingState *s = PG_ARGISNULL(0) ? NULL : (EncodingState *) PG_GETARG_POINTER(0);
	JsonbParseState *out = NULL;
	FieldState **sorted;

	if (s == NULL || s->rows == 0)
		crm_model_refuse_missing_class(0, 0);
	sorted = palloc(sizeof(FieldState *) * Max(s->n, 1));
	memcpy(sorted, s->fields, sizeof(FieldState *) * s->n);
	crm_sort(sorted, s->n, sizeof(FieldState *), field_cmp);

	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	crm_jsonb_push_key(&out, "rows", -1);
	crm_jsonb_push_number(&out, false, s->rows);
	crm_jsonb_push_key(&out, "fields", -1);
	pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < s->n; i++)
	{
		FieldState *f = sorted[i];
		bool		missing = f->numbers + f->texts < s->rows;

		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		crm_jsonb_push_key(&out, "field", -1);
		crm_jsonb_push_string(&out, false, f->name, f->len);
		if (f->numbers > 0)
		{
			crm_jsonb_push_key(&out, "mean", -1);
			crm_jsonb_push_number(&out, false, f->mean);
			crm_jsonb_push_key(&out, "sd", -1);
			crm_jsonb_push_number(&out, false, sqrt(f->m2 / f->numbers));
		}
		else
		{
			CountEntry **level = palloc(sizeof(CountEntry *) * f->levels->members);
			counts_iterator it;
			CountEntry *e;
			int			n = 0;
			bool		other = false;

			counts_start_iterate(f->levels, &it);
			while ((e = counts_iterate(f->levels, &it)) != NULL)
			{
				if (e->won < s->min_count)
					other = true;
				else
					level[n++] = e;
			}
			crm_sort(level, n, sizeof(CountEntry *), level_cmp);
			if (n > 0)
			{
				crm_jsonb_push_key(&out, "base", -1);
				crm_jsonb_push_string(&out, false, level[0]->key + sizeof(uint32), level[0]->len);
			}
			crm_jsonb_push_key(&out, "levels", -1);
			pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
			for (int j = 1; j < n; j++)
				crm_jsonb_push_string(&out, true, level[j]->key + sizeof(uint32), level[j]->len);
			pushJsonbValue(&out, WJB_END_ARRAY, NULL);
			push_bool(&out, "other", other && n > 0);
		}
		push_bool(&out, "missing", missing);
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(&out, WJB_END_ARRAY, NULL);
	PG_RETURN_POINTER(JsonbValueToJsonb(pushJsonbValue(&out, WJB_END_OBJECT, NULL)));
}

/* Compiled: what each column is, and where each level goes. */
typedef struct EncodedField
{
	char	   *name;
	bool		numeric;
	double		mean;
	double		sd;
	int			column;			/* of the number; -1 for a category */
	int			other;			/* column or -1 */
	int			missing;		/* column or -1 */
} EncodedField;

typedef struct Encoding
{
	EncodedField *fields;
	int			n;
	int			columns;
	char	  **terms;
	int		   *field_of;		/* of each column */
	counts_hash *index;			/* field; levels: its place */
	counts_hash *level;			/* place and level; levels: its column, -1 for the base */
} Encoding;

static int
new_column(Encoding *m, int *max, int field, char *term)
{
	if (m->columns == *max)
	{
		*max *= 2;
		m->terms = repalloc(m->terms, sizeof(char *) * *max);
		m->field_of = repalloc(m->field_of, sizeof(int) * *max);
	}
	m->terms[m->columns] = term;
	m->field_of[m->columns] = field;
	return m->columns++;
}

static CountEntry *
level_entry(Encoding *m, int field, const char *level, int len, bool add)
{
	char		buffer[256];
	char	   *key = len + sizeof(int) <= sizeof(buffer) ? buffer : palloc(len + sizeof(int));
	CountEntry *e;

	memcpy(key, &field, sizeof(int));
	memcpy(key + sizeof(int), level, len);
	e = add ? crm_counts_add(m->level, key, len + sizeof(int)) :
		crm_counts_find(m->level, key, len + sizeof(int));
	if (key != buffer)
		pfree(key);
	return e;
}

static bool
flag(JsonbContainer *object, const char *key)
{
	JsonbValue	v;
	JsonbValue *f = crm_json_member(object, key, &v);

	return f != NULL && f->type == jbvBool && f->val.boolean;
}

static void *
compile_encoding(Jsonb *source)
{
	Encoding   *m = palloc0(sizeof(Encoding));
	JsonbValue	a,
				v,
				*fields;
	int			max = 32;

	fields = JB_ROOT_IS_OBJECT(source) ? crm_json_member(&source->root, "fields", &a) : NULL;
	if (crm_json_array(fields) == NULL)
		crm_jsonb_number(NULL, "fields");
	m->n = JsonContainerSize(fields->val.binary.data);
	m->fields = palloc0(sizeof(EncodedField) * Max(m->n, 1));
	m->terms = palloc(sizeof(char *) * max);
	m->field_of = palloc(sizeof(int) * max);
	m->index = counts_create(CurrentMemoryContext, 32, NULL);
	m->level = counts_create(CurrentMemoryContext, 64, NULL);
	for (int i = 0; i < m->n; i++)
	{
		EncodedField *f = &m->fields[i];
		JsonbValue *one = crm_json_element(fields->val.binary.data, i);
		JsonbContainer *object;
		JsonbValue *part;

		if (crm_json_object(one) == NULL)
			crm_jsonb_number(NULL, "a field");
		object = one->val.binary.data;
		part = crm_json_member(object, "field", &v);
		if (part == NULL || part->type != jbvString)
			crm_jsonb_number(NULL, "a field's name");
		f->name = pnstrdup(part->val.string.val, part->val.string.len);
		crm_counts_add(m->index, f->name, strlen(f->name))->levels = i;
		f->column = f->other = f->missing = -1;
		if ((part = crm_json_member(object, "mean", &v)) != NULL)
		{
			f->numeric = true;
			f->mean = crm_jsonb_number(part, "mean");
			f->sd = crm_jsonb_number(crm_json_member(object, "sd", &v), "sd");
			if (!(f->sd >= 0) || !isfinite(f->sd) || !isfinite(f->mean))
				crm_jsonb_number(NULL, f->sd >= 0 && isfinite(f->sd) ? "mean" : "sd");
			f->column = new_column(m, &max, i, f->name);
		}
		else
		{
			JsonbValue	b;
			JsonbValue *levels = crm_json_member(object, "levels", &b);

			if ((part = crm_json_member(object, "base", &v)) != NULL && part->type == jbvString)
				level_entry(m, i, part->val.string.val, part->val.string.len, true)->levels = -1;
			if (crm_json_array(levels) == NULL)
				crm_jsonb_number(NULL, "levels");
			for (int j = 0; j < JsonContainerSize(levels->val.binary.data); j++)
			{
				part = crm_json_element(levels->val.binary.data, j);
				if (part == NULL || part->type != jbvString)
					crm_jsonb_number(NULL, "a level");
				level_entry(m, i, part->val.string.val, part->val.string.len, true)->levels =
					new_column(m, &max, i,
							   psprintf("%s=%.*s", f->name, part->val.string.len,
										part->val.string.val));
			}
			if (flag(object, "other"))
				f->other = new_column(m, &max, i, psprintf("%s=(other)", f->name));
		}
		if (flag(object, "missing"))
			f->missing = new_column(m, &max, i, psprintf("%s=(missing)", f->name));
	}
	return m;
}

/*
 * Fill the columns of a row; seen marks the fields that have a value, and
 * unseen those whose level is new.
 */
static void
encode_row(Encoding *m, Jsonb *row, double *x, bool *seen, bool *unseen)
{
	JsonbIterator *it = row_iterator(row);
	JsonbValue	key = {0};
	JsonbValue	v;

	while (next_scalar(&it, &key, &v))
	{
		CountEntry *e = crm_counts_find(m->index, key.val.string.val, key.val.string.len);
		EncodedField *f;

		CHECK_FOR_INTERRUPTS();
		if (e == NULL)
			continue;
		f = &m->fields[e->levels];
		seen[e->levels] = true;
		if (f->numeric)
		{
			if (v.type != jbvNumeric)
				ereport(ERROR,
						(errcode(ERRCODE_CRM_MODEL_DOMAIN),
						 errmsg("field \"%s\" was a number in training and is text now", f->name),
						 errhint("Pass it as a number, or train the model again.")));
			x[f->column] = f->sd > 0 ? (finite_number(&v) - f->mean) / f->sd : 0;
			if (!isfinite(x[f->column]))
				ereport(ERROR,
						(errcode(ERRCODE_CRM_MODEL_DOMAIN),
						 errmsg("field \"%s\" is too far from what it was in training", f->name),
						 errdetail("In standard deviations it is no finite number."),
						 errhint("Look at the value, or train the model again.")));
		}
		else
		{
			int			len;
			char	   *level = crm_jsonb_scalar_text(&v, &len);
			CountEntry *l = level_entry(m, e->levels, level, len, false);

			if (l == NULL)
			{
				unseen[e->levels] = true;
				if (f->other >= 0)
					x[f->other] = 1;
			}
			else if (l->levels >= 0)
				x[l->levels] = 1;
		}
	}
	for (int i = 0; i < m->n; i++)
	{
		if (seen[i])
			continue;
		if (m->fields[i].missing >= 0)
			x[m->fields[i].missing] = 1;
		else
			unseen[i] = true;
	}
}

Datum
crm_encode(PG_FUNCTION_ARGS)
{
	Encoding   *m = crm_compiled_model(fcinfo, 0, compile_encoding);
	double	   *x = palloc0(sizeof(double) * Max(m->columns, 1));
	bool	   *marks = palloc0(2 * Max(m->n, 1));
	ArrayType  *a;
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(double) * m->columns;

	encode_row(m, PG_GETARG_JSONB_P(1), x, marks, marks + m->n);
	if (m->columns == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(FLOAT8OID));
	a = palloc0(size);
	SET_VARSIZE(a, size);
	a->ndim = 1;
	a->elemtype = FLOAT8OID;
	ARR_DIMS(a)[0] = m->columns;
	ARR_LBOUND(a)[0] = 1;
	memcpy(ARR_DATA_PTR(a), x, sizeof(double) * m->columns);
	PG_RETURN_ARRAYTYPE_P(a);
}

static Datum
texts(char **v, int n)
{
	Datum	   *d = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		d[i] = CStringGetTextDatum(v[i]);
	return PointerGetDatum(construct_array(d, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
crm_encoding_terms(PG_FUNCTION_ARGS)
{
	Encoding   *m = crm_compiled_model(fcinfo, 0, compile_encoding);

	PG_RETURN_DATUM(texts(m->terms, m->columns));
}

Datum
crm_encoding_fields(PG_FUNCTION_ARGS)
{
	Encoding   *m = crm_compiled_model(fcinfo, 0, compile_encoding);
	char	  **v = palloc(sizeof(char *) * Max(m->columns, 1));

	for (int i = 0; i < m->columns; i++)
		v[i] = m->fields[m->field_of[i]].name;
	PG_RETURN_DATUM(texts(v, m->columns));
}

Datum
crm_encoding_unseen(PG_FUNCTION_ARGS)
{
	Encoding   *m = crm_compiled_model(fcinfo, 0, compile_encoding);
	double	   *x = palloc0(sizeof(double) * Max(m->columns, 1));
	bool	   *marks = palloc0(2 * Max(m->n, 1));
	char	  **v = palloc(sizeof(char *) * Max(m->n, 1));
	int			n = 0;

	encode_row(m, PG_GETARG_JSONB_P(1), x, marks, marks + m->n);
	for (int i = 0; i < m->n; i++)
		if (marks[m->n + i])
			v[n++] = m->fields[i].name;
	PG_RETURN_DATUM(texts(v, n));
}
