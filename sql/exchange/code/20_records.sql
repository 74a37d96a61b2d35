-- Records of any entity, as jsonb: found, made, changed and deleted by one set of functions over the registry.
--
-- Everything runs with the rights of the caller, through the table: row security, triggers and checks hold as for any
-- writer. What a caller may say of a row is decided by crm.column_rules (purpose "open"), as for captures.

CREATE OR REPLACE FUNCTION crm.entities()
RETURNS TABLE (entity text, relation regclass, class text, options jsonb)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 60
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.subject, r.relation, r.class, r.options
    FROM crm.registry AS r
    JOIN pg_class AS c ON c.oid = r.relation
    WHERE crm.holds_records(r.relation, r.class)
    ORDER BY r.subject
$$;
COMMENT ON FUNCTION crm.entities() IS
'Tables whose rows are records that programs read and write by entity and id: those of crm.registry that somebody besides the owner may '
'write, tables of the owner''s own included.';

CREATE OR REPLACE FUNCTION crm.require_entity(entity text) RETURNS regclass
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found regclass;
BEGIN
    SELECT r.relation INTO found FROM crm.registry AS r
    WHERE r.subject = require_entity.entity AND crm.holds_records(r.relation, r.class);
    IF found IS NULL THEN
        RAISE EXCEPTION 'there is no entity "%"', entity
            USING ERRCODE = 'undefined_table', HINT = (SELECT 'Known are ' || string_agg(e.entity, ', ') || '.' FROM crm.entities() AS e);
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm.require_entity(text) IS 'Table of an entity (crm.entities()). Error 42P01 for an unknown one, which names those that are.';

-- why a record was not there to read, or not the caller's to change
CREATE OR REPLACE FUNCTION crm.refuse_record(entity text, id bigint) RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    visible boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s AS t WHERE t.tenant_id = crm.tenant_id() AND t.id = $1)', crm.require_entity(entity)::regclass)
    INTO visible USING id;
    IF visible THEN
        RAISE EXCEPTION 'you may not change % %', entity, id
            USING ERRCODE = 'insufficient_privilege', HINT = 'It belongs to somebody else: ask its owner, whoever leads their team, or a manager.';
    ELSE
        RAISE EXCEPTION 'there is no % %', entity, coalesce(id::text, 'NULL')
            USING ERRCODE = 'no_data_found', HINT = 'Either there is none with this id, or you may not see it.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.refuse_record(text, bigint) IS
'Error of a record that could not be changed: 42501 where the caller sees it but may not change it, P0002 where it is not there or not to be seen.';

-- ---- names in other systems ----

CREATE OR REPLACE FUNCTION crm.find_record(entity text, source text, external_id text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.require_entity(entity);
    found bigint;
BEGIN
    SELECT x.subject_id INTO found FROM crm.external_ids AS x
    WHERE x.tenant_id = crm.tenant_id() AND x.subject_table = entity AND x.source = find_record.source AND x.external_id = find_record.external_id;
    IF found IS NULL AND crm.column_exists(relation, 'source_system') AND crm.column_exists(relation, 'source_id') THEN
        EXECUTE format('SELECT t.id FROM %s AS t WHERE t.tenant_id = crm.tenant_id() AND t.source_system = $1 AND t.source_id = $2', relation)
        INTO found USING source, external_id;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm.find_record(text, text, text) IS
'Id of the record that another system calls external_id: by crm.external_ids, else by source_system and source_id. NULL where the caller '
'knows none. Errors: 42P01 an unknown entity.';
SELECT crm.declare_api('crm.find_record', '{"entity": "accounts", "source": "erp", "external_id": "C-17"}');

CREATE OR REPLACE FUNCTION crm.link_record(entity text, id bigint, source text, external_id text) RETURNS crm.external_ids
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.external_ids;
BEGIN
    PERFORM crm.lock_record(entity, id);
    INSERT INTO crm.external_ids AS x (tenant_id, subject_table, source, external_id, subject_id)
    VALUES (crm.tenant_id(), entity, source, external_id, id)
    ON CONFLICT ON CONSTRAINT external_ids_pkey DO NOTHING;
    SELECT x.* INTO made FROM crm.external_ids AS x
    WHERE x.tenant_id = crm.tenant_id() AND x.subject_table = entity AND x.source = source AND x.external_id = external_id;
    IF made.subject_id IS DISTINCT FROM id THEN
        RAISE EXCEPTION '"%" of "%" is another record of % already', external_id, source, entity
            USING ERRCODE = 'unique_violation', COLUMN = 'external_id', HINT = 'Take the name from that one first: crm.unlink_record().';
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.link_record(text, bigint, text, text) IS
'Writes down what another system calls a record, so that crm.upsert_record() finds it; a record may have several such names. The caller must be '
'allowed to change it. Returns the link. Errors: 42501 not the caller''s to change, P0002 no such record, 23505 the name is another record''s.';
SELECT crm.declare_api('crm.link_record', '{"entity": "accounts", "id": 1, "source": "shop", "external_id": "9001"}');

CREATE OR REPLACE FUNCTION crm.unlink_record(entity text, source text, external_id text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM crm.require_entity(entity);
    DELETE FROM crm.external_ids AS x
    WHERE x.tenant_id = crm.tenant_id() AND x.subject_table = entity AND x.source = source AND x.external_id = external_id;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION crm.unlink_record(text, text, text) IS
'Forgets what another system calls a record (crm.link_record()). Returns whether there was anything to forget. Errors: 42P01 an unknown entity.';
SELECT crm.declare_api('crm.unlink_record', '{"entity": "accounts", "source": "shop", "external_id": "9001"}');

-- a name dies with its record, whoever deletes it
CREATE OR REPLACE FUNCTION crm_internal.forget_external_ids() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    DELETE FROM crm.external_ids AS x USING gone AS g
    WHERE x.tenant_id = g.tenant_id AND x.subject_table = TG_ARGV[0] AND x.subject_id = g.id;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.forget_external_ids() IS 'Trigger: what other systems called records that are deleted is forgotten.';

CREATE OR REPLACE FUNCTION crm_internal.keep_merged_name(subject text, source jsonb, target jsonb) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm.external_ids AS x (tenant_id, subject_table, source, external_id, subject_id)
    SELECT (target ->> 'tenant_id')::bigint, subject, source ->> 'source_system', source ->> 'source_id', (target ->> 'id')::bigint
    WHERE source ->> 'source_system' <> '' AND source ->> 'source_id' <> ''
      AND (source ->> 'source_system', source ->> 'source_id') IS DISTINCT FROM (target ->> 'source_system', target ->> 'source_id')
    ON CONFLICT ON CONSTRAINT external_ids_pkey DO NOTHING
$$;
COMMENT ON FUNCTION crm_internal.keep_merged_name(text, jsonb, jsonb) IS
'What another system calls a record that was merged is a name of the one that goes on.';
SELECT crm.declare_hook('record_merged', 'crm_internal.keep_merged_name(text, jsonb, jsonb)');

CREATE OR REPLACE FUNCTION crm_internal.apply_external_ids(relation regclass) RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.set_trigger(r.relation, '_after_delete_names', crm.holds_records(r.relation, r.class), 'AFTER DELETE',
        format('REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION crm_internal.forget_external_ids(%L)', r.subject))
    FROM crm.registry AS r
    WHERE r.relation = apply_external_ids.relation
$$;
COMMENT ON FUNCTION crm_internal.apply_external_ids(regclass) IS 'Names of records in other systems go with the records of a table.';
SELECT crm.declare_hook('table', 'crm_internal.apply_external_ids(regclass)');

-- ---- what callers say of a record ----

-- references by another name than the id: {"account_id": {"external_id": "C-17"}}, {"queue_id": {"code": "support"}}
CREATE OR REPLACE FUNCTION crm.resolve_reference(entity text, data jsonb, column_name text, wanted jsonb, source text) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.require_entity(entity);
    other regclass;
    name text := (SELECT k FROM jsonb_object_keys(wanted) AS k WHERE k <> 'source' ORDER BY k LIMIT 1);
    ids bigint[];
BEGIN
    SELECT k.confrelid INTO other FROM pg_constraint AS k
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname = column_name
    WHERE k.conrelid = relation AND k.contype = 'f' AND column_name <> 'tenant_id';
    IF other IS NULL THEN
        SELECT crm.subject_relation(data ->> l.target_column) INTO other FROM crm.table_links(relation) AS l
        WHERE l.column_name = resolve_reference.column_name AND l.target_column IS NOT NULL;
    END IF;
    IF other IS NULL THEN
        RAISE EXCEPTION 'column "%" of % refers to no record', column_name, entity
            USING ERRCODE = 'invalid_parameter_value', COLUMN = column_name, HINT = 'Give it a plain value.';
    END IF;
    IF name = 'external_id' THEN
        ids := ARRAY(SELECT f FROM crm.find_record(crm.subject_name(other), coalesce(wanted ->> 'source', source), wanted ->> 'external_id') AS f
                     WHERE f IS NOT NULL);
    ELSIF name IS NULL OR NOT crm.column_exists(other, name) THEN
        RAISE EXCEPTION 'column "%" refers to %, which has no column "%"', column_name, other, coalesce(name, '')
            USING ERRCODE = 'undefined_column', COLUMN = column_name, HINT = 'Name one column of it, or external_id and source.';
    ELSE
        EXECUTE format('SELECT array_agg(t.id) FROM (SELECT t.id FROM %s AS t WHERE t.tenant_id = crm.tenant_id() AND t.%I = %L LIMIT 2) AS t',
                       other, name, wanted ->> name) INTO ids;
    END IF;
    IF coalesce(cardinality(ids), 0) <> 1 THEN
        RAISE EXCEPTION 'column "%": there % of % with % "%"', column_name, CASE WHEN ids IS NULL OR ids = '{}' THEN 'is none' ELSE 'are several' END,
                        other, name, wanted ->> name
            USING ERRCODE = 'foreign_key_violation', COLUMN = column_name, HINT = 'Give the id, or a name that is of one record alone.';
    END IF;
    RETURN ids[1];
END
$$;
COMMENT ON FUNCTION crm.resolve_reference(text, jsonb, text, jsonb, text) IS
'Id that a column of a record is to hold where the caller names the other record by an object: {"external_id": ..., "source": ...}, or one of its '
'columns, such as {"code": ...} or {"email": ...}. Errors: 23503 none or several, 42703 no such column, 22023 a column that refers to nothing.';

CREATE OR REPLACE FUNCTION crm.given_record(entity text, data jsonb, source text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.require_entity(entity);
    given jsonb := data;
    name text;
    value jsonb;
BEGIN
    IF jsonb_typeof(data) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'data of % must be a JSON object of columns and values', entity
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Such as {"name": "Acme"}.';
    END IF;
    FOR name, value IN
        SELECT d.key, d.value FROM jsonb_each(data) AS d
        JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = d.key AND a.atttypid = 'bigint'::regtype
        WHERE jsonb_typeof(d.value) = 'object' ORDER BY d.key
    LOOP
        given := given || jsonb_build_object(name, crm.resolve_reference(entity, data, name, value, source));
    END LOOP;
    RETURN given;
END
$$;
COMMENT ON FUNCTION crm.given_record(text, jsonb, text) IS
'What a caller says of a record, with references by names in place of ids resolved (crm.resolve_reference()). Error 22023 where it is no object.';

-- ---- reading ----

CREATE OR REPLACE FUNCTION crm.get_record(entity text, id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(t.*) - ''tenant_id'' FROM %s AS t WHERE t.tenant_id = crm.tenant_id() AND t.id = $1', crm.require_entity(entity)::regclass)
    INTO found USING id;
    IF found IS NULL THEN
        PERFORM crm.refuse_record(entity, id);
    END IF;
    RETURN found || jsonb_build_object('external_ids',
        (SELECT coalesce(jsonb_agg(jsonb_build_object('source', x.source, 'external_id', x.external_id) ORDER BY x.source, x.external_id), '[]')
         FROM crm.external_ids AS x WHERE x.tenant_id = crm.tenant_id() AND x.subject_table = entity AND x.subject_id = get_record.id));
END
$$;
COMMENT ON FUNCTION crm.get_record(text, bigint) IS
'A record with all its columns, and external_ids: what other systems call it. Errors: 42P01 an unknown entity, P0002 no such record, or none that the '
'caller may see.';
SELECT crm.declare_api('crm.get_record', '{"entity": "accounts", "id": 1}');

-- ---- writing ----

CREATE OR REPLACE FUNCTION crm.lock_record(entity text, id bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found jsonb;
BEGIN
    -- row security shows a row to FOR UPDATE only where the caller may change it
    EXECUTE format('SELECT to_jsonb(t.*) - ''tenant_id'' FROM %s AS t WHERE t.tenant_id = crm.tenant_id() AND t.id = $1 FOR UPDATE',
                   crm.require_entity(entity)::regclass)
    INTO found USING id;
    IF found IS NULL THEN
        PERFORM crm.refuse_record(entity, id);
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm.lock_record(text, bigint) IS
'A record as it is now, locked against other writers until the transaction ends. Errors: 42501 not the caller''s to change, P0002 no such record.';

CREATE OR REPLACE FUNCTION crm.create_record(entity text, data jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(crm.insert_row(crm.given_row(NULL::%s, $1, ''open''))) - ''tenant_id''', crm.require_entity(entity)::regclass)
    INTO made USING crm.given_record(entity, data, NULL);
    IF made ->> 'id' IS NULL THEN
        RAISE EXCEPTION 'the record of % was put aside by a trigger', entity USING ERRCODE = 'no_data_found', HINT = 'Ask the owner of the table.';
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.create_record(text, jsonb) IS
'Makes a record. data: columns and values; custom fields below "custom"; a reference may be {"external_id": ..., "source": ...} or name one column '
'of the other record, such as {"email": ...}. Returns the record. Errors: 42P01 an unknown entity, 42703 an unknown column or one that is not the caller''s to '
'give, with the known ones named, 22023 a value of the wrong shape, 23502 what is missing, 23503 what is referred to is not there, 42501 no right to write it.';
SELECT crm.declare_api('crm.create_record', '{"entity": "accounts", "data": {"name": "Acme", "country": "DE"}}');

CREATE OR REPLACE FUNCTION crm.update_record(entity text, id bigint, data jsonb, version integer DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.require_entity(entity);
    before CONSTANT jsonb := crm.lock_record(entity, id);
    given jsonb := crm.given_record(entity, data, NULL);
    made jsonb;
BEGIN
    IF version IS NOT NULL AND (before ->> 'version')::integer IS DISTINCT FROM version THEN
        RAISE EXCEPTION '% % has been changed since it was read', entity, id
            USING ERRCODE = 'CR201', DETAIL = format('Its version is %s, the update carries %s.', coalesce(before ->> 'version', 'NULL'), version),
                  HINT = 'Read the record again and repeat the change.';
    END IF;
    IF jsonb_typeof(given -> 'custom') = 'object' AND jsonb_typeof(before -> 'custom') = 'object' THEN
        given := given || jsonb_build_object('custom', (before -> 'custom') || (given -> 'custom'));
    END IF;
    EXECUTE format('SELECT to_jsonb(crm.update_row(t.*, crm.given_row(t.*, $2, ''open''))) - ''tenant_id'' FROM %s AS t
                    WHERE t.tenant_id = crm.tenant_id() AND t.id = $1', relation) INTO made USING id, given;
    IF made ->> 'id' IS NULL THEN
        PERFORM crm.refuse_record(entity, id);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.update_record(text, bigint, jsonb, integer) IS
'Changes the columns of a record that data names, as crm.create_record() takes them; custom fields that are not named stay. version: the one that was read, '
'so that nobody else''s change is overwritten. Returns the record. Errors: those of crm.create_record(), CR201 changed meanwhile, 42501 not the caller''s to '
'change, P0002 no such record.';
SELECT crm.declare_api('crm.update_record', '{"entity": "accounts", "id": 1, "data": {"city": "Berlin"}}');

CREATE OR REPLACE FUNCTION crm.delete_record(entity text, id bigint) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    gone jsonb;
BEGIN
    EXECUTE format('DELETE FROM %s AS t WHERE t.tenant_id = crm.tenant_id() AND t.id = $1 RETURNING to_jsonb(t.*) - ''tenant_id''',
                   crm.require_entity(entity)::regclass)
    INTO gone USING id;
    IF gone IS NULL THEN
        PERFORM crm.refuse_record(entity, id);
    END IF;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION crm.delete_record(text, bigint) IS
'Deletes a record and what belongs to it. Returns it as it was. Errors: 23503 others refer to it, 42501 not the caller''s to change, P0002 no such record.';
SELECT crm.declare_api('crm.delete_record', '{"entity": "activities", "id": 1}');

-- A name in another system belongs to one record: whoever writes it comes after the other, under a lock of the name. Imports do
-- not take it; where one was faster the unique constraint of the table says so, and the second look finds its row.
CREATE OR REPLACE FUNCTION crm.upsert_record(entity text, source text, external_id text, data jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.require_entity(entity);
    has_source CONSTANT boolean := crm.column_exists(relation, 'source_system') AND crm.column_exists(relation, 'source_id');
    given jsonb := crm.given_record(entity, data, source);
    found bigint;
    before jsonb;
    made jsonb;
    broken text;
BEGIN
    IF coalesce(source, '') = '' OR coalesce(external_id, '') = '' THEN
        RAISE EXCEPTION 'source and external_id of a record of % must be given', entity
            USING ERRCODE = 'invalid_parameter_value', COLUMN = CASE WHEN coalesce(source, '') = '' THEN 'source' ELSE 'external_id' END,
                  HINT = 'They say which system the record comes from, and what it is called there.';
    END IF;
    PERFORM crm.lock_own('external_ids', crm.tenant_id(), concat_ws(' ', entity, source, external_id));
    FOR attempt IN 1..2 LOOP
        found := crm.find_record(entity, source, external_id);
        IF found IS NOT NULL AND (attempt = 2 OR crm.can_see_row(relation, found)) THEN
            before := crm.lock_record(entity, found);
            made := crm.update_record(entity, found, given);
        ELSE
            BEGIN
                made := crm.create_record(entity, given || CASE WHEN has_source
                    THEN jsonb_build_object('source_system', source, 'source_id', external_id) ELSE '{}' END);
            EXCEPTION WHEN unique_violation THEN
                GET STACKED DIAGNOSTICS broken = CONSTRAINT_NAME;
                IF NOT has_source OR broken NOT LIKE '%source%' THEN
                    RAISE;
                ELSIF attempt = 2 THEN
                    -- the transaction's snapshot is older than the row
                    RAISE EXCEPTION 'another transaction has written "%" of "%" meanwhile', external_id, source
                        USING ERRCODE = 'serialization_failure', HINT = 'Repeat the transaction.';
                END IF;
                CONTINUE;
            END;
        END IF;
        EXIT;
    END LOOP;
    INSERT INTO crm.external_ids AS x (tenant_id, subject_table, source, external_id, subject_id)
    VALUES (crm.tenant_id(), entity, source, external_id, (made ->> 'id')::bigint)
    ON CONFLICT ON CONSTRAINT external_ids_pkey DO NOTHING;
    -- a name may be left of a record that is gone; of one that the caller does not see it stays
    UPDATE crm.external_ids AS x SET subject_id = (made ->> 'id')::bigint
    WHERE x.tenant_id = crm.tenant_id() AND x.subject_table = entity AND x.source = source AND x.external_id = external_id
      AND x.subject_id <> (made ->> 'id')::bigint;
    IF NOT EXISTS (SELECT FROM crm.external_ids AS x
                   WHERE x.tenant_id = crm.tenant_id() AND x.subject_table = entity AND x.source = source AND x.external_id = external_id
                     AND x.subject_id = (made ->> 'id')::bigint) THEN
        RAISE EXCEPTION '"%" of "%" is another record of % already', external_id, source, entity
            USING ERRCODE = 'unique_violation', COLUMN = 'external_id', HINT = 'Choose another name, or ask whoever sees the record that has it.';
    END IF;
    RETURN jsonb_build_object('id', made -> 'id', 'record', made, 'action',
        CASE WHEN before IS NULL THEN 'inserted' WHEN before = made THEN 'unchanged' ELSE 'updated' END);
END
$$;
COMMENT ON FUNCTION crm.upsert_record(text, text, text, jsonb) IS
'Makes or changes the record that another system (source) calls external_id. data as for crm.create_record(); references by external_id are of the '
'same source unless they name one. Two that come at once make one record. Returns {id, action: inserted, updated or unchanged, record}. Errors: those of '
'crm.update_record(), 22023 without source or external_id, 23505 where the name is that of a record the caller does not see.';
SELECT crm.declare_api('crm.upsert_record',
    '{"entity": "contacts", "source": "erp", "external_id": "P-4", "data": {"name": "Ada King", "account_id": {"external_id": "C-17"}}}');

CREATE OR REPLACE FUNCTION crm.upsert_records(entity text, source text, records jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    one record;
    done jsonb := '[]';
    counts jsonb := '{"inserted": 0, "updated": 0, "unchanged": 0, "bad": 0}';
    answer jsonb;
    f crm.fault;
BEGIN
    PERFORM crm.require_entity(entity);
    IF jsonb_typeof(records) IS DISTINCT FROM 'array' THEN
        RAISE EXCEPTION 'records must be a JSON array' USING ERRCODE = 'invalid_parameter_value', HINT = 'Of objects {"external_id": ..., "data": {...}}.';
    END IF;
    -- in the order of their names: two that write the same records wait for each other and do not deadlock
    FOR one IN
        SELECT r.value ->> 'external_id' AS external_id, r.value -> 'data' AS data, r.n
        FROM jsonb_array_elements(records) WITH ORDINALITY AS r (value, n) ORDER BY r.value ->> 'external_id', r.n
    LOOP
        BEGIN
            answer := crm.upsert_record(entity, source, one.external_id, one.data);
            counts := jsonb_set(counts, ARRAY[answer ->> 'action'], to_jsonb((counts ->> (answer ->> 'action'))::integer + 1));
            done := done || jsonb_build_object('n', one.n, 'external_id', one.external_id, 'id', answer -> 'id', 'action', answer -> 'action');
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR SQLSTATE 'CR000' OR SQLSTATE 'P0000'
                       OR undefined_column OR insufficient_privilege THEN
            GET STACKED DIAGNOSTICS f.sqlstate = RETURNED_SQLSTATE, f.message = MESSAGE_TEXT, f.detail = PG_EXCEPTION_DETAIL, f.hint = PG_EXCEPTION_HINT,
                f.schema_name = SCHEMA_NAME, f.table_name = TABLE_NAME, f.column_name = COLUMN_NAME, f.constraint_name = CONSTRAINT_NAME;
            counts := jsonb_set(counts, '{bad}', to_jsonb((counts ->> 'bad')::integer + 1));
            done := done || jsonb_build_object('n', one.n, 'external_id', one.external_id, 'action', 'bad', 'error', crm.error_facts(f));
        END;
    END LOOP;
    RETURN counts || jsonb_build_object('records', done);
END
$$;
COMMENT ON FUNCTION crm.upsert_records(text, text, jsonb) IS
'crm.upsert_record() for a JSON array of {external_id, data}: each for itself, so that a bad one stops no other. Returns {inserted, updated, unchanged, bad, '
'records: [{n, external_id, id, action, error}]}; n is the place in the array, error as crm.error_facts() has it. Many thousand rows are '
'crm.import_table()''s. Errors: 22023 no array, 42P01 an unknown entity.';
SELECT crm.declare_api('crm.upsert_records',
    '{"entity": "products", "source": "erp", "records": [{"external_id": "A-1", "data": {"name": "Lamp"}}]}');

-- ---- lists ----

CREATE OR REPLACE FUNCTION crm.list_condition(relation regclass, column_name text, wanted jsonb) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    type_name text;
    is_array boolean;
    one record;
    parts text[] := '{}';
BEGIN
    SELECT format_type(a.atttypid, a.atttypmod), a.atttypid::regtype::text LIKE '%[]' INTO type_name, is_array FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
    IF type_name IS NULL THEN
        RAISE EXCEPTION '% has no column "%" to filter by', relation, column_name
            USING ERRCODE = 'undefined_column', COLUMN = column_name,
                  HINT = (SELECT 'Known are ' || string_agg(a.attname, ', ' ORDER BY a.attnum) || '.' FROM pg_attribute AS a
                          WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'tenant_id');
    END IF;
    CASE jsonb_typeof(wanted)
        WHEN 'null' THEN
            RETURN format('t.%I IS NULL', column_name);
        WHEN 'array' THEN
            RETURN format(CASE WHEN is_array THEN 't.%I @> ARRAY(SELECT jsonb_array_elements_text(%L::jsonb))::%s'
                               ELSE 't.%I = ANY (ARRAY(SELECT jsonb_array_elements_text(%L::jsonb))::%s[])' END, column_name, wanted, type_name);
        WHEN 'object' THEN
            FOR one IN SELECT o.key, o.value FROM jsonb_each(wanted) AS o ORDER BY o.key LOOP
                parts := parts || CASE
                    WHEN one.key = 'null' THEN format('(t.%I IS NULL) = %L::boolean', column_name, one.value #>> '{}')
                    WHEN one.key = 'contains' THEN format('t.%I @> %L::%s', column_name, one.value #>> '{}', type_name)
                    WHEN one.key = 'like' THEN format('t.%I::text ILIKE %L', column_name, one.value #>> '{}')
                    WHEN one.key = 'ne' THEN format('t.%I IS DISTINCT FROM %L::%s', column_name, one.value #>> '{}', type_name)
                    WHEN one.key IN ('lt', 'lte', 'gt', 'gte') THEN
                        format('t.%I ' || CASE one.key WHEN 'lt' THEN '<' WHEN 'lte' THEN '<=' WHEN 'gt' THEN '>' ELSE '>=' END || ' %L::%s',
                               column_name, one.value #>> '{}', type_name) END;
                IF parts[cardinality(parts)] IS NULL THEN
                    RAISE EXCEPTION 'column "%" cannot be compared by "%"', column_name, one.key
                        USING ERRCODE = 'invalid_parameter_value', COLUMN = column_name, HINT = 'Known are lt, lte, gt, gte, ne, like, contains and null.';
                END IF;
            END LOOP;
            RETURN coalesce(nullif(array_to_string(parts, ' AND '), ''), 'true');
        ELSE
            RETURN format('t.%I = %L::%s', column_name, wanted #>> '{}', type_name);
    END CASE;
END
$$;
COMMENT ON FUNCTION crm.list_condition(regclass, text, jsonb) IS
'Condition on a column of a table t, as SQL: a value (equal), null, a list (any of them; of a list column: all of them), or an object of lt, lte, gt, gte, '
'ne, like, contains and null. Errors: 42703 an unknown column, 22023 an unknown comparison.';

-- the key of the last row: where it is NULL only its id counts, and NULLs come last in both directions
CREATE OR REPLACE FUNCTION crm.list_after(column_name text, type_name text, nullable boolean, down boolean, key text, id bigint) RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN column_name = 'id' THEN format('t.id %s %L::bigint', o.sign, id)
        WHEN key IS NULL THEN format('t.%I IS NULL AND t.id %s %L::bigint', column_name, o.sign, id)
        -- a plain comparison of rows is one that an index answers
        ELSE format('((t.%1$I, t.id) %2$s (%3$L::%4$s, %5$L::bigint)' || CASE WHEN nullable THEN ' OR t.%1$I IS NULL)' ELSE ')' END,
                    column_name, o.sign, key, type_name, id) END
    FROM (SELECT CASE WHEN down THEN '<' ELSE '>' END) AS o (sign)
$$;
COMMENT ON FUNCTION crm.list_after(text, text, boolean, boolean, text, bigint) IS
'Condition for the rows that come after the last one of a page of crm.list_records().';

CREATE OR REPLACE FUNCTION crm.list_records(
    entity text, filter jsonb DEFAULT '{}', order_by text DEFAULT 'id', after text DEFAULT NULL, page_size integer DEFAULT 100)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation CONSTANT regclass := crm.require_entity(entity);
    down CONSTANT boolean := left(order_by, 1) = '-';
    key CONSTANT text := ltrim(order_by, '-');
    type_name text;
    nullable boolean;
    cursor_key CONSTANT text := md5(concat_ws(' ', entity, order_by, filter));
    last jsonb;
    conditions text := 't.tenant_id = crm.tenant_id()';
    found jsonb;
BEGIN
    SELECT format_type(a.atttypid, a.atttypmod), NOT a.attnotnull INTO type_name, nullable FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname = key AND a.attnum > 0 AND NOT a.attisdropped;
    IF page_size IS NULL OR page_size NOT BETWEEN 1 AND 1000 OR type_name IS NULL OR jsonb_typeof(filter) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'a list of % cannot be made: %', entity, CASE WHEN type_name IS NULL THEN format('it has no column "%s" to order by', key)
                WHEN page_size BETWEEN 1 AND 1000 THEN 'filter is no JSON object' ELSE 'page_size is not between 1 and 1000' END
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'crm.describe(entity) lists the columns; order_by is one of them, with a minus before it to go down.';
    END IF;
    IF after IS NOT NULL THEN
        BEGIN
            last := convert_from(decode(after, 'base64'), 'UTF8')::jsonb;
        EXCEPTION WHEN data_exception THEN
            last := NULL;
        END;
        IF last ->> 'of' IS DISTINCT FROM cursor_key THEN
            RAISE EXCEPTION 'the cursor is not one of this list' USING ERRCODE = 'invalid_parameter_value', COLUMN = 'after',
                HINT = 'Pass what "next" said, with the same entity, filter and order_by; NULL begins anew.';
        END IF;
        conditions := conditions || ' AND ' || crm.list_after(key, type_name, nullable, down, last ->> 'key', (last ->> 'id')::bigint);
    END IF;
    SELECT conditions || coalesce(string_agg(' AND ' || crm.list_condition(relation, f.key, f.value), '' ORDER BY f.key), '') INTO conditions
    FROM jsonb_each(filter) AS f;
    EXECUTE format('SELECT coalesce(jsonb_agg(p.r ORDER BY p.n), ''[]'') FROM (SELECT to_jsonb(t.*) - ''tenant_id'' AS r, row_number() OVER () AS n
                    FROM (SELECT t.* FROM %1$s AS t WHERE %2$s ORDER BY t.%3$I %4$s NULLS LAST, t.id %4$s LIMIT %5$L) AS t) AS p',
                   relation, conditions, key, CASE WHEN down THEN 'DESC' ELSE 'ASC' END, page_size + 1) INTO found;
    IF jsonb_array_length(found) <= page_size THEN
        RETURN jsonb_build_object('records', found, 'next', NULL);
    END IF;
    found := found - page_size;
    last := found -> (page_size - 1);
    RETURN jsonb_build_object('records', found, 'next', translate(encode(convert_to(
        jsonb_build_object('of', cursor_key, 'key', last ->> key, 'id', last -> 'id')::text, 'UTF8'), 'base64'), E'\n', ''));
END
$$;
COMMENT ON FUNCTION crm.list_records(text, jsonb, text, text, integer) IS
'A page of the records of an entity that the caller may see. filter: {column: value}, where the value may be a list (any of them) or an object of lt, lte, gt, '
'gte, ne, like, contains and null. order_by: a column, with - before it downwards; NULLs come last. after: what next of the page before said. Returns '
'{records, next}; next is NULL on the last page. Rows that come in between are neither missed nor doubled. Errors: 42P01 an unknown entity, 42703 an '
'unknown column, 22023 a cursor of another list, or page_size not 1 to 1000.';
SELECT crm.declare_api('crm.list_records',
    '{"entity": "accounts", "filter": {"country": "DE", "employees": {"gte": 100}}, "order_by": "-created_at", "page_size": 20}');
