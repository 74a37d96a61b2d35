/*
 * points_triggers.c
 *	  Scores kept when leads change and when they do something.
 *
 * Statement triggers: the rows of a statement are put in the order of leads,
 * in which every writer locks them, so that two statements cannot block each
 * other for good.  A single row, as most statements have, is taken as it is.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

#include "scoring/points_store.h"

PG_FUNCTION_INFO_V1(crm_score_changed_leads);
PG_FUNCTION_INFO_V1(crm_take_score_events);
PG_FUNCTION_INFO_V1(crm_points_replay_leads);

static TriggerData *
statement_trigger(FunctionCallInfo fcinfo, const char *name, const char *const *tables)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	Oid			relid;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event) || trigdata->tg_newtable == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired after each statement, with a table of new rows", name)));
	/* the queries over the new rows are kept, so the rows must always be of one kind */
	relid = RelationGetRelid(trigdata->tg_relation);
	for (; *tables != NULL; tables++)
		if (relid == crm_table_oid(*tables, true))
			return trigdata;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("function \"%s\" is not for table \"%s\"", name,
					RelationGetRelationName(trigdata->tg_relation)),
			 errhint("Drop trigger \"%s\".", trigdata->tg_trigger->tgname)));
	return NULL;				/* not reached */
}

/* Read the new rows of a statement from the first on. */
static TupleTableSlot *
begin_rows(TriggerData *trigdata)
{
	Tuplestorestate *rows = trigdata->tg_newtable;

	tuplestore_select_read_pointer(rows, tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND));
	tuplestore_rescan(rows);
	return MakeSingleTupleTableSlot(RelationGetDescr(trigdata->tg_relation), &TTSOpsMinimalTuple);
}

static int64
number(TupleTableSlot *row, AttrNumber att)
{
	bool		isnull;

	return DatumGetInt64(slot_getattr(row, att, &isnull));
}

/* ---- leads ---- */

typedef struct Touched
{
	int64		tenant;
	int64		id;
} Touched;

static int
compare_touched(const void *a, const void *b)
{
	const Touched *x = a;
	const Touched *y = b;

	if (x->tenant != y->tenant)
		return x->tenant < y->tenant ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static pg_noinline Touched *
touched_rows(TriggerData *trigdata, int *n)
{
	int64		size = tuplestore_tuple_count(trigdata->tg_newtable);
	Touched    *rows = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Touched) * Max(size, 1));
	TupleDesc	desc = RelationGetDescr(trigdata->tg_relation);
	AttrNumber	tenant = crm_typed_column(desc, "tenant_id", INT8OID);
	AttrNumber	id = crm_typed_column(desc, "id", INT8OID);
	TupleTableSlot *slot = begin_rows(trigdata);
	int			k = 0;

	while (tuplestore_gettupleslot(trigdata->tg_newtable, true, false, slot))
	{
		rows[k].tenant = number(slot, tenant);
		rows[k++].id = number(slot, id);
	}
	ExecDropSingleTupleTableSlot(slot);
	qsort(rows, k, sizeof(Touched), compare_touched);
	*n = k;
	return rows;
}

/* The leads of changed accounts or contacts, in order. */
static Touched *
leads_of(const char *sql, int *n)
{
	Touched    *leads;
	bool		isnull;

	crm_execute(sql, 0, NULL, NULL, NULL, false, 0);
	*n = SPI_processed;
	leads = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Touched) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		leads[i].tenant = DatumGetInt64(crm_spi_value(i, 1, &isnull));
		leads[i].id = DatumGetInt64(crm_spi_value(i, 2, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
	return leads;
}

/* Would the same once more do, or does somebody want us to stop? */
static bool
must_go_on(int sqlstate)
{
	return sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE || sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED ||
		sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ||
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION);
}

static void
report_trouble(const char *table, const Touched *row, const ErrorData *error)
{
	static const Oid types[] = {INT8OID, TEXTOID, INT8OID, TEXTOID, TEXTOID};
	Datum		args[5] = {Int64GetDatum(row->tenant), CStringGetTextDatum(table), Int64GetDatum(row->id),
	CStringGetTextDatum(unpack_sql_state(error->sqlerrcode)), CStringGetTextDatum(error->message)};

	ereport(WARNING,
			(errmsg("leads were written but not scored: %s", error->message),
			 errhint("crm.verify_lead_scores() lists them, crm.replay_scores() brings them back.")));
	crm_execute("INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload) "
				"VALUES ($1, 'score.trouble', $2, $3, jsonb_build_object('sqlstate', $4, 'message', $5))",
				5, types, args, NULL, false, 0);
}

/* Leads in order, tenant by tenant; scorers are in the same order. */
static pg_noinline void
fit_touched(Scorer **scorers, const Touched *leads, int n, bool held, bool entered)
{
	int64	   *ids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * Max(n, 1));
	int			size;

	for (int i = 0; i < n; i += size)
	{
		for (size = 0; i + size < n && leads[i + size].tenant == leads[i].tenant; size++)
			ids[size] = leads[i + size].id;
		while ((*scorers)->tenant != leads[i].tenant)
			scorers++;
		if ((*scorers)->n > 0)
			crm_scorer_fit_leads(*scorers, ids, size, held, entered);
	}
}

static const char *const scored_tables[] = {"leads", "accounts", "contacts", NULL};

/* crm.score_changed_leads() -- of leads, accounts and contacts, with a transition table new_rows */
Datum
crm_score_changed_leads(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = statement_trigger(fcinfo, "crm.score_changed_leads", scored_tables);
	char	   *table = RelationGetRelationName(trigdata->tg_relation);
	Touched    *rows;
	Touched    *leads;
	Scorer	  **scorers;
	CrmOwnerSwitch me;
	MemoryContext context;
	ResourceOwner owner = CurrentResourceOwner;
	bool		any = false;
	int			n;
	int			nleads;
	int			ntenants = 0;

	if (tuplestore_tuple_count(trigdata->tg_newtable) == 0)
		return PointerGetDatum(NULL);
	crm_connect_as(crm_scorer_owner(), &me);
	context = CurrentMemoryContext;
	rows = touched_rows(trigdata, &n);
	/* while there is no model, too: one may be on its way that does not know these rows */
	scorers = palloc(sizeof(Scorer *));
	for (int i = 0; i < n; i++)
		if (i == 0 || rows[i].tenant != rows[i - 1].tenant)
		{
			scorers = repalloc(scorers, sizeof(Scorer *) * (ntenants + 1));
			scorers[ntenants] = crm_scorer_open(rows[i].tenant);
			any |= scorers[ntenants++]->n > 0;
		}
	if (any)
	{
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			leads = rows;
			nleads = n;
			if (strcmp(table, "leads") != 0)
			{
				crm_see_transition_tables(trigdata);
				leads = leads_of(strcmp(table, "accounts") == 0 ?
								 "SELECT DISTINCT l.tenant_id, l.id FROM new_rows AS n "
								 "JOIN crm.leads AS l ON l.tenant_id = n.tenant_id AND l.account_id = n.id ORDER BY 1, 2" :
								 "SELECT DISTINCT l.tenant_id, l.id FROM new_rows AS n "
								 "JOIN crm.leads AS l ON l.tenant_id = n.tenant_id AND l.contact_id = n.id ORDER BY 1, 2",
								 &nleads);
			}
			fit_touched(scorers, leads, nleads, leads == rows,
						TRIGGER_FIRED_BY_INSERT(trigdata->tg_event));
			ReleaseCurrentSubTransaction();
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
		}
		PG_CATCH();
		{
			ErrorData  *error;

			/* scoring is no reason to lose a lead */
			MemoryContextSwitchTo(context);
			error = CopyErrorData();
			FlushErrorState();
			RollbackAndReleaseCurrentSubTransaction();
			MemoryContextSwitchTo(context);
			CurrentResourceOwner = owner;
			if (must_go_on(error->sqlerrcode))
				ReThrowError(error);
			report_trouble(table, &rows[0], error);
		}
		PG_END_TRY();
	}
	crm_disconnect_self(&me);
	return PointerGetDatum(NULL);
}

/* ---- events ---- */

/* Takes events in the order of tenant, lead and id. */
typedef struct EventTaker
{
	Scorer	   *scorer;
	LeadEvents *lead;
	int64		lead_id;
} EventTaker;

static void
take_new_event(EventTaker *t, int64 tenant, int64 lead, const ScoreEvent *event)
{
	if (t->lead && (t->scorer->tenant != tenant || t->lead_id != lead))
	{
		crm_scorer_end_events(t->lead);
		t->lead = NULL;
	}
	if (t->scorer == NULL || t->scorer->tenant != tenant)
		t->scorer = crm_scorer_open(tenant);
	if (t->lead == NULL)
	{
		t->lead = crm_scorer_begin_events(t->scorer, lead, event->id);
		t->lead_id = lead;
	}
	crm_scorer_take_event(t->lead, event);
}

/* The columns of an event, in the order in which they are read below. */
static void
take_row(EventTaker *t, const Datum *v, const bool *isnull)
{
	ScoreEvent	event;

	event.id = DatumGetInt64(v[2]);
	event.at = DatumGetTimestampTz(v[3]);
	event.kind = DatumGetTextPP(v[4]);
	event.object = isnull[5] ? NULL : DatumGetTextPP(v[5]);
	event.attributes = isnull[6] ? NULL : DatumGetJsonbP(v[6]);
	take_new_event(t, DatumGetInt64(v[0]), DatumGetInt64(v[1]), &event);
}

/* crm.take_score_events() -- of score_events, with a transition table new_events */
Datum
crm_take_score_events(PG_FUNCTION_ARGS)
{
	static const char *const columns[] = {"tenant_id", "lead_id", "id", "occurred_at", "kind", "object", "attributes"};
	static const Oid types[] = {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID,
	JSONBOID};
	static const char *const tables[] = {"score_events", NULL};
	TriggerData *trigdata = statement_trigger(fcinfo, "crm.take_score_events", tables);
	int64		n = tuplestore_tuple_count(trigdata->tg_newtable);
	EventTaker	taker = {0};
	CrmOwnerSwitch me;
	Datum		values[lengthof(columns)];
	bool		nulls[lengthof(columns)];

	if (n == 0)
		return PointerGetDatum(NULL);
	crm_connect_as(crm_scorer_owner(), &me);
	if (n == 1)
	{
		TupleTableSlot *slot = begin_rows(trigdata);

		(void) tuplestore_gettupleslot(trigdata->tg_newtable, true, false, slot);
		for (int i = 0; i < lengthof(columns); i++)
			values[i] = slot_getattr(slot, crm_typed_column(slot->tts_tupleDescriptor, columns[i],
															types[i]), &nulls[i]);
		take_row(&taker, values, nulls);
		ExecDropSingleTupleTableSlot(slot);
	}
	else
	{
		Portal		portal;
		uint64		fetched;

		crm_see_transition_tables(trigdata);
		portal = crm_cursor_open("SELECT n.tenant_id, n.lead_id, n.id, n.occurred_at, n.kind, n.object, n.attributes "
								 "FROM new_events AS n ORDER BY n.tenant_id, n.lead_id, n.id");
		do
		{
			SPITupleTable *rows;

			crm_cursor_fetch(portal, 1000);
			rows = SPI_tuptable;
			fetched = SPI_processed;
			for (uint64 i = 0; i < fetched; i++)
			{
				CHECK_FOR_INTERRUPTS();
				heap_deform_tuple(rows->vals[i], rows->tupdesc, values, nulls);
				take_row(&taker, values, nulls);
			}
			SPI_freetuptable(rows);
		} while (fetched > 0);
		crm_cursor_close(portal);
	}
	crm_scorer_end_events(taker.lead);
	crm_disconnect_self(&me);
	return PointerGetDatum(NULL);
}

/* ---- replays of some leads ---- */

/* (tenant, model, leads, at): how many there were; see crm_scorer_replay_lead() */
Datum
crm_points_replay_leads(PG_FUNCTION_ARGS)
{
	Datum	   *leads;
	bool	   *nulls;
	int			n;
	int32		done = 0;
	Scorer	   *s;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &leads, &nulls, &n);
	crm_connect();
	s = crm_scorer_open(PG_GETARG_INT64(0));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i])
			done += crm_scorer_replay_lead(s, PG_GETARG_INT64(1), DatumGetInt64(leads[i]), PG_GETARG_TIMESTAMPTZ(3));
	}
	crm_disconnect();
	PG_RETURN_INT32(done);
}
