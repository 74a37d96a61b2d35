/*
 * row.c
 *	  Rows as jsonb for conditions: only what is asked for, and cheaply.
 *
 * to_jsonb() of a row looks every column's type up in the catalogs and sorts
 * all keys, for each row anew; with fifty columns that costs more than all
 * the conditions that look at four of them.  A shape is that work done once:
 * which columns are wanted, in the order of jsonb's keys, and how each type
 * becomes a value.  What a shape makes equals what to_jsonb() makes of the
 * same columns, as types it does not know are given to to_jsonb() itself.
 */
#include "base/crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/typcache.h"

typedef struct RowColumn
{
	int			attno;			/* from 0 */
	const char *key;
	int			keylen;
	Oid			type;
	FmgrInfo   *other;			/* to_jsonb, for types of no own case */
} RowColumn;

struct CrmRowShape
{
	int			natts;			/* of the row */
	int			ncolumns;
	RowColumn  *columns;
	Datum	   *values;
	bool	   *nulls;
};

/*
 * The number of a column that a trigger reads.  A trigger can be put onto any
 * table by whoever owns it and us: a column of another type, read as if it were
 * ours, would be read as a pointer.
 */
AttrNumber
crm_typed_column(TupleDesc desc, const char *name, Oid type)
{
	int			attnum = SPI_fnumber(desc, name);
	const char *table = desc->natts > 0 ? get_rel_name(TupleDescAttr(desc, 0)->attrelid) : NULL;

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column \"%s\"", table ? table : "", name)));
	if (getBaseType(TupleDescAttr(desc, attnum - 1)->atttypid) != type)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" is not of type %s", name,
						table ? table : "", format_type_be(type))));
	return attnum;
}

/* The row type of a function's result, ready for its rows. */
TupleDesc
crm_result_row(FunctionCallInfo fcinfo)
{
	TupleDesc	desc;

	/* the extension's script declares these functions, so no user can cause it */
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return BlessTupleDesc(desc);
}

/* jsonb's order of keys: shorter first */
static int
by_key(const void *a, const void *b)
{
	const RowColumn *x = a;
	const RowColumn *y = b;

	if (x->keylen != y->keylen)
		return x->keylen < y->keylen ? -1 : 1;
	return memcmp(x->key, y->key, x->keylen);
}

/*
 * The shape of a row in the current memory context.  wanted: numbers of
 * columns; NULL: all.
 */
CrmRowShape *
crm_row_shape(TupleDesc desc, const Bitmapset *wanted)
{
	CrmRowShape *shape = palloc0(sizeof(CrmRowShape));

	shape->natts = desc->natts;
	shape->columns = palloc0(sizeof(RowColumn) * Max(desc->natts, 1));
	shape->values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	shape->nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		RowColumn  *c = &shape->columns[shape->ncolumns];

		if (att->attisdropped || (wanted && !bms_is_member(att->attnum, wanted)))
			continue;
		c->attno = i;
		c->key = pstrdup(NameStr(att->attname));
		c->keylen = strlen(c->key);
		c->type = att->atttypid;
		switch (c->type)
		{
			case TEXTOID:
			case VARCHAROID:
			case BPCHAROID:
			case INT2OID:
			case INT4OID:
			case INT8OID:
			case BOOLOID:
			case NUMERICOID:
			case TIMESTAMPTZOID:
			case JSONBOID:
				break;
			default:			/* arrays of text too, where they are not plain lists */
				/* to_jsonb is polymorphic: it asks its call for the type */
				c->other = palloc0(sizeof(FmgrInfo));
				fmgr_info(F_TO_JSONB, c->other);
				fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
														 list_make1(makeNullConst(c->type, att->atttypmod, att->attcollation)),
														 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
								   c->other);
		}
		shape->ncolumns++;
	}
	qsort(shape->columns, shape->ncolumns, sizeof(RowColumn), by_key);
	return shape;
}

static void
push_text(JsonbParseState **out, JsonbIteratorToken token, text *t)
{
	JsonbValue	v;

	v.type = jbvString;
	v.val.string.val = VARDATA_ANY(t);
	v.val.string.len = VARSIZE_ANY_EXHDR(t);
	pushJsonbValue(out, token, &v);
}

static void
push_list(JsonbParseState **out, ArrayType *list)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	JsonbValue	null = {.type = jbvNull};

	deconstruct_array(list, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	pushJsonbValue(out, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			pushJsonbValue(out, WJB_ELEM, &null);
		else
			push_text(out, WJB_ELEM, DatumGetTextPP(elements[i]));
	}
	pushJsonbValue(out, WJB_END_ARRAY, NULL);
}

/* A document as the value of a key; false where it is null and that is left out. */
static bool
push_document(JsonbParseState **out, JsonbValue *key, Jsonb *j, bool strip)
{
	JsonbValue	v;

	if (strip && !JB_ROOT_IS_SCALAR(j) && JB_ROOT_COUNT(j) > 0)
		j = DatumGetJsonbP(DirectFunctionCall1(jsonb_strip_nulls, JsonbPGetDatum(j)));
	if (JB_ROOT_IS_SCALAR(j))
		JsonbExtractScalar(&j->root, &v);
	else
	{
		v.type = jbvBinary;
		v.val.binary.data = &j->root;
		v.val.binary.len = VARSIZE(j) - VARHDRSZ;
	}
	if (strip && v.type == jbvNull)
		return false;
	pushJsonbValue(out, WJB_KEY, key);
	pushJsonbValue(out, WJB_VALUE, &v);
	return true;
}

/* The columns of a row, as keys of an object that is open; within: without nulls in documents. */
static void
push_columns(JsonbParseState **out, CrmRowShape *shape, HeapTuple tuple, TupleDesc desc,
			 bool strip, bool within)
{
	heap_deform_tuple(tuple, desc, shape->values, shape->nulls);
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const RowColumn *c = &shape->columns[i];
		Datum		d = shape->values[c->attno];
		JsonbValue	key;
		JsonbValue	v;

		key.type = jbvString;
		key.val.string.val = unconstify(char *, c->key);
		key.val.string.len = c->keylen;
		if (shape->nulls[c->attno])
		{
			if (strip)
				continue;
			v.type = jbvNull;
			pushJsonbValue(out, WJB_KEY, &key);
			pushJsonbValue(out, WJB_VALUE, &v);
			continue;
		}
		if (c->type == TEXTARRAYOID && ARR_NDIM(DatumGetArrayTypeP(d)) <= 1)
		{
			pushJsonbValue(out, WJB_KEY, &key);
			push_list(out, DatumGetArrayTypeP(d));
			continue;
		}
		if (c->other)
		{
			push_document(out, &key, DatumGetJsonbP(FunctionCall1(c->other, d)), within);
			continue;
		}
		if (c->type == JSONBOID)
		{
			push_document(out, &key, DatumGetJsonbP(d), within);
			continue;
		}
		pushJsonbValue(out, WJB_KEY, &key);
		switch (c->type)
		{
			case BOOLOID:
				v.type = jbvBool;
				v.val.boolean = DatumGetBool(d);
				break;
			case INT2OID:
			case INT4OID:
			case INT8OID:
				v.type = jbvNumeric;
				v.val.numeric = int64_to_numeric(c->type == INT2OID ? DatumGetInt16(d) :
												 c->type == INT4OID ? DatumGetInt32(d) :
												 DatumGetInt64(d));
				break;
			case NUMERICOID:
				v.val.numeric = DatumGetNumeric(d);
				v.type = jbvNumeric;
				if (numeric_is_nan(v.val.numeric) || numeric_is_inf(v.val.numeric))
				{
					/* JSON has no such numbers */
					v.type = jbvString;
					v.val.string.val = DatumGetCString(DirectFunctionCall1(numeric_out, d));
					v.val.string.len = strlen(v.val.string.val);
				}
				break;
			case TIMESTAMPTZOID:
				v.type = jbvString;
				v.val.string.val = JsonEncodeDateTime(NULL, d, TIMESTAMPTZOID, NULL);
				v.val.string.len = strlen(v.val.string.val);
				break;
			default:
				push_text(out, WJB_VALUE, DatumGetTextPP(d));
				continue;
		}
		pushJsonbValue(out, WJB_VALUE, &v);
	}
}

/*
 * A row as jsonb.  strip: without nulls, in documents within it as well, as
 * jsonb_strip_nulls() does.
 */
Datum
crm_row_jsonb(CrmRowShape *shape, HeapTuple tuple, TupleDesc desc, bool strip)
{
	JsonbParseState *out = NULL;

	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	push_columns(&out, shape, tuple, desc, strip, strip);
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&out, WJB_END_OBJECT, NULL)));
}

static void
push_key(JsonbParseState **out, const char *name)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(out, WJB_KEY, &key);
}

/*
 * What a row became and was, as {"new": {...}, "old": {...}, "hidden": [...]};
 * a row that is NULL is left out, and so is an empty list of names.  A row that
 * stands alone is without its nulls, and its documents are so where they need
 * not be exact.
 */
Datum
crm_change_jsonb(CrmRowShape *shape, HeapTuple after, HeapTuple before, TupleDesc desc,
				 const char *const *hidden, int nhidden, bool exact)
{
	JsonbParseState *out = NULL;
	bool		strip = after == NULL || before == NULL;

	pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
	if (after != NULL)
	{
		push_key(&out, "new");
		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		push_columns(&out, shape, after, desc, strip, strip && !exact);
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	}
	if (before != NULL)
	{
		push_key(&out, "old");
		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		push_columns(&out, shape, before, desc, strip, strip && !exact);
		pushJsonbValue(&out, WJB_END_OBJECT, NULL);
	}
	if (nhidden > 0)
	{
		push_key(&out, "hidden");
		pushJsonbValue(&out, WJB_BEGIN_ARRAY, NULL);
		for (int i = 0; i < nhidden; i++)
		{
			JsonbValue	v;

			v.type = jbvString;
			v.val.string.val = unconstify(char *, hidden[i]);
			v.val.string.len = strlen(hidden[i]);
			pushJsonbValue(&out, WJB_ELEM, &v);
		}
		pushJsonbValue(&out, WJB_END_ARRAY, NULL);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&out, WJB_END_OBJECT, NULL)));
}

/* ---- in SQL ---- */

/* What a call keeps: the shape of its rows, and what it was made for. */
typedef struct KeptShape
{
	MemoryContext context;
	Oid			type;
	int32		typmod;
	uint64		identity;		/* of the type's columns */
	struct varlena *chosen_by;	/* the second argument */
	CrmRowShape *shape;
	TupleDesc	desc;
} KeptShape;

/*
 * The shape for a row and what chooses its columns: path, a jsonpath that
 * looks at them, or else an array of the names that are left out.
 */
static KeptShape *
kept_shape(FunctionCallInfo fcinfo, HeapTupleHeader row, bool path)
{
	KeptShape  *k = fcinfo->flinfo->fn_extra;
	struct varlena *chosen_by = (struct varlena *) PG_GETARG_POINTER(1);
	Size		size = VARSIZE_ANY(chosen_by);
	Oid			type = HeapTupleHeaderGetTypeId(row);
	int32		typmod = HeapTupleHeaderGetTypMod(row);
	uint64		identity = assign_record_type_identifier(type, typmod);
	Bitmapset  *wanted = NULL;
	bool		all = false;
	MemoryContext old;

	if (k && k->type == type && k->typmod == typmod && k->identity == identity &&
		VARSIZE_ANY(k->chosen_by) == size && memcmp(k->chosen_by, chosen_by, size) == 0)
		return k;
	if (k)
	{
		fcinfo->flinfo->fn_extra = NULL;
		MemoryContextDelete(k->context);
	}
	old = MemoryContextSwitchTo(AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "crm row shape",
													  ALLOCSET_SMALL_SIZES));
	k = palloc0(sizeof(KeptShape));
	k->context = CurrentMemoryContext;
	k->type = type;
	k->typmod = typmod;
	k->identity = identity;
	k->chosen_by = palloc(size);
	memcpy(k->chosen_by, chosen_by, size);
	k->desc = lookup_rowtype_tupdesc_copy(type, typmod);
	if (path)
		all = !crm_path_columns(PG_GETARG_DATUM(1), k->desc, &wanted);
	else
	{
		Datum	   *names;
		bool	   *nulls;
		int			n;

		deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n);
		for (int i = 0; i < k->desc->natts; i++)
		{
			Form_pg_attribute att = TupleDescAttr(k->desc, i);
			bool		out = att->attisdropped;

			for (int j = 0; j < n && !out; j++)
				out = !nulls[j] && strcmp(TextDatumGetCString(names[j]), NameStr(att->attname)) == 0;
			if (!out)
				wanted = bms_add_member(wanted, att->attnum);
		}
	}
	/* an empty set is a null pointer: no columns, where not all are meant */
	if (!all && wanted == NULL)
		wanted = bms_make_singleton(0);
	k->shape = crm_row_shape(k->desc, wanted);
	fcinfo->flinfo->fn_extra = k;
	MemoryContextSwitchTo(old);
	return k;
}

static Datum
argument_row_jsonb(FunctionCallInfo fcinfo, bool path)
{
	HeapTupleHeader row = PG_GETARG_HEAPTUPLEHEADER(0);
	KeptShape  *k = kept_shape(fcinfo, row, path);
	HeapTupleData tuple = {0};

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = row;
	return crm_row_jsonb(k->shape, &tuple, k->desc, !path);
}

PG_FUNCTION_INFO_V1(crm_row_facts);
PG_FUNCTION_INFO_V1(crm_row_holds);

/* crm.row_facts(row, without) */
Datum
crm_row_facts(PG_FUNCTION_ARGS)
{
	return argument_row_jsonb(fcinfo, false);
}

/* crm.row_holds(row, condition) */
Datum
crm_row_holds(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_BOOL(true);
	if (PG_ARGISNULL(0))
		PG_RETURN_BOOL(false);
	return BoolGetDatum(crm_condition_holds(argument_row_jsonb(fcinfo, true), PG_GETARG_DATUM(1)));
}
