#!/usr/bin/env bash
# Sixteen sessions issue invoices at once, some of them roll back, one is killed, the server's main process is killed: no number twice, none missing where the series is gapless.
# long: 40 s
set -u
. "$REPO/tests/helpers/cluster.sh"
export PGPORT=54319
trap cluster_stop EXIT
cluster_start "$WORK/numbers" max_connections=60 || exit 1
cd "$WORK" || exit 1
export PGOPTIONS='-c client_min_messages=warning'
fresh_database numbers || exit 1
export PGDATABASE=numbers
sql <<'SQL' >/dev/null || exit 1
INSERT INTO crm.accounts (id, name) SELECT g, 'Customer ' || g FROM generate_series(9001, 9040) AS g;
UPDATE crm.number_series SET kind = 'ordinary' WHERE document = 'pro_formas';
SQL
# one in three gives up after it has a number; gapless and ordinary by turns
cat >issue.pgbench <<'SQL'
\set account random(9001, 9040)
\set fails random(1, 3)
\set kind random(1, 3)
BEGIN;
INSERT INTO crm.invoices (account_id, kind, issued_on) VALUES (:account, CASE WHEN :kind = 1 THEN 'pro_forma' ELSE 'invoice' END, '2025-05-01') RETURNING id AS doc \gset
INSERT INTO crm.invoice_lines (invoice_id, description, unit_price) VALUES (:doc, 'Work', 10);
SELECT number FROM crm.post_invoice(:doc);
\if :fails = 1
ROLLBACK;
\else
COMMIT;
\endif
SQL
load() { pgbench -n -c 16 -j 2 -T "$1" -f issue.pgbench >bench.log 2>&1; }
right() {
    local n
    n=$(value numbers "SELECT count(*) - count(DISTINCT number) FROM crm.invoices WHERE state = 'posted'")
    [ "$n" = 0 ] || fail "$n numbers were given twice after $1"
    n=$(value numbers "SELECT count(*) FROM crm.invoices WHERE state = 'posted' AND kind = 'invoice'")
    [ "$n" -gt "$2" ] || fail "only $n invoices were issued before $1: $(tail -3 bench.log)"
    [ "$(value numbers "SELECT max(right(number, 5)::integer) FROM crm.invoices WHERE state = 'posted' AND kind = 'invoice'")" = "$n" ] || fail "the gapless series has a gap after $1"
    [ "$(value numbers "SELECT last_number FROM crm_internal.number_counters AS c JOIN crm.number_series AS s ON s.id = c.series_id AND s.document = 'invoices'")" = "$n" ] || fail "the series stands elsewhere than its documents after $1"
    [ "$(value numbers "SELECT count(*) FROM crm.invoices WHERE state = 'posted' AND kind = 'invoice' AND number IS DISTINCT FROM 'I2025-' || lpad((right(number, 5)::integer)::text, 5, '0')")" = 0 ] || fail "numbers look wrong"
    issued=$n
}
issued=0
load 4 || fail "issuing failed: $(tail -5 bench.log)"
grep -q 'number of failed transactions: 0' bench.log || fail "issuing failed: $(cat bench.log)"
right "rollbacks" 50
# what was rolled back took no number of the gapless series, and left gaps in the ordinary one
[ "$(value numbers "SELECT max(right(number, 5)::integer) > count(*) FROM crm.invoices WHERE state = 'posted' AND kind = 'pro_forma'")" = t ] || fail "an ordinary series without a gap: nothing was rolled back"
come_up() {
    local i
    for i in $(seq 100); do psql -X -q -At -c 'SELECT 1' >/dev/null 2>&1 && return 0; sleep 0.2; done
    fail "the server did not come back"
}
for round in 1 2; do
    load 30 &
    writers=$!
    sleep 1.5
    for try in $(seq 50); do
        pid=$(value numbers "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgbench' AND state = 'active' AND query LIKE '%post_invoice%' LIMIT 1")
        [ -n "$pid" ] && break; sleep 0.1
    done
    [ -n "$pid" ] || fail "nobody to kill"
    kill -9 "$pid"
    wait $writers
    come_up
    right "kill -9" "$issued"
done
# the main process dies, and with it everything at once: what was committed is there after recovery, and the series goes on after it
for round in 1 2; do
    load 30 &
    writers=$!
    sleep 2.5
    kill -9 "$(head -1 "$CLUSTER/data/postmaster.pid")" || fail "there is no main process to kill"
    wait $writers
    # sessions notice that they are alone and end; until the last has, the server may not be started
    for try in $(seq 100); do cluster_up >/dev/null 2>&1 && break; sleep 0.2; done
    come_up
    grep -q 'database system was not properly shut down' "$CLUSTER/server.log" || fail "the server recovered from nothing"
    right "kill -9 of the main process" "$issued"
done
load 2
right "going on" "$issued"
echo "$issued invoices issued"
