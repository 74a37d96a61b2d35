#!/usr/bin/env bash
# Two applications, each one login role, through pgbouncer in transaction mode: a transaction is the user it says, and the next
# one on the same connection is nobody. Errors, timeouts, clients that die, cancelled statements and prepared statements in between.
# long: 40 s
set -u
. "$REPO/tests/helpers/cluster.sh"
command -v pgbouncer >/dev/null || { echo "pgbouncer is not here"; exit 77; }
export PGPORT=54337
bouncer=$WORK/bouncer
# what runs beside this shell is a child of a child: the pooler itself is ended by its number
trap 'kill "$(cat "$bouncer/pid" 2>/dev/null)" 2>/dev/null; cluster_stop' EXIT
cluster_start "$WORK/cluster" || exit 1
fresh_database shop || exit 1
sql -d shop >/dev/null <<'SQL' || exit 1
CREATE ROLE app_one LOGIN;
CREATE ROLE app_two LOGIN;
CREATE ROLE app_three LOGIN;
SELECT crm.create_tenant('دوم', 'IRR', NULL, 'fa');
SET crm.tenant = '1';
INSERT INTO crm.users (tenant_id, id, name, access) SELECT 1, u, 'One ' || u, CASE u WHEN 8 THEN 'manager' WHEN 9 THEN 'admin' ELSE 'agent' END FROM generate_series(1, 9) AS u;
INSERT INTO crm.users (tenant_id, id, name, active) VALUES (1, 10, 'Gone', false);
INSERT INTO crm.accounts (tenant_id, name, owner_id) SELECT 1, 'one ' || u || ' ' || a, u FROM generate_series(1, 9) AS u, generate_series(1, u) AS a;
SELECT crm.grant_access('app_one', 'application');
SELECT crm.grant_access('app_three', 'application', acts_up_to => 'reader');
SET crm.tenant = '2';
INSERT INTO crm.users (tenant_id, id, name, access) SELECT 2, u, 'Two ' || u, 'agent' FROM generate_series(1, 9) AS u;
INSERT INTO crm.accounts (tenant_id, name, owner_id) SELECT 2, 'two ' || u || ' ' || a, u FROM generate_series(1, 9) AS u, generate_series(1, 10 + u) AS a;
SELECT crm.grant_access('app_two', 'application', acts_up_to => 'admin');
SELECT crm.grant_access('app_three', 'application', acts_up_to => 'agent');
SQL
mkdir -p "$bouncer"
printf '"app_one" ""\n"app_two" ""\n"app_three" ""\n' >"$bouncer/users"
cat >"$bouncer/ini" <<INI
[databases]
shop = host=$CLUSTER/sock port=$PGPORT dbname=shop
[pgbouncer]
unix_socket_dir = $bouncer
listen_port = 6437
auth_type = trust
auth_file = $bouncer/users
pool_mode = transaction
default_pool_size = 1
max_client_conn = 60
ignore_startup_parameters = extra_float_digits
logfile = $bouncer/log
pidfile = $bouncer/pid
INI
chmod -R a+rwX "$bouncer"
as_server pgbouncer -q -d "$bouncer/ini"
# a client of an application: its own connection to the pooler, the same one to the server
client() { local role=$1; shift; psql -X -q -At -v ON_ERROR_STOP=0 -h "$bouncer" -p 6437 -U "$role" -d shop "$@" 2>&1; }
for i in $(seq 50); do [ "$(client app_one -c 'SELECT 1')" = 1 ] && break; sleep 0.1; done
count='SELECT crm.tenant_id(), crm.user_id(), crm.user_access(), count(*) FROM crm.accounts'
is() { [ "$2" = "$3" ] && echo "ok: $1" || { printf 'FAILED: %s\nwanted: %s\ngot: %s\n' "$1" "$3" "$2"; exit 1; }; }
like() { [[ $2 == *"$3"* ]] && echo "ok: $1" || { printf 'FAILED: %s\nwanted: %s\ngot: %s\n' "$1" "$3" "$2"; exit 1; }; }
as() { client "$1" -c "BEGIN; SELECT 'as ' || crm.act_as($2); $3; COMMIT"; }
nobody() {  # after whatever went before, the connection is nobody's
    local what
    for what in "$count" 'SELECT name FROM crm.accounts' 'SELECT crm.tenant_id()' "SELECT crm.find_accounts('one')" "INSERT INTO crm.accounts (name) VALUES ('x')" \
        'TABLE crm_analytics.dim_user' 'DELETE FROM crm.accounts'; do
        like "$1: refused: ${what:0:40}" "$(client app_one -c "$what")" 'serves users, and this transaction does not say which'
    done
}

nobody 'at first'
# before a session has loaded the library: a connection of its own, and what is refused or set is the first it hears
first() { psql -X -q -At -v ON_ERROR_STOP=0 -U app_one -d shop -c "$1" -c "$count" 2>&1; }
for what in "SET crm.acting = '1,8'" "SET crm.tenant = '2'" "SET crm.written_kept = on" "SET crm.history_reason = 'x'" "SELECT crm.hand_over(1, 2)" "COPY crm.accounts TO STDOUT" \
    "INSERT INTO crm.accounts (tenant_id, name) VALUES (1, 'x')" "UPDATE crm.accounts SET name = 'x'"; do
    like "first in a session: $what" "$(first "$what")" 'serves users, and this transaction does not say which'
done
is 'an agent' "$(as app_one 3 "$count")" $'as agent\n1|3|agent|3'
nobody 'after a transaction'
is 'the next one' "$(as app_one 5 "$count")" $'as agent\n1|5|agent|5'
is 'a manager' "$(as app_one 8 "$count")" $'as manager\n1|8|manager|45'
is 'an admin acts at the level of the grant' "$(as app_one 9 "$count")" $'as manager\n1|9|manager|45'
is 'the other application' "$(as app_two 3 "$count")" $'as agent\n2|3|agent|13'
one_pid=$(client app_one -c 'SELECT pg_backend_pid()')
is 'clients share a connection' "$(client app_one -c 'SELECT pg_backend_pid()')" "$one_pid"

# who may not be acted as
like 'a user of another company' "$(as app_one '3, 2' "$count")" 'may not act as user 3 of tenant 2'
like 'one who has left' "$(as app_one 10 "$count")" 'may not act as user 10 of tenant 1'
like 'nobody there' "$(as app_one 999 "$count")" 'may not act as user 999 of tenant 1'
like 'no user' "$(as app_one NULL "$count")" 'needs the id of a user'
like 'of several companies it says which' "$(as app_three 3 "$count")" 'serves several companies'
is 'in the first it reads' "$(as app_three '8, 1' "$count")" $'as reader\n1|8|reader|8'
is 'in the second it works' "$(as app_three '8, 2' "$count")" $'as agent\n2|8|agent|18'
like 'what it may in the one it may not in the other' "$(as app_three '8, 1' "INSERT INTO crm.accounts (name) VALUES ('x')")" 'row-level security'
like 'no transaction block' "$(client app_one -c 'SELECT crm.act_as(3)')" 'holds until its transaction ends'
like 'one user in one transaction' "$(as app_one 3 'SELECT crm.act_as(8)')" 'acts as user 3 already'
is 'the same one again' "$(as app_one 3 'SELECT crm.act_as(3)')" $'as agent\nagent'
is 'a savepoint that is rolled back' "$(client app_one -c "BEGIN; SAVEPOINT a; SELECT crm.act_as(3); ROLLBACK TO a; SELECT crm.act_as(4); $count; COMMIT")" $'agent\nagent\n1|4|agent|4'

# what is set by hand does not count
for setting in "SET crm.acting = '1/1/8'" "SET LOCAL crm.acting = '1/1/8'" "SELECT set_config('crm.acting', '1/1/8', true)" "RESET crm.acting"; do
    like "by hand: $setting" "$(client app_one -c "BEGIN; SELECT crm.normalize_email('a@b.example'); $setting; COMMIT")" 'ermission denied to set parameter'
    # a new connection, which does not know the setting yet
    like "by hand, early: $setting" "$(client app_one -c "BEGIN; ${setting/RESET crm.acting/SELECT 1}; $count; COMMIT")" 'serves users'
    like "and for the session: $setting" "$(client app_one -c "$count")" 'serves users'
done
like 'not even by a superuser' "$(psql -X -d shop -At -c "SELECT crm.normalize_email('a@b.example')" -c "SET crm.acting = '10/1/8'" 2>&1)" 'invalid value for parameter'
is 'SET crm.tenant' "$(as app_one 3 "SET LOCAL crm.tenant = '2'; $count")" $'as agent\n1|3|agent|3'
client app_one -c "SET crm.tenant = '2'" >/dev/null
is 'SET crm.tenant for the session' "$(as app_one 3 "$count")" $'as agent\n1|3|agent|3'
is 'RESET ALL' "$(as app_one 3 "RESET ALL; $count")" $'as agent\n1|3|agent|3'
like 'a function of a higher level' "$(as app_one 3 "SELECT crm.hand_over(3, 4)")" 'permission denied for function'
is 'functions of the level' "$(as app_one 3 "SELECT count(*) FROM crm.find_accounts('one 3 1')")" $'as agent\n1'

# errors, timeouts, cancelled statements, clients that die
client app_one -c "BEGIN; SELECT crm.act_as(8); SELECT 1/0; COMMIT" >/dev/null
nobody 'after an error'
client app_one <<<$'BEGIN;\nSELECT crm.act_as(8);\nSELECT 1/0;\nSELECT 1;' >/dev/null
nobody 'after a client that went in the middle of a failed transaction'
client app_one <<<$'BEGIN;\nSELECT crm.act_as(8);\nSELECT 1;' >/dev/null
nobody 'after a client that never ended its transaction'
like 'statement_timeout' "$(client app_one -c "BEGIN; SET LOCAL statement_timeout = '50ms'; SELECT crm.act_as(8); SELECT pg_sleep(5)")" 'statement timeout'
nobody 'after a timeout'
client app_one -c "BEGIN; SELECT crm.act_as(8); SELECT pg_sleep(30); COMMIT" >/dev/null &
dying=$!
sleep 0.5; kill -9 "$dying" 2>/dev/null; wait "$dying" 2>/dev/null
psql -X -q -d shop -c "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'app_one' AND query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()" >/dev/null
nobody 'after a client that was killed and a statement that was cancelled'
client app_one -c "BEGIN; SELECT crm.act_as(8); SELECT pg_terminate_backend(pg_backend_pid())" >/dev/null 2>&1
nobody 'on a new connection'

# what stays with the connection: prepared statements and cached plans, cursors that are held
client app_one -c "PREPARE mine AS $count" -c "BEGIN; SELECT crm.act_as(8); EXECUTE mine; COMMIT" >/dev/null
for i in 1 2 3 4 5 6 7; do
    is "a prepared statement of somebody else, $i" "$(as app_one $i 'EXECUTE mine')" $'as agent\n'"1|$i|agent|$i"
done
is 'as a generic plan' "$(as app_one 2 "SET LOCAL plan_cache_mode = force_generic_plan; EXECUTE mine")" $'as agent\n1|2|agent|2'
like 'and for nobody' "$(client app_one -c 'EXECUTE mine')" 'serves users'
client app_one -c "BEGIN; SELECT crm.act_as(8); DECLARE c NO SCROLL CURSOR FOR $count; COMMIT" >/dev/null
like 'a cursor ends with its transaction' "$(client app_one -c 'FETCH c')" 'does not exist'
forced=$(value shop "SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')")
is 'parallel workers know whom they serve' "$(as app_one 4 "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL $forced = on; $count")" $'as agent\n1|4|agent|4'

# a user who leaves is shut out in the middle of the transaction; a grant that is taken back is gone
is 'deactivated meanwhile' "$(client app_one <<SQL
BEGIN;
SELECT crm.act_as(7);
$count;
\! psql -X -q -h $CLUSTER/sock -p $PGPORT -U postgres -d shop -c "UPDATE crm.users SET active = false WHERE tenant_id = 1 AND id = 7"
$count;
COMMIT;
SQL
)" $'agent\n1|7|agent|7\nERROR:  role "app_one" may no longer act as user 7\nHINT:  The user has left, or the grant was taken back. End the transaction.'
like 'and not served again' "$(as app_one 7 "$count")" 'may not act as user 7'

# many clients at once on one connection each, half of them failing
cat >"$bouncer/good.sql" <<'SQL'
\set u random(1, 6)
BEGIN;
SELECT crm.act_as(:u);
SELECT 1 / (CASE WHEN crm.user_id() = :u AND (SELECT count(*) = :u + :more AND min(a.owner_id) = :u AND max(a.owner_id) = :u AND min(a.tenant_id) = :t AND max(a.tenant_id) = :t FROM crm.accounts AS a) THEN 1 ELSE 0 END);
COMMIT;
SQL
cat >"$bouncer/bad.sql" <<'SQL'
\set u random(1, 6)
BEGIN;
SELECT crm.act_as(:u);
SELECT 1 / (:u - :u);
COMMIT;
SQL
chmod a+r "$bouncer"/*.sql
pgbench -n -h "$bouncer" -p 6437 -U app_one -c 4 -T 4 -D more=0 -D t=1 -f "$bouncer/good.sql" shop >"$bouncer/one" 2>&1 &
one=$!
pgbench -n -h "$bouncer" -p 6437 -U app_two -c 4 -T 4 -D more=10 -D t=2 -f "$bouncer/good.sql" shop >"$bouncer/two" 2>&1 &
two=$!
for i in 1 2 3 4 5 6 7 8 9 10; do pgbench -n -h "$bouncer" -p 6437 -U app_one -c 2 -t 50 -f "$bouncer/bad.sql" shop >/dev/null 2>&1; sleep 0.2; done
wait "$one"; a=$?
wait "$two"; b=$?
grep -h 'transactions actually processed' "$bouncer/one" "$bouncer/two"
{ [ $a = 0 ] && [ $b = 0 ]; } && ! grep -h 'aborted' "$bouncer/one" "$bouncer/two" || { cat "$bouncer/one" "$bouncer/two"; fail 'somebody was somebody else'; }
is 'at most one connection to the server for each application' "$(value shop "SELECT count(*) FROM (SELECT FROM pg_stat_activity WHERE usename LIKE 'app\_%' GROUP BY usename HAVING count(*) > 1) AS s")" 0

# ---- granting ----
like 'a superuser is no application' "$(psql -X -d shop -c "CREATE ROLE app_super SUPERUSER LOGIN; SET crm.tenant = '1'; SELECT crm.grant_access('app_super', 'application')" 2>&1)" 'row security does not bind it'
like 'nor is a user' "$(psql -X -d shop -c "SET crm.tenant = '1'; SELECT crm.grant_access('app_one', 'application', 3)" 2>&1)" 'is either an application'
said=$(psql -X -d shop 2>&1 -c "CREATE ROLE sales_group; SET crm.tenant = '1'" -c "SELECT crm.grant_access('sales_group', 'admin')" \
    -c "CREATE ROLE app_four LOGIN; GRANT sales_group TO app_four" -c "SELECT crm.grant_access('app_four', 'application')" \
    -c "SELECT pg_has_role('app_four', 'sales_group', 'USAGE') AS inherits")
like 'what it inherits is said' "$said" 'no longer inherits the rights of sales_group'
like 'and inherited no more' "$said" $'inherits \n----------\n f'
like 'without a user it is nobody' "$(PGUSER=app_four psql -X -d shop -c 'SELECT count(*) FROM crm.accounts' 2>&1)" 'serves users'
sql -d shop -c "SELECT crm.revoke_access('app_one')" >/dev/null
like 'taken back' "$(as app_one 3 "$count")" 'permission denied'
