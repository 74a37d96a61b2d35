-- Consent: recording what people say, and asking whether somebody may be written to.

CREATE OR REPLACE FUNCTION crm.seed_message_purposes(tenant_id bigint)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm.message_purposes (tenant_id, code, name, needs_consent, double_opt_in)
    SELECT seed_message_purposes.tenant_id, p.code, t.words -> 'message_purposes' ->> p.code, p.needs_consent, p.double_opt_in
    FROM (VALUES ('marketing', true, false), ('newsletter', true, true), ('service', false, false)) AS p (code, needs_consent, double_opt_in),
         crm_internal.texts_of(seed_message_purposes.tenant_id, 'seeds') AS t (words)
    ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION crm.seed_message_purposes(bigint) IS 'Gives a new company the usual purposes: marketing, newsletter (to be confirmed) and service '
'(needs no consent).';
SELECT crm.declare_function('crm.seed_message_purposes', 'owner');
SELECT crm.declare_hook('new_tenant', 'crm.seed_message_purposes(bigint)');

-- An address as suppressions know it; NULL where it is none.
CREATE OR REPLACE FUNCTION crm.address_key(channel text, address text)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm.contact_point_key(CASE channel WHEN 'sms' THEN 'mobile' ELSE channel END, address)
$$;
COMMENT ON FUNCTION crm.address_key(text, text) IS 'An address in the form by which consents and suppressions know it: e-mail folded, telephone in '
'E.164; NULL where it is none.';

-- ---- statements are for ever ----

CREATE OR REPLACE FUNCTION crm_internal.keep_consents()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- merging a person moves the statements; all else of them stays as it was said
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - '{subject_table,subject_id}'::text[] = to_jsonb(OLD) - '{subject_table,subject_id}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'statement % about consent cannot be changed or deleted', OLD.id
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Record what was said since: crm.record_consent(). The last statement counts.';
END
$$;
COMMENT ON FUNCTION crm_internal.keep_consents() IS 'Row trigger of crm.consents: rows are only added; a merge may move them to the person that goes on.';
CREATE OR REPLACE TRIGGER consents_before_keep BEFORE UPDATE OR DELETE ON crm.consents
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_consents();

-- ---- asking ----

CREATE OR REPLACE FUNCTION crm_internal.last_consent(tenant bigint, subject_table text, subject_id bigint, purpose text, channel text, as_of timestamptz)
RETURNS crm.consents
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    said crm.consents;
BEGIN
    SELECT c.* INTO said FROM crm.consents AS c
    WHERE c.tenant_id = tenant AND c.subject_table = last_consent.subject_table AND c.subject_id = last_consent.subject_id
      AND c.purpose = last_consent.purpose AND c.channel = last_consent.channel AND c.stated_at <= as_of
    -- at one instant no is stronger than yes
    ORDER BY c.stated_at DESC, c.state = 'withdrawn' DESC, c.id DESC
    LIMIT 1;
    RETURN said;
END
$$;
COMMENT ON FUNCTION crm_internal.last_consent(bigint, text, bigint, text, text, timestamptz) IS 'The statement that counts at an instant; NULLs where '
'nothing was said.';

-- security definer: a suppression hides from nobody, and whoever may write to a person must get the true answer
CREATE OR REPLACE FUNCTION crm.may_contact(subject_table text, subject_id bigint, purpose text, channel text, address text DEFAULT NULL, as_of timestamptz
    DEFAULT now())
RETURNS TABLE (allowed boolean, reason text, since timestamptz, consent_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    answer crm.contact_answer;
    key CONSTANT text := crm.address_key(channel, address);
BEGIN
    PERFORM crm_internal.require(subject_table, subject_id, 'see');
    answer := crm.contact_decision(t, subject_table, subject_id, purpose, channel, key, as_of);
    IF answer IS NULL AND NOT EXISTS (SELECT FROM crm.message_purposes AS m WHERE m.tenant_id = t AND m.code = purpose) THEN
        RAISE EXCEPTION 'there is no purpose "%"', purpose USING ERRCODE = 'undefined_object',
            HINT = (SELECT 'Known are ' || string_agg(m.code, ', ' ORDER BY m.code) || '.' FROM crm.message_purposes AS m WHERE m.tenant_id = t);
    END IF;
    IF address IS NOT NULL AND key IS NULL THEN
        RETURN QUERY SELECT false, 'no address', NULL::timestamptz, NULL::bigint;
        RETURN;
    END IF;
    RETURN QUERY SELECT answer.allowed, answer.reason, answer.since, answer.consent_id;
END
$$;
COMMENT ON FUNCTION crm.may_contact(text, bigint, text, text, text, timestamptz) IS
'Whether a person may be written to for a purpose by a channel at an instant, and why: a suppression of the address is the strongest, then the last '
'statement of the person, then whether the purpose needs consent. Where an address is given it must be one that consent was given for: the one that the '
'statement names, else one of the person''s. Errors: P0002 a person the caller does not see, 42704 an unknown purpose.';
SELECT crm.declare_function('crm.may_contact', 'reader');

CREATE OR REPLACE FUNCTION crm.consent_proof(subject_table text, subject_id bigint)
RETURNS TABLE (purpose text, channel text, state text, counts boolean, legal_basis text, source text, text_version text, wording text, address text,
               stated_at timestamptz, recorded_at timestamptz, recorded_by text)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.purpose, c.channel, c.state,
           c.stated_at <= now() AND row_number() OVER (PARTITION BY c.purpose, c.channel
               ORDER BY c.stated_at <= now() DESC, c.stated_at DESC, c.state = 'withdrawn' DESC, c.id DESC) = 1,
           c.legal_basis, c.source, c.text_version, c.wording, c.address_key, c.stated_at, c.recorded_at, u.name
    FROM crm.consents AS c
    LEFT JOIN crm.users AS u ON u.tenant_id = c.tenant_id AND u.id = c.recorded_by
    WHERE c.tenant_id = crm.tenant_id() AND c.subject_table = consent_proof.subject_table AND c.subject_id = consent_proof.subject_id
    ORDER BY c.purpose, c.channel, c.stated_at, c.id
$$;
COMMENT ON FUNCTION crm.consent_proof(text, bigint) IS
'Proof of consent: everything a person said about being written to, with the words, who wrote it down and when, and which statement counts now.';

-- ---- recording ----

-- security definer: statements are only added, which no right of a table says
CREATE OR REPLACE FUNCTION crm.record_consent(
    subject_table text, subject_id bigint, purpose text, channel text, given boolean, source text, stated_at timestamptz DEFAULT now(), address text
        DEFAULT NULL,
    legal_basis text DEFAULT 'consent', text_version text DEFAULT NULL, wording text DEFAULT NULL)
RETURNS crm.consents
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    key CONSTANT text := crm.address_key(channel, address);
    confirm boolean := false;
    token text;
    made crm.consents;
BEGIN
    IF num_nulls(subject_table, subject_id, given, stated_at) > 0 OR subject_table NOT IN ('contacts', 'leads') THEN
        RAISE EXCEPTION 'consent is given or withdrawn by a contact or a lead, at some time' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM crm_internal.require(subject_table, subject_id, 'change');
    IF subject_table = 'leads' AND NOT EXISTS (SELECT FROM crm.leads AS l WHERE l.tenant_id = t AND l.id = subject_id)
       OR subject_table = 'contacts' AND NOT EXISTS (SELECT FROM crm.contacts AS k WHERE k.tenant_id = t AND k.id = subject_id) THEN
        RAISE EXCEPTION 'row % of "%" does not exist', subject_id, subject_table USING ERRCODE = 'no_data_found';
    END IF;
    IF address IS NOT NULL AND key IS NULL THEN
        RAISE EXCEPTION '"%" is no address of channel %', address, channel USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF stated_at > now() + interval '1 day' THEN
        RAISE EXCEPTION 'nobody has said yet what they will say in days' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF given THEN
        SELECT m.double_opt_in INTO confirm FROM crm.message_purposes AS m WHERE m.tenant_id = t AND m.code = purpose;
    END IF;
    IF confirm THEN
        token := crm_internal.new_token();
    END IF;
    INSERT INTO crm.consents AS c (tenant_id, subject_table, subject_id, purpose, channel, state, legal_basis, source, text_version, wording, address_key,
        stated_at, token_hash, expires_at)
    VALUES (t, record_consent.subject_table, record_consent.subject_id, record_consent.purpose, record_consent.channel,
        CASE WHEN NOT given THEN 'withdrawn' WHEN confirm THEN 'requested' ELSE 'given' END, record_consent.legal_basis, record_consent.source,
        record_consent.text_version, record_consent.wording, key, record_consent.stated_at,
        sha256(convert_to(token, 'UTF8')), CASE WHEN confirm THEN record_consent.stated_at + interval '30 days' END)
    RETURNING c.* INTO made;
    IF confirm THEN
        PERFORM crm_internal.write_event('consent.confirm', made.subject_table, made.subject_id,
            jsonb_build_object('consent_id', made.id, 'purpose', made.purpose, 'channel', made.channel, 'address', key, 'token', token, 'expires_at',
                made.expires_at));
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.record_consent(text, bigint, text, text, boolean, text, timestamptz, text, text, text, text) IS
'Writes down what a person said: given true or false, for a purpose and a channel, when (stated_at), where (source), in which words. Where the purpose asks '
'for it, consent waits to be confirmed: the notice consent.confirm carries the token that goes to the address. Returns the statement. Errors: P0002 or 42501 '
'a person the caller does not see or may not change, 23503 an unknown purpose, 23514 an unknown channel or legal basis, 22023 no address, or a time to come.';
SELECT crm.declare_function('crm.record_consent', 'agent');
SELECT crm.declare_event('consent.confirm', 'A person is to confirm their consent: a notice, with the token until it is delivered.',
    '{"consent_id": {"type": "integer"}, "purpose": {"type": "string"}, "channel": {"type": "string"}, "address": {"type": ["string", "null"]},
      "token": {"type": "string"}, "expires_at": {"type": "string"}}');

CREATE OR REPLACE FUNCTION crm.confirm_consent(token text, as_of timestamptz DEFAULT now())
RETURNS crm.consents
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    asked crm.consents;
    last crm.consents;
    made crm.consents;
BEGIN
    -- security definer: whoever has the token may confirm, and see nothing else
    SELECT c.* INTO asked FROM crm.consents AS c WHERE c.tenant_id = t AND c.token_hash = sha256(convert_to(coalesce(token, ''), 'UTF8'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this token is not known' USING ERRCODE = 'no_data_found', HINT = 'Ask for a new one: consent was not changed.';
    END IF;
    last := crm_internal.last_consent(t, asked.subject_table, asked.subject_id, asked.purpose, asked.channel, as_of);
    -- confirmed before: the second click of a link
    IF last.state = 'given' AND last.id > asked.id THEN
        RETURN last;
    END IF;
    IF as_of > asked.expires_at THEN
        RAISE EXCEPTION 'this token is no longer good' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Ask for a new one: consent was not changed.';
    END IF;
    IF last.id IS DISTINCT FROM asked.id THEN
        RAISE EXCEPTION 'consent was withdrawn since' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Ask for a new one: consent was not changed.';
    END IF;
    INSERT INTO crm.consents AS c (tenant_id, subject_table, subject_id, purpose, channel, state, legal_basis, source, text_version, wording, address_key,
        stated_at)
    VALUES (t, asked.subject_table, asked.subject_id, asked.purpose, asked.channel, 'given', asked.legal_basis, 'confirmed: ' || asked.source,
            asked.text_version, asked.wording, asked.address_key, as_of)
    RETURNING c.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.confirm_consent(text, timestamptz) IS
'Second step of a double opt-in: consent counts from here on. Harmless the second time. Errors, which change nothing: P0002 an unknown token, 55000 one that '
'is too old, or consent withdrawn since.';
SELECT crm.declare_function('crm.confirm_consent', 'agent');

-- ---- leaving ----

CREATE OR REPLACE FUNCTION crm.make_opt_out_token(subject_table text, subject_id bigint, purpose text, channel text, address text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    token CONSTANT text := crm_internal.new_token();
BEGIN
    PERFORM crm_internal.require(subject_table, subject_id, 'see');
    INSERT INTO crm.opt_out_tokens (token_hash, subject_table, subject_id, purpose, channel, address_key)
    VALUES (sha256(convert_to(token, 'UTF8')), make_opt_out_token.subject_table, make_opt_out_token.subject_id, make_opt_out_token.purpose,
            make_opt_out_token.channel, crm.address_key(channel, address));
    RETURN token;
END
$$;
COMMENT ON FUNCTION crm.make_opt_out_token(text, bigint, text, text, text) IS
'A token for the link by which a person leaves: goes into the message, and is kept nowhere else. Errors: P0002 a person the caller does not see, '
'23503 an unknown purpose.';
SELECT crm.declare_function('crm.make_opt_out_token', 'agent');

CREATE OR REPLACE FUNCTION crm.opt_out(token text, everything boolean DEFAULT false, as_of timestamptz DEFAULT now())
RETURNS TABLE (outcome text, purpose text, channel text, written bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    k crm.opt_out_tokens;
    message bigint;
BEGIN
    UPDATE crm.opt_out_tokens AS o SET used_at = coalesce(o.used_at, as_of)
    WHERE o.tenant_id = t AND o.token_hash = sha256(convert_to(coalesce(token, ''), 'UTF8'))
    RETURNING o.* INTO k;
    IF NOT FOUND THEN
        -- the link of a message that a sender was given
        SELECT m.id, m.subject_table, m.subject_id, m.purpose, m.channel, m.address_key
        INTO message, k.subject_table, k.subject_id, k.purpose, k.channel, k.address_key
        FROM crm_internal.message_of_token(t, 'u', token) AS x JOIN crm.outbound_messages AS m ON m.tenant_id = t AND m.id = x.message_id;
    END IF;
    IF k.subject_id IS NULL THEN
        RETURN QUERY SELECT 'unknown token: nothing was changed', NULL::text, NULL::text, 0::bigint;
        RETURN;
    END IF;
    PERFORM crm.because('opt_out');
    WITH made AS (
        INSERT INTO crm.consents (tenant_id, subject_table, subject_id, purpose, channel, state, source, address_key, stated_at)
        SELECT t, k.subject_table, k.subject_id, m.code, k.channel, 'withdrawn', 'link in a message', k.address_key, as_of
        FROM crm.message_purposes AS m
        WHERE m.tenant_id = t AND (m.code = k.purpose OR everything AND m.needs_consent)
          AND (crm_internal.last_consent(t, k.subject_table, k.subject_id, m.code, k.channel, as_of)).state IS DISTINCT FROM 'withdrawn'
        RETURNING 1)
    SELECT count(*) INTO written FROM made;
    IF message IS NOT NULL THEN
        PERFORM crm_internal.note_delivery(t, message, 'unsubscribe', 'crm', 'u' || message, false, NULL, NULL,
            jsonb_build_object('everything', everything), as_of);
    END IF;
    RETURN QUERY SELECT CASE WHEN written > 0 THEN 'withdrawn' ELSE 'withdrawn before' END, CASE WHEN NOT everything THEN k.purpose END, k.channel, written;
END
$$;
COMMENT ON FUNCTION crm.opt_out(text, boolean, timestamptz) IS
'One click and the person is out: of the purpose of the message, or of everything that needs consent. outcome says what is true now: withdrawn, withdrawn '
'before, or that the token is unknown and nothing was changed; written: statements written. Whoever has the token may call it.';
SELECT crm.declare_function('crm.opt_out', 'agent');

CREATE OR REPLACE FUNCTION crm.suppress(channel text, address text, reason text, source text)
RETURNS crm.suppressions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    key CONSTANT text := crm.address_key(suppress.channel, suppress.address);
    made crm.suppressions;
BEGIN
    IF key IS NULL THEN
        RAISE EXCEPTION '"%" is no address of channel %', address, suppress.channel USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO crm.suppressions AS s (tenant_id, channel, address_key, reason, source)
    VALUES (t, suppress.channel, key, suppress.reason, suppress.source)
    -- no columns here: in a function, channel would be the parameter
    ON CONFLICT DO NOTHING
    RETURNING s.* INTO made;
    IF NOT FOUND THEN
        SELECT s.* INTO made FROM crm.suppressions AS s
        WHERE s.tenant_id = t AND s.channel = suppress.channel AND s.address_key = key AND s.reason = suppress.reason AND s.lifted_at IS NULL;
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.suppress(text, text, text, text) IS
'Nothing is sent to an address from now on, whoever''s it is and whether anybody knows it: it bounces, its owner complained or asked for it, or a legal '
'hold. Returns the suppression, the one that is there where it holds already. Errors: 22023 no address, 23514 an unknown channel or reason.';
SELECT crm.declare_function('crm.suppress', 'agent');

CREATE OR REPLACE FUNCTION crm.lift_suppression(suppression_id bigint, because text)
RETURNS crm.suppressions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed crm.suppressions;
BEGIN
    UPDATE crm.suppressions AS s SET lifted_at = now(), lifted_by = crm.user_id(), lifted_because = nullif(because, '')
    WHERE s.tenant_id = crm.tenant_id() AND s.id = suppression_id AND s.lifted_at IS NULL RETURNING s.* INTO changed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no suppression % that holds', suppression_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION crm.lift_suppression(bigint, text) IS
'Lifts a suppression, and keeps that it was there, until when and why it ended. Errors: P0002 where none of that number holds, 23514 where no reason '
'is given.';
SELECT crm.declare_function('crm.lift_suppression', 'manager');

-- ---- what forms and conversions say ----

-- Consent that came with a lead, by whatever writer, becomes statements: of each channel what is not written down yet.
CREATE OR REPLACE FUNCTION crm_internal.take_lead_consent()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO crm.consents (tenant_id, subject_table, subject_id, purpose, channel, state, source, wording, stated_at)
    SELECT NEW.tenant_id, 'leads', NEW.id, 'marketing', e.key, CASE WHEN e.given THEN 'given' ELSE 'withdrawn' END,
           coalesce(nullif(e.value ->> 'source', ''), NEW.channel), e.value ->> 'text', e.at
    FROM (SELECT c.key, c.value, c.value -> 'given' = 'true' AS given,
                 least(coalesce(crm_internal.instant_of(c.value ->> 'at'), NEW.last_capture_at, NEW.created_at), now()) AS at
          FROM jsonb_each(NEW.consent) AS c
          WHERE jsonb_typeof(c.value) = 'object' AND c.value -> 'given' IN ('true', 'false')
            AND c.key IN ('email', 'phone', 'sms', 'post', 'chat', 'social')) AS e
    WHERE EXISTS (SELECT FROM crm.message_purposes AS m WHERE m.tenant_id = NEW.tenant_id AND m.code = 'marketing')
      AND NOT EXISTS (SELECT FROM crm.consents AS o WHERE o.tenant_id = NEW.tenant_id AND o.subject_table = 'leads' AND o.subject_id = NEW.id
                      AND o.purpose = 'marketing' AND o.channel = e.key AND o.stated_at = e.at AND (o.state = 'withdrawn') = NOT e.given);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.take_lead_consent() IS 'Row trigger of crm.leads: what a capture, an import or anybody else wrote into consent is '
'written down as statements for marketing.';
CREATE OR REPLACE TRIGGER leads_after_insert_consent AFTER INSERT ON crm.leads
    FOR EACH ROW WHEN (NEW.consent <> '{}') EXECUTE FUNCTION crm_internal.take_lead_consent();
CREATE OR REPLACE TRIGGER leads_after_update_consent AFTER UPDATE ON crm.leads
    FOR EACH ROW WHEN (NEW.consent <> OLD.consent) EXECUTE FUNCTION crm_internal.take_lead_consent();

CREATE OR REPLACE FUNCTION crm_internal.instant_of(said text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN nullif(said, '')::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.instant_of(text) IS 'An instant as a form wrote it; NULL where it is none.';

CREATE OR REPLACE FUNCTION crm_internal.carry_consents()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO crm.consents (tenant_id, subject_table, subject_id, purpose, channel, state, legal_basis, source, text_version, wording, address_key,
        stated_at)
    SELECT c.tenant_id, 'contacts', NEW.contact_id, c.purpose, c.channel, c.state, c.legal_basis,
           c.source, c.text_version, c.wording, c.address_key, c.stated_at
    FROM crm.consents AS c
    -- what was never confirmed is no consent of the contact
    WHERE c.tenant_id = NEW.tenant_id AND c.subject_table = 'leads' AND c.subject_id = NEW.lead_id AND c.state <> 'requested'
    ORDER BY c.stated_at, c.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.carry_consents() IS 'Row trigger of crm.lead_conversions: what the lead said the contact has said, at the same times.';
CREATE OR REPLACE TRIGGER lead_conversions_after_insert_consents AFTER INSERT ON crm.lead_conversions FOR EACH ROW EXECUTE FUNCTION
    crm_internal.carry_consents();
