-- Capture: one door for leads from anywhere.
--
-- A payload is read (crm_internal.captured_row), whoever it is of is looked for, and either a lead is made or what is
-- new about the one that is there is added (crm_internal.store_captured). Which columns there are is asked of the table:
-- a column added to crm.leads is captured like any other unless crm.column_rules says otherwise.

-- ---- reading ----

CREATE OR REPLACE FUNCTION crm_internal.further_columns(payload jsonb, p jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- read by crm_internal.captured_row(), which makes more of them than a value of their type
    own CONSTANT text[] := '{name,email,phone,country,message,channel,source,medium,campaign,utm,consent,employees,amount,currency,product_id,custom,tags,'
                           'owner_id,team_id,source_system,source_id}';
    columns CONSTANT text[] := crm.given_columns(NULL::crm.leads, 'open');
BEGIN
    -- a number stands as people type it, in whatever column
    RETURN (SELECT jsonb_object_agg(e.key, CASE WHEN y.typcategory = 'N'
                                                THEN coalesce(to_jsonb(trim_scale(crm_internal.typed_number(p ->> e.key))), p -> e.key, e.value)
                                                ELSE coalesce(p -> e.key, e.value) END)
            FROM jsonb_each(payload) AS e
            LEFT JOIN pg_attribute AS a ON a.attrelid = 'crm.leads'::regclass AND a.attname = e.key::name
            LEFT JOIN pg_type AS y ON y.oid = a.atttypid
            WHERE e.key = ANY (columns) AND e.key <> ALL (own)
              AND (p ? e.key OR jsonb_typeof(e.value) IN ('boolean', 'array', 'object')));
END
$$;
COMMENT ON FUNCTION crm_internal.further_columns(jsonb, jsonb) IS
'Columns of leads that a payload names and that need no reading but by their type, numbers as people type them; NULL: none.';

CREATE OR REPLACE FUNCTION crm_internal.acceptable_columns(columns jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c record;
BEGIN
    FOR c IN SELECT e.key, e.value FROM jsonb_each(columns) AS e LOOP
        BEGIN
            PERFORM crm.given_row(NULL::crm.leads, jsonb_build_object(c.key, c.value), 'open');
        EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
            columns := columns - c.key;
        END;
    END LOOP;
    RETURN columns;
END
$$;
COMMENT ON FUNCTION crm_internal.acceptable_columns(jsonb) IS
'Those columns of a payload that are values of theirs; the others are left out, and crm_internal.capture_troubles() tells of them.';

CREATE OR REPLACE FUNCTION crm_internal.captured_row(l crm.leads, t bigint, p jsonb, way text)
RETURNS crm.leads
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    utm CONSTANT jsonb := crm_internal.capture_utm(p);
    at timestamptz := now();
    n numeric;
BEGIN
    IF p ? 'captured_at' THEN
        at := least(crm_internal.typed_instant(p ->> 'captured_at'), now());
        at := CASE WHEN isfinite(at) THEN at ELSE now() END;
    END IF;
    l.tenant_id := t;
    l.channel := way;
    l.email := coalesce(p ->> 'email', p ->> 'from');
    l.phone := coalesce(p ->> 'mobile', p ->> 'phone');
    l.name := coalesce(p ->> 'name', nullif(concat_ws(' ', p ->> 'first_name', p ->> 'last_name'), ''),
                       l.company, crm.normalize_email(l.email), l.email, l.phone);
    IF l.name IS NULL THEN
        RAISE EXCEPTION 'a captured lead says neither who it is nor how to reach them' USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'Missing: one of name, first_name, last_name, company, email, phone, mobile.';
    END IF;
    -- as the table computes them
    l.email_key := crm.normalize_email(l.email);
    l.company_key := crm.name_key(l.company);
    -- numbers without a country code: of the country that is told, of the company's where we know it, of ours
    l.country := coalesce(crm.country_code(p ->> 'country'),
                          CASE WHEN l.phone IS NOT NULL AND l.company_key <> '' THEN
                              (SELECT a.country FROM crm.accounts AS a WHERE a.tenant_id = t AND a.name_key = l.company_key ORDER BY a.id LIMIT 1) END,
                          crm.tenant_country());
    l.phone_key := (crm.phone_numbers(l.phone, coalesce(l.country, '')::text))[1];
    l.message := coalesce(p ->> 'message', p ->> 'body', p ->> 'subject');
    l.utm := utm;
    l.source := coalesce(p ->> 'source', utm ->> 'utm_source');
    l.medium := coalesce(p ->> 'medium', utm ->> 'utm_medium');
    l.campaign := coalesce(p ->> 'campaign', utm ->> 'utm_campaign');
    -- what a form's visitor mistyped must not lose the lead; the payload keeps it
    IF p ? 'employees' THEN
        n := crm_internal.typed_number(p ->> 'employees');
        l.employees := CASE WHEN n = trunc(n) AND n < 1000000000 THEN n END;
    END IF;
    IF p ? 'amount' THEN
        l.amount := round(crm_internal.typed_number(p ->> 'amount'), 4);
    END IF;
    IF l.amount IS NOT NULL AND p ? 'currency' THEN
        l.currency := (SELECT c.code FROM crm.currencies AS c WHERE c.code = upper(p ->> 'currency'));
        -- an amount of something else is not one of our money
        l.amount := CASE WHEN l.currency IS NOT NULL THEN l.amount END;
    END IF;
    IF p ?| '{product,product_id}' THEN
        l.product_id := (SELECT r.id FROM crm.products AS r
                         WHERE r.tenant_id = t AND (r.code = p ->> 'product' OR r.id::text = p ->> 'product_id') LIMIT 1);
    END IF;
    IF p ? 'owner_id' THEN
        l.owner_id := (SELECT u.id FROM crm.users AS u WHERE u.tenant_id = t AND u.id::text = p ->> 'owner_id' AND NOT crm_internal.left_us(t, u.id));
    END IF;
    IF p ? 'team_id' THEN
        l.team_id := (SELECT x.id FROM crm.teams AS x WHERE x.tenant_id = t AND x.id::text = p ->> 'team_id');
    END IF;
    l.consent := crm_internal.capture_consent(p -> 'consent', at);
    l.custom := CASE WHEN jsonb_typeof(p -> 'custom') = 'object' THEN p -> 'custom' ELSE '{}' END;
    l.tags := crm_internal.capture_tags(p -> 'tags');
    IF p ?& '{source_system,source_id}' THEN
        l.source_system := p ->> 'source_system';
        l.source_id := crm_internal.short_key(p ->> 'source_id');
    END IF;
    l.created_at := at;
    l.last_capture_at := at;
    l.capture_count := 1;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.captured_row(crm.leads, bigint, jsonb, text) IS
'The lead that a payload is of, with the columns that it has already; not stored. Error 22023 where it says neither a name nor an address.';

-- a program's mistake loses no lead either, but is told
CREATE OR REPLACE FUNCTION crm_internal.capture_troubles(p jsonb, further jsonb, accepted jsonb, l crm.leads)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    troubles text[] := '{}';
    c record;
BEGIN
    IF p ? 'captured_at' AND crm_internal.typed_instant(p ->> 'captured_at') IS NULL THEN
        troubles := troubles || format('captured_at %s is no instant', p -> 'captured_at');
    END IF;
    IF p ? 'owner_id' AND l.owner_id IS NULL THEN
        troubles := troubles || format('owner_id %s is nobody', p -> 'owner_id');
    END IF;
    IF p ? 'team_id' AND l.team_id IS NULL THEN
        troubles := troubles || format('team_id %s is no team', p -> 'team_id');
    END IF;
    IF p ?& '{amount,currency}' AND l.currency IS NULL AND crm_internal.typed_number(p ->> 'amount') IS NOT NULL THEN
        troubles := troubles || format('amount %s was left out: there is no currency %s', p -> 'amount', p -> 'currency');
    END IF;
    IF accepted <> further THEN
        FOR c IN SELECT e.key, e.value FROM jsonb_each(further) AS e WHERE NOT accepted ? e.key LOOP
            BEGIN
                PERFORM crm.given_row(NULL::crm.leads, jsonb_build_object(c.key, c.value), 'open');
            EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
                troubles := troubles || format('%s was left out: %s', c.key, SQLERRM);
            END;
        END LOOP;
    END IF;
    RETURN troubles;
END
$$;
COMMENT ON FUNCTION crm_internal.capture_troubles(jsonb, jsonb, jsonb, crm.leads) IS 'What a payload says that did not come into its lead.';

-- ---- recognising ----

-- by the source's own key, then e-mail, then telephone
CREATE OR REPLACE FUNCTION crm_internal.match_lead(t bigint, given crm.leads)
RETURNS crm.lead_captures
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c crm.lead_captures;
    own_name CONSTANT text := crm_internal.said_name(given.name, given.company, given.email, given.phone);
BEGIN
    SELECT m.id, m.how INTO c.lead_id, c.matched_by FROM (
        SELECT l.id, 'source' AS how, 1 AS rank, true AS open, l.name, l.created_at
        FROM crm.leads AS l
        WHERE l.tenant_id = t AND l.source_system = given.source_system AND l.source_id = given.source_id
        UNION ALL
        SELECT l.id, 'email', 2, l.closed_at IS NULL, l.name, l.created_at
        FROM crm.leads AS l
        WHERE l.tenant_id = t AND l.email_key = given.email_key AND l.converted_at IS NULL AND l.merged_into_id IS NULL
          AND NOT crm_internal.contradict(own_name, given.company, crm_internal.said_name(l.name, l.company, l.email, l.phone), l.company)
        UNION ALL
        SELECT l.id, 'phone', 3, l.closed_at IS NULL, l.name, l.created_at
        FROM crm.leads AS l
        WHERE l.tenant_id = t AND l.phone_key = given.phone_key AND l.converted_at IS NULL AND l.merged_into_id IS NULL
          AND (l.email_key IS NULL OR given.email_key IS NULL)
          AND NOT crm_internal.contradict(own_name, given.company, crm_internal.said_name(l.name, l.company, l.email, l.phone), l.company)
    ) AS m
    -- of several who share it, whoever is called like this one
    ORDER BY NOT m.open, m.rank, NOT crm.name_words(m.name) && crm.name_words(given.name), m.created_at DESC, m.id DESC LIMIT 1;
    RETURN c;
END
$$;
COMMENT ON FUNCTION crm_internal.match_lead(bigint, crm.leads) IS
'The lead that a captured one is already: lead_id and matched_by (source, email, phone) of a capture, empty where there is none.';

CREATE OR REPLACE FUNCTION crm_internal.lead_that_goes_on(t bigint, lead bigint)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    l crm.leads;
BEGIN
    SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = t AND x.id = lead FOR UPDATE;
    FOR i IN 1 .. 100 LOOP
        EXIT WHEN l.merged_into_id IS NULL;
        SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = t AND x.id = l.merged_into_id FOR UPDATE;
    END LOOP;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.lead_that_goes_on(bigint, bigint) IS 'A lead, or what it was merged into, locked.';

-- ---- storing ----

CREATE OR REPLACE FUNCTION crm_internal.write_captured(t bigint, old crm.leads, given crm.leads, pipeline text)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    l crm.leads;
    known crm.lead_conversions;
BEGIN
    IF old.id IS NOT NULL THEN
        l := crm.carry_row(old, crm_internal.with_full_phone(given, old), 'capture');
        l.consent := old.consent || given.consent;
        -- who has left answers nobody: it is given out anew
        IF crm_internal.left_us(t, l.owner_id) THEN
            l.owner_id := given.owner_id;
        END IF;
        -- somebody who was turned down and asks again is worth another look; spam is not
        IF old.closed_at IS NOT NULL AND old.converted_at IS NULL AND old.disqualification_reason NOT IN ('spam', 'duplicate') THEN
            SELECT coalesce(max(s.id), l.stage_id) INTO l.stage_id
            FROM (SELECT x.id FROM crm.stages AS x
                  WHERE x.tenant_id = t AND x.pipeline_id = old.pipeline_id AND x.active AND x.type IN ('open', 'on_hold')
                  ORDER BY x.is_initial DESC, x.position LIMIT 1) AS s;
        END IF;
        RETURN crm.update_row(old, l);
    END IF;
    l := given;
    known := crm_internal.match_contact(t, given.email_key, given.phone_key,
        crm_internal.said_name(given.name, given.company, given.email, given.phone), given.company);
    l.contact_id := known.contact_id;
    l.account_id := known.account_id;
    IF l.account_id IS NULL AND given.company_key <> '' THEN
        l.account_id := (SELECT a.id FROM crm.accounts AS a WHERE a.tenant_id = t AND a.name_key = given.company_key ORDER BY a.id LIMIT 1);
    END IF;
    IF pipeline IS NOT NULL THEN
        l.pipeline_id := (SELECT i.id FROM crm.pipelines AS i WHERE i.tenant_id = t AND i.code = pipeline AND i.subject_table = 'leads');
    END IF;
    RETURN crm.insert_row(l);
END
$$;
COMMENT ON FUNCTION crm_internal.write_captured(bigint, crm.leads, crm.leads, text) IS
'Makes a captured lead, or adds what is new about the one that is there.';

CREATE OR REPLACE FUNCTION crm_internal.store_captured(t bigint, old crm.leads, given crm.leads, p jsonb, further jsonb, troubles text[])
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    l crm.leads;
    violated text;
    bad text[];
    trouble text;
    tries integer := 0;
BEGIN
    LOOP
        BEGIN
            l := crm_internal.write_captured(t, old, given, p ->> 'pipeline');
            EXIT;
        EXCEPTION WHEN SQLSTATE 'CR202' THEN
            -- custom fields nobody knows: the lead is kept without those, one after the other, and with the good ones
            IF given.custom = '{}' THEN
                RAISE;
            END IF;
            IF tries = 0 THEN
                troubles := troubles || SQLERRM;
            END IF;
            tries := tries + 1;
            GET STACKED DIAGNOSTICS violated = COLUMN_NAME;
            given.custom := CASE WHEN tries <= 20 AND given.custom ? substr(violated, 8) THEN given.custom - substr(violated, 8) ELSE '{}' END;
        WHEN check_violation OR foreign_key_violation OR unique_violation OR exclusion_violation THEN
            -- a column of the owner's with a value that may not be there: the lead is kept without it
            GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
            SELECT array_agg(a.attname::text) INTO bad
            FROM pg_constraint AS c
            JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
            WHERE c.conrelid = 'crm.leads'::regclass AND c.conname = violated AND further ? a.attname::text
              AND to_jsonb(given) -> a.attname::text <> 'null';
            IF bad IS NULL THEN
                RAISE;
            END IF;
            troubles := troubles || format('%s was left out: %s', array_to_string(bad, ', '), SQLERRM);
            given := jsonb_populate_record(given, (SELECT jsonb_object_agg(b.name, NULL) FROM unnest(bad) AS b (name)));
        END;
    END LOOP;
    FOREACH trouble IN ARRAY troubles LOOP
        PERFORM crm_internal.lead_trouble(t, l.id, 'capture', '22023', trouble);
    END LOOP;
    RETURN l;
END
$$;
COMMENT ON FUNCTION crm_internal.store_captured(bigint, crm.leads, crm.leads, jsonb, jsonb, text[]) IS
'Stores a captured lead without what may not be stored of it, and tells that and the troubles there were before.';

-- what else is done about a lead may fail without losing it
CREATE OR REPLACE FUNCTION crm_internal.after_capture(l crm.leads, p jsonb, way text, utm jsonb, at timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hook regprocedure;
BEGIN
    FOR hook IN SELECT h FROM crm_internal.hooks_at('lead_captured') AS h LOOP
        BEGIN
            EXECUTE format('SELECT %s($1, $2, $3, $4, $5)', hook::regproc) USING l, p, way, utm, at;
        EXCEPTION WHEN OTHERS THEN
            PERFORM crm_internal.lead_trouble(l.tenant_id, l.id, hook::regproc::text, SQLSTATE, SQLERRM);
        END;
    END LOOP;
    IF l.owner_id IS NULL AND l.closed_at IS NULL AND EXISTS (
        SELECT FROM crm.assignment_rules AS r WHERE r.tenant_id = l.tenant_id AND r.subject_table = 'leads' AND r.active)
    THEN
        BEGIN
            PERFORM crm_internal.serve_before(l.tenant_id, 'leads', l.id, now());
            PERFORM crm_internal.route_record(l.tenant_id, 'leads', l.id, false, now());
        EXCEPTION WHEN OTHERS THEN
            PERFORM crm_internal.lead_trouble(l.tenant_id, l.id, 'assignment', SQLSTATE, SQLERRM);
        END;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.after_capture(crm.leads, jsonb, text, jsonb, timestamptz) IS
'The assignment of a captured lead, and what later rooms do about it.';

-- a person is recognised even where the lead is not the caller's: its number is all that is told
CREATE OR REPLACE FUNCTION crm_internal.lead_as_seen(l crm.leads)
RETURNS crm.leads
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF crm.can_see(l.owner_id, l.team_id, l.shared_user_ids, l.shared_team_ids) THEN
        RETURN l;
    END IF;
    RETURN jsonb_populate_record(NULL::crm.leads, jsonb_build_object('tenant_id', l.tenant_id, 'id', l.id));
END
$$;
COMMENT ON FUNCTION crm_internal.lead_as_seen(crm.leads) IS 'A lead as the current user may see it: whole, or its number alone.';

-- ---- the door ----

-- security definer: see crm_internal.lead_as_seen()
CREATE OR REPLACE FUNCTION crm.capture_lead(payload jsonb)
RETURNS crm.leads
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    p jsonb;
    further jsonb;
    way text;
    message_key text;
    seen bigint;
    accepted jsonb;
    known crm.lead_captures;
    given crm.leads;
    old crm.leads;
    l crm.leads;
BEGIN
    PERFORM crm.because('capture_lead');
    PERFORM crm.keep_incomplete();
    IF jsonb_typeof(payload) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a captured lead must be a JSON object' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'For example {"channel": "form", "name": "Ada", "email": "ada@example.com"}.';
    END IF;
    p := crm_internal.capture_payload(payload);
    way := lower(coalesce(p ->> 'channel', 'api'));
    IF way NOT IN ('form', 'mail', 'chat', 'phone', 'event', 'import', 'api') THEN
        RAISE EXCEPTION 'unknown channel "%"', way USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Channels are form, mail, chat, phone, event, import and api.';
    END IF;
    further := crm_internal.further_columns(payload, p);
    BEGIN
        accepted := further;
        given := crm.given_row(given, further, 'open');
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        accepted := crm_internal.acceptable_columns(further);
        given := crm.given_row(given, accepted, 'open');
    END;
    given := crm_internal.captured_row(given, t, p, way);
    message_key := crm_internal.short_key(p ->> 'external_id');
    PERFORM crm_internal.lock_lead_keys(t, ARRAY['e' || given.email_key, 'p' || given.phone_key, 'x' || way || ' ' || message_key,
                                                 's' || given.source_system || ' ' || given.source_id]);

    IF message_key IS NOT NULL THEN
        -- the same message again
        SELECT c.lead_id INTO seen FROM crm.lead_captures AS c
        WHERE c.tenant_id = t AND c.channel = way AND c.external_id = message_key;
        IF FOUND THEN
            SELECT x.* INTO old FROM crm.leads AS x WHERE x.tenant_id = t AND x.id = seen;
            RETURN crm_internal.lead_as_seen(old);
        END IF;
    END IF;
    -- the same person again
    known := crm_internal.match_lead(t, given);
    IF known.lead_id IS NOT NULL THEN
        old := crm_internal.lead_that_goes_on(t, known.lead_id);
        -- converted while we waited: it is a new lead of a known contact
        IF known.matched_by <> 'source' AND (old.id IS NULL OR old.converted_at IS NOT NULL) THEN
            old := NULL;
            known.matched_by := NULL;
        END IF;
    END IF;

    l := crm_internal.store_captured(t, old, given, p, further, crm_internal.capture_troubles(p, further, accepted, given));
    INSERT INTO crm.lead_captures (tenant_id, lead_id, channel, source, medium, campaign, utm, matched_by, external_id, payload, captured_at)
    VALUES (t, l.id, way, given.source, given.medium, given.campaign, given.utm, known.matched_by, message_key, payload, given.last_capture_at);
    IF old.id IS NULL THEN
        PERFORM crm_internal.note_possible_duplicates(l);
    END IF;
    PERFORM crm_internal.after_capture(l, p, way, given.utm, given.last_capture_at);
    SELECT x.* INTO l FROM crm.leads AS x WHERE x.tenant_id = t AND x.id = l.id;
    RETURN CASE WHEN known.matched_by IS NULL THEN l ELSE crm_internal.lead_as_seen(l) END;
END
$$;
COMMENT ON FUNCTION crm.capture_lead(jsonb) IS
'Takes in a lead from a form, mail, chat bot, import or program, and returns it. Known keys: channel, name or first_name and last_name, company, email (or '
'from), mobile or phone, country, employees, message, source, medium, campaign, utm (or utm_... keys, or a url that holds them), consent, product, amount, '
'currency, pipeline, tags, custom, owner_id, team_id, external_id, source_system and source_id, captured_at, and every other column of crm.leads that '
'crm.column_rules does not keep, your own included. All keys, unknown ones too, are kept in crm.lead_captures and go nowhere else. The same external_id '
'again changes nothing. A person who is a lead already, by source key, else e-mail address, else telephone number (where not both have addresses, nor where '
'both name and company contradict: see crm.possible_duplicates), is not entered twice: empty columns are filled, lists and custom fields joined, and a '
'disqualified lead comes back unless it was spam. A recognised lead the caller may not see comes back with its id only. Scoring or assignment that fails is '
'reported (a warning, an event lead.trouble) and does not lose the lead. What is no value of its kind (a list for a name, a number that is none, an unknown '
'owner, custom fields nobody knows) or may not be in its column is left out, the payload keeps it, and programs'' mistakes are reported. A field or column '
'of a stage that is required and not given leaves the lead incomplete (crm_analytics.incomplete_records). Errors: 22023 for what is no object, an unknown '
'channel, or neither a name nor an address; those of the table where a column it requires is not given.';
SELECT crm.declare_api('crm.capture_lead', '{"payload": {"channel": "form", "name": "Ada King", "email": "ada@example.com", "company": "Engines Ltd"}}');
SELECT crm.declare_function('crm.capture_lead', 'agent');
