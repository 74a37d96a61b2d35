#!/usr/bin/env bash
# Report queries over a large company: from the rollups, against the same figures computed from the rows.
# OPPORTUNITIES and ACTIVITIES set the size (10,000,000 activities take a quarter of an hour to make); 10,000 deltas or more are pending while it is measured.
set -u
. "$REPO/tests/lib/cluster.sh"
n=${OPPORTUNITIES:-1000000}
m=${ACTIVITIES:-2000000}
status=0

t0=$(date +%s)
# rows first, rollups after: the engine fills them from the rows that are there
sql <<SQL >/dev/null || exit 1
SET synchronous_commit = off;
SET session_replication_role = replica;
CREATE TEMP TABLE own AS SELECT r.name, s.source::text AS source, r.filter, r.reading_view,
    (SELECT array_agg(i.definition || ' AS ' || quote_ident(i.name) ORDER BY i.ordinal) FROM crm.rollup_items AS i WHERE i.rollup_id = r.id AND i.role = 'key') AS keys
FROM crm.rollups AS r JOIN crm.rollup_sources AS s ON s.id = r.source_id;
DO \$\$
DECLARE t record;
BEGIN   -- triggers of the rollups rest while the rows are made
    FOR t IN SELECT g.tgrelid::regclass AS rel, g.tgname FROM pg_trigger AS g WHERE g.tgname LIKE '00\\_crm\\_rollup%' LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.rel, t.tgname);
    END LOOP;
END \$\$;
INSERT INTO crm.users (id, name) SELECT i, 'User ' || i FROM generate_series(1, 100) AS i;
INSERT INTO crm.teams (id, name) SELECT i, 'Team ' || i FROM generate_series(1, 10) AS i;
INSERT INTO crm.accounts (id, name, roles) SELECT i, 'Account ' || i, '{customer}' FROM generate_series(1, 50000) AS i;
CREATE TEMP TABLE s AS SELECT array_agg(x.id ORDER BY x.position) AS ids, max(x.pipeline_id) AS pipeline FROM crm.stages AS x JOIN crm.pipelines AS p ON p.id = x.pipeline_id
WHERE p.subject_table = 'opportunities' AND p.is_default;
-- a quarter is open, two years of closing; who works where is not random
INSERT INTO crm.opportunities (name, account_id, pipeline_id, stage_id, amount, probability, expected_close_date, close_date, closed_at, created_at, owner_id, team_id, lead_source, loss_reason)
SELECT 'Deal ' || i, 1 + i::bigint * 7919 % 50000, s.pipeline, s.ids[CASE WHEN x.open THEN 1 + i % 8 WHEN i % 5 < 3 THEN 9 ELSE 10 END], 500 + i::bigint * 104729 % 90000, 10 * (1 + i % 8),
       CASE WHEN x.open THEN current_date + (i % 300)::integer END, CASE WHEN NOT x.open THEN current_date - (i % 730)::integer END,
       CASE WHEN NOT x.open THEN now() - (i % 730) * interval '1 day' END, now() - (i % 730 + 5 + i % 90) * interval '1 day', u, 1 + u / 10, (ARRAY['web', 'fair', 'mail', 'call'])[1 + i % 4],
       CASE WHEN NOT x.open AND i % 5 >= 3 THEN (ARRAY['price', 'timing'])[1 + i % 2] END
FROM generate_series(1, $n) AS i, s, LATERAL (SELECT i % 4 = 0 AS open, 1 + (i::bigint * 31 % 99)::integer AS u) AS x;
INSERT INTO crm.activities (kind, subject, account_id, owner_id, created_at, due_at, done_at)
SELECT (ARRAY['call', 'mail', 'meeting', 'task', 'note'])[1 + i % 5], 'x', 1 + i::bigint * 7919 % 50000, 1 + (i::bigint * 31 % 99)::integer, now() - (i % 730) * interval '1 day' - (i % 1440) * interval '1 minute',
       now() - (i % 730) * interval '1 day', CASE WHEN i % 10 > 0 THEN now() - (i % 730) * interval '1 day' END
FROM generate_series(1, $m) AS i;
DO \$\$
DECLARE t record;
BEGIN
    FOR t IN SELECT g.tgrelid::regclass AS rel, g.tgname FROM pg_trigger AS g WHERE g.tgname LIKE '00\\_crm\\_rollup%' LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.rel, t.tgname);
    END LOOP;
END \$\$;
SQL
t1=$(date +%s)
sql -c "SELECT crm.rebuild_rollup(name) FROM crm.rollups" >/dev/null || exit 1
t2=$(date +%s)
sql -c "VACUUM ANALYZE" -c "SET session_replication_role = replica" \
    -c "UPDATE crm.opportunities SET amount = amount + 1 WHERE id <= 2500" -c "UPDATE crm.activities SET done_at = now() WHERE id <= 2500" >/dev/null || exit 1
echo "# $n opportunities and $m activities made in $((t1 - t0)) s, rollups filled in $((t2 - t1)) s; pending deltas: $(value "$PGDATABASE" 'SELECT sum(pending_deltas) FROM crm.rollup_status' 2>/dev/null)"

ms() {      # query: median of 5 after one that fills the caches of the session
    local i
    { echo '\timing on'; for i in 1 2 3 4 5 6; do echo "SELECT count(*) FROM ($1) AS q;"; done; } |
        psql -X -q -At | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -5 | sort -n | sed -n 3p
}
compare() { # what, limit ms, query from the rollup, the same from the rows
    local ours base
    ours=$(ms "$3") base=$(ms "$4")
    line "$1" "$ours ms" "$base ms" "$(awk "BEGIN {printf \"%.0fx\", $base / $ours}")" "<= $2 ms" "$(awk "BEGIN {print ($ours <= $2) ? \"ok\" : \"miss\"}")"
}
f="crm_analytics.fact_opportunities"
# every query names the tenant, as applications do and row security does for them: it comes first in every index
compare "pipeline now, by stage" 50 "SELECT stage_id, sum(amount), sum(weighted) FROM crm_analytics.pipeline_now WHERE tenant_id = 1 GROUP BY 1" \
    "SELECT stage_id, sum(base_amount), sum(base_weighted) FROM $f WHERE tenant_id = 1 AND state = 'open' GROUP BY 1"
compare "pipeline now, one owner by expected month" 50 "SELECT expected_month, sum(amount) FROM crm_analytics.pipeline_now WHERE tenant_id = 1 AND owner_id = 7 GROUP BY 1" \
    "SELECT date_trunc('month', expected_on::timestamp), sum(base_amount) FROM $f WHERE tenant_id = 1 AND state = 'open' AND owner_id = 7 GROUP BY 1"
compare "win rate by month, all time" 50 "SELECT * FROM crm_analytics.win_rate WHERE tenant_id = 1" \
    "SELECT date_trunc('month', closed_on::timestamp), count(*) FILTER (WHERE state = 'won'), sum(base_amount) FROM $f WHERE tenant_id = 1 AND state IN ('won', 'lost') GROUP BY 1"
compare "closed by owner, one month" 50 "SELECT owner_id, sum(won), sum(won_amount) FROM crm_analytics.closed_by_owner WHERE tenant_id = 1 AND closed_on >= current_date - 30 GROUP BY 1" \
    "SELECT owner_id, count(*), sum(base_amount) FROM $f WHERE tenant_id = 1 AND state IN ('won', 'lost') AND closed_on >= current_date - 30 GROUP BY 1"
compare "forecast by category and month" 50 "SELECT * FROM crm_analytics.forecast WHERE tenant_id = 1" \
    "SELECT forecast_category, date_trunc('month', expected_on::timestamp), sum(base_amount), sum(base_weighted) FROM $f WHERE tenant_id = 1 AND state IN ('open', 'won') GROUP BY 1, 2"
compare "loss reasons by month" 50 "SELECT * FROM crm_analytics.loss_reasons WHERE tenant_id = 1" \
    "SELECT loss_reason, date_trunc('month', closed_on::timestamp), count(*), sum(base_amount) FROM $f WHERE tenant_id = 1 AND state = 'lost' GROUP BY 1, 2"
compare "activities by week and kind, 12 weeks" 50 \
    "SELECT created_on - extract(isodow FROM created_on)::integer, kind, sum(activities) FROM crm_analytics.user_activity WHERE tenant_id = 1 AND created_on >= current_date - 84 GROUP BY 1, 2" \
    "SELECT created_on - extract(isodow FROM created_on)::integer, kind, count(*) FROM crm_analytics.fact_activities WHERE tenant_id = 1 AND created_on >= current_date - 84 GROUP BY 1, 2"
compare "activities of one user, by month" 50 \
    "SELECT date_trunc('month', created_on::timestamp), kind, sum(activities) FROM crm_analytics.user_activity WHERE tenant_id = 1 AND user_id = 7 GROUP BY 1, 2" \
    "SELECT date_trunc('month', created_on::timestamp), kind, count(*) FROM crm_analytics.fact_activities WHERE tenant_id = 1 AND owner_id = 7 GROUP BY 1, 2"
compare "performance of all users, one month" 50 \
    "SELECT * FROM crm_analytics.performance_between(current_date - 30, current_date + 1)" \
    "SELECT owner_id, count(*), sum(base_amount) FROM $f WHERE tenant_id = 1 AND closed_on >= current_date - 30 GROUP BY 1"
compare "dashboard, every figure" 50 "SELECT * FROM crm_analytics.dashboard WHERE tenant_id = 1" "SELECT state, count(*), sum(base_amount), sum(base_weighted) FROM $f WHERE tenant_id = 1 GROUP BY 1"
account="SELECT * FROM crm_analytics.account_totals WHERE tenant_id = 1 AND account_id = 77"
line "one account, from its rows by index (no rollup)" "$(ms "$account") ms" - - - -
exit $status
