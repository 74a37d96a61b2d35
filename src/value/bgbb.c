/*
 * bgbb.c
 *	  BG/BB (Fader, Hardie and Shang 2010): purchases at discrete
 *	  opportunities, such as yearly donations.
 *
 * At each of n opportunities a customer who is still there buys with
 * probability p ~ Beta(alpha, beta); before each, the customer leaves with
 * probability theta ~ Beta(gamma, delta).  The likelihood is a sum over the
 * possible times of leaving.  Neighbouring terms differ by a ratio of four
 * numbers, so it is summed relative to its first term.
 */
#include "value/value_math.h"

#include <float.h>
#include <math.h>

/*
 * Log-likelihood, the share of it in which the customer is alive at n, and
 * if asked its gradient.
 */
static double
history(const CrmBgbb *m, double x, double t_x, double n, double *alive,
		double *gradient)
{
	double		ab = m->alpha + m->beta,
				gd = m->gamma + m->delta,
				first,
				term = 1,
				sum = 0,
				k,
				by_ab = 0,
				by_beta = 0,
				by_gd = 0,
				by_delta = 0,
				total_ab = 0,
				total_beta = 0,
				total_gd = 0,
				total_delta = 0,
				last;

	first = crm_log_rising(m->alpha, x) + crm_log_rising(m->beta, t_x - x) -
		crm_log_rising(ab, t_x) + log(m->gamma) +
		crm_log_rising(m->delta, t_x) - crm_log_rising(gd, t_x + 1);

	/* by_*: what the derivative of log term has gained since the first */
	for (k = t_x; k < n; k++)
	{
		sum += term;
		if (gradient)
		{
			total_ab += term * by_ab;
			total_beta += term * by_beta;
			total_gd += term * by_gd;
			total_delta += term * by_delta;
			by_ab += 1 / (ab + k);
			by_beta += 1 / (m->beta + k - x);
			by_gd += 1 / (gd + k + 1);
			by_delta += 1 / (m->delta + k);
		}
		term *= (m->beta + k - x) * (m->delta + k) /
			((ab + k) * (gd + k + 1));
		CRM_COUNT_STEP();
	}
	last = term * (gd + n) / m->gamma;
	sum += last;
	if (alive)
		*alive = last / sum;
	if (gradient)
	{
		double		gone = 1 - last / sum;

		total_ab += last * by_ab;
		total_beta += last * by_beta;
		total_gd += last * (by_gd - 1 / (gd + n));
		total_delta += last * by_delta;
		gradient[0] = crm_digamma_rise(m->alpha, x) -
			crm_digamma_rise(ab, t_x) - total_ab / sum;
		gradient[1] = crm_digamma_rise(m->beta, t_x - x) -
			crm_digamma_rise(ab, t_x) + (total_beta - total_ab) / sum;
		gradient[2] = gone / m->gamma -
			crm_digamma_rise(gd, t_x + 1) - total_gd / sum;
		gradient[3] = crm_digamma_rise(m->delta, t_x) -
			crm_digamma_rise(gd, t_x + 1) + (total_delta - total_gd) / sum;
	}
	return first + log(sum);
}

double
crm_bgbb_log_likelihood(const CrmBgbb *m, double x, double t_x, double n,
						double *gradient)
{
	return history(m, x, t_x, n, NULL, gradient);
}

/* P(alive at opportunity n + ahead) */
double
crm_bgbb_p_alive(const CrmBgbb *m, double x, double t_x, double n,
				 double ahead)
{
	double		alive;

	history(m, x, t_x, n, &alive, NULL);
	return alive * exp(crm_log_rising(m->delta + n, ahead) -
					   crm_log_rising(m->gamma + m->delta + n, ahead));
}

/*
 * Purchases expected at opportunities n+1 .. n+ahead.  The sum of the
 * chances to be there telescopes, but for gamma near 1, where the
 * difference of the two ends is lost in their rounding.
 */
double
crm_bgbb_expected(const CrmBgbb *m, double x, double t_x, double n,
				  double ahead)
{
	double		alive,
				D = m->delta + n,
				stay = 1,
				sum = 0,
				less = 0,
				j;

	history(m, x, t_x, n, &alive, NULL);
	if (ahead > 2000)
		less = crm_log_rising(D + 1, ahead) -
			crm_log_rising(m->gamma + D, ahead);
	if (fabs(less) > 0.1)
		sum = D / (1 - m->gamma) * expm1(less);
	else
		for (j = 0; j < ahead; j++)
		{
			stay *= (D + j) / (m->gamma + D + j);
			sum += stay;
			CRM_COUNT_STEP();
		}
	return alive * (m->alpha + x) / (m->alpha + m->beta + n) * sum;
}

/* P(at least one purchase at n+1 .. n+ahead) */
double
crm_bgbb_any(const CrmBgbb *m, double x, double t_x, double n, double ahead)
{
	double		alive,
				stay = 1,
				first = (m->alpha + x) / (m->alpha + m->beta + n),
				sum = 0,
				j;

	history(m, x, t_x, n, &alive, NULL);
	for (j = 0; j < ahead; j++)
	{
		stay *= (m->delta + n + j) / (m->gamma + m->delta + n + j);
		sum += stay * first;
		CRM_COUNT_STEP();
		if (stay * first * (ahead - j) < 1e-17 * sum)
			break;
		first *= (m->beta + n - x + j) / (m->alpha + m->beta + n + j + 1);
	}
	return alive * sum;
}

/*
 * Smallest number of opportunities ahead at which P(alive) is no more than
 * the threshold.
 */
double
crm_bgbb_time_to(const CrmBgbb *m, double x, double t_x, double n,
				 double threshold)
{
	double		alive,
				goal,
				lo = 0,
				hi = 1;

	history(m, x, t_x, n, &alive, NULL);
	if (alive <= threshold)
		return 0;
	if (threshold <= 0)
		return INFINITY;
	goal = log(threshold / alive);
#define STAY(j) (crm_log_rising(m->delta + n, j) - \
				 crm_log_rising(m->gamma + m->delta + n, j))
	while (STAY(hi) > goal)
	{
		lo = hi;
		hi *= 2;
		if (hi > 9e15)
			return INFINITY;
	}
	while (hi - lo > 1)
	{
		double		mid = floor((lo + hi) / 2);

		if (STAY(mid) > goal)
			lo = mid;
		else
			hi = mid;
	}
#undef STAY
	return hi;
}

/* d (1 - p) / (d + p): being there for ever, of those who leave with p */
static double
remains(double p, double q, void *arg)
{
	double		d = *(double *) arg;

	return d * q / (d + p);
}

static double
remains_fall(double p, double q, void *arg)
{
	double		d = *(double *) arg;

	return (1 + d) / (d + p);
}

static const CrmUnitMean mean_remains = {remains, remains_fall};

/*
 * Discounted expected residual purchases, rate d a period, discounted to n;
 * d = 0 needs gamma > 1.  The sum is a 2F1(1, b; c; 1/(1+d)), taken by
 * Gauss's continued fraction; for a small discount, where that is long, as
 * a mean over the chance to leave.
 */
double
crm_bgbb_dert(const CrmBgbb *m, double x, double t_x, double n,
			  double discount)
{
	double		alive,
				D = m->delta + n,
				front,
				z = 1 / (1 + discount),
				b = D + 1,
				c = m->gamma + D + 1,
				cc,
				dd,
				h;
	int			i;

	history(m, x, t_x, n, &alive, NULL);
	front = alive * (m->alpha + x) / (m->alpha + m->beta + n);
	if (discount == 0)
		return front * D / (m->gamma - 1);

	if (discount < 0.01)
		return front / discount *
			crm_beta_mean(m->gamma, D, &mean_remains, 1, &discount);

	/* modified Lentz for 1 - a1 z / (1 - a2 z / (1 - ...)) */
	h = 1;
	cc = 1;
	dd = 0;
	for (i = 1; i < 2000000; i++)
	{
		double		k = i / 2,
					a = i % 2 ? (b + k) * (c - 1 + k) /
		((c - 1 + 2 * k) * (c + 2 * k)) :
		k * (c - b + k - 1) / ((c + 2 * k - 2) * (c + 2 * k - 1)),
					delta;

		CRM_COUNT_STEP();
		dd = 1 - a * z * dd;
		cc = 1 - a * z / cc;
		if (dd == 0)
			dd = 1e-300;
		if (cc == 0)
			cc = 1e-300;
		dd = 1 / dd;
		delta = cc * dd;
		h *= delta;
		if (fabs(delta - 1) < 3e-16)
			break;
	}
	return front * D / (m->gamma + D) * z / h;
}

/* P(a new customer makes x purchases at n opportunities) */
double
crm_bgbb_pmf(const CrmBgbb *m, double x, double n)
{
	double		ab = m->alpha + m->beta,
				gd = m->gamma + m->delta,
				first,
				term = 1,
				sum = 0,
				k;

	if (x > n)
		return 0;
	first = crm_log_rising(m->alpha, x) - crm_log_rising(ab, x) +
		log(m->gamma) + crm_log_rising(m->delta, x) -
		crm_log_rising(gd, x + 1);
	for (k = x; k < n; k++)
	{
		sum += term;
		term *= (k + 1) * (m->beta + k - x) * (m->delta + k) /
			((k + 1 - x) * (ab + k) * (gd + k + 1));
		CRM_COUNT_STEP();
		if (term > 1e200)
		{
			sum *= 1e-200;
			term *= 1e-200;
			first += log(1e200);
		}
	}
	sum += term * (gd + n) / m->gamma;
	return exp(first + log(sum));
}
