-- Scoring keeps tenants apart: rows of the same numbers, one statement over both, and models that learn from their own leads only.
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
SET LOCAL client_min_messages = warning;
SELECT t.tenant_id AS second FROM crm.create_tenant('Second') AS t \gset
SET LOCAL crm.tenant = '1';
SELECT (crm.define_score_model('{"name": "same", "rules": [{"name": "large", "when": "$.employees >= 100", "points": 20}, {"name": "visit", "event": "visit", "points": 3}]}')).name;
SET LOCAL crm.tenant = :'second';
SELECT (crm.define_score_model('{"name": "same", "rules": [{"name": "large", "when": "$.employees >= 100", "points": -7}, {"name": "visit", "event": "visit", "points": 50}]}')).name;
-- the same numbers in both
INSERT INTO crm.leads (tenant_id, id, name, employees, pipeline_id, stage_id)
SELECT x.tenant_id, n, 'Lead ' || n, n, x.pipeline_id, x.id
FROM generate_series(98, 103) AS n, crm.stages AS x JOIN crm.pipelines AS p ON p.tenant_id = x.tenant_id AND p.id = x.pipeline_id
WHERE p.subject_table = 'leads' AND x.code = 'new' AND x.tenant_id IN (1, :second);
INSERT INTO crm.score_events (tenant_id, lead_id, kind) SELECT t, n, 'visit' FROM unnest(ARRAY[:second, 1, :second]::bigint[]) AS t, unnest('{101,99}'::bigint[]) AS n;
UPDATE crm.leads AS l SET employees = 200 WHERE l.id = 98 AND l.tenant_id IN (1, :second);
SELECT lead_id, score FROM crm.top_leads(10);
SELECT count(*) AS wrong FROM crm.verify_lead_scores('same');
SET LOCAL crm.tenant = '1';
SELECT lead_id, score FROM crm.top_leads(10);
SELECT count(*) AS wrong FROM crm.verify_lead_scores('same');
-- rules of one change nothing of the other
UPDATE crm.score_rules AS r SET points = 1 WHERE r.name = 'large' AND r.tenant_id = 1;
SELECT crm.replay_scores('same') AS leads;
SELECT lead_id, score FROM crm.top_leads(2);
SET LOCAL crm.tenant = :'second';
SELECT lead_id, score FROM crm.top_leads(2);
SELECT p.tenant_id = 1 AS first, p.complete, p.version = m.version AS present FROM crm.score_replays AS p JOIN crm.score_models AS m ON m.tenant_id = p.tenant_id AND m.id = p.model_id WHERE m.name = 'same' ORDER BY 1 DESC;

-- training: what leads of others became is not looked at
SELECT crm.begin_history('test') IS NOT NULL AS history;
CREATE FUNCTION pg_temp.fill(tenant bigint, low int, high int, good text) RETURNS bigint LANGUAGE sql AS $f$
    INSERT INTO crm.contacts (tenant_id, id, name) VALUES (tenant, 900 + tenant, 'Somebody') ON CONFLICT DO NOTHING;
    INSERT INTO crm.leads (tenant_id, id, name, source, employees, created_at, stage_id, pipeline_id, closed_at, stage_entered_at, converted_at, contact_id, disqualification_reason)
    SELECT tenant, g, 'L' || g, s.source, 1 + (hashint4(g + 5) & 255), timestamptz '2024-01-01' + g * interval '1 hour', t.id, t.pipeline_id,
           timestamptz '2024-01-08' + g * interval '1 hour', timestamptz '2024-01-08' + g * interval '1 hour',
           CASE WHEN w.won THEN timestamptz '2024-01-08' + g * interval '1 hour' END, CASE WHEN w.won THEN 900 + tenant END, CASE WHEN NOT w.won THEN 'no_need' END
    FROM generate_series(low, high) AS g
    CROSS JOIN LATERAL (SELECT (ARRAY['referral', 'web', 'ads'])[1 + abs(hashint4(g)) % 3] AS source) AS s
    CROSS JOIN LATERAL (SELECT (hashint4(g + 1) & 1023) / 1024.0 < CASE WHEN s.source = good THEN 0.7 ELSE 0.2 END AS won) AS w
    JOIN crm.stages AS t ON t.tenant_id = tenant AND t.code = CASE WHEN w.won THEN 'converted' ELSE 'disqualified' END
    JOIN crm.pipelines AS p ON p.tenant_id = t.tenant_id AND p.id = t.pipeline_id AND p.subject_table = 'leads';
    SELECT count(*) FROM crm.leads AS l WHERE l.tenant_id = tenant AND l.id BETWEEN low AND high
$f$;
SET LOCAL crm.tenant = '1';
SELECT pg_temp.fill(1, 1001, 1400, 'referral');
CREATE TEMP TABLE alone AS SELECT m.coefficients, m.trained_rows, m.trained_wins FROM crm.train_lead_model('{source,log_employees}') AS m;
SELECT pg_temp.fill(:second, 1001, 1400, 'ads');
SELECT m.coefficients = a.coefficients AS same_weights, m.trained_rows = a.trained_rows AND m.trained_wins = a.trained_wins AS same_leads FROM crm.train_lead_model('{source,log_employees}') AS m, alone AS a;
-- the first thinks well of referrals, the second of advertisements
SELECT crm.lead_probability(r.id) > crm.lead_probability(a.id) AS referral_better FROM crm.leads AS r, crm.leads AS a
WHERE r.tenant_id = 1 AND a.tenant_id = 1 AND r.source = 'referral' AND a.source = 'ads' AND r.employees = a.employees LIMIT 1;
SET LOCAL crm.tenant = :'second';
SELECT count(*) AS models FROM crm.predictive_models AS m WHERE m.tenant_id = :second;
SELECT (m.quality ->> 'auc')::float8 > 0.6 AS learnt FROM crm.train_lead_model('{source,log_employees}') AS m;
SELECT crm.lead_probability(r.id) > crm.lead_probability(a.id) AS referral_better FROM crm.leads AS r, crm.leads AS a
WHERE r.tenant_id = :second AND a.tenant_id = :second AND r.source = 'referral' AND a.source = 'ads' AND r.employees = a.employees LIMIT 1;
ROLLBACK;
