-- Reports on leads: duplicates, responses, and how they end by where they came from.

CREATE OR REPLACE VIEW crm_analytics.duplicate_leads WITH (security_invoker = true) AS
SELECT v.*, le.name AS lead, du.name AS duplicate
FROM (
    SELECT l.tenant_id, l.id AS lead_id, d.id AS duplicate_id,
           CASE WHEN d.email_key = l.email_key THEN 'email' ELSE 'phone' END AS matched_by
    FROM crm.leads AS l
    CROSS JOIN LATERAL (
        SELECT x.id, x.email_key FROM crm.leads AS x
        WHERE x.tenant_id = l.tenant_id AND x.email_key = l.email_key AND x.id > l.id AND x.merged_into_id IS NULL AND x.converted_at IS NULL
        UNION
        SELECT x.id, x.email_key FROM crm.leads AS x
        WHERE x.tenant_id = l.tenant_id AND x.phone_key = l.phone_key AND x.id > l.id AND x.merged_into_id IS NULL AND x.converted_at IS NULL
          AND (x.email_key IS NULL OR l.email_key IS NULL OR x.email_key = l.email_key)) AS d
    WHERE l.merged_into_id IS NULL
      -- what was decided to be two people is not asked about again
      AND NOT EXISTS (SELECT FROM crm.possible_duplicates AS p WHERE p.tenant_id = l.tenant_id AND p.subject_table = 'leads' AND p.state = 'different'
                      AND (p.first_id, p.second_id) IN ((l.id, d.id), (d.id, l.id)))
) AS v
LEFT JOIN crm.leads AS le ON le.tenant_id = v.tenant_id AND le.id = v.lead_id
LEFT JOIN crm.leads AS du ON du.tenant_id = v.tenant_id AND du.id = v.duplicate_id;
COMMENT ON VIEW crm_analytics.duplicate_leads IS
'One row per pair of leads of one person by the keys that crm.capture_lead() goes by: the same e-mail address, or the same telephone number where not both have addresses. crm.merge_leads(duplicate_id, lead_id) makes one of them.';
COMMENT ON COLUMN crm_analytics.duplicate_leads.lead_id IS 'The older lead.';
COMMENT ON COLUMN crm_analytics.duplicate_leads.duplicate_id IS 'The newer one.';
COMMENT ON COLUMN crm_analytics.duplicate_leads.matched_by IS 'email or phone.';

-- ---- reports ----

CREATE OR REPLACE VIEW crm_analytics.lead_responses WITH (security_invoker = true) AS
SELECT v.*, ow.name AS owner, te.name AS team
FROM (
SELECT l.tenant_id, l.id AS lead_id, l.name AS lead, l.source AS lead_source, l.campaign, l.channel, l.owner_id, l.team_id, l.created_at, l.first_response_at,
           extract(epoch FROM l.first_response_at - l.created_at) / 60 AS first_response_minutes,
           CASE WHEN l.first_response_at IS NULL THEN extract(epoch FROM coalesce(l.closed_at, now()) - l.created_at) / 60 END AS unanswered_minutes,
           l.first_response_at IS NOT NULL AS is_answered, l.converted_at IS NOT NULL AS is_converted
    FROM crm.leads AS l
    WHERE l.merged_into_id IS NULL
) AS v
LEFT JOIN crm.users AS ow ON ow.tenant_id = v.tenant_id AND ow.id = v.owner_id
LEFT JOIN crm.teams AS te ON te.tenant_id = v.tenant_id AND te.id = v.team_id;
COMMENT ON VIEW crm_analytics.lead_responses IS
'One row per lead, merged ones aside: minutes of calendar time to the first response, or without one so far. In business time see crm.sla_clock_status for policies of leads.';
COMMENT ON COLUMN crm_analytics.lead_responses.lead_source IS 'Source of the lead.';
COMMENT ON COLUMN crm_analytics.lead_responses.campaign IS 'Campaign of the lead.';
COMMENT ON COLUMN crm_analytics.lead_responses.channel IS 'Channel the lead came by.';
COMMENT ON COLUMN crm_analytics.lead_responses.first_response_at IS 'When the first response was made; NULL: not yet.';
COMMENT ON COLUMN crm_analytics.lead_responses.lead IS 'Name of the lead.';
COMMENT ON COLUMN crm_analytics.lead_responses.first_response_minutes IS 'Minutes of calendar time to the first response; NULL: not yet.';
COMMENT ON COLUMN crm_analytics.lead_responses.unanswered_minutes IS 'Minutes without a response, until it was closed or so far; NULL: it was answered.';
COMMENT ON COLUMN crm_analytics.lead_responses.is_answered IS 'Whether there was a response.';
COMMENT ON COLUMN crm_analytics.lead_responses.is_converted IS 'Whether it was converted.';

CREATE OR REPLACE VIEW crm_analytics.lead_campaigns WITH (security_invoker = true) AS
SELECT l.tenant_id, l.source AS lead_source, l.medium, l.campaign,
       count(*) AS leads,
       count(*) FILTER (WHERE l.converted_at IS NOT NULL) AS converted,
       count(*) FILTER (WHERE l.closed_at IS NOT NULL AND l.converted_at IS NULL) AS disqualified,
       count(*) FILTER (WHERE l.converted_at IS NOT NULL)::double precision
           / nullif(count(*) FILTER (WHERE l.closed_at IS NOT NULL), 0) AS conversion,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM l.first_response_at - l.created_at) / 60) AS median_first_response_minutes,
       min(l.created_at) AS first_at, max(l.created_at) AS last_at
FROM crm.leads AS l
WHERE l.merged_into_id IS NULL
GROUP BY l.tenant_id, l.source, l.medium, l.campaign;
COMMENT ON VIEW crm_analytics.lead_campaigns IS
'One row per source, medium and campaign: leads, merged ones aside, how they ended, conversion (converted among the closed), median minutes to the first response.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.lead_source IS 'Source of the leads.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.medium IS 'Medium of the leads.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.campaign IS 'Campaign of the leads.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.leads IS 'Number of leads, merged ones aside.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.converted IS 'Leads that were converted.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.disqualified IS 'Leads that were disqualified.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.conversion IS 'converted over closed, a share of one; NULL where none is closed.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.median_first_response_minutes IS 'Median minutes to the first response, of answered leads.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.first_at IS 'When the first lead came.';
COMMENT ON COLUMN crm_analytics.lead_campaigns.last_at IS 'When the last lead came.';
