# The log of changes: what it adds to a write of one row and of many, 32 writers with it and without, how fast it is verified.
# Times of single writes are those the server computed for the session, so that others' load counts little; each is taken several times,
# with the audit and without it in turn, and the best counts. Events are announced in both.
set -u
. "$REPO/tests/helpers/cluster.sh"
sql -c "SELECT count(*) FROM (SELECT crm.generate_demo(1, 42)) AS g" >/dev/null || exit 1
sql >/dev/null <<'SQL' || exit 1
CREATE SCHEMA bench;
CREATE FUNCTION bench.cpu() RETURNS numeric LANGUAGE sql AS $$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000 $$;
CREATE TABLE bench.costs (what text, audited boolean, us numeric);
CREATE PROCEDURE bench.switch(wanted boolean) LANGUAGE plpgsql AS $$
BEGIN
    IF wanted THEN PERFORM crm.start_audit(); ELSE PERFORM crm.stop_audit(); END IF;
    COMMIT;
END $$;
-- one row a transaction
CREATE PROCEDURE bench.one_by_one(what text, statement text, n int) LANGUAGE plpgsql AS $$
DECLARE started numeric; wanted boolean;
BEGIN
    FOR round IN 1 .. 4 LOOP
        FOREACH wanted IN ARRAY '{true,false}'::boolean[] LOOP
            CALL bench.switch(wanted);
            FOR pass IN 1 .. 2 LOOP    -- the first compiles and plans
                started := bench.cpu();
                FOR i IN 1 .. CASE pass WHEN 1 THEN 50 ELSE n END LOOP
                    EXECUTE statement USING i + round * 7, i;
                    COMMIT;
                END LOOP;
            END LOOP;
            INSERT INTO bench.costs VALUES (what, wanted, (bench.cpu() - started) / n);
            COMMIT;
        END LOOP;
    END LOOP;
END $$;
SQL
first() { sql -At -c "SELECT min(id) FROM crm.$1 WHERE tenant_id = 1"; }
a=$(first accounts) o=$(first opportunities) l=$(first leads)
sql -c "SET synchronous_commit = off" \
    -c "CALL bench.one_by_one('an account changed', 'UPDATE crm.accounts SET industry = ''x'' || \$1 WHERE tenant_id = 1 AND id = $a + \$2 % 300', 1000)" \
    -c "CALL bench.one_by_one('a deal changed', 'UPDATE crm.opportunities SET amount = \$1 WHERE tenant_id = 1 AND id = $o + \$2 % 300', 600)" \
    -c "CALL bench.one_by_one('a lead changed', 'UPDATE crm.leads SET source = ''x'' || \$1 WHERE tenant_id = 1 AND id = $l + \$2 % 300', 1000)" \
    -c "CALL bench.one_by_one('a contact entered', 'INSERT INTO crm.contacts (tenant_id, name) VALUES (1, ''Bench '' || \$1 || ''/'' || \$2)', 1000)" \
    -c "CALL bench.one_by_one('an activity entered', 'INSERT INTO crm.activities (tenant_id, kind, subject) SELECT 1, ''note'', ''Bench '' || \$1 || \$2', 1000)" \
    -c "CALL bench.one_by_one('1,000 contacts entered at once', 'INSERT INTO crm.contacts (tenant_id, name) SELECT 1, ''Bench '' || \$1 || i || ''/'' || \$2 FROM generate_series(1, 1000) AS i', 5)" \
    >/dev/null || exit 1
sql -At -F '|' -c "
    SELECT what, round(a, 1) || ' us', round(b, 1) || ' us without', round(a / b, 2), CASE WHEN what LIKE '1,000%' THEN '-' ELSE '<= 1.25' END,
           CASE WHEN what LIKE '1,000%' OR a / b <= 1.25 THEN 'ok' ELSE 'miss' END
    FROM (SELECT what, min(us) FILTER (WHERE audited) AS a, min(us) FILTER (WHERE NOT audited) AS b FROM bench.costs GROUP BY what) AS c ORDER BY what" |
while IFS='|' read -r what ours base ratio target verdict; do line "$what" "$ours" "$base" "$ratio" "$target" "$verdict"; done

# 32 clients that commit durably: with the audit, its sealing beside them all the time, and without
cat >"$WORK/write.pgbench" <<SQL
\set id random($a, $a + 1000)
UPDATE crm.accounts SET industry = 'y' || random() WHERE tenant_id = 1 AND id = :id;
SQL
run() { pgbench -n -M prepared -c 32 -j 2 -T "${SECONDS_EACH:-6}" -f "$WORK/write.pgbench" 2>/dev/null | awk '/^tps/ {print $3}'; }
with=0 without=0
for round in 1 2 3; do
    sql -c "SELECT crm.stop_audit()" >/dev/null
    t=$(run); without=$(awk -v a="$t" -v b="$without" 'BEGIN {print (a > b) ? a : b}')
    sql -c "SELECT crm.start_audit()" >/dev/null
    (while [ ! -e "$WORK/stop" ]; do sql -c "SELECT crm.seal_audit()" >/dev/null 2>&1; sleep 0.2; done) &
    sealer=$!
    t=$(run); with=$(awk -v a="$t" -v b="$with" 'BEGIN {print (a > b) ? a : b}')
    touch "$WORK/stop"; wait "$sealer"; rm -f "$WORK/stop"
done
line "writes a second of 32 clients, sealed beside them" "$(printf '%.0f' "$with")" "$(printf '%.0f without' "$without")" "$(awk -v a="$with" -v b="$without" 'BEGIN {printf "%.2f", a / b}')" \
    ">= 0.80" "$(awk -v a="$with" -v b="$without" 'BEGIN {print (a >= b * 0.8) ? "ok" : "miss"}')"

# sealing and verifying of many entries, by processor time, beside a plain scan that reads the same columns
sql >/dev/null <<'SQL' || exit 1
INSERT INTO crm.contact_points (tenant_id, contact_id, kind, value) SELECT 1, (SELECT min(id) FROM crm.contacts WHERE tenant_id = 1), 'social', 'many ' || i FROM generate_series(1, 100000) AS i;
UPDATE crm.contact_points SET value = 'first ' || value WHERE value LIKE 'many %';
UPDATE crm.contact_points SET value = 'second ' || value, label = 'x' WHERE value LIKE 'first %';
UPDATE crm.contact_points SET value = 'third ' || value, label = NULL WHERE value LIKE 'second %';
VACUUM ANALYZE crm.audit_log;
CREATE FUNCTION bench.seal() RETURNS TABLE (n bigint, us numeric) LANGUAGE plpgsql AS $$
DECLARE started numeric := bench.cpu(); got bigint;
BEGIN
    n := 0;
    FOR i IN 1 .. 1000 LOOP got := crm.seal_audit(); EXIT WHEN got = 0 AND i > 5; n := n + got; END LOOP;
    us := (bench.cpu() - started) / n;
    RETURN NEXT;
END $$;
CREATE FUNCTION bench.verify() RETURNS TABLE (n bigint, us numeric) LANGUAGE plpgsql AS $$
DECLARE started numeric := bench.cpu();
BEGIN
    SELECT v.entries INTO n FROM crm.verify_audit() AS v WHERE v.result = 'verified';
    us := (bench.cpu() - started) / n;
    RETURN NEXT;
END $$;
CREATE FUNCTION bench.scan() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE started numeric := bench.cpu(); n bigint;
BEGIN
    SELECT count(a.id + length(a.table_name) + pg_column_size(a.change)) INTO n FROM (SELECT * FROM crm.audit_log WHERE tenant_id = 1 ORDER BY id) AS a;
    RETURN (bench.cpu() - started) / n;
END $$;
SQL
IFS='|' read -r n us <<<"$(sql -At -F '|' -c "SELECT n, round(us, 3) FROM bench.seal()")"
line "an entry sealed, of $n" "$us us" "-" "-" "-" ok
IFS='|' read -r n us scan <<<"$(sql -At -F '|' -c "SET crm.tenant = '1'" -c "SELECT v.n, round(v.us, 3), round(bench.scan(), 3) FROM bench.verify() AS v" | tail -1)"
line "entries verified a second, of $n" "$(awk -v u="$us" 'BEGIN {printf "%.0f", 1000000 / u}')" "$scan us to read one" "$(awk -v a="$us" -v b="$scan" 'BEGIN {printf "%.1f", a / b}')" ">= 1000000" \
    "$(awk -v u="$us" 'BEGIN {print (u <= 1) ? "ok" : "miss"}')"
