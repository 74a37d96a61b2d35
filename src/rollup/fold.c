/*
 * fold.c
 *	  Folding: moving pending deltas into the bases.
 *
 * Deltas are deleted one by one and added up in memory, one table of groups a
 * base; then each group is added to its row of the base, found by the unique
 * index.  All of it is one command of one transaction, so a snapshot sees
 * either the deltas or their sums.  The caller keeps other folders out by an
 * advisory lock; hence the newest state of a base can be read once and
 * written without a lock on its rows, which an upsert would take and log.
 */
#include "rollup/rollup.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/sortsupport.h"

/* One base that deltas go into. */
typedef struct Base
{
	Relation	rel;
	RollupShape shape;
	AttrNumber *key_from;		/* columns of the delta table */
	AttrNumber *measure_from;
	bool	   *measure_short;	/* integer there, bigint here */
	RollupGroups groups;

	/* for writing */
	EState	   *estate;
	ResultRelInfo *result;
	EPQState	epq;
	TupleTableSlot *found;
	TupleTableSlot *put;
	Relation	index;			/* NULL: a single group without keys */
	int		   *index_key;		/* column of the index to key */
	IndexScanDesc scan;
	ScanKey		scan_keys;
	SortSupport sort;			/* by column of the index */
	ExprState **defaults;		/* of columns the owner has added */
} Base;

static void
require_right(Relation rel, AclMode mode)
{
	if (pg_class_aclmask(RelationGetRelid(rel), GetUserId(), mode, ACLMASK_ALL) != mode)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(rel));
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of table \"%s\" are hidden by row security",
						RelationGetRelationName(rel)),
				 errhint("Fold as the role that owns the CRM.")));
}

/* k<n> and m<n>; the owner may have added others. */
static bool
is_engine_column(const char *name)
{
	return (name[0] == 'k' || name[0] == 'm') && name[1] != '\0' &&
		strspn(name + 1, "0123456789") == strlen(name + 1);
}

/* The columns of a base that the delta table has too, by their names. */
static void
find_shape(Base *base, Relation delta, Oid root)
{
	TupleDesc	desc = RelationGetDescr(base->rel);
	RollupShape *shape = &base->shape;

	shape->root = root;
	shape->natts = desc->natts;
	shape->keys = palloc0(sizeof(RollupKey) * desc->natts);
	shape->measures = palloc0(sizeof(RollupMeasure) * desc->natts);
	base->key_from = palloc0(sizeof(AttrNumber) * desc->natts);
	base->measure_from = palloc0(sizeof(AttrNumber) * desc->natts);
	base->measure_short = palloc0(sizeof(bool) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		AttrNumber	from;

		if (att->attisdropped || !is_engine_column(NameStr(att->attname)))
			continue;
		from = get_attnum(RelationGetRelid(delta), NameStr(att->attname));
		if (from <= 0)
			continue;
		if (NameStr(att->attname)[0] == 'k')
		{
			RollupKey  *key = &shape->keys[shape->nkeys];

			key->attno = i + 1;
			key->typlen = att->attlen;
			key->typbyval = att->attbyval;
			base->key_from[shape->nkeys++] = from;
		}
		else
		{
			RollupMeasure *measure = &shape->measures[shape->nmeasures];

			measure->attno = i + 1;
			measure->kind = att->atttypid == NUMERICOID ? MEASURE_NUMERIC : MEASURE_INTEGER;
			shape->has_numeric |= measure->kind == MEASURE_NUMERIC;
			base->measure_short[shape->nmeasures] =
				TupleDescAttr(RelationGetDescr(delta), from - 1)->atttypid == INT4OID;
			base->measure_from[shape->nmeasures++] = from;
		}
	}
}

/* The unique index over the keys, whatever their order in it. */
static void
find_index(Base *base)
{
	RollupShape *shape = &base->shape;

	if (shape->nkeys == 0)
		return;
	base->index_key = palloc(sizeof(int) * shape->nkeys);
	for (int i = 0; i < base->result->ri_NumIndices; i++)
	{
		Relation	index = base->result->ri_IndexRelationDescs[i];
		int			matched = 0;

		if (!index->rd_index->indisunique || !index->rd_index->indisvalid ||
			index->rd_indpred != NIL || index->rd_rel->relam != BTREE_AM_OID ||
			index->rd_index->indnkeyatts != shape->nkeys)
			continue;
		for (int c = 0; c < shape->nkeys; c++)
			for (int k = 0; k < shape->nkeys; k++)
				if (index->rd_index->indkey.values[c] == shape->keys[k].attno)
				{
					base->index_key[c] = k;
					matched++;
				}
		if (matched == shape->nkeys)
		{
			base->index = index;
			break;
		}
	}
	if (base->index == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_ROLLUP),
				 errmsg("table \"%s\" has lost the unique index over its keys",
						RelationGetRelationName(base->rel)),
				 errhint("Create it again, with NULLS NOT DISTINCT, over all columns whose name begins with k.")));

	base->scan_keys = palloc0(sizeof(ScanKeyData) * shape->nkeys);
	base->sort = palloc0(sizeof(SortSupportData) * shape->nkeys);
	for (int c = 0; c < shape->nkeys; c++)
	{
		Oid			family = base->index->rd_opfamily[c];
		Oid			type = base->index->rd_opcintype[c];
		Oid			equal = get_opfamily_member(family, type, type, BTEqualStrategyNumber);
		Oid			less = get_opfamily_member(family, type, type, BTLessStrategyNumber);
		SortSupport sort = &base->sort[c];

		if (!OidIsValid(equal) || !OidIsValid(less))
			elog(ERROR, "index \"%s\" lacks an operator", RelationGetRelationName(base->index));
		ScanKeyInit(&base->scan_keys[c], c + 1, BTEqualStrategyNumber, get_opcode(equal), 0);
		base->scan_keys[c].sk_collation = base->index->rd_indcollation[c];
		sort->ssup_cxt = CurrentMemoryContext;
		sort->ssup_collation = base->index->rd_indcollation[c];
		PrepareSortSupportFromOrderingOp(less, sort);
	}
}

static void
open_base(Base *base, Oid relid, Relation delta, Oid root)
{
	TupleDesc	desc;

	base->rel = table_open(relid, RowExclusiveLock);
	if (base->rel->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" holds the sums of a rollup and must be an ordinary table",
						RelationGetRelationName(base->rel)),
				 errhint("Drop the rollup with crm.drop_rollup() and create it again.")));
	require_right(base->rel, ACL_INSERT | ACL_UPDATE);
	find_shape(base, delta, root);
	crm_groups_init(&base->groups, &base->shape,
					AllocSetContextCreate(CurrentMemoryContext, "crm rollup fold",
										  ALLOCSET_DEFAULT_SIZES));

	base->estate = CreateExecutorState();
	base->result = makeNode(ResultRelInfo);
	InitResultRelInfo(base->result, base->rel, 0, NULL, 0);
	ExecOpenIndices(base->result, false);
	EvalPlanQualInit(&base->epq, base->estate, NULL, NIL, -1, NIL);
	find_index(base);

	desc = RelationGetDescr(base->rel);
	base->found = table_slot_create(base->rel, NULL);
	base->put = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	base->defaults = palloc0(sizeof(ExprState *) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr	   *expr;

		if (att->attisdropped || att->attgenerated || !att->atthasdef)
			continue;
		expr = (Expr *) build_column_default(base->rel, i + 1);
		if (expr != NULL)
			base->defaults[i] = ExecPrepareExpr(expr, base->estate);
	}
}

static void
close_base(Base *base)
{
	if (base->scan != NULL)
		index_endscan(base->scan);
	ExecDropSingleTupleTableSlot(base->found);
	ExecDropSingleTupleTableSlot(base->put);
	EvalPlanQualEnd(&base->epq);
	ExecCloseIndices(base->result);
	FreeExecutorState(base->estate);
	table_close(base->rel, NoLock);
}

/* Add a row of deltas to the sums of one base. */
static void
collect(Base *base, TupleTableSlot *row, Datum *values, bool *nulls)
{
	RollupShape *shape = &base->shape;

	for (int i = 0; i < shape->nkeys; i++)
	{
		values[i] = row->tts_values[base->key_from[i] - 1];
		nulls[i] = row->tts_isnull[base->key_from[i] - 1];
		if (shape->keys[i].typlen == -1 && !nulls[i])
			values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(values[i]));
	}
	for (int i = 0; i < shape->nmeasures; i++)
	{
		Datum		value = row->tts_values[base->measure_from[i] - 1];

		nulls[shape->nkeys + i] = row->tts_isnull[base->measure_from[i] - 1];
		values[shape->nkeys + i] = base->measure_short[i] ?
			Int64GetDatum(DatumGetInt32(value)) : value;
	}
	crm_groups_add(&base->groups, values, nulls, values + shape->nkeys,
				   nulls + shape->nkeys, 1);
}

static int
compare_groups(const void *a, const void *b, void *arg)
{
	Base	   *base = (Base *) arg;
	bool	   *anulls;
	bool	   *bnulls;
	Datum	   *akeys = crm_groups_keys(&base->groups, *(const int *) a, &anulls);
	Datum	   *bkeys = crm_groups_keys(&base->groups, *(const int *) b, &bnulls);

	for (int c = 0; c < base->shape.nkeys; c++)
	{
		int			k = base->index_key[c];
		int			order = ApplySortComparator(akeys[k], anulls[k], bkeys[k], bnulls[k],
												&base->sort[c]);

		if (order != 0)
			return order;
	}
	return 0;
}

/*
 * A fold in a REPEATABLE READ transaction must not take up what its snapshot
 * does not see: its own reports would no longer agree with its facts.
 */
static void
require_visible(Base *base, Snapshot snapshot)
{
	bool		isnull;
	TransactionId xmin;

	if (!IsolationUsesXactSnapshot() ||
		table_tuple_satisfies_snapshot(base->rel, base->found, snapshot))
		return;
	xmin = DatumGetTransactionId(slot_getsysattr(base->found, MinTransactionIdAttributeNumber,
												 &isnull));
	if (!TransactionIdIsCurrentTransactionId(xmin))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access due to concurrent update")));
}

/* The row of a base that has the keys of a group. */
static bool
find_row(Base *base, int number, Snapshot newest, Snapshot own)
{
	bool	   *nulls;
	Datum	   *keys = crm_groups_keys(&base->groups, number, &nulls);
	MemoryContext old;
	bool		any;

	if (base->index == NULL)
	{
		TableScanDesc scan = table_beginscan(base->rel, newest, 0, NULL);

		any = table_scan_getnextslot(scan, ForwardScanDirection, base->found);
		/* judged while the row still is in its buffer */
		if (any)
			require_visible(base, own);
		if (any)
			ExecMaterializeSlot(base->found);
		table_endscan(scan);
		return any;
	}
	for (int c = 0; c < base->shape.nkeys; c++)
	{
		ScanKey		key = &base->scan_keys[c];
		int			k = base->index_key[c];

		key->sk_argument = keys[k];
		key->sk_flags = nulls[k] ? SK_ISNULL | SK_SEARCHNULL : 0;
	}
	/* what a scan keeps for later it allocates on the way */
	old = MemoryContextSwitchTo(base->estate->es_query_cxt);
	index_rescan(base->scan, base->scan_keys, base->shape.nkeys, NULL, 0);
	any = index_getnext_slot(base->scan, ForwardScanDirection, base->found);
	MemoryContextSwitchTo(old);
	if (any)
		require_visible(base, own);
	return any;
}

static Datum
add_up(RollupShape *shape, RollupMeasureKind kind, Datum a, Datum b)
{
	if (kind == MEASURE_NUMERIC)
		return DirectFunctionCall2(numeric_add, a, b);
	crm_rollup_add_integer(shape, &a, DatumGetInt64(b), 1);
	return a;
}

/* Add one group to the base, in memory that the caller resets. */
static void
apply_group(Base *base, int number, Snapshot newest, Snapshot own)
{
	RollupShape *shape = &base->shape;
	TupleTableSlot *put = ExecClearTuple(base->put);
	Datum	   *values = palloc(sizeof(Datum) * shape->natts);
	bool	   *nulls = palloc(sizeof(bool) * shape->natts);

	if (!crm_groups_take(&base->groups, number, values, nulls))
		return;
	if (find_row(base, number, newest, own))
	{
		slot_getallattrs(base->found);
		memcpy(put->tts_values, base->found->tts_values, sizeof(Datum) * shape->natts);
		memcpy(put->tts_isnull, base->found->tts_isnull, sizeof(bool) * shape->natts);
		for (int i = 0; i < shape->nmeasures; i++)
		{
			RollupMeasure *measure = &shape->measures[i];
			int			at = measure->attno - 1;

			if (nulls[at])
				continue;
			put->tts_values[at] = put->tts_isnull[at] ? values[at] :
				add_up(shape, measure->kind, put->tts_values[at], values[at]);
			put->tts_isnull[at] = false;
		}
		ExecStoreVirtualTuple(put);
		ExecSimpleRelationUpdate(base->result, base->estate, &base->epq, base->found, put);
	}
	else
	{
		ExprContext *econtext = GetPerTupleExprContext(base->estate);

		for (int i = 0; i < shape->natts; i++)
		{
			put->tts_isnull[i] = base->defaults[i] == NULL;
			if (base->defaults[i] != NULL)
				put->tts_values[i] = ExecEvalExprSwitchContext(base->defaults[i], econtext,
															   &put->tts_isnull[i]);
		}
		for (int i = 0; i < shape->nkeys; i++)
		{
			int			at = shape->keys[i].attno - 1;

			put->tts_values[at] = values[at];
			put->tts_isnull[at] = nulls[at];
		}
		for (int i = 0; i < shape->nmeasures; i++)
		{
			int			at = shape->measures[i].attno - 1;

			put->tts_values[at] = !nulls[at] ? values[at] :
				shape->measures[i].kind == MEASURE_NUMERIC ? NumericGetDatum(int64_to_numeric(0)) :
				Int64GetDatum(0);
			put->tts_isnull[at] = false;
		}
		ExecStoreVirtualTuple(put);
		ExecSimpleRelationInsert(base->result, base->estate, put);
	}
	ResetPerTupleExprContext(base->estate);
}

/* Add all that was collected to one base, in the order of its index. */
static void
apply_groups(Base *base, Snapshot newest, Snapshot own)
{
	int			n = base->groups.ngroups;
	int		   *order;
	MemoryContext row;
	MemoryContext old;

	if (n == 0)
		return;
	order = palloc_extended(sizeof(int) * n, MCXT_ALLOC_HUGE);
	for (int i = 0; i < n; i++)
		order[i] = i;
	if (base->index != NULL && n > 1)
	{
		int			last = 0;

		qsort_arg(order, n, sizeof(int), compare_groups, base);
		/* keys that are equal but not the same bytes are one row */
		for (int i = 1; i < n; i++)
		{
			if (compare_groups(&order[last], &order[i], base) == 0)
				crm_groups_unite(&base->groups, order[last], order[i]);
			else
				last = i;
		}
	}
	if (base->index != NULL && base->scan == NULL)
		base->scan = index_beginscan(base->rel, base->index, newest, NULL, base->shape.nkeys, 0);
	row = AllocSetContextCreate(CurrentMemoryContext, "crm rollup fold row",
								ALLOCSET_DEFAULT_SIZES);
	base->estate->es_snapshot = newest;
	base->estate->es_output_cid = GetCurrentCommandId(true);
	old = MemoryContextSwitchTo(row);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		apply_group(base, order[i], newest, own);
		MemoryContextReset(row);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row);
	pfree(order);
	MemoryContextReset(base->groups.cx);
	crm_groups_init(&base->groups, &base->shape, base->groups.cx);
}

static void
apply_all(Base *bases, int nbases, Snapshot own)
{
	for (int i = 0; i < nbases; i++)
		apply_groups(&bases[i], GetActiveSnapshot(), own);
	/* what is folded next must see this */
	CommandCounterIncrement();
	UpdateActiveSnapshotCommandId();
}

/* The bases of a source, opened; the lock order is deltas, then bases. */
static Base *
open_bases(int64 source, Relation delta, int *nbases)
{
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(source)};
	MemoryContext mine = CurrentMemoryContext;
	Oid			nsp = get_namespace_oid("crm_internal", false);
	Oid		   *relids;
	Oid			root = InvalidOid;
	Base	   *bases;

	/* as it is now: an older snapshot would leave a newer rollup out for ever */
	crm_connect();
	crm_read_config("SELECT r.base_table, s.source::pg_catalog.oid FROM crm.rollups AS r "
					"JOIN crm.rollup_sources AS s ON s.id OPERATOR(pg_catalog.=) r.source_id "
					"WHERE r.source_id OPERATOR(pg_catalog.=) $1 ORDER BY r.id", 1, types, values);
	*nbases = SPI_processed;
	relids = MemoryContextAlloc(mine, sizeof(Oid) * Max(*nbases, 1));
	for (int i = 0; i < *nbases; i++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		bool		isnull;

		relids[i] = get_relname_relid(name, nsp);
		root = DatumGetObjectId(crm_spi_value(i, 2, &isnull));
		if (!OidIsValid(relids[i]))
			ereport(ERROR,
					(errcode(ERRCODE_CRM_ROLLUP),
					 errmsg("table \"crm_internal.%s\" of a rollup is missing", name),
					 errhint("Find the rollup in crm.rollup_status, drop it with crm.drop_rollup() and create it again.")));
	}
	crm_disconnect();
	bases = palloc0(sizeof(Base) * Max(*nbases, 1));
	for (int i = 0; i < *nbases; i++)
		open_base(&bases[i], relids[i], delta, root);
	return bases;
}

PG_FUNCTION_INFO_V1(crm_rollup_fold);

/*
 * crm.rollup_fold(source): move the pending deltas of a source into its
 * bases; returns how many there were.
 */
Datum
crm_rollup_fold(PG_FUNCTION_ARGS)
{
	int64		source = PG_GETARG_INT64(0);
	Relation	delta = table_open(crm_rollup_delta_oid(source, false), RowExclusiveLock);
	Snapshot	own = RegisterSnapshot(IsolationUsesXactSnapshot() ?
									   GetActiveSnapshot() : GetLatestSnapshot());
	MemoryContext fold = AllocSetContextCreate(CurrentMemoryContext, "crm rollup fold",
											   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(fold);
	MemoryContext row;
	int			nbases = 0;
	Base	   *bases = NULL;
	TupleTableSlot *slot;
	TableScanDesc scan;
	CommandId	cid;
	Datum	   *values;
	bool	   *nulls;
	int64		folded = 0;

	require_right(delta, ACL_SELECT | ACL_DELETE);
	CheckCmdReplicaIdentity(delta, CMD_DELETE);
	row = AllocSetContextCreate(fold, "crm rollup fold row", ALLOCSET_DEFAULT_SIZES);
	values = palloc(sizeof(Datum) * RelationGetDescr(delta)->natts);
	nulls = palloc(sizeof(bool) * RelationGetDescr(delta)->natts);

	PushCopiedSnapshot(GetLatestSnapshot());
	slot = table_slot_create(delta, NULL);
	scan = table_beginscan(delta, own, 0, NULL);
	cid = GetCurrentCommandId(true);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		TM_FailureData failure;
		TM_Result	result;

		if (bases == NULL)
			bases = open_bases(source, delta, &nbases);
		result = table_tuple_delete(delta, &slot->tts_tid, cid, own,
									InvalidSnapshot, true, &failure, false);
		if (result != TM_Ok)
		{
			/* somebody took it out by hand; or it was folded since our snapshot */
			if (IsolationUsesXactSnapshot())
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not serialize access due to concurrent delete")));
			continue;
		}
		slot_getallattrs(slot);
		MemoryContextSwitchTo(row);
		for (int i = 0; i < nbases; i++)
			collect(&bases[i], slot, values, nulls);
		MemoryContextSwitchTo(fold);
		MemoryContextReset(row);

		CHECK_FOR_INTERRUPTS();
		if (++folded % 1024 == 0 &&
			MemoryContextMemAllocated(fold, true) > maintenance_work_mem * (Size) 1024)
		{
			apply_all(bases, nbases, own);
			cid = GetCurrentCommandId(true);
		}
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	apply_all(bases, nbases, own);

	for (int i = 0; i < nbases; i++)
		close_base(&bases[i]);
	PopActiveSnapshot();
	UnregisterSnapshot(own);
	table_close(delta, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(fold);
	PG_RETURN_INT64(folded);
}
