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

/* A sum of numbers given by their logarithms. */
typedef struct LogSum
{
	double		top;			/* the largest so far */
	double		sum;			/* in its units */
} LogSum;

static void
add_log(LogSum *s, double v)
{
	if (v <= s->top)
		s->sum += exp(v - s->top);
	else
	{
		s->sum = s->sum * exp(s->top - v) + 1;
		s->top = v;
	}
}

/*
 * Fisher's exact test, two-sided: the probability of all tables with these
 * margins that are no likelier than the one seen.  Tables are reached from the
 * one seen by moving one case at a time, each as a ratio to the one before:
 * so small cells are exact however large the others are.
 */
static double
fisher(int64 a, int64 b, int64 c, int64 d)
{
	LogSum		all = {0, 1};
	LogSum		tail = {0, 1};

	for (int up = 0; up < 2; up++)
	{
		/* a case moves from the cells from1, from2 to the cells to1, to2 */
		int64		from1 = up ? b : a;
		int64		from2 = up ? c : d;
		double		to1 = up ? a : b;
		double		to2 = up ? d : c;
		double		weight = 0;

		while (from1 > 0 && from2 > 0)
		{
			CHECK_FOR_INTERRUPTS();
			weight += log((double) from1-- / ++to1 * ((double) from2-- / ++to2));
			add_log(&all, weight);
			/* a hair of slack: as likely as the one seen */
			if (weight <= 1e-7)
				add_log(&tail, weight);
		}
	}
	return Min(tail.sum / all.sum * exp(tail.top - all.top), 1);
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
			PG_RETURN_FLOAT8(fisher(PG_GETARG_INT64(0), PG_GETARG_INT64(1),
									PG_GETARG_INT64(2), PG_GETARG_INT64(3)));
	}
	x = (a * d - b * c) / sqrt(a + b) / sqrt(c + d) / sqrt(a + c) / sqrt(b + d);
	PG_RETURN_FLOAT8(erfc(sqrt(x * x * n / 2)));
}
