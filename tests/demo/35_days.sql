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
