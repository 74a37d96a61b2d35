/*
 * recurrence.c
 *	  When something recurs: a rule expanded to instants.
 *
 * A rule is expanded period by period: days, weeks, months or years, in steps
 * of its interval.  Of each period all days are tried, which are 366 at most;
 * BYSETPOS then chooses among those that fit.  Everything happens on the wall
 * clock, and only the result is turned into an instant: a meeting at nine stays
 * at nine when the clocks change.  A time that the clocks skip is the one that
 * would have been read without the change; of a time that comes twice it is
 * the first (RFC 5545 3.3.5).
 *
 * The rule alone says when: the start is an occurrence only where it fits.
 */
#include "postgres.h"

#include "time/jalali.h"
#include "time/recurrence.h"

static void
split_day(const RecurrenceRule *rule, int32 date, int *year, int *month, int *day)
{
	if (rule->jalali)
		crm_jalali_from_days(date, year, month, day);
	else
		crm_gregorian_from_days(date, year, month, day);
}

static int32
join_day(const RecurrenceRule *rule, int year, int month, int day)
{
	return rule->jalali ? crm_jalali_to_days(year, month, day) : crm_gregorian_to_days(year,
																					   month, day);
}

static int
month_length(const RecurrenceRule *rule, int year, int month)
{
	return rule->jalali ? crm_jalali_month_length(year, month) :
		crm_gregorian_month_length(year, month);
}

/* The first and the last civil day that are tried. */
static void
range_of(const RecurrenceRule *rule, int32 *first, int32 *last)
{
	if (rule->jalali)
	{
		*first = crm_jalali_to_days(CRM_JALALI_FIRST_YEAR, 1, 1);
		*last = crm_jalali_to_days(CRM_JALALI_LAST_YEAR + 1, 1, 1) - 1;
	}
	else
	{
		*first = CRM_CALENDAR_FIRST_DAY;
		*last = CRM_CALENDAR_LAST_DAY;
	}
}

static int
days_into_week(const RecurrenceRule *rule, int32 date)
{
	return (crm_weekday(date) - rule->week_start + 7) % 7;
}

static bool
names_days(const RecurrenceRule *rule)
{
	return rule->weekdays != 0 || rule->any_nth || rule->month_days != 0 ||
		rule->month_days_back != 0;
}

/* Does BYDAY take a day?  Numbers count within first to last. */
static bool
weekday_fits(const RecurrenceRule *rule, int32 date, int32 first, int32 last)
{
	int			w = crm_weekday(date);

	if (rule->weekdays == 0 && !rule->any_nth)
		return true;
	if (rule->weekdays & (1 << w))
		return true;
	return rule->any_nth && ((rule->nth[w] >> ((date - first) / 7 + 1)) & 1 ||
							 (rule->nth_back[w] >> ((last - date) / 7 + 1)) & 1);
}

/*
 * Days of the month that a month of that length takes: SKIP=BACKWARD moves
 * those it lacks to its last day.
 */
static bool
month_day_fits(const RecurrenceRule *rule, uint32 wanted, int day, int length)
{
	if ((wanted >> day) & 1)
		return true;
	if (day <= length && (rule->month_days_back >> (length - day + 1)) & 1)
		return true;
	return rule->skip == RULE_BACKWARD && rule->frequency >= RULE_MONTHLY && day == length &&
		day < 31 && (wanted >> (day + 1)) != 0;
}

static void
add_recurrence_day(RecurrenceScan *scan, int32 date)
{
	/* a day moved forward may be one that the next month has anyway */
	if (scan->ndays == 0 || scan->days[scan->ndays - 1] < date)
		scan->days[scan->ndays++] = date;
}

/* Days of one month; numbers of BYDAY count within it, or within its year. */
static void
add_month(RecurrenceScan *scan, int year, int month, bool within_year)
{
	const RecurrenceRule *rule = scan->rule;
	int			length = month_length(rule, year, month);
	int32		first = join_day(rule, year, month, 1);
	int32		from = within_year ? join_day(rule, year, 1, 1) : first;
	int32		to = within_year ? join_day(rule, year, 12, month_length(rule, year, 12)) :
		first + length - 1;
	uint32		wanted = rule->month_days;

	if (rule->months != 0 && !(rule->months & (1 << month)))
		return;
	if (!names_days(rule))
	{
		int			y,
					m,
					d;

		split_day(rule, scan->day, &y, &m, &d);
		if (rule->frequency == RULE_YEARLY && rule->months == 0 && m != month)
			return;
		wanted = (uint32) 1 << d;
	}
	for (int d = 1; d <= length; d++)
		if ((wanted == 0 && rule->month_days_back == 0) || month_day_fits(rule, wanted, d, length))
			if (weekday_fits(rule, first + d - 1, from, to))
				add_recurrence_day(scan, first + d - 1);
	/* a day it lacks, moved into the next month */
	if (rule->skip == RULE_FORWARD && length < 31 && (wanted >> (length + 1)) != 0 &&
		weekday_fits(rule, first + length, first + length, PG_INT32_MAX))
		add_recurrence_day(scan, first + length);
}

static void
add_week(RecurrenceScan *scan, int32 first)
{
	const RecurrenceRule *rule = scan->rule;
	uint32		wanted = rule->weekdays != 0 ? rule->weekdays :
		(uint32) 1 << crm_weekday(scan->day);

	for (int i = 0; i < 7; i++)
	{
		int			year,
					month,
					day;

		if (!(wanted & (1 << crm_weekday(first + i))))
			continue;
		split_day(rule, first + i, &year, &month, &day);
		if (rule->months == 0 || rule->months & (1 << month))
			add_recurrence_day(scan, first + i);
	}
}

static void
add_single_day(RecurrenceScan *scan, int32 date)
{
	const RecurrenceRule *rule = scan->rule;
	int			year,
				month,
				day;

	split_day(rule, date, &year, &month, &day);
	if (rule->months != 0 && !(rule->months & (1 << month)))
		return;
	if ((rule->month_days != 0 || rule->month_days_back != 0) &&
		!month_day_fits(rule, rule->month_days, day, month_length(rule, year, month)))
		return;
	if (weekday_fits(rule, date, date, date))
		add_recurrence_day(scan, date);
}

/* BYSETPOS: of the days of a period, those at some places. */
static void
keep_positions(RecurrenceScan *scan)
{
	int			kept = 0;
	int			n = scan->ndays;

	for (int i = 0; i < n; i++)
		if (scan->rule->position[i] || scan->rule->position_back[n - 1 - i])
			scan->days[kept++] = scan->days[i];
	scan->ndays = kept;
}

/* The number of the period that holds a day; 0 holds the start. */
static int64
period_of(const RecurrenceScan *scan, int32 date)
{
	const RecurrenceRule *rule = scan->rule;
	int			year,
				month,
				day,
				start_year,
				start_month;

	split_day(rule, scan->day, &start_year, &start_month, &day);
	split_day(rule, date, &year, &month, &day);
	switch (rule->frequency)
	{
		case RULE_DAILY:
			return crm_floor_div((int64) date - scan->day, rule->interval);
		case RULE_WEEKLY:
			return crm_floor_div((int64) date - (scan->day - days_into_week(rule, scan->day)),
								 7 * rule->interval);
		case RULE_MONTHLY:
			return crm_floor_div((year - start_year) * 12 + month - start_month, rule->interval);
		case RULE_YEARLY:
			break;
	}
	return crm_floor_div(year - start_year, rule->interval);
}

/*
 * Begin with the instants of a rule from start on, of which those before from
 * are not wanted.  False: the start lies outside of what the calendar of the
 * rule knows.
 */
bool
crm_recurrence_begin(RecurrenceScan *scan, const RecurrenceRule *rule, CalZoneStretch stretch,
					 void *zone,
					 int64 start, int64 from)
{
	int64		end;
	int64		secs = crm_floor_div(start, CRM_USECS);
	int64		wall = secs + stretch(zone, secs, &end);
	int64		day = crm_floor_div(wall, CRM_DAY_SECONDS);
	int32		first,
				last;

	range_of(rule, &first, &last);
	if (day < first || day > last)
		return false;
	memset(scan, 0, offsetof(RecurrenceScan, days));
	scan->rule = rule;
	scan->stretch = stretch;
	scan->zone = zone;
	scan->start = start;
	scan->day = (int32) day;
	scan->clock = (wall - day * CRM_DAY_SECONDS) * CRM_USECS + (start - secs * CRM_USECS);
	scan->last = PG_INT64_MIN;
	scan->last_period = period_of(scan, last);
	if (rule->until_kind != RULE_FOREVER)
	{
		int64		until = rule->until_kind == RULE_UNTIL_DAY ? rule->until :
			crm_floor_div(rule->until, rule->until_kind == RULE_UNTIL_WALL ? CRM_DAY_SECONDS :
						  CRM_DAY_SECONDS * CRM_USECS) + 1;

		if (until < scan->day)
			scan->last_period = -1;
		else if (until < last)
			scan->last_period = period_of(scan, (int32) until);
	}
	/* what a count has left can only be known by counting */
	if (rule->count == 0 && from > start)
	{
		int64		skip_to = crm_floor_div(from, CRM_DAY_SECONDS * CRM_USECS) - 2;

		if (skip_to > last)
			scan->last_period = -1;
		else if (skip_to > day)
			scan->period = Max(period_of(scan, (int32) skip_to) - 1, 0);
	}
	return true;
}

/* Find the days of the next period, which may be none; false: there is no more. */
bool
crm_recurrence_period(RecurrenceScan *scan)
{
	const RecurrenceRule *rule = scan->rule;
	int64		step = scan->period * rule->interval;
	int			year,
				month,
				day;

	if (scan->period > scan->last_period || (rule->count > 0 && scan->counted >= rule->count))
		return false;
	scan->period++;
	scan->ndays = scan->next_day = 0;
	split_day(rule, scan->day, &year, &month, &day);
	switch (rule->frequency)
	{
		case RULE_DAILY:
			add_single_day(scan, scan->day + (int32) step);
			break;
		case RULE_WEEKLY:
			add_week(scan, scan->day - days_into_week(rule, scan->day) + 7 * (int32) step);
			break;
		case RULE_MONTHLY:
			step += (int64) year * 12 + month - 1;
			add_month(scan, (int) (step / 12), (int) (step % 12) + 1, false);
			break;
		case RULE_YEARLY:
			for (month = 1; month <= 12; month++)
				add_month(scan, year + (int) step, month, rule->months == 0);
			break;
	}
	if (rule->any_position)
		keep_positions(scan);
	return true;
}

/* The instant at which the wall clock reads the time of the series on a day. */
static int64
recurrence_instant(const RecurrenceScan *scan, int32 date)
{
	int64		wall = (int64) date * CRM_DAY_SECONDS * CRM_USECS + scan->clock;
	/* no zone is further from UTC than that */
	int64		at = crm_floor_div(wall, CRM_USECS) - 30 * 3600;

	for (;;)
	{
		int64		end;
		int32		offset = scan->stretch(scan->zone, at, &end);

		/*
		 * The time is read in this stretch; or it is skipped at its end, and
		 * then the offset before the change tells which instant is meant.
		 */
		if (end == PG_INT64_MAX || wall - offset * CRM_USECS < end * CRM_USECS)
			return wall - offset * CRM_USECS;
		{
			int64		next_end;
			int32		next = scan->stretch(scan->zone, end, &next_end);

			if (wall - next * CRM_USECS < end * CRM_USECS)
				return wall - offset * CRM_USECS;
		}
		at = end;
	}
}

/* Is an instant after the end that the rule says? */
static bool
past_until(const RecurrenceScan *scan, int32 date, int64 at)
{
	switch (scan->rule->until_kind)
	{
		case RULE_FOREVER:
			break;
		case RULE_UNTIL_DAY:
			return date > scan->rule->until;
		case RULE_UNTIL_WALL:
			return (int64) date * CRM_DAY_SECONDS * CRM_USECS + scan->clock >
				scan->rule->until * CRM_USECS;
		case RULE_UNTIL_INSTANT:
			return at > scan->rule->until;
	}
	return false;
}

/*
 * The next instant of the period; false: there is none left in it.  Instants
 * come in order, each once, none before the start.
 */
bool
crm_recurrence_take(RecurrenceScan *scan, int64 *at)
{
	int32		first,
				last;

	range_of(scan->rule, &first, &last);
	while (scan->next_day < scan->ndays)
	{
		int32		date = scan->days[scan->next_day++];

		if (date < scan->day || date > last)
			continue;
		*at = recurrence_instant(scan, date);
		/* where clocks skip a day, two days may mean the same instant */
		if (*at < scan->start || *at <= scan->last || past_until(scan, date, *at))
			continue;
		if (scan->rule->count > 0 && ++scan->counted > scan->rule->count)
			return false;
		scan->last = *at;
		return true;
	}
	return false;
}
