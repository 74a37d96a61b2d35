#!/usr/bin/env bash
# Business time and service clocks. The published figures beside ours are those of Ruby libraries measured
# on hours like these (biz 60 to 2,500 deadlines a second); the baseline of the same run adds an interval.
set -u
. "$REPO/tests/bench/timed.inc"

q <<'SQL' >/dev/null
SELECT crm.define_calendar('bench', jsonb_build_object('zone', 'Europe/Berlin', 'weekly',
    '{"mon": [["09:00","12:00"],["13:00","17:00"]], "tue": [["09:00","12:00"],["13:00","17:00"]], "wed": [["09:00","12:00"],["13:00","17:00"]],
      "thu": [["09:00","12:00"],["13:00","17:00"]], "fri": [["09:00","12:00"],["13:00","17:00"]]}'::jsonb,
    'holidays', (SELECT jsonb_agg(to_char(make_date(y, 1 + (i * 7) % 12, 1 + (i * 11) % 28), 'YYYY-MM-DD'))
                 FROM generate_series(2020, 2030) AS y, generate_series(1, 15) AS i)));
CREATE TABLE starts AS
SELECT '2022-01-01Z'::timestamptz + make_interval(secs => floor(random() * 6 * 365 * 86400)) AS at FROM generate_series(1, 1000000);
VACUUM ANALYZE starts;
SQL
id=$(q -c "SELECT id FROM crm.calendars WHERE code = 'bench'")
# the whole statement is charged on both sides, reading the table included
rate() { awk -v t="$(best_ms "SELECT count($1) FROM starts")" 'BEGIN {printf "%.0f", 1e9 / t}'; }
base=$(rate "at + interval '4 hours'")
for what in "deadline, 4 h;crm.business_add($id, at, 14400);500000" "deadline, 40 h;crm.business_add($id, at, 144000);500000" \
    "deadline, 200 h;crm.business_add($id, at, 720000);500000" "elapsed over 30 days;crm.business_elapsed($id, at, at + interval '30 days');500000" \
    "is open;crm.is_open($id, at);1000000"; do
    IFS=';' read -r name expression target <<<"$what"
    whole=$(rate "$expression")
    line "$name, 1M rows" "$whole/s" "at + interval $base/s" "$(awk -v a="$whole" -v b="$base" 'BEGIN {printf "%.2f", a / b}')" ">= $target/s" "$(verdict "$whole" ">=" "$target")"
done

cold=$(for i in 1 2 3; do q -c 'SELECT crm.library_version()' -c '\timing on' \
    -c "SELECT crm.business_elapsed($id, '2020-01-01', '2030-01-01')" | ms; done | sort -n | head -1)
plain=$(for i in 1 2 3; do q -c 'SELECT crm.library_version()' -c '\timing on' \
    -c "SELECT count(definition) FROM crm.calendar_versions WHERE calendar_id = $id" | ms; done | sort -n | head -1)
line "cold calendar, 10 years of 15 holidays, first call" "$cold ms" "read row $plain ms" "$(awk -v a="$cold" -v b="$plain" 'BEGIN {printf "%.1f", a / b}')" "<= 10 ms" "$(verdict "$cold" "<=" 10)"

# a million open clocks: half a year of starts, targets of 4 to 200 hours, a fifth with pauses
q <<SQL >/dev/null
INSERT INTO crm.sla_subjects (subject_type, subject_id) SELECT 'bench', i FROM generate_series(1, 1000000) AS i;
INSERT INTO crm.sla_clocks (subject_type, subject_id, metric, cycle, state, target_seconds, calendar_id, started_at, counted_from,
                            running_since, stretches, due_at)
SELECT 'bench', i, 'resolution', 1, 'running', x.target, $id, x.start, x.start, x.since, x.stretches,
       crm.sla_due($id, x.target, x.since, x.stretches)
FROM (SELECT i, s.start, s.target,
             CASE WHEN i % 5 = 0 THEN s.start + interval '30 hours' ELSE s.start END AS since,
             CASE WHEN i % 5 = 0 THEN ARRAY[s.start, s.start + interval '2 hours'] ELSE '{}' END AS stretches
      FROM (SELECT i, '2029-01-01Z'::timestamptz + make_interval(secs => floor(random() * 12 * 86400)) AS start,
                   (ARRAY[14400, 72000, 144000, 288000, 720000])[1 + i % 5] AS target
            FROM generate_series(1, 1000000) AS i) AS s) AS x;
VACUUM ANALYZE crm.sla_clocks;
CHECKPOINT;
SQL
touched=$(q -c "SELECT count(*) FROM crm.sla_clocks WHERE due_at > '2029-01-10Z'")
plain=$(q -c '\timing on' -c "BEGIN" -c "UPDATE crm.sla_clocks SET due_at = due_at + interval '7 hours' WHERE due_at > '2029-01-10Z' AND calendar_id = $id" -c ROLLBACK | ms | sort -n | tail -1)
q -c 'VACUUM crm.sla_clocks' -c CHECKPOINT
q -c 'SET log_statement_stats = on' -c 'SET client_min_messages = log' -c '\timing on' \
    -c "SELECT crm.import_holidays($id, 'bench', '[{\"date\": \"2029-01-10\"}]')" >"$WORK/holiday" 2>&1
t=$(ms <"$WORK/holiday" | tail -1)
# what it takes of a processor, whoever else was busy at the time
cpu=$(sed -n 's/^!.*[^0-9.]\([0-9.]*\) s user, \([0-9.]*\) s system, .*elapsed/\1 \2/p' "$WORK/holiday" | tail -1 | awk '{printf "%.2f", $1 + $2}')
s=$(awk -v t="$t" 'BEGIN {printf "%.2f", t / 1000}')
line "holiday added, 1M open clocks, $touched move" "$s s" "bare UPDATE $(awk -v t="$plain" 'BEGIN {printf "%.2f", t / 1000}') s" "$(awk -v a="$t" -v b="$plain" 'BEGIN {printf "%.2f", a / b}')" "<= 10 s" "$(verdict "$s" "<=" 10)"
line "  processor time of it" "$cpu s" "-" "-" "<= 10 s" "$(verdict "$cpu" "<=" 10)"
wrong=$(q -c "SELECT count(*) FROM crm.sla_clocks WHERE due_at IS DISTINCT FROM crm.sla_due(calendar_id, target_seconds, running_since, stretches)")
line "  of them wrong afterwards" "$wrong" "-" "-" "0" "$(verdict "$wrong" "<=" 0)"

q -c 'VACUUM ANALYZE crm.sla_clocks'
next="SELECT min(due_at) FROM crm.sla_clocks WHERE state = 'running' AND breached_at IS NULL"
t=$(best_ms "$next")
one=$(best_ms "SELECT 1")
line "next due instant among 1M clocks" "$t ms" "SELECT 1 $one ms" "$(awk -v a="$t" -v b="$one" 'BEGIN {printf "%.1f", a / b}')" "< 1 ms" "$(verdict "$t" "<=" 1)"
t=$(best_ms "SELECT crm.record_sla_breaches('2028-01-01')")
line "noting breaches where there are none, 1M clocks" "$t ms" "SELECT 1 $one ms" "$(awk -v a="$t" -v b="$one" 'BEGIN {printf "%.1f", a / b}')" "< 1 ms" "$(verdict "$t" "<=" 1)"

q <<'SQL' >/dev/null
INSERT INTO crm.sla_policies (subject_type, name, calendar_id) SELECT 'x:flow', 'flow', id FROM crm.calendars WHERE code = 'bench';
INSERT INTO crm.sla_targets (policy_id, metric, seconds) SELECT id, m, 14400 FROM crm.sla_policies, unnest('{first_response,resolution}'::text[]) AS m WHERE name = 'flow';
SQL
t=$(q -c '\timing on' -c "DO \$\$ BEGIN FOR i IN 1..2000 LOOP PERFORM crm.record_sla_event('x:flow', i, 'opened', '2029-01-10'); END LOOP; END \$\$" | ms)
line "event recorded, clocks kept (one at a time)" "$(awk -v t="$t" 'BEGIN {printf "%.3f ms", t / 2000}')" "-" "-" "-" "ok"
