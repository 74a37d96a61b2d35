#!/usr/bin/env bash
# make demo: a private throw-away cluster, the extension, a company, and a working day in it.
#
#   make demo                   a generated company (SIZE=1, SEED=42)
#   make demo DATA=folder       the real sales export, orders and incidents found in that folder
#
# Pages for managers are written to demo-out/. Nothing is left running.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../helpers/cluster.sh"
cd "$repo"
data=${DEMO_DATA:-}
if [ -n "$data" ]; then
    [ -f "$data/sales/sales_pipeline.csv" ] || { echo "no sales/sales_pipeline.csv in $data" >&2; exit 1; }
    data=$(cd "$data" && pwd)
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/crm-demo.XXXXXX")
chmod 755 "$work"
trap 'code=$?; cluster_stop; rm -rf "$work"; exit $code' EXIT
trap 'exit 130' INT TERM

echo "== Building, and starting a private PostgreSQL $("$PG_CONFIG" --version | sed 's/PostgreSQL //') in $work"
cluster_start "$work/cluster"
createdb demo
export PGDATABASE=demo
export PGOPTIONS='-c client_min_messages=warning'
show() { psql -X -v ON_ERROR_STOP=1 -P pager=off -P footer=off -P null='' "$@"; }
out=$repo/demo-out
mkdir -p "$out"
export DEMO_OUT=$out DEMO_DATA=$data SIZE=${SIZE:-1} SEED=${SEED:-42}

for step in "$here"/[0-9]*; do
    case $(basename "$step") in
        *.data.sql) [ -n "$data" ] && show -q -v data="$data" -v out="$out" -f "$step" || [ -z "$data" ];;
        *.generated.sql) [ -z "$data" ] && show -q -v size="$SIZE" -v seed="$SEED" -v out="$out" -f "$step" || [ -n "$data" ];;
        *.sql) show -q -v data="$data" -v out="$out" -f "$step";;
    esac
done

echo
echo "== Pages written (open them in any browser)"
find "$out" -name '*.html' | sort | sed 's/^/   /'
