-- Opportunities and their moves.

CREATE OR REPLACE FUNCTION crm.move_opportunity(opportunity_id bigint, stage text, changes jsonb DEFAULT '{}')
RETURNS crm.opportunities
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.move_row(NULL::crm.opportunities, opportunity_id, stage, changes);
END
$$;
COMMENT ON FUNCTION crm.move_opportunity(bigint, text, jsonb) IS
'crm.move() for an opportunity: to another stage of its pipeline, given by its code, and columns filled in the same write. Returns the opportunity. '
'Errors as crm.move.';

CREATE OR REPLACE FUNCTION crm.closing_stage(opportunity_id bigint, type text)
RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    own_pipeline bigint;
BEGIN
    SELECT o.pipeline_id INTO own_pipeline
    FROM crm.opportunities AS o WHERE o.tenant_id = tenant AND o.id = opportunity_id;
    IF own_pipeline IS NULL THEN
        RAISE EXCEPTION 'opportunity % does not exist, or is not visible to you', opportunity_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN (crm.first_stage(tenant, own_pipeline, ARRAY[closing_stage.type])).code;
END
$$;
COMMENT ON FUNCTION crm.closing_stage(bigint, text) IS
'Code of the first active stage of a type (won, lost) in the pipeline of an opportunity. Error CR107 where there is none.';

CREATE OR REPLACE FUNCTION crm.win_opportunity(opportunity_id bigint, amount numeric DEFAULT NULL, close_date date DEFAULT NULL)
RETURNS crm.opportunities
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.move_row(NULL::crm.opportunities, opportunity_id, crm.closing_stage(opportunity_id, 'won'),
                        jsonb_strip_nulls(jsonb_build_object('amount', win_opportunity.amount, 'close_date', win_opportunity.close_date)));
END
$$;
COMMENT ON FUNCTION crm.win_opportunity(bigint, numeric, date) IS
'Moves an opportunity to the first stage of type won; amount and close date where given (the close date is otherwise today in the tenant''s zone). '
'Returns the opportunity. Errors as crm.move_opportunity.';
SELECT crm.declare_api('crm.win_opportunity', '{"opportunity_id": 1, "amount": 5000}');

CREATE OR REPLACE FUNCTION crm.lose_opportunity(opportunity_id bigint, reason text, note text DEFAULT NULL, close_date date DEFAULT NULL)
RETURNS crm.opportunities
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.move_row(NULL::crm.opportunities, opportunity_id, crm.closing_stage(opportunity_id, 'lost'),
                        jsonb_strip_nulls(jsonb_build_object('loss_reason', reason, 'loss_note', note,
                                                             'close_date', lose_opportunity.close_date)));
END
$$;
COMMENT ON FUNCTION crm.lose_opportunity(bigint, text, text, date) IS
'Moves an opportunity to the first stage of type lost, with a code of crm.loss_reasons and, where that asks for it, a note. Returns the opportunity. '
'Errors as crm.move_opportunity; CR106 without reason or note, 23503 unknown reason.';
SELECT crm.declare_api('crm.lose_opportunity', '{"opportunity_id": 1, "reason": "price"}');

CREATE OR REPLACE FUNCTION crm.reopen_opportunity(opportunity_id bigint, stage text DEFAULT NULL)
RETURNS crm.opportunities
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    target text := reopen_opportunity.stage;
    own_pipeline bigint;
    closed boolean;
BEGIN
    SELECT o.pipeline_id, s.type NOT IN ('open', 'on_hold') INTO own_pipeline, closed
    FROM crm.opportunities AS o
    JOIN crm.stages AS s ON s.tenant_id = tenant AND s.id = o.stage_id
    WHERE o.tenant_id = tenant AND o.id = opportunity_id
    FOR UPDATE OF o;
    IF own_pipeline IS NULL THEN
        RAISE EXCEPTION 'opportunity % does not exist, or is not visible to you', opportunity_id USING ERRCODE = 'no_data_found';
    END IF;
    IF NOT closed THEN
        RAISE EXCEPTION 'opportunity % is not closed', opportunity_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF target IS NULL THEN
        SELECT s.code INTO target
        FROM crm.stages AS s
        LEFT JOIN crm.stage_periods AS p
            ON p.tenant_id = tenant AND p.subject_table = 'opportunities' AND p.subject_id = opportunity_id AND p.stage_id = s.id
        WHERE s.tenant_id = tenant AND s.pipeline_id = own_pipeline AND s.active AND s.type IN ('open', 'on_hold')
        ORDER BY p.seq DESC NULLS LAST, s.is_initial DESC, s.position LIMIT 1;
    END IF;
    RETURN crm.move_row(NULL::crm.opportunities, opportunity_id, target, '{}');
END
$$;
COMMENT ON FUNCTION crm.reopen_opportunity(bigint, text) IS
'Moves a closed opportunity back to the stage it was last open in, or to the one given; close date and loss reason are cleared. Where its owner has left or '
'is away, whoever reopens it takes it. Returns the opportunity. Errors as crm.move_opportunity; 55000 where it is not closed.';

CREATE OR REPLACE FUNCTION crm.allowed_moves(opportunity_id bigint)
RETURNS TABLE (stage_id bigint, stage_code text, stage_name text, stage_type text, allowed boolean,
               missing_columns text[], approval text, approval_access text, reason text)
LANGUAGE sql STABLE STRICT ROWS 8
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT m.stage_id, m.stage_code, m.stage_name, m.stage_type, m.allowed, m.missing_columns, m.approval, m.approval_access, m.reason
    FROM crm.allowed_moves_of('opportunities', opportunity_id) AS m
$$;
COMMENT ON FUNCTION crm.allowed_moves(bigint) IS
'What may be done next with an opportunity: see crm.allowed_moves_of.';
