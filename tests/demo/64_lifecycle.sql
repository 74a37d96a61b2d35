\echo
\echo '== The life cycle of people: who is in which stage, how many go on, and how fast'
SELECT crm.review_lifecycles() >= 0 AS reviewed;
SELECT f.stage, f.people, f.reached, f.went_on, round(100 * f.conversion) AS percent_go_on, round(f.median_days) AS median_days
FROM crm_analytics.lifecycle_funnel AS f ORDER BY f.place;
\echo '-- one of them: the stages, and when the rules began to hold'
SELECT p.subject_table, p.subject_id, p.person FROM crm_analytics.lifecycle_people AS p
JOIN crm.lifecycles AS l ON l.tenant_id = p.tenant_id AND l.subject_table = p.subject_table AND l.subject_id = p.subject_id
JOIN crm.stage_periods AS h ON h.tenant_id = l.tenant_id AND h.subject_table = 'lifecycles' AND h.subject_id = l.id
GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 2, 1 LIMIT 1 \gset
SELECT :'person' AS person, s.name AS stage, lower(h.period)::date AS came_on
FROM crm.lifecycles AS l JOIN crm.stage_periods AS h ON h.tenant_id = l.tenant_id AND h.subject_table = 'lifecycles' AND h.subject_id = l.id
JOIN crm.stages AS s ON s.tenant_id = h.tenant_id AND s.id = h.stage_id
WHERE l.subject_table = :'subject_table' AND l.subject_id = :subject_id ORDER BY h.seq;
