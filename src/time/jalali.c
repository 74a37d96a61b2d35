/*
 * jalali.c
 *	  The Solar Hijri (Jalali) calendar and the Gregorian one, in integers.
 *
 * The Jalali year begins on the day of the spring equinox in Tehran.  A cycle
 * of 33 years with 8 leap years follows the equinox so closely that it gives
 * every New Year's Day of 1178 to 1634; outside those years sources differ,
 * and the functions on SQL level refuse.  The rules used here are defined for
 * every year, so that a calendar can be compiled beyond.
 */
#include "postgres.h"

#include <math.h>

#include "time/jalali.h"

/* days from the notional 1 Farvardin of year 1 to 2000-01-01 */
#define JALALI_EPOCH 503225
/* days from 0000-03-01 of the proleptic Gregorian calendar to 2000-01-01 */
#define GREGORIAN_EPOCH 730425

static int32
floor_quotient(int32 a, int32 b)
{
	int32		q = a / b;

	return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

/* Days before 1 Farvardin of a year, counted from that of year 1. */
static int32
days_before_year(int year)
{
	return 365 * (year - 1) + floor_quotient(8 * year + 21, 33);
}

bool
crm_jalali_is_leap(int year)
{
	return days_before_year(year + 1) - days_before_year(year) == 366;
}

int
crm_jalali_month_length(int year, int month)
{
	if (month <= 6)
		return 31;
	if (month <= 11)
		return 30;
	return crm_jalali_is_leap(year) ? 30 : 29;
}

int32
crm_jalali_to_days(int year, int month, int day)
{
	int			before_month = (month <= 7) ? 31 * (month - 1) : 30 * (month - 1) + 6;

	return days_before_year(year) + before_month + day - 1 - JALALI_EPOCH;
}

void
crm_jalali_from_days(int32 days, int *year, int *month, int *day)
{
	int32		n = days + JALALI_EPOCH;
	/* 33 years are 12053 days: the guess is at most a year off */
	int			y = (int) floor(n * 33.0 / 12053.0) + 1;
	int			d;

	while (days_before_year(y) > n)
		y--;
	while (days_before_year(y + 1) <= n)
		y++;
	d = n - days_before_year(y);
	*year = y;
	if (d < 186)
	{
		*month = d / 31 + 1;
		*day = d % 31 + 1;
	}
	else
	{
		*month = (d - 186) / 30 + 7;
		*day = (d - 186) % 30 + 1;
	}
}

/*
 * Months later or earlier; the day stays, or becomes the last one of a shorter
 * month, as PostgreSQL does it with intervals.
 */
int32
crm_jalali_months_later(int32 days, int32 months)
{
	int			year,
				month,
				day;
	int64		n;

	crm_jalali_from_days(days, &year, &month, &day);
	n = (int64) year * 12 + (month - 1) + months;
	year = (int) (n >= 0 ? n / 12 : -((11 - n) / 12));
	month = (int) (n - (int64) year * 12) + 1;
	if (day > crm_jalali_month_length(year, month))
		day = crm_jalali_month_length(year, month);
	return crm_jalali_to_days(year, month, day);
}

/*
 * The week of a day, and the year that week belongs to.  Weeks begin on
 * Saturday; week 1 is the one with 1 Farvardin in it (CLDR's rule for Iran).
 */
int
crm_jalali_week_number(int32 days, int *week_year)
{
	int			year,
				month,
				day;
	int32		saturday = days - crm_days_since_saturday(days);
	int32		first;

	/* the Friday of the week tells the year: 1 Farvardin is not after it */
	crm_jalali_from_days(saturday + 6, &year, &month, &day);
	first = crm_jalali_to_days(year, 1, 1);
	*week_year = year;
	return (saturday - (first - crm_days_since_saturday(first))) / 7 + 1;
}

int
crm_gregorian_month_length(int year, int month)
{
	static const int length[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return length[month - 1];
}

int32
crm_gregorian_to_days(int year, int month, int day)
{
	int			y = (month > 2) ? year : year - 1;
	int			m = (month > 2) ? month - 3 : month + 9;	/* March = 0 */

	return 365 * y + floor_quotient(y, 4) - floor_quotient(y, 100) + floor_quotient(y, 400) +
		(153 * m + 2) / 5 + day - 1 - GREGORIAN_EPOCH;
}

void
crm_gregorian_from_days(int32 days, int *year, int *month, int *day)
{
	int32		n = days + GREGORIAN_EPOCH;
	int32		era = floor_quotient(n, 146097);
	int32		doe = n - era * 146097;
	int32		yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int32		doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int32		m = (5 * doy + 2) / 153;

	*day = doy - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = yoe + era * 400 + (*month <= 2 ? 1 : 0);
}

int
crm_weekday(int32 days)
{
	/* 2000-01-01 was a Saturday */
	int32		w = (days + 5) % 7;

	return w < 0 ? w + 7 : w;
}

/* 0 on Saturday, 6 on Friday */
int
crm_days_since_saturday(int32 days)
{
	return (crm_weekday(days) + 2) % 7;
}
