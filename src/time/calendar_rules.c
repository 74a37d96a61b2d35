/*
 * calendar_rules.c
 *	  Rules of a calendar: what is open on a civil day, and what the wall clock
 *	  reads.
 */
#include "postgres.h"

#include "time/calendar.h"
#include "time/jalali.h"

static const CalDay *
find_day(const CalDay *days, int n, int32 date)
{
	int			lo = 0;
	int			hi = n;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (days[mid].date < date)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo < n && days[lo].date == date) ? &days[lo] : NULL;
}

static bool
contains_date(const int32 *dates, int n, int32 date)
{
	int			lo = 0;
	int			hi = n;

	while (lo < hi)
	{
		int			mid = (lo + hi) / 2;

		if (dates[mid] < date)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && dates[lo] == date;
}

/* Is a civil day a holiday by one of the yearly rules? */
static bool
yearly_holiday(const CalRules *rules, int32 date)
{
	for (int i = 0; i < rules->nyearly; i++)
	{
		const CalYearly *r = &rules->yearly[i];

		if (r->nexcept > 0 && contains_date(r->except, r->nexcept, date))
			continue;
		for (int k = 0; k < r->length; k++)
		{
			int			year,
						month,
						day;

			if (r->jalali)
				crm_jalali_from_days(date - k, &year, &month, &day);
			else
				crm_gregorian_from_days(date - k, &year, &month, &day);
			if (month == r->month && day == r->day &&
				year >= r->from_year && year <= r->to_year)
				return true;
		}
	}
	return false;
}

/*
 * The open spans of a civil day before breaks: a special day's own, else
 * nothing on a holiday, else the weekday's.
 */
static const CalDay *
day_hours(const CalRules *rules, int32 date)
{
	static const CalDay closed = {0, 0, NULL};
	const CalDay *day = find_day(rules->special, rules->nspecial, date);

	if (day != NULL)
		return day;
	day = &rules->weekly[crm_weekday(date)];
	if (day->nspans == 0)
		return day;
	if (contains_date(rules->holidays, rules->nholidays, date) ||
		yearly_holiday(rules, date))
		return &closed;
	return day;
}

/*
 * Call emit for each open span of a civil day, in order, breaks taken out.
 * Returns whether there was any.
 */
bool
crm_calendar_day_spans(const CalRules *rules, int32 date,
					   void (*emit) (void *arg, int32 from, int32 to), void *arg)
{
	const CalDay *day = day_hours(rules, date);
	const CalDay *off;
	bool		any = false;

	if (day->nspans == 0)
		return false;
	off = find_day(rules->breaks, rules->nbreaks, date);
	for (int i = 0; i < day->nspans; i++)
	{
		int32		from = day->spans[i].from;
		int32		to = day->spans[i].to;

		for (int j = 0; off != NULL && j < off->nspans && from < to; j++)
		{
			const CalSpan *b = &off->spans[j];

			if (b->to <= from)
				continue;
			if (b->from >= to)
				break;
			if (b->from > from)
			{
				any = true;
				if (emit)
					emit(arg, from, b->from);
			}
			from = b->to;
		}
		if (from < to)
		{
			any = true;
			if (emit)
				emit(arg, from, to);
		}
	}
	return any;
}

/* Can anything ever be open by these rules? */
bool
crm_calendar_rules_open(const CalRules *rules)
{
	if (rules->has_weekly)
		return true;
	for (int i = 0; i < rules->nspecial; i++)
		if (crm_calendar_day_spans(rules, rules->special[i].date, NULL, NULL))
			return true;
	return false;
}

/* The first instant of a civil day, or of the next that the zone did not skip. */
int64
crm_calendar_date_start(const CalRules *rules, int32 date)
{
	int64		wall = date * INT64CONST(86400);
	int64		at = wall - 30 * 3600;	/* before any zone's midnight */

	for (;;)
	{
		int64		end;
		int32		offset = rules->stretch(rules->zone, at, &end);

		if (wall - offset < end)
			return Max(wall - offset, at) * CRM_USECS;
		at = end;
	}
}

/* What the wall clock reads at an instant: civil day and second. */
int32
crm_calendar_local(const CalRules *rules, int64 at, int32 *second)
{
	int64		secs = crm_floor_div(at, CRM_USECS);
	int64		end;
	int64		wall = secs + rules->stretch(rules->zone, secs, &end);
	int64		date = crm_floor_div(wall, CRM_DAY_SECONDS);

	*second = (int32) (wall - date * CRM_DAY_SECONDS);
	return (int32) date;
}
