/*
 * metrics_sql.c
 *	  Aggregates over (outcome, score): how good, and how to calibrate.
 *
 * All share one transition function that keeps the pairs in their order, so
 * that a query that asks for several of them collects the rows once.
 */
#include "base/crm.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "scoring/logistic.h"
#include "scoring/model_sql.h"

PG_FUNCTION_INFO_V1(crm_scored_accum);
PG_FUNCTION_INFO_V1(crm_lift_accum);
PG_FUNCTION_INFO_V1(crm_auc_final);
PG_FUNCTION_INFO_V1(crm_ks_final);
PG_FUNCTION_INFO_V1(crm_average_precision_final);
PG_FUNCTION_INFO_V1(crm_lift_final);
PG_FUNCTION_INFO_V1(crm_log_loss_final);
PG_FUNCTION_INFO_V1(crm_brier_final);
PG_FUNCTION_INFO_V1(crm_ece_final);
PG_FUNCTION_INFO_V1(crm_platt_final);
PG_FUNCTION_INFO_V1(crm_isotonic_final);
PG_FUNCTION_INFO_V1(crm_isotonic_predict);
PG_FUNCTION_INFO_V1(crm_fairness_accum);

typedef struct ScoredState
{
	Scored		s;
	double		fraction;		/* of crm.lift */
} ScoredState;

static ScoredState *
add_pair(FunctionCallInfo fcinfo)
{
	MemoryContext context;
	ScoredState *state;
	Scored	   *s;
	double		score;

	crm_model_memory(fcinfo, &context, "scores");
	if (PG_ARGISNULL(0))
	{
		state = MemoryContextAllocZero(context, sizeof(ScoredState));
		state->s.max = 1024;
		state->s.score = MemoryContextAlloc(context, sizeof(double) * state->s.max);
		state->s.won = MemoryContextAlloc(context, state->s.max);
		state->fraction = -1;
	}
	else
		state = (ScoredState *) PG_GETARG_POINTER(0);
	s = &state->s;
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return state;			/* no outcome yet, or no score: not counted */
	score = PG_GETARG_FLOAT8(2);
	if (!isfinite(score))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("a score is %s", isnan(score) ? "NaN" : "infinite"),
				 errhint("Replace it, or make it null to leave the row out.")));
	if (s->n == s->max)
	{
		if (s->max > PG_UINT32_MAX / 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many rows to rank")));
		s->max *= 2;
		s->score = repalloc_huge(s->score, sizeof(double) * s->max);
		s->won = repalloc_huge(s->won, s->max);
	}
	s->won[s->n] = crm_model_outcome(PG_GETARG_FLOAT8(1), "scores");
	s->wins += s->won[s->n];
	s->score[s->n++] = score;
	return state;
}

Datum
crm_scored_accum(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(add_pair(fcinfo));
}

/* ... of crm.lift: the fraction comes along */
Datum
crm_lift_accum(PG_FUNCTION_ARGS)
{
	ScoredState *state = add_pair(fcinfo);
	double		fraction = PG_ARGISNULL(3) ? get_float8_nan() : PG_GETARG_FLOAT8(3);

	if (!(fraction > 0 && fraction <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the fraction of \"crm.lift\" is not above 0 and at most 1"),
				 errhint("Pass 0.1 for the best tenth.")));
	if (state->fraction >= 0 && state->fraction != fraction)
		crm_setting_differs("crm.lift", "fraction");
	state->fraction = fraction;
	PG_RETURN_POINTER(state);
}

/* The pairs, or NULL where the measure is not defined. */
static const Scored *
pairs(FunctionCallInfo fcinfo, bool both_classes)
{
	const Scored *s = PG_ARGISNULL(0) ? NULL : &((ScoredState *) PG_GETARG_POINTER(0))->s;

	if (s == NULL || s->n == 0 || (both_classes && (s->wins == 0 || s->wins == s->n)))
		return NULL;
	return s;
}

static uint32 *
ranked(const Scored *s)
{
	uint32	   *order = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * s->n);

	crm_rank_scores(s->score, s->n, order);
	return order;
}

static bool
rank_figures(FunctionCallInfo fcinfo, RankMetrics *m)
{
	const Scored *s = pairs(fcinfo, true);

	if (s == NULL)
		return false;
	crm_rank_metrics(s->score, s->won, s->n, m);
	return true;
}

Datum
crm_auc_final(PG_FUNCTION_ARGS)
{
	RankMetrics m;

	if (!rank_figures(fcinfo, &m))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(m.auc);
}

Datum
crm_ks_final(PG_FUNCTION_ARGS)
{
	RankMetrics m;

	if (!rank_figures(fcinfo, &m))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(m.ks);
}

Datum
crm_average_precision_final(PG_FUNCTION_ARGS)
{
	RankMetrics m;

	if (!rank_figures(fcinfo, &m))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(m.average_precision);
}

Datum
crm_lift_final(PG_FUNCTION_ARGS)
{
	const Scored *s = pairs(fcinfo, false);

	if (s == NULL || s->wins == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(crm_lift_of_top(s->score, s->won, s->n, s->wins, ranked(s),
									 ((ScoredState *) PG_GETARG_POINTER(0))->fraction));
}

/* Measures of probabilities refuse what is none. */
static const Scored *
probabilities(FunctionCallInfo fcinfo)
{
	const Scored *s = pairs(fcinfo, false);

	for (int64 i = 0; s != NULL && i < s->n; i++)
		if (s->score[i] < 0 || s->score[i] > 1)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DOMAIN),
					 errmsg("%g is not a probability", s->score[i]),
					 errdetail("Log-loss, Brier score and calibration error measure probabilities from 0 to 1."),
					 errhint("Calibrate the score first, with crm.platt_fit or crm.isotonic_fit.")));
	return s;
}

Datum
crm_log_loss_final(PG_FUNCTION_ARGS)
{
	const Scored *s = probabilities(fcinfo);

	if (s == NULL)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(crm_log_loss(s->score, s->won, s->n));
}

Datum
crm_brier_final(PG_FUNCTION_ARGS)
{
	const Scored *s = probabilities(fcinfo);

	if (s == NULL)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(crm_brier_score(s->score, s->won, s->n));
}

Datum
crm_ece_final(PG_FUNCTION_ARGS)
{
	const Scored *s = probabilities(fcinfo);
	CalibrationBins b;

	if (s == NULL)
		PG_RETURN_NULL();
	crm_calibration_bins(s->score, s->won, s->n, &b);
	PG_RETURN_FLOAT8(crm_expected_calibration_error(&b, s->n));
}

/* (intercept, slope): the coefficients of a logistic model with one feature */
Datum
crm_platt_final(PG_FUNCTION_ARGS)
{
	const Scored *s = pairs(fcinfo, false);
	double		c[2];

	crm_model_refuse_missing_class(s == NULL ? 0 : s->n, s == NULL ? 0 : s->wins);
	if (!crm_platt_fit(s, &c[0], &c[1]))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DATA),
				 errmsg("all " INT64_FORMAT " scores are equal", s->n),
				 errdetail("A sigmoid cannot be laid through one point."),
				 errhint("Give scores that tell the rows apart.")));
	PG_RETURN_ARRAYTYPE_P(crm_model_doubles(c, 2, false));
}

Datum
crm_isotonic_final(PG_FUNCTION_ARGS)
{
	const Scored *s = pairs(fcinfo, false);
	TupleDesc	desc = crm_result_row(fcinfo);
	double	   *x;
	double	   *y;
	int			knots;
	Datum		values[4];
	bool		nulls[4] = {0};

	if (s == NULL)
		crm_model_refuse_missing_class(0, 0);
	x = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * 2 * s->n);
	y = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * 2 * s->n);
	knots = crm_isotonic_fit(s, x, y);
	values[0] = PointerGetDatum(crm_model_doubles(x, knots, false));
	values[1] = PointerGetDatum(crm_model_doubles(y, knots, false));
	values[2] = Int64GetDatum(s->n);
	values[3] = Int64GetDatum(s->wins);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* (knots, values, score): straight between knots, level outside them */
Datum
crm_isotonic_predict(PG_FUNCTION_ARGS)
{
	const double *x;
	const double *y;
	int			nx;
	int			ny;
	int			lo;
	int			hi;
	bool		null_x;
	bool		null_y;
	double		score = PG_GETARG_FLOAT8(2);

	x = crm_model_double_array(PG_GETARG_DATUM(0), &nx, &null_x);
	y = crm_model_double_array(PG_GETARG_DATUM(1), &ny, &null_y);
	if (nx == 0 || nx != ny || null_x || null_y)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("knots and values of an isotonic model are arrays of the same length without nulls")));
	if (isnan(score))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN), errmsg("a score is NaN"),
				 errhint("Replace it, or pass null.")));
	if (score <= x[0])
		PG_RETURN_FLOAT8(y[0]);
	if (score >= x[nx - 1])
		PG_RETURN_FLOAT8(y[nx - 1]);
	lo = 0;
	hi = nx - 1;
	while (hi - lo > 1)
	{
		int			mid = (lo + hi) / 2;

		if (x[mid] <= score)
			lo = mid;
		else
			hi = mid;
	}
	if (score == x[lo])
		PG_RETURN_FLOAT8(y[lo]);
	PG_RETURN_FLOAT8(y[lo] + (y[hi] - y[lo]) * ((score - x[lo]) / (x[hi] - x[lo])));
}

/* The threshold of the first row stands behind the four counts, as its bits. */
static void
check_threshold(int64 *counts, double threshold)
{
	int64		bits;

	memcpy(&bits, &threshold, sizeof(bits));
	if (counts[4] != 0 && counts[5] != bits)
		crm_setting_differs("crm.fairness", "threshold");
	counts[4] = 1;
	counts[5] = bits;
}

/*
 * (counts, y, p, threshold): wins selected and not, losses selected and not.
 */
Datum
crm_fairness_accum(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	ArrayType  *state;
	int64	   *counts;
	bool		won;
	bool		selected;

	crm_model_memory(fcinfo, &context, "crm.fairness");
	if (PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the threshold of \"crm.fairness\" is null")));
	/* ours alone since the first row: changed in place */
	state = PG_GETARG_ARRAYTYPE_P(0);
	counts = (int64 *) ARR_DATA_PTR(state);
	check_threshold(counts, PG_GETARG_FLOAT8(3));
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		PG_RETURN_ARRAYTYPE_P(state);
	won = crm_model_outcome(PG_GETARG_FLOAT8(1), "fairness");
	selected = PG_GETARG_FLOAT8(2) >= PG_GETARG_FLOAT8(3);
	if (isnan(PG_GETARG_FLOAT8(2)))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN), errmsg("a score is NaN"),
				 errhint("Replace it, or pass null.")));
	counts[(won ? 0 : 2) + (selected ? 0 : 1)]++;
	PG_RETURN_ARRAYTYPE_P(state);
}
