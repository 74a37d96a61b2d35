-- Service clocks and calendars for people with less than all rights.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET datestyle = 'ISO, YMD';
SET timezone = 'UTC';
BEGIN;
\getenv srcdir PG_ABS_SRCDIR
\set helper :srcdir '/helpers/levels.sql'
\i :helper
RESET crm.tenant;

SET LOCAL ROLE regress_crm_admin;
SELECT c.code FROM crm.define_calendar('access', '{"zone": "UTC", "weekly": {"mon": [["09:00","17:00"]], "tue": [["09:00","17:00"]]}}') AS c;
SELECT c.id AS calendar FROM crm.calendars AS c WHERE c.code = 'access' \gset
INSERT INTO crm.sla_policies (subject_type, name, calendar_id) VALUES ('x:access', 'p', :calendar);
INSERT INTO crm.sla_targets (policy_id, metric, seconds) SELECT p.id, 'resolution', 36000 FROM crm.sla_policies AS p WHERE p.name = 'p';

SET LOCAL ROLE regress_crm_agent;
SELECT e.event, e.user_id FROM crm.record_sla_event('x:access', 1, 'opened', '2020-07-13 10:00Z') AS e;
SELECT c.state, c.due_at FROM crm.clock_state('x:access', 1, '2020-07-13 12:00Z') AS c;
SELECT s.state, s.overdue FROM crm.sla_clock_status AS s WHERE s.subject_type = 'x:access';
INSERT INTO crm.sla_events (subject_type, subject_id, event) VALUES ('x:access', 1, 'resolved');
UPDATE crm.sla_clocks SET due_at = now();
SELECT crm.record_sla_breaches();
SELECT crm.define_calendar('mine', '{"zone": "UTC", "weekly": {"mon": [["09:00","17:00"]]}}');
UPDATE crm.sla_policies SET active = false;
SELECT count(*) AS policies_changed FROM crm.sla_policies AS p WHERE NOT p.active;

SET LOCAL ROLE regress_crm_reader;
SELECT crm.business_elapsed(:calendar, '2020-07-13 10:00Z', '2020-07-13 12:00Z') AS seconds;
SELECT c.state FROM crm.clock_state('x:access', 1, '2020-07-13 12:00Z') AS c;
SELECT crm.record_sla_event('x:access', 1, 'resolved');

-- holidays of an admin reach clocks that the admin cannot write
SET LOCAL ROLE regress_crm_admin;
SELECT crm.import_holidays(:calendar, 'feed', '[{"date": "2020-07-14"}]') AS imported;
SELECT s.due_at, s.breached_at FROM crm.sla_clock_status AS s WHERE s.subject_type = 'x:access';

-- another company sees nothing of it
SET LOCAL ROLE regress_crm_other;
SELECT count(*) AS clocks FROM crm.sla_clock_status;
SELECT count(*) AS clocks FROM crm.clock_state('x:access', 1);
SELECT * FROM crm.sla_fold('x:access', 1, tenant_id => :first);
SELECT count(*) AS calendars FROM crm.calendars;
SELECT crm.sla_used(:calendar, '2020-07-14', '2020-07-13', tenant_id => :first);
RESET ROLE;
ROLLBACK;
