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

/* The weight of a row, refused where it is none. */
double
crm_model_weight(double weight)
{
	if (!isfinite(weight) || weight < 0)
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("weight %g of a row is not a finite number from 0 on", weight),
				 errhint("Replace it; a row with weight 0 or null is left out.")));
	return weight;
}

/* (state, y, score ..., weight): the weight stands at a place, 0 for none. */
static ScoredState *
add_pair(FunctionCallInfo fcinfo, int weight_at)
{
	MemoryContext context;
	ScoredState *state;
	Scored	   *s;
	double		score;
	double		weight = 1;

	crm_model_memory(fcinfo, &context, "scores");
	if (PG_ARGISNULL(0))
	{
		state = MemoryContextAllocZero(context, sizeof(ScoredState));
		state->s.max = 1024;
		state->s.score = MemoryContextAlloc(context, sizeof(double) * state->s.max);
		state->s.won = MemoryContextAlloc(context, state->s.max);
		state->s.whole = true;
		if (weight_at > 0)
			state->s.weight = MemoryContextAlloc(context, sizeof(double) * state->s.max);
		state->fraction = -1;
	}
	else
		state = (ScoredState *) PG_GETARG_POINTER(0);
	s = &state->s;
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || (weight_at > 0 && PG_ARGISNULL(weight_at)))
		return state;			/* no outcome yet, no score, no weight: not counted */
	if (weight_at > 0)
		weight = crm_model_weight(PG_GETARG_FLOAT8(weight_at));
	score = PG_GETARG_FLOAT8(2);
	if (!isfinite(score))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DOMAIN),
				 errmsg("a score is %s", isnan(score) ? "NaN" : "infinite"),
				 errhint("Replace it, or make it null to leave the row out.")));
	if (weight == 0)
		return state;
	if (s->n == s->max)
	{
		if (s->max > PG_UINT32_MAX / 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("too many rows to rank")));
		s->max *= 2;
		s->score = repalloc_huge(s->score, sizeof(double) * s->max);
		s->won = repalloc_huge(s->won, s->max);
		if (weight_at > 0)
			s->weight = repalloc_huge(s->weight, sizeof(double) * s->max);
	}
	if (weight_at > 0)
	{
		s->weight[s->n] = weight;
		s->whole = s->whole && weight == floor(weight);
	}
	s->won[s->n] = crm_model_outcome(PG_GETARG_FLOAT8(1), "scores");
	s->wins += s->won[s->n];
	s->score[s->n++] = score;
	return state;
}

Datum
crm_scored_accum(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(add_pair(fcinfo, PG_NARGS() > 3 ? 3 : 0));
}

/* ... of crm.lift: the fraction comes along */
Datum
crm_lift_accum(PG_FUNCTION_ARGS)
{
	ScoredState *state = add_pair(fcinfo, PG_NARGS() > 4 ? 4 : 0);
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

/*
 * The pairs with their weights in order; false where the measure is not
 * defined.  What the state holds stays as it is: other measures share it.
 */
static bool
pairs(FunctionCallInfo fcinfo, bool both_classes, Scored *s)
{
	memset(s, 0, sizeof(*s));
	if (PG_ARGISNULL(0))
		return false;
	*s = ((ScoredState *) PG_GETARG_POINTER(0))->s;
	if (s->n == 0 || (both_classes && (s->wins == 0 || s->wins == s->n)))
		return false;
	crm_weigh_scores(s);
	return true;
}

static bool
rank_figures(FunctionCallInfo fcinfo, RankMetrics *m)
{
	Scored		s;

	if (!pairs(fcinfo, true, &s))
		return false;
	crm_rank_metrics(&s, m);
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
	Scored		s;

	if (!pairs(fcinfo, false, &s) || s.wins == 0)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(crm_lift_of_top(&s, ((ScoredState *) PG_GETARG_POINTER(0))->fraction));
}

/* Measures of probabilities refuse what is none. */
static bool
probabilities(FunctionCallInfo fcinfo, Scored *s)
{
	bool		any = pairs(fcinfo, false, s);

	for (int64 i = 0; any && i < s->n; i++)
		if (s->score[i] < 0 || s->score[i] > 1)
			ereport(ERROR,
					(errcode(ERRCODE_CRM_MODEL_DOMAIN),
					 errmsg("%g is not a probability", s->score[i]),
					 errdetail("Log-loss, Brier score and calibration error measure probabilities from 0 to 1."),
					 errhint("Calibrate the score first, with crm.platt_fit or crm.isotonic_fit.")));
	return any;
}

Datum
crm_log_loss_final(PG_FUNCTION_ARGS)
{
	Scored		s;

	if (!probabilities(fcinfo, &s))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(crm_log_loss(&s));
}

Datum
crm_brier_final(PG_FUNCTION_ARGS)
{
	Scored		s;

	if (!probabilities(fcinfo, &s))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(crm_brier_score(&s));
}

Datum
crm_ece_final(PG_FUNCTION_ARGS)
{
	Scored		s;

	if (!probabilities(fcinfo, &s))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(crm_expected_calibration_error(&s));
}

/* (intercept, slope): the coefficients of a logistic model with one feature */
Datum
crm_platt_final(PG_FUNCTION_ARGS)
{
	Scored		s;
	double		c[2];

	(void) pairs(fcinfo, false, &s);
	crm_model_refuse_missing_class(s.n, s.wins);
	if (!crm_platt_fit(&s, &c[0], &c[1]))
		ereport(ERROR,
				(errcode(ERRCODE_CRM_MODEL_DATA),
				 errmsg("all " INT64_FORMAT " scores are equal", s.n),
				 errdetail("A sigmoid cannot be laid through one point."),
				 errhint("Give scores that tell the rows apart.")));
	PG_RETURN_ARRAYTYPE_P(crm_model_doubles(c, 2, false));
}

Datum
crm_isotonic_final(PG_FUNCTION_ARGS)
{
	Scored		s;
	TupleDesc	desc = crm_result_row(fcinfo);
	double	   *x;
	double	   *y;
	int			knots;
	Datum		values[4];
	bool		nulls[4] = {0};

	if (!pairs(fcinfo, false, &s))
		crm_model_refuse_missing_class(0, 0);
	x = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * 2 * s.n);
	y = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * 2 * s.n);
	knots = crm_isotonic_fit(&s, x, y);
	values[0] = PointerGetDatum(crm_model_doubles(x, knots, false));
	values[1] = PointerGetDatum(crm_model_doubles(y, knots, false));
	values[2] = Int64GetDatum(s.n);
	values[3] = Int64GetDatum(s.wins);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* Two knots of an isotonic model, the first at or before the second. */
static void
check_knots(const double *x, const double *y, int a, int b)
{
	if (isfinite(x[a]) && isfinite(x[b]) && (a == b || x[a] < x[b]) &&
		y[a] >= 0 && y[a] <= y[b] && y[b] <= 1)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the isotonic model is malformed at knots %d and %d", a + 1, b + 1),
			 errdetail("Knots ascend, and so do the probabilities at them, from 0 to 1."),
			 errhint("Pass knots and probabilities as crm.isotonic_fit gives them.")));
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
	lo = 0;
	hi = nx - 1;
	if (score <= x[0])
		hi = 0;
	else if (score >= x[nx - 1])
		lo = nx - 1;
	/* only the knots that are looked at are checked: a model may have thousands */
	check_knots(x, y, 0, nx - 1);
	while (hi - lo > 1)
	{
		int			mid = (lo + hi) / 2;

		check_knots(x, y, lo, mid);
		check_knots(x, y, mid, hi);
		if (x[mid] <= score)
			lo = mid;
		else
			hi = mid;
	}
	check_knots(x, y, lo, hi);
	if (lo == hi || score == x[lo])
		PG_RETURN_FLOAT8(y[lo]);
	/* halves, since the distance of two numbers may be none */
	PG_RETURN_FLOAT8(y[lo] + (y[hi] - y[lo]) * ((score / 2 - x[lo] / 2) / (x[hi] / 2 - x[lo] / 2)));
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
	if (isnan(PG_GETARG_FLOAT8(3)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the threshold of \"crm.fairness\" is NaN"),
				 errhint("Pass the probability from which on a row is selected.")));
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
