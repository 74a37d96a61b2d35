-- Jalali dates: known New Years, round trip, writing, limits.
SET datestyle = 'ISO, YMD';
SELECT crm.to_jalali('2024-03-20') AS leap_1403, crm.to_jalali('2025-03-21') AS new_year_1404,
       crm.from_jalali(1403, 12, 30) AS last_of_1403, (crm.to_jalali('2000-01-01')).*;
-- leap years 1206 to 1500, as equinox tables have them
SELECT string_agg(y::text, ' ' ORDER BY y) FROM generate_series(1206, 1500) AS y
WHERE crm.from_jalali(y + 1, 1, 1) - crm.from_jalali(y, 1, 1) = 366;
-- every day there and back, and each day follows the one before
SELECT count(*) AS days, bool_and(crm.from_jalali((j).year, (j).month, (j).day) = d) AS back
FROM (SELECT d::date AS d, crm.to_jalali(d::date) AS j
      FROM generate_series('1799-03-21'::timestamp, '2256-03-20', '1 day') AS d) AS x;
SELECT crm.format_jalali('2026-03-25', 'YYYY/MM/DD') AS plain,
       crm.format_jalali('2026-03-25', 'Day FMDD Month YYYY') AS english,
       crm.format_jalali('2026-03-25', 'TMDay FMTMDD TMMonth TMYYYY') AS persian,
       crm.format_jalali('2026-03-25', '"week day" D, "day" DDD "of" YY, Q') AS numbers;
-- names of all months and days
SELECT string_agg(crm.format_jalali(crm.from_jalali(1404, m, 1), 'Month TMMonth'), ', ' ORDER BY m) FROM generate_series(1, 12) AS m;
SELECT string_agg(crm.format_jalali('2026-03-21'::date + d, 'D Day TMDay'), ', ' ORDER BY d) FROM generate_series(0, 6) AS d \g (format=unaligned)
SELECT crm.to_jalali('1799-03-20');
SELECT crm.to_jalali('2256-03-21');
SELECT crm.to_jalali('infinity');
SELECT crm.from_jalali(1404, 12, 30);
SELECT crm.from_jalali(1404, 13, 1);
SELECT crm.from_jalali(1177, 1, 1);
SELECT crm.from_jalali(1404, 7, 31);
SELECT crm.format_jalali('2026-03-25', '"YYYY');
-- letter cases, short names, weeks
\pset format unaligned
SELECT crm.format_jalali('2026-03-25', 'DAY Day day DY Dy dy TMDAY TMDy') AS days,
       crm.format_jalali('2026-03-25', 'MONTH Month month MON Mon mon TMMON') AS months,
       crm.format_jalali('2026-03-25', 'YYYY YYY YY Y IYYY IW WW W FMDDD TMDDD') AS numbers;
SELECT d, crm.format_jalali(d, 'YYYY-MM-DD IYYY-IW Dy') AS week, crm.jalali_week_of_year(d) AS number, crm.jalali_day_of_year(d) AS day
FROM unnest('{2025-03-20,2025-03-21,2025-03-22,2026-03-19,2026-03-20,2026-03-21,2026-03-27,2026-03-28}'::date[]) AS d;
-- every week has seven days, and its number grows by one or begins again
SELECT count(*) FILTER (WHERE n <> 7) AS odd FROM (
    SELECT count(*) AS n FROM generate_series(date '1800-01-04', date '2255-12-28', interval '1 day') AS g
    GROUP BY crm.jalali_trunc('week', g::date), crm.jalali_week_of_year(g::date)) AS w WHERE n <> 7;
-- months and years later; the last day of a shorter month
SELECT crm.to_jalali(crm.jalali_add_months(crm.from_jalali(1403, 6, 31), 1)) AS mehr,
       crm.to_jalali(crm.jalali_add_months(crm.from_jalali(1403, 12, 30), 12)) AS esfand,
       crm.to_jalali(crm.jalali_add_months(crm.from_jalali(1403, 1, 31), -1)) AS back,
       crm.to_jalali(crm.jalali_add_years(crm.from_jalali(1403, 12, 30), 1)) AS year,
       crm.to_jalali(crm.jalali_add_years(crm.from_jalali(1403, 12, 30), 4)) AS leap;
SELECT bool_and(crm.jalali_add_months(x.d, s.n) = crm.from_jalali(k.y, k.m, least((x.j).day, crm.jalali_month_days(k.y, k.m)))) AS right
FROM (SELECT g::date AS d, crm.to_jalali(g::date) AS j FROM generate_series(date '2020-01-01', date '2026-01-01', interval '3 days') AS g) AS x
CROSS JOIN generate_series(-30, 30, 7) AS s (n)
CROSS JOIN LATERAL (SELECT ((x.j).year * 12 + (x.j).month - 1 + s.n) / 12 AS y, ((x.j).year * 12 + (x.j).month - 1 + s.n) % 12 + 1 AS m) AS k;
SELECT f, crm.jalali_trunc(f, '2026-08-05') FROM unnest('{week,month,quarter,YEAR}'::text[]) AS f;
SELECT crm.jalali_last_day('2025-03-01') AS leap, crm.jalali_last_day('2026-03-01') AS common, crm.jalali_month_days(1404, 12) AS days,
       crm.jalali_leap_year(1403) AS y1403, crm.jalali_leap_year(1404) AS y1404;
SELECT crm.jalali_add_months('2026-01-01', 2147483647);
SELECT crm.jalali_add_years('2026-01-01', -2147483648);
SELECT crm.jalali_trunc('decade', '2026-01-01');
-- small letters, ends of numbers, digits of the year of the week
SELECT crm.format_jalali('2026-03-25', 'yyyy/mm/dd yy ddd d q w ww iyyy-iw') AS small, crm.format_jalali('2026-03-25', 'IYY IY I TMDDth DDTH FMDDth Month') AS ends,
       (SELECT string_agg(crm.format_jalali(crm.from_jalali(1403, 1, d), 'FMddth'), ' ' ORDER BY d) FROM unnest('{1,2,3,4,11,12,13,21,22,23,31}'::int[]) AS d) AS each;
-- as people write them
SELECT v, crm.read_jalali(v) AS date FROM unnest(ARRAY['1405/01/05', '1405-1-5', '5/1/1405', '05.01.1405', '14050105', '5 Farvardin 1405', 'Farvardin 5, 1405',
    'Wed 5th of farvardin 1405', '۱۴۰۵/۱/۵', '١٤٠٥/٠١/٠٥', '۵ فروردین ۱۴۰۵', 'چهارشنبه ۵ فروردین ۱۴۰۵', 'چهار شنبه، ۵ فروردين‌ماه ۱۴۰۵', '۱۴۰۵ فروردین ۵',
    '  5  FARVARDIN  1405 ', '1 امرداد 1405', '3 اذر 1405', '12 دی ماه 1405', '12 dei 1405',
    'پنجم فروردین ۱۴۰۵', 'بیست و یکم فروردین ۱۴۰۵', 'بیست‌ویکم فروردین ۱۴۰۵', 'سی ام خرداد ۱۴۰۵', 'سی و یکم خرداد ۱۴۰۵', 'اول مهر ماه سال ۱۴۰۵', 'هجدهم آذر ۱۴۰۵',
    'مورخ ۱۴۰۵/۰۱/۰۵ ه.ش', '۱۴۰۵/۰۱/۰۵ هجری شمسی', 'چهار شنبه پنجم فروردین ۱۴۰۵', '۵م فروردین ۱۴۰۵', '5.Farvardin.1405']) AS v;
\pset format aligned
-- written and read again, each day of four years, in both languages
SELECT bool_and(crm.read_jalali(crm.format_jalali(g::date, p)) = g::date) AS back
FROM generate_series(date '2022-01-01', date '2026-01-01', interval '1 day') AS g,
     unnest(ARRAY['YYYY/MM/DD', 'Day DD Month YYYY', 'TMDay TMDD TMMonth TMYYYY', 'Dy Mon FMDD YYYY', 'FMDD-FMMM-YYYY', 'TMYYYY/TMMM/TMDD']) AS p;
SELECT crm.read_jalali('5/1/05');
SELECT crm.read_jalali('بیست و فروردین ۱۴۰۵');
SELECT crm.read_jalali('بیست و دهم فروردین ۱۴۰۵');
SELECT crm.read_jalali('سی و یکم مهر ۱۴۰۵');
SELECT crm.read_jalali('۱۴۰۵/۰۱/۰۵ قمری');
SELECT crm.read_jalali('1405/13/01');
SELECT crm.read_jalali('1404/12/30');
SELECT crm.read_jalali('1405/01-05');
SELECT crm.read_jalali('Thursday 5 Farvardin 1405');
SELECT crm.read_jalali('5 March 1405');
SELECT crm.read_jalali('5 Farvardin');
SELECT crm.read_jalali('1405/1405/1');
SELECT crm.read_jalali('');
SELECT crm.read_jalali(repeat('1', 1000));
SELECT crm.read_jalali('5 Farvardin Mehr 1405');
SELECT crm.read_jalali('1405/01/05 12:30');
