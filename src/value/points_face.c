/*
 * points_face.c
 *	  Loyalty points as SQL: aggregates over any table of points earned and
 *	  spent.
 *
 * The state is the rows themselves: which points a row spends is not known
 * before all of them are there.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "base/sort.h"
#include "value/points_math.h"
#include "value/value_face.h"

StaticAssertDecl(DT_NOEND == CRM_POINTS_NEVER, "what never expires sorts last");

typedef struct PointsRows
{
	int64		as_of;			/* the latest that was asked for */
	bool		asked;
	int64		moved;			/* of all rows, whatever their sign */
	int64		count;
	int64		room;
	MemoryContext context;
	CrmPointsEntry *row;
} PointsRows;

#define HEADER offsetof(PointsRows, room)

static void
reserve_entries(PointsRows *s, int64 more)
{
	int64		room = Max(s->room, 8);

	while (room < s->count + more)
		room *= 2;
	if (s->row == NULL)
		s->row = MemoryContextAllocHuge(s->context, room * sizeof(CrmPointsEntry));
	else if (room > s->room)
		s->row = repalloc_huge(s->row, room * sizeof(CrmPointsEntry));
	s->room = room;
}

/* No sum within them can be too large where the sum of all is not. */
static void
count_moved(PointsRows *s, int64 points)
{
	if (points == PG_INT64_MIN ||
		pg_add_s64_overflow(s->moved, points < 0 ? -points : points, &s->moved))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("points of one ledger are more than a bigint holds"),
				 errhint("Keep a ledger for each customer: GROUP BY the customer.")));
}

static PointsRows *
new_points_rows(MemoryContext context)
{
	PointsRows *s = MemoryContextAllocZero(context, sizeof(PointsRows));

	s->context = context;
	return s;
}

PG_FUNCTION_INFO_V1(crm_points_accumulate);
Datum
crm_points_accumulate(PG_FUNCTION_ARGS)
{
	PointsRows *s = PG_ARGISNULL(0) ? new_points_rows(crm_value_state_context(fcinfo))
		: (PointsRows *) PG_GETARG_POINTER(0);
	CrmPointsEntry *e;
	int64		points;

	if (!PG_ARGISNULL(4))
	{
		int64		as_of = PG_GETARG_TIMESTAMPTZ(4);

		s->as_of = s->asked ? Max(s->as_of, as_of) : as_of;
		s->asked = true;
	}
	points = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	if (points == 0)
		PG_RETURN_POINTER(s);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("points were earned or spent at some instant"),
				 errhint("Pass when in the second argument, or NULL points where nothing happened.")));
	count_moved(s, points);
	if (s->count == s->room)
		reserve_entries(s, 1);
	e = &s->row[s->count++];
	e->at = PG_GETARG_TIMESTAMPTZ(2);
	e->expires = PG_ARGISNULL(3) ? CRM_POINTS_NEVER : PG_GETARG_TIMESTAMPTZ(3);
	e->points = points;
	e->spends = points < 0 && PG_ARGISNULL(3);
	PG_RETURN_POINTER(s);
}

PG_FUNCTION_INFO_V1(crm_points_combine);
Datum
crm_points_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = crm_value_state_context(fcinfo);
	PointsRows *a = PG_ARGISNULL(0) ? NULL : (PointsRows *) PG_GETARG_POINTER(0);
	PointsRows *b = PG_ARGISNULL(1) ? NULL : (PointsRows *) PG_GETARG_POINTER(1);

	if (b == NULL)
	{
		if (a == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(a);
	}
	if (a == NULL)
		a = new_points_rows(context);
	if (b->asked)
		a->as_of = a->asked ? Max(a->as_of, b->as_of) : b->as_of;
	a->asked |= b->asked;
	count_moved(a, b->moved);
	if (b->count > 0)
	{
		reserve_entries(a, b->count);
		memcpy(a->row + a->count, b->row, b->count * sizeof(CrmPointsEntry));
		a->count += b->count;
	}
	PG_RETURN_POINTER(a);
}

PG_FUNCTION_INFO_V1(crm_points_serialize);
Datum
crm_points_serialize(PG_FUNCTION_ARGS)
{
	PointsRows *s = (PointsRows *) PG_GETARG_POINTER(0);
	Size		rows = s->count * sizeof(CrmPointsEntry);
	bytea	   *out = palloc(VARHDRSZ + HEADER + rows);

	SET_VARSIZE(out, VARHDRSZ + HEADER + rows);
	memcpy(VARDATA(out), s, HEADER);
	if (rows > 0)
		memcpy(VARDATA(out) + HEADER, s->row, rows);
	PG_RETURN_BYTEA_P(out);
}

PG_FUNCTION_INFO_V1(crm_points_deserialize);
Datum
crm_points_deserialize(PG_FUNCTION_ARGS)
{
	bytea	   *in = PG_GETARG_BYTEA_PP(0);
	PointsRows *s = new_points_rows(CurrentMemoryContext);

	memcpy(s, VARDATA_ANY(in), HEADER);
	s->room = s->count;
	s->row = palloc(Max(s->count, 1) * sizeof(CrmPointsEntry));
	memcpy(s->row, VARDATA_ANY(in) + HEADER, s->count * sizeof(CrmPointsEntry));
	PG_RETURN_POINTER(s);
}

/* Expiries as they are told, for the array of them. */
typedef struct Expiries
{
	TupleDesc	desc;
	int			n;
	int			room;
	Datum	   *value;
} Expiries;

static void
keep_expiry(void *told, int64 at, int64 points)
{
	Expiries   *x = told;
	Datum		value[2] = {TimestampTzGetDatum(at), Int64GetDatum(points)};
	bool		null[2] = {false, false};

	if (x->n == x->room)
	{
		x->room = Max(8, x->room * 2);
		x->value = x->value == NULL ? palloc(x->room * sizeof(Datum))
			: repalloc(x->value, x->room * sizeof(Datum));
	}
	x->value[x->n++] = HeapTupleGetDatum(heap_form_tuple(x->desc, value, null));
}

/*
 * Runs through the rows.  They are sorted where they stand: a state whose
 * rows are a set may be finished again, as over a window that grows.
 */
static void
run_rows(PointsRows *s, CrmPointsState *state, CrmPointsExpired tell, void *told)
{
	CrmPointsLot *lot = MemoryContextAllocHuge(CurrentMemoryContext,
											   Max(s->count, 1) * sizeof(CrmPointsLot));

	crm_sort(s->row, s->count, sizeof(CrmPointsEntry), crm_points_compare);
	crm_points_run(s->row, s->count, s->as_of, lot, state, tell, told);
	pfree(lot);
}

PG_FUNCTION_INFO_V1(crm_points_state_final);
Datum
crm_points_state_final(PG_FUNCTION_ARGS)
{
	PointsRows *s;
	CrmPointsState state;
	TupleDesc	desc;
	Datum		value[6];
	bool		null[6] = {false};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (PointsRows *) PG_GETARG_POINTER(0);
	if (!s->asked)
		PG_RETURN_NULL();
	desc = crm_result_row(fcinfo);
	run_rows(s, &state, NULL, NULL);
	value[0] = Int64GetDatum(state.earned);
	value[1] = Int64GetDatum(state.burned);
	value[2] = Int64GetDatum(state.expired);
	value[3] = Int64GetDatum(state.balance);
	value[4] = TimestampTzGetDatum(state.next_expires);
	value[5] = Int64GetDatum(state.expiring);
	null[4] = state.next_expires == CRM_POINTS_NEVER;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, value, null)));
}

PG_FUNCTION_INFO_V1(crm_points_expiries_final);
Datum
crm_points_expiries_final(PG_FUNCTION_ARGS)
{
	PointsRows *s;
	CrmPointsState state;
	Expiries	x = {0};
	Oid			type = get_element_type(get_fn_expr_rettype(fcinfo->flinfo));

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	s = (PointsRows *) PG_GETARG_POINTER(0);
	if (!s->asked)
		PG_RETURN_NULL();
	if (!OidIsValid(type))
		elog(ERROR, "expiries must be asked for as an array");
	x.desc = lookup_rowtype_tupdesc_copy(type, -1);
	BlessTupleDesc(x.desc);
	run_rows(s, &state, keep_expiry, &x);
	PG_RETURN_ARRAYTYPE_P(construct_array(x.value, x.n, type, -1, false, TYPALIGN_DOUBLE));
}
