-- The pipeline of opportunities and the loss reasons that a new tenant is given.

CREATE OR REPLACE FUNCTION crm.create_default_pipelines(tenant_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    words CONSTANT jsonb := crm_internal.texts_of(create_default_pipelines.tenant_id, 'seeds');
BEGIN
    INSERT INTO crm.loss_reasons (tenant_id, code, name, note_required)
    SELECT create_default_pipelines.tenant_id, r.code, words -> 'loss_reasons' ->> r.code, r.code = 'other'
    FROM unnest('{price,competitor,no_budget,no_decision,timing,product_fit,no_contact,not_recorded,other}'::text[]) AS r (code)
    ON CONFLICT DO NOTHING;

    IF NOT EXISTS (SELECT FROM crm.pipelines AS p
                   WHERE p.tenant_id = create_default_pipelines.tenant_id AND p.subject_table = 'opportunities') THEN
        PERFORM crm.define_pipeline('sales', jsonb_build_object(
            'name', words -> 'pipelines' ->> 'sales',
            'subject_table', 'opportunities',
            'is_default', true,
            'stages', (
                SELECT jsonb_agg(jsonb_build_object(
                           'code', s.code, 'name', words -> 'stages' -> 'sales' ->> s.code, 'type', s.type,
                           'probability', s.probability, 'forecast_category', s.category,
                           'rotting_days', s.rotting_days, 'is_initial', s.ord = 1) ORDER BY s.ord)
                FROM (VALUES
                    (1, 'prospecting', 'open', 10, 'pipeline', 30),
                    (2, 'qualification', 'open', 10, 'pipeline', 30),
                    (3, 'needs_analysis', 'open', 20, 'pipeline', 30),
                    (4, 'value_proposition', 'open', 50, 'pipeline', 30),
                    (5, 'decision_makers', 'open', 60, 'pipeline', 30),
                    (6, 'perception_analysis', 'open', 70, 'best_case', 21),
                    (7, 'proposal', 'open', 75, 'most_likely', 21),
                    (8, 'negotiation', 'open', 90, 'commit', 14),
                    (9, 'won', 'won', 100, 'closed', 0),
                    (10, 'lost', 'lost', 0, 'omitted', 0)
                ) AS s (ord, code, type, probability, category, rotting_days))),
            create_default_pipelines.tenant_id);
    END IF;
END
$$;
COMMENT ON FUNCTION crm.create_default_pipelines(bigint) IS
'Gives a tenant the pipeline sales of opportunities and the usual loss reasons, where it has none. Probabilities are the classic ones of CRM systems: '
'prospecting 10, qualification 10, needs analysis 20, value proposition 50, decision makers 60, perception analysis 70, proposal 75, negotiation 90 '
'per cent. Safe to call again.';
SELECT crm.declare_function('crm.create_default_pipelines', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.create_default_pipelines(bigint)');
