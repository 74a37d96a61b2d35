-- ---- duplicates ----

CREATE OR REPLACE FUNCTION crm_internal.typed_instant(value text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN value::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.typed_instant(text) IS 'An instant as somebody wrote it; NULL where it is none.';

-- Per channel what was said last; where nobody knows when, a no outweighs a yes.
CREATE OR REPLACE FUNCTION crm_internal.joined_consent(a jsonb, b jsonb)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(c.channel, c.said), '{}')
    FROM (SELECT DISTINCT ON (e.key) e.key AS channel, e.value AS said
          FROM (SELECT * FROM jsonb_each(a) UNION ALL SELECT * FROM jsonb_each(b)) AS e
          ORDER BY e.key, crm_internal.typed_instant(e.value ->> 'at') DESC NULLS LAST,
                   (e.value -> 'given') IS NOT DISTINCT FROM 'true'::jsonb) AS c
$$;
COMMENT ON FUNCTION crm_internal.joined_consent(jsonb, jsonb) IS 'Consent of one person that stands in two places.';

CREATE OR REPLACE FUNCTION crm.merge_leads(source_id bigint, target_id bigint)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    source crm.leads;
    target crm.leads;
BEGIN
    -- in one order, whoever merges what into what
    PERFORM crm_internal.lead_for_change(t, least(source_id, target_id));
    PERFORM crm_internal.lead_for_change(t, greatest(source_id, target_id));
    source := crm_internal.lead_for_change(t, source_id);
    target := crm_internal.lead_for_change(t, target_id);
    IF source.id = target.id THEN
        RAISE EXCEPTION 'lead % cannot be merged into itself', source_id USING ERRCODE = 'CR204';
    END IF;
    IF source.merged_into_id = target.id THEN
        RETURN target;
    END IF;
    IF source.merged_into_id IS NOT NULL OR target.merged_into_id IS NOT NULL THEN
        RAISE EXCEPTION 'lead % has been merged into lead %',
            CASE WHEN source.merged_into_id IS NOT NULL THEN source.id ELSE target.id END,
            coalesce(source.merged_into_id, target.merged_into_id)
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Use the lead that goes on.';
    END IF;
    IF source.converted_at IS NOT NULL THEN
        RAISE EXCEPTION 'lead % was converted', source_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Merge the other one into it.';
    END IF;
    IF source.closed_at IS NULL AND target.closed_at IS NOT NULL AND target.converted_at IS NULL THEN
        RAISE EXCEPTION 'lead % is closed, lead % is not', target_id, source_id
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Merge the closed one into the open one.';
    END IF;
    PERFORM crm.disqualify_lead(source.id, 'duplicate', format('merged into lead %s', target.id));
    UPDATE crm.leads AS l SET merged_into_id = target.id, recycle_at = NULL WHERE l.tenant_id = t AND l.id = source.id;
    -- whoever was merged into it goes on there, too
    UPDATE crm.leads AS l SET merged_into_id = target.id WHERE l.tenant_id = t AND l.merged_into_id = source.id;
    UPDATE crm.lead_captures AS c SET lead_id = target.id WHERE c.tenant_id = t AND c.lead_id = source.id;
    -- the lead that goes on is replayed with the events of both
    UPDATE crm.score_events AS e SET lead_id = target.id WHERE e.tenant_id = t AND e.lead_id = source.id;
    UPDATE crm.activities AS v
    SET related_id = target.id, contact_id = coalesce(v.contact_id, target.contact_id), account_id = coalesce(v.account_id, target.account_id)
    WHERE v.tenant_id = t AND v.related_table = 'leads' AND v.related_id = source.id;
    UPDATE crm.leads AS l
    SET company = coalesce(l.company, source.company), title = coalesce(l.title, source.title), email = coalesce(l.email, source.email),
        phone = coalesce(l.phone, source.phone), city = coalesce(l.city, source.city), industry = coalesce(l.industry, source.industry),
        employees = coalesce(l.employees, source.employees), website = coalesce(l.website, source.website),
        language = coalesce(l.language, source.language), message = coalesce(l.message, source.message),
        product_id = coalesce(l.product_id, source.product_id), amount = coalesce(l.amount, source.amount),
        currency = CASE WHEN l.amount IS NULL THEN source.currency ELSE l.currency END, priority = coalesce(l.priority, source.priority),
        source = coalesce(l.source, source.source), medium = coalesce(l.medium, source.medium), campaign = coalesce(l.campaign, source.campaign),
        utm = source.utm || l.utm, consent = crm_internal.joined_consent(l.consent, source.consent), custom = source.custom || l.custom,
        tags = ARRAY(SELECT DISTINCT x FROM unnest(l.tags || source.tags) AS x ORDER BY x),
        account_id = coalesce(l.account_id, source.account_id), contact_id = coalesce(l.contact_id, source.contact_id),
        owner_id = coalesce(l.owner_id, source.owner_id), team_id = coalesce(l.team_id, source.team_id),
        first_response_at = least(l.first_response_at, source.first_response_at),
        last_capture_at = greatest(l.last_capture_at, source.last_capture_at), capture_count = l.capture_count + source.capture_count
    WHERE l.tenant_id = t AND l.id = target.id
    RETURNING l.* INTO target;
    RETURN target;
END
$$;
COMMENT ON FUNCTION crm.merge_leads(bigint, bigint) IS
'Merges a lead into another that goes on in its place, and returns that one. Captures, activities and scored events come over, empty fields are filled, tags are joined; of consent the last word of each channel counts. The merged lead stays, closed as a duplicate, with a link. A second call changes nothing. Errors: CR204 for a lead and itself; 55000 where one of them was merged elsewhere, the merged one was converted, or an open one would end in a disqualified one; P0002, 42501, CR107; errors of the guard of stages.';
SELECT crm.declare_function('crm.merge_leads', 'agent');
