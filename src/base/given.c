/*
 * given.c
 *	  crm.given_row(): a row with columns that a caller gave as a JSON object.
 *
 * What is given is checked whole: unknown columns and such as are not the
 * caller's to give are refused with the known ones named, a value of the wrong
 * kind with its column.  Which columns may be given for a purpose follows from
 * crm.column_rules: all that it does not keep.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

static void
name_column(void *column)
{
	errcontext("value of column \"%s\"", (char *) column);
}

/*
 * Lists and documents are values of columns for lists and documents alone, true
 * and false of such as are true or false; JSON would make text of them.
 */
static void
check_kind(Form_pg_attribute att, const char *name, JsonbValue *value)
{
	Oid			type = getBaseType(att->atttypid);
	const char *what = value->type == jbvBinary ? "a list or an object" : "true or false";

	if ((value->type != jbvBinary && value->type != jbvBool) ||
		type == JSONBOID || type == JSONOID)
		return;
	if (value->type == jbvBool ? type == BOOLOID :
		OidIsValid(get_element_type(type)) || get_typtype(type) == TYPTYPE_COMPOSITE)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" takes a value of type %s, not %s", name,
					format_type_be(att->atttypid), what)));
}

/*
 * base with the columns that given, a JSON object, names.  Every key must be a
 * column; whether it may be given is for the caller to have checked.  of: what
 * the object is called in errors.
 */
HeapTuple
crm_given_values(TupleDesc desc, HeapTuple base, Datum given, const char *of)
{
	Jsonb	   *object = DatumGetJsonbP(given);
	FmgrInfo	populate;
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	HeapTuple	tuple = base;
	ErrorContextCallback context;
	Const	   *row = makeNullConst(desc->tdtypeid, -1, InvalidOid);

	if (!JB_ROOT_IS_OBJECT(object))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a JSON object of columns and values", of)));
	/* polymorphic: it asks its call for the type */
	fmgr_info(F_JSONB_POPULATE_RECORD, &populate);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_JSONB_POPULATE_RECORD, desc->tdtypeid,
											 list_make2(row, makeNullConst(JSONBOID, -1,
																		   InvalidOid)),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &populate);

	context.callback = name_column;
	context.previous = error_context_stack;
	error_context_stack = &context;
	it = JsonbIteratorInit(&object->root);
	(void) JsonbIteratorNext(&it, &key, true);
	while ((token = JsonbIteratorNext(&it, &key, true)) == WJB_KEY)
	{
		char	   *name = pnstrdup(key.val.string.val, key.val.string.len);
		JsonbParseState *out = NULL;
		JsonbValue	value;
		Jsonb	   *one;
		Datum		filled;
		HeapTupleHeader header;

		context.arg = name;
		(void) JsonbIteratorNext(&it, &value, true);
		check_kind(TupleDescAttr(desc, crm_column_number(desc, name) - 1), name, &value);
		/* one at a time, so that an error is of a column */
		pushJsonbValue(&out, WJB_BEGIN_OBJECT, NULL);
		pushJsonbValue(&out, WJB_KEY, &key);
		pushJsonbValue(&out, WJB_VALUE, &value);
		one = JsonbValueToJsonb(pushJsonbValue(&out, WJB_END_OBJECT, NULL));
		filled = FunctionCall2(&populate, heap_copy_tuple_as_datum(tuple, desc),
							   JsonbPGetDatum(one));
		header = DatumGetHeapTupleHeader(filled);
		tuple = palloc0(sizeof(HeapTupleData));
		tuple->t_len = HeapTupleHeaderGetDatumLength(header);
		ItemPointerSetInvalid(&tuple->t_self);
		tuple->t_data = header;
	}
	error_context_stack = context.previous;
	return tuple;
}

/*
 * Refuse an object with keys that are not among the columns allowed, one flag a
 * column.  message: the error, with %s for the keys that are wrong.
 */
void
crm_check_keys(TupleDesc desc, const bool *allowed, Datum given, const char *message)
{
	Jsonb	   *object = DatumGetJsonbP(given);
	StringInfoData wrong;
	StringInfoData known;
	JsonbIterator *it;
	JsonbValue	v;

	if (!JB_ROOT_IS_OBJECT(object))
		return;					/* crm_given_values() says so */
	initStringInfo(&wrong);
	it = JsonbIteratorInit(&object->root);
	(void) JsonbIteratorNext(&it, &v, true);
	while (JsonbIteratorNext(&it, &v, true) == WJB_KEY)
	{
		char	   *name = pnstrdup(v.val.string.val, v.val.string.len);
		AttrNumber	att = crm_column_number(desc, name);

		if (att == 0 || !allowed[att - 1])
			appendStringInfo(&wrong, "%s%s", wrong.len > 0 ? ", " : "",
							 name[0] != '\0' ? name : "\"\"");
		(void) JsonbIteratorNext(&it, &v, true);
	}
	if (wrong.len == 0)
		return;
	initStringInfo(&known);
	for (int i = 0; i < desc->natts; i++)
		if (allowed[i])
			appendStringInfo(&known, "%s%s", known.len > 0 ? ", " : "",
							 NameStr(TupleDescAttr(desc, i)->attname));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg_internal(message, wrong.data),
			 errhint("Known are %s.", known.data)));
}

/* Which columns of a table callers may give, one flag a column */
static bool *
may_be_given(Relation rel, const char *purpose)
{
	const CrmColumns *columns = crm_columns(rel, purpose);
	bool	   *allowed = palloc(sizeof(bool) * Max(columns->natts, 1));

	for (int i = 0; i < columns->natts; i++)
		allowed[i] = columns->columns[i].settable && !columns->columns[i].key &&
			columns->columns[i].rule != CRM_COLUMN_KEEP;
	return allowed;
}

PG_FUNCTION_INFO_V1(crm_given_row);

/* crm.given_row(base, given, purpose) */
Datum
crm_given_row(PG_FUNCTION_ARGS)
{
	Relation	rel;
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
	Datum		result;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("purpose must not be NULL")));
	rel = crm_row_table(fcinfo, 0, "crm.given_row()");
	desc = lookup_rowtype_tupdesc(rel->rd_rel->reltype, -1);
	crm_deform_row(PG_ARGISNULL(0) ? NULL : PG_GETARG_HEAPTUPLEHEADER(0), desc,
				   &values, &nulls);
	if (PG_ARGISNULL(1))
		result = HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
	else
	{
		Datum		given = PG_GETARG_DATUM(1);
		HeapTuple	tuple;

		crm_check_keys(desc, may_be_given(rel, text_to_cstring(PG_GETARG_TEXT_PP(2))), given,
					   psprintf("these are no columns of %s that can be given: %%s",
								crm_subject_name(rel)));
		tuple = crm_given_values(desc, heap_form_tuple(desc, values, nulls), given,
								 "what is given");
		result = heap_copy_tuple_as_datum(tuple, desc);
	}
	ReleaseTupleDesc(desc);
	relation_close(rel, AccessShareLock);
	PG_RETURN_DATUM(result);
}

PG_FUNCTION_INFO_V1(crm_given_columns);

/* crm.given_columns(like_row, purpose): names of the columns that may be given */
Datum
crm_given_columns(PG_FUNCTION_ARGS)
{
	Relation	rel;
	TupleDesc	desc;
	bool	   *allowed;
	Datum	   *names;
	int			n = 0;
	ArrayType  *result;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("purpose must not be NULL")));
	rel = crm_row_table(fcinfo, 0, "crm.given_columns()");
	desc = RelationGetDescr(rel);
	allowed = may_be_given(rel, text_to_cstring(PG_GETARG_TEXT_PP(1)));
	names = palloc(sizeof(Datum) * Max(desc->natts, 1));
	for (int i = 0; i < desc->natts; i++)
		if (allowed[i])
			names[n++] = CStringGetTextDatum(NameStr(TupleDescAttr(desc, i)->attname));
	result = construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT);
	relation_close(rel, AccessShareLock);
	PG_RETURN_ARRAYTYPE_P(result);
}
