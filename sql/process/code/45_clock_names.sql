-- What clocks can be kept of, and by which metrics: names are checked wherever they are written. Events are only ever added.

-- A name with a colon is a kind of subject that is no table, whose events somebody records: 'machine:press'.
CREATE OR REPLACE FUNCTION crm_internal.check_clock_names(subject_type text, metric text, follows boolean DEFAULT true)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF subject_type NOT LIKE '%:%'
       AND NOT EXISTS (SELECT FROM crm.registry AS r
                       WHERE r.subject = subject_type AND (NOT follows OR coalesce(r.options -> 'clocks', 'false') <> 'false')) THEN
        RAISE EXCEPTION 'no clocks are kept of "%"', subject_type
            USING ERRCODE = 'undefined_table',
                  DETAIL = (SELECT format('Clocks are kept of: %s.', string_agg(r.subject, ', ' ORDER BY r.subject)) FROM crm.registered_as('clocks') AS r),
                  HINT = 'The owner adds a table with crm.attach_clocks(table). What is no table has a colon in its name, as in machine:press.';
    END IF;
    IF metric NOT IN ('first_response', 'next_response', 'periodic_update', 'resolution', 'total') THEN
        RAISE EXCEPTION 'there is no metric "%"', metric
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Metrics are first_response, next_response, periodic_update, resolution and total.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_clock_names(text, text, boolean) IS
'Error where no clocks are kept of a kind of subject (follows false: where it is no table at all), or a metric is none, with the known ones named.';

CREATE OR REPLACE FUNCTION crm_internal.sla_policies_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF TG_TABLE_NAME = 'sla_policies' THEN
        PERFORM crm_internal.check_clock_names(NEW.subject_type, NULL);
        IF TG_OP = 'UPDATE' AND NEW.subject_type <> OLD.subject_type
           AND EXISTS (SELECT FROM crm.escalation_steps AS e WHERE e.tenant_id = NEW.tenant_id AND e.policy_id = NEW.id) THEN
            RAISE EXCEPTION 'policy "%" has escalation steps for %', NEW.name, OLD.subject_type
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make a policy of its own for ' || NEW.subject_type || '.';
        END IF;
    ELSE
        PERFORM crm_internal.check_clock_names('tickets', NEW.metric);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.sla_policies_check() IS 'Refuses promises about what no clock is kept of.';
CREATE OR REPLACE TRIGGER sla_policies_before_check
    BEFORE INSERT OR UPDATE OF subject_type ON crm.sla_policies
    FOR EACH ROW EXECUTE FUNCTION crm_internal.sla_policies_check();
CREATE OR REPLACE TRIGGER sla_targets_before_check
    BEFORE INSERT OR UPDATE OF metric ON crm.sla_targets
    FOR EACH ROW EXECUTE FUNCTION crm_internal.sla_policies_check();

-- ---- events are facts ----

CREATE OR REPLACE FUNCTION crm.sla_events_guard()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF TG_OP = 'DELETE'
       AND pg_has_role(current_user, (SELECT c.relowner FROM pg_class AS c WHERE c.oid = TG_RELID), 'USAGE') THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'events of service clocks are only ever added'
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Record the event "withdrawn" with the event_id of the mistaken one.';
END
$$;
COMMENT ON FUNCTION crm.sla_events_guard() IS 'Row trigger of crm.sla_events: no changes, no deletion but by the owner.';
CREATE OR REPLACE TRIGGER sla_events_before_guard
    BEFORE UPDATE OR DELETE ON crm.sla_events
    FOR EACH ROW EXECUTE FUNCTION crm.sla_events_guard();
