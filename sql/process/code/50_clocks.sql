-- Service clocks: how events get in, how clocks are kept and read.

-- ---- promises ----

-- PL/pgSQL, as every ticket asks: a SQL function with a path of its own is planned anew by every statement
CREATE OR REPLACE FUNCTION crm_internal.match_sla_policy(tenant bigint, subject_type text, subject jsonb)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT p.id
            FROM crm.sla_policies AS p
            WHERE p.tenant_id = tenant AND p.subject_type = match_sla_policy.subject_type AND p.active
              AND (p.condition IS NULL OR coalesce(crm.path_holds(match_sla_policy.subject, p.condition), false))
            ORDER BY p.position, p.id
            LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm_internal.match_sla_policy(bigint, text, jsonb) IS 'What crm.match_sla_policy() does, for a tenant.';

CREATE OR REPLACE FUNCTION crm.match_sla_policy(subject_type text, subject jsonb)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT p.id
        FROM crm.sla_policies AS p
        WHERE p.tenant_id = crm.tenant_id() AND p.subject_type = match_sla_policy.subject_type AND p.active
          AND (p.condition IS NULL OR coalesce(crm.path_holds(match_sla_policy.subject, p.condition), false))
        ORDER BY p.position, p.id
        LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm.match_sla_policy(text, jsonb) IS
'First active policy, by position and id, whose condition holds for the row given as jsonb; NULL where none does. A condition holds if its first result is neither false nor null.';

CREATE OR REPLACE FUNCTION crm_internal.sla_terms_id(tenant bigint, policy_id bigint, priority text, calendar_id bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    terms jsonb;
    found_id bigint;
BEGIN
    SELECT jsonb_build_object(
               'policy_id', p.id, 'priority', priority, 'calendar_id', calendar_id, 'reopen', coalesce(p.reopen, 'resume'),
               'metrics', coalesce((
                   SELECT jsonb_object_agg(t.metric, jsonb_strip_nulls(jsonb_build_object(
                              'target_id', t.id, 'seconds', t.seconds,
                              'calendar_id', CASE t.time_basis WHEN 'business'
                                                  THEN coalesce(calendar_id, t.calendar_id, p.calendar_id) END,
                              'business', t.time_basis = 'business',
                              'pause', to_jsonb(t.pause_stages))))
                   FROM (SELECT DISTINCT ON (g.metric) g.*
                         FROM crm.sla_targets AS g
                         WHERE g.tenant_id = tenant AND g.policy_id = p.id
                           AND (g.priority = priority OR g.priority IS NULL)
                         ORDER BY g.metric, g.priority NULLS LAST) AS t), '{}'))
    INTO terms
    FROM (SELECT 1) AS one
    LEFT JOIN crm.sla_policies AS p ON p.tenant_id = tenant AND p.id = policy_id AND p.active;

    IF jsonb_path_exists(terms, '$.metrics.* ? (@.business == true && !exists(@.calendar_id))') THEN
        RAISE EXCEPTION 'policy % has a target in business time, but no calendar', policy_id
            USING ERRCODE = 'CR301',
                  HINT = 'Set calendar_id in crm.sla_policies or crm.sla_targets, or make the target one of calendar time.';
    END IF;

    SELECT t.id INTO found_id
    FROM crm.sla_terms AS t
    WHERE t.tenant_id = tenant AND t.definition_key = md5(terms::text);
    IF found_id IS NULL THEN
        INSERT INTO crm.sla_terms AS t (tenant_id, definition)
        VALUES (tenant, terms)
        ON CONFLICT ON CONSTRAINT sla_terms_definition_key_key DO UPDATE SET created_at = t.created_at
        RETURNING t.id INTO found_id;
    END IF;
    RETURN found_id;
END
$$;
COMMENT ON FUNCTION crm_internal.sla_terms_id(bigint, bigint, text, bigint) IS 'What crm.sla_terms_id() does, for a tenant.';

CREATE OR REPLACE FUNCTION crm.sla_terms_id(policy_id bigint, priority text, calendar_id bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN crm_internal.sla_terms_id(crm.tenant_id(), policy_id, priority, calendar_id);
END
$$;
COMMENT ON FUNCTION crm.sla_terms_id(bigint, text, bigint) IS
'Number of the promises that a policy makes for a priority, as of now; stores them where they are new. calendar_id replaces the calendars of policy and targets, for a subject with hours of its own. Policy NULL or inactive: nothing is promised.';
SELECT crm.declare_function('crm.sla_terms_id', 'agent');

-- ---- events ----

CREATE OR REPLACE FUNCTION crm_internal.record_sla_event(tenant bigint, subject_type text, subject_id bigint, event text,
                                                         occurred_at timestamptz, data jsonb DEFAULT '{}', subject jsonb DEFAULT NULL)
RETURNS crm.sla_events
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known CONSTANT text[] := '{stage,stage_type,priority,policy_id,calendar_id,metric,due_at,opened_at,inbound,count,calendar_mode,event_id,into_id}';
    old jsonb;
    old_id bigint;
    terms bigint;
    level text;
    survivor_id bigint := (data ->> 'into_id')::bigint;
    stored crm.sla_events;
BEGIN
    data := coalesce(data, '{}');
    PERFORM crm_internal.check_clock_names(subject_type, data ->> 'metric', false);
    IF event IS NULL OR event NOT IN ('opened', 'changed', 'stage', 'customer_message', 'agent_message', 'resolved', 'reopened', 'closed', 'cancelled',
                                      'merged', 'due', 'paused', 'resumed', 'withdrawn', 'note', 'breached', 'breach_withdrawn', 'absorbed') THEN
        RAISE EXCEPTION 'there is no event "%" of clocks', event
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Events are opened, changed, stage, customer_message, agent_message, resolved, reopened, closed, cancelled, merged, due, paused, '
                         'resumed, withdrawn and note.';
    END IF;
    IF event IN ('breached', 'breach_withdrawn', 'absorbed') THEN
        RAISE EXCEPTION 'event "%" is recorded by the CRM itself', event
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF event = 'merged' AND survivor_id = subject_id THEN
        RAISE EXCEPTION 'a subject cannot be merged into itself'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF event = 'opened' THEN
        subject := coalesce(subject, data);
    END IF;

    IF subject IS NOT NULL OR data ?| '{priority,policy_id,calendar_id}' THEN
        SELECT t.definition, t.id INTO old, old_id
        FROM crm.sla_subjects AS s
        JOIN crm.sla_terms AS t ON t.tenant_id = s.tenant_id AND t.id = s.terms_id
        WHERE s.tenant_id = tenant AND s.subject_type = subject_type AND s.subject_id = subject_id;
        level := coalesce(data ->> 'priority', subject ->> 'priority', old ->> 'priority');
        terms := crm_internal.sla_terms_id(
            tenant,
            CASE WHEN data ? 'policy_id' THEN (data ->> 'policy_id')::bigint
                 WHEN subject IS NOT NULL THEN crm_internal.match_sla_policy(tenant, subject_type, subject)
                 ELSE (old ->> 'policy_id')::bigint END,
            level,
            CASE WHEN data ? 'calendar_id' THEN (data ->> 'calendar_id')::bigint
                 ELSE (old ->> 'calendar_id')::bigint END);
        IF terms = old_id AND event <> 'opened' THEN
            terms := NULL;
        END IF;
    END IF;

    INSERT INTO crm.sla_events AS e
        (tenant_id, subject_type, subject_id, event, occurred_at, stage, stage_type, priority, terms_id, metric, at_time,
         outbound, count_from, calendar_mode, refers_to_id, data)
    VALUES (tenant, subject_type, subject_id, event, occurred_at, data ->> 'stage', data ->> 'stage_type', level, terms,
            data ->> 'metric', coalesce(data ->> 'due_at', data ->> 'opened_at')::timestamptz,
            NOT (data ->> 'inbound')::boolean, data ->> 'count', data ->> 'calendar_mode',
            (data ->> 'event_id')::bigint, nullif(data - known, '{}'))
    RETURNING e.* INTO stored;

    IF event = 'merged' AND survivor_id IS NOT NULL THEN
        INSERT INTO crm.sla_events AS e (tenant_id, subject_type, subject_id, event, occurred_at, at_time, data)
        SELECT tenant, subject_type, survivor_id, 'absorbed', occurred_at, min(o.occurred_at),
               jsonb_build_object('from_id', subject_id)
        FROM crm.sla_events AS o
        WHERE o.tenant_id = tenant AND o.subject_type = subject_type AND o.subject_id = subject_id
          AND o.event = 'opened'
        HAVING min(o.occurred_at) IS NOT NULL;
    END IF;
    RETURN stored;
END
$$;
COMMENT ON FUNCTION crm_internal.record_sla_event(bigint, text, bigint, text, timestamptz, jsonb, jsonb) IS
'What crm.record_sla_event() does, for a tenant: events of a row belong to the row''s tenant, whoever writes it.';

CREATE OR REPLACE FUNCTION crm.record_sla_event(subject_type text, subject_id bigint, event text,
                                                occurred_at timestamptz DEFAULT now(), data jsonb DEFAULT '{}',
                                                subject jsonb DEFAULT NULL)
RETURNS crm.sla_events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT crm.has_access('agent') THEN
        RAISE EXCEPTION 'permission denied to record events of service clocks'
            USING ERRCODE = 'insufficient_privilege', HINT = 'This takes the level agent.';
    END IF;
    PERFORM crm_internal.require(subject_type, subject_id, 'change');
    PERFORM crm_internal.require(subject_type, (data ->> 'into_id')::bigint, 'change');
    RETURN crm_internal.record_sla_event(crm.tenant_id(), subject_type, subject_id, event, occurred_at, data, subject);
END
$$;
COMMENT ON FUNCTION crm.record_sla_event(text, bigint, text, timestamptz, jsonb, jsonb) IS
'Writes down what happened to a subject; its clocks follow in the same statement. Events and the keys of data they use are listed in docs/howto/service-clocks.md. subject is the subject''s row as jsonb: given with opened or with a change, it selects the policy. Events may come late and in any order.';
SELECT crm.declare_function('crm.record_sla_event', 'agent');

-- ---- clocks follow events ----

-- Plans are kept from the first statement of a session on, when the tables may be empty or the events a hundred thousand:
-- every step goes from the new events to each subject by its key, whatever is known of sizes, so that a statement costs
-- what its rows cost.
CREATE OR REPLACE FUNCTION crm.sla_events_refresh()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    fresh boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM new_events AS n WHERE n.event <> 'breach_withdrawn') THEN
        RETURN NULL;
    END IF;
    -- one session a subject: the next statement sees what the one before committed. A new subject is what its new events say.
    WITH taken AS (
        INSERT INTO crm.sla_subjects AS s (tenant_id, subject_type, subject_id, event_count, last_event_at, terms_id, open)
        SELECT n.tenant_id, n.subject_type, n.subject_id, count(*), max(n.occurred_at),
               (array_agg(n.terms_id ORDER BY n.occurred_at DESC, n.id DESC) FILTER (WHERE n.terms_id IS NOT NULL))[1],
               coalesce((array_agg(n.event IN ('opened', 'reopened') ORDER BY n.occurred_at DESC, n.id DESC)
                         FILTER (WHERE n.event IN ('opened', 'reopened', 'resolved', 'closed', 'cancelled', 'merged')))[1], count(n.terms_id) = 0)
        FROM new_events AS n GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT ON CONSTRAINT sla_subjects_pkey
            DO UPDATE SET event_count = s.event_count + excluded.event_count,
                          last_event_at = greatest(s.last_event_at, excluded.last_event_at)
        RETURNING s.xmax = 0 AS fresh)   -- nothing was locked
    SELECT bool_and(t.fresh) INTO fresh FROM taken AS t;

    IF NOT fresh AND EXISTS (SELECT FROM new_events AS n
                             WHERE n.terms_id IS NOT NULL
                                OR n.event IN ('opened', 'reopened', 'resolved', 'closed', 'cancelled', 'merged', 'withdrawn')) THEN
        -- all of them are there: written so that each is found by its key
        INSERT INTO crm.sla_subjects AS s (tenant_id, subject_type, subject_id, terms_id, open)
        SELECT k.*,
               (SELECT e.terms_id FROM crm.sla_events AS e
                WHERE e.tenant_id = k.tenant_id AND e.subject_type = k.subject_type AND e.subject_id = k.subject_id
                  AND e.terms_id IS NOT NULL
                ORDER BY e.occurred_at DESC, e.id DESC LIMIT 1),
               coalesce((SELECT e.event IN ('opened', 'reopened')
                         FROM crm.sla_events AS e
                         WHERE e.tenant_id = k.tenant_id AND e.subject_type = k.subject_type AND e.subject_id = k.subject_id
                           AND e.event IN ('opened', 'reopened', 'resolved', 'closed', 'cancelled', 'merged')
                           -- one value, no join: joined by a plan of when there were none, all that was withdrawn would be read
                           AND (SELECT w.id FROM crm.sla_events AS w
                                WHERE w.tenant_id = e.tenant_id AND w.refers_to_id = e.id AND w.event = 'withdrawn' LIMIT 1) IS NULL
                         ORDER BY e.occurred_at DESC, e.id DESC LIMIT 1), false)
        FROM (SELECT DISTINCT n.tenant_id, n.subject_type, n.subject_id FROM new_events AS n) AS k
        ON CONFLICT ON CONSTRAINT sla_subjects_pkey
            DO UPDATE SET terms_id = excluded.terms_id, open = excluded.open
            WHERE (s.terms_id, s.open) IS DISTINCT FROM (excluded.terms_id, excluded.open);
    END IF;

    -- a subject's clocks as one list, so that those it has no more are found without joining lists
    WITH folded AS MATERIALIZED (
        SELECT k.tenant_id, k.subject_type, k.subject_id, x.clocks, x.keys
        FROM (SELECT DISTINCT n.tenant_id, n.subject_type, n.subject_id FROM new_events AS n) AS k
        CROSS JOIN LATERAL (SELECT array_agg(f) AS clocks, array_agg(f.metric || f.cycle) AS keys
                            FROM crm.sla_fold(k.subject_type, k.subject_id, NULL, NULL, k.tenant_id) AS f) AS x
    ), gone AS (
        DELETE FROM crm.sla_clocks AS c
        USING folded AS k
        WHERE c.tenant_id = k.tenant_id AND c.subject_type = k.subject_type AND c.subject_id = k.subject_id
          AND (c.metric || c.cycle = ANY (k.keys)) IS NOT TRUE
    ), fold AS (
        SELECT k.tenant_id, k.subject_type, k.subject_id, f.*
        FROM folded AS k
        CROSS JOIN LATERAL unnest(k.clocks) AS f (
            metric text, cycle integer, state text, policy_id bigint, target_id bigint, target_seconds double precision, calendar_id bigint,
            started_at timestamptz, counted_from timestamptz, running_since timestamptz, paused_since timestamptz, stopped_at timestamptz,
            due_at timestamptz, due_pinned boolean, due_before_change boolean, breached_at timestamptz,
            stretches timestamptz[], stretch_calendars bigint[])
    )
    INSERT INTO crm.sla_clocks AS c
        (tenant_id, subject_type, subject_id, metric, cycle, state, policy_id, target_id, target_seconds, calendar_id,
         started_at, counted_from, running_since, paused_since, stopped_at, due_at, due_pinned, due_before_change,
         breached_at, used_seconds, stretches, stretch_calendars)
    SELECT f.tenant_id, f.subject_type, f.subject_id, f.metric, f.cycle, f.state, f.policy_id, f.target_id,
           f.target_seconds, f.calendar_id, f.started_at, f.counted_from, f.running_since, f.paused_since, f.stopped_at,
           f.due_at, f.due_pinned, f.due_before_change, f.breached_at,
           CASE WHEN f.stopped_at IS NOT NULL
                THEN crm.sla_used(f.calendar_id, f.stopped_at, NULL, f.stretches, f.stretch_calendars, f.tenant_id) END,
           f.stretches, f.stretch_calendars
    FROM fold AS f
    ON CONFLICT ON CONSTRAINT sla_clocks_pkey DO UPDATE SET
        (state, policy_id, target_id, target_seconds, calendar_id, started_at, counted_from, running_since, paused_since, stopped_at,
         due_at, due_pinned, due_before_change, breached_at, used_seconds, stretches, stretch_calendars, measured_at) =
        (excluded.state, excluded.policy_id, excluded.target_id, excluded.target_seconds, excluded.calendar_id, excluded.started_at,
         excluded.counted_from, excluded.running_since, excluded.paused_since, excluded.stopped_at, excluded.due_at, excluded.due_pinned,
         excluded.due_before_change, excluded.breached_at, excluded.used_seconds, excluded.stretches, excluded.stretch_calendars,
         clock_timestamp())
    -- an ended clock stays as it was measured where only the opening hours are others than
    -- they were then: what is announced later does not rewrite statistics
    WHERE (c.stopped_at IS NULL
           OR NOT EXISTS (SELECT FROM crm.calendars AS k
                          WHERE k.tenant_id = c.tenant_id AND k.updated_at > c.measured_at
                            AND (k.id = c.calendar_id OR k.id = ANY (c.stretch_calendars)))
           OR (c.policy_id, c.target_id, c.target_seconds, c.calendar_id, c.started_at, c.counted_from, c.stopped_at, c.due_pinned,
               c.stretches, c.stretch_calendars) IS DISTINCT FROM
              (excluded.policy_id, excluded.target_id, excluded.target_seconds, excluded.calendar_id, excluded.started_at,
               excluded.counted_from, excluded.stopped_at, excluded.due_pinned, excluded.stretches, excluded.stretch_calendars))
      AND (c.state, c.policy_id, c.target_id, c.target_seconds, c.calendar_id, c.started_at, c.counted_from, c.running_since,
           c.paused_since, c.stopped_at, c.due_at, c.due_pinned, c.due_before_change, c.breached_at, c.used_seconds, c.stretches,
           c.stretch_calendars) IS DISTINCT FROM
          (excluded.state, excluded.policy_id, excluded.target_id, excluded.target_seconds, excluded.calendar_id, excluded.started_at,
           excluded.counted_from, excluded.running_since, excluded.paused_since, excluded.stopped_at, excluded.due_at, excluded.due_pinned,
           excluded.due_before_change, excluded.breached_at, excluded.used_seconds, excluded.stretches, excluded.stretch_calendars);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.sla_events_refresh() IS
'Statement trigger of crm.sla_events: computes the clocks of the subjects concerned anew and stores what changed.';
CREATE OR REPLACE TRIGGER sla_events_after_refresh
    AFTER INSERT ON crm.sla_events
    REFERENCING NEW TABLE AS new_events
    FOR EACH STATEMENT EXECUTE FUNCTION crm.sla_events_refresh();

CREATE OR REPLACE FUNCTION crm_internal.sla_events_unbreach()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    -- nearly always none of them has been broken: no command that writes nothing is run for that
    IF NOT EXISTS (SELECT FROM new_events AS n CROSS JOIN LATERAL (
                       SELECT FROM crm.sla_events AS e
                       WHERE e.tenant_id = n.tenant_id AND e.subject_type = n.subject_type AND e.subject_id = n.subject_id
                         AND e.event = 'breached' LIMIT 1) AS b
                   WHERE n.event <> 'breach_withdrawn') THEN
        RETURN NULL;
    END IF;
    -- a breach that was noted and, as we know now, did not happen
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, metric, cycle, refers_to_id)
    SELECT b.tenant_id, b.subject_type, b.subject_id, 'breach_withdrawn', b.occurred_at, b.metric, b.cycle, b.id
    FROM (SELECT DISTINCT n.tenant_id, n.subject_type, n.subject_id FROM new_events AS n) AS k
    -- OFFSET: from the subject to its breaches, never from all breaches to the subject
    CROSS JOIN LATERAL (SELECT e.* FROM crm.sla_events AS e
                        WHERE e.tenant_id = k.tenant_id AND e.subject_type = k.subject_type AND e.subject_id = k.subject_id
                          AND e.event = 'breached' OFFSET 0) AS b
    LEFT JOIN crm.sla_clocks AS c ON c.tenant_id = b.tenant_id AND c.subject_type = b.subject_type AND c.subject_id = b.subject_id
                                     AND c.metric = b.metric AND c.cycle = b.cycle
    WHERE c.breached_at IS NULL AND c.state IS DISTINCT FROM 'merged'
      AND (SELECT w.id FROM crm.sla_events AS w WHERE w.tenant_id = b.tenant_id AND w.refers_to_id = b.id LIMIT 1) IS NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.sla_events_unbreach() IS
'Statement trigger of crm.sla_events, after the clocks: withdraws breaches that, as is known now, did not happen.';
CREATE OR REPLACE TRIGGER sla_events_after_unbreach
    AFTER INSERT ON crm.sla_events
    REFERENCING NEW TABLE AS new_events
    FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.sla_events_unbreach();

-- ---- breaches as recorded facts ----

CREATE OR REPLACE FUNCTION crm_internal.note_breaches(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH noted AS (
        INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, metric, cycle, at_time)
        SELECT c.tenant_id, c.subject_type, c.subject_id, 'breached', c.due_at, c.metric, c.cycle, c.running_since
        FROM unnest(items) WITH ORDINALITY AS i (item, n)
        JOIN crm.sla_clocks AS c ON c.tenant_id = tenant AND c.subject_type = i.item::jsonb ->> 0 AND c.subject_id = (i.item::jsonb ->> 1)::bigint
            AND c.metric = i.item::jsonb ->> 2 AND c.cycle = (i.item::jsonb ->> 3)::integer
        ORDER BY i.n
        ON CONFLICT DO NOTHING
        RETURNING 1)
    SELECT count(*) FROM noted
$$;
COMMENT ON FUNCTION crm_internal.note_breaches(bigint, text[], timestamptz) IS 'Writes down some breaches of a company; returns how many.';

CREATE OR REPLACE FUNCTION crm.record_sla_breaches(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.record_sla_breaches',
        'crm.sla_clocks AS x JOIN crm.sla_subjects AS s '
        'ON s.tenant_id = x.tenant_id AND s.subject_type = x.subject_type AND s.subject_id = x.subject_id '
        'WHERE x.state = ''running'' AND x.breached_at IS NULL AND x.due_at <= $1',
        'jsonb_build_array(x.subject_type, x.subject_id, x.metric, x.cycle)', 'x.due_at', 'NO KEY UPDATE OF s', 'crm_internal.note_breaches', as_of, batch)
$$;
COMMENT ON FUNCTION crm.record_sla_breaches(timestamptz, integer) IS
'Notes breaches that have happened by as_of as events, in the order of their due instants, at most batch of them; returns how many. Nothing depends on it but history: a noted breach stays when opening hours are changed afterwards. Safe in several sessions at once.';
SELECT crm.declare_function('crm.record_sla_breaches', 'owner');

-- ---- calendars and policies change ----

CREATE OR REPLACE FUNCTION crm.recompute_sla_clocks(calendar_ids bigint[] DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed bigint;
BEGIN
    -- what was broken by the hours that held until now stays broken
    INSERT INTO crm.sla_events (tenant_id, subject_type, subject_id, event, occurred_at, metric, cycle, at_time)
    SELECT c.tenant_id, c.subject_type, c.subject_id, 'breached', c.due_at, c.metric, c.cycle, c.running_since
    FROM crm.sla_clocks AS c
    WHERE c.tenant_id = crm.tenant_id() AND c.state = 'running' AND c.breached_at IS NULL AND c.due_at < now()
      AND (calendar_ids IS NULL OR c.calendar_id = ANY (calendar_ids) OR c.stretch_calendars && calendar_ids)
    ON CONFLICT DO NOTHING;

    UPDATE crm.sla_clocks AS c
    SET due_at = crm.sla_due(c.calendar_id, c.target_seconds, c.running_since, c.stretches, c.stretch_calendars, c.tenant_id)
    -- each of the three has an index of its own
    WHERE (c.state = 'running' AND c.breached_at IS NULL
           OR c.stopped_at IS NULL AND c.breached_at IS NOT NULL
           OR c.state = 'paused')
      AND c.tenant_id = crm.tenant_id() AND NOT c.due_pinned AND c.target_seconds IS NOT NULL
      AND (calendar_ids IS NULL OR c.calendar_id = ANY (calendar_ids) OR c.stretch_calendars && calendar_ids)
      AND c.due_at IS DISTINCT FROM
          crm.sla_due(c.calendar_id, c.target_seconds, c.running_since, c.stretches, c.stretch_calendars, c.tenant_id);
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION crm.recompute_sla_clocks(bigint[]) IS
'Due instants of open clocks anew, for the hours that calendars have now; returns how many changed. NULL: all calendars. Called by triggers whenever a calendar or its holidays change; after an update of the server''s time zone database call it by hand.';
SELECT crm.declare_function('crm.recompute_sla_clocks', 'owner');

CREATE OR REPLACE FUNCTION crm.calendars_recompute()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ids bigint[];
BEGIN
    SELECT array_agg(DISTINCT r.calendar_id) INTO ids FROM changed_rows AS r WHERE r.tenant_id = crm.tenant_id();
    IF ids IS NOT NULL THEN
        UPDATE crm.calendars AS c SET updated_at = clock_timestamp()
        WHERE c.tenant_id = crm.tenant_id() AND c.id = ANY (ids);
        PERFORM crm.recompute_sla_clocks(ids);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.calendars_recompute() IS 'Statement trigger of crm.calendar_versions and crm.calendar_holidays: due instants follow the hours.';
-- triggers of one table fire in the order of their names: caches are dropped first (_after_changed)
CREATE OR REPLACE TRIGGER calendar_versions_after_recompute_insert AFTER INSERT ON crm.calendar_versions
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.calendars_recompute();
CREATE OR REPLACE TRIGGER calendar_versions_after_recompute_update AFTER UPDATE ON crm.calendar_versions
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.calendars_recompute();
CREATE OR REPLACE TRIGGER calendar_versions_after_recompute_delete AFTER DELETE ON crm.calendar_versions
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.calendars_recompute();
CREATE OR REPLACE TRIGGER calendar_holidays_after_recompute_insert AFTER INSERT ON crm.calendar_holidays
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.calendars_recompute();
CREATE OR REPLACE TRIGGER calendar_holidays_after_recompute_update AFTER UPDATE ON crm.calendar_holidays
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.calendars_recompute();
CREATE OR REPLACE TRIGGER calendar_holidays_after_recompute_delete AFTER DELETE ON crm.calendar_holidays
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.calendars_recompute();

-- ---- reading ----

CREATE OR REPLACE FUNCTION crm.clock_state(subject_type text, subject_id bigint, as_of timestamptz DEFAULT now(),
                                           known_at timestamptz DEFAULT NULL)
RETURNS TABLE (metric text, cycle integer, state text, breached boolean, breached_at timestamptz, due_at timestamptz,
               used_seconds double precision, remaining_seconds double precision, target_seconds double precision,
               started_at timestamptz, running_since timestamptz, paused_since timestamptz, stopped_at timestamptz,
               due_pinned boolean, due_before_change boolean, policy_id bigint, target_id bigint, calendar_id bigint)
LANGUAGE sql STABLE ROWS 4
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.metric, f.cycle, f.state, f.breached_at IS NOT NULL, f.breached_at, f.due_at,
           u.used, f.target_seconds - u.used, f.target_seconds,
           f.started_at, f.running_since, f.paused_since, f.stopped_at, f.due_pinned, f.due_before_change,
           f.policy_id, f.target_id, f.calendar_id
    FROM crm.sla_fold(clock_state.subject_type, clock_state.subject_id, clock_state.as_of, clock_state.known_at) AS f
    CROSS JOIN LATERAL crm.sla_used(f.calendar_id, coalesce(f.stopped_at, clock_state.as_of), f.running_since, f.stretches,
                                    f.stretch_calendars) AS u (used)
    ORDER BY f.metric, f.cycle
$$;
COMMENT ON FUNCTION crm.clock_state(text, bigint, timestamptz, timestamptz) IS
'Clocks of a subject at an instant, computed from its events: state, breach, due instant, seconds used and left. known_at: by what had been recorded then.';
SELECT crm.declare_api('crm.clock_state', '{"subject_type": "tickets", "subject_id": 1}');

CREATE OR REPLACE FUNCTION crm.sla_clocks_at(as_of timestamptz DEFAULT now(), subject_type text DEFAULT NULL)
RETURNS TABLE (subject_type text, subject_id bigint, metric text, cycle integer, state text, breached boolean,
               breached_at timestamptz, due_at timestamptz, used_seconds double precision,
               remaining_seconds double precision, target_seconds double precision, policy_id bigint, calendar_id bigint)
LANGUAGE sql STABLE ROWS 500
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.subject_type, s.subject_id, c.metric, c.cycle, c.state, c.breached, c.breached_at, c.due_at, c.used_seconds,
           c.remaining_seconds, c.target_seconds, c.policy_id, c.calendar_id
    FROM crm.sla_subjects AS s
    CROSS JOIN LATERAL crm.clock_state(s.subject_type, s.subject_id, sla_clocks_at.as_of) AS c
    WHERE s.tenant_id = crm.tenant_id()
      AND (sla_clocks_at.subject_type IS NULL OR s.subject_type = sla_clocks_at.subject_type)
$$;
COMMENT ON FUNCTION crm.sla_clocks_at(timestamptz, text) IS
'Clocks of all subjects at an instant of the past, computed from events; for the present crm.sla_clock_status is faster.';

CREATE OR REPLACE FUNCTION crm.clock_history(subject_type text, subject_id bigint, as_of timestamptz DEFAULT now())
RETURNS TABLE (at timestamptz, metric text, cycle integer, change text)
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.at, f.metric, f.cycle, h.change
    FROM crm.sla_fold(clock_history.subject_type, clock_history.subject_id, clock_history.as_of) AS f
    CROSS JOIN LATERAL (
        SELECT f.started_at, 0, 'started'
        UNION ALL
        SELECT f.stretches[i], 2, 'resumed'
        FROM generate_series(1, cardinality(f.stretches), 2) AS i
        WHERE f.stretches[i] > f.started_at AND f.stretches[i] IS DISTINCT FROM f.stretches[i - 1]
        UNION ALL
        SELECT f.stretches[i], 1, 'paused'
        FROM generate_series(2, cardinality(f.stretches), 2) AS i
        WHERE f.stretches[i] IS DISTINCT FROM f.stopped_at
          AND f.stretches[i] IS DISTINCT FROM coalesce(f.stretches[i + 1], f.running_since)
        UNION ALL
        SELECT f.running_since, 2, 'resumed'
        WHERE f.running_since > f.started_at
          AND f.running_since IS DISTINCT FROM f.stretches[cardinality(f.stretches)]
        UNION ALL
        SELECT f.breached_at, 3, 'breached' WHERE f.breached_at IS NOT NULL
        UNION ALL
        SELECT f.stopped_at, 4, f.state WHERE f.stopped_at IS NOT NULL
    ) AS h (at, step, change)
    ORDER BY h.at, f.metric, f.cycle, h.step
$$;
COMMENT ON FUNCTION crm.clock_history(text, bigint, timestamptz) IS
'What the clocks of a subject did: started, paused, resumed, breached and how they ended, in the order of time.';
