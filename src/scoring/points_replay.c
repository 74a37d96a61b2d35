/*
 * points_replay.c
 *	  The states of all leads of a range made anew.
 *
 * What leads are, what they did, what was known of them and how they stood are
 * four scans in the order of leads, put together here: whatever the server
 * believes about the tables, none of them is read twice, and a lead passes
 * through without being copied from step to step.  What has changed is
 * collected and written by one statement a table.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

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
column(const LeadScan *scan, HeapTuple row, int i, bool *isnull)
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
		int64		here = DatumGetInt64(column(scan, row, 1, &isnull));

		if (here == lead)
			return row;
		if (here > lead)
			break;
	}
	return NULL;
}

/* ---- writing: rows collected for a statement that reads them by name ---- */

typedef struct Collected
{
	TupleDesc	desc;
	Tuplestorestate *rows;
} Collected;

static Collected
collect(const char *name, int ncolumns, const char *const *columns, const Oid *types)
{
	EphemeralNamedRelation r = palloc0(sizeof(EphemeralNamedRelationData));
	Collected	c;

	c.desc = CreateTemplateTupleDesc(ncolumns);
	for (int i = 0; i < ncolumns; i++)
		TupleDescInitEntry(c.desc, i + 1, columns[i], types[i], -1, 0);
	c.rows = tuplestore_begin_heap(false, false, work_mem);
	r->md.name = pstrdup(name);
	r->md.reliddesc = InvalidOid;
	r->md.tupdesc = c.desc;
	r->md.enrtype = ENR_NAMED_TUPLESTORE;
	r->md.enrtuples = 1000;
	r->reldata = c.rows;
	if (SPI_register_relation(r) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed: %s", name);
	return c;
}

static void
write_rows(Collected *c, const char *sql, Datum *args)
{
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, INT8OID, INT8OID};

	if (tuplestore_tuple_count(c->rows) > 0)
		crm_execute(sql, lengthof(types), types, args, NULL, false, 0);
}

static bool
same_bytes(Datum a, Datum b)
{
	struct varlena *x = PG_DETOAST_DATUM_PACKED(a);
	struct varlena *y = PG_DETOAST_DATUM_PACKED(b);

	return VARSIZE_ANY_EXHDR(x) == VARSIZE_ANY_EXHDR(y) &&
		memcmp(VARDATA_ANY(x), VARDATA_ANY(y), VARSIZE_ANY_EXHDR(x)) == 0;
}

/* (tenant, model, version, definition, low, high, at): the number of leads */
Datum
crm_points_replay_range(PG_FUNCTION_ARGS)
{
	static const char *const seen_columns[] = {"lead_id", "known", "attributes", "last_event_id", "last_event_at"};
	static const Oid seen_types[] = {INT8OID, BOOLOID, JSONBOID, INT8OID, TIMESTAMPTZOID};
	static const char *const kept_columns[] = {"lead_id", "known", "state", "ceiling", "rank_key", "next_crossing", "inside"};
	static const Oid kept_types[] = {INT8OID, BOOLOID, BYTEAOID, FLOAT8OID, FLOAT8OID, TIMESTAMPTZOID, TEXTARRAYOID};
	static const char *const crossed_columns[] = {"lead_id", "threshold", "direction", "at", "score"};
	static const Oid crossed_types[] = {INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, NUMERICOID};
	static const char *const failing_columns[] = {"lead_id", "rules"};
	static const Oid failing_types[] = {INT8OID, TEXTARRAYOID};
	const PointsModel *m;
	int32		version = PG_GETARG_INT32(2);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(6);
	Datum		range[5];
	Datum		written[5];
	LeadScan	subjects;
	LeadScan	facts;
	LeadScan	states;
	LeadScan	events;
	Collected	seen;
	Collected	kept;
	Collected	crossed;
	Collected	failing;
	bool	   *told;
	MemoryContext lead_context;
	MemoryContext old;
	int32		done;

	m = points_model(fcinfo, 3);
	told = palloc0(Max(m->nrules, 1));
	SPI_connect();
	range[0] = PG_GETARG_DATUM(0);
	range[1] = PG_GETARG_DATUM(1);
	range[2] = PG_GETARG_DATUM(4);
	range[3] = PG_GETARG_DATUM(5);
	range[4] = PG_GETARG_DATUM(3);
	scan_rows(&subjects,
			  "SELECT u.lead_id, u.attributes, u.last_event_id, u.last_event_at FROM crm.score_subjects AS u "
			  "WHERE u.tenant_id = $1 AND u.lead_id BETWEEN $3 AND $4 ORDER BY u.lead_id", range);
	scan_rows(&facts,
			  "SELECT f.lead_id, f.attributes FROM crm_internal.lead_facts AS f "
			  "WHERE f.tenant_id = $1 AND f.lead_id BETWEEN $3 AND $4 ORDER BY f.lead_id", range);
	scan_rows(&states,
			  "SELECT s.lead_id, s.version, s.state, s.ceiling, s.rank_key, s.next_crossing, s.inside FROM crm.lead_scores AS s "
			  "WHERE s.tenant_id = $1 AND s.model_id = $2 AND s.lead_id BETWEEN $3 AND $4 ORDER BY s.lead_id", range);
	scan_rows(&events,
			  "SELECT e.lead_id, crm.points_replay($5, e.kind, e.object, e.occurred_at, e.attributes ORDER BY e.id), "
			  "max(e.id), max(e.occurred_at) FROM crm.score_events AS e "
			  "WHERE e.tenant_id = $1 AND e.lead_id BETWEEN $3 AND $4 GROUP BY e.lead_id ORDER BY e.lead_id", range);
	seen = collect("seen", lengthof(seen_columns), seen_columns, seen_types);
	kept = collect("kept", lengthof(kept_columns), kept_columns, kept_types);
	crossed = collect("crossed", lengthof(crossed_columns), crossed_columns, crossed_types);
	failing = collect("failing", lengthof(failing_columns), failing_columns, failing_types);

	lead_context = AllocSetContextCreate(CurrentMemoryContext, "crm replayed lead", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(lead_context);
	for (uint64 i = 0; i < facts.n; i++)
	{
		HeapTuple	fact = facts.rows->vals[i];
		HeapTuple	subject;
		HeapTuple	before;
		HeapTuple	event;
		bool		isnull;
		int64		lead = DatumGetInt64(column(&facts, fact, 1, &isnull));
		Datum		attributes;
		Datum		known;
		bool		unknown;
		int64		last_id = 0;
		TimestampTz last_at = DT_NOBEGIN;
		bytea	   *folded = NULL;
		bytea	   *state;
		PointsState *s;
		PointsCrossing *crossings;
		PointsKept	now;
		Datum		values[7];
		bool		nulls[7] = {0};
		bool		stays = false;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(lead_context);
		attributes = column(&facts, fact, 2, &isnull);
		event = row_of(&events, lead);
		if (event)
		{
			folded = DatumGetByteaPP(column(&events, event, 2, &isnull));
			last_id = DatumGetInt64(column(&events, event, 3, &isnull));
			last_at = DatumGetTimestampTz(column(&events, event, 4, &isnull));
		}

		/*
		 * Byte for byte: what is equal and written otherwise is written anew.
		 * Events may have come or gone while triggers were off.
		 */
		subject = row_of(&subjects, lead);
		known = subject ? column(&subjects, subject, 2, &unknown) : (Datum) 0;
		if (subject == NULL || unknown || !same_bytes(known, attributes) ||
			DatumGetInt64(column(&subjects, subject, 3, &isnull)) != last_id ||
			DatumGetTimestampTz(column(&subjects, subject, 4, &isnull)) != last_at)
		{
			values[0] = Int64GetDatum(lead);
			values[1] = BoolGetDatum(subject != NULL);
			values[2] = attributes;
			values[3] = Int64GetDatum(last_id);
			values[4] = TimestampTzGetDatum(last_at);
			tuplestore_putvalues(seen.rows, seen.desc, values, nulls);
		}

		before = row_of(&states, lead);
		state = before ? DatumGetByteaPP(column(&states, before, 3, &isnull)) : NULL;
		s = points_refit(m, folded, before ? DatumGetArrayTypeP(column(&states, before, 7, &isnull)) : NULL,
						 DatumGetJsonbP(attributes), Max(at, last_at), state, &crossings);
		points_keep(m, s, Max(at, last_at), &now);
		if (before)
		{
			TimestampTz next = DatumGetTimestampTz(column(&states, before, 6, &isnull));

			/* a state that says the same stays: writing it would only move its clock */
			stays = DatumGetInt32(column(&states, before, 2, &unknown)) == version &&
				(isnull || next > at) && points_same(state, now.state);
			points_keep_rank(&now, DatumGetFloat8(column(&states, before, 4, &unknown)),
							 DatumGetFloat8(column(&states, before, 5, &unknown)));
		}
		if (!stays)
		{
			values[0] = Int64GetDatum(lead);
			values[1] = BoolGetDatum(before != NULL);
			values[2] = PointerGetDatum(now.state);
			values[3] = Float8GetDatum(now.ceiling);
			values[4] = Float8GetDatum(now.rank_key);
			values[5] = TimestampTzGetDatum(now.next_crossing);
			nulls[5] = !now.crosses;
			values[6] = PointerGetDatum(points_inside(m, s));
			tuplestore_putvalues(kept.rows, kept.desc, values, nulls);
			nulls[5] = false;
		}
		for (PointsCrossing *c = crossings; c; c = c->next)
		{
			values[0] = Int64GetDatum(lead);
			values[1] = CStringGetTextDatum(m->thresholds[c->threshold].name);
			values[2] = CStringGetTextDatum(c->up ? "up" : "down");
			values[3] = TimestampTzGetDatum(c->at);
			values[4] = points_rounded(c->score);
			tuplestore_putvalues(crossed.rows, crossed.desc, values, nulls);
		}
		/* one lead is enough to tell of a rule */
		for (int r = 0; r < m->nrules; r++)
		{
			s->failed[r] &= !told[r];
			told[r] |= s->failed[r];
		}
		values[0] = Int64GetDatum(lead);
		values[1] = PointerGetDatum(points_failed(m, s));
		if (values[1] != (Datum) 0)
			tuplestore_putvalues(failing.rows, failing.desc, values, nulls);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(lead_context);
	done = facts.n;

	written[0] = PG_GETARG_DATUM(0);
	written[1] = PG_GETARG_DATUM(1);
	written[2] = PG_GETARG_DATUM(2);
	written[3] = PG_GETARG_DATUM(4);
	written[4] = PG_GETARG_DATUM(5);
	write_rows(&seen,
			   "INSERT INTO crm.score_subjects (tenant_id, lead_id, attributes, last_event_id, last_event_at) "
			   "SELECT $1, p.lead_id, p.attributes, p.last_event_id, p.last_event_at FROM seen AS p WHERE NOT p.known", written);
	write_rows(&seen,
			   "UPDATE crm.score_subjects AS u SET attributes = p.attributes, last_event_id = p.last_event_id, last_event_at = p.last_event_at "
			   "FROM seen AS p WHERE u.tenant_id = $1 AND u.lead_id = p.lead_id AND u.lead_id BETWEEN $4 AND $5 AND p.known",
			   written);
	write_rows(&crossed,
			   "INSERT INTO crm.score_crossings (tenant_id, model_id, lead_id, threshold, direction, crossed_at, score) "
			   "SELECT $1, $2, p.lead_id, p.threshold, p.direction, p.at, p.score FROM crossed AS p",
			   written);
	write_rows(&failing,
			   "INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key) "
			   "SELECT x.* FROM failing AS p, crm_internal.failed_rules($1, $2, $3, p.lead_id, p.rules) AS x ON CONFLICT DO NOTHING",
			   written);
	write_rows(&kept,
			   "INSERT INTO crm.lead_scores (tenant_id, model_id, lead_id, version, state, ceiling, rank_key, next_crossing, inside) "
			   "SELECT $1, $2, p.lead_id, $3, p.state, p.ceiling, p.rank_key, p.next_crossing, p.inside FROM kept AS p WHERE NOT p.known",
			   written);
	write_rows(&kept,
			   "UPDATE crm.lead_scores AS s SET version = $3, state = p.state, ceiling = p.ceiling, rank_key = p.rank_key, "
			   "next_crossing = p.next_crossing, inside = p.inside FROM kept AS p "
			   "WHERE s.tenant_id = $1 AND s.model_id = $2 AND s.lead_id = p.lead_id AND s.lead_id BETWEEN $4 AND $5 AND p.known",
			   written);
	tuplestore_end(seen.rows);
	tuplestore_end(crossed.rows);
	tuplestore_end(failing.rows);
	tuplestore_end(kept.rows);
	SPI_finish();
	PG_RETURN_INT32(done);
}
