/*
 * mix_fit.c
 *	  Fitting a marketing mix model to periods.
 *
 *	y_t = intercept + sum of b_c f_c(spend_c up to t) + sum of g_k other_kt + e_t
 *
 * f_c is adstock and then saturation.  Given the shapes of all f_c the model
 * is linear: z-scored columns, ridge, effects of channels not below zero if so
 * asked (least_squares.c).  Shapes are found one channel after the other on a
 * grid, with the linear part solved each time, until nothing gets better, and
 * then between the points of the grid; only the Gram row of the channel that
 * changes is computed anew.
 *
 * Lambda is chosen by time-ordered folds: fitted to the periods before,
 * tested on those that follow.  Intervals come from resampled blocks of
 * residuals (Kuensch 1989), which keep what consecutive periods have in common.
 */
#include "postgres.h"

#include <math.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/float.h"

#include "marketing/least_squares.h"
#include "marketing/mix_math.h"

#define SWEEPS 10				/* over all channels, at most */
#define FOLDS 3

/* The linear part over the first n periods: columns by row j, z-scored. */
typedef struct Linear
{
	int			n;
	int			p;
	double	  **column;			/* raw */
	double	   *mean;
	double	   *sd;
	double	   *gram;			/* p x p, of z-scores */
	double	   *moment;			/* p, with y centred */
	double		y_mean;
	double		y_square;		/* of y centred */
	bool	   *not_negative;
	bool	   *aliased;
	double	   *solution;		/* for z-scores */
	double	   *work;
} Linear;

static void
shape_channel(const double *x, int n, const MixSettings *set, const MixShape *shape, double *out)
{
	double		inflexion;

	if (set->adstock == MIX_GEOMETRIC)
		crm_mix_geometric(x, n, shape->theta, out);
	else if (set->adstock == MIX_NO_ADSTOCK)
		memcpy(out, x, sizeof(double) * n);
	else
		crm_mix_weibull(x, n, shape->shape, shape->scale, set->adstock == MIX_WEIBULL_CDF, out);
	if (!set->saturation)
		return;
	inflexion = shape->gamma * crm_mix_most(out, n);
	for (int t = 0; t < n; t++)
		out[t] = crm_mix_hill(out[t], shape->alpha, inflexion);
}

static Linear *
linear_make(const MixData *d, const MixSettings *set, int n)
{
	Linear	   *l = palloc0(sizeof(Linear));
	int			p = d->nchannels + d->nothers;

	l->n = n;
	l->p = p;
	l->column = palloc(sizeof(double *) * Max(p, 1));
	for (int j = 0; j < p; j++)
	{
		l->column[j] = palloc(sizeof(double) * Max(d->n, 1));
		if (j >= d->nchannels)
			memcpy(l->column[j], d->other[j - d->nchannels], sizeof(double) * d->n);
	}
	l->mean = palloc0(sizeof(double) * Max(p, 1));
	l->sd = palloc0(sizeof(double) * Max(p, 1));
	l->gram = palloc0(sizeof(double) * Max(p * p, 1));
	l->moment = palloc0(sizeof(double) * Max(p, 1));
	l->not_negative = palloc0(sizeof(bool) * Max(p, 1));
	l->aliased = palloc0(sizeof(bool) * Max(p, 1));
	l->solution = palloc0(sizeof(double) * Max(p, 1));
	l->work = palloc(sizeof(double) * Max(p * p, 1));
	for (int j = 0; j < d->nchannels; j++)
		l->not_negative[j] = set->not_negative;
	return l;
}

static void
linear_y(Linear *l, const double *y)
{
	l->y_mean = l->y_square = 0;
	for (int t = 0; t < l->n; t++)
		l->y_mean += y[t] / l->n;
	for (int t = 0; t < l->n; t++)
		l->y_square += (y[t] - l->y_mean) * (y[t] - l->y_mean);
}

/* Column j anew: its mean, deviation, row of the Gram matrix and moment. */
static void
linear_column(Linear *l, const double *y, int j)
{
	const double *x = l->column[j];
	double		square = 0;

	l->mean[j] = 0;
	for (int t = 0; t < l->n; t++)
		l->mean[j] += x[t] / l->n;
	for (int t = 0; t < l->n; t++)
		square += (x[t] - l->mean[j]) * (x[t] - l->mean[j]);
	l->sd[j] = sqrt(square / l->n);
	/* rounding alone is no variation */
	if (l->sd[j] <= 1e-12 * fabs(l->mean[j]))
		l->sd[j] = 0;
	for (int k = 0; k < l->p; k++)
	{
		double		sum = 0;

		if (l->sd[j] > 0 && l->sd[k] > 0)
		{
			for (int t = 0; t < l->n; t++)
				sum += (x[t] - l->mean[j]) * (l->column[k][t] - l->mean[k]);
			sum /= l->sd[j] * l->sd[k];
		}
		l->gram[j * l->p + k] = l->gram[k * l->p + j] = sum;
	}
	l->moment[j] = 0;
	if (l->sd[j] > 0)
		for (int t = 0; t < l->n; t++)
			l->moment[j] += (x[t] - l->mean[j]) / l->sd[j] * (y[t] - l->y_mean);
}

/* Solve; the answer is the penalised sum of squares that is left. */
static double
linear_solve(Linear *l, double lambda)
{
	int			p = l->p;
	double		left = l->y_square;

	(void) crm_invert_gram(l->gram, p, l->work, l->aliased);
	for (int j = 0; j < p; j++)
		if (l->sd[j] == 0)
			l->aliased[j] = true;
	memcpy(l->work, l->gram, sizeof(double) * p * p);
	for (int j = 0; j < p; j++)
		l->work[j * p + j] += lambda;
	if (!crm_solve_signed(l->work, l->moment, p, l->not_negative, l->aliased, l->solution))
		return INFINITY;
	for (int j = 0; j < p; j++)
	{
		left -= 2 * l->solution[j] * l->moment[j];
		for (int k = 0; k < p; k++)
			left += l->solution[j] * l->solution[k] * l->gram[j * p + k];
		left += lambda * l->solution[j] * l->solution[j];
	}
	return left;
}

static double
predicted(const Linear *l, int t)
{
	double		sum = l->y_mean;

	for (int j = 0; j < l->p; j++)
		if (l->sd[j] > 0)
			sum += l->solution[j] * (l->column[j][t] - l->mean[j]) / l->sd[j];
	return sum;
}

/* ---- shapes ---- */

/* Try a shape of a channel: keep it where less is left. */
static bool
try_shape(const MixData *d, const MixSettings *set, Linear *l, int c, const MixShape *tried,
		  MixShape *kept, double lambda, double *least)
{
	double		left;

	shape_channel(d->spend[c], d->n, set, tried, l->column[c]);
	linear_column(l, d->y, c);
	left = linear_solve(l, lambda);
	if (!(left < *least * (1 - 1e-12)))
		return false;
	*least = left;
	*kept = *tried;
	return true;
}

/* The best carry-over and then the best curve of one channel, the others as they are. */
static bool
search_channel(const MixData *d, const MixSettings *set, Linear *l, int c, MixShape *shape,
			   double lambda, double *least)
{
	static const double alphas[] = {0.5, 0.75, 1, 1.5, 2, 3};
	MixShape	tried = *shape;
	bool		better = false;

	CHECK_FOR_INTERRUPTS();
	if (set->search_carry && set->adstock == MIX_GEOMETRIC)
		for (int i = 0; i < 20; i++)
		{
			tried.theta = i * 0.05;
			better |= try_shape(d, set, l, c, &tried, shape, lambda, least);
		}
	else if (set->search_carry && set->adstock != MIX_NO_ADSTOCK)
		for (int i = 0; i < 8; i++)
			for (int j = 1; j <= 5; j++)
			{
				tried.shape = 0.25 * (i + 1) * (i + 1) / 2;
				tried.scale = 0.02 * j;
				better |= try_shape(d, set, l, c, &tried, shape, lambda, least);
			}
	tried = *shape;
	if (set->saturation && set->search_hill)
		for (int i = 0; i < lengthof(alphas); i++)
			for (int j = 1; j <= 10; j++)
			{
				tried.alpha = alphas[i];
				tried.gamma = 0.1 * j;
				better |= try_shape(d, set, l, c, &tried, shape, lambda, least);
			}
	/* back to the best one */
	shape_channel(d->spend[c], d->n, set, shape, l->column[c]);
	linear_column(l, d->y, c);
	return better;
}

/* Steps of a share of the grid's to both sides of what is best so far, one parameter at a time. */
static bool
refine_channel(const MixData *d, const MixSettings *set, Linear *l, int c, MixShape *shape,
			   double share, double lambda, double *least)
{
	bool		better = false;

	CHECK_FOR_INTERRUPTS();
	for (int side = -1; side <= 1; side += 2)
	{
		MixShape	tried = *shape;

		if (set->search_carry && set->adstock == MIX_GEOMETRIC)
		{
			tried.theta = Min(Max(tried.theta + side * 0.05 * share, 0), 0.99);
			better |= try_shape(d, set, l, c, &tried, shape, lambda, least);
		}
		else if (set->search_carry && set->adstock != MIX_NO_ADSTOCK)
		{
			tried.shape *= 1 + side * 0.4 * share;
			better |= try_shape(d, set, l, c, &tried, shape, lambda, least);
		}
		if (!set->saturation || !set->search_hill)
			continue;
		tried = *shape;
		tried.gamma = Max(tried.gamma + side * 0.1 * share, 0.01);
		better |= try_shape(d, set, l, c, &tried, shape, lambda, least);
		tried = *shape;
		tried.alpha = Min(Max(tried.alpha * (1 + side * 0.3 * share), 0.3), 4);
		better |= try_shape(d, set, l, c, &tried, shape, lambda, least);
	}
	shape_channel(d->spend[c], d->n, set, shape, l->column[c]);
	linear_column(l, d->y, c);
	return better;
}

/* A model of the first n periods; shapes begin as they are. */
static Linear *
fit_periods(const MixData *d, const MixSettings *set, int n, double lambda, MixShape *shapes)
{
	Linear	   *l = linear_make(d, set, n);
	double		least;
	bool		better = set->search_carry || (set->saturation && set->search_hill);

	linear_y(l, d->y);
	for (int c = 0; c < d->nchannels; c++)
		shape_channel(d->spend[c], d->n, set, &shapes[c], l->column[c]);
	for (int j = 0; j < l->p; j++)
		linear_column(l, d->y, j);
	least = linear_solve(l, lambda);
	for (int turn = 0; better && turn < SWEEPS; turn++)
	{
		better = false;
		for (int c = 0; c < d->nchannels; c++)
			better |= search_channel(d, set, l, c, &shapes[c], lambda, &least);
	}
	if (set->search_carry || (set->saturation && set->search_hill))
		for (double share = 0.5; share > 0.05; share /= 2)
		{
			better = true;
			for (int turn = 0; better && turn < SWEEPS; turn++)
			{
				better = false;
				for (int c = 0; c < d->nchannels; c++)
					better |= refine_channel(d, set, l, c, &shapes[c], share, lambda, &least);
			}
		}
	(void) linear_solve(l, lambda);
	return l;
}

/* ---- tests ahead in time ---- */

/* Fitted to periods before begin, tested on those up to end: the sum of squared errors. */
static double
test_ahead(const MixData *d, const MixSettings *set, double lambda, const MixShape *from,
		   int begin, int end, double *mape, double *baseline)
{
	MixShape   *shapes = palloc(sizeof(MixShape) * Max(d->nchannels, 1));
	Linear	   *l;
	double		sum = 0,
				off = 0,
				flat = 0;
	int			counted = 0;

	memcpy(shapes, from, sizeof(MixShape) * d->nchannels);
	l = fit_periods(d, set, begin, lambda, shapes);
	for (int t = begin; t < end; t++)
	{
		double		e = d->y[t] - predicted(l, t);

		sum += e * e;
		if (d->y[t] != 0)
		{
			off += fabs(e / d->y[t]);
			flat += fabs((d->y[t] - l->y_mean) / d->y[t]);
			counted++;
		}
	}
	if (mape != NULL)
		*mape = counted > 0 ? off / counted : get_float8_nan();
	if (baseline != NULL)
		*baseline = counted > 0 ? flat / counted : get_float8_nan();
	return sum;
}

/* The lambda that errs least on periods that follow; shapes: of the fit without penalty. */
static double
choose_lambda(const MixData *d, const MixSettings *set, const MixShape *shapes)
{
	static const double shares[] = {0, 0.001, 0.01, 0.03, 0.1, 0.3, 1};
	MixSettings fixed = *set;
	double		best = 0,
				least = INFINITY;
	int			test = d->n / (2 * FOLDS);

	fixed.search_carry = fixed.search_hill = false;
	if (test < 1)
		return 0;
	for (int i = 0; i < lengthof(shares); i++)
	{
		double		sum = 0;

		for (int f = 0; f < FOLDS; f++)
		{
			int			begin = d->n - (FOLDS - f) * test;

			sum += test_ahead(d, &fixed, shares[i] * begin, shapes, begin, begin + test, NULL,
							  NULL);
		}
		if (sum < least * (1 - 1e-9))
		{
			least = sum;
			best = shares[i] * d->n;
		}
	}
	return best;
}

/* ---- what the fit tells ---- */

static int
compare_values(const void *a, const void *b)
{
	double		x = *(const double *) a,
				y = *(const double *) b;

	return (x > y) - (x < y);
}

static double
quantile_of(double *values, int n, double q)
{
	double		at = q * (n - 1);
	int			i = (int) at;

	return i + 1 < n ? values[i] + (at - i) * (values[i + 1] - values[i]) : values[n - 1];
}

/* Resampled blocks of residuals; the linear part is solved again for each draw. */
static void
draw_intervals(const MixSettings *set, Linear *l, const double *residual, double lambda,
			   MixFit *fit)
{
	int			p = l->p,
				block = Min(Max(set->block, 1), l->n);
	double	   *y = palloc(sizeof(double) * l->n);
	double	   *keep = palloc(sizeof(double) * Max(p, 1));
	double	   *drawn = palloc(sizeof(double) * Max(p, 1) * set->draws);
	double	   *fitted = palloc(sizeof(double) * l->n);
	pg_prng_state state;

	pg_prng_seed(&state, set->seed);
	memcpy(keep, l->solution, sizeof(double) * p);
	for (int t = 0; t < l->n; t++)
		fitted[t] = predicted(l, t);
	for (int b = 0; b < set->draws; b++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int t = 0; t < l->n; t += block)
		{
			int			from = (int) pg_prng_uint64_range(&state, 0, l->n - block);

			for (int k = 0; k < block && t + k < l->n; k++)
				y[t + k] = fitted[t + k] + residual[from + k];
		}
		linear_y(l, y);
		for (int j = 0; j < p; j++)
		{
			l->moment[j] = 0;
			for (int t = 0; t < l->n && l->sd[j] > 0; t++)
				l->moment[j] += (l->column[j][t] - l->mean[j]) / l->sd[j] * (y[t] - l->y_mean);
		}
		(void) linear_solve(l, lambda);
		for (int j = 0; j < p; j++)
			drawn[j * set->draws + b] = l->sd[j] > 0 ? l->solution[j] / l->sd[j] : 0;
	}
	for (int j = 0; j < p; j++)
	{
		qsort(drawn + j * set->draws, set->draws, sizeof(double), compare_values);
		fit->low[j] = quantile_of(drawn + j * set->draws, set->draws, 0.025);
		fit->high[j] = quantile_of(drawn + j * set->draws, set->draws, 0.975);
	}
	memcpy(l->solution, keep, sizeof(double) * p);
}

/* to = a b, square matrices of p rows */
static void
multiply_squares(const double *a, const double *b, int p, double *to)
{
	for (int i = 0; i < p; i++)
		for (int j = 0; j < p; j++)
		{
			double		sum = 0;

			for (int k = 0; k < p; k++)
				sum += a[i * p + k] * b[k * p + j];
			to[i * p + j] = sum;
		}
}

/* Standard errors of the free columns, and how far each is told by the others. */
static void
tell_errors(Linear *l, double lambda, double variance, MixFit *fit)
{
	int			p = l->p;
	double	   *inverse = palloc(sizeof(double) * Max(p * p, 1));
	double	   *spread = palloc(sizeof(double) * Max(p * p, 1));
	bool	   *aliased = palloc(sizeof(bool) * Max(p, 1));
	double		mean_square = 0;

	(void) crm_invert_gram(l->gram, p, inverse, aliased);
	for (int j = 0; j < p; j++)
		fit->vif[j] = l->aliased[j] ? get_float8_nan() : inverse[j * p + j] * l->n;
	memcpy(l->work, l->gram, sizeof(double) * p * p);
	for (int j = 0; j < p; j++)
	{
		l->work[j * p + j] += lambda;
		/* one that is held at zero, or left out, is no part of the system */
		for (int k = 0; (l->aliased[j] || fit->held[j]) && k < p; k++)
			l->work[j * p + k] = l->work[k * p + j] = 0;
	}
	(void) crm_invert_gram(l->work, p, inverse, aliased);
	/* (G + lambda)^-1 G (G + lambda)^-1 is that of least squares where lambda is 0 */
	multiply_squares(l->gram, inverse, p, l->work);
	multiply_squares(inverse, l->work, p, spread);
	for (int j = 0; j < p; j++)
	{
		double		v = spread[j * p + j];

		fit->std_error[j] = l->aliased[j] || fit->held[j] || !(variance >= 0) || !(v > 0) ?
			get_float8_nan() : sqrt(variance * v) / l->sd[j];
		for (int k = 0; k < p; k++)
			if (l->sd[j] > 0 && l->sd[k] > 0)
				mean_square += l->mean[j] / l->sd[j] * l->mean[k] / l->sd[k] * spread[j * p + k];
	}
	fit->intercept_error = sqrt(variance * (1.0 / l->n + mean_square));
}

static void
tell_residuals(const MixData *d, const Linear *l, int parameters, double *residual, MixFit *fit)
{
	double		sum = 0,
				turns = 0;
	int			freedom = l->n - parameters - 1;

	for (int t = 0; t < l->n; t++)
	{
		residual[t] = d->y[t] - predicted(l, t);
		sum += residual[t] * residual[t];
		if (t > 0)
			turns += (residual[t] - residual[t - 1]) * (residual[t] - residual[t - 1]);
	}
	fit->r2 = l->y_square > 0 ? 1 - sum / l->y_square : get_float8_nan();
	fit->durbin_watson = sum > 0 ? turns / sum : get_float8_nan();
	fit->residual_se = freedom > 0 ? sqrt(sum / freedom) : get_float8_nan();
}

/* fit->shapes holds the shapes that are given, or where the search begins. */
bool
crm_mix_fit(const MixData *d, const MixSettings *set, MixFit *fit)
{
	int			p = d->nchannels + d->nothers,
				parameters = 0;
	double	   *residual = palloc(sizeof(double) * Max(d->n, 1));
	Linear	   *l;

	fit->lambda = set->lambda;
	if (set->search_lambda)
	{
		MixShape   *shapes = palloc(sizeof(MixShape) * Max(d->nchannels, 1));

		memcpy(shapes, fit->shapes, sizeof(MixShape) * d->nchannels);
		(void) fit_periods(d, set, d->n, 0, shapes);
		fit->lambda = choose_lambda(d, set, shapes);
	}
	fit->holdout_r2 = fit->holdout_mape = fit->baseline_mape = get_float8_nan();
	if (set->holdout > 0)
	{
		int			begin = d->n - set->holdout;
		double		mean = 0,
					square = 0,
					off = test_ahead(d, set, fit->lambda, fit->shapes, begin, d->n,
									 &fit->holdout_mape, &fit->baseline_mape);

		for (int t = begin; t < d->n; t++)
			mean += d->y[t] / set->holdout;
		for (int t = begin; t < d->n; t++)
			square += (d->y[t] - mean) * (d->y[t] - mean);
		if (square > 0)
			fit->holdout_r2 = 1 - off / square;
	}
	l = fit_periods(d, set, d->n, fit->lambda, fit->shapes);
	fit->intercept = l->y_mean;
	for (int j = 0; j < p; j++)
	{
		if (!isfinite(l->solution[j]))
			return false;
		fit->aliased[j] = l->aliased[j];
		fit->held[j] = !l->aliased[j] && l->not_negative[j] && l->solution[j] == 0;
		fit->standardised[j] = l->solution[j];
		fit->coefficient[j] = l->sd[j] > 0 ? l->solution[j] / l->sd[j] : 0;
		fit->intercept -= fit->coefficient[j] * l->mean[j];
		fit->low[j] = fit->high[j] = get_float8_nan();
		parameters += !l->aliased[j] && !fit->held[j];
	}
	for (int c = 0; c < d->nchannels; c++)
	{
		MixSettings plain = *set;
		double	   *pressure = palloc(sizeof(double) * d->n);

		plain.saturation = false;
		shape_channel(d->spend[c], d->n, &plain, &fit->shapes[c], pressure);
		fit->most[c] = crm_mix_most(pressure, d->n);
		fit->last[c] = pressure[d->n - 1];
		fit->contribution[c] = 0;
		for (int t = 0; t < d->n; t++)
			fit->contribution[c] += fit->coefficient[c] * l->column[c][t];
		pfree(pressure);
	}
	tell_residuals(d, l, parameters, residual, fit);
	tell_errors(l, fit->lambda, fit->residual_se * fit->residual_se, fit);
	if (set->draws > 0)
		draw_intervals(set, l, residual, fit->lambda, fit);
	return true;
}
