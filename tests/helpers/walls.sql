-- Two companies with people of every level and rows of everybody, nobody and teams; and attack.allowed: who may see and change
-- which row, in plain SQL that calls nothing of the CRM. For the tests of tests/attack.
\ir two_tenants.sql
SELECT to_regclass('attack.allowed') IS NOT NULL AS walls \gset
\if :walls
\else
\ir attack.sql
\set QUIET 1
SET client_min_messages = warning;
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY '{attack_lead_1,attack_viewer_1,attack_temp_1,attack_lead_2}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) THEN EXECUTE format('CREATE ROLE %I LOGIN', r); END IF;
    END LOOP;
END
$$;
SELECT min(t.tenant_id) AS first, max(t.tenant_id) AS second FROM crm.tenants AS t \gset

-- ---- people: a team with one below it and somebody who leads both, a reader who is a user, an agent who is none ----
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = :'first';
INSERT INTO crm.users (name) VALUES ('Parity lead') RETURNING id AS lead \gset
INSERT INTO crm.users (name) VALUES ('Parity viewer') RETURNING id AS viewer \gset
INSERT INTO crm.teams (name, lead_id) VALUES ('Parity top', :lead) RETURNING id AS top \gset
INSERT INTO crm.teams (name, parent_id) VALUES ('Parity below', :top) RETURNING id AS below \gset
INSERT INTO crm.team_memberships (team_id, user_id) SELECT :below, u.id FROM crm.users AS u WHERE u.db_role = 'attack_colleague_1';
INSERT INTO crm.team_memberships (team_id, user_id, valid) SELECT :top, u.id, tstzrange(NULL, now() - interval '1 day') FROM crm.users AS u WHERE u.db_role = 'attack_agent_1';
INSERT INTO crm.team_memberships (team_id, user_id) VALUES (:below, :viewer);
SELECT count(*) AS n FROM (VALUES ('attack_lead_1', 'agent', :lead), ('attack_viewer_1', 'reader', :viewer), ('attack_temp_1', 'agent', NULL::bigint)) AS v (role, level, id),
    LATERAL crm.grant_access(v.role::name, v.level, v.id) AS g \gset
SET crm.tenant = :'second';
INSERT INTO crm.users (name) VALUES ('Parity lead') RETURNING id AS lead2 \gset
INSERT INTO crm.teams (name, lead_id) VALUES ('Parity top', :lead2) RETURNING id AS top2 \gset
INSERT INTO crm.team_memberships (team_id, user_id) SELECT :top2, u.id FROM crm.users AS u WHERE u.db_role = 'attack_agent_2';
SELECT g.access AS n FROM crm.grant_access('attack_lead_2', 'agent', :lead2) AS g \gset
RESET crm.tenant;
RESET SESSION AUTHORIZATION;

-- rows of nobody, of a team, of somebody in the team of another, and shared ones, in every table that has the columns
SET session_replication_role = replica;
DO $$
DECLARE t record; teams bigint[]; users bigint[]; tenant bigint;
BEGIN
    FOR tenant IN SELECT tenant_id FROM crm.tenants LOOP
        SELECT array_agg(x.id ORDER BY x.id) INTO teams FROM crm.teams AS x WHERE x.tenant_id = tenant;
        SELECT array_agg(x.id ORDER BY x.id) INTO users FROM crm.users AS x WHERE x.tenant_id = tenant;
        FOR t IN SELECT r.relation, crm.column_exists(r.relation, 'team_id') AS team, crm.column_exists(r.relation, 'shared_user_ids') AS shared
                 FROM crm.registry AS r WHERE r.class = 'owned' AND crm.column_exists(r.relation, 'owner_id') LOOP
            EXECUTE format('UPDATE %s SET owner_id = CASE WHEN id %% 7 = 0 THEN NULL ELSE ($1)[1 + id %% cardinality($1)] END', t.relation)
                || CASE WHEN t.team THEN ', team_id = CASE WHEN id % 5 < 2 THEN ($2)[1 + id % cardinality($2)] END' ELSE '' END
                || CASE WHEN t.shared THEN ', shared_user_ids = CASE WHEN id % 11 = 0 THEN ARRAY[($1)[1 + (id / 3) % cardinality($1)]] ELSE ''{}'' END,
                                            shared_team_ids = CASE WHEN id % 13 = 0 THEN ARRAY[($2)[1 + (id / 3) % cardinality($2)]] ELSE ''{}'' END' ELSE '' END
                || ' WHERE tenant_id = $3' USING users, teams, tenant;
        END LOOP;
    END LOOP;
END
$$;
-- what the generator leaves empty: one row for each parent column at least, of parents that are spread over everybody
INSERT INTO crm.relationships (tenant_id, kind, from_contact_id, to_account_id) SELECT c.tenant_id, 'knows', c.id, a.id FROM crm.contacts AS c JOIN crm.accounts AS a ON a.tenant_id = c.tenant_id AND (a.id + c.id) % 97 = 0 WHERE c.id % 3 = 0;
INSERT INTO crm.relationships (tenant_id, kind, from_account_id, to_contact_id) SELECT c.tenant_id, 'knows', a.id, c.id FROM crm.contacts AS c JOIN crm.accounts AS a ON a.tenant_id = c.tenant_id AND (a.id + c.id) % 91 = 0 WHERE c.id % 4 = 0;
INSERT INTO crm.opportunity_lines (tenant_id, opportunity_id, product_id, unit_price, price_includes_tax) SELECT o.tenant_id, o.id, (SELECT min(p.id) FROM crm.products AS p WHERE p.tenant_id = o.tenant_id), 1, false FROM crm.opportunities AS o WHERE o.id % 4 = 0;
INSERT INTO crm.quotes (tenant_id, number, account_id, pipeline_id, stage_id, currency, issued_on, valid_until, rounding, minor_units, owner_id, team_id)
SELECT o.tenant_id, 'W' || o.id, o.account_id, p.pipeline_id, p.id, o.currency, '2026-01-01', 'infinity', 'line', 2, o.owner_id, o.team_id
FROM crm.orders AS o JOIN crm.stages AS p ON p.tenant_id = o.tenant_id AND p.code = 'draft' WHERE o.id % 199 = 0;
INSERT INTO crm.quote_lines (tenant_id, quote_id, product_id, unit_price, price_includes_tax) SELECT q.tenant_id, q.id, (SELECT min(p.id) FROM crm.products AS p WHERE p.tenant_id = q.tenant_id), 1, false FROM crm.quotes AS q;
INSERT INTO crm.invoices (tenant_id, account_id, currency, rounding, minor_units, owner_id, team_id, kind)
SELECT o.tenant_id, o.account_id, o.currency, 'line', 2, o.owner_id, o.team_id, CASE WHEN o.id % 2 = 0 THEN 'invoice' ELSE 'credit_note' END FROM crm.orders AS o WHERE o.id % 97 = 0;
INSERT INTO crm.invoice_lines (tenant_id, invoice_id, product_id, unit_price, price_includes_tax) SELECT i.tenant_id, i.id, (SELECT min(p.id) FROM crm.products AS p WHERE p.tenant_id = i.tenant_id), 1, false FROM crm.invoices AS i;
INSERT INTO crm.payments (tenant_id, number, account_id, received_on, amount, currency) SELECT i.tenant_id, 'W' || i.id, i.account_id, '2026-01-01', 1, i.currency FROM crm.invoices AS i WHERE i.id % 2 = 0;
INSERT INTO crm.payment_allocations (tenant_id, invoice_id, payment_id, credit_note_id, amount, source_amount)
SELECT i.tenant_id, i.id, p.id, NULL, 1, 1 FROM crm.invoices AS i JOIN crm.payments AS p ON p.tenant_id = i.tenant_id AND p.account_id = i.account_id
UNION ALL SELECT i.tenant_id, i.id, NULL, c.id, 1, 1 FROM crm.invoices AS i JOIN crm.invoices AS c ON c.tenant_id = i.tenant_id AND c.account_id = i.account_id AND c.id % 2 = 1 WHERE i.id % 2 = 0;
INSERT INTO crm.approvals (tenant_id, subject_table, subject_id, to_stage_id, requested_role) SELECT o.tenant_id, 'opportunities', o.id, o.stage_id, 'x' FROM crm.opportunities AS o WHERE o.id % 9 = 0;
INSERT INTO crm.account_needs (tenant_id, account_id, need) SELECT a.tenant_id, a.id, 'x' FROM crm.accounts AS a WHERE a.id % 5 = 0;
INSERT INTO crm.winback_members (tenant_id, campaign, account_id, arm, started_on) SELECT a.tenant_id, 'x', a.id, 'treated', '2026-01-01' FROM crm.accounts AS a WHERE a.id % 5 = 0;
INSERT INTO crm.assignments (tenant_id, subject_table, subject_id, method, reason) SELECT t.tenant_id, 'tickets', t.id, 'round_robin', 'assigned' FROM crm.tickets AS t WHERE t.id % 5 = 0;
INSERT INTO crm.ticket_messages (tenant_id, ticket_id, channel, direction, author_kind, body, sent_at) SELECT t.tenant_id, t.id, 'mail', 'in', 'customer', 'hello', t.created_at FROM crm.tickets AS t WHERE t.id % 3 = 0;
INSERT INTO crm.articles (tenant_id, code, owner_id) SELECT u.tenant_id, 'parity' || u.id, u.id FROM crm.users AS u;
INSERT INTO crm.article_versions (tenant_id, article_id, language, number, title, body) SELECT a.tenant_id, a.id, 'en', 1, 'x', 'x' FROM crm.articles AS a;
INSERT INTO crm.surveys (tenant_id, code, kind, question) SELECT t.tenant_id, 'parity', 'nps', '{"en": "How?"}' FROM crm.tenants AS t;
INSERT INTO crm.survey_responses (tenant_id, survey_id, subject_table, subject_id, owner_id) SELECT s.tenant_id, s.id, 'tickets', t.id, t.owner_id FROM crm.surveys AS s JOIN crm.tickets AS t ON t.tenant_id = s.tenant_id AND t.id % 7 = 0;
INSERT INTO crm.ticket_followers (tenant_id, ticket_id, user_id) SELECT t.tenant_id, t.id, (SELECT min(u.id) FROM crm.users AS u WHERE u.tenant_id = t.tenant_id) FROM crm.tickets AS t WHERE t.id % 6 = 0;
INSERT INTO crm.import_batches (tenant_id, source_name, source_system, target_table, mapping, owner_id) SELECT u.tenant_id, 'x', 'x', 'leads', '{}', u.id FROM crm.users AS u;
INSERT INTO crm.import_rows (tenant_id, batch_id, line, data) SELECT b.tenant_id, b.id, 1, '{}' FROM crm.import_batches AS b;
SET session_replication_role = origin;
-- of large tables a part is enough; what others refer to stays whole
DO $$
DECLARE t record; n bigint;
BEGIN
    FOR t IN SELECT r.relation FROM crm.registry AS r WHERE r.class IN ('owned', 'child', 'log') AND crm.column_exists(r.relation, 'tenant_id')
             -- last the events, among them those of what is deleted here
             ORDER BY r.relation = 'crm.events'::regclass, r.relation::text LOOP
        EXECUTE format('SELECT count(*) FROM %s', t.relation) INTO n;
        IF n > 1200 THEN
            BEGIN
                EXECUTE format('DELETE FROM %s AS t WHERE hashtext(t::text) %% $1 <> 0', t.relation) USING (n / 600)::integer;
            -- what is posted stays (CR801)
            EXCEPTION WHEN foreign_key_violation OR object_not_in_prerequisite_state OR SQLSTATE 'CR801' THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;
SELECT crm.rebuild_rollup(r.name) FROM crm.rollups AS r \g /dev/null
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = :'first';
SELECT (crm.define_segment('{"name": "parity", "subject_table": "leads", "where": "$.name != \"\""}')).id AS seg \gset
SELECT crm.fit_value_model('bgnbd') AS fitted \g /dev/null
RESET crm.tenant;
RESET SESSION AUTHORIZATION;
ANALYZE;

-- ---- who they are, in plain SQL ----
CREATE TABLE attack.people AS
WITH RECURSIVE p AS (
    SELECT r.role::name AS role, coalesce(u.tenant_id, g.tenant_id) AS tenant, u.id AS user_id, coalesce(u.access, g.access) AS level
    FROM unnest('{attack_reader_1,attack_viewer_1,attack_temp_1,attack_agent_1,attack_colleague_1,attack_lead_1,attack_manager_1,attack_admin_1,
                  attack_reader_2,attack_agent_2,attack_lead_2,attack_manager_2,attack_admin_2,attack_nobody}'::text[]) AS r (role)
    LEFT JOIN crm.users AS u ON u.db_role = r.role::name
    LEFT JOIN crm.access_grants AS g ON g.db_role = r.role::name
), led AS (
    SELECT p.role, t.id FROM p JOIN crm.teams AS t ON t.tenant_id = p.tenant AND t.lead_id = p.user_id
    UNION SELECT l.role, t.id FROM led AS l JOIN crm.teams AS t ON t.parent_id = l.id
), member AS (
    SELECT p.role, m.team_id FROM p JOIN crm.team_memberships AS m ON m.tenant_id = p.tenant AND m.user_id = p.user_id AND m.valid @> now()
)
SELECT p.*, p.level IN ('manager', 'admin') OR p.level = 'reader' AND p.user_id IS NULL AS everything,
       ARRAY(SELECT l.id FROM led AS l WHERE l.role = p.role) AS led,
       ARRAY(SELECT m.team_id FROM member AS m WHERE m.role = p.role UNION SELECT l.id FROM led AS l WHERE l.role = p.role) AS teams,
       ARRAY(SELECT p.user_id WHERE p.user_id IS NOT NULL UNION SELECT m.user_id FROM led AS l JOIN crm.team_memberships AS m ON m.team_id = l.id AND m.valid @> now() WHERE l.role = p.role
             UNION SELECT t.lead_id FROM led AS l JOIN crm.teams AS t ON t.id = l.id WHERE l.role = p.role AND t.lead_id IS NOT NULL) AS people
FROM p;
GRANT SELECT ON attack.people TO PUBLIC;

-- which rows each may see and change; a table after its parents
CREATE TABLE attack.allowed (role name, relation regclass, row_id tid, sees boolean, changes boolean);
CREATE INDEX ON attack.allowed (role, relation, row_id);
GRANT SELECT ON attack.allowed TO PUBLIC;
CREATE FUNCTION attack.allow(r record) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
    owned text; seen text := 'true'; changed text := 'true'; link record; parent text;
    team text := CASE WHEN crm.column_exists(r.relation, 'team_id') AND NOT r.options ? 'owner' THEN 't.team_id' ELSE 'NULL::bigint' END;
BEGIN
    IF r.class IN ('child', 'log') AND EXISTS (SELECT FROM crm.table_links(r.relation) AS l WHERE l.kind = 'parent') THEN
        -- what everybody in the company sees, such as a campaign, hides no child and is not asked whether it may be changed
        FOR link IN SELECT l.* FROM crm.table_links(r.relation) AS l LEFT JOIN crm.registry AS y ON y.subject = l.target
                    WHERE l.kind = 'parent' AND (l.target IS NULL OR y.class IN ('owned', 'child', 'log')) LOOP
            FOR parent IN SELECT x.relation::text FROM crm.registry AS x WHERE x.subject = link.target
                          OR link.target IS NULL AND (crm.column_exists(x.relation, 'owner_id') OR x.class IN ('owned', 'child') OR x.options ? 'process') AND crm.column_exists(x.relation, 'id') AND crm.column_exists(x.relation, 'tenant_id') LOOP
                seen := seen || format(' AND (t.%1$I IS NULL OR %4$s OR EXISTS (SELECT FROM %2$s AS x JOIN attack.allowed AS a ON a.relation = %2$L::regclass AND a.row_id = x.ctid AND a.role = p.role AND a.sees WHERE x.tenant_id = t.tenant_id AND x.id = t.%1$I))',
                    link.column_name, parent, NULL, CASE WHEN link.target IS NOT NULL THEN 'false'
                    WHEN link.target_column IS NOT NULL THEN format('t.%I <> %L', link.target_column, (SELECT x.subject FROM crm.registry AS x WHERE x.relation = parent::regclass))
                    ELSE format('(SELECT g.subject_table FROM crm.segments AS g WHERE g.tenant_id = t.tenant_id AND g.id = t.segment_id) <> %L', (SELECT x.subject FROM crm.registry AS x WHERE x.relation = parent::regclass)) END);
            END LOOP;
        END LOOP;
        changed := replace(seen, 'a.sees', 'a.changes');
        changed := format('p.level <> ''reader'' AND (%s)', changed);
    ELSIF r.options ->> 'owner' IS NOT NULL OR crm.column_exists(r.relation, 'owner_id') THEN
        owned := format('(t.%1$I = ANY (p.people) OR %2$s = ANY (p.led) OR t.%1$I IS NULL AND (%2$s IS NULL OR %2$s = ANY (p.teams))%3$s)', coalesce(r.options ->> 'owner', 'owner_id'), team,
            CASE r.options ->> 'private' WHEN 'true' THEN ' AND p.user_id IS NULL' ELSE '' END);
        seen := owned || CASE WHEN crm.column_exists(r.relation, 'shared_user_ids') THEN ' OR p.user_id = ANY (t.shared_user_ids) OR t.shared_team_ids && p.teams' ELSE '' END;
        changed := 'p.level <> ''reader'' AND ' || owned;
    END IF;
    EXECUTE format('INSERT INTO attack.allowed SELECT p.role, %L, t.ctid, coalesce(p.everything OR (%s), false), coalesce(%s, false)
                    FROM attack.people AS p JOIN %s AS t ON t.tenant_id = p.tenant', r.relation, seen,
        CASE r.class WHEN 'configuration' THEN 'p.level = ''admin''' WHEN 'catalogue' THEN 'p.level IN (''manager'', ''admin'')' WHEN 'work' THEN 'p.level <> ''reader'''
             WHEN 'owned' THEN format('(p.everything AND p.level <> ''reader'' OR %s)', changed) WHEN 'child' THEN format('(p.everything AND p.level <> ''reader'' OR %s)', changed) ELSE 'false' END, r.relation);
END
$f$;
DO $$
DECLARE r record; done regclass[] := '{}'; before integer := -1;
BEGIN
    WHILE cardinality(done) > before LOOP
        before := cardinality(done);
        FOR r IN SELECT x.* FROM crm.registry AS x JOIN pg_class AS c ON c.oid = x.relation
                 WHERE crm.column_exists(x.relation, 'tenant_id') AND x.class <> 'owner' AND x.relation <> ALL (done)
                   AND NOT EXISTS (SELECT FROM crm.table_links(x.relation) AS l JOIN crm.registry AS y ON y.subject = l.target AND y.relation <> x.relation
                                   WHERE l.kind = 'parent' AND y.relation <> ALL (done))
                   AND (x.class NOT IN ('child', 'log') OR NOT EXISTS (SELECT FROM crm.table_links(x.relation) AS l WHERE l.kind = 'parent' AND l.target IS NULL)
                        OR NOT EXISTS (SELECT FROM crm.registry AS y WHERE y.relation <> ALL (done) AND (y.class = 'owned' OR y.class = 'child'
                                        -- what may be about any record comes after children of one table
                                        AND NOT EXISTS (SELECT FROM crm.table_links(y.relation) AS l WHERE l.kind = 'parent' AND l.target IS NULL))))
                   -- and after whatever moves through stages, which has a history
                   AND (x.options ? 'process' OR NOT EXISTS (SELECT FROM crm.table_links(x.relation) AS l WHERE l.kind = 'parent' AND l.target IS NULL)
                        OR NOT EXISTS (SELECT FROM crm.registry AS y WHERE y.options ? 'process' AND y.relation <> ALL (done))) LOOP
            PERFORM attack.allow(r);
            done := done || r.relation::regclass;
        END LOOP;
    END LOOP;
END
$$;
ANALYZE attack.allowed;
\endif
