/*
 * points_units.c
 *	  Scores as exact numbers: in units of their last digit, and as numeric.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "scoring/points.h"
#include "scoring/points_sql.h"

#define UNITS 1e10L				/* a point, POINTS_SCALE digits */

/* A score far out is as good as this one; past 1.7e28 its units would not fit. */
static double
held(double value)
{
	return fmin(fmax(value, -1e27), 1e27);
}

/* Units of the last digit as numeric, without trailing zeros. */
Datum
crm_points_numeric(int128 units)
{
	char		buf[64];
	char	   *p = buf + sizeof(buf);
	bool		negative = units < 0;
	unsigned __int128 u = negative ? -(unsigned __int128) units : (unsigned __int128) units;
	int			digits = 0;
	bool		nonzero = false;

	*--p = '\0';
	while (digits <= POINTS_SCALE || u != 0)
	{
		int			d = (int) (u % 10);

		u /= 10;
		if (digits == POINTS_SCALE && nonzero)
			*--p = '.';
		if (digits >= POINTS_SCALE || nonzero || d != 0)
		{
			*--p = '0' + d;
			nonzero = nonzero || digits < POINTS_SCALE;
		}
		digits++;
	}
	if (negative)
		*--p = '-';
	return DirectFunctionCall3(numeric_in, CStringGetDatum(p),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* A value in units of the last digit. */
int128
crm_points_units(double value)
{
	return (int128) rintl((long double) held(value) * UNITS);
}

Datum
crm_points_rounded(double value)
{
	return crm_points_numeric(crm_points_units(value));
}

/*
 * Round the parts of a total so that they add up to the rounded total: all are
 * rounded down, and the parts with the largest remainders get one unit more.
 * A difference that no rounding to units explains is of the doubles' own
 * digits, and belongs to the largest part.
 */
void
crm_points_apportion(const double *value, int n, double total, int128 *units)
{
	double	   *rest = palloc(sizeof(double) * Max(n, 1));
	int128		left = crm_points_units(total);
	int			largest = 0;

	for (int i = 0; i < n; i++)
	{
		long double exact = (long double) held(value[i]) * UNITS;
		long double down = floorl(exact);

		units[i] = (int128) down;
		rest[i] = (double) (exact - down);
		left -= units[i];
		if (fabs(value[i]) > fabs(value[largest]))
			largest = i;
	}
	/* beside 1e16 the digits of 0.3 are lost: that is the large part's doing */
	if (n > 0 && (left < -n || left > n))
	{
		units[largest] += left;
		left = 0;
	}
	while (left != 0 && n > 0)
	{
		int			best = -1;

		/* parts of 0 stay 0 unless nothing else is left */
		for (int i = 0; i < n; i++)
			if (value[i] != 0 &&
				(best < 0 || (left > 0 ? rest[i] > rest[best] : rest[i] < rest[best])))
				best = i;
		if (best < 0)
			best = 0;
		units[best] += left > 0 ? 1 : -1;
		rest[best] += left > 0 ? -1 : 1;
		left += left > 0 ? -1 : 1;
	}
	pfree(rest);
}
