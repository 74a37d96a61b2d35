-- Work that waits: enlisted where nobody could take it, served in turn whenever somebody becomes free.
--
-- Eligible is what a rule holds for or a queue gives out. A pass goes through what waits in the order of urgency and time, and leaves out
-- what is like something that has just found nobody (same rule, queue and skills): so a thousand records that nobody can take cost
-- one look, and keep nobody else waiting.

-- ---- the list ----

-- the parts of a query over the rows s of a table that say which wait, and in what order
CREATE OR REPLACE FUNCTION crm_internal.waiting_sql(relation regclass, part text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE part
        WHEN 'joins' THEN
            CASE WHEN queued THEN 'LEFT JOIN crm.queues AS q ON q.tenant_id = s.tenant_id AND q.id = s.queue_id ' ELSE '' END
            || CASE WHEN urgent THEN 'LEFT JOIN crm.priorities AS p ON p.tenant_id = s.tenant_id AND p.code = s.priority ' ELSE '' END
        WHEN 'nobodys' THEN
            crm_internal.open_row_sql(relation) || ' AND (s.owner_id IS NULL'
            -- open work of somebody who left waits, too
            || CASE WHEN crm_internal.table_is(relation, 'workload')
                    THEN ' OR s.owner_id IN (SELECT u.id FROM crm.users AS u WHERE u.tenant_id = s.tenant_id AND NOT u.active)' ELSE '' END || ')'
        WHEN 'turn' THEN
            CASE WHEN urgent THEN 'p.rank DESC NULLS LAST, ' ELSE '' END
            || CASE WHEN crm_internal.table_is(relation, 'newest_first') THEN 's.created_at DESC, s.id DESC' ELSE 's.created_at, s.id' END
        WHEN 'queue' THEN CASE WHEN queued THEN 's.queue_id' ELSE 'NULL::bigint' END
        WHEN 'by_queue' THEN CASE WHEN queued THEN 'q.routing_method <> ''manual''' ELSE 'false' END
        WHEN 'skills' THEN CASE WHEN crm.column_exists(relation, 'skill_ids') THEN 's.skill_ids' ELSE '''{}''::bigint[]' END END
    FROM (SELECT crm.column_exists(relation, 'queue_id') AS queued, crm.column_exists(relation, 'priority') AS urgent) AS c
$$;
COMMENT ON FUNCTION crm_internal.waiting_sql(regclass, text) IS
'Part of a query over rows s of a table: joins, nobodys (condition: open and owned by nobody at work), turn (order), queue, by_queue (condition: a queue '
'gives it out), skills.';

-- what waits of a table: query for rows as in crm_internal.waiting_work, with a condition over the row s
CREATE OR REPLACE FUNCTION crm_internal.waiting_rows_sql(subject_table text, condition text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('SELECT s.tenant_id, %L::text AS subject_table, s.id AS subject_id, %s AS queue_id, r.id AS rule_id, '
                  'ARRAY(SELECT DISTINCT x FROM unnest(%s || coalesce(r.skill_ids, ''{}'')) AS x) AS needed FROM %s AS s ',
                  waiting_rows_sql.subject_table, crm_internal.waiting_sql(t, 'queue'), crm_internal.waiting_sql(t, 'skills'), t)
        || crm_internal.waiting_sql(t, 'joins')
        || format('LEFT JOIN LATERAL (SELECT z.id, z.skill_ids FROM crm.assignment_rules AS z WHERE z.tenant_id = s.tenant_id AND z.subject_table = %L '
                  'AND z.active AND crm.condition_holds(to_jsonb(s.*), z.condition) ORDER BY z.position LIMIT 1) AS r ON true ', waiting_rows_sql.subject_table)
        || 'WHERE ' || crm_internal.waiting_sql(t, 'nobodys') || ' AND (r.id IS NOT NULL OR '
        || crm_internal.waiting_sql(t, 'by_queue') || ') AND ' || condition
    FROM crm.require_registered(waiting_rows_sql.subject_table, 'assignment') AS t
$$;
COMMENT ON FUNCTION crm_internal.waiting_rows_sql(text, text) IS 'Query for the records of a table that wait, with what they take as it is now.';

-- Of all tenants. What others hold is being given out, or will be by the next pass.
CREATE OR REPLACE FUNCTION crm_internal.enlist_waiting(subject_table text, tenant bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    EXECUTE 'INSERT INTO crm_internal.waiting_work AS w (tenant_id, subject_table, subject_id, queue_id, rule_id, needed) SELECT v.* FROM ('
        || crm_internal.waiting_rows_sql(subject_table, format('s.tenant_id = $1 AND NOT EXISTS '
               '(SELECT FROM crm_internal.waiting_work AS o WHERE o.tenant_id = s.tenant_id '
               'AND o.subject_table = %L AND o.subject_id = s.id AND o.rule_id IS NOT DISTINCT FROM r.id AND o.queue_id IS NOT DISTINCT FROM %s '
               'AND o.needed = ARRAY(SELECT DISTINCT x FROM unnest(%s || coalesce(r.skill_ids, ''{}'')) AS x))', enlist_waiting.subject_table,
               crm_internal.waiting_sql(crm.subject_relation(subject_table), 'queue'), crm_internal.waiting_sql(crm.subject_relation(subject_table), 'skills')))
        || ' FOR NO KEY UPDATE OF s SKIP LOCKED) AS v '
           'ON CONFLICT ON CONSTRAINT waiting_work_pkey DO UPDATE SET queue_id = excluded.queue_id, rule_id = excluded.rule_id, needed = excluded.needed'
        USING tenant;
END
$$;
COMMENT ON FUNCTION crm_internal.enlist_waiting(text, bigint) IS
'Puts the records of a company in a table that wait on the list, and brings up to date what they take.';

-- ---- serving ----

-- conditions over what waits (w, of a row s), for crm_internal.serve_table()
CREATE OR REPLACE FUNCTION crm_internal.served_sql(relation regclass, freed boolean, earlier boolean)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN freed THEN
               -- what the one who became free could be given
               ' AND EXISTS (SELECT FROM (SELECT coalesce(r.team_id, v.team_id) AS team_id, r.user_ids, coalesce(r.skill_match, v.skill_match) AS skill_match '
               'FROM (SELECT 1) AS one LEFT JOIN crm.assignment_rules AS r ON r.tenant_id = $1 AND r.id = w.rule_id '
               'LEFT JOIN crm.queues AS v ON v.tenant_id = $1 AND v.id = w.queue_id AND w.rule_id IS NULL) AS c '
               'WHERE ($3 = ANY (c.user_ids) OR EXISTS (SELECT FROM crm.team_memberships AS m '
               'WHERE m.tenant_id = $1 AND m.team_id = c.team_id AND m.user_id = $3 AND m.valid @> $4)) '
               'AND (c.skill_match <> ''exact'' OR w.needed <@ ARRAY(SELECT k.skill_id FROM crm.user_skills AS k WHERE k.tenant_id = $1 AND k.user_id = $3)))'
           ELSE '' END
        || CASE WHEN earlier THEN
               -- what goes before a record and asks for no more than it
               format(' AND s.id <> $5 AND EXISTS (SELECT FROM %s AS x WHERE x.tenant_id = $1 AND x.id = $5 '
                      'AND (s.created_at, s.id) < (x.created_at, x.id) AND w.queue_id IS NOT DISTINCT FROM %s AND w.needed <@ %s)',
                      relation, replace(crm_internal.waiting_sql(relation, 'queue'), 's.', 'x.'),
                      replace(crm_internal.waiting_sql(relation, 'skills'), 's.', 'x.'))
           ELSE '' END
$$;
COMMENT ON FUNCTION crm_internal.served_sql(regclass, boolean, boolean) IS
'Conditions over what waits: that a user could be given it ($3, at $4), and that it goes before a record ($5).';

CREATE OR REPLACE FUNCTION crm_internal.note_nobody(
    tenant bigint, subject_table text, subject_id bigint, queue_id bigint, rule_id bigint, reason text, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO crm.assignments (tenant_id, subject_table, subject_id, queue_id, rule_id, method, reason, assigned_at)
    VALUES (tenant, subject_table, subject_id, queue_id, rule_id, 'none', reason, as_of);
    INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
    VALUES (tenant, 'routing.nobody', subject_table, subject_id, jsonb_build_object('reason', reason));
    UPDATE crm_internal.waiting_work AS w SET reason = note_nobody.reason
    WHERE w.tenant_id = tenant AND w.subject_table = note_nobody.subject_table AND w.subject_id = note_nobody.subject_id;
EXCEPTION WHEN OTHERS THEN
    PERFORM crm_internal.note_failed_work('crm.route_waiting', tenant, jsonb_build_array(subject_table, subject_id)::text, SQLSTATE, SQLERRM, as_of);
END
$$;
COMMENT ON FUNCTION crm_internal.note_nobody(bigint, text, bigint, bigint, bigint, text, timestamptz) IS
'Writes down that a record has found nobody; where that fails, that it did.';

-- Nothing is waited for: what others hold, they or the next pass will serve. In the queues given, what has not been tried counts as well.
CREATE OR REPLACE FUNCTION crm_internal.serve_table(
    tenant bigint, subject_table text, as_of timestamptz, batch integer, freed bigint DEFAULT NULL, before_id bigint DEFAULT NULL, queues bigint[] DEFAULT '{}')
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.subject_relation(subject_table);
    nobodys CONSTANT text := crm_internal.waiting_sql(relation, 'nobodys');
    turn CONSTANT text := crm_internal.waiting_sql(relation, 'turn');
    -- only one pass over all is made at a time
    pass CONSTANT boolean := freed IS NULL AND before_id IS NULL;
    waiting record;
    held boolean;
    decision crm.assignments;
    hopeless text[] := '{}';
    reasons text[] := '{}';
    at integer;
    served bigint := 0;
BEGIN
    FOR waiting IN EXECUTE
        'SELECT w.*, (w.rule_id, w.queue_id, w.needed)::text AS class FROM ('
            'SELECT l.tenant_id, l.subject_table, l.subject_id, l.queue_id, l.rule_id, l.needed, l.reason FROM crm_internal.waiting_work AS l '
            'WHERE l.tenant_id = $1 AND l.subject_table = $2'
        || CASE WHEN queues = '{}' THEN '' ELSE
               ' UNION ALL SELECT u.*, NULL FROM ('
               || crm_internal.waiting_rows_sql(subject_table,
                      's.tenant_id = $1 AND s.queue_id = ANY ($6) AND NOT EXISTS (SELECT FROM crm_internal.waiting_work AS o '
                      'WHERE o.tenant_id = $1 AND o.subject_table = $2 AND o.subject_id = s.id)')
               || ' ORDER BY ' || turn || ' LIMIT 100) AS u' END
        || format(') AS w JOIN %s AS s ON s.tenant_id = w.tenant_id AND s.id = w.subject_id ', relation) || crm_internal.waiting_sql(relation, 'joins')
        || 'WHERE ' || nobodys || crm_internal.served_sql(relation, freed IS NOT NULL, before_id IS NOT NULL) || ' ORDER BY ' || turn
        USING tenant, subject_table, freed, as_of, before_id, queues
    LOOP
        at := array_position(hopeless, waiting.class);
        IF at IS NULL THEN
            held := NULL;
            decision := NULL;
            BEGIN
                EXECUTE format('SELECT true FROM %s AS s WHERE s.tenant_id = $1 AND s.id = $2 AND %s FOR NO KEY UPDATE SKIP LOCKED', relation, nobodys)
                    INTO held USING tenant, waiting.subject_id;
                IF held THEN
                    decision := crm_internal.route_record(tenant, subject_table, waiting.subject_id, false, as_of, false);
                END IF;
                IF decision.user_id IS NULL AND NOT pass THEN
                    RAISE EXCEPTION 'nobody' USING ERRCODE = '02000';
                END IF;
            EXCEPTION WHEN SQLSTATE '02000' THEN
                -- gives its lock back: whoever else has a place goes by the same turn
                NULL;
            WHEN OTHERS THEN
                IF NOT pass THEN
                    RAISE;
                END IF;
                PERFORM crm_internal.note_failed_work('crm.route_waiting', tenant, jsonb_build_array(subject_table, waiting.subject_id)::text,
                                                      SQLSTATE, SQLERRM, as_of);
                held := NULL;
            END;
            CONTINUE WHEN held IS NULL;
            IF decision.user_id IS NOT NULL THEN
                served := served + 1;
                EXIT WHEN served >= batch;
                CONTINUE;
            END IF;
            hopeless := hopeless || waiting.class;
            reasons := reasons || coalesce(decision.reason, '');
        ELSIF pass AND reasons[at] <> '' AND waiting.reason IS DISTINCT FROM reasons[at] THEN
            -- it is like one that has just found nobody, and that is said once
            PERFORM crm_internal.note_nobody(tenant, subject_table, waiting.subject_id, waiting.queue_id, waiting.rule_id, reasons[at], as_of);
        END IF;
    END LOOP;
    RETURN served;
END
$$;
COMMENT ON FUNCTION crm_internal.serve_table(bigint, text, timestamptz, integer, bigint, bigint, bigint[]) IS
'Gives out what waits of a table of a tenant, in turn: at most batch records; only what a user who became free could be given; or only what goes before a '
'record and asks for no more. Returns how many found an agent.';

-- for crm.kept_text(): each record that is given out asks it
CREATE OR REPLACE FUNCTION crm_internal.earlier_query(subject_table text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.require_registered(subject_table, 'assignment');
BEGIN
    RETURN CASE
        WHEN crm_internal.table_is(relation, 'newest_first') THEN '-'
        WHEN NOT crm.column_exists(relation, 'queue_id') THEN ''
        ELSE format('SELECT to_jsonb(x.queue_id) FROM %1$s AS x WHERE x.tenant_id = $1 AND x.id = $2 AND EXISTS '
            '(SELECT FROM %1$s AS s WHERE s.queue_id = x.queue_id AND s.tenant_id = $1 AND s.owner_id IS NULL AND %2$s '
            'AND (s.created_at, s.id) < (x.created_at, x.id) AND NOT EXISTS '
            '(SELECT FROM crm_internal.waiting_work AS w WHERE w.tenant_id = $1 AND w.subject_table = %3$L AND w.subject_id = s.id))',
            relation, crm_internal.open_row_sql(relation), subject_table) END;
END
$$;
COMMENT ON FUNCTION crm_internal.earlier_query(text) IS
'Query for the queue of a record ($1 tenant, $2 id) where something came into it past routing, and before the record. Empty: the table has no queues. '
'A dash: the newest is given out first, and nothing goes before a record.';

CREATE OR REPLACE FUNCTION crm_internal.serve_before(tenant bigint, subject_table text, subject_id bigint, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    query CONSTANT text := crm.kept_text('earlier_query', subject_table);
    queue bigint;
BEGIN
    IF query = '-' THEN
        RETURN;
    ELSIF query <> '' THEN
        queue := crm.kept_value(query, tenant, subject_id)::bigint;
    END IF;
    IF queue IS NOT NULL
       OR EXISTS (SELECT FROM crm_internal.waiting_work AS w WHERE w.tenant_id = serve_before.tenant AND w.subject_table = serve_before.subject_table) THEN
        PERFORM crm_internal.serve_table(tenant, subject_table, as_of, 20, before_id => subject_id, queues => array_remove(ARRAY[queue], NULL));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.serve_before(bigint, text, bigint, timestamptz) IS
'Before a record is given out: what waits for the same agents and goes before it.';

-- Security definer: whoever becomes free need not see what is given to them. What fails here does not undo why they are free.
CREATE OR REPLACE FUNCTION crm_internal.serve_freed(tenant bigint, freed bigint, given_back boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    queues bigint[] := '{}';
    listed text[];
    waits record;
    was CONSTANT text := current_setting('crm.tenant', true);
BEGIN
    -- what is imported was done long ago
    IF coalesce(current_setting('crm.history_reason', true), '') <> ''
       OR NOT EXISTS (SELECT FROM crm.agents AS a WHERE a.tenant_id = tenant AND a.user_id = freed AND a.capacity > 0 AND a.status <> 'offline') THEN
        RETURN;
    END IF;
    -- what somebody has just given back is not given to them again at once
    IF NOT given_back THEN
        queues := ARRAY(SELECT q.id FROM crm.queues AS q
                        JOIN crm.team_memberships AS m ON m.tenant_id = tenant AND m.team_id = q.team_id AND m.user_id = freed AND m.valid @> now()
                        WHERE q.tenant_id = tenant AND q.routing_method <> 'manual');
    END IF;
    listed := ARRAY(SELECT DISTINCT w.subject_table FROM crm_internal.waiting_work AS w WHERE w.tenant_id = tenant);
    IF queues = '{}' AND listed = '{}' THEN
        RETURN;
    END IF;
    -- nearly always nothing waits, and finding that out is to cost next to nothing: so the registry itself is read here
    FOR waits IN
        SELECT a.subject, a.relation::regclass::text AS relation, a.queued,
               CASE WHEN crm.column_exists(a.relation, 'closed_at') THEN ' AND s.closed_at IS NULL' ELSE '' END AS unfinished
        FROM (SELECT r.subject, r.relation, -- a value, since the planner would hash EXISTS over all columns there are
                     coalesce((SELECT NOT q.attisdropped FROM pg_attribute AS q WHERE q.attrelid = r.relation AND q.attname = 'queue_id'), false) AS queued
              FROM crm.registry AS r WHERE coalesce(r.options -> 'assignment', 'false') <> 'false' OFFSET 0) AS a
        WHERE a.subject = ANY (listed) OR queues <> '{}' AND a.queued
        ORDER BY a.subject
    LOOP
        IF waits.subject = ANY (listed)
           OR crm.kept_value(format('SELECT to_jsonb(true) FROM %s AS s WHERE s.queue_id = ANY ($2) AND s.tenant_id = $1 AND s.owner_id IS NULL%s LIMIT 1',
                                    waits.relation, waits.unfinished), tenant, queues) IS NOT NULL THEN
            -- the owner may write rows of another company than the session's; calendars and triggers go by the session's
            PERFORM set_config('crm.tenant', tenant::text, true) WHERE tenant IS DISTINCT FROM crm.tenant_id();
            PERFORM crm_internal.serve_table(tenant, waits.subject, now(), 100, freed => freed, queues => CASE WHEN waits.queued THEN queues ELSE '{}' END);
            PERFORM set_config('crm.tenant', coalesce(was, ''), true) WHERE was IS DISTINCT FROM current_setting('crm.tenant', true);
        END IF;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'work that waits could not be given to user %: %', freed, SQLERRM;
    INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
    VALUES (tenant, 'routing.trouble', 'users', freed, jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM));
END
$$;
COMMENT ON FUNCTION crm_internal.serve_freed(bigint, bigint, boolean) IS 'Gives somebody who became free what waits for them, in turn.';

CREATE OR REPLACE FUNCTION crm_internal.became_free() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    CASE TG_ARGV[0]
        WHEN 'user' THEN PERFORM crm_internal.serve_freed(NEW.tenant_id, NEW.user_id);
        WHEN 'id' THEN PERFORM crm_internal.serve_freed(NEW.tenant_id, NEW.id);
        ELSE PERFORM crm_internal.serve_freed(OLD.tenant_id, OLD.owner_id, TG_OP = 'UPDATE' AND NEW.owner_id IS NULL);
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.became_free() IS
'Row trigger of what makes people free: by its argument the user of the row (user), the row itself (id), or who owned it (owner).';
-- named to run after the triggers that say who is an agent and what is done
CREATE OR REPLACE TRIGGER agents_after_zz_free_insert AFTER INSERT ON crm.agents
    FOR EACH ROW EXECUTE FUNCTION crm_internal.became_free('user');
CREATE OR REPLACE TRIGGER agents_after_zz_free_update AFTER UPDATE ON crm.agents
    FOR EACH ROW WHEN (NEW.capacity > OLD.capacity
                       OR NEW.status IS DISTINCT FROM OLD.status OR NEW.away_until IS DISTINCT FROM OLD.away_until
                       OR NEW.calendar_id IS DISTINCT FROM OLD.calendar_id)
    EXECUTE FUNCTION crm_internal.became_free('user');
CREATE OR REPLACE TRIGGER user_skills_after_zz_ready AFTER INSERT OR UPDATE ON crm.user_skills
    FOR EACH ROW EXECUTE FUNCTION crm_internal.became_free('user');
CREATE OR REPLACE TRIGGER team_memberships_after_zz_ready AFTER INSERT OR UPDATE ON crm.team_memberships
    FOR EACH ROW EXECUTE FUNCTION crm_internal.became_free('user');
CREATE OR REPLACE TRIGGER users_after_zz_ready AFTER UPDATE ON crm.users
    FOR EACH ROW WHEN (NEW.active AND NOT OLD.active) EXECUTE FUNCTION crm_internal.became_free('id');

-- ---- one at a time, when asked and by the clock ----

-- security definer: whoever hands out work need not see the work of all the others
CREATE OR REPLACE FUNCTION crm.route_record(
    subject_table text, subject_id bigint, reassign boolean DEFAULT false, as_of timestamptz DEFAULT now())
RETURNS crm.assignments
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.because('routing');
    PERFORM crm.require_registered(subject_table, 'assignment');
    PERFORM crm_internal.require(subject_table, subject_id, 'change');
    IF NOT reassign THEN
        PERFORM crm_internal.serve_before(crm.tenant_id(), subject_table, subject_id, as_of);
    END IF;
    RETURN crm_internal.route_record(crm.tenant_id(), subject_table, subject_id, reassign, as_of);
END
$$;
COMMENT ON FUNCTION crm.route_record(text, bigint, boolean, timestamptz) IS
'Gives a record to an agent by the first assignment rule that holds (in a queue without one: by the queue) and returns the decision. What waits for the '
'same agents and goes before it is given out first. Safe with any number of routers at once: nobody is given more than their capacity and no record is '
'given twice. Where nobody may be chosen the decision says why, the record stays unassigned, an event routing.nobody is written, and it is tried again '
'when somebody becomes free. A record that has an owner is left alone unless reassign, or the owner has left or is away. '
'NULL where there is nothing to decide. Errors: 42P01 for a table that is not registered for assignment, '
'P0002 for a record that is not there or not seen, 42501 for one that may not be changed.';
SELECT crm.declare_api('crm.route_record', '{"subject_table": "tickets", "subject_id": 1}');
SELECT crm.declare_function('crm.route_record', 'agent');

CREATE OR REPLACE FUNCTION crm.route_waiting(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was CONSTANT text := current_setting('crm.tenant', true);
    given record;
    waits record;
    served bigint := 0;
BEGIN
    -- one at a time: two of them would only wait for each other's agents
    IF NOT crm.try_lock('route_waiting', 0) THEN
        RETURN 0;
    END IF;
    FOR given IN SELECT r.subject, r.relation FROM crm.registered_as('assignment') AS r
                 WHERE crm.column_exists(r.relation, 'queue_id')
                    OR EXISTS (SELECT FROM crm.assignment_rules AS z WHERE z.subject_table = r.subject AND z.active) LOOP
        FOR waits IN SELECT t.tenant_id FROM crm.tenants AS t
                     WHERE NOT EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = 'crm.route_waiting' AND f.tenant_id = t.tenant_id
                                       AND f.item = given.subject AND f.retry_at > as_of) ORDER BY 1 LOOP
            -- triggers of what is given out work for this tenant
            PERFORM set_config('crm.tenant', waits.tenant_id::text, true);
            BEGIN
                -- what is done or has an owner waits no more
                EXECUTE format('DELETE FROM crm_internal.waiting_work AS w WHERE w.tenant_id = $2 AND w.subject_table = $1 AND NOT EXISTS '
                               '(SELECT FROM %s AS s WHERE s.tenant_id = w.tenant_id AND s.id = w.subject_id AND %s)',
                               given.relation, crm_internal.waiting_sql(given.relation, 'nobodys')) USING given.subject, waits.tenant_id;
                PERFORM crm_internal.enlist_waiting(given.subject, waits.tenant_id);
                served := served + crm_internal.serve_table(waits.tenant_id, given.subject, as_of, batch);
            EXCEPTION WHEN OTHERS THEN
                PERFORM crm_internal.note_failed_work('crm.route_waiting', waits.tenant_id, given.subject, SQLSTATE, SQLERRM, as_of);
            END;
        END LOOP;
    END LOOP;
    PERFORM set_config('crm.tenant', coalesce(was, ''), true);
    RETURN served;
END
$$;
COMMENT ON FUNCTION crm.route_waiting(timestamptz, integer) IS
'Tries again to give out the open records nobody owns, for all tenants and tables: those in queues that are not manual, those for which an '
'assignment rule holds, and among them tickets whose owner has left; the most urgent first, then the oldest (leads: the newest, as an answer is worth '
'most while the interest is fresh), at most batch of each table and tenant. What nobody can take keeps nothing else waiting. Returns how many found an '
'agent. Most find one before: whoever becomes free is given what waits in the same transaction. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.route_waiting', 'owner');

SELECT crm.declare_event('routing.nobody', 'Nobody could be found for the record; it waits, or has no rule.', '{"reason": {"type": ["string", "null"]}}');
SELECT crm.declare_event('routing.trouble', 'Giving out work failed.', '{"sqlstate": {"type": "string"}, "message": {"type": "string"}}');
