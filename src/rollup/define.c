/*
 * define.c
 *	  Reading what a rollup is declared with.
 *
 * Keys, measures and filters arrive as SQL text.  PostgreSQL's own parser
 * analyses them against the source and prints them back, so that what is
 * stored is checked, qualified and in one form; everything a delta cannot
 * express is refused here, with the reason.
 */
#include "rollup/rollup.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "access/htup_details.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

static Relation
open_source(Oid relid)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL || (rel->rd_rel->relkind != RELKIND_RELATION &&
						rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table",
						rel != NULL ? RelationGetRelationName(rel) : psprintf("%u", relid)),
				 errhint("The source of a rollup is an ordinary or partitioned table.")));
	return rel;
}

/* ---- text to tree ---- */

/* One item as in a SELECT list: an expression, perhaps with a name. */
static ResTarget *
parse_item(const char *what, const char *text)
{
	List	   *parsed = raw_parser(psprintf("SELECT %s", text), RAW_PARSE_DEFAULT);
	SelectStmt *select = NULL;
	SelectStmt	plain;

	if (list_length(parsed) == 1 &&
		IsA(linitial_node(RawStmt, parsed)->stmt, SelectStmt))
		select = (SelectStmt *) linitial_node(RawStmt, parsed)->stmt;
	if (select != NULL && list_length(select->targetList) == 1)
	{
		/* nothing may follow the item */
		memset(&plain, 0, sizeof(plain));
		plain.type = T_SelectStmt;
		plain.targetList = select->targetList;
		plain.limitOption = select->limitOption;
		if (equal(select, &plain))
			return linitial_node(ResTarget, select->targetList);
	}
	ereport(ERROR,
			(errcode(ERRCODE_SYNTAX_ERROR),
			 errmsg("%s \"%s\" of a rollup is not one expression", what, text),
			 errhint("Write it as an item of a SELECT list: an expression, and AS with a name if you like.")));
	return NULL;				/* not reached */
}

static ParseState *
source_parse_state(Relation rel)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *nsitem;

	nsitem = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, false, true);
	addNSItemToQuery(pstate, nsitem, true, true, true);
	return pstate;
}

/* An expression over one row of the source that a delta can be made from. */
static Node *
analyse(Relation rel, Node *raw, const char *what)
{
	ParseState *pstate = source_parse_state(rel);
	Node	   *expr;
	List	   *vars;
	ListCell   *cell;

	if (IsA(raw, ColumnRef) && IsA(llast(((ColumnRef *) raw)->fields), A_Star))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a %s of a rollup may not use the whole row or system columns", what),
				 errhint("Name the columns it needs.")));
	expr = transformExpr(pstate, raw, strcmp(what, "filter") == 0 ?
						 EXPR_KIND_WHERE : EXPR_KIND_GROUP_BY);

	if (pstate->p_hasSubLinks || pstate->p_hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a %s of a rollup may use one row of the source only: no subqueries, no functions that return sets", what),
				 errhint("Join other tables when you read the rollup.")));
	if (exprType(expr) == UNKNOWNOID)
		expr = coerce_type(pstate, expr, UNKNOWNOID, TEXTOID, -1,
						   COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	assign_expr_collations(pstate, expr);

	vars = pull_var_clause(expr, 0);
	foreach(cell, vars)
		if (lfirst_node(Var, cell)->varattno <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a %s of a rollup may not use the whole row or system columns", what),
					 errhint("Name the columns it needs.")));
	if (contain_mutable_functions((Node *) expression_planner((Expr *) copyObject(expr))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("the functions in a %s of a rollup must be immutable", what),
				 errdetail("Expression: %s", deparse_expression(expr, deparse_context_for(RelationGetRelationName(rel), RelationGetRelid(rel)), false, false)),
				 errhint("A date of a timestamptz needs a stated zone: (happened_at AT TIME ZONE 'Europe/Berlin')::date.")));
	return expr;
}

static char *
deparse(Relation rel, Node *expr)
{
	return deparse_expression(expr,
							  deparse_context_for(RelationGetRelationName(rel),
												  RelationGetRelid(rel)),
							  false, false);
}

/* How a column is declared that holds values of this expression. */
static char *
column_type(Node *expr)
{
	Oid			type = exprType(expr);
	Oid			collation = exprCollation(expr);
	char	   *text = format_type_extended(type, exprTypmod(expr),
											FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);

	if (OidIsValid(collation) && collation != get_typcollation(type))
		text = psprintf("%s COLLATE %s", text, generate_collation_name(collation));
	return text;
}

static char *
item_name(ResTarget *item, const char *fallback)
{
	if (item->name != NULL)
		return item->name;
	if (IsA(item->val, ColumnRef))
	{
		Node	   *last = llast(((ColumnRef *) item->val)->fields);

		if (IsA(last, String))
			return strVal(last);
	}
	return pstrdup(fallback);
}

static void
put(ReturnSetInfo *rsinfo, const char *role, const char *name, const char *aggregate,
	const char *expression, const char *condition, const char *type)
{
	const char *texts[6] = {role, name, aggregate, expression, condition, type};
	Datum		values[6];
	bool		nulls[6];

	for (int i = 0; i < 6; i++)
	{
		nulls[i] = texts[i] == NULL;
		if (!nulls[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
parse_key(ReturnSetInfo *rsinfo, Relation rel, const char *text)
{
	ResTarget  *item = parse_item("key", text);
	Node	   *expr = analyse(rel, item->val, "key");
	Oid			type = exprType(expr);
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_LT_OPR | TYPECACHE_EQ_OPR);
	const char *fallback = "key";

	if (get_typtype(type) == TYPTYPE_PSEUDO || get_typlen(type) == -2)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key \"%s\" of a rollup has type %s, which no column can have",
						text, format_type_be(type))));
	if (!OidIsValid(cache->lt_opr) || !OidIsValid(cache->eq_opr))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("key \"%s\" of a rollup has type %s, which cannot be grouped by",
						text, format_type_be(type)),
				 errhint("Cast it, for instance to text.")));
	if (IsA(item->val, FuncCall))
		fallback = strVal(llast(((FuncCall *) item->val)->funcname));
	put(rsinfo, "key", item_name(item, fallback), NULL, deparse(rel, expr), NULL,
		column_type(expr));
}

static Node *
analyse_condition(Relation rel, Node *raw)
{
	Node	   *expr = analyse(rel, raw, "filter");

	if (getBaseType(exprType(expr)) != BOOLOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the filter of a rollup must be boolean, not %s",
						format_type_be(exprType(expr)))));
	return expr;
}

static void
parse_measure(ReturnSetInfo *rsinfo, Relation rel, const char *text)
{
	ResTarget  *item = parse_item("measure", text);
	FuncCall   *call = (FuncCall *) item->val;
	const char *aggregate = NULL;
	char	   *condition = NULL;
	char	   *expression = NULL;
	char	   *type = NULL;
	char	   *fallback;
	Node	   *expr;

	if (IsA(item->val, FuncCall) &&
		(list_length(call->funcname) == 1 ||
		 strcmp(strVal(linitial(call->funcname)), "pg_catalog") == 0))
		aggregate = strVal(llast(call->funcname));
	if (aggregate != NULL && (strcmp(aggregate, "min") == 0 || strcmp(aggregate, "max") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("measure \"%s\": a rollup cannot keep a minimum or maximum", text),
				 errdetail("A delta cannot undo a maximum when its row is deleted or changed."),
				 errhint("Probe an index of the source when you read, or make the value a key and read the last group.")));
	if (aggregate == NULL ||
		(strcmp(aggregate, "count") != 0 && strcmp(aggregate, "sum") != 0 &&
		 strcmp(aggregate, "sumsq") != 0 && strcmp(aggregate, "avg") != 0) ||
		call->agg_order != NIL || call->agg_within_group || call->agg_distinct ||
		call->over != NULL || call->func_variadic ||
		(call->agg_star ? strcmp(aggregate, "count") != 0 : list_length(call->args) != 1))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("measure \"%s\" is none that a rollup can keep", text),
				 errhint("Measures are count(*), count(x), sum(x), sumsq(x) and avg(x), each with FILTER (WHERE ...) and AS name if you like.")));

	if (call->agg_filter != NULL)
		condition = deparse(rel, analyse_condition(rel, call->agg_filter));
	fallback = pstrdup(aggregate);
	if (!call->agg_star)
	{
		expr = analyse(rel, linitial(call->args), "measure");
		expression = deparse(rel, expr);
		if (IsA(linitial(call->args), ColumnRef))
			fallback = psprintf("%s_%s", aggregate,
								strVal(llast(((ColumnRef *) linitial(call->args))->fields)));
		if (strcmp(aggregate, "count") != 0)
		{
			Oid			number = getBaseType(exprType(expr));

			switch (number)
			{
				case INT2OID:
				case INT4OID:
					type = "bigint";
					break;
				case INT8OID:
				case NUMERICOID:
					type = "numeric";
					break;
				case FLOAT4OID:
				case FLOAT8OID:
					ereport(ERROR,
							(errcode(ERRCODE_DATATYPE_MISMATCH),
							 errmsg("measure \"%s\": a rollup cannot add up %s", text,
									format_type_be(number)),
							 errdetail("Sums of floating-point numbers are not exact: taking a number out again leaves a rest."),
							 errhint("Cast to numeric: %s((%s)::numeric).", aggregate, expression)));
					break;
				default:
					ereport(ERROR,
							(errcode(ERRCODE_DATATYPE_MISMATCH),
							 errmsg("measure \"%s\": a rollup cannot add up %s", text,
									format_type_be(exprType(expr))),
							 errhint("Sums are of integer or numeric values; turn an interval into seconds with extract(epoch FROM ...).")));
			}
			if (strcmp(aggregate, "sumsq") == 0)
				type = "numeric";
		}
	}
	put(rsinfo, "measure", item->name ? item->name : fallback, aggregate, expression,
		condition, type);
}

static void
text_array(ArrayType *array, List **texts)
{
	Datum	   *elems;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elems, &nulls, &n);
	*texts = NIL;
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("keys and measures of a rollup must not be null")));
		*texts = lappend(*texts, TextDatumGetCString(elems[i]));
	}
}

PG_FUNCTION_INFO_V1(crm_rollup_parse);

/* crm.rollup_parse(source, keys, measures, filter) */
Datum
crm_rollup_parse(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	rel;
	List	   *texts;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	rel = open_source(PG_GETARG_OID(0));
	if (!PG_ARGISNULL(1))
	{
		text_array(PG_GETARG_ARRAYTYPE_P(1), &texts);
		foreach(cell, texts)
			parse_key(rsinfo, rel, lfirst(cell));
	}
	if (!PG_ARGISNULL(2))
	{
		text_array(PG_GETARG_ARRAYTYPE_P(2), &texts);
		foreach(cell, texts)
			parse_measure(rsinfo, rel, lfirst(cell));
	}
	if (!PG_ARGISNULL(3))
	{
		ResTarget  *item = parse_item("filter", text_to_cstring(PG_GETARG_TEXT_PP(3)));

		put(rsinfo, "filter", NULL, NULL,
			deparse(rel, analyse_condition(rel, item->val)), NULL, NULL);
	}
	table_close(rel, NoLock);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(crm_rollup_expression);

/* crm.rollup_expression(source, expression): the text in its one form. */
Datum
crm_rollup_expression(PG_FUNCTION_ARGS)
{
	Relation	rel = open_source(PG_GETARG_OID(0));
	ResTarget  *item = parse_item("expression", text_to_cstring(PG_GETARG_TEXT_PP(1)));
	char	   *text = deparse(rel, analyse(rel, item->val, "expression"));

	table_close(rel, NoLock);
	PG_RETURN_TEXT_P(cstring_to_text(text));
}

PG_FUNCTION_INFO_V1(crm_rollup_columns);

/* crm.rollup_columns(view): what each delta column is made from, today. */
Datum
crm_rollup_columns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			root;
	Index		varno;
	List	   *targets = crm_rollup_view_targets(PG_GETARG_OID(0), &root, &varno);
	Relation	rel;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	ChangeVarNodes((Node *) targets, varno, 1, 0);
	rel = table_open(root, AccessShareLock);
	foreach(cell, targets)
	{
		TargetEntry *te = lfirst_node(TargetEntry, cell);
		Datum		values[2];
		bool		nulls[2] = {false, false};

		values[0] = CStringGetTextDatum(te->resname);
		values[1] = CStringGetTextDatum(deparse(rel, (Node *) te->expr));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	table_close(rel, NoLock);
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(crm_rollup_condition);

/*
 * crm.rollup_condition(view): a WHEN clause for a trigger.  True where a
 * column that the view reads has other bytes in the new row: equality of the
 * type is not enough, 1.0 and 1.00 have different text.  Our own triggers do
 * without it, because the clause is parsed and prepared again by every UPDATE.
 */
Datum
crm_rollup_condition(PG_FUNCTION_ARGS)
{
	Oid			root;
	Index		varno;
	List	   *targets = crm_rollup_view_targets(PG_GETARG_OID(0), &root, &varno);
	Bitmapset  *attnos = NULL;
	int			x = -1;
	int			n = 0;
	StringInfoData text;

	initStringInfo(&text);
	pull_varattnos((Node *) targets, varno, &attnos);
	while ((x = bms_next_member(attnos, x)) >= 0)
	{
		AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(root),
											Int16GetDatum(attno));
		Form_pg_attribute att = (Form_pg_attribute) GETSTRUCT(tuple);
		const char *name = quote_identifier(NameStr(att->attname));

		/* a call takes a hundred arguments */
		appendStringInfo(&text, "%sOLD.%s, NEW.%s",
						 text.len == 0 ? "crm.bytes_differ(" :
						 n % 50 == 0 ? ") OR crm.bytes_differ(" : ", ", name, name);
		n++;
		ReleaseSysCache(tuple);
	}
	if (text.len == 0)
		PG_RETURN_TEXT_P(cstring_to_text("false"));
	appendStringInfoChar(&text, ')');
	PG_RETURN_TEXT_P(cstring_to_text(text.data));
}

PG_FUNCTION_INFO_V1(crm_bytes_differ);

/* crm.bytes_differ(a1, b1, a2, b2, ...): a pair that is not the same. */
Datum
crm_bytes_differ(PG_FUNCTION_ARGS)
{
	typedef struct
	{
		int16		len;
		bool		byval;
	} ArgType;
	ArgType    *types = (ArgType *) fcinfo->flinfo->fn_extra;

	if (PG_NARGS() % 2 != 0 || get_fn_expr_variadic(fcinfo->flinfo))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("function \"%s\" takes pairs of values", "crm.bytes_differ")));
	if (types == NULL)
	{
		types = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt,
								   sizeof(ArgType) * PG_NARGS() / 2);
		for (int i = 0; i < PG_NARGS(); i += 2)
		{
			Oid			type = get_fn_expr_argtype(fcinfo->flinfo, i);

			if (!OidIsValid(type) || type != get_fn_expr_argtype(fcinfo->flinfo, i + 1))
				ereport(ERROR,
						(errcode(ERRCODE_DATATYPE_MISMATCH),
						 errmsg("function \"%s\" takes pairs of values of one type",
								"crm.bytes_differ")));
			get_typlenbyval(type, &types[i / 2].len, &types[i / 2].byval);
		}
		fcinfo->flinfo->fn_extra = types;
	}
	for (int i = 0; i < PG_NARGS(); i += 2)
	{
		if (PG_ARGISNULL(i) && PG_ARGISNULL(i + 1))
			continue;
		if (PG_ARGISNULL(i) != PG_ARGISNULL(i + 1) ||
			!datum_image_eq(PG_GETARG_DATUM(i), PG_GETARG_DATUM(i + 1),
							types[i / 2].byval, types[i / 2].len))
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}

PG_FUNCTION_INFO_V1(crm_rollup_lock);

/*
 * crm.rollup_lock(source): keep writers out until the end of the transaction,
 * as CREATE TRIGGER does and with the same right.  What is read after it must
 * be read with a new snapshot, hence READ COMMITTED.
 */
Datum
crm_rollup_lock(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);

	if (pg_class_aclcheck(relid, GetUserId(), ACL_TRIGGER) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("a rollup cannot be filled in a REPEATABLE READ or SERIALIZABLE transaction"),
				 errdetail("Rows that were committed since its snapshot would be missed."),
				 errhint("Use READ COMMITTED.")));
	LockRelationOid(relid, ShareRowExclusiveLock);
	(void) find_all_inheritors(relid, ShareRowExclusiveLock, NULL);
	PG_RETURN_VOID();
}
