-- Routing: who is given what.

CREATE OR REPLACE FUNCTION crm.condition_holds(record jsonb, condition jsonpath) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE   -- without a path of its own, which would keep it from being inlined
RETURN condition IS NULL OR coalesce(crm.path_holds(record, condition), false);
COMMENT ON FUNCTION crm.condition_holds(jsonb, jsonpath) IS
'Whether a condition holds for a record: a predicate that is true, or a filter that lets something through. NULL always holds; what cannot be compared does not. Dates without a time zone are taken in UTC.';

CREATE OR REPLACE FUNCTION crm_internal.queues_check() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    circle boolean;
BEGIN
    IF NEW.escalates_to_id IS NULL THEN
        RETURN NEW;
    END IF;
    -- one change of the tree at a time, so that two halves of a circle cannot meet
    PERFORM crm.lock_own('queues', NEW.tenant_id);
    WITH RECURSIVE way AS (
        SELECT q.id, q.escalates_to_id FROM crm.queues AS q
        WHERE q.tenant_id = NEW.tenant_id AND q.id = NEW.escalates_to_id
        UNION
        SELECT q.id, q.escalates_to_id FROM way AS w
        JOIN crm.queues AS q ON q.tenant_id = NEW.tenant_id AND q.id = w.escalates_to_id)
    SELECT true INTO circle FROM way AS w WHERE w.id = NEW.id OR w.escalates_to_id = NEW.id LIMIT 1;
    IF circle THEN
        RAISE EXCEPTION 'queue "%" would escalate to itself', NEW.code
            USING ERRCODE = 'CR204',
                  DETAIL = format('The queues that records pass from queue %s on lead back to "%s".', NEW.escalates_to_id, NEW.code),
                  HINT = 'Let the last queue of the chain escalate to none.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.queues_check() IS 'Refuses circles of escalating queues.';
-- after the row is stored, so that a new row sees its own id
CREATE OR REPLACE TRIGGER queues_after_check
    AFTER INSERT OR UPDATE OF escalates_to_id ON crm.queues
    FOR EACH ROW EXECUTE FUNCTION crm_internal.queues_check();

-- ---- what counts as work ----

CREATE OR REPLACE FUNCTION crm_internal.open_row_sql(relation regclass)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN CASE
        WHEN crm.column_exists(relation, 'closed_at') THEN 's.closed_at IS NULL'
        WHEN crm_internal.table_is(relation, 'process') THEN
            'EXISTS (SELECT FROM crm.stages AS g WHERE g.tenant_id = s.tenant_id AND g.id = s.stage_id AND g.type IN (''open'', ''on_hold''))'
        ELSE 'true' END;
END
$$;
COMMENT ON FUNCTION crm_internal.open_row_sql(regclass) IS 'Condition over a row s of a table: whether there is still something to be done about it.';

CREATE OR REPLACE FUNCTION crm_internal.workload_tables(subject_table text)
RETURNS TABLE (subject text, relation regclass)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.subject, r.relation FROM crm.registered_as('workload') AS r
    UNION
    SELECT r.subject, r.relation FROM crm.registered_as('assignment') AS r WHERE r.subject = subject_table
$$;
COMMENT ON FUNCTION crm_internal.workload_tables(text) IS
'Tables whose open rows are work of their owners: those registered as workload, and the one at hand.';

-- $1 tenant, $2 owners, $3 weight of a row of the table at hand; all at once, so that it is one scan a table
-- whatever the planner knows of it. crm.workload() keeps text and plan.
CREATE OR REPLACE FUNCTION crm_internal.workload_sql(subject_table text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'SELECT l.owner_id, sum(l.load) FROM (' || string_agg(
        CASE WHEN crm.column_exists(w.relation, 'queue_id') THEN
            format('SELECT s.owner_id, sum(coalesce(q.item_weight, 1)) AS load FROM %s AS s '
                   'LEFT JOIN crm.queues AS q ON q.tenant_id = $1 AND q.id = s.queue_id ', w.relation::regclass)
        ELSE
            format('SELECT s.owner_id, count(*) * ' || CASE WHEN w.subject = subject_table THEN '$3' ELSE '1' END || ' AS load FROM %s AS s ',
                   w.relation::regclass)
        END || 'WHERE s.tenant_id = $1 AND s.owner_id = ANY ($2) AND ' || crm_internal.open_row_sql(w.relation) || ' GROUP BY s.owner_id',
        ' UNION ALL ') || ') AS l GROUP BY l.owner_id'
    FROM crm_internal.workload_tables(subject_table) AS w
$$;
COMMENT ON FUNCTION crm_internal.workload_sql(text) IS
'Query for the open work of people, one row each. Rows in a queue weigh what the queue says.';

-- ---- choosing ----

CREATE OR REPLACE FUNCTION crm_internal.route_candidates(
    tenant bigint, subject_table text, team bigint, users bigint[], needed bigint[],
    queue_calendar bigint, respect_hours boolean, weight numeric, as_of timestamptz, only_user bigint)
RETURNS TABLE (user_id bigint, matched integer, level_sum bigint, available boolean, at_work boolean, free boolean,
               load numeric, capacity numeric, last_assigned_at timestamptz, last_assignment_id bigint,
               last_released_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    who bigint[];
BEGIN
    IF only_user IS NOT NULL THEN
        who := ARRAY[only_user];
    ELSE
        who := ARRAY(SELECT a.user_id FROM crm.agents AS a
                     WHERE a.tenant_id = tenant
                       AND (a.user_id = ANY (users)
                            OR a.user_id IN (SELECT m.user_id FROM crm.team_memberships AS m
                                             WHERE m.tenant_id = tenant AND m.team_id = team AND m.valid @> as_of)));
    END IF;
    RETURN QUERY
        WITH loads AS MATERIALIZED (
            SELECT l.owner_id, l.load FROM crm.workload(tenant, subject_table, who, weight) AS l
        ), skilled AS MATERIALIZED (
            SELECT s.user_id, count(*) AS matched, sum(s.level) AS level_sum
            FROM crm.user_skills AS s
            WHERE s.tenant_id = tenant AND s.skill_id = ANY (needed) AND s.user_id = ANY (who)
            GROUP BY s.user_id)
        SELECT a.user_id, coalesce(k.matched, 0)::integer, coalesce(k.level_sum, 0)::bigint,
               (a.status = 'available' OR a.status = 'away' AND a.away_until <= as_of) AND NOT crm_internal.left_us(tenant, a.user_id),
               NOT respect_hours OR coalesce(a.calendar_id, queue_calendar) IS NULL
                   OR crm.is_open(coalesce(a.calendar_id, queue_calendar), as_of),
               coalesce(l.load, 0) + weight <= a.capacity AND a.capacity > 0,
               coalesce(l.load, 0), a.capacity, a.last_assigned_at, a.last_assignment_id, a.last_released_at
        FROM crm.agents AS a
        JOIN crm.users AS u ON u.tenant_id = tenant AND u.id = a.user_id AND u.active
        LEFT JOIN loads AS l ON l.owner_id = a.user_id
        LEFT JOIN skilled AS k ON k.user_id = a.user_id
        WHERE a.tenant_id = tenant AND a.user_id = ANY (who);
END
$$;
COMMENT ON FUNCTION crm_internal.route_candidates(bigint, text, bigint, bigint[], bigint[], bigint, boolean, numeric, timestamptz, bigint) IS
'The agents among whom a rule may choose, or one of them, with what speaks for and against each.';

CREATE OR REPLACE FUNCTION crm_internal.last_owner(relation regclass, tenant bigint, subject jsonb)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- only the columns the table has, and the index on them
    RETURN crm.kept_value(
        format('SELECT to_jsonb(s.owner_id) FROM %s AS s WHERE s.tenant_id = $1 AND s.%I = $2 AND s.id <> $3 AND s.owner_id IS NOT NULL '
               'ORDER BY s.created_at DESC, s.id DESC LIMIT 1',
               relation, CASE WHEN subject ->> 'contact_id' IS NOT NULL THEN 'contact_id' ELSE 'account_id' END),
        tenant, coalesce(subject ->> 'contact_id', subject ->> 'account_id')::bigint, (subject ->> 'id')::bigint)::bigint;
END
$$;
COMMENT ON FUNCTION crm_internal.last_owner(regclass, bigint, jsonb) IS
'Owner of the latest other record of the contact of a record, or else of its account.';

CREATE OR REPLACE FUNCTION crm_internal.note_waiting(
    tenant bigint, subject_table text, subject_id bigint, queue_id bigint, rule_id bigint, needed bigint[], why text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO crm_internal.waiting_work AS w (tenant_id, subject_table, subject_id, queue_id, rule_id, needed, reason)
    SELECT $1, $2, $3, $4, $5, $6, $7 WHERE why <> 'no_rule'
    ON CONFLICT ON CONSTRAINT waiting_work_pkey
        DO UPDATE SET queue_id = excluded.queue_id, rule_id = excluded.rule_id, needed = excluded.needed, reason = excluded.reason
        WHERE (w.queue_id, w.rule_id, w.needed, w.reason) IS DISTINCT FROM (excluded.queue_id, excluded.rule_id, excluded.needed, excluded.reason);
END
$$;
COMMENT ON FUNCTION crm_internal.note_waiting(bigint, text, bigint, bigint, bigint, bigint[], text) IS
'Puts a record that found nobody on the list of what waits.';

CREATE OR REPLACE FUNCTION crm_internal.route_record(
    tenant bigint, subject_table text, subject_id bigint, reassign boolean, as_of timestamptz, may_wait boolean DEFAULT true)
RETURNS crm.assignments
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := tenant;
    relation CONSTANT regclass := coalesce(crm.kept_text('registered_name', subject_table)::regclass, crm.require_registered(subject_table, 'assignment'));
    subject jsonb;
    rule crm.assignment_rules;
    queue crm.queues;
    needed bigint[] := '{}';
    decision crm.assignments;
    previous crm.assignments;
    ranked bigint[];
    tried bigint[] := '{}';
    chosen bigint;
    sticky_user bigint;
    why text;
    n integer;
BEGIN
    -- whoever holds the record decides; a second router finds it decided
    subject := crm.kept_value(format('SELECT to_jsonb(s.*) FROM %s AS s WHERE s.tenant_id = $1 AND s.id = $2 FOR UPDATE', relation), t, subject_id);
    IF subject IS NULL THEN
        RAISE EXCEPTION 'there is no row % in table %', route_record.subject_id, relation
            USING ERRCODE = 'no_data_found';
    END IF;
    SELECT a.* INTO previous FROM crm.assignments AS a
    WHERE a.tenant_id = t AND a.subject_table = route_record.subject_table AND a.subject_id = route_record.subject_id
    ORDER BY a.id DESC LIMIT 1;
    -- the work of somebody who left, or is away, is nobody's
    IF subject ->> 'owner_id' IS NOT NULL AND NOT reassign AND NOT crm_internal.left_us(t, (subject ->> 'owner_id')::bigint) THEN
        RETURN previous;
    END IF;

    SELECT r.* INTO rule FROM crm.assignment_rules AS r
    WHERE r.tenant_id = t AND r.subject_table = route_record.subject_table AND r.active
      AND crm.condition_holds(subject, r.condition)
    ORDER BY r.position LIMIT 1;
    IF subject ? 'queue_id' THEN
        SELECT q.* INTO queue FROM crm.queues AS q WHERE q.tenant_id = t AND q.id = (subject ->> 'queue_id')::bigint;
        IF rule.id IS NULL THEN
            IF queue.id IS NULL OR queue.routing_method = 'manual' THEN
                RETURN previous;
            END IF;
            rule.method := queue.routing_method;
            rule.team_id := queue.team_id;
            rule.skill_match := queue.skill_match;
            rule.skill_ids := '{}';
            rule.sticky := queue.sticky;
            rule.item_weight := queue.item_weight;
            rule.respect_hours := true;
        END IF;
    END IF;
    IF subject ? 'skill_ids' THEN
        needed := ARRAY(SELECT x::bigint FROM jsonb_array_elements_text(subject -> 'skill_ids') AS x);
    END IF;
    needed := ARRAY(SELECT DISTINCT x FROM unnest(needed || coalesce(rule.skill_ids, '{}')) AS x);
    IF rule.sticky AND (subject ? 'contact_id' OR subject ? 'account_id') THEN
        sticky_user := crm_internal.last_owner(relation, t, subject);
    END IF;

    WHILE rule.method IS NOT NULL LOOP
        -- asked anew in each turn, with the snapshot of after the lock; of one who was chosen only whether it still holds
        WITH c AS MATERIALIZED (
            SELECT * FROM crm_internal.route_candidates(t, route_record.subject_table, rule.team_id, rule.user_ids, needed,
                                                        queue.calendar_id, rule.respect_hours, rule.item_weight, as_of, chosen)
        ), skilled AS (
            SELECT * FROM c WHERE rule.skill_match <> 'exact' OR c.matched = cardinality(needed)
        ), fit AS (
            SELECT * FROM skilled AS s WHERE s.available AND s.at_work AND s.free
        ), best AS (
            SELECT * FROM fit AS f
            WHERE rule.skill_match <> 'best' OR f.matched = (SELECT max(g.matched) FROM fit AS g)
        )
        SELECT (SELECT array_agg(b.user_id ORDER BY
                    b.user_id IS NOT DISTINCT FROM sticky_user DESC,
                    CASE rule.method WHEN 'least_loaded' THEN b.load / b.capacity END,
                    CASE WHEN rule.method = 'longest_idle' THEN greatest(b.last_released_at, CASE WHEN b.last_released_at IS NULL THEN b.last_assigned_at END) END NULLS FIRST,
                    b.last_assigned_at NULLS FIRST, b.last_assignment_id NULLS FIRST,
                    b.level_sum DESC, b.user_id) FROM best AS b),
               CASE WHEN NOT EXISTS (SELECT FROM c) THEN 'nobody_in_team'
                    WHEN NOT EXISTS (SELECT FROM skilled) THEN 'nobody_skilled'
                    WHEN NOT EXISTS (SELECT FROM skilled AS s WHERE s.available) THEN 'nobody_available'
                    WHEN NOT EXISTS (SELECT FROM skilled AS s WHERE s.available AND s.at_work) THEN 'nobody_at_work'
                    ELSE 'nobody_free' END
        INTO ranked, why;
        IF chosen IS NOT NULL THEN
            EXIT WHEN chosen = ANY (ranked);    -- still free, and ours now
            tried := tried || chosen;
            chosen := NULL;
            CONTINUE;
        END IF;
        ranked := ARRAY(SELECT u FROM unnest(ranked) WITH ORDINALITY AS x (u, ord) WHERE u <> ALL (tried) ORDER BY ord);
        n := cardinality(ranked);
        EXIT WHEN coalesce(n, 0) = 0;
        -- the first whom nobody else is being given work at this moment; else wait for the best
        SELECT a.user_id INTO chosen
        FROM crm.agents AS a
        WHERE a.tenant_id = t AND a.user_id = ANY (ranked)
        ORDER BY array_position(ranked, a.user_id)
        LIMIT 1 FOR UPDATE SKIP LOCKED;
        IF chosen IS NULL THEN
            IF NOT may_wait THEN RETURN NULL; END IF;
            SELECT a.user_id INTO chosen FROM crm.agents AS a WHERE a.tenant_id = t AND a.user_id = ranked[1] FOR UPDATE;
        END IF;
    END LOOP;

    IF chosen IS NULL THEN
        why := coalesce(why, 'no_rule');
        PERFORM crm_internal.note_waiting(t, route_record.subject_table, route_record.subject_id, queue.id, rule.id, needed, why);
        -- visible and unassigned; said once, not in every round
        IF previous.user_id IS NULL AND previous.reason = why AND previous.rule_id IS NOT DISTINCT FROM rule.id
           AND previous.queue_id IS NOT DISTINCT FROM queue.id THEN
            RETURN previous;
        END IF;
    ELSE
        why := CASE WHEN chosen = sticky_user THEN 'sticky' ELSE 'assigned' END;
    END IF;
    INSERT INTO crm.assignments AS a (tenant_id, subject_table, subject_id, user_id, queue_id, rule_id, method, reason,
                                      candidates, weight, assigned_at)
    VALUES (t, route_record.subject_table, route_record.subject_id, chosen, queue.id, rule.id,
            coalesce(rule.method, 'none'), why, coalesce(n, 0), coalesce(rule.item_weight, 1), as_of)
    RETURNING a.* INTO decision;
    IF chosen IS NOT NULL THEN
        UPDATE crm.agents AS a
        SET last_assigned_at = greatest(a.last_assigned_at, as_of), last_assignment_id = decision.id, updated_at = now()
        WHERE a.tenant_id = t AND a.user_id = chosen;
        PERFORM crm.kept_value(format('UPDATE %s AS s SET owner_id = $3 WHERE s.tenant_id = $1 AND s.id = $2 RETURNING to_jsonb(1)', relation), t, subject_id, chosen);
        DELETE FROM crm_internal.waiting_work AS w WHERE (w.tenant_id, w.subject_table, w.subject_id) = (t, decision.subject_table, decision.subject_id);
    ELSE
        INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
        VALUES (t, 'routing.nobody', route_record.subject_table, route_record.subject_id, jsonb_build_object('reason', why));
    END IF;
    RETURN decision;
END
$$;
COMMENT ON FUNCTION crm_internal.route_record(bigint, text, bigint, boolean, timestamptz, boolean) IS
'What crm.route_record() does, for a tenant, without a look at what waits. may_wait false: NULL, and nothing is written, where others hold everybody who '
'could be chosen.';

CREATE OR REPLACE FUNCTION crm.set_agent_status(status text, away_until timestamptz DEFAULT NULL, user_id bigint DEFAULT NULL)
RETURNS crm.agents
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    who CONSTANT bigint := coalesce(set_agent_status.user_id, crm.user_id());
    changed crm.agents;
BEGIN
    -- security definer so that agents can say this of themselves
    IF who IS DISTINCT FROM crm.user_id() AND NOT crm.has_access('manager') THEN
        RAISE EXCEPTION 'only managers set the status of others' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE crm.agents AS a
    SET status = set_agent_status.status, away_until = CASE WHEN set_agent_status.status = 'away' THEN set_agent_status.away_until END,
        updated_at = now()
    WHERE a.tenant_id = crm.tenant_id() AND a.user_id = who
    RETURNING a.* INTO changed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'user % is not an agent', who USING ERRCODE = 'no_data_found', HINT = 'Add a row to crm.agents.';
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION crm.set_agent_status(text, timestamptz, bigint) IS
'Says whether an agent takes work: available, away (until an instant, where given) or offline; the caller unless a manager names another user. Returns the agent. Errors: 42501 for others'' status without the right, P0002 for a user who is no agent.';
SELECT crm.declare_function('crm.set_agent_status', 'agent');
