#!/usr/bin/env bash
# Runs every SQL example of the README and of docs/: each page from top to bottom in a fresh
# database with the CRM installed. A block marked "sql no-run" is for reading.
# long: 50 s
set -u
. "$REPO/tests/helpers/cluster.sh"
status=0
pages=$(cd "$REPO" && find README.md docs -name '*.md' | sort)
[ "$(wc -l <<<"$pages")" -gt 10 ] || { echo "hardly any pages were found: $pages"; exit 1; }
for page in $pages; do
    doc=$REPO/$page
    name=docs_$(tr -c 'a-zA-Z0-9\n' '_' <<<"${page%.md}" | tr A-Z a-z)
    awk '/^```sql[[:space:]]*$/ {on = 1; print "-- " FILENAME " line " FNR; next}
         /^```/ {on = 0} on {print}' "$doc" >"$WORK/$name.sql"
    grep -qv '^--' "$WORK/$name.sql" || continue
    case $doc in
        */README.md) createdb "$name";;     # the README installs for itself
        *) fresh_database "$name";;
    esac || { status=1; continue; }
    if ! sql -d "$name" -f "$WORK/$name.sql" >"$WORK/$name.out" 2>"$WORK/$name.err"; then
        echo "an example of $page fails:"
        cat "$WORK/$name.err"
        status=1
    fi
    dropdb --force "$name"
done
exit $status
