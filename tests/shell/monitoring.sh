#!/usr/bin/env bash
# Each query of docs/howto/monitoring.md for postgres_exporter runs as a role that is in pg_monitor and nothing else, in the database with the CRM, and
# gives the columns that it declares, each with a usage the exporter knows. Where Debian's prometheus-postgres-exporter is there it reads them too.
# long: 20 s
set -eu
. "$REPO/tests/helpers/cluster.sh"
fresh_database monitored
sql -d monitored -c "DROP ROLE IF EXISTS regress_monitor" -c "CREATE ROLE regress_monitor LOGIN IN ROLE pg_monitor" \
    -c "ALTER TABLE crm.leads DISABLE TRIGGER leads_after_segment"
finish() { sql -d postgres -c 'DROP DATABASE monitored WITH (FORCE)' -c 'DROP ROLE regress_monitor'; }
trap finish EXIT

# the indented block of the page, as the file it is said to be
awk '/^## For postgres_exporter/ {inside = 1; next} /^## / {inside = 0} inside && /^    / {print substr($0, 5)}' \
    "$REPO/docs/howto/monitoring.md" >"$WORK/queries.yaml"
python3 - "$WORK/queries.yaml" >"$WORK/queries.tsv" <<'PY'
import re, sys
name = query = None
metrics = []
def put():
    if name:
        print('\t'.join((name, ','.join(metrics), query)))
for line in open(sys.argv[1]):
    if re.match(r'[a-z_]+:$', line):
        put()
        name, query, metrics = line.strip()[:-1], None, []
    elif line.startswith('  query: '):
        query = line.split(': ', 1)[1].strip().strip('"')
    elif line.startswith('    - '):
        metric, usage = re.match(r'    - ([a-z_]+): \{usage: (LABEL|GAUGE|COUNTER|DURATION|HISTOGRAM|DISCARD), description: ".+"\}$', line).groups()
        metrics.append(metric)
    elif line.strip() not in ('metrics:', ''):
        sys.exit('not understood: ' + line)
put()
PY
n=0
while IFS=$'\t' read -r name metrics query; do
    n=$((n + 1))
    got=$(PGUSER=regress_monitor psql -X -q -v ON_ERROR_STOP=1 -d monitored -A -F, -P footer=off -c "$query") || fail "$name: the query fails"
    [ "$(echo "$got" | head -1)" = "$metrics" ] || fail "$name gives $(echo "$got" | head -1), and declares $metrics"
    [ "$name" != crm_health ] || echo "$got" | grep -q '^error,disabled_trigger,1$' || fail "crm_health does not count what crm.health() finds: $got"
done <"$WORK/queries.tsv"
[ $n -ge 2 ] || fail "the page holds $n queries"

exporter=$(command -v prometheus-postgres-exporter || true)
[ -n "$exporter" ] || exit 0
port=$((20000 + PGPORT % 10000))
DATA_SOURCE_NAME="postgresql://regress_monitor@/monitored?host=$PGHOST&port=$PGPORT&sslmode=disable" \
    "$exporter" --web.listen-address="127.0.0.1:$port" --disable-default-metrics --disable-settings-metrics --extend.query-path="$WORK/queries.yaml" \
    >"$WORK/exporter.log" 2>&1 &
exporter_pid=$!
trap 'kill $exporter_pid 2>/dev/null; finish' EXIT
page=
for _ in $(seq 50); do
    page=$(python3 -c "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:$port/metrics').read().decode())" 2>/dev/null) && break
    sleep 0.2
done
echo "$page" | grep -q '^crm_health_findings{.*finding="disabled_trigger".*severity="error".*} 1' || fail "the exporter shows no finding: $(tail -3 "$WORK/exporter.log")"
