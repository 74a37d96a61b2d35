#!/usr/bin/env bash
# Loyalty points: the balances of a company of 1,000,000 orders of 100,000 customers, and the review of all their tiers. The baseline is a plain sum of the
# same orders by customer in the same run, which knows no expiry and no spending.
set -u
. "$REPO/tests/helpers/cluster.sh"

psql -X -q -v ON_ERROR_STOP=1 <<'SQL'
CREATE EXTENSION IF NOT EXISTS crm;
SET client_min_messages = warning;
SELECT crm.install();
INSERT INTO crm.accounts (id, name) SELECT i, 'Customer ' || i FROM generate_series(1, 100000) AS i;
INSERT INTO crm.orders (account_id, amount, ordered_at, state)
SELECT 1 + (i::bigint * 7919) % 100000, 10 + i % 90, timestamptz '2023-01-01 08:00Z' + (i % 900) * interval '1 day', 'fulfilled' FROM generate_series(1, 1000000) AS i;
INSERT INTO crm.loyalty_programmes (name) VALUES ('Club');
INSERT INTO crm.loyalty_tiers (code, name, position, condition) VALUES ('member', 'Member', 1, NULL), ('silver', 'Silver', 2, '$.revenue_12_months >= 200'),
    ('gold', 'Gold', 3, '$.revenue_12_months >= 300 || $.points_earned >= 700');
INSERT INTO crm.loyalty_rates (valid_from, points, expires_after_months) VALUES ('2023-01-01', 1, 12), ('2024-06-01', 0.5, 18);
SET session_replication_role = replica;
INSERT INTO crm.loyalty_entries (account_id, kind, points, occurred_at, reason)
SELECT i, 'burn', -20, timestamptz '2024-05-01Z', 'mug' FROM generate_series(1, 100000, 2) AS i;
RESET session_replication_role;
SQL
psql -X -q -c 'VACUUM ANALYZE' 2>/dev/null
. "$REPO/tests/bench/timed.inc"
plain=$(best "SELECT sum(s) FROM (SELECT o.account_id, sum(o.base_amount) AS s FROM crm.orders AS o WHERE o.tenant_id = 1 AND o.state <> 'cancelled' GROUP BY o.account_id) AS q")
line "sum of 1M orders by customer (baseline of this run)" "${plain}s" "" "" "" ""
row "points of 100k customers with 1M orders" "SELECT sum(p.balance) FROM crm_analytics.loyalty_points(NULL, '2025-06-30Z') AS p" "$plain" "sum" 15
row "points of one customer of that company" "SELECT p.balance FROM crm_analytics.loyalty_points('{4711}', '2025-06-30Z') AS p" "$plain" "sum" 0.1
row "points_state() alone, 1M rows by 100k" "SELECT sum((s).balance) FROM (SELECT crm.points_state((10 + i % 90)::bigint, timestamptz '2023-01-01Z' + (i % 900) * interval '1 day', timestamptz '2024-01-01Z' + (i % 900) * interval '1 day', '2025-06-30Z') AS s FROM generate_series(1, 1000000) AS i GROUP BY i % 100000) AS q" "$plain" "sum" 3
review=$(psql -X -q -At -v ON_ERROR_STOP=1 -c '\timing on' -c "SELECT crm.review_loyalty('2025-06-30Z', 100000)" | awk '/^Time:/ {printf "%.1f", $2 / 1000}')
line "review of 100k tiers, all of which move" "${review}s" "${plain}s sum" "$(awk -v a="$plain" -v b="$review" 'BEGIN {printf "%.2fx", a / b}')" "< 60s" \
    "$(awk -v a="$review" 'BEGIN {print (a > 0 && a < 60) ? "ok" : "miss"}')"
again=$(psql -X -q -At -v ON_ERROR_STOP=1 -c '\timing on' -c "SELECT crm.review_loyalty('2025-07-02Z', 100000)" | awk '/^Time:/ {printf "%.1f", $2 / 1000}')
line "review of 100k tiers, few of which move" "${again}s" "${plain}s sum" "$(awk -v a="$plain" -v b="$again" 'BEGIN {printf "%.2fx", a / b}')" "< 30s" \
    "$(awk -v a="$again" 'BEGIN {print (a > 0 && a < 30) ? "ok" : "miss"}')"
exit $status
