-- Months of the Gregorian and the Jalali calendar.

CREATE OR REPLACE FUNCTION crm_analytics.month_start(on_date date, calendar text DEFAULT 'gregorian') RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN $2 = 'jalali'
                THEN crm.from_jalali((crm.to_jalali($1)).year, (crm.to_jalali($1)).month, 1)
                ELSE pg_catalog.date_trunc('month', $1::timestamp)::date END
$$;
COMMENT ON FUNCTION crm_analytics.month_start(date, text) IS
'First day of the month of a date, in the calendar gregorian or jalali.';

CREATE OR REPLACE FUNCTION crm_analytics.month_number(on_date date, calendar text DEFAULT 'gregorian') RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$
    SELECT CASE WHEN $2 = 'jalali' THEN (crm.to_jalali($1)).year * 12 + (crm.to_jalali($1)).month
                ELSE (extract(year FROM $1) * 12 + extract(month FROM $1))::integer END
$$;
COMMENT ON FUNCTION crm_analytics.month_number(date, text) IS
'Months counted through, 12 x year + month, in the calendar gregorian or jalali: differences are numbers of months.';
