/*
 * experiment.c
 *	  Hold-outs and variants: the functions that SQL calls.
 */
#include "base/crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "marketing/experiment_math.h"
#include "scoring/model_sql.h"

PG_FUNCTION_INFO_V1(crm_proportion_difference);
PG_FUNCTION_INFO_V1(crm_sequential_proportions);
PG_FUNCTION_INFO_V1(crm_allocation_p);
PG_FUNCTION_INFO_V1(crm_mean_difference);

#define MOST_VALUE 1e100	/* sums of them are numbers */
#define MOST_DRAWS 200000000	/* of a bootstrap: a second or so */

static void
refuse_figure(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_CRM_MODEL_DOMAIN),
			 errmsg("%s", what),
			 errhint("%s", hint)));
}

static Share
share_argument(FunctionCallInfo fcinfo, int i)
{
	int64		hits = PG_GETARG_INT64(i),
				trials = PG_GETARG_INT64(i + 1);
	Share		s = {(double) hits, (double) trials};

	if (hits < 0 || hits > trials)
		refuse_figure("hits must be from 0 to the number of trials",
					 "Give how many there were, and how many of these answered or bought.");
	return s;
}

static double
level_argument(FunctionCallInfo fcinfo, int i)
{
	double		level = PG_GETARG_FLOAT8(i);

	if (!(level > 0 && level < 1))
		refuse_figure("level must lie between 0 and 1", "0.95 is an interval of 95 per cent.");
	return level;
}

static Datum
difference_row(FunctionCallInfo fcinfo, Difference d, double p_value)
{
	TupleDesc	desc = crm_result_row(fcinfo);
	Datum		values[4] = {Float8GetDatum(d.estimate), Float8GetDatum(d.low),
	Float8GetDatum(d.high), Float8GetDatum(p_value)};
	bool		nulls[4] = {false, false, false, false};

	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * crm.proportion_difference(hits, trials, other_hits, other_trials, level)
 */
Datum
crm_proportion_difference(PG_FUNCTION_ARGS)
{
	Share		a = share_argument(fcinfo, 0),
				b = share_argument(fcinfo, 2);
	double		level = level_argument(fcinfo, 4);

	if (a.trials == 0 || b.trials == 0)
		PG_RETURN_NULL();
	return difference_row(fcinfo, crm_newcombe(a, b, level), 0);
}

/*
 * crm.sequential_proportions(hits, trials, control_hits, control_trials, tau, level)
 */
Datum
crm_sequential_proportions(PG_FUNCTION_ARGS)
{
	Share		a = share_argument(fcinfo, 0),
				b = share_argument(fcinfo, 2);
	double		tau = PG_GETARG_FLOAT8(4),
				level = level_argument(fcinfo, 5),
				p_value;
	Difference	d;

	if (!(tau > 0 && tau <= 1))
		refuse_figure("tau must be above 0 and at most 1",
					 "It is the size of difference that is looked for: 0.03 is three points.");
	if (a.trials == 0 || b.trials == 0)
		PG_RETURN_NULL();
	d = crm_sequential_difference(a, b, tau, level, &p_value);
	return difference_row(fcinfo, d, p_value);
}

/*
 * crm.allocation_p(counts, weights)
 */
Datum
crm_allocation_p(PG_FUNCTION_ARGS)
{
	int			n,
				m;
	bool		null_count,
				null_weight;
	const double *counts = crm_model_double_array(PG_GETARG_DATUM(0), &n, &null_count);
	const double *weights = crm_model_double_array(PG_GETARG_DATUM(1), &m, &null_weight);
	double	   *shares = palloc(sizeof(double) * Max(m, 1));
	double		all = 0;

	if (n != m)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%d counts have %d weights", n, m),
				 errhint("Give one weight for each count, in the same order.")));
	for (int i = 0; i < n && !null_count && !null_weight; i++)
	{
		if (!(counts[i] >= 0 && counts[i] < 1e15 && weights[i] > 0 && weights[i] < 1e15))
			null_count = true;
		all += weights[i];
	}
	if (null_count || null_weight)
		refuse_figure("a count is null or below 0, or a weight is null or not above 0",
					 "Counts are those of groups that were drawn, weights how often each was to be.");
	if (n < 2)
		PG_RETURN_NULL();
	for (int i = 0; i < n; i++)
		shares[i] = weights[i] / all;
	PG_RETURN_FLOAT8(crm_sequential_allocation(n, counts, shares));
}

static const double *
values_argument(FunctionCallInfo fcinfo, int i, int *n)
{
	bool		has_null;
	const double *x = crm_model_double_array(PG_GETARG_DATUM(i), n, &has_null);

	for (int k = 0; k < *n && !has_null; k++)
		has_null = !(fabs(x[k]) <= MOST_VALUE);
	if (has_null)
		refuse_figure("a value is null, not finite or beyond 1e100", "Put 0 for whoever brought nothing.");
	return x;
}

/*
 * crm.mean_difference(a, b, level, resamples, seed)
 */
Datum
crm_mean_difference(PG_FUNCTION_ARGS)
{
	int			na,
				nb;
	const double *a = values_argument(fcinfo, 0, &na);
	const double *b = values_argument(fcinfo, 1, &nb);
	double		level = level_argument(fcinfo, 2);
	int			resamples = PG_GETARG_INT32(3);

	if (resamples < 100 || resamples > 100000)
		refuse_figure("resamples must be from 100 to 100000", "2000 is enough for an interval of 95 per cent.");
	if (na == 0 || nb == 0)
		PG_RETURN_NULL();
	/* of large groups the mean moves little from one draw to the next */
	while ((double) resamples * ((double) na + nb) > MOST_DRAWS && resamples > 200)
		resamples /= 2;
	return difference_row(fcinfo, crm_bootstrap_difference(na, a, nb, b, level, resamples,
														   (uint64) PG_GETARG_INT64(4)), 0);
}
