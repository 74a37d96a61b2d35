/*
 * jalali_face.c
 *	  SQL functions that convert and compute Jalali dates.
 */
#include "base/crm.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "time/jalali.h"
#include "time/jalali_face.h"

void
crm_jalali_checked(DateADT date, int *year, int *month, int *day)
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

static void
check_year(int32 year)
{
	if (year < CRM_JALALI_FIRST_YEAR || year > CRM_JALALI_LAST_YEAR)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("Jalali year %d is out of range", year),
				 errdetail("Jalali dates are certain for the years %d to %d.",
						   CRM_JALALI_FIRST_YEAR, CRM_JALALI_LAST_YEAR)));
}

static void
check_month(int32 month)
{
	if (month < 1 || month > 12)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("Jalali month %d is out of range", month),
				 errdetail("Months are numbered 1 (Farvardin) to 12 (Esfand).")));
}

DateADT
crm_jalali_date_of(int32 year, int32 month, int32 day)
{
	check_year(year);
	check_month(month);
	if (day < 1 || day > crm_jalali_month_length(year, month))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("Jalali day %d is out of range", day),
				 errdetail("%s %d has %d days.", crm_jalali_months_en[month - 1], year,
						   crm_jalali_month_length(year, month))));
	return crm_jalali_to_days(year, month, day);
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

	crm_jalali_checked(PG_GETARG_DATEADT(0), &year, &month, &day);
	desc = crm_result_row(fcinfo);
	values[0] = Int32GetDatum(year);
	values[1] = Int32GetDatum(month);
	values[2] = Int32GetDatum(day);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

PG_FUNCTION_INFO_V1(crm_from_jalali);

/* crm.from_jalali(year, month, day) -> date */
Datum
crm_from_jalali(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(crm_jalali_date_of(PG_GETARG_INT32(0), PG_GETARG_INT32(1),
										 PG_GETARG_INT32(2)));
}

PG_FUNCTION_INFO_V1(crm_jalali_month_days);

/* crm.jalali_month_days(year, month) -> integer */
Datum
crm_jalali_month_days(PG_FUNCTION_ARGS)
{
	check_year(PG_GETARG_INT32(0));
	check_month(PG_GETARG_INT32(1));
	PG_RETURN_INT32(crm_jalali_month_length(PG_GETARG_INT32(0), PG_GETARG_INT32(1)));
}

PG_FUNCTION_INFO_V1(crm_jalali_leap_year);

/* crm.jalali_leap_year(year) -> boolean */
Datum
crm_jalali_leap_year(PG_FUNCTION_ARGS)
{
	check_year(PG_GETARG_INT32(0));
	PG_RETURN_BOOL(crm_jalali_is_leap(PG_GETARG_INT32(0)));
}

/* Months later, checked: the result is a date that is certain, too. */
static DateADT
add_months(DateADT date, int64 months)
{
	int			year,
				month,
				day;

	crm_jalali_checked(date, &year, &month, &day);
	/* everything that far away is out of range; no need to compute it */
	if (months < -12 * 2000 || months > 12 * 2000)
		months = months < 0 ? -12 * 2000 : 12 * 2000;
	date = crm_jalali_months_later(date, (int32) months);
	crm_jalali_checked(date, &year, &month, &day);
	return date;
}

PG_FUNCTION_INFO_V1(crm_jalali_add_months);

/* crm.jalali_add_months(date, months) -> date */
Datum
crm_jalali_add_months(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(add_months(PG_GETARG_DATEADT(0), PG_GETARG_INT32(1)));
}

PG_FUNCTION_INFO_V1(crm_jalali_add_years);

/* crm.jalali_add_years(date, years) -> date */
Datum
crm_jalali_add_years(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATEADT(add_months(PG_GETARG_DATEADT(0), (int64) PG_GETARG_INT32(1) * 12));
}

PG_FUNCTION_INFO_V1(crm_jalali_trunc);

/* crm.jalali_trunc(field, date) -> date: the first day of its week, month, quarter or year */
Datum
crm_jalali_trunc(PG_FUNCTION_ARGS)
{
	char	   *field = text_to_cstring(PG_GETARG_TEXT_PP(0));
	DateADT		date = PG_GETARG_DATEADT(1);
	int			year,
				month,
				day;

	crm_jalali_checked(date, &year, &month, &day);
	if (pg_strcasecmp(field, "week") == 0)
		PG_RETURN_DATEADT(date - crm_days_since_saturday(date));
	if (pg_strcasecmp(field, "month") == 0)
		PG_RETURN_DATEADT(crm_jalali_to_days(year, month, 1));
	if (pg_strcasecmp(field, "quarter") == 0)
		PG_RETURN_DATEADT(crm_jalali_to_days(year, month - (month - 1) % 3, 1));
	if (pg_strcasecmp(field, "year") == 0)
		PG_RETURN_DATEADT(crm_jalali_to_days(year, 1, 1));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("field \"%s\" is not known for Jalali dates", field),
			 errhint("Known fields are week, month, quarter and year.")));
}

PG_FUNCTION_INFO_V1(crm_jalali_last_day);

/* crm.jalali_last_day(date) -> date: the last day of its month */
Datum
crm_jalali_last_day(PG_FUNCTION_ARGS)
{
	int			year,
				month,
				day;

	crm_jalali_checked(PG_GETARG_DATEADT(0), &year, &month, &day);
	PG_RETURN_DATEADT(crm_jalali_to_days(year, month, crm_jalali_month_length(year, month)));
}

PG_FUNCTION_INFO_V1(crm_jalali_week_of_year);

/* crm.jalali_week_of_year(date) -> integer */
Datum
crm_jalali_week_of_year(PG_FUNCTION_ARGS)
{
	int			year,
				month,
				day;

	crm_jalali_checked(PG_GETARG_DATEADT(0), &year, &month, &day);
	PG_RETURN_INT32(crm_jalali_week_number(PG_GETARG_DATEADT(0), &year));
}

PG_FUNCTION_INFO_V1(crm_jalali_day_of_year);

/* crm.jalali_day_of_year(date) -> integer */
Datum
crm_jalali_day_of_year(PG_FUNCTION_ARGS)
{
	int			year,
				month,
				day;

	crm_jalali_checked(PG_GETARG_DATEADT(0), &year, &month, &day);
	PG_RETURN_INT32(PG_GETARG_DATEADT(0) - crm_jalali_to_days(year, 1, 1) + 1);
}
