-- Transitions and their conditions, approvals, bypass, every way of writing, and imported history.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
BEGIN;
SET LOCAL client_min_messages = warning;
CREATE ROLE regress_process_admin; CREATE ROLE regress_process_manager; CREATE ROLE regress_process_agent;
RESET client_min_messages;
SELECT t.tenant_id AS tenant FROM crm.create_tenant('Rules') AS t \gset
SELECT set_config('crm.tenant', :'tenant', true) = :'tenant' AS tenant;
INSERT INTO crm.users (id, name, access) VALUES (920001, 'Ada', 'admin'), (920002, 'Max', 'manager'), (920003, 'Ann', 'agent');
SELECT g.access FROM (VALUES ('regress_process_admin', 'admin', 920001), ('regress_process_manager', 'manager', 920002), ('regress_process_agent', 'agent', 920003)) AS v (r, l, u),
    LATERAL crm.grant_access(v.r::name, v.l, v.u) AS g ORDER BY v.u;
CREATE FUNCTION pg_temp.stage(code text) RETURNS bigint LANGUAGE sql AS $$
    SELECT s.id FROM crm.stages AS s WHERE s.tenant_id = crm.tenant_id() AND s.code = $1 ORDER BY s.pipeline_id LIMIT 1 $$;
-- what is wrong with the history of anything, in any respect
CREATE FUNCTION pg_temp.faults() RETURNS bigint LANGUAGE sql AS $$
    SELECT count(*)
    FROM (SELECT p.*, lag(p.period) OVER w AS before, lead(p.period) OVER w AS after, row_number() OVER w AS n
          FROM crm.stage_periods AS p WHERE p.tenant_id = crm.tenant_id()
          WINDOW w AS (PARTITION BY p.subject_table, p.subject_id ORDER BY p.seq)) AS q
    LEFT JOIN crm.opportunities AS o ON o.tenant_id = q.tenant_id AND o.id = q.subject_id
    WHERE q.subject_table = 'opportunities'
      AND (q.seq <> q.n OR q.before IS NOT NULL AND upper(q.before) IS DISTINCT FROM lower(q.period)
           OR q.after IS NULL AND (o.id IS NULL) = upper_inf(q.period)
           OR q.after IS NULL AND o.id IS NOT NULL AND (o.stage_id, o.amount, o.owner_id) IS DISTINCT FROM (q.stage_id, q.amount, q.owner_id)) $$;

INSERT INTO crm.custom_fields (table_name, name, type) VALUES ('opportunities', 'budget', 'boolean');

-- a strict pipeline: every kind of condition
SELECT p.code, p.strict_order FROM crm.define_pipeline('deals', $$ {
    "name": "Deals", "is_default": true, "strict_order": true,
    "stages": [
        {"code": "idea", "probability": 5, "is_initial": true},
        {"code": "offer", "probability": 40, "required_columns": ["amount", "lead_source", "custom.budget"]},
        {"code": "paused", "type": "on_hold", "probability": 30},
        {"code": "signed", "type": "won"},
        {"code": "dropped", "type": "lost"}],
    "transitions": [
        {"from": "idea", "to": "offer", "required_columns": ["expected_close_date"]},
        {"from": "offer", "to": "idea", "roles": ["manager", "admin"]},
        {"from": "offer", "to": "paused", "guard": "$.amount > 1000", "guard_message": "only deals above 1000 are worth keeping"},
        {"from": "paused", "to": "offer", "guard": "$ ? (@.custom.budget == true)"},
        {"from": "offer", "to": "signed", "approval_access": "manager"},
        {"to": "dropped"}]} $$) AS p;
INSERT INTO crm.opportunities (id, name) SELECT i, 'Deal ' || i FROM generate_series(920001, 920010) AS i;
SELECT stage_code, allowed, missing_columns, approval, reason FROM crm.allowed_moves(920001);

SELECT crm.move_opportunity(920001, 'signed');
\echo :LAST_ERROR_SQLSTATE
-- all that is missing at once, of the stage and of the way into it
SELECT crm.move_opportunity(920001, 'offer');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.move_opportunity(920001, 'offer', '{"amount": 500, "lead_source": "  ", "custom": {"budget": null}, "expected_close_date": "2030-01-01"}');
\echo :LAST_ERROR_SQLSTATE
SELECT o.probability, o.amount::int, o.custom FROM crm.move_opportunity(920001, 'offer',
    '{"amount": 500, "lead_source": "fair", "custom": {"budget": true}, "expected_close_date": "2030-01-01"}') AS o;
-- what the stage requires holds on every write in it
UPDATE crm.opportunities SET lead_source = NULL WHERE id = 920001;
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.opportunities SET expected_close_date = NULL WHERE id = 920001 RETURNING expected_close_date;
-- conditions
SELECT crm.move_opportunity(920001, 'paused');
\echo :LAST_ERROR_SQLSTATE
SELECT o.probability FROM crm.move_opportunity(920001, 'paused', '{"amount": 5000}') AS o;
UPDATE crm.opportunities SET custom = '{"budget": false}' WHERE id = 920001;
SELECT crm.move_opportunity(920001, 'offer');
\echo :LAST_ERROR_SQLSTATE
SELECT o.probability FROM crm.move_opportunity(920001, 'offer', '{"custom": {"budget": true}}') AS o;

-- access levels
GRANT SELECT ON crm.opportunities TO regress_process_agent;
SET LOCAL ROLE regress_process_agent;
SELECT crm.user_id(), crm.user_access();
SELECT crm.move_opportunity(920001, 'idea');
\echo :LAST_ERROR_SQLSTATE
SELECT stage_code, allowed, missing_columns, approval, approval_access, reason FROM crm.allowed_moves(920001);
-- approvals: asked for by one, decided by another, used once
SELECT crm.move_opportunity(920001, 'signed');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.request_approval('opportunities', 920001, 'idea');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.request_approval('opportunities', 920001, 'nowhere');
\echo :LAST_ERROR_SQLSTATE
SELECT a.state, a.requested_by, a.decided_by FROM crm.request_approval('opportunities', 920001, 'signed', 'good customer') AS a;
SELECT crm.request_approval('opportunities', 920001, 'signed');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.move_opportunity(920001, 'signed');
\echo :LAST_ERROR_SQLSTATE
DO $$
BEGIN
    PERFORM crm.decide_approval((SELECT max(a.id) FROM crm.approvals AS a), true);
EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+', 'N');
END $$;
-- nor by the back door
DO $$
BEGIN
    UPDATE crm.approvals SET used_at = '2000-01-01', requested_by = 920002;
EXCEPTION WHEN insufficient_privilege THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+', 'N');
END $$;
INSERT INTO crm.approvals AS a (subject_table, subject_id, to_stage_id, state, requested_by, decided_by)
VALUES ('opportunities', 920002, pg_temp.stage('signed'), 'approved', 920003, 920002) RETURNING a.state, a.requested_by, a.decided_by;
RESET ROLE;
SET LOCAL ROLE regress_process_manager;
SELECT a.state, a.requested_by, a.decided_by FROM crm.decide_approval((SELECT min(a.id) FROM crm.approvals AS a), true, 'go') AS a;
DO $$
BEGIN
    PERFORM crm.decide_approval((SELECT min(a.id) FROM crm.approvals AS a), false);
EXCEPTION WHEN object_not_in_prerequisite_state THEN RAISE NOTICE '%', regexp_replace(SQLERRM, '\d+', 'N');
END $$;
RESET ROLE;
SET LOCAL ROLE regress_process_agent;
SELECT o.probability FROM crm.move_opportunity(920001, 'signed') AS o;
SELECT a.state, a.used_at IS NOT NULL AS used FROM crm.approvals AS a WHERE a.subject_id = 920001;
-- history is for reading
UPDATE crm.stage_periods SET amount = 1;
\echo :LAST_ERROR_SQLSTATE
SELECT p.seq, p.moved, p.changed_by, p.bypassed FROM crm.stage_periods AS p WHERE p.subject_id = 920001 ORDER BY p.seq;
SELECT crm.bypass_guards('because');
\echo :LAST_ERROR_SQLSTATE
SET LOCAL crm.bypass_reason = 'because';
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

-- the way round: for administrators, with a reason, recorded; never round the data
SET LOCAL ROLE regress_process_admin;
SELECT crm.bypass_guards('  ');
\echo :LAST_ERROR_SQLSTATE
SAVEPOINT s;
SELECT crm.bypass_guards('imported by mistake');
SELECT o.probability FROM crm.move_opportunity(920002, 'offer') AS o;
UPDATE crm.opportunities SET amount = 'NaN' WHERE id = 920002;
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.opportunities SET stage_id = pg_temp.stage('won') WHERE id = 920002;
\echo :LAST_ERROR_SQLSTATE
SELECT p.seq, p.bypassed, p.bypass_reason FROM crm.stage_periods AS p WHERE p.subject_id = 920002 ORDER BY p.seq;
ROLLBACK TO s;
SELECT crm.move_opportunity(920002, 'offer');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

-- several rows, one of them bad: none moves
UPDATE crm.opportunities SET stage_id = pg_temp.stage('dropped'), loss_reason = CASE WHEN id <> 920007 THEN 'price' END
WHERE id BETWEEN 920003 AND 920010;
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) AS dropped FROM crm.opportunities WHERE stage_id = pg_temp.stage('dropped');
UPDATE crm.opportunities SET stage_id = pg_temp.stage('dropped'), loss_reason = 'price' WHERE id BETWEEN 920003 AND 920005;
SELECT p.subject_id, p.seq, p.stage_id = pg_temp.stage('dropped') AS dropped FROM crm.stage_periods AS p WHERE p.subject_id BETWEEN 920003 AND 920005 ORDER BY 1, 2;

-- COPY, MERGE, ON CONFLICT
COPY crm.opportunities (id, name, amount) FROM stdin;
920021	Copied	10
920022	Copied too	20
\.
COPY crm.opportunities (id, name, amount) FROM stdin;
920023	Bad	NaN
\.
MERGE INTO crm.opportunities AS o
USING (VALUES (920021, 11), (920022, NULL), (920024, 40)) AS v (id, amount) ON o.tenant_id = crm.tenant_id() AND o.id = v.id
WHEN MATCHED AND v.amount IS NULL THEN DELETE
WHEN MATCHED THEN UPDATE SET amount = v.amount
WHEN NOT MATCHED THEN INSERT (id, name, amount) VALUES (v.id, 'Merged', v.amount);
INSERT INTO crm.opportunities AS o (id, name, amount) VALUES (920021, 'x', 12), (920025, 'x', 50)
ON CONFLICT (tenant_id, id) DO UPDATE SET amount = excluded.amount;
SELECT p.subject_id, p.seq, p.amount::int, p.moved, upper_inf(p.period) AS open FROM crm.stage_periods AS p WHERE p.subject_id BETWEEN 920021 AND 920025 ORDER BY 1, 2;

-- savepoints, also with a statement nested in a trigger that fails and is caught
SAVEPOINT s;
UPDATE crm.opportunities SET amount = 99 WHERE id = 920021;
ROLLBACK TO s;
SELECT max(p.seq) AS seq, max(p.amount)::int AS amount FROM crm.stage_periods AS p WHERE p.subject_id = 920021;
CREATE FUNCTION pg_temp.nested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- writes what the outer statement noted, then is undone
    BEGIN
        UPDATE crm.opportunities SET amount = amount + 1 WHERE id = NEW.id AND amount < 1000;
        RAISE EXCEPTION 'undone' USING ERRCODE = 'XX999';
    EXCEPTION WHEN SQLSTATE 'XX999' THEN NULL;
    END;
    -- and this stays
    UPDATE crm.opportunities SET amount = 1000 WHERE id = NEW.id AND amount < 1000;
    RETURN NULL;
END $$;
CREATE TRIGGER zz_nested AFTER UPDATE ON crm.opportunities FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION pg_temp.nested();
UPDATE crm.opportunities SET amount = amount + 5 WHERE id IN (920021, 920024, 920025);
SELECT p.subject_id, p.seq, p.amount::int, upper_inf(p.period) AS open FROM crm.stage_periods AS p WHERE p.subject_id BETWEEN 920021 AND 920025 ORDER BY 1, 2;
DROP TRIGGER zz_nested ON crm.opportunities;
SELECT pg_temp.faults() AS faults;

-- the configuration is seen at once, and its undoing too
SAVEPOINT s;
UPDATE crm.pipelines SET strict_order = false WHERE tenant_id = crm.tenant_id() AND code = 'deals';
SELECT o.probability FROM crm.move_opportunity(920024, 'paused') AS o;
ROLLBACK TO s;
SELECT crm.move_opportunity(920024, 'paused');
\echo :LAST_ERROR_SQLSTATE

-- definitions that cannot be
SELECT crm.define_pipeline('p', '[]');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.define_pipeline('p', '{}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.define_pipeline('p', '{"colour": 1, "stages": [{"code": "a", "probabilty": 5}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.define_pipeline('p', '{"stages": [{"code": "a"}, {"code": "a"}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.define_pipeline('p', '{"stages": [{"code": "a"}], "transitions": [{"from": "a", "to": "b"}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.define_pipeline('p', '{"stages": [{"code": "a"}, {"code": "b"}], "transitions": [{"from": "a", "to": "b", "guard": "$.amount >"}]}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.define_pipeline('p', '{"stages": [{"code": "a", "required_columns": ["amonut", "custom.size"]}]}');
\echo :LAST_ERROR_SQLSTATE
DO $$
BEGIN
    PERFORM crm.define_pipeline('p', '{"stages": [{"code": "a", "type": "won", "probability": 50}]}');
EXCEPTION WHEN check_violation THEN RAISE NOTICE '%', SQLERRM;
END $$;
-- redefined: order, names and transitions change, a stage in use goes out of use, an unused one goes
SELECT p.strict_order FROM crm.define_pipeline('deals', '{"strict_order": false, "stages": [
    {"code": "contract", "probability": 80}, {"code": "idea", "probability": 6, "is_initial": true}, {"code": "signed", "type": "won"}]}') AS p;
SELECT s.code, s.probability, s.active, s.is_initial FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id
WHERE p.tenant_id = crm.tenant_id() AND p.code = 'deals' ORDER BY s.position;

-- history of an import: bulk, dated by what is given
INSERT INTO crm.opportunities (id, name, stage_id) VALUES (920030, 'x', pg_temp.stage('won'));
SELECT crm.record_history('opportunities', '{920030}', ARRAY[pg_temp.stage('won')], '{2017-01-01}');
\echo :LAST_ERROR_SQLSTATE
SAVEPOINT s;
SELECT crm.begin_history('export of 2017');
INSERT INTO crm.opportunities (id, name, pipeline_id, stage_id, amount, close_date, created_at)
SELECT 920100 + i, 'Imported', (SELECT s.pipeline_id FROM crm.stages AS s WHERE s.id = pg_temp.stage('won')),
       pg_temp.stage(CASE WHEN i % 2 = 0 THEN 'won' ELSE 'lost' END), i, date '2017-03-01' + i, date '2017-01-01' + i
FROM generate_series(1, 50) AS i;
SELECT o.probability, o.close_date, o.closed_at, o.stage_entered_at FROM crm.opportunities AS o WHERE o.id IN (920101, 920102) ORDER BY o.id;
SELECT p.subject_id, p.seq, p.period FROM crm.stage_periods AS p WHERE p.subject_id IN (920101, 920102) ORDER BY 1, 2;
SELECT crm.record_history('opportunities', array_agg(h.id), array_agg(h.stage), array_agg(h.at))
FROM (SELECT o.id, pg_temp.stage('prospecting') AS stage, o.created_at AS at FROM crm.opportunities AS o WHERE o.id BETWEEN 920101 AND 920150
      UNION ALL
      SELECT o.id, o.stage_id, o.closed_at FROM crm.opportunities AS o WHERE o.id BETWEEN 920101 AND 920150) AS h;
SELECT p.subject_id, p.seq, s.code, p.period, p.probability, p.bypass_reason
FROM crm.stage_periods AS p JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id
WHERE p.subject_id IN (920101, 920102) ORDER BY 1, 2;
SELECT crm.record_history('opportunities', '{920101}', ARRAY[pg_temp.stage('prospecting')], '{2017-01-01}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.record_history('opportunities', '{920101,920101}', ARRAY[pg_temp.stage('prospecting'), pg_temp.stage('lost')], '{2017-01-01,2017-01-01}');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.record_history('opportunities', '{920101}', '{-1}', '{2017-01-01}');
\echo :LAST_ERROR_SQLSTATE
SELECT pg_temp.faults() AS faults;
ROLLBACK TO s;

-- TRUNCATE ends every history of the table
SAVEPOINT s;
SET LOCAL client_min_messages = warning;
TRUNCATE crm.opportunities CASCADE;
RESET client_min_messages;
SELECT count(*) AS open FROM crm.stage_periods AS p WHERE p.subject_table = 'opportunities' AND upper_inf(p.period);
ROLLBACK TO s;

-- any table with the columns, a partition entered directly included
CREATE SCHEMA rental;
CREATE TABLE rental.orders (tenant_id bigint NOT NULL DEFAULT crm.tenant_id(), id integer NOT NULL, pipeline_id bigint, stage_id bigint, amount numeric, kind text)
    PARTITION BY LIST (kind);
CREATE TABLE rental.orders_old PARTITION OF rental.orders FOR VALUES IN ('old');
-- a partition whose columns stand elsewhere
CREATE TABLE rental.orders_new (kind text, gone text, amount numeric, stage_id bigint, pipeline_id bigint, id integer NOT NULL, tenant_id bigint NOT NULL DEFAULT crm.tenant_id());
ALTER TABLE rental.orders_new DROP COLUMN gone;
ALTER TABLE rental.orders ATTACH PARTITION rental.orders_new FOR VALUES IN ('new');
SELECT crm.attach_process('rental.orders'), crm.attach_process('rental.orders');
SELECT p.subject_table FROM crm.define_pipeline('renting', '{"subject_table": "rental.orders", "stages": [
    {"code": "booked", "probability": 50, "required_columns": ["amount"]}, {"code": "returned", "type": "done"}]}') AS p;
INSERT INTO rental.orders (id, kind, amount) VALUES (1, 'old', 5), (2, 'new', 6);
INSERT INTO rental.orders (id, kind) VALUES (3, 'new');
\echo :LAST_ERROR_SQLSTATE
UPDATE rental.orders SET stage_id = pg_temp.stage('returned') WHERE id = 2;
UPDATE rental.orders SET kind = 'new' WHERE id = 1;
SELECT p.subject_table, p.subject_id, p.seq, s.code, p.amount::int, upper_inf(p.period) AS open
FROM crm.stage_periods AS p JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id
WHERE p.subject_table = 'rental.orders' ORDER BY 2, 3;
SELECT stage_code, allowed FROM crm.allowed_moves_of('rental.orders', 1);
CREATE TABLE rental.nothing (id bigint);
SELECT crm.attach_process('rental.nothing');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
