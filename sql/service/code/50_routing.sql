-- Routing of tickets; how a choice is made stands in the room process.

CREATE OR REPLACE FUNCTION crm.route_ticket(ticket_id bigint, reassign boolean DEFAULT false, as_of timestamptz DEFAULT now())
RETURNS crm.assignments
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm.route_record('tickets', ticket_id, reassign, as_of);
END
$$;
COMMENT ON FUNCTION crm.route_ticket(bigint, boolean, timestamptz) IS 'crm.route_record() for a ticket.';
