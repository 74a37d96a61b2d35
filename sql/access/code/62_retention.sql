-- Retention: what is known of people for longer than a policy says is erased, or emptied, by whatever runs maintenance.
--
-- A policy names a table, its rows (condition), from when its time counts, and what is done. What is due is a statement made of the policy
-- (crm_internal.due_condition); of a person all records have to be due, not only the one that the policy found.

-- ---- from when time counts ----

-- Ways from a record to what happened with it: its own, and those of the account, or what else it is of.
CREATE OR REPLACE FUNCTION crm_internal.ways_to_happenings(subject text)
RETURNS TABLE (of_column text, relation regclass, column_name text, target_column text, target text, happened text)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.of_column, w.relation, w.column_name, w.target_column, f.target, r.options ->> 'happened'
    FROM (SELECT 'id' AS of_column, ways_to_happenings.subject AS target
          UNION SELECT l.column_name, l.target FROM crm.table_links() AS l
          WHERE l.subject = ways_to_happenings.subject AND l.target IS NOT NULL AND l.target_column IS NULL) AS f
    JOIN crm_internal.ways_down() AS w ON w.target = f.target OR w.target IS NULL AND w.target_column IS NOT NULL
    -- what follows from other records, such as a stage of the life cycle, is no sign of life by itself
    JOIN crm.registry AS r ON r.relation = w.relation AND r.options ? 'happened' AND NOT (r.class = 'log' AND r.options ? 'process')
    ORDER BY 1, 2, 3
$$;
COMMENT ON FUNCTION crm_internal.ways_to_happenings(text) IS
'Tables that tell when something happened with rows of a table, or with what these are of: a row of them refers by column_name (of a record of target, where '
'target_column names its table) to of_column.';

-- expression over x, a row of the table, and null where it has no such column
CREATE OR REPLACE FUNCTION crm_internal.counted_from(policy crm.retention_policies)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN policy.counted_from IS NOT NULL THEN format('x.%I::timestamptz', policy.counted_from)
                ELSE 'greatest(x.created_at' || coalesce((
                    SELECT string_agg(', (SELECT max(' || w.happened || format(') FROM %s AS r WHERE r.tenant_id = x.tenant_id AND r.%I = x.%I',
                                                                               w.relation::regclass, w.column_name, w.of_column)
                                      || CASE WHEN w.target_column IS NOT NULL THEN format(' AND r.%I = %L', w.target_column, w.target) ELSE '' END || ')', '')
                    FROM crm_internal.ways_to_happenings(policy.subject_table) AS w), '') || ')' END
$$;
COMMENT ON FUNCTION crm_internal.counted_from(crm.retention_policies) IS
'Expression over a row x from when the time of a policy counts: its column, or the last thing that happened.';

-- whether something personal is left in a row, as a condition over x
CREATE OR REPLACE FUNCTION crm_internal.still_personal(tenant bigint, subject text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN r.options #>> '{erase,rows}' = 'delete' THEN 'true'
                ELSE 'EXISTS (SELECT FROM (SELECT x.*) AS r WHERE ' || coalesce((
                    SELECT string_agg(format('(r.%I::text IS DISTINCT FROM (', c.name)
                                      || replace(c.becomes, '$3[1]', quote_literal(crm_internal.texts_of(tenant, 'privacy') ->> 'erased'))
                                      || ')::text)', ' OR ')
                    FROM crm_internal.erased_columns(r.relation::regclass) AS c WHERE c.becomes IS NOT NULL), 'false') || ')' END
    FROM crm.registry AS r WHERE r.subject = still_personal.subject
$$;
COMMENT ON FUNCTION crm_internal.still_personal(bigint, text) IS 'Condition over a row x of a table: erasing it would change it.';

-- What is due by a policy: what stands after FROM with its WHERE, over x; $1 is the instant.
CREATE OR REPLACE FUNCTION crm_internal.due_condition(policy crm.retention_policies)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
BEGIN
    SELECT g.* INTO r FROM crm.registry AS g WHERE g.subject = policy.subject_table;
    RETURN format('%s AS x WHERE x.tenant_id = %s AND %s < $1 - %L::interval', r.relation::regclass, policy.tenant_id, crm_internal.counted_from(policy),
                  policy.kept_for)
        || CASE WHEN policy.condition IS NOT NULL THEN format(' AND crm.row_holds(x, %L::jsonpath)', policy.condition) ELSE '' END
        || ' AND ' || crm_internal.still_personal(policy.tenant_id, policy.subject_table)
        -- whose data is stored and not used is stored for a reason
        || CASE WHEN crm.kept_text('restrictions_of', policy.tenant_id::text) = 'none' THEN '' ELSE
               CASE WHEN r.options ? 'person' THEN format(' AND NOT crm_internal.is_restricted(x.tenant_id, %L, x.id, $1)', r.subject) ELSE '' END
               || coalesce((SELECT string_agg(format(' AND (x.%I IS NULL OR NOT crm_internal.is_restricted(x.tenant_id, ', w.column_name)
                                           || CASE WHEN w.target_column IS NULL THEN quote_literal(w.target) ELSE format('x.%I', w.target_column) END
                                           || format(', x.%I, $1))', w.column_name), '')
                            FROM crm_internal.ways_down() AS w
                            WHERE w.relation = r.relation
                              AND (w.target_column IS NOT NULL OR w.target IN (SELECT p.subject FROM crm.registered_as('person') AS p))), '') END;
END
$$;
COMMENT ON FUNCTION crm_internal.due_condition(crm.retention_policies) IS
'What a policy finds at an instant $1, as it stands after FROM: rows x whose time is over, for which its condition holds, in which something personal is left, '
'and whose person is not restricted.';

CREATE OR REPLACE FUNCTION crm_internal.check_retention_policy()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r crm.registry;
    known text;
BEGIN
    SELECT g.* INTO r FROM crm.registry AS g WHERE g.subject = NEW.subject_table;
    IF r.relation IS NULL THEN
        RETURN NEW;     -- the names of tables are checked by a trigger of their own
    END IF;
    IF NEW.action = 'erase' AND NOT r.options ? 'person' THEN
        RAISE EXCEPTION 'rows of "%" are no people, who could be erased', NEW.subject_table USING ERRCODE = 'invalid_parameter_value', COLUMN = 'action',
            HINT = 'Tables of people are: ' || (SELECT string_agg(p.subject, ', ' ORDER BY p.subject) FROM crm.registered_as('person') AS p)
                   || '. For others say empty.';
    END IF;
    IF NEW.action = 'empty' AND r.options ? 'person' THEN
        RAISE EXCEPTION 'rows of "%" are people: what tells of them goes with them', NEW.subject_table USING ERRCODE = 'invalid_parameter_value',
            COLUMN = 'action', HINT = 'Say erase.';
    END IF;
    IF r.class IN ('configuration', 'lookup', 'catalogue') OR NOT crm.column_exists(r.relation::regclass, 'id') THEN
        RAISE EXCEPTION 'rows of "%" are not kept for a time', NEW.subject_table USING ERRCODE = 'invalid_parameter_value', COLUMN = 'subject_table',
            HINT = 'Name a table of records of people, such as contacts or ticket_messages.';
    END IF;
    SELECT string_agg(a.attname::text, ', ' ORDER BY a.attnum) INTO known FROM pg_attribute AS a
    WHERE a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid IN ('timestamptz'::regtype, 'date'::regtype, 'timestamp'::regtype);
    IF NEW.counted_from IS NULL AND NOT crm.column_exists(r.relation::regclass, 'created_at')
       OR NEW.counted_from <> ALL (string_to_array(known, ', ')) THEN
        RAISE EXCEPTION 'no instant of "%" is called "%"', NEW.subject_table, coalesce(NEW.counted_from, 'created_at')
            USING ERRCODE = 'undefined_column', COLUMN = 'counted_from', HINT = 'Its columns with instants and days are: ' || coalesce(known, 'none') || '.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_retention_policy() IS 'Row trigger of retention_policies: table, action and column fit together. Errors 22023, 42703.';
CREATE OR REPLACE TRIGGER retention_policies_before_check BEFORE INSERT OR UPDATE ON crm.retention_policies
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_retention_policy();

-- ---- who is due altogether ----

-- Whether a record is still of use by itself: it is open, or something happened with it since an instant.
CREATE OR REPLACE FUNCTION crm_internal.is_quiet(tenant bigint, subject text, id bigint, since timestamptz)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target CONSTANT regclass := crm.subject_relation(subject);
    policy crm.retention_policies;
    quiet boolean;
BEGIN
    policy.subject_table := subject;
    EXECUTE format('SELECT coalesce(%s < $3%s, false) FROM %s AS x WHERE x.tenant_id = $1 AND x.id = $2', crm_internal.counted_from(policy),
                   CASE WHEN crm.column_exists(target, 'closed_at') THEN ' AND x.closed_at < $3' ELSE '' END, target) INTO quiet USING tenant, id, since;
    RETURN coalesce(quiet, true);
END
$$;
COMMENT ON FUNCTION crm_internal.is_quiet(bigint, text, bigint, timestamptz) IS
'Whether nothing happened with a record since an instant, and it was closed before, where its table knows that.';

-- A person is due when each record that is the person is: one of a table that others of the person refer to, such as the contact that a lead became, by a
-- policy of its own table; others when they are quiet for as long as this policy asks.
CREATE OR REPLACE FUNCTION crm_internal.person_is_due(policy crm.retention_policies, id bigint, as_of timestamptz)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    other record;
    other_policy crm.retention_policies;
    due boolean;
BEGIN
    FOR other IN
        SELECT k AS subject, i::bigint AS id,
               EXISTS (SELECT FROM crm.table_links(crm.subject_relation(policy.subject_table)) AS l WHERE l.target = k) AS above
        FROM jsonb_each(crm_internal.people_of(policy.tenant_id, policy.subject_table, person_is_due.id)) AS e (k, v), jsonb_array_elements_text(e.v) AS i
        WHERE k IN (SELECT p.subject FROM crm.registered_as('person') AS p) AND (k, i::bigint) <> (policy.subject_table, person_is_due.id)
        ORDER BY 1, 2
    LOOP
        IF NOT other.above THEN
            CONTINUE WHEN crm_internal.is_quiet(policy.tenant_id, other.subject, other.id, as_of - policy.kept_for);
            RETURN false;
        END IF;
        due := false;
        FOR other_policy IN SELECT x.* FROM crm.retention_policies AS x
                            WHERE x.tenant_id = policy.tenant_id AND x.subject_table = other.subject AND x.active AND x.action = 'erase' ORDER BY x.id LOOP
            EXECUTE 'SELECT EXISTS (SELECT FROM ' || crm_internal.due_condition(other_policy) || ' AND x.id = $2)' INTO due USING as_of, other.id;
            EXIT WHEN due;
        END LOOP;
        IF NOT due THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END
$$;
COMMENT ON FUNCTION crm_internal.person_is_due(crm.retention_policies, bigint, timestamptz) IS
'Whether all records of a person are due whom a policy has found by one of them.';

-- ---- looking ----

CREATE OR REPLACE FUNCTION crm_internal.retention_policy(tenant bigint, name text)
RETURNS crm.retention_policies
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found crm.retention_policies;
BEGIN
    SELECT x.* INTO found FROM crm.retention_policies AS x WHERE x.tenant_id = tenant AND x.name = retention_policy.name;
    IF found.id IS NULL THEN
        RAISE EXCEPTION 'there is no retention policy "%"', name USING ERRCODE = 'undefined_object',
            HINT = coalesce('There are: ' || (SELECT string_agg(x.name, ', ' ORDER BY x.name) FROM crm.retention_policies AS x WHERE x.tenant_id = tenant)
                            || '.',
                            'Insert one into crm.retention_policies.');
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION crm_internal.retention_policy(bigint, text) IS 'A policy of a company by its name. Error 42704, which names those there are.';

-- security definer: a policy looks at all rows of the company, whoever asks
CREATE OR REPLACE FUNCTION crm.preview_retention(policy text, due_by timestamptz DEFAULT now())
RETURNS TABLE (subject_table text, subject_id bigint, counted_from timestamptz, due boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p CONSTANT crm.retention_policies := crm_internal.retention_policy(crm.tenant_id(), policy);
BEGIN
    RETURN QUERY EXECUTE format('SELECT %L, x.id, %s, %s FROM ', p.subject_table, crm_internal.counted_from(p),
                                CASE p.action WHEN 'erase' THEN 'crm_internal.person_is_due($2, x.id, $1)' ELSE 'true' END)
        || crm_internal.due_condition(p) || ' ORDER BY 3, 2' USING due_by, p;
END
$$;
COMMENT ON FUNCTION crm.preview_retention(text, timestamptz) IS
'What a retention policy, also one that is not active, finds until an instant, of what is there now: records, and from when their time counts. due is false '
'for a record of a person who has others that are kept, such as the lead of a contact. Changes nothing. Admins. Error 42704.';
SELECT crm.declare_function('crm.preview_retention', 'admin');

CREATE OR REPLACE FUNCTION crm.retention_status(due_by timestamptz DEFAULT now())
RETURNS TABLE (policy text, subject_table text, action text, active boolean, kept_for interval, records bigint, oldest timestamptz, last_run_at timestamptz,
               done_so_far bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p crm.retention_policies;
BEGIN
    FOR p IN SELECT x.* FROM crm.retention_policies AS x WHERE x.tenant_id = crm.tenant_id() ORDER BY x.name LOOP
        EXECUTE format('SELECT count(*), min(%s) FROM ', crm_internal.counted_from(p)) || crm_internal.due_condition(p) INTO records, oldest USING due_by;
        SELECT max(r.done_at), coalesce(sum(r.row_count), 0) INTO last_run_at, done_so_far
        FROM crm.retention_runs AS r WHERE r.tenant_id = p.tenant_id AND r.policy_id = p.id;
        policy := p.name;
        subject_table := p.subject_table;
        action := p.action;
        active := p.active;
        kept_for := p.kept_for;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.retention_status(timestamptz) IS
'Retention policies of the company, a row each: how many records of those there are now they find until an instant (those of people who have others that are '
'kept included), how far back the oldest goes, when a policy last did something and with how many in all. Admins.';
SELECT crm.declare_function('crm.retention_status', 'admin');

-- ---- doing ----

CREATE OR REPLACE FUNCTION crm_internal.empty_rows(policy crm.retention_policies, ids bigint[])
RETURNS jsonb
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    texts CONSTANT text[] := ARRAY[crm_internal.texts_of(policy.tenant_id, 'privacy') ->> 'erased'];
    lines jsonb;
BEGIN
    lines := crm_internal.erase_linked(policy.tenant_id, policy.subject_table, format('x.id = ANY (%L::bigint[])', ids), true, texts);
    PERFORM crm.write_audit();
    RETURN crm_internal.joined_lines(lines || crm_internal.erase_changes(policy.tenant_id, '{}',
        jsonb_build_array(jsonb_build_object('subject', policy.subject_table, 'ids', to_jsonb(ids))), texts));
END
$$;
COMMENT ON FUNCTION crm_internal.empty_rows(crm.retention_policies, bigint[]) IS
'Empties personal columns of rows, or deletes rows that are nothing else, and takes what the log of changes tells of them; lines of the certificate.';

-- items: the number of a policy and of a record
CREATE OR REPLACE FUNCTION crm_internal.retain(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    p crm.retention_policies;
    g record;
    id bigint;
    lines jsonb;
    due boolean;
    n bigint;
    done bigint := 0;
BEGIN
    FOR g IN SELECT split_part(i, ' ', 1)::bigint AS policy, array_agg(split_part(i, ' ', 2)::bigint ORDER BY split_part(i, ' ', 2)::bigint) AS ids
             FROM unnest(items) AS i GROUP BY 1 ORDER BY 1 LOOP
        SELECT x.* INTO p FROM crm.retention_policies AS x WHERE x.tenant_id = tenant AND x.id = g.policy;
        lines := '[]';
        n := 0;
        IF p.action = 'empty' THEN
            lines := crm_internal.empty_rows(p, g.ids);
            n := cardinality(g.ids);
        ELSE
            FOREACH id IN ARRAY g.ids LOOP
                -- another record of the same person may have been before
                EXECUTE 'SELECT EXISTS (SELECT FROM ' || crm_internal.due_condition(p) || ' AND x.id = $2)' INTO due USING as_of, id;
                CONTINUE WHEN NOT due;
                PERFORM crm_internal.erase_one(tenant, p.subject_table, id, format('retention policy "%s": %s', p.name, p.reason));
                n := n + 1;
            END LOOP;
        END IF;
        INSERT INTO crm.retention_runs (tenant_id, policy_id, done_at, action, row_count, certificate)
        SELECT tenant, p.id, as_of, p.action, n, lines WHERE n > 0;
        done := done + n;
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.retain(bigint, text[], timestamptz) IS
'Does what policies of a company ask for with records, given as "policy record"; how many.';

CREATE OR REPLACE FUNCTION crm.apply_retention(as_of timestamptz DEFAULT now(), batch integer DEFAULT 50)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    was CONSTANT text := current_setting('crm.tenant', true);
    p crm.retention_policies;
    items text[];
    done bigint := 0;
BEGIN
    FOR p IN SELECT x.* FROM crm.retention_policies AS x
             WHERE x.active AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f
                                            WHERE f.function_name = 'crm.apply_retention' AND f.tenant_id = x.tenant_id AND f.item = 'policy ' || x.id
                                              AND f.retry_at > as_of)
             ORDER BY x.tenant_id, x.id LOOP
        EXIT WHEN done >= batch;
        PERFORM set_config('crm.tenant', p.tenant_id::text, true);
        BEGIN
            -- who has another record that is kept is no reason for others to wait: all are looked at, and the batch is of those who are due
            EXECUTE 'SELECT coalesce(array_agg(d.item ORDER BY d.since, d.id), ''{}'') FROM (SELECT $2.id || '' '' || x.id AS item, x.id, '
                    || crm_internal.counted_from(p) || ' AS since FROM ' || crm_internal.due_condition(p)
                    || CASE p.action WHEN 'erase' THEN ' AND crm_internal.person_is_due($2, x.id, $1)' ELSE '' END
                    || ' AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = ''crm.apply_retention'''
                       ' AND f.tenant_id = x.tenant_id AND f.item = $2.id || '' '' || x.id AND f.retry_at > $1) ORDER BY 3, 2 LIMIT $3) AS d'
                INTO items USING as_of, p, batch - done;
        EXCEPTION WHEN OTHERS THEN
            -- such as a condition that cannot be judged for a row
            PERFORM crm_internal.note_failed_work('crm.apply_retention', p.tenant_id, 'policy ' || p.id, SQLSTATE, SQLERRM, as_of);
            CONTINUE;
        END;
        done := done + crm_internal.try_work('crm.apply_retention', 'crm_internal.retain', p.tenant_id, items, as_of);
    END LOOP;
    PERFORM set_config('crm.tenant', coalesce(was, ''), true);
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.apply_retention(timestamptz, integer) IS
'Does what active retention policies of all companies ask for, the longest kept first, and returns with how many people and rows. Done by '
'crm.run_maintenance() each hour; at most batch a pass, since erasing somebody reads all texts of the company. Only the owner of the CRM.';
SELECT crm.declare_function('crm.apply_retention', 'owner');
