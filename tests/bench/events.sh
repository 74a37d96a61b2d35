# Events: what they add to a write of one row and of many, that their table keeps its size, and how fast they are read.
# Times are those the server computed for the session, so that others' load counts little; each is taken several times, with and
# without the triggers of events in turn, and the best counts.
set -u
. "$REPO/tests/helpers/cluster.sh"
sql -c "SELECT count(*) FROM (SELECT crm.generate_demo(1, 42)) AS g" >/dev/null || exit 1
sql >/dev/null <<'SQL' || exit 1
CREATE SCHEMA bench;
CREATE FUNCTION bench.cpu() RETURNS numeric LANGUAGE sql AS $$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000 $$;
CREATE TABLE bench.costs (what text, with_events boolean, us numeric);
CREATE PROCEDURE bench.switch(of regclass, wanted boolean) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s %s TRIGGER %I, %2$s TRIGGER %I', of, CASE WHEN wanted THEN 'ENABLE' ELSE 'DISABLE' END,
        (SELECT relname FROM pg_class WHERE oid = of) || '_after_00_event', (SELECT relname FROM pg_class WHERE oid = of) || '_after_00_events');
    COMMIT;
END $$;
-- one row a transaction
CREATE PROCEDURE bench.one_by_one(of regclass, change text, n int) LANGUAGE plpgsql AS $$
DECLARE started numeric; wanted boolean; ids bigint[];
BEGIN
    EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM %s ORDER BY id LIMIT 300) AS x', of) INTO ids;
    FOR round IN 1 .. 5 LOOP
        FOREACH wanted IN ARRAY '{true,false}'::boolean[] LOOP
            CALL bench.switch(of, wanted);
            FOR pass IN 1 .. 2 LOOP    -- the first compiles and plans
                started := bench.cpu();
                FOR i IN 1 .. CASE pass WHEN 1 THEN 50 ELSE n END LOOP
                    EXECUTE format('UPDATE %s SET %s WHERE tenant_id = 1 AND id = $2', of, change) USING i + round * 7, ids[1 + i % cardinality(ids)];
                    COMMIT;
                END LOOP;
            END LOOP;
            INSERT INTO bench.costs VALUES (of::text, wanted, (bench.cpu() - started) / n);
            COMMIT;
        END LOOP;
    END LOOP;
    CALL bench.switch(of, true);
END $$;
CREATE PROCEDURE bench.many(of regclass, statement text, n int) LANGUAGE plpgsql AS $$
DECLARE started numeric; wanted boolean;
BEGIN
    FOR round IN 1 .. 3 LOOP
        FOREACH wanted IN ARRAY '{true,false}'::boolean[] LOOP
            CALL bench.switch(of, wanted);
            started := bench.cpu();
            EXECUTE statement USING n;
            INSERT INTO bench.costs VALUES (of || ' entered', wanted, (bench.cpu() - started) / n);
            COMMIT;
        END LOOP;
    END LOOP;
    CALL bench.switch(of, true);
END $$;
SQL
sql -c "SET synchronous_commit = off" -c "CALL bench.one_by_one('crm.leads', 'source = ''x'' || \$1', 1500)" \
    -c "CALL bench.one_by_one('crm.opportunities', 'amount = \$1', 1000)" -c "CALL bench.one_by_one('crm.accounts', 'industry = ''x'' || \$1', 1500)" \
    -c "CALL bench.many('crm.contacts', 'INSERT INTO crm.contacts (tenant_id, name) SELECT 1, ''Bench '' || i FROM generate_series(1, \$1) AS i', 10000)" \
    -c "CALL bench.many('crm.activities', 'INSERT INTO crm.activities (tenant_id, kind, subject) SELECT 1, ''note'', ''Bench '' || i FROM generate_series(1, \$1) AS i', 10000)" \
    >/dev/null || exit 1
sql -At -F '|' -c "
    SELECT CASE WHEN what LIKE '% entered' THEN 'a row of ' || what || ' by a statement of 10,000' ELSE 'one row of ' || what || ' changed' END,
           round(a, 1) || ' us', round(b, 1) || ' us without', round(a / b, 2), CASE WHEN what LIKE '% entered' THEN '-' ELSE '<= 1.15' END,
           CASE WHEN what LIKE '% entered' OR a / b <= 1.15 THEN 'ok' ELSE 'miss' END
    FROM (SELECT what, min(us) FILTER (WHERE with_events) AS a, min(us) FILTER (WHERE NOT with_events) AS b FROM bench.costs GROUP BY what) AS c ORDER BY what" |
while IFS='|' read -r what ours base ratio target verdict; do line "$what" "$ours" "$base" "$ratio" "$target" "$verdict"; done

# ten rounds of writing and forgetting: the table is as large as after the second
sizes=()
for round in 1 2 3 4 5 6 7 8 9 10; do
    sql -c "UPDATE crm.accounts SET industry = 'round $round' WHERE tenant_id = 1" -c "UPDATE crm.contacts SET language = 'r$round' WHERE tenant_id = 1" \
        -c "SELECT crm.forget_events(now() + interval '91 days', 1000000)" -c "VACUUM crm.events" >/dev/null || exit 1
    sizes+=("$(sql -At -c "SELECT pg_total_relation_size('crm.events')")")
done
line "size after ten rounds of 60,000 events and forgetting" "$((sizes[9] / 1024)) kB" "$((sizes[2] / 1024)) kB after 3" \
    "$(awk -v a="${sizes[9]}" -v b="${sizes[2]}" 'BEGIN {printf "%.2f", a / b}')" "<= 1.1" "$(awk -v a="${sizes[9]}" -v b="${sizes[2]}" 'BEGIN {print (a <= b * 1.1) ? "ok" : "miss"}')"

# reading what is there, in batches of 1,000, beside one plain scan in the same order
sql -c "UPDATE crm.contacts SET language = 'read' WHERE tenant_id = 1" -c "SELECT crm.subscribe('bench', from_start => true)" >/dev/null
sql -At -F '|' >"$WORK/read" <<'SQL' || exit 1
CREATE FUNCTION bench.read() RETURNS TABLE (n bigint, us numeric) LANGUAGE plpgsql AS $$
DECLARE started numeric := bench.cpu(); got int;
BEGIN
    n := 0;
    LOOP
        SELECT count(*) INTO got FROM crm.read_events('bench', 'bench', 1000);
        EXIT WHEN got = 0;
        PERFORM crm.acknowledge_events('bench', 'bench');
        n := n + got;
    END LOOP;
    us := (bench.cpu() - started) / n;
    RETURN NEXT;
END $$;
CREATE FUNCTION bench.scan() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE started numeric := bench.cpu(); n bigint := 0; e crm.events;
BEGIN
    FOR e IN SELECT * FROM crm.events ORDER BY tenant_id, id LOOP n := n + 1; END LOOP;
    RETURN (bench.cpu() - started) / n;
END $$;
SELECT r.n, round(r.us, 1), round(bench.scan(), 1) FROM bench.read() AS r;
SQL
IFS='|' read -r n us scan <<<"$(tail -1 "$WORK/read")"
line "an event read and acknowledged, of $n" "$us us" "$scan us scanned" "$(awk -v a="$us" -v b="$scan" 'BEGIN {printf "%.1f", a / b}')" "-" ok
