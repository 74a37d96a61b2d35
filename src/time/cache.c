/*
 * cache.c
 *	  Compiled calendars, kept by each backend.
 *
 * A calendar is read at its first use and compiled; it stays until a version
 * or a holiday of any calendar changes.  What is read is always what is committed at
 * that moment (and what the own transaction did), not the snapshot of a long
 * transaction: the cache outlives the snapshot, and the next user of it would
 * otherwise calculate with hours that were replaced long ago.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "time/time_face.h"
#include "access/identity.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* more compiled calendars than this are not kept */
#define MAX_CALENDARS 1000

typedef struct CacheKey
{
	int64		tenant;
	int64		id;
} CacheKey;

typedef struct CacheEntry
{
	CacheKey	key;			/* hash key: must be first */
	Calendar   *calendar;
} CacheEntry;

static HTAB *calendars = NULL;
static MemoryContext calendars_context = NULL;
static uint64 calendars_seen = 0;
static CacheEntry *last_used = NULL;

static CrmConfigWatch versions_watch = {"calendar_versions"};
static CrmConfigWatch holidays_watch = {"calendar_holidays"};

/* A number that grows whenever any calendar may have changed. */
static uint64
calendars_generation(void)
{
	return crm_config_generation(&versions_watch) +
		crm_config_generation(&holidays_watch);
}

static void
start_cache(void)
{
	HASHCTL		ctl = {0};

	last_used = NULL;
	if (calendars_context == NULL)
		calendars_context = AllocSetContextCreate(TopMemoryContext, "crm calendars",
												  ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(calendars_context);
	calendars = NULL;
	ctl.keysize = sizeof(CacheKey);
	ctl.entrysize = sizeof(CacheEntry);
	ctl.hcxt = calendars_context;
	calendars = hash_create("crm calendars", 64, &ctl,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

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

static int
compare_dates(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	return x < y ? -1 : x > y;
}

/* The imported holidays that are switched on, in order. */
static int32 *
read_imported(Datum *args, const char *nulls, int *n)
{
	static const Oid types[] = {INT8OID, INT8OID};
	int32	   *dates;

	crm_execute("SELECT h.holiday_on FROM crm.calendar_holidays AS h "
				"WHERE h.tenant_id = $1 AND h.calendar_id = $2 AND h.active "
				"ORDER BY h.holiday_on",
				2, types, args, nulls, true, 0);
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
static Calendar *
load_calendar(int64 tenant, int64 id)
{
	static const Oid types[] = {INT8OID, INT8OID};
	Datum		args[2];
	MemoryContext context;
	MemoryContext spi_context;
	CrmOwnerSwitch saved;
	CalRules   *rules;
	int32	   *imported;
	int			nimported;
	int			n;
	Calendar   *cal = NULL;

	args[0] = Int64GetDatum(tenant);
	args[1] = Int64GetDatum(id);
	SPI_connect();
	crm_become(versions_watch.owner, &saved);
	PushActiveSnapshot(GetCatalogSnapshot(versions_watch.relid));

	imported = read_imported(args, NULL, &nimported);
	crm_execute("SELECT v.valid_from, v.definition FROM crm.calendar_versions AS v "
				"WHERE v.tenant_id = $1 AND v.calendar_id = $2 ORDER BY v.valid_from",
				2, types, args, NULL, true, 0);
	n = (int) SPI_processed;
	if (n > 0)
	{
		context = AllocSetContextCreate(CurrentMemoryContext, "crm calendar",
										ALLOCSET_SMALL_SIZES);
		rules = (CalRules *) MemoryContextAlloc(context, sizeof(CalRules) * n);
		for (int i = 0; i < n; i++)
		{
			bool		isnull;
			DateADT		from = DatumGetDateADT(crm_spi_value(i, 1, &isnull));
			Jsonb	   *definition = DatumGetJsonbP(crm_spi_value(i, 2, &isnull));
			List	   *faults = NIL;
			CalRules   *one = crm_calendar_parse(definition, &faults);

			if (faults != NIL)
				crm_calendar_raise(faults, psprintf("%lld", (long long) id));
			one->holidays = (int32 *) repalloc(one->holidays,
											   sizeof(int32) * Max(1, one->nholidays + nimported));
			memcpy(one->holidays + one->nholidays, imported, sizeof(int32) * nimported);
			one->nholidays += nimported;
			qsort(one->holidays, one->nholidays, sizeof(int32), compare_dates);
			if (!DATE_NOT_FINITE(from) &&
				from >= CRM_CALENDAR_FIRST_DAY + 2 && from <= CRM_CALENDAR_LAST_DAY - 2)
				one->valid_from = crm_calendar_date_start(one, from);
			if (i > 0)
				rules[i - 1].valid_to = one->valid_from;
			spi_context = MemoryContextSwitchTo(context);
			copy_rules(&rules[i], one);
			MemoryContextSwitchTo(spi_context);
		}
		cal = crm_calendar_create(context, n, rules);
		MemoryContextSetParent(context, calendars_context);
	}

	PopActiveSnapshot();
	crm_become_self(&saved);
	SPI_finish();
	return cal;
}

/* The compiled calendar of the current tenant; an error where there is none. */
Calendar *
crm_calendar_get(int64 calendar_id)
{
	bool		no_tenant;
	int64		tenant = crm_current_tenant(&no_tenant);

	/* no row has tenant 0 */
	return crm_calendar_get_of(no_tenant ? 0 : tenant, calendar_id);
}

/* The compiled calendar of a tenant; an error where there is none. */
Calendar *
crm_calendar_get_of(int64 tenant, int64 calendar_id)
{
	uint64		generation = calendars_generation();
	CacheKey	key;
	CacheEntry *entry;
	Calendar   *cal;
	bool		found;

	key.tenant = tenant;
	key.id = calendar_id;
	if (unlikely(calendars == NULL || generation != calendars_seen ||
				 hash_get_num_entries(calendars) >= MAX_CALENDARS))
	{
		start_cache();
		calendars_seen = generation;
	}
	if (last_used != NULL && last_used->key.id == key.id &&
		last_used->key.tenant == key.tenant)
		return last_used->calendar;

	entry = (CacheEntry *) hash_search(calendars, &key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		cal = load_calendar(tenant, calendar_id);
		if (cal == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("calendar %lld does not exist", (long long) calendar_id),
					 errhint("Calendars are made by crm.define_calendar(code, definition) and listed in crm.calendars.")));

		/*
		 * A change may have arrived while the calendar was read: then it is good
		 * for this call, and read again at the next.
		 */
		entry = (CacheEntry *) hash_search(calendars, &key, HASH_ENTER, &found);
		entry->calendar = cal;
	}
	last_used = entry;
	return entry->calendar;
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
