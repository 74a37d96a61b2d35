-- Everything about one person, for whoever asks what is known of them.

-- what nobody is told: hashes, and values that are secret without being the person's
CREATE OR REPLACE FUNCTION crm_internal.untold_of_people(relation regclass)
RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(a.attname::text), '{}')
    FROM pg_attribute AS a LEFT JOIN crm.registry AS r ON r.relation = a.attrelid
    WHERE a.attrelid = untold_of_people.relation AND a.attnum > 0 AND NOT a.attisdropped
      AND (a.atttypid IN ('bytea'::regtype, 'bytea[]'::regtype, 'tsvector'::regtype) OR a.attname = 'tenant_id'
           OR coalesce(r.options -> 'secret' ? a.attname::text, false) AND NOT coalesce(r.options -> 'personal' ? a.attname::text, false))
$$;
COMMENT ON FUNCTION crm_internal.untold_of_people(regclass) IS 'Columns that an export of a person leaves out.';

CREATE OR REPLACE FUNCTION crm_internal.rows_of_person(tenant bigint, relation regclass, condition text)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found jsonb;
BEGIN
    EXECUTE format('SELECT jsonb_agg(jsonb_strip_nulls(to_jsonb(x) - $2)%s) FROM %s AS x WHERE x.tenant_id = $1 AND ',
                   CASE WHEN crm.column_exists(relation, 'id') THEN ' ORDER BY x.id' ELSE '' END, relation::regclass) || condition
        INTO found USING tenant, crm_internal.untold_of_people(relation);
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.rows_of_person(bigint, regclass, text) IS 'Rows of a table for which a condition over x holds, as jsonb; NULL: none.';

-- rows that are a person's without a link: by an address in them, or as the table says (whose of option erase)
CREATE OR REPLACE FUNCTION crm_internal.unlinked_condition(subject text, people jsonb, addresses text[])
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(c, ' OR ') FROM (
        SELECT format('x.%I = ANY (%L::text[])', h, addresses) FROM crm.registry AS r, jsonb_array_elements_text(r.options #> '{erase,hash}') AS h
        WHERE r.subject = unlinked_condition.subject
        UNION ALL
        SELECT 'EXISTS (SELECT FROM (SELECT x.*) AS r WHERE '
               || replace(replace(r.options #>> '{erase,whose}', '$2', quote_literal(crm_internal.ids_in(people, p)) || '::bigint[]'), '$3[1]',
                   quote_literal(p))
               || ')'
        FROM crm.registry AS r, jsonb_object_keys(people) AS p WHERE r.subject = unlinked_condition.subject
            AND r.options #> '{erase,whose}' IS NOT NULL) AS x (c)
$$;
COMMENT ON FUNCTION crm_internal.unlinked_condition(text, jsonb,
    text[]) IS 'Condition over x: the row is of the person without a link; NULL: the table has none such.';

CREATE OR REPLACE FUNCTION crm_internal.person_document(tenant bigint, people jsonb)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
    rows_found jsonb;
    records jsonb := '{}';
    history jsonb := '[]';
    addresses CONSTANT text[] := crm_internal.addresses_of(tenant, people);
BEGIN
    FOR place IN SELECT p.* FROM crm_internal.records_of(tenant, people) AS p LOOP
        rows_found := crm_internal.rows_of_person(tenant, place.relation::regclass, place.condition);
        IF rows_found IS NOT NULL THEN
            records := records || jsonb_build_object(place.subject, rows_found);
        END IF;
        IF place.ids IS NOT NULL THEN
            history := history || coalesce(crm_internal.rows_of_person(tenant, crm.subject_relation('audit_log'),
                format('x.table_name = %L AND x.record_id = ANY (%L::bigint[])', place.subject, place.ids)), '[]');
        END IF;
    END LOOP;
    FOR place IN SELECT r.subject, r.relation::regclass, crm_internal.unlinked_condition(r.subject, people, addresses) AS condition
                 FROM crm.registered_as('erase') AS r WHERE NOT records ? r.subject LOOP
        rows_found := CASE WHEN place.condition IS NOT NULL THEN crm_internal.rows_of_person(tenant, place.relation::regclass, '(' || place.condition
            || ')') END;
        IF rows_found IS NOT NULL THEN
            records := records || jsonb_build_object(place.subject, rows_found);
        END IF;
    END LOOP;
    IF history <> '[]' THEN
        records := records || jsonb_build_object('audit_log', history);
    END IF;
    RETURN records;
END
$$;
COMMENT ON FUNCTION crm_internal.person_document(bigint, jsonb) IS 'Rows of every table about people: {table: [rows]}, without values that are NULL.';

-- security definer: what the person may know is more than any one user sees
CREATE OR REPLACE FUNCTION crm.export_person(contact_id bigint DEFAULT NULL, reason text DEFAULT 'asked for', lead_id bigint DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    who record;
    people jsonb;
    made crm.person_requests;
BEGIN
    SELECT p.subject, p.id INTO who FROM crm_internal.require_person(contact_id, lead_id) AS p;
    PERFORM crm.because('export_person');
    people := crm_internal.people_of(tenant, who.subject, who.id);
    INSERT INTO crm.person_requests AS q (tenant_id, kind, subject_table, subject_id, reason, people)
    VALUES (tenant, 'export', who.subject, who.id, coalesce(nullif(export_person.reason, ''), 'asked for'), people) RETURNING q.* INTO made;
    RETURN jsonb_build_object('request', made.id, 'made_at', now(), 'person', people, 'names', to_jsonb(crm_internal.names_of(tenant, people)),
                              'addresses', to_jsonb(crm_internal.addresses_of(tenant, people)), 'records', crm_internal.person_document(tenant, people));
END
$$;
COMMENT ON FUNCTION crm.export_person(bigint, text, bigint) IS
'Everything about one person as one document: {"request", "made_at", "person": {"contacts": [ids], "leads": [ids]}, "names", "addresses", "records": {table: '
'[rows]}}. Which tables they are the registry says: the records that are the person, all that is about them, and their changes in the log; hashes and keys '
'are left out. That it was made, by whom and why, is kept in crm.person_requests and in the log of changes. Admins. lead_id: somebody who is no contact yet. '
'Errors: P0002 for a person who is not there, 22023 where none or two are named.';
SELECT crm.declare_function('crm.export_person', 'admin');
