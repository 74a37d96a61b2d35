-- Messages: what is said on tickets, and what follows from it for clocks, waiting and solved tickets. How they come in stands in 35_receive.sql.

-- Nothing said to a merged ticket is lost: it goes where the ticket went.
CREATE OR REPLACE FUNCTION crm_internal.ticket_messages_place() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    next_id bigint;
BEGIN
    -- what a migration does not say follows from what it does say: who writes from which side, and the ticket's channel from the ticket
    NEW.direction := coalesce(NEW.direction, CASE NEW.author_kind WHEN 'customer' THEN 'in' WHEN 'agent' THEN 'out' ELSE
                                             CASE WHEN NEW.author_user_id IS NOT NULL THEN 'out' ELSE 'in' END END);
    NEW.author_kind := coalesce(NEW.author_kind, CASE NEW.direction WHEN 'in' THEN 'customer' ELSE 'agent' END);
    LOOP
        SELECT k.merged_into_id, coalesce(NEW.channel, k.channel) INTO next_id, NEW.channel FROM crm.tickets AS k
        WHERE k.tenant_id = NEW.tenant_id AND k.id = NEW.ticket_id;
        EXIT WHEN next_id IS NULL;
        NEW.ticket_id := next_id;
    END LOOP;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.ticket_messages_place() IS 'A message to a merged ticket goes to the ticket that goes on in its place. '
'Without a channel it came by that of its ticket; without a direction or an author, '
'one follows from the other.';
CREATE OR REPLACE TRIGGER ticket_messages_before_place
    BEFORE INSERT ON crm.ticket_messages
    FOR EACH ROW EXECUTE FUNCTION crm_internal.ticket_messages_place();

-- Clocks go by what messages say, so nobody answers before they were asked, or tomorrow. Whom row security does not bind may say what was.
CREATE OR REPLACE FUNCTION crm_internal.check_message_time() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    asked_at timestamptz;
BEGIN
    IF NOT row_security_active(TG_RELID) OR coalesce(current_setting('crm.history_reason', true), '') <> ''
       OR coalesce(current_setting('crm.written_kept', true), '') = 'on' THEN
        RETURN NEW;
    END IF;
    IF NEW.direction = 'out' THEN
        SELECT k.created_at INTO asked_at FROM crm.tickets AS k WHERE k.tenant_id = NEW.tenant_id AND k.id = NEW.ticket_id;
    END IF;
    IF NEW.sent_at < asked_at OR NEW.sent_at > clock_timestamp() + interval '5 minutes' THEN
        RAISE EXCEPTION 'a message cannot have been sent at %', NEW.sent_at
            USING ERRCODE = 'invalid_parameter_value', COLUMN = 'sent_at',
                  DETAIL = CASE WHEN NEW.sent_at < asked_at THEN 'Its ticket is there since ' || asked_at || '.' ELSE 'It is not that late yet.' END,
                  HINT = 'Leave sent_at out, or say when it was. Who loads history calls crm.begin_history(reason) first.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_message_time() IS
'Row trigger of messages: an answer is not older than its ticket, and nothing was said in the future. Error 22023.';
CREATE OR REPLACE TRIGGER ticket_messages_before_time
    BEFORE INSERT OR UPDATE OF sent_at, direction ON crm.ticket_messages
    FOR EACH ROW WHEN (NEW.sent_at <> now()) EXECUTE FUNCTION crm_internal.check_message_time();

-- Clocks of senders go wrong, and their messages are taken in all the same. Whom row security does not bind is believed, as above.
CREATE OR REPLACE FUNCTION crm.message_time(said_at timestamptz, tenant_id bigint, answers_ticket_id bigint)
RETURNS timestamptz
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT row_security_active('crm.ticket_messages') THEN
        RETURN coalesce(said_at, clock_timestamp());
    END IF;
    RETURN greatest(least(said_at, clock_timestamp()),
                    (SELECT k.created_at FROM crm.tickets AS k WHERE k.tenant_id = message_time.tenant_id AND k.id = answers_ticket_id));
END
$$;
COMMENT ON FUNCTION crm.message_time(timestamptz, bigint, bigint) IS
'When a message was sent whose sender says when: not later than now, and an answer not before its ticket, except for roles that row security does not bind.';

-- Clocks are the fold of events, so messages are told as events, and what a message no longer says is withdrawn: whether it was
-- changed, deleted, or went to another ticket by a merge or a split. The messages of a ticket that is gone stay history.
CREATE OR REPLACE FUNCTION crm_internal.message_event(direction text, author_kind text, is_public boolean)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE   -- without a path of its own, which would keep it from being inlined
RETURN CASE WHEN NOT is_public THEN NULL
            WHEN author_kind = 'customer' AND direction = 'in' THEN 'customer_message'
            WHEN author_kind = 'agent' AND direction = 'out' THEN 'agent_message' END;
COMMENT ON FUNCTION crm_internal.message_event(text, text, boolean) IS 'What a message is to the clocks of its ticket; NULL: nothing.';

CREATE OR REPLACE FUNCTION crm_internal.speaks_for_asker(k crm.tickets, contact_id bigint, address text)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF contact_id IS NOT NULL THEN
        RETURN coalesce(contact_id = k.contact_id, false)
            OR EXISTS (SELECT FROM crm.contacts AS c WHERE c.tenant_id = k.tenant_id AND c.id = speaks_for_asker.contact_id AND c.account_id = k.account_id)
            OR EXISTS (SELECT FROM crm.ticket_followers AS f
                       WHERE f.tenant_id = k.tenant_id AND f.ticket_id = k.id AND f.contact_id = speaks_for_asker.contact_id);
    END IF;
    -- else somebody without a contact who asked by this address: not a stranger who comes to what a
    -- contact has asked, and is the first to write by mail
    RETURN address IS NULL
        OR crm.fold_text(address) = (SELECT crm.fold_text(m.author_address) FROM crm.ticket_messages AS m
                                     WHERE m.tenant_id = k.tenant_id AND m.ticket_id = k.id AND m.direction = 'in' AND m.author_contact_id IS NULL
                                       AND (k.contact_id IS NULL OR k.created_at >= least(m.sent_at, m.created_at))
                                     ORDER BY m.sent_at, m.id LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm_internal.speaks_for_asker(crm.tickets, bigint, text) IS
'Whether a message is of those who asked: the contact of the ticket, somebody of the same account, a follower, or the address that opened it.';

-- security definer: whoever takes a message in may not read the outbox; the kinds are these alone
CREATE OR REPLACE FUNCTION crm.note_message_event(kind text, ticket_id bigint, payload jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF kind IS NULL OR kind NOT IN ('message.ignored', 'message.queue_off', 'ticket.reopen_refused') THEN
        RAISE EXCEPTION 'no event of messages is called "%"', kind
            USING ERRCODE = 'invalid_parameter_value', HINT = 'They are message.ignored, message.queue_off and ticket.reopen_refused.';
    END IF;
    PERFORM crm_internal.require('tickets', ticket_id, 'see');
    PERFORM crm_internal.write_event(kind, CASE WHEN ticket_id IS NOT NULL THEN 'tickets' END, ticket_id, payload);
END
$$;
COMMENT ON FUNCTION crm.note_message_event(text, bigint, jsonb) IS
'Writes the event message.ignored, message.queue_off or ticket.reopen_refused, for crm.receive_message(). Errors: 22023 another kind, '
'P0002 a ticket the caller does not see.';
SELECT crm.declare_function('crm.note_message_event', 'agent');

CREATE OR REPLACE FUNCTION crm_internal.resume_waiting(k crm.tickets)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- what a stage requires is asked of people, not of the customer who answers
    PERFORM crm.keep_incomplete();
    PERFORM crm.move_row(k, k.id, (crm.first_stage(k.tenant_id, k.pipeline_id, '{open}', 'open')).code);
EXCEPTION WHEN SQLSTATE 'CR101' OR SQLSTATE 'CR102' OR SQLSTATE 'CR103' OR SQLSTATE 'CR104' OR SQLSTATE 'CR105' OR SQLSTATE 'CR107' THEN
    -- what a customer says is kept whatever the process thinks of it
    PERFORM crm_internal.write_event('ticket.resume_refused', 'tickets', k.id, jsonb_build_object('error', SQLERRM));
END
$$;
COMMENT ON FUNCTION crm_internal.resume_waiting(crm.tickets) IS
'Takes a ticket that waits to the open stage of its process; what the process says against it is written down.';

CREATE OR REPLACE FUNCTION crm_internal.resume_answered(tenants bigint[], ids bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off        -- from the messages by keys, also by a plan kept from when there were none
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    -- messages that are imported are answers of long ago
    IF tenants IS NULL OR coalesce(current_setting('crm.history_reason', true), '') <> '' THEN
        RETURN;
    END IF;
    PERFORM crm_internal.resume_waiting(k.*)
    FROM (SELECT DISTINCT n.tenant_id, n.ticket_id
          FROM unnest(tenants, ids) AS c (tenant, id)
          JOIN crm.ticket_messages AS n ON n.tenant_id = c.tenant AND n.id = c.id
          JOIN crm.tickets AS w ON w.tenant_id = n.tenant_id AND w.id = n.ticket_id AND w.closed_at IS NULL
               AND n.sent_at >= least(w.stage_entered_at, now())    -- what this transaction moved has entered now
          -- values, no joins: joined by a plan kept from when there was nothing, all would be read; who speaks is asked last
          WHERE CASE WHEN (SELECT s.type FROM crm.stages AS s WHERE s.tenant_id = w.tenant_id AND s.id = w.stage_id) = 'on_hold'
                          AND coalesce((SELECT q.answer_resumes FROM crm.queues AS q WHERE q.tenant_id = w.tenant_id AND q.id = w.queue_id), true)
                     THEN crm_internal.speaks_for_asker(w.*, n.author_contact_id, n.author_address) ELSE false END) AS a
    JOIN crm.tickets AS k ON k.tenant_id = a.tenant_id AND k.id = a.ticket_id;
END
$$;
COMMENT ON FUNCTION crm_internal.resume_answered(bigint[], bigint[]) IS
'Takes tickets that wait for the customer out of waiting, of those of these messages that are '
'the customer''s and came since: new, marked as what they are, or moved here.';

CREATE OR REPLACE FUNCTION crm_internal.ticket_messages_new() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- each step is taken only for what it is about: most statements are one message
    told CONSTANT text[] := ARRAY(SELECT DISTINCT v.event FROM new_rows AS n
                                  CROSS JOIN LATERAL crm_internal.message_event(n.direction, n.author_kind, n.is_public) AS v (event)
                                  WHERE v.event IS NOT NULL);
BEGIN
    IF told = '{}' THEN
        RETURN NULL;
    END IF;
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, message_id)
    SELECT n.tenant_id, 'tickets', n.ticket_id, v.event, n.sent_at, n.id
    FROM new_rows AS n
    CROSS JOIN LATERAL crm_internal.message_event(n.direction, n.author_kind, n.is_public) AS v (event)
    WHERE v.event IS NOT NULL
    ORDER BY n.id;
    IF 'agent_message' = ANY (told) THEN
        UPDATE crm.tickets AS k SET first_response_at = a.first_at
        FROM (SELECT n.tenant_id, n.ticket_id, min(n.sent_at) AS first_at FROM new_rows AS n
              WHERE crm_internal.message_event(n.direction, n.author_kind, n.is_public) = 'agent_message'
              GROUP BY n.tenant_id, n.ticket_id) AS a
        WHERE k.tenant_id = a.tenant_id AND k.id = a.ticket_id AND (k.first_response_at IS NULL OR k.first_response_at > a.first_at);
    END IF;
    IF 'customer_message' = ANY (told) THEN
        PERFORM crm_internal.resume_answered(array_agg(n.tenant_id), array_agg(n.id))
        FROM new_rows AS n WHERE crm_internal.message_event(n.direction, n.author_kind, n.is_public) = 'customer_message';
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
SET enable_seqscan = off        -- from the messages by keys, also by a plan kept from when there were none
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_variable
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
          WHERE (SELECT x.id FROM crm.sla_events AS x
                 WHERE x.tenant_id = e.tenant_id AND x.refers_to_id = e.id AND x.event = 'withdrawn' LIMIT 1) IS NULL
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
SET enable_nestloop = off       -- a plan kept from one row would compare all old ones with all new ones
SET jit = off
AS $$
#variable_conflict use_variable
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
    -- the customer's answer is one as well when it was taken for something else before, or came to another ticket
    IF 'customer_message' = ANY (c.new_events) THEN
        PERFORM crm_internal.resume_answered(array_agg(m.tenant), array_agg(m.id))
        FROM unnest(c.tenants, c.ids, c.new_events) AS m (tenant, id, event) WHERE m.event = 'customer_message';
    END IF;
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
#variable_conflict use_variable
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
#variable_conflict use_variable
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

CREATE OR REPLACE FUNCTION crm.default_queue() RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
BEGIN
    RETURN (SELECT q.id FROM crm.queues AS q WHERE q.tenant_id = t AND q.active ORDER BY q.is_default DESC, q.id LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm.default_queue() IS
'Where messages go that are meant for a queue that is off: the active queue that is_default says, else the oldest active one; NULL: there is none.';

-- security definer: what a customer writes is kept although the company asks more of a ticket than it did, or has retired a choice since
CREATE OR REPLACE FUNCTION crm.open_follow_up(ticket_id bigint, body text, channel text)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets;
    follow_up crm.tickets;
BEGIN
    SELECT k.* INTO ticket FROM crm.tickets AS k WHERE k.tenant_id = t AND k.id = ticket_id;
    IF ticket.id IS NULL OR NOT crm.can_see(ticket.owner_id, ticket.team_id, ticket.shared_user_ids, ticket.shared_team_ids) THEN
        RAISE EXCEPTION 'ticket % does not exist, or is not visible to you', ticket_id USING ERRCODE = 'no_data_found';
    END IF;
    PERFORM crm.keep_incomplete(false);
    follow_up := crm.carry_owned(follow_up, ticket, 'follow_up');
    follow_up.description := body;
    follow_up.channel := channel;
    follow_up.follow_up_of_id := ticket.id;
    follow_up.queue_id := crm.queue_that_goes_on(t, ticket.queue_id);
    RETURN crm.insert_row(follow_up);
END
$$;
COMMENT ON FUNCTION crm.open_follow_up(bigint, text, text) IS
'Opens the ticket that goes on from a solved one, with what that says (crm.column_rules, follow_up). Error P0002 where it is not there or not seen.';
SELECT crm.declare_function('crm.open_follow_up', 'agent');

-- security definer: what a customer answers opens the ticket again although a stage asks more of people than it holds
CREATE OR REPLACE FUNCTION crm.reopen_for_answer(ticket_id bigint)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.require('tickets', ticket_id, 'see');
    PERFORM crm.keep_incomplete();
    RETURN crm.reopen_ticket(ticket_id);
END
$$;
COMMENT ON FUNCTION crm.reopen_for_answer(bigint) IS
'crm.reopen_ticket() for a customer''s answer: what the stage requires and nobody has filled leaves the ticket incomplete '
'(crm_analytics.incomplete_records). Errors: P0002 where it is not there or not seen, and what else the process says (CR101 and on).';
SELECT crm.declare_function('crm.reopen_for_answer', 'agent');

-- The ticket that a late answer to a solved one goes to. All late answers to a ticket go to one follow-up, or to what came of that.
CREATE OR REPLACE FUNCTION crm.ticket_for_answer(ticket crm.tickets, body text, channel text, sent_at timestamptz)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    next_id bigint;
BEGIN
    WHILE ticket.closed_at IS NOT NULL LOOP
        IF sent_at <= ticket.closed_at THEN
            RETURN ticket;
        END IF;
        IF sent_at <= ticket.closed_at + coalesce(
               (SELECT q.reopen_window FROM crm.queues AS q WHERE q.tenant_id = t AND q.id = ticket.queue_id), '7 days') THEN
            BEGIN
                RETURN crm.reopen_for_answer(ticket.id);
            EXCEPTION WHEN SQLSTATE 'CR101' OR SQLSTATE 'CR102' OR SQLSTATE 'CR103' OR SQLSTATE 'CR104' OR SQLSTATE 'CR105' THEN
                -- what a customer says is kept whatever the process thinks of it
                PERFORM crm.note_message_event('ticket.reopen_refused', ticket.id, jsonb_build_object('error', SQLERRM));
                RETURN ticket;
            END;
        END IF;
        -- the solved ticket is locked, so that two late answers at once do not each open one
        SELECT k.id INTO next_id FROM crm.tickets AS k WHERE k.tenant_id = t AND k.follow_up_of_id = ticket.id ORDER BY k.id DESC LIMIT 1;
        IF next_id IS NULL THEN
            RETURN crm.open_follow_up(ticket.id, body, channel);
        END IF;
        ticket := crm.going_ticket(next_id);
    END LOOP;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.ticket_for_answer(crm.tickets, text, text, timestamptz) IS
'The ticket that a customer''s message to a ticket belongs to: the ticket itself, reopened where it was solved not long ago, else its follow-up.';

CREATE OR REPLACE FUNCTION crm.going_ticket(ticket_id bigint)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ticket crm.tickets := crm.get_ticket(ticket_id, true);
BEGIN
    WHILE ticket.merged_into_id IS NOT NULL LOOP
        ticket := crm.get_ticket(ticket.merged_into_id, true);
    END LOOP;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.going_ticket(bigint) IS 'A ticket, locked, or the one that goes on in its place where it was merged.';

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
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets := crm.going_ticket(add_ticket_message.ticket_id);
    asked_of CONSTANT bigint := ticket.id;
    made crm.ticket_messages;
    kind CONSTANT text := coalesce(add_ticket_message.author_kind,
        CASE WHEN add_ticket_message.direction = 'in' THEN 'customer' ELSE 'agent' END);
    way CONSTANT text := coalesce(add_ticket_message.channel, ticket.channel);
BEGIN
    -- the channel delivered it before
    IF external_id IS NOT NULL THEN
        SELECT m.* INTO made FROM crm.ticket_messages AS m
        WHERE m.tenant_id = t AND m.channel = way AND m.external_id = add_ticket_message.external_id;
        IF FOUND THEN
            RETURN made;
        END IF;
    END IF;

    IF kind = 'customer' AND add_ticket_message.direction = 'in' THEN
        ticket := crm.ticket_for_answer(ticket, add_ticket_message.body, way, add_ticket_message.sent_at);
    END IF;

    INSERT INTO crm.ticket_messages AS m (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, author_contact_id,
                                          author_address, is_public, subject, body, external_id, thread_id, in_reply_to,
                                          attachments, sent_at)
    VALUES (t, ticket.id, way, add_ticket_message.direction, kind,
            CASE WHEN kind = 'agent' THEN coalesce(add_ticket_message.author_user_id, crm.user_id())
                 ELSE add_ticket_message.author_user_id END,
            -- a stranger's address is the stranger's
            CASE WHEN add_ticket_message.author_contact_id IS NOT NULL OR kind <> 'customer' OR add_ticket_message.author_user_id IS NOT NULL
                      THEN add_ticket_message.author_contact_id
                 WHEN add_ticket_message.author_address IS NULL THEN ticket.contact_id
                 ELSE crm.message_sender_in(way, add_ticket_message.author_address, ticket.id) END,
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
    IF ticket.owner_id IS NULL AND ticket.id <> asked_of THEN
        PERFORM crm.route_ticket(ticket.id);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.add_ticket_message(bigint, text, text, text, text, bigint, bigint, text, boolean, text, text, text, text, jsonb, timestamptz) IS
'Adds what was said to a ticket and returns the message; one with an external_id the channel has delivered before is not stored again but returned. A '
'customer''s message to a solved ticket reopens it within the reopening window of its queue (7 days without a queue) and goes to a follow-up later, one '
'for all late answers: look at ticket_id of the answer. It takes a ticket that waits (stage of type on_hold) back to the open stage, unless the queue '
'says otherwise (answer_resumes). Where author_address is given, the author is the contact known by it, or nobody. Messages to a '
'merged ticket go to the one that goes on. author_kind defaults to customer for direction in and to agent '
'otherwise. Errors: P0002 for an unknown ticket.';
SELECT crm.declare_api('crm.add_ticket_message', '{"ticket_id": 1, "body": "We are looking at it.", "direction": "out"}');

SELECT crm.declare_event('message.ignored', 'A message of a machine was not taken in.',
    '{"channel": {"type": "string"}, "from_address": {"type": ["string", "null"]}, "subject": {"type": ["string", "null"]},
        "external_id": {"type": ["string", "null"]},
      "reason": {"type": ["string", "null"]}}');
SELECT crm.declare_event('message.queue_off', 'A message came to a queue that is off, and no other is in use: it waits there.',
    '{"queue": {"type": "string"}}');
SELECT crm.declare_event('ticket.reopen_refused', 'A message came to a closed ticket, which the process did not open again.', '{"error": {"type": "string"}}');
SELECT crm.declare_event('ticket.resume_refused', 'A customer answered a waiting ticket, which the process did not resume.', '{"error": {"type": "string"}}');
