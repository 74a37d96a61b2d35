/*
 * paretonbd.c
 *	  Pareto/NBD (Schmittlein, Morrison and Colombo 1987), and NBD alone.
 *
 * A customer buys at a Poisson rate lambda ~ Gamma(r, alpha) until leaving
 * at an exponential time of rate mu ~ Gamma(s, beta).  The one hard part is
 * the integral over the possible times of leaving, which the textbooks
 * write as a difference of hypergeometric functions that overflow; here it
 * is a Gauss-Legendre sum in the log of time, over panels that follow the
 * decay of the integrand.  Its derivatives come from the same nodes.
 */
#include "value/value_math.h"

#include <float.h>
#include <math.h>

/* The integral, scaled, and means under it (for the gradient) */
typedef struct Leaving
{
	double		log_value;		/* of the integral over
								 * (alpha+t_x)^-R (beta+t_x)^-(s+1) */
	double		log_a,			/* mean of log((alpha+u)/(alpha+t_x)) */
				log_b,
				per_a,			/* mean of (alpha+t_x)/(alpha+u) */
				per_b;
} Leaving;

static void
leaving(const CrmPareto *m, double R, double t_x, double age,
		Leaving *result, bool means)
{
	bool		alpha_first = m->alpha <= m->beta;
	double		origin = (alpha_first ? m->alpha : m->beta) + t_x,
				ka = origin / (m->alpha + t_x),
				kb = origin / (m->beta + t_x),
				k_other = alpha_first ? kb : ka,
				width = log1p((age - t_x) / origin),
				p_first = alpha_first ? R - 1 : m->s,
				p_other = alpha_first ? m->s + 1 : R,
				from = 0,
				next = 0,
				sum = 0,
				sum_a = 0,
				sum_b = 0,
				sum_ra = 0,
				sum_rb = 0;

	while (from < width)
	{
		double		grown = exp(from),
					rate,
					panel,
					half,
					middle,
					part = 0;
		int			i;

		/* how fast the integrand falls where the panel begins */
		rate = p_first + p_other * k_other * grown /
			(1 + k_other * (grown - 1));
		panel = 2 / fmax(fabs(rate), 0.7);
		panel = fmax(panel, next);
		/* a search for parameters may try infinite ones */
		if (!(panel > 0))
			break;
		next = panel * 3;
		if (from + panel > width)
			panel = width - from;
		half = panel / 2;
		middle = from + half;
		for (i = 0; i < 2 * CRM_GAUSS_HALF; i++)
		{
			int			j = i >> 1;
			double		w = middle + (i & 1 ? half : -half) * crm_gauss_node[j],
						e = expm1(w),
						log_other = log1p(k_other * e),
						f;

			CRM_COUNT_EVALUATION();
			f = half * crm_gauss_weight[j] *
				exp(-p_first * w - p_other * log_other);
			part += f;
			if (means)
			{
				double		la = alpha_first ? w : log_other,
							lb = alpha_first ? log_other : w;

				sum_a += f * la;
				sum_b += f * lb;
				sum_ra += f / (1 + ka * e);
				sum_rb += f / (1 + kb * e);
			}
		}
		sum += part;
		if (part < 1e-18 * sum && rate > 0)
			break;
		from += panel;
	}
	result->log_value = log(origin) + log(sum);
	if (means)
	{
		result->log_a = sum_a / sum;
		result->log_b = sum_b / sum;
		result->per_a = sum_ra / sum;
		result->per_b = sum_rb / sum;
	}
}

/* Log of the odds of having left */
static double
odds_of_leaving(const CrmPareto *m, double x, double t_x, double age,
				Leaving *l, bool means)
{
	double		R = m->r + x,
				gap = age - t_x;

	if (gap <= 0)
		return -INFINITY;
	leaving(m, R, t_x, age, l, means);
	return log(m->s) + l->log_value - log(m->beta + t_x) +
		R * log1p(gap / (m->alpha + t_x)) +
		m->s * log1p(gap / (m->beta + t_x));
}

/*
 * Log-likelihood without its factor gamma(r + x) / gamma(r), which fits
 * have from tables; gradient by r, alpha, s, beta likewise.
 */
double
crm_pareto_bracket(const CrmPareto *m, double x, double t_x, double age,
				   double *gradient)
{
	Leaving		l;
	double		R = m->r + x,
				A = m->alpha + age,
				odds = odds_of_leaving(m, x, t_x, age, &l, gradient != NULL),
				log_a = log1p(age / m->alpha),
				log_b = log1p(age / m->beta),
				value;

	value = -m->r * log_a - (x > 0 ? x * log(A) : 0) - m->s * log_b;
	if (odds > -INFINITY)
		value += crm_softplus(odds);
	if (gradient)
	{
		gradient[0] = -log_a;
		gradient[1] = m->r * age / (m->alpha * A) - x / A;
		gradient[2] = -log_b;
		gradient[3] = m->s * age / (m->beta * (m->beta + age));
		if (odds > -INFINITY)
		{
			double		gone = crm_logistic(odds),
						a = m->alpha + t_x,
						b = m->beta + t_x,
						gap = age - t_x;

			gradient[0] += gone * (log1p(gap / a) - l.log_a);
			gradient[1] += gone * R * (1 / A - l.per_a / a);
			gradient[2] += gone * (1 / m->s + log1p(gap / b) - l.log_b);
			gradient[3] += gone * (m->s / (m->beta + age) -
								   (m->s + 1) * l.per_b / b);
		}
	}
	return value;
}

double
crm_pareto_log_likelihood(const CrmPareto *m, double x, double t_x,
						  double age, double *gradient)
{
	double		value = crm_pareto_bracket(m, x, t_x, age, gradient);

	if (gradient)
		gradient[0] += crm_digamma_rise(m->r, x);
	return value + crm_log_rising(m->r, x);
}

double
crm_pareto_p_alive(const CrmPareto *m, double x, double t_x, double age)
{
	Leaving		l;
	double		odds = odds_of_leaving(m, x, t_x, age, &l, false);

	return odds == -INFINITY ? 1 : crm_logistic(-odds);
}

/* Purchases expected in (age, age + horizon] of a customer alive at age */
double
crm_pareto_expected_alive(const CrmPareto *m, double x, double age,
						  double horizon)
{
	double		log_q = log1p(horizon / (m->beta + age)),
				s1 = m->s - 1,
				stay = s1 == 0 ? log_q : -expm1(-s1 * log_q) / s1;

	return (m->r + x) * (m->beta + age) / (m->alpha + age) * stay;
}

double
crm_pareto_expected(const CrmPareto *m, double x, double t_x, double age,
					double horizon)
{
	return crm_pareto_p_alive(m, x, t_x, age) *
		crm_pareto_expected_alive(m, x, age, horizon);
}

double
crm_pareto_survival(const CrmPareto *m, double x, double t_x, double age,
					double horizon)
{
	return crm_pareto_p_alive(m, x, t_x, age) *
		exp(-m->s * log1p(horizon / (m->beta + age)));
}

double
crm_pareto_time_to(const CrmPareto *m, double x, double t_x, double age,
				   double threshold)
{
	double		alive = crm_pareto_p_alive(m, x, t_x, age);

	if (alive <= threshold)
		return 0;
	if (threshold <= 0)
		return INFINITY;
	return (m->beta + age) * expm1(log(alive / threshold) / m->s);
}

/*
 * P(at least one purchase in the horizon): alive, and not silent until the
 * end or until leaving.  Silence ends the customer exactly as the history
 * (x, t_x, age + horizon) would: with C the scaled odds of leaving inside
 * the horizon given silence, P(none) = P(alive) (q_A^R q_B^s + left inside
 * and silent before) + P(left already).
 */
double
crm_pareto_any(const CrmPareto *m, double x, double t_x, double age,
			   double horizon)
{
	double		R = m->r + x,
				A = m->alpha + age,
				B = m->beta + age,
				width = log1p(horizon / B),
				alive = crm_pareto_p_alive(m, x, t_x, age),
				stay = exp(-m->s * width),
				sum,
				from = 0,
				next = 0;

	/*
	 * Leave at u: bought before u with probability 1 - (A/(A+u))^R.  Both
	 * terms are positive, so a short horizon loses no digits.
	 */
	sum = stay * -expm1(-R * log1p(horizon / A));
	while (from < width)
	{
		double		u0 = B * expm1(from),
					panel = fmax(next, 2 / (m->s + fmax(R, 1) * (B + u0) /
											(A + u0))),
					half,
					middle;
		int			i;

		/* within the range of arguments that the callers allow it never is */
		if (!(panel > 0))
			return NAN;
		next = panel * 3;
		if (from + panel > width)
			panel = width - from;
		half = panel / 2;
		middle = from + half;
		for (i = 0; i < 2 * CRM_GAUSS_HALF; i++)
		{
			int			j = i >> 1;
			double		w = middle + (i & 1 ? half : -half) * crm_gauss_node[j];

			CRM_COUNT_EVALUATION();
			sum += half * crm_gauss_weight[j] * m->s * exp(-m->s * w) *
				-expm1(-R * log1p(B * expm1(w) / A));
		}
		from += panel;
	}
	return alive * sum;
}

/* P(a new customer makes n repeat purchases in the horizon) */
double
crm_pareto_pmf(const CrmPareto *m, double n, double horizon)
{
	double		width = log1p(horizon / m->beta),
				value = exp(-m->s * width) *
		crm_nbd_pmf(m->r, m->alpha, n, horizon),
				peak = fmin(width, log1p(m->alpha * n / m->r / m->beta)),
				bounds[3],
				narrow[2],
				at_peak,
				constant;
	int			piece;

	/*
	 * Leave at u, having bought n times: panels shrink towards 0 and the
	 * peak, until they are as narrow as what happens there.
	 */
	bounds[0] = 0;
	bounds[1] = peak;
	bounds[2] = width;
	at_peak = m->beta * expm1(peak);
	narrow[0] = fmin(m->alpha / m->beta / (m->r + 1), 1 / (m->s + 1));
	narrow[1] = narrow[0];
	if (n > 0)
	{
		/* the width of the peak in u, or how fast it is cut off */
		double		in_u = at_peak * (peak < width ?
									  sqrt(1 / (n + 1) + 1 / (m->r + 1)) :
									  (m->alpha + at_peak) /
									  (m->alpha + at_peak + n * m->alpha));

		narrow[1] = fmin(1 / (m->s + 1), in_u / (m->beta + at_peak));
	}
	constant = crm_log_rising(m->r, n) - crm_log_rising(1, n);
	for (piece = 0; piece < 4; piece++)
	{
		double		end = bounds[(piece + 1) / 2],
					length = (bounds[piece / 2] + bounds[piece / 2 + 1]) / 2 -
			end,
					far = length;
		int			k;

		for (k = 0; far != 0; k++)
		{
			double		near = k == 23 ||
				fabs(far) < narrow[(piece + 1) / 2 == 1] ? 0 : far / 2,
						half = fabs(far - near) / 2,
						centre = end + (far + near) / 2;
			int			i;

			for (i = 0; half > 0 && i < 2 * CRM_GAUSS_HALF; i++)
			{
				int			j = i >> 1;
				double		w = centre +
					(i & 1 ? half : -half) * crm_gauss_node[j],
							u = m->beta * expm1(w);

				CRM_COUNT_EVALUATION();
				value += half * crm_gauss_weight[j] * m->s *
					exp(constant - m->s * w - m->r * log1p(u / m->alpha) -
						(n > 0 ? n * log1p(m->alpha / u) : 0));
			}
			far = near;
		}
	}
	return value;
}

/* Discounted expected residual purchases; discount 0 needs s > 1 */
double
crm_pareto_dert(const CrmPareto *m, double x, double t_x, double age,
				double discount)
{
	double		B = m->beta + age,
				value = crm_pareto_p_alive(m, x, t_x, age) * (m->r + x) *
		B / (m->alpha + age);

	if (discount == 0)
		return value / (m->s - 1);
	return value * crm_scaled_expint(m->s, discount * B);
}

/* ---- NBD: everybody stays ---- */

double
crm_nbd_log_likelihood(double r, double alpha, double x, double age,
					   double *gradient)
{
	double		A = alpha + age;

	if (gradient)
	{
		gradient[0] = crm_digamma_rise(r, x) - log1p(age / alpha);
		gradient[1] = r * age / (alpha * A) - x / A;
	}
	return crm_log_rising(r, x) - r * log1p(age / alpha) -
		(x > 0 ? x * log(A) : 0);
}

double
crm_nbd_pmf(double r, double alpha, double n, double horizon)
{
	if (horizon == 0)
		return n == 0 ? 1 : 0;
	return exp(crm_log_rising(r, n) - crm_log_rising(1, n) -
			   r * log1p(horizon / alpha) -
			   (n > 0 ? n * log1p(alpha / horizon) : 0));
}
