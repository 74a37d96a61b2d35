-- What comes in from mailboxes, chats and telephones: who wrote it, and the ticket it belongs to.
-- Functions here are PL/pgSQL, because each message asks them: a SQL function with a path of its own is parsed and planned
-- anew by every statement that calls it.

CREATE OR REPLACE FUNCTION crm.message_sender_in(channel text, from_address text, ticket_id bigint)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    address_kind CONSTANT text := CASE channel WHEN 'mail' THEN 'email' WHEN 'phone' THEN 'phone' END;
    address CONSTANT text := CASE WHEN address_kind IS NULL THEN crm.fold_text(from_address)
                                  ELSE crm.contact_point_key(address_kind, from_address) END;
    -- as in "Mina Karimi <office@example.com>"
    display CONSTANT text := crm.name_key(btrim(substring(from_address FROM '^(.*)<[^<]*>\s*$'), E' "\''));
BEGIN
    -- an address of several people: whoever has to do with the ticket, else who signs so
    RETURN (SELECT c.id
            FROM crm.contact_points AS p
            JOIN crm.contacts AS c ON c.tenant_id = p.tenant_id AND c.id = p.contact_id
            LEFT JOIN crm.tickets AS k ON k.tenant_id = t AND k.id = message_sender_in.ticket_id
            WHERE p.tenant_id = t AND p.value_key = address
              AND (address_kind IS NULL OR p.kind = address_kind OR address_kind = 'phone' AND p.kind = 'mobile')
            ORDER BY coalesce(c.id = k.contact_id, false) DESC,
                     EXISTS (SELECT FROM crm.ticket_messages AS m WHERE m.tenant_id = t AND m.ticket_id = k.id AND m.author_contact_id = c.id) DESC,
                     coalesce(c.name_key = display, false) DESC, coalesce(c.account_id = k.account_id, false) DESC, p.id
            LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm.message_sender_in(text, text, bigint) IS
'The contact with an address, as a channel gives it. Of several: the one of the ticket, else one who has written in it, '
'else whose name stands before the address, else one of the ticket''s account, else the oldest. NULL: nobody is known by it.';

CREATE OR REPLACE FUNCTION crm.message_sender(channel text, from_address text)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.message_sender_in(channel, from_address, NULL);
END
$$;
COMMENT ON FUNCTION crm.message_sender(text, text) IS
'The contact with an address, as a channel gives it; of several the one whose name stands before the address, else the oldest. NULL: nobody is known by it.';

CREATE OR REPLACE FUNCTION crm.message_agent(channel text, from_address text)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    address CONSTANT text := CASE channel WHEN 'mail' THEN crm.normalize_email(from_address) END;
BEGIN
    IF address IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT u.id FROM crm.users AS u
            WHERE u.tenant_id = t AND u.active AND u.email_key = address);
END
$$;
COMMENT ON FUNCTION crm.message_agent(text, text) IS 'The active user with an e-mail address; NULL: it is nobody''s who works here.';

-- Header lines of mails are written in any case, and what is not known of them says nothing.
CREATE OR REPLACE FUNCTION crm.mail_header_lines(headers jsonb)
RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF headers = '{}' OR jsonb_typeof(headers) IS DISTINCT FROM 'object' THEN
        RETURN '{}';
    END IF;
    RETURN (SELECT jsonb_object_agg(l.name, btrim(l.line)) FROM (
                SELECT lower(h.key) AS name,
                       string_agg(CASE jsonb_typeof(h.value) WHEN 'array' THEN (SELECT string_agg(v, ' ') FROM jsonb_array_elements_text(h.value) AS v)
                                                             ELSE h.value #>> '{}' END, ' ') AS line
                FROM jsonb_each(headers) AS h GROUP BY lower(h.key)) AS l);
END
$$;
COMMENT ON FUNCTION crm.mail_header_lines(jsonb) IS 'The header lines of a mail, {name in small letters: text}, so that they are gone through once.';

CREATE OR REPLACE FUNCTION crm.mail_header(headers jsonb, name text)
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.mail_header_lines(headers) ->> name;
END
$$;
COMMENT ON FUNCTION crm.mail_header(jsonb, text) IS 'A header line of a mail, by its name in small letters; NULL: it is not there.';

CREATE OR REPLACE FUNCTION crm.automatic_mail(from_address text, subject text DEFAULT NULL, headers jsonb DEFAULT '{}')
RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    lines CONSTANT jsonb := crm.mail_header_lines(headers);
BEGIN
    RETURN CASE
        WHEN lines ->> 'auto-submitted' !~* '^no\M' THEN 'auto-submitted'
        WHEN lines ->> 'precedence' ~* '^(bulk|junk|list|auto_reply)$' THEN 'precedence'
        WHEN lines ->> 'return-path' ~ '^<?\s*>?$' OR from_address ~ '^\s*(<\s*>)?\s*$' THEN 'null sender'
        WHEN from_address ~* '(^|[<\s"''(])(mailer-daemon|postmaster|mail-daemon|mailerdaemon)(@|[>\s"'')]|$)' THEN 'mailer-daemon'
        WHEN lines ->> 'content-type' ~* 'report-type\s*=\s*"?(delivery-status|disposition-notification)' THEN 'delivery report'
        WHEN lines ->> 'x-failed-recipients' IS NOT NULL THEN 'delivery report'
        WHEN lines ->> 'x-auto-response-suppress' ~* '\mall\M' THEN 'auto-reply'
        -- what programs write into headlines, whole or before a colon, in the languages they write it in
        WHEN subject ~* '^\s*(delivery status notification \((failure|delay)\)|undelivered mail returned to sender|'
                        'mail delivery (failed: returning message to sender|subsystem|failure)|failure notice|undeliverable:.*|'
                        'returned mail: see transcript for details)\s*$' THEN 'delivery report'
        WHEN subject ~* '^\s*(automatic reply|auto(-|\s)?reply|out of (the )?office( reply)?|automatische antwort|abwesenheitsnotiz|'
                        'réponse automatique|respuesta automática|risposta automatica|автоответ|автоматический ответ|'
                        'پاسخ خودکار)\s*:' THEN 'auto-reply'
        WHEN coalesce(lines ->> 'x-autoreply', lines ->> 'x-autorespond', lines ->> 'x-auto-reply') !~* '^no$' THEN 'auto-reply' END;
END
$$;
COMMENT ON FUNCTION crm.automatic_mail(text, text, jsonb) IS
'Why a mail is taken for one that a machine wrote: auto-submitted, precedence (bulk, junk, list), null sender, mailer-daemon, delivery report, '
'auto-reply; headlines count that programs alone write, such as "Automatic reply: ...". NULL: somebody wrote it. '
'headers: {name: value}, names in any case. An address that is NULL is not known, an empty one is the null sender.';

CREATE OR REPLACE FUNCTION crm.message_ids(ids text)
RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF ids IS NULL OR ids = '' THEN
        RETURN NULL;
    END IF;
    -- as they are, and with and without brackets; the last one of a list is the nearest
    RETURN (SELECT array_agg(v.id ORDER BY t.n DESC, v.id)
            FROM (SELECT x.id, x.n FROM regexp_split_to_table(btrim(ids, E' \t\r\n,'), E'[\\s,]+|(?<=>)(?=<)') WITH ORDINALITY AS x (id, n)
                  UNION ALL SELECT ids, 0) AS t
            CROSS JOIN LATERAL (SELECT DISTINCT w FROM unnest(ARRAY[t.id, btrim(t.id, '<>'), '<' || btrim(t.id, '<>') || '>']) AS w) AS v (id)
            WHERE v.id NOT IN ('', '<>'));
END
$$;
COMMENT ON FUNCTION crm.message_ids(text) IS 'Ids of messages in a line such as References of a mail, the nearest first.';

CREATE OR REPLACE FUNCTION crm.message_ticket(
    channel text, sender_id bigint, from_address text, subject text, thread_id text, in_reply_to text, agent_id bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ids CONSTANT text[] := crm.message_ids(in_reply_to);
    ticket bigint;
BEGIN
    -- the message it answers, else its conversation, else the number in the headline
    IF ids IS NOT NULL THEN
        SELECT m.ticket_id INTO ticket FROM crm.ticket_messages AS m
        WHERE m.tenant_id = t AND m.channel = message_ticket.channel AND m.external_id = ANY (ids)
        ORDER BY array_position(ids, m.external_id) LIMIT 1;
    END IF;
    IF ticket IS NULL AND message_ticket.thread_id IS NOT NULL THEN
        -- two messages of a new conversation at once
        PERFORM crm.lock_own('receive_message', t, message_ticket.channel || '.' || message_ticket.thread_id);
        SELECT m.ticket_id INTO ticket FROM crm.ticket_messages AS m
        WHERE m.tenant_id = t AND m.channel = message_ticket.channel AND m.thread_id = message_ticket.thread_id
        ORDER BY m.id DESC LIMIT 1;
    END IF;
    IF ticket IS NULL AND message_ticket.subject ~ '\[#[0-9]{1,18}\]' THEN
        -- only from somebody who has to do with the ticket: numbers can be guessed
        SELECT k.id INTO ticket FROM crm.tickets AS k
        WHERE k.tenant_id = t AND k.id = substring(message_ticket.subject FROM '\[#([0-9]{1,18})\]')::bigint
          AND (k.contact_id = crm.message_sender_in(message_ticket.channel, message_ticket.from_address, k.id) OR agent_id IS NOT NULL
               OR EXISTS (SELECT FROM crm.ticket_followers AS f
                          WHERE f.tenant_id = t AND f.ticket_id = k.id AND f.contact_id = sender_id)
               OR EXISTS (SELECT FROM crm.ticket_messages AS m
                          WHERE m.tenant_id = t AND m.ticket_id = k.id AND m.direction = 'in'
                            AND crm.fold_text(m.author_address) = crm.fold_text(message_ticket.from_address)));
    END IF;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.message_ticket(text, bigint, text, text, text, text, bigint) IS
'The ticket an incoming message belongs to: that of the message it answers (in_reply_to: an id, or a list as in References, the nearest last), '
'else of its conversation, else [#number] in the headline if the '
'sender has to do with that ticket or works here. NULL: a new one is to be opened. '
'Until the end of the transaction nobody else decides it for the conversation.';

CREATE OR REPLACE FUNCTION crm.queue_in_use(code text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
BEGIN
    IF code IS NOT NULL AND EXISTS (SELECT FROM crm.queues AS q WHERE q.tenant_id = t AND q.code = queue_in_use.code AND NOT q.active) THEN
        RETURN (SELECT q.code FROM crm.queues AS q WHERE q.tenant_id = t AND q.id = crm.default_queue());
    END IF;
    RETURN code;
END
$$;
COMMENT ON FUNCTION crm.queue_in_use(text) IS 'The queue of a code, or the default queue where that one is off.';

-- security definer: what comes in is kept although the company asks more of a ticket than a mail can say
CREATE OR REPLACE FUNCTION crm.open_received_ticket(subject text, description text, channel text, contact_id bigint, queue text, columns jsonb)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    made crm.tickets;
    -- where no queue is in use it waits where it was meant to go, and that is said
    into_off CONSTANT bigint := (SELECT q.id FROM crm.queues AS q
                                 WHERE q.tenant_id = t AND q.code = open_received_ticket.queue AND NOT q.active AND crm.queue_that_goes_on(t, q.id) = q.id);
BEGIN
    PERFORM crm.keep_incomplete();
    IF into_off IS NULL THEN
        RETURN crm.open_ticket(subject, description, channel, contact_id, queue => crm.queue_in_use(open_received_ticket.queue), route => false,
                               columns => open_received_ticket.columns);
    END IF;
    made := crm.open_ticket(subject, description, channel, contact_id, route => false,
                            columns => jsonb_build_object('queue_id', into_off) || open_received_ticket.columns);
    PERFORM crm.note_message_event('message.queue_off', made.id, jsonb_build_object('queue', open_received_ticket.queue));
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.open_received_ticket(text, text, text, bigint, text, jsonb) IS
'crm.open_ticket() of crm.receive_message(): required fields that a message cannot fill leave the ticket incomplete '
'(crm_analytics.incomplete_records), and lose nothing; a queue that is off is replaced by the default one, where there is one. '
'Not given to anybody yet. Errors as crm.open_ticket.';
SELECT crm.declare_function('crm.open_received_ticket', 'agent');

CREATE OR REPLACE FUNCTION crm.receive_message(
    channel text,
    body text,
    from_address text DEFAULT NULL,
    subject text DEFAULT NULL,
    external_id text DEFAULT NULL,
    thread_id text DEFAULT NULL,
    in_reply_to text DEFAULT NULL,
    queue text DEFAULT NULL,
    automatic boolean DEFAULT false,
    attachments jsonb DEFAULT '[]',
    sent_at timestamptz DEFAULT now(),
    columns jsonb DEFAULT '{}',
    headers jsonb DEFAULT '{}')
RETURNS crm.ticket_messages
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    made crm.ticket_messages;
    ticket bigint;
    opened crm.tickets;
    sender bigint;
    agent bigint;
    machine CONSTANT text := CASE WHEN receive_message.automatic THEN 'automatic'
                                  WHEN receive_message.channel = 'mail' THEN
                                      crm.automatic_mail(receive_message.from_address, receive_message.subject, receive_message.headers) END;
    lines CONSTANT jsonb := crm.mail_header_lines(receive_message.headers);
    kind text := CASE WHEN machine IS NULL THEN 'customer' ELSE 'automatic' END;
    fresh boolean := false;
BEGIN
    PERFORM crm.because('receive_message');
    -- the same message from two mail collectors at once
    IF receive_message.external_id IS NOT NULL THEN
        PERFORM crm.lock_own('receive_message', t, receive_message.channel || '.' || receive_message.external_id);
        SELECT m.* INTO made FROM crm.ticket_messages AS m
        WHERE m.tenant_id = t AND m.channel = receive_message.channel AND m.external_id = receive_message.external_id;
        IF FOUND THEN
            RETURN made;
        END IF;
    END IF;

    sender := crm.message_sender(receive_message.channel, receive_message.from_address);
    agent := crm.message_agent(receive_message.channel, receive_message.from_address);
    ticket := crm.message_ticket(receive_message.channel, sender, receive_message.from_address, receive_message.subject, receive_message.thread_id,
                                 concat_ws(' ', lines ->> 'references', lines ->> 'in-reply-to', receive_message.in_reply_to), agent);
    sender := crm.message_sender_in(receive_message.channel, receive_message.from_address, ticket);
    IF ticket IS NULL AND machine IS NOT NULL THEN
        -- nobody waits for an answer to it; whoever wants to know reads the outbox
        PERFORM crm.note_message_event('message.ignored', NULL, jsonb_build_object('channel', receive_message.channel,
            'from_address', receive_message.from_address, 'subject', receive_message.subject, 'external_id', receive_message.external_id, 'reason', machine));
        RETURN made;
    END IF;
    -- who works here and is not the asker answers
    IF ticket IS NOT NULL AND machine IS NULL AND agent IS NOT NULL
       AND NOT EXISTS (SELECT FROM crm.tickets AS k WHERE k.tenant_id = t AND k.id = ticket AND k.contact_id = sender) THEN
        kind := 'agent';
    END IF;
    IF ticket IS NULL THEN
        fresh := true;
        opened := crm.open_received_ticket(coalesce(nullif(btrim(receive_message.subject), ''), left(btrim(receive_message.body), 80), '-'),
                                           receive_message.body, receive_message.channel, sender, receive_message.queue, receive_message.columns);
        ticket := opened.id;
    END IF;
    made := crm.add_ticket_message(
        ticket_id => ticket, body => receive_message.body, direction => CASE kind WHEN 'agent' THEN 'out' ELSE 'in' END,
        channel => receive_message.channel, author_kind => kind, author_user_id => CASE WHEN machine IS NULL THEN agent END,
        author_contact_id => CASE WHEN kind <> 'agent' THEN sender END,
        author_address => receive_message.from_address, subject => receive_message.subject,
        external_id => receive_message.external_id, thread_id => receive_message.thread_id,
        in_reply_to => coalesce(receive_message.in_reply_to, lines ->> 'in-reply-to'),
        attachments => receive_message.attachments,
        sent_at => crm.message_time(receive_message.sent_at, t, CASE kind WHEN 'agent' THEN ticket END));
    IF fresh THEN
        PERFORM crm.route_ticket(ticket);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.receive_message(text, text, text, text, text, text, text, text, boolean, jsonb, timestamptz, jsonb, jsonb) IS
'What a mailbox, chat or telephone gateway calls for each incoming message: stores it once (external_id), finds the ticket by the messages it answers '
'(in_reply_to: one id, or several as in References), its conversation or [#number] in the headline from somebody known to the ticket, and opens a '
'ticket otherwise, in the default queue where the one named is off (crm.default_queue()); where none is in use it waits in the one named, and an event '
'message.queue_off says so. The author is the contact or, in a ticket of somebody else, '
'the user with the address; a stranger''s message is nobody''s. What a machine wrote (automatic, or by crm.automatic_mail() with the headers of the mail) '
'is kept where it belongs to a ticket, but neither reopens one nor counts as an answer; otherwise it opens nothing: the result is NULL, and an event '
'message.ignored is written. headers: {name: value}; References and In-Reply-To among them are used. columns: of the ticket that is opened, as for '
'crm.open_ticket(). Returns the message. Errors: 42704 for an unknown queue.';
SELECT crm.declare_api('crm.receive_message', '{"channel": "mail", "body": "It burns.", "from_address": "ada@example.com", "subject": "Printer"}');
