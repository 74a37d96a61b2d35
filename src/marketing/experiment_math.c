/*
 * experiment_math.c
 *	  Differences between groups that were drawn at random, and how sure they are.
 *
 * Newcombe's interval is for one look at the end.  The sequential ones hold
 * whenever and however often somebody looks: the mixture sequential probability
 * ratio test (Robbins 1970; Johari, Koomen, Pekelis, Walsh 2017) averages the
 * likelihood ratio over effects that are normal around 0 with deviation tau; the
 * chance that it ever exceeds 1 / alpha without an effect is at most alpha.  That of
 * counts (Lindon, Malek 2022) averages over shares with a flat Dirichlet prior.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"

#include "marketing/experiment_math.h"

/* The point below which a standard normal lies with probability p, by halving. */
static double
normal_quantile(double p)
{
	double		low = -40,
				high = 40;

	for (int i = 0; i < 80; i++)
	{
		double		middle = (low + high) / 2;

		if (erfc(-middle / M_SQRT2) / 2 < p)
			low = middle;
		else
			high = middle;
	}
	return (low + high) / 2;
}

/* Wilson's interval of one share. */
static void
wilson_interval(Share s, double z, double *low, double *high)
{
	double		centre = s.hits + z * z / 2,
				half = z * sqrt(s.hits * (s.trials - s.hits) / s.trials + z * z / 4);

	*low = Max((centre - half) / (s.trials + z * z), 0);
	*high = Min((centre + half) / (s.trials + z * z), 1);
}

/*
 * Newcombe 1998, method 10: the ends of Wilson's intervals at right angles.
 */
Difference
crm_newcombe(Share a, Share b, double level)
{
	double		z = normal_quantile((1 + level) / 2),
				pa = a.hits / a.trials,
				pb = b.hits / b.trials,
				la,
				ua,
				lb,
				ub;
	Difference	d;

	wilson_interval(a, z, &la, &ua);
	wilson_interval(b, z, &lb, &ub);
	d.estimate = pa - pb;
	d.low = d.estimate - hypot(pa - la, ub - pb);
	d.high = d.estimate + hypot(ua - pa, pb - lb);
	return d;
}

/* Variance of a share; half a hit and half a miss more, so that none is certain. */
static double
share_variance(Share s)
{
	double		p = (s.hits + 0.5) / (s.trials + 1);

	return p * (1 - p) / s.trials;
}

/*
 * With the estimate d of variance v, the averaged ratio is
 * sqrt(v / (v + tau^2)) * exp(tau^2 d^2 / (2 v (v + tau^2))).  Its inverse bounds the
 * p value, and the effects for which it stays below 1 / alpha are the interval.
 */
Difference
crm_sequential_difference(Share a, Share b, double tau, double level, double *p_value)
{
	double		v = share_variance(a) + share_variance(b),
				t = tau * tau,
				d = a.hits / a.trials - b.hits / b.trials,
				ratio = 0.5 * log(v / (v + t)) + t * d * d / (2 * v * (v + t)),
				half = sqrt(2 * v * (v + t) / t *
							(log((v + t) / v) / 2 - log(1 - level)));
	Difference	answer;

	answer.estimate = d;
	answer.low = Max(d - half, -1);
	answer.high = Min(d + half, 1);
	*p_value = ratio > 0 ? exp(-ratio) : 1;
	return answer;
}

/*
 * Are counts those of draws with these shares?  The averaged ratio is that of the
 * Dirichlet-multinomial to the multinomial.
 */
double
crm_sequential_allocation(int n, const double *counts, const double *shares)
{
	double		all = 0,
				ratio = lgamma(n);

	for (int i = 0; i < n; i++)
	{
		all += counts[i];
		ratio += lgamma(1 + counts[i]);
		if (counts[i] > 0)
			ratio -= counts[i] * log(shares[i]);
	}
	ratio -= lgamma(n + all);
	return ratio > 0 ? exp(-ratio) : 1;
}

/* ---- bootstrap ---- */

/* Steele, Lea, Flood 2014: a sequence that any seed begins well. */
static uint64
next_draw(uint64 *state)
{
	uint64		z = (*state += UINT64CONST(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64CONST(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64CONST(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static double
mean_of(int n, const double *x)
{
	double		sum = 0;

	for (int i = 0; i < n; i++)
		sum += x[i];
	return sum / n;
}

static double
mean_of_draws(int n, const double *x, uint64 *state)
{
	double		sum = 0;

	for (int i = 0; i < n; i++)
		/* the upper half of a product is a number below n */
		sum += x[((next_draw(state) >> 32) * (uint64) n) >> 32];
	return sum / n;
}

static int
compare_means(const void *a, const void *b)
{
	double		x = *(const double *) a,
				y = *(const double *) b;

	return x < y ? -1 : x > y;
}

/*
 * The difference of two means, with the interval between quantiles of the
 * differences of groups that are drawn anew from the two (Efron 1979): right also
 * where most are zero and a few are large.
 */
Difference
crm_bootstrap_difference(int na, const double *a, int nb, const double *b,
						 double level, int resamples, uint64 seed)
{
	double	   *found = palloc(sizeof(double) * resamples);
	uint64		state = seed;
	Difference	d;

	for (int r = 0; r < resamples; r++)
	{
		CHECK_FOR_INTERRUPTS();
		found[r] = mean_of_draws(na, a, &state) - mean_of_draws(nb, b, &state);
	}
	qsort(found, resamples, sizeof(double), compare_means);
	d.estimate = mean_of(na, a) - mean_of(nb, b);
	d.low = found[(int) floor((1 - level) / 2 * (resamples - 1))];
	d.high = found[(int) ceil((1 + level) / 2 * (resamples - 1))];
	pfree(found);
	return d;
}
