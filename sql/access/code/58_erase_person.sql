-- Erasing, from the outside: the command, what keeps the person out afterwards, and what is looked at again when writers of that moment are done.

-- ---- tags ----

CREATE OR REPLACE FUNCTION crm_internal.seed_person_key(tenant_id bigint)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO crm_internal.person_keys (tenant_id, key)
    -- a UUID has 122 bits by chance
    VALUES (seed_person_key.tenant_id, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
    ON CONFLICT DO NOTHING
$$;
COMMENT ON FUNCTION crm_internal.seed_person_key(bigint) IS 'Gives a new company the key by which addresses of erased people are hashed without a key file.';
SELECT crm.declare_hook('new_tenant', 'crm_internal.seed_person_key(bigint)');

-- by the key file where there is one, so that a dump alone tells nobody's address; both are looked for
CREATE OR REPLACE FUNCTION crm_internal.person_tags(tenant bigint, said text)
RETURNS bytea[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- not in SQL: with a search path of its own that would be planned by each call, and each new address asks
    RETURN (SELECT ARRAY[CASE WHEN crm.key_ids() IS NOT NULL THEN crm.person_tag(tenant, said) END, crm.person_tag(tenant, said, k.key)]
            FROM crm_internal.person_keys AS k WHERE k.tenant_id = tenant);
END
$$;
COMMENT ON FUNCTION crm_internal.person_tags(bigint, text) IS
'Keyed hashes of an address, or of a key elsewhere: by the key file (NULL without one), and by the key of the company in the database.';

CREATE OR REPLACE FUNCTION crm_internal.source_said(subject text, source_system text, source_id text)
RETURNS text
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT concat_ws(E'\x01', 'source', subject, coalesce(source_system, ''), source_id) WHERE source_id IS NOT NULL $$;
COMMENT ON FUNCTION crm_internal.source_said(text, text, text) IS 'What a record is known by in another system, as it is hashed.';

CREATE OR REPLACE FUNCTION crm_internal.erasures_of(tenant text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN CASE WHEN EXISTS (SELECT FROM crm.erased_addresses AS e WHERE e.tenant_id = tenant::bigint AND e.readmitted_at IS NULL) THEN 'some'
        ELSE 'none' END;
END
$$;
COMMENT ON FUNCTION crm_internal.erasures_of(text) IS 'Whether a company has erased anybody: some or none. For crm.kept_text(), as every new address asks.';

-- ---- nobody comes back unasked ----

-- What holds for an address, such as that nothing is sent there, is kept under its hash while the person is erased (hash of option erase).
CREATE OR REPLACE FUNCTION crm_internal.rename_address(tenant bigint, becomes text, was text[])
RETURNS TABLE (subject text, column_name text, n bigint)
LANGUAGE plpgsql VOLATILE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
BEGIN
    FOR place IN SELECT r.subject, r.relation::regclass, h AS column_name FROM crm.registered_as('erase') AS r,
        jsonb_array_elements_text(r.options #> '{erase,hash}') AS h LOOP
        subject := place.subject;
        column_name := place.column_name;
        n := (crm.write_quietly(format('WITH u AS (UPDATE %s AS r SET %I = $3[1] WHERE r.tenant_id = $1 AND cardinality($2) >= 0 '
                                       'AND r.%2$I = ANY ($3[2:]) RETURNING 1) SELECT ARRAY[count(*)] FROM u', place.relation::regclass, place.column_name),
                                tenant, '{}', becomes || was))[1];
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.rename_address(bigint, text, text[]) IS
'Puts an address, or its keyed hash, in place of the other wherever a table keeps what holds for it; how many rows of which column.';

CREATE OR REPLACE FUNCTION crm_internal.readmit(tenant bigint, tags bytea[], said text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE crm.erased_addresses AS e SET readmitted_at = now(), readmitted_by = crm.user_id(), readmitted_because = current_setting('crm.readmit')
    WHERE e.tenant_id = tenant AND e.tag = ANY (tags) AND e.readmitted_at IS NULL;
    PERFORM crm_internal.rename_address(tenant, said, ARRAY(SELECT '#' || encode(t, 'hex') FROM unnest(tags) AS t WHERE t IS NOT NULL));
END
$$;
COMMENT ON FUNCTION crm_internal.readmit(bigint, bytea[], text) IS 'An address of somebody who was erased may be written again: they asked for it.';

-- security definer: what was erased is for nobody to look up
CREATE OR REPLACE FUNCTION crm_internal.refuse_erased()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    some_erased CONSTANT boolean := crm.kept_text('erasures_of', NEW.tenant_id::text) <> 'none';
    some_restricted CONSTANT boolean := crm.kept_text('restrictions_of', NEW.tenant_id::text) <> 'none';
    row_now jsonb;
    was jsonb;
    name text;
    said text;
    tags bytea[];
BEGIN
    IF NOT (some_erased OR some_restricted) THEN
        RETURN NULL;
    END IF;
    row_now := to_jsonb(NEW);
    was := CASE WHEN TG_OP = 'UPDATE' THEN to_jsonb(OLD) ELSE '{}' END;
    FOREACH name IN ARRAY TG_ARGV[1:] LOOP
        CONTINUE WHEN row_now -> name IS NOT DISTINCT FROM was -> name;
        IF some_restricted AND row_now ->> name LIKE '%@%' AND name <> 'source_id' THEN
            PERFORM crm_internal.carry_restriction(NEW.tenant_id, TG_ARGV[0], row_now, row_now ->> name);
        END IF;
        CONTINUE WHEN NOT some_erased;
        said := CASE name WHEN 'source_id' THEN crm_internal.source_said(TG_ARGV[0], row_now ->> 'source_system', row_now ->> 'source_id')
            ELSE row_now ->> name END;
        tags := crm_internal.person_tags(NEW.tenant_id, said);
        IF crm.is_erased(NEW.tenant_id, tags) THEN
            IF coalesce(current_setting('crm.readmit', true), '') = '' THEN
                RAISE EXCEPTION 'column "%" has what a person was known by who was erased', name
                    USING ERRCODE = 'CR608', COLUMN = name,
                          HINT = 'Where the person asks to be known again, say so: SET LOCAL crm.readmit = ''what they said''.';
            END IF;
            PERFORM crm_internal.readmit(NEW.tenant_id, tags, said);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.refuse_erased() IS
'Row trigger with the name of the table and its columns: error CR608 where one has an address, or source_id a key, of a person who was erased, unless '
'crm.readmit says that they asked for it. Where it has the address of a person who is restricted, the record is restricted as well.';

CREATE OR REPLACE FUNCTION crm_internal.apply_addresses(relation regclass)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
    names text[];
BEGIN
    SELECT x.* INTO r FROM crm.registry AS x WHERE x.relation = apply_addresses.relation;
    names := ARRAY(SELECT jsonb_array_elements_text(coalesce(r.options -> 'addresses', '[]')))
             || CASE WHEN r.options ? 'person' AND crm.column_exists(relation, 'source_id') THEN '{source_id}'::text[] ELSE '{}' END;
    PERFORM crm_internal.set_trigger(relation, '_after_insert_erased', names <> '{}', 'AFTER INSERT',
        format('FOR EACH ROW WHEN (%s) EXECUTE FUNCTION crm_internal.refuse_erased(%s)',
               (SELECT string_agg(format('NEW.%I IS NOT NULL', n), ' OR ') FROM unnest(names) AS n),
               (SELECT string_agg(quote_literal(n), ', ') FROM unnest(r.subject || names) AS n)));
    PERFORM crm_internal.set_trigger(relation, '_after_update_erased', names <> '{}', 'AFTER UPDATE',
        format('FOR EACH ROW WHEN (%s) EXECUTE FUNCTION crm_internal.refuse_erased(%s)',
               (SELECT string_agg(format('OLD.%1$I IS DISTINCT FROM NEW.%1$I', n), ' OR ') FROM unnest(names) AS n),
               (SELECT string_agg(quote_literal(n), ', ') FROM unnest(r.subject || names) AS n)));
END
$$;
COMMENT ON FUNCTION crm_internal.apply_addresses(regclass) IS 'Rows of tables with addresses, and of people, are compared with who was erased.';
SELECT crm.declare_hook('table', 'crm_internal.apply_addresses(regclass)');

-- ---- erasing ----

CREATE OR REPLACE FUNCTION crm_internal.source_keys(tenant bigint, people jsonb)
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
    FOR place IN SELECT r.subject, r.relation FROM crm.registered_as('person') AS r WHERE people ? r.subject AND crm.column_exists(r.relation::regclass,
        'source_id') LOOP
        EXECUTE format('SELECT array_agg(crm_internal.source_said(%L, x.source_system, x.source_id)) FROM %s AS x WHERE x.tenant_id = $1 AND x.id = ANY ($2) '
                       'AND x.source_id IS NOT NULL', place.subject, place.relation::regclass) INTO part USING tenant, crm_internal.ids_in(people,
                           place.subject);
        found := found || part;
    END LOOP;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.source_keys(bigint, jsonb) IS 'Keys of people in the systems they were imported from, as they are hashed.';

CREATE OR REPLACE FUNCTION crm_internal.hash_addresses(tenant bigint, addresses text[])
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    lines jsonb := '[]';
    counted record;
BEGIN
    FOR counted IN
        SELECT h.subject, h.column_name, sum(h.n)::bigint AS n
        FROM unnest(addresses) AS a, crm_internal.person_tags(tenant, a) AS t,
             LATERAL crm_internal.rename_address(tenant, '#' || encode(coalesce(t[1], t[2]), 'hex'), ARRAY[a]) AS h
        GROUP BY h.subject, h.column_name ORDER BY h.subject, h.column_name
    LOOP
        lines := lines || crm_internal.line(counted.subject, counted.column_name, 'hashed', counted.n);
    END LOOP;
    RETURN lines;
END
$$;
COMMENT ON FUNCTION crm_internal.hash_addresses(bigint, text[]) IS 'Addresses of who is erased go on as keyed hashes; lines of the certificate.';

-- All of it, for records that are one person; lines of the certificate. Whoever calls holds the lock.
CREATE OR REPLACE FUNCTION crm_internal.erase_people(tenant bigint, people jsonb, request bigint)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    word CONSTANT text := crm_internal.texts_of(tenant, 'privacy') ->> 'erased';
    addresses text[] := crm_internal.addresses_of(tenant, people);
    names CONSTANT text[] := ARRAY(SELECT DISTINCT n FROM unnest(crm_internal.names_of(tenant, people) || crm_internal.former_values(tenant, people,
        'person')) AS n
                                   WHERE n <> word);
    written CONSTANT text[] := crm_internal.addresses_of(tenant, people, as_typed => true) || crm_internal.former_values(tenant, people, 'addresses');
    needles text[];
    texts text[];
    lines jsonb := '[]';
    places jsonb := '[]';
    place record;
    tags bytea[];
    hook regprocedure;
BEGIN
    SELECT coalesce(array_agg(DISTINCT n.needle) FILTER (WHERE n.because IS NULL), '{}'),
           coalesce(jsonb_agg(crm_internal.line(NULL, NULL, 'shared', 1, n.because) -> 0) FILTER (WHERE n.because IS NOT NULL), '[]')
    INTO needles, lines FROM crm_internal.needles_of(tenant, people, names, addresses) AS n;
    addresses := ARRAY(SELECT a FROM unnest(addresses) AS a WHERE a = ANY (needles));
    needles := needles || ARRAY(SELECT w FROM unnest(written) AS w WHERE w <> ALL (needles)
        AND NOT EXISTS (SELECT FROM crm_internal.needles_of(tenant, people, '{}', ARRAY[w]) AS n WHERE n.because IS NOT NULL));
    texts := coalesce(crm_internal.mention_texts(word, needles), ARRAY[word]);
    -- by what they are known again, before it goes
    tags := ARRAY(SELECT coalesce(t[1], t[2]) FROM unnest(addresses || crm_internal.source_keys(tenant, people)) AS s, crm_internal.person_tags(tenant,
        s) AS t);
    INSERT INTO crm.erased_addresses AS e (tenant_id, tag, request_id)
    SELECT DISTINCT tenant, t, request FROM unnest(tags) AS t
    ON CONFLICT ON CONSTRAINT erased_addresses_pkey DO UPDATE
    SET request_id = excluded.request_id, erased_at = now(), readmitted_at = NULL, readmitted_by = NULL, readmitted_because = NULL
    WHERE e.readmitted_at IS NOT NULL;
    FOR place IN SELECT p.* FROM crm_internal.records_of(tenant, people) AS p LOOP
        lines := lines || crm_internal.erase_linked(tenant, place.subject, place.condition, place.direct, texts);
        places := places || jsonb_build_object('subject', place.subject, 'ids', to_jsonb(coalesce(place.ids, '{}')));
    END LOOP;
    lines := lines || crm_internal.hash_addresses(tenant, addresses);
    FOR place IN SELECT r.subject, r.relation::regclass, p AS person FROM crm.registered_as('erase') AS r, jsonb_object_keys(people) AS p
                 WHERE r.options #> '{erase,whose}' IS NOT NULL LOOP
        lines := lines || crm_internal.erase_whose(tenant, place.subject, place.person, crm_internal.ids_in(people, place.person), texts);
    END LOOP;
    IF cardinality(texts) > 1 THEN
        FOR place IN SELECT t.* FROM crm_internal.tables_with_texts() AS t LOOP
            lines := lines || CASE WHEN place.cleaned THEN crm_internal.erase_mentions(tenant, place.subject, place.relation::regclass, texts)
                                   ELSE crm_internal.count_mentions(tenant, place.subject, place.relation::regclass, texts) END;
        END LOOP;
    END IF;
    -- what this transaction has noted is written first, so that it can go as well
    PERFORM crm.write_audit();
    lines := lines || crm_internal.erase_changes(tenant, people, places, texts);
    FOR hook IN SELECT h FROM crm_internal.hooks_at('person_erased') AS h LOOP
        EXECUTE format('SELECT %s($1, $2)', hook::regproc) USING tenant, people;
    END LOOP;
    UPDATE crm.person_requests AS q
    SET hashes = ARRAY(SELECT DISTINCT t FROM unnest(q.hashes || tags) AS t), people = people
    WHERE q.tenant_id = tenant AND q.id = request;
    RETURN lines;
END
$$;
COMMENT ON FUNCTION crm_internal.erase_people(bigint, jsonb, bigint) IS 'Erases the records that are one person, for a request; lines of its certificate.';

CREATE OR REPLACE FUNCTION crm_internal.erase_whose(tenant bigint, subject text, person text, ids bigint[], texts text[])
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
    names text[];
    becomes text[];
BEGIN
    SELECT x.* INTO r FROM crm.registry AS x WHERE x.subject = erase_whose.subject;
    SELECT coalesce(array_agg(c.name), '{}'), coalesce(array_agg(c.becomes), '{}') INTO names, becomes
    FROM crm_internal.erased_columns(r.relation::regclass) AS c WHERE c.becomes IS NOT NULL;
    RETURN crm_internal.change_quietly(tenant, subject, r.relation::regclass, names, becomes,
        replace(replace(r.options #>> '{erase,whose}', '$2', quote_literal(ids) || '::bigint[]'), '$3[1]', quote_literal(person)), texts, 'erased');
END
$$;
COMMENT ON FUNCTION crm_internal.erase_whose(bigint, text, text, bigint[], text[]) IS
'Erases rows that are a person''s as their table says (whose of option erase); lines of the certificate.';

CREATE OR REPLACE FUNCTION crm_internal.joined_lines(lines jsonb)
RETURNS jsonb
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(l.line || jsonb_build_object('count', l.n) ORDER BY l.line ->> 'table' COLLATE "C" NULLS LAST,
        l.line ->> 'column' COLLATE "C", l.line ->> 'done'), '[]')
    FROM (SELECT x - 'count' AS line, sum((x ->> 'count')::bigint) AS n FROM jsonb_array_elements(lines) AS x GROUP BY x - 'count') AS l
$$;
COMMENT ON FUNCTION crm_internal.joined_lines(jsonb) IS 'Lines of a certificate that say the same as one, in the order of tables.';

-- One person, by a record of theirs: the request, all that is done, its certificate and the event.
CREATE OR REPLACE FUNCTION crm_internal.erase_one(tenant bigint, subject text, id bigint, reason text)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    people jsonb;
    made crm.person_requests;
    lines jsonb;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'people are erased in a transaction that sees what others commit'
            USING ERRCODE = 'active_sql_transaction', HINT = 'Say BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
    -- one at a time: two would wait for each other's rows
    PERFORM crm.lock('erase_person', tenant);
    people := crm_internal.people_of(tenant, subject, id);
    IF EXISTS (SELECT FROM crm.person_restrictions AS r WHERE r.tenant_id = tenant AND r.ground = 'claims' AND r.lifted_at IS NULL
               AND (r.until IS NULL OR r.until > now()) AND r.subject_id = ANY (crm_internal.ids_in(people, r.subject_table))) THEN
        RAISE EXCEPTION 'what is known of this person is needed for legal claims' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Erase them when the claims are settled: crm.lift_restriction() first.';
    END IF;
    PERFORM crm.because('erase_person');
    INSERT INTO crm.person_requests AS q (tenant_id, kind, subject_table, subject_id, reason) VALUES (tenant, 'erase', subject, id, reason)
    RETURNING q.* INTO made;
    lines := crm_internal.joined_lines(crm_internal.erase_people(tenant, people, made.id));
    UPDATE crm.person_requests AS q SET certificate = lines WHERE q.tenant_id = tenant AND q.id = made.id;
    PERFORM crm_internal.write_event('person.erased', subject, id, jsonb_build_object('request', made.id, 'people',
        (SELECT q.people FROM crm.person_requests AS q WHERE q.tenant_id = tenant AND q.id = made.id)));
    RETURN lines;
END
$$;
COMMENT ON FUNCTION crm_internal.erase_one(bigint, text, bigint, text) IS
'Erases the person that a record is, for a reason; lines of the certificate. Errors: 25001 in a transaction that is not READ COMMITTED, 55000 for one who is '
'kept for legal claims.';

-- security definer: what goes is more than any one user sees
CREATE OR REPLACE FUNCTION crm.erase_person(contact_id bigint DEFAULT NULL, reason text DEFAULT NULL, lead_id bigint DEFAULT NULL)
RETURNS TABLE (table_name text, column_name text, done text, row_count bigint, because text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 30
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    who record;
    lines jsonb;
BEGIN
    IF coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'nobody is erased without a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'Say who asked for it, when and how.';
    END IF;
    SELECT p.subject, p.id INTO who FROM crm_internal.require_person(contact_id, lead_id) AS p;
    lines := crm_internal.erase_one(tenant, who.subject, who.id, reason);
    RETURN QUERY SELECT l ->> 'table', l ->> 'column', l ->> 'done', (l ->> 'count')::bigint, l ->> 'because' FROM jsonb_array_elements(lines) AS l;
END
$$;
COMMENT ON FUNCTION crm.erase_person(bigint, text, bigint) IS
'Erases a person: the personal columns of the contact, of leads that are the same person, of all that is about them and its children; names, addresses and '
'telephones in every other text; what the log of changes, the outbox, staged imports and kept answers say of them. Rows that are counted stay, without the '
'person. Addresses go on as keyed hashes, so that no import and no capture brings the person back unasked (CR608, crm.readmit). Returns the certificate, '
'which crm.person_requests keeps: what was done to which column of how many rows, and what stays and why. A second call finds what came since. The event '
'person.erased tells other systems. Admins. Errors: P0002 for a person who is not there, 22023 without a reason, 25001 in a transaction that is not READ '
'COMMITTED, 55000 for a person who is kept for legal claims (crm.restrict_person).';
SELECT crm.declare_function('crm.erase_person', 'admin');
SELECT crm.declare_event('person.erased', 'A person was erased: whoever has a copy erases them, too.',
    '{"request": {"type": "integer"}, "people": {"type": "object"}}');

-- ---- what others wrote meanwhile ----

-- records that have an address of which there is a tag: the address itself is kept nowhere
CREATE OR REPLACE FUNCTION crm_internal.people_by_tags(tenant bigint, tags bytea[])
RETURNS TABLE (subject text, id bigint)
LANGUAGE plpgsql STABLE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
BEGIN
    FOR place IN SELECT a.* FROM crm_internal.addresses_of_people() AS a LOOP
        RETURN QUERY EXECUTE format('SELECT DISTINCT %L, x.%I FROM %s AS x WHERE x.tenant_id = $1 AND x.%2$I IS NOT NULL AND x.%4$I IS NOT NULL '
            'AND crm_internal.person_tags($1, x.%4$I::text) && $2', place.person, place.id, place.relation::regclass, place.said) USING tenant, tags;
    END LOOP;
    FOR place IN SELECT r.subject, r.relation FROM crm.registered_as('person') AS r WHERE crm.column_exists(r.relation::regclass, 'source_id') LOOP
        RETURN QUERY EXECUTE format('SELECT %L, x.id FROM %s AS x WHERE x.tenant_id = $1 AND x.source_id IS NOT NULL '
            'AND crm_internal.person_tags($1, crm_internal.source_said(%1$L, x.source_system, x.source_id)) && $2', place.subject, place.relation::regclass)
                USING tenant, tags;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm_internal.people_by_tags(bigint, bytea[]) IS 'People with an address, or a key elsewhere, of which one of the keyed hashes is.';

CREATE OR REPLACE FUNCTION crm_internal.erase_again(tenant bigint, request bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    q crm.person_requests;
    who record;
    lines jsonb := '[]';
    readmitted CONSTANT bytea[] := ARRAY(SELECT e.tag FROM crm.erased_addresses AS e WHERE e.tenant_id = tenant AND e.readmitted_at IS NOT NULL);
BEGIN
    PERFORM crm.lock('erase_person', tenant);
    SELECT x.* INTO q FROM crm.person_requests AS x WHERE x.tenant_id = tenant AND x.id = request;
    PERFORM crm.because('erase_person');
    -- those who asked to be known again are left in peace
    IF NOT q.hashes && readmitted THEN
        FOR who IN SELECT k AS subject, i::bigint AS id FROM jsonb_each(q.people) AS e (k, v), jsonb_array_elements_text(e.v) AS i
                   WHERE k IN (SELECT r.subject FROM crm.registered_as('person') AS r)
                   UNION SELECT p.subject, p.id FROM crm_internal.people_by_tags(tenant, q.hashes) AS p LOOP
            lines := lines || crm_internal.erase_people(tenant, crm_internal.people_of(tenant, who.subject, who.id), request);
        END LOOP;
        lines := (SELECT coalesce(jsonb_agg(l), '[]') FROM jsonb_array_elements(lines) AS l WHERE l ->> 'done' NOT IN ('kept', 'shared'));
    END IF;
    UPDATE crm.person_requests AS x SET certificate = crm_internal.joined_lines(x.certificate || lines), people = q.people || x.people
    WHERE x.tenant_id = tenant AND x.id = request AND lines <> '[]';
    RETURN jsonb_array_length(lines);
END
$$;
COMMENT ON FUNCTION crm_internal.erase_again(bigint, bigint) IS 'Erases what has come of a person since a request, and adds it to the certificate; how '
'many lines.';

CREATE OR REPLACE FUNCTION crm_internal.settle_tenant(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    item text;
BEGIN
    FOREACH item IN ARRAY items LOOP
        PERFORM crm_internal.erase_again(tenant, item::bigint);
        UPDATE crm.person_requests AS q SET settled_at = as_of WHERE q.tenant_id = tenant AND q.id = item::bigint;
    END LOOP;
    RETURN cardinality(items);
END
$$;
COMMENT ON FUNCTION crm_internal.settle_tenant(bigint, text[], timestamptz) IS 'Settles requests of a company, by their numbers; how many.';

CREATE OR REPLACE FUNCTION crm.settle_erasures(as_of timestamptz DEFAULT now(), batch integer DEFAULT 20)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- whoever begins to write now sees who was erased; whoever has begun is waited for
    UPDATE crm.person_requests AS q SET waits_for = pg_snapshot_xmax(pg_current_snapshot()), waits_on_server = crm.server_number()
    WHERE q.kind = 'erase' AND q.settled_at IS NULL AND q.waits_for IS NULL;
    RETURN crm_internal.do_due('crm.settle_erasures',
        'crm.person_requests AS x WHERE x.kind = ''erase'' AND x.settled_at IS NULL AND x.done_at <= $1'
        -- transactions of another server, from which this database was copied, are over
        ' AND (x.waits_for <= pg_snapshot_xmin(pg_current_snapshot()) OR x.waits_on_server <> crm.server_number())',
        'x.id', 'x.id', 'NO KEY UPDATE OF x', 'crm_internal.settle_tenant', as_of, batch);
END
$$;
COMMENT ON FUNCTION crm.settle_erasures(timestamptz, integer) IS
'Looks at erasures once more when all transactions are over that ran at the time, such as an import: what they have written of the person goes, too. Returns '
'how many were settled. Done by crm.run_maintenance() each minute. Only the owner of the CRM.';
SELECT crm.declare_function('crm.settle_erasures', 'owner');

-- ---- after a restore ----

CREATE OR REPLACE FUNCTION crm.erasure_list(since timestamptz DEFAULT '-infinity')
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('subject_table', q.subject_table, 'subject_id', q.subject_id, 'done_at', q.done_at, 'reason', q.reason,
                                                 'people', q.people, 'tags', to_jsonb(ARRAY(SELECT encode(t, 'hex')
                                                     FROM unnest(q.hashes) AS t))) ORDER BY q.id), '[]')
    FROM crm.person_requests AS q
    WHERE q.tenant_id = crm.tenant_id() AND q.kind = 'erase' AND q.done_at >= since
$$;
COMMENT ON FUNCTION crm.erasure_list(timestamptz) IS
'Who was erased since an instant, as numbers and keyed hashes: keep it beside the backups, and give it to crm.erase_listed() where one is restored that is '
'older. Admins.';
SELECT crm.declare_function('crm.erasure_list', 'admin');

CREATE OR REPLACE FUNCTION crm.erase_listed(list jsonb)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    one jsonb;
    request bigint;
    done bigint := 0;
BEGIN
    IF jsonb_typeof(list) IS DISTINCT FROM 'array' OR EXISTS (
        SELECT FROM jsonb_array_elements(list) AS x WHERE jsonb_typeof(x) <> 'object' OR NOT x ?& '{subject_table,subject_id,reason,people,tags}') THEN
        RAISE EXCEPTION 'this is no list of people who were erased' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'It is what crm.erasure_list() returned.';
    END IF;
    FOR one IN SELECT x FROM jsonb_array_elements(list) AS x LOOP
        CONTINUE WHEN EXISTS (SELECT FROM crm.person_requests AS q WHERE q.tenant_id = tenant AND q.kind = 'erase'
            AND q.subject_table = one ->> 'subject_table'
                              AND q.subject_id = (one ->> 'subject_id')::bigint AND q.done_at >= (one ->> 'done_at')::timestamptz);
        INSERT INTO crm.person_requests AS q (tenant_id, kind, subject_table, subject_id, reason, people, hashes)
        VALUES (tenant, 'erase', one ->> 'subject_table', (one ->> 'subject_id')::bigint, 'again: ' || (one ->> 'reason'), one -> 'people',
                ARRAY(SELECT decode(t, 'hex') FROM jsonb_array_elements_text(one -> 'tags') AS t))
        RETURNING q.id INTO request;
        INSERT INTO crm.erased_addresses AS e (tenant_id, tag, request_id)
        SELECT DISTINCT tenant, decode(t, 'hex'), request FROM jsonb_array_elements_text(one -> 'tags') AS t ON CONFLICT DO NOTHING;
        PERFORM crm_internal.erase_again(tenant, request);
        done := done + 1;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.erase_listed(jsonb) IS
'Erases people anew whom a restored backup has brought back, out of what crm.erasure_list() said: by their numbers, and whoever has one of their addresses. '
'Those erased since are left out. Returns how many. Admins. Error 22023 for what is no such list.';
SELECT crm.declare_function('crm.erase_listed', 'admin');
