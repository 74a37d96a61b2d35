-- Messages: what is said on tickets from any channel, and the ticket that a message from outside belongs to.

-- Nothing said to a merged ticket is lost: it goes where the ticket went.
CREATE OR REPLACE FUNCTION crm_internal.ticket_messages_place() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    next_id bigint;
BEGIN
    LOOP
        SELECT k.merged_into_id INTO next_id FROM crm.tickets AS k
        WHERE k.tenant_id = NEW.tenant_id AND k.id = NEW.ticket_id;
        EXIT WHEN next_id IS NULL;
        NEW.ticket_id := next_id;
    END LOOP;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.ticket_messages_place() IS 'A message to a merged ticket goes to the ticket that goes on in its place.';
CREATE OR REPLACE TRIGGER ticket_messages_before_place
    BEFORE INSERT ON crm.ticket_messages
    FOR EACH ROW EXECUTE FUNCTION crm_internal.ticket_messages_place();

-- Clocks are the fold of events, so messages are told as events, and what a message no longer says is withdrawn: whether it was
-- changed, deleted, or went to another ticket by a merge or a split. The messages of a ticket that is gone stay history.
CREATE OR REPLACE FUNCTION crm_internal.message_event(direction text, author_kind text, is_public boolean)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN NOT is_public THEN NULL
            WHEN author_kind = 'customer' AND direction = 'in' THEN 'customer_message'
            WHEN author_kind = 'agent' AND direction = 'out' THEN 'agent_message' END;
COMMENT ON FUNCTION crm_internal.message_event(text, text, boolean) IS 'What a message is to the clocks of its ticket; NULL: nothing.';

CREATE OR REPLACE FUNCTION crm_internal.ticket_messages_new() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, message_id)
    SELECT n.tenant_id, 'tickets', n.ticket_id, v.event, n.sent_at, n.id
    FROM new_rows AS n
    CROSS JOIN LATERAL crm_internal.message_event(n.direction, n.author_kind, n.is_public) AS v (event)
    WHERE v.event IS NOT NULL
    ORDER BY n.id;
    IF FOUND THEN
        UPDATE crm.tickets AS k SET first_response_at = a.first_at
        FROM (SELECT n.tenant_id, n.ticket_id, min(n.sent_at) AS first_at FROM new_rows AS n
              WHERE crm_internal.message_event(n.direction, n.author_kind, n.is_public) = 'agent_message'
              GROUP BY n.tenant_id, n.ticket_id) AS a
        WHERE k.tenant_id = a.tenant_id AND k.id = a.ticket_id AND (k.first_response_at IS NULL OR k.first_response_at > a.first_at);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.ticket_messages_new() IS 'Statement trigger of new messages: the clocks and the first response of their tickets.';
CREATE OR REPLACE TRIGGER ticket_messages_after_follow
    AFTER INSERT ON crm.ticket_messages
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.ticket_messages_new();

-- messages that say something else now: where and when they were, where, when and what they are (NULL: gone)
CREATE OR REPLACE FUNCTION crm_internal.retell_messages(
    tenants bigint[], ids bigint[], old_tickets bigint[], old_times timestamptz[], new_tickets bigint[], new_times timestamptz[], new_events text[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF tenants IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, message_id, refers_to_id)
    SELECT w.*
    FROM (SELECT e.tenant_id, e.subject_type, e.subject_id, 'withdrawn', now(), NULL::bigint, e.id
          FROM unnest(tenants, ids) AS c (tenant, id)
          JOIN crm.sla_events AS e ON e.tenant_id = c.tenant AND e.message_id = c.id
          JOIN crm.tickets AS k ON k.tenant_id = e.tenant_id AND k.id = e.subject_id
          WHERE NOT EXISTS (SELECT FROM crm.sla_events AS x
                            WHERE x.tenant_id = e.tenant_id AND x.refers_to_id = e.id AND x.event = 'withdrawn')
          UNION ALL
          SELECT c.tenant, 'tickets', c.ticket, c.event, c.at, c.id, NULL
          FROM unnest(tenants, ids, new_tickets, new_times, new_events) AS c (tenant, id, ticket, at, event)
          WHERE c.event IS NOT NULL) AS w;
    -- the first response goes by the messages that are there; one that no message told, such as an imported one, stays
    UPDATE crm.tickets AS k SET first_response_at = a.first_at
    FROM (SELECT t.tenant, t.ticket, array_agg(t.gone) FILTER (WHERE t.gone IS NOT NULL) AS gone,
                 (SELECT min(m.sent_at) FROM crm.ticket_messages AS m
                  WHERE m.tenant_id = t.tenant AND m.ticket_id = t.ticket
                    AND crm_internal.message_event(m.direction, m.author_kind, m.is_public) = 'agent_message') AS first_at
          FROM (SELECT c.tenant, c.ticket, c.gone FROM unnest(tenants, old_tickets, old_times) AS c (tenant, ticket, gone)
                UNION ALL
                SELECT c.tenant, c.ticket, NULL FROM unnest(tenants, new_tickets) AS c (tenant, ticket) WHERE c.ticket IS NOT NULL) AS t
          GROUP BY t.tenant, t.ticket) AS a
    WHERE k.tenant_id = a.tenant AND k.id = a.ticket
      AND (k.first_response_at IS NULL OR k.first_response_at > a.first_at OR k.first_response_at = ANY (a.gone))
      AND k.first_response_at IS DISTINCT FROM a.first_at;
END
$$;
COMMENT ON FUNCTION crm_internal.retell_messages(bigint[], bigint[], bigint[], timestamptz[], bigint[], timestamptz[], text[]) IS
'Clocks and first responses of tickets follow messages that say something else than they did, belong to another ticket, or are gone.';

CREATE OR REPLACE FUNCTION crm_internal.ticket_messages_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c record;
BEGIN
    SELECT array_agg(o.tenant_id) AS tenants, array_agg(o.id) AS ids, array_agg(o.ticket_id) AS old_tickets, array_agg(o.sent_at) AS old_times,
           array_agg(n.ticket_id) AS new_tickets, array_agg(n.sent_at) AS new_times, array_agg(v.event) AS new_events
    INTO c
    FROM old_rows AS o
    JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id
    CROSS JOIN LATERAL crm_internal.message_event(n.direction, n.author_kind, n.is_public) AS v (event)
    WHERE (o.ticket_id, o.sent_at, crm_internal.message_event(o.direction, o.author_kind, o.is_public))
          IS DISTINCT FROM (n.ticket_id, n.sent_at, v.event);
    PERFORM crm_internal.retell_messages(c.tenants, c.ids, c.old_tickets, c.old_times, c.new_tickets, c.new_times, c.new_events);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.ticket_messages_changed() IS 'Statement trigger of changed messages.';
CREATE OR REPLACE TRIGGER ticket_messages_after_retell_update
    AFTER UPDATE ON crm.ticket_messages
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.ticket_messages_changed();

CREATE OR REPLACE FUNCTION crm_internal.ticket_messages_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c record;
BEGIN
    SELECT array_agg(o.tenant_id) AS tenants, array_agg(o.id) AS ids, array_agg(o.ticket_id) AS old_tickets, array_agg(o.sent_at) AS old_times
    INTO c FROM old_rows AS o;
    PERFORM crm_internal.retell_messages(c.tenants, c.ids, c.old_tickets, c.old_times, '{}', '{}', '{}');
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.ticket_messages_gone() IS 'Statement trigger of deleted messages.';
CREATE OR REPLACE TRIGGER ticket_messages_after_retell_delete
    AFTER DELETE ON crm.ticket_messages
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.ticket_messages_gone();

CREATE OR REPLACE FUNCTION crm.find_queue(code text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    answer bigint;
BEGIN
    IF code IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT q.id INTO answer FROM crm.queues AS q WHERE q.tenant_id = crm.tenant_id() AND q.code = find_queue.code AND q.active;
    IF answer IS NULL THEN
        RAISE EXCEPTION 'there is no active queue "%"', code
            USING ERRCODE = 'undefined_object', HINT = 'crm.queues lists them by code.';
    END IF;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm.find_queue(text) IS 'Id of an active queue by its code; NULL for NULL. Errors: 42704 where there is none.';

CREATE OR REPLACE FUNCTION crm.add_ticket_message(
    ticket_id bigint,
    body text,
    direction text DEFAULT 'in',
    channel text DEFAULT NULL,
    author_kind text DEFAULT NULL,
    author_user_id bigint DEFAULT NULL,
    author_contact_id bigint DEFAULT NULL,
    author_address text DEFAULT NULL,
    is_public boolean DEFAULT NULL,
    subject text DEFAULT NULL,
    external_id text DEFAULT NULL,
    thread_id text DEFAULT NULL,
    in_reply_to text DEFAULT NULL,
    attachments jsonb DEFAULT '[]',
    sent_at timestamptz DEFAULT now())
RETURNS crm.ticket_messages
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets;
    follow_up crm.tickets;
    made crm.ticket_messages;
    kind CONSTANT text := coalesce(add_ticket_message.author_kind,
        CASE WHEN add_ticket_message.direction = 'in' THEN 'customer' ELSE 'agent' END);
    way text := add_ticket_message.channel;
BEGIN
    ticket := crm.get_ticket(add_ticket_message.ticket_id, true);
    WHILE ticket.merged_into_id IS NOT NULL LOOP
        ticket := crm.get_ticket(ticket.merged_into_id, true);
    END LOOP;
    way := coalesce(way, ticket.channel);
    -- the channel delivered it before
    IF external_id IS NOT NULL THEN
        SELECT m.* INTO made FROM crm.ticket_messages AS m
        WHERE m.tenant_id = t AND m.channel = way AND m.external_id = add_ticket_message.external_id;
        IF FOUND THEN
            RETURN made;
        END IF;
    END IF;

    -- an answer to a solved ticket reopens it, or opens another where that is long ago
    IF kind = 'customer' AND add_ticket_message.direction = 'in' AND ticket.closed_at IS NOT NULL THEN
        IF add_ticket_message.sent_at <= ticket.closed_at + coalesce(
               (SELECT q.reopen_window FROM crm.queues AS q WHERE q.tenant_id = t AND q.id = ticket.queue_id), '7 days')
        THEN
            IF add_ticket_message.sent_at > ticket.closed_at THEN
                BEGIN
                    ticket := crm.reopen_ticket(ticket.id);
                EXCEPTION WHEN SQLSTATE 'CR101' OR SQLSTATE 'CR102' OR SQLSTATE 'CR103' OR SQLSTATE 'CR104' OR SQLSTATE 'CR105' THEN
                    -- what a customer says is kept whatever the process thinks of it
                    PERFORM crm.emit_event('ticket.reopen_refused', 'tickets', ticket.id, jsonb_build_object('error', SQLERRM));
                END;
            END IF;
        ELSE
            follow_up := crm.carry_row(follow_up, ticket, 'follow_up');
            follow_up.description := add_ticket_message.body;
            follow_up.channel := way;
            follow_up.follow_up_of_id := ticket.id;
            follow_up := crm.insert_row(follow_up);
            ticket := follow_up;
        END IF;
    END IF;

    INSERT INTO crm.ticket_messages AS m (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, author_contact_id,
                                          author_address, is_public, subject, body, external_id, thread_id, in_reply_to,
                                          attachments, sent_at)
    VALUES (t, ticket.id, way, add_ticket_message.direction, kind,
            CASE WHEN kind = 'agent' THEN coalesce(add_ticket_message.author_user_id, crm.user_id())
                 ELSE add_ticket_message.author_user_id END,
            CASE WHEN kind = 'customer' THEN coalesce(add_ticket_message.author_contact_id, ticket.contact_id)
                 ELSE add_ticket_message.author_contact_id END,
            add_ticket_message.author_address,
            coalesce(add_ticket_message.is_public, add_ticket_message.direction <> 'internal'),
            add_ticket_message.subject, add_ticket_message.body, add_ticket_message.external_id, add_ticket_message.thread_id,
            add_ticket_message.in_reply_to, add_ticket_message.attachments, add_ticket_message.sent_at)
    ON CONFLICT ON CONSTRAINT ticket_messages_external_id_key DO NOTHING
    RETURNING m.* INTO made;
    IF NOT FOUND THEN
        SELECT m.* INTO made FROM crm.ticket_messages AS m
        WHERE m.tenant_id = t AND m.channel = way AND m.external_id = add_ticket_message.external_id;
    END IF;
    IF follow_up.id IS NOT NULL THEN
        PERFORM crm.route_ticket(follow_up.id);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.add_ticket_message(bigint, text, text, text, text, bigint, bigint, text, boolean, text, text, text, text, jsonb, timestamptz) IS
'Adds what was said to a ticket and returns the message; one with an external_id the channel has delivered before is not stored again but returned. A '
'customer''s message to a solved ticket reopens it within the reopening window of its queue (7 days without a queue) and opens a follow-up later: look '
'at ticket_id of the answer. Messages to a merged ticket go to the one that goes on. author_kind defaults to customer for direction in and to agent '
'otherwise. Errors: P0002 for an unknown ticket.';

CREATE OR REPLACE FUNCTION crm.message_sender(channel text, from_address text)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    address_kind CONSTANT text := CASE channel WHEN 'mail' THEN 'email' WHEN 'phone' THEN 'phone' END;
BEGIN
    RETURN (SELECT p.contact_id FROM crm.contact_points AS p
            WHERE p.tenant_id = t AND p.contact_id IS NOT NULL
              AND p.value_key = CASE WHEN address_kind IS NULL THEN crm.fold_text(from_address)
                                     ELSE crm.contact_point_key(address_kind, from_address) END
              AND (address_kind IS NULL OR p.kind = address_kind OR address_kind = 'phone' AND p.kind = 'mobile')
            ORDER BY p.id LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm.message_sender(text, text) IS 'The contact with an address, as a channel gives it; the oldest of several. NULL: nobody is known by it.';

CREATE OR REPLACE FUNCTION crm.message_ticket(channel text, sender_id bigint, from_address text, subject text, thread_id text, in_reply_to text)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket bigint;
BEGIN
    -- the message it answers, else its conversation, else the number in the headline
    SELECT m.ticket_id INTO ticket FROM crm.ticket_messages AS m
    WHERE m.tenant_id = t AND m.channel = message_ticket.channel AND m.external_id = message_ticket.in_reply_to;
    IF ticket IS NULL AND message_ticket.thread_id IS NOT NULL THEN
        -- two messages of a new conversation at once
        PERFORM pg_advisory_xact_lock(hashtextextended('crm.receive_message.' || message_ticket.channel || '.' || message_ticket.thread_id, t));
        SELECT m.ticket_id INTO ticket FROM crm.ticket_messages AS m
        WHERE m.tenant_id = t AND m.channel = message_ticket.channel AND m.thread_id = message_ticket.thread_id
        ORDER BY m.id DESC LIMIT 1;
    END IF;
    IF ticket IS NULL AND message_ticket.subject ~ '\[#[0-9]{1,18}\]' THEN
        -- only from somebody who has to do with the ticket: numbers can be guessed
        SELECT k.id INTO ticket FROM crm.tickets AS k
        WHERE k.tenant_id = t AND k.id = substring(message_ticket.subject FROM '\[#([0-9]{1,18})\]')::bigint
          AND (k.contact_id = sender_id
               OR EXISTS (SELECT FROM crm.ticket_followers AS f
                          WHERE f.tenant_id = t AND f.ticket_id = k.id AND f.contact_id = sender_id)
               OR EXISTS (SELECT FROM crm.ticket_messages AS m
                          WHERE m.tenant_id = t AND m.ticket_id = k.id AND m.direction = 'in'
                            AND crm.fold_text(m.author_address) = crm.fold_text(message_ticket.from_address)));
    END IF;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.message_ticket(text, bigint, text, text, text, text) IS
'The ticket an incoming message belongs to: that of the message it answers, else of its conversation, else [#number] in the headline if the '
'sender has to do with that ticket. NULL: a new one is to be opened. Until the end of the transaction nobody else decides it for the conversation.';

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
    columns jsonb DEFAULT '{}')
RETURNS crm.ticket_messages
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    made crm.ticket_messages;
    ticket bigint;
    opened crm.tickets;
    sender bigint;
    fresh boolean := false;
BEGIN
    -- the same message from two mail collectors at once
    IF receive_message.external_id IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('crm.receive_message.' || receive_message.channel || '.' || receive_message.external_id, t));
        SELECT m.* INTO made FROM crm.ticket_messages AS m
        WHERE m.tenant_id = t AND m.channel = receive_message.channel AND m.external_id = receive_message.external_id;
        IF FOUND THEN
            RETURN made;
        END IF;
    END IF;

    sender := crm.message_sender(receive_message.channel, receive_message.from_address);
    ticket := crm.message_ticket(receive_message.channel, sender, receive_message.from_address, receive_message.subject,
                                 receive_message.thread_id, receive_message.in_reply_to);
    IF ticket IS NULL THEN
        fresh := true;
        opened := crm.open_ticket(coalesce(nullif(btrim(receive_message.subject), ''), left(btrim(receive_message.body), 80), '-'),
                                  receive_message.body, receive_message.channel, sender, queue => receive_message.queue,
                                  route => false, columns => receive_message.columns);
        ticket := opened.id;
    END IF;
    made := crm.add_ticket_message(
        ticket_id => ticket, body => receive_message.body, direction => 'in', channel => receive_message.channel,
        author_kind => CASE WHEN automatic THEN 'automatic' ELSE 'customer' END, author_contact_id => sender,
        author_address => receive_message.from_address, subject => receive_message.subject,
        external_id => receive_message.external_id, thread_id => receive_message.thread_id,
        in_reply_to => receive_message.in_reply_to, attachments => receive_message.attachments,
        sent_at => receive_message.sent_at);
    IF fresh THEN
        PERFORM crm.route_ticket(ticket);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.receive_message(text, text, text, text, text, text, text, text, boolean, jsonb, timestamptz, jsonb) IS
'What a mailbox, chat or telephone gateway calls for each incoming message: stores it once (external_id), finds the ticket by the message it answers, '
'its conversation or [#number] in the headline from somebody known to the ticket, and opens a ticket otherwise; finds the contact by address. '
'automatic: an answering machine wrote it (it neither reopens nor counts as an answer). columns: of the ticket that is opened, as for '
'crm.open_ticket(). Returns the message.';
