/*
 * gammagamma.c
 *	  Gamma-Gamma model of spend (Fader, Hardie and Lee 2005; Colombo and
 *	  Jiang 1999): each purchase is Gamma(p, nu), nu ~ Gamma(q, g).
 */
#include "value/value_math.h"

#include <math.h>

/*
 * Log-density of the mean spend over x > 0 purchases; gradient by p, q, g.
 * With y = px this is one rising factorial and two log1p, each small where
 * the customer has bought very often.
 */
double
crm_gg_log_likelihood(double p, double q, double g, double x, double spend,
					  double *gradient)
{
	double		y = p * x,
				total = x * spend,
				below = log1p(g / total),	/* log((g + total) / total) */
				above = log1p(total / g);	/* log((g + total) / g) */

	if (gradient)
	{
		double		joint = crm_digamma(y + q);

		gradient[0] = x * (joint - crm_digamma(y) - below);
		gradient[1] = joint - crm_digamma(q) - above;
		gradient[2] = (q * total - y * g) / (g * (g + total));
	}
	return crm_log_rising(y, q) - lgamma(q) - log(spend) - y * below -
		q * above;
}
