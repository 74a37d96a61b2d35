-- Tickets as every writer leaves them: what a new one takes from its queue and contact, what is counted on the row, and
-- what follows from a change for clocks, transfers, agents and surveys.

CREATE OR REPLACE FUNCTION crm_internal.tickets_defaults() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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

CREATE OR REPLACE FUNCTION crm.queue_that_goes_on(tenant bigint, queue_id bigint)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN CASE WHEN EXISTS (SELECT FROM crm.queues AS q WHERE q.tenant_id = tenant AND q.id = queue_that_goes_on.queue_id AND NOT q.active)
                THEN coalesce((SELECT q.id FROM crm.queues AS q WHERE q.tenant_id = tenant AND q.active ORDER BY q.is_default DESC, q.id LIMIT 1), queue_id)
                ELSE queue_id END;
END
$$;
COMMENT ON FUNCTION crm.queue_that_goes_on(bigint, bigint) IS
'Where work for a queue goes: there, or, where that one is off, to the default queue (crm.default_queue()). '
'Where no queue is in use it stays where it was meant to go.';

-- named to run after the guard of stages, which fills stage_entered_at
CREATE OR REPLACE FUNCTION crm_internal.tickets_tally() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    old_type text;
    new_type text;
    reopened boolean := false;
BEGIN
    -- a retired type cannot be chosen. It stays where it is, and is no reason to lose a mail, a history or a part of a ticket
    IF (TG_OP = 'INSERT' AND NEW.closed_at IS NULL AND NEW.split_from_id IS NULL OR TG_OP = 'UPDATE' AND NEW.type <> OLD.type)
       AND current_setting('crm.incomplete_kept') = '0'
       AND EXISTS (SELECT FROM crm.ticket_types AS t WHERE t.tenant_id = NEW.tenant_id AND t.code = NEW.type AND NOT t.active) THEN
        RAISE EXCEPTION 'ticket type "%" is no longer in use', NEW.type
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Choose an active one of crm.ticket_types.';
    END IF;
    SELECT s.type INTO new_type FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id;
    IF TG_OP = 'UPDATE' THEN
        IF OLD.stage_id <> NEW.stage_id THEN
            SELECT s.type INTO old_type FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = OLD.stage_id;
            reopened := new_type IN ('open', 'on_hold') AND old_type NOT IN ('open', 'on_hold');
        END IF;
        IF reopened THEN
            -- whoever left does not get it back, nor a queue that is off
            IF NEW.owner_id IS NOT NULL AND crm.is_away(NEW.owner_id, NEW.tenant_id) THEN
                NEW.owner_id := NULL;
            END IF;
            IF NEW.queue_id = OLD.queue_id THEN
                NEW.queue_id := crm.queue_that_goes_on(NEW.tenant_id, NEW.queue_id);
            END IF;
        END IF;
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
    END IF;
    IF new_type IN ('done', 'won') AND old_type IS DISTINCT FROM new_type THEN
        NEW.resolved_at := CASE WHEN TG_OP = 'INSERT' THEN coalesce(NEW.resolved_at, NEW.stage_entered_at) ELSE NEW.stage_entered_at END;
    ELSIF reopened THEN
        NEW.reopen_count := OLD.reopen_count + 1;
        NEW.merged_into_id := NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_tally() IS
'Keeps resolved_at, reopen_count, transfer_count and the team of a ticket; one that is opened again leaves an owner who is gone and a queue that is off. '
'Refuses a type that is retired (22023).';
CREATE OR REPLACE TRIGGER tickets_before_tally
    BEFORE INSERT OR UPDATE ON crm.tickets
    FOR EACH ROW EXECUTE FUNCTION crm.if_changed('tickets_tally', 'type,queue_id,owner_id,stage_id');

-- ---- what follows from a change ----

-- All tickets of a statement at once: a migration enters them by the hundred thousand. An imported one may be answered
-- and closed already.
-- security definer: the records below are written for people who may not write them themselves
CREATE OR REPLACE FUNCTION crm_internal.tickets_opened() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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
                  AND (p.condition IS NULL OR coalesce(crm.path_holds(to_jsonb(n.*), p.condition), false))
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
        PERFORM crm_internal.schedule_surveys(n.tenant_id, 'ticket.resolved', 'tickets', n.id, to_jsonb(n.*), n.resolved_at)
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

-- Changes of a statement at once, too. Old and new rows are paired by a full join, which is always hashed or merged: as a plan kept
-- from one row, any other join would compare each old row with each new one. What is found by key is a value for the same reason.
-- Each asks first whether the statement was about it: most change one ticket, and little of it.
-- security definer: the records below are written for people who may not write them themselves
CREATE OR REPLACE FUNCTION crm_internal.tickets_clocks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- what happens to a ticket, not what it is; all other columns are looked at by the conditions of policies
    happens CONSTANT text[] := '{stage_id,stage_entered_at,closed_at,first_response_at,resolved_at,reopen_count,transfer_count,merged_into_id,'
                               'owner_id,shared_user_ids,shared_team_ids,version,updated_at}';
    told boolean;
    merged boolean;
BEGIN
    SELECT bool_or(CASE WHEN p.moved THEN true
                        WHEN crm_internal.promised_otherwise(p.tenant_id, 'tickets', p.id, p.priority, p.is_now)
                            THEN crm.row_facts(p.was, happens) <> crm.row_facts(p.is_now, happens)
                        ELSE false END)
    INTO told
    FROM (SELECT n.tenant_id, n.id, n.priority, o.stage_id <> n.stage_id AS moved, (o.*)::record AS was, (n.*)::record AS is_now
          FROM old_rows AS o FULL JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id OFFSET 0) AS p;
    IF told IS NOT TRUE THEN
        RETURN NULL;
    END IF;

    WITH pairs AS MATERIALIZED (
        SELECT n.tenant_id, n.id, n.priority, n.merged_into_id, o.stage_id AS old_stage_id, n.stage_id, o.stage_id <> n.stage_id AS moved,
               n.stage_entered_at, (o.*)::record AS was, (n.*)::record AS is_now
        FROM old_rows AS o FULL JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id
    ), looked AS MATERIALIZED (
        SELECT p.*, s.code, s.type,
               (SELECT b.type FROM crm.stages AS b WHERE b.tenant_id = p.tenant_id AND b.id = p.old_stage_id AND p.moved) AS old_type,
               CASE WHEN crm_internal.promised_otherwise(p.tenant_id, 'tickets', p.id, p.priority, p.is_now)
                    THEN crm.row_facts(p.was, happens) <> crm.row_facts(p.is_now, happens) ELSE false END AS changed
        FROM pairs AS p
        LEFT JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id AND p.moved
    ), told AS MATERIALIZED (
        SELECT l.*, CASE WHEN l.moved THEN l.stage_entered_at ELSE now() END AS at,
               CASE WHEN NOT l.moved THEN CASE WHEN l.changed THEN 'changed' END
                    WHEN l.type IN ('done', 'won') AND l.old_type NOT IN ('done', 'won') THEN 'resolved'
                    WHEN l.type IN ('lost', 'cancelled') AND l.merged_into_id IS NOT NULL THEN 'merged'
                    WHEN l.type IN ('lost', 'cancelled') THEN 'cancelled'
                    WHEN l.type IN ('open', 'on_hold') AND l.old_type NOT IN ('open', 'on_hold') THEN 'reopened'
                    ELSE 'stage' END AS event,
               CASE WHEN l.changed THEN crm_internal.match_sla_policy(l.tenant_id, 'tickets', to_jsonb(l.is_now)) END AS policy_id,
               CASE WHEN l.changed THEN
                   (SELECT (t.definition ->> 'calendar_id')::bigint
                    FROM crm.sla_subjects AS b JOIN crm.sla_terms AS t ON t.tenant_id = b.tenant_id AND t.id = b.terms_id
                    WHERE b.tenant_id = l.tenant_id AND b.subject_type = 'tickets' AND b.subject_id = l.id) END AS calendar_id
        FROM looked AS l
    ), terms AS MATERIALIZED (
        SELECT d.*, crm_internal.sla_terms_id(d.tenant_id, d.policy_id, d.priority, d.calendar_id) AS terms_id
        FROM (SELECT DISTINCT t.tenant_id, t.policy_id, t.priority, t.calendar_id FROM told AS t WHERE t.changed) AS d
    ), written AS (
        INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, stage, stage_type, priority, terms_id)
        SELECT t.tenant_id, 'tickets', t.id, t.event, t.at, t.code, t.type,
               CASE WHEN t.changed THEN t.priority END,
               CASE WHEN t.changed THEN (SELECT m.terms_id FROM terms AS m
                                         WHERE m.tenant_id = t.tenant_id AND m.priority = t.priority
                                           AND m.policy_id IS NOT DISTINCT FROM t.policy_id
                                           AND m.calendar_id IS NOT DISTINCT FROM t.calendar_id) END
        FROM told AS t
        WHERE t.event IS NOT NULL
        RETURNING event = 'merged' AS merged
    )
    SELECT bool_or(w.merged) INTO merged FROM written AS w;
    IF merged THEN
        -- the ticket that goes on has been waited for since the older one was opened
        INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, at_time, data)
        SELECT m.tenant_id, 'tickets', m.merged_into_id, 'absorbed', m.stage_entered_at, m.opened_at, jsonb_build_object('from_id', m.id)
        FROM (SELECT p.*, (SELECT min(e.occurred_at) FROM crm.sla_events AS e
                           WHERE e.tenant_id = p.tenant_id AND e.subject_type = 'tickets' AND e.subject_id = p.id AND e.event = 'opened') AS opened_at
              FROM (SELECT n.tenant_id, n.id, n.stage_id, n.stage_entered_at, n.merged_into_id, o.stage_id <> n.stage_id AS moved
                    FROM old_rows AS o FULL JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id OFFSET 0) AS p
              WHERE p.moved AND p.merged_into_id IS NOT NULL
                AND (SELECT s.type FROM crm.stages AS s WHERE s.tenant_id = p.tenant_id AND s.id = p.stage_id) IN ('lost', 'cancelled')) AS m
        WHERE m.opened_at IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_clocks() IS 'What changes of tickets mean to their clocks.';
CREATE OR REPLACE TRIGGER tickets_after_clocks
    AFTER UPDATE ON crm.tickets
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    -- the same columns as within it, but for the stage
    FOR EACH STATEMENT EXECUTE FUNCTION crm.if_changed('tickets_clocks', '-stage_entered_at,closed_at,first_response_at,resolved_at,reopen_count,'
        'transfer_count,merged_into_id,owner_id,shared_user_ids,shared_team_ids,version,updated_at');

-- security definer: as above
CREATE OR REPLACE FUNCTION crm_internal.tickets_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    does record;
    again record;
BEGIN
    SELECT bool_or(o.queue_id IS DISTINCT FROM n.queue_id OR o.owner_id IS DISTINCT FROM n.owner_id) AS handed,
           bool_or(o.closed_at IS NOT NULL AND n.closed_at IS NULL) AS reopened,
           bool_or(n.resolved_at IS DISTINCT FROM o.resolved_at AND n.resolved_at IS NOT NULL) AS resolved
    INTO does
    FROM old_rows AS o FULL JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id;

    IF does.handed THEN
        INSERT INTO crm.ticket_transfers (tenant_id, ticket_id, from_queue_id, to_queue_id, from_owner_id, to_owner_id, changed_by, changed_at)
        SELECT p.tenant_id, p.id, p.from_queue_id, p.to_queue_id, p.from_owner_id, p.to_owner_id, crm.user_id(), p.at
        FROM (SELECT n.tenant_id, n.id, o.queue_id AS from_queue_id, n.queue_id AS to_queue_id, o.owner_id AS from_owner_id, n.owner_id AS to_owner_id,
                     CASE WHEN o.stage_id <> n.stage_id THEN n.stage_entered_at ELSE now() END AS at
              FROM old_rows AS o FULL JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id OFFSET 0) AS p
        WHERE p.id IS NOT NULL AND (p.from_queue_id IS DISTINCT FROM p.to_queue_id OR p.from_owner_id IS DISTINCT FROM p.to_owner_id);
    END IF;

    IF does.reopened THEN
        FOR again IN SELECT p.tenant_id, p.id
                     FROM (SELECT n.tenant_id, n.id, o.closed_at IS NOT NULL AND n.closed_at IS NULL AS reopened
                           FROM old_rows AS o FULL JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id OFFSET 0) AS p
                     WHERE p.reopened LOOP
            UPDATE crm.survey_responses AS r SET cancelled_at = now(), cancelled_because = 'open again'
            WHERE r.tenant_id = again.tenant_id AND r.subject_table = 'tickets' AND r.subject_id = again.id
              AND r.sent_at IS NULL AND r.cancelled_at IS NULL;
        END LOOP;
    END IF;

    -- imported history is not asked about
    IF does.resolved AND coalesce(current_setting('crm.history_reason', true), '') = '' THEN
        PERFORM crm_internal.schedule_surveys(p.tenant_id, 'ticket.resolved', 'tickets', p.id, to_jsonb(p.is_now), p.resolved_at)
        FROM (SELECT n.tenant_id, n.id, n.resolved_at, o.resolved_at AS was_resolved_at, (n.*)::record AS is_now
              FROM old_rows AS o FULL JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id OFFSET 0) AS p
        WHERE p.resolved_at IS NOT NULL AND p.resolved_at IS DISTINCT FROM p.was_resolved_at;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_changed() IS
'What follows from changed tickets besides their clocks: the record of transfers, surveys that are planned, or not sent because the ticket is open again.';
CREATE OR REPLACE TRIGGER tickets_after_follow
    AFTER UPDATE ON crm.tickets
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm.if_changed('tickets_changed', 'queue_id,owner_id,closed_at,resolved_at');

-- a row at a time: whoever is free is given work by row triggers that come next (tickets_after_zz_free)
CREATE OR REPLACE FUNCTION crm_internal.tickets_released() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    at CONSTANT timestamptz := coalesce(NEW.closed_at, CASE WHEN OLD.stage_id IS DISTINCT FROM NEW.stage_id THEN NEW.stage_entered_at ELSE now() END);
BEGIN
    -- once for all that are closed together: each further version of the row would be read by the next
    UPDATE crm.agents AS a SET last_released_at = at
    WHERE a.tenant_id = NEW.tenant_id AND a.user_id = OLD.owner_id AND (a.last_released_at IS NULL OR a.last_released_at < at);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_released() IS 'Whose ticket is closed or goes to somebody else has been free since.';
CREATE OR REPLACE TRIGGER tickets_after_idle
    AFTER UPDATE ON crm.tickets
    FOR EACH ROW WHEN (OLD.owner_id IS NOT NULL AND OLD.closed_at IS NULL AND (NEW.closed_at IS NOT NULL OR NEW.owner_id IS DISTINCT FROM OLD.owner_id))
    EXECUTE FUNCTION crm_internal.tickets_released();

CREATE OR REPLACE FUNCTION crm_internal.tickets_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at)
    SELECT o.tenant_id, 'tickets', o.id, 'cancelled', now()
    FROM old_rows AS o
    WHERE (SELECT s.open FROM crm.sla_subjects AS s
           WHERE s.tenant_id = o.tenant_id AND s.subject_type = 'tickets' AND s.subject_id = o.id);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.tickets_gone() IS 'Clocks of deleted tickets stop.';
CREATE OR REPLACE TRIGGER tickets_after_gone
    AFTER DELETE ON crm.tickets
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.tickets_gone();
