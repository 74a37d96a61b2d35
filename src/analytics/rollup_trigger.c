/*
 * rollup_trigger.c
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
#include "rollup.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define SEARCH_LINEARLY 8		/* groups without a hash table */
#define SPILL_GROUPS 32768		/* append before the end of the statement */
#define INSERT_BATCH 500

/*
 * What one level has collected for one source.  A group is a fixed-size
 * record: hash, keys, measures, null flags of the keys; where some sum is
 * numeric, room for the small part of each measure comes before the flags.
 *
 * A sum of numerics has two parts: what can be added as an integer in units
 * of 10^-SMALL_SCALE, and what is too large or too fine for that, as a
 * numeric.  Only the display scale of the small values must be kept beside.
 */
typedef struct Pending
{
	RollupLayout *layout;
	bool		truncated;		/* what the levels below hold is void */
	int			ngroups;
	int			capacity;
	Size		group_size;
	char	   *groups;
	uint32	   *index;			/* open addressing: group number + 1 */
	uint32		index_size;
	struct Pending *next;
} Pending;

#define SMALL_SCALE 8

typedef struct SmallSum
{
#ifdef HAVE_INT128
	int128		units;
#endif
	int64		scale;			/* display scale + 1; 0: nothing was added */
} SmallSum;

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
static bool registered = false;

#define GROUP(p, i)			((p)->groups + (p)->group_size * (i))
#define GROUP_HASH(g)		(*(uint32 *) (g))
#define GROUP_KEYS(g)		((Datum *) ((g) + sizeof(Datum)))
#define GROUP_MEASURES(l, g) (GROUP_KEYS(g) + (l)->nkeys)
#define GROUP_SMALL(l, g)	((SmallSum *) (GROUP_MEASURES(l, g) + (l)->nmeasures))
#define GROUP_NULLS(l, g)	((bool *) (GROUP_SMALL(l, g) + \
									   ((l)->has_numeric ? (l)->nmeasures : 0)))

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
				append_level(l);
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			/* the memory goes with the transaction */
			top = NULL;
			truncations = NULL;
			crm_rollup_release_layouts();
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

	for (Pending *p = level->pending; p != NULL; p = p->next)
		p->layout->refs--;
	top = level->below;
	MemoryContextDelete(level->cx);
	pfree(level);
}

static Pending *
level_pending(Level *level, RollupLayout *layout)
{
	Pending    *p;

	for (p = level->pending; p != NULL; p = p->next)
		if (p->layout == layout)
			return p;

	p = MemoryContextAllocZero(level->cx, sizeof(Pending));
	p->layout = layout;
	p->group_size = MAXALIGN((Size) (GROUP_NULLS(layout, (char *) 0) + layout->nkeys));
	p->capacity = 2;
	p->groups = MemoryContextAlloc(level->cx, p->group_size * p->capacity);
	p->next = level->pending;
	level->pending = p;
	layout->refs++;
	return p;
}

/* ---- groups ---- */

static void
forget_groups(Pending *p)
{
	p->ngroups = 0;
	if (p->index != NULL)
		memset(p->index, 0, sizeof(uint32) * p->index_size);
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
			forget_groups(p);
}

/*
 * Keys are told apart by their bytes: two that are equal but differ in their
 * bytes become two deltas, and reading adds them up.
 */
static uint32
hash_keys(const RollupLayout *layout, const Datum *keys, const bool *nulls)
{
	uint32		hash = 0;

	for (int i = 0; i < layout->nkeys; i++)
	{
		const RollupKey *key = &layout->keys[i];
		uint32		h;

		if (nulls[i])
			h = 0;
		else if (key->typbyval)
			h = murmurhash32((uint32) keys[i] ^ (uint32) ((uint64) keys[i] >> 32));
		else if (key->typlen > 0)
			h = hash_bytes((unsigned char *) DatumGetPointer(keys[i]), key->typlen);
		else
			h = hash_bytes((unsigned char *) VARDATA_ANY(DatumGetPointer(keys[i])),
						   VARSIZE_ANY_EXHDR(DatumGetPointer(keys[i])));
		hash = hash_combine(hash, h);
	}
	return hash;
}

static bool
same_keys(const RollupLayout *layout, const Datum *a, const bool *anulls,
		  const Datum *b, const bool *bnulls)
{
	for (int i = 0; i < layout->nkeys; i++)
	{
		const RollupKey *key = &layout->keys[i];

		if (anulls[i] != bnulls[i])
			return false;
		if (anulls[i])
			continue;
		if (key->typbyval)
		{
			if (a[i] != b[i])
				return false;
		}
		else if (key->typlen > 0)
		{
			if (memcmp(DatumGetPointer(a[i]), DatumGetPointer(b[i]), key->typlen) != 0)
				return false;
		}
		else
		{
			Size		len = VARSIZE_ANY_EXHDR(DatumGetPointer(a[i]));

			if (len != VARSIZE_ANY_EXHDR(DatumGetPointer(b[i])) ||
				memcmp(VARDATA_ANY(DatumGetPointer(a[i])),
					   VARDATA_ANY(DatumGetPointer(b[i])), len) != 0)
				return false;
		}
	}
	return true;
}

static void
index_group(Pending *p, int number)
{
	uint32		mask = p->index_size - 1;
	uint32		at = GROUP_HASH(GROUP(p, number)) & mask;

	while (p->index[at] != 0)
		at = (at + 1) & mask;
	p->index[at] = number + 1;
}

static void
build_index(Pending *p, MemoryContext cx)
{
	if (p->index != NULL)
		pfree(p->index);
	p->index_size = Max(64, p->index_size * 4);
	p->index = MemoryContextAllocZero(cx, sizeof(uint32) * p->index_size);
	for (int i = 0; i < p->ngroups; i++)
		index_group(p, i);
}

/* The group of these keys, made if it is new. */
static char *
find_group(Pending *p, MemoryContext cx, const Datum *keys, const bool *nulls)
{
	RollupLayout *layout = p->layout;
	uint32		hash = hash_keys(layout, keys, nulls);
	char	   *group;

	if (p->index != NULL)
	{
		uint32		mask = p->index_size - 1;

		for (uint32 at = hash & mask; p->index[at] != 0; at = (at + 1) & mask)
		{
			group = GROUP(p, p->index[at] - 1);
			if (GROUP_HASH(group) == hash &&
				same_keys(layout, GROUP_KEYS(group), GROUP_NULLS(layout, group), keys, nulls))
				return group;
		}
	}
	else
		for (int i = 0; i < p->ngroups; i++)
		{
			group = GROUP(p, i);
			if (GROUP_HASH(group) == hash &&
				same_keys(layout, GROUP_KEYS(group), GROUP_NULLS(layout, group), keys, nulls))
				return group;
		}

	if (p->ngroups == p->capacity)
	{
		p->capacity *= 2;
		p->groups = repalloc_huge(p->groups, p->group_size * p->capacity);
	}
	group = GROUP(p, p->ngroups);
	memset(group, 0, p->group_size);
	GROUP_HASH(group) = hash;
	for (int i = 0; i < layout->nkeys; i++)
	{
		GROUP_NULLS(layout, group)[i] = nulls[i];
		if (!nulls[i])
		{
			MemoryContext old = MemoryContextSwitchTo(cx);

			GROUP_KEYS(group)[i] = datumCopy(keys[i], layout->keys[i].typbyval,
											 layout->keys[i].typlen);
			MemoryContextSwitchTo(old);
		}
	}
	p->ngroups++;
	if (p->index != NULL && p->ngroups * 2 > p->index_size)
		build_index(p, cx);
	else if (p->index != NULL)
		index_group(p, p->ngroups - 1);
	else if (p->ngroups > SEARCH_LINEARLY)
		build_index(p, cx);
	return group;
}

static void
refuse_special_number(const RollupLayout *layout)
{
	ereport(ERROR,
			(errcode(ERRCODE_CRM_ROLLUP),
			 errmsg("a rollup of table \"%s\" cannot add up NaN or infinity",
					get_rel_name(layout->root)),
			 errdetail("A sum that has met such a value could never be made right again when the row changes."),
			 errhint("Store NULL instead, or leave such rows out by the filter of the rollup or measure.")));
}

#ifdef HAVE_INT128

/*
 * A stored numeric as an integer in units of 10^-SMALL_SCALE; false where it
 * does not fit or is special.  It reads the short stored form, which is that
 * of nearly every number and never changes: a header with sign, display scale
 * and weight, then digits of base 10000.
 */
static bool
small_number(Datum number, int128 *units, int *scale)
{
	char	   *p = DatumGetPointer(number);
	uint16		header;
	int			weight;
	int			ndigits;
	int128		sum = 0;

	if (VARATT_IS_EXTERNAL(p) || VARATT_IS_COMPRESSED(p))
		return false;
	ndigits = (int) (VARSIZE_ANY_EXHDR(p) / sizeof(int16)) - 1;
	p = VARDATA_ANY(p);
	memcpy(&header, p, sizeof(header));
	if ((header & 0xC000) != 0x8000)
		return false;
	*scale = (header & 0x1F80) >> 7;
	weight = (header & 0x3F) | ((header & 0x40) ? ~0x3F : 0);
	/* at most 10^20, and no digit below the last unit */
	if (*scale > SMALL_SCALE || weight > 4 || ndigits > weight + 1 + SMALL_SCALE / 4)
		return false;
	if (ndigits > 0)
	{
		int			left = weight + 1 + SMALL_SCALE / 4 - ndigits;
		int64		part = 0;
		int			i;

		/* four digits fit in 64 bits with room to spare */
		for (i = 0; i < ndigits && i < 4; i++)
		{
			int16		digit;

			memcpy(&digit, p + sizeof(int16) * (i + 1), sizeof(digit));
			part = part * 10000 + digit;
		}
		sum = part;
		for (; i < ndigits; i++)
		{
			int16		digit;

			memcpy(&digit, p + sizeof(int16) * (i + 1), sizeof(digit));
			sum = sum * 10000 + digit;
		}
		while (left-- > 0)
			sum *= 10000;
		if (header & 0x2000)
			sum = -sum;
	}
	*units = sum;
	return true;
}

/* The small part of a sum as a numeric, in the current context. */
static Datum
small_to_numeric(const SmallSum *small)
{
	static const int64 powers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
	int			scale = (int) small->scale - 1;
	int128		value = small->units / powers[SMALL_SCALE - scale];
	const int64 billion = INT64CONST(1000000000);
	Datum		sum = (Datum) 0;

	if (value >= PG_INT64_MIN && value <= PG_INT64_MAX)
		return NumericGetDatum(int64_div_fast_to_numeric((int64) value, scale));

	/* nine digits at a time, from the front */
	for (int128 front = (int128) billion * billion * billion * billion; front > 0; front /= billion)
	{
		int64		part = (int64) (value / front);

		value %= front;
		if (sum != (Datum) 0)
			sum = DirectFunctionCall2(numeric_mul, sum,
									  NumericGetDatum(int64_to_numeric(billion)));
		else
			sum = NumericGetDatum(int64_to_numeric(0));
		sum = DirectFunctionCall2(numeric_add, sum,
								  NumericGetDatum(int64_to_numeric(part)));
	}
	return DirectFunctionCall2(numeric_mul, sum,
							   NumericGetDatum(int64_div_fast_to_numeric(1, scale)));
}

#endif							/* HAVE_INT128 */

static void
add_numeric(const RollupLayout *layout, MemoryContext cx, Datum *sum, Datum number, int sign)
{
	Numeric		value = DatumGetNumeric(number);
	MemoryContext old;

	if (numeric_is_nan(value) || numeric_is_inf(value))
		refuse_special_number(layout);
	old = MemoryContextSwitchTo(cx);
	if (*sum == (Datum) 0)
		*sum = sign > 0 ? datumCopy(NumericGetDatum(value), false, -1) :
			DirectFunctionCall1(numeric_uminus, NumericGetDatum(value));
	else
	{
		Datum		before = *sum;

		*sum = DirectFunctionCall2(sign > 0 ? numeric_add : numeric_sub,
								   before, NumericGetDatum(value));
		pfree(DatumGetPointer(before));
	}
	MemoryContextSwitchTo(old);
}

static void
add_integer(const RollupLayout *layout, Datum *sum, int64 value, int sign)
{
	int64		result;

	if (sign > 0 ? pg_add_s64_overflow(DatumGetInt64(*sum), value, &result) :
		pg_sub_s64_overflow(DatumGetInt64(*sum), value, &result))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bigint out of range in a rollup of table \"%s\"",
						get_rel_name(layout->root))));
	*sum = Int64GetDatum(result);
}

/*
 * Add the measures of one row to its group.  Counts and integer sums come as
 * bigint, sums of numeric as numeric; NULL adds nothing.
 */
static void
add_to_group(Pending *p, MemoryContext cx, const Datum *keys, const bool *keynulls,
			 const Datum *measures, const bool *nulls, int sign)
{
	RollupLayout *layout = p->layout;
	char	   *group = find_group(p, cx, keys, keynulls);
	Datum	   *sums = GROUP_MEASURES(layout, group);

	for (int i = 0; i < layout->nmeasures; i++)
	{
		if (nulls[i])
			continue;
		if (layout->measures[i].kind != MEASURE_NUMERIC)
			add_integer(layout, &sums[i], DatumGetInt64(measures[i]), sign);
		else
		{
#ifdef HAVE_INT128
			SmallSum   *small = &GROUP_SMALL(layout, group)[i];
			int128		units;
			int128		sum;
			int			scale;

			if (small_number(measures[i], &units, &scale) &&
				!__builtin_add_overflow(small->units, sign > 0 ? units : -units, &sum))
			{
				small->units = sum;
				small->scale = Max(small->scale, scale + 1);
				continue;
			}
#endif
			add_numeric(layout, cx, &sums[i], measures[i], sign);
		}
	}
}

/* What a subtransaction has collected of a group becomes its parent's. */
static void
merge_group(Pending *into, MemoryContext cx, char *from)
{
	RollupLayout *layout = into->layout;
	char	   *group = find_group(into, cx, GROUP_KEYS(from), GROUP_NULLS(layout, from));
	Datum	   *sums = GROUP_MEASURES(layout, group);
	Datum	   *more = GROUP_MEASURES(layout, from);

	for (int i = 0; i < layout->nmeasures; i++)
		if (layout->measures[i].kind != MEASURE_NUMERIC)
			add_integer(layout, &sums[i], DatumGetInt64(more[i]), 1);
		else
		{
#ifdef HAVE_INT128
			SmallSum   *small = &GROUP_SMALL(layout, group)[i];
			SmallSum   *other = &GROUP_SMALL(layout, from)[i];

			if (!__builtin_add_overflow(small->units, other->units, &small->units))
				small->scale = Max(small->scale, other->scale);
			else
			{
				small->units -= other->units;
				add_numeric(layout, cx, &sums[i], small_to_numeric(other), 1);
			}
#endif
			if (more[i] != (Datum) 0)
				add_numeric(layout, cx, &sums[i], more[i], 1);
		}
}

static bool
is_zero(Datum number)
{
	static Datum zero = (Datum) 0;

	if (zero == (Datum) 0)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		zero = DirectFunctionCall1(int4_numeric, Int32GetDatum(0));
		MemoryContextSwitchTo(old);
	}
	return DatumGetBool(DirectFunctionCall2(numeric_eq, number, zero));
}

/* The sum of both parts; false where it is zero.  Nothing is left of it. */
static bool
take_numeric(const RollupLayout *layout, char *group, int i, Datum *number)
{
	Datum	   *sum = &GROUP_MEASURES(layout, group)[i];

	*number = *sum;
	*sum = (Datum) 0;
#ifdef HAVE_INT128
	{
		SmallSum   *small = &GROUP_SMALL(layout, group)[i];

		if (*number == (Datum) 0)
		{
			bool		any = small->units != 0;

			if (any)
				*number = small_to_numeric(small);
			memset(small, 0, sizeof(SmallSum));
			return any;
		}
		if (small->scale > 0)
			*number = DirectFunctionCall2(numeric_add, *number, small_to_numeric(small));
		memset(small, 0, sizeof(SmallSum));
	}
#endif
	return *number != (Datum) 0 && !is_zero(*number);
}

/*
 * One row of deltas from a group; false where nothing is left of it.  A count
 * beyond integer is handed out in several rows.  Zero is stored as NULL: it
 * costs one bit.
 */
static bool
take_delta(const RollupLayout *layout, char *group, Datum *values, bool *nulls)
{
	Datum	   *sums = GROUP_MEASURES(layout, group);
	bool		any = false;

	memset(nulls, true, sizeof(bool) * layout->natts);
	for (int i = 0; i < layout->nmeasures; i++)
	{
		int			at = layout->measures[i].attno - 1;

		if (layout->measures[i].kind == MEASURE_NUMERIC)
		{
			if (!take_numeric(layout, group, i, &values[at]))
				continue;
		}
		else if (sums[i] == (Datum) 0)
			continue;
		else if (layout->measures[i].kind == MEASURE_COUNT)
		{
			int64		count = DatumGetInt64(sums[i]);
			int64		part = Min(Max(count, PG_INT32_MIN), PG_INT32_MAX);

			values[at] = Int32GetDatum((int32) part);
			sums[i] = Int64GetDatum(count - part);
		}
		else
		{
			values[at] = sums[i];
			sums[i] = (Datum) 0;
		}
		nulls[at] = false;
		any = true;
	}
	if (!any)
		return false;
	for (int i = 0; i < layout->nkeys; i++)
	{
		int			at = layout->keys[i].attno - 1;

		values[at] = GROUP_KEYS(group)[i];
		nulls[at] = GROUP_NULLS(layout, group)[i];
	}
	return true;
}

/*
 * Append what was collected for one source.  Straight into the heap: the
 * table is ours, without index, constraint or trigger, and nobody needs a
 * right to it to have his row counted.
 */
static void
append_pending(Pending *p)
{
	RollupLayout *layout = p->layout;
	Relation	rel;
	TupleDesc	desc;
	CommandId	cid;

	if (p->ngroups == 0)
		return;
	rel = table_open(layout->delta, RowExclusiveLock);
	desc = RelationGetDescr(rel);
	if (desc->natts != layout->natts)
		elog(ERROR, "rollups of \"%s\" were redefined by the statement that changes it",
			 get_rel_name(layout->root));
	cid = GetCurrentCommandId(true);

	/* nearly always one or two; a count beyond integer makes more */
	if (p->ngroups <= ROLLUP_FEW)
	{
		int			i = 0;

		while (i < p->ngroups)
		{
			int			used = 0;

			while (used < ROLLUP_FEW && i < p->ngroups)
			{
				TupleTableSlot *slot = ExecClearTuple(layout->slots[used]);

				if (!take_delta(layout, GROUP(p, i), slot->tts_values, slot->tts_isnull))
				{
					i++;
					continue;
				}
				ExecStoreVirtualTuple(slot);
				used++;
			}
			if (used == 1)
			{
				HeapTuple	tuple = heap_form_tuple(desc, layout->slots[0]->tts_values,
													layout->slots[0]->tts_isnull);

				heap_insert(rel, tuple, cid, 0, NULL);
			}
			else if (used > 1)
				table_multi_insert(rel, layout->slots, used, cid, 0, NULL);
			/* the values are in the memory of this call */
			while (used > 0)
				ExecClearTuple(layout->slots[--used]);
		}
	}
	else
	{
		TupleTableSlot *slots[INSERT_BATCH];
		BulkInsertState bulk = p->ngroups > 1000 ? GetBulkInsertState() : NULL;
		MemoryContext batch = AllocSetContextCreate(CurrentMemoryContext, "crm rollup batch",
													ALLOCSET_DEFAULT_SIZES);
		MemoryContext old;
		int			made = 0;
		int			used = 0;
		int			i = 0;

		while (i < p->ngroups)
		{
			bool		any;

			if (used == made)
				slots[made++] = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
			ExecClearTuple(slots[used]);
			old = MemoryContextSwitchTo(batch);
			any = take_delta(layout, GROUP(p, i), slots[used]->tts_values,
							 slots[used]->tts_isnull);
			MemoryContextSwitchTo(old);
			if (!any)
			{
				i++;
				continue;
			}
			ExecStoreVirtualTuple(slots[used]);
			if (++used == INSERT_BATCH)
			{
				CHECK_FOR_INTERRUPTS();
				old = MemoryContextSwitchTo(batch);
				table_multi_insert(rel, slots, used, cid, 0, bulk);
				MemoryContextSwitchTo(old);
				MemoryContextReset(batch);
				used = 0;
			}
		}
		if (used > 0)
		{
			old = MemoryContextSwitchTo(batch);
			table_multi_insert(rel, slots, used, cid, 0, bulk);
			MemoryContextSwitchTo(old);
		}
		for (i = 0; i < made; i++)
			ExecDropSingleTupleTableSlot(slots[i]);
		if (bulk != NULL)
			FreeBulkInsertState(bulk);
		MemoryContextDelete(batch);
	}
	/* the lock is held to the end of the transaction, as for any writer */
	table_close(rel, NoLock);
}

static void
append_level(Level *level)
{
	bool		truncated = false;

	if (level->pending == NULL)
		return;
	for (Pending *p = level->pending; p != NULL; p = p->next)
	{
		append_pending(p);
		truncated |= p->truncated;
	}
	/* the mark of a TRUNCATE must outlive the deltas that came after it */
	if (truncated && level->below != NULL)
	{
		for (Pending *p = level->pending; p != NULL; p = p->next)
			forget_groups(p);
		return;
	}
	for (Pending *p = level->pending; p != NULL; p = p->next)
		p->layout->refs--;
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

			for (int i = 0; i < p->ngroups; i++)
				merge_group(into, below->cx, GROUP(p, i));
		}
		drop_level();
	}
}

/* ---- rows ---- */

/* Has an update changed a column that some rollup reads? */
static bool
row_changed(RollupPlan *plan, TupleTableSlot *before, TupleTableSlot *after)
{
	if (plan->ncolumns == 0)
		return false;
	slot_getsomeattrs(before, plan->columns[plan->ncolumns - 1].attno);
	slot_getsomeattrs(after, plan->columns[plan->ncolumns - 1].attno);
	for (int i = 0; i < plan->ncolumns; i++)
	{
		RollupColumn *column = &plan->columns[i];
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

/* Add one row of the source, seen through the plan of its relation. */
static void
add_row(Pending *p, MemoryContext cx, RollupPlan *plan, TupleTableSlot *row, int sign)
{
	RollupLayout *layout = p->layout;
	TupleTableSlot *out;
	MemoryContext old = MemoryContextSwitchTo(plan->econtext->ecxt_per_tuple_memory);

	plan->econtext->ecxt_scantuple = row;
	out = ExecProject(plan->projection);
	for (int i = 0; i < layout->nkeys; i++)
		if (layout->keys[i].typlen == -1 && !out->tts_isnull[i])
			out->tts_values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(out->tts_values[i]));
	add_to_group(p, cx, out->tts_values, out->tts_isnull,
				 out->tts_values + layout->nkeys, out->tts_isnull + layout->nkeys, sign);
	MemoryContextSwitchTo(old);
	ResetExprContext(plan->econtext);
}

static int64
trigger_source(FunctionCallInfo fcinfo, const char *function)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by trigger manager", function)));
	if (trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("trigger \"%s\" needs one argument: the id of the rollup source",
						trigdata->tg_trigger->tgname),
				 errhint("Such triggers are made by crm.create_rollup().")));
	if (!registered)
	{
		RegisterXactCallback(end_of_transaction, NULL);
		RegisterSubXactCallback(end_of_subtransaction, NULL);
		registered = true;
	}
	return strtoll(trigdata->tg_trigger->tgargs[0], NULL, 10);
}

PG_FUNCTION_INFO_V1(crm_rollup_row);

/* crm.rollup_row(source) -- AFTER ROW: collect the deltas of a row. */
Datum
crm_rollup_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	int64		source = trigger_source(fcinfo, "crm.rollup_row");
	RollupPlan *plan;
	Level	   *level;
	Pending    *p;
	CrmOwnerSwitch saved;

	if (!TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired AFTER ROW", "crm.rollup_row")));

	plan = crm_rollup_plan(source, trigdata->tg_relation);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) &&
		!row_changed(plan, trigdata->tg_trigslot, trigdata->tg_newslot))
		return PointerGetDatum(NULL);
	level = current_level();
	p = level_pending(level, plan->layout);
	crm_become(plan->layout->owner, &saved);
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		add_row(p, level->cx, plan, trigdata->tg_trigslot, 1);
	else
	{
		add_row(p, level->cx, plan, trigdata->tg_trigslot, -1);
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			add_row(p, level->cx, plan, trigdata->tg_newslot, 1);
	}
	crm_become_self(&saved);
	if (p->ngroups >= SPILL_GROUPS)
		append_level(level);
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(crm_rollup_flush);

/* crm.rollup_flush(source) -- AFTER STATEMENT: append what was collected. */
Datum
crm_rollup_flush(PG_FUNCTION_ARGS)
{
	(void) trigger_source(fcinfo, "crm.rollup_flush");

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

	crm_become(plan->layout->owner, &saved);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		Pending    *p = level_pending(level, plan->layout);

		CHECK_FOR_INTERRUPTS();
		add_row(p, level->cx, plan, slot, sign);
		if (p->ngroups >= SPILL_GROUPS)
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

	crm_become(crm_table_owner(layout->delta), &saved);
	SPI_connect();
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
	if (SPI_execute(sql.data, false, 0) < 0)
		elog(ERROR, "could not truncate: %s", sql.data);
	SPI_finish();
	crm_become_self(&saved);
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
	int64		source = trigger_source(fcinfo, "crm.rollup_truncate");
	RollupPlan *plan;
	Truncation **link;

	if (!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired for TRUNCATE", "crm.rollup_truncate")));

	plan = crm_rollup_plan(source, trigdata->tg_relation);
	for (link = &truncations; *link != NULL; link = &(*link)->next)
		if ((*link)->source == source)
			break;

	if (plan->relid != plan->layout->root)
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
