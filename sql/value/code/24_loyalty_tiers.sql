-- Tiers of the loyalty programme: what their rules see, and moving customers by them.

CREATE OR REPLACE FUNCTION crm_internal.loyalty_worths(tenant bigint, account_ids bigint[], as_of timestamptz, with_value boolean)
RETURNS TABLE (account_id bigint, worth jsonb)
LANGUAGE plpgsql STABLE ROWS 1000
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    day CONSTANT date := crm.local_day(tenant, as_of);
    year_ago CONSTANT date := (day - interval '12 months')::date;
    restated CONSTANT bigint[] := crm_internal.loyalty_orders_restated(tenant, account_ids, as_of);
BEGIN
    RETURN QUERY
    WITH points AS (
        SELECT l.account_id, crm.points_state(l.points, l.at, l.expires_at, as_of) AS s,
               sum(l.points) FILTER (WHERE l.kind IN ('earned', 'returned') AND crm.local_day(tenant, l.at) > year_ago) AS last_year
        FROM crm_internal.loyalty_ledger(tenant, account_ids, as_of) AS l GROUP BY l.account_id
    ), bought AS (
        SELECT o.account_id, sum(o.base_amount) AS revenue, sum(o.base_amount) FILTER (WHERE o.ordered_on > year_ago) AS revenue_12,
               count(*) FILTER (WHERE o.kind = 'sale') AS orders, count(*) FILTER (WHERE o.kind = 'sale' AND o.ordered_on > year_ago) AS orders_12,
               min(o.ordered_on) FILTER (WHERE o.kind = 'sale') AS first_on, max(o.ordered_on) FILTER (WHERE o.kind = 'sale') AS last_on
        FROM crm.orders AS o
        WHERE o.tenant_id = tenant AND o.account_id = ANY (account_ids) AND o.ordered_at <= as_of AND (o.state <> 'cancelled') <> (o.id = ANY (restated))
        GROUP BY o.account_id
    ), valued AS (
        SELECT w.account_id, w.clv, w.p_alive FROM crm_analytics.customer_worth(CASE WHEN with_value THEN account_ids ELSE '{}' END, day) AS w WHERE with_value
    )
    SELECT a.id, jsonb_build_object('points_earned', coalesce((p.s).earned, 0), 'points_balance', coalesce((p.s).balance, 0),
               'points_12_months', coalesce(p.last_year, 0), 'revenue', coalesce(b.revenue, 0), 'revenue_12_months', coalesce(b.revenue_12, 0),
               'orders', coalesce(b.orders, 0), 'orders_12_months', coalesce(b.orders_12, 0), 'days_since_first_order', day - b.first_on,
               'days_since_last_order', day - b.last_on)
           || CASE WHEN with_value THEN jsonb_build_object('clv', v.clv, 'p_alive', v.p_alive) ELSE '{}' END
    FROM unnest(account_ids) AS a (id)
    LEFT JOIN points AS p ON p.account_id = a.id
    LEFT JOIN bought AS b ON b.account_id = a.id
    LEFT JOIN valued AS v ON v.account_id = a.id;
END
$$;
COMMENT ON FUNCTION crm_internal.loyalty_worths(bigint, bigint[], timestamptz, boolean) IS
'What rules of tiers see of customers at an instant, see crm.loyalty_worth(); with_value: also what a model says of them.';

CREATE OR REPLACE FUNCTION crm.loyalty_worth(account_id bigint, as_of timestamptz DEFAULT now())
RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- security definer: it follows from all orders of the customer, which its callers see
    PERFORM crm_internal.require('accounts', account_id, 'see');
    RETURN (SELECT w.worth FROM crm_internal.loyalty_worths(crm.tenant_id(), ARRAY[loyalty_worth.account_id], as_of, true) AS w);
END
$$;
COMMENT ON FUNCTION crm.loyalty_worth(bigint, timestamptz) IS
'What the rule of a loyalty tier sees of a customer at an instant: points_earned, points_balance, points_12_months (earned within twelve months), revenue, '
'revenue_12_months, orders, orders_12_months, days_since_first_order, days_since_last_order (null: none), and by crm_analytics.customer_worth() clv and '
'p_alive. Revenue in the tenant''s base currency, returns taken off. Errors: P0002 a customer the caller does not see, CR203 a missing rate.';
SELECT crm.declare_function('crm.loyalty_worth', 'manager');

CREATE OR REPLACE FUNCTION crm_internal.check_loyalty_tier()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known CONSTANT text[] := '{points_earned,points_balance,points_12_months,revenue,revenue_12_months,orders,orders_12_months,days_since_first_order,'
        'days_since_last_order,clv,p_alive}';
    wrong text;
BEGIN
    SELECT string_agg(DISTINCT '"' || m.key[1] || '"', ', ') INTO wrong
    FROM regexp_matches(NEW.condition::text, '[$@]\."([^"]*)"', 'g') AS m (key) WHERE m.key[1] <> ALL (known);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'rule of tier "%" asks for %, which is not known', NEW.code, wrong USING ERRCODE = 'CR403',
            HINT = 'Known are ' || array_to_string(known, ', ') || '.';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION crm_internal.check_loyalty_tier() IS 'Row trigger of crm.loyalty_tiers: a rule asks for what is known of a customer, else error CR403.';
CREATE OR REPLACE TRIGGER loyalty_tiers_before_check BEFORE INSERT OR UPDATE OF condition ON crm.loyalty_tiers
    FOR EACH ROW EXECUTE FUNCTION crm_internal.check_loyalty_tier();

CREATE OR REPLACE FUNCTION crm_internal.review_members(tenant bigint, items text[], as_of timestamptz)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    ids CONSTANT bigint[] := items::bigint[];
    p crm.loyalty_programmes;
    with_value boolean;
    done bigint;
BEGIN
    SELECT x.* INTO p FROM crm.loyalty_programmes AS x WHERE x.tenant_id = tenant;
    SELECT coalesce(bool_or(t.condition::text ~ '[$@]\."(clv|p_alive)"'), false) INTO with_value
    FROM crm.loyalty_tiers AS t WHERE t.tenant_id = tenant AND t.active;
    WITH judged AS (
        SELECT m.account_id, m.tier AS old_tier, m.below_since, w.worth,
               (SELECT t.position FROM crm.loyalty_tiers AS t WHERE t.tenant_id = tenant AND t.code = m.tier) AS old_position, b.code, b.position
        FROM crm_internal.loyalty_worths(tenant, ids, as_of, with_value) AS w
        JOIN crm.loyalty_members AS m ON m.tenant_id = tenant AND m.account_id = w.account_id
        LEFT JOIN LATERAL (
            SELECT t.code, t.position FROM crm.loyalty_tiers AS t
            WHERE t.tenant_id = tenant AND t.active AND (t.condition IS NULL OR crm.path_holds(w.worth, t.condition))
            ORDER BY t.position DESC LIMIT 1) AS b ON true
    ), decided AS (
        SELECT j.*, CASE WHEN j.old_position > coalesce(j.position, -32769) THEN coalesce(j.below_since, as_of) END AS below,
               -- up at once, down when the time of grace is over
               NOT coalesce(j.old_position > coalesce(j.position, -32769)
                            AND NOT coalesce(as_of >= coalesce(j.below_since, as_of) + make_interval(days => p.grace_days), false), false) AS moves
        FROM judged AS j
    ), kept AS (
        UPDATE crm.loyalty_members AS m
        SET tier = CASE WHEN d.moves THEN d.code ELSE m.tier END,
            tier_since = CASE WHEN d.moves AND d.code IS DISTINCT FROM m.tier THEN as_of ELSE m.tier_since END,
            below_since = CASE WHEN d.moves THEN NULL ELSE d.below END,
            reviewed_at = as_of,
            -- once a day, or when the time of grace is over
            review_at = least(as_of + interval '1 day', CASE WHEN NOT d.moves THEN d.below + make_interval(days => p.grace_days) END)
        FROM decided AS d
        WHERE m.tenant_id = tenant AND m.account_id = d.account_id
        RETURNING m.account_id, m.tier
    ), told AS (
        UPDATE crm.accounts AS a SET loyalty_tier = k.tier
        FROM kept AS k WHERE a.tenant_id = tenant AND a.id = k.account_id AND a.loyalty_tier IS DISTINCT FROM k.tier
    )
    SELECT count(*) INTO done FROM kept;
    RETURN done;
END
$$;
COMMENT ON FUNCTION crm_internal.review_members(bigint, text[], timestamptz) IS
'Puts customers of a company into the tier that the rules say: up at once, down when the rule has not held for the days of grace. Returns how many were '
'reviewed.';

CREATE OR REPLACE FUNCTION crm.review_loyalty(as_of timestamptz DEFAULT now(), batch integer DEFAULT 10000)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
#variable_conflict use_variable
BEGIN
    -- who has ordered for the first time
    INSERT INTO crm.loyalty_members (tenant_id, account_id, review_at)
    SELECT a.tenant_id, a.id, as_of
    FROM crm.loyalty_programmes AS p JOIN crm.accounts AS a ON a.tenant_id = p.tenant_id
    WHERE p.active AND NOT EXISTS (SELECT FROM crm.loyalty_members AS m WHERE m.tenant_id = a.tenant_id AND m.account_id = a.id)
      AND EXISTS (SELECT FROM crm.orders AS o WHERE o.tenant_id = a.tenant_id AND o.account_id = a.id AND o.ordered_at <= as_of)
    ORDER BY a.tenant_id, a.id LIMIT batch
    ON CONFLICT DO NOTHING;
    RETURN crm_internal.do_due('crm.review_loyalty',
        'crm.loyalty_members AS x WHERE x.review_at <= $1 AND EXISTS (SELECT FROM crm.loyalty_programmes AS p WHERE p.tenant_id = x.tenant_id AND p.active)',
        'x.account_id', 'x.review_at, x.account_id', 'NO KEY UPDATE', 'crm_internal.review_members', as_of, batch);
END
$$;
COMMENT ON FUNCTION crm.review_loyalty(timestamptz, integer) IS
'Reviews the tiers of customers of all tenants with a loyalty programme, each once a day, and takes in who has ordered for the first time. Moves are events '
'account.tier_changed. Returns how many were reviewed. A maintenance task; for the owner of the CRM.';
SELECT crm.declare_function('crm.review_loyalty', 'owner');

-- security definer: tiers are the CRM's to write
CREATE OR REPLACE FUNCTION crm.review_customer_loyalty(account_id bigint)
RETURNS crm.loyalty_members
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    answer crm.loyalty_members;
BEGIN
    PERFORM crm_internal.require('accounts', account_id, 'change');
    IF NOT EXISTS (SELECT FROM crm.loyalty_programmes AS p WHERE p.tenant_id = mine AND p.active) THEN
        RAISE EXCEPTION 'the company has no loyalty programme, or it is not active' USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'An admin writes one into crm.loyalty_programmes.';
    END IF;
    INSERT INTO crm.loyalty_members (tenant_id, account_id) VALUES (mine, review_customer_loyalty.account_id) ON CONFLICT DO NOTHING;
    PERFORM FROM crm.loyalty_members AS m WHERE m.tenant_id = mine AND m.account_id = review_customer_loyalty.account_id FOR NO KEY UPDATE;
    PERFORM crm_internal.review_members(mine, ARRAY[review_customer_loyalty.account_id::text], now());
    SELECT m.* INTO answer FROM crm.loyalty_members AS m WHERE m.tenant_id = mine AND m.account_id = review_customer_loyalty.account_id;
    RETURN answer;
END
$$;
COMMENT ON FUNCTION crm.review_customer_loyalty(bigint) IS
'Reviews the loyalty tier of one customer at once, as crm.review_loyalty() does once a day. Returns the member. Errors: P0002 or 42501 a customer the caller '
'does not see or may not change, 55000 no programme, 23503 no such account.';
SELECT crm.declare_function('crm.review_customer_loyalty', 'agent');

-- ---- two customers that become one ----

CREATE OR REPLACE FUNCTION crm_internal.loyalty_before_merge(subject text, source_id bigint, target_id bigint)
RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
BEGIN
    IF subject <> 'accounts' OR NOT EXISTS (SELECT FROM crm.loyalty_programmes AS p WHERE p.tenant_id = mine) THEN
        RETURN '{}';
    END IF;
    RETURN jsonb_build_object('loyalty_balance', crm_internal.loyalty_balance(mine, source_id, now())::numeric
                                                 + crm_internal.loyalty_balance(mine, target_id, now()));
END
$$;
COMMENT ON FUNCTION crm_internal.loyalty_before_merge(text, bigint, bigint) IS 'Points of two customers before they become one.';
SELECT crm.declare_hook('record_merging', 'crm_internal.loyalty_before_merge(text, bigint, bigint)');

CREATE OR REPLACE FUNCTION crm_internal.loyalty_after_merge(subject text, source jsonb, target jsonb)
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    mine CONSTANT bigint := crm.tenant_id();
    target_id CONSTANT bigint := (target ->> 'id')::bigint;
    lacking bigint;
    better text;
BEGIN
    IF subject <> 'accounts' OR NOT source ? 'loyalty_balance' THEN
        RETURN;
    END IF;
    SELECT t.code INTO better FROM crm.loyalty_tiers AS t
    WHERE t.tenant_id = mine AND t.code IN (source ->> 'loyalty_tier', target ->> 'loyalty_tier') ORDER BY t.position DESC LIMIT 1;
    UPDATE crm.loyalty_members AS m SET tier = better, below_since = NULL, review_at = now()
    WHERE m.tenant_id = mine AND m.account_id = target_id AND m.tier IS DISTINCT FROM better;
    UPDATE crm.accounts AS a SET loyalty_tier = better WHERE a.tenant_id = mine AND a.id = target_id AND a.loyalty_tier IS DISTINCT FROM better;
    -- what one had spent may have come out of points that expired unspent with the other, and the tier of old orders is now the other's
    lacking := (source ->> 'loyalty_balance')::bigint - crm_internal.loyalty_balance(mine, target_id, now());
    IF lacking <> 0 THEN
        INSERT INTO crm.loyalty_entries (tenant_id, account_id, kind, points, reason)
        VALUES (mine, target_id, 'merge', lacking, 'merge_accounts ' || (source ->> 'id'));
    END IF;
END
$$;
COMMENT ON FUNCTION crm_internal.loyalty_after_merge(text, jsonb, jsonb) IS
'Of two customers that became one: the balance is the sum of theirs, the tier the better one until the next review.';
SELECT crm.declare_hook('record_merged', 'crm_internal.loyalty_after_merge(text, jsonb, jsonb)');
