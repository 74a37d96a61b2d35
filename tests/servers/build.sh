# Servers that check themselves, built from source, for sourcing by run.sh.
#
#   asserts      PostgreSQL's assertions, and memory that is overwritten when freed; memory
#                contexts tell valgrind what is allocated, so that it can be run under it
#   sanitizers   asserts; server and extension with AddressSanitizer, which memory contexts
#                and the buffer pool tell what may be touched (poison/); the extension with
#                UndefinedBehaviorSanitizer too
#
# The source is the package of the machine's apt sources or of Debian's suites. A
# server is built once and kept in $CACHE/servers until its source or flags change.

# Chosen for what they do in C; a whole run under valgrind takes hours.
VALGRIND_TESTS="escalation money custom_fields process_rules segments rollup_fold rollup_exact import text row_facts business_time jalali"

server_to_build() { # the number of the version
    local n
    if [ -n "${SERVER:-}" ]; then echo "$SERVER"; return; fi
    n=$("${PG_CONFIG:-pg_config}" --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')
    for n in $n 18 17 16 15; do
        [ -z "$(source_versions "postgresql-$n")" ] || { echo "$n"; return; }
    done
    return 1
}

build_flags() {     # kind
    case $1 in
        asserts) echo "-O1 -g -fno-omit-frame-pointer -DUSE_VALGRIND";;
        sanitizers) echo "-O1 -g -fno-omit-frame-pointer -DUSE_VALGRIND -fsanitize=address -I$BUILT/poison";;
    esac
}

contribs() {        # goal: the modules that tests use
    local module
    for module in btree_gist amcheck dblink pg_stat_statements; do make -s -C "contrib/$module" "$@" || return; done
}

compile() {         # number, flags: in an empty folder, into $BUILT
    archive_source "postgresql-$1" && tar xf postgresql-"$1"_*.orig.tar.* && cd postgresql-*/ || return
    # leaks of programs that end by exit() are none
    export ASAN_OPTIONS=detect_leaks=0
    cp ./src/tools/valgrind.supp "$BUILT/" &&
        ./configure --prefix="$BUILT" --enable-cassert --enable-debug --with-libxml --with-icu --without-readline CFLAGS="$2" &&
        make -s -j"$(nproc)" && contribs &&
        make -s install && contribs install
}

compile_in() { cd "$1" && compile "$2" "$3"; }    # folder, number, flags

# Sets BUILT to the folder of the server, built if need be.
build_server() {    # kind, number
    local kind=$1 number=$2 version flags mark work code
    version=$(source_versions "postgresql-$number" | head -1)
    [ -n "$version" ] || { why_not "no source package of PostgreSQL $number is to be had"; return; }
    BUILT=$CACHE/servers/$number-$kind
    flags=$(build_flags "$kind")
    mark="$version $flags $(cat "$servers/build.sh" "$servers/poison/valgrind/memcheck.h" "$servers/poison/valgrind/valgrind.h" | cksum)"
    [ -z "${FRESH:-}" ] || rm -f "$BUILT/.complete"
    if [ "$(cat "$BUILT/.complete" 2>/dev/null)" = "$mark" ]; then return 0; fi
    need gcc gcc make make bison bison flex flex perl perl bzip2 bzip2 xz xz-utils \
        /usr/include/zlib.h zlib1g-dev /usr/include/libxml2/libxml/parser.h libxml2-dev /usr/include/unicode/ucol.h libicu-dev pkg-config pkg-config || return
    [ "$kind" != asserts ] || need /usr/include/valgrind/memcheck.h valgrind || return
    echo "building PostgreSQL $version for $kind in $BUILT"
    rm -rf "$BUILT" && mkdir -p "$BUILT" && cp -r "$servers/poison" "$BUILT/"
    work=$(mktemp -d "${TMPDIR:-/tmp}/crm-build.XXXXXX"); made+=("$work")
    beside compile_in "$work" "$number" "$flags" >"$BUILT/build.log" 2>&1
    code=$?
    rm -rf "$work"
    [ $code = 0 ] || { tail -20 "$BUILT/build.log" >&2; why_not "PostgreSQL $version could not be built"; return; }
    echo "$mark" >"$BUILT/.complete"
}

test_built() {      # kind, words
    local kind=$1 number
    archive_open || { skip "$kind" "no source of PostgreSQL is to be had"; return; }
    number=$(server_to_build) || { skip "$kind" "no source package of a supported PostgreSQL is to be had"; return; }
    build_server "${kind/valgrind/asserts}" "$number" || { skip "$kind" "the server could not be built"; return; }
    echo "== PostgreSQL $number with $kind"
    case $kind in
        sanitizers)
            # fake stacks make PostgreSQL's measure of its stack meaningless; what it holds at exit is no leak
            export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:disable_coredump=1
            export UBSAN_OPTIONS=print_stacktrace=1
            # warnings of a build with sanitizers are not to be trusted
            export CRM_CFLAGS="-fsanitize=undefined,float-cast-overflow"
            export TEST_LIMIT=${TEST_LIMIT:-1500};;
        valgrind)
            SERVER_WRAP="valgrind --quiet --leak-check=no --gen-suppressions=no --time-stamp=no --suppressions=$BUILT/valgrind.supp --num-callers=25"
            export SERVER_WRAP TEST_LIMIT=${TEST_LIMIT:-3000};;
    esac
    suite_with "PostgreSQL $number with $kind" "$BUILT/bin/pg_config" "$2"
}
