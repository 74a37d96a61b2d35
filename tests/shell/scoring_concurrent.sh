# Eight sessions write events, leads and accounts, correct and delete, while rules change, all is replayed and thresholds
# that time crosses are written down: every state is what a replay gives, crossings alternate, and nobody blocks anybody for good.
# long: 12 s
set -eu
. "$REPO/tests/helpers/cluster.sh"
db=scoring_concurrent
fresh_database $db
sql -d $db >/dev/null <<'SQL'
SELECT crm.define_score_model('{"name": "decaying", "thresholds": [{"name": "warm", "enter": 12, "leave": 8}, {"name": "hot", "enter": 30}], "rules": [
  {"name": "large", "when": "$.employees > 50", "points": 6}, {"name": "city", "when": "$.account.city starts with \"c1\"", "points": 5},
  {"name": "visit", "event": "k0", "points": 5, "decay": "half_life", "period": "60 seconds", "cap": 40},
  {"name": "form", "event": "k1", "points": 4, "decay": "linear", "period": "90 seconds"}, {"name": "gone", "event": "k2", "points": -3, "repeat": "once"}]}') IS NULL;
SELECT crm.define_score_model('{"name": "plain", "rules": [{"name": "visit", "event": "k0", "points": 1}, {"name": "size", "when": "$.employees > 20", "points": 7}]}') IS NULL;
INSERT INTO crm.accounts (id, name) SELECT i, 'Account ' || i FROM generate_series(1, 10) AS i;
INSERT INTO crm.leads (id, name, employees, account_id) SELECT i, 'Lead ' || i, i, 1 + i % 10 FROM generate_series(1, 100) AS i;
SQL

cat >"$WORK/write.sql" <<'SQL'
\set l random(1, 98)
\set k random(0, 2)
\set a random(1, 10)
\set what random(1, 12)
\if :what <= 5
INSERT INTO crm.score_events (lead_id, kind) VALUES (:l + 2, 'k' || :k), (:l, 'k0'), (:l + 1, 'k' || :k);
\elif :what <= 7
UPDATE crm.leads SET employees = :a * 10, account_id = :a WHERE id = :l;
\elif :what = 8
UPDATE crm.accounts SET city = 'c' || :k WHERE id = :a;
\elif :what = 9
DELETE FROM crm.score_events WHERE id = (SELECT max(id) FROM crm.score_events WHERE lead_id = :l);
\elif :what = 10
INSERT INTO crm.leads (name, employees) VALUES ('New', :a * 10);
\elif :what = 11
BEGIN;
INSERT INTO crm.score_events (lead_id, kind) VALUES (:l, 'k1');
SAVEPOINT s;
UPDATE crm.leads SET employees = 60 WHERE id = :l;
ROLLBACK TO s;
COMMIT;
\else
SELECT count(*) FROM crm.top_leads(5);
\endif
SQL
cat >"$WORK/rules.sql" <<'SQL'
\sleep 200 ms
\set p random(3, 9)
\set what random(1, 4)
\if :what = 1
UPDATE crm.score_rules SET points = :p WHERE name = 'visit';
\elif :what = 2
SELECT crm.replay_scores('decaying');
\elif :what = 3
UPDATE crm.score_rules SET points = :p WHERE name = 'large';
\endif
SELECT crm.replay_stale_scores(batch => 50);
SELECT crm.record_score_crossings();
SQL
sql -d $db -c 'ALTER TABLE crm.leads ALTER COLUMN id RESTART 1001' >/dev/null
pgbench -n -c 1 -T "${SECONDS_EACH:-8}" -f "$WORK/rules.sql" $db >"$WORK/rules.log" 2>&1 &
pgbench -n -c 8 -j 2 -T "${SECONDS_EACH:-8}" -f "$WORK/write.sql" $db >"$WORK/write.log" 2>&1 || { cat "$WORK/write.log"; exit 1; }
wait $! || { cat "$WORK/rules.log"; exit 1; }
grep -hE 'processed|failed' "$WORK/write.log" "$WORK/rules.log"
if grep -hE 'ERROR|deadlock|aborted' "$WORK/write.log" "$WORK/rules.log"; then exit 1; fi

check() { none $db "$@"; }   # what, query giving 0
[ "$(value $db 'SELECT count(*) > 200 FROM crm.score_events')" = t ] || { echo "too few events"; exit 1; }
check "states of the present rules that are not what a replay gives" "SELECT count(*) FROM crm.score_models AS m, crm.verify_lead_scores(m.name) AS v WHERE v.reason !~ '^state of version'"
for _ in 1 2 3 4 5 6; do sql -d $db -c 'SELECT crm.replay_stale_scores(batch => 1000000)' >/dev/null; done
check "models that were not brought to an end" "SELECT count(*) FROM crm.score_models AS m LEFT JOIN crm.score_replays AS r ON r.tenant_id = m.tenant_id AND r.model_id = m.id WHERE r.version IS DISTINCT FROM m.version OR NOT r.complete"
check "states that are not what a replay gives" "SELECT count(*) FROM crm.score_models AS m, crm.verify_lead_scores(m.name)"
check "troubles" "SELECT count(*) FROM crm.events WHERE kind = 'score.trouble'"
check "crossings that do not alternate" "SELECT count(*) FROM (SELECT direction, row_number() OVER (PARTITION BY model_id, lead_id, threshold ORDER BY id) % 2 = 1 AS odd FROM crm.score_crossings) AS c WHERE (direction = 'up') <> odd"
check "leads inside a threshold that nothing took them into" "SELECT count(*) FROM crm.lead_scores AS s, unnest('{warm,hot}'::text[]) AS t JOIN crm.score_models AS m ON m.name = 'decaying'
    WHERE s.model_id = m.id AND (t = ANY (s.inside)) <> ((SELECT count(*) FROM crm.score_crossings AS c WHERE c.model_id = m.id AND c.lead_id = s.lead_id AND c.threshold = t) % 2 = 1)"
check "best leads that are not the best" "WITH i AS MATERIALIZED (SELECT now() + interval '10 seconds' AS at), m (name) AS (VALUES ('decaying'), ('plain'))
    SELECT count(*) FROM m, i WHERE (SELECT array_agg(t.lead_id ORDER BY o) FROM crm.top_leads(50, i.at, m.name) WITH ORDINALITY AS t (lead_id, f, e, s, g, o))
    <> (SELECT array_agg(x.id ORDER BY o) FROM (SELECT l.id, row_number() OVER (ORDER BY p.score DESC, p.fit + p.engagement DESC, l.id) AS o FROM crm.leads AS l, crm.lead_score_parts(l.id, i.at, m.name) AS p) AS x WHERE o <= 50)"
dropdb $db
