# Debian roots, for sourcing after archive.sh:
#
#   can_have_namespaces
#   root_make SUITE           make the root of a suite if it is not there; sets ROOT
#   root_run SUITE COMMAND    run a shell command inside
#
# A root is a folder below $CACHE/roots. It keeps what was installed into it, so
# that the second run is fast; /crm in it is the tree under test, made anew by
# each run. Every mount stands in a mount namespace and every process in a
# process namespace of its own: both end with the run, however it ends.

can_have_namespaces() { unshare --mount --propagation private --pid --fork true 2>/dev/null; }

root_make() {
    local room
    ROOT=$CACHE/roots/$1
    # the mark is made last: a root without it was interrupted
    [ -z "${FRESH:-}" ] || rm -f "$ROOT/.complete"
    [ ! -e "$ROOT/.complete" ] || return 0
    need debootstrap debootstrap || return
    mkdir -p "$CACHE/roots" && rm -rf "$ROOT"
    room=$(df -Pm "$CACHE/roots" | awk 'NR == 2 {print $4}')
    [ "$room" -ge 4096 ] || { why_not "$CACHE has $room MB left, a root needs 4096: give another folder with CACHE=..."; return; }
    echo "making a root of Debian $1 in $ROOT"
    archive_debootstrap "$1" "$ROOT" >"$ROOT.log" 2>&1 || { tail -5 "$ROOT.log" >&2; return 1; }

    # packages start no service and make no cluster in there
    printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"
    chmod 755 "$ROOT/usr/sbin/policy-rc.d"
    mkdir -p "$ROOT/etc/postgresql-common"
    echo 'create_main_cluster = false' >"$ROOT/etc/postgresql-common/createcluster.conf"
    # the archive is reached from inside as from here
    apt-config dump | grep -iE '^Acquire::(http|https)::(proxy|verify)' >"$ROOT/etc/apt/apt.conf.d/90machine"
    root_run "$1" "apt-get update -qq && apt-get install -y -qq --no-install-recommends make" >>"$ROOT.log" 2>&1 ||
        { tail -5 "$ROOT.log" >&2; return 1; }
    : >"$ROOT/.complete"
}

root_run() {
    ROOT=$CACHE/roots/$1
    mkdir -p "$ROOT/crm" "$ROOT/data"
    # -L: often a link to a file that does not exist inside
    rm -f "$ROOT/etc/resolv.conf"; cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf" 2>/dev/null
    ROOT=$ROOT INSIDE=$2 HERE_DATA=${CRM_DATA:-$repo/../shared/data} \
        unshare --mount --propagation private --pid --fork --kill-child bash "$servers/inside.sh"
}
