/*
 * sight.c
 *	  crm.in_sight(tenant_id, mine): what every policy for reading says, and how
 *	  the planner writes it for whoever is asking.
 *
 * A row is in sight if it is of the current tenant, and the current role either
 * sees every row of the tenant or this one for the reason that "mine" gives.  The
 * planner support puts plain conditions in place of the call:
 *
 *	  tenant_id = crm.tenant_id() AND (tenant_id = crm.whole_tenant() OR mine)
 *
 * for somebody who sees a part, so that each arm of "mine" can be a condition of
 * an index, and
 *
 *	  tenant_id = crm.tenant_id() AND ((SELECT crm.whole_tenant()) IS NOT NULL OR mine)
 *
 * for somebody who sees everything: the subquery is run once a query, so that a
 * row costs no call, and the planner takes almost all rows as seen.  There "mine"
 * reads its columns from the row as a whole, (table).owner_id: columns named as
 * such would be taken out of every row before the first condition is looked at,
 * with all columns that stand before them.
 *
 * Both say the same of everybody; only how quickly they do depends on who is
 * asking.  So a plan that is kept stays right when the rights of a role change.
 * The policy itself holds no subquery, as a distributed table's could not be sent
 * to its shards.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "nodes/supportnodes.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "access/identity_kept.h"

PG_FUNCTION_INFO_V1(crm_in_sight);

/* crm.in_sight(tenant_id, mine) -> boolean, where no planner has put conditions in its place */
Datum
crm_in_sight(PG_FUNCTION_ARGS)
{
	bool		no_tenant;
	int64		tenant = crm_current_tenant(&no_tenant);

	if (PG_ARGISNULL(0) || no_tenant)
		PG_RETURN_NULL();
	if (PG_GETARG_INT64(0) != tenant)
		PG_RETURN_BOOL(false);
	if (crm_current_identity()->sees_all)
		PG_RETURN_BOOL(true);
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(PG_GETARG_BOOL(1));
}

/* A call of a function of the CRM that takes nothing and gives a tenant; NULL where it is gone. */
static Expr *
call_of(const char *name)
{
	Oid			function = LookupFuncName(list_make2(makeString("crm"), makeString(pstrdup(name))),
										  0, NULL, true);

	if (!OidIsValid(function))
		return NULL;
	return (Expr *) makeFuncExpr(function, INT8OID, NIL, InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* (SELECT expression) IS NOT NULL */
static Expr *
asked_once(Expr *expression)
{
	Query	   *query = makeNode(Query);
	SubLink    *link = makeNode(SubLink);
	NullTest   *test = makeNode(NullTest);

	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = list_make1(makeTargetEntry(expression, 1, pstrdup("tenant"), false));
	link->subLinkType = EXPR_SUBLINK;
	link->subselect = (Node *) query;
	link->location = -1;
	test->arg = (Expr *) link;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return (Expr *) test;
}

static Expr *
is_tenant(Node *column, Expr *tenant)
{
	Oid			equals = lookup_type_cache(INT8OID, TYPECACHE_EQ_OPR)->eq_opr;
	Expr	   *equal = make_opclause(equals, BOOLOID, false, (Expr *) copyObject(column), tenant,
									  InvalidOid, InvalidOid);

	set_opfuncid((OpExpr *) equal);
	return equal;
}

/* The row that columns are read from. */
typedef struct WholeRow
{
	Var		   *row;
} WholeRow;

static Node *
from_row(Node *node, void *context)
{
	WholeRow   *whole = (WholeRow *) context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == whole->row->varno &&
		((Var *) node)->varlevelsup == 0 && ((Var *) node)->varattno > 0)
	{
		Var		   *column = (Var *) node;
		FieldSelect *field = makeNode(FieldSelect);

		field->arg = (Expr *) copyObject(whole->row);
		field->fieldnum = column->varattno;
		field->resulttype = column->vartype;
		field->resulttypmod = column->vartypmod;
		field->resultcollid = column->varcollid;
		return (Node *) field;
	}
	return expression_tree_mutator(node, from_row, context);
}

/* A condition that takes no column out of a row before it is looked at, where that can be. */
static Node *
put_off(PlannerInfo *root, Node *column, Node *condition)
{
	WholeRow	whole;
	RangeTblEntry *rte;
	int			varno;

	if (!IsA(column, Var) || ((Var *) column)->varlevelsup != 0)
		return condition;
	varno = ((Var *) column)->varno;
	/* a row that is written is taken apart anyway */
	if (varno == root->parse->resultRelation || varno > list_length(root->parse->rtable))
		return condition;
	rte = rt_fetch(varno, root->parse->rtable);
	if (rte->rtekind != RTE_RELATION)
		return condition;
	whole.row = makeWholeRowVar(rte, varno, 0, false);
	return from_row(condition, &whole);
}

/* The conditions in place of a call, already in the form that simplifying would give them. */
static Node *
conditions(SupportRequestSimplify *req)
{
	Node	   *column;
	Node	   *mine;
	Expr	   *tenant;
	Expr	   *whole;
	List	   *arms;

	/* who is asking can be found out only where a query can be run */
	if (req->root == NULL || list_length(req->fcall->args) != 2 || !ActiveSnapshotSet())
		return NULL;
	column = (Node *) linitial(req->fcall->args);
	mine = (Node *) lsecond(req->fcall->args);
	tenant = call_of("tenant_id");
	whole = call_of("whole_tenant");
	if (tenant == NULL || whole == NULL)
		return NULL;
	if (crm_current_identity()->sees_all)
	{
		whole = asked_once(whole);
		mine = put_off(req->root, column, mine);
		/* the planner looks for subqueries where it was told of one */
		req->root->parse->hasSubLinks = true;
	}
	else
		whole = is_tenant(column, whole);
	arms = is_orclause(mine) ? list_copy(((BoolExpr *) mine)->args) : list_make1(mine);
	return (Node *) make_andclause(list_make2(is_tenant(column, tenant),
											  make_orclause(lcons(whole, arms))));
}

PG_FUNCTION_INFO_V1(crm_sight_support);

/* crm.sight_support(internal) -> internal: planner support of crm.in_sight() */
Datum
crm_sight_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(NULL);
	PG_RETURN_POINTER(conditions((SupportRequestSimplify *) request));
}
