/*
 * ladder.c
 *	  Ladders of escalation: when the next step of a clock is due.
 *
 * The instant of a step is a function of its clock (stretches run, due
 * instant, calendar) and of the ladder.  It is computed whenever a clock is
 * written, in a BEFORE trigger, and stored with the clock as escalate_at; so a
 * pause, an answer or another promise moves the steps in the statement that
 * moves the clock, and a pass with nothing to do is one look into an index.
 */
#include "process/ladder.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "funcapi.h"
#include "process/clock.h"
#include "time/time_face.h"
#include "access/identity.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"

extern Datum crm_sla_due(PG_FUNCTION_ARGS);

/* in the order of enum Col and of LADDER_CLOCK_COLUMNS */
static const char *const column_names[] = {
	"tenant_id", "subject_type", "subject_id", "metric", "cycle", "state", "policy_id",
	"target_seconds", "calendar_id", "counted_from", "running_since", "due_at", "due_pinned",
	"stretches", "stretch_calendars", "escalated", "escalate_at"
};

static const Oid column_types[] = {
	INT8OID, TEXTOID, INT8OID, TEXTOID, INT4OID, TEXTOID, INT8OID,
	FLOAT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID,
	TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID
};

enum Col
{
	COL_TENANT, COL_TYPE, COL_SUBJECT, COL_METRIC, COL_CYCLE, COL_STATE, COL_POLICY,
	COL_TARGET, COL_CALENDAR, COL_COUNTED, COL_SINCE, COL_DUE, COL_PINNED,
	COL_STRETCHES, COL_CALENDARS, COL_DONE, COL_AT, NCOLS
};

/* ---- ladders ---- */

static void *
build_ladder(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(*(const int64 *) key)};
	Ladder	   *ladder = MemoryContextAlloc(context, sizeof(Ladder));
	MemoryContext old;

	crm_read_config("SELECT s.id, s.policy_id, s.subject_type, s.metric, s.\"position\", "
					"(s.percent / 100)::pg_catalog.float8, s.offset_seconds, s.repeat_seconds, s.repeat_max, "
					"s.action NOT IN ('notify', 'create_task') "
					"FROM crm.escalation_steps AS s WHERE s.tenant_id OPERATOR(pg_catalog.=) $1 AND s.active "
					"ORDER BY s.\"position\", s.id", 1, types, args);
	old = MemoryContextSwitchTo(context);
	ladder->nsteps = (int) SPI_processed;
	ladder->steps = palloc(sizeof(Step) * Max(ladder->nsteps, 1));
	for (int i = 0; i < ladder->nsteps; i++)
	{
		Step	   *s = &ladder->steps[i];
		bool		isnull;
		Datum		d;

		s->id = DatumGetInt64(crm_spi_value(i, 1, &isnull));
		d = crm_spi_value(i, 2, &isnull);
		s->policy = isnull ? 0 : DatumGetInt64(d);
		s->subject_type = TextDatumGetCString(crm_spi_value(i, 3, &isnull));
		s->metric = TextDatumGetCString(crm_spi_value(i, 4, &isnull));
		s->position = DatumGetInt32(crm_spi_value(i, 5, &isnull));
		d = crm_spi_value(i, 6, &isnull);
		s->share = isnull ? 0 : DatumGetFloat8(d);
		d = crm_spi_value(i, 7, &isnull);
		s->offset = isnull ? 0 : (int64) rint(DatumGetFloat8(d) * 1e6);
		d = crm_spi_value(i, 8, &isnull);
		s->repeat = isnull ? 0 : (int64) rint(DatumGetFloat8(d) * 1e6);
		s->repeat_max = DatumGetInt32(crm_spi_value(i, 9, &isnull));
		s->changes = DatumGetBool(crm_spi_value(i, 10, &isnull));
	}
	MemoryContextSwitchTo(old);
	return ladder;
}

static CrmKept ladders = {
	.what = "escalation ladders",
	.tables = {"escalation_steps"},
	.build = build_ladder,
};

/* The ladder of a tenant, good as long as the current memory context. */
const Ladder *
crm_ladder(int64 tenant)
{
	return crm_kept(&ladders, &tenant, sizeof(tenant));
}

static bool
step_applies(const Step *s, const LadderClock *c)
{
	return (s->policy == 0 || s->policy == c->policy) &&
		strcmp(s->metric, c->metric) == 0 && strcmp(s->subject_type, c->subject_type) == 0;
}

/* How many times a step was done; with grow, the counter's place. */
int64 *
crm_ladder_done(LadderClock *c, int64 step, bool grow)
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

/* The instant of a repeat of a step, 0 for the step itself. */
bool
crm_ladder_repeat(const LadderClock *c, const Step *s, int repeat_no, TimestampTz *at)
{
	TimestampTz base;

	return step_base(c, s, &base) && add_business(c, base, repeat_no * s->repeat, at);
}

/* The next instant of a step that is not exhausted. */
static bool
step_next(LadderClock *c, const Step *s, int *repeat_no, TimestampTz *at)
{
	int64	   *times = crm_ladder_done(c, s->id, false);

	*repeat_no = times ? (int) *times : 0;
	return *repeat_no <= s->repeat_max && crm_ladder_repeat(c, s, *repeat_no, at);
}

/* The step of a clock that is due next; NULL where none is in sight. */
const Step *
crm_ladder_next(const Ladder *ladder, LadderClock *c, int *repeat_no, TimestampTz *at)
{
	const Step *next = NULL;

	if (!c->running)
		return NULL;
	for (int i = 0; i < ladder->nsteps; i++)
	{
		const Step *s = &ladder->steps[i];
		TimestampTz when;
		int			which;

		if (step_applies(s, c) && step_next(c, s, &which, &when) &&
			(next == NULL || when < *at))
		{
			next = s;
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

/* The same from a row of a query for LADDER_CLOCK_COLUMNS. */
void
crm_ladder_read_clock(LadderClock *c, HeapTuple row, TupleDesc desc)
{
	Datum		values[NCOLS];
	bool		nulls[NCOLS];

	heap_deform_tuple(row, desc, values, nulls);
	read_clock(c, values, nulls);
}

/* Where the columns stand in crm.sla_clocks */
static void *
build_clock_columns(const void *key, MemoryContext context)
{
	AttrNumber *columns = MemoryContextAlloc(context, sizeof(AttrNumber) * NCOLS);
	Oid			relid = *(const Oid *) key;
	Relation	rel;

	crm_kept_depends(relid);
	rel = table_open(relid, NoLock);	/* whoever asks has it open */
	for (int i = 0; i < NCOLS; i++)
		columns[i] = crm_typed_column(RelationGetDescr(rel), column_names[i], column_types[i]);
	table_close(rel, NoLock);
	return columns;
}

static CrmKept clock_columns = {
	.what = "columns of service clocks",
	.build = build_clock_columns,
};

PG_FUNCTION_INFO_V1(crm_schedule_escalation);

/* crm.schedule_escalation() -- BEFORE INSERT OR UPDATE row trigger of crm.sla_clocks */
Datum
crm_schedule_escalation(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Oid			relid;
	const AttrNumber *columns;
	const Ladder *ladder;
	TupleDesc	desc;
	HeapTuple	row;
	Datum		values[NCOLS];
	bool		nulls[NCOLS];
	LadderClock clock;
	TimestampTz at = 0;
	int			repeat_no;
	bool		none;
	Datum		new_value;
	int			replaced;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be a BEFORE row trigger", "crm.schedule_escalation")));

	desc = RelationGetDescr(trigdata->tg_relation);
	row = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? trigdata->tg_newtuple : trigdata->tg_trigtuple;
	relid = RelationGetRelid(trigdata->tg_relation);
	columns = crm_kept(&clock_columns, &relid, sizeof(relid));
	for (int i = 0; i < NCOLS; i++)
		values[i] = heap_getattr(row, columns[i], desc, &nulls[i]);
	/* a NULL where there must be none is for the column's own constraint to refuse */
	for (int i = COL_TENANT; i <= COL_STATE; i++)
		if (nulls[i])
			return PointerGetDatum(row);
	ladder = crm_ladder(DatumGetInt64(values[COL_TENANT]));
	if (ladder->nsteps == 0 && nulls[COL_AT])
		return PointerGetDatum(row);

	read_clock(&clock, values, nulls);
	none = crm_ladder_next(ladder, &clock, &repeat_no, &at) == NULL;
	if (!none)
		crm_wake_worker_at(at);
	if (none == nulls[COL_AT] && (none || at == DatumGetTimestampTz(values[COL_AT])))
		return PointerGetDatum(row);
	new_value = TimestampTzGetDatum(at);
	replaced = columns[COL_AT];
	return PointerGetDatum(heap_modify_tuple_by_cols(row, desc, 1, &replaced, &new_value, &none));
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
	const Ladder *ladder;

	InitMaterializedSRF(fcinfo, 0);
	outer = CurrentMemoryContext;
	args[0] = Int64GetDatum(crm_current_tenant(&isnull));
	if (isnull)
		return (Datum) 0;
	args[1] = PG_GETARG_DATUM(0);
	args[2] = PG_GETARG_DATUM(1);
	crm_connect();
	ladder = crm_ladder(DatumGetInt64(args[0]));
	crm_execute("SELECT " LADDER_CLOCK_COLUMNS " FROM crm.sla_clocks AS c WHERE c.tenant_id = $1 AND c.subject_type = $2 AND c.subject_id = $3 "
				"AND c.state = 'running' ORDER BY c.metric, c.cycle",
				3, types, args, NULL, true, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		LadderClock clock;

		crm_ladder_read_clock(&clock, SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
		for (int k = 0; k < ladder->nsteps; k++)
		{
			const Step *s = &ladder->steps[k];
			TimestampTz at;
			int			repeat_no;
			Datum		out[5];
			bool		out_nulls[5] = {0};

			if (!step_applies(s, &clock) || !step_next(&clock, s, &repeat_no, &at))
				continue;
			out[0] = CStringGetTextDatum(clock.metric);
			out[1] = Int32GetDatum(clock.cycle);
			out[2] = Int64GetDatum(s->id);
			out[3] = Int32GetDatum(repeat_no);
			out[4] = TimestampTzGetDatum(at);
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, out, out_nulls);
		}
	}
	MemoryContextSwitchTo(outer);
	crm_disconnect();
	return (Datum) 0;
}
