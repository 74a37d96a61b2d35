# Private throw-away clusters, for sourcing:
#
#   cluster_start DIR [setting=value ...]   a running server with the extension to be had; exports PGHOST, PGUSER ...
#   cluster_stop                            stop and remove
#   cluster_restart                         for tests of crashes and upgrades
#   cluster_attach DIR                      talk to a cluster that another shell has started
#   as_server COMMAND                       run as the user that owns the cluster
#   fresh_database NAME ...                 databases with the CRM installed
#   key_file FILE                           makes a key file (crm.key_file) that belongs to the server; each cluster has one, $CLUSTER/keys
#
# The server is a copy of the installed one with links for everything but its
# binary, so that it looks for extensions beside itself: nothing is installed
# into the system, and neither root nor an ordinary user needs any right.
#
# Settings are PostgreSQL's own, as users meet them, except for what a
# throw-away cluster needs: where it listens, no waiting for the disk,
# prepared transactions, and a key file.  A test that needs more says so at cluster_start.
#
# A test run builds once and makes one cluster, with the CRM installed in
# database crm_template (seed_make).  What starts afterwards is a copy of it.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# the whole path: a staged pg_config comes first in PATH later, and answers for its own folder
PG_CONFIG=$(command -v "${PG_CONFIG:-pg_config}" || echo "${PG_CONFIG:-pg_config}")
unset MAKEFLAGS MFLAGS MAKEOVERRIDES DATA

as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && runuser -u "${SERVER_USER:-postgres}" -- "$@")
    else
        (cd / && "$@")
    fi
}

# pg_config may be a wrapper that answers for the newest server
pg_where() { "$PG_CONFIG" "--$1"; }

stage_server() {    # DIR: a relocated installation with the extension in it
    local dir=$1 bindir libdir sharedir f
    bindir=$(pg_where bindir) libdir=$(pg_where pkglibdir) sharedir=$(pg_where sharedir)
    if [ -n "${SEED:-}" ]; then
        mkdir -p "$dir" && cp -a "$SEED/pg/." "$dir/"
        return
    fi
    mkdir -p "$dir$bindir" "$dir$libdir/bitcode" "$dir$sharedir/extension"
    cp "$bindir"/* "$dir$bindir/"
    for f in "$libdir"/*; do [ "$(basename "$f")" = bitcode ] || ln -s "$f" "$dir$libdir/" 2>/dev/null || true; done
    for f in "$libdir"/bitcode/*; do [ ! -e "$f" ] || ln -s "$f" "$dir$libdir/bitcode/"; done
    for f in "$sharedir"/*; do [ "$(basename "$f")" = extension ] || ln -s "$f" "$dir$sharedir/"; done
    for f in "$sharedir"/extension/*; do ln -s "$f" "$dir$sharedir/extension/"; done
    rm -f "$dir$libdir/crm.so" "$dir$libdir"/bitcode/crm* "$dir$sharedir"/extension/crm*
    make -s -C "$repo" all with_llvm=no PG_CONFIG="$PG_CONFIG" >"$dir/build.log" 2>&1 || { cat "$dir/build.log" >&2; return 1; }
    make -s -C "$repo" install with_llvm=no PG_CONFIG="$PG_CONFIG" DESTDIR="$dir" >>"$dir/build.log" 2>&1 || { cat "$dir/build.log" >&2; return 1; }
}

# The variables of a cluster that runs: this shell talks to it from here on.
cluster_attach() {  # DIR
    CLUSTER=$1
    STAGED_BIN=$CLUSTER/pg$(pg_where bindir)
    STAGED_EXTENSION=$CLUSTER/pg$(pg_where sharedir)/extension
    STAGED_LIB=$CLUSTER/pg$(pg_where pkglibdir)
    export PGHOST=$CLUSTER/sock PGPORT=${PGPORT:-54315} PGUSER=postgres PGDATABASE=postgres
    export PATH=$STAGED_BIN:$PATH
}

cluster_start() {   # DIR [setting=value ...]
    local setting
    cluster_attach "$1"; shift
    started=$CLUSTER
    mkdir -p "$CLUSTER/sock"
    chmod 755 "$CLUSTER"
    if [ "$(id -u)" = 0 ]; then
        chown "${SERVER_USER:-postgres}" "$CLUSTER" "$CLUSTER/sock"
    fi
    stage_server "$CLUSTER/pg" || return 1
    key_file "$CLUSTER/keys" || return 1
    if [ -n "${SEED:-}" ]; then
        as_server cp -a "$SEED/data" "$CLUSTER/data" || return 1
    else
        as_server "$STAGED_BIN/initdb" -D "$CLUSTER/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N \
            >"$CLUSTER/initdb.log" 2>&1 || { cat "$CLUSTER/initdb.log" >&2; return 1; }
    fi
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$CLUSTER/sock'"
        echo "port = $PGPORT"
        echo "fsync = off"
        echo "max_prepared_transactions = 40"
        echo "timezone = 'UTC'"
        echo "log_timezone = 'UTC'"
        echo "crm.key_file = '$CLUSTER/keys'"
        for setting in "$@"; do echo "$setting"; done
    } | as_server tee -a "$CLUSTER/data/postgresql.conf" >/dev/null
    cluster_up
}

key_file() {    # FILE
    rm -f "$1"
    "$STAGED_BIN/crm-keys" new "$1" 2>/dev/null || return 1
    [ "$(id -u)" != 0 ] || chown "${SERVER_USER:-postgres}" "$1"
}

# SERVER_WRAP is a command the server runs under, such as valgrind.
cluster_up() {
    local program=() patience=60
    if [ -n "${SERVER_WRAP:-}" ]; then
        printf '#!/bin/sh\nexec %s "%s/postgres" "$@"\n' "$SERVER_WRAP" "$STAGED_BIN" >"$CLUSTER/wrapped"
        chmod 755 "$CLUSTER/wrapped"
        program=(-p "$CLUSTER/wrapped") patience=600
    fi
    as_server "$STAGED_BIN/pg_ctl" -D "$CLUSTER/data" -l "$CLUSTER/server.log" -w -t $patience ${program[@]+"${program[@]}"} start \
        >"$CLUSTER/start.log" 2>&1 || { cat "$CLUSTER/start.log" "$CLUSTER/server.log" >&2; return 1; }
}

cluster_down() {    # [mode]
    [ -n "${STAGED_BIN:-}" ] || return 0
    as_server "$STAGED_BIN/pg_ctl" -D "$CLUSTER/data" -m "${1:-fast}" -w -t 60 stop >/dev/null 2>&1 || true
}

cluster_restart() { cluster_down "${1:-fast}"; cluster_up; }

cluster_stop() {    # only what this shell has started: a script also knows the cluster of its worker
    [ -n "${CLUSTER:-}" ] && [ "${started:-}" = "$CLUSTER" ] || return 0
    cluster_down immediate
    # a run of tests looks at what every server logged, also one that is gone by then
    [ -z "${CRASH_LOG:-}" ] || crash_lines "$CLUSTER/server.log" >>"$CRASH_LOG"
    rm -rf "$CLUSTER"
    CLUSTER=
}

# What a server's log must not hold: a crash, a failed assertion, a report of a sanitizer or of valgrind.
crash_lines() {
    grep -aE 'PANIC|terminated by signal (11|6)|TRAP: ' "$1" 2>/dev/null || true
    grep -aE -A 30 'ERROR: AddressSanitizer|: runtime error: |^==[0-9]+== [A-Z]' "$1" 2>/dev/null | head -300 || true
}

# Builds, and makes the cluster that the others are copies of: a stopped one with the CRM in crm_template.
seed_make() {       # DIR [command that installs the CRM in database crm_template]
    local dir=$1 done=0; shift
    cluster_start "$dir" || return 1
    createdb crm_template || return 1
    if [ $# -gt 0 ]; then "$@" || done=1; else sql -d crm_template -c 'CREATE EXTENSION crm' -c 'SELECT crm.install()' >/dev/null || done=1; fi
    [ $done = 0 ] || return 1
    cluster_down fast
    export SEED=$dir
}

# by file: through the log of writes, as PostgreSQL does it otherwise, it takes twice the time
copy_of() { createdb -T "$1" --strategy=file_copy "$2"; }   # template, name

# Databases with the CRM installed: copies where there is a template, else made from nothing.
fresh_database() {  # name ...
    local db
    for db in "$@"; do
        if has_database crm_template; then
            copy_of crm_template "$db" || return 1
        else
            createdb "$db" && sql -d "$db" -c 'CREATE EXTENSION crm' -c 'SELECT crm.install()' >/dev/null || return 1
        fi
    done
}

has_database() { [ "$(value postgres "SELECT count(*) FROM pg_database WHERE datname = '$1'")" = 1 ]; }

copied_database() { # template, may be empty or not there; name
    if [ -n "$1" ] && has_database "$1"; then copy_of "$1" "$2"; else fresh_database "$2"; fi
}

# psql without surprises: no rc file, stop at the first error
sql() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }
# one value of a query in database $1
value() { sql -At -d "$1" -c "$2"; }
# for scripts: why it failed, and the end; what a query that counts faults finds
fail() { echo "FAILED: $*"; exit 1; }
none() {    # database, what it counts, query giving 0
    local n; n=$(value "$1" "$3") || fail "$2: the query fails"
    [ "$n" = 0 ] || fail "$2: $n"
}
# sums of rollups that differ from a recompute
wrong_sums() { value "$1" "SELECT count(*) FROM crm.rollups AS r, crm.verify_rollup(r.name)"; }
