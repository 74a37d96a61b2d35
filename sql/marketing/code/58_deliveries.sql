-- What became of messages: told by servers, and by the links in them.

CREATE OR REPLACE FUNCTION crm_internal.note_delivery(
    tenant bigint, message_id bigint, kind text, provider text, provider_event_id text, hard boolean, link integer, url text, detail jsonb,
        occurred_at timestamptz)
RETURNS crm.delivery_events
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.delivery_events;
BEGIN
    INSERT INTO crm.delivery_events AS e (tenant_id, message_id, kind, provider, provider_event_id, hard, link, url, detail, occurred_at)
    VALUES (tenant, note_delivery.message_id, note_delivery.kind, note_delivery.provider, note_delivery.provider_event_id, note_delivery.hard,
            note_delivery.link, note_delivery.url, note_delivery.detail, note_delivery.occurred_at)
    ON CONFLICT ON CONSTRAINT delivery_events_provider_key DO NOTHING
    RETURNING e.* INTO made;
    IF NOT FOUND THEN
        SELECT e.* INTO made FROM crm.delivery_events AS e
        WHERE e.tenant_id = tenant AND e.provider = note_delivery.provider AND e.provider_event_id = note_delivery.provider_event_id;
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm_internal.note_delivery(bigint, bigint, text, text, text, boolean, integer, text, jsonb, timestamptz) IS
'Writes down what became of a message, once.';

CREATE OR REPLACE FUNCTION crm_internal.touch_of_message(m crm.outbound_messages, kind text, at timestamptz, object text, source_id text)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm.touches (tenant_id, kind, channel, campaign_id, lead_id, contact_id, touched_at, object, source_system, source_id)
    SELECT m.tenant_id, touch_of_message.kind, c.code, CASE WHEN NOT crm_internal.message_held_out(m) THEN m.campaign_id END,
           CASE m.subject_table WHEN 'leads' THEN m.subject_id END, CASE m.subject_table WHEN 'contacts' THEN m.subject_id END,
           touch_of_message.at, touch_of_message.object, 'crm.messages', touch_of_message.source_id
    FROM crm_internal.channel_of(m.tenant_id, ARRAY[m.channel], 'other') AS c (code)
    -- a person who is gone has no touches
    WHERE c.code IS NOT NULL AND CASE m.subject_table
        WHEN 'leads' THEN EXISTS (SELECT FROM crm.leads AS l WHERE l.tenant_id = m.tenant_id AND l.id = m.subject_id)
        ELSE EXISTS (SELECT FROM crm.contacts AS k WHERE k.tenant_id = m.tenant_id AND k.id = m.subject_id) END
    ON CONFLICT ON CONSTRAINT touches_source_key DO NOTHING
$$;
COMMENT ON FUNCTION crm_internal.touch_of_message(crm.outbound_messages, text, timestamptz, text, text) IS
'Writes down a message that went, or what became of it, as a touch.';

CREATE OR REPLACE FUNCTION crm_internal.follow_sent()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.touch_of_message(NEW, 'sent', NEW.sent_at, NEW.subject, 's' || NEW.id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_sent() IS 'Row trigger of crm.outbound_messages: a message that went is a touch.';
CREATE OR REPLACE TRIGGER outbound_messages_after_sent AFTER UPDATE ON crm.outbound_messages
    FOR EACH ROW WHEN (NEW.state = 'sent' AND OLD.state <> 'sent') EXECUTE FUNCTION crm_internal.follow_sent();

CREATE OR REPLACE FUNCTION crm_internal.follow_delivery()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.outbound_messages;
BEGIN
    SELECT o.* INTO m FROM crm.outbound_messages AS o WHERE o.tenant_id = NEW.tenant_id AND o.id = NEW.message_id;
    IF NEW.hard OR NEW.kind = 'complaint' THEN
        INSERT INTO crm.suppressions (tenant_id, channel, address_key, reason, source)
        SELECT NEW.tenant_id, m.channel, m.address_key, NEW.kind, NEW.provider WHERE m.address_key IS NOT NULL
        ON CONFLICT (tenant_id, channel, address_key, reason) WHERE lifted_at IS NULL DO NOTHING;
    ELSIF NEW.kind = 'unsubscribe' THEN
        INSERT INTO crm.consents (tenant_id, subject_table, subject_id, purpose, channel, state, source, address_key, stated_at)
        SELECT NEW.tenant_id, m.subject_table, m.subject_id, m.purpose, m.channel, 'withdrawn', NEW.provider, m.address_key, least(NEW.occurred_at, now())
        WHERE (crm_internal.last_consent(NEW.tenant_id, m.subject_table, m.subject_id, m.purpose, m.channel,
            NEW.occurred_at)).state IS DISTINCT FROM 'withdrawn';
    END IF;
    PERFORM crm_internal.touch_of_message(m, NEW.kind, NEW.occurred_at, NEW.url, 'd' || NEW.id);
    -- whoever answers, opens or complains has got it, whatever its sender knows
    IF m.state = 'uncertain' AND NEW.kind <> 'bounce' THEN
        UPDATE crm.outbound_messages AS o SET state = 'sent', sent_at = NEW.occurred_at, reason = NULL WHERE o.tenant_id = m.tenant_id AND o.id = m.id;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_delivery() IS
'Row trigger of crm.delivery_events: hard bounces and complaints suppress the address, who leaves has left, what was opened was sent; and each is a touch.';
CREATE OR REPLACE TRIGGER delivery_events_after_follow AFTER INSERT ON crm.delivery_events
    FOR EACH ROW EXECUTE FUNCTION crm_internal.follow_delivery();

CREATE OR REPLACE FUNCTION crm.record_delivery_event(
    provider text, provider_event_id text, kind text, message_id text, hard boolean DEFAULT false, occurred_at timestamptz DEFAULT now(),
    detail jsonb DEFAULT '{}')
RETURNS crm.delivery_events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    message CONSTANT bigint := crm_internal.message_of_header(t, record_delivery_event.message_id);
BEGIN
    IF coalesce(record_delivery_event.provider, '') = '' OR coalesce(record_delivery_event.provider_event_id,
        '') = '' OR record_delivery_event.provider = 'crm' THEN
        RAISE EXCEPTION 'an event has a provider and a name with it' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Told again under the same name it is the same event.';
    END IF;
    IF message IS NULL OR NOT EXISTS (SELECT FROM crm.outbound_messages AS m WHERE m.tenant_id = t AND m.id = message AND m.attempts > 0) THEN
        RAISE EXCEPTION 'no message of this company has Message-ID "%"', record_delivery_event.message_id USING ERRCODE = 'no_data_found',
            HINT = 'It is the one that crm.claim_messages() gave out.';
    END IF;
    PERFORM crm.because('record_delivery_event');
    RETURN crm_internal.note_delivery(t, message, record_delivery_event.kind, record_delivery_event.provider, record_delivery_event.provider_event_id,
        coalesce(record_delivery_event.hard, false), NULL, NULL, coalesce(record_delivery_event.detail, '{}'), coalesce(record_delivery_event.occurred_at,
            now()));
END
$$;
COMMENT ON FUNCTION crm.record_delivery_event(text, text, text, text, boolean, timestamptz, jsonb) IS
'Writes down what a server or service tells of a message, by its Message-ID: delivered, open, click, bounce (hard: the address does not exist), complaint, '
'reply or unsubscribe. Told again (same provider and provider_event_id) it is the event that is there. Hard bounces and complaints suppress the address, '
'unsubscribe withdraws consent for the purpose and channel of the message. Returns the event. Errors: P0002 no message of the company, 23514 an unknown '
'kind, 22023 no name.';
SELECT crm.declare_function('crm.record_delivery_event', 'admin');

-- security definer: whoever has the token may follow it, and see nothing else
CREATE OR REPLACE FUNCTION crm.follow_link(token text, as_of timestamptz DEFAULT now())
RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    said record;
    url text;
BEGIN
    SELECT k.* INTO said FROM crm_internal.message_of_token(t, 'c', token) AS k;
    SELECT m.links[said.n] INTO url FROM crm.outbound_messages AS m WHERE m.tenant_id = t AND m.id = said.message_id;
    IF url IS NULL THEN
        RAISE EXCEPTION 'this link is not known' USING ERRCODE = 'no_data_found';
    END IF;
    -- one click a minute: a browser asks for a page more than once
    PERFORM crm_internal.note_delivery(t, said.message_id, 'click', 'crm', concat('c', said.message_id, '.', said.n, '.',
        extract(epoch FROM date_trunc('minute', as_of))::bigint),
        false, said.n, url, '{}', as_of);
    RETURN url;
END
$$;
COMMENT ON FUNCTION crm.follow_link(text, timestamptz) IS
'Where a link of a message leads, which is written down as a click. What stands behind crm.sending_settings.link_base calls it for tokens that begin with c, '
'and sends the browser there. Whoever has the token may call it. Error P0002 for a token that is none, or another company''s.';
SELECT crm.declare_function('crm.follow_link', 'agent');

CREATE OR REPLACE FUNCTION crm.record_open(token text, as_of timestamptz DEFAULT now())
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    message bigint;
BEGIN
    SELECT k.message_id INTO message FROM crm_internal.message_of_token(t, 'o', token) AS k
    JOIN crm.outbound_messages AS m ON m.tenant_id = t AND m.id = k.message_id;
    IF message IS NULL THEN
        RETURN false;
    END IF;
    PERFORM crm_internal.note_delivery(t, message, 'open', 'crm', concat('o', message, '.', extract(epoch FROM date_trunc('minute', as_of))::bigint),
        false, NULL, NULL, '{}', as_of);
    RETURN true;
END
$$;
COMMENT ON FUNCTION crm.record_open(text, timestamptz) IS
'The picture of a message was fetched: a token that begins with o. Returns whether it is one of the company''s. Some programs for mail fetch pictures that '
'nobody looks at. Whoever has the token may call it.';
SELECT crm.declare_function('crm.record_open', 'agent');
