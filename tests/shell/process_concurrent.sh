# Eight sessions move the same few deals and many others at once, with savepoints and rollbacks:
# no move is lost, no period overlaps or leaves a gap, no deadlock.
set -eu
. "$REPO/tests/helpers/cluster.sh"
db=process_concurrent
fresh_database $db
sql -d $db -c "INSERT INTO crm.opportunities (id, name, amount) SELECT i, 'Deal ' || i, 0 FROM generate_series(1, 500) AS i" \
    -c "CREATE TABLE moves (opportunity_id bigint, stage_id bigint)" >/dev/null

# every script writes down what it did in the same transaction
cat >"$WORK/hot.sql" <<'SQL'
\set id random(1, 5)
\set other random(1, 8)
BEGIN;
WITH m AS (UPDATE crm.opportunities SET stage_id = (SELECT s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = 1 AND p.id = s.pipeline_id WHERE s.tenant_id = 1 AND p.code = 'sales' AND s.position = :other), amount = amount + 1
           WHERE tenant_id = 1 AND id = :id RETURNING id, stage_id)
INSERT INTO moves SELECT id, stage_id FROM m;
END;
SQL
cat >"$WORK/cold.sql" <<'SQL'
\set id random(6, 500)
\set one random(1, 8)
\set two random(1, 8)
BEGIN;
UPDATE crm.opportunities SET stage_id = (SELECT s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = 1 AND p.id = s.pipeline_id WHERE s.tenant_id = 1 AND p.code = 'sales' AND s.position = :one), amount = amount + 1 WHERE tenant_id = 1 AND id = :id;
INSERT INTO moves SELECT id, stage_id FROM crm.opportunities WHERE tenant_id = 1 AND id = :id;
SAVEPOINT s;
UPDATE crm.opportunities SET stage_id = (SELECT s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = 1 AND p.id = s.pipeline_id WHERE s.tenant_id = 1 AND p.code = 'sales' AND s.position = :two), amount = amount + 1 WHERE tenant_id = 1 AND id = :id;
ROLLBACK TO s;
UPDATE crm.opportunities SET amount = amount + 1 WHERE tenant_id = 1 AND id = :id;
INSERT INTO moves SELECT id, stage_id FROM crm.opportunities WHERE tenant_id = 1 AND id = :id;
END;
SQL
pgbench -n -c 8 -j 2 -T "${SECONDS_EACH:-6}" -f "$WORK/hot.sql@2" -f "$WORK/cold.sql@3" $db >"$WORK/pgbench.log" 2>&1 || { cat "$WORK/pgbench.log"; exit 1; }
grep -E 'processed|failed' "$WORK/pgbench.log"
if grep -E 'ERROR|deadlock|aborted' "$WORK/pgbench.log"; then exit 1; fi

check() { none $db "$@"; }   # what, query giving 0
[ "$(value $db 'SELECT count(*) > 200 FROM moves')" = t ] || { echo "too few moves"; exit 1; }
# each write changed the amount, so each made exactly one period, beside the first
check "periods and writes differ" "SELECT (SELECT count(*) FROM crm.stage_periods) - 500 - (SELECT count(*) FROM moves)"
check "amounts lost" "SELECT count(*) FROM crm.opportunities AS o WHERE o.amount <> (SELECT count(*) FROM moves AS m WHERE m.opportunity_id = o.id)"
check "open periods not one a row" "SELECT count(*) FROM (SELECT subject_id FROM crm.stage_periods GROUP BY 1 HAVING count(*) FILTER (WHERE upper_inf(period)) <> 1) AS q"
check "gaps, overlaps or numbers out of order" "SELECT count(*) FROM (SELECT period, seq, lag(period) OVER w AS before, row_number() OVER w AS n FROM crm.stage_periods WINDOW w AS (PARTITION BY subject_id ORDER BY seq)) AS q WHERE seq <> n OR upper(before) <> lower(period)"
check "last period is not the row" "SELECT count(*) FROM crm.opportunities AS o JOIN crm.stage_periods AS p ON p.subject_id = o.id AND upper_inf(p.period) WHERE (p.stage_id, p.amount) IS DISTINCT FROM (o.stage_id, o.amount)"
check "stages written and periods differ" "SELECT count(*) FROM (SELECT opportunity_id, stage_id, count(*) FROM moves GROUP BY 1, 2 EXCEPT SELECT subject_id, stage_id, count(*) FROM crm.stage_periods WHERE seq > 1 GROUP BY 1, 2) AS q"

# rows that fire no statement trigger (a partition entered directly, within a prepared transaction) are written when it ends
sql -d $db <<'SQL'
CREATE TABLE orders (tenant_id bigint NOT NULL DEFAULT 1, id bigint, pipeline_id bigint, stage_id bigint, kind text) PARTITION BY LIST (kind);
CREATE TABLE orders_a PARTITION OF orders FOR VALUES IN ('a');
SELECT crm.attach_process('orders') \g /dev/null
SELECT crm.define_pipeline('renting', '{"subject_table": "public.orders", "stages": [{"code": "booked"}]}') IS NULL \g /dev/null
BEGIN;
INSERT INTO orders_a (id, kind) VALUES (1, 'a');
SAVEPOINT s;
INSERT INTO orders_a (id, kind) VALUES (2, 'a');
ROLLBACK TO s;
INSERT INTO orders_a (id, kind) VALUES (3, 'a');
COMMIT;
BEGIN;
INSERT INTO orders_a (id, kind) VALUES (4, 'a');
PREPARE TRANSACTION 'process_concurrent';
COMMIT PREPARED 'process_concurrent';
SQL
[ "$(value $db "SELECT string_agg(subject_id::text, ' ' ORDER BY subject_id) FROM crm.stage_periods WHERE subject_table = 'public.orders'")" = "1 3 4" ] || { echo "rows of a partition are not recorded"; exit 1; }
dropdb $db
