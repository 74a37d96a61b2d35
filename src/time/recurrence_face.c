/*
 * recurrence_face.c
 *	  SQL functions on recurrence rules.
 */
#include "base/crm.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "time/recurrence.h"
#include "time/time_face.h"

/* The rule of a text, or an error that names the part that is wrong. */
static void
read_rule(text *given, RecurrenceRule *rule)
{
	RuleFault	fault;

	if (crm_recurrence_read(VARDATA_ANY(given), VARSIZE_ANY_EXHDR(given), rule, &fault))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not a recurrence rule",
					pnstrdup(fault.part, pg_mbcliplen(fault.part, fault.part_length, 200))),
			 errdetail("%c%s.", pg_toupper((unsigned char) fault.why[0]), fault.why + 1),
			 errhint("%s", fault.hint ? fault.hint :
					 "Write it as iCalendar (RFC 5545) does, such as FREQ=WEEKLY;BYDAY=MO,WE or FREQ=MONTHLY;BYMONTHDAY=-1.")));
}

/* Begin with a rule; what is before from is not wanted. */
static void
begin_recurrence(FunctionCallInfo fcinfo, int zone_argument, TimestampTz from,
				 RecurrenceRule *rule, RecurrenceScan *scan)
{
	TimestampTz start = PG_GETARG_TIMESTAMPTZ(1);
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(zone_argument));
	pg_tz	   *zone = crm_zone_find(name);

	read_rule(PG_GETARG_TEXT_PP(0), rule);
	if (zone == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no time zone \"%s\"", name),
				 errhint("Use a name of the time zone database, such as Europe/Berlin; pg_timezone_names lists them.")));
	if (TIMESTAMP_NOT_FINITE(start) || start < CRM_CALENDAR_BEGIN || start >= CRM_CALENDAR_END ||
		!crm_recurrence_begin(scan, rule, crm_zone_stretch, zone, start, from))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("start of the recurrence out of range"),
				 errdetail("Rules are expanded in the years 1 to 9999, those of the Persian calendar in its years 1178 to 1634.")));
}

PG_FUNCTION_INFO_V1(crm_recurrence);

/* crm.recurrence(rule, starts_at, from_at, until_at, zone) -> instants */
Datum
crm_recurrence(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	TimestampTz from = PG_GETARG_TIMESTAMPTZ(2);
	TimestampTz until = PG_GETARG_TIMESTAMPTZ(3);
	RecurrenceRule rule;
	RecurrenceScan scan;
	bool		more = true;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	begin_recurrence(fcinfo, 4, from, &rule, &scan);
	while (more && crm_recurrence_period(&scan))
	{
		int64		at;

		CHECK_FOR_INTERRUPTS();
		while (more && crm_recurrence_take(&scan, &at))
		{
			Datum		value = TimestampTzGetDatum(at);
			bool		isnull = false;

			more = at < until;
			if (more && at >= from)
				tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
		}
	}
	return (Datum) 0;
}

PG_FUNCTION_INFO_V1(crm_next_recurrence);

/* crm.next_recurrence(rule, starts_at, after_at, zone) -> timestamptz */
Datum
crm_next_recurrence(PG_FUNCTION_ARGS)
{
	TimestampTz after = PG_GETARG_TIMESTAMPTZ(2);
	RecurrenceRule rule;
	RecurrenceScan scan;

	begin_recurrence(fcinfo, 3, after, &rule, &scan);
	while (crm_recurrence_period(&scan))
	{
		int64		at;

		CHECK_FOR_INTERRUPTS();
		while (crm_recurrence_take(&scan, &at))
			if (at > after)
				PG_RETURN_TIMESTAMPTZ(at);
	}
	PG_RETURN_NULL();
}
