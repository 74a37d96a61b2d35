-- The outbox for people: events of their own, about records they see.

CREATE OR REPLACE FUNCTION crm.emit_event(
    kind text, subject_table text DEFAULT NULL, subject_id bigint DEFAULT NULL,
    payload jsonb DEFAULT '{}', scheduled_at timestamptz DEFAULT now(), dedupe_key text DEFAULT NULL)
RETURNS crm.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- consumers believe the kinds of the CRM, and an event that is there may hold what its reader may not know
    IF NOT crm.has_access('admin') AND kind NOT LIKE 'app.%' THEN
        RAISE EXCEPTION 'events of kind "%" are written by the CRM and its admins', kind
            USING ERRCODE = 'insufficient_privilege', HINT = 'Kinds of your own begin with "app.", such as app.visited.';
    END IF;
    PERFORM crm_internal.require(emit_event.subject_table, emit_event.subject_id, 'see');
    RETURN crm_internal.write_event(kind, subject_table, subject_id, payload, scheduled_at, dedupe_key);
END
$$;
COMMENT ON FUNCTION crm.emit_event(text, text, bigint, jsonb, timestamptz, text) IS
'Writes an event into the outbox and returns it; with a dedupe_key that the kind has had, returns the one that is there. Kinds of agents and managers begin '
'with app., about records they see. Errors: 42501 another kind, P0002 a record the caller does not see.';
SELECT crm.declare_function('crm.emit_event', 'agent');
