-- A generated company, 6: its leads.

CREATE OR REPLACE FUNCTION crm_internal.demo_leads_drawn(size integer, seed bigint, until date, tenant crm.tenants, words jsonb, days date[],
    pace double precision[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    n_users CONSTANT integer := least(8 + 4 * size, 200);
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    before CONSTANT double precision := pace[width_bucket(until - 900, days)];
    after CONSTANT double precision := pace[finish::integer - 1];
    firsts CONSTANT jsonb := words -> 'first_names';
    lasts CONSTANT jsonb := words -> 'last_names';
    industries CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'industries', 1);
    countries CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'countries', 1);
    sources CONSTANT double precision[] := crm_internal.demo_bounds(words -> 'sources', 3);
BEGIN
    -- most first deals began as a lead, and some later ones; about three times as many led to nothing, small companies and bought traffic above all
    CREATE TEMPORARY TABLE demo_lead_rows ON COMMIT DROP AS
    SELECT 'won-' || d.key AS source_id, d.key, coalesce(c.name, a.name) AS name, CASE WHEN NOT a.person
        AND crm_internal.demo_uniform(seed, 'lead names company', d.key) < 0.88 THEN a.name END AS company,
           c.email, a.country_code AS country, a.city, CASE WHEN NOT a.person THEN a.industry_name END AS industry, a.employees, d.source_name AS source,
               o.product_id, a.owner, d.key AS deal,
           greatest(1, d.came - 0.1 - 14 * power(crm_internal.demo_uniform(seed, 'lead lead', d.key), 2)) AS came, d.came AS ends, true AS converts
    FROM demo_deals AS d
    JOIN demo_known AS a ON a.i = d.i
    JOIN demo_offers AS o ON o.family = d.family AND d.worth >= o.least AND d.worth < o.most
    LEFT JOIN demo_contacts AS c ON c.account_id = a.account_id
    WHERE crm_internal.demo_uniform(seed, 'deal from lead', d.key) < CASE WHEN d.k = 1 THEN 0.85 ELSE 0.4 END
    UNION ALL
    SELECT 'lost-' || x.i, 100000000000 + x.i, (x.first ->> 0) || ' ' || (x.last ->> 0),
           CASE WHEN x.named THEN format(words ->> 'company_name', x.word ->> 0, coalesce(x.form ->> 0, x.form #>> '{}')) END,
           lower(coalesce(x.first ->> 1, x.first ->> 0) || '.' || coalesce(x.last ->> 1, x.last ->> 0)) || x.i || '@example.org',
           x.country ->> 0, crm_internal.demo_label(x.country -> 3, crm_internal.demo_uniform(seed, 'lead city', x.i)), CASE
               WHEN x.named THEN x.industry ->> 0 END,
           CASE WHEN x.named THEN greatest(1, round(exp(3.3 + 1.4 * crm_internal.demo_normal(seed, 'lead employees', x.i)))::integer) END,
           words -> 'sources' -> width_bucket(crm_internal.demo_uniform(seed, 'lead source', x.i), sources) ->> 0, o.product_id, x.owner, NULL, x.came,
           x.came + exp(2.1 + 0.8 * crm_internal.demo_normal(seed, 'lead stay', x.i)), false
    FROM (
        SELECT i, firsts -> floor(crm_internal.demo_uniform(seed, 'lead first', i) * jsonb_array_length(firsts))::integer AS first,
               lasts -> floor(crm_internal.demo_uniform(seed, 'lead last', i) * jsonb_array_length(lasts))::integer AS last, n.industry,
               words -> 'company_words' -> floor(crm_internal.demo_uniform(seed, 'lead word',
                   i) * jsonb_array_length(words -> 'company_words'))::integer AS word,
               n.industry -> 3 -> floor(crm_internal.demo_uniform(seed, 'lead form', i) * jsonb_array_length(n.industry -> 3))::integer AS form,
               words -> 'countries' -> width_bucket(crm_internal.demo_uniform(seed, 'lead country', i), countries) AS country,
               crm_internal.demo_uniform(seed, 'lead company', i) < 0.7 AS named, 4 + i % (n_users - 4) AS owner,
               1 + floor(9 * crm_internal.demo_uniform(seed, 'lead product', i))::integer AS offer,
               crm_internal.demo_when(before + (after - before) * power(crm_internal.demo_uniform(seed, 'lead time', i), 0.9), pace,
                   crm_internal.demo_uniform(seed, 'lead hour', i)) AS came
        FROM generate_series(1, 1300 * size) AS i
        CROSS JOIN LATERAL (SELECT words -> 'industries' -> width_bucket(crm_internal.demo_uniform(seed, 'lead industry', i), industries) AS industry) AS n
    ) AS x
    JOIN (SELECT o.product_id, row_number() OVER (ORDER BY o.product_id) AS n FROM demo_offers AS o) AS o ON o.n = x.offer;
    ANALYZE demo_lead_rows;
    DELETE FROM demo_lead_rows AS r WHERE r.came >= finish;
    -- when they were answered, and found to be worth it
    CREATE TEMPORARY TABLE demo_lead_ways ON COMMIT DROP AS
    SELECT r.source_id, r.key, r.came, r.ends, r.converts, a.answered,
           CASE WHEN a.answered IS NOT NULL AND (r.converts OR crm_internal.demo_uniform(seed, 'lead qualified',
               r.key) < 0.4) THEN a.answered + (r.ends - a.answered) * 0.5 END AS qualified
    FROM demo_lead_rows AS r
    CROSS JOIN LATERAL (SELECT r.came + exp(CASE WHEN r.converts THEN 3.2
        ELSE 4.4 END + 1.3 * crm_internal.demo_normal(seed, 'lead answer', r.key)) / 540 AS x) AS x
    CROSS JOIN LATERAL (SELECT CASE WHEN x.x < r.ends - 0.02 AND x.x < finish
        AND (r.converts OR crm_internal.demo_uniform(seed, 'lead answered', r.key) < 0.75) THEN x.x END AS answered) AS a;
    ANALYZE demo_lead_ways;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_leads_drawn(integer, bigint, date, crm.tenants, jsonb, date[], double precision[]) IS
'Draws the leads of a generated company: where its deals began, and what led to nothing.';

CREATE OR REPLACE FUNCTION crm_internal.demo_lead_rows(seed bigint, until date, tenant crm.tenants, words jsonb, days date[], pipeline bigint, stage jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    reasons CONSTANT double precision[] := '{0.22,0.38,0.52,0.74,0.84,0.96}';
BEGIN
    INSERT INTO crm.leads (tenant_id, name, company, email, country, city, industry, employees, channel, source, medium, campaign, utm, consent, product_id,
                           pipeline_id, stage_id, stage_entered_at, closed_at, first_response_at, disqualification_reason, account_id, contact_id,
                               opportunity_id, converted_at,
                           owner_id, team_id, source_system, source_id, created_at, last_capture_at)
    SELECT t, r.name, r.company, r.email, r.country, r.city, r.industry, r.employees,
           CASE r.source WHEN words -> 'sources' -> 3 ->> 0 THEN 'phone' WHEN words -> 'sources' -> 2 ->> 0 THEN 'event'
                ELSE ('{form,mail,chat}'::text[])[1 + width_bucket(crm_internal.demo_uniform(seed, 'lead channel', r.key),
                    '{0.60,0.85}'::double precision[])] END,
           r.source, words -> 'media' ->> r.source, v.campaign,
           CASE WHEN v.campaign IS NULL THEN '{}' ELSE jsonb_build_object('utm_source', 'search', 'utm_medium', 'cpc', 'utm_campaign', v.utm) END,
           CASE WHEN crm_internal.demo_uniform(seed, 'lead consent', r.key) < 0.6 THEN jsonb_build_object('email',
               jsonb_build_object('given', true, 'at', e.came, 'source', 'form')) ELSE '{}' END,
           r.product_id, pipeline, (stage ->> e.code)::bigint, e.entered, CASE WHEN e.code IN ('converted', 'disqualified') THEN e.entered END, e.answered,
           CASE WHEN e.code = 'disqualified' THEN ('{no_need,no_budget,timing,unreachable,competitor,not_a_fit,spam}'::text[])
                    [1 + width_bucket(crm_internal.demo_uniform(seed, 'lead reason', r.key), reasons)] END,
           CASE WHEN e.code = 'converted' THEN m.account_id END, CASE WHEN e.code = 'converted' THEN m.contact_id END, CASE
               WHEN e.code = 'converted' THEN m.opportunity_id END,
           CASE WHEN e.code = 'converted' THEN e.entered END, u.id, g.id, 'demo', 'lead-' || r.source_id, e.came, e.came
    FROM demo_lead_rows AS r
    JOIN (SELECT w.source_id, s.code, crm_internal.demo_at(w.came, days, tenant.time_zone) AS came,
        crm_internal.demo_at(w.answered, days, tenant.time_zone) AS answered,
                 crm_internal.demo_at(s.x, days, tenant.time_zone) AS entered, s.x
          FROM demo_lead_ways AS w
          CROSS JOIN LATERAL (SELECT CASE WHEN w.ends < finish THEN CASE WHEN w.converts THEN 'converted' ELSE 'disqualified' END
                                          WHEN w.qualified < finish THEN 'qualified' WHEN w.answered < finish THEN 'working' ELSE 'new' END AS code,
                                     CASE WHEN w.ends < finish THEN w.ends WHEN w.qualified < finish THEN w.qualified WHEN w.answered < finish THEN w.answered
                                         ELSE w.came END AS x) AS s) AS e
        ON e.source_id = r.source_id
    JOIN crm.users AS u ON u.tenant_id = t AND u.source_system = 'demo' AND u.source_id = 'user-' || r.owner
    JOIN crm.teams AS g ON g.tenant_id = t AND g.source_system = 'demo' AND g.source_id = 'team-' || 1 + (r.owner - 1) % 3
    LEFT JOIN demo_made AS m ON m.key = r.deal
    CROSS JOIN LATERAL (SELECT days[floor(r.came)::integer] AS day) AS d
    CROSS JOIN LATERAL (SELECT (mod(crm_analytics.month_number(d.day, words ->> 'calendar') - 1, 12)) / 3 AS quarter,
                               ((crm_analytics.month_number(d.day, words ->> 'calendar') - 1) / 12)::text AS year) AS q
    CROSS JOIN LATERAL (SELECT CASE WHEN r.source = words -> 'sources' -> 5 ->> 0
                                    THEN format(words -> 'campaign' ->> 0, (words -> 'quarters' ->> q.quarter) || ' '
                                        || translate(q.year, '0123456789', words ->> 'digits')) END AS campaign,
                               format(words -> 'campaign' ->> 1, q.year || '-' || q.quarter + 1) AS utm) AS v
    ORDER BY r.came, r.source_id;
    -- who is to be asked again by itself would come back at once: these are old
    UPDATE crm.leads AS l SET recycle_at = NULL WHERE l.tenant_id = t AND l.source_system = 'demo'
        AND l.recycle_at <= until::timestamp AT TIME ZONE tenant.time_zone;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_lead_rows(bigint, date, crm.tenants, jsonb, date[], bigint,
    jsonb) IS 'Leads of a generated company, in the stage they have reached.';

CREATE OR REPLACE FUNCTION crm_internal.demo_leads(size integer, seed bigint, until date, tenant crm.tenants, words jsonb, days date[], pace double precision[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant.tenant_id;
    horizon CONSTANT timestamptz := until::timestamp AT TIME ZONE tenant.time_zone;
    finish CONSTANT double precision := 1 + width_bucket(until - 1, days);
    pipeline CONSTANT bigint := (SELECT p.id FROM crm.pipelines AS p WHERE p.tenant_id = t AND p.subject_table = 'leads' AND p.is_default);
    stage CONSTANT jsonb := (SELECT jsonb_object_agg(s.code, s.id) FROM crm.stages AS s WHERE s.tenant_id = t AND s.pipeline_id = pipeline);
    bounds CONSTANT double precision[] := '{0.62,0.84,0.95}';
    history record;
BEGIN
    IF stage ?& '{new,working,qualified,converted,disqualified}' IS NOT TRUE THEN
        RETURN;     -- somebody has changed the pipeline already
    END IF;
    PERFORM crm_internal.demo_leads_drawn(size, seed, until, tenant, words, days, pace);
    PERFORM crm_internal.demo_lead_rows(seed, until, tenant, words, days, pipeline, stage);

    INSERT INTO crm.lead_captures (tenant_id, lead_id, channel, source, medium, campaign, utm, captured_at)
    SELECT t, l.id, l.channel, l.source, l.medium, l.campaign, l.utm, l.created_at FROM crm.leads AS l WHERE l.tenant_id = t AND l.source_system = 'demo';
    INSERT INTO crm.lead_conversions (tenant_id, lead_id, contact_id, account_id, opportunity_id, contact_matched_by, account_matched_by, converted_by,
        converted_at)
    SELECT t, l.id, l.contact_id, l.account_id, l.opportunity_id, 'email', 'contact', l.owner_id, l.converted_at
    FROM crm.leads AS l WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.converted_at IS NOT NULL;
    INSERT INTO crm.activities (tenant_id, kind, subject, direction, related_table, related_id, account_id, contact_id, started_at, done_at, owner_id, team_id,
                                source_system, source_id, created_at)
    SELECT t, CASE WHEN crm_internal.demo_uniform(seed, 'lead called', w.key) < 0.35 THEN 'call' ELSE 'mail' END, format(words ->> 'first_answer', l.name),
        'out', 'leads', l.id,
           l.account_id, l.contact_id, l.first_response_at, l.first_response_at, l.owner_id, l.team_id, 'demo', 'answer-' || l.source_id, l.first_response_at
    FROM crm.leads AS l JOIN demo_lead_ways AS w ON l.source_id = 'lead-' || w.source_id
    WHERE l.tenant_id = t AND l.source_system = 'demo' AND l.first_response_at IS NOT NULL
    ORDER BY l.first_response_at;
    -- what they looked at: those who buy look more
    INSERT INTO crm.score_events (tenant_id, lead_id, kind, object, occurred_at)
    SELECT t, l.id, ('{page_visit,mail_click,form_submit,webinar}'::text[])[1 + width_bucket(crm_internal.demo_uniform(seed, 'lead event', w.key * 16 + k),
        bounds)],
           crm_internal.demo_label(words -> 'pages', crm_internal.demo_uniform(seed, 'lead page', w.key * 16 + k)),
           least(l.created_at + crm_internal.demo_uniform(seed, 'lead event time', w.key * 16 + k) * (coalesce(l.closed_at, horizon) - l.created_at), horizon)
    FROM crm.leads AS l
    JOIN demo_lead_ways AS w ON l.source_id = 'lead-' || w.source_id
    CROSS JOIN LATERAL generate_series(1, floor((CASE WHEN l.converted_at IS NOT NULL THEN 8 ELSE 4 END) * crm_internal.demo_uniform(seed, 'lead events',
        w.key))::integer) AS k
    WHERE l.tenant_id = t AND l.source_system = 'demo'
    ORDER BY 5;

    SELECT array_agg(s.id ORDER BY s.id, s.x) AS ids, array_agg((stage ->> s.code)::bigint ORDER BY s.id, s.x) AS stages,
           array_agg(crm_internal.demo_at(s.x, days, tenant.time_zone) ORDER BY s.id, s.x) AS entered
    INTO history
    FROM (SELECT l.id, v.code, v.x FROM crm.leads AS l
          JOIN demo_lead_ways AS w ON l.source_id = 'lead-' || w.source_id
          CROSS JOIN LATERAL (VALUES ('new', w.came), ('working', w.answered), ('qualified', w.qualified),
                                     (CASE WHEN w.converts THEN 'converted' ELSE 'disqualified' END, w.ends)) AS v (code, x)
          WHERE l.tenant_id = t AND l.source_system = 'demo' AND v.x < finish) AS s;
    IF history.ids IS NOT NULL THEN
        PERFORM crm.record_history('leads', history.ids, history.stages, history.entered);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.demo_leads(integer, bigint, date, crm.tenants, jsonb, date[], double precision[]) IS
'Leads of a generated company with their way, the first answers and what they looked at.';
