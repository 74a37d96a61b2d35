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
SELECT crm.declare_function('crm.capture_lead', 'agent');
