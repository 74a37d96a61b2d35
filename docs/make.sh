#!/usr/bin/env bash
# make docs: installs the CRM in a private cluster and writes docs/reference and the index of decisions anew.
set -eu
. "$(cd "$(dirname "$0")/.." && pwd)/tests/helpers/cluster.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/crm-docs.XXXXXX")
chmod 755 "$work"    # the server runs as another user where root makes it
trap 'cluster_stop; rm -rf "$work"' EXIT
cluster_start "$work/cluster"
fresh_database crm_docs
PGDATABASE=crm_docs python3 "$repo/docs/make_reference.py" "$repo/docs" --check
