-- What the CRM holds of one person, found by the registry: which records are the person, and which tell of them.
--
-- Tables of people say so (option person). Links between such tables say that two records are one person, and so does an e-mail address
-- that a table of people holds itself; a telephone may be shared, and says so with the same name only. From the person on the walk goes
-- down the links of crm.table_links() and the foreign keys to people: to what is about them, to its children, and to theirs.

-- every way from a record to rows that tell of it; known as crm.table_links() has them, and as foreign keys that no link mentions
CREATE OR REPLACE FUNCTION crm_internal.ways_down()
RETURNS TABLE (subject text, relation regclass, kind text, column_name text, target text, target_column text, table_of text)
LANGUAGE sql STABLE ROWS 200
SET search_path = pg_catalog, pg_temp
AS $$
    WITH links AS MATERIALIZED (SELECT l.* FROM crm.table_links() AS l)
    SELECT l.subject, l.relation, l.kind, l.column_name, l.target, l.target_column, l.options ->> 'table_of' FROM links AS l
    UNION ALL
    SELECT r.subject, r.relation::regclass, 'key', a.attname::text, p.subject, NULL, NULL
    FROM pg_constraint AS k
    JOIN crm.registry AS p ON p.relation = k.confrelid AND p.options ? 'person'
    JOIN crm.registry AS r ON r.relation = k.conrelid
    JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attname <> 'tenant_id'
    WHERE k.contype = 'f' AND k.conparentid = 0 AND r.options ->> 'merge' IS DISTINCT FROM a.attname::text
      AND NOT EXISTS (SELECT FROM links AS l WHERE l.relation = r.relation AND l.column_name = a.attname::text)
$$;
COMMENT ON FUNCTION crm_internal.ways_down() IS
'Columns by which rows tell of a record: links of the registry (kind parent, about), and foreign keys to people beside them (kind key).';

CREATE OR REPLACE FUNCTION crm_internal.ids_in(people jsonb, subject text)
RETURNS bigint[]
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT coalesce((SELECT array_agg(i::bigint) FROM jsonb_array_elements_text(people -> subject) AS i), '{}') $$;
COMMENT ON FUNCTION crm_internal.ids_in(jsonb, text) IS 'Ids of a table in {table: [ids]}.';

CREATE OR REPLACE FUNCTION crm_internal.with_ids(people jsonb, subject text, more bigint[])
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT people || jsonb_build_object(subject, (SELECT jsonb_agg(DISTINCT i) FROM (
        SELECT unnest(crm_internal.ids_in(people, subject)) UNION SELECT unnest(more)) AS x (i) WHERE i IS NOT NULL))
    WHERE cardinality(more) > 0
    UNION ALL SELECT people WHERE cardinality(more) = 0 OR more IS NULL
$$;
COMMENT ON FUNCTION crm_internal.with_ids(jsonb, text, bigint[]) IS '{table: [ids]} with more ids of a table.';

-- ---- addresses ----

-- where addresses of people stand: with the person, or in a table of their own
CREATE OR REPLACE FUNCTION crm_internal.addresses_of_people()
RETURNS TABLE (relation regclass, said text, person text, id text)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT r.relation, c.name, r.subject, 'id' FROM crm.registered_as('addresses') AS r,
           jsonb_array_elements_text(r.options -> 'addresses') AS c (name) WHERE r.options ? 'person'
    UNION ALL
    SELECT r.relation, c.name, w.target, w.column_name FROM crm.registered_as('addresses') AS r
    JOIN crm_internal.ways_down() AS w ON w.relation = r.relation JOIN crm.registered_as('person') AS p ON p.subject = w.target,
         jsonb_array_elements_text(r.options -> 'addresses') AS c (name) WHERE NOT r.options ? 'person'
$$;
COMMENT ON FUNCTION crm_internal.addresses_of_people() IS
'Columns with addresses of people in normal form (said), the table of the people they are of (person), and the column with their number (id).';

-- which rows of a table with addresses are the person's, as a condition over the row x
CREATE OR REPLACE FUNCTION crm_internal.address_condition(subject text, people jsonb)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT string_agg(format('x.%I = ANY (%L::bigint[])', w.column_name, crm_internal.ids_in(people, w.target)), ' OR ')
                     FROM crm_internal.ways_down() AS w WHERE w.subject = address_condition.subject AND people ? w.target), 'false')
           || CASE WHEN people ? subject THEN format(' OR x.id = ANY (%L::bigint[])', crm_internal.ids_in(people, subject)) ELSE '' END
$$;
COMMENT ON FUNCTION crm_internal.address_condition(text, jsonb) IS 'Condition over x: the row of a table with addresses is of the people given.';

-- as_typed: a telephone without its country is another text than its normal form
CREATE OR REPLACE FUNCTION crm_internal.addresses_of(tenant bigint, people jsonb, as_typed boolean DEFAULT false)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
    part text[];
    found text[] := '{}';
BEGIN
    FOR place IN SELECT r.subject, r.relation::regclass, c.name FROM crm.registered_as('addresses') AS r,
                        jsonb_array_elements_text(r.options -> CASE WHEN as_typed THEN 'personal' ELSE 'addresses' END) AS c (name) LOOP
        EXECUTE format('SELECT array_agg(DISTINCT btrim(x.%1$I::text)) FROM %2$s AS x WHERE x.tenant_id = $1 AND x.%1$I IS NOT NULL '
                       'AND (NOT $2 OR crm_internal.looks_like_address(x.%1$I::text)) AND (', place.name, place.relation::regclass)
                || crm_internal.address_condition(place.subject, people) || ')' INTO part USING tenant, as_typed;
        found := found || part;
    END LOOP;
    RETURN ARRAY(SELECT DISTINCT a FROM unnest(found) AS a ORDER BY a);
END
$$;
COMMENT ON FUNCTION crm_internal.addresses_of(bigint, jsonb, boolean) IS
'Addresses of people, out of every table with addresses: in normal form, or as they were typed.';

-- ---- who the person is ----

-- records of the same person over one more step: by links between tables of people, by merging, by address
CREATE OR REPLACE FUNCTION crm_internal.same_person(tenant bigint, people jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    way record;
    more bigint[];
    grown jsonb := people;
    addresses CONSTANT text[] := crm_internal.addresses_of(tenant, people);
    names CONSTANT text[] := ARRAY(SELECT crm.name_key(n) FROM unnest(crm_internal.names_of(tenant, people)) AS n);
BEGIN
    FOR way IN
        SELECT r.relation::regclass, r.subject, w.column_name, w.target FROM crm.registered_as('person') AS r
        JOIN crm_internal.ways_down() AS w ON w.relation = r.relation AND w.target IN (SELECT p.subject FROM crm.registered_as('person') AS p)
        UNION ALL
        SELECT r.relation::regclass, r.subject, r.options ->> 'merge', r.subject FROM crm.registered_as('person') AS r WHERE r.options ? 'merge'
    LOOP
        EXECUTE format('SELECT array_agg(x.id) FROM %s AS x WHERE x.tenant_id = $1 AND x.%I = ANY ($2)', way.relation::regclass, way.column_name)
            INTO more USING tenant, crm_internal.ids_in(grown, way.target);
        grown := crm_internal.with_ids(grown, way.subject, coalesce(more, '{}'));
        EXECUTE format('SELECT array_agg(DISTINCT x.%I) FROM %s AS x WHERE x.tenant_id = $1 AND x.id = ANY ($2) AND x.%1$I IS NOT NULL', way.column_name,
            way.relation::regclass)
            INTO more USING tenant, crm_internal.ids_in(grown, way.subject);
        grown := crm_internal.with_ids(grown, way.target, coalesce(more, '{}'));
    END LOOP;
    FOR way IN SELECT r.relation::regclass, r.subject, c.name AS column_name, n.name FROM crm.registered_as('person') AS r,
                      jsonb_array_elements_text(r.options -> 'addresses') AS c (name), jsonb_array_elements_text(r.options -> 'person') AS n (name)
    LOOP
        EXECUTE format('SELECT array_agg(x.id) FROM %s AS x WHERE x.tenant_id = $1 AND x.%I = ANY ($2) AND (x.%2$I LIKE ''%%@%%'' OR crm.name_key(x.%I) '
            '= ANY ($3))',
                       way.relation::regclass, way.column_name, way.name) INTO more USING tenant, addresses, names;
        grown := crm_internal.with_ids(grown, way.subject, coalesce(more, '{}'));
    END LOOP;
    -- people whose addresses stand in a table of their own: where one of them alone has it, and none is known yet, since colleagues share mailboxes
    FOR way IN SELECT a.relation, a.person AS subject, a.id AS column_name, a.said AS name FROM crm_internal.addresses_of_people() AS a
               WHERE a.id <> 'id' AND NOT grown ? a.person LOOP
        EXECUTE format('SELECT array_agg(DISTINCT x.id) FROM (SELECT min(p.%1$I) AS id FROM %2$s AS p WHERE p.tenant_id = $1 AND p.%3$I = ANY ($2) '
                       'AND p.%3$I LIKE ''%%@%%'' AND p.%1$I IS NOT NULL GROUP BY p.%3$I HAVING count(DISTINCT p.%1$I) = 1) AS x',
                       way.column_name, way.relation::regclass, way.name) INTO more USING tenant, addresses;
        grown := crm_internal.with_ids(grown, way.subject, coalesce(more, '{}'));
    END LOOP;
    RETURN grown;
END
$$;
COMMENT ON FUNCTION crm_internal.same_person(bigint, jsonb) IS
'{table: [ids]} of a person with the records that are the same person by one more step: over a link, by merging, by an e-mail address (a lead is the contact '
'who alone has it), or by a telephone together with the name.';

CREATE OR REPLACE FUNCTION crm_internal.names_of(tenant bigint, people jsonb)
RETURNS text[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
    part text[];
    found text[] := '{}';
BEGIN
    FOR place IN SELECT r.subject, r.relation::regclass, c.name FROM crm.registered_as('person') AS r,
        jsonb_array_elements_text(r.options -> 'person') AS c (name)
                 WHERE people ? r.subject LOOP
        EXECUTE format('SELECT array_agg(DISTINCT x.%I::text) FROM %s AS x WHERE x.tenant_id = $1 AND x.id = ANY ($2)', place.name, place.relation::regclass)
            INTO part USING tenant, crm_internal.ids_in(people, place.subject);
        found := found || part;
    END LOOP;
    RETURN ARRAY(SELECT DISTINCT n FROM unnest(found) AS n WHERE n IS NOT NULL ORDER BY n);
END
$$;
COMMENT ON FUNCTION crm_internal.names_of(bigint, jsonb) IS 'Names of people.';

-- what people refer to, where it is a record of them alone: the account of a person
CREATE OR REPLACE FUNCTION crm_internal.own_records(tenant bigint, people jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    way record;
    more bigint[];
    grown jsonb := people;
BEGIN
    FOR way IN
        SELECT p.subject, p.relation::regclass, w.column_name, t.subject AS target, t.relation AS there, t.options #>> '{erase,own_if}' AS own_if
        FROM crm.registered_as('person') AS p JOIN crm_internal.ways_down() AS w ON w.relation = p.relation
        JOIN crm.registered_as('erase') AS t ON t.subject = w.target AND t.options -> 'erase' ? 'own_if'
    LOOP
        EXECUTE format('SELECT array_agg(r.id) FROM %s AS r WHERE r.tenant_id = $1 AND r.id IN (SELECT x.%I FROM %s AS x WHERE x.tenant_id = $1 AND '
            'x.id = ANY ($2)) '
                       'AND NOT EXISTS (SELECT FROM %3$s AS x WHERE x.tenant_id = $1 AND x.%2$I = r.id AND x.id <> ALL ($2)) AND (',
                       way.there::regclass, way.column_name, way.relation::regclass) || way.own_if || ')'
            INTO more USING tenant, crm_internal.ids_in(people, way.subject);
        grown := crm_internal.with_ids(grown, way.target, coalesce(more, '{}'));
    END LOOP;
    RETURN grown;
END
$$;
COMMENT ON FUNCTION crm_internal.own_records(bigint, jsonb) IS
'{table: [ids]} of a person with what they refer to that is theirs alone (own_if of option erase): the account of a person, and not that of a company.';

CREATE OR REPLACE FUNCTION crm_internal.people_of(tenant bigint, subject text, id bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    people jsonb := jsonb_build_object(subject, jsonb_build_array(id));
    grown jsonb;
BEGIN
    LOOP
        grown := crm_internal.same_person(tenant, people);
        EXIT WHEN grown = people;
        people := grown;
    END LOOP;
    RETURN crm_internal.own_records(tenant, people);
END
$$;
COMMENT ON FUNCTION crm_internal.people_of(bigint, text, bigint) IS 'All records that are the person of one: {"contacts": [ids], "leads": [ids], '
'"accounts": [ids]}.';

-- ---- what tells of them ----

CREATE OR REPLACE FUNCTION crm_internal.way_condition(
    relation regclass, column_name text, target_column text, table_of text, from_subject text, here bigint[])
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN format('x.%I = ANY (%L::bigint[])', column_name, here) || CASE
        WHEN target_column IS NOT NULL THEN format(' AND x.%I = %L', target_column, from_subject)
        WHEN table_of IS NOT NULL THEN (
            SELECT format(' AND EXISTS (SELECT FROM %s AS p WHERE p.tenant_id = x.tenant_id AND p.id = x.%I AND p.subject_table = %L)', p.relation::regclass,
                table_of, from_subject)
            FROM crm.table_links(relation) AS l JOIN crm.registry AS p ON p.subject = l.target WHERE l.column_name = table_of)
        ELSE '' END;
END
$$;
COMMENT ON FUNCTION crm_internal.way_condition(regclass, text, text, text, text,
    bigint[]) IS 'Condition over x: the row tells, over one way of crm_internal.ways_down(), of records of a table.';

CREATE OR REPLACE FUNCTION crm_internal.records_of(tenant bigint, people jsonb)
RETURNS TABLE (subject text, relation regclass, ids bigint[], condition text, direct boolean)
LANGUAGE plpgsql STABLE ROWS 50
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    ways CONSTANT jsonb := (SELECT jsonb_agg(to_jsonb(w) || jsonb_build_object('oid', w.relation::oid,
        'has_id', crm.column_exists(w.relation, 'id'))) FROM crm_internal.ways_down() AS w);
    subjects CONSTANT text[] := ARRAY(SELECT r.subject FROM crm.registered_as('person') AS r);
    found jsonb := people;
    others jsonb := '{}';       -- tables without ids: {table: [conditions]}
    straight jsonb := '{}';     -- tables of which rows refer to the person: {table: [ids]}
    queue text[] := ARRAY(SELECT jsonb_object_keys(people));
    done jsonb := '{}';
    -- rows that name somebody else are the other's, unless they are children of what is the person's
    nobody_else CONSTANT jsonb := (
        SELECT jsonb_object_agg(x.subject, x.condition) FROM (
            SELECT w ->> 'subject' AS subject, string_agg(format(' AND (x.%1$I IS NULL OR x.%1$I = ANY (%2$L::bigint[]))', w ->> 'column_name',
                       crm_internal.ids_in(people, w ->> 'target')), '') AS condition
            FROM jsonb_array_elements(ways) AS w WHERE w ->> 'target' = ANY (subjects) GROUP BY 1) AS x);
    here text;
    fresh bigint[];
    way record;
    term text;
    more bigint[];
BEGIN
    WHILE cardinality(queue) > 0 LOOP
        here := queue[1];
        queue := queue[2:];
        fresh := ARRAY(SELECT unnest(crm_internal.ids_in(found, here)) EXCEPT SELECT unnest(crm_internal.ids_in(done, here)));
        CONTINUE WHEN fresh = '{}';
        done := crm_internal.with_ids(done, here, fresh);
        FOR way IN SELECT w ->> 'subject' AS subject, (w ->> 'oid')::oid::regclass AS relation, w ->> 'kind' AS kind, w ->> 'column_name' AS column_name,
                          w ->> 'target_column' AS target_column, w ->> 'table_of' AS table_of, (w ->> 'has_id')::boolean AS has_id
                   FROM jsonb_array_elements(ways) AS w
                   -- the log of changes is read by the records it is of
                   WHERE coalesce(w ->> 'target', here) = here AND w ->> 'subject' <> 'audit_log'
        LOOP
            term := crm_internal.way_condition(way.relation::regclass, way.column_name, way.target_column, way.table_of, here, fresh);
            IF NOT people ? here AND way.kind <> 'parent' THEN
                term := term || coalesce(nobody_else ->> way.subject, '');
            END IF;
            CONTINUE WHEN way.subject = ANY (subjects) AND NOT people ? here;
            IF NOT way.has_id THEN
                others := others || jsonb_build_object(way.subject, coalesce(others -> way.subject, '[]') || to_jsonb('(' || term || ')'));
                CONTINUE;
            END IF;
            EXECUTE format('SELECT array_agg(x.id) FROM %s AS x WHERE x.tenant_id = $1 AND ', way.relation::regclass) || term INTO more USING tenant;
            CONTINUE WHEN more IS NULL;
            found := crm_internal.with_ids(found, way.subject, more);
            IF here = ANY (subjects) THEN
                straight := crm_internal.with_ids(straight, way.subject, more);
            END IF;
            queue := queue || way.subject;
        END LOOP;
    END LOOP;
    RETURN QUERY
        SELECT r.subject, r.relation::regclass, CASE WHEN NOT others ? r.subject THEN crm_internal.ids_in(found, r.subject) END,
               CASE WHEN others ? r.subject
                    THEN '(' || (SELECT string_agg(t, ' OR ') FROM jsonb_array_elements_text(others -> r.subject) AS t) || ')'
                    ELSE format('x.id = ANY (%L::bigint[])', crm_internal.ids_in(found, r.subject)) END,
               people ? r.subject OR straight ? r.subject OR others ? r.subject
        FROM crm.registry AS r WHERE found ? r.subject OR others ? r.subject
        ORDER BY r.subject;
END
$$;
COMMENT ON FUNCTION crm_internal.records_of(bigint, jsonb) IS
'Every table with rows that are a person or tell of them: their ids (NULL: the table has none), the condition over x that finds them, and whether '
'some refer to the person and not only to what is theirs.';

-- ---- asking ----

CREATE OR REPLACE FUNCTION crm_internal.require_person(contact_id bigint, lead_id bigint)
RETURNS TABLE (subject text, id bigint)
LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    there boolean;
BEGIN
    IF num_nonnulls(contact_id, lead_id) <> 1 THEN
        RAISE EXCEPTION 'it is not clear who is meant' USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a contact, or a lead that is none yet.';
    END IF;
    IF tenant IS NULL THEN
        RAISE EXCEPTION 'it is not clear whose person is meant' USING ERRCODE = 'CR010', HINT = 'Say SET crm.tenant = ''id'' first.';
    END IF;
    subject := CASE WHEN lead_id IS NULL THEN 'contacts' ELSE 'leads' END;
    id := coalesce(contact_id, lead_id);
    PERFORM crm_internal.require(subject, id, 'see');
    EXECUTE format('SELECT EXISTS (SELECT FROM %s AS x WHERE x.tenant_id = $1 AND x.id = $2)', crm.subject_relation(subject)::regclass) INTO there
        USING tenant, id;
    IF NOT there THEN
        RAISE EXCEPTION 'row % of "%" does not exist, or is not visible to you', id, subject
            USING ERRCODE = 'no_data_found', HINT = 'Name a row that you see.';
    END IF;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION crm_internal.require_person(bigint, bigint) IS
'The record by which a contact or a lead was named. Errors: 22023 for none or both, P0002 for one that is not there or not seen, CR010.';
