/*
 * plan.c
 *	  Kept SPI plans, and running them as the owner of a table.
 *
 * A plan is found by the text of its query, the relation it belongs to and
 * the argument types.  The relation is part of the key because a trigger
 * function that serves several tables prepares the same text for tables whose
 * columns have other types or places: a plan shared between them would read
 * the wrong column.
 */
#include "base/crm.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

typedef struct PlanKey
{
	const char *sql;			/* compared by content */
	Oid			relid;
} PlanKey;

typedef struct PlanEntry
{
	PlanKey		key;			/* hash key: must be first */
	SPIPlanPtr	plan;
} PlanEntry;

static HTAB *plans = NULL;

static uint32
plan_hash(const void *key, Size keysize)
{
	const PlanKey *k = (const PlanKey *) key;

	return hash_combine(string_hash(k->sql, strlen(k->sql) + 1),
						murmurhash32(k->relid));
}

static int
plan_match(const void *a, const void *b, Size keysize)
{
	const PlanKey *x = (const PlanKey *) a;
	const PlanKey *y = (const PlanKey *) b;

	return (x->relid == y->relid && strcmp(x->sql, y->sql) == 0) ? 0 : 1;
}

static void
plans_create(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(PlanKey);
	ctl.entrysize = sizeof(PlanEntry);
	ctl.hash = plan_hash;
	ctl.match = plan_match;
	ctl.hcxt = TopMemoryContext;
	plans = hash_create("crm plans", 64, &ctl,
						HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

/*
 * The kept plan of a query, prepared at first use.  PostgreSQL itself plans it
 * again when what it depends on has changed.
 *
 * relid is InvalidOid for a query that is not tied to one relation.  The text
 * must be qualified throughout: a plan outlives any search_path.  SPI must be
 * connected.
 */
SPIPlanPtr
crm_plan(const char *sql, int nargs, const Oid *argtypes, Oid relid)
{
	PlanKey		key;
	PlanEntry  *entry;
	SPIPlanPtr	plan;
	bool		found;

	if (plans == NULL)
		plans_create();

	key.sql = sql;
	key.relid = relid;
	entry = (PlanEntry *) hash_search(plans, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->plan;

	/* an entry is made only once the plan is safely kept */
	plan = SPI_prepare(sql, nargs, unconstify(Oid *, argtypes));
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s: %s",
			 SPI_result_code_string(SPI_result), sql);
	key.sql = MemoryContextStrdup(TopMemoryContext, sql);
	SPI_keepplan(plan);
	entry = (PlanEntry *) hash_search(plans, &key, HASH_ENTER, &found);
	entry->plan = plan;
	return plan;
}

/*
 * Run a query from a kept plan.  Returns the SPI code; results stand in
 * SPI_tuptable and SPI_processed.
 */
int
crm_execute(const char *sql, int nargs, const Oid *argtypes, Datum *values,
			const char *nulls, bool read_only, long limit)
{
	int			rc = SPI_execute_plan(crm_plan(sql, nargs, argtypes, InvalidOid),
									  values, nulls, read_only, limit);

	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s: %s",
			 SPI_result_code_string(rc), sql);
	return rc;
}

/*
 * Read configuration that is to be compiled and kept.
 *
 * The news of a change can arrive in the middle of a statement.  Read through
 * the statement's own, older snapshot, the old state would be compiled anew
 * and, as no further news comes, kept for good.  So the newest snapshot is
 * used, as for system catalogs.  Where that is forbidden, during a parallel
 * query, what is compiled now is read again after it.
 */
void
crm_read_config(const char *sql, int nargs, const Oid *argtypes, Datum *values)
{
	SPIPlanPtr	plan = crm_plan(sql, nargs, argtypes, InvalidOid);
	Snapshot	snapshot = InvalidSnapshot;
	int			rc;

	if (IsInParallelMode())
		crm_config_reread();
	else
		snapshot = GetLatestSnapshot();
	rc = SPI_execute_snapshot(plan, values, NULL, snapshot, InvalidSnapshot,
							  true, false, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "could not read configuration: %s: %s",
			 SPI_result_code_string(rc), sql);
}

/* One value of the last result; rows count from 0, columns from 1. */
Datum
crm_spi_value(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}

/*
 * Act as the owner of a table: configuration, history and rollups are read and
 * written for people who may not touch them themselves.  An error restores
 * the user with the transaction, so no PG_TRY is needed.
 */
void
crm_become(Oid owner, CrmOwnerSwitch *saved)
{
	GetUserIdAndSecContext(&saved->saved_user, &saved->saved_context);
	SetUserIdAndSecContext(owner,
						   saved->saved_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_NOFORCE_RLS);
}

void
crm_become_self(const CrmOwnerSwitch *saved)
{
	SetUserIdAndSecContext(saved->saved_user, saved->saved_context);
}
