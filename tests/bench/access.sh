# Row security: what a user who sees 1 % of a million rows pays for it, and one who sees all. Baselines: the same
# question to the owner, with the WHERE by hand.
set -u
. "$REPO/tests/helpers/cluster.sh"
n=1000000
sql <<SQL >/dev/null
CREATE ROLE bench_few LOGIN; CREATE ROLE bench_all LOGIN;
INSERT INTO crm.users (id, name) SELECT 1000 + g, 'u' || g FROM generate_series(1, 100) AS g;
SELECT crm.grant_access('bench_few', 'agent', 1001), crm.grant_access('bench_all', 'manager', 1002);
SET session_replication_role = replica;
INSERT INTO crm.opportunities (id, name, pipeline_id, stage_id, amount, owner_id, created_at)
SELECT g, 'deal ' || g, s.pipeline_id, s.id, g % 1000, 1001 + (g * 31) % 100, now() - g * interval '1 minute'
FROM generate_series(1, $n) AS g,
     (SELECT s.pipeline_id, s.id FROM crm.stages AS s JOIN crm.pipelines AS p ON p.id = s.pipeline_id AND p.subject_table = 'opportunities' ORDER BY s.id LIMIT 1) AS s;
INSERT INTO crm.contacts (id, name, owner_id) SELECT g, 'contact ' || g, 1001 + (g * 31) % 100 FROM generate_series(1, $n) AS g;
INSERT INTO crm.contact_points (contact_id, kind, value) SELECT 1 + (g::bigint * 31) % $n, 'email', 'c' || g || '@x.example' FROM generate_series(1, $n) AS g;
INSERT INTO crm.opportunity_lines (opportunity_id, product_id, unit_price) SELECT 1 + (g::bigint * 31) % $n, 1, 1 FROM generate_series(1, $n) AS g;
SQL
sql -c 'VACUUM ANALYZE crm.opportunities' -c 'VACUUM ANALYZE crm.contacts' -c 'VACUUM ANALYZE crm.contact_points' -c 'VACUUM ANALYZE crm.opportunity_lines'

ms() {      # role, SQL: best of five after one to warm up, planning included, in one session without workers
    { echo "SET max_parallel_workers_per_gather = 0; SET jit = off;"; echo "$2;"; echo '\timing on'; for i in 1 2 3 4 5; do echo "$2;"; done; } |
        sql -At -U "$1" | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | sort -n | head -1
}
compare() { # what, target, role, SQL, SQL of the owner
    local base ours ratio
    ours=$(ms "$3" "$4") base=$(ms postgres "$5")
    ratio=$(awk -v a="$ours" -v b="$base" 'BEGIN {printf "%.2f", a / b}')
    line "$1" "$ours ms" "$base ms" "$ratio" "<= $2" "$(awk -v r="$ratio" -v t="$2" 'BEGIN {print (r <= t) ? "ok" : "miss"}')"
}
compare "an agent's deals, 1 % of 1,000,000, summed" 1.15 bench_few "SELECT count(*), sum(amount) FROM crm.opportunities" \
    "SELECT count(*), sum(amount) FROM crm.opportunities WHERE tenant_id = 1 AND owner_id = 1001"
compare "contact points of an agent's contacts, 1 %" 1.5 bench_few "SELECT count(value) FROM crm.contact_points" \
    "SELECT count(value) FROM crm.contact_points WHERE tenant_id = 1 AND contact_id IN (SELECT c.id FROM crm.contacts AS c WHERE c.tenant_id = 1 AND c.owner_id = 1001)"
compare "lines of an agent's deals, 1 %" 1.5 bench_few "SELECT count(*), sum(amount) FROM crm.opportunity_lines" \
    "SELECT count(*), sum(amount) FROM crm.opportunity_lines WHERE tenant_id = 1 AND opportunity_id IN (SELECT o.id FROM crm.opportunities AS o WHERE o.tenant_id = 1 AND o.owner_id = 1001)"
compare "all deals as a manager, summed" 1.1 bench_all "SELECT count(*), sum(amount) FROM crm.opportunities" \
    "SELECT count(*), sum(amount) FROM crm.opportunities WHERE tenant_id = 1"
compare "all lines as a manager, summed" 1.1 bench_all "SELECT count(*), sum(amount) FROM crm.opportunity_lines" \
    "SELECT count(*), sum(amount) FROM crm.opportunity_lines WHERE tenant_id = 1"
page=$(ms bench_few "SELECT id, name FROM crm.opportunities ORDER BY id DESC LIMIT 20")
line "an agent's page of the 20 newest deals" "$page ms" "-" "-" "<= 2 ms" "$(awk -v a="$page" 'BEGIN {print (a <= 2) ? "ok" : "miss"}')"
one=$(ms bench_few "SELECT value FROM crm.contact_points WHERE contact_id = (SELECT min(id) FROM crm.contacts)")
line "the contact points of one contact" "$one ms" "-" "-" "-" "-"
