-- Recurrence rules, and activities that recur. tests/shell/recurrence.sh compares the rules with another program.
\set ON_ERROR_ROLLBACK on
SET TIME ZONE 'UTC';
BEGIN;
-- ---- rules ----
-- the last Friday of each month; the last working day; the clocks of Berlin change on 2031-03-30 and 2031-10-26
SELECT r AT TIME ZONE 'Europe/Berlin' AS berlin, r AS utc FROM crm.recurrence('FREQ=MONTHLY;BYDAY=-1FR', '2031-01-31 08:00Z', '2031-02-01', '2031-05-01', 'Europe/Berlin') AS r;
SELECT r::date AS working FROM crm.recurrence('rrule:freq=monthly;byday=mo,tu,we,th,fr;bysetpos=-1', '2031-01-01', '2031-01-01', '2031-04-01', 'UTC') AS r;
-- half past two is skipped in March, and comes twice in October
SELECT r AT TIME ZONE 'Europe/Berlin' AS berlin, r AS utc
FROM crm.recurrence('FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3,10', '2031-01-01 01:30Z', '-infinity', '2032-01-01', 'Europe/Berlin') AS r;
-- the day that Samoa left out is not two
SELECT r AS utc FROM crm.recurrence('FREQ=DAILY;COUNT=4', '2011-12-28 19:00Z', '-infinity', 'infinity', 'Pacific/Apia') AS r;
-- Jalali: the first of each month, the last of Esfand in common and leap years, the 31st that a month lacks left out, moved back, moved on
SELECT crm.format_jalali(r::date, 'YYYY/MM/DD') AS day FROM crm.recurrence('RSCALE=PERSIAN;FREQ=MONTHLY;INTERVAL=5;BYMONTHDAY=1', '2031-03-21', '-infinity', '2032-03-01', 'UTC') AS r;
SELECT crm.format_jalali(r::date, 'YYYY/MM/DD') AS day FROM crm.recurrence('RSCALE=PERSIAN;FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=-1', '2024-03-20', '2024-03-21', '2030-01-01', 'Asia/Tehran') AS r;
SELECT s.skip, array_agg(crm.format_jalali(r::date, 'MM/DD') ORDER BY r) AS days
FROM (VALUES ('OMIT'), ('BACKWARD'), ('FORWARD')) AS s (skip)
CROSS JOIN crm.recurrence('RSCALE=PERSIAN;FREQ=MONTHLY;BYMONTHDAY=31;SKIP=' || s.skip, crm.from_jalali(1410, 5, 1)::timestamptz, '-infinity', crm.from_jalali(1411, 1, 10)::timestamptz, 'UTC') AS r
GROUP BY s.skip ORDER BY s.skip;
-- every week from Saturday, Persian holidays' Friday left out
SELECT string_agg(to_char(r, 'Dy DD'), ', ' ORDER BY r) FROM crm.recurrence('FREQ=WEEKLY;INTERVAL=2;BYDAY=SA,TH;WKST=SA', '2031-03-01', '-infinity', '2031-04-01', 'Asia/Tehran') AS r;
-- the end: a day counts, a time of the zone, an instant
SELECT u.until, count(r) FROM (VALUES ('20310305'), ('20310305T100000'), ('20310305T095959'), ('20310305T090000Z'), ('20310305T085959Z')) AS u (until)
LEFT JOIN LATERAL crm.recurrence('FREQ=DAILY;UNTIL=' || u.until, '2031-03-01 09:00Z', '-infinity', 'infinity', 'Europe/Berlin') AS r ON true GROUP BY u.until ORDER BY u.until;
SELECT crm.next_recurrence('FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29', '2031-01-01', '2031-01-01', 'UTC'), crm.next_recurrence('FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30', '2031-01-01', '2031-01-01', 'UTC'),
       crm.next_recurrence('FREQ=DAILY;COUNT=3', '2031-01-01', '2031-01-03', 'UTC'), crm.next_recurrence('FREQ=DAILY', '2031-01-01', '1900-01-01', 'UTC'),
       crm.next_recurrence('FREQ=DAILY', '2031-01-01', 'infinity', 'UTC'), crm.next_recurrence(NULL, '2031-01-01', 'infinity', 'UTC');
SELECT count(*) FROM crm.recurrence('FREQ=DAILY', '2031-01-01', '2031-02-01', '2031-01-01', 'UTC');
-- nonsense: each has its own words
CREATE FUNCTION pg_temp.fault(rule text, starts_at timestamptz DEFAULT '2031-01-01', zone text DEFAULT 'UTC') RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; h text;
BEGIN
    PERFORM crm.next_recurrence(rule, starts_at, '2031-01-01', zone);
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, d);
END $$;
SELECT pg_temp.fault(r) FROM unnest(ARRAY['', ';', 'every day', 'FREQ=', 'FREQ=HOURLY', 'FREQ=DAILY;', 'FREQ=DAILY;;', 'INTERVAL=2', 'FREQ=DAILY;FREQ=DAILY', 'FREQ=DAILY;INTERVAL=0', 'FREQ=DAILY;INTERVAL=99999999999',
    'FREQ=DAILY;COUNT=0', 'FREQ=DAILY;COUNT=-1', 'FREQ=DAILY;COUNT=2;UNTIL=20310101', 'FREQ=DAILY;UNTIL=2031-01-01', 'FREQ=DAILY;UNTIL=20310230', 'FREQ=DAILY;UNTIL=20310201T250000Z', 'FREQ=WEEKLY;BYDAY=XX',
    'FREQ=WEEKLY;BYDAY=1MO', 'FREQ=MONTHLY;BYDAY=0MO', 'FREQ=MONTHLY;BYDAY=54MO', 'FREQ=MONTHLY;BYDAY=MO TU', 'FREQ=WEEKLY;BYMONTHDAY=1', 'FREQ=MONTHLY;BYMONTHDAY=32', 'FREQ=MONTHLY;BYMONTHDAY=1,', 'FREQ=MONTHLY;BYMONTH=13',
    'FREQ=MONTHLY;BYSETPOS=1', 'FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0', 'FREQ=MONTHLY;BYHOUR=9', 'FREQ=MONTHLY;WKST=1', 'FREQ=MONTHLY;SKIP=OMIT', 'RSCALE=CHINESE;FREQ=MONTHLY', 'FREQ=DAILY;X=' || repeat('ط', 300)]) AS r;
SELECT pg_temp.fault('FREQ=DAILY', s, z) FROM (VALUES ('2031-01-01'::timestamptz, 'Mars/Olympus'), ('infinity', 'UTC'), ('10000-01-01', 'UTC'), ('2031-01-01', '')) AS v (s, z);
SELECT pg_temp.fault('RSCALE=PERSIAN;FREQ=MONTHLY', '1700-01-01'), pg_temp.fault('RSCALE=PERSIAN;FREQ=MONTHLY', '2256-03-19');
-- ---- activities ----
INSERT INTO crm.users (id, name, time_zone) VALUES (9751, 'Rana', 'Asia/Tehran'), (9752, 'Otto', NULL);
INSERT INTO crm.activities (id, kind, subject, due_at, remind_at, recurrence, owner_id, body) VALUES
    (9751, 'task', 'Report', '2031-03-01 05:30Z', '2031-03-01 05:00Z', 'RSCALE=PERSIAN;FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3', 9751, 'to the board'),
    (9752, 'call', 'Check in', '2031-03-24 08:00Z', NULL, 'FREQ=WEEKLY', 9752, NULL);
CREATE VIEW pg_temp.seen AS
SELECT a.subject, a.due_at, a.remind_at, a.recurs_at, a.done_at IS NOT NULL AS done, a.recurred_at IS NOT NULL AS recurred, a.recurrence_zone AS zone, a.body, a.series
FROM crm.activities AS a WHERE a.series BETWEEN 9751 AND 9759 OR a.id BETWEEN 9751 AND 9759 ORDER BY a.series, a.due_at;
TABLE pg_temp.seen;
-- done early: the next one follows the plan; an hour later on this one day, and the reminder with it; done for good after the third
UPDATE crm.activities SET done_at = '2031-02-27' WHERE id = 9751;
UPDATE crm.activities SET due_at = due_at + interval '1 hour' WHERE series = 9751 AND recurred_at IS NULL;
UPDATE crm.activities SET done_at = now() WHERE series = 9751 AND recurred_at IS NULL;
UPDATE crm.activities SET done_at = now() WHERE series = 9751 AND recurred_at IS NULL;
UPDATE crm.activities SET done_at = now() WHERE series = 9751 AND recurred_at IS NULL;
UPDATE crm.activities SET done_at = now() WHERE series = 9751 AND recurred_at IS NULL;
-- nobody does it: the worker makes the next when its time has come, of many that went by the newest
SELECT crm.repeat_activities('2031-03-24 07:59Z'), crm.repeat_activities('2031-03-24 08:00Z'), crm.repeat_activities('2031-03-24 08:00Z'), crm.repeat_activities('2031-05-20 12:00Z'), crm.next_repeat_at();
TABLE pg_temp.seen;
-- what was done comes back undone, and makes no second one
UPDATE crm.activities SET done_at = NULL WHERE id = 9751;
UPDATE crm.activities SET done_at = '2031-03-01' WHERE id = 9751;
SELECT count(*) FROM pg_temp.seen WHERE series = 9751;
-- the latest one deleted: that was the series; or the rule taken from it; a new rule begins a new series
DELETE FROM crm.activities WHERE series = 9752 AND recurred_at IS NULL;
SELECT crm.repeat_activities('2032-01-01');
INSERT INTO crm.activities (id, kind, subject, due_at, recurrence, recurrence_zone) VALUES (9753, 'task', 'Stops', '2031-03-01', 'FREQ=DAILY', 'UTC'), (9754, 'task', 'Changes', '2031-03-01', 'FREQ=DAILY', 'UTC');
UPDATE crm.activities SET recurrence = NULL WHERE id = 9753;
UPDATE crm.activities SET done_at = '2031-03-01' WHERE id IN (9753, 9754);
UPDATE crm.activities SET recurrence = 'FREQ=WEEKLY' WHERE series = 9754 AND recurred_at IS NULL;
UPDATE crm.activities SET done_at = '2031-03-02' WHERE subject = 'Changes' AND done_at IS NULL;
SELECT a.subject, a.due_at, a.recurrence, a.series = 9754 AS same_series FROM crm.activities AS a WHERE a.subject IN ('Stops', 'Changes') ORDER BY 1, 2;
-- refused, and nothing is changed
UPDATE crm.activities SET recurrence = 'FREQ=MONTHLY' WHERE id = 9754;
INSERT INTO crm.activities (kind, subject, recurrence) VALUES ('task', 'when?', 'FREQ=DAILY');
INSERT INTO crm.activities (kind, subject, due_at, recurrence) VALUES ('task', 'what?', now(), 'every day');
INSERT INTO crm.activities (kind, subject, due_at, recurrence, recurrence_zone) VALUES ('task', 'where?', now(), 'FREQ=DAILY', 'Atlantis');
UPDATE crm.activities SET due_at = NULL WHERE subject = 'Changes' AND recurred_at IS NULL;
SELECT count(*) FROM crm.activities WHERE subject LIKE '%?';
-- an agent does what is theirs; the next is theirs, too; what the CRM writes they do not
CREATE ROLE rana_recurrence;
UPDATE crm.users SET db_role = 'rana_recurrence' WHERE id = 9751;
SELECT FROM crm.grant_access('rana_recurrence', 'agent');
INSERT INTO crm.activities (id, kind, subject, due_at, recurrence, owner_id) VALUES (9755, 'task', 'Hers', '2031-03-01 05:30Z', 'FREQ=WEEKLY', 9751);
SET ROLE rana_recurrence;
UPDATE crm.activities SET done_at = '2031-03-01 06:00Z' WHERE id = 9755;
SELECT a.due_at, a.recurrence_zone, a.owner_id FROM crm.activities AS a WHERE a.series = 9755 ORDER BY 1;
UPDATE crm.activities SET recurred_at = now() WHERE series = 9755 AND recurred_at IS NULL;
UPDATE crm.activities SET series = 1 WHERE series = 9755;
RESET ROLE;
ROLLBACK;
