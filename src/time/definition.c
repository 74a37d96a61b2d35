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

#include "time/definition.h"
#include "time/jalali.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/sort.h"

#define DAY CRM_DAY_SECONDS

/* what one list of times may hold */
typedef enum SpanKind
{
	WEEKLY,						/* an end up to 48:00 */
	DATED						/* an end up to 24:00 */
} SpanKind;

static const char *const weekday_names[7] =
{"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

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
	JsonbContainer *list = crm_json_array(v);
	int			limit = (kind == WEEKLY) ? 2 * DAY : DAY;

	day->nspans = 0;
	day->spans = NULL;
	if (list == NULL)
	{
		crm_def_fault(r, "shape", place, "must be a list of [from, to] pairs");
		return;
	}
	day->spans = (CalSpan *) palloc(sizeof(CalSpan) * Max(JsonContainerSize(list), 1));
	for (int i = 0; i < JsonContainerSize(list); i++)
	{
		JsonbContainer *pair = crm_json_array(crm_json_element(list, i));
		char	   *here = psprintf("%s[%d]", place, i);
		char	   *text[2];
		int32		at[2];
		bool		ok = true;

		if (pair == NULL || JsonContainerSize(pair) != 2)
		{
			crm_def_fault(r, "shape", here, "must be a pair [from, to]");
			continue;
		}
		for (int j = 0; j < 2; j++)
		{
			text[j] = crm_def_string(crm_json_element(pair, j));
			at[j] = text[j] ? parse_time(text[j]) : -1;
			if (at[j] < 0)
			{
				crm_def_fault(r, "time", here, "%s is not a time of the form HH:MM or HH:MM:SS",
					  text[j] ? psprintf("\"%s\"", text[j]) : "the value");
				ok = false;
			}
		}
		if (!ok)
			continue;
		if (at[0] >= DAY || at[1] > limit)
		{
			crm_def_fault(r, "outside_of_day", here,
				  at[0] >= DAY ? "%s to %s begins at or after 24:00" :
				  kind == WEEKLY ? "%s to %s ends after 48:00" :
				  "%s to %s ends after 24:00, which only weekly hours may", text[0], text[1]);
			continue;
		}
		if (at[1] <= at[0])
		{
			crm_def_fault(r, "wrong_order", here,
				  "%s to %s does not end after it begins (write midnight as 24:00, a night shift as 22:00 to 30:00)",
				  text[0], text[1]);
			continue;
		}
		day->spans[day->nspans].from = at[0];
		day->spans[day->nspans].to = at[1];
		day->nspans++;
	}
	crm_sort(day->spans, day->nspans, sizeof(CalSpan), compare_spans);
	for (int i = 1; i < day->nspans; i++)
		if (day->spans[i].from < day->spans[i - 1].to)
			crm_def_fault(r, "overlap", place, "hours overlap at %02d:%02d",
				  day->spans[i].from / 3600, day->spans[i].from / 60 % 60);
}

/* Make neighbours that touch or overlap one. */
static void
merge_spans(CalDay *day)
{
	int			n = 0;

	crm_sort(day->spans, day->nspans, sizeof(CalSpan), compare_spans);
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
	JsonbContainer *object = crm_json_object(v);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	CalDay		raw[7] = {0};

	if (object == NULL)
	{
		crm_def_fault(r, "shape", "weekly", "must be an object of lists under mon, tue, wed, thu, fri, sat, sun");
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
		name = crm_def_string(&key);
		JsonbIteratorNext(&it, &list, true);
		for (w = 0; w < 7; w++)
			if (strcmp(name, weekday_names[w]) == 0)
				break;
		if (w == 7)
			crm_def_fault(r, "weekday", psprintf("weekly.%s", name),
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
					crm_def_fault(r, "overlap", psprintf("weekly.%s", weekday_names[next]),
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
	JsonbContainer *object = crm_json_object(v);
	JsonbIterator *it;
	JsonbIteratorToken token;
	JsonbValue	key;
	CalDay	   *days;

	*n = 0;
	if (object == NULL)
	{
		crm_def_fault(r, "shape", what, "must be an object of lists under dates");
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
		text = crm_def_string(&key);
		place = psprintf("%s.%s", what, text);
		JsonbIteratorNext(&it, &list, true);
		if (!crm_def_date(r, text, place, &days[*n].date))
			continue;
		read_spans(r, &list, DATED, place, &days[*n]);
		merge_spans(&days[*n]);
		(*n)++;
	}
	crm_sort(days, *n, sizeof(CalDay), compare_days);
	return days;
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
		crm_def_fault(r, "shape", "", "a calendar is a JSON object");
		return rules;
	}
	crm_def_check_keys(r, root, "", keys);

	v = crm_def_member(root, "zone");
	if (v == NULL || v->type != jbvString)
		crm_def_fault(r, "zone", "zone", "a calendar needs the name of a time zone, such as Asia/Tehran");
	else
	{
		char	   *name = crm_def_string(v);

		rules->zone = crm_zone_find(name);
		if (rules->zone == NULL)
			crm_def_fault(r, "zone", "zone", "\"%s\" is not a time zone of the server's time zone database", name);
	}
	if ((v = crm_def_member(root, "weekly")) != NULL)
		read_weekly(r, v, rules);
	if ((v = crm_def_member(root, "special_days")) != NULL)
		rules->special = read_dated(r, v, "special_days", &rules->nspecial);
	if ((v = crm_def_member(root, "breaks")) != NULL)
		rules->breaks = read_dated(r, v, "breaks", &rules->nbreaks);
	if ((v = crm_def_member(root, "holidays")) != NULL)
		crm_def_holidays(r, v, rules);
	if ((v = crm_def_member(root, "name")) != NULL && v->type != jbvString)
		crm_def_fault(r, "shape", "name", "must be a string");
	if ((v = crm_def_member(root, "valid_from")) != NULL)
	{
		char	   *text = crm_def_string(v);
		int32		date;

		if (text == NULL)
			crm_def_fault(r, "date", "valid_from", "must be a string of the form YYYY-MM-DD");
		else
			crm_def_date(r, text, "valid_from", &date);
	}
	if (*faults == NIL && !crm_calendar_rules_open(rules))
		crm_def_fault(r, "no_hours", "weekly", "the calendar has no open hours at all");
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
