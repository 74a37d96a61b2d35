\echo
\echo '== Win rate and time to close'
SELECT count(*) FILTER (WHERE s.type = 'won') AS won, count(*) FILTER (WHERE s.type = 'lost') AS lost,
       round(100.0 * count(*) FILTER (WHERE s.type = 'won') / nullif(count(*) FILTER (WHERE s.type IN ('won', 'lost')), 0), 2) AS win_rate,
       to_char(sum(o.amount) FILTER (WHERE s.type = 'won'), 'FM999,999,999,990') AS won_value
FROM crm.opportunities AS o JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id);
SELECT s.name AS stage, count(*) AS visits, round(avg(extract(epoch FROM upper(p.period) - lower(p.period)) / 86400), 1) AS mean_days,
       round((percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM upper(p.period) - lower(p.period)) / 86400))::numeric, 1) AS median_days
FROM crm.stage_periods AS p JOIN crm.stages AS s ON (s.tenant_id, s.id) = (p.tenant_id, p.stage_id)
WHERE p.subject_table = 'opportunities' AND NOT upper_inf(p.period) GROUP BY s.position, s.name ORDER BY s.position;

\echo
\echo '== A deal on its way: what may I do next, and what is missing?'
SELECT o.id AS deal FROM crm.opportunities AS o JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id)
WHERE s.type = 'open' ORDER BY s.position DESC, o.id LIMIT 1 \gset
SELECT o.name, s.name AS stage, o.amount, o.currency, o.probability FROM crm.opportunities AS o
JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id) WHERE o.id = :deal;
SELECT m.stage_name, m.allowed, m.missing_columns, m.reason FROM crm.allowed_moves(:deal) AS m;

\echo '-- losing it without a reason is refused, whoever tries: here a plain UPDATE'
\set ON_ERROR_STOP 0
UPDATE crm.opportunities SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.pipeline_id = opportunities.pipeline_id AND s.type = 'lost') WHERE id = :deal;
\echo '-- SQLSTATE' :SQLSTATE
\set ON_ERROR_STOP 1

\echo '-- won'
SELECT o.name, s.name AS stage, o.amount, o.probability, o.close_date IS NOT NULL AS dated
FROM crm.win_opportunity(:deal) AS o JOIN crm.stages AS s ON (s.tenant_id, s.id) = (o.tenant_id, o.stage_id);
SELECT p.seq, s.name AS stage, lower(p.period)::timestamp(0) AS entered, justify_hours(date_trunc('hour', upper(p.period) - lower(p.period))) AS stayed, p.amount, p.probability
FROM crm.stage_periods AS p JOIN crm.stages AS s ON (s.tenant_id, s.id) = (p.tenant_id, p.stage_id)
WHERE p.subject_table = 'opportunities' AND p.subject_id = :deal ORDER BY p.seq;

