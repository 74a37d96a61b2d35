/*
 * ladder.c
 *	  Ladders of escalation: when the next step of a clock is due, and doing
 *	  what is due.
 *
 * The instant of a step is a function of its clock (stretches run, due
 * instant, calendar) and of the ladder.  It is computed whenever a clock is
 * written, in a BEFORE trigger, and stored with the clock as escalate_at; so a
 * pause, an answer or another promise moves the steps in the statement that
 * moves the clock, and a pass with nothing to do is one look into an index.
 *
 * A pass locks due clocks in the order of time, leaving out those another pass
 * holds, computes anew what is due by now (hours may have changed since), and
 * does it set by set.  That a step is done once is a unique key, not a matter
 * of timing: a clock, a cycle, a step, a repeat.
 */
#include "base/crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "process/clock.h"
#include "time/time_face.h"
#include "access/identity.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

extern Datum crm_sla_due(PG_FUNCTION_ARGS);

typedef struct Step
{
	int64		tenant;
	int64		id;
	int64		policy;			/* 0: every policy */
	char	   *subject_type;
	char	   *metric;
	int			position;
	double		share;			/* of the target; 0: by offset */
	int64		offset;			/* microseconds of business time */
	int64		repeat;
	int			repeat_max;
	bool		changes;		/* its action writes to the subject */
} Step;

/* A clock, as a row of crm.sla_clocks says */
typedef struct LadderClock
{
	int64		tenant;
	char	   *subject_type;
	int64		subject_id;
	char	   *metric;
	int			cycle;
	bool		running;
	int64		policy;			/* 0: none */
	bool		has_target;
	double		target;			/* seconds */
	bool		has_calendar;
	int64		calendar;
	TimestampTz counted_from;
	NullableDatum since;
	bool		has_due;
	TimestampTz due;
	bool		pinned;
	NullableDatum stretches;
	NullableDatum calendars;
	int64	   *done;			/* pairs: step, times */
	int			ndone;			/* pairs */
} LadderClock;

typedef struct Firing
{
	int			clock;			/* index */
	const Step *step;
	int			repeat_no;
	TimestampTz at;
	int			collapsed;
} Firing;

static CrmConfigWatch steps_watch = {.table = "escalation_steps"};
static uint64 steps_generation = 0;
static MemoryContext steps_context = NULL;
static Step *steps = NULL;
static int	nsteps = 0;

/* columns of crm.sla_clocks, in the order of enum Col */
static const char *const column_names[] = {
	"tenant_id", "subject_type", "subject_id", "metric", "cycle", "state", "policy_id",
	"target_seconds", "calendar_id", "counted_from", "running_since", "due_at", "due_pinned",
	"stretches", "stretch_calendars", "escalated", "escalate_at"
};

enum Col
{
	COL_TENANT, COL_TYPE, COL_SUBJECT, COL_METRIC, COL_CYCLE, COL_STATE, COL_POLICY,
	COL_TARGET, COL_CALENDAR, COL_COUNTED, COL_SINCE, COL_DUE, COL_PINNED,
	COL_STRETCHES, COL_CALENDARS, COL_DONE, COL_AT, NCOLS
};

/* ---- ladders ---- */

/*
 * Compile the active steps of all tenants.  As committed now, not as of an old
 * snapshot: what is compiled outlives the transaction.
 */
static void
load_steps(void)
{
	uint64		generation = crm_config_generation(&steps_watch);
	MemoryContext old;
	MemoryContext fresh;
	CrmOwnerSwitch saved;

	if (steps_context != NULL && steps_generation == generation)
		return;

	fresh = AllocSetContextCreate(TopMemoryContext, "crm escalation steps", ALLOCSET_SMALL_SIZES);
	SPI_connect();
	crm_become(steps_watch.owner, &saved);
	PushActiveSnapshot(GetLatestSnapshot());
	crm_execute("SELECT s.tenant_id, s.id, s.policy_id, s.subject_type, s.metric, s.\"position\", "
				"(s.percent / 100)::pg_catalog.float8, s.offset_seconds, s.repeat_seconds, s.repeat_max, "
				"s.action NOT IN ('notify', 'create_task') "
				"FROM crm.escalation_steps AS s WHERE s.active "
				"ORDER BY s.tenant_id, s.\"position\", s.id",
				0, NULL, NULL, NULL, true, 0);
	PopActiveSnapshot();
	crm_become_self(&saved);

	old = MemoryContextSwitchTo(fresh);
	nsteps = 0;
	steps = palloc(sizeof(Step) * Max(SPI_processed, 1));
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Step	   *s = &steps[i];
		bool		isnull;
		Datum		d;

		s->tenant = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
		s->id = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));
		d = SPI_getbinval(row, desc, 3, &isnull);
		s->policy = isnull ? 0 : DatumGetInt64(d);
		s->subject_type = TextDatumGetCString(SPI_getbinval(row, desc, 4, &isnull));
		s->metric = TextDatumGetCString(SPI_getbinval(row, desc, 5, &isnull));
		s->position = DatumGetInt32(SPI_getbinval(row, desc, 6, &isnull));
		d = SPI_getbinval(row, desc, 7, &isnull);
		s->share = isnull ? 0 : DatumGetFloat8(d);
		d = SPI_getbinval(row, desc, 8, &isnull);
		s->offset = isnull ? 0 : (int64) rint(DatumGetFloat8(d) * 1e6);
		d = SPI_getbinval(row, desc, 9, &isnull);
		s->repeat = isnull ? 0 : (int64) rint(DatumGetFloat8(d) * 1e6);
		s->repeat_max = DatumGetInt32(SPI_getbinval(row, desc, 10, &isnull));
		s->changes = DatumGetBool(SPI_getbinval(row, desc, 11, &isnull));
		nsteps++;
	}
	MemoryContextSwitchTo(old);
	SPI_finish();

	MemoryContextSetParent(fresh, TopMemoryContext);
	if (steps_context != NULL)
		MemoryContextDelete(steps_context);
	steps_context = fresh;
	steps_generation = generation;
}

/* The first step of a tenant, by binary search. */
static int
first_step(int64 tenant)
{
	int			lo = 0;
	int			hi = nsteps;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (steps[mid].tenant < tenant)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool
step_applies(const Step *s, const LadderClock *c)
{
	return (s->policy == 0 || s->policy == c->policy) &&
		strcmp(s->metric, c->metric) == 0 && strcmp(s->subject_type, c->subject_type) == 0;
}

/* How many times a step was done; with grow, the counter's place. */
static int64 *
done_counter(LadderClock *c, int64 step, bool grow)
{
	for (int i = 0; i < c->ndone; i++)
		if (c->done[2 * i] == step)
			return &c->done[2 * i + 1];
	if (!grow)
		return NULL;
	c->done = c->done ? repalloc(c->done, sizeof(int64) * 2 * (c->ndone + 1)) : palloc(sizeof(int64) * 2);
	c->done[2 * c->ndone] = step;
	c->done[2 * c->ndone + 1] = 0;
	return &c->done[2 * c->ndone++ + 1];
}

static bool
add_business(const LadderClock *c, TimestampTz at, int64 usecs, TimestampTz *result)
{
	CalAnswer	answer;
	int64		sum;

	if (usecs == 0)
	{
		*result = at;
		return true;
	}
	if (!c->has_calendar)
	{
		sum = at + usecs;
		*result = sum;
		return IS_VALID_TIMESTAMP(sum);
	}
	answer = crm_calendar_add(crm_calendar_get_of(c->tenant, c->calendar), at, usecs, &sum);
	if (answer != CAL_OK)
		return false;			/* no more open time: the step is never due */
	*result = sum;
	return true;
}

/* The instant of a step itself, repeat 0; false where it does not come to that. */
static bool
step_base(const LadderClock *c, const Step *s, TimestampTz *at)
{
	LOCAL_FCINFO(call, 6);
	Datum		answer;

	if (s->share == 0)
		return c->has_due && add_business(c, c->due, s->offset, at);
	if (c->pinned)
	{
		/* a due instant set by hand: the share of the time up to it */
		int64		whole = c->due - c->counted_from;

		if (!c->has_due)
			return false;
		if (c->has_calendar &&
			crm_calendar_elapsed(crm_calendar_get_of(c->tenant, c->calendar),
								 c->counted_from, c->due, &whole) != CAL_OK)
			return false;
		return whole > 0 && add_business(c, c->counted_from, (int64) rint(whole * s->share), at);
	}
	if (!c->has_target)
		return false;
	InitFunctionCallInfoData(*call, NULL, 6, InvalidOid, NULL, NULL);
	call->args[0].value = Int64GetDatum(c->calendar);
	call->args[0].isnull = !c->has_calendar;
	call->args[1].value = Float8GetDatum(c->target * s->share);
	call->args[1].isnull = false;
	call->args[2] = c->since;
	call->args[3] = c->stretches;
	call->args[4] = c->calendars;
	call->args[5].value = Int64GetDatum(c->tenant);
	call->args[5].isnull = false;
	answer = crm_sla_due(call);
	if (call->isnull)
		return false;
	*at = DatumGetTimestampTz(answer);
	return true;
}

/* The next instant of a step that is not exhausted. */
static bool
step_next(LadderClock *c, const Step *s, int *repeat_no, TimestampTz *at)
{
	int64	   *times = done_counter(c, s->id, false);
	TimestampTz base;

	*repeat_no = times ? (int) *times : 0;
	if (*repeat_no > s->repeat_max || !step_base(c, s, &base))
		return false;
	return add_business(c, base, *repeat_no * s->repeat, at);
}

/* The step of a clock that is due next; NULL where none is in sight. */
static const Step *
next_step(LadderClock *c, int *repeat_no, TimestampTz *at)
{
	const Step *next = NULL;

	if (!c->running)
		return NULL;
	for (int i = first_step(c->tenant); i < nsteps && steps[i].tenant == c->tenant; i++)
	{
		TimestampTz when;
		int			which;

		if (step_applies(&steps[i], c) && step_next(c, &steps[i], &which, &when) &&
			(next == NULL || when < *at))
		{
			next = &steps[i];
			*at = when;
			*repeat_no = which;
		}
	}
	return next;
}

/* ---- clocks ---- */

static void
read_clock(LadderClock *c, const Datum *v, const bool *n)
{
	memset(c, 0, sizeof(LadderClock));
	c->tenant = DatumGetInt64(v[COL_TENANT]);
	c->subject_type = TextDatumGetCString(v[COL_TYPE]);
	c->subject_id = DatumGetInt64(v[COL_SUBJECT]);
	c->metric = TextDatumGetCString(v[COL_METRIC]);
	c->cycle = DatumGetInt32(v[COL_CYCLE]);
	c->running = strcmp(TextDatumGetCString(v[COL_STATE]), "running") == 0;
	c->policy = n[COL_POLICY] ? 0 : DatumGetInt64(v[COL_POLICY]);
	c->has_target = !n[COL_TARGET];
	c->target = n[COL_TARGET] ? 0 : DatumGetFloat8(v[COL_TARGET]);
	c->has_calendar = !n[COL_CALENDAR];
	c->calendar = n[COL_CALENDAR] ? 0 : DatumGetInt64(v[COL_CALENDAR]);
	c->counted_from = DatumGetTimestampTz(v[COL_COUNTED]);
	c->since.value = v[COL_SINCE];
	c->since.isnull = n[COL_SINCE];
	c->has_due = !n[COL_DUE];
	c->due = n[COL_DUE] ? 0 : DatumGetTimestampTz(v[COL_DUE]);
	c->pinned = !n[COL_PINNED] && DatumGetBool(v[COL_PINNED]);
	c->stretches.value = v[COL_STRETCHES];
	c->stretches.isnull = n[COL_STRETCHES];
	c->calendars.value = v[COL_CALENDARS];
	c->calendars.isnull = n[COL_CALENDARS];
	if (!n[COL_DONE])
	{
		ArrayType  *a = DatumGetArrayTypeP(v[COL_DONE]);
		int			items = ArrayGetNItems(ARR_NDIM(a), ARR_DIMS(a));

		if (!ARR_HASNULL(a) && ARR_ELEMTYPE(a) == INT8OID && items >= 2)
		{
			c->ndone = items / 2;
			c->done = palloc(sizeof(int64) * 2 * c->ndone);
			memcpy(c->done, ARR_DATA_PTR(a), sizeof(int64) * 2 * c->ndone);
		}
	}
}

PG_FUNCTION_INFO_V1(crm_schedule_escalation);

/* crm.schedule_escalation() -- BEFORE INSERT OR UPDATE row trigger of crm.sla_clocks */
Datum
crm_schedule_escalation(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	static CrmConfigWatch table_watch = {.table = "sla_clocks"};
	static uint64 known_generation = 0;
	static AttrNumber columns[NCOLS];
	static MemoryContext work = NULL;
	MemoryContext old;
	TupleDesc	desc;
	HeapTuple	row;
	Datum		values[NCOLS];
	bool		nulls[NCOLS];
	LadderClock clock;
	TimestampTz at = 0;
	int			repeat_no;
	bool		none;
	Datum		new_value;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be a BEFORE row trigger", "crm.schedule_escalation")));

	desc = RelationGetDescr(trigdata->tg_relation);
	row = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	load_steps();

	if (known_generation != crm_config_generation(&table_watch) || columns[0] == 0)
	{
		for (int i = 0; i < NCOLS; i++)
		{
			columns[i] = SPI_fnumber(desc, column_names[i]);
			if (columns[i] <= 0)
				elog(ERROR, "crm.sla_clocks has no column \"%s\"", column_names[i]);
		}
		known_generation = crm_config_generation(&table_watch);
	}
	values[COL_AT] = heap_getattr(row, columns[COL_AT], desc, &nulls[COL_AT]);
	if (nsteps == 0 && nulls[COL_AT])
		return PointerGetDatum(row);

	for (int i = 0; i < NCOLS; i++)
		values[i] = heap_getattr(row, columns[i], desc, &nulls[i]);
	if (work == NULL)
		work = AllocSetContextCreate(TopMemoryContext, "crm escalation schedule", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(work);
	read_clock(&clock, values, nulls);
	none = next_step(&clock, &repeat_no, &at) == NULL;
	MemoryContextSwitchTo(old);
	MemoryContextReset(work);

	if (!none)
		crm_wake_worker_at(at);
	if (none == nulls[COL_AT] && (none || at == DatumGetTimestampTz(values[COL_AT])))
		return PointerGetDatum(row);
	new_value = TimestampTzGetDatum(at);
	{
		int			replaced = columns[COL_AT];

		return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, 1, &replaced, &new_value, &none));
	}
}

/* ---- doing what is due ---- */

static int
by_instant(const void *a, const void *b)
{
	const Firing *x = (const Firing *) a;
	const Firing *y = (const Firing *) b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->step->position != y->step->position)
		return x->step->position < y->step->position ? -1 : 1;
	return x->clock < y->clock ? -1 : x->clock > y->clock;
}

/*
 * What of a clock is due by as_of, appended to a list.  Of repeats that were
 * missed the last one stands for all.  The counters advance.
 */
static void
collect(LadderClock *c, int index, TimestampTz as_of, Firing **list, int *n, int *space)
{
	for (;;)
	{
		TimestampTz at;
		int			repeat_no;
		const Step *s = next_step(c, &repeat_no, &at);
		Firing	   *f;
		int			first = repeat_no;

		if (s == NULL || at > as_of)
			return;
		while (repeat_no > 0 && repeat_no < s->repeat_max)
		{
			TimestampTz base;
			TimestampTz later;

			if (!step_base(c, s, &base) ||
				!add_business(c, base, (repeat_no + 1) * s->repeat, &later) || later > as_of)
				break;
			repeat_no++;
			at = later;
		}
		*done_counter(c, s->id, true) = repeat_no + 1;
		if (*n == *space)
		{
			*space *= 2;
			*list = repalloc(*list, sizeof(Firing) * *space);
		}
		f = &(*list)[(*n)++];
		f->clock = index;
		f->step = s;
		f->repeat_no = repeat_no;
		f->at = at;
		f->collapsed = repeat_no - first;
	}
}

static Datum
make_array(Datum *values, int n, Oid type)
{
	switch (type)
	{
		case INT8OID:
		case TIMESTAMPTZOID:
			return PointerGetDatum(construct_array(values, n, type, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
		case INT4OID:
			return PointerGetDatum(construct_array(values, n, type, 4, true, TYPALIGN_INT));
		default:
			return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
	}
}

/* Counters as the text of an array, since arrays of arrays cannot be unnested. */
static char *
done_text(const LadderClock *c)
{
	StringInfoData s;

	initStringInfo(&s);
	appendStringInfoChar(&s, '{');
	for (int i = 0; i < 2 * c->ndone; i++)
		appendStringInfo(&s, i ? ",%lld" : "%lld", (long long) c->done[i]);
	appendStringInfoChar(&s, '}');
	return s.data;
}

/*
 * The counters of some clocks of one tenant and type.  The trigger above
 * finds the instant of the next step as the row is written.
 */
static void
advance_clocks(LadderClock *clocks, const int *which, int n)
{
	Oid			types[6] = {INT8OID, TEXTOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID};
	Datum		args[6];
	Datum	   *ids = palloc(sizeof(Datum) * n);
	Datum	   *metrics = palloc(sizeof(Datum) * n);
	Datum	   *cycles = palloc(sizeof(Datum) * n);
	Datum	   *done = palloc(sizeof(Datum) * n);

	for (int i = 0; i < n; i++)
	{
		LadderClock *c = &clocks[which[i]];

		ids[i] = Int64GetDatum(c->subject_id);
		metrics[i] = CStringGetTextDatum(c->metric);
		cycles[i] = Int32GetDatum(c->cycle);
		done[i] = CStringGetTextDatum(done_text(c));
	}
	args[0] = Int64GetDatum(clocks[which[0]].tenant);
	args[1] = CStringGetTextDatum(clocks[which[0]].subject_type);
	args[2] = make_array(ids, n, INT8OID);
	args[3] = make_array(metrics, n, TEXTOID);
	args[4] = make_array(cycles, n, INT4OID);
	args[5] = make_array(done, n, TEXTOID);
	crm_execute("UPDATE crm.sla_clocks AS c "
				"SET escalated = nullif(f.done, '{}')::pg_catalog.int8[] "
				"FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5), pg_catalog.unnest($6)) "
				"AS f (subject_id, metric, cycle, done) "
				"WHERE c.tenant_id = $1 AND c.subject_type = $2 AND c.subject_id = f.subject_id "
				"AND c.metric = f.metric AND c.cycle = f.cycle",
				6, types, args, NULL, false, 0);
}

/*
 * Do some steps of one tenant and type: advance the clocks, write the firings
 * down, tell the outbox, and carry out what changes the subject.
 */
static int
fire(LadderClock *clocks, const int *which, int nwhich, const Firing *list, int n, TimestampTz as_of)
{
	Oid			types[11] = {INT8OID, TEXTOID, TIMESTAMPTZOID, INT8ARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
	INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID};
	Datum		args[11];
	Datum	   *column[8];
	Datum	   *dues;
	bool	   *no_due;
	int			dims[1];
	int			lbs[1] = {1};
	int			done;

	advance_clocks(clocks, which, nwhich);
	if (n == 0)
		return 0;
	for (int k = 0; k < 8; k++)
		column[k] = palloc(sizeof(Datum) * n);
	dues = palloc(sizeof(Datum) * n);
	no_due = palloc(sizeof(bool) * n);
	for (int i = 0; i < n; i++)
	{
		const Firing *f = &list[i];
		const LadderClock *c = &clocks[f->clock];

		column[0][i] = Int64GetDatum(c->subject_id);
		column[1][i] = CStringGetTextDatum(c->metric);
		column[2][i] = Int32GetDatum(c->cycle);
		column[3][i] = Int64GetDatum(f->step->id);
		column[4][i] = Int32GetDatum(f->repeat_no);
		column[5][i] = TimestampTzGetDatum(f->at);
		column[6][i] = Int32GetDatum(f->collapsed);
		dues[i] = TimestampTzGetDatum(c->due);
		no_due[i] = !c->has_due;
	}
	dims[0] = n;
	args[0] = Int64GetDatum(clocks[which[0]].tenant);
	args[1] = CStringGetTextDatum(clocks[which[0]].subject_type);
	args[2] = TimestampTzGetDatum(as_of);
	args[3] = make_array(column[0], n, INT8OID);
	args[4] = make_array(column[1], n, TEXTOID);
	args[5] = make_array(column[2], n, INT4OID);
	args[6] = make_array(column[3], n, INT8OID);
	args[7] = make_array(column[4], n, INT4OID);
	args[8] = make_array(column[5], n, TIMESTAMPTZOID);
	args[9] = make_array(column[6], n, INT4OID);
	args[10] = PointerGetDatum(construct_md_array(dues, no_due, 1, dims, lbs, TIMESTAMPTZOID, 8,
												  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	crm_execute("SELECT crm_internal.fire_escalations($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
				11, types, args, NULL, false, 0);
	{
		bool		isnull;

		done = DatumGetInt32(crm_spi_value(0, 1, &isnull));
	}
	return done;
}

/* Subjects that steps of the list would change and that somebody else holds. */
static void
leave_out_busy(LadderClock *clocks, int *which, int *nwhich, Firing *list, int *n)
{
	Oid			types[3] = {INT8OID, TEXTOID, INT8ARRAYOID};
	Datum		args[3];
	Datum	   *ids = palloc(sizeof(Datum) * Max(*n, 1));
	int			nids = 0;
	int			kept;

	for (int i = 0; i < *n; i++)
		if (list[i].step->changes)
			ids[nids++] = Int64GetDatum(clocks[list[i].clock].subject_id);
	if (nids == 0)
		return;
	args[0] = Int64GetDatum(clocks[which[0]].tenant);
	args[1] = CStringGetTextDatum(clocks[which[0]].subject_type);
	args[2] = make_array(ids, nids, INT8OID);
	crm_execute("SELECT b FROM crm_internal.busy_subjects($1, $2, $3) AS b",
				3, types, args, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		int64		busy = DatumGetInt64(crm_spi_value(i, 1, &isnull));

		kept = 0;
		for (int k = 0; k < *nwhich; k++)
			if (clocks[which[k]].subject_id != busy)
				which[kept++] = which[k];
		*nwhich = kept;
		kept = 0;
		for (int k = 0; k < *n; k++)
			if (clocks[list[k].clock].subject_id != busy)
				list[kept++] = list[k];
		*n = kept;
	}
}

/*
 * fire() in a subtransaction.  Returns how many were done, or -1 and the error.
 */
static int
try_fire(LadderClock *clocks, const int *which, int nwhich, const Firing *list, int n,
		 TimestampTz as_of, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile int done = 0;

	*error = NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		done = fire(clocks, which, nwhich, list, n, as_of);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		done = -1;
		/* somebody wants us to stop */
		if ((*error)->sqlerrcode == ERRCODE_QUERY_CANCELED ||
			ERRCODE_TO_CATEGORY((*error)->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			ReThrowError(*error);
	}
	PG_END_TRY();
	return done;
}

/* An error that goes away by itself: the step stays due. */
static bool
passing(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TRANSACTION_ROLLBACK ||
		error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE;
}

/* One clock whose steps cannot be done: written down as failed, so that it does not come up for ever. */
static void
note_failure(LadderClock *clocks, int which, const Firing *list, int n, TimestampTz as_of,
			 const ErrorData *error)
{
	Oid			types[11] = {INT8OID, TEXTOID, INT8OID, TEXTOID, INT4OID, INT8OID, INT4OID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID};
	LadderClock *c = &clocks[which];

	ereport(WARNING,
			(errmsg("escalation of %s %lld failed: %s",
					c->subject_type, (long long) c->subject_id, error->message)));
	advance_clocks(clocks, &which, 1);
	for (int i = 0; i < n; i++)
	{
		Datum		args[11];

		args[0] = Int64GetDatum(c->tenant);
		args[1] = CStringGetTextDatum(c->subject_type);
		args[2] = Int64GetDatum(c->subject_id);
		args[3] = CStringGetTextDatum(c->metric);
		args[4] = Int32GetDatum(c->cycle);
		args[5] = Int64GetDatum(list[i].step->id);
		args[6] = Int32GetDatum(list[i].repeat_no);
		args[7] = TimestampTzGetDatum(list[i].at);
		args[8] = TimestampTzGetDatum(as_of);
		args[9] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
		args[10] = CStringGetTextDatum(error->message);
		crm_execute("INSERT INTO crm.escalation_firings (tenant_id, subject_type, subject_id, metric, cycle, step_id, "
					"repeat_no, scheduled_at, fired_at, outcome, detail) "
					"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'failed', "
					"pg_catalog.jsonb_build_object('sqlstate', $10, 'message', $11)) ON CONFLICT DO NOTHING",
					11, types, args, NULL, false, 0);
	}
}

/* What is due of the clocks of one tenant and type. */
static int
fire_group(LadderClock *clocks, int *which, int nwhich, TimestampTz as_of)
{
	int			space = nwhich * 2;
	int			n = 0;
	Firing	   *list = palloc(sizeof(Firing) * space);
	LadderClock *before;
	ErrorData  *error;
	int			done;
	char		tenant[32];

	/* triggers of what is changed work for this tenant */
	snprintf(tenant, sizeof(tenant), "%lld", (long long) clocks[which[0]].tenant);
	(void) set_config_option("crm.tenant", tenant, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);

	for (int i = 0; i < nwhich; i++)
		collect(&clocks[which[i]], which[i], as_of, &list, &n, &space);
	qsort(list, n, sizeof(Firing), by_instant);
	leave_out_busy(clocks, which, &nwhich, list, &n);
	if (nwhich == 0)
		return 0;
	done = try_fire(clocks, which, nwhich, list, n, as_of, &error);
	if (done >= 0)
		return done;

	/* one of them is bad: each by itself */
	before = clocks;
	done = 0;
	for (int i = 0; i < nwhich; i++)
	{
		Firing	   *own = palloc(sizeof(Firing) * Max(n, 1));
		int			nown = 0;
		int			k;

		CHECK_FOR_INTERRUPTS();
		for (k = 0; k < n; k++)
			if (list[k].clock == which[i])
				own[nown++] = list[k];
		k = try_fire(before, &which[i], 1, own, nown, as_of, &error);
		if (k >= 0)
			done += k;
		else if (!passing(error))
			note_failure(before, which[i], own, nown, as_of, error);
		pfree(own);
	}
	return done;
}

PG_FUNCTION_INFO_V1(crm_escalate);

/* crm.escalate(as_of timestamptz, batch integer) -> bigint */
Datum
crm_escalate(PG_FUNCTION_ARGS)
{
	TimestampTz as_of = PG_GETARG_TIMESTAMPTZ(0);
	int32		batch = PG_GETARG_INT32(1);
	Oid			types[2] = {TIMESTAMPTZOID, INT4OID};
	Datum		args[2];
	LadderClock *clocks;
	bool	   *taken;
	int		   *which;
	int			n;
	int64		done = 0;
	int			nestlevel;

	PreventCommandIfReadOnly("crm.escalate()");
	if (TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("as_of must be a finite timestamp")));
	if (batch < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch must be positive")));

	SPI_connect();
	args[0] = TimestampTzGetDatum(as_of);
	args[1] = Int32GetDatum(batch);
	crm_execute("SELECT c.tenant_id, c.subject_type, c.subject_id, c.metric, c.cycle, c.state, c.policy_id, "
				"c.target_seconds, c.calendar_id, c.counted_from, c.running_since, c.due_at, c.due_pinned, "
				"c.stretches, c.stretch_calendars, c.escalated "
				"FROM crm.sla_clocks AS c WHERE c.escalate_at <= $1 "
				"ORDER BY c.escalate_at LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED",
				2, types, args, NULL, false, 0);
	n = (int) SPI_processed;
	if (n == 0)
	{
		SPI_finish();
		PG_RETURN_INT64(0);
	}
	clocks = palloc0(sizeof(LadderClock) * n);
	for (int i = 0; i < n; i++)
	{
		Datum		values[NCOLS];
		bool		nulls[NCOLS];

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		read_clock(&clocks[i], values, nulls);
	}

	nestlevel = NewGUCNestLevel();
	load_steps();
	taken = palloc0(sizeof(bool) * n);
	which = palloc(sizeof(int) * n);
	for (int i = 0; i < n; i++)
	{
		int			nwhich = 0;

		if (taken[i])
			continue;
		for (int k = i; k < n; k++)
			if (!taken[k] && clocks[k].tenant == clocks[i].tenant &&
				strcmp(clocks[k].subject_type, clocks[i].subject_type) == 0)
			{
				taken[k] = true;
				which[nwhich++] = k;
			}
		done += fire_group(clocks, which, nwhich, as_of);
	}
	AtEOXact_GUC(true, nestlevel);
	SPI_finish();
	PG_RETURN_INT64(done);
}

PG_FUNCTION_INFO_V1(crm_escalation_schedule);

/* crm.escalation_schedule(subject_type text, subject_id bigint) */
Datum
crm_escalation_schedule(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			types[3] = {INT8OID, TEXTOID, INT8OID};
	Datum		args[3];
	bool		isnull;
	MemoryContext outer;

	InitMaterializedSRF(fcinfo, 0);
	outer = CurrentMemoryContext;
	args[0] = Int64GetDatum(crm_current_tenant(&isnull));
	if (isnull)
		return (Datum) 0;
	args[1] = PG_GETARG_DATUM(0);
	args[2] = PG_GETARG_DATUM(1);
	load_steps();
	SPI_connect();
	crm_execute("SELECT c.tenant_id, c.subject_type, c.subject_id, c.metric, c.cycle, c.state, c.policy_id, "
				"c.target_seconds, c.calendar_id, c.counted_from, c.running_since, c.due_at, c.due_pinned, "
				"c.stretches, c.stretch_calendars, c.escalated "
				"FROM crm.sla_clocks AS c WHERE c.tenant_id = $1 AND c.subject_type = $2 AND c.subject_id = $3 "
				"AND c.state = 'running' ORDER BY c.metric, c.cycle",
				3, types, args, NULL, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum		values[NCOLS];
		bool		nulls[NCOLS];
		LadderClock clock;

		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, values, nulls);
		read_clock(&clock, values, nulls);
		for (int k = first_step(clock.tenant); k < nsteps && steps[k].tenant == clock.tenant; k++)
		{
			TimestampTz at;
			int			repeat_no;
			Datum		out[5];
			bool		out_nulls[5] = {0};

			if (!step_applies(&steps[k], &clock) || !step_next(&clock, &steps[k], &repeat_no, &at))
				continue;
			out[0] = CStringGetTextDatum(clock.metric);
			out[1] = Int32GetDatum(clock.cycle);
			out[2] = Int64GetDatum(steps[k].id);
			out[3] = Int32GetDatum(repeat_no);
			out[4] = TimestampTzGetDatum(at);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, out, out_nulls);
		}
	}
	MemoryContextSwitchTo(outer);
	SPI_finish();
	return (Datum) 0;
}
