-- The work list: what is in it for whom, in which order, why; an agent's own, a manager's team's, in their language and zone.
\set ON_ERROR_ROLLBACK on
SET TIME ZONE 'UTC';
BEGIN;
INSERT INTO crm.teams (id, name) VALUES (9801, 'Work'), (9802, 'Elsewhere');
INSERT INTO crm.users (id, name, time_zone, language) VALUES (9801, 'Ann', 'Europe/Berlin', NULL), (9802, 'Bahram', 'Asia/Tehran', 'fa'), (9803, 'Mona', NULL, NULL), (9804, 'Ned', NULL, NULL);
UPDATE crm.users SET access = 'manager' WHERE id = 9803;
INSERT INTO crm.team_memberships (team_id, user_id) VALUES (9801, 9801), (9801, 9802), (9801, 9803), (9802, 9804);
CREATE ROLE ann_work; CREATE ROLE mona_work; CREATE ROLE ned_work;
UPDATE crm.users SET db_role = CASE id WHEN 9801 THEN 'ann_work' WHEN 9803 THEN 'mona_work' ELSE 'ned_work' END::name WHERE id IN (9801, 9803, 9804);
SELECT count(*) FROM unnest('{ann_work,ned_work}'::name[]) AS r, crm.grant_access(r, 'agent');
SELECT FROM crm.grant_access('mona_work', 'manager');
-- activities: overdue, due at the end of the owner's day, on another day, done, without a date, of nobody
INSERT INTO crm.accounts (id, name, owner_id) VALUES (9801, 'Silent Ltd', 9801), (9802, 'Loud Ltd', 9801), (9803, 'Planned Ltd', 9801), (9804, 'Gone Ltd', 9801);
INSERT INTO crm.activities (id, kind, subject, due_at, owner_id, account_id, done_at) VALUES
    (9801, 'call', 'Overdue', (date_trunc('day', now() AT TIME ZONE 'Europe/Berlin') - interval '9 days 12 hours') AT TIME ZONE 'Europe/Berlin', 9801, NULL, NULL), (9802, 'visit', 'Overdue in Tehran', (date_trunc('day', now() AT TIME ZONE 'Asia/Tehran') - interval '9 days 12 hours') AT TIME ZONE 'Asia/Tehran', 9802, NULL, NULL),
    (9803, 'meeting', 'Today', (date_trunc('day', now() AT TIME ZONE 'Europe/Berlin') + interval '1 day' - interval '1 second') AT TIME ZONE 'Europe/Berlin', 9801, NULL, NULL),
    (9804, 'task', 'Tomorrow', (date_trunc('day', now() AT TIME ZONE 'Europe/Berlin') + interval '1 day 1 second') AT TIME ZONE 'Europe/Berlin', 9801, NULL, NULL),
    (9805, 'task', 'Done', now() - interval '10 days', 9801, NULL, now()), (9806, 'task', 'Some time', NULL, 9801, NULL, NULL), (9807, 'task', 'Nobody''s', now() - interval '1 day', NULL, NULL, NULL),
    (9808, 'task', 'Never', '-infinity', 9801, NULL, NULL), (9809, 'call', 'Planned', now() + interval '30 days', 9801, 9803, NULL);
-- orders every ten days: one went silent 60 days ago, one is heard, one has something planned, one went silent years ago
INSERT INTO crm.orders (account_id, amount, currency, ordered_at)
SELECT v.account, 100, 'USD', now() - make_interval(days => v.last + 10 * i) FROM (VALUES (9801, 60), (9802, 1), (9803, 60), (9804, 1000)) AS v (account, last), generate_series(0, 8) AS i;
-- deals: one rots, in euros, one moves
UPDATE crm.stages AS s SET rotting_days = 14 FROM crm.pipelines AS p WHERE p.id = s.pipeline_id AND p.subject_table = 'opportunities' AND s.type = 'open';
INSERT INTO crm.exchange_rates (from_currency, to_currency, rate, valid_from) SELECT 'EUR', t.base_currency, 2, '2000-01-01' FROM crm.tenants AS t WHERE t.tenant_id = crm.tenant_id() AND t.base_currency <> 'EUR';
INSERT INTO crm.opportunities (id, name, owner_id, account_id, amount, currency) VALUES
    (9801, 'Rotten', 9801, 9802, 500, 'EUR'), (9802, 'Fresh', 9801, 9802, 10, 'USD'), (9803, 'Rotten, too', 9801, 9802, 700, 'USD');
SET session_replication_role = replica;
UPDATE crm.opportunities SET stage_entered_at = now() - interval '24 days 1 hour' WHERE id IN (9801, 9803);
RESET session_replication_role;
-- leads: hot and cold, and hot with a call planned
SELECT (crm.define_score_model('{"name": "work", "thresholds": [{"name": "warm", "enter": 10, "leave": 5}, {"name": "hot", "enter": 20, "leave": 15}], "rules": [{"name": "large", "when": "$.employees >= 100", "points": 25}, {"name": "some", "when": "$.employees >= 10", "points": 12}]}')).active;
INSERT INTO crm.leads (id, name, employees, owner_id) VALUES (9801, 'Hot', 500, 9801), (9802, 'Warm', 20, 9801), (9803, 'Hot and planned', 500, 9801);
INSERT INTO crm.activities (kind, subject, related_table, related_id, due_at, owner_id) VALUES ('call', 'later', 'leads', 9803, now() + interval '9 days', 9801);
-- promises: broken, about to break, with time left
SET session_replication_role = replica;
INSERT INTO crm.tickets (id, subject, owner_id, account_id, pipeline_id, stage_id) SELECT v.id, v.subject, 9801, 9802, p.id, (SELECT min(s.id) FROM crm.stages AS s WHERE s.pipeline_id = p.id AND s.type = 'open')
FROM (VALUES (9801, 'Broken'), (9802, 'Nearly'), (9803, 'Time left')) AS v (id, subject), LATERAL (SELECT min(x.id) AS id FROM crm.pipelines AS x WHERE x.subject_table = 'tickets') AS p;
INSERT INTO crm.sla_subjects (subject_type, subject_id) SELECT 'tickets', generate_series(9801, 9803);
INSERT INTO crm.sla_clocks (subject_type, subject_id, metric, cycle, state, due_at, target_seconds, started_at, running_since, counted_from)
SELECT 'tickets', v.id, 'resolution', 1, 'running', now() + v.due, 86400, now() - interval '1 day', now() - interval '1 day', now() - interval '1 day' FROM (VALUES (9801, interval '-2 hours'), (9802, interval '5 hours'), (9803, interval '7 hours')) AS v (id, due);
RESET session_replication_role;
CREATE VIEW pg_temp.work AS SELECT w.user_name, w.place, w.kind, w.action, regexp_replace(regexp_replace(w.reason, 'score \d+', 'score N'), '\d{1,2} [A-Z][a-z]{2} \d{4}( \d\d:\d\d)?', 'DAY') AS reason, w.title, w.account_name,
    CASE WHEN w.kind = 'rotting' THEN w.base_amount::numeric(12,2) END AS amount FROM crm_analytics.my_work AS w WHERE w.user_id BETWEEN 9801 AND 9804 ORDER BY w.user_id, w.place;
GRANT SELECT ON pg_temp.work TO PUBLIC;
TABLE pg_temp.work;
-- in Persian days are Jalali, and digits Persian
SAVEPOINT persian;
UPDATE crm.tickets SET owner_id = 9802 WHERE id = 9801;
SELECT w.kind, w.reason ~ 'از [۰-۹]{1,2} .* ۱[۴-۵][۰-۹]{2} [۰-۹]{2}:[۰-۹]{2} ' AS jalali FROM pg_temp.work AS w WHERE w.user_name = 'Bahram' AND w.kind = 'promise';
ROLLBACK TO persian;
-- seen: own by an agent, the team's by a manager, nothing of them by somebody elsewhere
CREATE FUNCTION pg_temp.seen() RETURNS TABLE (user_name text, things bigint) LANGUAGE sql AS 'SELECT w.user_name, count(*) FROM crm_analytics.my_work AS w WHERE w.user_id BETWEEN 9801 AND 9804 GROUP BY 1 ORDER BY 1';
SET ROLE ann_work;
SELECT * FROM pg_temp.seen();
SET ROLE mona_work;
SELECT * FROM pg_temp.seen();
SET ROLE ned_work;
SELECT * FROM pg_temp.seen();
RESET ROLE;
-- what is done goes from the list, and the next one comes up
UPDATE crm.sla_clocks SET state = 'met', stopped_at = now() WHERE subject_id IN (9801, 9802) AND subject_type = 'tickets';
UPDATE crm.activities SET done_at = now() WHERE id IN (9801, 9803);
UPDATE crm.leads SET employees = 1 WHERE id = 9801;
DELETE FROM crm.opportunities WHERE id = 9801;
INSERT INTO crm.activities (kind, subject, related_table, related_id, done_at, owner_id) VALUES ('call', 'spoke', 'opportunities', 9803, now(), 9801);
SELECT w.place, w.kind, w.title FROM crm_analytics.my_work AS w WHERE w.user_id = 9801;
-- no model, no orders: none of these kinds, and no error; another company sees nothing of this one
DELETE FROM crm.score_models WHERE name = 'work';
SELECT count(*) FROM crm_analytics.my_work AS w WHERE w.user_id BETWEEN 9801 AND 9804 AND w.kind = 'hot_lead';
SELECT t.tenant_id AS other FROM crm.create_tenant('Other', 'EUR', 'UTC', 'en') AS t \gset
SELECT set_config('crm.tenant', :'other', true) IS NOT NULL AS other;
SELECT count(*) FROM crm_analytics.my_work AS w WHERE w.tenant_id = :other;
ROLLBACK;
