/*
 * definition_holidays.c
 *	  Holidays of a calendar in JSON: single dates and rules of every year, by
 *	  the Gregorian or the Jalali calendar.
 */
#include "base/crm.h"

#include <ctype.h>

#include "time/definition.h"
#include "time/jalali.h"
#include "utils/builtins.h"

#include "base/sort.h"

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
	crm_def_fault(r, "date", place, "\"%s\" is not a %s date of the form MM-DD", text,
		  jalali ? "Jalali" : "Gregorian");
	return false;
}

static void
read_one_date(Reader *r, JsonbValue *date, const char *place, int length, bool off,
			  CalRules *rules)
{
	char	   *text = crm_def_string(date);
	int32		first;

	if (text == NULL)
		crm_def_fault(r, "date", place, "the date must be a string of the form YYYY-MM-DD");
	else if (crm_def_date(r, text, place, &first) && !off)
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
	JsonbContainer *list = crm_json_array(except);

	if (list == NULL)
	{
		crm_def_fault(r, "shape", psprintf("%s.except", place), "must be a list of dates");
		return;
	}
	rule->except = (int32 *) palloc(sizeof(int32) * Max(1, JsonContainerSize(list)));
	for (int i = 0; i < JsonContainerSize(list); i++)
	{
		char	   *here = psprintf("%s.except[%d]", place, i);
		char	   *one = crm_def_string(crm_json_element(list, i));

		if (one == NULL)
			crm_def_fault(r, "date", here, "must be a string of the form YYYY-MM-DD");
		else if (crm_def_date(r, one, here, &rule->except[rule->nexcept]))
			rule->nexcept++;
	}
	crm_sort(rule->except, rule->nexcept, sizeof(int32), crm_compare_dates);
}

static void
read_yearly(Reader *r, JsonbContainer *object, const char *place, int length, bool off,
			CalRules *rules)
{
	CalYearly	rule = {0};
	JsonbValue *jalali = crm_def_member(object, "jalali");
	JsonbValue *except = crm_def_member(object, "except");
	char	   *text = crm_def_string(jalali ? jalali : crm_def_member(object, "gregorian"));
	bool		ok = false;

	rule.jalali = (jalali != NULL);
	rule.length = length;
	rule.from_year = crm_def_int(r, object, "from_year", place, 1, 9999, 1);
	rule.to_year = crm_def_int(r, object, "to_year", place, 1, 9999, 9999);
	if (rule.from_year > rule.to_year)
		crm_def_fault(r, "wrong_order", place, "from_year is after to_year");
	if (text == NULL)
		crm_def_fault(r, "date", place, "the date must be a string of the form MM-DD");
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
	JsonbValue *date = crm_def_member(object, "date");
	JsonbValue *off = crm_def_member(object, "off");
	int			length = crm_def_int(r, object, "length", place, 1, 60, 1);
	bool		is_off = false;

	crm_def_check_keys(r, object, place, keys);
	if ((date != NULL) + (crm_def_member(object, "gregorian") != NULL) +
		(crm_def_member(object, "jalali") != NULL) != 1)
	{
		crm_def_fault(r, "shape", place, "needs exactly one of date, gregorian, jalali");
		return;
	}
	if (off != NULL)
	{
		if (off->type != jbvBool)
			crm_def_fault(r, "shape", psprintf("%s.off", place), "must be true or false");
		else
			is_off = off->val.boolean;
	}
	if (date != NULL)
		read_one_date(r, date, place, length, is_off, rules);
	else
		read_yearly(r, object, place, length, is_off, rules);
}

void
crm_def_holidays(Reader *r, JsonbValue *v, CalRules *rules)
{
	JsonbContainer *list = crm_json_array(v);

	if (list == NULL)
	{
		crm_def_fault(r, "shape", "holidays", "must be a list of dates and rules");
		return;
	}
	for (int i = 0; i < JsonContainerSize(list); i++)
	{
		JsonbValue *one = crm_json_element(list, i);
		char	   *place = psprintf("holidays[%d]", i);
		JsonbContainer *object = crm_json_object(one);
		char	   *text = crm_def_string(one);
		int32		date;

		if (object != NULL)
			read_holiday_object(r, object, place, rules);
		else if (text == NULL)
			crm_def_fault(r, "shape", place, "must be a date of the form YYYY-MM-DD or a rule");
		else if (crm_def_date(r, text, place, &date))
		{
			rules->holidays = (int32 *) repalloc(rules->holidays,
												 sizeof(int32) * (rules->nholidays + 1));
			rules->holidays[rules->nholidays++] = date;
		}
	}
	crm_sort(rules->holidays, rules->nholidays, sizeof(int32), crm_compare_dates);
}
