-- Restriction of processing: what is known of a person is stored and not used. Whoever uses it asks crm_internal.is_restricted().

CREATE OR REPLACE FUNCTION crm_internal.restrictions_of(tenant text)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- those of the past count, too: questions about a past instant ask as well
    RETURN CASE WHEN EXISTS (SELECT FROM crm.person_restrictions AS r WHERE r.tenant_id = tenant::bigint) THEN 'some' ELSE 'none' END;
END
$$;
COMMENT ON FUNCTION crm_internal.restrictions_of(text) IS
'Whether a company has ever restricted anybody: some or none. For crm.kept_text(), as every message and member asks.';

-- security definer: that a person is restricted holds for whoever asks
CREATE OR REPLACE FUNCTION crm_internal.is_restricted(tenant bigint, subject_table text, subject_id bigint, at timestamptz DEFAULT now())
RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF tenant IS NULL OR crm.kept_text('restrictions_of', tenant::text) = 'none' THEN
        RETURN false;
    END IF;
    RETURN EXISTS (SELECT FROM crm.person_restrictions AS r
                   WHERE r.tenant_id = tenant AND r.subject_table = is_restricted.subject_table AND r.subject_id = is_restricted.subject_id
                     AND r.restricted_at <= at AND (r.until IS NULL OR r.until > at) AND (r.lifted_at IS NULL OR r.lifted_at > at));
END
$$;
COMMENT ON FUNCTION crm_internal.is_restricted(bigint, text, bigint, timestamptz) IS
'Whether a record is a person whose data is not to be used at an instant (crm.restrict_person).';

-- Restrictions whose time is over are closed, so that others may begin.
CREATE OR REPLACE FUNCTION crm_internal.close_restrictions(tenant bigint, people jsonb)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE crm.person_restrictions AS r SET lifted_at = r.until, lifted_because = 'its time was over'
    WHERE r.tenant_id = tenant AND r.lifted_at IS NULL AND r.until <= now() AND r.subject_id = ANY (crm_internal.ids_in(people, r.subject_table))
$$;
COMMENT ON FUNCTION crm_internal.close_restrictions(bigint, jsonb) IS 'Closes restrictions of people whose time is over.';

CREATE OR REPLACE FUNCTION crm_internal.open_restrictions(tenant bigint, people jsonb)
RETURNS SETOF bigint
LANGUAGE sql STABLE ROWS 3
SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE found AS (
        SELECT r.id FROM crm.person_restrictions AS r
        WHERE r.tenant_id = tenant AND r.lifted_at IS NULL AND r.subject_id = ANY (crm_internal.ids_in(people, r.subject_table))
        UNION
        SELECT r.id FROM found AS f JOIN crm.person_restrictions AS r ON r.tenant_id = tenant AND r.carried_from_id = f.id AND r.lifted_at IS NULL)
    SELECT f.id FROM found AS f
$$;
COMMENT ON FUNCTION crm_internal.open_restrictions(bigint, jsonb) IS
'Restrictions of people that were not lifted, and those of records that came later with an address of theirs.';

CREATE OR REPLACE FUNCTION crm.restrict_person(
    contact_id bigint DEFAULT NULL, reason text DEFAULT NULL, ground text DEFAULT 'request', until timestamptz DEFAULT NULL, lead_id bigint DEFAULT NULL)
RETURNS SETOF crm.person_restrictions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    who record;
    people jsonb;
    hook regprocedure;
BEGIN
    IF coalesce(reason, '') = '' THEN
        RAISE EXCEPTION 'nobody is restricted without a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'Say who asked for it, when and how.';
    END IF;
    IF until <= now() OR NOT isfinite(until) THEN
        RAISE EXCEPTION 'a restriction cannot end at %', until USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Name an instant to come, or none: it holds until crm.lift_restriction().';
    END IF;
    SELECT p.subject, p.id INTO who FROM crm_internal.require_person(contact_id, lead_id) AS p;
    people := crm_internal.people_of(tenant, who.subject, who.id);
    PERFORM crm_internal.close_restrictions(tenant, people);
    -- said again it is as it is said now, from the day on which it began
    UPDATE crm.person_restrictions AS r
    SET ground = coalesce(restrict_person.ground, 'request'), reason = restrict_person.reason, until = restrict_person.until, restricted_by = crm.user_id()
    WHERE r.tenant_id = tenant AND r.id IN (SELECT crm_internal.open_restrictions(tenant, people))
      AND r.subject_id <> ALL (crm_internal.ids_in(people, r.subject_table));   -- the person's own are written below
    RETURN QUERY
        INSERT INTO crm.person_restrictions AS r (tenant_id, subject_table, subject_id, ground, reason, until)
        SELECT tenant, k, i::bigint, coalesce(restrict_person.ground, 'request'), restrict_person.reason, restrict_person.until
        FROM jsonb_each(people) AS e (k, v), jsonb_array_elements_text(e.v) AS i ORDER BY 2, 3
        ON CONFLICT (tenant_id, subject_table, subject_id) WHERE lifted_at IS NULL DO UPDATE
        SET ground = excluded.ground, reason = excluded.reason, until = excluded.until, restricted_by = excluded.restricted_by
        RETURNING r.*;
    FOR hook IN SELECT h FROM crm_internal.hooks_at('person_restricted') AS h LOOP
        EXECUTE format('SELECT %s($1, $2)', hook::regproc) USING tenant, people;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.restrict_person(bigint, text, text, timestamptz, bigint) IS
'From now on what is known of a person is stored and not used: nothing is sent to them, no segment, journey and list of best leads has them, no score of '
'theirs is told, and no retention policy erases them. contact_id, or lead_id for who is no contact yet; all records that are the same person. ground: request, '
'accuracy, unlawful, claims (they cannot be erased either) or objection. until: an instant to come; NULL: until crm.lift_restriction(). Returns a row for '
'each record. Said again, it is as said the last time. Admins. Errors: P0002 for a person who is not there, 22023 without a reason or for an instant that '
'has passed, 23514 an unknown ground.';
SELECT crm.declare_function('crm.restrict_person', 'admin');

CREATE OR REPLACE FUNCTION crm.lift_restriction(contact_id bigint DEFAULT NULL, because text DEFAULT NULL, lead_id bigint DEFAULT NULL)
RETURNS SETOF crm.person_restrictions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE ROWS 2
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    tenant CONSTANT bigint := crm.tenant_id();
    who record;
    people jsonb;
    hook regprocedure;
BEGIN
    IF coalesce(because, '') = '' THEN
        RAISE EXCEPTION 'no restriction is lifted without a reason' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Say why; the person is told before it is lifted.';
    END IF;
    SELECT p.subject, p.id INTO who FROM crm_internal.require_person(contact_id, lead_id) AS p;
    people := crm_internal.people_of(tenant, who.subject, who.id);
    PERFORM crm_internal.close_restrictions(tenant, people);
    RETURN QUERY
        UPDATE crm.person_restrictions AS r SET lifted_at = now(), lifted_by = crm.user_id(), lifted_because = because
        WHERE r.tenant_id = tenant AND r.id IN (SELECT crm_internal.open_restrictions(tenant, people))
        RETURNING r.*;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'row % of "%" is not restricted', who.id, who.subject USING ERRCODE = 'no_data_found', HINT = 'See crm.person_restrictions.';
    END IF;
    FOR hook IN SELECT h FROM crm_internal.hooks_at('person_released') AS h LOOP
        EXECUTE format('SELECT %s($1, $2)', hook::regproc) USING tenant, people;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.lift_restriction(bigint, text, bigint) IS
'Data of a person may be used again: lifts what crm.restrict_person() said of all records that are the person, and keeps that it was there and why it ended. '
'Journeys they were let out of are not gone on with. Admins. Errors: P0002 for a person who is not there or not restricted, 22023 without a reason.';
SELECT crm.declare_function('crm.lift_restriction', 'admin');

-- A record that is made later of a restricted person is restricted as well. An e-mail address says that it is the same person; a telephone may be shared.
CREATE OR REPLACE FUNCTION crm_internal.carry_restriction(tenant bigint, subject text, row_now jsonb, said text)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
    known crm.person_restrictions;
    people jsonb := '{}';
    more bigint[];
BEGIN
    -- whose record the address is written for
    FOR place IN SELECT subject AS target, 'id' AS column_name FROM crm.registered_as('person') AS p WHERE p.subject = carry_restriction.subject
                 UNION ALL SELECT w.target, w.column_name FROM crm_internal.ways_down() AS w JOIN crm.registered_as('person') AS p ON p.subject = w.target
                           WHERE w.subject = carry_restriction.subject LOOP
        IF row_now ->> place.column_name IS NOT NULL THEN
            people := crm_internal.with_ids(people, place.target, ARRAY[(row_now ->> place.column_name)::bigint]);
        END IF;
    END LOOP;
    IF people = '{}' THEN
        RETURN;
    END IF;
    -- who else has it
    FOR place IN SELECT a.* FROM crm_internal.addresses_of_people() AS a LOOP
        EXECUTE format('SELECT array_agg(DISTINCT x.%I) FROM %s AS x WHERE x.tenant_id = $1 AND x.%I = $2', place.id, place.relation::regclass, place.said)
            INTO more USING tenant, said;
        SELECT r.* INTO known FROM crm.person_restrictions AS r
        WHERE r.tenant_id = tenant AND r.subject_table = place.person AND r.subject_id = ANY (more) AND r.lifted_at IS NULL
          AND (r.until IS NULL OR r.until > now()) ORDER BY r.id LIMIT 1;
        EXIT WHEN known.id IS NOT NULL;
    END LOOP;
    IF known.id IS NOT NULL THEN
        PERFORM crm_internal.close_restrictions(tenant, people);
        INSERT INTO crm.person_restrictions AS r (tenant_id, subject_table, subject_id, ground, reason, until, carried_from_id)
        SELECT tenant, k, i::bigint, known.ground, known.reason, known.until, known.id FROM jsonb_each(people) AS e (k, v), jsonb_array_elements_text(e.v) AS i
        ON CONFLICT (tenant_id, subject_table, subject_id) WHERE lifted_at IS NULL DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.carry_restriction(bigint, text, jsonb, text) IS
'Restricts the person of a row with an e-mail address as somebody is restricted who has the same.';
