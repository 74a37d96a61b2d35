-- Lead scoring by points: reading scores, crossings that time makes, publishing models.

-- ---- reading ----

-- The state from which the score at an instant follows: the kept one, or where that cannot
-- be used (the instant lies before the last event, the rules have changed,
-- or the model is not in use) a replay.
CREATE OR REPLACE FUNCTION crm_internal.state_at(model crm.score_models, lead bigint, at timestamptz)
RETURNS bytea
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT CASE
                   WHEN model.active AND s.version = model.version AND at >= u.last_event_at THEN s.state
                   ELSE (crm.points_fit(model.definition,
                             (SELECT crm.points_replay(model.definition, e.kind, e.object, e.occurred_at, e.attributes ORDER BY e.id)
                              FROM crm.score_events AS e
                              WHERE e.tenant_id = l.tenant_id AND e.lead_id = l.id AND e.occurred_at <= at),
                             coalesce(CASE WHEN model.active THEN u.attributes END,
                                      (SELECT a.attributes FROM crm_internal.lead_attributes(l.tenant_id, ARRAY[l.id]) AS a)),
                             at, NULL, s.state)).state
               END
        FROM crm.leads AS l
        LEFT JOIN crm.score_subjects AS u ON u.tenant_id = l.tenant_id AND u.lead_id = l.id
        LEFT JOIN crm.lead_scores AS s ON s.tenant_id = l.tenant_id AND s.model_id = model.id AND s.lead_id = l.id
        WHERE l.tenant_id = model.tenant_id AND l.id = lead AND at IS NOT NULL);
END
$$;
COMMENT ON FUNCTION crm_internal.state_at(crm.score_models, bigint, timestamptz) IS
'State of a lead for reading its score at an instant; NULL for a lead that was never scored.';

-- What rules saw of a lead at an instant is known if nothing they may look at was changed since: earlier values are
-- not kept, and present ones do not stand for them.
CREATE OR REPLACE FUNCTION crm_internal.fit_known(definition jsonb, lead crm.leads, at timestamptz)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT at >= now()
            OR NOT EXISTS (SELECT FROM jsonb_array_elements(definition -> 'rules') AS r WHERE NOT r ? 'event')
            OR at >= greatest(CASE WHEN lead.version > 1 THEN lead.updated_at END,
                              (SELECT a.updated_at FROM crm.accounts AS a WHERE a.tenant_id = lead.tenant_id AND a.id = lead.account_id AND a.version > 1),
                              (SELECT c.updated_at FROM crm.contacts AS c WHERE c.tenant_id = lead.tenant_id AND c.id = lead.contact_id AND c.version > 1),
                              '-infinity'));
END
$$;
COMMENT ON FUNCTION crm_internal.fit_known(jsonb, crm.leads, timestamptz) IS
'Whether fit at an instant follows from what a lead, its account and its contact are now: from now on, where none was changed since, and where no rule '
'asks for it.';

CREATE OR REPLACE FUNCTION crm_internal.parts_at(model crm.score_models, lead crm.leads, at timestamptz)
RETURNS crm.points_parts
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN crm_internal.is_restricted(lead.tenant_id, 'leads', lead.id, at) THEN NULL
                WHEN at >= now() OR crm_internal.fit_known(model.definition, lead, at) THEN p
                WHEN at IS NOT NULL THEN ROW(NULL, p.engagement, NULL, NULL)::crm.points_parts END
    FROM crm.points_score(model.definition, crm_internal.state_at(model, lead.id, at), at) AS p
$$;
COMMENT ON FUNCTION crm_internal.parts_at(crm.score_models, crm.leads, timestamptz) IS
'Score of a lead at an instant; of one in the past engagement alone where what rules saw of the lead is not known any more. NULL: the person is restricted.';

CREATE OR REPLACE FUNCTION crm.lead_score_parts(lead_id bigint, as_of timestamptz DEFAULT now(), model text DEFAULT NULL)
RETURNS crm.points_parts
LANGUAGE sql STABLE PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.parts_at(m.*, l.*, as_of)
    FROM crm_internal.score_model_at(model, as_of) AS m
    JOIN crm.leads AS l ON l.tenant_id = m.tenant_id AND l.id = lead_score_parts.lead_id
    WHERE crm.can_see(l.owner_id, l.team_id, l.shared_user_ids, l.shared_team_ids)
$$;
COMMENT ON FUNCTION crm.lead_score_parts(bigint, timestamptz, text) IS
'Fit, engagement, score and grade of a lead at an instant, by the rules of that instant (before the model was made by its first ones). Engagement is exact at '
'any instant, past ones too. Fit, score and grade of a past instant are NULL where the lead, its account or its contact was changed since: what rules saw then '
'is not known any more. model: by name; NULL: the first active one. NULL: there is no such lead, the caller may not see it, or the person is '
'restricted. P0002: no such model.';
SELECT crm.declare_function('crm.lead_score_parts', 'reader');

CREATE OR REPLACE FUNCTION crm.lead_score_at(lead_id bigint, as_of timestamptz DEFAULT now(), model text DEFAULT NULL)
RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (crm.lead_score_parts(lead_score_at.lead_id, as_of, model)).score
$$;
COMMENT ON FUNCTION crm.lead_score_at(bigint, timestamptz, text) IS
'Score of a lead at an instant, at most 10 decimals; the sum of crm.explain_lead_score() to the last digit. NULL for a past instant since which the lead, its '
'account or its contact was changed: see crm.lead_score_parts().';
SELECT crm.declare_function('crm.lead_score_at', 'reader');

CREATE OR REPLACE FUNCTION crm.explain_lead_score(lead_id bigint, as_of timestamptz DEFAULT now(), model text DEFAULT NULL)
RETURNS TABLE (kind text, item text, group_name text, events bigint, last_event timestamptz,
               decayed numeric, cap_loss numeric, points numeric)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 20
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT e.*
    FROM crm_internal.score_model_at(model, as_of) AS m
    JOIN crm.leads AS l ON l.tenant_id = m.tenant_id AND l.id = explain_lead_score.lead_id,
         crm.points_explain(m.definition, crm_internal.state_at(m, l.id, as_of), as_of) AS e
    WHERE crm.can_see(l.owner_id, l.team_id, l.shared_user_ids, l.shared_team_ids) AND NOT crm_internal.is_restricted(l.tenant_id, 'leads', l.id, as_of)
      AND (as_of >= now() OR crm_internal.fit_known(m.definition, l, as_of)
           OR e.kind = 'engagement')
$$;
COMMENT ON FUNCTION crm.explain_lead_score(bigint, timestamptz, text) IS
'Why a lead has its score: one row per rule that gives points or has events, per group cap in force, and for the limit of the total. points sum to '
'crm.lead_score_at() to the last digit. decayed: the rule''s sum before its cap; cap_loss: what the cap takes. Of a past instant '
'whose score is not known only the rules of events.';
SELECT crm.declare_api('crm.explain_lead_score', '{"lead_id": 1}');
SELECT crm.declare_function('crm.explain_lead_score', 'reader');

CREATE OR REPLACE FUNCTION crm.top_leads(n integer DEFAULT 10, as_of timestamptz DEFAULT now(), model text DEFAULT NULL)
RETURNS TABLE (lead_id bigint, fit numeric, engagement numeric, score numeric, grade text)
LANGUAGE plpgsql STABLE ROWS 10
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- planning took longer than the answer
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_variable
DECLARE
    m crm.score_models := crm_internal.score_model_at(model, as_of);
    asked bigint := n;
    listed bigint := 0;
    more bigint;
    nobody_restricted CONSTANT boolean := crm.kept_text('restrictions_of', m.tenant_id::text) = 'none';
BEGIN
    IF n IS NULL OR n < 0 THEN
        RAISE EXCEPTION 'how many leads to list is no number from 0 on' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- an index knows the future, not the past, and not what states of older rules will be
    IF as_of < now() OR NOT m.active
        OR NOT EXISTS (SELECT FROM crm.score_replays AS r
                       WHERE r.tenant_id = m.tenant_id AND r.model_id = m.id AND r.version = m.version AND r.complete)
    THEN
        RETURN QUERY
            SELECT u.lead_id, p.fit, p.engagement, p.score, p.grade
            FROM crm.score_subjects AS u
            JOIN crm.leads AS l ON l.tenant_id = u.tenant_id AND l.id = u.lead_id,
                 crm_internal.parts_at(m.*, l.*, as_of) AS p
            WHERE p.score IS NOT NULL AND u.tenant_id = m.tenant_id AND l.created_at <= as_of AND (l.closed_at IS NULL OR l.closed_at > as_of)
              AND crm.can_see(l.owner_id, l.team_id, l.shared_user_ids, l.shared_team_ids)
            ORDER BY p.score DESC, p.fit + p.engagement DESC, u.lead_id LIMIT n;
        RETURN;
    END IF;
    -- leads that are closed or that the caller may not see take places: ask for more until there are enough
    LOOP
        RETURN QUERY
            SELECT t.lead_id, t.fit, t.engagement, t.score, t.grade
            FROM crm.points_top(m.tenant_id, m.id, m.definition, asked::integer, as_of)
                 WITH ORDINALITY AS t (lead_id, fit, engagement, score, grade, place)
            -- looked up one by one: a join would read all leads for a hundred
            CROSS JOIN LATERAL (SELECT FROM crm.leads AS x
                                WHERE x.tenant_id = m.tenant_id AND x.id = t.lead_id AND x.closed_at IS NULL
                                  AND crm.can_see(x.owner_id, x.team_id, x.shared_user_ids, x.shared_team_ids)
                                  AND (nobody_restricted OR NOT crm_internal.is_restricted(x.tenant_id, 'leads', x.id, as_of)) OFFSET 0) AS l
            ORDER BY t.place OFFSET listed LIMIT n - listed;
        GET DIAGNOSTICS more = ROW_COUNT;
        listed := listed + more;
        EXIT WHEN listed >= n OR asked >= 1000000000
            OR (SELECT count(*) < asked FROM crm.points_top(m.tenant_id, m.id, m.definition, asked::integer, as_of) AS t);
        asked := least(asked * 4, 1000000000);
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.top_leads(integer, timestamptz, text) IS
'The n best open leads the caller may see at an instant, best first; equal scores by fit + engagement before the limits, then by id. From now on served by an '
'index; an instant in the past, and rules that were changed but not replayed, replay every lead. Leads whose score at a past instant is not known are left '
'out.';
SELECT crm.declare_function('crm.top_leads', 'reader');

-- ---- time ----

CREATE OR REPLACE FUNCTION crm.next_score_crossing_at()
RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(s.next_crossing) FROM crm.lead_scores AS s WHERE s.next_crossing IS NOT NULL
$$;
COMMENT ON FUNCTION crm.next_score_crossing_at() IS 'When time alone will next take a lead across a threshold.';
SELECT crm.declare_function('crm.next_score_crossing_at', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.cross_scores(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    done bigint;
BEGIN
    -- where somebody makes all states anew, they cross what is to be crossed
    IF NOT crm.try_lock('scores', crm.scores_lock(tenant), shared => true) THEN
        RETURN 0;
    END IF;
    -- read again: what another session did before the lock is taken into account
    WITH moved AS MATERIALIZED (
        SELECT s.tenant_id, s.model_id, s.lead_id, crm.points_advance(m.definition, s.state, as_of) AS r
        FROM unnest(items) AS i
        JOIN crm.lead_scores AS s ON s.tenant_id = tenant AND s.model_id = (i::jsonb ->> 0)::bigint AND s.lead_id = (i::jsonb ->> 1)::bigint
        JOIN crm.score_models AS m ON m.tenant_id = s.tenant_id AND m.id = s.model_id AND m.version = s.version
        WHERE s.next_crossing <= as_of
    ), crossed AS (
        INSERT INTO crm.score_crossings (tenant_id, model_id, lead_id, threshold, direction, crossed_at, score)
        SELECT p.tenant_id, p.model_id, p.lead_id, c.threshold, c.direction, c.at, c.score
        FROM moved AS p, jsonb_to_recordset((p.r).crossings) AS c (threshold text, direction text, at timestamptz, score numeric)
        WHERE (p.r).crossings <> '[]'
    ), kept AS (
        UPDATE crm.lead_scores AS s
        SET state = (p.r).state, next_crossing = (p.r).next_crossing, inside = (p.r).inside
        FROM moved AS p
        WHERE s.tenant_id = p.tenant_id AND s.model_id = p.model_id AND s.lead_id = p.lead_id
        RETURNING 1
    )
    SELECT count(*) INTO done FROM kept;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.cross_scores(bigint, text[], timestamptz) IS
'Writes down the thresholds that some leads of a company have crossed; returns how many leads were looked at.';

CREATE OR REPLACE FUNCTION crm.record_score_crossings(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS integer
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.record_score_crossings',
        'crm.lead_scores AS x JOIN crm.score_subjects AS u ON u.tenant_id = x.tenant_id AND u.lead_id = x.lead_id '
        'WHERE x.next_crossing <= $1',
        'jsonb_build_array(x.model_id, x.lead_id)', 'x.next_crossing', 'NO KEY UPDATE OF u', 'crm_internal.cross_scores', as_of, batch)::integer
$$;
COMMENT ON FUNCTION crm.record_score_crossings(timestamptz, integer) IS
'Writes down the thresholds that time alone has taken leads across by as_of, each at its instant, for at most batch leads; leads that others are working on '
'are left for the next call. Returns how many leads were looked at. The worker calls it.';
SELECT crm.declare_function('crm.record_score_crossings', 'owner');

-- A crossing goes to the outbox once.
CREATE OR REPLACE FUNCTION crm.announce_score_crossings()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key)
    SELECT c.tenant_id, 'lead.threshold', 'leads', c.lead_id,
           jsonb_build_object('model', m.name, 'threshold', c.threshold, 'direction', c.direction,
                              'crossed_at', c.crossed_at, 'score', c.score), c.id::text
    FROM new_crossings AS c JOIN crm.score_models AS m ON m.tenant_id = c.tenant_id AND m.id = c.model_id
    ORDER BY c.id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.announce_score_crossings() IS 'Trigger: writes crossings of thresholds into the outbox.';
CREATE OR REPLACE TRIGGER score_crossings_after_insert AFTER INSERT ON crm.score_crossings
    REFERENCING NEW TABLE AS new_crossings FOR EACH STATEMENT EXECUTE FUNCTION crm.announce_score_crossings();

-- ---- publishing ----

CREATE OR REPLACE FUNCTION crm_internal.note_replay(model crm.score_models, version integer, complete boolean, through_lead_id bigint)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm.score_replays AS r (tenant_id, model_id, version, complete, through_lead_id)
    VALUES (model.tenant_id, model.id, note_replay.version, note_replay.complete, note_replay.through_lead_id)
    ON CONFLICT (tenant_id, model_id) DO UPDATE
    SET version = excluded.version, complete = excluded.complete, through_lead_id = excluded.through_lead_id
    WHERE (r.version, r.complete, r.through_lead_id) IS DISTINCT FROM (excluded.version, excluded.complete, excluded.through_lead_id)
$$;
COMMENT ON FUNCTION crm_internal.note_replay(crm.score_models, integer, boolean, bigint) IS 'Writes down how far the states of a model have come.';

-- Writers that began before the rules changed may have left states behind after everybody looked: so it is looked
-- once more with the lock alone, which is asked for only for a moment, as others queue up behind.
CREATE OR REPLACE FUNCTION crm_internal.complete_replay(model crm.score_models)
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '50ms'
AS $$
#variable_conflict use_variable
DECLARE
    older boolean;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN false;
    END IF;
    BEGIN
        PERFORM crm.lock('scores', crm.scores_lock(model.tenant_id));
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        RETURN false;
    END;
    SELECT EXISTS (SELECT FROM crm.lead_scores AS s
                   WHERE s.tenant_id = model.tenant_id AND s.model_id = model.id AND s.version < model.version) INTO older;
    PERFORM crm_internal.note_replay(model, model.version, NOT older, NULL);
    RETURN NOT older;
END
$$;
COMMENT ON FUNCTION crm_internal.complete_replay(crm.score_models) IS
'Notes that no state of a model is of older rules, if that is so and nobody writes states just now.';

CREATE OR REPLACE FUNCTION crm_internal.replay_some(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT sum(crm.points_replay_leads(tenant, i.model, i.leads, as_of))
    FROM (SELECT (x::jsonb ->> 0)::bigint AS model, array_agg((x::jsonb ->> 1)::bigint ORDER BY n) AS leads
          FROM unnest(items) WITH ORDINALITY AS u (x, n) GROUP BY 1) AS i
$$;
COMMENT ON FUNCTION crm_internal.replay_some(bigint, text[], timestamptz) IS 'Replays the events of some leads of a company; returns how many.';

CREATE OR REPLACE FUNCTION crm.replay_stale_scores(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS integer
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.score_models;
    leads bigint[];
    done integer := 0;
BEGIN
    FOR m IN SELECT s.* FROM crm.score_models AS s
             WHERE s.active AND NOT EXISTS (SELECT FROM crm.score_replays AS r
                                            WHERE r.tenant_id = s.tenant_id AND r.model_id = s.id AND r.version = s.version AND r.complete)
             ORDER BY s.tenant_id, s.id LOOP
        EXIT WHEN done >= batch;
        CONTINUE WHEN NOT crm.try_lock('scores', crm.scores_lock(m.tenant_id), shared => true);
        SELECT s.* INTO m FROM crm.score_models AS s WHERE s.tenant_id = m.tenant_id AND s.id = m.id;
        CONTINUE WHEN m.id IS NULL;
        -- from where the last call came to, since the states are in the order of leads
        SELECT array_agg(d.lead_id) INTO leads
        FROM (SELECT u.lead_id
              FROM crm.lead_scores AS s
              JOIN crm.leads AS l ON l.tenant_id = s.tenant_id AND l.id = s.lead_id
              JOIN crm.score_subjects AS u ON u.tenant_id = s.tenant_id AND u.lead_id = s.lead_id
              WHERE s.tenant_id = m.tenant_id AND s.model_id = m.id AND s.version < m.version
                AND s.lead_id > coalesce((SELECT r.through_lead_id FROM crm.score_replays AS r
                                          WHERE r.tenant_id = m.tenant_id AND r.model_id = m.id AND r.version = m.version),
                                         '-9223372036854775808')
              ORDER BY s.lead_id LIMIT batch - done
              FOR NO KEY UPDATE OF l, u SKIP LOCKED) AS d;
        IF leads IS NULL THEN
            -- leads that failed are come back to when it is their time
            IF NOT crm_internal.complete_replay(m)
               AND EXISTS (SELECT FROM crm_internal.failed_work AS f
                           WHERE f.function_name = 'crm.replay_stale_scores' AND f.tenant_id = m.tenant_id AND f.retry_at <= as_of) THEN
                PERFORM crm_internal.note_replay(m, m.version, false, NULL);
            END IF;
        ELSE
            done := done + crm_internal.try_work('crm.replay_stale_scores', 'crm_internal.replay_some', m.tenant_id,
                ARRAY(SELECT jsonb_build_array(m.id, l)::text FROM unnest(leads) AS l), as_of);
            PERFORM crm_internal.note_replay(m, m.version, false, (SELECT max(l.id) FROM unnest(leads) AS l (id)));
        END IF;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.replay_stale_scores(timestamptz, integer) IS
'Replays the events of leads whose state belongs to an older version of a model, at most batch of them, going on where the last call came to. Scores read '
'right meanwhile. Returns how many. The worker calls it.';
SELECT crm.declare_function('crm.replay_stale_scores', 'owner');

CREATE OR REPLACE FUNCTION crm.replay_scores(model text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.score_models := crm_internal.score_model(model);
    low bigint;
    high bigint;
    done bigint := 0;
    after bigint := '-9223372036854775808';
    oldest integer;
BEGIN
    -- one lock on all states instead of one on each
    PERFORM crm.lock('scores', crm.scores_lock(m.tenant_id));
    LOOP
        -- as it is by now: rules may have been changed since the last range
        SELECT s.* INTO m FROM crm.score_models AS s WHERE s.tenant_id = m.tenant_id AND s.id = m.id;
        IF m.id IS NULL THEN
            RETURN done;
        END IF;
        oldest := least(oldest, m.version);
        SELECT min(d.id), max(d.id) INTO low, high
        FROM (SELECT l.id FROM crm.leads AS l
              WHERE l.tenant_id = m.tenant_id AND l.id > after
              ORDER BY l.id LIMIT 20000) AS d;
        EXIT WHEN low IS NULL;
        done := done + crm.points_replay_range(m.tenant_id, m.id, m.version, m.definition, low, high, now());
        after := high;
    END LOOP;
    -- an older snapshot may have missed some
    IF current_setting('transaction_isolation') = 'read committed' THEN
        PERFORM crm_internal.note_replay(m, oldest, true, NULL);
    END IF;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.replay_scores(text) IS
'Makes the states of all leads in a model anew from the ledger of events, noting thresholds that the present rules take them across. Needed after events or '
'leads were written with triggers off; after a change of rules by hand the worker does it, and reading is right before. Returns the number of leads.';
SELECT crm.declare_function('crm.replay_scores', 'admin');

CREATE OR REPLACE FUNCTION crm.verify_lead_scores(model text DEFAULT NULL)
RETURNS TABLE (lead_id bigint, reason text)
LANGUAGE sql STABLE ROWS 1
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.id,
           CASE WHEN s.lead_id IS NULL THEN 'no state' WHEN s.version <> m.version THEN 'state of version ' || s.version
                WHEN u.attributes IS DISTINCT FROM a.attributes THEN 'the lead, its account or contact has changed'
                ELSE 'state differs from the replay of the events' END
    FROM crm_internal.score_model(model) AS m
    JOIN crm.leads AS l ON l.tenant_id = m.tenant_id
    LEFT JOIN crm.score_subjects AS u ON u.tenant_id = l.tenant_id AND u.lead_id = l.id
    LEFT JOIN LATERAL (SELECT x.lead_id, x.version, x.state FROM crm.lead_scores AS x
                       WHERE x.tenant_id = m.tenant_id AND x.lead_id = l.id AND x.model_id = m.id OFFSET 0) AS s ON true
    LEFT JOIN LATERAL (SELECT x.attributes FROM crm_internal.lead_facts AS x WHERE x.tenant_id = l.tenant_id AND x.lead_id = l.id) AS a ON true
    WHERE s.version IS DISTINCT FROM m.version
       OR u.attributes IS DISTINCT FROM a.attributes
       OR crm.points_rules(s.state) IS DISTINCT FROM crm.points_rules((crm.points_fit(m.definition,
              (SELECT crm.points_replay(m.definition, e.kind, e.object, e.occurred_at, e.attributes ORDER BY e.id)
               FROM crm.score_events AS e WHERE e.tenant_id = l.tenant_id AND e.lead_id = l.id),
              a.attributes, now())).state)
$$;
COMMENT ON FUNCTION crm.verify_lead_scores(text) IS
'Leads whose kept state is not bit for bit what their events and they themselves make, and why; empty where all is right.';
SELECT crm.declare_function('crm.verify_lead_scores', 'admin');

CREATE OR REPLACE FUNCTION crm.check_score_rules(model text DEFAULT NULL)
RETURNS TABLE (rule text, failures bigint, sample_lead_id bigint)
LANGUAGE sql STABLE ROWS 5
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.rule, count(*), min(f.lead_id)
    FROM crm_internal.score_model(model) AS m
    CROSS JOIN LATERAL (
        SELECT r AS rule, l.id AS lead_id
        FROM crm.leads AS l
        JOIN crm_internal.lead_facts AS a ON a.tenant_id = l.tenant_id AND a.lead_id = l.id,
             unnest((crm.points_fit(m.definition, NULL, a.attributes, now())).failed) AS r
        WHERE l.tenant_id = m.tenant_id
        UNION ALL
        SELECT r, e.lead_id
        FROM (SELECT x.lead_id, crm.points_fold(m.definition, NULL, x.kind, NULL, x.occurred_at, x.attributes) AS p
              FROM crm.score_events AS x WHERE x.tenant_id = m.tenant_id AND x.attributes IS NOT NULL GROUP BY x.id, x.lead_id) AS e,
             unnest((e.p).failed) AS r) AS f
    GROUP BY f.rule
    ORDER BY 2 DESC, 1
$$;
COMMENT ON FUNCTION crm.check_score_rules(text) IS
'Rules of a score model whose condition cannot be worked out for some leads or events, such as text where a number is expected, and for how many; one such '
'lead each. They count as not met there. Empty where all can. The first failure is reported by a warning and an event score.trouble.';
SELECT crm.declare_function('crm.check_score_rules', 'admin');

CREATE OR REPLACE FUNCTION crm.define_score_model(definition jsonb)
RETURNS crm.score_models
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    m crm.score_models;
    tenant bigint := crm.tenant_id();
BEGIN
    PERFORM crm.points_check(definition);
    IF definition ->> 'name' IS NULL THEN
        RAISE EXCEPTION 'the score model has no name'
            USING ERRCODE = 'CR403', HINT = 'Add "name" to the definition.';
    END IF;
    INSERT INTO crm.score_models AS s (tenant_id, name, min_score, max_score, group_caps, thresholds, fit_grades, engagement_grades, hysteresis)
    VALUES (tenant, definition ->> 'name', (definition ->> 'min')::numeric, (definition ->> 'max')::numeric,
            coalesce(definition -> 'groups', '{}'), coalesce(definition -> 'thresholds', '[]'),
            ARRAY(SELECT jsonb_array_elements_text(coalesce(definition -> 'fit_grades', '[]'))::numeric),
            ARRAY(SELECT jsonb_array_elements_text(coalesce(definition -> 'engagement_grades', '[]'))::numeric),
            coalesce((definition ->> 'hysteresis')::numeric, 0))
    ON CONFLICT (tenant_id, name) DO UPDATE
    SET min_score = excluded.min_score, max_score = excluded.max_score, group_caps = excluded.group_caps,
        thresholds = excluded.thresholds, fit_grades = excluded.fit_grades,
        engagement_grades = excluded.engagement_grades, hysteresis = excluded.hysteresis, active = true
    RETURNING s.* INTO m;
    DELETE FROM crm.score_rules AS r WHERE r.tenant_id = tenant AND r.model_id = m.id;
    INSERT INTO crm.score_rules (tenant_id, model_id, name, group_name, event_kind, condition, points, cap, decay, decay_period,
                                 decay_share, repeat_policy, repeat_times, repeat_window)
    SELECT tenant, m.id, r.e ->> 'name', r.e ->> 'group', r.e ->> 'event', r.e ->> 'when', (r.e ->> 'points')::numeric,
           (r.e ->> 'cap')::numeric, coalesce(r.e ->> 'decay', 'none'),
           CASE WHEN jsonb_typeof(r.e -> 'period') = 'number' THEN make_interval(secs => (r.e ->> 'period')::float8)
                ELSE (r.e ->> 'period')::interval END,
           (r.e ->> 'share')::numeric, coalesce(r.e ->> 'repeat', 'every'), (r.e ->> 'times')::integer,
           CASE WHEN jsonb_typeof(r.e -> 'window') = 'number' THEN make_interval(secs => (r.e ->> 'window')::float8)
                ELSE (r.e ->> 'window')::interval END
    FROM jsonb_array_elements(coalesce(definition -> 'rules', '[]')) WITH ORDINALITY AS r (e, i)
    ORDER BY r.i;
    PERFORM crm.replay_scores(m.name);
    SELECT s.* INTO m FROM crm.score_models AS s WHERE s.tenant_id = tenant AND s.id = m.id;
    RETURN m;
END
$$;
COMMENT ON FUNCTION crm.define_score_model(jsonb) IS
'Makes a score model, or gives the one of that name new rules, and replays the events of all leads under it; thresholds that the new rules take leads across '
'are noted. The keys of the definition are those of crm.points_check, and name. CR403: something is wrong with it. Returns the model.';
SELECT crm.declare_function('crm.define_score_model', 'admin');

CREATE OR REPLACE FUNCTION crm.preview_score_model(definition jsonb, as_of timestamptz DEFAULT now())
RETURNS TABLE (lead_id bigint, score_now numeric, score_then numeric, threshold text, direction text)
LANGUAGE sql STABLE ROWS 10
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    WITH old AS (
        SELECT m.* FROM crm.score_models AS m
        WHERE m.tenant_id = crm.tenant_id() AND m.name = preview_score_model.definition ->> 'name'
    ), scored AS (
        SELECT l.id AS lead_id,
               CASE WHEN o.id IS NOT NULL
                    THEN (crm.points_score(o.definition, crm_internal.state_at(o, l.id, as_of), as_of)).score END AS score_now,
               crm.points_fit(preview_score_model.definition,
                   (SELECT crm.points_replay(preview_score_model.definition, e.kind, e.object, e.occurred_at, e.attributes ORDER BY e.id)
                    FROM crm.score_events AS e WHERE e.tenant_id = l.tenant_id AND e.lead_id = l.id AND e.occurred_at <= as_of),
                   coalesce(CASE WHEN o.active THEN u.attributes END,
                            (SELECT a.attributes FROM crm_internal.lead_attributes(l.tenant_id, ARRAY[l.id]) AS a)),
                   as_of, coalesce(s.inside, '{}')) AS r
        FROM crm.leads AS l
        LEFT JOIN crm.score_subjects AS u ON u.tenant_id = l.tenant_id AND u.lead_id = l.id
        LEFT JOIN old AS o ON true
        LEFT JOIN crm.lead_scores AS s ON s.tenant_id = l.tenant_id AND s.model_id = o.id AND s.lead_id = l.id
        WHERE l.tenant_id = crm.tenant_id() AND l.closed_at IS NULL
          AND crm_internal.fit_known(preview_score_model.definition, l, as_of) AND (o.id IS NULL OR crm_internal.fit_known(o.definition, l, as_of))
    )
    SELECT p.lead_id, p.score_now, (p.r).score, c.threshold, c.direction
    FROM scored AS p
    LEFT JOIN jsonb_to_recordset((p.r).crossings) AS c (threshold text, direction text) ON true
    WHERE c.threshold IS NOT NULL OR (p.r).score IS DISTINCT FROM p.score_now
    ORDER BY c.threshold NULLS LAST, (p.r).score DESC, p.lead_id
$$;
COMMENT ON FUNCTION crm.preview_score_model(jsonb, timestamptz) IS
'Effect of crm.define_score_model() with the same definition: open leads whose score changes, with the score now (NULL where there is no model of that '
'name, else by its rules of today) and then, and the thresholds they would cross (NULL: none). Of a past instant only leads that were not changed since. '
'Writes nothing.';
SELECT crm.declare_function('crm.preview_score_model', 'admin');

SELECT crm.declare_event('lead.threshold', 'The score of a lead rose or fell over a threshold of the model.',
    '{"model": {"type": "string"}, "threshold": {}, "direction": {"type": "string"}, "*": true}');
SELECT crm.declare_event('score.trouble', 'A rule could not be judged, or rows could not be scored.',
    '{"model": {"type": "string"}, "version": {"type": "integer"}, "rule": {"type": ["string", "null"]}, "sqlstate": {"type": "string"},
        "message": {"type": "string"}}');
