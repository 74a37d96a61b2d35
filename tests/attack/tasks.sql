-- long: 40 s
-- Every seeded task of maintenance is given three things that are due, of two companies, of which the first is bad: writing it
-- raises an error. The others are done, what failed is told, it is not tried at every pass, and done when it is mended.
-- The tasks are those of the catalogue: one that is added needs a line here.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1
SET client_min_messages = warning;
SELECT max(t.tenant_id) AS second FROM crm.tenants AS t \gset

-- function; which rows serve (tenant_id, id); what makes one of them due; the table of which writing fails, and its column; when a thing is done
CREATE TABLE attack.tasks (function_name text PRIMARY KEY, rows text NOT NULL, due text NOT NULL, relation regclass NOT NULL, col text NOT NULL, done text NOT NULL);
INSERT INTO attack.tasks VALUES
('crm.review_lifecycles', 'SELECT tenant_id, id FROM crm.contacts',
 'INSERT INTO crm.lifecycles (tenant_id, subject_table, subject_id, pipeline_id, stage_id, kind, review_at) SELECT $1, ''contacts'', $2, s.pipeline_id, s.id, s.code, $3 '
 'FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id WHERE s.tenant_id = $1 AND p.subject_table = ''lifecycles'' AND s.is_initial '
 'ON CONFLICT ON CONSTRAINT lifecycles_subject_id_key DO UPDATE SET review_at = excluded.review_at, reviewed_at = NULL',
 'crm.lifecycles', 'subject_id', 'SELECT reviewed_at IS NOT NULL FROM crm.lifecycles WHERE tenant_id = $1 AND subject_table = ''contacts'' AND subject_id = $2'),
('crm.recycle_due_leads', 'SELECT tenant_id, id FROM crm.leads WHERE closed_at IS NOT NULL AND merged_into_id IS NULL AND stage_id IN (SELECT s.id FROM crm.stages AS s WHERE s.type = ''cancelled'')',
 'UPDATE crm.leads SET recycle_at = $3 WHERE tenant_id = $1 AND id = $2', 'crm.leads', 'id', 'SELECT recycle_at IS NULL OR closed_at IS NULL FROM crm.leads WHERE tenant_id = $1 AND id = $2'),
('crm.send_due_surveys', 'SELECT tenant_id, id FROM crm.contacts',
 'INSERT INTO crm.survey_responses (tenant_id, id, survey_id, contact_id, scheduled_at) SELECT $1, 900000 + $2, s.id, $2, $3 FROM crm.surveys AS s WHERE s.tenant_id = $1 AND s.code = ''probe''',
 'crm.survey_responses', 'contact_id', 'SELECT coalesce(sent_at, cancelled_at) IS NOT NULL FROM crm.survey_responses WHERE tenant_id = $1 AND id = 900000 + $2'),
('crm.settle_erasures', 'SELECT tenant_id, id FROM crm.contacts',
 'INSERT INTO crm.person_requests (tenant_id, id, kind, subject_table, subject_id, reason, done_at, waits_for, waits_on_server) VALUES ($1, 900000 + $2, ''erase'', ''contacts'', $2, ''probe'', $3, ''3'', crm.server_number())',
 'crm.person_requests', 'subject_id', 'SELECT settled_at IS NOT NULL FROM crm.person_requests WHERE tenant_id = $1 AND id = 900000 + $2'),
('crm.apply_retention', 'SELECT tenant_id, id FROM crm.leads WHERE medium = ''probe_retention''',
 'WITH p AS (INSERT INTO crm.retention_policies (tenant_id, name, subject_table, condition, counted_from, kept_for, action, reason) '
 'VALUES ($1, ''probe'', ''leads'', ''$.medium == "probe_retention"'', ''closed_at'', ''1 day'', ''erase'', ''probe'') ON CONFLICT DO NOTHING) '
 'UPDATE crm.leads SET closed_at = $3 WHERE tenant_id = $1 AND id = $2',
 'crm.person_requests', 'subject_id', 'SELECT EXISTS (SELECT FROM crm.person_requests WHERE tenant_id = $1 AND subject_table = ''leads'' AND subject_id = $2)'),
('crm.send_reminders', 'SELECT tenant_id, id FROM crm.activities WHERE done_at IS NULL',
 'UPDATE crm.activities SET remind_at = $3, reminded_at = NULL WHERE tenant_id = $1 AND id = $2', 'crm.activities', 'id', 'SELECT reminded_at IS NOT NULL FROM crm.activities WHERE tenant_id = $1 AND id = $2'),
('crm.repeat_activities', 'SELECT tenant_id, id FROM crm.activities WHERE done_at IS NULL',
 'UPDATE crm.activities SET recurrence = ''FREQ=DAILY;COUNT=2'', recurrence_zone = ''UTC'', recurs_from = $3, recurs_at = $3, due_at = $3, recurred_at = NULL, series = id WHERE tenant_id = $1 AND id = $2',
 'crm.activities', 'id', 'SELECT recurred_at IS NOT NULL FROM crm.activities WHERE tenant_id = $1 AND id = $2'),
('crm.record_sla_breaches', 'SELECT tenant_id, subject_id FROM crm.sla_clocks WHERE metric = ''resolution'' AND subject_type = ''tickets'' AND subject_id % 2 = 1',
 'UPDATE crm.sla_clocks SET state = ''running'', breached_at = NULL, due_at = $3, stopped_at = NULL WHERE tenant_id = $1 AND subject_id = $2 AND metric = ''resolution'' AND subject_type = ''tickets''',
 'crm.sla_events', 'subject_id', 'SELECT EXISTS (SELECT FROM crm.sla_events WHERE tenant_id = $1 AND subject_id = $2 AND event = ''breached'' AND occurred_at < ''2021-01-01'')'),
('crm.run_hand_overs', 'SELECT tenant_id, id FROM crm.users WHERE active AND db_role IS NULL',
 'INSERT INTO crm.hand_over_records (tenant_id, from_user_id, to_user_id, starts_at, ends_at) SELECT $1, $2, (SELECT max(u.id) FROM crm.users AS u WHERE u.tenant_id = $1 AND u.active AND u.id <> $2), $3, now() + interval ''1 day''',
 'crm.hand_over_records', 'from_user_id', 'SELECT state <> ''planned'' FROM crm.hand_over_records WHERE tenant_id = $1 AND from_user_id = $2'),
('crm.advance_segments', 'SELECT tenant_id, id FROM crm.leads',
 'INSERT INTO crm.segment_states (tenant_id, segment_id, subject_id, member, next_at) SELECT $1, s.id, $2, true, $3 FROM crm.segments AS s WHERE s.tenant_id = $1 AND s.name = ''probe'' '
 'ON CONFLICT ON CONSTRAINT segment_states_pkey DO UPDATE SET next_at = excluded.next_at, member = NOT segment_states.member',
 'crm.segment_states', 'subject_id', 'SELECT NOT EXISTS (SELECT FROM crm.segment_states WHERE tenant_id = $1 AND subject_id = $2 AND next_at < ''2021-01-01'')'),
('crm.record_score_crossings', 'SELECT tenant_id, lead_id FROM crm.lead_scores WHERE lead_id % 2 = 0',
 'UPDATE crm.lead_scores SET next_crossing = $3 WHERE tenant_id = $1 AND lead_id = $2', 'crm.lead_scores', 'lead_id', 'SELECT bool_and(next_crossing IS NULL OR next_crossing > ''2021-01-01'') FROM crm.lead_scores WHERE tenant_id = $1 AND lead_id = $2'),
('crm.replay_stale_scores', 'SELECT tenant_id, lead_id FROM crm.lead_scores WHERE lead_id % 2 = 1',
 'WITH r AS (UPDATE crm.score_replays SET complete = false, through_lead_id = NULL WHERE tenant_id = $1) UPDATE crm.lead_scores SET version = -1 WHERE tenant_id = $1 AND lead_id = $2 AND $3 IS NOT NULL',
 'crm.lead_scores', 'lead_id', 'SELECT bool_and(version >= 0) FROM crm.lead_scores WHERE tenant_id = $1 AND lead_id = $2'),
('crm.route_waiting', 'SELECT tenant_id, id FROM crm.tickets WHERE merged_into_id IS NULL AND closed_at IS NULL AND queue_id IS NOT NULL',
 'UPDATE crm.tickets SET owner_id = NULL, created_at = $3 WHERE tenant_id = $1 AND id = $2', 'crm.assignments', 'subject_id', 'SELECT EXISTS (SELECT FROM crm.assignments WHERE tenant_id = $1 AND subject_table = ''tickets'' AND subject_id = $2 AND assigned_at >= $3)'),
('crm.escalate', 'SELECT tenant_id, subject_id FROM crm.sla_clocks WHERE metric = ''resolution'' AND subject_type = ''tickets'' AND escalate_at IS NOT NULL',
 'UPDATE crm.sla_clocks SET state = state WHERE tenant_id = $1 AND subject_id = $2 AND $3 IS NOT NULL',
 'crm.events', 'subject_id', 'SELECT EXISTS (SELECT FROM crm.escalation_firings WHERE tenant_id = $1 AND subject_id = $2 AND outcome <> ''failed'' OR outcome = ''failed'' AND now() > $3 AND (SELECT bad FROM attack.things AS t WHERE t.function_name = ''crm.escalate'' AND t.tenant_id = $1 AND t.id = $2))'),
('crm.forget_requests', 'SELECT tenant_id, id FROM crm.leads',
 'INSERT INTO crm.api_requests (tenant_id, caller, request_id, function_name, arguments_key, requested_at) VALUES ($1, ''probe'', $2::text, ''x'', ''x'', $3)',
 'crm.api_requests', 'request_id', 'SELECT NOT EXISTS (SELECT FROM crm.api_requests WHERE tenant_id = $1 AND request_id = $2::text AND caller = ''probe'')'),
('crm.forget_events', 'SELECT tenant_id, id FROM crm.leads',
 'WITH k AS (UPDATE crm.tenants SET events_kept = ''10 days'') INSERT INTO crm.events (tenant_id, id, kind, subject_id, created_at, scheduled_at) SELECT $1, 0 - $2, ''probe'', $2, $3, NULL',
 'crm.events', 'subject_id', 'SELECT NOT EXISTS (SELECT FROM crm.events WHERE tenant_id = $1 AND kind = ''probe'' AND subject_id = $2)'),
('crm.advance_campaigns', 'SELECT tenant_id, id FROM crm.campaigns WHERE name LIKE ''probe%''',
 'UPDATE crm.campaigns SET status = ''running'', started_at = $3, ends_on = $3::date, begins_on = $3::date WHERE tenant_id = $1 AND id = $2',
 'crm.campaigns', 'id', 'SELECT status = ''finished'' FROM crm.campaigns WHERE tenant_id = $1 AND id = $2'),
('crm.run_journeys', 'SELECT tenant_id, id FROM crm.contacts',
 'INSERT INTO crm.journey_members (tenant_id, journey_id, version_id, subject_table, subject_id, came_by, entered_at, place, arrived_at, due_at) '
 'SELECT $1, j.id, v.id, ''contacts'', $2, ''hand'', $3, 1, $3, $3 FROM crm.journeys AS j JOIN crm.journey_versions AS v ON v.tenant_id = j.tenant_id AND v.journey_id = j.id '
 'WHERE j.tenant_id = $1 AND j.name = ''probe''',
 'crm.journey_members', 'subject_id', 'SELECT left_because = ''probed'' FROM crm.journey_members WHERE tenant_id = $1 AND subject_id = $2'),
('crm.raise_dunning', 'SELECT tenant_id, invoice_id FROM crm.invoice_lines WHERE description = ''probe''',
 'UPDATE crm.invoices SET issued_on = $3::date, due_on = $3::date WHERE tenant_id = $1 AND id = $2', 'crm.dunnings', 'invoice_id',
 'SELECT EXISTS (SELECT FROM crm.dunnings WHERE tenant_id = $1 AND invoice_id = $2)'),
('crm.bill_subscriptions', 'SELECT tenant_id, subscription_id FROM crm.subscription_lines WHERE description = ''probe''',
 'UPDATE crm.subscriptions SET next_bill_on = $3::date WHERE tenant_id = $1 AND id = $2', 'crm.subscription_bills', 'subscription_id',
 'SELECT EXISTS (SELECT FROM crm.subscription_bills WHERE tenant_id = $1 AND subscription_id = $2)'),
('crm.open_renewals', 'SELECT tenant_id, subscription_id FROM crm.subscription_lines WHERE description = ''probe''',
 'UPDATE crm.subscriptions SET renewal_days = 700, next_bill_on = $3::date WHERE tenant_id = $1 AND id = $2', 'crm.subscription_renewals', 'subscription_id',
 'SELECT EXISTS (SELECT FROM crm.subscription_renewals WHERE tenant_id = $1 AND subscription_id = $2)'),
('crm.review_loyalty', 'SELECT tenant_id, account_id FROM crm.loyalty_members', 'UPDATE crm.loyalty_members SET review_at = $3 WHERE tenant_id = $1 AND account_id = $2',
 'crm.loyalty_members', 'account_id', 'SELECT review_at > ''2021-01-01'' FROM crm.loyalty_members WHERE tenant_id = $1 AND account_id = $2'),
('crm.fold_due_rollups', 'SELECT CASE WHEN row_number() OVER (ORDER BY id) < 3 THEN 1 ELSE 0 END, id FROM crm.rollup_sources',
 'UPDATE crm.rollup_sources SET folded_at = $3 WHERE id = $2 AND $1 IS NOT NULL', 'crm.rollup_sources', 'id', 'SELECT folded_at > ''2021-01-01'' FROM crm.rollup_sources WHERE id = $2 AND $1 IS NOT NULL');
SELECT attack.expect(count(*) = 0, 'every task is tried: ' || coalesce(string_agg(coalesce(m.function_name, t.function_name), ' '), '-'))
FROM crm.maintenance_tasks AS m FULL JOIN attack.tasks AS t USING (function_name)
WHERE (m.function_name IS NULL OR t.function_name IS NULL)
  -- works by column of any table, past triggers: tests/shell/sealed.sh tries it
  AND m.function_name IS DISTINCT FROM 'crm.reseal_due'
  -- makes and drops whole partitions, of no company: tests/sql/audit.sql tries it
  AND m.function_name IS DISTINCT FROM 'crm.keep_audit'
  -- whose things are written by nobody's hand: tests/attack/audit.sql tries it, with a bad company
  AND m.function_name IS DISTINCT FROM 'crm.seal_audit';

SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
SELECT (crm.define_segment('{"name": "probe", "subject_table": "leads", "age": {"column": "created_at", "from": "1 day"}}')).id AS n \gset
SELECT (crm.define_score_model('{"name": "probe", "thresholds": [{"name": "hot", "enter": 25, "leave": 20}], "rules": [{"name": "visit", "event": "visit", "points": 10, "decay": "half_life", "period": "30 days"}]}')).id AS n \gset
SELECT crm.define_journey('{"name": "probe", "steps": [{"do": "exit", "reason": "probed"}]}') IS NULL OR crm.publish_journey('probe') IS NULL AS n \gset
INSERT INTO crm.tickets (tenant_id, subject, owner_id) SELECT crm.tenant_id(), 'Late ' || n, (SELECT min(u.id) FROM crm.users AS u WHERE u.tenant_id = crm.tenant_id()) FROM generate_series(1, 2) AS n;
INSERT INTO crm.score_events (tenant_id, lead_id, kind, occurred_at) SELECT x.tenant_id, x.id, 'visit', now() FROM crm.leads AS x WHERE x.tenant_id = crm.tenant_id() ORDER BY x.id LIMIT 20;
SET crm.tenant = :'second';
SELECT (crm.define_segment('{"name": "probe", "subject_table": "leads", "age": {"column": "created_at", "from": "1 day"}}')).id AS n \gset
SELECT (crm.define_score_model('{"name": "probe", "thresholds": [{"name": "hot", "enter": 25, "leave": 20}], "rules": [{"name": "visit", "event": "visit", "points": 10, "decay": "half_life", "period": "30 days"}]}')).id AS n \gset
SELECT crm.define_journey('{"name": "probe", "steps": [{"do": "exit", "reason": "probed"}]}') IS NULL OR crm.publish_journey('probe') IS NULL AS n \gset
INSERT INTO crm.tickets (tenant_id, subject, owner_id) SELECT crm.tenant_id(), 'Late ' || n, (SELECT min(u.id) FROM crm.users AS u WHERE u.tenant_id = crm.tenant_id()) FROM generate_series(1, 2) AS n;
INSERT INTO crm.score_events (tenant_id, lead_id, kind, occurred_at) SELECT x.tenant_id, x.id, 'visit', now() FROM crm.leads AS x WHERE x.tenant_id = crm.tenant_id() ORDER BY x.id LIMIT 20;
RESET crm.tenant;
RESET SESSION AUTHORIZATION;
INSERT INTO crm.leads (tenant_id, name, medium) SELECT t.tenant_id, 'Probe Nobody ' || n, 'probe_retention' FROM crm.tenants AS t, generate_series(1, 2) AS n;
INSERT INTO crm.surveys (tenant_id, code, kind, question) SELECT t.tenant_id, 'probe', 'nps', '{"en": "How?"}' FROM crm.tenants AS t;
DELETE FROM crm.dunning_levels;
INSERT INTO crm.dunning_levels (tenant_id, level, name, days) SELECT t.tenant_id, 1, 'probe', 7 FROM crm.tenants AS t;
INSERT INTO crm.invoices (tenant_id, account_id, currency, issued_on)
SELECT t.tenant_id, (SELECT min(a.id) FROM crm.accounts AS a WHERE a.tenant_id = t.tenant_id), t.base_currency, current_date FROM crm.tenants AS t, generate_series(1, 2);
INSERT INTO crm.invoice_lines (tenant_id, invoice_id, description, unit_price) SELECT i.tenant_id, i.id, 'probe', 10 FROM crm.invoices AS i WHERE i.state = 'draft';
UPDATE crm.invoices AS i SET state = 'posted' FROM crm.invoice_lines AS l WHERE l.tenant_id = i.tenant_id AND l.invoice_id = i.id AND l.description = 'probe';
INSERT INTO crm.subscriptions (tenant_id, name, account_id, starts_on, ends_on)
SELECT t.tenant_id, 'probe', (SELECT min(a.id) FROM crm.accounts AS a WHERE a.tenant_id = t.tenant_id), current_date - 3, current_date + 400 FROM crm.tenants AS t, generate_series(1, 2);
INSERT INTO crm.subscription_lines (tenant_id, subscription_id, product_id, description, unit_price)
SELECT s.tenant_id, s.id, (SELECT min(p.id) FROM crm.products AS p WHERE p.tenant_id = s.tenant_id), 'probe', 10 FROM crm.subscriptions AS s WHERE s.name = 'probe';
INSERT INTO crm.campaigns (tenant_id, name) SELECT t.tenant_id, 'probe ' || n FROM crm.tenants AS t, generate_series(1, 2) AS n;
INSERT INTO crm.agents (tenant_id, user_id, capacity, status) SELECT u.tenant_id, u.id, 10000, 'available' FROM crm.users AS u ON CONFLICT (tenant_id, user_id) DO UPDATE SET capacity = 10000, status = 'available';

-- ---- three things each: the bad one is the oldest ----
CREATE TABLE attack.things (function_name text, tenant_id bigint, id bigint, bad boolean);
DO $$
DECLARE t attack.tasks; n integer;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR t IN SELECT * FROM attack.tasks LOOP
        EXECUTE format('INSERT INTO attack.things SELECT %L, r.tenant_id, r.id, r.tenant_id = 1 AND r.n = 1 FROM (SELECT x.*, row_number() OVER (PARTITION BY x.tenant_id ORDER BY x.id) AS n '
                       'FROM (SELECT DISTINCT * FROM (%s) AS y (tenant_id, id)) AS x) AS r WHERE r.n <= 2', t.function_name, t.rows);
    END LOOP;
    FOR t IN SELECT * FROM attack.tasks LOOP
        FOR n IN 1..4 LOOP
            EXECUTE t.due USING (SELECT tenant_id FROM attack.things WHERE function_name = t.function_name ORDER BY bad DESC, tenant_id, id OFFSET n - 1 LIMIT 1),
                                (SELECT id FROM attack.things WHERE function_name = t.function_name ORDER BY bad DESC, tenant_id, id OFFSET n - 1 LIMIT 1), timestamptz '2020-01-01' + n * interval '1 day';
        END LOOP;
    END LOOP;
END
$$;
SELECT attack.expect(count(*) FILTER (WHERE n < 3 OR bad <> 1) = 0, 'each has what it needs: ' || coalesce(string_agg(function_name || ' ' || n || ' ' || bad, ', ') FILTER (WHERE n < 3 OR bad <> 1), '-'))
FROM (SELECT t.function_name, count(x.id) AS n, count(*) FILTER (WHERE x.bad) AS bad FROM attack.tasks AS t LEFT JOIN attack.things AS x USING (function_name) GROUP BY 1) AS s;

CREATE FUNCTION attack.poison() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF current_setting('attack.running', true) = TG_ARGV[1]
       AND EXISTS (SELECT FROM attack.things AS x WHERE x.function_name = TG_ARGV[1] AND x.bad AND x.id::text = coalesce(to_jsonb(NEW), to_jsonb(OLD)) ->> TG_ARGV[0]
                   AND coalesce(to_jsonb(NEW), to_jsonb(OLD)) ->> 'tenant_id' IS NOT DISTINCT FROM CASE WHEN TG_RELID <> 'crm.rollup_sources'::regclass THEN x.tenant_id::text END) THEN
        RAISE EXCEPTION 'poisoned' USING ERRCODE = 'P0001';
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;
SELECT format('CREATE TRIGGER zz_poison_%s BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION attack.poison(%L, %L)', row_number() OVER (), t.relation, t.col, t.function_name)
FROM attack.tasks AS t \gexec

-- ---- a pass ----
GRANT ALL ON ALL TABLES IN SCHEMA attack TO attack_owner;
CREATE TABLE attack.said (round integer, function_name text, error text, waits boolean);
GRANT ALL ON attack.said TO attack_owner;
CREATE FUNCTION attack.pass(round integer, as_of timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t crm.maintenance_tasks; at timestamptz;
BEGIN
    -- what the others change of leads brings their scores up to date
    FOR t IN SELECT * FROM crm.maintenance_tasks ORDER BY function_name <> 'crm.replay_stale_scores', position LOOP
        -- this one goes by the clock
        at := CASE WHEN t.function_name = 'crm.fold_due_rollups' THEN now() ELSE as_of END;
        PERFORM set_config('attack.running', t.function_name, true);
        INSERT INTO attack.said SELECT round, t.function_name, r.error, r.more OR r.next_at IS NULL OR r.next_at > at FROM crm.run_maintenance(t.name, at) AS r;
    END LOOP;
END
$$;
CREATE FUNCTION attack.undone(bad boolean, since timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE x record; is_done boolean; found text := '';
BEGIN
    FOR x IN SELECT t.*, w.tenant_id, w.id FROM attack.tasks AS t JOIN attack.things AS w USING (function_name) WHERE w.bad = undone.bad ORDER BY 1, w.tenant_id, w.id LOOP
        EXECUTE 'WITH w AS (SELECT $3) ' || x.done INTO is_done USING x.tenant_id, x.id, since;
        IF is_done IS NOT TRUE THEN found := found || format(' %s %s/%s', x.function_name, x.tenant_id, x.id); END IF;
    END LOOP;
    RETURN found;
END
$$;
SET SESSION AUTHORIZATION attack_owner;
SELECT now() AS since \gset
SET client_min_messages = error;
SELECT attack.pass(1, now() + interval '30 days');
RESET client_min_messages;
RESET SESSION AUTHORIZATION;
SELECT attack.expect(attack.undone(false, :'since') = '', 'what is not bad is done:' || attack.undone(false, :'since'));
SELECT attack.expect(count(*) = 0, 'what failed is said by the task: ' || coalesce(string_agg(s.function_name || ' ' || coalesce(s.error, '-'), ', '), '-'))
FROM attack.said AS s WHERE s.round = 1 AND s.error !~ 'poisoned' IS NOT FALSE AND s.function_name NOT IN ('crm.escalate', 'crm.reseal_due', 'crm.keep_audit', 'crm.seal_audit');
SELECT attack.expect(count(*) = 0, 'and by crm.health(): ' || coalesce(string_agg(t.function_name, ' '), '-'))
FROM attack.tasks AS t WHERE NOT EXISTS (SELECT FROM crm.health() AS h WHERE h.finding = 'failed_work' AND h.subject = t.function_name AND h.detail ~ 'poisoned');
SELECT attack.expect(count(*) = 0, 'no task failed as a whole: ' || coalesce(string_agg(m.name || ' ' || m.last_error, ', '), '-')) FROM crm.maintenance_tasks AS m WHERE m.failures > 0;
SELECT attack.expect(bool_and(s.waits), 'nobody goes round in circles: ' || coalesce(string_agg(s.function_name, ' ') FILTER (WHERE NOT s.waits), '-')) FROM attack.said AS s;
SELECT attack.expect(count(*) = 0, 'one entry for what is bad, not for what is good: ' || coalesce(string_agg(f::text, E'\n'), '-'))
FROM crm_internal.failed_work AS f WHERE f.message <> 'poisoned' OR f.failures <> 1;

-- ---- mended ----
SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass) FROM pg_trigger AS t WHERE t.tgname LIKE 'zz\_poison%' \gexec
SET SESSION AUTHORIZATION attack_owner;
-- this one goes by the clock
UPDATE crm_internal.failed_work SET retry_at = '2020-01-01' WHERE function_name = 'crm.fold_due_rollups';
SELECT attack.pass(2, now() + interval '30 days 2 hours');
RESET SESSION AUTHORIZATION;
SELECT attack.expect(attack.undone(true, :'since') = '', 'what was mended is done:' || attack.undone(true, :'since'));
SELECT attack.expect(count(*) = 0, 'and forgotten: ' || coalesce(string_agg(f::text, E'\n'), '-')) FROM crm_internal.failed_work AS f;
