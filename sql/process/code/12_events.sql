-- Events of what happens to records, and the log of changes: the triggers of crm.announce().

-- Which triggers a table needs: none where nothing is announced or audited, and none that is called for what is not. They have no WHEN: the server
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
    audited CONSTANT boolean := crm_internal.is_audited(relation);
    part regclass;
BEGIN
    SELECT p.created IS NOT NULL OR bool_or(r.condition <> 'changed'), p.changed IS NOT NULL OR bool_or(r.condition <> 'always'), p.deleted IS NOT NULL
    INTO entered, changed, deleted
    FROM crm_internal.event_plan(name) AS p LEFT JOIN crm_internal.event_rules(name) AS r ON true
    GROUP BY p.created, p.changed, p.deleted;
    IF audited THEN
        entered := true; changed := true; deleted := true;
    END IF;
    FOR part IN SELECT t FROM crm_internal.tables_below(relation) AS t LOOP
        PERFORM crm_internal.set_trigger(part, '_before_truncate_audit', audited, 'BEFORE TRUNCATE',
            format('FOR EACH STATEMENT EXECUTE FUNCTION crm.audit_truncate(%L)', name));
    END LOOP;
    -- they come before all others after a row: what these do in turn is told after it
    PERFORM crm_internal.set_trigger(relation, '_after_00_event', entered OR changed OR deleted,
        'AFTER ' || concat_ws(' OR ', CASE WHEN entered THEN 'INSERT' END, CASE WHEN changed THEN 'UPDATE' END, CASE WHEN deleted THEN 'DELETE' END),
        'FOR EACH ROW ' || call);
    PERFORM crm_internal.set_trigger(relation, '_after_00_events', entered OR changed OR deleted,
        'AFTER ' || concat_ws(' OR ', CASE WHEN entered THEN 'INSERT' END, CASE WHEN changed THEN 'UPDATE' END, CASE WHEN deleted THEN 'DELETE' END),
        'FOR EACH STATEMENT ' || call);
END
$$;
COMMENT ON FUNCTION crm_internal.apply_events(regclass) IS
'Triggers that announce what happens to the rows of a table (option events), and write it into the log of changes (option audit).';
SELECT crm.declare_hook('table', 'crm_internal.apply_events(regclass)');
SELECT crm.declare_hook('audit', 'crm_internal.apply_events(regclass)');
