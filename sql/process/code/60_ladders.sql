-- Escalation: what a step does once crm.escalate() finds it due.

-- security definer: hooks are nobody else's business
CREATE OR REPLACE FUNCTION crm_internal.escalation_steps_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rule text;
    of_policy CONSTANT text := (SELECT p.subject_type FROM crm.sla_policies AS p WHERE p.tenant_id = NEW.tenant_id AND p.id = NEW.policy_id);
BEGIN
    -- a step for other things than its policy would wait for ever
    NEW.subject_type := coalesce(NEW.subject_type, of_policy, 'tickets');
    IF NEW.subject_type <> of_policy THEN
        RAISE EXCEPTION 'step "%" is for %, its policy for %', NEW.name, NEW.subject_type, of_policy
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave subject_type out: it is that of the policy.';
    END IF;
    PERFORM crm_internal.check_clock_names(NEW.subject_type, NEW.metric);
    IF num_nonnulls(NEW.percent, NEW.offset_seconds) <> 1 THEN
        RAISE EXCEPTION 'step "%" needs either percent or offset_seconds', NEW.name
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'percent: share of the target used; offset_seconds: business time after the due instant, negative before it.';
    END IF;
    IF NEW.percent = 'NaN' OR NEW.offset_seconds = 'NaN' OR NEW.repeat_seconds = 'NaN' THEN
        RAISE EXCEPTION 'step "%" has an instant that is not a number', NEW.name USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    IF (NEW.repeat_seconds IS NULL) <> (NEW.repeat_max = 0) OR NEW.repeat_seconds < 60 OR NEW.repeat_max NOT BETWEEN 0 AND 1000 THEN
        RAISE EXCEPTION 'step "%" would repeat without end or pause', NEW.name
            USING ERRCODE = 'CR403',
                  DETAIL = format('repeat_seconds is %s, repeat_max is %s.', coalesce(NEW.repeat_seconds::text, 'NULL'), NEW.repeat_max),
                  HINT = 'Give both: at least 60 seconds between repeats and at most 1000 of them; or neither.';
    END IF;
    FOREACH rule IN ARRAY NEW.recipients LOOP
        IF rule IS NULL OR rule !~ '^(owner|manager|team_lead|team|followers|routing|access:(reader|agent|manager|admin)|user:[0-9]{1,18})$' THEN
            RAISE EXCEPTION 'step "%" names an unknown recipient "%"', NEW.name, rule
                USING ERRCODE = 'CR403', HINT = 'Recipients are owner, manager, team_lead, team, followers, routing, access:LEVEL and user:ID.';
        END IF;
        IF rule = 'routing' AND NEW.action <> 'reassign' THEN
            RAISE EXCEPTION 'step "%": routing chooses a new owner, not somebody to tell', NEW.name
                USING ERRCODE = 'CR403', HINT = 'Use it with the action reassign.';
        END IF;
    END LOOP;
    IF NEW.action NOT IN ('notify', 'raise_priority', 'move_queue', 'tag', 'reassign')
       AND NOT EXISTS (SELECT FROM crm_internal.hooks_at('escalation_action.' || NEW.action)) THEN
        RAISE EXCEPTION 'step "%": nobody knows the action "%"', NEW.name, NEW.action
            USING ERRCODE = 'CR403',
                  HINT = (SELECT 'Known are notify, reassign, raise_priority, move_queue, tag, '
                                 || string_agg(substr(h.point, length('escalation_action.') + 1), ', ' ORDER BY h.ordinal) || '.'
                          FROM crm_internal.hooks AS h WHERE h.point LIKE 'escalation\_action.%');
    END IF;
    IF NEW.action NOT IN ('notify', 'raise_priority', 'move_queue', 'tag') AND NEW.recipients = '{}' THEN
        RAISE EXCEPTION 'step "%" needs a recipient', NEW.name
            USING ERRCODE = 'CR403', HINT = 'Recipients are owner, manager, team_lead, team, followers, routing, access:LEVEL and user:ID.';
    END IF;
    IF NEW.action = 'tag' AND coalesce(NEW.params ->> 'tag', '') = '' THEN
        RAISE EXCEPTION 'step "%" needs a tag', NEW.name USING ERRCODE = 'CR403', HINT = 'Set params to {"tag": "..."}.';
    END IF;
    IF NEW.action IN ('raise_priority', 'move_queue', 'tag') AND NOT EXISTS (
        SELECT FROM crm.subject_relation(NEW.subject_type) AS r
        WHERE crm.column_exists(r, CASE NEW.action WHEN 'raise_priority' THEN 'priority' WHEN 'move_queue' THEN 'queue_id' ELSE 'tags' END))
    THEN
        RAISE EXCEPTION 'step "%": % of "%" cannot be changed', NEW.name,
            CASE NEW.action WHEN 'raise_priority' THEN 'the priority' WHEN 'move_queue' THEN 'the queue' ELSE 'tags' END, NEW.subject_type
            USING ERRCODE = 'CR403', HINT = 'The table has no such column.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.escalation_steps_check() IS 'Refuses steps that could not be done, or would be done for ever.';
CREATE OR REPLACE TRIGGER escalation_steps_before_check
    BEFORE INSERT OR UPDATE ON crm.escalation_steps
    FOR EACH ROW EXECUTE FUNCTION crm_internal.escalation_steps_check();

CREATE OR REPLACE TRIGGER sla_clocks_before_escalation
    BEFORE INSERT OR UPDATE ON crm.sla_clocks
    FOR EACH ROW EXECUTE FUNCTION crm.schedule_escalation();

-- open clocks follow the ladder
CREATE OR REPLACE FUNCTION crm_internal.escalation_reschedule() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE crm.sla_clocks AS c SET escalate_at = c.escalate_at
    FROM (SELECT DISTINCT r.tenant_id, r.subject_type, r.metric FROM changed_rows AS r) AS x
    WHERE c.tenant_id = x.tenant_id AND c.subject_type = x.subject_type AND c.metric = x.metric AND c.stopped_at IS NULL;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.escalation_reschedule() IS 'Gives the open clocks a changed ladder is about the instant of their next step.';
-- named to run after escalation_steps_after_changed, which drops what backends compiled
CREATE OR REPLACE TRIGGER escalation_steps_after_reschedule_insert AFTER INSERT ON crm.escalation_steps
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule();
CREATE OR REPLACE TRIGGER escalation_steps_after_reschedule_update AFTER UPDATE ON crm.escalation_steps
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule();
CREATE OR REPLACE TRIGGER escalation_steps_after_reschedule_delete AFTER DELETE ON crm.escalation_steps
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule();

-- hours may change what comes after the due instant without changing that
CREATE OR REPLACE FUNCTION crm_internal.escalation_reschedule_calendars() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM crm.escalation_steps AS s WHERE s.active) THEN
        UPDATE crm.sla_clocks AS c SET escalate_at = c.escalate_at
        FROM (SELECT DISTINCT r.tenant_id, r.calendar_id FROM changed_rows AS r) AS x
        WHERE c.tenant_id = x.tenant_id AND c.calendar_id = x.calendar_id AND c.stopped_at IS NULL AND c.escalate_at IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.escalation_reschedule_calendars() IS 'Moves the steps of open clocks when hours of their calendar change.';
CREATE OR REPLACE TRIGGER calendar_versions_after_reschedule_insert AFTER INSERT ON crm.calendar_versions
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule_calendars();
CREATE OR REPLACE TRIGGER calendar_versions_after_reschedule_update AFTER UPDATE ON crm.calendar_versions
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule_calendars();
CREATE OR REPLACE TRIGGER calendar_versions_after_reschedule_delete AFTER DELETE ON crm.calendar_versions
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule_calendars();
CREATE OR REPLACE TRIGGER calendar_holidays_after_reschedule_insert AFTER INSERT ON crm.calendar_holidays
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule_calendars();
CREATE OR REPLACE TRIGGER calendar_holidays_after_reschedule_update AFTER UPDATE ON crm.calendar_holidays
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule_calendars();
CREATE OR REPLACE TRIGGER calendar_holidays_after_reschedule_delete AFTER DELETE ON crm.calendar_holidays
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.escalation_reschedule_calendars();

-- ---- whom and what ----

-- An expression over a row z (subject_id, owner_id, team_id, recipients), $1 tenant, $3 instant: a text and no
-- function, since it is worked out for thousands of rows in one statement. Branches nobody asks for are not run at all.
CREATE OR REPLACE FUNCTION crm_internal.escalation_recipients_sql(subject_type text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT $q$ARRAY(
        SELECT DISTINCT x.u
        FROM (SELECT z.owner_id AS u WHERE 'owner' = ANY (z.recipients)
              UNION ALL
              SELECT w.manager_id FROM crm.users AS w WHERE 'manager' = ANY (z.recipients) AND w.tenant_id = $1 AND w.id = z.owner_id
              UNION ALL
              SELECT m.lead_id FROM crm.teams AS m WHERE 'team_lead' = ANY (z.recipients) AND m.tenant_id = $1 AND m.id = z.team_id
              UNION ALL
              SELECT m.user_id FROM crm.team_memberships AS m
              WHERE 'team' = ANY (z.recipients) AND m.tenant_id = $1 AND m.team_id = z.team_id AND m.valid @> $3
              $q$ || coalesce((
                  SELECT string_agg(format('UNION ALL SELECT o.%I FROM %s AS o '
                                           'WHERE ''followers'' = ANY (z.recipients) AND o.tenant_id = $1 AND o.%I = z.subject_id ',
                                           f.options ->> 'followers', f.relation::regclass, l.column_name), '')
                  FROM crm.registered_as('followers') AS f
                  JOIN crm.table_links(f.relation) AS l ON l.kind = 'parent' AND l.target = escalation_recipients_sql.subject_type), '') || $q$
              UNION ALL
              SELECT w.id FROM crm.users AS w
              WHERE z.recipients::text LIKE '%access:%' AND w.tenant_id = $1 AND 'access:' || w.access = ANY (z.recipients)
              UNION ALL
              SELECT substr(r.rule, 6)::bigint FROM unnest(z.recipients) AS r (rule) WHERE r.rule LIKE 'user:%') AS x
        -- LIMIT: look each up, do not join all users
        CROSS JOIN LATERAL (SELECT true FROM crm.users AS w WHERE w.tenant_id = $1 AND w.id = x.u AND w.active LIMIT 1) AS present
        ORDER BY 1)$q$
$$;
COMMENT ON FUNCTION crm_internal.escalation_recipients_sql(text) IS
'Expression for the active users that the recipients of a step about a kind of subject stand for.';

CREATE OR REPLACE FUNCTION crm_internal.escalation_recipients(
    tenant bigint, subject_type text, subject_id bigint, owner bigint, team bigint, rules text[], as_of timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    answer bigint[];
BEGIN
    EXECUTE 'SELECT ' || crm_internal.escalation_recipients_sql(subject_type)
            || ' FROM (SELECT $2 AS subject_id, $4 AS owner_id, $5 AS team_id, $6 AS recipients) AS z'
        INTO answer USING tenant, subject_id, as_of, owner, team, rules;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm_internal.escalation_recipients(bigint, text, bigint, bigint, bigint, text[], timestamptz) IS
'Active users that the recipients of a step stand for.';

-- whom a step reaches whose recipients stand for nobody at work
CREATE OR REPLACE FUNCTION crm_internal.escalation_fallback(tenant bigint, queue bigint, team bigint)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT coalesce((
            SELECT array_agg(DISTINCT f.user_id ORDER BY f.user_id)
            FROM (SELECT x.user_id, rank() OVER (ORDER BY x.rank)
                  FROM (SELECT 1 AS rank, t.lead_id AS user_id FROM crm.queues AS q JOIN crm.teams AS t ON t.tenant_id = q.tenant_id AND t.id = q.team_id
                        WHERE q.tenant_id = tenant AND q.id = queue
                        UNION ALL SELECT 2, t.lead_id FROM crm.teams AS t WHERE t.tenant_id = tenant AND t.id = team
                        UNION ALL
                        SELECT 3, l.manager_id FROM crm.teams AS t JOIN crm.users AS l ON l.tenant_id = t.tenant_id AND l.id = t.lead_id
                        WHERE t.tenant_id = tenant
                          AND (t.id = team OR t.id = (SELECT q.team_id FROM crm.queues AS q WHERE q.tenant_id = tenant AND q.id = queue))
                        UNION ALL SELECT CASE w.access WHEN 'manager' THEN 4 ELSE 5 END, w.id FROM crm.users AS w
                        WHERE w.tenant_id = tenant AND w.access IN ('manager', 'admin')) AS x
                  JOIN crm.users AS u ON u.tenant_id = tenant AND u.id = x.user_id AND u.active) AS f
            WHERE f.rank = 1), '{}'));
END
$$;
COMMENT ON FUNCTION crm_internal.escalation_fallback(bigint, bigint, bigint) IS
'Active users in place of recipients that are nobody: who leads the team of the queue, else the team of the record, else whom these report to, else the '
'managers of the company, else its admins.';

-- the columns of a subject that steps look at, whatever its table has of them
CREATE OR REPLACE FUNCTION crm_internal.escalation_subject_sql(subject_type text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN crm.column_exists(r, 'tenant_id') AND crm.column_exists(r, 'id') THEN
               format('SELECT s.tenant_id, s.id, '
                      || CASE WHEN crm.column_exists(r, 'owner_id') THEN 's.owner_id' ELSE 'NULL::bigint' END || ' AS owner_id, '
                      || CASE WHEN crm.column_exists(r, 'team_id') THEN 's.team_id' ELSE 'NULL::bigint' END || ' AS team_id, '
                      || CASE WHEN crm.column_exists(r, 'queue_id') THEN 's.queue_id' ELSE 'NULL::bigint' END || ' AS queue_id, '
                      || 's AS row FROM %s AS s', r::regclass)
           ELSE 'SELECT NULL::bigint AS tenant_id, NULL::bigint AS id, NULL::bigint AS owner_id, NULL::bigint AS team_id, NULL::bigint AS queue_id, '
                'NULL::record AS row WHERE false' END
    FROM crm.subject_relation(subject_type) AS r
$$;
COMMENT ON FUNCTION crm_internal.escalation_subject_sql(text) IS 'Query for the subjects of a kind; no rows where it is not a registered table.';

CREATE OR REPLACE FUNCTION crm_internal.busy_subjects(tenant bigint, subject_type text, ids bigint[])
RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.subject_relation(subject_type);
BEGIN
    IF relation IS NULL THEN
        RETURN;
    END IF;
    -- not waited for: whoever holds one may be waiting for a clock
    RETURN QUERY EXECUTE format(
        'WITH ours AS MATERIALIZED (SELECT s.id FROM %1$s AS s WHERE s.tenant_id = $1 AND s.id = ANY ($2) FOR NO KEY UPDATE SKIP LOCKED)
         SELECT s.id FROM %1$s AS s WHERE s.tenant_id = $1 AND s.id = ANY ($2) AND s.id NOT IN (SELECT o.id FROM ours AS o)',
        relation) USING tenant, ids;
END
$$;
COMMENT ON FUNCTION crm_internal.busy_subjects(bigint, text, bigint[]) IS 'Locks subjects, and returns those that others hold.';

CREATE OR REPLACE FUNCTION crm_internal.next_queue(tenant bigint, queue_id bigint)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (WITH RECURSIVE chain (id, active, next_id, place) AS (
        SELECT q.id, false, q.escalates_to_id, 0 FROM crm.queues AS q WHERE q.tenant_id = tenant AND q.id = next_queue.queue_id
        UNION ALL
        SELECT q.id, q.active, q.escalates_to_id, c.place + 1
        FROM chain AS c JOIN crm.queues AS q ON q.tenant_id = tenant AND q.id = c.next_id WHERE NOT c.active)
    SELECT c.id FROM chain AS c WHERE c.active ORDER BY c.place LIMIT 1);
END
$$;
COMMENT ON FUNCTION crm_internal.next_queue(bigint, bigint) IS 'The queue that a queue escalates to, past those that are off; NULL: there is none.';

CREATE OR REPLACE FUNCTION crm_internal.escalation_act(
    tenant bigint, subject_type text, subject_id bigint, step bigint, metric text, due_at timestamptz, as_of timestamptz)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s crm.escalation_steps;
    subject jsonb;
    target bigint;
    decision crm.assignments;
    relation CONSTANT regclass := crm.subject_relation(subject_type);
    hook regprocedure;
    answer jsonb;
BEGIN
    SELECT x.* INTO s FROM crm.escalation_steps AS x WHERE x.tenant_id = tenant AND x.id = step;
    EXECUTE format('SELECT to_jsonb(k.row) FROM (%s) AS k WHERE k.tenant_id = $1 AND k.id = $2',
                   crm_internal.escalation_subject_sql(subject_type)) INTO subject USING tenant, subject_id;
    IF s.action NOT IN ('notify', 'raise_priority', 'move_queue', 'tag') AND s.recipients <> '{routing}' THEN
        -- the first rule that stands for anybody
        SELECT (crm_internal.escalation_recipients(tenant, subject_type, subject_id, (subject ->> 'owner_id')::bigint,
                                                   (subject ->> 'team_id')::bigint, ARRAY[r.rule], as_of))[1] AS u
        INTO target
        FROM unnest(s.recipients) WITH ORDINALITY AS r (rule, ord)
        WHERE crm_internal.escalation_recipients(tenant, subject_type, subject_id, (subject ->> 'owner_id')::bigint,
                                                 (subject ->> 'team_id')::bigint, ARRAY[r.rule], as_of) <> '{}'
        ORDER BY r.ord LIMIT 1;
        target := coalesce(target, (crm_internal.escalation_fallback(tenant, (subject ->> 'queue_id')::bigint, (subject ->> 'team_id')::bigint))[1]);
        IF target IS NULL AND NOT 'routing' = ANY (s.recipients) THEN
            RETURN NULL;
        END IF;
    END IF;
    CASE s.action
        WHEN 'reassign' THEN
            IF target IS NULL THEN
                decision := crm_internal.route_record(tenant, subject_type, subject_id, true, as_of);
                IF decision.user_id IS NULL THEN
                    RETURN NULL;
                END IF;
                answer := jsonb_build_object('from', subject -> 'owner_id', 'to', decision.user_id, 'reason', decision.reason);
            ELSE
                EXECUTE format('UPDATE %s AS k SET owner_id = $3 WHERE k.tenant_id = $1 AND k.id = $2', relation)
                    USING tenant, subject_id, target;
                answer := jsonb_build_object('from', subject -> 'owner_id', 'to', target);
            END IF;
        WHEN 'raise_priority' THEN
            EXECUTE format('UPDATE %s AS k SET priority = n.code
                            FROM (SELECT p.code FROM crm.priorities AS p
                                  WHERE p.tenant_id = $1 AND p.active
                                    AND p.rank > (SELECT o.rank FROM crm.priorities AS o WHERE o.tenant_id = $1 AND o.code = $3)
                                  ORDER BY p.rank LIMIT 1) AS n
                            WHERE k.tenant_id = $1 AND k.id = $2
                            RETURNING jsonb_build_object(''from'', $3, ''to'', k.priority)', relation)
                INTO answer USING tenant, subject_id, subject ->> 'priority';
        WHEN 'move_queue' THEN
            EXECUTE format('UPDATE %s AS k SET queue_id = $4, owner_id = NULL WHERE k.tenant_id = $1 AND k.id = $2 AND k.queue_id = $3 AND $4 IS NOT NULL
                            RETURNING jsonb_build_object(''from'', $3, ''to'', k.queue_id)', relation)
                INTO answer USING tenant, subject_id, (subject ->> 'queue_id')::bigint,
                                  crm_internal.next_queue(tenant, (subject ->> 'queue_id')::bigint);
            IF answer IS NOT NULL THEN
                decision := crm_internal.route_record(tenant, subject_type, subject_id, false, as_of);
                answer := answer || jsonb_build_object('owner', decision.user_id);
            END IF;
        WHEN 'tag' THEN
            EXECUTE format('UPDATE %s AS k SET tags = k.tags || $3 WHERE k.tenant_id = $1 AND k.id = $2 AND NOT $3 = ANY (k.tags)
                            RETURNING jsonb_build_object(''tag'', $3)', relation)
                INTO answer USING tenant, subject_id, s.params ->> 'tag';
        ELSE
            -- what a later room can do
            FOR hook IN SELECT h FROM crm_internal.hooks_at('escalation_action.' || s.action) AS h LOOP
                EXECUTE format('SELECT %s($1, $2, $3, $4, $5, $6, $7)', hook::regproc)
                    INTO answer USING tenant, subject_type, subject_id, subject, s, target, as_of;
            END LOOP;
    END CASE;
    RETURN coalesce(answer, '{"changed": false}');
END
$$;
COMMENT ON FUNCTION crm_internal.escalation_act(bigint, text, bigint, bigint, text, timestamptz, timestamptz) IS
'Does what a step does to its subject, and says what that was; NULL: there was nobody for it.';

CREATE OR REPLACE FUNCTION crm_internal.act_escalation(firing crm.escalation_firings, due_at timestamptz, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    done CONSTANT jsonb := crm_internal.escalation_act(firing.tenant_id, firing.subject_type, firing.subject_id, firing.step_id, firing.metric, due_at, as_of);
BEGIN
    PERFORM crm.because('escalation');
    UPDATE crm.escalation_firings AS g
    SET detail = coalesce(done, '{"changed": false}'), outcome = CASE WHEN done IS NULL THEN 'nobody' ELSE g.outcome END
    WHERE g.tenant_id = firing.tenant_id AND g.id = firing.id;
    IF done IS NULL THEN
        INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
        VALUES (firing.tenant_id, 'escalation.nobody', firing.subject_type, firing.subject_id,
                jsonb_build_object('step_id', firing.step_id, 'firing_id', firing.id, 'metric', firing.metric, 'due_at', due_at));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.act_escalation(crm.escalation_firings, timestamptz, timestamptz) IS
'Does what a step that is written down does to its subject, and writes down what that was, or that there was nobody for it.';

CREATE OR REPLACE FUNCTION crm_internal.fire_escalations(
    tenant bigint, subject_type text, as_of timestamptz, subject_ids bigint[], metrics text[], cycles integer[],
    step_ids bigint[], repeat_nos integer[], scheduled timestamptz[], collapsed integer[], due timestamptz[])
RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n integer;
    subjects text := crm_internal.escalation_subject_sql(subject_type);
BEGIN
    -- the clocks are locked, so what has not been done by now nobody else does
    EXECUTE format($q$
        WITH f AS MATERIALIZED (
            SELECT nextval($12) AS id, x.*, s.name, s.action, s.recipients, s.params, k.owner_id, k.team_id, k.queue_id,
                   CASE WHEN s.action <> 'notify' AND k.id IS NULL THEN 'skipped'
                        WHEN s.condition IS NULL OR crm.condition_holds(to_jsonb(k.row), s.condition) THEN 'done'
                        ELSE 'skipped' END AS judged
            FROM unnest($4, $5, $6, $7, $8, $9, $10, $11) AS x (subject_id, metric, cycle, step_id, repeat_no, scheduled_at, collapsed, due_at)
            JOIN crm.escalation_steps AS s ON s.tenant_id = $1 AND s.id = x.step_id
            LEFT JOIN (%s) AS k ON k.tenant_id = $1 AND k.id = x.subject_id
            -- LIMIT keeps this a look into the index for each row, whatever the planner knows of the table
            LEFT JOIN LATERAL (SELECT true AS found FROM crm.escalation_firings AS g
                               WHERE g.tenant_id = $1 AND g.subject_type = $2 AND g.subject_id = x.subject_id
                                 AND g.metric = x.metric AND g.cycle = x.cycle AND g.step_id = x.step_id AND g.repeat_no = x.repeat_no
                               LIMIT 1) AS before ON true
            WHERE before.found IS NULL
        ), meant AS MATERIALIZED (
            SELECT z.*, CASE WHEN z.action = 'notify' AND z.judged = 'done'
                             THEN $q$ || replace(crm_internal.escalation_recipients_sql(subject_type), '%', '%%') || $q$ END AS named
            FROM f AS z
        ), told_whom AS MATERIALIZED (
            SELECT m.*, w.recipients AS told,
                   CASE WHEN w.recipients = '{}' THEN 'nobody' ELSE m.judged END AS outcome
            FROM meant AS m
            CROSS JOIN LATERAL (SELECT CASE WHEN m.named = '{}' THEN crm_internal.escalation_fallback($1, m.queue_id, m.team_id) ELSE m.named END AS recipients) AS w
        ), made AS (
            INSERT INTO crm.escalation_firings (tenant_id, id, subject_type, subject_id, metric, cycle, step_id, repeat_no,
                                                scheduled_at, fired_at, collapsed, outcome)
            SELECT $1, f.id, $2, f.subject_id, f.metric, f.cycle, f.step_id, f.repeat_no, f.scheduled_at, $3, f.collapsed, f.outcome
            FROM told_whom AS f
        ), told AS (
            INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, scheduled_at)
            SELECT $1, CASE z.outcome WHEN 'done' THEN 'escalation.notify' ELSE 'escalation.nobody' END, $2, z.subject_id,
                   z.params || jsonb_build_object('step', z.name, 'step_id', z.step_id, 'firing_id', z.id, 'metric', z.metric,
                                                  'cycle', z.cycle, 'repeat', z.repeat_no, 'missed', z.collapsed,
                                                  'due_at', z.due_at, 'scheduled_at', z.scheduled_at, 'recipients', to_jsonb(z.told))
                            || CASE WHEN z.named = '{}' THEN jsonb_build_object('instead_of', to_jsonb(z.recipients)) ELSE '{}' END,
                   $3
            FROM told_whom AS z
            WHERE z.action = 'notify' AND z.outcome IN ('done', 'nobody')
        )
        SELECT count(*) FILTER (WHERE f.outcome <> 'skipped') FROM told_whom AS f
    $q$, subjects)
    INTO n USING tenant, subject_type, as_of, subject_ids, metrics, cycles, step_ids, repeat_nos, scheduled, collapsed, due,
                 pg_get_serial_sequence('crm.escalation_firings', 'id')::regclass;

    -- what changes a subject is done one by one, and few of these are due at once
    IF EXISTS (SELECT FROM crm.escalation_steps AS s WHERE s.tenant_id = tenant AND s.id = ANY (step_ids) AND s.action <> 'notify') THEN
        PERFORM crm_internal.act_escalation(g, x.due_at, as_of)
        FROM unnest(subject_ids, metrics, cycles, step_ids, repeat_nos, due) AS x (subject_id, metric, cycle, step_id, repeat_no, due_at)
        JOIN crm.escalation_steps AS s ON s.tenant_id = tenant AND s.id = x.step_id AND s.action <> 'notify'
        JOIN crm.escalation_firings AS g
          ON g.tenant_id = tenant AND g.subject_type = fire_escalations.subject_type AND g.subject_id = x.subject_id
         AND g.metric = x.metric AND g.cycle = x.cycle AND g.step_id = x.step_id AND g.repeat_no = x.repeat_no
         AND g.outcome = 'done' AND g.detail IS NULL
        ORDER BY g.id;
    END IF;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.fire_escalations(bigint, text, timestamptz, bigint[], text[], integer[], bigint[], integer[], timestamptz[], integer[], timestamptz[]) IS
'Writes down that steps are done and does them, those that had been done before left out. Returns how many.';

CREATE OR REPLACE FUNCTION crm.next_escalation_at() RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.escalate_at FROM crm.sla_clocks AS c WHERE c.escalate_at IS NOT NULL ORDER BY c.escalate_at LIMIT 1
$$;
COMMENT ON FUNCTION crm.next_escalation_at() IS 'When the next step of an escalation is due; NULL where none is in sight.';
SELECT crm.declare_function('crm.next_escalation_at', 'owner');

SELECT crm.declare_event('escalation.notify', 'Somebody is to be told that a promise is due or broken: a notice.',
    '{"step": {"type": "string"}, "step_id": {"type": "integer"}, "firing_id": {"type": "integer"}, "metric": {"type": "string"}, "cycle": {"type": "integer"},
      "repeat": {"type": "integer"}, "missed": {"type": "integer"}, "due_at": {}, "scheduled_at": {}, "recipients": {"type": "array"}, "instead_of": {},
          "*": true}');
SELECT crm.declare_event('escalation.nobody', 'A step of an escalation reached nobody: a notice to whoever looks after the CRM.',
    '{"step": {"type": "string"}, "step_id": {"type": "integer"}, "firing_id": {"type": "integer"}, "metric": {"type": "string"}, "cycle": {"type": "integer"},
      "repeat": {"type": "integer"}, "missed": {"type": "integer"}, "due_at": {}, "scheduled_at": {}, "recipients": {"type": "array"}, "instead_of": {},
          "*": true}');
