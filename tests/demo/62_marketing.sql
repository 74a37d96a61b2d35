\echo
\echo '== Marketing: a campaign with a hold-out, consent that binds, and a journey'
INSERT INTO crm.sending_settings (from_address, link_base) VALUES ('news@example.com', 'https://example.com/m/') ON CONFLICT DO NOTHING;
INSERT INTO crm.message_templates (code, subject_table, language, subject, body) VALUES
    ('harvest', 'leads', 'en', 'An offer for {{company|you}}',
     '<p>Dear {{name}}, <a href="{{link https://example.com/harvest}}">have a look</a>. <a href="{{unsubscribe_url}}">No more</a></p>'),
    ('harvest_again', 'leads', 'en', 'Still until Friday', '<p>Dear {{name}}. <a href="{{unsubscribe_url}}">No more</a></p>');
SELECT crm.capture_lead(jsonb_build_object('channel', 'form', 'name', 'Visitor of the fair ' || n, 'company', 'Orchard ' || n,
       'email', 'visitor' || n || '@orchard-' || n || '.example',
       'employees', 20 * n, 'source', 'harvest fair')) IS NULL AS lost FROM generate_series(1, 40) AS n \g /dev/null
-- three in four said yes
SELECT count(c.id) AS agreed FROM crm.leads AS l, LATERAL crm.record_consent('leads', l.id, 'marketing', 'email', true, 'fair') AS c
WHERE l.source = 'harvest fair' AND l.employees % 80 <> 0;
SELECT s.name FROM crm.define_segment('{"subject_table": "leads", "name": "fair visitors",
    "where": "$.source == \"harvest fair\" && $.closed_at == null"}') AS s;
INSERT INTO crm.campaigns (code, name, objective, channels, hold_out_share, outcome_days, seed)
VALUES ('harvest', 'After the harvest fair', 'acquisition', '{email}', 0.25, 30, 7) RETURNING id AS campaign \gset
INSERT INTO crm.campaign_costs (campaign_id, spent_on, amount) SELECT :campaign, crm.local_day(crm.tenant_id(), now()), 300;

\echo '-- what the journey would do, asked before anybody enters it'
SELECT j.status FROM crm.define_journey('{
    "name": "after the fair", "subject_table": "leads", "campaign": "harvest", "entry": {"segment": "fair visitors"},
    "goal": {"events": [{"event": "lead.converted"}]},
    "steps": [
        {"step": "offer", "do": "send", "template": "harvest", "purpose": "marketing", "refused": "call"},
        {"step": "looked", "do": "await", "event": "delivery.clicked", "within": "3 days", "then": "call", "otherwise": "again"},
        {"step": "again", "do": "send", "template": "harvest_again", "purpose": "marketing", "then": "end"},
        {"step": "call", "do": "task", "kind": "call", "subject": "Talk about the harvest offer", "due": "1 day"}]}') AS j;
SELECT p.step, p.outcome, p.detail, count(*) AS people FROM crm.preview_journey('after the fair') AS p GROUP BY 1, 2, 3 ORDER BY min(p.n), 2;
SELECT j.status FROM crm.publish_journey('after the fair') AS j;
SELECT crm.run_journeys() > 0 AS first_steps_done;
SELECT m.status, count(*) AS people FROM crm.campaign_members AS m WHERE m.campaign_id = :campaign GROUP BY 1 ORDER BY 1;
SELECT o.state, count(*) AS messages FROM crm.outbound_messages AS o JOIN crm.message_templates AS t ON t.tenant_id = o.tenant_id AND t.id = o.template_id
WHERE t.code = 'harvest' GROUP BY 1 ORDER BY 1;

\echo '-- without consent no row, whoever writes it: here a plain INSERT'
SELECT l.id AS silent, l.email FROM crm.leads AS l WHERE l.source = 'harvest fair' AND l.employees % 80 = 0 ORDER BY l.id LIMIT 1 \gset
\set ON_ERROR_STOP 0
INSERT INTO crm.outbound_messages (subject_table, subject_id, purpose, address, body) VALUES ('leads', :silent, 'marketing', :'email', 'Hello');
\set ON_ERROR_STOP 1
\echo '-- SQLSTATE' :SQLSTATE

\echo '-- a sender takes what is due and delivers it; every third reader clicks: a call is due, and the answer is an event that scores'
CREATE TEMP TABLE mail AS SELECT c.* FROM crm.claim_messages('demo sender', 100, '5 minutes', '{email}') AS c;
SELECT count(*) FILTER (WHERE crm.start_message(m.id, m.attempt)) AS started FROM mail AS m;
SELECT count(crm.message_sent(m.id, 'demo-' || m.id)) AS sent FROM mail AS m;
SELECT m.address, m.subject FROM mail AS m ORDER BY m.id LIMIT 2;
SELECT count(crm.record_delivery_event('demo', 'delivered-' || m.id, 'delivered', m.message_id)) AS delivered FROM mail AS m;
SELECT count(crm.record_delivery_event('demo', 'click-' || m.id, 'click', m.message_id)) AS clicks FROM mail AS m
JOIN crm.outbound_messages AS o ON o.id = m.id JOIN crm.leads AS l ON l.tenant_id = o.tenant_id AND l.id = o.subject_id WHERE l.employees % 60 = 0;
SELECT crm.run_journeys() > 0 AS next_steps_done;
SELECT f.step, f.arrived, f.done, f.inside, f.other_way FROM crm_analytics.journey_funnel AS f WHERE f.journey = 'after the fair' ORDER BY f.place;
SELECT r.campaign, r.members, r.held_out, r.reached, r.clickers, round(100 * r.ctr::numeric) AS click_rate, r.responded, round(r.cost) AS cost
FROM crm_analytics.campaign_results AS r WHERE r.campaign_id = :campaign;

\echo '-- won deals by the channel they are credited to: each model''s credits sum to what was won'
SELECT CASE WHEN GROUPING(c.channel) = 1 THEN 'all that was won' ELSE c.channel END AS channel, round(sum(c.amount) FILTER (WHERE c.model = 'first')) AS first,
       round(sum(c.amount) FILTER (WHERE c.model = 'last')) AS last, round(sum(c.amount) FILTER (WHERE c.model = 'linear')) AS linear,
       round(sum(c.amount) FILTER (WHERE c.model = 'time_decay')) AS time_decay
FROM (SELECT a.model, a.amount, coalesce(a.channel_name, 'nobody was met') AS channel FROM crm_analytics.campaign_attribution AS a) AS c
GROUP BY ROLLUP (c.channel) ORDER BY GROUPING(c.channel), 4 DESC NULLS LAST;
