/*
 * recurrence.h
 *	  Recurrence rules of RFC 5545 (iCalendar), with the calendars of RFC 7529.
 *
 * Wall clock times are seconds since 2000-01-01 00:00 of the zone; instants
 * and civil days are those of calendar.h.
 */
#ifndef CRM_RECURRENCE_H
#define CRM_RECURRENCE_H

#include "time/calendar.h"

typedef enum RuleFrequency
{
	RULE_DAILY,
	RULE_WEEKLY,
	RULE_MONTHLY,
	RULE_YEARLY
} RuleFrequency;

/* What becomes of a day that a month does not have. */
typedef enum RuleSkip
{
	RULE_OMIT,
	RULE_BACKWARD,				/* the last day of that month */
	RULE_FORWARD				/* the first day of the next one */
} RuleSkip;

typedef enum RuleUntil
{
	RULE_FOREVER,
	RULE_UNTIL_DAY,				/* a civil day, which counts */
	RULE_UNTIL_WALL,			/* a wall clock time */
	RULE_UNTIL_INSTANT
} RuleUntil;

/* the most days of a period: a year of 366 days and one day moved forward */
#define RULE_PERIOD_DAYS 367
#define RULE_MAX_INTERVAL 10000
#define RULE_MAX_COUNT 1000000

typedef struct RecurrenceRule
{
	RuleFrequency frequency;
	int			interval;
	int			count;			/* 0: no limit */
	RuleUntil	until_kind;
	int64		until;			/* days, seconds or microseconds, by its kind */
	bool		jalali;
	RuleSkip	skip;
	int			week_start;		/* 0 = Monday */
	uint32		months;			/* bit m: month m; 0: all */
	uint32		month_days;		/* bit d: day d from the first */
	uint32		month_days_back;	/* bit d: day d from the last */
	uint32		weekdays;		/* bit w: every such day; 0 = Monday */
	uint64		nth[7];			/* bit n: the n-th such day of month or year */
	uint64		nth_back[7];	/* the same from the end */
	bool		any_nth;
	bool		any_position;
	bool		position[RULE_PERIOD_DAYS];	/* BYSETPOS; [0] is position 1 */
	bool		position_back[RULE_PERIOD_DAYS];
} RecurrenceRule;

/* What is wrong with the text of a rule; strings are static, part points into it. */
typedef struct RuleFault
{
	const char *part;
	int			part_length;
	const char *why;
	const char *hint;			/* or NULL */
} RuleFault;

/* Where an expansion stands. */
typedef struct RecurrenceScan
{
	const RecurrenceRule *rule;
	CalZoneStretch stretch;
	void	   *zone;
	int64		start;			/* the first instant of the series, and */
	int32		day;			/* its civil day */
	int64		clock;			/* its time of day, in microseconds */
	int64		period;			/* the next one; 0 holds the start */
	int64		last_period;
	int			counted;
	int64		last;			/* the last instant that was given out */
	int			ndays;
	int			next_day;
	int32		days[RULE_PERIOD_DAYS];
} RecurrenceScan;

/* recurrence_read.c */
extern bool crm_recurrence_read(const char *text, int length, RecurrenceRule *rule,
								RuleFault *fault);

/* recurrence.c */
extern bool crm_recurrence_begin(RecurrenceScan *scan, const RecurrenceRule *rule,
								 CalZoneStretch stretch,
								 void *zone, int64 start, int64 from);
extern bool crm_recurrence_period(RecurrenceScan *scan);
extern bool crm_recurrence_take(RecurrenceScan *scan, int64 *at);

#endif							/* CRM_RECURRENCE_H */
