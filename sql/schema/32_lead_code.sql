-- Leads: capture, assignment, response times, conversion.

CREATE OR REPLACE TRIGGER disqualification_reasons_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.disqualification_reasons
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();

SELECT crm.attach_process('crm.leads');

CREATE OR REPLACE FUNCTION crm.seed_leads(tenant_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    persian CONSTANT boolean := EXISTS (SELECT FROM crm.tenants AS t
                                        WHERE t.tenant_id = seed_leads.tenant_id AND t.language = 'fa');
BEGIN
    INSERT INTO crm.disqualification_reasons (tenant_id, code, name, note_required, recycle_after)
    SELECT seed_leads.tenant_id, r.code, CASE WHEN persian THEN r.fa ELSE r.en END, r.note, r.again
    FROM (VALUES
        ('no_need', 'No need', 'بی‌نیاز', false, NULL),
        ('no_budget', 'No budget', 'نبود بودجه', false, interval '180 days'),
        ('timing', 'Not now', 'زمان نامناسب', false, interval '90 days'),
        ('unreachable', 'Cannot be reached', 'در دسترس نیست', false, interval '30 days'),
        ('competitor', 'Bought elsewhere', 'خرید از رقیب', false, interval '365 days'),
        ('not_a_fit', 'Does not fit', 'نامناسب', false, NULL),
        ('duplicate', 'Duplicate', 'تکراری', false, NULL),
        ('spam', 'Spam or test', 'هرزنامه', false, NULL),
        ('other', 'Other', 'دیگر', true, NULL)
    ) AS r (code, en, fa, note, again)
    ON CONFLICT DO NOTHING;

    IF NOT EXISTS (SELECT FROM crm.pipelines AS p
                   WHERE p.tenant_id = seed_leads.tenant_id AND p.subject_table = 'leads') THEN
        PERFORM crm.define_pipeline('leads', jsonb_build_object(
            'name', CASE WHEN persian THEN 'سرنخ‌ها' ELSE 'Leads' END,
            'subject_table', 'leads',
            'is_default', true,
            'stages', (
                SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                           'code', s.code, 'name', CASE WHEN persian THEN s.fa ELSE s.en END, 'type', s.type,
                           'rotting_days', s.rotting_days, 'required_columns', s.required)) ORDER BY s.ord)
                FROM (VALUES
                    (1, 'new', 'New', 'تازه', 'open', 3, NULL::jsonb),
                    (2, 'working', 'Working', 'در پیگیری', 'open', 14, NULL),
                    (3, 'qualified', 'Qualified', 'واجد شرایط', 'open', 14, NULL),
                    (4, 'converted', 'Converted', 'تبدیل‌شده', 'done', 0, '["contact_id", "converted_at"]'),
                    (5, 'disqualified', 'Disqualified', 'رد شده', 'cancelled', 0, '["disqualification_reason"]')
                ) AS s (ord, code, en, fa, type, rotting_days, required)),
            'transitions', '[{"from": "new", "to": "working"}, {"from": "new", "to": "qualified"}]'::jsonb),
            seed_leads.tenant_id);
    END IF;
END
$$;
COMMENT ON FUNCTION crm.seed_leads(bigint) IS
'Gives a tenant the pipeline leads (new, working, qualified, converted, disqualified) and the usual reasons of disqualification, where it has none. Safe to call again.';

-- tenants that were there before leads were
SELECT crm.seed_leads(t.tenant_id) FROM crm.tenants AS t;
