/*
 * definition.c
 *	  Calendars in JSON: reading them, and reporting every fault.
 *
 * The shape is
 *
 *	{"zone": "Asia/Tehran",
 *	 "weekly": {"sat": [["08:00", "16:00"]], ...},
 *	 "special_days": {"2026-03-20": [["08:00", "12:00"]]},
 *	 "breaks": {"2026-05-01": [["10:00", "11:00"]]},
 *	 "holidays": ["2026-02-11", {"jalali": "01-01", "length": 4}, ...],
 *	 "name": "...", "valid_from": "2026-01-01"}
 *
 * A fault never stops the reading, so that whoever edits a calendar sees all
 * of them at once.
 */
#include "base/crm.h"

#include <ctype.h>

#include "time/jalali.h"
#include "time/time_face.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define DAY CRM_DAY_SECONDS

/* what one list of times may hold */
typedef enum SpanKind
{
	WEEKLY,						/* an end up to 48:00 */
	DATED						/* an end up to 24:00 */
} SpanKind;

typedef struct Reader
{
	List	  **faults;
} Reader;

static const char *const weekday_names[7] =
{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

static void
note_fault(Reader *r, const char *reason, const char *place, const char *fmt,...)
pg_attribute_printf(4, 5);

static void
note_fault(Reader *r, const char *reason, const char *place, const char *fmt,...)
{
	CalFault   *f = (CalFault *) palloc(sizeof(CalFault));
	StringInfoData text;

	initStringInfo(&text);
	for (;;)
	{
		va_list		args;
		int			need;

		va_start(args, fmt);
		need = appendStringInfoVA(&text, fmt, args);
		va_end(args);
		if (need == 0)
			break;
		enlargeStringInfo(&text, need);
	}
	f->reason = reason;
	f->place = pstrdup(place);
	f->message = text.data;
	*r->faults = lappend(*r->faults, f);
}

/* ---- small steps through jsonb ---- */

static JsonbContainer *
as_array(JsonbValue *v)
{
	return (v->type == jbvBinary && JsonContainerIsArray(v->val.binary.data) &&
			!JsonContainerIsScalar(v->val.binary.data)) ? v->val.binary.data : NULL;
}

static JsonbContainer *
as_object(JsonbValue *v)
{
	return (v->type == jbvBinary && JsonContainerIsObject(v->val.binary.data)) ?
		v->val.binary.data : NULL;
}

static char *
as_string(JsonbValue *v)
{
	return v->type == jbvString ? pnstrdup(v->val.string.val, v->val.string.len) : NULL;
}

/* Elements of an array: NULL after the last. */
static JsonbValue *
element(JsonbContainer *array, int i)
{
	return i < JsonContainerSize(array) ?
		getIthJsonbValueFromContainer(array, i) : NULL;
}

/* The value of a key; NULL where it is missing or null. */
static JsonbValue *
member_of(JsonbContainer *object, const char *key)
{
	JsonbValue *v = getKeyJsonValueFromContainer(object, key, strlen(key), NULL);

	return (v == NULL || v->type == jbvNull) ? NULL : v;
}

/* A whole number among the members, within bounds. */
static int
int_member(Reader *r, JsonbContainer *object, const char *key, const char *place,
		   int lowest, int highest, int missing)
{
	JsonbValue *v = member_of(object, key);
	bool		ok = false;
	int			n = missing;

	if (v == NULL)
		return missing;
	if (v->type == jbvNumeric)
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
															   NumericGetDatum(v->val.numeric)));
		char	   *end;
		long		value = strtol(text, &end, 10);

		if (*end == '\0' && value >= lowest && value <= highest)
		{
			n = (int) value;
			ok = true;
		}
	}
	if (!ok)
		note_fault(r, "number", psprintf("%s.%s", place, key),
			  "must be a whole number from %d to %d", lowest, highest);
	return n;
}

/* ---- times and dates ---- */

/* HH:MM or HH:MM:SS as seconds, hours beyond a day allowed; -1 if it is not one. */
static int32
parse_time(const char *text)
{
	int			part[3] = {0, 0, 0};
	int			n = 0;
	const char *c = text;

	for (;;)
	{
		if (n == 3 || !isdigit((unsigned char) c[0]) || !isdigit((unsigned char) c[1]))
			return -1;
		part[n++] = (c[0] - '0') * 10 + (c[1] - '0');
		c += 2;
		if (*c == '\0')
			break;
		if (*c++ != ':')
			return -1;
	}
	if (n < 2 || part[1] > 59 || part[2] > 59)
		return -1;
	return part[0] * 3600 + part[1] * 60 + part[2];
}

/* YYYY-MM-DD, an existing date of the years 1 to 9999. */
static bool
parse_civil_date(const char *text, int len, int32 *date)
{
	static const char form[] = "dddd-dd-dd";
	int			year,
				month,
				day;

	if (len != 10)
		return false;
	for (int i = 0; i < 10; i++)
		if (form[i] == 'd' ? !isdigit((unsigned char) text[i]) : text[i] != form[i])
			return false;
	year = atoi(text);
	month = atoi(text + 5);
	day = atoi(text + 8);
	if (year < 1 || month < 1 || month > 12 || day < 1 ||
		day > crm_gregorian_month_length(year, month))
		return false;
	*date = crm_gregorian_to_days(year, month, day);
	return true;
}

static bool
date_string(Reader *r, const char *text, const char *place, int32 *date)
{
	if (parse_civil_date(text, strlen(text), date))
		return true;
	note_fault(r, "date", place, "\"%s\" is not a date of the form YYYY-MM-DD", text);
	return false;
}

static int
compare_spans(const void *a, const void *b)
{
	const CalSpan *x = (const CalSpan *) a;
	const CalSpan *y = (const CalSpan *) b;

	return x->from != y->from ? (x->from < y->from ? -1 : 1) : x->to - y->to;
}

/* A list of [from, to] pairs; what is wrong is left out. */
static void
read_spans(Reader *r, JsonbValue *v, SpanKind kind, const char *place, CalDay *day)
{
	JsonbContainer *list = as_array(v);
	int			limit = (kind == WEEKLY) ? 2 * DAY : DAY;

	day->nspans = 0;
	day->spans = NULL;
	if (list == NULL)
	{
		note_fault(r, "shape", place, "must be a list of [from, to] pairs");
		return;
	}
	day->spans = (CalSpan *) palloc(sizeof(CalSpan) * Max(JsonContainerSize(list), 1));
	for (int i = 0; i < JsonContainerSize(list); i++)
	{
		JsonbContainer *pair = as_array(element(list, i));
		char	   *here = psprintf("%s[%d]", place, i);
		char	   *text[2];
		int32		at[2];
		bool		ok = true;

		if (pair == NULL || JsonContainerSize(pair) != 2)
		{
			note_fault(r, "shape", here, "must be a pair [from, to]");
			continue;
		}
		for (int j = 0; j < 2; j++)
		{
			text[j] = as_string(element(pair, j));
			at[j] = text[j] ? parse_time(text[j]) : -1;
			if (at[j] < 0)
			{
				note_fault(r, "time", here, "%s is not a time of the form HH:MM or HH:MM:SS",
					  text[j] ? psprintf("\"%s\"", text[j]) : "the value");
				ok = false;
			}
		}
		if (!ok)
			continue;
		if (at[0] >= DAY || at[1] > limit)
		{
			note_fault(r, "outside_of_day", here,
				  at[0] >= DAY ? "%s to %s begins at or after 24:00" :
				  kind == WEEKLY ? "%s to %s ends after 48:00" :
				  "%s to %s ends after 24:00, which only weekly hours may", text[0], text[1]);
			continue;
		}
		if (at[1] <= at[0])
		{
			note_fault(r, "wrong_order", here,
				  "%s to %s does not end after it begins (write midnight as 24:00, a night shift as 22:00 to 30:00)",
				  text[0], text[1]);
			continue;
		}
		day->spans[day->nspans].from = at[0];
		day->spans[day->nspans].to = at[1];
		day->nspans++;
	}
	qsort(day->spans, day->nspans, sizeof(CalSpan), compare_spans);
	for (int i = 1; i < day->nspans; i++)
		if (day->spans[i].from < day->spans[i - 1].to)
			note_fault(r, "overlap", place, "hours overlap at %02d:%02d",
				  day->spans[i].from / 3600, day->spans[i].from / 60 % 60);
}

/* Make neighbours that touch or overlap one. */
static void
merge_spans(CalDay *day)
{
	int			n = 0;

	qsort(day->spans, day->nspans, sizeof(CalSpan), compare_spans);
	for (int i = 0; i < day->nspans; i++)
	{
		if (n > 0 && day->spans[i].from <= day->spans[n - 1].to)
			day->spans[n - 1].to = Max(day->spans[n - 1].to, day->spans[i].to);
		else
			day->spans[n++] = day->spans[i];
	}
	day->nspans = n;
}

/* Weekly hours; overnight shifts are split at midnight here. */
static void
read_weekly(Reader *r, JsonbValue *v, CalRules *rules)
{
	JsonbContainer *object = as_object(v);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	CalDay		raw[7] = {0};

	if (object == NULL)
	{
		note_fault(r, "shape", "weekly", "must be an object of lists under mon, tue, wed, thu, fri, sat, sun");
		return;
	}
	it = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char	   *name;
		int			w;
		JsonbValue	list;

		if (token != WJB_KEY)
			continue;
		name = as_string(&key);
		JsonbIteratorNext(&it, &list, true);
		for (w = 0; w < 7; w++)
			if (strcmp(name, weekday_names[w]) == 0)
				break;
		if (w == 7)
			note_fault(r, "weekday", psprintf("weekly.%s", name),
				  "\"%s\" is not one of mon, tue, wed, thu, fri, sat, sun", name);
		else if (list.type != jbvNull)
			read_spans(r, &list, WEEKLY, psprintf("weekly.%s", name), &raw[w]);
	}

	for (int w = 0; w < 7; w++)
		rules->weekly[w].spans = (CalSpan *)
			palloc(sizeof(CalSpan) * Max(1, raw[w].nspans + raw[(w + 6) % 7].nspans));
	for (int w = 0; w < 7; w++)
	{
		int			next = (w + 1) % 7;

		for (int i = 0; i < raw[w].nspans; i++)
		{
			CalSpan		s = raw[w].spans[i];

			rules->has_weekly = true;
			if (s.to > DAY)
			{
				CalSpan		tail = {0, s.to - DAY};

				if (raw[next].nspans > 0 && raw[next].spans[0].from < tail.to)
					note_fault(r, "overlap", psprintf("weekly.%s", weekday_names[next]),
						  "the hours from %02d:%02d on overlap the shift that began the day before and ends at %02d:%02d",
						  raw[next].spans[0].from / 3600, raw[next].spans[0].from / 60 % 60,
						  tail.to / 3600, tail.to / 60 % 60);
				rules->weekly[next].spans[rules->weekly[next].nspans++] = tail;
				s.to = DAY;
			}
			rules->weekly[w].spans[rules->weekly[w].nspans++] = s;
		}
	}
	for (int w = 0; w < 7; w++)
		merge_spans(&rules->weekly[w]);
}

static int
compare_days(const void *a, const void *b)
{
	int32		x = ((const CalDay *) a)->date;
	int32		y = ((const CalDay *) b)->date;

	return x < y ? -1 : x > y;
}

/* for qsort */
int
crm_compare_dates(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	return x < y ? -1 : x > y;
}

/* {date: [[from, to], ...]} */
static CalDay *
read_dated(Reader *r, JsonbValue *v, const char *what, int *n)
{
	JsonbContainer *object = as_object(v);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	CalDay	   *days;

	*n = 0;
	if (object == NULL)
	{
		note_fault(r, "shape", what, "must be an object of lists under dates");
		return NULL;
	}
	days = (CalDay *) palloc0(sizeof(CalDay) * Max(1, JsonContainerSize(object)));
	it = JsonbIteratorInit(object);
	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char	   *text;
		char	   *place;
		JsonbValue	list;

		if (token != WJB_KEY)
			continue;
		text = as_string(&key);
		place = psprintf("%s.%s", what, text);
		JsonbIteratorNext(&it, &list, true);
		if (!date_string(r, text, place, &days[*n].date))
			continue;
		read_spans(r, &list, DATED, place, &days[*n]);
		merge_spans(&days[*n]);
		(*n)++;
	}
	qsort(days, *n, sizeof(CalDay), compare_days);
	return days;
}

/* "MM-DD" of either calendar */
static bool
month_day(Reader *r, const char *text, bool jalali, const char *place, CalYearly *rule)
{
	const char *c = text;

	if (strlen(c) == 5 && isdigit((unsigned char) c[0]) && isdigit((unsigned char) c[1]) &&
		c[2] == '-' && isdigit((unsigned char) c[3]) && isdigit((unsigned char) c[4]))
	{
		int			month = atoi(c);
		int			day = atoi(c + 3);

		if (month >= 1 && month <= 12 && day >= 1 &&
			day <= (jalali ? (month <= 6 ? 31 : 30) : crm_gregorian_month_length(2000, month)))
		{
			rule->month = month;
			rule->day = day;
			return true;
		}
	}
	note_fault(r, "date", place, "\"%s\" is not a %s date of the form MM-DD", text,
		  jalali ? "Jalali" : "Gregorian");
	return false;
}

static bool
known_key(const char *key, const char *const *known)
{
	for (; *known != NULL; known++)
		if (strcmp(key, *known) == 0)
			return true;
	return false;
}

static void
check_keys(Reader *r, JsonbContainer *object, const char *place, const char *const *known)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char	   *name;

		if (token != WJB_KEY)
			continue;
		name = as_string(&key);
		if (!known_key(name, known))
			note_fault(r, "key", place[0] ? psprintf("%s.%s", place, name) : name,
				  "\"%s\" is not a key that is known here", name);
		JsonbIteratorNext(&it, &key, true);
	}
}

static void
read_one_date(Reader *r, JsonbValue *date, const char *place, int length, bool off,
			  CalRules *rules)
{
	char	   *text = as_string(date);
	int32		first;

	if (text == NULL)
		note_fault(r, "date", place, "the date must be a string of the form YYYY-MM-DD");
	else if (date_string(r, text, place, &first) && !off)
	{
		rules->holidays = (int32 *) repalloc(rules->holidays,
											 sizeof(int32) * (rules->nholidays + length));
		for (int i = 0; i < length; i++)
			rules->holidays[rules->nholidays++] = first + i;
	}
}

/* Dates on which a yearly holiday is none. */
static void
read_except(Reader *r, JsonbValue *except, const char *place, CalYearly *rule)
{
	JsonbContainer *list = as_array(except);

	if (list == NULL)
	{
		note_fault(r, "shape", psprintf("%s.except", place), "must be a list of dates");
		return;
	}
	rule->except = (int32 *) palloc(sizeof(int32) * Max(1, JsonContainerSize(list)));
	for (int i = 0; i < JsonContainerSize(list); i++)
	{
		char	   *here = psprintf("%s.except[%d]", place, i);
		char	   *one = as_string(element(list, i));

		if (one == NULL)
			note_fault(r, "date", here, "must be a string of the form YYYY-MM-DD");
		else if (date_string(r, one, here, &rule->except[rule->nexcept]))
			rule->nexcept++;
	}
	qsort(rule->except, rule->nexcept, sizeof(int32), crm_compare_dates);
}

static void
read_yearly(Reader *r, JsonbContainer *object, const char *place, int length, bool off,
			CalRules *rules)
{
	CalYearly	rule = {0};
	JsonbValue *jalali = member_of(object, "jalali");
	JsonbValue *except = member_of(object, "except");
	char	   *text = as_string(jalali ? jalali : member_of(object, "gregorian"));
	bool		ok = false;

	rule.jalali = (jalali != NULL);
	rule.length = length;
	rule.from_year = int_member(r, object, "from_year", place, 1, 9999, 1);
	rule.to_year = int_member(r, object, "to_year", place, 1, 9999, 9999);
	if (rule.from_year > rule.to_year)
		note_fault(r, "wrong_order", place, "from_year is after to_year");
	if (text == NULL)
		note_fault(r, "date", place, "the date must be a string of the form MM-DD");
	else
		ok = month_day(r, text, rule.jalali, place, &rule);
	if (except != NULL)
		read_except(r, except, place, &rule);
	if (ok && !off)
	{
		rules->yearly = (CalYearly *) repalloc(rules->yearly,
											   sizeof(CalYearly) * (rules->nyearly + 1));
		rules->yearly[rules->nyearly++] = rule;
	}
}

/* One holiday written as an object: a date with a switch, or a yearly rule. */
static void
read_holiday_object(Reader *r, JsonbContainer *object, const char *place, CalRules *rules)
{
	static const char *const keys[] = {"date", "gregorian", "jalali", "length", "from_year",
	"to_year", "except", "name", "off", NULL};
	JsonbValue *date = member_of(object, "date");
	JsonbValue *off = member_of(object, "off");
	int			length = int_member(r, object, "length", place, 1, 60, 1);
	bool		is_off = false;

	check_keys(r, object, place, keys);
	if ((date != NULL) + (member_of(object, "gregorian") != NULL) +
		(member_of(object, "jalali") != NULL) != 1)
	{
		note_fault(r, "shape", place, "needs exactly one of date, gregorian, jalali");
		return;
	}
	if (off != NULL)
	{
		if (off->type != jbvBool)
			note_fault(r, "shape", psprintf("%s.off", place), "must be true or false");
		else
			is_off = off->val.boolean;
	}
	if (date != NULL)
		read_one_date(r, date, place, length, is_off, rules);
	else
		read_yearly(r, object, place, length, is_off, rules);
}

static void
read_holidays(Reader *r, JsonbValue *v, CalRules *rules)
{
	JsonbContainer *list = as_array(v);

	if (list == NULL)
	{
		note_fault(r, "shape", "holidays", "must be a list of dates and rules");
		return;
	}
	for (int i = 0; i < JsonContainerSize(list); i++)
	{
		JsonbValue *one = element(list, i);
		char	   *place = psprintf("holidays[%d]", i);
		JsonbContainer *object = as_object(one);
		char	   *text = as_string(one);
		int32		date;

		if (object != NULL)
			read_holiday_object(r, object, place, rules);
		else if (text == NULL)
			note_fault(r, "shape", place, "must be a date of the form YYYY-MM-DD or a rule");
		else if (date_string(r, text, place, &date))
		{
			rules->holidays = (int32 *) repalloc(rules->holidays,
												 sizeof(int32) * (rules->nholidays + 1));
			rules->holidays[rules->nholidays++] = date;
		}
	}
	qsort(rules->holidays, rules->nholidays, sizeof(int32), crm_compare_dates);
}

/*
 * Read a definition into the current memory context, adding to faults.  The
 * rules are usable where no fault was found.
 */
CalRules *
crm_calendar_parse(Jsonb *definition, List **faults)
{
	static const char *const keys[] = {"zone", "weekly", "special_days", "holidays", "breaks",
	"name", "valid_from", NULL};
	CalRules   *rules = (CalRules *) palloc0(sizeof(CalRules));
	Reader		reader = {faults};
	Reader	   *r = &reader;
	JsonbContainer *root = &definition->root;
	JsonbValue *v;

	rules->valid_from = PG_INT64_MIN;
	rules->valid_to = PG_INT64_MAX;
	rules->stretch = crm_zone_stretch;
	rules->holidays = (int32 *) palloc(sizeof(int32));
	rules->yearly = (CalYearly *) palloc(sizeof(CalYearly));
	if (!JB_ROOT_IS_OBJECT(definition))
	{
		note_fault(r, "shape", "", "a calendar is a JSON object");
		return rules;
	}
	check_keys(r, root, "", keys);

	v = member_of(root, "zone");
	if (v == NULL || v->type != jbvString)
		note_fault(r, "zone", "zone", "a calendar needs the name of a time zone, such as Asia/Tehran");
	else
	{
		char	   *name = as_string(v);

		rules->zone = crm_zone_find(name);
		if (rules->zone == NULL)
			note_fault(r, "zone", "zone", "\"%s\" is not a time zone of the server's time zone database", name);
	}
	if ((v = member_of(root, "weekly")) != NULL)
		read_weekly(r, v, rules);
	if ((v = member_of(root, "special_days")) != NULL)
		rules->special = read_dated(r, v, "special_days", &rules->nspecial);
	if ((v = member_of(root, "breaks")) != NULL)
		rules->breaks = read_dated(r, v, "breaks", &rules->nbreaks);
	if ((v = member_of(root, "holidays")) != NULL)
		read_holidays(r, v, rules);
	if ((v = member_of(root, "name")) != NULL && v->type != jbvString)
		note_fault(r, "shape", "name", "must be a string");
	if ((v = member_of(root, "valid_from")) != NULL)
	{
		char	   *text = as_string(v);
		int32		date;

		if (text == NULL)
			note_fault(r, "date", "valid_from", "must be a string of the form YYYY-MM-DD");
		else
			date_string(r, text, "valid_from", &date);
	}
	if (*faults == NIL && !crm_calendar_rules_open(rules))
		note_fault(r, "no_hours", "weekly", "the calendar has no open hours at all");
	return rules;
}

/* Raise the first fault, with all of them in the detail. */
void
crm_calendar_raise(List *faults, const char *code)
{
	CalFault   *first = (CalFault *) linitial(faults);
	StringInfoData all;
	ListCell   *cell;

	initStringInfo(&all);
	foreach(cell, faults)
	{
		CalFault   *f = (CalFault *) lfirst(cell);

		appendStringInfo(&all, "%s%s: %s%s%s.", all.len > 0 ? "\n" : "", f->reason,
						 f->place, f->place[0] ? ": " : "", f->message);
	}
	ereport(ERROR,
			(errcode(strcmp(first->reason, "no_hours") == 0 ?
					 ERRCODE_CRM_NO_OPEN_HOURS : ERRCODE_CRM_CALENDAR),
			 code ? errmsg("calendar \"%s\" cannot be stored: %s", code, first->message) :
			 errmsg("the calendar cannot be stored: %s", first->message),
			 errdetail_internal("%s", all.data),
			 errhint("crm.check_calendar(definition) lists the faults of a definition as rows.")));
}
