#!/usr/bin/env bash
# Escalation over a million clocks, and tickets as a client sees them.
set -u
. "$REPO/tests/bench/timed.inc"

q <<'SQL' >/dev/null
SELECT crm.define_calendar('bench', '{"zone": "Europe/Berlin", "weekly": {"mon": [["09:00","12:00"],["13:00","17:00"]], "tue": [["09:00","12:00"],["13:00","17:00"]],
    "wed": [["09:00","12:00"],["13:00","17:00"]], "thu": [["09:00","12:00"],["13:00","17:00"]], "fri": [["09:00","12:00"],["13:00","17:00"]]}}');
INSERT INTO crm.users (id, name) VALUES (1, 'Boss');
INSERT INTO crm.users (id, name, manager_id) SELECT i, 'Agent ' || i, 1 FROM generate_series(2, 50) AS i;
INSERT INTO crm.sla_policies (id, name, calendar_id) SELECT 1, 'bench', id FROM crm.calendars WHERE code = 'bench';
INSERT INTO crm.sla_policies (id, name, calendar_id, condition) SELECT 2, 'bench two', id, '$.subject == "never"' FROM crm.calendars WHERE code = 'bench';
INSERT INTO crm.escalation_steps (policy_id, metric, position, name, percent, recipients) VALUES
    (1, 'resolution', 1, 'half', 50, '{owner}'), (1, 'resolution', 2, 'three quarters', 75, '{owner,manager}'),
    (1, 'resolution', 3, 'due', 100, '{owner,manager}');
INSERT INTO crm.escalation_steps (policy_id, metric, position, name, offset_seconds, repeat_seconds, repeat_max, recipients)
VALUES (1, 'resolution', 4, 'late', 3600, 7200, 10, '{manager}');
-- 10,000 tickets, and clocks for them and for 990,000 other subjects
INSERT INTO crm.tickets (id, subject, owner_id) SELECT i, 'x', 2 + i % 49 FROM generate_series(1, 10000) AS i;
ALTER TABLE crm.tickets ALTER COLUMN id RESTART WITH 5000000;
DELETE FROM crm.sla_subjects;
INSERT INTO crm.sla_subjects (subject_type, subject_id) SELECT 'tickets', i FROM generate_series(1, 1000000) AS i;
SQL
id=$(q -c "SELECT id FROM crm.calendars WHERE code = 'bench'")
clocks="INSERT INTO crm.sla_clocks (subject_type, subject_id, metric, cycle, state, policy_id, target_seconds, calendar_id, started_at, counted_from, running_since, due_at)
SELECT 'tickets', i, 'resolution', 1, 'running', %POLICY%, x.target, $id, x.start, x.start, x.start, crm.sla_due($id, x.target, x.start)
FROM (SELECT i, '2029-01-01Z'::timestamptz + make_interval(secs => (i::bigint * 7919) % 1000000) AS start, 14400.0 + (i % 10) * 14400 AS target
      FROM generate_series(1, 1000000) AS i) AS x"
# what the trigger costs: the same clocks of a policy without a ladder, and of one with four steps
plain=$(q -c '\timing on' -c BEGIN -c "${clocks/\%POLICY\%/2}" -c ROLLBACK | ms | sort -n | tail -1)
q -c 'VACUUM crm.sla_clocks' -c CHECKPOINT
t=$(q -c '\timing on' -c "${clocks/\%POLICY\%/1}" | ms)
line "1M clocks written, steps of a 4-step ladder scheduled" "$(awk -v t="$t" 'BEGIN {printf "%.2f s", t / 1000}')" "no ladder $(awk -v t="$plain" 'BEGIN {printf "%.2f s", t / 1000}')" "$(ratio "$t" "$plain")" "-" "-"
q -c 'VACUUM ANALYZE crm.sla_clocks' -c 'ANALYZE' -c CHECKPOINT

one=$(best_ms 'SELECT 1' 5)
t=$(best_ms "SELECT crm.escalate('2028-12-31Z', 1000)" 5)
line "escalation pass, nothing due, 1M clocks" "$t ms" "SELECT 1 $one ms" "$(ratio "$t" "$one")" "< 1 ms" "$(verdict "$t" "<=" 1)"
t=$(best_ms 'SELECT crm.next_escalation_at()' 5)
line "next due instant, 1M clocks" "$t ms" "SELECT 1 $one ms" "$(ratio "$t" "$one")" "-" "-"

# 10,000 due steps: of the tickets, by passes of 1,000 in transactions of their own, as the worker does it
at=$(q -c "SELECT escalate_at FROM (SELECT escalate_at FROM crm.sla_clocks WHERE subject_id <= 10000 ORDER BY escalate_at) AS x OFFSET 9999 LIMIT 1")
q -c "UPDATE crm.sla_clocks SET policy_id = 2 WHERE subject_id > 10000" -c 'VACUUM crm.sla_clocks' -c 'VACUUM ANALYZE crm.sla_clocks' -c CHECKPOINT
before=$(q -c 'SELECT count(*) FROM crm.escalation_firings')
due=$(q -c "SELECT count(*) FROM crm.sla_clocks WHERE escalate_at <= '$at'")
cmds=(); for i in $(seq 1 11); do cmds+=(-c "SELECT crm.escalate('$at', 1000)"); done
t=$(q -c '\timing on' "${cmds[@]}" | ms | awk '{s += $1} END {print s}')
n=$(q -c "SELECT count(*) - $before FROM crm.escalation_firings")
told=$(q -c "SELECT count(*) FROM crm.events WHERE kind = 'escalation.notify'")
# the baseline: as many rows merely copied into a table of the same shape and keys, and the clocks updated, one statement each
q -c "CREATE TABLE firings (LIKE crm.escalation_firings INCLUDING ALL)" -c "CREATE TABLE notices (LIKE crm.events INCLUDING ALL)" -c CHECKPOINT
base=$(q -c '\timing on' -c "INSERT INTO firings SELECT * FROM crm.escalation_firings" -c "INSERT INTO notices SELECT * FROM crm.events WHERE kind = 'escalation.notify'" \
    -c "UPDATE crm.sla_clocks SET escalated = escalated WHERE subject_id <= 10000" | ms | awk '{s += $1} END {print s}')
s=$(awk -v t="$t" -v n="$n" 'BEGIN {printf "%.2f", t / n * 10}')
line "10,000 due steps fired ($n from $due clocks, $told notices)" "$s s" "bare writes $(awk -v t="$base" -v n="$n" 'BEGIN {printf "%.2f", t / n * 10}') s" "$(ratio "$t" "$base")" "<= 2 s" "$(verdict "$s" "<=" 2)"
twice=$(q -c "SELECT count(*) FROM (SELECT FROM crm.escalation_firings GROUP BY subject_id, step_id, repeat_no HAVING count(*) > 1) AS x")
line "  of them twice" "$twice" "-" "-" "0" "$(verdict "$twice" "<=" 0)"

# tickets as a client sees them
bench() { pgbench -n -c 4 -j 2 -T 8 -f "$1" 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'; }
q -c "CREATE TABLE plain_tickets (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, subject text, owner_id bigint, created_at timestamptz DEFAULT now())" \
  -c "INSERT INTO crm.teams (id, name) VALUES (1, 'Desk')" -c "INSERT INTO crm.team_memberships (team_id, user_id) SELECT 1, i FROM generate_series(2, 50) AS i" \
  -c "INSERT INTO crm.agents (user_id, capacity) SELECT i, 100000 FROM generate_series(2, 50) AS i" \
  -c "INSERT INTO crm.queues (code, name, team_id, routing_method, sticky) VALUES ('robin', 'Robin', 1, 'round_robin', false)" \
  -c "UPDATE crm.tickets SET stage_id = (SELECT id FROM crm.stages WHERE code = 'cancelled')" -c 'VACUUM ANALYZE' >/dev/null
echo "INSERT INTO plain_tickets (subject, owner_id) VALUES ('x', 1);" >"$WORK/plain.sql"
echo "SELECT (crm.open_ticket('x', route => false)).id;" >"$WORK/open.sql"
echo "SELECT (crm.open_ticket('x', queue => 'robin')).id;" >"$WORK/route.sql"
plain=$(bench "$WORK/plain.sql")
t=$(bench "$WORK/open.sql")
line "tickets opened, with clocks, 4 clients" "$(printf '%.0f/s' "$t")" "INSERT $(printf '%.0f/s' "$plain")" "$(ratio "$t" "$plain")" "-" "-"
t=$(bench "$WORK/route.sql")
line "tickets opened and routed among 49 agents, 4 clients" "$(printf '%.0f/s' "$t")" "INSERT $(printf '%.0f/s' "$plain")" "$(ratio "$t" "$plain")" "-" "-"
