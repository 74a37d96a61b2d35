# A private throw-away cluster, for sourcing:
#
#   cluster_start DIR [setting=value ...]   build, stage, initdb, start; exports PGHOST, PGUSER ...
#   cluster_stop                            stop and remove
#   cluster_restart, cluster_kill           for tests of crashes and upgrades
#   as_server COMMAND                       run as the user that owns the cluster
#
# The server is a copy of the installed one with links for everything but its
# binary, so that it looks for extensions beside itself: nothing is installed
# into the system, and neither root nor an ordinary user needs any right.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PG_CONFIG=${PG_CONFIG:-pg_config}
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
    mkdir -p "$dir$bindir" "$dir$libdir" "$dir$sharedir/extension"
    cp "$bindir"/* "$dir$bindir/"
    for f in "$libdir"/*; do [ "$(basename "$f")" = bitcode ] || ln -s "$f" "$dir$libdir/" 2>/dev/null || true; done
    for f in "$sharedir"/*; do [ "$(basename "$f")" = extension ] || ln -s "$f" "$dir$sharedir/"; done
    for f in "$sharedir"/extension/*; do ln -s "$f" "$dir$sharedir/extension/"; done
    rm -f "$dir$libdir/crm.so" "$dir$sharedir"/extension/crm*
    make -s -C "$repo" all with_llvm=no >"$dir/build.log" 2>&1 || { cat "$dir/build.log" >&2; return 1; }
    make -s -C "$repo" install with_llvm=no DESTDIR="$dir" >>"$dir/build.log" 2>&1 || { cat "$dir/build.log" >&2; return 1; }
    STAGED_BIN=$dir$bindir
    STAGED_EXTENSION=$dir$sharedir/extension
    STAGED_LIB=$dir$libdir
}

cluster_start() {
    CLUSTER=$1; shift
    local setting
    mkdir -p "$CLUSTER/sock"
    chmod 755 "$CLUSTER"
    stage_server "$CLUSTER/pg" || return 1
    if [ "$(id -u)" = 0 ]; then
        chown "${SERVER_USER:-postgres}" "$CLUSTER" "$CLUSTER/sock"
    fi
    export PGHOST=$CLUSTER/sock PGPORT=${PGPORT:-54315} PGUSER=postgres PGDATABASE=postgres
    export PATH=$STAGED_BIN:$PATH
    as_server "$STAGED_BIN/initdb" -D "$CLUSTER/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N \
        >"$CLUSTER/initdb.log" 2>&1 || { cat "$CLUSTER/initdb.log" >&2; return 1; }
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$CLUSTER/sock'"
        echo "port = $PGPORT"
        echo "max_connections = 100"
        echo "max_prepared_transactions = 40"
        echo "shared_buffers = 256MB"
        echo "max_wal_size = 4GB"
        echo "checkpoint_timeout = 30min"
        echo "fsync = off"
        echo "jit = off"
        echo "wal_level = logical"
        echo "log_min_messages = warning"
        echo "timezone = 'UTC'"
        echo "log_timezone = 'UTC'"
        for setting in "$@"; do echo "$setting"; done
    } | as_server tee -a "$CLUSTER/data/postgresql.conf" >/dev/null
    cluster_up
}

cluster_up() {
    as_server "$STAGED_BIN/pg_ctl" -D "$CLUSTER/data" -l "$CLUSTER/server.log" -w -t 60 start >"$CLUSTER/start.log" 2>&1 ||
        { cat "$CLUSTER/start.log" "$CLUSTER/server.log" >&2; return 1; }
}

cluster_down() {    # [mode]
    [ -n "${STAGED_BIN:-}" ] || return 0
    as_server "$STAGED_BIN/pg_ctl" -D "$CLUSTER/data" -m "${1:-fast}" -w -t 60 stop >/dev/null 2>&1 || true
}

cluster_restart() { cluster_down "${1:-fast}"; cluster_up; }

cluster_stop() {
    [ -n "${CLUSTER:-}" ] || return 0
    cluster_down immediate
    rm -rf "$CLUSTER"
    CLUSTER=
}

# psql without surprises: no rc file, stop at the first error
sql() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }
# one value of a query in database $1
value() { sql -At -d "$1" -c "$2"; }
