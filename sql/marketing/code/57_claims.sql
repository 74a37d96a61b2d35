-- Giving messages out to those who deliver them.
--
-- A sender takes some (claim), says of each that it begins (start), delivers it, and says how that went (sent, failed). What it
-- had not begun when it died is given out again; what it had begun is uncertain, since only the server it spoke to knows.

CREATE OR REPLACE FUNCTION crm_internal.quiet_until(tenant bigint, channel text, purpose text, needs_consent boolean, zone text, at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    local_time CONSTANT timestamp := at AT TIME ZONE zone;
    ends timestamp;
BEGIN
    SELECT max(w.ends) INTO ends
    FROM crm.quiet_hours AS q
    CROSS JOIN (VALUES (local_time::date - 1), (local_time::date)) AS d (day)
    CROSS JOIN LATERAL (SELECT d.day + q.begins AS begins, d.day + q.ends + CASE WHEN q.ends < q.begins THEN interval '1 day' ELSE '0' END AS ends) AS w
    WHERE q.tenant_id = tenant AND q.active AND (q.channel IS NULL OR q.channel = quiet_until.channel)
      AND (q.purpose = quiet_until.purpose OR q.purpose IS NULL AND needs_consent)
      AND (q.days IS NULL OR extract(isodow FROM d.day)::integer = ANY (q.days))
      AND local_time >= w.begins AND local_time < w.ends;
    -- where the clock is put back an hour comes twice
    RETURN greatest(ends AT TIME ZONE zone, CASE WHEN ends IS NOT NULL THEN at + interval '1 minute' END);
END
$$;
COMMENT ON FUNCTION crm_internal.quiet_until(bigint, text, text, boolean, text, timestamptz) IS 'When the quiet hours end that hold at an instant; '
'NULL: none hold.';

CREATE OR REPLACE FUNCTION crm_internal.limited_until(m crm.outbound_messages, needs_consent boolean, at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT max(x.free_at)
        FROM crm.sending_limits AS l
        CROSS JOIN LATERAL (
            SELECT coalesce(o.sent_at, at) + l.period AS free_at
            FROM crm.outbound_messages AS o
            WHERE o.tenant_id = m.tenant_id AND o.address_key = m.address_key AND o.id <> m.id
              AND o.purpose = ANY (CASE WHEN l.purpose IS NOT NULL THEN ARRAY[l.purpose]
                                        ELSE ARRAY(SELECT p.code FROM crm.message_purposes AS p WHERE p.tenant_id = m.tenant_id AND p.needs_consent) END)
              AND (l.channel IS NULL OR o.channel = l.channel)
              -- one that may be on its way counts
              AND o.state IN ('sending', 'uncertain', 'sent') AND (o.sent_at IS NULL OR o.sent_at > at - l.period)
            ORDER BY coalesce(o.sent_at, at) DESC OFFSET l.most - 1 LIMIT 1) AS x
        WHERE l.tenant_id = m.tenant_id AND l.active AND (l.channel IS NULL OR l.channel = m.channel)
          AND (l.purpose = m.purpose OR l.purpose IS NULL AND needs_consent));
END
$$;
COMMENT ON FUNCTION crm_internal.limited_until(crm.outbound_messages, boolean, timestamptz) IS
'When an address may get one more message by the limits; NULL: now.';

CREATE OR REPLACE FUNCTION crm_internal.renew_claims(tenant bigint, as_of timestamptz)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH lapsed AS MATERIALIZED (
        SELECT m.id FROM crm.outbound_messages AS m
        WHERE m.tenant_id = tenant AND m.state = 'sending' AND m.claimed_until <= as_of
        ORDER BY m.claimed_until LIMIT 1000 FOR UPDATE SKIP LOCKED)
    UPDATE crm.outbound_messages AS m
    SET state = CASE WHEN m.started_at IS NULL THEN 'queued' ELSE 'uncertain' END,
        reason = CASE WHEN m.started_at IS NOT NULL THEN 'the sender was lost while it delivered' END
    FROM lapsed WHERE m.tenant_id = tenant AND m.id = lapsed.id
$$;
COMMENT ON FUNCTION crm_internal.renew_claims(bigint, timestamptz) IS 'Takes messages back from senders that were not heard of in time.';

CREATE OR REPLACE FUNCTION crm_internal.message_held_out(m crm.outbound_messages)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_internal.holds_out(m.tenant_id, m.campaign_id, CASE m.subject_table WHEN 'leads' THEN m.subject_id END,
        CASE m.subject_table WHEN 'contacts' THEN m.subject_id END,
        CASE m.subject_table WHEN 'contacts' THEN (SELECT k.account_id FROM crm.contacts AS k WHERE k.tenant_id = m.tenant_id AND k.id = m.subject_id)
                             ELSE (SELECT l.account_id FROM crm.leads AS l WHERE l.tenant_id = m.tenant_id AND l.id = m.subject_id) END);
END
$$;
COMMENT ON FUNCTION crm_internal.message_held_out(crm.outbound_messages) IS 'Whether the campaign of a message leaves its person alone.';

-- One message for a sender: what it says, or why it does not go. NULL in state: it waits.
CREATE OR REPLACE FUNCTION crm_internal.prepare_message(m crm.outbound_messages, as_of timestamptz)
RETURNS crm.outbound_messages
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    settings crm.sending_settings;
    answer crm.contact_answer;
    needs boolean;
    zone text;
    until timestamptz;
    made record;
BEGIN
    SELECT s.* INTO settings FROM crm.sending_settings AS s WHERE s.tenant_id = m.tenant_id;
    SELECT p.needs_consent INTO needs FROM crm.message_purposes AS p WHERE p.tenant_id = m.tenant_id AND p.code = m.purpose;
    answer := crm.contact_decision(m.tenant_id, m.subject_table, m.subject_id, m.purpose, m.channel, m.address_key, NULL);
    IF m.subject_table = 'contacts' THEN
        SELECT coalesce(c.time_zone, x.time_zone) INTO zone FROM crm.contacts AS c JOIN crm.tenants AS x USING (tenant_id)
        WHERE c.tenant_id = m.tenant_id AND c.id = m.subject_id;
    ELSE
        SELECT x.time_zone INTO zone FROM crm.leads AS l JOIN crm.tenants AS x USING (tenant_id) WHERE l.tenant_id = m.tenant_id AND l.id = m.subject_id;
    END IF;
    IF NOT FOUND THEN
        m.reason := 'person is gone';
    ELSIF NOT answer.allowed THEN
        m.reason := answer.reason;
    ELSIF m.expires_at < as_of THEN
        m.reason := 'expired';
    ELSIF m.campaign_id IS NOT NULL AND crm_internal.message_held_out(m) THEN
        m.reason := 'held out of the campaign';
    ELSE
        m.reason := NULL;
    END IF;
    IF m.reason IS NOT NULL THEN
        m.state := 'suppressed';
        RETURN m;
    END IF;
    m.consent_id := answer.consent_id;
    BEGIN
        until := crm_internal.quiet_until(m.tenant_id, m.channel, m.purpose, needs, zone, as_of);
    EXCEPTION WHEN invalid_parameter_value THEN
        -- a zone that nobody knows is as none
        SELECT crm_internal.quiet_until(m.tenant_id, m.channel, m.purpose, needs, x.time_zone, as_of) INTO until
        FROM crm.tenants AS x WHERE x.tenant_id = m.tenant_id;
    END;
    IF until IS NULL AND EXISTS (SELECT FROM crm.sending_limits AS l WHERE l.tenant_id = m.tenant_id AND l.active) THEN
        -- two senders must not count at once for one address
        IF NOT crm.try_lock('messages to an address', m.tenant_id, m.channel || ':' || m.address_key, false) THEN
            m.state := NULL;
            RETURN m;
        END IF;
        until := crm_internal.limited_until(m, needs, as_of);
    END IF;
    IF until IS NOT NULL THEN
        m.due_at := until;
        m.state := NULL;
        RETURN m;
    END IF;
    IF m.channel = 'email' AND settings.from_address IS NULL THEN
        m.reason := 'crm.sending_settings.from_address is not set';
    ELSIF m.channel = 'email' AND needs AND settings.link_base IS NULL THEN
        m.reason := 'crm.sending_settings.link_base is not set: nobody could leave';
    ELSIF m.template_id IS NOT NULL AND m.body IS NULL THEN
        BEGIN
            SELECT r.* INTO made FROM crm.render_template(m.template_id, m.subject_table, m.subject_id, m.data) AS r;
            m.subject := made.subject;
            m.body := made.body;
            m.format := made.format;
            m.language := made.language;
            m.links := made.links;
        EXCEPTION WHEN SQLSTATE 'CR702' OR data_exception OR no_data_found THEN
            GET STACKED DIAGNOSTICS m.reason = PG_EXCEPTION_DETAIL;
            m.reason := concat_ws(': ', SQLERRM, nullif(m.reason, ''));
        END;
    END IF;
    m.state := CASE WHEN m.reason IS NULL THEN 'sending' ELSE 'failed' END;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm_internal.prepare_message(crm.outbound_messages, timestamptz) IS
'A message as it is given to a sender: state sending, or suppressed or failed with the reason, or NULL where it waits until due_at.';

CREATE OR REPLACE FUNCTION crm_internal.filled_body(m crm.outbound_messages, settings crm.sending_settings)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    body text := m.body;
    url text;
BEGIN
    FOR i IN 1 .. cardinality(m.links) LOOP
        url := CASE WHEN settings.link_base IS NOT NULL AND settings.track_links
                    THEN settings.link_base || crm_internal.link_token(m.tenant_id, 'c', m.id, i) ELSE m.links[i] END;
        body := replace(body, '{{link:' || i || '}}', CASE m.format WHEN 'html' THEN replace(replace(url, '&', '&amp;'), '"', '&quot;') ELSE url END);
    END LOOP;
    body := replace(body, '{{unsubscribe_url}}', coalesce(settings.link_base || crm_internal.link_token(m.tenant_id, 'u', m.id, 0), ''));
    IF m.format = 'html' AND settings.track_opens AND settings.link_base IS NOT NULL THEN
        url := concat('<img src="', settings.link_base, crm_internal.link_token(m.tenant_id, 'o', m.id, 0), '" width="1" height="1" alt="">');
        body := CASE WHEN body ~* '</body>' THEN regexp_replace(body, '</body>', url || '</body>', 'i') ELSE body || url END;
    END IF;
    RETURN body;
END
$$;
COMMENT ON FUNCTION crm_internal.filled_body(crm.outbound_messages, crm.sending_settings) IS 'The body of a message with its links.';

CREATE OR REPLACE FUNCTION crm.claim_messages(
    sender text, batch integer DEFAULT 100, lease interval DEFAULT '5 minutes', channels text[] DEFAULT NULL, uncertain boolean DEFAULT false,
    as_of timestamptz DEFAULT now())
RETURNS TABLE (id bigint, attempt integer, maybe_sent boolean, message_id text, channel text, address text, from_address text, reply_to text, subject text,
               body text, format text, language text, direction text, headers jsonb, claimed_until timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    settings crm.sending_settings;
    m crm.outbound_messages;
    p crm.outbound_messages;
    given integer := 0;
    seen integer := 0;
    left_alone bigint[] := '{}';
    token text;
BEGIN
    IF coalesce(sender, '') = '' OR batch NOT BETWEEN 1 AND 10000 OR lease <= '0' THEN
        RAISE EXCEPTION 'a sender has a name, takes 1 to 10000 messages and keeps them for some time' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM crm_internal.renew_claims(t, as_of);
    SELECT s.* INTO settings FROM crm.sending_settings AS s WHERE s.tenant_id = t;
    LOOP
        -- one at a time: what is looked at and not given stays free for others
        EXIT WHEN given = batch OR seen = batch * 10 + 100;
        SELECT o.* INTO m FROM crm.outbound_messages AS o
        WHERE o.tenant_id = t AND (o.state = 'queued' AND o.due_at <= as_of OR claim_messages.uncertain AND o.state = 'uncertain')
          AND (channels IS NULL OR o.channel = ANY (channels)) AND o.id <> ALL (left_alone)
        ORDER BY o.due_at, o.id LIMIT 1 FOR UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        seen := seen + 1;
        p := m;
        IF m.state = 'queued' THEN
            p := crm_internal.prepare_message(m, as_of);
        ELSE
            p.state := 'sending';
        END IF;
        -- for whom this address is being counted takes it next time
        IF p.state IS NULL AND p.due_at = m.due_at THEN
            left_alone := left_alone || m.id;
            CONTINUE;
        END IF;
        UPDATE crm.outbound_messages AS o
        SET state = coalesce(p.state, 'queued'), reason = p.reason, due_at = p.due_at, consent_id = p.consent_id, subject = p.subject, body = p.body,
            format = p.format, language = p.language, links = p.links, failed_at = CASE WHEN p.state = 'failed' THEN as_of END,
            claimed_by = CASE WHEN p.state = 'sending' THEN sender ELSE o.claimed_by END,
            claimed_until = CASE WHEN p.state = 'sending' THEN as_of + lease ELSE o.claimed_until END,
            attempts = o.attempts + CASE WHEN p.state = 'sending' THEN 1 ELSE 0 END
        WHERE o.tenant_id = t AND o.id = m.id
        RETURNING o.* INTO p;
        CONTINUE WHEN p.state <> 'sending';
        given := given + 1;
        token := settings.link_base || crm_internal.link_token(t, 'u', p.id, 0);
        RETURN QUERY SELECT p.id, p.attempts, m.state = 'uncertain',
            concat('<', crm_internal.link_token(t, 'm', p.id, 0), '@', coalesce(split_part(settings.from_address, '@', 2), 'localhost'), '>'),
            p.channel, p.address, settings.from_address, settings.reply_to, p.subject, crm_internal.filled_body(p, settings), p.format, p.language,
            CASE WHEN crm.reads_right_to_left(p.language) THEN 'rtl' ELSE 'ltr' END,
            CASE WHEN p.channel = 'email' AND token IS NOT NULL
                 THEN jsonb_build_object('List-Unsubscribe', '<' || token || '>', 'List-Unsubscribe-Post', 'List-Unsubscribe=One-Click') ELSE '{}' END,
            p.claimed_until;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.claim_messages(text, integer, interval, text[], boolean, timestamptz) IS
'Gives a sender the next messages that are due, the oldest first, and keeps them from others for the time of the lease; any number of senders at once. Each '
'is judged again: one that its person may not get any more becomes suppressed, one in quiet hours or over a limit waits. uncertain: also those that a sender '
'was delivering when it was lost (maybe_sent), for a sender that can ask its server whether it has the message_id. Commit, then for each: '
'crm.start_message(), deliver, crm.message_sent() or crm.message_failed(). Error 22023 for parameters that cannot be.';
SELECT crm.declare_function('crm.claim_messages', 'admin');

CREATE OR REPLACE FUNCTION crm_internal.claimed_message(message_id bigint)
RETURNS crm.outbound_messages
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.outbound_messages;
BEGIN
    SELECT o.* INTO m FROM crm.outbound_messages AS o WHERE o.tenant_id = crm.tenant_id() AND o.id = message_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no message %', message_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm_internal.claimed_message(bigint) IS 'A message of the company, locked. Error P0002 where there is none.';

CREATE OR REPLACE FUNCTION crm.start_message(message_id bigint, attempt integer, lease interval DEFAULT '5 minutes', as_of timestamptz DEFAULT now())
RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.outbound_messages := crm_internal.claimed_message(message_id);
    answer crm.contact_answer;
BEGIN
    IF m.state <> 'sending' OR m.attempts <> attempt OR m.claimed_until <= as_of THEN
        RETURN false;
    END IF;
    answer := crm.contact_decision(m.tenant_id, m.subject_table, m.subject_id, m.purpose, m.channel, m.address_key, NULL);
    UPDATE crm.outbound_messages AS o
    SET started_at = CASE WHEN answer.allowed THEN as_of ELSE o.started_at END, claimed_until = greatest(o.claimed_until, as_of + lease),
        state = CASE WHEN answer.allowed THEN 'sending' ELSE 'suppressed' END, reason = CASE WHEN NOT answer.allowed THEN answer.reason END
    WHERE o.tenant_id = m.tenant_id AND o.id = m.id;
    RETURN answer.allowed;
END
$$;
COMMENT ON FUNCTION crm.start_message(bigint, integer, interval, timestamptz) IS
'Asked just before a message goes: true, it is the caller''s to deliver now. False, leave it: the claim has lapsed or another has it, or the person has left '
'meanwhile. Commit before you deliver. Error P0002 no such message.';
SELECT crm.declare_function('crm.start_message', 'admin');

CREATE OR REPLACE FUNCTION crm.message_sent(message_id bigint, provider_id text DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS crm.outbound_messages
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.outbound_messages := crm_internal.claimed_message(message_id);
BEGIN
    IF m.state = 'sent' THEN
        RETURN m;
    END IF;
    IF m.state NOT IN ('sending', 'uncertain') OR m.started_at IS NULL THEN
        RAISE EXCEPTION 'message % was not given to a sender that began to deliver it', message_id USING ERRCODE = 'object_not_in_prerequisite_state',
            DETAIL = 'It is ' || m.state || '.', HINT = 'Deliver what crm.start_message() said true to, and nothing else.';
    END IF;
    UPDATE crm.outbound_messages AS o
    SET state = 'sent', sent_at = as_of, reason = NULL, provider_id = coalesce(message_sent.provider_id, o.provider_id)
    WHERE o.tenant_id = m.tenant_id AND o.id = m.id RETURNING o.* INTO m;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.message_sent(bigint, text, timestamptz) IS
'The server took a message, also one that had become uncertain. Harmless the second time. Returns it. Errors: P0002 no such message, 55000 one that was not '
'begun.';
SELECT crm.declare_function('crm.message_sent', 'admin');

CREATE OR REPLACE FUNCTION crm.message_failed(
    message_id bigint, attempt integer, error text, permanent boolean DEFAULT false, uncertain boolean DEFAULT false, retry_after interval DEFAULT NULL,
    as_of timestamptz DEFAULT now())
RETURNS crm.outbound_messages
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.outbound_messages := crm_internal.claimed_message(message_id);
    settings crm.sending_settings;
    most integer;   -- tries, and as many again each time that somebody queues it again
BEGIN
    -- what another sender has is that one's to speak of
    IF m.state NOT IN ('sending', 'uncertain') OR m.attempts <> attempt THEN
        RETURN m;
    END IF;
    SELECT s.* INTO settings FROM crm.sending_settings AS s WHERE s.tenant_id = m.tenant_id;
    most := coalesce(settings.most_attempts, 8);
    IF uncertain THEN
        UPDATE crm.outbound_messages AS o SET state = 'uncertain', reason = left(error, 1000)
        WHERE o.tenant_id = m.tenant_id AND o.id = m.id AND o.state = 'sending' RETURNING o.* INTO m;
    ELSIF permanent OR m.attempts % most = 0 THEN
        UPDATE crm.outbound_messages AS o SET state = 'failed', failed_at = as_of, reason = left(error, 1000)
        WHERE o.tenant_id = m.tenant_id AND o.id = m.id RETURNING o.* INTO m;
    ELSE
        UPDATE crm.outbound_messages AS o
        SET state = 'queued', started_at = NULL, reason = left(error, 1000),
            due_at = as_of + coalesce(retry_after, least(coalesce(settings.first_retry, interval '5 minutes') * 2 ^ least((o.attempts - 1) % most, 20),
                interval '1 day'))
        WHERE o.tenant_id = m.tenant_id AND o.id = m.id RETURNING o.* INTO m;
    END IF;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.message_failed(bigint, integer, text, boolean, boolean, interval, timestamptz) IS
'A message was not taken: it is tried again after retry_after, else after crm.sending_settings.first_retry, doubled each time; given up where it is '
'permanent or was tried often enough; or uncertain, where the connection broke after the server had all of it. Says nothing where another sender has it by '
'now. Returns it. Error P0002 no such message.';
SELECT crm.declare_function('crm.message_failed', 'admin');

CREATE OR REPLACE FUNCTION crm.retry_message(message_id bigint, due_at timestamptz DEFAULT now())
RETURNS crm.outbound_messages
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed crm.outbound_messages;
BEGIN
    UPDATE crm.outbound_messages AS m
    SET state = 'queued', started_at = NULL, failed_at = NULL, reason = NULL, due_at = retry_message.due_at,
        subject = CASE WHEN m.template_id IS NULL THEN m.subject END, body = CASE WHEN m.template_id IS NULL THEN m.body END
    WHERE m.tenant_id = crm.tenant_id() AND m.id = message_id AND m.state IN ('failed', 'suppressed', 'cancelled', 'uncertain') RETURNING m.* INTO changed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no message % that was given up, kept back or called off', message_id USING ERRCODE = 'no_data_found',
            HINT = 'Name one that you see and that is failed, suppressed, cancelled or uncertain.';
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION crm.retry_message(bigint, timestamptz) IS
'Queues a message again that was given up, kept back or called off; a template is filled in anew. One that is uncertain only the owner queues again: it may '
'go twice. Errors: P0002 no such message, CR701 where the person may not get it, 55000 where the caller may not.';

CREATE OR REPLACE FUNCTION crm.cancel_message(message_id bigint)
RETURNS crm.outbound_messages
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed crm.outbound_messages;
BEGIN
    UPDATE crm.outbound_messages AS m SET state = 'cancelled'
    WHERE m.tenant_id = crm.tenant_id() AND m.id = message_id AND m.state IN ('queued', 'failed', 'suppressed') RETURNING m.* INTO changed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no message % that could still be called off', message_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION crm.cancel_message(bigint) IS 'Calls off a message that no sender has yet. Returns it. Error P0002 where there is none of that number.';
