#!/usr/bin/env bash
# What the guard and the history of stages cost: one move as a client sees it, and 100,000 rows in one statement.
# The baseline is the same table with the same indexes and foreign keys, without any trigger.
set -eu
. "$REPO/tests/helpers/cluster.sh"
rows=${ROWS:-100000} seconds=${BENCH_SECONDS:-3}

sql >/dev/null <<SQL
SELECT setseed(0.5);
INSERT INTO crm.opportunities (name, amount) SELECT 'Deal ' || i, i FROM generate_series(1, $rows) AS i;
CREATE TABLE bare (LIKE crm.opportunities INCLUDING ALL);
DO \$\$
DECLARE r record;
BEGIN
    FOR r IN SELECT c.conname, pg_get_constraintdef(c.oid) AS def FROM pg_constraint AS c
             WHERE c.conrelid = 'crm.opportunities'::regclass AND c.contype = 'f' LOOP
        EXECUTE format('ALTER TABLE bare ADD CONSTRAINT %I %s', r.conname, r.def);
    END LOOP;
END \$\$;
INSERT INTO bare SELECT * FROM crm.opportunities;
CREATE TABLE history (opportunity_id bigint NOT NULL, stage_id bigint NOT NULL, changed_at timestamptz NOT NULL DEFAULT now(),
                      changed_by name NOT NULL DEFAULT session_user, PRIMARY KEY (opportunity_id, changed_at));
VACUUM ANALYZE;
SQL

base=$(value "$PGDATABASE" "SELECT min(s.id) - 1 FROM crm.stages AS s JOIN crm.pipelines AS p ON p.tenant_id = s.tenant_id AND p.id = s.pipeline_id WHERE p.code = 'sales'")
cat >"$WORK/bare.sql" <<SQL
\set id random(1, $rows)
\set stage $base + random(1, 8)
BEGIN;
UPDATE bare SET stage_id = :stage, stage_entered_at = now() WHERE tenant_id = 1 AND id = :id;
INSERT INTO history (opportunity_id, stage_id) VALUES (:id, :stage);
COMMIT;
SQL
cat >"$WORK/one.sql" <<SQL
\set id random(1, $rows)
\set stage $base + random(1, 8)
WITH u AS (UPDATE bare SET stage_id = :stage, stage_entered_at = now() WHERE tenant_id = 1 AND id = :id RETURNING id, stage_id)
INSERT INTO history (opportunity_id, stage_id) SELECT id, stage_id FROM u;
SQL
cat >"$WORK/update.sql" <<SQL
\set id random(1, $rows)
\set stage $base + random(1, 8)
UPDATE crm.opportunities SET stage_id = :stage WHERE tenant_id = 1 AND id = :id;
SQL
cat >"$WORK/move.sql" <<SQL
\set id random(1, $rows)
SELECT id FROM crm.move_opportunity(:id, (ARRAY['prospecting','qualification','needs_analysis','value_proposition','decision_makers','perception_analysis','proposal','negotiation'])[1 + (random() * 7)::int]);
SQL

tps() {     # script, commit mode
    PGOPTIONS="-c synchronous_commit=$2" pgbench -n -M prepared -c "${CLIENTS:-4}" -j 2 -T "$seconds" -f "$WORK/$1.sql" 2>"$WORK/pgbench.err" |
        awk '/^tps/ { printf "%d", $3 }'
}
. "$REPO/tests/bench/timed.inc"
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }' && echo ok || echo miss; }

# taken in turns, so that a machine that changes its pace does so for all of them
for mode in on off; do
    b=0 o=0 u=0 m=0
    for round in 1 2 3; do
        b=$((b + $(tps bare $mode))) u=$((u + $(tps update $mode)))
        o=$((o + $(tps one $mode))) m=$((m + $(tps move $mode)))
    done
    b=$((b / 3)) o=$((o / 3)) u=$((u / 3)) m=$((m / 3))
    line "move by UPDATE, synchronous_commit $mode" "${u}tps" "${b}tps" "$(ratio $u $b)" ">=0.70" "$(at_least "$(ratio $u $b)" 0.70)"
    line "crm.move_opportunity(), synchronous_commit $mode" "${m}tps" "${b}tps" "$(ratio $m $b)" ">=0.70" "$(at_least "$(ratio $m $b)" 0.70)"
    line "  the same, baseline as one statement, $mode" "${m}tps" "${o}tps" "$(ratio $m $o)" "-" "-"
done

seconds_of() {   # statement
    sql -At -c '\timing on' -c "$1" | awk '/^Time:/ { printf "%.0f", $2 }'
}
total_bare=0 total_ours=0
for stage in 2 3 4; do
    sql -c 'VACUUM ANALYZE bare, crm.opportunities, crm.stage_periods' -c 'CHECKPOINT'
    to=$((base + stage))
    t=$(seconds_of "UPDATE bare SET stage_id = $to"); total_bare=$((total_bare + t))
    t=$(seconds_of "UPDATE crm.opportunities SET stage_id = $to"); total_ours=$((total_ours + t))
done
r=$(ratio $total_ours $total_bare)
line "$rows rows moved by one UPDATE (mean of 3)" "$((total_ours / 3))ms" "$((total_bare / 3))ms" "$r" "<=3.00" "$(at_least 3.00 "$r")"

# the design behind: one open period each, by a partial unique index and the row lock, against an exclusion constraint
sql >/dev/null <<SQL
CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TABLE periods_unique (LIKE crm.stage_periods INCLUDING ALL);
CREATE TABLE periods_gist (LIKE crm.stage_periods INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
ALTER TABLE periods_gist ADD PRIMARY KEY (tenant_id, subject_table, subject_id, seq);
ALTER TABLE periods_gist ADD EXCLUDE USING gist (tenant_id WITH =, subject_table WITH =, subject_id WITH =, period WITH &&);
SQL
fill() { echo "INSERT INTO $1 (tenant_id, subject_table, subject_id, seq, pipeline_id, stage_id, period, moved) SELECT 1, 'opportunities', i, 1, 1, 1, tstzrange(now(), NULL), true FROM generate_series(1, 20000) AS i"; }
turn() { echo "WITH c AS (UPDATE $1 SET period = tstzrange(lower(period), now()) WHERE upper_inf(period) RETURNING subject_id) INSERT INTO $1 (tenant_id, subject_table, subject_id, seq, pipeline_id, stage_id, period, moved) SELECT 1, 'opportunities', subject_id, 2, 1, 2, tstzrange(now(), NULL), true FROM c"; }
u=$(seconds_of "$(fill periods_unique)") t=$(seconds_of "$(turn periods_unique)"); u=$((u + t))
g=$(seconds_of "$(fill periods_gist)") t=$(seconds_of "$(turn periods_gist)"); g=$((g + t))
line "20000 periods begun and ended: unique index" "${u}ms" "${g}ms gist" "$(ratio $u $g)" "-" "-"
