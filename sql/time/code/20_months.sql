-- Months of the Gregorian and the Jalali calendar.

CREATE OR REPLACE FUNCTION crm_analytics.month_start(on_date date, calendar text DEFAULT 'gregorian') RETURNS date
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
-- parsed here, so that it can be inlined without looking names up under its caller's path
RETURN CASE WHEN calendar = 'jalali' THEN crm.from_jalali((crm.to_jalali(on_date)).year, (crm.to_jalali(on_date)).month, 1)
            ELSE pg_catalog.date_trunc('month', on_date::timestamp)::date END;
COMMENT ON FUNCTION crm_analytics.month_start(date, text) IS
'First day of the month of a date, in the calendar gregorian or jalali.';

CREATE OR REPLACE FUNCTION crm_analytics.month_number(on_date date, calendar text DEFAULT 'gregorian') RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN calendar = 'jalali' THEN (crm.to_jalali(on_date)).year * 12 + (crm.to_jalali(on_date)).month
            ELSE (extract(year FROM on_date) * 12 + extract(month FROM on_date))::integer END;
COMMENT ON FUNCTION crm_analytics.month_number(date, text) IS
'Months counted through, 12 x year + month, in the calendar gregorian or jalali: differences are numbers of months.';
