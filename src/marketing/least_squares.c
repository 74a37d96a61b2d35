/*
 * least_squares.c
 *	  Small dense systems: least squares with a ridge and with signs.
 *
 * All work on the Gram matrix X'X of columns that have been centred and
 * scaled, so that a pivot measures what a column adds to those before it: a
 * column with a pivot below ALIAS is a combination of them and is left out.
 *
 * Signs are kept by the active-set method of Lawson and Hanson (1974),
 * chapter 23, on the normal equations: free columns are solved for, one that
 * would fall below zero is held there, one that would gain is set free.
 */
#include "postgres.h"

#include <math.h>

#include "marketing/least_squares.h"

#define ALIAS 1e-10

/* L with a = L L', in the lower triangle; false: a is not positive definite. */
static bool
factor(double *a, int n)
{
	for (int j = 0; j < n; j++)
	{
		double		d = a[(Size) j * n + j];

		for (int k = 0; k < j; k++)
			d -= a[(Size) j * n + k] * a[(Size) j * n + k];
		if (!(d > 0))
			return false;
		d = sqrt(d);
		a[(Size) j * n + j] = d;
		for (int i = j + 1; i < n; i++)
		{
			double		s = a[(Size) i * n + j];

			for (int k = 0; k < j; k++)
				s -= a[(Size) i * n + k] * a[(Size) j * n + k];
			a[(Size) i * n + j] = s / d;
		}
	}
	return true;
}

/*
 * Solve a x = b in place of b; of the symmetric a the lower triangle is read,
 * and destroyed.  A column that adds nothing gets a small diagonal, which
 * leaves its unknown at 0.
 */
bool
crm_solve_positive(double *a, int n, double *b)
{
	double		most = 0;

	for (int i = 0; i < n; i++)
		most = Max(most, a[(Size) i * n + i]);
	for (int i = 0; i < n; i++)
		a[(Size) i * n + i] += most * 1e-13;
	if (!factor(a, n))
		return false;
	for (int i = 0; i < n; i++)
	{
		for (int k = 0; k < i; k++)
			b[i] -= a[(Size) i * n + k] * b[k];
		b[i] /= a[(Size) i * n + i];
	}
	for (int i = n - 1; i >= 0; i--)
	{
		for (int k = i + 1; k < n; k++)
			b[i] -= a[(Size) k * n + i] * b[k];
		b[i] /= a[(Size) i * n + i];
	}
	for (int i = 0; i < n; i++)
		if (!isfinite(b[i]))
			return false;
	return true;
}

/*
 * The inverse of a Gram matrix without its aliased columns, whose rows and
 * columns are 0; how many columns are left.  By sweeps (Goodnight 1979): the
 * diagonal that is left of a column tells what it adds to those before it.
 */
int
crm_invert_gram(const double *gram, int n, double *inverse, bool *aliased)
{
	int			rank = 0;

	memcpy(inverse, gram, sizeof(double) * n * n);
	for (int k = 0; k < n; k++)
	{
		double		pivot = inverse[(Size) k * n + k];

		aliased[k] = !(pivot > ALIAS * gram[(Size) k * n + k]);
		if (aliased[k])
			continue;
		rank++;
		for (int i = 0; i < n; i++)
			for (int j = 0; j < n; j++)
				if (i != k && j != k)
					inverse[(Size) i * n + j] -=
						inverse[(Size) i * n + k] * inverse[(Size) k * n + j] / pivot;
		for (int i = 0; i < n; i++)
			if (i != k)
			{
				inverse[(Size) i * n + k] /= pivot;
				inverse[(Size) k * n + i] /= -pivot;
			}
		inverse[(Size) k * n + k] = 1 / pivot;
	}
	/* what is left in rows and columns that were not swept is no part of the answer */
	for (int k = 0; k < n; k++)
		if (aliased[k])
			for (int i = 0; i < n; i++)
				inverse[(Size) k * n + i] = inverse[(Size) i * n + k] = 0;
	return rank;
}

/* Solve for the columns marked free alone; the others are 0. */
static bool
solve_free(const double *gram, const double *moment, int n, const bool *is_free, double *x)
{
	int		   *which = palloc(sizeof(int) * n);
	double	   *a = palloc(sizeof(double) * n * n);
	double	   *b = palloc(sizeof(double) * n);
	int			m = 0;
	bool		solved;

	for (int i = 0; i < n; i++)
		if (is_free[i])
			which[m++] = i;
	for (int i = 0; i < m; i++)
	{
		b[i] = moment[which[i]];
		for (int j = 0; j < m; j++)
			a[i * m + j] = gram[(Size) which[i] * n + which[j]];
	}
	solved = crm_solve_positive(a, m, b);
	memset(x, 0, sizeof(double) * n);
	for (int i = 0; i < m; i++)
		x[which[i]] = b[i];
	pfree(which);
	pfree(a);
	pfree(b);
	return solved;
}

/*
 * Minimise x'Gx/2 - m'x with x >= 0 where not_negative says so.  Columns left
 * out stay 0.  False: no solution was found.
 */
bool
crm_solve_signed(const double *gram, const double *moment, int n, const bool *not_negative,
				 const bool *left_out, double *x)
{
	bool	   *is_free = palloc(sizeof(bool) * n);
	double	   *next = palloc(sizeof(double) * n);
	double		scale = 0;

	for (int i = 0; i < n; i++)
	{
		is_free[i] = !not_negative[i] && !left_out[i];
		scale = Max(scale, fabs(moment[i]));
	}
	if (!solve_free(gram, moment, n, is_free, x))
		return false;
	for (int turn = 0; turn < 10 * n + 10; turn++)
	{
		int			best = -1;
		double		gain = 1e-10 * scale;

		for (int i = 0; i < n; i++)
		{
			double		slope = moment[i];

			if (is_free[i] || left_out[i])
				continue;
			for (int j = 0; j < n; j++)
				slope -= gram[(Size) i * n + j] * x[j];
			if (slope > gain)
			{
				gain = slope;
				best = i;
			}
		}
		if (best < 0)
			return true;
		is_free[best] = true;
		for (;;)
		{
			double		step = 1;

			if (!solve_free(gram, moment, n, is_free, next))
				return false;
			/* go as far as signs allow; who gets to zero stays there */
			for (int i = 0; i < n; i++)
				if (is_free[i] && not_negative[i] && next[i] <= 0 && x[i] - next[i] > 0)
					step = Min(step, x[i] / (x[i] - next[i]));
			if (step >= 1)
				break;
			for (int i = 0; i < n; i++)
			{
				x[i] += step * (next[i] - x[i]);
				if (is_free[i] && not_negative[i] && x[i] <= 1e-15 * (1 + fabs(next[i])))
				{
					x[i] = 0;
					is_free[i] = false;
				}
			}
		}
		memcpy(x, next, sizeof(double) * n);
	}
	return true;
}
