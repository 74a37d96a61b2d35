\echo
\echo '== Service: promises kept and broken, by priority'
SELECT c.key AS priority, c.metric, c.met, c.missed, c.overdue, c.compliance FROM crm_analytics.sla_compliance_by('priority', '2000-01-01', now()) AS c ORDER BY c.metric, c.key;
SELECT p.key AS type, p.tickets, p.resolved, p.reopen_rate FROM crm_analytics.ticket_performance('type', '2000-01-01', now()) AS p ORDER BY p.tickets DESC;
\echo '-- where tickets are stuck'
SELECT b.rank, b.stage, b.why FROM crm_analytics.process_bottlenecks('tickets', (SELECT min(k.created_at) FROM crm.tickets AS k), (SELECT max(k.stage_entered_at) FROM crm.tickets AS k)) AS b LIMIT 3;
