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
