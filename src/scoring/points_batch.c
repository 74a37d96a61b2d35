/*
 * points_batch.c
 *	  Fit of the leads of a statement anew.
 *
 * What a statement has changed is taken a thousand leads at a time: one query
 * reads and locks what is known of them, one their states, and one statement a
 * table writes what has become different.  So a lead costs what its rows cost,
 * and not a round of queries of its own.
 *
 * Every query takes the leads one by one from a list, see points_facts.c.
 *
 * The functions that lead here set the search_path and forbid plans that read
 * whole tables.
 */
#include "base/crm.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "scoring/points_batch.h"

static const Oid tenant_type[] = {INT8OID};

/* ---- what is known of leads ---- */

static CrmCollected
collect_for(const Batch *b, const char *name, int ncolumns, const char *const *columns,
			const Oid *types)
{
	MemoryContext old = MemoryContextSwitchTo(b->context);
	CrmCollected c = crm_collect_rows(name, ncolumns, columns, types, 1);

	MemoryContextSwitchTo(old);
	return c;
}

static bool
same_document(const Jsonb *a, const Jsonb *b)
{
	return a && VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

static void
collect_seen(Batch *b, const BatchLead *l)
{
	static const char *const columns[] = {"lead_id", "attributes"};
	static const Oid types[] = {INT8OID, JSONBOID};
	Datum		values[2] = {Int64GetDatum(l->id), PointerGetDatum(l->facts)};
	bool		nulls[2] = {0};

	if (b->seen.rows == NULL)
		b->seen = collect_for(b, "seen", lengthof(columns), columns, types);
	crm_collect_row(&b->seen, values, nulls);
}

/*
 * Make leads known that nobody has scored so far.  Returns how many somebody
 * else has made known meanwhile; their ids are put into late.
 */
static int
enter_subjects(Batch *b, int64 *late)
{
	Datum		args[1] = {Int64GetDatum(b->s->tenant)};
	int			nlate = 0;
	int			at = 0;

	for (int i = 0; i < b->n; i++)
		if (!b->leads[i].subject)
			collect_seen(b, &b->leads[i]);
	if (b->seen.rows == NULL)
		return 0;
	crm_execute("INSERT INTO crm.score_subjects (tenant_id, lead_id, attributes) "
				"SELECT $1, p.lead_id, p.attributes FROM seen AS p "
				"ON CONFLICT DO NOTHING RETURNING lead_id", 1, tenant_type, args, NULL, false, 0);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		BatchLead  *l = crm_batch_lead(b, i, &at);

		if (l)
			l->changed = true;
	}
	SPI_freetuptable(SPI_tuptable);
	for (int i = 0; i < b->n; i++)
		if (!b->leads[i].subject && !b->leads[i].changed)
			late[nlate++] = b->leads[i].id;
	tuplestore_clear(b->seen.rows);
	return nlate;
}

static void
write_seen(Batch *b)
{
	Datum		args[1] = {Int64GetDatum(b->s->tenant)};
	bool		any = false;

	for (int i = 0; i < b->n; i++)
	{
		BatchLead  *l = &b->leads[i];

		if (l->subject && !same_document(l->known, l->facts))
		{
			l->changed = any = true;
			collect_seen(b, l);
		}
	}
	if (any)
		crm_execute("INSERT INTO crm.score_subjects AS u (tenant_id, lead_id, attributes) "
					"SELECT $1, p.lead_id, p.attributes FROM seen AS p "
					"ON CONFLICT (tenant_id, lead_id) DO UPDATE SET attributes = excluded.attributes",
					1, tenant_type, args, NULL, false, 0);
}

/* ---- states ---- */

static void
collect_crossings(Batch *b, const ScoredModel *m, int64 lead, const PointsCrossing *crossings)
{
	static const char *const columns[] = {"model_id", "lead_id", "threshold", "direction", "at",
	"score"};
	static const Oid types[] = {INT8OID, INT8OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, NUMERICOID};
	bool		nulls[6] = {0};

	if (crossings && b->crossed.rows == NULL)
		b->crossed = collect_for(b, "crossed", lengthof(columns), columns, types);
	for (const PointsCrossing *c = crossings; c; c = c->next)
	{
		Datum		values[6] = {Int64GetDatum(m->id), Int64GetDatum(lead),
			CStringGetTextDatum(m->model->thresholds[c->threshold].name),
			CStringGetTextDatum(c->up ? "up" : "down"),
			TimestampTzGetDatum(c->at), crm_points_rounded(c->score)};

		crm_collect_row(&b->crossed, values, nulls);
	}
}

static void
collect_failures(Batch *b, int model, int64 lead, PointsState *state)
{
	static const char *const columns[] = {"model_id", "version", "lead_id", "rules"};
	static const Oid types[] = {INT8OID, INT4OID, INT8OID, TEXTARRAYOID};
	const ScoredModel *m = &b->s->models[model];
	Datum		values[4] = {Int64GetDatum(m->id), Int32GetDatum(m->version), Int64GetDatum(lead)};
	bool		nulls[4] = {0};

	for (int i = 0; i < m->model->nrules; i++)
	{
		state->failed[i] &= !b->told[model][i];
		b->told[model][i] |= state->failed[i];
	}
	values[3] = PointerGetDatum(crm_points_failed(m->model, state));
	if (values[3] == (Datum) 0)
		return;
	if (b->failing.rows == NULL)
		b->failing = collect_for(b, "failing", lengthof(columns), columns, types);
	crm_collect_row(&b->failing, values, nulls);
}

/*
 * Keep a state, unless the one that stands says the same: writing it would
 * only move its clock.
 */
static void
collect_state(Batch *b, const ScoredModel *m, int64 lead, const Standing *before,
			  PointsState *state, TimestampTz at)
{
	static const char *const columns[] = {"lead_id", "model_id", "version", "state", "ceiling",
	"rank_key", "next_crossing", "inside"};
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, BYTEAOID, FLOAT8OID, FLOAT8OID,
	TIMESTAMPTZOID, TEXTARRAYOID};
	PointsKept	now;
	Datum		values[8];
	bool		nulls[8] = {0};

	crm_points_keep(m->model, state, at, &now);
	if (before->known)
	{
		crm_points_keep_rank(&now, before->ceiling, before->rank_key);
		if ((!before->crosses || before->next_crossing > at) &&
			crm_points_equal(before->state, now.state))
			return;
	}
	values[0] = Int64GetDatum(lead);
	values[1] = Int64GetDatum(m->id);
	values[2] = Int32GetDatum(m->version);
	values[3] = PointerGetDatum(now.state);
	values[4] = Float8GetDatum(now.ceiling);
	values[5] = Float8GetDatum(now.rank_key);
	values[6] = TimestampTzGetDatum(now.next_crossing);
	nulls[6] = !now.crosses;
	values[7] = PointerGetDatum(crm_points_inside(m->model, state));
	if (b->kept.rows == NULL)
		b->kept = collect_for(b, "kept", lengthof(columns), columns, types);
	crm_collect_row(&b->kept, values, nulls);
}

static void
fit_lead(Batch *b, int lead, const Standing *standings)
{
	const BatchLead *l = &b->leads[lead];
	TimestampTz at = Max(b->s->now, l->last_at);

	for (int i = 0; i < b->s->n; i++)
	{
		const ScoredModel *m = &b->s->models[i];
		const Standing *before = &standings[i];
		PointsCrossing *crossings;
		PointsState *state;

		if (before->known ? before->version != m->version : l->last_id != 0)
		{
			b->replays[lead * b->s->n + i] = true;
			continue;
		}
		state = crm_points_refit(m->model, before->known ? before->state : NULL, NULL, l->facts, at,
								 NULL, &crossings);
		collect_crossings(b, m, l->id, crossings);
		collect_failures(b, i, l->id, state);
		collect_state(b, m, l->id, before, state, at);
	}
}

/* The standing that a row of the query below says. */
static void
take_standing(const Scorer *s, HeapTuple row, TupleDesc desc, Standing *standings)
{
	bool		isnull;
	int64		model = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));

	for (int i = 0; i < s->n; i++)
		if (s->models[i].id == model)
		{
			Standing   *st = &standings[i];

			st->known = true;
			st->version = DatumGetInt32(SPI_getbinval(row, desc, 3, &isnull));
			st->state = DatumGetByteaPP(SPI_getbinval(row, desc, 4, &isnull));
			st->ceiling = DatumGetFloat8(SPI_getbinval(row, desc, 5, &isnull));
			st->rank_key = DatumGetFloat8(SPI_getbinval(row, desc, 6, &isnull));
			st->next_crossing = DatumGetTimestampTz(SPI_getbinval(row, desc, 7, &isnull));
			st->crosses = !isnull;
		}
}

/* States of leads that have changed, as they follow from those that stand. */
static void
fit_changed(Batch *b)
{
	Scorer	   *s = b->s;
	Standing   *standings = palloc(sizeof(Standing) * Max(s->n, 1));
	int64	   *ids = palloc(sizeof(int64) * Max(b->n, 1));
	SPITupleTable *rows = NULL;
	uint64		nrows = 0;
	uint64		row = 0;
	int			n = 0;

	for (int i = 0; i < b->n; i++)
		if (b->leads[i].changed && b->leads[i].subject)
			ids[n++] = b->leads[i].id;
	if (n > 0)
	{
		crm_batch_run_list(b,
						   "SELECT s.lead_id, s.model_id, s.version, s.state, s.ceiling, s.rank_key, s.next_crossing "
						   "FROM pg_catalog.unnest($2) AS i (id) CROSS JOIN LATERAL ("
						   "SELECT x.lead_id, x.model_id, x.version, x.state, x.ceiling, x.rank_key, x.next_crossing "
						   "FROM crm.lead_scores AS x "
						   "WHERE x.tenant_id = $1 AND x.lead_id = i.id OFFSET 0) AS s", ids, n);
		rows = SPI_tuptable;
		nrows = SPI_processed;
	}
	for (int i = 0; i < b->n; i++)
	{
		const BatchLead *l = &b->leads[i];
		MemoryContext old;
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		if (!l->changed)
			continue;
		old = MemoryContextSwitchTo(s->lead);
		memset(standings, 0, sizeof(Standing) * s->n);
		for (; row < nrows; row++)
		{
			HeapTuple	r = rows->vals[row];

			if (DatumGetInt64(SPI_getbinval(r, rows->tupdesc, 1, &isnull)) != l->id)
				break;
			take_standing(s, r, rows->tupdesc, standings);
		}
		fit_lead(b, i, standings);
		MemoryContextSwitchTo(old);
		MemoryContextReset(s->lead);
	}
}

static void
write_states(Batch *b)
{
	Datum		args[1] = {Int64GetDatum(b->s->tenant)};

	if (b->crossed.rows)
		crm_execute("INSERT INTO crm.score_crossings "
					"(tenant_id, model_id, lead_id, threshold, direction, crossed_at, score) "
					"SELECT $1, p.model_id, p.lead_id, p.threshold, p.direction, p.at, p.score FROM crossed AS p",
					1, tenant_type, args, NULL, false, 0);
	if (b->failing.rows)
		crm_execute("INSERT INTO crm.events "
					"(tenant_id, kind, subject_table, subject_id, payload, dedupe_key) "
					"SELECT x.* FROM failing AS p, "
					"crm_internal.failed_rules($1, p.model_id, p.version, p.lead_id, p.rules) AS x ON CONFLICT DO NOTHING",
					1, tenant_type, args, NULL, false, 0);
	if (b->kept.rows)
		crm_execute("INSERT INTO crm.lead_scores AS s "
					"(tenant_id, lead_id, model_id, version, state, ceiling, rank_key, next_crossing, inside) "
					"SELECT $1, p.lead_id, p.model_id, p.version, p.state, p.ceiling, p.rank_key, "
					"p.next_crossing, p.inside FROM kept AS p "
					"ON CONFLICT (tenant_id, lead_id, model_id) DO UPDATE SET version = excluded.version, "
					"state = excluded.state, ceiling = excluded.ceiling, rank_key = excluded.rank_key, "
					"next_crossing = excluded.next_crossing, inside = excluded.inside",
					1, tenant_type, args, NULL, false, 0);
}

/* States that are not of the present rules, and leads whose facts may be out of date. */
static void
finish_leads(Batch *b)
{
	for (int i = 0; i < b->n; i++)
	{
		const BatchLead *l = &b->leads[i];

		for (int j = 0; j < b->s->n; j++)
			if (b->replays[i * b->s->n + j])
				(void) crm_scorer_replay_lead(b->s, b->s->models[j].id, l->id, b->s->now);
		if (l->changed && l->doubted)
			crm_scorer_doubt_lead(b->s, l->id);
	}
}

/* ---- a batch ---- */

/* Returns how many leads have to be looked at once more, whose ids it puts into late. */
static int
run_batch(Scorer *s, const int64 *ids, int n, bool entered, int64 *late)
{
	Batch		b = {.s = s};
	int			nlate;

	crm_connect();
	b.context = CurrentMemoryContext;
	crm_batch_read_leads(&b, ids, n, entered);
	crm_batch_settle_facts(&b);
	b.replays = palloc0(sizeof(bool) * Max(b.n * s->n, 1));
	b.told = palloc(sizeof(bool *) * Max(s->n, 1));
	for (int i = 0; i < s->n; i++)
		b.told[i] = palloc0(sizeof(bool) * Max(s->models[i].model->nrules, 1));
	nlate = enter_subjects(&b, late);
	write_seen(&b);
	fit_changed(&b);
	write_states(&b);
	finish_leads(&b);
	crm_disconnect();
	return nlate;
}

/*
 * Fit of leads anew where what rules see of them has changed.  ids are in
 * order.  held: this statement has written them; entered: they are new.
 */
void
crm_scorer_fit_leads(Scorer *s, const int64 *ids, int n, bool held, bool entered)
{
	int64	   *late = palloc(sizeof(int64) * BATCH_LEADS);
	int64	   *later = palloc(sizeof(int64) * BATCH_LEADS);

	for (int first = 0; first < n; first += BATCH_LEADS)
	{
		Batch		b = {.s = s};
		int			size = Min(BATCH_LEADS, n - first);
		int			nlate;

		/* first the locks, then what leads are by then */
		if (!held)
		{
			crm_batch_run_list(&b,
							   "SELECT FROM pg_catalog.unnest($2) AS i (id) "
							   "CROSS JOIN LATERAL (SELECT FROM crm.leads AS x "
							   "WHERE x.tenant_id = $1 AND x.id = i.id FOR NO KEY UPDATE) AS l",
							   &ids[first], size);
			SPI_freetuptable(SPI_tuptable);
		}
		nlate = run_batch(s, &ids[first], size, entered, late);
		if (nlate > 0 && run_batch(s, late, nlate, false, later) > 0)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("a lead came to be scored by another transaction meanwhile"),
					 errhint("Try the transaction again.")));
	}
	pfree(late);
	pfree(later);
}
