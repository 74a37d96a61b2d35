-- Numbers of documents.
--
-- A gapless number is a row that is locked until the transaction ends: what is rolled back or killed has never counted. An ordinary one is
-- that of a sequence, which nobody waits for and which nothing takes back. Sequences are of one company each, so that nobody reads from the
-- numbers of their own documents how much others sell. They are made when the first number is taken, under a lock of the series.

CREATE OR REPLACE FUNCTION crm_internal.number_sequence(tenant bigint, series bigint, year integer, first_number bigint)
RETURNS regclass
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name CONSTANT text := concat_ws('_', 'numbers', tenant, series, nullif(year, 0));
    answer regclass := to_regclass('crm_internal.' || name);
BEGIN
    IF answer IS NULL THEN
        PERFORM crm.lock('number series', tenant, series::text);
        EXECUTE format('CREATE SEQUENCE IF NOT EXISTS crm_internal.%I START %s', name, first_number);
        EXECUTE format('COMMENT ON SEQUENCE crm_internal.%I IS %L', name, 'Numbers of documents of a company (crm.number_series).');
        answer := to_regclass('crm_internal.' || name);
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.number_sequence(bigint, bigint, integer, bigint) IS
'The sequence of an ordinary series, in a year (0: of all), made where it is not there.';

CREATE OR REPLACE FUNCTION crm_internal.next_number(tenant bigint, document text, on_date date)
RETURNS text
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.number_series;
    year integer;
    period integer;
    n bigint;
BEGIN
    SELECT x.* INTO s FROM crm.number_series AS x WHERE x.tenant_id = tenant AND x.document = next_number.document;
    IF s.id IS NULL THEN
        RAISE EXCEPTION 'documents of kind "%" have no series of numbers', document
            USING ERRCODE = 'undefined_object', HINT = 'Insert one into crm.number_series, or give the document a number.';
    END IF;
    year := CASE s.year_of WHEN 'jalali' THEN (crm.to_jalali(on_date)).year ELSE extract(year FROM on_date)::integer END;
    period := CASE s.resets WHEN 'year' THEN year ELSE 0 END;
    IF s.kind = 'gapless' THEN
        INSERT INTO crm_internal.number_counters AS c (tenant_id, series_id, year, last_number) VALUES (tenant, s.id, period, s.first_number)
        ON CONFLICT ON CONSTRAINT number_counters_pkey DO UPDATE SET last_number = c.last_number + 1
        RETURNING c.last_number INTO n;
    ELSE
        n := nextval(crm_internal.number_sequence(tenant, s.id, period, s.first_number));
    END IF;
    RETURN replace(replace(s.pattern, '{year}', year::text), '{number}', lpad(n::text, greatest(s.digits, length(n::text)), '0'));
END
$$;
COMMENT ON FUNCTION crm_internal.next_number(bigint, text, date) IS
'The next number of a company''s series for a document of a day. Of a gapless series it locks the series until the transaction ends.';

CREATE OR REPLACE FUNCTION crm_internal.keep_series()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: where a series stands is not for its writer to read
    IF EXISTS (SELECT FROM crm_internal.number_counters AS c WHERE c.tenant_id = OLD.tenant_id AND c.series_id = OLD.id)
       OR EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace = 'crm_internal'::regnamespace AND c.relkind = 'S'
                  AND c.relname ~ format('^numbers_%s_%s(_|$)', OLD.tenant_id, OLD.id)) THEN
        RAISE EXCEPTION 'the series of "%" has given numbers', OLD.document
            USING ERRCODE = 'object_in_use', HINT = 'Its pattern and digits may be changed; its kind, document, beginning and years stay.';
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END
$$;
COMMENT ON FUNCTION crm_internal.keep_series() IS
'Row trigger of crm.number_series: a series that has given numbers keeps its kind, document, beginning and years.';
CREATE OR REPLACE TRIGGER number_series_before_keep BEFORE UPDATE OF tenant_id, id, kind, document, first_number, resets, year_of OR DELETE ON crm.number_series
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_series();

CREATE OR REPLACE FUNCTION crm.seed_documents(tenant_id bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := seed_documents.tenant_id;
    words CONSTANT jsonb := crm_internal.texts_of(tenant, 'seeds');
BEGIN
    INSERT INTO crm.number_series (tenant_id, document, kind, pattern, digits, resets, year_of)
    SELECT tenant, d.document, d.kind, d.pattern, 5, 'year', CASE WHEN t.language = 'fa' THEN 'jalali' ELSE 'gregorian' END
    FROM crm.tenants AS t,
         (VALUES ('quotes', 'ordinary', 'Q{year}-{number}'), ('orders', 'ordinary', 'O{year}-{number}'), ('pro_formas', 'ordinary', 'PF{year}-{number}'),
                 ('payments', 'ordinary', 'P{year}-{number}'), ('invoices', 'gapless', 'I{year}-{number}'),
                 ('credit_notes', 'gapless', 'C{year}-{number}')) AS d (document, kind, pattern)
    WHERE t.tenant_id = tenant
    ON CONFLICT DO NOTHING;
    IF NOT EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = tenant AND p.subject_table = 'quotes') THEN
        PERFORM crm.define_pipeline('quotes', jsonb_build_object(
            'name', words -> 'pipelines' ->> 'quotes', 'subject_table', 'quotes', 'is_default', true,
            'stages', (
                SELECT jsonb_agg(jsonb_build_object('code', s.code, 'name', words -> 'stages' -> 'quotes' ->> s.code, 'type', s.type,
                                                    'rotting_days', s.rotting_days, 'is_initial', s.ord = 1) ORDER BY s.ord)
                FROM (VALUES (1, 'draft', 'open', 14), (2, 'approved', 'open', 14), (3, 'sent', 'open', 14), (4, 'accepted', 'won', 0),
                             (5, 'declined', 'lost', 0), (6, 'replaced', 'cancelled', 0)) AS s (ord, code, type, rotting_days)),
            'transitions', jsonb_build_array(
                jsonb_build_object('from', 'draft', 'to', 'sent', 'guard', '$.over_limit == false', 'guard_message', words ->> 'discount_over_limit'),
                '{"from": "draft", "to": "approved", "approval_access": "manager"}'::jsonb, '{"from": "approved", "to": "draft"}'::jsonb,
                '{"from": "approved", "to": "sent"}'::jsonb, '{"from": "draft", "to": "replaced"}'::jsonb, '{"from": "approved", "to": "replaced"}'::jsonb,
                '{"from": "sent", "to": "accepted", "required_columns": ["accepted_at", "accepted_by"]}'::jsonb,
                '{"from": "sent", "to": "declined"}'::jsonb, '{"from": "sent", "to": "replaced"}'::jsonb)),
            tenant);
    END IF;
END
$$;
COMMENT ON FUNCTION crm.seed_documents(bigint) IS
'Gives a tenant the series of numbers of its documents (invoices and credit notes gapless) and the pipeline quotes (draft, approved, sent, accepted, declined, '
'replaced), where it has none. Safe to call again.';
SELECT crm.declare_function('crm.seed_documents', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.seed_documents(bigint)');
