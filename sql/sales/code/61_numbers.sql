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

CREATE OR REPLACE FUNCTION crm_internal.number_taken(tenant bigint, document text, number text)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CASE document
        WHEN 'quotes' THEN RETURN EXISTS (SELECT FROM crm.quotes AS q WHERE q.tenant_id = tenant AND q.number = number_taken.number);
        WHEN 'orders' THEN RETURN EXISTS (SELECT FROM crm.orders AS o WHERE o.tenant_id = tenant AND o.number = number_taken.number);
        WHEN 'payments' THEN RETURN EXISTS (SELECT FROM crm.payments AS p WHERE p.tenant_id = tenant AND p.number = number_taken.number);
        ELSE RETURN EXISTS (SELECT FROM crm.invoices AS i WHERE i.tenant_id = tenant AND i.number = number_taken.number);
    END CASE;
END
$$;
COMMENT ON FUNCTION crm_internal.number_taken(bigint, text, text) IS 'Whether a document of a kind has a number already.';

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
    answer text;
BEGIN
    SELECT x.* INTO s FROM crm.number_series AS x WHERE x.tenant_id = tenant AND x.document = next_number.document;
    IF s.id IS NULL THEN
        RAISE EXCEPTION 'documents of kind "%" have no series of numbers', document
            USING ERRCODE = 'undefined_object', HINT = 'Insert one into crm.number_series, or give the document a number.';
    END IF;
    year := CASE s.year_of WHEN 'jalali' THEN (crm.to_jalali(on_date)).year ELSE extract(year FROM on_date)::integer END;
    period := CASE s.resets WHEN 'year' THEN year ELSE 0 END;
    -- a number that a document was given by hand, such as one brought from elsewhere, is used: the series goes on after it and never stands still
    LOOP
        IF s.kind = 'gapless' THEN
            INSERT INTO crm_internal.number_counters AS c (tenant_id, series_id, year, last_number) VALUES (tenant, s.id, period, s.first_number)
            ON CONFLICT ON CONSTRAINT number_counters_pkey DO UPDATE SET last_number = c.last_number + 1
            RETURNING c.last_number INTO n;
        ELSE
            n := nextval(crm_internal.number_sequence(tenant, s.id, period, s.first_number));
        END IF;
        answer := replace(replace(s.pattern, '{year}', year::text), '{number}', lpad(n::text, greatest(s.digits, length(n::text)), '0'));
        EXIT WHEN NOT crm_internal.number_taken(tenant, document, answer);
    END LOOP;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.next_number(bigint, text, date) IS
'The next number of a company''s series for a document of a day; numbers that documents have already are passed over. Of a gapless series it locks the series '
'until the transaction ends.';

CREATE OR REPLACE FUNCTION crm_internal.check_number(tenant bigint, document text, number text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.number_series;
    parts text[];
    has_year boolean;
    this_year integer;
    last bigint;
BEGIN
    SELECT x.* INTO s FROM crm.number_series AS x WHERE x.tenant_id = tenant AND x.document = check_number.document AND x.kind = 'gapless';
    IF s.id IS NULL THEN
        RETURN;
    END IF;
    has_year := s.pattern ~ '\{year\}';
    parts := regexp_match(number, '^' || replace(replace(regexp_replace(s.pattern, '([^[:alnum:]{}])', '\\\1', 'g'), '{year}', '([0-9]{4})'),
                                                 '{number}', '([0-9]{1,18})') || '$');
    IF parts IS NULL THEN
        RETURN;
    END IF;
    this_year := CASE s.year_of WHEN 'jalali' THEN (crm.to_jalali(crm.local_day(tenant, now()))).year
                                ELSE extract(year FROM crm.local_day(tenant, now()))::integer END;
    -- years that have passed are brought from elsewhere; the series passes over what it finds there
    IF has_year AND parts[1]::integer < this_year THEN
        RETURN;
    END IF;
    SELECT c.last_number INTO last FROM crm_internal.number_counters AS c
    WHERE c.tenant_id = tenant AND c.series_id = s.id AND c.year = CASE s.resets WHEN 'year' THEN parts[1]::integer ELSE 0 END;
    IF parts[cardinality(parts)]::bigint >= coalesce(last + 1, s.first_number) THEN
        RAISE EXCEPTION 'number "%" is one that the gapless series of "%" gives itself', number, document USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'A document that is deleted would leave a gap, and the series would come to a number that is taken.',
            HINT = 'Leave the number out: the document gets the next one. What was numbered elsewhere comes before first_number of the series.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_number(bigint, text, text) IS
'Refuses a number given by hand that a gapless series has yet to give, this year or later. Error 22023.';

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
    -- nobody has seen the hundredth part of a rial: its documents are in whole ones
    INSERT INTO crm.document_rules (tenant_id, for_currency, minor_units)
    SELECT tenant, r.for_currency, r.minor_units
    FROM jsonb_to_recordset(coalesce(words -> 'document_rules', '[]')) AS r (for_currency char(3), minor_units smallint)
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
'Gives a tenant the series of numbers of its documents (invoices and credit notes gapless), the rounding that is usual in its language, and the pipeline '
'quotes (draft, approved, sent, accepted, declined, replaced), where it has none. Safe to call again.';
SELECT crm.declare_function('crm.seed_documents', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.seed_documents(bigint)');
