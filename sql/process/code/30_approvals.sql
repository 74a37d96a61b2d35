-- Approvals of stage changes: asking for one, and deciding.

CREATE OR REPLACE FUNCTION crm.guard_approval()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    needed text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.state := 'requested';
        NEW.requested_by := crm.user_id();
        NEW.requested_role := session_user;
        NEW.requested_at := now();
        NEW.decided_by := NULL;
        NEW.decided_role := NULL;
        NEW.decided_at := NULL;
        NEW.used_at := NULL;
        RETURN NEW;
    END IF;
    IF (NEW.tenant_id, NEW.id, NEW.subject_table, NEW.subject_id, NEW.to_stage_id, NEW.requested_by, NEW.requested_role, NEW.requested_at)
       IS DISTINCT FROM
       (OLD.tenant_id, OLD.id, OLD.subject_table, OLD.subject_id, OLD.to_stage_id, OLD.requested_by, OLD.requested_role, OLD.requested_at)
    THEN
        RAISE EXCEPTION 'what was asked for in approval % cannot be changed', OLD.id
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.state = OLD.state THEN
        -- the guard of stages marks an approval as used, acting as the owner
        IF NEW.used_at IS DISTINCT FROM OLD.used_at AND NOT EXISTS (
            SELECT FROM pg_class AS c WHERE c.oid = TG_RELID AND pg_has_role(current_user, c.relowner, 'USAGE'))
        THEN
            RAISE EXCEPTION 'an approval is used by the move it is for' USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state <> 'requested' THEN
        RAISE EXCEPTION 'approval % is already decided: %', OLD.id, OLD.state
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- the same person is the same CRM user, or the same role where there is none
    IF OLD.requested_by IS NOT DISTINCT FROM crm.user_id()
       AND (OLD.requested_by IS NOT NULL OR OLD.requested_role = session_user)
    THEN
        RAISE EXCEPTION 'approval % cannot be decided by who asked for it', OLD.id
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- the highest level that any way into the stage asks for
    SELECT t.approval_access INTO needed
    FROM crm.transitions AS t
    WHERE t.tenant_id = OLD.tenant_id AND t.to_stage_id = OLD.to_stage_id AND t.approval_access IS NOT NULL
    ORDER BY array_position(ARRAY['admin', 'manager', 'agent'], t.approval_access) LIMIT 1;
    IF NOT crm.has_access(coalesce(needed, 'agent')) THEN
        RAISE EXCEPTION 'approval % takes access level %', OLD.id, needed
            USING ERRCODE = 'CR105', HINT = 'Ask somebody of this level to decide.';
    END IF;
    NEW.decided_by := crm.user_id();
    NEW.decided_role := session_user;
    NEW.decided_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.guard_approval() IS
'Trigger of crm.approvals: who asks and who decides is recorded by it, not by the writer; nobody decides their own request (42501), the access level of the transition is needed (CR105), and a decision is final (55000).';
CREATE OR REPLACE TRIGGER approvals_before_guard
    BEFORE INSERT OR UPDATE ON crm.approvals
    FOR EACH ROW EXECUTE FUNCTION crm.guard_approval();

CREATE OR REPLACE FUNCTION crm.request_approval(subject_table text, subject_id bigint, stage text, note text DEFAULT NULL)
RETURNS crm.approvals
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    target bigint;
    level text;
    made crm.approvals;
BEGIN
    SELECT m.stage_id, m.approval_access INTO target, level
    FROM crm.allowed_moves_of(request_approval.subject_table, request_approval.subject_id) AS m
    WHERE m.stage_code = request_approval.stage;
    IF target IS NULL THEN
        RAISE EXCEPTION '% % cannot move to stage "%": its pipeline has no such other stage', subject_table, subject_id, stage
            USING ERRCODE = 'CR107', HINT = 'See crm.allowed_moves_of().';
    END IF;
    IF level IS NULL THEN
        RAISE EXCEPTION 'the move of % % to stage "%" needs no approval', subject_table, subject_id, stage
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO crm.approvals AS a (tenant_id, subject_table, subject_id, to_stage_id, note)
    VALUES (tenant, request_approval.subject_table, request_approval.subject_id, target, request_approval.note)
    RETURNING a.* INTO made;
    RETURN made;
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'an approval of this move is already requested'
        USING ERRCODE = 'unique_violation', HINT = 'Somebody else has to decide it: crm.decide_approval().';
END
$$;
COMMENT ON FUNCTION crm.request_approval(text, bigint, text, text) IS
'Asks for the approval that a transition needs. subject_table as in crm.pipelines.subject_table, stage is its code. Returns the request. Errors: CR107 no such stage, 55000 where none is needed, 23505 already requested.';
SELECT crm.declare_api('crm.request_approval', '{"subject_table": "opportunities", "subject_id": 1, "stage": "won", "note": "discount of 20 %"}');

CREATE OR REPLACE FUNCTION crm.decide_approval(approval_id bigint, approve boolean, note text DEFAULT NULL)
RETURNS crm.approvals
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    decided crm.approvals;
BEGIN
    IF approve IS NULL THEN
        RAISE EXCEPTION 'approve must be true or false' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    UPDATE crm.approvals AS a
    SET state = CASE WHEN approve THEN 'approved' ELSE 'rejected' END, decision_note = decide_approval.note
    WHERE a.tenant_id = tenant AND a.id = approval_id
    RETURNING a.* INTO decided;
    IF decided.id IS NULL THEN
        RAISE EXCEPTION 'approval % does not exist, or is not visible to you', approval_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN decided;
END
$$;
COMMENT ON FUNCTION crm.decide_approval(bigint, boolean, text) IS
'Approves or rejects a requested approval; an approved one lets the row make the move once. Returns it. Errors: 42501 for who asked, CR105 where the access level is too low, 55000 where it is already decided.';
SELECT crm.declare_api('crm.decide_approval', '{"approval_id": 1, "approve": true}');
