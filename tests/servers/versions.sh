# make test-versions, for sourcing by run.sh.
#
# A version that is installed here is used as it is. For any other, a Debian root
# is made once from the oldest suite that carries it, and `make test` runs
# inside: it brings its own packages there, so that the set-up of a newcomer is
# tried on each distribution too.

installed_here() {  # version: its pg_config, where server and headers are there
    local config=/usr/lib/postgresql/$1/bin/pg_config
    [ -x "$config" ] && [ -x "/usr/lib/postgresql/$1/bin/initdb" ] && [ -f "$("$config" --includedir-server)/postgres.h" ] && echo "$config"
}

in_a_root() {   # version
    local what="PostgreSQL $1" suite
    [ "$(id -u)" = 0 ] || { skip "$what" "it is not installed here, and making a root of another distribution needs root"; return; }
    can_have_namespaces || { skip "$what" "it is not installed here, and no mount namespace is to be had for a root"; return; }
    archive_open || { skip "$what" "it is not installed here, and there are no packages to make a root from"; return; }
    [ -n "$mirror" ] ||
        { skip "$what" "it is not installed here, and apt reads no Debian archive to make a root from; give one with MIRROR=..."; return; }
    suite=$(archive_suite "postgresql-server-dev-$1") || { skip "$what" "it is not installed here, and no suite of Debian carries it"; return; }
    beside run_in_root "$1" "$what" "$suite"
    ran "$what" $?
}

run_in_root() {     # version, what it is called, suite
    (
        flock -n 9 || { echo "another run uses the root of $3" >&2; exit 1; }
        root_make "$3" || { echo "the root of $3 could not be made" >&2; exit 1; }
        echo "== $2, Debian $3"
        copy_tree "$ROOT/crm" && root_run "$3" "PG_CONFIG=/usr/lib/postgresql/$1/bin/pg_config make -C /crm --no-print-directory test T='$words'"
    ) 9>"$CACHE/$3.lock"
}

test_versions() {
    local version config
    for version in ${VERSIONS:-15 16 17 18}; do
        if config=$(installed_here "$version"); then
            echo "== PostgreSQL $version, installed here"
            suite_with "PostgreSQL $version" "$config" "$words"
        else
            in_a_root "$version"
        fi
    done
}
