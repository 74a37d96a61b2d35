# The life of the background worker: it survives crashes, signals, dropped
# databases and promotions; after downtime nothing is done twice or left out.
# long: 56 s
set -u
. "$REPO/tests/helpers/cluster.sh"
export PGPORT=54321
trap 'cluster_stop; [ -z "${STANDBY:-}" ] || as_server "$STAGED_BIN/pg_ctl" -D "$STANDBY" -m immediate stop >/dev/null 2>&1' EXIT
fail() { echo "FAILED: $*"; tail -40 "$CLUSTER/server.log"; exit 1; }

until_is() {    # what, database, query, expected [seconds]: polls until it is so
    local what=$1 db=$2 query=$3 want=$4 left=$(( ${5:-20} * 10 )) got=
    while [ $left -gt 0 ]; do
        got=$(sql -At -d "$db" -c "$query" 2>/dev/null) && [ "$got" = "$want" ] && { echo "ok: $what"; return 0; }
        sleep 0.1; left=$((left - 1))
    done
    fail "$what: wanted '$want', got '$got'"
}
launcher="SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crm launcher'"

prepare() {     # database: things that fall due, each to be done exactly once
    fresh_database "$1" && sql -d "$1" >/dev/null <<'SQL' || fail "preparing $1"
CREATE TABLE things (id int GENERATED ALWAYS AS IDENTITY, due_at timestamptz, done boolean DEFAULT false);
CREATE TABLE done (id int, due_at timestamptz, done_at timestamptz DEFAULT clock_timestamp(), by_role name DEFAULT current_user);
CREATE FUNCTION do_things(as_of timestamptz, batch int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    PERFORM pg_sleep(coalesce(current_setting('test.slow', true), '0')::float);
    WITH due AS (SELECT t.id, t.due_at FROM public.things t WHERE NOT t.done AND t.due_at <= as_of
                 ORDER BY t.due_at LIMIT batch FOR UPDATE SKIP LOCKED),
         noted AS (UPDATE public.things t SET done = true FROM due WHERE t.id = due.id RETURNING t.id, t.due_at)
    INSERT INTO public.done (id, due_at) SELECT id, due_at FROM noted;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
CREATE FUNCTION next_thing() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT min(due_at) FROM public.things WHERE NOT done';
UPDATE crm.maintenance_tasks SET active = false;
INSERT INTO crm.maintenance_tasks (name, function_name, next_function_name, batch)
VALUES ('things', 'public.do_things', 'public.next_thing', 7);
SQL
}
add() {         # database, number, interval from now
    sql -d "$1" -c "INSERT INTO things (due_at) SELECT now() + interval '$3' FROM generate_series(1, $2)" \
                -c "SELECT crm.wake_worker(now() + interval '$3')" >/dev/null || fail "adding"
}

cluster_start "$WORK/cluster" "shared_preload_libraries = 'crm'" "crm.worker_naptime = '1h'" \
    "crm.worker_databases = 'one, missing'" "restart_after_crash = on" "max_wal_senders = 4" || exit 1
until_is "the launcher runs" postgres "$launcher" 1

# a database that is created later is found at a reload
prepare one
prepare two
add one 3 '-1 s'
sql -c "ALTER SYSTEM SET crm.worker_databases = 'one, two'" -c "SELECT pg_reload_conf()" >/dev/null
until_is "a reload brings the databases" one "SELECT count(*) FROM done" 3
sql -c "ALTER SYSTEM SET crm.worker_databases = 'one two, '" 2>/dev/null && fail "a bad list was taken"
echo "ok: a bad list is refused"

# it sleeps until the next due instant, told at commit; naptime is an hour
add one 2 '1500 ms'
until_is "woken for what falls due" one "SELECT count(*) FROM done" 5 8
[ "$(value one "SELECT bool_and(done_at >= due_at AND done_at < due_at + interval '3 s') FROM done WHERE id > 3")" = t ] ||
    fail "done too early or too late"
echo "ok: neither early nor late"
[ "$(value one "SELECT next_at > now() + interval '50 min' FROM crm.worker_status() WHERE database_id = (SELECT oid FROM pg_database WHERE datname = 'one')")" = t ] ||
    fail "it should sleep for an hour"
echo "ok: sleeps when nothing is due"
sql -d one -c "BEGIN" -c "INSERT INTO things (due_at) VALUES (now())" -c "SELECT crm.wake_worker()" -c "ROLLBACK" >/dev/null
passes() { value one "SELECT sum(extract(epoch FROM started_at)) FROM crm.worker_status()"; }
before=$(passes); sleep 1.5
[ "$(passes)" = "$before" ] || fail "a rolled back wish woke it"
echo "ok: a rolled back wish wakes nobody"

# more than a batch, and as the owner of the CRM
add one 40 '-1 s'
until_is "more than one batch" one "SELECT count(*) FROM done" 45
sql -c "CREATE ROLE someone" -c "CREATE DATABASE three" >/dev/null
[ "$(value one "SELECT string_agg(DISTINCT by_role::text, ',') FROM done")" = postgres ] || fail "wrong role"
sql -d one -c "GRANT USAGE ON SCHEMA crm, public TO someone" -c "GRANT ALL ON ALL TABLES IN SCHEMA crm, public TO someone" \
    -c "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA crm TO someone" >/dev/null
sql -c "ALTER SYSTEM SET crm.worker_role = 'someone'" -c "SELECT pg_reload_conf()" >/dev/null
add one 1 '-1 s'
until_is "acts as crm.worker_role" one "SELECT by_role FROM done ORDER BY done_at DESC LIMIT 1" someone
# the role cannot find its way back to the superuser
sql -d one -c "CREATE OR REPLACE FUNCTION do_things(as_of timestamptz, batch int) RETURNS bigint LANGUAGE plpgsql AS
    'BEGIN RESET SESSION AUTHORIZATION; RETURN 0; END'" -c "SELECT crm.wake_worker()" >/dev/null
until_is "no way back to the superuser" one "SELECT failures > 0 AND last_error LIKE '%cannot set parameter%' FROM crm.maintenance_tasks WHERE name = 'things'" t
sql -c "ALTER SYSTEM RESET crm.worker_role" -c "SELECT pg_reload_conf()" >/dev/null

# a failing task is tried again, later, and is written down
sql -d one >/dev/null <<'SQL'
CREATE OR REPLACE FUNCTION do_things(as_of timestamptz, batch int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    PERFORM pg_sleep((SELECT seconds FROM public.slow));
    WITH due AS (SELECT t.id, t.due_at FROM public.things t WHERE NOT t.done AND t.due_at <= as_of
                 ORDER BY t.due_at LIMIT batch FOR UPDATE SKIP LOCKED),
         noted AS (UPDATE public.things t SET done = true FROM due WHERE t.id = due.id RETURNING t.id, t.due_at)
    INSERT INTO public.done (id, due_at) SELECT id, due_at FROM noted;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
CREATE TABLE slow (seconds float);
INSERT INTO slow VALUES (0);
UPDATE crm.maintenance_tasks SET failures = 0 WHERE name = 'things';
SQL
add one 1 '-1 s'
until_is "recovers after a failure" one "SELECT count(*) FROM done" 47 30

# terminate and reload the launcher
old=$(value postgres "SELECT pid FROM pg_stat_activity WHERE backend_type = 'crm launcher'")
sql -c "SELECT pg_terminate_backend($old)" >/dev/null
until_is "a terminated launcher comes back" postgres "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crm launcher' AND pid <> $old" 1
add one 2 '-1 s'
until_is "and works" one "SELECT count(*) FROM done" 49

# kill -9 of a worker at work: the server restarts, nothing is lost or doubled
sql -d one -c "UPDATE slow SET seconds = 5" >/dev/null
add one 3 '-1 s'
until_is "a worker is at work" one "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crm worker' AND datname = 'one'" 1
kill -9 "$(value one "SELECT pid FROM pg_stat_activity WHERE backend_type = 'crm worker' AND datname = 'one'")"
until_is "the server is back" postgres "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crm launcher'" 1 30
sql -d one -c "UPDATE slow SET seconds = 0" >/dev/null
until_is "what the killed worker had not finished" one "SELECT count(*) FROM done" 52 30

# terminate and cancel a worker at work
for how in pg_terminate_backend pg_cancel_backend; do
    done_before=$(value one "SELECT count(*) FROM done")
    sql -d one -c "UPDATE slow SET seconds = 6" >/dev/null
    add one 2 '-1 s'
    until_is "a worker is at work" one "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'crm worker' AND datname = 'one'" 1
    sql -d one -c "UPDATE slow SET seconds = 0" -c "SELECT $how(pid) FROM pg_stat_activity WHERE backend_type = 'crm worker'" >/dev/null
    sql -c "ALTER SYSTEM SET crm.worker_naptime = '2s'" -c "SELECT pg_reload_conf()" >/dev/null
    until_is "done after $how" one "SELECT count(*) FROM done" $((done_before + 2)) 30
    sql -c "ALTER SYSTEM SET crm.worker_naptime = '1h'" -c "SELECT pg_reload_conf()" >/dev/null
done

# databases go without being held up, also in a pass of a few seconds
sql -c "DROP DATABASE two" || fail "DROP DATABASE was held up"
sql -c "SELECT pg_reload_conf()" >/dev/null
createdb two 2>/dev/null && dropdb two
echo "ok: DROP DATABASE"
sql -c "CREATE DATABASE copy TEMPLATE three" || fail "CREATE DATABASE was held up"
add one 1 '-1 s'
until_is "the others go on" one "SELECT count(*) FROM things WHERE NOT done" 0

# downtime: what fell due meanwhile is done, once
add one 20 '2 s'
cluster_down fast
sleep 2.5
cluster_up || exit 1
until_is "after downtime" one "SELECT count(*) FROM things WHERE NOT done" 0
cluster_down immediate
cluster_up || exit 1
[ "$(value one "SELECT count(*) = count(DISTINCT id) AND count(*) = (SELECT count(*) FROM things) FROM done")" = t ] ||
    fail "something was done twice or left out"
echo "ok: nothing twice, nothing left out"

# escalation: a promise of two seconds, told by the commit that makes it; and through a downtime
sql -d one >/dev/null <<'SQL' || fail "escalation"
UPDATE crm.maintenance_tasks SET active = true WHERE name = 'escalate';
INSERT INTO crm.users (id, name) VALUES (1, 'Ada');
INSERT INTO crm.sla_policies (id, name) VALUES (1, 'all');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (1, 'resolution', 2, 'calendar');
INSERT INTO crm.escalation_steps (metric, name, percent) VALUES ('resolution', 'due', 100);
INSERT INTO crm.tickets (subject, owner_id) SELECT 'x', 1 FROM generate_series(1, 5);
SQL
until_is "escalated when due" one "SELECT count(*) FROM crm.events WHERE kind = 'escalation.notify'" 5 8
[ "$(value one "SELECT bool_and(fired_at >= scheduled_at AND fired_at < scheduled_at + interval '3 s') FROM crm.escalation_firings")" = t ] ||
    fail "escalated too early or too late"
sql -d one -c "INSERT INTO crm.tickets (subject, owner_id) SELECT 'x', 1 FROM generate_series(1, 50)"
cluster_down immediate
sleep 3
cluster_up || exit 1
until_is "escalated after downtime" one "SELECT count(*) FROM crm.events WHERE kind = 'escalation.notify'" 55
[ "$(value one "SELECT count(*) = 55 AND count(DISTINCT subject_id) = 55 FROM crm.escalation_firings WHERE outcome = 'done'")" = t ] ||
    fail "a step was done twice or left out"
echo "ok: escalation"

# rollups: a burst of changes is folded at once, not when the naptime is over
sql -d one >/dev/null <<'SQL' || fail "a rollup"
CREATE TABLE public.busy (k int, v int);
SELECT crm.create_rollup('busy_by_k', 'public.busy', ARRAY['k'], ARRAY['sum(v) AS v']);
INSERT INTO public.busy VALUES (1, 1);
UPDATE crm.maintenance_tasks SET active = true WHERE name = 'fold_rollups';
SELECT crm.wake_worker();
SQL
until_is "what was never folded is" one "SELECT pending_deltas FROM crm.rollup_status WHERE name = 'busy_by_k'" 0
for burst in 1 2; do
    sql -d one -c "DO 'BEGIN FOR i IN 1 .. 15000 LOOP INSERT INTO public.busy VALUES (i % 5, i); END LOOP; END'" || fail "a burst"
    sleep 1
done
until_is "a burst is folded" one "SELECT pending_deltas < 10000 AND folded_deltas > 15000 FROM crm.rollup_status WHERE name = 'busy_by_k'" t 15
[ "$(value one "SELECT count(*) FROM crm.verify_rollup('busy_by_k')")" = 0 ] || fail "the rollup differs"
sql -d one -c "UPDATE crm.maintenance_tasks SET active = false WHERE name = 'fold_rollups'"

# a standby has no worker; promotion starts one
STANDBY=$WORK/standby
as_server "$STAGED_BIN/pg_basebackup" -D "$STANDBY" -h "$PGHOST" -p "$PGPORT" -U postgres -R -X stream -c fast >/dev/null 2>&1 || fail "base backup"
as_server mkdir -p "$WORK/cluster/sock2"
as_server sh -c "echo \"port = 54322
unix_socket_directories = '$WORK/cluster/sock2'\" >>'$STANDBY/postgresql.conf'"
as_server "$STAGED_BIN/pg_ctl" -D "$STANDBY" -l "$WORK/cluster/standby.log" -w -t 60 start >/dev/null || { cat "$WORK/cluster/standby.log"; fail "standby"; }
sby() { sql -At -h "$WORK/cluster/sock2" -p 54322 "$@"; }
[ "$(sby -d postgres -c "$launcher")" = 0 ] || fail "a launcher on the standby"
sby -d one -c "SELECT crm.next_maintenance_at()" >/dev/null || fail "reading on the standby"
echo "ok: no worker on a standby"
sql -d one -c "UPDATE slow SET seconds = 0" >/dev/null
sql -d one -c "INSERT INTO things (due_at) SELECT now() + interval '3 s' FROM generate_series(1, 5)" -c "SELECT pg_switch_wal()" >/dev/null
sleep 0.5
cluster_down immediate
as_server "$STAGED_BIN/pg_ctl" -D "$STANDBY" -w promote >/dev/null || fail "promotion"
left=150
until [ "$(sby -d one -c "SELECT count(*) FROM things WHERE NOT done")" = 0 ]; do
    left=$((left - 1)); [ $left -gt 0 ] || { tail -20 "$WORK/cluster/standby.log"; fail "nothing done after promotion"; }
    sleep 0.1
done
[ "$(sby -d one -c "SELECT count(*) = count(DISTINCT id) AND count(*) = (SELECT count(*) FROM things) FROM done")" = t ] || fail "after promotion"
echo "ok: promotion"
as_server "$STAGED_BIN/pg_ctl" -D "$STANDBY" -m immediate stop >/dev/null 2>&1; STANDBY=

# without the extension nothing happens and nothing is logged as an error
cluster_up || exit 1
until_is "up again" one "SELECT count(*) FROM things WHERE NOT done" 0
sql -d one -c "DROP EXTENSION crm CASCADE" 2>/dev/null || fail "DROP EXTENSION"
sql -c "ALTER SYSTEM SET crm.worker_naptime = '1s'" -c "SELECT pg_reload_conf()" >/dev/null
sleep 2.5
tail -n 5 "$CLUSTER/server.log" | grep -E 'ERROR|FATAL' && fail "noise after DROP EXTENSION"
[ "$(value postgres "$launcher")" = 1 ] || fail "the launcher is gone"
echo "ok: DROP EXTENSION"

# switched off, the library works all the same
sql -c "ALTER SYSTEM SET crm.worker = off" >/dev/null
cluster_restart
[ "$(value postgres "$launcher")" = 0 ] || fail "crm.worker = off"
prepare four
[ "$(value four "SELECT count(*) FROM crm.worker_status()")" = 0 ] || fail "status without a worker"
add four 10 '-1 s'
[ "$(value four "SELECT string_agg(done || ' ' || more, ',') FROM crm.run_maintenance()")" = "7 true" ] || fail "by hand"
[ "$(value four "SELECT string_agg(done || ' ' || more, ',') FROM crm.run_maintenance('things')")" = "3 false" ] || fail "by hand"
echo "ok: without the worker"
