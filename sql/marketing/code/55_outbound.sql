-- The outbox of messages: who gets in.

CREATE OR REPLACE TRIGGER consents_before_announce BEFORE INSERT OR UPDATE ON crm.consents
    FOR EACH ROW WHEN (NEW.state = 'withdrawn') EXECUTE FUNCTION crm.announce_consent();
CREATE OR REPLACE TRIGGER suppressions_before_announce BEFORE INSERT OR UPDATE ON crm.suppressions
    FOR EACH ROW EXECUTE FUNCTION crm.announce_consent();
-- the last of the row triggers: what another of them has changed is judged, too
CREATE OR REPLACE TRIGGER outbound_messages_before_zz_guard BEFORE INSERT OR UPDATE OR DELETE ON crm.outbound_messages
    FOR EACH ROW EXECUTE FUNCTION crm.guard_message();

CREATE OR REPLACE FUNCTION crm.address_of(subject_table text, subject_id bigint, channel text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    found text;
BEGIN
    IF subject_table = 'leads' THEN
        SELECT CASE channel WHEN 'email' THEN l.email WHEN 'phone' THEN l.phone_key WHEN 'sms' THEN l.phone_key END INTO found
        FROM crm.leads AS l WHERE l.tenant_id = tenant AND l.id = address_of.subject_id;
        RETURN found;
    END IF;
    SELECT CASE WHEN p.kind IN ('phone', 'mobile') THEN p.value_key ELSE p.value END INTO found
    FROM crm.contact_points AS p
    WHERE p.tenant_id = tenant AND p.contact_id = address_of.subject_id AND p.value_key IS NOT NULL
      AND p.kind = ANY (CASE channel WHEN 'sms' THEN '{mobile,phone}' WHEN 'phone' THEN '{phone,mobile}' ELSE ARRAY[channel] END)
    -- a text goes to a mobile, a call to the number that is to be used first
    ORDER BY channel = 'sms' AND p.kind = 'mobile' DESC, p.is_primary DESC, p.id
    LIMIT 1;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm.address_of(text, bigint, text) IS
'Where a person is written to by a channel: the address to be used first among those that are good; NULL where there is none.';

CREATE OR REPLACE FUNCTION crm.queue_message(
    template text, subject_table text, subject_id bigint, purpose text, channel text DEFAULT 'email', address text DEFAULT NULL,
    due_at timestamptz DEFAULT now(), expires_at timestamptz DEFAULT NULL, data jsonb DEFAULT '{}', campaign_id bigint DEFAULT NULL,
    dedupe_key text DEFAULT NULL)
RETURNS crm.outbound_messages
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_address CONSTANT text := coalesce(queue_message.address, crm.address_of(queue_message.subject_table, queue_message.subject_id,
        queue_message.channel));
    made crm.outbound_messages;
BEGIN
    IF found_address IS NULL THEN
        RAISE EXCEPTION 'no address of channel % is known of this person', queue_message.channel USING ERRCODE = 'CR701',
            DETAIL = concat('Row ', queue_message.subject_id, ' of "', queue_message.subject_table, '".'), HINT = 'Enter one, or name it.';
    END IF;
    INSERT INTO crm.outbound_messages AS m (subject_table, subject_id, purpose, channel, address, template_id, data, due_at, expires_at, campaign_id,
        dedupe_key)
    VALUES (queue_message.subject_table, queue_message.subject_id, queue_message.purpose, queue_message.channel, found_address,
            crm.find_template(queue_message.template, queue_message.channel, queue_message.subject_table, queue_message.subject_id),
            queue_message.data, queue_message.due_at, queue_message.expires_at, queue_message.campaign_id, queue_message.dedupe_key)
    RETURNING m.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.queue_message(text, text, bigint, text, text, text, timestamptz, timestamptz, jsonb, bigint, text) IS
'Enters a message from a template for one person, to the address that is to be used first where none is named, in the person''s language. Returns it, queued '
'or, where the company diverts, suppressed with the reason. Errors: CR701 where the person may not get it or has no address, 42704 no such template, 23503 '
'no such purpose, 23505 a message with that dedupe_key.';
SELECT crm.declare_api('crm.queue_message', '{"template": "offer", "subject_table": "contacts", "subject_id": 1, "purpose": "marketing"}');

-- ---- links ----

-- security definer where it is called from: the key is nobody's to read
CREATE OR REPLACE FUNCTION crm_internal.link_token(tenant bigint, kind text, message_id bigint, n integer)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat(kind, message_id, '.', n, '.', crm.link_seal(k.key, concat_ws(':', kind, tenant, message_id, n)))
    FROM crm_internal.link_keys AS k WHERE k.tenant_id = tenant
$$;
COMMENT ON FUNCTION crm_internal.link_token(bigint, text, bigint, integer) IS
'Token of a link in a message. kind: u (leave), c (n-th link), o (opened), m (Message-ID).';

CREATE OR REPLACE FUNCTION crm_internal.message_of_token(tenant bigint, kind text, token text)
RETURNS TABLE (message_id bigint, n integer)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    said CONSTANT text[] := regexp_match(token, '^([a-z])(\d{1,18})\.(\d{1,4})\.[A-Za-z0-9_-]{22}$');
BEGIN
    -- the token of another company, another kind or another message is another token
    IF said[1] = kind AND token = crm_internal.link_token(tenant, kind, said[2]::bigint, said[3]::integer) THEN
        message_id := said[2]::bigint;
        n := said[3]::integer;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.message_of_token(bigint, text, text) IS 'What a token of a company says; no row where it is none.';

CREATE OR REPLACE FUNCTION crm_internal.message_of_header(tenant bigint, header text)
RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.message_id FROM crm_internal.message_of_token(tenant, 'm', (regexp_match(header, '^\s*<?([^@\s<>]+)@[^@\s<>]+>?\s*$'))[1]) AS t
$$;
COMMENT ON FUNCTION crm_internal.message_of_header(bigint, text) IS 'The message that a header Message-ID names; NULL where it is none of the company''s.';
