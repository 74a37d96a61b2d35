/*
 * small_tables.c
 *	  What the planner is told of tables of the CRM that hold few rows.
 *
 * A plan that is kept outlives the size its tables had when it was made: of
 * triggers and functions, and of the server's own checks of foreign keys.  In an
 * empty table all indexes that begin with the tenant look alike, so the planner
 * takes any of them, or reads the whole table, and a company that moves in by
 * one long transaction pays for that with each row: every one of them reads all
 * that came before.  Autovacuum cannot help, since it sees no row that is not
 * committed.
 *
 * So in a statement that looks something up, a table of the CRM is never taken for
 * smaller than crm.assumed_rows, and while nobody has counted it, for one of a
 * single tenant, with unique ids and ten rows to each reference: that the tenant
 * is given narrows nothing down, that an id is leaves a few rows.  For a table
 * that stays small this means an index where a scan of its one page would do,
 * which costs next to nothing.  A thousand rows are enough for the key to win over
 * an index of which only the tenant is given.
 *
 * Statements that are written anew each time, and reports, whose guesses would
 * multiply until they look worth compiling (jit), are planned for what there is.
 */
#include "base/crm.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_statistic.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/syscache.h"

/*
 * Rows of a page: those of the CRM's tables are 100 to 400 bytes.  Few rows are
 * taken to lie on a page each, up to as many as are not read in parallel: else ten
 * look-ups would seem dearer than reading the whole table.
 */
#define ROWS_OF_PAGE 20
#define PAGES_READ_ALONE 1000
#define ENTRIES_OF_PAGE 150

/* what reads more relations is a report */
#define MOST_RELATIONS 8

int			crm_assumed_rows = 1000;
static bool looks_up = false;	/* the statement that is planned right now */
static planner_hook_type earlier_planner_hook = NULL;
static get_relation_info_hook_type earlier_info_hook = NULL;
static get_relation_stats_hook_type earlier_stats_hook = NULL;

typedef struct Statement
{
	int			relations;
	bool		parameters;
} Statement;

/* Counts relations, of views as well, and looks for parameters; true: it is a report. */
static bool
count_relations(Node *node, void *context)
{
	Statement  *statement = (Statement *) context;

	if (node == NULL)
		return false;
	if (IsA(node, Param))
	{
		statement->parameters |= ((Param *) node)->paramkind == PARAM_EXTERN;
		return false;
	}
	if (IsA(node, RangeTblEntry))
		return ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
			((RangeTblEntry *) node)->relkind != RELKIND_VIEW &&
			++statement->relations > MOST_RELATIONS;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, count_relations, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, count_relations, context);
}

static PlannedStmt *
plan_statement(Query *parse, const char *text, int options, ParamListInfo parameters)
{
	/* planning may run functions that plan statements of theirs */
	bool		earlier = looks_up;
	Statement	statement = {0, parameters != NULL};
	PlannedStmt *plan;

	looks_up = crm_assumed_rows > 0 && !count_relations((Node *) parse, &statement) &&
		statement.parameters;
	PG_TRY();
	{
		if (earlier_planner_hook)
			plan = earlier_planner_hook(parse, text, options, parameters);
		else
			plan = standard_planner(parse, text, options, parameters);
	}
	PG_FINALLY();
	{
		looks_up = earlier;
	}
	PG_END_TRY();
	return plan;
}

static bool
is_of_crm(Oid relation)
{
	Oid			namespace = get_rel_namespace(relation);

	return OidIsValid(namespace) &&
		(namespace == get_namespace_oid("crm", true) ||
		 namespace == get_namespace_oid("crm_internal", true));
}

/*
 * Sizes are all that is changed here: indexes and statistics stay what they are.
 * A parent of partitions has no size of its own.
 */
static void
assume_rows(PlannerInfo *root, Oid relation, bool parent, RelOptInfo *rel)
{
	ListCell   *lc;

	if (earlier_info_hook)
		earlier_info_hook(root, relation, parent, rel);
	if (!looks_up || parent || rel->tuples >= crm_assumed_rows || !is_of_crm(relation))
		return;

	rel->tuples = crm_assumed_rows;
	rel->pages = Max(rel->pages, Max(Min(crm_assumed_rows, PAGES_READ_ALONE),
									 crm_assumed_rows / ROWS_OF_PAGE));
	foreach(lc, rel->indexlist)
	{
		IndexOptInfo *index = (IndexOptInfo *) lfirst(lc);

		/* partial ones as well: that one is empty today says nothing */
		index->tuples = Max(index->tuples, crm_assumed_rows);
		index->pages = Max(index->pages, 1 + crm_assumed_rows / ENTRIES_OF_PAGE);
	}
}

/* A row of pg_statistic that says how many values a column has, as its stadistinct does. */
static HeapTuple
distinct_statistics(Oid relation, AttrNumber column, float4 distinct)
{
	Relation	catalog = table_open(StatisticRelationId, AccessShareLock);
	Datum		values[Natts_pg_statistic] = {0};
	bool		nulls[Natts_pg_statistic] = {0};
	HeapTuple	tuple;

	values[Anum_pg_statistic_starelid - 1] = ObjectIdGetDatum(relation);
	values[Anum_pg_statistic_staattnum - 1] = Int16GetDatum(column);
	values[Anum_pg_statistic_stawidth - 1] = Int32GetDatum(sizeof(int64));
	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(distinct);
	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
	{
		/* kinds, operators and collations stay 0: empty slots */
		nulls[Anum_pg_statistic_stanumbers1 - 1 + i] = true;
		nulls[Anum_pg_statistic_stavalues1 - 1 + i] = true;
	}
	tuple = heap_form_tuple(RelationGetDescr(catalog), values, nulls);
	table_close(catalog, AccessShareLock);
	return tuple;
}

/*
 * Until a table is counted it is one tenant's, each row has an id of its own, and
 * some ten rows refer to the same one.
 */
static bool
assume_values(PlannerInfo *root, RangeTblEntry *rte, AttrNumber column,
			  VariableStatData *vardata)
{
	char	   *name;
	float4		distinct;

	if (earlier_stats_hook && earlier_stats_hook(root, rte, column, vardata))
		return true;
	if (!looks_up || rte->rtekind != RTE_RELATION || column <= 0 ||
		!is_of_crm(rte->relid) ||
		SearchSysCacheExists3(STATRELATTINH, ObjectIdGetDatum(rte->relid), Int16GetDatum(column),
							  BoolGetDatum(rte->inh)))
		return false;
	name = get_attname(rte->relid, column, true);
	if (name == NULL)
		return false;
	if (strcmp(name, "tenant_id") == 0)
		distinct = 1;
	else if (strcmp(name, "id") == 0)
		distinct = -1;
	else if (strlen(name) > 3 && strcmp(name + strlen(name) - 3, "_id") == 0)
		distinct = -0.1;
	else
		return false;
	vardata->statsTuple = distinct_statistics(rte->relid, column, distinct);
	vardata->freefunc = heap_freetuple;
	vardata->acl_ok = true;
	return true;
}

void
crm_small_tables_init(void)
{
	earlier_planner_hook = planner_hook;
	planner_hook = plan_statement;
	earlier_info_hook = get_relation_info_hook;
	get_relation_info_hook = assume_rows;
	earlier_stats_hook = get_relation_stats_hook;
	get_relation_stats_hook = assume_values;
}
