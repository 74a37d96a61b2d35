-- Handing over: open work of somebody who leaves or is away goes to somebody else, in every table whose rows have an owner.

CREATE OR REPLACE FUNCTION crm_internal.owned_open(relation regclass, owner_column text)
RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    -- what is closed or done stays with whoever did it
    SELECT format('%I', owner_column) || ' = $2'
        || CASE WHEN crm.column_exists(relation, 'closed_at') THEN ' AND closed_at IS NULL' ELSE '' END
        || CASE WHEN crm.column_exists(relation, 'done_at') THEN ' AND done_at IS NULL' ELSE '' END
$$;
COMMENT ON FUNCTION crm_internal.owned_open(regclass, text) IS 'Condition of rows of user $2 that are still to be worked on.';

CREATE OR REPLACE FUNCTION crm_internal.start_hand_over(h crm.hand_over_records)
RETURNS crm.hand_over_records
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r record;
    ids bigint[];
    waiting bigint;
BEGIN
    FOR r IN SELECT x.subject, x.relation, coalesce(x.options -> 'assignment', 'false') <> 'false' AS by_rules
             FROM crm.registered_as('class') AS x
             WHERE x.options ->> 'class' = 'owned' AND NOT x.options ? 'owner' AND crm.column_exists(x.relation, 'owner_id')
               AND crm.column_exists(x.relation, 'id') AND crm.column_exists(x.relation, 'tenant_id') LOOP
        EXECUTE format('WITH moved AS (UPDATE %s SET owner_id = $3 WHERE tenant_id = $1 AND ', r.relation::regclass)
            || crm_internal.owned_open(r.relation, 'owner_id') || ' RETURNING id) SELECT array_agg(id ORDER BY id) FROM moved'
            INTO ids USING h.tenant_id, h.from_user_id, h.to_user_id;
        CONTINUE WHEN ids IS NULL;
        h.handed := h.handed || jsonb_build_object(r.subject, cardinality(ids));
        IF h.to_user_id IS NULL THEN
            IF r.by_rules THEN
                PERFORM crm_internal.route_record(h.tenant_id, r.subject, i, false, now()) FROM unnest(ids) AS i;
            END IF;
            EXECUTE format('SELECT count(*) FROM %s WHERE tenant_id = $1 AND id = ANY ($2) AND owner_id IS NULL', r.relation::regclass)
                INTO waiting USING h.tenant_id, ids;
            IF waiting > 0 THEN
                h.unassigned := h.unassigned || jsonb_build_object(r.subject, waiting);
            END IF;
        END IF;
        IF h.ends_at IS NOT NULL THEN
            EXECUTE format('INSERT INTO crm_internal.handed_records (tenant_id, hand_over_id, subject_table, subject_id, to_user_id)'
                           ' SELECT x.tenant_id, $3, %L, x.id, x.owner_id FROM %s AS x WHERE x.tenant_id = $1 AND x.id = ANY ($2)',
                           r.subject, r.relation::regclass) USING h.tenant_id, ids, h.id;
        END IF;
    END LOOP;
    UPDATE crm.hand_over_records AS x
    SET state = CASE WHEN h.ends_at IS NULL THEN 'ended' ELSE 'active' END, handed = h.handed, unassigned = h.unassigned
    WHERE x.tenant_id = h.tenant_id AND x.id = h.id
    RETURNING x.* INTO h;
    RETURN h;
END
$$;
COMMENT ON FUNCTION crm_internal.start_hand_over(crm.hand_over_records) IS 'Hands the open records over, of every table whose rows have an owner.';

CREATE OR REPLACE FUNCTION crm_internal.end_hand_over(h crm.hand_over_records)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r record;
    n bigint;
BEGIN
    FOR r IN SELECT DISTINCT x.subject_table AS subject, crm.subject_relation(x.subject_table) AS relation FROM crm_internal.handed_records AS x
             WHERE x.tenant_id = h.tenant_id AND x.hand_over_id = h.id LOOP
        CONTINUE WHEN r.relation IS NULL;
        -- what has gone on to somebody else, or was finished, stays
        EXECUTE format('UPDATE %s AS t SET owner_id = $2 FROM crm_internal.handed_records AS x'
                       ' WHERE t.tenant_id = $1 AND x.tenant_id = $1 AND x.hand_over_id = $3 AND x.subject_table = %L AND x.subject_id = t.id'
                       ' AND t.owner_id IS NOT DISTINCT FROM x.to_user_id', r.relation::regclass, r.subject)
            || CASE WHEN crm.column_exists(r.relation, 'closed_at') THEN ' AND t.closed_at IS NULL' ELSE '' END
            || CASE WHEN crm.column_exists(r.relation, 'done_at') THEN ' AND t.done_at IS NULL' ELSE '' END
            USING h.tenant_id, h.from_user_id, h.id;
        GET DIAGNOSTICS n = ROW_COUNT;
        h.returned := h.returned || jsonb_build_object(r.subject, n);
    END LOOP;
    DELETE FROM crm_internal.handed_records AS x WHERE x.tenant_id = h.tenant_id AND x.hand_over_id = h.id;
    UPDATE crm.hand_over_records AS x SET state = 'ended', returned = h.returned WHERE x.tenant_id = h.tenant_id AND x.id = h.id;
    -- whoever is back takes what waits
    PERFORM crm_internal.serve_freed(h.tenant_id, h.from_user_id);
END
$$;
COMMENT ON FUNCTION crm_internal.end_hand_over(crm.hand_over_records) IS 'Gives back what was handed over for a time and is still where it went.';

-- security definer: the work of somebody is seen by few
CREATE OR REPLACE FUNCTION crm.hand_over(
    from_user bigint, to_user bigint DEFAULT NULL, starts_at timestamptz DEFAULT now(), ends_at timestamptz DEFAULT NULL)
RETURNS crm.hand_over_records
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    h crm.hand_over_records;
BEGIN
    PERFORM crm.because('hand_over');
    IF NOT EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = t AND u.id = from_user) THEN
        RAISE EXCEPTION 'there is no user %', from_user USING ERRCODE = 'no_data_found', HINT = 'crm.users lists them.';
    END IF;
    IF to_user IS NOT NULL AND NOT EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = t AND u.id = to_user AND u.active) THEN
        RAISE EXCEPTION 'user % cannot take over: there is no such user, or not an active one', to_user
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give an active user, or NULL to go by the assignment rules.';
    END IF;
    IF from_user = to_user THEN
        RAISE EXCEPTION 'user % cannot hand over to themselves', from_user USING ERRCODE = 'invalid_parameter_value', HINT = 'Give another user.';
    END IF;
    INSERT INTO crm.hand_over_records AS x (tenant_id, from_user_id, to_user_id, starts_at, ends_at)
    VALUES (t, from_user, to_user, starts_at, ends_at) RETURNING x.* INTO h;
    IF starts_at <= now() THEN
        h := crm_internal.start_hand_over(h);
    END IF;
    RETURN h;
END
$$;
COMMENT ON FUNCTION crm.hand_over(bigint, bigint, timestamptz, timestamptz) IS
'Hands the open work of a user (records of every table with an owner that are not closed or done; accounts and contacts whole) to another one, or, to_user '
'NULL, gives it out by the assignment rules; what no rule gives to anybody waits without an owner and is counted in unassigned. starts_at: when, at once '
'unless it lies ahead; ends_at: when what is still there goes back, for somebody who is away, who is given nothing new until then. Returns the record '
'of it. Errors: P0002 an unknown user, 22023 '
'one that cannot take over.';
SELECT crm.declare_function('crm.hand_over', 'manager');

CREATE OR REPLACE FUNCTION crm_internal.hand_over_some(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    h crm.hand_over_records;
    n bigint := 0;
BEGIN
    FOR h IN SELECT x.* FROM crm.hand_over_records AS x WHERE x.tenant_id = tenant AND x.id = ANY (items::bigint[]) ORDER BY x.starts_at, x.id LOOP
        IF h.state = 'planned' THEN
            h := crm_internal.start_hand_over(h);
        END IF;
        IF h.ends_at <= as_of THEN
            PERFORM crm_internal.end_hand_over(h);
        END IF;
        n := n + 1;
    END LOOP;
    RETURN n;
END
$$;
COMMENT ON FUNCTION crm_internal.hand_over_some(bigint, text[], timestamptz) IS 'Begins and ends some of a company''s hand-overs; returns how many.';

CREATE OR REPLACE FUNCTION crm.run_hand_overs(as_of timestamptz DEFAULT now(), batch integer DEFAULT 100)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT crm_internal.do_due('crm.run_hand_overs',
        'crm.hand_over_records AS x WHERE (x.state = ''active'' AND x.ends_at <= $1 OR x.state = ''planned'' AND x.starts_at <= $1)',
        'x.id', 'x.starts_at, x.id', 'UPDATE', 'crm_internal.hand_over_some', as_of, batch)
$$;
COMMENT ON FUNCTION crm.run_hand_overs(timestamptz, integer) IS
'Begins and ends hand-overs whose time has come, for all tenants. Returns how many. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.run_hand_overs', 'owner');

CREATE OR REPLACE FUNCTION crm_internal.left_us(tenant bigint, member bigint)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN (
        SELECT EXISTS (SELECT FROM crm.users AS u WHERE u.tenant_id = tenant AND u.id = member AND NOT u.active)
            OR EXISTS (SELECT FROM crm.hand_over_records AS h
                       WHERE h.tenant_id = tenant AND h.from_user_id = member AND h.state = 'active' AND h.starts_at <= now() AND h.ends_at > now()));
END
$$;
COMMENT ON FUNCTION crm_internal.left_us(bigint, bigint) IS
'Whether a user is not active any more, or away by a hand-over that runs: nothing goes to them.';

-- security definer: triggers of records ask, for whoever writes them, of hand-overs that few see
CREATE OR REPLACE FUNCTION crm.is_away(user_id bigint, tenant bigint DEFAULT crm.tenant_id())
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$ SELECT tenant = crm.tenant_id() AND crm_internal.left_us(tenant, user_id) $$;
COMMENT ON FUNCTION crm.is_away(bigint, bigint) IS
'Whether a user of the caller''s tenant is given nothing new: not active any more, or away by a hand-over that runs (crm.hand_over with ends_at).';
SELECT crm.declare_function('crm.is_away', 'reader');

-- ---- what is made of another record, or given to somebody ----

CREATE OR REPLACE FUNCTION crm.carry_owned(target anyelement, source record, purpose text)
RETURNS anyelement
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    facts jsonb;
    heir bigint;
BEGIN
    target := crm.carry_row(target, source, purpose);
    facts := to_jsonb(target);
    IF facts ->> 'owner_id' IS NULL OR NOT crm.is_away((facts ->> 'owner_id')::bigint) THEN
        RETURN target;
    END IF;
    -- in the order of who comes nearest: the other record's owner where two become one, who does it, and who has the account
    heir := (SELECT u.id
             FROM unnest(ARRAY[CASE WHEN purpose = 'merge' THEN (to_jsonb(source) ->> 'owner_id')::bigint END,
                               CASE WHEN purpose NOT IN ('merge', 'follow_up') THEN crm.user_id() END,
                               CASE WHEN purpose NOT IN ('merge', 'follow_up', 'copy') THEN
                                   (SELECT a.owner_id FROM crm.accounts AS a WHERE a.tenant_id = t AND a.id = (facts ->> 'account_id')::bigint) END])
                  WITH ORDINALITY AS u (id, place)
             WHERE u.id IS NOT NULL AND NOT crm.is_away(u.id)
             ORDER BY u.place LIMIT 1);
    -- two that become one and were both of people who left stay where they are: crm.hand_over() says whose they are
    RETURN CASE WHEN heir IS NULL AND purpose = 'merge' THEN target
                ELSE jsonb_populate_record(target, jsonb_build_object('owner_id', heir)) END;
END
$$;
COMMENT ON FUNCTION crm.carry_owned(anyelement, record, text) IS
'crm.carry_row() for tables with an owner: what is made of another record does not go to somebody who has left or is away, but to whoever makes it, else to '
'the owner of its account, else to nobody; of two records that become one, to the other''s owner; a follow-up is left to the rules.';

CREATE OR REPLACE FUNCTION crm.check_new_owner(owner_id bigint)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF crm.is_away(owner_id) THEN
        RAISE EXCEPTION 'user % is not active, or away, and is given nothing', owner_id
            USING ERRCODE = 'invalid_parameter_value', COLUMN = 'owner_id', HINT = 'Name somebody who is there, or leave owner_id out.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.check_new_owner(bigint) IS 'Refuses to give work to somebody who has left or is away. Error 22023.';

-- ---- what is opened again ----

CREATE OR REPLACE FUNCTION crm_internal.reopened_to() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF crm.is_away(NEW.owner_id, NEW.tenant_id) THEN
        NEW.owner_id := CASE WHEN crm.is_away(crm.user_id(), NEW.tenant_id) THEN NULL ELSE crm.user_id() END;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.reopened_to() IS
'Row trigger of tables with stages and owners: what is opened again does not go back to somebody who has left or is away. Whoever opens it takes it; where a '
'table''s own trigger has left it without an owner before, the rules give it out.';

CREATE OR REPLACE FUNCTION crm_internal.apply_reopened(relation regclass)
RETURNS void
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    -- after the guard of stages, which empties closed_at
    SELECT crm_internal.set_trigger(relation, '_before_zz_reopened', crm_internal.table_is(relation, 'process') AND crm.column_exists(relation, 'closed_at')
            AND crm.column_exists(relation, 'owner_id') AND crm.column_exists(relation, 'tenant_id'),
        'BEFORE UPDATE', 'FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL AND NEW.closed_at IS NULL AND NEW.owner_id IS NOT NULL) '
                         'EXECUTE FUNCTION crm_internal.reopened_to()')
$$;
COMMENT ON FUNCTION crm_internal.apply_reopened(regclass) IS 'Who gets what is opened again, for a table with stages and owners.';
SELECT crm.declare_hook('table', 'crm_internal.apply_reopened(regclass)');
