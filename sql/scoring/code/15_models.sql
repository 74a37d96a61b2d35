-- Lead scoring by points: a model by its name, with the rules it has or had.

CREATE OR REPLACE FUNCTION crm_internal.score_model(model_name text)
RETURNS crm.score_models
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.score_models;
BEGIN
    SELECT s.* INTO m FROM crm.score_models AS s
    WHERE s.tenant_id = crm.tenant_id() AND (s.name = model_name OR model_name IS NULL AND s.active)
    ORDER BY s.id LIMIT 1;
    IF m.id IS NULL THEN
        IF model_name IS NULL THEN
            RAISE EXCEPTION 'there is no active score model'
                USING ERRCODE = 'no_data_found', HINT = 'Make one with crm.define_score_model().';
        END IF;
        RAISE EXCEPTION 'there is no score model "%"', model_name
            USING ERRCODE = 'no_data_found', HINT = 'crm.score_models lists them.';
    END IF;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm_internal.score_model(text) IS 'A score model by name; NULL: the first active one.';

-- Whoever judged by a score judged by the rules of that day. Before a model was made nobody did: there its first rules tell what it would have said.
CREATE OR REPLACE FUNCTION crm_internal.rules_at(model crm.score_models, at timestamptz)
RETURNS crm.score_models
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    then_was jsonb;
BEGIN
    IF at < now() THEN
        -- what the transaction that made it put together was nobody's rules
        SELECT p.value INTO then_was FROM crm.past_values AS p
        WHERE p.tenant_id = model.tenant_id AND p.table_name = 'score_models' AND p.record_id = model.id AND p.column_name = 'definition'
          AND p.until > at AND p.until > model.created_at
        ORDER BY p.until LIMIT 1;
        IF then_was IS NOT NULL AND then_was <> model.definition THEN
            model.definition := then_was;
            -- no state was made by these
            model.version := -2;
        END IF;
    END IF;
    RETURN model;
END
$$;
COMMENT ON FUNCTION crm_internal.rules_at(crm.score_models, timestamptz) IS
'A score model with the rules it had at an instant; before it was made its first ones.';

CREATE OR REPLACE FUNCTION crm_internal.score_model_at(model_name text, at timestamptz)
RETURNS crm.score_models
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_internal.rules_at(crm_internal.score_model(model_name), at);
END
$$;
COMMENT ON FUNCTION crm_internal.score_model_at(text, timestamptz) IS
'A score model by name, as of crm_internal.rules_at(). NULL: the first active one.';
