#!/usr/bin/env bash
# Every kind of test on private clusters; ends with one line: N passed, N failed[, N accepted][, N skipped].
#
#   tests/helpers/run.sh                everything
#   tests/helpers/run.sh install scale  only tests whose name contains one of the words; a word that no name contains is an error
#
# JOBS=n         tests that run at a time (default: one more than the processors, at most 5)
# ACCEPT=1       takes what regress and isolation tests print as expected, and says of which: read the differences
# KEEP=1         leaves the folder with clusters and outputs behind for a look
# TMPDIR=folder  where clusters are made (default: in memory where there is room, else /tmp)
# TEST_LIMIT=n   seconds after which a test is stopped and has failed (default 300)
#
# The tree is built and the CRM installed once; each of the JOBS workers has a
# cluster that is a copy of that one, and each test a database that is a copy of
# the one in it.  So no two tests ever meet: not in a database, not in a role
# and not in a setting.  What a test may say in a comment of its first lines:
#
#   long: N s      it takes N seconds: the longest start first, so that no worker waits for one at the end
#   alone: WHY     it measures time: it runs when no other test does
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/cluster.sh"
cd "$repo"

export CRM_DATA=${CRM_DATA:-$repo/../shared/data}
[ -d "$CRM_DATA" ] && CRM_DATA=$(cd "$CRM_DATA" && pwd)
processors=$(nproc 2>/dev/null || echo 2)
# one more than the processors: some tests wait
JOBS=${JOBS:-$((processors > 4 ? 5 : processors + 1))}
began=$SECONDS

# A database is two thousand files, and each test makes one: on a disk the work of the file system can be half of the time. So they
# are in memory where there is room for all workers, and programs may run there.
roomy() {   # folder
    local kb=$(((2 * JOBS + 2) * 1024 * 1024)) probe limit
    limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null || echo max)      # of a container
    [ "$limit" = max ] || [ $((limit / 1024)) -gt $kb ] || return 1
    [ "$(df -Pk "$1" 2>/dev/null | awk 'NR == 2 { print $4 }')" -gt $kb ] 2>/dev/null || return 1
    [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2>/dev/null)" -gt $kb ] 2>/dev/null || return 1
    probe=$(mktemp "$1/crm-probe.XXXXXX" 2>/dev/null) || return 1
    printf '#!/bin/sh\n' >"$probe"; chmod 755 "$probe"
    "$probe" 2>/dev/null; local can=$?
    rm -f "$probe"
    return $can
}
work=$(mktemp -d "${TMPDIR:-$(if roomy /dev/shm; then echo /dev/shm; else echo /tmp; fi)}/crm-test.XXXXXX")
chmod 755 "$work"
: >"$work/results"; : >"$work/next"
finish() {
    trap '' INT TERM       # a second signal must not end this halfway and leave servers behind
    local pid
    for pid in $(jobs -p); do kill "$pid" 2>/dev/null; done
    # whatever still runs on data of this folder, also of a script that was stopped
    find "$work" -maxdepth 4 -name postmaster.pid 2>/dev/null | while read -r pid; do
        as_server "$STAGED_BIN/pg_ctl" -D "$(dirname "$pid")" -m immediate -w -t 20 stop >/dev/null 2>&1
    done
    [ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap 'code=$?; finish; exit $code' EXIT
trap 'exit 130' INT TERM

words=("$@")
wanted() {  # kind, name: is it asked for? A word with a slash is looked for in kind/name
    [ ${#words[@]} -eq 0 ] && return 0
    local w name code=1
    for w in "${words[@]}"; do
        case $w in */*) name=$1/$2;; *) name=$2;; esac
        case $name in *"$w"*) echo "$w" >>"$work/found"; code=0;; esac
    done
    return $code
}

# One line a test, with what it said where it failed; the lock keeps reports of two workers apart.
report() {  # ok|not ok|accepted|skip, kind, name, microsecond it began, [why, [file with its output]]
    local tenths=$(( (${EPOCHREALTIME/[.,]/} - $4) / 100000 ))
    {
        flock 9
        echo "$1" >>"$work/results"
        printf '%-8s %-10s %-32s %6ss%s\n' "$1" "$2" "$3" "$((tenths / 10)).$((tenths % 10))" "${5:+   $5}"
        [ -z "${6:-}" ] || cat "$6"
    } 9>"$work/report.lock"
}
now() { echo "${EPOCHREALTIME/[.,]/}"; }
limited() { timeout -k 5 "${TEST_LIMIT:-300}" "$@"; }

pgxs=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
driver_of() { case $1 in isolation) echo "$pgxs/isolation/pg_isolation_regress";; *) echo "$pgxs/regress/pg_regress";; esac; }

# What a database without the CRM prints is never taken as expected.
installed() { sql -d "$1" -c 'SELECT FROM crm.version()' >/dev/null 2>&1; }

# A test of expected output, by the driver that PostgreSQL brings for its kind.
drive() {   # kind, name, database
    local out=$work/out/$1-$2 t0 code
    t0=$(now)
    if [ ! -e "$repo/expected/$2.out" ]; then
        [ -n "${ACCEPT:-}" ] || { report "not ok" "$1" "$2" "$t0" "expected/$2.out is missing: ACCEPT=1 make test T=$2 makes it"; return 1; }
        : >"$repo/expected/$2.out"
    fi
    mkdir -p "$out"; ln -s "$repo/expected" "$out/expected"     # looked for below the output folder first
    limited "$(driver_of "$1")" --inputdir="$repo/tests" --outputdir="$out" --bindir="$STAGED_BIN" --use-existing --dbname="$3" \
        "$2" >"$out/driver.log" 2>&1
    code=$?
    if [ -n "${ACCEPT:-}" ] && [ $code != 0 ] && [ -s "$out/regression.diffs" ] && installed "$3" && cp "$out/results/$2.out" "$repo/expected/"; then
        report accepted "$1" "$2" "$t0" "written to expected/$2.out: read what is new" "$out/regression.diffs"
        return 0
    fi
    if [ $code = 0 ]; then report ok "$1" "$2" "$t0"; return 0; fi
    [ -s "$out/regression.diffs" ] || tail -30 "$out/driver.log" >"$out/regression.diffs"
    report "not ok" "$1" "$2" "$t0" "$([ $code = 124 ] && echo "stopped after ${TEST_LIMIT:-300} s")" "$out/regression.diffs"
    return 1
}

# A script: exit status 0 passed, 77 skipped, else failed. One in SQL has a database of its own.
script() {  # kind, name, file
    local t0 code out=$work/$1-$2.log
    t0=$(now)
    case $3 in
        *.sql)
            if [ ! -d "$CRM_DATA" ] && [ "$1" = reference ]; then report skip "$1" "$2" "$t0" "no CRM_DATA"; return; fi
            { copied_database "$(begins_with "$3")" "$1_$2" && limited psql -X -q -v ON_ERROR_STOP=1 -d "$1_$2" -v data="$CRM_DATA" -f "$3"; } >"$out" 2>&1; code=$?
            dropdb --if-exists -f "$1_$2" 2>/dev/null;;
        *)  mkdir -p "$work/tmp-$2"; chmod 777 "$work/tmp-$2"
            local how=bash; [ ! -x "$3" ] || how=
            WORK=$work/tmp-$2 REPO=$repo limited $how "$3" >"$out" 2>&1; code=$?
            [ -n "${KEEP:-}" ] || rm -rf "$work/tmp-$2";;
    esac
    case $code in
        0) report ok "$1" "$2" "$t0";;
        77) report skip "$1" "$2" "$t0" "$(tail -1 "$out")";;
        *) tail -60 "$out" >"$out.end"
           report "not ok" "$1" "$2" "$t0" "$([ $code = 124 ] && echo "stopped after ${TEST_LIMIT:-300} s")" "$out.end";;
    esac
}

run_test() {    # kind, file
    local name
    name=$(basename "$2"); name=${name%.*}
    case $1 in
        regress|isolation)
            fresh_database "$1_$name" || { report "not ok" "$1" "$name" "$(now)" "no database"; return; }
            drive "$1" "$name" "$1_$name"
            dropdb --if-exists -f "$1_$name" 2>/dev/null;;
        lint) script lint tree "$2";;
        *) script "$1" "$name" "$2";;
    esac
}

# Takes tests from a list until none is left. Two workers share a list: its next line is counted in a file.
take() {    # list: prints the next line of it
    local n
    {
        flock 9
        n=$(($(cat "$work/next") + 1)); echo "$n" >"$work/next"
        sed -n "${n}p" "$1"
    } 9>"$work/next.lock"
}
worker() {  # number, list
    local kind file
    cluster_attach "$work/worker$1"
    while read -r kind file < <(take "$2") && [ -n "$kind" ]; do run_test "$kind" "$file"; done
}

# ---- what there is to run ----
tests_of() {    # kind, folder, suffix ...: the tests asked for, a line each
    local kind=$1 dir=$2 suffix f name; shift 2
    for suffix in "$@"; do
        for f in tests/"$dir"/*."$suffix"; do
            [ -e "$f" ] || continue
            name=$(basename "$f"); name=${name%.*}
            wanted "$kind" "$name" && [ "$name" != install ] && echo "$kind $f"
        done
    done
}
said() { sed -n '1,12p' "$1" | sed -nE "s/^(#|--) $2: *//p"; }     # file, word: what it says after the word
{
    # the rules of the house, which need no cluster
    if [ -x tests/lint/run ] && wanted lint lint; then echo "lint tests/lint/run"; fi
    tests_of shell shell sh
    tests_of reference reference sql
    tests_of attack attack sql sh
    tests_of regress sql sql
    tests_of isolation specs spec
} | while read -r kind file; do
    list=together; [ -z "$(said "$file" alone)" ] || list=alone
    seconds=$(said "$file" long)
    echo "${seconds%% *} $kind $file" >>"$work/$list.unsorted"
done
for w in "${words[@]}"; do
    grep -qxF -- "$w" "$work/found" 2>/dev/null || { echo "no test has a name that contains \"$w\""; exit 2; }
done
for list in together alone; do
    touch "$work/$list.unsorted"
    sort -s -k1,1nr "$work/$list.unsorted" | sed 's/^[0-9]* //' >"$work/$list"
done

# The helper a test in SQL begins with that makes a whole database, if any. It is made once, and the test is given a copy; the
# helper then sees that it was run.
begins_with() { sed -nE 's/^\\ir \.\.\/helpers\/(two_tenants|walls)\.sql$/\1/p' "$1" | head -1; }

# ---- the one installation, which is a test too, and beside it the database to attack ----
seed_databases() {
    local made tenants=
    made=$(cat "$work/together" "$work/alone" | while read -r kind file; do case $file in *.sql) begins_with "$file";; esac; done)
    if [ -n "$made" ]; then
        createdb two_tenants && { sql -d two_tenants -f tests/helpers/two_tenants.sql >"$work/two_tenants.log" 2>&1 & tenants=$!; }
    fi
    drive regress install crm_template || return 1
    [ -z "$tenants" ] || wait "$tenants" || { tail -20 "$work/two_tenants.log"; return 1; }
    case $made in *walls*)
        createdb -T two_tenants walls && sql -d walls -f tests/helpers/walls.sql >"$work/walls.log" 2>&1 || { tail -20 "$work/walls.log"; return 1; };;
    esac
}
echo "building, and installing the CRM once"
export CRASH_LOG=$work/crashes
seed_make "$work/seed" seed_databases || { echo "0 passed, 1 failed"; exit 1; }
export CLUSTER STAGED_BIN STAGED_EXTENSION STAGED_LIB PG_CONFIG REPO=$repo

n=$(wc -l <"$work/together"); [ "$n" -ge "$JOBS" ] || JOBS=$((n > 1 ? n : 1))
for n in $(seq "$JOBS"); do cluster_start "$work/worker$n" || { echo "0 passed, 1 failed"; exit 1; }; done
echo 0 >"$work/next"
for n in $(seq "$JOBS"); do worker "$n" "$work/together" & done
wait
echo 0 >"$work/next"
worker 1 "$work/alone"

for n in $(seq "$JOBS"); do crash_lines "$work/worker$n/server.log" >>"$CRASH_LOG"; done
[ ! -s "$CRASH_LOG" ] || report "not ok" server "no crash in any server's log" "$(now)" "" "$CRASH_LOG"

count() { grep -c "^$1" "$work/results"; }
passed=$(count ok) failed=$(count 'not ok') accepted=$(count accepted) skipped=$(count skip)
echo "$((SECONDS - began)) s in all, $JOBS at a time"
line="$passed passed, $failed failed"
[ "$accepted" -gt 0 ] && line="$line, $accepted accepted"
[ "$skipped" -gt 0 ] && line="$line, $skipped skipped"
echo "$line"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
