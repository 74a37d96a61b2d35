#!/usr/bin/env bash
# Every cache of compiled configuration is one of src/base/kept.c, and every table that one is compiled from sends news.
set -u
. "$REPO/tests/helpers/cluster.sh"
status=0

# statement triggers on INSERT, UPDATE, DELETE and TRUNCATE: bits 4, 16, 8 and 32 of tgtype
fresh_database kept_tables || exit 1
tables=$(grep -hoE '\.tables = \{[^}]*\}' "$REPO"/src/*/*.c | grep -oE '"[a-z_]+"' | tr -d '"' | sort -u)
[ "$(echo "$tables" | wc -l)" -ge 10 ] || { echo "the tables of caches are written in another way now: mend this test"; status=1; }
for table in $tables; do
    # what is kept of the logs of events and of changes is how their rows are made: commands on the table itself tell of that
    case $table in events|audit_log) continue;; esac
    bits=$(value kept_tables "SELECT coalesce(bit_or(g.tgtype), 0) & 60 FROM pg_trigger AS g
        WHERE g.tgrelid = to_regclass('crm.$table') AND g.tgfoid = 'crm.configuration_changed()'::regprocedure AND g.tgtype & 1 = 0")
    [ "$bits" = 60 ] || { echo "crm.$table: changes of it do not reach the caches; declare it \"compiled\" (crm.declare_table)"; status=1; }
done
dropdb -f kept_tables

# what lives as long as the process elsewhere, with the reason
allowed='src/base/kept.c        the helper itself
src/base/lock.c        keys the current transaction holds, in its memory: no configuration
src/base/plan.c        plans of queries, which PostgreSQL makes anew itself
src/base/condition.c   an empty jsonb
src/base/worker.c      what the worker and its launcher work in
src/access/audit.c     the address of the client, which stays as long as the process
src/access/reveal.c    what was read and is not written down yet: no configuration
src/rollup/groups.c    the number 0
src/scoring/points_sql.c the row type of a function, looked up anew when its identifier in the cache of types has changed'
while IFS=: read -r file line what; do
    echo "$allowed" | grep -q "^$file " ||
        { echo "$file:$line: $what: a private cache? Configuration is kept by src/base/kept.c"; status=1; }
done < <(cd "$REPO" && grep -nE '^\s*static (HTAB|MemoryContext)\b[^()]*[;=]|\b(Top|Cache)MemoryContext\b' src/*/*.c)
exit $status
