#!/usr/bin/env bash
# A rollup on the subscriber of a logical replication: the apply worker fires no statement triggers, and every delta counts.
set -u
. "$REPO/tests/helpers/cluster.sh"
cd "$WORK" || exit 1
export PGOPTIONS='-c client_min_messages=warning'
from=rollup_publisher to=rollup_subscriber
trap cluster_stop EXIT
cluster_start "$WORK/cluster" "wal_level = logical" || exit 1
fresh_database $from $to || exit 1
for db in $from $to; do
    sql -d $db <<'SQL' >/dev/null || exit 1
CREATE TABLE deals (id integer PRIMARY KEY, owner integer, stage text, amount numeric);
CREATE TABLE visits (id integer PRIMARY KEY, kind text);
SQL
done
sql -d $from -c "INSERT INTO deals SELECT g, g % 5, 's' || g % 3, g FROM generate_series(1, 500) AS g" -c "CREATE PUBLICATION pub FOR TABLE deals, visits" \
    -c "SELECT pg_create_logical_replication_slot('rollup_test', 'pgoutput')" >/dev/null || fail publisher
sql -d $to -c "SELECT crm.create_rollup('deals_by_stage', 'deals', ARRAY['owner', 'upper(stage) AS stage'], ARRAY['count(*)', 'sum(amount)'])" \
    -c "SELECT crm.create_rollup('visits_by_kind', 'visits', ARRAY['kind'])" \
    -c "CREATE SUBSCRIPTION sub CONNECTION 'host=$PGHOST port=$PGPORT user=postgres dbname=$from' PUBLICATION pub WITH (create_slot = false, slot_name = 'rollup_test')" >/dev/null || fail subscriber
arrived() {     # query with the same answer on both sides
    local i want got
    want=$(value $from "$1")
    for i in $(seq 300); do
        got=$(value $to "$1"); [ "$got" = "$want" ] && break; sleep 0.1
    done
    [ "$got" = "$want" ] || fail "not replicated: $1"
    [ "$(wrong_sums $to)" = 0 ] || fail "a rollup differs: $2"
}
sums="SELECT count(*), sum(amount), count(DISTINCT stage), sum(owner) FROM deals"
arrived "$sums" "first copy"
sql -d $from <<'SQL' || fail write
INSERT INTO deals SELECT g, g % 7, 's' || g % 4, g FROM generate_series(501, 900) AS g;
UPDATE deals SET stage = 'x', amount = amount + 1 WHERE id % 10 = 0;
UPDATE deals SET amount = NULL WHERE id % 11 = 0;
BEGIN;
INSERT INTO deals VALUES (1001, 1, 'a', 1);
SAVEPOINT a;
INSERT INTO deals VALUES (1002, 1, 'a', 2);
ROLLBACK TO a;
INSERT INTO deals VALUES (1003, 1, 'a', 3);
SAVEPOINT b;
DELETE FROM deals WHERE id < 50;
COMMIT;
SQL
arrived "$sums" "changes"
sql -d $from <<'SQL' || fail truncate
INSERT INTO visits SELECT g, 'k' || g % 3 FROM generate_series(1, 100) AS g;
BEGIN;
INSERT INTO deals VALUES (2001, 1, 'a', 1);
TRUNCATE deals;
INSERT INTO deals VALUES (2002, 1, 'b', 7), (2003, 2, 'b', 8);
COMMIT;
SQL
arrived "$sums" "truncate"
arrived "SELECT count(*) FROM visits" "a second table"
[ "$(value $to 'SELECT count(*) FROM crm_analytics.deals_by_stage')" = 2 ] || fail "groups after truncate"
value $to "SELECT crm.fold_rollups()" >/dev/null
arrived "$sums" "folded"
