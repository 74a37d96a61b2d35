/*
 * business.c
 *	  SQL functions on business time.
 */
#include "base/crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "time/time_face.h"
#include "utils/builtins.h"
#include "utils/rel.h"

/* no calendar reaches further than that */
#define MAX_SECONDS 1e12

/* Seconds of SQL as microseconds. */
static int64
seconds_to_usecs(double seconds)
{
	if (isnan(seconds) || isinf(seconds))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a number of business seconds must be finite")));
	if (fabs(seconds) > MAX_SECONDS)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("number of business seconds out of range"),
				 errdetail("At most %.0f seconds can be added or taken away.", MAX_SECONDS)));
	return (int64) rint(seconds * 1e6);
}

PG_FUNCTION_INFO_V1(crm_business_add);

/* crm.business_add(calendar_id, start_at, seconds) -> timestamptz */
Datum
crm_business_add(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	TimestampTz start = PG_GETARG_TIMESTAMPTZ(1);
	int64		usecs = seconds_to_usecs(PG_GETARG_FLOAT8(2));
	int64		result = 0;

	crm_calendar_answer(crm_calendar_add(crm_calendar_get(id), start, usecs, &result), id,
						usecs > 0 ? "after that instant" : "before that instant");
	PG_RETURN_TIMESTAMPTZ(result);
}

PG_FUNCTION_INFO_V1(crm_business_elapsed);

/* crm.business_elapsed(calendar_id, from_at, to_at) -> double precision */
Datum
crm_business_elapsed(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	int64		usecs = 0;

	crm_calendar_answer(crm_calendar_elapsed(crm_calendar_get(id), PG_GETARG_TIMESTAMPTZ(1),
											 PG_GETARG_TIMESTAMPTZ(2), &usecs), id, "");
	PG_RETURN_FLOAT8((double) usecs / 1e6);
}

PG_FUNCTION_INFO_V1(crm_is_open);

/* crm.is_open(calendar_id, at) -> boolean */
Datum
crm_is_open(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	bool		open = false;

	crm_calendar_answer(crm_calendar_is_open(crm_calendar_get(id), PG_GETARG_TIMESTAMPTZ(1),
											 &open), id, "");
	PG_RETURN_BOOL(open);
}

PG_FUNCTION_INFO_V1(crm_next_open);

/* crm.next_open(calendar_id, at) -> timestamptz */
Datum
crm_next_open(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	int64		result = 0;

	crm_calendar_answer(crm_calendar_next_open(crm_calendar_get(id), PG_GETARG_TIMESTAMPTZ(1),
											   &result), id, "after that instant");
	PG_RETURN_TIMESTAMPTZ(result);
}

PG_FUNCTION_INFO_V1(crm_prev_open);

/* crm.prev_open(calendar_id, at) -> timestamptz */
Datum
crm_prev_open(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	int64		result = 0;

	crm_calendar_answer(crm_calendar_prev_open(crm_calendar_get(id), PG_GETARG_TIMESTAMPTZ(1),
											   &result), id, "before that instant");
	PG_RETURN_TIMESTAMPTZ(result);
}

PG_FUNCTION_INFO_V1(crm_next_close);

/* crm.next_close(calendar_id, at) -> timestamptz; null where it never closes */
Datum
crm_next_close(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	int64		result = 0;
	CalAnswer	answer = crm_calendar_next_close(crm_calendar_get(id),
												 PG_GETARG_TIMESTAMPTZ(1), &result);

	crm_calendar_answer(answer, id, "after that instant");
	if (answer == CAL_NEVER_CLOSES)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(result);
}

PG_FUNCTION_INFO_V1(crm_business_days_add);

/* crm.business_days_add(calendar_id, start_at, days) -> timestamptz */
Datum
crm_business_days_add(PG_FUNCTION_ARGS)
{
	int64		id = PG_GETARG_INT64(0);
	int32		days = PG_GETARG_INT32(2);
	int64		result = 0;

	if (days > 4000000 || days < -4000000)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("number of business days out of range")));
	crm_calendar_answer(crm_calendar_add_days(crm_calendar_get(id), PG_GETARG_TIMESTAMPTZ(1),
											  days, &result), id,
						days >= 0 ? "after that instant" : "before that instant");
	PG_RETURN_TIMESTAMPTZ(result);
}

PG_FUNCTION_INFO_V1(crm_check_calendar);

/* crm.check_calendar(definition) -> one row a fault */
Datum
crm_check_calendar(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *faults = NIL;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the definition of a calendar must not be null")));
	crm_calendar_parse(PG_GETARG_JSONB_P(0), &faults);
	foreach(cell, faults)
	{
		CalFault   *f = (CalFault *) lfirst(cell);
		Datum		values[3];
		bool		nulls[3] = {false, false, false};

		values[0] = CStringGetTextDatum(f->reason);
		values[1] = CStringGetTextDatum(f->place);
		values[2] = CStringGetTextDatum(f->message);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(crm_calendar_guard);

/*
 * crm.calendar_guard() -- BEFORE INSERT OR UPDATE trigger of
 * crm.calendar_versions: no calendar is stored that could not be used.
 */
Datum
crm_calendar_guard(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	HeapTuple	row;
	int			column;
	bool		isnull;
	Datum		definition;
	List	   *faults = NIL;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) ||
		!TRIGGER_FIRED_BEFORE(trigdata->tg_event) || TRIGGER_FIRED_BY_DELETE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be called by a trigger before insert or update, for each row",
						"crm.calendar_guard")));
	row = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ?
		trigdata->tg_newtuple : trigdata->tg_trigtuple;
	column = crm_typed_column(RelationGetDescr(trigdata->tg_relation), "definition",
							  JSONBOID);
	definition = heap_getattr(row, column, RelationGetDescr(trigdata->tg_relation), &isnull);
	if (!isnull)
	{
		crm_calendar_parse(DatumGetJsonbP(definition), &faults);
		if (faults != NIL)
			crm_calendar_raise(faults, NULL);
	}
	return PointerGetDatum(row);
}
