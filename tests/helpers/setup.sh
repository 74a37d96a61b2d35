#!/usr/bin/env bash
# Brings what building and testing need, and only what is missing, through the
# package manager. Says what it does. Does nothing where all is there.
#
#   tests/helpers/setup.sh         for building and running
#   tests/helpers/setup.sh test    and for the tests: a browser that looks at the pages, a pooler of connections, a mail server
#   tests/helpers/setup.sh lint    for make lint alone
#
# The server is the one of PG_CONFIG; else the one whose headers are installed;
# else the newest that is installed; else the distribution's default.
set -eu

pg_config=${PG_CONFIG:-pg_config}
oldest=15
have_pg_config=
command -v "$pg_config" >/dev/null 2>&1 && have_pg_config=yes

has_headers() {
    [ -n "$have_pg_config" ] && [ -f "$("$pg_config" --includedir-server 2>/dev/null)/postgres.h" ] &&
        [ -f "$("$pg_config" --pgxs 2>/dev/null)" ]
}
has_server() {  # NN
    local bin=/usr/lib/postgresql/$1/bin
    if has_headers; then bin=$("$pg_config" --bindir); fi
    [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && [ -x "$bin/pgbench" ]
}
default_server() {  # the number the distribution's package "postgresql" stands for
    apt-cache depends --important postgresql 2>/dev/null | sed -n 's/^ *Depends: postgresql-\([0-9][0-9]*\)$/\1/p' | head -1
}
server_number() {
    local n
    if has_headers; then
        "$pg_config" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/'
        return
    fi
    # a server that is named and not there yet
    n=$(expr "$pg_config" : '.*/postgresql/\([0-9][0-9]*\)/bin/' || true)
    if [ -z "$n" ] && [ -z "$have_pg_config" ] && [ "$pg_config" != pg_config ]; then
        echo "setup: there is no $pg_config" >&2
        return 1
    fi
    [ -n "$n" ] || n=$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sed 's#^/usr/lib/postgresql/\([0-9]*\)/.*#\1#' | sort -n | tail -1)
    [ -n "$n" ] || n=$(default_server)
    echo "$n"
}

as_root=
if [ "$(id -u)" != 0 ]; then as_root=sudo; fi
lists_are_new=
update_lists() {
    [ -z "$lists_are_new" ] || return 0
    lists_are_new=yes
    $as_root apt-get update
}

has_browser() {
    local b; for b in chromium chromium-browser google-chrome; do command -v $b >/dev/null 2>&1 && return 0; done
    return 1
}
# the package is for the distribution's own python3, whatever comes first in PATH
has_mail_server() {
    local p; for p in python3 /usr/bin/python3; do $p -c 'import aiosmtpd' >/dev/null 2>&1 && return 0; done
    return 1
}
# what recurrence rules are compared with, and what reads calendars; of the distribution's own python3, too
has_module() {
    local p; for p in python3 /usr/bin/python3; do $p -c "import $1" >/dev/null 2>&1 && return 0; done
    return 1
}
has_package() { [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9].*\)/\1/p')" ]; }

missing=()
command -v python3 >/dev/null 2>&1 || missing+=(python3)
if [ "${1:-}" = lint ]; then
    number=none             # no server is needed
else
    command -v gcc >/dev/null 2>&1 || missing+=(gcc libc6-dev)
    [ -f /usr/include/sodium.h ] || missing+=(libsodium-dev)
    number=$(server_number)
    if [ -z "$number" ] && command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || command -v sudo >/dev/null 2>&1; }; then
        update_lists >/dev/null 2>&1 || true
        number=$(server_number)
    fi
    if [ -z "$number" ]; then
        missing+=(postgresql-server-dev-NN postgresql-NN)
    elif [ "$number" -lt $oldest ]; then
        echo "setup: this would be PostgreSQL $number, and crm needs $oldest or later; install one and name its pg_config: make PG_CONFIG=..." >&2
        exit 1
    else
        has_headers || missing+=("postgresql-server-dev-$number")
        has_server "$number" || missing+=("postgresql-$number" "postgresql-client-$number")
    fi
    if [ "${1:-}" = test ] && ! has_browser && command -v apt-get >/dev/null 2>&1; then
        has_package chromium || update_lists >/dev/null 2>&1 || true
        # a distribution without it: the test of pages is skipped and says so
        if has_package chromium; then missing+=(chromium); fi
    fi
    # reads what the browser prints
    if [ "${1:-}" = test ] && ! command -v pdftotext >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
        has_package poppler-utils || update_lists >/dev/null 2>&1 || true
        if has_package poppler-utils; then missing+=(poppler-utils); fi
    fi
    # the mail server that the example sender delivers to
    if [ "${1:-}" = test ] && ! has_mail_server && command -v apt-get >/dev/null 2>&1; then
        has_package python3-aiosmtpd || update_lists >/dev/null 2>&1 || true
        if has_package python3-aiosmtpd; then missing+=(python3-aiosmtpd); fi
    fi
    for module in dateutil icalendar; do
        if [ "${1:-}" = test ] && ! has_module $module && command -v apt-get >/dev/null 2>&1; then
            has_package python3-$module || update_lists >/dev/null 2>&1 || true
            if has_package python3-$module; then missing+=(python3-$module); fi
        fi
    done
    # Debian's package starts a pooler of its own, which nothing here uses
    if [ "${1:-}" = test ] && ! command -v pgbouncer >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
        has_package pgbouncer || update_lists >/dev/null 2>&1 || true
        if has_package pgbouncer; then missing+=(pgbouncer); fi
    fi
fi

[ ${#missing[@]} -eq 0 ] && exit 0

echo "setup: these packages are missing and needed: ${missing[*]}"
if [ -z "$number" ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: cannot install them here; install a C compiler, PostgreSQL $oldest or later with its server headers, libsodium and python3" >&2
    exit 1
fi
if [ -n "$as_root" ] && ! command -v sudo >/dev/null 2>&1; then
    echo "setup: run as root, or install them: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "setup: apt-get install --no-install-recommends ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { $as_root apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
install || { update_lists >>"$log" 2>&1 && install; } || { cat "$log" >&2; exit 1; }
