/*
 * special.c
 *	  Special functions of the purchase models.
 *
 * Differences of log-gamma are computed as differences (products or the
 * subtracted Stirling series), never as the difference of two large
 * numbers.  Means over a beta distribution, the fall-back of every
 * hypergeometric series in this room, are a trapezoid sum in the logit.
 */
#include "value_math.h"

#include <float.h>
#include <math.h>

#define EULER_GAMMA 0.57721566490153286061

const double crm_gauss_node[CRM_GAUSS_HALF] = {
	0.98940093499164993260, 0.94457502307323257608, 0.86563120238783174388,
	0.75540440835500303390, 0.61787624440264374845, 0.45801677765722738634,
	0.28160355077925891323, 0.09501250983763744019
};
const double crm_gauss_weight[CRM_GAUSS_HALF] = {
	0.02715245941175409485, 0.06225352393864789286, 0.09515851168249278481,
	0.12462897125553387205, 0.14959598881657673208, 0.16915651939500253819,
	0.18260341504492358887, 0.18945061045506849629
};

/* log(1 + exp(d)) */
double
crm_softplus(double d)
{
	return d > 0 ? d + log1p(exp(-d)) : log1p(exp(d));
}

/* 1 / (1 + exp(-d)) */
double
crm_logistic(double d)
{
	double		e = exp(-fabs(d));

	return d >= 0 ? 1 / (1 + e) : e / (1 + e);
}

/* What Stirling's formula leaves out of log gamma, z >= 12 */
static double
stirling_rest(double z)
{
	double		y = 1 / (z * z);

	return (1.0 / 12 - y * (1.0 / 360 - y * (1.0 / 1260 - y *
											 (1.0 / 1680 - y *
											  (1.0 / 1188 - y *
											   (691.0 / 360360)))))) / z;
}

/* log gamma(a + n) - log gamma(a) for a > 0, n >= 0 */
double
crm_log_rising(double a, double n)
{
	double		sum = 0;

	if (n == 0)
		return 0;
	if (n == 1)
		return log(a);
	if (a < 12)
	{
		double		steps = ceil(12 - a);

		if (n <= steps)
		{
			double		product = 1;
			int			k;

			if (n != floor(n))
				return lgamma(a + n) - lgamma(a);
			for (k = 0; k < (int) n; k++)
			{
				if (product < 1e-200)
				{
					sum += log(product);
					product = 1;
				}
				product *= a + k;
			}
			return sum + log(product);
		}
		else
		{
			double		product = 1;
			int			k;

			for (k = 0; k < (int) steps; k++)
			{
				if (product < 1e-200)
				{
					sum += log(product);
					product = 1;
				}
				product *= a + k;
			}
			sum += log(product);
			a += steps;
			n -= steps;
		}
	}
	return sum + (a - 0.5) * log1p(n / a) + n * (log(a + n) - 1) +
		(stirling_rest(a + n) - stirling_rest(a));
}

double
crm_digamma(double x)
{
	double		sum = 0,
				y;

	while (x < 12)
	{
		sum -= 1 / x;
		x += 1;
	}
	y = 1 / (x * x);
	return sum + log(x) - 0.5 / x - y * (1.0 / 12 - y * (1.0 / 120 - y *
														 (1.0 / 252 - y *
														  (1.0 / 240 - y *
														   (1.0 / 132)))));
}

/* digamma(a + n) - digamma(a) */
double
crm_digamma_rise(double a, double n)
{
	if (n <= 24 && n == floor(n))
	{
		double		sum = 0;
		int			k;

		for (k = 0; k < (int) n; k++)
			sum += 1 / (a + k);
		return sum;
	}
	return crm_digamma(a + n) - crm_digamma(a);
}

/* log gamma(1 + d) for |d| < 1, exact to the digits of d itself */
static double
log_gamma_1p(double d)
{
	if (fabs(d) < 5e-3)
	{
		/* -gamma d + sum of zeta(k) (-d)^k / k */
		static const double zeta[] = {
			1.64493406684822643647, 1.20205690315959428540,
			1.08232323371113819152, 1.03692775514336992633,
			1.01734306198444913971, 1.00834927738192282684
		};
		double		sum = 0,
					power = -d;
		int			k;

		for (k = 2; k <= 7; k++)
		{
			power *= -d;
			sum += zeta[k - 2] * power / k;
		}
		return -EULER_GAMMA * d + sum;
	}
	return lgamma(1 + d);
}

/*
 * exp(y) E_s(y), the generalised exponential integral of any real order
 * s > 0, for y > 0.
 *
 * y >= 1: continued fraction.  Below, the power series at an order in
 * (0, 1.5], where its two singular terms are taken together so that the
 * integer order is nothing special, and the upward recurrence, which is
 * stable there.
 */
double
crm_scaled_expint(double s, double y)
{
	double		base,
				value;

	if (y >= 1)
	{
		double		b = y + s,
					c = DBL_MAX,
					d = 1 / b,
					h = d;
		int			i;

		for (i = 1; i < 100000; i++)
		{
			double		an = -i * (s - 1 + i),
						delta;

			b += 2;
			d = 1 / (an * d + b);
			c = b + an / c;
			delta = c * d;
			h *= delta;
			if (fabs(delta - 1) < 1e-16)
				break;
		}
		return h;
	}

	if (s > 60)
	{
		/* each step divides the error of the guess by about s */
		base = s - 20;
		value = 1 / (base + y);
	}
	else
	{
		double		d,
					term = 1,
					sum = 0,
					singular,
					log_y = log(y);
		int			k;

		base = s;
		if (s > 1.5)
			base = s - ceil(s - 1.5);
		d = 1 - base;
		singular = log_gamma_1p(d) - d * log_y;
		singular = d == 0 ? -EULER_GAMMA - log_y : expm1(singular) / d;
		for (k = 1; k < 60; k++)
		{
			term *= -y / k;
			sum += term / (d + k);
			if (fabs(term) < 1e-18)
				break;
		}
		value = exp(y) * (singular - sum);
	}
	while (base < s - 0.5)
	{
		value = (1 - y * value) / base;
		base += 1;
	}
	return value;
}

/* Continued fraction of the incomplete beta function */
static double
beta_fraction(double x, double a, double b)
{
	const double tiny = 1e-300;
	double		c = 1,
				d = 1 - (a + b) * x / (a + 1),
				h;
	int			m;

	if (fabs(d) < tiny)
		d = tiny;
	d = 1 / d;
	h = d;
	for (m = 1; m < 200000; m++)
	{
		double		even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
					odd = -(a + m) * (a + b + m) * x /
			((a + 2 * m) * (a + 2 * m + 1)),
					delta;

		d = 1 + even * d;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = 1 + even / c;
		if (fabs(c) < tiny)
			c = tiny;
		h *= d * c;
		d = 1 + odd * d;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = 1 + odd / c;
		if (fabs(c) < tiny)
			c = tiny;
		delta = d * c;
		h *= delta;
		if (fabs(delta - 1) < 1e-16)
			break;
	}
	return h;
}

/* Regularised incomplete beta function I_x(a, b) */
double
crm_beta_tail(double x, double a, double b)
{
	double		front;

	if (x <= 0)
		return 0;
	if (x >= 1)
		return 1;
	front = exp(crm_log_rising(a, b) - lgamma(b) + a * log(x) +
				b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(x, a, b) / a;
	return 1 - front * beta_fraction(1 - x, b, a) / b;
}

/* One peeled end of a mean: see crm_beta_mean */
typedef struct Peel
{
	CrmUnitFunction f;
	double		at_end;
	void	   *arg;
} Peel;

static double
peel_left(double p, double q, void *arg)
{
	Peel	   *peel = arg;

	return (peel->at_end - peel->f(p, q, peel->arg)) / p;
}

static double
peel_right(double p, double q, void *arg)
{
	Peel	   *peel = arg;

	return (peel->at_end - peel->f(p, q, peel->arg)) / q;
}

/*
 * How far to one side of the mode (in asinh of scales) weight and weight
 * times f count.  The second may peak far from the first: the mean of a
 * steep f is made in the tail.
 */
static double
reach(double a, double b, double mode, double scale, double peak,
	  CrmUnitFunction f, void *arg)
{
	double		most = -INFINITY,
				y;

	for (y = 1; y < 60; y *= 1.1)
	{
		double		u = mode + scale * sinh(y),
					e = exp(-fabs(u)),
					w = -a * crm_softplus(-u) - b * crm_softplus(u) - peak,
					wf = w + log(fabs(f((u > 0 ? 1 : e) / (1 + e),
										(u > 0 ? e : 1) / (1 + e), arg)));

		if (wf > most)
			most = wf;
		if (w < -44 && !(wf > most - 44))
			break;
	}
	return y;
}

/*
 * Mean of f(p) over p ~ Beta(a, b), for a smooth f with known ends.
 *
 * The density in u = logit p is log-concave with slopes a and -b; the
 * trapezoid rule over a sinh of the distance from its mode converges
 * exponentially, and the same nodes give the normalising constant.  A
 * small exponent makes a tail that never ends; f(0) - f(p) = p g(p) moves
 * it to a + 1 (likewise at 1), at no cost in digits, because the weight
 * removes what the division by p adds.
 */
double
crm_beta_mean(double a, double b, CrmUnitFunction f, double f0, double f1,
			  void *arg)
{
	double		mode,
				scale,
				peak,
				lo,
				hi,
				step,
				sum_f = 0,
				sum_w = 0,
				previous = NAN;
	int			n,
				round;

	if (a < 0.5)
	{
		Peel		peel = {f, f0, arg};

		/* the slope at 0 is not needed: b is peeled before a is 0.5 again */
		return f0 - a / (a + b) *
			crm_beta_mean(a + 1, b, peel_left, NAN, f0 - f1, &peel);
	}
	if (b < 0.5)
	{
		Peel		peel = {f, f1, arg};

		return f1 - b / (a + b) *
			crm_beta_mean(a, b + 1, peel_right, NAN, NAN, &peel);
	}

	mode = log(a / b);
	scale = sqrt(1 / a + 1 / b);
	peak = -a * crm_softplus(-mode) - b * crm_softplus(mode);

	lo = reach(a, b, mode, -scale, peak, f, arg);
	hi = reach(a, b, mode, scale, peak, f, arg);

	n = 40;
	step = (hi + lo) / n;
	for (round = 0; round < 8; round++)
	{
		double		mean;
		int			i;

		/* after the first round only the new points in between */
		for (i = 0; i <= n; i++)
		{
			double		y,
						u,
						e,
						p,
						q,
						w;

			if (round > 0 && i % 2 == 0)
				continue;
			y = -lo + i * step;
			u = mode + scale * sinh(y);
			e = exp(-fabs(u));
			p = (u > 0 ? 1 : e) / (1 + e);
			q = (u > 0 ? e : 1) / (1 + e);
			if (p == 0 || q == 0)
				continue;
			w = exp(-a * crm_softplus(-u) - b * crm_softplus(u) - peak) *
				cosh(y);
			sum_w += w;
			sum_f += w * f(p, q, arg);
		}
		mean = sum_f / sum_w;
		if (fabs(mean - previous) <= 2e-13 * fabs(mean))
			return mean;
		previous = mean;
		n *= 2;
		step /= 2;
	}
	return previous;
}
