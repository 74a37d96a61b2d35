/*
 * audit.c
 *	  The log of changes: what happened to rows, who did it, when, from where
 *	  and why.
 *
 * The row triggers of crm.announce() note what happened, the statement triggers
 * write what was noted, as with events, whose trigger and comparison of rows it
 * shares (process/events.c).  What is written goes straight into the partition
 * of its month: triggers of the log refuse everybody else, the owner too.
 *
 * An entry gets its number when it is noted, while its writer holds the lock of
 * the row: so the entries of a record are in the order of what happened to it.
 * The number is drawn when the transaction has its own, which sealing rests on
 * (sql/access/code/42_audit_seals.sql).  Nobody waits for anybody: there is no
 * row that two writers change.
 */
#include "base/crm.h"

#include <sodium.h>

#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "partitioning/partbounds.h"
#include "partitioning/partdesc.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#include "base/notes.h"
#include "base/straight.h"
#include "access/audit.h"
#include "access/identity.h"

#define BATCH 2000				/* entries that are written together */

enum
{
	A_TENANT, A_ID, A_AT, A_XACT, A_TABLE, A_RECORD, A_ACTION, A_USER, A_VIA, A_ROLE, A_CLIENT,
	A_APPLICATION, A_CAUSE, A_CHANGE, A_WITHHELD, A_SALT, A_COUNT
};

static const char *const audit_column_names[A_COUNT] = {
	"tenant_id", "id", "at", "xact", "table_name", "record_id", "action", "user_id", "via",
	"db_role", "client", "application", "cause", "change", "withheld", "salt"
};
static const Oid audit_column_types[A_COUNT] = {
	INT8OID, INT8OID, TIMESTAMPTZOID, XID8OID, TEXTOID, INT8OID, TEXTOID, INT8OID, TEXTOID,
	TEXTOID, INETOID, TEXTOID, TEXTOID, JSONBOID, BOOLOID, INT8OID
};

typedef struct AuditNote
{
	CrmNote		note;
	int64		id;
	int64		tenant;
	int64		record;
	int64		salt;
	bool		no_record;
	bool		withheld;
	const char *action;			/* a constant */
	Datum		subject;		/* text and jsonb, in the notes' memory */
	Datum		change;
} AuditNote;

static void write_audit(void);

static CrmNotes audit_notes = {
	.what = "audit",
	.size = sizeof(AuditNote),
	.write = write_audit,
};
static bool writing_audit = false;

/* ---- the table ---- */

typedef struct AuditTable
{
	AttrNumber	columns[A_COUNT];
	CrmStraight straight;
} AuditTable;

/* Of a partition, by its oid; the owner's own columns of the log stay empty. */
static void *
build_audit_table(const void *key, MemoryContext context)
{
	Relation	rel = table_open(*(const Oid *) key, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	MemoryContext old = MemoryContextSwitchTo(context);
	AuditTable *table = palloc0(sizeof(AuditTable));

	crm_kept_depends(RelationGetRelid(rel));
	for (int i = 0; i < A_COUNT; i++)
		table->columns[i] = crm_typed_column(desc, audit_column_names[i], audit_column_types[i]);
	crm_straight_prepare(&table->straight, rel);
	MemoryContextSwitchTo(old);
	table_close(rel, AccessShareLock);
	return table;
}

static CrmKept audit_table = {
	.what = "columns and indexes of the audit",
	.tables = {"audit_log"},
	.build = build_audit_table,
};

/* The partition for an instant: that of the month, or else the one for all others. */
static Oid
partition_of(Relation log, TimestampTz at)
{
	PartitionKey key = RelationGetPartitionKey(log);
	PartitionDesc parts = key ? RelationGetPartitionDesc(log, true) : NULL;
	Datum		value = TimestampTzGetDatum(at);
	bool		equal;
	int			part = -1;

	if (parts != NULL && parts->nparts > 0)
	{
		int			bound = partition_range_datum_bsearch(key->partsupfunc, key->partcollation,
														  parts->boundinfo, 1, &value, &equal);

		part = parts->boundinfo->indexes[bound + 1];
		if (part < 0)
			part = parts->boundinfo->default_index;
	}
	if (part < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_NOT_INSTALLED),
				 errmsg("the audit has no partition for this month, and none for all others"),
				 errhint("Run SELECT crm.install().")));
	return parts->oids[part];
}

/* ---- writing ---- */

/* What is the same for all entries of a batch, and the batch */
typedef struct AuditFrame
{
	const AuditTable *table;
	const AuditNote *notes;
	Datum		values[A_COUNT];
	bool		nulls[A_COUNT];
} AuditFrame;

/* Address of the client, found once a session; NULL: a socket of the machine, or no client. */
static inet *
client_of_session(void)
{
	static bool known = false;
	static inet *client = NULL;
	LOCAL_FCINFO(call, 0);
	Datum		found;

	if (known)
		return client;
	InitFunctionCallInfoData(*call, NULL, 0, InvalidOid, NULL, NULL);
	found = MyProcPort ? inet_client_addr(call) : (Datum) 0;
	if (MyProcPort && !call->isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		client = (inet *) DatumGetPointer(datumCopy(found, false, -1));
		MemoryContextSwitchTo(old);
	}
	known = true;
	return client;
}

static void
set_text(AuditFrame *f, int column, const char *value)
{
	f->nulls[column] = value == NULL || value[0] == '\0';
	f->values[column] = f->nulls[column] ? (Datum) 0 : CStringGetTextDatum(value);
}

/* Who, when, from where and why. */
static void
make_audit_frame(AuditFrame *f)
{
	inet	   *client = client_of_session();

	memset(f, 0, sizeof(*f));
	f->values[A_AT] = TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	f->values[A_XACT] = FullTransactionIdGetDatum(GetTopFullTransactionId());
	f->values[A_USER] = Int64GetDatum(crm_current_user(&f->nulls[A_USER]));
	set_text(f, A_VIA, crm_acting.role != crm_current_role() ? "role" :
			 crm_acting.scope != 0 ? "token" : "act_as");
	set_text(f, A_ROLE, GetUserNameFromId(GetSessionUserId(), false));
	f->nulls[A_CLIENT] = client == NULL;
	f->values[A_CLIENT] = PointerGetDatum(client);
	set_text(f, A_APPLICATION, application_name);
	set_text(f, A_CAUSE, crm_cause_setting[0] ? crm_cause_setting : crm_history_reason);
}

static void
fill_audit(TupleTableSlot *slot, int row, const void *arg)
{
	const AuditFrame *f = arg;
	const AuditNote *note = &f->notes[row];
	Datum		values[A_COUNT];
	bool		nulls[A_COUNT];

	memcpy(values, f->values, sizeof(values));
	memcpy(nulls, f->nulls, sizeof(nulls));
	values[A_TENANT] = Int64GetDatum(note->tenant);
	values[A_ID] = Int64GetDatum(note->id);
	values[A_TABLE] = note->subject;
	values[A_RECORD] = Int64GetDatum(note->record);
	nulls[A_RECORD] = note->no_record;
	values[A_ACTION] = CStringGetTextDatum(note->action);
	values[A_CHANGE] = note->change;
	values[A_WITHHELD] = BoolGetDatum(true);
	nulls[A_WITHHELD] = !note->withheld;
	values[A_SALT] = Int64GetDatum(note->salt);
	for (int i = 0; i < A_COUNT; i++)
	{
		slot->tts_values[f->table->columns[i] - 1] = values[i];
		slot->tts_isnull[f->table->columns[i] - 1] = nulls[i];
	}
}

static void
write_entries(const AuditNote *notes, int n)
{
	Relation	log = table_open(crm_table_oid("audit_log", false), RowExclusiveLock);
	Oid			part = partition_of(log, GetCurrentTransactionStartTimestamp());
	Relation	rel = table_open(part, RowExclusiveLock);
	AuditTable *table = crm_kept(&audit_table, &part, sizeof(part));
	AuditFrame	frame;

	make_audit_frame(&frame);
	frame.table = table;
	frame.notes = notes;
	crm_straight_write(rel, &table->straight, n, fill_audit, &frame);
	table_close(rel, NoLock);
	table_close(log, NoLock);
}

/* Write all notes that are not written yet, in their order. */
static void
write_audit(void)
{
	MemoryContext scratch;

	if (audit_notes.unwritten == 0 || writing_audit)
		return;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "crm audit written",
									ALLOCSET_DEFAULT_SIZES);
	writing_audit = true;
	PG_TRY();
	{
		for (int from = 0; from < audit_notes.n;)
		{
			MemoryContext old = MemoryContextSwitchTo(scratch);
			AuditNote  *batch = palloc(sizeof(AuditNote) * Min(audit_notes.n - from, BATCH));
			int			to = from;
			int			n = 0;

			CHECK_FOR_INTERRUPTS();
			for (; to < audit_notes.n && n < BATCH; to++)
			{
				AuditNote  *note = crm_note_at(&audit_notes, to);

				if (note->note.written_in == InvalidSubTransactionId)
					batch[n++] = *note;
			}
			if (n > 0)
				write_entries(batch, n);
			crm_notes_written(&audit_notes, from, to);
			from = to;
			MemoryContextSwitchTo(old);
			MemoryContextReset(scratch);
		}
	}
	PG_FINALLY();
	{
		writing_audit = false;
	}
	PG_END_TRY();
	MemoryContextDelete(scratch);
	crm_notes_forget(&audit_notes);
}

/* ---- rows ---- */

/* What makes a change that is taken out of the log later unguessable from its hash. */
static int64
make_salt(void)
{
	static int64 pool[64];
	static int	left = 0;

	if (left == 0)
	{
		if (sodium_init() < 0)
			ereport(ERROR,
					(errcode(ERRCODE_SYSTEM_ERROR),
					 errmsg("libsodium could not be initialised")));
		randombytes_buf(pool, sizeof(pool));
		left = lengthof(pool);
	}
	return pool[--left];
}

static Bitmapset *
audit_changed_columns(const CrmAuditPlan *plan, TupleDesc desc, HeapTuple before, HeapTuple after)
{
	Bitmapset  *changed = NULL;

	for (int i = 0; i < plan->ncolumns; i++)
		if (crm_column_changed(desc, before, after, plan->columns[i].number))
			changed = bms_add_member(changed, plan->columns[i].number);
	return changed;
}

/* Secret columns that changed, or that a row which came or went has something in. */
static const char **
hidden_columns(const CrmAuditPlan *plan, TupleDesc desc, HeapTuple row, const Bitmapset *changed,
			   int *n)
{
	const char **hidden = NULL;

	*n = 0;
	for (int i = 0; i < plan->ncolumns; i++)
	{
		const CrmAuditColumn *c = &plan->columns[i];

		if (!c->secret || (changed ? !bms_is_member(c->number, changed) :
						   heap_attisnull(row, c->number, desc)))
			continue;
		if (hidden == NULL)
			hidden = palloc(sizeof(char *) * plan->ncolumns);
		hidden[(*n)++] = c->name;
	}
	return hidden;
}

static Datum
audit_change_of(CrmAuditPlan *plan, TupleDesc desc, HeapTuple before, HeapTuple after,
				Bitmapset *changed)
{
	CrmRowShape *shape = plan->whole;
	int			nhidden;
	const char **hidden = hidden_columns(plan, desc, after ? after : before, changed, &nhidden);

	if (changed)
	{
		Bitmapset  *told = plan->id ? bms_copy(changed) : bms_union(changed, plan->key);

		for (int i = 0; i < plan->ncolumns; i++)
			if (plan->columns[i].secret)
				told = bms_del_member(told, plan->columns[i].number);
		/* an empty set, not NULL, which means all */
		shape = crm_changed_shape(&plan->changes, plan->context, desc,
								  told ? told : bms_make_singleton(0));
	}
	return crm_change_jsonb(shape, after, before, desc, hidden, nhidden, true);
}

/*
 * Note what happened to a row, where its tenant has it audited; of a changed row
 * *changed tells afterwards which columns, for whoever else wants to know.
 */
void
crm_audit_row(CrmAuditPlan *plan, TupleDesc desc, HeapTuple before, HeapTuple after,
			  Bitmapset **changed)
{
	HeapTuple	row = after ? after : before;
	AuditNote  *note;
	Datum		change;
	MemoryContext old;
	bool		isnull;
	int64		tenant = DatumGetInt64(heap_getattr(row, plan->tenant, desc, &isnull));

	if (isnull || !crm_audit_active(plan, tenant))
		return;
	if (before && after)
	{
		*changed = audit_changed_columns(plan, desc, before, after);
		if (*changed == NULL)
			return;
	}
	change = audit_change_of(plan, desc, before, after, *changed);
	(void) GetTopFullTransactionId();	/* before the number is drawn */
	note = crm_note_make(&audit_notes);
	note->tenant = tenant;
	note->withheld = plan->withheld;
	note->action = before == NULL ? "insert" : after == NULL ? "delete" : "update";
	note->no_record = true;
	if (plan->id)
		note->record = DatumGetInt64(heap_getattr(row, plan->id, desc, &note->no_record));
	note->salt = make_salt();
	old = MemoryContextSwitchTo(audit_notes.context);
	note->subject = CStringGetTextDatum(plan->subject);
	note->change = datumCopy(change, false, -1);
	MemoryContextSwitchTo(old);
	note->id = nextval_internal(plan->sequence, false);
	crm_note_keep(&audit_notes);
}

/* Write what was noted: at the end of a statement, or when it is many. */
void
crm_audit_statement(bool ends)
{
	if (ends || audit_notes.unwritten >= BATCH)
		write_audit();
}

PG_FUNCTION_INFO_V1(crm_audit_truncate);

/*
 * crm.audit_truncate(subject) -- BEFORE TRUNCATE trigger of audited tables: every
 * row that goes is written down.
 */
Datum
crm_audit_truncate(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Relation	rel;
	CrmAuditPlan *plan;
	TableScanDesc scan;
	TupleTableSlot *slot;
	MemoryContext scratch;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigdata->tg_event) ||
		!TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event) || trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("crm.audit_truncate must be a trigger before TRUNCATE, with one argument"),
				 errhint("crm.start_audit() makes it.")));
	rel = trigdata->tg_relation;
	plan = rel->rd_rel->relkind == RELKIND_RELATION ?
		crm_audit_plan(RelationGetRelid(rel), trigdata->tg_trigger->tgargs[0]) : NULL;
	if (plan == NULL)
		return PointerGetDatum(NULL);
	scratch = AllocSetContextCreate(CurrentMemoryContext, "crm audit of a truncated table",
									ALLOCSET_DEFAULT_SIZES);
	slot = table_slot_create(rel, NULL);
	scan = table_beginscan(rel, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(scratch);
		Bitmapset  *changed = NULL;
		bool		copied;

		CHECK_FOR_INTERRUPTS();
		crm_audit_row(plan, RelationGetDescr(rel), ExecFetchSlotHeapTuple(slot, false, &copied),
					  NULL, &changed);
		MemoryContextSwitchTo(old);
		MemoryContextReset(scratch);
		crm_audit_statement(false);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(scratch);
	crm_audit_statement(true);
	return PointerGetDatum(NULL);
}

void
crm_audit_init(void)
{
	crm_notes_init(&audit_notes);
}
