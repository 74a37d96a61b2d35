/*
 * read_date.c
 *	  A date or an instant as exports write it.
 *
 * The text is folded, so that letters and digits of all scripts are one, and
 * cut into the date, which is numbers and words, and the time, which begins at
 * the digits before the first colon.  In which order the numbers stand is what
 * was declared; without that only what can mean one day alone is read.
 */
#include "exchange/values.h"

#include <math.h>

#include "datatype/timestamp.h"

#include "text/text.h"
#include "time/jalali.h"

#define USECS_SECOND INT64CONST(1000000)
#define EXCEL_DAY_ZERO (-36526)	/* 1899-12-30 */
#define FIRST_YEAR 1000
#define LAST_YEAR 9999

static const char *const english_months[12] = {
	"january", "february", "march", "april", "may", "june",
	"july", "august", "september", "october", "november", "december"
};
static const char *const english_days[7] = {
	"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
};

typedef struct DateParts
{
	int			numbers[3];
	int			digits[3];
	int			n;
	int			month;			/* from 1; of a name */
	bool		jalali;			/* the name is that of a Jalali month */
} DateParts;

/* Whether a folded word is a name, or at least three letters of its beginning */
static bool
begins_name(const char *word, int len, const char *name)
{
	return len >= 3 && len <= (int) strlen(name) && pg_strncasecmp(word, name, len) == 0;
}

static bool
equals_folded(const char *word, int len, const char *name)
{
	StringInfoData folded;
	bool		same;

	initStringInfo(&folded);
	crm_fold(name, strlen(name), &folded);
	same = folded.len == len && memcmp(folded.data, word, len) == 0;
	pfree(folded.data);
	return same;
}

static const char *
take_date_word(DateParts *parts, const char *word, int len)
{
	static const char *const fillers[] = {"st", "nd", "rd", "th", "of", "t", "at"};

	for (int i = 0; i < lengthof(fillers); i++)
		if ((int) strlen(fillers[i]) == len && memcmp(fillers[i], word, len) == 0)
			return NULL;
	for (int i = 0; i < 7; i++)
		if (begins_name(word, len, english_days[i]) || equals_folded(word, len,
				crm_jalali_days_fa[i]))
			return NULL;
	if (equals_folded(word, len, "ماه"))
		return NULL;
	for (int i = 0; i < 12; i++)
	{
		bool		english = begins_name(word, len, english_months[i]);

		if (!english && !begins_name(word, len, crm_jalali_months_en[i]) &&
			!equals_folded(word, len, crm_jalali_months_fa[i]))
			continue;
		if (parts->month > 0)
			return "It names two months.";
		parts->month = i + 1;
		parts->jalali = !english;
		return NULL;
	}
	return "It holds a word that is no month.";
}

static const char *
take_date_number(DateParts *parts, const char *p, int len)
{
	if (parts->n == 3)
		return "It holds more than three numbers.";
	if (len > 4)
		return "A number has more than four digits.";
	parts->digits[parts->n] = len;
	parts->numbers[parts->n] = 0;
	for (int i = 0; i < len; i++)
		parts->numbers[parts->n] = parts->numbers[parts->n] * 10 + (p[i] - '0');
	parts->n++;
	return NULL;
}

/* Eight digits in a row, cut by the declared order */
static const char *
take_eight(DateParts *parts, const char *p, CrmDateOrder order)
{
	bool		year_last = order == CRM_DATE_DMY || order == CRM_DATE_MDY;
	const char *fault = take_date_number(parts, p, year_last ? 2 : 4);

	if (fault == NULL)
		fault = take_date_number(parts, p + (year_last ? 2 : 4), 2);
	if (fault == NULL)
		fault = take_date_number(parts, p + (year_last ? 4 : 6), year_last ? 4 : 2);
	return fault;
}

static const char *
take_date(DateParts *parts, const char *p, const char *end, CrmDateOrder order)
{
	while (p < end)
	{
		int			n = 0;
		const char *fault = NULL;

		while (p + n < end && p[n] >= '0' && p[n] <= '9')
			n++;
		if (n == 8 && parts->n == 0)
			fault = take_eight(parts, p, order);
		else if (n > 0)
			fault = take_date_number(parts, p, n);
		else
		{
			while (p + n < end && (IS_HIGHBIT_SET(p[n]) || (p[n] >= 'a' && p[n] <= 'z')))
				n++;
			if (n > 0)
				fault = take_date_word(parts, p, n);
			else if (strchr("/-., ", *p) != NULL)
				n = 1;
			else
				fault = "It holds signs that do not belong to a date.";
		}
		if (fault != NULL)
			return fault;
		p += n;
	}
	return NULL;
}

static bool
is_day(bool jalali, int year, int month, int day)
{
	if (month < 1 || month > 12 || day < 1)
		return false;
	if (jalali)
		return year >= CRM_JALALI_FIRST_YEAR && year <= CRM_JALALI_LAST_YEAR &&
			day <= crm_jalali_month_length(year, month);
	return year >= FIRST_YEAR && year <= LAST_YEAR && day <= crm_gregorian_month_length(year,
			month);
}

static const char *
day_number(bool jalali, int year, int month, int day, int32 *days)
{
	if (!is_day(jalali, year, month, day))
		return "There is no such day.";
	*days = jalali ? crm_jalali_to_days(year, month, day) : crm_gregorian_to_days(year, month, day);
	return NULL;
}

/* Years that only the Jalali calendar has, in exports of today */
static bool
is_jalali_year(int year)
{
	return year >= 1200 && year <= 1599;
}

/* Day and month of two numbers that stand before the year */
static const char *
order_of(CrmDateOrder order, int year, int a, int b, int *day, int *month)
{
	bool		dmy = is_day(false, year, b, a);
	bool		mdy = is_day(false, year, a, b);

	if (order == CRM_DATE_YMD)
		return "The year does not stand first, as is declared.";
	if (order == CRM_DATE_ANY)
	{
		if (dmy && mdy && a != b)
			return "Day and month can be told apart only by a declared order.";
		order = dmy ? CRM_DATE_DMY : CRM_DATE_MDY;
	}
	*day = order == CRM_DATE_DMY ? a : b;
	*month = order == CRM_DATE_DMY ? b : a;
	return NULL;
}

static const char *
date_of_parts(const DateParts *p, CrmDateOrder order, int32 *days)
{
	bool		first = p->digits[0] == 4;
	bool		last = p->n > 0 && p->digits[p->n - 1] == 4;
	int			year;
	int			day = 0;
	int			month = 0;
	const char *fault;

	if (p->n != (p->month > 0 ? 2 : 3))
		return "Day, month and year are needed.";
	if (first == last)
		return first ? "It holds two years." : "The year does not have four digits.";
	year = p->numbers[first ? 0 : p->n - 1];
	if (p->month > 0)
		return day_number(p->jalali, year, p->month, p->numbers[first ? 1 : 0], days);
	if (p->digits[1] > 2)
		return "The year stands between day and month.";
	if (first)
		return day_number(order == CRM_DATE_JALALI || is_jalali_year(year), year, p->numbers[1],
				p->numbers[2], days);
	if (order == CRM_DATE_JALALI || is_jalali_year(year))
		return day_number(true, year, p->numbers[1], p->numbers[0], days);
	fault = order_of(order, year, p->numbers[0], p->numbers[1], &day, &month);
	if (fault != NULL)
		return fault;
	return day_number(false, year, month, day, days);
}

/* A number of at most max digits at *p, which moves on; -1: there is none */
static int
take_digits(const char **p, int max)
{
	int			value = 0;
	int			n = 0;

	while (n < max && **p >= '0' && **p <= '9')
	{
		value = value * 10 + (**p - '0');
		(*p)++;
		n++;
	}
	return n > 0 ? value : -1;
}

/* +03:30, +0330, +03, z, utc, gmt at p, which is all that is left */
static bool
take_zone(const char *p, CrmReadDate *out)
{
	int			sign;
	int			hours;
	int			minutes = 0;

	if (strcmp(p, "z") == 0 || strcmp(p, "utc") == 0 || strcmp(p, "gmt") == 0)
	{
		out->fixed = true;
		return true;
	}
	if (strncmp(p, "utc", 3) == 0 || strncmp(p, "gmt", 3) == 0)
		p += 3;
	if (*p != '+' && *p != '-')
		return false;
	sign = *p++ == '-' ? -1 : 1;
	hours = take_digits(&p, 2);
	if (*p == ':')
		p++;
	if (*p != '\0')
		minutes = take_digits(&p, 2);
	if (*p != '\0' || hours < 0 || hours > 15 || minutes < 0 || minutes > 59)
		return false;
	out->fixed = true;
	out->east = sign * (hours * 3600 + minutes * 60);
	return true;
}

static const char *
take_time(const char *p, CrmReadDate *out)
{
	int			hour = take_digits(&p, 2);
	int			minute;
	int			second = 0;
	int64		micros = 0;

	if (*p++ != ':' || (minute = take_digits(&p, 2)) < 0)
		return "The time cannot be read.";
	if (*p == ':')
	{
		p++;
		second = take_digits(&p, 2);
	}
	if (*p == '.' || (*p == ',' && p[1] >= '0' && p[1] <= '9'))
	{
		int64		unit = USECS_SECOND / 10;

		for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10)
			micros += (*p - '0') * unit;
	}
	p += strspn(p, " ");
	if ((*p == 'a' || *p == 'p') && (p[1] == 'm' || strncmp(p + 1, ".m.", 3) == 0))
	{
		if (hour < 1 || hour > 12)
			return "The hour does not go with a.m. or p.m.";
		hour = hour % 12 + (*p == 'p' ? 12 : 0);
		p += p[1] == 'm' ? 2 : 4;
		p += strspn(p, " ");
	}
	if (hour < 0 || hour > 23 || minute > 59 || second < 0 || second > 59)
		return "There is no such time of day.";
	if (*p != '\0' && !take_zone(p, out))
		return "What follows the time cannot be read.";
	out->local += (hour * 3600 + minute * 60 + second) * USECS_SECOND + micros;
	return NULL;
}

/* Seconds or milliseconds since 1970, or days since 1899-12-30 */
static const char *
take_count(const char *p, CrmDateOrder order, CrmReadDate *out)
{
	char	   *end;
	double		value = strtod(p, &end);
	double		unit = order == CRM_DATE_EPOCH ? 1e6 : order == CRM_DATE_EPOCH_MS ? 1e3 : 864e8;
	double		limit = 2.5e17;	/* about the year 9900, in microseconds */

	if (strspn(p, "0123456789.-") != strlen(p) || *end != '\0' || end == p)
		return "It is not a number, as is declared.";
	if (!(value * unit > -limit && value * unit < limit))
		return "There is no such day.";
	/* whole numbers are exact in a double, and so is what is written to the microsecond */
	out->local = (int64) rint(value * unit);
	if (order == CRM_DATE_EXCEL)
		out->local += (int64) EXCEL_DAY_ZERO * 86400 * USECS_SECOND;
	else
	{
		out->local -= (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) 86400 * USECS_SECOND;
		out->fixed = true;
	}
	return NULL;
}

/* Reads a date into *out and returns NULL, or says why it cannot be read. */
const char *
crm_date_read(const char *in, int len, CrmDateOrder order, CrmReadDate *out)
{
	StringInfoData folded;
	DateParts	parts = {0};
	const char *colon;
	const char *end;
	const char *fault;
	int32		days;

	memset(out, 0, sizeof(*out));
	initStringInfo(&folded);
	crm_fold(in, len, &folded);
	if (order >= CRM_DATE_EPOCH)
	{
		fault = take_count(folded.data, order, out);
		pfree(folded.data);
		return fault;
	}
	colon = strchr(folded.data, ':');
	end = folded.data + folded.len;
	if (colon != NULL)
		for (end = colon; end > folded.data && end > colon - 2 && end[-1] >= '0' &&
				end[-1] <= '9'; end--)
			;
	fault = take_date(&parts, folded.data, end, order);
	if (fault == NULL)
		fault = date_of_parts(&parts, order, &days);
	if (fault == NULL)
	{
		out->local = (int64) days * 86400 * USECS_SECOND;
		if (colon != NULL)
			fault = take_time(end, out);
	}
	pfree(folded.data);
	return fault;
}
