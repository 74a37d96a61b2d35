/*
 * rows_support.c
 *	  What the planner is told of crm.can_see_row(): how many rows pass, and
 *	  which condition of an index says the same.
 *
 * Where a user sees a small part of the parents, "crm.can_see_row(table,
 * column)" is "column = ANY (crm.visible_ids(table))", and the children are
 * found by the index of their column.  crm.visible_ids() is VOLATILE, so that
 * the planner does not fetch the list to estimate with it: it would compare
 * each id with the statistics of the column.  It is called once for a scan.
 *
 * How many rows somebody sees is what the planner itself expects of the parent's
 * row security, by its statistics, or their number where they have been listed
 * lately; it is remembered for some seconds.  Counting them would cost more than
 * most queries: the lines of one deal would wait for all deals to be counted.
 */
#include "base/crm.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "parser/parse_func.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "access/identity.h"
#include "access/rows.h"

#define COUNTS 16				/* tables of which the number seen is remembered */
#define COUNT_SECONDS 10
#define FEW_VISIBLE 100000		/* more ids are no condition of an index */

typedef struct SeenCount
{
	Oid			relid;
	uint64		identity;
	TimestampTz at;
	int64		n;
} SeenCount;

static SeenCount counts[COUNTS];

/* Remember how many rows somebody sees; the oldest count makes place. */
void
crm_remember_count(const RowQuestion *question, int64 n)
{
	SeenCount  *place = &counts[0];

	if (question->change)
		return;
	for (int i = 0; i < COUNTS; i++)
	{
		if (counts[i].relid == question->relid)
		{
			place = &counts[i];
			break;
		}
		if (counts[i].at < place->at)
			place = &counts[i];
	}
	place->relid = question->relid;
	place->identity = question->identity;
	place->at = GetCurrentStatementStartTimestamp();
	place->n = n;
}

/* About how many rows of a table the user sees. */
static int64
seen_count(Oid relid)
{
	uint64		identity = crm_identity_serial();
	RowQuestion question;
	double		expected;

	for (int i = 0; i < COUNTS; i++)
		if (counts[i].relid == relid && counts[i].identity == identity &&
			!TimestampDifferenceExceeds(counts[i].at, GetCurrentStatementStartTimestamp(),
										COUNT_SECONDS * 1000))
			return counts[i].n;
	if (!ActiveSnapshotSet())
		return -1;
	question = crm_row_question(relid, false);
	expected = crm_expected_rows(&question);
	if (expected < 0)
		return -1;
	crm_remember_count(&question, (int64) Min(expected, 1e18));
	return (int64) Min(expected, 1e18);
}

/* The table that a call names, and the share of its rows that are seen; -1: not known. */
static double
seen_share(List *args, Oid *relid, int64 *seen)
{
	Node	   *first = (Node *) linitial(args);
	Relation	rel;
	double		rows;

	if (!IsA(first, Const) || ((Const *) first)->constisnull)
		return -1;
	*relid = DatumGetObjectId(((Const *) first)->constvalue);
	rel = try_table_open(*relid, AccessShareLock);
	if (rel == NULL)
		return -1;
	rows = rel->rd_rel->reltuples;
	table_close(rel, NoLock);
	if (rows <= 0)
		return -1;
	*seen = seen_count(*relid);
	return *seen < 0 ? -1 : Min(1.0, *seen / rows);
}

/* "column = ANY (crm.visible_ids(relation))" in place of crm.can_see_row(relation, column) */
static List *
index_condition(SupportRequestIndexCondition *req)
{
	FuncExpr   *call = (FuncExpr *) req->node;
	ScalarArrayOpExpr *condition;
	Oid			types[] = {REGCLASSOID};
	Oid			relid;
	Oid			equals;
	Oid			lister;
	int64		seen;
	double		share;

	if (!IsA(call, FuncExpr) || req->indexarg != 1 || req->index->relam != BTREE_AM_OID)
		return NIL;
	equals = get_opfamily_member(req->opfamily, INT8OID, INT8OID, BTEqualStrategyNumber);
	lister = LookupFuncName(list_make2(makeString("crm"), makeString("visible_ids")), 1, types,
							true);
	if (!OidIsValid(equals) || !OidIsValid(lister))
		return NIL;
	share = seen_share(call->args, &relid, &seen);
	if (share < 0 || share > 0.2 || seen > FEW_VISIBLE)
		return NIL;
	condition = makeNode(ScalarArrayOpExpr);
	condition->opno = equals;
	condition->opfuncid = get_opcode(equals);
	condition->useOr = true;
	condition->args = list_make2(copyObject(lsecond(call->args)),
								 makeFuncExpr(lister, INT8ARRAYOID,
											  list_make1(copyObject(linitial(call->args))),
											  InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL));
	condition->location = -1;
	req->lossy = false;
	return list_make1(condition);
}

PG_FUNCTION_INFO_V1(crm_rows_support);

/* crm.rows_support(internal) -> internal: planner support of crm.can_see_row() */
Datum
crm_rows_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	Node	   *result = NULL;

	if (IsA(request, SupportRequestIndexCondition))
		result = (Node *) index_condition((SupportRequestIndexCondition *) request);
	else if (IsA(request, SupportRequestSelectivity))
	{
		SupportRequestSelectivity *req = (SupportRequestSelectivity *) request;
		Oid			relid;
		int64		seen;
		double		share = req->is_join ? -1 : seen_share(req->args, &relid, &seen);

		if (share >= 0)
		{
			req->selectivity = share;
			result = request;
		}
	}
	PG_RETURN_POINTER(result);
}
