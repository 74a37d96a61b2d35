/*
 * jalali_face.c
 *	  SQL functions on Jalali dates: conversion and writing.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "time/jalali.h"
#include "utils/builtins.h"
#include "utils/date.h"

static const char *const month_fa[] = {"فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور",
"مهر", "آبان", "آذر", "دی", "بهمن", "اسفند"};
static const char *const month_en[] = {"Farvardin", "Ordibehesht", "Khordad", "Tir", "Mordad",
"Shahrivar", "Mehr", "Aban", "Azar", "Dey", "Bahman", "Esfand"};

/* from Saturday, the first day of the week */
static const char *const day_fa[] = {"شنبه", "یکشنبه", "دوشنبه", "سه‌شنبه", "چهارشنبه", "پنجشنبه", "جمعه"};
static const char *const day_en[] = {"Saturday", "Sunday", "Monday", "Tuesday", "Wednesday",
"Thursday", "Friday"};

/* The Jalali date of a civil day, within the years that are certain. */
static void
checked_from_days(DateADT date, int *year, int *month, int *day)
{
	static const int margin = 366;

	if (DATE_NOT_FINITE(date) ||
		date < crm_jalali_to_days(CRM_JALALI_FIRST_YEAR, 1, 1) ||
		date >= crm_jalali_to_days(CRM_JALALI_LAST_YEAR, 1, 1) + margin ||
		(crm_jalali_from_days(date, year, month, day), *year > CRM_JALALI_LAST_YEAR))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date out of range for the Jalali calendar"),
				 errdetail("Jalali dates are certain for the years %d to %d, which are 1799-03-21 to 2256-03-20.",
						   CRM_JALALI_FIRST_YEAR, CRM_JALALI_LAST_YEAR)));
}

PG_FUNCTION_INFO_V1(crm_to_jalali);

/* crm.to_jalali(date) -> crm.jalali_date */
Datum
crm_to_jalali(PG_FUNCTION_ARGS)
{
	int			year,
				month,
				day;
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {false, false, false};

	checked_from_days(PG_GETARG_DATEADT(0), &year, &month, &day);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int32GetDatum(year);
	values[1] = Int32GetDatum(month);
	values[2] = Int32GetDatum(day);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

PG_FUNCTION_INFO_V1(crm_from_jalali);

/* crm.from_jalali(year, month, day) -> date */
Datum
crm_from_jalali(PG_FUNCTION_ARGS)
{
	int32		year = PG_GETARG_INT32(0);
	int32		month = PG_GETARG_INT32(1);
	int32		day = PG_GETARG_INT32(2);

	if (year < CRM_JALALI_FIRST_YEAR || year > CRM_JALALI_LAST_YEAR)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("Jalali year %d is out of range", year),
				 errdetail("Jalali dates are certain for the years %d to %d.",
						   CRM_JALALI_FIRST_YEAR, CRM_JALALI_LAST_YEAR)));
	if (month < 1 || month > 12)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("Jalali month %d is out of range", month),
				 errdetail("Months are numbered 1 (Farvardin) to 12 (Esfand).")));
	if (day < 1 || day > crm_jalali_month_length(year, month))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("Jalali day %d is out of range", day),
				 errdetail("%s %d has %d days.", month_en[month - 1], year,
						   crm_jalali_month_length(year, month))));
	PG_RETURN_DATEADT(crm_jalali_to_days(year, month, day));
}

/* A number with at least width digits, in Latin or Persian digits. */
static void
append_number(StringInfo out, int number, int width, bool persian)
{
	char		digits[16];

	snprintf(digits, sizeof(digits), "%0*d", width, number);
	for (char *d = digits; *d; d++)
	{
		if (persian)
		{
			/* U+06F0 and following */
			appendStringInfoChar(out, (char) 0xDB);
			appendStringInfoChar(out, (char) (0xB0 + (*d - '0')));
		}
		else
			appendStringInfoChar(out, *d);
	}
}

static bool
take(const char **p, const char *token)
{
	size_t		n = strlen(token);

	if (strncmp(*p, token, n) != 0)
		return false;
	*p += n;
	return true;
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
	int			year,
				month,
				day;
	int			weekday;
	StringInfoData out;

	checked_from_days(date, &year, &month, &day);
	weekday = (crm_weekday(date) + 2) % 7;	/* 0 = Saturday */
	initStringInfo(&out);
	while (*p)
	{
		const char *start = p;
		bool		persian = false;
		bool		plain = false;
		int			width;

		if (*p == '"')
		{
			for (p++; *p && *p != '"'; p++)
			{
				if (*p == '\\' && p[1])
					p++;
				appendStringInfoChar(&out, *p);
			}
			if (*p != '"')
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("unterminated quotation mark in a Jalali date pattern")));
			p++;
			continue;
		}
		for (;;)
		{
			if (take(&p, "TM"))
				persian = true;
			else if (take(&p, "FM"))
				plain = true;
			else
				break;
		}
		width = plain ? 1 : 2;
		if (take(&p, "YYYY"))
			append_number(&out, year, 4, persian);
		else if (take(&p, "YY"))
			append_number(&out, year % 100, width, persian);
		else if (take(&p, "MM"))
			append_number(&out, month, width, persian);
		else if (take(&p, "DDD"))
			append_number(&out, date - crm_jalali_to_days(year, 1, 1) + 1, plain ? 1 : 3, persian);
		else if (take(&p, "DD"))
			append_number(&out, day, width, persian);
		else if (take(&p, "Month"))
			appendStringInfoString(&out, persian ? month_fa[month - 1] : month_en[month - 1]);
		else if (take(&p, "Day"))
			appendStringInfoString(&out, persian ? day_fa[weekday] : day_en[weekday]);
		else if (take(&p, "D"))
			append_number(&out, weekday + 1, 1, persian);
		else if (take(&p, "Q"))
			append_number(&out, (month - 1) / 3 + 1, 1, persian);
		else
		{
			p = start;
			appendStringInfoChar(&out, *p++);
		}
	}
	PG_RETURN_TEXT_P(cstring_to_text(pg_any_to_server(out.data, out.len, PG_UTF8)));
}
