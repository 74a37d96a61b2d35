/*
 * cache.c
 *	  Compiled calendars, kept by each backend (see kept.c).
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "time/time_face.h"
#include "access/identity.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

typedef struct CalendarKey
{
	int64		tenant;
	int64		id;
} CalendarKey;

/* ---- rules into memory that stays ---- */

static void
copy_spans(CalDay *day)
{
	CalSpan    *spans = (CalSpan *) palloc(sizeof(CalSpan) * Max(1, day->nspans));

	if (day->nspans > 0)
		memcpy(spans, day->spans, sizeof(CalSpan) * day->nspans);
	day->spans = spans;
}

static void *
copy_array(const void *array, int n, Size size)
{
	void	   *copy = palloc(Max(n, 1) * size);

	if (n > 0)
		memcpy(copy, array, n * size);
	return copy;
}

static void
copy_rules(CalRules *to, const CalRules *from)
{
	*to = *from;
	for (int w = 0; w < 7; w++)
		copy_spans(&to->weekly[w]);
	to->special = (CalDay *) copy_array(from->special, from->nspecial, sizeof(CalDay));
	for (int i = 0; i < to->nspecial; i++)
		copy_spans(&to->special[i]);
	to->breaks = (CalDay *) copy_array(from->breaks, from->nbreaks, sizeof(CalDay));
	for (int i = 0; i < to->nbreaks; i++)
		copy_spans(&to->breaks[i]);
	to->holidays = (int32 *) copy_array(from->holidays, from->nholidays, sizeof(int32));
	to->yearly = (CalYearly *) copy_array(from->yearly, from->nyearly, sizeof(CalYearly));
	for (int i = 0; i < to->nyearly; i++)
		to->yearly[i].except = (int32 *)
			copy_array(to->yearly[i].except, to->yearly[i].nexcept, sizeof(int32));
}

/* The imported holidays that are switched on, in order. */
static int32 *
read_imported(Datum *args, int *n)
{
	static const Oid types[] = {INT8OID, INT8OID};
	int32	   *dates;

	crm_read_config("SELECT h.holiday_on FROM crm.calendar_holidays AS h "
					"WHERE h.tenant_id = $1 AND h.calendar_id = $2 AND h.active "
					"ORDER BY h.holiday_on", 2, types, args);
	*n = (int) SPI_processed;
	dates = (int32 *) palloc(sizeof(int32) * Max(1, *n));
	for (int i = 0; i < *n; i++)
	{
		bool		isnull;

		dates[i] = DatumGetDateADT(crm_spi_value(i, 1, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return dates;
}

/* Read and compile a calendar; NULL where the tenant has none of that id. */
static void *
build_calendar(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID, INT8OID};
	const CalendarKey *k = (const CalendarKey *) key;
	Datum		args[2];
	CalRules   *rules;
	int32	   *imported;
	int			nimported;
	int			n;

	args[0] = Int64GetDatum(k->tenant);
	args[1] = Int64GetDatum(k->id);
	imported = read_imported(args, &nimported);
	crm_read_config("SELECT v.valid_from, v.definition FROM crm.calendar_versions AS v "
					"WHERE v.tenant_id = $1 AND v.calendar_id = $2 ORDER BY v.valid_from",
					2, types, args);
	n = (int) SPI_processed;
	if (n == 0)
		return NULL;

	rules = (CalRules *) MemoryContextAlloc(context, sizeof(CalRules) * n);
	for (int i = 0; i < n; i++)
	{
		bool		isnull;
		DateADT		from = DatumGetDateADT(crm_spi_value(i, 1, &isnull));
		Jsonb	   *definition = DatumGetJsonbP(crm_spi_value(i, 2, &isnull));
		List	   *faults = NIL;
		CalRules   *one = crm_calendar_parse(definition, &faults);
		MemoryContext old;

		if (faults != NIL)
			crm_calendar_raise(faults, psprintf("%lld", (long long) k->id));
		one->holidays = (int32 *) repalloc(one->holidays,
										   sizeof(int32) * Max(1, one->nholidays + nimported));
		memcpy(one->holidays + one->nholidays, imported, sizeof(int32) * nimported);
		one->nholidays += nimported;
		qsort(one->holidays, one->nholidays, sizeof(int32), crm_compare_dates);
		if (!DATE_NOT_FINITE(from) &&
			from >= CRM_CALENDAR_FIRST_DAY + 2 && from <= CRM_CALENDAR_LAST_DAY - 2)
			one->valid_from = crm_calendar_date_start(one, from);
		if (i > 0)
			rules[i - 1].valid_to = one->valid_from;
		old = MemoryContextSwitchTo(context);
		copy_rules(&rules[i], one);
		MemoryContextSwitchTo(old);
	}
	return crm_calendar_create(context, n, rules);
}

static CrmKept calendars = {
	.what = "calendars",
	.tables = {"calendar_versions", "calendar_holidays"},
	.build = build_calendar,
};

/*
 * The compiled calendar of the current tenant; an error where there is none.
 * It is for being asked one question: calculating with it runs no SQL, and
 * the next look may make it anew.
 */
Calendar *
crm_calendar_get(int64 calendar_id)
{
	bool		no_tenant;
	int64		tenant = crm_current_tenant(&no_tenant);

	/* no row has tenant 0 */
	return crm_calendar_get_of(no_tenant ? 0 : tenant, calendar_id);
}

/* The same of a tenant. */
Calendar *
crm_calendar_get_of(int64 tenant, int64 calendar_id)
{
	CalendarKey key = {tenant, calendar_id};
	Calendar   *calendar = crm_kept_peek(&calendars, &key, sizeof(key));

	if (calendar == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("calendar %lld does not exist", (long long) calendar_id),
				 errhint("Calendars are made by crm.define_calendar(code, definition) and listed in crm.calendars.")));
	return calendar;
}

/* Turn what a calendar cannot answer into an error. */
void
crm_calendar_answer(CalAnswer answer, int64 calendar_id, const char *question)
{
	switch (answer)
	{
		case CAL_OK:
		case CAL_NEVER_CLOSES:
			return;
		case CAL_OUT_OF_RANGE:
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
					 errmsg("timestamp out of range for business time"),
					 errdetail("Calendars answer for finite instants of the years 1 to 9999.")));
			break;
		case CAL_NO_OPEN_TIME:
			ereport(ERROR,
					(errcode(ERRCODE_CRM_NO_OPEN_TIME),
					 errmsg("the calendar has not enough open time %s", question),
					 errdetail("This is calendar %lld.", (long long) calendar_id),
					 errhint("See its weekly hours, special days and validity in crm.calendar_versions.")));
			break;
	}
}
