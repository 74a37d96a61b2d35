/*
 * logistic_rows.c
 *	  Rows of a logistic regression, kept in memory, and bringing their columns
 *	  to one scale.
 *
 * Rows stand in chunks, so that adding one never moves another.  Columns are
 * centred and scaled in place; sums go over chunks first, so that rounding
 * grows with the number of chunks and not of rows.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "scoring/logistic_work.h"

LogisticRows *
crm_logistic_rows(int k, double lambda, bool weighted)
{
	LogisticRows *rows = palloc0(sizeof(LogisticRows));

	rows->k = k;
	rows->lambda = lambda;
	rows->chunk_rows = Max(64, Min(4096, 131072 / (k + 1)));
	rows->chunk_rows &= ~3;
	rows->maxchunks = 16;
	rows->x = palloc(rows->maxchunks * sizeof(double *));
	rows->y = palloc(rows->maxchunks * sizeof(uint8 *));
	rows->weighted = weighted;
	rows->whole = true;
	if (weighted)
		rows->w = palloc(rows->maxchunks * sizeof(double *));
	return rows;
}

/* Room for one more row: the caller fills its k values. */
double *
crm_logistic_add_row(LogisticRows *rows, bool won, double weight)
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
			if (rows->weighted)
				rows->w = repalloc_huge(rows->w, rows->maxchunks * sizeof(double *));
		}
		rows->x[chunk] = palloc((Size) rows->chunk_rows * Max(rows->k, 1) * sizeof(double));
		rows->y[chunk] = palloc(rows->chunk_rows);
		if (rows->weighted)
			rows->w[chunk] = palloc(rows->chunk_rows * sizeof(double));
		rows->nchunks++;
	}
	rows->y[chunk][at] = won;
	if (rows->weighted)
	{
		rows->w[chunk][at] = weight;
		rows->whole = rows->whole && weight == floor(weight);
	}
	rows->n++;
	rows->wins += won;
	return rows->x[chunk] + (Size) at * rows->k;
}

/*
 * Weights of mean 1, so that tolerances mean the same whatever the weights are
 * measured in.  By the largest first: no sum overflows.
 */
void
crm_logistic_weigh_rows(LogisticRows *rows)
{
	double		top = 0,
				sum = 0,
				wins = 0;

	rows->unit = 1;
	rows->win_share = (double) rows->wins / rows->n;
	if (!rows->weighted)
		return;
	for (int c = 0; c < rows->nchunks; c++)
		for (int r = crm_logistic_chunk(rows, c) - 1; r >= 0; r--)
			top = Max(top, rows->w[c][r]);
	for (int c = 0; c < rows->nchunks; c++)
	{
		double		part = 0;

		CHECK_FOR_INTERRUPTS();
		for (int r = crm_logistic_chunk(rows, c) - 1; r >= 0; r--)
		{
			rows->w[c][r] /= top;
			part += rows->w[c][r];
			wins += rows->y[c][r] ? rows->w[c][r] : 0;
		}
		sum += part;
	}
	rows->win_share = wins / sum;
	for (int c = 0; c < rows->nchunks; c++)
		for (int r = crm_logistic_chunk(rows, c) - 1; r >= 0; r--)
			rows->w[c][r] /= sum / rows->n;
	rows->unit = top * (sum / rows->n);
}

/* Means and population standard deviations, each row by its weight. */
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
			const double *w = rows->weighted ? rows->w[c] : NULL;
			int			m = crm_logistic_chunk(rows, c);

			CHECK_FOR_INTERRUPTS();
			memset(part, 0, sizeof(double) * k);
			for (int r = 0; r < m; r++, x += k)
			{
				double		one = w ? w[r] : 1;
				double		share = one / rows->n;

				if (pass == 0)
					for (int j = 0; j < k; j++)
						part[j] += x[j] * share;
				else if (pass == 1)
					for (int j = 0; j < k; j++)
						part[j] += (x[j] - mean[j]) * one;
				else
					for (int j = 0; j < k; j++)
						part[j] += (x[j] - mean[j]) * (x[j] - mean[j]) * one;
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
		for (int r = crm_logistic_chunk(rows, c); r > 0; r--, x += k)
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
		for (int r = crm_logistic_chunk(rows, c); r > 0; r--, x += k)
			for (int j = 0; j < k; j++)
				if (exponent[j] != 0)
					x[j] = ldexp(x[j], -exponent[j]);
	}
	pfree(top);
	return any;
}

/* x = (x - mean) / sd, in units of 2^exponent */
void
crm_logistic_standardise(LogisticRows *rows, double *mean, double *sd, int *exponent)
{
	int			k = rows->k;

	moments(rows, mean, sd);
	if (rescale(rows, sd, exponent))
		moments(rows, mean, sd);
	for (int c = 0; c < rows->nchunks; c++)
	{
		double	   *x = rows->x[c];
		int			m = crm_logistic_chunk(rows, c);

		CHECK_FOR_INTERRUPTS();
		for (int r = 0; r < m; r++, x += k)
			for (int j = 0; j < k; j++)
				x[j] = sd[j] > 0 ? (x[j] - mean[j]) / sd[j] : 0.0;
	}
}

/*
 * Once more, by the means m and spreads v of some of the rows (0: leave the
 * column).  The columns remain x = mean + sd * (what is kept).
 */
void
crm_logistic_restandardise(LogisticRows *rows, const double *m, const double *v,
						   double *mean, double *sd)
{
	int			k = rows->k;

	for (int c = 0; c < rows->nchunks; c++)
	{
		double	   *x = rows->x[c];

		CHECK_FOR_INTERRUPTS();
		for (int r = crm_logistic_chunk(rows, c); r > 0; r--, x += k)
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
