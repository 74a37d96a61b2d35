-- The process engine: moves, what they fill in, what is refused, and the history they leave.
\set ON_ERROR_ROLLBACK on
\set SHOW_CONTEXT never
BEGIN;
SELECT set_config('crm.tenant', t.tenant_id::text, true) IS NOT NULL AS tenant FROM crm.create_tenant('Process') AS t;

-- a history as one line a period: how long after the first, in microseconds
CREATE FUNCTION pg_temp.history(id bigint)
RETURNS TABLE (seq integer, stage text, starts bigint, ends bigint, amount numeric, probability numeric, moved boolean)
LANGUAGE sql AS $$
    SELECT p.seq, s.code, (extract(epoch FROM lower(p.period) - min(lower(p.period)) OVER ()) * 1e6)::bigint,
           (extract(epoch FROM upper(p.period) - min(lower(p.period)) OVER ()) * 1e6)::bigint,
           p.amount::numeric(20, 2), p.probability, p.moved
    FROM crm.stage_periods AS p JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.id = p.stage_id
    WHERE p.subject_table = 'opportunities' AND p.subject_id = $1 ORDER BY p.seq $$;
CREATE FUNCTION pg_temp.stage(code text) RETURNS bigint LANGUAGE sql AS $$
    SELECT s.id FROM crm.stages AS s WHERE s.tenant_id = crm.tenant_id() AND s.code = $1 ORDER BY s.pipeline_id LIMIT 1 $$;

SELECT p.code, p.is_default, p.strict_order, s.position, s.code, s.type, s.probability, s.forecast_category
FROM crm.pipelines AS p JOIN crm.stages AS s ON s.tenant_id = p.tenant_id AND s.pipeline_id = p.id
WHERE p.tenant_id = crm.tenant_id() AND p.subject_table = 'opportunities' ORDER BY s.position;

-- pipeline, stage and probability are filled in
INSERT INTO crm.opportunities (id, name, amount) VALUES (910001, 'Pump', 100)
RETURNING stage_id = pg_temp.stage('prospecting') AS first_stage, probability, close_date, closed_at;
INSERT INTO crm.opportunities (id, name, amount, stage_id, probability)
VALUES (910002, 'Valve', 200, pg_temp.stage('proposal'), 33)
RETURNING stage_id = pg_temp.stage('proposal') AS proposal, probability;

-- moves
SELECT o.probability, o.stage_entered_at > o.created_at AS later FROM crm.move_opportunity(910001, 'negotiation') AS o;
SELECT o.probability, o.amount::int, o.close_date = (now() AT TIME ZONE 'UTC')::date AS closed_today, o.closed_at IS NOT NULL AS closed
FROM crm.win_opportunity(910001, 150) AS o;
SELECT o.probability, o.close_date, o.closed_at, o.stage_id = pg_temp.stage('negotiation') AS where_it_was FROM crm.reopen_opportunity(910001) AS o;
SELECT o.probability, o.loss_reason, o.close_date FROM crm.lose_opportunity(910001, 'price', close_date => '2024-02-29') AS o;
SELECT o.probability, o.loss_reason, o.loss_note, o.close_date FROM crm.reopen_opportunity(910001, 'proposal') AS o;
SELECT * FROM pg_temp.history(910001);

-- probability: the stage's, unless the same write says otherwise; closing decides it
UPDATE crm.opportunities SET probability = 44 WHERE id = 910001 RETURNING probability;
UPDATE crm.opportunities SET name = 'Pumps' WHERE id = 910001 RETURNING probability;
UPDATE crm.opportunities SET stage_id = pg_temp.stage('qualification'), probability = 15 WHERE id = 910001 RETURNING probability;
UPDATE crm.opportunities SET probability = NULL WHERE id = 910001 RETURNING probability;
UPDATE crm.opportunities SET stage_id = pg_temp.stage('won'), probability = 3 WHERE id = 910001 RETURNING probability;

-- what the engine keeps is not for writers to change
UPDATE crm.opportunities SET stage_entered_at = '2001-01-01', closed_at = '2001-01-01' WHERE id = 910001
RETURNING stage_entered_at > '2020-01-01' AS kept, closed_at > '2020-01-01' AS kept_too;
INSERT INTO crm.opportunities (id, name, stage_entered_at) VALUES (910003, 'Old', '2001-01-01') RETURNING stage_entered_at > '2020-01-01' AS not_old;
SELECT seq, stage, starts, ends FROM pg_temp.history(910003);

-- refused, each with its code
INSERT INTO crm.opportunities (id, name, stage_id) VALUES (910009, 'x', -1);
\echo :LAST_ERROR_SQLSTATE
INSERT INTO crm.opportunities (id, name, pipeline_id) VALUES (910009, 'x', -1);
\echo :LAST_ERROR_SQLSTATE
SELECT crm.move_opportunity(910002, 'nowhere');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.move_opportunity(919999, 'won');
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.opportunities SET stage_id = NULL WHERE id = 910002;
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.opportunities SET amount = 'NaN' WHERE id = 910002;
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.opportunities SET probability = 'NaN' WHERE id = 910002;
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.opportunities SET id = 910008 WHERE id = 910002;
\echo :LAST_ERROR_SQLSTATE
SELECT crm.reopen_opportunity(910002);
\echo :LAST_ERROR_SQLSTATE
SELECT crm.lose_opportunity(910002, NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT crm.lose_opportunity(910002, ' ');
\echo :LAST_ERROR_SQLSTATE
SELECT crm.lose_opportunity(910002, 'other');
\echo :LAST_ERROR_SQLSTATE
DO $$
BEGIN
    PERFORM crm.lose_opportunity(910002, 'unheard_of');
EXCEPTION WHEN foreign_key_violation THEN RAISE NOTICE 'unknown loss reason: %', SQLSTATE;
END $$;
UPDATE crm.loss_reasons SET active = false WHERE tenant_id = crm.tenant_id() AND code = 'timing';
SELECT crm.lose_opportunity(910002, 'timing');
\echo :LAST_ERROR_SQLSTATE
SELECT o.loss_reason, o.loss_note FROM crm.lose_opportunity(910002, 'other', 'They moved abroad') AS o;
UPDATE crm.opportunities SET loss_reason = NULL WHERE id = 910002;
\echo :LAST_ERROR_SQLSTATE
SELECT crm.move_opportunity(910001, 'proposal', '{"stage_id": 1, "colour": "red"}');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM pg_temp.history(910002);

-- pipelines of other tables, tenants and kinds
SELECT p.code FROM crm.define_pipeline('renewals', '{"stages": [{"code": "due", "probability": 70}, {"code": "renewed", "type": "won"}, {"code": "left", "type": "lost"}]}') AS p;
SELECT p.code FROM crm.define_pipeline('support', '{"subject_table": "tickets", "stages": [{"code": "new"}, {"code": "done", "type": "done"}]}') AS p;
UPDATE crm.opportunities SET stage_id = pg_temp.stage('due') WHERE id = 910003;
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.opportunities SET pipeline_id = (SELECT id FROM crm.pipelines WHERE tenant_id = crm.tenant_id() AND code = 'renewals') WHERE id = 910003;
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.opportunities SET (pipeline_id, stage_id) = (SELECT s.pipeline_id, s.id FROM crm.stages AS s WHERE s.id = pg_temp.stage('new')) WHERE id = 910003;
\echo :LAST_ERROR_SQLSTATE
SELECT set_config('test.other', (SELECT min(id)::text FROM crm.stages WHERE tenant_id <> crm.tenant_id()), true) IS NOT NULL AS other;
DO $$
BEGIN
    UPDATE crm.opportunities SET stage_id = current_setting('test.other')::bigint WHERE id = 910003;
EXCEPTION WHEN SQLSTATE 'CR107' THEN RAISE NOTICE 'another tenant''s stage does not exist';
END $$;
UPDATE crm.opportunities SET (pipeline_id, stage_id) = (SELECT s.pipeline_id, s.id FROM crm.stages AS s WHERE s.id = pg_temp.stage('due')) WHERE id = 910003
RETURNING probability;
SELECT seq, stage, starts, ends, probability, moved FROM pg_temp.history(910003);

-- protection of what is in use
DELETE FROM crm.stages WHERE id = pg_temp.stage('due');
\echo :LAST_ERROR_SQLSTATE
DELETE FROM crm.pipelines WHERE tenant_id = crm.tenant_id() AND code = 'renewals';
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.stages SET type = 'won', probability = 100 WHERE id = pg_temp.stage('due');
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.stages SET code = 'overdue' WHERE id = pg_temp.stage('due');
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.pipelines SET code = 'again' WHERE tenant_id = crm.tenant_id() AND code = 'renewals';
\echo :LAST_ERROR_SQLSTATE
UPDATE crm.stages SET name = 'Overdue' WHERE id = pg_temp.stage('due') RETURNING name;
DELETE FROM crm.stages WHERE id = pg_temp.stage('left') RETURNING code;

-- inactive stages keep their rows and take no others
UPDATE crm.stages SET active = false WHERE id = pg_temp.stage('due');
UPDATE crm.opportunities SET amount = 7 WHERE id = 910003 RETURNING amount::int;
INSERT INTO crm.opportunities (id, name, stage_id) VALUES (910009, 'x', pg_temp.stage('due'));
\echo :LAST_ERROR_SQLSTATE

-- deleting ends the history and keeps it; a row made anew goes on behind it
DELETE FROM crm.opportunities WHERE id = 910003;
SELECT seq, stage, ends IS NULL AS open, amount FROM pg_temp.history(910003);
INSERT INTO crm.opportunities (id, name) VALUES (910003, 'Again');
SELECT seq, stage, ends IS NULL AS open, amount FROM pg_temp.history(910003);
ROLLBACK;
