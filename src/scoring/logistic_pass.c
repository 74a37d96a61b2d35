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

/*
 * The same code for wider registers where the processor has them, whoever made
 * it (a name of an architecture would only fit one maker's).  Without fused
 * multiplication, so that results are the same on both.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define WIDE __attribute__((target_clones("avx2", "default"), optimize("O3")))
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
 * loss so far with theirs, added row by row where the rows have weights.
 *
 * The loss of a row is log(1 + e) of the likelier side.  A logarithm is dear:
 * one is taken of the product of a block, which is at most 2^LOGISTIC_BLOCK,
 * but where e would get lost beside 1.
 */
static double
weigh(LogisticWork *w, const double *eta, const uint8 *y, const double *each, int m,
	  double *weight, double *residual, double loss)
{
	double		product = 1;

	for (int r = 0; r < m; r++)
	{
		double		a = fabs(eta[r]);
		double		e = exp(-a);	/* in (0, 1]: nothing overflows */
		double		pr = 1.0 / (1.0 + e);	/* of the likelier side */
		double		one = 0;

		if (a > w->top)
			w->top = a;
		if (e < 1e-3 || each != NULL)
			one = log1p(e);
		else
			product *= 1.0 + e;
		if ((eta[r] > 0) != (y[r] != 0))
			one += a;
		weight[r] = pr * (e * pr);
		/* residual y - p without cancellation */
		if (y[r])
			residual[r] = eta[r] > 0 ? e * pr : pr;
		else
			residual[r] = eta[r] > 0 ? -pr : -e * pr;
		if (each != NULL)
		{
			one *= each[r];
			weight[r] *= each[r];
			residual[r] *= each[r];
		}
		loss += one;
	}
	return loss + log(product);
}

/* The block's rows with a leading 1, as they are and weighted; adds to the gradient. */
WIDE static void
lay_out(const double *x, int p, int m, const double *weight, const double *residual,
		double *z, double *zw, double *gradient)
{
	for (int r = 0; r < m; r++, x += p - 1, z += p, zw += p)
	{
		double		by = weight[r];
		double		rest = residual[r];

		z[0] = 1;
		zw[0] = by;
		gradient[0] += rest;
		for (int j = 1; j < p; j++)
		{
			double		v = x[j - 1];

			z[j] = v;
			zw[j] = v * by;
			gradient[j] += v * rest;
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
			loss = weigh(w, out, rows->y[c] + at, rows->weighted ? rows->w[c] + at : NULL, m,
						 weight, residual, loss);
			lay_out(x, p, m, weight, residual, w->z, w->zw, w->part_g);
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

/*
 * Spread of the gradient over the rows at the solution: the sum of the outer
 * products of each row's part in it, the middle of the sandwich.
 */
void
crm_logistic_spread(LogisticRows *rows, LogisticWork *w, const double *eta, double *spread)
{
	int			k = rows->k;
	int			p = w->p;
	double		weight[LOGISTIC_BLOCK];
	double		residual[LOGISTIC_BLOCK];

	memset(spread, 0, sizeof(double) * p * p);
	for (int c = 0; c < rows->nchunks; c++)
	{
		int			in_chunk = crm_logistic_chunk(rows, c);

		for (int at = 0; at < in_chunk; at += LOGISTIC_BLOCK)
		{
			int			m = Min(LOGISTIC_BLOCK, in_chunk - at);

			CHECK_FOR_INTERRUPTS();
			weigh(w, eta + (int64) c * rows->chunk_rows + at, rows->y[c] + at,
				  rows->weighted ? rows->w[c] + at : NULL, m, weight, residual, 0);
			for (int r = 0; r < m; r++)
				weight[r] = residual[r] * residual[r];
			lay_out(rows->x[c] + (Size) at * k, p, m, weight, residual, w->z, w->zw, w->part_g);
			add_outer(spread, p, w->z, w->zw, m);
		}
	}
	for (int i = 0; i < p; i++)
		for (int j = 0; j < i; j++)
			spread[i * p + j] = spread[j * p + i];
}
