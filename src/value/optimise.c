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
				i,
				j,
				iteration;
	double		H[CRM_FIT_MAX * CRM_FIT_MAX],
				direction[CRM_FIT_MAX],
				trial[CRM_FIT_MAX],
				trial_gradient[CRM_FIT_MAX],
				value;
	bool		fresh = true;

	value = evaluate(s, theta, gradient);
	if (!isfinite(value))
		return value;
	if (inverse)
	{
		memcpy(H, inverse, sizeof(double) * n * n);
		fresh = false;
	}
	for (iteration = 0; iteration < 500; iteration++)
	{
		double		lo = 0,
					hi = INFINITY,
					step = 1,
					slope,
					trial_value = INFINITY,
					y[CRM_FIT_MAX],
					d[CRM_FIT_MAX],
					sy,
					longest;
		int			probe;
		bool		found = false;

		if (largest(n, gradient) < GRADIENT_GOAL)
			break;
		if (fresh)
		{
			double		scale = 1 / fmax(1, 2 * largest(n, gradient));

			memset(H, 0, sizeof(H));
			for (i = 0; i < n; i++)
				H[i * n + i] = scale;
		}
		for (i = 0; i < n; i++)
			direction[i] = -dot(n, H + i * n, gradient);
		slope = dot(n, direction, gradient);
		if (!(slope < 0))
		{
			if (fresh)
				break;
			fresh = true;
			continue;
		}
		longest = largest(n, direction);
		if (longest > 2)
			step = 2 / longest;
		for (probe = 0; probe < 40; probe++)
		{
			for (i = 0; i < n; i++)
				trial[i] = theta[i] + step * direction[i];
			trial_value = evaluate(s, trial, trial_gradient);
			if (!(trial_value <= value + 1e-4 * step * slope))
			{
				/* rounding decides near the optimum: the gradient then tells */
				if (isfinite(trial_value) &&
					fabs(trial_value - value) <= 1e-13 * fabs(value) &&
					largest(n, trial_gradient) < 0.9 * largest(n, gradient))
				{
					found = true;
					break;
				}
				hi = step;
			}
			else if (dot(n, direction, trial_gradient) < 0.9 * slope)
				lo = step;
			else
			{
				found = true;
				break;
			}
			step = isfinite(hi) ? (lo + hi) / 2 : lo * 2;
			if (isfinite(hi) && hi - lo < 1e-12 * hi)
				break;
		}
		if (!found && lo > 0 && isfinite(trial_value))
			found = trial_value < value;
		if (!found)
		{
			if (fresh)
				break;
			fresh = true;
			continue;
		}
		for (i = 0; i < n; i++)
		{
			d[i] = trial[i] - theta[i];
			y[i] = trial_gradient[i] - gradient[i];
			theta[i] = trial[i];
			gradient[i] = trial_gradient[i];
		}
		value = trial_value;
		sy = dot(n, d, y);
		if (sy > 1e-14 * sqrt(dot(n, d, d) * dot(n, y, y)))
		{
			double		Hy[CRM_FIT_MAX],
						yHy;

			if (fresh)
			{
				double		scale = sy / dot(n, y, y);

				for (i = 0; i < n; i++)
					H[i * n + i] = scale;
			}
			for (i = 0; i < n; i++)
				Hy[i] = dot(n, H + i * n, y);
			yHy = dot(n, y, Hy);
			for (i = 0; i < n; i++)
				for (j = 0; j < n; j++)
					H[i * n + j] += (1 + yHy / sy) * d[i] * d[j] / sy -
						(Hy[i] * d[j] + d[i] * Hy[j]) / sy;
			fresh = false;
		}
	}
	*iterations += iteration;
	return value;
}

/* Nelder-Mead: slow and sure enough to hand a better start to BFGS */
static double
nelder_mead(Search *s, double *theta)
{
	int			n = s->n,
				i,
				j,
				round;
	double		point[CRM_FIT_MAX + 1][CRM_FIT_MAX],
				value[CRM_FIT_MAX + 1];

	for (i = 0; i <= n; i++)
	{
		memcpy(point[i], theta, n * sizeof(double));
		if (i > 0)
			point[i][i - 1] += 0.5;
		value[i] = evaluate(s, point[i], NULL);
	}
	for (round = 0; round < 400 * n; round++)
	{
		int			best = 0,
					worst = 0,
					second;
		double		centre[CRM_FIT_MAX],
					trial[CRM_FIT_MAX],
					further[CRM_FIT_MAX],
					v,
					w;

		for (i = 1; i <= n; i++)
		{
			if (value[i] < value[best])
				best = i;
			if (value[i] > value[worst])
				worst = i;
		}
		second = best;
		for (i = 0; i <= n; i++)
			if (i != worst && value[i] > value[second])
				second = i;
		if (value[worst] - value[best] < 1e-11 * (1 + fabs(value[best])))
			break;
		for (j = 0; j < n; j++)
		{
			centre[j] = 0;
			for (i = 0; i <= n; i++)
				if (i != worst)
					centre[j] += point[i][j] / n;
			trial[j] = 2 * centre[j] - point[worst][j];
			further[j] = 3 * centre[j] - 2 * point[worst][j];
		}
		v = evaluate(s, trial, NULL);
		if (v < value[best])
		{
			w = evaluate(s, further, NULL);
			memcpy(point[worst], w < v ? further : trial, n * sizeof(double));
			value[worst] = fmin(w, v);
			continue;
		}
		if (v < value[second])
		{
			memcpy(point[worst], trial, n * sizeof(double));
			value[worst] = v;
			continue;
		}
		for (j = 0; j < n; j++)
			further[j] = (centre[j] + (v < value[worst] ? trial[j] :
									   point[worst][j])) / 2;
		w = evaluate(s, further, NULL);
		if (w < fmin(v, value[worst]))
		{
			memcpy(point[worst], further, n * sizeof(double));
			value[worst] = w;
			continue;
		}
		for (i = 0; i <= n; i++)
			if (i != best)
			{
				for (j = 0; j < n; j++)
					point[i][j] = (point[i][j] + point[best][j]) / 2;
				value[i] = evaluate(s, point[i], NULL);
			}
	}
	j = 0;
	for (i = 1; i <= n; i++)
		if (value[i] < value[j])
			j = i;
	memcpy(theta, point[j], n * sizeof(double));
	return value[j];
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
