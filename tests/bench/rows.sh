# Checks of rows and row security on statements of 100,000 rows. Baseline: the same statement
# on the same table with its triggers disabled, or read by the owner.
set -u
. "$REPO/tests/helpers/cluster.sh"
n=100000
sql -c "INSERT INTO crm.custom_fields (table_name, name, type) VALUES ('accounts', 'budget', 'number'), ('accounts', 'size', 'text')"
sql -c "INSERT INTO crm.users (id, name) SELECT g, 'u' || g FROM generate_series(1, 100) AS g" \
    -c "INSERT INTO crm.exchange_rates (from_currency, to_currency, valid_from, rate) SELECT 'EUR', 'USD', date '2020-01-01' + g, 1 + g / 10000.0 FROM generate_series(0, 1999) AS g" >/dev/null

ms() {      # SQL: best of two, in ms, each rolled back
    local best= t i
    for i in 1 2; do
        t=$(printf 'BEGIN;\n%s;\n%s\n\\timing on\n%s;\n\\timing off\nROLLBACK;\n' "SET LOCAL synchronous_commit = off" "${2:-}" "$1" |
            sql -At | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -1)
        best=$(printf '%s\n%s\n' "$best" "$t" | awk 'NF' | sort -n | head -1)
    done
    echo "$best"
}
compare() { # what, SQL, target, preparation of baseline, preparation of ours
    local base ours ratio
    base=$(ms "$2" "$4") ours=$(ms "$2" "${5:-}")
    ratio=$(awk -v a="$ours" -v b="$base" 'BEGIN {printf "%.2f", a / b}')
    line "$1" "$ours ms" "$base ms" "$ratio" "<= $3" "$(awk -v r="$ratio" -v t="$3" 'BEGIN {print (r <= t) ? "ok" : "miss"}')"
}
off="ALTER TABLE crm.accounts DISABLE TRIGGER USER;"
insert="INSERT INTO crm.accounts (name, custom, tags) SELECT 'a' || g, '{\"budget\": 5, \"size\": \"x\"}', '{vip,new}' FROM generate_series(1, $n) AS g"
plain="INSERT INTO crm.accounts (name) SELECT 'a' || g FROM generate_series(1, $n) AS g"
compare "insert 100,000 accounts, nothing to check" "$plain" 1.5 "$off"
compare "insert 100,000 accounts, two custom fields and tags" "$insert" 1.5 "$off"
sql -c "INSERT INTO crm.accounts (name, owner_id, parent_id, id) SELECT 'a' || g, 1 + g % 100, NULL, g FROM generate_series(1, $n) AS g" -c 'VACUUM ANALYZE crm.accounts'
compare "update 100,000 accounts: version" "UPDATE crm.accounts SET city = 'x'" 1.5 "$off"
compare "update 100,000 accounts: version and custom fields" "UPDATE crm.accounts SET custom = '{\"budget\": 7}'" 1.5 "$off"
compare "update 100,000 accounts: a parent each" "UPDATE crm.accounts SET parent_id = id - 1 WHERE id % 10 <> 1" 3 "$off"
sql -c "CREATE ROLE bench_agent" -c "SELECT crm.grant_access('bench_agent', 'agent', 1)" -c "INSERT INTO crm.teams (id, name, lead_id) VALUES (1, 't', 1)" \
    -c "INSERT INTO crm.team_memberships (team_id, user_id) SELECT 1, g FROM generate_series(2, 50) AS g" >/dev/null
compare "count 100,000 accounts as an agent leading 49 people" "SELECT count(*) FROM crm.accounts" 3 "SET LOCAL max_parallel_workers_per_gather = 0;" \
    "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL ROLE bench_agent;"
multiply=$(ms "SELECT sum(g * 1.1) FROM generate_series(1, $n) AS g")
convert=$(ms "SELECT sum(crm.convert_currency(g, 'EUR', 'USD', event_date => date '2020-01-01' + g % 2000)) FROM generate_series(1, $n) AS g")
line "convert 100,000 amounts at 2,000 dated rates, to a product" "$convert ms" "$multiply ms" "$(awk -v a="$convert" -v b="$multiply" 'BEGIN {printf "%.2f", a / b}')" "<= 20" "$(awk -v a="$convert" -v b="$multiply" 'BEGIN {print (a / b <= 20) ? "ok" : "miss"}')"
fold=$(ms "SELECT sum(length(crm.name_key('سید محمد رضایی ' || g))) FROM generate_series(1, $n) AS g")
lower=$(ms "SELECT sum(length(lower('سید محمد رضایی ' || g))) FROM generate_series(1, $n) AS g")
line "name_key of 100,000 Persian names, to lower()" "$fold ms" "$lower ms" "$(awk -v a="$fold" -v b="$lower" 'BEGIN {printf "%.2f", a / b}')" "-" "-"
sql -c "SELECT crm.revoke_access('bench_agent')" -c "DROP ROLE bench_agent" >/dev/null
