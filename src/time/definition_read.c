/*
 * definition_read.c
 *	  Small steps through a calendar in JSON: members, dates, and noting what is
 *	  wrong with them.
 */
#include "base/crm.h"

#include <ctype.h>

#include "miscadmin.h"
#include "time/definition.h"
#include "time/jalali.h"
#include "utils/builtins.h"

void
crm_def_fault(Reader *r, const char *reason, const char *place, const char *fmt,...)
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

char *
crm_def_string(JsonbValue *v)
{
	return v->type == jbvString ? pnstrdup(v->val.string.val, v->val.string.len) : NULL;
}

/* The value of a key; NULL where it is missing or null. */
JsonbValue *
crm_def_member(JsonbContainer *object, const char *key)
{
	JsonbValue *v = crm_json_member(object, key, NULL);

	return (v == NULL || v->type == jbvNull) ? NULL : v;
}

/* A whole number among the members, within bounds. */
int
crm_def_int(Reader *r, JsonbContainer *object, const char *key, const char *place,
			int lowest, int highest, int missing)
{
	JsonbValue *v = crm_def_member(object, key);
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
		crm_def_fault(r, "number", psprintf("%s.%s", place, key),
			  "must be a whole number from %d to %d", lowest, highest);
	return n;
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

bool
crm_def_date(Reader *r, const char *text, const char *place, int32 *date)
{
	if (parse_civil_date(text, strlen(text), date))
		return true;
	crm_def_fault(r, "date", place, "\"%s\" is not a date of the form YYYY-MM-DD", text);
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

void
crm_def_check_keys(Reader *r, JsonbContainer *object, const char *place, const char *const *known)
{
	JsonbIterator *it = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;

	while ((token = JsonbIteratorNext(&it, &key, true)) != WJB_DONE)
	{
		char	   *name;

		CHECK_FOR_INTERRUPTS();
		if (token != WJB_KEY)
			continue;
		name = crm_def_string(&key);
		if (!known_key(name, known))
			crm_def_fault(r, "key", place[0] ? psprintf("%s.%s", place, name) : name,
				  "\"%s\" is not a key that is known here", name);
		JsonbIteratorNext(&it, &key, true);
	}
}
