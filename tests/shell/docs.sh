#!/usr/bin/env bash
# Runs the SQL examples of the README and of docs/ and compares what they print with what the page says: each page from top
# to bottom in a fresh database with the CRM installed. tests/helpers/doc_examples.pl says how examples are written.
# ACCEPT=1 writes what was printed into the pages: read the difference.
# long: 50 s
set -u
. "$REPO/tests/helpers/cluster.sh"
status=0
pages=$(cd "$REPO" && find README.md docs -name '*.md' | sort)
[ "$(wc -l <<<"$pages")" -gt 10 ] || { echo "hardly any pages were found: $pages"; exit 1; }
examples() { perl "$REPO/tests/helpers/doc_examples.pl" "$@"; }
n=0
for page in $pages; do
    name=docs_page_$((n += 1))
    examples script "$REPO/$page" >"$WORK/$name.sql" || status=1
    grep -q '^.echo @@ 0 ' "$WORK/$name.sql" || continue       # no examples
    if grep -q '^CREATE EXTENSION crm' "$WORK/$name.sql"; then createdb "$name"     # the page installs for itself
    else fresh_database "$name"
    fi || { status=1; continue; }
    (cd "$WORK" && psql -X -q -d "$name" <"$WORK/$name.sql" >"$WORK/$name.out" 2>&1)
    [ -z "${ACCEPT:-}" ] || examples accept "$REPO/$page" "$WORK/$name.out"
    examples compare "$REPO/$page" "$WORK/$name.out" || status=1
    dropdb --force "$name"
done

# the comparison itself must notice what is not so
self() {    # expected exit code, page
    printf '%s\n' "$2" >"$WORK/self.md"
    examples script "$WORK/self.md" >"$WORK/self.sql"
    psql -X -q -d postgres <"$WORK/self.sql" >"$WORK/self.out" 2>&1
    examples compare "$WORK/self.md" "$WORK/self.out" >"$WORK/self.log"
    [ $? = "$1" ] || { echo "this page should have given $1:"; cat "$WORK/self.md" "$WORK/self.log"; status=1; }
}
fence='```'
block() { printf '%s%s\n%s\n%s\n' "$fence" "$1" "$2" "$fence"; }
self 0 "$(block sql 'SELECT 1 AS a;'; block text $' a\n---\n 1\n(1 row)')"
self 0 "$(block sql 'SELECT g AS a FROM generate_series(1, 9) AS g;'; block text $' a\n---\n 1\n...\n 9')"
self 0 "$(block sql 'SELECT 1 / 0;'; block text 'ERROR:  division by zero')"
self 1 "$(block sql 'SELECT 1 AS a;'; block text $' a\n---\n 2')"
self 1 "$(block sql 'SELECT 1 AS a; SELECT 2 AS b;'; block text $' a\n---\n 1')"
self 1 "$(block sql 'SELECT 1 / 0;')"
self 1 "$(block sql 'SELECT 1 / 0;'; block text $' ?column?\n---\n 0')"
self 1 "$(block sql 'SELECT 1 AS a;'; block text 'ERROR:  division by zero')"
self 1 "$(block sql 'SELECT 1 AS a;'; echo 'prints'; block text $' a\n---\n 1')"
self 1 "$(block '' 'make')"
exit $status
