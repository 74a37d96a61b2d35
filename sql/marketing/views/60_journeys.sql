-- Journeys: the funnel step by step, who is inside, who is stuck.

CREATE OR REPLACE VIEW crm_analytics.journey_funnel WITH (security_invoker = true) AS
SELECT s.tenant_id, v.journey_id, j.name AS journey, v.number AS version, s.place, s.code AS step, s.kind,
       coalesce(d.done, 0) + coalesce(i.inside, 0) AS arrived, coalesce(d.done, 0) AS done, coalesce(i.inside, 0) AS inside,
       coalesce(d.other_way, 0) AS other_way, coalesce(d.outcomes, '{}') AS outcomes, d.median_days, d.goals
FROM crm.journey_steps AS s
JOIN crm.journey_versions AS v ON v.tenant_id = s.tenant_id AND v.id = s.version_id
JOIN crm.journeys AS j ON j.tenant_id = v.tenant_id AND j.id = v.journey_id
LEFT JOIN (
    SELECT o.tenant_id, o.version_id, o.step, sum(o.times) AS done, jsonb_object_agg(o.outcome, o.times) AS outcomes,
           sum(o.times) FILTER (WHERE o.outcome IN ('refused', 'timeout', 'no', 'not')) AS other_way, max(o.median_days) AS median_days, sum(o.goals) AS goals
    FROM (SELECT l.tenant_id, l.version_id, l.step, l.outcome, count(*) AS times, count(m.goal_at) AS goals,
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM l.taken_at - l.arrived_at) / 86400) AS median_days
          FROM crm.journey_log AS l JOIN crm.journey_members AS m ON m.tenant_id = l.tenant_id AND m.id = l.member_id
          GROUP BY l.tenant_id, l.version_id, l.step, l.outcome) AS o
    GROUP BY o.tenant_id, o.version_id, o.step) AS d ON d.tenant_id = s.tenant_id AND d.version_id = s.version_id AND d.step = s.code
LEFT JOIN (
    SELECT m.tenant_id, m.version_id, m.place, count(*) AS inside FROM crm.journey_members AS m WHERE m.status = 'active'
    GROUP BY m.tenant_id, m.version_id, m.place) AS i ON i.tenant_id = s.tenant_id AND i.version_id = s.version_id AND i.place = s.place;
COMMENT ON VIEW crm_analytics.journey_funnel IS 'One row = one step of one version of a journey: how many came to it, and what it did.';
COMMENT ON COLUMN crm_analytics.journey_funnel.journey_id IS 'The journey.';
COMMENT ON COLUMN crm_analytics.journey_funnel.journey IS 'Name of the journey.';
COMMENT ON COLUMN crm_analytics.journey_funnel.version IS 'Number of the version.';
COMMENT ON COLUMN crm_analytics.journey_funnel.place IS 'Place of the step in its version.';
COMMENT ON COLUMN crm_analytics.journey_funnel.step IS 'Name of the step.';
COMMENT ON COLUMN crm_analytics.journey_funnel.kind IS 'What the step does.';
COMMENT ON COLUMN crm_analytics.journey_funnel.arrived IS 'How often members came to it and did it, or are at it.';
COMMENT ON COLUMN crm_analytics.journey_funnel.done IS 'How often it was done.';
COMMENT ON COLUMN crm_analytics.journey_funnel.inside IS 'Members who are at it now.';
COMMENT ON COLUMN crm_analytics.journey_funnel.other_way IS 'How often it went the other way: message refused, event not come, condition not held, not '
'enrolled.';
COMMENT ON COLUMN crm_analytics.journey_funnel.outcomes IS 'How often each outcome came about.';
COMMENT ON COLUMN crm_analytics.journey_funnel.median_days IS 'Days that half of the members spent at it at most; of its slowest outcome.';
COMMENT ON COLUMN crm_analytics.journey_funnel.goals IS 'Of those who did it, how many reached the goal of the journey, before or after.';

CREATE OR REPLACE VIEW crm_analytics.journey_members_now WITH (security_invoker = true) AS
SELECT m.tenant_id, m.journey_id, j.name AS journey, v.number AS version, m.id AS member_id, m.subject_table, m.subject_id, coalesce(k.name, l.name) AS member,
       m.came_by, m.entered_at, s.code AS step, s.kind, m.arrived_at, m.due_at, m.awaits, m.steps_done, m.goal_at, m.trouble,
       j.status = 'running' AND (m.trouble IS NOT NULL OR m.due_at < now() - interval '1 hour') AS stuck
FROM crm.journey_members AS m
JOIN crm.journeys AS j ON j.tenant_id = m.tenant_id AND j.id = m.journey_id
JOIN crm.journey_versions AS v ON v.tenant_id = m.tenant_id AND v.id = m.version_id
JOIN crm.journey_steps AS s ON s.tenant_id = m.tenant_id AND s.version_id = m.version_id AND s.place = m.place
LEFT JOIN crm.contacts AS k ON m.subject_table = 'contacts' AND k.tenant_id = m.tenant_id AND k.id = m.subject_id
LEFT JOIN crm.leads AS l ON m.subject_table = 'leads' AND l.tenant_id = m.tenant_id AND l.id = m.subject_id
WHERE m.status = 'active';
COMMENT ON VIEW crm_analytics.journey_members_now IS 'One row = one person who is inside a journey, and the step they are at.';
COMMENT ON COLUMN crm_analytics.journey_members_now.journey_id IS 'The journey.';
COMMENT ON COLUMN crm_analytics.journey_members_now.journey IS 'Name of the journey.';
COMMENT ON COLUMN crm_analytics.journey_members_now.version IS 'Number of the version they go.';
COMMENT ON COLUMN crm_analytics.journey_members_now.member_id IS 'The member (crm.journey_members).';
COMMENT ON COLUMN crm_analytics.journey_members_now.member IS 'Name of the contact or lead.';
COMMENT ON COLUMN crm_analytics.journey_members_now.came_by IS 'segment, event, journey (a step of another one) or hand.';
COMMENT ON COLUMN crm_analytics.journey_members_now.entered_at IS 'When they entered.';
COMMENT ON COLUMN crm_analytics.journey_members_now.step IS 'Step they are at.';
COMMENT ON COLUMN crm_analytics.journey_members_now.kind IS 'What the step does.';
COMMENT ON COLUMN crm_analytics.journey_members_now.arrived_at IS 'When they came to it.';
COMMENT ON COLUMN crm_analytics.journey_members_now.due_at IS 'When it is done; NULL: they wait without limit.';
COMMENT ON COLUMN crm_analytics.journey_members_now.awaits IS 'Kind of event they wait for; NULL: none.';
COMMENT ON COLUMN crm_analytics.journey_members_now.steps_done IS 'Steps done so far.';
COMMENT ON COLUMN crm_analytics.journey_members_now.goal_at IS 'When they reached the goal.';
COMMENT ON COLUMN crm_analytics.journey_members_now.trouble IS 'Why their step failed at the last try.';
COMMENT ON COLUMN crm_analytics.journey_members_now.stuck IS 'Whether the step failed, or has been due for an hour while the journey runs.';

CREATE OR REPLACE VIEW crm_analytics.stuck_journey_members WITH (security_invoker = true) AS
SELECT n.tenant_id, n.journey_id, n.journey, n.version, n.member_id, n.subject_table, n.subject_id, n.member, n.step, n.kind, n.arrived_at, n.due_at, n.trouble
FROM crm_analytics.journey_members_now AS n WHERE n.stuck;
COMMENT ON VIEW crm_analytics.stuck_journey_members IS
'One row = one person whose step in a running journey failed, or has been due for an hour. Failed steps are tried again later and later.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.journey_id IS 'The journey.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.journey IS 'Name of the journey.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.version IS 'Number of the version they go.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.member_id IS 'The member (crm.journey_members).';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.member IS 'Name of the contact or lead.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.step IS 'Step they are at.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.kind IS 'What the step does.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.arrived_at IS 'When they came to it.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.due_at IS 'When it was due.';
COMMENT ON COLUMN crm_analytics.stuck_journey_members.trouble IS 'Why it failed at the last try; NULL: nobody came round to do it.';
