-- ---- triggers ----

CREATE OR REPLACE FUNCTION crm_internal.tickets_defaults() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.queue_id IS NOT NULL AND (NEW.pipeline_id IS NULL AND NEW.stage_id IS NULL OR NEW.team_id IS NULL) THEN
        SELECT CASE WHEN NEW.pipeline_id IS NULL AND NEW.stage_id IS NULL THEN q.pipeline_id ELSE NEW.pipeline_id END,
               coalesce(NEW.team_id, q.team_id)
        INTO NEW.pipeline_id, NEW.team_id
        FROM crm.queues AS q
        WHERE q.tenant_id = NEW.tenant_id AND q.id = NEW.queue_id;
    END IF;
    IF NEW.contact_id IS NOT NULL AND NEW.account_id IS NULL THEN
        SELECT c.account_id INTO NEW.account_id
        FROM crm.contacts AS c
        WHERE c.tenant_id = NEW.tenant_id AND c.id = NEW.contact_id;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_defaults() IS 'A new ticket takes pipeline and team from its queue and the account from its contact.';
CREATE OR REPLACE TRIGGER tickets_before_defaults
    BEFORE INSERT ON crm.tickets
    FOR EACH ROW EXECUTE FUNCTION crm_internal.tickets_defaults();

-- named to run after the guard of stages, which fills stage_entered_at
CREATE OR REPLACE FUNCTION crm_internal.tickets_tally() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    old_type text;
    new_type text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.queue_id <> NEW.queue_id OR OLD.owner_id <> NEW.owner_id THEN
            NEW.transfer_count := OLD.transfer_count + 1;
        END IF;
        IF OLD.queue_id IS DISTINCT FROM NEW.queue_id AND NEW.team_id IS NOT DISTINCT FROM OLD.team_id THEN
            SELECT coalesce(q.team_id, NEW.team_id) INTO NEW.team_id
            FROM crm.queues AS q
            WHERE q.tenant_id = NEW.tenant_id AND q.id = NEW.queue_id;
        END IF;
        IF OLD.stage_id = NEW.stage_id THEN
            RETURN NEW;
        END IF;
        SELECT s.type INTO old_type FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = OLD.stage_id;
    END IF;
    SELECT s.type INTO new_type FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id;
    IF new_type IN ('done', 'won') AND old_type IS DISTINCT FROM new_type THEN
        NEW.resolved_at := CASE WHEN TG_OP = 'INSERT' THEN coalesce(NEW.resolved_at, NEW.stage_entered_at) ELSE NEW.stage_entered_at END;
    ELSIF new_type IN ('open', 'on_hold') AND old_type NOT IN ('open', 'on_hold') THEN
        NEW.reopen_count := OLD.reopen_count + 1;
        NEW.merged_into_id := NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_tally() IS 'Keeps resolved_at, reopen_count, transfer_count and the team of a ticket.';
CREATE OR REPLACE TRIGGER tickets_before_tally
    BEFORE INSERT OR UPDATE ON crm.tickets
    FOR EACH ROW EXECUTE FUNCTION crm_internal.tickets_tally();

-- security definer: the records below are written for people who may not write them themselves
CREATE OR REPLACE FUNCTION crm_internal.tickets_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    history CONSTANT boolean := coalesce(current_setting('crm.history_reason', true), '') <> '';
    at timestamptz := now();
    old_type text;
    new_stage crm.stages;
    event text;
    data jsonb := '{}';
    subject jsonb;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM crm.sla_subjects AS s
                   WHERE s.tenant_id = OLD.tenant_id AND s.subject_type = 'tickets' AND s.subject_id = OLD.id AND s.open) THEN
            PERFORM crm.record_sla_event('tickets', OLD.id, 'cancelled', now());
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' OR OLD.stage_id IS DISTINCT FROM NEW.stage_id THEN
        SELECT s.* INTO new_stage FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id;
        data := jsonb_build_object('stage', new_stage.code, 'stage_type', new_stage.type);
    END IF;

    IF TG_OP = 'INSERT' THEN
        IF NEW.queue_id IS NOT NULL OR NEW.owner_id IS NOT NULL THEN
            INSERT INTO crm.ticket_transfers (tenant_id, ticket_id, to_queue_id, to_owner_id, changed_by, changed_at)
            VALUES (NEW.tenant_id, NEW.id, NEW.queue_id, NEW.owner_id, crm.user_id(), NEW.created_at);
        END IF;
        PERFORM crm.record_sla_event('tickets', NEW.id, 'opened', NEW.created_at,
                                     CASE WHEN new_stage.type IN ('open', 'on_hold') THEN data ELSE '{}' END, to_jsonb(NEW));
        -- an imported one may be answered and closed already
        IF NEW.first_response_at IS NOT NULL THEN
            PERFORM crm.record_sla_event('tickets', NEW.id, 'agent_message', greatest(NEW.first_response_at, NEW.created_at));
        END IF;
        IF new_stage.type IN ('done', 'won') THEN
            PERFORM crm.record_sla_event('tickets', NEW.id, 'resolved', greatest(NEW.resolved_at, NEW.created_at), data);
        ELSIF new_stage.type IN ('lost', 'cancelled') THEN
            PERFORM crm.record_sla_event('tickets', NEW.id, 'cancelled', greatest(NEW.closed_at, NEW.created_at), data);
        END IF;
    ELSE
        IF OLD.stage_id IS DISTINCT FROM NEW.stage_id THEN
            SELECT s.type INTO old_type FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = OLD.stage_id;
            at := NEW.stage_entered_at;
            event := CASE
                WHEN new_stage.type IN ('done', 'won') AND old_type NOT IN ('done', 'won') THEN 'resolved'
                WHEN new_stage.type IN ('lost', 'cancelled') AND NEW.merged_into_id IS NOT NULL THEN 'merged'
                WHEN new_stage.type IN ('lost', 'cancelled') THEN 'cancelled'
                WHEN new_stage.type IN ('open', 'on_hold') AND old_type NOT IN ('open', 'on_hold') THEN 'reopened'
                ELSE 'stage' END;
            IF event = 'merged' THEN
                data := data || jsonb_build_object('into_id', NEW.merged_into_id);
            END IF;
        END IF;
        -- what the conditions of policies look at
        IF (OLD.priority, OLD.queue_id, OLD.type, OLD.channel, OLD.contact_id, OLD.account_id, OLD.product_id, OLD.order_id,
            OLD.team_id, OLD.language, OLD.tags, OLD.custom)
           IS DISTINCT FROM
           (NEW.priority, NEW.queue_id, NEW.type, NEW.channel, NEW.contact_id, NEW.account_id, NEW.product_id, NEW.order_id,
            NEW.team_id, NEW.language, NEW.tags, NEW.custom) THEN
            event := coalesce(event, 'changed');
            subject := to_jsonb(NEW);
        END IF;
        IF event IS NOT NULL THEN
            PERFORM crm.record_sla_event('tickets', NEW.id, event, at, data, subject);
        END IF;

        IF OLD.queue_id IS DISTINCT FROM NEW.queue_id OR OLD.owner_id IS DISTINCT FROM NEW.owner_id THEN
            INSERT INTO crm.ticket_transfers (tenant_id, ticket_id, from_queue_id, to_queue_id, from_owner_id, to_owner_id,
                                              changed_by, changed_at)
            VALUES (NEW.tenant_id, NEW.id, OLD.queue_id, NEW.queue_id, OLD.owner_id, NEW.owner_id, crm.user_id(), at);
        END IF;
        IF OLD.owner_id IS NOT NULL AND OLD.closed_at IS NULL
           AND (NEW.closed_at IS NOT NULL OR NEW.owner_id IS DISTINCT FROM OLD.owner_id) THEN
            UPDATE crm.agents AS a SET last_released_at = greatest(a.last_released_at, coalesce(NEW.closed_at, at))
            WHERE a.tenant_id = NEW.tenant_id AND a.user_id = OLD.owner_id;
        END IF;
        IF OLD.closed_at IS NOT NULL AND NEW.closed_at IS NULL THEN
            UPDATE crm.survey_responses AS r SET cancelled_at = now()
            WHERE r.tenant_id = NEW.tenant_id AND r.subject_table = 'tickets' AND r.subject_id = NEW.id
              AND r.sent_at IS NULL AND r.cancelled_at IS NULL;
        END IF;
        IF OLD.resolved_at IS NOT DISTINCT FROM NEW.resolved_at THEN
            RETURN NULL;
        END IF;
    END IF;
    -- imported history is not asked about
    IF NEW.resolved_at IS NOT NULL AND NOT history THEN
        PERFORM crm_internal.schedule_surveys(NEW.tenant_id, 'ticket.resolved', 'tickets', NEW.id, to_jsonb(NEW), NEW.resolved_at);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_follow() IS 'What follows from a change of a ticket: its clocks, the record of transfers, released capacity, surveys.';
CREATE OR REPLACE TRIGGER tickets_after_follow
    AFTER INSERT OR UPDATE OR DELETE ON crm.tickets
    FOR EACH ROW EXECUTE FUNCTION crm_internal.tickets_follow();

-- ---- commands ----

CREATE OR REPLACE FUNCTION crm.get_ticket(ticket_id bigint, for_update boolean DEFAULT false)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
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
    route boolean DEFAULT true)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    q CONSTANT bigint := crm.find_queue(open_ticket.queue);
    made crm.tickets;
BEGIN
    INSERT INTO crm.tickets AS k (tenant_id, subject, description, channel, contact_id, account_id, queue_id, type, priority,
                                  product_id, order_id, skill_ids, owner_id, tags, custom)
    VALUES (t, open_ticket.subject, open_ticket.description, open_ticket.channel, open_ticket.contact_id,
            open_ticket.account_id, q, open_ticket.type, open_ticket.priority, open_ticket.product_id, open_ticket.order_id,
            open_ticket.skill_ids, open_ticket.owner_id, open_ticket.tags, open_ticket.custom)
    RETURNING k.* INTO made;
    IF route AND made.owner_id IS NULL THEN
        PERFORM crm.route_ticket(made.id);
        made := crm.get_ticket(made.id, false);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.open_ticket(text, text, text, bigint, bigint, text, text, text, bigint, bigint, bigint[], bigint, text[], jsonb, boolean) IS
'Opens a ticket and gives it to an agent by the rules of its queue (route false: leaves it unassigned). queue is a code; account defaults to the contact''s, team and process to the queue''s. Returns the ticket. Errors: 42704 for an unknown queue, 23503 for an unknown contact, type or priority.';

CREATE OR REPLACE FUNCTION crm.reopen_ticket(ticket_id bigint, reason text DEFAULT NULL)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets := crm.get_ticket(ticket_id, true);
BEGIN
    IF ticket.closed_at IS NULL THEN
        RETURN ticket;
    END IF;
    UPDATE crm.tickets AS k
    SET stage_id = (SELECT s.id FROM crm.stages AS s
                    WHERE s.tenant_id = t AND s.pipeline_id = ticket.pipeline_id AND s.type = 'open' AND s.active
                    ORDER BY s.code = 'open' DESC, s.is_initial DESC, s.position LIMIT 1)
    WHERE k.tenant_id = t AND k.id = ticket.id
    RETURNING k.* INTO ticket;
    IF reason IS NOT NULL THEN
        INSERT INTO crm.ticket_messages (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, is_public, body)
        VALUES (t, ticket.id, 'api', 'internal', CASE WHEN crm.user_id() IS NULL THEN 'system' ELSE 'agent' END,
                crm.user_id(), false, reason);
    END IF;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.reopen_ticket(bigint, text) IS
'Moves a closed ticket back to the open stage of its process (the one with code open, else the initial one); an open one is left as it is. The reason becomes an internal note. Returns the ticket. A merged ticket stands on its own again, but its messages stay where they went.';

CREATE OR REPLACE FUNCTION crm.resolve_ticket(ticket_id bigint, note text DEFAULT NULL, stage text DEFAULT NULL)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets := crm.get_ticket(ticket_id, true);
    target bigint;
BEGIN
    SELECT s.id INTO target FROM crm.stages AS s
    WHERE s.tenant_id = t AND s.pipeline_id = ticket.pipeline_id AND s.active AND s.type IN ('done', 'won')
      AND (stage IS NULL OR s.code = stage)
    ORDER BY s.position LIMIT 1;
    IF target IS NULL THEN
        RAISE EXCEPTION 'the process of ticket % has no stage % that resolves it', ticket_id, coalesce('"' || stage || '"', 'of type done')
            USING ERRCODE = 'CR107', HINT = 'crm.allowed_moves_of(''tickets'', id) lists the stages.';
    END IF;
    IF note IS NOT NULL THEN
        INSERT INTO crm.ticket_messages (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, is_public, body)
        VALUES (t, ticket.id, 'api', 'internal', CASE WHEN crm.user_id() IS NULL THEN 'system' ELSE 'agent' END,
                crm.user_id(), false, note);
    END IF;
    UPDATE crm.tickets AS k SET stage_id = target
    WHERE k.tenant_id = t AND k.id = ticket.id
    RETURNING k.* INTO ticket;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.resolve_ticket(bigint, text, text) IS
'Moves a ticket to the first stage of type done of its process, or to the one named by code; the note is kept internally. Returns the ticket. Errors: CR107 where there is no such stage, and whatever the process demands (CR101 to CR105).';

CREATE OR REPLACE FUNCTION crm.move_ticket(ticket_id bigint, stage text)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    ticket crm.tickets := crm.get_ticket(ticket_id, true);
    target bigint;
BEGIN
    SELECT s.id INTO target FROM crm.stages AS s
    WHERE s.tenant_id = t AND s.pipeline_id = ticket.pipeline_id AND s.code = stage;
    IF target IS NULL THEN
        RAISE EXCEPTION 'the process of ticket % has no stage "%"', ticket_id, stage
            USING ERRCODE = 'CR107', HINT = 'crm.allowed_moves_of(''tickets'', id) lists the stages.';
    END IF;
    UPDATE crm.tickets AS k SET stage_id = target
    WHERE k.tenant_id = t AND k.id = ticket.id
    RETURNING k.* INTO ticket;
    RETURN ticket;
END
$$;
COMMENT ON FUNCTION crm.move_ticket(bigint, text) IS
'Moves a ticket to the stage with that code and returns it. Errors: CR107 for an unknown stage, and whatever the process demands (CR101 to CR105).';

CREATE OR REPLACE FUNCTION crm.transfer_ticket(ticket_id bigint, queue text DEFAULT NULL, owner_id bigint DEFAULT NULL, route boolean DEFAULT true)
RETURNS crm.tickets
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    q CONSTANT bigint := crm.find_queue(transfer_ticket.queue);
    ticket crm.tickets := crm.get_ticket(ticket_id, true);
BEGIN
    IF num_nonnulls(q, transfer_ticket.owner_id) = 0 THEN
        RAISE EXCEPTION 'a transfer needs a queue or an owner' USING ERRCODE = 'null_value_not_allowed';
    END IF;
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
'Hands a ticket over to another queue, another owner or both; without an owner it is given out anew by the rules of the queue. Returns the ticket.';

CREATE OR REPLACE FUNCTION crm.follow_ticket(ticket_id bigint, user_id bigint DEFAULT NULL, contact_id bigint DEFAULT NULL)
RETURNS crm.ticket_followers
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
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
#variable_conflict use_column
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    q CONSTANT tsquery := crm.search_query(query);
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
        ORDER BY hit.rank DESC, k.id DESC
        LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION crm.search_tickets(text, integer) IS
'Tickets whose messages match, best first. The query is written as for a search engine: words, "phrases", or, -not; spellings of Persian and Arabic letters and digits meet.';
