/*
 * calendar.h
 *	  Business calendars: rules, compiled open hours, arithmetic on them.
 *
 * Instants are microseconds since 2000-01-01 00:00 UTC (TimestampTz), civil
 * days are counted from 2000-01-01 (DateADT), times of day are seconds.
 */
#ifndef CRM_CALENDAR_H
#define CRM_CALENDAR_H

#define CRM_DAY_SECONDS 86400
#define CRM_USECS INT64CONST(1000000)

/* instants a calendar can answer for: years 1 to 9999 */
#define CRM_CALENDAR_FIRST_DAY (-730119)
#define CRM_CALENDAR_LAST_DAY 2921939
#define CRM_CALENDAR_BEGIN (CRM_CALENDAR_FIRST_DAY * INT64CONST(86400) * CRM_USECS)
#define CRM_CALENDAR_END ((CRM_CALENDAR_LAST_DAY + 1) * INT64CONST(86400) * CRM_USECS)

/* Open or closed time of a civil day: [from, to) on its wall clock. */
typedef struct CalSpan
{
	int32		from;
	int32		to;
} CalSpan;

typedef struct CalDay
{
	int32		date;			/* of a dated day; unused for weekdays */
	int			nspans;
	CalSpan    *spans;			/* sorted, apart from each other */
} CalDay;

/* A holiday that comes back every year, on a date of one of two calendars. */
typedef struct CalYearly
{
	bool		jalali;
	int			month;
	int			day;
	int			length;			/* days, from that date on */
	int			from_year;		/* of the same calendar, inclusive */
	int			to_year;
	int			nexcept;
	int32	   *except;			/* civil days on which it is switched off */
} CalYearly;

/*
 * The constant-offset stretch of a zone that holds an instant (seconds since
 * 2000-01-01 UTC): its offset east of UTC, and its end (PG_INT64_MAX: none).
 */
typedef int32 (*CalZoneStretch) (void *zone, int64 at, int64 *end);

/* One version of a calendar's rules. */
typedef struct CalRules
{
	int64		valid_from;		/* instants */
	int64		valid_to;
	CalZoneStretch stretch;
	void	   *zone;
	CalDay		weekly[7];		/* 0 = Monday; overnight spans already split */
	bool		has_weekly;
	int			nspecial;
	CalDay	   *special;		/* sorted by date */
	int			nbreaks;
	CalDay	   *breaks;			/* sorted by date */
	int			nholidays;
	int32	   *holidays;		/* sorted */
	int			nyearly;
	CalYearly  *yearly;
} CalRules;

typedef struct Calendar Calendar;

typedef enum CalAnswer
{
	CAL_OK,
	CAL_OUT_OF_RANGE,			/* an instant given lies outside the years 1 to 9999 */
	CAL_NO_OPEN_TIME,			/* there is no (more) open time in that direction */
	CAL_NEVER_CLOSES
} CalAnswer;

static inline int64
crm_floor_div(int64 a, int64 b)
{
	int64		q = a / b;

	return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

/* calendar_rules.c */
extern bool crm_calendar_day_spans(const CalRules *rules, int32 date,
								   void (*emit) (void *arg, int32 from, int32 to), void *arg);
extern bool crm_calendar_rules_open(const CalRules *rules);
extern int64 crm_calendar_date_start(const CalRules *rules, int32 date);
extern int32 crm_calendar_local(const CalRules *rules, int64 at, int32 *second);

/* calendar.c */
extern Calendar *crm_calendar_create(MemoryContext context, int nrules, CalRules *rules);
extern CalAnswer crm_calendar_elapsed(Calendar *cal, int64 from, int64 to, int64 *usecs);
extern CalAnswer crm_calendar_add(Calendar *cal, int64 start, int64 usecs, int64 *result);
extern CalAnswer crm_calendar_is_open(Calendar *cal, int64 at, bool *open);
extern CalAnswer crm_calendar_next_open(Calendar *cal, int64 at, int64 *result);
extern CalAnswer crm_calendar_prev_open(Calendar *cal, int64 at, int64 *result);
extern CalAnswer crm_calendar_next_close(Calendar *cal, int64 at, int64 *result);
extern CalAnswer crm_calendar_add_days(Calendar *cal, int64 start, int32 days, int64 *result);

#endif							/* CRM_CALENDAR_H */
