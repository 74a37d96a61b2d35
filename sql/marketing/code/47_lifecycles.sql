-- Life cycles: the stages a company begins with, what rules see of a person, and who is in which stage by them. Moves by hand, conversions and merges stand
-- in 48_lifecycle_moves.sql.

CREATE OR REPLACE FUNCTION crm_internal.seed_lifecycles(tenant bigint)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    words CONSTANT jsonb := crm_internal.texts_of(tenant, 'seeds');
    made crm.pipelines;
BEGIN
    IF EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = tenant AND p.subject_table = 'lifecycles') THEN
        RETURN;
    END IF;
    made := crm.define_pipeline('lifecycle', jsonb_build_object(
        'name', words -> 'pipelines' ->> 'lifecycle', 'subject_table', 'lifecycles', 'is_default', true,
        'stages', (
            SELECT jsonb_agg(jsonb_build_object('code', s.code, 'name', words -> 'stages' -> 'lifecycle' ->> s.code, 'type', s.type,
                                                'is_initial', s.place = 1) ORDER BY s.place)
            FROM (VALUES (1, 'subscriber', 'open'), (2, 'lead', 'open'), (3, 'mql', 'open'), (4, 'sql', 'open'), (5, 'opportunity', 'open'),
                         (6, 'customer', 'won'), (7, 'evangelist', 'won')) AS s (place, code, type))), tenant);
    INSERT INTO crm.lifecycle_rules (tenant_id, stage_id, condition, falls_back)
    SELECT tenant, s.id, r.condition, r.falls_back
    FROM (VALUES ('subscriber', NULL::jsonpath, false), ('lead', '$.lead_stage != null', false),
                 ('mql', '$.score >= 50 || $.answers >= 2 || $.lead_stage == "working"', false),
                 ('sql', '$.lead_stage == "qualified" || $.converted == true', false), ('opportunity', '$.deals_open >= 1 || $.deals_lost >= 1', false),
                 ('customer', '$.deals_won >= 1 || $.orders >= 1', false),
                 ('evangelist', '($.deals_won >= 1 || $.orders >= 1) && $.nps >= 9', true)) AS r (code, condition, falls_back)
    JOIN crm.stages AS s ON s.tenant_id = tenant AND s.pipeline_id = made.id AND s.code = r.code;
END
$$;
COMMENT ON FUNCTION crm_internal.seed_lifecycles(bigint) IS
'Gives a company the life cycle of people with its seven stages, and rules that lead from one to the next, where it has none.';
SELECT crm.declare_hook('new_tenant', 'crm_internal.seed_lifecycles(bigint)');

-- ---- what is known of a person ----

-- once for a person, whatever the number of instants they are judged at
CREATE OR REPLACE FUNCTION crm_internal.lifecycle_bought(tenant bigint, contact bigint, account bigint)
RETURNS TABLE (deals text[], deals_from timestamptz[], deals_to timestamptz[], ordered timestamptz[], orders_from timestamptz[], orders_to timestamptz[])
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF contact IS NOT NULL THEN
        -- what names nobody is about the account, and so about its people
        SELECT array_agg(s.type), array_agg(lower(p.period)), array_agg(upper(p.period)) INTO deals, deals_from, deals_to
        FROM (SELECT o.id FROM crm.opportunities AS o WHERE o.tenant_id = tenant AND o.contact_id = contact
              UNION ALL
              SELECT o.id FROM crm.opportunities AS o WHERE o.tenant_id = tenant AND o.account_id = account AND o.contact_id IS NULL) AS o
        JOIN crm.stage_periods AS p ON p.tenant_id = tenant AND p.subject_table = 'opportunities' AND p.subject_id = o.id
        JOIN crm.stages AS s ON s.tenant_id = tenant AND s.id = p.stage_id;
        -- one that was cancelled later counted until then
        SELECT array_agg(o.ordered_at), array_agg(greatest(o.ordered_at, v.from_at)), array_agg(v.to_at) INTO ordered, orders_from, orders_to
        FROM (SELECT o.id, o.ordered_at, o.state FROM crm.orders AS o WHERE o.tenant_id = tenant AND o.contact_id = contact AND o.kind = 'sale'
              UNION ALL
              SELECT o.id, o.ordered_at, o.state FROM crm.orders AS o
              WHERE o.tenant_id = tenant AND o.account_id = account AND o.contact_id IS NULL AND o.kind = 'sale') AS o
        CROSS JOIN LATERAL (
            SELECT lag(x.until) OVER (ORDER BY x.until) AS from_at, nullif(x.until, 'infinity') AS to_at, x.state
            FROM (SELECT w.until, w.value #>> '{}' AS state FROM crm.past_values AS w
                  WHERE w.tenant_id = tenant AND w.table_name = 'orders' AND w.record_id = o.id AND w.column_name = 'state'
                  UNION ALL SELECT 'infinity', o.state) AS x) AS v
        WHERE v.state <> 'cancelled';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION crm_internal.lifecycle_bought(bigint, bigint, bigint) IS
'Of a contact (NULL: nothing): from when until when their deals stood in a stage of which type, and their orders, when they were placed, from when until when '
'they counted. Bounds in arrays, the upper one not in it, NULL without an end.';

CREATE OR REPLACE FUNCTION crm_internal.lifecycle_facts_at(tenant bigint, subject_table text, ids bigint[], ats timestamptz[], with_score boolean)
RETURNS TABLE (subject_id bigint, at timestamptz, facts jsonb)
LANGUAGE plpgsql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off        -- a look by keys for each person, also by plans from when the tables were small
AS $$
#variable_conflict use_variable
DECLARE
    model crm.score_models;
BEGIN
    IF with_score THEN
        SELECT m.* INTO model FROM crm.score_models AS m WHERE m.tenant_id = tenant AND m.active ORDER BY m.id LIMIT 1;
    END IF;
    RETURN QUERY
    SELECT u.id, u.at, jsonb_build_object('consent', agreed.channels, 'lead_stage', l.code, 'lead_stage_type', l.type,
        'converted', coalesce(u.at >= known.converted_at, false), 'captures', came.captures, 'answers', came.answers,
        'deals_open', b.open, 'deals_won', b.won, 'deals_lost', b.lost, 'orders', o.orders,
        'days_since_order', floor(extract(epoch FROM u.at - o.last_at) / 86400), 'nps', n.score,
        'days_known', floor(extract(epoch FROM u.at - known.since) / 86400))
        || CASE WHEN model.id IS NOT NULL THEN jsonb_build_object('score', sc.score) ELSE '{"score": null}' END
    FROM (SELECT p.id, p.ats, known.*, h.*
          FROM (SELECT x.id, array_agg(x.at) AS ats FROM unnest(ids, ats) AS x (id, at) GROUP BY x.id) AS p
          CROSS JOIN LATERAL (
        -- the contact, its account, and the leads that it was
        SELECT w.* FROM (
        SELECT k.id AS contact, NULL::bigint AS lead, k.account_id AS account, v.leads, v.converted_at, least(k.created_at, v.since) AS since
        FROM crm.contacts AS k
        CROSS JOIN LATERAL (
            SELECT coalesce(array_agg(c.lead_id ORDER BY c.lead_id), '{}') AS leads, min(c.converted_at) AS converted_at, min(x.created_at) AS since
            FROM crm.lead_conversions AS c JOIN crm.leads AS x ON x.tenant_id = c.tenant_id AND x.id = c.lead_id
            WHERE c.tenant_id = tenant AND c.contact_id = k.id) AS v
        WHERE subject_table = 'contacts' AND k.tenant_id = tenant AND k.id = p.id
        UNION ALL
        SELECT NULL, x.id, NULL, ARRAY[x.id], NULL, x.created_at FROM crm.leads AS x
        WHERE subject_table = 'leads' AND x.tenant_id = tenant AND x.id = p.id) AS w
        OFFSET 0    -- by keys, also where the planner takes the rows of a company for one
          ) AS known
          CROSS JOIN LATERAL crm_internal.lifecycle_bought(tenant, known.contact, known.account) AS h
          OFFSET 0) AS known      -- once for a person, not for each instant
    CROSS JOIN LATERAL (SELECT known.id, x.at FROM unnest(known.ats) AS x (at)) AS u
    CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(DISTINCT c.channel) FILTER (WHERE c.state = 'given'), '[]') AS channels
        FROM (SELECT DISTINCT ON (s.purpose, s.channel) s.channel, s.state
              FROM crm.consents AS s JOIN crm.message_purposes AS m ON m.tenant_id = s.tenant_id AND m.code = s.purpose AND m.needs_consent
              WHERE s.tenant_id = tenant AND s.subject_table = lifecycle_facts_at.subject_table AND s.subject_id = u.id AND s.stated_at <= u.at
              ORDER BY s.purpose, s.channel, s.stated_at DESC, s.state = 'withdrawn' DESC, s.id DESC) AS c
    ) AS agreed
    LEFT JOIN LATERAL (
        SELECT s.code, s.type FROM crm.stage_periods AS p JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id
        WHERE p.tenant_id = tenant AND p.subject_table = 'leads' AND p.subject_id = ANY (known.leads) AND p.period @> u.at
        ORDER BY lower(p.period) DESC, p.subject_id DESC LIMIT 1) AS l ON true
    CROSS JOIN LATERAL (
        SELECT (SELECT count(*) FROM crm.lead_captures AS x WHERE x.tenant_id = tenant AND x.lead_id = ANY (known.leads) AND x.captured_at <= u.at) AS captures,
               -- those of a lead are the contact's as well, once it is one
               (SELECT count(*) FROM crm.touches AS h
                WHERE h.tenant_id = tenant AND h.contact_id = known.contact AND h.engaging AND h.touched_at <= u.at
                  AND h.touched_at > u.at - interval '365 days' AND h.source_system IS DISTINCT FROM 'crm.lead_captures')
               + (SELECT count(*) FROM crm.touches AS h
                  WHERE h.tenant_id = tenant AND h.lead_id = known.lead AND h.engaging AND h.touched_at <= u.at
                    AND h.touched_at > u.at - interval '365 days' AND h.source_system IS DISTINCT FROM 'crm.lead_captures') AS answers
    ) AS came
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE d.type IN ('open', 'on_hold')) AS open, count(*) FILTER (WHERE d.type = 'won') AS won,
               count(*) FILTER (WHERE d.type = 'lost') AS lost
        FROM unnest(known.deals, known.deals_from, known.deals_to) AS d (type, from_at, to_at) WHERE d.from_at <= u.at AND (d.to_at IS NULL OR d.to_at > u.at)
    ) AS b
    CROSS JOIN LATERAL (
        SELECT count(*) AS orders, max(d.ordered) AS last_at FROM unnest(known.ordered, known.orders_from, known.orders_to) AS d (ordered, from_at, to_at)
        WHERE d.from_at <= u.at AND (d.to_at IS NULL OR d.to_at > u.at)
    ) AS o
    LEFT JOIN LATERAL (
        SELECT r.score FROM crm.survey_responses AS r JOIN crm.surveys AS v ON v.tenant_id = r.tenant_id AND v.id = r.survey_id AND v.kind = 'nps'
        WHERE r.tenant_id = tenant AND r.contact_id = known.contact AND r.answered_at <= u.at ORDER BY r.answered_at DESC, r.id DESC LIMIT 1) AS n ON true
    LEFT JOIN LATERAL (
        -- by the rules of that instant, of the company that is judged
        SELECT max((crm_internal.parts_at(crm_internal.rules_at(model, u.at), x, u.at)).score) AS score FROM crm.leads AS x
        WHERE model.id IS NOT NULL AND x.tenant_id = tenant AND x.id = ANY (known.leads)) AS sc ON true;
END
$$;
COMMENT ON FUNCTION crm_internal.lifecycle_facts_at(bigint, text, bigint[], timestamptz[], boolean) IS
'What rules of the life cycle see of people (all contacts or all leads) at an instant each, see crm.lifecycle_facts(); with_score: also their score.';

CREATE OR REPLACE FUNCTION crm.lifecycle_facts(subject_table text, subject_id bigint, as_of timestamptz DEFAULT now())
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: it follows from all records of the person
    PERFORM crm_internal.check_person(subject_table, subject_id);
    PERFORM crm_internal.require(subject_table, subject_id, 'see');
    RETURN (SELECT f.facts FROM crm_internal.lifecycle_facts_at(crm.tenant_id(), subject_table, ARRAY[subject_id], ARRAY[as_of], true) AS f);
END
$$;
COMMENT ON FUNCTION crm.lifecycle_facts(text, bigint, timestamptz) IS
'What rules of the life cycle see of a contact or lead at an instant: consent (channels by which they may be written to for some purpose that needs consent), '
'score (by points, of the first active model; null: none), lead_stage and lead_stage_type (null: never a lead), converted, captures, answers (what they did '
'themselves within 365 days: clicks, replies, visits, calls), deals_open, deals_won, deals_lost, orders, days_since_order (null: none), nps (their last '
'answer, 0 to 10), days_known. Deals and orders of their account that name nobody count for all its people. Errors: 22023, P0002 a person the caller '
'does not see.';
SELECT crm.declare_function('crm.lifecycle_facts', 'manager');

CREATE OR REPLACE FUNCTION crm_internal.check_person(subject_table text, subject_id bigint)
RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF subject_table IS NULL OR subject_id IS NULL OR subject_table NOT IN ('contacts', 'leads') THEN
        RAISE EXCEPTION 'a person is a contact or a lead' USING ERRCODE = 'invalid_parameter_value', HINT = 'Give ''contacts'' or ''leads'' and an id.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.check_person(text, bigint) IS 'Error 22023 where a table and id name no contact or lead.';

CREATE OR REPLACE FUNCTION crm_internal.check_lifecycle_rule()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known CONSTANT text[] := '{consent,score,lead_stage,lead_stage_type,converted,captures,answers,deals_open,deals_won,deals_lost,orders,days_since_order,nps,'
        'days_known}';
    wrong text;
BEGIN
    SELECT string_agg(DISTINCT '"' || m.key[1] || '"', ', ') INTO wrong
    FROM regexp_matches(NEW.condition::text, '[$@]\."([^"]*)"', 'g') AS m (key) WHERE m.key[1] <> ALL (known);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'rule of the life cycle asks for %, which is not known', wrong USING ERRCODE = 'CR403',
            HINT = 'Known are ' || array_to_string(known, ', ') || '.';
    END IF;
    IF NOT EXISTS (SELECT FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
                   WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id AND p.subject_table = 'lifecycles') THEN
        RAISE EXCEPTION 'stage % is not one of the life cycle', NEW.stage_id USING ERRCODE = 'CR107',
            HINT = 'Name a stage of a pipeline whose subject_table is lifecycles.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_lifecycle_rule() IS
'Row trigger of crm.lifecycle_rules: a rule asks for what is known of a person (CR403) and leads to a stage of the life cycle (CR107).';
CREATE OR REPLACE TRIGGER lifecycle_rules_before_check BEFORE INSERT OR UPDATE ON crm.lifecycle_rules
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_lifecycle_rule();

CREATE OR REPLACE FUNCTION crm_internal.lifecycle_rules_changed()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE crm.lifecycles AS l SET review_at = now()
    FROM (SELECT DISTINCT n.tenant_id FROM changed AS n) AS c WHERE l.tenant_id = c.tenant_id AND (l.review_at IS NULL OR l.review_at > now());
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.lifecycle_rules_changed() IS 'Statement trigger of crm.lifecycle_rules: by new rules everybody is reviewed.';
CREATE OR REPLACE TRIGGER lifecycle_rules_after_insert_review AFTER INSERT ON crm.lifecycle_rules
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.lifecycle_rules_changed();
CREATE OR REPLACE TRIGGER lifecycle_rules_after_update_review AFTER UPDATE ON crm.lifecycle_rules
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.lifecycle_rules_changed();
CREATE OR REPLACE TRIGGER lifecycle_rules_after_delete_review AFTER DELETE ON crm.lifecycle_rules
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.lifecycle_rules_changed();

-- ---- which stage follows ----

CREATE OR REPLACE FUNCTION crm_internal.lifecycle_config(tenant bigint, pipeline bigint)
RETURNS TABLE (stages bigint[], falling bigint[], with_score boolean, daily boolean, ruled bigint[], conditions jsonpath[])
LANGUAGE sql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(s.id ORDER BY s.position), coalesce(array_agg(s.id) FILTER (WHERE r.falls_back AND r.active), '{}'),
           coalesce(bool_or(r.active AND r.condition::text ~ '[$@]\."score"'), false),
           -- what changes with time alone
           coalesce(bool_or(r.active AND r.condition::text ~ '[$@]\."(score|answers|days_since_order|days_known)"'), false),
           array_agg(s.id ORDER BY s.position) FILTER (WHERE s.active AND r.active),
           array_agg(r.condition ORDER BY s.position) FILTER (WHERE s.active AND r.active)
    FROM crm.stages AS s LEFT JOIN crm.lifecycle_rules AS r ON r.tenant_id = s.tenant_id AND r.stage_id = s.id
    WHERE s.tenant_id = tenant AND s.pipeline_id = pipeline
$$;
COMMENT ON FUNCTION crm_internal.lifecycle_config(bigint, bigint) IS
'Stages of a life cycle in their order, those that people fall back from, whether a rule asks for scores, whether time alone may change what holds, and the '
'stages that have a rule, in their order, with the rules.';

CREATE OR REPLACE FUNCTION crm_internal.lifecycle_held(ruled bigint[], conditions jsonpath[], facts jsonb)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    held bigint[] := '{}';
BEGIN
    FOR i IN 1 .. coalesce(cardinality(ruled), 0) LOOP
        IF conditions[i] IS NULL OR crm.path_holds(facts, conditions[i]) THEN
            held := held || ruled[i];
        END IF;
    END LOOP;
    RETURN held;
END
$$;
COMMENT ON FUNCTION crm_internal.lifecycle_held(bigint[], jsonpath[], jsonb) IS
'Stages of a life cycle whose rules hold for a person, in their order; stages and rules as crm_internal.lifecycle_config() says.';

CREATE OR REPLACE FUNCTION crm_internal.lifecycle_next(stages bigint[], falling bigint[], held bigint[], current bigint)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    best CONSTANT bigint := coalesce(held[cardinality(held)], stages[1]);
BEGIN
    IF current IS NULL OR array_position(stages, best) > array_position(stages, current) OR current = ANY (falling) AND current <> ALL (held) THEN
        RETURN best;
    END IF;
    RETURN current;
END
$$;
COMMENT ON FUNCTION crm_internal.lifecycle_next(bigint[], bigint[], bigint[], bigint) IS
'Stage that follows for a person in the stage current (NULL: in none yet): the last one that holds where that is further, or where people fall back from '
'the present one and it no longer holds; else the present one.';

-- ---- people who are taken in, with their history ----

CREATE OR REPLACE FUNCTION crm_internal.lifecycle_instants(tenant bigint, subject_table text, ids bigint[], as_of timestamptz)
RETURNS TABLE (subject_id bigint, at timestamptz)
LANGUAGE plpgsql STABLE ROWS 5000
SET search_path = pg_catalog, pg_temp
SET jit = off
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
    SELECT v.id, v.at FROM (
        SELECT u.id, i.at, row_number() OVER (PARTITION BY u.id ORDER BY i.at DESC) AS back, row_number() OVER (PARTITION BY u.id ORDER BY i.at) AS n
        FROM unnest(ids) AS u (id)
        CROSS JOIN LATERAL (
            SELECT as_of AS at
            UNION SELECT x.created_at FROM crm.leads AS x WHERE subject_table = 'leads' AND x.tenant_id = tenant AND x.id = u.id
            UNION SELECT x.created_at FROM crm.contacts AS x WHERE subject_table = 'contacts' AND x.tenant_id = tenant AND x.id = u.id
            UNION SELECT x.stated_at FROM crm.consents AS x
            WHERE x.tenant_id = tenant AND x.subject_table = lifecycle_instants.subject_table AND x.subject_id = u.id
            UNION SELECT h.touched_at FROM crm.touches AS h
            WHERE subject_table = 'leads' AND h.tenant_id = tenant AND h.engaging AND h.lead_id = u.id
            UNION SELECT h.touched_at FROM crm.touches AS h
            WHERE subject_table = 'contacts' AND h.tenant_id = tenant AND h.engaging AND h.contact_id = u.id
            UNION SELECT v.at FROM (
                SELECT u.id AS lead WHERE subject_table = 'leads'
                UNION ALL SELECT c.lead_id FROM crm.lead_conversions AS c
                WHERE subject_table = 'contacts' AND c.tenant_id = tenant AND c.contact_id = u.id) AS w
            CROSS JOIN LATERAL (
                SELECT lower(p.period) AS at FROM crm.stage_periods AS p
                WHERE p.tenant_id = tenant AND p.subject_table = 'leads' AND p.subject_id = w.lead AND (p.moved OR p.seq = 1)
                UNION ALL SELECT x.captured_at FROM crm.lead_captures AS x WHERE x.tenant_id = tenant AND x.lead_id = w.lead) AS v
            UNION SELECT v.at FROM crm.contacts AS k
            CROSS JOIN LATERAL (
                SELECT lower(p.period) AS at
                FROM (SELECT o.id FROM crm.opportunities AS o WHERE o.tenant_id = tenant AND o.contact_id = k.id
                      UNION ALL SELECT o.id FROM crm.opportunities AS o
                      WHERE o.tenant_id = tenant AND o.account_id = k.account_id AND o.contact_id IS NULL OFFSET 0) AS o
                CROSS JOIN LATERAL (SELECT h.period FROM crm.stage_periods AS h
                                    WHERE h.tenant_id = tenant AND h.subject_table = 'opportunities' AND h.subject_id = o.id AND (h.moved OR h.seq = 1)
                                    OFFSET 0) AS p
                UNION ALL SELECT o.ordered_at FROM crm.orders AS o WHERE o.tenant_id = tenant AND o.contact_id = k.id AND o.kind = 'sale'
                UNION ALL SELECT o.ordered_at FROM crm.orders AS o
                WHERE o.tenant_id = tenant AND o.account_id = k.account_id AND o.contact_id IS NULL AND o.kind = 'sale'
                UNION ALL SELECT r.answered_at FROM crm.survey_responses AS r WHERE r.tenant_id = tenant AND r.contact_id = k.id) AS v
            WHERE subject_table = 'contacts' AND k.tenant_id = tenant AND k.id = u.id) AS i
        WHERE i.at <= as_of) AS v
    WHERE v.back <= 100 OR v.n = 1;
END
$$;
COMMENT ON FUNCTION crm_internal.lifecycle_instants(bigint, text, bigint[], timestamptz) IS
'Instants at which something happened that may have moved people (all contacts or all leads) on, up to as_of: the first and the last hundred of each.';

CREATE OR REPLACE FUNCTION crm_internal.begin_lifecycles(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    pipeline CONSTANT bigint := (SELECT p.id FROM crm.pipelines AS p
                                 WHERE p.tenant_id = tenant AND p.subject_table = 'lifecycles' AND p.is_default AND p.active);
    c record;
    people text;
    ids bigint[];
    r record;
    who bigint := NULL;
    stage bigint;
    next_stage bigint;
    step_ids bigint[] := '{}';
    step_stages bigint[] := '{}';
    step_ats timestamptz[] := '{}';
    n bigint := 0;
BEGIN
    SELECT x.* INTO c FROM crm_internal.lifecycle_config(tenant, pipeline) AS x;
    FOREACH people IN ARRAY '{leads,contacts}'::text[] LOOP
        ids := ARRAY(SELECT split_part(i, ' ', 2)::bigint FROM unnest(items) AS i WHERE split_part(i, ' ', 1) = people);
        CONTINUE WHEN ids = '{}' OR pipeline IS NULL;
        step_ids := '{}'; step_stages := '{}'; step_ats := '{}'; who := NULL;
        FOR r IN
            SELECT f.subject_id, f.at, crm_internal.lifecycle_held(c.ruled, c.conditions, f.facts) AS held
            FROM (SELECT array_agg(i.subject_id) AS ids, array_agg(i.at) AS ats FROM crm_internal.lifecycle_instants(tenant, people, ids, as_of) AS i) AS w
            CROSS JOIN LATERAL crm_internal.lifecycle_facts_at(tenant, people, w.ids, w.ats, c.with_score) AS f
            ORDER BY f.subject_id, f.at
        LOOP
            IF who IS DISTINCT FROM r.subject_id THEN
                who := r.subject_id;
                stage := NULL;
            END IF;
            next_stage := crm_internal.lifecycle_next(c.stages, c.falling, r.held, stage);
            IF next_stage IS DISTINCT FROM stage THEN
                stage := next_stage;
                step_ids := step_ids || r.subject_id;
                step_stages := step_stages || stage;
                step_ats := step_ats || r.at;
            END IF;
        END LOOP;
        WITH steps AS MATERIALIZED (
            SELECT s.*, row_number() OVER (PARTITION BY s.id ORDER BY s.at DESC) AS back FROM unnest(step_ids, step_stages, step_ats) AS s (id, stage, at)
        ), made AS (
            INSERT INTO crm.lifecycles AS l (tenant_id, subject_table, subject_id, pipeline_id, stage_id, entered_at, reviewed_at, review_at)
            SELECT tenant, people, s.id, pipeline, s.stage, s.at, as_of, CASE WHEN c.daily THEN as_of + interval '1 day' END
            FROM steps AS s WHERE s.back = 1
            ON CONFLICT DO NOTHING
            RETURNING l.id, l.subject_id)
        SELECT array_agg(m.id ORDER BY m.id, s.at) AS ids, array_agg(s.stage ORDER BY m.id, s.at) AS stages, array_agg(s.at ORDER BY m.id, s.at) AS ats,
               count(DISTINCT m.id) AS people INTO r
        FROM made AS m JOIN steps AS s ON s.id = m.subject_id;
        IF r.ids IS NOT NULL THEN
            PERFORM crm_internal.write_history(tenant, 'lifecycles', r.ids, r.stages, r.ats, NULL, NULL);
        END IF;
        n := n + r.people;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.begin_lifecycles(bigint, text[], timestamptz) IS
'Takes people of a company (items: leads 1, contacts 2) into the life cycle, each in the stage they have come to, with the stages that they came through '
'before, at the instants at which their rules began to hold. Returns how many.';

-- ---- reviews ----

CREATE OR REPLACE FUNCTION crm_internal.review_people(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    g record;
    c record;
    n bigint := 0;
    k bigint;
BEGIN
    FOR g IN SELECT l.pipeline_id, l.subject_table, array_agg(l.subject_id ORDER BY l.subject_id) AS ids
             FROM crm.lifecycles AS l WHERE l.tenant_id = tenant AND l.id = ANY (items::bigint[]) GROUP BY 1, 2 ORDER BY 1, 2 LOOP
        SELECT x.* INTO c FROM crm_internal.lifecycle_config(tenant, g.pipeline_id) AS x;
        UPDATE crm.lifecycles AS l
        SET stage_id = CASE WHEN l.pinned OR crm_internal.is_restricted(tenant, l.subject_table, l.subject_id, as_of) THEN l.stage_id
                            ELSE crm_internal.lifecycle_next(c.stages, c.falling, crm_internal.lifecycle_held(c.ruled, c.conditions, f.facts), l.stage_id) END,
            reviewed_at = as_of, review_at = CASE WHEN c.daily THEN as_of + interval '1 day' END
        FROM crm_internal.lifecycle_facts_at(tenant, g.subject_table, g.ids, array_fill(as_of, ARRAY[cardinality(g.ids)]), c.with_score) AS f
        WHERE l.tenant_id = tenant AND l.subject_table = g.subject_table AND l.subject_id = f.subject_id;
        GET DIAGNOSTICS k = ROW_COUNT;
        n := n + k;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.review_people(bigint, text[], timestamptz) IS
'Moves people of a company, by their numbers in crm.lifecycles, to the stages that the rules say at an instant. Returns how many were reviewed.';

CREATE OR REPLACE FUNCTION crm_internal.review_released(tenant bigint, people jsonb)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE crm.lifecycles AS l SET review_at = now() WHERE l.tenant_id = tenant AND l.subject_id = ANY (crm_internal.ids_in(people, l.subject_table))
$$;
COMMENT ON FUNCTION crm_internal.review_released(bigint, jsonb) IS 'People whose data may be used again are reviewed: what happened meanwhile moved nobody.';
SELECT crm.declare_hook('person_released', 'crm_internal.review_released(bigint, jsonb)');

CREATE OR REPLACE FUNCTION crm_internal.hear_lifecycles(as_of timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kinds CONSTANT text[] := '{lead.*,contact.*,opportunity.*,order.*,consent.*,survey.answered,touch.created}';
    was CONSTANT text := current_setting('crm.tenant', true);
    t record;
    heard bigint;
BEGIN
    -- one pass at a time reads: two would wait for each other
    IF NOT crm.try_lock('lifecycle_events', 0) THEN
        RETURN;
    END IF;
    FOR t IN SELECT n.tenant_id AS id, p.id IS NOT NULL AS wanted, s.id IS NOT NULL AS follows
             FROM crm.tenants AS n
             LEFT JOIN crm.pipelines AS p ON p.tenant_id = n.tenant_id AND p.subject_table = 'lifecycles' AND p.is_default AND p.active
             LEFT JOIN crm.event_subscriptions AS s ON s.tenant_id = n.tenant_id AND s.name = 'crm.lifecycles' AND s.active
             ORDER BY 1 LOOP
        PERFORM set_config('crm.tenant', t.id::text, true);
        IF NOT t.wanted THEN
            PERFORM crm.unsubscribe('crm.lifecycles') WHERE t.follows;
            CONTINUE;
        ELSIF NOT t.follows THEN
            -- from here on: what happened before shows in the review of whoever is taken in
            PERFORM crm.subscribe('crm.lifecycles', kinds, notify => false);
            CONTINUE;
        END IF;
        LOOP
            WITH told AS MATERIALIZED (
                SELECT e.subject_table, e.subject_id FROM crm.read_events('crm.lifecycles', 'crm.review_lifecycles', 1000) AS e
            ), people AS (
                SELECT DISTINCT w.people, v.id
                FROM (SELECT DISTINCT x.subject_table, x.subject_id FROM told AS x) AS x
                CROSS JOIN (VALUES ('contacts'), ('leads')) AS w (people)
                CROSS JOIN LATERAL unnest(crm_internal.event_people(t.id, x.subject_table, x.subject_id, w.people)) AS v (id)
            ), marked AS (
                UPDATE crm.lifecycles AS l SET review_at = as_of FROM people AS p
                WHERE l.tenant_id = t.id AND l.subject_table = p.people AND l.subject_id = p.id AND (l.review_at IS NULL OR l.review_at > as_of))
            SELECT count(*) INTO heard FROM told;
            EXIT WHEN heard = 0;
            PERFORM crm.acknowledge_events('crm.lifecycles', 'crm.review_lifecycles');
        END LOOP;
    END LOOP;
    PERFORM set_config('crm.tenant', coalesce(was, ''), true);
END
$$;
COMMENT ON FUNCTION crm_internal.hear_lifecycles(timestamptz) IS
'Reads what has happened to people of all companies since the last time: whoever it is about is to be reviewed.';

CREATE OR REPLACE FUNCTION crm.review_lifecycles(as_of timestamptz DEFAULT now(), batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    newcomers CONSTANT text := 'crm.%1$I AS x WHERE x.created_at <= $1%2$s'
        ' AND NOT EXISTS (SELECT FROM crm.lifecycles AS l WHERE l.tenant_id = x.tenant_id AND l.subject_table = %1$L AND l.subject_id = x.id)'
        ' AND EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = x.tenant_id AND p.subject_table = ''lifecycles'' AND p.is_default AND p.active)'
        -- it would be asked of everybody who is there, so not where nobody ever was restricted
        || CASE WHEN EXISTS (SELECT FROM crm.person_restrictions) THEN ' AND NOT crm_internal.is_restricted(x.tenant_id, %1$L, x.id, $1)' ELSE '' END;
    n bigint;
BEGIN
    PERFORM crm_internal.hear_lifecycles(as_of);
    -- who is there and not yet in; a lead that was converted or merged goes on as somebody else
    n := crm_internal.do_due('crm.review_lifecycles', format(newcomers, 'leads', ' AND x.converted_at IS NULL AND x.merged_into_id IS NULL'),
        '''leads '' || x.id', 'x.tenant_id, x.id', 'NO KEY UPDATE', 'crm_internal.begin_lifecycles', as_of, batch);
    n := n + crm_internal.do_due('crm.review_lifecycles', format(newcomers, 'contacts', ''),
        '''contacts '' || x.id', 'x.tenant_id, x.id', 'NO KEY UPDATE', 'crm_internal.begin_lifecycles', as_of, batch);
    RETURN n + crm_internal.do_due('crm.review_lifecycles',
        'crm.lifecycles AS x WHERE x.review_at <= $1'
        ' AND EXISTS (SELECT FROM crm.pipelines AS p WHERE p.tenant_id = x.tenant_id AND p.id = x.pipeline_id AND p.active)',
        'x.id', 'x.review_at, x.id', 'NO KEY UPDATE', 'crm_internal.review_people', as_of, batch);
END
$$;
COMMENT ON FUNCTION crm.review_lifecycles(timestamptz, integer) IS
'Reviews where people of all companies stand in the life cycle: whoever something happened to since the last time, by the events of leads, contacts, deals, '
'orders, consents, surveys and touches, and once a day those of companies whose rules ask for what time alone changes. Takes in who is new. At most batch of '
'each. Moves are events lifecycle.moved. Returns how many were reviewed. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.review_lifecycles', 'owner');
