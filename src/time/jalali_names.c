/*
 * jalali_names.c
 *	  Names of the months and of the days of the week.
 */
#include "postgres.h"

#include "time/jalali.h"

const char *const crm_jalali_months_fa[12] = {
	"فروردین", "اردیبهشت", "خرداد", "تیر", "مرداد", "شهریور",
	"مهر", "آبان", "آذر", "دی", "بهمن", "اسفند"
};
const char *const crm_jalali_months_en[12] = {
	"Farvardin", "Ordibehesht", "Khordad", "Tir", "Mordad", "Shahrivar",
	"Mehr", "Aban", "Azar", "Dey", "Bahman", "Esfand"
};

/* from Saturday, the first day of the week */
const char *const crm_jalali_days_fa[7] = {
	"شنبه", "یکشنبه", "دوشنبه", "سه‌شنبه", "چهارشنبه", "پنجشنبه", "جمعه"
};
const char *const crm_jalali_days_en[7] = {
	"Saturday", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday"
};
