-- Reports on opportunities that are under way.

CREATE OR REPLACE VIEW crm_analytics.rotting_opportunities WITH (security_invoker = true) AS
SELECT v.*, ow.name AS owner, te.name AS team, pl.name AS pipeline
FROM (
    SELECT o.tenant_id, o.id AS opportunity_id, o.name AS opportunity, o.owner_id, o.team_id, o.pipeline_id, o.stage_id,
           s.name AS stage, o.amount, o.currency, o.stage_entered_at, a.last_activity_at,
           greatest(o.stage_entered_at, a.last_activity_at) AS idle_since, s.rotting_days,
           extract(day FROM now() - greatest(o.stage_entered_at, a.last_activity_at))::integer - s.rotting_days AS days_over
    FROM crm.opportunities AS o
    JOIN crm.stages AS s ON s.tenant_id = o.tenant_id AND s.id = o.stage_id
    LEFT JOIN LATERAL (
        SELECT max(v.done_at) AS last_activity_at
        FROM crm.activities AS v
        WHERE v.tenant_id = o.tenant_id AND v.related_table = 'opportunities' AND v.related_id = o.id AND v.done_at <= now()
    ) AS a ON true
    WHERE s.type IN ('open', 'on_hold') AND s.rotting_days > 0
      AND greatest(o.stage_entered_at, a.last_activity_at) + make_interval(days => s.rotting_days) < now()
) AS v
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.teams AS te ON te.tenant_id = v.tenant_id AND te.id = v.team_id
LEFT JOIN crm.pipelines AS pl ON pl.tenant_id = v.tenant_id AND pl.id = v.pipeline_id;
COMMENT ON VIEW crm_analytics.rotting_opportunities IS
'One row per open opportunity that has neither moved nor had an activity done for more than the rotting days of its stage. days_over: whole days beyond these.';
COMMENT ON COLUMN crm_analytics.rotting_opportunities.opportunity IS 'Name of the deal.';
COMMENT ON COLUMN crm_analytics.rotting_opportunities.stage IS 'Name of the stage.';
COMMENT ON COLUMN crm_analytics.rotting_opportunities.amount IS 'Value of the deal, in currency.';
COMMENT ON COLUMN crm_analytics.rotting_opportunities.stage_entered_at IS 'When it entered the stage.';
COMMENT ON COLUMN crm_analytics.rotting_opportunities.last_activity_at IS 'When the last activity for it was done; NULL: none was.';
COMMENT ON COLUMN crm_analytics.rotting_opportunities.idle_since IS 'The later of the two.';
COMMENT ON COLUMN crm_analytics.rotting_opportunities.rotting_days IS 'Days after which deals in the stage count as rotting.';
COMMENT ON COLUMN crm_analytics.rotting_opportunities.days_over IS 'Whole days beyond these.';
