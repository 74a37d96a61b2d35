-- Jalali dates: conversion, reading, writing, computing.
CREATE TYPE crm.jalali_date AS (year integer, month integer, day integer);
COMMENT ON TYPE crm.jalali_date IS 'A date of the Solar Hijri calendar: year, month 1 (Farvardin) to 12 (Esfand), day.';

CREATE FUNCTION crm.to_jalali(date date) RETURNS crm.jalali_date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_to_jalali';
COMMENT ON FUNCTION crm.to_jalali(date) IS
'Jalali date of a date, for the Jalali years 1178 to 1634 (1799-03-21 to 2256-03-20); an error outside. New Year by the 33-year cycle: days before '
'year y are 365 (y - 1) + floor((8 y + 21) / 33).';

CREATE FUNCTION crm.from_jalali(year integer, month integer, day integer) RETURNS date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_from_jalali';
COMMENT ON FUNCTION crm.from_jalali(integer, integer, integer) IS
'Date of a Jalali date, for the years 1178 to 1634; an error for a date that does not exist, such as 30 Esfand of a common year.';

CREATE FUNCTION crm.format_jalali(date date, pattern text) RETURNS text
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_format_jalali';
COMMENT ON FUNCTION crm.format_jalali(date, text) IS
'A date written in the Jalali calendar, by the patterns of to_char that are about days, weeks, months and years: YYYY, YYY, YY, Y, IYYY, IYY, IY, I, '
'MM, DD, DDD (day of the year), D (1 = Saturday), Q, W and WW (weeks of seven days from the first of the month or year), IW (calendar week, see '
'crm.jalali_week_of_year), all of these also in small letters and followed by TH or th; MONTH, Month, month, MON, Mon, mon, DAY, Day, day, DY, Dy, dy. '
'Names are not padded. The prefix TM gives Persian names and digits, the prefix FM leaves out leading zeros; text in double quotes and all other '
'characters stand for themselves.';

CREATE FUNCTION crm.read_jalali(value text) RETURNS date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_read_jalali';
COMMENT ON FUNCTION crm.read_jalali(text) IS
'Date of a Jalali date as people write it: 1403/01/05, 1403-1-5, 5/1/1403, 14030105, 5 Farvardin 1403, or with Persian names, digits and ordinals; with or '
'without the day of the week. The year has four digits and stands first or last. Errors: 22007 for what cannot be read without guessing, 22008 for a '
'date that does not exist or a day of the week that contradicts it.';

CREATE FUNCTION crm.jalali_add_months(date date, months integer) RETURNS date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_jalali_add_months';
COMMENT ON FUNCTION crm.jalali_add_months(date, integer) IS
'The date so many Jalali months later (earlier where negative); in a shorter month the last day of it. Error 22008 outside the years 1178 to 1634.';

CREATE FUNCTION crm.jalali_add_years(date date, years integer) RETURNS date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_jalali_add_years';
COMMENT ON FUNCTION crm.jalali_add_years(date, integer) IS
'The date so many Jalali years later (earlier where negative); 30 Esfand becomes 29 Esfand in a common year. Error 22008 outside the years 1178 to 1634.';

CREATE FUNCTION crm.jalali_trunc(field text, date date) RETURNS date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_jalali_trunc';
COMMENT ON FUNCTION crm.jalali_trunc(text, date) IS
'First day of the week (Saturday), month, quarter or year of the Jalali calendar that a date is in: date_trunc() for that calendar. Error 22023 for '
'another field.';

CREATE FUNCTION crm.jalali_last_day(date date) RETURNS date
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_jalali_last_day';
COMMENT ON FUNCTION crm.jalali_last_day(date) IS 'Last day of the Jalali month that a date is in.';

CREATE FUNCTION crm.jalali_month_days(year integer, month integer) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_jalali_month_days';
COMMENT ON FUNCTION crm.jalali_month_days(integer, integer) IS 'Number of days of a Jalali month: 31, 30, or 29 for Esfand of a common year.';

CREATE FUNCTION crm.jalali_leap_year(year integer) RETURNS boolean
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_jalali_leap_year';
COMMENT ON FUNCTION crm.jalali_leap_year(integer) IS 'Whether a Jalali year has 366 days.';

CREATE FUNCTION crm.jalali_week_of_year(date date) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_jalali_week_of_year';
COMMENT ON FUNCTION crm.jalali_week_of_year(date) IS
'Number of the week in the Jalali year, 1 to 53. Weeks begin on Saturday and week 1 contains 1 Farvardin (the rule of CLDR for Iran); so the days of '
'the last week that share a week with the next 1 Farvardin are in week 1.';

CREATE FUNCTION crm.jalali_day_of_year(date date) RETURNS integer
LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'crm_jalali_day_of_year';
COMMENT ON FUNCTION crm.jalali_day_of_year(date) IS 'Number of the day in the Jalali year, 1 to 366.';
