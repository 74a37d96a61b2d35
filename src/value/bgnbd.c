/*
 * bgnbd.c
 *	  BG/NBD (Fader, Hardie and Lee 2005) and MBG/NBD (Batislam, Denizel and
 *	  Filiztekin 2007).
 *
 * A customer buys at a Poisson rate lambda ~ Gamma(r, alpha) and, after
 * each purchase, leaves with probability p ~ Beta(a, b); in the modified
 * model also right at the first purchase.  Given the history and being
 * alive, lambda ~ Gamma(R, A) and p ~ Beta(a, B) with R = r + x,
 * A = alpha + age and B = b + x (+ 1 if modified), so every forecast is
 * P(alive) times a mean over that beta distribution.  Where a
 * hypergeometric series gives it quickly and without cancellation the
 * series is taken; else the mean is summed directly.
 */
#include "value_math.h"

#include <float.h>
#include <math.h>

/*
 * Log of the odds of having left: a / (B - 1 + ...) ((alpha + age) /
 * (alpha + t_x))^R; minus infinity where the model excludes it.
 */
double
crm_bg_odds(const CrmBg *m, double x, double t_x, double age)
{
	if (m->modified)
		return log(m->a / (m->b + x)) +
			(m->r + x) * log1p((age - t_x) / (m->alpha + t_x));
	if (x == 0)
		return -INFINITY;
	return log(m->a / (m->b + x - 1)) +
		(m->r + x) * log1p((age - t_x) / (m->alpha + t_x));
}

/*
 * Log-likelihood of one history; with gradient by r, alpha, a, b.
 */
double
crm_bg_log_likelihood(const CrmBg *m, double x, double t_x, double age,
					  double *gradient)
{
	double		R = m->r + x,
				A = m->alpha + age,
				trials = m->modified ? x + 1 : x,
				odds = crm_bg_odds(m, x, t_x, age),
				value;

	if (age == 0 && x == 0 && gradient == NULL)
		return 0;				/* nothing has been seen */
	value = crm_log_rising(m->b, trials) -
		crm_log_rising(m->a + m->b, trials) +
		crm_log_rising(m->r, x) -
		m->r * log1p(age / m->alpha) - (x > 0 ? x * log(A) : 0);
	if (odds > -INFINITY)
		value += crm_softplus(odds);
	if (gradient)
	{
		double		total = crm_digamma_rise(m->a + m->b, trials);

		gradient[0] = crm_digamma_rise(m->r, x) - log1p(age / m->alpha);
		gradient[1] = m->r * age / (m->alpha * A) - x / A;
		gradient[2] = -total;
		gradient[3] = crm_digamma_rise(m->b, trials) - total;
		if (odds > -INFINITY)
		{
			double		gone = crm_logistic(odds);

			gradient[0] += gone * log1p((age - t_x) / (m->alpha + t_x));
			gradient[1] -= gone * R * (age - t_x) / (A * (m->alpha + t_x));
			gradient[2] += gone / m->a;
			gradient[3] -= gone / (m->modified ? m->b + x : m->b + x - 1);
		}
	}
	return value;
}

double
crm_bg_p_alive(const CrmBg *m, double x, double t_x, double age)
{
	double		odds = crm_bg_odds(m, x, t_x, age);

	return odds == -INFINITY ? 1 : crm_logistic(-odds);
}

typedef struct Given
{
	double		R,
				w,
				a,
				discount;
} Given;

/* (1 - (1 + wp)^-R) / (R w p): purchases given p, over those at p = 0 */
static double
bought(double p, double q, void *arg)
{
	const Given *g = arg;
	double		wp = g->w * p;

	if (wp == 0)
		return 1;
	return -expm1(-g->R * log1p(wp)) / (g->R * wp);
}

/* (1 + wp)^-R: still alive given p */
static double
stayed(double p, double q, void *arg)
{
	const Given *g = arg;

	return exp(-g->R * log1p(g->w * p));
}

/* y exp(y) E_(R+1)(y), y = A d / p: discounted purchases given p */
static double
discounted(double p, double q, void *arg)
{
	const Given *g = arg;
	double		y = g->discount / p;

	if (y > 1e300)
		return 1;
	return y * crm_scaled_expint(g->R + 1, y);
}

/*
 * Purchases expected in the horizon from a customer who is alive.
 *
 * K = c e - (1-z)^(a-1) S, with the factor 1 / (a - 1) of the textbook
 * form divided out: e = (1 - (1-z)^(a-1)) / (a-1), and S the Euler
 * transformed series without its first term.  a = 1 and a + b = 1 are
 * ordinary points of it, and c - R does not depend on x.
 */
static double
expected_alive(const CrmBg *m, double x, double age, double horizon)
{
	Given		g;
	double		B = m->b + x + (m->modified ? 1 : 0),
				c = m->a + B - 1,
				c_less_R = m->a + m->b - m->r - (m->modified ? 0 : 1),
				A = m->alpha + age,
				z,
				log_rest;

	g.R = m->r + x;
	g.w = horizon / A;
	z = horizon / (A + horizon);
	log_rest = -log1p(g.w);
	if (z <= 0.97)
	{
		double		a1 = m->a - 1,
					e = a1 == 0 ? -log_rest : -expm1(a1 * log_rest) / a1,
					rest = exp(a1 * log_rest),
					term = c_less_R * z,
					sum = term,
					largest = fabs(term),
					value;
		int			k;

		for (k = 2; k < 3000; k++)
		{
			term *= (c_less_R + k - 1) * (m->a + k - 2) * z /
				((c + k - 1) * k);
			sum += term;
			if (fabs(term) > largest)
				largest = fabs(term);
			else if (fabs(term) < 1e-16 * (1 - z) * fabs(sum))
				break;
		}
		value = c * e - rest * sum;
		if (k < 3000 && value > 0 &&
			(fabs(c * e) + rest * largest) * 4 * DBL_EPSILON < 2e-12 * value)
			return value;
	}
	return g.R * g.w * crm_beta_mean(m->a, B, bought, 1,
									 bought(1, 0, &g), &g);
}

double
crm_bg_expected(const CrmBg *m, double x, double t_x, double age,
				double horizon)
{
	double		alive = crm_bg_p_alive(m, x, t_x, age);

	if (horizon == 0 || alive == 0)
		return 0;
	return alive * expected_alive(m, x, age, horizon);
}

/*
 * Expected purchases at horizons step, 2 step ... n step (n <= 16): the
 * coefficients of the series do not depend on the horizon, so that one pass
 * serves all.
 */
#define MOST_STEPS 16

void
crm_bg_expected_steps(const CrmBg *m, double x, double t_x, double age,
					  double step, int n, double *expected)
{
	double		alive = crm_bg_p_alive(m, x, t_x, age),
				B = m->b + x + (m->modified ? 1 : 0),
				c = m->a + B - 1,
				c_less_R = m->a + m->b - m->r - (m->modified ? 0 : 1),
				a1 = m->a - 1,
				A = m->alpha + age,
				z[MOST_STEPS],
				power[MOST_STEPS],
				sum[MOST_STEPS],
				coefficient = c_less_R,
				largest = fabs(c_less_R),
				last;
	int			i,
				k;
	bool		short_enough = n * step <= 9 * A;

	for (i = 0; i < MOST_STEPS; i++)
	{
		z[i] = i < n ? (i + 1) * step / (A + (i + 1) * step) : 0;
		power[i] = z[i];
		sum[i] = coefficient * z[i];
	}
	last = z[n - 1];
	for (k = 2; short_enough && k < 1000; k++)
	{
		double		term;

		coefficient *= (c_less_R + k - 1) * (m->a + k - 2) /
			((c + k - 1) * k);
		for (i = 0; i < MOST_STEPS; i++)
		{
			power[i] *= z[i];
			sum[i] += coefficient * power[i];
		}
		term = fabs(coefficient * power[n - 1]);
		if (term > largest)
			largest = term;
		else if (term < 1e-16 * (1 - last) * fabs(sum[n - 1]))
			break;
	}
	for (i = 0; i < n; i++)
	{
		double		horizon = (i + 1) * step,
					log_rest = -log1p(horizon / A),
					grown = expm1(a1 * log_rest),
					e = a1 == 0 ? -log_rest : -grown / a1,
					rest = 1 + grown,
					value = c * e - rest * sum[i];

		if (short_enough && value > 0 &&
			(fabs(c * e) + rest * largest) * 4 * DBL_EPSILON < 2e-12 * value)
			expected[i] = alive * value;
		else
			expected[i] = alive == 0 || horizon == 0 ? 0 :
				alive * expected_alive(m, x, age, horizon);
	}
}

/* P(alive at age + horizon) of a customer alive at age */
static double
survival_alive(const CrmBg *m, double x, double age, double w)
{
	Given		g;
	double		B = m->b + x + (m->modified ? 1 : 0),
				z = w / (1 + w);

	g.R = m->r + x;
	g.w = w;
	if (z <= 0.9)
	{
		double		c = m->a + B,
					d = c - g.R,
					term = 1,
					sum = 1,
					largest = 1;
		int			k;

		for (k = 0; k < 1000; k++)
		{
			term *= (m->a + k) * (d + k) * z / ((c + k) * (k + 1));
			sum += term;
			if (fabs(term) > largest)
				largest = fabs(term);
			else if (fabs(term) < 1e-16 * (1 - z) * fabs(sum))
				break;
		}
		if (k < 1000 && sum > 0 && largest * 4 * DBL_EPSILON < 2e-12 * sum)
			return exp(-m->a * log1p(w)) * sum;
	}
	return crm_beta_mean(m->a, B, stayed, 1, stayed(1, 0, &g), &g);
}

double
crm_bg_survival(const CrmBg *m, double x, double t_x, double age,
				double horizon)
{
	return crm_bg_p_alive(m, x, t_x, age) *
		survival_alive(m, x, age, horizon / (m->alpha + age));
}

/*
 * Smallest time from age on after which P(alive) is no more than the
 * threshold: log survival is nearly linear in log(1 + w), where a
 * bracketed secant finds it.  Infinite where it is never reached.
 */
double
crm_bg_time_to(const CrmBg *m, double x, double t_x, double age,
			   double threshold)
{
	double		alive = crm_bg_p_alive(m, x, t_x, age),
				target,
				lo = 0,
				hi = 1,
				f_lo,
				f_hi;
	int			i,
				side = 0;

	if (alive <= threshold)
		return 0;
	if (threshold <= 0)
		return INFINITY;
	target = log(threshold / alive);
	f_lo = -target;
	for (;;)
	{
		f_hi = log(survival_alive(m, x, age, expm1(hi))) - target;
		if (f_hi <= 0)
			break;
		lo = hi;
		f_lo = f_hi;
		hi *= 2;
		if (hi > 650)
			return INFINITY;
	}
	for (i = 0; i < 200 && hi - lo > 1e-14 * hi; i++)
	{
		double		mid = f_lo == f_hi ? (lo + hi) / 2 :
			(lo * f_hi - hi * f_lo) / (f_hi - f_lo),
					f;

		if (!(mid > lo && mid < hi))
			mid = (lo + hi) / 2;
		f = log(survival_alive(m, x, age, expm1(mid))) - target;
		if (f == 0)
			return expm1(mid) * (m->alpha + age);
		if (f > 0)
		{
			lo = mid;
			f_lo = f;
			if (side == 1)
				f_hi /= 2;
			side = 1;
		}
		else
		{
			hi = mid;
			f_hi = f;
			if (side == -1)
				f_lo /= 2;
			side = -1;
		}
	}
	return expm1(hi) * (m->alpha + age);
}

/* P(at least one purchase in the horizon) */
double
crm_bg_any(const CrmBg *m, double x, double t_x, double age, double horizon)
{
	return crm_bg_p_alive(m, x, t_x, age) *
		-expm1(-(m->r + x) * log1p(horizon / (m->alpha + age)));
}

/* P(a new customer makes n repeat purchases in the horizon) */
double
crm_bg_pmf(const CrmBg *m, double n, double horizon)
{
	double		trials = m->modified ? n + 1 : n,
				z = horizon / (m->alpha + horizon),
				nbd = crm_nbd_pmf(m->r, m->alpha, n, horizon),
				value;

	value = nbd * exp(crm_log_rising(m->b, trials) -
					  crm_log_rising(m->a + m->b, trials));

	/* left at the n-th chance, having bought at least n times otherwise */
	if (trials >= 1)
		value += m->a / (m->a + m->b + trials - 1) *
			exp(crm_log_rising(m->b, trials - 1) -
				crm_log_rising(m->a + m->b, trials - 1)) *
			(n == 0 ? 1 : crm_beta_tail(z, n, m->r));
	return value;
}

/*
 * Discounted expected residual purchases, continuous rate d > 0; d = 0
 * needs a > 1.  No closed form: with lambda integrated out, the purchases
 * of a customer with a given p are worth R/(A d) y exp(y) E_(R+1)(y).
 */
double
crm_bg_dert(const CrmBg *m, double x, double t_x, double age, double discount)
{
	Given		g;
	double		alive = crm_bg_p_alive(m, x, t_x, age),
				B = m->b + x + (m->modified ? 1 : 0),
				A = m->alpha + age;

	if (discount == 0)
		return alive * (m->a + B - 1) / (m->a - 1);
	g.R = m->r + x;
	g.discount = A * discount;
	return alive * g.R / g.discount *
		crm_beta_mean(m->a, B, discounted, 1, discounted(1, 0, &g), &g);
}
