-- Security definer throughout: the outbox is written on behalf of everybody and read by those who deliver.
CREATE OR REPLACE FUNCTION crm_internal.write_event(
    kind text, subject_table text DEFAULT NULL, subject_id bigint DEFAULT NULL,
    payload jsonb DEFAULT '{}', scheduled_at timestamptz DEFAULT now(), dedupe_key text DEFAULT NULL)
RETURNS crm.events
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    made crm.events;
BEGIN
    IF num_nulls(write_event.subject_table, write_event.subject_id) = 1 THEN
        RAISE EXCEPTION 'an event is about a table and an id of it, or about none' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF write_event.kind IS NULL OR write_event.kind !~ '^[a-z][a-z0-9_.]*$' THEN
        RAISE EXCEPTION 'an event cannot be of kind "%"', write_event.kind USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Words of small letters, digits and underscores, with dots between: app.visited.';
    END IF;
    INSERT INTO crm.events AS e (tenant_id, kind, subject_table, subject_id, payload, scheduled_at, dedupe_key)
    VALUES (t, write_event.kind, write_event.subject_table, write_event.subject_id, write_event.payload,
            write_event.scheduled_at, write_event.dedupe_key)
    -- no columns here: in a function, kind would be the parameter
    ON CONFLICT DO NOTHING
    RETURNING e.* INTO made;
    IF NOT FOUND THEN
        SELECT e.* INTO made FROM crm.events AS e
        WHERE e.tenant_id = t AND e.kind = write_event.kind AND e.dedupe_key = write_event.dedupe_key;
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm_internal.write_event(text, text, bigint, jsonb, timestamptz, text) IS
'crm.emit_event() for functions of the CRM, which write events of any kind about any record.';

CREATE OR REPLACE FUNCTION crm.claim_events(
    consumer text, batch integer DEFAULT 100, lease interval DEFAULT '5 minutes',
    kinds text[] DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS SETOF crm.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
BEGIN
    IF batch < 1 OR lease <= '0' THEN
        RAISE EXCEPTION 'batch and lease must be positive' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
        WITH due AS MATERIALIZED (
            SELECT e.id
            FROM crm.events AS e
            WHERE e.tenant_id = t AND e.delivered_at IS NULL AND e.failed_at IS NULL
              AND e.scheduled_at <= as_of
              AND (e.claimed_until IS NULL OR e.claimed_until <= as_of)
              AND (kinds IS NULL OR e.kind = ANY (kinds))
            ORDER BY e.scheduled_at, e.id
            LIMIT batch
            FOR UPDATE SKIP LOCKED)
        UPDATE crm.events AS e
        SET claimed_by = consumer, claimed_until = as_of + lease, attempts = e.attempts + 1
        FROM due
        WHERE e.tenant_id = t AND e.id = due.id
        RETURNING e.*;
END
$$;
COMMENT ON FUNCTION crm.claim_events(text, integer, interval, text[], timestamptz) IS
'Takes the next due events for a consumer, the oldest first, and keeps them from others for the time of the lease; commit, deliver, then call crm.confirm_event() or crm.fail_event(). Any number of consumers at once. kinds NULL: all.';
SELECT crm.declare_function('crm.claim_events', 'admin');

CREATE OR REPLACE FUNCTION crm.confirm_event(event_id bigint)
RETURNS crm.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed crm.events;
BEGIN
    -- secrets have no business in a delivered event
    UPDATE crm.events AS e
    SET delivered_at = coalesce(e.delivered_at, now()), failed_at = NULL, claimed_until = NULL,
        payload = e.payload - 'token'
    WHERE e.tenant_id = crm.tenant_id() AND e.id = event_id
    RETURNING e.* INTO changed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no event %', event_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION crm.confirm_event(bigint) IS
'Marks an event as delivered and returns it. Harmless the second time. A token in its payload is removed. Errors: P0002 for an unknown event.';
SELECT crm.declare_function('crm.confirm_event', 'admin');

CREATE OR REPLACE FUNCTION crm.fail_event(event_id bigint, error text, retry_after interval DEFAULT NULL)
RETURNS crm.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed crm.events;
BEGIN
    UPDATE crm.events AS e
    SET last_error = fail_event.error, claimed_until = NULL,
        failed_at = CASE WHEN retry_after IS NULL THEN now() END,
        scheduled_at = CASE WHEN retry_after IS NULL THEN e.scheduled_at ELSE now() + retry_after END
    WHERE e.tenant_id = crm.tenant_id() AND e.id = event_id AND e.delivered_at IS NULL
    RETURNING e.* INTO changed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no undelivered event %', event_id USING ERRCODE = 'no_data_found';
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION crm.fail_event(bigint, text, interval) IS
'Notes that an event could not be delivered: with retry_after it is tried again after that time, without it is given up. Returns the event. Errors: P0002 where there is no undelivered event of that id.';
SELECT crm.declare_function('crm.fail_event', 'admin');
