-- long: 40 s
-- Columns that the CRM writes itself: by INSERT, UPDATE and COPY on every table an agent or a manager may write, into each column that
-- tells when something was done or who did it, or that a trigger or function fills. What is stored is never what was forged. Columns are
-- those of the catalogue: a new one of this kind is either declared (crm.declare_column, purpose write) or found here.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1
SET client_min_messages = warning;

-- what the generator leaves empty, for the agent and the manager to change
SET session_replication_role = replica;
UPDATE crm.tickets AS t SET owner_id = u.id FROM crm.users AS u WHERE t.tenant_id = 1 AND t.id % 3 = 0 AND u.db_role = 'attack_agent_1';
INSERT INTO crm.approvals (tenant_id, subject_table, subject_id, to_stage_id, requested_role) SELECT 1, 'opportunities', o.id, o.stage_id, 'x' FROM crm.opportunities AS o WHERE o.tenant_id = 1 AND o.id % 2 = 0;
INSERT INTO crm.articles (tenant_id, code, owner_id) SELECT u.tenant_id, 'forged' || u.id, u.id FROM crm.users AS u WHERE u.tenant_id = 1;
INSERT INTO crm.article_versions (tenant_id, article_id, language, number, title, body) SELECT a.tenant_id, a.id, 'en', 1, 'x', 'x' FROM crm.articles AS a WHERE a.tenant_id = 1;
INSERT INTO crm.article_deflections (tenant_id, article_id, outcome) SELECT a.tenant_id, a.id, 'solved' FROM crm.articles AS a WHERE a.tenant_id = 1;
INSERT INTO crm.ticket_followers (tenant_id, ticket_id, user_id) SELECT 1, t.id, u.id FROM crm.tickets AS t, crm.users AS u WHERE t.tenant_id = 1 AND u.db_role = 'attack_manager_1';
INSERT INTO crm.external_ids (tenant_id, subject_table, source, external_id, subject_id) SELECT 1, 'tickets', 'forged', t.id, t.id FROM crm.tickets AS t WHERE t.tenant_id = 1;
INSERT INTO crm.relationships (tenant_id, kind, from_user_id, to_contact_id) SELECT 1, 'knows', u.id, c.id FROM crm.contacts AS c, crm.users AS u WHERE c.tenant_id = 1 AND u.db_role = 'attack_agent_1';
INSERT INTO crm.import_batches (tenant_id, source_name, source_system, target_table, mapping, owner_id) SELECT u.tenant_id, 'x', 'x', 'leads', '{}', u.id FROM crm.users AS u WHERE u.tenant_id = 1;
INSERT INTO crm.skills (tenant_id, code, name) VALUES (1, 'forged', 'Forged');
INSERT INTO crm.user_skills (tenant_id, user_id, skill_id) SELECT 1, u.id, s.id FROM crm.users AS u, crm.skills AS s WHERE u.tenant_id = 1 AND s.tenant_id = 1 AND u.db_role = 'attack_agent_1';
INSERT INTO crm.campaigns (tenant_id, id, name, begins_on, seed) VALUES (1, 970001, 'Forged', '2026-01-01', 1);
INSERT INTO crm.campaign_costs (tenant_id, campaign_id, spent_on, amount, currency, base_amount) VALUES (1, 970001, '2026-01-01', 1, 'USD', 1);
INSERT INTO crm.campaign_members (tenant_id, campaign_id, lead_id, held_out, draw) SELECT 1, 970001, l.id, false, 0.5 FROM crm.leads AS l WHERE l.tenant_id = 1 AND l.id % 2 = 0;
INSERT INTO crm.touches (tenant_id, kind, channel, lead_id) SELECT 1, 'click', 'email', l.id FROM crm.leads AS l WHERE l.tenant_id = 1;
INSERT INTO crm.message_templates (tenant_id, code, channel, subject, body) VALUES (1, 'forged', 'email', 'x', 'x');
INSERT INTO crm.outbound_messages (tenant_id, subject_id, purpose, address, body) SELECT 1, c.id, (SELECT min(p.code) FROM crm.message_purposes AS p WHERE p.tenant_id = 1), 'x@example.com', 'x' FROM crm.contacts AS c WHERE c.tenant_id = 1;
INSERT INTO crm.quotes (tenant_id, number, account_id, pipeline_id, stage_id, currency, issued_on, valid_until, rounding, minor_units, owner_id)
SELECT 1, 'W' || o.id, o.account_id, p.pipeline_id, p.id, o.currency, '2026-01-01', 'infinity', 'line', 2, u.id
FROM crm.orders AS o JOIN crm.stages AS p ON p.tenant_id = 1 AND p.code = 'draft' JOIN crm.users AS u ON u.db_role = 'attack_agent_1' WHERE o.tenant_id = 1 AND o.id % 29 = 0;
INSERT INTO crm.quote_lines (tenant_id, quote_id, product_id, unit_price, price_includes_tax) SELECT 1, q.id, (SELECT min(p.id) FROM crm.products AS p WHERE p.tenant_id = 1), 1, false FROM crm.quotes AS q;
INSERT INTO crm.invoices (tenant_id, account_id, currency, rounding, minor_units, owner_id, kind)
SELECT 1, o.account_id, o.currency, 'line', 2, u.id, CASE WHEN o.id % 2 = 0 THEN 'invoice' ELSE 'credit_note' END FROM crm.orders AS o, crm.users AS u WHERE o.tenant_id = 1 AND o.id % 27 = 0 AND u.db_role = 'attack_agent_1';
-- others are posted: what is no part of the document is written all the same
UPDATE crm.invoices AS i SET state = 'posted', number = 'W' || i.id, issued_on = '2026-01-01', due_on = '2026-02-01', posted_at = '2026-01-01', bill_to = '{}' WHERE i.tenant_id = 1 AND i.id % 3 = 0;
INSERT INTO crm.invoice_lines (tenant_id, invoice_id, product_id, unit_price, price_includes_tax) SELECT 1, i.id, (SELECT min(p.id) FROM crm.products AS p WHERE p.tenant_id = 1), 1, false FROM crm.invoices AS i;
UPDATE crm.accounts AS a SET owner_id = u.id FROM crm.users AS u WHERE a.tenant_id = 1 AND a.id % 2 = 0 AND u.db_role = 'attack_agent_1';
INSERT INTO crm.payments (tenant_id, number, account_id, received_on, amount, currency) SELECT 1, 'W' || a.id, a.id, '2026-01-01', 1, 'USD' FROM crm.accounts AS a WHERE a.tenant_id = 1;
INSERT INTO crm.payment_allocations (tenant_id, invoice_id, payment_id, amount, source_amount)
SELECT 1, i.id, p.id, 1, 1 FROM crm.invoices AS i JOIN crm.payments AS p ON p.tenant_id = 1 AND p.account_id = i.account_id WHERE i.tenant_id = 1;
INSERT INTO crm.winback_members (tenant_id, campaign, account_id, arm, started_on) SELECT 1, 'x', a.id, 'treated', '2026-01-01' FROM crm.accounts AS a WHERE a.tenant_id = 1 AND a.id % 3 = 0;
SET session_replication_role = origin;
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = 1;
SELECT crm.fit_value_model('bgnbd') AS fitted \g /dev/null
SELECT crm.renew_rfm_edges() AS renewed \g /dev/null
RESET crm.tenant;
RESET SESSION AUTHORIZATION;

-- what is looked at: of each column whether it is declared, and a value that nobody would have come to by an honest way
CREATE TABLE attack.columns AS
SELECT r.relation, r.subject, r.class, a.attname AS name, a.attnum, format_type(a.atttypid, a.atttypmod) AS type,
       (SELECT k.rule FROM crm.column_rules AS k WHERE k.purposes @> '{write}' AND k.column_name = a.attname AND k.table_name IN ('*', r.subject)
        ORDER BY k.table_name = '*', k.declared_at IS NULL DESC, k.id DESC LIMIT 1) AS rule,
       f.user_key,
       CASE WHEN a.atttypid = 'timestamptz'::regtype THEN '2019-03-04 05:06:07+00'
            WHEN f.user_key THEN (SELECT u.id::text FROM crm.users AS u WHERE u.db_role = 'attack_colleague_1')
            WHEN a.atttypid = 'bytea'::regtype THEN '\xabcdef'
            WHEN a.atttypid = 'date'::regtype THEN '2019-03-04'
            WHEN a.attname = 'arm' THEN 'control'
            WHEN a.atttypid = 'jsonb'::regtype THEN '{"forged": 1}'
            WHEN a.atttypid = 'text'::regtype THEN 'USD'
            WHEN a.attname ~ '_id$' THEN NULL
            ELSE '37' END AS forged
FROM crm.registry AS r
JOIN pg_attribute AS a ON a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conrelid = r.relation AND k.contype = 'f' AND k.confrelid = 'crm.users'::regclass
                                   AND a.attnum = ANY (k.conkey) AND a.attname NOT IN ('tenant_id', 'owner_id')) AS user_key) AS f
WHERE r.class IN ('owned', 'child', 'work', 'catalogue')
  AND (a.atttypid = 'timestamptz'::regtype OR a.atttypid = 'bytea'::regtype OR f.user_key OR a.attname ~ '(_count$|^base_|^rows_|^attempts$)'
       -- what callers may not give to functions either
       OR EXISTS (SELECT FROM crm.column_rules AS k WHERE k.purposes @> '{*}' AND k.rule = 'keep' AND k.column_name = a.attname AND k.table_name = r.subject)
       OR EXISTS (SELECT FROM crm.column_rules AS k WHERE k.purposes @> '{write}' AND k.column_name = a.attname AND k.table_name IN ('*', r.subject)));
-- what refers to another record is forged with another record of its table
UPDATE attack.columns AS c
SET forged = (xpath('/row/id/text()', query_to_xml(format('SELECT min(id) AS id FROM %s WHERE tenant_id = 1', k.confrelid::regclass), false, true, '')))[1]::text
FROM pg_constraint AS k WHERE c.forged IS NULL AND k.conrelid = c.relation AND k.contype = 'f' AND c.attnum = ANY (k.conkey);

UPDATE attack.columns SET forged = '37' WHERE forged IS NULL;

CREATE TABLE attack.forgeries (role name, relation regclass, name name, way text, state text, stuck boolean);
-- tries a statement that returns the column as it was stored, and undoes it
CREATE FUNCTION attack.forge(who name, c attack.columns, way text, statement text) RETURNS text LANGUAGE plpgsql AS $f$
DECLARE stored text; state text := 'none'; n bigint;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL ROLE %I', who);
        EXECUTE statement INTO stored;
        GET DIAGNOSTICS n = ROW_COUNT;
        RESET ROLE;
        RAISE SQLSTATE 'ATT00';
    EXCEPTION WHEN SQLSTATE 'ATT00' THEN state := CASE WHEN n = 1 THEN 'stored' ELSE 'none' END;
              WHEN OTHERS THEN state := SQLSTATE || ' ' || SQLERRM;
    END;
    EXECUTE format('SELECT $1::%1$s IS NOT DISTINCT FROM $2::%1$s', c.type) INTO STRICT way USING stored, c.forged;
    IF state = 'none' THEN RETURN state; END IF;
    INSERT INTO attack.forgeries VALUES (who, c.relation, c.name, split_part(statement, ' ', 1), state, state = 'stored' AND way::boolean);
    RETURN state;
END
$f$;
CREATE FUNCTION attack.forge_all(who name) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
    file CONSTANT text := current_setting('data_directory') || '/PG_VERSION';
    c attack.columns; t record; keys text; others text; clones text; n integer; target text; said text;
BEGIN
    FOR t IN SELECT r.relation, crm.column_exists(r.relation, 'id') AS has_id FROM crm.registry AS r WHERE r.relation IN (SELECT x.relation FROM attack.columns AS x)
             AND has_table_privilege(who, r.relation, 'INSERT') LOOP
        -- rows that the role may change, and columns to make another one of them by
        SET LOCAL session_replication_role = replica;
        EXECUTE format('SET LOCAL ROLE %I', who);
        BEGIN
            EXECUTE format('WITH u AS (UPDATE %s AS t SET tenant_id = tenant_id WHERE ctid = ANY (ARRAY(SELECT x.ctid FROM %1$s AS x LIMIT 30)) RETURNING t.*) SELECT string_agg(quote_literal(to_jsonb(u)::text), '', '') FROM u', t.relation) INTO clones;
        EXCEPTION WHEN OTHERS THEN clones := NULL;
        END;
        RESET ROLE;
        SET LOCAL session_replication_role = origin;
        FOR c IN SELECT x.* FROM attack.columns AS x WHERE x.relation = t.relation AND x.forged IS NOT NULL LOOP
            SELECT string_agg(quote_ident(a.attname), ', ') FILTER (WHERE a.attname <> c.name), string_agg('x.' || quote_ident(a.attname), ', ') FILTER (WHERE a.attname <> c.name)
            INTO keys, others FROM pg_attribute AS a WHERE a.attrelid = t.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
              AND a.attname NOT IN ('source_id', 'source_system', 'owner_id', 'stage_id', 'pipeline_id')
              AND NOT EXISTS (SELECT FROM attack.columns AS k WHERE k.relation = t.relation AND k.name = a.attname AND k.rule IS NOT NULL AND k.rule <> 'fill');
            CONTINUE WHEN clones IS NULL;
            FOR n IN 1..2 LOOP
                -- with the columns of a row that is there, or with those that have to be
                said := attack.forge(who, c, 'INSERT', format('INSERT INTO %1$s AS t (%2$I, %3$s) SELECT %4$L, %5$s FROM unnest(ARRAY[%6$s]::jsonb[]) AS j, jsonb_populate_record(NULL::%1$s, j.j || %7$L) AS x LIMIT 1 RETURNING t.%2$I::text',
                    t.relation, c.name, keys, c.forged, others, clones, CASE n WHEN 1 THEN '{}' ELSE format('{"number": "%s", "name": "Forged %1$s", "code": "forged%1$s", "valid_from": "2019-01-01", "campaign": "x", "language": "xx", "external_id": "x%1$s", "is_published": false}', c.attnum) END));
                EXIT WHEN said = 'stored' OR said LIKE '42501%';
            END LOOP;
            said := attack.forge(who, c, 'UPDATE', format('UPDATE %1$s AS t SET %2$I = %3$L WHERE t.ctid = (SELECT x.ctid FROM %1$s AS x, unnest(ARRAY[%4$s]::jsonb[]) AS j WHERE j.j = to_jsonb(x) AND x.%2$I IS DISTINCT FROM %3$L LIMIT 1) RETURNING t.%2$I::text',
                t.relation, c.name, c.forged, clones));
        END LOOP;
        -- COPY asks nothing of row security, so PostgreSQL refuses it where there is any
        BEGIN
            EXECUTE format('SET LOCAL ROLE %I', who);
            EXECUTE format('COPY %s FROM %L', t.relation, file);
            RESET ROLE;
            INSERT INTO attack.forgeries VALUES (who, t.relation, NULL, 'COPY', 'stored', true);
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO attack.forgeries VALUES (who, t.relation, NULL, 'COPY', SQLSTATE || ' ' || SQLERRM, SQLERRM !~ 'row-level security');
        END;
    END LOOP;
END
$f$;
GRANT pg_read_server_files TO attack_agent_1, attack_manager_1;
SELECT attack.forge_all(r.role) FROM unnest('{attack_agent_1,attack_manager_1}'::name[]) AS r (role) \g /dev/null
REVOKE pg_read_server_files FROM attack_agent_1, attack_manager_1;

-- ---- what came of it ----
SELECT attack.expect(count(*) > 30, 'COPY is refused by row security on every table: ' || count(*) || coalesce(string_agg(E'\n' || relation || ' ' || role || ' ' || state, '') FILTER (WHERE stuck), ''))
FROM attack.forgeries WHERE way = 'COPY' HAVING NOT bool_or(stuck);
SELECT attack.expect(count(*) = 0, 'nothing forged is stored: ' || coalesce(string_agg(f.relation || '.' || f.name || ' ' || f.way || ' ' || f.role, E'\n'), 'no finding'))
FROM attack.forgeries AS f JOIN attack.columns AS c ON c.relation = f.relation AND c.name = f.name WHERE f.stuck AND c.rule IS DISTINCT FROM 'fill';
-- of a table without rows there is nothing to change: give it some above
SELECT attack.expect(count(*) FILTER (WHERE f.relation IS NOT NULL) = 0 AND count(*) < 20, 'each column was tried: ' || coalesce(string_agg(c.relation || '.' || c.name, ' '), 'all'))
FROM attack.columns AS c LEFT JOIN (SELECT DISTINCT x.relation FROM attack.forgeries AS x WHERE x.state = 'stored') AS f ON f.relation = c.relation
WHERE c.rule IS DISTINCT FROM 'fill' AND NOT EXISTS (SELECT FROM attack.forgeries AS f WHERE f.relation = c.relation AND f.name = c.name AND (f.state = 'stored' OR f.state LIKE '42501%'));
SELECT attack.expect(count(*) > 100 AND count(*) FILTER (WHERE c.rule = 'fill' AND f.stuck) > 20, count(*) || ' writes were refused or set right, those of open columns were stored: ' || count(*) FILTER (WHERE c.rule = 'fill' AND f.stuck))
FROM attack.forgeries AS f JOIN attack.columns AS c ON c.relation = f.relation AND c.name = f.name WHERE f.state = 'stored' OR f.state LIKE '42501%';
