-- Statements for discard.sh: one way through process, escalation, rollup, segments, scoring, import and service, few
-- enough to end while PostgreSQL drops its caches at every chance. They print nothing that differs from run to run.
\pset format unaligned
\pset tuples_only on
\set ON_ERROR_STOP on
SET client_min_messages = warning;

\echo process
INSERT INTO crm.accounts (id, name) VALUES (9001, 'Account');
INSERT INTO crm.opportunities (id, name, account_id, amount) VALUES (1, 'Deal', 9001, 10);
UPDATE crm.opportunities SET stage_id = (SELECT s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.id = s.pipeline_id
                                         WHERE p.code = 'sales' AND s.code = 'qualification') WHERE id = 1;
SELECT m.stage_code, m.allowed FROM crm.allowed_moves_of('opportunities', 1) AS m ORDER BY 1;
SELECT count(*) FROM crm.stage_periods WHERE subject_table = 'opportunities';

\echo rollup
CREATE TABLE public.sold (id bigint PRIMARY KEY, region text, amount numeric);
SELECT r.name FROM crm.create_rollup('sold_by_region', 'public.sold', ARRAY['region'], ARRAY['count(*) AS n', 'sum(amount) AS amount']) AS r;
INSERT INTO public.sold VALUES (1, 'north', 5), (2, 'south', 7);
UPDATE public.sold SET amount = 6 WHERE id = 1;
SELECT region, n, amount FROM crm_analytics.sold_by_region ORDER BY 1;
-- what is compiled goes out of date between the rows of a statement, also in a savepoint that is undone
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    COMMENT ON TABLE public.sold IS 'touched';
    IF new.region NOT IN ('below', 'undone') THEN
        INSERT INTO public.sold VALUES (new.id + 10, 'below', 1);
        BEGIN INSERT INTO public.sold VALUES (new.id + 20, 'undone', 1); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN NULL; END;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER touch AFTER INSERT ON public.sold FOR EACH ROW EXECUTE FUNCTION public.touch();
INSERT INTO public.sold VALUES (3, 'north', 5), (4, 'east', 7), (5, 'north', 7);
SELECT region, n, amount FROM crm_analytics.sold_by_region ORDER BY 1;

\echo segments
SELECT s.name FROM crm.define_segment('{"name": "big", "where": "$.employees >= 50"}') AS s;
INSERT INTO crm.leads (id, name, employees) VALUES (1, 'Ada', 10);
UPDATE crm.leads SET employees = 60 WHERE id = 1;
SELECT m.segment, m.subject_id FROM crm.segment_members AS m;

\echo scoring
SELECT crm.define_score_model('{"name": "m", "rules": [{"name": "visit", "event": "visit", "points": 5}, {"name": "size", "when": "$.employees > 20", "points": 7}]}') IS NULL;
INSERT INTO crm.score_events (lead_id, kind) VALUES (1, 'visit');
SELECT t.lead_id FROM crm.top_leads(5) AS t;

\echo import
CREATE TABLE public.companies (code text, title text, staff text);
INSERT INTO public.companies VALUES ('c1', 'Alpha', '12'), ('c2', 'Beta', 'many');
SELECT rows_read, rows_inserted, rows_bad FROM crm.import_table('public.companies', '{
    "target": "accounts", "source_system": "legacy", "key": "code", "columns": {"name": "title", "employees": "staff"}}');

\echo service and escalation
INSERT INTO crm.users (id, name) VALUES (9511, 'Ada'), (9512, 'Ben');
INSERT INTO crm.sla_policies (id, name) VALUES (9511, 'policy');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (9511, 'resolution', 3600, 'calendar');
INSERT INTO crm.escalation_steps (id, policy_id, metric, name, percent, action, recipients) VALUES
    (9511, 9511, 'resolution', 'due', 100, 'reassign', ARRAY['user:9512']);
INSERT INTO crm.tickets (id, subject, owner_id, created_at) VALUES (1, 'late', 9511, now() - interval '1 day');
SELECT crm.escalate(now(), 10);
SELECT f.step_id, f.outcome FROM crm.escalation_firings AS f;
SELECT owner_id FROM crm.tickets WHERE id = 1;
\echo the end
