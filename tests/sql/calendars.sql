-- The shared calendar: busy periods, conflicts, free and busy, times that are offered and booked, within working hours, Persian weeks too.
-- tests/specs/calendar_booking.spec has two bookers at once, tests/shell/calendar_ics.sh reads the iCalendar text.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
SET TIME ZONE 'UTC';
BEGIN;
INSERT INTO crm.users (id, name, time_zone) VALUES (9901, 'Ann', 'Europe/Berlin'), (9902, 'Bahram', 'Asia/Tehran'), (9903, 'Cem', NULL);
INSERT INTO crm.contacts (id, name) VALUES (9901, 'Kian');
SELECT (crm.define_calendar('berlin', '{"zone": "Europe/Berlin", "weekly": {"mon": [["09:00", "12:00"], ["13:00", "17:00"]], "tue": [["09:00", "12:00"]]}, "holidays": ["2031-03-25"]}')).code,
       (crm.define_calendar('tehran', '{"zone": "Asia/Tehran", "weekly": {"sat": [["08:00", "16:00"]], "sun": [["08:00", "16:00"]], "mon": [["08:00", "16:00"]], "thu": [["08:00", "09:00"]]}}')).code;
INSERT INTO crm.agents (user_id, calendar_id) SELECT v.u, c.id FROM (VALUES (9901, 'berlin'), (9902, 'tehran')) AS v (u, code) JOIN crm.calendars AS c USING (code);
CREATE VIEW pg_temp.busy AS SELECT a.subject, u.name, b.period FROM crm.busy_periods AS b JOIN crm.activities AS a ON a.id = b.activity_id JOIN crm.users AS u ON u.id = b.user_id
WHERE b.user_id BETWEEN 9901 AND 9903 ORDER BY 3, 2;
-- ---- conflicts ----
INSERT INTO crm.activities (id, kind, subject, due_at, ends_at, owner_id) VALUES (9901, 'meeting', 'First', '2031-03-03 09:00Z', '2031-03-03 10:00Z', 9901);
INSERT INTO crm.activity_participants (activity_id, user_id, contact_id) VALUES (9901, 9902, NULL), (9901, NULL, 9901);
-- not answered: not busy yet; then they accept; one after the other is no conflict, over it is one
TABLE pg_temp.busy;
UPDATE crm.activity_participants SET response = 'accepted' WHERE activity_id = 9901;
INSERT INTO crm.activities (id, kind, subject, due_at, ends_at, owner_id) VALUES (9902, 'visit', 'Right after', '2031-03-03 10:00Z', '2031-03-03 11:00Z', 9901), (9903, 'visit', 'Somebody else', '2031-03-03 09:30Z', '2031-03-03 11:00Z', 9903);
INSERT INTO crm.activities (kind, subject, due_at, ends_at, owner_id) VALUES ('visit', 'Clash', '2031-03-03 09:30Z', '2031-03-03 11:00Z', 9901);
INSERT INTO crm.activity_participants (activity_id, user_id, response) VALUES (9903, 9902, 'accepted');
INSERT INTO crm.activities (id, kind, subject, due_at, ends_at, owner_id, shows_as) VALUES (9904, 'visit', 'Perhaps', '2031-03-03 09:30Z', '2031-03-03 11:00Z', 9901, 'tentative');
UPDATE crm.activities SET shows_as = 'busy' WHERE id = 9904;
TABLE pg_temp.busy;
-- moved: the length stays, and the new time counts; the end alone
UPDATE crm.activities SET due_at = '2031-03-03 10:30Z' WHERE id = 9901;
UPDATE crm.activities SET due_at = '2031-03-03 11:00Z' WHERE id = 9901;
UPDATE crm.activities SET ends_at = '2031-03-03 11:30Z' WHERE id = 9902;
SELECT a.due_at, a.ends_at FROM crm.activities AS a WHERE a.id IN (9901, 9902) ORDER BY a.id;
-- declined, deleted, free: the time is there again; handed over: it goes, whatever the other does
UPDATE crm.activity_participants SET response = 'declined' WHERE activity_id = 9901 AND user_id = 9902;
UPDATE crm.activities SET shows_as = 'free' WHERE id = 9902;
UPDATE crm.activities SET owner_id = 9901 WHERE id = 9903;
INSERT INTO crm.activities (id, kind, subject, due_at, ends_at, owner_id) VALUES (9905, 'visit', 'Also at nine', '2031-03-03 09:30Z', '2031-03-03 10:00Z', 9903);
UPDATE crm.activities SET owner_id = 9901 WHERE id = 9905;
TABLE pg_temp.busy;
DELETE FROM crm.activities WHERE id BETWEEN 9901 AND 9905;
TABLE pg_temp.busy;
-- nonsense
\set VERBOSITY terse
INSERT INTO crm.activities (kind, subject, due_at, ends_at) VALUES ('visit', 'Backwards', '2031-03-03 09:30Z', '2031-03-03 09:00Z');
INSERT INTO crm.activities (kind, subject, ends_at) VALUES ('visit', 'No beginning', '2031-03-03 09:00Z');
\set VERBOSITY default
-- ---- free and busy: no word of what it is, touching things as one, series with all their times ----
INSERT INTO crm.activities (id, kind, subject, due_at, ends_at, owner_id, shows_as, recurrence) VALUES
    (9911, 'meeting', 'Secret', '2031-03-03 09:00Z', '2031-03-03 10:00Z', 9901, 'busy', NULL), (9912, 'meeting', 'Secret too', '2031-03-03 10:00Z', '2031-03-03 10:30Z', 9901, 'busy', NULL),
    (9913, 'visit', 'Perhaps', '2031-03-03 10:00Z', '2031-03-03 12:00Z', 9901, 'tentative', NULL), (9914, 'meeting', 'Weekly', '2031-03-24 08:00Z', '2031-03-24 09:00Z', 9901, 'busy', 'FREQ=WEEKLY;COUNT=3'),
    (9915, 'meeting', 'Free', '2031-03-04 09:00Z', '2031-03-04 10:00Z', 9901, 'free', NULL);
SELECT * FROM crm.free_busy(9901, '2031-03-01', '2031-05-01');
SELECT * FROM crm.free_busy(9901, '2031-03-03 09:30Z', '2031-03-03 10:15Z');
SELECT count(*) FROM crm.free_busy(9901, '2031-05-01', '2031-03-01');
-- the next of a series that finds the time taken is made all the same, tentative; who takes part is asked again
INSERT INTO crm.activity_participants (activity_id, user_id, contact_id, response) VALUES (9914, 9902, NULL, 'accepted'), (9914, NULL, 9901, 'accepted');
INSERT INTO crm.activities (id, kind, subject, due_at, ends_at, owner_id) VALUES (9916, 'visit', 'In the way', '2031-03-31 07:30Z', '2031-03-31 08:00Z', 9901);
UPDATE crm.activities SET done_at = '2031-03-24 09:00Z' WHERE id = 9914;
SELECT a.due_at, a.ends_at, a.shows_as, (SELECT array_agg(p.response || coalesce(' user', '') ORDER BY p.user_id NULLS LAST) FROM crm.activity_participants AS p WHERE p.activity_id = a.id) AS responses
FROM crm.activities AS a WHERE a.series = 9914 ORDER BY a.due_at;
-- ---- times that are free: working hours, holidays, the wall clock of the first; the clocks of Berlin change on 2031-03-30 ----
SELECT string_agg(to_char(s AT TIME ZONE 'Europe/Berlin', 'DD HH24:MI'), ', ' ORDER BY s) FROM crm.free_slots('{9901}', '2031-03-03', '2031-03-05', 60, 60) AS s;
SELECT string_agg(to_char(s AT TIME ZONE 'Europe/Berlin', 'DD HH24:MI'), ', ' ORDER BY s) FROM crm.free_slots('{9901}', '2031-03-24', '2031-04-01 12:00Z', 90, 90) AS s;
SELECT string_agg(to_char(s AT TIME ZONE 'Asia/Tehran', 'Dy DD HH24:MI'), ', ' ORDER BY s) FROM crm.free_slots('{9902}', '2031-03-05', '2031-03-11', 60, 120) AS s;
SELECT string_agg(to_char(s AT TIME ZONE 'Asia/Tehran', 'Dy DD HH24:MI'), ', ' ORDER BY s) FROM crm.free_slots('{9902,9901}', '2031-03-03', '2031-03-11', 60, 30) AS s;
SELECT * FROM crm.free_slots('{9903}', '2031-03-03', '2031-03-05');
SELECT * FROM crm.free_slots('{}', '2031-03-03', '2031-03-05');
SELECT * FROM crm.free_slots('{9901}', '2031-03-03', '2032-03-05');
SELECT * FROM crm.free_slots('{9901}', '2031-03-03', '2031-03-05', 0);
-- ---- offered and booked ----
SELECT crm.offer_slots('Talk', '{9902,9901}', 9901, 60, '2031-03-10', '2031-03-11', 60) AS token \gset
SELECT s FROM crm.offered_slots(:'token', '2031-03-01') AS s;
SELECT a.kind, a.subject, a.due_at, a.ends_at, a.owner_id, a.contact_id
FROM crm.book_slot(:'token', '2031-03-10 09:30Z', 'Kian, by the link', '2031-03-01') AS a;
SELECT count(*), sum((SELECT count(*) FROM crm.activity_participants AS p WHERE p.activity_id = a.id AND p.response = 'accepted')) AS others FROM crm.activities AS a WHERE a.subject = 'Talk';
SELECT a.due_at FROM crm.book_slot(:'token', '2031-03-10 09:30Z', 'Kian', '2031-03-01') AS a;
SELECT FROM crm.book_slot(:'token', '2031-03-10 10:30Z', 'Kian', '2031-03-01') AS a;
SELECT count(*) FROM crm.offered_slots(:'token', '2031-03-01') AS s;
SELECT name, period FROM pg_temp.busy WHERE subject = 'Talk';
-- refused: an unknown token, a time outside, one that was taken, nobody named, too late
SELECT crm.offer_slots('Talk again', '{9902}', NULL, 60, '2031-03-10', '2031-03-11', 60) AS token \gset
SELECT FROM crm.offered_slots('nonsense');
SELECT FROM crm.book_slot(NULL, '2031-03-10 08:30Z', 'Kian');
SELECT FROM crm.book_slot(:'token', '2031-03-10 08:45Z', 'Kian', '2031-03-01');
SELECT FROM crm.book_slot(:'token', '2031-03-10 09:30Z', 'Kian', '2031-03-01');
SELECT FROM crm.book_slot(:'token', '2031-03-10 08:30Z', '', '2031-03-01');
SELECT FROM crm.book_slot(:'token', '2031-03-10 08:30Z', 'Kian', '2031-03-12');
SELECT crm.offer_slots('', '{9902}'), 1;
SELECT crm.offer_slots('Talk', '{9902}', 999999);
SELECT crm.offer_slots('Talk', '{9903}');
SELECT count(*) FROM crm.activities AS a WHERE a.subject LIKE 'Talk%';
-- the meeting is deleted: so is what was offered
DELETE FROM crm.activities WHERE subject = 'Talk';
SELECT count(*) FROM crm.meeting_offers WHERE subject = 'Talk';
-- ---- who sees what: a colleague who takes part sees the meeting; others only that somebody is busy ----
CREATE ROLE ann_calendar; CREATE ROLE bahram_calendar; CREATE ROLE cem_calendar;
UPDATE crm.users SET db_role = CASE id WHEN 9901 THEN 'ann_calendar' WHEN 9902 THEN 'bahram_calendar' ELSE 'cem_calendar' END::name WHERE id BETWEEN 9901 AND 9903;
SELECT count(*) FROM unnest('{ann_calendar,bahram_calendar,cem_calendar}'::name[]) AS r, crm.grant_access(r, 'agent');
SET ROLE ann_calendar;
INSERT INTO crm.activities (kind, subject, due_at, ends_at) VALUES ('meeting', 'Ours', '2031-04-07 09:00Z', '2031-04-07 10:00Z');
INSERT INTO crm.activity_participants (activity_id, user_id) SELECT a.id, 9902 FROM crm.activities AS a WHERE a.subject = 'Ours';
SET ROLE bahram_calendar;
SELECT p.response FROM crm.activities AS a, crm.answer_invitation(a.id, 'accepted') AS p WHERE a.subject = 'Ours';
SELECT FROM crm.activities AS a, crm.answer_invitation(a.id, 'yes') AS p WHERE a.subject = 'Ours';
SELECT FROM crm.answer_invitation(9911, 'accepted');
UPDATE crm.activity_participants SET response = 'accepted' WHERE user_id = 9902 AND activity_id = (SELECT a.id FROM crm.activities AS a WHERE a.subject = 'Ours');
SELECT a.subject FROM crm.activities AS a WHERE a.subject IN ('Ours', 'Secret');
SELECT crm.calendar_ics(from_at => '2031-04-01', until_at => '2031-05-01') ~ 'SUMMARY:Ours' AS in_calendar;
SET ROLE cem_calendar;
SELECT count(*) FROM crm.activities AS a WHERE a.subject IN ('Ours', 'Secret');
SELECT * FROM crm.free_busy(9902, '2031-04-07', '2031-04-08');
SELECT crm.calendar_ics(9901, NULL, '2031-03-01', '2031-05-01') ~ 'SUMMARY:(Ours|Secret)' AS in_calendar;
SELECT count(*) FROM crm.busy_periods;
INSERT INTO crm.busy_periods (activity_id, user_id, period) SELECT 9911, 9903, '[2031-01-01,2031-01-02)';
SELECT crm.calendar_ics(999999) IS NULL;
RESET ROLE;
ROLLBACK;
