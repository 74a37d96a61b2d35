/*
 * prepare.c
 *	  What a write of a row with a stage means, and what the engine fills in:
 *	  pipeline, stage, probability and dates.
 */
#include "process/process.h"
#include "access/identity.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/numeric.h"

/* Columns to be changed, collected and applied at once */
typedef struct Changes
{
	int			n;
	int			columns[12];
	Datum		values[12];
	bool		nulls[12];
} Changes;

/* A column of a row; null where there is no such column or no row. */
Datum
crm_process_value(HeapTuple tuple, TupleDesc desc, AttrNumber att, bool *isnull)
{
	if (att == 0 || tuple == NULL)
	{
		*isnull = true;
		return (Datum) 0;
	}
	return heap_getattr(tuple, att, desc, isnull);
}

/* A column of type bigint or integer as int64 */
int64
crm_process_int(HeapTuple tuple, TupleDesc desc, AttrNumber att, bool *isnull)
{
	Datum		value = crm_process_value(tuple, desc, att, isnull);

	if (*isnull)
		return 0;
	return TupleDescAttr(desc, att - 1)->atttypid == INT4OID ?
		(int64) DatumGetInt32(value) : DatumGetInt64(value);
}

static Datum
int_datum(TupleDesc desc, AttrNumber att, int64 value)
{
	return TupleDescAttr(desc, att - 1)->atttypid == INT4OID ?
		Int32GetDatum((int32) value) : Int64GetDatum(value);
}

static void
change(Changes *changes, AttrNumber att, Datum value, bool isnull)
{
	if (att == 0)
		return;
	changes->columns[changes->n] = att;
	changes->values[changes->n] = value;
	changes->nulls[changes->n] = isnull;
	changes->n++;
}

/* The date an instant falls on, in the tenant's zone */
static Datum
business_date(TimestampTz at, pg_tz *zone)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (timestamp2tm(at, &tz, &tm, &fsec, NULL, zone) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return DateADTGetDatum(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE);
}

/* The instant a business date begins */
static TimestampTz
start_of_day(DateADT date, pg_tz *zone)
{
	struct pg_tm tm = {0};
	TimestampTz result;
	int			tz;

	if (DATE_NOT_FINITE(date))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("close_date must be finite")));
	j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	tz = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, 0, &tz, &result) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp out of range")));
	return result;
}

static void
refuse_not_finite(Datum value, const char *column)
{
	if (numeric_is_nan(DatumGetNumeric(value)) || numeric_is_inf(DatumGetNumeric(value)))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be a finite number", column),
				 errhint("Leave it empty where it is not known.")));
}

/* A row for messages */
char *
crm_process_row_name(const Move *move)
{
	return move->before == NULL ? psprintf("new row of %s", move->subject) :
		psprintf("%s " INT64_FORMAT, move->subject, move->id);
}

/* The pipeline a row names or means: its own, that of its stage, the default one. */
static Pipeline *
find_pipeline(const Move *move, const Stage *to, bool *named)
{
	bool		isnull;
	int64		id = crm_process_int(move->after, move->desc, move->columns->pipeline_id, &isnull);
	Pipeline   *pipeline;

	*named = !isnull;
	if (*named)
		pipeline = crm_process_pipeline(move->config, id);
	else
		pipeline = to != NULL ? to->pipeline : crm_process_default(move->config, move->subject);
	if (pipeline == NULL && *named)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("pipeline " INT64_FORMAT " does not exist", id),
				 errhint("See crm.pipelines.")));
	if (pipeline == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("there is no default pipeline for %s", move->subject),
				 errhint("Set pipeline_id, or mark one pipeline of %s as default: "
						 "crm.define_pipeline with \"is_default\": true.", move->subject)));
	if (strcmp(pipeline->subject, move->subject) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("pipeline \"%s\" is for %s, not for %s",
						pipeline->code, pipeline->subject, move->subject),
				 errhint("See crm.pipelines for those of each subject_table.")));
	return pipeline;
}

static void
find_stage(Move *move, Changes *changes)
{
	const ProcessColumns *c = move->columns;
	bool		named;
	bool		no_stage;
	int64		stage_id = crm_process_int(move->after, move->desc, c->stage_id, &no_stage);
	Pipeline   *pipeline;
	Stage	   *to;

	if (no_stage && move->before != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("%s must have a stage", crm_process_row_name(move)),
				 errhint("See crm.stages for the stages of each pipeline.")));
	to = no_stage ? NULL : crm_process_stage(move->config, stage_id);
	if (!no_stage && to == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("stage " INT64_FORMAT " does not exist", stage_id),
				 errhint("See crm.stages for the stages of each pipeline.")));
	pipeline = find_pipeline(move, to, &named);
	if (to == NULL)
	{
		to = crm_process_initial(pipeline);
		if (to == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
					 errmsg("pipeline \"%s\" has no stage to begin in", pipeline->code),
					 errhint("Give it an active stage of type open.")));
	}
	if (to->pipeline != pipeline)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("stage \"%s\" belongs to pipeline \"%s\", not to \"%s\"",
						to->code, to->pipeline->code, pipeline->code),
				 errhint("To change the pipeline of a row, "
						 "set pipeline_id and stage_id together.")));

	if (!named)
		change(changes, c->pipeline_id, int_datum(move->desc, c->pipeline_id, pipeline->id), false);
	if (no_stage)
		change(changes, c->stage_id, int_datum(move->desc, c->stage_id, to->id), false);
	move->to = to;
}

static void
fill_probability(Move *move, Changes *changes)
{
	AttrNumber	att = move->columns->probability;
	Stage	   *to = move->to;
	bool		isnull;
	bool		was_null = true;
	Datum		value;
	Datum		was = (Datum) 0;

	if (att == 0)
		return;
	value = crm_process_value(move->after, move->desc, att, &isnull);
	if (!isnull)
		refuse_not_finite(value, "probability");
	if (!to->has_probability)
	{
		if (to->type != STAGE_WON && to->type != STAGE_LOST)
			return;
		value = DirectFunctionCall1(int4_numeric, Int32GetDatum(to->type == STAGE_WON ? 100 : 0));
		change(changes, att, value, false);
		return;
	}
	if (!isnull && !stage_is_closed(to))
	{
		/* set by hand: given with a new row, or other than before */
		if (move->before == NULL)
			return;
		was = crm_process_value(move->before, move->desc, att, &was_null);
		if (was_null || !DatumGetBool(DirectFunctionCall2(numeric_eq, value, was)))
			return;
		if (!move->moved)
			return;
	}
	if (isnull || !DatumGetBool(DirectFunctionCall2(numeric_eq, value, to->probability)))
		change(changes, att, to->probability, false);
}

/* A column of the engine's own keeps its value, whatever is sent */
static void
keep_instant(Move *move, Changes *changes, AttrNumber att)
{
	bool		null1;
	bool		null2;
	Datum		was = crm_process_value(move->before, move->desc, att, &null1);
	Datum		sent = crm_process_value(move->after, move->desc, att, &null2);

	if (null1 != null2 ||
		(!null1 && DatumGetTimestampTz(was) != DatumGetTimestampTz(sent)))
		change(changes, att, was, null1);
}

/* Whether a write leaves a date as it was. */
static bool
keeps_date(const Move *move, AttrNumber att, Datum date)
{
	bool		isnull;
	Datum		was = crm_process_value(move->before, move->desc, att, &isnull);

	return !isnull && DatumGetDateADT(was) == DatumGetDateADT(date);
}

static void
fill_dates(Move *move, Changes *changes)
{
	const ProcessColumns *c = move->columns;
	TupleDesc	desc = move->desc;
	bool		history = crm_history_reason[0] != '\0';
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	TimestampTz entered = now;
	bool		isnull;
	Datum		value;

	if (!move->moved)
	{
		if (!history)
		{
			keep_instant(move, changes, c->stage_entered_at);
			keep_instant(move, changes, c->closed_at);
		}
		return;
	}

	value = crm_process_value(move->after, desc, c->stage_entered_at, &isnull);
	if (history && !isnull)
		entered = DatumGetTimestampTz(value);
	else if (move->before != NULL)
	{
		value = crm_process_value(move->before, desc, c->stage_entered_at, &isnull);
		if (!isnull)
			entered = Max(now, DatumGetTimestampTz(value) + 1);
	}

	if (stage_is_closed(move->to))
	{
		bool		no_date;
		Datum		date = crm_process_value(move->after, desc, c->close_date, &no_date);

		value = crm_process_value(move->after, desc, c->closed_at, &isnull);
		if (history && !isnull)
			entered = DatumGetTimestampTz(value);
		else if (history && !no_date)
			entered = start_of_day(DatumGetDateADT(date), move->config->zone);
		change(changes, c->closed_at, TimestampTzGetDatum(entered), false);
		/* a date that an open row had was a plan: the closing one is what this write says */
		if (no_date || (!history && move->before != NULL &&
						(move->from == NULL || !stage_is_closed(move->from)) &&
						keeps_date(move, c->close_date, date)))
			change(changes, c->close_date, business_date(entered, move->config->zone), false);
	}
	else
	{
		change(changes, c->closed_at, (Datum) 0, true);
		if (move->from != NULL && stage_is_closed(move->from))
			change(changes, c->close_date, (Datum) 0, true);
	}
	change(changes, c->stage_entered_at, TimestampTzGetDatum(entered), false);
	if (move->to->type != STAGE_LOST && move->from != NULL && move->from->type == STAGE_LOST)
	{
		change(changes, c->loss_reason, (Datum) 0, true);
		change(changes, c->loss_note, (Datum) 0, true);
	}
}

static void
refuse_other_key(const Move *move)
{
	const ProcessColumns *c = move->columns;
	bool		isnull;

	if (crm_process_int(move->before, move->desc, c->id, &isnull) != move->id ||
		(c->tenant_id && crm_process_int(move->before, move->desc, c->tenant_id, &isnull) !=
		 crm_process_int(move->after, move->desc, c->tenant_id, &isnull)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("id and tenant_id of %s cannot be changed", move->subject),
				 errdetail("The history of a row is kept under them.")));
}

/* From where to where, and by which transition. */
static void
find_edge(Move *move)
{
	Pipeline   *pipeline = move->to->pipeline;
	bool		no_stage;
	int64		from;

	if (move->before == NULL)
	{
		move->moved = true;
		move->edge = crm_process_edge(pipeline, 0, move->to->id);
		return;
	}
	from = crm_process_int(move->before, move->desc, move->columns->stage_id, &no_stage);
	move->moved = no_stage || from != move->to->id;
	if (!no_stage)
		move->from = move->moved ? crm_process_stage(move->config, from) : move->to;
	if (move->moved)
	{
		if (move->from == NULL || move->from->pipeline != pipeline)
			from = 0;
		move->edge = crm_process_edge(pipeline, from, move->to->id);
	}
}

/* The tenant a row belongs to; an error where there is none. */
int64
crm_process_tenant(const char *subject, const ProcessColumns *columns, TupleDesc desc,
				   HeapTuple row)
{
	bool		isnull;
	int64		tenant;

	if (columns->tenant_id)
		tenant = crm_process_int(row, desc, columns->tenant_id, &isnull);
	else
		tenant = crm_current_tenant(&isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("a row of %s has no tenant", subject),
				 errhint("Set tenant_id, or work as a role that has a tenant: "
						 "see crm.grant_access().")));
	return tenant;
}

/*
 * Find out what a write means under a configuration, and fill in what the
 * engine keeps.  Raises errors for what no bypass permits: stages that do not
 * exist or belong elsewhere, and amounts that are no numbers.
 */
void
crm_process_prepare(Move *move, ProcessConfig *config, const char *subject,
					const ProcessColumns *columns, TupleDesc desc, HeapTuple before,
					HeapTuple after)
{
	Changes		changes;
	bool		isnull;
	Datum		amount;

	changes.n = 0;
	memset(move, 0, sizeof(Move));
	move->subject = subject;
	move->config = config;
	move->columns = columns;
	move->desc = desc;
	move->before = before;
	move->after = after;
	move->id = crm_process_int(after, desc, columns->id, &isnull);
	if (before != NULL)
		refuse_other_key(move);
	find_stage(move, &changes);
	find_edge(move);
	amount = crm_process_value(after, desc, columns->amount, &isnull);
	if (!isnull)
		refuse_not_finite(amount, "amount");
	fill_probability(move, &changes);
	fill_dates(move, &changes);

	if (changes.n > 0)
		move->after = heap_modify_tuple_by_cols(after, desc, changes.n, changes.columns,
												changes.values, changes.nulls);
}
