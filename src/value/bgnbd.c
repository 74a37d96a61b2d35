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
 * series gives it quickly and without cancellation the series is taken;
 * else the mean is summed directly.
 */
#include "value/value_math.h"

#include <float.h>
#include <math.h>

/*
 * Log of the odds of having left: a / (B - 1 + ...) ((alpha + age) /
 * (alpha + t_x))^R; minus infinity where the model excludes it.
 */
static double
bg_odds(const CrmBg *m, double x, double t_x, double age)
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
				odds = bg_odds(m, x, t_x, age),
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
	double		odds = bg_odds(m, x, t_x, age);

	return odds == -INFINITY ? 1 : crm_logistic(-odds);
}

typedef struct Given
{
	double		R,
				w,
				a,
				discount;
} Given;

/*
 * (1 - (1 + wp)^-R) / (R w p): purchases given p, over those at p = 0
 */
static double
bought(double p, double q, void *arg)
{
	const Given *g = arg;
	double		wp = g->w * p;

	if (wp == 0)
		return 1;
	return -expm1(-g->R * log1p(wp)) / (g->R * wp);
}

static double
bought_fall(double p, double q, void *arg)
{
	const Given *g = arg;
	double		wp = g->w * p,
				term,
				sum;
	int			j;

	if (wp * (g->R + 2) > 0.3)
		return (1 - bought(p, q, arg)) / p;
	sum = term = (g->R + 1) / 2;
	for (j = 2; j < 24 && fabs(term) > 1e-17 * sum; j++)
	{
		term *= -(g->R + j) * wp / (j + 1);
		sum += term;
	}
	return g->w * sum;
}

/* (1 + wp)^-R: still alive given p */
static double
stayed(double p, double q, void *arg)
{
	const Given *g = arg;

	return exp(-g->R * log1p(g->w * p));
}

static double
stayed_fall(double p, double q, void *arg)
{
	const Given *g = arg;
	double		wp = g->w * p;

	return wp == 0 ? g->R * g->w : -expm1(-g->R * log1p(wp)) / p;
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

/* by the recurrence in the order */
static double
discounted_fall(double p, double q, void *arg)
{
	const Given *g = arg;
	double		y = g->discount / p;

	if (y > 1e300)
		return (g->R + 1) / g->discount;
	return (g->R + 1) * crm_scaled_expint(g->R + 2, y) / p;
}

static const CrmUnitMean mean_bought = {bought, bought_fall};
static const CrmUnitMean mean_stayed = {stayed, stayed_fall};
static const CrmUnitMean mean_discounted = {discounted, discounted_fall};

/*
 * Purchases expected at horizons step, 2 step ... n step (n <= 16) from a
 * customer who is alive.
 *
 * Both terms of the textbook form grow with a + b while their difference
 * does not.  Expanded in z = horizon / (alpha + age + horizon) they share
 * all but one factor, and
 *
 *		K = (1-z)^(a-1) sum over k >= 1 of (a)_(k-1) / k! s_k z^k
 *		s_1 = R, s_(k+1) = s_k + q_k R / (c+k)
 *		q_1 = c-R, q_(k+1) = q_k (c-R+k) / (c+k)
 *
 * with c = a + B - 1.  For c >= R no term is negative; a = 1 and a + b = 1
 * are ordinary points of it, and c - R does not depend on x.  The
 * coefficients do not depend on the horizon: one pass serves all.
 */
#define MOST_STEPS 16
#define MOST_TERMS 3000

/*
 * By the series, for all steps at once; false where it cancels or does not end,
 * and the mean over the beta distribution must do.
 */
static bool
expected_by_series(const CrmBg *m, double R, double c, double c_less_R, double A, double step,
				   int n, double *expected)
{
	double		z[MOST_STEPS],
				power[MOST_STEPS],
				sum[MOST_STEPS],
				front = 1,
				s = R,
				q = c_less_R,
				largest = 0;
	bool		good = true;
	int			k;

	for (int i = 0; i < MOST_STEPS; i++)
	{
		z[i] = i < n ? (i + 1) * step / (A + (i + 1) * step) : 0;
		power[i] = z[i];
		sum[i] = s * z[i];
	}
	for (k = 1; k < MOST_TERMS; k++)
	{
		double		gain = 1 / (c + k),
					coefficient,
					term;

		CRM_COUNT_STEP();
		s += q * R * gain;
		q *= (c_less_R + k) * gain;
		front *= (m->a + k - 1) / (k + 1);
		coefficient = front * s;
		if (n == 1)
		{
			power[0] *= z[0];
			sum[0] += coefficient * power[0];
		}
		else
			for (int i = 0; i < MOST_STEPS; i++)
			{
				power[i] *= z[i];
				sum[i] += coefficient * power[i];
			}
		term = fabs(coefficient * power[n - 1]);
		if (term > largest)
			largest = term;
		else if (term < 1e-16 * (1 - z[n - 1]) * fabs(sum[n - 1]) &&
				 c_less_R + k >= 0)
			break;
	}
	for (int i = 0; i < n; i++)
	{
		expected[i] = sum[i] * exp((1 - m->a) * log1p((i + 1) * step / A));
		if (!(sum[i] > 0) || k == MOST_TERMS ||
			(c_less_R < 0 && !(largest * 4e-16 < 2e-12 * sum[i])))
			good = false;
	}
	return good;
}

static void
expected_alive(const CrmBg *m, double x, double age, double step, int n,
			   double *expected)
{
	double		B = m->b + x + (m->modified ? 1 : 0),
				R = m->r + x,
				c = m->a + B - 1,
				c_less_R = m->a + m->b - m->r - (m->modified ? 0 : 1),
				A = m->alpha + age,
				longest = n * step / A;
	Given		g[MOST_STEPS];
	void	   *arg[MOST_STEPS] = {NULL};

	if (longest <= 32 && m->a * longest <= 300 && c_less_R > -60 &&
		expected_by_series(m, R, c, c_less_R, A, step, n, expected))
		return;
	for (int i = 0; i < n; i++)
	{
		g[i].R = R;
		g[i].w = (i + 1) * step / A;
		arg[i] = &g[i];
	}
	crm_beta_means(m->a, B, &mean_bought, n, arg, 1, expected);
	for (int i = 0; i < n; i++)
		expected[i] *= g[i].R * g[i].w;
}

void
crm_bg_expected_steps(const CrmBg *m, double x, double t_x, double age,
					  double step, int n, double *expected)
{
	double		alive = crm_bg_p_alive(m, x, t_x, age);
	int			i;

	for (i = 0; i < n; i++)
		expected[i] = 0;
	if (step == 0 || alive == 0)
		return;
	expected_alive(m, x, age, step, n, expected);
	for (i = 0; i < n; i++)
		expected[i] *= alive;
}

double
crm_bg_expected(const CrmBg *m, double x, double t_x, double age,
				double horizon)
{
	double		expected;

	crm_bg_expected_steps(m, x, t_x, age, horizon, 1, &expected);
	return expected;
}

/* P(alive at age + horizon) of a customer alive at age */
static double
survival_alive(const CrmBg *m, double x, double age, double w)
{
	Given		g;
	double		B = m->b + x + (m->modified ? 1 : 0),
				d = m->a + m->b - m->r + (m->modified ? 1 : 0),
				z = w / (1 + w);

	g.R = m->r + x;
	g.w = w;
	if (w <= 32 && m->a * w <= 300 && d > -60)
	{
		double		c = m->a + B,
					term = 1,
					sum = 1,
					largest = 1;
		int			k;

		for (k = 0; k < MOST_TERMS; k++)
		{
			CRM_COUNT_STEP();
			term *= (m->a + k) * (d + k) * z / ((c + k) * (k + 1));
			sum += term;
			if (fabs(term) > largest)
				largest = fabs(term);
			else if (fabs(term) < 1e-16 * (1 - z) * fabs(sum) && d + k >= 0)
				break;
		}
		if (k < MOST_TERMS && sum > 0 &&
			(d >= 0 || largest * 4 * DBL_EPSILON < 2e-12 * sum))
			return exp(-m->a * log1p(w)) * sum;
	}
	return crm_beta_mean(m->a, B, &mean_stayed, 1, &g);
}

double
crm_bg_survival(const CrmBg *m, double x, double t_x, double age,
				double horizon)
{
	return crm_bg_p_alive(m, x, t_x, age) *
		survival_alive(m, x, age, horizon / (m->alpha + age));
}

/*
 * Is P(alive) above the goal at all horizons that mean anything?  A share
 * of at least F(t) of customers has p <= t, and stays with (1 + wt)^-R or
 * more; F is bounded from below by its leading term.
 */
static bool
stays_above(const CrmBg *m, double x, double log_goal, double log_w)
{
	double		B = m->b + x + (m->modified ? 1 : 0),
				R = m->r + x,
				fewer;

	for (fewer = 2; fewer <= 18; fewer += 8)
	{
		double		log_t = -log_w - log1p(R) - fewer,
					t = exp(log_t);

		if (m->a * log_t + crm_log_rising(B, m->a) - lgamma(m->a + 1) -
			(B > 1 ? -(B - 1) * log1p(-t) : 0) -
			R * log1p(exp(log_t + log_w)) > log_goal)
			return true;
	}
	return false;
}

/*
 * Smallest time from age on after which P(alive) is no more than the
 * threshold: log survival is nearly linear in log(1 + w), where a
 * bracketed secant finds it.  Infinite where it is never reached, or later
 * than any time that means something.
 */
#define FAR 40

double
crm_bg_time_to(const CrmBg *m, double x, double t_x, double age,
			   double threshold)
{
	double		alive = crm_bg_p_alive(m, x, t_x, age),
				target,
				lo = 0,
				hi,
				f_lo,
				f_hi;
	int			i,
				side = 0;

	if (alive <= threshold)
		return 0;
	if (threshold <= 0)
		return INFINITY;
	target = log(threshold / alive);
	if (m->a < 0.5 && stays_above(m, x, target, FAR))
		return INFINITY;
	f_lo = -target;

	/* survival falls no faster than at first */
	hi = -target * (m->a + m->b + x + (m->modified ? 1 : 0)) /
		(m->a * (m->r + x));
	hi = fmin(fmax(1.2 * hi, 1e-12), 4);
	for (;;)
	{
		f_hi = log(survival_alive(m, x, age, expm1(hi))) - target;
		if (f_hi <= 0)
			break;
		if (hi >= FAR)
			return INFINITY;
		lo = hi;
		f_lo = f_hi;
		hi = fmin(hi * (hi > 3 ? 4 : 2), FAR);
	}
	for (i = 0; i < 200 && hi - lo > 1e-14 * hi; i++)
	{
		double		mid = f_lo == f_hi ? (lo + hi) / 2 :
			(lo * f_hi - hi * f_lo) / (f_hi - f_lo),
					f;

		if (!(mid > lo && mid < hi))
			mid = (lo + hi) / 2;
		f = log(survival_alive(m, x, age, expm1(mid))) - target;
		if (fabs(f) <= 4e-16 * -target)
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
		crm_beta_mean(m->a, B, &mean_discounted, 1, &g);
}
