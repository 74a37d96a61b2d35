/*
 * logistic.c
 *	  Logistic regression by Newton's method, with a ridge penalty.
 *
 * Minimises  sum log(1 + exp(-s_i eta_i)) + lambda/2 * sum w_j^2  with
 * eta = b + x'w and s = 1 for a win, -1 for a loss; the intercept is free.
 * Where rows have weights, each counts as often as its weight says.  The fit
 * itself works on weights of mean 1, the penalty in the same unit, so that it
 * stops at the same place whatever weights are measured in.
 *
 * Columns are centred and scaled in place before the first pass, with the
 * penalty scaled along, so that a column of 5e12 harms nothing; the weights
 * go back to the user's units at the end.  Every pass gives likelihood,
 * gradient and Hessian together; the fit stops when the step that is left
 * measures less than 1e-9 standard errors, so the Hessian of the last pass is
 * the one of the solution and standard errors come from it.
 *
 * Without a penalty a column may be a combination of those before it (it is
 * left out and named), or the outcome may be separated: then a direction d
 * exists with s_i * x_i'd >= 0 for all rows (Albert and Anderson 1984), no
 * maximum exists, and Newton's steps turn into that very direction.  We test
 * the step for it, and fall back to a small penalty.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "utils/float.h"
#include "scoring/logistic_work.h"

#define MAX_ITERATIONS 100
#define SEPARATION_FLOOR 0.01	/* lambda on standardised columns */
#define STOP 1e-9

double
crm_logistic_sigmoid(double eta)
{
	double		e;

	if (eta >= 0)
		return 1.0 / (1.0 + exp(-eta));
	e = exp(eta);
	return e / (1.0 + e);
}

double
crm_logistic_log1pexp(double eta)
{
	return Max(eta, 0.0) + log1p(exp(-fabs(eta)));
}

/* Lower Cholesky factor in place (row major); false where not positive. */
static bool
cholesky(double *a, int n)
{
	for (int j = 0; j < n; j++)
	{
		double		d = a[j * n + j];
		double		top = d;

		for (int l = 0; l < j; l++)
			d -= a[j * n + l] * a[j * n + l];
		if (!(d > 1e-14 * top) || !isfinite(d))
			return false;
		d = sqrt(d);
		a[j * n + j] = d;
		for (int i = j + 1; i < n; i++)
		{
			double		s = a[i * n + j];

			for (int l = 0; l < j; l++)
				s -= a[i * n + l] * a[j * n + l];
			a[i * n + j] = s / d;
		}
	}
	return true;
}

static void
cholesky_solve(const double *a, int n, double *b)
{
	for (int i = 0; i < n; i++)
	{
		for (int l = 0; l < i; l++)
			b[i] -= a[i * n + l] * b[l];
		b[i] /= a[i * n + i];
	}
	for (int i = n - 1; i >= 0; i--)
	{
		for (int l = i + 1; l < n; l++)
			b[i] -= a[l * n + i] * b[l];
		b[i] /= a[i * n + i];
	}
}

/* The state of Newton's method between steps. */
typedef struct Newton
{
	double	   *d;				/* the step */
	double	   *next;			/* where it leads */
	double	   *factor;			/* of the Hessian */
	double		decrement;		/* what the step promises, twice */
	double		size;			/* largest part of the step */
	int			separating;		/* steps in a row that separate the outcome */
	bool		restandardised;
	bool		started_again;
} Newton;

/* Begin where every row has the share of wins. */
static void
start(LogisticRows *rows, LogisticWork *w, LogisticFit *fit, double *beta)
{
	/* no infinity where all but nothing of the weight is on one side */
	double		share = Max(1e-15, Min(1 - 1e-15, rows->win_share));

	memset(beta, 0, sizeof(double) * w->p);
	beta[0] = log(share / (1 - share));
	fit->iterations = 0;
	crm_logistic_pass(rows, w, beta, fit->eta);
}

/* Solve for the step; false where all weight is gone: rows are fitted to 0 and 1. */
static bool
find_step(LogisticRows *rows, LogisticWork *w, LogisticFit *fit, Newton *n)
{
	int			p = w->p;

	crm_logistic_fix_aliased(w, fit->aliased);
	memcpy(n->factor, w->h, sizeof(double) * p * p);
	memcpy(n->d, w->g, sizeof(double) * p);
	for (double more = 0; !cholesky(n->factor, p); more = more > 0 ? more * 100 : 1e-13)
	{
		if (rows->lambda <= 0 || more > 1)
			return false;
		/* the penalty is lost beside the columns: the step is damped, not the goal */
		memcpy(n->factor, w->h, sizeof(double) * p * p);
		for (int i = 0; i < p; i++)
			n->factor[i * p + i] *= 1 + more;
	}
	cholesky_solve(n->factor, p, n->d);
	n->decrement = 0;
	n->size = 0;
	for (int i = 0; i < p; i++)
	{
		n->decrement += n->d[i] * w->g[i];
		n->size = Max(n->size, fabs(n->d[i]));
	}
	return true;
}

/*
 * Take the step, or a half of it, or a quarter ..., until the objective does
 * not grow.  False where none helps; the pass is then that of beta again.
 */
static bool
take_step(LogisticRows *rows, LogisticWork *w, LogisticFit *fit, double *beta, Newton *n)
{
	int			p = w->p;
	double		before = w->objective;
	double		step = 1;

	for (int halving = 0; halving < 30; halving++, step /= 2)
	{
		for (int i = 0; i < p; i++)
			n->next[i] = beta[i] + step * n->d[i];
		crm_logistic_pass(rows, w, n->next, fit->eta);
		/* near the end differences drown in rounding */
		if (w->objective <= before + 1e-12 * fabs(before))
		{
			memcpy(beta, n->next, sizeof(double) * p);
			return true;
		}
	}
	crm_logistic_pass(rows, w, beta, fit->eta);
	crm_logistic_fix_aliased(w, fit->aliased);
	return false;
}

/*
 * Count steps that separate.  One may be the last of a fit with a far outlier;
 * where nothing is separated another like it does not follow.
 */
static void
watch_separation(LogisticRows *rows, LogisticFit *fit, Newton *n)
{
	if (rows->lambda <= 0 && fit->lambda <= 0 && fit->iterations >= 6 &&
		n->size > 1e-4 && crm_logistic_separates(rows, n->d))
		n->separating++;
	else
		n->separating = 0;
}

/* Newton with step halving, from start() on, at the penalties in w; false when separated. */
static bool
newton(LogisticRows *rows, LogisticWork *w, LogisticFit *fit, double *beta, double *sd)
{
	int			p = w->p;
	Newton		n = {0};
	bool		fine = true;

	n.d = palloc(sizeof(double) * p);
	n.next = palloc(sizeof(double) * p);
	n.factor = palloc(sizeof(double) * p * p);
	fit->converged = false;
	while (fit->iterations < MAX_ITERATIONS)
	{
		fine = find_step(rows, w, fit, &n);
		if (!fine)
			break;
		if (!(n.decrement > STOP * STOP))
		{
			fit->converged = true;
			break;
		}
		watch_separation(rows, fit, &n);
		if (n.separating >= 3 &&
			!crm_logistic_really_separates(rows, n.d, fit->aliased, fit->mean, sd,
										   &n.restandardised))
		{
			n.separating = 0;
			if (!n.started_again)
			{
				n.started_again = true;
				start(rows, w, fit, beta);
				continue;
			}
		}
		if (n.separating >= 3)
		{
			for (int j = 1; j < p; j++)
				fit->separating[j - 1] = fabs(n.d[j]) > 0.01 * n.size;
			fine = false;
			break;
		}
		if (!take_step(rows, w, fit, beta, &n))
			break;
		fit->iterations++;
	}
	pfree(n.d);
	pfree(n.next);
	pfree(n.factor);
	return fine;
}

/*
 * Standard errors of a linear combination of the coefficients, given by what
 * the inverse Hessian makes of it: as many rows as weights say, or rows that
 * stand for others (the sandwich; with n / (n - 1), as surveys have it).
 */
static void
set_errors(LogisticRows *rows, LogisticFit *fit, int at, const double *combination,
		   const double *column, const double *spread, double unit)
{
	int			p = rows->k + 1;
	double		v = 0;

	for (int i = 0; i < p; i++)
		v += combination[i] * column[i];
	fit->se[at] = sqrt(v / rows->unit) * unit;
	if (spread == NULL)
		return;
	v = 0;
	for (int i = 0; i < p; i++)
		for (int j = 0; j < p; j++)
			v += column[i] * spread[i * p + j] * column[j];
	fit->robust[at] = rows->n > 1 ? sqrt(v * rows->n / (rows->n - 1)) * unit : get_float8_nan();
}

/*
 * Coefficients and their errors in the user's units: the variance goes the
 * same way as the weights.  The Hessian of the last pass is used up.
 */
static void
bring_back(LogisticRows *rows, LogisticFit *fit, LogisticWork *w, const double *beta,
		   const double *sd, const int *exponent)
{
	int			p = w->p;
	int			k = p - 1;
	double	   *column = palloc0(sizeof(double) * p);
	double	   *back = palloc0(sizeof(double) * p);
	double	   *spread = NULL;

	fit->coef[0] = beta[0];
	for (int j = 0; j < k; j++)
	{
		if (fit->aliased[j])
			continue;
		fit->coef[j + 1] = beta[j + 1] / sd[j];
		fit->coef[0] -= fit->coef[j + 1] * fit->mean[j];
		fit->coef[j + 1] = ldexp(fit->coef[j + 1], -exponent[j]);
	}
	fit->robust = rows->weighted ? palloc(sizeof(double) * p) : NULL;
	for (int i = 0; i < p; i++)
	{
		fit->se[i] = get_float8_nan();
		if (rows->weighted)
			fit->robust[i] = get_float8_nan();
	}
	if (!cholesky(w->h, p))
		return;
	if (rows->weighted)
	{
		spread = palloc(sizeof(double) * p * p);
		crm_logistic_spread(rows, w, fit->eta, spread);
	}
	back[0] = 1;
	for (int j = 0; j < k; j++)
		back[j + 1] = fit->aliased[j] ? 0 : -fit->mean[j] / sd[j];
	memcpy(column, back, sizeof(double) * p);
	cholesky_solve(w->h, p, column);
	set_errors(rows, fit, 0, back, column, spread, 1);
	for (int j = 1; j < p; j++)
	{
		if (fit->aliased[j - 1])
			continue;
		memset(back, 0, sizeof(double) * p);
		back[j] = 1;
		memcpy(column, back, sizeof(double) * p);
		cholesky_solve(w->h, p, column);
		set_errors(rows, fit, j, back, column, spread, ldexp(1 / sd[j - 1], -exponent[j - 1]));
	}
}

/*
 * Fit.  The rows are standardised in place, so this is done once.  The caller
 * has made sure that both outcomes occur.
 */
void
crm_logistic_fit(LogisticRows *rows, LogisticFit *fit)
{
	int			k = rows->k;
	int			p = k + 1;
	double	   *sd = palloc0(sizeof(double) * p);
	double	   *beta = palloc0(sizeof(double) * p);
	int		   *exponent = palloc0(sizeof(int) * p);
	LogisticWork *w = crm_logistic_work(p);

	fit->coef = palloc0(sizeof(double) * p);
	fit->se = palloc0(sizeof(double) * p);
	fit->mean = palloc0(sizeof(double) * p);
	fit->aliased = palloc0(p);
	fit->separating = palloc0(p);
	fit->eta = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * rows->n);
	fit->separated = false;
	fit->lambda = rows->lambda;

	crm_logistic_weigh_rows(rows);
	crm_logistic_standardise(rows, fit->mean, sd, exponent);
	for (int j = 0; j < k; j++)
		w->penalty[j + 1] = sd[j] > 0 ?
			Min(ldexp(rows->lambda / (sd[j] * sd[j]), -2 * exponent[j]) / rows->unit, 1e200) : 0;
	start(rows, w, fit, beta);
	crm_logistic_find_aliased(rows, w, sd, fit->aliased);

	if (!newton(rows, w, fit, beta, sd))
	{
		/* without a maximum a small penalty decides, and we say so */
		fit->separated = rows->lambda <= 0;
		fit->lambda = Max(rows->lambda, SEPARATION_FLOOR);
		for (int j = 0; j < k; j++)
			w->penalty[j + 1] = Max(w->penalty[j + 1], SEPARATION_FLOOR / rows->unit);
		start(rows, w, fit, beta);
		newton(rows, w, fit, beta, sd);
	}
	fit->log_loss = w->loss / rows->n;
	fit->log_likelihood = Max(-w->loss * rows->unit, -DBL_MAX);
	fit->objective = Min(w->objective * rows->unit, DBL_MAX);
	bring_back(rows, fit, w, beta, sd, exponent);
	for (int j = 0; j < k; j++)
		fit->mean[j] = ldexp(fit->mean[j], exponent[j]);
}
