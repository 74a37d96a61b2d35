/*
 * carry.c
 *	  crm.carry_row(): a row with what it lacks taken from another row.
 *
 * Columns meet by their names.  What becomes of each is said by columns.c; here
 * it is done.  Nothing is read or written: the caller locks both rows before and
 * stores the answer after.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"
#include "utils/typcache.h"

/* The two rows and what has been decided so far */
typedef struct Carry
{
	TupleDesc	target;
	Datum	   *values;
	bool	   *nulls;
	bool	   *taken;			/* this column has come from the source */
	bool	   *lacked;			/* it was null in the target */
	TupleDesc	source;
	Datum	   *source_values;
	bool	   *source_nulls;
} Carry;

/*
 * A value of the source as one of the column it goes to; false where no
 * assignment would make it one.
 */
static bool
converted(Carry *c, int to, int from, Datum *value)
{
	Oid			wanted = TupleDescAttr(c->target, to)->atttypid;
	Oid			given = TupleDescAttr(c->source, from)->atttypid;
	Oid			function;

	*value = c->source_values[from];
	if (wanted == given)
		return true;
	switch (find_coercion_pathway(wanted, given, COERCION_ASSIGNMENT, &function))
	{
		case COERCION_PATH_RELABELTYPE:
			return true;
		case COERCION_PATH_FUNC:
			if (get_func_nargs(function) != 1)
				return false;
			*value = OidFunctionCall1Coll(function, TupleDescAttr(c->target, to)->attcollation,
										  *value);
			return true;
		default:
			return false;
	}
}

static void
take_value(Carry *c, int i, Datum value)
{
	c->values[i] = value;
	c->nulls[i] = false;
	c->taken[i] = true;
}

/* ---- lists and documents ---- */

typedef struct Element
{
	Datum		value;
	int			place;
} Element;

static int
by_value(const void *a, const void *b, void *sort)
{
	const Element *x = a;
	const Element *y = b;
	int			order = ApplySortComparator(x->value, false, y->value, false, sort);

	return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

/* The elements of both lists, each once, in the order they stand in */
static Datum
joined_lists(Datum one, Datum two, Oid element, Oid collation)
{
	ArrayType  *lists[2] = {DatumGetArrayTypeP(one), DatumGetArrayTypeP(two)};
	TypeCacheEntry *type = lookup_type_cache(element, TYPECACHE_LT_OPR);
	SortSupportData sort = {0};
	Datum	   *values[2];
	bool	   *nulls[2];
	int			counts[2];
	Element    *all;
	Datum	   *kept;
	bool	   *repeated;
	int			n = 0;
	int			out = 0;

	if (ARR_NDIM(lists[0]) > 1 || ARR_NDIM(lists[1]) > 1 || !OidIsValid(type->lt_opr))
		return one;
	for (int i = 0; i < 2; i++)
		deconstruct_array(lists[i], element, type->typlen, type->typbyval, type->typalign,
						  &values[i], &nulls[i], &counts[i]);
	all = palloc(sizeof(Element) * Max(counts[0] + counts[1], 1));
	kept = palloc(sizeof(Datum) * Max(counts[0] + counts[1], 1));
	repeated = palloc0(sizeof(bool) * Max(counts[0] + counts[1], 1));
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < counts[i]; j++)
			if (!nulls[i][j])
			{
				kept[n] = all[n].value = values[i][j];
				all[n].place = n;
				n++;
			}

	sort.ssup_cxt = CurrentMemoryContext;
	sort.ssup_collation = collation;
	PrepareSortSupportFromOrderingOp(type->lt_opr, &sort);
	qsort_arg(all, n, sizeof(Element), by_value, &sort);
	for (int i = 1; i < n; i++)
		repeated[all[i].place] =
			ApplySortComparator(all[i - 1].value, false, all[i].value, false, &sort) == 0;
	for (int i = 0; i < n; i++)
		if (!repeated[i])
			kept[out++] = kept[i];
	return PointerGetDatum(construct_array(kept, out, element, type->typlen, type->typbyval,
										   type->typalign));
}

static void
join_values(Carry *c, int i, Datum value)
{
	Form_pg_attribute att = TupleDescAttr(c->target, i);
	Oid			element = get_element_type(att->atttypid);

	if (c->nulls[i])
		take_value(c, i, value);
	else if (OidIsValid(element))
	{
		Oid			collation = OidIsValid(att->attcollation) ? att->attcollation : InvalidOid;

		c->values[i] = joined_lists(c->values[i], value, element, collation);
	}
	else if (att->atttypid == JSONBOID &&
			 JB_ROOT_IS_OBJECT(DatumGetJsonbP(c->values[i])) &&
			 JB_ROOT_IS_OBJECT(DatumGetJsonbP(value)))
		c->values[i] = DirectFunctionCall2(jsonb_concat, value, c->values[i]);
}

/* ---- numbers and instants ---- */

static void
pick_value(Carry *c, int i, Datum value, bool least)
{
	Form_pg_attribute att = TupleDescAttr(c->target, i);
	TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_CMP_PROC_FINFO);
	int32		order;

	if (c->nulls[i])
	{
		take_value(c, i, value);
		return;
	}
	if (!OidIsValid(type->cmp_proc))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("values of column \"%s\" cannot be compared", NameStr(att->attname)),
				 errhint("Correct its rule in crm.column_rules.")));
	order = DatumGetInt32(FunctionCall2Coll(&type->cmp_proc_finfo, att->attcollation,
											value, c->values[i]));
	if (least ? order < 0 : order > 0)
		take_value(c, i, value);
}

static void
add_number(Carry *c, int i, Datum value)
{
	Form_pg_attribute att = TupleDescAttr(c->target, i);
	Oid			plus;

	if (c->nulls[i])
	{
		take_value(c, i, value);
		return;
	}
	/* by its schema: the caller's path must not choose the operator */
	plus = OpernameGetOprid(list_make2(makeString("pg_catalog"), makeString("+")),
							att->atttypid, att->atttypid);
	if (!OidIsValid(plus))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("values of column \"%s\" cannot be added", NameStr(att->attname)),
				 errhint("Correct its rule in crm.column_rules.")));
	c->values[i] = OidFunctionCall2(get_opcode(plus), c->values[i], value);
}

/* ---- all of them ---- */

static void
carry_column(Carry *c, int i, const CrmColumn *column)
{
	const char *name = column->rule == CRM_COLUMN_FROM ? NameStr(column->other) :
		NameStr(TupleDescAttr(c->target, i)->attname);
	int			from = crm_column_number(c->source, name) - 1;
	Datum		value;

	if (from < 0 || c->source_nulls[from] || !converted(c, i, from, &value))
		return;
	switch (column->rule)
	{
		case CRM_COLUMN_KEEP:
		case CRM_COLUMN_WITH:
			break;
		case CRM_COLUMN_FILL:
		case CRM_COLUMN_FROM:
			if (c->nulls[i])
				take_value(c, i, value);
			break;
		case CRM_COLUMN_TAKE:
			take_value(c, i, value);
			break;
		case CRM_COLUMN_JOIN:
			join_values(c, i, value);
			break;
		case CRM_COLUMN_LEAST:
		case CRM_COLUMN_GREATEST:
			pick_value(c, i, value, column->rule == CRM_COLUMN_LEAST);
			break;
		case CRM_COLUMN_SUM:
			add_number(c, i, value);
			break;
	}
}

/* A column that belongs to another one goes where that one went, empty or not */
static void
carry_companion(Carry *c, int i, const CrmColumn *column)
{
	int			other = crm_column_number(c->target, NameStr(column->other)) - 1;
	const char *name = NameStr(TupleDescAttr(c->target, i)->attname);
	int			from = crm_column_number(c->source, name) - 1;
	Datum		value;

	if (other < 0 || from < 0 || !(c->taken[other] || (c->lacked[other] && c->nulls[i])))
		return;
	if (!c->source_nulls[from] && converted(c, i, from, &value))
		take_value(c, i, value);
	else if (c->taken[other])
		c->nulls[i] = true;
}

static void
carry_columns(Carry *c, const CrmColumns *columns, bool same_table)
{
	for (int i = 0; i < c->target->natts; i++)
	{
		if (columns->columns[i].rule == CRM_COLUMN_KEEP ||
			(same_table && columns->columns[i].unique))
			continue;
		carry_column(c, i, &columns->columns[i]);
	}
	for (int i = 0; i < c->target->natts; i++)
		if (columns->columns[i].rule == CRM_COLUMN_WITH)
			carry_companion(c, i, &columns->columns[i]);
}

/* A row as an array of values; all null where there is none */
void
crm_deform_row(HeapTupleHeader row, TupleDesc desc, Datum **values, bool **nulls)
{
	HeapTupleData tuple = {0};

	*values = palloc0(sizeof(Datum) * Max(desc->natts, 1));
	*nulls = palloc(sizeof(bool) * Max(desc->natts, 1));
	if (row == NULL)
	{
		memset(*nulls, true, sizeof(bool) * Max(desc->natts, 1));
		return;
	}
	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_data = row;
	heap_deform_tuple(&tuple, desc, *values, *nulls);
}

/* The table whose row type an argument has, open */
Relation
crm_row_table(FunctionCallInfo fcinfo, int argument, const char *function)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, argument);
	Oid			relid = OidIsValid(type) ? get_typ_typrelid(getBaseType(type)) : InvalidOid;

	if (!OidIsValid(relid) || get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s needs a row of a table, not a value of type %s", function,
						OidIsValid(type) ? format_type_be(type) : "unknown"),
				 errhint("For example NULL::crm.leads.")));
	return relation_open(relid, AccessShareLock);
}

PG_FUNCTION_INFO_V1(crm_carry_row);

/* crm.carry_row(target, source, purpose) */
Datum
crm_carry_row(PG_FUNCTION_ARGS)
{
	Relation	rel;
	HeapTupleHeader source;
	Carry		c = {0};
	const CrmColumns *columns;
	Datum		result;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("purpose must not be NULL")));
	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	rel = crm_row_table(fcinfo, 0, "crm.carry_row()");
	columns = crm_columns(rel, text_to_cstring(PG_GETARG_TEXT_PP(2)));
	source = PG_GETARG_HEAPTUPLEHEADER(1);
	c.target = lookup_rowtype_tupdesc(rel->rd_rel->reltype, -1);
	c.source = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(source),
									  HeapTupleHeaderGetTypMod(source));
	crm_deform_row(PG_ARGISNULL(0) ? NULL : PG_GETARG_HEAPTUPLEHEADER(0), c.target,
				   &c.values, &c.nulls);
	crm_deform_row(source, c.source, &c.source_values, &c.source_nulls);
	c.taken = palloc0(sizeof(bool) * Max(c.target->natts, 1));
	c.lacked = palloc(sizeof(bool) * Max(c.target->natts, 1));
	memcpy(c.lacked, c.nulls, sizeof(bool) * c.target->natts);

	carry_columns(&c, columns, c.target->tdtypeid == c.source->tdtypeid);

	result = HeapTupleGetDatum(heap_form_tuple(c.target, c.values, c.nulls));
	ReleaseTupleDesc(c.target);
	ReleaseTupleDesc(c.source);
	relation_close(rel, AccessShareLock);
	PG_RETURN_DATUM(result);
}
