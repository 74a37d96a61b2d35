-- Moves of records from stage to stage, as facts.

CREATE OR REPLACE VIEW crm_analytics.fact_stage_moves WITH (security_invoker = true) AS
SELECT v.tenant_id, v.subject_table, v.subject_id, v.move, v.pipeline_id, l.name AS pipeline,
       v.from_stage_id, f.name AS from_stage, v.to_stage_id, s.name AS to_stage,
       s.type AS to_stage_type, v.moved_at, (v.moved_at AT TIME ZONE t.time_zone)::date AS moved_on,
       extract(epoch FROM v.moved_at - v.entered_at) / 86400 AS from_stage_days,
       v.owner_id, o.name AS owner, v.user_id, u.name AS user_name
FROM (
    SELECT p.tenant_id, p.subject_table, p.subject_id, row_number() OVER w AS move, p.pipeline_id,
           lag(p.stage_id) OVER w AS from_stage_id, p.stage_id AS to_stage_id,
           lower(p.period) AS moved_at, lag(lower(p.period)) OVER w AS entered_at, p.owner_id, p.changed_by AS user_id
    FROM crm.stage_periods AS p
    WHERE p.moved OR p.seq = 1
    WINDOW w AS (PARTITION BY p.tenant_id, p.subject_table, p.subject_id ORDER BY p.seq)
) AS v
JOIN crm.tenants AS t ON t.tenant_id = v.tenant_id
LEFT JOIN crm.stages AS s ON s.tenant_id = v.tenant_id AND s.id = v.to_stage_id
LEFT JOIN crm.stages AS f ON f.tenant_id = v.tenant_id AND f.id = v.from_stage_id
LEFT JOIN crm.pipelines AS l ON l.tenant_id = v.tenant_id AND l.id = v.pipeline_id
LEFT JOIN crm.users AS o ON o.tenant_id = v.tenant_id AND o.id = v.owner_id
LEFT JOIN crm.users AS u ON u.tenant_id = v.tenant_id AND u.id = v.user_id;
COMMENT ON VIEW crm_analytics.fact_stage_moves IS
'One row = one move of one record (deal, lead, ticket ...) to a stage, its making included. Stays are in crm_analytics.stage_visits.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.move IS 'Number of the move of the record, from 1: its making.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.to_stage_id IS 'Stage it went to.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.to_stage IS 'Name of the stage it went to.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.to_stage_type IS 'Type of that stage: open, on_hold, won, done, lost or cancelled.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.moved_at IS 'When it went.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.moved_on IS 'Day it went, in the tenant''s zone.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.from_stage_days IS 'Days it had been in the stage it left; NULL: it began here.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.owner_id IS 'User who owned it then; NULL: nobody.';
COMMENT ON COLUMN crm_analytics.fact_stage_moves.user_id IS 'User who moved it; NULL: the system, or a role that is no user.';
