-- Lead scoring by points: keeping states with the ledger of events.

-- ---- a model and its rules as one definition ----

CREATE OR REPLACE FUNCTION crm_internal.score_definition(model crm.score_models)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
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
                WHERE r.tenant_id = model.tenant_id AND r.model_id = model.id AND r.active), '[]'))));
END
$$;
COMMENT ON FUNCTION crm_internal.score_definition(crm.score_models) IS 'A score model and its active rules as crm.points_check takes it.';

CREATE OR REPLACE FUNCTION crm.keep_score_definition()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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
#variable_conflict use_variable
DECLARE
    m record;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        FOR m IN SELECT n.tenant_id, n.id, n.definition FROM new_models AS n JOIN old_models AS o USING (tenant_id, id)
                 WHERE n.active AND NOT o.active ORDER BY n.tenant_id, n.id LOOP
            -- nobody has looked at leads meanwhile: every one gets a state to be replayed
            PERFORM crm.lock('scores', crm.scores_lock(m.tenant_id));
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

CREATE OR REPLACE FUNCTION crm.score_rules_changed()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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
CREATE OR REPLACE TRIGGER score_rules_after_insert AFTER INSERT ON crm.score_rules
    REFERENCING NEW TABLE AS new_rules FOR EACH STATEMENT EXECUTE FUNCTION crm.score_rules_changed();
CREATE OR REPLACE TRIGGER score_rules_after_update AFTER UPDATE ON crm.score_rules
    REFERENCING OLD TABLE AS old_rules NEW TABLE AS new_rules FOR EACH STATEMENT EXECUTE FUNCTION crm.score_rules_changed();
CREATE OR REPLACE TRIGGER score_rules_after_delete AFTER DELETE ON crm.score_rules
    REFERENCING OLD TABLE AS old_rules FOR EACH STATEMENT EXECUTE FUNCTION crm.score_rules_changed();

-- ---- who writes states, and when ----

CREATE OR REPLACE FUNCTION crm_internal.hold_scores(tenant bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.lock('scores', crm.scores_lock(tenant), shared => true);
    -- a snapshot from before the lock may show rules of yesterday: then the transaction cannot go on
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM FROM crm.score_models AS m WHERE m.tenant_id = tenant ORDER BY m.id FOR SHARE;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.hold_scores(bigint) IS
'To be called before score models are read in order to write states by them. 40001: the rules have changed since the snapshot of a REPEATABLE READ '
'transaction.';

-- ---- what leads are ----

CREATE OR REPLACE VIEW crm_internal.lead_facts WITH (security_invoker = true) AS
-- without what changes by itself and what means nothing to a rule
SELECT l.tenant_id, l.id AS lead_id,
       crm.row_facts(l.*, '{tenant_id,version,updated_at,name_key,company_key,email_key,phone_key,shared_user_ids,shared_team_ids,source_system,source_id,stage_entered_at,last_capture_at,capture_count,consent,message}')
       -- looked up for each lead that has one: batch after batch would read all accounts in a join
       || CASE WHEN l.account_id IS NULL THEN '{}' ELSE coalesce((
              SELECT jsonb_build_object('account', crm.row_facts(x.*, '{tenant_id,version,updated_at,shared_user_ids,shared_team_ids}'))
              FROM crm.accounts AS x WHERE x.tenant_id = l.tenant_id AND x.id = l.account_id), '{}') END
       || CASE WHEN l.contact_id IS NULL THEN '{}' ELSE coalesce((
              SELECT jsonb_build_object('contact', crm.row_facts(x.*, '{tenant_id,version,updated_at,shared_user_ids,shared_team_ids}'))
              FROM crm.contacts AS x WHERE x.tenant_id = l.tenant_id AND x.id = l.contact_id), '{}') END AS attributes
FROM crm.leads AS l;
COMMENT ON VIEW crm_internal.lead_facts IS
'Leads as fit rules see them: columns of the lead, its account under "account" and its contact under "contact".';

CREATE OR REPLACE FUNCTION crm_internal.lead_attributes(tenant bigint, leads bigint[])
RETURNS TABLE (lead_id bigint, attributes jsonb)
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.lead_id, f.attributes FROM crm_internal.lead_facts AS f WHERE f.tenant_id = tenant AND f.lead_id = ANY (leads)
$$;
COMMENT ON FUNCTION crm_internal.lead_attributes(bigint, bigint[]) IS 'Some leads as fit rules see them.';

-- ---- states ----

-- A rule that cannot be worked out counts as not met and stops nothing; it is reported once for each version of
-- the model. A session that finds another one writing the report does not wait for it.
CREATE OR REPLACE FUNCTION crm_internal.failed_rules(tenant bigint, model bigint, version integer, lead bigint, rules text[])
RETURNS TABLE (tenant_id bigint, kind text, subject_table text, subject_id bigint, payload jsonb, dedupe_key text)
LANGUAGE plpgsql VOLATILE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    rule text;
    key text;
    model_name text;
BEGIN
    FOREACH rule IN ARRAY rules LOOP
        key := format('%s.%s.%s', model, version, rule);
        CONTINUE WHEN EXISTS (SELECT FROM crm.events AS e WHERE e.tenant_id = tenant AND e.kind = 'score.trouble' AND e.dedupe_key = key)
            OR NOT crm.try_lock('score.trouble', tenant, key);
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

CREATE OR REPLACE FUNCTION crm.check_score_event()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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

CREATE OR REPLACE TRIGGER score_events_after_insert AFTER INSERT ON crm.score_events
    REFERENCING NEW TABLE AS new_events FOR EACH STATEMENT EXECUTE FUNCTION crm.take_score_events();

CREATE OR REPLACE FUNCTION crm.correct_score_events()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
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
    -- leads first, as everybody does
    PERFORM FROM crm.leads AS l JOIN crm.score_subjects AS u ON u.tenant_id = l.tenant_id AND u.lead_id = l.id
    WHERE (l.tenant_id, l.id) IN (SELECT t.tenant_id, t.lead_id FROM unnest(tenants, leads) AS t (tenant_id, lead_id))
    ORDER BY l.tenant_id, l.id FOR NO KEY UPDATE OF l, u;
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
        PERFORM crm.points_replay_leads(touched.tenant_id, touched.id, touched.leads, now());
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

CREATE OR REPLACE TRIGGER leads_after_insert_score AFTER INSERT ON crm.leads
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.score_changed_leads();
CREATE OR REPLACE TRIGGER leads_after_update_score AFTER UPDATE ON crm.leads
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.score_changed_leads();
CREATE OR REPLACE TRIGGER accounts_after_update_score AFTER UPDATE ON crm.accounts
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.score_changed_leads();
CREATE OR REPLACE TRIGGER contacts_after_update_score AFTER UPDATE ON crm.contacts
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION crm.score_changed_leads();
