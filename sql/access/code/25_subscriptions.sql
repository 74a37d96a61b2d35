-- Following events: subscriptions, and cursors that leave nothing out.
--
-- An event is new to a cursor where its transaction was not finished in the snapshot "done". New events up to a later
-- snapshot "target" are given in the order of their numbers, batch by batch; when all are acknowledged, target becomes done. So
--   * no event is left out, whatever the order of commits, and none waits for a long transaction of somebody else;
--   * events of one record come in the order in which they happened: its row lock puts the numbers in that order, and an event
--     that is visible before another of the same record has the lower number;
--   * an event is given again until it is acknowledged.

-- Transactions that are finished now, this one not among them: what it is yet to write is new to the next reader.
CREATE OR REPLACE FUNCTION crm_internal.finished_transactions()
RETURNS pg_snapshot
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s CONSTANT pg_snapshot := pg_current_snapshot();
    me CONSTANT xid8 := pg_current_xact_id_if_assigned();
BEGIN
    IF me IS NULL OR me >= pg_snapshot_xmax(s) THEN
        RETURN s;
    END IF;
    RETURN concat_ws(':', least(me, pg_snapshot_xmin(s)), pg_snapshot_xmax(s),
                     (SELECT string_agg(x::text, ',' ORDER BY x) FROM (SELECT pg_snapshot_xip(s) UNION SELECT me) AS r (x)))::pg_snapshot;
END
$$;
COMMENT ON FUNCTION crm_internal.finished_transactions() IS 'The current snapshot, with the current transaction among those that are under way.';

CREATE OR REPLACE FUNCTION crm.subscribe(name text, kinds text[] DEFAULT NULL, shards integer DEFAULT 1, from_start boolean DEFAULT false,
    notify boolean DEFAULT true)
RETURNS crm.event_subscriptions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    server CONSTANT bigint := crm.server_number();
    made crm.event_subscriptions;
BEGIN
    PERFORM crm_internal.check_event_kinds(kinds);
    IF shards IS NULL OR shards NOT BETWEEN 1 AND 64 OR coalesce(name, '') = '' OR kinds = '{}' THEN
        RAISE EXCEPTION 'a subscription has a name, is read in 1 to 64 parts, and wants some kind' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT s.* INTO made FROM crm.event_subscriptions AS s WHERE s.tenant_id = t AND s.name = subscribe.name;
    IF FOUND THEN
        -- a program that starts says what it wants; how far it has read stays
        IF made.shards <> subscribe.shards THEN
            RAISE EXCEPTION 'subscription "%" is read in % parts, not in %', name, made.shards, shards
                USING ERRCODE = 'object_in_use', HINT = 'Call crm.unsubscribe() first; it then begins anew.';
        END IF;
        UPDATE crm.event_subscriptions AS s SET kinds = subscribe.kinds, notify = subscribe.notify, active = true
        WHERE s.tenant_id = t AND s.id = made.id RETURNING s.* INTO made;
        RETURN made;
    END IF;
    INSERT INTO crm.event_subscriptions AS s (tenant_id, name, kinds, shards, notify)
    VALUES (t, subscribe.name, subscribe.kinds, subscribe.shards, subscribe.notify) RETURNING s.* INTO made;
    INSERT INTO crm.event_cursors (tenant_id, subscription_id, shard, server_id, done)
    SELECT t, made.id, n,
           -- the oldest of the servers: what was written on any of them is new
           CASE WHEN from_start THEN (SELECT v.server_id FROM crm.event_servers AS v ORDER BY v.first_event_id, v.started_at LIMIT 1) ELSE server END,
           CASE WHEN from_start THEN '1:1:' ELSE crm_internal.finished_transactions() END
    FROM generate_series(0, made.shards - 1) AS n;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.subscribe(text, text[], integer, boolean, boolean) IS
'Begins to follow events under a name, or says anew what is wanted under it, which keeps its place. kinds: NULL for all, lead.* for all of leads. shards: '
'how many workers may read at once. from_start: what is still kept comes first, else only what commits from now on. notify: NOTIFY crm_events is sent when '
'events are written. Returns the subscription. Errors: 22023 for an unknown kind or a number of parts beyond 1 to 64, 55006 for another number than before.';
SELECT crm.declare_function('crm.subscribe', 'admin');

CREATE OR REPLACE FUNCTION crm_internal.subscription_of(name text)
RETURNS crm.event_subscriptions
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found_one crm.event_subscriptions;
BEGIN
    SELECT s.* INTO found_one FROM crm.event_subscriptions AS s WHERE s.tenant_id = crm.tenant_id() AND s.name = subscription_of.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no subscription "%"', name USING ERRCODE = 'undefined_object', HINT = 'crm.subscribe() makes one.';
    END IF;
    RETURN found_one;
END
$$;
COMMENT ON FUNCTION crm_internal.subscription_of(text) IS 'The subscription of a name; error 42704 where there is none.';

CREATE OR REPLACE FUNCTION crm.unsubscribe(name text)
RETURNS crm.event_subscriptions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    gone CONSTANT crm.event_subscriptions := crm_internal.subscription_of(name);
BEGIN
    DELETE FROM crm.event_subscriptions AS s WHERE s.tenant_id = gone.tenant_id AND s.id = gone.id;
    RETURN gone;
END
$$;
COMMENT ON FUNCTION crm.unsubscribe(text) IS 'Ends a subscription and forgets how far it had read. Returns it. Errors: 42704 where there is none.';
SELECT crm.declare_function('crm.unsubscribe', 'admin');

CREATE OR REPLACE FUNCTION crm_internal.event_shard(subject_table text, subject_id bigint, kind text, shards integer)
RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN shards = 1 THEN 0 ELSE (hashtextextended(coalesce(subject_table || '/' || subject_id, kind), 0) & 9223372036854775807) % shards END;
COMMENT ON FUNCTION crm_internal.event_shard(text, bigint, text, integer) IS 'Part of a subscription that an event belongs to: those of one record to '
'one part.';

-- New events of a part, from a number on, up to the snapshot target.
CREATE OR REPLACE FUNCTION crm_internal.new_events(cursor_row crm.event_cursors, kinds text[], shards integer, batch integer)
RETURNS SETOF crm.events
LANGUAGE plpgsql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    c CONSTANT crm.event_cursors := cursor_row;
    -- events of the server that done speaks of: earlier ones are read, later ones new, whatever their transactions are called
    since CONSTANT bigint := (SELECT v.first_event_id FROM crm.event_servers AS v WHERE v.server_id = c.server_id);
    before CONSTANT bigint := (SELECT min(v.first_event_id) FROM crm.event_servers AS v WHERE v.first_event_id > since);
    here CONSTANT bigint := (SELECT v.first_event_id FROM crm.event_servers AS v WHERE v.server_id = crm.server_number());
BEGIN
    RETURN QUERY
        SELECT e.* FROM crm.events AS e
        WHERE e.tenant_id = c.tenant_id AND e.id > c.last_id AND e.id >= c.low_id
          AND NOT (e.id < since OR pg_visible_in_snapshot(e.xact, c.done) AND (before IS NULL OR e.id < before))
          AND (e.id < here OR pg_visible_in_snapshot(e.xact, c.target))
          AND crm_internal.kind_is_wanted(e.kind, kinds)
          AND crm_internal.event_shard(e.subject_table, e.subject_id, e.kind, shards) = c.shard
        ORDER BY e.id
        LIMIT batch;
END
$$;
COMMENT ON FUNCTION crm_internal.new_events(crm.event_cursors, text[], integer, integer) IS
'Events that are new to a part of a subscription, in the order of their numbers: after last_id, of transactions finished in target and not in done.';

CREATE OR REPLACE FUNCTION crm.read_events(subscription text, consumer text, batch integer DEFAULT 100, lease interval DEFAULT '5 minutes')
RETURNS SETOF crm.events
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s CONSTANT crm.event_subscriptions := crm_internal.subscription_of(subscription);
    server CONSTANT bigint := crm.server_number();
    looked integer[] := '{}';
    c crm.event_cursors;
    e crm.events;
    next_id bigint;
    n integer;
    last bigint;
    opened boolean;
BEGIN
    IF batch < 1 OR lease <= '0' OR consumer IS NULL OR consumer = '' THEN
        RAISE EXCEPTION 'batch and lease must be positive, and a consumer needs a name' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT s.active THEN
        RETURN;
    END IF;
    LOOP
        -- what this consumer holds comes first, then the part that was looked at least lately
        SELECT r.* INTO c FROM crm.event_cursors AS r
        WHERE r.tenant_id = s.tenant_id AND r.subscription_id = s.id AND r.shard <> ALL (looked)
          AND (r.claimed_by = consumer OR r.claimed_until IS NULL OR r.claimed_until <= clock_timestamp())
        ORDER BY r.claimed_by IS NOT DISTINCT FROM consumer DESC, r.read_at NULLS FIRST, r.shard
        LIMIT 1
        FOR UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;
        looked := looked || c.shard;
        IF c.server_id <> server AND c.target IS NOT NULL THEN
            -- restored in the midst of it: again from the beginning
            c.target := NULL;
        END IF;
        LOOP
            opened := c.target IS NULL;
            IF opened THEN
                -- first the number, then the snapshot: events of transactions that begin after it have higher ones
                next_id := coalesce(pg_sequence_last_value(pg_get_serial_sequence('crm.events', 'id')), 0) + 1;
                c.target := crm_internal.finished_transactions();
                c.last_id := 0;
                IF c.server_id = server AND c.mark_xact IS NOT NULL AND pg_snapshot_xmin(c.done) >= c.mark_xact THEN
                    c.low_id := greatest(c.low_id, c.mark_id);
                    c.mark_xact := NULL;
                END IF;
                -- where the snapshot is older than the number, nothing is known of what lies between
                IF c.mark_xact IS NULL AND c.server_id = server AND current_setting('transaction_isolation') = 'read committed' THEN
                    c.mark_xact := pg_snapshot_xmax(c.target);
                    c.mark_id := next_id;
                END IF;
            END IF;
            n := 0;
            FOR e IN SELECT * FROM crm_internal.new_events(c, s.kinds, s.shards, batch) LOOP
                n := n + 1;
                last := e.id;
                RETURN NEXT e;
            END LOOP;
            EXIT WHEN n > 0;
            -- all up to target is read: is there anything since?
            EXIT WHEN opened AND c.done::text = c.target::text;
            c.done := c.target;
            c.target := NULL;
            c.last_id := 0;
            c.server_id := server;
            EXIT WHEN opened;
        END LOOP;
        IF n > 0 OR NOT opened OR c.target IS NULL OR c.claimed_by IS NOT NULL THEN
            UPDATE crm.event_cursors AS r
            SET done = c.done, target = CASE WHEN n > 0 THEN c.target END, server_id = c.server_id, last_id = c.last_id, low_id = c.low_id,
                mark_xact = c.mark_xact, mark_id = c.mark_id, given_id = CASE WHEN n > 0 THEN last END,
                claimed_by = CASE WHEN n > 0 THEN consumer END, claimed_until = CASE WHEN n > 0 THEN clock_timestamp() + lease END, read_at = clock_timestamp()
            WHERE r.tenant_id = c.tenant_id AND r.subscription_id = c.subscription_id AND r.shard = c.shard;
        END IF;
        EXIT WHEN n > 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.read_events(text, text, integer, interval) IS
'The next events of a subscription for one of its workers, in order, at most batch of them: of one part, which no other worker gets until they are '
'acknowledged or the lease is over. Commit, act, then crm.acknowledge_events(); or do all three in one transaction, and the events count as read exactly '
'when the work does. What was given and not acknowledged is given again. No row: nothing is new, or other workers have it all. Errors: 42704 for an unknown '
'subscription, 22023 for a batch or lease that is not positive.';
SELECT crm.declare_function('crm.read_events', 'admin');

CREATE OR REPLACE FUNCTION crm.acknowledge_events(subscription text, consumer text, up_to bigint DEFAULT NULL)
RETURNS SETOF crm.event_cursors
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s CONSTANT crm.event_subscriptions := crm_internal.subscription_of(subscription);
    changed crm.event_cursors;
    done boolean := false;
BEGIN
    FOR changed IN
        UPDATE crm.event_cursors AS r
        SET last_id = greatest(r.last_id, least(coalesce(up_to, r.given_id), r.given_id)), given_id = NULL, claimed_by = NULL, claimed_until = NULL
        WHERE r.tenant_id = s.tenant_id AND r.subscription_id = s.id AND r.claimed_by = consumer AND r.given_id IS NOT NULL
        RETURNING r.*
    LOOP
        done := true;
        RETURN NEXT changed;
    END LOOP;
    IF NOT done THEN
        RAISE EXCEPTION 'consumer "%" holds no events of subscription "%"', consumer, subscription
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Its lease was over and another worker has taken them, or they were acknowledged before: read again.';
    END IF;
END
$$;
COMMENT ON FUNCTION crm.acknowledge_events(text, text, bigint) IS
'Says that a worker is done with the events it was given, or with those up to a number; the others are given again. Returns how far its part has come. '
'Errors: 42704 for an unknown subscription, 55000 where the worker holds nothing, as when its lease was over and another has taken over.';
SELECT crm.declare_function('crm.acknowledge_events', 'admin');

CREATE OR REPLACE FUNCTION crm.event_backlog()
RETURNS TABLE (subscription text, shard integer, waiting bigint, oldest_at timestamptz, held_by text, held_until timestamptz, lost bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r record;
    c crm.event_cursors;
BEGIN
    FOR r IN SELECT s.*, k AS place FROM crm.event_subscriptions AS s JOIN crm.event_cursors AS k
             ON k.tenant_id = s.tenant_id AND k.subscription_id = s.id
             WHERE s.tenant_id = crm.tenant_id() ORDER BY s.name, k.shard LOOP
        c := r.place;
        c.target := pg_current_snapshot();
        subscription := r.name;
        shard := c.shard;
        held_by := c.claimed_by;
        held_until := c.claimed_until;
        lost := r.lost;
        SELECT count(*), min(e.created_at) INTO waiting, oldest_at FROM crm_internal.new_events(c, r.kinds, r.shards, 1000000) AS e;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION crm.event_backlog() IS
'What each part of each subscription has yet to read, at most a million, how old the oldest of it is, who holds it until when, and how many events were '
'forgotten before they were read.';
SELECT crm.declare_function('crm.event_backlog', 'admin');

-- ---- forgetting ----

-- The first event at or after an instant: numbers and times run together, so it is found by halving.
CREATE OR REPLACE FUNCTION crm_internal.first_event_since(tenant bigint, since timestamptz)
RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    low bigint;
    high bigint;
    middle record;
BEGIN
    SELECT e.id INTO low FROM crm.events AS e WHERE e.tenant_id = tenant ORDER BY e.id LIMIT 1;
    SELECT e.id + 1 INTO high FROM crm.events AS e WHERE e.tenant_id = tenant ORDER BY e.id DESC LIMIT 1;
    WHILE low < high LOOP
        SELECT e.id, e.created_at INTO middle FROM crm.events AS e WHERE e.tenant_id = tenant AND e.id >= (low + high) / 2 ORDER BY e.id LIMIT 1;
        IF middle.created_at < since THEN
            low := middle.id + 1;
        ELSE
            high := (low + high) / 2;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
COMMENT ON FUNCTION crm_internal.first_event_since(bigint, timestamptz) IS 'Number of the first event of a tenant that was written at an instant or '
'after it; NULL: it has none.';

CREATE OR REPLACE FUNCTION crm_internal.forget_some_events(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH gone AS (
        DELETE FROM crm.events AS e WHERE e.tenant_id = tenant AND e.id = ANY (items::bigint[]) RETURNING e.*),
    missed AS (
        SELECT s.id, count(*) AS n
        FROM gone AS g
        JOIN crm.event_subscriptions AS s ON s.tenant_id = g.tenant_id AND s.active AND crm_internal.kind_is_wanted(g.kind, s.kinds)
        JOIN crm.event_cursors AS c ON c.tenant_id = s.tenant_id AND c.subscription_id = s.id
             AND c.shard = crm_internal.event_shard(g.subject_table, g.subject_id, g.kind, s.shards)
        WHERE g.id >= c.low_id AND g.id > c.last_id AND NOT pg_visible_in_snapshot(g.xact, c.done)
        GROUP BY s.id),
    told AS (
        UPDATE crm.event_subscriptions AS s SET lost = s.lost + m.n, lost_at = as_of FROM missed AS m WHERE s.tenant_id = tenant AND s.id = m.id)
    SELECT count(*) FROM gone
$$;
COMMENT ON FUNCTION crm_internal.forget_some_events(bigint, text[], timestamptz) IS
'Deletes some events of a company, and tells subscriptions that had not read them; returns how many.';

CREATE OR REPLACE FUNCTION crm.forget_events(as_of timestamptz DEFAULT now(), batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t record;
    done bigint := 0;
    bound bigint;
BEGIN
    FOR t IN SELECT x.tenant_id, x.events_kept FROM crm.tenants AS x WHERE x.events_kept IS NOT NULL ORDER BY x.tenant_id LOOP
        EXIT WHEN done >= batch;
        bound := crm_internal.first_event_since(t.tenant_id, as_of - t.events_kept);
        CONTINUE WHEN bound IS NULL;
        done := done + crm_internal.try_work('crm.forget_events', 'crm_internal.forget_some_events', t.tenant_id, ARRAY(
            SELECT o.id::text FROM crm.events AS o
            -- a notice that nobody has delivered is kept: it is still to be done
            WHERE o.tenant_id = t.tenant_id AND o.id < bound AND (o.scheduled_at IS NULL OR o.delivered_at IS NOT NULL OR o.failed_at IS NOT NULL)
              AND NOT EXISTS (SELECT FROM crm_internal.failed_work AS f WHERE f.function_name = 'crm.forget_events' AND f.tenant_id = t.tenant_id
                              AND f.item = o.id::text AND f.retry_at > as_of)
            ORDER BY o.id LIMIT batch - done FOR UPDATE SKIP LOCKED), as_of);
    END LOOP;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm.forget_events(timestamptz, integer) IS
'Deletes events that are older than their company keeps them (crm.tenants.events_kept), the oldest first, at most batch of them, and notices that were '
'delivered or given up; returns how many. A subscription that had not read them is told how many it lost (crm.event_backlog()). Done by '
'crm.run_maintenance().';
SELECT crm.declare_function('crm.forget_events', 'owner');
