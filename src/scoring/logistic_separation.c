/*
 * logistic_separation.c
 *	  Where a logistic regression has no single solution: columns that are a
 *	  combination of others, outcomes that the columns separate.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "scoring/logistic_work.h"

/*
 * Columns that are a combination of those before them, found by a Cholesky
 * factor of the correlations in column order.  The first pass has been made:
 * all rows had one probability, so that its Hessian is the Gram matrix times
 * one number, which stands in its corner.
 */
void
crm_logistic_find_aliased(LogisticRows *rows, LogisticWork *w, const double *sd, bool *aliased)
{
	int			p = w->p;
	double		unit = w->h[0];
	double	   *a = palloc(sizeof(double) * p * p);
	double		penalty = rows->lambda;

	for (int i = 0; i < p * p; i++)
		a[i] = w->h[i] / unit;
	for (int j = 1; j < p; j++)
	{
		double		d = a[j * p + j];

		if (sd[j - 1] == 0)
		{
			aliased[j - 1] = true;
			continue;
		}
		if (penalty > 0)
			continue;			/* the penalty makes the weights unique */
		for (int l = 1; l < j; l++)
			if (!aliased[l - 1])
				d -= a[j * p + l] * a[j * p + l];
		if (d < LOGISTIC_ALIASED)
		{
			aliased[j - 1] = true;
			continue;
		}
		d = sqrt(d);
		a[j * p + j] = d;
		for (int i = j + 1; i < p; i++)
		{
			double		s = a[i * p + j];

			for (int l = 1; l < j; l++)
				if (!aliased[l - 1])
					s -= a[i * p + l] * a[j * p + l];
			a[i * p + j] = s / d;
		}
	}
	pfree(a);
}

/* Take aliased columns out of the system: their step is 0. */
void
crm_logistic_fix_aliased(LogisticWork *w, const bool *aliased)
{
	int			p = w->p;

	for (int j = 1; j < p; j++)
	{
		if (!aliased[j - 1])
			continue;
		for (int i = 0; i < p; i++)
			w->h[i * p + j] = w->h[j * p + i] = 0;
		w->h[j * p + j] = 1;
		w->g[j] = 0;
	}
}

/*
 * Does a step go on separating the outcome: does it move some rows further to
 * their side, and none noticeably to the other?
 */
bool
crm_logistic_separates(LogisticRows *rows, const double *d)
{
	double		eta[LOGISTIC_BLOCK];
	double		worst = 0;
	double		best = 0;

	for (int c = 0; c < rows->nchunks; c++)
	{
		int			in_chunk = crm_logistic_chunk(rows, c);

		for (int at = 0; at < in_chunk; at += LOGISTIC_BLOCK)
		{
			int			m = Min(LOGISTIC_BLOCK, in_chunk - at);
			const uint8 *y = rows->y[c] + at;

			CHECK_FOR_INTERRUPTS();
			crm_logistic_eta(rows->x[c] + (Size) at * rows->k, rows->k, m, d, eta);
			for (int r = 0; r < m; r++)
			{
				double		s = y[r] ? eta[r] : -eta[r];

				if (s < worst)
					worst = s;
				if (s > best)
					best = s;
			}
		}
	}
	return best > 0.1 && -worst <= 1e-4 * Min(best, 1);
}

/* The rows that a direction leaves where they are: means, spreads, correlations. */
typedef struct Unmoved
{
	int64		n;
	double		reach;			/* how far the direction moves the others */
	double	   *m;				/* k */
	double	   *v;				/* k */
	double	   *a;				/* k * k, lower triangle */
	double	   *z;				/* k: a row at work */
} Unmoved;

static void
add_unmoved(Unmoved *u, const double *x, int k, int pass)
{
	u->n += pass == 1;
	for (int j = 0; j < k; j++)
	{
		if (pass == 1)
			u->m[j] += x[j];
		else if (pass == 2)
			u->v[j] += (x[j] - u->m[j]) * (x[j] - u->m[j]);
		else
			u->z[j] = u->v[j] > 0 ? (x[j] - u->m[j]) / u->v[j] : 0;
	}
	for (int j = 0; pass == 3 && j < k; j++)
		for (int l = 0; l <= j; l++)
			u->a[j * k + l] += u->z[j] * u->z[l] / u->n;
}

/* Four passes: how far rows are moved; then means, spreads and correlations of the unmoved. */
static void
gather_unmoved(LogisticRows *rows, const double *d, Unmoved *u)
{
	int			k = rows->k;
	double		eta[LOGISTIC_BLOCK];

	for (int pass = 0; pass < 4; pass++)
	{
		for (int c = 0; c < rows->nchunks; c++)
		{
			int			in_chunk = crm_logistic_chunk(rows, c);

			for (int at = 0; at < in_chunk; at += LOGISTIC_BLOCK)
			{
				int			m = Min(LOGISTIC_BLOCK, in_chunk - at);
				const double *x = rows->x[c] + (Size) at * k;

				CHECK_FOR_INTERRUPTS();
				crm_logistic_eta(x, k, m, d, eta);
				for (int r = 0; r < m; r++, x += k)
				{
					if (pass == 0)
						u->reach = Max(u->reach, fabs(eta[r]));
					else if (!(fabs(eta[r]) > 1e-3 * Min(u->reach, 1)))
						add_unmoved(u, x, k, pass);
				}
			}
		}
		for (int j = 0; j < k; j++)
		{
			if (pass == 1)
				u->m[j] /= Max(u->n, 1);
			if (pass == 2)
			{
				u->v[j] = sqrt(u->v[j] / Max(u->n, 1));
				if (u->v[j] <= 1e-13 * fabs(u->m[j]))
					u->v[j] = 0;
			}
		}
		if (pass == 1 && u->n == 0)
			break;
	}
}

/* Are columns dependent, by their correlations? Cholesky, as in crm_logistic_find_aliased. */
static bool
are_dependent(double *a, int k, const bool *aliased)
{
	for (int j = 0; j < k; j++)
	{
		double		rest = a[j * k + j];

		if (aliased[j])
			continue;
		for (int l = 0; l < j; l++)
			if (!aliased[l])
				rest -= a[j * k + l] * a[j * k + l];
		if (!(rest > LOGISTIC_ALIASED))
			return true;
		rest = sqrt(rest);
		a[j * k + j] = rest;
		for (int i = j + 1; i < k; i++)
		{
			double		s = a[i * k + j];

			for (int l = 0; l < j; l++)
				if (!aliased[l])
					s -= a[i * k + l] * a[j * k + l];
			a[i * k + j] = s / rest;
		}
	}
	return false;
}

/*
 * A direction seems to separate the outcome.  It does if there are no rows it
 * leaves where they are, or if on those rows the columns are dependent: the
 * direction is how.  Otherwise the rows it moves are far outliers beside
 * which the others look alike: columns are then standardised by the others,
 * once, so that both can be told apart.
 */
bool
crm_logistic_really_separates(LogisticRows *rows, const double *d, const bool *aliased,
							  double *mean, double *sd, bool *restandardised)
{
	int			k = rows->k;
	int			p = k + 1;
	Unmoved		u = {0};
	bool		dependent;

	u.m = palloc0(sizeof(double) * p);
	u.v = palloc0(sizeof(double) * p);
	u.a = palloc0(sizeof(double) * p * p);
	u.z = palloc(sizeof(double) * p);
	gather_unmoved(rows, d, &u);
	dependent = u.n == 0 || are_dependent(u.a, k, aliased);
	if (!dependent && !*restandardised)
	{
		*restandardised = true;
		crm_logistic_restandardise(rows, u.m, u.v, mean, sd);
	}
	pfree(u.m);
	pfree(u.v);
	pfree(u.a);
	pfree(u.z);
	return dependent;
}
