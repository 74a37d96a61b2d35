/*
 * logistic_pass.c
 *	  One pass of a logistic regression over its rows: likelihood, gradient and
 *	  Hessian together.
 *
 * This is where a fit spends its time: rows are taken in blocks that stay in
 * the cache, four at a time for the Hessian.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "scoring/logistic_work.h"

/* the same code for wider registers where the processor has them */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define WIDE __attribute__((target_clones("arch=haswell", "default"), optimize("O3")))
#else
#define WIDE
#endif

/*
 * h (upper triangle, p = k + 1) += sum of w z z' for four rows at a time, z
 * being 1 and the row.  zw holds the same rows times w.
 */
WIDE static void
add_outer(double *h, int p, const double *z, const double *zw, int m)
{
	int			r = 0;

	for (; r + 4 <= m; r += 4)
	{
		const double *a0 = z + (Size) r * p;
		const double *a1 = a0 + p;
		const double *a2 = a1 + p;
		const double *a3 = a2 + p;
		const double *b0 = zw + (Size) r * p;

		for (int i = 0; i < p; i++)
		{
			double		w0 = b0[i],
						w1 = b0[p + i],
						w2 = b0[2 * p + i],
						w3 = b0[3 * p + i];
			double	   *row = h + (Size) i * p;

			for (int j = i; j < p; j++)
				row[j] += w0 * a0[j] + w1 * a1[j] + w2 * a2[j] + w3 * a3[j];
		}
	}
	for (; r < m; r++)
	{
		const double *a0 = z + (Size) r * p;
		const double *b0 = zw + (Size) r * p;

		for (int i = 0; i < p; i++)
			for (int j = i; j < p; j++)
				h[(Size) i * p + j] += b0[i] * a0[j];
	}
}

/* eta of m rows */
WIDE static void
multiply(const double *x, int k, int m, const double *beta, double *eta)
{
	for (int r = 0; r < m; r++, x += k)
	{
		double		s0 = 0,
					s1 = 0,
					s2 = 0,
					s3 = 0;
		int			j = 0;

		for (; j + 4 <= k; j += 4)
		{
			s0 += beta[j + 1] * x[j];
			s1 += beta[j + 2] * x[j + 1];
			s2 += beta[j + 3] * x[j + 2];
			s3 += beta[j + 4] * x[j + 3];
		}
		for (; j < k; j++)
			s0 += beta[j + 1] * x[j];
		eta[r] = beta[0] + ((s0 + s1) + (s2 + s3));
	}
}

void
crm_logistic_eta(const double *x, int k, int m, const double *beta, double *eta)
{
	multiply(x, k, m, beta, eta);
}

/* Room for p coefficients, the intercept among them. */
LogisticWork *
crm_logistic_work(int p)
{
	LogisticWork *w = palloc(sizeof(LogisticWork));

	w->p = p;
	w->penalty = palloc0(sizeof(double) * p);
	w->h = palloc(sizeof(double) * p * p);
	w->part_h = palloc(sizeof(double) * p * p);
	w->g = palloc(sizeof(double) * p);
	w->part_g = palloc(sizeof(double) * p);
	w->z = palloc(sizeof(double) * p * LOGISTIC_BLOCK);
	w->zw = palloc(sizeof(double) * p * LOGISTIC_BLOCK);
	return w;
}

/*
 * A block of rows: weights and residuals out of their log-odds.  Returns the
 * loss so far with theirs, added row by row.
 */
static double
weigh(LogisticWork *w, const double *eta, const uint8 *y, int m, double *weight,
	  double *residual, double loss)
{
	for (int r = 0; r < m; r++)
	{
		double		a = fabs(eta[r]);
		double		e = exp(-a);	/* in (0, 1]: nothing overflows */
		double		pr = 1.0 / (1.0 + e);	/* of the likelier side */

		if (a > w->top)
			w->top = a;
		loss += log1p(e);
		if ((eta[r] > 0) != (y[r] != 0))
			loss += a;
		weight[r] = pr * (e * pr);
		/* residual y - p without cancellation */
		if (y[r])
			residual[r] = eta[r] > 0 ? e * pr : pr;
		else
			residual[r] = eta[r] > 0 ? -pr : -e * pr;
	}
	return loss;
}

/* The block's rows with a leading 1, as they are and weighted; adds to the gradient. */
static void
lay_out(LogisticWork *w, const double *x, int m, const double *weight, const double *residual)
{
	int			p = w->p;
	int			k = p - 1;

	for (int r = 0; r < m; r++)
	{
		const double *xr = x + (Size) r * k;
		double	   *z = w->z + (Size) r * p;
		double	   *zw = w->zw + (Size) r * p;

		z[0] = 1;
		zw[0] = weight[r];
		w->part_g[0] += residual[r];
		for (int j = 0; j < k; j++)
		{
			z[j + 1] = xr[j];
			zw[j + 1] = xr[j] * weight[r];
			w->part_g[j + 1] += xr[j] * residual[r];
		}
	}
}

/* One pass over all rows at beta: loss, gradient and Hessian, penalty included. */
void
crm_logistic_pass(LogisticRows *rows, LogisticWork *w, const double *beta, double *eta)
{
	int			k = rows->k;
	int			p = w->p;
	double		weight[LOGISTIC_BLOCK];
	double		residual[LOGISTIC_BLOCK];

	memset(w->h, 0, sizeof(double) * p * p);
	memset(w->g, 0, sizeof(double) * p);
	w->loss = 0;
	w->top = 0;
	for (int c = 0; c < rows->nchunks; c++)
	{
		int			in_chunk = crm_logistic_chunk(rows, c);
		double		loss = 0;

		memset(w->part_h, 0, sizeof(double) * p * p);
		memset(w->part_g, 0, sizeof(double) * p);
		for (int at = 0; at < in_chunk; at += LOGISTIC_BLOCK)
		{
			int			m = Min(LOGISTIC_BLOCK, in_chunk - at);
			const double *x = rows->x[c] + (Size) at * k;
			double	   *out = eta + (int64) c * rows->chunk_rows + at;

			CHECK_FOR_INTERRUPTS();
			multiply(x, k, m, beta, out);
			loss = weigh(w, out, rows->y[c] + at, m, weight, residual, loss);
			lay_out(w, x, m, weight, residual);
			add_outer(w->part_h, p, w->z, w->zw, m);
		}
		for (int i = 0; i < p * p; i++)
			w->h[i] += w->part_h[i];
		for (int i = 0; i < p; i++)
			w->g[i] += w->part_g[i];
		w->loss += loss;
	}
	w->objective = w->loss;
	for (int i = 0; i < p; i++)
	{
		w->g[i] -= w->penalty[i] * beta[i];
		w->h[i * p + i] += w->penalty[i];
		w->objective += 0.5 * w->penalty[i] * beta[i] * beta[i];
		for (int j = 0; j < i; j++)
			w->h[i * p + j] = w->h[j * p + i];
	}
}
