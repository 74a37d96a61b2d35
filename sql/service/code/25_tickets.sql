-- What people and programs do with tickets: opening, moving, handing over, following, finding.

CREATE OR REPLACE FUNCTION crm.get_ticket(ticket_id bigint, for_update boolean DEFAULT false)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets;
BEGIN
    IF for_update THEN
        SELECT k.* INTO ticket FROM crm.tickets AS k WHERE k.tenant_id = t AND k.id = ticket_id FOR UPDATE;
    ELSE
        SELECT k.* INTO ticket FROM crm.tickets AS k WHERE k.tenant_id = t AND k.id = ticket_id;
    END IF;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no ticket %', ticket_id
            USING ERRCODE = 'no_data_found', HINT = 'It may belong to another company, or you may not see or change it.';
    END IF;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.get_ticket(bigint, boolean) IS
'A ticket that must be there, locked for a change if wanted. Errors: P0002 where it is not there, not seen or, for a change, not to be changed.';

CREATE OR REPLACE FUNCTION crm.open_ticket(
    subject text,
    description text DEFAULT NULL,
    channel text DEFAULT 'api',
    contact_id bigint DEFAULT NULL,
    account_id bigint DEFAULT NULL,
    queue text DEFAULT NULL,
    type text DEFAULT 'question',
    priority text DEFAULT 'normal',
    product_id bigint DEFAULT NULL,
    order_id bigint DEFAULT NULL,
    skill_ids bigint[] DEFAULT '{}',
    owner_id bigint DEFAULT NULL,
    tags text[] DEFAULT '{}',
    custom jsonb DEFAULT '{}',
    route boolean DEFAULT true,
    columns jsonb DEFAULT '{}')
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.tickets;
BEGIN
    PERFORM crm.check_new_owner(open_ticket.owner_id);
    made.subject := open_ticket.subject;
    made.description := open_ticket.description;
    made.channel := open_ticket.channel;
    made.contact_id := open_ticket.contact_id;
    made.account_id := open_ticket.account_id;
    made.queue_id := crm.find_queue(open_ticket.queue);
    made.type := open_ticket.type;
    made.priority := open_ticket.priority;
    made.product_id := open_ticket.product_id;
    made.order_id := open_ticket.order_id;
    made.skill_ids := open_ticket.skill_ids;
    made.owner_id := open_ticket.owner_id;
    made.tags := open_ticket.tags;
    made.custom := open_ticket.custom;
    IF columns <> '{}' THEN
        made := crm.given_row(made, columns, 'open');
    END IF;
    made := crm.insert_row(made);
    IF route AND made.owner_id IS NULL THEN
        PERFORM crm.route_ticket(made.id);
        made := crm.get_ticket(made.id, false);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.open_ticket(text, text, text, bigint, bigint, text, text, text, bigint, bigint, bigint[], bigint, text[], jsonb, boolean, jsonb) IS
'Opens a ticket and gives it to an agent by the rules of its queue (route false: leaves it unassigned). queue is a code; account defaults to the '
'contact''s, team and process to the queue''s. columns: {column: value}, any column of crm.tickets that crm.column_rules does not keep, your own '
'included; it comes before the other arguments. Returns the ticket. Errors: 42704 for an unknown queue, 23503 for an unknown contact, type or '
'priority, 42703 for an unknown column, with the known ones named; 22023 for an owner who has left or is away.';
SELECT crm.declare_api('crm.open_ticket', '{"subject": "Printer on fire", "channel": "phone", "priority": "high"}');

CREATE OR REPLACE FUNCTION crm.reopen_ticket(ticket_id bigint, reason text DEFAULT NULL)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets := crm.get_ticket(ticket_id, true);
BEGIN
    IF ticket.closed_at IS NULL THEN
        RETURN ticket;
    END IF;
    ticket := crm.move_row(ticket, ticket.id, (crm.first_stage(t, ticket.pipeline_id, '{open}', 'open')).code);
    IF reason IS NOT NULL THEN
        INSERT INTO crm.ticket_messages (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, is_public, body)
        VALUES (t, ticket.id, 'api', 'internal', CASE WHEN crm.user_id() IS NULL THEN 'system' ELSE 'agent' END,
                crm.user_id(), false, reason);
    END IF;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.reopen_ticket(bigint, text) IS
'Moves a closed ticket back to the open stage of its process (the one with code open, else the initial one); an open one is left as it is. The reason '
'becomes an internal note. Returns the ticket. A merged ticket stands on its own again, but its messages stay where they went.';

CREATE OR REPLACE FUNCTION crm.resolve_ticket(ticket_id bigint, note text DEFAULT NULL, stage text DEFAULT NULL)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets := crm.get_ticket(ticket_id, true);
    target text := stage;
BEGIN
    IF target IS NULL THEN
        target := (crm.first_stage(t, ticket.pipeline_id, '{done,won}')).code;
    ELSIF NOT EXISTS (SELECT FROM crm.stages AS s WHERE s.tenant_id = t AND s.pipeline_id = ticket.pipeline_id
                      AND s.code = target AND s.active AND s.type IN ('done', 'won')) THEN
        RAISE EXCEPTION 'the process of ticket % has no stage "%" that resolves it', ticket_id, stage
            USING ERRCODE = 'CR107', HINT = 'crm.allowed_moves_of(''tickets'', id) lists the stages.';
    END IF;
    IF note IS NOT NULL THEN
        INSERT INTO crm.ticket_messages (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, is_public, body)
        VALUES (t, ticket.id, 'api', 'internal', CASE WHEN crm.user_id() IS NULL THEN 'system' ELSE 'agent' END,
                crm.user_id(), false, note);
    END IF;
    RETURN crm.move_row(ticket, ticket.id, target);
END
$$;
COMMENT ON FUNCTION crm.resolve_ticket(bigint, text, text) IS
'Moves a ticket to the first stage of type done of its process, or to the one named by code; the note is kept internally. Returns the ticket. Errors: '
'CR107 where there is no such stage, and whatever the process demands (CR101 to CR105).';
SELECT crm.declare_api('crm.resolve_ticket', '{"ticket_id": 1, "note": "put out"}');

CREATE OR REPLACE FUNCTION crm.move_ticket(ticket_id bigint, stage text)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.move_row(NULL::crm.tickets, ticket_id, stage);
END
$$;
COMMENT ON FUNCTION crm.move_ticket(bigint, text) IS
'crm.move() for a ticket: to the stage of its process with that code. Returns the ticket. Errors as crm.move.';

CREATE OR REPLACE FUNCTION crm.transfer_ticket(ticket_id bigint, queue text DEFAULT NULL, owner_id bigint DEFAULT NULL, route boolean DEFAULT true)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    q CONSTANT bigint := crm.find_queue(transfer_ticket.queue);
    ticket crm.tickets := crm.get_ticket(ticket_id, true);
BEGIN
    IF num_nonnulls(q, transfer_ticket.owner_id) = 0 THEN
        RAISE EXCEPTION 'a transfer needs a queue or an owner' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM crm.check_new_owner(transfer_ticket.owner_id);
    UPDATE crm.tickets AS k
    SET queue_id = coalesce(q, k.queue_id), owner_id = transfer_ticket.owner_id
    WHERE k.tenant_id = t AND k.id = ticket.id
    RETURNING k.* INTO ticket;
    IF route AND ticket.owner_id IS NULL THEN
        PERFORM crm.route_ticket(ticket.id);
        ticket := crm.get_ticket(ticket.id, false);
    END IF;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.transfer_ticket(bigint, text, bigint, boolean) IS
'Hands a ticket over to another queue, another owner or both; without an owner it is given out anew by the rules of the queue. Returns the ticket. '
'Errors: 22023 for an owner who has left or is away, 42704 for a queue that is not there or off.';
SELECT crm.declare_api('crm.transfer_ticket', '{"ticket_id": 1, "queue": "support"}');

CREATE OR REPLACE FUNCTION crm.follow_ticket(ticket_id bigint, user_id bigint DEFAULT NULL, contact_id bigint DEFAULT NULL)
RETURNS crm.ticket_followers
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    who CONSTANT bigint := CASE WHEN num_nonnulls(follow_ticket.user_id, follow_ticket.contact_id) = 0 THEN crm.user_id()
                                ELSE follow_ticket.user_id END;
    made crm.ticket_followers;
BEGIN
    INSERT INTO crm.ticket_followers AS f (tenant_id, ticket_id, user_id, contact_id)
    VALUES (t, follow_ticket.ticket_id, who, follow_ticket.contact_id)
    ON CONFLICT DO NOTHING
    RETURNING f.* INTO made;
    IF NOT FOUND THEN
        SELECT f.* INTO made FROM crm.ticket_followers AS f
        WHERE f.tenant_id = t AND f.ticket_id = follow_ticket.ticket_id
          AND f.user_id IS NOT DISTINCT FROM who AND f.contact_id IS NOT DISTINCT FROM follow_ticket.contact_id;
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.follow_ticket(bigint, bigint, bigint) IS
'Makes a user or a contact a follower of a ticket (the caller, where neither is given); harmless the second time. Returns the row.';

CREATE OR REPLACE FUNCTION crm.search_tickets(query text, max_rows integer DEFAULT 20)
RETURNS TABLE (ticket_id bigint, subject text, stage text, rank real, snippet text)
LANGUAGE plpgsql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    q CONSTANT tsquery := crm.search_query(query);
    excluded CONSTANT tsquery := (SELECT crm.words_query(p.excluded) FROM crm.search_parts(query) AS p);
BEGIN
    RETURN QUERY
        SELECT k.id, k.subject, s.code, hit.rank, hit.snippet
        FROM (SELECT DISTINCT ON (m.ticket_id) m.ticket_id, ts_rank(m.search, q) AS rank,
                     ts_headline('simple', m.body, q, 'StartSel=«, StopSel=», MaxWords=20, MinWords=8') AS snippet
              FROM crm.ticket_messages AS m
              WHERE m.tenant_id = t AND m.search @@ q
              ORDER BY m.ticket_id, ts_rank(m.search, q) DESC) AS hit
        JOIN crm.tickets AS k ON k.tenant_id = t AND k.id = hit.ticket_id
        JOIN crm.stages AS s ON s.tenant_id = t AND s.id = k.stage_id
        -- a ticket is its whole conversation: what is excluded stands in none of its messages
        WHERE excluded IS NULL
           OR NOT EXISTS (SELECT FROM crm.ticket_messages AS x WHERE x.tenant_id = t AND x.ticket_id = k.id AND x.search @@ excluded)
        ORDER BY hit.rank DESC, k.id DESC
        LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION crm.search_tickets(text, integer) IS
'Tickets whose messages match, best first. The query is written as for a search engine: words, "phrases", or, -not (in none of the ticket''s '
'messages); spellings of Persian and Arabic letters and digits meet.';
