#!/usr/bin/env bash
# Every trigger that a file makes is there after one crm.install(): none is replaced or taken away by another part that uses the same name.
. "$REPO/tests/helpers/cluster.sh"
createdb triggers_made && sql -d triggers_made -c 'CREATE EXTENSION crm' -c 'SELECT crm.install()' >/dev/null || fail "the CRM cannot be installed"
# the generated text holds what the files say, in one place; of names with a number made up there only those of files
grep -hoE '^CREATE (OR REPLACE )?(CONSTRAINT )?TRIGGER [a-z_0-9]+' "$REPO"/sql/*/tables/*.sql "$REPO"/sql/*/code/*.sql "$REPO"/sql/*/last/*.sql |
    awk '{print $NF}' | sort >"$WORK/said"
[ "$(wc -l <"$WORK/said")" -gt 100 ] || fail "no triggers found in the files"
sort -u "$WORK/said" | while read -r name; do
    printf "%s\n" "$(grep -cx "$name" "$WORK/said") $name"
done >"$WORK/wanted"
sql -At -F ' ' -d triggers_made -c "SELECT count(*), tgname FROM pg_trigger WHERE NOT tgisinternal GROUP BY tgname ORDER BY tgname COLLATE \"C\"" >"$WORK/there"
missing=$(awk 'NR == FNR { there[$2] = $1; next } there[$2] + 0 < $1 { print $2 }' "$WORK/there" "$WORK/wanted")
[ -z "$missing" ] || fail "triggers that are not there: $missing"
dropdb triggers_made
