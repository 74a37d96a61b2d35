/*
 * logistic_sql.c
 *	  crm.logistic_fit and crm.logistic_predict.
 */
#include "base/crm.h"

#include <float.h>
#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "scoring/logistic.h"
#include "scoring/model_sql.h"

/* The memory of an aggregate's state. */
void
crm_model_memory(FunctionCallInfo fcinfo, MemoryContext *context, const char *name)
{
	if (!AggCheckCallContext(fcinfo, context))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function of aggregate %s called outside an aggregate", name)));
}

/* An outcome is 0 or 1. */
bool
crm_model_outcome(double y, const char *function)
{
	if (y != 0 && y != 1)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("outcome %g passed to \"crm.%s\" is neither 0 nor 1", y, function),
				 errhint("Cast a boolean with (won)::int; leave rows without an outcome out with FILTER (WHERE ...).")));
	return y == 1;
}

void
crm_model_refuse_missing_class(int64 n, int64 wins)
{
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DATA),
				 errmsg("no row to learn from"),
				 errdetail("The input is empty, or every row has a null."),
				 errhint("Rows with a null outcome, score or feature are left out: replace nulls first.")));
	if (wins == 0 || wins == n)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DATA),
				 errmsg("all " INT64_FORMAT " rows have outcome %d", n, wins > 0 ? 1 : 0),
				 errdetail("A model needs rows of both outcomes."),
				 errhint("Widen the selection of rows until it has both.")));
}

ArrayType *
crm_model_doubles(const double *v, int n, bool nan_is_null)
{
	Datum	   *d = palloc(sizeof(Datum) * Max(n, 1));
	bool	   *isnull = palloc0(Max(n, 1));
	int			lb = 1;

	for (int i = 0; i < n; i++)
	{
		d[i] = Float8GetDatum(v[i]);
		isnull[i] = nan_is_null && isnan(v[i]);
	}
	if (n == 0)
		return construct_empty_array(FLOAT8OID);
	return construct_md_array(d, isnull, 1, &n, &lb, FLOAT8OID, 8, true, TYPALIGN_DOUBLE);
}

/* The places, from 1, where a flag is set. */
static ArrayType *
indexes_where(const bool *v, int n)
{
	Datum	   *d = palloc(sizeof(Datum) * Max(n, 1));
	int			m = 0;

	for (int i = 0; i < n; i++)
		if (v[i])
			d[m++] = Int32GetDatum(i + 1);
	return construct_array(d, m, INT4OID, 4, true, TYPALIGN_INT);
}

/*
 * The values of a float8[]: without copying where no element is null.  With
 * nulls there is nothing to read.
 */
const double *
crm_model_double_array(Datum array, int *n, bool *has_null)
{
	ArrayType  *a = DatumGetArrayTypeP(array);

	if (ARR_NDIM(a) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("an array of one dimension is expected, not of %d", ARR_NDIM(a))));
	*n = ARR_NDIM(a) == 0 ? 0 : ARR_DIMS(a)[0];
	*has_null = array_contains_nulls(a);
	return (const double *) ARR_DATA_PTR(a);
}

PG_FUNCTION_INFO_V1(crm_logistic_accum);
PG_FUNCTION_INFO_V1(crm_logistic_final);
PG_FUNCTION_INFO_V1(crm_logistic_predict);
PG_FUNCTION_INFO_V1(crm_log_odds);

/* The state, from the first row with features on. */
static LogisticRows *
new_rows(MemoryContext context, int k, double lambda, bool weighted)
{
	LogisticRows *rows;
	MemoryContext old;

	if (!(lambda >= 0) || isinf(lambda))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("penalty %g of \"crm.logistic_fit\" is not a number from 0 on", lambda)));
	if (k > LOGISTIC_MAX_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%d columns are more than \"crm.logistic_fit\" takes", k),
				 errdetail("At most %d columns.", LOGISTIC_MAX_COLUMNS)));
	old = MemoryContextSwitchTo(context);
	rows = crm_logistic_rows(k, lambda, weighted);
	MemoryContextSwitchTo(old);
	return rows;
}

/* (state, y, x, lambda [, weight]): one row more. */
Datum
crm_logistic_accum(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext old;
	LogisticRows *rows;
	const double *x;
	double	   *to;
	double		y;
	int			k;
	bool		has_null;
	bool		won;
	bool		weighted = PG_NARGS() > 4;
	double		weight = 1;

	crm_model_memory(fcinfo, &context, "crm.logistic_fit");
	if (PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the penalty of \"crm.logistic_fit\" is null"),
				 errhint("Pass 0 for no penalty.")));
	rows = PG_ARGISNULL(0) ? NULL : (LogisticRows *) PG_GETARG_POINTER(0);

	if (PG_ARGISNULL(2))
	{
		/* how many columns there are is not known yet, perhaps */
		if (rows == NULL)
		{
			rows = new_rows(context, 0, PG_GETARG_FLOAT8(3), weighted);
			rows->k = -1;
		}
		rows->skipped++;
		PG_RETURN_POINTER(rows);
	}
	x = crm_model_double_array(PG_GETARG_DATUM(2), &k, &has_null);
	if (rows == NULL || rows->k < 0)
	{
		int64		skipped = rows == NULL ? 0 : rows->skipped;

		rows = new_rows(context, k, PG_GETARG_FLOAT8(3), weighted);
		rows->skipped = skipped;
	}
	if (rows->lambda != PG_GETARG_FLOAT8(3))
		crm_setting_differs("crm.logistic_fit", "lambda");
	if (k != rows->k)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a row has %d features, those before it have %d", k, rows->k)));
	if (PG_ARGISNULL(1) || has_null || (weighted && PG_ARGISNULL(4)))
	{
		rows->skipped++;
		PG_RETURN_POINTER(rows);
	}
	y = PG_GETARG_FLOAT8(1);
	won = crm_model_outcome(y, "logistic_fit");
	if (weighted)
		weight = crm_model_weight(PG_GETARG_FLOAT8(4));
	for (int j = 0; j < k; j++)
		if (!isfinite(x[j]))
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DOMAIN),
					 errmsg("feature %d of a row is %s", j + 1, isnan(x[j]) ? "NaN" : "infinite"),
					 errhint("Replace it, or make it null to leave the row out.")));
	if (weight == 0)
	{
		rows->skipped++;
		PG_RETURN_POINTER(rows);
	}
	old = MemoryContextSwitchTo(context);
	to = crm_logistic_add_row(rows, won, weight);
	MemoryContextSwitchTo(old);
	memcpy(to, x, sizeof(double) * k);
	PG_RETURN_POINTER(rows);
}

/* The training rows with their probabilities, for what is said of the fit. */
static void
training_scores(LogisticRows *rows, double *p, Scored *s)
{
	s->score = p;
	s->won = MemoryContextAllocHuge(CurrentMemoryContext, rows->n);
	if (rows->weighted)
		s->weight = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * rows->n);
	s->n = rows->n;
	s->wins = rows->wins;
	s->whole = rows->whole;
	for (int c = 0; c < rows->nchunks; c++)
	{
		int64		at = (int64) c * rows->chunk_rows;
		int64		m = Min(rows->n - at, rows->chunk_rows);

		memcpy(s->won + at, rows->y[c], m);
		if (rows->weighted)
			memcpy(s->weight + at, rows->w[c], sizeof(double) * m);
	}
	crm_weigh_scores(s);
	/* the fit has brought the weights to a mean of 1 already */
	s->unit = rows->unit;
}

Datum
crm_logistic_final(PG_FUNCTION_ARGS)
{
	LogisticRows *rows = PG_ARGISNULL(0) ? NULL : (LogisticRows *) PG_GETARG_POINTER(0);
	TupleDesc	desc = crm_result_row(fcinfo);
	LogisticFit fit;
	RankMetrics ranks;
	Scored		s = {0};
	Datum		values[24];
	bool		nulls[24] = {0};
	int			i = 0;

	crm_model_refuse_missing_class(rows == NULL ? 0 : rows->n, rows == NULL ? 0 : rows->wins);
	crm_logistic_fit(rows, &fit);
	for (int j = 0; j <= rows->k; j++)
		if (!isfinite(fit.coef[j]))
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DOMAIN),
					 errmsg("the weight of column %d is not a finite number", j),
					 errhint("Scale the column: its values are too large or too small.")));

	/* ranked by probability, since that is what the user sees */
	for (int64 r = 0; r < rows->n; r++)
		fit.eta[r] = crm_logistic_sigmoid(fit.eta[r]);
	training_scores(rows, fit.eta, &s);
	crm_rank_metrics(&s, &ranks);

	values[i++] = PointerGetDatum(crm_model_doubles(fit.coef, rows->k + 1, false));
	values[i++] = PointerGetDatum(crm_model_doubles(fit.se, rows->k + 1, true));
	values[i++] = PointerGetDatum(crm_model_doubles(fit.mean, rows->k, false));
	values[i++] = Float8GetDatum(fit.lambda);
	values[i++] = Int64GetDatum(rows->n);
	values[i++] = Int64GetDatum(rows->skipped);
	values[i++] = Int64GetDatum(rows->wins);
	values[i++] = Float8GetDatum(fit.log_likelihood);
	values[i++] = Float8GetDatum(fit.objective);
	values[i++] = Float8GetDatum(fit.log_loss);
	values[i++] = Float8GetDatum(crm_brier_score(&s));
	values[i++] = Float8GetDatum(ranks.auc);
	values[i++] = Float8GetDatum(ranks.ks);
	values[i++] = Float8GetDatum(ranks.average_precision);
	values[i++] = Float8GetDatum(crm_lift_of_top(&s, 0.1));
	values[i++] = Float8GetDatum(crm_expected_calibration_error(&s));
	values[i++] = Int32GetDatum(fit.iterations);
	values[i++] = BoolGetDatum(fit.converged);
	values[i++] = BoolGetDatum(fit.separated);
	values[i++] = PointerGetDatum(indexes_where(fit.separating, rows->k));
	values[i++] = PointerGetDatum(indexes_where(fit.aliased, rows->k));
	values[i++] = Float8GetDatum(Min(s.mass * s.unit, DBL_MAX));
	nulls[i] = fit.robust == NULL;
	if (fit.robust != NULL)
		values[i] = PointerGetDatum(crm_model_doubles(fit.robust, rows->k + 1, true));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* intercept + sum of weight * feature; false for a null */
static bool
log_odds(FunctionCallInfo fcinfo, double *eta)
{
	const double *w;
	const double *x;
	int			nw;
	int			k;
	bool		null_w;
	bool		null_x;
	double		s0,
				s1 = 0,
				s2 = 0,
				s3 = 0;
	int			j = 0;

	w = crm_model_double_array(PG_GETARG_DATUM(0), &nw, &null_w);
	x = crm_model_double_array(PG_GETARG_DATUM(1), &k, &null_x);
	if (nw != k + 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%d coefficients do not fit %d features", nw, k),
				 errdetail("The coefficients are the intercept and one weight for each feature.")));
	if (null_w || null_x)
		return false;
	s0 = w[0];
	for (; j + 4 <= k; j += 4)
	{
		s0 += w[j + 1] * x[j];
		s1 += w[j + 2] * x[j + 1];
		s2 += w[j + 3] * x[j + 2];
		s3 += w[j + 4] * x[j + 3];
	}
	for (; j < k; j++)
		s0 += w[j + 1] * x[j];
	*eta = (s0 + s1) + (s2 + s3);
	if (unlikely(!isfinite(*eta)))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("the log-odds are not a finite number"),
				 errdetail("A feature or a coefficient is NaN, infinite or too large."),
				 errhint("Look at the values, and scale them as in training.")));
	return true;
}

Datum
crm_logistic_predict(PG_FUNCTION_ARGS)
{
	double		eta;

	if (!log_odds(fcinfo, &eta))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(crm_logistic_sigmoid(eta));
}

Datum
crm_log_odds(PG_FUNCTION_ARGS)
{
	double		eta;

	if (!log_odds(fcinfo, &eta))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(eta);
}
