-- The process engine: attaching tables, defining pipelines, approvals, protection of what is in use.

-- ---- configuration that backends have compiled ----

CREATE OR REPLACE TRIGGER pipelines_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.pipelines
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER stages_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.stages
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER transitions_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.transitions
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER loss_reasons_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.loss_reasons
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();

-- ---- attaching ----

CREATE OR REPLACE FUNCTION crm.attach_process(table_name regclass)
RETURNS text
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject text;
    short text;
    changed text;
    wrong text;
BEGIN
    SELECT CASE WHEN n.nspname = 'crm' THEN quote_ident(c.relname) ELSE quote_ident(n.nspname) || '.' || quote_ident(c.relname) END,
           left(c.relname, 40)
    INTO subject, short
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid = table_name AND c.relkind IN ('r', 'p');
    IF subject IS NULL THEN
        RAISE EXCEPTION '% is not a table', table_name USING ERRCODE = 'wrong_object_type';
    END IF;

    SELECT string_agg(w.name, ', ' ORDER BY w.name)
    INTO wrong
    FROM (VALUES ('id'), ('pipeline_id'), ('stage_id')) AS w (name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = table_name AND a.attname = w.name AND NOT a.attisdropped
                        AND a.atttypid IN ('bigint'::regtype, 'integer'::regtype));
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'table % lacks columns of type bigint that a process needs: %', table_name, wrong
            USING ERRCODE = 'undefined_column', HINT = 'Add them, then attach the process again.';
    END IF;

    -- a period begins where one of these changes
    SELECT string_agg(format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', a.attname), ' OR ' ORDER BY a.attnum)
    INTO changed
    FROM pg_attribute AS a
    WHERE a.attrelid = table_name AND NOT a.attisdropped
      AND a.attname IN ('pipeline_id', 'stage_id', 'amount', 'currency', 'probability', 'close_date',
                        'expected_close_date', 'owner_id', 'team_id');

    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION crm.guard_stage(%L)',
                   short || '_before_stage', table_name, subject);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION crm.record_stage(%L)',
                   short || '_after_row_period', table_name, subject);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER UPDATE ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION crm.record_stage(%L)',
                   short || '_after_update_period', table_name, changed, subject);
    EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION crm.record_stage(%L)',
                   short || '_after_statement_period', table_name, subject);
    RETURN subject;
END
$$;
COMMENT ON FUNCTION crm.attach_process(regclass) IS
'Puts the process engine on a table with columns id, pipeline_id and stage_id (bigint); tenant_id, amount, currency, probability, expected_close_date, close_date, closed_at, stage_entered_at, loss_reason, loss_note, owner_id, team_id and custom are used where present. Safe to call again. Returns the name under which pipelines and history refer to the table. Only the table''s owner.';

-- ---- what is in use stays as it is ----

CREATE OR REPLACE FUNCTION crm.protect_stage()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM crm.stage_periods AS p WHERE p.tenant_id = OLD.tenant_id AND p.stage_id = OLD.id) THEN
            RAISE EXCEPTION 'stage "%" is in use or in the history and cannot be deleted', OLD.code
                USING ERRCODE = 'object_in_use', HINT = 'Set active to false: no row can enter it any more.';
        END IF;
        RETURN OLD;
    END IF;
    IF NEW.type <> OLD.type AND EXISTS (
        SELECT FROM crm.stage_periods AS p
        WHERE p.tenant_id = OLD.tenant_id AND p.stage_id = OLD.id AND upper_inf(p.period))
    THEN
        RAISE EXCEPTION 'the type of stage "%" cannot be changed while rows are in it', OLD.code
            USING ERRCODE = 'object_in_use', HINT = 'Move the rows to another stage first, or make a new stage.';
    END IF;
    IF (NEW.code <> OLD.code OR NEW.pipeline_id <> OLD.pipeline_id) AND EXISTS (
        SELECT FROM crm.stage_periods AS p WHERE p.tenant_id = OLD.tenant_id AND p.stage_id = OLD.id)
    THEN
        RAISE EXCEPTION 'code and pipeline of stage "%" cannot be changed: it is in use or in the history', OLD.code
            USING ERRCODE = 'object_in_use', HINT = 'The name can be changed at any time.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.protect_stage() IS
'Trigger of crm.stages: stages in use are neither deleted nor given another code, pipeline or, while rows are in them, type. Error 55006.';
CREATE OR REPLACE TRIGGER stages_before_protect
    BEFORE UPDATE OF type, code, pipeline_id OR DELETE ON crm.stages
    FOR EACH ROW EXECUTE FUNCTION crm.protect_stage();

CREATE OR REPLACE FUNCTION crm.protect_pipeline()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (NEW.code <> OLD.code OR NEW.subject_table <> OLD.subject_table) AND EXISTS (
        SELECT FROM crm.stage_periods AS p WHERE p.tenant_id = OLD.tenant_id AND p.pipeline_id = OLD.id)
    THEN
        RAISE EXCEPTION 'code and subject_table of pipeline "%" cannot be changed: it is in use or in the history', OLD.code
            USING ERRCODE = 'object_in_use', HINT = 'The name can be changed at any time.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.protect_pipeline() IS
'Trigger of crm.pipelines: pipelines in use keep their code and table. Error 55006.';
CREATE OR REPLACE TRIGGER pipelines_before_protect
    BEFORE UPDATE OF code, subject_table ON crm.pipelines
    FOR EACH ROW EXECUTE FUNCTION crm.protect_pipeline();

CREATE OR REPLACE FUNCTION crm.check_required_columns()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject text;
    relation regclass;
    unknown text;
BEGIN
    SELECT p.subject_table INTO subject
    FROM crm.pipelines AS p WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.pipeline_id;
    relation := to_regclass(CASE WHEN subject LIKE '%.%' THEN subject ELSE 'crm.' || subject END);
    SELECT string_agg(r.name, ', ')
    INTO unknown
    FROM unnest(NEW.required_columns) AS r (name)
    WHERE relation IS NOT NULL
      AND NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
                        AND a.attname = CASE WHEN r.name LIKE 'custom.%' THEN 'custom' ELSE r.name END);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'required_columns names columns that % does not have: %', subject, unknown
            USING ERRCODE = 'undefined_column', HINT = 'Custom fields are written custom.name.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.check_required_columns() IS
'Trigger of crm.stages and crm.transitions: required_columns must exist in the table of the pipeline. Error 42703.';
CREATE OR REPLACE TRIGGER stages_before_required
    BEFORE INSERT OR UPDATE OF required_columns ON crm.stages
    FOR EACH ROW WHEN (NEW.required_columns <> '{}') EXECUTE FUNCTION crm.check_required_columns();
CREATE OR REPLACE TRIGGER transitions_before_required
    BEFORE INSERT OR UPDATE OF required_columns ON crm.transitions
    FOR EACH ROW WHEN (NEW.required_columns <> '{}') EXECUTE FUNCTION crm.check_required_columns();

-- ---- defining ----

CREATE OR REPLACE FUNCTION crm.define_pipeline(code text, definition jsonb, tenant_id bigint DEFAULT crm.tenant_id())
RETURNS crm.pipelines
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := define_pipeline.tenant_id;
    pipeline_code CONSTANT text := define_pipeline.code;
    wanted_stages CONSTANT jsonb := definition -> 'stages';
    wanted_transitions CONSTANT jsonb := coalesce(definition -> 'transitions', '[]');
    before crm.pipelines;
    made crm.pipelines;
    wrong text;
BEGIN
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'the current role has no tenant' USING ERRCODE = 'CR010';
    END IF;
    IF jsonb_typeof(definition) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'the definition of a pipeline must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF coalesce(jsonb_typeof(wanted_stages), 'array') <> 'array' OR jsonb_typeof(wanted_transitions) <> 'array' THEN
        RAISE EXCEPTION 'stages and transitions must be JSON arrays' USING ERRCODE = 'invalid_parameter_value';
    END IF;

    -- misspelt keys would otherwise be ignored in silence
    SELECT string_agg(k.place || k.key, ', ' ORDER BY k.place, k.key)
    INTO wrong
    FROM (
        SELECT '' AS place, d.key FROM jsonb_object_keys(definition) AS d (key)
        WHERE d.key NOT IN ('name', 'subject_table', 'is_default', 'active', 'strict_order', 'stages', 'transitions')
        UNION
        SELECT 'stages.', d.key
        FROM jsonb_array_elements(wanted_stages) AS s (stage), jsonb_object_keys(s.stage) AS d (key)
        WHERE d.key NOT IN ('code', 'name', 'type', 'probability', 'forecast_category', 'rotting_days',
                            'required_columns', 'is_initial', 'active')
        UNION
        SELECT 'transitions.', d.key
        FROM jsonb_array_elements(wanted_transitions) AS t (edge), jsonb_object_keys(t.edge) AS d (key)
        WHERE d.key NOT IN ('from', 'to', 'guard', 'guard_message', 'required_columns', 'roles', 'approval_access')
    ) AS k;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'unknown keys in the definition of pipeline "%": %', pipeline_code, wrong
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT p.* INTO before FROM crm.pipelines AS p WHERE p.tenant_id = tenant AND p.code = pipeline_code FOR UPDATE;
    IF before.id IS NULL AND coalesce(jsonb_array_length(wanted_stages), 0) = 0 THEN
        RAISE EXCEPTION 'pipeline "%" needs stages', pipeline_code USING ERRCODE = 'invalid_parameter_value';
    END IF;

    SELECT string_agg(DISTINCT c.code, ', ')
    INTO wrong
    FROM (SELECT s.stage ->> 'code' AS code FROM jsonb_array_elements(wanted_stages) AS s (stage)
          GROUP BY 1 HAVING count(*) > 1) AS c;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'pipeline "%" has stages of the same code: %', pipeline_code, wrong
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    IF coalesce((definition ->> 'is_default')::boolean, before.is_default, false) THEN
        UPDATE crm.pipelines AS p SET is_default = false
        WHERE p.tenant_id = tenant AND p.is_default AND p.code <> pipeline_code
          AND p.subject_table = coalesce(definition ->> 'subject_table', before.subject_table, 'opportunities');
    END IF;
    IF before.id IS NULL THEN
        INSERT INTO crm.pipelines AS p (tenant_id, code, name, subject_table, is_default, active, strict_order)
        VALUES (tenant, pipeline_code,
                coalesce(definition ->> 'name', initcap(replace(pipeline_code, '_', ' '))),
                coalesce(definition ->> 'subject_table', 'opportunities'),
                coalesce((definition ->> 'is_default')::boolean, false),
                coalesce((definition ->> 'active')::boolean, true),
                coalesce((definition ->> 'strict_order')::boolean, false))
        RETURNING p.* INTO made;
    ELSE
        UPDATE crm.pipelines AS p
        SET name = coalesce(definition ->> 'name', p.name),
            subject_table = coalesce(definition ->> 'subject_table', p.subject_table),
            is_default = coalesce((definition ->> 'is_default')::boolean, p.is_default),
            active = coalesce((definition ->> 'active')::boolean, p.active),
            strict_order = coalesce((definition ->> 'strict_order')::boolean, p.strict_order),
            updated_at = now()
        WHERE p.tenant_id = tenant AND p.id = before.id
        RETURNING p.* INTO made;
    END IF;

    IF wanted_stages IS NOT NULL THEN
        -- stages that are left out: gone where nothing refers to them, else kept out of use behind the others
        DELETE FROM crm.stages AS s
        WHERE s.tenant_id = tenant AND s.pipeline_id = made.id
          AND NOT wanted_stages @> jsonb_build_array(jsonb_build_object('code', s.code))
          AND NOT EXISTS (SELECT FROM crm.stage_periods AS p WHERE p.tenant_id = tenant AND p.stage_id = s.id);
        UPDATE crm.stages AS s
        SET is_initial = false,
            active = s.active AND wanted_stages @> jsonb_build_array(jsonb_build_object('code', s.code)),
            position = s.position + 1000000
        WHERE s.tenant_id = tenant AND s.pipeline_id = made.id;
        INSERT INTO crm.stages AS s (tenant_id, pipeline_id, code, name, position, type, probability,
                                     forecast_category, rotting_days, required_columns, is_initial, active)
        SELECT tenant, made.id, w.stage ->> 'code',
               coalesce(w.stage ->> 'name', initcap(replace(w.stage ->> 'code', '_', ' '))),
               w.position, t.type,
               coalesce((w.stage ->> 'probability')::numeric,
                        CASE t.type WHEN 'won' THEN 100 WHEN 'lost' THEN 0 END),
               coalesce(w.stage ->> 'forecast_category',
                        CASE WHEN t.type IN ('won', 'done') THEN 'closed' WHEN t.type IN ('lost', 'cancelled') THEN 'omitted' ELSE 'pipeline' END),
               coalesce((w.stage ->> 'rotting_days')::integer, 0),
               ARRAY(SELECT jsonb_array_elements_text(coalesce(w.stage -> 'required_columns', '[]'))),
               coalesce((w.stage ->> 'is_initial')::boolean, false),
               coalesce((w.stage ->> 'active')::boolean, true)
        FROM jsonb_array_elements(wanted_stages) WITH ORDINALITY AS w (stage, position),
             LATERAL (SELECT coalesce(w.stage ->> 'type', 'open')) AS t (type)
        ON CONFLICT ON CONSTRAINT stages_code_key DO UPDATE
        SET name = excluded.name, position = excluded.position, type = excluded.type, probability = excluded.probability,
            forecast_category = excluded.forecast_category, rotting_days = excluded.rotting_days,
            required_columns = excluded.required_columns, is_initial = excluded.is_initial, active = excluded.active;
    END IF;

    IF wanted_stages IS NOT NULL OR definition ? 'transitions' THEN
        SELECT string_agg(DISTINCT n.code, ', ')
        INTO wrong
        FROM jsonb_array_elements(wanted_transitions) AS t (edge),
             LATERAL (VALUES (t.edge ->> 'from'), (t.edge ->> 'to')) AS n (code)
        WHERE n.code IS NOT NULL
          AND NOT EXISTS (SELECT FROM crm.stages AS s
                          WHERE s.tenant_id = tenant AND s.pipeline_id = made.id AND s.code = n.code);
        IF wrong IS NOT NULL OR EXISTS (SELECT FROM jsonb_array_elements(wanted_transitions) AS t (edge)
                                        WHERE t.edge ->> 'to' IS NULL) THEN
            RAISE EXCEPTION 'transitions of pipeline "%" name stages it does not have: %', pipeline_code,
                coalesce(wrong, '"to" is missing')
                USING ERRCODE = 'CR107', HINT = 'A transition needs "to"; without "from" it leads there from anywhere.';
        END IF;
        DELETE FROM crm.transitions AS t WHERE t.tenant_id = tenant AND t.pipeline_id = made.id;
        INSERT INTO crm.transitions AS t (tenant_id, pipeline_id, from_stage_id, to_stage_id, guard, guard_message,
                                          required_columns, roles, approval_access)
        SELECT tenant, made.id, f.id, s.id, (w.edge ->> 'guard')::jsonpath, w.edge ->> 'guard_message',
               ARRAY(SELECT jsonb_array_elements_text(coalesce(w.edge -> 'required_columns', '[]'))),
               CASE WHEN jsonb_typeof(w.edge -> 'roles') = 'array'
                    THEN ARRAY(SELECT jsonb_array_elements_text(w.edge -> 'roles')) END,
               w.edge ->> 'approval_access'
        FROM jsonb_array_elements(wanted_transitions) WITH ORDINALITY AS w (edge, ord)
        JOIN crm.stages AS s ON s.tenant_id = tenant AND s.pipeline_id = made.id AND s.code = w.edge ->> 'to'
        LEFT JOIN crm.stages AS f ON f.tenant_id = tenant AND f.pipeline_id = made.id AND f.code = w.edge ->> 'from'
        ORDER BY w.ord;
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.define_pipeline(text, jsonb, bigint) IS
'Makes or changes a pipeline with its stages and transitions at once. definition: {name, subject_table (default opportunities), is_default, active, strict_order, stages: [{code, name, type, probability, forecast_category, rotting_days, required_columns, is_initial, active} in their order], transitions: [{from, to, guard, guard_message, required_columns, roles, approval_access}]}. Stages left out are deleted, or deactivated where rows or history refer to them; transitions are those given. Without stages the stages stay. Returns the pipeline. Errors: 22023 unknown keys or shapes, CR107 unknown stages, 42601 a guard that is no jsonpath, 42703 unknown required columns, 55006 what is in use.';

CREATE OR REPLACE FUNCTION crm.create_default_pipelines(tenant_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    persian CONSTANT boolean := EXISTS (SELECT FROM crm.tenants AS t
                                        WHERE t.tenant_id = create_default_pipelines.tenant_id AND t.language = 'fa');
BEGIN
    INSERT INTO crm.loss_reasons (tenant_id, code, name, note_required)
    SELECT create_default_pipelines.tenant_id, r.code, CASE WHEN persian THEN r.fa ELSE r.en END, r.note_required
    FROM (VALUES
        ('price', 'Price', 'قیمت', false),
        ('competitor', 'Lost to a competitor', 'رقیب', false),
        ('no_budget', 'No budget', 'نبود بودجه', false),
        ('no_decision', 'No decision', 'بدون تصمیم', false),
        ('timing', 'Timing', 'زمان نامناسب', false),
        ('product_fit', 'Product does not fit', 'ناسازگاری محصول', false),
        ('no_contact', 'Contact lost', 'قطع ارتباط', false),
        ('not_recorded', 'Not recorded', 'ثبت نشده', false),
        ('other', 'Other', 'دیگر', true)
    ) AS r (code, en, fa, note_required)
    ON CONFLICT DO NOTHING;

    IF NOT EXISTS (SELECT FROM crm.pipelines AS p
                   WHERE p.tenant_id = create_default_pipelines.tenant_id AND p.subject_table = 'opportunities') THEN
        PERFORM crm.define_pipeline('sales', jsonb_build_object(
            'name', CASE WHEN persian THEN 'فروش' ELSE 'Sales' END,
            'subject_table', 'opportunities',
            'is_default', true,
            'stages', (
                SELECT jsonb_agg(jsonb_build_object(
                           'code', s.code, 'name', CASE WHEN persian THEN s.fa ELSE s.en END, 'type', s.type,
                           'probability', s.probability, 'forecast_category', s.category,
                           'rotting_days', s.rotting_days, 'is_initial', s.ord = 1) ORDER BY s.ord)
                FROM (VALUES
                    (1, 'prospecting', 'Prospecting', 'شناسایی', 'open', 10, 'pipeline', 30),
                    (2, 'qualification', 'Qualification', 'ارزیابی', 'open', 10, 'pipeline', 30),
                    (3, 'needs_analysis', 'Needs analysis', 'نیازسنجی', 'open', 20, 'pipeline', 30),
                    (4, 'value_proposition', 'Value proposition', 'پیشنهاد ارزش', 'open', 50, 'pipeline', 30),
                    (5, 'decision_makers', 'Identifying decision makers', 'شناخت تصمیم‌گیران', 'open', 60, 'pipeline', 30),
                    (6, 'perception_analysis', 'Perception analysis', 'تحلیل برداشت', 'open', 70, 'best_case', 21),
                    (7, 'proposal', 'Proposal or quote', 'پیش‌فاکتور', 'open', 75, 'most_likely', 21),
                    (8, 'negotiation', 'Negotiation and review', 'مذاکره', 'open', 90, 'commit', 14),
                    (9, 'won', 'Closed won', 'برنده', 'won', 100, 'closed', 0),
                    (10, 'lost', 'Closed lost', 'بازنده', 'lost', 0, 'omitted', 0)
                ) AS s (ord, code, en, fa, type, probability, category, rotting_days))),
            create_default_pipelines.tenant_id);
    END IF;
END
$$;
COMMENT ON FUNCTION crm.create_default_pipelines(bigint) IS
'Gives a tenant the pipeline sales of opportunities and the usual loss reasons, where it has none. Probabilities are the classic ones of CRM systems: prospecting 10, qualification 10, needs analysis 20, value proposition 50, decision makers 60, perception analysis 70, proposal 75, negotiation 90 per cent. Safe to call again.';

-- ---- approvals ----

CREATE OR REPLACE FUNCTION crm.guard_approval()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
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
        RAISE EXCEPTION 'approval % takes access level %', OLD.id, needed USING ERRCODE = 'CR105';
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

CREATE OR REPLACE FUNCTION crm.decide_approval(approval_id bigint, approve boolean, note text DEFAULT NULL)
RETURNS crm.approvals
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
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

-- ---- history of imports ----

-- SECURITY DEFINER: nobody but the engine writes crm.stage_periods. Only a transaction in which
-- crm.begin_history() was called, which asks who may, gets past the first lines.
CREATE OR REPLACE FUNCTION crm.record_history(subject_table text, subject_ids bigint[], stage_ids bigint[], entered_at timestamptz[],
                                             amounts numeric[] DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    reason CONSTANT text := current_setting('crm.history_reason');
    bad bigint;
    written bigint;
BEGIN
    IF reason = '' THEN
        RAISE EXCEPTION 'history is only recorded in a transaction that has begun it'
            USING ERRCODE = 'insufficient_privilege', HINT = 'Call crm.begin_history(reason) first.';
    END IF;
    IF (cardinality(subject_ids) = cardinality(stage_ids) AND cardinality(subject_ids) = cardinality(entered_at)
        AND cardinality(subject_ids) = cardinality(coalesce(amounts, ARRAY(SELECT 0 FROM unnest(subject_ids))))) IS NOT TRUE THEN
        RAISE EXCEPTION 'subject_ids, stage_ids, entered_at and amounts must have the same length'
            USING ERRCODE = 'array_subscript_error';
    END IF;
    SELECT v.subject_id INTO bad
    FROM unnest(subject_ids, stage_ids, entered_at) AS v (subject_id, stage_id, at)
    WHERE v.subject_id IS NULL OR v.at IS NULL OR NOT isfinite(v.at)
       OR NOT EXISTS (SELECT FROM crm.stages AS s WHERE s.tenant_id = tenant AND s.id = v.stage_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'history of % % has an unknown stage or an instant that is empty or not finite', subject_table, bad
            USING ERRCODE = 'CR107';
    END IF;
    SELECT v.subject_id INTO bad
    FROM unnest(subject_ids, entered_at) AS v (subject_id, at)
    GROUP BY v.subject_id, v.at HAVING count(*) > 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'history of % % enters two stages at the same instant', subject_table, bad
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT l.subject_id INTO bad
    FROM (SELECT DISTINCT ON (v.subject_id) v.subject_id, v.stage_id
          FROM unnest(subject_ids, stage_ids, entered_at) AS v (subject_id, stage_id, at)
          ORDER BY v.subject_id, v.at DESC) AS l
    LEFT JOIN crm.stage_periods AS p
        ON p.tenant_id = tenant AND p.subject_table = record_history.subject_table
        AND p.subject_id = l.subject_id AND upper_inf(p.period)
    WHERE p.stage_id IS DISTINCT FROM l.stage_id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'history of % % does not end in the stage the row is in', subject_table, bad
            USING ERRCODE = 'CR107';
    END IF;

    DELETE FROM crm.stage_periods AS p
    WHERE p.tenant_id = tenant AND p.subject_table = record_history.subject_table
      AND p.subject_id = ANY (subject_ids) AND NOT upper_inf(p.period);
    -- the open period becomes the last one, and lends the others what is known of the row
    UPDATE crm.stage_periods AS p
    SET seq = l.steps, period = tstzrange(l.at, NULL), moved = true, bypassed = true, bypass_reason = reason
    FROM (SELECT v.subject_id, count(*)::integer AS steps, max(v.at) AS at
          FROM unnest(subject_ids, entered_at) AS v (subject_id, at) GROUP BY v.subject_id) AS l
    WHERE p.tenant_id = tenant AND p.subject_table = record_history.subject_table
      AND p.subject_id = l.subject_id AND upper_inf(p.period);
    INSERT INTO crm.stage_periods (tenant_id, subject_table, subject_id, seq, pipeline_id, stage_id, period, amount, currency,
                                   probability, close_date, owner_id, team_id, moved, changed_by, changed_role, bypassed, bypass_reason)
    SELECT tenant, record_history.subject_table, h.subject_id, h.seq, s.pipeline_id, h.stage_id, tstzrange(h.at, h.ended),
           CASE WHEN amounts IS NULL THEN p.amount ELSE h.amount END, p.currency, s.probability, p.close_date, p.owner_id, p.team_id,
           true, p.changed_by, p.changed_role, true, reason
    FROM (SELECT v.subject_id, v.stage_id, v.at, v.amount, row_number() OVER steps AS seq, lead(v.at) OVER steps AS ended
          FROM unnest(subject_ids, stage_ids, entered_at, coalesce(amounts, '{}')) AS v (subject_id, stage_id, at, amount)
          WINDOW steps AS (PARTITION BY v.subject_id ORDER BY v.at)) AS h
    JOIN crm.stages AS s ON s.tenant_id = tenant AND s.id = h.stage_id
    JOIN crm.stage_periods AS p
        ON p.tenant_id = tenant AND p.subject_table = record_history.subject_table
        AND p.subject_id = h.subject_id AND upper_inf(p.period)
    WHERE h.ended IS NOT NULL;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written + (SELECT count(DISTINCT v.id) FROM unnest(subject_ids) AS v (id));
END
$$;
COMMENT ON FUNCTION crm.record_history(text, bigint[], bigint[], timestamptz[], numeric[]) IS
'For imports, after the rows are inserted and crm.begin_history() was called in the same transaction: replaces the whole history of rows by the stages they entered and when, one element of each array per step. The last step must be the stage the row is in. amounts: what the row was worth in each step (NULL: the row''s amount; the last step always has the row''s). Currency, owner, team and close date of all steps are the row''s, probability is the stage''s. Returns the number of periods. Errors: 42501 without crm.begin_history, CR107 unknown stage or another last stage, 22023 two steps at the same instant.';
