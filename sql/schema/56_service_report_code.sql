-- Reports on service. All are exact at the instant they are read.

CREATE OR REPLACE VIEW crm_analytics.article_deflections WITH (security_invoker = true) AS
SELECT a.tenant_id, a.id AS article_id, a.code, a.state, a.visibility,
       count(d.id) FILTER (WHERE d.outcome = 'viewed') AS viewed,
       count(d.id) FILTER (WHERE d.outcome = 'solved') AS solved,
       count(d.id) FILTER (WHERE d.outcome = 'not_solved') AS not_solved,
       count(d.id) FILTER (WHERE d.outcome = 'linked') AS linked,
       round(count(d.id) FILTER (WHERE d.outcome = 'solved')::numeric
             / nullif(count(d.id) FILTER (WHERE d.outcome IN ('solved', 'not_solved')), 0), 4) AS deflection_rate,
       max(d.happened_at) AS last_used_at
FROM crm.articles AS a
LEFT JOIN crm.article_deflections AS d ON d.tenant_id = a.tenant_id AND d.article_id = a.id
GROUP BY a.tenant_id, a.id, a.code, a.state, a.visibility;
COMMENT ON VIEW crm_analytics.article_deflections IS
'What came of each article: times viewed, tickets it made unnecessary (solved), tickets opened all the same, uses by agents; deflection_rate = solved / (solved + not_solved), NULL where neither was said.';
