-- Leads on their way: who they are given to, moves, disqualification and return.

-- ---- assignment ----

CREATE OR REPLACE FUNCTION crm.assign_lead(lead_id bigint, reassign boolean DEFAULT false, as_of timestamptz DEFAULT now())
RETURNS crm.assignments
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.route_record('leads', lead_id, reassign, as_of);
END
$$;
COMMENT ON FUNCTION crm.assign_lead(bigint, boolean, timestamptz) IS 'crm.route_record() for a lead.';

-- ---- moves ----

CREATE OR REPLACE FUNCTION crm_internal.lead_for_change(tenant bigint, lead bigint)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    l crm.leads;
BEGIN
    SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = tenant AND x.id = lead FOR UPDATE;
    IF l.id IS NULL OR NOT crm.can_see(l.owner_id, l.team_id, l.shared_user_ids, l.shared_team_ids) THEN
        RAISE EXCEPTION 'lead % does not exist, or is not visible to you', lead USING ERRCODE = 'no_data_found';
    END IF;
    IF NOT crm.can_change(l.owner_id, l.team_id) THEN
        RAISE EXCEPTION 'lead % may not be changed by you', lead USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.lead_for_change(bigint, bigint) IS 'A lead, locked, if the current user may change it.';

CREATE OR REPLACE FUNCTION crm.move_lead(lead_id bigint, stage text)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.move_row(NULL::crm.leads, lead_id, stage);
END
$$;
COMMENT ON FUNCTION crm.move_lead(bigint, text) IS
'crm.move() for a lead: to another stage of its pipeline. Returns the lead. Errors as crm.move.';

CREATE OR REPLACE FUNCTION crm.disqualify_lead(lead_id bigint, reason text, note text DEFAULT NULL, recycle_at timestamptz DEFAULT NULL)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads := crm_internal.lead_for_change(t, lead_id);
BEGIN
    IF NOT EXISTS (SELECT FROM crm.disqualification_reasons AS r WHERE r.tenant_id = t AND r.code = reason) THEN
        RAISE EXCEPTION 'there is no reason "%" for disqualifying a lead', reason USING ERRCODE = 'foreign_key_violation',
            HINT = 'crm.disqualification_reasons lists them.';
    END IF;
    IF l.converted_at IS NOT NULL THEN
        RAISE EXCEPTION 'lead % was converted', lead_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN crm.move_row(l, l.id, (crm.first_stage(t, l.pipeline_id, '{cancelled,lost}')).code,
                        jsonb_build_object('disqualification_reason', reason, 'disqualification_note', note, 'recycle_at', recycle_at));
END
$$;
COMMENT ON FUNCTION crm.disqualify_lead(bigint, text, text, timestamptz) IS
'Closes a lead for a reason of crm.disqualification_reasons and returns it. recycle_at: when it comes back by itself; without it, after the time its '
'reason says, if any. Errors: 23503 an unknown reason, CR102 a reason that asks for a note, 55000 a converted lead, P0002, 42501, CR107.';
SELECT crm.declare_api('crm.disqualify_lead', '{"lead_id": 1, "reason": "timing"}');
SELECT crm.declare_function('crm.disqualify_lead', 'agent');

CREATE OR REPLACE FUNCTION crm.recycle_lead(lead_id bigint, stage text DEFAULT NULL)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads := crm_internal.lead_for_change(t, lead_id);
    target text := stage;
BEGIN
    IF l.closed_at IS NULL OR l.converted_at IS NOT NULL OR l.merged_into_id IS NOT NULL THEN
        RAISE EXCEPTION 'lead % is not disqualified', lead_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF stage IS NULL THEN
        target := (crm.first_stage(t, l.pipeline_id, '{open,on_hold}')).code;
    ELSIF NOT EXISTS (SELECT FROM crm.stages AS s WHERE s.tenant_id = t AND s.pipeline_id = l.pipeline_id
                      AND s.code = stage AND s.type IN ('open', 'on_hold')) THEN
        RAISE EXCEPTION 'the pipeline of lead % has no open stage "%"', lead_id, stage
            USING ERRCODE = 'CR107', HINT = 'crm.allowed_moves_of(''leads'', id) lists its stages.';
    END IF;
    RETURN crm.move_row(l, l.id, target);
END
$$;
COMMENT ON FUNCTION crm.recycle_lead(bigint, text) IS
'Takes a disqualified lead back to the beginning of its pipeline, or to the open stage given, and returns it; reason and note are cleared and the '
'return is counted. Errors: 55000 a lead that is not disqualified, CR107 an unknown stage, P0002, 42501.';
SELECT crm.declare_api('crm.recycle_lead', '{"lead_id": 1}');
SELECT crm.declare_function('crm.recycle_lead', 'agent');

CREATE OR REPLACE FUNCTION crm_internal.recycle_leads(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint;
BEGIN
    PERFORM crm.because('recycle');
    UPDATE crm.leads AS l SET stage_id = (crm.first_stage(l.tenant_id, l.pipeline_id, '{open,on_hold}')).id
    WHERE l.tenant_id = tenant AND l.id = ANY (items::bigint[]);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.recycle_leads(bigint, text[], timestamptz) IS 'Some leads of a company come back; returns how many.';

CREATE OR REPLACE FUNCTION crm.recycle_due_leads(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.recycle_due_leads',
        'crm.leads AS x WHERE x.recycle_at <= $1 AND x.merged_into_id IS NULL',
        'x.id', 'x.recycle_at', 'UPDATE', 'crm_internal.recycle_leads', as_of, batch)
$$;
COMMENT ON FUNCTION crm.recycle_due_leads(timestamptz, integer) IS
'Takes disqualified leads back whose time has come, for all tenants. Returns how many. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.recycle_due_leads', 'owner');

CREATE OR REPLACE FUNCTION crm.next_recycle_at()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT min(l.recycle_at) FROM crm.leads AS l WHERE l.recycle_at IS NOT NULL AND l.merged_into_id IS NULL $$;
COMMENT ON FUNCTION crm.next_recycle_at() IS 'When the next disqualified lead comes back by itself; NULL: none in sight.';
SELECT crm.declare_function('crm.next_recycle_at', 'owner');
