#!/usr/bin/env bash
# Benchmarks on a private cluster with durable commits. Machines are noisy: what counts
# is the ratio to the named baseline, taken beside it in the same run.
#
#   tests/bench/run.sh             all
#   tests/bench/run.sh rollup ...  those whose name contains a word
#
# Each script finds a running cluster in the environment (PGHOST ...), a database bench_<name>
# with the CRM installed (PGDATABASE), a folder of its own (WORK), and
#   line "what" ours baseline ratio target verdict
# which prints one row of the table; figures carry their unit.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../helpers/cluster.sh"
cd "$repo"
export CRM_DATA=${CRM_DATA:-$repo/../shared/data}
[ -d "$CRM_DATA" ] && CRM_DATA=$(cd "$CRM_DATA" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/crm-bench.XXXXXX")
chmod 755 "$work"
trap 'code=$?; cluster_stop; rm -rf "$work"; exit $code' EXIT
trap 'exit 130' INT TERM

line() { printf '%-58s %14s %14s %8s %10s  %s\n' "$@"; }
export -f line

echo "building and starting a private cluster with fsync on, else with PostgreSQL's own settings"
cluster_start "$work/cluster" "fsync = on" "max_connections = 200" || exit 1
export CLUSTER STAGED_BIN STAGED_EXTENSION STAGED_LIB PG_CONFIG REPO=$repo
status=0
for f in tests/bench/*; do
    name=$(basename "$f"); name=${name%.*}
    case $f in */run.sh|*/results|*.inc|*.pgbench) continue;; *.sh|*.sql) ;; *) continue;; esac
    if [ $# -gt 0 ]; then
        hit=; for w in "$@"; do case $name in *"$w"*) hit=1;; esac; done
        [ -n "$hit" ] || continue
    fi
    printf '\n== %s\n' "$name"
    line what ours baseline ratio target verdict
    PGDATABASE=postgres createdb "bench_$name"
    export PGDATABASE=bench_$name WORK=$work/tmp-$name
    mkdir -p "$WORK"; chmod 777 "$WORK"
    sql -c 'CREATE EXTENSION crm' -c 'SELECT crm.install()' >/dev/null || exit 1
    case $f in
        *.sql) psql -X -q -At -F ' ' -v ON_ERROR_STOP=1 -v data="$CRM_DATA" -f "$f" || status=1;;
        *.sh) bash "$f" || status=1;;
    esac
    PGDATABASE=postgres dropdb --force "bench_$name"
done
exit $status
