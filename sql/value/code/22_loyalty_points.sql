-- Points of the loyalty programme: what was earned follows from the orders as they are known at an instant, what was spent from the entries.

CREATE OR REPLACE FUNCTION crm_internal.loyalty_orders_restated(tenant bigint, account_ids bigint[], as_of timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    IF as_of >= now() THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(
        SELECT o.id
        FROM (SELECT DISTINCT ON (p.record_id) p.record_id, p.value FROM crm.past_values AS p
              WHERE p.tenant_id = tenant AND p.table_name = 'orders' AND p.column_name = 'state' AND p.until > as_of
                AND (account_ids IS NULL OR p.record_id IN (SELECT x.id FROM crm.orders AS x WHERE x.tenant_id = tenant AND x.account_id = ANY (account_ids)))
              ORDER BY p.record_id, p.until) AS w
        JOIN crm.orders AS o ON o.tenant_id = tenant AND o.id = w.record_id
        WHERE (o.state = 'cancelled') <> (w.value = '"cancelled"'));
END
$$;
COMMENT ON FUNCTION crm_internal.loyalty_orders_restated(bigint, bigint[], timestamptz) IS
'Orders (of account_ids; NULL: all) that counted at an instant and do not now, because they were cancelled since, or the other way round.';

CREATE OR REPLACE FUNCTION crm_internal.loyalty_tier_at(tenant bigint, account bigint, instant timestamptz)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    left_later text;
BEGIN
    SELECT v.value #>> '{}' INTO left_later FROM crm.past_values AS v
    WHERE v.tenant_id = tenant AND v.table_name = 'accounts' AND v.record_id = account AND v.column_name = 'loyalty_tier' AND v.until > instant
    ORDER BY v.until LIMIT 1;
    IF FOUND THEN
        RETURN left_later;
    END IF;
    RETURN (SELECT a.loyalty_tier FROM crm.accounts AS a WHERE a.tenant_id = tenant AND a.id = account);
END
$$;
COMMENT ON FUNCTION crm_internal.loyalty_tier_at(bigint, bigint, timestamptz) IS 'Tier that a customer was in at an instant; NULL: none.';

CREATE OR REPLACE FUNCTION crm_internal.loyalty_ledger(tenant bigint, account_ids bigint[], as_of timestamptz, seen_only boolean DEFAULT false)
RETURNS TABLE (account_id bigint, order_id bigint, entry_id bigint, kind text, points bigint, at timestamptz, expires_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 10000
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_variable
DECLARE
    zone text;
    base char(3);
    restated CONSTANT bigint[] := crm_internal.loyalty_orders_restated(tenant, account_ids, as_of);
    by_line CONSTANT boolean := EXISTS (SELECT FROM crm.loyalty_rates AS r WHERE r.tenant_id = tenant AND r.family IS NOT NULL);
    by_tier CONSTANT boolean := EXISTS (SELECT FROM crm.loyalty_rates AS r WHERE r.tenant_id = tenant AND r.tier IS NOT NULL);
BEGIN
    SELECT t.time_zone, t.base_currency INTO zone, base FROM crm.tenants AS t WHERE t.tenant_id = tenant;
    RETURN QUERY
    WITH rates AS MATERIALIZED (
        SELECT r.family, r.tier, r.points, r.currency, r.expires_after_months, r.valid_from,
               coalesce(lead(r.valid_from) OVER (PARTITION BY r.family, r.tier ORDER BY r.valid_from), 'infinity') AS valid_until
        FROM crm.loyalty_rates AS r WHERE r.tenant_id = tenant
    ), counted AS (
        -- what a return takes back was earned on the day of its sale
        SELECT o.account_id, o.id, o.ordered_at, o.currency, coalesce(o.base_currency, base) AS base_currency, o.base_amount, nullif(o.amount, 0) AS amount,
               CASE o.kind WHEN 'return' THEN -o.amount ELSE o.amount END AS own_amount,
               CASE WHEN o.returns_order_id IS NULL THEN o.ordered_on
                    ELSE (SELECT s.ordered_on FROM crm.orders AS s WHERE s.tenant_id = tenant AND s.id = o.returns_order_id
                            AND (NOT seen_only OR crm.can_see(s.owner_id, s.team_id, s.shared_user_ids, s.shared_team_ids))) END AS earned_on,
               CASE WHEN o.returns_order_id IS NULL THEN o.ordered_at
                    ELSE (SELECT s.ordered_at FROM crm.orders AS s WHERE s.tenant_id = tenant AND s.id = o.returns_order_id) END AS earned_at
        FROM crm.orders AS o
        WHERE o.tenant_id = tenant AND (account_ids IS NULL OR o.account_id = ANY (account_ids)) AND o.ordered_at <= as_of
          AND (o.state <> 'cancelled') <> (o.id = ANY (restated))
          AND (NOT seen_only OR crm.can_see(o.owner_id, o.team_id, o.shared_user_ids, o.shared_team_ids))
    ), parts AS (
        SELECT c.*, NULL::text AS family, 1::numeric AS share FROM counted AS c WHERE NOT by_line
        UNION ALL
        SELECT c.*, p.family, l.amount / c.amount
        FROM counted AS c
        JOIN crm.order_lines AS l ON l.tenant_id = tenant AND l.order_id = c.id
        JOIN crm.products AS p ON p.tenant_id = tenant AND p.id = l.product_id
        WHERE by_line
        UNION ALL
        SELECT c.*, NULL, 1 FROM counted AS c WHERE by_line AND NOT EXISTS (SELECT FROM crm.order_lines AS l WHERE l.tenant_id = tenant AND l.order_id = c.id)
    ), rated AS (
        SELECT p.*, r.points AS rate, r.currency AS rate_currency, r.expires_after_months
        FROM parts AS p JOIN rates AS r ON r.valid_from <= p.earned_on AND r.valid_until > p.earned_on
        WHERE NOT by_line AND NOT by_tier
        UNION ALL
        SELECT p.*, r.points, r.currency, r.expires_after_months
        FROM parts AS p
        CROSS JOIN LATERAL (SELECT CASE WHEN by_tier THEN crm_internal.loyalty_tier_at(tenant, p.account_id, p.earned_at) END AS tier) AS k
        CROSS JOIN LATERAL (
            SELECT x.* FROM rates AS x
            WHERE x.valid_from <= p.earned_on AND x.valid_until > p.earned_on AND (x.family IS NULL OR x.family = p.family)
              AND (x.tier IS NULL OR x.tier = k.tier)
            ORDER BY x.family IS NULL, x.tier IS NULL LIMIT 1) AS r
        WHERE by_line OR by_tier
    ), worth AS (
        SELECT d.account_id, d.id, d.ordered_at, d.earned_on, d.expires_after_months,
               d.rate * d.share * CASE WHEN d.rate_currency = d.base_currency THEN d.base_amount WHEN d.rate_currency = d.currency THEN d.own_amount
                                       ELSE crm.convert_currency(d.base_amount, d.base_currency, d.rate_currency, 'at_event_date', d.earned_on,
                                                                 tenant_id => tenant) END AS points
        FROM rated AS d WHERE d.rate > 0
    ), earned AS (
        SELECT w.* FROM worth AS w WHERE NOT by_line
        UNION ALL
        SELECT w.account_id, w.id, w.ordered_at, w.earned_on, w.expires_after_months, sum(w.points)
        FROM worth AS w WHERE by_line GROUP BY w.account_id, w.id, w.ordered_at, w.earned_on, w.expires_after_months
    )
    SELECT e.account_id, e.id, NULL::bigint, CASE WHEN e.points < 0 THEN 'returned' ELSE 'earned' END, trunc(e.points)::bigint, e.ordered_at,
           CASE WHEN e.expires_after_months IS NULL THEN 'infinity'
                ELSE ((e.earned_on + make_interval(months => e.expires_after_months))::date + 1)::timestamp AT TIME ZONE zone END
    FROM earned AS e
    WHERE trunc(e.points) <> 0
    UNION ALL
    SELECT n.account_id, NULL, n.id, CASE n.kind WHEN 'burn' THEN 'burned' ELSE 'adjusted' END, n.points, n.occurred_at, n.expires_at
    FROM crm.loyalty_entries AS n
    WHERE n.tenant_id = tenant AND (account_ids IS NULL OR n.account_id = ANY (account_ids)) AND n.occurred_at <= as_of;
END
$$;
COMMENT ON FUNCTION crm_internal.loyalty_ledger(bigint, bigint[], timestamptz, boolean) IS
'Points of customers (account_ids; NULL: all) up to an instant, as crm.points_state() reads them: earned and returned from the orders known then (those '
'cancelled by then count for nothing), burned and adjusted from crm.loyalty_entries. Amounts of orders are as they are now. seen_only: from orders that '
'the caller sees. Error CR203 where a rate is missing to the currency of an earn rate.';

CREATE OR REPLACE FUNCTION crm_internal.loyalty_balance(tenant bigint, account bigint, as_of timestamptz, more bigint DEFAULT NULL,
    more_at timestamptz DEFAULT NULL)
RETURNS bigint
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
    SELECT coalesce((crm.points_state(l.points, l.at, l.expires_at, as_of)).balance, 0)
    FROM (SELECT x.points, x.at, x.expires_at FROM crm_internal.loyalty_ledger(tenant, ARRAY[account], as_of) AS x
          UNION ALL SELECT more, more_at, NULL WHERE more IS NOT NULL) AS l
$$;
COMMENT ON FUNCTION crm_internal.loyalty_balance(bigint, bigint, timestamptz, bigint, timestamptz) IS
'Points that a customer has at an instant, as if more had been spent at another.';

-- security definer in what reads points below, for the rates and the earlier tiers; a report says what the rows come to that its caller sees, so orders
-- of others are left out
CREATE OR REPLACE FUNCTION crm_analytics.loyalty_points(account_ids bigint[] DEFAULT NULL, as_of timestamptz DEFAULT now())
RETURNS TABLE (tenant_id bigint, account_id bigint, account_name text, loyalty_tier text, tier_name text, tier_since timestamptz, earned bigint, burned bigint,
               expired bigint, balance bigint, next_expires_at timestamptz, expiring bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1000
SET search_path = pg_catalog, pg_temp
SET jit = off
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
BEGIN
    RETURN QUERY
    WITH states AS (
        SELECT l.account_id, crm.points_state(l.points, l.at, l.expires_at, as_of) AS s
        FROM crm_internal.loyalty_ledger(mine, account_ids, as_of, crm.whole_tenant() IS DISTINCT FROM mine) AS l GROUP BY l.account_id
    ), tiers AS (
        SELECT v.record_id, (array_agg(v.value #>> '{}' ORDER BY v.until) FILTER (WHERE v.until > as_of))[1] AS tier,
               count(*) FILTER (WHERE v.until > as_of) > 0 AS changed, max(v.until) FILTER (WHERE v.until <= as_of) AS since
        FROM crm.past_values AS v
        WHERE v.tenant_id = mine AND v.table_name = 'accounts' AND v.column_name = 'loyalty_tier'
          AND (account_ids IS NULL OR v.record_id = ANY (account_ids))
        GROUP BY v.record_id
    )
    SELECT a.tenant_id, a.id, a.name, k.code, k.name, CASE WHEN k.code IS NOT NULL THEN h.since END, coalesce((x.s).earned, 0), coalesce((x.s).burned, 0),
           coalesce((x.s).expired, 0), coalesce((x.s).balance, 0), (x.s).next_expires_at, coalesce((x.s).expiring, 0)
    FROM crm.accounts AS a
    LEFT JOIN states AS x ON x.account_id = a.id
    LEFT JOIN tiers AS h ON h.record_id = a.id
    LEFT JOIN crm.loyalty_tiers AS k ON k.tenant_id = mine AND k.code = CASE WHEN h.changed THEN h.tier ELSE a.loyalty_tier END
    WHERE a.tenant_id = mine AND (account_ids IS NULL OR a.id = ANY (account_ids))
      AND (x.s IS NOT NULL OR k.code IS NOT NULL OR account_ids IS NOT NULL)
      AND crm.in_sight(a.tenant_id, crm.can_see(a.owner_id, a.team_id, a.shared_user_ids, a.shared_team_ids));
END
$$;
COMMENT ON FUNCTION crm_analytics.loyalty_points(bigint[], timestamptz) IS
'Tier and points of customers at an instant, one row each (account_ids; NULL: all who have points or a tier) that the caller sees: earned (less what '
'returns took back), burned (spent, or taken by hand), expired, balance, and how many expire next. From the orders and entries known at that instant, as '
'far as the caller sees orders; those that were cancelled by then count for nothing. Error CR203 where a rate is missing to the currency of an earn rate.';
SELECT crm.declare_function('crm_analytics.loyalty_points', 'reader');

CREATE OR REPLACE FUNCTION crm_analytics.loyalty_statement(account_id bigint, as_of timestamptz DEFAULT now())
RETURNS TABLE (tenant_id bigint, account_name text, place bigint, at timestamptz, kind text, points bigint, balance bigint, reason text,
               expires_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 50
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
BEGIN
    PERFORM crm_internal.require('accounts', account_id, 'see');
    RETURN QUERY
    WITH ledger AS MATERIALIZED (
        SELECT l.* FROM crm_internal.loyalty_ledger(mine, ARRAY[loyalty_statement.account_id], as_of, crm.whole_tenant() IS DISTINCT FROM mine) AS l
    ), moves AS (
        SELECT l.at, l.kind, l.points, l.expires_at, l.order_id, l.entry_id,
               CASE l.kind WHEN 'earned' THEN 1 WHEN 'returned' THEN 2 ELSE CASE WHEN l.points > 0 THEN 1 ELSE 3 END END AS turn
        FROM ledger AS l
        UNION ALL
        SELECT x.at, 'expired', -x.points, NULL, NULL, NULL, CASE WHEN x.points > 0 THEN 0 ELSE 2 END
        FROM (SELECT crm.points_expiries(l.points, l.at, l.expires_at, as_of) AS gone FROM ledger AS l) AS e CROSS JOIN LATERAL unnest(e.gone) AS x
    )
    SELECT a.tenant_id, a.name, row_number() OVER w, m.at, m.kind, m.points, (sum(m.points) OVER w)::bigint,
           coalesce(n.reason, o.number), CASE WHEN isfinite(m.expires_at) THEN m.expires_at END
    FROM moves AS m
    JOIN crm.accounts AS a ON a.tenant_id = mine AND a.id = loyalty_statement.account_id
    LEFT JOIN crm.orders AS o ON o.tenant_id = mine AND o.id = m.order_id
    LEFT JOIN crm.loyalty_entries AS n ON n.tenant_id = mine AND n.id = m.entry_id
    WINDOW w AS (ORDER BY m.at, m.turn, m.order_id, m.entry_id, m.points ROWS UNBOUNDED PRECEDING)
    ORDER BY 3;
END
$$;
COMMENT ON FUNCTION crm_analytics.loyalty_statement(bigint, timestamptz) IS
'Statement of a customer''s points up to an instant, one row a movement: earned, returned, burned, adjusted or expired, with the balance after it, the number '
'of the order or the reason, and until when points are good. The last balance is that of crm_analytics.loyalty_points() then. Errors: P0002 a customer the '
'caller does not see, CR203 as there.';
SELECT crm.declare_function('crm_analytics.loyalty_statement', 'reader');

-- ---- spending ----

-- security definer: the counter of the member is the CRM's to write
CREATE OR REPLACE FUNCTION crm_internal.check_loyalty_entry()
RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    available bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM crm.loyalty_programmes AS p WHERE p.tenant_id = NEW.tenant_id AND (p.active OR NEW.kind = 'merge')) THEN
        RAISE EXCEPTION 'the company has no loyalty programme, or it is not active' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'An admin writes one into crm.loyalty_programmes.';
    END IF;
    IF NEW.occurred_at > now() THEN
        RAISE EXCEPTION 'points cannot be spent or given at a time to come' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Leave occurred_at out for now.';
    END IF;
    -- whoever spends at the same time waits here, and reads the balance after it; with a snapshot of before it fails to write (40001)
    INSERT INTO crm.loyalty_members AS m (tenant_id, account_id, review_at, entries) VALUES (NEW.tenant_id, NEW.account_id, NEW.occurred_at, 1)
    ON CONFLICT ON CONSTRAINT loyalty_members_pkey DO UPDATE SET entries = m.entries + 1;
    IF NEW.points < 0 AND NEW.kind <> 'merge' THEN
        available := crm_internal.loyalty_balance(NEW.tenant_id, NEW.account_id, NEW.occurred_at);
        -- what is written down later may have been spent since
        IF available::numeric + NEW.points < 0 OR NEW.occurred_at < now()
           AND crm_internal.loyalty_balance(NEW.tenant_id, NEW.account_id, now(), NEW.points, NEW.occurred_at) < 0 THEN
            RAISE EXCEPTION 'customer % has not enough points', NEW.account_id USING ERRCODE = 'CR804',
                DETAIL = CASE WHEN available::numeric + NEW.points < 0
                              THEN format('%s are to be taken, %s are there.', -(NEW.points::numeric), greatest(available, 0))
                              ELSE format('%s were there, but have been spent since.', -(NEW.points::numeric)) END,
                HINT = 'crm_analytics.loyalty_statement() shows what became of them.';
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_loyalty_entry() IS
'Row trigger of crm.loyalty_entries: more than the balance is not spent (CR804), nor anything without a programme (55000) or in the future (22023).';
CREATE OR REPLACE TRIGGER loyalty_entries_before_insert_check BEFORE INSERT ON crm.loyalty_entries
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_loyalty_entry();

CREATE OR REPLACE FUNCTION crm_internal.keep_loyalty_entries()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- merging a customer moves the entries
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - 'account_id' = to_jsonb(OLD) - 'account_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'entries of loyalty points cannot be changed or deleted' USING ERRCODE = 'object_not_in_prerequisite_state',
        HINT = 'Put it right with another one: crm.adjust_points().';
END
$$;
COMMENT ON FUNCTION crm_internal.keep_loyalty_entries() IS
'Row trigger of crm.loyalty_entries: rows are only added; a merge may move them to the customer that goes on.';
CREATE OR REPLACE TRIGGER loyalty_entries_before_keep BEFORE UPDATE OR DELETE ON crm.loyalty_entries
    FOR EACH ROW EXECUTE FUNCTION crm_internal.keep_loyalty_entries();

-- security definer in the two below: entries are only added, which no right of a table says
CREATE OR REPLACE FUNCTION crm.burn_points(account_id bigint, points bigint, reason text, occurred_at timestamptz DEFAULT now())
RETURNS crm.loyalty_entries
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.loyalty_entries;
BEGIN
    IF points IS NULL OR points <= 0 OR account_id IS NULL THEN
        RAISE EXCEPTION 'points are spent by a customer, and more than none' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'crm.adjust_points() gives points.';
    END IF;
    PERFORM crm_internal.require('accounts', account_id, 'change');
    INSERT INTO crm.loyalty_entries AS e (tenant_id, account_id, kind, points, occurred_at, reason)
    VALUES (crm.tenant_id(), burn_points.account_id, 'burn', -burn_points.points, coalesce(burn_points.occurred_at, now()), burn_points.reason)
    RETURNING e.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.burn_points(bigint, bigint, text, timestamptz) IS
'A customer spends points, for something (reason). Taken are those that expire first. Returns the entry. Errors, which change nothing: CR804 more than the '
'balance, at that time or since; P0002 or 42501 a customer the caller does not see or may not change; 55000 no programme; 22023 none, or a time to come; '
'23502 no reason.';
SELECT crm.declare_function('crm.burn_points', 'agent');

CREATE OR REPLACE FUNCTION crm.adjust_points(account_id bigint, points bigint, reason text, expires_at timestamptz DEFAULT NULL,
    occurred_at timestamptz DEFAULT now())
RETURNS crm.loyalty_entries
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.loyalty_entries;
BEGIN
    IF points IS NULL OR points = 0 OR account_id IS NULL THEN
        RAISE EXCEPTION 'points are given to or taken from a customer, and not none' USING ERRCODE = 'invalid_parameter_value',
            HINT = 'Give their number, below 0 to take them.';
    END IF;
    PERFORM crm_internal.require('accounts', account_id, 'change');
    INSERT INTO crm.loyalty_entries AS e (tenant_id, account_id, kind, points, occurred_at, expires_at, reason)
    VALUES (crm.tenant_id(), adjust_points.account_id, 'adjustment', adjust_points.points, coalesce(adjust_points.occurred_at, now()),
            adjust_points.expires_at, adjust_points.reason)
    RETURNING e.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.adjust_points(bigint, bigint, text, timestamptz, timestamptz) IS
'Gives a customer points by hand, good until expires_at (NULL: for ever), or takes some (below 0), with the reason. Returns the entry. Errors are those of '
'crm.burn_points(), and 23514 for points that expire before they are given.';
SELECT crm.declare_function('crm.adjust_points', 'manager');
