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
	PointsState *state;
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

static bool
one_double(const char *sql, Datum *args, double *to)
{
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, FLOAT8OID};
	bool		isnull;

	crm_execute(sql, 4, types, args, NULL, true, 1);
	if (SPI_processed == 0)
		return false;
	*to = DatumGetFloat8(crm_spi_value(0, 1, &isnull));
	SPI_freetuptable(SPI_tuptable);
	return true;
}

#define OF_MODEL "FROM crm.lead_scores AS s WHERE s.tenant_id = $1 AND s.model_id = $2 AND s.version = $3 "

Datum
crm_points_top(PG_FUNCTION_ARGS)
{
	static const Oid types[] = {INT8OID, INT8OID, INT4OID, FLOAT8OID};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PointsModel *m;
	int			n = PG_GETARG_INT32(4);
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(5);
	binaryheap *heap;
	Candidate **sorted;
	PointsScore score;
	Datum		args[4];
	double		best_key;
	double		ceiling;
	MemoryContext context = CurrentMemoryContext;
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

	SPI_connect();
	for (int i = 0; i < 3; i++)
		args[i] = fcinfo->args[i].value;
	args[3] = Float8GetDatum(0);
	/* rows without a key, as most leads' are, are in the other index only */
	if (!one_double("SELECT s.rank_key " OF_MODEL "AND s.rank_key > -1e300 AND $4 = $4 ORDER BY s.rank_key DESC LIMIT 1", args, &best_key))
		best_key = POINTS_NO_KEY;
	if (one_double("SELECT s.ceiling " OF_MODEL "AND $4 = $4 ORDER BY s.ceiling DESC, s.rank_key DESC LIMIT 1", args, &ceiling))
	{
		do
		{
			Portal		portal;
			bool		more = true;
			long		fetch = 1;

			CHECK_FOR_INTERRUPTS();
			if (heap->bh_size == n &&
				points_rank_bound(m, ceiling, best_key, at) <
				((Candidate *) DatumGetPointer(binaryheap_first(heap)))->unclamped)
				break;
			args[3] = Float8GetDatum(ceiling);
			portal = SPI_cursor_open(NULL,
									 crm_plan("SELECT s.lead_id, s.rank_key, s.state " OF_MODEL
											  "AND s.ceiling = $4 ORDER BY s.rank_key DESC", 4, types, InvalidOid),
									 args, NULL, true);
			while (more)
			{
				/* most ceilings have nothing to offer */
				SPI_cursor_fetch(portal, true, fetch);
				more = SPI_processed == fetch;
				fetch = Min(4 * fetch, 64);
				for (uint64 i = 0; i < SPI_processed; i++)
				{
					bool		isnull;
					Candidate	c;
					double		key = DatumGetFloat8(crm_spi_value(i, 2, &isnull));
					MemoryContext old;

					/*
					 * Bounds and ranking are by the sum before the limits,
					 * which orders as the total does where that differs.
					 */
					if (heap->bh_size == n &&
						points_rank_bound(m, ceiling, key, at) <
						((Candidate *) DatumGetPointer(binaryheap_first(heap)))->unclamped)
					{
						more = false;
						break;
					}
					old = MemoryContextSwitchTo(context);
					c.lead = DatumGetInt64(crm_spi_value(i, 1, &isnull));
					c.state = points_unpack(m, DatumGetByteaPP(crm_spi_value(i, 3, &isnull)));
					points_evaluate(m, c.state, at, &score);
					c.total = score.total;
					c.unclamped = score.unclamped;
					if (heap->bh_size < n ||
						candidate_cmp(&c, (Candidate *) DatumGetPointer(binaryheap_first(heap))) < 0)
					{
						Candidate  *kept = palloc(sizeof(Candidate));

						*kept = c;
						if (heap->bh_size < n)
							binaryheap_add(heap, PointerGetDatum(kept));
						else
							binaryheap_replace_first(heap, PointerGetDatum(kept));
					}
					MemoryContextSwitchTo(old);
				}
				SPI_freetuptable(SPI_tuptable);
			}
			SPI_cursor_close(portal);
		} while (one_double("SELECT s.ceiling " OF_MODEL
							"AND s.ceiling < $4 ORDER BY s.ceiling DESC, s.rank_key DESC LIMIT 1", args, &ceiling));
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
		char	   *grade;

		points_evaluate(m, sorted[i]->state, at, &score);
		grade = points_grade_text(m, sorted[i]->state, &score);
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
