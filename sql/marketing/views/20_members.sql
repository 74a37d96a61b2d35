-- Who is in which segment, and how large segments are.

CREATE OR REPLACE VIEW crm.segment_members WITH (security_invoker = true) AS
SELECT s.tenant_id, s.id AS segment_id, s.name AS segment, s.subject_table, m.subject_id, m.since
FROM crm.segments AS s
CROSS JOIN LATERAL crm.segment_members_at(s.name) AS m
WHERE s.tenant_id = crm.tenant_id() AND s.active;
COMMENT ON VIEW crm.segment_members IS 'One row per segment and member, right at this moment.';
COMMENT ON COLUMN crm.segment_members.segment IS 'Name of the segment.';
COMMENT ON COLUMN crm.segment_members.subject_id IS 'Id of the member.';
COMMENT ON COLUMN crm.segment_members.since IS 'When it entered.';

CREATE OR REPLACE VIEW crm_analytics.segment_sizes WITH (security_invoker = true) AS
SELECT s.tenant_id, s.id AS segment_id, s.name AS segment, s.subject_table, s.kind,
       (SELECT count(*) FROM crm.segment_members_at(s.name)) AS members,
       (SELECT count(*) FROM crm.segment_events AS e WHERE e.tenant_id = s.tenant_id AND e.segment_id = s.id AND e.direction = 'enter'
          AND e.occurred_at > now() - interval '30 days') AS entered_30_days,
       (SELECT count(*) FROM crm.segment_events AS e WHERE e.tenant_id = s.tenant_id AND e.segment_id = s.id AND e.direction = 'leave'
          AND e.occurred_at > now() - interval '30 days') AS left_30_days
FROM crm.segments AS s
WHERE s.tenant_id = crm.tenant_id() AND s.active;
COMMENT ON VIEW crm_analytics.segment_sizes IS 'One row per active segment: its size now, and who entered and left within 30 days.';
COMMENT ON COLUMN crm_analytics.segment_sizes.segment IS 'Name of the segment.';
COMMENT ON COLUMN crm_analytics.segment_sizes.kind IS 'dynamic or static.';
COMMENT ON COLUMN crm_analytics.segment_sizes.members IS 'Members now.';
COMMENT ON COLUMN crm_analytics.segment_sizes.entered_30_days IS 'Entries within 30 days.';
COMMENT ON COLUMN crm_analytics.segment_sizes.left_30_days IS 'Exits within 30 days.';
