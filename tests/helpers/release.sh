# Releases and upgrades, for sourcing after cluster.sh.
#
#   release_make DIR VERSION     databases as the release whose scripts stand in DIR left them: release_empty, and
#                                release_filled with a company in it
#   release_upgrades VERSION     whether copies of them become what database fresh is, and keep their rows
#   schema_of DATABASE           everything the CRM made in a database, a line each

# The order of columns does not count: an added column stands last.
schema_of() {
    sql -At -d "$1" <<'Q'
SET search_path = pg_catalog;
SELECT 'column', c.oid::regclass::text COLLATE "C", a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace::regnamespace::text LIKE 'crm%' AND c.relkind IN ('r', 'p', 'v', 'c') ORDER BY 2, 3;
SELECT 'relation', c.oid::regclass::text COLLATE "C", c.relkind, c.relrowsecurity, c.reloptions,
       (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(c.relacl) AS a)
FROM pg_class AS c WHERE c.relnamespace::regnamespace::text LIKE 'crm%' AND c.relkind IN ('r', 'p', 'v', 'S') ORDER BY 2;
SELECT 'view', c.oid::regclass::text COLLATE "C", md5(pg_get_viewdef(c.oid)) FROM pg_class AS c WHERE c.relnamespace::regnamespace::text LIKE 'crm%' AND c.relkind = 'v' ORDER BY 2;
SELECT 'constraint', conrelid::regclass::text COLLATE "C", conname, convalidated, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace::regnamespace::text LIKE 'crm%' ORDER BY 2, 3;
SELECT 'index', indexdef FROM pg_indexes WHERE schemaname LIKE 'crm%' ORDER BY 2;
SELECT 'trigger', tgrelid::regclass::text COLLATE "C", tgenabled, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 2, 4;
SELECT 'event trigger', evtname, evtevent, evtfoid::regproc FROM pg_event_trigger ORDER BY 2;
SELECT 'policy', schemaname, tablename, policyname, cmd, qual, with_check FROM pg_policies ORDER BY 2, 3, 4;
SELECT 'function', p.oid::regprocedure::text COLLATE "C", p.prokind,
       CASE WHEN p.prokind <> 'a' THEN md5(pg_get_functiondef(p.oid)) END,
       (SELECT string_agg(a::text, ',' ORDER BY a::text) FROM unnest(p.proacl) AS a)
FROM pg_proc AS p WHERE p.pronamespace::regnamespace::text LIKE 'crm%' ORDER BY 2;
SELECT 'member', pg_describe_object(d.classid, d.objid, d.objsubid) COLLATE "C"
FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
WHERE e.extname = 'crm' ORDER BY 2;
SELECT 'comment', pg_describe_object(classoid, objoid, objsubid) COLLATE "C", description FROM pg_description
WHERE pg_describe_object(classoid, objoid, objsubid) LIKE '%crm%' ORDER BY 2;
Q
}

# How many rows each table holds; the record of installations is each database's own.
rows_of() {
    sql -At -d "$1" <<'Q'
SELECT format('SELECT %L, count(*) FROM %s', c.oid::regclass, c.oid::regclass)
FROM pg_class AS c WHERE c.relnamespace::regnamespace::text LIKE 'crm%' AND c.relkind = 'r' AND c.relname <> 'installation' ORDER BY c.oid::regclass::text COLLATE "C"
\gexec
Q
}

# A C function that has gone from the library cannot be made any more. What stands in for it is never called.
stand_in() {    # the extension's script: the same with symbols that the library has
    local have
    have=$(nm -D --defined-only "$STAGED_LIB/crm.so" | awk '{print $3}')
    awk -v have="$have" 'BEGIN { n = split(have, a, "\n"); for (i = 1; i <= n; i++) known[a[i]] = 1 }
        match($0, /'"'MODULE_PATHNAME', '"'[a-z0-9_]+/) {
            symbol = substr($0, RSTART, RLENGTH); sub(/.*'"'"'/, "", symbol)
            if (!(symbol in known)) sub("'"'"'" symbol "'"'"'", "'"'crm_library_version'"'")
        } { print }' "$1"
}

release_install() { # DIR, version, database: a release from its own scripts
    local dir=$1 version=$2 db=$3 kind
    for kind in crm crm_tables crm_code; do
        gzip -dc "$dir/$kind.sql.gz" >"$WORK/$kind.sql" 2>/dev/null || { echo "$dir/$kind.sql.gz is missing or damaged"; return 1; }
    done
    # beside the scripts of today, for as long as CREATE EXTENSION reads it
    cp -p "$STAGED_EXTENSION/crm--$version.sql" "$WORK/today.sql" 2>/dev/null || rm -f "$WORK/today.sql"
    rm -f "$STAGED_EXTENSION/crm--$version.sql"
    stand_in "$WORK/crm.sql" >"$STAGED_EXTENSION/crm--$version.sql"
    dropdb --if-exists --force "$db"; createdb "$db"
    sql -d "$db" -c "CREATE EXTENSION crm VERSION '$version'" >"$WORK/install.log" 2>&1 || { echo "the members of $version cannot be made:"; cat "$WORK/install.log"; return 1; }
    rm -f "$STAGED_EXTENSION/crm--$version.sql"
    [ ! -e "$WORK/today.sql" ] || cp -p "$WORK/today.sql" "$STAGED_EXTENSION/crm--$version.sql"
    PGOPTIONS='-c search_path=pg_catalog,pg_temp -c check_function_bodies=off -c client_min_messages=warning' \
        sql -1 -d "$db" -f "$WORK/crm_tables.sql" -c "INSERT INTO crm.installation (to_version) VALUES ('$version')" -f "$WORK/crm_code.sql" >"$WORK/install.log" 2>&1 ||
        { echo "the scripts of $version cannot be run:"; cat "$WORK/install.log"; return 1; }
}

release_make() {    # DIR, version: databases release_empty and release_filled, as that release left them
    release_install "$1" "$2" release_empty || return 1
    dropdb --if-exists --force release_filled; createdb -T release_empty release_filled
    sql -d release_filled -c 'SELECT crm.generate_demo(1, 42)' -c 'SELECT crm.fold_rollups()' >"$WORK/demo.log" 2>&1 || { cat "$WORK/demo.log"; return 1; }
    rows_of release_filled >"$WORK/rows_before"
}

upgrade_copy() {    # version, database made by release_make, name of the copy
    dropdb --if-exists --force "$3"; createdb -T "$2" "$3"
    sql -d "$3" -c 'ALTER EXTENSION crm UPDATE' -c 'SELECT crm.install()' >"$WORK/upgrade.log" 2>&1 ||
        { echo "release $1 cannot be upgraded:"; cat "$WORK/upgrade.log"; return 1; }
}

release_upgrades() {    # version, after release_make
    local status=0
    upgrade_copy "$1" release_empty upgraded || return 1
    schema_of fresh >"$WORK/fresh"; schema_of upgraded >"$WORK/upgraded"
    diff "$WORK/fresh" "$WORK/upgraded" >"$WORK/schema.diff" ||
        { echo "release $1, upgraded, is not what a fresh installation is (< only fresh, > only upgraded; sql/upgrade/README.md):"
          head -40 "$WORK/schema.diff"; status=1; }
    rows_of fresh >"$WORK/rows_fresh"; rows_of upgraded >"$WORK/rows_empty"
    diff "$WORK/rows_fresh" "$WORK/rows_empty" >"$WORK/rows.diff" ||
        { echo "release $1, upgraded, holds other first rows (< fresh, > upgraded):"; cat "$WORK/rows.diff"; status=1; }
    [ $status = 0 ] || return 1
    # rows may come by an upgrade, none may go
    upgrade_copy "$1" release_filled upgraded || return 1
    rows_of upgraded >"$WORK/rows_after"
    awk -F'|' 'NR == FNR { after[$1] = $2; next } $1 in after && after[$1] + 0 < $2 + 0 { print "  " $1 " had " $2 " rows and has " after[$1] }' \
        "$WORK/rows_after" "$WORK/rows_before" >"$WORK/lost"
    [ ! -s "$WORK/lost" ] || { echo "release $1, upgraded, has lost rows:"; cat "$WORK/lost"; return 1; }
}
