-- Duplicates: two leads of one person made one.

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

CREATE OR REPLACE FUNCTION crm_internal.with_full_phone(l crm.leads, beside crm.leads)
RETURNS crm.leads
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF l.phone_key IS DISTINCT FROM (crm.phone_numbers(l.phone, coalesce(beside.country, l.country, '')::text))[1] THEN
        l.phone := coalesce(array_to_string(crm.phone_numbers(l.phone, coalesce(l.country, '')::text), ', '), l.phone);
    END IF;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.with_full_phone(crm.leads, crm.leads) IS
'A lead whose telephone goes to another one: with its country code where that one is in another country and would read it otherwise.';

CREATE OR REPLACE FUNCTION crm.merge_leads(source_id bigint, target_id bigint)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    source crm.leads;
    target crm.leads;
    merged crm.leads;
BEGIN
    PERFORM crm.because('merge_leads');
    -- both leads have been checked: neither a retired choice nor a newer requirement stops them
    PERFORM crm.keep_incomplete(false);
    -- in one order, whoever merges what into what
    PERFORM crm_internal.lead_for_change(t, least(source_id, target_id));
    PERFORM crm_internal.lead_for_change(t, greatest(source_id, target_id));
    source := crm_internal.lead_for_change(t, source_id);
    target := crm_internal.lead_for_change(t, target_id);
    IF source.id = target.id THEN
        RAISE EXCEPTION 'lead % cannot be merged into itself', source_id USING ERRCODE = 'CR204', HINT = 'Give another lead as target.';
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
    UPDATE crm.activities AS v
    SET related_id = target.id, contact_id = coalesce(v.contact_id, target.contact_id), account_id = coalesce(v.account_id, target.account_id)
    WHERE v.tenant_id = t AND v.related_table = 'leads' AND v.related_id = source.id;
    -- captures, and events: the lead that goes on is replayed with those of both
    PERFORM crm.move_children('leads', source.id, target.id);
    -- as it is now: what followed above may have changed it
    SELECT l.* INTO target FROM crm.leads AS l WHERE l.tenant_id = t AND l.id = target.id;
    merged := crm.carry_owned(target, crm_internal.with_full_phone(source, target), 'merge');
    merged.consent := crm_internal.joined_consent(target.consent, source.consent);
    RETURN crm.update_row(target, merged);
END
$$;
COMMENT ON FUNCTION crm.merge_leads(bigint, bigint) IS
'Merges a lead into another that goes on in its place, and returns that one. Captures, activities and scored events come over; every column keeps the '
'target''s value and takes the merged lead''s where there is none, lists, shares and custom fields are joined, of consent the last word of each '
'channel counts; crm.column_rules has the exceptions. Columns under a unique index stay with the lead they are of. The merged lead stays, closed as a '
'duplicate, with a link. A second call changes nothing. Errors: CR204 for a lead and itself; 55000 where one of them was merged elsewhere, the merged '
'one was converted, or an open one would end in a disqualified one; P0002, 42501, CR107; errors of the guard of stages.';
SELECT crm.declare_api('crm.merge_leads', '{"source_id": 2, "target_id": 1}');
SELECT crm.declare_function('crm.merge_leads', 'agent');
