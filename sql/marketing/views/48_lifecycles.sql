-- Where people stand in the life cycle, and how they get from stage to stage.

CREATE OR REPLACE FUNCTION crm_analytics.lifecycle_funnel_at(as_of timestamptz DEFAULT now())
RETURNS TABLE (tenant_id bigint, pipeline text, place bigint, kind text, stage text, people bigint, reached bigint, went_on bigint, conversion numeric,
               conversion_from_first numeric, median_days numeric, median_days_inside numeric)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
BEGIN
    RETURN QUERY
    WITH stages AS (
        SELECT s.id, s.pipeline_id, p.name AS pipeline, p.code AS pipeline_code, s.code, s.name,
               row_number() OVER (PARTITION BY s.pipeline_id ORDER BY s.position) AS place
        FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
        WHERE s.tenant_id = mine AND p.subject_table = 'lifecycles'
          AND (s.active OR EXISTS (SELECT FROM crm.lifecycles AS l WHERE l.tenant_id = mine AND l.stage_id = s.id))
    ), visits AS MATERIALIZED (
        -- when somebody first came to each stage; whose life cycle was joined to another's counts as that one alone
        SELECT l.id, s.pipeline_id, s.place, min(lower(p.period)) AS at
        FROM crm.lifecycles AS l
        JOIN crm.stage_periods AS p ON p.tenant_id = l.tenant_id AND p.subject_table = 'lifecycles' AND p.subject_id = l.id
        JOIN stages AS s ON s.id = p.stage_id
        WHERE l.tenant_id = mine AND lower(p.period) <= as_of
        GROUP BY l.id, s.pipeline_id, s.place
    ), inside AS (
        SELECT s.id AS stage_id, count(*) AS people,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM as_of - lower(p.period)) / 86400) AS days
        FROM crm.lifecycles AS l
        JOIN crm.stage_periods AS p ON p.tenant_id = l.tenant_id AND p.subject_table = 'lifecycles' AND p.subject_id = l.id
        JOIN stages AS s ON s.id = p.stage_id
        WHERE l.tenant_id = mine AND p.period @> as_of
        GROUP BY s.id
    ), gone AS (
        SELECT s.id AS stage_id, count(*) AS reached, count(w.next_at) AS went_on,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM w.next_at - w.own_at) / 86400) FILTER (WHERE w.next_at >= w.own_at) AS days
        FROM stages AS s
        CROSS JOIN LATERAL (
            SELECT v.id, min(v.at) FILTER (WHERE v.place = s.place) AS own_at, min(v.at) FILTER (WHERE v.place > s.place) AS next_at
            FROM visits AS v WHERE v.pipeline_id = s.pipeline_id AND v.place >= s.place GROUP BY v.id) AS w
        GROUP BY s.id
    )
    SELECT mine, s.pipeline, s.place, s.code, s.name, coalesce(i.people, 0), coalesce(g.reached, 0), coalesce(g.went_on, 0),
           CASE WHEN s.place < max(s.place) OVER w THEN round(g.went_on::numeric / nullif(g.reached, 0), 4) END,
           round(coalesce(g.reached, 0)::numeric / nullif(max(g.reached) OVER w, 0), 4), round(g.days::numeric, 2), round(i.days::numeric, 2)
    FROM stages AS s
    LEFT JOIN inside AS i ON i.stage_id = s.id
    LEFT JOIN gone AS g ON g.stage_id = s.id
    WINDOW w AS (PARTITION BY s.pipeline_id)
    ORDER BY s.pipeline_code, s.place;
END
$$;
COMMENT ON FUNCTION crm_analytics.lifecycle_funnel_at(timestamptz) IS
'The life cycle at an instant, one row a stage, of the people whom the caller sees: people (in it then), reached (who had come to it or further by then), '
'went_on (further), conversion (went_on of reached; NULL: the last stage), conversion_from_first (reached of those who had come to the first), median_days '
'(from coming to it until going on, of those who did) and median_days_inside (so far, of those in it). Whoever skips a stage has reached it.';

CREATE OR REPLACE VIEW crm_analytics.lifecycle_funnel WITH (security_invoker = true) AS
SELECT f.tenant_id, f.pipeline, f.place, f.kind, f.stage, f.people, f.reached, f.went_on, f.conversion, f.conversion_from_first, f.median_days,
       f.median_days_inside
FROM crm_analytics.lifecycle_funnel_at() AS f;
COMMENT ON VIEW crm_analytics.lifecycle_funnel IS
'One row = one stage of the life cycle now: how many people are in it, how many came to it, went on, and how fast. Of an instant: '
'crm_analytics.lifecycle_funnel_at().';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.pipeline IS 'Name of the life cycle.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.place IS 'Place of the stage, from 1.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.kind IS 'Code of the stage.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.stage IS 'Name of the stage.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.people IS 'People in it.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.reached IS 'People who ever came to it or further.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.went_on IS 'Of these, who went on.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.conversion IS 'Share of those who reached it that went on; NULL: it is the last.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.conversion_from_first IS 'Share of all people that reached it.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.median_days IS 'Days from coming to it until going on: half of those who went on took at most so long.';
COMMENT ON COLUMN crm_analytics.lifecycle_funnel.median_days_inside IS 'Days in it so far: half of those in it have been there at most so long.';

CREATE OR REPLACE VIEW crm_analytics.lifecycle_people WITH (security_invoker = true) AS
SELECT l.tenant_id, l.subject_table, l.subject_id, coalesce(k.name, x.name) AS person, coalesce(k.owner_id, x.owner_id) AS owner_id, u.name AS owner, l.kind,
       s.name AS stage, l.entered_at, extract(epoch FROM now() - l.entered_at) / 86400 AS days_in_stage, l.pinned, l.reviewed_at
FROM crm.lifecycles AS l
JOIN crm.stages AS s ON s.tenant_id = l.tenant_id AND s.id = l.stage_id
LEFT JOIN crm.contacts AS k ON l.subject_table = 'contacts' AND k.tenant_id = l.tenant_id AND k.id = l.subject_id
LEFT JOIN crm.leads AS x ON l.subject_table = 'leads' AND x.tenant_id = l.tenant_id AND x.id = l.subject_id
LEFT JOIN crm.users AS u ON u.tenant_id = l.tenant_id AND u.id = coalesce(k.owner_id, x.owner_id);
COMMENT ON VIEW crm_analytics.lifecycle_people IS 'One row = one person and the stage of the life cycle they are in.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.person IS 'Name of the contact or lead.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.owner_id IS 'User who is in charge of the person.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.owner IS 'Name of that user.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.kind IS 'Code of the stage.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.stage IS 'Name of the stage.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.entered_at IS 'Since when they are in it.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.days_in_stage IS 'Days they have been in it.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.pinned IS 'Whether reviews leave them there.';
COMMENT ON COLUMN crm_analytics.lifecycle_people.reviewed_at IS 'When the stage was reviewed last.';
