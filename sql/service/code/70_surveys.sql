-- Surveys: asked after events, answered by token.

CREATE OR REPLACE FUNCTION crm_internal.survey_responses_check() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    kind text;
BEGIN
    SELECT s.kind INTO kind FROM crm.surveys AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.survey_id;
    IF NEW.score < (CASE kind WHEN 'nps' THEN 0 ELSE 1 END)
       OR NEW.score > (CASE kind WHEN 'csat' THEN 5 WHEN 'nps' THEN 10 ELSE 7 END) THEN
        RAISE EXCEPTION 'score % is outside the scale of the survey', NEW.score
            USING ERRCODE = 'numeric_value_out_of_range',
                  DETAIL = format('A %s survey is answered by %s.', upper(kind),
                                  CASE kind WHEN 'csat' THEN '1 to 5' WHEN 'nps' THEN '0 to 10' ELSE '1 to 7' END);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.survey_responses_check() IS 'Holds scores to the scale of their survey.';
CREATE OR REPLACE TRIGGER survey_responses_before_check
    BEFORE INSERT OR UPDATE OF score ON crm.survey_responses
    FOR EACH ROW WHEN (NEW.score IS NOT NULL) EXECUTE FUNCTION crm_internal.survey_responses_check();

-- ---- what can call for a survey ----

CREATE OR REPLACE FUNCTION crm.survey_events()
RETURNS TABLE (event text, subject_table text, stage_types text[])
LANGUAGE sql STABLE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'ticket.resolved', 'tickets', '{done,won}'::text[]
    UNION ALL
    SELECT r.subject || '.' || v.type, r.subject, ARRAY[v.type]
    FROM crm.registered_as('process') AS r, (VALUES ('done'), ('won'), ('lost'), ('cancelled')) AS v (type)
    WHERE crm.column_exists(r.relation, 'contact_id') AND crm.column_exists(r.relation, 'tenant_id')
$$;
COMMENT ON FUNCTION crm.survey_events() IS
'Events that surveys can be sent on (crm.surveys.on_event): ticket.resolved, and for each table with a process and a contact the end of it, such as '
'opportunities.won: table and types of the stages that it stands for.';

CREATE OR REPLACE FUNCTION crm_internal.surveys_check() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT EXISTS (SELECT FROM crm.survey_events() AS e WHERE e.event = NEW.on_event) THEN
        RAISE EXCEPTION 'no event "%" sends a survey', NEW.on_event
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = (SELECT format('Known are: %s.', string_agg(e.event, ', ' ORDER BY e.event)) FROM crm.survey_events() AS e);
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.surveys_check() IS 'Refuses surveys on events that never happen.';
CREATE OR REPLACE TRIGGER surveys_before_check
    BEFORE INSERT OR UPDATE OF on_event ON crm.surveys
    FOR EACH ROW WHEN (NEW.on_event IS NOT NULL) EXECUTE FUNCTION crm_internal.surveys_check();

-- sends what is in the table: gives it a token and writes it into the outbox
CREATE OR REPLACE FUNCTION crm_internal.send_survey_response(tenant bigint, response bigint, at timestamptz)
RETURNS crm.survey_responses
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    token CONSTANT text := replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '');
    r crm.survey_responses;
    s crm.surveys;
BEGIN
    UPDATE crm.survey_responses AS x
    SET sent_at = at, token_hash = sha256(convert_to(token, 'UTF8')),
        expires_at = at + (SELECT y.expires_after FROM crm.surveys AS y WHERE y.tenant_id = tenant AND y.id = x.survey_id)
    WHERE x.tenant_id = tenant AND x.id = response
    RETURNING x.* INTO r;
    SELECT y.* INTO s FROM crm.surveys AS y WHERE y.tenant_id = tenant AND y.id = r.survey_id;
    INSERT INTO crm.events (tenant_id, kind, subject_table, subject_id, payload, dedupe_key)
    VALUES (tenant, 'survey.send', 'survey_responses', r.id,
            jsonb_build_object('survey', s.code, 'kind', s.kind, 'question', s.question, 'contact_id', r.contact_id,
                               'about_table', r.subject_table, 'about_id', r.subject_id, 'token', token,
                               'expires_at', r.expires_at),
            r.id::text);
    RETURN r;
END
$$;
COMMENT ON FUNCTION crm_internal.send_survey_response(bigint, bigint, timestamptz) IS
'Sends a survey that is waiting; the token is in the event only.';

CREATE OR REPLACE FUNCTION crm_internal.schedule_surveys(
    tenant bigint, event text, subject_table text, subject_id bigint, record jsonb, at timestamptz)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made record;
    contact CONSTANT bigint := (record ->> 'contact_id')::bigint;
BEGIN
    IF contact IS NULL THEN
        RETURN;
    END IF;
    FOR made IN
        INSERT INTO crm.survey_responses AS r (tenant_id, survey_id, subject_table, subject_id, contact_id, owner_id, team_id, scheduled_at)
        SELECT tenant, s.id, schedule_surveys.subject_table, schedule_surveys.subject_id, contact,
               (schedule_surveys.record ->> 'owner_id')::bigint, (schedule_surveys.record ->> 'team_id')::bigint, at + s.delay
        FROM crm.surveys AS s
        WHERE s.tenant_id = tenant AND s.active AND s.on_event = event
          AND crm.condition_holds(schedule_surveys.record, s.condition)
          -- in peace since it was asked; what is only planned is looked at when it is to be sent
          AND NOT EXISTS (SELECT FROM crm.survey_responses AS o
                          WHERE o.tenant_id = tenant AND o.survey_id = s.id AND o.contact_id = contact AND o.sent_at > at - s.rest_period)
          -- once for each subject, however often it is solved
          AND NOT EXISTS (SELECT FROM crm.survey_responses AS o
                          WHERE o.tenant_id = tenant AND o.survey_id = s.id AND o.cancelled_at IS NULL
                            AND o.subject_table = schedule_surveys.subject_table AND o.subject_id = schedule_surveys.subject_id)
        RETURNING r.id, r.scheduled_at
    LOOP
        IF made.scheduled_at <= greatest(at, now()) THEN
            PERFORM crm_internal.send_survey_response(tenant, made.id, now());
        ELSE
            PERFORM crm.wake_worker(made.scheduled_at);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.schedule_surveys(bigint, text, text, bigint, jsonb, timestamptz) IS
'Plans the surveys that an event calls for.';

CREATE OR REPLACE FUNCTION crm.send_survey(
    survey text, contact_id bigint, subject_table text DEFAULT NULL, subject_id bigint DEFAULT NULL)
RETURNS crm.survey_responses
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- security definer: the token goes to the customer through the outbox, which agents do not read
    t CONSTANT bigint := crm.tenant_id();
    s crm.surveys;
    made bigint;
    owner bigint;
    team bigint;
BEGIN
    PERFORM crm_internal.require('contacts', send_survey.contact_id, 'see');
    PERFORM crm_internal.require(send_survey.subject_table, send_survey.subject_id, 'see');
    SELECT y.* INTO s FROM crm.surveys AS y WHERE y.tenant_id = t AND y.code = survey AND y.active;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no active survey "%"', survey USING ERRCODE = 'undefined_object', HINT = 'crm.surveys lists them by code.';
    END IF;
    IF send_survey.subject_table IS NOT NULL AND crm.subject_relation(send_survey.subject_table) IS NULL THEN
        RAISE EXCEPTION 'there is no table "%" that a survey could be about', send_survey.subject_table
            USING ERRCODE = 'undefined_table', HINT = 'crm.registry lists tables by subject.';
    END IF;
    IF send_survey.subject_table = 'tickets' THEN
        SELECT k.owner_id, k.team_id INTO owner, team FROM crm.tickets AS k WHERE k.tenant_id = t AND k.id = send_survey.subject_id;
    END IF;
    INSERT INTO crm.survey_responses AS r (tenant_id, survey_id, subject_table, subject_id, contact_id, owner_id, team_id)
    VALUES (t, s.id, send_survey.subject_table, send_survey.subject_id, send_survey.contact_id, owner, team)
    RETURNING r.id INTO made;
    RETURN crm_internal.send_survey_response(t, made, now());
END
$$;
COMMENT ON FUNCTION crm.send_survey(text, bigint, text, bigint) IS
'Sends a survey to a contact at once, about a record or in general, and returns the row the answer will be written to. The event survey.send in the '
'outbox carries the token that answers it. Errors: 42704 for an unknown survey.';
SELECT crm.declare_function('crm.send_survey', 'agent');

-- Looked at when it is to be sent, for all that may have happened since it was planned.
CREATE OR REPLACE FUNCTION crm_internal.survey_not_sent(r crm.survey_responses, as_of timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    survey crm.surveys;
    about jsonb;
    stage_type text;
BEGIN
    SELECT s.* INTO survey FROM crm.surveys AS s WHERE s.tenant_id = r.tenant_id AND s.id = r.survey_id;
    IF NOT survey.active THEN
        RETURN 'off';
    END IF;
    IF EXISTS (SELECT FROM crm.survey_responses AS o
               WHERE o.tenant_id = r.tenant_id AND o.survey_id = r.survey_id AND o.contact_id = r.contact_id AND o.id <> r.id
                 AND o.sent_at > as_of - survey.rest_period) THEN
        RETURN 'rest';
    END IF;
    IF crm.subject_relation(r.subject_table) IS NOT NULL THEN
        EXECUTE format('SELECT to_jsonb(x.*) FROM %s AS x WHERE x.tenant_id = $1 AND x.id = $2', crm.subject_relation(r.subject_table))
            INTO about USING r.tenant_id, r.subject_id;
        IF about IS NULL THEN
            RETURN 'gone';
        END IF;
        SELECT s.type INTO stage_type FROM crm.stages AS s WHERE s.tenant_id = r.tenant_id AND s.id = (about ->> 'stage_id')::bigint;
        IF survey.on_event IS NOT NULL AND stage_type <> ALL (SELECT unnest(e.stage_types) FROM crm.survey_events() AS e WHERE e.event = survey.on_event) THEN
            RETURN CASE WHEN stage_type IN ('open', 'on_hold') THEN 'open again' ELSE 'gone' END;
        END IF;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.survey_not_sent(crm.survey_responses, timestamptz) IS
'Why a planned survey is not to be sent: off, rest, gone (deleted, merged), open again; NULL: it is.';

CREATE OR REPLACE FUNCTION crm_internal.send_surveys(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    due crm.survey_responses;
    why text;
    n bigint := 0;
BEGIN
    FOR due IN SELECT r.* FROM crm.survey_responses AS r WHERE r.tenant_id = tenant AND r.id = ANY (items::bigint[]) ORDER BY r.scheduled_at, r.id LOOP
        why := crm_internal.survey_not_sent(due, as_of);
        IF why IS NULL THEN
            PERFORM crm_internal.send_survey_response(due.tenant_id, due.id, as_of);
            n := n + 1;
        ELSE
            UPDATE crm.survey_responses AS r SET cancelled_at = as_of, cancelled_because = why WHERE r.tenant_id = due.tenant_id AND r.id = due.id;
        END IF;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.send_surveys(bigint, text[], timestamptz) IS
'Sends or cancels some surveys of a company that are due; returns how many were sent.';

CREATE OR REPLACE FUNCTION crm.send_due_surveys(as_of timestamptz DEFAULT now(), batch integer DEFAULT 1000)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.send_due_surveys',
        'crm.survey_responses AS x WHERE x.sent_at IS NULL AND x.cancelled_at IS NULL AND x.scheduled_at <= $1',
        'x.id', 'x.scheduled_at, x.id', 'UPDATE', 'crm_internal.send_surveys', as_of, batch)
$$;
COMMENT ON FUNCTION crm.send_due_surveys(timestamptz, integer) IS
'Sends planned surveys whose time has come, for all tenants, each once however many callers there are; a survey that is off, a record that is gone, merged '
'or open again, and a contact who is to be left in peace are not asked (cancelled_because). Returns how many were sent. A maintenance task; for the owner '
'of the CRM.';
SELECT crm.declare_function('crm.send_due_surveys', 'owner');

CREATE OR REPLACE FUNCTION crm.next_survey_at() RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.scheduled_at FROM crm.survey_responses AS r
    WHERE r.sent_at IS NULL AND r.cancelled_at IS NULL ORDER BY r.scheduled_at LIMIT 1
$$;
COMMENT ON FUNCTION crm.next_survey_at() IS 'When the next planned survey is to be sent; NULL where none is planned.';
SELECT crm.declare_function('crm.next_survey_at', 'owner');

CREATE OR REPLACE FUNCTION crm.answer_survey(token text, score integer, comment text DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS crm.survey_responses
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- security definer: whoever has the token may answer, and see nothing else
    t CONSTANT bigint := crm.tenant_id();
    r crm.survey_responses;
BEGIN
    PERFORM crm.because('answer_survey');
    SELECT x.* INTO r FROM crm.survey_responses AS x
    WHERE x.tenant_id = t AND x.token_hash = sha256(convert_to(coalesce(token, ''), 'UTF8'))
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this survey token is not known' USING ERRCODE = 'no_data_found';
    END IF;
    IF r.expires_at <= as_of THEN
        RAISE EXCEPTION 'this survey could be answered until %', r.expires_at USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF score IS NULL OR score NOT BETWEEN 0 AND 10 THEN
        RAISE EXCEPTION 'score % is outside the scale of the survey', coalesce(score::text, 'NULL') USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    UPDATE crm.survey_responses AS x
    SET score = answer_survey.score, comment = coalesce(answer_survey.comment, x.comment), answered_at = as_of
    WHERE x.tenant_id = t AND x.id = r.id
    RETURNING x.* INTO r;
    RETURN r;
END
$$;
COMMENT ON FUNCTION crm.answer_survey(text, integer, text, timestamptz) IS
'Writes down the answer of whoever has the token; until the survey expires the last answer counts. Returns the row. Errors: P0002 for an unknown '
'token, 55000 after expiry, 22003 for a score off the scale.';
SELECT crm.declare_function('crm.answer_survey', 'agent');

-- ---- ends of processes other than that of tickets ----

CREATE OR REPLACE FUNCTION crm_internal.follow_surveys() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    subject CONSTANT text := TG_ARGV[0];
    stage_type text;
BEGIN
    -- imported history is not asked about
    IF NEW.contact_id IS NULL OR coalesce(current_setting('crm.history_reason', true), '') <> ''
       OR NOT EXISTS (SELECT FROM crm.surveys AS s WHERE s.tenant_id = NEW.tenant_id AND s.active AND s.on_event LIKE subject || '.%') THEN
        RETURN NULL;
    END IF;
    SELECT s.type INTO stage_type FROM crm.stages AS s WHERE s.tenant_id = NEW.tenant_id AND s.id = NEW.stage_id;
    IF stage_type IN ('open', 'on_hold') THEN
        UPDATE crm.survey_responses AS r SET cancelled_at = now(), cancelled_because = 'open again'
        WHERE r.tenant_id = NEW.tenant_id AND r.subject_table = subject AND r.subject_id = NEW.id AND r.sent_at IS NULL AND r.cancelled_at IS NULL;
    ELSE
        PERFORM crm_internal.schedule_surveys(NEW.tenant_id, subject || '.' || stage_type, subject, NEW.id, to_jsonb(NEW), now());
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.follow_surveys() IS
'Row trigger of tables with a process and a contact, with the name they go by: surveys that the end of the process calls for.';

CREATE OR REPLACE FUNCTION crm_internal.apply_surveys(relation regclass)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.set_trigger(relation, '_after_survey',
        crm_internal.table_is(relation, 'process') AND crm.column_exists(relation, 'contact_id') AND crm.column_exists(relation, 'tenant_id'),
        'AFTER UPDATE', format('FOR EACH ROW WHEN (OLD.stage_id IS DISTINCT FROM NEW.stage_id) EXECUTE FUNCTION crm_internal.follow_surveys(%L)', r.subject))
    FROM crm.registry AS r WHERE r.relation = apply_surveys.relation
$$;
COMMENT ON FUNCTION crm_internal.apply_surveys(regclass) IS 'Surveys on the end of the process of a table.';
SELECT crm.declare_hook('table', 'crm_internal.apply_surveys(regclass)');

SELECT crm.declare_event('survey.send', 'A survey is to be sent to a contact: a notice, with the token of the answer until it is delivered.',
    '{"survey": {"type": "string"}, "kind": {"type": "string"}, "question": {}, "contact_id": {"type": ["integer", "null"]}, "*": true}');
