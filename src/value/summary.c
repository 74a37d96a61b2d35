/*
 * summary.c
 *	  crm.purchase_summary: from a log of purchases to x, t_x, age and spend.
 *
 * Purchases of one day are one.  The state of a customer is the list of
 * days, compacted when it is full, with totals of all days and of the first
 * one: enough for the mean spend of the repeat days.
 *
 * There are as many states as customers, and a row touches one at random,
 * so a state is small: a cache line for up to sixteen days, which are kept
 * as days before as_of, and states are cut from larger blocks.
 */
#include "base/crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

#include "base/sort.h"
#include "value/value_face.h"

#define INLINE_DAYS 16

typedef struct SummaryState
{
	double		total;			/* of all days */
	double		first_total;	/* of the first day */
	DateADT		as_of;
	uint32		first;			/* like all days here: days before as_of */
	uint32		count;			/* entries in days, some of them equal */
	uint32		room:29,
				unit:2,
				wide:1;			/* 32 bits a day, not 16 */
	union
	{
		uint16		here[INLINE_DAYS];
		void	   *list;		/* if room is greater than INLINE_DAYS */
	}			days;
} SummaryState;

/* Sent between processes: the state up to the days, and the days */
#define FIXED offsetof(SummaryState, days)

/*
 * Blocks that states and lists are cut from, in the memory context of the
 * aggregate: forgotten when that is reset, as between the batches of a
 * hash aggregate that spills, or after a group of a sorted one.
 */
#define FIRST_BLOCK 512
#define LAST_BLOCK 65536

typedef struct Arena
{
	MemoryContext context;
	MemoryContextCallback callback;
	char	   *next;
	Size		left;
	Size		block;			/* size of the last one; 0 after a reset */
} Arena;

static void
forget_blocks(void *arg)
{
	Arena	   *arena = arg;

	arena->left = 0;
	arena->block = 0;
}

/* size is a multiple of 8 */
static void *
arena_alloc(FunctionCallInfo fcinfo, MemoryContext context, Size size)
{
	Arena	   *arena = fcinfo->flinfo->fn_extra;
	void	   *memory;

	if (arena == NULL)
	{
		arena = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt,
									   sizeof(Arena));
		arena->context = context;
		arena->callback.func = forget_blocks;
		arena->callback.arg = arena;
		fcinfo->flinfo->fn_extra = arena;
	}

	/* grouping sets take turns in several contexts: blocks for the first */
	if (arena->context != context || size > LAST_BLOCK / 8)
		return MemoryContextAllocHuge(context, size);
	if (size > arena->left)
	{
		if (arena->block == 0)
			MemoryContextRegisterResetCallback(context, &arena->callback);
		arena->block = Min(Max(arena->block * 2, FIRST_BLOCK), LAST_BLOCK);
		arena->block = Max(arena->block, size);
		arena->left = 0;
		arena->next = MemoryContextAlloc(context, arena->block);
		arena->left = arena->block;
	}
	memory = arena->next;
	arena->next += size;
	arena->left -= size;
	return memory;
}

static const double unit_length[] = {1, 7, 365.25 / 12, 365.25};

static int
unit_number(text *unit)
{
	static const char *const names[] = {"day", "week", "month", "year"};
	int			i;

	for (i = 0; i < lengthof(names); i++)
		if (VARSIZE_ANY_EXHDR(unit) == strlen(names[i]) &&
			memcmp(VARDATA_ANY(unit), names[i], strlen(names[i])) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown unit of time \"%s\"", text_to_cstring(unit)),
			 errhint("Give day, week, month or year.")));
}

static inline Size
day_bytes(const SummaryState *s)
{
	return s->wide ? sizeof(uint32) : sizeof(uint16);
}

static inline void *
days_of(SummaryState *s)
{
	return s->room > INLINE_DAYS ? s->days.list : s->days.here;
}

static inline uint32
nth_day(SummaryState *s, uint32 i)
{
	void	   *days = days_of(s);

	return s->wide ? ((uint32 *) days)[i] : ((uint16 *) days)[i];
}

static int
compare_wide(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a,
				y = *(const uint32 *) b;

	return x < y ? -1 : x > y;
}

static int
compare_narrow(const void *a, const void *b)
{
	return (int) *(const uint16 *) a - (int) *(const uint16 *) b;
}

/* Sorted, and each day once */
static void
compact(SummaryState *s)
{
	uint32		i,
				n = 0;

	if (s->wide)
	{
		uint32	   *day = days_of(s);

		crm_sort(day, s->count, sizeof(uint32), compare_wide);
		for (i = 0; i < s->count; i++)
			if (i == 0 || day[i] != day[n - 1])
				day[n++] = day[i];
	}
	else
	{
		uint16	   *day = days_of(s);

		if (s->count > 2 * INLINE_DAYS)
			crm_sort(day, s->count, sizeof(uint16), compare_narrow);
		else
			for (i = 1; i < s->count; i++)
			{
				uint16		this = day[i];
				uint32		k = i;

				for (; k > 0 && day[k - 1] > this; k--)
					day[k] = day[k - 1];
				day[k] = this;
			}
		for (i = 0; i < s->count; i++)
			if (i == 0 || day[i] != day[n - 1])
				day[n++] = day[i];
	}
	s->count = n;
}

/* The same days in a longer list, or in one of wider entries */
static void
move_days(FunctionCallInfo fcinfo, MemoryContext context, SummaryState *s,
		  uint32 room, bool wide)
{
	void	   *list;
	uint32		i;

	if (room >= 1 << 28)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many days with a purchase")));
	list = arena_alloc(fcinfo, context,
					   room * (wide ? sizeof(uint32) : sizeof(uint16)));
	for (i = 0; i < s->count; i++)
		if (wide)
			((uint32 *) list)[i] = nth_day(s, i);
		else
			((uint16 *) list)[i] = nth_day(s, i);
	s->days.list = list;
	s->room = room;
	s->wide = wide;
}

static inline void
add_day(FunctionCallInfo fcinfo, MemoryContext context, SummaryState *s,
		uint32 day)
{
	if (s->count > 0 && nth_day(s, s->count - 1) == day)
		return;
	if (day > PG_UINT16_MAX && !s->wide)
		move_days(fcinfo, context, s, Max(s->room, 2 * INLINE_DAYS), true);
	if (s->count == s->room)
	{
		compact(s);
		if (s->count > s->room / 2)
			move_days(fcinfo, context, s, s->room * 3 & ~3, s->wide);
	}
	if (s->wide)
		((uint32 *) days_of(s))[s->count++] = day;
	else
		((uint16 *) days_of(s))[s->count++] = day;
}

static SummaryState *
new_summary(FunctionCallInfo fcinfo, MemoryContext context, DateADT as_of,
		  int unit)
{
	SummaryState *s = arena_alloc(fcinfo, context, sizeof(SummaryState));

	s->total = s->first_total = 0;
	s->as_of = as_of;
	s->first = 0;
	s->count = 0;
	s->room = INLINE_DAYS;
	s->unit = unit;
	s->wide = false;
	return s;
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_accumulate);
Datum
crm_purchase_summary_accumulate(PG_FUNCTION_ARGS)
{
	MemoryContext context = crm_value_state_context(fcinfo);
	SummaryState *s;
	DateADT		date;
	uint32		day;
	double		amount;

	if (PG_ARGISNULL(0))
	{
		if (PG_ARGISNULL(3) || PG_ARGISNULL(4))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("as_of and unit must not be null")));
		if (DATE_NOT_FINITE(PG_GETARG_DATEADT(3)))
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("as_of must be finite")));
		s = new_summary(fcinfo, context, PG_GETARG_DATEADT(3),
					  unit_number(PG_GETARG_TEXT_PP(4)));
	}
	else
	{
		s = (SummaryState *) PG_GETARG_POINTER(0);
		if (PG_ARGISNULL(3) || PG_GETARG_DATEADT(3) != s->as_of)
			crm_setting_differs("crm.purchase_summary", "as_of");
		if (!crm_setting_is_fixed(fcinfo, 4) &&
			(PG_ARGISNULL(4) || unit_number(PG_GETARG_TEXT_PP(4)) != s->unit))
			crm_setting_differs("crm.purchase_summary", "unit");
	}

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(s);
	date = PG_GETARG_DATEADT(1);
	if (date > s->as_of)
		PG_RETURN_POINTER(s);
	if (DATE_NOT_FINITE(date))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("day of a purchase must be finite")));
	day = s->as_of - date;
	amount = PG_ARGISNULL(2) ? 0 : PG_GETARG_FLOAT8(2);
	if (isnan(amount) || isinf(amount))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount of a purchase must be finite")));

	if (s->count == 0 || day > s->first)
	{
		s->first = day;
		s->first_total = amount;
	}
	else if (day == s->first)
		s->first_total += amount;
	s->total += amount;
	add_day(fcinfo, context, s, day);
	PG_RETURN_POINTER(s);
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_combine);
Datum
crm_purchase_summary_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = crm_value_state_context(fcinfo);
	SummaryState *a,
			   *b;
	uint32		i;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	b = (SummaryState *) PG_GETARG_POINTER(1);
	if (PG_ARGISNULL(0))
		a = new_summary(fcinfo, context, b->as_of, b->unit);
	else
		a = (SummaryState *) PG_GETARG_POINTER(0);
	if (b->count == 0)
		PG_RETURN_POINTER(a);
	if (a->count == 0 || b->first > a->first)
	{
		a->first = b->first;
		a->first_total = b->first_total;
	}
	else if (a->first == b->first)
		a->first_total += b->first_total;
	a->total += b->total;
	for (i = 0; i < b->count; i++)
		add_day(fcinfo, context, a, nth_day(b, i));
	PG_RETURN_POINTER(a);
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_serialize);
Datum
crm_purchase_summary_serialize(PG_FUNCTION_ARGS)
{
	SummaryState *s = (SummaryState *) PG_GETARG_POINTER(0);
	Size		days = s->count * day_bytes(s);
	bytea	   *out = palloc(VARHDRSZ + FIXED + days);

	SET_VARSIZE(out, VARHDRSZ + FIXED + days);
	memcpy(VARDATA(out), s, FIXED);
	memcpy(VARDATA(out) + FIXED, days_of(s), days);
	PG_RETURN_BYTEA_P(out);
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_deserialize);
Datum
crm_purchase_summary_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *in = PG_GETARG_BYTEA_PP(0);
	SummaryState *s = palloc(sizeof(SummaryState));

	memcpy(s, VARDATA_ANY(in), FIXED);
	if (s->room > INLINE_DAYS)
		s->days.list = palloc(Max(s->count * day_bytes(s), 8));
	memcpy(days_of(s), VARDATA_ANY(in) + FIXED, s->count * day_bytes(s));
	PG_RETURN_POINTER(s);
}

/*
 * Sums of money to a millionth: the noise of binary fractions would make
 * equal customers differ.
 */
static double
settle(double v)
{
	return fabs(v) < 1e9 ? rint(v * 1e6) / 1e6 : v;
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_final);
Datum
crm_purchase_summary_final(PG_FUNCTION_ARGS)
{
	SummaryState *s = PG_ARGISNULL(0) ? NULL :
		(SummaryState *) PG_GETARG_POINTER(0);
	TupleDesc	desc = fcinfo->flinfo->fn_extra;
	Datum		value[8];
	bool		null[8] = {false};
	int64		x;
	uint32		last;

	if (s == NULL || s->count == 0)
		PG_RETURN_NULL();
	if (desc == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		desc = crm_result_row(fcinfo);
		fcinfo->flinfo->fn_extra = desc;
		MemoryContextSwitchTo(old);
	}

	/* sorting what is there changes nothing that a later row could see */
	compact(s);
	x = s->count - 1;
	last = nth_day(s, 0);
	value[0] = Int64GetDatum(x);
	value[1] = Float8GetDatum((s->first - last) / unit_length[s->unit]);
	value[2] = Float8GetDatum(s->first / unit_length[s->unit]);
	value[3] = Float8GetDatum(x == 0 ? 0 :
							  settle(s->total - s->first_total) / x);
	value[4] = Float8GetDatum(settle(s->total));
	value[5] = DateADTGetDatum((DateADT) (s->as_of - s->first));
	value[6] = DateADTGetDatum((DateADT) (s->as_of - last));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, value, null)));
}
