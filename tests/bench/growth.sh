# Growth: a statement costs what its rows cost. Every table of the registry is entered, changed and deleted (and moved,
# where it has stages) by statements of 1,000 and of SIZE rows (10,000; SIZE=100000 make bench B=growth), within one session
# that has written single rows before and on tables nobody has counted, as a migration does: plans kept from then
# must serve. Settings (classes configuration, lookup and owner) come last and by 100 and 1,000, because records cost
# what is set up for them. The cost of a row at SIZE is to be at most 1.5 of that at 1,000. Beside it the same for a copy of the table
# with all its indexes and foreign keys, without our triggers. Times are those the server computed, so that others' load
# counts little.
#
# Rows are copies of one of the generated company, with other keys. A table whose rows cannot be made so, or that
# refuses to be written directly, is said with the reason.
set -u
. "$REPO/tests/helpers/cluster.sh"
top=${SIZE:-10000} words=${TABLES:-}

# while there is one tenant
sql -c "SELECT crm.generate_demo(1, 42)" >/dev/null || exit 1
sql >/dev/null <<'SQL' || exit 1
-- what the generated company has no row of
INSERT INTO crm.skills (code, name) VALUES ('fa', 'Persian');
INSERT INTO crm.user_skills (user_id, skill_id) SELECT a.user_id, s.id FROM crm.agents AS a, crm.skills AS s LIMIT 1;
INSERT INTO crm.assignment_rules (subject_table, position, name, user_ids) SELECT 'opportunities', 1, 'Growth', ARRAY[a.user_id] FROM crm.agents AS a LIMIT 1;
SELECT crm.route_record('opportunities', min(o.id), true) FROM crm.opportunities AS o WHERE o.closed_at IS NULL;
SELECT crm.receive_message('mail', 'Where is my order?', from_address => 'growth@example.org', subject => 'Order', external_id => 'growth', thread_id => 'growth');
INSERT INTO crm.ticket_followers (ticket_id, contact_id) SELECT t.id, c.id FROM (SELECT max(k.id) FROM crm.tickets AS k) AS t (id), (SELECT min(c.id) FROM crm.contacts AS c) AS c (id);
INSERT INTO crm.price_books (name, currency) VALUES ('growth', 'EUR');
INSERT INTO crm.prices (price_book_id, product_id, price) SELECT b.id, p.id, 10 FROM crm.price_books AS b, crm.products AS p WHERE b.name = 'growth' LIMIT 1;
INSERT INTO crm.opportunity_lines (opportunity_id, product_id, quantity, unit_price) SELECT o.id, p.id, 1, 10 FROM crm.opportunities AS o, crm.products AS p WHERE o.closed_at IS NULL LIMIT 1;
INSERT INTO crm.relationships (from_contact_id, to_contact_id, kind) SELECT min(c.id), max(c.id), 'knows' FROM crm.contacts AS c;
SELECT crm.emit_event('growth', 'contacts', 1);
SELECT crm.define_segment('{"name": "growth", "where": "$.employees > 1000000"}');
CREATE SCHEMA growth;
CREATE TABLE growth.costs (relation regclass, place int, bare boolean, act text, n int, us numeric);
CREATE TABLE growth.left_out (relation regclass, act text, reason text);

CREATE FUNCTION growth.cpu() RETURNS numeric LANGUAGE sql AS $$ SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1000 $$;

-- tables, parents first; those that refer to each other in a circle in any order
CREATE FUNCTION growth.tables() RETURNS TABLE (relation regclass, place int, settings boolean) LANGUAGE plpgsql AS $$
DECLARE done oid[] := '{}'; next oid[];
BEGIN
    LOOP
        SELECT array_agg(r.relation::oid ORDER BY r.subject) INTO next FROM crm.registry AS r
        WHERE r.relation::oid <> ALL (done)
          AND NOT EXISTS (SELECT FROM pg_constraint AS c JOIN crm.registry AS p ON p.relation = c.confrelid
                          WHERE c.conrelid = r.relation AND c.contype = 'f' AND c.confrelid <> c.conrelid AND c.confrelid <> ALL (done));
        IF next IS NULL THEN
            SELECT array_agg(r.relation::oid) INTO next
            FROM (SELECT q.relation FROM crm.registry AS q WHERE q.relation::oid <> ALL (done) ORDER BY q.subject LIMIT 1) AS r;
        END IF;
        EXIT WHEN next IS NULL;
        done := done || next;
    END LOOP;
    RETURN QUERY SELECT d.o::regclass, d.ord::int, r.class IN ('configuration', 'lookup', 'owner')
                 FROM unnest(done) WITH ORDINALITY AS d (o, ord) JOIN crm.registry AS r ON r.relation = d.o;
END $$;

-- INSERT of n copies: columns of unique keys differ, by another parent where they refer to one
CREATE FUNCTION growth.entering(relation regclass, target regclass, n int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c record; names text[] := '{}'; made text[] := '{}'; parents text := ''; spread boolean := false; p int := 0; rows bigint;
    most bigint := 0;
BEGIN
    IF to_regclass('growth.model_' || relation::oid) IS NULL THEN
        EXECUTE format('CREATE TABLE growth.%I AS SELECT * FROM %s WHERE %s LIMIT 1', 'model_' || relation::oid, relation,
                       CASE WHEN crm.column_exists(relation, 'closed_at') THEN 'closed_at IS NULL' ELSE 'true' END);
    END IF;
    EXECUTE format('SELECT count(*) FROM growth.%I', 'model_' || relation::oid) INTO rows;
    IF rows = 0 THEN RAISE EXCEPTION 'the generated company has no row of it'; END IF;
    FOR c IN
        SELECT a.attname, a.atttypid, a.attidentity, EXISTS (
                   SELECT FROM pg_index AS x WHERE x.indrelid = relation AND x.indisunique AND a.attnum = ANY (x.indkey)) AS "unique",
               EXISTS (SELECT FROM pg_constraint AS f WHERE f.conrelid = relation AND f.contype = 'c' AND a.attnum = ANY (f.conkey)
                       AND pg_get_constraintdef(f.oid) LIKE '%ARRAY%') AS listed,
               -- children are spread over parents
               EXISTS (SELECT FROM crm.table_links(relation) AS l WHERE l.kind = 'parent' AND l.column_name = a.attname) AS child,
               (SELECT f.confrelid::regclass FROM pg_constraint AS f
                WHERE f.conrelid = relation AND f.contype = 'f' AND f.conkey[cardinality(f.conkey)] = a.attnum LIMIT 1) AS parent,
               (SELECT b.attname FROM pg_constraint AS f JOIN pg_attribute AS b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[cardinality(f.confkey)]
                WHERE f.conrelid = relation AND f.contype = 'f' AND f.conkey[cardinality(f.conkey)] = a.attnum LIMIT 1) AS parent_key
        FROM pg_attribute AS a
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum
    LOOP
        IF c.attidentity <> '' THEN spread := true; CONTINUE; END IF;
        names := names || quote_ident(c.attname);
        IF NOT (c."unique" OR c.child) OR c.attname = 'tenant_id' THEN made := made || format('t.%I', c.attname);
        ELSIF c.parent IS NOT NULL AND c.atttypid = 'bigint'::regtype THEN
            p := p + 1;
            EXECUTE format('SELECT count(*) FROM %s AS x WHERE x.tenant_id = 1', c.parent) INTO rows;
            IF c."unique" THEN most := greatest(most, rows); END IF;
            parents := parents || format(', (SELECT array_agg(x.%I ORDER BY x.%1$I DESC) AS ids FROM %s AS x WHERE x.tenant_id = 1) AS p%s', c.parent_key, c.parent, p);
            made := made || format('CASE WHEN t.%I IS NOT NULL THEN p%s.ids[1 + nextval(''growth.keys'') %% cardinality(p%2$s.ids)] END', c.attname, p);
        ELSIF c.atttypid IN ('text'::regtype, 'varchar'::regtype) AND c.parent IS NULL AND NOT c.listed THEN
            spread := true; made := made || format('t.%I || ''_'' || nextval(''growth.keys'')', c.attname);
        ELSIF c.atttypid IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype, 'numeric'::regtype) AND c.parent IS NULL THEN
            spread := true; made := made || format('t.%I + nextval(''growth.keys'')', c.attname);
        ELSIF c.atttypid IN ('date'::regtype) THEN
            spread := true; made := made || format('t.%I + nextval(''growth.keys'')::int %% 100000', c.attname);
        ELSIF c.atttypid IN ('timestamptz'::regtype) THEN
            spread := true; made := made || format('t.%I + make_interval(secs => nextval(''growth.keys''))', c.attname);
        ELSIF c.atttypid = 'bytea'::regtype THEN
            spread := true; made := made || 'sha256(nextval(''growth.keys'')::text::bytea)';
        ELSE made := made || format('t.%I', c.attname);
        END IF;
    END LOOP;
    IF NOT spread AND most BETWEEN 1 AND n * 1.15 THEN RAISE EXCEPTION 'its keys are those of others, of which there are % at most', most; END IF;
    RETURN format('INSERT INTO %s (%s) SELECT %s FROM generate_series(1, %s) AS i, growth.%I AS t%s',
                  target, array_to_string(names, ', '), array_to_string(made, ', '), n, 'model_' || relation::oid, parents);
END $$;

-- a text that nothing looks at, else any column that is no key
CREATE FUNCTION growth.changing(relation regclass) RETURNS text LANGUAGE sql AS $$
    SELECT format('%I = ', a.attname) || CASE WHEN a.atttypid = 'text'::regtype AND NOT looked THEN '''changed''' ELSE quote_ident(a.attname) END
    FROM (SELECT a.*, EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = a.attrelid AND a.attnum = ANY (c.conkey)
                                AND NOT (c.contype = 'c' AND pg_get_constraintdef(c.oid) ~ '<> ''''::text')) AS looked,
                 EXISTS (SELECT FROM pg_index AS x WHERE x.indrelid = a.attrelid AND a.attnum = ANY (x.indkey) AND x.indisunique) AS key
          FROM pg_attribute AS a
          WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = '') AS a
    ORDER BY (a.atttypid = 'text'::regtype AND NOT a.looked) DESC, a.key, a.attname IN ('name', 'subject', 'note', 'body', 'title') DESC, a.attnum LIMIT 1
$$;

-- runs a statement over n rows and writes down what a row cost
CREATE FUNCTION growth.measure(relation regclass, place int, bare boolean, act text, n int, statement text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE started numeric := growth.cpu(); done bigint;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done < n * 0.9 THEN RAISE EXCEPTION 'only % of % rows were written', done, n; END IF;
    SET CONSTRAINTS ALL IMMEDIATE;
    INSERT INTO growth.costs VALUES (relation, place, bare, act, n, (growth.cpu() - started) / done);
EXCEPTION WHEN OTHERS THEN
    INSERT INTO growth.left_out VALUES (relation, act, SQLERRM);
END $$;

CREATE FUNCTION growth.act(relation regclass, place int, target regclass, act text, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    which CONSTANT text := CASE WHEN relation <> target THEN format('ctid = ANY (ARRAY(SELECT x.ctid FROM %s AS x LIMIT %s))', target, n) ELSE format('ctid = ANY (ARRAY(SELECT x.ctid FROM %s AS x WHERE NOT EXISTS (SELECT FROM growth.%I AS o WHERE o.key = %s) LIMIT %s))',
        target, 'old_' || relation::oid, (SELECT 'ROW(' || string_agg(format('x.%I', a.attname), ', ' ORDER BY a.attnum) || ')::text'
         FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = relation AND i.indisprimary), n) END;
    statement text;
BEGIN
    IF EXISTS (SELECT FROM growth.left_out AS l WHERE l.relation = act.relation AND l.act IN (act.act, 'entered')) THEN RETURN; END IF;
    BEGIN
        statement := CASE act
            WHEN 'entered' THEN growth.entering(relation, target, n)
            WHEN 'changed' THEN format('UPDATE %s SET %s WHERE %s', target, growth.changing(relation), which)
            WHEN 'moved' THEN format('UPDATE %s AS t SET stage_id = (SELECT s.id FROM crm.stages AS s WHERE s.tenant_id = t.tenant_id AND s.pipeline_id = t.pipeline_id'
                                     ' AND s.id <> t.stage_id AND s.type = ''open'' ORDER BY s.id LIMIT 1) WHERE t.%s', target, which)
            WHEN 'deleted' THEN format('DELETE FROM %s WHERE %s', target, which) END;
    EXCEPTION WHEN OTHERS THEN
        INSERT INTO growth.left_out VALUES (relation, act, SQLERRM);
        RETURN;
    END;
    PERFORM growth.measure(relation, place, relation <> target, act, n, statement);
END $$;

-- the copy without triggers: entered, changed, deleted and gone
CREATE FUNCTION growth.bare(relation regclass, place int, low int, top int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE f record; n int; act text;
BEGIN
    IF EXISTS (SELECT FROM growth.left_out AS l WHERE l.relation = bare.relation AND l.act = 'entered') THEN RETURN; END IF;
    EXECUTE format('CREATE TABLE growth.bare (LIKE %s INCLUDING ALL)', relation);
    FOR f IN SELECT c.conname, pg_get_constraintdef(c.oid) AS def FROM pg_constraint AS c WHERE c.conrelid = relation AND c.contype = 'f' LOOP
        EXECUTE format('ALTER TABLE growth.bare ADD CONSTRAINT %I %s', f.conname, f.def);
    END LOOP;
    FOREACH act IN ARRAY '{entered,changed,deleted}'::text[] LOOP
        FOREACH n IN ARRAY ARRAY[1, low, top] LOOP PERFORM growth.act(relation, place, 'growth.bare', act, n); END LOOP;
    END LOOP;
    DROP TABLE growth.bare;
END $$;

-- keys that are there before
CREATE FUNCTION growth.remember(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE growth.%I AS SELECT ROW(%s)::text AS key FROM %s AS x', 'old_' || relation::oid,
        (SELECT string_agg(format('x.%I', a.attname), ', ' ORDER BY a.attnum)
         FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = relation AND i.indisprimary), relation);
    EXECUTE format('CREATE INDEX ON growth.%I (key)', 'old_' || relation::oid);
END $$;
CREATE SEQUENCE growth.keys START 1000001;
SQL

# one session for all, each statement a transaction
pass() {    # are they settings, rows, more rows
    local act order relation place stages n
    for act in entered changed moved deleted; do
        order=; [ $act = deleted ] && order=DESC
        sql -At -F ' ' -c "SELECT t.relation, t.place, crm.column_exists(t.relation, 'stage_id') AND crm.column_exists(t.relation, 'pipeline_id')
                           FROM growth.tables() AS t
                           WHERE t.settings = $1 AND ('$words' = '' OR t.relation::text ~ replace('$words', ' ', '|')) ORDER BY t.place $order" |
        while read -r relation place stages; do
            [ "$act$stages" = movedf ] && continue
            [ $act = entered ] && echo "SELECT growth.remember('$relation');"
            [ $act = moved ] && echo "BEGIN; SELECT crm.bypass_guards('growth');"
            for n in 1 "$2" "$3"; do echo "SELECT growth.act('$relation', $place, '$relation', '$act', $n);"; done
            [ $act = moved ] && echo "COMMIT;"
            [ $act = entered ] && echo "SELECT growth.bare('$relation', $place, $2, $3);"
        done
    done
}
{
    echo "SET synchronous_commit = off; SET crm.tenant = 1;"
    pass false 1000 "$top"
    pass true 100 1000
} >"$WORK/growth.sql"
sql -f "$WORK/growth.sql" >/dev/null || exit 1

sql -At -F '|' -c "
    SELECT format('%s rows of %s %s', a.n, a.relation, a.act), format('%s us', round(a.us)), format('%s us of %s', round(k.us), k.n),
           round(a.us / nullif(k.us, 0), 2),
           -- beyond what the copy without triggers grows by itself; the clock of the server's time ticks every 4 ms
           CASE WHEN a.us <= k.us * 1.5 * greatest(1, coalesce(b.us / nullif(l.us, 0), 1)) + 5 + 4000.0 / k.n THEN 'ok' ELSE 'miss' END,
           coalesce(round(a.us / nullif(b.us, 0), 1)::text, '-')
    FROM growth.costs AS a
    JOIN growth.costs AS k ON k.relation = a.relation AND k.act = a.act AND k.bare = a.bare AND k.n BETWEEN 2 AND a.n - 1
    LEFT JOIN growth.costs AS b ON b.relation = a.relation AND b.act = a.act AND b.bare AND b.n = a.n
    LEFT JOIN growth.costs AS l ON l.relation = a.relation AND l.act = a.act AND l.bare AND l.n = k.n
    WHERE NOT a.bare ORDER BY a.place, a.act DESC" |
while IFS='|' read -r what ours base ratio verdict bare; do
    line "$what, $bare times bare" "$ours" "$base" "$ratio" "<= 1.5" "$verdict"
done
sql -At -c "SELECT format('not %s: %s (%s)', min(l.act), l.relation, min(l.reason)) FROM growth.left_out AS l GROUP BY l.relation ORDER BY 1"
