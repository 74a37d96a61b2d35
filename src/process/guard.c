/*
 * guard.c
 *	  crm.guard_stage(): what holds for every writer of a row with a stage.
 *
 * A write is taken in three steps, which crm.allowed_moves_of() shares: the row
 * is prepared (pipeline, stage, probability and dates filled in), judged (all
 * that is wrong with it at once), and refused or let through.  The row is only
 * turned into jsonb where a transition has a guard.
 */
#include "process/process.h"
#include "access/identity.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"


/* Columns to be changed, collected and applied at once */
typedef struct Changes
{
	int			n;
	int			columns[12];
	Datum		values[12];
	bool		nulls[12];
} Changes;

static Datum
column_value(HeapTuple tuple, TupleDesc desc, AttrNumber att, bool *isnull)
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
	Datum		value = column_value(tuple, desc, att, isnull);

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

static char *
row_name(const Move *move)
{
	return move->before == NULL ? psprintf("new row of %s", move->subject) :
		psprintf("%s " INT64_FORMAT, move->subject, move->id);
}

/* ---- preparing ---- */

static void
find_stage(Move *move, Changes *changes)
{
	const ProcessColumns *c = move->columns;
	bool		no_pipeline;
	bool		no_stage;
	int64		pipeline_id = crm_process_int(move->after, move->desc, c->pipeline_id, &no_pipeline);
	int64		stage_id = crm_process_int(move->after, move->desc, c->stage_id, &no_stage);
	Pipeline   *pipeline;
	Stage	   *to;

	if (no_stage && move->before != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("%s must have a stage", row_name(move))));
	to = no_stage ? NULL : crm_process_stage(move->config, stage_id);
	if (!no_stage && to == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("stage " INT64_FORMAT " does not exist", stage_id),
				 errhint("See crm.stages for the stages of each pipeline.")));

	if (!no_pipeline)
	{
		pipeline = crm_process_pipeline(move->config, pipeline_id);
		if (pipeline == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
					 errmsg("pipeline " INT64_FORMAT " does not exist", pipeline_id),
					 errhint("See crm.pipelines.")));
	}
	else if (to != NULL)
		pipeline = to->pipeline;
	else
	{
		pipeline = crm_process_default(move->config, move->subject);
		if (pipeline == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
					 errmsg("there is no default pipeline for %s", move->subject),
					 errhint("Set pipeline_id, or mark one pipeline of %s as default: crm.define_pipeline with \"is_default\": true.",
							 move->subject)));
	}
	if (strcmp(pipeline->subject, move->subject) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_UNKNOWN_STAGE),
				 errmsg("pipeline \"%s\" is for %s, not for %s",
						pipeline->code, pipeline->subject, move->subject)));
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
				 errhint("To change the pipeline of a row, set pipeline_id and stage_id together.")));

	if (no_pipeline)
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
	value = column_value(move->after, move->desc, att, &isnull);
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
		was = column_value(move->before, move->desc, att, &was_null);
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
	Datum		was = column_value(move->before, move->desc, att, &null1);
	Datum		sent = column_value(move->after, move->desc, att, &null2);

	if (null1 != null2 ||
		(!null1 && DatumGetTimestampTz(was) != DatumGetTimestampTz(sent)))
		change(changes, att, was, null1);
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

	value = column_value(move->after, desc, c->stage_entered_at, &isnull);
	if (history && !isnull)
		entered = DatumGetTimestampTz(value);
	else if (move->before != NULL)
	{
		value = column_value(move->before, desc, c->stage_entered_at, &isnull);
		if (!isnull)
			entered = Max(now, DatumGetTimestampTz(value) + 1);
	}

	if (stage_is_closed(move->to))
	{
		bool		no_date;
		Datum		date = column_value(move->after, desc, c->close_date, &no_date);

		value = column_value(move->after, desc, c->closed_at, &isnull);
		if (history && !isnull)
			entered = DatumGetTimestampTz(value);
		else if (history && !no_date)
			entered = start_of_day(DatumGetDateADT(date), move->config->zone);
		change(changes, c->closed_at, TimestampTzGetDatum(entered), false);
		if (no_date)
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

/*
 * Find out what a write means and fill in what the engine keeps.  Raises errors
 * for what no bypass permits: stages that do not exist or belong elsewhere, and
 * amounts that are no numbers.
 */
void
crm_process_prepare(Move *move, const char *subject, const ProcessColumns *columns,
					TupleDesc desc, HeapTuple before, HeapTuple after)
{
	Changes		changes;
	bool		isnull;
	int64		tenant;
	Datum		amount;

	changes.n = 0;
	memset(move, 0, sizeof(Move));
	move->subject = subject;
	move->columns = columns;
	move->desc = desc;
	move->before = before;
	move->after = after;
	move->id = crm_process_int(after, desc, columns->id, &isnull);
	tenant = columns->tenant_id ? crm_process_int(after, desc, columns->tenant_id, &isnull) :
		crm_current_tenant(&isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NO_TENANT),
				 errmsg("%s has no tenant", row_name(move))));

	if (before != NULL)
	{
		bool		isnull2;

		if (crm_process_int(before, desc, columns->id, &isnull2) != move->id ||
			(columns->tenant_id &&
			 crm_process_int(before, desc, columns->tenant_id, &isnull2) != tenant))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("id and tenant_id of %s cannot be changed", subject),
					 errdetail("The history of a row is kept under them.")));
	}

	move->config = crm_process_config(tenant);
	find_stage(move, &changes);

	if (before == NULL)
		move->moved = true;
	else
	{
		bool		no_stage;
		int64		from = crm_process_int(before, desc, columns->stage_id, &no_stage);

		move->moved = no_stage || from != move->to->id;
		if (!no_stage)
			move->from = move->moved ? crm_process_stage(move->config, from) : move->to;
		if (move->moved)
			move->edge = crm_process_edge(move->to->pipeline,
										  move->from && move->from->pipeline == move->to->pipeline ? from : 0,
										  move->to->id);
	}
	if (before == NULL)
		move->edge = crm_process_edge(move->to->pipeline, 0, move->to->id);

	amount = column_value(after, desc, columns->amount, &isnull);
	if (!isnull)
		refuse_not_finite(amount, "amount");
	fill_probability(move, &changes);
	fill_dates(move, &changes);

	if (changes.n > 0)
		move->after = heap_modify_tuple_by_cols(after, desc, changes.n, changes.columns,
												changes.values, changes.nulls);
}

/* ---- judging ---- */

static bool
is_blank(const char *s, int len)
{
	for (int i = 0; i < len; i++)
		if (s[i] != ' ' && s[i] != '\t' && s[i] != '\n' && s[i] != '\r')
			return false;
	return true;
}

static bool
custom_is_filled(Move *move, const char *key, const char *name)
{
	bool		isnull;
	Datum		custom;
	JsonbValue	found;
	JsonbValue *v;

	if (move->columns->custom == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("stage \"%s\" requires \"%s\", but %s has no column \"custom\"",
						move->to->code, name, move->subject)));
	custom = column_value(move->after, move->desc, move->columns->custom, &isnull);
	if (isnull)
		return false;
	if (!JB_ROOT_IS_OBJECT(DatumGetJsonbP(custom)))
		return false;
	v = getKeyJsonValueFromContainer(&DatumGetJsonbP(custom)->root, key, strlen(key), &found);
	if (v == NULL || v->type == jbvNull)
		return false;
	if (v->type == jbvString)
		return !is_blank(v->val.string.val, v->val.string.len);
	if (v->type == jbvBinary)
		return JsonContainerSize(v->val.binary.data) > 0;
	return true;
}

/* Has a required column a value?  Blank text and empty arrays are none. */
static bool
is_filled(Move *move, const char *name)
{
	TupleDesc	desc = move->desc;

	if (strncmp(name, "custom.", 7) == 0)
		return custom_is_filled(move, name + 7, name);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		isnull;
		Datum		value;

		if (att->attisdropped || strcmp(NameStr(att->attname), name) != 0)
			continue;
		value = heap_getattr(move->after, i + 1, desc, &isnull);
		if (isnull)
			return false;
		if (att->atttypid == TEXTOID || att->atttypid == VARCHAROID || att->atttypid == BPCHAROID)
		{
			text	   *t = DatumGetTextPP(value);

			return !is_blank(VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t));
		}
		if (OidIsValid(get_element_type(att->atttypid)))
			return ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(value)),
								  ARR_DIMS(DatumGetArrayTypeP(value))) > 0;
		return true;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("stage \"%s\" requires column \"%s\", which %s does not have",
					move->to->code, name, move->subject),
			 errhint("Correct required_columns of the stage or of the transition into it.")));
	return false;
}

static void
add_name(List **names, char *name)
{
	ListCell   *cell;

	foreach(cell, *names)
		if (strcmp((char *) lfirst(cell), name) == 0)
			return;
	*names = lappend(*names, name);
}

static void
add_missing(Move *move, Verdict *verdict, char **names, int n)
{
	for (int i = 0; i < n; i++)
		if (!is_filled(move, names[i]))
			add_name(&verdict->missing, names[i]);
}

/* The row as jsonb, as far as a condition looks at it. */
static Datum
row_for(Move *move, Datum condition)
{
	Bitmapset  *columns;

	if (!crm_path_columns(condition, move->desc, &columns))
		columns = NULL;
	else if (columns == NULL)
		columns = bms_make_singleton(0);	/* an empty set would mean all */
	return crm_row_jsonb(crm_row_shape(move->desc, columns), move->after, move->desc, false);
}

static LossReason *
find_reason(ProcessConfig *config, Datum code)
{
	text	   *t = DatumGetTextPP(code);

	for (int i = 0; i < config->nreasons; i++)
		if (strlen(config->reasons[i].code) == VARSIZE_ANY_EXHDR(t) &&
			memcmp(config->reasons[i].code, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t)) == 0)
			return &config->reasons[i];
	return NULL;
}

/*
 * A lost row needs its reason when it becomes lost, and may not give it up
 * afterwards; rows imported without one can still be worked on.
 */
static void
judge_loss(Move *move, Verdict *verdict)
{
	const ProcessColumns *c = move->columns;
	bool		was_null;
	bool		isnull;
	Datum		was;
	Datum		reason;
	LossReason *known;
	bool		blank;

	if (c->loss_reason == 0 || move->to->type != STAGE_LOST)
		return;
	was = column_value(move->before, move->desc, c->loss_reason, &was_null);
	reason = column_value(move->after, move->desc, c->loss_reason, &isnull);
	blank = isnull || is_blank(VARDATA_ANY(DatumGetTextPP(reason)),
							   VARSIZE_ANY_EXHDR(DatumGetTextPP(reason)));
	if (blank)
	{
		if (move->moved || !was_null)
			verdict->loss_reason_missing = true;
		return;
	}
	known = find_reason(move->config, reason);
	if (known == NULL)
		return;					/* the foreign key's business */
	if (!known->active &&
		(was_null || !DatumGetBool(DirectFunctionCall2Coll(texteq, C_COLLATION_OID, was, reason))))
		verdict->loss_reason_inactive = true;
	if (known->note_required && c->loss_note)
	{
		Datum		note = column_value(move->after, move->desc, c->loss_note, &isnull);

		if (isnull || is_blank(VARDATA_ANY(DatumGetTextPP(note)),
							   VARSIZE_ANY_EXHDR(DatumGetTextPP(note))))
			verdict->loss_note_missing = true;
	}
}

/* Look for, and with use = true use up, an approval of a move */
bool
crm_process_use_approval(const char *subject, int64 tenant, int64 id, int64 stage)
{
	Oid			types[4] = {INT8OID, TEXTOID, INT8OID, INT8OID};
	Datum		values[4];
	CrmOwnerSwitch saved;
	bool		done;

	values[0] = Int64GetDatum(tenant);
	values[1] = CStringGetTextDatum(subject);
	values[2] = Int64GetDatum(id);
	values[3] = Int64GetDatum(stage);
	SPI_connect();
	crm_become(crm_process_periods_owner(), &saved);
	crm_execute("UPDATE crm.approvals AS a SET used_at = pg_catalog.now()"
				" WHERE a.tenant_id OPERATOR(pg_catalog.=) $1 AND a.id OPERATOR(pg_catalog.=) ("
				"SELECT pg_catalog.min(b.id) FROM crm.approvals AS b"
				" WHERE b.tenant_id OPERATOR(pg_catalog.=) $1 AND b.subject_table OPERATOR(pg_catalog.=) $2"
				" AND b.subject_id OPERATOR(pg_catalog.=) $3 AND b.to_stage_id OPERATOR(pg_catalog.=) $4"
				" AND b.state OPERATOR(pg_catalog.=) 'approved' AND b.used_at IS NULL)"
				" AND a.used_at IS NULL",
				4, types, values, NULL, false, 0);
	done = SPI_processed > 0;
	crm_become_self(&saved);
	SPI_finish();
	return done;
}

/* The best approval there is: NULL none */
static const char *
approval_state(Move *move)
{
	Oid			types[4] = {INT8OID, TEXTOID, INT8OID, INT8OID};
	Datum		values[4];
	CrmOwnerSwitch saved;
	const char *state = "needed";
	bool		isnull;

	values[0] = Int64GetDatum(move->config->tenant);
	values[1] = CStringGetTextDatum(move->subject);
	values[2] = Int64GetDatum(move->id);
	values[3] = Int64GetDatum(move->to->id);
	SPI_connect();
	crm_become(crm_process_periods_owner(), &saved);
	crm_execute("SELECT pg_catalog.bool_or(b.state OPERATOR(pg_catalog.=) 'approved')"
				" FROM crm.approvals AS b"
				" WHERE b.tenant_id OPERATOR(pg_catalog.=) $1 AND b.subject_table OPERATOR(pg_catalog.=) $2"
				" AND b.subject_id OPERATOR(pg_catalog.=) $3 AND b.to_stage_id OPERATOR(pg_catalog.=) $4"
				" AND b.state OPERATOR(pg_catalog.<>) 'rejected' AND b.used_at IS NULL",
				4, types, values, NULL, true, 1);
	if (SPI_processed > 0)
	{
		Datum		approved = crm_spi_value(0, 1, &isnull);

		if (!isnull)
			state = DatumGetBool(approved) ? "approved" : "requested";
	}
	crm_become_self(&saved);
	SPI_finish();
	return state;
}

/* All that stands against a write.  What costs queries comes last. */
void
crm_process_judge(Move *move, Verdict *verdict)
{
	Stage	   *to = move->to;
	Edge	   *edge = move->edge;

	memset(verdict, 0, sizeof(Verdict));
	if (to->nrequired > 0)
		add_missing(move, verdict, to->required, to->nrequired);
	if (to->type == STAGE_LOST)
		judge_loss(move, verdict);
	if (!move->moved)
		return;

	verdict->inactive = !to->active || (!to->pipeline->active &&
										(move->from == NULL || move->from->pipeline != to->pipeline));
	if (edge == NULL)
	{
		if (to->pipeline->strict)
			verdict->not_allowed = !((move->from == NULL || move->from->pipeline != to->pipeline) &&
									 crm_process_initial(to->pipeline) == to);
		return;
	}
	if (edge->nrequired > 0)
		add_missing(move, verdict, edge->required, edge->nrequired);
	if (edge->guard != (Datum) 0)
		verdict->guard_failed = !crm_condition_holds(row_for(move, edge->guard), edge->guard);
	if (edge->nroles >= 0)
	{
		verdict->access = crm_access_name(crm_current_access());
		verdict->role_refused = true;
		for (int i = 0; i < edge->nroles; i++)
			if (strcmp(verdict->access, edge->roles[i]) == 0)
				verdict->role_refused = false;
	}
	if (edge->approval != NULL)
		verdict->approval = approval_state(move);
}

/* ---- refusing ---- */

static char *
names_joined(List *names)
{
	StringInfoData s;
	ListCell   *cell;

	initStringInfo(&s);
	foreach(cell, names)
	{
		if (s.len > 0)
			appendStringInfoString(&s, ", ");
		appendStringInfoString(&s, (char *) lfirst(cell));
	}
	return s.data;
}

static char *
allowed_stages(Move *move)
{
	List	   *names = NIL;
	Pipeline   *p = move->to->pipeline;

	for (int i = 0; i < p->nstages; i++)
	{
		Stage	   *s = &p->stages[i];

		if (!s->active || s == move->from)
			continue;
		if (crm_process_edge(p, move->from ? move->from->id : 0, s->id) != NULL ||
			(move->from == NULL && s == crm_process_initial(p)))
			names = lappend(names, s->code);
	}
	return names == NIL ? "none" : names_joined(names);
}

static void
refuse(Move *move, Verdict *v)
{
	Stage	   *to = move->to;
	Edge	   *edge = move->edge;

	if (v->inactive)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_TRANSITION_NOT_ALLOWED),
				 errmsg("%s cannot enter stage \"%s\" of pipeline \"%s\": it is no longer in use",
						row_name(move), to->code, to->pipeline->code)));
	if (v->not_allowed)
	{
		if (move->from == NULL || move->from->pipeline != to->pipeline)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_TRANSITION_NOT_ALLOWED),
					 errmsg("%s cannot enter pipeline \"%s\" in stage \"%s\"",
							row_name(move), to->pipeline->code, to->code),
					 errdetail("Stages to begin in: %s.", allowed_stages(move))));
		ereport(ERROR,
				(errcode(ERRCODE_CRM_TRANSITION_NOT_ALLOWED),
				 errmsg("%s cannot move from stage \"%s\" to \"%s\"",
						row_name(move), move->from->code, to->code),
				 errdetail("Stages it can move to: %s.", allowed_stages(move))));
	}
	if (v->role_refused)
	{
		List	   *roles = NIL;

		for (int i = 0; i < edge->nroles; i++)
			roles = lappend(roles, edge->roles[i]);
		ereport(ERROR,
				(errcode(ERRCODE_CRM_ROLE_NOT_ALLOWED),
				 errmsg("access level %s may not move %s to stage \"%s\"",
						v->access, row_name(move), to->code),
				 errdetail("Levels that may: %s.", names_joined(roles))));
	}
	if (v->missing != NIL)
	{
		if (v->loss_reason_missing)
			add_name(&v->missing, "loss_reason");
		ereport(ERROR,
				(errcode(ERRCODE_CRM_REQUIRED_FIELDS),
				 errmsg("%s lacks what stage \"%s\" requires", row_name(move), to->code),
				 errdetail("Missing: %s.", names_joined(v->missing)),
				 errhint("Fill these columns in the same statement.")));
	}
	if (v->loss_reason_missing)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_LOSS_REASON_MISSING),
				 errmsg("%s needs a loss reason in stage \"%s\"", row_name(move), to->code),
				 errdetail("Missing: loss_reason."),
				 errhint("Set loss_reason to a code of crm.loss_reasons.")));
	if (v->loss_note_missing)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_LOSS_REASON_MISSING),
				 errmsg("the loss reason of %s needs a note", row_name(move)),
				 errdetail("Missing: loss_note.")));
	if (v->loss_reason_inactive)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_LOSS_REASON_MISSING),
				 errmsg("the loss reason of %s is no longer in use", row_name(move)),
				 errhint("Choose an active one of crm.loss_reasons.")));
	if (v->guard_failed)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_GUARD_FAILED),
				 errmsg("%s cannot move to stage \"%s\": %s", row_name(move), to->code,
						edge->message ? edge->message : "its condition does not hold"),
				 errdetail("Condition: %s.",
						   DatumGetCString(DirectFunctionCall1(jsonpath_out, edge->guard)))));
	if (v->approval != NULL && strcmp(v->approval, "approved") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_APPROVAL_MISSING),
				 errmsg("%s needs an approval to move to stage \"%s\"", row_name(move), to->code),
				 errdetail("Approval: %s; it takes access level %s.", v->approval, edge->approval),
				 strcmp(v->approval, "requested") == 0 ?
				 errhint("Somebody else has to decide it: crm.decide_approval().") :
				 errhint("Ask for one: crm.request_approval().")));
}

PG_FUNCTION_INFO_V1(crm_guard_stage);

/*
 * crm.guard_stage(subject) -- BEFORE INSERT OR UPDATE FOR EACH ROW, put on a
 * table by crm.attach_process().  The argument is the name its pipelines and
 * history go by, which is the same for partitions and shards.
 */
Datum
crm_guard_stage(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	HeapTuple	before;
	HeapTuple	after;
	Move		move;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event) || TRIGGER_FIRED_BY_DELETE(trigdata->tg_event) ||
		trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("crm.guard_stage must be a row trigger before INSERT or UPDATE with one argument"),
				 errhint("crm.attach_process() makes it.")));

	rel = trigdata->tg_relation;
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		before = trigdata->tg_trigtuple;
		after = trigdata->tg_newtuple;
	}
	else
	{
		before = NULL;
		after = trigdata->tg_trigtuple;
	}

	crm_process_prepare(&move, trigdata->tg_trigger->tgargs[0], crm_process_columns(rel),
						RelationGetDescr(rel), before, after);
	if (crm_bypass_reason[0] == '\0' && crm_history_reason[0] == '\0')
	{
		Verdict		verdict;

		crm_process_judge(&move, &verdict);
		refuse(&move, &verdict);
	}
	return PointerGetDatum(move.after);
}
