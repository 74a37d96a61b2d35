-- Two tickets made one, and one made two: nothing that was said or is known of either is lost.

CREATE OR REPLACE FUNCTION crm.merge_tickets(source_id bigint, target_id bigint)
RETURNS crm.tickets
-- security definer: what both tickets hold comes over whole, also what whoever merges them would have to fill in
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    source crm.tickets;
    target crm.tickets;
    stage text;
BEGIN
    PERFORM crm.because('merge_tickets');
    PERFORM crm_internal.require('tickets', source_id, 'change'), crm_internal.require('tickets', target_id, 'change');
    -- both tickets have been checked: neither a retired choice nor a newer requirement stops them
    PERFORM crm.keep_incomplete(false);
    -- in one order, whoever merges what into what
    PERFORM crm.get_ticket(least(source_id, target_id), true);
    PERFORM crm.get_ticket(greatest(source_id, target_id), true);
    source := crm.get_ticket(source_id, true);
    target := crm.get_ticket(target_id, true);
    IF source.id = target.id THEN
        RAISE EXCEPTION 'ticket % cannot be merged into itself', source_id USING ERRCODE = 'CR204', HINT = 'Give another ticket as target.';
    END IF;
    IF source.merged_into_id = target.id THEN
        RETURN target;
    END IF;
    IF source.merged_into_id IS NOT NULL OR target.merged_into_id IS NOT NULL THEN
        RAISE EXCEPTION 'ticket % has been merged into ticket %',
            CASE WHEN source.merged_into_id IS NOT NULL THEN source.id ELSE target.id END,
            coalesce(source.merged_into_id, target.merged_into_id)
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Use the ticket that goes on.';
    END IF;
    stage := (crm.first_stage(t, source.pipeline_id, '{cancelled}', 'merged')).code;

    PERFORM crm.move_children('tickets', source.id, target.id);
    INSERT INTO crm.ticket_followers (tenant_id, ticket_id, user_id, contact_id)
    SELECT t, target.id, f.user_id, f.contact_id FROM crm.ticket_followers AS f
    WHERE f.tenant_id = t AND f.ticket_id = source.id
    ON CONFLICT DO NOTHING;
    -- who asked in the merged ticket wants to hear of it, too
    IF source.contact_id <> target.contact_id THEN
        INSERT INTO crm.ticket_followers (tenant_id, ticket_id, contact_id)
        VALUES (t, target.id, source.contact_id) ON CONFLICT DO NOTHING;
    END IF;
    UPDATE crm.tickets AS k SET parent_id = nullif(target.id, k.id) WHERE k.tenant_id = t AND k.parent_id = source.id;
    PERFORM crm.move_row(source, source.id, stage, jsonb_build_object('merged_into_id', target.id));
    INSERT INTO crm.ticket_messages (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, is_public, body)
    VALUES (t, target.id, 'api', 'internal', 'system', crm.user_id(), false,
            format('Ticket %s "%s" was merged into this one.', source.id, source.subject));
    -- as it is now: what followed above may have changed it
    target := crm.get_ticket(target_id, true);
    -- what was still to be done is to be done there
    IF source.closed_at IS NULL AND target.closed_at IS NOT NULL THEN
        target := crm.reopen_ticket(target.id);
    END IF;
    RETURN crm.update_row(target, crm.carry_owned(target, source, 'merge'));
END
$$;
COMMENT ON FUNCTION crm.merge_tickets(bigint, bigint) IS
'Merges a ticket into another that goes on in its place, and returns that one: messages and followers come over, children follow, the asker becomes a '
'follower; every column keeps the target''s value and takes the merged ticket''s where there is none, lists, shares and custom fields are joined '
'(exceptions: crm.column_rules); the merged ticket is closed in the stage merged and its clocks end, neither met nor missed; the messages count '
'for the clocks of the one that goes on, which is reopened where only the merged one was open. Errors: CR204 for a '
'ticket and itself, 55000 where one of them has been merged before, CR107 where the process has no stage of type cancelled. What lacks a required '
'field is kept without it, and listed (crm_analytics.incomplete_records).';
SELECT crm.declare_function('crm.merge_tickets', 'agent');
SELECT crm.declare_api('crm.merge_tickets', '{"source_id": 2, "target_id": 1}');

CREATE OR REPLACE FUNCTION crm.split_ticket(ticket_id bigint, message_ids bigint[], subject text DEFAULT NULL)
RETURNS crm.tickets
-- security definer: the new ticket has what the old one has, also where a newer requirement would refuse it
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    source crm.tickets;
    made crm.tickets;
    first_body text;
    first_at timestamptz;
    taken bigint;
BEGIN
    PERFORM crm.because('split_ticket');
    PERFORM crm_internal.require('tickets', split_ticket.ticket_id, 'change');
    PERFORM crm.keep_incomplete(false);
    source := crm.get_ticket(split_ticket.ticket_id, true);
    SELECT count(*), (array_agg(m.body ORDER BY m.sent_at, m.id))[1], min(m.sent_at) INTO taken, first_body, first_at
    FROM crm.ticket_messages AS m
    WHERE m.tenant_id = t AND m.ticket_id = source.id AND m.id = ANY (message_ids);
    IF taken = 0 OR taken <> (SELECT count(DISTINCT x) FROM unnest(message_ids) AS x) THEN
        RAISE EXCEPTION 'ticket % does not have all of these messages', source.id
            USING ERRCODE = 'no_data_found', DETAIL = format('Messages asked for: %s; found: %s.', message_ids, taken);
    END IF;
    IF NOT EXISTS (SELECT FROM crm.ticket_messages AS m
                   WHERE m.tenant_id = t AND m.ticket_id = source.id AND m.id <> ALL (message_ids)) THEN
        RAISE EXCEPTION 'nothing would be left of ticket %', source.id
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave at least one message behind.';
    END IF;
    made := crm.carry_owned(made, source, 'copy');
    made.queue_id := crm.queue_that_goes_on(t, made.queue_id);
    made.subject := coalesce(split_ticket.subject, source.subject);
    made.description := first_body;
    made.split_from_id := source.id;
    -- it was asked when it was asked, and that is what its clocks count from
    made.created_at := least(first_at, now());
    made := crm.insert_row(made);
    UPDATE crm.ticket_messages AS m SET ticket_id = made.id
    WHERE m.tenant_id = t AND m.ticket_id = source.id AND m.id = ANY (message_ids);
    INSERT INTO crm.ticket_followers (tenant_id, ticket_id, user_id, contact_id)
    SELECT t, made.id, f.user_id, f.contact_id FROM crm.ticket_followers AS f
    WHERE f.tenant_id = t AND f.ticket_id = source.id;
    INSERT INTO crm.ticket_messages (tenant_id, ticket_id, channel, direction, author_kind, author_user_id, is_public, body)
    VALUES (t, source.id, 'api', 'internal', 'system', crm.user_id(), false, format('%s message(s) were split off as ticket %s.', taken, made.id));
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.split_ticket(bigint, bigint[], text) IS
'Makes a ticket of its own from some messages of a ticket, and returns it. It has what the ticket has, asker, queue, owner and custom fields among it '
'(exceptions: crm.column_rules), and counts as made when the first of them was sent. Errors: P0002 where a message is not the ticket''s, '
'22023 where nothing would be left.';
SELECT crm.declare_function('crm.split_ticket', 'agent');
