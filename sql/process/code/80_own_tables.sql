-- Clocks and assignment of any registered table: what follows a row of it, and how an owner's table gets them.

-- ---- clocks ----

CREATE OR REPLACE FUNCTION crm_internal.tell_first_response(subject text, tenant bigint, id bigint, was jsonb, doc jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF was ->> 'first_response_at' IS NOT NULL THEN
        -- it was not when it was said to be
        PERFORM crm.record_sla_event(subject, tell_first_response.id, 'withdrawn', now(), jsonb_build_object('event_id', e.id))
        FROM crm.sla_events AS e
        WHERE e.tenant_id = tenant AND e.subject_type = subject AND e.subject_id = tell_first_response.id AND e.event = 'agent_message'
          AND e.occurred_at = greatest((was ->> 'first_response_at')::timestamptz, (was ->> 'created_at')::timestamptz)
          AND NOT EXISTS (SELECT FROM crm.sla_events AS x WHERE x.tenant_id = e.tenant_id AND x.refers_to_id = e.id AND x.event = 'withdrawn');
    END IF;
    IF doc ->> 'first_response_at' IS NOT NULL THEN
        PERFORM crm.record_sla_event(subject, tell_first_response.id, 'agent_message',
                                     greatest((doc ->> 'first_response_at')::timestamptz, (doc ->> 'created_at')::timestamptz));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.tell_first_response(text, bigint, bigint, jsonb, jsonb) IS
'The first response that the row of a subject says, in place of the one that it said before.';

CREATE OR REPLACE FUNCTION crm_internal.merged_into(subject text, doc jsonb)
RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (doc ->> (r.options ->> 'merge'))::bigint FROM crm.registry AS r WHERE r.subject = merged_into.subject
$$;
COMMENT ON FUNCTION crm_internal.merged_into(text, jsonb) IS 'The record that a row says it was merged into; NULL: none.';

-- Security definer: events are recorded for people who may not write them themselves. A row without promises costs one look.
CREATE OR REPLACE FUNCTION crm_internal.follow_clocks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT text := TG_ARGV[0];
    doc jsonb;
    was jsonb;
    stage crm.stages;
    old_type text;
    terms jsonb;
    event text;
    data jsonb := '{}';
    at timestamptz;
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM crm.sla_subjects AS s
                   WHERE s.tenant_id = OLD.tenant_id AND s.subject_type = subject AND s.subject_id = OLD.id AND s.open) THEN
            PERFORM crm_internal.record_sla_event(OLD.tenant_id, subject, OLD.id, 'cancelled', now());
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM crm.sla_policies AS p
                       WHERE p.tenant_id = NEW.tenant_id AND p.subject_type = subject AND p.active) THEN
            RETURN NULL;
        END IF;
    ELSE
        SELECT t.definition INTO terms FROM crm.sla_subjects AS s
        LEFT JOIN crm.sla_terms AS t ON t.tenant_id = s.tenant_id AND t.id = s.terms_id
        WHERE s.tenant_id = NEW.tenant_id AND s.subject_type = subject AND s.subject_id = NEW.id;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        was := to_jsonb(OLD);
    END IF;
    doc := to_jsonb(NEW);
    SELECT s.* INTO stage FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id;

    IF TG_OP = 'INSERT' THEN
        -- what comes in closed is history, and nothing is promised for it
        IF stage.type NOT IN ('open', 'on_hold') THEN
            RETURN NULL;
        END IF;
        event := 'opened';
        at := coalesce((doc ->> 'created_at')::timestamptz, now());
        data := jsonb_build_object('stage', stage.code, 'stage_type', stage.type);
    ELSIF NEW.stage_id IS DISTINCT FROM OLD.stage_id THEN
        SELECT s.type INTO old_type FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = OLD.stage_id;
        event := CASE
            WHEN stage.type IN ('done', 'won') THEN 'resolved'
            WHEN stage.type IN ('lost', 'cancelled') AND crm_internal.merged_into(subject, doc) IS NOT NULL THEN 'merged'
            WHEN stage.type IN ('lost', 'cancelled') THEN 'cancelled'
            WHEN old_type NOT IN ('open', 'on_hold') THEN 'reopened'
            ELSE 'stage' END;
        at := coalesce((doc ->> 'stage_entered_at')::timestamptz, now());
        data := jsonb_build_object('stage', stage.code, 'stage_type', stage.type)
                || CASE WHEN event = 'merged' THEN jsonb_build_object('into_id', crm_internal.merged_into(subject, doc)) ELSE '{}' END;
    END IF;
    -- another policy, or another priority of the same
    IF TG_OP = 'UPDATE' AND doc IS DISTINCT FROM was
       AND (crm_internal.match_sla_policy(NEW.tenant_id, subject, doc), doc ->> 'priority')
           IS DISTINCT FROM ((terms ->> 'policy_id')::bigint, terms ->> 'priority') THEN
        event := coalesce(event, 'changed');
        at := coalesce(at, now());
    ELSIF event <> 'opened' THEN
        doc := NULL;
    END IF;
    IF event IS NOT NULL THEN
        PERFORM crm_internal.record_sla_event(NEW.tenant_id, subject, NEW.id, event, at, data, doc);
    END IF;
    IF to_jsonb(NEW) -> 'first_response_at' IS DISTINCT FROM coalesce(was -> 'first_response_at', 'null') THEN
        PERFORM crm_internal.tell_first_response(subject, NEW.tenant_id, NEW.id, was, to_jsonb(NEW));
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_clocks() IS
'Row trigger of tables registered for clocks, with the name they go by: opening, stages, changes of what policies look at, first response, deletion.';

CREATE OR REPLACE FUNCTION crm_internal.apply_clocks(relation regclass)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.set_trigger(relation, '_after_clock', r.options -> 'clocks' IS NOT DISTINCT FROM 'true',
        'AFTER INSERT OR UPDATE OR DELETE', format('FOR EACH ROW EXECUTE FUNCTION crm_internal.follow_clocks(%L)', r.subject))
    FROM crm.registry AS r WHERE r.relation = apply_clocks.relation
$$;
COMMENT ON FUNCTION crm_internal.apply_clocks(regclass) IS 'Service clocks of a table that is registered for them.';
SELECT crm.declare_hook('table', 'crm_internal.apply_clocks(regclass)');

CREATE OR REPLACE FUNCTION crm.attach_clocks(table_name regclass)
RETURNS text
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm.attach(table_name, '{"clocks": true}') $$;
COMMENT ON FUNCTION crm.attach_clocks(regclass) IS
'Service clocks for a table with a process: it needs columns tenant_id, id and stage_id (bigint); priority, first_response_at, created_at and '
'stage_entered_at are used where present. What is promised are policies (crm.sla_policies) whose subject_type is the name returned. Errors as crm.attach.';
SELECT crm.declare_function('crm.attach_clocks', 'owner');

-- ---- assignment ----

-- Security definer: whoever makes a record need not see the people it is given to. What fails here does not lose the record.
CREATE OR REPLACE FUNCTION crm_internal.follow_assignment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT text := TG_ARGV[0];
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.owner_id IS NULL AND EXISTS (SELECT FROM crm.assignment_rules AS r
                                            WHERE r.tenant_id = NEW.tenant_id AND r.subject_table = subject AND r.active) THEN
            BEGIN
                PERFORM crm_internal.serve_before(NEW.tenant_id, subject, NEW.id, now());
                PERFORM crm_internal.route_record(NEW.tenant_id, subject, NEW.id, false, now());
            EXCEPTION WHEN OTHERS THEN
                RAISE WARNING '% %: assignment failed: %', subject, NEW.id, SQLERRM;
                INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
                VALUES (NEW.tenant_id, 'routing.trouble', subject, NEW.id, jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM));
            END;
        END IF;
        RETURN NULL;
    END IF;
    -- whose work it was is free for other work: longest_idle goes by it
    UPDATE crm.agents AS a SET last_released_at = greatest(a.last_released_at, now())
    WHERE a.tenant_id = OLD.tenant_id AND a.user_id = OLD.owner_id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_assignment() IS
'Row trigger of tables whose records are given out as soon as they are there, with the name they go by; notes who became free.';

CREATE OR REPLACE FUNCTION crm_internal.apply_assignment(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject CONSTANT text := (SELECT r.subject FROM crm.registry AS r WHERE r.relation = apply_assignment.relation);
    wanted CONSTANT boolean := (SELECT r.options -> 'assignment' IS NOT DISTINCT FROM '"automatic"' FROM crm.registry AS r
                                WHERE r.relation = apply_assignment.relation);
    call CONSTANT text := format('EXECUTE FUNCTION crm_internal.follow_assignment(%L)', subject);
    freed text := 'NEW.owner_id IS DISTINCT FROM OLD.owner_id';
    -- work is what is given out, and what counts as work whoever gives it out
    work CONSTANT boolean := crm_internal.table_is(relation, 'assignment') OR crm_internal.table_is(relation, 'workload');
BEGIN
    IF crm.column_exists(relation, 'closed_at') THEN
        freed := freed || ' OR OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL';
    ELSIF crm_internal.table_is(relation, 'process') THEN
        freed := freed || ' OR NEW.stage_id IS DISTINCT FROM OLD.stage_id';
    END IF;
    PERFORM crm_internal.set_trigger(relation, '_after_zz_assign', wanted, 'AFTER INSERT', 'FOR EACH ROW ' || call);
    PERFORM crm_internal.set_trigger(relation, '_after_release', wanted, 'AFTER UPDATE',
        'FOR EACH ROW WHEN (OLD.owner_id IS NOT NULL AND (' || freed || ')) ' || call);
    PERFORM crm_internal.set_trigger(relation, '_after_delete_release', wanted, 'AFTER DELETE',
        'FOR EACH ROW WHEN (OLD.owner_id IS NOT NULL) ' || call);
    PERFORM crm_internal.set_trigger(relation, '_after_zz_free', work, 'AFTER UPDATE',
        'FOR EACH ROW WHEN (OLD.owner_id IS NOT NULL AND (' || freed || ')) EXECUTE FUNCTION crm_internal.became_free(''owner'')');
    PERFORM crm_internal.set_trigger(relation, '_after_zz_free_delete', work, 'AFTER DELETE',
        'FOR EACH ROW WHEN (OLD.owner_id IS NOT NULL) EXECUTE FUNCTION crm_internal.became_free(''owner'')');
END
$$;
COMMENT ON FUNCTION crm_internal.apply_assignment(regclass) IS 'Automatic assignment of a table that is registered for it.';
SELECT crm.declare_hook('table', 'crm_internal.apply_assignment(regclass)');

CREATE OR REPLACE FUNCTION crm.attach_assignment(table_name regclass)
RETURNS text
LANGUAGE sql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm.attach(table_name, '{"assignment": "automatic"}') $$;
COMMENT ON FUNCTION crm.attach_assignment(regclass) IS
'Gives new rows of a table to people by the assignment rules (crm.assignment_rules) for the name returned, and tries again what nobody could take. It '
'needs columns tenant_id, id, owner_id and created_at; queue_id, priority, skill_ids, contact_id, account_id and closed_at are used where present. '
'Errors as crm.attach.';
SELECT crm.declare_function('crm.attach_assignment', 'owner');
