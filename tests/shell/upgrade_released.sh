#!/usr/bin/env bash
# Every release that sql/upgrade/record.sh recorded becomes by its upgrade what a fresh installation is, and keeps its rows. So a
# released file of tables that changes without a step fails here, and so does what has gone without being retired.
# That this test notices is tried with a made-up release.
# long: 55 s
set -u
. "$REPO/tests/helpers/cluster.sh"
. "$REPO/tests/helpers/release.sh"
version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$REPO/crm.control")
status=0
fresh_database fresh || exit 1
for dir in "$REPO"/sql/upgrade/released/*/; do
    [ -e "$dir" ] || continue
    name=$(basename "$dir")
    if release_make "$dir" "$name" && release_upgrades "$name"; then echo "ok: release $name"; else status=1; fi
done

# ---- a made-up release 0.9: today's scripts, and more ----
made=$WORK/0.9; mkdir -p "$made" "$WORK/plain"
plain() { for kind in crm crm_tables crm_code; do cp "$STAGED_EXTENSION/$kind--$version.sql" "$WORK/plain/$kind.sql"; done; }
record() {
    for kind in crm crm_tables crm_code; do gzip -n -c "$WORK/plain/$kind.sql" >"$made/$kind.sql.gz"; done
    release_make "$made" 0.9 || exit 1
}
step() {    # what the steps do: of the extension, of the tables
    printf '%s\n' "$1" >"$STAGED_EXTENSION/crm--0.9--$version.sql"
    printf '%s\n' "$2" >"$STAGED_EXTENSION/crm_tables--0.9--$version.sql"
}
code=$STAGED_EXTENSION/crm_code--$version.sql
cp "$code" "$WORK/code.sql"
trap 'cp "$WORK/code.sql" "$code"; rm -f "$STAGED_EXTENSION"/crm*--0.9--*.sql' EXIT
retire() { cp "$WORK/code.sql" "$code"; [ -z "$1" ] || printf '%s\n' "$1" >>"$code"; }
try() {     # yes|no, what is tried, words that the complaint holds
    local out=$WORK/try.log
    if release_upgrades 0.9 >"$out" 2>&1; then got=yes; else got=no; fi
    [ "$got" = "$1" ] && { [ -z "${3:-}" ] || grep -q "$3" "$out"; } && { echo "ok: $2"; return; }
    echo "$2: expected $1, got $got, with"; head -20 "$out"; status=1
}

plain; step '' ''; retire ''; record
try yes "a release like today's needs nothing"

# the release had no active in price_books, and one function, view, trigger and member that are gone
sed -i '/^CREATE TABLE crm.price_books/,/^);/{/^    active /d}; /ON COLUMN crm.price_books.active /,/;$/d' "$WORK/plain/crm_tables.sql"
cmp -s "$WORK/plain/crm_tables.sql" "$STAGED_EXTENSION/crm_tables--$version.sql" && { echo "the made-up release has today's tables"; status=1; }
cat >>"$WORK/plain/crm_code.sql" <<'Q'
CREATE FUNCTION crm.gone(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n';
CREATE VIEW crm_analytics.gone AS SELECT crm.gone(1) AS one;
CREATE FUNCTION crm.gone_too() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER accounts_after_gone AFTER UPDATE ON crm.accounts FOR EACH ROW EXECUTE FUNCTION crm.gone_too();
Q
cat >>"$WORK/plain/crm.sql" <<'Q'
CREATE FUNCTION crm.gone_member() RETURNS text LANGUAGE c AS 'MODULE_PATHNAME', 'crm_gone_member';
Q
record
members='DROP FUNCTION crm.gone_member();'
tables="ALTER TABLE crm.price_books ADD COLUMN active boolean NOT NULL DEFAULT true; $(sed -n '/ON COLUMN crm.price_books.active /,/;$/p' "$STAGED_EXTENSION/crm_tables--$version.sql")"
retired='DROP VIEW IF EXISTS crm_analytics.gone;
DROP FUNCTION IF EXISTS crm.gone(bigint);
DROP TRIGGER IF EXISTS accounts_after_gone ON crm.accounts;
DROP FUNCTION IF EXISTS crm.gone_too();'
step "$members" ''; retire "$retired"
try no "tables that changed without a step are found" 'price_books|active'
step "$members" "$tables"; retire ''
try no "functions that went without a line in retired are found" 'crm.gone(bigint)'
step "$members" "$tables"; retire "${retired#*;}"
try no "a retired function that a view of an earlier release still reads stops the upgrade" 'gone'
step '' "$tables"; retire "$retired"
try no "a member that went without a step is found" 'gone_member'
step "$members" "$tables DELETE FROM crm.activities WHERE id % 2 = 0;"; retire "$retired"
try no "lost rows are found" 'crm.activities had'
step "$members" "$tables"; retire "$retired"
try yes "with both steps and what is retired it becomes today's"

# code of then in the way of code of today: a result that CREATE OR REPLACE cannot change
plain
cat >>"$WORK/plain/crm_code.sql" <<'Q'
DROP FUNCTION crm.find_accounts(text, integer);
CREATE FUNCTION crm.find_accounts(query text, n integer DEFAULT 20) RETURNS TABLE (found bigint) LANGUAGE sql AS 'SELECT 1::bigint';
Q
record; step '' ''; retire ''
try no "code that cannot be made over a release's is found" 'cannot change'
step '' 'DROP FUNCTION crm.find_accounts(text, integer);'
try yes "until the step drops what was"
for db in fresh release_empty release_filled upgraded; do dropdb --if-exists --force $db; done
exit $status
