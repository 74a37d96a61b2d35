#!/usr/bin/env bash
# What one call and one row cost on a warm session, as processor time of the backend, so that others' load counts little.
# Baseline: a contact entered by a statement with its commit (calls), and by one statement of many (rows). There is a policy with
# two targets, a queue of 49 agents with twenty tickets each, 20,000 contacts with addresses, and a points model of four rules.
set -u
. "$REPO/tests/helpers/cluster.sh"
rows=${SIZE:-20000}

sql >/dev/null <<'SQL' || exit 1
INSERT INTO crm.users (id, name, email) SELECT i, 'Agent ' || i, 'agent' || i || '@us.example' FROM generate_series(1, 50) AS i;
INSERT INTO crm.teams (id, name) VALUES (1, 'Desk');
INSERT INTO crm.team_memberships (team_id, user_id) SELECT 1, i FROM generate_series(2, 50) AS i;
INSERT INTO crm.agents (user_id, capacity) SELECT i, 100000 FROM generate_series(2, 50) AS i;
INSERT INTO crm.queues (code, name, team_id, routing_method, sticky) VALUES ('robin', 'Robin', 1, 'round_robin', false);
INSERT INTO crm.sla_policies (id, name) VALUES (1, 'standard');
INSERT INTO crm.sla_targets (policy_id, metric, seconds, time_basis) VALUES (1, 'first_response', 3600, 'calendar'), (1, 'resolution', 86400, 'calendar');
INSERT INTO crm.contacts (id, name) SELECT i, 'Contact ' || i FROM generate_series(1, 20000) AS i;
SELECT setval(pg_get_serial_sequence('crm.contacts', 'id'), 30000);
INSERT INTO crm.contact_points (contact_id, kind, value) SELECT i, 'email', 'c' || i || '@them.example' FROM generate_series(1, 20000) AS i;
INSERT INTO crm.tickets (subject, owner_id) SELECT 'Old ' || i, 2 + i % 49 FROM generate_series(1, 980) AS i;
SELECT crm.define_score_model('{"name": "four", "rules": [
    {"name": "large", "points": 20, "when": "$.employees >= 200"}, {"name": "here", "points": 10, "when": "$.country == \"DE\""},
    {"name": "visit", "event": "visit", "points": 5, "decay": "half_life", "period": "30 days"},
    {"name": "form", "event": "form", "points": 15, "decay": "half_life", "period": "60 days"}]}');
CREATE SEQUENCE bench_keys START 1000000;
SQL
sql -c 'VACUUM ANALYZE' -c CHECKPOINT

clock="SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint AS started \\gset"
spent="SELECT round((split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::bigint - :started)"
call() {        # statement: ms of processor time a call, of 200 after 40, the best of three rounds
    local i round
    {
        echo "SET synchronous_commit = off;"
        for i in $(seq 40); do echo "$1;"; done
        for round in 1 2 3; do
            echo "$clock"
            for i in $(seq 200); do echo "$1;"; done
            echo "$spent / 1e6 / 200, 3) AS spent \\gset"
            echo '\echo SPENT :spent'
        done
    } | sql -At | sed -n 's/^SPENT //p' | sort -n | head -1
}
many() {        # statement, its rows, statements before: us of processor time a row
    { echo "SET synchronous_commit = off;"; echo "${3:-}"; echo 'BEGIN;'; echo "$clock"; echo "$1;"; echo 'SET CONSTRAINTS ALL IMMEDIATE;'
      echo "$spent / 1e3 / $2, 1) AS spent \\gset"; echo '\echo SPENT :spent'; echo 'ROLLBACK;'; } | sql -At | sed -n 's/^SPENT //p'
}
say() { line "$1" "$2 $3" "contact $4 $3" "$(awk -v a="$2" -v b="$4" 'BEGIN {printf "%.1f", a / b}')" "<= $5 $3" "$(awk -v a="$2" -v b="$5" 'BEGIN {print (a <= b) ? "ok" : "miss"}')"; }

one=$(call "INSERT INTO crm.contacts (name) VALUES ('Contact ' || nextval('bench_keys'))")
say "capture_lead, a new lead" "$(call "SELECT (crm.capture_lead(jsonb_build_object('channel', 'form', 'name', 'Lead ' || k, 'company', 'Company ' || k, 'email', 'l' || k || '@lead.example'))).id FROM nextval('bench_keys') AS k")" ms "$one" 1.5
mail="'It burns', subject => 'Printer', external_id => 'm' || k"
say "receive_message, of somebody unknown" "$(call "SELECT (crm.receive_message('mail', $mail, from_address => 'n' || k || '@new.example')).id FROM nextval('bench_keys') AS k")" ms "$one" 2
say "receive_message, of a contact, in a conversation" "$(call "SELECT (crm.receive_message('mail', $mail, from_address => 'c7@them.example', thread_id => 'c7')).id FROM nextval('bench_keys') AS k")" ms "$one" 2
say "receive_message, into a queue of 49 agents" "$(call "SELECT (crm.receive_message('mail', $mail, from_address => 'c8@them.example', queue => 'robin')).id FROM nextval('bench_keys') AS k")" ms "$one" 4
say "a ticket, by INSERT" "$(call "INSERT INTO crm.tickets (subject) VALUES ('Printer ' || nextval('bench_keys'))")" ms "$one" 1
say "a lead, by INSERT" "$(call "INSERT INTO crm.leads (name, company, email) SELECT 'Lead ' || k, 'Company', 'i' || k || '@lead.example' FROM nextval('bench_keys') AS k")" ms "$one" 0.5
say "an opportunity, by INSERT" "$(call "INSERT INTO crm.opportunities (name, amount, currency) VALUES ('Deal ' || nextval('bench_keys'), 100, 'USD')")" ms "$one" 0.4

row=$(many "INSERT INTO crm.contacts (name) SELECT 'Row ' || i FROM generate_series(1, $rows) AS i" "$rows")
say "$rows tickets by one statement, each (100,000 in 20 s)" "$(many "INSERT INTO crm.tickets (subject) SELECT 'Row ' || i FROM generate_series(1, $rows) AS i" "$rows" "INSERT INTO crm.tickets (subject) VALUES ('warm');")" us "$row" 200
sql -c "INSERT INTO crm.tickets (subject) SELECT 'Row ' || i FROM generate_series(1, $rows) AS i" \
    -c "INSERT INTO crm.leads (name, employees, country) SELECT 'Row ' || i, i % 500, 'DE' FROM generate_series(1, $rows) AS i" -c 'VACUUM ANALYZE' -c CHECKPOINT >/dev/null
warm="UPDATE crm.tickets SET subject = 'warmer' WHERE subject = 'warm'; UPDATE crm.leads SET city = 'warm' WHERE tenant_id = 1 AND id = (SELECT max(l.id) FROM crm.leads AS l);"
change() { say "$rows $1, each" "$(many "$2" "$rows" "$warm")" us "$row" "$3"; }
change "leads changed in a column no rule looks at" "UPDATE crm.leads SET city = 'x' WHERE name LIKE 'Row %'" 35
change "leads changed in a column a rule looks at" "UPDATE crm.leads SET employees = employees + 1 WHERE name LIKE 'Row %'" 35
change "tickets changed in a column no policy looks at" "UPDATE crm.tickets SET subject = subject || 'x' WHERE subject LIKE 'Row %'" 100
change "tickets given to somebody" "UPDATE crm.tickets SET owner_id = 3 WHERE subject LIKE 'Row %'" 150
change "tickets of another priority" "UPDATE crm.tickets SET priority = 'high' WHERE subject LIKE 'Row %'" 300
