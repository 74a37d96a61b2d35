/*
 * mix_shape.c
 *	  How spend becomes effect: adstock, saturation, and dividing a budget.
 *
 * Adstock carries pressure into later periods: geometric (Broadbent 1979),
 * a_t = x_t + theta a_(t-1), or with a Weibull kernel, whose position is a
 * share of the periods, as Robyn defines both.  Saturation is Hill's curve,
 * x^alpha / (x^alpha + inflexion^alpha).
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "marketing/mix_math.h"

#define STEPS 1000				/* of a budget */

void
crm_mix_geometric(const double *x, int n, double theta, double *out)
{
	double		carried = 0;

	for (int t = 0; t < n; t++)
		out[t] = carried = x[t] + theta * carried;
}

/* What is left of one unit k periods later, for k = 0 ... n - 1. */
static void
weibull_kernel(int n, double shape, double scale, bool cdf, double *kernel)
{
	double		position = rint(1 + (n - 1) * scale);	/* a quantile of 1 ... n */
	double		least = INFINITY,
				most = -INFINITY,
				left = 1;

	if (shape <= 0 || scale <= 0)
	{
		memset(kernel, 0, sizeof(double) * n);
		kernel[0] = 1;
		return;
	}
	for (int k = 0; k < n; k++)
	{
		if (cdf)
		{
			if (k > 0)
				left *= exp(-pow(k / position, shape));
			kernel[k] = left;
		}
		else
			kernel[k] = shape / position * pow((k + 1) / position, shape - 1) *
				exp(-pow((k + 1) / position, shape));
		least = Min(least, kernel[k]);
		most = Max(most, kernel[k]);
	}
	/* a density is stretched to reach from 0 to 1 */
	for (int k = 0; k < n && !cdf; k++)
		kernel[k] = most > least ? (kernel[k] - least) / (most - least) : k == 0;
}

void
crm_mix_weibull(const double *x, int n, double shape, double scale, bool cdf, double *out)
{
	double	   *kernel = palloc(sizeof(double) * Max(n, 1));

	if (n > 0)
		weibull_kernel(n, shape, scale, cdf, kernel);
	for (int t = 0; t < n; t++)
	{
		if (t % 256 == 0)
			CHECK_FOR_INTERRUPTS();
		out[t] = 0;
		for (int s = 0; s <= t; s++)
			out[t] += x[s] * kernel[t - s];
	}
	pfree(kernel);
}

/* Pressure that one unit a period builds up to. */
double
crm_mix_kernel_sum(MixAdstock adstock, const MixShape *shape, int n)
{
	double	   *kernel;
	double		sum = 0;

	if (adstock == MIX_NO_ADSTOCK || n < 1)
		return 1;
	if (adstock == MIX_GEOMETRIC)
		return 1 / (1 - shape->theta);
	kernel = palloc(sizeof(double) * n);
	weibull_kernel(n, shape->shape, shape->scale, adstock == MIX_WEIBULL_CDF, kernel);
	for (int k = 0; k < n; k++)
		sum += kernel[k];
	pfree(kernel);
	return sum;
}

double
crm_mix_most(const double *x, int n)
{
	double		most = 0;

	for (int t = 0; t < n; t++)
		most = Max(most, x[t]);
	return most;
}

/* alpha 0: no saturation, the effect is the pressure itself */
double
crm_mix_hill(double x, double alpha, double inflexion)
{
	if (alpha == 0)
		return x;
	if (!(x > 0))
		return 0;
	/* by the ratio, so that no power overflows */
	return 1 / (1 + pow(inflexion / x, alpha));
}

static double
effect(int i, const double *coefficient, const double *alpha, const double *inflexion,
	   const double *gain, double spend)
{
	return coefficient[i] * crm_mix_hill(spend * gain[i], alpha[i], inflexion[i]);
}

/* Move money between two channels at a time while it pays, by ever smaller sums. */
static void
polish(int n, const double *coefficient, const double *alpha, const double *inflexion,
	   const double *gain, double total, const double *least, const double *most, double *spend)
{
	for (double sum = total / STEPS; sum > total * 1e-9; sum /= 2)
	{
		bool		moved = true;

		for (int turn = 0; moved && turn < 1000; turn++)
		{
			CHECK_FOR_INTERRUPTS();
			moved = false;
			for (int i = 0; i < n; i++)
				for (int j = 0; j < n; j++)
				{
					double		gained;

					if (i == j || spend[i] - sum < least[i] || spend[j] + sum > most[j])
						continue;
					gained = effect(j, coefficient, alpha, inflexion, gain, spend[j] + sum) -
						effect(j, coefficient, alpha, inflexion, gain, spend[j]) -
						effect(i, coefficient, alpha, inflexion, gain, spend[i]) +
						effect(i, coefficient, alpha, inflexion, gain, spend[i] - sum);
					if (gained > 0)
					{
						spend[i] -= sum;
						spend[j] += sum;
						moved = true;
					}
				}
		}
	}
}

/*
 * Divide a total a period among channels so that their effects in the long
 * run are largest, each within its bounds.  Curves with alpha above 1 are not
 * concave, and going where the next unit pays most can stop in the wrong
 * place: so steps of a thousandth are divided exactly, one channel after the
 * other, and then polished.  The least together must not be more than the
 * total, the most not less.
 */
void
crm_mix_divide(int n, const double *coefficient, const double *alpha, const double *inflexion,
			   const double *gain, double total, const double *least, const double *most,
			   double *spend)
{
	double		free_money = total;
	double	   *best = palloc(sizeof(double) * (STEPS + 1)),
			   *next = palloc(sizeof(double) * (STEPS + 1));
	int		   *taken = palloc0(sizeof(int) * n * (STEPS + 1));
	double		step;
	int			left = STEPS;

	for (int i = 0; i < n; i++)
		free_money -= least[i];
	step = Max(free_money, 0) / STEPS;
	/* best[s]: the most that the channels so far can do with s steps */
	for (int s = 0; s <= STEPS; s++)
		best[s] = s == 0 ? 0 : -INFINITY;
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int s = 0; s <= STEPS; s++)
			next[s] = -INFINITY;
		for (int k = 0; k <= STEPS; k++)
		{
			double		e;

			if (k > 0 && least[i] + k * step > most[i] + step * 1e-9)
				break;
			e = effect(i, coefficient, alpha, inflexion, gain, least[i] + k * step);
			for (int s = k; s <= STEPS; s++)
				if (best[s - k] + e > next[s])
				{
					next[s] = best[s - k] + e;
					taken[i * (STEPS + 1) + s] = k;
				}
		}
		memcpy(best, next, sizeof(double) * (STEPS + 1));
	}
	/* bounds that no whole number of steps meets leave some steps over: polishing places them */
	while (left > 0 && isinf(best[left]))
		left--;
	free_money -= left * step;
	for (int i = n - 1; i >= 0; i--)
	{
		int			k = taken[i * (STEPS + 1) + left];

		spend[i] = Min(least[i] + k * step, most[i]);
		left -= k;
	}
	for (int i = 0; i < n && free_money > 0; i++)
	{
		double		more = Min(free_money, most[i] - spend[i]);

		spend[i] += more;
		free_money -= more;
	}
	polish(n, coefficient, alpha, inflexion, gain, total, least, most, spend);
}
