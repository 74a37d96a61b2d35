-- Things every record may have: a version, custom fields, tags, a place in a tree.

CREATE OR REPLACE FUNCTION crm_internal.apply_row_checks(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
    what text;
    above text;     -- column that refers to the row above; '' for none
BEGIN
    SELECT x.* INTO r FROM crm.registry AS x WHERE x.relation = apply_row_checks.relation;
    PERFORM crm_internal.set_trigger(relation, '_before_version', crm_internal.table_is(relation, 'version'),
        'BEFORE UPDATE', 'FOR EACH ROW EXECUTE FUNCTION crm.check_version()');

    PERFORM crm_internal.set_trigger(relation, '_before_insert_custom', crm_internal.table_is(relation, 'custom'),
        'BEFORE INSERT', format('FOR EACH ROW EXECUTE FUNCTION crm.check_custom_fields(%L)', r.subject));
    PERFORM crm_internal.set_trigger(relation, '_before_update_custom', crm_internal.table_is(relation, 'custom'),
        'BEFORE UPDATE', format('FOR EACH ROW EXECUTE FUNCTION crm.if_changed(''crm.check_custom_fields'', ''custom'', %L)', r.subject));

    PERFORM crm_internal.set_trigger(relation, '_before_insert_tags', crm_internal.table_is(relation, 'tags'),
        'BEFORE INSERT', 'FOR EACH ROW WHEN (NEW.tags <> ''{}'') EXECUTE FUNCTION crm.check_tags()');
    PERFORM crm_internal.set_trigger(relation, '_before_update_tags', crm_internal.table_is(relation, 'tags'),
        'BEFORE UPDATE', 'FOR EACH ROW EXECUTE FUNCTION crm.if_changed(''crm.check_tags'', ''tags'')');

    -- neither a place in a tree nor what was merged into what goes in a circle
    FOR what, above IN SELECT o.name, coalesce(r.options ->> o.name, '') FROM unnest('{tree,merge}'::text[]) AS o (name) LOOP
        PERFORM crm_internal.set_trigger(relation, '_after_insert_' || what, above <> '',
            'AFTER INSERT', format('FOR EACH ROW WHEN (NEW.%I IS NOT NULL) EXECUTE FUNCTION crm.check_tree(%L, %L)', above, r.subject, above));
        PERFORM crm_internal.set_trigger(relation, '_after_update_' || what, above <> '',
            'AFTER UPDATE', format('FOR EACH ROW WHEN (NEW.%1$I IS DISTINCT FROM OLD.%1$I AND NEW.%1$I IS NOT NULL) '
                                   'EXECUTE FUNCTION crm.check_tree(%2$L, %1$L)',
                                   above, r.subject));
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_row_checks(regclass) IS 'Triggers for what a table is registered with: version, custom, tags, tree.';
SELECT crm.declare_hook('table', 'crm_internal.apply_row_checks(regclass)');

CREATE OR REPLACE FUNCTION crm_internal.apply_missing(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
    c record;
    given text;
    arguments text;
BEGIN
    SELECT x.* INTO r FROM crm.registry AS x WHERE x.relation = apply_missing.relation;
    FOR c IN SELECT v.name, r.options -> 'missing' -> v.name AS sources FROM (VALUES ('currency'), ('country')) AS v (name) LOOP
        SELECT string_agg(format(', %L, %L', split_part(s.path, '.', 1), crm.source_query(relation, s.path, c.name)), '' ORDER BY s.place)
        INTO arguments FROM jsonb_array_elements_text(c.sources) WITH ORDINALITY AS s (path, place);
        -- a currency that may be empty is that of amounts: where there is none, nothing is said
        given := CASE WHEN c.name = 'currency' AND NOT EXISTS (
                           SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = 'currency' AND a.attnotnull)
                      THEN (SELECT ' AND num_nonnulls(' || string_agg(format('NEW.%I', a.attname), ', ' ORDER BY a.attnum) || ') > 0'
                            FROM pg_attribute AS a
                            WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
                              AND a.atttypid = 'numeric'::regtype)
                      ELSE '' END;
        PERFORM crm_internal.set_trigger(relation, '_before_' || c.name, c.sources IS NOT NULL,
            CASE c.name WHEN 'currency' THEN 'BEFORE INSERT OR UPDATE' ELSE 'BEFORE INSERT' END,
            format('FOR EACH ROW WHEN (NEW.%I IS NULL%s) EXECUTE FUNCTION crm.fill_missing(%L%s)', c.name, given, c.name, coalesce(arguments, '')));
        -- rows written as a replica writes them need a currency as well
        IF c.sources IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', relation::regclass,
                           (SELECT t.tgname FROM pg_trigger AS t WHERE t.tgrelid = relation AND t.tgname LIKE '%\_before\_' || c.name));
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.apply_missing(regclass) IS 'Triggers that fill an empty currency or country from what a row refers to, else from its tenant.';
SELECT crm.declare_hook('table', 'crm_internal.apply_missing(regclass)');

CREATE OR REPLACE FUNCTION crm.guard_custom_field()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.require_registered(NEW.table_name, 'custom');
    IF TG_OP = 'UPDATE' AND (NEW.table_name, NEW.name, NEW.type) IS DISTINCT FROM (OLD.table_name, OLD.name, OLD.type) THEN
        RAISE EXCEPTION 'table, name and type of custom field "%" cannot be changed', OLD.name
            USING ERRCODE = 'feature_not_supported',
                  HINT = 'Set active = false and declare another field.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm.guard_custom_field() IS 'Trigger: custom fields belong to tables that can have them, and keep their type.';
CREATE OR REPLACE TRIGGER custom_fields_before_guard BEFORE INSERT OR UPDATE ON crm.custom_fields
    FOR EACH ROW EXECUTE FUNCTION crm.guard_custom_field();

CREATE OR REPLACE FUNCTION crm_internal.carried_fields(tenant bigint, custom jsonb, from_table text, to_table text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}')
            FROM jsonb_each(custom) AS e
            JOIN crm.custom_fields AS f ON f.tenant_id = tenant AND f.table_name = from_table AND f.name = e.key
            JOIN crm.custom_fields AS g ON g.tenant_id = tenant AND g.table_name = to_table AND g.name = e.key AND g.active
            WHERE f.type = g.type
              -- a choice that the other table does not offer is none of its values
              AND (g.choices IS NULL OR to_jsonb(g.choices) @> e.value));
END
$$;
COMMENT ON FUNCTION crm_internal.carried_fields(bigint, jsonb, text, text) IS
'Those custom fields of a row that another table has too, of the same name and type.';

-- ---- merging ----

CREATE OR REPLACE FUNCTION crm.move_children(subject_table text, from_id bigint, to_id bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    link record;
    moved bigint;
    sum_moved bigint := 0;
BEGIN
    PERFORM crm.require_registered(subject_table, 'merge');
    FOR link IN
        SELECT l.relation, l.column_name, l.target_column FROM crm.table_links() AS l
        WHERE l.merge AND (l.target = subject_table OR l.target_column IS NOT NULL)
    LOOP
        EXECUTE format('UPDATE %s AS c SET %I = $2 WHERE c.tenant_id = crm.tenant_id() AND c.%I = $1',
                       link.relation::regclass, link.column_name, link.column_name)
            || CASE WHEN link.target_column IS NULL THEN '' ELSE format(' AND c.%I = %L', link.target_column, subject_table) END
            USING from_id, to_id;
        GET DIAGNOSTICS moved = ROW_COUNT;
        sum_moved := sum_moved + moved;
    END LOOP;
    RETURN sum_moved;
END
$$;
COMMENT ON FUNCTION crm.move_children(text, bigint, bigint) IS
'Gives the rows of a record that is merged to the one that goes on: those whose table says so (crm.table_links(), merge). With the rights of '
'the caller. Returns how many. Error 42P01 for a table whose records are not merged.';

CREATE OR REPLACE FUNCTION crm_internal.personal_custom_fields(subject text)
RETURNS SETOF text
LANGUAGE sql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.name FROM crm.custom_fields AS f WHERE f.tenant_id = crm.tenant_id() AND f.table_name = subject AND f.personal ORDER BY f.name
$$;
COMMENT ON FUNCTION crm_internal.personal_custom_fields(text) IS 'Custom fields of a table that are erased with the person whom a record is about.';
SELECT crm.declare_hook('personal_fields', 'crm_internal.personal_custom_fields(text)');
