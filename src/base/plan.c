/*
 * plan.c
 *	  The one door by which C runs SQL, and acting as somebody else.
 *
 * Whoever calls us has chosen a search_path, and may have put operators,
 * functions, casts and types of his own in front of PostgreSQL's.  A query of
 * ours that is analysed or run under that path would run his code, as the
 * owner we act as.  Keeping the plan does not help: PostgreSQL analyses a kept
 * plan again as soon as the path is another than at its making.  So the path
 * is pinned to PINNED_PATH while a query is analysed and while it is run.
 *
 * Pinning puts a value onto the stack of the settings, as a function with SET
 * does, which costs a few microseconds.  Nothing is done where the path is
 * pinned already: within one of our SQL functions, or between crm_become()
 * and crm_become_self().  Pushing a path past the settings would be cheaper,
 * but then a function that has a path of its own would not get it.
 *
 * Nothing else in the tree calls SPI_execute and its sisters.
 */
#include "base/crm.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#define PINNED_PATH "pg_catalog, pg_temp"
#define MAX_VARIANTS 100		/* plans kept of texts that callers shape */

typedef struct PlanEntry
{
	const char *sql;			/* hash key, by content: must be first */
	SPIPlanPtr	plan;
} PlanEntry;

static HTAB *plans = NULL;

/* ---- the path ---- */

/*
 * Pin the path; what is returned goes to unpin_path().  An error puts the
 * old path back with the transaction.
 */
static int
pin_path(void)
{
	int			level;

	if (strcmp(namespace_search_path, PINNED_PATH) == 0)
		return 0;
	level = NewGUCNestLevel();
	(void) set_config_option("search_path", PINNED_PATH, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return level;
}

static void
unpin_path(int level)
{
	if (level > 0)
		AtEOXact_GUC(true, level);
}

/* ---- kept plans ---- */

static uint32
plan_hash(const void *key, Size keysize)
{
	const char *sql = *(const char *const *) key;

	return string_hash(sql, strlen(sql) + 1);
}

static int
plan_match(const void *a, const void *b, Size keysize)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void
plans_create(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(const char *);
	ctl.entrysize = sizeof(PlanEntry);
	ctl.hash = plan_hash;
	ctl.match = plan_match;
	ctl.hcxt = TopMemoryContext;
	plans = hash_create("crm plans", 64, &ctl,
						HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

/*
 * The kept plan of a query, prepared at first use; the path is pinned by the
 * caller.  PostgreSQL itself plans it again when what it depends on has
 * changed.  A text must always have the same argument types and, where it
 * reads transition tables, be run for one table only: rows of another would
 * have other columns.
 */
static SPIPlanPtr
kept_plan(const char *sql, int nargs, const Oid *argtypes)
{
	PlanEntry  *entry;
	SPIPlanPtr	plan;
	bool		found;

	if (plans == NULL)
		plans_create();

	entry = (PlanEntry *) hash_search(plans, &sql, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->plan;

	/*
	 * One plan for all arguments: left to itself PostgreSQL makes a new one for
	 * each call where one that knows the arguments looks cheaper, as where an
	 * argument is NULL, and planning then costs more than running.  An entry is
	 * made only once the plan is safely kept.
	 */
	plan = SPI_prepare_cursor(sql, nargs, unconstify(Oid *, argtypes), CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	sql = MemoryContextStrdup(TopMemoryContext, sql);
	SPI_keepplan(plan);
	entry = (PlanEntry *) hash_search(plans, &sql, HASH_ENTER, &found);
	entry->plan = plan;
	return plan;
}

static int
checked(int rc, const char *sql)
{
	if (rc < 0)
		elog(ERROR, "could not run a query: %s: %s", SPI_result_code_string(rc), sql);
	return rc;
}

/* ---- connecting ---- */

/*
 * Open a level of SPI: its memory is the current context until it is closed.
 * An error closes it with the transaction or subtransaction.
 */
void
crm_connect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

void
crm_disconnect(void)
{
	SPI_finish();
}

/* The same, acting as somebody else meanwhile; see crm_become(). */
void
crm_connect_as(Oid owner, CrmOwnerSwitch *saved)
{
	crm_connect();
	crm_become(owner, saved);
}

void
crm_disconnect_self(const CrmOwnerSwitch *saved)
{
	crm_become_self(saved);
	SPI_finish();
}

/* Let queries of this level read the transition tables of a trigger. */
void
crm_see_transition_tables(TriggerData *trigdata)
{
	int			rc = SPI_register_trigger_data(trigdata);

	if (rc < 0)
		elog(ERROR, "SPI_register_trigger_data failed: %s", SPI_result_code_string(rc));
}

/* Let queries of this level read rows of ours under a name. */
void
crm_see_rows(EphemeralNamedRelation rows)
{
	int			rc = SPI_register_relation(rows);

	if (rc != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed: %s", SPI_result_code_string(rc));
}

/* ---- running, on a level that is open ---- */

/*
 * Run a query from a kept plan.  Returns the SPI code; results stand in
 * SPI_tuptable and SPI_processed.
 */
int
crm_execute(const char *sql, int nargs, const Oid *argtypes, Datum *values,
			const char *nulls, bool read_only, long limit)
{
	int			path = pin_path();
	int			rc = SPI_execute_plan(kept_plan(sql, nargs, argtypes), values, nulls,
									  read_only, limit);

	unpin_path(path);
	return checked(rc, sql);
}

/* The same for a text that is made for the occasion: its plan is not kept. */
int
crm_execute_once(const char *sql, int nargs, const Oid *argtypes, Datum *values,
				 const char *nulls, bool read_only, long limit)
{
	int			path = pin_path();
	int			rc = SPI_execute_with_args(sql, nargs, unconstify(Oid *, argtypes), values,
										   nulls, read_only, limit);

	unpin_path(path);
	return checked(rc, sql);
}

/* Read from a kept plan through a snapshot; InvalidSnapshot: the active one. */
static void
read_through(Snapshot snapshot, const char *sql, int nargs, const Oid *argtypes,
			 Datum *values, long limit)
{
	int			path = pin_path();
	int			rc = SPI_execute_snapshot(kept_plan(sql, nargs, argtypes), values, NULL,
										  snapshot, InvalidSnapshot, true, false, limit);

	unpin_path(path);
	if (checked(rc, sql) != SPI_OK_SELECT)
		elog(ERROR, "query returns no rows: %s", sql);
}

/* Read the newest state from a kept plan, whatever the statement's snapshot sees. */
void
crm_read_newest(const char *sql, int nargs, const Oid *argtypes, Datum *values, long limit)
{
	read_through(IsInParallelMode() ? InvalidSnapshot : GetLatestSnapshot(),
				 sql, nargs, argtypes, values, limit);
}

/*
 * As crm_execute(), for texts of which there may be any number, as they name the columns
 * that a caller chose: the first MAX_VARIANTS are kept, so that memory has an end.
 */
int
crm_execute_variant(const char *sql, int nargs, const Oid *argtypes, Datum *values,
					const char *nulls, bool read_only, long limit)
{
	static int	kept = 0;

	if (plans == NULL || hash_search(plans, &sql, HASH_FIND, NULL) == NULL)
	{
		if (kept >= MAX_VARIANTS)
			return crm_execute_once(sql, nargs, argtypes, values, nulls, read_only, limit);
		kept++;
	}
	return crm_execute(sql, nargs, argtypes, values, nulls, read_only, limit);
}

/*
 * How many rows the planner expects of a query, which is not run.  Its plan is
 * not kept: what it expects depends on who is asking.
 */
double
crm_planned_rows(const char *sql, int nargs, const Oid *argtypes)
{
	int			path = pin_path();
	SPIPlanPtr	plan = SPI_prepare(sql, nargs, unconstify(Oid *, argtypes));
	CachedPlan *cached;
	double		rows;

	if (plan == NULL || (cached = SPI_plan_get_cached_plan(plan)) == NULL)
		elog(ERROR, "could not plan a query: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	rows = linitial_node(PlannedStmt, cached->stmt_list)->planTree->plan_rows;
	ReleaseCachedPlan(cached, NULL);
	SPI_freeplan(plan);
	unpin_path(path);
	return rows;
}

/*
 * Read configuration that is to be compiled and kept.
 *
 * The news of a change can arrive in the middle of a statement.  Read through
 * the statement's own, older snapshot, the old state would be compiled anew
 * and, as no further news comes, kept for good.  So the newest snapshot is
 * used, as for system catalogs; kept.c has made it the active one, so that all
 * of an entry is read through the same.  Where that is forbidden, during a
 * parallel query, what is compiled now is read again after it.
 */
void
crm_read_config(const char *sql, int nargs, const Oid *argtypes, Datum *values)
{
	if (crm_kept_reading())
	{
		read_through(InvalidSnapshot, sql, nargs, argtypes, values, 0);
		return;
	}
	if (IsInParallelMode())
		crm_config_reread();
	crm_read_newest(sql, nargs, argtypes, values, 0);
}

/* A cursor over a query without arguments, from a kept plan. */
Portal
crm_cursor_open(const char *sql)
{
	int			path = pin_path();
	Portal		portal = SPI_cursor_open(NULL, kept_plan(sql, 0, NULL), NULL, NULL, false);

	unpin_path(path);
	return portal;
}

void
crm_cursor_fetch(Portal portal, long count)
{
	int			path = pin_path();

	SPI_cursor_fetch(portal, true, count);
	unpin_path(path);
}

void
crm_cursor_close(Portal portal)
{
	SPI_cursor_close(portal);
}

/* One value of the last result; rows count from 0, columns from 1. */
Datum
crm_spi_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

/*
 * The first column of the last result's first row, a whole row of a table,
 * copied to a context.  "RETURNING x" would be a column of that name where the
 * table has one, so it is written "RETURNING (x.*)::table"; what comes back is
 * looked at all the same, since a pointer to anything else ends the server.
 */
Datum
crm_spi_row(Oid rowtype, MemoryContext context)
{
	bool		isnull;
	Datum		row = crm_spi_value(0, 1, &isnull);
	MemoryContext old;

	if (isnull || SPI_gettypeid(SPI_tuptable->tupdesc, 1) != rowtype)
		elog(ERROR, "a row of type %u was expected, not one of type %u%s", rowtype,
			 SPI_gettypeid(SPI_tuptable->tupdesc, 1), isnull ? ", NULL" : "");
	old = MemoryContextSwitchTo(context);
	row = datumCopy(row, false, -1);
	MemoryContextSwitchTo(old);
	return row;
}

/* ---- acting as somebody else ---- */

/*
 * Act as the owner of a table: configuration, history and rollups are read and
 * written for people who may not touch them themselves.  The path is pinned
 * meanwhile.  An error restores both with the transaction, so no PG_TRY is
 * needed.
 */
void
crm_become(Oid owner, CrmOwnerSwitch *saved)
{
	crm_take_identity(owner, saved);
	saved->path = pin_path();
}

void
crm_become_self(const CrmOwnerSwitch *saved)
{
	unpin_path(saved->path);
	SetUserIdAndSecContext(saved->saved_user, saved->saved_context);
}

/*
 * The identity alone, for evaluating expressions row by row that look no name
 * up any more.  crm_become_self() ends it too.
 */
void
crm_take_identity(Oid owner, CrmOwnerSwitch *saved)
{
	GetUserIdAndSecContext(&saved->saved_user, &saved->saved_context);
	SetUserIdAndSecContext(owner,
						   saved->saved_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
	saved->path = 0;
}

/* A snapshot where none is active; true: one was pushed, for the caller to pop. */
bool
crm_push_snapshot(void)
{
	if (ActiveSnapshotSet())
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}
