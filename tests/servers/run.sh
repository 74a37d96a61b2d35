#!/usr/bin/env bash
# The suite on servers other than the one at hand.
#
#   tests/servers/run.sh versions [word ...]      on every supported version                   make test-versions
#   tests/servers/run.sh asserts [word ...]       on a server that checks itself               make test-asserts
#   (make test-discard: asserts, the one test discard)
#   tests/servers/run.sh sanitizers [word ...]    with address and undefined-behaviour checks  make test-sanitizers
#   tests/servers/run.sh valgrind [word ...]      chosen tests under valgrind                  make test-valgrind
#
#   VERSIONS="17 18"   versions: which; else all from 15 to 18
#   SERVER=18          the others: which version is built from source; else that of PG_CONFIG, else the newest there is
#   CACHE=dir          where roots, sources and servers are kept between runs; else /var/cache/crm, or ~/.cache/crm
#   MIRROR=...         a Debian archive; else the one apt reads on this machine
#   FRESH=1            make roots and servers anew
#
# What cannot be run is said, with the reason, and counted as skipped; a run in which nothing could be run has failed.
set -u
servers=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$servers/../.." && pwd)
if [ "$(id -u)" = 0 ]; then CACHE=${CACHE:-/var/cache/crm}; else CACHE=${CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/crm}; fi
mkdir -p "$CACHE" || exit 1
. "$servers/archive.sh"
. "$servers/root.sh"
. "$servers/build.sh"
unset MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL     # builds in here are no part of the one outside
passed=0 failed=0 skipped=0

# Long commands and functions run beside this shell, in a process group of their own: bash handles a signal only when the command it
# waits for in the foreground has ended, and a signal to this shell alone would leave what it started behind.
child=
beside() {      # command ...
    local code
    set -m
    "$@" &
    child=$!
    set +m
    wait "$child"; code=$?
    child=
    return $code
}
made=()         # folders of this run
ended() {       # exit status
    trap '' INT TERM
    if [ -n "$child" ]; then
        kill -TERM -- "-$child" 2>/dev/null
        wait "$child" 2>/dev/null
        # what does not go by itself, as a namespace's first process does not
        while kill -0 -- "-$child" 2>/dev/null && [ $((waited += 1)) -le 300 ]; do sleep 0.1; done
        kill -KILL -- "-$child" 2>/dev/null
    fi
    [ ${#made[@]} = 0 ] || rm -rf "${made[@]}"
    exit "$1"
}
waited=0
trap 'ended 130' INT
trap 'ended 143' TERM

skip() { echo "skip    $1: $2"; skipped=$((skipped + 1)); }
ran() {     # what, exit status
    if [ "$2" = 0 ]; then echo "ok      $1"; passed=$((passed + 1)); else echo "not ok  $1"; failed=$((failed + 1)); fi
}

# The working tree, with what is not committed yet and without what was built: servers share no object file.
copy_tree() {   # to
    rm -rf "$1" && mkdir -p "$1" &&
        (cd "$repo" && git -c safe.directory='*' ls-files -co --exclude-standard -z |
            tar c --null --ignore-failed-read -T - 2>/dev/null) | tar x -C "$1" --no-same-owner
}

suite_with() {  # what it is called, pg_config, words: make test in a copy of the tree
    local copy code
    copy=$(mktemp -d "${TMPDIR:-/tmp}/crm-server.XXXXXX"); chmod 755 "$copy"; made+=("$copy")
    copy_tree "$copy/crm" && beside env CRM_DATA="${CRM_DATA:-$repo/../shared/data}" make -C "$copy/crm" --no-print-directory test PG_CONFIG="$2" T="$3"
    code=$?
    rm -rf "$copy"
    ran "$1" $code
}

kind=${1:-}; shift
words=$*
case $kind in
    versions) . "$servers/versions.sh"; test_versions;;
    asserts) test_built asserts "${words:-}";;
    sanitizers) test_built sanitizers "${words:-}";;
    valgrind) test_built valgrind "${words:-$VALGRIND_TESTS}";;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2;;
esac
line="$passed passed, $failed failed"
[ $skipped -gt 0 ] && line="$line, $skipped skipped"
echo "servers: $line"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
