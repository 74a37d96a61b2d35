#!/usr/bin/env bash
# On a server with PostgreSQL's own settings nothing of ours is compiled (jit): where a small statement's cost is a bad
# guess, or planned anew again and again, compiling takes many times as long as running. Every view is cheap by estimate
# from the empty company on, and pg_stat_statements finds nothing compiled in a typical day, not in functions and
# triggers either.
# long: 25 s
set -u
. "$REPO/tests/helpers/cluster.sh"
[ -e "$STAGED_LIB/pg_stat_statements.so" ] || { echo "no pg_stat_statements here"; exit 77; }
export PGPORT=54323
trap cluster_stop EXIT
cluster_start "$WORK/jit" "shared_preload_libraries = 'pg_stat_statements'" "pg_stat_statements.track = all" "pg_stat_statements.max = 20000" || exit 1
fresh_database jit || exit 1
export PGDATABASE=jit
status=0
sql -c 'CREATE EXTENSION pg_stat_statements' || exit 1
[ "$(value jit "SELECT pg_jit_available() AND current_setting('jit')::boolean")" = t ] || { echo "this server does not compile"; exit 77; }

dear() {    # when: views of which reading all rows seems dear enough to be compiled; half of the limit counts
    sql -At <<'SQL' >"$WORK/dear" || exit 1
CREATE FUNCTION pg_temp.cost(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan; RETURN plan -> 0 -> 'Plan' ->> 'Total Cost'; END $$;
SELECT c.oid::regclass, pg_temp.cost('SELECT * FROM ' || c.oid::regclass) FROM pg_class AS c
WHERE c.relnamespace::regnamespace::text IN ('crm', 'crm_analytics', 'crm_internal') AND c.relkind = 'v'
  AND pg_temp.cost('SELECT * FROM ' || c.oid::regclass) > current_setting('jit_above_cost')::numeric / 2;
SQL
    [ ! -s "$WORK/dear" ] || { echo "reading these views seems dear, $1:"; cat "$WORK/dear"; status=1; }
}
dear "nothing in them"
sql -c 'SELECT crm.generate_demo(1, 42)' >/dev/null || exit 1
dear "after the demonstration was made"
sql -c ANALYZE
dear "with all tables counted"

# every view as whoever may read it, every page, and a day's work
sql >/dev/null <<'SQL' || exit 1
CREATE ROLE regress_manager; CREATE ROLE regress_agent; CREATE ROLE regress_reader;
SELECT crm.grant_access('regress_manager', 'manager', (SELECT min(u.id) FROM crm.users AS u WHERE u.access = 'manager')),
       crm.grant_access('regress_agent', 'agent', (SELECT min(u.id) FROM crm.users AS u WHERE u.access = 'agent')),
       crm.grant_access('regress_reader', 'reader');
SQL
for role in postgres regress_manager regress_agent regress_reader; do
    PGOPTIONS="-c role=$role" sql -At >"$WORK/views" <<'SQL' || exit 1
SELECT format('SELECT %L, count(*) FROM (SELECT * FROM %s OFFSET 0) AS v', c.oid::regclass, c.oid::regclass)
FROM pg_class AS c WHERE c.relnamespace::regnamespace::text = 'crm_analytics' AND c.relkind = 'v' AND has_table_privilege(c.oid, 'SELECT') ORDER BY c.oid
\gexec
SELECT length(crm_analytics.report_html('pipeline')), length(crm_analytics.report_html('dashboard')),
       length(crm_analytics.report_html('customer', account_id => (SELECT min(a.id) FROM crm.accounts AS a)));
SQL
    [ "$(wc -l <"$WORK/views")" -gt 20 ] || { echo "$role reads hardly any views"; status=1; }
done
sql >/dev/null <<'SQL' || exit 1
SELECT crm.define_score_model('{"name": "day", "thresholds": [{"name": "warm", "enter": 12, "leave": 8}], "rules": [
    {"name": "large", "when": "$.employees > 50", "points": 6}, {"name": "visit", "event": "web.visit", "points": 5, "decay": "half_life", "period": "30 days"}]}') IS NULL;
SELECT (crm.capture_lead('{"name": "Mina Karimi", "email": "mina@example.com", "company": "Orchard"}')).id AS lead \gset
INSERT INTO crm.score_events (lead_id, kind) SELECT :lead, 'web.visit' FROM generate_series(1, 5);
SELECT (crm.open_ticket('Printer')).id AS ticket \gset
SELECT (crm.add_ticket_message(:ticket, 'Looking into it', 'out')).id;
SELECT * FROM crm.clock_history('tickets', :ticket);
CREATE TABLE public.firms AS SELECT 'f' || n AS code, 'Firm ' || n AS name, 'Shiraz' AS city FROM generate_series(1, 50) AS n;
SELECT crm.import_table('public.firms', '{"target": "accounts", "source_system": "day", "key": "code", "columns": {"name": "name", "city": "city"}}');
SELECT * FROM crm.run_maintenance();
SELECT * FROM crm.top_leads(), crm.explain_lead_score(lead_id);
SELECT * FROM crm.find_accounts('firm'), crm.find_contacts('mina');
SQL
compiled() {
    sql -At -F ' ' <<'SQL'
SELECT s.calls, 'times', CASE WHEN s.toplevel THEN 'at the top:' ELSE 'within a function:' END, left(regexp_replace(s.query, '\s+', ' ', 'g'), 400)
FROM pg_stat_statements AS s WHERE s.jit_functions > 0 AND s.query !~ 'pg_stat_statements' ORDER BY s.jit_functions DESC;
SQL
}
compiled >"$WORK/compiled" || exit 1
[ ! -s "$WORK/compiled" ] || { echo "these statements were compiled:"; cat "$WORK/compiled"; status=1; }

# the count does count: a dear statement is in it
sql -c "SET jit_above_cost = 0" -c "SELECT count(*) FROM crm.accounts" >/dev/null
[ -n "$(compiled)" ] || { echo "a compiled statement was not noticed"; status=1; }
exit $status
