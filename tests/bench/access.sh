# Row security: what a user who sees 1 % of a million rows pays for it, one who sees half, and one who sees all. Baselines: the
# same question to the owner, with the rule written by hand. Both are asked in turn in one session, and medians compared, as
# a machine is never quiet.
set -u
. "$REPO/tests/helpers/cluster.sh"
n=1000000
sql <<SQL >/dev/null || exit 1
CREATE ROLE bench_few LOGIN; CREATE ROLE bench_half LOGIN; CREATE ROLE bench_all LOGIN;
INSERT INTO crm.users (id, name) SELECT 1000 + g, 'u' || g FROM generate_series(1, 100) AS g;
SELECT crm.grant_access('bench_few', 'agent', 1001), crm.grant_access('bench_half', 'agent', 1003), crm.grant_access('bench_all', 'manager', 1002);
INSERT INTO crm.teams (id, name, lead_id) VALUES (1001, 'half', 1003);
INSERT INTO crm.team_memberships (team_id, user_id) SELECT 1001, 1000 + g FROM generate_series(4, 52) AS g;
SET session_replication_role = replica;
INSERT INTO crm.opportunities (id, name, pipeline_id, stage_id, amount, owner_id, created_at)
SELECT g, 'deal ' || g, s.pipeline_id, s.id, g % 1000, 1001 + (g * 31) % 100, now() - g * interval '1 minute'
FROM generate_series(1, $n) AS g,
     (SELECT s.pipeline_id, s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.id = s.pipeline_id AND p.subject_table = 'opportunities' ORDER BY s.id LIMIT 1) AS s;
INSERT INTO crm.contacts (id, name, owner_id) SELECT g, 'contact ' || g, 1001 + (g * 31) % 100 FROM generate_series(1, $n) AS g;
INSERT INTO crm.contact_points (contact_id, kind, value) SELECT 1 + (g::bigint * 31) % $n, 'email', 'c' || g || '@x.example' FROM generate_series(1, $n) AS g;
INSERT INTO crm.opportunity_lines (opportunity_id, product_id, unit_price, price_includes_tax) SELECT 1 + (g::bigint * 31) % $n, 1, 1, false FROM generate_series(1, $n) AS g;
SQL
sql -c 'VACUUM ANALYZE crm.opportunities' -c 'VACUUM ANALYZE crm.contacts' -c 'VACUUM ANALYZE crm.contact_points' -c 'VACUUM ANALYZE crm.opportunity_lines'

median() { sort -n | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'; }
in_turn() { # times, role, SQL, SQL of the owner: medians of both, planning included, without workers
    local i; for i in $(seq 0 "$1"); do
        printf 'SET ROLE %s;\n\\echo ours\n\\timing on\n%s;\n\\timing off\nRESET ROLE;\n\\echo base\n\\timing on\n%s;\n\\timing off\n' "$2" "$3" "$4"
    done | { echo 'SET max_parallel_workers_per_gather = 0; SET jit = off;'; cat; } | sql -At |
        awk '/^(ours|base)$/ {k = $1} /^Time:/ && n[k]++ {print $2 > ENVIRON["WORK"] "/" k}'
    echo "$(median <"$WORK/ours") $(median <"$WORK/base")"
}
say() {     # what, target or -, ours, base, unit
    local ratio
    ratio=$(awk -v a="$3" -v b="$4" 'BEGIN {printf "%.2f", a / b}')
    case $ratio in *nan*|*inf*) echo "$1: no figure"; exit 1;; esac
    if [ "$2" = - ]; then line "$1" "$3 $5" "$4 $5" "$ratio" - -
    else line "$1" "$3 $5" "$4 $5" "$ratio" "<= $2" "$(awk -v r="$ratio" -v t="$2" 'BEGIN {print (r <= t) ? "ok" : "miss"}')"; fi
}
compare() { # what, target or -, times, role, SQL, SQL of the owner
    say "$1" "$2" $(in_turn "$3" "$4" "$5" "$6") ms
}
rule() {    # people, teams: what somebody sees of records, by hand
    echo "tenant_id = 1 AND (owner_id = ANY ('{$1}') ${2:+OR team_id = ANY ('{$2}')} OR owner_id IS NULL AND (team_id IS NULL ${2:+OR team_id = ANY ('{$2}')})
          OR cardinality(shared_user_ids) > 0 AND shared_user_ids && '{${1%%,*}}' ${2:+OR cardinality(shared_team_ids) > 0 AND shared_team_ids && '{$2}'})"
}
deals="SELECT count(*), sum(amount) FROM crm.opportunities" lines="SELECT count(*), sum(amount) FROM crm.opportunity_lines"
compare "an agent's deals, 1 % of 1,000,000, summed" 1.15 41 bench_few "$deals" "$deals WHERE $(rule 1001 '')"
compare "the same, to owner_id = alone: no shares, nobody's" - 41 bench_few "$deals" "$deals WHERE tenant_id = 1 AND owner_id = 1001"
compare "contact points of an agent's contacts, 1 %" 1.5 15 bench_few "SELECT count(value) FROM crm.contact_points" \
    "SELECT count(value) FROM crm.contact_points WHERE tenant_id = 1 AND contact_id IN (SELECT c.id FROM crm.contacts AS c WHERE c.tenant_id = 1 AND c.owner_id = 1001)"
compare "lines of an agent's deals, 1 %" 1.5 15 bench_few "$lines" \
    "$lines WHERE tenant_id = 1 AND opportunity_id IN (SELECT o.id FROM crm.opportunities AS o WHERE o.tenant_id = 1 AND o.owner_id = 1001)"
compare "deals of a lead of 50 people, half of them, summed" - 9 bench_half "$deals" "$deals WHERE $(rule "$(seq -s, 1003 1052)" 1001)"
compare "all deals as a manager, summed" 1.1 15 bench_all "$deals" "$deals WHERE tenant_id = 1"
compare "all lines as a manager, summed" 1.1 15 bench_all "$lines" "$lines WHERE tenant_id = 1"
page=$(in_turn 41 bench_few "SELECT id, name FROM crm.opportunities ORDER BY id DESC LIMIT 20" "SELECT id, name FROM crm.opportunities WHERE tenant_id = 1 ORDER BY id DESC LIMIT 20")
line "an agent's page of the 20 newest deals" "${page% *} ms" "${page#* } ms" - "<= 2 ms" "$(awk -v a="${page% *}" 'BEGIN {print (a <= 2) ? "ok" : "miss"}')"
compare "the contact points of one contact" - 41 bench_few "SELECT value FROM crm.contact_points WHERE contact_id = 100" "SELECT value FROM crm.contact_points WHERE tenant_id = 1 AND contact_id = 100"

# One row at a time, by the agent: the baseline is the agent too, on the same tables while their row security is off, so that
# triggers, rollups and defaults are the same.
cat >"$WORK/deal.sql" <<'SQL'
\set id random(0, 9999)
UPDATE crm.opportunities SET amount = amount + 1 WHERE tenant_id = 1 AND id = 100 * :id + 100;
SQL
cat >"$WORK/line.sql" <<'SQL'
\set id random(0, 9999)
INSERT INTO crm.opportunity_lines (opportunity_id, product_id, unit_price) VALUES (100 * :id + 100, 1, 1);
SQL
cat >"$WORK/account.sql" <<'SQL'
INSERT INTO crm.accounts (name) VALUES ('one at a time');
SQL
sql -c 'VACUUM ANALYZE crm.opportunities' -c "INSERT INTO crm.products (id, code, name) VALUES (1, 'x', 'x') ON CONFLICT DO NOTHING"
one_row() { # what, script, tables
    local i on t; : >"$WORK/ours"; : >"$WORK/base"
    for i in 1 2 3 4 5 6 7 8 9; do      # a new session each: what it costs to find out who is asking is in it
        for on in ENABLE DISABLE; do
            for t in $3; do sql -c "ALTER TABLE $t $on ROW LEVEL SECURITY"; done
            pgbench -n -U bench_few -M prepared -t 400 -f "$WORK/$2.sql" 2>>"$WORK/pgbench.err" | awk '/latency average/ {printf "%.0f\n", $4 * 1000}' >>"$WORK/$([ $on = ENABLE ] && echo ours || echo base)"
        done
    done
    for t in $3; do sql -c "ALTER TABLE $t ENABLE ROW LEVEL SECURITY"; done
    say "$1" 1.1 "$(median <"$WORK/ours")" "$(median <"$WORK/base")" us
}
one_row "one deal changed by an agent" deal crm.opportunities
one_row "one account added by an agent" account crm.accounts
one_row "one line of a deal added by an agent" line "crm.opportunities crm.opportunity_lines"
