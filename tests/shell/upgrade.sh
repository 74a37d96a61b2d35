#!/usr/bin/env bash
# Old to new equals fresh, and keeps the rows. The older version is made up: today's tables less a column, a table and a
# constraint, under the version 0.8, with two steps that lead from there to today by way of 0.9.
set -eu
. "$REPO/tests/helpers/cluster.sh"
. "$REPO/tests/helpers/release.sh"
status=0
version=$(sed -n "s/^default_version *= *'\(.*\)'.*/\1/p" "$REPO/crm.control")
tables=$STAGED_EXTENSION/crm_tables--$version.sql

# 0.8: the last column of price_books, the table approvals' note and a check are not there yet
sed -e '/^    active boolean NOT NULL DEFAULT true,$/{N;/price_books_pkey/s/^    active[^\n]*\n//}' \
    -e '/CONSTRAINT quotas_amount_check/d' \
    -e "s/CONSTRAINT quotas_period_check CHECK (NOT isempty(period) AND NOT lower_inf(period) AND NOT upper_inf(period)),/CONSTRAINT quotas_period_check CHECK (NOT isempty(period) AND NOT lower_inf(period) AND NOT upper_inf(period))/" \
    "$tables" >"$WORK/crm_tables--0.8.sql"
cmp -s "$tables" "$WORK/crm_tables--0.8.sql" && { echo "the made-up version equals today's"; exit 1; }
cat >"$STAGED_EXTENSION/crm_tables--0.8--0.9.sql" <<'Q'
ALTER TABLE crm.price_books ADD COLUMN active boolean NOT NULL DEFAULT true;
Q
cat >"$STAGED_EXTENSION/crm_tables--0.9--$version.sql" <<'Q'
ALTER TABLE crm.quotas ADD CONSTRAINT quotas_amount_check CHECK (amount > 0 AND amount <> 'NaN');
Q
trap 'rm -f "$STAGED_EXTENSION"/crm_tables--0.*.sql' EXIT

fresh_database upgrade_fresh

createdb upgrade_old
sql -d upgrade_old -c 'CREATE EXTENSION crm' >/dev/null
sql -d upgrade_old -f "$WORK/crm_tables--0.8.sql" >/dev/null
sql -d upgrade_old >/dev/null <<'Q'
INSERT INTO crm.installation (to_version) VALUES ('0.8');
INSERT INTO crm.currencies (code, name) VALUES ('USD', 'US dollar') ON CONFLICT DO NOTHING;
INSERT INTO crm.tenants (tenant_id, name) VALUES (1, 'Old company');
INSERT INTO crm.price_books (tenant_id, name, currency) VALUES (1, 'Kept', 'USD');
Q
[ "$(value upgrade_old 'SELECT crm.install()')" = "upgraded 0.8 to 0.9 to $version" ] || { echo "the path was not taken"; status=1; }
[ "$(value upgrade_old "SELECT name || active FROM crm.price_books")" = Kepttrue ] || { echo "a row was not kept"; status=1; }
[ "$(value upgrade_old "SELECT string_agg(coalesce(from_version, '-') || '>' || to_version, ' ' ORDER BY id) FROM crm.installation")" = "->0.8 0.8>0.9 0.9>$version" ] ||
    { echo "the steps are not recorded"; status=1; }

schema_of upgrade_fresh >"$WORK/fresh"
schema_of upgrade_old >"$WORK/old"
diff -u "$WORK/fresh" "$WORK/old" >"$WORK/diff" || { echo "upgraded differs from fresh:"; head -40 "$WORK/diff"; status=1; }

# a schema newer than the library, and one without a path, are refused and left alone
sql -d upgrade_old -c "INSERT INTO crm.installation (from_version, to_version) VALUES ('$version', '99.0')" >/dev/null
sql -v VERBOSITY=verbose -d upgrade_old -c 'SELECT crm.install()' 2>"$WORK/newer" && status=1
grep -q CR003 "$WORK/newer" || { echo "a newer schema was not refused:"; cat "$WORK/newer"; status=1; }
sql -d upgrade_old -c "INSERT INTO crm.installation (from_version, to_version) VALUES ('99.0', '0.1')" >/dev/null
sql -v VERBOSITY=verbose -d upgrade_old -c 'SELECT crm.install()' 2>"$WORK/nopath" && status=1
grep -q CR002 "$WORK/nopath" || { echo "a schema without a path was not refused:"; cat "$WORK/nopath"; status=1; }

# a step that fails leaves the old version
sql -d upgrade_fresh -c "INSERT INTO crm.installation (from_version, to_version) VALUES (NULL, '0.9')" >/dev/null
sql -d upgrade_fresh -c 'SELECT crm.install()' 2>"$WORK/failed" && { echo "a failing step did not fail"; status=1; }
grep -q "line 1 of \"crm_tables--0.9--$version.sql\"" "$WORK/failed" || { echo "the error does not name its place:"; cat "$WORK/failed"; status=1; }
[ "$(value upgrade_fresh "SELECT to_version FROM crm.installation ORDER BY id DESC LIMIT 1")" = 0.9 ] || status=1

# an ordinary owner, once a superuser has made the extension and prepared the role
createdb upgrade_owner
sql -d upgrade_owner >/dev/null 2>&1 <<'Q' || true
CREATE ROLE regress_crm_owner LOGIN;
Q
sql -d upgrade_owner -c 'CREATE EXTENSION crm' >/dev/null
PGUSER=regress_crm_owner sql -v VERBOSITY=verbose -d upgrade_owner -c 'SELECT crm.install()' 2>"$WORK/refused" && status=1
sql -d upgrade_owner -c "SELECT crm.prepare_owner('regress_crm_owner')" >/dev/null
PGUSER=regress_crm_owner sql -d upgrade_owner -c 'SELECT crm.install()' >/dev/null || { echo "an ordinary owner cannot install"; status=1; }
[ "$(value upgrade_owner "SELECT pg_catalog.pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'crm.accounts'::regclass")" = regress_crm_owner ] || status=1

# what is in the way is refused, not taken over
createdb upgrade_taken
sql -d upgrade_taken -c 'CREATE SCHEMA crm' -c 'CREATE TABLE crm.mine (x int)' >/dev/null
sql -d upgrade_taken -c 'CREATE EXTENSION crm' 2>"$WORK/taken" && { echo "a filled schema was taken over"; status=1; }
grep -q 'already holds objects' "$WORK/taken" || { cat "$WORK/taken"; status=1; }

# one version everywhere
[ "$(value upgrade_owner "SELECT library || extension || schema FROM crm.version()")" = "$version$version$version" ] || { echo "versions differ"; status=1; }
grep -q "\"version\": \"$version\.0\"" "$REPO/META.json" || { echo "META.json has another version"; status=1; }

for db in upgrade_fresh upgrade_old upgrade_owner upgrade_taken; do dropdb --force $db; done
dropuser regress_crm_owner || true
exit $status
