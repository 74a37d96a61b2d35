/*
 * straight.c
 *	  Rows put straight into the heap of a table and into its indexes.
 *
 * A statement of SQL for a row costs several times what writing it does: the
 * server makes a tree of executor nodes for it, and reads the conditions of the
 * table and its indexes from the catalogue.  Here what depends on the table
 * alone is kept by the caller.  No trigger, condition or default of the table is
 * looked at: that is for the caller to do.
 */
#include "base/straight.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/executor.h"
#include "utils/rel.h"

/* In the memory context that is to hold it. */
void
crm_straight_prepare(CrmStraight *s, Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *cell;

	s->estate = CreateExecutorState();
	s->nindexes = 0;
	s->indexes = palloc(sizeof(Oid) * Max(list_length(indexes), 1));
	s->infos = palloc(sizeof(IndexInfo *) * Max(list_length(indexes), 1));
	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);

		s->indexes[s->nindexes] = lfirst_oid(cell);
		s->infos[s->nindexes++] = BuildIndexInfo(index);
		index_close(index, AccessShareLock);
	}
}

void
crm_straight_write(Relation rel, CrmStraight *s, int n, CrmFillSlot fill, const void *arg)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
	CommandId	command = GetCurrentCommandId(true);
	Relation   *indexes = palloc(sizeof(Relation) * Max(s->nindexes, 1));
	ResultRelInfo result = {0};

	InitResultRelInfo(&result, rel, 1, NULL, 0);
	for (int i = 0; i < s->nindexes; i++)
		indexes[i] = index_open(s->indexes[i], RowExclusiveLock);
	result.ri_NumIndices = s->nindexes;
	result.ri_IndexRelationDescs = indexes;
	result.ri_IndexRelationInfo = s->infos;
	for (int i = 0; i < n; i++)
	{
		ExecClearTuple(slot);
		memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
		fill(slot, i, arg);
		ExecStoreVirtualTuple(slot);
		table_tuple_insert(rel, slot, command, 0, NULL);
		(void) ExecInsertIndexTuples(&result, slot, s->estate, false, false, NULL, NIL, false);
		ResetPerTupleExprContext(s->estate);
	}
	for (int i = 0; i < s->nindexes; i++)
		index_close(indexes[i], NoLock);
	ExecDropSingleTupleTableSlot(slot);
	/* what comes after in this transaction sees them */
	CommandCounterIncrement();
}
