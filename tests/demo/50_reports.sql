\echo
\echo '== The pipeline now, from rollups that are exact in every snapshot'
SELECT s.name AS stage, sum(p.opportunities) AS deals, round(sum(p.amount)) AS amount, round(sum(p.weighted)) AS weighted
FROM crm_analytics.pipeline_now AS p JOIN crm.stages AS s ON (s.tenant_id, s.id) = (p.tenant_id, p.stage_id) GROUP BY s.position, s.name ORDER BY s.position;
\echo '-- from stage to stage: distinct deals that came as far, whatever way they took'
SELECT c.stage, c.reached, c.direct_jumps, c.reentries, c.lost, c.conversion FROM crm_analytics.stage_conversion AS c
WHERE c.reached > 0 ORDER BY c.pipeline_id, c.funnel_step;
\echo '-- where it is stuck'
SELECT b.rank, b.stage, b.why FROM crm_analytics.process_bottlenecks('opportunities', (SELECT max(o.created_at) FROM crm.opportunities AS o) - interval '1 year', (SELECT max(o.created_at) FROM crm.opportunities AS o)) AS b LIMIT 3;
\echo '-- what goes with winning'
SELECT w.attribute, w.value, w.won, w.closed, round(w.win_rate, 3) AS win_rate, round(w.lift, 2) AS lift, round(w.p_value::numeric, 5) AS p FROM crm_analytics.win_factors AS w WHERE w.significant ORDER BY w.lift DESC LIMIT 6;
\pset format unaligned
\pset tuples_only on
\set file :out '/pipeline.html'
\o :file
SELECT crm_analytics.report_html('pipeline');
\set file :out '/pipeline-fa.html'
\o :file
SELECT crm_analytics.report_html('pipeline', language => 'fa');
\set file :out '/dashboard.html'
\o :file
SELECT crm_analytics.report_html('dashboard');
\set file :out '/dashboard-fa.html'
\o :file
SELECT crm_analytics.report_html('dashboard', language => 'fa');
\set file :out '/customer.html'
\o :file
SELECT crm_analytics.report_html('customer', (SELECT o.account_id FROM crm.orders AS o GROUP BY o.account_id ORDER BY sum(o.base_amount) DESC LIMIT 1));
\o
