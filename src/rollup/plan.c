/*
 * plan.c
 *	  From a row of the source to a row of deltas: layouts and plans, compiled
 *	  once per backend.
 *
 * The definition of a source is a view whose columns are called like those of
 * the delta table: k<n> for keys, m<n> for what one row adds to a measure.  A
 * plan is that view's target list as one executor projection over the row's
 * slot, for the row type of the relation the trigger fired on.  Relation cache
 * invalidations of the view, the delta table or the relation make it anew.
 *
 * Both are kept configuration (kept.c).  A plan holds its layout, a row trigger
 * holds the plan it evaluates by, and sums that are pending hold the layout they
 * are laid out by.  So a definition may change in the middle of a statement
 * that has collected something, and nothing that is still used is freed.
 */
#include "rollup/rollup.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static Oid
internal_oid(const char *name)
{
	Oid			nsp = get_namespace_oid("crm_internal", true);

	return OidIsValid(nsp) ? get_relname_relid(name, nsp) : InvalidOid;
}

static Oid
internal_oid_of(int64 source, const char *format, bool missing_ok)
{
	char		name[NAMEDATALEN];
	Oid			relid;

	snprintf(name, sizeof(name), format, source);
	relid = internal_oid(name);
	if (!OidIsValid(relid) && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_ROLLUP),
				 errmsg("relation \"crm_internal.%s\" that defines rollups of this table is missing",
						name),
				 errdetail("It was dropped, with a column that its rollups use or by itself."),
				 errhint("Find the rollups in crm.rollup_status, drop them with crm.drop_rollup() and create them again.")));
	return relid;
}

Oid
crm_rollup_view_oid(int64 source, bool missing_ok)
{
	return internal_oid_of(source, "rollup_source_" INT64_FORMAT, missing_ok);
}

Oid
crm_rollup_delta_oid(int64 source, bool missing_ok)
{
	return internal_oid_of(source, "rollup_source_" INT64_FORMAT "_deltas", missing_ok);
}

/*
 * The target list of a source's view, copied into the current context, with
 * the source and its place in the range table.
 */
List *
crm_rollup_view_targets(Oid view, Oid *root, Index *varno)
{
	Relation	rel = try_relation_open(view, AccessShareLock);
	Query	   *query = NULL;
	List	   *targets;

	if (rel != NULL && rel->rd_rel->relkind == RELKIND_VIEW)
		query = get_view_query(rel);
	if (query == NULL || query->jointree == NULL ||
		list_length(query->jointree->fromlist) != 1 ||
		!IsA(linitial(query->jointree->fromlist), RangeTblRef) ||
		rt_fetch(linitial_node(RangeTblRef, query->jointree->fromlist)->rtindex,
				 query->rtable)->rtekind != RTE_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not the view of a rollup source",
						rel != NULL ? RelationGetRelationName(rel) : psprintf("%u", view)),
				 errhint("Such views are called crm_internal.rollup_source_<id>.")));
	*varno = linitial_node(RangeTblRef, query->jointree->fromlist)->rtindex;
	*root = rt_fetch(*varno, query->rtable)->relid;
	targets = copyObject(query->targetList);
	relation_close(rel, AccessShareLock);
	return targets;
}

/* The source of a view. */
Oid
crm_rollup_root(Oid view)
{
	Oid			root;
	Index		varno;

	(void) crm_rollup_view_targets(view, &root, &varno);
	return root;
}

/* Is a relation the root or a partition below it, one that is being detached included? */
bool
crm_rollup_in_tree(Oid relid, Oid root)
{
	while (OidIsValid(relid) && relid != root)
		relid = get_rel_relispartition(relid) ? get_partition_parent(relid, true) : InvalidOid;
	return OidIsValid(relid);
}

/* ---- names that evaluation looks up ---- */

/*
 * Does a function look names up under the path of whoever calls it?  One in C
 * is trusted not to; one with a path of its own does not.
 */
static bool
function_looks_up(Oid function, void *context)
{
	HeapTuple	tuple;
	Form_pg_proc form;
	bool		isnull;
	Datum		config;
	bool		looks_up;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	looks_up = form->prolang != INTERNALlanguageId && form->prolang != ClanguageId;
	config = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proconfig, &isnull);
	if (looks_up && !isnull)
	{
		Datum	   *settings;
		int			n;

		deconstruct_array(DatumGetArrayTypeP(config), TEXTOID, -1, false, TYPALIGN_INT,
						  &settings, NULL, &n);
		for (int i = 0; i < n; i++)
			if (pg_strncasecmp(TextDatumGetCString(settings[i]), "search_path=", 12) == 0)
				looks_up = false;
	}
	ReleaseSysCache(tuple);
	return looks_up;
}

static bool
expression_looks_up(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, function_looks_up, context) ||
		expression_tree_walker(node, expression_looks_up, context);
}

/* The column of the delta table that an entry of the view's target list fills. */
static void
add_column(RollupLayout *layout, TupleDesc desc, const TargetEntry *te)
{
	RollupShape *shape = &layout->shape;
	AttrNumber	attno = get_attnum(layout->delta, te->resname);
	Form_pg_attribute att;

	if (attno == InvalidAttrNumber)
		elog(ERROR, "delta table of rollup source " INT64_FORMAT " lacks column \"%s\"",
			 layout->source, te->resname);
	att = TupleDescAttr(desc, attno - 1);
	if (te->resname[0] == 'k')
	{
		RollupKey  *key = &shape->keys[shape->nkeys++];

		key->attno = attno;
		key->typlen = att->attlen;
		key->typbyval = att->attbyval;
	}
	else
	{
		RollupMeasure *measure = &shape->measures[shape->nmeasures++];

		measure->attno = attno;
		measure->kind = att->atttypid == INT4OID ? MEASURE_COUNT :
			att->atttypid == INT8OID ? MEASURE_INTEGER : MEASURE_NUMERIC;
		shape->has_numeric |= measure->kind == MEASURE_NUMERIC;
	}
	layout->targets = lappend(layout->targets, expression_planner(te->expr));
}

/* crm_kept's: the layout of a source. */
static void *
build_layout(const void *key, MemoryContext context)
{
	RollupLayout *layout;
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	delta;
	TupleDesc	desc;
	List	   *targets;
	CrmOwnerSwitch saved;

	layout = palloc0(sizeof(RollupLayout));
	layout->entry = crm_kept_entry();
	layout->source = *(const int64 *) key;
	layout->view = crm_rollup_view_oid(layout->source, false);
	crm_kept_depends(layout->view);
	layout->delta = crm_rollup_delta_oid(layout->source, false);
	crm_kept_depends(layout->delta);
	layout->owner = crm_table_owner(layout->view);
	targets = crm_rollup_view_targets(layout->view, &layout->shape.root, &layout->varno);
	crm_kept_depends(layout->shape.root);

	/* planning parses the bodies of functions that it inlines, with the rights of the definer */
	crm_become(layout->owner, &saved);
	delta = table_open(layout->delta, AccessShareLock);
	desc = RelationGetDescr(delta);
	layout->shape.natts = desc->natts;
	layout->shape.keys = palloc0(sizeof(RollupKey) * desc->natts);
	layout->shape.measures = palloc0(sizeof(RollupMeasure) * desc->natts);

	/* keys first, each group in the order of the view */
	for (int pass = 0; pass < 2; pass++)
	{
		ListCell   *cell;

		foreach(cell, targets)
		{
			TargetEntry *te = lfirst_node(TargetEntry, cell);

			if (!te->resjunk && (te->resname[0] == 'k') == (pass == 0))
				add_column(layout, desc, te);
		}
	}
	layout->looks_up = expression_looks_up((Node *) layout->targets, NULL);
	crm_become_self(&saved);
	desc = CreateTupleDescCopy(desc);
	for (int i = 0; i < ROLLUP_FEW; i++)
		layout->slots[i] = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	table_close(delta, AccessShareLock);
	MemoryContextSwitchTo(old);
	return layout;
}

static CrmKept layouts = {
	.what = "sources of rollups",
	.build = build_layout,
};

/*
 * Are the sums of two layouts the same columns of the same table?  What was
 * collected by one may then be added to by the other.
 */
bool
crm_rollup_same_sums(const RollupLayout *a, const RollupLayout *b)
{
	const RollupShape *x = &a->shape;
	const RollupShape *y = &b->shape;

	if (a == b)
		return true;
	if (a->delta != b->delta || x->natts != y->natts || x->nkeys != y->nkeys ||
		x->nmeasures != y->nmeasures)
		return false;
	for (int i = 0; i < x->nkeys; i++)
		if (x->keys[i].attno != y->keys[i].attno)
			return false;
	for (int i = 0; i < x->nmeasures; i++)
		if (x->measures[i].attno != y->measures[i].attno)
			return false;
	return true;
}

/*
 * The columns that a target list reads.  An update that leaves their bytes as
 * they are changes no sum; equality of their types is not enough, 1.0 and
 * 1.00 are equal and have different text.
 */
static void
find_columns(RollupPlan *plan, List *targets, Index varno, TupleDesc desc)
{
	Bitmapset  *attnos = NULL;
	int			x = -1;

	pull_varattnos((Node *) targets, varno, &attnos);
	plan->columns = palloc(sizeof(RollupColumn) * Max(1, bms_num_members(attnos)));
	while ((x = bms_next_member(attnos, x)) >= 0)
	{
		AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;
		RollupColumn *column = &plan->columns[plan->ncolumns++];
		Form_pg_attribute att = TupleDescAttr(desc, attno - 1);

		column->attno = attno;
		column->typlen = att->attlen;
		column->typbyval = att->attbyval;
	}
	bms_free(attnos);
}

/* What a plan is kept by. */
typedef struct PlanKey
{
	int64		source;
	uint64		relid;			/* wide: no byte of a key is left unset */
} PlanKey;

/* crm_kept's: the plan of a source for the row type of one relation. */
static void *
build_plan(const void *key, MemoryContext context)
{
	const PlanKey *k = (const PlanKey *) key;
	MemoryContext old = MemoryContextSwitchTo(context);
	Relation	rel;
	RollupPlan *plan;
	RollupLayout *layout;
	List	   *targets;
	List	   *tlist = NIL;
	ListCell   *cell;
	CrmOwnerSwitch saved;
	AttrNumber	resno = 1;

	crm_kept_depends((Oid) k->relid);
	rel = table_open((Oid) k->relid, AccessShareLock);
	plan = palloc0(sizeof(RollupPlan));
	plan->entry = crm_kept_entry();
	plan->relid = RelationGetRelid(rel);
	/* held by the memory of the plan */
	layout = plan->layout = crm_kept(&layouts, &k->source, sizeof(k->source));
	plan->feeds = crm_rollup_in_tree(plan->relid, layout->shape.root);

	targets = copyObject(layout->targets);
	if (plan->relid != layout->shape.root)
	{
		Relation	root = table_open(layout->shape.root, AccessShareLock);

		targets = map_partition_varattnos(targets, layout->varno, rel, root);
		table_close(root, AccessShareLock);
	}
	find_columns(plan, targets, layout->varno, RelationGetDescr(rel));
	foreach(cell, targets)
	{
		tlist = lappend(tlist, makeTargetEntry((Expr *) lfirst(cell), resno,
											   NULL, false));
		resno++;
	}

	/*
	 * The right to execute the functions in it is the definer's.  The context
	 * of expressions goes with the plan's memory: only functions that return
	 * sets have more to end, and a rollup has none of those.
	 */
	crm_become(layout->owner, &saved);
	plan->econtext = CreateStandaloneExprContext();
	plan->projection = ExecBuildProjectionInfo(tlist, plan->econtext,
											   MakeSingleTupleTableSlot(ExecTypeFromTL(tlist),
																		&TTSOpsVirtual),
											   NULL, RelationGetDescr(rel));
	crm_become_self(&saved);
	table_close(rel, AccessShareLock);
	MemoryContextSwitchTo(old);
	return plan;
}

/* A plan is no better than its layout. */
static bool
layout_is_current(const void *value)
{
	return crm_kept_current(((const RollupPlan *) value)->layout->entry);
}

static CrmKept plans = {
	.what = "plans of rollups",
	.limit = 10000,				/* a partition needs one for each source it feeds */
	.build = build_plan,
	.still_good = layout_is_current,
};

/*
 * The plan of a source for the row type of one relation, good as long as the
 * current memory context.
 */
RollupPlan *
crm_rollup_plan(int64 source, Relation rel)
{
	PlanKey		key = {.source = source, .relid = RelationGetRelid(rel)};

	return crm_kept(&plans, &key, sizeof(key));
}

/* Has an update changed a column that some rollup reads? */
bool
crm_rollup_row_changed(const RollupPlan *plan, TupleTableSlot *before, TupleTableSlot *after)
{
	if (plan->ncolumns == 0)
		return false;
	slot_getsomeattrs(before, plan->columns[plan->ncolumns - 1].attno);
	slot_getsomeattrs(after, plan->columns[plan->ncolumns - 1].attno);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		const RollupColumn *column = &plan->columns[i];
		Datum		a = before->tts_values[column->attno - 1];
		Datum		b = after->tts_values[column->attno - 1];

		if (before->tts_isnull[column->attno - 1] != after->tts_isnull[column->attno - 1])
			return true;
		if (before->tts_isnull[column->attno - 1] || a == b)
			continue;
		if (column->typbyval)
			return true;
		/* the same stored bytes are the same value, also where they point elsewhere */
		if (column->typlen == -1 &&
			VARSIZE_ANY(DatumGetPointer(a)) == VARSIZE_ANY(DatumGetPointer(b)) &&
			memcmp(DatumGetPointer(a), DatumGetPointer(b), VARSIZE_ANY(DatumGetPointer(a))) == 0)
			continue;
		if (!datum_image_eq(a, b, false, column->typlen))
			return true;
	}
	return false;
}
