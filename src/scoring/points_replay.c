/*
 * points_replay.c
 *	  Computing the states of all leads of a range again.
 *
 * Leads, their events, what was known of them and their old states are four scans
 * in the order of leads, put together here.  Whatever the statistics say, no
 * table is read twice, and a lead passes through without being copied from step
 * to step.  Changed rows are collected and written by one statement a table.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "scoring/points_sql.h"

PG_FUNCTION_INFO_V1(crm_points_replay_range);

/* ---- reading: rows of one query in the order of leads, the lead in column 1 ---- */

typedef struct LeadScan
{
	SPITupleTable *rows;
	uint64		n;
	uint64		next;
} LeadScan;

static void
scan_rows(LeadScan *scan, const char *sql, Datum *args)
{
	static const Oid types[] = {INT8OID, INT8OID, INT8OID, INT8OID, JSONBOID};

	crm_execute(sql, lengthof(types), types, args, NULL, false, 0);
	scan->rows = SPI_tuptable;
	scan->n = SPI_processed;
	scan->next = 0;
}

static Datum
scanned(const LeadScan *scan, HeapTuple row, int i, bool *isnull)
{
	return SPI_getbinval(row, scan->rows->tupdesc, i, isnull);
}

/* The row of a lead, or NULL; leads are asked for in their order. */
static HeapTuple
row_of(LeadScan *scan, int64 lead)
{
	for (; scan->next < scan->n; scan->next++)
	{
		HeapTuple	row = scan->rows->vals[scan->next];
		bool		isnull;
		int64		here = DatumGetInt64(scanned(scan, row, 1, &isnull));

		if (here == lead)
			return row;
		if (here > lead)
			break;
	}
	return NULL;
}

/* ---- writing: rows collected for a statement that reads them by name ---- */

static void
write_rows(CrmCollected *c, const char *sql, Datum *args)
{
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, INT8OID, INT8OID};

	if (crm_collected_any(c))
		crm_execute(sql, lengthof(types), types, args, NULL, false, 0);
}

static bool
equal_bytes(Datum a, Datum b)
{
	struct varlena *x = PG_DETOAST_DATUM_PACKED(a);
	struct varlena *y = PG_DETOAST_DATUM_PACKED(b);

	return VARSIZE_ANY_EXHDR(x) == VARSIZE_ANY_EXHDR(y) &&
		memcmp(VARDATA_ANY(x), VARDATA_ANY(y), VARSIZE_ANY_EXHDR(x)) == 0;
}

/* ---- a replay ---- */

typedef struct Replay
{
	const PointsModel *m;
	int32		version;
	TimestampTz at;
	bool	   *told;			/* rules that failed on a lead before: one lead is reported */

	/* what is read, in the order of leads */
	LeadScan	subjects;
	LeadScan	facts;
	LeadScan	states;
	LeadScan	events;

	/* what is to be written */
	CrmCollected	seen;
	CrmCollected	kept;
	CrmCollected	crossed;
	CrmCollected	failing;
} Replay;

/* range: tenant, model, first lead, last lead, definition */
static void
read_range(Replay *r, Datum *range)
{
	scan_rows(&r->subjects,
			  "SELECT u.lead_id, u.attributes, u.last_event_id, u.last_event_at "
			  "FROM crm.score_subjects AS u "
			  "WHERE u.tenant_id = $1 AND u.lead_id BETWEEN $3 AND $4 ORDER BY u.lead_id", range);
	scan_rows(&r->facts,
			  "SELECT f.lead_id, f.attributes FROM crm_internal.lead_facts AS f "
			  "WHERE f.tenant_id = $1 AND f.lead_id BETWEEN $3 AND $4 ORDER BY f.lead_id", range);
	scan_rows(&r->states,
			  "SELECT s.lead_id, s.version, s.state, s.ceiling, s.rank_key, s.next_crossing, s.inside "
			  "FROM crm.lead_scores AS s "
			  "WHERE s.tenant_id = $1 AND s.model_id = $2 AND s.lead_id BETWEEN $3 AND $4 "
			  "ORDER BY s.lead_id", range);
	scan_rows(&r->events,
			  "SELECT e.lead_id, "
			  "crm.points_replay($5, e.kind, e.object, e.occurred_at, e.attributes ORDER BY e.id), "
			  "max(e.id), max(e.occurred_at) FROM crm.score_events AS e "
			  "WHERE e.tenant_id = $1 AND e.lead_id BETWEEN $3 AND $4 "
			  "GROUP BY e.lead_id ORDER BY e.lead_id", range);
}

static void
begin_collecting(Replay *r)
{
	static const char *const seen_columns[] = {"lead_id", "known", "attributes", "last_event_id",
	"last_event_at"};
	static const Oid seen_types[] = {INT8OID, BOOLOID, JSONBOID, INT8OID, TIMESTAMPTZOID};
	static const char *const kept_columns[] = {"lead_id", "known", "state", "ceiling", "rank_key",
	"next_crossing", "inside"};
	static const Oid kept_types[] = {INT8OID, BOOLOID, BYTEAOID, FLOAT8OID, FLOAT8OID,
	TIMESTAMPTZOID, TEXTARRAYOID};
	static const char *const crossed_columns[] = {"lead_id", "threshold", "direction", "at",
												  "score"};
	static const Oid crossed_types[] = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, NUMERICOID};
	static const char *const failing_columns[] = {"lead_id", "rules"};
	static const Oid failing_types[] = {INT8OID, TEXTARRAYOID};

	r->seen = crm_collect_rows("seen", lengthof(seen_columns), seen_columns, seen_types, 1000);
	r->kept = crm_collect_rows("kept", lengthof(kept_columns), kept_columns, kept_types, 1000);
	r->crossed = crm_collect_rows("crossed", lengthof(crossed_columns), crossed_columns,
								  crossed_types, 1000);
	r->failing = crm_collect_rows("failing", lengthof(failing_columns), failing_columns,
								  failing_types, 1000);
}

/*
 * What is known of a lead.  Byte for byte: what is equal and written otherwise
 * is written anew.  Events may have come or gone while triggers were off.
 */
static void
note_seen(Replay *r, int64 lead, Datum attributes, int64 last_id, TimestampTz last_at)
{
	HeapTuple	subject = row_of(&r->subjects, lead);
	bool		isnull;
	bool		unknown;
	Datum		known = subject ? scanned(&r->subjects, subject, 2, &unknown) : (Datum) 0;
	Datum		values[5];
	bool		nulls[5] = {0};

	if (subject != NULL && !unknown && equal_bytes(known, attributes) &&
		DatumGetInt64(scanned(&r->subjects, subject, 3, &isnull)) == last_id &&
		DatumGetTimestampTz(scanned(&r->subjects, subject, 4, &isnull)) == last_at)
		return;
	values[0] = Int64GetDatum(lead);
	values[1] = BoolGetDatum(subject != NULL);
	values[2] = attributes;
	values[3] = Int64GetDatum(last_id);
	values[4] = TimestampTzGetDatum(last_at);
	crm_collect_row(&r->seen, values, nulls);
}

/*
 * Keep a lead's state, unless the one that stands says the same: writing it
 * would only move its clock.  before is the row that stands, or NULL.
 */
static void
note_state(Replay *r, int64 lead, HeapTuple before, bytea *stored, PointsState *s,
		   TimestampTz basis)
{
	PointsKept	now;
	Datum		values[7];
	bool		nulls[7] = {0};
	bool		isnull;
	bool		unknown;

	crm_points_keep(r->m, s, basis, &now);
	if (before)
	{
		TimestampTz next = DatumGetTimestampTz(scanned(&r->states, before, 6, &isnull));

		if (DatumGetInt32(scanned(&r->states, before, 2, &unknown)) == r->version &&
			(isnull || next > r->at) && crm_points_equal(stored, now.state))
			return;
		crm_points_keep_rank(&now, DatumGetFloat8(scanned(&r->states, before, 4, &unknown)),
							 DatumGetFloat8(scanned(&r->states, before, 5, &unknown)));
	}
	values[0] = Int64GetDatum(lead);
	values[1] = BoolGetDatum(before != NULL);
	values[2] = PointerGetDatum(now.state);
	values[3] = Float8GetDatum(now.ceiling);
	values[4] = Float8GetDatum(now.rank_key);
	values[5] = TimestampTzGetDatum(now.next_crossing);
	nulls[5] = !now.crosses;
	values[6] = PointerGetDatum(crm_points_inside(r->m, s));
	crm_collect_row(&r->kept, values, nulls);
}

/* Thresholds that were crossed, and rules that failed for the first time. */
static void
note_news(Replay *r, int64 lead, PointsState *s, PointsCrossing *crossings)
{
	const PointsModel *m = r->m;
	Datum		values[5];
	bool		nulls[5] = {0};

	values[0] = Int64GetDatum(lead);
	for (PointsCrossing *c = crossings; c; c = c->next)
	{
		values[1] = CStringGetTextDatum(m->thresholds[c->threshold].name);
		values[2] = CStringGetTextDatum(c->up ? "up" : "down");
		values[3] = TimestampTzGetDatum(c->at);
		values[4] = crm_points_rounded(c->score);
		crm_collect_row(&r->crossed, values, nulls);
	}
	for (int i = 0; i < m->nrules; i++)
	{
		s->failed[i] &= !r->told[i];
		r->told[i] |= s->failed[i];
	}
	values[1] = PointerGetDatum(crm_points_failed(m, s));
	if (values[1] != (Datum) 0)
		crm_collect_row(&r->failing, values, nulls);
}

static void
replay_lead(Replay *r, HeapTuple fact)
{
	bool		isnull;
	int64		lead = DatumGetInt64(scanned(&r->facts, fact, 1, &isnull));
	Datum		attributes = scanned(&r->facts, fact, 2, &isnull);
	HeapTuple	event = row_of(&r->events, lead);
	HeapTuple	before = row_of(&r->states, lead);
	int64		last_id = 0;
	TimestampTz last_at = DT_NOBEGIN;
	TimestampTz basis;
	bytea	   *folded = NULL;
	bytea	   *stored = NULL;
	ArrayType  *inside = NULL;
	PointsState *s;
	PointsCrossing *crossings;

	if (event)
	{
		folded = DatumGetByteaPP(scanned(&r->events, event, 2, &isnull));
		last_id = DatumGetInt64(scanned(&r->events, event, 3, &isnull));
		last_at = DatumGetTimestampTz(scanned(&r->events, event, 4, &isnull));
	}
	if (before)
	{
		stored = DatumGetByteaPP(scanned(&r->states, before, 3, &isnull));
		inside = DatumGetArrayTypeP(scanned(&r->states, before, 7, &isnull));
	}
	basis = Max(r->at, last_at);
	note_seen(r, lead, attributes, last_id, last_at);
	s = crm_points_refit(r->m, folded, inside, DatumGetJsonbP(attributes), basis, stored,
						 &crossings);
	note_state(r, lead, before, stored, s, basis);
	note_news(r, lead, s, crossings);
}

/* range: tenant, model, version, first lead, last lead */
static void
write_range(Replay *r, Datum *range)
{
	write_rows(&r->seen,
			   "INSERT INTO crm.score_subjects (tenant_id, lead_id, attributes, last_event_id, last_event_at) "
			   "SELECT $1, p.lead_id, p.attributes, p.last_event_id, p.last_event_at "
			   "FROM seen AS p WHERE NOT p.known", range);
	write_rows(&r->seen,
			   "UPDATE crm.score_subjects AS u SET attributes = p.attributes, "
			   "last_event_id = p.last_event_id, last_event_at = p.last_event_at FROM seen AS p "
			   "WHERE u.tenant_id = $1 AND u.lead_id = p.lead_id AND u.lead_id BETWEEN $4 AND $5 "
			   "AND p.known", range);
	write_rows(&r->crossed,
			   "INSERT INTO crm.score_crossings "
			   "(tenant_id, model_id, lead_id, threshold, direction, crossed_at, score) "
			   "SELECT $1, $2, p.lead_id, p.threshold, p.direction, p.at, p.score FROM crossed AS p", range);
	write_rows(&r->failing,
			   "INSERT INTO crm.events "
			   "(tenant_id, kind, subject_table, subject_id, payload, dedupe_key) "
			   "SELECT x.* FROM failing AS p, "
			   "crm_internal.failed_rules($1, $2, $3, p.lead_id, p.rules) AS x ON CONFLICT DO NOTHING", range);
	write_rows(&r->kept,
			   "INSERT INTO crm.lead_scores "
			   "(tenant_id, model_id, lead_id, version, state, ceiling, rank_key, next_crossing, inside) "
			   "SELECT $1, $2, p.lead_id, $3, p.state, p.ceiling, p.rank_key, p.next_crossing, p.inside "
			   "FROM kept AS p WHERE NOT p.known", range);
	write_rows(&r->kept,
			   "UPDATE crm.lead_scores AS s SET version = $3, state = p.state, ceiling = p.ceiling, "
			   "rank_key = p.rank_key, next_crossing = p.next_crossing, inside = p.inside FROM kept AS p "
			   "WHERE s.tenant_id = $1 AND s.model_id = $2 AND s.lead_id = p.lead_id "
			   "AND s.lead_id BETWEEN $4 AND $5 AND p.known", range);
	crm_collected_end(&r->seen);
	crm_collected_end(&r->crossed);
	crm_collected_end(&r->failing);
	crm_collected_end(&r->kept);
}

/* (tenant, model, version, definition, low, high, at): the number of leads */
Datum
crm_points_replay_range(PG_FUNCTION_ARGS)
{
	Replay		r = {0};
	Datum		read[5] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(4),
	PG_GETARG_DATUM(5), PG_GETARG_DATUM(3)};
	Datum		written[5] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2),
	PG_GETARG_DATUM(4), PG_GETARG_DATUM(5)};
	MemoryContext lead_context;
	MemoryContext old;
	int32		done;

	r.m = crm_points_model(fcinfo, 3);
	r.version = PG_GETARG_INT32(2);
	r.at = PG_GETARG_TIMESTAMPTZ(6);
	r.told = palloc0(Max(r.m->nrules, 1));
	crm_connect();
	read_range(&r, read);
	begin_collecting(&r);

	lead_context = AllocSetContextCreate(CurrentMemoryContext, "crm replayed lead", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(lead_context);
	for (uint64 i = 0; i < r.facts.n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(lead_context);
		replay_lead(&r, r.facts.rows->vals[i]);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(lead_context);
	done = r.facts.n;

	write_range(&r, written);
	crm_disconnect();
	PG_RETURN_INT32(done);
}
