\echo
\echo '== Leads: a visitor fills in a form, comes back by mail, and is one lead'
INSERT INTO crm.agents (user_id, capacity) SELECT u.id, 500 FROM crm.users AS u WHERE u.access = 'agent' ORDER BY u.id LIMIT 3 ON CONFLICT DO NOTHING;
INSERT INTO crm.assignment_rules (subject_table, position, name, user_ids, method)
SELECT 'leads', 1, 'everybody in turn', array_agg(a.user_id), 'round_robin' FROM crm.agents AS a
HAVING count(*) > 0;
SELECT l.name, l.company, l.source, l.medium, l.campaign, u.name AS owner
FROM crm.capture_lead('{"channel": "form", "name": "Dina Farahani", "company": "Blue Harbour Shipping", "email": "Dina@Blue-Harbour.example", "employees": 240, "country": "DE",
    "industry": "services", "message": "We need a quote", "url": "https://example.com/offer?utm_source=search&utm_medium=cpc&utm_campaign=spring+launch",
    "consent": {"email": {"given": true, "source": "form offer"}}}') AS l LEFT JOIN crm.users AS u ON u.tenant_id = l.tenant_id AND u.id = l.owner_id;
SELECT l.id AS lead, l.name, l.capture_count, l.phone_key
FROM crm.capture_lead('{"channel": "mail", "from": "Dina F. <dina@blue-harbour.example>", "subject": "my number", "phone": "+49 30 901820"}') AS l \gset
SELECT l.name, l.capture_count, l.phone_key, l.campaign FROM crm.leads AS l WHERE l.id = :lead;

\echo '-- live segments: who is in them follows each change, and the clock'
SELECT s.name, s.uses FROM crm.define_segment('{"name": "big and open", "where": "$.employees >= 200 && $.closed_at == null"}') AS s;
SELECT s.name, s.uses FROM crm.define_segment('{"name": "keen", "where": "$.closed_at == null", "events": [{"within": "14 days", "at_least": 2}]}') AS s;
SELECT s.name, s.uses FROM crm.define_segment('{"name": "call today", "in": ["big and open", "keen"]}') AS s;
INSERT INTO crm.score_events (lead_id, kind, object) VALUES (:lead, 'page_visit', 'prices');
SELECT e.occurred_at::timestamp(0) AS at, s.name AS segment, e.direction, e.cause FROM crm.segment_events AS e
JOIN crm.segments AS s ON (s.tenant_id, s.id) = (e.tenant_id, e.segment_id) WHERE e.subject_id = :lead AND s.subject_table = 'leads' ORDER BY e.id;
SELECT z.segment, z.members FROM crm_analytics.segment_sizes AS z ORDER BY z.segment;
SELECT (SELECT count(*) FROM crm.segment_members_at('keen', now() + interval '15 days')) AS keen_in_15_days_if_nothing_happens;

\echo '-- a model of what becomes of leads, tried on those that came later'
SELECT count(*) FILTER (WHERE l.converted_at IS NOT NULL) >= 30 AND count(*) FILTER (WHERE l.disqualification_reason IS NOT NULL) >= 30 AS enough FROM crm.leads AS l \gset
\if :enough
SELECT m.version, m.trained_rows AS trained_on, round((m.quality ->> 'auc')::numeric, 3) AS auc, round((m.quality ->> 'log_loss')::numeric, 4) AS log_loss,
       round((m.quality ->> 'baseline_log_loss')::numeric, 4) AS of_the_mean_rate, round((m.quality ->> 'lift10')::numeric, 2) AS lift_of_best_tenth, m.activated_at IS NOT NULL AS in_use, m.warnings
FROM crm.train_lead_model() AS m;
SELECT round(crm.lead_probability(:lead)::numeric, 3) AS probability_of_dina;
SELECT e.field, e.value, round(e.contribution::numeric, 2) AS log_odds, round(100 * e.probability_change::numeric, 1) AS points FROM crm.explain_prediction(:lead) AS e LIMIT 6;
\endif

\echo '-- converted in one transaction, and only once'
SELECT c.contact_id IS NOT NULL AS contact, c.account_id IS NOT NULL AS account, c.opportunity_id AS deal, c.contact_matched_by FROM crm.convert_lead(:lead, open_opportunity => true, opportunity => '{"amount": 18000}') AS c;
SELECT c.opportunity_id AS the_same_deal FROM crm.convert_lead(:lead, open_opportunity => true) AS c;

\echo
\echo '== Where customers come from'
SELECT a.value AS source, a.prospects, a.converted, round(100 * a.conversion::numeric, 1) AS conversion, round(100 * a.conversion_low::numeric, 1) || ' - ' || round(100 * a.conversion_high::numeric, 1) AS interval_95,
       a.won_deals, round(a.won_amount) AS won, round(a.value_per_closed_prospect) AS worth_of_a_prospect, round(a.median_days_to_conversion::numeric, 1) AS days
FROM crm_analytics.acquisition_segments AS a WHERE a.characteristic = 'source' ORDER BY a.value_per_closed_prospect DESC NULLS LAST;
SELECT CASE WHEN r.first_response_minutes < 15 THEN 'within 15 minutes' WHEN r.first_response_minutes < 60 THEN 'within an hour' WHEN r.first_response_minutes < 1440 THEN 'within a day' ELSE 'later' END AS first_answer,
       count(*) AS leads, round(100.0 * count(*) FILTER (WHERE r.is_converted) / count(*), 1) AS converted
FROM crm_analytics.lead_responses AS r WHERE r.is_answered GROUP BY 1 ORDER BY min(r.first_response_minutes);
