-- Lead scoring by points: keeping states with the ledger of events.

-- ---- a model and its rules as one definition ----

CREATE OR REPLACE FUNCTION crm_internal.score_definition(model crm.score_models)
RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'min', model.min_score, 'max', model.max_score, 'groups', model.group_caps, 'thresholds', model.thresholds,
        'fit_grades', to_jsonb(model.fit_grades), 'engagement_grades', to_jsonb(model.engagement_grades),
        'hysteresis', model.hysteresis,
        'rules', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'name', r.name, 'group', r.group_name, 'event', r.event_kind, 'when', r.condition, 'points', r.points,
                'cap', r.cap, 'decay', r.decay, 'period', extract(epoch FROM r.decay_period), 'share', r.decay_share,
                'repeat', CASE WHEN r.event_kind IS NOT NULL OR r.repeat_policy <> 'every' THEN r.repeat_policy END,
                'times', r.repeat_times, 'window', extract(epoch FROM r.repeat_window)) ORDER BY r.id)
            FROM crm.score_rules AS r
            WHERE r.tenant_id = model.tenant_id AND r.model_id = model.id AND r.active), '[]')))
$$;
COMMENT ON FUNCTION crm_internal.score_definition(crm.score_models) IS 'A score model and its active rules as crm.points_check takes it.';

CREATE OR REPLACE FUNCTION crm.keep_score_definition()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.definition := crm_internal.score_definition(NEW);
    PERFORM crm.points_check(NEW.definition);
    IF TG_OP = 'UPDATE' THEN
        -- states are not kept while a model is out of use
        NEW.version := OLD.version + (NEW.definition IS DISTINCT FROM OLD.definition OR NEW.active <> OLD.active)::integer;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.keep_score_definition() IS 'Trigger: checks a score model and keeps its definition and version.';
CREATE OR REPLACE TRIGGER score_models_before_definition BEFORE INSERT OR UPDATE ON crm.score_models
    FOR EACH ROW EXECUTE FUNCTION crm.keep_score_definition();
CREATE OR REPLACE FUNCTION crm.score_models_activity()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    m record;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        FOR m IN SELECT n.tenant_id, n.id, n.definition FROM new_models AS n JOIN old_models AS o USING (tenant_id, id)
                 WHERE n.active AND NOT o.active ORDER BY n.tenant_id, n.id LOOP
            -- nobody has looked at leads meanwhile: every one gets a state to be replayed
            PERFORM pg_advisory_xact_lock(crm_internal.scores_lock(m.tenant_id));
            INSERT INTO crm.score_subjects (tenant_id, lead_id)
            SELECT l.tenant_id, l.id FROM crm.leads AS l WHERE l.tenant_id = m.tenant_id ORDER BY l.id
            ON CONFLICT DO NOTHING;
            UPDATE crm.score_subjects AS u SET attributes = a.attributes
            FROM crm_internal.lead_attributes(m.tenant_id, ARRAY(SELECT l.id FROM crm.leads AS l WHERE l.tenant_id = m.tenant_id)) AS a
            WHERE u.tenant_id = m.tenant_id AND u.lead_id = a.lead_id AND u.attributes IS DISTINCT FROM a.attributes;
            INSERT INTO crm.lead_scores (tenant_id, model_id, lead_id, version, state, ceiling, rank_key)
            SELECT u.tenant_id, m.id, u.lead_id, -1, (crm.points_fit(m.definition, NULL, NULL, now())).state, 0, -1e300
            FROM crm.score_subjects AS u WHERE u.tenant_id = m.tenant_id
            ON CONFLICT DO NOTHING;
        END LOOP;
    END IF;
    -- and where no model is in use, what leads are is not kept
    UPDATE crm.score_subjects AS u SET attributes = NULL
    WHERE u.tenant_id IN (SELECT o.tenant_id FROM old_models AS o WHERE o.active) AND u.attributes IS NOT NULL
      AND NOT EXISTS (SELECT FROM crm.score_models AS x WHERE x.tenant_id = u.tenant_id AND x.active);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.score_models_activity() IS 'Trigger: leads are looked at again when a score model comes into use.';
CREATE OR REPLACE TRIGGER score_models_after_activity_update AFTER UPDATE ON crm.score_models
    REFERENCING OLD TABLE AS old_models NEW TABLE AS new_models FOR EACH STATEMENT EXECUTE FUNCTION crm.score_models_activity();
CREATE OR REPLACE TRIGGER score_models_after_activity_delete AFTER DELETE ON crm.score_models
    REFERENCING OLD TABLE AS old_models FOR EACH STATEMENT EXECUTE FUNCTION crm.score_models_activity();
CREATE OR REPLACE TRIGGER score_models_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.score_models
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();

CREATE OR REPLACE FUNCTION crm.score_rules_changed()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- the model's own trigger takes the new rules in
    IF TG_OP = 'INSERT' THEN
        UPDATE crm.score_models AS m SET version = m.version
        WHERE (m.tenant_id, m.id) IN (SELECT n.tenant_id, n.model_id FROM new_rules AS n);
    ELSIF TG_OP = 'DELETE' THEN
        UPDATE crm.score_models AS m SET version = m.version
        WHERE (m.tenant_id, m.id) IN (SELECT o.tenant_id, o.model_id FROM old_rules AS o);
    ELSE
        UPDATE crm.score_models AS m SET version = m.version
        WHERE (m.tenant_id, m.id) IN (SELECT n.tenant_id, n.model_id FROM new_rules AS n
                                      UNION SELECT o.tenant_id, o.model_id FROM old_rules AS o);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.score_rules_changed() IS 'Trigger: a changed rule makes a new version of its score model.';
CREATE OR REPLACE TRIGGER score_rules_after_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON crm.score_rules
    FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed();
CREATE OR REPLACE TRIGGER score_rules_after_insert AFTER INSERT ON crm.score_rules
    REFERENCING NEW TABLE AS new_rules FOR EACH STATEMENT EXECUTE FUNCTION crm.score_rules_changed();
CREATE OR REPLACE TRIGGER score_rules_after_update AFTER UPDATE ON crm.score_rules
    REFERENCING OLD TABLE AS old_rules NEW TABLE AS new_rules FOR EACH STATEMENT EXECUTE FUNCTION crm.score_rules_changed();
CREATE OR REPLACE TRIGGER score_rules_after_delete AFTER DELETE ON crm.score_rules
    REFERENCING OLD TABLE AS old_rules FOR EACH STATEMENT EXECUTE FUNCTION crm.score_rules_changed();

-- ---- who writes states, and when ----

-- Whoever writes states of a tenant holds this lock shared until the transaction ends, from before the models are
-- read. So whoever holds it alone knows that no state of older rules is on its way. Tenants share 256 locks: one
-- statement over all tenants must not fill the server's table of locks.
CREATE OR REPLACE FUNCTION crm_internal.scores_lock(tenant bigint)
RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT pg_catalog.hashtextextended('crm.scores', tenant % 256)
$$;
COMMENT ON FUNCTION crm_internal.scores_lock(bigint) IS 'Key of the advisory lock on the states of scores of a tenant, and of others with the same remainder by 256.';

CREATE OR REPLACE FUNCTION crm_internal.hold_scores(tenant bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(crm_internal.scores_lock(tenant));
    -- a snapshot from before the lock may show rules of yesterday: then the transaction cannot go on
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM FROM crm.score_models AS m WHERE m.tenant_id = tenant ORDER BY m.id FOR SHARE;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.hold_scores(bigint) IS
'To be called before score models are read in order to write states by them. 40001: the rules have changed since the snapshot of a REPEATABLE READ transaction.';

-- ---- what leads are ----

CREATE OR REPLACE VIEW crm_internal.lead_facts WITH (security_invoker = true) AS
-- without what changes by itself and what means nothing to a rule
SELECT l.tenant_id, l.id AS lead_id,
       crm.row_facts(l, '{tenant_id,version,updated_at,name_key,company_key,email_key,phone_key,shared_user_ids,shared_team_ids,source_system,source_id,stage_entered_at,last_capture_at,capture_count,consent,message}')
       -- looked up for each lead that has one: batch after batch would read all accounts in a join
       || CASE WHEN l.account_id IS NULL THEN '{}' ELSE coalesce((
              SELECT jsonb_build_object('account', crm.row_facts(x, '{tenant_id,version,updated_at,shared_user_ids,shared_team_ids}'))
              FROM crm.accounts AS x WHERE x.tenant_id = l.tenant_id AND x.id = l.account_id), '{}') END
       || CASE WHEN l.contact_id IS NULL THEN '{}' ELSE coalesce((
              SELECT jsonb_build_object('contact', crm.row_facts(x, '{tenant_id,version,updated_at,shared_user_ids,shared_team_ids}'))
              FROM crm.contacts AS x WHERE x.tenant_id = l.tenant_id AND x.id = l.contact_id), '{}') END AS attributes
FROM crm.leads AS l;
COMMENT ON VIEW crm_internal.lead_facts IS
'What fit rules see of leads: columns of the lead, its account under "account" and its contact under "contact".';

CREATE OR REPLACE FUNCTION crm_internal.lead_attributes(tenant bigint, leads bigint[])
RETURNS TABLE (lead_id bigint, attributes jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.lead_id, f.attributes FROM crm_internal.lead_facts AS f WHERE f.tenant_id = tenant AND f.lead_id = ANY (leads)
$$;
COMMENT ON FUNCTION crm_internal.lead_attributes(bigint, bigint[]) IS 'What fit rules see of some leads.';

-- ---- states ----

-- A rule that cannot be worked out counts as not met and stops nothing; it is told once for each version of
-- the model. Whoever finds the report being written by somebody else does not wait for it.
CREATE OR REPLACE FUNCTION crm_internal.failed_rules(tenant bigint, model bigint, version integer, lead bigint, rules text[])
RETURNS TABLE (tenant_id bigint, kind text, subject_table text, subject_id bigint, payload jsonb, dedupe_key text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule text;
    key text;
    model_name text;
BEGIN
    FOREACH rule IN ARRAY rules LOOP
        key := format('%s.%s.%s', model, version, rule);
        CONTINUE WHEN EXISTS (SELECT FROM crm.events AS e WHERE e.tenant_id = tenant AND e.kind = 'score.trouble' AND e.dedupe_key = key)
            OR NOT pg_try_advisory_xact_lock(hashtextextended('crm.score.trouble.' || tenant || '.' || key, 0));
        SELECT m.name INTO model_name FROM crm.score_models AS m WHERE m.tenant_id = tenant AND m.id = model;
        RAISE WARNING 'rule "%" of score model "%" could not be worked out for lead %', rule, model_name, lead
            USING HINT = 'It counts as not met. crm.check_score_rules() says how often.';
        RETURN QUERY SELECT tenant, 'score.trouble', 'leads', lead,
                            jsonb_build_object('model', model_name, 'version', version, 'rule', rule), key;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.failed_rules(bigint, bigint, integer, bigint, text[]) IS
'Events score.trouble to be written for rules that could not be worked out, without those written before.';

-- The caller has locked the leads' rows of score_subjects.  Each lead is looked up by its keys, and written through
-- the arbiter of the primary key: a join with the states could be planned while there were none, and then
-- read all of them for each lead.
CREATE OR REPLACE FUNCTION crm_internal.replay_scores(tenant bigint, model bigint, leads bigint[], at timestamptz)
RETURNS integer
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH replayed AS MATERIALIZED (
        SELECT u.lead_id, m.version,
               crm.points_fit(m.definition,
                              CASE WHEN u.last_event_id > 0 THEN
                                  (SELECT crm.points_replay(m.definition, e.kind, e.object, e.occurred_at, e.attributes ORDER BY e.id)
                                   FROM crm.score_events AS e
                                   WHERE e.tenant_id = tenant AND e.lead_id = u.lead_id AND e.id <= u.last_event_id) END,
                              u.attributes, greatest(at, nullif(u.last_event_at, '-infinity')), s.inside, s.state) AS r,
               CASE WHEN s.version = m.version AND (s.next_crossing IS NULL OR s.next_crossing > at) THEN s.state END AS state
        FROM crm.score_models AS m
        CROSS JOIN unnest(leads) AS d (lead_id)
        CROSS JOIN LATERAL (SELECT x.* FROM crm.score_subjects AS x
                            WHERE x.tenant_id = tenant AND x.lead_id = d.lead_id OFFSET 0) AS u
        LEFT JOIN LATERAL (SELECT x.version, x.state, x.inside, x.next_crossing FROM crm.lead_scores AS x
                           WHERE x.tenant_id = tenant AND x.lead_id = d.lead_id AND x.model_id = model OFFSET 0) AS s ON true
        WHERE m.tenant_id = tenant AND m.id = model
    ), crossed AS (
        INSERT INTO crm.score_crossings (tenant_id, model_id, lead_id, threshold, direction, crossed_at, score)
        SELECT tenant, model, p.lead_id, c.threshold, c.direction, c.at, c.score
        FROM replayed AS p, jsonb_to_recordset((p.r).crossings) AS c (threshold text, direction text, at timestamptz, score numeric)
        WHERE (p.r).crossings <> '[]'
    ), failing AS (
        INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key)
        SELECT x.* FROM replayed AS p, crm_internal.failed_rules(tenant, model, p.version, p.lead_id, (p.r).failed) AS x
        WHERE (p.r).failed IS NOT NULL
        ON CONFLICT DO NOTHING
    ), kept AS (
        INSERT INTO crm.lead_scores AS s (tenant_id, model_id, lead_id, version, state, ceiling, rank_key, next_crossing, inside)
        SELECT tenant, model, p.lead_id, p.version, (p.r).state, (p.r).ceiling, (p.r).rank_key, (p.r).next_crossing, (p.r).inside
        FROM replayed AS p
        -- a state that says the same stays: writing it anew would only move its clock
        WHERE p.state IS NULL OR NOT crm.points_same(p.state, (p.r).state)
        ON CONFLICT (tenant_id, lead_id, model_id) DO UPDATE
        SET version = excluded.version, state = excluded.state, ceiling = excluded.ceiling, rank_key = excluded.rank_key,
            next_crossing = excluded.next_crossing, inside = excluded.inside
    )
    SELECT count(*)::integer FROM replayed
$$;
COMMENT ON FUNCTION crm_internal.replay_scores(bigint, bigint, bigint[], timestamptz) IS
'States of some leads anew from their events; what they were inside of before stays, so that only a change is announced. Returns how many leads there were.';

CREATE OR REPLACE FUNCTION crm.check_score_event()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.occurred_at > now() THEN
        IF NEW.occurred_at > now() + interval '5 minutes' THEN
            RAISE EXCEPTION 'an event is dated ahead, at %', NEW.occurred_at
                USING ERRCODE = 'CR403', HINT = 'Record what has happened; clocks may differ by five minutes.';
        END IF;
        NEW.occurred_at := now();
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.check_score_event() IS 'Trigger: an event lies in the past.';
CREATE OR REPLACE TRIGGER score_events_before_check BEFORE INSERT OR UPDATE OF occurred_at ON crm.score_events
    FOR EACH ROW WHEN (NEW.occurred_at > now()) EXECUTE FUNCTION crm.check_score_event();

CREATE OR REPLACE FUNCTION crm.take_score_events()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    late record;
BEGIN
    PERFORM crm_internal.hold_scores(t.tenant_id) FROM (SELECT DISTINCT n.tenant_id FROM new_events AS n) AS t;
    -- the rows of leads are locked in one order, so that two loads cannot block each other for good
    INSERT INTO crm.score_subjects (tenant_id, lead_id)
    SELECT DISTINCT n.tenant_id, n.lead_id FROM new_events AS n
    WHERE NOT EXISTS (SELECT FROM crm.score_subjects AS u WHERE u.tenant_id = n.tenant_id AND u.lead_id = n.lead_id)
    ORDER BY n.tenant_id, n.lead_id
    ON CONFLICT DO NOTHING;
    PERFORM FROM crm.score_subjects AS u
    WHERE (u.tenant_id, u.lead_id) IN (SELECT n.tenant_id, n.lead_id FROM new_events AS n)
    ORDER BY u.tenant_id, u.lead_id
    FOR NO KEY UPDATE;

    -- a lead whose state is of the present version, and whose events come in the order of id: fold
    WITH batch AS MATERIALIZED (
        SELECT n.tenant_id, n.lead_id, min(n.id) AS first_id
        FROM new_events AS n GROUP BY n.tenant_id, n.lead_id
    ), folded AS MATERIALIZED (
        SELECT m.tenant_id, m.id AS model_id, u.lead_id, m.version,
               crm.points_fold(m.definition, s.state, n.kind, n.object, n.occurred_at, n.attributes ORDER BY n.id) AS r
        FROM batch AS b
        JOIN crm.score_subjects AS u ON u.tenant_id = b.tenant_id AND u.lead_id = b.lead_id
        JOIN crm.score_models AS m ON m.tenant_id = b.tenant_id AND m.active
        JOIN new_events AS n ON n.tenant_id = b.tenant_id AND n.lead_id = b.lead_id
        LEFT JOIN crm.lead_scores AS s ON s.tenant_id = b.tenant_id AND s.model_id = m.id AND s.lead_id = b.lead_id
        WHERE b.first_id > u.last_event_id
          AND (s.version = m.version OR s.version IS NULL AND u.last_event_id = 0 AND u.attributes IS NULL)
        GROUP BY m.tenant_id, m.id, u.lead_id, s.tenant_id, s.model_id, s.lead_id
    ), crossed AS (
        INSERT INTO crm.score_crossings (tenant_id, model_id, lead_id, threshold, direction, crossed_at, score)
        SELECT p.tenant_id, p.model_id, p.lead_id, c.threshold, c.direction, c.at, c.score
        FROM folded AS p, jsonb_to_recordset((p.r).crossings) AS c (threshold text, direction text, at timestamptz, score numeric)
        WHERE (p.r).crossings <> '[]'
    ), failing AS (
        INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key)
        SELECT x.* FROM folded AS p, crm_internal.failed_rules(p.tenant_id, p.model_id, p.version, p.lead_id, (p.r).failed) AS x
        WHERE (p.r).failed IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    INSERT INTO crm.lead_scores AS s (tenant_id, model_id, lead_id, version, state, ceiling, rank_key, next_crossing, inside)
    SELECT p.tenant_id, p.model_id, p.lead_id, p.version, (p.r).state, (p.r).ceiling, (p.r).rank_key, (p.r).next_crossing, (p.r).inside
    FROM folded AS p
    ON CONFLICT (tenant_id, lead_id, model_id) DO UPDATE
    SET version = excluded.version, state = excluded.state, ceiling = excluded.ceiling, rank_key = excluded.rank_key,
        next_crossing = excluded.next_crossing, inside = excluded.inside;

    -- the others are brought back from the ledger
    FOR late IN
        WITH batch AS MATERIALIZED (
            SELECT n.tenant_id, n.lead_id, min(n.id) AS first_id, max(n.id) AS last_id, max(n.occurred_at) AS last_at
            FROM new_events AS n GROUP BY n.tenant_id, n.lead_id
        ), before AS MATERIALIZED (
            SELECT u.tenant_id, u.lead_id, u.last_event_id, b.first_id
            FROM batch AS b JOIN crm.score_subjects AS u USING (tenant_id, lead_id)
        ), moved AS (
            UPDATE crm.score_subjects AS u
            SET last_event_id = greatest(u.last_event_id, b.last_id), last_event_at = greatest(u.last_event_at, b.last_at)
            FROM batch AS b WHERE u.tenant_id = b.tenant_id AND u.lead_id = b.lead_id
        )
        SELECT m.tenant_id, m.id, array_agg(b.lead_id ORDER BY b.lead_id) AS leads
        FROM before AS b
        JOIN crm.score_models AS m ON m.tenant_id = b.tenant_id AND m.active
        LEFT JOIN crm.lead_scores AS s ON s.tenant_id = b.tenant_id AND s.model_id = m.id AND s.lead_id = b.lead_id
        WHERE b.first_id <= b.last_event_id OR s.version IS DISTINCT FROM m.version
        GROUP BY m.tenant_id, m.id
    LOOP
        PERFORM crm_internal.replay_scores(late.tenant_id, late.id, late.leads, now());
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.take_score_events() IS 'Trigger: takes new events of leads into their scores.';
CREATE OR REPLACE TRIGGER score_events_after_insert AFTER INSERT ON crm.score_events
    REFERENCING NEW TABLE AS new_events FOR EACH STATEMENT EXECUTE FUNCTION crm.take_score_events();

CREATE OR REPLACE FUNCTION crm.correct_score_events()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tenants bigint[];
    leads bigint[];
    touched record;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM crm_internal.hold_scores(t.tenant_id) FROM (SELECT DISTINCT m.tenant_id FROM crm.score_models AS m) AS t;
        DELETE FROM crm.score_replays;
        UPDATE crm.score_subjects SET last_event_id = 0, last_event_at = '-infinity';
        UPDATE crm.lead_scores SET version = -1;
        RETURN NULL;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(d.tenant_id), array_agg(d.lead_id) INTO tenants, leads
        FROM (SELECT DISTINCT o.tenant_id, o.lead_id FROM old_events AS o) AS d;
    ELSE
        SELECT array_agg(d.tenant_id), array_agg(d.lead_id) INTO tenants, leads
        FROM (SELECT o.tenant_id, o.lead_id FROM old_events AS o
              UNION SELECT n.tenant_id, n.lead_id FROM new_events AS n) AS d;
    END IF;
    PERFORM crm_internal.hold_scores(t.id) FROM (SELECT DISTINCT t.id FROM unnest(tenants) AS t (id)) AS t;
    -- an event may have been given to a lead that had none
    INSERT INTO crm.score_subjects (tenant_id, lead_id)
    SELECT t.tenant_id, t.lead_id FROM unnest(tenants, leads) AS t (tenant_id, lead_id)
    WHERE EXISTS (SELECT FROM crm.leads AS l WHERE l.tenant_id = t.tenant_id AND l.id = t.lead_id)
    ORDER BY t.tenant_id, t.lead_id
    ON CONFLICT DO NOTHING;
    PERFORM FROM crm.score_subjects AS u
    WHERE (u.tenant_id, u.lead_id) IN (SELECT t.tenant_id, t.lead_id FROM unnest(tenants, leads) AS t (tenant_id, lead_id))
    ORDER BY u.tenant_id, u.lead_id FOR NO KEY UPDATE;
    UPDATE crm.score_subjects AS u
    SET last_event_id = coalesce(l.id, 0), last_event_at = coalesce(l.at, '-infinity')
    FROM (SELECT t.tenant_id, t.lead_id, max(e.id) AS id, max(e.occurred_at) AS at
          FROM unnest(tenants, leads) AS t (tenant_id, lead_id)
          LEFT JOIN crm.score_events AS e ON e.tenant_id = t.tenant_id AND e.lead_id = t.lead_id
          GROUP BY t.tenant_id, t.lead_id) AS l
    WHERE u.tenant_id = l.tenant_id AND u.lead_id = l.lead_id;
    FOR touched IN
        SELECT m.tenant_id, m.id, array_agg(t.lead_id) AS leads
        FROM unnest(tenants, leads) AS t (tenant_id, lead_id)
        JOIN crm.score_subjects AS u ON u.tenant_id = t.tenant_id AND u.lead_id = t.lead_id
        JOIN crm.score_models AS m ON m.tenant_id = t.tenant_id AND m.active
        GROUP BY m.tenant_id, m.id
    LOOP
        PERFORM crm_internal.replay_scores(touched.tenant_id, touched.id, touched.leads, now());
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.correct_score_events() IS 'Trigger: replays leads whose events were changed or deleted.';
CREATE OR REPLACE TRIGGER score_events_after_update AFTER UPDATE ON crm.score_events
    REFERENCING OLD TABLE AS old_events NEW TABLE AS new_events FOR EACH STATEMENT EXECUTE FUNCTION crm.correct_score_events();
CREATE OR REPLACE TRIGGER score_events_after_delete AFTER DELETE ON crm.score_events
    REFERENCING OLD TABLE AS old_events FOR EACH STATEMENT EXECUTE FUNCTION crm.correct_score_events();
CREATE OR REPLACE TRIGGER score_events_after_truncate AFTER TRUNCATE ON crm.score_events
    FOR EACH STATEMENT EXECUTE FUNCTION crm.correct_score_events();

CREATE OR REPLACE FUNCTION crm_internal.score_leads(tenant bigint, leads bigint[])
RETURNS integer
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
-- planning for each array anew costs more than the leads in it
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    changed bigint[];
    stale record;
BEGIN
    IF NOT EXISTS (SELECT FROM crm.score_models AS m WHERE m.tenant_id = tenant AND m.active) THEN
        RETURN 0;
    END IF;
    INSERT INTO crm.score_subjects (tenant_id, lead_id)
    SELECT tenant, l.id FROM unnest(leads) AS l (id) ORDER BY l.id
    ON CONFLICT DO NOTHING;
    PERFORM FROM crm.score_subjects AS u
    WHERE u.tenant_id = tenant AND u.lead_id = ANY (leads)
    ORDER BY u.lead_id FOR NO KEY UPDATE;
    WITH moved AS (
        INSERT INTO crm.score_subjects AS u (tenant_id, lead_id, attributes)
        SELECT tenant, d.id, f.attributes
        FROM unnest(leads) AS d (id)
        CROSS JOIN LATERAL (SELECT x.attributes FROM crm_internal.lead_facts AS x
                            WHERE x.tenant_id = tenant AND x.lead_id = d.id OFFSET 0) AS f
        CROSS JOIN LATERAL (SELECT x.attributes FROM crm.score_subjects AS x
                            WHERE x.tenant_id = tenant AND x.lead_id = d.id OFFSET 0) AS s
        WHERE NOT record_image_eq(ROW(s.attributes), ROW(f.attributes))
        ON CONFLICT (tenant_id, lead_id) DO UPDATE SET attributes = excluded.attributes
        RETURNING u.lead_id
    )
    SELECT array_agg(m.lead_id) INTO changed FROM moved AS m;
    IF changed IS NULL THEN
        RETURN 0;
    END IF;

    WITH fitted AS MATERIALIZED (
        SELECT m.id AS model_id, u.lead_id, m.version,
               crm.points_fit(m.definition, s.state, u.attributes, greatest(now(), nullif(u.last_event_at, '-infinity'))) AS r
        FROM unnest(changed) AS d (lead_id)
        JOIN crm.score_subjects AS u ON u.tenant_id = tenant AND u.lead_id = d.lead_id
        JOIN crm.score_models AS m ON m.tenant_id = tenant AND m.active
        LEFT JOIN crm.lead_scores AS s ON s.tenant_id = tenant AND s.model_id = m.id AND s.lead_id = u.lead_id
        WHERE s.version = m.version OR s.version IS NULL AND u.last_event_id = 0
    ), crossed AS (
        INSERT INTO crm.score_crossings (tenant_id, model_id, lead_id, threshold, direction, crossed_at, score)
        SELECT tenant, p.model_id, p.lead_id, c.threshold, c.direction, c.at, c.score
        FROM fitted AS p, jsonb_to_recordset((p.r).crossings) AS c (threshold text, direction text, at timestamptz, score numeric)
        WHERE (p.r).crossings <> '[]'
    ), failing AS (
        INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key)
        SELECT x.* FROM fitted AS p, crm_internal.failed_rules(tenant, p.model_id, p.version, p.lead_id, (p.r).failed) AS x
        WHERE (p.r).failed IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    INSERT INTO crm.lead_scores AS s (tenant_id, model_id, lead_id, version, state, ceiling, rank_key, next_crossing, inside)
    SELECT tenant, p.model_id, p.lead_id, p.version, (p.r).state, (p.r).ceiling, (p.r).rank_key, (p.r).next_crossing, (p.r).inside
    FROM fitted AS p
    ON CONFLICT (tenant_id, lead_id, model_id) DO UPDATE
    SET version = excluded.version, state = excluded.state, ceiling = excluded.ceiling, rank_key = excluded.rank_key,
        next_crossing = excluded.next_crossing, inside = excluded.inside;
    FOR stale IN
        SELECT m.id, array_agg(d.lead_id) AS leads
        FROM unnest(changed) AS d (lead_id)
        JOIN crm.score_models AS m ON m.tenant_id = tenant AND m.active
        LEFT JOIN crm.lead_scores AS s ON s.tenant_id = tenant AND s.model_id = m.id AND s.lead_id = d.lead_id
        WHERE s.version IS DISTINCT FROM m.version
        GROUP BY m.id
    LOOP
        PERFORM crm_internal.replay_scores(tenant, stale.id, stale.leads, now());
    END LOOP;
    RETURN cardinality(changed);
END
$$;
COMMENT ON FUNCTION crm_internal.score_leads(bigint, bigint[]) IS
'Fit of leads anew, in every active model, where what rules see of them has changed. Returns how many had changed.';

CREATE OR REPLACE FUNCTION crm.score_changed_leads()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched record;
BEGIN
    -- while there is no model, too: one may be on its way that does not know these rows
    PERFORM crm_internal.hold_scores(t.tenant_id) FROM (SELECT DISTINCT n.tenant_id FROM new_rows AS n) AS t;
    IF TG_TABLE_NAME = 'leads' THEN
        FOR touched IN
            SELECT n.tenant_id, array_agg(n.id ORDER BY n.id) AS leads FROM new_rows AS n
            WHERE EXISTS (SELECT FROM crm.score_models AS m WHERE m.tenant_id = n.tenant_id AND m.active)
            GROUP BY n.tenant_id
        LOOP
            PERFORM crm_internal.score_leads(touched.tenant_id, touched.leads);
        END LOOP;
    ELSIF TG_TABLE_NAME = 'accounts' THEN
        FOR touched IN
            SELECT l.tenant_id, array_agg(l.id ORDER BY l.id) AS leads
            FROM new_rows AS n JOIN crm.leads AS l ON l.tenant_id = n.tenant_id AND l.account_id = n.id
            WHERE EXISTS (SELECT FROM crm.score_models AS m WHERE m.tenant_id = n.tenant_id AND m.active)
            GROUP BY l.tenant_id
        LOOP
            PERFORM crm_internal.score_leads(touched.tenant_id, touched.leads);
        END LOOP;
    ELSE
        FOR touched IN
            SELECT l.tenant_id, array_agg(l.id ORDER BY l.id) AS leads
            FROM new_rows AS n JOIN crm.leads AS l ON l.tenant_id = n.tenant_id AND l.contact_id = n.id
            WHERE EXISTS (SELECT FROM crm.score_models AS m WHERE m.tenant_id = n.tenant_id AND m.active)
            GROUP BY l.tenant_id
        LOOP
            PERFORM crm_internal.score_leads(touched.tenant_id, touched.leads);
        END LOOP;
    END IF;
    RETURN NULL;
EXCEPTION
WHEN serialization_failure OR deadlock_detected OR lock_not_available THEN
    -- the same once more will do
    RAISE;
WHEN OTHERS THEN
    -- scoring is no reason to lose a lead
    RAISE WARNING 'leads were written but not scored: %', SQLERRM
        USING HINT = 'crm.verify_lead_scores() lists them, crm.replay_scores() brings them back.';
    INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload)
    SELECT n.tenant_id, 'score.trouble', TG_TABLE_NAME, n.id, jsonb_build_object('sqlstate', SQLSTATE, 'message', SQLERRM)
    FROM new_rows AS n ORDER BY n.tenant_id, n.id LIMIT 1;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm.score_changed_leads() IS 'Trigger: scores leads anew whose attributes, account or contact changed.';
CREATE OR REPLACE TRIGGER leads_after_insert_score AFTER INSERT ON crm.leads
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.score_changed_leads();
CREATE OR REPLACE TRIGGER leads_after_update_score AFTER UPDATE ON crm.leads
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.score_changed_leads();
CREATE OR REPLACE TRIGGER accounts_after_update_score AFTER UPDATE ON crm.accounts
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.score_changed_leads();
CREATE OR REPLACE TRIGGER contacts_after_update_score AFTER UPDATE ON crm.contacts
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.score_changed_leads();
