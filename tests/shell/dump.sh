#!/usr/bin/env bash
# A filled database comes back identical from every kind of dump: every table by checksum, sequences, policies, triggers,
# functions, and what the owner added: a column, an index, a policy, a partitioned table with a partition.
# long: 90 s
set -eu
. "$REPO/tests/helpers/cluster.sh"
status=0

fresh_database dump_src
sql -d dump_src >/dev/null <<'Q'
SELECT crm.generate_demo(1, 42);
SELECT crm.fold_rollups();
ALTER TABLE crm.accounts ADD COLUMN dba_rating integer DEFAULT 3;
UPDATE crm.accounts SET dba_rating = 5 WHERE employees > 100;
CREATE INDEX dba_rating_idx ON crm.accounts (tenant_id, dba_rating);
CREATE POLICY dba_policy ON crm.accounts FOR SELECT TO PUBLIC USING (dba_rating = 99);
CREATE TABLE crm.dba_archive (LIKE crm.activities INCLUDING DEFAULTS) PARTITION BY RANGE (created_at);
CREATE TABLE crm.dba_archive_old PARTITION OF crm.dba_archive FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE crm.dba_archive_new PARTITION OF crm.dba_archive FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
INSERT INTO crm.dba_archive SELECT * FROM crm.activities LIMIT 500;
Q

# everything that must come back, one line each
fingerprint() {
    sql -At -d "$1" <<'Q'
SET search_path = pg_catalog;
SET extra_float_digits = 3;
SELECT format('SELECT %L, count(*), md5(coalesce(string_agg(r, E''\n'' ORDER BY r COLLATE "C"), '''')) FROM (SELECT t::text AS r FROM %I.%I AS t) AS x',
              n.nspname || '.' || c.relname, n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('crm', 'crm_analytics', 'crm_internal') AND c.relkind IN ('r', 'p') ORDER BY n.nspname, c.relname
\gexec
SELECT format('SELECT %L, last_value, is_called FROM %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname IN ('crm', 'crm_analytics', 'crm_internal') AND c.relkind = 'S' ORDER BY 1
\gexec
SELECT 'policy', schemaname, tablename, policyname, permissive, roles, cmd, qual, with_check FROM pg_policies ORDER BY 2, 3, 4;
SELECT 'index', schemaname, indexname, indexdef FROM pg_indexes WHERE schemaname LIKE 'crm%' ORDER BY 2, 3;
SELECT 'trigger', t.tgrelid::regclass, t.tgname, t.tgenabled, pg_get_triggerdef(t.oid) FROM pg_trigger AS t WHERE NOT t.tgisinternal
ORDER BY t.tgrelid::regclass::text COLLATE "C", t.tgname COLLATE "C";
SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace::regnamespace::text LIKE 'crm%'
ORDER BY conrelid::regclass::text COLLATE "C", conname COLLATE "C", 4;
SELECT 'function', p.oid::regprocedure::text COLLATE "C", md5(pg_get_functiondef(p.oid)),
       (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) AS a) FROM pg_proc AS p
WHERE p.pronamespace::regnamespace::text LIKE 'crm%' AND p.prokind = 'f' ORDER BY 2;
SELECT 'relation', n.nspname, c.relname COLLATE "C", c.relkind, c.relrowsecurity,
       (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) AS a) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname LIKE 'crm%' AND c.relkind IN ('r', 'p', 'v', 'S') ORDER BY 2, 3;
SELECT 'comment', md5(string_agg(c.d, E'\n' ORDER BY c.d COLLATE "C")) FROM (
    SELECT pg_describe_object(classoid, objoid, objsubid) || ': ' || description AS d FROM pg_description) AS c WHERE c.d LIKE '%crm%';
Q
}
# rows of a table may lie in another order
schema_of() { pg_dump "$1" | grep -vE '^\\(un)?restrict ' | LC_ALL=C sort; }

fingerprint dump_src >"$WORK/src"
schema_of dump_src >"$WORK/src.dump"
grep -q '^crm.opportunities|[1-9]' "$WORK/src" || { echo "nothing to dump"; exit 1; }

check() {   # name of the copy
    fingerprint "$1" >"$WORK/$1"
    if ! diff -u "$WORK/src" "$WORK/$1" >"$WORK/$1.diff"; then
        echo "restored by $1, something differs:"; head -40 "$WORK/$1.diff"; status=1
    fi
    if ! schema_of "$1" | diff -u "$WORK/src.dump" - >"$WORK/$1.diff"; then
        echo "a dump of the copy made by $1 differs from the first:"; head -40 "$WORK/$1.diff"; status=1
    fi
}

pg_dump dump_src >"$WORK/plain.sql"
createdb copy_plain; sql -d copy_plain -f "$WORK/plain.sql" >/dev/null; check copy_plain

pg_dump --inserts --rows-per-insert=100 dump_src >"$WORK/inserts.sql"
createdb copy_inserts; sql -d copy_inserts -f "$WORK/inserts.sql" >/dev/null; check copy_inserts

pg_dump -Fc -f "$WORK/custom" dump_src
createdb copy_custom; pg_restore -j4 --exit-on-error -d copy_custom "$WORK/custom"; check copy_custom

pg_dump -Fd -j2 -f "$WORK/directory" dump_src
createdb copy_directory; pg_restore -j4 --exit-on-error -d copy_directory "$WORK/directory"; check copy_directory

# over what is there: later rows, one row less, another version of one
spoil() {       # database
    sql -d "$1" >/dev/null <<'Q'
INSERT INTO crm.accounts (name) VALUES ('After the dump');
UPDATE crm.opportunities SET amount = amount + 1 WHERE amount > 0;
DELETE FROM crm.activities WHERE id = (SELECT max(a.id) FROM crm.activities AS a);
SELECT crm.fold_rollups();
Q
}
spoil copy_custom; pg_restore --clean --if-exists --exit-on-error -d copy_custom "$WORK/custom"; check copy_custom
spoil copy_custom; pg_restore --clean --if-exists --single-transaction -d copy_custom "$WORK/custom"; check copy_custom
spoil copy_plain; pg_dump --clean --if-exists -f "$WORK/clean.sql" dump_src; sql -d copy_plain -f "$WORK/clean.sql" >/dev/null; check copy_plain
dropdb copy_directory; createdb copy_directory; pg_restore --no-owner --single-transaction -d copy_directory "$WORK/custom"; check copy_directory

# schema first, then data: with triggers on it is refused by the first table, without them it is the same
pg_dump -s -f "$WORK/schema.sql" dump_src
pg_dump -a -f "$WORK/data.sql" dump_src 2>/dev/null
pg_dump -a --disable-triggers -f "$WORK/data_off.sql" dump_src 2>/dev/null
dropdb copy_inserts; createdb copy_inserts; sql -d copy_inserts -f "$WORK/schema.sql" >/dev/null
refused() {     # how, command ...
    local how=$1; shift
    if "$@" >"$WORK/refused" 2>&1; then echo "$how was not refused"; status=1; fi
    grep -q -- 'a restore of rows alone' "$WORK/refused" && grep -q -- '--disable-triggers' "$WORK/refused" || { echo "$how:"; head -5 "$WORK/refused"; status=1; }
}
refused "psql of a dump -a" sql -d copy_inserts -f "$WORK/data.sql"
refused "pg_restore -a" pg_restore -a --exit-on-error -d copy_inserts "$WORK/custom"
[ "$(value copy_inserts 'SELECT count(*) FROM crm.tenants')" = 0 ] || { echo "what was refused left rows behind"; status=1; }
sql -d copy_inserts -f "$WORK/data_off.sql" >/dev/null
# enabling all triggers made ordinary ones of those that fire for replicas too, which crm.install() mends
fingerprint copy_inserts | sed '/^trigger/s/|O|/|A|/' | diff <(sed '/^trigger/s/|O|/|A|/' "$WORK/src") - >"$WORK/rows.diff" || { echo "-s, then -a:"; head -20 "$WORK/rows.diff"; status=1; }
sql -At -d copy_inserts -c 'SELECT crm.install()' >/dev/null
fingerprint copy_inserts | grep '^trigger' | diff <(grep '^trigger' "$WORK/src") - || { echo "-s, then -a, then install(): triggers differ"; status=1; }
# into an installed one likewise; it is emptied by a restore of everything
createdb copy_installed; sql -d copy_installed -c 'CREATE EXTENSION crm' -c 'SELECT crm.install()' >/dev/null
refused "pg_restore -a into an installed database" pg_restore -a --exit-on-error -d copy_installed "$WORK/custom"
[ "$(value copy_installed 'SELECT count(*) FROM crm.accounts')" = 0 ] || { echo "what was refused left rows behind"; status=1; }
pg_restore --clean --if-exists --exit-on-error -d copy_installed "$WORK/custom"; check copy_installed
dropdb --force copy_installed

# an owner who is no superuser: the superuser makes the extension, the owner restores the rest
sql -d postgres -c 'CREATE ROLE dump_owner LOGIN'
createdb -O dump_owner copy_owner
sql -d copy_owner -c 'CREATE EXTENSION crm' -c "SELECT crm.prepare_owner('dump_owner')" >/dev/null
pg_restore -l "$WORK/custom" | grep -vE ' (SCHEMA - crm|COMMENT - SCHEMA crm|EXTENSION - crm|COMMENT - EXTENSION crm|ACL - SCHEMA crm) ' >"$WORK/list"
pg_restore -U dump_owner --no-owner --exit-on-error -L "$WORK/list" -d copy_owner "$WORK/custom" || { echo "the owner could not restore"; status=1; }
PGUSER=dump_owner fingerprint copy_owner | grep -v '^function\|^relation\|^comment\|^policy' >"$WORK/copy_owner"
grep -v '^function\|^relation\|^comment\|^policy' "$WORK/src" | diff - "$WORK/copy_owner" >"$WORK/owner.diff" || { echo "restored by an owner, something differs:"; head -20 "$WORK/owner.diff"; status=1; }
sql -U dump_owner -d copy_owner -c 'SELECT crm.install()' >/dev/null || status=1

# the copy works: a move is guarded and recorded once, the code runs again over the owner's additions
sql -At -d copy_custom >"$WORK/alive" <<'Q'
SELECT crm.install() LIKE 'up to date%';
BEGIN;
WITH o AS (SELECT o.id FROM crm.opportunities AS o JOIN crm.stages AS s ON s.tenant_id = o.tenant_id AND s.id = o.stage_id WHERE s.type = 'open' LIMIT 1),
     before AS (SELECT count(*) AS n FROM crm.stage_periods AS p, o WHERE p.subject_id = o.id AND p.subject_table = 'opportunities')
SELECT (crm.lose_opportunity(o.id, 'price')).loss_reason = 'price' FROM o, before;
ROLLBACK;
Q
sed -n 1p "$WORK/alive" | grep -qx t && sed -n 2p "$WORK/alive" | grep -qx t || { echo "the copy does not work:"; cat "$WORK/alive"; status=1; }

# DROP EXTENSION must not take the triggers away unasked
if sql -d copy_plain -c 'DROP EXTENSION crm' 2>"$WORK/drop"; then echo "DROP EXTENSION was not refused"; status=1; fi
sql -d copy_owner -c 'DROP OWNED BY dump_owner CASCADE' >/dev/null 2>&1
for db in copy_owner dump_src copy_plain copy_inserts copy_custom copy_directory; do dropdb --force $db; done
sql -d postgres -c 'DROP ROLE dump_owner'
exit $status
