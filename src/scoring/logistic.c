/*
 * logistic.c
 *	  Logistic regression by Newton's method, with a ridge penalty.
 *
 * Minimises  sum log(1 + exp(-s_i eta_i)) + lambda/2 * sum w_j^2  with
 * eta = b + x'w and s = 1 for a win, -1 for a loss; the intercept is free.
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

#include <math.h>

#include "miscadmin.h"
#include "utils/float.h"
#include "scoring/logistic.h"

#define MAX_ITERATIONS 100
#define SEPARATION_FLOOR 0.01	/* lambda on standardised columns */
#define ALIAS_TOLERANCE 1e-10
#define STOP 1e-9

/* the same code for wider registers where the processor has them */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define WIDE __attribute__((target_clones("arch=haswell", "default"), optimize("O3")))
#else
#define WIDE
#endif

LogisticRows *
logistic_rows(int k, double lambda)
{
	LogisticRows *rows = palloc0(sizeof(LogisticRows));

	rows->k = k;
	rows->lambda = lambda;
	rows->chunk_rows = Max(64, Min(4096, 131072 / (k + 1)));
	rows->chunk_rows &= ~3;
	rows->maxchunks = 16;
	rows->x = palloc(rows->maxchunks * sizeof(double *));
	rows->y = palloc(rows->maxchunks * sizeof(uint8 *));
	return rows;
}

/* Room for one more row: the caller fills its k values. */
double *
logistic_add_row(LogisticRows *rows, bool won)
{
	int			at = rows->n % rows->chunk_rows;
	int			chunk = rows->n / rows->chunk_rows;

	if (chunk == rows->nchunks)
	{
		if (chunk == rows->maxchunks)
		{
			rows->maxchunks *= 2;
			rows->x = repalloc_huge(rows->x, rows->maxchunks * sizeof(double *));
			rows->y = repalloc_huge(rows->y, rows->maxchunks * sizeof(uint8 *));
		}
		rows->x[chunk] = palloc((Size) rows->chunk_rows * Max(rows->k, 1) * sizeof(double));
		rows->y[chunk] = palloc(rows->chunk_rows);
		rows->nchunks++;
	}
	rows->y[chunk][at] = won;
	rows->n++;
	rows->wins += won;
	return rows->x[chunk] + (Size) at * rows->k;
}

static inline int
rows_in_chunk(const LogisticRows *rows, int chunk)
{
	int64		left = rows->n - (int64) chunk * rows->chunk_rows;

	return (int) Min(left, rows->chunk_rows);
}

double
logistic_sigmoid(double eta)
{
	double		e;

	if (eta >= 0)
		return 1.0 / (1.0 + exp(-eta));
	e = exp(eta);
	return e / (1.0 + e);
}

double
logistic_log1pexp(double eta)
{
	return Max(eta, 0.0) + log1p(exp(-fabs(eta)));
}

/* Lower Cholesky factor in place (row major); false where not positive. */
bool
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

void
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

/* Means and population standard deviations. */
static void
moments(LogisticRows *rows, double *mean, double *sd)
{
	int			k = rows->k;
	double	   *part = palloc(sizeof(double) * Max(k, 1));

	for (int pass = 0; pass < 3; pass++)
	{
		/* 0: mean, 1: what rounding left of it, 2: spread */
		double	   *sum = pass == 2 ? sd : palloc0(sizeof(double) * Max(k, 1));

		if (pass == 2)
			memset(sd, 0, sizeof(double) * k);
		for (int c = 0; c < rows->nchunks; c++)
		{
			const double *x = rows->x[c];
			int			m = rows_in_chunk(rows, c);

			CHECK_FOR_INTERRUPTS();
			memset(part, 0, sizeof(double) * k);
			for (int r = 0; r < m; r++, x += k)
			{
				if (pass == 0)
					for (int j = 0; j < k; j++)
						part[j] += x[j] / rows->n;
				else if (pass == 1)
					for (int j = 0; j < k; j++)
						part[j] += x[j] - mean[j];
				else
					for (int j = 0; j < k; j++)
						part[j] += (x[j] - mean[j]) * (x[j] - mean[j]);
			}
			for (int j = 0; j < k; j++)
				sum[j] += part[j];
		}
		for (int j = 0; j < k; j++)
		{
			if (pass == 0)
				mean[j] = sum[j];
			else if (pass == 1)
				mean[j] += sum[j] / rows->n;
			else
			{
				sd[j] = sqrt(sum[j] / rows->n);
				/* what is left of a constant column is rounding */
				if (sd[j] <= 1e-13 * fabs(mean[j]))
					sd[j] = 0;
			}
		}
	}
	pfree(part);
}

/*
 * Columns whose squares leave the range of doubles are multiplied by a power
 * of two, which changes no digit; exponent says by which.  False where there
 * are none.
 */
static bool
rescale(LogisticRows *rows, const double *sd, int *exponent)
{
	int			k = rows->k;
	double	   *top = palloc0(sizeof(double) * Max(k, 1));
	bool		any = false;

	for (int j = 0; j < k; j++)
		any = any || !(sd[j] > 1e-100 && sd[j] < 1e100);
	for (int c = 0; any && c < rows->nchunks; c++)
	{
		const double *x = rows->x[c];

		CHECK_FOR_INTERRUPTS();
		for (int r = rows_in_chunk(rows, c); r > 0; r--, x += k)
			for (int j = 0; j < k; j++)
				top[j] = Max(top[j], fabs(x[j]));
	}
	any = false;
	for (int j = 0; j < k; j++)
	{
		if (top[j] == 0 || (top[j] > 1e-100 && top[j] < 1e100))
			continue;
		(void) frexp(top[j], &exponent[j]);
		any = true;
	}
	for (int c = 0; any && c < rows->nchunks; c++)
	{
		double	   *x = rows->x[c];

		CHECK_FOR_INTERRUPTS();
		for (int r = rows_in_chunk(rows, c); r > 0; r--, x += k)
			for (int j = 0; j < k; j++)
				if (exponent[j] != 0)
					x[j] = ldexp(x[j], -exponent[j]);
	}
	pfree(top);
	return any;
}

/* x = (x - mean) / sd, in units of 2^exponent */
static void
standardise(LogisticRows *rows, double *mean, double *sd, int *exponent)
{
	int			k = rows->k;

	moments(rows, mean, sd);
	if (rescale(rows, sd, exponent))
		moments(rows, mean, sd);
	for (int c = 0; c < rows->nchunks; c++)
	{
		double	   *x = rows->x[c];
		int			m = rows_in_chunk(rows, c);

		CHECK_FOR_INTERRUPTS();
		for (int r = 0; r < m; r++, x += k)
			for (int j = 0; j < k; j++)
				x[j] = sd[j] > 0 ? (x[j] - mean[j]) / sd[j] : 0.0;
	}
}

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

#define BLOCK 128

typedef struct Work
{
	int			p;
	double	   *penalty;		/* of each scaled column, 0 for the intercept */
	double	   *h;				/* p * p */
	double	   *g;				/* p */
	double	   *part_h;
	double	   *part_g;
	double	   *z;				/* BLOCK * p */
	double	   *zw;
	double		loss;			/* minus log-likelihood */
	double		objective;
	double		top;			/* largest |eta| */
} Work;

/* One pass over all rows at beta. */
static void
evaluate(LogisticRows *rows, Work *w, const double *beta, double *eta,
		 bool with_hessian)
{
	int			k = rows->k;
	int			p = w->p;
	double		w_r[BLOCK];
	double		e_r[BLOCK];

	memset(w->h, 0, sizeof(double) * p * p);
	memset(w->g, 0, sizeof(double) * p);
	w->loss = 0;
	w->top = 0;
	for (int c = 0; c < rows->nchunks; c++)
	{
		int			in_chunk = rows_in_chunk(rows, c);
		double		loss = 0;

		memset(w->part_h, 0, sizeof(double) * p * p);
		memset(w->part_g, 0, sizeof(double) * p);
		for (int at = 0; at < in_chunk; at += BLOCK)
		{
			int			m = Min(BLOCK, in_chunk - at);
			const double *x = rows->x[c] + (Size) at * k;
			const uint8 *y = rows->y[c] + at;
			double	   *out = eta + (int64) c * rows->chunk_rows + at;

			CHECK_FOR_INTERRUPTS();
			multiply(x, k, m, beta, out);
			for (int r = 0; r < m; r++)
			{
				double		a = fabs(out[r]);
				double		e = exp(-a);	/* in (0, 1]: nothing overflows */
				double		pr = 1.0 / (1.0 + e);	/* of the likelier side */

				if (a > w->top)
					w->top = a;
				loss += log1p(e);
				if ((out[r] > 0) != (y[r] != 0))
					loss += a;
				w_r[r] = pr * (e * pr);
				/* residual y - p without cancellation */
				if (y[r])
					e_r[r] = out[r] > 0 ? e * pr : pr;
				else
					e_r[r] = out[r] > 0 ? -pr : -e * pr;
			}
			for (int r = 0; r < m; r++)
			{
				const double *xr = x + (Size) r * k;
				double	   *z = w->z + (Size) r * p;
				double	   *zw = w->zw + (Size) r * p;

				z[0] = 1;
				zw[0] = w_r[r];
				w->part_g[0] += e_r[r];
				for (int j = 0; j < k; j++)
				{
					z[j + 1] = xr[j];
					zw[j + 1] = xr[j] * w_r[r];
					w->part_g[j + 1] += xr[j] * e_r[r];
				}
			}
			if (with_hessian)
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
 * Columns that are a combination of those before them, found by a Cholesky
 * factor of the correlations in column order.
 */
static void
find_aliased(LogisticRows *rows, Work *w, double *eta, const double *sd,
			 bool *aliased)
{
	int			p = w->p;
	double	   *zero = palloc0(sizeof(double) * p);
	double	   *a;
	double		penalty;

	/* at zero every weight is 1/4: the Hessian is the Gram matrix */
	evaluate(rows, w, zero, eta, true);
	a = palloc(sizeof(double) * p * p);
	for (int i = 0; i < p * p; i++)
		a[i] = w->h[i] * 4 / rows->n;
	for (int i = 0; i < p; i++)
		a[i * p + i] -= w->penalty[i] * 4 / rows->n;
	penalty = rows->lambda;
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
		if (d < ALIAS_TOLERANCE)
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
	pfree(zero);
}

/* Take aliased columns out of the system: their step is 0. */
static void
fix_aliased(Work *w, const bool *aliased)
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
static bool
separates(LogisticRows *rows, const double *d)
{
	double		eta[BLOCK];
	double		worst = 0;
	double		best = 0;

	for (int c = 0; c < rows->nchunks; c++)
	{
		int			in_chunk = rows_in_chunk(rows, c);

		for (int at = 0; at < in_chunk; at += BLOCK)
		{
			int			m = Min(BLOCK, in_chunk - at);
			const uint8 *y = rows->y[c] + at;

			CHECK_FOR_INTERRUPTS();
			multiply(rows->x[c] + (Size) at * rows->k, rows->k, m, d, eta);
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

/*
 * A direction seems to separate the outcome.  It does if there are no rows it
 * leaves where they are, or if on those rows the columns are dependent: the
 * direction is how.  Otherwise the rows it moves are far outliers beside
 * which the others look alike: columns are then standardised by the others,
 * once, so that both can be told apart.  x = mean + sd * (what is kept).
 */
static bool
really_separates(LogisticRows *rows, const double *d, const bool *aliased,
				 double *mean, double *sd, bool *restandardised)
{
	int			k = rows->k;
	int			p = k + 1;
	double	   *m = palloc0(sizeof(double) * p);
	double	   *v = palloc0(sizeof(double) * p);
	double	   *a = palloc0(sizeof(double) * p * p);
	double	   *z = palloc(sizeof(double) * p);
	double		eta[BLOCK];
	double		best = 0;
	int64		n = 0;
	bool		dependent = false;

	/* how far it moves rows; means, spreads and products of those it leaves */
	for (int pass = 0; pass < 4; pass++)
	{
		for (int c = 0; c < rows->nchunks; c++)
		{
			int			in_chunk = rows_in_chunk(rows, c);

			for (int at = 0; at < in_chunk; at += BLOCK)
			{
				int			rows_here = Min(BLOCK, in_chunk - at);
				const double *x = rows->x[c] + (Size) at * k;

				CHECK_FOR_INTERRUPTS();
				multiply(x, k, rows_here, d, eta);
				for (int r = 0; r < rows_here; r++, x += k)
				{
					if (pass == 0)
						best = Max(best, fabs(eta[r]));
					if (pass == 0 || fabs(eta[r]) > 1e-3 * Min(best, 1))
						continue;
					n += pass == 1;
					for (int j = 0; j < k; j++)
					{
						if (pass == 1)
							m[j] += x[j];
						else if (pass == 2)
							v[j] += (x[j] - m[j]) * (x[j] - m[j]);
						else
							z[j] = v[j] > 0 ? (x[j] - m[j]) / v[j] : 0;
					}
					for (int j = 0; pass == 3 && j < k; j++)
						for (int l = 0; l <= j; l++)
							a[j * k + l] += z[j] * z[l] / n;
				}
			}
		}
		for (int j = 0; j < k; j++)
		{
			if (pass == 1)
				m[j] /= Max(n, 1);
			if (pass == 2)
			{
				v[j] = sqrt(v[j] / Max(n, 1));
				if (v[j] <= 1e-13 * fabs(m[j]))
					v[j] = 0;
			}
		}
		if (pass == 1 && n == 0)
			break;
	}
	/* Cholesky of the correlations, as in find_aliased */
	for (int j = 0; n > 0 && j < k && !dependent; j++)
	{
		double		rest = a[j * k + j];

		if (aliased[j])
			continue;
		for (int l = 0; l < j; l++)
			if (!aliased[l])
				rest -= a[j * k + l] * a[j * k + l];
		if (!(rest > ALIAS_TOLERANCE))
			dependent = true;
		rest = sqrt(rest);
		a[j * k + j] = rest;
		for (int i = j + 1; i < k && !dependent; i++)
		{
			double		s = a[i * k + j];

			for (int l = 0; l < j; l++)
				if (!aliased[l])
					s -= a[i * k + l] * a[j * k + l];
			a[i * k + j] = s / rest;
		}
	}
	dependent = dependent || n == 0;
	if (!dependent && !*restandardised)
	{
		*restandardised = true;
		for (int c = 0; c < rows->nchunks; c++)
		{
			double	   *x = rows->x[c];

			CHECK_FOR_INTERRUPTS();
			for (int r = rows_in_chunk(rows, c); r > 0; r--, x += k)
				for (int j = 0; j < k; j++)
					if (v[j] > 0)
						x[j] = (x[j] - m[j]) / v[j];
		}
		for (int j = 0; j < k; j++)
			if (v[j] > 0)
			{
				mean[j] += sd[j] * m[j];
				sd[j] *= v[j];
			}
	}
	pfree(m);
	pfree(v);
	pfree(a);
	pfree(z);
	return dependent;
}

/* Newton with step halving at the penalties in w; false when separated. */
static bool
newton(LogisticRows *rows, Work *w, LogisticFit *fit, double *beta, double *sd)
{
	int			p = w->p;
	double	   *d = palloc(sizeof(double) * p);
	double	   *next = palloc(sizeof(double) * p);
	double	   *factor = palloc(sizeof(double) * p * p);
	double		share = (double) rows->wins / rows->n;
	int			separating = 0;
	bool		restandardised = false;
	bool		started_again = false;
	bool		fine = true;

	memset(beta, 0, sizeof(double) * p);
	beta[0] = log(share / (1 - share));
	fit->converged = false;
	evaluate(rows, w, beta, fit->eta, true);
	for (fit->iterations = 0; fit->iterations < MAX_ITERATIONS;)
	{
		double		decrement = 0;
		double		step = 1;
		double		before = w->objective;
		double		size = 0;
		bool		better = false;

		fix_aliased(w, fit->aliased);
		memcpy(factor, w->h, sizeof(double) * p * p);
		memcpy(d, w->g, sizeof(double) * p);
		for (double more = 0; !cholesky(factor, p); more = more > 0 ? more * 100 : 1e-13)
		{
			if (rows->lambda <= 0 || more > 1)
			{
				fine = false;	/* all weight is gone: fitted to 0 and 1 */
				break;
			}
			/* the penalty is lost beside the columns: the step is damped, not the goal */
			memcpy(factor, w->h, sizeof(double) * p * p);
			for (int i = 0; i < p; i++)
				factor[i * p + i] *= 1 + more;
		}
		if (!fine)
			break;
		cholesky_solve(factor, p, d);
		for (int i = 0; i < p; i++)
		{
			decrement += d[i] * w->g[i];
			size = Max(size, fabs(d[i]));
		}
		if (!(decrement > STOP * STOP))
		{
			fit->converged = true;
			break;
		}

		/*
		 * A step that separates may be the last one of a fit with a far
		 * outlier; where nothing is separated another like it does not follow.
		 */
		if (rows->lambda <= 0 && fit->lambda <= 0 && fit->iterations >= 6 &&
			size > 1e-4 && separates(rows, d))
			separating++;
		else
			separating = 0;
		if (separating >= 3 && !really_separates(rows, d, fit->aliased, fit->mean, sd, &restandardised))
		{
			separating = 0;
			if (!started_again)
			{
				started_again = true;
				memset(beta, 0, sizeof(double) * p);
				beta[0] = log(share / (1 - share));
				fit->iterations = 0;
				evaluate(rows, w, beta, fit->eta, true);
				continue;
			}
		}
		if (separating >= 3)
		{
			for (int j = 1; j < p; j++)
				fit->separating[j - 1] = fabs(d[j]) > 0.01 * size;
			fine = false;
			break;
		}
		for (int halving = 0; halving < 30; halving++, step /= 2)
		{
			for (int i = 0; i < p; i++)
				next[i] = beta[i] + step * d[i];
			evaluate(rows, w, next, fit->eta, true);
			/* near the end differences drown in rounding */
			if (w->objective <= before + 1e-12 * fabs(before))
			{
				better = true;
				break;
			}
		}
		if (!better)
		{
			evaluate(rows, w, beta, fit->eta, true);
			fix_aliased(w, fit->aliased);
			break;
		}
		memcpy(beta, next, sizeof(double) * p);
		fit->iterations++;
	}
	pfree(d);
	pfree(next);
	pfree(factor);
	return fine;
}

/*
 * Fit.  The rows are standardised in place, so this is done once.  The caller
 * has made sure that both outcomes occur.
 */
void
logistic_fit(LogisticRows *rows, LogisticFit *fit)
{
	int			k = rows->k;
	int			p = k + 1;
	double	   *sd = palloc0(sizeof(double) * p);
	double	   *beta = palloc0(sizeof(double) * p);
	double	   *column = palloc0(sizeof(double) * p);
	double	   *back = palloc0(sizeof(double) * p);
	int		   *exponent = palloc0(sizeof(int) * p);
	Work		w;

	fit->coef = palloc0(sizeof(double) * p);
	fit->se = palloc0(sizeof(double) * p);
	fit->mean = palloc0(sizeof(double) * p);
	fit->aliased = palloc0(p);
	fit->separating = palloc0(p);
	fit->eta = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * rows->n);
	fit->separated = false;
	fit->lambda = rows->lambda;

	w.p = p;
	w.penalty = palloc0(sizeof(double) * p);
	w.h = palloc(sizeof(double) * p * p);
	w.part_h = palloc(sizeof(double) * p * p);
	w.g = palloc(sizeof(double) * p);
	w.part_g = palloc(sizeof(double) * p);
	w.z = palloc(sizeof(double) * p * BLOCK);
	w.zw = palloc(sizeof(double) * p * BLOCK);

	standardise(rows, fit->mean, sd, exponent);
	for (int j = 0; j < k; j++)
		w.penalty[j + 1] = sd[j] > 0 ? Min(ldexp(rows->lambda / (sd[j] * sd[j]), -2 * exponent[j]), 1e200) : 0;
	find_aliased(rows, &w, fit->eta, sd, fit->aliased);

	if (!newton(rows, &w, fit, beta, sd))
	{
		/* without a maximum a small penalty decides, and we say so */
		fit->separated = rows->lambda <= 0;
		fit->lambda = Max(rows->lambda, SEPARATION_FLOOR);
		for (int j = 0; j < k; j++)
			w.penalty[j + 1] = Max(w.penalty[j + 1], SEPARATION_FLOOR);
		newton(rows, &w, fit, beta, sd);
	}
	fit->log_likelihood = -w.loss;
	fit->objective = w.objective;

	/* back to the user's units; the variance goes the same way */
	fit->coef[0] = beta[0];
	for (int j = 0; j < k; j++)
	{
		if (fit->aliased[j])
			continue;
		fit->coef[j + 1] = beta[j + 1] / sd[j];
		fit->coef[0] -= fit->coef[j + 1] * fit->mean[j];
		fit->coef[j + 1] = ldexp(fit->coef[j + 1], -exponent[j]);
	}
	for (int i = 0; i < p; i++)
		fit->se[i] = get_float8_nan();
	if (cholesky(w.h, p))
	{
		back[0] = 1;
		for (int j = 0; j < k; j++)
			back[j + 1] = fit->aliased[j] ? 0 : -fit->mean[j] / sd[j];
		memcpy(column, back, sizeof(double) * p);
		cholesky_solve(w.h, p, column);
		fit->se[0] = 0;
		for (int i = 0; i < p; i++)
			fit->se[0] += back[i] * column[i];
		fit->se[0] = sqrt(fit->se[0]);
		for (int j = 1; j < p; j++)
		{
			if (fit->aliased[j - 1])
				continue;
			memset(column, 0, sizeof(double) * p);
			column[j] = 1;
			cholesky_solve(w.h, p, column);
			fit->se[j] = ldexp(sqrt(column[j]) / sd[j - 1], -exponent[j - 1]);
		}
	}
	for (int j = 0; j < k; j++)
		fit->mean[j] = ldexp(fit->mean[j], exponent[j]);
}
