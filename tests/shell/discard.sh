#!/usr/bin/env bash
# Kept configuration is dropped and built anew at every look (crm.debug_discard_kept), and freed memory is spoiled: whole
# tests of everything that compiles configuration give what they give without. On a server built with assertions chosen
# statements (discard.sql) also run under debug_discard_caches = 1, where PostgreSQL drops its own caches at every chance
# and ours with them: make test-discard. And the caches themselves: nothing stays behind an error, stale entries go.
# long: 40 s
set -u
. "$REPO/tests/helpers/cluster.sh"
driver=$(dirname "$("$PG_CONFIG" --pgxs)")/../test/regress/pg_regress
status=0
mkdir -p "$WORK/out"; chmod 777 "$WORK/out"; ln -s "$REPO/expected" "$WORK/out/expected"

# ---- whole tests, our own caches ----
for name in access business_time custom_fields escalation import leads money process process_rules routing rollup rollup_changed \
            scoring_points scoring_trouble segments service_clocks tickets; do
    [ -e "$REPO/tests/sql/$name.sql" ] || { echo "there is no test $name any more: name another"; status=1; continue; }
    fresh_database "discard_$name" || exit 1
    sql -d "discard_$name" -c "ALTER DATABASE discard_$name SET crm.debug_discard_kept = on"
    "$driver" --inputdir="$REPO/tests" --outputdir="$WORK/out" --bindir="$STAGED_BIN" --use-existing --dbname="discard_$name" \
        "$name" >"$WORK/driver.log" 2>&1 || {
        echo "$name gives something else under crm.debug_discard_kept:"
        if [ -s "$WORK/out/regression.diffs" ]; then cat "$WORK/out/regression.diffs"; else tail -20 "$WORK/driver.log"; fi
        rm -f "$WORK/out/regression.diffs"; status=1
    }
    dropdb -f "discard_$name"
done

# ---- the caches themselves ----
fresh_database discard_memory || exit 1
kept() { echo "SELECT count(*) FROM pg_backend_memory_contexts WHERE name = 'crm kept entry'"; }
# shellcheck disable=SC2046
answer=$(sql -At -d discard_memory <<SQL
SELECT crm.local_day(1, now()) IS NULL;
-- the first edit keeps what the table's triggers need
UPDATE crm.tenants SET name = name WHERE tenant_id = 1;
$(kept) \gset before_
-- a thousand edits and looks in one transaction keep one entry, not a thousand
DO \$\$ BEGIN FOR i IN 1..1000 LOOP
    UPDATE crm.tenants SET name = name WHERE tenant_id = 1;
    PERFORM crm.local_day(1, now());
END LOOP; END \$\$;
$(kept) \gset after_
SELECT 'edits', :after_count - :before_count;
-- a definition that cannot be compiled, looked at again and again in savepoints, leaves nothing
DO \$\$ BEGIN FOR i IN 1..200 LOOP
    BEGIN PERFORM crm.points_score('{"rules": 3}', NULL, now());
        RAISE WARNING 'it was compiled';
    EXCEPTION WHEN OTHERS THEN NULL; END;
END LOOP; END \$\$;
$(kept) \gset errors_
SELECT 'errors', :errors_count - :after_count;
SQL
) || exit 1
[ "$(echo "$answer" | tail -n +2)" = "edits|0
errors|0" ] || { echo "kept entries stay behind:"; echo "$answer"; status=1; }

# ---- chosen statements, PostgreSQL's own caches too ----
fresh_database discard_plain discard_caches || exit 1
if [ -n "${CRM_DISCARD_CACHES:-}" ]; then    # minutes: only where asked for
    sql -d discard_caches -c 'SET debug_discard_caches = 1' || { echo "this server does not let debug_discard_caches be set"; exit 1; }
    sql -d discard_plain -f "$REPO/tests/shell/discard.sql" >"$WORK/plain" 2>&1
    sql -d discard_caches -c 'SET debug_discard_caches = 1' -f "$REPO/tests/shell/discard.sql" >"$WORK/caches" 2>&1
    grep -q '^the end' "$WORK/plain" || { echo "the statements did not run:"; tail -5 "$WORK/plain"; status=1; }
    diff "$WORK/plain" "$WORK/caches" >"$WORK/diff" ||
        { echo "chosen statements give something else under debug_discard_caches:"; cat "$WORK/diff"; status=1; }
else
    # that they run at all is worth knowing here too
    sql -d discard_plain -c "LOAD 'crm'" -c 'SET crm.debug_discard_kept = on' -f "$REPO/tests/shell/discard.sql" >"$WORK/plain" 2>&1
    grep -q '^the end' "$WORK/plain" || { echo "the statements did not run:"; tail -5 "$WORK/plain"; status=1; }
fi
for db in discard_memory discard_plain discard_caches; do dropdb -f $db; done
exit $status
