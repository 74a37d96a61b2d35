-- Two leads of one person made one: nothing of either is lost, and nothing is counted twice.
\set VERBOSITY terse
BEGIN;
\set ON_ERROR_ROLLBACK on
ALTER TABLE crm.leads ALTER COLUMN id RESTART 9501;
INSERT INTO crm.users (id, name, access) VALUES (950, 'Ann', 'agent'), (951, 'Ben', 'agent');
SELECT (crm.define_score_model('{"name": "merge", "rules": [{"name": "large", "when": "$.employees >= 100", "points": 20},
    {"name": "visit", "event": "visit", "points": 3}, {"name": "first", "event": "visit", "points": 1, "repeat": "once"}]}')).name;
INSERT INTO crm.leads (name, email, phone, city, source, tags, consent, source_system, source_id) VALUES
    ('Ada King', 'ada@merge.example', '+44 20 7946 0018', 'Leeds', 'fair', '{vip}',
     '{"email": {"given": true, "at": "2026-01-05T10:00:00Z"}, "phone": {"given": true, "at": "soon"}, "mail": {"given": true}}', 'old', 'A1');
INSERT INTO crm.leads (name, email, employees, source, tags, consent, owner_id, source_system, source_id) VALUES
    ('A. King', 'ADA@merge.example', 200, 'web', '{fair}',
     '{"email": {"given": false, "at": "2026-03-01T10:00:00Z"}, "phone": {"given": false}, "post": {"given": true}}', 950, 'old', 'A2');
INSERT INTO crm.leads (name, phone) VALUES ('King', '0044 20 7946 0018'), ('Somebody', NULL);
INSERT INTO crm.score_events (lead_id, kind, occurred_at) VALUES (9501, 'visit', now() - interval '3 days'), (9502, 'visit', now() - interval '2 days'), (9502, 'visit', now() - interval '1 day');
INSERT INTO crm.activities (kind, subject, related_table, related_id) VALUES ('call', 'one', 'leads', 9501), ('call', 'two', 'leads', 9502);
SELECT crm.lead_score_at(9501) AS stays, crm.lead_score_at(9502) AS goes;

SELECT lead_id, duplicate_id, matched_by FROM crm_analytics.duplicate_leads ORDER BY 1, 2;
-- what is no merge
SELECT crm.merge_leads(9501, 9501);
SELECT crm.merge_leads(9501, -1);
SELECT crm.merge_leads(NULL, 9501);
SAVEPOINT open;
SELECT (crm.disqualify_lead(9502, 'no_budget')).closed_at IS NOT NULL AS closed;
SELECT crm.merge_leads(9501, 9502);
ROLLBACK TO open;
SELECT name, city, employees, source, tags, owner_id, consent FROM crm.merge_leads(9502, 9501);
SELECT l.id, s.type, l.disqualification_reason, l.disqualification_note, l.merged_into_id FROM crm.leads AS l JOIN crm.stages AS s ON s.id = l.stage_id WHERE l.id IN (9501, 9502) ORDER BY 1;
-- scored with the events of both, which are told apart no more
SELECT crm.lead_score_at(9501) AS stays, crm.lead_score_at(9502) AS goes, (SELECT count(*) FROM crm.verify_lead_scores('merge')) AS wrong;
SELECT subject, related_id FROM crm.activities WHERE related_table = 'leads' AND related_id IN (9501, 9502) ORDER BY 1;
-- again, and elsewhere
SELECT (crm.merge_leads(9502, 9501)).capture_count;
SELECT crm.merge_leads(9502, 9503);
SELECT crm.merge_leads(9503, 9502);
-- a chain has one end
SELECT (crm.merge_leads(9501, 9503)).name;
SELECT id, merged_into_id FROM crm.leads WHERE id BETWEEN 9501 AND 9504 ORDER BY 1;
SELECT crm.lead_score_at(9503) AS stays;
SELECT count(*) AS left FROM crm_analytics.duplicate_leads;
-- what fits a merged lead goes to the one that goes on; a merged lead is neither converted nor taken back
SELECT l.id, l.capture_count FROM crm.capture_lead('{"source_system": "old", "source_id": "A2", "name": "Ada"}') AS l;
SELECT l.id, l.capture_count FROM crm.capture_lead('{"email": "ada@merge.example"}') AS l;
SELECT crm.convert_lead(9502);
SELECT crm.recycle_lead(9502);
-- a converted one may take others in, but is not merged away
SELECT (crm.convert_lead(9503)).contact_matched_by;
SELECT crm.merge_leads(9503, 9504);
INSERT INTO crm.activities (kind, subject, related_table, related_id) VALUES ('call', 'four', 'leads', 9504);
SELECT (crm.merge_leads(9504, 9503)).id;
SELECT v.subject, v.contact_id = l.contact_id AS known FROM crm.activities AS v JOIN crm.leads AS l ON l.id = 9503 WHERE v.subject = 'four';
-- counted once
SELECT sum(leads) AS leads, sum(converted) AS converted, sum(disqualified) AS disqualified FROM crm_analytics.lead_campaigns;
SELECT count(*) FROM crm_analytics.lead_responses WHERE lead_id BETWEEN 9501 AND 9504;
ROLLBACK;
