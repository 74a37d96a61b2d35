-- Events of what happens to records: the triggers of crm.announce().

-- Which triggers a table needs: none where nothing is announced, and none that is called for what is not. They have no WHEN: the server
-- would read such a condition from the catalogue by every statement, which costs more than all that they do.
CREATE OR REPLACE FUNCTION crm_internal.apply_events(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name CONSTANT text := (SELECT r.subject FROM crm.registry AS r WHERE r.relation = apply_events.relation);
    call CONSTANT text := format('EXECUTE FUNCTION crm.announce(%L)', name);
    entered boolean;
    changed boolean;
    deleted boolean;
BEGIN
    SELECT p.created IS NOT NULL OR bool_or(r.condition <> 'changed'), p.changed IS NOT NULL OR bool_or(r.condition <> 'always'), p.deleted IS NOT NULL
    INTO entered, changed, deleted
    FROM crm_internal.event_plan(name) AS p LEFT JOIN crm_internal.event_rules(name) AS r ON true
    GROUP BY p.created, p.changed, p.deleted;
    -- they come before all others after a row: what these do in turn is told after it
    PERFORM crm_internal.set_trigger(relation, '_after_00_event', entered OR changed OR deleted,
        'AFTER ' || concat_ws(' OR ', CASE WHEN entered THEN 'INSERT' END, CASE WHEN changed THEN 'UPDATE' END, CASE WHEN deleted THEN 'DELETE' END),
        'FOR EACH ROW ' || call);
    PERFORM crm_internal.set_trigger(relation, '_after_00_events', entered OR changed OR deleted,
        'AFTER ' || concat_ws(' OR ', CASE WHEN entered THEN 'INSERT' END, CASE WHEN changed THEN 'UPDATE' END, CASE WHEN deleted THEN 'DELETE' END),
        'FOR EACH STATEMENT ' || call);
END
$$;
COMMENT ON FUNCTION crm_internal.apply_events(regclass) IS 'Triggers that announce what happens to the rows of a table (option events).';
SELECT crm.declare_hook('table', 'crm_internal.apply_events(regclass)');
