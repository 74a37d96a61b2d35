/*
 * trigger.c
 *	  The triggers of a rollup source: collect, append, forget.
 *
 * The row trigger adds the signed deltas of a row to a table in memory, one
 * level per subtransaction.  The statement trigger appends what its level has
 * collected to the delta table of the source.  So a delta carries the
 * subtransaction and command that caused it and is visible exactly where its
 * cause is; and a writer only ever inserts: it waits for nobody.  Pre-commit
 * and pre-prepare are the backstop for paths that fire no statement trigger,
 * such as the apply worker of logical replication.
 *
 * Lock order everywhere: source, deltas, base.
 */
#include "rollup/rollup.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define SPILL_GROUPS 32768		/* append before the end of the statement */

/* What one level has collected for one source. */
typedef struct Pending
{
	RollupLayout *layout;
	bool		truncated;		/* what the levels below hold is void */
	RollupGroups groups;
	struct Pending *next;
} Pending;

typedef struct Level
{
	int			nest;
	MemoryContext cx;
	Pending    *pending;
	struct Level *below;
} Level;

typedef struct Truncation
{
	int64		source;
	int			nest;
	struct Truncation *next;
} Truncation;

static Level *top = NULL;
static Truncation *truncations = NULL;
static int	evaluating = 0;		/* level of the transaction in which a row is evaluated */

static void append_level(Level *level);

/* ---- levels ---- */

static void
end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			for (Level *l = top; l != NULL; l = l->below)
			{
				/* none is active any more, and a long group is toasted, which needs one */
				bool		pushed = l->pending != NULL && crm_push_snapshot();

				append_level(l);
				if (pushed)
					PopActiveSnapshot();
			}
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			/* the memory goes with the transaction */
			top = NULL;
			truncations = NULL;
			evaluating = 0;
			break;
		default:
			break;
	}
}

static Level *
current_level(void)
{
	int			nest = GetCurrentTransactionNestLevel();

	if (top == NULL || top->nest < nest)
	{
		Level	   *level = MemoryContextAlloc(TopTransactionContext, sizeof(Level));

		level->nest = nest;
		level->cx = AllocSetContextCreate(TopTransactionContext, "crm rollup deltas",
										  ALLOCSET_DEFAULT_SIZES);
		level->pending = NULL;
		level->below = top;
		top = level;
	}
	return top;
}

static void
drop_level(void)
{
	Level	   *level = top;

	top = level->below;
	MemoryContextDelete(level->cx);
	pfree(level);
}

static Pending *
level_pending(Level *level, RollupLayout *layout)
{
	Pending    *p;
	MemoryContext old;

	for (p = level->pending; p != NULL; p = p->next)
		if (crm_rollup_same_sums(p->layout, layout))
			return p;

	old = MemoryContextSwitchTo(level->cx);
	crm_kept_hold(layout->entry);
	p = palloc0(sizeof(Pending));
	p->layout = layout;
	crm_groups_init(&p->groups, &layout->shape, level->cx);
	p->next = level->pending;
	level->pending = p;
	MemoryContextSwitchTo(old);
	return p;
}

/*
 * What a level holds for a source is void.  There may be several: a layout
 * that was invalidated meanwhile keeps what was collected by it.
 */
static void
forget_source(Level *level, int64 source)
{
	for (Pending *p = level->pending; p != NULL; p = p->next)
		if (p->layout->source == source)
			crm_groups_forget(&p->groups);
}

static void
append_level(Level *level)
{
	bool		truncated = false;

	if (level->pending == NULL)
		return;
	for (Pending *p = level->pending; p != NULL; p = p->next)
	{
		crm_rollup_append(p->layout, &p->groups);
		truncated |= p->truncated;
	}
	/* the mark of a TRUNCATE must outlive the deltas that came after it */
	if (truncated && level->below != NULL)
	{
		for (Pending *p = level->pending; p != NULL; p = p->next)
			crm_groups_forget(&p->groups);
		return;
	}
	level->pending = NULL;
	MemoryContextReset(level->cx);
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId self,
					  SubTransactionId parent, void *arg)
{
	int			nest = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		while (top != NULL && top->nest >= nest)
			drop_level();
		while (truncations != NULL && truncations->nest >= nest)
			truncations = truncations->next;
		if (evaluating >= nest)
			evaluating = 0;
	}
	else if (event == SUBXACT_EVENT_COMMIT_SUB && top != NULL && top->nest >= nest)
	{
		Level	   *below = top->below;

		if (below == NULL || below->nest < nest - 1)
		{
			top->nest = nest - 1;
			return;
		}
		for (Pending *p = top->pending; p != NULL; p = p->next)
			if (p->truncated)
			{
				forget_source(below, p->layout->source);
				level_pending(below, p->layout)->truncated = true;
			}
		for (Pending *p = top->pending; p != NULL; p = p->next)
		{
			Pending    *into = level_pending(below, p->layout);

			crm_groups_merge(&into->groups, &p->groups);
		}
		drop_level();
	}
}

/*
 * Called when the library is loaded: a partition that is attached is counted
 * without any of our triggers having been called before.
 */
void
crm_rollup_init(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
}

/* ---- rows ---- */

/*
 * Evaluation is not re-entrant: a row counted within it would write over the
 * values it works with, and appending would empty the memory it adds to.  Only
 * functions that say they are immutable and are not can lead here.
 */
static void
refuse_in_evaluation(Relation rel)
{
	if (evaluating != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_ROLLUP),
				 errmsg("a function in a rollup changes table \"%s\", which has rollups",
						RelationGetRelationName(rel)),
				 errhint("Functions in keys, measures and filters of rollups must be immutable, and so change nothing.")));
}

/* Add one row of the source, seen through the plan of its relation. */
static void
add_row(Pending *p, RollupPlan *plan, TupleTableSlot *row, int sign)
{
	RollupLayout *layout = plan->layout;
	TupleTableSlot *out;
	MemoryContext old = MemoryContextSwitchTo(plan->econtext->ecxt_per_tuple_memory);

	evaluating = GetCurrentTransactionNestLevel();
	plan->econtext->ecxt_scantuple = row;
	out = ExecProject(plan->projection);
	evaluating = 0;
	for (int i = 0; i < layout->shape.nkeys; i++)
		if (layout->shape.keys[i].typlen == -1 && !out->tts_isnull[i])
			out->tts_values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(out->tts_values[i]));
	crm_groups_add(&p->groups, out->tts_values, out->tts_isnull,
				   out->tts_values + layout->shape.nkeys, out->tts_isnull + layout->shape.nkeys, sign);
	MemoryContextSwitchTo(old);
	ResetExprContext(plan->econtext);
}

/* What a trigger keeps from row to row of a statement. */
typedef struct TriggerCall
{
	int64		source;			/* the trigger's argument */
	RollupPlan *plan;			/* the one last used */
	MemoryContext held;			/* the plan is held by */
} TriggerCall;

static TriggerCall *
trigger_call(FunctionCallInfo fcinfo, const char *function)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TriggerCall *call = fcinfo->flinfo->fn_extra;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", function)));
	refuse_in_evaluation(trigdata->tg_relation);
	/* call information belongs to one trigger of one statement */
	if (call != NULL)
		return call;
	if (trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" needs one argument: the id of the rollup source",
						trigdata->tg_trigger->tgname),
				 errhint("Such triggers are made by crm.create_rollup().")));
	call = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(TriggerCall));
	call->source = strtoll(trigdata->tg_trigger->tgargs[0], NULL, 10);
	fcinfo->flinfo->fn_extra = call;
	return call;
}

/*
 * The plan for a row or TRUNCATE trigger, which must stand on a part of the
 * source.  It is held for the statement, not anew for each row.  One that is out
 * of date can be let go of: rows are counted one after the other.
 */
static RollupPlan *
trigger_plan(FunctionCallInfo fcinfo, TriggerCall *call)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	MemoryContext old;

	if (call->plan != NULL && crm_kept_current(call->plan->entry))
		return call->plan;
	call->plan = NULL;
	if (call->held == NULL)
		call->held = AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "crm rollup trigger",
										   ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(call->held);
	old = MemoryContextSwitchTo(call->held);
	call->plan = crm_rollup_plan(call->source, trigdata->tg_relation);
	MemoryContextSwitchTo(old);
	if (!call->plan->feeds)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is no part of the table that rollup source " INT64_FORMAT " stands for",
						RelationGetRelationName(trigdata->tg_relation), call->source),
				 errhint("Drop trigger \"%s\"; such triggers are made by crm.create_rollup().",
						 trigdata->tg_trigger->tgname)));
	return call->plan;
}

/* Evaluate as the definer; the path matters only where names are looked up. */
static void
become_definer(const RollupLayout *layout, CrmOwnerSwitch *saved)
{
	if (layout->looks_up)
		crm_become(layout->owner, saved);
	else
		crm_take_identity(layout->owner, saved);
}

PG_FUNCTION_INFO_V1(crm_rollup_row);

/* crm.rollup_row(source) -- AFTER ROW: collect the deltas of a row. */
Datum
crm_rollup_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TriggerCall *call = trigger_call(fcinfo, "crm.rollup_row");
	RollupPlan *plan;
	Level	   *level;
	Pending    *p;
	CrmOwnerSwitch saved;

	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER ROW", "crm.rollup_row")));

	plan = trigger_plan(fcinfo, call);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) &&
		!crm_rollup_row_changed(plan, trigdata->tg_trigslot, trigdata->tg_newslot))
		return PointerGetDatum(NULL);
	level = current_level();
	p = level_pending(level, plan->layout);
	become_definer(plan->layout, &saved);
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		add_row(p, plan, trigdata->tg_trigslot, 1);
	else
	{
		add_row(p, plan, trigdata->tg_trigslot, -1);
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			add_row(p, plan, trigdata->tg_newslot, 1);
	}
	crm_become_self(&saved);
	if (p->groups.ngroups >= SPILL_GROUPS)
		append_level(level);
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(crm_rollup_flush);

/* crm.rollup_flush(source) -- AFTER STATEMENT: append what was collected. */
Datum
crm_rollup_flush(PG_FUNCTION_ARGS)
{
	(void) trigger_call(fcinfo, "crm.rollup_flush");

	if (top != NULL && top->nest == GetCurrentTransactionNestLevel())
		append_level(top);
	return PointerGetDatum(NULL);
}

/*
 * Count every row of a relation in or out: a partition that comes or goes as
 * a whole.  The caller holds a lock that keeps writers out.
 */
void
crm_rollup_count_relation(int64 source, Relation rel, int sign)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	RollupPlan *plan = crm_rollup_plan(source, rel);
	Level	   *level = current_level();
	CrmOwnerSwitch saved;

	refuse_in_evaluation(rel);
	become_definer(plan->layout, &saved);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		Pending    *p = level_pending(level, plan->layout);

		CHECK_FOR_INTERRUPTS();
		add_row(p, plan, slot, sign);
		if (p->groups.ngroups >= SPILL_GROUPS)
			append_level(level);
	}
	crm_become_self(&saved);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	append_level(level);
}

/* Empty the delta table of a source and all bases fed by it. */
static void
truncate_storage(int64 source, RollupLayout *layout)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1];
	StringInfoData sql;
	CrmOwnerSwitch saved;

	crm_connect_as(crm_table_owner(layout->delta), &saved);
	values[0] = Int64GetDatum(source);
	crm_execute("SELECT pg_catalog.format('%I.%I', 'crm_internal', r.base_table) "
				"FROM crm.rollups AS r WHERE r.source_id = $1 ORDER BY r.id",
				1, types, values, NULL, false, 0);
	initStringInfo(&sql);
	appendStringInfo(&sql, "TRUNCATE crm_internal.%s",
					 quote_identifier(get_rel_name(layout->delta)));
	for (uint64 i = 0; i < SPI_processed; i++)
		appendStringInfo(&sql, ", %s",
						 SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	crm_execute_once(sql.data, 0, NULL, NULL, NULL, false, 0);
	crm_disconnect_self(&saved);
}

PG_FUNCTION_INFO_V1(crm_rollup_truncate);

/*
 * crm.rollup_truncate(source) -- BEFORE and AFTER TRUNCATE of the source,
 * BEFORE TRUNCATE of its partitions.
 *
 * When the source itself is truncated, its rollups are, in the same
 * transaction and under the same locks.  A partition truncated alone is
 * counted out.  Between the two triggers of the source its partitions know
 * that they need not.
 */
Datum
crm_rollup_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TriggerCall *call = trigger_call(fcinfo, "crm.rollup_truncate");
	int64		source = call->source;
	RollupPlan *plan;
	Truncation **link;

	if (!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired for TRUNCATE", "crm.rollup_truncate")));

	plan = trigger_plan(fcinfo, call);
	for (link = &truncations; *link != NULL; link = &(*link)->next)
		if ((*link)->source == source)
			break;

	if (plan->relid != plan->layout->shape.root)
	{
		if (*link == NULL)
			crm_rollup_count_relation(source, trigdata->tg_relation, -1);
	}
	else if (TRIGGER_FIRED_BEFORE(trigdata->tg_event))
	{
		Truncation *t = MemoryContextAlloc(TopTransactionContext, sizeof(Truncation));

		t->source = source;
		t->nest = GetCurrentTransactionNestLevel();
		t->next = truncations;
		truncations = t;
	}
	else
	{
		Level	   *level = current_level();
		Pending    *p = level_pending(level, plan->layout);

		if (*link != NULL)
			*link = (*link)->next;
		forget_source(level, source);
		p->truncated = true;
		truncate_storage(source, plan->layout);
	}
	return PointerGetDatum(NULL);
}
