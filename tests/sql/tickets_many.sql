-- Many tickets by one statement: what follows is the same as of tickets entered one by one, whatever tenant they are of,
-- and plans kept from single rows serve them.
BEGIN;
\set ON_ERROR_ROLLBACK on
\set VERBOSITY terse
SET LOCAL timezone = 'UTC';
SELECT tenant_id AS other FROM crm.create_tenant('Toman') \gset
INSERT INTO crm.users (tenant_id, id, name) VALUES (1, 9701, 'Ada'), (:other, 9701, 'Sara');
INSERT INTO crm.sla_policies (tenant_id, id, name, condition) VALUES
    (1, 9701, 'urgent', '$.priority == "urgent"'), (1, 9702, 'all', NULL), (:other, 9703, 'theirs', NULL);
INSERT INTO crm.sla_targets (tenant_id, policy_id, metric, time_basis, seconds) VALUES
    (1, 9701, 'first_response', 'calendar', 60), (1, 9702, 'first_response', 'calendar', 3600), (:other, 9703, 'resolution', 'calendar', 7200);
CREATE TEMP TABLE wanted (id int, tenant_id bigint, priority text, stage text, answered timestamptz, resolved timestamptz);
INSERT INTO wanted VALUES
    (1, 1, 'normal', 'new', NULL, NULL), (2, 1, 'urgent', 'new', NULL, NULL), (3, 1, 'urgent', 'resolved', '2026-01-05 10:30', '2026-01-05 12:00'),
    (4, 1, 'low', 'cancelled', NULL, '2026-01-05 11:00'), (5, :other, 'normal', 'new', '2026-01-05 10:10', NULL);
CREATE FUNCTION pg_temp.enter(first int, last int, base int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO crm.tickets (tenant_id, id, subject, priority, owner_id, stage_id, first_response_at, resolved_at, closed_at, created_at)
    SELECT w.tenant_id, base + w.id, 'x', w.priority, 9701, s.id, w.answered, w.resolved, w.resolved, '2026-01-05 10:00'
    FROM wanted AS w
    JOIN crm.pipelines AS p ON p.tenant_id = w.tenant_id AND p.subject_table = 'tickets' AND p.is_default
    JOIN crm.stages AS s ON s.tenant_id = w.tenant_id AND s.pipeline_id = p.id AND s.code = w.stage
    WHERE w.id BETWEEN first AND last
$$;
-- as an import does it, so that instants are those given
SELECT set_config('crm.tenant', '1', true) IS NOT NULL AS tenant;
SELECT crm.begin_history('test');
SELECT pg_temp.enter(i, i, 97000) FROM generate_series(1, 5) AS i;
SELECT pg_temp.enter(1, 5, 98000);
CREATE FUNCTION pg_temp.followed(base int) RETURNS TABLE (tenant bigint, id bigint, what text) LANGUAGE sql AS $$
    SELECT e.tenant_id, e.subject_id - base, concat_ws(' ', 'event', e.event, e.occurred_at, e.stage, e.stage_type, e.priority, t.definition ->> 'policy_id')
    FROM crm.sla_events AS e LEFT JOIN crm.sla_terms AS t ON t.tenant_id = e.tenant_id AND t.id = e.terms_id
    WHERE e.subject_type = 'tickets' AND e.subject_id BETWEEN base AND base + 9
    UNION ALL
    SELECT c.tenant_id, c.subject_id - base, concat_ws(' ', 'clock', c.metric, c.state, c.due_at, c.stopped_at) FROM crm.sla_clocks AS c
    WHERE c.subject_type = 'tickets' AND c.subject_id BETWEEN base AND base + 9
    UNION ALL
    SELECT x.tenant_id, x.ticket_id - base, concat_ws(' ', 'given to', x.to_owner_id, x.changed_at) FROM crm.ticket_transfers AS x
    WHERE x.ticket_id BETWEEN base AND base + 9
$$;
SELECT f.id, f.what FROM pg_temp.followed(98000) AS f ORDER BY 1, 2;
(SELECT * FROM pg_temp.followed(97000) EXCEPT ALL SELECT * FROM pg_temp.followed(98000))
UNION ALL (SELECT * FROM pg_temp.followed(98000) EXCEPT ALL SELECT * FROM pg_temp.followed(97000));
-- a change of another tenant's ticket is that tenant's event
UPDATE crm.tickets SET priority = 'high' WHERE tenant_id = :other AND id = 98005;
SELECT e.event, e.tenant_id = :other AS theirs FROM crm.sla_events AS e WHERE e.subject_id = 98005 AND e.event = 'changed';
DELETE FROM crm.tickets WHERE tenant_id = :other AND id = 98005;
SELECT e.event, e.tenant_id = :other AS theirs FROM crm.sla_events AS e WHERE e.subject_id = 98005 AND e.event = 'cancelled';

-- what a row costs does not depend on how many there are: rows looked at for each
CREATE FUNCTION pg_temp.looked_at() RETURNS bigint LANGUAGE sql AS $$
    SELECT sum(pg_stat_get_xact_tuples_returned(c.oid) + pg_stat_get_xact_tuples_fetched(c.oid))::bigint FROM pg_class AS c
    WHERE c.relnamespace = 'crm'::regnamespace AND c.relname ~ '^(tickets|sla_|ticket_)' $$;
CREATE FUNCTION pg_temp.cost(n int) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE was bigint := pg_temp.looked_at();
BEGIN
    INSERT INTO crm.tickets (subject) SELECT 'x' FROM generate_series(1, n);
    UPDATE crm.tickets SET priority = 'high' WHERE tenant_id = 1 AND id > (SELECT max(k.id) - n / 10 FROM crm.tickets AS k WHERE k.tenant_id = 1);
    RETURN (pg_temp.looked_at() - was)::numeric / n;
END $$;
SELECT pg_temp.cost(500) AS first \gset
SELECT pg_temp.cost(3000) AS then \gset
SELECT CASE WHEN :then < :first * 1.5 + 5 THEN 'the same' ELSE concat_ws(' then ', :first, :then) END AS a_row_costs;
ROLLBACK;
