#!/usr/bin/env bash
# Random queries by sqlsmith (Debian's package) against a database with two companies: half of the time as an agent, half as the
# owner. No server may crash, none may say "internal error" (XX...), but for what PostgreSQL itself says to such queries.
#
#   make test-sqlsmith MINUTES=10     how long in all; QUERIES=n: other queries
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../helpers/cluster.sh"
cd "$repo"
MINUTES=${MINUTES:-10} QUERIES=${QUERIES:-1}
command -v sqlsmith >/dev/null || { echo "skipped: sqlsmith is not here (Debian: apt-get install sqlsmith)"; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/crm-sqlsmith.XXXXXX"); chmod 755 "$work"
trap 'code=$?; cluster_stop; rm -rf "$work"; exit $code' EXIT
trap 'exit 130' INT TERM

# what PostgreSQL says by itself to a query that it should have refused politely
ours_not='expected [23]-element (int8|float8) array|failed to find conversion function from unknown|could not determine which collation|plan should not reference subplan|could not find array type for data type'
cluster_start "$work/cluster" "log_line_prefix = '%e %u '" || exit 1
createdb smith || exit 1
sql -d smith -f tests/helpers/two_tenants.sql >"$work/setup.log" 2>&1 || { tail -20 "$work/setup.log"; exit 1; }
sql -d smith -c "ALTER ROLE attack_owner SET crm.tenant = '1'" -c "ALTER DATABASE smith SET statement_timeout = '10s'"
: >"$CLUSTER/server.log"
status=0
for role in attack_agent_1 attack_owner; do
    timeout $((MINUTES * 30)) sqlsmith --target="host=$PGHOST port=$PGPORT user=$role dbname=smith" --exclude-catalog --seed="$QUERIES" --verbose >"$work/$role.out" 2>&1
    case $? in 124) ;; *) echo "sqlsmith as $role ended early:"; tail -5 "$work/$role.out"; status=1;; esac
    echo "$role: $(grep -aoE '^queries: [0-9]+' "$work/$role.out" | tail -1), $(grep -ac "^[0-9A-Z]* $role ERROR" "$CLUSTER/server.log") errors"
done
crash_lines "$CLUSTER/server.log" >"$work/faults"
grep -aE '^(XX...|53200) [a-z_0-9]+ (ERROR|FATAL|PANIC)' "$CLUSTER/server.log" | grep -avE "$ours_not" >>"$work/faults"
# not one row of the other company is gone
[ "$(value smith "SELECT count(*) > 0 FROM crm.accounts AS a WHERE a.tenant_id <> 1")" = t ] || { echo "the other company's rows are gone"; status=1; }
[ ! -s "$work/faults" ] || { status=1; echo "faults:"; sort "$work/faults" | uniq -c | sort -rn | head -40; cp "$CLUSTER/server.log" "${TMPDIR:-/tmp}/sqlsmith.log" && echo "the whole log: ${TMPDIR:-/tmp}/sqlsmith.log"; }
[ $status = 0 ] && echo "sqlsmith: nothing found in $MINUTES minutes"
exit $status
