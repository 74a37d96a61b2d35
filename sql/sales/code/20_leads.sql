-- Leads: the reasons and the pipeline of a tenant, and what triggers keep on each row.

CREATE OR REPLACE FUNCTION crm.seed_leads(tenant_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    words CONSTANT jsonb := crm_internal.texts_of(seed_leads.tenant_id, 'seeds');
BEGIN
    INSERT INTO crm.disqualification_reasons (tenant_id, code, name, note_required, recycle_after)
    SELECT seed_leads.tenant_id, r.code, words -> 'disqualification_reasons' ->> r.code, r.note, r.again
    FROM (VALUES
        ('no_need', false, NULL),
        ('no_budget', false, interval '180 days'),
        ('timing', false, interval '90 days'),
        ('unreachable', false, interval '30 days'),
        ('competitor', false, interval '365 days'),
        ('not_a_fit', false, NULL),
        ('duplicate', false, NULL),
        ('spam', false, NULL),
        ('other', true, NULL)
    ) AS r (code, note, again)
    ON CONFLICT DO NOTHING;

    IF NOT EXISTS (SELECT FROM crm.pipelines AS p
                   WHERE p.tenant_id = seed_leads.tenant_id AND p.subject_table = 'leads') THEN
        PERFORM crm.define_pipeline('leads', jsonb_build_object(
            'name', words -> 'pipelines' ->> 'leads',
            'subject_table', 'leads',
            'is_default', true,
            'stages', (
                SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                           'code', s.code, 'name', words -> 'stages' -> 'leads' ->> s.code, 'type', s.type,
                           'rotting_days', s.rotting_days, 'required_columns', s.required)) ORDER BY s.ord)
                FROM (VALUES
                    (1, 'new', 'open', 3, NULL::jsonb),
                    (2, 'working', 'open', 14, NULL),
                    (3, 'qualified', 'open', 14, NULL),
                    (4, 'converted', 'done', 0, '["contact_id", "converted_at"]'),
                    (5, 'disqualified', 'cancelled', 0, '["disqualification_reason"]')
                ) AS s (ord, code, type, rotting_days, required)),
            'transitions', '[{"from": "new", "to": "working"}, {"from": "new", "to": "qualified"}]'::jsonb),
            seed_leads.tenant_id);
    END IF;
END
$$;
COMMENT ON FUNCTION crm.seed_leads(bigint) IS
'Gives a tenant the pipeline leads (new, working, qualified, converted, disqualified) and the usual reasons of disqualification, where it has none. '
'Safe to call again.';
SELECT crm.declare_function('crm.seed_leads', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.seed_leads(bigint)');

-- ---- rows of leads ----

CREATE OR REPLACE FUNCTION crm_internal.leads_tally()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    reason crm.disqualification_reasons;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.closed_at IS NOT NULL AND NEW.closed_at IS NULL THEN
        IF OLD.converted_at IS NOT NULL THEN
            RAISE EXCEPTION 'lead % was converted and cannot be opened again', OLD.id
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Work on the contact and account it became, or capture a new lead.';
        END IF;
        NEW.disqualification_reason := NULL;
        NEW.disqualification_note := NULL;
        NEW.recycle_at := NULL;
        NEW.recycle_count := OLD.recycle_count + 1;
        IF NEW.owner_id IS NOT NULL AND crm.is_away(NEW.owner_id, NEW.tenant_id) THEN
            NEW.owner_id := NULL;   -- the rules give it out
        END IF;
    END IF;
    IF NEW.closed_at IS NULL OR NEW.disqualification_reason IS NULL THEN
        NEW.recycle_at := NULL;
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' OR NEW.disqualification_reason IS DISTINCT FROM OLD.disqualification_reason THEN
        SELECT r.* INTO reason FROM crm.disqualification_reasons AS r
        WHERE r.tenant_id = NEW.tenant_id AND r.code = NEW.disqualification_reason;
        IF reason.note_required AND btrim(coalesce(NEW.disqualification_note, '')) = '' THEN
            RAISE EXCEPTION 'reason "%" asks for a note', reason.code
                USING ERRCODE = 'CR102', DETAIL = 'Missing: disqualification_note.', HINT = 'Say in disqualification_note what happened.';
        END IF;
        IF NOT reason.active THEN
            RAISE EXCEPTION 'reason "%" is no longer in use', reason.code
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Choose an active one of crm.disqualification_reasons.';
        END IF;
        NEW.recycle_at := coalesce(CASE WHEN TG_OP = 'INSERT' OR NEW.recycle_at IS DISTINCT FROM OLD.recycle_at THEN NEW.recycle_at END,
                                   NEW.closed_at + reason.recycle_after);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.leads_tally() IS 'Trigger, after the guard of stages: reasons, notes and the return of disqualified leads.';
CREATE OR REPLACE TRIGGER leads_before_tally_insert BEFORE INSERT ON crm.leads
    FOR EACH ROW WHEN (NEW.disqualification_reason IS NOT NULL OR NEW.recycle_at IS NOT NULL)
    EXECUTE FUNCTION crm_internal.leads_tally();
CREATE OR REPLACE TRIGGER leads_before_tally_update BEFORE UPDATE ON crm.leads
    FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL OR NEW.closed_at IS NOT NULL OR NEW.recycle_at IS NOT NULL)
    EXECUTE FUNCTION crm_internal.leads_tally();

CREATE OR REPLACE FUNCTION crm_internal.activities_of_leads()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE crm.leads AS l
    SET first_response_at = coalesce(NEW.done_at, NEW.started_at, NEW.created_at)
    WHERE l.tenant_id = NEW.tenant_id AND l.id = NEW.related_id AND l.first_response_at IS NULL
      AND (crm.whole_tenant() IS NOT NULL OR crm.can_change_row('crm.leads', l.id));
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.activities_of_leads() IS
'Trigger: the first response to a lead.';
CREATE OR REPLACE TRIGGER activities_after_lead_insert AFTER INSERT ON crm.activities
    FOR EACH ROW WHEN (NEW.related_table = 'leads'
        AND (NEW.direction = 'out' AND (NEW.done_at IS NOT NULL OR NEW.kind IN ('mail', 'message'))
             OR NEW.kind IN ('meeting', 'visit') AND NEW.done_at IS NOT NULL))
    EXECUTE FUNCTION crm_internal.activities_of_leads();
CREATE OR REPLACE TRIGGER activities_after_lead_update AFTER UPDATE OF done_at ON crm.activities
    FOR EACH ROW WHEN (NEW.related_table = 'leads' AND OLD.done_at IS NULL AND NEW.done_at IS NOT NULL
        AND (NEW.direction = 'out' OR NEW.kind IN ('meeting', 'visit')))
    EXECUTE FUNCTION crm_internal.activities_of_leads();
