/*
 * presence.c
 *	  Data-driven credit: what a channel adds to the odds that a journey
 *	  converts, by logistic regression on which channels it met.
 *
 * Journeys that met the same channels are one row with a weight, so the size
 * of the fit depends on the number of different sets and not on that of
 * journeys.  The credit of a conversion is shared by what its probability
 * loses without each of its channels; where no channel adds anything, evenly.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "marketing/attribution_math.h"
#include "marketing/least_squares.h"

#define MAX_STEPS 100

typedef struct PresenceRow
{
	int			begin;			/* of its channels in PresenceRows.channels */
	int			n;
	double		conversions;
	double		nulls;
	double		amount;
} PresenceRow;

struct PresenceRows
{
	MemoryContext context;
	PresenceRow *rows;
	int			nrows,
				rows_room;
	int		   *channels;		/* of all rows, each sorted */
	int			nchannels,
				channels_room;
	int		   *slot;
	uint32		mask;
};

PresenceRows *
crm_presence_new(void)
{
	PresenceRows *p = palloc0(sizeof(PresenceRows));

	p->context = CurrentMemoryContext;
	p->rows_room = 64;
	p->rows = palloc(sizeof(PresenceRow) * p->rows_room);
	p->channels_room = 256;
	p->channels = palloc(sizeof(int) * p->channels_room);
	p->mask = 255;
	p->slot = palloc(sizeof(int) * (p->mask + 1));
	memset(p->slot, 0xff, sizeof(int) * (p->mask + 1));
	return p;
}

static uint32
row_hash(const PresenceRows *p, const PresenceRow *row)
{
	return hash_bytes((const unsigned char *) (p->channels + row->begin), sizeof(int) * row->n);
}

static void
widen(PresenceRows *p)
{
	pfree(p->slot);
	p->mask = p->mask * 2 + 1;
	p->slot = MemoryContextAllocHuge(p->context, sizeof(int) * ((Size) p->mask + 1));
	memset(p->slot, 0xff, sizeof(int) * ((Size) p->mask + 1));
	for (int i = 0; i < p->nrows; i++)
	{
		uint32		at = row_hash(p, &p->rows[i]) & p->mask;

		while (p->slot[at] >= 0)
			at = (at + 1) & p->mask;
		p->slot[at] = i;
	}
}

void
crm_presence_add(PresenceRows *p, int n, const int *channels, double conversions,
				 double nulls, double amount)
{
	PresenceRow row = {p->nchannels, 0, conversions, nulls, amount};
	int		   *mine;
	uint32		at;

	if (n == 0)
		return;
	if (p->nchannels + n > p->channels_room)
	{
		p->channels_room = Max(p->channels_room * 2, p->nchannels + n);
		p->channels = repalloc_huge(p->channels, sizeof(int) * p->channels_room);
	}
	mine = p->channels + row.begin;
	memcpy(mine, channels, sizeof(int) * n);
	qsort(mine, n, sizeof(int), crm_compare_channels);
	for (int i = 0; i < n; i++)
		if (i == 0 || mine[i] != mine[row.n - 1])
			mine[row.n++] = mine[i];
	for (at = row_hash(p, &row) & p->mask; p->slot[at] >= 0; at = (at + 1) & p->mask)
	{
		PresenceRow *known = &p->rows[p->slot[at]];

		if (known->n == row.n &&
			memcmp(p->channels + known->begin, mine, sizeof(int) * row.n) == 0)
		{
			known->conversions += conversions;
			known->nulls += nulls;
			known->amount += amount;
			return;
		}
	}
	if (p->nrows == p->rows_room)
	{
		p->rows_room *= 2;
		p->rows = repalloc_huge(p->rows, sizeof(PresenceRow) * p->rows_room);
	}
	p->slot[at] = p->nrows;
	p->rows[p->nrows++] = row;
	p->nchannels += row.n;
	if ((uint32) p->nrows * 2 > p->mask)
		widen(p);
}

static double
presence_log_odds(const PresenceRows *p, const PresenceRow *row, const double *coefficients)
{
	double		eta = coefficients[0];

	for (int i = 0; i < row->n; i++)
		eta += coefficients[1 + p->channels[row->begin + i]];
	return eta;
}

/* log(1 + e^x) without overflow */
static double
softplus(double x)
{
	return Max(x, 0) + log1p(exp(-fabs(x)));
}

static double
chance(double eta)
{
	return eta >= 0 ? 1 / (1 + exp(-eta)) : exp(eta) / (1 + exp(eta));
}

static double
objective_of(const PresenceRows *p, int k, double lambda, const double *b)
{
	double		sum = 0;

	for (int r = 0; r < p->nrows; r++)
	{
		double		eta = presence_log_odds(p, &p->rows[r], b);

		sum += p->rows[r].conversions * softplus(-eta) + p->rows[r].nulls * softplus(eta);
	}
	for (int j = 1; j <= k; j++)
		sum += lambda / 2 * b[j] * b[j];
	return sum;
}

/* Gradient and Hessian at b. */
static void
derivatives(const PresenceRows *p, int k, double lambda, const double *b, double *gradient,
			double *hessian)
{
	int			m = k + 1;

	memset(gradient, 0, sizeof(double) * m);
	memset(hessian, 0, sizeof(double) * m * m);
	for (int r = 0; r < p->nrows; r++)
	{
		const PresenceRow *row = &p->rows[r];
		double		q = chance(presence_log_odds(p, row, b));
		double		all = row->conversions + row->nulls;
		double		g = all * q - row->conversions,
					h = all * q * (1 - q);

		gradient[0] += g;
		hessian[0] += h;
		for (int i = 0; i < row->n; i++)
		{
			int			x = 1 + p->channels[row->begin + i];

			gradient[x] += g;
			hessian[x * m] += h;
			for (int j = 0; j <= i; j++)
				hessian[x * m + 1 + p->channels[row->begin + j]] += h;
		}
	}
	for (int j = 1; j < m; j++)
	{
		gradient[j] += lambda * b[j];
		hessian[j * m + j] += lambda;
	}
}

/*
 * Minimise sum(weight * log-loss) + lambda/2 * sum(coefficient^2), intercept
 * free, by Newton's method with step halving.  coefficients: 1 + nchannels.
 * False where journeys of both outcomes are not there or it does not converge.
 */
bool
crm_presence_fit(PresenceRows *p, int k, double lambda, double *b)
{
	int			m = k + 1;
	double	   *gradient = palloc(sizeof(double) * m),
			   *step = palloc(sizeof(double) * m),
			   *tried = palloc(sizeof(double) * m),
			   *hessian = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(double) * m * m);
	double		won = 0,
				lost = 0,
				now;

	for (int r = 0; r < p->nrows; r++)
	{
		won += p->rows[r].conversions;
		lost += p->rows[r].nulls;
	}
	memset(b, 0, sizeof(double) * m);
	if (!(won > 0) || !(lost > 0))
		return false;
	b[0] = log(won / lost);
	now = objective_of(p, k, lambda, b);
	for (int turn = 0; turn < MAX_STEPS; turn++)
	{
		double		next = 0,
					size = 1,
					decrease = 0;

		CHECK_FOR_INTERRUPTS();
		derivatives(p, k, lambda, b, gradient, hessian);
		memcpy(step, gradient, sizeof(double) * m);
		if (!crm_solve_positive(hessian, m, step))
			return false;
		for (int j = 0; j < m; j++)
			decrease += gradient[j] * step[j];
		if (decrease < 1e-12 * (fabs(now) + 1e-6))
			return true;
		for (; size > 1e-10; size /= 2)
		{
			for (int j = 0; j < m; j++)
				tried[j] = b[j] - size * step[j];
			next = objective_of(p, k, lambda, tried);
			if (next <= now - 1e-4 * size * decrease)
				break;
		}
		if (size <= 1e-10)
			return true;		/* as low as numbers can tell */
		memcpy(b, tried, sizeof(double) * m);
		now = next;
	}
	return false;
}

/* Adds the credit of every channel to conversions and amounts. */
void
crm_presence_credit(const PresenceRows *p, int k, const double *b, double *conversions,
					double *amounts)
{
	double	   *adds = palloc(sizeof(double) * Max(k, 1));

	for (int r = 0; r < p->nrows; r++)
	{
		const PresenceRow *row = &p->rows[r];
		double		eta = presence_log_odds(p, row, b),
					sum = 0;

		if (row->conversions == 0 && row->amount == 0)
			continue;
		for (int i = 0; i < row->n; i++)
		{
			adds[i] = Max(chance(eta) - chance(eta - b[1 + p->channels[row->begin + i]]), 0);
			sum += adds[i];
		}
		for (int i = 0; i < row->n; i++)
		{
			double		share = sum > 0 ? adds[i] / sum : 1.0 / row->n;
			int			x = p->channels[row->begin + i];

			conversions[x] += share * row->conversions;
			amounts[x] += share * row->amount;
		}
	}
	pfree(adds);
}
