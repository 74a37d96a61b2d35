-- Share of wallet: what goes with what they have, the next tier of what they own, and how much of their spend is ours.

CREATE OR REPLACE FUNCTION crm_analytics.product_rules(min_count integer DEFAULT 3, min_confidence double precision DEFAULT 0.05,
    as_of date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (tenant_id bigint, product_id bigint, suggested_id bigint, customers bigint, having_both bigint, having_product bigint, having_suggested bigint,
               confidence double precision, lift double precision, p_value double precision)
LANGUAGE sql STABLE ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
    WITH owned AS (
        SELECT o.account_id, l.product_id FROM crm.orders AS o JOIN crm.order_lines AS l ON l.tenant_id = o.tenant_id AND l.order_id = o.id
        WHERE o.tenant_id = crm.tenant_id() AND o.kind = 'sale' AND o.ordered_on <= as_of
          AND (o.state <> 'cancelled') <> (o.id IN (SELECT r.order_id FROM crm_analytics.orders_restated(as_of) AS r))
        GROUP BY o.account_id, l.product_id
    ), n AS (
        SELECT count(DISTINCT w.account_id) AS customers FROM owned AS w
    ), r AS (
        SELECT unnest(crm.association_rules(w.account_id, w.product_id::text, least(1, min_count::double precision / greatest(n.customers, 1)), min_confidence, 2, 2, 1)) AS rule
        FROM owned AS w, n GROUP BY n.customers
    )
    SELECT crm.tenant_id(), (r.rule).lhs[1]::bigint, (r.rule).rhs[1]::bigint, n.customers, (r.rule).count, (r.rule).lhs_count, (r.rule).rhs_count,
           (r.rule).confidence, (r.rule).lift, (r.rule).p_value
    FROM r, n
$$;
COMMENT ON FUNCTION crm_analytics.product_rules(integer, double precision, date) IS
'One row a pair of products that at least min_count customers have: of those who have product_id, confidence is the share that has suggested_id, lift how '
'many times more than among all, p_value the chi-square significance.';

CREATE OR REPLACE FUNCTION crm_analytics.cross_sell(account_id bigint DEFAULT NULL, top integer DEFAULT 3, min_count integer DEFAULT 3,
    as_of date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (tenant_id bigint, account_id_ bigint, account_name text, suggested_id bigint, suggested_name text, because_of text, customers_like_it bigint, customers_having_it bigint,
               confidence double precision, lift double precision, expected_value numeric)
LANGUAGE sql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
    WITH rules AS MATERIALIZED (
        SELECT r.* FROM crm_analytics.product_rules(min_count, 0.05, as_of) AS r WHERE r.lift > 1
    ), owned AS MATERIALIZED (
        SELECT o.account_id, l.product_id FROM crm.orders AS o JOIN crm.order_lines AS l ON l.tenant_id = o.tenant_id AND l.order_id = o.id
        WHERE o.tenant_id = crm.tenant_id() AND o.kind = 'sale' AND o.ordered_on <= as_of
          AND (o.state <> 'cancelled') <> (o.id IN (SELECT r.order_id FROM crm_analytics.orders_restated(as_of) AS r))
          AND (cross_sell.account_id IS NULL OR o.account_id = cross_sell.account_id)
        GROUP BY o.account_id, l.product_id
    ), typical AS (
        SELECT l.product_id, percentile_cont(0.5) WITHIN GROUP (ORDER BY l.amount * o.base_amount / nullif(o.amount, 0)) AS amount
        FROM crm.orders AS o JOIN crm.order_lines AS l ON l.tenant_id = o.tenant_id AND l.order_id = o.id
        WHERE o.tenant_id = crm.tenant_id() AND o.kind = 'sale' AND o.ordered_on <= as_of
          AND (o.state <> 'cancelled') <> (o.id IN (SELECT r.order_id FROM crm_analytics.orders_restated(as_of) AS r)) GROUP BY l.product_id
    ), best AS (
        -- of the products a customer has, the one that speaks most for the suggestion
        SELECT DISTINCT ON (w.account_id, r.suggested_id) w.account_id, r.suggested_id, r.product_id, r.having_both, r.having_product, r.confidence, r.lift
        FROM owned AS w JOIN rules AS r ON r.product_id = w.product_id
        JOIN crm.products AS s ON s.tenant_id = r.tenant_id AND s.id = r.suggested_id AND s.active
        JOIN crm.products AS g ON g.tenant_id = r.tenant_id AND g.id = r.product_id AND (g.family = s.family) IS NOT TRUE
        WHERE NOT EXISTS (SELECT FROM owned AS x WHERE x.account_id = w.account_id AND x.product_id = r.suggested_id)
          AND NOT EXISTS (SELECT FROM owned AS x JOIN crm.products AS p ON p.tenant_id = r.tenant_id AND p.id = x.product_id
                          WHERE x.account_id = w.account_id AND (r.suggested_id = ANY (p.incompatible_ids) OR x.product_id = ANY (s.incompatible_ids)))
        ORDER BY w.account_id, r.suggested_id, r.confidence DESC, r.lift DESC, r.product_id
    ), ranked AS (
        SELECT b.*, row_number() OVER (PARTITION BY b.account_id ORDER BY b.confidence * coalesce(t.amount, 0) DESC, b.confidence DESC, b.suggested_id) AS place,
               b.confidence * t.amount AS value
        FROM best AS b LEFT JOIN typical AS t ON t.product_id = b.suggested_id
    )
    SELECT crm.tenant_id(), k.account_id, a.name, k.suggested_id, s.name, p.name, k.having_both, k.having_product, k.confidence, k.lift, round(k.value::numeric, 2)
    FROM ranked AS k
    JOIN crm.accounts AS a ON a.tenant_id = crm.tenant_id() AND a.id = k.account_id
    JOIN crm.products AS s ON s.tenant_id = crm.tenant_id() AND s.id = k.suggested_id
    JOIN crm.products AS p ON p.tenant_id = crm.tenant_id() AND p.id = k.product_id
    WHERE k.place <= top
    ORDER BY k.value DESC NULLS LAST, k.account_id, k.place
$$;
COMMENT ON FUNCTION crm_analytics.cross_sell(bigint, integer, integer, date) IS
'One row a customer (NULL: all) and product it does not have but customers with the same product do more than others (lift above 1), at most top each. '
'because_of: the product that speaks most for it, with the evidence: customers_like_it of customers_having_it. expected_value: confidence times the median '
'line of the product, base currency. Products it owns, others of the same family (see crm_analytics.up_sell), inactive ones and ones declared incompatible '
'with what it owns are left out.';

CREATE OR REPLACE FUNCTION crm_analytics.up_sell(account_id bigint DEFAULT NULL, as_of date DEFAULT crm.local_day(crm.tenant_id(), now()))
RETURNS TABLE (tenant_id bigint, account_id_ bigint, account_name text, family text, owned_tier smallint, suggested_id bigint, suggested_name text, suggested_tier smallint,
               moved_up bigint, having_tier bigint, share_moved_up double precision, list_price_difference numeric)
LANGUAGE sql STABLE ROWS 5
SET search_path = pg_catalog, pg_temp
AS $$
    WITH bought AS MATERIALIZED (
        SELECT o.account_id, p.family, p.tier, min(o.ordered_at) AS first_at FROM crm.orders AS o
        JOIN crm.order_lines AS l ON l.tenant_id = o.tenant_id AND l.order_id = o.id JOIN crm.products AS p ON p.tenant_id = l.tenant_id AND p.id = l.product_id
        WHERE o.tenant_id = crm.tenant_id() AND o.kind = 'sale' AND o.ordered_on <= as_of
          AND (o.state <> 'cancelled') <> (o.id IN (SELECT r.order_id FROM crm_analytics.orders_restated(as_of) AS r)) AND p.tier IS NOT NULL AND p.family IS NOT NULL
        GROUP BY o.account_id, p.family, p.tier
    ), evidence AS (
        -- of all who had a tier, how many later bought a higher one of the family
        SELECT b.family, b.tier, count(*) AS having, count(*) FILTER (WHERE EXISTS (SELECT FROM bought AS h WHERE h.account_id = b.account_id AND h.family = b.family
                                                                                    AND h.tier > b.tier AND h.first_at > b.first_at)) AS moved
        FROM bought AS b GROUP BY b.family, b.tier
    ), top AS (
        SELECT b.account_id, b.family, max(b.tier) AS tier FROM bought AS b WHERE up_sell.account_id IS NULL OR b.account_id = up_sell.account_id GROUP BY b.account_id, b.family
    )
    SELECT crm.tenant_id(), t.account_id, a.name, t.family, t.tier, s.id, s.name, s.tier, e.moved, e.having, e.moved::double precision / e.having, s.list_price - o.list_price
    FROM top AS t
    JOIN crm.accounts AS a ON a.tenant_id = crm.tenant_id() AND a.id = t.account_id
    JOIN evidence AS e ON e.family = t.family AND e.tier = t.tier
    CROSS JOIN LATERAL (SELECT p.id, p.name, p.tier, p.list_price FROM crm.products AS p
                        WHERE p.tenant_id = crm.tenant_id() AND p.family = t.family AND p.tier > t.tier AND p.active ORDER BY p.tier, p.id LIMIT 1) AS s
    LEFT JOIN LATERAL (SELECT max(p.list_price) AS list_price FROM crm.products AS p WHERE p.tenant_id = crm.tenant_id() AND p.family = t.family AND p.tier = t.tier) AS o ON true
    ORDER BY e.moved::double precision / e.having * (s.list_price - o.list_price) DESC NULLS LAST, t.account_id
$$;
COMMENT ON FUNCTION crm_analytics.up_sell(bigint, date) IS
'One row a customer (NULL: all) and product family of which a tier above its highest is for sale: the next product, and the evidence: moved_up of the '
'having_tier customers with the same tier later bought a higher one.';

CREATE OR REPLACE FUNCTION crm.wallet_allocation(rank integer, suppliers integer)
RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF suppliers < 1 OR rank < 1 OR rank > suppliers THEN
        RAISE EXCEPTION 'rank % of % suppliers does not exist', rank, suppliers USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN (1 - rank::double precision / (suppliers + 1)) * 2 / suppliers;
END
$$;
COMMENT ON FUNCTION crm.wallet_allocation(integer, integer) IS
'Share of a customer''s wallet by the Wallet Allocation Rule: (1 - rank / (N + 1)) * 2 / N. Over all ranks the shares add up to 1. Source: Keiningham, Aksoy, '
'Buoye and Cooil, Harvard Business Review, October 2011.';
