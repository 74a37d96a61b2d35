#!/usr/bin/env bash
# A whole CRM on the subscriber of a logical replication that publishes schema crm, and not crm_internal: reports are the same there, also
# after rows were changed, deleted and moved, and folding works on both sides.
# long: 40 s
set -u
. "$REPO/tests/helpers/cluster.sh"
cd "$WORK" || exit 1
export PGOPTIONS='-c client_min_messages=warning'
from=crm_publisher to=crm_subscriber
trap cluster_stop EXIT
cluster_start "$WORK/cluster" "wal_level = logical" || exit 1
fresh_database $from && createdb $to || exit 1
sql -d $from -c 'SELECT crm.generate_demo(1, 42)' -c 'SELECT crm.fold_rollups()' >/dev/null || fail publisher

# as the page says
pg_dump -s $from | sql -d $to >/dev/null || fail "schema"
sql -d $from -c 'CREATE PUBLICATION crm_all FOR TABLES IN SCHEMA crm' -c "SELECT pg_create_logical_replication_slot('crm_test', 'pgoutput')" >/dev/null || fail publication
sql -d $to -c "CREATE SUBSCRIPTION crm_sub CONNECTION 'host=$PGHOST port=$PGPORT user=postgres dbname=$from' PUBLICATION crm_all
               WITH (create_slot = false, slot_name = 'crm_test')" || fail subscription

figures() {     # database: every table of crm, and reports
    sql -At -d "$1" <<'SQL'
SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(r, E''\n'' ORDER BY r COLLATE "C"), '''')) FROM (SELECT t::text AS r FROM %s AS t) AS x', c.oid::regclass, c.oid::regclass)
FROM pg_class AS c WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('rollup_sources', 'rollup_folds')
ORDER BY c.relname
\gexec
SELECT 'dashboard', d::text FROM crm_analytics.dashboard AS d;
SELECT 'pipeline', p::text FROM crm_analytics.pipeline_by_stage AS p ORDER BY 2;
SQL
}
arrived() {     # when
    local i
    figures $from >want || fail "figures of the publisher"
    for i in $(seq 40); do
        figures $to >got 2>&1; cmp -s want got && break; sleep 0.5
    done
    diff want got >differ || { head -10 differ; grep -aE 'ERROR|CONTEXT' "$CLUSTER/server.log" | sort -k7 | uniq -f 6 -c | tail -8; fail "$1: the subscriber differs"; }
    [ "$(wrong_sums $to)" = 0 ] || fail "$1: a rollup of the subscriber differs"
    [ "$(wrong_sums $from)" = 0 ] || fail "$1: a rollup of the publisher differs"
}
for _ in $(seq 600); do
    [ "$(value $to "SELECT count(*) FROM pg_subscription_rel AS r WHERE r.srsubstate <> 'r'")" = 0 ] && break; sleep 0.5
done
# what was copied before the definitions of rollups were there was not counted
sql -d $to -c 'SELECT crm.rebuild_rollup(r.name) FROM crm.rollups AS r' >/dev/null || fail "rebuilding rollups"
arrived "first copy"
grep -q '^crm.opportunities|[1-9]' want || fail "nothing was replicated"
sql -d $from <<'SQL' >/dev/null || fail write
INSERT INTO crm.accounts (id, name) VALUES (990001, 'Replicated');
INSERT INTO crm.leads (id, name, email) VALUES (990001, 'Replicated lead', 'lead@example.org');
UPDATE crm.accounts SET employees = coalesce(employees, 0) + 1 WHERE id % 3 = 0;
SELECT crm.lose_opportunity(o.id, 'price') FROM crm.opportunities AS o JOIN crm.stages AS s ON s.tenant_id = o.tenant_id AND s.id = o.stage_id WHERE s.type = 'open' ORDER BY o.id LIMIT 5;
UPDATE crm.orders SET amount = amount * 2, base_amount = base_amount * 2 WHERE id % 5 = 0 AND NOT EXISTS (SELECT FROM crm.order_lines AS l WHERE l.order_id = orders.id);
DELETE FROM crm.activities WHERE id % 7 = 0;
SELECT crm.fold_rollups();
SQL
sql -d $to -c 'SELECT crm.fold_rollups()' >/dev/null || fail "folding on the subscriber"
arrived "changes"
exit 0
