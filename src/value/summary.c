/*
 * summary.c
 *	  crm.purchase_summary: from a log of purchases to x, t_x, age and spend.
 *
 * Purchases of one day are one.  The state of a customer is the list of
 * days, compacted when it is full, with totals of all days and of the first
 * one: enough for the mean spend of the repeat days.
 */
#include "crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "value_face.h"

#define INLINE_DAYS 8

typedef struct SummaryState
{
	double		total;			/* of all days */
	double		first_total;	/* of day first */
	double		unit;			/* days in the unit asked for */
	DateADT		first;
	DateADT		last;
	DateADT		as_of;
	int32		count;			/* entries in days, some of them equal */
	int32		room;
	DateADT    *days;
	DateADT		inline_days[INLINE_DAYS];
} SummaryState;

/* What travels between processes: the state up to the pointer, and days */
#define FIXED offsetof(SummaryState, days)

static double
unit_days(text *unit)
{
	static const struct
	{
		const char *name;
		double		days;
	}			units[] = {
		{"day", 1}, {"week", 7}, {"month", 365.25 / 12}, {"year", 365.25}
	};
	int			i;

	for (i = 0; i < lengthof(units); i++)
		if (VARSIZE_ANY_EXHDR(unit) == strlen(units[i].name) &&
			memcmp(VARDATA_ANY(unit), units[i].name,
				   strlen(units[i].name)) == 0)
			return units[i].days;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown unit of time \"%s\"", text_to_cstring(unit)),
			 errhint("Give day, week, month or year.")));
}

static int
compare_days(const void *a, const void *b)
{
	DateADT		x = *(const DateADT *) a,
				y = *(const DateADT *) b;

	return x < y ? -1 : x > y;
}

/* Number of distinct days, which then come first in the list */
static int32
compact(DateADT *days, int32 count)
{
	int32		i,
				n = 0;
	bool		sorted = true;

	for (i = 1; i < count && sorted; i++)
		sorted = days[i - 1] <= days[i];
	if (!sorted)
		qsort(days, count, sizeof(DateADT), compare_days);
	for (i = 0; i < count; i++)
		if (i == 0 || days[i] != days[n - 1])
			days[n++] = days[i];
	return n;
}

static void
add_day(SummaryState *s, MemoryContext context, DateADT day)
{
	if (s->count == s->room)
	{
		s->count = compact(s->days, s->count);
		if (s->count > s->room / 2)
		{
			DateADT    *days = MemoryContextAlloc(context, s->room * 4 *
												  sizeof(DateADT));

			memcpy(days, s->days, s->count * sizeof(DateADT));
			if (s->days != s->inline_days)
				pfree(s->days);
			s->days = days;
			s->room *= 4;
		}
	}
	s->days[s->count++] = day;
}

static MemoryContext
state_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called outside an aggregate");
	return context;
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_accumulate);
Datum
crm_purchase_summary_accumulate(PG_FUNCTION_ARGS)
{
	MemoryContext context = state_context(fcinfo);
	SummaryState *s;
	DateADT		day;
	double		amount;

	if (PG_ARGISNULL(0))
	{
		if (PG_ARGISNULL(3) || PG_ARGISNULL(4))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("as_of and unit must not be null")));
		s = MemoryContextAlloc(context, sizeof(SummaryState));
		s->total = s->first_total = 0;
		s->count = 0;
		s->room = INLINE_DAYS;
		s->days = s->inline_days;
		s->as_of = PG_GETARG_DATEADT(3);
		s->unit = unit_days(PG_GETARG_TEXT_PP(4));
		if (DATE_NOT_FINITE(s->as_of))
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("as_of must be finite")));
	}
	else
		s = (SummaryState *) PG_GETARG_POINTER(0);

	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(s);
	day = PG_GETARG_DATEADT(1);
	if (day > s->as_of)
		PG_RETURN_POINTER(s);
	if (DATE_NOT_FINITE(day))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("day of a purchase must be finite")));
	amount = PG_ARGISNULL(2) ? 0 : PG_GETARG_FLOAT8(2);
	if (isnan(amount) || isinf(amount))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("amount of a purchase must be finite")));

	if (s->count == 0 || day < s->first)
	{
		s->first = day;
		s->first_total = amount;
	}
	else if (day == s->first)
		s->first_total += amount;
	if (s->count == 0 || day > s->last)
		s->last = day;
	s->total += amount;
	if (s->count == 0 || s->days[s->count - 1] != day)
		add_day(s, context, day);
	PG_RETURN_POINTER(s);
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_combine);
Datum
crm_purchase_summary_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = state_context(fcinfo);
	SummaryState *a,
			   *b;
	int32		i;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	b = (SummaryState *) PG_GETARG_POINTER(1);
	if (PG_ARGISNULL(0))
	{
		a = MemoryContextAlloc(context, sizeof(SummaryState));
		*a = *b;
		a->count = 0;
		a->room = INLINE_DAYS;
		a->days = a->inline_days;
	}
	else
	{
		a = (SummaryState *) PG_GETARG_POINTER(0);
		if (b->count == 0)
			PG_RETURN_POINTER(a);
		if (a->count == 0 || b->first < a->first)
		{
			a->first = b->first;
			a->first_total = b->first_total;
		}
		else if (a->first == b->first)
			a->first_total += b->first_total;
		if (a->count == 0 || b->last > a->last)
			a->last = b->last;
		a->total += b->total;
	}
	for (i = 0; i < b->count; i++)
		add_day(a, context, b->days[i]);
	PG_RETURN_POINTER(a);
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_serialize);
Datum
crm_purchase_summary_serialize(PG_FUNCTION_ARGS)
{
	SummaryState *s = (SummaryState *) PG_GETARG_POINTER(0);
	Size		size = VARHDRSZ + FIXED + s->count * sizeof(DateADT);
	bytea	   *out = palloc(size);

	SET_VARSIZE(out, size);
	memcpy(VARDATA(out), s, FIXED);
	memcpy(VARDATA(out) + FIXED, s->days, s->count * sizeof(DateADT));
	PG_RETURN_BYTEA_P(out);
}

PG_FUNCTION_INFO_V1(crm_purchase_summary_deserialize);
Datum
crm_purchase_summary_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *in = PG_GETARG_BYTEA_PP(0);
	SummaryState *s = palloc0(sizeof(SummaryState));

	memcpy(s, VARDATA_ANY(in), FIXED);
	s->days = palloc(Max(s->count, 1) * sizeof(DateADT));
	memcpy(s->days, VARDATA_ANY(in) + FIXED, s->count * sizeof(DateADT));
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

	if (s == NULL || s->count == 0)
		PG_RETURN_NULL();
	if (desc == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
			elog(ERROR, "return type must be a row type");
		desc = BlessTupleDesc(desc);
		fcinfo->flinfo->fn_extra = desc;
		MemoryContextSwitchTo(old);
	}

	/* sorting what is there changes nothing that a later row could see */
	s->count = compact(s->days, s->count);
	x = s->count - 1;
	value[0] = Int64GetDatum(x);
	value[1] = Float8GetDatum(x == 0 ? 0 : (s->last - s->first) / s->unit);
	value[2] = Float8GetDatum((s->as_of - s->first) / s->unit);
	value[3] = Float8GetDatum(x == 0 ? 0 :
							  settle(s->total - s->first_total) / x);
	value[4] = Float8GetDatum(settle(s->total));
	value[5] = DateADTGetDatum(s->first);
	value[6] = DateADTGetDatum(s->last);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, value, null)));
}
