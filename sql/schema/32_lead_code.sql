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

-- ---- rows of leads ----

CREATE OR REPLACE FUNCTION crm_internal.leads_tally()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason crm.disqualification_reasons;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.closed_at IS NOT NULL AND NEW.closed_at IS NULL THEN
        IF OLD.converted_at IS NOT NULL THEN
            RAISE EXCEPTION 'lead % was converted and cannot be opened again', OLD.id
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      HINT = 'Work on the contact and account it became, or capture a new lead.';
        END IF;
        NEW.disqualification_reason := NULL;
        NEW.disqualification_note := NULL;
        NEW.recycle_at := NULL;
        NEW.recycle_count := OLD.recycle_count + 1;
    END IF;
    IF NEW.closed_at IS NULL OR NEW.disqualification_reason IS NULL THEN
        NEW.recycle_at := NULL;
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' OR NEW.disqualification_reason IS DISTINCT FROM OLD.disqualification_reason THEN
        SELECT r.* INTO reason FROM crm.disqualification_reasons AS r
        WHERE r.tenant_id = NEW.tenant_id AND r.code = NEW.disqualification_reason;
        IF reason.note_required AND btrim(coalesce(NEW.disqualification_note, '')) = '' THEN
            RAISE EXCEPTION 'reason "%" asks for a note', reason.code
                USING ERRCODE = 'CR102', DETAIL = 'Missing: disqualification_note.';
        END IF;
        IF NOT reason.active THEN
            RAISE EXCEPTION 'reason "%" is no longer in use', reason.code
                USING ERRCODE = 'invalid_parameter_value', HINT = 'Choose an active one of crm.disqualification_reasons.';
        END IF;
        NEW.recycle_at := coalesce(CASE WHEN TG_OP = 'INSERT' OR NEW.recycle_at IS DISTINCT FROM OLD.recycle_at THEN NEW.recycle_at END,
                                   NEW.closed_at + reason.recycle_after);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.leads_tally() IS 'Trigger, after the guard of stages: reasons, notes and the return of disqualified leads.';
CREATE OR REPLACE TRIGGER leads_before_tally_insert BEFORE INSERT ON crm.leads
    FOR EACH ROW WHEN (NEW.disqualification_reason IS NOT NULL OR NEW.recycle_at IS NOT NULL)
    EXECUTE FUNCTION crm_internal.leads_tally();
CREATE OR REPLACE TRIGGER leads_before_tally_update BEFORE UPDATE ON crm.leads
    FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL OR NEW.closed_at IS NOT NULL OR NEW.recycle_at IS NOT NULL)
    EXECUTE FUNCTION crm_internal.leads_tally();

-- clocks run only where something is promised for leads
CREATE OR REPLACE FUNCTION crm_internal.leads_clock()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stage crm.stages;
    old_type text;
    data jsonb := '{}';
    event text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.closed_at IS NOT NULL OR NOT EXISTS (
            SELECT FROM crm.sla_policies AS p
            WHERE p.tenant_id = NEW.tenant_id AND p.subject_type = 'leads' AND p.active)
        THEN
            RETURN NULL;
        END IF;
        event := 'opened';
    ELSIF NOT EXISTS (SELECT FROM crm.sla_subjects AS s
                      WHERE s.tenant_id = NEW.tenant_id AND s.subject_type = 'leads' AND s.subject_id = NEW.id) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' OR NEW.stage_id <> OLD.stage_id THEN
        SELECT s.* INTO stage FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id;
        data := jsonb_build_object('stage', stage.code, 'stage_type', stage.type);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.stage_id <> OLD.stage_id THEN
            SELECT s.type INTO old_type FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = OLD.stage_id;
            event := CASE
                WHEN stage.type IN ('done', 'won') THEN 'resolved'
                WHEN stage.type IN ('lost', 'cancelled') THEN 'cancelled'
                WHEN old_type NOT IN ('open', 'on_hold') THEN 'reopened'
                ELSE 'stage' END;
        ELSIF NEW.priority IS DISTINCT FROM OLD.priority THEN
            event := 'changed';
            data := jsonb_build_object('priority', NEW.priority);
        END IF;
        IF OLD.first_response_at IS NULL AND NEW.first_response_at IS NOT NULL THEN
            PERFORM crm.record_sla_event('leads', NEW.id, 'agent_message', greatest(NEW.first_response_at, NEW.created_at));
        END IF;
    END IF;
    IF event IS NOT NULL THEN
        PERFORM crm.record_sla_event('leads', NEW.id, event,
            CASE event WHEN 'opened' THEN NEW.created_at WHEN 'changed' THEN now() ELSE NEW.stage_entered_at END, data,
            CASE WHEN event IN ('opened', 'changed') THEN to_jsonb(NEW) END);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.leads_clock() IS 'Trigger: service clocks of leads, for tenants with a policy of subject type leads.';
CREATE OR REPLACE TRIGGER leads_after_clock_insert AFTER INSERT ON crm.leads
    FOR EACH ROW EXECUTE FUNCTION crm_internal.leads_clock();
CREATE OR REPLACE TRIGGER leads_after_clock_update AFTER UPDATE ON crm.leads
    FOR EACH ROW WHEN (OLD.stage_id IS DISTINCT FROM NEW.stage_id OR OLD.priority IS DISTINCT FROM NEW.priority
                       OR OLD.first_response_at IS NULL AND NEW.first_response_at IS NOT NULL)
    EXECUTE FUNCTION crm_internal.leads_clock();

CREATE OR REPLACE FUNCTION crm_internal.activities_of_leads()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lead crm.leads;
BEGIN
    IF TG_WHEN = 'BEFORE' THEN
        -- what happens after a conversion is seen at contact and account too
        SELECT l.* INTO lead FROM crm.leads AS l
        WHERE l.tenant_id = NEW.tenant_id AND l.id = NEW.related_id AND l.converted_at IS NOT NULL;
        NEW.account_id := coalesce(NEW.account_id, lead.account_id);
        NEW.contact_id := coalesce(NEW.contact_id, lead.contact_id);
        RETURN NEW;
    END IF;
    UPDATE crm.leads AS l
    SET first_response_at = coalesce(NEW.done_at, NEW.started_at, NEW.created_at)
    WHERE l.tenant_id = NEW.tenant_id AND l.id = NEW.related_id AND l.first_response_at IS NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.activities_of_leads() IS 'Trigger: the first response to a lead, and the account and contact of activities of converted leads.';
CREATE OR REPLACE TRIGGER activities_before_lead BEFORE INSERT ON crm.activities
    FOR EACH ROW WHEN (NEW.related_table = 'leads') EXECUTE FUNCTION crm_internal.activities_of_leads();
CREATE OR REPLACE TRIGGER activities_after_lead_insert AFTER INSERT ON crm.activities
    FOR EACH ROW WHEN (NEW.related_table = 'leads'
        AND (NEW.direction = 'out' AND (NEW.done_at IS NOT NULL OR NEW.kind IN ('mail', 'message'))
             OR NEW.kind IN ('meeting', 'visit') AND NEW.done_at IS NOT NULL))
    EXECUTE FUNCTION crm_internal.activities_of_leads();
CREATE OR REPLACE TRIGGER activities_after_lead_update AFTER UPDATE OF done_at ON crm.activities
    FOR EACH ROW WHEN (NEW.related_table = 'leads' AND OLD.done_at IS NULL AND NEW.done_at IS NOT NULL
        AND (NEW.direction = 'out' OR NEW.kind IN ('meeting', 'visit')))
    EXECUTE FUNCTION crm_internal.activities_of_leads();

-- ---- matching ----

-- two captures or conversions of one person wait for each other, in one order
CREATE OR REPLACE FUNCTION crm_internal.lock_lead_keys(tenant bigint, keys text[])
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_advisory_xact_lock(k.h)
    FROM (SELECT DISTINCT hashtextextended('crm.lead.' || tenant || '.' || x, 0) AS h
          FROM unnest(keys) AS x WHERE x IS NOT NULL ORDER BY 1) AS k
$$;
COMMENT ON FUNCTION crm_internal.lock_lead_keys(bigint, text[]) IS 'Until the end of the transaction nobody else captures or converts a lead with one of these keys.';

CREATE OR REPLACE FUNCTION crm_internal.match_contact(tenant bigint, email_key text, phone_key text)
RETURNS TABLE (contact_id bigint, account_id bigint, matched_by text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.id, c.account_id, m.how
    FROM (SELECT p.contact_id, CASE p.kind WHEN 'email' THEN 'email' ELSE 'phone' END AS how,
                 p.kind <> 'email' AS later, p.is_primary
          FROM crm.contact_points AS p
          WHERE p.tenant_id = match_contact.tenant AND p.contact_id IS NOT NULL
            AND (p.kind = 'email' AND p.value_key = match_contact.email_key
                 OR p.kind IN ('mobile', 'phone') AND p.value_key = match_contact.phone_key)) AS m
    JOIN crm.contacts AS c ON c.tenant_id = match_contact.tenant AND c.id = m.contact_id
    -- a telephone is shared more often than an address: not by people whose addresses differ
    WHERE NOT m.later OR match_contact.email_key IS NULL
       OR NOT EXISTS (SELECT FROM crm.contact_points AS q
                      WHERE q.tenant_id = match_contact.tenant AND q.contact_id = m.contact_id AND q.kind = 'email')
    ORDER BY m.later, m.is_primary DESC, c.id
    LIMIT 1
$$;
COMMENT ON FUNCTION crm_internal.match_contact(bigint, text, text) IS
'The contact with an e-mail address, else with a telephone number and no address that speaks against it; the oldest of several.';

CREATE OR REPLACE FUNCTION crm_internal.lead_trouble(tenant bigint, lead bigint, what text, code text, message text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE WARNING 'lead %: % failed: %', lead, what, message;
    INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
    VALUES (tenant, 'lead.trouble', 'leads', lead, jsonb_build_object('what', what, 'sqlstate', code, 'message', message));
END
$$;
COMMENT ON FUNCTION crm_internal.lead_trouble(bigint, bigint, text, text, text) IS
'Reports what could not be done for a lead beside storing it: a warning, and an event lead.trouble.';

-- ---- capture ----

-- "caf%C3%A9+au+lait" as people read it; what is no text in UTF-8 stays as it is
CREATE OR REPLACE FUNCTION crm_internal.url_text(value text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF value !~ '[%+]' THEN
        RETURN value;
    END IF;
    RETURN (SELECT convert_from(string_agg(CASE WHEN m[1] ~ '^%[0-9A-Fa-f]{2}$' THEN decode(substr(m[1], 2), 'hex')
                                                ELSE convert_to(replace(m[1], '+', ' '), 'UTF8') END, '' ORDER BY i), 'UTF8')
            FROM regexp_matches(value, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g') WITH ORDINALITY AS x (m, i));
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN replace(value, '+', ' ');
END
$$;
COMMENT ON FUNCTION crm_internal.url_text(text) IS 'Part of the query of a url, decoded.';

-- Persian and Arabic digits, thousands separators: a number as people type it; NULL for what is none
CREATE OR REPLACE FUNCTION crm_internal.typed_number(value text)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN v.n ~ '^[0-9]{1,15}([.][0-9]{1,10})?$' THEN v.n::numeric END
    FROM (SELECT regexp_replace(translate(left(value, 100), '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩٫٬ ', '01234567890123456789.,'),
                                '(?<=[0-9]),(?=[0-9]{3}(?:[.,]|$))', '', 'g') AS n) AS v
$$;
COMMENT ON FUNCTION crm_internal.typed_number(text) IS 'A number from 0 on as it was typed into a form; NULL where it is none.';

-- a key that is too long for an index keeps its beginning and what tells it from others
CREATE OR REPLACE FUNCTION crm_internal.short_key(value text)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT CASE WHEN length(value) > 300 THEN left(value, 200) || ' ' || md5(value) ELSE value END $$;
COMMENT ON FUNCTION crm_internal.short_key(text) IS 'A foreign key of at most 300 characters.';

-- what somebody agreed to, per channel: {"given": true or false, ...} or plainly true or false; nothing else is consent
CREATE OR REPLACE FUNCTION crm_internal.capture_consent(consent jsonb, at timestamptz)
RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(e.key, CASE jsonb_typeof(e.value) WHEN 'boolean' THEN jsonb_build_object('given', e.value, 'at', at) ELSE e.value END), '{}')
    FROM jsonb_each(CASE WHEN jsonb_typeof(consent) = 'object' THEN consent ELSE '{}' END) AS e
    WHERE jsonb_typeof(e.value) = 'boolean' OR jsonb_typeof(e.value) = 'object' AND jsonb_typeof(e.value -> 'given') = 'boolean'
$$;
COMMENT ON FUNCTION crm_internal.capture_consent(jsonb, timestamptz) IS 'The consent of a capture that is clear.';

-- tracking parameters of a payload: its object utm, its own keys utm_..., the query of its url
CREATE OR REPLACE FUNCTION crm_internal.capture_utm(payload jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_object_agg(left(k.name, 100), to_jsonb(left(k.value #>> '{}', 1000)) ORDER BY k.rank), '{}')
    FROM (
        SELECT 1 AS rank, lower('utm_' || m[1]) AS name, to_jsonb(crm_internal.url_text(m[2])) AS value
        FROM regexp_matches(left(payload ->> 'url', 10000), '[?&]utm_([a-z_]+)=([^&#]*)', 'gi') AS m
        UNION ALL
        SELECT 2, lower(e.key), e.value FROM jsonb_each(payload) AS e WHERE lower(e.key) LIKE 'utm\_%' OR e.key IN ('gclid', 'fbclid', 'referrer')
        UNION ALL
        SELECT 3, CASE WHEN e.key IN ('source', 'medium', 'campaign', 'term', 'content') THEN 'utm_' || e.key ELSE e.key END, e.value
        FROM jsonb_each(CASE WHEN jsonb_typeof(payload -> 'utm') = 'object' THEN payload -> 'utm' ELSE '{}' END) AS e
    ) AS k
    WHERE jsonb_typeof(k.value) IN ('string', 'number') AND btrim(k.value #>> '{}') <> ''
$$;
COMMENT ON FUNCTION crm_internal.capture_utm(jsonb) IS 'Tracking parameters of a capture, with utm_ before their names, decoded.';

-- security definer: a person is recognised even where the lead is not the caller's
CREATE OR REPLACE FUNCTION crm.capture_lead(payload jsonb)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    p jsonb;
    utm jsonb;
    way text;
    at timestamptz;
    seen crm.lead_captures;
    old crm.leads;
    new crm.leads;
    known record;
    how text;
    source_key text;
    message_key text;
    troubles text[] := '{}';
    trouble text;
BEGIN
    IF jsonb_typeof(payload) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a captured lead must be a JSON object' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'For example {"channel": "form", "name": "Ada", "email": "ada@example.com"}.';
    END IF;
    -- blank fields of a form are no values; lists and objects are none where text belongs; nobody's name has a megabyte
    SELECT coalesce(jsonb_object_agg(e.key, CASE WHEN jsonb_typeof(e.value) IN ('string', 'number', 'boolean') THEN to_jsonb(e.text) ELSE e.value END), '{}')
    INTO p
    FROM (SELECT e.key, e.value,
                 CASE WHEN jsonb_typeof(e.value) = 'string'
                      THEN btrim(regexp_replace(left(e.value #>> '{}', CASE e.key WHEN 'message' THEN 1000000 WHEN 'body' THEN 1000000 WHEN 'url' THEN 10000
                                                     WHEN 'external_id' THEN 1000000 WHEN 'source_id' THEN 1000000 ELSE 500 END),
                                                CASE WHEN e.key IN ('message', 'body') THEN '[\x01-\x08\x0b\x0c\x0e-\x1f]' ELSE '[\x01-\x1f]' END, ' ', 'g'), E' \n\r\t')
                      ELSE e.value #>> '{}' END AS text
          FROM jsonb_each(payload) AS e) AS e
    WHERE e.text <> ''
      AND (jsonb_typeof(e.value) IN ('string', 'number')
           OR e.key NOT IN ('channel', 'name', 'first_name', 'last_name', 'company', 'title', 'email', 'from', 'mobile', 'phone', 'country', 'city', 'industry', 'employees',
                            'website', 'language', 'message', 'body', 'subject', 'priority', 'product', 'product_id', 'amount', 'currency', 'source', 'medium', 'campaign',
                            'owner_id', 'team_id', 'pipeline', 'external_id', 'source_system', 'source_id', 'captured_at', 'form', 'url'));
    way := lower(coalesce(p ->> 'channel', 'api'));
    message_key := crm_internal.short_key(p ->> 'external_id');
    source_key := crm_internal.short_key(p ->> 'source_id');
    IF way NOT IN ('form', 'mail', 'chat', 'phone', 'event', 'import', 'api') THEN
        RAISE EXCEPTION 'unknown channel "%"', way USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Channels are form, mail, chat, phone, event, import and api.';
    END IF;
    utm := crm_internal.capture_utm(p);
    BEGIN
        at := least(coalesce((p ->> 'captured_at')::timestamptz, now()), now());
    EXCEPTION WHEN data_exception THEN
        troubles := troubles || format('captured_at %s is no instant', p -> 'captured_at');
    END;
    IF at IS NULL OR NOT isfinite(at) THEN
        at := now();
    END IF;

    new.tenant_id := t;
    new.company := p ->> 'company';
    new.email := coalesce(p ->> 'email', p ->> 'from');
    new.phone := coalesce(p ->> 'mobile', p ->> 'phone');
    new.name := coalesce(p ->> 'name', nullif(concat_ws(' ', p ->> 'first_name', p ->> 'last_name'), ''),
                         new.company, crm.normalize_email(new.email), new.email, new.phone);
    IF new.name IS NULL THEN
        RAISE EXCEPTION 'a captured lead says neither who it is nor how to reach them' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Missing: one of name, first_name, last_name, company, email, phone, mobile.';
    END IF;
    new.country := coalesce(CASE WHEN p ->> 'country' ~ '^[A-Za-z]{2}$' THEN upper(p ->> 'country') END, crm.tenant_country());
    new.email_key := crm.normalize_email(new.email);
    new.phone_key := crm.normalize_phone(new.phone, coalesce(new.country, '')::text);
    new.company_key := crm.name_key(new.company);

    PERFORM crm_internal.lock_lead_keys(t, ARRAY['e' || new.email_key, 'p' || new.phone_key,
        'x' || way || ' ' || message_key, 's' || (p ->> 'source_system') || ' ' || source_key]);

    -- the same message again
    IF message_key IS NOT NULL THEN
        SELECT c.* INTO seen FROM crm.lead_captures AS c
        WHERE c.tenant_id = t AND c.channel = way AND c.external_id = message_key;
        IF FOUND THEN
            SELECT l.* INTO old FROM crm.leads AS l WHERE l.tenant_id = t AND l.id = seen.lead_id;
            RETURN CASE WHEN crm.can_see(old.owner_id, old.team_id, old.shared_user_ids, old.shared_team_ids) THEN old
                        ELSE jsonb_populate_record(NULL::crm.leads, jsonb_build_object('tenant_id', t, 'id', old.id)) END;
        END IF;
    END IF;

    -- the same person again: by the source's own key, then e-mail, then telephone
    SELECT m.id, m.how INTO known FROM (
        SELECT l.id, 'source' AS how, 1 AS rank, true AS open, l.created_at
        FROM crm.leads AS l
        WHERE l.tenant_id = t AND l.source_system = p ->> 'source_system' AND l.source_id = source_key
        UNION ALL
        SELECT l.id, 'email', 2, l.closed_at IS NULL, l.created_at
        FROM crm.leads AS l
        WHERE l.tenant_id = t AND l.email_key = new.email_key AND l.converted_at IS NULL AND l.merged_into_id IS NULL
        UNION ALL
        SELECT l.id, 'phone', 3, l.closed_at IS NULL, l.created_at
        FROM crm.leads AS l
        WHERE l.tenant_id = t AND l.phone_key = new.phone_key AND l.converted_at IS NULL AND l.merged_into_id IS NULL
          AND (l.email_key IS NULL OR new.email_key IS NULL)
    ) AS m ORDER BY NOT m.open, m.rank, m.created_at DESC, m.id DESC LIMIT 1;
    IF known.id IS NOT NULL THEN
        SELECT l.* INTO old FROM crm.leads AS l WHERE l.tenant_id = t AND l.id = known.id FOR UPDATE;
        how := known.how;
        -- what was merged goes on in another lead
        FOR i IN 1 .. 100 LOOP
            EXIT WHEN old.merged_into_id IS NULL;
            SELECT l.* INTO old FROM crm.leads AS l WHERE l.tenant_id = t AND l.id = old.merged_into_id FOR UPDATE;
        END LOOP;
        -- converted while we waited: it is a new lead of a known contact
        IF how <> 'source' AND (old.id IS NULL OR old.converted_at IS NOT NULL) THEN
            old := NULL;
            how := NULL;
        END IF;
    END IF;

    new.title := p ->> 'title';
    new.city := p ->> 'city';
    new.industry := p ->> 'industry';
    new.website := p ->> 'website';
    new.language := p ->> 'language';
    new.message := coalesce(p ->> 'message', p ->> 'body', p ->> 'subject');
    new.priority := p ->> 'priority';
    new.source := coalesce(p ->> 'source', utm ->> 'utm_source');
    new.medium := coalesce(p ->> 'medium', utm ->> 'utm_medium');
    new.campaign := coalesce(p ->> 'campaign', utm ->> 'utm_campaign');
    -- what a form's visitor mistyped must not lose the lead; the payload keeps it
    new.employees := (SELECT n::integer FROM crm_internal.typed_number(p ->> 'employees') AS n WHERE n = trunc(n) AND n < 1000000000);
    new.amount := round(crm_internal.typed_number(p ->> 'amount'), 4);
    -- a program's mistake loses no lead either, but is told
    IF p ? 'owner_id' THEN
        new.owner_id := (SELECT u.id FROM crm.users AS u WHERE u.tenant_id = t AND u.id::text = p ->> 'owner_id');
        IF new.owner_id IS NULL THEN
            troubles := troubles || format('owner_id %s is nobody', p -> 'owner_id');
        END IF;
    END IF;
    IF p ? 'team_id' THEN
        new.team_id := (SELECT x.id FROM crm.teams AS x WHERE x.tenant_id = t AND x.id::text = p ->> 'team_id');
        IF new.team_id IS NULL THEN
            troubles := troubles || format('team_id %s is no team', p -> 'team_id');
        END IF;
    END IF;
    new.currency := CASE WHEN new.amount IS NOT NULL THEN (SELECT c.code FROM crm.currencies AS c WHERE c.code = upper(p ->> 'currency')) END;
    new.product_id := (SELECT r.id FROM crm.products AS r
                       WHERE r.tenant_id = t AND (r.code = p ->> 'product' OR r.id::text = p ->> 'product_id') LIMIT 1);
    new.consent := crm_internal.capture_consent(p -> 'consent', at);
    new.custom := CASE WHEN jsonb_typeof(p -> 'custom') = 'object' THEN p -> 'custom' ELSE '{}' END;
    new.tags := CASE WHEN jsonb_typeof(p -> 'tags') = 'array'
                     THEN ARRAY(SELECT DISTINCT left(btrim(x #>> '{}'), 200) FROM jsonb_array_elements(p -> 'tags') AS x
                                WHERE jsonb_typeof(x) IN ('string', 'number') AND btrim(x #>> '{}') <> '' ORDER BY 1)
                     ELSE '{}' END;

    LOOP
        BEGIN
            IF old.id IS NOT NULL THEN
                UPDATE crm.leads AS l
                SET company = coalesce(l.company, new.company), title = coalesce(l.title, new.title), email = coalesce(l.email, new.email),
                    phone = coalesce(l.phone, new.phone), city = coalesce(l.city, new.city),
                    industry = coalesce(l.industry, new.industry), employees = coalesce(l.employees, new.employees),
                    website = coalesce(l.website, new.website), language = coalesce(l.language, new.language),
                    message = coalesce(new.message, l.message), product_id = coalesce(l.product_id, new.product_id),
                    amount = coalesce(l.amount, new.amount), currency = CASE WHEN l.amount IS NULL THEN new.currency ELSE l.currency END,
                    source = coalesce(l.source, new.source), medium = coalesce(l.medium, new.medium), campaign = coalesce(l.campaign, new.campaign),
                    consent = l.consent || new.consent, custom = new.custom || l.custom,
                    tags = ARRAY(SELECT DISTINCT x FROM unnest(l.tags || new.tags) AS x ORDER BY x),
                    capture_count = l.capture_count + 1, last_capture_at = greatest(l.last_capture_at, at),
                    -- somebody who was turned down and asks again is worth another look; spam is not
                    stage_id = CASE WHEN l.closed_at IS NOT NULL AND l.converted_at IS NULL AND l.disqualification_reason NOT IN ('spam', 'duplicate')
                                    THEN coalesce((SELECT s.id FROM crm.stages AS s
                                                   WHERE s.tenant_id = t AND s.pipeline_id = l.pipeline_id AND s.active AND s.type IN ('open', 'on_hold')
                                                   ORDER BY s.is_initial DESC, s.position LIMIT 1), l.stage_id)
                                    ELSE l.stage_id END
                WHERE l.tenant_id = t AND l.id = old.id
                RETURNING l.* INTO new;
            ELSE
                SELECT m.* INTO known FROM crm_internal.match_contact(t, new.email_key, new.phone_key) AS m;
                INSERT INTO crm.leads AS l (tenant_id, name, company, title, email, phone, country, city, industry, employees, website,
                    language, message, channel, source, medium, campaign, utm, consent, product_id, amount, currency, priority, pipeline_id,
                    account_id, contact_id, tags, owner_id, team_id, source_system, source_id, custom, created_at, last_capture_at)
                VALUES (t, new.name, new.company, new.title, new.email, new.phone, new.country, new.city, new.industry, new.employees, new.website,
                    new.language, new.message, way, new.source, new.medium, new.campaign, utm, new.consent, new.product_id, new.amount, new.currency,
                    new.priority,
                    (SELECT i.id FROM crm.pipelines AS i WHERE i.tenant_id = t AND i.code = p ->> 'pipeline' AND i.subject_table = 'leads'),
                    coalesce(known.account_id, (SELECT a.id FROM crm.accounts AS a WHERE a.tenant_id = t AND a.name_key = new.company_key AND new.company_key <> ''
                                                ORDER BY a.id LIMIT 1)),
                    known.contact_id, new.tags, new.owner_id, new.team_id,
                    CASE WHEN p ? 'source_id' THEN p ->> 'source_system' END, CASE WHEN p ? 'source_system' THEN source_key END,
                    new.custom, at, at)
                RETURNING l.* INTO new;
            END IF;
            EXIT;
        EXCEPTION WHEN SQLSTATE 'CR202' THEN
            -- custom fields nobody knows: the lead is kept without them
            IF new.custom = '{}' THEN
                RAISE;
            END IF;
            troubles := troubles || SQLERRM;
            new.custom := '{}';
        END;
    END LOOP;
    INSERT INTO crm.lead_captures (tenant_id, lead_id, channel, source, medium, campaign, utm, matched_by, external_id, payload, captured_at)
    VALUES (t, new.id, way, coalesce(p ->> 'source', utm ->> 'utm_source'), coalesce(p ->> 'medium', utm ->> 'utm_medium'),
            coalesce(p ->> 'campaign', utm ->> 'utm_campaign'), utm, how, message_key, payload, at);
    FOREACH trouble IN ARRAY troubles LOOP
        PERFORM crm_internal.lead_trouble(t, new.id, 'capture', '22023', trouble);
    END LOOP;

    -- what else is done about a lead may fail without losing it
    BEGIN
        INSERT INTO crm.score_events (tenant_id, lead_id, kind, object, occurred_at, attributes)
        VALUES (t, new.id, way, coalesce(p ->> 'form', p ->> 'url'), at,
                jsonb_strip_nulls(jsonb_build_object('channel', way, 'form', p -> 'form', 'url', p -> 'url') || utm));
    EXCEPTION WHEN OTHERS THEN
        PERFORM crm_internal.lead_trouble(t, new.id, 'scoring', SQLSTATE, SQLERRM);
    END;
    IF new.owner_id IS NULL AND new.closed_at IS NULL AND EXISTS (
        SELECT FROM crm.assignment_rules AS r WHERE r.tenant_id = t AND r.subject_table = 'leads' AND r.active)
    THEN
        BEGIN
            PERFORM crm.route_record('leads', new.id);
        EXCEPTION WHEN OTHERS THEN
            PERFORM crm_internal.lead_trouble(t, new.id, 'assignment', SQLSTATE, SQLERRM);
        END;
    END IF;
    SELECT l.* INTO new FROM crm.leads AS l WHERE l.tenant_id = t AND l.id = new.id;
    IF how IS NOT NULL AND NOT crm.can_see(new.owner_id, new.team_id, new.shared_user_ids, new.shared_team_ids) THEN
        RETURN jsonb_populate_record(NULL::crm.leads, jsonb_build_object('tenant_id', t, 'id', new.id));
    END IF;
    RETURN new;
END
$$;
COMMENT ON FUNCTION crm.capture_lead(jsonb) IS
'Takes in a lead from a form, mail, chat bot, import or program, and returns it. Known keys: channel, name or first_name and last_name, company, title, email (or from), mobile or phone, country, city, industry, employees, website, language, message, source, medium, campaign, utm (or utm_... keys, or a url that holds them), consent, product, amount, currency, priority, pipeline, tags, custom, owner_id, team_id, external_id, source_system and source_id, captured_at; everything is kept in crm.lead_captures. The same external_id again changes nothing. A person who is a lead already, by source key, else e-mail address, else telephone number (where not both have addresses), is not entered twice: empty fields are filled, and a disqualified lead comes back unless it was spam. A recognised lead the caller may not see comes back with its id only. Scoring or assignment that fails is reported (a warning, an event lead.trouble) and does not lose the lead. What is no value of its kind (a list for a name, a number that is none, an unknown owner, custom fields nobody knows) is left out, the payload keeps it. Errors: 22023 for what is no object, an unknown channel, or neither a name nor an address.';

-- ---- assignment ----

CREATE OR REPLACE FUNCTION crm.assign_lead(lead_id bigint, reassign boolean DEFAULT false, as_of timestamptz DEFAULT now())
RETURNS crm.assignments
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN crm.route_record('leads', lead_id, reassign, as_of);
END
$$;
COMMENT ON FUNCTION crm.assign_lead(bigint, boolean, timestamptz) IS 'crm.route_record() for a lead.';

CREATE OR REPLACE FUNCTION crm.assign_waiting_leads(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('crm.assign_waiting_leads', 0)) THEN
        RETURN 0;
    END IF;
    SELECT count(*) FILTER (WHERE (crm_internal.route_record(w.tenant_id, 'leads', w.id, false, as_of)).user_id IS NOT NULL) INTO n
    FROM (SELECT l.tenant_id, l.id FROM crm.leads AS l
          WHERE l.closed_at IS NULL AND l.owner_id IS NULL
            AND EXISTS (SELECT FROM crm.assignment_rules AS r
                        WHERE r.tenant_id = l.tenant_id AND r.subject_table = 'leads' AND r.active)
          ORDER BY l.created_at DESC, l.id DESC
          LIMIT batch) AS w;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.assign_waiting_leads(timestamptz, integer) IS
'Tries again to give out open leads nobody owns, the newest first: an answer is worth most while the interest is fresh. For all tenants with an assignment rule for leads. Returns how many found an owner. A maintenance task; for the owner of the CRM.';

-- ---- conversion ----

CREATE OR REPLACE FUNCTION crm_internal.lead_stage(tenant bigint, pipeline bigint, types text[])
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_id bigint;
BEGIN
    SELECT s.id INTO found_id FROM crm.stages AS s
    WHERE s.tenant_id = tenant AND s.pipeline_id = pipeline AND s.active AND s.type = ANY (types)
    ORDER BY s.is_initial DESC, s.position LIMIT 1;
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'the pipeline of the lead has no stage of type %', array_to_string(types, ' or ') USING ERRCODE = 'CR107';
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION crm_internal.lead_stage(bigint, bigint, text[]) IS 'First active stage of some types.';

CREATE OR REPLACE FUNCTION crm_internal.lead_for_change(tenant bigint, lead bigint)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    l crm.leads;
BEGIN
    SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = tenant AND x.id = lead FOR UPDATE;
    IF l.id IS NULL OR NOT crm.can_see(l.owner_id, l.team_id, l.shared_user_ids, l.shared_team_ids) THEN
        RAISE EXCEPTION 'lead % does not exist, or is not visible to you', lead USING ERRCODE = 'no_data_found';
    END IF;
    IF NOT crm.can_change(l.owner_id, l.team_id) THEN
        RAISE EXCEPTION 'lead % may not be changed by you', lead USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.lead_for_change(bigint, bigint) IS 'A lead, locked, if the current user may change it.';

-- security definer: a contact is recognised even where it is somebody else's
CREATE OR REPLACE FUNCTION crm.convert_lead(
    lead_id bigint, open_opportunity boolean DEFAULT false, opportunity jsonb DEFAULT '{}',
    account_id bigint DEFAULT NULL, contact_id bigint DEFAULT NULL)
RETURNS crm.lead_conversions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads;
    made crm.lead_conversions;
    deal crm.opportunities;
    wrong text;
    known record;
BEGIN
    -- a second call waits here, and then finds what the first one made
    l := crm_internal.lead_for_change(t, lead_id);
    SELECT c.* INTO made FROM crm.lead_conversions AS c WHERE c.tenant_id = t AND c.lead_id = lead_id;
    IF FOUND THEN
        RETURN made;
    END IF;
    IF l.merged_into_id IS NOT NULL THEN
        RAISE EXCEPTION 'lead % was merged', lead_id USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = format('Convert lead %s, which goes on in its place.', l.merged_into_id);
    END IF;
    IF l.closed_at IS NOT NULL THEN
        RAISE EXCEPTION 'lead % is closed', lead_id USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Open it again with crm.recycle_lead() first.';
    END IF;
    SELECT string_agg(k.key, ', ' ORDER BY k.key) INTO wrong
    FROM jsonb_object_keys(coalesce(opportunity, '{}')) AS k (key)
    WHERE k.key NOT IN ('name', 'amount', 'currency', 'expected_close_date', 'product_id', 'pipeline_id', 'territory_id', 'tags', 'custom', 'owner_id', 'team_id');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'these cannot be said of the opportunity of a converted lead: %', wrong USING ERRCODE = 'undefined_column',
            HINT = 'Known are name, amount, currency, expected_close_date, product_id, pipeline_id, territory_id, tags, custom, owner_id and team_id.';
    END IF;
    -- two leads of one person or company make one contact and one account
    PERFORM crm_internal.lock_lead_keys(t, ARRAY['e' || l.email_key, 'p' || l.phone_key, 'c' || nullif(l.company_key, '')]);

    made.lead_id := l.id;
    IF contact_id IS NOT NULL THEN
        made.contact_id := contact_id;
        made.contact_matched_by := 'given';
        SELECT c.account_id INTO made.account_id FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = contact_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no contact %', contact_id USING ERRCODE = 'no_data_found';
        END IF;
    ELSE
        SELECT m.* INTO known FROM crm_internal.match_contact(t, l.email_key, l.phone_key) AS m;
        made.contact_id := known.contact_id;
        made.account_id := known.account_id;
        made.contact_matched_by := known.matched_by;
        -- nobody of that address: whom somebody linked the lead to
        IF made.contact_id IS NULL AND l.contact_id IS NOT NULL THEN
            made.contact_id := l.contact_id;
            made.contact_matched_by := 'given';
            SELECT c.account_id INTO made.account_id FROM crm.contacts AS c WHERE c.tenant_id = t AND c.id = l.contact_id;
        END IF;
    END IF;
    IF account_id IS NOT NULL THEN
        PERFORM FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = account_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no account %', account_id USING ERRCODE = 'no_data_found';
        END IF;
        made.account_id := account_id;
        made.account_matched_by := 'given';
    ELSIF made.account_id IS NOT NULL THEN
        made.account_matched_by := 'contact';
    ELSIF l.account_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM crm.accounts AS a WHERE a.tenant_id = t AND a.name_key = l.company_key AND l.company_key <> '')
    THEN
        made.account_id := l.account_id;
        made.account_matched_by := 'given';
    ELSIF l.company_key <> '' THEN
        SELECT a.id INTO made.account_id FROM crm.accounts AS a
        WHERE a.tenant_id = t AND a.name_key = l.company_key ORDER BY a.id LIMIT 1;
        IF FOUND THEN
            made.account_matched_by := 'name';
        ELSE
            INSERT INTO crm.accounts AS a (tenant_id, name, industry, website, country, city, employees, owner_id, team_id)
            VALUES (t, l.company, l.industry, l.website, l.country, l.city, l.employees, l.owner_id, l.team_id)
            RETURNING a.id INTO made.account_id;
        END IF;
    END IF;
    IF made.contact_id IS NULL THEN
        INSERT INTO crm.contacts AS c (tenant_id, name, account_id, title, language, preferences, tags, owner_id, team_id)
        VALUES (t, l.name, made.account_id, l.title, l.language,
                CASE WHEN l.consent = '{}' THEN '{}' ELSE jsonb_build_object('consent', l.consent) END, l.tags, l.owner_id, l.team_id)
        RETURNING c.id INTO made.contact_id;
    ELSE
        UPDATE crm.contacts AS c
        SET account_id = coalesce(c.account_id, made.account_id), title = coalesce(c.title, l.title), language = coalesce(c.language, l.language),
            tags = ARRAY(SELECT DISTINCT x FROM unnest(c.tags || l.tags) AS x ORDER BY x),
            preferences = CASE WHEN l.consent = '{}' THEN c.preferences
                               ELSE c.preferences || jsonb_build_object('consent', coalesce(c.preferences -> 'consent', '{}') || l.consent) END
        WHERE c.tenant_id = t AND c.id = made.contact_id;
    END IF;
    INSERT INTO crm.contact_points (tenant_id, contact_id, kind, value, country, is_primary)
    SELECT t, made.contact_id, v.kind, v.value, l.country,
           NOT EXISTS (SELECT FROM crm.contact_points AS q WHERE q.tenant_id = t AND q.contact_id = made.contact_id AND q.kind = v.kind)
    FROM (VALUES ('email', l.email, l.email_key), ('mobile', l.phone, l.phone_key)) AS v (kind, value, value_key)
    WHERE v.value_key IS NOT NULL
      AND NOT EXISTS (SELECT FROM crm.contact_points AS q
                      WHERE q.tenant_id = t AND q.contact_id = made.contact_id AND q.value_key = v.value_key);

    IF open_opportunity THEN
        deal := jsonb_populate_record(NULL::crm.opportunities, opportunity);
        INSERT INTO crm.opportunities AS o (tenant_id, name, account_id, contact_id, product_id, pipeline_id, amount, currency,
            expected_close_date, lead_source, territory_id, tags, owner_id, team_id, custom)
        VALUES (t, coalesce(deal.name, nullif(concat_ws(': ', l.company, (SELECT r.name FROM crm.products AS r WHERE r.tenant_id = t AND r.id = l.product_id)), ''), l.name),
            made.account_id, made.contact_id, coalesce(deal.product_id, l.product_id), deal.pipeline_id, coalesce(deal.amount, l.amount),
            coalesce(deal.currency, l.currency, (SELECT x.base_currency FROM crm.tenants AS x WHERE x.tenant_id = t)),
            deal.expected_close_date, l.source, deal.territory_id, coalesce(deal.tags, l.tags), coalesce(deal.owner_id, l.owner_id, crm.user_id()),
            coalesce(deal.team_id, l.team_id), coalesce(deal.custom, '{}'))
        RETURNING o.id INTO made.opportunity_id;
    END IF;

    UPDATE crm.activities AS v
    SET contact_id = coalesce(v.contact_id, made.contact_id), account_id = coalesce(v.account_id, made.account_id)
    WHERE v.tenant_id = t AND v.related_table = 'leads' AND v.related_id = l.id
      AND (v.contact_id IS NULL OR v.account_id IS NULL AND made.account_id IS NOT NULL);
    GET DIAGNOSTICS made.activities_carried = ROW_COUNT;
    BEGIN
        IF EXISTS (SELECT FROM crm.score_models AS m WHERE m.tenant_id = t AND m.active) THEN
            made.score := crm.lead_score(l.id);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        PERFORM crm_internal.lead_trouble(t, l.id, 'scoring', SQLSTATE, SQLERRM);
    END;

    UPDATE crm.leads AS x
    SET stage_id = crm_internal.lead_stage(t, l.pipeline_id, '{done,won}'), converted_at = now(),
        account_id = made.account_id, contact_id = made.contact_id, opportunity_id = made.opportunity_id
    WHERE x.tenant_id = t AND x.id = l.id;
    INSERT INTO crm.lead_conversions AS c (tenant_id, lead_id, contact_id, account_id, opportunity_id, contact_matched_by,
                                           account_matched_by, activities_carried, score)
    VALUES (t, l.id, made.contact_id, made.account_id, made.opportunity_id, made.contact_matched_by, made.account_matched_by,
            made.activities_carried, made.score)
    RETURNING c.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.convert_lead(bigint, boolean, jsonb, bigint, bigint) IS
'Makes a lead a contact and, where it has a company, an account, in one transaction; returns what it became. The contact is the one given, else one with the lead''s e-mail address, else one with its telephone number and no address, else the one the lead is linked to; the account the one given, else the contact''s, else one whose folded name is the company''s, else the one the lead is linked to. open_opportunity: opens an opportunity too, with what opportunity says ({name, amount, currency, expected_close_date, product_id, pipeline_id, territory_id, tags, custom, owner_id, team_id}) and else the lead''s product, amount, source and owner. Activities, consent, tags, addresses and score are carried; the lead stays, closed, with links. A second call, at the same time or later, returns what the first made. Errors: P0002 a lead, contact or account that is not there; 42501 a lead that may not be changed; 55000 a lead that is disqualified or merged; CR107 a pipeline without a stage done or won; errors of the guard of stages.';

CREATE OR REPLACE FUNCTION crm.move_lead(lead_id bigint, stage text)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    moved crm.leads;
BEGIN
    UPDATE crm.leads AS l SET stage_id = s.id
    FROM crm.stages AS s
    WHERE l.tenant_id = crm.tenant_id() AND l.id = move_lead.lead_id
      AND s.tenant_id = l.tenant_id AND s.pipeline_id = l.pipeline_id AND s.code = move_lead.stage
    RETURNING l.* INTO moved;
    IF NOT FOUND THEN
        IF EXISTS (SELECT FROM crm.leads AS l WHERE l.tenant_id = crm.tenant_id() AND l.id = move_lead.lead_id) THEN
            IF EXISTS (SELECT FROM crm.leads AS l JOIN crm.stages AS s ON s.tenant_id = l.tenant_id AND s.pipeline_id = l.pipeline_id
                       WHERE l.tenant_id = crm.tenant_id() AND l.id = move_lead.lead_id AND s.code = move_lead.stage) THEN
                RAISE EXCEPTION 'lead % may not be changed by you', lead_id USING ERRCODE = 'insufficient_privilege';
            END IF;
            RAISE EXCEPTION 'the pipeline of lead % has no stage "%"', lead_id, stage USING ERRCODE = 'CR107';
        END IF;
        RAISE EXCEPTION 'lead % does not exist, or is not visible to you', lead_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN moved;
END
$$;
COMMENT ON FUNCTION crm.move_lead(bigint, text) IS
'Moves a lead to another stage of its pipeline and returns it. Errors: those of the guard of stages; P0002, 42501, CR107.';

CREATE OR REPLACE FUNCTION crm.disqualify_lead(lead_id bigint, reason text, note text DEFAULT NULL, recycle_at timestamptz DEFAULT NULL)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads := crm_internal.lead_for_change(t, lead_id);
BEGIN
    IF NOT EXISTS (SELECT FROM crm.disqualification_reasons AS r WHERE r.tenant_id = t AND r.code = reason) THEN
        RAISE EXCEPTION 'there is no reason "%" for disqualifying a lead', reason USING ERRCODE = 'foreign_key_violation',
            HINT = 'crm.disqualification_reasons lists them.';
    END IF;
    IF l.converted_at IS NOT NULL THEN
        RAISE EXCEPTION 'lead % was converted', lead_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    UPDATE crm.leads AS x
    SET stage_id = crm_internal.lead_stage(t, l.pipeline_id, '{cancelled,lost}'), disqualification_reason = reason,
        disqualification_note = note, recycle_at = disqualify_lead.recycle_at
    WHERE x.tenant_id = t AND x.id = l.id
    RETURNING x.* INTO l;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm.disqualify_lead(bigint, text, text, timestamptz) IS
'Closes a lead for a reason of crm.disqualification_reasons and returns it. recycle_at: when it comes back by itself; without it, after the time its reason says, if any. Errors: 23503 an unknown reason, CR102 a reason that asks for a note, 55000 a converted lead, P0002, 42501, CR107.';

CREATE OR REPLACE FUNCTION crm.recycle_lead(lead_id bigint, stage text DEFAULT NULL)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    l crm.leads := crm_internal.lead_for_change(t, lead_id);
    target bigint;
BEGIN
    IF l.closed_at IS NULL OR l.converted_at IS NOT NULL OR l.merged_into_id IS NOT NULL THEN
        RAISE EXCEPTION 'lead % is not disqualified', lead_id USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF stage IS NULL THEN
        target := crm_internal.lead_stage(t, l.pipeline_id, '{open,on_hold}');
    ELSE
        SELECT s.id INTO target FROM crm.stages AS s
        WHERE s.tenant_id = t AND s.pipeline_id = l.pipeline_id AND s.code = stage AND s.type IN ('open', 'on_hold');
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the pipeline of lead % has no open stage "%"', lead_id, stage USING ERRCODE = 'CR107';
        END IF;
    END IF;
    UPDATE crm.leads AS x SET stage_id = target WHERE x.tenant_id = t AND x.id = l.id RETURNING x.* INTO l;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm.recycle_lead(bigint, text) IS
'Takes a disqualified lead back to the beginning of its pipeline, or to the open stage given, and returns it; reason and note are cleared and the return is counted. Errors: 55000 a lead that is not disqualified, CR107 an unknown stage, P0002, 42501.';

CREATE OR REPLACE FUNCTION crm.recycle_due_leads(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    n bigint;
BEGIN
    WITH due AS MATERIALIZED (
        SELECT l.tenant_id, l.id, l.pipeline_id FROM crm.leads AS l
        WHERE l.recycle_at <= as_of AND l.merged_into_id IS NULL
        ORDER BY l.recycle_at LIMIT batch FOR UPDATE SKIP LOCKED)
    UPDATE crm.leads AS l SET stage_id = crm_internal.lead_stage(d.tenant_id, d.pipeline_id, '{open,on_hold}')
    FROM due AS d WHERE l.tenant_id = d.tenant_id AND l.id = d.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm.recycle_due_leads(timestamptz, integer) IS
'Takes disqualified leads back whose time has come, for all tenants. Returns how many. A maintenance task; for the owner of the CRM.';

CREATE OR REPLACE FUNCTION crm.next_recycle_at()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT min(l.recycle_at) FROM crm.leads AS l WHERE l.recycle_at IS NOT NULL AND l.merged_into_id IS NULL $$;
COMMENT ON FUNCTION crm.next_recycle_at() IS 'When the next disqualified lead comes back by itself; NULL: none in sight.';

-- ---- reports ----

CREATE OR REPLACE VIEW crm_analytics.lead_responses WITH (security_invoker = true) AS
SELECT l.tenant_id, l.id AS lead_id, l.source, l.campaign, l.channel, l.owner_id, l.team_id, l.created_at, l.first_response_at,
       extract(epoch FROM coalesce(l.first_response_at, l.closed_at, now()) - l.created_at) / 60 AS minutes,
       l.first_response_at IS NOT NULL AS answered, l.converted_at IS NOT NULL AS converted
FROM crm.leads AS l;
COMMENT ON VIEW crm_analytics.lead_responses IS
'One row per lead: minutes of calendar time to the first response, or so far. In business time see crm.sla_clock_status for policies of leads.';

CREATE OR REPLACE VIEW crm_analytics.lead_campaigns WITH (security_invoker = true) AS
SELECT l.tenant_id, l.source, l.medium, l.campaign,
       count(*) AS leads,
       count(*) FILTER (WHERE l.converted_at IS NOT NULL) AS converted,
       count(*) FILTER (WHERE l.closed_at IS NOT NULL AND l.converted_at IS NULL) AS disqualified,
       count(*) FILTER (WHERE l.converted_at IS NOT NULL)::double precision
           / nullif(count(*) FILTER (WHERE l.closed_at IS NOT NULL), 0) AS conversion,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM l.first_response_at - l.created_at) / 60) AS median_response_minutes,
       min(l.created_at) AS first_at, max(l.created_at) AS last_at
FROM crm.leads AS l
GROUP BY l.tenant_id, l.source, l.medium, l.campaign;
COMMENT ON VIEW crm_analytics.lead_campaigns IS
'One row per source, medium and campaign: leads, how they ended, conversion (converted among the closed), median minutes to the first response.';
