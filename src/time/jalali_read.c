/*
 * jalali_read.c
 *	  crm.read_jalali(): a Jalali date as people write it.
 *
 * The text is folded first, so that letters and digits of all scripts are one,
 * then cut into numbers and words.  Words say the month, the day of the week
 * and, as Persian ordinals, the day of the month; four digits say the year.
 * A date that is still ambiguous, or that contradicts itself, is an error: no
 * date is guessed.
 */
#include "base/crm.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "text/text.h"
#include "time/jalali.h"
#include "time/jalali_face.h"

/* What was found in the text so far. */
typedef struct Reading
{
	const char *text;			/* as it was given, for messages */
	int			numbers[3];
	int			digits[3];
	int			nnumbers;
	int			month;			/* 1 to 12, or 0 */
	int			weekday;		/* 0 = Saturday, or -1 */
	int			tens;			/* twenty or thirty, of which the rest is to come */
} Reading;

static void
unreadable(const Reading *reading, const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
			 errmsg("cannot read \"%s\" as a Jalali date", reading->text),
			 errdetail("%s", why),
			 errhint("Write it as 1403/01/05, 5/1/1403, 1403-01-05, 14030105 or 5 Farvardin 1403, in digits of any script.")));
}

/* Whether a folded word is a name, in its own folded form. */
static bool
is_name(const char *word, const char *name)
{
	StringInfoData folded;
	bool		same;

	initStringInfo(&folded);
	crm_fold(name, strlen(name), &folded);
	same = strcmp(word, folded.data) == 0;
	pfree(folded.data);
	return same;
}

/* An English name, or its first three letters and more. */
static bool
is_english(const char *word, const char *name)
{
	size_t		n = strlen(word);

	return n >= 3 && pg_strncasecmp(word, name, n) == 0;
}

/* The month a word names, or 0. */
static int
month_of(const char *word)
{
	static const struct
	{
		const char *name;
		int			month;
	}			others[] =
	{
		{"امرداد", 5}, {"amordad", 5}, {"dei", 10}, {"dai", 10}, {"farvardeen", 1},
		{"tyr", 4}, {"mordaad", 5}, {"sharivar", 6}, {"shahriver", 6}, {"mihr", 7},
		{"isfand", 12}, {"esphand", 12}
	};

	for (int i = 0; i < 12; i++)
	{
		if (is_english(word, crm_jalali_months_en[i]) ||
			is_name(word, crm_jalali_months_fa[i]) ||
			is_name(word, psprintf("%sماه", crm_jalali_months_fa[i])))
			return i + 1;
	}
	for (int i = 0; i < lengthof(others); i++)
		if (is_name(word, others[i].name))
			return others[i].month;
	return 0;
}

/* The day of the week a word names from 0 = Saturday, or -1. */
static int
weekday_of(const char *word)
{
	for (int i = 0; i < 7; i++)
		if (is_english(word, crm_jalali_days_en[i]) || is_name(word, crm_jalali_days_fa[i]))
			return i;
	return is_name(word, "آدینه") ? 6 : -1;
}

static void
take_number(Reading *reading, const char *digits, int length)
{
	int			n = reading->nnumbers;

	if (length > 4 || n == 3)
		unreadable(reading, length > 4 ? "A number has more than four digits."
				   : "There are more than three numbers.");
	reading->numbers[n] = (int) strtol(pnstrdup(digits, length), NULL, 10);
	reading->digits[n] = length;
	reading->nnumbers++;
}

/* Words beside a date that say nothing: endings of numbers, the words for day, month, year, era. */
static bool
is_beside(const char *word)
{
	static const char *const words[] = {
		"of", "st", "nd", "rd", "th", "م", "ام", "ماه", "روز", "سال", "مورخ", "مورخه",
		"هجری", "شمسی", "خورشیدی", "ه", "هـ", "ش"
	};

	for (int i = 0; i < lengthof(words); i++)
		if (is_name(word, words[i]))
			return true;
	return false;
}

/*
 * A Persian ordinal from first to thirty-first: beyond twenty and thirty in
 * two words with "and" between, or in one.  False where it is none.
 */
static bool
take_ordinal(Reading *reading, const char *word)
{
	static const char *const names[] = {
		"یکم", "دوم", "سوم", "چهارم", "پنجم", "ششم", "هفتم", "هشتم", "نهم", "دهم",
		"یازدهم", "دوازدهم", "سیزدهم", "چهاردهم", "پانزدهم",
		"شانزدهم", "هفدهم", "هجدهم", "نوزدهم", "بیستم"
	};
	static const struct
	{
		const char *name;
		int			number;
	}			others[] =
	{
		{"اول", 1}, {"نخست", 1}, {"هیجدهم", 18}, {"سی‌ام", 30}, {"سیم", 30}, {"سی‌اُم", 30}
	};
	int			number = 0;
	char		digits[4];

	if (reading->tens > 0 && is_name(word, "و"))
		return true;
	if (reading->tens == 0 && (is_name(word, "بیست") || is_name(word, "سی")))
	{
		reading->tens = is_name(word, "سی") ? 30 : 20;
		return true;
	}
	for (int i = 0; i < lengthof(names) && number == 0; i++)
	{
		if (is_name(word, names[i]))
			number = i + 1;
		else if (reading->tens == 0 && i < 9 && is_name(word, psprintf("بیست‌و%s", names[i])))
			number = 21 + i;
		else if (reading->tens == 0 && i < 1 && is_name(word, psprintf("سی‌و%s", names[i])))
			number = 31 + i;
	}
	for (int i = 0; i < lengthof(others) && number == 0; i++)
		if (is_name(word, others[i].name))
			number = others[i].number;
	if (reading->tens == 30 && is_name(word, "ام"))
	{
		number = 30;
		reading->tens = 0;
	}
	if (number == 0 || (reading->tens > 0 && number > 9))
		return false;
	snprintf(digits, sizeof(digits), "%d", number + reading->tens);
	reading->tens = 0;
	take_number(reading, digits, strlen(digits));
	return true;
}

static void
take_word(Reading *reading, const char *word)
{
	int			month;
	int			weekday;

	if (take_ordinal(reading, word) || (reading->tens == 0 && is_beside(word)))
		return;
	if ((month = month_of(word)) > 0)
	{
		if (reading->month > 0)
			unreadable(reading, "There are two names of months.");
		reading->month = month;
	}
	else if ((weekday = weekday_of(word)) >= 0)
	{
		if (reading->weekday >= 0)
			unreadable(reading, "There are two days of the week.");
		reading->weekday = weekday;
	}
	else
		unreadable(reading, psprintf("The word \"%s\" is neither a month nor a day of the week.",
									 word));
}

/* The length of a run of ASCII digits, or of letters of any script. */
static int
token_length(const char *p, bool digits)
{
	int			n = 0;

	while (digits ? (p[n] >= '0' && p[n] <= '9')
		   : (IS_HIGHBIT_SET(p[n]) || (p[n] >= 'a' && p[n] <= 'z')))
		n++;
	return n;
}

/* Cut the folded text into numbers and words. */
static void
take_all(Reading *reading, const char *p)
{
	char		separator = '\0';

	for (const char *start = p; *p != '\0';)
	{
		int			n;

		if ((n = token_length(p, true)) > 0)
		{
			if (n == 8 && reading->nnumbers == 0)
			{
				take_number(reading, p, 4);
				take_number(reading, p + 4, 2);
				take_number(reading, p + 6, 2);
			}
			else
				take_number(reading, p, n);
		}
		else if ((n = token_length(p, false)) > 0)
			take_word(reading, pnstrdup(p, n));
		else
		{
			n = 1;
			/* the point of an abbreviation separates nothing */
			if (*p == '.' && ((p > start && token_length(p - 1, true) == 0 && p[-1] != ' ') ||
							  token_length(p + 1, false) > 0))
				;
			else if (*p == '/' || *p == '-' || *p == '.')
			{
				if (separator != '\0' && separator != *p)
					unreadable(reading, "Two kinds of separators are mixed.");
				separator = *p;
			}
			else if (*p != ' ' && *p != ',')
				unreadable(reading,
						   psprintf("The character \"%c\" does not belong into a date.", *p));
		}
		p += n;
	}
}

/* Days of the week that are often written as two words become one. */
static char *
join_weekday(char *folded)
{
	static const char *const counts[] = {"یک", "دو", "سه", "چهار", "پنج"};
	StringInfoData shanbe;
	char	   *at;

	initStringInfo(&shanbe);
	appendStringInfoChar(&shanbe, ' ');
	crm_fold(crm_jalali_days_fa[0], strlen(crm_jalali_days_fa[0]), &shanbe);
	at = strstr(folded, shanbe.data);
	for (int i = 0; at != NULL && i < lengthof(counts); i++)
	{
		StringInfoData count;

		initStringInfo(&count);
		crm_fold(counts[i], strlen(counts[i]), &count);
		if (at - folded >= count.len &&
			strncmp(at - count.len, count.data, count.len) == 0)
		{
			memmove(at, at + 1, strlen(at));
			break;
		}
	}
	return folded;
}

/* Year, month and day out of what was found. */
static DateADT
date_of(const Reading *r)
{
	bool		year_first = r->digits[0] == 4;
	int			last = r->nnumbers - 1;

	if (r->tens > 0)
		unreadable(r, "A number in words is not complete.");
	if (r->nnumbers != (r->month > 0 ? 2 : 3))
		unreadable(r, r->month > 0 ? "A day and a year of four digits are needed beside the month."
				   : "Year, month and day are needed.");
	if ((r->digits[0] == 4) == (r->digits[last] == 4) ||
		(r->nnumbers == 3 && r->digits[1] > 2) ||
		r->digits[year_first ? last : 0] > 2)
		unreadable(r, "The year must have four digits and stand first or last.");
	if (r->month > 0)
		return crm_jalali_date_of(r->numbers[year_first ? 0 : 1], r->month,
								  r->numbers[year_first ? 1 : 0]);
	return crm_jalali_date_of(r->numbers[year_first ? 0 : 2], r->numbers[1],
							  r->numbers[year_first ? 2 : 0]);
}

PG_FUNCTION_INFO_V1(crm_read_jalali);

/* crm.read_jalali(text) -> date */
Datum
crm_read_jalali(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	char	   *utf8;
	StringInfoData folded;
	Reading		reading = {0};
	DateADT		date;

	if (VARSIZE_ANY_EXHDR(value) > 200)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("a text of %d bytes is no Jalali date", (int) VARSIZE_ANY_EXHDR(value)),
				 errhint("Write it as 1403/01/05, 5/1/1403 or 5 Farvardin 1403.")));
	reading.text = text_to_cstring(value);
	reading.weekday = -1;
	utf8 = pg_server_to_any(pstrdup(reading.text), strlen(reading.text), PG_UTF8);
	initStringInfo(&folded);
	crm_fold(utf8, strlen(utf8), &folded);
	take_all(&reading, join_weekday(folded.data));

	date = date_of(&reading);
	if (reading.weekday >= 0 && reading.weekday != crm_days_since_saturday(date))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("the Jalali date \"%s\" contradicts itself", reading.text),
				 errdetail("That day is a %s.", crm_jalali_days_en[crm_days_since_saturday(date)])));
	PG_RETURN_DATEADT(date);
}
