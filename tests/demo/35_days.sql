\echo
\echo '== A sales person''s days: a call every second Tuesday and the report on the last working day, and what comes when they are done'
INSERT INTO crm.activities (kind, subject, due_at, remind_at, recurrence, recurrence_zone) VALUES
    ('call', 'Demo: call the fair', '2031-03-11 09:00 Europe/Berlin', '2031-03-11 08:45 Europe/Berlin', 'FREQ=MONTHLY;BYDAY=2TU,4TU', 'Europe/Berlin'),
    ('task', 'Demo: report', '2031-02-28 16:00 Asia/Tehran', NULL, 'RSCALE=PERSIAN;FREQ=MONTHLY;BYDAY=SA,SU,MO,TU,WE;BYSETPOS=-1;WKST=SA', 'Asia/Tehran');
UPDATE crm.activities SET done_at = due_at WHERE subject LIKE 'Demo: %';
UPDATE crm.activities SET done_at = due_at WHERE subject LIKE 'Demo: %' AND done_at IS NULL;
SELECT a.subject, a.recurrence_zone AS zone, a.due_at AT TIME ZONE a.recurrence_zone AS due, a.remind_at AT TIME ZONE a.recurrence_zone AS remind, a.done_at IS NOT NULL AS done
FROM crm.activities AS a WHERE a.subject LIKE 'Demo: %' ORDER BY a.subject, a.due_at;
\echo '-- the reminder is told once'
SELECT crm.send_reminders('2031-04-08 07:00Z') > 0 AS told, crm.send_reminders('2031-04-08 07:00Z') AS again;
DELETE FROM crm.activities WHERE subject LIKE 'Demo: %';

\echo
\echo '== What each of the busiest is to do next, and why (crm_analytics.my_work)'
SELECT w.user_name, w.kind, w.action, w.reason, w.title FROM crm_analytics.my_work AS w WHERE w.place = 1
ORDER BY (SELECT count(*) FROM crm_analytics.my_work AS x WHERE x.user_id = w.user_id) DESC, w.user_name LIMIT 5;

\echo
\echo '== A meeting that a customer books by a link: two want the same time, one gets it'
SELECT (crm.define_calendar('demo days', '{"zone": "Europe/Berlin", "weekly": {"mon": [["09:00", "12:00"]]}}')).code AS calendar;
SELECT min(u.id) AS seller FROM crm.users AS u WHERE u.active AND u.access = 'agent' AND NOT EXISTS (SELECT FROM crm.agents AS a WHERE a.user_id = u.id) \gset
INSERT INTO crm.agents (user_id, calendar_id) SELECT :seller, c.id FROM crm.calendars AS c WHERE c.code = 'demo days';
SELECT crm.offer_slots('Demo: talk', ARRAY[:seller], minutes => 60, from_at => '2031-03-03', until_at => '2031-03-04', step_minutes => 60) AS one,
       crm.offer_slots('Demo: other talk', ARRAY[:seller], minutes => 60, from_at => '2031-03-03', until_at => '2031-03-04', step_minutes => 60) AS two \gset
SELECT s AT TIME ZONE 'Europe/Berlin' AS offered FROM crm.offered_slots(:'one') AS s;
SELECT a.subject, a.due_at AT TIME ZONE 'Europe/Berlin' AS booked FROM crm.book_slot(:'one', '2031-03-03 10:00 Europe/Berlin', 'Ada King') AS a;
\set ON_ERROR_STOP 0
SELECT FROM crm.book_slot(:'two', '2031-03-03 10:00 Europe/Berlin', 'Ben Lee');
\echo '-- SQLSTATE' :SQLSTATE
\set ON_ERROR_STOP 1
\echo '-- and what a calendar program reads of it'
SELECT l AS line FROM regexp_split_to_table(crm.calendar_ics(:seller, NULL, '2031-03-01', '2031-03-10'), E'\r\n') WITH ORDINALITY AS t (l, n)
WHERE l ~ '^(BEGIN:VEVENT|DTSTART|DTEND|SUMMARY|STATUS|END:VEVENT)' ORDER BY n;
DELETE FROM crm.activities WHERE subject LIKE 'Demo: %';
DELETE FROM crm.agents WHERE user_id = :seller;
DELETE FROM crm.calendars WHERE code = 'demo days';
