#!/usr/bin/env bash
# Brings what building and testing need, and only what is missing, through the
# package manager. Says what it does. Does nothing where all is there.
#
#   tests/helpers/setup.sh         for everything
#   tests/helpers/setup.sh lint    for make lint alone
set -eu

pg_config=${PG_CONFIG:-pg_config}
missing=()

command -v python3 >/dev/null 2>&1 || missing+=(python3)
if [ "${1:-}" != lint ]; then
command -v gcc >/dev/null 2>&1 || missing+=(gcc libc6-dev)
if ! command -v "$pg_config" >/dev/null 2>&1 ||
   [ ! -f "$("$pg_config" --includedir-server 2>/dev/null)/postgres.h" ] ||
   [ ! -f "$("$pg_config" --pgxs 2>/dev/null)" ]; then
    missing+=(postgresql-server-dev-15)
fi
if ! { command -v "$pg_config" >/dev/null 2>&1 && [ -x "$("$pg_config" --bindir)/initdb" ] &&
       [ -x "$("$pg_config" --bindir)/postgres" ] && [ -x "$("$pg_config" --bindir)/pgbench" ]; } &&
   [ ! -x /usr/lib/postgresql/15/bin/initdb ]; then
    missing+=(postgresql-15 postgresql-client-15)
fi
[ -f /usr/include/sodium.h ] || missing+=(libsodium-dev)
fi

[ ${#missing[@]} -eq 0 ] && exit 0

echo "setup: these Debian packages are missing and needed: ${missing[*]}"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: no apt-get here; install a C compiler, PostgreSQL 15 with its server headers, libsodium and python3" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    echo "setup: run as root, or install them: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "setup: apt-get install --no-install-recommends ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
install() { $as_root apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
install || { $as_root apt-get update >>"$log" 2>&1 && install; } || { cat "$log" >&2; exit 1; }
rm -f "$log"
