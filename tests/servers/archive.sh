# Packages as this machine's apt knows them, for sourcing:
#
#   need FILE-OR-COMMAND PACKAGE ...  bring packages of this machine that a script needs
#   archive_open                      read the lists: of the machine's sources, and of all suites of Debian's archive
#   archive_suite PACKAGE             the oldest suite (by code name) that carries a package
#   archive_source PACKAGE            download a source package into the current folder
#   archive_debootstrap SUITE DIR
#
# Lists and apt's state are kept below $CACHE; the machine's own sources are read
# and never changed. No host is named here: the archive is the one that apt reads
# on this machine, or MIRROR.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
suites="oldoldstable oldstable stable testing unstable"
as_root=
if [ "$(id -u)" != 0 ]; then as_root=sudo; fi

why_not() { echo "$*" >&2; return 1; }

need() {
    local missing=()
    while [ $# -gt 0 ]; do
        [ -e "$1" ] || command -v "$1" >/dev/null 2>&1 || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    command -v apt-get >/dev/null 2>&1 || { why_not "these packages are missing, and there is no apt-get: ${missing[*]}"; return; }
    [ -z "$as_root" ] || command -v sudo >/dev/null 2>&1 || { why_not "these packages are missing: ${missing[*]}"; return; }
    echo "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1 ||
        why_not "could not install ${missing[*]}"
}

machines_mirror() { # the first place apt reads Debian's own packages from
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(SITE)' 'Created-By: Packages' 2>/dev/null |
        awk '$1 == "Debian" && $2 == "Debian" && $3 ~ /^(https?|file|copy):/ {print $3; exit}'
}

archive_apt() { # command ...: an apt tool on the lists below $CACHE
    local tool=$1; shift
    "$tool" -o Dir::Etc::SourceList="$CACHE/apt/sources.list" -o Dir::Etc::SourceParts="$CACHE/apt/parts" \
        -o Dir::State::Lists="$CACHE/apt/lists" -o Dir::Cache="$CACHE/apt/cache" -o APT::Sandbox::User=root "$@"
}

# The machine's sources, with source packages.
machines_sources() {
    local f
    rm -rf "$CACHE/apt/parts" && mkdir -p "$CACHE/apt/parts"
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ ! -e "$f" ] || sed -n 's/^deb \(.*\)/deb \1\ndeb-src \1/p' "$f" >"$CACHE/apt/parts/$(basename "$f" .list).list"
    done
    for f in /etc/apt/sources.list.d/*.sources; do
        [ ! -e "$f" ] || sed 's/^Types: .*/Types: deb deb-src/' "$f" >"$CACHE/apt/parts/$(basename "$f")"
    done
}

# Debian's suites by the names that do not age.
archive_sources() {
    local suite
    mirror=${MIRROR:-$(machines_mirror)}
    if [ -z "$mirror" ]; then
        $as_root apt-get update -qq >/dev/null 2>&1 || true
        mirror=$(machines_mirror)
    fi
    for suite in ${mirror:+$suites}; do
        echo "deb [signed-by=$keyring] $mirror $suite main"
        echo "deb-src [signed-by=$keyring] $mirror $suite main"
    done
}

opened=
archive_open() {
    [ -z "$opened" ] || return 0
    command -v apt-get >/dev/null 2>&1 || { why_not "there is no apt-get here"; return; }
    need "$keyring" debian-archive-keyring || return
    mkdir -p "$CACHE/apt/lists/partial" "$CACHE/apt/cache/archives/partial"
    machines_sources
    archive_sources >"$CACHE/apt/sources.list"
    # a mirror need not carry every suite: what could be read is used
    archive_apt apt-get update -qq >"$CACHE/apt/update.log" 2>&1 || true
    archive_apt apt-get indextargets --format '$(CODENAME)' 'Created-By: Packages' | grep -q . ||
        { cat "$CACHE/apt/update.log" >&2; why_not "no list of packages could be read"; return; }
    opened=yes
}

archive_suite() {
    local suite carried
    carried=$(archive_apt apt-cache madison "$1" 2>/dev/null)
    for suite in $suites; do
        if echo "$carried" | grep -qE " $suite/main [a-z0-9]+ Packages"; then
            archive_apt apt-get indextargets --format '$(RELEASE) $(CODENAME)' 'Created-By: Packages' |
                awk -v suite="$suite" '$1 == suite {print $2; exit}'
            return
        fi
    done
    return 1
}

# A list may name what its mirror no longer has: the newest version that can be had.
archive_source() {
    local version
    for version in $(source_versions "$1"); do
        archive_apt apt-get source --download-only -qq "$1=$version" && return 0
        rm -f "${1}_"*
    done
    return 1
}
source_versions() { archive_apt apt-cache showsrc "$1" 2>/dev/null | sed -n 's/^Version: //p' | sort -Vru; }

archive_debootstrap() {
    local script=
    # a suite younger than this debootstrap is made like unstable
    [ -e "/usr/share/debootstrap/scripts/$1" ] || script=sid
    debootstrap --variant=minbase --keyring="$keyring" "$1" "$2" "$mirror" $script
}
