# Runs in the namespaces that root_run() made: mounts what a root needs, and runs $INSIDE in $ROOT.
# Not to be run by hand: outside of a mount namespace these mounts would stay.
set -e
mount -t proc proc "$ROOT/proc"
# of the machine's devices only those that do no harm
mount -t tmpfs -o mode=755 dev "$ROOT/dev"
for d in null zero full random urandom tty; do
    : >"$ROOT/dev/$d"
    mount --bind "/dev/$d" "$ROOT/dev/$d"
done
mkdir "$ROOT/dev/shm" "$ROOT/dev/pts"
mount -t tmpfs -o mode=1777 shm "$ROOT/dev/shm"
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%:*}" "$ROOT/dev/${n#*:}"; done
ln -s /proc/self/fd "$ROOT/dev/fd"
# clusters of tests lie in memory where there is plenty of it
memory=$(awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)
if [ "$memory" -ge 8192 ]; then mount -t tmpfs -o "mode=1777,size=$((memory / 2))m" tmp "$ROOT/tmp"; fi
data=/none
if [ -d "$HERE_DATA" ]; then
    mount --bind -o ro "$HERE_DATA" "$ROOT/data"
    data=/data
fi
exec chroot "$ROOT" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb \
    LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive CRM_DATA=$data CRM_CFLAGS="${CRM_CFLAGS--Werror}" \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${JOBS:+JOBS="$JOBS"} \
    ${TEST_LIMIT:+TEST_LIMIT="$TEST_LIMIT"} bash -c "$INSIDE"
