/*
 * recurrence_read.c
 *	  Reads the text of a recurrence rule.
 *
 * FREQ=MONTHLY;BYDAY=-1FR becomes bits: which months, which days of them, the
 * how manyeth Friday.  Values said twice count once, so a rule needs no more
 * room than its bits.  What cannot be kept is refused here, with the part that
 * is wrong: nothing of a rule is passed over in silence.
 */
#include "postgres.h"

#include "time/jalali.h"
#include "time/recurrence.h"

typedef struct RuleReader
{
	RecurrenceRule *rule;
	RuleFault  *fault;
	const char *at;				/* of the value that is read */
	const char *end;
	uint32		seen;			/* parts, by their place in the list below */
} RuleReader;

static const char *const weekday_codes[] = {"MO", "TU", "WE", "TH", "FR", "SA", "SU"};

static bool
wrong(RuleReader *r, const char *why, const char *hint)
{
	r->fault->why = why;
	r->fault->hint = hint;
	return false;
}

/* Is a stretch of text a word, in letters of any case? */
static bool
is_word(const char *text, int length, const char *word)
{
	return length == (int) strlen(word) && pg_strncasecmp(text, word, length) == 0;
}

/* The place of the rest of the value in a list of words, or -1. */
static int
one_of(RuleReader *r, const char *const *words, int nwords)
{
	for (int i = 0; i < nwords; i++)
		if (is_word(r->at, r->end - r->at, words[i]))
			return i;
	return -1;
}

/* Digits at the reading point, at most seven of them; false where there are none. */
static bool
read_digits(RuleReader *r, int *number)
{
	const char *first = r->at;

	*number = 0;
	while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - first < 7)
		*number = *number * 10 + (*r->at++ - '0');
	return r->at > first;
}

/* A number with or without a sign, 1 to max; negative: from the end. */
static bool
read_position(RuleReader *r, int max, int *number)
{
	bool		back = r->at < r->end && *r->at == '-';

	if (r->at < r->end && (*r->at == '-' || *r->at == '+'))
		r->at++;
	if (!read_digits(r, number) || *number < 1 || *number > max)
		return false;
	if (back)
		*number = -*number;
	return true;
}

static bool
read_whole(RuleReader *r, int max, int *number)
{
	return read_digits(r, number) && r->at == r->end && *number >= 1 && *number <= max;
}

static bool
read_frequency(RuleReader *r)
{
	static const char *const words[] = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"};
	int			n = one_of(r, words, lengthof(words));

	if (n < 0)
		return wrong(r, "FREQ is DAILY, WEEKLY, MONTHLY or YEARLY", NULL);
	r->rule->frequency = (RuleFrequency) n;
	return true;
}

static bool
read_interval(RuleReader *r)
{
	if (!read_whole(r, RULE_MAX_INTERVAL, &r->rule->interval))
		return wrong(r, "INTERVAL is a whole number, 1 to 10000", NULL);
	return true;
}

static bool
read_count(RuleReader *r)
{
	if (!read_whole(r, RULE_MAX_COUNT, &r->rule->count))
		return wrong(r, "COUNT is a whole number, 1 to 1000000", NULL);
	return true;
}

static int
read_two_digits(const char *text)
{
	return (text[0] - '0') * 10 + text[1] - '0';
}

/* 20261231, 20261231T170000 or 20261231T170000Z, always of the Gregorian calendar (RFC 7529) */
static bool
read_until(RuleReader *r)
{
	int			length = r->end - r->at;
	int			year,
				month,
				day;
	bool		good = length == 8 || length == 15 || length == 16;

	for (int i = 0; good && i < length; i++)
		good = i == 8 ? (r->at[i] == 'T' || r->at[i] == 't') :
			i == 15 ? (r->at[i] == 'Z' || r->at[i] == 'z') :
			(r->at[i] >= '0' && r->at[i] <= '9');
	if (!good)
		return wrong(r,
					 "UNTIL is a date such as 20261231, or a time such as 20261231T170000 or, in UTC, 20261231T170000Z", NULL);
	year = read_two_digits(r->at) * 100 + read_two_digits(r->at + 2);
	month = read_two_digits(r->at + 4);
	day = read_two_digits(r->at + 6);
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > crm_gregorian_month_length(year,
																						   month))
		return wrong(r, "there is no such day", NULL);
	r->rule->until = crm_gregorian_to_days(year, month, day);
	r->rule->until_kind = RULE_UNTIL_DAY;
	if (length > 8)
	{
		int			hour = read_two_digits(r->at + 9);
		int			minute = read_two_digits(r->at + 11);
		int			second = read_two_digits(r->at + 13);

		if (hour > 23 || minute > 59 || second > 60)
			return wrong(r, "there is no such time of day", NULL);
		r->rule->until = r->rule->until * 86400 + hour * 3600 + minute * 60 + second;
		r->rule->until_kind = RULE_UNTIL_WALL;
		if (length == 16)
		{
			r->rule->until *= CRM_USECS;
			r->rule->until_kind = RULE_UNTIL_INSTANT;
		}
	}
	return true;
}

static bool
read_weekday(RuleReader *r, int *weekday)
{
	for (int i = 0; i < 7; i++)
		if (r->end - r->at >= 2 && pg_strncasecmp(r->at, weekday_codes[i], 2) == 0)
		{
			r->at += 2;
			*weekday = i;
			return true;
		}
	return false;
}

/* The comma before the next value of a list; false at its end, or where something else stands. */
static bool
another(RuleReader *r)
{
	if (r->at == r->end || *r->at != ',')
		return false;
	r->at++;
	return true;
}

static bool
read_by_day(RuleReader *r)
{
	do
	{
		int			n = 0;
		int			weekday;

		if (r->at < r->end && strchr("+-0123456789", *r->at) != NULL && !read_position(r, 53, &n))
			return wrong(r, "the number before a day of BYDAY is 1 to 53, or -1 to -53", NULL);
		if (!read_weekday(r, &weekday))
			return wrong(r,
						 "BYDAY holds MO, TU, WE, TH, FR, SA or SU, such as MO,WE or, of a month or year, 2TU or -1FR", NULL);
		if (n == 0)
			r->rule->weekdays |= 1 << weekday;
		else
		{
			uint64	   *bits = n > 0 ? r->rule->nth : r->rule->nth_back;

			bits[weekday] |= UINT64CONST(1) << abs(n);
			r->rule->any_nth = true;
		}
	} while (another(r));
	return r->at == r->end || wrong(r, "values of BYDAY stand with commas between them", NULL);
}

static bool
read_by_month_day(RuleReader *r)
{
	do
	{
		int			n;

		if (!read_position(r, 31, &n))
			return wrong(r,
						 "BYMONTHDAY holds numbers 1 to 31, or -1 to -31 from the end of the month", NULL);
		if (n > 0)
			r->rule->month_days |= (uint32) 1 << n;
		else
			r->rule->month_days_back |= (uint32) 1 << -n;
	} while (another(r));
	return r->at == r->end || wrong(r, "values of BYMONTHDAY stand with commas between them", NULL);
}

static bool
read_by_month(RuleReader *r)
{
	do
	{
		int			n;

		if (!read_digits(r, &n) || n < 1 || n > 12)
			return wrong(r, "BYMONTH holds numbers 1 to 12", NULL);
		r->rule->months |= 1 << n;
	} while (another(r));
	return r->at == r->end || wrong(r, "values of BYMONTH stand with commas between them", NULL);
}

static bool
read_by_position(RuleReader *r)
{
	do
	{
		int			n;

		if (!read_position(r, 366, &n))
			return wrong(r, "BYSETPOS holds numbers 1 to 366, or -1 to -366 from the end", NULL);
		if (n > 0)
			r->rule->position[n - 1] = true;
		else
			r->rule->position_back[-n - 1] = true;
		r->rule->any_position = true;
	} while (another(r));
	return r->at == r->end || wrong(r, "values of BYSETPOS stand with commas between them", NULL);
}

static bool
read_week_start(RuleReader *r)
{
	r->rule->week_start = one_of(r, weekday_codes, lengthof(weekday_codes));
	return r->rule->week_start >= 0 || wrong(r, "WKST is MO, TU, WE, TH, FR, SA or SU", NULL);
}

static bool
read_scale(RuleReader *r)
{
	static const char *const words[] = {"GREGORIAN", "PERSIAN"};
	int			n = one_of(r, words, lengthof(words));

	r->rule->jalali = n == 1;
	return n >= 0 || wrong(r, "RSCALE is GREGORIAN or PERSIAN", NULL);
}

static bool
read_skip(RuleReader *r)
{
	static const char *const words[] = {"OMIT", "BACKWARD", "FORWARD"};
	int			n = one_of(r, words, lengthof(words));

	if (n < 0)
		return wrong(r, "SKIP is OMIT, BACKWARD or FORWARD", NULL);
	r->rule->skip = (RuleSkip) n;
	return true;
}

typedef enum RulePart
{
	PART_FREQ,
	PART_INTERVAL,
	PART_COUNT,
	PART_UNTIL,
	PART_BYDAY,
	PART_BYMONTHDAY,
	PART_BYMONTH,
	PART_BYSETPOS,
	PART_WKST,
	PART_RSCALE,
	PART_SKIP
} RulePart;

static const struct
{
	const char *name;
	bool		(*read) (RuleReader *r);
}			parts[] =
{
	[PART_FREQ] = {"FREQ", read_frequency},
	[PART_INTERVAL] = {"INTERVAL", read_interval},
	[PART_COUNT] = {"COUNT", read_count},
	[PART_UNTIL] = {"UNTIL", read_until},
	[PART_BYDAY] = {"BYDAY", read_by_day},
	[PART_BYMONTHDAY] = {"BYMONTHDAY", read_by_month_day},
	[PART_BYMONTH] = {"BYMONTH", read_by_month},
	[PART_BYSETPOS] = {"BYSETPOS", read_by_position},
	[PART_WKST] = {"WKST", read_week_start},
	[PART_RSCALE] = {"RSCALE", read_scale},
	[PART_SKIP] = {"SKIP", read_skip},
};

#define SAID(r, part) (((r)->seen & (1 << (part))) != 0)

/* One NAME=value of a rule. */
static bool
read_part(RuleReader *r, const char *text, int length)
{
	const char *equals = memchr(text, '=', length);
	int			n;

	r->fault->part = text;
	r->fault->part_length = length;
	if (equals == NULL)
		return wrong(r, "a part of a rule is a name and a value, such as FREQ=WEEKLY", NULL);
	for (n = 0; n < (int) lengthof(parts); n++)
		if (is_word(text, equals - text, parts[n].name))
			break;
	if (n == lengthof(parts))
		return wrong(r, "there is no such part, or not one that is supported here",
					 "Parts are FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS, WKST, RSCALE and SKIP.");
	if (SAID(r, n))
		return wrong(r, "a part stands in a rule once", NULL);
	r->seen |= 1 << n;
	r->at = equals + 1;
	r->end = text + length;
	return parts[n].read(r);
}

/* Whether the parts go together, by RFC 5545 3.3.10 and RFC 7529. */
static bool
check_together(RuleReader *r, const char *text, int length)
{
	const RecurrenceRule *rule = r->rule;

	r->fault->part = text;
	r->fault->part_length = length;
	if (!SAID(r, PART_FREQ))
		return wrong(r, "a rule says how often: FREQ is missing",
					 "Write FREQ=DAILY, WEEKLY, MONTHLY or YEARLY.");
	if (SAID(r, PART_COUNT) && SAID(r, PART_UNTIL))
		return wrong(r, "COUNT and UNTIL do not go together", "Say one of them.");
	if (rule->any_nth && rule->frequency != RULE_MONTHLY && rule->frequency != RULE_YEARLY)
		return wrong(r, "numbers before the days of BYDAY count within months or years",
					 "Use FREQ=MONTHLY or YEARLY.");
	if (SAID(r, PART_BYMONTHDAY) && rule->frequency == RULE_WEEKLY)
		return wrong(r, "a weekly rule has no days of the month",
					 "Use FREQ=MONTHLY with BYMONTHDAY, or FREQ=WEEKLY with BYDAY.");
	if (SAID(r, PART_BYSETPOS) &&
		!SAID(r, PART_BYDAY) && !SAID(r, PART_BYMONTHDAY) && !SAID(r, PART_BYMONTH))
		return wrong(r, "BYSETPOS chooses among days that another part names",
					 "Add BYDAY, BYMONTHDAY or BYMONTH.");
	if (SAID(r, PART_SKIP) && !SAID(r, PART_RSCALE))
		return wrong(r, "SKIP stands beside RSCALE", "Add RSCALE=GREGORIAN or RSCALE=PERSIAN.");
	return true;
}

/*
 * Read a rule, with or without RRULE: before it.  False: fault says what is
 * wrong with which part.
 */
bool
crm_recurrence_read(const char *text, int length, RecurrenceRule *rule, RuleFault *fault)
{
	RuleReader	r = {.rule = rule, .fault = fault};
	const char *end = text + length;
	const char *at = text;

	memset(rule, 0, sizeof(*rule));
	memset(fault, 0, sizeof(*fault));
	rule->interval = 1;
	if (length >= 6 && pg_strncasecmp(text, "RRULE:", 6) == 0)
		at += 6;
	while (at < end)
	{
		const char *stop = memchr(at, ';', end - at);

		if (stop == NULL)
			stop = end;
		if (!read_part(&r, at, stop - at))
			return false;
		at = stop < end ? stop + 1 : end;
	}
	return check_together(&r, text, length);
}
