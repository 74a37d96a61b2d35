# Recurrence rules against python-dateutil: 600 rules, in zones whose clocks change, by the whole and by windows.
set -u
. "$REPO/tests/helpers/cluster.sh"
python=
for p in python3 /usr/bin/python3; do $p -c 'import dateutil.rrule, zoneinfo; zoneinfo.ZoneInfo("Asia/Tehran")' 2>/dev/null && python=$p && break; done
[ -n "$python" ] || { echo "python3-dateutil is not installed"; exit 77; }
"$python" -W ignore "$REPO/tests/helpers/recurrence_cases.py" >"$WORK/cases.tsv" || fail "the cases could not be made"
export PGDATABASE=recurrence
fresh_database recurrence || exit 1
sql >"$WORK/out" <<SQL || fail "comparing: $(tail -3 "$WORK/out")"
CREATE TABLE cases (n integer, rule text, starts_at timestamptz, until_at timestamptz, zone text, expected timestamptz[]);
\copy cases FROM '$WORK/cases.tsv'
SELECT format('different: %s from %s %s: %s', c.rule, c.starts_at, c.zone, d.found)
FROM cases AS c CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(r), '{}') AS found FROM crm.recurrence(c.rule, c.starts_at, '-infinity', c.until_at + interval '1 microsecond', c.zone) AS r) AS d
WHERE d.found <> c.expected ORDER BY c.n;
-- a window gives what the whole gives there, and the next one is the next one; rules that find nothing look until the year 9999
SELECT format('different window: %s from %s %s', c.rule, c.starts_at, c.zone)
FROM cases AS c CROSS JOIN generate_series(1, 3) AS w (n)
CROSS JOIN LATERAL (SELECT c.starts_at + (c.until_at - c.starts_at) * w.n / 4 AS from_at, c.starts_at + (c.until_at - c.starts_at) * (w.n + 1) / 4 AS to_at) AS s
CROSS JOIN LATERAL (SELECT min(e) AS next_at FROM unnest(c.expected) AS e WHERE e > s.from_at) AS x
WHERE ARRAY(SELECT r FROM crm.recurrence(c.rule, c.starts_at, s.from_at, s.to_at, c.zone) AS r)
      <> ARRAY(SELECT e FROM unnest(c.expected) AS e WHERE e >= s.from_at AND e < s.to_at)
   OR x.next_at IS NOT NULL AND crm.next_recurrence(c.rule, c.starts_at, s.from_at, c.zone) IS DISTINCT FROM x.next_at
   OR x.next_at IS NULL AND w.n = 2 AND crm.next_recurrence(c.rule, c.starts_at, s.from_at, c.zone) <= c.until_at
ORDER BY c.n, w.n;
SELECT format('%s rules, %s instants', CASE WHEN count(*) > 500 THEN 'enough' ELSE 'too few' END, CASE WHEN sum(cardinality(expected)) > 20000 THEN 'enough' ELSE 'too few' END) FROM cases;
SQL
grep -q 'different' "$WORK/out" && fail "$(grep -c different "$WORK/out") differ: $(grep different "$WORK/out" | head -5)"
grep -q 'enough rules, enough instants' "$WORK/out" || fail "there were too few cases: $(cat "$WORK/out")"
exit 0
