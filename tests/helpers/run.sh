#!/usr/bin/env bash
# Every kind of test on a private cluster; ends with one line: N passed, N failed[, N skipped].
#
#   tests/helpers/run.sh                everything
#   tests/helpers/run.sh install scale  only tests whose name contains one of the words
#
# ACCEPT=1 takes what regress and isolation tests print as expected: read the difference first.
# KEEP=1 leaves the cluster's folder behind for a look.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cluster.sh"
cd "$repo"

passed=0 failed=0 skipped=0
export CRM_DATA=${CRM_DATA:-$repo/../shared/data}
[ -d "$CRM_DATA" ] && CRM_DATA=$(cd "$CRM_DATA" && pwd)

work=$(mktemp -d "${TMPDIR:-/tmp}/crm-test.XXXXXX")
chmod 755 "$work"
trap 'code=$?; cluster_stop; [ -n "${KEEP:-}" ] || rm -rf "$work"; exit $code' EXIT
trap 'exit 130' INT TERM

wanted() {  # name: is it asked for?
    [ ${#words[@]} -eq 0 ] && return 0
    local w; for w in "${words[@]}"; do case $1 in *"$w"*) return 0;; esac; done
    return 1
}
words=("$@")
report() {  # ok|not ok|skip, kind, name, seconds, [why]
    case $1 in
        ok) passed=$((passed + 1));;
        "not ok") failed=$((failed + 1));;
        skip) skipped=$((skipped + 1));;
    esac
    printf '%-7s %-10s %-32s %5ss%s\n' "$1" "$2" "$3" "$4" "${5:+   $5}"
}

# the rules of the house first: they need no cluster
if wanted lint; then
    t0=$SECONDS
    if tests/lint/run >"$work/lint.log" 2>&1; then
        report ok lint tree $((SECONDS - t0)) "$(tail -1 "$work/lint.log")"
    else
        report "not ok" lint tree $((SECONDS - t0)); cat "$work/lint.log"
    fi
fi

echo "building and starting a private cluster"
cluster_start "$work/cluster" || { echo "0 passed, 1 failed"; exit 1; }
regress=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/regress/pg_regress
isolation=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/isolation/pg_isolation_regress

# One test after the other, each with a clock: the drivers take one name at a time.
drive() {   # kind, driver, suffix, database, names ...
    local kind=$1 driver=$2 db=$3 name t0 out; shift 3
    out=$work/$kind; mkdir -p "$out"; chmod 777 "$out"
    for name in "$@"; do
        t0=$SECONDS
        if "$driver" --inputdir="$repo/tests" --outputdir="$out" ${expected_option[@]+"${expected_option[@]}"} \
            --bindir="$STAGED_BIN" --use-existing --dbname="$db" \
            "$name" >"$out/driver.log" 2>&1; then
            report ok "$kind" "$name" $((SECONDS - t0))
        else
            report "not ok" "$kind" "$name" $((SECONDS - t0))
            if [ -s "$out/regression.diffs" ]; then cat "$out/regression.diffs"; else tail -30 "$out/driver.log"; fi
        fi
        [ -n "${ACCEPT:-}" ] && cp "$out/results/$name.out" "$repo/expected/"
        rm -f "$out/regression.diffs"
    done
}

names() {   # dir, extension, first: test names, the first one first
    local f n
    [ -f "tests/$1/$3$2" ] && echo "$3"
    for f in tests/"$1"/*"$2"; do
        [ -e "$f" ] || continue
        n=$(basename "$f" "$2"); [ "$n" = "$3" ] && continue
        wanted "$n" && echo "$n"
    done
}

# regress and isolation look for expected/ below their output folder first
for kind in regress isolation; do mkdir -p "$work/$kind"; ln -s "$repo/expected" "$work/$kind/expected"; done

createdb crm_regress
psql -X -q -d crm_regress -c "ALTER DATABASE crm_regress SET timezone TO 'UTC'; ALTER DATABASE crm_regress SET datestyle TO 'ISO, YMD'; ALTER DATABASE crm_regress SET intervalstyle TO 'postgres'"
drive regress "$regress" crm_regress $(names sql .sql install)
createdb crm_isolation
drive isolation "$isolation" crm_isolation $(names specs .spec aa_install)

# scripts: exit status 0 passed, 77 skipped, else failed
script() {  # kind, file
    local name t0 code out
    name=$(basename "$2"); name=${name%.*}
    wanted "$name" || return 0
    t0=$SECONDS out=$work/$1-$name.log
    case $2 in
        *.sql)
            if [ ! -d "$CRM_DATA" ]; then report skip "$1" "$name" 0 "no CRM_DATA"; return; fi
            dropdb --if-exists "ref_$name" 2>/dev/null; createdb "ref_$name"
            sql -d "ref_$name" -v data="$CRM_DATA" -c 'CREATE EXTENSION crm' -c 'SELECT crm.install()' -f "$2" >"$out" 2>&1; code=$?
            dropdb --if-exists -f "ref_$name" 2>/dev/null;;
        *) WORK=$work/tmp-$name; mkdir -p "$WORK"; chmod 777 "$WORK"
           WORK=$WORK REPO=$repo bash "$2" >"$out" 2>&1; code=$?;;
    esac
    case $code in
        0) report ok "$1" "$name" $((SECONDS - t0));;
        77) report skip "$1" "$name" $((SECONDS - t0)) "$(tail -1 "$out")";;
        *) report "not ok" "$1" "$name" $((SECONDS - t0)); tail -60 "$out";;
    esac
}
export CLUSTER STAGED_BIN STAGED_EXTENSION STAGED_LIB PG_CONFIG REPO=$repo
for f in tests/reference/*.sql; do [ -e "$f" ] && script reference "$f"; done
for f in tests/shell/*.sh; do [ -e "$f" ] && script shell "$f"; done

if grep -aE 'PANIC|terminated by signal (11|6)|TRAP: ' "$CLUSTER/server.log"; then
    report "not ok" server "no crash in the server log" 0
fi
line="$passed passed, $failed failed"
[ $skipped -gt 0 ] && line="$line, $skipped skipped"
echo "$line"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
