/*
 * jalali.h (public)
 *	  Dates of the Solar Hijri calendar, and civil days as numbers.
 *
 * Days are counted from 2000-01-01, as PostgreSQL's type date counts them.
 */
#ifndef CRM_JALALI_H
#define CRM_JALALI_H

/* the years for which the rule agrees with the observed equinox tables */
#define CRM_JALALI_FIRST_YEAR 1178
#define CRM_JALALI_LAST_YEAR 1634

extern int32 crm_jalali_to_days(int year, int month, int day);
extern void crm_jalali_from_days(int32 days, int *year, int *month, int *day);
extern bool crm_jalali_is_leap(int year);
extern int	crm_jalali_month_length(int year, int month);
extern int32 crm_jalali_months_later(int32 days, int32 months);
extern int	crm_jalali_week_number(int32 days, int *week_year);

/* jalali_names.c; months from 0 (Farvardin), days of the week from 0 (Saturday) */
extern const char *const crm_jalali_months_fa[12];
extern const char *const crm_jalali_months_en[12];
extern const char *const crm_jalali_days_fa[7];
extern const char *const crm_jalali_days_en[7];

extern int32 crm_gregorian_to_days(int year, int month, int day);
extern void crm_gregorian_from_days(int32 days, int *year, int *month, int *day);
extern int	crm_gregorian_month_length(int year, int month);

/* 0 = Monday */
extern int	crm_weekday(int32 days);
extern int	crm_days_since_saturday(int32 days);

#endif							/* CRM_JALALI_H */
