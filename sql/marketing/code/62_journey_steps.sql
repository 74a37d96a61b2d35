-- Journeys at work: people enter, steps are done with them, events reach them, they leave.
--
-- A member is one row with the instant at which its step is due. A pass takes those that are due, skipping what another pass has in
-- hand, and does the step for many at once: what it makes, the row of the log and the new place of the member are one transaction,
-- and the key of the log lets no step be done twice. What fails is tried in halves until the one member is found that fails, which is
-- written down and tried again later (48_work.sql).
-- Time goes by instants: a wait counts from the instant the step before it was due, not from when somebody came round to do it.

CREATE OR REPLACE FUNCTION crm_internal.journey_due(s crm.journey_steps, subject_table text, subject_id bigint, at timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    zone text;
    here timestamp;
    due timestamp;
    wanted integer;
BEGIN
    IF s.kind = 'await' THEN
        RETURN at + (s.settings ->> 'within')::interval;
    ELSIF s.kind <> 'wait' THEN
        RETURN at;
    ELSIF s.settings ? 'for' THEN
        RETURN at + (s.settings ->> 'for')::interval;
    ELSIF NOT s.settings ? 'until' THEN
        SELECT CASE WHEN s.settings ? 'business_days' THEN crm.business_days_add(c.id, at, (s.settings ->> 'business_days')::integer)
                    ELSE crm.business_add(c.id, at, (s.settings ->> 'business_hours')::double precision * 3600) END INTO at
        FROM crm.calendars AS c WHERE c.tenant_id = s.tenant_id AND c.code = s.settings ->> 'calendar';
        RETURN at;
    END IF;
    SELECT coalesce(CASE subject_table WHEN 'contacts' THEN (SELECT k.time_zone FROM crm.contacts AS k WHERE k.tenant_id = s.tenant_id
        AND k.id = subject_id) END,
                    t.time_zone) INTO zone
    FROM crm.tenants AS t WHERE t.tenant_id = s.tenant_id;
    here := at AT TIME ZONE zone;
    due := here::date + coalesce((s.settings #>> '{until,time}')::time, '00:00');
    wanted := array_position('{monday,tuesday,wednesday,thursday,friday,saturday,sunday}'::text[], s.settings #>> '{until,day}');
    due := due + make_interval(days => (coalesce(wanted, extract(isodow FROM due)::integer) - extract(isodow FROM due)::integer + 7) % 7);
    -- always later: a circle that waits until nine goes round once a day
    IF due <= here THEN
        due := due + CASE WHEN wanted IS NULL THEN interval '1 day' ELSE interval '7 days' END;
    END IF;
    RETURN greatest(due AT TIME ZONE zone, at + interval '1 second');
END
$$;
COMMENT ON FUNCTION crm_internal.journey_due(crm.journey_steps, text, bigint, timestamptz) IS
'When a step is due for somebody who comes to it at an instant: a wait when it is over (days and hours by the clock where the person is), an event when nobody '
'waits for it any longer (NULL: never), all else at once.';

-- ---- entering and leaving ----

CREATE OR REPLACE FUNCTION crm_internal.journey_people(tenant bigint, subject_table text, ids bigint[])
RETURNS TABLE (id bigint, lead_id bigint, contact_id bigint, account_id bigint)
LANGUAGE sql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.id, NULL, k.id, k.account_id FROM crm.contacts AS k WHERE subject_table = 'contacts' AND k.tenant_id = tenant AND k.id = ANY (ids)
    UNION ALL
    SELECT l.id, l.id, l.contact_id, l.account_id FROM crm.leads AS l
    WHERE subject_table = 'leads' AND l.tenant_id = tenant AND l.id = ANY (ids) AND l.merged_into_id IS NULL
$$;
COMMENT ON FUNCTION crm_internal.journey_people(bigint, text, bigint[]) IS 'People who are still there, by all the names they have.';

CREATE OR REPLACE FUNCTION crm_internal.enrol_in_campaign(tenant bigint, campaign bigint, subject_table text, ids bigint[], as_of timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF campaign IS NULL THEN
        RETURN ids;
    END IF;
    INSERT INTO crm.campaign_members (tenant_id, campaign_id, lead_id, contact_id, came_by, enrolled_at)
    SELECT tenant, campaign, p.lead_id, p.contact_id, 'audience', as_of FROM crm_internal.journey_people(tenant, subject_table, ids) AS p
    WHERE NOT EXISTS (SELECT FROM crm.campaign_members AS m WHERE m.tenant_id = tenant AND m.campaign_id = campaign AND m.same_as_id IS NULL
                      AND (m.contact_id = p.contact_id OR m.lead_id = p.lead_id))
    ORDER BY p.contact_id, p.lead_id
    ON CONFLICT DO NOTHING;
    RETURN ARRAY(SELECT p.id FROM crm_internal.journey_people(tenant, subject_table, ids) AS p
                 WHERE NOT crm_internal.holds_out(tenant, campaign, p.lead_id, p.contact_id, p.account_id) ORDER BY p.id);
END
$$;
COMMENT ON FUNCTION crm_internal.enrol_in_campaign(bigint, bigint, text, bigint[], timestamptz) IS
'Makes people members of a campaign; those whom it does not hold out. No campaign: all.';

CREATE OR REPLACE FUNCTION crm_internal.enter_journey(j crm.journeys, ids bigint[], ats timestamptz[], came_by text, as_of timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    v crm.journey_versions;
    s crm.journey_steps;
    pause interval;
    free bigint[];
    entered bigint[];
BEGIN
    SELECT x.* INTO v FROM crm.journey_versions AS x WHERE x.tenant_id = j.tenant_id AND x.journey_id = j.id AND x.number = j.number;
    SELECT x.* INTO s FROM crm.journey_steps AS x WHERE x.tenant_id = v.tenant_id AND x.version_id = v.id AND x.place = 1;
    pause := CASE WHEN jsonb_typeof(v.definition -> 'reentry') = 'object' THEN (v.definition #>> '{reentry,after}')::interval
                  WHEN v.definition ->> 'reentry' = 'always' THEN '0' END;
    -- who was inside before enters as the journey says, and nobody twice at a time
    free := ARRAY(SELECT p.id FROM crm_internal.journey_people(j.tenant_id, j.people, ids) AS p JOIN unnest(ids, ats) AS u (id, at) ON u.id = p.id
                  WHERE NOT EXISTS (SELECT FROM crm.journey_members AS m WHERE m.tenant_id = j.tenant_id AND m.journey_id = j.id AND m.subject_id = p.id
                                    AND (pause IS NULL OR m.status = 'active' OR pause > '0' AND m.left_at > u.at - pause))
                    AND NOT crm_internal.is_restricted(j.tenant_id, j.people, p.id)
                  ORDER BY p.id);
    free := crm_internal.enrol_in_campaign(j.tenant_id, j.campaign_id, j.people, free, as_of);
    WITH made AS (
        INSERT INTO crm.journey_members AS m (tenant_id, journey_id, version_id, subject_table, subject_id, came_by, entered_at, place, arrived_at, due_at,
            awaits)
        SELECT j.tenant_id, j.id, v.id, j.people, f.id, enter_journey.came_by, u.at, 1, u.at,
               crm_internal.journey_due(s, j.people, f.id, u.at), CASE s.kind WHEN 'await' THEN s.settings ->> 'event' END
        FROM unnest(free) AS f (id) JOIN unnest(ids, ats) AS u (id, at) ON u.id = f.id
        ON CONFLICT DO NOTHING RETURNING m.subject_id)
    SELECT coalesce(array_agg(made.subject_id ORDER BY made.subject_id), '{}') INTO entered FROM made;
    RETURN entered;
END
$$;
COMMENT ON FUNCTION crm_internal.enter_journey(crm.journeys, bigint[], timestamptz[], text, timestamptz) IS
'Lets people into a journey, each at an instant, as far as its re-entry and the hold-out of its campaign allow; those who entered.';

CREATE OR REPLACE FUNCTION crm_internal.leave_journey(tenant bigint, members bigint[], because text, at timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    n bigint;
BEGIN
    UPDATE crm.journey_members AS m
    SET status = 'left', left_at = at, left_because = because, place = NULL, due_at = NULL, awaits = NULL, trouble = NULL,
        goal_at = CASE because WHEN 'goal' THEN coalesce(m.goal_at, at) ELSE m.goal_at END
    WHERE m.tenant_id = tenant AND m.id = ANY (members) AND m.status = 'active';
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.leave_journey(bigint, bigint[], text, timestamptz) IS 'Lets members out of their journeys, with the reason; how many.';

-- Of two members of a journey that turn out to be one person one goes on: the one that is there already.
CREATE OR REPLACE FUNCTION crm_internal.merge_journey_members()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF EXISTS (SELECT FROM crm.journey_members AS m WHERE m.tenant_id = NEW.tenant_id AND m.journey_id = NEW.journey_id AND m.subject_id = NEW.subject_id
               AND m.status = 'active' AND m.id <> NEW.id) THEN
        NEW.status := 'left';
        NEW.left_at := now();
        NEW.left_because := 'merged';
        NEW.place := NULL;
        NEW.due_at := NULL;
        NEW.awaits := NULL;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.merge_journey_members() IS 'Row trigger of journey_members: of two that become one person one goes on.';
CREATE OR REPLACE TRIGGER journey_members_before_merge BEFORE UPDATE ON crm.journey_members
    FOR EACH ROW WHEN (NEW.subject_id <> OLD.subject_id AND NEW.status = 'active') EXECUTE FUNCTION crm_internal.merge_journey_members();

-- ---- what a step does ----

CREATE OR REPLACE FUNCTION crm_internal.log_steps(
    s crm.journey_steps, late interval, as_of timestamptz, ids bigint[], outcomes text[], places integer[], reasons text[], made bigint[])
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH took AS MATERIALIZED (
        SELECT u.*, o.subject_table, o.subject_id, o.arrived_at, coalesce(o.event_at, o.due_at) AS taken_at,
               -- after a standstill time goes on from now: nobody gets at once what was to come day by day
               CASE WHEN s.kind IN ('send', 'task', 'set', 'enrol') AND as_of - o.due_at > late THEN as_of ELSE coalesce(o.event_at, o.due_at) END AS goes_on_at
        FROM unnest(ids, outcomes, places, reasons, made) AS u (id, outcome, place, reason, made_id)
        JOIN crm.journey_members AS o ON o.tenant_id = s.tenant_id AND o.id = u.id
    ), gone AS (
        UPDATE crm.journey_members AS m
        SET place = x.place, arrived_at = t.goes_on_at, event_at = NULL, trouble = NULL, steps_done = m.steps_done + 1,
            due_at = CASE WHEN x.kind IN ('wait', 'await') THEN crm_internal.journey_due(x, t.subject_table, t.subject_id, t.goes_on_at)
                          WHEN x.place IS NOT NULL THEN t.goes_on_at END,
            awaits = CASE x.kind WHEN 'await' THEN x.settings ->> 'event' END,
            status = CASE WHEN x.place IS NOT NULL THEN 'active' WHEN s.kind = 'exit' THEN 'left' ELSE 'done' END,
            left_at = CASE WHEN x.place IS NULL THEN t.goes_on_at END,
            left_because = CASE WHEN x.place IS NULL THEN CASE s.kind WHEN 'exit' THEN coalesce(s.settings ->> 'reason', 'exit step') ELSE 'end' END END
        FROM took AS t
        LEFT JOIN crm.journey_steps AS x ON x.tenant_id = s.tenant_id AND x.version_id = s.version_id AND x.place = t.place
        WHERE m.tenant_id = s.tenant_id AND m.id = t.id
        RETURNING m.id, m.steps_done, t.outcome, t.reason, t.made_id, t.arrived_at AS came_at, t.taken_at)
    INSERT INTO crm.journey_log (tenant_id, member_id, n, version_id, step, kind, outcome, reason, made_id, arrived_at, taken_at)
    SELECT s.tenant_id, g.id, g.steps_done, s.version_id, s.code, s.kind, g.outcome, g.reason, g.made_id, g.came_at, g.taken_at FROM gone AS g
$$;
COMMENT ON FUNCTION crm_internal.log_steps(crm.journey_steps, interval, timestamptz, bigint[], text[], integer[], text[], bigint[]) IS
'Writes down what a step did with members, and where they go on (places; NULL: the end).';

CREATE OR REPLACE FUNCTION crm_internal.send_step(s crm.journey_steps, campaign bigint, ids bigint[], late interval, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    channel CONSTANT text := coalesce(s.settings ->> 'channel', 'email');
    r record;
BEGIN
    WITH who AS MATERIALIZED (
        SELECT m.id, m.subject_table, m.subject_id, m.due_at, m.steps_done, crm.address_of(m.subject_table, m.subject_id, channel) AS address
        FROM crm.journey_members AS m WHERE m.tenant_id = s.tenant_id AND m.id = ANY (ids)
    ), judged AS MATERIALIZED (
        SELECT w.*, crm.contact_decision(s.tenant_id, w.subject_table, w.subject_id, s.settings ->> 'purpose', channel, crm.address_key(channel, w.address),
            as_of) AS d
        FROM who AS w
    ), sent AS (
        INSERT INTO crm.outbound_messages AS o (tenant_id, subject_table, subject_id, purpose, channel, address, template_id, data, campaign_id, due_at,
            expires_at, dedupe_key)
        SELECT s.tenant_id, j.subject_table, j.subject_id, s.settings ->> 'purpose', channel, j.address,
               crm.find_template(s.settings ->> 'template', channel, j.subject_table, j.subject_id), coalesce(s.settings -> 'data', '{}'), campaign,
               j.due_at, greatest(j.due_at, as_of) + (s.settings ->> 'expires')::interval, concat('journey ', j.id, ' ', j.steps_done + 1)
        FROM judged AS j WHERE (j.d).allowed AND j.address IS NOT NULL
        RETURNING o.id, o.state, o.reason, o.dedupe_key)
    SELECT array_agg(j.id ORDER BY j.id) AS ids,
           array_agg(CASE WHEN o.state = 'queued' THEN 'queued' ELSE 'refused' END ORDER BY j.id) AS outcomes,
           array_agg(CASE WHEN o.state = 'queued' THEN s.then_place ELSE s.other_place END ORDER BY j.id) AS places,
           array_agg(CASE WHEN o.state IS DISTINCT FROM 'queued'
                          THEN coalesce(o.reason, CASE WHEN j.address IS NULL THEN 'no address' ELSE coalesce((j.d).reason,
                              'not allowed') END) END ORDER BY j.id) AS reasons,
           array_agg(o.id ORDER BY j.id) AS made INTO r
    FROM judged AS j LEFT JOIN sent AS o ON o.dedupe_key = concat('journey ', j.id, ' ', j.steps_done + 1);
    PERFORM crm_internal.log_steps(s, late, as_of, r.ids, r.outcomes, r.places, r.reasons, r.made);
END
$$;
COMMENT ON FUNCTION crm_internal.send_step(crm.journey_steps, bigint, bigint[], interval, timestamptz) IS
'Queues a message for each member who may get it; the others go the way of "refused", with the reason.';

CREATE OR REPLACE FUNCTION crm_internal.task_step(s crm.journey_steps, ids bigint[], late interval, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r record;
BEGIN
    WITH who AS MATERIALIZED (
        SELECT m.id, m.subject_table, m.subject_id, m.due_at, m.steps_done, k.account_id, coalesce(l.owner_id, k.owner_id) AS owner_id, k.id AS contact_id
        FROM crm.journey_members AS m
        LEFT JOIN crm.leads AS l ON m.subject_table = 'leads' AND l.tenant_id = m.tenant_id AND l.id = m.subject_id
        LEFT JOIN crm.contacts AS k ON k.tenant_id = m.tenant_id AND k.id = CASE m.subject_table WHEN 'contacts' THEN m.subject_id ELSE l.contact_id END
        WHERE m.tenant_id = s.tenant_id AND m.id = ANY (ids)
    ), done AS (
        INSERT INTO crm.activities AS a (tenant_id, kind, subject, body, due_at, owner_id, contact_id, account_id, related_table, related_id, source_system,
            source_id)
        SELECT s.tenant_id, coalesce(s.settings ->> 'kind', 'task'), s.settings ->> 'subject', s.settings ->> 'body',
               CASE WHEN as_of - w.due_at > late THEN as_of ELSE w.due_at END + (s.settings ->> 'due')::interval, coalesce((s.settings ->> 'owner')::bigint,
                   w.owner_id), w.contact_id, w.account_id,
               w.subject_table, w.subject_id, 'crm.journey_log', concat(w.id, '.', w.steps_done + 1)
        FROM who AS w RETURNING a.id, a.source_id)
    SELECT array_agg(w.id ORDER BY w.id) AS ids, array_agg(d.id ORDER BY w.id) AS made INTO r
    FROM who AS w JOIN done AS d ON d.source_id = concat(w.id, '.', w.steps_done + 1);
    PERFORM crm_internal.log_steps(s, late, as_of, r.ids, array_fill('created'::text, ARRAY[cardinality(r.ids)]),
        array_fill(s.then_place, ARRAY[cardinality(r.ids)]), NULL, r.made);
END
$$;
COMMENT ON FUNCTION crm_internal.task_step(crm.journey_steps, bigint[], interval, timestamptz) IS
'Creates an activity for each member, for the owner of the person where no other is named.';

CREATE OR REPLACE FUNCTION crm_internal.set_step(s crm.journey_steps, subject_table text, ids bigint[], late interval, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name CONSTANT text := s.settings ->> 'column';
BEGIN
    PERFORM crm_internal.check_journey_column(subject_table, name, s.settings -> 'value', s.code);
    PERFORM crm.because('journey');
    IF name LIKE 'custom.%' THEN
        EXECUTE format('UPDATE crm.%I AS r SET custom = r.custom || $3 FROM crm.journey_members AS m WHERE m.tenant_id = $1 AND m.id = ANY ($2)'
                       ' AND r.tenant_id = $1 AND r.id = m.subject_id AND NOT r.custom @> $3', subject_table)
            USING s.tenant_id, ids, jsonb_build_object(substr(name, 8), s.settings -> 'value');
    ELSE
        EXECUTE format('UPDATE crm.%1$I AS r SET %2$I = v.%2$I FROM crm.journey_members AS m, jsonb_populate_record(NULL::crm.%1$I, $3) AS v'
                       ' WHERE m.tenant_id = $1 AND m.id = ANY ($2) AND r.tenant_id = $1 AND r.id = m.subject_id AND r.%2$I IS DISTINCT FROM v.%2$I',
                       subject_table, name)
            USING s.tenant_id, ids, jsonb_build_object(name, s.settings -> 'value');
    END IF;
    PERFORM crm_internal.log_steps(s, late, as_of, ids, array_fill('changed'::text, ARRAY[cardinality(ids)]),
        array_fill(s.then_place, ARRAY[cardinality(ids)]), NULL, NULL);
END
$$;
COMMENT ON FUNCTION crm_internal.set_step(crm.journey_steps, text, bigint[], interval, timestamptz) IS 'Writes a value into a column of the people.';

CREATE OR REPLACE FUNCTION crm_internal.enrol_step(s crm.journey_steps, subject_table text, ids bigint[], late interval, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    people CONSTANT bigint[] := ARRAY(SELECT m.subject_id FROM crm.journey_members AS m WHERE m.tenant_id = s.tenant_id AND m.id = ANY (ids));
    target crm.journeys;
    entered bigint[] := '{}';
    r record;
BEGIN
    IF s.settings ? 'journey' THEN
        SELECT x.* INTO target FROM crm.journeys AS x WHERE x.tenant_id = s.tenant_id AND x.name = s.settings ->> 'journey';
        IF target.status = 'running' THEN
            entered := crm_internal.enter_journey(target, people, array_fill(as_of, ARRAY[cardinality(people)]), 'journey', as_of);
        END IF;
    ELSE
        entered := crm_internal.enrol_in_campaign(s.tenant_id, crm_internal.campaign_named(s.tenant_id, s.settings ->> 'campaign'), subject_table, people,
            as_of);
    END IF;
    SELECT array_agg(m.id ORDER BY m.id) AS ids, array_agg(CASE WHEN m.subject_id = ANY (entered) THEN 'enrolled' ELSE 'not' END ORDER BY m.id) AS outcomes,
           array_agg(CASE WHEN m.subject_id = ANY (entered) THEN NULL WHEN target.status <> 'running' THEN 'journey is ' || target.status
                          WHEN target.id IS NULL THEN 'held out' ELSE 'was inside before, or held out' END ORDER BY m.id) AS reasons INTO r
    FROM crm.journey_members AS m WHERE m.tenant_id = s.tenant_id AND m.id = ANY (ids);
    PERFORM crm_internal.log_steps(s, late, as_of, r.ids, r.outcomes, array_fill(s.then_place, ARRAY[cardinality(r.ids)]), r.reasons, NULL);
END
$$;
COMMENT ON FUNCTION crm_internal.enrol_step(crm.journey_steps, text, bigint[], interval, timestamptz) IS 'Lets members into another journey or campaign.';

CREATE OR REPLACE FUNCTION crm_internal.journey_part(s crm.journey_steps, seed bigint, subject_table text, subject_id bigint)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.part FROM (
        SELECT e.part, e.n, sum((e.part ->> 'weight')::double precision) OVER (ORDER BY e.n) / sum((e.part ->> 'weight')::double precision) OVER () AS upto
        FROM jsonb_array_elements(s.settings -> 'parts') WITH ORDINALITY AS e (part, n)) AS p
    WHERE crm_internal.campaign_draw(seed, 'split ' || s.code, subject_table || ' ' || subject_id) < p.upto ORDER BY p.n LIMIT 1
$$;
COMMENT ON FUNCTION crm_internal.journey_part(crm.journey_steps, bigint, text, bigint) IS
'Part of a split that a person is in, drawn from the seed of the journey, the step and the person: always the same.';

CREATE OR REPLACE FUNCTION crm_internal.decide_step(s crm.journey_steps, j crm.journeys, ids bigint[], late interval, as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r record;
BEGIN
    IF s.kind = 'branch' THEN
        EXECUTE format('SELECT array_agg(d.id ORDER BY d.id) AS ids, array_agg(CASE WHEN d.yes THEN ''yes'' ELSE ''no'' END ORDER BY d.id) AS outcomes,'
                       ' array_agg(CASE WHEN d.yes THEN $3 ELSE $4 END ORDER BY d.id) AS places'
                       ' FROM (SELECT m.id, crm.row_holds(r, $5) AS yes FROM crm.journey_members AS m'
                       ' JOIN crm.%I AS r ON r.tenant_id = m.tenant_id AND r.id = m.subject_id WHERE m.tenant_id = $1 AND m.id = ANY ($2)) AS d',
                           j.people)
            INTO r USING s.tenant_id, ids, s.then_place, s.other_place, (s.settings ->> 'where')::jsonpath;
    ELSIF s.kind = 'split' THEN
        SELECT array_agg(d.id ORDER BY d.id) AS ids, array_agg(d.part ->> 'part' ORDER BY d.id) AS outcomes,
               array_agg((d.part ->> 'place')::integer ORDER BY d.id) AS places INTO r
        FROM (SELECT m.id, crm_internal.journey_part(s, j.seed, m.subject_table, m.subject_id) AS part
              FROM crm.journey_members AS m WHERE m.tenant_id = s.tenant_id AND m.id = ANY (ids)) AS d;
    ELSIF s.kind = 'await' THEN
        SELECT array_agg(m.id ORDER BY m.id) AS ids, array_agg(CASE WHEN m.event_at IS NULL THEN 'timeout' ELSE 'event' END ORDER BY m.id) AS outcomes,
               array_agg(CASE WHEN m.event_at IS NULL THEN s.other_place ELSE s.then_place END ORDER BY m.id) AS places INTO r
        FROM crm.journey_members AS m WHERE m.tenant_id = s.tenant_id AND m.id = ANY (ids);
    ELSE
        PERFORM crm_internal.log_steps(s, late, as_of, ids, array_fill(CASE s.kind WHEN 'exit' THEN 'left' ELSE 'waited' END, ARRAY[cardinality(ids)]),
            array_fill(s.then_place, ARRAY[cardinality(ids)]), NULL, NULL);
        RETURN;
    END IF;
    PERFORM crm_internal.log_steps(s, late, as_of, r.ids, r.outcomes, r.places, NULL, NULL);
END
$$;
COMMENT ON FUNCTION crm_internal.decide_step(crm.journey_steps, crm.journeys, bigint[], interval, timestamptz) IS
'Steps that make nothing: branch, split, await, wait, exit.';

-- Who leaves before the step: by the exit rule, since the goal is reached, or because the person is no longer there. The others remain.
CREATE OR REPLACE FUNCTION crm_internal.staying_members(j crm.journeys, definition jsonb, ids bigint[], as_of timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    part text;
    rule jsonb;
    found bigint[];
BEGIN
    found := ARRAY(SELECT m.id FROM crm.journey_members AS m
                   LEFT JOIN crm.contacts AS k ON m.subject_table = 'contacts' AND k.tenant_id = m.tenant_id AND k.id = m.subject_id
                   LEFT JOIN crm.leads AS l ON m.subject_table = 'leads' AND l.tenant_id = m.tenant_id AND l.id = m.subject_id
                   WHERE m.tenant_id = j.tenant_id AND m.id = ANY (ids) AND k.id IS NULL AND (l.id IS NULL OR l.merged_into_id IS NOT NULL));
    PERFORM crm_internal.leave_journey(j.tenant_id, found, 'gone', as_of);
    ids := ARRAY(SELECT unnest(ids) EXCEPT SELECT unnest(found) ORDER BY 1);
    FOREACH part IN ARRAY '{goal,exit}'::text[] LOOP
        rule := definition -> part;
        CONTINUE WHEN rule IS NULL OR NOT rule ?| '{segment,where}';
        EXECUTE format('SELECT coalesce(array_agg(m.id), ''{}'') FROM crm.journey_members AS m JOIN crm.%I AS r ON r.tenant_id = m.tenant_id AND r.id = '
        'm.subject_id'
                       ' WHERE m.tenant_id = $1 AND m.id = ANY ($2) AND ($3 IS NOT NULL AND crm.row_holds(r, $3)'
                       ' OR m.subject_id IN (SELECT g.subject_id FROM crm.segments AS x CROSS JOIN LATERAL crm.segment_members_at(x.name, $5) AS g'
                       ' WHERE x.tenant_id = $1 AND x.name = $4 AND x.active))', j.people)
            INTO found USING j.tenant_id, ids, (rule ->> 'where')::jsonpath, rule ->> 'segment', as_of;
        IF part = 'goal' AND coalesce((rule ->> 'stay')::boolean, false) THEN
            UPDATE crm.journey_members AS m SET goal_at = as_of WHERE m.tenant_id = j.tenant_id AND m.id = ANY (found) AND m.goal_at IS NULL;
        ELSE
            PERFORM crm_internal.leave_journey(j.tenant_id, found, part, as_of);
            ids := ARRAY(SELECT unnest(ids) EXCEPT SELECT unnest(found) ORDER BY 1);
        END IF;
    END LOOP;
    RETURN ids;
END
$$;
COMMENT ON FUNCTION crm_internal.staying_members(crm.journeys, jsonb, bigint[], timestamptz) IS
'Members who stay in their journey, of those whose step is due; the others are let out: the goal is reached, the exit rule holds, or the person is gone.';

CREATE OR REPLACE FUNCTION crm_internal.take_steps(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    g record;
    s crm.journey_steps;
    j crm.journeys;
    definition jsonb;
    late interval;
    ids bigint[];
    n bigint := 0;
BEGIN
    FOR g IN SELECT m.version_id, m.place, array_agg(m.id ORDER BY m.id) AS ids FROM crm.journey_members AS m
             WHERE m.tenant_id = tenant AND m.id = ANY (items::bigint[]) AND m.status = 'active' AND m.due_at <= as_of
             GROUP BY m.version_id, m.place ORDER BY 1, 2 LOOP
        SELECT x.* INTO s FROM crm.journey_steps AS x WHERE x.tenant_id = tenant AND x.version_id = g.version_id AND x.place = g.place;
        SELECT x.definition INTO definition FROM crm.journey_versions AS x WHERE x.tenant_id = tenant AND x.id = g.version_id;
        SELECT x.* INTO j FROM crm.journeys AS x JOIN crm.journey_versions AS v ON v.tenant_id = x.tenant_id AND v.journey_id = x.id
        WHERE v.tenant_id = tenant AND v.id = g.version_id;
        late := coalesce((definition ->> 'late')::interval, '1 hour');
        n := n + cardinality(g.ids);
        ids := crm_internal.staying_members(j, definition, g.ids, as_of);
        CONTINUE WHEN ids = '{}';
        IF s.kind = 'send' THEN
            PERFORM crm_internal.send_step(s, j.campaign_id, ids, late, as_of);
        ELSIF s.kind = 'task' THEN
            PERFORM crm_internal.task_step(s, ids, late, as_of);
        ELSIF s.kind = 'set' THEN
            PERFORM crm_internal.set_step(s, j.people, ids, late, as_of);
        ELSIF s.kind = 'enrol' THEN
            PERFORM crm_internal.enrol_step(s, j.people, ids, late, as_of);
        ELSE
            PERFORM crm_internal.decide_step(s, j, ids, late, as_of);
        END IF;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.take_steps(bigint, text[], timestamptz) IS 'Does the steps of members of one company that are due; how many.';
