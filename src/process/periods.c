/*
 * periods.c
 *	  crm.record_stage(): the history of every row with a stage.
 *
 * The row trigger only notes what a row became; the statement trigger writes
 * what was noted.  A full list is written at once, so that memory stays bounded,
 * and what is left when a transaction prepares or commits (rows put straight
 * into a partition, rows applied by logical replication, fire no statement
 * trigger) is written then.
 *
 * Statements nest, and inside a savepoint a nested statement may write what an
 * outer one noted.  Each note therefore says in which subtransaction it was
 * made and in which it was written: when the latter is rolled back it is
 * written again, when the former is it never was.
 *
 * History is written as the owner of crm.stage_periods.  Its order needs no
 * lock of its own: every writer holds the row lock of the subject.
 */
#include "base/notes.h"
#include "process/process.h"
#include "access/identity.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define BATCH 4096

/* columns of a period that come from the row, in the order of the statements */
enum
{
	F_PIPELINE, F_STAGE, F_AMOUNT, F_CURRENCY, F_PROBABILITY, F_CLOSE_DATE,
	F_OWNER, F_TEAM, F_MOVED, F_BYPASSED, F_REASON, F_COUNT
};

static const Oid field_types[F_COUNT] = {
	INT8OID, INT8OID, NUMERICOID, BPCHAROID, NUMERICOID, DATEOID,
	INT8OID, INT8OID, BOOLOID, BOOLOID, TEXTOID
};

typedef struct Note
{
	CrmNote		note;
	const char *subject;
	int64		tenant;
	int64		id;
	TimestampTz at;
	bool		is_new;			/* the row was inserted */
	bool		is_gone;		/* the row was deleted */
	Datum		fields[F_COUNT];
	bool		nulls[F_COUNT];
} Note;

static void write_notes(void);

static CrmNotes notes = {
	.what = "stage periods",
	.size = sizeof(Note),
	.write = write_notes,
};
static bool writing = false;

#define SAME_SUBJECT \
	" p.tenant_id OPERATOR(pg_catalog.=) $1 AND p.subject_table OPERATOR(pg_catalog.=) $2"
#define COLUMNS \
	"tenant_id, subject_table, subject_id, seq, period, changed_by, changed_role," \
	" pipeline_id, stage_id, amount, currency, probability, close_date, owner_id, team_id," \
	" moved, bypassed, bypass_reason"

static const char close_one[] =
	"UPDATE crm.stage_periods AS p SET period = pg_catalog.tstzrange(pg_catalog.lower(p.period),"
	" GREATEST($4, pg_catalog.lower(p.period) OPERATOR(pg_catalog.+)"
	" '1 microsecond'::pg_catalog.interval))"
	" WHERE" SAME_SUBJECT " AND p.subject_id OPERATOR(pg_catalog.=) $3"
	" AND pg_catalog.upper_inf(p.period)"
	" RETURNING p.seq, pg_catalog.upper(p.period)";

static const char last_one[] =
	"SELECT p.seq, pg_catalog.upper(p.period) FROM crm.stage_periods AS p"
	" WHERE" SAME_SUBJECT " AND p.subject_id OPERATOR(pg_catalog.=) $3"
	" ORDER BY p.seq DESC LIMIT 1";

static const char open_one[] =
	"INSERT INTO crm.stage_periods (" COLUMNS ")"
	" VALUES ($1, $2, $3, $6, pg_catalog.tstzrange($4, NULL), $5, SESSION_USER,"
	" $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";

/* the same for many: $3 ids, $4 instants, $6 numbers, then the fields */
static const char open_many[] =
	"INSERT INTO crm.stage_periods (" COLUMNS ")"
	" SELECT $1, $2, v.id, v.seq, pg_catalog.tstzrange(v.at, NULL), $5, SESSION_USER,"
	" v.pipeline, v.stage, v.amount, v.currency, v.probability, v.close_date, v.owner, v.team,"
	" v.moved, v.bypassed, v.reason"
	" FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4),"
	" pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9),"
	" pg_catalog.unnest($10), pg_catalog.unnest($11), pg_catalog.unnest($12), pg_catalog.unnest($13),"
	" pg_catalog.unnest($14), pg_catalog.unnest($15), pg_catalog.unnest($16), pg_catalog.unnest($17))"
	" AS v(id, at, seq, pipeline, stage, amount, currency, probability, close_date, owner, team,"
	" moved, bypassed, reason)";

/* ---- noting ---- */

/* The same name as a pointer that lives as long as the list does */
static const char *
intern_subject(const char *subject)
{
	Note	   *last = notes.n > 0 ? crm_note_at(&notes, notes.n - 1) : NULL;

	if (last != NULL && strcmp(last->subject, subject) == 0)
		return last->subject;
	return MemoryContextStrdup(notes.context, subject);
}

static Note *
add_note(const char *subject)
{
	Note	   *note = crm_note_make(&notes);

	note->subject = intern_subject(subject);
	return note;
}

static void
set_field(Note *note, int field, HeapTuple tuple, TupleDesc desc, AttrNumber att)
{
	Datum		value;

	note->nulls[field] = true;
	if (att == 0)
		return;
	if (field_types[field] == INT8OID)
		note->fields[field] = Int64GetDatum(crm_process_int(tuple, desc, att, &note->nulls[field]));
	else
	{
		Form_pg_attribute form = TupleDescAttr(desc, att - 1);
		MemoryContext old;

		value = heap_getattr(tuple, att, desc, &note->nulls[field]);
		if (note->nulls[field])
			return;
		old = MemoryContextSwitchTo(notes.context);
		if (form->attbyval)
			note->fields[field] = value;
		else
			note->fields[field] = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
		MemoryContextSwitchTo(old);
	}
}

/* ---- writing ---- */

/*
 * End the open period of a subject, if it has one; at becomes the instant the
 * next one begins.  Returns the number of the last period, 0 for none.
 */
static int
end_period(Note *note, Datum *key)
{
	static const Oid types[4] = {INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID};
	bool		open = !note->is_new;
	bool		isnull;
	int			seq;
	Datum		ended;

	key[2] = Int64GetDatum(note->id);
	key[3] = TimestampTzGetDatum(note->at);
	for (;;)
	{
		if (open)
			crm_execute(close_one, 4, types, key, NULL, false, 0);
		else
			crm_execute(last_one, 3, types, key, NULL, false, 1);
		if (SPI_processed == 0)
		{
			SPI_freetuptable(SPI_tuptable);
			if (!open)
				return 0;
			open = false;		/* no open period: when did the last one end? */
			continue;
		}
		seq = DatumGetInt32(crm_spi_value(0, 1, &isnull));
		ended = crm_spi_value(0, 2, &isnull);
		SPI_freetuptable(SPI_tuptable);
		if (!isnull)
		{
			note->at = Max(note->at, DatumGetTimestampTz(ended));
			return seq;
		}
		open = true;			/* inserted anew over a period left open */
	}
}

static Datum
array_of(Datum *values, bool *nulls, int n, Oid type)
{
	int16		len;
	bool		byval;
	char		align;
	int			dims[1];
	int			lower[1] = {1};

	dims[0] = n;
	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(construct_md_array(values, nulls, 1, dims, lower, type,
											  len, byval, align));
}

/*
 * Write notes of one tenant and subject table, no subject twice.  Periods are
 * ended one by one: joined to a list of subjects, a planner that takes the
 * history for small would walk through all of it for each of them.  They begin
 * all at once, which needs no look into the table.
 */
static void
write_batch(Note *batch, int n)
{
	Oid			types[6 + F_COUNT] = {INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT8OID, INT4OID};
	Datum		args[6 + F_COUNT];
	char		argnulls[6 + F_COUNT];
	int		   *seqs = palloc(sizeof(int) * n);
	bool		user_null;
	int			alive = 0;

	memset(argnulls, ' ', sizeof(argnulls));
	args[0] = Int64GetDatum(batch[0].tenant);
	args[1] = CStringGetTextDatum(batch[0].subject);
	for (int i = 0; i < n; i++)
	{
		int			seq = end_period(&batch[i], args) + 1;

		if (batch[i].is_gone)
			continue;
		seqs[alive] = seq;
		if (alive != i)
			batch[alive] = batch[i];
		alive++;
	}
	if (alive == 0)
		return;

	args[4] = Int64GetDatum(crm_current_user(&user_null));
	argnulls[4] = user_null ? 'n' : ' ';
	if (alive == 1)
	{
		args[2] = Int64GetDatum(batch[0].id);
		args[3] = TimestampTzGetDatum(batch[0].at);
		args[5] = Int32GetDatum(seqs[0]);
		for (int f = 0; f < F_COUNT; f++)
		{
			types[6 + f] = field_types[f];
			args[6 + f] = batch[0].fields[f];
			argnulls[6 + f] = batch[0].nulls[f] ? 'n' : ' ';
		}
		crm_execute(open_one, 6 + F_COUNT, types, args, argnulls, false, 0);
	}
	else
	{
		Datum	   *values = palloc(sizeof(Datum) * alive);
		bool	   *nulls = palloc(sizeof(bool) * alive);

		types[2] = INT8ARRAYOID;
		types[3] = TIMESTAMPTZARRAYOID;
		types[5] = INT4ARRAYOID;
		for (int i = 0; i < alive; i++)
			values[i] = Int64GetDatum(batch[i].id);
		args[2] = array_of(values, NULL, alive, INT8OID);
		for (int i = 0; i < alive; i++)
			values[i] = TimestampTzGetDatum(batch[i].at);
		args[3] = array_of(values, NULL, alive, TIMESTAMPTZOID);
		for (int i = 0; i < alive; i++)
			values[i] = Int32GetDatum(seqs[i]);
		args[5] = array_of(values, NULL, alive, INT4OID);
		for (int f = 0; f < F_COUNT; f++)
		{
			for (int i = 0; i < alive; i++)
			{
				values[i] = batch[i].fields[f];
				nulls[i] = batch[i].nulls[f];
			}
			types[6 + f] = get_array_type(field_types[f]);
			args[6 + f] = array_of(values, nulls, alive, field_types[f]);
		}
		crm_execute(open_many, 6 + F_COUNT, types, args, argnulls, false, 0);
	}
}

/*
 * The next batch of notes to write, from note i on: of one tenant and subject
 * table, no subject twice.  Notes are copied, because triggers on
 * crm.stage_periods may add to the list while it is written.
 */
static int
next_batch(Note *batch, int *i)
{
	HTAB	   *seen = NULL;
	int			n = 0;

	for (; *i < notes.n && n < BATCH; (*i)++)
	{
		Note	   *note = crm_note_at(&notes, *i);
		bool		found = false;

		if (note->note.written_in != InvalidSubTransactionId)
			continue;
		if (n > 0)
		{
			if (note->tenant != batch[0].tenant ||
				strcmp(note->subject, batch[0].subject) != 0)
				break;
			if (seen == NULL)
			{
				HASHCTL		ctl = {0};

				ctl.keysize = sizeof(int64);
				ctl.entrysize = sizeof(int64);
				ctl.hcxt = CurrentMemoryContext;
				seen = hash_create("crm subjects of a batch", 256, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
				hash_search(seen, &batch[0].id, HASH_ENTER, NULL);
			}
			hash_search(seen, &note->id, HASH_ENTER, &found);
			if (found)
				break;
		}
		batch[n++] = *note;
	}
	return n;
}

/* Write all notes that are not written yet, in their order. */
static void
write_notes(void)
{
	MemoryContext scratch;
	CrmOwnerSwitch saved;
	int			nestlevel;

	if (notes.unwritten == 0 || writing)
		return;

	crm_connect_as(crm_process_periods_owner(), &saved);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "crm stage periods written",
									ALLOCSET_DEFAULT_SIZES);

	/* a plan made while the history was small must not scan it when it is large */
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	writing = true;
	PG_TRY();
	{
		int			i = 0;

		while (i < notes.n)
		{
			MemoryContext old = MemoryContextSwitchTo(scratch);
			Note	   *batch = palloc(sizeof(Note) * Min(notes.n - i, BATCH));
			int			from = i;
			int			n = next_batch(batch, &i);

			CHECK_FOR_INTERRUPTS();
			if (n > 0)
				write_batch(batch, n);
			crm_notes_written(&notes, from, i);
			MemoryContextSwitchTo(old);
			MemoryContextReset(scratch);
		}
	}
	PG_FINALLY();
	{
		writing = false;
	}
	PG_END_TRY();
	AtEOXact_GUC(true, nestlevel);
	crm_disconnect_self(&saved);
	crm_notes_forget(&notes);
}

/* ---- triggers ---- */

static void
note_row(TriggerData *trigdata)
{
	Relation	rel = trigdata->tg_relation;
	TupleDesc	desc = RelationGetDescr(rel);
	const ProcessColumns *c = crm_process_columns(rel);
	const char *subject = trigdata->tg_trigger->tgargs[0];
	HeapTuple	before = TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? NULL : trigdata->tg_trigtuple;
	HeapTuple	after = TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) ? trigdata->tg_newtuple :
		TRIGGER_FIRED_BY_INSERT(trigdata->tg_event) ? trigdata->tg_trigtuple : NULL;
	HeapTuple	row = after ? after : before;
	Note	   *note = add_note(subject);
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	bool		isnull;
	bool		moved;
	const char *reason;
	Datum		value;

	note->tenant = c->tenant_id ? crm_process_int(row, desc, c->tenant_id, &isnull) :
		crm_current_tenant(&isnull);
	note->id = crm_process_int(row, desc, c->id, &isnull);
	note->at = now;
	note->is_new = before == NULL;
	note->is_gone = after == NULL;
	if (after == NULL)
	{
		crm_note_keep(&notes);
		return;
	}

	set_field(note, F_PIPELINE, row, desc, c->pipeline_id);
	set_field(note, F_STAGE, row, desc, c->stage_id);
	set_field(note, F_AMOUNT, row, desc, c->amount);
	set_field(note, F_CURRENCY, row, desc, c->currency);
	set_field(note, F_PROBABILITY, row, desc, c->probability);
	/* closed rows have a date, open ones an expectation */
	set_field(note, F_CLOSE_DATE, row, desc, c->close_date);
	if (note->nulls[F_CLOSE_DATE])
		set_field(note, F_CLOSE_DATE, row, desc, c->expected_close_date);
	set_field(note, F_OWNER, row, desc, c->owner_id);
	set_field(note, F_TEAM, row, desc, c->team_id);

	moved = before == NULL ||
		crm_process_int(before, desc, c->stage_id, &isnull) != DatumGetInt64(note->fields[F_STAGE]);
	note->fields[F_MOVED] = BoolGetDatum(moved);
	reason = crm_history_reason[0] ? crm_history_reason : crm_bypass_reason;
	note->fields[F_BYPASSED] = BoolGetDatum(reason[0] != '\0');
	note->nulls[F_REASON] = reason[0] == '\0';
	if (reason[0])
	{
		MemoryContext old = MemoryContextSwitchTo(notes.context);

		note->fields[F_REASON] = CStringGetTextDatum(reason);
		MemoryContextSwitchTo(old);
	}
	if (moved && c->stage_entered_at)
	{
		value = heap_getattr(row, c->stage_entered_at, desc, &isnull);
		if (!isnull && !TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(value)))
			note->at = DatumGetTimestampTz(value);
	}
	crm_note_keep(&notes);

	if (moved && reason[0] == '\0')
	{
		ProcessConfig *config = crm_process_config(note->tenant);
		Stage	   *to = crm_process_stage(config, DatumGetInt64(note->fields[F_STAGE]));
		int64		from = before ? crm_process_int(before, desc, c->stage_id, &isnull) : 0;
		Edge	   *edge = to ? crm_process_edge(to->pipeline, from, to->id) : NULL;
		int64		id = note->id;	/* what runs next may move the list */

		if (edge != NULL && edge->approval != NULL &&
			!crm_process_use_approval(subject, note->tenant, id, to->id))
			ereport(ERROR,
					(errcode(ERRCODE_CRM_APPROVAL_MISSING),
					 errmsg("%s " INT64_FORMAT " needs an approval to move to stage \"%s\"",
							subject, id, to->code),
					 errhint("Ask for one: crm.request_approval().")));
	}
}

PG_FUNCTION_INFO_V1(crm_record_stage);

/*
 * crm.record_stage(subject) -- AFTER trigger, FOR EACH ROW and FOR EACH
 * STATEMENT, put on a table by crm.attach_process().
 */
Datum
crm_record_stage(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("crm.record_stage must be a trigger after a change, with one argument"),
				 errhint("crm.attach_process() makes it.")));

	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
	{
		note_row(trigdata);
		if (notes.unwritten >= BATCH)
			write_notes();
	}
	else if (TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
	{
		Oid			types[1] = {TEXTOID};
		Datum		values[1];
		CrmOwnerSwitch saved;

		write_notes();
		values[0] = CStringGetTextDatum(trigdata->tg_trigger->tgargs[0]);
		crm_connect_as(crm_process_periods_owner(), &saved);
		crm_execute("SELECT crm_internal.end_process($1, NULL)", 1, types, values, NULL, false, 0);
		crm_disconnect_self(&saved);
	}
	else
		write_notes();
	return PointerGetDatum(NULL);
}

void
crm_process_init(void)
{
	crm_notes_init(&notes);
}
