/*
 * events.c
 *	  crm.announce(): what happens to records is written down as events, and in
 *	  the log of changes.
 *
 * One trigger of each table and one comparison of a row serve both; what is
 * particular to the log is in access/audit.c.
 *
 * The row trigger only notes what happened; the statement trigger writes what
 * was noted, many rows by one statement.  It fires before all other triggers
 * after a row, so that what these do to the row in turn is told after it.  An
 * event gets its number when it is noted, while its writer holds the lock of the
 * row: the numbers of a record's events are in the order of what happened to it,
 * whoever commits first.
 *
 * Statements nest, and inside a savepoint a nested statement may write what an
 * outer one noted.  As in periods.c each note says in which subtransaction it was
 * made and in which it was written, and is written again when the latter is
 * rolled back.
 */
#include "base/crm.h"
#include "access/audit.h"
#include "process/events.h"

#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define BATCH 2000				/* notes that are written together */

/* ---- notes ---- */

static void write_events(void);

static CrmNotes events = {
	.what = "events",
	.size = sizeof(EventNote),
	.write = write_events,
};
static bool writing_events = false;

static void
note_event(EventPlan *plan, const char *kind, int64 tenant, int64 id, Datum subject, Datum payload)
{
	EventNote  *note;
	MemoryContext old;

	crm_know_event_server();
	note = crm_note_make(&events);
	note->tenant = tenant;
	note->subject_id = id;
	old = MemoryContextSwitchTo(events.context);
	note->kind = CStringGetTextDatum(kind);
	note->subject = datumCopy(subject, false, -1);
	note->payload = datumCopy(payload, false, -1);
	MemoryContextSwitchTo(old);
	note->id = nextval_internal(plan->sequence, false);
	crm_note_keep(&events);
}

/* ---- writing ---- */

/* Write all notes that are not written yet, in their order. */
static void
write_events(void)
{
	MemoryContext scratch;

	if (events.unwritten == 0 || writing_events)
		return;
	scratch = AllocSetContextCreate(CurrentMemoryContext, "crm events written",
									ALLOCSET_DEFAULT_SIZES);
	writing_events = true;
	PG_TRY();
	{
		for (int from = 0; from < events.n;)
		{
			MemoryContext old = MemoryContextSwitchTo(scratch);
			EventNote  *batch = palloc(sizeof(EventNote) * Min(events.n - from, BATCH));
			int			to = from;
			int			n = 0;

			CHECK_FOR_INTERRUPTS();
			for (; to < events.n && n < BATCH; to++)
			{
				EventNote  *note = crm_note_at(&events, to);

				if (note->note.written_in == InvalidSubTransactionId)
					batch[n++] = *note;
			}
			if (n > 0)
				crm_write_events(batch, n);
			crm_notes_written(&events, from, to);
			from = to;
			MemoryContextSwitchTo(old);
			MemoryContextReset(scratch);
		}
	}
	PG_FINALLY();
	{
		writing_events = false;
	}
	PG_END_TRY();
	MemoryContextDelete(scratch);
	crm_notes_forget(&events);
}

/* ---- rows ---- */

/* A row before and after; one of them may be NULL */
typedef struct Happening
{
	EventPlan  *plan;
	TupleDesc	desc;
	HeapTuple	before;
	HeapTuple	after;
	Bitmapset  *changed;		/* columns, as the audit found; NULL: it did not look */
	int64		tenant;
	int64		id;
	Datum		subject;
	Datum		payload;		/* 0: not made yet */
	const char **hidden;
	int			nhidden;
	CrmRowShape *shape;
} Happening;

/* The audit has compared all columns, where it is on. */
static bool
same_column(Happening *h, AttrNumber number)
{
	return h->changed ? !bms_is_member(number, h->changed) :
		!crm_column_changed(h->desc, h->before, h->after, number);
}

/* The payload is the same for all events of a change, and made for the first. */
static void
tell(Happening *h, const char *kind)
{
	if (h->payload == (Datum) 0)
		h->payload = crm_change_jsonb(h->shape, h->after, h->before, h->desc, h->hidden,
									  h->nhidden, false);
	note_event(h->plan, kind, h->tenant, h->id, h->subject, h->payload);
}

static Stage *
stage_of(Happening *h, HeapTuple row, AttrNumber column)
{
	bool		isnull;
	Datum		stage;

	if (row == NULL)
		return NULL;
	stage = heap_getattr(row, column, h->desc, &isnull);
	return isnull ? NULL : crm_process_stage(crm_process_config(h->tenant), DatumGetInt64(stage));
}

static bool
is_text(Happening *h, HeapTuple row, AttrNumber column, const char *to)
{
	bool		isnull;
	Datum		value = row ? heap_getattr(row, column, h->desc, &isnull) : (Datum) 0;
	bool		varlena;
	Oid			output;

	if (row == NULL || isnull)
		return false;
	getTypeOutputInfo(TupleDescAttr(h->desc, column - 1)->atttypid, &output, &varlena);
	return strcmp(OidOutputFunctionCall(output, value), to) == 0;
}

static bool
is_set(Happening *h, HeapTuple row, AttrNumber column)
{
	return row != NULL && !heap_attisnull(row, column, h->desc);
}

static bool
event_rule_holds(Happening *h, const EventRule *rule)
{
	Stage	   *now;
	Stage	   *before;

	switch (rule->when)
	{
		case RULE_ALWAYS:
			return h->before == NULL;
		case RULE_CHANGED:
			return h->before != NULL && !same_column(h, rule->column);
		case RULE_TO:
			return is_text(h, h->after, rule->column, rule->to) &&
				!is_text(h, h->before, rule->column, rule->to);
		case RULE_SET:
			return is_set(h, h->after, rule->column) && !is_set(h, h->before, rule->column);
		case RULE_STAGE:
		case RULE_REOPENED:
			now = stage_of(h, h->after, rule->column);
			before = stage_of(h, h->before, rule->column);
			if (now == NULL || now == before)
				return false;
			if (rule->when == RULE_REOPENED)
				return before != NULL && stage_is_closed(before) && !stage_is_closed(now);
			return strcmp(now->type_name, rule->to) == 0 &&
				(before == NULL || strcmp(before->type_name, rule->to) != 0);
	}
	return false;
}

/* Tell of a row that was changed; where no announced column did, of nothing. */
static void
tell_changes(Happening *h)
{
	EventPlan  *plan = h->plan;
	Bitmapset  *told = NULL;
	bool		any = false;
	bool		others = false; /* columns changed of which no rule tells */

	h->hidden = palloc(sizeof(char *) * Max(plan->ncolumns, 1));
	for (int i = 0; i < plan->ncolumns; i++)
	{
		EventColumn *c = &plan->columns[i];

		if (same_column(h, c->number))
			continue;
		any = true;
		others |= !c->has_rule;
		if (c->personal)
			h->hidden[h->nhidden++] = c->name;
		else
			told = bms_add_member(told, c->number);
	}
	if (!any)
		return;
	/* an empty set, not NULL, which means all */
	h->shape = crm_changed_shape(&plan->changes, plan->context, h->desc,
								 told ? told : bms_make_singleton(0));
	for (int i = 0; i < plan->nrules; i++)
		if (event_rule_holds(h, &plan->rules[i]))
			tell(h, plan->rules[i].kind);
	if (others && plan->changed)
		tell(h, plan->changed);
}

static void
announce_row(TriggerData *trigdata)
{
	Relation	rel = trigdata->tg_relation;
	const char *subject = trigdata->tg_trigger->tgargs[0];
	Happening	h = {0};
	CrmAuditPlan *audit = crm_audit_plan(RelationGetRelid(rel), subject);
	HeapTuple	row;
	bool		isnull;

	h.plan = crm_event_plan(RelationGetRelid(rel), subject);
	h.desc = RelationGetDescr(rel);
	if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		h.after = trigdata->tg_trigtuple;
	else
	{
		h.before = trigdata->tg_trigtuple;
		if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
			h.after = trigdata->tg_newtuple;
	}
	if (audit)
		crm_audit_row(audit, h.desc, h.before, h.after, &h.changed);
	if (h.plan == NULL)
		return;
	row = h.after ? h.after : h.before;
	h.tenant = DatumGetInt64(heap_getattr(row, h.plan->tenant, h.desc, &isnull));
	h.id = DatumGetInt64(heap_getattr(row, h.plan->id, h.desc, &isnull));
	/* about no record, or about one that nobody could look up */
	if (isnull)
		return;
	h.subject = h.plan->subject_in ? heap_getattr(row, h.plan->subject_in, h.desc, &isnull) :
		CStringGetTextDatum(h.plan->subject);
	if (isnull)
		return;
	h.shape = h.plan->shape;
	if (h.before && h.after)
		tell_changes(&h);
	else if (h.after == NULL)
	{
		if (h.plan->deleted)
			tell(&h, h.plan->deleted);
	}
	else
	{
		if (h.plan->created)
			tell(&h, h.plan->created);
		for (int i = 0; i < h.plan->nrules; i++)
			if (event_rule_holds(&h, &h.plan->rules[i]))
				tell(&h, h.plan->rules[i].kind);
	}
}

PG_FUNCTION_INFO_V1(crm_announce);

/*
 * crm.announce(subject) -- AFTER trigger, FOR EACH ROW and FOR EACH STATEMENT,
 * of tables of which events are announced, or that are audited.
 */
Datum
crm_announce(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		trigdata->tg_trigger->tgnargs != 1 || TRIGGER_FIRED_BY_TRUNCATE(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("crm.announce must be a trigger after a change of rows, with one argument"),
				 errhint("crm.attach(table, '{\"events\": ...}') makes it.")));
	if (TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
	{
		announce_row(trigdata);
		if (events.unwritten >= BATCH)
			write_events();
		crm_audit_statement(false);
	}
	else
	{
		write_events();
		crm_audit_statement(true);
	}
	return PointerGetDatum(NULL);
}

void
crm_events_init(void)
{
	crm_notes_init(&events);
}
