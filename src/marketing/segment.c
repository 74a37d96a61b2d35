/*
 * segment.c
 *	  Which segments a changed row may enter or leave.
 *
 * The conditions of all segments of a table are compiled once per backend,
 * with the columns that each of them can look at.  A row trigger compares
 * these columns before and after a change; only where one of them changed are
 * conditions put to the row, and only where an answer changed is anything
 * written.  So a change that concerns no segment costs a comparison of a few
 * columns, and one that does costs the same whatever the size of the segment.
 *
 * Segments that ask for nothing but the row are kept from here, all that a
 * change concerns in one statement a table.  Those that ask for more go
 * through crm_internal.touch_segments().
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "base/changes.h"
#include "marketing/segment.h"

/* Those of some columns that two rows differ in. */
static Bitmapset *
changed_columns(const Bitmapset *columns, HeapTuple before, HeapTuple after, TupleDesc desc)
{
	Bitmapset  *changed = NULL;
	int			attno = -1;

	while ((attno = bms_next_member(columns, attno)) >= 0)
		if (crm_column_changed(desc, before, after, attno))
			changed = bms_add_member(changed, attno);
	return changed;
}

static Datum
whole_row(HeapTuple tuple, TupleDesc desc)
{
	return crm_row_jsonb(crm_row_shape(desc, NULL), tuple, desc, false);
}

static int64
int_column(HeapTuple tuple, TupleDesc desc, const char *name)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, crm_typed_column(desc, name, INT8OID), desc, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("segments need a value in column \"%s\"", name)));
	return DatumGetInt64(value);
}

/* The name a table goes by, which the trigger was made with. */
static const char *
subject_argument(TriggerData *trigdata, const char *function)
{
	if (trigdata->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be given the name its table goes by", function),
				 errhint("Use crm.attach_segments().")));
	return trigdata->tg_trigger->tgargs[0];
}

/* ---- keeping segments that ask for nothing but the row ---- */

typedef struct Answers
{
	int			n;
	Datum	   *ids;
	Datum	   *members;
} Answers;

static void
answers_init(Answers *a, int room)
{
	a->n = 0;
	a->ids = palloc(sizeof(Datum) * Max(room, 1));
	a->members = palloc(sizeof(Datum) * Max(room, 1));
}

static void
answer(Answers *a, int64 id, bool member)
{
	a->ids[a->n] = Int64GetDatum(id);
	a->members[a->n++] = BoolGetDatum(member);
}

static Datum
id_array(const Answers *a)
{
	return PointerGetDatum(construct_array(a->ids, a->n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static Datum
member_array(const Answers *a)
{
	return PointerGetDatum(construct_array(a->members, a->n, BOOLOID, 1, true, TYPALIGN_CHAR));
}

/* Of the last result: the segment of a row, and whether the subject was a member. */
static int64
result_segment(uint64 row, bool *was_member)
{
	bool		isnull;

	*was_member = DatumGetBool(crm_spi_value(row, 2, &isnull));
	return DatumGetInt64(crm_spi_value(row, 1, &isnull));
}

/*
 * Write down who is in and who is out, and what changed by it as events.
 * moved: segments whose states changed.
 */
static void
keep_states(const char *table, Datum tenant, Datum subject,
			const Answers *in, const Answers *out, bool announce, Answers *moved)
{
	static const Oid types[] = {INT8OID, INT8OID, INT8ARRAYOID};
	static const Oid event_types[] = {INT8OID, INT8OID, INT8ARRAYOID, BOOLARRAYOID, TEXTOID};
	Answers		events;
	Datum		values[5];
	bool		was;

	answers_init(&events, in->n + out->n);
	answers_init(moved, in->n + out->n);
	values[0] = tenant;
	values[1] = subject;
	if (out->n > 0)
	{
		values[2] = id_array(out);
		crm_execute("DELETE FROM crm.segment_states AS s"
					" WHERE s.tenant_id OPERATOR(pg_catalog.=) $1 AND s.subject_id OPERATOR(pg_catalog.=) $2"
					" AND s.segment_id OPERATOR(pg_catalog.=) ANY ($3)"
					" RETURNING s.segment_id, s.member",
					3, types, values, NULL, false, 0);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			int64		id = result_segment(i, &was);

			answer(moved, id, false);
			if (was)
				answer(&events, id, false);
		}
	}
	if (in->n > 0)
	{
		values[2] = id_array(in);
		crm_execute("INSERT INTO crm.segment_states AS s (tenant_id, segment_id, subject_id, member, changed_at)"
					" SELECT $1, u.id, $2, true, pg_catalog.now() FROM pg_catalog.unnest($3) AS u (id)"
					" ON CONFLICT ON CONSTRAINT segment_states_pkey DO NOTHING"
					" RETURNING s.segment_id, false",
					3, types, values, NULL, false, 0);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			int64		id = result_segment(i, &was);

			answer(moved, id, true);
			answer(&events, id, true);
		}
		if (SPI_processed < in->n)
		{
			/* a state is there already, and says something else perhaps */
			crm_execute("UPDATE crm.segment_states AS s SET member = true, next_at = NULL,"
						" changed_at = CASE WHEN s.member THEN s.changed_at ELSE pg_catalog.now() END"
						" FROM crm.segment_states AS o"
						" WHERE s.tenant_id OPERATOR(pg_catalog.=) $1 AND s.subject_id OPERATOR(pg_catalog.=) $2"
						" AND s.segment_id OPERATOR(pg_catalog.=) ANY ($3)"
						" AND (NOT s.member OR s.next_at IS NOT NULL)"
						" AND o.tenant_id OPERATOR(pg_catalog.=) s.tenant_id"
						" AND o.subject_id OPERATOR(pg_catalog.=) s.subject_id"
						" AND o.segment_id OPERATOR(pg_catalog.=) s.segment_id"
						" RETURNING s.segment_id, o.member",
						3, types, values, NULL, false, 0);
			for (uint64 i = 0; i < SPI_processed; i++)
			{
				int64		id = result_segment(i, &was);

				answer(moved, id, true);
				if (!was)
					answer(&events, id, true);
			}
		}
	}
	if (events.n == 0)
		return;
	values[2] = id_array(&events);
	values[3] = member_array(&events);
	crm_execute("INSERT INTO crm.segment_events (tenant_id, segment_id, subject_id, direction, cause, occurred_at)"
				" SELECT $1, u.id, $2, CASE WHEN u.entered THEN 'enter' ELSE 'leave' END, 'change', pg_catalog.now()"
				" FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4)) AS u (id, entered)",
				4, event_types, values, NULL, false, 0);
	if (!announce)
		return;
	values[4] = CStringGetTextDatum(table);
	crm_execute("INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)"
				" SELECT $1, CASE WHEN u.entered THEN 'segment.entered' ELSE 'segment.left' END, $5, $2,"
				" pg_catalog.jsonb_build_object('segment', s.name, 'cause', 'change', 'at', pg_catalog.now())"
				" FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4)) AS u (id, entered)"
				" JOIN crm.segments AS s ON s.tenant_id OPERATOR(pg_catalog.=) $1 AND s.id OPERATOR(pg_catalog.=) u.id"
				" WHERE s.announce ORDER BY s.id",
				5, event_types, values, NULL, false, 0);
}

static bool
id_among(const Answers *a, int64 id)
{
	for (int i = 0; i < a->n; i++)
		if (DatumGetInt64(a->ids[i]) == id)
			return true;
	return false;
}

static bool
refers_to(const Segment *s, const Answers *a)
{
	for (int i = 0; i < s->nrefers; i++)
		if (id_among(a, s->refers[i]))
			return true;
	return false;
}

/*
 * Those that refer to what changed (moved) are judged anew, with those that
 * look at more than the row, whose own answer comes first, as answers end
 * before ids do.  row: 0 where it is gone.
 */
static void
judge_more(const SegmentGroup *g, int64 tenant, const char *table, Datum subject,
		   const Answers *more, const Answers *moved, Datum row)
{
	static const Oid types[] = {INT8OID, TEXTOID, INT8OID, INT8ARRAYOID, BOOLARRAYOID, JSONBOID};
	Answers		judged;
	Datum		values[6];

	answers_init(&judged, g->n);
	memcpy(judged.ids, more->ids, sizeof(Datum) * more->n);
	judged.n = more->n;
	for (int i = 0; moved->n > 0 && i < g->n; i++)
		if (refers_to(&g->segments[i], moved) && !id_among(more, g->segments[i].id))
			judged.ids[judged.n++] = Int64GetDatum(g->segments[i].id);
	if (judged.n == 0)
		return;
	values[0] = Int64GetDatum(tenant);
	values[1] = CStringGetTextDatum(table);
	values[2] = subject;
	values[3] = id_array(&judged);
	values[4] = member_array(more);
	values[5] = row;
	crm_execute("SELECT crm_internal.touch_segments($1, $2, $3, $4, $5, $6)",
				6, types, values, row ? NULL : "     n", false, 0);
}

PG_FUNCTION_INFO_V1(crm_segment_row);

/*
 * crm.segment_row() -- AFTER row trigger of tables that have segments.
 */
Datum
crm_segment_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	HeapTuple	before = NULL;
	HeapTuple	after = NULL;
	HeapTuple	row;
	const char *table;
	int64		tenant;
	SegmentGroup *g;
	Bitmapset  *changed = NULL;
	bool		compared = false;
	bool		announce = false;
	Answers		in;
	Answers		out;
	Answers		more;
	Answers		moved;
	Datum		was = (Datum) 0;
	Datum		now = (Datum) 0;
	Datum		subject;
	CrmOwnerSwitch me;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired after each row by the trigger manager",
						"crm.segment_row")));
	desc = RelationGetDescr(trigdata->tg_relation);
	table = subject_argument(trigdata, "crm.segment_row");
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event))
	{
		before = trigdata->tg_trigtuple;
		after = trigdata->tg_newtuple;
	}
	else if (TRIGGER_FIRED_BY_INSERT(trigdata->tg_event))
		after = trigdata->tg_trigtuple;
	else
		before = trigdata->tg_trigtuple;
	row = after ? after : before;

	if (!crm_segment_uses()->any)
		return PointerGetDatum(NULL);
	tenant = int_column(row, desc, "tenant_id");
	g = crm_segment_group(RelationGetRelid(trigdata->tg_relation), tenant, table);
	if (g->n == 0)
		return PointerGetDatum(NULL);

	if (before && after && !g->whole && int_column(before, desc, "tenant_id") == tenant)
	{
		changed = changed_columns(g->columns, before, after, desc);
		compared = true;
		if (changed == NULL && !g->more)
			return PointerGetDatum(NULL);
	}
	answers_init(&in, g->n);
	answers_init(&out, g->n);
	answers_init(&more, g->n);
	if (after)
		now = crm_row_jsonb(g->shape, after, desc, false);
	for (int i = 0; i < g->n; i++)
	{
		Segment    *s = &g->segments[i];
		bool		same = compared && !bms_overlap(s->columns, changed);
		bool		hold;
		bool		held;

		if (same && !s->more)
			continue;
		hold = after && (s->condition == (Datum) 0 || crm_condition_holds(now, s->condition));
		if (same)
			held = hold;
		else if (!before)
			held = false;
		else if (!after || s->condition == (Datum) 0)
			held = true;
		else
		{
			if (was == (Datum) 0)
				was = crm_row_jsonb(g->shape, before, desc, false);
			held = crm_condition_holds(was, s->condition);
		}
		if (held == hold && !(hold && s->more))
			continue;
		announce |= s->announce;
		answer(s->more ? &more : hold ? &in : &out, s->id, hold);
	}
	if (in.n + out.n + more.n == 0)
		return PointerGetDatum(NULL);

	subject = Int64GetDatum(int_column(row, desc, "id"));
	crm_connect_as(crm_segment_owner(), &me);
	moved.n = 0;
	if (in.n + out.n > 0)
		keep_states(table, Int64GetDatum(tenant), subject, &in, &out, announce, &moved);

	if (g->more && more.n + moved.n > 0)
		judge_more(g, tenant, table, subject, &more, &moved,
				   after ? (g->whole ? now : whole_row(after, desc)) : (Datum) 0);
	crm_disconnect_self(&me);
	return PointerGetDatum(NULL);
}

/* ---- what segments look at besides the row ---- */

PG_FUNCTION_INFO_V1(crm_segment_sources);

/*
 * crm.segment_sources() -- AFTER statement trigger with a transition table
 * "changed".
 */
Datum
crm_segment_sources(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	CrmOwnerSwitch me;
	const char *source;
	const char *query;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired after each statement by the trigger manager",
						"crm.segment_sources")));
	source = subject_argument(trigdata, "crm.segment_sources");
	if (!crm_segments_use(source))
		return PointerGetDatum(NULL);
	query = crm_segment_query("touch", "", source);
	if (query == NULL)
		return PointerGetDatum(NULL);
	crm_connect_as(crm_segment_owner(), &me);
	crm_see_transition_tables(trigdata);
	crm_execute_variant(query, 0, NULL, NULL, NULL, false, 0);
	crm_disconnect_self(&me);
	return PointerGetDatum(NULL);
}

PG_FUNCTION_INFO_V1(crm_segment_told);

/*
 * crm.segment_told(what, subject_table, source, tenant, subject, since, till,
 * kind, path, most)
 *
 * The instants that such a query finds.  Run from here, since every judgement
 * asks, and a text that PL/pgSQL executes is planned anew each time.
 */
Datum
crm_segment_told(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TEXTOID, TEXTOID, INT8OID};
	char	   *texts[3];
	Datum		values[7];
	char		nulls[8];
	const char *query;
	MemoryContext caller = CurrentMemoryContext;
	Datum		told;
	bool		isnull;

	for (int i = 0; i < 3; i++)
	{
		if (PG_ARGISNULL(i))
			PG_RETURN_NULL();
		texts[i] = text_to_cstring(PG_GETARG_TEXT_PP(i));
	}
	query = crm_segment_query(texts[0], texts[1], texts[2]);
	if (query == NULL)
		PG_RETURN_NULL();
	for (int i = 0; i < 7; i++)
	{
		values[i] = PG_GETARG_DATUM(i + 3);
		nulls[i] = PG_ARGISNULL(i + 3) ? 'n' : ' ';
	}
	nulls[7] = '\0';
	crm_connect();
	crm_execute_variant(query, 7, types, values, nulls, true, 0);
	told = crm_spi_value(0, 1, &isnull);
	if (!isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		told = datumCopy(told, false, -1);
		MemoryContextSwitchTo(old);
	}
	crm_disconnect();
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(told);
}

/* Judge a lead anew for the segments that ask for scores. */
static void
touch_score(HeapTuple row, TupleDesc desc)
{
	static const Oid types[] = {INT8OID, INT8OID, INT8ARRAYOID};
	int64		tenant = int_column(row, desc, "tenant_id");
	SegmentGroup *g = crm_segment_group(crm_table_oid("leads", false), tenant, "leads");
	Answers		judged;
	Datum		values[3];

	answers_init(&judged, g->n);
	for (int i = 0; i < g->n; i++)
		if (g->segments[i].scores)
			answer(&judged, g->segments[i].id, false);
	if (judged.n == 0)
		return;
	values[0] = Int64GetDatum(tenant);
	values[1] = Int64GetDatum(int_column(row, desc, "lead_id"));
	values[2] = id_array(&judged);
	crm_execute("SELECT crm_internal.touch_segments($1, 'leads', $2, $3, NULL, NULL)",
				3, types, values, NULL, false, 0);
}

PG_FUNCTION_INFO_V1(crm_segment_score);

/*
 * crm.segment_score() -- AFTER row trigger of crm.lead_scores.  By row, since a
 * transition table would copy every state of a replay, twice, for nobody.
 */
Datum
crm_segment_score(PG_FUNCTION_ARGS)
{
	TriggerData *trigdata = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	CrmOwnerSwitch me;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigdata->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigdata->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" must be fired after each row by the trigger manager",
						"crm.segment_score")));
	if (!crm_segments_use("lead_scores"))
		return PointerGetDatum(NULL);
	desc = RelationGetDescr(trigdata->tg_relation);
	crm_connect_as(crm_segment_owner(), &me);
	touch_score(trigdata->tg_trigtuple, desc);
	if (TRIGGER_FIRED_BY_UPDATE(trigdata->tg_event) &&
		int_column(trigdata->tg_trigtuple, desc, "lead_id") != int_column(trigdata->tg_newtuple, desc, "lead_id"))
		touch_score(trigdata->tg_newtuple, desc);
	crm_disconnect_self(&me);
	return PointerGetDatum(NULL);
}
