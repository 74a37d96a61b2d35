/*
 * points_top.c
 *	  The best leads of an instant, from the rank index.
 *
 * A lead is worth at most ceiling + 2^(key - t / H); see points.c.  The part that
 * does not decay takes few values, since it is a sum of the points of rules.  Each
 * ceiling is a list of leads in the order of their keys, so of their bounds,
 * and we read from the list whose next lead has the best bound, until that is
 * below the n-th best found: leads whose bound is lower are not looked at.
 * Lists are found one after the other, from the highest ceiling down, as long as
 * the best key of all leads on top of a ceiling could still matter.
 *
 * Among equal keys a list goes on by lead, as the ranking does: of the many
 * leads that are worth just their ceiling, no more are read than are wanted.
 *
 * The index is walked here and not by a query, since what is read next depends
 * on what was found: a query a ceiling took longer than all the rest.
 */
#include "base/crm.h"

#include <float.h>

#include "access/genam.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "scoring/points_sql.h"

PG_FUNCTION_INFO_V1(crm_points_top);

typedef struct Candidate
{
	int64		lead;
	double		unclamped;
	int128		score;			/* these two in units of the last digit */
	int128		sides;			/* fit + engagement */
	struct varlena *state;		/* as stored */
} Candidate;

/* Better first: by score, then by what it is without limits, both as they are shown, then by id. */
static int
candidate_cmp(const Candidate *a, const Candidate *b)
{
	if (a->score != b->score)
		return a->score > b->score ? -1 : 1;
	if (a->sides != b->sides)
		return a->sides > b->sides ? -1 : 1;
	return a->lead < b->lead ? -1 : a->lead > b->lead;
}

/* the worst on top of the heap */
static int
worst_first(Datum a, Datum b, void *arg)
{
	return candidate_cmp((Candidate *) DatumGetPointer(a), (Candidate *) DatumGetPointer(b));
}

static int
best_first(const void *a, const void *b)
{
	return candidate_cmp(*(Candidate *const *) a, *(Candidate *const *) b);
}

/* The server's heaps do not grow by themselves. */
static binaryheap *
wider_heap(binaryheap *heap, int most)
{
	heap->bh_space = Min(most, 2 * (int64) heap->bh_space);
	return repalloc_huge(heap, offsetof(binaryheap, bh_nodes) + sizeof(Datum) * heap->bh_space);
}

/* ---- the tables and indexes that are walked ---- */

/* Is this btree index over just these columns, in this order? */
static bool
is_over(Relation rel, Relation index, const char *const *columns, int n, bool partial)
{
	if (index->rd_rel->relam != BTREE_AM_OID || !index->rd_index->indisvalid ||
		index->rd_index->indcheckxmin ||
		IndexRelationGetNumberOfKeyAttributes(index) != n ||
		(RelationGetIndexPredicate(index) != NIL) != partial)
		return false;
	for (int i = 0; i < n; i++)
	{
		AttrNumber	att = index->rd_index->indkey.values[i];

		if (att <= 0 || strcmp(NameStr(TupleDescAttr(RelationGetDescr(rel), att - 1)->attname),
							   columns[i]) != 0)
			return false;
	}
	return true;
}

static Relation
open_index(Relation rel, const char *const *columns, int n, bool partial)
{
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (is_over(rel, index, columns, n, partial))
			return index;
		index_close(index, AccessShareLock);
	}
	return NULL;
}

/* The state of the walk, and what it has found. */
typedef struct Walk
{
	const PointsModel *m;
	int			n;
	TimestampTz at;
	Datum		tenant;
	Datum		model;
	binaryheap *heap;
	PointsScore score;			/* room to work in */
	MemoryContext row;
	MemoryContext found;
} Walk;

static inline const Candidate *
worst_of(const Walk *w)
{
	if (w->heap->bh_size < w->n)
		return NULL;
	return (Candidate *) DatumGetPointer(binaryheap_first(w->heap));
}

static void
judge(Walk *w, int64 lead, struct varlena *state)
{
	const Candidate *worst = worst_of(w);
	MemoryContext old = MemoryContextSwitchTo(w->row);
	Candidate	c = {.lead = lead};

	/* far more are looked at than kept */
	crm_points_evaluate(w->m,
						crm_points_unpack(w->m, DatumGetByteaPP(PointerGetDatum(state))),
						w->at, &w->score);
	c.unclamped = w->score.unclamped;
	c.score = crm_points_units(w->score.total);
	c.sides = crm_points_units(w->score.fit) + crm_points_units(w->score.engagement);
	if (worst == NULL || candidate_cmp(&c, worst) < 0)
	{
		Candidate  *kept;

		MemoryContextSwitchTo(w->found);
		kept = palloc(sizeof(Candidate));
		*kept = c;
		kept->state = (struct varlena *) PG_DETOAST_DATUM_COPY(PointerGetDatum(state));
		if (worst == NULL)
		{
			if (w->heap->bh_size == w->heap->bh_space)
				w->heap = wider_heap(w->heap, w->n);
			binaryheap_add(w->heap, PointerGetDatum(kept));
		}
		else
		{
			binaryheap_replace_first(w->heap, PointerGetDatum(kept));
			pfree(worst->state);
			pfree(unconstify(Candidate *, worst));
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(w->row);
}

typedef struct Columns
{
	AttrNumber	lead;
	AttrNumber	key;
	AttrNumber	state;
} Columns;

static Datum
value_of(TupleTableSlot *slot, AttrNumber att)
{
	bool		isnull;

	return slot_getattr(slot, att, &isnull);
}

/* The best rank key of all leads of the model, as rows with a key have an index of their own. */
static double
best_key(const Walk *w, Relation rel, const Columns *c, TupleTableSlot *slot)
{
	static const char *const columns[] = {"tenant_id", "model_id", "rank_key"};
	Relation	index = open_index(rel, columns, lengthof(columns), true);
	double		best = POINTS_NO_KEY;
	ScanKeyData keys[2];
	IndexScanDesc scan;

	if (index == NULL)
		return DBL_MAX;			/* unknown: every ceiling is looked at */
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, w->tenant);
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ, w->model);
	scan = index_beginscan(rel, index, GetActiveSnapshot(), NULL, lengthof(keys), 0);
	index_rescan(scan, keys, lengthof(keys), NULL, 0);
	if (index_getnext_slot(scan, ForwardScanDirection, slot))
		best = DatumGetFloat8(value_of(slot, c->key));
	index_endscan(scan);
	index_close(index, AccessShareLock);
	return best;
}

/* A row of the rank index, before it is known whether it is visible. */
typedef struct Entry
{
	double		ceiling;
	double		key;
	int64		lead;
	ItemPointerData tid;
} Entry;

/*
 * The leads of a ceiling, in the order of their keys.  What a visit to the
 * index finds comes by the page, so some entries are kept for the next turn.
 */
#define AHEAD 8
typedef struct LeadList
{
	Entry		ahead[AHEAD];
	int			n;
	int			next;			/* of ahead: the first that has not been looked at */
	bool		more;			/* there may be others behind them */
	double		bound;			/* of the next one */
} LeadList;

/* The index, and two scans of it: one for the next ceiling, one for going on below a ceiling. */
typedef struct Ranks
{
	Walk	   *w;
	IndexScanDesc ceilings;
	IndexScanDesc below;
	TupleTableSlot *slot;
	const Columns *c;
	binaryheap *lists;
} Ranks;

static IndexScanDesc
begin_scan(Relation rel, Relation index, int nkeys)
{
	IndexScanDesc scan = index_beginscan(rel, index, GetActiveSnapshot(), NULL, nkeys, 0);

	scan->xs_want_itup = true;
	return scan;
}

/* Go to the first entry whose ceiling is below another, or is the same with a key of at most. */
static void
go_to(const Walk *w, IndexScanDesc scan, double ceiling, double key)
{
	ScanKeyData keys[4];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, w->tenant);
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT8EQ, w->model);
	if (scan->numberOfKeys == 3)
		ScanKeyInit(&keys[2], 3, BTLessStrategyNumber, F_FLOAT8LT, Float8GetDatum(ceiling));
	else
		ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_FLOAT8EQ, Float8GetDatum(ceiling));
	ScanKeyInit(&keys[3], 4, BTLessEqualStrategyNumber, F_FLOAT8LE, Float8GetDatum(key));
	index_rescan(scan, keys, scan->numberOfKeys, NULL, 0);
}

static bool
next_entry(IndexScanDesc scan, Entry *e)
{
	TupleDesc	desc = RelationGetDescr(scan->indexRelation);
	bool		isnull;

	if (index_getnext_tid(scan, ForwardScanDirection) == NULL)
		return false;
	e->ceiling = DatumGetFloat8(index_getattr(scan->xs_itup, 3, desc, &isnull));
	e->key = DatumGetFloat8(index_getattr(scan->xs_itup, 4, desc, &isnull));
	e->lead = DatumGetInt64(index_getattr(scan->xs_itup, 5, desc, &isnull));
	e->tid = scan->xs_heaptid;
	return true;
}

/* In the order of the index, below one ceiling. */
static bool
is_behind(Entry *e, Entry *seen)
{
	if (e->key != seen->key)
		return e->key < seen->key;
	if (e->lead != seen->lead)
		return e->lead > seen->lead;
	return ItemPointerCompare(&e->tid, &seen->tid) > 0;
}

static int
best_bound_first(Datum a, Datum b, void *arg)
{
	double		x = ((LeadList *) DatumGetPointer(a))->bound;
	double		y = ((LeadList *) DatumGetPointer(b))->bound;

	return x < y ? -1 : x > y;
}

/* The bound of the best list that is left. */
static double
best_bound(const Ranks *r)
{
	if (r->lists->bh_size == 0)
		return -DBL_MAX;
	return ((LeadList *) DatumGetPointer(binaryheap_first(r->lists)))->bound;
}

static double
bound_of(const Ranks *r, const Entry *e)
{
	return crm_points_rank_bound(r->w->m, e->ceiling, e->key, r->w->at);
}

/* A list waits for its turn, from the entry on that a scan stands on. */
static void
add_list(Ranks *r, LeadList *list, IndexScanDesc scan, const Entry *first)
{
	if (scan)
	{
		list->next = 0;
		list->n = 1;
		list->ahead[0] = *first;
		while (list->n < AHEAD && next_entry(scan, &list->ahead[list->n]) &&
			   list->ahead[list->n].ceiling == first->ceiling)
			list->n++;
		list->more = list->n == AHEAD;
	}
	list->bound = bound_of(r, &list->ahead[list->next]);
	if (r->lists->bh_size == r->lists->bh_space)
		r->lists = wider_heap(r->lists, INT_MAX);
	binaryheap_add(r->lists, PointerGetDatum(list));
}

/* Whether to take an entry of a list, when the one before it had a key. */
typedef enum Turn
{
	TAKE,
	WAIT,						/* another list may have a better one */
	END							/* neither it nor any behind it is among the best */
} Turn;

static Turn
turn_of(const Ranks *r, const Entry *e, double key_before, double others)
{
	const Candidate *worst = worst_of(r->w);
	double		bound = bound_of(r, e);

	/*
	 * Bounds and ranking are by the sum before the limits, which orders as the
	 * total does where that differs.  What has no key is worth the ceiling at
	 * most, exactly, and comes in the order of leads.
	 */
	if (worst &&
		(bound < worst->unclamped ||
		 (e->key <= POINTS_NO_KEY && worst->unclamped >= e->ceiling && worst->lead < e->lead)))
		return END;
	return bound < others && e->key < key_before ? WAIT : TAKE;
}

/* Read leads from a list as long as no other may have a better one. */
static void
read_list(Ranks *r, LeadList *list, double others)
{
	double		key = list->ahead[list->next].key;
	Entry		seen;
	Entry		e;

	for (; list->next < list->n; list->next++)
	{
		bool		again = false;
		bool		dead;

		seen = list->ahead[list->next];
		switch (turn_of(r, &seen, key, others))
		{
			case END:
				return;
			case WAIT:
				add_list(r, list, NULL, NULL);
				return;
			case TAKE:
				break;
		}
		key = seen.key;
		if (table_index_fetch_tuple(r->below->xs_heapfetch, &list->ahead[list->next].tid,
									GetActiveSnapshot(), r->slot, &again, &dead))
			judge(r->w, seen.lead,
				  (struct varlena *) DatumGetPointer(value_of(r->slot, r->c->state)));
	}
	if (!list->more)
		return;
	go_to(r->w, r->below, seen.ceiling, seen.key);
	while (next_entry(r->below, &e))
	{
		CHECK_FOR_INTERRUPTS();
		if (!is_behind(&e, &seen))
			continue;
		switch (turn_of(r, &e, key, others))
		{
			case END:
				return;
			case WAIT:
				add_list(r, list, r->below, &e);
				return;
			case TAKE:
				break;
		}
		key = e.key;
		/* here, unlike above, the index learns which entries are dead */
		if (index_fetch_heap(r->below, r->slot))
			judge(r->w, e.lead, (struct varlena *) DatumGetPointer(value_of(r->slot, r->c->state)));
	}
}

static void
walk_index(Walk *w, Relation rel, Relation index, const Columns *c, TupleTableSlot *slot)
{
	Ranks		r = {.w = w, .slot = slot, .c = c};
	double		best = best_key(w, rel, c, slot);
	double		lowest = get_float8_infinity(); /* ceiling of the lists that are known */
	bool		all_known = false;

	r.ceilings = begin_scan(rel, index, 3);
	r.below = begin_scan(rel, index, 4);
	r.lists = binaryheap_allocate(64, best_bound_first, NULL);
	for (;;)
	{
		const Candidate *worst = worst_of(w);
		double		known = best_bound(&r);
		double		unknown =
			all_known ? -DBL_MAX : crm_points_rank_bound(w->m, lowest, best, w->at);

		CHECK_FOR_INTERRUPTS();
		if (worst && Max(known, unknown) < worst->unclamped)
			break;
		if (!all_known && unknown >= known)
		{
			Entry		e;

			go_to(w, r.ceilings, lowest, 0);
			if (next_entry(r.ceilings, &e))
			{
				lowest = e.ceiling;
				add_list(&r, palloc(sizeof(LeadList)), r.ceilings, &e);
			}
			else
				all_known = true;
		}
		else if (r.lists->bh_size > 0)
		{
			LeadList   *list = (LeadList *) DatumGetPointer(binaryheap_remove_first(r.lists));

			read_list(&r, list, Max(best_bound(&r), unknown));
		}
		else
			break;
	}
	index_endscan(r.ceilings);
	index_endscan(r.below);
	binaryheap_free(r.lists);
}

/* Where the owner has dropped the index, all states are read. */
static void
walk_table(Walk *w, Relation rel, const Columns *c, TupleTableSlot *slot)
{
	AttrNumber	tenant = get_attnum(RelationGetRelid(rel), "tenant_id");
	AttrNumber	model = get_attnum(RelationGetRelid(rel), "model_id");
	TableScanDesc scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (value_of(slot, tenant) == w->tenant && value_of(slot, model) == w->model)
			judge(w, DatumGetInt64(value_of(slot, c->lead)),
				  (struct varlena *) DatumGetPointer(value_of(slot, c->state)));
	}
	table_endscan(scan);
}

static void
walk(Walk *w, Oid relid)
{
	static const char *const columns[] = {"tenant_id", "model_id", "ceiling", "rank_key",
										  "lead_id"};
	Relation	rel = table_open(relid, AccessShareLock);
	Relation	index;
	Columns		c;
	TupleTableSlot *slot;

	if (rel->rd_rel->relkind == RELKIND_RELATION)
	{
		c.lead = get_attnum(relid, "lead_id");
		c.key = get_attnum(relid, "rank_key");
		c.state = get_attnum(relid, "state");
		slot = table_slot_create(rel, NULL);
		index = open_index(rel, columns, lengthof(columns), false);
		if (index)
		{
			walk_index(w, rel, index, &c, slot);
			index_close(index, AccessShareLock);
		}
		else
			walk_table(w, rel, &c, slot);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(rel, AccessShareLock);
}

/* (tenant, model, definition, n, as_of) */
Datum
crm_points_top(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Walk		w = {.n = PG_GETARG_INT32(3), .at = PG_GETARG_TIMESTAMPTZ(4)};
	const PointsModel *m;
	Candidate **sorted;
	Oid			root = crm_table_oid("lead_scores", false);
	List	   *tables;
	ListCell   *lc;
	int			found;

	InitMaterializedSRF(fcinfo, 0);
	if (TIMESTAMP_NOT_FINITE(w.at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("an instant is infinite")));
	if (w.n <= 0)
		PG_RETURN_NULL();
	if (pg_class_aclcheck(root, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(root));
	if (check_enable_rls(root, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of table \"%s\" are hidden by row security", get_rel_name(root)),
				 errhint("Call crm.top_leads().")));
	w.m = m = crm_points_model(fcinfo, 2);
	w.tenant = PG_GETARG_DATUM(0);
	w.model = PG_GETARG_DATUM(1);
	w.heap = binaryheap_allocate(Min(w.n, 1024), worst_first, NULL);
	w.found = CurrentMemoryContext;
	w.row = AllocSetContextCreate(CurrentMemoryContext, "crm top leads row", ALLOCSET_DEFAULT_SIZES);
	crm_points_score_memory(m, &w.score);

	/* partitions, if the owner has made some, are walked one after the other */
	tables = find_all_inheritors(root, AccessShareLock, NULL);
	foreach(lc, tables)
		walk(&w, lfirst_oid(lc));

	found = w.heap->bh_size;
	sorted = palloc(sizeof(Candidate *) * Max(found, 1));
	for (int i = 0; i < found; i++)
		sorted[i] = (Candidate *) DatumGetPointer(w.heap->bh_nodes[i]);
	qsort(sorted, found, sizeof(Candidate *), best_first);
	for (int i = 0; i < found; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {0};
		PointsState *state = crm_points_unpack(m, (bytea *) sorted[i]->state);
		char	   *grade;

		crm_points_evaluate(m, state, w.at, &w.score);
		grade = crm_points_grade_text(m, state, &w.score);
		values[0] = Int64GetDatum(sorted[i]->lead);
		values[1] = crm_points_rounded(w.score.fit);
		values[2] = crm_points_rounded(w.score.engagement);
		values[3] = crm_points_rounded(w.score.total);
		nulls[4] = grade == NULL;
		if (grade)
			values[4] = CStringGetTextDatum(grade);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
