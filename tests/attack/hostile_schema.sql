-- long: 60 s
-- Operators, functions, aggregates, types and relations of every common kind in front of the path: whatever is called and
-- written, by whomever, none of them runs. An attacker who owns one schema would else run as the owner of the CRM.
\ir ../helpers/two_tenants.sql
\ir ../helpers/attack.sql
\set QUIET 1

-- ---- the hostile schema ----
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE SEQUENCE hostile.hits;          -- counts what is rolled back, too
GRANT USAGE ON SEQUENCE hostile.hits TO PUBLIC;
CREATE FUNCTION hostile.note(what text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE context text;
BEGIN
    PERFORM nextval('hostile.hits');
    GET DIAGNOSTICS context = PG_CONTEXT;
    RAISE WARNING 'hostile % ran as % (session of %): %', what, current_user, session_user, context;
    RETURN true;
END
$$;
DO $do$
DECLARE
    o record; f record; made integer := 0; name text; body text; args text;
    common CONSTANT regtype[] := '{smallint,integer,bigint,text,name,boolean,timestamptz,timestamp,time,date,interval,numeric,real,double precision,jsonb,json,bytea,oid,bpchar,varchar,"char",tsvector,tsquery,regclass,
        text[],bigint[],integer[],double precision[],name[],jsonpath,tstzrange,daterange,int8range,anyarray,anyelement,anynonarray,anycompatible,anycompatiblearray,anyrange,anymultirange,anyenum,xid,cid,tid,uuid,regtype,regprocedure,regnamespace,regrole,aclitem}';
BEGIN
    FOR o IN SELECT op.oprname, op.oprleft::regtype AS l, op.oprright::regtype AS r, op.oprresult::regtype AS res FROM pg_operator AS op
             WHERE op.oprnamespace = 'pg_catalog'::regnamespace AND op.oprcode <> 0
               AND (op.oprleft = 0 OR op.oprleft = ANY (common)) AND op.oprright = ANY (common) LOOP
        made := made + 1;
        name := 'hostile.op_' || made;
        BEGIN
            IF o.l = 0 THEN
                EXECUTE format('CREATE FUNCTION %s(b %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM hostile.note(%L); RETURN OPERATOR(pg_catalog.%s) b; END $f$', name, o.r, o.res, o.oprname || ' ' || o.r, o.oprname);
                EXECUTE format('CREATE OPERATOR hostile.%s (FUNCTION = %s, RIGHTARG = %s)', o.oprname, name, o.r);
            ELSE
                EXECUTE format('CREATE FUNCTION %s(a %s, b %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM hostile.note(%L); RETURN a OPERATOR(pg_catalog.%s) b; END $f$',
                               name, o.l, o.r, o.res, concat_ws(' ', o.l, o.oprname, o.r), o.oprname);
                EXECUTE format('CREATE OPERATOR hostile.%s (FUNCTION = %s, LEFTARG = %s, RIGHTARG = %s)', o.oprname, name, o.l, o.r);
            END IF;
        EXCEPTION WHEN invalid_function_definition OR datatype_mismatch OR indeterminate_datatype OR syntax_error OR duplicate_function THEN made := made - 1; EXECUTE format('DROP ROUTINE IF EXISTS %s', name);
        END;
    END LOOP;
    PERFORM attack.expect(made > 500, made || ' operators');

    -- every function of PostgreSQL that can be written in PL/pgSQL, but those that need a caller of their own
    made := 0;
    FOR f IN SELECT p.oid, p.proname, p.pronargs, p.proretset, pg_get_function_result(p.oid) AS result, pg_get_function_identity_arguments(p.oid) AS args FROM pg_proc AS p JOIN pg_type AS t ON t.oid = p.prorettype
             WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.provariadic = 0 AND p.proallargtypes IS NULL
               AND p.prorettype NOT IN ('record'::regtype, 'trigger'::regtype, 'event_trigger'::regtype, 'internal'::regtype, 'cstring'::regtype, 'void'::regtype)
               AND (t.typtype <> 'p' OR p.prorettype = ANY (common))
               AND NOT EXISTS (SELECT FROM unnest(p.proargtypes::oid[]) AS a JOIN pg_type AS y ON y.oid = a WHERE y.typtype = 'p' AND a <> ALL (common::oid[])) LOOP
        args := (SELECT string_agg('$' || i, ', ' ORDER BY i) FROM generate_series(1, f.pronargs) AS i);
        BEGIN
            EXECUTE format('CREATE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM hostile.note(%L); RETURN %s pg_catalog.%I(%s); END $f$',
                           f.proname, f.args, f.result, 'function ' || f.proname, CASE WHEN f.proretset THEN 'QUERY SELECT' ELSE '' END, f.proname, args);
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    PERFORM attack.expect(made > 1500, made || ' functions');
    -- and some whose arguments can be anything, which only better ones come before
    FOREACH name IN ARRAY '{format,concat,concat_ws,jsonb_build_object,json_build_object,jsonb_build_array,num_nulls,num_nonnulls}'::text[] LOOP
        FOREACH args IN ARRAY '{"text","text,text","text,text,text","text,bigint","text,text,text,text","text,bigint,text,bigint","text,text,text,bigint"}'::text[] LOOP
            EXECUTE format('CREATE OR REPLACE FUNCTION hostile.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM hostile.note(%L); RETURN NULL; END $f$', name, args,
                           CASE WHEN name LIKE 'json%' THEN left(name, position('_' IN name) - 1) WHEN name LIKE 'num%' THEN 'integer' ELSE 'text' END, 'function ' || name);
        END LOOP;
    END LOOP;
END
$do$;
DO $do$
DECLARE a record; made integer := 0;
BEGIN
    FOR a IN SELECT n.name, t.type FROM unnest('{sum,min,max,avg,string_agg,array_agg,jsonb_agg,bool_or,bool_and,every,count}'::text[]) AS n (name),
                    unnest('{bigint,integer,numeric,text,boolean,timestamptz,date,double precision,jsonb}'::text[]) AS t (type) LOOP
        made := made + 1;
        EXECUTE format('CREATE FUNCTION hostile.step_%s(s %s, v %2$s) RETURNS %2$s LANGUAGE plpgsql AS $f$ BEGIN PERFORM hostile.note(%L); RETURN v; END $f$', made, a.type, 'aggregate ' || a.name);
        EXECUTE format('CREATE AGGREGATE hostile.%I(%s) (SFUNC = hostile.step_%s, STYPE = %2$s)', a.name, a.type, made);
    END LOOP;
    CREATE FUNCTION hostile.step_count(s bigint) RETURNS bigint LANGUAGE plpgsql AS $f$ BEGIN PERFORM hostile.note('aggregate count(*)'); RETURN s; END $f$;
    CREATE AGGREGATE hostile.count(*) (SFUNC = hostile.step_count, STYPE = bigint, INITCOND = '0');
    -- types that check what they are given, and relations that look at whoever reads them
    FOR a IN SELECT t.typname, format_type(t.oid, NULL) AS type FROM pg_type AS t
             WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'r') AND t.typcategory <> 'A' AND t.typname !~ '^(pg_|_)' AND t.typname <> 'char' LOOP
        EXECUTE format('CREATE DOMAIN hostile.%I AS pg_catalog.%1$I CHECK (hostile.note(%L))', a.typname, 'type ' || a.typname);
    END LOOP;
    FOR a IN SELECT c.relname, c.oid::regclass::text AS relation, string_agg(quote_ident(x.attname), ', ') AS columns FROM pg_class AS c JOIN pg_attribute AS x ON x.attrelid = c.oid AND x.attnum > 0 AND NOT x.attisdropped
             WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
               AND NOT EXISTS (SELECT FROM pg_attribute AS y WHERE y.attrelid = c.oid AND y.atttypid::regtype::text IN ('anyarray', 'pg_statistic[]')) GROUP BY c.oid LOOP
        EXECUTE format('CREATE VIEW hostile.%I AS SELECT %s FROM %s WHERE hostile.note(%L)', a.relname, a.columns, a.relation, 'relation ' || a.relname);
    END LOOP;
    FOR a IN SELECT c.relname FROM pg_class AS c WHERE c.relnamespace IN ('crm'::regnamespace, 'crm_internal'::regnamespace) AND c.relkind IN ('r', 'p', 'v') LOOP
        EXECUTE format('CREATE OR REPLACE VIEW hostile.%I AS SELECT 1::bigint AS tenant_id, 1::bigint AS id, 0::bigint AS n WHERE hostile.note(%L)', a.relname, 'relation ' || a.relname);
    END LOOP;
    GRANT SELECT ON ALL TABLES IN SCHEMA hostile TO PUBLIC;
END
$do$;

-- it works: seen to fail once, on purpose
SET client_min_messages = error;
SET search_path = hostile, pg_catalog;
SELECT 'a'::pg_catalog.text = 'b', lower('A'::pg_catalog.text), 'x'::text, count(*), (SELECT count(*) FROM pg_class) \g /dev/null
RESET search_path;
RESET client_min_messages;
SELECT attack.expect(last_value >= 5, 'the hostile schema is found: ' || last_value) FROM hostile.hits;
SELECT setval('hostile.hits', 1, false) \g /dev/null

-- ---- everything is called and written ----
INSERT INTO attack.statements (name, statement) SELECT c.name, c.statement FROM attack.calls('{plain}') AS c WHERE c.name !~ '^crm\.(generate_demo|install|uninstall_check)\(';
INSERT INTO attack.statements (name, statement) SELECT w.name, w.statement FROM attack.writes() AS w;
CREATE SCHEMA shop AUTHORIZATION attack_owner;
SET SESSION AUTHORIZATION attack_owner;
CREATE TABLE shop.visits (region text, amount numeric) PARTITION BY LIST (region);
CREATE TABLE shop.visits_a PARTITION OF shop.visits FOR VALUES IN ('a');
CREATE TABLE shop.visits_b AS SELECT 'b' AS region, 1.5 AS amount;
SELECT name AS made FROM crm.create_rollup('visits_by_region', 'shop.visits', '{region}', '{sum(amount)}') \gset
SELECT t.tenant_id AS third FROM crm.create_tenant('Third', 'EUR', 'Europe/Berlin') AS t \gset
RESET SESSION AUTHORIZATION;
-- each line is sent under the hostile path, so it uses no operator and no function of PostgreSQL's by its bare name
SET SESSION AUTHORIZATION attack_nobody;
SET search_path = hostile, pg_catalog, public;
SELECT attack.run('nobody') \g /dev/null
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION attack_reader_1;
SET search_path = hostile, pg_catalog, public;
SELECT attack.run('reader') \g /dev/null
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION attack_agent_1;
SET search_path = hostile, pg_catalog, public;
SELECT attack.run('agent') \g /dev/null
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION attack_manager_1;
SET search_path = hostile, pg_catalog, public;
SELECT attack.run('manager') \g /dev/null
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION attack_admin_1;
SET search_path = hostile, pg_catalog, public;
SELECT attack.run('admin') \g /dev/null
RESET SESSION AUTHORIZATION;
-- other values, and defaults, as who gets furthest
RESET search_path;
INSERT INTO attack.statements (name, statement) SELECT c.name, c.statement FROM attack.calls('{other,short}') AS c WHERE c.name !~ '^crm\.(generate_demo|install|uninstall_check)\(';
SET SESSION AUTHORIZATION attack_owner;
SET crm.tenant = '1';
SET search_path = hostile, pg_catalog, public;
SELECT attack.run('owner') \g /dev/null
-- what changes so much that it has a call of its own
SELECT crm.install() \g /dev/null
SELECT crm.uninstall_check() \g /dev/null
SET crm.tenant = :'third';
SELECT crm.generate_demo(1, 7) \g /dev/null
RESET crm.tenant;
RESET SESSION AUTHORIZATION;
-- and what only a superuser does, whose path somebody has got at
DROP TABLE shop.visits_a;
ALTER TABLE shop.visits ATTACH PARTITION shop.visits_b FOR VALUES IN ('b');
SELECT crm.install() \g /dev/null
SELECT crm.run_maintenance() \g /dev/null
RESET search_path;

SELECT role, count(*) AS statements, count(*) FILTER (WHERE state = 'ATT00') AS succeeded, count(*) FILTER (WHERE state = '42501') AS refused FROM attack.results GROUP BY role ORDER BY 3;
SELECT attack.expect(count(*) FILTER (WHERE r.state LIKE 'XX%') = 0, 'no internal error: ' || coalesce(string_agg(DISTINCT s.statement || ': ' || r.message, E'\n') FILTER (WHERE r.state LIKE 'XX%'), '-'))
FROM attack.results AS r JOIN attack.statements AS s USING (n);
SELECT attack.expect(count(*) FILTER (WHERE state = 'ATT00') > 0.4 * count(*), 'as owner the calls go in deep enough') FROM attack.results WHERE role = 'owner';
SELECT attack.expect(NOT is_called, 'nothing of the hostile schema was run') FROM hostile.hits;
