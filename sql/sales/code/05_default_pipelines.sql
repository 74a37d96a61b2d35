-- The pipeline of opportunities and the loss reasons that a new tenant is given.

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
'Gives a tenant the pipeline sales of opportunities and the usual loss reasons, where it has none. Probabilities are the classic ones of CRM systems: '
'prospecting 10, qualification 10, needs analysis 20, value proposition 50, decision makers 60, perception analysis 70, proposal 75, negotiation 90 '
'per cent. Safe to call again.';
SELECT crm.declare_function('crm.create_default_pipelines', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.create_default_pipelines(bigint)');
