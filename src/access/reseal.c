/*
 * reseal.c
 *	  Bringing the values of a sealed column under the current key, while
 *	  everybody works.
 *
 * A value sealed anew is equal to what it was: its tag stays.  So nothing that
 * triggers, foreign keys, rollups or history look at has changed, and rows are
 * updated here as tuples, past all of them, in the order in which they lie in
 * the table.  An UPDATE by SQL would count versions on, announce events and
 * cost several times as much.  Logical replication sends them like any update.
 *
 * A row that somebody else is changing is passed over: the next pass finds it.
 */
#include "base/crm.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "access/keys.h"
#include "access/sealed_text.h"

/* What one call works on */
typedef struct Resealing
{
	Relation	rel;
	AttrNumber	column;
	Snapshot	snapshot;
	EState	   *estate;
	ResultRelInfo *result;
	TupleTableSlot *old;
	TupleTableSlot *new;
	TupleTableSlot *locked;		/* the row as it was when it was locked */
	LockTupleMode lock;			/* what writing the column asks for */
	int64		done;			/* values sealed anew */
	int64		busy;			/* rows that somebody else is changing */
	int64		closed;			/* values that do not open */
} Resealing;

static Oid
sealed_type(void)
{
	return GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("sealed_text"),
						   ObjectIdGetDatum(get_namespace_oid("crm", false)));
}

/* The table, if it is one of whoever asks. */
static Relation
open_table(Oid relid)
{
	Relation	rel = try_table_open(relid, RowExclusiveLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", relid)));
	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an ordinary table", RelationGetRelationName(rel)),
				 errhint("crm.reseal() takes partitioned tables as well.")));
	if (!object_ownercheck(RelationRelationId, relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));
	return rel;
}

static void
begin_resealing(Resealing *r, Relation rel, const char *column)
{
	Bitmapset  *keys;

	MemSet(r, 0, sizeof(*r));
	r->rel = rel;
	r->column = crm_typed_column(RelationGetDescr(rel), column, sealed_type());
	r->estate = CreateExecutorState();
	r->result = makeNode(ResultRelInfo);
	InitResultRelInfo(r->result, rel, 0, NULL, 0);
	ExecOpenIndices(r->result, false);
	r->old = table_slot_create(rel, &r->estate->es_tupleTable);
	r->new = table_slot_create(rel, &r->estate->es_tupleTable);
	r->locked = table_slot_create(rel, &r->estate->es_tupleTable);
	r->snapshot = RegisterSnapshot(GetLatestSnapshot());
	keys = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	r->lock = bms_is_member(r->column - FirstLowInvalidHeapAttributeNumber, keys) ?
		LockTupleExclusive : LockTupleNoKeyExclusive;
	bms_free(keys);
}

static void
end_resealing(Resealing *r)
{
	UnregisterSnapshot(r->snapshot);
	ExecCloseIndices(r->result);
	ExecResetTupleTable(r->estate->es_tupleTable, false);
	FreeExecutorState(r->estate);
	table_close(r->rel, NoLock);
}

/*
 * Store the row of the old slot with this value; false: somebody else is
 * changing it.  The row is locked first: an update that does not wait for a row
 * that is being changed is nothing PostgreSQL provides, and one that waits
 * while this transaction holds thousands of rows can be part of a deadlock.
 */
static bool
replace_value(Resealing *r, Datum value)
{
	TM_FailureData failure;
	LockTupleMode mode;
	TU_UpdateIndexes indexes = TU_None;
	int			natts = RelationGetDescr(r->rel)->natts;
	TM_Result	result;

	ExecClearTuple(r->new);
	memcpy(r->new->tts_values, r->old->tts_values, sizeof(Datum) * natts);
	memcpy(r->new->tts_isnull, r->old->tts_isnull, sizeof(bool) * natts);
	r->new->tts_values[r->column - 1] = value;
	ExecStoreVirtualTuple(r->new);
	ExecMaterializeSlot(r->new);
	r->new->tts_tableOid = RelationGetRelid(r->rel);
	if (RelationGetDescr(r->rel)->constr != NULL &&
		RelationGetDescr(r->rel)->constr->has_generated_stored)
		ExecComputeStoredGenerated(r->result, r->estate, r->new, CMD_INSERT);
	if (table_tuple_lock(r->rel, &r->old->tts_tid, r->snapshot, r->locked,
						 GetCurrentCommandId(true), r->lock, LockWaitSkip, 0, &failure) != TM_Ok)
		return false;
	result = table_tuple_update(r->rel, &r->old->tts_tid, r->new, GetCurrentCommandId(true),
								r->snapshot, InvalidSnapshot, true, &failure, &mode, &indexes);
	if (result != TM_Ok)
		return false;
	if (r->result->ri_NumIndices > 0 && indexes != TU_None)
		(void) ExecInsertIndexTuples(r->result, r->new, r->estate, true, false, NULL, NIL,
									 indexes == TU_Summarizing);
	return true;
}

static void
reseal_row(Resealing *r, uint32 current)
{
	bytea *sealed;
	bytea *anew;
	CrmSealedHead head;

	if (r->old->tts_isnull[r->column - 1])
		return;
	sealed = PG_DETOAST_DATUM_PACKED(r->old->tts_values[r->column - 1]);
	if (!crm_sealed_read((unsigned char *) VARDATA_ANY(sealed), VARSIZE_ANY_EXHDR(sealed), &head) ||
		head.key == current)
		return;
	/* its key has gone, or it was changed: counted, and no reason to stop */
	anew = crm_seal_anew(sealed);
	if (anew == NULL)
		r->closed++;
	else if (replace_value(r, PointerGetDatum(anew)))
		r->done++;
	else
		r->busy++;
}

PG_FUNCTION_INFO_V1(crm_reseal_rows);

/*
 * crm.reseal_rows(relation, column, block, batch) -> {values sealed anew, rows
 * that somebody else is changing, values that do not open, block to go on with
 * or -1 at the end}
 */
Datum
crm_reseal_rows(PG_FUNCTION_ARGS)
{
	Resealing	r;
	Datum		results[4];
	int64		block = PG_GETARG_INT64(2);
	int64		batch = Max(PG_GETARG_INT32(3), 1);
	uint32		current = crm_current_key();
	BlockNumber blocks;
	MemoryContext caller = CurrentMemoryContext;

	begin_resealing(&r, open_table(PG_GETARG_OID(0)), NameStr(*PG_GETARG_NAME(1)));
	blocks = RelationGetNumberOfBlocks(r.rel);
	for (; block >= 0 && block < blocks && r.done < batch; block++)
	{
		ItemPointerData first;
		ItemPointerData last;
		TableScanDesc scan;

		CHECK_FOR_INTERRUPTS();
		ItemPointerSet(&first, (BlockNumber) block, FirstOffsetNumber);
		ItemPointerSet(&last, (BlockNumber) block, MaxOffsetNumber);
		scan = table_beginscan_tidrange(r.rel, r.snapshot, &first, &last);
		while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, r.old))
		{
			slot_getallattrs(r.old);
			MemoryContextSwitchTo(GetPerTupleMemoryContext(r.estate));
			reseal_row(&r, current);
			MemoryContextSwitchTo(caller);
			ResetPerTupleExprContext(r.estate);
		}
		table_endscan(scan);
	}
	results[0] = Int64GetDatum(r.done);
	results[1] = Int64GetDatum(r.busy);
	results[2] = Int64GetDatum(r.closed);
	results[3] = Int64GetDatum(block < blocks ? block : -1);
	end_resealing(&r);
	PG_RETURN_ARRAYTYPE_P(construct_array(results, 4, INT8OID, 8, FLOAT8PASSBYVAL,
										  TYPALIGN_DOUBLE));
}
