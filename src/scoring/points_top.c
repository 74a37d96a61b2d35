/*
 * points_top.c
 *	  The best leads of an instant, from the rank index.
 *
 * A lead is worth at most ceiling + 2^(key - t / H); see points.c.  What does
 * not decay takes few values, since it is a sum of the points of rules.  So we
 * walk down the ceilings, and below each down the keys, and stop as soon as
 * no row that is left can beat the n-th best found: below a ceiling when the
 * row's bound is too low, altogether when even the best key of all leads on
 * top of the ceiling would not do.
 *
 * Below a ceiling the index goes on by lead, as the ranking does: of the many
 * leads that are worth just the ceiling, no more are read than are wanted.
 * Once enough are found, a ceiling is asked for the keys that could still beat
 * one of them, which most ceilings do not have.
 */
#include "crm.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "scoring/counts.h"
#include "scoring/points_sql.h"

PG_FUNCTION_INFO_V1(crm_points_top);

typedef struct Candidate
{
	int64		lead;
	double		total;
	double		unclamped;
	struct varlena *state;		/* as stored */
} Candidate;

/* Better first: by score, then by what it is without limits, then by id. */
static int
candidate_cmp(const Candidate *a, const Candidate *b)
{
	if (a->total != b->total)
		return a->total > b->total ? -1 : 1;
	if (a->unclamped != b->unclamped)
		return a->unclamped > b->unclamped ? -1 : 1;
	return a->lead < b->lead ? -1 : a->lead > b->lead;
}

/* the worst on top of the heap */
static int
worst_first(Datum a, Datum b, void *arg)
{
	return candidate_cmp((Candidate *) DatumGetPointer(a), (Candidate *) DatumGetPointer(b));
}

static int
best_first(const void *a, const void *b)
{
	return candidate_cmp(*(Candidate *const *) a, *(Candidate *const *) b);
}

static const Oid types[] = {INT8OID, INT8OID, INT4OID, FLOAT8OID, FLOAT8OID};

/* Ceiling and key of the first row a query finds; false where it finds none. */
static bool
first_row(const char *sql, Datum *args, double *ceiling, double *key)
{
	bool		isnull;

	crm_execute(sql, 5, types, args, NULL, true, 1);
	if (SPI_processed == 0)
		return false;
	*ceiling = DatumGetFloat8(crm_spi_value(0, 1, &isnull));
	*key = DatumGetFloat8(crm_spi_value(0, 2, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return true;
}

#define OF_MODEL "FROM crm.lead_scores AS s WHERE s.tenant_id = $1 AND s.model_id = $2 AND s.version = $3 "
#define OF_CEILING OF_MODEL "AND s.ceiling = $4 AND s.rank_key >= $5 ORDER BY s.rank_key DESC, s.lead_id"

Datum
crm_points_top(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PointsModel *m;
	int			n = PG_GETARG_INT32(4);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(5);
	binaryheap *heap;
	Candidate **sorted;
	PointsScore score;
	Datum		args[5];
	double		best_key;
	double		ceiling;
	double		key;
	MemoryContext context = CurrentMemoryContext;
	MemoryContext row;
	int			found = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (TIMESTAMP_NOT_FINITE(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("an instant is infinite")));
	if (n <= 0)
		PG_RETURN_NULL();
	m = compiled_model(fcinfo, 3, (CompileModel) points_compile);
	points_score_memory(m, &score);
	heap = binaryheap_allocate(n, worst_first, NULL);

	row = AllocSetContextCreate(context, "crm top leads row", ALLOCSET_DEFAULT_SIZES);

	SPI_connect();
	for (int i = 0; i < 3; i++)
		args[i] = fcinfo->args[i].value;
	args[3] = args[4] = Float8GetDatum(0);
	/* rows without a key, as most leads' are, are in the other index only */
	if (!first_row("SELECT s.ceiling, s.rank_key " OF_MODEL
				   "AND s.rank_key > -1e300 AND $4 = $5 ORDER BY s.rank_key DESC LIMIT 1", args, &ceiling, &best_key))
		best_key = POINTS_NO_KEY;
	if (first_row("SELECT s.ceiling, s.rank_key " OF_MODEL
				  "AND $4 = $5 ORDER BY s.ceiling DESC, s.rank_key DESC LIMIT 1", args, &ceiling, &key))
	{
		do
		{
			Portal		portal;
			bool		more = true;
			long		fetch = n;

			CHECK_FOR_INTERRUPTS();
			args[3] = Float8GetDatum(ceiling);
			args[4] = Float8GetDatum(POINTS_NO_KEY);
			if (heap->bh_size == n)
			{
				const Candidate *worst = (Candidate *) DatumGetPointer(binaryheap_first(heap));

				if (points_rank_bound(m, ceiling, best_key, at) < worst->unclamped)
					break;
				/* most ceilings have nothing to offer, as their best key shows */
				if (points_rank_bound(m, ceiling, key, at) < worst->unclamped)
					continue;
				args[4] = Float8GetDatum(points_rank_key_for(m, ceiling, worst->unclamped, at));
				fetch = 4;
			}
			portal = SPI_cursor_open(NULL,
									 crm_plan("SELECT s.lead_id, s.rank_key, s.state " OF_CEILING, 5, types, InvalidOid),
									 args, NULL, true);
			while (more)
			{
				SPI_cursor_fetch(portal, true, fetch);
				more = SPI_processed == fetch;
				fetch = Min(2 * fetch, 32);
				for (uint64 i = 0; i < SPI_processed; i++)
				{
					bool		isnull;
					Candidate	c;
					const Candidate *worst = NULL;
					struct varlena *state;
					MemoryContext old;

					key = DatumGetFloat8(crm_spi_value(i, 2, &isnull));
					c.lead = DatumGetInt64(crm_spi_value(i, 1, &isnull));
					if (heap->bh_size == n)
						worst = (Candidate *) DatumGetPointer(binaryheap_first(heap));

					/*
					 * Bounds and ranking are by the sum before the limits,
					 * which orders as the total does where that differs.  What has
					 * no key is worth the ceiling at most, exactly, and comes in the
					 * order of leads.
					 */
					if (worst &&
						(points_rank_bound(m, ceiling, key, at) < worst->unclamped ||
						 (key <= POINTS_NO_KEY && worst->unclamped >= ceiling && worst->lead < c.lead)))
					{
						more = false;
						break;
					}
					/* far more are looked at than kept */
					old = MemoryContextSwitchTo(row);
					state = DatumGetByteaPP(crm_spi_value(i, 3, &isnull));
					points_evaluate(m, points_unpack(m, state), at, &score);
					c.total = score.total;
					c.unclamped = score.unclamped;
					if (worst == NULL || candidate_cmp(&c, worst) < 0)
					{
						Candidate  *kept;

						MemoryContextSwitchTo(context);
						kept = palloc(sizeof(Candidate));
						*kept = c;
						kept->state = palloc(VARSIZE_ANY(state));
						memcpy(kept->state, state, VARSIZE_ANY(state));
						if (worst == NULL)
							binaryheap_add(heap, PointerGetDatum(kept));
						else
							binaryheap_replace_first(heap, PointerGetDatum(kept));
					}
					MemoryContextSwitchTo(old);
					MemoryContextReset(row);
				}
				SPI_freetuptable(SPI_tuptable);
			}
			SPI_cursor_close(portal);
		} while (first_row("SELECT s.ceiling, s.rank_key " OF_MODEL
						   "AND s.ceiling < $4 AND $5 = $5 ORDER BY s.ceiling DESC, s.rank_key DESC LIMIT 1",
						   args, &ceiling, &key));
	}
	SPI_finish();

	found = heap->bh_size;
	sorted = palloc(sizeof(Candidate *) * Max(found, 1));
	for (int i = 0; i < found; i++)
		sorted[i] = (Candidate *) DatumGetPointer(heap->bh_nodes[i]);
	qsort(sorted, found, sizeof(Candidate *), best_first);
	for (int i = 0; i < found; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {0};
		PointsState *state = points_unpack(m, sorted[i]->state);
		char	   *grade;

		points_evaluate(m, state, at, &score);
		grade = points_grade_text(m, state, &score);
		values[0] = Int64GetDatum(sorted[i]->lead);
		values[1] = points_rounded(score.fit);
		values[2] = points_rounded(score.engagement);
		values[3] = points_rounded(score.total);
		nulls[4] = grade == NULL;
		if (grade)
			values[4] = CStringGetTextDatum(grade);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
