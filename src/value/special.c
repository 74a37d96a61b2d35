/*
 * special.c
 *	  Special functions of the purchase models.
 *
 * Differences of log-gamma are computed as differences (products or the
 * subtracted Stirling series), never as the difference of two large
 * numbers.  Means over a beta distribution, the fall-back of every
 * hypergeometric series in this room, are a trapezoid sum in the logit.
 */
#include "value/value_math.h"

#include <float.h>
#include <math.h>

#define EULER_GAMMA 0.57721566490153286061

#ifdef CRM_COUNT_EVALUATIONS
unsigned long crm_evaluations = 0;
#endif

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

/* The rest of log gamma beyond Stirling's formula, z >= 12 */
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

			CRM_COUNT_STEP();
			b += 2;
			d = 1 / (an * d + b);
			c = b + an / c;
			delta = c * d;
			h *= delta;
			if (fabs(delta - 1) < 3e-16)
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

		CRM_COUNT_STEP();
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
		if (fabs(delta - 1) < 3e-16)
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

/*
 * Log of the weight p^a q^b at a distance of d from its mode, in the logit,
 * relative to the weight there.  Near the mode it is taken from the
 * distance alone: with a and b in the millions two logs would differ in
 * their noise only.
 */
typedef struct Weight
{
	double		a,
				b,
				mode,
				less,			/* p of the mode, or q if that is less */
				softplus;		/* of the mode, or of its negative */
} Weight;

static inline double
log_weight(const Weight *w, double d)
{
	/* the smaller exponent is the one that is multiplied by the distance */
	if (w->a > w->b)
	{
		if (fabs(d) <= 1)
			return -w->b * d - (w->a + w->b) * log1p(w->less * expm1(-d));
		return -w->b * d - (w->a + w->b) * (crm_softplus(-w->mode - d) -
											w->softplus);
	}
	if (fabs(d) <= 1)
		return w->a * d - (w->a + w->b) * log1p(w->less * expm1(d));
	return w->a * d - (w->a + w->b) * (crm_softplus(w->mode + d) -
									   w->softplus);
}

static inline void
unit_of(double logit, double *p, double *q)
{
	double		e = exp(-fabs(logit)),
				less = e / (1 + e),
				more = 1 / (1 + e);

	*p = logit > 0 ? more : less;
	*q = logit > 0 ? less : more;
}

/* The integrand that is left when steep ends have been peeled off */
typedef struct Peeled
{
	const CrmUnitMean *mean;
	bool		left,
				right;
	double		f0,
				f1;
	void	   *arg;
} Peeled;

static inline double
peeled(const Peeled *g, double p, double q)
{
	double		v;

	CRM_COUNT_EVALUATION();
	if (g->left)
		v = g->mean->fall(p, q, g->arg);
	else
		v = g->mean->f(p, q, g->arg);
	if (g->right)
		v = ((g->left ? g->f0 - g->f1 : g->f1) - v) / q;
	return v;
}

#define FIRST_NODES 48
#define MOST_NODES (FIRST_NODES << 6)

/* The nodes of a trapezoid sum, kept for further functions of the same weight. */
typedef struct Nodes
{
	int			n;
	double		p[MOST_NODES];
	double		q[MOST_NODES];
	double		weight[MOST_NODES];
	double		sum_weight;
} Nodes;

static Weight
weight_of(double a, double b)
{
	Weight		w;

	w.a = a;
	w.b = b;
	w.mode = log(a / b);
	w.less = fmin(a, b) / (a + b);
	w.softplus = crm_softplus(-fabs(w.mode));
	return w;
}

/*
 * Where the tails end.  As f falls, what it adds on the right ends no later
 * than the weight; on the left the product may peak far away.
 */
static void
find_tails(const Weight *w, double scale, const Peeled *g, double *lo, double *hi)
{
	double		most = -INFINITY;

	for (*hi = 1; *hi < 60; *hi *= 1.2)
		if (log_weight(w, scale * sinh(*hi)) < -40)
			break;
	for (*lo = 1; *lo < 60; *lo *= 1.2)
	{
		double		d = -scale * sinh(*lo),
					weight = log_weight(w, d),
					p,
					q,
					product;

		unit_of(w->mode + d, &p, &q);
		product = p == 0 ? -INFINITY :
			weight + log(fabs(peeled(g, p, q)));
		if (product > most)
			most = product;
		if (weight < -40 && !(product > most - 40))
			break;
	}
}

/*
 * The mean of the peeled function by halving steps until offset + factor times
 * it stands still.
 */
static double
sum_nodes(const Weight *w, double scale, const Peeled *g, double offset, double factor,
		  Nodes *nodes)
{
	double		lo,
				hi,
				step,
				sum_f = 0,
				previous = NAN;
	int			n = FIRST_NODES;

	nodes->n = 0;
	nodes->sum_weight = 0;
	find_tails(w, scale, g, &lo, &hi);
	step = (hi + lo) / n;
	for (int round = 0; round <= 6; round++)
	{
		double		now;
		bool		still;

		/* after the first round only the new points in between */
		for (int i = round > 0; i <= n && nodes->n < MOST_NODES; i += 1 + (round > 0))
		{
			double		grown = exp(-lo + i * step),
						d = scale * (grown - 1 / grown) / 2,
						p,
						q,
						weight;

			unit_of(w->mode + d, &p, &q);
			if (p == 0 || q == 0)
				continue;
			weight = exp(log_weight(w, d)) * (grown + 1 / grown) / 2;
			nodes->p[nodes->n] = p;
			nodes->q[nodes->n] = q;
			nodes->weight[nodes->n] = weight;
			nodes->n++;
			nodes->sum_weight += weight;
			sum_f += weight * peeled(g, p, q);
		}
		now = sum_f / nodes->sum_weight;
		still = fabs(factor * (now - previous)) <= 2e-8 * fabs(offset + factor * now);
		previous = now;
		if (still)
			break;
		n *= 2;
		step /= 2;
	}
	return previous;
}

/*
 * Means of f(p) over p ~ Beta(a, b), for a smooth convex f that falls from
 * f0 at 0 to f1 at 1: one for each of count arguments, the last of them the
 * steepest, on the same nodes.
 *
 * The density in u = logit p is log-concave with slopes a and -b; the
 * trapezoid rule over a sinh of the distance from its mode converges
 * exponentially, so that a difference of the root of the precision from
 * the rule with half the points is enough, and the same nodes give the
 * normalising constant.  A small exponent makes a tail that never ends;
 * f(0) - f(p) = p g(p) moves it to a + 1 (likewise at 1).
 */
void
crm_beta_means(double a, double b, const CrmUnitMean *mean, int count,
			   void *const *arg, double f0, double *result)
{
	Peeled		g = {mean, a < 0.5, b < 0.5, f0, 0, arg[count - 1]};
	Weight		w;
	Nodes		nodes;
	double		share_left = a / (a + b),
				share_right,
				offset = 0,
				factor = 1;

	if (g.left)
		a += 1;
	share_right = b / (a + b);
	if (g.right)
		b += 1;
	g.f1 = g.right ? mean->f(1, 0, g.arg) : 0;

	/* the mean is offset + factor times that of the peeled function */
	if (g.right)
	{
		offset = g.left ? f0 - g.f1 : g.f1;
		factor = -share_right;
	}
	if (g.left)
	{
		offset = f0 - share_left * offset;
		factor *= -share_left;
	}

	w = weight_of(a, b);
	result[count - 1] = offset + factor *
		sum_nodes(&w, sqrt(1 / a + 1 / b), &g, offset, factor, &nodes);
	for (int k = 0; k < count - 1; k++)
	{
		double		sum_f = 0;

		g.arg = arg[k];
		if (g.right)
		{
			g.f1 = mean->f(1, 0, g.arg);
			offset = g.left ? f0 - share_left * (f0 - g.f1) : g.f1;
		}
		for (int i = 0; i < nodes.n; i++)
			sum_f += nodes.weight[i] * peeled(&g, nodes.p[i], nodes.q[i]);
		result[k] = offset + factor * (sum_f / nodes.sum_weight);
	}
}

double
crm_beta_mean(double a, double b, const CrmUnitMean *mean, double f0,
			  void *arg)
{
	double		result;

	crm_beta_means(a, b, mean, 1, &arg, f0, &result);
	return result;
}
