-- Pipelines: defining them and their stages; what is in use stays as it is.

-- ---- what is in use stays as it is ----

CREATE OR REPLACE FUNCTION crm.protect_stage()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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
#variable_conflict use_variable
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
#variable_conflict use_variable
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
#variable_conflict use_variable
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
        RAISE EXCEPTION 'the current role has no tenant' USING ERRCODE = 'CR010', HINT = 'Map the role to a user of a tenant: crm.users, column db_role.';
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
'Makes or changes a pipeline with its stages and transitions at once. definition: {name, subject_table (default opportunities), is_default, active, '
'strict_order, stages: [{code, name, type, probability, forecast_category, rotting_days, required_columns, is_initial, active} in their order], '
'transitions: [{from, to, guard, guard_message, required_columns, roles, approval_access}]}. Stages left out are deleted, or deactivated where rows or '
'history refer to them; transitions are those given. Without stages the stages stay. Returns the pipeline. Errors: 22023 unknown keys or shapes, CR107 '
'unknown stages, 42601 a guard that is no jsonpath, 42703 unknown required columns, 55006 what is in use.';
SELECT crm.declare_function('crm.define_pipeline', 'admin');

CREATE OR REPLACE FUNCTION crm.first_stage(tenant_id bigint, pipeline_id bigint, types text[], preferred text DEFAULT NULL)
RETURNS crm.stages
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_stage crm.stages;
BEGIN
    SELECT s.* INTO found_stage FROM crm.stages AS s
    WHERE s.tenant_id = first_stage.tenant_id AND s.pipeline_id = first_stage.pipeline_id AND s.active AND s.type = ANY (types)
    ORDER BY s.code IS NOT DISTINCT FROM preferred DESC, s.is_initial DESC, s.position
    LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'pipeline "%" has no active stage of type %',
            coalesce((SELECT p.code FROM crm.pipelines AS p
                      WHERE p.tenant_id = first_stage.tenant_id AND p.id = first_stage.pipeline_id), first_stage.pipeline_id::text),
            array_to_string(types, ' or ')
            USING ERRCODE = 'CR107', HINT = 'Add one with crm.define_pipeline().';
    END IF;
    RETURN found_stage;
END
$$;
COMMENT ON FUNCTION crm.first_stage(bigint, bigint, text[], text) IS
'First active stage of some types (open, on_hold, won, lost, done, cancelled) in a pipeline: the one with the preferred code, else where rows begin, '
'else by position. Error CR107 where there is none.';

CREATE OR REPLACE FUNCTION crm_internal.rename_seeded_stages(tenant bigint, was text, now_is text)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE crm.stages AS s SET name = n.words -> 'stages' -> l.code ->> s.code
    FROM crm.pipelines AS l, crm_internal.texts AS o, crm_internal.texts AS n
    WHERE s.tenant_id = tenant AND l.tenant_id = s.tenant_id AND l.id = s.pipeline_id
      AND o.area = 'seeds' AND o.language = was AND n.area = 'seeds' AND n.language = now_is
      AND s.name = o.words -> 'stages' -> l.code ->> s.code AND n.words -> 'stages' -> l.code ? s.code
$$;
COMMENT ON FUNCTION crm_internal.rename_seeded_stages(bigint, text, text) IS
'Names the stages of the pipelines that a tenant was given to begin with in its new language. What somebody has named otherwise keeps that name.';
SELECT crm.declare_hook('tenant_language', 'crm_internal.rename_seeded_stages(bigint, text, text)');
