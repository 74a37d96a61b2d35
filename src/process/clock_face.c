/*
 * clock_face.c
 *	  Service clocks on SQL level: events and promises in, clocks out.
 *
 * Promises (crm.sla_terms) are rows that never change, so those that were read
 * once are kept until the table itself is made anew.
 */
#include "base/crm.h"
#include "base/json.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "process/clock.h"
#include "time/time_face.h"
#include "access/identity.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

const char *const crm_clock_metric_names[CLOCK_METRICS] =
{"first_response", "next_response", "periodic_update", "resolution", "total"};

static int
metric_number(const char *name)
{
	for (int m = 0; m < CLOCK_METRICS; m++)
		if (strcmp(name, crm_clock_metric_names[m]) == 0)
			return m;
	return -1;
}

/* ---- business time for the automaton ---- */

static bool
time_add(void *arg, int64 calendar, int64 at, int64 usecs, int64 *result)
{
	CalAnswer	answer = crm_calendar_add(crm_calendar_get_of(*(int64 *) arg, calendar),
										  at, usecs, result);

	if (answer == CAL_NO_OPEN_TIME)
		return false;			/* never due */
	crm_calendar_answer(answer, calendar, "");
	return true;
}

static int64
time_elapsed(void *arg, int64 calendar, int64 from, int64 to)
{
	int64		usecs = 0;

	crm_calendar_answer(crm_calendar_elapsed(crm_calendar_get_of(*(int64 *) arg, calendar),
											 from, to, &usecs), calendar, "");
	return usecs;
}

/* Another tenant's clocks are for the owner alone. */
static void
check_clock_tenant(int64 tenant)
{
	bool		isnull;

	if (crm_current_tenant(&isnull) == tenant && !isnull)
		return;
	if (!has_privs_of_role(GetUserId(), crm_table_owner(crm_table_oid("sla_events", false))))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for service clocks of tenant %lld", (long long) tenant)));
}

/* ---- promises ---- */

typedef struct TermsKey
{
	int64		tenant;
	int64		id;
} TermsKey;

static JsonbValue *
member(JsonbContainer *object, const char *key)
{
	JsonbValue *v = crm_json_member(object, key, NULL);

	return (v == NULL || v->type == jbvNull) ? NULL : v;
}

static double
number_member(JsonbContainer *object, const char *key)
{
	JsonbValue *v = member(object, key);

	if (v == NULL)
		return 0;
	if (v->type != jbvNumeric)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" in service terms is not a number", key),
				 errhint("Terms are written by crm.sla_terms_id() alone.")));
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(v->val.numeric)));
}

static char *
string_value(JsonbValue *v)
{
	return v->type == jbvString ? pnstrdup(v->val.string.val, v->val.string.len) : pstrdup("");
}

static ClockTerms *
parse_terms(Jsonb *definition)
{
	ClockTerms *terms = (ClockTerms *) palloc0(sizeof(ClockTerms));
	JsonbValue *metrics;
	JsonbValue *reopen;

	terms->policy_id = (int64) number_member(&definition->root, "policy_id");
	reopen = member(&definition->root, "reopen");
	if (reopen != NULL)
	{
		char	   *mode = string_value(reopen);

		terms->reopen = strcmp(mode, "new_cycle") == 0 ? REOPEN_NEW_CYCLE :
			strcmp(mode, "never") == 0 ? REOPEN_NEVER : REOPEN_RESUME;
	}
	metrics = member(&definition->root, "metrics");
	for (int m = 0; crm_json_object(metrics) != NULL && m < CLOCK_METRICS; m++)
	{
		JsonbValue *one = member(metrics->val.binary.data, crm_clock_metric_names[m]);
		ClockTerm  *term = &terms->metric[m];
		JsonbValue *pause;

		if (crm_json_object(one) == NULL)
			continue;
		term->target_id = (int64) number_member(one->val.binary.data, "target_id");
		term->usecs = (int64) rint(number_member(one->val.binary.data, "seconds") * 1e6);
		term->calendar = (int64) number_member(one->val.binary.data, "calendar_id");
		pause = member(one->val.binary.data, "pause");
		if (crm_json_array(pause) != NULL)
		{
			term->npause = JsonContainerSize(pause->val.binary.data);
			term->pause = (char **) palloc(sizeof(char *) * Max(1, term->npause));
			for (int i = 0; i < term->npause; i++)
				term->pause[i] = string_value(crm_json_element(pause->val.binary.data, i));
		}
	}
	return terms;
}

static void *
build_terms(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID, INT8OID};
	const TermsKey *k = (const TermsKey *) key;
	Datum		args[2] = {Int64GetDatum(k->tenant), Int64GetDatum(k->id)};
	ClockTerms *terms;
	bool		isnull;
	MemoryContext old;

	crm_read_config("SELECT t.definition FROM crm.sla_terms AS t "
					"WHERE t.tenant_id = $1 AND t.id = $2", 2, types, args);
	if (SPI_processed != 1)
		return NULL;
	old = MemoryContextSwitchTo(context);
	terms = parse_terms(DatumGetJsonbP(crm_spi_value(0, 1, &isnull)));
	MemoryContextSwitchTo(old);
	return terms;
}

static CrmKept kept_terms = {
	.what = "service terms",
	.tables = {"sla_terms"},
	.limit = 10000,
	.build = build_terms,
};

static const ClockTerms *
get_terms(int64 tenant, int64 id)
{
	TermsKey	key = {tenant, id};
	const ClockTerms *terms = crm_kept(&kept_terms, &key, sizeof(key));

	if (terms == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("service terms %lld do not exist", (long long) id)));
	return terms;
}

/* ---- events ---- */

static const char *const event_names[] = {"opened", "changed", "stage", "customer_message",
	"agent_message", "resolved", "reopened", "closed", "cancelled", "merged", "absorbed", "due",
"paused", "resumed", "breached"};

static ClockEventKind
event_kind(const char *name)
{
	for (int k = 0; k < lengthof(event_names); k++)
		if (strcmp(name, event_names[k]) == 0)
			return (ClockEventKind) k;
	return EVENT_OTHER;
}

static char *
text_column(uint64 row, int column)
{
	bool		isnull;
	Datum		value = crm_spi_value(row, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int64
int8_column(uint64 row, int column, bool *present)
{
	bool		isnull;
	Datum		value = crm_spi_value(row, column, &isnull);

	*present = !isnull;
	return isnull ? 0 : DatumGetInt64(value);
}

static bool
bool_column(uint64 row, int column)
{
	bool		isnull;
	Datum		value = crm_spi_value(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

/*
 * The events of a subject in the order in which they happened.  At one instant
 * opening comes first and a recorded breach last, since what happens at the
 * due instant is in time.  What was withdrawn is asked for as one value: as a
 * join, planned when there was none, all of the tenant's would be read.
 */
static ClockEvent *
read_events(int64 tenant, Datum type, int64 id, bool has_as_of, int64 as_of,
			bool has_known, int64 known_at, int *n)
{
	static const Oid types[] = {INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID};
	Datum		args[5];
	char		nulls[5] = {' ', ' ', ' ', ' ', ' '};
	ClockEvent *events;

	args[0] = Int64GetDatum(tenant);
	args[1] = type;
	args[2] = Int64GetDatum(id);
	args[3] = TimestampTzGetDatum(as_of);
	args[4] = TimestampTzGetDatum(known_at);
	nulls[3] = has_as_of ? ' ' : 'n';
	nulls[4] = has_known ? ' ' : 'n';
	crm_execute("SELECT e.id, e.event, e.occurred_at, e.stage, e.stage_type, e.metric, e.cycle, "
				"       e.at_time, e.terms_id, e.outbound, e.count_from = 'change', e.calendar_mode = 'sum' "
				"FROM crm.sla_events AS e "
				"WHERE e.tenant_id = $1 AND e.subject_type = $2 AND e.subject_id = $3 "
				"  AND ($4 IS NULL OR e.occurred_at <= $4) AND ($5 IS NULL OR e.recorded_at <= $5) "
				"  AND e.event NOT IN ('withdrawn', 'breach_withdrawn') "
				"  AND (SELECT w.id FROM crm.sla_events AS w "
				"       WHERE w.tenant_id = e.tenant_id AND w.refers_to_id = e.id "
				"         AND w.event = 'withdrawn' AND ($5 IS NULL OR w.recorded_at <= $5) LIMIT 1) IS NULL "
				"ORDER BY e.occurred_at, "
				"         CASE e.event WHEN 'opened' THEN 0 WHEN 'breached' THEN 2 ELSE 1 END, e.id",
				5, types, args, nulls, true, 0);
	*n = (int) SPI_processed;
	events = (ClockEvent *) palloc0(sizeof(ClockEvent) * Max(1, *n));
	for (int i = 0; i < *n; i++)
	{
		ClockEvent *e = &events[i];
		char	   *metric = text_column(i, 6);
		bool		present;
		bool		isnull;
		int64		terms_id;
		Datum		cycle;

		e->id = int8_column(i, 1, &present);
		e->kind = event_kind(text_column(i, 2));
		e->at = int8_column(i, 3, &present);
		e->stage = text_column(i, 4);
		e->stage_type = text_column(i, 5);
		e->metric = metric ? metric_number(metric) : -1;
		cycle = crm_spi_value(i, 7, &isnull);
		e->cycle = isnull ? 0 : DatumGetInt32(cycle);
		e->time = int8_column(i, 8, &e->has_time);
		terms_id = int8_column(i, 9, &present);
		e->terms = present ? get_terms(tenant, terms_id) : NULL;
		e->outbound = bool_column(i, 10);
		e->from_change = bool_column(i, 11);
		e->sum_calendars = bool_column(i, 12);
	}
	return events;
}

/* ---- clocks as rows ---- */

static const char *
state_name(const Clock *c)
{
	switch (c->state)
	{
		case CLOCK_CANCELLED:
			return "cancelled";
		case CLOCK_MERGED:
			return "merged";
		case CLOCK_RUNNING:
		case CLOCK_PAUSED:
			if (c->term.usecs == 0 && !c->pinned)
				return "inactive";
			return c->state == CLOCK_RUNNING ? "running" : "paused";
		case CLOCK_DONE:
			if (c->term.usecs == 0 && !c->pinned)
				return "inactive";
			return c->has_due && c->stopped_at > c->due_at ? "missed" : "met";
	}
	return NULL;				/* keep the compiler quiet */
}

static Datum
stretches_datum(const Clock *c, bool *mixed)
{
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * 2 * Max(1, c->nstretches));

	*mixed = false;
	for (int i = 0; i < c->nstretches; i++)
	{
		values[2 * i] = TimestampTzGetDatum(c->stretches[i].from);
		values[2 * i + 1] = TimestampTzGetDatum(c->stretches[i].to);
		*mixed |= c->stretches[i].calendar != c->term.calendar;
	}
	return PointerGetDatum(construct_array(values, 2 * c->nstretches, TIMESTAMPTZOID,
										   8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Datum
calendars_datum(const Clock *c)
{
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * Max(1, c->nstretches));

	for (int i = 0; i < c->nstretches; i++)
		values[i] = Int64GetDatum(c->stretches[i].calendar);
	return PointerGetDatum(construct_array(values, c->nstretches, INT8OID,
										   8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

#define CLOCK_COLUMNS 18

static void
put_clock(ReturnSetInfo *rsinfo, const Clock *c)
{
	Datum		values[CLOCK_COLUMNS];
	bool		nulls[CLOCK_COLUMNS] = {0};
	bool		open = c->state == CLOCK_RUNNING || c->state == CLOCK_PAUSED;
	bool		due = c->has_due && (c->term.usecs > 0 || c->pinned) &&
		c->state != CLOCK_MERGED && c->state != CLOCK_CANCELLED;
	bool		mixed;

	values[0] = CStringGetTextDatum(crm_clock_metric_names[c->metric]);
	values[1] = Int32GetDatum(c->cycle);
	values[2] = CStringGetTextDatum(state_name(c));
	values[3] = Int64GetDatum(c->policy_id);
	nulls[3] = c->policy_id == 0;
	values[4] = Int64GetDatum(c->term.target_id);
	nulls[4] = c->term.target_id == 0;
	values[5] = Float8GetDatum((double) c->term.usecs / 1e6);
	nulls[5] = c->term.usecs == 0;
	values[6] = Int64GetDatum(c->term.calendar);
	nulls[6] = c->term.calendar == 0;
	values[7] = TimestampTzGetDatum(c->started_at);
	values[8] = TimestampTzGetDatum(c->counted_from);
	values[9] = TimestampTzGetDatum(c->running_since);
	nulls[9] = c->state != CLOCK_RUNNING;
	values[10] = TimestampTzGetDatum(c->paused_since);
	nulls[10] = c->state != CLOCK_PAUSED;
	values[11] = TimestampTzGetDatum(c->stopped_at);
	nulls[11] = open;
	values[12] = TimestampTzGetDatum(c->due_at);
	nulls[12] = !due;
	values[13] = BoolGetDatum(c->pinned);
	values[14] = BoolGetDatum(c->due_before_change);
	values[15] = TimestampTzGetDatum(c->breached_at);
	nulls[15] = !c->breached;
	values[16] = stretches_datum(c, &mixed);
	nulls[17] = !mixed;
	values[17] = mixed ? calendars_datum(c) : (Datum) 0;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

PG_FUNCTION_INFO_V1(crm_sla_fold);

/*
 * crm.sla_fold(subject_type, subject_id, as_of, known_at, tenant_id): the
 * clocks of a subject from its events.
 */
Datum
crm_sla_fold(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		has_as_of = !PG_ARGISNULL(2);
	bool		has_known = !PG_ARGISNULL(3);
	int64		as_of = has_as_of ? PG_GETARG_TIMESTAMPTZ(2) : 0;
	int64		tenant;
	ClockTime	time = {time_add, time_elapsed, &tenant};
	ClockEvent *events;
	int			n;
	ClockFold  *fold;
	MemoryContext outer = CurrentMemoryContext;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(4))
		return (Datum) 0;
	if (has_as_of && TIMESTAMP_NOT_FINITE(as_of))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("as_of must be a finite timestamp")));
	tenant = PG_GETARG_INT64(4);
	check_clock_tenant(tenant);

	crm_connect();
	events = read_events(tenant, PG_GETARG_DATUM(0), PG_GETARG_INT64(1), has_as_of, as_of,
						 has_known, has_known ? PG_GETARG_TIMESTAMPTZ(3) : 0, &n);
	fold = crm_clock_fold(events, n, &time, has_as_of, as_of);
	for (int i = 0; i < fold->nclocks; i++)
		if (fold->clocks[i]->promised)
			put_clock(rsinfo, fold->clocks[i]);
	MemoryContextSwitchTo(outer);
	crm_disconnect();
	return (Datum) 0;
}

/* ---- the arithmetic alone, for set-based recomputation and readers ---- */

typedef struct Running
{
	int64		tenant;
	int64		calendar;
	bool		running;
	int64		since;
	int			nstretches;
	ClockStretch stretches[FLEXIBLE_ARRAY_MEMBER];
} Running;

/* Arguments from calendar_id on: calendar, running_since, stretches, calendars, tenant. */
static Running *
get_running(FunctionCallInfo fcinfo, int calendar_arg, int since_arg)
{
	ArrayType  *stretches = PG_ARGISNULL(since_arg + 1) ? NULL : PG_GETARG_ARRAYTYPE_P(since_arg + 1);
	ArrayType  *calendars = PG_ARGISNULL(since_arg + 2) ? NULL : PG_GETARG_ARRAYTYPE_P(since_arg + 2);
	int			n = stretches ? ArrayGetNItems(ARR_NDIM(stretches), ARR_DIMS(stretches)) : 0;
	int			ncalendars = calendars ? ArrayGetNItems(ARR_NDIM(calendars), ARR_DIMS(calendars)) : 0;
	Running    *r;

	if ((stretches && ARR_HASNULL(stretches)) || (calendars && ARR_HASNULL(calendars)) ||
		n % 2 != 0 || (calendars && ncalendars != n / 2))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("stretches must be pairs of instants, with one calendar each or none")));
	if (PG_ARGISNULL(since_arg + 3))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("no tenant to read calendars of"),
				 errhint("Pass tenant_id, or map the role to a user of a tenant.")));
	n /= 2;
	r = (Running *) palloc(offsetof(Running, stretches) + sizeof(ClockStretch) * n);
	r->tenant = PG_GETARG_INT64(since_arg + 3);
	check_clock_tenant(r->tenant);
	r->calendar = PG_ARGISNULL(calendar_arg) ? 0 : PG_GETARG_INT64(calendar_arg);
	r->running = !PG_ARGISNULL(since_arg);
	r->since = r->running ? PG_GETARG_TIMESTAMPTZ(since_arg) : 0;
	r->nstretches = n;
	for (int i = 0; i < n; i++)
	{
		r->stretches[i].from = ((int64 *) ARR_DATA_PTR(stretches))[2 * i];
		r->stretches[i].to = ((int64 *) ARR_DATA_PTR(stretches))[2 * i + 1];
		r->stretches[i].calendar = calendars ? ((int64 *) ARR_DATA_PTR(calendars))[i] : r->calendar;
	}
	return r;
}

PG_FUNCTION_INFO_V1(crm_sla_due);

/* crm.sla_due(calendar_id, seconds, running_since, stretches, stretch_calendars, tenant_id) */
Datum
crm_sla_due(PG_FUNCTION_ARGS)
{
	Running    *r;
	ClockTime	time = {time_add, time_elapsed, NULL};
	double		seconds;
	int64		at;

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	seconds = PG_GETARG_FLOAT8(1);
	if (isnan(seconds) || fabs(seconds) > 1e12)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("number of seconds out of range")));
	r = get_running(fcinfo, 0, 2);
	time.arg = &r->tenant;
	if (!crm_clock_reaches(&time, (int64) rint(seconds * 1e6), r->nstretches, r->stretches,
						   r->running, r->since, r->calendar, &at))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(at);
}

PG_FUNCTION_INFO_V1(crm_sla_used);

/* crm.sla_used(calendar_id, as_of, running_since, stretches, stretch_calendars, tenant_id) */
Datum
crm_sla_used(PG_FUNCTION_ARGS)
{
	Running    *r;
	ClockTime	time = {time_add, time_elapsed, NULL};

	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	r = get_running(fcinfo, 0, 2);
	time.arg = &r->tenant;
	PG_RETURN_FLOAT8((double) crm_clock_used(&time, r->nstretches, r->stretches, r->running,
											 r->since, r->calendar, PG_GETARG_TIMESTAMPTZ(1)) / 1e6);
}

/* ---- whether anything is promised ---- */

static void *
build_promised(const void *key, MemoryContext context)
{
	static const Oid types[] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum((const char *) key)};
	bool	   *promised = MemoryContextAlloc(context, sizeof(bool));

	crm_read_config("SELECT 1 FROM crm.sla_policies AS p WHERE p.subject_type = $1 AND p.active LIMIT 1", 1, types, values);
	*promised = SPI_processed > 0;
	return promised;
}

static CrmKept kept_promised = {
	.what = "kinds of subjects with promises",
	.tables = {"sla_policies"},
	.build = build_promised,
};

PG_FUNCTION_INFO_V1(crm_is_promised);

/*
 * crm.is_promised(subject_type) -- does any company promise something for it?
 * Every INSERT into a table with clocks asks.
 */
Datum
crm_is_promised(PG_FUNCTION_ARGS)
{
	const char *subject = text_to_cstring(PG_GETARG_TEXT_PP(0));

	PG_RETURN_BOOL(*(bool *) crm_kept(&kept_promised, subject, strlen(subject) + 1));
}

PG_FUNCTION_INFO_V1(crm_tell_clocks);

/*
 * crm.tell_clocks('subject type') -- a statement on a table of which no clock is
 * kept costs one look, which PL/pgSQL would take ten times as long for
 */
Datum
crm_tell_clocks(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {TEXTOID};
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Datum		values[1];
	bool		concerns;
	CrmOwnerSwitch me;
	const char *subject;

	if (!CALLED_AS_TRIGGER(fcinfo) || trigdata->tg_trigger->tgnargs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("crm.tell_clocks() must be a trigger with a type of subjects"),
				 errhint("SELECT crm.install() makes the triggers of the CRM anew.")));
	subject = trigdata->tg_trigger->tgargs[0];
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		concerns = *(bool *) crm_kept(&kept_promised, subject, strlen(subject) + 1);
	else
	{
		crm_connect_as(crm_kept_owner(&kept_promised), &me);
		values[0] = CStringGetTextDatum(subject);
		crm_execute("SELECT FROM crm.sla_subjects AS s WHERE s.subject_type = $1 AND s.subject_type <> 'tickets'",
					1, types, values, NULL, false, 1);
		concerns = SPI_processed > 0;
		crm_disconnect_self(&me);
	}
	return concerns ? crm_call_trigger(fcinfo, "follow_clocks", 0) : PointerGetDatum(NULL);
}
