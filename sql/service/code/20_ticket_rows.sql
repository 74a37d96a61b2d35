-- Tickets as every writer leaves them: what a new one takes from its queue and contact, what is counted on the row, and
-- what follows from a change for clocks, transfers, agents and surveys.

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
        -- whoever left does not get it back
        IF NEW.owner_id IS NOT NULL AND NOT EXISTS (SELECT FROM crm.users AS u
                                                    WHERE u.tenant_id = NEW.tenant_id AND u.id = NEW.owner_id AND u.active) THEN
            NEW.owner_id := NULL;
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_tally() IS 'Keeps resolved_at, reopen_count, transfer_count and the team of a ticket.';
CREATE OR REPLACE TRIGGER tickets_before_tally
    BEFORE INSERT OR UPDATE ON crm.tickets
    FOR EACH ROW EXECUTE FUNCTION crm_internal.tickets_tally();

-- ---- what follows from a change ----

-- All tickets of a statement at once: a migration enters them by the hundred thousand. An imported one may be answered
-- and closed already.
-- security definer: the records below are written for people who may not write them themselves
CREATE OR REPLACE FUNCTION crm_internal.tickets_opened() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO crm.ticket_transfers (tenant_id, ticket_id, to_queue_id, to_owner_id, changed_by, changed_at)
    SELECT n.tenant_id, n.id, n.queue_id, n.owner_id, crm.user_id(), n.created_at
    FROM new_tickets AS n
    WHERE n.queue_id IS NOT NULL OR n.owner_id IS NOT NULL;

    WITH opened AS MATERIALIZED (
        SELECT n.tenant_id, n.id, n.created_at, n.first_response_at, n.resolved_at, n.closed_at, n.priority, s.code, s.type,
               -- terms of an earlier life of the number
               (SELECT (t.definition ->> 'calendar_id')::bigint
                FROM crm.sla_subjects AS b JOIN crm.sla_terms AS t ON t.tenant_id = b.tenant_id AND t.id = b.terms_id
                WHERE b.tenant_id = n.tenant_id AND b.subject_type = 'tickets' AND b.subject_id = n.id) AS calendar_id,
               (SELECT p.id FROM crm.sla_policies AS p
                WHERE p.tenant_id = n.tenant_id AND p.subject_type = 'tickets' AND p.active
                  AND (p.condition IS NULL OR coalesce(crm.path_holds(to_jsonb(n), p.condition), false))
                ORDER BY p.position, p.id LIMIT 1) AS policy_id
        FROM new_tickets AS n
        LEFT JOIN crm.stages AS s ON s.tenant_id = n.tenant_id AND s.id = n.stage_id
    ), terms AS MATERIALIZED (
        SELECT d.*, crm_internal.sla_terms_id(d.tenant_id, d.policy_id, d.priority, d.calendar_id) AS terms_id
        FROM (SELECT DISTINCT o.tenant_id, o.policy_id, o.priority, o.calendar_id FROM opened AS o) AS d
    )
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, stage, stage_type, priority, terms_id)
    SELECT o.tenant_id, 'tickets', o.id, e.event, e.at, CASE WHEN e.staged THEN o.code END, CASE WHEN e.staged THEN o.type END,
           CASE e.event WHEN 'opened' THEN o.priority END,
           CASE e.event WHEN 'opened' THEN (SELECT t.terms_id FROM terms AS t
                                            WHERE t.tenant_id = o.tenant_id AND t.priority = o.priority
                                              AND t.policy_id IS NOT DISTINCT FROM o.policy_id
                                              AND t.calendar_id IS NOT DISTINCT FROM o.calendar_id) END
    FROM opened AS o
    CROSS JOIN LATERAL (
        SELECT 1, 'opened', o.created_at, o.type IN ('open', 'on_hold')
        UNION ALL
        SELECT 2, 'agent_message', greatest(o.first_response_at, o.created_at), false WHERE o.first_response_at IS NOT NULL
        UNION ALL
        SELECT 3, 'resolved', greatest(o.resolved_at, o.created_at), true WHERE o.type IN ('done', 'won')
        UNION ALL
        SELECT 3, 'cancelled', greatest(o.closed_at, o.created_at), true WHERE o.type IN ('lost', 'cancelled')
    ) AS e (step, event, at, staged);

    -- imported history is not asked about
    IF coalesce(current_setting('crm.history_reason', true), '') = '' THEN
        PERFORM crm_internal.schedule_surveys(n.tenant_id, 'ticket.resolved', 'tickets', n.id, to_jsonb(n), n.resolved_at)
        FROM new_tickets AS n WHERE n.resolved_at IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_opened() IS
'What follows from new tickets: their clocks, the record of who was given them first, surveys about those that are solved already.';
CREATE OR REPLACE TRIGGER tickets_after_opened
    AFTER INSERT ON crm.tickets
    REFERENCING NEW TABLE AS new_tickets
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.tickets_opened();

CREATE OR REPLACE FUNCTION crm_internal.ticket_clocks(old crm.tickets, new crm.tickets)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- what happens to a ticket, not what it is; all other columns are looked at by the conditions of policies
    happens CONSTANT text[] := '{stage_id,stage_entered_at,closed_at,first_response_at,resolved_at,reopen_count,transfer_count,merged_into_id,'
                               'owner_id,shared_user_ids,shared_team_ids,version,updated_at}';
    moved CONSTANT boolean := old.stage_id IS DISTINCT FROM new.stage_id;
    changed CONSTANT boolean := crm.row_facts(old, happens) <> crm.row_facts(new, happens);
    old_type text;
    stage crm.stages;
    event text;
    data jsonb := '{}';
BEGIN
    IF moved THEN
        SELECT s.type INTO old_type FROM crm.stages AS s WHERE s.tenant_id = new.tenant_id AND s.id = old.stage_id;
        SELECT s.* INTO stage FROM crm.stages AS s WHERE s.tenant_id = new.tenant_id AND s.id = new.stage_id;
        event := CASE
            WHEN stage.type IN ('done', 'won') AND old_type NOT IN ('done', 'won') THEN 'resolved'
            WHEN stage.type IN ('lost', 'cancelled') AND new.merged_into_id IS NOT NULL THEN 'merged'
            WHEN stage.type IN ('lost', 'cancelled') THEN 'cancelled'
            WHEN stage.type IN ('open', 'on_hold') AND old_type NOT IN ('open', 'on_hold') THEN 'reopened'
            ELSE 'stage' END;
        data := jsonb_build_object('stage', stage.code, 'stage_type', stage.type);
        IF event = 'merged' THEN
            data := data || jsonb_build_object('into_id', new.merged_into_id);
        END IF;
    ELSIF changed THEN
        event := 'changed';
    END IF;
    IF event IS NOT NULL THEN
        PERFORM crm_internal.record_sla_event(new.tenant_id, 'tickets', new.id, event, CASE WHEN moved THEN new.stage_entered_at ELSE now() END, data,
                                     CASE WHEN changed THEN to_jsonb(new) END);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.ticket_clocks(crm.tickets, crm.tickets) IS 'What a change of a ticket means to its clocks.';

CREATE OR REPLACE FUNCTION crm_internal.ticket_handed_on(old crm.tickets, new crm.tickets)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at CONSTANT timestamptz := CASE WHEN old.stage_id IS DISTINCT FROM new.stage_id THEN new.stage_entered_at ELSE now() END;
BEGIN
    IF old.queue_id IS DISTINCT FROM new.queue_id OR old.owner_id IS DISTINCT FROM new.owner_id THEN
        INSERT INTO crm.ticket_transfers (tenant_id, ticket_id, from_queue_id, to_queue_id, from_owner_id, to_owner_id, changed_by, changed_at)
        VALUES (new.tenant_id, new.id, old.queue_id, new.queue_id, old.owner_id, new.owner_id, crm.user_id(), at);
    END IF;
    IF old.owner_id IS NOT NULL AND old.closed_at IS NULL
       AND (new.closed_at IS NOT NULL OR new.owner_id IS DISTINCT FROM old.owner_id) THEN
        UPDATE crm.agents AS a SET last_released_at = greatest(a.last_released_at, coalesce(new.closed_at, at))
        WHERE a.tenant_id = new.tenant_id AND a.user_id = old.owner_id;
    END IF;
    IF old.closed_at IS NOT NULL AND new.closed_at IS NULL THEN
        UPDATE crm.survey_responses AS r SET cancelled_at = now(), cancelled_because = 'open again'
        WHERE r.tenant_id = new.tenant_id AND r.subject_table = 'tickets' AND r.subject_id = new.id
          AND r.sent_at IS NULL AND r.cancelled_at IS NULL;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.ticket_handed_on(crm.tickets, crm.tickets) IS
'The record of a transfer, capacity that is free again, and surveys that are not sent because the ticket is open again.';

-- security definer: the records below are written for people who may not write them themselves
CREATE OR REPLACE FUNCTION crm_internal.tickets_follow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM crm.sla_subjects AS s
                   WHERE s.tenant_id = OLD.tenant_id AND s.subject_type = 'tickets' AND s.subject_id = OLD.id AND s.open) THEN
            PERFORM crm_internal.record_sla_event(OLD.tenant_id, 'tickets', OLD.id, 'cancelled', now());
        END IF;
        RETURN NULL;
    END IF;
    PERFORM crm_internal.ticket_clocks(OLD, NEW);
    PERFORM crm_internal.ticket_handed_on(OLD, NEW);
    IF OLD.resolved_at IS NOT DISTINCT FROM NEW.resolved_at THEN
        RETURN NULL;
    END IF;
    -- imported history is not asked about
    IF NEW.resolved_at IS NOT NULL AND coalesce(current_setting('crm.history_reason', true), '') = '' THEN
        PERFORM crm_internal.schedule_surveys(NEW.tenant_id, 'ticket.resolved', 'tickets', NEW.id, to_jsonb(NEW), NEW.resolved_at);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_follow() IS 'What follows from a change of a ticket: its clocks, the record of transfers, released capacity, surveys.';
CREATE OR REPLACE TRIGGER tickets_after_follow
    AFTER UPDATE OR DELETE ON crm.tickets
    FOR EACH ROW EXECUTE FUNCTION crm_internal.tickets_follow();
