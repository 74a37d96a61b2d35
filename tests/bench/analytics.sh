#!/usr/bin/env bash
# Report queries over a large company: from the rollups, against the same figures computed from the rows.
# OPPORTUNITIES and ACTIVITIES set the size (ACTIVITIES=10000000 takes five to eight minutes); 10,000 deltas or more are pending while it is measured.
# Days, owners, kinds, stages and currencies are drawn independently of each other, so that there are as many groups as there can be.
set -u
. "$REPO/tests/helpers/cluster.sh"
n=${OPPORTUNITIES:-1000000}
m=${ACTIVITIES:-2000000}
status=0

t0=$(date +%s)
# rows first, indexes and rollups after: the engine fills them from the rows that are there
sql <<SQL >/dev/null || exit 1
SET synchronous_commit = off;
SET session_replication_role = replica;
SELECT setseed(0.42);
DO \$\$
DECLARE t record;
BEGIN   -- triggers of the rollups rest while the rows are made
    FOR t IN SELECT g.tgrelid::regclass AS rel, g.tgname FROM pg_trigger AS g WHERE g.tgname LIKE '00\\_crm\\_rollup%' LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.rel, t.tgname);
    END LOOP;
END \$\$;
CREATE TEMP TABLE resting AS SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index AS i WHERE i.indrelid IN ('crm.opportunities'::regclass, 'crm.activities'::regclass)
  AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid);
DO \$\$
DECLARE t record;
BEGIN
    FOR t IN SELECT * FROM resting LOOP EXECUTE 'DROP INDEX ' || t.name; END LOOP;
END \$\$;
INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate)
SELECT c, 'USD', (current_date - 800) + 30 * n, 1 + (n % 7) / 50.0 FROM unnest('{EUR,GBP}'::text[]) AS c, generate_series(0, 27) AS n;
INSERT INTO crm.users (id, name) SELECT i, 'User ' || i FROM generate_series(1, 100) AS i;
INSERT INTO crm.teams (id, name) SELECT i, 'Team ' || i FROM generate_series(1, 10) AS i;
INSERT INTO crm.accounts (id, name, roles) SELECT i, 'Account ' || i, '{customer}' FROM generate_series(1, 50000) AS i;
CREATE TEMP TABLE s AS SELECT array_agg(x.id ORDER BY x.type = 'lost', x.type = 'won', x.position) AS ids, max(x.pipeline_id) AS pipeline
FROM crm.stages AS x JOIN crm.pipelines AS p ON p.id = x.pipeline_id
WHERE p.subject_table = 'opportunities' AND p.is_default AND x.type <> 'cancelled';
-- a quarter is open, two years of closing, one in five in another currency
INSERT INTO crm.opportunities (name, account_id, pipeline_id, stage_id, amount, currency, probability, expected_close_date, close_date, closed_at, created_at, owner_id, team_id, lead_source, loss_reason)
SELECT 'Deal ' || x.i, 1 + floor(random() * 50000), s.pipeline,
       s.ids[CASE WHEN x.open THEN 1 + x.stage WHEN x.won THEN cardinality(s.ids) - 1 ELSE cardinality(s.ids) END], 500 + floor(random() * 90000),
       CASE WHEN x.other THEN (ARRAY['EUR', 'GBP'])[1 + (random() < 0.25)::integer] ELSE 'USD' END, 10 * (1 + x.stage),
       CASE WHEN x.open THEN current_date + floor(random() * 300)::integer END, CASE WHEN NOT x.open THEN current_date - x.day END,
       CASE WHEN NOT x.open THEN now() - x.day * interval '1 day' END, now() - (x.day + 5 + floor(random() * 90)) * interval '1 day',
       x.u, 1 + x.u / 10, (ARRAY['web', 'fair', 'mail', 'call'])[1 + floor(random() * 4)::integer],
       CASE WHEN NOT x.open AND NOT x.won THEN (ARRAY['price', 'timing', 'other'])[1 + floor(random() * 3)::integer] END
FROM (SELECT i, random() < 0.25 AS open, random() < 0.6 AS won, random() < 0.2 AS other, floor(random() * 730)::integer AS day,
             floor(random() * 4)::integer AS stage, 1 + floor(random() * 99)::bigint AS u FROM generate_series(1, $n) AS i OFFSET 0) AS x, s;
INSERT INTO crm.activities (kind, subject, account_id, owner_id, created_at, due_at, done_at)
SELECT (ARRAY['call', 'mail', 'meeting', 'task', 'note'])[1 + floor(random() * 5)::integer], 'x', 1 + floor(random() * 50000), 1 + floor(random() * 99),
       x.at, x.at + interval '12 hours', CASE WHEN random() < 0.9 THEN x.at + random() * interval '1 day' END
FROM (SELECT now() - random() * interval '730 days' AS at FROM generate_series(1, $m) AS i OFFSET 0) AS x;
SET maintenance_work_mem = '512MB';
SET max_parallel_maintenance_workers = 4;
DO \$\$
DECLARE t record;
BEGIN
    FOR t IN SELECT * FROM resting LOOP EXECUTE t.definition; END LOOP;
    FOR t IN SELECT g.tgrelid::regclass AS rel, g.tgname FROM pg_trigger AS g WHERE g.tgname LIKE '00\\_crm\\_rollup%' LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.rel, t.tgname);
    END LOOP;
END \$\$;
SQL
t1=$(date +%s)
sql -c "SELECT crm.rebuild_rollup(name) FROM crm.rollups" >/dev/null || exit 1
t2=$(date +%s)
sql -c "VACUUM ANALYZE" -c "SET session_replication_role = replica" \
    -c "UPDATE crm.opportunities SET amount = amount + 1 WHERE id <= 5000" -c "UPDATE crm.activities SET done_at = now() WHERE id <= 5000" >/dev/null || exit 1
t3=$(date +%s)
echo "# $n opportunities and $m activities made in $((t1 - t0)) s, rollups filled in $((t2 - t1)) s, vacuumed in $((t3 - t2)) s; pending deltas: $(value "$PGDATABASE" 'SELECT sum(pending_deltas) FROM crm.rollup_status' 2>/dev/null)"

# as a server is when nobody has touched its settings: compilation of expensive plans is on
export PGOPTIONS='-c jit=on'
ms() {      # query, how often: median of all runs but the first, which fills the caches of the session
    local i
    { echo '\timing on'; for i in $(seq 0 "$2"); do echo "SELECT count(*) FROM ($1) AS q;"; done; } |
        psql -X -q -At | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -"$2" | sort -n | sed -n $((($2 + 1) / 2))p
}
compare() { # what, limit ms, query from the rollup, the same from the rows
    local ours base
    ours=$(ms "$3" 7) base=$(ms "$4" 1)
    line "$1" "$ours ms" "$base ms" "$(awk "BEGIN {printf \"%.0fx\", $base / $ours}")" "<= $2 ms" "$(awk "BEGIN {print ($ours <= $2) ? \"ok\" : \"miss\"}")"
}
f="crm_analytics.fact_opportunities"
# every query names the tenant, as applications do and row security does for them: it comes first in every index
compare "pipeline now, by stage" 50 "SELECT stage_id, sum(amount), sum(weighted) FROM crm_analytics.pipeline_now WHERE tenant_id = 1 GROUP BY 1" \
    "SELECT stage_id, sum(base_amount), sum(base_weighted) FROM $f WHERE tenant_id = 1 AND state = 'open' GROUP BY 1"
compare "pipeline by stage, coarse" 50 "SELECT * FROM crm_analytics.pipeline_by_stage WHERE tenant_id = 1" \
    "SELECT stage_id, sum(base_amount), sum(base_weighted) FROM $f WHERE tenant_id = 1 AND state = 'open' GROUP BY 1"
compare "pipeline now, one owner by expected month" 50 "SELECT month, sum(amount) FROM crm_analytics.pipeline_now WHERE tenant_id = 1 AND owner_id = 7 GROUP BY 1" \
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
    "SELECT created_on - extract(isodow FROM created_on)::integer, kind, sum(activities) FROM crm_analytics.activities_by_day WHERE tenant_id = 1 AND created_on >= current_date - 84 GROUP BY 1, 2" \
    "SELECT created_on - extract(isodow FROM created_on)::integer, kind, count(*) FROM crm_analytics.fact_activities WHERE tenant_id = 1 AND created_on >= current_date - 84 GROUP BY 1, 2"
compare "activities of all users, 4 weeks" 50 \
    "SELECT user_id, kind, sum(activities) FROM crm_analytics.user_activity WHERE tenant_id = 1 AND created_on >= current_date - 28 GROUP BY 1, 2" \
    "SELECT owner_id, kind, count(*) FROM crm_analytics.fact_activities WHERE tenant_id = 1 AND created_on >= current_date - 28 GROUP BY 1, 2"
compare "activities of one user, by month" 50 \
    "SELECT date_trunc('month', created_on::timestamp), kind, sum(activities) FROM crm_analytics.user_activity WHERE tenant_id = 1 AND user_id = 7 GROUP BY 1, 2" \
    "SELECT date_trunc('month', created_on::timestamp), kind, count(*) FROM crm_analytics.fact_activities WHERE tenant_id = 1 AND owner_id = 7 GROUP BY 1, 2"
compare "performance of all users, one month" 50 \
    "SELECT * FROM crm_analytics.performance_between(current_date - 30, current_date + 1)" \
    "SELECT owner_id, count(*), sum(base_amount) FROM $f WHERE tenant_id = 1 AND closed_on >= current_date - 30 GROUP BY 1"
compare "performance of all users, a calendar month" 50 \
    "SELECT * FROM crm_analytics.individual_performance WHERE tenant_id = 1 AND month = date_trunc('month', current_date - 40)::date" \
    "SELECT owner_id, count(*), sum(base_amount) FROM $f WHERE tenant_id = 1 AND closed_on >= current_date - 30 GROUP BY 1"
compare "dashboard, every figure" 50 "SELECT * FROM crm_analytics.dashboard WHERE tenant_id = 1" "SELECT state, count(*), sum(base_amount), sum(base_weighted) FROM $f WHERE tenant_id = 1 GROUP BY 1"
account="SELECT * FROM crm_analytics.account_totals WHERE tenant_id = 1 AND account_id = 77"
line "one account, from its rows by index (no rollup)" "$(ms "$account" 7) ms" - - - -
exit $status
