/*
 * points_store.c
 *	  The states of one lead: reading, computing and writing them.
 *
 * A trigger does a handful of lookups by key for one lead.  Each is a query whose
 * plan is kept; everything between them is done here, and states that did not
 * change are not written.  The lead and its row of score_subjects are locked
 * first, in this order whatever the cause, so that two writers of a lead come
 * one after the other.
 *
 * The functions that lead here set the search_path and forbid plans that read
 * whole tables.
 */
#include "base/crm.h"
#include "base/json.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "scoring/points_store.h"

/* ---- the models of a tenant ---- */

typedef struct TenantModels
{
	int			n;
	ScoredModel *models;		/* without the compiled form */
} TenantModels;

static void *
build_models(const void *key, MemoryContext context)
{
	static const Oid types[] = {INT8OID};
	Datum		args[1] = {Int64GetDatum(*(const int64 *) key)};
	TenantModels *t;
	MemoryContext old;

	crm_read_config("SELECT m.id, m.version, m.definition FROM crm.score_models AS m "
					"WHERE m.tenant_id = $1 AND m.active ORDER BY m.id", 1, types, args);
	old = MemoryContextSwitchTo(context);
	t = palloc(sizeof(TenantModels));
	t->n = (int) SPI_processed;
	t->models = palloc0(sizeof(ScoredModel) * Max(t->n, 1));
	for (int i = 0; i < t->n; i++)
	{
		ScoredModel *m = &t->models[i];
		bool		isnull;

		m->id = DatumGetInt64(crm_spi_value(i, 1, &isnull));
		m->version = DatumGetInt32(crm_spi_value(i, 2, &isnull));
		m->definition = PointerGetDatum(PG_DETOAST_DATUM_COPY(crm_spi_value(i, 3, &isnull)));
	}
	MemoryContextSwitchTo(old);
	return t;
}

static CrmKept active_models = {
	.what = "active score models",
	.tables = {"score_models"},
	.build = build_models,
};

Oid
crm_scorer_owner(void)
{
	return crm_kept_owner(&active_models);
}

/*
 * Key of the lock that whoever writes states of a tenant shares.  Tenants share
 * 256 locks: one statement over all of them must not fill the server's table of
 * locks.
 */
static int64
lock_group(int64 tenant)
{
	return tenant % 256;
}

PG_FUNCTION_INFO_V1(crm_scores_lock);

/* crm.scores_lock(tenant_id) -> bigint */
Datum
crm_scores_lock(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(lock_group(PG_GETARG_INT64(0)));
}

/*
 * The active models of a tenant, held in the current memory context.  Before
 * they are read the right to write states by them is taken, until the transaction
 * ends; see crm_internal.hold_scores().  SPI must be connected.
 */
Scorer *
crm_scorer_open(int64 tenant)
{
	Scorer	   *s = palloc0(sizeof(Scorer));
	TenantModels *t;

	if (IsolationUsesXactSnapshot())
	{
		static const Oid types[] = {INT8OID};
		Datum		args[1] = {Int64GetDatum(tenant)};

		crm_execute("SELECT crm_internal.hold_scores($1)", 1, types, args, NULL, false, 0);
		SPI_freetuptable(SPI_tuptable);
	}
	else
		(void) crm_take_lock("scores", lock_group(tenant), "", true, true);
	/* who had the lock before us may have changed the rules */
	AcceptInvalidationMessages();
	t = crm_kept(&active_models, &tenant, sizeof(tenant));
	s->tenant = tenant;
	s->n = t->n;
	s->models = palloc(sizeof(ScoredModel) * Max(t->n, 1));
	for (int i = 0; i < t->n; i++)
	{
		s->models[i] = t->models[i];
		s->models[i].model = crm_points_held_model(t->models[i].definition);
	}
	s->now = GetCurrentTransactionStartTimestamp();
	s->lead =
		AllocSetContextCreate(CurrentMemoryContext, "crm scored lead", ALLOCSET_DEFAULT_SIZES);
	return s;
}

/* ---- rows ---- */

/* The facts that are kept of a lead. */
typedef struct Subject
{
	Jsonb	   *attributes;		/* NULL: nothing */
	int64		last_id;
	TimestampTz last_at;
	bool		doubted;		/* somebody is changing what rules see of it */
} Subject;

static const Oid lead_types[] = {INT8OID, INT8OID};

static struct varlena *
copied(Datum d)
{
	return (struct varlena *) PG_DETOAST_DATUM_COPY(d);
}

static bool
read_subject(const Scorer *s, Datum *key, Subject *u)
{
	bool		isnull;
	Datum		d;

	crm_execute("SELECT u.attributes, u.last_event_id, u.last_event_at FROM crm.leads AS l "
				"JOIN crm.score_subjects AS u ON u.tenant_id = l.tenant_id AND u.lead_id = l.id "
				"WHERE l.tenant_id = $1 AND l.id = $2 FOR NO KEY UPDATE OF l, u", 2, lead_types, key, NULL, false, 0);
	if (SPI_processed == 0)
	{
		SPI_freetuptable(SPI_tuptable);
		return false;
	}
	d = crm_spi_value(0, 1, &isnull);
	u->attributes = isnull ? NULL : (Jsonb *) copied(d);
	u->last_id = DatumGetInt64(crm_spi_value(0, 2, &isnull));
	u->last_at = DatumGetTimestampTz(crm_spi_value(0, 3, &isnull));
	u->doubted = false;
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* Lock a lead; it is made a subject where it is none. */
static void
lock_subject(const Scorer *s, Datum *key, Subject *u)
{
	if (read_subject(s, key, u))
		return;
	crm_execute("INSERT INTO crm.score_subjects (tenant_id, lead_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
				2, lead_types, key, NULL, false, 0);
	if (!read_subject(s, key, u))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("a lead came to be scored by another transaction meanwhile"),
				 errhint("Try the transaction again.")));
}

static void
read_standing(const Scorer *s, const ScoredModel *m, int64 lead, Standing *before)
{
	static const Oid types[] = {INT8OID, INT8OID, INT8OID};
	Datum		args[3] = {Int64GetDatum(s->tenant), Int64GetDatum(lead), Int64GetDatum(m->id)};
	bool		isnull;

	crm_execute("SELECT s.version, s.state, s.ceiling, s.rank_key, s.next_crossing, s.inside FROM crm.lead_scores AS s "
				"WHERE s.tenant_id = $1 AND s.lead_id = $2 AND s.model_id = $3", 3, types, args, NULL, false, 0);
	memset(before, 0, sizeof(Standing));
	if (SPI_processed > 0)
	{
		before->known = true;
		before->version = DatumGetInt32(crm_spi_value(0, 1, &isnull));
		before->state = (bytea *) copied(crm_spi_value(0, 2, &isnull));
		before->ceiling = DatumGetFloat8(crm_spi_value(0, 3, &isnull));
		before->rank_key = DatumGetFloat8(crm_spi_value(0, 4, &isnull));
		before->next_crossing = DatumGetTimestampTz(crm_spi_value(0, 5, &isnull));
		before->crosses = !isnull;
		before->inside = (ArrayType *) copied(crm_spi_value(0, 6, &isnull));
	}
	SPI_freetuptable(SPI_tuptable);
}

static void
write_crossings(const Scorer *s, const ScoredModel *m, int64 lead, const PointsCrossing *crossings)
{
	static const Oid types[] = {INT8OID, INT8OID, INT8OID, TEXTOID, TEXTOID,
	TIMESTAMPTZOID, NUMERICOID};

	for (const PointsCrossing *c = crossings; c; c = c->next)
	{
		Datum		args[7] = {Int64GetDatum(s->tenant), Int64GetDatum(m->id), Int64GetDatum(lead),
			CStringGetTextDatum(m->model->thresholds[c->threshold].name),
			CStringGetTextDatum(c->up ? "up" : "down"),
			TimestampTzGetDatum(c->at), crm_points_rounded(c->score)};

		crm_execute("INSERT INTO crm.score_crossings (tenant_id, model_id, lead_id, threshold, direction, crossed_at, score) "
					"VALUES ($1, $2, $3, $4, $5, $6, $7)", 7, types, args, NULL, false, 0);
	}
}

static void
write_failures(const Scorer *s, const ScoredModel *m, int64 lead, const PointsState *state)
{
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, INT8OID, TEXTARRAYOID};
	ArrayType  *failed = crm_points_failed(m->model, state);
	Datum		args[5] = {Int64GetDatum(s->tenant), Int64GetDatum(m->id),
		Int32GetDatum(m->version), Int64GetDatum(lead), PointerGetDatum(failed)};

	if (failed)
		crm_execute("INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key) "
					"SELECT x.* FROM crm_internal.failed_rules($1, $2, $3, $4, $5) AS x ON CONFLICT DO NOTHING",
					5, types, args, NULL, false, 0);
}

/*
 * Write how a lead stands now, and what it has crossed.  Where replayed, a
 * state that says the same as before is left: writing it would only move its clock.
 */
static void
write_standing(const Scorer *s, const ScoredModel *m, int64 lead, const Standing *before,
			   PointsState *state, const PointsCrossing *crossings, int64 basis, bool replayed)
{
	static const Oid types[] = {INT8OID, INT8OID, INT8OID, INT4OID, BYTEAOID,
	FLOAT8OID, FLOAT8OID, TIMESTAMPTZOID, TEXTARRAYOID};
	PointsKept	now;
	Datum		args[9];
	char		nulls[] = "         ";

	crm_points_keep(m->model, state, basis, &now);
	write_crossings(s, m, lead, crossings);
	write_failures(s, m, lead, state);
	if (before->known)
		crm_points_keep_rank(&now, before->ceiling, before->rank_key);
	if (replayed && before->known && before->version == m->version &&
		(!before->crosses || before->next_crossing > basis) &&
		crm_points_equal(before->state, now.state))
		return;
	args[0] = Int64GetDatum(s->tenant);
	args[1] = Int64GetDatum(lead);
	args[2] = Int64GetDatum(m->id);
	args[3] = Int32GetDatum(m->version);
	args[4] = PointerGetDatum(now.state);
	args[5] = Float8GetDatum(now.ceiling);
	args[6] = Float8GetDatum(now.rank_key);
	args[7] = TimestampTzGetDatum(now.next_crossing);
	nulls[7] = now.crosses ? ' ' : 'n';
	args[8] = PointerGetDatum(crm_points_inside(m->model, state));
	if (before->known)
	{
		crm_execute("UPDATE crm.lead_scores AS s SET version = $4, state = $5, ceiling = $6, "
					"rank_key = $7, next_crossing = $8, inside = $9 "
					"WHERE s.tenant_id = $1 AND s.lead_id = $2 AND s.model_id = $3",
					9, types, args, nulls, false, 0);
		if (SPI_processed > 0)
			return;
	}
	crm_execute("INSERT INTO crm.lead_scores (tenant_id, lead_id, model_id, version, state, ceiling, rank_key, next_crossing, inside) "
				"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, lead_id, model_id) DO UPDATE "
				"SET version = excluded.version, state = excluded.state, ceiling = excluded.ceiling, rank_key = excluded.rank_key, "
				"next_crossing = excluded.next_crossing, inside = excluded.inside", 9, types, args, nulls, false, 0);
}

/* ---- what can be done with a lead ---- */

static void
write_facts(Datum *key, Jsonb *facts)
{
	static const Oid types[] = {INT8OID, INT8OID, JSONBOID};
	Datum		args[3] = {key[0], key[1], PointerGetDatum(facts)};

	crm_execute("UPDATE crm.score_subjects AS u SET attributes = $3 WHERE u.tenant_id = $1 AND u.lead_id = $2",
				3, types, args, facts ? NULL : "  n", false, 0);
}

/* The facts kept of a lead may be out of date: readers replay it, and the worker mends it. */
void
crm_scorer_doubt_lead(const Scorer *s, int64 lead)
{
	Datum		key[2] = {Int64GetDatum(s->tenant), Int64GetDatum(lead)};

	write_facts(key, NULL);
	crm_execute("UPDATE crm.lead_scores AS s SET version = -1 WHERE s.tenant_id = $1 AND s.lead_id = $2",
				2, lead_types, key, NULL, false, 0);
	crm_execute("UPDATE crm.score_replays AS r SET complete = false, through_lead_id = NULL WHERE r.tenant_id = $1",
				2, lead_types, key, NULL, false, 0);
}

/* The state of a lead from all its events; its thresholds are those it was above before. */
static void
replay(Scorer *s, const ScoredModel *m, int64 lead, Subject *u, const Standing *before,
	   TimestampTz at)
{
	PointsState *state;
	PointsCrossing *crossings;
	bytea	   *folded = NULL;

	at = Max(at, u->last_at);
	if (u->attributes == NULL)
	{
		Datum		key[2] = {Int64GetDatum(s->tenant), Int64GetDatum(lead)};

		u->attributes = crm_scorer_settled_facts(s, lead, NULL, &u->doubted);
		if (u->attributes)
			write_facts(key, u->attributes);
	}
	if (u->last_id > 0)
	{
		static const Oid types[] = {INT8OID, INT8OID, INT8OID, JSONBOID};
		Datum		args[4] = {Int64GetDatum(s->tenant), Int64GetDatum(lead),
			Int64GetDatum(u->last_id), m->definition};
		bool		isnull;
		Datum		d;

		crm_execute("SELECT crm.points_replay($4, e.kind, e.object, e.occurred_at, e.attributes ORDER BY e.id) "
					"FROM crm.score_events AS e WHERE e.tenant_id = $1 AND e.lead_id = $2 AND e.id <= $3",
					4, types, args, NULL, false, 0);
		d = crm_spi_value(0, 1, &isnull);
		if (!isnull)
			folded = (bytea *) copied(d);
		SPI_freetuptable(SPI_tuptable);
	}
	state = crm_points_refit(m->model, folded, before->inside, u->attributes, at, before->state,
							 &crossings);
	write_standing(s, m, lead, before, state, crossings, at, true);
}

/*
 * Replay a lead whose row of score_subjects the caller has locked.  Returns
 * whether there is one, and such a model.
 */
bool
crm_scorer_replay_lead(Scorer *s, int64 model, int64 lead, TimestampTz at)
{
	MemoryContext old = MemoryContextSwitchTo(s->lead);
	Datum		key[2] = {Int64GetDatum(s->tenant), Int64GetDatum(lead)};
	Subject		u;
	Standing	before;
	bool		found = false;

	for (int i = 0; i < s->n; i++)
	{
		if (s->models[i].id != model || !read_subject(s, key, &u))
			continue;
		read_standing(s, &s->models[i], lead, &before);
		replay(s, &s->models[i], lead, &u, &before, at);
		if (u.doubted)
			crm_scorer_doubt_lead(s, lead);
		found = true;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(s->lead);
	return found;
}

/* ---- events ---- */

struct LeadEvents
{
	Scorer	   *s;
	int64		lead;
	Subject		u;
	MemoryContext row;
	Standing   *before;			/* per model */
	PointsFolding **folding;	/* per model; NULL: to be replayed */
};

LeadEvents *
crm_scorer_begin_events(Scorer *s, int64 lead, int64 first_id)
{
	MemoryContext old = MemoryContextSwitchTo(s->lead);
	LeadEvents *e = palloc0(sizeof(LeadEvents));
	Datum		key[2] = {Int64GetDatum(s->tenant), Int64GetDatum(lead)};

	e->s = s;
	e->lead = lead;
	e->row = AllocSetContextCreate(s->lead, "crm score event", ALLOCSET_DEFAULT_SIZES);
	lock_subject(s, key, &e->u);
	e->before = palloc(sizeof(Standing) * Max(s->n, 1));
	e->folding = palloc0(sizeof(PointsFolding *) * Max(s->n, 1));
	for (int i = 0; i < s->n; i++)
	{
		const ScoredModel *m = &s->models[i];
		Standing   *before = &e->before[i];

		read_standing(s, m, lead, before);
		/* a state of the present rules, and events that come in the order of id: fold */
		if (first_id > e->u.last_id &&
			(before->known ? before->version == m->version :
							 e->u.last_id == 0 && e->u.attributes == NULL))
			e->folding[i] = crm_points_begin_folding(m->model, before->state);
	}
	MemoryContextSwitchTo(old);
	return e;
}

void
crm_scorer_take_event(LeadEvents *e, const ScoreEvent *event)
{
	MemoryContext old = MemoryContextSwitchTo(e->row);

	for (int i = 0; i < e->s->n; i++)
		if (e->folding[i])
			crm_points_fold_event(e->folding[i], e->s->lead, event->kind, event->object,
								  event->at, event->attributes, true);
	e->u.last_id = Max(e->u.last_id, event->id);
	e->u.last_at = Max(e->u.last_at, event->at);
	MemoryContextSwitchTo(old);
	MemoryContextReset(e->row);
}

void
crm_scorer_end_events(LeadEvents *e)
{
	static const Oid types[] = {INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID};
	Scorer	   *s = e->s;
	MemoryContext old = MemoryContextSwitchTo(s->lead);
	Datum		args[4] = {Int64GetDatum(s->tenant), Int64GetDatum(e->lead),
		Int64GetDatum(e->u.last_id), TimestampTzGetDatum(e->u.last_at)};

	crm_execute("UPDATE crm.score_subjects AS u SET last_event_id = $3, last_event_at = $4 WHERE u.tenant_id = $1 AND u.lead_id = $2",
				4, types, args, NULL, false, 0);
	for (int i = 0; i < s->n; i++)
	{
		const ScoredModel *m = &s->models[i];
		PointsFolding *f = e->folding[i];

		if (f)
			write_standing(s, m, e->lead, &e->before[i], f->state, f->crossings, PG_INT64_MIN,
						   false);
		else
			replay(s, m, e->lead, &e->u, &e->before[i], s->now);
	}
	if (e->u.doubted)
		crm_scorer_doubt_lead(s, e->lead);
	MemoryContextSwitchTo(old);
	MemoryContextReset(s->lead);
}
