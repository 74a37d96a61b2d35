/*
 * optimise.c
 *	  Maximum likelihood in a few dimensions: BFGS on log parameters with an
 *	  analytic gradient, restarted from several points, and by Nelder-Mead
 *	  where no start succeeds; standard errors from the inverse Hessian.
 *
 * The search stays in a box around the first start.  An optimum at the
 * wall, or one flat in some direction, is reported as such: it means that
 * the data do not determine the parameters.
 */
#include "value/value_math.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define GRADIENT_GOAL 1e-8
#define GRADIENT_ENOUGH 1e-6

typedef struct Search
{
	int			n;
	CrmObjective f;
	void	   *arg;
	const double *centre;
	const double *half_width;
	const CrmFitHost *host;
	int			evaluations;
} Search;

static double
evaluate(Search *s, const double *theta, double *gradient)
{
	double		value;
	int			i;

	for (i = 0; i < s->n; i++)
		if (!(fabs(theta[i] - s->centre[i]) <= s->half_width[i]))
			return INFINITY;
	s->host->poll();
	s->evaluations++;
	value = s->f(theta, gradient, s->arg);
	if (!isfinite(value))
		return INFINITY;
	for (i = 0; gradient && i < s->n; i++)
		if (!isfinite(gradient[i]))
			return INFINITY;
	return value;
}

static double
largest(int n, const double *v)
{
	double		m = 0;
	int			i;

	for (i = 0; i < n; i++)
		m = fmax(m, fabs(v[i]));
	return m;
}

static double
dot(int n, const double *a, const double *b)
{
	double		sum = 0;
	int			i;

	for (i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* Where a search stands, and where the line search looks. */
typedef struct Descent
{
	double	   *theta;
	double	   *gradient;
	double		value;
	double		direction[CRM_FIT_MAX];
	double		slope;			/* of the value along it */
	double		trial[CRM_FIT_MAX];
	double		trial_gradient[CRM_FIT_MAX];
	double		trial_value;
} Descent;

/*
 * A point along the direction that lowers the value enough and where the
 * slope has flattened (Wolfe's conditions); false where there is none.
 */
static bool
line_search(Search *s, Descent *at)
{
	int			n = s->n;
	double		lo = 0,
				hi = INFINITY,
				step = 1,
				longest = largest(n, at->direction);

	if (longest > 2)
		step = 2 / longest;
	at->trial_value = INFINITY;
	for (int probe = 0; probe < 40; probe++)
	{
		for (int i = 0; i < n; i++)
			at->trial[i] = at->theta[i] + step * at->direction[i];
		at->trial_value = evaluate(s, at->trial, at->trial_gradient);
		if (!(at->trial_value <= at->value + 1e-4 * step * at->slope))
		{
			/* rounding decides near the optimum: the gradient then tells */
			if (isfinite(at->trial_value) &&
				fabs(at->trial_value - at->value) <= 1e-13 * fabs(at->value) &&
				largest(n, at->trial_gradient) < 0.9 * largest(n, at->gradient))
				return true;
			hi = step;
		}
		else if (dot(n, at->direction, at->trial_gradient) < 0.9 * at->slope)
			lo = step;
		else
			return true;
		step = isfinite(hi) ? (lo + hi) / 2 : lo * 2;
		if (isfinite(hi) && hi - lo < 1e-12 * hi)
			break;
	}
	return lo > 0 && isfinite(at->trial_value) && at->trial_value < at->value;
}

/* Go to the point that was found: d is the way there, y what the gradient did. */
static void
go_there(int n, Descent *at, double *d, double *y)
{
	for (int i = 0; i < n; i++)
	{
		d[i] = at->trial[i] - at->theta[i];
		y[i] = at->trial_gradient[i] - at->gradient[i];
		at->theta[i] = at->trial[i];
		at->gradient[i] = at->trial_gradient[i];
	}
	at->value = at->trial_value;
}

/* H = scale * I */
static void
start_afresh(int n, double *H, double scale)
{
	memset(H, 0, sizeof(double) * n * n);
	for (int i = 0; i < n; i++)
		H[i * n + i] = scale;
}

/* The BFGS update of the inverse Hessian; false where the step tells too little. */
static bool
learn(int n, double *H, const double *d, const double *y, bool fresh)
{
	double		sy = dot(n, d, y),
				Hy[CRM_FIT_MAX],
				yHy;

	if (!(sy > 1e-14 * sqrt(dot(n, d, d) * dot(n, y, y))))
		return false;
	if (fresh)
		start_afresh(n, H, sy / dot(n, y, y));
	for (int i = 0; i < n; i++)
		Hy[i] = dot(n, H + i * n, y);
	yHy = dot(n, y, Hy);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			H[i * n + j] += (1 + yHy / sy) * d[i] * d[j] / sy -
				(Hy[i] * d[j] + d[i] * Hy[j]) / sy;
	return true;
}

/*
 * BFGS with a bisecting line search for the weak Wolfe conditions.
 * theta is start and result; returns the value there.  inverse is the
 * inverse Hessian near the start, if it is known.
 */
static double
bfgs(Search *s, double *theta, double *gradient, const double *inverse,
	 int *iterations)
{
	int			n = s->n,
				iteration;
	double		H[CRM_FIT_MAX * CRM_FIT_MAX],
				y[CRM_FIT_MAX],
				d[CRM_FIT_MAX];
	Descent		at = {theta, gradient};
	bool		fresh = true;

	at.value = evaluate(s, theta, gradient);
	if (!isfinite(at.value))
		return at.value;
	if (inverse)
	{
		memcpy(H, inverse, sizeof(double) * n * n);
		fresh = false;
	}
	for (iteration = 0; iteration < 500; iteration++)
	{
		if (largest(n, gradient) < GRADIENT_GOAL)
			break;
		if (fresh)
			start_afresh(n, H, 1 / fmax(1, 2 * largest(n, gradient)));
		for (int i = 0; i < n; i++)
			at.direction[i] = -dot(n, H + i * n, gradient);
		at.slope = dot(n, at.direction, gradient);
		if (!(at.slope < 0) || !line_search(s, &at))
		{
			if (fresh)
				break;
			fresh = true;
			continue;
		}
		go_there(n, &at, d, y);
		if (learn(n, H, d, y, fresh))
			fresh = false;
	}
	*iterations += iteration;
	return at.value;
}

/* Points of a Nelder-Mead search, with the places of those that matter. */
typedef struct Simplex
{
	int			n;				/* dimensions; there is one point more */
	int			best;
	int			second;			/* worst but one */
	int			worst;
	double		point[CRM_FIT_MAX + 1][CRM_FIT_MAX];
	double		value[CRM_FIT_MAX + 1];
} Simplex;

static void
rank_points(Simplex *x)
{
	x->best = x->worst = 0;
	for (int i = 1; i <= x->n; i++)
	{
		if (x->value[i] < x->value[x->best])
			x->best = i;
		if (x->value[i] > x->value[x->worst])
			x->worst = i;
	}
	x->second = x->best;
	for (int i = 0; i <= x->n; i++)
		if (i != x->worst && x->value[i] > x->value[x->second])
			x->second = i;
}

static void
replace_worst(Simplex *x, const double *point, double value)
{
	memcpy(x->point[x->worst], point, x->n * sizeof(double));
	x->value[x->worst] = value;
}

/* Halve the distances of all points to the best one. */
static void
shrink(Search *s, Simplex *x)
{
	for (int i = 0; i <= x->n; i++)
	{
		if (i == x->best)
			continue;
		for (int j = 0; j < x->n; j++)
			x->point[i][j] = (x->point[i][j] + x->point[x->best][j]) / 2;
		x->value[i] = evaluate(s, x->point[i], NULL);
	}
}

/* One round: the worst point is turned over, pulled further out or drawn in. */
static void
turn_over(Search *s, Simplex *x)
{
	int			n = x->n;
	const double *worst = x->point[x->worst];
	double		centre[CRM_FIT_MAX],
				trial[CRM_FIT_MAX],
				further[CRM_FIT_MAX],
				v,
				w;

	for (int j = 0; j < n; j++)
	{
		centre[j] = 0;
		for (int i = 0; i <= n; i++)
			if (i != x->worst)
				centre[j] += x->point[i][j] / n;
		trial[j] = 2 * centre[j] - worst[j];
		further[j] = 3 * centre[j] - 2 * worst[j];
	}
	v = evaluate(s, trial, NULL);
	if (v < x->value[x->best])
	{
		w = evaluate(s, further, NULL);
		replace_worst(x, w < v ? further : trial, fmin(w, v));
		return;
	}
	if (v < x->value[x->second])
	{
		replace_worst(x, trial, v);
		return;
	}
	for (int j = 0; j < n; j++)
		further[j] = (centre[j] + (v < x->value[x->worst] ? trial[j] : worst[j])) / 2;
	w = evaluate(s, further, NULL);
	if (w < fmin(v, x->value[x->worst]))
		replace_worst(x, further, w);
	else
		shrink(s, x);
}

/* Nelder-Mead: slow and sure enough to hand a better start to BFGS */
static double
nelder_mead(Search *s, double *theta)
{
	int			n = s->n;
	Simplex		x;

	x.n = n;
	for (int i = 0; i <= n; i++)
	{
		memcpy(x.point[i], theta, n * sizeof(double));
		if (i > 0)
			x.point[i][i - 1] += 0.5;
		x.value[i] = evaluate(s, x.point[i], NULL);
	}
	for (int round = 0; round < 400 * n; round++)
	{
		rank_points(&x);
		if (x.value[x.worst] - x.value[x.best] < 1e-11 * (1 + fabs(x.value[x.best])))
			break;
		turn_over(s, &x);
	}
	rank_points(&x);
	memcpy(theta, x.point[x.best], n * sizeof(double));
	return x.value[x.best];
}

/*
 * Eigenvalues and vectors (columns) of a small symmetric matrix by Jacobi
 * rotations; the matrix is destroyed.
 */
static void
symmetric_eigen(int n, double *m, double *values, double *vectors)
{
	int			i,
				j,
				k,
				sweep;

	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
			vectors[i * n + j] = i == j;
	for (sweep = 0; sweep < 60; sweep++)
	{
		double		off = 0,
					diagonal = 0;

		for (i = 0; i < n; i++)
			for (j = 0; j < n; j++)
				if (i == j)
					diagonal += m[i * n + j] * m[i * n + j];
				else
					off += m[i * n + j] * m[i * n + j];
		if (off <= 1e-30 * diagonal || !isfinite(off))
			break;
		for (i = 0; i < n; i++)
			for (j = i + 1; j < n; j++)
			{
				double		apq = m[i * n + j],
							angle,
							t,
							c,
							s;

				if (apq == 0)
					continue;
				angle = (m[j * n + j] - m[i * n + i]) / (2 * apq);
				t = (angle >= 0 ? 1 : -1) /
					(fabs(angle) + sqrt(angle * angle + 1));
				c = 1 / sqrt(t * t + 1);
				s = t * c;
				for (k = 0; k < n; k++)
				{
					double		a = m[k * n + i],
								b = m[k * n + j];

					m[k * n + i] = c * a - s * b;
					m[k * n + j] = s * a + c * b;
				}
				for (k = 0; k < n; k++)
				{
					double		a = m[i * n + k],
								b = m[j * n + k];

					m[i * n + k] = c * a - s * b;
					m[j * n + k] = s * a + c * b;
				}
				for (k = 0; k < n; k++)
				{
					double		a = vectors[k * n + i],
								b = vectors[k * n + j];

					vectors[k * n + i] = c * a - s * b;
					vectors[k * n + j] = s * a + c * b;
				}
			}
	}
	for (i = 0; i < n; i++)
		values[i] = m[i * n + i];
}

/*
 * Covariance of theta (times the number of customers), smallest eigenvalue.
 * Differences of the gradient are central; one-sided, at half the cost,
 * where its value at the optimum is given.
 */
static void
curvature(Search *s, const double *gradient, CrmOptimum *o)
{
	int			n = s->n,
				i,
				j,
				k;
	double		H[CRM_FIT_MAX * CRM_FIT_MAX],
				vectors[CRM_FIT_MAX * CRM_FIT_MAX],
				values[CRM_FIT_MAX] = {0};

	for (i = 0; i < n; i++)
	{
		double		at[CRM_FIT_MAX],
					up[CRM_FIT_MAX],
					down[CRM_FIT_MAX],
					h = 1e-4;

		memcpy(at, o->theta, sizeof(double) * n);
		at[i] = o->theta[i] + h;
		s->host->poll();
		s->f(at, up, s->arg);
		s->evaluations++;
		if (gradient)
			for (j = 0; j < n; j++)
				H[i * n + j] = (up[j] - gradient[j]) / h;
		else
		{
			at[i] = o->theta[i] - h;
			s->host->poll();
			s->f(at, down, s->arg);
			s->evaluations++;
			for (j = 0; j < n; j++)
				H[i * n + j] = (up[j] - down[j]) / (2 * h);
		}
	}
	for (i = 0; i < n; i++)
		for (j = 0; j < i; j++)
			H[i * n + j] = H[j * n + i] = (H[i * n + j] + H[j * n + i]) / 2;
	for (i = 0; i < n * n; i++)
		if (!isfinite(H[i]))
		{
			o->smallest_eigenvalue = NAN;
			return;
		}
	symmetric_eigen(n, H, values, vectors);
	o->smallest_eigenvalue = values[0];
	for (i = 1; i < n; i++)
		o->smallest_eigenvalue = fmin(o->smallest_eigenvalue, values[i]);
	if (!(o->smallest_eigenvalue > 0))
		return;
	for (i = 0; i < n; i++)
		for (j = 0; j < n; j++)
		{
			double		sum = 0;

			for (k = 0; k < n; k++)
				sum += vectors[i * n + k] * vectors[j * n + k] / values[k];
			o->covariance[i * n + j] = sum;
		}
}

void
crm_optimise(int n, CrmObjective f, void *arg, const double *starts,
			 int nstarts, const double *half_width, const CrmOptimum *near,
			 const CrmFitHost *host, CrmOptimum *o)
{
	Search		s = {n, f, arg, starts, half_width, host, 0};
	double		best = INFINITY,
				norm = INFINITY,
				at_best[CRM_FIT_MAX];
	int			start,
				i;
	bool		at_wall = false;

	o->iterations = 0;
	memcpy(o->theta, starts, n * sizeof(double));
	for (start = near ? -1 : 0; start <= nstarts; start++)
	{
		double		theta[CRM_FIT_MAX],
					gradient[CRM_FIT_MAX],
					value;

		if (start < 0)
			memcpy(theta, near->theta, n * sizeof(double));
		else if (start < nstarts)
			memcpy(theta, starts + start * n, n * sizeof(double));
		else
		{
			/* the last resort */
			memcpy(theta, isfinite(best) ? o->theta : starts,
				   n * sizeof(double));
			nelder_mead(&s, theta);
		}
		value = bfgs(&s, theta, gradient, start < 0 ? near->covariance : NULL,
					 &o->iterations);
		if (value < best)
		{
			best = value;
			memcpy(o->theta, theta, n * sizeof(double));
			memcpy(at_best, gradient, n * sizeof(double));
			norm = largest(n, gradient);
			at_wall = false;
			for (i = 0; i < n; i++)
				at_wall |= fabs(theta[i] - starts[i]) >
					half_width[i] - 0.5;
		}
		if (isfinite(best) && norm < GRADIENT_ENOUGH)
			break;
		if (at_wall && start > 0)
			break;
	}
	o->value = best;
	o->gradient_norm = norm;
	o->smallest_eigenvalue = NAN;
	memset(o->covariance, 0, sizeof(o->covariance));
	if (!isfinite(best))
	{
		o->state = CRM_FIT_NOT_CONVERGED;
		o->evaluations = s.evaluations;
		return;
	}
	curvature(&s, near && norm < GRADIENT_ENOUGH ? at_best : NULL, o);
	o->evaluations = s.evaluations;

	/* flat: a parameter could be hundreds of times as large for nothing */
	if (at_wall || !(o->smallest_eigenvalue > 1e-8))
		o->state = CRM_FIT_NO_INTERIOR;
	else if (norm < GRADIENT_ENOUGH)
		o->state = CRM_FIT_CONVERGED;
	else
		o->state = CRM_FIT_NOT_CONVERGED;
}
