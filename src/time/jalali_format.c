/*
 * jalali_format.c
 *	  crm.format_jalali(): a date written in the Jalali calendar.
 *
 * The patterns are those of to_char() that are about days, weeks, months and
 * years, in capital or small letters, with two differences: names are not
 * padded with blanks, and weeks begin on Saturday.
 */
#include "base/crm.h"

#include "miscadmin.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "time/jalali.h"
#include "time/jalali_face.h"

/* The values that fill the pattern. */
typedef struct Parts
{
	int			year;
	int			month;
	int			day;
	int			weekday;		/* 0 = Saturday */
	int			day_of_year;
	int			week;			/* by Saturdays */
	int			week_year;
} Parts;

typedef enum LetterCase
{
	AS_WRITTEN,
	UPPER,
	LOWER
} LetterCase;

/* How one field is to be written. */
typedef struct Style
{
	bool		persian;		/* TM */
	bool		plain;			/* FM */
} Style;

/* A number with at least width digits, in Latin or Persian digits. */
static void
append_number(StringInfo out, int number, int width, const Style *style)
{
	char		digits[16];

	snprintf(digits, sizeof(digits), "%0*d", style->plain ? 1 : width, number);
	for (char *d = digits; *d; d++)
	{
		if (style->persian)
		{
			/* U+06F0 and following */
			appendStringInfoChar(out, (char) 0xDB);
			appendStringInfoChar(out, (char) (0xB0 + (*d - '0')));
		}
		else
			appendStringInfoChar(out, *d);
	}
}

/* A name, or its first letters where max is positive. */
static void
append_name(StringInfo out, const char *english, const char *persian,
			const Style *style, int max, LetterCase letters)
{
	/* Persian has no letter cases, and CLDR gives no shorter forms */
	if (style->persian)
	{
		appendStringInfoString(out, persian);
		return;
	}
	for (int i = 0; english[i] != '\0' && (max <= 0 || i < max); i++)
		appendStringInfoChar(out, letters == UPPER ? pg_ascii_toupper(english[i]) :
							 letters == LOWER ? pg_ascii_tolower(english[i]) : english[i]);
}

/* st, nd, rd, th where the pattern asks for it; Persian digits have none. */
static void
append_ending(StringInfo out, const char **p, int number, const Style *style)
{
	static const char *const endings[] = {"th", "st", "nd", "rd"};
	bool		upper = strncmp(*p, "TH", 2) == 0;
	int			last = number % 10;

	if (!upper && strncmp(*p, "th", 2) != 0)
		return;
	*p += 2;
	if (style->persian)
		return;
	if (last > 3 || (number / 10) % 10 == 1)
		last = 0;
	for (const char *e = endings[last]; *e; e++)
		appendStringInfoChar(out, upper ? pg_ascii_toupper(*e) : *e);
}

static bool
take_pattern(const char **p, const char *token)
{
	size_t		n = strlen(token);

	if (strncmp(*p, token, n) != 0)
		return false;
	*p += n;
	return true;
}

/* Text between quotation marks; a backslash takes the next character as it is. */
static const char *
append_quoted(StringInfo out, const char *p)
{
	for (p++; *p && *p != '"'; p++)
	{
		CHECK_FOR_INTERRUPTS();
		if (*p == '\\' && p[1])
			p++;
		appendStringInfoChar(out, *p);
	}
	if (*p != '"')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unterminated quotation mark in a Jalali date pattern"),
				 errhint("Close it, or write \\\" inside quotation marks for the mark itself.")));
	return p + 1;
}

/* Names of the month or of the day of the week: longer patterns stand first. */
static bool
append_named(StringInfo out, const char **p, const Parts *parts, const Style *style)
{
	static const struct
	{
		const char *pattern;
		bool		month;
		int			max;
		LetterCase	letters;
	}			names[] =
	{
		{"MONTH", true, 0, UPPER}, {"Month", true, 0, AS_WRITTEN}, {"month", true, 0, LOWER},
		{"MON", true, 3, UPPER}, {"Mon", true, 3, AS_WRITTEN}, {"mon", true, 3, LOWER},
		{"DAY", false, 0, UPPER}, {"Day", false, 0, AS_WRITTEN}, {"day", false, 0, LOWER},
		{"DY", false, 3, UPPER}, {"Dy", false, 3, AS_WRITTEN}, {"dy", false, 3, LOWER},
	};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (!take_pattern(p, names[i].pattern))
			continue;
		if (names[i].month)
			append_name(out, crm_jalali_months_en[parts->month - 1],
						crm_jalali_months_fa[parts->month - 1], style,
						names[i].max, names[i].letters);
		else
			append_name(out, crm_jalali_days_en[parts->weekday],
						crm_jalali_days_fa[parts->weekday], style,
						names[i].max, names[i].letters);
		return true;
	}
	return false;
}

/* Numbers: longer patterns stand first. */
static bool
append_numbered(StringInfo out, const char **p, const Parts *parts, const Style *style)
{
	const struct
	{
		const char *pattern;
		int			number;
		int			width;
	}			numbers[] =
	{
		{"IYYY", parts->week_year, 4},
		{"IYY", parts->week_year % 1000, 3},
		{"IY", parts->week_year % 100, 2},
		{"YYYY", parts->year, 4},
		{"YYY", parts->year % 1000, 3},
		{"YY", parts->year % 100, 2},
		{"Y", parts->year % 10, 1},
		{"IW", parts->week, 2},
		{"I", parts->week_year % 10, 1},
		{"WW", (parts->day_of_year - 1) / 7 + 1, 2},
		{"W", (parts->day - 1) / 7 + 1, 1},
		{"MM", parts->month, 2},
		{"DDD", parts->day_of_year, 3},
		{"DD", parts->day, 2},
		{"D", parts->weekday + 1, 1},
		{"Q", (parts->month - 1) / 3 + 1, 1},
	};

	for (int i = 0; i < lengthof(numbers); i++)
	{
		char		small[8] = {0};

		for (int j = 0; numbers[i].pattern[j] != '\0'; j++)
			small[j] = pg_ascii_tolower(numbers[i].pattern[j]);
		if (take_pattern(p, numbers[i].pattern) || take_pattern(p, small))
		{
			append_number(out, numbers[i].number, numbers[i].width, style);
			append_ending(out, p, numbers[i].number, style);
			return true;
		}
	}
	return false;
}

PG_FUNCTION_INFO_V1(crm_format_jalali);

/* crm.format_jalali(date, pattern) -> text */
Datum
crm_format_jalali(PG_FUNCTION_ARGS)
{
	DateADT		date = PG_GETARG_DATEADT(0);
	text	   *pattern = PG_GETARG_TEXT_PP(1);
	const char *p = pg_server_to_any(text_to_cstring(pattern),
									 VARSIZE_ANY_EXHDR(pattern), PG_UTF8);
	Parts		parts;
	StringInfoData out;

	crm_jalali_checked(date, &parts.year, &parts.month, &parts.day);
	parts.weekday = crm_days_since_saturday(date);
	parts.day_of_year = date - crm_jalali_to_days(parts.year, 1, 1) + 1;
	parts.week = crm_jalali_week_number(date, &parts.week_year);

	initStringInfo(&out);
	while (*p)
	{
		const char *start = p;
		Style		style = {false, false};

		CHECK_FOR_INTERRUPTS();
		if (*p == '"')
		{
			p = append_quoted(&out, p);
			continue;
		}
		for (;;)
		{
			if (take_pattern(&p, "TM"))
				style.persian = true;
			else if (take_pattern(&p, "FM"))
				style.plain = true;
			else
				break;
		}
		if (!append_named(&out, &p, &parts, &style) &&
			!append_numbered(&out, &p, &parts, &style))
		{
			p = start;
			appendStringInfoChar(&out, *p++);
		}
	}
	PG_RETURN_TEXT_P(cstring_to_text(pg_any_to_server(out.data, out.len, PG_UTF8)));
}
