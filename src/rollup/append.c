/*
 * append.c
 *	  Writing collected sums to the delta table of their source.
 *
 * Straight into the heap: the table is ours, without index, constraint or
 * trigger, and nobody needs a right to it to have his row counted.
 */
#include "rollup/rollup.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define INSERT_BATCH 500
#define FOLD_GROUPS 10000		/* deltas worth a fold before the minute is over */
#define FOLD_BLOCKS 64			/* about as many */

/* Each time so many blocks have been filled, the worker may look at them. */
static void
wake_folder(ItemPointer last)
{
	if (ItemPointerGetBlockNumber(last) % FOLD_BLOCKS == FOLD_BLOCKS - 1)
		crm_wake_worker_at(GetCurrentStatementStartTimestamp());
}

/* Nearly always one or two; a count beyond integer makes more. */
static void
append_few(Relation rel, RollupLayout *layout, RollupGroups *groups, CommandId cid)
{
	int			i = 0;

	while (i < groups->ngroups)
	{
		int			used = 0;

		while (used < ROLLUP_FEW && i < groups->ngroups)
		{
			TupleTableSlot *slot = ExecClearTuple(layout->slots[used]);

			if (!crm_groups_take(groups, i, slot->tts_values, slot->tts_isnull))
			{
				i++;
				continue;
			}
			ExecStoreVirtualTuple(slot);
			used++;
		}
		if (used == 1)
		{
			HeapTuple	tuple = heap_form_tuple(RelationGetDescr(rel), layout->slots[0]->tts_values,
												layout->slots[0]->tts_isnull);

			heap_insert(rel, tuple, cid, 0, NULL);
			wake_folder(&tuple->t_self);
		}
		else if (used > 1)
		{
			table_multi_insert(rel, layout->slots, used, cid, 0, NULL);
			wake_folder(&layout->slots[0]->tts_tid);
		}
		/* the values are in the memory of this call */
		while (used > 0)
			ExecClearTuple(layout->slots[--used]);
	}
}

static void
append_many(Relation rel, RollupGroups *groups, CommandId cid)
{
	TupleTableSlot *slots[INSERT_BATCH];
	BulkInsertState bulk = groups->ngroups > 1000 ? GetBulkInsertState() : NULL;
	MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "crm rollup batch",
												ALLOCSET_DEFAULT_SIZES);
	int			made = 0;
	int			used = 0;
	int			i = 0;

	while (i < groups->ngroups || used > 0)
	{
		MemoryContext old;
		bool		any = false;

		if (used == made)
			slots[made++] = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
		old = MemoryContextSwitchTo(batch);
		if (i < groups->ngroups)
		{
			ExecClearTuple(slots[used]);
			any = crm_groups_take(groups, i, slots[used]->tts_values, slots[used]->tts_isnull);
			if (!any)
				i++;
			else
				ExecStoreVirtualTuple(slots[used++]);
		}
		if (used == INSERT_BATCH || (used > 0 && i == groups->ngroups))
		{
			CHECK_FOR_INTERRUPTS();
			table_multi_insert(rel, slots, used, cid, 0, bulk);
			MemoryContextReset(batch);
			used = 0;
		}
		MemoryContextSwitchTo(old);
	}
	if (groups->ngroups >= FOLD_GROUPS)
		crm_wake_worker_at(GetCurrentStatementStartTimestamp());
	while (made > 0)
		ExecDropSingleTupleTableSlot(slots[--made]);
	if (bulk != NULL)
		FreeBulkInsertState(bulk);
	MemoryContextDelete(batch);
}

/* Append what was collected for one source. */
void
crm_rollup_append(RollupLayout *layout, RollupGroups *groups)
{
	Relation	rel;

	if (groups->ngroups == 0)
		return;
	rel = try_table_open(layout->delta, RowExclusiveLock);
	if (rel == NULL || RelationGetDescr(rel)->natts != layout->shape.natts)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_ROLLUP),
				 errmsg("rollups of table \"%s\" were redefined by the statement that changes it",
						get_rel_name(layout->shape.root)),
				 errhint("Define rollups in a statement of their own, not in a function or trigger that the change calls.")));
	if (groups->ngroups <= ROLLUP_FEW)
		append_few(rel, layout, groups, GetCurrentCommandId(true));
	else
		append_many(rel, groups, GetCurrentCommandId(true));
	/* the lock is held to the end of the transaction, as for any writer */
	table_close(rel, NoLock);
}
