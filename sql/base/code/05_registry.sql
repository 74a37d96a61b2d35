-- The registry: who reads it, and how what it says is put on a table. Declaring stands in members/05_registry.sql.
-- Readers are PL/pgSQL, because every write of a record asks them: a SQL function that has a path of its own cannot be
-- inlined and is planned anew by every statement that calls it.

CREATE OR REPLACE FUNCTION crm.subject_relation(subject text) RETURNS regclass
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT r.relation FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation
            WHERE r.subject = subject_relation.subject AND (r.declared_at IS NOT NULL OR crm.trusted_table(r.relation)));
END
$$;
COMMENT ON FUNCTION crm.subject_relation(text) IS
'Table that a column like subject_table means: leads for crm.leads, schema.table for a table an owner attached. '
'NULL where none is registered under the name, or its owner can no longer act as the CRM''s.';

-- tables that were dropped since have a row, but no relation
CREATE OR REPLACE FUNCTION crm.registered_as(option text)
RETURNS TABLE (subject text, relation regclass, options jsonb)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 20
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
        SELECT r.subject, r.relation, r.options
        FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation
        WHERE coalesce(r.options -> registered_as.option, 'false') <> 'false'
          AND (r.declared_at IS NOT NULL OR crm.trusted_table(r.relation))
        ORDER BY r.subject;
END
$$;
COMMENT ON FUNCTION crm.registered_as(text) IS 'Tables of which an option is said (crm.table_options()) and is not false.';

CREATE OR REPLACE FUNCTION crm.require_registered(subject text, option text)
RETURNS regclass
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found regclass;
BEGIN
    SELECT r.relation INTO found
    FROM crm.registry AS r JOIN pg_class AS c ON c.oid = r.relation
    WHERE r.subject = require_registered.subject AND coalesce(r.options -> require_registered.option, 'false') <> 'false';
    IF found IS NOT NULL AND crm.subject_relation(subject) IS NULL THEN
        RAISE EXCEPTION 'the owner of table % cannot act as the owner of the CRM any more', found
            USING ERRCODE = 'insufficient_privilege', HINT = 'Give the table to the owner of the CRM, or take it out with crm.detach().';
    END IF;
    IF found IS NULL THEN
        RAISE EXCEPTION 'table "%" is not registered for "%"', subject, option
            USING ERRCODE = 'undefined_table',
                  DETAIL = (SELECT format('Registered are: %s.', coalesce(string_agg(r.subject, ', '), 'none'))
                            FROM crm.registered_as(require_registered.option) AS r),
                  HINT = 'The owner of the CRM adds a table with crm.attach(table, ''{"' || option || '": true}'').';
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm.require_registered(text, text) IS
'The table of a name, where it is registered with an option; otherwise error 42P01, which names those that are.';

-- links as crm.table_options() describes them, one row each
CREATE OR REPLACE FUNCTION crm.table_links(relation regclass DEFAULT NULL)
RETURNS TABLE (subject text, relation regclass, kind text, column_name text, target text, target_column text, merge boolean,
               options jsonb)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.subject, r.relation, k.kind, l.key,
           CASE jsonb_typeof(l.value) WHEN 'string' THEN l.value #>> '{}' ELSE l.value ->> 'table' END,
           CASE jsonb_typeof(l.value) WHEN 'object' THEN l.value ->> 'table_in' END,
           jsonb_typeof(l.value) = 'object' AND coalesce((l.value ->> 'merge')::boolean, false),
           CASE jsonb_typeof(l.value) WHEN 'object' THEN l.value ELSE '{}' END
    FROM crm.registry AS r
    JOIN pg_class AS c ON c.oid = r.relation
    CROSS JOIN (VALUES ('parent'), ('about')) AS k (kind)
    CROSS JOIN LATERAL jsonb_each(CASE WHEN r.options ? k.kind THEN r.options -> k.kind ELSE '{}' END) AS l
    WHERE table_links.relation IS NULL OR r.relation = table_links.relation
    ORDER BY r.subject, k.kind DESC, l.key
$$;
COMMENT ON FUNCTION crm.table_links(regclass) IS
'Whose children rows are (kind parent) and whom they are about besides (kind about), of one table or of all: the column, and the table '
'it refers to (target) or the column that names it (target_column). merge: rows go over when what they refer to is merged. '
'options: all that is said of the link.';

-- ---- hooks ----

CREATE OR REPLACE FUNCTION crm_internal.hooks_at(point text)
RETURNS SETOF regprocedure
LANGUAGE plpgsql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN QUERY
        SELECT to_regprocedure(h.function_name) FROM crm_internal.hooks AS h
        WHERE h.point = hooks_at.point AND to_regprocedure(h.function_name) IS NOT NULL
        ORDER BY h.ordinal;
END
$$;
COMMENT ON FUNCTION crm_internal.hooks_at(text) IS 'Functions that hang into a point, in the order of their rooms.';

-- ---- putting it on tables ----

CREATE OR REPLACE FUNCTION crm_internal.set_trigger(relation regclass, name text, wanted boolean, events text, action text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- the part of a name that is the table's leaves room for the rest of it
    full_name CONSTANT text := (SELECT left(c.relname, 40) FROM pg_class AS c WHERE c.oid = relation) || name;
    other regproc;
BEGIN
    -- one that a file has made by hand under such a name would be replaced, or go without a word
    SELECT t.tgfoid INTO other FROM pg_trigger AS t
    WHERE t.tgrelid = relation AND t.tgname = full_name AND strpos(action, 'EXECUTE FUNCTION ' || t.tgfoid::regproc || '(') = 0;
    IF FOUND THEN
        RAISE EXCEPTION 'trigger "%" of % calls %', full_name, relation, other
            USING ERRCODE = 'duplicate_object', HINT = 'Give it a name that does not end in ' || name || ', which the CRM makes and takes away itself.';
    END IF;
    IF wanted THEN
        EXECUTE format('CREATE OR REPLACE TRIGGER %I %s ON %s %s', full_name, events, relation::regclass, action);
    ELSIF EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = relation AND t.tgname = full_name) THEN
        EXECUTE format('DROP TRIGGER %I ON %s', full_name, relation::regclass);
    END IF;
    IF action ~ 'FOR EACH STATEMENT' THEN
        PERFORM crm_internal.set_partition_triggers(relation, full_name, wanted, events, action);
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.set_trigger(regclass, text, boolean, text, text) IS
'Makes a trigger of a table, or takes it away where it is not wanted. name follows the name of the table; events as in AFTER INSERT, '
'with WHEN and all that follows in action.';

CREATE OR REPLACE FUNCTION crm_internal.table_is(relation regclass, option text)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN coalesce((SELECT coalesce(r.options -> option, 'false') <> 'false' FROM crm.registry AS r WHERE r.relation = table_is.relation), false);
END
$$;
COMMENT ON FUNCTION crm_internal.table_is(regclass, text) IS 'Whether an option is said of a table and is not false.';

CREATE OR REPLACE FUNCTION crm.holds_records(relation regclass, class text) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN coalesce(class IN ('owned', 'work', 'child', 'catalogue', 'configuration'), false) AND crm.column_exists(relation, 'tenant_id')
           AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = 'id' AND a.atttypid = 'bigint'::regtype);
END
$$;
COMMENT ON FUNCTION crm.holds_records(regclass, text) IS
'Whether rows of a table of this class are records with an id that somebody besides the owner may write.';

CREATE OR REPLACE FUNCTION crm_internal.apply_compiled(relation regclass)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.set_trigger(relation, '_after_changed',
        crm_internal.table_is(relation, 'compiled')
            OR (SELECT r.class = 'configuration' AND NOT r.options ? 'compiled' FROM crm.registry AS r WHERE r.relation = apply_compiled.relation),
        'AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE', 'FOR EACH STATEMENT EXECUTE FUNCTION crm.configuration_changed()')
$$;
COMMENT ON FUNCTION crm_internal.apply_compiled(regclass) IS 'Backends learn of changes of a table that they may have compiled.';
SELECT crm.declare_hook('table', 'crm_internal.apply_compiled(regclass)');

-- security definer: what is registered is looked up for writers of every level
-- for crm.kept_text(): rows by the hundred thousand ask it
CREATE OR REPLACE FUNCTION crm_internal.registered_name(subject text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT crm.subject_relation(subject)::text $$;
COMMENT ON FUNCTION crm_internal.registered_name(text) IS 'The table that is registered under a name; NULL where none is.';

CREATE OR REPLACE FUNCTION crm_internal.check_table_name()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    given CONSTANT text := to_jsonb(NEW) ->> TG_ARGV[0];
BEGIN
    IF TG_ARGV[1] <> '' THEN
        PERFORM crm.require_registered(given, TG_ARGV[1]);
    ELSIF crm.kept_text('registered_name', given) IS NULL THEN
        RAISE EXCEPTION 'column "%" names table "%", which is not registered', TG_ARGV[0], given
            USING ERRCODE = 'undefined_table',
                  DETAIL = (SELECT 'Registered are: ' || string_agg(r.subject, ', ' ORDER BY r.subject) || '.' FROM crm.registry AS r
                            WHERE r.class IN ('owned', 'work', 'catalogue') OR r.class IS NULL),
                  HINT = 'The owner of the CRM registers a table with crm.attach().';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_table_name() IS
'Row trigger with a column and an option: the column names a table that is registered, with that option where it is not empty. Error 42P01 otherwise.';

CREATE OR REPLACE FUNCTION crm_internal.apply_names(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c record;
BEGIN
    FOR c IN SELECT e.key, e.value FROM crm.registry AS r, jsonb_each_text(coalesce(r.options -> 'names', '{}')) AS e
             WHERE r.relation = apply_names.relation LOOP
        PERFORM crm_internal.set_trigger(relation, '_before_insert_' || c.key, true, 'BEFORE INSERT',
            format('FOR EACH ROW WHEN (NEW.%I IS NOT NULL) EXECUTE FUNCTION crm_internal.check_table_name(%L, %L)', c.key, c.key, c.value));
        PERFORM crm_internal.set_trigger(relation, '_before_update_' || c.key, true, 'BEFORE UPDATE',
            format('FOR EACH ROW WHEN (NEW.%1$I IS DISTINCT FROM OLD.%1$I AND NEW.%1$I IS NOT NULL) EXECUTE FUNCTION crm_internal.check_table_name(%1$L, %2$L)',
                   c.key, c.value));
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_names(regclass) IS 'Triggers that check columns which name tables (option names).';
SELECT crm.declare_hook('table', 'crm_internal.apply_names(regclass)');

CREATE OR REPLACE FUNCTION crm_internal.apply_table(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hook regprocedure;
BEGIN
    FOR hook IN SELECT h FROM crm_internal.hooks_at('table') AS h LOOP
        EXECUTE format('SELECT %s($1)', hook::regproc) USING relation;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_table(regclass) IS 'Puts on a table what its registration asks for, and takes off what it no longer does.';

-- What a room has written of the rows of a table, and what it still waits for, ends with the option that led to it; hooks at option_ended, with
-- the name of the table and the option.
CREATE OR REPLACE FUNCTION crm_internal.end_option(subject text, option text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    hook regprocedure;
BEGIN
    FOR hook IN SELECT h FROM crm_internal.hooks_at('option_ended') AS h LOOP
        EXECUTE format('SELECT %s($1, $2)', hook::regproc) USING subject, option;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.end_option(text, text) IS 'Ends what was begun for rows of a table by an option; option NULL: the table itself is gone.';

CREATE OR REPLACE FUNCTION crm_internal.forget_table(relation oid)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm_internal.end_option(r.subject, NULL) FROM crm.registry AS r WHERE r.relation = forget_table.relation;
    DELETE FROM crm.registry AS r WHERE r.relation = forget_table.relation;
EXCEPTION WHEN undefined_table OR undefined_function OR undefined_column OR undefined_object OR invalid_schema_name THEN
    -- the CRM is being taken down piece by piece, as by pg_restore --clean: there is nothing to keep in order
    RETURN;
END
$$;
COMMENT ON FUNCTION crm_internal.forget_table(oid) IS
'What is left of a table that was attached and is gone: its history ends, and nothing waits for its rows.';

CREATE OR REPLACE FUNCTION crm_internal.finish_declarations()
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- what the code of this version no longer declares
    DELETE FROM crm_internal.function_levels AS f WHERE f.declared_at < now();
    DELETE FROM crm_internal.hooks AS h WHERE h.declared_at < now();
    DELETE FROM crm_internal.api_functions AS f WHERE f.declared_at < now();
    DELETE FROM crm_internal.declared_events AS e WHERE e.declared_at < now();
    DELETE FROM crm.column_rules AS r WHERE r.declared_at < now();
    UPDATE crm.registry AS r SET declared = '{}', declared_at = NULL WHERE r.declared_at < now();
    DELETE FROM crm.registry AS r WHERE r.declared_at IS NULL AND r.attached = '{}';
    PERFORM crm_internal.forget_table(r.relation) FROM crm.registry AS r
    WHERE r.declared_at IS NULL AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = r.relation);
    PERFORM crm_internal.apply_table(r.relation) FROM crm.registry AS r ORDER BY r.subject;
END
$$;
COMMENT ON FUNCTION crm_internal.finish_declarations() IS
'End of an installation: forgets what is not declared any more, and puts on every table what is.';

-- ---- tables of the owner's own ----

CREATE OR REPLACE FUNCTION crm.attach(table_name regclass, options jsonb)
RETURNS text
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    name text;
    crm_owner CONSTANT oid := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = 'crm.registry'::regclass);
    other regclass;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = table_name AND c.relkind IN ('r', 'p') AND NOT c.relispartition) THEN
        RAISE EXCEPTION '% is not a table', table_name
            USING ERRCODE = 'wrong_object_type', HINT = 'Attach an ordinary or a partitioned table, not one of its partitions.';
    END IF;
    -- What the CRM does about rows it does as its owner, and then the table's own triggers run as the owner of the CRM: whoever
    -- may put triggers on the table must be able to act as that owner anyway. That the CRM's owner is a member of the table's is not enough.
    IF NOT crm.trusted_table(table_name) THEN
        RAISE EXCEPTION 'table % does not belong to the owner of the CRM', table_name
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('ALTER TABLE %s OWNER TO %I; its triggers run with the rights of that role from then on.',
                                table_name, pg_get_userbyid(crm_owner));
    END IF;
    PERFORM crm.check_table_options(table_name, options);
    -- a table that was dropped leaves its name to the one made in its place, with what was said about it
    DELETE FROM crm.registry AS r WHERE r.subject = crm.subject_name(table_name) AND r.relation <> table_name
        AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = r.relation);
    SELECT r.relation INTO other FROM crm.registry AS r WHERE r.subject = crm.subject_name(table_name) AND r.relation <> table_name;
    IF FOUND THEN
        RAISE EXCEPTION 'the records of % go by the name "%"', other, crm.subject_name(table_name) USING ERRCODE = 'duplicate_object',
            HINT = format('That table was attached under this name and renamed since. Drop it, or give %s another name.', table_name);
    END IF;
    INSERT INTO crm.registry AS r (subject, relation, attached)
    VALUES (crm.subject_name(table_name), table_name, options)
    ON CONFLICT ON CONSTRAINT registry_relation_key DO UPDATE SET attached = r.attached || excluded.attached
    RETURNING r.subject INTO name;
    PERFORM crm_internal.apply_table(table_name);
    RETURN name;
END
$$;
COMMENT ON FUNCTION crm.attach(regclass, jsonb) IS
'Says what a table of the owner''s own is, or more of a table of the CRM, and puts on it what that takes: process, clocks, assignment, '
'import, segments, custom fields, tags, row security and so on, by the options of crm.table_options(). Kept by dump and restore and by '
'upgrades; safe to call again. Returns the name under which columns like subject_table refer to the table. Only the owner of the CRM, '
'whose table it must be. Errors: 42809 for what is no table, 42501 for a table of somebody else, 22023 unknown options, 42P16 options '
'that do not fit the table.';
SELECT crm.declare_function('crm.attach', 'owner');

CREATE OR REPLACE FUNCTION crm.detach(table_name regclass, option text)
RETURNS boolean
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    had boolean;
BEGIN
    SELECT r.attached ? option INTO had FROM crm.registry AS r WHERE r.relation = table_name;
    IF had IS NOT TRUE THEN
        RETURN false;
    END IF;
    UPDATE crm.registry AS r SET attached = r.attached - option WHERE r.relation = table_name;
    PERFORM crm_internal.apply_table(table_name), crm_internal.end_option(r.subject, option) FROM crm.registry AS r WHERE r.relation = table_name;
    DELETE FROM crm.registry AS r WHERE r.relation = table_name AND r.attached = '{}' AND r.declared_at IS NULL;
    RETURN true;
END
$$;
COMMENT ON FUNCTION crm.detach(regclass, text) IS
'Takes back an option that crm.attach() gave a table. What was written meanwhile, such as history, is kept and ends now: periods are closed, clocks are '
'cancelled, segments are switched off. Row security and rights that "class" gave stay, so that nobody sees more than before. A table that is dropped loses all '
'its options. Returns whether it had been given. Only the owner of the CRM.';
SELECT crm.declare_function('crm.detach', 'owner');
