/*
 * association.c
 *	  Is a share in one group different from that in the rest by more than chance?
 *
 * Small tables are tested exactly, large ones by their chi-squared statistic.
 */
#include "postgres.h"

#include <math.h>

#include "base/compat.h"
#include "fmgr.h"
#include "miscadmin.h"

/* Logarithm of the hypergeometric probability of a table with fixed margins. */
static double
log_table(double a, double b, double c, double d)
{
	return lgamma(a + b + 1) + lgamma(c + d + 1) + lgamma(a + c + 1) + lgamma(b + d + 1)
		- lgamma(a + b + c + d + 1) - lgamma(a + 1) - lgamma(b + 1) - lgamma(c + 1) - lgamma(d + 1);
}

/*
 * Fisher's exact test, two-sided: the probability of all tables with these
 * margins that are no likelier than the one seen.
 */
static double
fisher(double a, double b, double c, double d)
{
	double		seen = log_table(a, b, c, d) + 1e-7,
				sum = 0,
				low = Max(0, a - d),
				high = Min(a + b, a + c);

	for (double x = low; x <= high; x++)
	{
		double		p = log_table(x, a + b - x, a + c - x, d - a + x);

		if (p <= seen)
			sum += exp(p);
		CHECK_FOR_INTERRUPTS();
	}
	return Min(sum, 1);
}

PG_FUNCTION_INFO_V1(crm_association_p);

Datum
crm_association_p(PG_FUNCTION_ARGS)
{
	double		a = (double) PG_GETARG_INT64(0),
				b = (double) PG_GETARG_INT64(1),
				c = (double) PG_GETARG_INT64(2),
				d = (double) PG_GETARG_INT64(3),
				n = a + b + c + d,
				least,
				x;

	if (a < 0 || b < 0 || c < 0 || d < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a count is negative")));
	/* a margin of zero: nothing to compare */
	if (a + b == 0 || c + d == 0 || a + c == 0 || b + d == 0)
		PG_RETURN_NULL();
	least = Min(a + b, c + d) * (Min(a + c, b + d) / n);
	if (least < 5)
	{
		/* the sum has as many terms as the smallest margin */
		if (Min(Min(a + b, c + d), Min(a + c, b + d)) <= 1e6)
			PG_RETURN_FLOAT8(fisher(a, b, c, d));
	}
	x = (a * d - b * c) / sqrt(a + b) / sqrt(c + d) / sqrt(a + c) / sqrt(b + d);
	PG_RETURN_FLOAT8(erfc(sqrt(x * x * n / 2)));
}
