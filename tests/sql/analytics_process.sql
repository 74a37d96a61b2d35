-- What history tells, against figures worked out by hand.
BEGIN;
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
-- history is written as it was recorded elsewhere
SET LOCAL session_replication_role = replica;
INSERT INTO crm.pipelines (id, code, name, subject_table) VALUES (901, 'hand', 'By hand', 'opportunities');
INSERT INTO crm.stages (id, pipeline_id, code, name, position, type, probability, forecast_category) VALUES
    (911, 901, 's1', 'One', 1, 'open', 10, 'pipeline'), (912, 901, 's2', 'Two', 2, 'open', 50, 'best_case'),
    (913, 901, 'won', 'Won', 3, 'won', 100, 'closed'), (914, 901, 'lost', 'Lost', 4, 'lost', 0, 'omitted');

-- deal, steps: stage code@instant; the last step is still running unless it is an end '-'
CREATE FUNCTION pg_temp.deal(deal bigint, steps text[], amounts numeric[] DEFAULT NULL, dates date[] DEFAULT NULL, owner bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    n integer := cardinality(steps);
    at timestamptz;
    ends timestamptz;
    stage bigint;
    before bigint;
BEGIN
    FOR i IN 1..n LOOP
        CONTINUE WHEN steps[i] LIKE '-@%';
        at := split_part(steps[i], '@', 2)::timestamptz;
        ends := split_part(steps[i + 1], '@', 2)::timestamptz;
        SELECT s.id INTO STRICT stage FROM crm.stages AS s WHERE s.pipeline_id = 901 AND s.code = split_part(steps[i], '@', 1);
        INSERT INTO crm.stage_periods (tenant_id, subject_table, subject_id, seq, pipeline_id, stage_id, period, amount, currency, close_date, owner_id, moved)
        VALUES (1, 'opportunities', deal, i, 901, stage, tstzrange(at, ends), amounts[i], 'USD', dates[i], owner, stage IS DISTINCT FROM before);
        before := stage;
    END LOOP;
END
$$;

\echo == the funnel of three deals, and a fourth that skips a stage
SAVEPOINT funnel;
SELECT pg_temp.deal(1, '{s1@2024-01-01,s2@2024-01-02,s1@2024-01-03,s2@2024-01-04,won@2024-01-05}');
SELECT pg_temp.deal(2, '{s1@2024-01-01,s2@2024-01-02,lost@2024-01-03}');
SELECT pg_temp.deal(3, '{s1@2024-01-01}');
SELECT stage, reached, entered, direct_jumps, visits, reentries, lost, reached_next, round(conversion, 4) AS conversion, round(conversion_from_start, 4) AS from_start
FROM crm_analytics.stage_conversion WHERE pipeline_id = 901 ORDER BY funnel_step;
SELECT pg_temp.deal(4, '{s1@2024-01-01,won@2024-01-02}');
SELECT stage, reached, entered, direct_jumps, round(conversion, 4) AS conversion FROM crm_analytics.stage_conversion WHERE pipeline_id = 901 ORDER BY funnel_step;
-- an amount that changes within a stage is no new visit
SELECT pg_temp.deal(5, '{s1@2024-01-01,s1@2024-01-03,s2@2024-01-05}', '{10,20,20}');
SELECT subject_id, visit, stage_id, entered_at, left_at, round(days, 2) AS days, is_running, visit_of_stage, from_stage_id, to_stage_id, amount
FROM crm_analytics.stage_visits WHERE pipeline_id = 901 AND subject_id IN (1, 5) AND (NOT is_running OR subject_id = 1) AND stage_id <> 913 ORDER BY subject_id, visit;
ROLLBACK TO funnel;

\echo == time in stage: 1 and 4 days finished, 2 and 3 days still running
SELECT pg_temp.deal(1, ARRAY['s1@2024-01-01', 'won@2024-01-02']);
SELECT pg_temp.deal(2, ARRAY['s1@2024-01-01', 'lost@2024-01-05']);
SELECT pg_temp.deal(3, ARRAY['s1@' || now() - interval '2 days']);
SELECT pg_temp.deal(4, ARRAY['s1@' || now() - interval '3 days']);
-- Kaplan-Meier: 3/4 after one day, then nobody leaves before the last one does on day 4
SELECT stage, subjects, finished, running, mean_days, median_days, km_median_days, km_p90_days, oldest_running_days
FROM crm_analytics.time_in_stage WHERE pipeline_id = 901;
-- returns add up: one and a half days and half a day; 4 in 5 are left after one day, 3 in 5 after two
SELECT pg_temp.deal(5, ARRAY['s1@2024-01-01', 's2@2024-01-02 12:00', 's1@2024-01-03', 'won@2024-01-03 12:00']);
SELECT stage, subjects, visits, median_days, km_median_days FROM crm_analytics.time_in_stage WHERE pipeline_id = 901 ORDER BY stage;
-- nobody has left: there is no median
DELETE FROM crm.stage_periods WHERE subject_id IN (1, 2, 5) AND pipeline_id = 901;
SELECT stage, subjects, finished, running, median_days, km_median_days FROM crm_analytics.time_in_stage WHERE pipeline_id = 901;
ROLLBACK TO funnel;

\echo == from the pipeline of 1 January to that of 1 April
SELECT pg_temp.deal(1, '{s1@2023-12-01,s2@2024-02-01,won@2024-03-01}', '{100,120,120}', '{2024-02-01,2024-02-01,2024-03-01}');
SELECT pg_temp.deal(2, '{s1@2023-12-01,lost@2024-02-01}', '{200,200}', '{2024-02-01,2024-02-01}');
SELECT pg_temp.deal(3, '{s1@2023-12-01,s2@2024-02-01}', '{300,350}', '{2024-03-01,2024-03-01}');
SELECT pg_temp.deal(4, '{s1@2023-12-01,s1@2024-02-01}', '{400,250}', '{2024-03-01,2024-03-01}');
SELECT pg_temp.deal(5, '{s1@2023-12-01,s1@2024-02-01}', '{500,500}', '{2024-02-01,2024-06-01}');
SELECT pg_temp.deal(6, '{s1@2023-12-01,s1@2024-02-01}', '{600,600}', '{2024-08-01,2024-03-01}');
SELECT pg_temp.deal(7, '{s1@2024-02-01}', '{70}', '{2024-03-01}');
SELECT pg_temp.deal(8, '{s1@2024-02-01,won@2024-02-15}', '{80,80}', '{2024-02-15,2024-02-15}');
SELECT pg_temp.deal(9, '{s1@2023-12-01,-@2024-02-01}', '{90}', '{2024-02-01}');
SELECT pg_temp.deal(10, '{s1@2023-11-01,won@2023-12-01,s1@2024-02-01}', '{110,110,110}', '{2023-12-01,2023-12-01,2024-03-01}');
SELECT step, opportunities, amount, moved_amount FROM crm_analytics.pipeline_waterfall('2024-01-01', '2024-04-01', 901);
SELECT step, opportunities, amount, moved_amount FROM crm_analytics.pipeline_waterfall('2024-01-01', '2024-04-01', 901, '[2024-01-01,2024-04-01)');
-- start and all changes make the end, whatever the instants and the window
SELECT count(*) AS checked, count(*) FILTER (WHERE total <> ends) AS wrong
FROM (SELECT sum(w.amount) FILTER (WHERE w.step <> 'end') AS total, sum(w.amount) FILTER (WHERE w.step = 'end') AS ends
      FROM unnest('{2023-11-15,2024-01-01,2024-01-31,2024-02-10}'::timestamptz[]) AS a, unnest('{2024-02-10,2024-02-20,2024-03-15,2024-04-01}'::timestamptz[]) AS b,
           unnest('{NULL,"[2024-01-01,2024-04-01)","[2024-02-01,2024-03-01)"}'::daterange[]) AS c, crm_analytics.pipeline_waterfall(a, b, 901, c) AS w
      GROUP BY a, b, c) AS x;
-- as it was, deal by deal
SELECT opportunity_id, stage, state, amount, expected_on FROM crm_analytics.pipeline_as_of('2024-01-15') WHERE pipeline_id = 901 ORDER BY 1;
-- an instant belongs to what begins at it
SELECT opportunity_id, state FROM crm_analytics.pipeline_as_of('2024-02-01') WHERE pipeline_id = 901 AND opportunity_id IN (2, 7, 9, 10) ORDER BY 1;
\set VERBOSITY terse
SAVEPOINT wrong;
SELECT crm_analytics.pipeline_waterfall('2024-04-01', '2024-01-01');
ROLLBACK TO wrong;
ROLLBACK TO funnel;

\echo == bottlenecks within ten days
SELECT pg_temp.deal(1, '{s1@2024-01-01,s2@2024-01-05,s1@2024-01-06,s2@2024-01-08,won@2024-01-09}', owner => 1);
SELECT pg_temp.deal(2, '{s1@2024-01-03,won@2024-01-09}', owner => 2);
SELECT pg_temp.deal(3, '{s1@2024-01-07}', owner => 1);
\x on
SELECT b.* FROM crm_analytics.process_bottlenecks('opportunities', '2024-01-01', '2024-01-11', 901) AS b;
\x off
SELECT from_stage, to_stage, direction, moves, share, mean_days, median_days FROM crm_analytics.process_edges('opportunities', '2024-01-01', '2024-01-11', 901);
-- by hand: days 4 6 2 in One, 1 1 in Two: between 10.8, within 8
SELECT factor, groups, visits, explained, f_statistic, slowest_group, slowest_days, mean_days FROM crm_analytics.process_delay_factors('opportunities', '2024-01-01', '2024-01-11', 901);
-- queues: what came less what left is what grew
SELECT bool_and(arrivals - departures = queue_growth) AS balanced FROM crm_analytics.process_bottlenecks('opportunities', '2024-01-02', '2024-01-08', 901);
SAVEPOINT wrong;
SELECT crm_analytics.process_bottlenecks('opportunities', '2024-01-01', '2024-01-01');
ROLLBACK TO wrong;
SELECT count(*) FROM crm_analytics.process_bottlenecks('tickets', '2024-01-01', '2024-01-02');
ROLLBACK;
