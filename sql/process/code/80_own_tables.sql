-- Clocks and assignment of any registered table: what follows a row of it, and how an owner's table gets them.

-- ---- clocks ----

CREATE OR REPLACE FUNCTION crm_internal.tell_first_response(subject text, tenant bigint, id bigint, was jsonb, doc jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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

-- Rows are changed by the hundred thousand, and hardly ever is something else promised then: one query by keys, which makes no jsonb of the row.
CREATE OR REPLACE FUNCTION crm_internal.promised_otherwise(tenant bigint, subject_type text, subject_id bigint, priority text, subject record)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN NOT EXISTS (
        SELECT FROM crm.sla_subjects AS s LEFT JOIN crm.sla_terms AS t ON t.tenant_id = s.tenant_id AND t.id = s.terms_id
        WHERE s.tenant_id = tenant AND s.subject_type = promised_otherwise.subject_type AND s.subject_id = promised_otherwise.subject_id
          AND t.definition ->> 'priority' IS NOT DISTINCT FROM promised_otherwise.priority
          AND (t.definition ->> 'policy_id')::bigint IS NOT DISTINCT FROM
              (SELECT p.id FROM crm.sla_policies AS p
               WHERE p.tenant_id = tenant AND p.subject_type = promised_otherwise.subject_type AND p.active AND crm.row_holds(subject, p.condition)
               ORDER BY p.position, p.id LIMIT 1));
END
$$;
COMMENT ON FUNCTION crm_internal.promised_otherwise(bigint, text, bigint, text, record) IS
'Whether policies would promise a subject, as its row is, something else than it was promised: another policy, or the same for another priority.';

CREATE OR REPLACE FUNCTION crm_internal.follow_clock(subject text, tenant bigint, id bigint, was jsonb, doc jsonb, told boolean)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    stage crm.stages;
    old_type text;
    event text;
    data jsonb := '{}';
    at timestamptz;
    merged_id bigint;
BEGIN
    SELECT s.* INTO stage FROM crm.stages AS s WHERE s.tenant_id = tenant AND s.id = (doc ->> 'stage_id')::bigint;
    IF was IS NULL THEN
        -- what comes in closed is history, and nothing is promised for it
        IF stage.type NOT IN ('open', 'on_hold') THEN
            RETURN;
        END IF;
        event := 'opened';
        at := coalesce((doc ->> 'created_at')::timestamptz, now());
        data := jsonb_build_object('stage', stage.code, 'stage_type', stage.type);
    ELSIF doc -> 'stage_id' IS DISTINCT FROM was -> 'stage_id' THEN
        SELECT s.type INTO old_type FROM crm.stages AS s WHERE s.tenant_id = tenant AND s.id = (was ->> 'stage_id')::bigint;
        merged_id := CASE WHEN stage.type IN ('lost', 'cancelled') THEN crm_internal.merged_into(subject, doc) END;
        event := CASE
            WHEN stage.type IN ('done', 'won') THEN 'resolved'
            WHEN merged_id IS NOT NULL THEN 'merged'
            WHEN stage.type IN ('lost', 'cancelled') THEN 'cancelled'
            WHEN old_type NOT IN ('open', 'on_hold') THEN 'reopened'
            ELSE 'stage' END;
        at := coalesce((doc ->> 'stage_entered_at')::timestamptz, now());
        data := jsonb_build_object('stage', stage.code, 'stage_type', stage.type)
                || CASE WHEN event = 'merged' THEN jsonb_build_object('into_id', merged_id) ELSE '{}' END;
    END IF;
    IF told AND was IS NOT NULL AND doc <> was THEN
        event := coalesce(event, 'changed');
        at := coalesce(at, now());
    END IF;
    IF event IS NOT NULL THEN
        PERFORM crm_internal.record_sla_event(tenant, subject, follow_clock.id, event, at, data, CASE WHEN told OR was IS NULL THEN doc END);
    END IF;
    IF coalesce(doc -> 'first_response_at', 'null') <> coalesce(was -> 'first_response_at', 'null') THEN
        PERFORM crm_internal.tell_first_response(subject, tenant, follow_clock.id, was, doc);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_clock(text, bigint, bigint, jsonb, jsonb, boolean) IS
'Tells the clocks of a subject what became of its row (was NULL: it is new). told: policies promise something else by it.';

-- Called by crm.tell_clocks() for statements on tables of which clocks are kept: a row without promises costs a look by its key.
-- Old and new rows are paired by a full join, which is always hashed or merged, also by a plan kept from one row; found by key is a
-- value for the same reason.
-- Security definer: events are recorded for people who may not write them themselves.
CREATE OR REPLACE FUNCTION crm_internal.follow_clocks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off        -- a plan kept from when there were no subjects would read all of them
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    subject CONSTANT text := TG_ARGV[0];
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM crm_internal.follow_clock(subject, n.tenant_id, n.id, NULL, to_jsonb(n.*), false)
        FROM new_rows AS n
        WHERE (SELECT p.id FROM crm.sla_policies AS p WHERE p.tenant_id = n.tenant_id AND p.subject_type = subject AND p.active LIMIT 1) IS NOT NULL;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM crm_internal.record_sla_event(o.tenant_id, subject, o.id, 'cancelled', now())
        FROM old_rows AS o
        WHERE (SELECT s.open FROM crm.sla_subjects AS s WHERE s.tenant_id = o.tenant_id AND s.subject_type = subject AND s.subject_id = o.id);
    ELSE
        PERFORM crm_internal.follow_clock(subject, p.tenant_id, p.id, to_jsonb(p.was), to_jsonb(p.is_now), p.told)
        FROM (SELECT q.*, crm_internal.promised_otherwise(q.tenant_id, subject, q.id, to_jsonb(q.is_now) ->> 'priority', q.is_now) AS told
              FROM (SELECT n.tenant_id, n.id, (o.*)::record AS was, (n.*)::record AS is_now
                    FROM old_rows AS o FULL JOIN new_rows AS n ON n.tenant_id = o.tenant_id AND n.id = o.id OFFSET 0) AS q
              WHERE (SELECT s.subject_id FROM crm.sla_subjects AS s
                     WHERE s.tenant_id = q.tenant_id AND s.subject_type = subject AND s.subject_id = q.id) IS NOT NULL
              OFFSET 0) AS p;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_clocks() IS
'Statement trigger of tables registered for clocks, with the name they go by: opening, stages, changes of what policies look at, first response, deletion.';

CREATE OR REPLACE FUNCTION crm_internal.end_clocks(subject text, option text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF coalesce(option, 'clocks') = 'clocks' THEN
        PERFORM crm_internal.record_sla_event(s.tenant_id, subject, s.subject_id, 'cancelled', now())
        FROM crm.sla_subjects AS s WHERE s.subject_type = subject AND s.open;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.end_clocks(text, text) IS 'Nothing is promised any more for rows of a table of which no clocks are kept.';
SELECT crm.declare_hook('option_ended', 'crm_internal.end_clocks(text, text)');

CREATE OR REPLACE FUNCTION crm_internal.apply_clocks(relation regclass)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.set_trigger(relation, '_after_clock_' || t.event, r.options -> 'clocks' IS NOT DISTINCT FROM 'true',
        'AFTER ' || t.event, 'REFERENCING ' || t.rows || format(' FOR EACH STATEMENT EXECUTE FUNCTION crm.tell_clocks(%L)', r.subject))
    FROM crm.registry AS r
    CROSS JOIN (VALUES ('insert', 'NEW TABLE AS new_rows'), ('update', 'OLD TABLE AS old_rows NEW TABLE AS new_rows'),
                       ('delete', 'OLD TABLE AS old_rows')) AS t (event, rows)
    WHERE r.relation = apply_clocks.relation
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
#variable_conflict use_variable
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
#variable_conflict use_variable
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
