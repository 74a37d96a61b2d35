# Sending: what the question for consent adds to entering a message, and how fast a sender is served.
# Times are those the server computed for the session, so that others' load counts little; each is taken several times, with
# and without the guard in turn, and the best counts.
set -u
. "$REPO/tests/helpers/cluster.sh"
sql >/dev/null <<'SQL' || exit 1
CREATE SCHEMA bench;
CREATE FUNCTION bench.cpu() RETURNS numeric LANGUAGE sql AS $$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000 $$;
CREATE TABLE bench.costs (what text, guarded boolean, us numeric);
INSERT INTO crm.contacts (tenant_id, id, name) SELECT 1, i, 'Person ' || i FROM generate_series(1, 20000) AS i;
INSERT INTO crm.contact_points (tenant_id, contact_id, kind, value) SELECT 1, i, 'email', 'person' || i || '@example.org' FROM generate_series(1, 20000) AS i;
INSERT INTO crm.consents (tenant_id, subject_table, subject_id, purpose, channel, state, source)
SELECT 1, 'contacts', i, 'marketing', 'email', 'given', 'form' FROM generate_series(1, 20000) AS i;
INSERT INTO crm.suppressions (tenant_id, channel, address_key, reason, source) SELECT 1, 'email', 'gone' || i || '@example.org', 'bounce', 'mta' FROM generate_series(1, 20000) AS i;
INSERT INTO crm.sending_settings (tenant_id, from_address, link_base) VALUES (1, 'news@example.com', 'https://example.com/m/');
INSERT INTO crm.message_templates (tenant_id, id, code, subject, body)
VALUES (1, 1, 'offer', 'For {{name}}', '<p>Dear {{title|friend}}, <a href="{{link https://example.com/}}">x</a> <a href="{{unsubscribe_url}}">y</a></p>');
VACUUM ANALYZE;
CREATE PROCEDURE bench.switch(wanted boolean) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE crm.outbound_messages %s TRIGGER outbound_messages_before_zz_guard', CASE WHEN wanted THEN 'ENABLE' ELSE 'DISABLE' END);
    COMMIT;
END $$;
-- as an application enters them: one a transaction, with what it says
CREATE PROCEDURE bench.one_by_one(n int) LANGUAGE plpgsql AS $$
DECLARE started numeric; wanted boolean; said CONSTANT text := repeat('What is new this week. ', 80);
BEGIN
    FOR round IN 1 .. 5 LOOP
        FOREACH wanted IN ARRAY '{true,false}'::boolean[] LOOP
            CALL bench.switch(wanted);
            FOR pass IN 1 .. 2 LOOP    -- the first compiles and plans
                started := bench.cpu();
                FOR i IN 1 .. CASE pass WHEN 1 THEN 50 ELSE n END LOOP
                    EXECUTE 'INSERT INTO crm.outbound_messages (tenant_id, subject_id, purpose, channel, address, subject, body) VALUES (1, $1, ''marketing'', ''email'', $2, $3, $4)'
                        USING 1 + i * 7 % 20000, 'person' || 1 + i * 7 % 20000 || '@example.org', 'News', said;
                    COMMIT;
                END LOOP;
            END LOOP;
            INSERT INTO bench.costs VALUES ('one message entered', wanted, (bench.cpu() - started) / n);
            COMMIT;
        END LOOP;
    END LOOP;
    CALL bench.switch(true);
END $$;
CREATE PROCEDURE bench.many(n int) LANGUAGE plpgsql AS $$
DECLARE started numeric; wanted boolean;
BEGIN
    FOR round IN 1 .. 3 LOOP
        FOREACH wanted IN ARRAY '{true,false}'::boolean[] LOOP
            CALL bench.switch(wanted);
            started := bench.cpu();
            INSERT INTO crm.outbound_messages (tenant_id, subject_id, purpose, channel, address, template_id, due_at)
            SELECT 1, i, 'marketing', 'email', 'person' || i || '@example.org', 1, now() + interval '1 day' FROM generate_series(1, n) AS i;
            INSERT INTO bench.costs VALUES ('a message of a statement of 20,000', wanted, (bench.cpu() - started) / n);
            COMMIT;
        END LOOP;
    END LOOP;
    CALL bench.switch(true);
END $$;
SQL
sql -c "SET synchronous_commit = off" -c "CALL bench.one_by_one(2000)" -c "CALL bench.many(20000)" >/dev/null || exit 1
sql -At -F '|' -c "
    SELECT what, round(a, 1) || ' us', round(b, 1) || ' us bare', round(a / b, 2), CASE WHEN what LIKE 'one %' THEN '<= 1.15' ELSE '-' END,
           CASE WHEN what NOT LIKE 'one %' OR a / b <= 1.15 THEN 'ok' ELSE 'miss' END
    FROM (SELECT what, min(us) FILTER (WHERE guarded) AS a, min(us) FILTER (WHERE NOT guarded) AS b FROM bench.costs GROUP BY what) AS c ORDER BY what DESC" |
while IFS='|' read -r what ours base ratio target verdict; do line "$what" "$ours" "$base" "$ratio" "$target" "$verdict"; done

# a sender: claimed from a template a thousand at a time, begun and reported one by one, beside three plain updates of the row
sql -At -F '|' >"$WORK/sender" <<'SQL' || exit 1
DELETE FROM crm.outbound_messages;
INSERT INTO crm.outbound_messages (tenant_id, subject_id, purpose, channel, address, template_id)
SELECT 1, i, 'marketing', 'email', 'person' || i || '@example.org', 1 FROM generate_series(1, 3000) AS i;
VACUUM ANALYZE crm.outbound_messages;
CREATE FUNCTION bench.serve() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE started numeric := bench.cpu(); m record; n int := 0;
BEGIN
    FOR pass IN 1 .. 3 LOOP
        FOR m IN SELECT * FROM crm.claim_messages('bench', 1000) LOOP
            IF crm.start_message(m.id, m.attempt) THEN PERFORM crm.message_sent(m.id); n := n + 1; END IF;
        END LOOP;
    END LOOP;
    IF n <> 3000 THEN RAISE EXCEPTION 'only % were sent', n; END IF;
    RETURN (bench.cpu() - started) / n;
END $$;
CREATE FUNCTION bench.update() RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE started numeric := bench.cpu();
BEGIN
    FOR i IN 1 .. 9000 LOOP UPDATE crm.outbound_messages SET provider_id = 'x' || i WHERE tenant_id = 1 AND id = (SELECT min(id) FROM crm.outbound_messages WHERE tenant_id = 1) + i % 3000; END LOOP;
    RETURN (bench.cpu() - started) / 3000;
END $$;
SELECT round(bench.serve(), 1), round(bench.update(), 1);
SQL
IFS='|' read -r us base <<<"$(tail -1 "$WORK/sender")"
line "a message claimed, made from its template, begun and sent" "$us us" "$base us for 3 updates" "$(awk -v a="$us" -v b="$base" 'BEGIN {printf "%.1f", a / b}')" "-" ok
