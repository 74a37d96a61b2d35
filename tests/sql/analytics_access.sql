-- The views show each reader what they may see, whether a rollup serves them or not.
BEGIN;
SET LOCAL timezone = 'UTC';
CREATE ROLE analytics_manager;
CREATE ROLE analytics_agent;
CREATE ROLE analytics_reader;
INSERT INTO crm.users (id, name, access, db_role) VALUES (951, 'Mia', 'manager', 'analytics_manager'), (952, 'Abe', 'agent', 'analytics_agent'), (953, 'Cy', 'agent', NULL);
SELECT crm.grant_access('analytics_manager', 'manager'), crm.grant_access('analytics_agent', 'agent'), crm.grant_access('analytics_reader', 'reader');
SET LOCAL session_replication_role = replica;
INSERT INTO crm.pipelines (id, code, name, subject_table) VALUES (951, 'seen', 'Seen', 'opportunities');
INSERT INTO crm.stages (id, pipeline_id, code, name, position, type, probability, forecast_category) VALUES
    (951, 951, 's1', 'One', 1, 'open', 10, 'pipeline'), (952, 951, 'won', 'Won', 2, 'won', 100, 'closed');
INSERT INTO crm.opportunities (id, name, pipeline_id, stage_id, amount, owner_id, shared_user_ids, close_date, closed_at) VALUES
    (9501, 'mine', 951, 951, 1, 952, '{}', NULL, NULL), (9502, 'another''s', 951, 951, 10, 953, '{}', NULL, NULL), (9503, 'shared', 951, 951, 100, 953, '{952}', NULL, NULL),
    (9504, 'mine, won', 951, 952, 1000, 952, '{}', '2024-01-01', '2024-01-01'), (9505, 'another''s, won', 951, 952, 10000, 953, '{}', '2024-01-01', '2024-01-01');
SET LOCAL session_replication_role = origin;

CREATE FUNCTION pg_temp.seen() RETURNS TABLE (open bigint, amount numeric, won bigint, won_amount numeric, facts bigint) LANGUAGE sql AS $$
    SELECT (SELECT sum(p.opportunities)::bigint FROM crm_analytics.pipeline_now AS p WHERE p.pipeline_id = 951),
           (SELECT sum(p.amount) FROM crm_analytics.pipeline_now AS p WHERE p.pipeline_id = 951),
           (SELECT sum(w.won)::bigint FROM crm_analytics.win_rate AS w WHERE w.pipeline_id = 951),
           (SELECT sum(w.won_amount) FROM crm_analytics.closed_by_owner AS w WHERE w.pipeline_id = 951),
           (SELECT count(*) FROM crm_analytics.fact_opportunities AS f WHERE f.pipeline_id = 951)
$$;
SELECT round(amount, 2) AS amount, open, won, round(won_amount, 2) AS won_amount, facts FROM pg_temp.seen();
SET LOCAL ROLE analytics_manager;
SELECT round(amount, 2) AS amount, open, won, round(won_amount, 2) AS won_amount, facts FROM pg_temp.seen();
RESET ROLE; SET LOCAL ROLE analytics_reader;
SELECT round(amount, 2) AS amount, open, won, round(won_amount, 2) AS won_amount, facts FROM pg_temp.seen();
RESET ROLE; SET LOCAL ROLE analytics_agent;
SELECT round(amount, 2) AS amount, open, won, round(won_amount, 2) AS won_amount, facts FROM pg_temp.seen();
SELECT count(*) > 0 AS dashboard FROM crm_analytics.dashboard;
SELECT length(crm_analytics.report_html('pipeline')) > 5000 AS page, length(crm_analytics.report_html('dashboard')) > 5000 AS dashboard;
-- the sums of everybody are out of reach
\set VERBOSITY terse
SAVEPOINT closed;
SELECT * FROM crm_internal.crm_opportunities_open;
ROLLBACK TO closed;
-- each view and function answers
SELECT count(*) AS views, count(*) FILTER (WHERE NOT has_table_privilege(c.oid, 'SELECT')) AS refused FROM pg_class AS c WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind = 'v' AND c.relname = 'forecast';
DO $$
DECLARE
    v record;
BEGIN
    FOR v IN SELECT c.oid::regclass AS name FROM pg_class AS c WHERE c.relnamespace = 'crm_analytics'::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('SELECT count(*) FROM %s', v.name);
    END LOOP;
END
$$;
ROLLBACK;
