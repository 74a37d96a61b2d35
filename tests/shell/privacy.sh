#!/usr/bin/env bash
# A person who was erased is in no dump; two may erase at once; what an import writes that was running goes when it is over; an
# older backup brings the person back, and the list of who was erased takes them out again.
# long: 60 s
set -eu
. "$REPO/tests/helpers/cluster.sh"
status=0
pattern='quill|zarathustra|5557701'
told() {    # DATABASE: lines of its dump that tell of the person
    pg_dump "$1" | grep -Eic "$pattern" || true
}
expect() {  # WHAT GOT WANTED
    [ "$2" = "$3" ] || { echo "$1: $2, not $3"; status=1; }
}

fresh_database privacy_src
sql -d privacy_src >/dev/null <<'Q'
SELECT crm.generate_demo(1, 42);
SELECT crm.start_audit();
INSERT INTO crm.contacts (id, name, title, account_id) SELECT 7700, 'Zarathustra Quill', 'quillmaker', min(a.id) FROM crm.accounts AS a;
INSERT INTO crm.contact_points (contact_id, kind, value) VALUES (7700, 'email', 'z.quill@example.org'), (7700, 'phone', '+49 30 5557701');
INSERT INTO crm.activities (kind, subject, contact_id) VALUES ('call', 'Zarathustra Quill', 7700);
INSERT INTO crm.activities (kind, subject) VALUES ('call', 'ask zarathustra quill');
SELECT crm.seal_audit();
CREATE SCHEMA outside;
CREATE TABLE outside.people AS SELECT 'Q-' || n AS code, CASE n WHEN 5 THEN 'Zarathustra Quill' ELSE 'Person ' || n END AS name,
    CASE n WHEN 5 THEN 'z.quill@example.org' ELSE 'person' || n || '@example.net' END AS mail FROM generate_series(1, 9) AS n;
Q
[ "$(told privacy_src)" -gt 5 ] || { echo "the dump does not hold the person: this test can find nothing"; status=1; }
pg_dump -Fc -f "$WORK/older" privacy_src

# an import is under way, has read the person, and is not over
mkfifo "$WORK/go"
psql -Xq -d privacy_src -v ON_ERROR_STOP=1 -f "$WORK/go" >"$WORK/import.out" 2>&1 &
import=$!
exec 7>"$WORK/go"
# another has seen the database, and writes later
mkfifo "$WORK/late"
psql -Xq -d privacy_src -f "$WORK/late" >"$WORK/late.out" 2>&1 7>&- &
late=$!
exec 8>"$WORK/late"
cat >&8 <<'Q'
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM crm.contacts;
Q
cat >&7 <<'Q'
BEGIN;
SELECT rows_inserted FROM crm.import_table('outside.people', '{"target": "contacts", "source_system": "fair", "key": "code", "columns": {"name": "name", "email": "mail"}}');
Q
for _ in $(seq 100); do
    [ "$(sql -At -d privacy_src -c "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction' AND backend_xid IS NOT NULL")" = 0 ] || break
    sleep 0.1
done
# two at once
for n in 1 2; do
    sql -At -d privacy_src -c "SELECT count(*) FROM crm.erase_person(7700, 'letter $n')" >"$WORK/erase$n" 2>&1 &
    pids="${pids:-} $!"
done
for p in $pids; do wait "$p" || { echo "two erasures at once: one failed"; cat "$WORK"/erase?; status=1; }; done
expect "settled while the import runs" "$(sql -At -d privacy_src -c 'SELECT crm.settle_erasures()')" 0
cat >&7 <<'Q'
COMMIT;
Q
exec 7>&-
wait "$import" || { cat "$WORK/import.out"; status=1; }
cat >&8 <<'Q'
INSERT INTO crm.leads (name, email) VALUES ('Late', 'z.quill@example.org');
COMMIT;
Q
exec 8>&-
wait "$late" || true
grep -q 'was erased' "$WORK/late.out" || { echo "an old snapshot lets the person back"; cat "$WORK/late.out"; status=1; }
expect "what the import brought" "$(sql -At -d privacy_src -c "SELECT count(*) FROM crm.contacts WHERE name = 'Zarathustra Quill'")" 1
expect "settled when it is over" "$(sql -At -d privacy_src -c 'SELECT crm.settle_erasures()')" 2

sql -d privacy_src -c 'DROP SCHEMA outside CASCADE' >/dev/null 2>&1
expect "lines of the dump that tell of the person" "$(told privacy_src)" 0
[ "$status" = 0 ] || pg_dump privacy_src | grep -Ei "$pattern" | cut -c1-200 | head -5
expect "people imported" "$(sql -At -d privacy_src -c "SELECT count(*) FROM crm.contacts WHERE source_system = 'fair'")" 8
expect "the log of changes" "$(sql -At -d privacy_src -c "SELECT count(*) FROM crm.verify_audit() WHERE result IN ('changed log', 'broken seal')")" 0

# the backup is restored, in which everything is as it was
sql -At -d privacy_src -c 'SELECT crm.erasure_list()' >"$WORK/list"
expect "names in the list" "$(grep -Eic "$pattern" "$WORK/list" || true)" 0
createdb privacy_back
pg_restore -d privacy_back "$WORK/older" 2>"$WORK/restore.err" || { cat "$WORK/restore.err"; status=1; }
[ "$(told privacy_back)" -gt 5 ] || { echo "the restored backup does not hold the person"; status=1; }
expect "erased again" "$(sql -At -d privacy_back -v list="$(cat "$WORK/list")" <<'Q'
SELECT crm.erase_listed(:'list');
Q
)" 1
sql -d privacy_back -c 'DROP SCHEMA outside CASCADE' >/dev/null 2>&1
expect "lines of the restored database that tell of the person" "$(told privacy_back)" 0
expect "erased again the second time" "$(sql -At -d privacy_back -v list="$(cat "$WORK/list")" <<'Q'
SELECT crm.erase_listed(:'list');
Q
)" 0
exit $status
