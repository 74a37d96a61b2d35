/*
 * events_write.c
 *	  Events put into crm.events, straight into the heap and its indexes.
 *
 * See straight.c for why.  That is right for the table as it comes; where the
 * owner has given it a trigger, a condition, a column with a default or
 * partitions, events are written by SQL, and so does whatever he wants happen.
 */
#include "base/crm.h"
#include "base/straight.h"
#include "process/events.h"
#include "access/identity.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/xid8.h"

enum
{
	E_TENANT, E_XACT, E_ID, E_KIND, E_SUBJECT_TABLE, E_SUBJECT_ID, E_PAYLOAD, E_ACTOR, E_CAUSE,
	E_CREATED, E_ATTEMPTS, E_COUNT
};

static const char *const event_columns[E_COUNT] = {
	"tenant_id", "xact", "id", "kind", "subject_table", "subject_id", "payload", "actor_id",
	"cause", "created_at", "attempts"
};
static const Oid event_types[E_COUNT] = {
	INT8OID, XID8OID, INT8OID, TEXTOID, TEXTOID, INT8OID, JSONBOID, INT8OID, TEXTOID,
	TIMESTAMPTZOID, INT4OID
};

typedef struct EventTable
{
	bool		plain;			/* as it comes: nothing but the heap and its indexes */
	AttrNumber	columns[E_COUNT];
	CrmStraight straight;
} EventTable;

/* ---- the table ---- */

/* Is a column filled by others than us? */
static bool
is_filled_by_default(Form_pg_attribute att)
{
	static const char *const left_empty[] = {"scheduled_at", "dedupe_key", "claimed_by",
	"claimed_until", "delivered_at", "failed_at", "last_error"};

	if (att->attisdropped)
		return false;
	for (int i = 0; i < E_COUNT; i++)
		if (strcmp(NameStr(att->attname), event_columns[i]) == 0)
			return false;
	for (int i = 0; i < lengthof(left_empty); i++)
		if (strcmp(NameStr(att->attname), left_empty[i]) == 0)
			return false;
	return att->atthasdef || att->attnotnull || att->attgenerated != '\0';
}

static bool
is_plain(Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TriggerDesc *triggers = rel->trigdesc;

	if (rel->rd_rel->relkind != RELKIND_RELATION || rel->rd_rel->relispartition ||
		(desc->constr != NULL && desc->constr->num_check > 0) ||
		(triggers != NULL && (triggers->trig_insert_before_row || triggers->trig_insert_after_row ||
							  triggers->trig_insert_before_statement ||
							  triggers->trig_insert_after_statement)))
		return false;
	for (int i = 0; i < desc->natts; i++)
		if (is_filled_by_default(TupleDescAttr(desc, i)))
			return false;
	return true;
}

static void *
build_table(const void *key, MemoryContext context)
{
	Relation	rel = table_open(crm_table_oid("events", false), AccessShareLock);
	MemoryContext old = MemoryContextSwitchTo(context);
	EventTable *table = palloc0(sizeof(EventTable));

	table->plain = is_plain(rel);
	for (int i = 0; i < E_COUNT; i++)
		table->columns[i] = crm_typed_column(RelationGetDescr(rel), event_columns[i],
											 event_types[i]);
	crm_straight_prepare(&table->straight, rel);
	MemoryContextSwitchTo(old);
	table_close(rel, AccessShareLock);
	return table;
}

static CrmKept event_table = {
	.what = "columns and indexes of events",
	.tables = {"events"},
	.build = build_table,
};

/* ---- writing ---- */

/* What is the same for all events of a batch, and the batch */
typedef struct EventFrame
{
	const EventTable *table;
	const EventNote *notes;
	Datum		xact;
	Datum		actor;
	Datum		cause;
	bool		no_actor;
	bool		no_cause;
} EventFrame;

static void
make_frame(EventFrame *f)
{
	const char *cause = crm_cause_setting[0] ? crm_cause_setting : crm_history_reason;

	f->xact = FullTransactionIdGetDatum(crm_event_transaction_id());
	f->actor = Int64GetDatum(crm_current_user(&f->no_actor));
	f->no_cause = cause[0] == '\0';
	f->cause = f->no_cause ? (Datum) 0 : CStringGetTextDatum(cause);
}

static void
fill_event(TupleTableSlot *slot, int row, const void *arg)
{
	const EventFrame *f = arg;
	const EventTable *table = f->table;
	const EventNote *note = &f->notes[row];
	Datum		values[E_COUNT] = {
		[E_TENANT] = Int64GetDatum(note->tenant),
		[E_XACT] = f->xact,
		[E_ID] = Int64GetDatum(note->id),
		[E_KIND] = note->kind,
		[E_SUBJECT_TABLE] = note->subject,
		[E_SUBJECT_ID] = Int64GetDatum(note->subject_id),
		[E_PAYLOAD] = note->payload,
		[E_ACTOR] = f->actor,
		[E_CAUSE] = f->cause,
		[E_CREATED] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
		[E_ATTEMPTS] = Int32GetDatum(0)
	};

	for (int i = 0; i < E_COUNT; i++)
	{
		slot->tts_values[table->columns[i] - 1] = values[i];
		slot->tts_isnull[table->columns[i] - 1] = (i == E_ACTOR && f->no_actor) ||
			(i == E_CAUSE && f->no_cause);
	}
}

static Datum
event_array(const Datum *values, int n, Oid type, bool by_value)
{
	return PointerGetDatum(construct_array(unconstify(Datum *, values), n, type,
										   by_value ? 8 : -1, by_value,
										   by_value ? TYPALIGN_DOUBLE : TYPALIGN_INT));
}

static void
write_by_sql(Oid owner, const EventFrame *f, const EventNote *notes, int n)
{
	Oid			types[9] = {INT8ARRAYOID, XID8OID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	INT8ARRAYOID, InvalidOid, INT8OID, TEXTOID};
	char		nulls[9];
	Datum		args[9] = {0, f->xact, 0, 0, 0, 0, 0, f->actor, f->cause};
	Datum	   *values = palloc(sizeof(Datum) * n * 6);
	CrmOwnerSwitch saved;

	memset(nulls, ' ', sizeof(nulls));
	nulls[7] = f->no_actor ? 'n' : ' ';
	nulls[8] = f->no_cause ? 'n' : ' ';
	for (int i = 0; i < n; i++)
	{
		values[i] = Int64GetDatum(notes[i].tenant);
		values[n + i] = Int64GetDatum(notes[i].id);
		values[2 * n + i] = notes[i].kind;
		values[3 * n + i] = notes[i].subject;
		values[4 * n + i] = Int64GetDatum(notes[i].subject_id);
		values[5 * n + i] = notes[i].payload;
	}
	types[6] = get_array_type(JSONBOID);
	args[0] = event_array(values, n, INT8OID, true);
	args[2] = event_array(values + n, n, INT8OID, true);
	args[3] = event_array(values + 2 * n, n, TEXTOID, false);
	args[4] = event_array(values + 3 * n, n, TEXTOID, false);
	args[5] = event_array(values + 4 * n, n, INT8OID, true);
	args[6] = event_array(values + 5 * n, n, JSONBOID, false);
	crm_connect_as(owner, &saved);
	crm_execute("INSERT INTO crm.events (tenant_id, xact, id, kind, subject_table, subject_id,"
				" payload, actor_id, cause, scheduled_at)"
				" SELECT v.tenant, $2, v.id, v.kind, v.subject, v.subject_id, v.payload, $8, $9, NULL"
				" FROM ROWS FROM (unnest($1), unnest($3), unnest($4), unnest($5), unnest($6), unnest($7))"
				" AS v(tenant, id, kind, subject, subject_id, payload)", 9, types, args, nulls, false, 0);
	crm_disconnect_self(&saved);
}

/* Write events that were noted, in their order; memory is the current context's. */
void
crm_write_events(const EventNote *notes, int n)
{
	Relation	rel = table_open(crm_table_oid("events", false), RowExclusiveLock);
	EventTable *table = crm_kept(&event_table, "", 1);
	EventFrame	frame;

	make_frame(&frame);
	frame.table = table;
	frame.notes = notes;
	if (table->plain)
		crm_straight_write(rel, &table->straight, n, fill_event, &frame);
	else
		write_by_sql(rel->rd_rel->relowner, &frame, notes, n);
	table_close(rel, NoLock);
}
