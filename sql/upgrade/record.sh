#!/usr/bin/env bash
# Records a release: the three scripts of the version in crm.control, as they are built from this tree, go to
# released/<version>/. README.md beside this file says what that starts.
set -eu
cd "$(dirname "$0")/../.."
version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" crm.control)
to=sql/upgrade/released/$version
[ ! -e "$to" ] || { echo "$version is released: set the next version in crm.control" >&2; exit 1; }
[ -z "$(git status --porcelain 2>/dev/null)" ] || { echo "commit first: a release is what a commit holds" >&2; exit 1; }
make -s with_llvm=no all
mkdir -p "$to"
for kind in crm crm_tables crm_code; do
    gzip -9 -n -c "sql/$kind--$version.sql" >"$to/$kind.sql.gz"     # -n: the same scripts give the same file
done
ls -l "$to"
echo "Commit these files together with the tag."
