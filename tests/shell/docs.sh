#!/usr/bin/env bash
# Runs every SQL example of the README and of docs/: each file from top to bottom in a fresh
# database with the CRM installed. A block marked "sql no-run" is for reading.
set -u
. "$REPO/tests/helpers/cluster.sh"
status=0
for doc in "$REPO/README.md" "$REPO"/docs/*.md; do
    [ -e "$doc" ] || continue
    name=docs_$(basename "$doc" .md | tr -c 'a-zA-Z0-9\n' '_' | tr A-Z a-z)
    awk '/^```sql[[:space:]]*$/ {on = 1; print "-- " FILENAME " line " FNR; next}
         /^```/ {on = 0} on {print}' "$doc" >"$WORK/$name.sql"
    grep -qv '^--' "$WORK/$name.sql" || continue
    createdb "$name"
    case $doc in
        */README.md) ;;     # the README installs for itself
        *) sql -d "$name" -c 'CREATE EXTENSION crm' -c 'SELECT crm.install()' >/dev/null || status=1;;
    esac
    if ! sql -d "$name" -f "$WORK/$name.sql" >"$WORK/$name.out" 2>"$WORK/$name.err"; then
        echo "an example of $(basename "$doc") fails:"
        cat "$WORK/$name.err"
        status=1
    fi
    dropdb --force "$name"
done
exit $status
