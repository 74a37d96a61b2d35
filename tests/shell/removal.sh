#!/usr/bin/env bash
# The CRM is taken away by its superuser and by an owner who is none: what rests on it is told first, nothing is left, tables of one's own
# stay, and it can be installed again. One company of two is dropped and the other keeps what it has. Health is told to pg_monitor.
# long: 30 s
set -u
. "$REPO/tests/helpers/cluster.sh"
cd "$WORK" || exit 1
export PGOPTIONS='-c client_min_messages=warning'
own_objects="
CREATE SCHEMA shop;
CREATE TABLE shop.visits (tenant_id bigint NOT NULL DEFAULT crm.tenant_id(), id bigint, account_id bigint, name text CHECK (crm.fold_text(name) <> ''),
    owner_id bigint, PRIMARY KEY (tenant_id, id), CONSTRAINT visits_account FOREIGN KEY (tenant_id, account_id) REFERENCES crm.accounts (tenant_id, id));
CREATE INDEX visits_folded ON shop.visits (crm.fold_text(name));
CREATE VIEW shop.named AS SELECT v.id, a.name FROM shop.visits AS v JOIN crm.accounts AS a ON a.tenant_id = v.tenant_id AND a.id = v.account_id;
CREATE FUNCTION shop.of(a crm.accounts) RETURNS text LANGUAGE sql AS 'SELECT \$1.name';
CREATE FUNCTION shop.mentions() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM crm.accounts); END';
INSERT INTO crm.accounts (id, name) VALUES (7, 'Acme');
INSERT INTO shop.visits (id, account_id, name) VALUES (1, 7, 'first');
SELECT crm.attach('shop.visits', '{\"class\": \"owned\"}'), crm.attach_segments('shop.visits');
SELECT crm.create_rollup('visits_by_account', 'shop.visits', ARRAY['account_id'], ARRAY['count(*)']);"
what_is_left="SELECT count(*) FROM (SELECT oid FROM pg_namespace WHERE nspname LIKE 'crm%' UNION ALL SELECT oid FROM pg_event_trigger
    UNION ALL SELECT oid FROM pg_extension WHERE extname = 'crm' UNION ALL SELECT oid FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT oid FROM pg_policy UNION ALL SELECT oid FROM pg_proc WHERE probin LIKE '%crm%') AS x"
removed() {     # database, who
    local kinds
    sql -U "$2" -d "$1" -c "$own_objects" >/dev/null || fail "$2: own objects"
    kinds=$(PGUSER=$2 value "$1" "SELECT string_agg(DISTINCT kind, ' ' ORDER BY kind) FROM crm.uninstall_check() WHERE object ~ 'shop' AND kind <> 'table' AND note NOT LIKE 'taken off%'")
    [ "$kinds" = 'check default foreign key function index view' ] || fail "$2: the check finds: $kinds"
    [ "$(PGUSER=$2 value "$1" "SELECT count(*) FROM crm.uninstall() WHERE object = 'crm.accounts' AND row_count = 1")" = 1 ] || fail "$2: no count first"
    sql -U "$2" -d "$1" -c "SELECT crm.uninstall('another')" 2>/dev/null && fail "$2: another name was taken"
    sql -U "$2" -d "$1" -c "SELECT crm.uninstall('$1')" >refused 2>&1 && fail "$2: it was not refused"
    grep -q 'visits_account' refused || { cat refused; fail "$2: refused for another reason"; }
    [ "$(PGUSER=$2 value "$1" 'SELECT count(*) FROM crm.accounts')" = 1 ] || fail "$2: what was refused did something"
    sql -U "$2" -d "$1" -c "SELECT * FROM crm.uninstall('$1', cascade => true)" >said || fail "$2: uninstall"
}
fresh_database removal_super || exit 1
removed removal_super postgres
[ "$(value removal_super "$what_is_left")" = 0 ] || fail "something is left"
[ "$(value removal_super 'SELECT name FROM shop.visits')" = first ] || fail "the own table is gone"
sql -d removal_super -c 'CREATE EXTENSION crm' -c 'SELECT crm.install()' -c 'SELECT crm.generate_demo(1, 1)' >/dev/null || fail "installing again"
# everything that the demo made hinders nothing
sql -d removal_super -c "SELECT crm.uninstall('removal_super')" >/dev/null || fail "a filled one"
[ "$(value removal_super "$what_is_left")" = 0 ] || fail "something is left of a filled one"

sql -d postgres -c 'DROP ROLE IF EXISTS removal_owner' -c 'CREATE ROLE removal_owner LOGIN'
createdb -O removal_owner removal_owned
for turn in first second; do
    sql -d removal_owned -c 'CREATE EXTENSION crm' -c "SELECT crm.prepare_owner('removal_owner')" >/dev/null || fail "$turn extension"
    sql -U removal_owner -d removal_owned -c 'SELECT crm.install()' >/dev/null || fail "$turn install"
    removed removal_owned removal_owner
    grep -q 'DROP SCHEMA crm CASCADE' said || fail "the superuser's statement is not told"
    sql -d removal_owned -c 'DROP SCHEMA crm CASCADE' || fail "the superuser's statement"
    [ "$(value removal_owned "$what_is_left")" = 0 ] || fail "$turn: something is left of an owner's"
    sql -d removal_owned -c 'DROP SCHEMA shop CASCADE'
done

fresh_database removal_tenant || exit 1
sql -d removal_tenant >/dev/null <<'SQL' || fail "two companies"
SELECT crm.generate_demo(1, 1);
SELECT crm.create_tenant('Second', 'EUR');
INSERT INTO crm.accounts (tenant_id, name) VALUES (2, 'Theirs');
INSERT INTO crm.leads (tenant_id, name) VALUES (2, 'Their lead');
SQL
before=$(value removal_tenant "SELECT count(*) FROM crm.accounts WHERE tenant_id = 1")
[ "$(value removal_tenant "SELECT row_count FROM crm.drop_tenant(2) WHERE table_name = 'crm.accounts'")" = 1 ] || fail "no count first"
[ "$(value removal_tenant 'SELECT count(*) FROM crm.tenants')" = 2 ] || fail "a count dropped something"
sql -d removal_tenant -c "SELECT crm.drop_tenant(2, 'Third')" 2>/dev/null && fail "another name was taken"
triggers=$(value removal_tenant "SELECT md5(string_agg(tgrelid || tgname || tgenabled, ' ' ORDER BY oid)) FROM pg_trigger")
sql -d removal_tenant -c "SELECT crm.drop_tenant(2, 'Second')" >/dev/null || fail "drop_tenant"
[ "$(value removal_tenant "SELECT count(*) FROM crm.drop_tenant(1) WHERE table_name = 'crm.leads'")" = 1 ] || fail "the other has no leads"
[ "$(value removal_tenant "SELECT sum((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM %s WHERE tenant_id = 2', r.relation), false, true, '')))[1]::text::bigint)
   FROM crm.registry AS r WHERE crm.column_exists(r.relation, 'tenant_id')")" = 0 ] || fail "rows are left"
[ "$(value removal_tenant "SELECT md5(string_agg(tgrelid || tgname || tgenabled, ' ' ORDER BY oid)) FROM pg_trigger")" = "$triggers" ] || fail "triggers are not as they were"
[ "$(value removal_tenant "SELECT count(*) FROM crm.accounts")" = "$before" ] || fail "the other lost accounts"
[ "$(wrong_sums removal_tenant)" = 0 ] || fail "a rollup differs"
sql -d removal_tenant -c "SELECT crm.drop_tenant(1, (SELECT name FROM crm.tenants))" 2>/dev/null && fail "the only tenant was dropped"

# health
sql -d postgres -c 'DROP ROLE IF EXISTS removal_monitor' -c 'CREATE ROLE removal_monitor LOGIN IN ROLE pg_monitor'
sql -d removal_tenant >/dev/null -c "UPDATE crm.maintenance_tasks SET failures = 6, last_error = 'x', last_error_at = now() WHERE name = 'escalate'" \
    -c 'ALTER TABLE crm.leads DISABLE TRIGGER leads_after_segment' -c "INSERT INTO crm.opportunities (name, amount, currency) VALUES ('Foreign', 5, 'XOF')" || fail "trouble"
found=$(PGUSER=removal_monitor value removal_tenant "SELECT string_agg(severity || ' ' || finding || ' ' || subject, ',' ORDER BY finding)
    FROM crm.health() WHERE finding IN ('failing_task', 'disabled_trigger', 'missing_rate') AND advice <> ''")
[ "$found" = 'error disabled_trigger leads,error failing_task escalate,warning missing_rate tenant 1' ] || fail "health: $found"
sql -U removal_monitor -d removal_tenant -c 'SELECT count(*) FROM crm.leads' 2>/dev/null && fail "pg_monitor reads rows"
PGUSER=removal_monitor value removal_tenant 'SELECT count(*) FROM crm.worker_status()' >/dev/null || fail "worker_status of pg_monitor"
for d in removal_super removal_owned removal_tenant; do dropdb --force $d; done
sql -d postgres -c 'DROP ROLE removal_owner' -c 'DROP ROLE removal_monitor'
exit 0
