#!/usr/bin/env bash
# docs/reference and the index of decisions are what make docs writes, and everything public has a COMMENT.
set -u
. "$REPO/tests/helpers/cluster.sh"
fresh_database docs_reference || exit 1
mkdir -p "$WORK/docs/reference"
cp "$REPO"/docs/reference/*.md "$WORK/docs/reference/"
status=0
PGDATABASE=docs_reference python3 "$REPO/docs/make_reference.py" "$WORK/docs" --check || status=1
[ -e "$WORK/docs/reference/README.md" ] || exit 1
for part in reference explanation/decisions/README.md; do
    diff -r "$REPO/docs/$part" "$WORK/docs/$part" || { echo "docs/$part (<) is not what make docs writes (>): run make docs"; status=1; }
done
twice=$(cd "$REPO/docs/explanation/decisions" && ls | grep -oE '^[0-9]{4}' | sort | uniq -d)
[ -z "$twice" ] || { echo "two decisions have one number:" $twice; status=1; }
exit $status
