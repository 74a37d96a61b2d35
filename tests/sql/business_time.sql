-- Business calendars: definitions, arithmetic, holidays, versions, errors.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET datestyle = 'ISO, YMD';
BEGIN;
SET LOCAL timezone = 'UTC';
CREATE FUNCTION pg_temp.cal(code text) RETURNS bigint LANGUAGE sql AS $$ SELECT c.id FROM crm.calendars AS c WHERE c.code = $1 $$;

SELECT c.code, c.name FROM crm.define_calendar('office', '{
    "zone": "Asia/Tehran", "name": "Tehran office",
    "weekly": {"sat": [["08:00","16:00"]], "sun": [["08:00","16:00"]], "mon": [["08:00","16:00"]],
               "tue": [["08:00","16:00"]], "wed": [["08:00","16:00"]], "thu": [["08:00","12:00"]], "fri": []},
    "holidays": [{"jalali": "01-01", "length": 4, "name": "Nowruz"}]}') AS c;

-- Wednesday 15:00 + 4 h; Thursday 11:00 + 2 h; over Nowruz 2026
SELECT crm.business_add(pg_temp.cal('office'), '2026-07-15 15:00 Asia/Tehran', 4 * 3600) AT TIME ZONE 'Asia/Tehran' AS thursday_11,
       crm.business_add(pg_temp.cal('office'), '2026-07-16 11:00 Asia/Tehran', 2 * 3600) AT TIME ZONE 'Asia/Tehran' AS saturday_9,
       crm.business_add(pg_temp.cal('office'), '2026-03-19 11:00 Asia/Tehran', 2 * 3600) AT TIME ZONE 'Asia/Tehran' AS wednesday_9;

-- any kind of number, and parts of a second
SELECT crm.business_add(pg_temp.cal('office'), '2026-07-15 10:00 Asia/Tehran', s::bigint) = t AS of_bigint,
       crm.business_add(pg_temp.cal('office'), '2026-07-15 10:00 Asia/Tehran', s::numeric) = t AS of_numeric,
       crm.business_add(pg_temp.cal('office'), '2026-07-15 10:00 Asia/Tehran', s::real) = t AS of_real,
       crm.business_add(pg_temp.cal('office'), start_at => '2026-07-15 10:00:00.000001 Asia/Tehran', seconds => 0.25) AS of_fraction,
       crm.business_elapsed(pg_temp.cal('office'), '2026-07-15 10:00 Asia/Tehran', '2026-07-15 10:00:00.000001 Asia/Tehran') AS elapsed
FROM (VALUES (3600, '2026-07-15 11:00 Asia/Tehran'::timestamptz)) AS v (s, t);

SELECT crm.is_open(pg_temp.cal('office'), '2026-07-17 10:00 Asia/Tehran') AS friday,
       crm.next_open(pg_temp.cal('office'), '2026-07-17 10:00 Asia/Tehran') AT TIME ZONE 'Asia/Tehran' AS opens,
       crm.prev_open(pg_temp.cal('office'), '2026-07-17 10:00 Asia/Tehran') AT TIME ZONE 'Asia/Tehran' AS closed_at,
       crm.next_close(pg_temp.cal('office'), '2026-07-17 10:00 Asia/Tehran') AT TIME ZONE 'Asia/Tehran' AS closes;

-- business days: the date counts, the time of day stays
SELECT crm.business_days_add(pg_temp.cal('office'), '2026-07-15 15:00 Asia/Tehran', 1) AT TIME ZONE 'Asia/Tehran' AS thursday_is_short,
       crm.business_days_add(pg_temp.cal('office'), '2026-07-15 15:00 Asia/Tehran', 2) AT TIME ZONE 'Asia/Tehran' AS saturday,
       crm.business_days_add(pg_temp.cal('office'), '2026-03-19 10:00 Asia/Tehran', 1) AT TIME ZONE 'Asia/Tehran' AS after_nowruz,
       crm.business_days_add(pg_temp.cal('office'), '2026-03-25 10:00 Asia/Tehran', -1) AT TIME ZONE 'Asia/Tehran' AS before_nowruz;

-- holidays of a feed, each with a switch that an import respects
SELECT crm.import_holidays(pg_temp.cal('office'), 'feed', '[{"date": "2026-07-18", "name": "one"}, {"date": "2026-07-19"}]') AS imported;
SELECT crm.next_open(pg_temp.cal('office'), '2026-07-17 10:00 Asia/Tehran') AT TIME ZONE 'Asia/Tehran' AS monday;
SELECT s.holiday_on, s.active FROM crm.switch_holiday(pg_temp.cal('office'), '2026-07-18', false) AS s;
SELECT crm.next_open(pg_temp.cal('office'), '2026-07-17 10:00 Asia/Tehran') AT TIME ZONE 'Asia/Tehran' AS saturday;
SELECT crm.import_holidays(pg_temp.cal('office'), 'feed', '[{"date": "2026-07-18", "name": "renamed"}]') AS imported;
SELECT h.holiday_on, h.name, h.active FROM crm.calendar_holidays AS h ORDER BY 1;

-- a version from a day on: what was before stays
SELECT (crm.define_calendar('office', '{"zone": "Asia/Tehran", "valid_from": "2026-08-01",
    "weekly": {"sat": [["09:00","13:00"]], "mon": [["09:00","13:00"]]}}')).name;
SELECT crm.business_elapsed(pg_temp.cal('office'), '2026-07-25 00:00 Asia/Tehran', '2026-08-01 00:00 Asia/Tehran') / 3600 AS week_before,
       crm.business_elapsed(pg_temp.cal('office'), '2026-08-01 00:00 Asia/Tehran', '2026-08-08 00:00 Asia/Tehran') / 3600 AS week_after,
       crm.business_add(pg_temp.cal('office'), '2026-07-30 11:00 Asia/Tehran', 2 * 3600) AT TIME ZONE 'Asia/Tehran' AS across;
SELECT v.valid_from FROM crm.calendar_versions AS v WHERE v.calendar_id = pg_temp.cal('office') ORDER BY 1;
-- a definition without valid_from replaces everything; undone, it never was
SAVEPOINT s;
SELECT (crm.define_calendar('office', '{"zone": "UTC", "weekly": {"mon": [["00:00","24:00"]]}}')).code;
SELECT crm.business_elapsed(pg_temp.cal('office'), '2026-07-25 00:00Z', '2026-08-01 00:00Z') / 3600 AS replaced;
ROLLBACK TO s;
SELECT crm.business_elapsed(pg_temp.cal('office'), '2026-07-25 00:00 Asia/Tehran', '2026-08-01 00:00 Asia/Tehran') / 3600 AS as_before;

-- round the clock is physical time, and never closes
SELECT (crm.define_calendar('always', '{"zone": "Europe/Berlin", "weekly": {"mon": [["00:00","24:00"]], "tue": [["00:00","24:00"]],
    "wed": [["00:00","24:00"]], "thu": [["00:00","24:00"]], "fri": [["00:00","24:00"]], "sat": [["00:00","24:00"]], "sun": [["00:00","24:00"]]}}')).code;
SELECT crm.business_add(pg_temp.cal('always'), '2026-03-28 23:00 Europe/Berlin', 4 * 3600) AT TIME ZONE 'Europe/Berlin' AS spring,
       crm.business_add(pg_temp.cal('always'), '2026-10-24 23:00 Europe/Berlin', 4 * 3600) AT TIME ZONE 'Europe/Berlin' AS autumn,
       crm.next_close(pg_temp.cal('always'), '2026-01-01') AS never;
-- far away, both ways
SELECT crm.business_add(pg_temp.cal('always'), '2000-01-01', 86400 * 3652059::bigint - 86400 * 730119::bigint - 1) AS last_second,
       crm.business_elapsed(pg_temp.cal('always'), '0001-01-01 00:00Z', '9999-12-31 23:59:59Z') = extract(epoch FROM '9999-12-31 23:59:59Z'::timestamptz - '0001-01-01 00:00Z') AS physical,
       crm.business_elapsed(pg_temp.cal('office'), '9000-01-01', '1700-01-01') < 0 AS reversed,
       crm.business_add(pg_temp.cal('office'), crm.business_add(pg_temp.cal('office'), '2026-07-15 10:00', 1e10), -1e10) AS there_and_back;

-- what is refused
SELECT crm.business_add(pg_temp.cal('always'), 'infinity', 1);
SELECT crm.business_add(pg_temp.cal('always'), '10000-01-01', 1);
SELECT crm.business_add(pg_temp.cal('always'), '2026-01-01', 'NaN');
SELECT crm.business_add(pg_temp.cal('always'), '2026-01-01', 'infinity');
SELECT crm.business_add(pg_temp.cal('always'), '2026-01-01', 1e300);
\set VERBOSITY terse
SELECT crm.business_add(pg_temp.cal('always'), '9999-12-31', 86401);
\set VERBOSITY default
SELECT crm.business_elapsed(pg_temp.cal('always'), '-infinity', '2026-01-01');
SELECT crm.is_open(-1, '2026-01-01');
SELECT crm.is_open(NULL, '2026-01-01') IS NULL AS null_in_null_out;
SELECT crm.define_calendar('bad', '{"zone": "Mars/Olympus", "weekly": {"mon": [["09:00","00:00"], ["9", "10:00"]], "funday": []},
    "special_days": {"2026-02-30": [], "2026-03-01": [["20:00","25:00"]]}, "holiday": [], "holidays": ["1.1.2026", {"jalali": "13-01"}, {}]}');
SELECT f.reason, f.place FROM crm.check_calendar('{"zone": "Mars/Olympus", "weekly": {"mon": [["09:00","00:00"], ["9", "10:00"]], "funday": []},
    "special_days": {"2026-02-30": [], "2026-03-01": [["20:00","25:00"]]}, "holiday": [], "holidays": ["1.1.2026", {"jalali": "13-01"}, {}]}') AS f;
SELECT f.reason, f.message FROM crm.check_calendar('{"zone": "UTC+3", "weekly": {"sun": [["22:00","30:00"]], "mon": [["05:00","09:00"]]}}') AS f;
SELECT f.reason FROM crm.check_calendar('[]') AS f;
SELECT f.reason FROM crm.check_calendar('{"zone": "Asia/Tehran", "weekly": {"mon": [["22:00","30:00"]], "tue": [["06:00","24:00"]]}}') AS f;
SELECT crm.define_calendar('none', '{"zone": "UTC", "weekly": {}, "special_days": {"2026-01-01": [["10:00","11:00"]]}, "breaks": {"2026-01-01": [["09:00","12:00"]]}}');
INSERT INTO crm.calendar_versions (calendar_id, valid_from, definition) VALUES (pg_temp.cal('office'), '2027-01-01', '{"zone": "UTC"}');
SELECT (crm.define_calendar('once', '{"zone": "UTC", "special_days": {"2026-01-01": [["10:00","11:00"]]}}')).code;
SELECT crm.business_add(pg_temp.cal('once'), '2026-01-01', 3600) AS whole,
       crm.prev_open(pg_temp.cal('once'), '2400-01-01') AS last_close;
\set VERBOSITY terse
SELECT crm.business_add(pg_temp.cal('once'), '2026-01-01', 3601);
SELECT crm.business_add(pg_temp.cal('once'), '2026-01-01', -1);
SELECT crm.next_open(pg_temp.cal('once'), '2026-01-01 11:00');
SELECT crm.business_days_add(pg_temp.cal('once'), '2026-01-01', 1);
-- days back: never later than the start, and on the date that was counted
SELECT d.start_at, crm.business_days_add(c.id, d.start_at, -1) AS day_before
FROM crm.define_calendar('five', '{"zone": "UTC", "weekly": {"mon": [["09:00","18:00"]], "tue": [["09:00","18:00"]], "wed": [["09:00","18:00"]], "thu": [["09:00","18:00"]], "fri": [["09:00","13:00"],["14:00","18:00"]]}}') AS c
CROSS JOIN unnest('{2020-05-31 18:29Z,2020-06-01 06:00Z,2020-06-01 13:30Z,2020-06-01 20:00Z,2020-06-02 10:00Z}'::timestamptz[]) AS d (start_at) ORDER BY 1;
SELECT count(*) AS probes, count(*) FILTER (WHERE r > s) AS later,
       count(*) FILTER (WHERE crm.business_days_add(c.id, r, 1) < r) AS back_and_on_earlier
FROM (SELECT id FROM crm.calendars WHERE code = 'five') AS c
CROSS JOIN generate_series(timestamptz '2020-05-01', '2020-07-01', '97 minutes') AS s
CROSS JOIN generate_series(-7, -1) AS n
CROSS JOIN LATERAL (SELECT crm.business_days_add(c.id, s, n)) AS x (r);
ROLLBACK;
