/*
 * groups.c
 *	  Sums by group in memory: what triggers collect and what folding adds up.
 *
 * A group is a fixed-size record: hash, keys, measures, null flags of the
 * keys; where some sum is numeric, room for the small part of each measure
 * comes before the flags.
 *
 * A sum of numerics has two parts: what can be added as an integer in units
 * of 10^-SMALL_SCALE, and what is too large or too fine for that, as a
 * numeric.  Only the display scale of the small values must be kept beside.
 */
#include "rollup/rollup.h"

#include "common/hashfn.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#define SEARCH_LINEARLY 8		/* groups without a hash table */
#define SMALL_SCALE 8

typedef struct SmallSum
{
	int128		units;
	int64		scale;			/* display scale + 1; 0: nothing was added */
} SmallSum;

#define GROUP(p, i)			((p)->groups + (p)->group_size * (i))
#define GROUP_HASH(g)		(*(uint32 *) (g))
#define GROUP_KEYS(g)		((Datum *) ((g) + sizeof(Datum)))
#define GROUP_MEASURES(s, g) (GROUP_KEYS(g) + (s)->nkeys)
#define GROUP_SMALL(s, g)	((SmallSum *) (GROUP_MEASURES(s, g) + (s)->nmeasures))
#define GROUP_NULLS(s, g)	((bool *) (GROUP_SMALL(s, g) + \
									   ((s)->has_numeric ? (s)->nmeasures : 0)))

/* An empty table of groups; all it collects is kept in a memory context. */
void
crm_groups_init(RollupGroups *p, const RollupShape *shape, MemoryContext cx)
{
	memset(p, 0, sizeof(RollupGroups));
	p->shape = shape;
	p->cx = cx;
	p->group_size = MAXALIGN(sizeof(Datum) * (1 + shape->nkeys + shape->nmeasures) +
							 sizeof(SmallSum) * (shape->has_numeric ? shape->nmeasures : 0) +
							 sizeof(bool) * shape->nkeys);
	p->capacity = 2;
	p->groups = MemoryContextAlloc(cx, p->group_size * p->capacity);
}

/* The keys of a group and which of them are NULL. */
Datum *
crm_groups_keys(const RollupGroups *p, int number, bool **nulls)
{
	char	   *group = GROUP(p, number);

	*nulls = GROUP_NULLS(p->shape, group);
	return GROUP_KEYS(group);
}

/* Void what was collected; the memory stays for what comes. */
void
crm_groups_forget(RollupGroups *p)
{
	p->ngroups = 0;
	if (p->index != NULL)
		memset(p->index, 0, sizeof(uint32) * p->index_size);
}

/*
 * Keys are told apart by their bytes: two that are equal but differ in their
 * bytes become two deltas, and reading adds them up.
 */
static uint32
hash_keys(const RollupShape *shape, const Datum *keys, const bool *nulls)
{
	uint32		hash = 0;

	for (int i = 0; i < shape->nkeys; i++)
	{
		const RollupKey *key = &shape->keys[i];
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
same_keys(const RollupShape *shape, const Datum *a, const bool *anulls,
		  const Datum *b, const bool *bnulls)
{
	for (int i = 0; i < shape->nkeys; i++)
	{
		const RollupKey *key = &shape->keys[i];

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
index_group(RollupGroups *p, int number)
{
	uint32		mask = p->index_size - 1;
	uint32		at = GROUP_HASH(GROUP(p, number)) & mask;

	while (p->index[at] != 0)
		at = (at + 1) & mask;
	p->index[at] = number + 1;
}

static void
build_index(RollupGroups *p)
{
	if (p->index != NULL)
		pfree(p->index);
	p->index_size = Max(64, p->index_size * 4);
	p->index = MemoryContextAllocZero(p->cx, sizeof(uint32) * p->index_size);
	for (int i = 0; i < p->ngroups; i++)
		index_group(p, i);
}

/* The group of these keys, made if it is new. */
static char *
find_group(RollupGroups *p, const Datum *keys, const bool *nulls)
{
	const RollupShape *shape = p->shape;
	uint32		hash = hash_keys(shape, keys, nulls);
	char	   *group;

	if (p->index != NULL)
	{
		uint32		mask = p->index_size - 1;

		for (uint32 at = hash & mask; p->index[at] != 0; at = (at + 1) & mask)
		{
			group = GROUP(p, p->index[at] - 1);
			if (GROUP_HASH(group) == hash &&
				same_keys(shape, GROUP_KEYS(group), GROUP_NULLS(shape, group), keys, nulls))
				return group;
		}
	}
	else
		for (int i = 0; i < p->ngroups; i++)
		{
			group = GROUP(p, i);
			if (GROUP_HASH(group) == hash &&
				same_keys(shape, GROUP_KEYS(group), GROUP_NULLS(shape, group), keys, nulls))
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
	for (int i = 0; i < shape->nkeys; i++)
	{
		GROUP_NULLS(shape, group)[i] = nulls[i];
		if (!nulls[i])
		{
			MemoryContext old = MemoryContextSwitchTo(p->cx);

			GROUP_KEYS(group)[i] = datumCopy(keys[i], shape->keys[i].typbyval,
											 shape->keys[i].typlen);
			MemoryContextSwitchTo(old);
		}
	}
	p->ngroups++;
	if (p->index != NULL && p->ngroups * 2 > p->index_size)
		build_index(p);
	else if (p->index != NULL)
		index_group(p, p->ngroups - 1);
	else if (p->ngroups > SEARCH_LINEARLY)
		build_index(p);
	return group;
}

static void
refuse_special_number(const RollupShape *shape)
{
	ereport(ERROR,
			(errcode(ERRCODE_CRM_ROLLUP),
			 errmsg("a rollup of table \"%s\" cannot add up NaN or infinity",
					get_rel_name(shape->root)),
			 errdetail("A sum that has met such a value could never be made right again when the row changes."),
			 errhint("Store NULL instead, or leave such rows out by the filter of the rollup or measure.")));
}

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

static void
add_numeric(const RollupShape *shape, MemoryContext cx, Datum *sum, Datum number, int sign)
{
	Numeric		value = DatumGetNumeric(number);
	MemoryContext old;

	if (numeric_is_nan(value) || numeric_is_inf(value))
		refuse_special_number(shape);
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

void
crm_rollup_add_integer(const RollupShape *shape, Datum *sum, int64 value, int sign)
{
	int64		result;

	if (sign > 0 ? pg_add_s64_overflow(DatumGetInt64(*sum), value, &result) :
		pg_sub_s64_overflow(DatumGetInt64(*sum), value, &result))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("bigint out of range in a rollup of table \"%s\"",
						get_rel_name(shape->root))));
	*sum = Int64GetDatum(result);
}

/*
 * Add the measures of one row to its group.  Counts and integer sums come as
 * bigint, sums of numeric as numeric; NULL adds nothing.
 */
void
crm_groups_add(RollupGroups *p, const Datum *keys, const bool *keynulls,
			   const Datum *measures, const bool *nulls, int sign)
{
	const RollupShape *shape = p->shape;
	char	   *group = find_group(p, keys, keynulls);
	Datum	   *sums = GROUP_MEASURES(shape, group);

	for (int i = 0; i < shape->nmeasures; i++)
	{
		if (nulls[i])
			continue;
		if (shape->measures[i].kind != MEASURE_NUMERIC)
			crm_rollup_add_integer(shape, &sums[i], DatumGetInt64(measures[i]), sign);
		else
		{
			SmallSum   *small = &GROUP_SMALL(shape, group)[i];
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
			add_numeric(shape, p->cx, &sums[i], measures[i], sign);
		}
	}
}

/* Add the sums of one group, maybe of another table in memory, to another. */
static void
merge_group(RollupGroups *into, char *group, char *from)
{
	const RollupShape *shape = into->shape;
	Datum	   *sums = GROUP_MEASURES(shape, group);
	Datum	   *more = GROUP_MEASURES(shape, from);

	for (int i = 0; i < shape->nmeasures; i++)
		if (shape->measures[i].kind != MEASURE_NUMERIC)
			crm_rollup_add_integer(shape, &sums[i], DatumGetInt64(more[i]), 1);
		else
		{
			SmallSum   *small = &GROUP_SMALL(shape, group)[i];
			SmallSum   *other = &GROUP_SMALL(shape, from)[i];

			if (!__builtin_add_overflow(small->units, other->units, &small->units))
				small->scale = Max(small->scale, other->scale);
			else
			{
				small->units -= other->units;
				add_numeric(shape, into->cx, &sums[i], small_to_numeric(other), 1);
			}
			if (more[i] != (Datum) 0)
				add_numeric(shape, into->cx, &sums[i], more[i], 1);
		}
}

/* What a subtransaction has collected becomes its parent's. */
void
crm_groups_merge(RollupGroups *into, const RollupGroups *from)
{
	for (int i = 0; i < from->ngroups; i++)
	{
		char	   *group = GROUP(from, i);

		merge_group(into, find_group(into, GROUP_KEYS(group), GROUP_NULLS(from->shape, group)),
					group);
	}
}

/* Two groups of one table turn out to be one: number from is empty then. */
void
crm_groups_unite(RollupGroups *p, int into, int from)
{
	const RollupShape *shape = p->shape;
	char	   *group = GROUP(p, from);

	merge_group(p, GROUP(p, into), group);
	memset(GROUP_MEASURES(shape, group), 0,
		   (char *) GROUP_NULLS(shape, group) - (char *) GROUP_MEASURES(shape, group));
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
take_numeric(const RollupShape *shape, char *group, int i, Datum *number)
{
	Datum	   *sum = &GROUP_MEASURES(shape, group)[i];
	SmallSum   *small = &GROUP_SMALL(shape, group)[i];

	*number = *sum;
	*sum = (Datum) 0;
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
	return *number != (Datum) 0 && !is_zero(*number);
}

/*
 * A row of sums from a group, its values in the places of the shape; false
 * where nothing is left of it.  A count beyond integer is handed out in
 * several rows.  Zero is NULL: stored, it costs one bit.
 */
bool
crm_groups_take(RollupGroups *p, int number, Datum *values, bool *nulls)
{
	const RollupShape *shape = p->shape;
	char	   *group = GROUP(p, number);
	Datum	   *sums = GROUP_MEASURES(shape, group);
	bool		any = false;

	memset(nulls, true, sizeof(bool) * shape->natts);
	for (int i = 0; i < shape->nmeasures; i++)
	{
		int			at = shape->measures[i].attno - 1;

		if (shape->measures[i].kind == MEASURE_NUMERIC)
		{
			if (!take_numeric(shape, group, i, &values[at]))
				continue;
		}
		else if (sums[i] == (Datum) 0)
			continue;
		else if (shape->measures[i].kind == MEASURE_COUNT)
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
	for (int i = 0; i < shape->nkeys; i++)
	{
		int			at = shape->keys[i].attno - 1;

		values[at] = GROUP_KEYS(group)[i];
		nulls[at] = GROUP_NULLS(shape, group)[i];
	}
	return true;
}
