#!/usr/bin/env bash
# A run on other servers that is ended takes what it started with it: the suite, its cluster and the copy of the tree.
# long: 20 s
set -u
. "$REPO/tests/helpers/cluster.sh"
cd "$WORK" || exit 1
mkdir -p cache tmp
# a make that takes its time, and one of its children, whatever the suite is made of
mkdir bin
cat >bin/make <<'SH'
#!/usr/bin/env bash
sleep 987 &
echo $! >"$STARTED.child"
echo $$ >"$STARTED"
wait
SH
chmod +x bin/make
version=$(pg_where version | grep -oE '[0-9]+' | head -1)
[ -f "$(pg_where includedir-server)/postgres.h" ] && [ -x "/usr/lib/postgresql/$version/bin/pg_config" ] || { echo "no server in /usr/lib/postgresql"; exit 77; }
for signal in TERM INT; do
    rm -f started started.child
    # a shell that ignores INT passes that on to what it starts beside itself, so it is started with a handler of its own
    PATH=$WORK/bin:$PATH STARTED=$WORK/started CACHE=$WORK/cache TMPDIR=$WORK/tmp VERSIONS=$version \
        perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$REPO/tests/servers/run.sh" versions nothing >out 2>&1 &
    run=$!
    for _ in $(seq 100); do [ -s started ] && [ -s started.child ] && break; sleep 0.1; done
    [ -s started ] || { cat out; fail "it did not begin"; }
    kill -$signal $run
    wait $run; code=$?
    [ "$code" = "$([ $signal = TERM ] && echo 143 || echo 130)" ] || fail "$signal: it ended with $code"
    for process in $(cat started started.child); do
        kill -0 "$process" 2>/dev/null && fail "$signal: process $process of the suite goes on"
    done
    [ -z "$(ls tmp)" ] || fail "$signal: it left $(ls tmp)"
done
exit 0
