-- long: 70 s
-- Who may see and change what, said a second time in plain SQL, and compared with what fourteen roles of two companies get from
-- every table, view and function of the catalogue that only reads. What is added to the CRM later is asked too.
--
-- Rows: the ids that a role reads, updates and deletes are those of attack.allowed, which looks at users, teams, the columns of the
-- row and the parents declared in the registry, and calls nothing of the CRM.
-- Everything else: what a view or function says to somebody must be what it would say to them if the rows they may not see did not
-- exist. So these rows are taken away, rollups are made anew, and it is asked again.
\ir ../helpers/walls.sql

-- ---- rows of tables ----
CREATE TABLE attack.differences (role name, what text, detail text);
CREATE TABLE attack.probes (role name, kind text, n bigint);
CREATE FUNCTION attack.probe_rows(who name) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
    t record; action text; got tid[]; missing bigint; too_many bigint; asked bigint := 0; problem text;
BEGIN
    FOR t IN SELECT c.oid::regclass AS relation, n.rows FROM pg_class AS c LEFT JOIN (SELECT a.relation, count(*) AS rows FROM attack.allowed AS a GROUP BY 1) AS n ON n.relation = c.oid
             WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND crm.column_exists(c.oid, 'tenant_id') ORDER BY c.relname LOOP
        FOREACH action IN ARRAY '{SELECT ctid FROM %1$s,UPDATE %1$s SET tenant_id = tenant_id RETURNING old,DELETE FROM %1$s RETURNING ctid}'::text[] LOOP
            problem := NULL;
            BEGIN
                EXECUTE format('SET LOCAL ROLE %I', who);
                IF action LIKE 'UPDATE%' THEN
                    -- the row moves when it is updated, so it is found by what it was
                    EXECUTE format('WITH o AS MATERIALIZED (SELECT t.ctid AS c, row_number() OVER () AS n, t AS r FROM %1$s AS t), u AS (UPDATE %1$s AS t SET tenant_id = t.tenant_id FROM o WHERE t.ctid = o.c RETURNING o.c)
                                    SELECT coalesce(array_agg(u.c), ''{}'') FROM u', t.relation) INTO got;
                ELSE
                    EXECUTE format('WITH u AS (' || action || ') SELECT coalesce(array_agg(u.ctid), ''{}'') FROM u', t.relation) INTO got;
                END IF;
                RESET ROLE;
                RAISE SQLSTATE 'ATT00';
            EXCEPTION WHEN insufficient_privilege THEN got := '{}';
                      WHEN SQLSTATE 'ATT00' THEN NULL;
                      WHEN OTHERS THEN problem := SQLSTATE || ' ' || SQLERRM; got := '{}';
            END;
            SELECT count(*) FILTER (WHERE a.row_id IS NULL), count(*) FILTER (WHERE g.row_id IS NULL) INTO too_many, missing
            FROM (SELECT x.row_id FROM attack.allowed AS x WHERE x.role = who AND x.relation = t.relation AND x.sees AND (action LIKE 'SELECT%' OR x.changes)) AS a
            FULL JOIN unnest(got) AS g (row_id) ON g.row_id = a.row_id;
            asked := asked + coalesce(t.rows, 0);
            IF too_many + missing > 0 OR problem IS NOT NULL THEN
                INSERT INTO attack.differences VALUES (who, split_part(action, ' ', 1) || ' ' || t.relation, format('%s too many, %s missing %s', too_many, missing, problem));
            END IF;
        END LOOP;
    END LOOP;
    INSERT INTO attack.probes VALUES (who, 'rows', asked);
END
$f$;
SET session_replication_role = replica;
SELECT attack.probe_rows(p.role) FROM attack.people AS p \g /dev/null
SET session_replication_role = origin;
SELECT attack.expect(count(*) = 0, 'rows of tables: ' || coalesce(string_agg(DISTINCT what || ': ' || detail || ' ' || role, E'\n'), 'no difference')) FROM attack.differences;

-- ---- views and functions: what they say is what they would say without the rest ----
CREATE TABLE attack.questions AS
SELECT row_number() OVER (ORDER BY name, statement) AS n, q.* FROM (
    SELECT c.oid::regclass::text AS name, format('SELECT * FROM %s', c.oid::regclass) AS statement FROM pg_class AS c
    WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_analytics'::regnamespace) AND c.relkind IN ('v', 'm')
    UNION SELECT c.name, c.statement FROM attack.calls('{plain,short}') AS c JOIN pg_proc AS p ON p.oid = c.name::regprocedure
    -- what may write is asked too where readers may call it; aggregates look at nothing but their arguments
    WHERE (p.provolatile <> 'v' OR EXISTS (SELECT FROM crm_internal.function_rules() AS l WHERE l.function = p.oid::regprocedure AND l.class = 'reader') OR p.proname ~ '^get_') AND p.prokind = 'f'
    -- fills all rows of a table into an array, or is about the storage or the session itself and not about a company
      AND p.proname NOT IN ('rows_support', 'write_counts', 'written_xids')
) AS q;
GRANT SELECT ON attack.questions TO PUBLIC;
CREATE TABLE attack.answers (role name, n bigint, reduced boolean, answer text);
CREATE FUNCTION attack.answer(who name, statement text) RETURNS text LANGUAGE plpgsql AS $f$
DECLARE
    said text;
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', who);
    EXECUTE format('SELECT count(*) || '' '' || coalesce(md5(string_agg(x.t, E''\n'' ORDER BY x.t COLLATE "C")), '''') FROM (SELECT r::text AS t FROM (%s) AS r) AS x', statement) INTO said;
    RAISE SQLSTATE 'ATT00';
EXCEPTION WHEN SQLSTATE 'ATT00' THEN RETURN said;
          WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END
$f$;
CREATE FUNCTION attack.ask(who name, is_reduced boolean) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
    q record;
BEGIN
    FOR q IN SELECT * FROM attack.questions ORDER BY n LOOP
        INSERT INTO attack.answers VALUES (who, q.n, is_reduced, attack.answer(who, q.statement));
    END LOOP;
END
$f$;
CREATE FUNCTION attack.compare(who name) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
    t record; kept jsonb;
BEGIN
    PERFORM attack.ask(who, false);
    BEGIN
        SET LOCAL session_replication_role = replica;
        -- the other company's go too; tenants and users stay, as the answers to everything begin with them
        FOR t IN SELECT DISTINCT a.relation FROM attack.allowed AS a WHERE a.relation NOT IN ('crm.tenants'::regclass, 'crm.users'::regclass) LOOP
            EXECUTE format('DELETE FROM %s AS t WHERE NOT EXISTS (SELECT FROM attack.allowed AS a WHERE a.role = $1 AND a.relation = %1$L::regclass AND a.row_id = t.ctid AND a.sees)', t.relation) USING who;
        END LOOP;
        SET LOCAL session_replication_role = origin;
        PERFORM crm.rebuild_rollup(r.name) FROM crm.rollups AS r;
        PERFORM attack.ask(who, true);
        SELECT jsonb_agg(to_jsonb(a)) INTO kept FROM attack.answers AS a WHERE a.role = who AND a.reduced;
        RAISE SQLSTATE 'ATT00';
    EXCEPTION WHEN SQLSTATE 'ATT00' THEN
        INSERT INTO attack.answers SELECT r.* FROM jsonb_populate_recordset(NULL::attack.answers, kept) AS r;
    END;
    INSERT INTO attack.probes SELECT who, 'answers', count(*) FROM attack.answers AS a WHERE a.role = who AND a.reduced;
END
$f$;
SET jit = off;
-- each way to see a part, and each to see the whole, in one company or the other
SELECT attack.compare(r.role) FROM unnest('{attack_agent_1,attack_viewer_1,attack_temp_1,attack_lead_2,attack_manager_1,attack_reader_1,attack_admin_2,attack_nobody}'::name[]) AS r (role) \g /dev/null
SELECT attack.expect(count(*) = 0, 'views and functions: ' || coalesce(string_agg(f.role || ' ' || q.statement || ': ' || left(f.answer, 60) || ' | ' || left(r.answer, 60), E'\n'), 'no difference'))
FROM attack.answers AS f JOIN attack.answers AS r ON r.role = f.role AND r.n = f.n AND r.reduced AND NOT f.reduced AND r.answer IS DISTINCT FROM f.answer JOIN attack.questions AS q ON q.n = f.n
-- what never says the same twice, such as what is sealed, cannot be compared
WHERE attack.answer(f.role, q.statement) = f.answer;
-- it looked at something: agents saw a part, and functions answered
SELECT attack.expect(count(*) FILTER (WHERE NOT a.sees) > 1000 AND count(*) FILTER (WHERE a.sees) > 1000, 'an agent sees a part of the rows') FROM attack.allowed AS a WHERE a.role = 'attack_agent_1';
SELECT attack.expect(count(*) FILTER (WHERE a.answer ~ '^[1-9]') > 0.5 * count(*), 'most questions of an agent have an answer') FROM attack.answers AS a WHERE a.role = 'attack_agent_1';
SELECT kind || ': ' || sum(n) || ' probes' AS asked FROM attack.probes GROUP BY kind ORDER BY kind;
